"""Any request gets a documented answer or reaches the application; none gets a traceback.

Requests are made as servers make them: every byte of the wire is a character of a latin-1 string
in the environ. Every answer goes through `wsgiref.validate`.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from invokeasync_wsgi import (
    CallbackExecutor,
    Functions,
    Invocation,
    InvokeAsyncMiddleware,
)
from invokeasync_wsgi.operations import INVOKING, REFUSED, SERVED
from invokeasync_wsgi.testing import Answer, Client, FakeClock, SteppedExecutor

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# wsgiref warns of methods that it does not know.
pytestmark = pytest.mark.filterwarnings("ignore:Unknown REQUEST_METHOD")

PREFIXES = ("/2014-11-13/functions", "/2015-03-31/functions", "/2021-11-15/functions")
#: What Lambda's paths begin with, those of the control calls as well.
EVERY_PREFIX = {operation.path.partition("/{")[0] for operation in (*INVOKING, *SERVED, *REFUSED)}
ENDINGS = ("invoke-async", "invocations", "response-streaming-invocations")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
FROM_THE_APP = b"the application's own"

#: Each status with the codes that may stand in ``x-amzn-ErrorType`` beside it. No 5xx.
DOCUMENTED: dict[int, set[str]] = {
    200: set(),
    202: set(),
    204: set(),
    400: {
        "ValidationException",
        "InvalidParameterValueException",
        "InvalidRequestContentException",
    },
    403: {"AccessDeniedException"},
    404: {"ResourceNotFoundException"},
    411: {"LengthRequiredException"},
    413: {"RequestEntityTooLargeException"},
    429: {"TooManyRequestsException"},
}


def make_functions() -> Functions:
    functions = Functions()
    functions.add("echo", lambda event, context: event, versions={"1": str}, aliases={"live": "1"})

    @functions.function("fails", maximum_retry_attempts=0)
    def fails(event: object, context: object) -> None:
        raise ValueError(event)

    @functions.function("context")
    def tells_its_context(event: object, context: Any) -> object:
        client = context.client_context
        return [
            context.aws_request_id,
            context.invoked_function_arn,
            context.tenant_id,
            context.trace_id,
            client and [client.custom, client.env, client.client and client.client.app_title],
        ]

    return functions


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("418 I'm a Teapot", [("Content-Type", "text/plain")])
    return [b"" if environ["REQUEST_METHOD"] == "HEAD" else FROM_THE_APP]


def raw(app: WSGIApplication) -> WSGIApplication:
    """``app`` behind ``wsgiref.validate``, yet with environs that it would not let through.

    What stands under ``raw`` is set last; ``None`` takes a key away.
    """

    def set_raw(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        for key, value in environ.pop("own.raw", {}).items():
            environ[key] = value
            if value is None:
                del environ[key]
        return app(environ, start_response)

    return set_raw


def check(answer: Answer, *, method: str = "POST", request_id: str | None = None) -> None:
    """Refuse (AssertionError) whatever is not a documented answer of ours."""
    assert answer.status in DOCUMENTED, answer
    assert UUID.fullmatch(answer.headers["x-amzn-requestid"])
    if request_id is not None and UUID.fullmatch(request_id.lower()):
        assert answer.headers["x-amzn-requestid"] == request_id.lower()
    for value in answer.headers.values():
        assert value.isascii()
        assert value.isprintable()
    code = answer.headers.get("x-amzn-errortype")
    assert (code is not None) is (answer.status >= 400)
    if method == "HEAD":
        assert answer.body == b""
    elif code is not None:
        assert code in DOCUMENTED[answer.status]
        members = json.loads(answer.body)
        assert isinstance(members, dict)
        assert len({"message", "Message"}.intersection(members)) == 1
        assert set(members) <= {"Type", "message", "Message", "Reason"}
        assert b"Traceback" not in answer.body
        assert answer.headers["content-type"] == "application/json"
    elif answer.status in (202, 204):
        assert answer.body == b""


# --- what is sent ---------------------------------------------------------------------------

_T = TypeVar("_T")


def mostly(usual: st.SearchStrategy[_T], unusual: st.SearchStrategy[_T]) -> st.SearchStrategy[_T]:
    """The usual more often: one odd part is enough for a refusal, and hides the others."""
    return st.integers(0, 9).flatmap(lambda number: unusual if number == 9 else usual)


latin_1 = st.text(st.characters(max_codepoint=255), max_size=40)
any_bytes = st.binary(max_size=60)
methods = mostly(
    st.just("POST"),
    st.sampled_from(["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
    | st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=8),
)
function_names = mostly(
    st.sampled_from(
        [
            *("echo", "fails", "context", "echo:live", "echo:1", "echo:$LATEST", "function:echo"),
            "123456789012:function:echo",
            "arn:aws:lambda:us-east-1:123456789012:function:echo:live",
        ]
    ),
    st.sampled_from(
        [
            *("none", "echo:2", "us-east-1:echo", "a" * 300, ""),
            "arn:aws:lambda:eu-west-1:123456789012:function:echo",
            "arn:aws:lambda:us-east-1:999999999999:function:echo",
        ]
    )
    | st.text("echo019:$/_.-", max_size=30)
    | latin_1,
)
paths_of_operations = st.builds(
    lambda operation, name, end: f"{operation[0]}/{name}/{operation[1]}{end}",
    mostly(
        st.sampled_from(list(zip(PREFIXES, ENDINGS, strict=True))),
        st.tuples(st.sampled_from(PREFIXES), st.sampled_from(ENDINGS) | latin_1),
    ),
    function_names,
    mostly(st.sampled_from(["", "/"]), st.sampled_from(["//", "?", " "])),
)
paths = mostly(
    paths_of_operations,
    st.builds(str.__add__, st.sampled_from(PREFIXES), latin_1)
    | latin_1.map(lambda text: f"/{text}"),
)
queries = mostly(
    st.sampled_from(["", "", "Qualifier=live", "Qualifier=1", "Qualifier=%24LATEST", "x=1"]),
    st.sampled_from(["Qualifier=2", "Qualifier=", "Qualifier=%00", "Qualifier=%ff&x=1"])
    | latin_1.map(lambda text: f"Qualifier={text}")
    | any_bytes.map(lambda data: f"x=1&Qualifier={quote(data)}")
    | latin_1,
)
client_contexts = mostly(
    st.sampled_from(['{"custom":{"a":1},"client":{"app_title":"x"},"env":{}}', "{}"]),
    st.sampled_from(["[]", "1", '{"client":1}', "{"]) | st.text(max_size=20),
).map(lambda text: base64.b64encode(text.encode(errors="replace")).decode())
headers = st.fixed_dictionaries(
    {},
    optional={
        "HTTP_X_AMZ_INVOCATION_TYPE": mostly(
            st.sampled_from(["Event", "RequestResponse", "DryRun", ""]), latin_1
        ),
        "HTTP_X_AMZ_LOG_TYPE": mostly(st.sampled_from(["None", "Tail", ""]), latin_1),
        "HTTP_X_AMZ_CLIENT_CONTEXT": mostly(client_contexts, latin_1),
        "HTTP_X_AMZN_REQUESTID": mostly(
            st.uuids().map(str) | st.uuids().map(lambda uuid: str(uuid).upper()), latin_1
        ),
        "HTTP_X_AMZN_TRACE_ID": latin_1,
        "HTTP_X_AMZ_TENANT_ID": mostly(st.just("tenant"), latin_1),
        "HTTP_AUTHORIZATION": latin_1,
        "HTTP_EXPECT": st.just("100-continue"),
        "CONTENT_TYPE": latin_1,
    },
)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=10),
    lambda children: (
        st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=5), children, max_size=4)
    ),
    max_leaves=10,
)
json_texts = st.builds(
    lambda value, escaped, indent, before, after: (
        before.encode()
        + json.dumps(value, ensure_ascii=escaped, indent=indent).encode(errors="replace")
        + after.encode()
    ),
    json_values,
    st.booleans(),
    st.sampled_from([None, 0, 1]),
    st.text(" \t\r\n", max_size=3),
    st.text(" \t\r\n", max_size=3),
)
bodies = mostly(json_texts, any_bytes)
#: How a body is framed, apart from rightly: keys of the environ, ``None`` for none at all.
rightly: st.SearchStrategy[dict[str, Any]] = st.just({})
framings = mostly(
    rightly,
    st.fixed_dictionaries(
        {"CONTENT_LENGTH": st.none() | st.just("") | st.integers(-2, 80).map(str) | latin_1},
        optional={
            "HTTP_TRANSFER_ENCODING": st.just("chunked") | latin_1,
            "wsgi.input_terminated": st.booleans(),
            "asgi.scope": st.just({}),
        },
    ),
)
small_limits = st.fixed_dictionaries(
    {},
    optional={
        "max_invoke_async_bytes": st.integers(1, 50),
        "max_event_bytes": st.integers(1, 50),
        "max_request_bytes": st.integers(1, 50),
        "max_response_bytes": st.integers(1, 50),
        "max_log_chars": st.integers(1, 50),
        "sync_concurrency": st.integers(0, 1),
    },
)

FAST = settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@FAST
@given(method=methods, path=paths, query=queries, headers=headers, body=bodies, framing=framings)
@example("POST", "/2014-11-13/functions/\xff/invoke-async", "", {}, b"", {})
@example("POST", "/2014-11-13/functions/echo/invoke-async", "", {}, b"[" * 200_000, {})
@example("POST", "/2015-03-31/functions/echo/invocations", "", {}, b"9" * 5_000, {})
@example("POST", "/2015-03-31/functions/echo/invocations", "", {}, b'"\\ud800"', {})
@example("POST", "/2015-03-31/functions/fails/invocations", "", {}, b'"\\ud800"', {})
@example("POST", "/2021-11-15/functions/fails/response-streaming-invocations", "", {}, b"1e999", {})
def test_any_request_is_answered_as_documented_or_passed_on(
    method: str,
    path: str,
    query: str,
    headers: dict[str, str],
    body: bytes,
    framing: dict[str, Any],
) -> None:
    middleware = InvokeAsyncMiddleware(
        application, make_functions(), auth="none", executor="inline:"
    )
    sent = {"PATH_INFO": path, "QUERY_STRING": query, **headers, **framing}
    answer = Client(raw(middleware)).request(method, "/", body, environ={"own.raw": sent})
    if any(path == prefix or path.startswith(f"{prefix}/") for prefix in EVERY_PREFIX):
        check(answer, method=method, request_id=headers.get("HTTP_X_AMZN_REQUESTID"))
        assert answer.status < 400 or answer.body != FROM_THE_APP
    else:
        assert (answer.status, answer.body) == (418, b"" if method == "HEAD" else FROM_THE_APP)


@FAST
@given(
    method=methods,
    script_name=st.sampled_from(["", "/api", *PREFIXES, "/2014-11-13"]),
    path=paths,
    query=queries,
    body=bodies,
)
def test_a_service_of_its_own_answers_every_path(
    method: str, script_name: str, path: str, query: str, body: bytes
) -> None:
    service = InvokeAsyncMiddleware(None, make_functions(), auth="none", executor="inline:")
    client = Client(service, script_name=script_name)
    answer = client.request(method, quote(path.encode("latin-1")), body, query=query)
    check(answer, method=method)


@FAST
@given(
    limits=small_limits,
    path=paths_of_operations,
    query=queries,
    headers=headers,
    body=bodies,
    framing=framings,
    max_waiting=st.integers(0, 1),
)
def test_small_limits_refuse_and_never_fail(
    limits: dict[str, Any],
    path: str,
    query: str,
    headers: dict[str, str],
    body: bytes,
    framing: dict[str, Any],
    max_waiting: int,
) -> None:
    service = InvokeAsyncMiddleware(
        None,
        make_functions(),
        auth="none",
        executor=SteppedExecutor(max_waiting=max_waiting),
        **limits,
    )
    sent = {"PATH_INFO": path, "QUERY_STRING": query, **headers, **framing}
    client = Client(raw(service))
    for _ in range(2):
        answer = client.request("POST", "/", body, environ={"own.raw": sent})
        check(answer, request_id=headers.get("HTTP_X_AMZN_REQUESTID"))


# --- events keep their value and their bytes ------------------------------------------------


def equal(one: object, other: object) -> bool:
    """Equality that tells ``1`` from ``True`` and ``1.0``, and ``0.0`` from ``-0.0``."""
    if isinstance(one, float) and isinstance(other, float):
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(equal, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(equal(one[key], other[key]) for key in one)
    return type(one) is type(other) and one == other


@FAST
@given(value=json_values, encode=st.sampled_from([True, False]))
def test_an_echo_returns_any_json_value_as_it_was(value: object, encode: bool) -> None:
    service = InvokeAsyncMiddleware(None, make_functions(), auth="none", executor="inline:")
    body = json.dumps(value, ensure_ascii=encode).encode()
    answer = Client(service).invoke("echo", body)
    check(answer)
    assert answer.status == 200
    assert "x-amz-function-error" not in answer.headers
    assert equal(json.loads(answer.body), value)
    outcome = service.service.invoke("echo", value)
    assert equal(json.loads(outcome.payload), {} if value is None else value)


SEND: list[Callable[[Client, bytes], Answer]] = [
    lambda client, body: client.invoke_async("fails", body),
    lambda client, body: client.invoke("fails", body, invocation_type="Event"),
]


@pytest.mark.parametrize("send", SEND, ids=["InvokeAsync", "Invoke Event"])
@FAST
@given(body=json_texts)
def test_an_accepted_payload_reaches_executors_and_dead_letters_byte_for_byte(
    send: Callable[[Client, bytes], Answer], body: bytes
) -> None:
    received: list[Invocation] = []
    functions = make_functions()
    callback = CallbackExecutor(received.append)
    stepped = SteppedExecutor()
    for executor in (callback, stepped):
        service = InvokeAsyncMiddleware(None, functions, auth="none", executor=executor)
        answer = send(Client(service), body)
        assert answer.status == 202
    stepped.drain(0)
    [accepted], [(dead, _)] = received, stepped.dead_letters
    assert accepted.payload == dead.payload == body
    assert dead.request_id == answer.headers["x-amzn-requestid"]
    assert Invocation.from_json(accepted.to_json()) == accepted


@pytest.mark.parametrize("send", SEND, ids=["InvokeAsync", "Invoke Event"])
@FAST
@given(body=any_bytes)
def test_a_body_is_accepted_exactly_when_it_is_json(
    send: Callable[[Client, bytes], Answer], body: bytes
) -> None:
    """What was refused was not remembered."""
    received: list[Invocation] = []
    executor = CallbackExecutor(received.append)
    service = InvokeAsyncMiddleware(None, make_functions(), auth="none", executor=executor)
    answer = send(Client(service), body)
    check(answer)
    assert answer.status == (202 if not body or is_json(body) else 400)
    assert len(received) == (answer.status == 202)


def is_json(body: bytes) -> bool:
    def refuse(name: str) -> None:
        raise ValueError(name)

    try:
        json.loads(body.decode(), parse_constant=refuse)
    except ValueError:
        return False
    return True


class AcceptedEvents(RuleBasedStateMachine):
    """Requests, steps and passing time in any order: each accepted event runs to its end, once.

    The model is a list of how often each accepted event has run.
    """

    MAX_WAITING = 4

    @initialize()
    def start(self) -> None:
        self.clock = FakeClock()
        self.executor = SteppedExecutor(max_waiting=self.MAX_WAITING)
        self.runs: dict[str, list[int]] = {}
        functions = Functions()

        @functions.function("works")
        def works(event: int, context: Any) -> None:
            self.runs[context.aws_request_id].append(event)

        @functions.function("fails")
        def fails(event: int, context: Any) -> None:
            self.runs[context.aws_request_id].append(event)
            raise ValueError

        self.attempts = {"works": 1, "fails": 3}
        self.accepted: dict[str, tuple[str, int]] = {}
        self.client = Client(
            InvokeAsyncMiddleware(
                None, functions, auth="none", executor=self.executor, clock=self.clock
            )
        )

    def unfinished(self) -> list[str]:
        return [
            request_id
            for request_id, (name, _) in self.accepted.items()
            if len(self.runs[request_id]) < self.attempts[name]
        ]

    @rule(name=st.sampled_from(["works", "fails"]), event=st.integers(0, 9), by_async=st.booleans())
    def send(self, name: str, event: int, by_async: bool) -> None:
        has_room = len(self.unfinished()) < self.MAX_WAITING
        body = json.dumps(event).encode()
        if by_async:
            answer = self.client.invoke_async(name, body)
        else:
            answer = self.client.invoke(name, body, invocation_type="Event")
        check(answer)
        assert answer.status == (202 if has_room else 429)
        if has_room:
            request_id = answer.headers["x-amzn-requestid"]
            assert request_id not in self.accepted
            self.accepted[request_id] = name, event
            self.runs[request_id] = []
        else:
            assert answer.headers["retry-after"] == "1"

    @rule(name=st.sampled_from(["none", "a b"]))
    def send_what_is_refused(self, name: str) -> None:
        answer = self.client.invoke_async(name, b"1")
        check(answer)
        assert answer.status >= 400

    @rule()
    def step(self) -> None:
        before = sum(map(len, self.runs.values()))
        decision = self.executor.step()
        assert sum(map(len, self.runs.values())) - before == (decision is not None)

    @rule(seconds=st.sampled_from([1, 59, 60, 120]))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @invariant()
    def nothing_is_lost_and_nothing_is_left_over(self) -> None:
        if not hasattr(self, "accepted"):
            return
        assert self.executor.counts() == (len(self.unfinished()), 0)
        for request_id, (name, event) in self.accepted.items():
            assert self.runs[request_id] == [event] * len(self.runs[request_id])
            assert len(self.runs[request_id]) <= self.attempts[name]
        dead = {invocation.request_id for invocation, _ in self.executor.dead_letters}
        failed = {
            request_id
            for request_id, (name, _) in self.accepted.items()
            if name == "fails" and len(self.runs[request_id]) == self.attempts["fails"]
        }
        assert dead == failed

    def teardown(self) -> None:
        for _ in range(3):
            self.executor.drain(0)
            self.clock.advance(120)
        assert self.unfinished() == []


TestAcceptedEvents = AcceptedEvents.TestCase
TestAcceptedEvents.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
