"""Refused callers: told to the log, counted, and slowed down.

A source or a key id that fails too often within a minute gets 429 instead of AWS's answer for the
rest of it, and that is not logged. Whoever shows a good signature is let through all the same: else
a stranger could lock a caller out by failing under its key id, or from behind the same proxy.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import Counter
from typing import Any

from .. import admission
from ..errors import AuthenticationError, AWSError
from ..process import PerProcess
from ..wire import Request

logger = logging.getLogger(__name__)

#: Sources and key ids that are remembered; the ones that failed longest ago are forgotten.
MAX_REMEMBERED = 10_000

_MINUTE_S = 60
_MAX_SHOWN = 128


class Failures:
    """What is known of refused callers, in this process.

    Threads share it.

    Args:
        per_minute: failures of one source, and of one key id, that are answered and logged in a
            minute, which begins with the first of them.
    """

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        #: Refusals of this process by AWS's code.
        self.counts: Counter[str] = Counter()
        #: By source or key id: how often it failed in its minute, and when that ends.
        self._minutes: dict[str, tuple[int, float]] = {}
        self._lock = PerProcess(threading.Lock)

    def note(self, error: AuthenticationError, request: Request, request_id: str) -> AWSError:
        """Take a failure down.

        Returns:
            What the caller is told: ``error``, or `TooManyRequestsException`.
        """
        names = [f"source {_source(request.environ)}"]
        if error.key_id is not None:
            names.append(f"key id {_shown(error.key_id)}")
        with self._lock.get():
            self.counts[error.code] += 1
            minutes = {name: self._count(name, request.received_at) for name in names}
        worst, until = max(minutes.values())
        if worst > self._per_minute:
            retry_after_s = max(1, math.ceil(until - request.received_at))
            return admission.too_many_requests(retry_after_s, admission.CALLER_RATE)
        logger.warning(
            "request %s was refused with %s: %s (%s)",
            request_id,
            error.code,
            _shown(error.why),
            ", ".join(names),
            extra={"request_id": request_id, "code": error.code},
        )
        for name, (count, _) in minutes.items():
            if count == self._per_minute:
                logger.warning(
                    "%s has failed %d times within a minute; more of it is answered with 429 and "
                    "not logged",
                    name,
                    count,
                )
        return error

    def _count(self, name: str, now: float) -> tuple[int, float]:
        """Count one failure of a source or key id: how many in its minute, and when that ends."""
        ends = now + _MINUTE_S
        count, until = self._minutes.pop(name, (0, ends))
        if now >= until:
            count, until = 0, ends
        until = min(until, ends)  # the clock may have been put back
        if len(self._minutes) >= MAX_REMEMBERED:
            del self._minutes[next(iter(self._minutes))]
        self._minutes[name] = (count + 1, until)
        return count + 1, until


def _source(environ: Any) -> str:
    """Where a request came from: the address, and of version 6 the network of one subscriber."""
    import ipaddress  # once somebody fails

    given = str(environ.get("REMOTE_ADDR") or "unknown")
    try:
        address = ipaddress.ip_address(given.partition("%")[0])
    except ValueError:
        return _shown(given)
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))


def _shown(text: str) -> str:
    """A text that a stranger may have made, on one line of the log."""
    shown = text if text.isprintable() else repr(text)[1:-1]
    return shown if len(shown) <= _MAX_SHOWN else f"{shown[:_MAX_SHOWN]}…"
