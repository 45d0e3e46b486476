"""The values that travel: an invocation on its way to the handler, and what came of an attempt.

`Invocation` is everything that must be remembered of an accepted event, and nothing of the code
that will run it: settings and handlers are looked up when an attempt starts, as queued events on
Lambda run the code that is live by then. It turns into JSON and back without changing a byte of
the payload, so any backend can carry it.

Values only: immutable, comparable, safe to share between threads and processes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

#: ``X-Amz-Function-Error`` of every failed attempt; ``Handled`` is history.
UNHANDLED = "Unhandled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """One event for one function."""

    #: A lower-case UUID: the same in the answer, the handler's context, logs and every attempt.
    request_id: str
    #: The bare name of the function.
    function_name: str
    #: The alias or version that the caller asked for; ``None`` when none was named.
    qualifier: str | None = None
    #: The event, byte for byte as it was sent; JSON by `payload.check`.
    payload: bytes
    #: When the event was accepted, in seconds since the epoch; its age counts from here.
    accepted_at: float
    #: The number of the attempt to run next, from 1.
    attempt: int = 1
    #: ``X-Amz-Client-Context``, decoded: JSON text. ``None`` when none was sent.
    client_context: str | None = None
    #: ``X-Amzn-Trace-Id`` as sent, or ``None``.
    trace_id: str | None = None
    #: ``X-Amz-Tenant-Id`` as sent, or ``None``.
    tenant_id: str | None = None
    #: How often in a row it was put off without an attempt: throttles and system errors.
    back_offs: int = 0
    #: How often in a row a process died under its attempt.
    interruptions: int = 0
    #: For the delivery of a record or dead letter: what it tells of, as JSON (`destinations`).
    #: ``None`` for an event that a handler is to run.
    delivery: str | None = None

    def next_attempt(self) -> Invocation:
        """This event after a failed attempt."""
        return replace(self, attempt=self.attempt + 1, back_offs=0, interruptions=0)

    def put_off(self) -> Invocation:
        """This event after an attempt that could not be made; it is not counted as one."""
        return replace(self, back_offs=self.back_offs + 1)

    def to_json(self) -> str:
        """This invocation as one JSON object; the payload is a string in it, to keep its bytes."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return json.dumps({**values, "payload": self.payload.decode()}, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> Invocation:
        """The invocation that `to_json` wrote.

        Raises:
            ValueError: the text is no such JSON object.
        """
        values: Any = json.loads(text)
        try:
            made = cls(**{**values, "payload": values["payload"].encode()})
        except (TypeError, KeyError, AttributeError) as exc:
            raise ValueError(f"not an invocation: {exc}") from exc
        for name, types in _FIELD_TYPES.items():
            if not isinstance(getattr(made, name), types):
                raise ValueError(f"not an invocation: {name}={getattr(made, name)!r}")
        return made


_FIELD_TYPES: dict[str, tuple[type, ...]] = {
    "request_id": (str,),
    "function_name": (str,),
    "qualifier": (str, type(None)),
    "accepted_at": (int, float),
    "attempt": (int,),
    "client_context": (str, type(None)),
    "trace_id": (str, type(None)),
    "tenant_id": (str, type(None)),
    "back_offs": (int,),
    "interruptions": (int,),
    "delivery": (str, type(None)),
}


class Outcome(NamedTuple):
    """What one attempt came to."""

    #: The result or the error as JSON (a handler that returns ``bytes`` may send anything).
    payload: bytes
    #: `UNHANDLED` when the attempt failed, else ``None``.
    function_error: str | None
    #: The version that ran: ``$LATEST`` or a number.
    executed_version: str
    #: How long the handler ran, in seconds.
    duration_s: float
    #: ``application/json``, or ``application/unknown`` for a handler that returned ``bytes``.
    content_type: str
    #: Writes out the attempt's log, START to REPORT line. A call, because most are never read.
    log: Callable[[], str]

    @property
    def error(self) -> dict[str, Any]:
        """The error's members, for a failed attempt; empty for any other."""
        if self.function_error is None:
            return {}
        decoded: dict[str, Any] = json.loads(self.payload)
        return decoded


def new_request_id(now: float) -> str:
    """A UUID of version 7 in lower case: the milliseconds of ``now``, then 74 random bits.

    Ids that begin with the time are written in order, so that an index over millions of them stays
    as fast as one over a few (RFC 9562, section 6.11). Fork-safe: the kernel is asked each time.

    Args:
        now: seconds since the epoch.
    """
    digits = os.urandom(10).hex()
    time = f"{max(int(now * 1000), 0) & 0xFFFFFFFFFFFF:012x}"
    variant = "89ab"[int(digits[3], 16) & 3]
    return f"{time[:8]}-{time[8:]}-7{digits[:3]}-{variant}{digits[4:7]}-{digits[7:19]}"
