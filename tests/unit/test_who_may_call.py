"""Who may call: what each kind of stranger is told, in which order, and by whose word.

Texts are those of AWS, as far as they are known; the whole middleware answers.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, Any

import pytest

from invokeasync_wsgi import (
    ConfigurationError,
    Functions,
    InvokeAsyncMiddleware,
    Principal,
    errors,
    sigv4,
)
from invokeasync_wsgi.auth.credentials import Credential
from invokeasync_wsgi.auth.signatures import SigV4
from invokeasync_wsgi.config import Settings
from invokeasync_wsgi.testing import Answer, Client, FakeClock, Signer, SteppedExecutor
from invokeasync_wsgi.wire import Request

from ..signing import (
    INVOKE,
    INVOKE_ASYNC,
    KEY_ID,
    NOW,
    SECRET,
    TOKEN,
    Sender,
    environ_key,
    make_functions,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

KEYS = {
    KEY_ID: Credential(SECRET, "alice"),
    "AKIDOFF": Credential(SECRET, "alice", is_enabled=False),
    "AKIDOLD": Credential(SECRET, "alice", expires_at=NOW),
    "ASIA": Credential(SECRET, "alice", session_token=TOKEN),
    "AKIDBOB": Credential(SECRET, "bob"),
}
ALL = {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": "*"}
POLICIES = {"alice": {"Version": "2012-10-17", "Statement": ALL}}


def make_app(auth: Any = None, **settings: Any) -> InvokeAsyncMiddleware:
    given: dict[str, Any] = {
        "auth": SigV4(KEYS) if auth is None else auth,
        "executor": SteppedExecutor(),
        "clock": FakeClock(NOW),
        "policies": POLICIES,
        "auth_failures_per_minute": 10_000,
        **settings,
    }
    return InvokeAsyncMiddleware(None, make_functions(), **given)


@pytest.fixture
def app() -> InvokeAsyncMiddleware:
    return make_app()


def send(
    app: InvokeAsyncMiddleware,
    headers: dict[str, str],
    *,
    method: str = "POST",
    target: str = INVOKE_ASYNC,
    body: bytes = b"{}",
) -> Answer:
    path, _, query = target.partition("?")
    given = {environ_key(name): value for name, value in headers.items()}
    environ = {"RAW_URI": target, **given}
    return Client(app).request(method, path, body, query=query, environ=environ)


def hashed(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def assert_refused(answer: Answer, status: int, code: str, body: bytes) -> None:
    assert (answer.status, answer.headers["x-amzn-errortype"]) == (status, code)
    assert answer.body == body
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-length"] == str(len(body))
    assert UUID.fullmatch(answer.headers["x-amzn-requestid"])
    assert set(answer.headers) == {
        *("x-amzn-requestid", "x-amzn-errortype", "content-type", "content-length")
    }


# --- what is told -------------------------------------------------------------------------------

GOOD = Sender().headers(body=b"{}")
MISMATCH = (
    b'{"message":"The request signature we calculated does not match the signature you provided. '
    b"Check your AWS Secret Access Key and signing method. Consult the service documentation for "
    b'details."}'
)
UNKNOWN = b'{"message":"The security token included in the request is invalid."}'
NO_SUCH_OPERATION = b'{"Message":"Unable to determine service/operation name to be authorized"}'

MISSING = "MissingAuthenticationTokenException"
INCOMPLETE = "IncompleteSignatureException"
INVALID = "InvalidSignatureException"
UNRECOGNIZED = "UnrecognizedClientException"
DENIED = "AccessDeniedException"


def with_authorization(text: str) -> dict[str, str]:
    return {**GOOD, "Authorization": text}


NOTHING_BUT_ALGORITHM = "AWS4-HMAC-SHA256 "
A_TOKEN = "Bearer some-token"

ROWS: list[Any] = [
    pytest.param({}, MISSING, b'{"message":"Missing Authentication Token"}', id="no signature"),
    pytest.param(
        {"Authorization": NOTHING_BUT_ALGORITHM},
        INCOMPLETE,
        b'{"message":"Authorization header requires \'Credential\' parameter. Authorization header '
        b"requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter. "
        b"Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "
        b"(Hashed with SHA-256 and encoded with Base64) "
        b'Authorization=%s"}' % hashed(NOTHING_BUT_ALGORITHM).encode(),
        id="nothing of a signature",
    ),
    pytest.param(
        with_authorization(NOTHING_BUT_ALGORITHM + "Credential=x, SignedHeaders=host"),
        INCOMPLETE,
        b'{"message":"Authorization header requires \'Signature\' parameter. '
        b"(Hashed with SHA-256 and encoded with Base64) Authorization="
        b'%s"}' % hashed(NOTHING_BUT_ALGORITHM + "Credential=x, SignedHeaders=host").encode(),
        id="not all of a signature",
    ),
    pytest.param(
        with_authorization(A_TOKEN),
        INCOMPLETE,
        b'{"message":"Invalid key=value pair (missing equal-sign) in Authorization header (hashed '
        b"with SHA-256 and encoded with Base64): '%s'.\"}" % hashed(A_TOKEN).encode(),
        id="a bearer token",
    ),
    pytest.param(
        Sender(algorithm="AWS4-ECDSA-P256-SHA256").headers(),
        INCOMPLETE,
        b"{\"message\":\"Unsupported AWS 'algorithm': 'AWS4-ECDSA-P256-SHA256' (only "
        b'AWS4-HMAC-SHA256 for now). "}',
        id="another algorithm",
    ),
    pytest.param(
        Sender(key_id=f"{KEY_ID}/x").headers(),
        INCOMPLETE,
        b'{"message":"Credential must have exactly 5 slash-delimited elements, e.g. '
        b"keyid/date/region/service/term, got "
        b"'AKIDEXAMPLE/x/20260102/us-east-1/lambda/aws4_request'\"}",
        id="a malformed credential",
    ),
    pytest.param(
        {**GOOD, "X-Amz-Date": "yesterday"},
        INCOMPLETE,
        b"{\"message\":\"Date must be in ISO-8601 'basic format'. Got 'yesterday'. See "
        b'http://en.wikipedia.org/wiki/ISO_8601"}',
        id="a malformed date",
    ),
    pytest.param(Sender("AKIDNOBODY").headers(), UNRECOGNIZED, UNKNOWN, id="an unknown key"),
    pytest.param(Sender("AKIDOFF").headers(), UNRECOGNIZED, UNKNOWN, id="a disabled key"),
    pytest.param(Sender("ASIA").headers(), UNRECOGNIZED, UNKNOWN, id="no session token"),
    pytest.param(
        Sender("ASIA", token="x").headers(), UNRECOGNIZED, UNKNOWN, id="a wrong session token"
    ),
    pytest.param(
        Sender("AKIDOLD").headers(),
        "ExpiredTokenException",
        b'{"message":"The security token included in the request is expired"}',
        id="an expired key",
    ),
    pytest.param(
        Sender(now=NOW - 301).headers(),
        INVALID,
        b'{"message":"Signature expired: 20260102T025904Z is now earlier than 20260102T025905Z '
        b'(20260102T030405Z - 5 min.)"}',
        id="too old",
    ),
    pytest.param(
        Sender(now=NOW + 301).headers(),
        INVALID,
        b'{"message":"Signature not yet current: 20260102T030906Z is still later than '
        b'20260102T030905Z (20260102T030405Z + 5 min.)"}',
        id="from the future",
    ),
    pytest.param(
        Sender(service="execute-api").headers(),
        INVALID,
        b'{"message":"Credential should be scoped to correct service: \'lambda\'. "}',
        id="another service",
    ),
    pytest.param(
        Sender(region="eu-west-1").headers(),
        INVALID,
        b'{"message":"Credential should be scoped to a valid region. "}',
        id="another region",
    ),
    pytest.param(
        Sender(day="20260101").headers(),
        INVALID,
        b'{"message":"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of '
        b"date from HTTP: '20260101' != '20260102', from '20260102T030405Z'.\"}",
        id="another day",
    ),
    pytest.param(
        Sender(signed_headers="x-amz-date").headers(),
        INVALID,
        b"{\"message\":\"'Host' or ':authority' must be a 'SignedHeader' in the AWS "
        b'Authorization."}',
        id="the host not signed",
    ),
    pytest.param(
        {**GOOD, "X-Amz-Invocation-Type": "Event"}, INVALID, MISMATCH, id="a header not signed"
    ),
    pytest.param(Sender(secret="x" * 40).headers(body=b"{}"), INVALID, MISMATCH, id="wrong"),
    pytest.param(Sender().headers(body=b"[]"), INVALID, MISMATCH, id="another body"),
    pytest.param(
        Sender().headers(body=b"{}", headers={"X-Amz-Content-Sha256": "0" * 64}),
        INVALID,
        MISMATCH,
        id="a wrong hash",
    ),
    pytest.param(
        Sender().headers(body=b"{}", headers={"X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD"}),
        INVALID,
        MISMATCH,
        id="an unusable hash",
    ),
]


@pytest.mark.parametrize(("headers", "code", "body"), ROWS)
def test_what_a_stranger_is_told(
    app: InvokeAsyncMiddleware, headers: dict[str, str], code: str, body: bytes
) -> None:
    assert_refused(send(app, headers), 403, code, body)


@pytest.mark.parametrize(
    "target",
    [
        pytest.param("/", id="root"),
        pytest.param("/2014-11-13/functions", id="a prefix"),
        pytest.param("/2014-11-13/functions/f", id="no ending"),
        pytest.param("/2015-03-31/functions/f/invoke-async", id="another version's ending"),
        pytest.param("/2014-11-13/functions//invoke-async", id="no name"),
        pytest.param("/2015-03-31/functions/g/invocations", id="no such function"),
        pytest.param("/2015-03-31/functions/b!d/invocations", id="a bad name"),
        pytest.param("/elsewhere?X-Amz-X=1", id="elsewhere"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
def test_a_stranger_is_told_the_same_everywhere(
    app: InvokeAsyncMiddleware, method: str, target: str
) -> None:
    """What there is and what there is not is for callers."""
    assert_refused(
        send(app, {}, method=method, target=target),
        403,
        MISSING,
        b'{"message":"Missing Authentication Token"}',
    )
    wrong = Sender(secret="x" * 40).headers(method, target, b"{}")
    assert_refused(send(app, wrong, method=method, target=target), 403, INVALID, MISMATCH)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", "/"),
        ("GET", INVOKE_ASYNC),
        ("PUT", INVOKE_ASYNC),
        ("OPTIONS", INVOKE),
        ("POST", "/2014-11-13/functions"),
        ("POST", "/2014-11-13/functions/f"),
        ("POST", "/2014-11-13/functions/"),
        ("POST", "/2014-11-13/functions//invoke-async"),
        ("POST", "/2014-11-13/functionsX/f/invoke-async"),
        ("POST", "/2015-03-31/functions/f/invoke-async"),
        ("POST", f"/{INVOKE_ASYNC}"),
        ("GET", "/favicon.ico"),
    ],
)
def test_a_caller_is_told_that_there_is_no_such_operation(
    app: InvokeAsyncMiddleware, method: str, target: str
) -> None:
    headers = Sender().headers(method, target, b"{}")
    answer = send(app, headers, method=method, target=target)
    assert_refused(answer, 403, DENIED, NO_SUCH_OPERATION)


@pytest.mark.parametrize(("sender", "code"), [(None, MISSING), (Sender(), DENIED)])
def test_head_gets_the_headers_of_get(
    app: InvokeAsyncMiddleware, sender: Sender | None, code: str
) -> None:
    answers = [
        send(app, {} if sender is None else sender.headers(method), method=method, body=b"")
        for method in ("GET", "HEAD")
    ]
    for answer in answers:
        assert (answer.status, answer.headers["x-amzn-errortype"]) == (403, code)
    got, head = answers
    assert head.body == b""
    assert head.headers["content-length"] == str(len(got.body))


def test_a_caller_whom_no_policy_allows_is_told_in_awss_words(app: InvokeAsyncMiddleware) -> None:
    assert_refused(
        send(app, Sender("AKIDBOB").headers(body=b"{}")),
        403,
        DENIED,
        b'{"Message":"User: arn:aws:iam::123456789012:user/bob is not authorized to perform: '
        b"lambda:InvokeFunction on resource: arn:aws:lambda:us-east-1:123456789012:function:f "
        b'because no identity-based policy allows the lambda:InvokeFunction action"}',
    )


def test_the_recorded_lengths() -> None:
    """Bodies that were measured: 42, 192 and 114 bytes."""
    app = make_app(clock=FakeClock(sigv4.moment("20160928T175224Z") or 0))
    signed_at = sigv4.moment("20160928T174419Z")
    assert signed_at is not None
    now = signed_at + 485
    answers = [
        send(app, {}),
        send(app, Sender(now=now, secret="x" * 40).headers()),
        send(app, Sender(now=signed_at).headers()),
    ]
    assert [len(answer.body) for answer in answers] == [42, 192, 114]


@pytest.mark.parametrize(
    ("sender", "code", "text"),
    [
        pytest.param(
            Sender(without=("X-Amz-Date", "X-Amz-Credential")),
            INCOMPLETE,
            "AWS query-string parameters must include 'X-Amz-Credential'. AWS query-string "
            "parameters must include 'X-Amz-Date'. Re-examine the query-string parameters.",
            id="not all of it",
        ),
        pytest.param(
            Sender(expires="0"),
            INCOMPLETE,
            "X-Amz-Expires must be a number of seconds between 1 and 604800.",
            id="life",
        ),
        pytest.param(
            Sender(expires="60", now=NOW - 61),
            INVALID,
            "Signature expired: 20260102T030304Z is now earlier than 20260102T030305Z "
            "(20260102T030405Z - 1 min.)",
            id="too old",
        ),
        pytest.param(
            Sender("AKIDNOBODY"),
            UNRECOGNIZED,
            "The security token included in the request is invalid.",
            id="unknown",
        ),
        pytest.param(Sender(secret="x" * 40), INVALID, sigv4.MISMATCH, id="wrong"),
    ],
)
def test_what_the_sender_of_a_presigned_url_is_told(
    app: InvokeAsyncMiddleware, sender: Sender, code: str, text: str
) -> None:
    answer = send(app, {"Host": sender.host}, target=sender.presigned(body=b"{}"))
    assert_refused(answer, 403, code, f'{{"message":"{text}"}}'.encode())


def test_a_request_with_two_signatures_is_told_so(app: InvokeAsyncMiddleware) -> None:
    target = Sender().presigned(body=b"{}")
    answer = send(app, Sender().headers(target=target, body=b"{}"), target=target)
    assert_refused(
        answer,
        403,
        INVALID,
        b"{\"message\":\"Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' "
        b'as HTTP header."}',
    )


# --- in which order -----------------------------------------------------------------------------

#: What is wrong with a request, and how the answer to it begins, in the order of the checks.
FAULTS = {
    "malformed": (INCOMPLETE, "Unsupported AWS"),
    "unknown key": (UNRECOGNIZED, "The security token included in the request is invalid"),
    "too late": (INVALID, "Signature expired"),
    "another region": (INVALID, "Credential should be scoped"),
    "host not signed": (INVALID, "'Host' or"),
    # The signature covers the body; that is why it comes before the rest.
    "too large": ("RequestEntityTooLargeException", "Request must be smaller than"),
    "wrong": (INVALID, "The request signature we calculated"),
    "no operation": (DENIED, "Unable to determine"),
    "request id": ("InvalidRequestContentException", "Invalid Request ID"),
    "parameter": ("ValidationException", "1 validation error detected"),
    "two qualifiers": ("InvalidParameterValueException", "The derived qualifier"),
    "denied": (DENIED, "User: "),
    "no such function": ("ResourceNotFoundException", "Function not found"),
    "no JSON": ("InvalidRequestContentException", "Could not parse"),
    "no capacity": ("TooManyRequestsException", "Rate Exceeded."),
}


def send_with(app: InvokeAsyncMiddleware, faults: Iterable[str]) -> Answer:
    """Send an Invoke with faults. There is no capacity in any case."""
    sender, name, query, ending = Sender(), "f", "", "invocations"
    headers, body = {"X-Amz-Log-Type": "None"}, b"{}"
    for fault in reversed([fault for fault in FAULTS if fault in faults]):
        if fault == "malformed":
            sender = replace(sender, algorithm="AWS4")
        elif fault == "unknown key":
            sender = replace(sender, key_id="AKIDNOBODY")
        elif fault == "too late":
            sender = replace(sender, now=NOW - 301)
        elif fault == "another region":
            sender = replace(sender, region="eu-west-1")
        elif fault == "host not signed":
            sender = replace(sender, signed_headers="x-amz-date;x-amz-log-type")
        elif fault == "too large":
            body = body.ljust(101)
        elif fault == "wrong":
            sender = replace(sender, secret="x" * 40)
        elif fault == "no operation":
            ending = "invocation"
        elif fault == "request id":
            headers["x-amzn-RequestId"] = "1"
        elif fault == "parameter":
            headers["X-Amz-Log-Type"] = "all"
        elif fault == "two qualifiers":
            name, query = f"{name}:1", "?Qualifier=live"
        elif fault == "denied":
            sender = replace(sender, key_id="AKIDBOB")
        elif fault == "no such function":
            name = "g"
        elif fault == "no JSON":
            body = b"{"
    target = f"/2015-03-31/functions/{name}/{ending}{query}"
    return send(app, sender.headers("POST", target, body, headers), target=target, body=body)


@pytest.mark.parametrize(("first", "second"), [*combinations_with_replacement(FAULTS, 2)])
def test_of_two_faults_the_first_is_told(first: str, second: str) -> None:
    app = make_app(sync_concurrency=0, max_request_bytes=100)
    answer = send_with(app, [first, second])
    code, text = FAULTS[first]
    assert answer.headers["x-amzn-errortype"] == code
    assert text.encode() in answer.body


def test_without_a_signature_no_fault_is_told() -> None:
    app = make_app(max_request_bytes=1)
    target = "/2015-03-31/functions/b!d/invocations?Qualifier=!"
    answer = send(app, {"x-amzn-RequestId": "1"}, target=target, body=b"{")
    assert answer.headers["x-amzn-errortype"] == MISSING


# --- which doors --------------------------------------------------------------------------------


def test_everybody_is_let_in_where_that_was_chosen_and_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = make_app("none", policies=None)
    assert caplog.messages == [
        "auth='none': everybody who reaches this server may invoke and configure every function; "
        "no policy is asked"
    ]
    assert caplog.records[0].levelno == logging.WARNING
    assert send(app, {}).status == 202
    assert send(app, with_authorization("anything")).status == 202


def test_where_everybody_is_let_in_there_can_be_no_policies() -> None:
    """There is nobody whom they could be about, so whoever gave them means something else."""
    with pytest.raises(ConfigurationError, match=r"^policies: with auth='none' nobody is verified"):
        make_app("none", policies={})


def test_nobody_is_let_in_where_that_was_chosen() -> None:
    app = make_app("nobody")
    assert_refused(send(app, {}), 403, MISSING, b'{"message":"Missing Authentication Token"}')
    assert_refused(send(app, GOOD), 403, UNRECOGNIZED, UNKNOWN)


@pytest.mark.parametrize("auth", ["nobody", None], ids=["nobody", "signatures"])
def test_this_process_may_invoke_without_a_signature(auth: str | None) -> None:
    app = make_app(auth, policies={})
    assert len(app.submit("f", {"a": 1})) == 36
    assert app.service.invoke("f", 1).payload == b"1"


def test_the_wrapped_application_is_nobodys_business(caplog: pytest.LogCaptureFixture) -> None:
    """Its requests are passed on, signed or not."""

    def page(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ.get("HTTP_AUTHORIZATION", "none").encode()]

    app = InvokeAsyncMiddleware(page, make_functions(), auth=SigV4(KEYS), clock=FakeClock(NOW))
    client = Client(app)
    assert client.request("GET", "/").body == b"none"
    assert client.request("GET", "/", headers={"Authorization": "Basic x"}).body == b"Basic x"
    assert client.request("POST", INVOKE_ASYNC, b"{}").status == 403
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("script_name", ["", "/my app", "/2014-11-13/functions"])
def test_a_caller_is_known_wherever_the_service_is_mounted(script_name: str) -> None:
    app = make_app()
    clock = FakeClock(NOW)
    client = Client(app, script_name=script_name, signer=Signer(KEY_ID, SECRET, clock=clock))
    assert client.invoke_async("f:live", b"{}").status == 202
    assert Client(app, script_name=script_name).invoke_async("f:live", b"{}").status == 403


def test_a_dry_run_asks_whether_the_caller_may(app: InvokeAsyncMiddleware) -> None:
    for key_id, status in ((KEY_ID, 204), ("AKIDBOB", 403)):
        headers = Sender(key_id).headers(
            target=INVOKE, body=b"{}", headers={"X-Amz-Invocation-Type": "DryRun"}
        )
        assert send(app, headers, target=INVOKE).status == status


# --- an authenticator of one's own --------------------------------------------------------------


class ByHeader:
    """Believes a proxy that has checked a certificate."""

    def __init__(self, answer: Callable[[Request], Any]) -> None:
        self.answer = answer
        self.started: list[tuple[Settings, Any]] = []

    def start(self, settings: Settings, clock: Any) -> None:
        self.started.append((settings, clock))

    def authenticate(self, request: Request) -> Principal:
        principal: Principal = self.answer(request)
        return principal


def accepted_by(app: InvokeAsyncMiddleware) -> int:
    executor = app.service.executor
    assert isinstance(executor, SteppedExecutor)
    return executor.counts().waiting


def test_an_authenticator_of_ones_own_says_who_calls() -> None:
    def answer(request: Request) -> Principal:
        name = request.header("HTTP_X_CLIENT_CERTIFICATE")
        if name is None:
            raise errors.MissingAuthenticationTokenException("Missing Authentication Token")
        return Principal(name)

    app = make_app(ByHeader(answer))
    assert send(app, {"X-Client-Certificate": "alice"}).status == 202
    assert b"user/bob is not authorized" in send(app, {"X-Client-Certificate": "bob"}).body
    assert_refused(send(app, {}), 403, MISSING, b'{"message":"Missing Authentication Token"}')
    assert accepted_by(app) == 1


def test_an_authenticator_is_started_once_with_settings_and_clock() -> None:
    authenticator = ByHeader(lambda request: Principal("alice"))
    clock = FakeClock(NOW)
    app = make_app(authenticator, clock=clock)
    send(app, {})
    assert authenticator.started == [(app.service.settings, clock)]


def test_an_authenticator_sees_the_request_as_it_came() -> None:
    seen: list[Request] = []

    def answer(request: Request) -> Principal:
        seen.append(request)
        return Principal("alice")

    app = make_app(ByHeader(answer))
    target = "/2015-03-31/functions/f%3Alive/invocations?Qualifier=live"
    assert send(app, {"X-Custom": "a"}, target=target, body=b"[1]").status == 200
    [request] = seen
    assert (request.operation, request.function_name) == ("Invoke", "f:live")
    assert (request.query, request.header("HTTP_X_CUSTOM")) == ("Qualifier=live", "a")
    assert (request.environ["RAW_URI"], request.received_at) == (target, NOW)
    assert request.read_body() == b"[1]"


def test_an_authenticator_may_read_the_body() -> None:
    def answer(request: Request) -> Principal:
        return Principal("alice" if request.read_body() == b'"alice"' else "bob")

    app = make_app(ByHeader(answer))
    assert send(app, {}, target=INVOKE, body=b'"alice"').body == b'"alice"'
    assert send(app, {}, target=INVOKE, body=b'"eve"').status == 403


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(lambda request: None, id="None"),
        pytest.param(lambda request: "alice", id="a name"),
        pytest.param(lambda request: True, id="True"),
        pytest.param(lambda request: Principal, id="the class"),
        pytest.param(lambda request: 1 / 0, id="an error"),
        pytest.param(lambda request: request.environ["no such key"], id="a missing key"),
        pytest.param(lambda request: Principal("no name?"), id="a configuration error"),
    ],
)
def test_an_authenticator_that_says_nobody_lets_nobody_in(
    answer: Callable[[Request], Any], caplog: pytest.LogCaptureFixture
) -> None:
    """A slip in it is an answer 500 and a line in the log; nothing runs."""
    app = make_app(ByHeader(answer))
    assert_refused(
        send(app, {}),
        500,
        "ServiceException",
        b'{"Type":"Service","Message":"An internal error occurred."}',
    )
    assert accepted_by(app) == 0
    assert [record.levelname for record in caplog.records] == ["ERROR"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.ExpiredTokenException("Over."), 403),
        (errors.UnrecognizedClientException("Who?", why="a stranger", key_id="k"), 403),
        (errors.AuthenticationError("No."), 403),
        (errors.InvalidRequestContentException("What?"), 400),
        (errors.ServiceUnavailableException("Later."), 503),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_what_an_authenticator_raises_is_the_answer(error: errors.AWSError, status: int) -> None:
    def refuse(request: Request) -> Any:
        raise error

    app = make_app(ByHeader(refuse))
    assert_refused(send(app, {}), status, error.code, error.body())
    assert accepted_by(app) == 0


def test_what_should_end_the_process_is_not_an_answer() -> None:
    def leave(request: Request) -> Any:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        send(make_app(ByHeader(leave)), {})


def test_nothing_runs_for_a_stranger() -> None:
    """Of all the rows above."""
    ran: list[object] = []
    functions = Functions()
    functions.add("f", lambda event, context: ran.append(event))
    executor = SteppedExecutor()
    app = InvokeAsyncMiddleware(
        None, functions, auth=SigV4(KEYS), executor=executor, clock=FakeClock(NOW)
    )
    for row in ROWS:
        send(app, row.values[0])
        send(app, row.values[0], target=INVOKE)
    assert (ran, executor.counts().waiting) == ([], 0)
    assert send(app, GOOD).status == 202
