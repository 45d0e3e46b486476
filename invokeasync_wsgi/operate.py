"""What an operator does with a queue: ``list``, ``show``, ``redrive``, ``purge``, ``forget``.

The commands of ``invokeasync-wsgi`` and of ``flask invokeasync`` alike: arguments in, text or JSON
out. Everything happens in the queue's file, so neither functions nor a running server are needed.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

from .errors import ConfigurationError
from .executors.durable import DurableExecutor
from .executors.urls import make_executor
from .store.events import STATES, AttemptRecord, Event, EventDetail, Events
from .store.overrides_file import SQLiteOverrides
from .targets import shown

#: Gives the executor, or its URL, for parsed arguments.
ExecutorOf = Callable[[argparse.Namespace], object]


def add_commands(commands: Any, executor_of: ExecutorOf, *, has_choice: bool = True) -> None:
    """Add the commands to a parser's subparsers; with ``--executor`` where there is a choice."""

    def add(name: str, text: str, run: Callable[[argparse.Namespace, Events], Any]) -> Any:
        command = commands.add_parser(name, help=text, description=f"{text.capitalize()}.")
        command.set_defaults(run=lambda options: _run(options, executor_of, run))
        if has_choice:
            which = "the queue's URL, such as sqlite:///invocations.db"
            command.add_argument("--executor", help=which)
        command.add_argument("--json", action="store_true", help="print JSON")
        return command

    listing = add("list", "list events of the queue, dead letters unless told otherwise", _list)
    listing.add_argument("--state", choices=STATES, default="dead", help="(%(default)s)")
    listing.add_argument("--function", help="only those of this function, or destination")
    listing.add_argument("--limit", type=int, default=100, help="at most so many (%(default)s)")
    show = add("show", "show all that is known of an event", _show)
    show.add_argument("request_id")
    forget = add("forget", "remove all that clients have set of a function", _forget)
    forget.add_argument("function", help="its name; the application need not have it any more")
    for name, text, run in (
        ("redrive", "have dead letters run again, from their first attempt on", _redrive),
        ("purge", "remove dead letters for good", _purge),
    ):
        command = add(name, text, run)
        which = command.add_mutually_exclusive_group(required=True)
        which.add_argument("request_id", nargs="?", help="of one event")
        which.add_argument("--function", help="all of this function, or destination")
        which.add_argument("--all", action="store_true", help="all of them")
        if name == "purge":
            command.add_argument(
                "--older-than",
                type=float,
                default=0,
                metavar="SECONDS",
                help="only those that were given up so long ago (%(default)s)",
            )


def main(arguments: Sequence[str], executor: object) -> None:
    """Run one of the commands for an executor that is known; see `events_of` for errors."""
    parser = argparse.ArgumentParser(prog="flask invokeasync")
    commands = parser.add_subparsers(required=True)
    add_commands(commands, lambda options: executor, has_choice=False)
    options = parser.parse_args(arguments)
    options.run(options)


def events_of(executor: object) -> Events:
    """The events of a durable executor, given as an instance or a URL.

    Raises:
        ConfigurationError: it keeps no events where another process finds them.
    """
    made = make_executor(executor)
    if not isinstance(made, DurableExecutor):
        raise ConfigurationError(
            f"executor={executor!r}: it keeps no events; 'sqlite:///invocations.db' does"
        )
    return made.events


def _run(
    options: argparse.Namespace,
    executor_of: ExecutorOf,
    run: Callable[[argparse.Namespace, Events], Any],
) -> None:
    events = events_of(executor_of(options))
    with printing():
        run(options, events)


