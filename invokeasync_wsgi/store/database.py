"""The SQLite file: opening it, its schema, and what can be wrong with it.

One file for all processes of a machine, in WAL mode: its shared memory does not work across
machines, so a file on a network file system is refused where the system tells of it.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from importlib import resources
from pathlib import Path

from ..clock import SystemClock
from ..errors import ConfigurationError, StoreError
from ..process import PerProcess

#: "INVA" at its place in the file's header, so that no other database is taken for ours.
APPLICATION_ID = 0x494E5641

#: The steps from each version of the schema to the next; a file's version is how many it has seen.
MIGRATIONS = tuple(
    resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
    for name in ("schema.sql", "schema_2_overrides.sql")
)

_NETWORK_FILE_SYSTEMS = frozenset(
    {"9p", "afs", "ceph", "cifs", "fuse.glusterfs", "fuse.sshfs", "gfs2", "glusterfs", "lustre"}
    | {"ncpfs", "nfs", "nfs4", "ocfs2", "smb3", "smbfs", "virtiofs"}
)
#: Seconds between two looks whether another process is done writing.
_RETRY_S = 0.0005


def check(path: Path) -> None:
    """Refuse a file that cannot be used, as far as that shows without opening or creating it.

    Raises:
        ConfigurationError: it is no database, another's, in no usable directory, not writable, or
            on a network file system; or SQLite is too old.
    """
    if sqlite3.sqlite_version_info < (3, 35):
        raise ConfigurationError(
            f"executor: SQLite {sqlite3.sqlite_version} is too old; 3.35 or newer is needed"
        )
    directory = path.parent
    if not directory.is_dir():
        raise _unusable(path, f"there is no directory {str(directory)!r}")
    if _file_system(directory) in _NETWORK_FILE_SYSTEMS:
        raise _unusable(
            path,
            f"it is on a network file system ({_file_system(directory)}), where SQLite cannot keep "
            "processes apart; it must be on a disk of this machine",
        )
    if not os.access(directory, os.W_OK | os.X_OK):
        raise _unusable(path, "its directory is not writable")
    if not path.exists():
        return
    if not path.is_file() or not os.access(path, os.R_OK | os.W_OK):
        raise _unusable(path, "it must be a file that this user may read and write")
    # By SQLite and not by a look into the file: closing any other descriptor of it would end the
    # locks that this process may have on it.
    try:
        with closing(
            sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=0, isolation_level=None)
        ) as connection:
            _, is_ours = _identify(connection)
    except sqlite3.OperationalError:
        return  # in use, or only readable with its log: whoever opens it will see
    except sqlite3.DatabaseError as exc:
        raise _unusable(path, "it is no SQLite database") from exc
    if not is_ours:
        raise _unusable(path, "it is the database of another application")


def connect(path: Path, *, busy_timeout_s: float) -> sqlite3.Connection:
    """Open the file, make or bring up to date its tables, and return a connection.

    It may be used by any thread, one at a time. Made after the fork, never before.

    Args:
        path: the file; created if need be, readable by its owner only.
        busy_timeout_s: how long to wait for other processes that write.

    Raises:
        StoreError: the file cannot be used: not ours, a newer schema, no room, damaged.
    """
    try:
        # Only a file that nobody has: closing a descriptor of one that this process uses would end
        # its locks.
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as exc:
        raise StoreError(f"{path}: it cannot be opened: {exc}") from exc
    try:
        # SQLite's own waiting sleeps longer, and not in all cases.
        connection.execute("PRAGMA busy_timeout = 0")
        _patiently(
            lambda: _prepare(connection, path), busy_timeout_s
        )  # `transaction` waits, in shorter steps
        connection.execute("PRAGMA fullfsync = 1")  # macOS: else a power cut can undo a commit
        connection.execute("PRAGMA cache_size = -4000")
        # Only for when nobody checkpoints beside the writers: see `SQLiteStore.checkpoint`.
        connection.execute("PRAGMA wal_autocheckpoint = 8000")
        connection.execute(f"PRAGMA journal_size_limit = {64 * 1024 * 1024}")
    except sqlite3.Error as exc:
        connection.close()
        raise StoreError(f"{path}: it cannot be used: {exc}") from exc
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def briefly(path: Path, *, busy_timeout_s: float) -> Iterator[sqlite3.Connection]:
    """A connection for a moment: see `connect`. No fork of this process happens meanwhile.

    A child would inherit SQLite's belief that this process has locked the file, though locks are
    not inherited.
    """
    with (
        _open_briefly.get().one_more(),
        closing(connect(path, busy_timeout_s=busy_timeout_s)) as connection,
    ):
        yield connection


class _OpenBriefly:
    """How many such connections this process has, and who wants to fork."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._open = 0
        self._forking = 0

    @contextmanager
    def one_more(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._forking)
            self._open += 1
        try:
            yield
        finally:
            with self._changed:
                self._open -= 1
                self._changed.notify_all()

    def before_fork(self) -> None:
        with self._changed:
            self._forking += 1
            self._changed.wait_for(lambda: not self._open)

    def after_fork(self) -> None:
        with self._changed:
            self._forking -= 1
            self._changed.notify_all()


