"""store/memory.py: what it promises beyond the contract of stores."""

from __future__ import annotations

import math

import pytest

from invokeasync_wsgi import Invocation, QueueFull
from invokeasync_wsgi.store.fair import FairQueue
from invokeasync_wsgi.store.memory import MemoryStore


def event(name: str, *, function_name: str = "f", payload: bytes = b"{}") -> Invocation:
    return Invocation(request_id=name, function_name=function_name, payload=payload, accepted_at=0)


def filled() -> MemoryStore:
    """A store in which ``a`` is running, ``b`` is ready and ``c`` is due at 60."""
    store = MemoryStore(max_waiting=10)
    for name in "ca":
        store.add(event(name))
    later = store.claim(now=0)
    assert later is not None
    store.requeue(later, later.invocation.next_attempt(), due=60)
    assert store.claim(now=0) is not None
    store.add(event("b"))
    return store


def test_the_unfinished_are_the_running_the_ready_and_those_that_wait_for_a_retry() -> None:
    assert filled().unfinished() == ["a", "b", "c"]


def test_what_becomes_ready_next_is_known() -> None:
    store = filled()
    assert store.make_ready(now=0) == 60
    assert store.make_ready(now=59.9) == 60
    assert store.make_ready(now=60) == math.inf


def test_what_was_ready_once_stays_so_should_the_clock_be_set_back() -> None:
    store = filled()
    store.make_ready(now=60)
    claims = [store.claim(now=0) for _ in range(3)]
    assert [claim and claim.invocation.request_id for claim in claims] == ["b", "c", None]


def test_whether_something_is_ready_is_known_without_claiming_it() -> None:
    store = MemoryStore(max_waiting=1)
    assert not store.has_ready()
    store.add(event("a"))
    assert store.has_ready()
    claim = store.claim(now=0)
    assert claim is not None
    assert not store.has_ready()
    store.requeue(claim, claim.invocation, due=60)
    assert not store.has_ready()
    store.make_ready(now=60)
    assert store.has_ready()


def test_the_bytes_that_wait_are_bounded_and_only_those() -> None:
    store = MemoryStore(max_waiting=10, max_waiting_bytes=10)
    big = event("big", payload=b"1" * 100)
    store.add(big)
    with pytest.raises(QueueFull, match="100 bytes of events are waiting already"):
        store.add(event("small"))
    claim = store.claim(now=0)
    assert claim is not None
    store.add(event("small"))
    store.requeue(claim, claim.invocation, due=0)
    with pytest.raises(QueueFull, match="102 bytes"):
        store.add(event("another"))
    for _ in range(2):
        claim = store.claim(now=0)
        assert claim is not None
        store.finish(claim)
    store.add(event("another"))


def test_the_bytes_of_deliveries_wait_too() -> None:
    store = MemoryStore(max_waiting=10, max_waiting_bytes=10)
    store.add(event("a"))
    claim = store.claim(now=0)
    assert claim is not None
    store.finish(claim, [event("record", payload=b"1" * 10)])
    with pytest.raises(QueueFull):
        store.add(event("b"))


def test_what_is_claimed_first_is_the_queues_to_say() -> None:
    """And an end, of whatever kind, tells it that a place is free."""
    limits = {"f": 1.0, "g": 1.0}
    store = MemoryStore(max_waiting=10, ready=FairQueue(math.inf, limits.__getitem__, lambda: 2))
    for name, function_name in (("f1", "f"), ("f2", "f"), ("f3", "f"), ("g1", "g")):
        store.add(event(name, function_name=function_name))
    first, second = store.claim(now=0), store.claim(now=0)
    assert first is not None
    assert second is not None
    assert [claim.invocation.request_id for claim in (first, second)] == ["f1", "g1"]
    assert store.claim(now=0) is None
    store.requeue(first, first.invocation.next_attempt(), due=60)
    third = store.claim(now=0)
    assert third is not None
    assert third.invocation.request_id == "f2"
    store.finish(third)
    fourth = store.claim(now=60)
    assert fourth is not None
    assert fourth.invocation.request_id == "f3"
