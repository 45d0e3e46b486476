"""A bounded pool of threads in this process, in front of a store in memory.

Worker threads and one timekeeper start with the first event of each process, so they exist after
every fork and nowhere else. All are daemons: the drain decides how the process ends, not they.

Three ways on which an event leaves a worker:

* the handler returns in time: its decision is carried out, the worker takes the next event;
* the handler is past its deadline: the timekeeper ends the attempt. Python cannot stop the thread,
  so it is *lost* until the handler returns by itself. A new worker takes its place as long as no
  more than ``max_lost`` are lost at once; after that the pool is smaller, down to nothing, until
  handlers return. `ThreadsExecutor.stats` tells how many are lost;
* the drain's time is up: its request id is logged.

What an event survives: the end of its request, and a graceful stop of the server as long as the
drain's time suffices. Not ``kill -9``, and no power cut.
"""

from __future__ import annotations

import heapq
import logging
import math
import threading
from typing import NamedTuple

from .. import process
from ..clock import Clock, SystemClock
from ..errors import ConfigurationError, ExecutorClosed
from ..invocation import Invocation
from ..retry import Decision, RetryAt
from ..store import Store
from ..store.memory import MemoryStore
from . import AttemptToRun, Begin, refuse_second_start

logger = logging.getLogger(__name__)


class Stats(NamedTuple):
    """What a pool of one process is doing."""

    #: Threads that take events.
    workers: int
    #: Threads whose attempt has timed out and whose handler has not returned.
    lost: int
    #: Events that wait, those for a retry included.
    waiting: int
    #: Events whose attempt is running.
    running: int


class ThreadsExecutor:
    """Runs events in ``workers`` threads of each process.

    Args:
        workers: attempts at once in one process. Eight suit handlers that wait for others;
            handlers that compute belong in another process.
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
            if type(value) is not int or value < low:
                raise ConfigurationError(
                    f"threads: {name}={value!r}: it must be a whole number, {low} or more"
                )
        self._workers = workers
        self._max_waiting = max_waiting
        self._max_waiting_bytes = max_waiting_bytes
        self._max_lost = max_lost
        self._pools = process.PerProcess(self._make_pool)

    def start(self, begin: Begin, clock: Clock) -> None:
        """See `Executor.start`. No thread starts before the first event."""
        refuse_second_start(self)
        self._begin = begin
        self._clock = clock

    def submit(self, invocation: Invocation) -> None:
        """Put the event into this process's queue.

        Raises:
            QueueFull: ``max_waiting`` events wait already.
            ExecutorClosed: this process is draining.
            RuntimeError: no thread can be started.
        """
        self._pools.get().submit(invocation)

    def drain(self, timeout_s: float) -> None:
        """See `Executor.drain`. Events that wait for a retry get their next attempts at once."""
        pool = self._pools.peek()
        if pool is not None:
            pool.drain(timeout_s)

    def close(self) -> None:
        """See `Executor.close`. Threads end after the attempt they are running."""
        self.drain(0)

    def stats(self) -> Stats:
        """What this process's pool is doing now."""
        pool = self._pools.peek()
        return Stats(0, 0, 0, 0) if pool is None else pool.stats()

    def _make_pool(self) -> _Pool:
        return _Pool(
            MemoryStore(max_waiting=self._max_waiting, max_waiting_bytes=self._max_waiting_bytes),
            begin=self._begin,
            clock=self._clock,
            size=self._workers,
            max_lost=self._max_lost,
        )


class _Worker:
    """A thread of the pool."""

    __slots__ = ("is_lost", "running", "sleep", "wake")

    def __init__(self) -> None:
        #: The attempt it is running, and of what. One assignment, so readers need no lock.
        self.running: tuple[AttemptToRun, Invocation] | None = None
        #: Whether its attempt has timed out and its handler has not returned.
        self.is_lost = False
        # A lock that is always held is the cheapest thing to sleep on: a second acquire waits for
        # a release, from whatever thread.
        lock = threading.Lock()
        lock.acquire()
        self.sleep, self.wake = lock.acquire, lock.release


