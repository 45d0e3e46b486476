"""Events on disk before the 202, and run by whichever process of this machine has a worker free.

In each process that runs attempts, one thread more than in memory: the *dispatcher* claims events
for the workers and records what came of them, both for many at once, and looks after the claims of
processes that died. It sleeps until somebody in this process tells it of something, or
another process rings the bell beside the file.

What is claimed and not begun when a process dies, was never begun: it just runs elsewhere. What was
being run, runs again without using up a retry; only an event that is there each time a process dies
is given up after `AsyncSettings.max_interruptions` times. Such suspects run one at a time, so that
the innocent among them get away.
"""

from __future__ import annotations

import logging
import math
import threading
from pathlib import Path

from .. import process
from ..clock import Clock, SystemClock
from ..config import MAX_EVENT_AGE_S
from ..errors import ConfigurationError, ExecutorClosed
from ..invocation import Invocation
from ..retry import Decision
from ..store import database, owners
from ..store.events import Events
from ..store.fair import FairQueue
from ..store.overrides_file import SQLiteOverrides
from ..store.sqlite import Ended, Room, SQLiteStore, StoredClaim, Wanted
from ..store.watch import Watch
from . import AttemptToRun, Work, check_whole_number, refuse_second_start
from .pool import Pool, Stats

logger = logging.getLogger(__name__)

#: How often the dispatcher looks for what other processes have committed, while workers are free
#: and where the system has no inotify to tell of it.
POLL_S = 0.04
#: The least time from one exchange with the file to the next, so that under load many events share
#: one. Real time, whatever the clock: it is about the processor.
PACE_S = 0.002
#: How often it looks after dead processes, the history and the log of the file.
UPKEEP_S = 0.5
#: How often it does so although nobody has written anything.
TIDY_S = 30.0
#: Until its next look after one that failed.
_UPKEEP_PAUSE_S = 5.0
#: Events that it takes in advance, at most, of a function whose attempts are short.
MAX_AHEAD = 256
#: A batch that is begun within this time was short: the next may be larger.
_SHORT_S = 0.02
#: What has waited in this process for so long without being begun is given back to the others.
_STALE_S = 0.5
#: Ends of attempts are recorded at the latest when there are so many, or after so many seconds.
_MANY_ENDED = 64
_RECORD_S = 0.01
#: Old events that are removed at a time: a millisecond's work, so that nobody waits for it.
_PRUNED = 100
#: Seconds until the dispatcher tries again after an error, at first and at most.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 30.0
#: By how much the system's clock may be set back without anybody looking.
_CLOCK_SLACK_S = 0.5


