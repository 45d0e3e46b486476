"""Opening the SQLite file: what is made, what is refused and why, and what a bad day leaves."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from invokeasync_wsgi.errors import ConfigurationError, StoreError
from invokeasync_wsgi.store import database
from tests.waiting import eventually

NEWEST = len(database.MIGRATIONS)
TABLES = {
    *("attempts", "events", "finished", "functions", "running", "waiting"),
    *("overrides", "marks"),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "queue.db"


@pytest.fixture
def opened(path: Path) -> Iterator[Callable[[], sqlite3.Connection]]:
    """Opens the file as a process does; what was opened is closed at the end."""
    connections: list[sqlite3.Connection] = []

    def opened(busy_timeout_s: float = 5) -> sqlite3.Connection:
        connections.append(database.connect(path, busy_timeout_s=busy_timeout_s))
        return connections[-1]

    yield opened
    for connection in connections:
        connection.close()


def pragma(connection: sqlite3.Connection, name: str) -> object:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def tables(connection: sqlite3.Connection) -> set[str]:
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    return {name for (name,) in rows}


def made_by_others(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


Open = Callable[..., sqlite3.Connection]


def test_a_new_file_is_readable_by_its_owner_only_and_says_whose_it_is(
    path: Path, opened: Open
) -> None:
    connection = opened()
    assert oct(path.stat().st_mode & 0o777) == "0o600"
    assert tables(connection) == TABLES
    expected = {
        "application_id": int.from_bytes(b"INVA", "big"),
        "user_version": NEWEST,
        "journal_mode": "wal",
    }
    assert {name: pragma(connection, name) for name in expected} == expected
    for suffix in ("-wal", "-shm"):
        assert oct(Path(f"{path}{suffix}").stat().st_mode & 0o777) == "0o600"


def test_what_was_made_once_is_opened_as_it_is(path: Path, opened: Open) -> None:
    with closing(opened()) as connection:
        connection.execute("INSERT INTO functions VALUES ('f', 1, 0)")
    assert opened().execute("SELECT * FROM functions").fetchall() == [("f", 1, 0)]
    database.check(path)


def test_an_empty_file_is_as_good_as_none(path: Path, opened: Open) -> None:
    path.touch()
    database.check(path)
    assert tables(opened()) == TABLES


def test_a_file_in_another_journal_mode_is_put_back_into_ours(path: Path, opened: Open) -> None:
    """``VACUUM INTO``, a usual way to make a backup, writes one."""
    backup = path.with_name("backup.db")
    opened().execute(f"VACUUM INTO '{backup}'")
    with closing(database.connect(backup, busy_timeout_s=5)) as connection:
        assert pragma(connection, "journal_mode") == "wal"


# --- what is refused --------------------------------------------------------------------------


def text_file(path: Path) -> None:
    path.write_text("a diary\n" * 100)


def of_another_application(path: Path) -> None:
    made_by_others(path, "PRAGMA application_id = 1", "CREATE TABLE t (a)")


def a_directory(path: Path) -> None:
    path.mkdir()


UNUSABLE: dict[str, tuple[Callable[[Path], None], str]] = {
    "a text": (text_file, "it is no SQLite database"),
    "another's": (of_another_application, "it is the database of another application"),
    "a directory": (a_directory, "it must be a file that this user may read and write"),
}


@pytest.mark.parametrize(("make", "reason"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_file_that_is_not_ours_is_refused_at_the_start_and_left_as_it_is(
    path: Path, make: Callable[[Path], None], reason: str
) -> None:
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(ConfigurationError) as refused:
        database.check(path)
    assert str(refused.value) == f"executor: the file {str(path)!r} cannot be used: {reason}"
    with pytest.raises(StoreError, match=str(path)):
        database.connect(path, busy_timeout_s=0)
    assert (path.read_bytes() if path.is_file() else None) == before


def test_another_application_need_not_say_that_it_is_one(path: Path) -> None:
    made_by_others(path, "CREATE TABLE diary (entry)")
    before = path.read_bytes()
    with pytest.raises(StoreError) as refused:
        database.connect(path, busy_timeout_s=0)
    assert str(refused.value) == f"{path}: it is the database of another application"
    assert path.read_bytes() == before


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "queue.db"
    with pytest.raises(ConfigurationError) as refused:
        database.check(path)
    assert str(refused.value) == (
        f"executor: the file {str(path)!r} cannot be used: there is no directory "
        f"{str(path.parent)!r}"
    )
    with pytest.raises(StoreError, match=f"{path}: it cannot be opened: .*No such file"):
        database.connect(path, busy_timeout_s=0)


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("directory", "its directory is not writable"),
        ("file", "it must be a file that this user may read and write"),
    ],
)
def test_what_may_not_be_written_is_refused(
    path: Path, what: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.touch()
    refused_path = path if what == "file" else path.parent
    access = os.access
    # Permissions mean nothing to root, who runs many tests.
    monkeypatch.setattr(os, "access", lambda p, mode: Path(p) != refused_path and access(p, mode))
    with pytest.raises(ConfigurationError) as refused:
        database.check(path)
    assert str(refused.value) == f"executor: the file {str(path)!r} cannot be used: {reason}"


def test_a_network_file_system_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = database._file_system(path.parent)
    if not kind:
        pytest.skip("this system does not say what its file systems are")
    database.check(path)
    monkeypatch.setattr(database, "_NETWORK_FILE_SYSTEMS", {kind})
    with pytest.raises(ConfigurationError, match=rf"network file system \({kind}\).*a disk of thi"):
        database.check(path)


def test_an_old_sqlite_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    with pytest.raises(ConfigurationError, match=r"SQLite .* is too old; 3\.35 or newer is needed"):
        database.check(path)


def test_a_file_that_a_newer_release_has_used_is_refused_and_left_as_it_is(
    path: Path, opened: Open
) -> None:
    opened().close()
    made_by_others(path, f"PRAGMA user_version = {NEWEST + 1}")
    with pytest.raises(StoreError) as refused:
        opened()
    assert str(refused.value) == (
        f"{path}: its schema has version {NEWEST + 1}, and this release knows {NEWEST}: a newer "
        "release of invokeasync_wsgi has used it"
    )
    made_by_others(path, f"PRAGMA user_version = {NEWEST}")
    assert tables(opened()) == TABLES


def test_a_look_at_a_file_in_use_does_not_unlock_it(path: Path, opened: Open) -> None:
    """Closing any descriptor of a file ends all locks that this process has on it.

    Without its lock the next process that closes the file takes itself for the last one and removes
    the log, while this one goes on writing to it.
    """
    connection = opened()
    connection.execute("INSERT INTO functions VALUES ('f', 1, 0)")
    database.check(path)
    database.connect(path, busy_timeout_s=0).close()
    script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]);"
    script += "c.execute('SELECT * FROM functions').fetchall(); c.close()"
    subprocess.run([sys.executable, "-c", script, str(path)], check=True)
    connection.execute("INSERT INTO functions VALUES ('g', 1, 0)")
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT name FROM functions").fetchall() == [("f",), ("g",)]


# --- bad days ---------------------------------------------------------------------------------


def test_a_file_that_others_write_for_too_long_is_refused_and_fine_later(
    path: Path, opened: Open
) -> None:
    first = opened(0)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with (
            pytest.raises(sqlite3.OperationalError, match="database is locked") as refused,
            database.transaction(first, busy_timeout_s=0.01),
        ):
            pass
        assert database.is_busy(refused.value)
        assert not first.in_transaction
        other.execute("ROLLBACK")
    with database.transaction(first, busy_timeout_s=0):
        first.execute("INSERT INTO functions VALUES ('f', 1, 0)")


def test_a_writer_waits_for_another_to_end(path: Path, opened: Open) -> None:
    first, second = opened(), opened()
    first.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.02, first.execute, ["COMMIT"])
    timer.start()
    with database.transaction(second, busy_timeout_s=10):
        second.execute("INSERT INTO functions VALUES ('f', 1, 0)")
    timer.join()


def test_an_exception_in_a_transaction_leaves_nothing_of_it(opened: Open) -> None:
    connection = opened()
    with suppress(KeyError), database.transaction(connection, busy_timeout_s=0):
        connection.execute("INSERT INTO functions VALUES ('f', 1, 0)")
        raise KeyError
    assert connection.execute("SELECT * FROM functions").fetchall() == []
    assert not connection.in_transaction


def test_a_full_disk_leaves_nothing_half_written(opened: Open) -> None:
    connection = opened()
    pages, large = pragma(connection, "page_count"), "g" * 100_000
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with (
        pytest.raises(sqlite3.OperationalError, match="full") as refused,
        database.transaction(connection, busy_timeout_s=0),
    ):
        connection.executemany("INSERT INTO functions VALUES (?, 1, 0)", [("f",), (large,)])
    assert not database.is_busy(refused.value)
    assert not connection.in_transaction
    assert connection.execute("SELECT * FROM functions").fetchall() == []
    connection.execute("PRAGMA max_page_count = 1000000")
    with database.transaction(connection, busy_timeout_s=0):
        connection.execute("INSERT INTO functions VALUES (?, 1, 0)", (large,))
    assert pragma(connection, "integrity_check") == "ok"


def test_a_file_in_a_full_directory_is_made_later(path: Path, opened: Open) -> None:
    path.mkdir()  # what a file cannot be made in place of, as if for want of room
    with pytest.raises(StoreError, match=f"{path}: it cannot be opened"):
        opened()
    path.rmdir()
    assert tables(opened()) == TABLES


def test_a_damaged_file_is_an_error_until_it_is_whole_again(path: Path, opened: Open) -> None:
    with closing(opened()) as connection, database.transaction(connection, busy_timeout_s=0):
        connection.executemany(
            "INSERT INTO functions VALUES (?, 1, 0)", [("f" * 500 + str(n),) for n in range(200)]
        )
    whole = path.read_bytes()
    middle = whole[: 4096 * 3] + b"\xff" * (len(whole) - 4096 * 3)
    path.write_bytes(middle)
    with closing(opened()) as connection, pytest.raises(sqlite3.DatabaseError, match="malformed"):
        connection.execute("SELECT total(waiting) FROM functions").fetchall()
    path.write_bytes(b"\xff" * len(whole))
    with pytest.raises(StoreError, match=f"{path}: it cannot be used: file is not a database"):
        opened()
    path.write_bytes(whole)
    assert opened().execute("SELECT total(waiting) FROM functions").fetchall() == [(200,)]


# --- versions ---------------------------------------------------------------------------------


def schema(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    return connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()


def at_version(path: Path, version: int) -> None:
    """A file as the release with that version of the schema left it, with an event in it."""
    script = "".join(database.MIGRATIONS[:version])
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"PRAGMA journal_mode = WAL; {script}")
        if version:
            connection.execute(f"PRAGMA application_id = {database.APPLICATION_ID}")
            connection.execute("INSERT INTO functions (name, waiting, running) VALUES ('f', 1, 0)")
        connection.execute(f"PRAGMA user_version = {version}")
        connection.commit()


@pytest.mark.parametrize("version", range(NEWEST + 1))
def test_a_file_of_any_version_is_brought_up_to_date_with_what_is_in_it(
    path: Path, version: int, opened: Open, tmp_path: Path
) -> None:
    at_version(path, version)
    connection = opened()
    assert pragma(connection, "user_version") == NEWEST
    with closing(database.connect(tmp_path / "new.db", busy_timeout_s=0)) as new:
        assert schema(connection) == schema(new)
    there = connection.execute("SELECT name, waiting, running FROM functions").fetchall()
    assert there == [("f", 1, 0)] * bool(version)


def test_a_migration_that_fails_leaves_the_file_as_it_was(
    path: Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened().close()
    broken = "CREATE TABLE more (a);\nINSERT INTO functions VALUES ('f', 1, 0);\nSELECT nonsense;"
    with monkeypatch.context() as patch:
        patch.setattr(database, "MIGRATIONS", (*database.MIGRATIONS, broken))
        with pytest.raises(StoreError, match=f"{path}: it cannot be used: no such column"):
            opened()
    connection = opened()
    assert tables(connection) == TABLES
    assert connection.execute("SELECT * FROM functions").fetchall() == []


def test_processes_that_make_the_file_at_once_make_it_once(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from invokeasync_wsgi.store import database
from tests.waiting import eventually
for line in sys.stdin:
    connection = database.connect(Path(line.strip()), busy_timeout_s=10)
    with database.transaction(connection, busy_timeout_s=10):
        connection.execute(
            "INSERT INTO functions VALUES ('f', 1, 0)"
            " ON CONFLICT (name) DO UPDATE SET waiting = waiting + 1"
        )
    connection.close()
    print("done", flush=True)
"""
    pipe = subprocess.PIPE
    children = [
        subprocess.Popen(
            [sys.executable, "-c", script], stdin=pipe, stdout=pipe, stderr=pipe, text=True
        )
        for _ in range(4)
    ]
    paths = [tmp_path / f"{number}.db" for number in range(60)]
    answers = set()
    for path in paths:  # all of them begin with one file at the same moment
        for child in children:
            assert child.stdin is not None
            with suppress(BrokenPipeError):
                child.stdin.write(f"{path}\n")
                child.stdin.flush()
        for child in children:
            assert child.stdout is not None
            answers.add(child.stdout.readline())
    errors = [child.communicate(timeout=30)[1] for child in children]
    assert (answers, "".join(errors)) == ({"done\n"}, "")
    for path in paths:
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("SELECT * FROM functions").fetchall() == [("f", 4, 0)]


