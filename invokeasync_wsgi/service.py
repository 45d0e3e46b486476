"""The one path: `Service.handle` from a request to its answer, `Service.finish` behind it.

Every door (the WSGI middleware, the Flask extension, `Service.submit` from Python) comes through
here, and every attempt that an executor runs ends here. The service holds no state of its own
beyond what it was made with, so threads and forked processes share it.

The order of the checks is Lambda's: who calls, the operation, the parameters, another qualifier,
whether the caller may, whether the function exists, the size, JSON, capacity. (A signature covers
the body, so the size is looked at with it.) Before the executor has taken the event nothing is
remembered, and after that nothing can turn the 202 into an error.
"""

from __future__ import annotations

import logging
import math
import threading
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from . import admission, context, lineage, names, operations, payload, retry, targets, wire
from .auth.choices import make_authenticator
from .auth.failures import Failures
from .auth.policies import INVOKE_FUNCTION, Policies
from .catalog import Catalog
from .clock import Clock, SystemClock
from .config import AsyncSettings, Settings, make_settings
from .control import Control
from .destinations import Destinations
from .errors import (
    AccessDeniedException,
    AuthenticationError,
    AWSError,
    ConfigurationError,
    RecursiveInvocationException,
    ResourceNotFoundException,
    ServiceException,
    StoreError,
)
from .executors import AfterAnswer, AttemptToRun, Executor
from .executors.urls import make_executor
from .functions import Function, Functions
from .invocation import UNHANDLED, Invocation, Outcome, new_request_id
from .policy import Principal
from .runner import Attempt, Runner, Surroundings, run_with_deadline
from .store.overrides import MemoryOverrides, OverridesStore

logger = logging.getLogger(__name__)

#: Of an error's message in the process's own log. The whole stands in the attempt's log.
_MAX_LOGGED_CHARS = 1000

#: Seconds that a delivery may take, above the time-outs of the clients that make it.
_DELIVERY_TIMEOUT_S = 180.0

#: Six hours, and nothing delivered at the end: of deliveries themselves, and of events whose
#: own settings cannot be read just now.
_PATIENT = AsyncSettings()

_DELIVERED = Outcome(b"null", None, names.LATEST, 0.0, "application/json", str)


