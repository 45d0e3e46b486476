"""What was answered with a 202 is run to its end, whatever happens to the processes.

The promise of the queue on disk. Handlers note when they begin and end in a `Ledger`, which
outlives them; the tests kill, stop, reload and restart, and compare.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import queue
import random
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import boto3
import botocore.config
import botocore.exceptions
import pytest
from gunicorn.config import Config

from invokeasync_wsgi.store import owners
from tests.integration import durable_application, ledger
from tests.integration.ledger import Ledger
from tests.integration.raw import Connection, invoke_async, post
from tests.integration.servers import ROOT, Kind, Server, free_port
from tests.waiting import eventually

# What boto3 says of Pythons that it is about to leave behind is not about us.
pytestmark = pytest.mark.filterwarnings("ignore:Boto3 will no longer support Python")

_APPLICATION = "tests.integration.durable_application"

#: How long an end may go unrecorded, at most; whoever is killed meanwhile has its event run again.
UNRECORDED_S = 1.0

#: Deaths that an event may see before it is taken for their cause: nobody here is to blame.
_INNOCENT = {"INVOKEASYNC_MAX_INTERRUPTIONS": "1000000"}


# --- processes --------------------------------------------------------------------------------


class Killed:
    """When which processes were killed."""

    def __init__(self) -> None:
        #: Just before and just after the death of each, by process id.
        self.times: dict[int, tuple[float, float]] = {}

    def kill(self, pids: Iterable[int]) -> None:
        """Kill processes all at once, and wait until they are gone."""
        before = time.monotonic()
        pids = set(pids)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        eventually(lambda: not any(map(_is_alive, pids)))
        self.died(pids, before)

    def died(self, pids: Iterable[int], before: float) -> None:
        """Note that processes have been killed since ``before``, and are gone now."""
        after = time.monotonic()
        for pid in pids:
            self.times.setdefault(pid, (before, after))


def _is_alive(pid: int) -> bool:
    """Whether a process is there and has not let go of its files yet."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


