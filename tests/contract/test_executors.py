"""What every executor promises, whatever it is made of.

Each case makes an executor and a way to let it work until nothing is left to do now. Those that
follow an event to its end by themselves are tried with what was recorded of Lambda, too.
"""

from __future__ import annotations

import hashlib
import math
import queue
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from invokeasync_wsgi import (
    CallbackExecutor,
    DurableExecutor,
    Executor,
    Functions,
    InlineExecutor,
    Invocation,
    InvokeAsyncMiddleware,
    ThreadsExecutor,
)
from invokeasync_wsgi.clock import Clock
from invokeasync_wsgi.executors import Work
from invokeasync_wsgi.retry import RetryAt
from invokeasync_wsgi.service import run_attempt
from invokeasync_wsgi.testing import Client, FakeClock, SteppedExecutor

from ..waiting import eventually


class Immediately:
    """The smallest executor that works: the one of the contract's own documentation."""

    promise = "nothing to survive: it has run before the answer"

    def start(self, work: Work, clock: Clock) -> None:
        self._work = work

    def submit(self, invocation: Invocation) -> None:
        decision = self._work.begin(invocation).run()
        for delivery in getattr(decision, "deliveries", ()):
            self.submit(delivery)

    def drain(self, timeout_s: float) -> None:
        pass

    def close(self) -> None:
        pass


class Elsewhere(CallbackExecutor):
    """A callback whose backend is a list, worked off when the executor is drained."""

    def __init__(self, functions: Functions) -> None:
        self.backend: list[str] = []
        self.functions = functions
        super().__init__(self._put)

    def _put(self, invocation: Invocation) -> None:
        self.backend.append(invocation.to_json())

    def start(self, work: Work, clock: Clock) -> None:
        self.clock = clock

    def drain(self, timeout_s: float) -> None:
        while self.backend:
            invocation = Invocation.from_json(self.backend.pop(0))
            _, decision = run_attempt(
                self.functions, invocation, clock=self.clock, maximum_retry_attempts=0
            )
            if isinstance(decision, RetryAt):
                self._put(decision.invocation)
            else:
                for delivery in decision.deliveries:
                    self._put(delivery)


def drain(executor: Any, clock: FakeClock) -> None:
    executor.drain(30)


def step_through_time(executor: SteppedExecutor, clock: FakeClock) -> None:
    for _ in range(10):
        executor.drain(0)
        clock.advance(60)


def let_threads_work_through_time(executor: ThreadsExecutor, clock: FakeClock) -> None:
    store = executor._queues.get()._store

    def nothing_is_left_to_do_now() -> bool:
        with store._lock:
            due_now = store._later and store._later[0][0] <= clock.time()
            return not (store._running or store._ready or due_now)

    for _ in range(10):
        eventually(nothing_is_left_to_do_now)
        clock.advance(60)


def let_the_dispatcher_work_through_time(executor: DurableExecutor, clock: FakeClock) -> None:
    def nothing_is_left_to_do_now() -> bool:
        clock.advance(0.01)  # it looks at its clock for what others have written
        # From one place to the next, and round again: an event may move on between two looks.
        return not (executor.stats().running or is_due() or executor.stats().running or is_due())

    def is_due() -> bool:
        due = [event.due or 0 for event in executor.events.find("waiting")]
        return min(due, default=math.inf) <= clock.time()

    for _ in range(10):
        eventually(nothing_is_left_to_do_now)
        clock.advance(60)


class Case(NamedTuple):
    """An executor, and how it is brought to the end of its work."""

    #: Makes it; its files, if it has any, go into the folder.
    make: Callable[[Functions, Path], Executor]
    #: Returns when nothing is left to do, whatever has to wait for its time included.
    work_off: Callable[[Any, FakeClock], None] = drain
    #: Whether it makes the attempts and deliveries that follow by itself.
    follows_decisions: bool = True
    #: Whether its drain finishes what is due, and leaves nothing of it to others.
    drain_finishes: bool = True


EXECUTORS: dict[str, Case] = {
    "inline, before the answer": Case(lambda functions, folder: InlineExecutor()),
    "inline, after the answer": Case(lambda functions, folder: InlineExecutor(when="after")),
    "threads": Case(
        lambda functions, folder: ThreadsExecutor(workers=3), let_threads_work_through_time
    ),
    "durable": Case(
        lambda functions, folder: DurableExecutor(
            folder / "queue.db", workers=3, synchronous="normal"
        ),
        let_the_dispatcher_work_through_time,
        drain_finishes=False,
    ),
    "callback": Case(lambda functions, folder: Elsewhere(functions)),
    "stepped": Case(lambda functions, folder: SteppedExecutor(), step_through_time),
    "a user's own": Case(lambda functions, folder: Immediately(), follows_decisions=False),
}


class Ran(NamedTuple):
    """An attempt of a handler."""

    request_id: str
    event: Any