@contextmanager
def printing() -> Iterator[None]:
    """For what prints much, to whatever it is printed."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal may know fewer characters
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:  # `… | head` has seen enough
        sys.stderr.close()


def _list(options: argparse.Namespace, events: Events) -> None:
    found = events.find(options.state, function_name=options.function, limit=options.limit)
    if options.json:
        for event in found:
            print(json.dumps(_event_members(event)))
        return
    for event in found:
        when = event.finished_at or event.due or event.accepted_at
        why = event.condition or event.state
        error = _error_members(event.error)
        text = f": {error.get('errorType')}: {error.get('errorMessage')}" if error else ""
        print(
            f"{_moment(when)}  {event.request_id}  {shown(event.function_name)}"
            f"  attempt {event.attempt}  {why}{_one_line(text)}"
        )
    if not found:
        print(f"no {options.state} events", file=sys.stderr)


def _show(options: argparse.Namespace, events: Events) -> None:
    details = events.get(options.request_id)
    if not details:
        raise ConfigurationError(f"there is no event {options.request_id!r} in {events.path}")
    for detail in details:
        if options.json:
            print(json.dumps(_detail_members(detail)))
        else:
            _print_detail(detail)


def _redrive(options: argparse.Namespace, events: Events) -> None:
    number = events.redrive(request_id=options.request_id, function_name=options.function)
    _tell(options, "redriven", number)


def _purge(options: argparse.Namespace, events: Events) -> None:
    number = events.purge(
        request_id=options.request_id,
        function_name=options.function,
        older_than_s=options.older_than,
    )
    _tell(options, "purged", number)


def _forget(options: argparse.Namespace, events: Events) -> None:
    if not SQLiteOverrides(events.path).forget(options.function):
        raise ConfigurationError(f"nothing is set of a function {options.function!r}")
    print(json.dumps({"forgotten": options.function}) if options.json else "forgotten")


def _tell(options: argparse.Namespace, what: str, number: int) -> None:
    if options.request_id and not number:
        raise ConfigurationError(f"there is no dead letter {options.request_id!r}")
    print(json.dumps({what: number}) if options.json else f"{number} {what}")


def _print_detail(detail: EventDetail) -> None:
    for name, value in _event_members(detail.event).items():
        if value is not None and name != "error":
            print(f"{name:15} {value}")
    print(f"{'payload':15} {_printable(detail.payload.decode(errors='replace'))}")
    for attempt in detail.attempts:
        print(
            f"\nattempt {attempt.attempt}, ended {_moment(attempt.ended_at)} after "
            f"{attempt.duration_s * 1000:.2f} ms: {attempt.function_error or 'Success'}"
        )
        print(_printable(attempt.result.decode(errors="replace")))
        print(_printable(attempt.log), end="")


def _event_members(event: Event) -> dict[str, Any]:
    members = event._asdict()
    del members["seq"]
    members["function_name"] = shown(event.function_name)
    for name in ("accepted_at", "due", "finished_at"):
        members[name] = None if members[name] is None else _moment(members[name])
    members["error"] = _error_members(event.error) or None
    return members


def _detail_members(detail: EventDetail) -> dict[str, Any]:
    return {
        **_event_members(detail.event),
        "payload": detail.payload.decode(errors="replace"),
        "client_context": detail.client_context,
        "trace_id": detail.trace_id,
        "tenant_id": detail.tenant_id,
        "attempts": [_attempt_members(attempt) for attempt in detail.attempts],
    }


def _attempt_members(attempt: AttemptRecord) -> dict[str, Any]:
    return {
        **attempt._asdict(),
        "ended_at": _moment(attempt.ended_at),
        "result": attempt.result.decode(errors="replace"),
    }


def _error_members(error: str | None) -> dict[str, Any]:
    try:
        members = json.loads(error or "{}")
    except ValueError:
        return {}
    return members if isinstance(members, dict) else {}


def _moment(seconds: float) -> str:
    """ISO 8601 in UTC, to the millisecond."""
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"


def _one_line(text: str) -> str:
    return _printable(text.replace("\n", "\\n"))[:200]


def _printable(text: str) -> str:
    """A text without what would steer the terminal."""
    return "".join(
        char if char.isprintable() or char in "\n\t" else repr(char)[1:-1] for char in text
    )