class DurableExecutor:
    """Keeps events in an SQLite file that all processes of this machine share.

    Args:
        path: the file; made if need be. Beside it stand ``-wal``, ``-shm`` and ``-owners``.
        workers: attempts at once in one process. 0: this process accepts, and others run. No
            function gets the last one while there are others.
        synchronous: ``"full"``: an accepted event survives a power cut. ``"normal"`` saves the
            disk's own flush, and survives the death of processes only.
        max_waiting: events that may wait; more get 429.
        retention_s: seconds that successes are kept, with payload, result and log; 0: not at all.
        dead_letter_retention_s: seconds that events are kept that were given up.
        lease_s: seconds without a sign of life after which a process that is there but stopped
            loses its claims. Those of a dead one come back at once.
        busy_timeout_s: seconds to wait for other processes that write.
        max_lost: threads that may be lost to handlers past their deadline and still be replaced.

    Raises:
        ConfigurationError: a value is not allowed.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        workers: int = 8,
        synchronous: str = "full",
        max_waiting: int = 1_000_000,
        retention_s: float = 3600,
        dead_letter_retention_s: float = 14 * 86400,
        lease_s: float = 10,
        busy_timeout_s: float = 10,
        max_lost: int = 32,
    ) -> None:
        for name, value, low in (
            ("workers", workers, 0),
            ("max_waiting", max_waiting, 1),
            ("max_lost", max_lost, 0),
        ):
            check_whole_number("sqlite", name, value, low)
        for name, seconds, least in (
            ("retention_s", retention_s, 0),
            ("dead_letter_retention_s", dead_letter_retention_s, 0),
            ("lease_s", lease_s, 1),
            ("busy_timeout_s", busy_timeout_s, 0),
        ):
            if type(seconds) not in (int, float) or not least <= seconds < math.inf:
                raise _refused(name, seconds, f"a number of seconds, {least} or more")
        if synchronous not in ("full", "normal"):
            raise _refused("synchronous", synchronous, "'full' or 'normal'")
        if not str(path) or str(path) == ":memory:":
            raise _refused("path", str(path), "that of a file: events in memory are 'threads:'")
        self.path = Path(path).absolute()
        self.promise = "kill -9 of every process at any instant" + (
            ", and a power cut" if synchronous == "full" else "; not a power cut"
        )
        self.workers = workers
        self._max_lost = max_lost
        self._lease_s = lease_s
        self._busy_timeout_s = busy_timeout_s
        self._store_options = {
            "synchronous": synchronous,
            "max_waiting": max_waiting,
            "retention_s": retention_s,
            "dead_letter_retention_s": dead_letter_retention_s,
            "busy_timeout_s": busy_timeout_s,
        }
        self._queues = process.PerProcess(self._make_queue)

    def start(self, work: Work, clock: Clock) -> None:
        """See `Executor.start`. The file is looked at, not opened.

        Raises:
            ConfigurationError: the file or its directory cannot be used.
        """
        refuse_second_start(self)
        database.check(self.path)
        self._work = work
        self._clock = clock
        process.at_worker_start(self.resume)

    def submit(self, invocation: Invocation) -> None:
        """Commit the event to the file.

        Raises:
            QueueFull: ``max_waiting`` events wait already.
            ExecutorClosed: this process is draining.
            StoreError, sqlite3.Error: the file cannot be written.
            RuntimeError: no thread can be started.
        """
        self._queues.get().submit(invocation)

    def resize(self, workers: int) -> None:
        """Run so many attempts at once in this process, which runs none yet: see `worker.run`."""
        self.workers = workers
        self._queues.get().resize(workers)

    def resume(self) -> None:
        """Begin to run what is waiting, in this process, without waiting for an event. Idempotent.

        Raises:
            StoreError, sqlite3.Error: the file cannot be used.
            RuntimeError: no thread can be started.
        """
        self._queues.get().resume()

    def drain(self, timeout_s: float) -> None:
        """See `Executor.drain`: attempts under way are waited for, the rest is left to others."""
        queue = self._queues.peek()
        if queue is not None:
            queue.drain(timeout_s)

    def close(self) -> None:
        """See `Executor.close`. What this process was running is given back."""
        self.drain(0)

    @property
    def events(self) -> Events:
        """The events in the file, to be listed, shown, redriven and purged."""
        return Events(self.path, getattr(self, "_clock", None))

    @property
    def overrides(self) -> SQLiteOverrides:
        """What clients set of functions, in the same file."""
        return SQLiteOverrides(self.path, self._busy_timeout_s)

    def wake(self) -> None:
        """See whether more may run, as a limit may have been changed."""
        queue = self._queues.peek()
        if queue is not None:
            queue.wake()

    def stats(self) -> Stats:
        """What this process's threads are doing, and how much is waiting and running in all."""
        return self._queues.get().stats()

    def _make_queue(self) -> _Queue:
        store = SQLiteStore(self.path, self._clock, **self._store_options)  # type: ignore[arg-type]
        return _Queue(
            store,
            self._work,
            self._clock,
            size=self.workers,
            max_lost=self._max_lost,
            lease_s=self._lease_s,
        )


