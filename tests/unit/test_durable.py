"""The durable executor: what it accepts, runs, shares with others, hands back and survives."""

from __future__ import annotations

import queue
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from invokeasync_wsgi import Functions, InvokeAsyncMiddleware, process
from invokeasync_wsgi.catalog import LOOK_S
from invokeasync_wsgi.errors import ConfigurationError, ExecutorClosed, StoreError
from invokeasync_wsgi.executors import durable
from invokeasync_wsgi.executors.durable import DurableExecutor
from invokeasync_wsgi.invocation import Invocation
from invokeasync_wsgi.store import Counts, owners
from invokeasync_wsgi.store.sqlite import Room, SQLiteStore, Wanted
from invokeasync_wsgi.testing import Client, FakeClock

from ..waiting import eventually


class WallClock(FakeClock):
    """A fake clock whose wall can be set without time passing."""

    ahead_s = 0.0

    def time(self) -> float:
        return super().time() + self.ahead_s


class Process:
    """An application with an executor, as a process has it."""

    def __init__(self, site: Site, **options: Any) -> None:
        self.executor = DurableExecutor(site.path, **{"synchronous": "normal", **options})
        self.ran: list[Any] = []
        self.functions = Functions()
        self.functions.add("note", lambda event, context: self.ran.append(event))
        self.functions.add("fail", self._fail)
        self.functions.add("hold", site.hold, timeout_s=900)
        self.functions.add("hold_one", site.hold, timeout_s=900, reserved_concurrency=1)
        self.app = InvokeAsyncMiddleware(
            None, self.functions, auth="none", executor=self.executor, clock=site.clock
        )
        self.client = Client(self.app)
        self.submit = self.app.submit

    def _fail(self, event: Any, context: Any) -> None:
        self.ran.append(event)
        raise ValueError("as it must")

    @property
    def queue(self) -> Any:
        return self.executor._queues.get()


