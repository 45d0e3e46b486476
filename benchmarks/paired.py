"""Two sides measured in turns, and what the rounds say together.

A *side* is a callable that does one round and returns its `Cost`. Sides are measured by
`alternate`; `compare` makes a `Row` of the pairs. What is no comparison of CPU time, but a rate, a
latency or a size, becomes a `Figure` by `figure`.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from statistics import median
from types import TracebackType
from typing import Any, Literal, NamedTuple, TypeVar


class CannotRun(Exception):
    """A benchmark needs something that this machine does not have. The text says what."""


class Cost(NamedTuple):
    """What one operation took, as the mean over a round."""

    #: CPU time in seconds, user and system, of all threads.
    cpu_s: float
    #: Elapsed time in seconds. ``None`` where it says nothing.
    wall_s: float | None = None


_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How long to measure."""

    #: Rounds, where the user said so.
    rounds: int | None = None
    #: What a benchmark's own number of operations is multiplied with.
    scale: float = 1.0

    def rounds_or(self, usual: int) -> int:
        """The number of rounds to make; ``usual`` unless the user said otherwise."""
        return usual if self.rounds is None else self.rounds

    def count(self, usual: int) -> int:
        """The number of operations in a round."""
        return max(int(usual * self.scale), 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One comparison. Costs are medians of CPU time for one operation, in microseconds."""

    benchmark: str
    case: str
    rounds: int
    floor_us: float
    ours_us: float
    #: Whether `value` is ours minus the floor, in microseconds, or ours over the floor.
    compared: Literal["added", "ratio"]
    #: The median of what each round says by itself; `low` and `high` are its extremes.
    value: float
    low: float
    high: float
    #: What `value` should not exceed; ``None`` for a figure to look at.
    target: float | None
    #: Operations in a second of elapsed time; ``None`` where it says nothing.
    floor_per_s: float | None
    ours_per_s: float | None

    @property
    def met(self) -> bool | None:
        """Whether the target is met; ``None`` when there is none."""
        return None if self.target is None else self.value <= self.target

    def as_dict(self) -> dict[str, Any]:
        """For machines: the fields, and `met`."""
        return {**asdict(self), "met": self.met}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One value, of which each round has its own: the median, the lowest and the highest."""

    benchmark: str
    case: str
    rounds: int
    #: What follows the value: "µs", " MB"; "×" for a ratio.
    unit: str
    value: float
    low: float
    high: float
    #: What `value` should not exceed, or with `at_least` not fall below; ``None``: to look at.
    target: float | None
    at_least: bool
    #: What it was made of, for people.
    made_of: str
    #: What it says nothing about.
    not_shown: str

    @property
    def met(self) -> bool | None:
        """Whether the target is met; ``None`` when there is none."""
        if self.target is None:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target

    def as_dict(self) -> dict[str, Any]:
        """For machines: the fields, and `met`."""
        return {**asdict(self), "met": self.met}


def figure(
    benchmark: str,
    case: str,
    values: Sequence[float],
    unit: str,
    *,
    target: float | None = None,
    at_least: bool = False,
    made_of: str = "",
    not_shown: str = "",
) -> Figure:
    """What the rounds' values say together."""
    return Figure(
        benchmark=benchmark,
        case=case,
        rounds=len(values),
        unit=unit,
        value=median(values),
        low=min(values),
        high=max(values),
        target=target,
        at_least=at_least,
        made_of=made_of,
        not_shown=not_shown,
    )


def alternate(floor: Callable[[], _T], ours: Callable[[], _T], rounds: int) -> list[tuple[_T, _T]]:
    """Measure both sides ``rounds`` times, the order swapped each round: (floor, ours) pairs."""
    pairs = []
    for number in range(rounds):
        if number % 2:
            second, first = _tidy(ours), _tidy(floor)
        else:
            first, second = _tidy(floor), _tidy(ours)
        pairs.append((first, second))
    return pairs


def compare(
    benchmark: str,
    case: str,
    pairs: list[tuple[Cost, Cost]],
    compared: Literal["added", "ratio"],
    target: float | None = None,
) -> Row:
    """What the pairs say together."""
    if compared == "added":
        values = [(ours.cpu_s - floor.cpu_s) * 1e6 for floor, ours in pairs]
    else:
        values = [ours.cpu_s / floor.cpu_s for floor, ours in pairs]
    return Row(
        benchmark=benchmark,
        case=case,
        rounds=len(pairs),
        floor_us=median(floor.cpu_s for floor, _ in pairs) * 1e6,
        ours_us=median(ours.cpu_s for _, ours in pairs) * 1e6,
        compared=compared,
        value=median(values),
        low=min(values),
        high=max(values),
        target=target,
        floor_per_s=_per_s([floor for floor, _ in pairs]),
        ours_per_s=_per_s([ours for _, ours in pairs]),
    )


class Meter(AbstractContextManager["Meter"]):
    """Measures what this process does within a ``with`` statement."""

    def __enter__(self) -> Meter:
        self._started = time.process_time(), time.perf_counter()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        cpu_s, wall_s = self._started
        self._spent = time.process_time() - cpu_s, time.perf_counter() - wall_s

    def cost(self, count: int) -> Cost:
        """The cost of each of ``count`` operations."""
        cpu_s, wall_s = self._spent
        return Cost(cpu_s / count, wall_s / count)


def _tidy(side: Callable[[], _T]) -> _T:
    gc.collect()  # what one side leaves behind is not for the other to clear away
    return side()


def _per_s(costs: list[Cost]) -> float | None:
    elapsed = [cost.wall_s for cost in costs if cost.wall_s is not None]
    return 1 / median(elapsed) if elapsed else None
