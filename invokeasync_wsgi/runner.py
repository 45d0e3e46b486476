"""One attempt: the handler called with its context, its output kept, its deadline watched.

An `Attempt` ends once, by whichever comes first: `Attempt.run` in the thread that called the
handler, or `Attempt.expire` in another when the deadline has passed. Python cannot stop a thread,
so a handler past its deadline goes on in the background; whatever it comes to is dropped.

User code is called here and nowhere else, and whatever it raises ends here: exceptions become
function errors as AWS's Python runtime reports them, ``SystemExit`` and the like become
``Runtime.ExitError``. Only a ``SystemExit`` or ``KeyboardInterrupt`` that a signal handler of the
process raised while the handler happened to run goes through: that one is meant for the server.
A coroutine past its deadline is cancelled; it ends at its next ``await``.
"""

from __future__ import annotations

import contextvars
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, suppress
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

from . import logs, payload
from .clock import Clock
from .config import Settings
from .context import Context, current
from .functions import Function, Handler, HandlerError, Version
from .invocation import UNHANDLED, Invocation, Outcome
from .process import PerProcess, start_thread

#: Something to enter around a handler, such as a Flask application context.
Surroundings = Callable[[], AbstractContextManager[object]]

_T = TypeVar("_T")

_JSON = "application/json"
_RAW = "application/unknown"
_OUR_FRAMES = (__package__ + ".", "asyncio.", "contextlib", "gevent.")


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
        "_cancel",
        "_ended",
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
        self.deadline = self._started + version.timeout_s
        self._log = logs.AttemptLog(runner.settings.max_log_chars)
        #: Taken by the one thread that may end the attempt.
        self._ended = threading.Lock()
        #: Cancels the handler's coroutine, while one runs.
        self._cancel: Callable[[], object] | None = None

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
                end = self._run_handler()
            finally:
                logs.reset_current(token)
        else:
            end = self._run_handler()
        if not self._ended.acquire(blocking=False):
            return None
        duration_s = self._runner.clock.monotonic() - self._started
        if duration_s >= self._version.timeout_s:
            return self._timed_out()
        return self._outcome(end, duration_s)

    def expire(self) -> Outcome | None:
        """End the attempt as timed out, from another thread.

        Returns:
            The outcome, or ``None`` when the handler has returned meanwhile.
        """
        if not self._ended.acquire(blocking=False):
            return None
        cancel = self._cancel  # once: the coroutine may end, and its loop close, at any moment
        if cancel is not None:
            with suppress(RuntimeError):
                cancel()
        return self._timed_out()

    def _run_handler(self) -> _End:
        """Call the handler; whatever it or its surroundings raise is its end."""
        request_id = self.invocation.request_id
        try:
            end = self._call_handler()
        except HandlerError as exc:
            # Before a handler exists Lambda has no request to name: an empty request id.
            end = _failure("", exc.error_type, exc.message)
        except payload.UnmarshalError as exc:
            end = _failure(request_id, "Runtime.UnmarshalError", str(exc))
        except payload.MarshalError as exc:
            end = _failure(request_id, "Runtime.MarshalError", str(exc))
        except Exception as exc:  # noqa: BLE001 - whatever it is, it is the function's error
            stack = _stack_trace(exc.__traceback__)
            end = _failure(request_id, type(exc).__name__, _text_of(exc), stack)
        except BaseException as exc:
            if _comes_from_signal(exc):
                raise
            code = exc.code if isinstance(exc, SystemExit) else None
            end = _End(payload.exit_payload(request_id, code), "Runtime.ExitError")
        limit = self._runner.settings.max_response_bytes
        if len(end.payload) > limit:
            return _End(payload.too_large_payload(limit), "Function.ResponseSizeTooLarge")
        return end

    def _call_handler(self) -> _End:
        handler = self._version.load()
        event = payload.decode_event(self.invocation.payload)
        if self._runner.surroundings is None:
            result = self._result_of(handler, event)
        else:
            with self._runner.surroundings():
                result = self._result_of(handler, event)
        encoded = payload.encode_result(result)
        return _End(encoded, content_type=_RAW if isinstance(result, bytes) else _JSON)

    def _result_of(self, handler: Handler, event: Any) -> Any:
        context = Context(
            self.invocation,
            self._function,
            self._version,
            settings=self._runner.settings,
            deadline=self.deadline,
            clock=self._runner.clock,
        )
        token = current.set(context)
        try:
            result = handler(event, context)
            return self._run_coroutine(result) if isinstance(result, Coroutine) else result
        finally:
            current.reset(token)

    def _run_coroutine(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """The result of an ``async def`` handler, on an event loop of its own."""
        import asyncio  # only here: it costs more to import than everything else together

        async def until_cancelled() -> Any:
            task, loop = asyncio.current_task(), asyncio.get_running_loop()
            assert task is not None  # noqa: S101 - asyncio.run makes one
            self._cancel = lambda: loop.call_soon_threadsafe(task.cancel)
            try:
                if self._ended.locked():  # just now, before it could be cancelled
                    coroutine.close()
                    return None
                return await coroutine
            except asyncio.CancelledError:
                if not self._ended.locked():  # a cancellation of the handler's own
                    raise
                return None
            finally:
                self._cancel = None

        return _on_native_thread(lambda: asyncio.run(until_cancelled()))

    def _timed_out(self) -> Outcome:
        timeout_s = self._version.timeout_s
        request_id = self.invocation.request_id
        moment = logs.timestamp(self._runner.clock.time())
        end = _End(
            payload.timeout_payload(request_id, timeout_s),
            "Sandbox.Timedout",
            f"{moment} {request_id} Task timed out after {timeout_s:.2f} seconds\n",
        )
        return self._outcome(end, timeout_s)

    def _outcome(self, end: _End, duration_s: float) -> Outcome:
        self._log.end(end.log)
        return Outcome(
            payload=end.payload,
            function_error=UNHANDLED if end.error_type else None,
            executed_version=self._version.number,
            duration_s=duration_s,
            content_type=end.content_type,
            log=lambda: self._log_text(end.error_type, duration_s),
        )

    def _log_text(self, error_type: str, duration_s: float) -> str:
        """The attempt's log as Lambda would show it, START to REPORT."""
        status = f"Status: error\tError Type: {error_type}" if error_type else ""
        if error_type == "Sandbox.Timedout":
            status = "Status: timeout"
        output = self._log.text()
        if output and not output.endswith("\n"):
            output += "\n"
        ending = logs.end_lines(
            self.invocation.request_id,
            duration_s=duration_s,
            memory_limit_in_mb=self._version.memory_limit_in_mb,
            status=status,
        )
        return logs.start_line(self.invocation.request_id, self._version.number) + output + ending


class _End(NamedTuple):
    """What a handler came to."""

    payload: bytes
    #: Empty for a result.
    error_type: str = ""
    #: What the log says of it.
    log: str = ""
    content_type: str = _JSON


def _failure(
    request_id: str, error_type: str, message: str, stack: list[str] | None = None
) -> _End:
    """A function error, as the Python runtime reports and logs it."""
    lines = [f"[ERROR] {error_type}: {message}\n"]
    if stack:
        lines += ["Traceback (most recent call last):\n", *stack]
    error = payload.exception_payload(message, error_type, request_id, stack or [])
    return _End(error, error_type, "".join(lines))


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
            done.set()
            on_return()

    try:
        start_thread("invoke", run)
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


def _on_native_thread(call: Callable[[], _T]) -> _T:
    """Call something here, or on a thread of its own where this one is a greenlet.

    Greenlets of one thread share the "running loop" that asyncio keeps for each thread. The threads
    are not those of gevent's hub, which its name look-ups need.
    """
    monkey = sys.modules.get("gevent.monkey")
    if monkey is None or not monkey.is_module_patched("threading"):
        return call()
    context = contextvars.copy_context()
    result: _T = _gevent_threads.get().apply(context.run, (call,))
    return result


def _gevent_pool() -> Any:
    import gevent.threadpool

    # Started one by one, when needed; attempts are bounded by those who begin them.
    return gevent.threadpool.ThreadPool(maxsize=1000)


_gevent_threads: PerProcess[Any] = PerProcess(_gevent_pool)


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
    while tb is not None and str(tb.tb_frame.f_globals.get("__name__")).startswith(_OUR_FRAMES):
        tb = tb.tb_next
    frames = traceback.extract_tb(tb)
    # As plain tuples, frames are written without the ^^^^ marks of newer Pythons, as on Lambda.
    return traceback.format_list([(f.filename, f.lineno or 0, f.name, f.line) for f in frames])


def _text_of(exc: Exception) -> str:
    try:
        return str(exc)
    except BaseException:  # noqa: BLE001 - an exception's own __str__ is user code too
        return f"<{type(exc).__name__} whose text cannot be read>"
