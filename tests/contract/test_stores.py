"""What every store promises."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from invokeasync_wsgi import Invocation, QueueFull
from invokeasync_wsgi.store import Counts, Store
from invokeasync_wsgi.store.memory import MemoryStore

STORES: dict[str, Callable[[], Store]] = {"memory": lambda: MemoryStore(max_waiting=3)}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> Store:
    return STORES[request.param]()


def event(name: str) -> Invocation:
    return Invocation(request_id=name, function_name="f", payload=b"{}", accepted_at=0)


def test_events_are_claimed_in_the_order_of_their_arrival_and_once(store: Store) -> None:
    for name in "abc":
        store.add(event(name))
    claimed = [store.claim(now=0) for _ in range(4)]
    assert [c and c.request_id for c in claimed] == ["a", "b", "c", None]


def test_an_event_is_waiting_then_running_then_forgotten(store: Store) -> None:
    seen = [store.counts()]
    store.add(event("a"))
    seen.append(store.counts())
    claimed = store.claim(now=0)
    assert claimed is not None
    seen.append(store.counts())
    store.finish(claimed)
    seen.append(store.counts())
    assert seen == [Counts(0, 0), Counts(1, 0), Counts(0, 1), Counts(0, 0)]


def test_a_requeued_event_is_claimed_when_it_is_due_with_its_attempt_counted(store: Store) -> None:
    store.add(event("a"))
    claimed = store.claim(now=0)
    assert claimed is not None
    store.requeue(claimed, attempt=2, due=60)
    assert store.counts() == Counts(1, 0)
    assert store.claim(now=59.9) is None
    assert store.claim(now=60) == dataclasses.replace(claimed, attempt=2)


def test_due_retries_come_in_the_order_of_their_times(store: Store) -> None:
    for name, due in (("a", 30), ("b", 10), ("c", 20)):
        store.add(event(name))
        claimed = store.claim(now=0)
        assert claimed is not None
        store.requeue(claimed, attempt=2, due=due)
    claims = [store.claim(now=60) for _ in range(3)]
    assert [c and c.request_id for c in claims] == ["b", "c", "a"]


def test_no_more_are_taken_than_may_wait_and_a_refused_one_is_not_remembered(store: Store) -> None:
    for name in "abc":
        store.add(event(name))
    with pytest.raises(QueueFull):
        store.add(event("d"))
    assert store.unfinished() == ["a", "b", "c"]


def test_a_retry_finds_room_even_when_nothing_else_does(store: Store) -> None:
    store.add(event("a"))
    claimed = store.claim(now=0)
    assert claimed is not None
    for name in "bcd":
        store.add(event(name))
    store.requeue(claimed, attempt=2, due=1)
    assert store.counts().waiting == 4


def test_two_events_may_have_the_same_request_id(store: Store) -> None:
    store.add(event("a"))
    store.add(event("a"))
    first, second = store.claim(now=0), store.claim(now=0)
    assert first is not None
    assert second is not None
    store.finish(first)
    assert store.counts() == Counts(0, 1)
    store.finish(second)


def test_the_unfinished_are_the_running_and_the_waiting(store: Store) -> None:
    for name in "abc":
        store.add(event(name))
    running = store.claim(now=0)
    retried = store.claim(now=0)
    assert running is not None
    assert retried is not None
    store.requeue(retried, attempt=2, due=60)
    assert sorted(store.unfinished()) == ["a", "b", "c"]
