"""Lambda's calls as HTTP: what a request says, and what an answer says.

Which request means which operation is in `operations`; what the control calls say besides, in
`control`.

Pure: strings and bytes in, values out. Reading the body is the door's work.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from . import eventstream, names
from .config import Settings
from .errors import (
    AWSError,
    InvalidParameterValueException,
    InvalidRequestContentException,
    RequestEntityTooLargeException,
    ValidationException,
)
from .invocation import Outcome
from .operations import CONTROL, INVOKE, INVOKE_ASYNC

#: What a signed request for no operation is told: Lambda's API has no 404 or 405 for paths.
UNKNOWN_OPERATION = "Unable to determine service/operation name to be authorized"

#: Bytes of base64 in ``X-Amz-Client-Context``, from the model's text.
MAX_CLIENT_CONTEXT_LENGTH = 3583

#: Bytes of the body of a call that invokes nothing: far more than any of them needs.
MAX_CONTROL_BYTES = 64 * 1024

#: Bytes of the log in ``X-Amz-Log-Result``, before base64: its last 4 KB.
LOG_TAIL_BYTES = 4096

EVENT = "Event"
REQUEST_RESPONSE = "RequestResponse"
DRY_RUN = "DryRun"
#: In the order that AWS lists them when it refuses another.
INVOCATION_TYPES = (DRY_RUN, REQUEST_RESPONSE, EVENT)
STREAM_INVOCATION_TYPES = (DRY_RUN, REQUEST_RESPONSE)
LOG_TYPES = ("None", "Tail")

_REQUEST_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class Request(NamedTuple):
    """A request below our prefixes, as authenticators and the service see it."""

    #: The name of an operation (see `operations`); ``None`` for anything else.
    operation: str | None
    #: The function's name, decoded, as given; empty where the operation is about no function.
    function_name: str
    #: The request as its server gave it (PEP 3333), but for the body.
    environ: Mapping[str, Any]
    #: Reads the whole body, once; gives the same bytes when called again. Raises an `AWSError`.
    read_body: Callable[[], bytes]
    #: When it came, in seconds since the epoch by the service's clock.
    received_at: float
    #: What else the path names, decoded: an alias, or a statement's id.
    item: str = ""

    @property
    def query(self) -> str:
        """The query string as given."""
        return self.environ.get("QUERY_STRING") or ""

    def header(self, key: str) -> str | None:
        """The value of a header by its CGI name, such as ``HTTP_X_AMZ_LOG_TYPE``."""
        return self.environ.get(key)


class Response(NamedTuple):
    """An answer, complete but for what only servers may send (``Date``, ``Connection``)."""

    status: HTTPStatus
    headers: list[tuple[str, str]]
    body: bytes = b""
    #: Called when the answer has been sent.
    after: Callable[[], None] | None = None
    #: Whether a stranger gets it, on whose body no time should be spent.
    to_stranger: bool = False


class InvokeParameters(NamedTuple):
    """The parameters of Invoke and InvokeWithResponseStream, validated."""

    invocation_type: str
    wants_log: bool
    qualifier: str | None
    client_context: str | None
    tenant_id: str | None


def request_id(request: Request, new: str) -> str:
    """The id of a request: the caller's, when it sent a good one, else ``new``.

    Raises:
        InvalidRequestContentException: the caller's is no UUID (and the operation is one).
    """
    given = request.header("HTTP_X_AMZN_REQUESTID")
    if given is None:
        return new
    if _REQUEST_ID.fullmatch(given) is not None:
        return given.lower()
    if request.operation is None:  # which is the worse fault
        return new
    raise InvalidRequestContentException(
        "Invalid Request ID: The 'x-amzn-RequestId' header must be a valid UUID format string."
    )


def check_names(function_name: str, qualifier: str | None = None) -> None:
    """Refuse a function name or a qualifier that breaks the grammar.

    Raises:
        ValidationException: naming all that is wrong, the qualifier first, as AWS does.
    """
    refuse_any(_name_violations(function_name, qualifier))


def invoke_parameters(request: Request, *, streaming: bool) -> InvokeParameters:
    """The parameters of an Invoke request.

    Raises:
        ValidationException: naming every parameter that breaks a constraint.
        InvalidParameterValueException: there are two qualifiers.
        InvalidRequestContentException: the client context is not base64 of a JSON object.
    """
    header = request.header
    qualifier = query_parameter(request.query, "Qualifier")
    invocation_type = header("HTTP_X_AMZ_INVOCATION_TYPE") or REQUEST_RESPONSE
    log_type = header("HTTP_X_AMZ_LOG_TYPE") or "None"
    client_context = header("HTTP_X_AMZ_CLIENT_CONTEXT") or ""
    tenant_id = header("HTTP_X_AMZ_TENANT_ID")
    if tenant_id is not None:
        tenant_id = re.sub(" +", " ", tenant_id).strip(" ")  # as it is signed
    allowed_types = STREAM_INVOCATION_TYPES if streaming else INVOCATION_TYPES
    violations = [
        *_name_violations(request.function_name, qualifier),
        *names.enum_violation("invocationType", invocation_type, allowed_types),
        *names.enum_violation("logType", log_type, LOG_TYPES),
        *names.length_violation("clientContext", client_context, MAX_CLIENT_CONTEXT_LENGTH),
        *(names.tenant_id_violations(tenant_id) if tenant_id is not None else ()),
    ]
    refuse_any(violations)
    return InvokeParameters(
        invocation_type=invocation_type,
        wants_log=log_type == "Tail",
        qualifier=qualifier,
        client_context=_decode_client_context(client_context) if client_context else None,
        tenant_id=tenant_id,
    )


def event_too_large(size: int, limit: int) -> RequestEntityTooLargeException:
    """What the sender of too large an event is told."""
    return RequestEntityTooLargeException(
        f"{size} byte payload is too large for the Event invocation type (limit {limit} bytes)"
    )


def request_too_large(size: int, limit: int) -> RequestEntityTooLargeException:
    """What the sender of too large a payload for a synchronous invocation is told."""
    return RequestEntityTooLargeException(
        f"Request must be smaller than {limit} bytes for the InvokeFunction operation"
    )


def control_request_too_large(
    operation: str, size: int, limit: int
) -> RequestEntityTooLargeException:
    """What the sender of too large a body of another call is told."""
    return RequestEntityTooLargeException(
        f"Request must be smaller than {limit} bytes for the {operation} operation"
    )


def body_limit(
    operation: str | None, environ: Mapping[str, Any], settings: Settings
) -> tuple[int, Callable[[int, int], AWSError]]:
    """How many bytes the body of a request may have, and what makes the refusal of a larger one."""
    if operation == INVOKE_ASYNC:
        return settings.max_invoke_async_bytes, event_too_large
    if operation == INVOKE and environ.get("HTTP_X_AMZ_INVOCATION_TYPE") == EVENT:
        return settings.max_event_bytes, event_too_large
    if operation in CONTROL:
        limit = MAX_CONTROL_BYTES if CONTROL[operation] else settings.max_request_bytes
        return limit, partial(control_request_too_large, operation)
    return settings.max_request_bytes, request_too_large


# --- answers --------------------------------------------------------------------------------


def accepted(request_id: str, after: Callable[[], None] | None) -> Response:
    """202 with an empty body: the event is accepted.

    The type is that of the API reference's sample. AWS leaves it out for Invoke with type Event,
    which WSGI does not allow; clients look at neither.
    """
    headers = [
        ("x-amzn-requestid", request_id),
        ("Content-Type", "application/json"),
        ("Content-Length", "0"),
    ]
    return Response(HTTPStatus.ACCEPTED, headers, b"", after)


def answered(
    request_id: str, status: HTTPStatus, members: Mapping[str, Any] | None = None
) -> Response:
    """The answer of a control call: compact JSON, or no body at all."""
    if members is None:
        return Response(status, [("x-amzn-requestid", request_id)])
    body = json.dumps(members, separators=(",", ":")).encode()
    headers = [
        ("x-amzn-requestid", request_id),
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
    ]
    return Response(status, headers, body)


def would_run(request_id: str) -> Response:
    """204: a DryRun found nothing in the way."""
    return Response(HTTPStatus.NO_CONTENT, [("x-amzn-requestid", request_id)])


def result(request_id: str, outcome: Outcome, *, wants_log: bool) -> Response:
    """200 with what the function returned, or with its error."""
    headers = [
        ("x-amzn-requestid", request_id),
        ("Content-Type", outcome.content_type),
        ("Content-Length", str(len(outcome.payload))),
        ("x-amzn-remapped-content-length", "0"),
        ("X-Amz-Executed-Version", outcome.executed_version),
    ]
    if outcome.function_error is not None:
        headers.append(("X-Amz-Function-Error", outcome.function_error))
    if wants_log:
        headers.append(("X-Amz-Log-Result", _log_result(outcome)))
    return Response(HTTPStatus.OK, headers, outcome.payload)


def streamed_result(request_id: str, outcome: Outcome, *, wants_log: bool) -> Response:
    """200 with the result as an event stream of one chunk and a completion.

    A function error goes into the completion; the chunk before it carries what the caller of
    Invoke would have got as the body.
    """
    complete: dict[str, str] = {}
    if outcome.function_error is not None:
        complete["ErrorCode"] = outcome.function_error
        complete["ErrorDetails"] = outcome.payload.decode(errors="replace")
    if wants_log:
        complete["LogResult"] = _log_result(outcome)
    ending = json.dumps(complete, separators=(",", ":")).encode()
    body = eventstream.payload_chunk(outcome.payload) + eventstream.invoke_complete(ending)
    headers = [
        ("x-amzn-requestid", request_id),
        ("Content-Type", eventstream.CONTENT_TYPE),
        ("Content-Length", str(len(body))),
        ("X-Amz-Executed-Version", outcome.executed_version),
    ]
    return Response(HTTPStatus.OK, headers, body)


def refusal(request_id: str, error: AWSError, *, to_stranger: bool = False) -> Response:
    """An error as AWS's clients read it: the code in a header, compact JSON in the body."""
    body = error.body()
    headers = [
        ("x-amzn-requestid", request_id),
        ("x-amzn-ErrorType", error.code),
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        *error.headers,
    ]
    return Response(error.status, headers, body, to_stranger=to_stranger)


