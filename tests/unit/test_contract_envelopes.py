"""What clients see of an answer: status, headers and body, as Lambda sends them.

Texts and lengths are those of recordings of the real service. Requests go through the whole
middleware.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer
from botocore.session import Session

from invokeasync_wsgi import (
    Context,
    ExecutorClosed,
    Functions,
    InvokeAsyncMiddleware,
    QueueFull,
    errors,
)
from invokeasync_wsgi.executors.inline import InlineExecutor
from invokeasync_wsgi.names import function_arn
from invokeasync_wsgi.testing import Answer, Client, SteppedExecutor

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
REQUEST_ID = "4c7a6e5e-2f0c-4f0e-8e0e-0d4c5a3b2a1f"

INVOKE_ASYNC = "/2014-11-13/functions/f/invoke-async"
INVOKE = "/2015-03-31/functions/f/invocations"
STREAM = "/2021-11-15/functions/f/response-streaming-invocations"

UNKNOWN_OPERATION = b'{"Message":"Unable to determine service/operation name to be authorized"}'


def make_functions() -> Functions:
    functions = Functions()

    @functions.function("f", versions={"7": returns_seven}, aliases={"live": "7"})
    def echo(event: Any, context: Context) -> Any:
        print("hello from f")
        return event

    @functions.function
    def fails(event: Any, context: Context) -> None:
        raise KeyError("gone")

    @functions.function
    def nothing(event: Any, context: Context) -> None:
        pass

    @functions.function
    def raw(event: Any, context: Context) -> bytes:
        return b"\x00\xff"

    @functions.function
    def big(event: Any, context: Context) -> str:
        return "x" * int(event)

    @functions.function
    def about(event: Any, context: Context) -> dict[str, Any]:
        client_context = context.client_context
        return {
            "request_id": context.aws_request_id,
            "tenant_id": context.tenant_id,
            "custom": None if client_context is None else client_context.custom,
        }

    functions.add("broken", "no_such_module:handler", lazy=True)
    functions.add("foreign", "no_such_module:handler", lazy=True, runtime="nodejs22.x")
    return functions


def returns_seven(event: Any, context: Context) -> int:
    return 7


def make_client(executor: Any = "inline:", **settings: Any) -> Client:
    middleware = InvokeAsyncMiddleware(
        None, make_functions(), auth="none", executor=executor, **settings
    )
    return Client(middleware)


@pytest.fixture
def client() -> Client:
    return make_client()


def compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def assert_refused(answer: Answer, status: int, code: str, body: bytes) -> None:
    assert (answer.status, answer.headers["x-amzn-errortype"]) == (status, code)
    assert answer.body == body
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-length"] == str(len(body))
    assert UUID.fullmatch(answer.headers["x-amzn-requestid"])


# --- every error class ----------------------------------------------------------------------

#: Class, status, `Type`, and the member that holds the text.
ENVELOPES = [
    (errors.ValidationException, 400, None, "message"),
    (errors.InvalidParameterValueException, 400, "User", "message"),
    (errors.InvalidRequestContentException, 400, "User", "message"),
    (errors.AuthenticationError, 403, None, "message"),
    (errors.MissingAuthenticationTokenException, 403, None, "message"),
    (errors.IncompleteSignatureException, 403, None, "message"),
    (errors.InvalidSignatureException, 403, None, "message"),
    (errors.UnrecognizedClientException, 403, None, "message"),
    (errors.ExpiredTokenException, 403, None, "message"),
    (errors.AccessDeniedException, 403, None, "Message"),
    (errors.RecursiveInvocationException, 400, "User", "Message"),
    (errors.ResourceConflictException, 409, "User", "message"),
    (errors.PreconditionFailedException, 412, "User", "message"),
    (errors.PolicyLengthExceededException, 400, "User", "message"),
    (errors.ResourceNotFoundException, 404, "User", "Message"),
    (errors.LengthRequiredException, 411, None, "message"),
    (errors.RequestEntityTooLargeException, 413, None, "Message"),
    (errors.TooManyRequestsException, 429, "User", "message"),
    (errors.ServiceException, 500, "Service", "Message"),
    (errors.InvalidRuntimeException, 502, "Service", "Message"),
    (errors.ServiceUnavailableException, 503, None, "message"),
]

#: Not in the service's model: what the recordings show, or the server in front of the service.
NOT_MODELLED = {
    "AuthenticationError",
    "MissingAuthenticationTokenException",
    "IncompleteSignatureException",
    "InvalidSignatureException",
    "UnrecognizedClientException",
    "ExpiredTokenException",
    "ValidationException",
    "AccessDeniedException",
    "RequestEntityTooLargeException",
    "LengthRequiredException",
    "ServiceUnavailableException",
}


def test_the_table_has_every_error_class() -> None:
    classes = {
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.AWSError)
    }
    assert {row[0] for row in ENVELOPES} == classes - {errors.AWSError}


class Refusing(InlineExecutor):
    """An executor that takes nothing."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def submit(self, invocation: object) -> None:
        raise self.error


