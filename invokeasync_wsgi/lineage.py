"""How often a function has run in one chain of invocations: the ``X-Amzn-Trace-Id`` header.

A handler that invokes functions, and so perhaps itself, passes the trace id on. Its ``Lineage``
part counts the runs of each function in the chain, as Lambda's recursive loop detection does::

    Root=1-5e1b4151-5ac6c58dc39a6b6ae5ba4b1a;Lineage=a87bd80c:1|68fd508a:5

Functions are named by the first eight hex digits of a hash, so that nobody reads their names there.
What others wrote into the header is kept. A header that is not understood is a chain of no runs.
"""

from __future__ import annotations

import re
from hashlib import sha256

#: Of a chain; those that came first are dropped.
_MAX_ENTRIES = 32

_PART = re.compile(r"(?:^|;)\s*Lineage=([^;]*)", re.IGNORECASE)
_RUNS = re.compile(r"([0-9a-f]{8}):([0-9]{1,5})")


def runs(trace_id: str | None, function_arn: str) -> int:
    """How often a function has run in the chain so far.

    Args:
        trace_id: the header, or ``None``.
        function_arn: without a qualifier.
    """
    return _read(trace_id)[0].get(_key(function_arn), 0) if trace_id else 0


def extend(trace_id: str | None, function_arn: str, *, root: str) -> str:
    """The header that a handler passes on: one more run of its function.

    Args:
        trace_id: the header that came with the invocation, or ``None``.
        function_arn: without a qualifier.
        root: begins a new header where there was none.

    >>> extend("Root=1-a;Lineage=00000000:1", "arn", root="")
    'Root=1-a;Lineage=00000000:1|42e7ab5b:1'
    """
    trace_id = trace_id or root
    counts, others = _read(trace_id)
    key = _key(function_arn)
    counts[key] = counts.pop(key, 0) + 1
    entries = [*others, *(f"{name}:{count}" for name, count in counts.items())]
    lineage = "|".join(entries[-_MAX_ENTRIES:])
    rest = _PART.sub("", trace_id).strip(";")
    return f"{rest};Lineage={lineage}" if rest else f"Lineage={lineage}"


def _read(trace_id: str) -> tuple[dict[str, int], list[str]]:
    """The runs of each function, and what is written there in other forms."""
    part = _PART.search(trace_id)
    counts: dict[str, int] = {}
    others: list[str] = []
    for entry in part[1].split("|") if part and part[1] else ():
        match = _RUNS.fullmatch(entry.strip())
        if match is None:
            others.append(entry.strip())
        else:
            counts[match[1]] = int(match[2])
    return counts, others


def _key(function_arn: str) -> str:
    return sha256(function_arn.encode()).hexdigest()[:8]