def _group(leader: int) -> list[int]:
    """The living processes of a process group."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
                if int(fields[2]) == leader and fields[0] not in "ZX":
                    found.append(int(entry))
    return found


class Nursery:
    """Small processes that accept and run events: see `durable_application`.

    Args:
        folder: for the ledger and the log.
        environment: variables to set, such as settings.
    """

    def __init__(self, folder: Path, **environment: str) -> None:
        self.ledger = Ledger(folder / "ledger")
        self._log = folder / "log"
        #: What ``submit`` processes have told: the ids of accepted events.
        self.accepted: list[str] = []
        self._pids: queue.SimpleQueue[int] = queue.SimpleQueue()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", _APPLICATION],
                cwd=ROOT,
                env={**os.environ, ledger.VARIABLE: str(self.ledger.path), **environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def fork(self, role: str, url: str) -> int:
        """Start a process; returns its id."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{role} {url}\n".encode())
        self._process.stdin.flush()
        try:
            return self._pids.get(timeout=10)
        except queue.Empty:
            raise AssertionError(self.log()) from None

    def wait_for(self, count: int) -> None:
        """Wait until this many events are accepted."""
        eventually(lambda: len(self.accepted) >= count)

    def log(self) -> str:
        """What all processes have logged so far."""
        return self._log.read_text(errors="replace")

    def close(self) -> None:
        """Kill everything."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._listener.join()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            first, _, second = line.decode().strip().partition(" ")
            if first == "pid":
                self._pids.put(int(second))
            else:
                self.accepted.append(first)


@contextmanager
def nursery(folder: Path, **environment: str) -> Iterator[Nursery]:
    """A `Nursery`, all of which ends with the context."""
    opened = Nursery(folder, **environment)
    try:
        yield opened
    finally:
        opened.close()


class Gunicorn(Server):
    """gunicorn with the functions on a queue.

    Args:
        folder: for its log.
        port: to listen on.
        options: gunicorn's.
    """

    def __init__(self, folder: Path, port: int, *options: str) -> None:
        folder.mkdir()
        super().__init__("gunicorn-gthread", port, folder)
        # The script and not the module: on USR2 gunicorn starts itself again by its name.
        script = str(Path(sysconfig.get_path("scripts")) / "gunicorn")
        no_socket = ["--no-control-socket"] * ("control_socket_disable" in Config().settings)
        self.kind = Kind(
            lambda start: [
                *(sys.executable, script, "-c", "python:invokeasync_wsgi.gunicorn", *no_socket),
                *("--workers=2", "--bind", f"127.0.0.1:{start.port}", *options),
                f"{_APPLICATION}:{start.name}()",
            ]
        )

    def workers(self) -> list[int]:
        """The worker processes that there are."""
        return [pid for pid in _group(self.pid) if pid != self.pid]

    def kill(self, killed: Killed, book: Ledger) -> None:
        """Kill the server with all its processes, at the same instant."""
        before = time.monotonic()
        os.killpg(self.pid, signal.SIGKILL)
        self.wait()
        eventually(lambda: not _group(self.pid))
        killed.died({run.pid for run in book.runs()}, before)


@contextmanager
def gunicorn(
    folder: Path, port: int, url: str, *options: str, target: str = "make", **environment: str
) -> Iterator[Gunicorn]:
    """A gunicorn that runs while the context lasts.

    Args:
        folder: for its log; is made.
        port: to listen on.
        url: of the executor.
        options: gunicorn's.
        target: a factory of `durable_application`.
        environment: variables to set, the ledger's among them.
    """
    server = Gunicorn(folder, port, *options)
    try:
        server.start(target, {"INVOKEASYNC_EXECUTOR": url, **environment})
        yield server
    finally:
        server.close()


# --- clients ----------------------------------------------------------------------------------


class Clients:
    """Threads that go on sending events, and what they were answered.

    What is answered neither way (the connection ended, nobody listened) may run or not. They are
    raw connections, and one client of boto3's that retries nothing.

    Args:
        port: the server's.
        seconds: how long the events take, by turns.
        raw: how many raw connections there are.
        keep_alive: whether these are used for more than one request.
    """

    def __init__(self, port: int, *seconds: float, raw: int = 3, keep_alive: bool = True) -> None:
        self.accepted: list[str] = []
        self.refused: list[str] = []
        self.unknown = 0
        self._port = port
        self._seconds = seconds
        self._headers = {} if keep_alive else {"Connection": "close"}
        self._keep_alive = keep_alive
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._send_raw) for _ in range(raw)]
        self._threads.append(threading.Thread(target=self._send_with_boto3))

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Have the requests under way answered, and send nothing more."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _events(self) -> Iterator[bytes]:
        number = 0
        while not self._stopped.wait(0.003):
            number += 1
            seconds = self._seconds[number % len(self._seconds)]
            yield json.dumps({"n": number, "seconds": seconds}).encode()

    def _send_raw(self) -> None:
        connection = None
        for event in self._events():
            try:
                if connection is None:
                    connection = Connection(self._port)
                connection.send(post(invoke_async("work"), event, self._headers))
                answer = connection.answer()
            except OSError:
                answer = None
            if answer is not None and len(answer.headers.get("x-amzn-requestid", "")) == 36:
                known = self.accepted if answer.status == 202 else self.refused
                known.append(answer.headers["x-amzn-requestid"])
            else:
                self.unknown += 1
            if connection is not None and (answer is None or answer.closes or not self._keep_alive):
                connection.close()
                connection = None
        if connection is not None:
            connection.close()

    def _send_with_boto3(self) -> None:
        client = boto3.client(
            "lambda",
            endpoint_url=f"http://127.0.0.1:{self._port}",
            region_name="us-east-1",
            aws_access_key_id="AKIDEXAMPLE",
            aws_secret_access_key="secret",
            config=botocore.config.Config(
                retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=20
            ),
        )
        with closing(client):
            for event in self._events():
                try:
                    answer = client.invoke_async(FunctionName="work", InvokeArgs=event)
                    self.accepted.append(answer["ResponseMetadata"]["RequestId"])
                except botocore.exceptions.ClientError as exc:
                    self.refused.append(exc.response["ResponseMetadata"].get("RequestId", ""))
                except botocore.exceptions.BotoCoreError:
                    self.unknown += 1


# --- what must hold ---------------------------------------------------------------------------


class State(NamedTuple):
    """How many events are where."""

    waiting: int
    running: int
    dead: int


def _state(path: Path) -> State:
    with closing(sqlite3.connect(path, timeout=10)) as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM waiting), (SELECT count(*) FROM running),"
            " (SELECT count(*) FROM finished WHERE dead)"
        ).fetchone()
    return State(*row)


def _check_file(path: Path) -> None:
    """Fail unless the file that killed processes have left is whole, in SQLite's eyes and ours.

    Looks at a copy, so that the next process has to recover the file itself.
    """
    copy = path.with_name("copy.db")
    for suffix in ("", "-wal"):
        copy.with_name(copy.name + suffix).unlink(missing_ok=True)
        if Path(f"{path}{suffix}").exists():
            shutil.copyfile(f"{path}{suffix}", f"{copy}{suffix}")
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        if not connection.execute("PRAGMA user_version").fetchone()[0]:
            return  # killed before the first commit
        places = connection.execute(
            "SELECT count(*) FROM events WHERE (seq IN (SELECT seq FROM waiting))"
            " + (seq IN (SELECT seq FROM running)) + (seq IN (SELECT seq FROM finished)) <> 1"
        )
        assert places.fetchone() == (0,), "events are nowhere, or in two places"
        for table in ("waiting", "running"):
            counted = dict(connection.execute(f"SELECT name, {table} FROM functions WHERE {table}"))
            there = dict(
                connection.execute(f"SELECT function_name, count(*) FROM {table} GROUP BY 1")
            )
            assert counted == there, table


def _check_runs(
    book: Ledger, accepted: Iterable[str], refused: Iterable[str], killed: Killed
) -> str:
    """Fail unless everything accepted was run to its end, and once where nobody was killed.

    Returns:
        What has happened, in numbers.
    """
    by_request = book.by_request()
    missing = set(accepted) - book.ended()
    assert not missing, f"{len(missing)} accepted events are lost"
    ran_though_refused = set(refused) & set(by_request)
    assert not ran_though_refused
    again = cut = 0
    unrecorded_s = []
    for runs in by_request.values():
        assert runs[-1].ended_at is not None
        again += len(runs) > 1
        for run, next_run in itertools.pairwise(runs):
            assert run.pid in killed.times, "an event was run again though nobody was killed"
            before, after = killed.times[run.pid]
            assert run.started_at <= after
            assert before <= next_run.started_at, "an event was run in two places at once"
            if run.ended_at is None:
                cut += 1
            else:
                unrecorded_s.append(before - run.ended_at)
    longest_s = max(unrecorded_s, default=0)
    assert longest_s < UNRECORDED_S, "an end was not recorded in time"
    return (
        f"{len(set(accepted))} accepted, {len(by_request)} run, {again} more than once "
        f"({cut} attempts cut short, {len(unrecorded_s)} ends not recorded, for {longest_s:.3f} s)"
    )


def _wait_for_all(book: Ledger, accepted: Iterable[str], path: Path, within_s: float = 60) -> None:
    accepted = list(accepted)
    eventually(lambda: book.has_ended(accepted), within_s=within_s)
    eventually(lambda: _state(path)[:2] == (0, 0), within_s=within_s)


# --- kill -9 ----------------------------------------------------------------------------------


@pytest.mark.parametrize("synchronous", ["full", "normal"])
def test_kill_small_processes(
    synchronous: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """All processes are killed at 75 random instants, many of them within commits; and some alone,
    beside others that live on."""
    seed = random.randrange(10**9)
    print("seed", seed)
    chance = random.Random(seed)
    path = tmp_path / "queue.db"
    url = f"sqlite:///{path}?synchronous={synchronous}&retention_s=1"
    roles = [
        ("submit", f"{url}&workers=4"),
        ("submit", f"{url}&workers=0"),
        ("run", f"{url}&workers=4"),
    ]
    killed = Killed()
    with nursery(tmp_path, **_INNOCENT) as small:
        for _ in range(75):
            alive = [small.fork(*role) for role in roles]
            for _ in range(chance.randrange(3)):
                time.sleep(chance.uniform(0, 0.1))
                victim = chance.randrange(len(alive))
                killed.kill([alive[victim]])
                alive[victim] = small.fork(*roles[victim])
            time.sleep(chance.choice((chance.uniform(0, 0.05), chance.uniform(0.05, 0.4))))
            killed.kill(alive)
            _check_file(path)
        pid = small.fork("run", f"{url}&workers=8")
        _wait_for_all(small.ledger, small.accepted, path)
        killed.kill([pid])
        _check_file(path)

        report = _check_runs(small.ledger, small.accepted, (), killed)
        record_property("durability", report)
        print(report)
        assert _state(path).dead == 0
        _check_log(small.log())


@pytest.mark.parametrize("synchronous", ["full", "normal"])
def test_kill_gunicorn(
    synchronous: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """gunicorn is killed with all its workers at 25 random instants, and single workers besides,
    while clients send."""
    seed = random.randrange(10**9)
    print("seed", seed)
    chance = random.Random(seed)
    path = tmp_path / "queue.db"
    url = f"sqlite:///{path}?workers=4&retention_s=1&synchronous={synchronous}"
    book = Ledger(tmp_path / "ledger")
    environment = {ledger.VARIABLE: str(book.path), **_INNOCENT}
    port = free_port()
    killed = Killed()
    logs = []
    with Clients(port, 0, 0, 0.001, 0.02) as clients:
        for number in range(25):
            options = ["--preload"] * (number % 2)
            with gunicorn(tmp_path / str(number), port, url, *options, **environment) as server:
                time.sleep(chance.uniform(0, 0.2))
                if number % 3 == 0:
                    killed.kill([chance.choice(server.workers())])
                    time.sleep(chance.uniform(0, 0.6))
                server.kill(killed, book)
                logs.append(server.log())
            _check_file(path)
    with gunicorn(tmp_path / "last", port, url, **environment) as server:
        _wait_for_all(book, clients.accepted, path)
        logs.append(server.log())

    report = _check_runs(book, clients.accepted, clients.refused, killed)
    record_property("durability", report)
    print(report, len(clients.refused), "refused", clients.unknown, "unknown")
    assert len(clients.accepted) > 100
    assert _state(path).dead == 0
    for log in logs:
        _check_log(log)


def _check_log(log: str) -> None:
    """Fail when a process had trouble with the file, and not only neighbours that died."""
    assert "out of order" not in log, log
    assert "Traceback" not in log, log


# --- signals ----------------------------------------------------------------------------------

# Each worker class with each signal, preloaded or not by turns, so that each class and each signal
# meets both: what preloading changes (the import before the fork) is the same for all of them.
_STOPS = [
    ("sync", "TERM", True),
    ("sync", "HUP", False),
    ("sync", "USR2", True),
    ("gthread", "TERM", False),
    ("gthread", "HUP", True),
    ("gthread", "USR2", False),
    ("gevent", "TERM", True),
    ("gevent", "HUP", False),
    ("gevent", "USR2", True),
    ("sync", "max-requests", False),
    ("gthread", "max-requests", True),
    ("gevent", "max-requests", False),
]


@pytest.mark.parametrize(
    ("worker_class", "how", "preload"),
    [pytest.param(*stop, id="-".join(map(str, stop))) for stop in _STOPS],
)
def test_graceful_stop(worker_class: str, how: str, preload: bool, tmp_path: Path) -> None:
    """When gunicorn stops, reloads or replaces workers while clients send, nothing is lost and
    nothing is run twice."""
    path = tmp_path / "queue.db"
    url = f"sqlite:///{path}?workers=3"
    book = Ledger(tmp_path / "ledger")
    environment = {ledger.VARIABLE: str(book.path)}
    port = free_port()
    pid_file = tmp_path / "pid"
    options = [f"--worker-class={worker_class}", f"--pid={pid_file}", *["--preload"] * preload]
    if worker_class == "sync":
        options.append("--threads=1")  # more would make it a gthread
    if how == "max-requests":
        options += ["--max-requests=50", "--max-requests-jitter=10"]
    with gunicorn(tmp_path / "first", port, url, *options, **environment) as server:
        _wait_for_workers(server, path)
        old = server.workers()
        with Clients(port, 0.01, 0.03, raw=2) as clients:
            _let_accept(clients, 60)
            if how == "HUP":
                server.signal(signal.SIGHUP)
                eventually(lambda: not any(map(_is_alive, old)), within_s=30)
                _let_accept(clients, 60)
            elif how == "USR2":
                new_pid_file = tmp_path / "pid.2"
                server.signal(signal.SIGUSR2)
                eventually(lambda: new_pid_file.exists() and new_pid_file.read_text(), within_s=30)
                new_master = int(new_pid_file.read_text())
                _wait_for_workers(server, path, masters=2)
                _let_accept(clients, 60)
                server.signal(signal.SIGTERM)
                assert server.wait() == 0
                _let_accept(clients, 60)
                os.kill(new_master, signal.SIGTERM)
            elif how == "max-requests":
                eventually(lambda: server.log().count("Booting worker") >= 2 + 3, within_s=30)
            if how == "TERM":
                server.signal(signal.SIGTERM)
                assert server.wait() == 0
        if how in ("HUP", "max-requests"):
            _wait_for_workers(server, path)
            server.signal(signal.SIGTERM)
            assert server.wait() == 0
        eventually(lambda: not _group(server.pid), within_s=30)
        _check_file(path)
        left = _state(path)
        assert left.running == 0, "claims were not given back"
        log = server.log()
    with gunicorn(tmp_path / "last", port, url, *options[:1], **environment) as server:
        _wait_for_all(book, clients.accepted, path)  # with no request that would wake anybody
        log += server.log()

    print(_check_runs(book, clients.accepted, clients.refused, Killed()), left)
    _check_log(log)
    assert "a process " not in log, "somebody was taken for dead or stopped"


def _wait_for_workers(server: Gunicorn, path: Path, masters: int = 1) -> None:
    """Wait until all workers are at work: gunicorn forgets a signal that comes as one is forked."""
    directory = Path(f"{path}-owners")
    eventually(
        lambda: (
            len(_group(server.pid)) == 3 * masters
            and len(list(owners.names(directory))) == 2 * masters
        ),
        within_s=30,
    )


def _let_accept(clients: Clients, count: int) -> None:
    """Wait until so many more events are accepted."""
    target = len(clients.accepted) + count
    eventually(lambda: len(clients.accepted) >= target, within_s=30)


# --- processes that stop or die ----------------------------------------------------------------


#: Workers that run two events of one function: one more is kept free for other functions.
_TWO = 3


@contextmanager
def _submitting(path: Path) -> Iterator[Callable[..., str]]:
    """What accepts events in this process, which runs none."""
    application = durable_application.make(executor=f"sqlite:///{path}?workers=0")
    try:
        yield lambda name="work", **event: application.submit(name, event)
    finally:
        application.close()


def test_stopped_process(tmp_path: Path) -> None:
    """The events of a process that is stopped go to another when its lease is over; what it makes
    of them afterwards is ignored, and it goes on with others."""
    path = tmp_path / "queue.db"
    url = f"sqlite:///{path}?lease_s=1"
    with nursery(tmp_path) as small, _submitting(path) as submit:
        book = small.ledger
        first = small.fork("run", f"{url}&workers={_TWO}")
        accepted = [submit(seconds=0.3) for _ in range(4)]
        eventually(lambda: len(book.runs()) == 2)
        os.kill(first, signal.SIGSTOP)
        stopped_at = time.monotonic()
        second = small.fork("run", f"{url}&workers={_TWO}")
        eventually(lambda: book.has_ended(accepted))
        _wait_for_all(book, accepted, path)

        assert "a process has stopped with" in small.log()
        taken_over = [run for run in book.runs() if run.pid == second]
        assert sorted(run.request_id for run in taken_over) == sorted(accepted)
        back = [
            run for run in taken_over if run.request_id in {r.request_id for r in book.runs()[:2]}
        ]
        assert len(back) == 2
        print(f"taken over {min(r.started_at for r in back) - stopped_at:.2f} s after the stop")
        assert min(run.started_at for run in back) - stopped_at < 4

        os.kill(first, signal.SIGCONT)
        eventually(lambda: small.log().count("came after its event was taken back") == 2)
        assert [run.ended_at is None for run in book.runs() if run.pid == first] == [False, False]
        Killed().kill([second])
        later = submit()
        _wait_for_all(book, [later], path)
        assert book.by_request()[later][0].pid == first
        assert _finished(path) == dict.fromkeys([*accepted, later], (1, 1))
        _check_log(small.log())


def test_dead_process(tmp_path: Path) -> None:
    """The events of a process that was killed are begun by another within about a second, though
    nothing else happens."""
    path = tmp_path / "queue.db"
    url = f"sqlite:///{path}?lease_s=3600&workers={_TWO}"
    with nursery(tmp_path) as small, _submitting(path) as submit:
        book = small.ledger
        first = small.fork("run", url)
        accepted = [submit(seconds=1) for _ in range(2)]
        eventually(lambda: len(book.runs()) == 2)
        small.fork("run", url)
        eventually(lambda: len(list(owners.names(Path(f"{path}-owners")))) == 2)
        killed = Killed()
        killed.kill([first])
        _wait_for_all(book, accepted, path)

        waited_s = min(run.started_at for run in book.runs()[2:]) - killed.times[first][0]
        print(f"taken over after {waited_s:.2f} s")
        assert waited_s < 2
        print(_check_runs(book, accepted, (), killed))
        assert _state(path).dead == 0
        _check_log(small.log())


def _finished(path: Path) -> dict[str, tuple[int, int]]:
    """How often each request is finished, and how many attempts of it are recorded."""
    with closing(sqlite3.connect(path, timeout=10)) as connection:
        rows = connection.execute(
            "SELECT request_id, (SELECT count(*) FROM finished WHERE finished.seq = events.seq),"
            " (SELECT count(*) FROM attempts WHERE attempts.seq = events.seq) FROM events"
        ).fetchall()
    return {request_id: (finished, attempts) for request_id, finished, attempts in rows}


def test_poison(tmp_path: Path) -> None:
    """An event that kills each process that it is run in is given up after three of them; those
    that ran beside it are run to their end."""
    path = tmp_path / "queue.db"
    url = f"sqlite:///{path}?workers=4"
    book = Ledger(tmp_path / "ledger")
    environment = {ledger.VARIABLE: str(book.path)}
    with (
        gunicorn(tmp_path / "server", free_port(), url, **environment) as server,
        _submitting(path) as submit,
    ):
        innocent = [submit(seconds=0.3) for _ in range(6)]
        poison = submit("poison", seconds=0.2)
        innocent += [submit(seconds=0.3) for _ in range(30)]
        _wait_for_all(book, innocent, path)
        log = server.log()

    runs = book.by_request()
    assert len(runs[poison]) == 3
    assert len({run.pid for run in runs[poison]}) == 3
    beside = {run.request_id for run in book.runs() if run.ended_at is None} - {poison}
    assert beside, "nobody was there when the processes died"
    print(f"{len(beside)} ran beside")
    with closing(sqlite3.connect(path)) as connection:
        [(request_id, condition, result)] = connection.execute(
            "SELECT request_id, condition, result FROM finished JOIN events USING (seq)"
            " JOIN attempts USING (seq) WHERE dead"
        ).fetchall()
    assert (request_id, condition) == (poison, "RetriesExhausted")
    assert json.loads(result)["errorType"] == "Runtime.ExitError"
    _check_log(log)


# --- around ------------------------------------------------------------------------------------


def test_master_stays_clean(tmp_path: Path) -> None:
    """A preloading master of two applications opens no file and starts no thread; its workers do,
    for both."""
    path = tmp_path / "queue.db"
    url = f"sqlite:///{path}?workers=2"
    book = Ledger(tmp_path / "ledger")
    environment = {ledger.VARIABLE: str(book.path)}
    with gunicorn(
        tmp_path / "server", free_port(), url, "--preload", target="make_two", **environment
    ) as server:
        accepted = [server.accept("work", prefix=f"/{name}") for name in ("one", "two")]
        eventually(lambda: book.has_ended(accepted))

        databases = {"queue-one.db", "queue-two.db"}
        assert databases <= {file.name for file in tmp_path.iterdir()}
        assert _open_files(server.pid, tmp_path) == set()
        assert len(os.listdir(f"/proc/{server.pid}/task")) == 1
        for worker in server.workers():
            assert len(os.listdir(f"/proc/{worker}/task")) > 2 * 2
        assert {run.pid for run in book.runs()} <= set(server.workers())
        for name in databases:
            _wait_for_all(book, accepted, tmp_path / name)
            assert len(_finished(tmp_path / name)) == 1


def _open_files(pid: int, folder: Path) -> set[str]:
    """The names of the queue's files that a process has open."""
    links = [os.readlink(entry.path) for entry in os.scandir(f"/proc/{pid}/fd")]
    return {link for link in links if link.startswith(str(folder / "queue"))}


