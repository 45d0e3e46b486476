"""What clients have set of functions, kept in the SQLite file of a queue.

Read and written with connections that are opened for it: changes are rare, and readers look at most
a few times a second. A change is one commit, synced.
"""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import StoreError
from ..overrides import NOTHING_SET, Overrides
from . import database
from .overrides import EMPTY, Change, Snapshot, parse, parse_all
from .watch import Bell, bell_path

_MARK = "SELECT value FROM marks WHERE name = 'overrides'"
_SET_MARK = (
    "INSERT INTO marks VALUES ('overrides', ?)"
    " ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)
_READ = "SELECT function_name, document FROM overrides"
_READ_ONE = "SELECT document FROM overrides WHERE function_name = ?"
_WRITE = (
    "INSERT INTO overrides VALUES (?, ?)"
    " ON CONFLICT (function_name) DO UPDATE SET document = excluded.document"
)
_FORGET = "DELETE FROM overrides WHERE function_name = ?"


class SQLiteOverrides:
    """Overrides in a file. Holds plain values only.

    Args:
        path: the file, which need not exist.
        busy_timeout_s: how long to wait for other processes that write.
    """

    is_shared = True

    def __init__(self, path: Path, busy_timeout_s: float = 10) -> None:
        self._path = path
        self._busy_timeout_s = busy_timeout_s

    def read(self, known_mark: str | None = None) -> Snapshot | None:
        """See `OverridesStore.read`."""
        if not os.path.exists(self._path):
            return None if known_mark == EMPTY.mark else EMPTY
        with self._connection() as connection:
            connection.execute("BEGIN")  # one state of the file for both
            mark = read_mark(connection)
            return None if mark == known_mark else Snapshot(mark, _read(connection))

    def change(self, function_name: str, change: Change) -> Overrides:
        """See `OverridesStore.change`."""
        with self._transaction() as connection:
            row = connection.execute(_READ_ONE, (function_name,)).fetchone()
            held = NOTHING_SET if row is None else parse(function_name, row[0])
            changed = change(held, lambda: parse_all(_read(connection)))
            if changed is held:
                return held
            connection.execute(_WRITE, (function_name, changed.to_json()))
            connection.execute(_SET_MARK, (str(uuid.uuid4()),))
        self._ring()
        return changed

    def forget(self, function_name: str) -> bool:
        """See `OverridesStore.forget`."""
        with self._transaction() as connection:
            if not connection.execute(_FORGET, (function_name,)).rowcount:
                return False
            connection.execute(_SET_MARK, (str(uuid.uuid4()),))
        self._ring()
        return True

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._connection() as connection:
            connection.execute("PRAGMA synchronous = FULL")
            with database.transaction(connection, busy_timeout_s=self._busy_timeout_s):
                yield connection

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            with database.briefly(self._path, busy_timeout_s=self._busy_timeout_s) as connection:
                yield connection
        except (OSError, sqlite3.Error) as exc:
            raise StoreError(f"{self._path}: {exc}") from exc

    def _ring(self) -> None:
        bell = Bell(bell_path(self._path))
        bell.ring()
        bell.close()


def read_mark(connection: sqlite3.Connection) -> str:
    """The mark of what is set, by a connection that somebody has already."""
    row = connection.execute(_MARK).fetchone()
    return EMPTY.mark if row is None else str(row[0])


def _read(connection: sqlite3.Connection) -> dict[str, str]:
    # A text that is damaged is not to keep the others from being read.
    connection.text_factory = lambda text: text.decode(errors="backslashreplace")
    try:
        return dict(connection.execute(_READ).fetchall())
    finally:
        connection.text_factory = str
