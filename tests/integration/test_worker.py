"""Attempts in processes of their own: ``serve --worker-processes`` and ``worker``, as they are run.

Handlers note when and where they begin and end in a `Ledger`; everything else is read from the
queue's file and from what the system tells of the processes.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from invokeasync_wsgi import Functions, InvokeAsyncMiddleware
from invokeasync_wsgi.store import owners
from invokeasync_wsgi.store.events import Events
from tests.integration.ledger import Ledger
from tests.integration.program import Program
from tests.integration.raw import Connection, invoke_async, post
from tests.integration.servers import ROOT, free_port
from tests.waiting import eventually

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="it looks at processes as Linux shows them"
)

_TARGET = "tests.integration.durable_application:functions"

#: How long processes may take to start, and to do what takes no time.
_PATIENCE_S = 20
#: "Within seconds": how long an end may take whose attempts are short.
_END_S = 6


class Site:
    """A folder with a queue, and the programs that work on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "queue.db"
        self.url = f"sqlite:///{self.path}"
        #: A file for each process that runs events.
        self.owners = folder / "queue.db-owners"
        self.book = Ledger(folder / "ledger")
        self.port = free_port()
        self._programs: list[Program] = []

    @property
    def events(self) -> Events:
        return Events(self.path)

    def start(self, *arguments: str, **environment: str) -> Program:
        """Start the command line."""
        program = Program(self.folder, *arguments, directory=ROOT, **environment)
        self._programs.append(program)
        return program

    def work(self, *arguments: str, target: str = _TARGET, **environment: str) -> Program:
        """Start ``worker``."""
        return self.start("worker", target, "--executor", self.url, *arguments, **environment)

    def serve(self, *arguments: str) -> Program:
        """Start ``serve`` with two worker processes, and wait until it answers."""
        program = self.start(
            *("serve", _TARGET, "--auth", "none", "--executor", self.url),
            *("--port", str(self.port), "--worker-processes", "2", *arguments),
        )
        eventually(lambda: self._answers(program), within_s=_PATIENCE_S)
        eventually(lambda: program.log().count("running ") == 2, within_s=_PATIENCE_S)
        # gunicorn listens before it has a worker.
        eventually(lambda: len(program.processes("serve")) == 2, within_s=_PATIENCE_S)
        return program

    def _answers(self, program: Program) -> bool:
        assert program._process.poll() is None, program.log()
        try:
            Connection(self.port).close()
        except OSError:
            return False
        return True

    def send(self, count: int, seconds: float) -> list[str]:
        """Send events to the server; returns their request ids."""
        accepted = []
        with Connection(self.port) as connection:
            for _ in range(count):
                connection.send(post(invoke_async("work"), b'{"seconds": %f}' % seconds))
                answer = connection.answer()
                assert answer is not None
                assert answer.status == 202, answer
                accepted.append(answer.headers["x-amzn-requestid"])
        return accepted

    def put(self, count: int, seconds: float = 0, *, name: str = "work") -> list[str]:
        """Accept events here, where nothing runs; returns their request ids."""
        app = InvokeAsyncMiddleware(
            None,
            Functions.from_mapping({name: print}),
            auth="none",
            executor=f"{self.url}?workers=0",
        )
        accepted = [app.submit(name, {"seconds": seconds}) for _ in range(count)]
        app.close()
        return accepted

    def interruptions(self) -> int:
        """How often processes died under the events that wait, by what the file says."""
        with closing(sqlite3.connect(self.path)) as connection:
            [count] = connection.execute("SELECT total(interruptions) FROM waiting").fetchone()
        return int(count)

    def wait_for_start(self, request_id: str) -> int:
        """Wait until an event's attempt has begun; returns the process that makes it."""
        eventually(lambda: request_id in self.book.by_request(), within_s=_PATIENCE_S)
        return self.book.by_request()[request_id][-1].pid

    def wait_for_end(self, request_ids: list[str]) -> None:
        """Wait until the attempts of events have ended, and that is written down."""
        eventually(lambda: self.book.has_ended(request_ids), within_s=_PATIENCE_S)
        eventually(lambda: not self.events.find("running"), within_s=_PATIENCE_S)

    def close(self) -> None:
        for program in self._programs:
            program.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


