"""The threads executor: its workers, deadlines, retries in time, and its drain."""

from __future__ import annotations

import contextvars
import logging
import queue
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from invokeasync_wsgi import Functions, Invocation, InvokeAsyncMiddleware, ThreadsExecutor
from invokeasync_wsgi.errors import ConfigurationError
from invokeasync_wsgi.executors.pool import Stats
from invokeasync_wsgi.testing import Client, FakeClock

from ..waiting import eventually


class Site:
    """An application with a threads executor, a fake clock and a handler that tests hold."""

    def __init__(self, **options: Any) -> None:
        self.clock = FakeClock()
        self.executor = ThreadsExecutor(**options)
        self.ran: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.started = threading.Semaphore(0)
        self.release = threading.Event()
        self.failures = 0
        functions = Functions()
        functions.add("note", self._note)
        functions.add("hold", self._hold, timeout_s=3)
        functions.add("hold_long", self._hold, timeout_s=1000)
        functions.add("fail", self._fail)
        functions.add("exit", self._exit, maximum_retry_attempts=0)
        self.app = InvokeAsyncMiddleware(
            None, functions, auth="none", executor=self.executor, clock=self.clock
        )
        self.client = Client(self.app)

    def _note(self, event: Any, context: Any) -> None:
        self.ran.put(event)

    def _hold(self, event: Any, context: Any) -> None:
        self.started.release()
        self.release.wait(30)
        self.ran.put("held")

    def _fail(self, event: Any, context: Any) -> None:
        self.failures += 1
        self.ran.put(context.aws_request_id)
        raise ValueError("as it must")

    def _exit(self, event: Any, context: Any) -> None:
        self.ran.put("exit")
        sys.exit(1)

    def next(self) -> Any:
        return self.ran.get(timeout=10)


@pytest.fixture
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    made = Site(**getattr(request, "param", {"workers": 1}))
    yield made
    made.release.set()
    made.app.close()


def options(**values: int) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("site", [values], indirect=True)


def test_no_thread_starts_before_the_first_event(site: Site) -> None:
    assert site.executor.stats() == Stats(0, 0, 0, 0)
    before = threading.active_count()
    site.client.invoke_async("note", b"1")
    assert site.next() == 1
    assert threading.active_count() == before + 2  # a worker and the timekeeper


