"""Real servers in processes of their own, for the tests in this folder."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from gunicorn.config import Config

from tests.integration.raw import Answer, Connection, post
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
_APPLICATION = "tests.integration.application"

#: How long a server may take to answer its first request, and to end.
_PATIENCE_S = 20


def need(condition: object, what: str) -> None:
    """Skip the test where ``what`` is missing; under CI, where nothing may be missing, fail it."""
    if condition:
        return
    if os.environ.get("CI"):
        pytest.fail(f"missing: {what}")
    pytest.skip(f"missing: {what}")


@dataclass(frozen=True)
class Kind:
    """How to start one server, and what is known of it (see "Servers" in the documentation)."""

    #: The arguments of Python, given a port and the name of an application.
    arguments: Callable[[int, str], list[str]]
    #: Whether the connection can be used again after a small body that nobody wanted.
    keeps_alive: bool = True
    #: Whether the application is called before the whole body has come.
    streams_bodies: bool = True
    #: Whether a chunked body that ends with the connection is known from a whole one.
    notices_cut_chunks: bool = True
    #: Whether headers that end with the connection are taken for all of them.
    believes_cut_headers: bool = False


def _gunicorn(worker_class: str, *options: str) -> Callable[[int, str], list[str]]:
    def arguments(port: int, name: str) -> list[str]:
        # From gunicorn 25 on; the default is one socket per user, not per server.
        no_socket = ["--no-control-socket"] * ("control_socket_disable" in Config().settings)
        return [
            *("-m", "gunicorn", "-c", "python:invokeasync_wsgi.gunicorn", *no_socket),
            *("--worker-class", worker_class, "--bind", f"127.0.0.1:{port}", *options),
            f"{_APPLICATION}:{name}",
        ]

    return arguments


def _waitress(port: int, name: str) -> list[str]:
    return ["-m", "waitress", f"--listen=127.0.0.1:{port}", f"{_APPLICATION}:{name}"]


def _werkzeug(port: int, name: str) -> list[str]:
    return ["-m", "tests.integration.werkzeug_server", str(port), name]


def _cheroot(port: int, name: str) -> list[str]:
    return ["-m", "cheroot", "--bind", f"127.0.0.1:{port}", f"{_APPLICATION}:{name}"]


def _uvicorn(port: int, name: str) -> list[str]:
    # Behind a2wsgi there is the plain application only.
    target = f"{_APPLICATION}:make_asgi"
    return ["-m", "uvicorn", "--factory", "--host", "127.0.0.1", "--port", str(port), target]


KINDS: Mapping[str, Kind] = {
    "gunicorn-sync": Kind(_gunicorn("sync", "--threads", "1"), keeps_alive=False),
    "gunicorn-gthread": Kind(_gunicorn("gthread")),
    "gunicorn-gevent": Kind(_gunicorn("gevent")),
    "gunicorn-sync-preload": Kind(
        _gunicorn("sync", "--threads", "1", "--preload"), keeps_alive=False
    ),
    "gunicorn-gthread-preload": Kind(_gunicorn("gthread", "--preload")),
    "gunicorn-gevent-preload": Kind(_gunicorn("gevent", "--preload")),
    "waitress": Kind(_waitress, streams_bodies=False),
    "werkzeug": Kind(_werkzeug, keeps_alive=False, believes_cut_headers=True),
    "cheroot": Kind(_cheroot),
    "uvicorn": Kind(_uvicorn, notices_cut_chunks=False),
}

GUNICORN = ("gunicorn-sync", "gunicorn-gthread", "gunicorn-gevent")
PRELOADING = tuple(f"{name}-preload" for name in GUNICORN)
#: The servers that every promise is tested on.
MAIN = (*GUNICORN, "waitress", "werkzeug")
EVERY = (*MAIN, "cheroot", "uvicorn")


class Server:
    """A running server, its log, and the runs of handlers in it."""

    def __init__(self, name: str, port: int, folder: Path) -> None:
        self.name = name
        self.kind = KINDS[name]
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._log = folder / "log"
        self._events = folder / "events"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, application: str, environment: Mapping[str, str]) -> None:
        """Start the process and wait until it answers."""
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            # As in a shell's background: children would inherit it, and ctrl-C not end them.
            signal.signal(signal.SIGINT, signal.default_int_handler)
        own = {name: os.environ[name] for name in os.environ if not name.startswith("INVOKEASYNC_")}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, *self.kind.arguments(self.port, application)],
                cwd=ROOT,
                env={
                    **own,
                    "PYTHONUNBUFFERED": "1",
                    "EVENTS_FILE": str(self._events),
                    **environment,
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        eventually(self._answers_or_died, within_s=_PATIENCE_S)
        assert self.pid, self.log()
        assert self._process.poll() is None, self.log()

    @property
    def pid(self) -> int:
        """The process that was started: under gunicorn the master."""
        assert self._process is not None
        return self._process.pid

    def log(self) -> str:
        """What the server and the functions have written so far."""
        return self._log.read_text(errors="replace")

    def tracebacks_of_ours(self) -> list[str]:
        """The log's traceback lines that name a module of the package."""
        return re.findall(r'^.*File ".*[\\/]invokeasync_wsgi[\\/].*$', self.log(), re.MULTILINE)

    def send(self, request: bytes, *, method: str = "POST") -> Answer:
        """The answer to a request on a connection of its own."""
        with Connection(self.port) as connection:
            connection.send(request)
            answer = connection.answer(method)
        assert answer is not None, f"{self.name} closed the connection\n{self.log()}"
        return answer

    def accept(self, function_name: str, body: bytes = b"{}", *, prefix: str = "") -> str:
        """Send an event that must be accepted; returns the request id."""
        path = f"{prefix}/2014-11-13/functions/{function_name}/invoke-async"
        answer = self.send(post(path, body, {"Connection": "close"}))
        assert answer.status == 202, answer
        return answer.headers["x-amzn-requestid"]

    def runs(self) -> list[dict[str, Any]]:
        """The handler runs so far, in their order."""
        if not self._events.exists():
            return []
        *lines, _ = self._events.read_text().split("\n")  # the last is being written, or empty
        return [json.loads(line) for line in lines]

    def run_of(self, request_id: str) -> dict[str, Any]:
        """The handler run of a request; waits for it and fails when there are two."""
        self.wait_for([request_id])
        (run,) = (run for run in self.runs() if run["request_id"] == request_id)
        return run

    def wait_for(self, request_ids: Iterable[str]) -> None:
        """Wait until the handlers of all these requests have run."""
        expected = set(request_ids)
        eventually(lambda: expected <= {run["request_id"] for run in self.runs()})

    def signal(self, number: int) -> None:
        """Send a signal to the process that was started, and to no worker of it."""
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Wait for the end of the process; returns its exit status."""
        assert self._process is not None
        return self._process.wait(_PATIENCE_S)

    def close(self) -> None:
        """End all that is left of the server, the polite way first."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_PATIENCE_S)
        with suppress(ProcessLookupError):  # workers that outlived their master
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _answers_or_died(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            return True
        try:
            with Connection(self.port) as connection:
                connection.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                return connection.answer("GET") is not None
        except OSError:
            return False


@contextmanager
def running(
    name: str, folder: Path, application: str = "plain", **environment: str
) -> Iterator[Server]:
    """A server that runs while the context lasts.

    Args:
        name: a key of `KINDS`.
        folder: for its log and the file of handler runs.
        application: a name in `tests.integration.application`.
        environment: variables to set, such as settings.
    """
    server = Server(name, _free_port(), folder)
    try:
        server.start(application, environment)
        yield server
    finally:
        server.close()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
