"""The one path: what is accepted, what is refused, and what follows an attempt."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import threading
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from invokeasync_wsgi import CallbackExecutor, Functions, Invocation, InvokeAsyncMiddleware
from invokeasync_wsgi import errors as e
from invokeasync_wsgi.retry import Decision, GiveUp, RetryAt, Succeeded
from invokeasync_wsgi.service import run_attempt
from invokeasync_wsgi.testing import Answer, Client, FakeClock, SteppedExecutor

from ..waiting import eventually


def noted(event: Any, context: Any) -> str:
    return "noted"


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
    told = f"request {request_id} to function fail is given up in attempt 3: RetriesExhausted"
    assert told in caplog.text


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

    monkeypatch.setattr(app.service.catalog, "resolve", broken)
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
    assert outcome is not None
    assert json.loads(outcome.payload) == {"é": 1}
    assert isinstance(decision, Succeeded)
    outcome, decision = run_attempt(functions, invocations[1], maximum_retry_attempts=0)
    assert outcome is not None
    assert outcome.error["errorType"] == "ValueError"
    assert decision == GiveUp("RetriesExhausted")


@pytest.mark.parametrize(
    ("name", "qualifier", "missing"),
    [
        pytest.param("gone", None, "function:gone:\\$LATEST", id="the function"),
        pytest.param("echo", "gone", "function:echo:gone", id="the alias"),
        pytest.param("echo", "2", "function:echo:2", id="the version"),
    ],
)
def test_one_attempt_of_what_is_not_here_says_so(
    functions: Functions, name: str, qualifier: str | None, missing: str
) -> None:
    invocation = Invocation(
        request_id="x", function_name=name, qualifier=qualifier, payload=b"{}", accepted_at=0
    )
    with pytest.raises(e.ResourceNotFoundException, match=f"{missing}$"):
        run_attempt(functions, invocation)


def test_where_there_is_no_attempt_to_make_the_other_side_gets_the_decision_alone(
    functions: Functions,
) -> None:
    functions.add("stopped", noted, reserved_concurrency=0, on_failure="echo")
    invocation = Invocation(request_id="x", function_name="stopped", payload=b"{}", accepted_at=0)
    outcome, decision = run_attempt(functions, invocation, clock=FakeClock(0))
    assert outcome is None
    assert isinstance(decision, GiveUp)
    assert decision.condition == "ZeroReservedConcurrency"
    [delivery] = decision.deliveries
    delivered = Invocation.from_json(delivery.to_json())
    outcome, decision = run_attempt(functions, delivered, clock=FakeClock(0))
    assert outcome is not None
    assert json.loads(outcome.payload)["requestContext"]["requestId"] == "x"
    assert decision == Succeeded()


def test_one_attempt_may_be_a_delivery(functions: Functions) -> None:
    received: list[Any] = []
    functions.add("recorded", noted, on_success=received.append)
    invocation = Invocation(request_id="x", function_name="recorded", payload=b"1", accepted_at=0)
    _, decision = run_attempt(functions, invocation, clock=FakeClock(0))
    assert isinstance(decision, Succeeded)
    [delivery] = decision.deliveries
    delivered = Invocation.from_json(delivery.to_json())
    outcome, decision = run_attempt(functions, delivered, clock=FakeClock(0))
    assert outcome is not None
    assert (outcome.function_error, decision) == (None, Succeeded())
    assert [record["requestPayload"] for record in received] == [1]


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
    caplog.clear()  # of what the start of the service had to say
    app.submit("repeat", "bad\n2026-01-01 INFO admin logged in\x1b[2J" + "x" * 5000)
    [failed, _] = caplog.records
    assert vars(failed)["function_name"] == "repeat"
    assert vars(failed)["attempt"] == 1
    first_line = failed.getMessage().splitlines()[0]
    assert r"bad\n2026-01-01 INFO admin logged in\x1b[2Jxxx" in first_line
    assert first_line.endswith("… (5039 characters)")


# --- reserved concurrency ---------------------------------------------------------------------

#: As recorded, byte for byte.
RESERVED_IN_USE = (
    b'{"Reason":"ReservedFunctionConcurrentInvocationLimitExceeded","Type":"User",'
    b'"message":"Rate Exceeded."}'
)


def assert_reserved_in_use(answer: Answer) -> None:
    assert (answer.status, answer.headers["x-amzn-errortype"]) == (429, "TooManyRequestsException")
    assert (answer.headers["retry-after"], answer.body) == ("1", RESERVED_IN_USE)


def test_with_reserved_concurrency_of_0_a_caller_that_waits_gets_429(
    app: InvokeAsyncMiddleware, functions: Functions
) -> None:
    functions.add("stopped", noted, reserved_concurrency=0)
    assert_reserved_in_use(Client(app).invoke("stopped", b"1"))
    assert Client(app).invoke("stopped", invocation_type="DryRun").status == 204
    with pytest.raises(e.TooManyRequestsException):
        app.service.invoke("stopped")


def test_with_reserved_concurrency_of_0_an_event_is_accepted_and_given_up_without_an_attempt(
    app: InvokeAsyncMiddleware,
    functions: Functions,
    executor: SteppedExecutor,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ran: list[object] = []
    functions.add("stopped", lambda event, context: ran.append(event), reserved_concurrency=0)
    for answer in (
        Client(app).invoke_async("stopped", b"1"),
        Client(app).invoke("stopped", b"1", invocation_type="Event"),
    ):
        assert (answer.status, answer.body) == (202, b"")
        assert executor.step() == GiveUp("ZeroReservedConcurrency")
        request_id = answer.headers["x-amzn-requestid"]
        assert f"request {request_id} to function stopped is given up" in caplog.text
    assert executor.counts() == (0, 0)
    assert ran == []


def test_callers_that_wait_are_counted_by_function_and_a_place_comes_back(
    functions: Functions,
) -> None:
    started, release = threading.Event(), threading.Event()

    @functions.function(timeout_s=30, reserved_concurrency=1)
    def hold(event: Any, context: Any) -> str:
        started.set()
        release.wait(30)
        return "held"

    app = InvokeAsyncMiddleware(
        None, functions, auth="none", executor="inline:", sync_concurrency=2
    )
    first = threading.Thread(target=Client(app).invoke, args=("hold",))
    first.start()
    assert started.wait(10)
    for _ in range(5):  # each refusal gives its place among all callers back
        assert_reserved_in_use(Client(app).invoke("hold"))
    assert Client(app).invoke("echo", b"1").body == b"1"
    release.set()
    first.join(10)
    eventually(lambda: Client(app).invoke("hold").body == b'"held"')


def test_executors_are_told_how_many_attempts_of_a_function_may_run_at_once(
    app: InvokeAsyncMiddleware, functions: Functions
) -> None:
    functions.add("two", noted, reserved_concurrency=2)
    functions.add("stopped", noted, reserved_concurrency=0)
    told = {
        name: app.service.concurrency(name)
        for name in ("echo", "two", "stopped", "gone", "file:///x", "python:a:b", "https://x/")
    }
    assert told == {
        "echo": math.inf,
        "two": 2,
        "stopped": math.inf,  # its turn shows that it may not run, and ends at once
        "gone": 0,
        "file:///x": math.inf,
        "python:a:b": math.inf,
        "https://x/": math.inf,
    }


@pytest.mark.parametrize(
    ("options", "settings", "count"),
    [
        pytest.param({}, {}, 2, id="two functions"),
        pytest.param({"on_failure": print}, {}, 3, id="and deliveries of one"),
        pytest.param({"on_failure": print, "dead_letter": print}, {}, 3, id="of both kinds"),
        pytest.param({}, {"on_success": print}, 3, id="and deliveries of all"),
    ],
)
def test_executors_are_told_how_many_functions_there_are(
    options: Any, settings: dict[str, Any], count: int
) -> None:
    functions = Functions()
    functions.add("one", noted)
    functions.add("other", noted, **options)
    app = InvokeAsyncMiddleware(None, functions, auth="none", executor="inline:", **settings)
    assert app.service.function_count() == count
    functions.add("later", noted)
    assert app.service.function_count() == count + 1


# --- events that are not run ------------------------------------------------------------------


def event(name: str, clock: FakeClock, **values: Any) -> Invocation:
    """An event that has been in the queue before."""
    values = {"request_id": "an-id", "payload": b"{}", "accepted_at": clock.time(), **values}
    return Invocation(function_name=name, **values)


@pytest.mark.parametrize(
    ("interruptions", "decision", "error_message"),
    [
        pytest.param(0, Succeeded(), None, id="never"),
        pytest.param(2, Succeeded(), None, id="it may be somebody else's fault"),
        pytest.param(
            3,
            GiveUp("RetriesExhausted"),
            "RequestId: an-id Error: Runtime exited with error: signal: killed",
            id="too often",
        ),
        pytest.param(
            9,
            GiveUp("RetriesExhausted"),
            "RequestId: an-id Error: Runtime exited with error: signal: killed",
            id="and again",
        ),
    ],
)
def test_an_event_under_which_processes_die_is_taken_for_the_cause_and_not_run_again(
    app: InvokeAsyncMiddleware,
    clock: FakeClock,
    interruptions: int,
    decision: Decision,
    error_message: str | None,
) -> None:
    attempt = app.service.begin(event("echo", clock, interruptions=interruptions))
    assert attempt.run() == decision
    assert attempt.outcome is not None
    assert attempt.outcome.error.get("errorMessage") == error_message
    if error_message is not None:
        assert attempt.outcome.function_error == "Unhandled"
        assert attempt.outcome.error["errorType"] == "Runtime.ExitError"
        assert attempt.deadline == math.inf


def test_how_often_a_process_may_die_is_a_setting(functions: Functions, clock: FakeClock) -> None:
    app = InvokeAsyncMiddleware(
        None, functions, auth="none", executor="inline:", clock=clock, max_interruptions=1
    )
    assert app.service.begin(event("echo", clock)).run() == Succeeded()
    interrupted = event("echo", clock, interruptions=1)
    assert app.service.begin(interrupted).run() == GiveUp("RetriesExhausted")


@pytest.mark.parametrize(
    ("name", "age_s", "decision"),
    [
        pytest.param("echo", 21_600, Succeeded(), id="just in time"),
        pytest.param("echo", 21_601, GiveUp("EventAgeExceeded"), id="too late"),
        pytest.param("hurried", 60.9, Succeeded(), id="just in time for a hurried function"),
        pytest.param("hurried", 61, GiveUp("EventAgeExceeded"), id="too late for it"),
    ],
)
def test_an_event_that_has_got_too_old_in_the_queue_is_not_run(
    app: InvokeAsyncMiddleware,
    functions: Functions,
    executor: SteppedExecutor,
    clock: FakeClock,
    name: str,
    age_s: float,
    decision: Decision,
) -> None:
    ran: list[object] = []
    functions.add("hurried", lambda event, context: ran.append(event), maximum_event_age_s=60)
    app.submit(name, 1)
    clock.advance(age_s)
    assert executor.step() == decision
    assert len(ran) == (name == "hurried" and decision == Succeeded())


@pytest.mark.parametrize(
    ("name", "qualifier", "missing"),
    [
        pytest.param("new", None, "new:$LATEST", id="a function"),
        pytest.param("echo", "gone", "echo:gone", id="an alias"),
        pytest.param("echo", "2", "echo:2", id="a version"),
    ],
)
def test_an_event_of_what_is_not_here_waits_longer_and_longer_and_uses_up_no_retry(
    app: InvokeAsyncMiddleware,
    executor: SteppedExecutor,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
    name: str,
    qualifier: str | None,
    missing: str,
) -> None:
    """Its code may be on its way: an alias that was removed, a worker that is older."""
    queued = event(name, clock, qualifier=qualifier)
    executor.submit(queued)
    for number, wait_s in enumerate((1, 2, 4, 8), 1):
        due = clock.time() + wait_s
        assert executor.step() == RetryAt(replace(queued, back_offs=number), due)
        clock.advance(wait_s)
    assert f"Function not found: arn:aws:lambda:us-east-1:123456789012:function:{missing}" in (
        caplog.text
    )
    assert executor.dead_letters == []


def test_an_event_runs_as_soon_as_its_function_is_there(
    functions: Functions, app: InvokeAsyncMiddleware, executor: SteppedExecutor, clock: FakeClock
) -> None:
    executor.submit(event("new", clock))
    assert isinstance(executor.step(), RetryAt)
    functions.add("new", noted)
    clock.advance(1)
    assert executor.step() == Succeeded()


def test_an_event_of_an_alias_that_is_not_here_has_its_functions_settings(
    functions: Functions, app: InvokeAsyncMiddleware, executor: SteppedExecutor, clock: FakeClock
) -> None:
    functions.add("hurried", noted, maximum_event_age_s=60, on_failure="echo")
    executor.submit(event("hurried", clock, qualifier="gone", accepted_at=clock.time() - 60))
    decision = executor.step()
    assert isinstance(decision, GiveUp)
    assert decision.condition == "EventAgeExceeded"
    assert [delivery.function_name for delivery in decision.deliveries] == ["echo"]


# --- recursion --------------------------------------------------------------------------------


def trace_of(name: str, runs: int) -> str:
    """The header of a chain in which a function has run so often."""
    arn = f"arn:aws:lambda:us-east-1:123456789012:function:{name}"
    key = sha256(arn.encode()).hexdigest()[:8]
    return f"Root=1-5e0be100-0123456789abcdef01234567;Lineage={key}:{runs}"


LOOPS = (
    b'{"Type":"User","Message":"Recursive invocation detected: the function has run 16 times in '
    b'this chain of invocations."}'
)


def test_the_17th_run_in_one_chain_is_refused_to_a_caller_that_waits(
    app: InvokeAsyncMiddleware,
) -> None:
    client = Client(app)
    headers = {"X-Amzn-Trace-Id": trace_of("echo", 15)}
    assert client.invoke("echo", b"1", headers=headers).body == b"1"
    headers = {"X-Amzn-Trace-Id": trace_of("echo", 16)}
    refused = client.invoke("echo", b"1", headers=headers)
    assert (refused.status, refused.body) == (400, LOOPS)
    assert refused.headers["x-amzn-errortype"] == "RecursiveInvocationException"
    headers = {"X-Amzn-Trace-Id": trace_of("fail", 16)}
    assert client.invoke("echo", b"1", headers=headers).body == b"1"


def test_the_17th_run_in_one_chain_is_accepted_and_given_up_without_an_attempt(
    app: InvokeAsyncMiddleware, executor: SteppedExecutor
) -> None:
    client = Client(app)
    for runs, decision in ((15, Succeeded()), (16, GiveUp("RecursiveInvocation"))):
        headers = {"X-Amzn-Trace-Id": trace_of("echo", runs)}
        assert client.invoke_async("echo", b"1", headers=headers).status == 202
        assert executor.step() == decision
        answer = client.invoke("echo", b"1", invocation_type="Event", headers=headers)
        assert answer.status == 202
        assert executor.step() == decision


class Loops:
    """A function that invokes itself, in one of the ways there are."""

    def __init__(self, how: str, **options: Any) -> None:
        self.runs = 0
        #: What the last run of a chain got for invoking itself once more.
        self.refused: list[Any] = []
        self.executor = SteppedExecutor()
        functions = Functions()
        handler = asynchronously(self._run) if how == "async def" else self._run
        self._how = how
        functions.add("loop", handler, maximum_retry_attempts=0, **options)
        self.app = InvokeAsyncMiddleware(
            None, functions, auth="none", executor=self.executor, clock=FakeClock()
        )

    def _run(self, event: Any, context: Any) -> None:
        self.runs += 1
        if self.runs == 40:
            return  # endless, as far as this test is concerned
        if self._how in ("submit", "async def"):
            self.app.submit("loop")
        elif self._how == "invoke":
            try:
                self.app.service.invoke("loop")
            except e.AWSError as exc:
                self.refused.append(type(exc).__name__)
        else:
            headers = {"X-Amzn-Trace-Id": context.trace_id}
            kind = None if self._how == "HTTP, waiting" else "Event"
            answer = Client(self.app).invoke("loop", headers=headers, invocation_type=kind)
            if answer.status != (200 if kind is None else 202):
                self.refused.append(answer.headers["x-amzn-errortype"])

    def live(self) -> list[str]:
        """Invoke it, and follow the chain to its end; why events of it were given up."""
        self.app.submit("loop")
        while self.executor.step() is not None:
            pass
        return [condition for _, condition in self.executor.dead_letters]


def asynchronously(handler: Callable[[Any, Any], None]) -> Callable[[Any, Any], Any]:
    async def handle(event: Any, context: Any) -> None:
        await asyncio.sleep(0)
        handler(event, context)

    return handle


@pytest.mark.parametrize("how", ["submit", "async def", "HTTP"])
def test_a_function_that_submits_itself_over_and_over_is_stopped_after_16_runs(how: str) -> None:
    loop = Loops(how)
    assert loop.live() == ["RecursiveInvocation"]
    assert (loop.runs, loop.refused) == (16, [])


@pytest.mark.parametrize("how", ["invoke", "HTTP, waiting"])
def test_a_function_that_waits_for_itself_over_and_over_is_stopped_after_16_runs(how: str) -> None:
    loop = Loops(how)
    assert loop.live() == []
    assert (loop.runs, loop.refused) == (16, ["RecursiveInvocationException"])


@pytest.mark.parametrize("how", ["submit", "HTTP"])
def test_a_chain_that_is_allowed_goes_on(how: str) -> None:
    loop = Loops(how, recursive_loop="Allow")
    assert loop.live() == []
    assert (loop.runs, loop.refused) == (40, [])


def test_a_chain_that_is_allowed_goes_on_for_callers_that_wait(
    app: InvokeAsyncMiddleware, functions: Functions
) -> None:
    functions.add("loop", noted, recursive_loop="Allow")
    headers = {"X-Amzn-Trace-Id": trace_of("loop", 1000)}
    assert Client(app).invoke("loop", headers=headers).body == b'"noted"'


def test_an_event_submitted_outside_of_a_handler_begins_a_chain(
    app: InvokeAsyncMiddleware, functions: Functions, executor: SteppedExecutor
) -> None:
    seen: list[str] = []
    functions.add("look", lambda event, context: seen.append(context.trace_id))
    for _ in range(20):
        app.submit("look")
        executor.step()
    assert len(set(seen)) == 20
    assert {trace_id.rpartition(":")[2] for trace_id in seen} == {"1"}


def test_a_chain_over_two_functions_carries_the_trace_and_counts_both(
    app: InvokeAsyncMiddleware, functions: Functions, executor: SteppedExecutor
) -> None:
    seen: list[str] = []

    def first(event: Any, context: Any) -> None:
        app.submit("second")

    functions.add("first", first)
    functions.add("second", lambda event, context: seen.append(context.trace_id))
    headers = {"X-Amzn-Trace-Id": "Root=1-2-3;Parent=4;Sampled=1"}
    Client(app).invoke_async("first", headers=headers)
    assert [executor.step(), executor.step()] == [Succeeded(), Succeeded()]
    lineage = "|".join(trace_of(name, 1).rpartition("=")[2] for name in ("first", "second"))
    assert seen == [f"Root=1-2-3;Parent=4;Sampled=1;Lineage={lineage}"]


def test_retries_are_no_runs_of_a_chain(
    app: InvokeAsyncMiddleware, functions: Functions, executor: SteppedExecutor, clock: FakeClock
) -> None:
    seen: list[str] = []

    def fails(event: Any, context: Any) -> None:
        seen.append(context.trace_id)
        raise ValueError

    functions.add("fails", fails)
    headers = {"X-Amzn-Trace-Id": trace_of("fails", 15)}
    Client(app).invoke_async("fails", headers=headers)
    for wait_s in (60, 120, 0):
        executor.step()
        clock.advance(wait_s)
    assert seen == [trace_of("fails", 16)] * 3


# --- what follows the end of an event ---------------------------------------------------------


def test_the_record_of_an_event_is_the_next_event_of_a_function_here(
    functions: Functions, executor: SteppedExecutor, clock: FakeClock
) -> None:
    records: list[Any] = []

    def audit(record: Any, context: Any) -> None:
        records.append((record, context.invoked_function_arn, context.aws_request_id))

    functions.add("audit", audit, versions={"1": audit}, aliases={"live": "1"})
    functions.add("recorded", noted, on_success="audit:live")
    app = InvokeAsyncMiddleware(None, functions, auth="none", executor=executor, clock=clock)
    request_id = app.submit("recorded", b"[1,  2.0]")
    decision = executor.step()
    assert isinstance(decision, Succeeded)
    assert [delivery.function_name for delivery in decision.deliveries] == ["audit"]
    assert executor.counts() == (1, 0)
    assert executor.step() == Succeeded()
    [(record, arn, own_id)] = records
    assert record["requestContext"]["requestId"] == request_id != own_id
    assert (record["requestPayload"], record["responsePayload"]) == ([1, 2.0], "noted")
    assert arn == "arn:aws:lambda:us-east-1:123456789012:function:audit:live"


def test_a_function_that_handles_failures_is_an_ordinary_function(
    functions: Functions, executor: SteppedExecutor, clock: FakeClock
) -> None:
    """Its own failures are tried again, and end in its own destinations."""
    functions.add("mourn", "json:no_such_name", lazy=True, dead_letter=print)
    functions.add("f", "json:no_such_name", lazy=True, maximum_retry_attempts=0, on_failure="mourn")
    app = InvokeAsyncMiddleware(None, functions, auth="none", executor=executor, clock=clock)
    app.submit("f")
    kinds = []
    for wait_s in (0, 60, 120, 0):
        decision = executor.step()
        kinds.append(type(decision))
        clock.advance(wait_s)
    assert kinds == [GiveUp, RetryAt, RetryAt, GiveUp]
    assert isinstance(decision, GiveUp)
    assert [delivery.function_name for delivery in decision.deliveries] == ["python:builtins:print"]


def test_the_caller_that_waits_gets_what_went_wrong_and_nobody_else_does(
    functions: Functions, executor: SteppedExecutor
) -> None:
    """Destinations are for events, as on Lambda."""
    app = InvokeAsyncMiddleware(
        None, functions, auth="none", executor=executor, on_failure=print, on_success=print
    )
    for name in ("fail", "echo"):
        assert Client(app).invoke(name).status == 200
    assert executor.counts() == (0, 0)


class Delivering:
    """A site with a delivery to a callable that tests hold."""

    def __init__(self) -> None:
        self.received: list[Any] = []
        self.errors: list[Exception] = []
        self.executor, self.clock = SteppedExecutor(), FakeClock()
        functions = Functions()
        functions.add("recorded", noted, on_success=self._receive)
        self.app = InvokeAsyncMiddleware(
            None, functions, auth="none", executor=self.executor, clock=self.clock
        )
        self.app.submit("recorded")
        decision = self.executor.step()
        assert isinstance(decision, Succeeded)
        [self.delivery] = decision.deliveries

    def _receive(self, record: Any) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.received.append(record)


def test_a_delivery_that_fails_waits_longer_and_longer_like_a_system_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    site = Delivering()
    site.errors = [ConnectionError("no route\nto host"), TimeoutError("silence")]
    for back_offs, wait_s in ((1, 1), (2, 2)):
        assert site.received == []
        due = site.clock.time() + wait_s
        assert site.executor.step() == RetryAt(replace(site.delivery, back_offs=back_offs), due)
        site.clock.advance(wait_s)
    assert site.executor.step() == Succeeded()
    assert len(site.received) == 1
    failed = f"a delivery for request {site.delivery.request_id} failed"
    assert f"{failed}: ConnectionError: no route\\nto host" in caplog.text
    assert f"{failed}: TimeoutError: silence" in caplog.text


def test_a_delivery_is_given_up_after_six_hours_and_has_no_record_of_its_own() -> None:
    site = Delivering()
    site.errors = [ConnectionError("never")] * 1000
    decision = site.executor.step()
    while isinstance(decision, RetryAt):
        site.clock.advance(decision.due - site.clock.time())
        decision = site.executor.step()
    assert decision == GiveUp("EventAgeExceeded")
    assert site.executor.counts() == (0, 0)
    [(dead, _)] = site.executor.dead_letters
    assert (dead.request_id, dead.attempt) == (site.delivery.request_id, 1)


@pytest.mark.parametrize("first", ["run", "expire"])
def test_a_delivery_ends_once_by_its_end_or_by_its_deadline(first: str) -> None:
    site = Delivering()
    attempt = site.app.service.begin(site.delivery)
    assert attempt.deadline == site.clock.monotonic() + 180
    assert attempt.outcome is None
    if first == "run":
        assert (attempt.run(), attempt.expire()) == (Succeeded(), None)
        assert attempt.outcome is not None
        assert attempt.outcome.function_error is None
    else:
        later = replace(site.delivery, back_offs=1)
        assert attempt.expire() == RetryAt(later, site.clock.time() + 1)
        assert attempt.run() is None
        assert attempt.outcome is not None
        assert attempt.outcome.error["errorMessage"] == "no end after 180 s"


def test_an_attempt_shows_its_outcome_once_it_has_ended(
    app: InvokeAsyncMiddleware, clock: FakeClock
) -> None:
    attempt = app.service.begin(event("echo", clock, payload=b"[1]"))
    assert attempt.outcome is None
    assert attempt.run() == Succeeded()
    assert attempt.outcome is not None
    assert attempt.outcome.payload == b"[1]"
    assert attempt.expire() is None


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"on_success": "{}"}, id="successes"),
        pytest.param({"on_failure": "{}", "reserved_concurrency": 0}, id="no attempt at all"),
    ],
)
def test_functions_that_are_each_others_destinations_are_stopped_like_a_recursion(
    executor: SteppedExecutor, options: Any
) -> None:
    functions = Functions()
    for name, other in (("f", "g"), ("g", "f")):
        own: Any = {key: other if value == "{}" else value for key, value in options.items()}
        functions.add(name, noted, **own)
    app = InvokeAsyncMiddleware(None, functions, auth="none", executor=executor, clock=FakeClock())
    app.submit("f")
    for _ in range(100):
        executor.step()
    assert executor.counts() == (0, 0)


def test_a_destination_of_all_functions_is_not_its_own(executor: SteppedExecutor) -> None:
    functions = Functions()
    functions.add("audit", noted)
    app = InvokeAsyncMiddleware(
        None, functions, auth="none", executor=executor, clock=FakeClock(), on_success="audit"
    )
    app.submit("audit")
    assert executor.step() == Succeeded()


def test_a_chain_that_was_stopped_is_not_begun_again_by_its_record(
    executor: SteppedExecutor,
) -> None:
    functions = Functions()
    functions.add("f", noted, on_failure="g")
    functions.add("g", noted, on_failure="f", reserved_concurrency=0)
    app = InvokeAsyncMiddleware(None, functions, auth="none", executor=executor, clock=FakeClock())
    Client(app).invoke_async("f", headers={"X-Amzn-Trace-Id": trace_of("f", 16)})
    for _ in range(100):
        executor.step()
    assert executor.counts() == (0, 0)
