"""One attempt: the context, what is captured, how it ends, and what its end looks like."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from invokeasync_wsgi import Functions, Invocation, Outcome
from invokeasync_wsgi.config import Settings
from invokeasync_wsgi.runner import Attempt, Runner, run_with_deadline
from invokeasync_wsgi.testing import FakeClock

REQUEST_ID = "1f2e3d4c-0000-4000-8000-000000000000"


def attempt(
    handler: Any,
    payload: bytes = b'{"a": 1}',
    *,
    clock: FakeClock | None = None,
    surroundings: Any = None,
    qualifier: str | None = None,
    settings: dict[str, Any] | None = None,
    **options: Any,
) -> Attempt:
    functions = Functions()
    function = functions.add("f", handler, **options)
    invocation = Invocation(
        request_id=REQUEST_ID,
        function_name="f",
        qualifier=qualifier,
        payload=payload,
        accepted_at=0,
        trace_id="Root=1-2-3",
        tenant_id="blue",
        client_context='{"custom": {"k": "v"}, "client": {"app_title": "t"}}',
    )
    runner = Runner(Settings(auth="none", **(settings or {})), clock or FakeClock(), surroundings)
    return runner.attempt(invocation, function)


def run(handler: Any, payload: bytes = b'{"a": 1}', **options: Any) -> Outcome:
    outcome = attempt(handler, payload, **options).run()
    assert outcome is not None
    return outcome


def test_a_handler_gets_the_event_and_lambdas_context() -> None:
    seen: dict[str, Any] = {}
    clock = FakeClock()

    def handler(event: Any, context: Any) -> None:
        clock.advance(1.5)
        seen.update(
            event=event,
            remaining=context.get_remaining_time_in_millis(),
            **{
                name: getattr(context, name)
                for name in (
                    "aws_request_id",
                    "function_name",
                    "function_version",
                    "invoked_function_arn",
                    "memory_limit_in_mb",
                    "log_group_name",
                    "tenant_id",
                    "trace_id",
                )
            },
            custom=context.client_context.custom,
            env=context.client_context.env,
            title=context.client_context.client.app_title,
            package=context.client_context.client.app_package_name,
            identity=context.identity.cognito_identity_id,
            stream=context.log_stream_name,
        )
        clock.advance(10)
        seen["overdrawn"] = context.get_remaining_time_in_millis()

    run(handler, clock=clock, memory_limit_in_mb=256)
    stream = seen.pop("stream")
    assert seen == {
        "event": {"a": 1},
        "remaining": 1500,
        "overdrawn": 0,
        "aws_request_id": REQUEST_ID,
        "function_name": "f",
        "function_version": "$LATEST",
        "invoked_function_arn": "arn:aws:lambda:us-east-1:123456789012:function:f",
        "memory_limit_in_mb": "256",
        "log_group_name": "/aws/lambda/f",
        "tenant_id": "blue",
        "trace_id": "Root=1-2-3;Lineage=9fa5c9e6:1",
        "custom": {"k": "v"},
        "env": None,
        "title": "t",
        "package": None,
        "identity": None,
    }
    assert stream.startswith("2020/01/01/[$LATEST]")
    assert len(stream) == len("2020/01/01/[$LATEST]") + 32


@pytest.mark.parametrize(
    ("qualifier", "version", "ending"),
    [
        pytest.param(None, "$LATEST", ":f", id="unqualified"),
        pytest.param("$LATEST", "$LATEST", ":f:$LATEST", id="latest"),
        pytest.param("1", "1", ":f:1", id="version"),
        pytest.param("live", "1", ":f:live", id="alias"),
        pytest.param("all-new", "2", ":f:all-new", id="alias that routes all to another"),
    ],
)
def test_the_arn_is_as_invoked_and_the_version_as_resolved(
    qualifier: str | None, version: str, ending: str
) -> None:
    def handler(event: Any, context: Any) -> list[str]:
        return [context.function_version, context.invoked_function_arn]

    outcome = run(
        handler,
        qualifier=qualifier,
        versions={"1": handler, "2": handler},
        aliases={"live": "1", "all-new": {"version": "1", "weights": {"2": 1}}},
    )
    assert json.loads(outcome.payload) == [
        version,
        f"arn:aws:lambda:us-east-1:123456789012:function{ending}",
    ]
    assert outcome.executed_version == version


@pytest.mark.parametrize(
    ("result", "payload"),
    [
        pytest.param(None, b"null", id="nothing"),
        pytest.param("x", b'"x"', id="a string keeps its quotes"),
        pytest.param({"a": [1, 2.5, True]}, b'{"a": [1, 2.5, true]}', id="separators with a space"),
        pytest.param(float("nan"), b"NaN", id="NaN is a bare word"),
        pytest.param({"d": Decimal("1.10")}, b'{"d": 1.10}', id="Decimal keeps its digits"),
    ],
)
def test_results_are_written_as_the_python_runtime_writes_them(result: Any, payload: bytes) -> None:
    outcome = run(lambda event, context: result)
    assert outcome[:2] == (payload, None)
    assert outcome.content_type == "application/json"


def test_bytes_go_out_as_they_are() -> None:
    outcome = run(lambda event, context: b"\x00raw")
    assert (outcome.payload, outcome.content_type) == (b"\x00raw", "application/unknown")


def test_an_exception_is_reported_with_the_handlers_frames_only() -> None:
    def handler(event: Any, context: Any) -> None:
        raise LookupError("no such thing")

    with contextlib.ExitStack() as stack:
        outcome = run(handler, surroundings=lambda: stack)
    assert outcome.function_error == "Unhandled"
    error = json.loads(outcome.payload)
    assert list(error) == ["errorMessage", "errorType", "requestId", "stackTrace"]
    assert error["errorMessage"] == "no such thing"
    assert error["errorType"] == "LookupError"
    assert error["requestId"] == REQUEST_ID
    [frame] = error["stackTrace"]
    assert frame.startswith(f'  File "{__file__}", line ')
    assert frame.endswith(', in handler\n    raise LookupError("no such thing")\n')


def test_an_exception_that_cannot_be_printed_is_still_an_error_of_the_function() -> None:
    class Unprintable(Exception):
        def __str__(self) -> str:
            raise RuntimeError("not even this")

    def handler(event: Any, context: Any) -> None:
        raise Unprintable

    assert run(handler).error["errorType"] == "Unprintable"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        pytest.param(None, "Runtime exited without providing a reason", id="none"),
        pytest.param(0, "Runtime exited without providing a reason", id="0"),
        pytest.param(127, "Runtime exited with error: exit status 127", id="127"),
        pytest.param("bye", "Runtime exited with error: exit status 1", id="text"),
    ],
)
def test_exiting_ends_the_attempt_as_an_exit_of_the_runtime(code: Any, reason: str) -> None:
    outcome = run(lambda event, context: sys.exit(code))
    assert (
        outcome.payload
        == (
            f'{{"errorType":"Runtime.ExitError","errorMessage":"RequestId: {REQUEST_ID} '
            f'Error: {reason}"}}'
        ).encode()
    )


@pytest.mark.parametrize("exception", [asyncio.CancelledError, GeneratorExit])
def test_other_base_exceptions_end_the_attempt_too(exception: type[BaseException]) -> None:
    def handler(event: Any, context: Any) -> None:
        raise exception

    assert run(handler).error["errorType"] == "Runtime.ExitError"


def test_what_a_signal_handler_raises_is_for_the_server() -> None:
    def stop(number: int, frame: object) -> None:
        sys.exit(1)

    def handler(event: Any, context: Any) -> None:
        os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, stop)
    try:
        with pytest.raises(SystemExit):
            run(handler)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_result_without_json_form_is_a_marshal_error() -> None:
    outcome = run(lambda event, context: {1, 2})
    assert json.loads(outcome.payload) == {
        "errorMessage": "Unable to marshal response: Object of type set is not JSON serializable",
        "errorType": "Runtime.MarshalError",
        "requestId": REQUEST_ID,
        "stackTrace": [],
    }


def test_a_result_over_the_limit_is_an_error_with_lambdas_text() -> None:
    outcome = run(lambda event, context: "x" * 99, settings={"max_response_bytes": 100})
    assert outcome.payload == (
        b'{"errorMessage":"Response payload size exceeded maximum allowed payload size '
        b'(100 bytes).","errorType":"Function.ResponseSizeTooLarge"}'
    )
    assert run(lambda event, context: "x" * 98, settings={"max_response_bytes": 100})[1] is None


def test_a_coroutine_is_awaited() -> None:
    async def handler(event: Any, context: Any) -> Any:
        await asyncio.sleep(0)
        print("from a coroutine")
        return event

    outcome = run(handler)
    assert (outcome.payload, outcome.function_error) == (b'{"a": 1}', None)
    assert "from a coroutine\n" in outcome.log()


def test_a_failing_coroutine_shows_no_frame_of_the_event_loop() -> None:
    async def handler(event: Any, context: Any) -> None:
        raise ValueError("awaited")

    [frame] = run(handler).error["stackTrace"]
    assert "in handler" in frame


def test_a_handler_that_cannot_be_imported_fails_as_the_runtime_does() -> None:
    outcome = run("no_such_module_anywhere:handler", lazy=True)
    assert json.loads(outcome.payload) == {
        "errorMessage": "Unable to import module 'no_such_module_anywhere': No module named "
        "'no_such_module_anywhere'",
        "errorType": "Runtime.ImportModuleError",
        "requestId": "",
        "stackTrace": [],
    }


def test_an_event_that_cannot_be_decoded_is_an_unmarshal_error() -> None:
    error = run(lambda event, context: event, b"{").error
    assert error["errorType"] == "Runtime.UnmarshalError"
    assert error["errorMessage"].startswith("Unable to unmarshal input: ")
    assert error["requestId"] == REQUEST_ID


def test_a_handler_that_returns_after_its_deadline_has_timed_out() -> None:
    clock = FakeClock()
    outcome = run(lambda event, context: clock.advance(3), clock=clock, timeout_s=3)
    assert (
        outcome.payload
        == (
            f'{{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: {REQUEST_ID} '
            'Error: Task timed out after 3.00 seconds"}'
        ).encode()
    )


def test_an_attempt_ends_once() -> None:
    running = attempt(lambda event, context: None)
    assert running.expire() is not None
    assert running.expire() is None
    assert running.run() is None


def test_a_handler_may_mark_its_context() -> None:
    def handler(event: Any, context: Any) -> Any:
        context.tenant = "acme"
        context.client_context.custom["k"] = "changed"
        return [context.tenant, context.client_context.custom["k"]]

    assert run(handler).payload == b'["acme", "changed"]'


def test_a_handler_of_a_module_without_a_name_is_reported_like_any_other() -> None:
    namespace: dict[str, Any] = {"__name__": None}
    exec("def handler(event, context): raise ValueError('nameless')", namespace)
    assert run(namespace["handler"]).error["errorMessage"] == "nameless"


def test_an_exception_whose_text_exits_is_an_error_of_the_function() -> None:
    class Exits(Exception):
        def __str__(self) -> str:
            raise SystemExit(1)

    def handler(event: Any, context: Any) -> None:
        raise Exits

    assert run(handler).error["errorType"] == "Exits"


def test_surroundings_that_fail_are_an_error_of_the_function() -> None:
    @contextlib.contextmanager
    def broken() -> Iterator[None]:
        yield
        raise RuntimeError("teardown")

    assert run(lambda event, context: None, surroundings=broken).error["errorMessage"] == "teardown"


def test_an_error_over_the_limit_is_too_large_as_well() -> None:
    def handler(event: Any, context: Any) -> None:
        raise ValueError("x" * 2000)

    error = run(handler, settings={"max_response_bytes": 1000}).error
    assert error["errorType"] == "Function.ResponseSizeTooLarge"


def test_what_a_handler_does_after_its_deadline_does_not_change_the_outcome() -> None:
    running = attempt(lambda event, context: print("too late"), timeout_s=1)
    outcome = running.expire()
    assert outcome is not None
    log = outcome.log()
    assert running.run() is None
    assert outcome.log() == log
    assert "too late" not in log


def test_a_coroutine_past_its_deadline_is_cancelled() -> None:
    clock, started = FakeClock(), threading.Event()
    ended: list[BaseException] = []

    async def handler(event: Any, context: Any) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as exc:
            ended.append(exc)
            raise

    running = attempt(handler, clock=clock)
    thread = threading.Thread(target=running.run)
    thread.start()
    assert started.wait(10)
    outcome = running.expire()
    thread.join(10)
    assert outcome is not None
    assert outcome.error["errorType"] == "Sandbox.Timedout"
    assert len(ended) == 1


def test_a_coroutine_that_ends_at_its_deadline_does_not_keep_the_attempt_from_ending() -> None:
    """Its loop may be closed by the time it is to be cancelled."""
    loop = asyncio.new_event_loop()
    loop.close()
    running = attempt(lambda event, context: None)
    running._cancel = lambda: loop.call_soon_threadsafe(print)
    outcome = running.expire()
    assert outcome is not None
    assert outcome.error["errorType"] == "Sandbox.Timedout"


def test_threads_of_one_attempt_may_write_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    async def handler(event: Any, context: Any) -> None:
        def write() -> None:
            for _ in range(500):
                print("0123456789" * 3)

        await asyncio.gather(*(asyncio.to_thread(write) for _ in range(4)))

    switch_interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        outcome = run(handler, settings={"max_log_chars": 100})
    finally:
        sys.setswitchinterval(switch_interval)
    assert outcome.function_error is None
    assert len("\n".join(output_of(outcome))) <= 100


def test_a_wrapper_of_the_captured_stream_does_not_capture_twice(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Wrapper:
        def __init__(self, stream: Any) -> None:
            self.stream = stream

        def __getattr__(self, name: str) -> Any:
            return getattr(self.stream, name)

    run(lambda event, context: None)
    monkeypatch.setattr(sys, "stdout", Wrapper(sys.stdout))
    assert output_of(run(lambda event, context: print("once"))) == ["once"]


# --- output -----------------------------------------------------------------------------------


def output_of(outcome: Outcome) -> list[str]:
    """The log's lines between START and END."""
    lines = outcome.log().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("START"))
    end = next(i for i, line in enumerate(lines) if line.startswith("END"))
    return lines[start + 1 : end]


