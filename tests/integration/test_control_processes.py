"""What control calls change is the same for every process, and survives all of them.

A server with two worker processes accepts and answers, a ``worker`` process runs what was accepted,
and all of them share one file; then small processes that change settings are killed.
"""

from __future__ import annotations

import json
import os
import queue
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from invokeasync_wsgi import InvokeAsyncMiddleware
from invokeasync_wsgi.testing import Client
from tests import control
from tests.integration import control_application, control_site, ledger, raw
from tests.integration.control_application import VICTIMS
from tests.integration.control_site import Site, members_of, request, seen_elsewhere, send
from tests.integration.program import Program
from tests.integration.servers import ROOT
from tests.integration.signing import ARN
from tests.waiting import eventually

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="it looks at processes as Linux shows them"),
    # What boto3 says of Pythons that it is about to leave behind is not about us.
    pytest.mark.filterwarnings("ignore:Boto3 will no longer support Python"),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server for everybody, whose events are tried again at once."""
    folder = tmp_path_factory.mktemp("site")
    with control_site.running(folder, INVOKEASYNC_RETRY_WAITS_S="0.01") as site:
        yield site


@pytest.fixture(scope="module")
def worker(site: Site) -> Program:
    """The process that runs the events of the ``site``."""
    return site.start_worker()


# --- other processes ----------------------------------------------------------------------------


def test_what_one_process_changes_every_other_answers_at_once(site: Site) -> None:
    concurrency = "/2017-10-31/functions/plain/concurrency"
    read = "/2019-09-30/functions/plain/concurrency"
    config = "/2019-09-25/functions/plain/event-invoke-config"
    with site.connections() as connections:
        sides = list(connections.values())
        for number in range(1, 41):
            changing, asked = sides[number % 2], sides[number % 2 - 1]
            body = json.dumps({"ReservedConcurrentExecutions": number}).encode()
            assert send(changing, request("PUT", concurrency, body)).status == 200
            assert members_of(send(asked, request("GET", read))) == json.loads(body)

            body = json.dumps({"MaximumEventAgeInSeconds": 60 + number}).encode()
            assert send(changing, request("PUT", config, body)).status == 200
            members = members_of(send(asked, request("GET", config)))
            assert members["MaximumEventAgeInSeconds"] == 60 + number

        assert send(sides[0], request("DELETE", concurrency)).status == 204
        assert members_of(send(sides[1], request("GET", read))) == {}
        assert send(sides[0], request("DELETE", config)).status == 204
        assert send(sides[1], request("GET", config)).status == 404


_PLAIN = "/2015-03-31/functions/plain"


class Change(NamedTuple):
    """A change, and what shows that it was made."""

    method: str
    path: str
    members: dict[str, object]
    #: DELETE takes it back, and GET finds it, if it can be looked at alone.
    made: str


def _alias(name: str) -> Change:
    members: dict[str, object] = {"Name": name, "FunctionVersion": "$LATEST"}
    return Change("POST", f"{_PLAIN}/aliases", members, f"{_PLAIN}/aliases/{name}")


def _statement(sid: str) -> Change:
    members: dict[str, object] = {"Action": "lambda:InvokeFunction", "Principal": "123456789012"}
    return Change(
        "POST", f"{_PLAIN}/policy", {"StatementId": sid, **members}, f"{_PLAIN}/policy/{sid}"
    )


def _reservation(function_name: str) -> Change:
    path = f"/2017-10-31/functions/{function_name}/concurrency"
    return Change("PUT", path, {"ReservedConcurrentExecutions": 500}, path)


@pytest.mark.parametrize(
    ("first", "second", "statuses"),
    [
        pytest.param(_alias("a"), _alias("a"), (201, 409), id="the same alias"),
        pytest.param(_alias("a"), _alias("b"), (201, 201), id="two aliases"),
        pytest.param(_statement("a"), _statement("a"), (201, 409), id="the same statement"),
        pytest.param(_statement("a"), _statement("b"), (201, 201), id="two statements"),
        pytest.param(
            _reservation("plain"), _reservation("sink"), (200, 400), id="more than there is"
        ),
    ],
)
def test_two_processes_change_something_at_the_same_time(
    site: Site, first: Change, second: Change, statuses: tuple[int, int]
) -> None:
    """As if one had come after the other: both are there, or the second one is refused."""
    with site.connections() as connections:
        sides = list(connections.values())
        for _ in range(30):
            for connection, change in zip(sides, (first, second), strict=True):
                body = json.dumps(change.members).encode()
                connection.send(request(change.method, change.path, body))
            answers = [connection.answer() for connection in sides]
            for path in {first.made, second.made}:
                if path.startswith(f"{_PLAIN}/aliases/"):
                    assert send(sides[0], request("GET", path)).status == 200
                assert send(sides[0], request("DELETE", path)).status == 204
            assert tuple(sorted(answer.status for answer in answers if answer)) == statuses


def test_of_two_changes_of_the_same_revision_one_is_made(site: Site) -> None:
    path = f"{_PLAIN}/aliases/revised"
    revision = site.client().create_alias(
        FunctionName="plain", Name="revised", FunctionVersion="$LATEST"
    )["RevisionId"]
    with site.connections() as connections:
        for _ in range(30):
            for pid, connection in connections.items():
                change = {"Description": str(pid), "RevisionId": revision}
                connection.send(request("PUT", path, json.dumps(change).encode()))
            answers = {pid: connection.answer() for pid, connection in connections.items()}
            made = {
                pid: answer for pid, answer in answers.items() if answer and answer.status == 200
            }
            assert sorted(answer.status for answer in answers.values() if answer) == [200, 412]
            [(pid, answer)] = made.items()
            revision = members_of(answer)["RevisionId"]
            held = site.client().get_alias(FunctionName="plain", Name="revised")
            assert (held["Description"], held["RevisionId"]) == (str(pid), revision)
    site.client().delete_alias(FunctionName="plain", Name="revised")


def test_a_reservation_of_0_stops_events_and_callers_until_it_is_lifted(
    site: Site, worker: Program
) -> None:
    client = site.client()
    with seen_elsewhere():
        client.put_function_concurrency(FunctionName="reserved", ReservedConcurrentExecutions=0)
    stopped = site.accept_by_each("reserved")
    refused = site.ask_each("POST", raw.invoke("reserved"))

    records = site.records_of(stopped)
    contexts = [record["requestContext"] for record in records]
    assert [each["requestId"] for each in contexts] == stopped
    assert {each["condition"] for each in contexts} == {"ZeroReservedConcurrency"}
    assert site.runs_of(stopped) == []
    assert [answer.outcome for answer in refused] == ["TooManyRequestsException"] * 2
    assert {json.loads(answer.body)["Reason"] for answer in refused} == {
        "ReservedFunctionConcurrentInvocationLimitExceeded"
    }

    with seen_elsewhere():
        client.delete_function_concurrency(FunctionName="reserved")
    accepted = site.accept_by_each("reserved")
    assert [run["pid"] for run in site.runs_of(accepted)] == [worker.pid] * 2
    assert [answer.status for answer in site.ask_each("POST", raw.invoke("reserved"))] == [200] * 2


def test_retries_and_destinations_that_are_set_govern_until_they_are_deleted(
    site: Site, worker: Program
) -> None:
    """And what the application declares, one retry and no destination, before and afterwards."""

    def attempts(request_ids: list[str]) -> list[int]:
        runs = site.runs_of(request_ids)
        assert {run["pid"] for run in runs} == {worker.pid}
        return [sum(run["request_id"] == each for run in runs) for each in request_ids]

    client = site.client()
    before = site.accept_by_each("fails")
    assert (attempts(before), site.records_of(before)) == ([2, 2], [])

    with seen_elsewhere():
        client.put_function_event_invoke_config(
            FunctionName="fails",
            MaximumRetryAttempts=0,
            DestinationConfig={"OnFailure": {"Destination": f"{ARN}:sink"}},
        )
    governed = site.accept_by_each("fails")
    assert attempts(governed) == [1, 1]
    contexts = [record["requestContext"] for record in site.records_of(governed)]
    assert [each["requestId"] for each in contexts] == governed
    assert {(each["condition"], each["approximateInvokeCount"]) for each in contexts} == {
        ("RetriesExhausted", 1)
    }

    with seen_elsewhere():
        client.delete_function_event_invoke_config(FunctionName="fails")
    after = site.accept_by_each("fails")
    assert (attempts(after), site.records_of(after)) == ([2, 2], [])


def test_a_destination_of_an_alias_is_for_events_of_that_alias(site: Site, worker: Program) -> None:
    client = site.client()
    client.create_alias(FunctionName="plain", Name="heard", FunctionVersion="$LATEST")
    with seen_elsewhere():
        client.put_function_event_invoke_config(
            FunctionName="plain",
            Qualifier="heard",
            DestinationConfig={"OnSuccess": {"Destination": f"{ARN}:sink"}},
        )
    of_alias = site.accept_by_each("plain:heard")
    of_function = site.accept_by_each("plain")

    records = site.records_of(of_alias)
    assert [record["requestContext"]["condition"] for record in records] == ["Success"] * 2
    assert {record["requestContext"]["functionArn"] for record in records} == {f"{ARN}:plain:heard"}
    assert {record["responsePayload"]["pid"] for record in records} == {worker.pid}
    assert len(site.runs_of(of_function)) == 2
    assert site.records_of(of_function) == []
    client.delete_function_event_invoke_config(FunctionName="plain", Qualifier="heard")
    client.delete_alias(FunctionName="plain", Name="heard")


def test_events_and_callers_of_an_alias_get_the_version_that_it_was_moved_to(
    site: Site, worker: Program
) -> None:
    def check(version: str) -> None:
        accepted = site.accept_by_each("versioned:moving")
        answers = site.ask_each("POST", f"{raw.invoke('versioned')}?Qualifier=moving")
        runs = site.runs_of(accepted)
        assert [(run["pid"], run["version"]) for run in runs] == [(worker.pid, version)] * 2
        assert [answer.headers["x-amz-executed-version"] for answer in answers] == [version] * 2
        assert [members_of(answer)["version"] for answer in answers] == [version] * 2

    client = site.client()
    with seen_elsewhere():
        client.create_alias(FunctionName="versioned", Name="moving", FunctionVersion="1")
    check("1")
    with seen_elsewhere():
        client.update_alias(FunctionName="versioned", Name="moving", FunctionVersion="2")
    check("2")
    with seen_elsewhere():
        published = client.publish_version(FunctionName="versioned")["Version"]
        client.update_alias(FunctionName="versioned", Name="moving", FunctionVersion=published)
    assert published == "3"
    check("3")
    with seen_elsewhere():
        client.delete_alias(FunctionName="versioned", Name="moving")
    gone = site.ask_each("POST", f"{raw.invoke('versioned')}?Qualifier=moving")
    assert [answer.outcome for answer in gone] == ["ResourceNotFoundException"] * 2


def test_what_is_set_outlives_all_processes(tmp_path: Path) -> None:
    """It is there when everything starts again, and before the first event runs."""
    with control_site.running(tmp_path) as first:
        first.client().put_function_concurrency(
            FunctionName="reserved", ReservedConcurrentExecutions=0
        )
        accepted = first.accept_by_each("reserved")
    with control_site.running(tmp_path) as second:
        second.start_worker()
        reserved = second.client().get_function_concurrency(FunctionName="reserved")
        assert reserved["ReservedConcurrentExecutions"] == 0
        contexts = [record["requestContext"] for record in second.records_of(accepted)]
        assert [each["condition"] for each in contexts] == ["ZeroReservedConcurrency"] * 2
        assert not [run for run in second.runs() if run["function"] == "reserved"]


# --- kill -9 ------------------------------------------------------------------------------------


class Nursery:
    """Small processes that change settings until they are killed: see `control_application`.

    Args:
        folder: for the log.
        url: the executor that they share.
    """

    def __init__(self, folder: Path, url: str) -> None:
        self.url = url
        self._log = folder / "log"
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", f"from {control_application.__name__} import main; main()"],
                cwd=ROOT,
                env={**os.environ, ledger.VARIABLE: str(folder / "ledger")},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                text=True,
            )
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def tell(self, line: str) -> None:
        """Have it read a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def fork(self, name: str, first: int) -> None:
        """Start a process."""
        self.tell(f"{self.url} {name} {first}")

    def hear(self) -> list[str]:
        """The words of the next line that any process tells."""
        try:
            return self._lines.get(timeout=10).split()
        except queue.Empty:
            raise AssertionError(self.log()) from None

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def close(self) -> None:
        """Kill everything."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._listener.join()
        for stream in self._process.stdin, self._process.stdout:
            assert stream is not None
            stream.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.removesuffix("\n"))


@pytest.fixture
def nursery(tmp_path: Path) -> Iterator[Nursery]:
    made = Nursery(tmp_path, f"sqlite:///{tmp_path / 'queue.db'}?workers=0")
    yield made
    made.close()


class Victim:
    """A function whose settings are changed by processes that are killed.

    Args:
        name: the function's.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        #: Of the first change of the process at work.
        self.first = 0
        #: Of the last change of each kind that the process has told of.
        self._told = {"config": -1, "alias": -1}
        #: Of the configuration that there was before it, and of the aliases.
        self._config: int | None = None
        self._aliases: set[int] = set()

    def hear(self, what: str, number: int) -> None:
        """A change was made, and answered."""
        assert number == self._told[what] + 1
        self._told[what] = number

    def check(self, client: Client) -> None:
        """What was told is there, and what was under way is there as a whole or not at all.

        Args:
            client: of a process that lives.
        """
        config, alias = self._told["config"], self._told["alias"]
        is_next_config = config == alias
        before = self._config if config < self.first else config
        now = self._read_config(client)
        assert now in ((before, config + 1) if is_next_config else (before,))

        certain = self._aliases | set(range(self.first, alias + 1))
        aliases = self._read_aliases(client)
        assert certain <= aliases
        assert aliases - certain <= (set() if is_next_config else {config})

        self._config, self._aliases = now, aliases
        self.first = config + 2  # none that may have been made
        self._told = dict.fromkeys(self._told, self.first - 1)

    def is_as_before(self, client: Client) -> bool:
        """Whether everything is as `check` has last seen it."""
        seen = self._read_config(client), self._read_aliases(client)
        return seen == (self._config, self._aliases)

    def _read_config(self, client: Client) -> int | None:
        request = f"GET {control.config_of(self.name)}"
        if control.ask(client, request).status == 404:
            return None
        members = control.get(client, request)
        number: int = members["MaximumEventAgeInSeconds"] - 60
        whole = control_application.config(number)
        assert control.without(members, "LastModified", "FunctionArn") == whole
        return number

    def _read_aliases(self, client: Client) -> set[int]:
        numbers = set()
        marker = ""
        while True:
            page = control.get(client, f"GET /2015-03-31/functions/{self.name}/aliases?{marker}")
            for members in page["Aliases"]:
                number = int(members["Name"].removeprefix("alias-"))
                whole = control_application.alias(number)
                assert control.without(members, "AliasArn", "RevisionId") == whole
                numbers.add(number)
            if "NextMarker" not in page:
                return numbers
            marker = f"Marker={control.encoded(page['NextMarker'])}"


