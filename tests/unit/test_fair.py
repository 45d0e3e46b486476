"""fair.py: which of the events that are ready runs next."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from invokeasync_wsgi.store.fair import FairQueue


def queue_of(
    names: str,
    *,
    workers: float = math.inf,
    reserved: Mapping[str, float] | None = None,
    functions: int = 2,
) -> FairQueue[str]:
    """A queue in which the events ``a1``, ``a2``, … of functions ``a``, … have arrived."""
    limits = {} if reserved is None else reserved
    queue = FairQueue[str](workers, lambda name: limits.get(name, math.inf), lambda: functions)
    numbers: dict[str, int] = {}
    for name in names:
        numbers[name] = numbers.get(name, 0) + 1
        queue.put(name, f"{name}{numbers[name]}")
    return queue


def take_all(queue: FairQueue[str]) -> str:
    """What is taken while nothing ends."""
    taken = []
    while (item := queue.take()) is not None:
        taken.append(item)
    return " ".join(taken)


@pytest.mark.parametrize(
    ("arrived", "taken"),
    [
        pytest.param("", "", id="nothing"),
        pytest.param("aaa", "a1 a2 a3", id="in the order of their arrival"),
        pytest.param("aaab", "a1 b1 a2 a3", id="whoever has nothing under way comes first"),
        pytest.param("baab", "b1 a1 a2 b2", id="of equals, who has waited longest"),
        pytest.param("aaabbbc", "a1 b1 c1 a2 b2 a3 b3", id="by turns"),
    ],
)
def test_the_function_with_the_fewest_attempts_under_way_comes_first(
    arrived: str, taken: str
) -> None:
    assert take_all(queue_of(arrived)) == taken


def test_an_end_gives_its_function_a_turn_again() -> None:
    queue = queue_of("aaabbb")
    assert [queue.take() for _ in range(4)] == ["a1", "b1", "a2", "b2"]
    queue.ended("b")
    queue.ended("b")
    assert [queue.take(), queue.take()] == ["b3", "a3"]


@pytest.mark.parametrize(
    ("workers", "functions", "taken"),
    [
        pytest.param(4, 2, "a1 a2 a3", id="it is kept for the other"),
        pytest.param(4, 9, "a1 a2 a3", id="or for one of many"),
        pytest.param(4, 1, "a1 a2 a3 a4 a5 a6", id="there is no other"),
        pytest.param(2, 2, "a1", id="of two, one"),
        pytest.param(1, 2, "a1", id="of one, that one: else nothing would run"),
        pytest.param(math.inf, 2, "a1 a2 a3 a4 a5 a6", id="there is no last one"),
    ],
)
def test_no_function_gets_the_last_worker_while_there_are_others(
    workers: float, functions: int, taken: str
) -> None:
    assert take_all(queue_of("aaaaaa", workers=workers, functions=functions)) == taken


def test_the_last_worker_takes_whoever_has_nothing_under_way() -> None:
    queue = queue_of("aaaaa", workers=3)
    assert take_all(queue) == "a1 a2"
    queue.put("b", "b1")
    assert take_all(queue) == "b1"
    queue.ended("a")
    assert take_all(queue) == "a3"


def test_functions_that_are_registered_later_count_from_then_on() -> None:
    functions = ["a"]
    queue = FairQueue[int](2, function_count=lambda: len(functions))
    for number in range(4):
        queue.put("a", number)
    assert [queue.take(), queue.take()] == [0, 1]
    queue.ended("a")
    functions.append("b")
    assert queue.take() is None
    queue.ended("a")
    assert queue.take() == 2


@pytest.mark.parametrize(
    ("reserved", "taken"),
    [
        pytest.param({"a": 1}, "a1 b1 b2 b3", id="one at a time"),
        pytest.param({"a": 2}, "a1 b1 a2 b2 b3", id="two"),
        pytest.param({"a": 9}, "a1 b1 a2 b2 a3 b3", id="more than there are"),
        pytest.param({"a": 1, "b": 2}, "a1 b1 b2", id="each its own"),
        pytest.param({"a": 0}, "a1 b1 b2 b3", id="none: its turn shows that, and ends at once"),
    ],
)
def test_no_more_of_a_function_are_under_way_than_it_may(
    reserved: Mapping[str, float], taken: str
) -> None:
    assert take_all(queue_of("aaabbb", reserved=reserved)) == taken


def test_a_function_at_its_limit_goes_on_when_one_of_its_own_has_ended() -> None:
    queue = queue_of("aab", reserved={"a": 1})
    assert take_all(queue) == "a1 b1"
    queue.ended("b")
    assert queue.take() is None
    queue.ended("a")
    assert queue.take() == "a2"


def test_what_waits_and_what_runs_is_counted_by_function() -> None:
    queue = queue_of("aab")
    queue.take()
    assert (queue.ready("a"), queue.ready("b"), queue.ready("c")) == (1, 1, 0)
    assert (queue.running("a"), queue.running("b"), queue.running("c")) == (1, 0, 0)
    assert len(queue) == 2
    assert sorted(queue) == ["a2", "b1"]


def test_clearing_takes_everything_in_the_order_of_its_arrival_and_runs_none_of_it() -> None:
    queue = queue_of("abaca")
    queue.take()
    assert queue.clear() == ["b1", "a2", "c1", "a3"]
    assert (len(queue), queue.running("a"), queue.running("b")) == (0, 1, 0)
    assert queue.take() is None
    queue.put("a", "later")
    assert queue.take() == "later"


def test_events_may_be_any_values_also_those_that_cannot_be_compared() -> None:
    queue = FairQueue[object]()
    events: list[object] = [None, 1j, {}]
    for event in events:
        queue.put("f", event)
    assert queue.clear() == events


class Ready(NamedTuple):
    name: str
    arrival: int


class FairQueueAgainstItsModel(RuleBasedStateMachine):
    """Puts, takes and ends in any order, against a list of what is ready and one of what runs."""

    NAMES = "abcd"

    @initialize(
        workers=st.one_of(st.integers(1, 5), st.just(math.inf)),
        limits=st.lists(st.one_of(st.integers(0, 3), st.just(math.inf)), min_size=4, max_size=4),
        function_count=st.integers(1, 4),
    )
    def start(self, workers: float, limits: list[float], function_count: int) -> None:
        self.workers = workers
        self.limits = dict(zip(self.NAMES, limits, strict=True))
        self.function_count = function_count
        self.queue = FairQueue[Ready](workers, self.limits.__getitem__, lambda: function_count)
        self.arrivals = 0
        self.ready: list[Ready] = []
        self.running: list[str] = []

    def may_start(self, name: str) -> bool:
        running = self.running.count(name)
        most = self.limits[name]
        if self.function_count > 1:
            most = min(most, self.workers - 1)
        return running < max(most, 1)

    @rule(name=st.sampled_from(NAMES))
    def put(self, name: str) -> None:
        self.arrivals += 1
        self.ready.append(Ready(name, self.arrivals))
        self.queue.put(name, self.ready[-1])

    @rule()
    def take(self) -> None:
        allowed = [item for item in self.ready if self.may_start(item.name)]
        expected = min(
            allowed, key=lambda item: (self.running.count(item.name), item.arrival), default=None
        )
        assert self.queue.take() == expected
        if expected is not None:
            self.ready.remove(expected)
            self.running.append(expected.name)

    @rule(number=st.integers(0, 100))
    def end(self, number: int) -> None:
        if self.running:
            self.queue.ended(self.running.pop(number % len(self.running)))

    @rule()
    def clear(self) -> None:
        assert self.queue.clear() == self.ready
        self.ready = []

    @invariant()
    def both_agree(self) -> None:
        if not hasattr(self, "queue"):
            return
        assert len(self.queue) == len(self.ready)
        assert sorted(self.queue) == sorted(self.ready)
        for name in self.NAMES:
            assert self.queue.running(name) == self.running.count(name)
            assert self.queue.ready(name) == sum(item.name == name for item in self.ready)
            assert self.queue.may_start(name) == self.may_start(name)


TestFairQueueAgainstItsModel = FairQueueAgainstItsModel.TestCase
TestFairQueueAgainstItsModel.settings = settings(
    max_examples=100, stateful_step_count=40, deadline=None
)