def test_threads_that_bring_the_file_up_to_date_at_once_do_it_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.connect(path, busy_timeout_s=0).close()
    step = "CREATE TABLE more (a);\nINSERT INTO functions VALUES ('migrated', 1, 0);"
    monkeypatch.setattr(database, "MIGRATIONS", (*database.MIGRATIONS, step))
    together = threading.Barrier(8)
    results: list[object] = []

    def connect() -> None:
        together.wait(10)
        try:
            with closing(database.connect(path, busy_timeout_s=10)) as connection:
                results.append(connection.execute("SELECT * FROM functions").fetchall())
        except Exception as exc:
            results.append(exc)

    threads = [threading.Thread(target=connect) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert results == [[("migrated", 1, 0)]] * 8


# --- connections for a moment -------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_no_fork_happens_while_a_connection_is_open_for_a_moment(path: Path) -> None:
    """A child would believe in locks that it does not have."""
    opened, may_close, forked = threading.Event(), threading.Event(), threading.Event()
    children: list[int] = []

    def hold() -> None:
        with database.briefly(path, busy_timeout_s=1):
            opened.set()
            may_close.wait(10)
            assert not forked.is_set()

    def fork() -> None:
        child = os.fork()
        if child == 0:
            try:
                with database.briefly(path, busy_timeout_s=1) as connection:
                    connection.execute("INSERT INTO marks VALUES ('child', 'was here')")
                os._exit(0)
            except BaseException:
                os._exit(1)
        forked.set()
        children.append(child)

    holder, forker = threading.Thread(target=hold), threading.Thread(target=fork)
    holder.start()
    assert opened.wait(10)
    forker.start()
    eventually(lambda: database._open_briefly.get()._forking == 1)
    assert not forked.is_set()
    may_close.set()
    holder.join(10)
    forker.join(10)
    assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 0
    with database.briefly(path, busy_timeout_s=1) as connection:
        assert connection.execute("SELECT value FROM marks").fetchall() == [("was here",)]


def test_any_number_of_connections_may_be_open_for_a_moment(path: Path) -> None:
    """One that waits for another's transaction must not keep that one from opening a second."""
    with (
        database.briefly(path, busy_timeout_s=1) as one,
        database.transaction(one, busy_timeout_s=1),
        database.briefly(path, busy_timeout_s=1) as other,
    ):
        assert other.execute("SELECT count(*) FROM overrides").fetchone() == (0,)


def test_a_file_of_the_first_version_gets_what_it_lacks(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(database.MIGRATIONS[0])
        connection.execute("PRAGMA user_version = 1")
        connection.execute(f"PRAGMA application_id = {database.APPLICATION_ID}")
        connection.execute("INSERT INTO functions VALUES ('f', 1, 0)")
    with database.briefly(path, busy_timeout_s=1) as connection:
        assert tables(connection) == TABLES
        assert connection.execute("SELECT * FROM functions").fetchall() == [("f", 1, 0)]
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
