"""What was answered with a 202 runs before a server has ended.

The promise of the threads executor, on the servers and signals that it can be kept on: see
"Servers" in the documentation. Events take a fifth of a second, two at a time, so that some run and
many wait when the signal comes.
"""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.integration import servers
from tests.integration.raw import Connection, check_documented, invoke_async, post
from tests.integration.servers import Server
from tests.waiting import eventually

EVENTS = 16
EVENT = b'{"seconds": 0.2}'
EXECUTOR = "threads:?workers=2"


def accept_slow_events(server: Server, prefix: str = "") -> list[str]:
    """The ids of events, accepted in far less time than they take."""
    with ThreadPoolExecutor(4) as pool:
        accepted = list(
            pool.map(lambda _: server.accept("slow", EVENT, prefix=prefix), range(EVENTS))
        )
    assert len(server.runs()) < EVENTS, "too slow to test anything"
    return accepted


def check_all_ran_once(server: Server, accepted: list[str]) -> None:
    """Fail unless each accepted event has run, and only once."""
    runs = Counter(run["request_id"] for run in server.runs())
    missing = set(accepted) - set(runs)
    assert not missing, f"{len(missing)} of {len(accepted)} accepted events have not run"
    assert set(runs.values()) == {1}
    assert "were not finished" not in server.log()
    assert server.tracebacks_of_ours() == []


@pytest.mark.parametrize("name", [*servers.GUNICORN, *servers.PRELOADING])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_gunicorn_stops(name: str, number: signal.Signals, tmp_path: Path) -> None:
    """A signal to the master lets the workers finish, whether the application was preloaded or
    not."""
    with servers.running(name, tmp_path, INVOKEASYNC_EXECUTOR=EXECUTOR) as server:
        accepted = accept_slow_events(server)
        server.signal(number)

        assert server.wait() == 0
        check_all_ran_once(server, accepted)


@pytest.mark.parametrize("name", servers.GUNICORN)
def test_gunicorn_reloads(name: str, tmp_path: Path) -> None:
    """On HUP the old workers finish while new ones serve."""
    with servers.running(name, tmp_path, INVOKEASYNC_EXECUTOR=EXECUTOR) as server:
        accepted = accept_slow_events(server)
        server.signal(signal.SIGHUP)
        eventually(lambda: "Hang up: Master" in server.log())
        old = re.findall(r"Booting worker with pid: (\d+)", server.log())[0]
        eventually(lambda: f"Worker exiting (pid: {old})" in server.log())
        accepted += accept_slow_events(server)
        server.wait_for(accepted)

        check_all_ran_once(server, accepted)
        assert len({run["pid"] for run in server.runs()}) == 2


@pytest.mark.parametrize("name", servers.GUNICORN)
def test_gunicorn_stops_one_worker(name: str, tmp_path: Path) -> None:
    """A worker that is told to end finishes what it has; the master starts another."""
    with servers.running(name, tmp_path, INVOKEASYNC_EXECUTOR=EXECUTOR) as server:
        accepted = accept_slow_events(server)
        (worker,) = re.findall(r"Booting worker with pid: (\d+)", server.log())
        os.kill(int(worker), signal.SIGTERM)
        server.wait_for(accepted)
        accepted.append(server.accept("record"))
        server.wait_for(accepted)

        check_all_ran_once(server, accepted)