# --- serve --worker-processes -------------------------------------------------------------------


def test_what_web_processes_accept_runs_in_worker_processes_only(site: Site) -> None:
    program = site.serve()
    workers = program.processes("worker")
    assert len(workers) == 2

    accepted = site.send(48, 0.1)
    site.wait_for_end(accepted)
    assert {run.pid for run in site.book.runs()} == workers
    assert len(site.book.runs()) == len(accepted)
    assert "a 202 survives: kill -9 of every process" in program.log()


def test_a_killed_worker_is_replaced_and_its_event_runs_again(site: Site) -> None:
    program = site.serve()
    workers = program.processes("worker")
    [request_id] = site.send(1, 0.5)
    victim = site.wait_for_start(request_id)
    os.kill(victim, signal.SIGKILL)

    site.wait_for_end([request_id])
    first, second = site.book.by_request()[request_id]
    assert (first.pid, first.ended_at) == (victim, None)
    assert second.pid != victim
    eventually(lambda: len(program.processes("worker")) == 2, within_s=_PATIENCE_S)
    assert program.processes("worker") > workers - {victim}
    assert "a process ended with -9; starting another" in program.log()

    accepted = site.send(48, 0.1)
    site.wait_for_end(accepted)
    assert {run.pid for run in site.book.runs()} == program.processes("worker") | {victim}
    assert site.events.find() == []


def test_on_sigterm_all_end_within_seconds_and_leave_nothing_half_done(site: Site) -> None:
    program = site.serve()
    accepted = site.send(40, 0.5)
    eventually(lambda: site.book.runs())
    told_at = time.monotonic()
    program.signal(signal.SIGTERM)

    assert program.wait(_END_S) == 0
    assert program.processes() == set()
    began = {run.request_id for run in site.book.runs()}
    assert site.book.ended() == began
    assert all(run.started_at < told_at + _END_S / 2 for run in site.book.runs())
    waiting = {event.request_id for event in site.events.find("waiting")}
    succeeded = {event.request_id for event in site.events.find("succeeded")}
    assert (site.events.find("running"), site.events.find("dead")) == ([], [])
    assert succeeded == began
    assert waiting == set(accepted) - began
    assert waiting, "too fast to test anything"
    assert "Traceback" not in program.log(), program.log()


def test_when_it_is_killed_its_processes_end_too(site: Site) -> None:
    program = site.serve()
    [request_id] = site.send(1, 0.5)
    site.wait_for_start(request_id)
    program.signal(signal.SIGKILL)

    program.wait()
    eventually(lambda: not program.processes(), within_s=_END_S)
    assert site.book.has_ended([request_id])
    assert [event.request_id for event in site.events.find("succeeded")] == [request_id]


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["serve", "--auth", "none"], id="serve"),
        pytest.param(["serve", "--auth", "none", "--worker-processes", "2"], id="and work"),
        pytest.param(["worker"], id="worker"),
        pytest.param(["worker", "--processes", "2"], id="workers"),
    ],
)
def test_a_wrong_target_is_one_line_and_the_end(site: Site, arguments: list[str]) -> None:
    command, *options = arguments
    given = ["tests.integration:nothing", "--executor", site.url, *options]
    given += ["--port", str(site.port)] if command == "serve" else []
    program = site.start(command, *given)
    assert program.wait() == 2
    assert program.processes() == set()
    assert program.log() == (
        "invokeasync-wsgi: target 'tests.integration:nothing': "
        "module 'tests.integration' has no attribute 'nothing'\n"
    )


def test_a_server_that_cannot_start_ends_its_workers_and_says_why_once(site: Site) -> None:
    program = site.start(
        *("serve", _TARGET, "--executor", site.url, "--port", str(site.port)),
        *("--worker-processes", "2"),
    )
    assert program.wait() == 2
    assert program.processes() == set()
    said = [line for line in program.log().splitlines() if line.startswith("invokeasync-wsgi: ")]
    assert len(said) == 1
    assert "auth=None: say how callers are authenticated" in said[0]
    assert "Traceback" not in program.log(), program.log()