def test_output_is_captured_and_still_reaches_the_process(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def handler(event: Any, context: Any) -> None:
        print("to stdout")
        print("to stderr", file=sys.stderr)
        context.log("with log\n")

    assert output_of(run(handler)) == ["to stdout", "to stderr", "with log"]
    assert capsys.readouterr() == ("to stdout\nwith log\n", "to stderr\n")


def test_log_records_are_captured_once_wherever_they_are_written(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logger = logging.getLogger("tests.captured")
    run(lambda event, context: None)  # from here on sys.stderr is the one that handlers write to
    to_stderr = logging.StreamHandler()
    logger.addHandler(to_stderr)
    logger.propagate = False

    def handler(event: Any, context: Any) -> None:
        logger.warning("watch out: %s", event)

    try:
        [line] = output_of(run(handler))
    finally:
        logger.removeHandler(to_stderr)
        logger.propagate = True
    assert line.startswith("[WARNING]\t20")
    assert line.endswith("Z\twatch out: {'a': 1}")
    assert capsys.readouterr().err == "watch out: {'a': 1}\n"


def test_attempts_that_run_at_the_same_time_keep_their_output_apart(
    capsys: pytest.CaptureFixture[str],
) -> None:
    both = threading.Barrier(2)
    outcomes: dict[int, Outcome] = {}

    def handler(event: Any, context: Any) -> None:
        for line in range(20):
            both.wait(10)
            print(f"{event} writes {line}")

    def run_one(number: int) -> None:
        outcomes[number] = run(handler, str(number).encode())

    threads = [threading.Thread(target=run_one, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(2):
        assert output_of(outcomes[number]) == [f"{number} writes {line}" for line in range(20)]


def test_capture_can_be_switched_off(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout
    outcome = run(lambda event, context: print("hi"), settings={"capture_output": False})
    assert sys.stdout is before
    assert output_of(outcome) == []
    assert capsys.readouterr().out == "hi\n"


def test_only_the_end_of_a_long_output_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    def handler(event: Any, context: Any) -> None:
        for number in range(100):
            print(f"{number:09}")

    outcome = run(handler, settings={"max_log_chars": 30})
    assert output_of(outcome)[-3:] == ["000000097", "000000098", "000000099"]
    assert len("\n".join(output_of(outcome))) <= 30


def test_the_log_is_lambdas_text_format() -> None:
    clock = FakeClock()
    outcome = run(lambda event, context: clock.advance(0.0123), clock=clock)
    start, end, report = outcome.log().splitlines()
    assert start == f"START RequestId: {REQUEST_ID} Version: $LATEST"
    assert end == f"END RequestId: {REQUEST_ID}"
    memory = report.split("\t")[4]
    assert memory.startswith("Max Memory Used: ")
    assert memory.endswith(" MB")
    assert report == (
        f"REPORT RequestId: {REQUEST_ID}\tDuration: 12.30 ms\tBilled Duration: 13 ms\t"
        f"Memory Size: 128 MB\t{memory}\t"
    )


def test_a_failed_attempts_log_tells_why() -> None:
    def handler(event: Any, context: Any) -> None:
        raise ValueError("because")

    lines = run(handler).log().splitlines()
    assert lines[1:3] == ["[ERROR] ValueError: because", "Traceback (most recent call last):"]
    assert lines[-1].endswith("\tStatus: error\tError Type: ValueError\t")


def test_a_timed_out_attempts_log_says_so() -> None:
    outcome = attempt(lambda event, context: None, timeout_s=1).expire()
    assert outcome is not None
    lines = outcome.log().splitlines()
    assert lines[1] == f"2020-01-01T00:00:00.000Z {REQUEST_ID} Task timed out after 1.00 seconds"
    assert lines[-1].endswith("\tStatus: timeout\t")


# --- synchronous invocations ------------------------------------------------------------------


def test_a_synchronous_attempt_ends_at_its_deadline_and_its_thread_when_it_returns() -> None:
    clock, release, returned = FakeClock(), threading.Event(), threading.Event()
    started = threading.Event()

    def handler(event: Any, context: Any) -> None:
        started.set()
        release.wait(30)

    running = attempt(handler, clock=clock, timeout_s=5)
    outcomes: list[Outcome] = []
    caller = threading.Thread(
        target=lambda: outcomes.append(run_with_deadline(running, clock, returned.set))
    )
    caller.start()
    assert started.wait(10)
    clock.advance(5)
    caller.join(10)
    assert outcomes[0].error["errorType"] == "Sandbox.Timedout"
    assert not returned.is_set()
    release.set()
    assert returned.wait(10)
