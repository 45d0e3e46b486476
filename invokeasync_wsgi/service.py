"""The one path: `Service.handle` from a request to its answer, `Service.finish` behind it.

Every door (the WSGI middleware, the Flask extension, `Service.submit` from Python) comes through
here, and every attempt that an executor runs ends here. The service holds no state of its own
beyond what it was made with, so threads and forked processes share it.

The order of the checks is Lambda's: the operation, the parameters, another qualifier, whether the
function exists, the size, JSON, capacity. Before the executor has taken the event nothing is
remembered, and after that nothing can turn the 202 into an error.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from . import admission, payload, retry, wire
from .clock import Clock, SystemClock
from .config import Settings, make_settings
from .errors import (
    AccessDeniedException,
    AWSError,
    ConfigurationError,
    RequestEntityTooLargeException,
    ResourceNotFoundException,
    ServiceException,
)
from .executors import AfterAnswer, Executor
from .executors.urls import make_executor
from .functions import Function, Functions
from .invocation import Invocation, Outcome, new_request_id
from .names import function_arn
from .runner import Attempt, Runner, Surroundings, run_with_deadline

logger = logging.getLogger(__name__)

#: Of an error's message in the process's own log. The whole stands in the attempt's log.
_MAX_LOGGED_CHARS = 1000


class Service:
    """Answers invoke requests, and decides what follows each attempt.

    Args:
        functions: the functions that can be invoked; looked up at each request, so functions
            registered later are found.
        settings: see `config.Settings`. The executor it names is made and started here.
        clock: measures everything; the system's by default.
        surroundings: entered around each handler, in the thread that calls it.

    Raises:
        ConfigurationError: the functions or the executor are not usable.
    """

    def __init__(
        self,
        functions: Functions,
        settings: Settings,
        *,
        clock: Clock | None = None,
        surroundings: Surroundings | None = None,
    ) -> None:
        if not isinstance(functions, Functions):
            raise ConfigurationError(f"functions={functions!r}: it must be a Functions registry")
        self.functions = functions
        self.settings = settings
        self.clock: Clock = SystemClock() if clock is None else clock
        self.executor: Executor = make_executor(settings.executor)
        self._async_settings = settings.async_settings()
        self._runner = Runner(settings, self.clock, surroundings)
        self._gate = admission.Gate(settings.sync_concurrency)
        self.executor.start(self.begin, self.clock)

    # --- the way in ---------------------------------------------------------------------------

    def handle(self, request: wire.Request) -> wire.Response:
        """The answer to a request below our prefixes. Never raises an `Exception`."""
        request_id = new_request_id()
        try:
            request_id = wire.request_id(request, request_id)
            if request.operation is None:
                raise AccessDeniedException(wire.UNKNOWN_OPERATION)
            if request.operation == wire.INVOKE_ASYNC:
                return self._invoke_async(request, request_id)
            return self._invoke(request, request_id)
        except AWSError as exc:
            return wire.refusal(request_id, exc)
        except Exception:
            logger.exception("request %s failed", request_id)
            return wire.refusal(request_id, ServiceException("An internal error occurred."))

    def _invoke_async(self, request: wire.Request, request_id: str) -> wire.Response:
        if self.functions.get(request.function_name) is None:
            wire.check_names(request.function_name)
        function, qualifier = self._resolve(request.function_name, None)
        event = _read(request, self.settings.max_invoke_async_bytes, _event_too_large)
        after = self._accept(
            Invocation(
                request_id=request_id,
                function_name=function.name,
                qualifier=qualifier,
                payload=event,
                accepted_at=self.clock.time(),
            )
        )
        return wire.accepted(request_id, after)

    def _invoke(self, request: wire.Request, request_id: str) -> wire.Response:
        streaming = request.operation == wire.INVOKE_WITH_RESPONSE_STREAM
        parameters = wire.invoke_parameters(request, streaming=streaming)
        function, qualifier = self._resolve(request.function_name, parameters.qualifier)
        if parameters.invocation_type == wire.DRY_RUN:
            return wire.would_run(request_id)
        is_event = parameters.invocation_type == wire.EVENT
        if is_event:
            event = _read(request, self.settings.max_event_bytes, _event_too_large)
        else:
            event = _read(request, self.settings.max_request_bytes, _request_too_large)
        invocation = Invocation(
            request_id=request_id,
            function_name=function.name,
            qualifier=qualifier,
            payload=event,
            accepted_at=self.clock.time(),
            client_context=parameters.client_context,
            trace_id=request.header("HTTP_X_AMZN_TRACE_ID"),
            tenant_id=parameters.tenant_id,
        )
        if is_event:
            after = self._accept(invocation)
            response = wire.accepted(request_id, after)
        else:
            outcome = self._run_now(invocation, function)
            answer = wire.streamed_result if streaming else wire.result
            response = answer(request_id, outcome, wants_log=parameters.wants_log)
        response.headers.append(("x-amzn-trace-id", wire.trace_id(invocation.accepted_at)))
        return response

    def submit(
        self, function_name: str, event: object = None, *, qualifier: str | None = None
    ) -> str:
        """Invoke a function asynchronously from Python, as Invoke with type Event does over HTTP.

        Args:
            function_name: a name, partial ARN or ARN.
            event: anything that JSON can hold; ``None`` is sent as ``{}``. ``bytes`` are taken as
                JSON already, and kept as they are.
            qualifier: a version or alias.

        Returns:
            The request id.

        Raises:
            AWSError: what a client would have got: no such function, too large, not JSON, no
                capacity. Nothing was accepted.
            TypeError, ValueError: the event has no JSON form.
        """
        invocation, _ = self._invocation(function_name, event, qualifier)
        size, limit = len(invocation.payload), self.settings.max_event_bytes
        if size > limit:
            raise _event_too_large(size, limit)
        after = self._accept(invocation)
        if after is not None:  # there is no answer to wait for
            after()
        return invocation.request_id

    def invoke(
        self, function_name: str, event: object = None, *, qualifier: str | None = None
    ) -> Outcome:
        """Invoke a function from Python and wait for it, as type RequestResponse does over HTTP.

        Arguments and errors are those of `submit`; what the handler raises is in the outcome.
        """
        invocation, function = self._invocation(function_name, event, qualifier)
        size, limit = len(invocation.payload), self.settings.max_request_bytes
        if size > limit:
            raise _request_too_large(size, limit)
        return self._run_now(invocation, function)

    def _invocation(
        self, function_name: str, event: object, qualifier: str | None
    ) -> tuple[Invocation, Function]:
        """The invocation of a caller within this process, checked as one over HTTP is."""
        wire.check_names(function_name, qualifier)
        function, qualifier = self._resolve(function_name, qualifier)
        if event is None:
            event = payload.EMPTY_EVENT
        encoded = event if isinstance(event, bytes) else payload.encode_event(event)
        invocation = Invocation(
            request_id=new_request_id(),
            function_name=function.name,
            qualifier=qualifier,
            payload=_checked(encoded),
            accepted_at=self.clock.time(),
        )
        return invocation, function

    def _resolve(self, function_name: str, qualifier: str | None) -> tuple[Function, str | None]:
        return self.functions.resolve(
            function_name,
            qualifier,
            region=self.settings.region,
            account_id=self.settings.account_id,
        )

    def _accept(self, invocation: Invocation) -> AfterAnswer | None:
        """Hand the event to the executor: when this returns, it is accepted."""
        try:
            return self.executor.submit(invocation)
        except Exception as exc:
            raise admission.refusal(exc, invocation.function_name) from exc

    def _run_now(self, invocation: Invocation, function: Function) -> Outcome:
        """Run a synchronous invocation in a thread of its own, until its end or its deadline."""
        attempt = self._runner.attempt(invocation, function)
        self._gate.enter()
        outcome = run_with_deadline(attempt, self.clock, on_return=self._gate.leave)
        _log_failure(invocation, outcome)
        return outcome

    # --- the way behind the answer ------------------------------------------------------------

    def begin(self, invocation: Invocation) -> AsyncAttempt:
        """Begin an attempt of an accepted event: what executors are started with.

        Raises:
            ResourceNotFoundException: its function, version or alias is not here (any more).
        """
        function = self.functions.get(invocation.function_name)
        if function is None or not function.has(invocation.qualifier):
            arn = function_arn(
                self.settings.region,
                self.settings.account_id,
                invocation.function_name,
                invocation.qualifier,
            )
            raise ResourceNotFoundException(f"Function not found: {arn}")
        return AsyncAttempt(self, self._runner.attempt(invocation, function), function)

    def finish(
        self, invocation: Invocation, function: Function, outcome: Outcome
    ) -> retry.Decision:
        """Decide what follows an attempt, and tell of failures."""
        decision = retry.decide(
            invocation,
            outcome,
            now=self.clock.time(),
            settings=function.async_settings(self._async_settings),
        )
        _log_failure(invocation, outcome)
        if isinstance(decision, retry.GiveUp):
            logger.error(
                "request %s to function %s is given up after %d attempts: %s",
                invocation.request_id,
                invocation.function_name,
                invocation.attempt,
                decision.condition,
                extra=_fields(invocation),
            )
        return decision


class AsyncAttempt:
    """An attempt of an accepted event: `executors.AttemptToRun`, with the decision behind it."""

    __slots__ = ("_attempt", "_function", "_service", "deadline", "outcome")

    def __init__(self, service: Service, attempt: Attempt, function: Function) -> None:
        self._service = service
        self._attempt = attempt
        self._function = function
        self.deadline = attempt.deadline
        #: What the attempt came to, once it has ended.
        self.outcome: Outcome | None = None

    def run(self) -> retry.Decision | None:
        """See `executors.AttemptToRun.run`."""
        return self._finish(self._attempt.run())

    def expire(self) -> retry.Decision | None:
        """See `executors.AttemptToRun.expire`."""
        return self._finish(self._attempt.expire())

    def _finish(self, outcome: Outcome | None) -> retry.Decision | None:
        if outcome is None:
            return None
        self.outcome = outcome
        return self._service.finish(self._attempt.invocation, self._function, outcome)


def run_attempt(
    functions: Functions,
    invocation: Invocation,
    *,
    clock: Clock | None = None,
    surroundings: Surroundings | None = None,
    **settings: Any,
) -> tuple[Outcome, retry.Decision]:
    """Run one attempt of an event that a `CallbackExecutor` sent elsewhere, in this thread.

    Args:
        functions: the registry that the invocation's function is in.
        invocation: as it came, or `Invocation.from_json` of what came.
        clock: what measures time; the system's by default.
        surroundings: entered around the handler, such as a Flask application's ``app_context``.
        settings: fields of `config.Settings`. Those that concern callers and executors are
            ignored: nobody can call in here, and nothing is queued.

    Returns:
        The outcome, and what Lambda would do next: `retry.Succeeded`, `retry.RetryAt` (run it
        again with ``attempt`` one higher) or `retry.GiveUp`.

    Raises:
        ResourceNotFoundException: the function, version or alias is not in ``functions``.
    """
    settings.update(auth="none", executor="inline:")
    service = Service(functions, make_settings(**settings), clock=clock, surroundings=surroundings)
    attempt = service.begin(invocation)
    decision = attempt.run()
    if decision is None or attempt.outcome is None:
        raise RuntimeError("nothing else can have ended this attempt")
    return attempt.outcome, decision


def _read(request: wire.Request, limit: int, too_large: Callable[[int, int], AWSError]) -> bytes:
    """The event in the body of a request, or the refusal that its size and limit make."""
    try:
        body = request.read_body(limit)
    except wire.BodyTooLarge as exc:
        raise too_large(exc.size, limit) from exc
    return _checked(body)


def _checked(body: bytes) -> bytes:
    """The event of a body: its bytes, once they are known to be JSON; ``{}`` for none."""
    if not body:
        return payload.EMPTY_EVENT
    payload.check(body)
    return body


def _event_too_large(size: int, limit: int) -> RequestEntityTooLargeException:
    return RequestEntityTooLargeException(
        f"{size} byte payload is too large for the Event invocation type (limit {limit} bytes)"
    )


def _request_too_large(size: int, limit: int) -> RequestEntityTooLargeException:
    return RequestEntityTooLargeException(
        f"Request must be smaller than {limit} bytes for the InvokeFunction operation"
    )


def _log_failure(invocation: Invocation, outcome: Outcome) -> None:
    if outcome.function_error is None:
        return
    error = outcome.error
    logger.error(
        "function %s failed in attempt %d of request %s: %s: %s%s",
        invocation.function_name,
        invocation.attempt,
        invocation.request_id,
        error.get("errorType"),
        _on_one_line(error.get("errorMessage", "")),
        "".join(f"\n{frame.rstrip()}" for frame in error.get("stackTrace", ())),
        extra=_fields(invocation),
    )


def _fields(invocation: Invocation) -> dict[str, object]:
    """What a log record says of its invocation, for formatters that look for it."""
    return {
        "request_id": invocation.request_id,
        "function_name": invocation.function_name,
        "attempt": invocation.attempt,
    }


def _on_one_line(text: str) -> str:
    """A text that a stranger may have had a hand in, so that it cannot look like another line."""
    shown = text[:_MAX_LOGGED_CHARS]
    shown = "".join(char if char.isprintable() else repr(char)[1:-1] for char in shown)
    return shown if len(text) <= _MAX_LOGGED_CHARS else f"{shown}… ({len(text)} characters)"
