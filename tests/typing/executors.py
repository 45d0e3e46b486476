"""The contracts of executors and clocks can be met without inheriting from anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable

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
from invokeasync_wsgi.executors import AfterAnswer, Work
from invokeasync_wsgi.retry import Condition, Decision, GiveUp, RetryAt, Succeeded
from invokeasync_wsgi.store import Claim, Counts, Store
from invokeasync_wsgi.store.memory import MemoryStore
from invokeasync_wsgi.testing import FakeClock, SteppedExecutor


class Immediately:
    """The smallest executor, as the documentation shows it."""

    promise = "nothing to survive: it has run before the answer"

    def start(self, work: Work, clock: Clock) -> None:
        self._work = work

    def submit(self, invocation: Invocation) -> None:
        decision = self._work.begin(invocation).run()
        for delivery in getattr(decision, "deliveries", ()):
            self.submit(delivery)

    def drain(self, timeout_s: float) -> None: ...

    def close(self) -> None: ...


class AfterTheAnswer(Immediately):
    """One that returns what is to be called when the answer has been sent."""

    def submit(self, invocation: Invocation) -> Callable[[], None]:  # type: ignore[override]
        return lambda: None


class WithoutPromise:
    def start(self, work: Work, clock: Clock) -> None: ...
    def submit(self, invocation: Invocation) -> None: ...
    def drain(self, timeout_s: float) -> None: ...
    def close(self) -> None: ...


class WithoutDrain:
    promise = ""

    def start(self, work: Work, clock: Clock) -> None: ...
    def submit(self, invocation: Invocation) -> None: ...
    def close(self) -> None: ...


class TakesText:
    promise = ""

    def start(self, work: Work, clock: Clock) -> None: ...
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


def what_executors_are_given(work: Work, invocation: Invocation, executor: Executor) -> None:
    attempt = work.begin(invocation)
    assert_type(attempt.deadline, float)
    assert_type(attempt.run(), Decision | None)
    assert_type(attempt.expire(), Decision | None)
    assert_type(attempt.outcome, Outcome | None)
    assert_type(work.concurrency("f"), float)
    assert_type(work.function_count(), int)
    assert_type(executor.submit(invocation), AfterAnswer | None)
    attempt.deadline = 0.0  # type: ignore[misc]
    attempt.outcome = None  # type: ignore[misc]


def what_a_callbacks_backend_does(functions: Functions, text: str) -> None:
    invocation = Invocation.from_json(text)
    assert_type(invocation.to_json(), str)
    outcome, decision = run_attempt(functions, invocation)
    assert_type(outcome, Outcome | None)
    if isinstance(decision, RetryAt):
        assert_type(decision.due, float)
        assert_type(decision.invocation, Invocation)
    elif isinstance(decision, GiveUp):
        assert_type(decision.condition, Condition)
        assert_type(decision.deliveries, tuple[Invocation, ...])
    else:
        assert_type(decision, Succeeded)
        assert_type(decision.deliveries, tuple[Invocation, ...])
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


class OwnClaim(Claim):
    """A store may remember more of a claim than others see."""

    row = 0


class OwnStore:
    def add(self, invocation: Invocation) -> None: ...
    def claim(self, *, now: float) -> OwnClaim | None:
        return None

    def requeue(self, claim: OwnClaim, invocation: Invocation, *, due: float) -> None: ...
    def finish(self, claim: OwnClaim, deliveries: Iterable[Invocation] = ()) -> None: ...

    def counts(self) -> Counts:
        return Counts(0, 0)


def stores() -> None:
    store: Store[Claim] = MemoryStore(max_waiting=1)
    assert_type(store.counts(), Counts)
    assert_type(store.claim(now=0.0), Claim | None)
    own: Store[OwnClaim] = OwnStore()
    assert_type(own.claim(now=0.0), OwnClaim | None)
    store = OwnStore()  # type: ignore[assignment]


def what_is_claimed(store: Store[Claim], claim: Claim, invocation: Invocation) -> None:
    assert_type(claim.invocation, Invocation)
    store.requeue(claim, invocation.next_attempt(), due=0.0)
    store.finish(claim, [invocation])
    store.finish(invocation)  # type: ignore[arg-type]
