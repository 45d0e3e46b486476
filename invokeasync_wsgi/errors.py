"""Every error this package raises: one tree, one base class.

Three branches, told apart by who can act on them:

* `ConfigurationError`: the programmer or operator. Raised at start, never while serving.
* `AWSError`: the caller. Each class is named as AWS names the code, and carries what a client
  sees of it: the HTTP status and the JSON body. The names, statuses and spellings are those of
  botocore's service model for Lambda (API version 2015-03-31) and of recorded answers; the member
  that holds the text is ``Message`` for some codes and ``message`` for others, and SDKs other than
  boto3 read exactly the modelled spelling.
* `ExecutorError`: what an executor says when it does not take an event. The service turns it into
  an `AWSError`.

Nothing here does I/O; everything is safe to share between threads and processes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from http import HTTPStatus
from typing import ClassVar, Literal


class InvokeAsyncError(Exception):
    """The base of all errors of this package."""


class ConfigurationError(InvokeAsyncError, ValueError):
    """A setting, function or executor is not usable as given.

    The text names the setting, the value and what is allowed.
    """


class ExecutorError(InvokeAsyncError):
    """The executor did not take the event; nothing was accepted."""


class QueueFull(ExecutorError):
    """The executor's bounded queue is full. Callers get 429 and may come back."""

    #: Seconds after which trying again makes sense; sent as ``Retry-After``.
    retry_after_s: int = 1


class ExecutorClosed(ExecutorError):
    """The executor is draining or closed. Callers get 503."""


class StoreError(InvokeAsyncError):
    """The file of a queue cannot be used. The text says which, and why; callers get 500."""


class AWSError(InvokeAsyncError):
    """An answer other than success, as AWS's clients understand it.

    Args:
        message: the text for the client. ``None`` becomes JSON ``null``, as AWS answers for a
            function of another account.
        headers: more response headers, such as ``Retry-After``.
        reason: the ``Reason`` member of `TooManyRequestsException`.
        is_typed: whether there is a ``Type`` member; AWS leaves it out of a few answers whose code
            has one otherwise.
    """

    #: The HTTP status of the answer.
    status: ClassVar[HTTPStatus]
    #: Who is at fault, in the ``Type`` member; ``None`` where AWS sends no such member.
    type: ClassVar[Literal["User", "Service"] | None] = None
    #: The name of the member that holds the text.
    member: ClassVar[Literal["Message", "message"]] = "message"

    def __init__(
        self,
        message: str | None,
        *,
        headers: Iterable[tuple[str, str]] = (),
        reason: str | None = None,
        is_typed: bool = True,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.headers = tuple(headers)
        self.reason = reason
        self.is_typed = is_typed

    @property
    def code(self) -> str:
        """The bare code, sent as ``x-amzn-ErrorType``: SDKs choose their exception by it."""
        return type(self).__name__

    def body(self) -> bytes:
        """The compact JSON body, its members in AWS's order."""
        members: dict[str, str | None] = {}
        if self.reason is not None:
            members["Reason"] = self.reason
        if self.type is not None and self.is_typed:
            members["Type"] = self.type
        members[self.member] = self.message
        return json.dumps(members, separators=(",", ":")).encode()


class ValidationException(AWSError):
    """A parameter breaks a constraint of the API model (400, no ``Type``)."""

    status = HTTPStatus.BAD_REQUEST


class InvalidParameterValueException(AWSError):
    """A parameter is well-formed and still not usable (400)."""

    status = HTTPStatus.BAD_REQUEST
    type = "User"


class InvalidRequestContentException(AWSError):
    """The body is not JSON, is not framed as HTTP asks, or a header is not usable (400)."""

    status = HTTPStatus.BAD_REQUEST
    type = "User"


class AuthenticationError(AWSError):
    """The base of the answers to a caller who could not be verified (403, no ``Type``).

    The client is told the class of the failure in AWS's words, the log is told the reason.

    Args:
        message: the text for the client.
        why: the reason, for the log: no secret, no signature. The text by default.
        key_id: whom the caller claims to be, such as an access key id; ``None`` when it does not
            say. Failures are counted by it.
    """

    status = HTTPStatus.FORBIDDEN

    def __init__(self, message: str, *, why: str | None = None, key_id: str | None = None) -> None:
        super().__init__(message)
        self.why = message if why is None else why
        self.key_id = key_id


class MissingAuthenticationTokenException(AuthenticationError):
    """The request does not say who sends it (403)."""


class IncompleteSignatureException(AuthenticationError):
    """The signature's parameters are not all there, or malformed (403)."""


class InvalidSignatureException(AuthenticationError):
    """The signature is not this request's, too old, from the future, or for elsewhere (403)."""


class UnrecognizedClientException(AuthenticationError):
    """The key or token is not known here, or disabled (403)."""


class ExpiredTokenException(AuthenticationError):
    """The key or token was good until it expired (403)."""


class AccessDeniedException(AWSError):
    """The caller may not do this, or "this" is no operation at all (403, no ``Type``)."""

    status = HTTPStatus.FORBIDDEN
    member = "Message"


class ResourceNotFoundException(AWSError):
    """No such function, version or alias (404)."""

    status = HTTPStatus.NOT_FOUND
    type = "User"
    member = "Message"


class ResourceConflictException(AWSError):
    """There is one of this name already (409)."""

    status = HTTPStatus.CONFLICT
    type = "User"


class PreconditionFailedException(AWSError):
    """It was changed since the caller looked: its ``RevisionId`` is another one (412)."""

    status = HTTPStatus.PRECONDITION_FAILED
    type = "User"


class PolicyLengthExceededException(AWSError):
    """The resource-based policy would be longer than Lambda's 20 KB (400)."""

    status = HTTPStatus.BAD_REQUEST
    type = "User"


class RecursiveInvocationException(AWSError):
    """The function has been run too often in one chain of invocations (400)."""

    status = HTTPStatus.BAD_REQUEST
    type = "User"
    member = "Message"


class LengthRequiredException(AWSError):
    """A chunked body on a server that does not mark its end (411).

    Not AWS's: its endpoint reads every chunked body.
    """

    status = HTTPStatus.LENGTH_REQUIRED


class RequestEntityTooLargeException(AWSError):
    """The payload is over the limit (413, no ``Type``).

    The model lists ``RequestTooLargeException``; every recorded answer says this instead.
    """

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    member = "Message"


class TooManyRequestsException(AWSError):
    """No capacity now; come back after ``Retry-After`` seconds (429)."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    type = "User"


class ServiceException(AWSError):
    """The event could not be accepted, or we failed (500). Nothing was accepted."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR
    type = "Service"
    member = "Message"


class InvalidRuntimeException(AWSError):
    """The function's runtime cannot run here (502)."""

    status = HTTPStatus.BAD_GATEWAY
    type = "Service"
    member = "Message"


class ServiceUnavailableException(AWSError):
    """This process is going away and accepts nothing more (503)."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
