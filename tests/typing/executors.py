"""The contracts of executors and clocks can be met without inheriting from anything."""

from __future__ import annotations

from collections.abc import Callable

from typing_extensions import assert_type

from invokeasync_wsgi import (
    CallbackExecutor,
    Clock,
    Executor,
    Functions,
    InlineExecutor,
    Invocation,
    InvokeAsyncMiddleware,
    Outcome,
    ScaledClock,
    SystemClock,
    ThreadsExecutor,
    run_attempt,
)
from invokeasync_wsgi.clock import Alarm
from invokeasync_wsgi.executors import AfterAnswer, Begin
from invokeasync_wsgi.retry import Decision, GiveUp, RetryAt, Succeeded
from invokeasync_wsgi.store import Counts, Store
from invokeasync_wsgi.store.memory import MemoryStore
from invokeasync_wsgi.testing import FakeClock, SteppedExecutor


class Immediately:
    """The smallest executor, as the documentation shows it."""

    promise = "nothing to survive: it has run before the answer"

    def start(self, begin: Begin, clock: Clock) -> None:
        self._begin = begin

    def submit(self, invocation: Invocation) -> None:
        self._begin(invocation).run()

    def drain(self, timeout_s: float) -> None: ...

    def close(self) -> None: ...


class AfterTheAnswer(Immediately):
    """One that returns what is to be called when the answer has been sent."""

    def submit(self, invocation: Invocation) -> Callable[[], None]:  # type: ignore[override]
        return lambda: None


class WithoutPromise:
    def start(self, begin: Begin, clock: Clock) -> None: ...
    def submit(self, invocation: Invocation) -> None: ...
    def drain(self, timeout_s: float) -> None: ...
    def close(self) -> None: ...


class WithoutDrain:
    promise = ""

    def start(self, begin: Begin, clock: Clock) -> None: ...
    def submit(self, invocation: Invocation) -> None: ...
    def close(self) -> None: ...


class TakesText:
    promise = ""

    def start(self, begin: Begin, clock: Clock) -> None: ...
    def submit(self, invocation: str) -> None: ...
    def drain(self, timeout_s: float) -> None: ...
    def close(self) -> None: ...


def executors() -> None:
    conforming: list[Executor] = [
        Immediately(),
        AfterTheAnswer(),
        InlineExecutor(when="after"),
        ThreadsExecutor(workers=2, max_waiting=10, max_lost=0),
        CallbackExecutor(print),
        SteppedExecutor(max_waiting=1),
    ]
    for executor in conforming:
        InvokeAsyncMiddleware(None, Functions(), auth="none", executor=executor)
    _: Executor = WithoutPromise()  # type: ignore[assignment]
    _ = WithoutDrain()  # type: ignore[assignment]
    _ = TakesText()  # type: ignore[assignment]
    InlineExecutor(when="later")  # type: ignore[arg-type]
    CallbackExecutor("print")  # type: ignore[arg-type]


def what_executors_are_given(begin: Begin, invocation: Invocation, executor: Executor) -> None:
    attempt = begin(invocation)
    assert_type(attempt.deadline, float)
    assert_type(attempt.run(), Decision | None)
    assert_type(attempt.expire(), Decision | None)
    assert_type(executor.submit(invocation), AfterAnswer | None)
    attempt.deadline = 0.0  # type: ignore[misc]


def what_a_callbacks_backend_does(functions: Functions, text: str) -> None:
    invocation = Invocation.from_json(text)
    assert_type(invocation.to_json(), str)
    outcome, decision = run_attempt(functions, invocation)
    assert_type(outcome, Outcome)
    if isinstance(decision, RetryAt):
        assert_type(decision.due, float)
    elif isinstance(decision, GiveUp):
        assert_type(decision, GiveUp)
    else:
        assert_type(decision, Succeeded)
    invocation.attempt = 2  # type: ignore[misc]
    Invocation(request_id="x", function_name="f", payload="text", accepted_at=0)  # type: ignore[arg-type]


class StoppedClock:
    def time(self) -> float:
        return 0.0

    def monotonic(self) -> float:
        return 0.0

    def alarm(self) -> Alarm:
        return FakeClock().alarm()


class ClockWithoutAlarm:
    def time(self) -> float:
        return 0.0

    def monotonic(self) -> float:
        return 0.0


def clocks() -> None:
    conforming: list[Clock] = [SystemClock(), ScaledClock(60), FakeClock(), StoppedClock()]
    for clock in conforming:
        assert_type(clock.time(), float)
        assert_type(clock.monotonic(), float)
        assert_type(clock.alarm().wait(1.5), bool)
        InvokeAsyncMiddleware(None, Functions(), auth="none", clock=clock)
    _: Clock = ClockWithoutAlarm()  # type: ignore[assignment]
    InvokeAsyncMiddleware(None, Functions(), auth="none", clock=ClockWithoutAlarm())  # type: ignore[arg-type]


def stores() -> None:
    store: Store = MemoryStore(max_waiting=1)
    assert_type(store.counts(), Counts)
    assert_type(store.claim(now=0.0), Invocation | None)
