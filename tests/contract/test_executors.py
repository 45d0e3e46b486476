"""What every executor promises, whatever it is made of.

Each case makes an executor and a way to let it work until nothing is left to do now.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from invokeasync_wsgi import (
    CallbackExecutor,
    Executor,
    Functions,
    InlineExecutor,
    Invocation,
    InvokeAsyncMiddleware,
    ThreadsExecutor,
)
from invokeasync_wsgi.clock import Clock
from invokeasync_wsgi.executors import Begin
from invokeasync_wsgi.service import run_attempt
from invokeasync_wsgi.testing import Client, FakeClock, SteppedExecutor


class Immediately:
    """The smallest executor that works: the one of the contract's own documentation."""

    promise = "nothing to survive: it has run before the answer"

    def start(self, begin: Begin, clock: Clock) -> None:
        self._begin = begin

    def submit(self, invocation: Invocation) -> None:
        self._begin(invocation).run()

    def drain(self, timeout_s: float) -> None:
        pass

    def close(self) -> None:
        pass


class Elsewhere(CallbackExecutor):
    """A callback whose backend is a list, worked off when the executor is drained."""

    def __init__(self, functions: Functions) -> None:
        self.backend: list[str] = []
        self.functions = functions
        super().__init__(lambda invocation: self.backend.append(invocation.to_json()))

    def drain(self, timeout_s: float) -> None:
        while self.backend:
            run_attempt(self.functions, Invocation.from_json(self.backend.pop(0)))


class Site(NamedTuple):
    app: InvokeAsyncMiddleware
    executor: Executor
    client: Client
    #: (request id, attempts so far, event) of each attempt of "note" and "fail".
    ran: queue.SimpleQueue[tuple[str, Any]]


EXECUTORS: dict[str, Callable[[Functions], Executor]] = {
    "inline, before the answer": lambda functions: InlineExecutor(),
    "inline, after the answer": lambda functions: InlineExecutor(when="after"),
    "threads": lambda functions: ThreadsExecutor(workers=3),
    "callback": Elsewhere,
    "stepped": lambda functions: SteppedExecutor(),
    "a user's own": lambda functions: Immediately(),
}


@pytest.fixture(params=EXECUTORS)
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    functions = Functions()
    ran: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()

    @functions.function
    def note(event: Any, context: Any) -> None:
        ran.put((context.aws_request_id, event))

    @functions.function
    def exit_process(event: Any, context: Any) -> None:
        ran.put((context.aws_request_id, event))
        raise SystemExit(1)

    executor = EXECUTORS[request.param](functions)
    app = InvokeAsyncMiddleware(
        None, functions, auth="none", executor=executor, clock=FakeClock(), maximum_retry_attempts=0
    )
    yield Site(app, executor, Client(app), ran)
    app.close()


def all_of(ran: queue.SimpleQueue[tuple[str, Any]]) -> list[tuple[str, Any]]:
    return [ran.get_nowait() for _ in range(ran.qsize())]


def test_each_accepted_event_has_run_once_when_the_drain_returns(site: Site) -> None:
    answers = [site.client.invoke_async("note", str(number).encode()) for number in range(20)]
    assert {answer.status for answer in answers} == {202}
    site.app.drain(30)
    expected = [(answer.headers["x-amzn-requestid"], i) for i, answer in enumerate(answers)]
    assert sorted(all_of(site.ran)) == sorted(expected)


def test_an_event_submitted_from_python_runs_like_one_over_http(site: Site) -> None:
    request_id = site.app.submit("note", {"a": 1})
    site.app.drain(30)
    assert all_of(site.ran) == [(request_id, {"a": 1})]


def test_a_handler_that_exits_does_not_take_the_next_event_with_it(site: Site) -> None:
    site.client.invoke_async("exit_process", b"1")
    site.client.invoke_async("note", b"2")
    site.app.drain(30)
    assert [event for _, event in all_of(site.ran)] == [1, 2]


@pytest.mark.parametrize("body", [b"{", b"nan", b"\xff"])
def test_what_is_refused_never_runs(site: Site, body: bytes) -> None:
    assert site.client.invoke_async("note", body).status == 400
    site.app.drain(30)
    assert all_of(site.ran) == []


def test_closing_twice_is_no_error(site: Site) -> None:
    site.app.close()
    site.app.close()


def test_it_says_in_a_few_words_what_an_event_survives(site: Site) -> None:
    assert 10 < len(site.executor.promise) < 80
