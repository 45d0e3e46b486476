"""What follows from control calls for those who invoke: retries, destinations, versions, limits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from invokeasync_wsgi import Functions
from invokeasync_wsgi.clock import SystemClock
from invokeasync_wsgi.retry import GiveUp, RetryAt, Succeeded
from invokeasync_wsgi.testing import Client, FakeClock, SteppedExecutor

from .. import control
from ..control import (
    CONCURRENCY,
    CONFIG,
    NOW,
    RECURSION,
    RETRY,
    F,
    alias,
    arn,
    config_of,
    destination,
    get,
    make_app,
    make_functions,
    only,
    outcome,
    reserve,
    weights,
)
from ..waiting import eventually


@pytest.fixture
def client() -> Client:
    return Client(make_app())


class Queue:
    """A service whose events run step by step."""

    def __init__(self, functions: Functions, **settings: Any) -> None:
        self.clock = FakeClock(NOW)
        self.executor = SteppedExecutor()
        self.app = make_app(functions, executor=self.executor, clock=self.clock, **settings)
        self.client = Client(self.app)

    def send(self, name: str = "f", qualifier: str | None = None) -> None:
        answer = self.client.invoke(name, b"{}", invocation_type="Event", qualifier=qualifier)
        assert answer.status == 202

    def attempts(self, name: str = "f", qualifier: str | None = None) -> tuple[int, str | None]:
        """How often an event is tried, and why it is given up."""
        self.send(name, qualifier)
        for attempt in range(1, 10):
            decision = self.executor.step()
            if isinstance(decision, GiveUp):
                return attempt, decision.condition
            if isinstance(decision, Succeeded):
                return attempt, None
            assert isinstance(decision, RetryAt)
            self.clock.advance(decision.due - self.clock.time())
        raise AssertionError("no end")


# --- retries, ages, destinations ------------------------------------------------------------------


def failing(**options: Any) -> Functions:
    """``f`` as in `make_functions`, where every version fails."""
    versions = {"1": control.fail, "2": control.fail}
    return only(control.fail, versions=versions, aliases={"live": "1", "next": "2"}, **options)


@pytest.mark.parametrize("qualifier", [None, "$LATEST", "1", "live"])
def test_retries_are_those_of_the_qualifier_that_was_invoked(qualifier: str | None) -> None:
    """An alias does not have those of its version, a version not those of ``$LATEST``."""
    queue = Queue(failing())
    get(queue.client, f"PUT {config_of('f', qualifier)}", {"MaximumRetryAttempts": 0})
    for invoked in (None, "$LATEST", "1", "2", "live", "next"):
        is_set = (invoked or "$LATEST") == (qualifier or "$LATEST")
        assert queue.attempts(qualifier=invoked) == (1 if is_set else 3, "RetriesExhausted")
    get(queue.client, f"DELETE {config_of('f', qualifier)}", status=204)
    assert queue.attempts(qualifier=qualifier) == (3, "RetriesExhausted")


@pytest.mark.parametrize("executor", ["inline:", "threads:", "sqlite:///{folder}/queue.db"])
@pytest.mark.parametrize("retries", [0, 1])
def test_retries_are_set_for_events_of_every_executor(
    tmp_path: Path, executor: str, retries: int
) -> None:
    runs: list[str] = []

    def note(event: Any, context: Any) -> None:
        runs.append(context.aws_request_id)
        raise ValueError("as it must")

    app = make_app(
        only(note),
        executor=executor.format(folder=tmp_path),
        clock=SystemClock(),
        retry_waits_s=(0.0, 0.0),
    )
    get(Client(app), f"PUT {CONFIG}", {"MaximumRetryAttempts": retries})
    assert Client(app).invoke_async("f", b"{}").status == 202
    eventually(lambda: len(runs) > retries)
    app.drain(10)
    assert len(runs) == retries + 1
    app.close()


def test_what_a_config_leaves_out_falls_to_the_services_defaults() -> None:
    queue = Queue(failing(maximum_retry_attempts=0), maximum_retry_attempts=1)
    assert queue.attempts() == (1, "RetriesExhausted")
    get(queue.client, f"PUT {CONFIG}", {"MaximumEventAgeInSeconds": 21600})
    assert queue.attempts() == (2, "RetriesExhausted")
    assert queue.attempts(qualifier="1") == (1, "RetriesExhausted")
    get(queue.client, f"POST {CONFIG}", {"MaximumRetryAttempts": 2})
    assert queue.attempts() == (3, "RetriesExhausted")
    get(queue.client, f"DELETE {CONFIG}", status=204)
    assert queue.attempts() == (1, "RetriesExhausted")


def test_the_age_is_that_of_the_qualifier_that_was_invoked() -> None:
    queue = Queue(failing())
    get(queue.client, f"PUT {config_of('f', 'live')}", {"MaximumEventAgeInSeconds": 60})
    assert queue.attempts(qualifier="live")[1] == "EventAgeExceeded"
    assert queue.attempts() == (3, "RetriesExhausted")
    queue.send(qualifier="live")
    queue.clock.advance(61)
    decision = queue.executor.step()
    assert isinstance(decision, GiveUp)
    assert decision.condition == "EventAgeExceeded"


def test_a_change_governs_events_that_wait_already() -> None:
    queue = Queue(failing())
    queue.send()
    assert isinstance(queue.executor.step(), RetryAt)
    get(queue.client, f"PUT {CONFIG}", {"MaximumRetryAttempts": 0})
    queue.clock.advance(60)
    assert isinstance(queue.executor.step(), GiveUp)


@pytest.mark.parametrize(
    ("outcome", "handler", "condition"),
    [("OnSuccess", control.echo, "Success"), ("OnFailure", control.fail, "RetriesExhausted")],
)
def test_records_go_where_the_qualifiers_config_says(
    outcome: str, handler: Callable[[Any, Any], Any], condition: str
) -> None:
    records: list[Any] = []
    functions = only(handler, versions={"1": handler}, aliases={"live": "1"})
    functions.add("g", lambda event, context: records.append(event))
    queue = Queue(functions, maximum_retry_attempts=0)
    get(queue.client, f"PUT {config_of('f', 'live')}", destination(arn("g"), outcome))
    queue.send()
    queue.executor.drain(0)
    assert records == []
    queue.send(qualifier="live")
    queue.executor.drain(0)
    [record] = records
    assert record["requestContext"]["condition"] == condition
    assert record["requestContext"]["functionArn"] == arn("f", "live")
    get(queue.client, f"PUT {config_of('f', 'live')}", {"MaximumRetryAttempts": 0})
    queue.send(qualifier="live")
    queue.executor.drain(0)
    assert len(records) == 1


# --- concurrency and recursion --------------------------------------------------------------------


def test_a_reserved_concurrency_of_0_runs_nothing() -> None:
    queue = Queue(make_functions())
    get(queue.client, f"PUT {CONCURRENCY}", reserve(0))
    refused = queue.client.invoke("f", b"1")
    assert outcome(refused) == (429, "TooManyRequestsException")
    assert queue.attempts() == (1, "ZeroReservedConcurrency")
    assert queue.attempts("g") == (1, None)
    get(queue.client, f"DELETE {CONCURRENCY}", status=204)
    assert queue.client.invoke("f", b"1").body == b"1"
    assert queue.attempts() == (1, None)


def test_a_loop_goes_on_where_it_is_allowed() -> None:
    runs: list[int] = []

    def again(event: Any, context: Any) -> None:
        runs.append(len(runs))
        queue.app.submit("f", event)

    def count_runs() -> int:
        """How often the function runs by itself in 40 steps, once it was sent an event."""
        runs.clear()
        queue.app.submit("f", {})
        for _ in range(40):
            queue.executor.step()
        return len(runs)

    queue = Queue(only(again))
    assert count_runs() == 16
    get(queue.client, f"PUT {RECURSION}", {"RecursiveLoop": "Allow"})
    assert count_runs() == 40


# --- aliases and versions -------------------------------------------------------------------------


@pytest.mark.parametrize(("weight", "version"), [(1.0, "2"), (0, "1")])
def test_an_alias_runs_the_version_that_it_was_last_set_to(
    client: Client, weight: float, version: str
) -> None:
    get(client, f"POST {F}/aliases", alias("new", RoutingConfig=weights(v2=weight)), 201)
    answer = client.invoke("f", b"1", qualifier="new")
    assert answer.headers["x-amz-executed-version"] == version
    get(client, f"PUT {F}/aliases/new", {"FunctionVersion": "2", "RoutingConfig": {}})
    answer = client.invoke("f", b"1", qualifier="new")
    assert (answer.body, answer.headers["x-amz-executed-version"]) == (b'"two"', "2")
    get(client, f"DELETE {F}/aliases/new", status=204)
    assert client.invoke("f", b"1", qualifier="new").status == 404


def test_a_weight_is_a_share(client: Client) -> None:
    get(client, f"POST {F}/aliases", alias("new", RoutingConfig=weights(v2=0.5)), 201)
    bodies = {client.invoke("f", b"1", qualifier="new").body for _ in range(64)}
    assert bodies == {b'"one"', b'"two"'}


def test_a_published_version_runs_by_its_number_and_by_an_alias(client: Client) -> None:
    get(client, f"POST {F}/versions", {}, 201)
    get(client, f"POST {F}/aliases", alias("new", "3"), 201)
    for qualifier in ("3", "new"):
        answer = client.invoke("f", b"[1]", qualifier=qualifier)
        assert (answer.body, answer.headers["x-amz-executed-version"]) == (b"[1]", "3")
    queue = Queue(make_functions())
    get(queue.client, f"POST {F}/versions", {}, 201)
    assert queue.attempts(qualifier="3") == (1, None)


# --- what is declared without a name --------------------------------------------------------------


def test_a_destination_that_cannot_be_named_is_shown_and_kept() -> None:
    """A callable is the application's own; what clients set beside it does not break it."""
    records: list[Any] = []
    queue = Queue(only(on_success=lambda record: records.append(record)))
    assert get(queue.client, f"GET {CONFIG}")["FunctionArn"] == arn("f", "$LATEST")
    get(queue.client, f"GET {CONFIG}/list")
    get(queue.client, f"POST {CONFIG}", RETRY)
    queue.send()
    queue.executor.drain(0)
    assert len(records) == 1
    assert queue.client.invoke("f", b"1").body == b"1"


def test_a_dead_letter_that_cannot_be_named_breaks_no_function() -> None:
    queue = Queue(only(dead_letter=lambda event: None))
    get(queue.client, f"POST {F}/versions", {}, 201)
    assert queue.client.invoke("f", b"1").body == b"1"
    assert queue.attempts() == (1, None)
    assert queue.attempts(qualifier="1") == (1, None)
    get(queue.client, f"GET {F}?Qualifier=1")