def trace_id(now: float) -> str:
    """A trace id for an answer, not sampled: X-Ray's form, ours made up as AWS makes its own."""
    return f"root=1-{int(now) & 0xFFFFFFFF:08x}-{os.urandom(12).hex()};sampled=0"


def _name_violations(function_name: str, qualifier: str | None) -> list[str]:
    of_qualifier = [] if qualifier is None else names.qualifier_violations(qualifier)
    return of_qualifier + names.function_name_violations(function_name)


def refuse_any(violations: list[str]) -> None:
    """Refuse a request with what is wrong with its parameters, if anything is.

    Raises:
        ValidationException: naming all of it.
    """
    if violations:
        raise ValidationException(names.violations_message(violations))


def query_parameter(query: str, name: str) -> str | None:
    """The value of a query parameter, or ``None``. Names are case-sensitive.

    Raises:
        InvalidParameterValueException: it is there twice. A signature does not tell in which order.
    """
    if not query:
        return None
    values = [text for key, text in parse_qsl(query, keep_blank_values=True) if key == name]
    if len(values) > 1:
        raise InvalidParameterValueException(f"The parameter {name} is there {len(values)} times.")
    return values[0] if values else None


def _decode_client_context(encoded: str) -> str:
    try:
        decoded = base64.b64decode(encoded, validate=True).decode()
        is_object = isinstance(json.loads(decoded), dict)
    except (binascii.Error, ValueError, RecursionError):
        is_object = False
    if not is_object:
        raise InvalidRequestContentException(
            "Client context must be a valid Base64-encoded JSON object."
        )
    return decoded


def _log_result(outcome: Outcome) -> str:
    """The end of the attempt's log, as ``X-Amz-Log-Result`` carries it."""
    return base64.b64encode(outcome.log().encode(errors="replace")[-LOG_TAIL_BYTES:]).decode()