@contextmanager
def opened(url: str) -> Iterator[Client]:
    """A client of the file, in this process."""
    application = InvokeAsyncMiddleware(
        None, control_application.functions, auth="none", executor=url
    )
    yield Client(application)
    application.close()


def _is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_changes_survive_kill_9_as_a_whole_or_not_at_all(
    tmp_path: Path, nursery: Nursery, record_property: Callable[[str, object], None]
) -> None:
    """Two processes at a time change the same file, and are killed, 16 times."""
    seed = random.randrange(10**9)
    print("seed", seed)
    chance = random.Random(seed)
    victims = {name: Victim(name) for name in VICTIMS}
    changes = 0
    with opened(nursery.url) as client:
        for end in range(16):
            for victim in victims.values():
                nursery.fork(victim.name, victim.first)
            pids: list[int] = []
            # One round in four ends as soon as the processes begin, the others amid the changes.
            enough = (0, 1, chance.randrange(2, 20), chance.randrange(20, 80))[end % 4]
            told = 0
            while len(pids) < len(victims) or told < enough:
                told += _hear(nursery, victims, pids) == "change"
            time.sleep(chance.uniform(0, 0.005 if enough else 0.05))
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            for pid in pids:
                eventually(lambda pid=pid: _is_gone(pid))  # type: ignore[misc]
            nursery.tell("over")
            while (heard := _hear(nursery, victims, pids)) != "over":
                told += heard == "change"
            changes += told

            for victim in victims.values():
                victim.check(client)
            with closing(sqlite3.connect(tmp_path / "queue.db")) as connection:
                assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    record_property("changes", changes)
    print("changes", changes)
    with opened(nursery.url) as fresh:
        assert all(victim.is_as_before(fresh) for victim in victims.values())


def _hear(nursery: Nursery, victims: Mapping[str, Victim], pids: list[int]) -> str:
    """Hear one line, which may tell of a new process or of a change; returns what it is about."""
    match nursery.hear():
        case ["pid", _, pid]:
            pids.append(int(pid))
            return "process"
        case ["config" | "alias" as what, name, number]:
            victims[name].hear(what, int(number))
            return "change"
        case [word]:
            return word
        case refused:
            raise AssertionError(refused)