@options(workers=1)
def test_an_attempt_past_its_deadline_ends_and_its_thread_is_replaced(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    request_id = site.client.invoke_async("hold").headers["x-amzn-requestid"]
    site.client.invoke_async("note", b'"waits behind it"')
    assert site.started.acquire(timeout=10)
    site.clock.advance(3)
    assert site.next() == "waits behind it"
    stats = site.executor.stats()
    assert (stats.workers, stats.lost) == (1, 1)
    assert f"RequestId: {request_id} Error: Task timed out after 3.00 seconds" in caplog.text


@options(workers=1)
def test_a_lost_thread_whose_handler_returns_is_lost_no_more(site: Site) -> None:
    site.client.invoke_async("hold")
    assert site.started.acquire(timeout=10)
    site.clock.advance(3)
    eventually(lambda: site.executor.stats()[:2] == (1, 1))
    site.release.set()
    assert site.next() == "held"
    eventually(lambda: site.executor.stats()[:2] == (1, 0))


@options(workers=1, max_lost=0)
def test_a_pool_that_may_lose_none_waits_for_its_thread_to_come_back(site: Site) -> None:
    site.client.invoke_async("hold")
    site.client.invoke_async("note", b'"after all"')
    assert site.started.acquire(timeout=10)
    site.clock.advance(3)
    eventually(lambda: site.executor.stats()[:2] == (0, 1))
    site.release.set()
    assert [site.next(), site.next()] == ["held", "after all"]
    eventually(lambda: site.executor.stats()[:2] == (1, 0))


@options(workers=1, max_waiting=2)
def test_a_full_queue_is_a_429_that_says_when_to_come_back_and_accepts_nothing(site: Site) -> None:
    site.client.invoke_async("hold")
    assert site.started.acquire(timeout=10)
    assert [site.client.invoke_async("note").status for _ in range(2)] == [202, 202]
    refused = site.client.invoke_async("note", b'"refused"')
    assert (refused.status, refused.headers["retry-after"]) == (429, "1")
    assert refused.body == (
        b'{"Reason":"ConcurrentInvocationLimitExceeded","Type":"User","message":"Rate Exceeded."}'
    )
    site.release.set()
    assert [site.next() for _ in range(3)] == ["held", {}, {}]
    eventually(lambda: not any(site.executor.stats()[2:]))


@options(workers=1, max_waiting_bytes=10)
def test_a_queue_full_of_bytes_is_a_429_too(site: Site) -> None:
    site.client.invoke_async("hold")
    assert site.started.acquire(timeout=10)
    bodies = [b'"123456"', b'"123456"', b"1"]
    assert [site.client.invoke_async("note", body).status for body in bodies] == [202, 202, 429]
    site.release.set()
    assert [site.next() for _ in range(3)] == ["held", "123456", "123456"]
    assert site.client.invoke_async("note", b"1").status == 202


def test_a_retry_comes_even_if_the_clock_is_set_back_meanwhile(site: Site) -> None:
    request_id = site.client.invoke_async("fail").headers["x-amzn-requestid"]
    assert site.next() == request_id
    eventually(lambda: site.executor.stats()[2:] == (1, 0))
    site.client.invoke_async("hold_long")
    assert site.started.acquire(timeout=10)
    site.clock.advance(60)
    store = site.executor._queues.get()._store
    eventually(store.has_ready)  # the timekeeper has seen it to be due
    site.clock.advance(-30)
    site.release.set()
    assert [site.next(), site.next()] == ["held", request_id]


def test_threads_do_not_inherit_the_context_of_the_first_request(site: Site) -> None:
    secret: contextvars.ContextVar[str] = contextvars.ContextVar("secret", default="none")
    seen: queue.SimpleQueue[str] = queue.SimpleQueue()
    site.app.service.functions.add("look", lambda event, context: seen.put(secret.get()))
    secret.set("the first caller's")
    site.client.invoke_async("look")
    assert seen.get(timeout=10) == "none"


def test_an_event_that_cannot_be_run_yet_waits_and_is_tried_again(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """Such as one of a function whose code is on its way here."""
    now = site.clock.time()
    site.executor.submit(
        Invocation(request_id="early", function_name="new", payload=b"1", accepted_at=now)
    )

    def has_been_tried(times: int) -> None:
        eventually(lambda: caplog.text.count("request early could not be run") == times)
        eventually(lambda: site.executor.stats() == (1, 0, 1, 0))

    has_been_tried(1)
    site.clock.advance(1)
    has_been_tried(2)
    site.app.service.functions.add("new", site._note)
    site.clock.advance(2)
    assert site.next() == 1
    eventually(lambda: site.executor.stats() == (1, 0, 0, 0))


def test_what_could_not_be_run_is_not_waited_for_by_the_drain(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    now = site.clock.time()
    site.executor.submit(
        Invocation(request_id="early", function_name="new", payload=b"1", accepted_at=now)
    )
    site.app.drain(10)
    assert "request early could not be run before the end, and is lost" in caplog.text
    assert site.executor.stats()[2:] == (0, 0)


@options(workers=4)
def test_a_raised_reservation_lets_what_waits_begin(site: Site) -> None:
    path = "/2017-10-31/functions/hold_long/concurrency"
    assert site.client.request("PUT", path, b'{"ReservedConcurrentExecutions": 1}').status == 200
    for _ in range(3):
        site.app.submit("hold_long")
    assert site.started.acquire(timeout=10)
    eventually(lambda: site.executor.stats() == Stats(4, 0, 2, 1))
    assert site.client.request("PUT", path, b'{"ReservedConcurrentExecutions": 2}').status == 200
    assert site.started.acquire(timeout=10)
    eventually(lambda: site.executor.stats() == Stats(4, 0, 1, 2))
    assert site.client.request("DELETE", path).status == 204
    assert site.started.acquire(timeout=10)


class BrokenWork:
    """A service with a bug: it raises for some events."""

    def __init__(self) -> None:
        self.begun: queue.SimpleQueue[str] = queue.SimpleQueue()

    def begin(self, invocation: Invocation) -> Any:
        self.begun.put(invocation.request_id)
        raise KeyError("a bug")

    def concurrency(self, function_name: str) -> float:
        return 1

    def function_count(self) -> int:
        return 2

    def refresh(self) -> bool:
        return True


def test_an_error_of_our_own_costs_no_thread_and_no_place(
    caplog: pytest.LogCaptureFixture,
) -> None:
    executor, work = ThreadsExecutor(workers=1), BrokenWork()
    executor.start(work, FakeClock())
    names = ["one", "two", "three"]
    for name in names:
        executor.submit(
            Invocation(request_id=name, function_name="f", payload=b"{}", accepted_at=0)
        )
    assert [work.begun.get(timeout=10) for _ in names] == names
    eventually(lambda: executor.stats() == (1, 0, 0, 0))
    for name in names:
        assert f"an attempt of request {name} could not be run" in caplog.text
    executor.close()


def test_no_thread_dies_of_an_event_that_cannot_be_taken(
    caplog: pytest.LogCaptureFixture,
) -> None:
    executor, work = ThreadsExecutor(workers=2), BrokenWork()
    executor.start(work, FakeClock())
    executor.submit(Invocation(request_id="one", function_name="f", payload=b"", accepted_at=0))
    assert work.begun.get(timeout=10) == "one"
    queue = executor._queues.get()
    take = queue._store.claim
    failed = threading.Semaphore(0)

    def fail(*, now: float) -> Any:
        failed.release()
        raise KeyError("another bug")

    queue._store.claim = fail  # type: ignore[method-assign]
    for name in ("two", "three"):
        executor.submit(Invocation(request_id=name, function_name="f", payload=b"", accepted_at=0))
        assert failed.acquire(timeout=10)
    queue._store.claim = take  # type: ignore[method-assign]
    executor.wake()
    assert {work.begun.get(timeout=10), work.begun.get(timeout=10)} == {"two", "three"}
    assert executor.stats().workers == 2
    assert "no event could be taken" in caplog.text
    executor.close()


@options(workers=3)
def test_no_function_gets_the_last_worker_while_there_are_others(site: Site) -> None:
    for _ in range(5):
        site.client.invoke_async("hold_long")
    for _ in range(2):
        assert site.started.acquire(timeout=10)
    site.client.invoke_async("note", b'"not kept waiting"')
    assert site.next() == "not kept waiting"
    eventually(lambda: site.executor.stats() == (3, 0, 3, 2))
    assert not site.started.acquire(blocking=False)


@options(workers=4)
def test_no_more_attempts_of_a_function_run_at_once_than_are_reserved_for_it(site: Site) -> None:
    site.app.service.functions.add("two", site._hold, timeout_s=1000, reserved_concurrency=2)
    for _ in range(3):
        site.client.invoke_async("two")
    for _ in range(2):
        assert site.started.acquire(timeout=10)
    site.client.invoke_async("note", b'"others run"')
    assert site.next() == "others run"
    eventually(lambda: site.executor.stats() == (4, 0, 1, 2))
    site.release.set()
    assert [site.next() for _ in range(3)] == ["held"] * 3
    eventually(lambda: site.executor.stats() == (4, 0, 0, 0))


@options(workers=2)
def test_a_place_that_was_reserved_is_free_when_its_attempt_has_timed_out(site: Site) -> None:
    """Its handler may go on for ever: it is the attempt that has ended."""
    site.app.service.functions.add("one", site._hold, timeout_s=3, reserved_concurrency=1)
    for _ in range(2):
        site.client.invoke_async("one")
    assert site.started.acquire(timeout=10)
    site.clock.advance(3)
    assert site.started.acquire(timeout=10)


def test_a_failed_attempt_is_tried_again_after_one_and_two_minutes(site: Site) -> None:
    request_id = site.client.invoke_async("fail").headers["x-amzn-requestid"]
    assert site.next() == request_id
    for wait_s in (60, 120):
        eventually(lambda: site.executor.stats()[2:] == (1, 0))
        site.clock.advance(wait_s - 1)
        site.client.invoke_async("note", b'"in between"')
        assert site.next() == "in between"
        site.clock.advance(1)
        assert site.next() == request_id
    eventually(lambda: site.executor.stats()[2:] == (0, 0))
    assert site.failures == 3


def test_a_handler_that_exits_ends_its_attempt_and_not_the_worker(site: Site) -> None:
    site.client.invoke_async("exit")
    site.client.invoke_async("note", b'"still here"')
    assert [site.next(), site.next()] == ["exit", "still here"]
    assert site.executor.stats()[:2] == (1, 0)


def test_the_drain_finishes_what_was_accepted_and_then_accepts_nothing(site: Site) -> None:
    for number in range(20):
        site.client.invoke_async("note", str(number).encode())
    site.app.drain(10)
    assert [site.next() for _ in range(20)] == list(range(20))
    refused = site.client.invoke_async("note")
    assert refused.status == 503
    assert refused.headers["x-amzn-errortype"] == "ServiceUnavailableException"
    assert site.ran.empty()


def test_the_drain_gives_waiting_retries_their_attempts_at_once(site: Site) -> None:
    site.client.invoke_async("fail")
    assert site.next()
    site.app.drain(10)
    assert site.failures == 3


@options(workers=1)
def test_a_drain_whose_time_is_up_says_which_requests_were_not_finished(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    ids = [site.client.invoke_async(name).headers["x-amzn-requestid"] for name in ("hold", "note")]
    assert site.started.acquire(timeout=10)
    with caplog.at_level(logging.ERROR):
        site.app.drain(0)
    assert f"2 accepted events were not finished: requests {ids[0]}, {ids[1]}" in caplog.text


def test_threads_that_cannot_be_started_mean_500_and_nothing_accepted(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more_threads(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_more_threads)
        refused = site.client.invoke_async("note", b'"refused"')
    assert refused.status == 500
    assert refused.headers["x-amzn-errortype"] == "ServiceException"
    assert site.client.invoke_async("note", b'"accepted"').status == 202
    assert site.next() == "accepted"


def test_a_forked_child_runs_its_own_events_and_not_its_parents() -> None:
    script = """
        import os, sys, threading
        from invokeasync_wsgi import Functions, InvokeAsyncMiddleware
        from invokeasync_wsgi.testing import Client

        functions = Functions()
        done = threading.Event()

        @functions.function
        def note(event, context):
            print(event, flush=True)
            done.set()

        app = InvokeAsyncMiddleware(None, functions, auth="none", executor="threads:?workers=1")
        client = Client(app)
        client.invoke_async("note", b'"parent"')
        done.wait(10)  # a fork in the middle of a print would print it twice
        pid = os.fork()
        if pid == 0:
            assert app.service.executor.stats().workers == 0
            client.invoke_async("note", b'"child"')
            app.drain(10)
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        app.drain(10)
    """
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert sorted(ran.stdout.split()) == ["child", "parent"]
    [line] = ran.stderr.splitlines()
    assert line.startswith("auth='none': everybody")


#: Python 3.12.0 to 3.12.2 start no thread once the main thread has ended (python/cpython#113964).
NO_THREADS_AT_THE_END = (3, 12) <= sys.version_info < (3, 12, 3)


@pytest.mark.parametrize(
    "work",
    [
        pytest.param("event", id="a plain handler"),
        pytest.param(
            "concurrent.futures.ThreadPoolExecutor().submit(lambda: event).result()",
            id="a handler that uses an executor",
            marks=pytest.mark.skipif(NO_THREADS_AT_THE_END, reason="this Python cannot"),
        ),
    ],
)
def test_what_was_accepted_is_finished_when_the_interpreter_ends(work: str) -> None:
    script = f"""
        import concurrent.futures, threading
        from invokeasync_wsgi import Functions, InvokeAsyncMiddleware
        from invokeasync_wsgi.testing import Client

        functions = Functions()

        @functions.function
        def note(event, context):
            threading.main_thread().join(0.01)  # the main thread is on its way out
            print({work}, flush=True)

        app = InvokeAsyncMiddleware(None, functions, auth="none", executor="threads:?workers=1")
        for number in range(5):
            Client(app).invoke_async("note", str(number).encode())
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ran.stdout.split() == ["0", "1", "2", "3", "4"], ran.stderr


@pytest.mark.parametrize(
    ("name", "value"), [("workers", 0), ("max_waiting", 0), ("max_lost", -1), ("workers", 1.5)]
)
def test_sizes_that_make_no_sense_are_refused(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{name}={value!r}: it must be a whole number"):
        ThreadsExecutor(**{name: value})


def test_an_executor_serves_one_application_only(site: Site) -> None:
    with pytest.raises(ConfigurationError, match="serves another application already"):
        InvokeAsyncMiddleware(None, Functions(), auth="none", executor=site.executor)