@pytest.mark.parametrize(
    ("error", "status", "type_", "member"),
    [pytest.param(*row, id=row[0].__name__) for row in ENVELOPES],
)
def test_the_envelope_of_every_error(
    error: type[errors.AWSError], status: int, type_: str | None, member: str
) -> None:
    """Sent as an executor's own answer, so that each class goes the whole way."""
    answer = make_client(Refusing(error("The text."))).invoke_async("f", b"{}")
    members = {"Type": type_, member: "The text."} if type_ else {member: "The text."}
    assert_refused(answer, status, error.__name__, compact(members))


@pytest.fixture(scope="module")
def lambda_model() -> Any:
    return Session().get_service_model("lambda")


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(row[0], id=row[0].__name__)
        for row in ENVELOPES
        if row[0].__name__ not in NOT_MODELLED
    ],
)
def test_modelled_errors_are_as_in_botocores_model(
    error: type[errors.AWSError], lambda_model: Any
) -> None:
    shape = lambda_model.shape_for(error.__name__)
    assert shape.metadata["error"]["httpStatusCode"] == error.status
    assert {"Type", error.member} <= set(shape.members)
    assert error.type is not None


@pytest.mark.parametrize("name", sorted(NOT_MODELLED))
def test_the_other_errors_are_not_in_botocores_model(name: str, lambda_model: Any) -> None:
    assert name not in lambda_model.shape_names


# --- recorded bodies ------------------------------------------------------------------------


def test_the_recorded_404_has_107_bytes() -> None:
    """Of GetFunction, where an unqualified function's ARN has no suffix."""
    arn = function_arn("us-east-1", "644160558196", "test-foo-bar")
    body = errors.ResourceNotFoundException(f"Function not found: {arn}").body()
    assert body == (
        b'{"Type":"User","Message":"Function not found: '
        b'arn:aws:lambda:us-east-1:644160558196:function:test-foo-bar"}'
    )
    assert len(body) == 107


def test_the_recorded_validation_exception_has_177_bytes(client: Client) -> None:
    answer = client.invoke("f", b"{}", invocation_type="dry_run")
    body = (
        b"{\"message\":\"1 validation error detected: Value 'dry_run' at 'invocationType' failed "
        b"to satisfy constraint: Member must satisfy enum value set: "
        b'[DryRun, RequestResponse, Event]"}'
    )
    assert len(body) == 177
    assert_refused(answer, 400, "ValidationException", body)


def test_the_recorded_429() -> None:
    error = errors.TooManyRequestsException(
        "Rate Exceeded.", reason="ReservedFunctionConcurrentInvocationLimitExceeded"
    )
    answer = make_client(Refusing(error)).invoke_async("f", b"{}")
    assert_refused(
        answer,
        429,
        "TooManyRequestsException",
        b'{"Reason":"ReservedFunctionConcurrentInvocationLimitExceeded","Type":"User",'
        b'"message":"Rate Exceeded."}',
    )


# --- capacity and our own failures ----------------------------------------------------------

NO_CAPACITY = (
    b'{"Reason":"ConcurrentInvocationLimitExceeded","Type":"User","message":"Rate Exceeded."}'
)


def test_a_full_queue_is_429_and_says_when_to_come_back() -> None:
    client = make_client(SteppedExecutor(max_waiting=1))
    assert client.invoke_async("f", b"{}").status == 202
    for answer in (
        client.invoke_async("f", b"{}"),
        client.invoke("f", b"{}", invocation_type="Event"),
    ):
        assert_refused(answer, 429, "TooManyRequestsException", NO_CAPACITY)
        assert answer.headers["retry-after"] == "1"


