"""Events remembered in this process, and forgotten with it.

Made after the fork by whoever uses it (it holds a lock), and never shared between processes.
"""

from __future__ import annotations

import heapq
import itertools
import math
import threading
from collections import deque
from dataclasses import replace

from ..errors import QueueFull
from ..invocation import Invocation
from . import Counts


class MemoryStore:
    """A bounded queue, and beside it the events that wait for a later attempt.

    Args:
        max_waiting: how many events may wait, those for a retry included.
        max_waiting_bytes: how many bytes their payloads may have together; an event is taken as
            long as those that wait have fewer.
    """

    def __init__(self, *, max_waiting: int, max_waiting_bytes: float = math.inf) -> None:
        self._max_waiting = max_waiting
        self._max_waiting_bytes = max_waiting_bytes
        self._waiting_bytes = 0
        self._lock = threading.Lock()
        self._ready: deque[Invocation] = deque()
        #: A heap of (due, order of arrival, event).
        self._later: list[tuple[float, int, Invocation]] = []
        self._arrivals = itertools.count()
        #: By identity: a caller may choose request ids, so two events can share one.
        self._running: dict[int, Invocation] = {}

    def add(self, invocation: Invocation) -> None:
        """See `Store.add`."""
        with self._lock:
            if len(self._ready) + len(self._later) >= self._max_waiting:
                raise QueueFull(f"{self._max_waiting} events are waiting already")
            if self._waiting_bytes >= self._max_waiting_bytes:
                raise QueueFull(f"{self._waiting_bytes} bytes of events are waiting already")
            self._ready.append(invocation)
            self._waiting_bytes += len(invocation.payload)

    def claim(self, *, now: float) -> Invocation | None:
        """See `Store.claim`."""
        with self._lock:
            while self._later and self._later[0][0] <= now:
                self._ready.append(heapq.heappop(self._later)[2])
            if not self._ready:
                return None
            invocation = self._ready.popleft()
            self._waiting_bytes -= len(invocation.payload)
            self._running[id(invocation)] = invocation
            return invocation

    def requeue(self, invocation: Invocation, *, attempt: int, due: float) -> None:
        """See `Store.requeue`."""
        waiting = replace(invocation, attempt=attempt)
        with self._lock:
            if self._running.pop(id(invocation), None) is not None:
                heapq.heappush(self._later, (due, next(self._arrivals), waiting))
                self._waiting_bytes += len(waiting.payload)

    def finish(self, invocation: Invocation) -> None:
        """See `Store.finish`."""
        with self._lock:
            self._running.pop(id(invocation), None)

    def counts(self) -> Counts:
        """See `Store.counts`."""
        with self._lock:
            return Counts(len(self._ready) + len(self._later), len(self._running))

    def unfinished(self) -> list[str]:
        """See `Store.unfinished`."""
        with self._lock:
            later = (invocation for _, _, invocation in self._later)
            events = [*self._running.values(), *self._ready, *later]
        return [invocation.request_id for invocation in events]
