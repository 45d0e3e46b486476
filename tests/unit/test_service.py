"""The one path: what is accepted, what is refused, and what follows an attempt."""

from __future__ import annotations

import json
import logging
import threading
from typing import Any

import pytest

from invokeasync_wsgi import CallbackExecutor, Functions, Invocation, InvokeAsyncMiddleware
from invokeasync_wsgi import errors as e
from invokeasync_wsgi.retry import GiveUp, RetryAt, Succeeded
from invokeasync_wsgi.service import run_attempt
from invokeasync_wsgi.testing import Client, FakeClock, SteppedExecutor


@pytest.fixture
def functions() -> Functions:
    functions = Functions()

    @functions.function(versions={"1": lambda event, context: "one"}, aliases={"live": "1"})
    def echo(event: Any, context: Any) -> Any:
        return event

    @functions.function
    def fail(event: Any, context: Any) -> None:
        raise ValueError(context.aws_request_id)

    return functions


@pytest.fixture
def executor() -> SteppedExecutor:
    return SteppedExecutor()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def app(functions: Functions, executor: SteppedExecutor, clock: FakeClock) -> InvokeAsyncMiddleware:
    return InvokeAsyncMiddleware(None, functions, auth="none", executor=executor, clock=clock)


def test_the_answers_request_id_is_the_handlers_in_every_attempt(
    app: InvokeAsyncMiddleware,
    executor: SteppedExecutor,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    request_id = Client(app).invoke_async("fail", b"{}").headers["x-amzn-requestid"]
    decisions = []
    for wait_s in (60, 120, 0):
        decisions.append(executor.step())
        assert executor.step() is None
        clock.advance(wait_s)
    assert [type(decision) for decision in decisions] == [RetryAt, RetryAt, GiveUp]
    [(invocation, condition)] = executor.dead_letters
    assert (invocation.request_id, invocation.attempt) == (request_id, 3)
    assert condition == "RetriesExhausted"
    for attempt in (1, 2, 3):
        told = f"function fail failed in attempt {attempt} of request {request_id}: ValueError: "
        assert told + request_id in caplog.text
    assert f"request {request_id} to function fail is given up after 3 attempts" in caplog.text


def test_the_payloads_bytes_are_kept(
    app: InvokeAsyncMiddleware, executor: SteppedExecutor, clock: FakeClock
) -> None:
    body = b' {"a":  1.10, "a":12345678901234567890}\n'
    Client(app).invoke_async("fail", body)
    for wait_s in (60, 120, 0):
        executor.step()
        clock.advance(wait_s)
    assert executor.dead_letters[0][0].payload == body


def test_an_empty_body_is_an_empty_object(
    app: InvokeAsyncMiddleware, executor: SteppedExecutor
) -> None:
    assert Client(app).invoke_async("echo", b"").status == 202
    assert Client(app).invoke("echo", b"").body == b"{}"


@pytest.mark.parametrize(
    ("raised", "status", "code"),
    [
        pytest.param(e.QueueFull("full"), 429, "TooManyRequestsException", id="full"),
        pytest.param(e.ExecutorClosed("bye"), 503, "ServiceUnavailableException", id="closed"),
        pytest.param(e.ExecutorError("no"), 500, "ServiceException", id="executor error"),
        pytest.param(ConnectionError("secret host"), 500, "ServiceException", id="anything else"),
        pytest.param(e.InvalidRequestContentException("x"), 400, None, id="an answer of its own"),
    ],
)
def test_an_executor_that_raises_has_accepted_nothing(
    functions: Functions, raised: Exception, status: int, code: str | None
) -> None:
    def refuse(invocation: Invocation) -> None:
        raise raised

    app = InvokeAsyncMiddleware(None, functions, auth="none", executor=CallbackExecutor(refuse))
    answer = Client(app).invoke_async("echo", b"{}")
    assert answer.status == status
    assert answer.headers["x-amzn-errortype"] == code or type(raised).__name__
    assert b"secret" not in answer.body


def test_an_error_of_our_own_is_a_500_and_not_a_traceback(
    app: InvokeAsyncMiddleware, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("a bug")

    monkeypatch.setattr(app.service.functions, "resolve", broken)
    answer = Client(app).invoke_async("echo", b"{}")
    assert (answer.status, answer.headers["x-amzn-errortype"]) == (500, "ServiceException")
    assert answer.body == b'{"Type":"Service","Message":"An internal error occurred."}'
    assert "a bug" in caplog.text


def test_submit_is_an_event_without_http(
    app: InvokeAsyncMiddleware, executor: SteppedExecutor
) -> None:
    request_id = app.submit("echo:live", {"b": [1]})
    assert executor.counts().waiting == 1
    assert isinstance(executor.step(), Succeeded)
    assert len(request_id) == 36


@pytest.mark.parametrize(
    ("name", "event", "options", "error"),
    [
        pytest.param("nobody", {}, {}, e.ResourceNotFoundException, id="no such function"),
        pytest.param("b!d", {}, {}, e.ValidationException, id="bad name"),
        pytest.param("echo", {}, {"qualifier": "!"}, e.ValidationException, id="bad qualifier"),
        pytest.param(
            "echo:1", {}, {"qualifier": "live"}, e.InvalidParameterValueException, id="two of them"
        ),
        pytest.param("echo", b"{", {}, e.InvalidRequestContentException, id="not JSON"),
        pytest.param("echo", {1, 2}, {}, TypeError, id="no JSON form"),
        pytest.param("echo", float("nan"), {}, ValueError, id="no JSON number"),
        pytest.param("echo", "x" * 1048575, {}, e.RequestEntityTooLargeException, id="too large"),
    ],
)
def test_submit_raises_what_a_client_would_have_been_told(
    app: InvokeAsyncMiddleware,
    executor: SteppedExecutor,
    name: str,
    event: object,
    options: dict[str, str],
    error: type[Exception],
) -> None:
    with pytest.raises(error):
        app.submit(name, event, **options)
    assert executor.counts() == (0, 0)


def test_invoke_waits_for_the_outcome(app: InvokeAsyncMiddleware) -> None:
    assert app.service.invoke("echo", {"a": 1}).payload == b'{"a": 1}'
    assert app.service.invoke("echo", qualifier="live").payload == b'"one"'


def test_synchronous_invocations_over_the_limit_get_429(functions: Functions) -> None:
    started, release = threading.Event(), threading.Event()

    @functions.function(timeout_s=30)
    def hold(event: Any, context: Any) -> None:
        started.set()
        release.wait(30)

    app = InvokeAsyncMiddleware(
        None, functions, auth="none", executor="inline:", sync_concurrency=1
    )
    first = threading.Thread(target=Client(app).invoke, args=("hold",))
    first.start()
    assert started.wait(10)
    refused = Client(app).invoke("echo", b"1")
    assert (refused.status, refused.headers["retry-after"]) == (429, "1")
    assert json.loads(refused.body)["Reason"] == "ConcurrentInvocationLimitExceeded"
    release.set()
    first.join(10)
    assert Client(app).invoke("echo", b"1").body == b"1"


def test_one_attempt_can_be_run_on_the_other_side_of_a_callback(
    functions: Functions, caplog: pytest.LogCaptureFixture
) -> None:
    sent: list[str] = []
    app = InvokeAsyncMiddleware(
        None,
        functions,
        auth="none",
        executor=CallbackExecutor(lambda invocation: sent.append(invocation.to_json())),
    )
    answers = [Client(app).invoke_async(name, b'{"\xc3\xa9": 1}') for name in ("echo", "fail")]
    invocations = [Invocation.from_json(text) for text in sent]
    assert [i.request_id for i in invocations] == [a.headers["x-amzn-requestid"] for a in answers]
    outcome, decision = run_attempt(functions, invocations[0])
    assert json.loads(outcome.payload) == {"é": 1}
    assert isinstance(decision, Succeeded)
    outcome, decision = run_attempt(functions, invocations[1], maximum_retry_attempts=0)
    assert outcome.error["errorType"] == "ValueError"
    assert decision == GiveUp("RetriesExhausted")


def test_one_attempt_of_a_function_that_is_not_here_says_so(functions: Functions) -> None:
    invocation = Invocation(request_id="x", function_name="gone", payload=b"{}", accepted_at=0)
    with pytest.raises(e.ResourceNotFoundException, match="function:gone"):
        run_attempt(functions, invocation)


def test_nothing_is_logged_for_an_accepted_event(
    app: InvokeAsyncMiddleware, executor: SteppedExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        Client(app).invoke_async("echo", b"{}")
        executor.step()
    assert caplog.records == []


def test_an_error_message_cannot_look_like_another_line_of_the_log(
    functions: Functions, caplog: pytest.LogCaptureFixture
) -> None:
    @functions.function
    def repeat(event: Any, context: Any) -> None:
        raise ValueError(event)

    app = InvokeAsyncMiddleware(
        None, functions, auth="none", executor="inline:", maximum_retry_attempts=0
    )
    app.submit("repeat", "bad\n2026-01-01 INFO admin logged in\x1b[2J" + "x" * 5000)
    [failed, _] = caplog.records
    assert vars(failed)["function_name"] == "repeat"
    assert vars(failed)["attempt"] == 1
    first_line = failed.getMessage().splitlines()[0]
    assert r"bad\n2026-01-01 INFO admin logged in\x1b[2Jxxx" in first_line
    assert first_line.endswith("… (5039 characters)")