def test_no_place_for_a_synchronous_invocation_is_429() -> None:
    answer = make_client(sync_concurrency=0).invoke("f", b"{}")
    assert_refused(answer, 429, "TooManyRequestsException", NO_CAPACITY)
    assert answer.headers["retry-after"] == "1"


def test_an_executors_own_waiting_time_is_passed_on() -> None:
    error = QueueFull("full")
    error.retry_after_s = 30
    assert make_client(Refusing(error)).invoke_async("f").headers["retry-after"] == "30"


def test_a_process_that_is_going_away_is_503() -> None:
    answer = make_client(Refusing(ExecutorClosed("It is over."))).invoke_async("f")
    assert_refused(answer, 503, "ServiceUnavailableException", b'{"message":"It is over."}')


def test_an_executor_that_fails_is_500_and_shows_nothing_of_why() -> None:
    answer = make_client(Refusing(OSError("/secret/path"))).invoke_async("f")
    assert_refused(
        answer,
        500,
        "ServiceException",
        b'{"Type":"Service","Message":"The event could not be accepted. Try again."}',
    )


def test_a_runtime_that_cannot_run_here_is_502(client: Client) -> None:
    answer = client.invoke_async("foreign")
    assert_refused(
        answer,
        502,
        "InvalidRuntimeException",
        b'{"Type":"Service",'
        b'"Message":"The runtime nodejs22.x of function foreign cannot run here"}',
    )


# --- request ids ----------------------------------------------------------------------------

EVERY_KIND_OF_ANSWER = [
    pytest.param("POST", INVOKE_ASYNC, {}, 202, id="accepted"),
    pytest.param("POST", INVOKE, {}, 200, id="result"),
    pytest.param("POST", INVOKE, {"X-Amz-Invocation-Type": "Event"}, 202, id="event"),
    pytest.param("POST", INVOKE, {"X-Amz-Invocation-Type": "DryRun"}, 204, id="dry run"),
    pytest.param("POST", STREAM, {}, 200, id="stream"),
    pytest.param("POST", INVOKE.replace("f/", "fails/"), {}, 200, id="function error"),
    pytest.param("POST", INVOKE, {"X-Amz-Log-Type": "all"}, 400, id="bad parameter"),
    pytest.param("POST", INVOKE.replace("f/", "g/"), {}, 404, id="no such function"),
    pytest.param("GET", INVOKE, {}, 403, id="no such operation"),
]


@pytest.mark.parametrize(("method", "path", "headers", "status"), EVERY_KIND_OF_ANSWER)
class TestRequestIds:
    def test_every_answer_has_one_of_its_own(
        self, client: Client, method: str, path: str, headers: dict[str, str], status: int
    ) -> None:
        answers = [client.request(method, path, b"{}", headers=headers) for _ in range(2)]
        assert [answer.status for answer in answers] == [status, status]
        one, other = (answer.headers["x-amzn-requestid"] for answer in answers)
        assert UUID.fullmatch(one)
        assert one != other

    def test_the_callers_own_is_used_in_lower_case(
        self, client: Client, method: str, path: str, headers: dict[str, str], status: int
    ) -> None:
        headers = {**headers, "x-amzn-RequestId": REQUEST_ID.upper()}
        answer = client.request(method, path, b"{}", headers=headers)
        assert (answer.status, answer.headers["x-amzn-requestid"]) == (status, REQUEST_ID)


@pytest.mark.parametrize(
    "given",
    [
        pytest.param("", id="empty"),
        pytest.param("1", id="a number"),
        pytest.param(REQUEST_ID.replace("-", ""), id="without dashes"),
        pytest.param(f"{{{REQUEST_ID}}}", id="in braces"),
        pytest.param(f"urn:uuid:{REQUEST_ID}", id="as a URN"),
        pytest.param(REQUEST_ID[:-1], id="too short"),
        pytest.param(f"{REQUEST_ID}0", id="too long"),
        pytest.param(REQUEST_ID.replace("4", "g"), id="other letters"),
        pytest.param(REQUEST_ID.replace("4", "٤"), id="other digits"),
    ],
)
@pytest.mark.parametrize("path", [INVOKE_ASYNC, INVOKE, STREAM])
def test_a_request_id_that_is_no_uuid_is_refused(client: Client, path: str, given: str) -> None:
    answer = client.request("POST", path, b"{}", headers={"x-amzn-RequestId": given})
    assert_refused(
        answer,
        400,
        "InvalidRequestContentException",
        b'{"Type":"User","message":"Invalid Request ID: The \'x-amzn-RequestId\' header must be a '
        b'valid UUID format string."}',
    )