class Service:
    """Answers invoke requests, and decides what follows each attempt.

    Args:
        functions: the functions that can be invoked; looked up at each request, so functions
            registered later are found.
        settings: see `config.Settings`. The executor it names is made and started here.
        clock: measures everything; the system's by default.
        surroundings: entered around each handler, in the thread that calls it.

    Raises:
        ConfigurationError: the functions, the authenticator, a policy or the executor are not
            usable.
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
        if settings.auth == "none" and settings.policies is not None:
            raise ConfigurationError(
                "policies: with auth='none' nobody is verified and no policy is asked; leave them "
                "out, or say how callers are authenticated"
            )
        self.functions = functions
        self.settings = settings
        self.clock: Clock = SystemClock() if clock is None else clock
        self._authenticator = make_authenticator(settings.auth)
        self._policies = Policies(settings)
        #: The callers that were refused in this process.
        self.auth_failures = Failures(settings.auth_failures_per_minute)
        self.executor: Executor = make_executor(settings.executor)
        self._destinations = Destinations(settings, self.clock)
        self._async_settings = settings.async_settings()
        self._destinations.check(self._async_settings)
        for function in functions:
            self._destinations.check(function.async_settings(None, self._async_settings))
        #: The functions as they are now: with what clients have set of them.
        self.catalog = Catalog(
            functions,
            _overrides_of(self.executor),
            region=settings.region,
            account_id=settings.account_id,
            defaults=self._async_settings,
            clock=self.clock,
            on_change=getattr(self.executor, "wake", lambda: None),
        )
        self._control = Control(
            self.catalog, settings, self._policies, self._destinations, self.clock
        )
        self._runner = Runner(settings, self.clock, surroundings)
        self._gate = admission.Gate()
        self._reserved_gates: dict[str, admission.Gate] = {}
        if self._authenticator is not None:
            self._authenticator.start(settings, self.clock)
        self.executor.start(self, self.clock)

    # --- the way in ---------------------------------------------------------------------------

    def handle(self, request: wire.Request) -> wire.Response:
        """The answer to a request below our prefixes. Never raises an `Exception`."""
        request_id = new_request_id(request.received_at)
        is_stranger = self._authenticator is not None
        try:
            caller = self._authenticate(request)
            is_stranger = False
            request_id = wire.request_id(request, request_id)
            if request.operation is None:
                raise AccessDeniedException(wire.UNKNOWN_OPERATION)
            if request.operation in operations.CONTROL:
                return self._control.answer(request, request_id, caller)
            if request.operation == operations.INVOKE_ASYNC:
                return self._invoke_async(request, request_id, caller)
            return self._invoke(request, request_id, caller)
        except AuthenticationError as exc:
            error = self.auth_failures.note(exc, request, request_id)
            return wire.refusal(request_id, error, to_stranger=True)
        except AWSError as exc:
            return wire.refusal(request_id, exc, to_stranger=is_stranger)
        except StoreError as exc:  # says what is wrong in a line, and says it for every request
            logger.error("request %s failed: %s", request_id, exc)
            return wire.refusal(request_id, ServiceException("An internal error occurred."))
        except Exception:
            logger.exception("request %s failed", request_id)
            return wire.refusal(request_id, ServiceException("An internal error occurred."))

    def _authenticate(self, request: wire.Request) -> Principal | None:
        """Who sends the request; ``None`` where nobody is asked."""
        if self._authenticator is None:
            return None
        caller = self._authenticator.authenticate(request)
        if not isinstance(caller, Principal):
            given = type(caller).__name__
            raise TypeError(f"{self._authenticator!r} gave a {given}; it must give a Principal")
        return caller

    def _invoke_async(
        self, request: wire.Request, request_id: str, caller: Principal | None
    ) -> wire.Response:
        if self.functions.get(request.function_name) is None:  # registered names are good ones
            wire.check_names(request.function_name)
        function, qualifier = self._function_for(caller, request, None)
        event = _checked(request.read_body())
        after = self._accept(
            Invocation(
                request_id=request_id,
                function_name=function.name,
                qualifier=qualifier,
                payload=event,
                accepted_at=self.clock.time(),
                trace_id=request.header("HTTP_X_AMZN_TRACE_ID"),
            )
        )
        return wire.accepted(request_id, after)

    def _invoke(
        self, request: wire.Request, request_id: str, caller: Principal | None
    ) -> wire.Response:
        streaming = request.operation == operations.INVOKE_WITH_RESPONSE_STREAM
        parameters = wire.invoke_parameters(request, streaming=streaming)
        function, qualifier = self._function_for(caller, request, parameters.qualifier)
        if parameters.invocation_type == wire.DRY_RUN:
            return wire.would_run(request_id)
        invocation = Invocation(
            request_id=request_id,
            function_name=function.name,
            qualifier=qualifier,
            payload=_checked(request.read_body()),
            accepted_at=self.clock.time(),
            client_context=parameters.client_context,
            trace_id=request.header("HTTP_X_AMZN_TRACE_ID"),
            tenant_id=parameters.tenant_id,
        )
        if parameters.invocation_type == wire.EVENT:
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
            raise wire.event_too_large(size, limit)
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
            raise wire.request_too_large(size, limit)
        return self._run_now(invocation, function)

    def _invocation(
        self, function_name: str, event: object, qualifier: str | None
    ) -> tuple[Invocation, Function]:
        """The invocation of a caller within this process, checked as one over HTTP is."""
        wire.check_names(function_name, qualifier)
        reference = self.catalog.refer(function_name, qualifier)
        function = self.catalog.resolve(reference)
        if event is None:
            event = payload.EMPTY_EVENT
        encoded = event if isinstance(event, bytes) else payload.encode_event(event)
        calling = context.current.get()  # a handler: what it invokes belongs to its chain
        invocation = Invocation(
            request_id=new_request_id(self.clock.time()),
            function_name=function.name,
            qualifier=reference.qualifier,
            payload=_checked(encoded),
            accepted_at=self.clock.time(),
            trace_id=None if calling is None else calling.trace_id,
        )
        return invocation, function

    def _function_for(
        self, caller: Principal | None, request: wire.Request, qualifier: str | None
    ) -> tuple[Function, str | None]:
        """The function that a request means and its qualifier, if the caller may invoke it."""
        reference = self.catalog.refer(request.function_name, qualifier)
        if caller is not None:  # before it shows whether there is such a function
            function = self.catalog.get(reference.name)
            arn = self.catalog.arn_of(reference)
            self._policies.require(caller, INVOKE_FUNCTION, arn, function, request)
        return self.catalog.resolve(reference), reference.qualifier

    def _accept(self, invocation: Invocation) -> AfterAnswer | None:
        """Hand the event to the executor: when this returns, it is accepted."""
        try:
            return self.executor.submit(invocation)
        except Exception as exc:
            raise admission.refusal(exc, invocation.function_name) from exc

    def _run_now(self, invocation: Invocation, function: Function) -> Outcome:
        """Run a synchronous invocation in a thread of its own, until its end or its deadline."""
        if self._is_recursive(invocation, function):
            raise RecursiveInvocationException(
                "Recursive invocation detected: the function has run "
                f"{retry.MAX_CHAIN} times in this chain of invocations."
            )
        attempt = self._runner.attempt(invocation, function)
        with ExitStack() as entered:
            self._gate.enter(self.settings.sync_concurrency)
            entered.callback(self._gate.leave)
            if function.reserved_concurrency is not None:
                gate = self._gate_of(function)
                gate.enter(function.reserved_concurrency)
                entered.callback(gate.leave)
            leave = entered.pop_all().close
        outcome = run_with_deadline(attempt, self.clock, on_return=leave)
        _log_failure(invocation, outcome)
        return outcome

    def _gate_of(self, function: Function) -> admission.Gate:
        """The gate of a function with reserved concurrency, whose number of places may change."""
        gate = self._reserved_gates.get(function.name)
        if gate is None:
            gate = admission.Gate(admission.RESERVED_IN_USE)
            gate = self._reserved_gates.setdefault(function.name, gate)
        return gate

    # --- the way behind the answer: what executors see (`executors.Work`) ----------------------

    def begin(self, invocation: Invocation) -> AttemptToRun:
        """Begin an attempt of an accepted event, or tell why there is none to make."""
        try:
            return self._begin(invocation)
        except Exception as exc:
            # Not the function's fault: its code may be on its way here, or something is broken.
            is_known = isinstance(exc, (AWSError, StoreError))
            logger.error(
                "request %s could not be run: %s",
                invocation.request_id,
                exc,
                exc_info=None if is_known else exc,
                extra=_fields(invocation),
            )
            settings = self._settings_of(invocation, None)
            return NoAttempt(_system_error(exc), self.put_off(invocation, settings))

    def concurrency(self, function_name: str) -> float:
        """See `executors.Work.concurrency`."""
        try:
            function = self.catalog.known(function_name)
        except StoreError:  # its attempts show why it cannot be run
            return math.inf
        if function is None:
            return 0 if names.is_plain_name(function_name) else math.inf
        return function.reserved_concurrency or math.inf

    def refresh(self) -> bool:
        """See `executors.Work.refresh`."""
        return self.catalog.refresh(has_changed=True)

    def function_count(self) -> int:
        """See `executors.Work.function_count`."""
        return len(self.functions) + self.catalog.has_deliveries()

    def _begin(self, invocation: Invocation) -> AttemptToRun:
        if invocation.delivery is not None:
            return DeliveryAttempt(self, invocation)
        function = self.catalog.get(invocation.function_name)
        if function is None or not function.has(invocation.qualifier):
            raise ResourceNotFoundException(f"Function not found: {self._arn(invocation)}")
        settings = self.catalog.settings_of(function, invocation.qualifier)
        condition = retry.refuse(
            invocation,
            now=self.clock.time(),
            settings=settings,
            reserved_concurrency=function.reserved_concurrency,
            chain=self._chain(invocation, function),
        )
        if condition is not None:
            return NoAttempt(None, self._end(invocation, retry.GiveUp(condition), settings, None))
        if invocation.interruptions >= settings.max_interruptions:
            outcome = _function_error(payload.killed_payload(invocation.request_id))
            _log_failure(invocation, outcome)
            decision = retry.GiveUp("RetriesExhausted")
            return NoAttempt(outcome, self._end(invocation, decision, settings, outcome))
        return AsyncAttempt(self, self._runner.attempt(invocation, function), function)

    def finish(
        self, invocation: Invocation, function: Function, outcome: Outcome
    ) -> retry.Decision:
        """Decide what follows an attempt, tell of failures, and make what destinations get."""
        settings = self._settings_of(invocation, function)
        decision = retry.decide(invocation, outcome, now=self.clock.time(), settings=settings)
        _log_failure(invocation, outcome)
        return self._end(invocation, decision, settings, outcome)

    def deliver(self, delivery: Invocation) -> tuple[Outcome, retry.Decision]:
        """Deliver a record or a dead letter, and decide what follows."""
        try:
            self._destinations.deliver(delivery)
        except Exception as exc:  # noqa: BLE001 - targets are others' code; it is tried again
            logger.warning(
                "a delivery for request %s failed: %s: %s",
                delivery.request_id,
                type(exc).__name__,
                _on_one_line(str(exc)),
                extra=_fields(delivery),
            )
            return _system_error(exc), self.put_off(delivery, _PATIENT)
        return _DELIVERED, retry.SUCCEEDED

    def put_off(self, invocation: Invocation, settings: AsyncSettings) -> retry.Decision:
        """What follows when no attempt could be made."""
        decision = retry.back_off(invocation, now=self.clock.time(), settings=settings)
        return self._end(invocation, decision, settings, None)

    def _end(
        self,
        invocation: Invocation,
        decision: retry.Decision,
        settings: AsyncSettings,
        outcome: Outcome | None,
    ) -> retry.Decision:
        """A decision with its deliveries, if it is the end of an event."""
        if isinstance(decision, retry.RetryAt):
            return decision
        if isinstance(decision, retry.GiveUp):
            logger.error(
                "request %s to function %s is given up in attempt %d: %s",
                invocation.request_id,
                targets.shown(invocation.function_name),
                invocation.attempt,
                decision.condition,
                extra=_fields(invocation),
            )
        if not settings.delivers:
            return decision
        deliveries = self._destinations.after(
            invocation,
            function_arn=self._arn(invocation),
            settings=settings,
            condition=getattr(decision, "condition", "Success"),
            outcome=outcome,
        )
        return replace(decision, deliveries=deliveries)

    def _settings_of(self, invocation: Invocation, known: Function | None) -> AsyncSettings:
        """How an event is retried now, or was when its function was looked up.

        Reads nothing: the thread that ends attempts at their deadlines asks, too.
        """
        try:
            function = self.catalog.known(invocation.function_name) or known
        except StoreError:
            if known is None:
                return _PATIENT
            function = known
        if function is None:
            return self._async_settings
        return self.catalog.settings_of(function, invocation.qualifier)

    def _arn(self, invocation: Invocation) -> str:
        return self.catalog.arn(invocation.function_name, invocation.qualifier or names.LATEST)

    def _chain(self, invocation: Invocation, function: Function) -> int:
        """Which run of its function in one chain of invocations this is, from 1."""
        if invocation.trace_id is None:
            return 1
        return lineage.runs(invocation.trace_id, self.catalog.arn(function.name)) + 1

    def _is_recursive(self, invocation: Invocation, function: Function) -> bool:
        settings = self.catalog.settings_of(function, invocation.qualifier)
        return (
            settings.recursive_loop == "Terminate"
            and self._chain(invocation, function) > retry.MAX_CHAIN
        )


class AsyncAttempt:
    """An attempt of an accepted event: `executors.AttemptToRun`, with the decision behind it."""

    __slots__ = ("_attempt", "_function", "_service", "deadline", "outcome")

    def __init__(self, service: Service, attempt: Attempt, function: Function) -> None:
        self._service = service
        self._attempt = attempt
        self._function = function
        self.deadline = attempt.deadline
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


class NoAttempt:
    """What stands for an attempt where there is none to make: the decision is known."""

    __slots__ = ("_decision", "deadline", "outcome")

    def __init__(self, outcome: Outcome | None, decision: retry.Decision) -> None:
        self._decision = decision
        self.deadline = math.inf
        self.outcome = outcome

    def run(self) -> retry.Decision | None:
        """See `executors.AttemptToRun.run`."""
        return self._decision

    def expire(self) -> retry.Decision | None:
        """See `executors.AttemptToRun.expire`."""
        return None


class DeliveryAttempt:
    """An attempt to deliver a record or a dead letter."""

    __slots__ = ("_delivery", "_ended", "_service", "deadline", "outcome")

    def __init__(self, service: Service, delivery: Invocation) -> None:
        self._service = service
        self._delivery = delivery
        self._ended = threading.Lock()
        self.deadline = service.clock.monotonic() + _DELIVERY_TIMEOUT_S
        self.outcome: Outcome | None = None

    def run(self) -> retry.Decision | None:
        """See `executors.AttemptToRun.run`."""
        outcome, decision = self._service.deliver(self._delivery)
        if not self._ended.acquire(blocking=False):
            return None
        self.outcome = outcome
        return decision

    def expire(self) -> retry.Decision | None:
        """See `executors.AttemptToRun.expire`."""
        if not self._ended.acquire(blocking=False):
            return None
        self.outcome = _system_error(TimeoutError(f"no end after {_DELIVERY_TIMEOUT_S:g} s"))
        return self._service.put_off(self._delivery, _PATIENT)


def run_attempt(
    functions: Functions,
    invocation: Invocation,
    *,
    clock: Clock | None = None,
    surroundings: Surroundings | None = None,
    **settings: Any,
) -> tuple[Outcome | None, retry.Decision]:
    """Run one attempt of an event that a `CallbackExecutor` sent elsewhere, in this thread.

    Args:
        functions: the registry that the invocation's function is in.
        invocation: as it came, or `Invocation.from_json` of what came.
        clock: what measures time; the system's by default.
        surroundings: entered around the handler, such as a Flask application's ``app_context``.
        settings: fields of `config.Settings`. Those that concern callers and executors are
            ignored: nobody can call in here, and nothing is queued.

    Returns:
        The outcome (``None`` when there was no attempt to make), and what Lambda would do next:
        `retry.Succeeded`, `retry.RetryAt` (run its ``invocation`` then) or `retry.GiveUp`. Whatever
        stands in ``deliveries`` is to be run like any other event.

    Raises:
        ResourceNotFoundException: the function, version or alias is not in ``functions``.
    """
    settings.update(auth="nobody", policies=None, executor="inline:")
    service = Service(functions, make_settings(**settings), clock=clock, surroundings=surroundings)
    attempt = service._begin(invocation)
    decision = attempt.run()
    if decision is None:
        raise RuntimeError("nothing else can have ended this attempt")
    return attempt.outcome, decision


def _overrides_of(executor: Executor) -> OverridesStore:
    """Where what clients set is kept: where the executor keeps events, if it keeps them."""
    store: OverridesStore | None = getattr(executor, "overrides", None)
    return MemoryOverrides() if store is None else store


def _checked(body: bytes) -> bytes:
    """The event of a body: its bytes, once they are known to be JSON; ``{}`` for none."""
    if not body:
        return payload.EMPTY_EVENT
    payload.check(body)
    return body


def _function_error(error: bytes) -> Outcome:
    """What stands for the outcome of an attempt that was never made."""
    return Outcome(error, UNHANDLED, names.LATEST, 0.0, "application/json", str)


def _system_error(exc: Exception) -> Outcome:
    return _function_error(payload.exception_payload(str(exc), type(exc).__name__, "", []))


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
        "function_name": targets.shown(invocation.function_name),
        "attempt": invocation.attempt,
    }


def _on_one_line(text: str) -> str:
    """A text that a stranger may have had a hand in, so that it cannot look like another line."""
    shown = text[:_MAX_LOGGED_CHARS]
    shown = "".join(char if char.isprintable() else repr(char)[1:-1] for char in shown)
    return shown if len(text) <= _MAX_LOGGED_CHARS else f"{shown}… ({len(text)} characters)"
