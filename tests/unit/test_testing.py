"""The helpers for tests of applications: a clock, an executor and a client to rely on."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from invokeasync_wsgi import Functions, Invocation, InvokeAsyncMiddleware, QueueFull
from invokeasync_wsgi.retry import GiveUp, RetryAt, Succeeded
from invokeasync_wsgi.testing import Client, FakeClock, SteppedExecutor

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# --- FakeClock ------------------------------------------------------------------------------


def test_a_fake_clock_stands_still_until_it_is_moved() -> None:
    clock = FakeClock(now=1000.0)
    assert clock.time() == clock.time() == clock.monotonic() == 1000.0
    clock.advance(0.5)
    assert clock.time() == clock.monotonic() == 1000.5


def test_a_set_alarm_ends_waits_at_once_and_stays_set_until_cleared() -> None:
    clock = FakeClock()
    alarm = clock.alarm()
    alarm.set()
    assert alarm.wait() is True
    assert alarm.wait(clock.monotonic() + 60) is True
    alarm.clear()
    assert alarm.wait(clock.monotonic()) is False


@pytest.mark.parametrize("moment", [0, -0.001, -60])
def test_a_wait_for_a_moment_that_has_come_does_not_wait(moment: float) -> None:
    clock = FakeClock()
    assert clock.alarm().wait(clock.monotonic() + moment) is False


class Waiting:
    """A thread that waits, and what came of it."""

    def __init__(self, wait: Callable[[], bool]) -> None:
        self._results: list[bool] = []
        self._thread = threading.Thread(target=lambda: self._results.append(wait()), daemon=True)
        self._thread.start()

    def result(self) -> bool:
        """What the wait said; it must be about to end."""
        self._thread.join(60)
        return self._results[0]

    def is_over(self) -> bool:
        return bool(self._results)


def test_moving_the_clock_ends_the_waits_whose_moment_has_come_and_no_others() -> None:
    clock = FakeClock()
    alarm = clock.alarm()
    start = clock.monotonic()
    sooner = Waiting(lambda: alarm.wait(start + 60))
    later = Waiting(lambda: alarm.wait(start + 61))
    clock.advance(60)
    assert sooner.result() is False
    assert not later.is_over()
    clock.advance(1)
    assert later.result() is False


def test_setting_an_alarm_wakes_who_waits_on_it_and_nobody_else() -> None:
    clock = FakeClock()
    one, other = clock.alarm(), clock.alarm()
    waiting_for_one = Waiting(lambda: one.wait(clock.monotonic() + 60))
    waiting_for_other = Waiting(lambda: other.wait())
    one.set()
    assert waiting_for_one.result() is True
    assert not waiting_for_other.is_over()
    other.set()
    assert waiting_for_other.result() is True


# --- SteppedExecutor ------------------------------------------------------------------------


class Stepped:
    """A service on a `SteppedExecutor`, with functions that note their events."""

    def __init__(self, **settings: Any) -> None:
        self.clock = FakeClock()
        self.executor = SteppedExecutor(max_waiting=3)
        self.ran: list[object] = []
        functions = Functions()

        @functions.function
        def works(event: object, context: object) -> None:
            self.ran.append(event)

        @functions.function
        def fails(event: object, context: object) -> None:
            self.ran.append(event)
            raise ValueError("on purpose")

        self.middleware = InvokeAsyncMiddleware(
            None, functions, auth="none", executor=self.executor, clock=self.clock, **settings
        )
        self.submit = self.middleware.submit


def test_nothing_runs_until_it_is_stepped() -> None:
    stepped = Stepped()
    stepped.submit("works", 1)
    stepped.submit("works", 2)
    assert stepped.ran == []
    assert stepped.executor.counts() == (2, 0)
    assert stepped.executor.step() == Succeeded()
    assert stepped.ran == [1]
    assert stepped.executor.counts() == (1, 0)


def test_a_step_with_nothing_to_do_says_so() -> None:
    assert Stepped().executor.step() is None


def test_a_retry_is_due_when_the_clock_says_so() -> None:
    stepped = Stepped()
    request_id = stepped.submit("fails", "x")
    now = stepped.clock.time()
    event = Invocation(
        request_id=request_id, function_name="fails", payload=b'"x"', accepted_at=now, attempt=2
    )
    assert stepped.executor.step() == RetryAt(event, now + 60)
    assert stepped.executor.step() is None
    assert stepped.executor.counts() == (1, 0)
    stepped.clock.advance(59.9)
    assert stepped.executor.step() is None
    stepped.clock.advance(0.1)
    assert stepped.executor.step() == RetryAt(replace(event, attempt=3), now + 60 + 120)
    stepped.clock.advance(120)
    assert stepped.executor.step() == GiveUp("RetriesExhausted")
    assert stepped.ran == ["x"] * 3
    assert stepped.executor.counts() == (0, 0)


def test_what_was_given_up_stands_among_the_dead_letters() -> None:
    stepped = Stepped(maximum_retry_attempts=0)
    request_id = stepped.submit("fails", b"[1, 2]")
    stepped.submit("works")
    stepped.executor.drain(0)
    [(event, condition)] = stepped.executor.dead_letters
    assert (event.request_id, event.payload, event.attempt) == (request_id, b"[1, 2]", 1)
    assert condition == "RetriesExhausted"


def test_draining_runs_what_is_due_now_and_leaves_the_rest() -> None:
    stepped = Stepped()
    stepped.submit("works", 1)
    stepped.submit("fails", 2)
    stepped.submit("works", 3)
    stepped.executor.drain(8)
    assert stepped.ran == [1, 2, 3]
    assert stepped.executor.counts() == (1, 0)


def test_more_events_than_it_was_made_for_are_refused() -> None:
    stepped = Stepped()
    client = Client(stepped.middleware)
    statuses = [client.invoke_async("works", b"1").status for _ in range(4)]
    assert statuses == [202, 202, 202, 429]
    assert stepped.executor.counts() == (3, 0)


def test_the_refusal_itself_is_a_full_queue() -> None:
    stepped = Stepped()
    event = Invocation(request_id="x", function_name="works", payload=b"1", accepted_at=0)
    for _ in range(3):
        stepped.executor.submit(event)
    with pytest.raises(QueueFull):
        stepped.executor.submit(event)


# --- Client ---------------------------------------------------------------------------------


class Recorder:
    """An application that keeps the environs it gets, bodies read."""

    def __init__(self) -> None:
        self.environs: list[dict[str, Any]] = []
        self.bodies: list[bytes] = []

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        self.environs.append(environ)
        self.bodies.append(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        start_response("200 OK", [("Content-Type", "text/plain"), ("X-Seen", "Yes")])
        return [b"one", b"two"]


def test_an_answer_has_its_status_its_headers_by_lower_case_name_and_its_whole_body() -> None:
    answer = Client(Recorder()).request("GET", "/")
    assert answer.status == 200
    assert answer.headers == {"content-type": "text/plain", "x-seen": "Yes"}
    assert answer.body == b"onetwo"


def test_a_request_arrives_as_servers_deliver_it() -> None:
    recorder = Recorder()
    Client(recorder, script_name="/api").request(
        "PUT",
        "/a%2Fb/caf%C3%A9%3A$",
        b"body",
        query="x=%20",
        headers={"X-Amz-Log-Type": "Tail"},
        environ={"REMOTE_ADDR": "10.0.0.1", "own.key": 1},
    )
    [environ] = recorder.environs
    assert recorder.bodies == [b"body"]
    assert environ["REQUEST_METHOD"] == "PUT"
    assert environ["SCRIPT_NAME"] == "/api"
    assert environ["PATH_INFO"] == "/a/b/caf\xc3\xa9:$"
    assert environ["QUERY_STRING"] == "x=%20"
    assert environ["CONTENT_LENGTH"] == "4"
    assert environ["HTTP_X_AMZ_LOG_TYPE"] == "Tail"
    assert environ["REMOTE_ADDR"] == "10.0.0.1"
    assert environ["own.key"] == 1


def test_the_two_headers_that_cgi_names_otherwise_are_named_so() -> None:
    """Every SDK sends a Content-Type, and PEP 3333 has it as CONTENT_TYPE."""
    recorder = Recorder()
    Client(recorder).request(
        "POST", "/", b"{}", headers={"Content-Type": "application/json", "Content-Length": "2"}
    )
    [environ] = recorder.environs
    assert environ["CONTENT_TYPE"] == "application/json"
    assert environ["CONTENT_LENGTH"] == "2"


ARN = "arn:aws:lambda:us-east-1:123456789012:function:f:live"


def test_function_names_are_encoded_as_sdks_encode_them() -> None:
    """They are one path segment for the SDK, whatever is in them."""
    recorder = Recorder()
    client = Client(recorder)
    for name in ("f", ARN, "a/b", "a b", "a?b#c", "caf\xe9"):
        client.invoke_async(name, b"1")
        client.invoke(name, b"2")
    assert [environ["PATH_INFO"] for environ in recorder.environs[:6]] == [
        "/2014-11-13/functions/f/invoke-async",
        "/2015-03-31/functions/f/invocations",
        f"/2014-11-13/functions/{ARN}/invoke-async",
        f"/2015-03-31/functions/{ARN}/invocations",
        "/2014-11-13/functions/a/b/invoke-async",
        "/2015-03-31/functions/a/b/invocations",
    ]
    assert recorder.environs[-1]["PATH_INFO"] == "/2015-03-31/functions/caf\xc3\xa9/invocations"
    assert {environ["REQUEST_METHOD"] for environ in recorder.environs} == {"POST"}
    assert set(recorder.bodies) == {b"1", b"2"}


def test_invoke_puts_its_parameters_where_lambda_looks_for_them() -> None:
    recorder = Recorder()
    Client(recorder).invoke(
        "f",
        invocation_type="Event",
        qualifier="$LATEST",
        headers={"X-Amz-Client-Context": "e30="},
    )
    [environ] = recorder.environs
    assert environ["HTTP_X_AMZ_INVOCATION_TYPE"] == "Event"
    assert environ["HTTP_X_AMZ_CLIENT_CONTEXT"] == "e30="
    assert environ["QUERY_STRING"] == "Qualifier=%24LATEST"


def test_what_a_client_sends_is_what_the_handler_gets() -> None:
    functions = Functions.from_mapping({"echo": lambda event, context: event})
    client = Client(InvokeAsyncMiddleware(None, functions, auth="none", executor="inline:"))
    answer = client.invoke("echo", b'{"a": [1.5, null]}')
    assert answer.status == 200
    assert json.loads(answer.body) == {"a": [1.5, None]}


def answering(headers: list[tuple[str, str]], chunks: Iterable[bytes]) -> WSGIApplication:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", headers)
        return chunks

    return app


TEXT = ("Content-Type", "text/plain")


@pytest.mark.parametrize(
    "app",
    [
        pytest.param(answering([TEXT, ("Connection", "close")], []), id="hop-by-hop header"),
        pytest.param(answering([TEXT, ("Keep-Alive", "5")], []), id="another"),
        pytest.param(answering([TEXT, ("X-A", "1"), ("x-a", "2")], []), id="repeated header"),
        pytest.param(answering([TEXT, ("Content-Length", "3")], [b"12"]), id="short body"),
        pytest.param(answering([TEXT, ("Content-Length", "1")], [b"12"]), id="long body"),
        pytest.param(answering([], [b"x"]), id="no Content-Type"),
        pytest.param(answering([TEXT, ("X-A", "1\r\nX-B: 2")], []), id="line end in a header"),
        pytest.param(answering([TEXT], ["text"]), id="text for bytes"),  # type: ignore[list-item]
        pytest.param(lambda environ, start_response: [b"x"], id="no start_response"),
        pytest.param(lambda environ, start_response: None, id="nothing returned"),
    ],
)
def test_an_answer_that_servers_would_stumble_over_fails_the_test(app: WSGIApplication) -> None:
    with pytest.raises(AssertionError):
        Client(app).request("GET", "/")


def test_reading_the_body_without_a_size_fails_the_test() -> None:
    """Several servers wait for ever then; a `BytesIO` would hide it."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])
        return [environ["wsgi.input"].read()]

    with pytest.raises(AssertionError):
        Client(app).request("POST", "/", b"body")


def test_a_head_answer_may_announce_the_length_that_get_would_have() -> None:
    app = answering([TEXT, ("Content-Length", "5")], [b""])
    assert Client(app).request("HEAD", "/").body == b""


def test_the_answer_is_closed_also_when_iteration_raises() -> None:
    class Failing(io.BytesIO):
        def __next__(self) -> bytes:
            raise ValueError("half-way")

    body = Failing(b"x")
    with pytest.raises(ValueError, match="half-way"):
        Client(answering([TEXT], body)).request("GET", "/")
    assert body.closed


def test_what_is_written_comes_before_what_is_returned() -> None:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])(b"written ")
        return [b"returned"]

    assert Client(app).request("GET", "/").body == b"written returned"
