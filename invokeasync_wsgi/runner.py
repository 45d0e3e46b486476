"""One attempt: the handler called with its context, its output kept, its deadline watched.

An `Attempt` ends once, by whichever comes first: `Attempt.run` in the thread that called the
handler, or `Attempt.expire` in another when the deadline has passed. Python cannot stop a thread,
so a handler past its deadline goes on in the background; whatever it comes to is dropped.

User code is called here and nowhere else, and whatever it raises ends here: exceptions become
function errors as AWS's Python runtime reports them, ``SystemExit`` and the like become
``Runtime.ExitError``. Only an exception that a signal handler of the process raised while the
handler happened to run goes through: that one is meant for the server.
"""

from __future__ import annotations

import signal
import sys
import threading
import traceback
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from types import CoroutineType, TracebackType
from typing import Any

from . import logs, payload
from .clock import Clock
from .config import Settings
from .context import Context
from .functions import Function, Handler, HandlerError, Version
from .invocation import UNHANDLED, Invocation, Outcome

#: Something to enter around a handler, such as a Flask application context.
Surroundings = Callable[[], AbstractContextManager[object]]

_JSON = "application/json"
_OUR_FRAMES = (__package__ + ".", "asyncio.", "contextlib", "contextvars")


class Runner:
    """Makes attempts. Holds settings only, so threads and forked processes may share it."""

    def __init__(
        self, settings: Settings, clock: Clock, surroundings: Surroundings | None = None
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.surroundings = surroundings

    def attempt(self, invocation: Invocation, function: Function) -> Attempt:
        """An attempt that is about to start: its time runs from here.

        Raises:
            KeyError: the function has no such version or alias.
        """
        return Attempt(self, invocation, function, function.version(invocation.qualifier))


class Attempt:
    """One run of a handler for one invocation."""

    __slots__ = (
        "_ended",
        "_error_type",
        "_function",
        "_log",
        "_runner",
        "_started",
        "_version",
        "deadline",
        "invocation",
    )

    def __init__(
        self, runner: Runner, invocation: Invocation, function: Function, version: Version
    ) -> None:
        self.invocation = invocation
        self._runner = runner
        self._function = function
        self._version = version
        self._started = runner.clock.monotonic()
        #: When it times out, in seconds of the clock's `Clock.monotonic`.
        self.deadline = self._started + function.timeout_s
        self._log = logs.AttemptLog(runner.settings.max_log_chars)
        self._error_type = ""
        #: Taken by the one thread that may end the attempt.
        self._ended = threading.Lock()

    def run(self) -> Outcome | None:
        """Call the handler in this thread, to its end.

        Returns:
            The outcome, or ``None`` when `expire` ended the attempt meanwhile. A handler that
            returns after its deadline has timed out even if nobody called `expire`.
        """
        if self._runner.settings.capture_output:
            logs.capture_process()
            token = logs.set_current(self._log)
            try:
                result, content_type = self._call_handler()
            finally:
                logs.reset_current(token)
        else:
            result, content_type = self._call_handler()
        if not self._ended.acquire(blocking=False):
            return None
        duration_s = self._runner.clock.monotonic() - self._started
        if duration_s >= self._function.timeout_s:
            return self._timed_out()
        return self._outcome(result, duration_s, content_type)

    def expire(self) -> Outcome | None:
        """End the attempt as timed out, from another thread.

        Returns:
            The outcome, or ``None`` when the handler has returned meanwhile.
        """
        if not self._ended.acquire(blocking=False):
            return None
        return self._timed_out()

    def _call_handler(self) -> tuple[bytes, str]:
        """The result or error as JSON, and its content type. Notes the type of an error."""
        try:
            handler = self._version.load()
            event = self._decode_event()
        except HandlerError as exc:
            # Before a handler exists Lambda has no request to name: an empty request id.
            early = exc.error_type != "Runtime.UnmarshalError"
            return self._failed(exc.message, exc.error_type, early=early), _JSON
        try:
            if self._runner.surroundings is None:
                result = self._result_of(handler, event)
            else:
                with self._runner.surroundings():
                    result = self._result_of(handler, event)
        except Exception as exc:  # noqa: BLE001 - whatever it is, it is the function's error
            stack = _stack_trace(exc.__traceback__)
            return self._failed(_text_of(exc), type(exc).__name__, stack), _JSON
        except BaseException as exc:
            if _comes_from_signal(exc):
                raise
            self._error_type = "Runtime.ExitError"
            code = exc.code if isinstance(exc, SystemExit) else None
            return payload.exit_payload(self.invocation.request_id, code), _JSON
        try:
            encoded = payload.encode_result(result)
        except payload.MarshalError as exc:
            return self._failed(str(exc), "Runtime.MarshalError"), _JSON
        limit = self._runner.settings.max_response_bytes
        if len(encoded) > limit:
            self._error_type = "Function.ResponseSizeTooLarge"
            return payload.too_large_payload(limit), _JSON
        return encoded, "application/unknown" if isinstance(result, bytes) else _JSON

    def _decode_event(self) -> Any:
        try:
            return payload.decode_event(self.invocation.payload)
        except (ValueError, RecursionError) as exc:
            raise HandlerError(
                "Runtime.UnmarshalError", f"Unable to unmarshal input: {exc}"
            ) from exc

    def _result_of(self, handler: Handler, event: Any) -> Any:
        context = Context(
            self.invocation,
            self._function,
            self._version,
            settings=self._runner.settings,
            deadline=self.deadline,
            clock=self._runner.clock,
        )
        result = handler(event, context)
        return _run_coroutine(result) if type(result) is CoroutineType else result

    def _failed(
        self, message: str, error_type: str, stack: list[str] | None = None, *, early: bool = False
    ) -> bytes:
        self._error_type = error_type
        lines = [f"[ERROR] {error_type}: {message}\n"]
        if stack:
            lines += ["Traceback (most recent call last):\n", *stack]
        self._log.write("".join(lines))
        request_id = "" if early else self.invocation.request_id
        return payload.exception_payload(message, error_type, request_id, stack or [])

    def _timed_out(self) -> Outcome:
        self._error_type = "Sandbox.Timedout"
        timeout_s = self._function.timeout_s
        error = payload.timeout_payload(self.invocation.request_id, timeout_s)
        return self._outcome(error, timeout_s, _JSON)

    def _outcome(self, result: bytes, duration_s: float, content_type: str) -> Outcome:
        return Outcome(
            payload=result,
            function_error=UNHANDLED if self._error_type else None,
            executed_version=self._version.number,
            duration_s=duration_s,
            content_type=content_type,
            log=lambda: self._log_text(duration_s),
        )

    def _log_text(self, duration_s: float) -> str:
        """The attempt's log as Lambda would show it, START to REPORT."""
        request_id, error_type = self.invocation.request_id, self._error_type
        status = f"Status: error\tError Type: {error_type}" if error_type else ""
        output = self._log.text()
        if output and not output.endswith("\n"):
            output += "\n"
        if error_type == "Sandbox.Timedout":
            status = "Status: timeout"
            moment = logs.timestamp(self._runner.clock.time())
            output += f"{moment} {request_id} Task timed out after {duration_s:.2f} seconds\n"
        return (
            logs.start_line(request_id, self._version.number)
            + output
            + logs.end_lines(
                request_id,
                duration_s=duration_s,
                memory_limit_in_mb=self._function.memory_limit_in_mb,
                status=status,
            )
        )


def run_with_deadline(attempt: Attempt, clock: Clock, on_return: Callable[[], None]) -> Outcome:
    """Run an attempt in a thread of its own and wait for its end or its deadline.

    Args:
        attempt: one that has not started.
        clock: the attempt's.
        on_return: called when the thread is done, which may be long after its deadline.

    Raises:
        RuntimeError: no thread can be started (the interpreter is going down, or the system is
            out of threads). ``on_return`` has been called.
    """
    done = clock.alarm()
    outcomes: list[Outcome | None] = []

    def run() -> None:
        try:
            outcomes.append(attempt.run())
        finally:
            on_return()
            done.set()

    try:
        threading.Thread(target=run, name="invokeasync-invoke", daemon=True).start()
    except BaseException:
        on_return()
        raise
    if not done.wait(attempt.deadline):
        outcome = attempt.expire()
        if outcome is not None:
            return outcome
        done.wait()  # it returned at the last moment and is about to say so
    if not outcomes or outcomes[0] is None:
        raise RuntimeError("the attempt's thread ended without an outcome")
    return outcomes[0]


def _run_coroutine(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of an ``async def`` handler, on an event loop of its own."""
    import asyncio  # only here: it costs more to import than everything else together

    monkey = sys.modules.get("gevent.monkey")
    if monkey is None or not monkey.is_module_patched("threading"):
        return asyncio.run(coroutine)
    # Greenlets of one thread share the "running loop" that asyncio keeps for each thread, so the
    # loop goes to a native thread of gevent's pool, with our context variables.
    import contextvars

    import gevent

    context = contextvars.copy_context()
    return gevent.get_hub().threadpool.apply(context.run, (asyncio.run, coroutine))


def _comes_from_signal(exc: BaseException) -> bool:
    """Whether a signal handler raised this, and not the code that it interrupted.

    Servers end requests so: gunicorn raises SystemExit from its handlers of ABRT, INT and QUIT,
    and Python itself KeyboardInterrupt. Only the main thread runs signal handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        return False
    if isinstance(exc, KeyboardInterrupt):
        return True
    handlers = {
        getattr(handler, "__code__", None)
        for number in signal.valid_signals()
        if callable(handler := signal.getsignal(number))
    } - {None}
    frames = traceback.walk_tb(exc.__traceback__)
    return any(frame.f_code in handlers for frame, _ in frames)


def _stack_trace(tb: TracebackType | None) -> list[str]:
    """The frames of the handler and below, each as the runtime writes it; ours are left out."""
    while tb is not None and tb.tb_frame.f_globals.get("__name__", "").startswith(_OUR_FRAMES):
        tb = tb.tb_next
    frames = traceback.extract_tb(tb)
    # As plain tuples, frames are written without the ^^^^ marks of newer Pythons, as on Lambda.
    return traceback.format_list([(f.filename, f.lineno or 0, f.name, f.line) for f in frames])


def _text_of(exc: Exception) -> str:
    try:
        return str(exc)
    except Exception:  # noqa: BLE001 - an exception's own __str__ is user code too
        return f"<{type(exc).__name__} whose text cannot be read>"
