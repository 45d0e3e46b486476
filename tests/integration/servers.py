"""Real servers in processes of their own, for the tests in this folder."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

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


class Start(NamedTuple):
    """What a server is started with."""

    port: int
    #: The application: a name in `tests.integration.application`.
    name: str
    #: What the server itself mounts the application at: ``""``, or a path such as ``/api``.
    prefix: str
    #: For what the server writes.
    folder: Path

    @property
    def target(self) -> str:
        """The application, as most servers want to be told."""
        return f"{_APPLICATION}:{self.name}"


@dataclass(frozen=True)
class Kind:
    """How to start one server, and what is known of it (see "Servers" in the documentation)."""

    #: The command.
    command: Callable[[Start], list[str]]
    #: Whether the connection can be used again after a small body that nobody wanted.
    keeps_alive: bool = True
    #: Whether the application is called before the whole body has come.
    streams_bodies: bool = True
    #: Whether a chunked body that ends with the connection is known from a whole one.
    notices_cut_chunks: bool = True
    #: Whether headers that end with the connection are taken for all of them.
    believes_cut_headers: bool = False
    #: Whether the application is given the path as it stood in the request line.
    keeps_path: bool = True
    #: Whether the body of a refused request is waited for, unless the client wants no other answer
    #: on the connection.
    drains_bodies: bool = False
    #: The module of a server that does not install everywhere.
    needs: str | None = None


def _gunicorn(worker_class: str, *options: str) -> Callable[[Start], list[str]]:
    def command(start: Start) -> list[str]:
        # From gunicorn 25 on; the default is one socket per user, not per server.
        no_socket = ["--no-control-socket"] * ("control_socket_disable" in Config().settings)
        prefix = [f"--env=SCRIPT_NAME={start.prefix}"] * bool(start.prefix)
        return [
            *(sys.executable, "-m", "gunicorn", "-c", "python:invokeasync_wsgi.gunicorn"),
            *(*no_socket, *prefix, "--worker-class", worker_class),
            *("--bind", f"127.0.0.1:{start.port}", *options, start.target),
        ]

    return command


def _waitress(start: Start) -> list[str]:
    prefix = [f"--url-prefix={start.prefix}"] * bool(start.prefix)
    listen = f"--listen=127.0.0.1:{start.port}"
    return [sys.executable, "-m", "waitress", listen, *prefix, start.target]


def _werkzeug(start: Start) -> list[str]:
    script = "tests.integration.werkzeug_server"
    return [sys.executable, "-m", script, str(start.port), start.name]


def _cheroot(start: Start) -> list[str]:
    return [sys.executable, "-m", "cheroot", "--bind", f"127.0.0.1:{start.port}", start.target]


def _uvicorn(start: Start) -> list[str]:
    # Behind a2wsgi there is no Flask application.
    factory = "make_signed_asgi" if start.name == "signed" else "make_asgi"
    return [
        *(sys.executable, "-m", "uvicorn", "--factory", "--host", "127.0.0.1"),
        *("--port", str(start.port), f"{_APPLICATION}:{factory}"),
    ]


def _uwsgi(start: Start) -> list[str]:
    application = [f"--module={start.target}"]
    if start.prefix:
        application = [f"--mount={start.prefix}={start.target}", "--manage-script-name"]
    return [
        *(sys.executable, "-c", "import pyuwsgi; pyuwsgi.run()", *application),
        *(f"--http-socket=127.0.0.1:{start.port}", "--threads=4", "--enable-threads"),
        *("--need-app", "--die-on-term"),
        # A head of more than 4 KB, which a session token makes of any, gets no answer otherwise.
        "--buffer-size=32768",
        # It closes every connection, and does not say so by itself.
        "--add-header=Connection: close",
    ]


def _mod_wsgi(start: Start) -> list[str]:
    command = [sys.executable, "-c", "from mod_wsgi.express.cli import main; main()"]
    if os.geteuid() == 0:
        # Apache gives root away and could not read a Python in root's home then.
        setpriv = shutil.which("setpriv")
        need(setpriv, "setpriv, of util-linux")
        command = [
            *(str(setpriv), "--reuid=65534", "--regid=65534", "--clear-groups"),
            *("--inh-caps=+dac_override", "--ambient-caps=+dac_override", *command),
        ]
    return [
        *(*command, "start-server", "--application-type=module", f"--entry-point={_APPLICATION}"),
        *(f"--callable-object={start.name}", "--host=127.0.0.1", f"--port={start.port}"),
        *(f"--working-directory={ROOT}", f"--server-root={start.folder / 'apache'}"),
        *("--processes=1", "--threads=4", "--log-to-terminal", "--chunked-request"),
        *([f"--mount-point={start.prefix}"] * bool(start.prefix)),
    ]


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
    "cheroot": Kind(_cheroot, drains_bodies=True),
    "uvicorn": Kind(_uvicorn, notices_cut_chunks=False, keeps_path=False),
    "uwsgi": Kind(_uwsgi, keeps_alive=False, needs="pyuwsgi"),
    "mod_wsgi": Kind(_mod_wsgi, streams_bodies=False, needs="mod_wsgi"),
}

GUNICORN = ("gunicorn-sync", "gunicorn-gthread", "gunicorn-gevent")
PRELOADING = tuple(f"{name}-preload" for name in GUNICORN)
#: The servers that every promise is tested on.
MAIN = (*GUNICORN, "waitress", "werkzeug")
EVERY = (*MAIN, "cheroot", "uvicorn")
#: The servers that signed requests are tested on: each has its own way with the path.
SIGNED = (*EVERY, "uwsgi", "mod_wsgi")
#: One of each that can mount an application at a prefix by itself.
PREFIXING = ("gunicorn-gthread", "waitress", "uwsgi", "mod_wsgi")


class Server:
    """A running server, its log, and the runs of handlers in it."""

    def __init__(self, name: str, port: int, folder: Path) -> None:
        self.name = name
        self.kind = KINDS[name]
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._folder = folder
        self._log = folder / "log"
        self._events = folder / "events"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, application: str, environment: Mapping[str, str], prefix: str = "") -> None:
        """Start the process and wait until it answers."""
        if self.kind.needs is not None:
            is_there = importlib.util.find_spec(self.kind.needs) is not None
            need(is_there, f"{self.kind.needs}, which pip installs")
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            # As in a shell's background: children would inherit it, and ctrl-C not end them.
            signal.signal(signal.SIGINT, signal.default_int_handler)
        own = {name: os.environ[name] for name in os.environ if not name.startswith("INVOKEASYNC_")}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self.kind.command(Start(self.port, application, prefix, self._folder)),
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
    name: str, folder: Path, application: str = "plain", *, prefix: str = "", **environment: str
) -> Iterator[Server]:
    """A server that runs while the context lasts.

    Args:
        name: a key of `KINDS`.
        folder: for its log and the file of handler runs.
        application: a name in `tests.integration.application`.
        prefix: what the server, if it can, mounts the application at.
        environment: variables to set, such as settings.
    """
    server = Server(name, free_port(), folder)
    try:
        server.start(application, environment, prefix)
        yield server
    finally:
        server.close()


def free_ports(count: int) -> list[int]:
    """So many different ports that nobody listens on."""
    with ExitStack() as probes:
        listening = [
            probes.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [probe.getsockname()[1] for probe in listening]


def free_port() -> int:
    """A port that nobody listens on."""
    return free_ports(1)[0]