class Site:
    """An application with functions that note their events, on an executor."""

    def __init__(self, case: Case, folder: Path) -> None:
        self.case = case
        self._ran: queue.SimpleQueue[Ran] = queue.SimpleQueue()
        #: (what it is, what was delivered)
        self._delivered: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self.clock = FakeClock()
        self.functions = Functions()
        self.functions.add("note", self.note)
        self.functions.add("exit_process", self._exit_process)
        self.executor = case.make(self.functions, folder)
        self.app = InvokeAsyncMiddleware(
            None,
            self.functions,
            auth="none",
            executor=self.executor,
            clock=self.clock,
            maximum_retry_attempts=0,
        )
        self.client = Client(self.app)

    def note(self, event: Any, context: Any) -> str:
        self.clock.advance(0.125)  # everything takes its time
        self._ran.put(Ran(context.aws_request_id, event))
        return "noted"

    def fail(self, event: Any, context: Any) -> None:
        self.note(event, context)
        raise ValueError("as it must")

    def _exit_process(self, event: Any, context: Any) -> None:
        self.note(event, context)
        raise SystemExit(1)

    def succeeded(self, record: Any) -> None:
        self._delivered.put(("success", record))

    def failed(self, record: Any) -> None:
        self._delivered.put(("failure", record))

    def died(self, letter: Any) -> None:
        self._delivered.put(("dead letter", letter))

    def work_off(self) -> None:
        self.case.work_off(self.executor, self.clock)

    def ran(self) -> list[Ran]:
        """The attempts since the last look."""
        return [self._ran.get_nowait() for _ in range(self._ran.qsize())]

    def delivered(self) -> list[tuple[str, Any]]:
        """The deliveries since the last look."""
        return [self._delivered.get_nowait() for _ in range(self._delivered.qsize())]


@pytest.fixture(params=EXECUTORS)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    made = Site(EXECUTORS[request.param], tmp_path)
    yield made
    made.app.close()


@pytest.mark.parametrize("by", ["time", "the drain"])
def test_each_accepted_event_has_run_once_when_the_work_is_done(site: Site, by: str) -> None:
    answers = [site.client.invoke_async("note", str(number).encode()) for number in range(20)]
    assert {answer.status for answer in answers} == {202}
    if by == "time":
        site.work_off()
    else:
        if not site.case.drain_finishes:
            pytest.skip("what it has not begun is for others")
        site.app.drain(30)
    expected = [(answer.headers["x-amzn-requestid"], i) for i, answer in enumerate(answers)]
    assert sorted(site.ran()) == sorted(expected)


def test_an_event_submitted_from_python_runs_like_one_over_http(site: Site) -> None:
    request_id = site.app.submit("note", {"a": 1})
    site.work_off()
    assert site.ran() == [(request_id, {"a": 1})]


def test_a_handler_that_exits_does_not_take_the_next_event_with_it(site: Site) -> None:
    site.client.invoke_async("exit_process", b"1")
    site.client.invoke_async("note", b"2")
    site.work_off()
    assert sorted(event for _, event in site.ran()) == [1, 2]


@pytest.mark.parametrize("body", [b"{", b"nan", b"\xff"])
def test_what_is_refused_never_runs(site: Site, body: bytes) -> None:
    assert site.client.invoke_async("note", body).status == 400
    site.work_off()
    assert site.ran() == []


def test_closing_twice_is_no_error(site: Site) -> None:
    site.app.close()
    site.app.close()


def test_it_says_in_a_few_words_what_an_event_survives(site: Site) -> None:
    assert 10 < len(site.executor.promise) < 80


def test_the_record_of_a_success_is_delivered_once(site: Site) -> None:
    site.functions.add("recorded", site.note, on_success=site.succeeded, on_failure=site.failed)
    request_id = site.app.submit("recorded", b'{"a":  1}')
    site.work_off()
    [(kind, record)] = site.delivered()
    assert kind == "success"
    assert record["requestContext"] == {
        "requestId": request_id,
        "functionArn": "arn:aws:lambda:us-east-1:123456789012:function:recorded:$LATEST",
        "condition": "Success",
        "approximateInvokeCount": 1,
    }
    assert (record["requestPayload"], record["responsePayload"]) == ({"a": 1}, "noted")


# --- as recorded of Lambda --------------------------------------------------------------------


@pytest.fixture(params=[name for name, case in EXECUTORS.items() if case.follows_decisions])
def full_site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """A site whose executor makes retries and deliveries by itself."""
    made = Site(EXECUTORS[request.param], tmp_path)
    yield made
    made.app.close()


