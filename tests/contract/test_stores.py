"""What every store promises."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from invokeasync_wsgi import Invocation, QueueFull
from invokeasync_wsgi.retry import Decision, RetryAt, Succeeded
from invokeasync_wsgi.store import Claim, Counts, Store
from invokeasync_wsgi.store.memory import MemoryStore
from invokeasync_wsgi.store.sqlite import Ended, Room, SQLiteStore, StoredClaim, Wanted
from invokeasync_wsgi.testing import FakeClock

#: How many events the stores here take.
ROOM = 3


class OneByOne:
    """An `SQLiteStore`, which exchanges many events at a time, as one of one event at a time."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock(0)
        self.store = SQLiteStore(
            folder / "queue.db", self.clock, synchronous="normal", max_waiting=ROOM
        )
        self.add = self.store.add
        self.counts = self.store.counts

    def claim(self, *, now: float) -> StoredClaim | None:
        self.clock.advance(now - self.clock.time())
        wanted = Wanted(1, lambda name: Room(math.inf, 1, 0))
        claims = self.store.exchange("owner", [], wanted).claims
        return claims[0] if claims else None

    def requeue(self, claim: StoredClaim, invocation: Invocation, *, due: float) -> None:
        self._end(claim, RetryAt(invocation, due))

    def finish(self, claim: StoredClaim, deliveries: Iterable[Invocation] = ()) -> None:
        self._end(claim, Succeeded(tuple(deliveries)))

    def _end(self, claim: StoredClaim, decision: Decision) -> None:
        ended = Ended(claim, decision, None, "", self.clock.time())
        self.store.exchange("owner", [ended], Wanted(0, lambda name: None))


#: Each makes a store; its files, if it has any, go into the folder.
STORES: dict[str, Callable[[Path], Store[Any]]] = {
    "memory": lambda folder: MemoryStore(max_waiting=ROOM),
    "SQLite": OneByOne,
}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store[Any]]:
    store = STORES[request.param](tmp_path)
    yield store
    if isinstance(store, OneByOne):
        store.store.close()


def event(name: str) -> Invocation:
    return Invocation(request_id=name, function_name="f", payload=b"{}", accepted_at=0)


def claim(store: Store[Any], *, now: float = 0) -> Claim:
    """Claim an event that must be there."""
    claimed: Claim | None = store.claim(now=now)
    assert claimed is not None
    return claimed


def claim_all(store: Store[Any], *, now: float = 0) -> Sequence[str]:
    """The request ids of all that can be claimed, in their order."""
    claimed = []
    while (one := store.claim(now=now)) is not None:
        claimed.append(one.invocation.request_id)
    return claimed


def test_events_are_claimed_in_the_order_of_their_arrival_and_once(store: Store[Any]) -> None:
    for name in "abc":
        store.add(event(name))
    assert claim_all(store) == ["a", "b", "c"]


def test_a_claim_has_the_event_as_it_was_added(store: Store[Any]) -> None:
    full = Invocation(
        request_id="a",
        function_name="f",
        qualifier="live",
        payload=b'{ "a": 1.0, "a": "\xc3\xa9" }',
        accepted_at=0.125,
        attempt=2,
        client_context='{"custom":{}}',
        trace_id="Root=1",
        tenant_id="t",
        back_offs=3,
        interruptions=1,
        delivery='{"kind":"OnSuccess"}',
    )
    store.add(full)
    assert claim(store, now=1).invocation == full


def test_an_event_is_waiting_then_running_then_forgotten(store: Store[Any]) -> None:
    seen = [store.counts()]
    store.add(event("a"))
    seen.append(store.counts())
    claimed = claim(store)
    seen.append(store.counts())
    store.finish(claimed)
    seen.append(store.counts())
    assert seen == [Counts(0, 0), Counts(1, 0), Counts(0, 1), Counts(0, 0)]


def test_a_requeued_event_is_claimed_when_it_is_due_as_it_was_given_back(store: Store[Any]) -> None:
    store.add(event("a"))
    claimed = claim(store)
    later = claimed.invocation.next_attempt()
    store.requeue(claimed, later, due=60)
    assert store.counts() == Counts(1, 0)
    assert store.claim(now=59.9) is None
    assert claim(store, now=60).invocation == later == replace(event("a"), attempt=2)


def test_due_retries_come_in_the_order_of_their_times(store: Store[Any]) -> None:
    for name, due in (("a", 30), ("b", 10), ("c", 20)):
        store.add(event(name))
        claimed = claim(store)
        store.requeue(claimed, claimed.invocation.next_attempt(), due=due)
    assert claim_all(store, now=60) == ["b", "c", "a"]


def test_no_more_are_taken_than_may_wait_and_a_refused_one_is_not_remembered(
    store: Store[Any],
) -> None:
    for name in "abc":
        store.add(event(name))
    with pytest.raises(QueueFull):
        store.add(event("d"))
    assert store.counts() == Counts(ROOM, 0)
    assert claim_all(store) == ["a", "b", "c"]


def test_a_retry_finds_room_even_when_nothing_else_does(store: Store[Any]) -> None:
    store.add(event("a"))
    claimed = claim(store)
    for name in "bcd":
        store.add(event(name))
    store.requeue(claimed, claimed.invocation.next_attempt(), due=1)
    assert store.counts().waiting == ROOM + 1
    with pytest.raises(QueueFull):
        store.add(event("e"))


def test_deliveries_are_accepted_in_the_step_that_ends_their_event(store: Store[Any]) -> None:
    store.add(event("a"))
    store.finish(claim(store), [event("record"), event("letter")])
    assert store.counts() == Counts(2, 0)
    assert claim_all(store) == ["record", "letter"]


def test_deliveries_find_room_even_when_nothing_else_does(store: Store[Any]) -> None:
    store.add(event("a"))
    claimed = claim(store)
    for name in "bcd":
        store.add(event(name))
    store.finish(claimed, (event("record") for _ in range(2)))
    assert store.counts() == Counts(ROOM + 2, 0)


def test_an_end_is_an_end_once(store: Store[Any]) -> None:
    """A handler past its deadline may return while its event is finished or waits again."""
    store.add(event("a"))
    claimed = claim(store)
    store.finish(claimed)
    store.finish(claimed, [event("record")])
    store.requeue(claimed, claimed.invocation.next_attempt(), due=0)
    assert store.counts() == Counts(0, 0)


def test_a_claim_that_was_given_back_is_nobodys_any_more(store: Store[Any]) -> None:
    store.add(event("a"))
    first = claim(store)
    store.requeue(first, first.invocation.next_attempt(), due=0)
    second = claim(store)
    store.requeue(first, first.invocation.next_attempt(), due=0)
    store.finish(first)
    assert store.counts() == Counts(0, 1)
    store.finish(second)
    assert store.counts() == Counts(0, 0)


def test_two_events_may_have_the_same_request_id(store: Store[Any]) -> None:
    store.add(event("a"))
    store.add(event("a"))
    first, second = claim(store), claim(store)
    assert first.invocation == second.invocation
    store.finish(first)
    assert store.counts() == Counts(0, 1)
    store.finish(second)
    assert store.counts() == Counts(0, 0)
