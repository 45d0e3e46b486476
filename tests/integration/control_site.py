"""A server with two worker processes on one file, for the tests of the control calls.

Requests that must meet one certain worker process go over a connection that is known to end there.
A ``worker`` process runs what the server has accepted.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from invokeasync_wsgi.store.events import Events
from tests.integration import control_application, raw, signing
from tests.integration.program import Program
from tests.integration.raw import Answer, Connection, post
from tests.integration.servers import ROOT, free_port
from tests.integration.signing import Keys, signed_headers
from tests.waiting import eventually

_TARGET = f"{control_application.__name__}:functions"

#: How long processes may take to start.
_PATIENCE_S = 20
#: How long a change may take to govern what other processes do.
_SEEN_AFTER_S = 1.0


class Site:
    """A server with two worker processes on a file, and who asks it.

    Args:
        folder: for everything that is written.
        policies: of those who sign; anybody may do everything where there are none.
        environment: of all processes.
    """

    def __init__(self, folder: Path, *, policies: object = None, **environment: str) -> None:
        self.keys = Keys(folder)
        auth = "none"
        if policies is not None:
            auth = self.keys.auth()
            environment |= self.keys.settings
            self.keys.policies.write_text(json.dumps(policies))
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self._queue = folder / "queue.db"
        self._executor = f"sqlite:///{self._queue}"
        self._environment = environment
        self._programs: list[Program] = []
        self._clients: dict[str, Any] = {}
        self.server = self._start(
            *("serve", _TARGET, "--auth", auth, "--port", str(self.port)),
            *("--workers", "2", "--executor", f"{self._executor}?workers=0"),
        )

    def start_worker(self) -> Program:
        """Have the events of the queue run in a process of its own, which is up."""
        worker = self._start("worker", _TARGET, "--executor", self._executor)
        eventually(lambda: "running " in worker.log(), within_s=_PATIENCE_S)
        return worker

    def _start(self, *arguments: str) -> Program:
        program = Program(self._folder, *arguments, directory=ROOT, **self._environment)
        self._programs.append(program)
        return program

    def wait_until_it_answers(self) -> None:
        """Wait until there are two worker processes, and both answer."""
        eventually(self._is_up, within_s=_PATIENCE_S)

    def _is_up(self) -> bool:
        assert self.server.processes(), self.server.log()
        try:
            Connection(self.port).close()
        except OSError:
            return False
        return len(self.server.processes("serve")) == 2

    def client(self, profile: str = "default") -> Any:
        """boto3's client with the key of a profile."""
        if profile not in self._clients:
            self._clients[profile] = self.keys.client(self.url, profile)
        return self._clients[profile]

    @contextmanager
    def connections(self) -> Iterator[dict[int, Connection]]:
        """A connection to each worker process, by the process."""
        found: dict[int, Connection] = {}

        def connect() -> bool:
            connection = Connection(self.port)
            pid = members_of(send(connection, signed_post(raw.invoke("plain"))))["pid"]
            if pid in found:
                connection.close()
            found.setdefault(pid, connection)
            return len(found) == 2

        try:
            eventually(connect)
            assert set(found) == self.server.processes() - {self.server.pid}
            yield found
        finally:
            for connection in found.values():
                connection.close()

    def runs(self) -> list[dict[str, Any]]:
        """The handler runs so far, in their order."""
        path = self._folder / "ledger"
        if not path.exists():
            return []
        *lines, _ = path.read_text().split("\n")  # the last is being written, or empty
        return [json.loads(line) for line in lines]

    def runs_of(self, request_ids: list[str]) -> list[dict[str, Any]]:
        """All handler runs of requests, once nothing of them is left to do."""
        events = Events(self._queue)
        eventually(lambda: not events.find("waiting") and not events.find("running"))
        return [run for run in self.runs() if run["request_id"] in request_ids]

    def records_of(self, request_ids: list[str]) -> list[dict[str, Any]]:
        """What the destination ``sink`` has got for requests, in the order of the requests."""
        self.runs_of(request_ids)
        records = [run["event"] for run in self.runs() if run["function"] == "sink"]
        found = {record["requestContext"]["requestId"]: record for record in records}
        return [found[request_id] for request_id in request_ids if request_id in found]

    def accept_by_each(self, function_name: str) -> list[str]:
        """Send an event to each worker process; returns the request ids."""
        with self.connections() as connections:
            answers = [
                send(connection, post(raw.invoke_async(function_name)))
                for connection in connections.values()
            ]
        assert [answer.status for answer in answers] == [202, 202]
        return [answer.headers["x-amzn-requestid"] for answer in answers]

    def ask_each(self, method: str, path: str, body: bytes = b"") -> list[Answer]:
        """Send a request to each worker process."""
        with self.connections() as connections:
            return [
                send(connection, request(method, path, body)) for connection in connections.values()
            ]

    def close(self) -> None:
        """End everything."""
        for client in self._clients.values():
            client.close()
        for program in self._programs:
            program.close()


def request(method: str, path: str, body: bytes = b"") -> bytes:
    """An unsigned request, after which the connection stays open."""
    return post(path, body).replace(b"POST", method.encode(), 1)


def signed_post(path: str, key: signing.Key = signing.DEFAULT) -> bytes:
    """A signed request, after which the connection stays open."""
    return post(path, headers=signed_headers(path, key=key))


def send(connection: Connection, data: bytes) -> Answer:
    """What comes back for a request on a connection."""
    connection.send(data)
    answer = connection.answer()
    assert answer is not None
    return answer


def members_of(answer: Answer) -> dict[str, Any]:
    """The members of an answer, which must be a success."""
    assert 200 <= answer.status < 300, answer
    members: dict[str, Any] = json.loads(answer.body)
    return members


@contextmanager
def seen_elsewhere() -> Iterator[None]:
    """Make a change in this block; when it ends, the time is over that the change may take.

    Who is asked then, and what is accepted then, must know of it: slow machines need no margin.
    """
    yield
    time.sleep(_SEEN_AFTER_S)


@contextmanager
def running(folder: Path, *, policies: object = None, **environment: str) -> Iterator[Site]:
    """A `Site` that answers, with the same arguments."""
    site = Site(folder, policies=policies, **environment)
    try:
        site.wait_until_it_answers()
        yield site
    finally:
        site.close()
