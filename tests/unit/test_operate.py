"""``list``, ``show``, ``redrive`` and ``purge``: what an operator reads and what programs get."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from invokeasync_wsgi.cli import main
from invokeasync_wsgi.store.events import STATES

from ..queue_file import QueueFile

#: Begins a colour, rings, deletes, ends a line and comes back, writes from right to left.
CONTROLS = "\x1b[31m\x07\x08\x7f\r\x9b31m\u202e\u2028\x00"


class Said(NamedTuple):
    """What a command has said."""

    out: str
    err: str

    def json(self) -> list[Any]:
        """The lines of the output, decoded."""
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith("INVOKEASYNC_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[QueueFile]:
    made = QueueFile(tmp_path)
    yield made
    made.check()
    made.close()


@pytest.fixture
def run(queue: QueueFile, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Runs a command on the queue."""

    def run(command: str, *arguments: str) -> Said:
        main([command, "--executor", f"sqlite:///{queue.path.name}", *arguments])
        return Said(*capsys.readouterr())

    return run


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that cannot be carried out, and gives the line that says why."""

    def run(*arguments: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        said = Said(*capsys.readouterr())
        assert (ended.value.code, said.out) == (2, "")
        assert said.err.count("\n") == 1, said.err
        return said.err

    return run


# --- list ---------------------------------------------------------------------------------------


def test_a_line_says_when_which_where_and_why(queue: QueueFile, run: Callable[..., Said]) -> None:
    queue.clock.advance(61.5)
    request_id = queue.dead(error=("KeyError", "'name'"))
    assert run("list") == Said(
        f"2020-01-01T00:01:01.500Z  {request_id}  work  attempt 1  "
        "RetriesExhausted: KeyError: 'name'\n",
        "",
    )


def test_a_line_of_an_event_that_waits_says_until_when(
    queue: QueueFile, run: Callable[..., Said]
) -> None:
    request_id = queue.waiting()
    queue.end(*queue.claim(), error=("ValueError", "no"), retries=2)
    assert run("list", "--state", "waiting").out == (
        f"2020-01-01T00:01:00.000Z  {request_id}  work  attempt 2  waiting: ValueError: no\n"
    )


def test_an_event_is_listed_as_json(queue: QueueFile, run: Callable[..., Said]) -> None:
    request_id = queue.dead(payload=b'{"a": 1}', qualifier="live")
    [event] = run("list", "--json").json()
    assert event == {
        "request_id": request_id,
        "function_name": "work",
        "qualifier": "live",
        "accepted_at": "2020-01-01T00:00:00.000Z",
        "payload_bytes": 8,
        "is_delivery": False,
        "state": "dead",
        "attempt": 1,
        "condition": "RetriesExhausted",
        "due": None,
        "finished_at": "2020-01-01T00:00:00.000Z",
        "error": {
            "errorMessage": "as it must",
            "errorType": "ValueError",
            "requestId": request_id,
            "stackTrace": [],
        },
    }


def test_every_state_can_be_listed_and_the_dead_are_when_nothing_is_said(
    queue: QueueFile, run: Callable[..., Said]
) -> None:
    made = {
        "running": queue.running(),
        "succeeded": queue.succeeded(),
        "dead": queue.dead(),
        "waiting": queue.waiting(),
    }
    for state in STATES:
        [event] = run("list", "--state", state, "--json").json()
        assert (event["request_id"], event["state"]) == (made[state], state)
    assert made["dead"] in run("list").out


def test_a_list_may_be_of_one_function_and_of_a_length(
    queue: QueueFile, run: Callable[..., Said]
) -> None:
    made = [queue.dead(name) for name in ("one", "two", "two", "two")]
    listed = run("list", "--function", "two", "--limit", "2", "--json").json()
    assert [event["request_id"] for event in listed] == made[:1:-1]


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_that_there_is_nothing_to_list_is_no_output_for_programs(
    run: Callable[..., Said], options: list[str]
) -> None:
    assert run("list", *options).out == ""


def test_that_there_is_nothing_to_list_is_said(run: Callable[..., Said]) -> None:
    assert run("list", "--state", "waiting") == Said("", "no waiting events\n")


# --- show ---------------------------------------------------------------------------------------


def test_everything_about_an_event_is_shown(queue: QueueFile, run: Callable[..., Said]) -> None:
    request_id = queue.waiting(payload=b'{"a":  1}', qualifier="live")
    queue.end(*queue.claim(), error=("ValueError", "no"), log="first\n", retries=1)
    queue.clock.advance(60)
    queue.end(*queue.claim(), result=b"[1]", log="second\n", retries=1)
    assert run("show", request_id).out == (
        f"request_id      {request_id}\n"
        "function_name   work\n"
        "qualifier       live\n"
        "accepted_at     2020-01-01T00:00:00.000Z\n"
        "payload_bytes   9\n"
        "is_delivery     False\n"
        "state           succeeded\n"
        "attempt         2\n"
        "condition       Success\n"
        "finished_at     2020-01-01T00:01:00.000Z\n"
        'payload         {"a":  1}\n'
        "\n"
        "attempt 1, ended 2020-01-01T00:00:00.000Z after 250.00 ms: Unhandled\n"
        '{"errorMessage": "no", "errorType": "ValueError", '
        f'"requestId": "{request_id}", "stackTrace": []}}\n'
        "first\n"
        "\n"
        "attempt 2, ended 2020-01-01T00:01:00.000Z after 250.00 ms: Success\n"
        "[1]\n"
        "second\n"
    )


def test_everything_about_an_event_is_shown_as_json(
    queue: QueueFile, run: Callable[..., Said]
) -> None:
    request_id = queue.waiting(
        payload=b'{"a":  1}', client_context="{}", trace_id="Root=1-a", tenant_id="them"
    )
    queue.end(*queue.claim(), log="what it wrote\n")
    [event] = run("list", "--state", "succeeded", "--json").json()
    assert run("show", request_id, "--json").json() == [
        {
            **event,
            "payload": '{"a":  1}',
            "client_context": "{}",
            "trace_id": "Root=1-a",
            "tenant_id": "them",
            "attempts": [
                {
                    "number": 1,
                    "attempt": 1,
                    "ended_at": "2020-01-01T00:00:00.000Z",
                    "duration_s": 0.25,
                    "executed_version": "$LATEST",
                    "function_error": None,
                    "result": '"done"',
                    "log": "what it wrote\n",
                }
            ],
        }
    ]


def test_an_event_is_shown_with_its_deliveries(queue: QueueFile, run: Callable[..., Said]) -> None:
    request_id = queue.dead()
    queue.waiting("file:///spool/", request_id=request_id, delivery="{}")
    shown = run("show", request_id, "--json").json()
    assert [(each["function_name"], each["is_delivery"]) for each in shown] == [
        ("work", False),
        ("file:///spool/", True),
    ]


# --- redrive and purge --------------------------------------------------------------------------


@pytest.mark.parametrize(("command", "done"), [("redrive", "redriven"), ("purge", "purged")])
def test_one_or_those_of_a_function_or_all_are_done_and_counted(
    queue: QueueFile, run: Callable[..., Said], command: str, done: str
) -> None:
    one, *_ = [queue.dead(name) for name in ("a", "a", "b", "b", "c")]
    assert run(command, one) == Said(f"1 {done}\n", "")
    assert run(command, "--function", "b").out == f"2 {done}\n"
    assert run(command, "--all", "--json").json() == [{done: 2}]
    assert run(command, "--all").out == f"0 {done}\n"
    left = queue.events.find("waiting")
    assert len(left) == (5 if command == "redrive" else 0)


def test_what_was_redriven_is_to_run_now(queue: QueueFile, run: Callable[..., Said]) -> None:
    queue.dead()
    before = time.time()
    run("redrive", "--all")
    [event] = queue.events.find("waiting")
    assert event.due is not None
    assert before <= event.due <= time.time()
    assert event.accepted_at == event.due


def test_only_what_was_given_up_long_ago_is_purged(
    queue: QueueFile, run: Callable[..., Said]
) -> None:
    queue.dead()
    queue.clock.advance(time.time() - queue.clock.time() - 1000)
    young = queue.dead()
    assert run("purge", "--all", "--older-than", "3600").out == "1 purged\n"
    assert [event.request_id for event in queue.events.find()] == [young]


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["show", "redrive", "purge"])
def test_an_event_that_is_not_there_is_one_clear_line(
    queue: QueueFile, fails: Callable[..., str], command: str
) -> None:
    said = fails(command, "no-such-id", "--executor", f"sqlite:///{queue.path.name}")
    what = (
        f"event 'no-such-id' in {queue.path}" if command == "show" else "dead letter 'no-such-id'"
    )
    assert said == f"invokeasync-wsgi: there is no {what}\n"


@pytest.mark.parametrize("command", ["redrive", "purge"])
def test_an_event_that_is_no_dead_letter_is_one_clear_line(
    queue: QueueFile, fails: Callable[..., str], command: str
) -> None:
    request_id = queue.waiting()
    said = fails(command, request_id, "--executor", f"sqlite:///{queue.path.name}")
    assert said == f"invokeasync-wsgi: there is no dead letter '{request_id}'\n"


COMMANDS = [["list"], ["show", "id"], ["redrive", "--all"], ["purge", "--all"]]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
@pytest.mark.parametrize(
    ("executor", "text"),
    [
        ("sqlite:///missing.db", "executor: there is no file '{folder}/missing.db'"),
        ("sqlite:///missing/q.db", "there is no directory '{folder}/missing'"),
        ("sqlite:///notes.db", "'{folder}/notes.db' cannot be used: it is no SQLite database"),
        ("sqlite:///site.db", "it is the database of another application"),
        ("threads:", "executor='threads:': it keeps no events; 'sqlite:///invocations.db' does"),
        ("inline:", "executor='inline:': it keeps no events"),
        ("sqlite:///q.db?wrokers=1", "there is no option 'wrokers'; did you mean 'workers'?"),
        ("sqllite:///q.db", "there is no executor 'sqllite'; did you mean 'sqlite'?"),
    ],
)
def test_a_queue_that_cannot_be_used_is_one_clear_line_and_nothing_is_made(
    tmp_path: Path, fails: Callable[..., str], command: list[str], executor: str, text: str
) -> None:
    (tmp_path / "notes.db").write_text("these are notes")
    with closing(sqlite3.connect(tmp_path / "site.db")) as connection:
        connection.execute("CREATE TABLE events (seq)")
    there = sorted(tmp_path.iterdir())
    said = fails(*command, "--executor", executor)
    assert said.startswith("invokeasync-wsgi: ")
    assert text.format(folder=tmp_path) in said
    assert sorted(tmp_path.iterdir()) == there


def test_without_an_executor_the_queue_of_serve_is_meant(
    tmp_path: Path, fails: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert str(tmp_path / "invocations.db") in fails("list")
    monkeypatch.setenv("INVOKEASYNC_EXECUTOR", "sqlite:///mine.db")
    assert str(tmp_path / "mine.db") in fails("list")
    assert str(tmp_path / "yours.db") in fails("list", "--executor", "sqlite:///yours.db")


@pytest.mark.parametrize(
    "arguments",
    [
        ["redrive"],
        ["purge"],
        ["redrive", "id", "--all"],
        ["purge", "--all", "--function", "work"],
        ["show"],
        ["list", "--state", "gone"],
        ["list", "--limit", "many"],
    ],
    ids=" ".join,
)
def test_what_is_not_said_clearly_is_not_done(
    queue: QueueFile, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    queue.dead()
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--executor", f"sqlite:///{queue.path.name}"])
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err
    assert len(queue.events.find()) == 1


# --- what must not reach the terminal -----------------------------------------------------------


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
def test_nothing_that_strangers_wrote_steers_the_terminal(
    queue: QueueFile, run: Callable[..., Said], options: list[str]
) -> None:
    request_id = queue.dead(
        payload=f'"{CONTROLS}"'.encode() + b"\xff\xfe",
        error=(f"Error{CONTROLS}", f"message{CONTROLS}"),
        log=f"log{CONTROLS}\n",
        trace_id=CONTROLS,
        tenant_id=CONTROLS,
        client_context=CONTROLS,
    )
    for said in (run("list", *options), run("show", request_id, *options)):
        raw = {char for char in said.out if not (char.isprintable() or char in "\n\t")}
        assert raw == set()


def test_a_result_steers_no_terminal_either(queue: QueueFile, run: Callable[..., Said]) -> None:
    request_id = queue.waiting()
    queue.end(*queue.claim(), result=f'"{CONTROLS}"'.encode() + b"\xff")
    said = run("show", request_id).out
    assert all(char.isprintable() or char in "\n\t" for char in said)
    assert '"\\x1b[31m\\x07\\x08\\x7f\\r\\x9b31m\\u202e\\u2028\\x00"' in said


def test_an_error_takes_one_line_of_a_list(queue: QueueFile, run: Callable[..., Said]) -> None:
    queue.dead(error=("ValueError", "no\nno " + 1000 * "x"))
    [line] = run("list").out.splitlines()
    assert "ValueError: no\\nno xxx" in line
    assert len(line) < 400


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
def test_the_secret_of_an_address_is_not_shown(
    queue: QueueFile, run: Callable[..., Said], options: list[str]
) -> None:
    queue.waiting("https://user:s3cret@example.com/hook?token=s3cret", delivery="{}")
    request_id = queue.dead("https://example.com/other?token=s3cret", delivery="{}")
    for said in (
        run("list", *options),
        run("list", "--state", "waiting", *options),
        run("show", request_id, *options),
    ):
        assert "s3cret" not in said.out
        assert "https://" in said.out


def test_a_reader_that_has_seen_enough_is_no_error(queue: QueueFile) -> None:
    for _ in range(400):
        queue.waiting(payload=b"{}")
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        ended = subprocess.run(
            [
                *(sys.executable, "-m", "invokeasync_wsgi", "list", "--state", "waiting"),
                *("--limit", "1000", "--executor", f"sqlite:///{queue.path}"),
            ],
            stdout=theirs,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    finally:
        os.close(theirs)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_a_terminal_without_our_characters_is_no_error(queue: QueueFile) -> None:
    """``…`` stands for an address's query; payloads and errors may hold anything."""
    request_id = queue.dead("https://example.com/?token=1", error=("E", "naïve"), delivery="{}")
    for command in (["list"], ["show", request_id]):
        ended = subprocess.run(
            [
                *(sys.executable, "-m", "invokeasync_wsgi", *command),
                *("--executor", f"sqlite:///{queue.path}"),
            ],
            env={**os.environ, "PYTHONIOENCODING": "ascii"},
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert (ended.returncode, ended.stderr) == (0, b"")
        assert re.search(rb"https://example\.com/", ended.stdout)