@pytest.mark.parametrize(
    ("options", "attempts", "condition"),
    [
        pytest.param({"maximum_retry_attempts": 2}, 3, "RetriesExhausted", id="Lambda's defaults"),
        pytest.param({"maximum_retry_attempts": 1}, 2, "RetriesExhausted", id="one retry"),
        pytest.param({"maximum_retry_attempts": 0}, 1, "RetriesExhausted", id="no retry"),
        pytest.param(
            {"maximum_retry_attempts": 2, "maximum_event_age_s": 60},
            1,
            "EventAgeExceeded",
            id="60 s: not even the first wait fits, and is not waited for",
        ),
        pytest.param(
            {"maximum_retry_attempts": 2, "maximum_event_age_s": 90},
            2,
            "EventAgeExceeded",
            id="90 s: the second wait does not fit",
        ),
    ],
)
def test_a_function_that_always_fails(
    full_site: Site, options: dict[str, Any], attempts: int, condition: str
) -> None:
    full_site.functions.add("fail", full_site.fail, on_failure=full_site.failed, **options)
    request_id = full_site.client.invoke_async("fail", b'{"n": 1}').headers["x-amzn-requestid"]
    full_site.work_off()
    assert full_site.ran() == [(request_id, {"n": 1})] * attempts
    [(kind, record)] = full_site.delivered()
    assert kind == "failure"
    assert record["requestContext"]["requestId"] == request_id
    assert record["requestContext"]["condition"] == condition
    assert record["requestContext"]["approximateInvokeCount"] == attempts
    assert record["responseContext"] == {
        "statusCode": 200,
        "executedVersion": "$LATEST",
        "functionError": "Unhandled",
    }
    assert record["responsePayload"]["errorType"] == "ValueError"


def test_reserved_concurrency_of_0_makes_no_attempt_and_a_record_without_a_response(
    full_site: Site,
) -> None:
    full_site.functions.add(
        "stopped", full_site.note, reserved_concurrency=0, on_failure=full_site.failed
    )
    answer = full_site.client.invoke("stopped", b"", invocation_type="Event")
    assert (answer.status, answer.body) == (202, b"")
    full_site.work_off()
    assert full_site.ran() == []
    [(_, record)] = full_site.delivered()
    assert set(record) == {"version", "timestamp", "requestContext", "requestPayload"}
    assert record["requestContext"] == {
        "requestId": answer.headers["x-amzn-requestid"],
        "functionArn": "arn:aws:lambda:us-east-1:123456789012:function:stopped:$LATEST",
        "condition": "ZeroReservedConcurrency",
        "approximateInvokeCount": 0,
    }
    assert record["requestPayload"] == {}


def test_a_dead_letter_is_the_event_byte_for_byte_with_what_went_wrong_beside_it(
    full_site: Site,
) -> None:
    """The digest is the one that SQS told of the recorded event."""
    full_site.functions.add("fail", full_site.fail, dead_letter=full_site.died)
    request_id = full_site.app.submit("fail", b'{"raise_error": 1}')
    full_site.work_off()
    [(kind, letter)] = full_site.delivered()
    assert kind == "dead letter"
    assert letter["body"] == '{"raise_error": 1}'
    assert letter["md5OfBody"] == "ba08269cbd0ce515889bfba6593731e1"
    assert letter["messageAttributes"] == {
        "RequestID": request_id,
        "ErrorCode": "200",
        "ErrorMessage": "as it must",
    }


def test_a_dead_letter_without_an_attempt_has_the_status_of_what_stopped_it(
    full_site: Site,
) -> None:
    full_site.functions.add(
        "stopped", full_site.note, reserved_concurrency=0, dead_letter=full_site.died
    )
    request_id = full_site.app.submit("stopped", 1)
    full_site.work_off()
    [(_, letter)] = full_site.delivered()
    assert letter["body"] == "1"
    assert letter["md5OfBody"] == hashlib.md5(b"1", usedforsecurity=False).hexdigest()
    assert letter["messageAttributes"] == {"RequestID": request_id, "ErrorCode": "429"}


def test_a_failure_goes_to_the_destination_and_to_the_dead_letters(full_site: Site) -> None:
    full_site.functions.add(
        "fail", full_site.fail, on_failure=full_site.failed, dead_letter=full_site.died
    )
    full_site.app.submit("fail")
    full_site.work_off()
    assert sorted(kind for kind, _ in full_site.delivered()) == ["dead letter", "failure"]


def test_the_record_is_the_next_event_of_a_function(full_site: Site) -> None:
    full_site.functions.add("fail", full_site.fail, on_failure="note")
    request_id = full_site.app.submit("fail", [1])
    full_site.work_off()
    failed, noted = full_site.ran()
    assert failed == (request_id, [1])
    assert noted.request_id != request_id
    assert noted.event["requestContext"]["requestId"] == request_id
    assert noted.event["requestPayload"] == [1]


def test_a_delivery_that_fails_is_made_again(full_site: Site) -> None:
    tries: list[Any] = []

    def unsteady(record: Any) -> None:
        tries.append(record)
        if len(tries) < 3:
            raise ConnectionError("not yet")

    full_site.functions.add("recorded", full_site.note, on_success=unsteady)
    full_site.app.submit("recorded")
    full_site.work_off()
    assert tries == [tries[0]] * 3
    assert len(full_site.ran()) == 1
