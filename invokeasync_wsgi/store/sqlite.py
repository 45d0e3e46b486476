"""Events remembered in one SQLite file, which all processes of a machine share.

Three kinds of transactions, of one writer connection in each process:

* accepting (`SQLiteStore.add`): the events of all threads that came while the last commit was on
  its way go into one commit, by the first of them; the others wait for it. A thread that comes
  alone waits for nobody. Durable as ``synchronous`` says: ``FULL`` when it returns.
* exchanging (`SQLiteStore.exchange`): what has ended is recorded and new events are claimed, both
  for many events at once. Not synced: a power cut may undo an end that was recorded, and the event
  runs once more; it cannot undo an acceptance.
* upkeep: claims of dead processes taken back, old history removed, a few rows at a time.

The lists of `schema.sql` say where an event stands. Everything is decided within transactions that
begin with the write lock, so processes agree without talking to each other.
"""

from __future__ import annotations

import itertools
import logging
import math
import os
import sqlite3
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from ..clock import Clock
from ..errors import QueueFull, StoreError
from ..invocation import Invocation, Outcome
from ..process import PerProcess
from ..retry import Decision, GiveUp, RetryAt
from . import Claim, Counts, database
from .overrides_file import read_mark
from .watch import Bell, bell_path

logger = logging.getLogger(__name__)

#: Events of one commit. More than this wait for the next, so that nobody waits for long.
_MAX_BATCH: Final = 256

_ADD_EVENT = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_ADD_WAITING = "INSERT INTO waiting VALUES (?, ?, ?, ?, ?, ?, ?)"
_ADD_ATTEMPT = (
    "INSERT INTO attempts VALUES (?, (SELECT ifnull(max(number), 0) + 1 FROM attempts"
    " WHERE seq = ?), ?, ?, ?, ?, ?, ?, ?)"
)
_ADD_FINISHED = "INSERT INTO finished VALUES (?, ?, ?, ?, ?, ?)"
_COUNT = (
    "INSERT INTO functions VALUES (?, ?, ?) ON CONFLICT (name)"
    " DO UPDATE SET waiting = waiting + excluded.waiting, running = running + excluded.running"
)
_LAST_SEQ = "SELECT ifnull(max(seq), 0) FROM events"
_TOTALS = "SELECT total(waiting), total(running) FROM functions"
_QUEUES = "SELECT name, waiting, running FROM functions WHERE waiting > 0"
_NEXT = (
    "SELECT waiting.due, waiting.attempt, waiting.back_offs, waiting.interruptions, events.*"
    " FROM waiting CROSS JOIN events ON events.seq = waiting.seq"
    " WHERE waiting.function_name = ? AND waiting.due <= ? AND (interruptions = 0 OR ?)"
    " ORDER BY waiting.due, waiting.seq LIMIT ?"
)
_FIRST_DUE = (
    "SELECT due FROM waiting WHERE function_name = ? AND (interruptions = 0 OR ?)"
    " ORDER BY due, seq LIMIT 1"
)
_CLAIM = (
    "INSERT INTO running"
    " SELECT seq, ?, ?, function_name, due, attempt, back_offs, interruptions, ?"
    " FROM waiting WHERE function_name = ? AND (due, seq) <= (?, ?) AND (interruptions = 0 OR ?)"
)
_TAKE = (
    "DELETE FROM waiting"
    " WHERE function_name = ? AND (due, seq) <= (?, ?) AND (interruptions = 0 OR ?)"
)
_END = "DELETE FROM running WHERE seq = ? AND owner = ? AND claim = ?"
_OWNERS = "SELECT DISTINCT owner FROM running"
_CLAIMS_OF = (
    "SELECT seq, function_name, due, attempt, back_offs, interruptions FROM running WHERE owner = ?"
)
_DROP_CLAIMS_OF = "DELETE FROM running WHERE owner = ?"
_OLD = (
    "SELECT finished.seq FROM finished WHERE dead = ? AND finished_at < ?"
    " ORDER BY finished_at LIMIT ?"
)
_DROP: Final = (
    "DELETE FROM finished WHERE seq = ?",
    "DELETE FROM attempts WHERE seq = ?",
    "DELETE FROM events WHERE seq = ?",
)
_TOO_FAR = (
    "SELECT due, seq, wait_s FROM waiting WHERE function_name = ? AND due > ?"
    " AND due > ? + wait_s LIMIT ?"
)
_MOVE = "UPDATE waiting SET due = ? WHERE function_name = ? AND due = ? AND seq = ?"


