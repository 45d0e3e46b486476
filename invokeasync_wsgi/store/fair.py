"""Which of the events that are ready runs next: shares of the workers for every function.

The function with the fewest attempts under way comes first, and no function gets the last worker
while there are others, so one slow function never keeps the others waiting for its end. How many
attempts of one function may run at once (reserved concurrency) is kept here too.

Not safe from threads: whoever owns one guards it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

_T = TypeVar("_T")


class FairQueue(Generic[_T]):
    """Ready events by function, and how many of each function are under way.

    Args:
        workers: how many run at once; the last of them is kept free for a function that has
            nothing under way, where there is more than one function.
        concurrency: how many attempts of a function may run at once.
        function_count: how many functions there are.
    """

    def __init__(
        self,
        workers: float = math.inf,
        concurrency: Callable[[str], float] = lambda name: math.inf,
        function_count: Callable[[], int] = lambda: 1,
    ) -> None:
        self._workers = workers
        self._concurrency = concurrency
        self._function_count = function_count
        self._ready: dict[str, deque[tuple[int, _T]]] = {}
        self._arrivals = 0
        self._length = 0
        #: Attempts under way by function; none that is 0.
        self._running: dict[str, int] = {}

    def put(self, function_name: str, item: _T) -> None:
        """Add an event that is ready."""
        self._arrivals += 1
        self._length += 1
        self._ready.setdefault(function_name, deque()).append((self._arrivals, item))

    def take(self) -> _T | None:
        """The event to run next, which is under way from now on; ``None`` when none may run."""
        if len(self._ready) == 1:  # by far the most frequent: nothing to compare
            [name] = self._ready
            if not self.may_start(name):
                return None
        else:
            names = [name for name in self._ready if self.may_start(name)]
            if not names:
                return None
            name = min(names, key=lambda name: (self.running(name), self._ready[name][0][0]))
        ready = self._ready[name]
        _, item = ready.popleft()
        if not ready:
            del self._ready[name]
        self._length -= 1
        self._running[name] = self._running.get(name, 0) + 1
        return item

    def ended(self, function_name: str) -> None:
        """An attempt of this function is over."""
        left = self._running[function_name] - 1
        if left:
            self._running[function_name] = left
        else:
            del self._running[function_name]

    def may_start(self, function_name: str) -> bool:
        """Whether another attempt of a function may start now."""
        running = self._running.get(function_name, 0)
        if not running:
            # Where the function may not run at all, its turn shows that; here it must not wait.
            return True
        if running >= self._concurrency(function_name):
            return False
        return running + 1 < self._workers or self._function_count() < 2

    def running(self, function_name: str) -> int:
        """How many attempts of a function are under way."""
        return self._running.get(function_name, 0)

    def ready(self, function_name: str) -> int:
        """How many events of a function are ready."""
        return len(self._ready.get(function_name, ()))

    def clear(self, function_name: str | None = None) -> list[_T]:
        """Take what is ready (of one function) out, in the order of its arrival."""
        names = list(self._ready) if function_name is None else [function_name]
        pairs = [pair for name in names for pair in self._ready.pop(name, ())]
        self._length -= len(pairs)
        return [item for _, item in sorted(pairs, key=lambda pair: pair[0])]

    def __iter__(self) -> Iterator[_T]:
        return (item for ready in self._ready.values() for _, item in ready)

    def __len__(self) -> int:
        return self._length