class Site:
    """Processes on one file, with one clock, and handlers that tests hold."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = WallClock()
        self.started: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.release = threading.Event()
        self._lock = threading.Lock()
        self.holding = 0
        self.most_holding = 0
        self.processes: list[Process] = []
        self.file = SQLiteStore(path, self.clock, synchronous="normal")

    def hold(self, event: Any, context: Any) -> None:
        with self._lock:
            self.holding += 1
            self.most_holding = max(self.most_holding, self.holding)
        self.started.put(event)
        self.release.wait(30)
        with self._lock:
            self.holding -= 1

    def process(self, **options: Any) -> Process:
        self.processes.append(Process(self, **options))
        return self.processes[-1]

    def until(self, is_true: Callable[[], object], *, within_s: float = 10) -> None:
        """Let a little time pass, again and again, until something is so."""

        def look() -> bool:
            if is_true():
                return True
            self.clock.advance(durable.POLL_S / 2)
            return False

        eventually(look, within_s=within_s)

    def pass_time(self, seconds: float) -> None:
        """Let time pass in steps in which everybody has looked at the clock."""
        for _ in range(int(seconds / durable.UPKEEP_S) + 1):
            self.clock.advance(durable.UPKEEP_S)
            threading.Event().wait(0.002)

    def settle(self) -> None:
        """Wait until nothing is running, here or there."""
        self.until(lambda: self.file.counts().running == 0)

    def add(self, function: str, *request_ids: str, payload: bytes = b"{}") -> None:
        """Have events in the file that no process here has accepted."""
        for request_id in request_ids:
            self.file.add(
                Invocation(
                    request_id=request_id,
                    function_name=function,
                    payload=payload,
                    accepted_at=self.clock.time(),
                )
            )

    def claim_all(self, owner: str) -> frozenset[int]:
        """Have everything that is due claimed by somebody; the numbers of the events."""
        got = self.file.exchange(owner, [], Wanted(100, lambda name: Room(100, 100, 0)))
        return frozenset(claim.seq for claim in got.claims)

    def rows(self, query: str) -> list[Any]:
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(query).fetchall()

    def close(self) -> None:
        self.release.set()
        for each in self.processes:
            each.app.close()
        self.file.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path / "queue.db")
    yield made
    made.close()


# --- settings and start -----------------------------------------------------------------------

REFUSED: list[tuple[str, Any, str]] = [
    ("workers", -1, "a whole number, 0 or more"),
    ("workers", 1.5, "a whole number, 0 or more"),
    ("workers", True, "a whole number, 0 or more"),
    ("max_waiting", 0, "a whole number, 1 or more"),
    ("max_lost", -1, "a whole number, 0 or more"),
    ("retention_s", -1, "a number of seconds, 0 or more"),
    ("retention_s", float("nan"), "a number of seconds, 0 or more"),
    ("dead_letter_retention_s", float("inf"), "a number of seconds, 0 or more"),
    ("dead_letter_retention_s", "1", "a number of seconds, 0 or more"),
    ("lease_s", 0.5, "a number of seconds, 1 or more"),
    ("busy_timeout_s", -0.1, "a number of seconds, 0 or more"),
    ("synchronous", "off", "'full' or 'normal'"),
    ("synchronous", "FULL", "'full' or 'normal'"),
    ("path", "", "that of a file: events in memory are 'threads:'"),
]


@pytest.mark.parametrize(("name", "value", "allowed"), REFUSED)
def test_a_setting_that_makes_no_sense_is_refused_by_name_value_and_what_is_allowed(
    name: str, value: Any, allowed: str
) -> None:
    options = {"path": "queue.db", name: value}
    with pytest.raises(ConfigurationError) as refused:
        DurableExecutor(**options)
    assert str(refused.value) == f"sqlite: {name}={value!r}: it must be {allowed}"


def test_nothing_is_made_before_the_first_event(site: Site) -> None:
    before = threading.active_count()
    site.process()
    assert list(site.path.parent.iterdir()) == []
    assert threading.active_count() == before


def test_a_file_that_cannot_be_used_is_refused_at_the_start(site: Site) -> None:
    site.path.write_text("a diary")
    with pytest.raises(ConfigurationError, match="it is no SQLite database"):
        site.process()
    site.path.unlink()


def test_its_promise_says_whether_an_event_survives_a_power_cut(tmp_path: Path) -> None:
    promises = {
        synchronous: DurableExecutor(tmp_path / "q.db", synchronous=synchronous).promise
        for synchronous in ("full", "normal")
    }
    assert promises == {
        "full": "kill -9 of every process at any instant, and a power cut",
        "normal": "kill -9 of every process at any instant; not a power cut",
    }


def test_an_executor_serves_one_application_only(site: Site) -> None:
    executor = site.process().executor
    with pytest.raises(ConfigurationError, match="serves another application already"):
        InvokeAsyncMiddleware(None, Functions(), auth="none", executor=executor)


# --- events and their attempts ----------------------------------------------------------------


def test_an_event_runs_and_what_came_of_it_is_kept(site: Site) -> None:
    one = site.process(workers=1)
    assert one.client.invoke_async("note", b'{"a": 1}').status == 202
    site.until(lambda: one.ran == [{"a": 1}])
    site.until(lambda: site.rows("SELECT condition, attempt FROM finished") == [("Success", 1)])
    assert site.rows("SELECT result FROM attempts") == [(b"null",)]
    [(log,)] = site.rows("SELECT log FROM attempts")
    assert log.startswith("START RequestId: ")


def test_a_failed_attempt_is_tried_again_after_one_and_two_minutes_and_then_given_up(
    site: Site,
) -> None:
    one = site.process(workers=1)
    began = site.clock.time()
    one.submit("fail", 1)
    for attempt, wait_s in ((1, 60), (2, 120)):
        eventually(lambda: len(one.ran) == attempt)  # noqa: B023
        eventually(lambda: site.file.counts() == Counts(1, 0))
        [(due, number)] = site.rows("SELECT due, attempt FROM waiting")
        assert (due - site.clock.time(), number) == (wait_s, attempt + 1)
        site.clock.advance(wait_s - 1)
        one.submit("note", "in between")
        eventually(lambda: one.ran[-1] == "in between")
        eventually(lambda: site.file.counts() == Counts(1, 0))
        one.ran.remove("in between")
        assert len(one.ran) == attempt
        site.clock.advance(1)
    eventually(lambda: len(one.ran) == 3)
    eventually(lambda: site.file.counts() == Counts(0, 0))
    assert site.rows("SELECT condition, attempt, finished_at FROM finished WHERE dead") == [
        ("RetriesExhausted", 3, began + 180)
    ]


def test_no_more_than_reserved_run_at_once_over_all_processes(site: Site) -> None:
    two = [site.process(workers=4) for _ in range(2)]
    for number in range(6):
        two[number % 2].submit("hold_one", number)
    assert site.started.get(timeout=10) == 0
    site.pass_time(3)
    assert site.file.counts() == Counts(5, 1)
    site.release.set()
    site.until(lambda: site.file.counts() == Counts(0, 0))
    assert site.most_holding == 1


def test_a_slow_function_does_not_starve_the_others(site: Site) -> None:
    one = site.process(workers=3)
    for number in range(9):
        one.submit("hold", number)
    assert [site.started.get(timeout=10) for _ in range(2)]
    for number in range(5):
        one.submit("note", number)
    site.until(lambda: one.ran == [0, 1, 2, 3, 4])
    assert site.holding == 2


def test_processes_share_the_work_and_nothing_runs_twice(site: Site) -> None:
    two = [site.process(workers=2) for _ in range(2)]
    for number in range(4):
        two[0].submit("hold", number)
    # One may keep a worker of its own for other functions; the other process has room as well.
    two[1].executor.resume()
    site.until(lambda: site.holding >= 2)
    site.release.set()
    for number in range(200):
        two[number % 2].submit("note", number)
    site.until(lambda: site.file.counts() == Counts(0, 0))
    assert sorted(two[0].ran + two[1].ran) == list(range(200))
    assert site.rows("SELECT count(*) FROM attempts") == [(204,)]


def test_what_another_process_accepts_is_run_here(site: Site) -> None:
    here, there = site.process(workers=1), site.process(workers=0)
    here.executor.resume()
    for number in range(20):
        there.submit("note", number)
        # However its commit falls between the looks at the file.
        site.until(lambda: len(here.ran) == number + 1)  # noqa: B023
    assert there.ran == []


def test_an_event_of_another_process_that_comes_just_before_the_upkeep_is_seen(
    site: Site,
) -> None:
    one = site.process(workers=1)
    one.submit("note", "first")
    site.until(lambda: one.ran == ["first"])
    site.settle()
    site.pass_time(2)
    site.add("note", "another's")
    site.clock.advance(durable.UPKEEP_S)  # the next look is one that looks after everything
    site.until(lambda: len(one.ran) == 2)


def test_a_process_without_workers_only_accepts(site: Site) -> None:
    one = site.process(workers=0)
    before = set(threading.enumerate())
    one.submit("note", 1)
    one.executor.resume()
    assert set(threading.enumerate()) <= before
    assert one.executor.stats() == (0, 0, 1, 0)
    assert list(owners.names(Path(f"{site.path}-owners"))) == []


# --- draining ---------------------------------------------------------------------------------


def test_the_drain_waits_for_what_runs_and_leaves_the_rest_in_the_file(site: Site) -> None:
    one = site.process(workers=1)
    for number in range(3):
        one.submit("hold", number)
    assert site.started.get(timeout=10) == 0
    threading.Timer(0.05, site.release.set).start()
    one.app.drain(10)
    assert site.file.counts() == Counts(2, 0)
    assert site.rows("SELECT condition FROM finished") == [("Success",)]
    assert site.started.empty()
    assert list(owners.names(Path(f"{site.path}-owners"))) == []


def test_what_is_not_finished_in_time_is_given_back_and_runs_elsewhere(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    one = site.process(workers=2)
    request_id = one.submit("hold", "twice")
    assert site.started.get(timeout=10) == "twice"
    one.app.drain(0)
    assert f"request {request_id} was not finished in time, and runs again elsewhere" in caplog.text
    assert site.file.counts() == Counts(1, 0)
    site.release.set()
    other = site.process(workers=2)
    other.executor.resume()
    site.until(lambda: site.file.counts() == Counts(0, 0))
    assert site.rows("SELECT condition, attempt FROM finished") == [("Success", 1)]
    assert site.rows("SELECT count(*) FROM attempts") == [(1,)]


def test_after_the_drain_nothing_is_accepted(site: Site) -> None:
    one = site.process(workers=1)
    one.submit("note", 1)
    one.app.drain(10)
    with pytest.raises(ExecutorClosed):
        one.executor.submit(
            Invocation(request_id="late", function_name="note", payload=b"1", accepted_at=0)
        )
    assert one.client.invoke_async("note").status == 503
    assert site.rows("SELECT * FROM events WHERE request_id = 'late'") == []


# --- what goes wrong --------------------------------------------------------------------------


def test_a_broken_file_is_an_error_for_each_caller_until_it_is_whole_again(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    one = site.process(workers=1)
    site.path.write_bytes(b"\xff" * 8192)
    for _ in range(3):
        assert one.client.invoke_async("note", b"1").status == 500
    assert caplog.text.count("file is not a database") == 4  # and what is set in it
    one.executor.resume()
    eventually(lambda: "the queue is out of order" in caplog.text)
    assert "file is not a database" in caplog.text
    site.path.unlink()
    site.clock.advance(LOOK_S)
    assert one.client.invoke_async("note", b"2").status == 202
    site.until(lambda: one.ran == [2])


def test_a_file_that_is_written_by_others_for_too_long_delays_and_loses_nothing(
    site: Site,
) -> None:
    one = site.process(workers=1, busy_timeout_s=0)
    one.submit("hold", 0)
    assert site.started.get(timeout=10) == 0
    with closing(sqlite3.connect(site.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert one.client.invoke_async("note", b"1").status == 500
        site.release.set()
        site.until(lambda: site.holding == 0)
        other.execute("ROLLBACK")
    assert one.client.invoke_async("note", b"2").status == 202
    site.until(lambda: site.file.counts() == Counts(0, 0))
    assert one.ran == [2]
    assert site.rows("SELECT count(*) FROM attempts") == [(2,)]


def lock_after_the_commit(site: Site, one: Process) -> Callable[[], None]:
    """Have somebody take the write lock when the next event is committed; gives their end of it."""
    add = one.queue._store.add
    other = sqlite3.connect(site.path, isolation_level=None)

    def add_and_lock(invocation: Invocation) -> None:
        one.queue._store.add = add
        add(invocation)
        other.execute("BEGIN IMMEDIATE")

    def unlock() -> None:
        other.execute("ROLLBACK")
        other.close()

    one.queue._store.add = add_and_lock
    return unlock


def test_an_event_that_could_not_be_fetched_at_once_is_fetched_later(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    one = site.process(workers=1, busy_timeout_s=0)
    one.submit("note", 1)
    site.until(lambda: one.ran == [1])
    site.settle()
    unlock = lock_after_the_commit(site, one)
    one.submit("note", 2)
    eventually(lambda: "the queue is out of order" in caplog.text)
    unlock()
    site.until(lambda: one.ran == [1, 2])


def test_events_that_could_not_be_given_back_are_run(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """What was taken in advance goes back to the others once attempts get longer."""
    one = site.process(workers=1, busy_timeout_s=0)
    for number in range(60):
        site.add("mixed", str(number), payload=b'"hold"' if number == 39 else b'"short"')

    def mixed(event: Any, context: Any) -> None:
        if event == "hold":
            site.hold(event, context)

    one.functions.add("mixed", mixed, timeout_s=900)
    one.executor.resume()
    assert site.started.get(timeout=10) is not None
    eventually(lambda: len(one.queue._ready) > 0)
    with closing(sqlite3.connect(site.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        site.clock.advance(2 * durable._STALE_S)
        eventually(lambda: "upkeep failed" in caplog.text)
        other.execute("ROLLBACK")
    site.release.set()
    site.until(lambda: site.file.counts() == Counts(0, 0))


def test_events_that_were_fetched_are_run_though_the_history_cannot_be_removed(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    one = site.process(workers=1, busy_timeout_s=0, retention_s=1)
    one.submit("note", 1)
    site.until(lambda: one.ran == [1])
    site.settle()
    prune = one.queue._store.prune

    def is_locked(limit: int) -> int:
        one.queue._store.prune = prune
        raise sqlite3.OperationalError("database is locked")

    one.queue._store.prune = is_locked
    one.queue._prunes = True  # as when there is more to remove than the upkeep did
    one.submit("note", 2)
    eventually(lambda: "the queue is out of order" in caplog.text)
    site.until(lambda: one.ran == [1, 2])


def test_all_events_come_in_time_after_the_clock_was_set_back(site: Site) -> None:
    one = site.process(workers=1)
    one.submit("note", "first")
    site.until(lambda: one.ran == ["first"])
    site.clock.ahead_s = 3600
    site.pass_time(1)  # everybody has seen it
    one.functions.add("later", lambda event, context: one.ran.append(event))
    with closing(sqlite3.connect(site.path)) as file, file:
        due = site.clock.time()
        rows = [(seq, str(seq), "later", b"1", due) for seq in range(100, 1600)]
        file.executemany(
            "INSERT INTO events (seq, request_id, function_name, payload, accepted_at)"
            " VALUES (?, ?, ?, ?, ?)",
            rows,
        )
        file.executemany(
            "INSERT INTO waiting VALUES ('later', ?, ?, 1, 0, 0, 0)",
            [(due + 1, row[0]) for row in rows],
        )
        file.execute("INSERT INTO functions VALUES ('later', 1500, 0)")
    site.clock.ahead_s = 0
    site.until(lambda: len(one.ran) == 1501, within_s=20)


def test_a_clock_that_was_set_back_while_nobody_ran_keeps_nobody_waiting(site: Site) -> None:
    site.clock.ahead_s = 3600
    site.add("note", "from the future")
    site.clock.ahead_s = 0
    one = site.process(workers=1)
    one.executor.resume()
    site.until(lambda: one.ran == [{}])


# --- the end of other processes ---------------------------------------------------------------


def test_a_new_process_resumes_without_a_new_event(site: Site) -> None:
    before = site.process(workers=0)
    for number in range(3):
        before.submit("note", number)
    before.app.close()
    after = site.process(workers=2)
    process.start_all()
    site.until(lambda: sorted(after.ran) == [0, 1, 2])


def test_what_a_dead_process_had_claimed_is_run_by_one_that_lives(site: Site) -> None:
    """It dies after the last look at the file, and nobody writes to it any more."""
    one = site.process(workers=1)
    one.submit("note", "first")
    site.until(lambda: one.ran == ["first"])
    site.settle()
    script = f"""
        import signal
        from pathlib import Path
        from invokeasync_wsgi.invocation import Invocation
        from invokeasync_wsgi.store import owners
        from invokeasync_wsgi.store.sqlite import Room, SQLiteStore, Wanted
        from invokeasync_wsgi.testing import FakeClock

        store = SQLiteStore(Path({str(site.path)!r}), FakeClock({site.clock.time()!r}))
        owner = owners.Owner(store.owners_path, 1)
        store.add(Invocation(
            request_id="x",
            function_name="elsewhere",
            payload=b'"theirs"',
            accepted_at={site.clock.time()!r},
        ))
        room = lambda name: Room(1, 1, 0) if name == "elsewhere" else None
        print(len(store.exchange(owner.name, [], Wanted(1, room)).claims), flush=True)
        signal.pause()
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "1\n"
        one.functions.add("elsewhere", lambda event, context: one.ran.append(event))
        site.pass_time(3)  # its claim has been seen
        child.kill()
    site.until(lambda: one.ran == ["first", "theirs"])


