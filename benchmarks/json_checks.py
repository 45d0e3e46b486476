"""``json``: the check that every payload goes through."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from invokeasync_wsgi import payload

from . import events
from .paired import Cost, Effort, Meter, Row, alternate, compare

#: Bytes to validate in a round.
_VOLUME = 8 * events.MB
#: Of the smallest events, as their number would make a round too long.
_MOST = 20_000


def json_checks(effort: Effort) -> list[Row]:
    """`payload.check` over `json.loads`, with and without msgspec."""
    validators: list[tuple[str, Callable[[], AbstractContextManager[None]]]] = [
        ("no msgspec", events.without_msgspec)
    ]
    if events.HAS_MSGSPEC:
        validators.insert(0, ("msgspec", nullcontext))
    rows = []
    for name, event in events.EVENTS.items():
        for validator, chosen in validators:
            with chosen():
                rows.append(_row(f"{name}, {validator}", event, effort))
    return rows


def _row(case: str, event: bytes, effort: Effort) -> Row:
    count = effort.count(min(_VOLUME // len(event), _MOST))

    def side(check: Callable[[bytes], object]) -> Cost:
        with Meter() as meter:
            for _ in range(count):
                check(event)
        return meter.cost(count)

    pairs = alternate(lambda: side(json.loads), lambda: side(payload.check), effort.rounds_or(7))
    return compare("json", case, pairs, "ratio")
