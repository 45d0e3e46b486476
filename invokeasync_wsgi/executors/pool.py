"""The threads of one process that run attempts, whatever store the events come from.

Worker threads and one timekeeper; all are daemons: the drain decides how the process ends, not
they. Two ways on which an event leaves a worker:

* the handler returns in time: what follows is carried out, the worker takes the next event;
* the handler is past its deadline: the timekeeper ends the attempt. Python cannot stop the thread,
  so it is *lost* until the handler returns by itself. A new worker takes its place as long as no
  more than ``max_lost`` are lost at once; after that the pool is smaller, down to nothing, until
  handlers return.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from typing import Generic, NamedTuple, Protocol, TypeVar

from .. import process, retry
from ..clock import Clock, SystemClock
from ..config import AsyncSettings
from ..retry import Decision
from ..store import Claim
from ..targets import shown
from . import AttemptToRun, Work

logger = logging.getLogger(__name__)

_C = TypeVar("_C", bound=Claim)

#: For what goes wrong in here, where nobody knows the function's own.
_DEFAULTS = AsyncSettings()


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


class Source(Protocol[_C]):
    """Where a pool's events come from, and where they go when an attempt has ended."""

    def take(self) -> _C | None:
        """The event to run next; ``None`` for none. Called with the pool's lock, so: quick."""

    def has_more(self) -> bool:
        """Whether another `take` may give something. Called with the pool's lock."""

    def carry_out(self, claim: _C, decision: Decision, attempt: AttemptToRun | None) -> None:
        """Do what follows an attempt; ``None`` for one that could not even be begun."""

    def next_due(self) -> float:
        """Make ready what is due by now; when to ask again, by the monotonic clock, or inf."""


class _Worker(Generic[_C]):
    """A thread of the pool."""

    __slots__ = ("is_lost", "running", "sleep", "wake")

    def __init__(self) -> None:
        #: The attempt it is running, and of what. One assignment, so readers need no lock.
        self.running: tuple[AttemptToRun, _C] | None = None
        #: Whether its attempt has timed out and its handler has not returned.
        self.is_lost = False
        # A lock that is always held is the cheapest thing to sleep on: a second acquire waits for
        # a release, from whatever thread.
        lock = threading.Lock()
        lock.acquire()
        self.sleep, self.wake = lock.acquire, lock.release