def test_suspects_run_one_at_a_time_and_the_innocent_meanwhile(site: Site) -> None:
    site.add("hold", "a", "b", "c")
    site.file.take_back("dead", site.claim_all("dead"))
    one = site.process(workers=4)
    one.executor.resume()
    assert site.started.get(timeout=10) == {}
    for number in range(3):
        one.submit("note", number)
    site.until(lambda: sorted(one.ran) == [0, 1, 2])
    assert site.holding == 1
    site.release.set()
    site.until(lambda: site.file.counts() == Counts(0, 0))
    assert site.most_holding == 1
    assert site.rows("SELECT DISTINCT condition, attempt FROM finished") == [("Success", 1)]


def test_an_event_under_which_processes_die_again_and_again_is_given_up(site: Site) -> None:
    site.add("note", "deadly")
    for _ in range(3):
        site.file.take_back("dead", site.claim_all("dead"))
    site.file.take_back("dead", frozenset())
    with closing(sqlite3.connect(site.path)) as file, file:
        file.execute("UPDATE waiting SET interruptions = 3")
    one = site.process(workers=1)
    one.executor.resume()
    site.until(
        lambda: site.rows("SELECT condition, dead FROM finished") == [("RetriesExhausted", 1)]
    )
    assert one.ran == []


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_locks_of_its_own_on_the_file(tmp_path: Path) -> None:
    """The parent has used the file, forks and ends; what the child accepts after that is kept."""
    script = f"""
        import os, sqlite3, subprocess, sys
        from pathlib import Path
        from invokeasync_wsgi.clock import SystemClock
        from invokeasync_wsgi import Functions, InvokeAsyncMiddleware

        path = {str(tmp_path / "queue.db")!r}
        app = InvokeAsyncMiddleware(
            None,
            Functions.from_mapping({{"f": "math:sqrt"}}),
            auth="nobody",
            executor=f"sqlite:////{{path}}?workers=0",
        )
        app.submit("f", 1)
        is_over, over = os.pipe()
        if os.fork():
            os._exit(0)
        os.close(over)
        app.submit("f", 2)
        os.read(is_over, 1)
        look = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]);"
        look += "print(*c.execute('SELECT count(*) FROM events').fetchone(), flush=True); c.close()"
        subprocess.run([sys.executable, "-c", look, path])
        app.submit("f", 3)
        subprocess.run([sys.executable, "-c", look, path])
        os._exit(0)
    """
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ran.stdout.split(), ran.stderr) == (["2", "3"], "")