@pytest.mark.parametrize("name", servers.GUNICORN)
def test_stop_among_requests(name: str, tmp_path: Path) -> None:
    """While clients go on sending, a stop loses nothing that was answered with a 202."""
    with servers.running(name, tmp_path, INVOKEASYNC_EXECUTOR=EXECUTOR) as server:
        accepted: list[str] = []
        refused = threading.Event()

        def send_on() -> None:
            event = json.dumps({"seconds": 0.002}).encode()
            while not refused.is_set():
                try:
                    with Connection(server.port) as connection:
                        connection.send(post(invoke_async("slow"), event, {"Connection": "close"}))
                        answer = connection.answer()
                except OSError:
                    break
                if answer is None or answer.status != 202:
                    if answer is not None and answer.outcome != "ServiceUnavailableException":
                        check_documented(answer)
                    break
                accepted.append(answer.headers["x-amzn-requestid"])
            refused.set()

        senders = [threading.Thread(target=send_on) for _ in range(4)]
        for sender in senders:
            sender.start()
        eventually(lambda: len(accepted) > 20)
        server.signal(signal.SIGTERM)
        for sender in senders:
            sender.join()

        assert server.wait() == 0
        check_all_ran_once(server, accepted)


@pytest.mark.parametrize("name", servers.PRELOADING)
def test_preloaded_application(name: str, tmp_path: Path) -> None:
    """An application that was imported before the fork runs its events, in the worker."""
    with servers.running(name, tmp_path, "flask") as server:
        run = server.run_of(server.accept("in-flask"))

        assert run["pid"] != server.pid
        assert f"Booting worker with pid: {run['pid']}" in server.log()


@pytest.mark.parametrize("name", ["waitress", "werkzeug", "cheroot"])
def test_interrupt(name: str, tmp_path: Path) -> None:
    """Ctrl-C lets the single-process servers finish."""
    with servers.running(name, tmp_path, INVOKEASYNC_EXECUTOR=EXECUTOR) as server:
        accepted = accept_slow_events(server)
        server.signal(signal.SIGINT)
        server.wait()

        check_all_ran_once(server, accepted)


@pytest.mark.parametrize("name", ["waitress", "werkzeug", "cheroot"])
def test_drain_on_sigterm(name: str, tmp_path: Path) -> None:
    """With `drain_on_sigterm` SIGTERM does so too, which would otherwise end them at once."""
    with servers.running(
        name, tmp_path, INVOKEASYNC_EXECUTOR=EXECUTOR, DRAIN_ON_SIGTERM="yes"
    ) as server:
        accepted = accept_slow_events(server)
        server.signal(signal.SIGTERM)
        server.wait()

        check_all_ran_once(server, accepted)


@pytest.mark.parametrize("name", servers.MAIN)
def test_two_applications(name: str, tmp_path: Path) -> None:
    """Two applications in one process are drained both, the time shared between them."""
    with servers.running(
        name, tmp_path, "two", INVOKEASYNC_EXECUTOR=EXECUTOR, DRAIN_ON_SIGTERM="yes"
    ) as server:
        accepted = accept_slow_events(server, "/one")
        with ThreadPoolExecutor(4) as pool:
            accepted += pool.map(
                lambda _: server.accept("slow", EVENT, prefix="/two"), range(EVENTS)
            )
        server.signal(signal.SIGTERM)
        server.wait()

        check_all_ran_once(server, accepted)


@pytest.mark.parametrize("name", servers.MAIN)
def test_retries(name: str, tmp_path: Path) -> None:
    """An event that waits for its next attempt gets it before the end."""
    with servers.running(name, tmp_path, DRAIN_ON_SIGTERM="yes") as server:
        request_id = server.accept("fail-once")
        server.wait_for([request_id])
        server.signal(signal.SIGTERM)
        server.wait()

        assert [run["request_id"] for run in server.runs()] == [request_id] * 2
        assert "were not finished" not in server.log()


@pytest.mark.parametrize("name", servers.GUNICORN)
def test_unfinished_events(name: str, tmp_path: Path) -> None:
    """What takes longer than the server's patience is reported by its request id."""
    with servers.running(
        name, tmp_path, INVOKEASYNC_EXECUTOR=EXECUTOR, GUNICORN_CMD_ARGS="--graceful-timeout=3"
    ) as server:
        request_id = server.accept("slow", b'{"seconds": 20}')
        server.signal(signal.SIGTERM)
        server.wait()

        assert f"1 accepted events were not finished: requests {request_id}" in server.log()
        assert server.runs() == []