_open_briefly = PerProcess(_OpenBriefly)

# Registered before the one of `sqlite`, so called after it: who holds the connection that writes
# may open another one meanwhile, and not the other way round.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=lambda: _open_briefly.get().before_fork(),
        after_in_parent=lambda: _open_briefly.get().after_fork(),
    )


@contextmanager
def transaction(connection: sqlite3.Connection, *, busy_timeout_s: float) -> Iterator[None]:
    """A write transaction: committed at the end, rolled back on an exception.

    Begins with the write lock, so that no read has to be repeated as a write. SQLite's own waiting
    sleeps up to a tenth of a second at a time, and processes sleep past each other; this looks
    again after half a millisecond.

    Raises:
        sqlite3.OperationalError: another process has been writing for longer than the timeout.
    """
    _patiently(lambda: connection.execute("BEGIN IMMEDIATE"), busy_timeout_s)
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite has rolled back by itself after some errors
            connection.execute("ROLLBACK")
        raise


def _patiently(call: Callable[[], object], busy_timeout_s: float) -> None:
    """Call again for as long as another process is writing, up to the timeout."""
    clock = SystemClock()  # the other process's speed has nothing to do with any clock of ours
    give_up_at = None
    while True:
        try:
            call()
            return
        except sqlite3.OperationalError as exc:  # noqa: PERF203 - mostly there is no second try
            if not is_busy(exc):
                raise
            now = clock.monotonic()
            give_up_at = now + busy_timeout_s if give_up_at is None else give_up_at
            if now >= give_up_at:
                raise
            clock.alarm().wait(now + _RETRY_S)


def is_busy(exc: sqlite3.OperationalError) -> bool:
    """Whether an error only says that another process is writing."""
    return str(exc).startswith("database is locked") or str(exc).startswith("database table is")


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Check whose file it is, and bring its tables up to date."""
    version = _version(connection, path)
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StoreError(f"{path}: its file system does not allow SQLite's WAL mode")
    if version == len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Again, as another process may have done all this meanwhile.
        for number in range(_version(connection, path), len(MIGRATIONS)):
            for statement in _statements(MIGRATIONS[number]):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number + 1}")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection, path: Path) -> int:
    version, is_ours = _identify(connection)
    if not is_ours:
        raise StoreError(f"{path}: it is the database of another application")
    if version > len(MIGRATIONS):
        raise StoreError(
            f"{path}: its schema has version {version}, and this release knows {len(MIGRATIONS)}: "
            "a newer release of invokeasync_wsgi has used it"
        )
    return version


def _identify(connection: sqlite3.Connection) -> tuple[int, bool]:
    """The version of the schema, and whether it is ours or none yet; as of one moment."""
    begins = not connection.in_transaction  # another process may be making the tables
    if begins:
        connection.execute("BEGIN")
    try:
        # First what takes the snapshot.
        [tables] = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        [application_id] = connection.execute("PRAGMA application_id").fetchone()
        [version] = connection.execute("PRAGMA user_version").fetchone()
    finally:
        if begins and connection.in_transaction:
            connection.execute("COMMIT")
    return version, application_id == APPLICATION_ID or not (application_id or tables)


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _unusable(path: Path, reason: str) -> ConfigurationError:
    return ConfigurationError(f"executor: the file {str(path)!r} cannot be used: {reason}")


def _file_system(directory: Path) -> str:
    """The type of the file system that a directory is on; empty where the system does not say."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(errors="replace").splitlines()
        device = os.stat(directory).st_dev
    except OSError:
        return ""
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in lines:
        before, _, after = line.partition(" - ")
        if before.split()[2] == number:
            return after.split()[0]
    return ""