# --- limits that clients change -----------------------------------------------------------------

CONCURRENCY = "/2017-10-31/functions/hold_one/concurrency"


def reserve(process: Process, number: int) -> None:
    body = b'{"ReservedConcurrentExecutions": %d}' % number
    assert process.client.request("PUT", CONCURRENCY, body).status == 200


@pytest.mark.parametrize("who", ["this process", "another process"])
def test_a_raised_reservation_lets_what_waits_begin(site: Site, who: str) -> None:
    """Though nothing else happens: no event comes, and none ends."""
    one, other = site.process(workers=8), site.process(workers=0)
    for number in range(4):
        one.submit("hold_one", number)
    site.until(lambda: site.holding == 1)
    site.pass_time(2)
    assert site.holding == 1
    reserve(one if who == "this process" else other, 3)
    site.until(lambda: site.holding == 3)
    site.pass_time(2)
    assert site.most_holding == 3


def test_a_lowered_reservation_holds_for_what_begins(site: Site) -> None:
    one, other = site.process(workers=8), site.process(workers=0)
    reserve(other, 4)
    for number in range(8):
        one.submit("hold_one", number)
    site.until(lambda: site.holding == 4)
    reserve(other, 1)
    site.pass_time(1)
    site.release.set()
    site.until(lambda: site.file.counts() == Counts(0, 0))
    assert site.most_holding == 4


def test_a_queue_goes_on_while_what_is_set_cannot_be_read(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = site.process(workers=8), site.process(workers=0)
    one.submit("note", 0)
    site.until(lambda: one.ran == [0])

    def fail(known_mark: str | None = None) -> None:
        raise StoreError("too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(one.app.service.catalog.store, "read", fail)
        reserve(other, 3)
        for number in range(1, 6):
            one.submit("note", number)
        site.until(lambda: len(one.ran) == 6)
        assert "too many open files" in caplog.text
    for number in range(4):
        other.submit("hold_one", number)
    site.until(lambda: site.holding == 3)
    assert one.executor.stats().workers == 8
