"""A bounded pool of threads in this process, in front of a store in memory.

What an event survives: the end of its request, and a graceful stop of the server as long as the
drain's time suffices. Not ``kill -9``, and no power cut. What is not finished when the drain's time
is up is logged by request id.

The threads start with the first event of each process, so they exist after every fork and nowhere
else. What they do with handlers past their deadline stands in `pool`.
"""

from __future__ import annotations

import logging
import math

from .. import process
from ..clock import Clock, SystemClock
from ..errors import ExecutorClosed
from ..invocation import Invocation
from ..retry import Decision, RetryAt
from ..store import Claim
from ..store.fair import FairQueue
from ..store.memory import MemoryStore
from . import AttemptToRun, Work, check_whole_number, refuse_second_start
from .pool import Pool, Stats

logger = logging.getLogger(__name__)


class ThreadsExecutor:
    """Runs events in ``workers`` threads of each process.

    Args:
        workers: attempts at once in one process. Eight suit handlers that wait for others;
            handlers that compute belong in another process. No function gets the last one while
            there are others.
        max_waiting: events that may wait in one process; more get 429.
        max_waiting_bytes: what their payloads may have together, so that events of the largest size
            do not fill the memory; more get 429.
        max_lost: threads that may be lost to handlers past their deadline and still be replaced.
    """

    promise = "the request, and a graceful stop; not the death of the process"

    def __init__(
        self,
        *,
        workers: int = 8,
        max_waiting: int = 1000,
        max_waiting_bytes: int = 64 * 1024 * 1024,
        max_lost: int = 32,
    ) -> None:
        for name, value, low in (
            ("workers", workers, 1),
            ("max_waiting", max_waiting, 1),
            ("max_waiting_bytes", max_waiting_bytes, 1),
            ("max_lost", max_lost, 0),
        ):
            check_whole_number("threads", name, value, low)
        self._workers = workers
        self._max_waiting = max_waiting
        self._max_waiting_bytes = max_waiting_bytes
        self._max_lost = max_lost
        self._queues = process.PerProcess(self._make_queue)

    def start(self, work: Work, clock: Clock) -> None:
        """See `Executor.start`. No thread starts before the first event."""
        refuse_second_start(self)
        self._work = work
        self._clock = clock

    def submit(self, invocation: Invocation) -> None:
        """Put the event into this process's queue.

        Raises:
            QueueFull: ``max_waiting`` events wait already.
            ExecutorClosed: this process is draining.
            RuntimeError: no thread can be started.
        """
        self._queues.get().submit(invocation)

    def drain(self, timeout_s: float) -> None:
        """See `Executor.drain`. Events that wait for a retry get their next attempts at once."""
        queue = self._queues.peek()
        if queue is not None:
            queue.drain(timeout_s)

    def close(self) -> None:
        """See `Executor.close`. Threads end after the attempt they are running."""
        self.drain(0)

    def wake(self) -> None:
        """See whether more may run, as a limit may have been changed."""
        queue = self._queues.peek()
        if queue is not None:
            queue.wake()

    def stats(self) -> Stats:
        """What this process's pool is doing now."""
        queue = self._queues.peek()
        return Stats(0, 0, 0, 0) if queue is None else queue.stats()

    def _make_queue(self) -> _Queue:
        ready = FairQueue[Invocation](
            self._workers, self._work.concurrency, self._work.function_count
        )
        store = MemoryStore(
            max_waiting=self._max_waiting, max_waiting_bytes=self._max_waiting_bytes, ready=ready
        )
        return _Queue(store, self._work, self._clock, size=self._workers, max_lost=self._max_lost)


class _Queue:
    """The store of one process and the threads in front of it: a `pool.Source`."""

    def __init__(
        self, store: MemoryStore, work: Work, clock: Clock, *, size: int, max_lost: int
    ) -> None:
        self._store = store
        self._clock = clock
        self._pool = Pool(self, work=work, clock=clock, size=size, max_lost=max_lost)
        self._started = False
        self._draining = False

    def submit(self, invocation: Invocation) -> None:
        with self._pool.lock:
            # Under the lock the drain's check of the store and ours cannot pass each other.
            if self._draining:
                raise ExecutorClosed("This process is shutting down. Try again.")
            if not self._started:
                self._pool.start()
                process.arm(self.drain, self.refuse)
                self._started = True
            self._store.add(invocation)
            self._pool.wake_one()

    def wake(self) -> None:
        with self._pool.lock:
            self._pool.wake_one()

    def refuse(self) -> None:
        with self._pool.lock:
            self._draining = True
            self._pool.wake_all()

    def drain(self, timeout_s: float) -> None:
        deadline = SystemClock.monotonic() + timeout_s
        self.refuse()
        self._pool.wait_until(lambda: not any(self._store.counts()), deadline)
        self._pool.stop()
        process.disarm(self.drain)
        unfinished = self._store.unfinished()
        if unfinished:
            logger.error(
                "%d accepted events were not finished: requests %s",
                len(unfinished),
                ", ".join(unfinished),
            )

    def stats(self) -> Stats:
        return Stats(*self._pool.sizes(), *self._store.counts())

    # --- the pool's source --------------------------------------------------------------------

    def take(self) -> Claim | None:
        # While draining, nothing is worth waiting for: everything is due.
        return self._store.claim(now=math.inf if self._draining else self._clock.time())

    def has_more(self) -> bool:
        return self._store.has_ready()

    def carry_out(self, claim: Claim, decision: Decision, attempt: AttemptToRun | None) -> None:
        if isinstance(decision, RetryAt):
            self._put_back(claim, decision)
        else:
            self._store.finish(claim, decision.deliveries)
        if self._store.has_ready():
            with self._pool.lock:
                self._pool.wake_one()

    def next_due(self) -> float:
        monotonic = self._clock.monotonic()  # first: an error here wakes too early, not too late
        now = self._clock.time()
        return monotonic + self._store.make_ready(now=now) - now

    def _put_back(self, claim: Claim, retry: RetryAt) -> None:
        if self._draining and retry.invocation.back_offs:
            # What cannot be done now will not be possible a moment later, and there is no later.
            logger.error(
                "request %s could not be run before the end, and is lost",
                claim.invocation.request_id,
            )
            self._store.finish(claim)
        else:
            self._store.requeue(claim, retry.invocation, due=retry.due)
            self._pool.look_at_dues()