class Pool(Generic[_C]):
    """Worker threads in front of a `Source`. Made after the fork, started once.

    Args:
        source: gives events and takes them back.
        work: begins their attempts.
        clock: measures deadlines.
        size: how many attempts run at once.
        max_lost: threads that may be lost to handlers past their deadline and still be replaced.
    """

    def __init__(
        self, source: Source[_C], *, work: Work, clock: Clock, size: int, max_lost: int
    ) -> None:
        self._source = source
        self._work = work
        self._clock = clock
        self._size = size
        self._max_lost = max_lost
        #: Guards everything below but the timekeeper's, and each `Source.take`.
        self.lock = threading.Lock()
        self._workers: set[_Worker[_C]] = set()
        #: Those that sleep. The last to fall asleep is woken first: it is the warmest, and short
        #: handlers are run by one thread in turn instead of all of them by turns.
        self._idle: list[_Worker[_C]] = []
        #: Whether a worker has been woken and has not looked yet.
        self._waking = False
        self._lost = 0
        self._stopping = False
        self._keeps_time = False
        #: Wakes the timekeeper; when it wakes by itself, in seconds of the monotonic clock.
        self._timekeeper = clock.alarm()
        self._wakes_at = -math.inf
        #: The deadline that a worker last woke the timekeeper for.
        self._asked_for = -math.inf
        #: Set when an attempt has ended.
        self._ended = SystemClock().alarm()  # an operator's patience is real time

    def start(self) -> None:
        """Start everything at once, so that a failure shows before anything was accepted.

        The lock is held. After a failure it can be tried again.

        Raises:
            RuntimeError: no thread can be started.
        """
        while len(self._workers) < self._size:
            self._start_worker()
        if not self._keeps_time:
            process.start_thread("timekeeper", self._keep_time)
            self._keeps_time = True

    def wake_one(self) -> None:
        """See that a sleeping worker comes, if there is one; the lock is held.

        One is on its way at a time, and wakes the next if it finds more than it can take. Waking
        one for each event would have them all fight for the interpreter's lock over short ones.
        """
        if self._idle and not self._waking:
            self._waking = True
            self._idle.pop().wake()

    def wake_all(self) -> None:
        """Wake every sleeping worker; the lock is held."""
        while self._idle:
            self._idle.pop().wake()

    def look_at_dues(self) -> None:
        """Have the timekeeper ask `Source.next_due` again."""
        self._timekeeper.set()

    def stop(self) -> None:
        """End the threads: the idle ones now, the others after their attempt."""
        with self.lock:
            self._stopping = True
            self.wake_all()
        self._timekeeper.set()

    def wait_until(self, is_done: Callable[[], bool], deadline: float) -> None:
        """Wait for an attempt's end after which ``is_done``, whatever the server throws at us.

        gunicorn's gevent worker raises SystemExit into the main greenlet shortly after INT and
        QUIT; an impatient operator presses ctrl-C twice.

        Args:
            is_done: looked at after each attempt.
            deadline: when to stop waiting, in seconds of `SystemClock.monotonic`.
        """
        interrupted = False
        while True:
            try:
                self._ended.clear()
                if SystemClock.monotonic() >= deadline or is_done():
                    return
                self._ended.wait(deadline)
            except SystemExit:  # noqa: PERF203 - it is not thrown in the way of speed
                continue
            except KeyboardInterrupt:
                if interrupted:
                    return
                interrupted = True

    def sizes(self) -> tuple[int, int]:
        """How many workers there are, and how many are lost."""
        with self.lock:
            return len(self._workers), self._lost

    def capacity(self) -> int:
        """How many attempts can run at once now: fewer with lost workers; the lock is held."""
        return len(self._workers)

    def _start_worker(self) -> None:
        worker = _Worker[_C]()
        self._workers.add(worker)
        try:
            process.start_thread("worker", self._run_worker, worker)
        except BaseException:
            self._workers.discard(worker)
            raise

    # --- workers ------------------------------------------------------------------------------

    def _run_worker(self, worker: _Worker[_C]) -> None:
        woken = False
        while True:
            with self.lock:
                if self._stopping:
                    return
                claim = self._take()
                if claim is None:
                    # Under the lock no event can come between the look and the sleep.
                    self._idle.append(worker)
                if woken:
                    self._waking = False
                    if claim is not None and self._source.has_more():
                        self.wake_one()
            if claim is None:
                worker.sleep()
                woken = True
            elif self._run(worker, claim):
                woken = False
            else:
                return

    def _take(self) -> _C | None:
        try:
            return self._source.take()
        except Exception:  # no thread may die of it
            logger.exception("no event could be taken")
            return None

    def _run(self, worker: _Worker[_C], claim: _C) -> bool:
        """Run one attempt; say whether this thread goes on as a worker."""
        try:
            attempt = self._work.begin(claim.invocation)
            worker.running = attempt, claim
            if attempt.deadline < self._wakes_at:
                self._asked_for = attempt.deadline
                self._timekeeper.set()
            decision = attempt.run()
            worker.running = None
            if decision is not None:
                self._carry_out(claim, decision, attempt)
        except BaseException:
            # Not the handler's doing: that ends within the attempt. No thread may die of it.
            logger.exception(
                "an attempt of request %s could not be run", claim.invocation.request_id
            )
            worker.running = None
            now = self._clock.time()
            later = retry.back_off(claim.invocation, now=now, settings=_DEFAULTS)
            self._carry_out(claim, later, None)
        return self._is_still_needed(worker)

    def _carry_out(self, claim: _C, decision: Decision, attempt: AttemptToRun | None) -> None:
        try:
            self._source.carry_out(claim, decision, attempt)
        finally:
            self._ended.set()

    def _is_still_needed(self, worker: _Worker[_C]) -> bool:
        """Whether a thread that has come back has a place among the workers."""
        if not worker.is_lost and worker in self._workers:
            return True
        with self.lock:
            self._take_back(worker)
            return worker in self._workers

    def _take_back(self, worker: _Worker[_C]) -> None:
        """Count a lost worker as lost no more, and in if there is room; the lock is held."""
        if worker.is_lost:
            worker.is_lost = False
            self._lost -= 1
            if len(self._workers) < self._size and not self._stopping:
                self._workers.add(worker)

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
        """When the source has something next; a worker is woken for what it has by now."""
        due = self._source.next_due()
        with self.lock:
            if self._source.has_more():
                self.wake_one()
        return due

    def _next_deadline(self) -> float:
        """The next running attempt's deadline; attempts past theirs are ended."""
        now = self._clock.monotonic()
        nearest = math.inf
        with self.lock:
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

    def _expire(self, worker: _Worker[_C], attempt: AttemptToRun, claim: _C) -> None:
        with self.lock:
            # Before the attempt ends, as its thread may come back at any moment after that.
            self._workers.discard(worker)
            worker.is_lost = True
            self._lost += 1
        decision = attempt.expire()
        if decision is None:  # it returned just now
            with self.lock:
                self._take_back(worker)
            return
        logger.error(
            "function %s is past its deadline in request %s and keeps its thread: %d lost",
            shown(claim.invocation.function_name),
            claim.invocation.request_id,
            self._lost,
        )
        self._carry_out(claim, decision, attempt)

    def _replace_lost_workers(self) -> None:
        with self.lock:
            try:
                while self._lost <= self._max_lost and len(self._workers) < self._size:
                    self._start_worker()
            except RuntimeError:
                logger.exception("a lost worker could not be replaced yet")