def test_the_request_id_is_the_handlers(client: Client) -> None:
    answer = client.invoke("about", b"{}")
    assert json.loads(answer.body)["request_id"] == answer.headers["x-amzn-requestid"]


# --- parameters -----------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["dry_run", "event", "EVENT", "None", " Event", "Event,Event"])
def test_a_bad_invocation_type(client: Client, given: str) -> None:
    text = (
        f"1 validation error detected: Value '{given}' at 'invocationType' failed to satisfy "
        "constraint: Member must satisfy enum value set: [DryRun, RequestResponse, Event]"
    )
    answer = client.invoke("f", b"{}", invocation_type=given)
    assert_refused(answer, 400, "ValidationException", compact({"message": text}))


@pytest.mark.parametrize("given", ["Event", "event"])
def test_a_stream_cannot_be_an_event(client: Client, given: str) -> None:
    text = (
        f"1 validation error detected: Value '{given}' at 'invocationType' failed to satisfy "
        "constraint: Member must satisfy enum value set: [DryRun, RequestResponse]"
    )
    headers = {"X-Amz-Invocation-Type": given}
    answer = client.request("POST", STREAM, b"{}", headers=headers)
    assert_refused(answer, 400, "ValidationException", compact({"message": text}))


@pytest.mark.parametrize("given", ["tail", "TAIL", "none", "All"])
def test_a_bad_log_type(client: Client, given: str) -> None:
    text = (
        f"1 validation error detected: Value '{given}' at 'logType' failed to satisfy "
        "constraint: Member must satisfy enum value set: [None, Tail]"
    )
    answer = client.invoke("f", b"{}", headers={"X-Amz-Log-Type": given})
    assert_refused(answer, 400, "ValidationException", compact({"message": text}))


def test_a_bad_tenant_id(client: Client) -> None:
    text = (
        "1 validation error detected: Value 'a,b' at 'tenantId' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: [a-zA-Z0-9\\._:\\/=+\\-@ ]+"
    )
    answer = client.invoke("f", b"{}", headers={"X-Amz-Tenant-Id": "a,b"})
    assert_refused(answer, 400, "ValidationException", compact({"message": text}))


def test_a_tenant_id_that_is_too_long(client: Client) -> None:
    text = (
        f"1 validation error detected: Value '{'x' * 257}' at 'tenantId' failed to satisfy "
        "constraint: Member must have length less than or equal to 256"
    )
    answer = client.invoke("f", b"{}", headers={"X-Amz-Tenant-Id": "x" * 257})
    assert_refused(answer, 400, "ValidationException", compact({"message": text}))


def test_a_tenant_id_reaches_the_handler(client: Client) -> None:
    answer = client.invoke("about", b"{}", headers={"X-Amz-Tenant-Id": "a tenant"})
    assert json.loads(answer.body)["tenant_id"] == "a tenant"


@pytest.mark.parametrize(
    "given",
    [
        pytest.param("not base64!", id="no base64"),
        pytest.param("abc", id="no padding"),
        pytest.param(base64.b64encode(b"\xff").decode(), id="no UTF-8"),
        pytest.param(base64.b64encode(b"{").decode(), id="no JSON"),
        pytest.param(base64.b64encode(b"[]").decode(), id="an array"),
        pytest.param(base64.b64encode(b'"{}"').decode(), id="a string"),
        pytest.param(base64.b64encode(b"null").decode(), id="null"),
        pytest.param(base64.b64encode(b"[" * 2600).decode(), id="deep JSON"),
        pytest.param('{"custom":{}}', id="JSON, not encoded"),
    ],
)
@pytest.mark.parametrize("path", [INVOKE, STREAM])
def test_a_bad_client_context(client: Client, path: str, given: str) -> None:
    headers = {"X-Amz-Client-Context": given}
    answer = client.request("POST", path, b"{}", headers=headers)
    assert_refused(
        answer,
        400,
        "InvalidRequestContentException",
        b'{"Type":"User","message":"Client context must be a valid Base64-encoded JSON object."}',
    )