class _Pool:
    """The threads of one process, and the store they serve."""

    def __init__(
        self, store: Store, *, begin: Begin, clock: Clock, size: int, max_lost: int
    ) -> None:
        self._store = store
        self._begin = begin
        self._clock = clock
        self._size = size
        self._max_lost = max_lost
        #: Guards everything below but the timekeeper's.
        self._lock = threading.Lock()
        self._workers: set[_Worker] = set()
        #: Those that sleep. The last to fall asleep is woken first: it is the warmest, and short
        #: handlers are run by one thread in turn instead of all of them by turns.
        self._idle: list[_Worker] = []
        #: Whether a worker has been woken and has not looked yet.
        self._waking = False
        self._lost = 0
        #: A heap of the times at which workers are to be woken for a retry, and the last of those
        #: for which they were.
        self._dues: list[float] = []
        self._due_until = -math.inf
        self._started = False
        self._draining = False
        self._stopping = False
        #: Wakes the timekeeper; when it wakes by itself, in seconds of the monotonic clock.
        self._timekeeper = clock.alarm()
        self._wakes_at = -math.inf
        #: The deadline that a worker last woke the timekeeper for.
        self._asked_for = -math.inf
        #: Set while draining when nothing is left to do.
        self._empty = SystemClock().alarm()  # an operator's patience is real time

    def submit(self, invocation: Invocation) -> None:
        with self._lock:
            # Under the lock the drain's check of the store and ours cannot pass each other.
            if self._draining:
                raise ExecutorClosed("This process is shutting down. Try again.")
            if not self._started:
                self._start_threads()
            self._store.add(invocation)
            self._wake_one()

    def refuse(self) -> None:
        with self._lock:
            self._draining = True
            self._wake_all()

    def drain(self, timeout_s: float) -> None:
        deadline = SystemClock.monotonic() + timeout_s
        self.refuse()
        self._wait_until_empty(deadline)
        with self._lock:
            self._stopping = True
            self._wake_all()
        self._timekeeper.set()
        process.disarm(self.drain)
        unfinished = self._store.unfinished()
        if unfinished:
            logger.error(
                "%d accepted events were not finished: requests %s",
                len(unfinished),
                ", ".join(unfinished),
            )

    def stats(self) -> Stats:
        with self._lock:
            workers, lost = len(self._workers), self._lost
        return Stats(workers, lost, *self._store.counts())

    # --- starting -----------------------------------------------------------------------------

    def _start_threads(self) -> None:
        """Start everything at once, so that a failure shows before anything was accepted."""
        while len(self._workers) < self._size:
            self._start_worker()
        process.start_thread("timekeeper", self._keep_time)
        process.arm(self.drain, self.refuse)
        self._started = True

    def _start_worker(self) -> None:
        worker = _Worker()
        self._workers.add(worker)
        try:
            process.start_thread("worker", self._work, worker)
        except BaseException:
            self._workers.discard(worker)
            raise

    # --- workers ------------------------------------------------------------------------------

    def _work(self, worker: _Worker) -> None:
        woken = False
        while True:
            with self._lock:
                if self._stopping:
                    return
                # While draining, nothing is worth waiting for: everything is due. Else what the
                # timekeeper has seen to be due stays so, should the clock be set back meanwhile.
                now = math.inf if self._draining else max(self._clock.time(), self._due_until)
                invocation = self._store.claim(now=now)
                if invocation is None:
                    # Under the lock no event can come between the look and the sleep.
                    self._idle.append(worker)
                if woken:
                    self._waking = False
                    if invocation is not None and self._store.counts().waiting:
                        self._wake_one()
            if invocation is None:
                worker.sleep()
                woken = True
            elif self._run(worker, invocation):
                woken = False
            else:
                return

    def _wake_one(self) -> None:
        """See that a sleeping worker comes, if there is one; the lock is held.

        One is on its way at a time, and wakes the next if it finds more than it can take. Waking
        one for each event would have them all fight for the interpreter's lock over short ones.
        """
        if self._idle and not self._waking:
            self._waking = True
            self._idle.pop().wake()

    def _wake_all(self) -> None:
        """Wake every sleeping worker; the lock is held."""
        while self._idle:
            self._idle.pop().wake()

    def _run(self, worker: _Worker, invocation: Invocation) -> bool:
        """Run one attempt; say whether this thread goes on as a worker."""
        try:
            attempt = self._begin(invocation)
            worker.running = attempt, invocation
            if attempt.deadline < self._wakes_at:
                self._asked_for = attempt.deadline
                self._timekeeper.set()
            decision = attempt.run()
            worker.running = None
            if decision is not None:
                self._carry_out(decision, invocation)
        except BaseException:
            # Not the handler's doing: that ends within the attempt. No thread may die of it.
            logger.exception("an attempt of request %s could not be run", invocation.request_id)
            worker.running = None
            self._finish(invocation)
        return self._is_still_needed(worker)

    def _is_still_needed(self, worker: _Worker) -> bool:
        """Whether a thread that has come back has a place among the workers."""
        if not worker.is_lost and worker in self._workers:
            return True
        with self._lock:
            self._take_back(worker)
            return worker in self._workers

    def _take_back(self, worker: _Worker) -> None:
        """Count a lost worker as lost no more, and in if there is room; the lock is held."""
        if worker.is_lost:
            worker.is_lost = False
            self._lost -= 1
            if len(self._workers) < self._size and not self._stopping:
                self._workers.add(worker)

    def _carry_out(self, decision: Decision, invocation: Invocation) -> None:
        if not isinstance(decision, RetryAt):
            self._finish(invocation)
            return
        self._store.requeue(invocation, attempt=invocation.attempt + 1, due=decision.due)
        with self._lock:
            heapq.heappush(self._dues, decision.due)
            if self._draining:
                self._wake_one()
        self._timekeeper.set()

    def _finish(self, invocation: Invocation) -> None:
        self._store.finish(invocation)
        if self._draining and not any(self._store.counts()):
            self._empty.set()

    # --- time ---------------------------------------------------------------------------------

    def _keep_time(self) -> None:
        """Wake workers for events that become due, and end attempts past their deadline.

        Sleeps until the next of these. A worker wakes it only when its attempt ends earlier than
        that; and as the deadline that it was woken for stays among those it sleeps until, even if
        that attempt is over by now, short attempts wake it once in a timeout and not once each.
        """
        while not self._stopping:
            self._timekeeper.clear()
            # From here on workers set the alarm; those that began earlier are seen below.
            self._wakes_at = math.inf
            wakes_at = min(self._next_due(), self._next_deadline())
            if self._asked_for > self._clock.monotonic():
                wakes_at = min(wakes_at, self._asked_for)
            self._wakes_at = wakes_at
            self._timekeeper.wait(None if wakes_at == math.inf else wakes_at)

    def _next_due(self) -> float:
        """When an event is due next, by the monotonic clock; for each due now a worker is woken."""
        monotonic = self._clock.monotonic()  # first: an error here wakes too early, not too late
        now = self._clock.time()
        with self._lock:
            while self._dues and self._dues[0] <= now:
                self._due_until = max(self._due_until, heapq.heappop(self._dues))
                self._wake_one()
            return monotonic + self._dues[0] - now if self._dues else math.inf

    def _next_deadline(self) -> float:
        """The next running attempt's deadline; attempts past theirs are ended."""
        now = self._clock.monotonic()
        nearest = math.inf
        with self._lock:
            workers = list(self._workers)
        for worker in workers:
            running = worker.running
            if running is None:
                continue
            if running[0].deadline > now:
                nearest = min(nearest, running[0].deadline)
                continue
            try:
                self._expire(worker, *running)
            except Exception:
                logger.exception("the end of a timed-out attempt failed")
        self._replace_lost_workers()
        return nearest

    def _expire(self, worker: _Worker, attempt: AttemptToRun, invocation: Invocation) -> None:
        with self._lock:
            # Before the attempt ends, as its thread may come back at any moment after that.
            self._workers.discard(worker)
            worker.is_lost = True
            self._lost += 1
        decision = attempt.expire()
        if decision is None:  # it returned just now
            with self._lock:
                self._take_back(worker)
            return
        logger.error(
            "function %s is past its deadline in request %s and keeps its thread: %d lost",
            invocation.function_name,
            invocation.request_id,
            self._lost,
        )
        self._carry_out(decision, invocation)

    def _replace_lost_workers(self) -> None:
        with self._lock:
            try:
                while self._lost <= self._max_lost and len(self._workers) < self._size:
                    self._start_worker()
            except RuntimeError:
                logger.exception("a lost worker could not be replaced yet")

    # --- the end ------------------------------------------------------------------------------

    def _wait_until_empty(self, deadline: float) -> None:
        """Wait for the last event, whatever the server throws at us meanwhile.

        gunicorn's gevent worker raises SystemExit into the main greenlet shortly after INT and
        QUIT; an impatient operator presses ctrl-C twice.
        """
        interrupted = False
        while True:
            try:
                if SystemClock.monotonic() >= deadline or not any(self._store.counts()):
                    return
                self._empty.wait(deadline)
            except SystemExit:  # noqa: PERF203 - it is not thrown in the way of speed
                continue
            except KeyboardInterrupt:
                if interrupted:
                    return
                interrupted = True
