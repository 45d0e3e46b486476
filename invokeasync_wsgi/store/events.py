"""What operators see and do: the events of a file listed, shown, redriven and purged.

Reads and writes the file that `SQLiteStore` works on, while it is in use or not. Every change is
made in transactions of a hundred events, so that nobody waits for long.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ..clock import Clock, SystemClock
from ..errors import ConfigurationError, StoreError
from . import database
from .watch import Bell, bell_path

State = Literal["waiting", "running", "succeeded", "dead"]
STATES: tuple[State, ...] = ("waiting", "running", "succeeded", "dead")

_BATCH = 100
#: Above all times and numbers of events.
_END_OF_TIME = 2**62

_COLUMNS = (
    "events.seq, request_id, events.function_name, qualifier, accepted_at, length(payload),"
    " delivery IS NOT NULL"
)
_LAST_RESULT = (
    "(SELECT CASE WHEN function_error IS NULL THEN NULL ELSE CAST(result AS TEXT) END"
    " FROM attempts WHERE attempts.seq = events.seq ORDER BY number DESC LIMIT 1)"
)
_LIST_WAITING = (
    f"SELECT {_COLUMNS}, attempt, NULL, due, NULL, {_LAST_RESULT}"
    " FROM waiting CROSS JOIN events ON events.seq = waiting.seq"
    " WHERE waiting.function_name = ? AND (due, waiting.seq) > (?, ?)"
    " ORDER BY due, waiting.seq LIMIT ?"
)
_WITH_WAITING = "SELECT name FROM functions WHERE waiting > 0 AND name >= ? ORDER BY name"
_LIST_RUNNING = (
    f"SELECT {_COLUMNS}, attempt, NULL, due, NULL, {_LAST_RESULT}"
    " FROM running INDEXED BY running_by_owner CROSS JOIN events ON events.seq = running.seq"
    " WHERE owner > '' AND ifnull(? = running.function_name, 1) AND running.seq < ?"
    " ORDER BY running.seq DESC LIMIT ?"
)
_LIST_FINISHED = (
    f"SELECT {_COLUMNS}, attempt, condition, NULL, finished_at, {_LAST_RESULT}"
    " FROM finished CROSS JOIN events ON events.seq = finished.seq"
    " WHERE dead = ? AND ifnull(? = finished.function_name, 1)"
    " AND (finished_at, finished.seq) < (?, ?)"
    " ORDER BY finished_at DESC, finished.seq DESC LIMIT ?"
)
_LIST_DEAD_OF_FUNCTION = _LIST_FINISHED.replace(
    "WHERE dead = ? AND ifnull(? = finished.function_name, 1)",
    "WHERE dead = 1 AND dead = ? AND finished.function_name = ?",
)
_SHOW = (
    f"SELECT {_COLUMNS}, coalesce(running.attempt, finished.attempt, 1), condition, running.due,"
    f" finished_at, {_LAST_RESULT}, running.seq IS NOT NULL, dead,"
    " payload, client_context, trace_id, tenant_id"
    " FROM events LEFT JOIN running ON running.seq = events.seq"
    " LEFT JOIN finished ON finished.seq = events.seq"
    " WHERE request_id = ? ORDER BY events.seq"
)
# No list leads from an event to its place among the waiting; but it is not before its last change.
_WAITING_OF = (
    "SELECT attempt, due FROM waiting WHERE function_name = ? AND due >= ? AND seq = ? LIMIT 1"
)
_ATTEMPTS_OF = (
    "SELECT number, attempt, ended_at, duration_s, executed_version, function_error, result, log"
    " FROM attempts WHERE seq = ? ORDER BY number"
)
_DEAD = "SELECT seq FROM finished WHERE dead = 1 AND finished_at <= ? ORDER BY finished_at LIMIT ?"
_DEAD_OF_FUNCTION = (
    "SELECT seq FROM finished WHERE dead = 1 AND function_name = ? AND finished_at <= ?"
    " ORDER BY finished_at LIMIT ?"
)
_DEAD_OF_REQUEST = (
    "SELECT finished.seq FROM events CROSS JOIN finished ON finished.seq = events.seq"
    " WHERE request_id = ? AND dead = 1 AND finished_at <= ? LIMIT ?"
)
_RENEW = "UPDATE events SET accepted_at = ? WHERE seq = ?"
_WAIT_AGAIN = (
    "INSERT INTO waiting SELECT function_name, ?, seq, 1, 0, 0, 0 FROM events WHERE seq = ?"
)
_COUNT_WAITING = (
    "INSERT INTO functions SELECT function_name, 1, 0 FROM events WHERE seq = ?"
    " ON CONFLICT (name) DO UPDATE SET waiting = waiting + 1"
)
_NO_LONGER_FINISHED = "DELETE FROM finished WHERE seq = ?"
_DROP_ATTEMPTS = "DELETE FROM attempts WHERE seq = ?"
_DROP_EVENT = "DELETE FROM events WHERE seq = ?"
_DEPTHS = (
    "SELECT name, waiting, running, (SELECT count(*) FROM finished"
    " INDEXED BY dead_letters_by_function WHERE dead = 1 AND function_name = functions.name)"
    " FROM functions"
)


class Event(NamedTuple):
    """An event, and where it stands. Times are in seconds since the epoch."""

    seq: int
    request_id: str
    function_name: str
    qualifier: str | None
    accepted_at: float
    payload_bytes: int
    #: Whether it is a record or dead letter on its way to a destination.
    is_delivery: bool
    state: State
    #: The number of the attempt that waits or runs, or of the last one that was made.
    attempt: int
    #: ``Success``, or why it was given up; ``None`` before its end.
    condition: str | None
    #: When the next attempt may run; ``None`` after its end.
    due: float | None
    finished_at: float | None
    #: The error of the last attempt, as JSON text; ``None`` when it did not fail.
    error: str | None


class AttemptRecord(NamedTuple):
    """What an attempt came to."""

    number: int
    attempt: int
    ended_at: float
    duration_s: float
    executed_version: str
    function_error: str | None
    result: bytes
    log: str


class EventDetail(NamedTuple):
    """All that is known of an event."""

    event: Event
    payload: bytes
    client_context: str | None
    trace_id: str | None
    tenant_id: str | None
    attempts: list[AttemptRecord]


class Depth(NamedTuple):
    """How many events a function has."""

    function_name: str
    waiting: int
    running: int
    dead: int


class Events:
    """The events of a file. Opens a connection for each call, so threads and forks may share it.

    Args:
        path: the file of a `DurableExecutor`; it must exist.
        clock: gives the time of a redrive.
        busy_timeout_s: how long to wait for processes that write.

    Raises:
        ConfigurationError: there is no such file, or it cannot be used.
        StoreError: raised by all calls when the file cannot be used (any more).
    """

    def __init__(
        self, path: str | Path, clock: Clock | None = None, *, busy_timeout_s: float = 10
    ) -> None:
        self.path = Path(path).absolute()
        self._clock: Clock = SystemClock() if clock is None else clock
        self._busy_timeout_s = busy_timeout_s
        database.check(self.path)
        if not self.path.exists():
            raise ConfigurationError(f"executor: there is no file {str(self.path)!r}")

    def find(
        self,
        state: State = "dead",
        *,
        function_name: str | None = None,
        limit: int = 100,
        before: Event | None = None,
    ) -> list[Event]:
        """Events in a state: the waiting by function and time, the others from the latest on.

        Args:
            state: of `STATES`.
            function_name: of this function, or destination, only.
            limit: how many at most.
            before: the last event of an earlier list, to go on behind it.
        """
        if state not in STATES:
            raise ConfigurationError(f"state={state!r}: it must be one of {', '.join(STATES)}")
        with self._connection() as connection:
            if state == "waiting":
                return _find_waiting(connection, function_name, limit, before)
            seq = _END_OF_TIME if before is None else before.seq
            if state == "running":
                rows = connection.execute(_LIST_RUNNING, (function_name, seq, limit))
            else:
                dead = state == "dead"
                of_function = dead and function_name is not None
                query = _LIST_DEAD_OF_FUNCTION if of_function else _LIST_FINISHED
                finished_at = _END_OF_TIME if before is None else before.finished_at
                rows = connection.execute(query, (dead, function_name, finished_at, seq, limit))
            return [_event(row, state) for row in rows]

    def get(self, request_id: str) -> list[EventDetail]:
        """All that is known of the events with a request id: the event, and its deliveries."""
        with self._connection() as connection:
            details = []
            for row in connection.execute(_SHOW, (request_id,)).fetchall():
                event = _event(row[:12], _state(is_running=row[12], dead=row[13]))
                found = connection.execute(_ATTEMPTS_OF, (event.seq,)).fetchall()
                attempts = [AttemptRecord(*attempt) for attempt in found]
                if event.state == "waiting":
                    since = max([event.accepted_at, *(each.ended_at for each in attempts[-1:])])
                    for earliest in (since, 0):  # it is before that if the clock was set back
                        key = (event.function_name, earliest, event.seq)
                        waiting = connection.execute(_WAITING_OF, key).fetchone()
                        if waiting is not None:
                            event = event._replace(attempt=waiting[0], due=waiting[1])
                            break
                payload, client_context, trace_id, tenant_id = row[14:]
                detail = EventDetail(event, payload, client_context, trace_id, tenant_id, attempts)
                details.append(detail)
            return details

    def depths(self) -> list[Depth]:
        """How many events each function, and each destination, has."""
        with self._connection() as connection:
            return [Depth(*row) for row in connection.execute(_DEPTHS)]

    def redrive(self, *, request_id: str | None = None, function_name: str | None = None) -> int:
        """Have dead letters run again, with all their attempts and their age from now on.

        Args:
            request_id: only those with this id.
            function_name: only those of this function, or destination.

        Returns:
            How many.
        """
        now = self._clock.time()
        number = self._for_each_dead(
            request_id,
            function_name,
            until=now,  # not those that die again meanwhile
            statements=(
                (_NO_LONGER_FINISHED, ()),
                (_RENEW, (now,)),
                (_WAIT_AGAIN, (now,)),
                (_COUNT_WAITING, ()),
            ),
        )
        bell = Bell(bell_path(self.path))
        bell.ring()
        bell.close()
        return number

    def purge(
        self,
        *,
        request_id: str | None = None,
        function_name: str | None = None,
        older_than_s: float = 0,
    ) -> int:
        """Remove dead letters for good.

        Args:
            request_id: only those with this id.
            function_name: only those of this function, or destination.
            older_than_s: only those that were given up at least so many seconds ago.

        Returns:
            How many.
        """
        return self._for_each_dead(
            request_id,
            function_name,
            until=self._clock.time() - older_than_s,
            statements=((_NO_LONGER_FINISHED, ()), (_DROP_ATTEMPTS, ()), (_DROP_EVENT, ())),
        )

    def _for_each_dead(
        self,
        request_id: str | None,
        function_name: str | None,
        *,
        until: float,
        statements: tuple[tuple[str, tuple[Any, ...]], ...],
    ) -> int:
        """Execute statements for the dead letters of these days, a batch in each transaction."""
        keys: tuple[str, ...] = ()
        if request_id is not None:
            query, keys = _DEAD_OF_REQUEST, (request_id,)
        elif function_name is not None:
            query, keys = _DEAD_OF_FUNCTION, (function_name,)
        else:
            query = _DEAD
        total = 0
        with self._connection() as connection:
            while True:
                with database.transaction(connection, busy_timeout_s=self._busy_timeout_s):
                    dead = connection.execute(query, (*keys, until, _BATCH)).fetchall()
                    for statement, parameters in statements:
                        connection.executemany(statement, [(*parameters, seq) for (seq,) in dead])
                total += len(dead)
                if len(dead) < _BATCH:
                    return total

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        if not self.path.exists():
            raise StoreError(f"{self.path}: the file is gone")
        connection = database.connect(self.path, busy_timeout_s=self._busy_timeout_s)
        try:
            with closing(connection):
                yield connection
        except sqlite3.Error as exc:
            raise StoreError(f"{self.path}: {exc}") from exc


def _find_waiting(
    connection: sqlite3.Connection, function_name: str | None, limit: int, before: Event | None
) -> list[Event]:
    """Waiting events, function by function, each in the order of their times."""
    first = before.function_name if before else ""
    names = [name for (name,) in connection.execute(_WITH_WAITING, (first,))]
    found: list[Event] = []
    for name in names if function_name is None else [function_name]:
        is_same = before is not None and name == before.function_name
        after = (before.due, before.seq) if before and is_same else (-1, -1)
        rows = connection.execute(_LIST_WAITING, (name, *after, limit - len(found)))
        found += [_event(row, "waiting") for row in rows]
        if len(found) >= limit:
            break
    return found


def _event(row: Any, state: State) -> Event:
    """The event in a row that begins with the columns of the lists above."""
    seq, request_id, name, qualifier, accepted_at, size, is_delivery, *rest = row
    delivery = bool(is_delivery)
    return Event(seq, request_id, name, qualifier, accepted_at, size, delivery, state, *rest)


def _state(*, is_running: bool, dead: int | None) -> State:
    if is_running:
        return "running"
    if dead is None:
        return "waiting"
    return "dead" if dead else "succeeded"