class _Queue:
    """What one process does with the file: its workers and its dispatcher."""

    def __init__(
        self,
        store: SQLiteStore,
        work: Work,
        clock: Clock,
        *,
        size: int,
        max_lost: int,
        lease_s: float,
    ) -> None:
        self._store = store
        self._work = work
        self._clock = clock
        self._max_lost = max_lost
        self._neighbours = _Neighbours(store, clock, lease_s)
        self._owner: owners.Owner | None = None
        self._draining = False
        self._stopping = False
        self._lease_s = lease_s
        #: Guards the start, and each step of the dispatcher against the drain's last one.
        self._stepping = threading.Lock()
        self._alarm = clock.alarm()

        self.resize(size)

        # Below: guarded by the pool's lock.
        #: Those that may be to blame for the death of a process, in turn.
        self._suspects: list[StoredClaim] = []
        self._suspect_runs = False
        #: What is being run, and where the owner's file says so.
        self._running: dict[StoredClaim, int] = {}
        self._ended: list[Ended] = []
        #: How many events of a function are taken in advance.
        self._ahead: dict[str, int] = {}
        #: How long the last attempt of a function took.
        self._lasted_s: dict[str, float] = {}
        #: When the others may take this process for stopped, and its claims.
        self._lease_until = clock.monotonic() + lease_s
        #: When the last events of a function came, by the monotonic clock.
        self._came_at: dict[str, float] = {}

        # Below: the dispatcher's.
        self._next_due = -math.inf
        #: Whether events may have come that nobody has looked for.
        self._hinted = True
        #: Tells what clients have set from what they had set before, and whether they may have.
        self._mark: str | None = None
        self._may_be_set = True
        #: Whether what was taken in advance runs out.
        self._is_low = False
        #: Tells of others' events, where the system has something for that.
        self._watch: Watch | None = None
        self._upkeep_at = -math.inf
        self._pause_s = 0.0
        #: In real time.
        self._exchanged_at = -math.inf
        #: Set when this process stops; until then, what waits in real time is not interrupted.
        self._stopped = SystemClock().alarm()
        self._prunes = False
        #: Whether anybody has written since the last upkeep.
        self._is_untidy = True
        self._tidy_at = -math.inf
        #: Of the system's clock to the monotonic one; at first as if it had been set back.
        self._wall_offset = math.inf

    # --- for the executor ---------------------------------------------------------------------

    def resize(self, size: int) -> None:
        """Run so many attempts at once; only before the threads have started."""
        self._size = size
        self._slots = list(range(size + self._max_lost + 1))
        work, clock = self._work, self._clock
        self._pool = Pool(self, work=work, clock=clock, size=size, max_lost=self._max_lost)
        self._ready = FairQueue[StoredClaim](size, work.concurrency, work.function_count)

    def submit(self, invocation: Invocation) -> None:
        if self._draining:
            raise ExecutorClosed("This process is shutting down. Try again.")
        self.resume()
        self._store.add(invocation)
        self._hinted = True
        # Read without the lock: whoever is about to be free looks at the hint.
        if len(self._running) + len(self._ready) < self._size:
            self._alarm.set()

    def resume(self) -> None:
        if self._owner is not None or not self._size or self._draining:
            return
        with self._stepping:
            if self._owner is None:
                self._start()

    def _start(self) -> None:
        owner = owners.Owner(self._store.owners_path, len(self._slots))
        try:
            with self._pool.lock:
                self._pool.start()
            self._watch = self._watch or self._start_watch()
            process.start_thread("dispatcher", self._dispatch)
        except BaseException:
            owner.close()
            raise
        process.arm(self.drain, self.refuse)
        self._owner = owner

    def _start_watch(self) -> Watch | None:
        try:
            watch = Watch(self._store.bell_path)
        except OSError as exc:
            logger.info("looking for others' events every %g s: %s", POLL_S, exc)
            return None
        process.start_thread("listener", self._hear, watch)
        return watch

    def wake(self) -> None:
        self._hinted = True
        with self._pool.lock:
            self._pool.wake_one()
        self._alarm.set()

    def refuse(self) -> None:
        self._draining = True
        self._alarm.set()

    def drain(self, timeout_s: float) -> None:
        deadline = SystemClock.monotonic() + timeout_s
        self.refuse()
        if self._owner is not None:
            self._pool.wait_until(lambda: not self._running, deadline)
            self._stop()
        process.disarm(self.drain)
        self._store.close()

    def _stop(self) -> None:
        """Record what has ended, give back what has not, and end the threads."""
        self._stopping = True
        self._stopped.set()
        self._pool.stop()
        self._alarm.set()
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        with self._stepping:
            owner = self._owner
            if owner is None:
                return
            try:
                with self._pool.lock:
                    # From here on nothing that ends is recorded, and nothing written to the file.
                    self._owner = None
                    ended, self._ended = self._ended, []
                    running, self._running = list(self._running), {}
                    held = [*running, *self._take_held()]
                self._store.exchange(owner.name, ended, Wanted(0, _no_room, False))
                self._store.hand_back(owner.name, held)
            except Exception:
                # The others will notice that this process is gone, and do it.
                logger.exception("the events of this process could not be given back")
                self._owner = None
            else:
                for claim in running:
                    logger.warning(
                        "request %s was not finished in time, and runs again elsewhere",
                        claim.invocation.request_id,
                    )
                owner.close()

    def stats(self) -> Stats:
        return Stats(*self._pool.sizes(), *self._store.counts())

    # --- the pool's source --------------------------------------------------------------------

    def take(self) -> StoredClaim | None:
        owner = self._owner
        if self._draining or owner is None or self._clock.monotonic() >= self._lease_until:
            return None
        claim = self._take_suspect() or self._ready.take()
        if claim is None:
            return None
        name = claim.invocation.function_name
        if self._ready.ready(name) == self._ahead.get(name, 0) // 2:
            self._ran_low(name)
        slot = self._slots.pop()
        self._running[claim] = slot
        owner.runs(slot, claim.seq)
        return claim

    def _take_suspect(self) -> StoredClaim | None:
        if not self._suspects or self._suspect_runs:
            return None
        self._suspect_runs = True
        return self._suspects.pop(0)

    def _ran_low(self, name: str) -> None:
        """Have more events of a function fetched, and adapt how many to how long they took."""
        took_s = self._clock.monotonic() - self._came_at.get(name, -math.inf)
        ahead = self._ahead.get(name, 0)
        if took_s < _SHORT_S and self._lasted_s.get(name, math.inf) < _SHORT_S:
            self._ahead[name] = min(max(2 * ahead, self._size), MAX_AHEAD)
        elif ahead:
            self._ahead[name] = ahead // 2
        self._is_low = True
        self._alarm.set()

    def has_more(self) -> bool:
        return not self._draining and bool(self._ready or self._suspects)

    def carry_out(
        self, claim: StoredClaim, decision: Decision, attempt: AttemptToRun | None
    ) -> None:
        now = self._clock.time()
        outcome = None if attempt is None else attempt.outcome
        ended = Ended(claim, decision, outcome, outcome.log() if outcome else "", now)
        with self._pool.lock:
            slot = self._running.pop(claim, None)
            if slot is None:  # the drain has given it back
                return
            self._ended.append(ended)
            if claim.invocation.interruptions:
                self._suspect_runs = False
            else:
                self._ready.ended(claim.invocation.function_name)
            if self._owner is not None:
                self._owner.runs(slot, 0)
            self._slots.append(slot)
            if outcome is not None:
                self._lasted_s[claim.invocation.function_name] = outcome.duration_s
            must_be_told = len(self._ended) == 1 or self._is_urgent()
        if must_be_told:
            self._alarm.set()

    def _is_urgent(self) -> bool:
        """Whether what has ended is to be recorded now; the lock is held."""
        return not self._ready or len(self._ended) >= _MANY_ENDED

    def next_due(self) -> float:
        """The dispatcher knows when events are due. The timekeeper shows that this process lives.

        It never waits for the disk, so its beats stop only when the whole process does.
        """
        now = self._clock.monotonic()
        with self._pool.lock:
            has_lapsed = now >= self._lease_until
            if self._owner is not None and not has_lapsed:
                self._owner.beat()
                self._lease_until = now + self._lease_s
        if has_lapsed:
            self._alarm.set()  # the dispatcher sees to what others may have taken
        return now + self._lease_s / 4

    # --- the dispatcher -----------------------------------------------------------------------

    def _dispatch(self) -> None:
        while not self._stopping:
            self._alarm.clear()
            try:
                self._keep_pace()
                with self._stepping:
                    wakes_at = self._step()
                self._pause_s = 0.0
            except Exception:
                self._pause_s = min(max(2 * self._pause_s, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
                logger.exception("the queue is out of order; next try in %g s", self._pause_s)
                # In real time, and whatever news there is: it could not be carried out.
                self._stopped.wait(SystemClock.monotonic() + self._pause_s)
            else:
                self._alarm.wait(wakes_at)

    def _hear(self, watch: Watch) -> None:
        """A thread of its own: wake the dispatcher when another process rings."""
        while watch.wait():
            self._alarm.set()

    def _keep_pace(self) -> None:
        """Wait a moment if the last exchange was only just."""
        until = self._exchanged_at + PACE_S
        if SystemClock.monotonic() < until and not self._draining:
            self._stopped.wait(until)

    def _step(self) -> float:
        """Do what there is to do now; when to look again, by the monotonic clock."""
        owner = self._owner
        if owner is None:
            return math.inf
        now = self._clock.monotonic()
        self._renew_lease(owner, now)
        if now >= self._upkeep_at:
            self._try_upkeep(owner, now)
        with self._pool.lock:
            held = len(self._running) + len(self._ready) + len(self._suspects)
            free = self._pool.capacity() - held
            ended, is_urgent = len(self._ended), self._is_urgent()
        if self._draining:
            free, self._is_low = 0, False
        wants_more = free > 0 or self._is_low
        record_in_s = self._exchanged_at + _RECORD_S - SystemClock.monotonic()
        records = ended and (is_urgent or record_in_s <= 0)
        if records or (wants_more and self._may_have_more()):
            self._exchange(owner, free=max(free, 0))
        elif ended:
            return now + record_in_s
        if not wants_more:
            return self._upkeep_at
        due_in_s = self._next_due - self._clock.time()
        return min(self._upkeep_at, now + max(due_in_s, 0), now + self._listen())

    def _listen(self) -> float:
        """Have others' events wake this thread; the seconds until it looks for them anyway."""
        if self._watch is None or not self._watch.arm():
            return POLL_S
        return 0 if self._sees_change() else UPKEEP_S  # perhaps just before it was armed

    def _renew_lease(self, owner: owners.Owner, now: float) -> None:
        """Show that this process lives; if it was stopped, look which claims it still has."""
        with self._pool.lock:
            owner.beat()
            has_lapsed = now >= self._lease_until
            self._lease_until = now + self._lease_s
            held = self._take_held() if has_lapsed else []
        if held:
            self._hand_back(owner, held)

    def _take_held(self) -> list[StoredClaim]:
        """Take out what is claimed and not begun; the lock is held."""
        suspects, self._suspects = self._suspects, []
        return [*suspects, *self._ready.clear()]

    def _may_have_more(self) -> bool:
        """Whether a look into the file may find events."""
        if self._hinted or self._is_low or self._next_due <= self._clock.time():
            return True
        return self._sees_change()

    def _sees_change(self) -> bool:
        """Whether another process has written; to be remembered by all who want to know."""
        changed = self._store.has_changed()
        self._may_be_set = self._may_be_set or changed
        if self._may_be_set:
            self._see_what_is_set()
        if not changed:
            return False
        self._hinted = self._is_untidy = self._neighbours.have_written = True
        return True

    def _see_what_is_set(self) -> None:
        """Have limits that clients have set counted from now on."""
        mark = self._store.overrides_mark()
        if mark == self._mark or self._work.refresh():
            self._mark = mark
            self._may_be_set = False

    def _exchange(self, owner: owners.Owner, *, free: int) -> None:
        """Record what has ended, and fetch new events for free workers."""
        self._hinted = self._is_low = False
        with self._pool.lock:
            ended, self._ended = self._ended, []
        try:
            with self._pool.lock:
                takes_suspects = not self._suspects and not self._suspect_runs
            wanted = Wanted(free, _no_room if self._draining else self._room, takes_suspects)
            claims, self._next_due = self._store.exchange(owner.name, ended, wanted)
        except BaseException:
            self._hinted = True
            with self._pool.lock:
                self._ended = ended + self._ended
            raise
        self._is_untidy = True
        self._exchanged_at = SystemClock.monotonic()
        self._put(claims)
        self._give_back_suspects(owner)
        if self._prunes:
            self._prunes = self._store.prune(_PRUNED + 2 * len(ended)) >= _PRUNED

    def _give_back_suspects(self, owner: owners.Owner) -> None:
        """Keep one of them, to be run next. Others may run the rest at the same time."""
        with self._pool.lock:
            rest, self._suspects = self._suspects[1:], self._suspects[:1]
        if rest:
            self._hand_back(owner, rest)

    def _put(self, claims: list[StoredClaim]) -> None:
        """Give claims to the workers."""
        now = self._clock.monotonic()
        with self._pool.lock:
            for claim in claims:
                name = claim.invocation.function_name
                self._came_at[name] = now
                if claim.invocation.interruptions:
                    self._suspects.append(claim)
                else:
                    self._ready.put(name, claim)
            if claims:
                self._pool.wake_one()

    def _room(self, name: str) -> Room | None:
        limit = self._work.concurrency(name)
        if not limit:  # another process may have the function; after that time, none has
            return Room(math.inf, 1, 0, delay_s=MAX_EVENT_AGE_S)
        running, ready = self._ready.running(name), self._ready.ready(name)
        size = self._size
        if size > 1 and self._work.function_count() > 1:
            size -= 1  # the last worker is for those that have none
        ahead = 0 if limit < math.inf else self._ahead.get(name, 0)
        return Room(limit, max(size - running, not running), ahead - ready)

    def _try_upkeep(self, owner: owners.Owner, now: float) -> None:
        """See to the upkeep, without which events are run all the same."""
        self._upkeep_at = now + UPKEEP_S
        try:
            self._upkeep(owner)
        except Exception:
            logger.exception("the queue's upkeep failed; next try in %g s", _UPKEEP_PAUSE_S)
            self._upkeep_at = now + _UPKEEP_PAUSE_S

    def _upkeep(self, owner: owners.Owner) -> None:
        """What is to be done from time to time, and takes little time each time."""
        self._give_back_stale(owner)
        self._sees_change()
        if self._neighbours.look_after():
            self._hinted = True
        offset = self._clock.time() - self._clock.monotonic()
        if offset < self._wall_offset - _CLOCK_SLACK_S:
            self._store.heal_dues()
            self._hinted = True
        self._wall_offset = offset
        now = self._clock.monotonic()
        if self._is_untidy or now >= self._tidy_at:
            self._is_untidy = False
            self._tidy_at = now + TIDY_S
            self._prunes = self._store.prune(_PRUNED) >= _PRUNED
            self._store.checkpoint()

    def _give_back_stale(self, owner: owners.Owner) -> None:
        """Let others run what was taken in advance and is not begun, as attempts got longer."""
        until = self._clock.monotonic() - _STALE_S
        stale: list[StoredClaim] = []
        with self._pool.lock:
            for name, came_at in self._came_at.items():
                if came_at < until and self._ready.ready(name):
                    stale += self._ready.clear(name)
                    self._ahead[name] = 0
            for suspect in self._suspects:
                if self._came_at[suspect.invocation.function_name] < until:
                    stale.append(suspect)
                    self._suspects = []
        if stale:
            self._hand_back(owner, stale)

    def _hand_back(self, owner: owners.Owner, claims: list[StoredClaim]) -> None:
        """Let others have claims, or this process again; those that are not ours any more stay."""
        self._hinted = True
        try:
            self._store.hand_back(owner.name, claims)
        except BaseException:
            self._put(claims)  # still claimed as far as is known, so still to be run here
            raise


class _Neighbours:
    """The other processes that have claims in the file."""

    def __init__(self, store: SQLiteStore, clock: Clock, lease_s: float) -> None:
        self._store = store
        self._clock = clock
        self._lease_s = lease_s
        #: Whether any of them has committed something since the last look.
        self.have_written = True
        #: The owners of claims, as of the last look.
        self._with_claims: list[str] = []
        #: When it last looked, by the monotonic clock.
        self._looked_at = -math.inf
        #: The last beat of each that was seen, and when it was first seen.
        self._beats: dict[str, tuple[int, float]] = {}

    def look_after(self) -> bool:
        """Take back the claims of those that are gone or stopped; whether there were any."""
        directory = self._store.owners_path
        if self.have_written:
            dead = self._dead(directory)  # first: from then on they claim nothing
            self._with_claims = [n for n in self._store.owners() if not owners.is_own(n)]
            for name in dead.difference(self._with_claims):
                owners.remove(directory, name)
            self.have_written = False
        now = self._clock.monotonic()
        if now - self._looked_at > self._lease_s / 2 + UPKEEP_S:
            self._beats.clear()  # this process was stopped itself, and the others perhaps with it
        self._looked_at = now
        total = 0
        for name in list(self._with_claims):
            if owners.is_dead(directory, name):
                what = "died"
            elif self._is_stopped(name):
                what = "has stopped"
            else:
                continue
            _, was_running = owners.read(directory, name)
            taken = self._store.take_back(name, was_running)
            self._with_claims.remove(name)
            self._beats.pop(name, None)
            if taken:
                logger.warning("a process %s with %d events, which go to others", what, taken)
            total += taken
        return total > 0

    def _dead(self, directory: Path) -> set[str]:
        """Those of all with a file that are gone."""
        others = (name for name in owners.names(directory) if not owners.is_own(name))
        return {name for name in others if owners.is_dead(directory, name)}

    def _is_stopped(self, name: str) -> bool:
        now = self._clock.monotonic()
        beat, _ = owners.read(self._store.owners_path, name)
        seen, since = self._beats.get(name, (-1, now))
        if seen != beat:
            self._beats[name] = beat, now
            return False
        return now - since > self._lease_s


def _no_room(name: str) -> Room | None:
    return None


def _refused(name: str, value: object, allowed: str) -> ConfigurationError:
    return ConfigurationError(f"sqlite: {name}={value!r}: it must be {allowed}")