def test_a_client_context_has_3583_bytes_at_most(client: Client) -> None:
    given = "e" * 3584
    text = (
        f"1 validation error detected: Value '{given}' at 'clientContext' failed to satisfy "
        "constraint: Member must have length less than or equal to 3583"
    )
    answer = client.invoke("f", b"{}", headers={"X-Amz-Client-Context": given})
    assert_refused(answer, 400, "ValidationException", compact({"message": text}))


def test_a_client_context_reaches_the_handler(client: Client) -> None:
    given = base64.b64encode('{"custom": {"key": "é"}}'.encode()).decode()
    answer = client.invoke("about", b"{}", headers={"X-Amz-Client-Context": given})
    assert json.loads(answer.body)["custom"] == {"key": "é"}


def test_every_parameter_that_breaks_a_constraint_is_named(client: Client) -> None:
    answer = client.invoke(
        "a b",
        invocation_type="event",
        qualifier="!",
        headers={"X-Amz-Log-Type": "tail", "X-Amz-Tenant-Id": ","},
    )
    text = json.loads(answer.body)["message"]
    assert text.startswith("5 validation errors detected: ")
    members = re.findall(r"at '(\w+)' failed", text)
    assert members == ["qualifier", "functionName", "invocationType", "logType", "tenantId"]


def test_invoke_async_knows_none_of_these_parameters(client: Client) -> None:
    headers = {
        "X-Amz-Invocation-Type": "event",
        "X-Amz-Log-Type": "tail",
        "X-Amz-Client-Context": "!",
        "X-Amz-Tenant-Id": ",",
    }
    assert client.invoke_async("f", b"{}", headers=headers).status == 202


# --- sizes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "invocation_type", "limit", "body"),
    [
        pytest.param(
            INVOKE_ASYNC,
            None,
            262_144,
            b'{"Message":"262145 byte payload is too large for the Event invocation type '
            b'(limit 262144 bytes)"}',
            id="InvokeAsync",
        ),
        pytest.param(
            INVOKE,
            "Event",
            1_048_576,
            b'{"Message":"1048577 byte payload is too large for the Event invocation type '
            b'(limit 1048576 bytes)"}',
            id="Event",
        ),
        pytest.param(
            INVOKE,
            None,
            6_291_456,
            b'{"Message":"Request must be smaller than 6291456 bytes for the InvokeFunction '
            b'operation"}',
            id="RequestResponse",
        ),
    ],
)
def test_a_payload_over_the_limit(
    client: Client, path: str, invocation_type: str | None, limit: int, body: bytes
) -> None:
    headers = {} if invocation_type is None else {"X-Amz-Invocation-Type": invocation_type}
    just_fits = b'"' + b"x" * (limit - 2) + b'"'
    assert client.request("POST", path, just_fits, headers=headers).status in (200, 202)
    answer = client.request("POST", path, just_fits + b" ", headers=headers)
    assert_refused(answer, 413, "RequestEntityTooLargeException", body)


def test_existence_comes_before_size_and_size_before_json() -> None:
    client = make_client(max_invoke_async_bytes=1)
    assert client.invoke_async("unknown", b"no JSON").status == 404
    assert client.invoke_async("f", b"no JSON").status == 413
    assert client.invoke_async("f", b"x").status == 400


def test_a_result_over_the_limit_is_a_function_error(client: Client) -> None:
    limit = 6_291_556
    just_fits = client.invoke("big", str(limit - 2).encode())
    assert "x-amz-function-error" not in just_fits.headers
    assert len(just_fits.body) == limit
    answer = client.invoke("big", str(limit - 1).encode())
    assert answer.status == 200
    assert answer.headers["x-amz-function-error"] == "Unhandled"
    assert answer.body == (
        b'{"errorMessage":"Response payload size exceeded maximum allowed payload size '
        b'(6291556 bytes).","errorType":"Function.ResponseSizeTooLarge"}'
    )