class StoredClaim(Claim):
    """A claim of an event in the file."""

    __slots__ = ("due", "number", "seq")

    def __init__(self, invocation: Invocation, seq: int, number: int, due: float) -> None:
        super().__init__(invocation)
        self.seq = seq
        #: Of the exchange; tells this claim from an earlier one of the same event in this process.
        self.number = number
        self.due = due


class Ended(NamedTuple):
    """The end of an attempt."""

    claim: StoredClaim
    decision: Decision
    #: ``None`` when no attempt was made.
    outcome: Outcome | None
    #: The attempt's log.
    log: str
    #: In seconds since the epoch.
    ended_at: float


class Room(NamedTuple):
    """How many events of a function a process takes."""

    #: How many may be claimed at once, by all processes together.
    limit: float
    #: How many more this process could run now, if all its free workers took them.
    here: float
    #: How many more it takes in advance.
    ahead: int
    #: Seconds after its time at which an event may be claimed.
    delay_s: float = 0


class Wanted(NamedTuple):
    """What a process would like to claim."""

    #: How many workers are free: to be shared between the functions that have events.
    free: int
    #: The room for a function; ``None`` for none. Called in the transaction, so: quick.
    room: Callable[[str], Room | None]
    #: Whether also those under which a process has died.
    takes_suspects: bool = True


class Exchanged(NamedTuple):
    """What came of an exchange."""

    claims: list[StoredClaim]
    #: When the next event that this process could run is due: seconds since the epoch, or ``inf``.
    next_due: float