def test_pick_up(tmp_path: Path) -> None:
    """What one process accepts and does not run, is begun in another before anybody notices, though
    nothing else happens that would wake anyone."""
    path = tmp_path / "queue.db"
    waits_s = []
    with nursery(tmp_path) as small, _submitting(path) as submit:
        small.fork("run", f"sqlite:///{path}?workers={_TWO}")
        _wait_for_all(small.ledger, [submit()], path)
        for _ in range(60):
            time.sleep(random.uniform(0, 0.1))  # so that it comes at any moment of the others'
            accepted_at = time.monotonic()
            accepted = submit()
            _wait_for_all(small.ledger, [accepted], path, within_s=10)
            waits_s.append(small.ledger.runs()[-1].started_at - accepted_at)

    print(f"median {statistics.median(waits_s):.4f} s, longest {max(waits_s):.4f} s")
    assert statistics.median(waits_s) < 0.1


def test_first_processes(tmp_path: Path) -> None:
    """Processes that use a new file at the same moment all can."""
    with nursery(tmp_path) as small:
        for number in range(30):
            url = f"sqlite:///{tmp_path / str(number)}.db?workers=1"
            alive = [small.fork("submit", url) for _ in range(4)]
            small.wait_for(len(small.accepted) + 8)
            Killed().kill(alive)
        _check_log(small.log())


def test_one_file_twice(tmp_path: Path) -> None:
    """Two applications of one process may use the same file, and others come and go: nobody takes
    the log away in which accepted events stand."""
    path = tmp_path / "queue.db"
    look = f"import sqlite3; sqlite3.connect({str(path)!r}).execute('SELECT * FROM events').close()"
    with _submitting(path) as submit:
        submit()
        with _submitting(path) as submit_to_second:
            submit_to_second()
            for _ in range(3):
                subprocess.run([sys.executable, "-c", look], check=True)
                submit()
                submit_to_second()
            assert Path(f"{path}-wal").exists(), "the log is gone"
            for suffix in ("", "-wal"):  # as a process that died now would leave them
                shutil.copyfile(f"{path}{suffix}", tmp_path / f"left.db{suffix}")
    assert _state(tmp_path / "left.db") == (8, 0, 0)