# --- bodies ---------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b'{"a":', b"NaN", b"'a'", b"\xff\xfe{}", b"value", b"\xff"])
@pytest.mark.parametrize(
    ("path", "invocation_type"), [(INVOKE_ASYNC, None), (INVOKE, "Event"), (INVOKE, None)]
)
def test_a_body_that_is_not_json_is_refused_before_the_202(
    client: Client, path: str, invocation_type: str | None, body: bytes
) -> None:
    headers = {} if invocation_type is None else {"X-Amz-Invocation-Type": invocation_type}
    answer = client.request("POST", path, body, headers=headers)
    assert answer.status == 400
    assert answer.headers["x-amzn-errortype"] == "InvalidRequestContentException"
    assert answer.body.startswith(
        b'{"Type":"User","message":"Could not parse request body into json: '
        b"Could not parse payload into json: "
    )


def test_the_recorded_answer_to_a_bad_byte(client: Client) -> None:
    answer = client.invoke_async("f", b'{"\x87":1}')
    assert_refused(
        answer,
        400,
        "InvalidRequestContentException",
        b'{"Type":"User","message":"Could not parse request body into json: Could not parse '
        b"payload into json: Invalid UTF-8 start byte 0x87\\n at [Source: REDACTED "
        b'(`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, column: 3]"}',
    )


@pytest.mark.parametrize(
    "body", [b"{}", b"[]", b'"text"', b"1", b"null", b"true", b" {} \r\n", '"é"'.encode()]
)
def test_json_of_any_kind_is_an_event(client: Client, body: bytes) -> None:
    assert client.invoke_async("f", body).status == 202
    assert json.loads(client.invoke("f", body).body) == json.loads(body)


def test_an_empty_body_is_an_empty_object(client: Client) -> None:
    assert client.invoke_async("f").status == 202
    assert client.invoke("f").body == b"{}"


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/octet-stream", "application/xml", "nonsense"]
)
def test_the_content_type_does_not_matter(client: Client, content_type: str) -> None:
    answer = client.request("POST", INVOKE, b'{"a":1}', environ={"CONTENT_TYPE": content_type})
    assert answer.body == b'{"a": 1}'


