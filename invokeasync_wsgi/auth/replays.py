"""Signatures that were used already: what keeps a request from being sent twice by a listener.

A signature is good for minutes, so whoever sees a request can send it again. Where that matters,
used signatures are remembered until they are too old to be used anyway: in one process's memory,
or in a file that all processes of a machine share.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..errors import ConfigurationError, StoreError
from ..process import PerProcess

if TYPE_CHECKING:
    import sqlite3


class Full(Exception):
    """As many signatures are remembered as may be: no more requests until some are too old."""


class Replays(Protocol):
    """Remembers signatures."""

    def is_new(self, signature: str, *, now: float, until: float) -> bool:
        """Remember a signature until a moment; whether it was not remembered yet.

        Raises:
            Full: there is no room.
        """


class MemoryReplays:
    """Remembers in the memory of one process.

    Args:
        capacity: most signatures at once.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._state = PerProcess(_Remembered)

    def is_new(self, signature: str, *, now: float, until: float) -> bool:
        """See `Replays.is_new`."""
        state = self._state.get()
        with state.lock:
            return state.add(signature, self._capacity, now, until)


class _Remembered:
    """One process's memory: signatures by the second in which they become too old."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._by_end: dict[float, set[str]] = {}
        self._count = 0

    def add(self, signature: str, capacity: int, now: float, until: float) -> bool:
        # The second is a matter of the signature, which therefore is in one set only.
        known = self._by_end.get(until, set())
        if signature in known:
            return False
        if self._count >= capacity:
            self._forget(now)
        if self._count >= capacity:
            raise Full
        known.add(signature)
        self._by_end[until] = known
        self._count += 1
        return True

    def _forget(self, now: float) -> None:
        for end in [end for end in self._by_end if end < now]:
            self._count -= len(self._by_end.pop(end))


class FileReplays:
    """Remembers in a SQLite file, for all processes of a machine.

    The file is synced by nobody: after a power cut what was lost of it matters only to signatures
    of the last minutes.

    Args:
        path: of the file, which is made if need be.
        capacity: most signatures at once.

    Raises:
        ConfigurationError: there is no such directory.
    """

    def __init__(self, path: str | os.PathLike[str], capacity: int) -> None:
        self._path = Path(path).absolute()
        self._capacity = capacity
        if not self._path.parent.is_dir():
            raise ConfigurationError(
                f"replays={str(path)!r}: there is no directory {str(self._path.parent)!r}"
            )
        self._state = PerProcess(_Opened)

    def is_new(self, signature: str, *, now: float, until: float) -> bool:
        """See `Replays.is_new`.

        Raises:
            StoreError: the file cannot be used.
        """
        import sqlite3

        state = self._state.get()
        with state.lock:
            if state.connection is None:
                state.connection = _open(self._path)
            value = bytes.fromhex(signature)
            try:
                state.connection.execute("BEGIN IMMEDIATE")
                try:
                    return self._remember(state, state.connection, value, now, until)
                finally:
                    state.connection.execute("COMMIT")
            except sqlite3.Error as exc:
                raise StoreError(f"{self._path}: it cannot be used: {exc}") from exc

    def _remember(
        self, state: _Opened, connection: sqlite3.Connection, value: bytes, now: float, until: float
    ) -> bool:
        connection.execute("DELETE FROM signature WHERE until < ?", (now,))
        known = connection.execute("SELECT 1 FROM signature WHERE value = ?", (value,))
        if known.fetchone() is not None:
            return False
        if state.room <= 0:
            # Counting takes longer than all the rest. Other processes add to the file, too, so it
            # may have more than it should by so many for each of them.
            [count] = connection.execute("SELECT count(*) FROM signature").fetchone()
            state.room = min(self._capacity - count, _COUNT_EVERY)
        if state.room <= 0:
            raise Full
        state.room -= 1
        connection.execute("INSERT INTO signature VALUES (?, ?)", (value, until))
        return True


_COUNT_EVERY = 256


class _Opened:
    """One process's connection, made at its first use."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.connection: sqlite3.Connection | None = None
        #: How many more fit for sure, as far as this process knows.
        self.room = 0


def _open(path: Path) -> sqlite3.Connection:
    import sqlite3

    try:
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(
            path, timeout=10, isolation_level=None, check_same_thread=False
        )
    except (OSError, sqlite3.Error) as exc:
        raise StoreError(f"{path}: it cannot be opened: {exc}") from exc
    try:
        tables = {name for [name] in connection.execute("SELECT tbl_name FROM sqlite_master")}
        if not tables <= {"signature"}:
            raise StoreError(f"{path}: it holds something else than used signatures")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS signature"
            " (value BLOB PRIMARY KEY, until REAL NOT NULL) WITHOUT ROWID"
        )
        connection.execute("CREATE INDEX IF NOT EXISTS signature_until ON signature (until)")
    except sqlite3.Error as exc:
        connection.close()
        raise StoreError(f"{path}: it cannot be used: {exc}") from exc
    except BaseException:
        connection.close()
        raise
    return connection


def make_replays(setting: str | None, capacity: int) -> Replays | None:
    """What a setting means: ``"memory"``, ``"sqlite:///replays.db"``, or ``None`` for nothing.

    Raises:
        ConfigurationError: it is none of them.
    """
    if setting is None:
        return None
    if setting == "memory":
        return MemoryReplays(capacity)
    path = setting.removeprefix("sqlite:///") if isinstance(setting, str) else setting
    if path and path != setting:
        return FileReplays(path, capacity)
    raise ConfigurationError(
        f"replays={setting!r}: it must be 'memory' or 'sqlite:///' and the path of a file"
    )