# --- worker -------------------------------------------------------------------------------------


def test_a_worker_runs_what_waits_and_finishes_what_it_has_begun(site: Site) -> None:
    done = site.put(20)
    program = site.work("--threads", "2")
    site.wait_for_end(done)
    assert {run.pid for run in site.book.runs()} == {program.pid}

    under_way = site.put(2, 0.7)
    left = site.put(3, 0.7)
    for request_id in under_way:
        site.wait_for_start(request_id)
    program.signal(signal.SIGTERM)
    assert program.wait(_END_S) == 0
    assert site.book.ended() == {*done, *under_way}
    assert {event.request_id for event in site.events.find("waiting")} == set(left)
    assert "Traceback" not in program.log(), program.log()


def test_what_takes_longer_than_the_drain_runs_elsewhere_and_nobody_is_blamed(site: Site) -> None:
    [request_id] = site.put(1, 2)
    program = site.work("--drain-timeout", "0.2")
    site.wait_for_start(request_id)
    program.signal(signal.SIGTERM)
    assert program.wait(1.5) == 0
    assert f"request {request_id} was not finished in time, and runs again" in program.log()

    [detail] = site.events.get(request_id)
    assert (detail.event.state, detail.event.attempt, detail.attempts) == ("waiting", 1, [])
    assert site.interruptions() == 0
    second = site.work()
    site.wait_for_end([request_id])
    assert [run.pid for run in site.book.by_request()[request_id]] == [program.pid, second.pid]
    [detail] = site.events.get(request_id)
    assert [(each.number, each.attempt) for each in detail.attempts] == [(1, 1)]


def _by_signal(program: Program) -> None:
    program.signal(signal.SIGTERM)


def _by_ctrl_c(program: Program) -> None:
    os.killpg(program.pid, signal.SIGINT)  # a terminal tells all of them


@pytest.mark.parametrize("end", [_by_signal, _by_ctrl_c], ids=["SIGTERM", "ctrl-C"])
def test_several_processes_share_the_work_and_end_together(
    site: Site, end: Callable[[Program], None]
) -> None:
    accepted = site.put(48, 0.1)
    program = site.work("--processes", "2", "--threads", "4")
    site.wait_for_end(accepted)
    workers = program.processes("worker")
    assert len(workers) == 2
    assert {run.pid for run in site.book.runs()} == workers
    assert len(site.book.runs()) == len(accepted)

    [request_id] = site.put(1, 0.5)
    site.wait_for_start(request_id)
    end(program)
    assert program.wait(_END_S) == 0
    assert program.processes() == set()
    assert site.book.has_ended([request_id])
    assert "Traceback" not in program.log(), program.log()


def test_signals_that_come_together_end_a_worker(site: Site) -> None:
    """As in a terminal, where ctrl-C tells it and its supervisor tells it once more.

    The system may then have another thread than the main one take both.
    """
    programs = [site.work() for _ in range(6)]
    for program in programs:
        eventually(lambda program=program: "running " in program.log(), within_s=_PATIENCE_S)  # type: ignore[misc]
    eventually(lambda: len(list(owners.names(site.owners))) == len(programs))
    for program in programs:
        program.signal(signal.SIGINT)
        program.signal(signal.SIGTERM)
    assert [program.wait(_END_S) for program in programs] == [0] * len(programs)


def test_a_worker_for_a_flask_application_runs_handlers_in_its_context(site: Site) -> None:
    [request_id] = site.put(1, name="in-flask")
    program = site.start(
        "worker",
        "tests.integration.application:flask",
        INVOKEASYNC_EXECUTOR=site.url,
        EVENTS_FILE=str(site.folder / "runs"),
    )
    eventually(lambda: site.events.find("succeeded"), within_s=_PATIENCE_S)
    [detail] = site.events.get(request_id)
    assert detail.attempts[0].result == b'"integration"'
    program.signal(signal.SIGTERM)
    assert program.wait(_END_S) == 0