def test_a_chunked_body_whose_end_is_not_marked_is_411(client: Client) -> None:
    environ = {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked"}
    answer = client.request("POST", INVOKE_ASYNC, b"{}", environ=environ)
    assert_refused(answer, 411, "LengthRequiredException", b'{"message":"Length Required"}')


# --- success --------------------------------------------------------------------------------


def test_invoke_async_answers_202_with_an_empty_body(client: Client) -> None:
    answer = client.invoke_async("f", b"{}")
    assert (answer.status, answer.body) == (202, b"")
    assert set(answer.headers) == {"x-amzn-requestid", "content-type", "content-length"}
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-length"] == "0"


def test_an_event_answers_202_with_an_empty_body(client: Client) -> None:
    answer = client.invoke("f:live", b"{}", invocation_type="Event")
    assert (answer.status, answer.body) == (202, b"")
    assert answer.headers["content-length"] == "0"
    assert "x-amz-executed-version" not in answer.headers
    assert re.fullmatch(
        "root=1-[0-9a-f]{8}-[0-9a-f]{24};sampled=0", answer.headers["x-amzn-trace-id"]
    )


def test_a_dry_run_answers_204_with_no_body_at_all(client: Client) -> None:
    answer = client.invoke("f", b"{}", invocation_type="DryRun")
    assert (answer.status, answer.body) == (204, b"")
    assert not {"content-type", "content-length", "x-amz-executed-version"} & set(answer.headers)


def test_a_dry_run_runs_nothing() -> None:
    ran: list[object] = []
    functions = Functions()
    functions.add("f", lambda event, context: ran.append(event))
    client = Client(InvokeAsyncMiddleware(None, functions, auth="none", executor="inline:"))
    assert client.invoke("f", b"{}", invocation_type="DryRun").status == 204
    assert ran == []


def test_a_result_answers_200(client: Client) -> None:
    answer = client.invoke("f", b'{"a":[1,"\xc3\xa9"]}', invocation_type="RequestResponse")
    assert answer.status == 200
    assert json.loads(answer.body) == {"a": [1, "é"]}
    headers = dict(answer.headers)
    assert UUID.fullmatch(headers.pop("x-amzn-requestid"))
    assert re.fullmatch("root=1-[0-9a-f]{8}-[0-9a-f]{24};sampled=0", headers.pop("x-amzn-trace-id"))
    assert headers == {
        "content-type": "application/json",
        "content-length": str(len(answer.body)),
        "x-amzn-remapped-content-length": "0",
        "x-amz-executed-version": "$LATEST",
    }


def test_the_executed_version_of_an_alias_is_a_number(client: Client) -> None:
    answer = client.invoke("f", b"{}", qualifier="live")
    assert (answer.body, answer.headers["x-amz-executed-version"]) == (b"7", "7")


@pytest.mark.parametrize(
    ("name", "body", "content_type"),
    [
        pytest.param("nothing", b"null", "application/json", id="None"),
        pytest.param("raw", b"\x00\xff", "application/unknown", id="bytes"),
    ],
)
def test_what_a_handler_returns(client: Client, name: str, body: bytes, content_type: str) -> None:
    answer = client.invoke(name, b"{}")
    assert (answer.body, answer.headers["content-type"]) == (body, content_type)


def test_a_string_is_sent_with_its_quotes(client: Client) -> None:
    assert client.invoke("f", b'"x"').body == b'"x"'


def test_an_exception_is_a_function_error(client: Client) -> None:
    answer = client.invoke("fails", b"{}")
    assert answer.status == 200
    assert answer.headers["x-amz-function-error"] == "Unhandled"
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-amz-executed-version"] == "$LATEST"
    error = json.loads(answer.body)
    assert list(error) == ["errorMessage", "errorType", "requestId", "stackTrace"]
    assert (error["errorMessage"], error["errorType"]) == ("'gone'", "KeyError")
    assert error["requestId"] == answer.headers["x-amzn-requestid"]
    (frame,) = error["stackTrace"]
    assert re.fullmatch(
        r'  File ".+test_contract_envelopes\.py", line \d+, in fails\n'
        r'    raise KeyError\("gone"\)\n',
        frame,
    )


def test_a_handler_that_cannot_be_imported_is_a_function_error_without_a_request_id(
    client: Client,
) -> None:
    answer = client.invoke("broken", b"{}")
    assert answer.headers["x-amz-function-error"] == "Unhandled"
    assert json.loads(answer.body) == {
        "errorMessage": "Unable to import module 'no_such_module': "
        "No module named 'no_such_module'",
        "errorType": "Runtime.ImportModuleError",
        "requestId": "",
        "stackTrace": [],
    }


def test_the_log_comes_only_when_it_is_asked_for(client: Client) -> None:
    assert "x-amz-log-result" not in client.invoke("f", b"{}").headers
    assert (
        "x-amz-log-result"
        not in client.invoke("f", b"{}", headers={"X-Amz-Log-Type": "None"}).headers
    )
    answer = client.invoke("f", b"{}", headers={"X-Amz-Log-Type": "Tail"})
    request_id = answer.headers["x-amzn-requestid"]
    log = base64.b64decode(answer.headers["x-amz-log-result"]).decode()
    start, said, end, report, nothing = log.split("\n")
    assert start == f"START RequestId: {request_id} Version: $LATEST"
    assert said == "hello from f"
    assert end == f"END RequestId: {request_id}"
    assert report.startswith(f"REPORT RequestId: {request_id}\tDuration: ")
    assert nothing == ""


def test_an_event_has_no_log_to_send(client: Client) -> None:
    headers = {"X-Amz-Log-Type": "Tail"}
    answer = client.invoke("f", b"{}", invocation_type="Event", headers=headers)
    assert answer.status == 202
    assert "x-amz-log-result" not in answer.headers


# --- streams --------------------------------------------------------------------------------


def stream(client: Client, name: str, **headers: str) -> tuple[Answer, bytes, dict[str, str]]:
    """The answer, the payload of its chunk, and its completion, read as botocore reads them."""
    path = STREAM.replace("/f/", f"/{name}/")
    answer = client.request("POST", path, b"{}", headers=headers)
    buffer = EventStreamBuffer()
    buffer.add_data(answer.body)
    messages: list[Any] = list(buffer)
    chunk, complete = messages
    assert chunk.headers == {
        ":message-type": "event",
        ":event-type": "PayloadChunk",
        ":content-type": "application/octet-stream",
    }
    assert complete.headers == {
        ":message-type": "event",
        ":event-type": "InvokeComplete",
        ":content-type": "application/json",
    }
    return answer, chunk.payload, json.loads(complete.payload)


def test_a_streamed_result_is_one_chunk_and_a_completion(client: Client) -> None:
    answer, chunk, complete = stream(client, "f:live")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/vnd.amazon.eventstream"
    assert answer.headers["x-amz-executed-version"] == "7"
    assert (chunk, complete) == (b"7", {})


def test_a_streamed_result_may_be_any_bytes(client: Client) -> None:
    assert stream(client, "raw")[1:] == (b"\x00\xff", {})


def test_a_function_error_stands_in_the_completion(client: Client) -> None:
    answer, chunk, complete = stream(client, "fails")
    assert answer.status == 200
    assert complete["ErrorCode"] == "Unhandled"
    assert complete["ErrorDetails"].encode() == chunk
    assert json.loads(chunk)["errorType"] == "KeyError"


def test_the_log_stands_in_the_completion(client: Client) -> None:
    answer, _, complete = stream(client, "f", **{"X-Amz-Log-Type": "Tail"})
    assert b"\nhello from f\n" in base64.b64decode(complete["LogResult"])
    assert "x-amz-log-result" not in answer.headers


def test_a_stream_can_be_dry_run(client: Client) -> None:
    headers = {"X-Amz-Invocation-Type": "DryRun"}
    assert client.request("POST", STREAM, b"{}", headers=headers).status == 204


# --- paths and methods that mean nothing ----------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "post"])
@pytest.mark.parametrize("path", [INVOKE_ASYNC, f"{INVOKE_ASYNC}/", INVOKE, STREAM])
@pytest.mark.filterwarnings("ignore:Unknown REQUEST_METHOD")
def test_another_method_is_no_operation(client: Client, method: str, path: str) -> None:
    answer = client.request(method, path, b"{}")
    assert_refused(answer, 403, "AccessDeniedException", UNKNOWN_OPERATION)
    assert "allow" not in answer.headers


def test_head_gets_the_headers_of_that_answer(client: Client) -> None:
    answer = client.request("HEAD", INVOKE)
    assert (answer.status, answer.body) == (403, b"")
    assert answer.headers["content-length"] == str(len(UNKNOWN_OPERATION))


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/2014-11-13/functions", id="the prefix"),
        pytest.param("/2014-11-13/functions/", id="the prefix and a slash"),
        pytest.param("/2014-11-13/functions/f", id="a function"),
        pytest.param("/2014-11-13/functions/f/", id="a function and a slash"),
        pytest.param("/2014-11-13/functions/invoke-async", id="no name"),
        pytest.param("/2014-11-13/functions//invoke-async", id="an empty name"),
        pytest.param("/2014-11-13/functions/f/invocations", id="another version's operation"),
        pytest.param("/2015-03-31/functions/f/invoke-async", id="an older version's operation"),
        pytest.param("/2014-11-13/functions/f/invoke-async//", id="two final slashes"),
        pytest.param("/2014-11-13/functions/f/Invoke-Async", id="capitals"),
        pytest.param("/2014-11-13/functions/f/invoke-async/more", id="more behind it"),
        pytest.param("/2014-11-13/functions/f/invoke-async%20", id="a space behind it"),
        pytest.param("/2015-03-31/functions/f/configuration", id="an operation that is not served"),
        pytest.param("/2021-11-15/functions/f/invocations", id="a stream's version, not its path"),
        pytest.param("/2015-03-31//functions/f/invocations", id="an empty segment"),
        pytest.param("//2015-03-31/functions/f/invocations", id="an empty segment in front"),
        pytest.param("/", id="the root"),
        pytest.param("", id="nothing"),
        pytest.param("/anything/else", id="anything else"),
    ],
)
def test_another_path_is_no_operation(client: Client, path: str) -> None:
    answer = client.request("POST", path, b"{}")
    assert_refused(answer, 403, "AccessDeniedException", UNKNOWN_OPERATION)
