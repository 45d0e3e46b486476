"""Events remembered in this process, and forgotten with it.

Made after the fork by whoever uses it (it holds a lock), and never shared between processes.
"""

from __future__ import annotations

import heapq
import itertools
import math
import threading
from collections.abc import Iterable

from ..errors import QueueFull
from ..invocation import Invocation
from . import Claim, Counts
from .fair import FairQueue


class MemoryStore:
    """A bounded queue, and beside it the events that wait for a later attempt.

    Args:
        max_waiting: how many events may wait, those for a retry included.
        max_waiting_bytes: how many bytes their payloads may have together; an event is taken as
            long as those that wait have fewer.
        ready: decides which event is claimed first; in the order of arrival when left out.
    """

    def __init__(
        self,
        *,
        max_waiting: int,
        max_waiting_bytes: float = math.inf,
        ready: FairQueue[Invocation] | None = None,
    ) -> None:
        self._max_waiting = max_waiting
        self._max_waiting_bytes = max_waiting_bytes
        self._waiting_bytes = 0
        self._lock = threading.Lock()
        self._ready = FairQueue[Invocation]() if ready is None else ready
        #: A heap of (due, order of arrival, event).
        self._later: list[tuple[float, int, Invocation]] = []
        self._arrivals = itertools.count()
        self._running: set[Claim] = set()

    def add(self, invocation: Invocation) -> None:
        """See `Store.add`."""
        with self._lock:
            if len(self._ready) + len(self._later) >= self._max_waiting:
                raise QueueFull(f"{self._max_waiting} events are waiting already")
            if self._waiting_bytes >= self._max_waiting_bytes:
                raise QueueFull(f"{self._waiting_bytes} bytes of events are waiting already")
            self._put(invocation)

    def claim(self, *, now: float) -> Claim | None:
        """See `Store.claim`."""
        with self._lock:
            self._make_ready(now)
            invocation = self._ready.take()
            if invocation is None:
                return None
            self._waiting_bytes -= len(invocation.payload)
            claim = Claim(invocation)
            self._running.add(claim)
            return claim

    def requeue(self, claim: Claim, invocation: Invocation, *, due: float) -> None:
        """See `Store.requeue`."""
        with self._lock:
            if self._end(claim):
                heapq.heappush(self._later, (due, next(self._arrivals), invocation))
                self._waiting_bytes += len(invocation.payload)

    def finish(self, claim: Claim, deliveries: Iterable[Invocation] = ()) -> None:
        """See `Store.finish`."""
        with self._lock:
            if self._end(claim):
                for delivery in deliveries:
                    self._put(delivery)

    def make_ready(self, *, now: float) -> float:
        """Put what is due into the order of claims; when the next one is due, or ``inf``.

        It stays there should the clock be set back.
        """
        with self._lock:
            return self._make_ready(now)

    def has_ready(self) -> bool:
        """Whether events are due; the limits of their functions may forbid to claim them."""
        return len(self._ready) > 0

    def counts(self) -> Counts:
        """See `Store.counts`."""
        with self._lock:
            return Counts(len(self._ready) + len(self._later), len(self._running))

    def unfinished(self) -> list[str]:
        """The request ids of all that are waiting or running."""
        with self._lock:
            running = (claim.invocation for claim in self._running)
            later = (invocation for _, _, invocation in self._later)
            return [event.request_id for event in (*running, *self._ready, *later)]

    def _make_ready(self, now: float) -> float:
        while self._later and self._later[0][0] <= now:
            invocation = heapq.heappop(self._later)[2]
            self._ready.put(invocation.function_name, invocation)
        return self._later[0][0] if self._later else math.inf

    def _put(self, invocation: Invocation) -> None:
        self._ready.put(invocation.function_name, invocation)
        self._waiting_bytes += len(invocation.payload)

    def _end(self, claim: Claim) -> bool:
        if claim not in self._running:
            return False
        self._running.remove(claim)
        self._ready.ended(claim.invocation.function_name)
        return True
