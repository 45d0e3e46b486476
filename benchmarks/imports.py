"""``import``: what importing the package adds to the start of a process."""

from __future__ import annotations

import os
import sys

from .paired import CannotRun, Cost, Effort, Row, compare

_NOTHING, _FLOOR, _OURS = "pass", "import werkzeug", "import invokeasync_wsgi"


def import_time(effort: Effort) -> list[Row]:
    """The import of this package over Werkzeug's, which every Flask application makes anyway."""
    if not (hasattr(os, "posix_spawn") and hasattr(os, "wait4")):
        raise CannotRun("it needs posix_spawn and wait4, which this system does not have")
    for code in (_FLOOR, _OURS):
        _run(code)  # writes the bytecode
    pairs = []
    for number in range(effort.rounds_or(21)):
        order = (_FLOOR, _OURS) if number % 2 else (_OURS, _FLOOR)
        nothing = _run(_NOTHING)
        cost = {code: Cost(max(_run(code) - nothing, 1e-6)) for code in order}
        pairs.append((cost[_FLOOR], cost[_OURS]))
    return [compare("import", "over werkzeug", pairs, "ratio", target=1.5)]


def _run(code: str) -> float:
    """User and system time of an interpreter that runs ``code``, in seconds."""
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", code], os.environ)
    _, status, usage = os.wait4(pid, 0)
    if status != 0:
        raise RuntimeError(f"{code!r} ended with status {status}")
    return usage.ru_utime + usage.ru_stime