class SQLiteStore:
    """The queue in one file. Holds plain values only until it is used in a process.

    Args:
        path: the file.
        clock: measures ages and waits.
        synchronous: ``"full"``: an accepted event survives a power cut; ``"normal"``: only the
            death of processes.
        max_waiting: events that may wait; more get `QueueFull`.
        retention_s: how long successes are kept, with their payloads, results and logs; 0: not.
        dead_letter_retention_s: how long dead letters are kept.
        busy_timeout_s: how long to wait for other processes that write.
    """

    def __init__(
        self,
        path: Path,
        clock: Clock,
        *,
        synchronous: str = "full",
        max_waiting: int = 1_000_000,
        retention_s: float = 3600,
        dead_letter_retention_s: float = 14 * 86400,
        busy_timeout_s: float = 10,
    ) -> None:
        self.path = path
        self.owners_path = Path(f"{path}-owners")
        self.bell_path = bell_path(path)
        self._clock = clock
        self._synchronous = synchronous.upper()
        self._max_waiting = max_waiting
        self._retention_s = retention_s
        self._dead_letter_retention_s = dead_letter_retention_s
        self._busy_timeout_s = busy_timeout_s
        self._writers = PerProcess(lambda: _Writer(path, busy_timeout_s))
        self._claim_numbers = itertools.count(1)
        self._turn = 0

    # --- accepting ----------------------------------------------------------------------------

    def add(self, invocation: Invocation) -> None:
        """See `Store.add`. Shares a commit with whoever comes at the same time.

        Raises:
            QueueFull: ``max_waiting`` events wait.
            StoreError: the file cannot be used or written. Nothing was accepted.
        """
        self._writers.get().add(invocation, self._commit_added)

    def _commit_added(self, writer: _Writer, batch: Sequence[_Entry]) -> None:
        with writer.transaction(self._synchronous) as connection:
            [waiting, _] = connection.execute(_TOTALS).fetchone()
            room = max(int(self._max_waiting - waiting), 0)
            for entry in batch[room:]:
                entry.error = QueueFull(f"{self._max_waiting} events are waiting already")
            _insert(
                connection,
                [(entry.invocation, entry.invocation.accepted_at) for entry in batch[:room]],
            )
        writer.ring()

    # --- exchanging ---------------------------------------------------------------------------

    def exchange(self, owner: str, ended: Sequence[Ended], wanted: Wanted) -> Exchanged:
        """Record what has ended, and claim new events, in one transaction.

        Args:
            owner: the name of this process's `owners.Owner`.
            ended: attempts that are over. Those whose claim was taken back meanwhile are ignored.
            wanted: how many events to claim.

        Raises:
            StoreError, sqlite3.Error: nothing was recorded and nothing claimed.
        """
        with self._writers.get().exclusive() as writer:
            if not ended:
                queues = writer.connection().execute(_QUEUES).fetchall()
                if not any(wanted.room(name) for name, _, _ in queues):
                    return Exchanged([], math.inf)
            with writer.transaction("NORMAL") as connection:
                if ended:
                    self._record(connection, owner, ended)
                exchanged = self._claim(connection, owner, wanted)
            if any(
                not isinstance(each.decision, RetryAt) and each.decision.deliveries
                for each in ended
            ):
                writer.ring()
            return exchanged

    def _record(self, connection: sqlite3.Connection, owner: str, ended: Sequence[Ended]) -> None:
        counts = _CountChanges()
        ended = self._still_claimed(connection, owner, ended)
        attempts, finished, waiting, dropped = [], [], [], []
        followers: list[tuple[Invocation, float]] = []
        for claim, decision, outcome, log, ended_at in ended:
            seq, invocation = claim.seq, claim.invocation
            counts.add(invocation.function_name, running=-1)
            if isinstance(decision, RetryAt):
                next_, due = decision.invocation, decision.due
                wait_s = max(due - ended_at, 0)
                waiting.append(_waiting_row(next_, due, seq, wait_s))
                counts.add(invocation.function_name, waiting=1)
            else:
                dead = isinstance(decision, GiveUp)
                followers += [(delivery, ended_at) for delivery in decision.deliveries]
                if not dead and not self._retention_s:
                    dropped.append((seq,))
                    continue
                condition = decision.condition if isinstance(decision, GiveUp) else "Success"
                attempt = invocation.attempt if outcome else invocation.attempt - 1
                name = invocation.function_name
                finished.append((seq, name, ended_at, condition, attempt, dead))
            if outcome is not None:
                attempts.append(_attempt_row(seq, invocation.attempt, ended_at, outcome, log))
        connection.executemany(_ADD_WAITING, waiting)
        connection.executemany(_ADD_ATTEMPT, attempts)
        connection.executemany(_ADD_FINISHED, finished)
        for statement in _DROP[1:]:
            connection.executemany(statement, dropped)
        connection.executemany(_COUNT, counts.rows())
        _insert(connection, followers)

    def _still_claimed(
        self, connection: sqlite3.Connection, owner: str, ended: Sequence[Ended]
    ) -> Sequence[Ended]:
        """End the claims; give those back that were still ours."""
        keys = [(each.claim.seq, owner, each.claim.number) for each in ended]
        before = connection.total_changes
        connection.execute("SAVEPOINT ended")
        connection.executemany(_END, keys)
        if connection.total_changes - before == len(ended):
            connection.execute("RELEASE ended")
            return ended
        # Some were taken back. Which, is seen by ending them once more one by one.
        connection.execute("ROLLBACK TO ended")
        still: list[Ended] = []
        for key, each in zip(keys, ended, strict=True):
            if connection.execute(_END, key).rowcount:
                still.append(each)
            else:
                logger.warning(
                    "the end of an attempt of request %s came after its event was taken back",
                    each.claim.invocation.request_id,
                )
        connection.execute("RELEASE ended")
        return still

    def _claim(self, connection: sqlite3.Connection, owner: str, wanted: Wanted) -> Exchanged:
        claims: list[StoredClaim] = []
        counts = _CountChanges()
        now = self._clock.time()
        next_due, free, suspects = math.inf, wanted.free, wanted.takes_suspects
        claim_number = next(self._claim_numbers)
        for number, (name, running, room, queues) in enumerate(self._turns(connection, wanted)):
            share = -(-free // (queues - number))  # of what the earlier ones have left
            most = int(min(room.here + room.ahead, room.limit - running, _MAX_BATCH))
            want = min(share + room.ahead, most)
            if want <= 0:
                continue
            rows = connection.execute(_NEXT, (name, now - room.delay_s, suspects, want)).fetchall()
            if rows:
                taken = (name, rows[-1][0], rows[-1][4], suspects)  # all up to the last
                connection.execute(_CLAIM, (owner, claim_number, now, *taken))
                connection.execute(_TAKE, taken)
                claims += [_claim(row, claim_number) for row in rows]
                counts.add(name, waiting=-len(rows), running=len(rows))
                free -= min(len(rows), share)
            if len(rows) < want:
                for (due,) in connection.execute(_FIRST_DUE, (name, suspects)):
                    next_due = min(next_due, due + room.delay_s)
            elif want < most:  # there may be more, and a worker that another function left free
                next_due = now
        connection.executemany(_COUNT, counts.rows())
        return Exchanged(claims, next_due)

    def _turns(
        self, connection: sqlite3.Connection, wanted: Wanted
    ) -> list[tuple[str, int, Room, int]]:
        """The functions that have waiting events, in the order in which they may choose.

        First those with the fewest attempts under way; among equals the turn goes round.
        """
        queues = [
            (name, running, room)
            for name, _, running in connection.execute(_QUEUES)
            if (room := wanted.room(name)) is not None
        ]
        if len(queues) > 1:
            self._turn += 1
            first = self._turn % len(queues)
            queues = sorted(queues[first:] + queues[:first], key=lambda queue: queue[1])
        return [(*queue, len(queues)) for queue in queues]

    def hand_back(self, owner: str, claims: Sequence[StoredClaim]) -> None:
        """Have claimed events wait again, where they stood, as if they had not been claimed."""
        with self._writers.get().exclusive() as writer, writer.transaction("NORMAL") as connection:
            counts = _CountChanges()
            for claim in claims:
                if connection.execute(_END, (claim.seq, owner, claim.number)).rowcount:
                    name = claim.invocation.function_name
                    row = _waiting_row(claim.invocation, claim.due, claim.seq, 0)
                    connection.execute(_ADD_WAITING, row)
                    counts.add(name, waiting=1, running=-1)
            connection.executemany(_COUNT, counts.rows())
        self._writers.get().ring()

    def has_changed(self) -> bool:
        """Whether another process has committed anything since the last call."""
        return self._writers.get().has_changed()

    def overrides_mark(self) -> str:
        """The mark of what clients have set: see `store.overrides`."""
        with self._writers.get().exclusive() as writer:
            return read_mark(writer.connection())

    # --- upkeep -------------------------------------------------------------------------------

    def owners(self) -> list[str]:
        """The owners of all claims."""
        with self._writers.get().exclusive() as writer:
            return [owner for (owner,) in writer.connection().execute(_OWNERS)]

    def take_back(self, owner: str, was_running: frozenset[int]) -> int:
        """Have the events of a dead owner wait again, where they stood.

        Args:
            owner: its name.
            was_running: those whose attempts were under way, which are counted as interrupted.

        Returns:
            How many events it had.
        """
        with self._writers.get().exclusive() as writer, writer.transaction("NORMAL") as connection:
            counts = _CountChanges()
            rows = connection.execute(_CLAIMS_OF, (owner,)).fetchall()
            for seq, name, due, attempt, back_offs, interruptions in rows:
                interruptions += seq in was_running
                row = (name, due, seq, attempt, back_offs, interruptions, 0)
                connection.execute(_ADD_WAITING, row)
                counts.add(name, waiting=1, running=-1)
            connection.execute(_DROP_CLAIMS_OF, (owner,))
            connection.executemany(_COUNT, counts.rows())
            return len(rows)

    def prune(self, limit: int) -> int:
        """Remove up to ``limit`` events whose retention is over; how many there were."""
        now = self._clock.time()
        ages = ((0, now - self._retention_s), (1, now - self._dead_letter_retention_s))
        with self._writers.get().exclusive() as writer:
            if not _old(writer.connection(), ages, 1):
                return 0
            with writer.transaction("NORMAL") as connection:
                # Looked for again: others prune too, and new events may have got the same numbers.
                old = _old(connection, ages, limit)
                for statement in _DROP:
                    connection.executemany(statement, old)
            return len(old)

    def heal_dues(self, limit: int = 1000) -> int:
        """Bring back events whose time has moved away, because the clock was set back.

        No event waits longer than it was told to: one that is due later than that from now on is
        due then instead. Idempotent, so all processes may do it. In steps of ``limit``; how many
        there were.
        """
        now = self._clock.time()
        total = 0
        while True:
            with self._writers.get().exclusive() as writer:
                healed: list[tuple[float, str, float, int]] = []
                for name, _, _ in writer.connection().execute(_QUEUES).fetchall():
                    left = limit - len(healed)
                    far = writer.connection().execute(_TOO_FAR, (name, now, now, left)).fetchall()
                    healed += [(now + wait_s, name, due, seq) for due, seq, wait_s in far]
                if healed:
                    with writer.transaction("NORMAL") as connection:
                        connection.executemany(_MOVE, healed)
            total += len(healed)
            if len(healed) < limit:
                return total

    def checkpoint(self) -> None:
        """Move what is in the write-ahead log to its place in the file, beside the writers."""
        self._writers.get().checkpoint()

    def close(self) -> None:
        """Close this process's connection; it is opened again when needed."""
        writer = self._writers.peek()
        if writer is not None:
            writer.close()

    def counts(self) -> Counts:
        """How many events are waiting and running, over all processes."""
        with self._writers.get().exclusive() as writer:
            waiting, running = writer.connection().execute(_TOTALS).fetchone()
            return Counts(int(waiting), int(running))


class _Entry:
    """An event on its way into a commit, and the thread that waits for it."""

    __slots__ = ("error", "invocation", "is_leader", "wait", "wake")

    def __init__(self, invocation: Invocation) -> None:
        self.invocation = invocation
        self.error: Exception | None = None
        #: Set when its thread is to make the next commit, for all that wait by then.
        self.is_leader = False
        lock = threading.Lock()
        lock.acquire()
        self.wait, self.wake = lock.acquire, lock.release


class _Writer:
    """The one connection of a process that writes, and who may use it when.

    Two kinds of threads come: many that accept, which share commits, and a few that want the
    connection to themselves (`exclusive`). They take turns.
    """

    def __init__(self, path: Path, busy_timeout_s: float) -> None:
        self._path = path
        self._busy_timeout_s = busy_timeout_s
        self._connection: sqlite3.Connection | None = None
        self._inode = (0, 0)
        self._synchronous = ""
        self._data_version = -1
        self._bell = Bell(bell_path(path))
        #: Held while another connection is open.
        self._checkpointing = threading.Lock()
        #: Guards the three below.
        self._lock = threading.Lock()
        self._is_busy = False
        self._entries: list[_Entry] = []
        self._exclusive: deque[threading.Lock] = deque()
        _writers_in_use.get().add(self)

    def add(
        self, invocation: Invocation, commit: Callable[[_Writer, Sequence[_Entry]], None]
    ) -> None:
        """Have an event committed, together with those of other threads."""
        entry = _Entry(invocation)
        with self._lock:
            self._entries.append(entry)
            entry.is_leader = not self._is_busy
            self._is_busy = True
        if not entry.is_leader:
            try:
                entry.wait()
            except BaseException:  # a server ends this thread
                self._give_up(entry)
                raise
        if entry.is_leader:
            self._lead(entry, commit)
        if entry.error is not None:
            raise entry.error

    def _give_up(self, entry: _Entry) -> None:
        """Nobody waits for this event any more. It is committed if that had begun."""
        with self._lock:
            leads = entry.is_leader
            if entry in self._entries:
                self._entries.remove(entry)
        if leads:
            self._pass_on(was_exclusive=False)

    def _lead(self, leader: _Entry, commit: Callable[[_Writer, Sequence[_Entry]], None]) -> None:
        with self._lock:
            batch, self._entries = self._entries[:_MAX_BATCH], self._entries[_MAX_BATCH:]
        try:
            commit(self, batch)
        except sqlite3.Error as exc:
            for entry in batch:
                entry.error = StoreError(f"{self._path}: {exc}")
                entry.error.__cause__ = exc
        except Exception as exc:  # noqa: BLE001 - each of their threads raises it
            for entry in batch:
                entry.error = exc
        except BaseException as exc:  # a server ends this thread: the others hear that it failed
            for entry in batch:
                entry.error = StoreError(f"{self._path}: the commit was interrupted")
                entry.error.__cause__ = exc
            raise
        finally:
            self._pass_on(was_exclusive=False)
            for entry in batch:
                if entry is not leader:
                    entry.wake()

    @contextmanager
    def exclusive(self) -> Iterator[_Writer]:
        """The connection, for this thread alone."""
        turn = None
        with self._lock:
            if self._is_busy:
                turn = threading.Lock()
                turn.acquire()
                self._exclusive.append(turn)
            self._is_busy = True
        if turn is not None:
            try:
                turn.acquire()
            except BaseException:  # a server ends this thread
                with self._lock:
                    has_turn = turn not in self._exclusive
                    if not has_turn:
                        self._exclusive.remove(turn)
                if has_turn:
                    self._pass_on(was_exclusive=True)
                raise
        try:
            yield self
        finally:
            self._pass_on(was_exclusive=True)

    def _pass_on(self, *, was_exclusive: bool) -> None:
        """Give the connection to the next: of the two kinds, one after the other."""
        with self._lock:
            if self._exclusive and not (was_exclusive and self._entries):
                self._exclusive.popleft().release()
            elif self._entries:
                self._entries[0].is_leader = True
                self._entries[0].wake()
            else:
                self._is_busy = False

    def connection(self) -> sqlite3.Connection:
        """The connection, opened if need be; whoever calls has it for itself."""
        if self._connection is not None:
            try:
                status = os.stat(self._path)
            except FileNotFoundError:
                status = None
            if status is not None and self._inode == (status.st_dev, status.st_ino):
                return self._connection
            logger.error("%s was replaced or removed while in use; opening it again", self._path)
            self._drop()
        self._connection = database.connect(self._path, busy_timeout_s=self._busy_timeout_s)
        status = os.stat(self._path)
        self._inode = (status.st_dev, status.st_ino)
        self._synchronous = ""
        self._data_version = -1
        return self._connection

    @contextmanager
    def transaction(self, synchronous: str) -> Iterator[sqlite3.Connection]:
        """A write transaction; its commit is as durable as SQLite's word says."""
        connection = self.connection()
        if synchronous != self._synchronous:
            connection.execute(f"PRAGMA synchronous = {synchronous}")
            self._synchronous = synchronous
        try:
            with database.transaction(connection, busy_timeout_s=self._busy_timeout_s):
                yield connection
        except sqlite3.OperationalError as exc:
            if not database.is_busy(exc):
                self._drop()
            raise
        except sqlite3.DatabaseError:
            self._drop()  # whatever is wrong with the file: the next one looks at it afresh
            raise

    def checkpoint(self) -> None:
        """A connection of its own, as one checkpoint may take longer than many commits."""
        with self._checkpointing:
            address = f"{self._path.as_uri()}?mode=rw"  # and not made if it is gone
            connection = sqlite3.connect(address, uri=True, timeout=0, isolation_level=None)
            try:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
            except sqlite3.OperationalError as exc:
                if not database.is_busy(exc):  # somebody opens or closes it just now: next time
                    raise
            finally:
                connection.close()

    def has_changed(self) -> bool:
        with self.exclusive():
            [version] = self.connection().execute("PRAGMA data_version").fetchone()
            changed: bool = version != self._data_version
            self._data_version = version
            return changed

    def ring(self) -> None:
        """Tell the other processes that there are events to run."""
        self._bell.ring()

    def close(self) -> None:
        with self.exclusive():
            self._drop()
            self._bell.close()

    def before_fork(self) -> None:
        """Close the connection, and keep it closed until `after_fork`.

        A child would inherit SQLite's belief that this process has locked the file, though locks
        are not inherited; it would then write without any, and lose what it wrote when another
        process cleans up.
        """
        self._checkpointing.acquire()
        self._forking = self.exclusive()
        self._forking.__enter__()
        with suppress(sqlite3.Error):
            self._drop()

    def after_fork(self) -> None:
        """The fork is over: go on, in the parent."""
        self._forking.__exit__(None, None, None)
        self._checkpointing.release()

    def _drop(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()


#: Of each process. Forks are not told of by all servers, but those that fork in C do so early.
_writers_in_use: PerProcess[weakref.WeakSet[_Writer]] = PerProcess(weakref.WeakSet)
#: Those that each thread holds while it forks.
_held: dict[int, list[_Writer]] = {}


def _before_fork() -> None:
    held = _held[threading.get_ident()] = []
    for writer in list(_writers_in_use.get()):
        writer.before_fork()
        held.append(writer)


def _after_fork() -> None:
    for writer in _held.pop(threading.get_ident(), ()):
        writer.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork, after_in_child=_held.clear
    )


def _old(
    connection: sqlite3.Connection, ages: Sequence[tuple[int, float]], limit: int
) -> list[tuple[int]]:
    """Finished events from before the times given for successes and for dead letters."""
    old: list[tuple[int]] = []
    for dead, before in ages:
        old += connection.execute(_OLD, (dead, before, limit - len(old))).fetchall()
    return old


class _CountChanges:
    """How the numbers of `functions` change in a transaction."""

    def __init__(self) -> None:
        self._changes: dict[str, list[int]] = {}

    def add(self, name: str, *, waiting: int = 0, running: int = 0) -> None:
        change = self._changes.setdefault(name, [0, 0])
        change[0] += waiting
        change[1] += running

    def rows(self) -> list[tuple[str, int, int]]:
        return [(name, waiting, running) for name, (waiting, running) in self._changes.items()]


def _insert(connection: sqlite3.Connection, events: Iterable[tuple[Invocation, float]]) -> None:
    """Add events, each with the time at which it is due."""
    counts = _CountChanges()
    rows, waiting = [], []
    [seq] = connection.execute(_LAST_SEQ).fetchone()
    for event, due in events:
        seq += 1
        rows.append(
            (
                seq,
                event.request_id,
                event.function_name,
                event.qualifier,
                event.payload,
                event.accepted_at,
                event.client_context,
                event.trace_id,
                event.tenant_id,
                event.delivery,
            )
        )
        waiting.append(_waiting_row(event, due, seq, 0))
        counts.add(event.function_name, waiting=1)
    if rows:
        connection.executemany(_ADD_EVENT, rows)
        connection.executemany(_ADD_WAITING, waiting)
        connection.executemany(_COUNT, counts.rows())


def _waiting_row(event: Invocation, due: float, seq: int, wait_s: float) -> tuple[Any, ...]:
    return (
        event.function_name,
        due,
        seq,
        event.attempt,
        event.back_offs,
        event.interruptions,
        wait_s,
    )


def _attempt_row(
    seq: int, attempt: int, ended_at: float, outcome: Outcome, log: str
) -> tuple[Any, ...]:
    return (
        seq,
        seq,
        attempt,
        ended_at,
        outcome.duration_s,
        outcome.executed_version,
        outcome.function_error,
        outcome.payload,
        # Some texts have no UTF-8 form: lone surrogates.
        log if log.isascii() else log.encode(errors="backslashreplace").decode(),
    )


def _claim(row: Sequence[Any], number: int) -> StoredClaim:
    """The claim of an event that waited."""
    due, attempt, back_offs, interruptions, seq, request_id, name, qualifier, payload = row[:9]
    invocation = Invocation(
        request_id=request_id,
        function_name=name,
        qualifier=qualifier,
        payload=payload,
        accepted_at=row[9],
        attempt=attempt,
        client_context=row[10],
        trace_id=row[11],
        tenant_id=row[12],
        back_offs=back_offs,
        interruptions=interruptions,
        delivery=row[13],
    )
    return StoredClaim(invocation, seq, number, due)
