"""logs.py: what a function writes, kept and still written where it always went."""

from __future__ import annotations

import asyncio
import contextvars
import io
import logging
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

import pytest

from invokeasync_wsgi import logs

MAX_CHARS = 1000


@pytest.fixture(autouse=True)
def _own_record_factory(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing of the process is touched yet; afterwards it is as it was."""
    factory = logging.getLogRecordFactory()
    logging.setLogRecordFactory(logging.LogRecord)
    monkeypatch.setattr(logs._RecordFactory, "installed", False)
    yield
    logging.setLogRecordFactory(factory)


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """A logger of which nobody else hears."""
    logger = logging.Logger("app", logging.DEBUG)
    logger.propagate = False
    logger.addHandler(logging.NullHandler())
    yield logger
    for handler in logger.handlers:
        handler.close()


@pytest.fixture
def log() -> logs.AttemptLog:
    return logs.AttemptLog(MAX_CHARS)


@contextmanager
def capturing(log: logs.AttemptLog) -> Iterator[logs.AttemptLog]:
    """Be an attempt, as the runner begins and ends one."""
    logs.capture_process()
    token = logs.set_current(log)
    try:
        yield log
    finally:
        logs.reset_current(token)


# --- what is kept ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        pytest.param([], "", id="nothing"),
        pytest.param(["a", "b\n", ""], "ab\n", id="all of a little"),
        pytest.param(["x" * 10], "x" * 10, id="just fits"),
        pytest.param(["a", "x" * 10], "x" * 10, id="the oldest goes"),
        pytest.param(["x" * 11], "x" * 10, id="a text that is too long by itself"),
        pytest.param(["a" * 20, "b"], "b", id="a whole piece goes at a time"),
        pytest.param(["é" * 12], "é" * 10, id="characters count"),
        pytest.param([str(n % 10) for n in range(95)], "5678901234", id="many pieces"),
    ],
)
def test_a_log_keeps_its_end(written: list[str], kept: str) -> None:
    log = logs.AttemptLog(10)
    for text in written:
        log.write(text)
    assert log.text() == kept


# --- streams --------------------------------------------------------------------------------


def test_what_an_attempt_prints_is_kept_and_still_printed(
    capsys: pytest.CaptureFixture[str], log: logs.AttemptLog
) -> None:
    with capturing(log):
        print("one", 2)
        print("three", file=sys.stderr)
        sys.stdout.writelines(["four", "\n"])
    assert log.text() == "one 2\nthree\nfour\n"
    assert capsys.readouterr() == ("one 2\nfour\n", "three\n")


def test_what_is_printed_outside_of_attempts_is_not_kept(
    capsys: pytest.CaptureFixture[str], log: logs.AttemptLog
) -> None:
    print("before")
    with capturing(log):
        pass
    print("after")
    assert log.text() == ""
    assert capsys.readouterr().out == "before\nafter\n"


def test_an_attempt_within_an_attempt_has_its_own_log(log: logs.AttemptLog) -> None:
    inner = logs.AttemptLog(MAX_CHARS)
    with capturing(log):
        print("outer")
        with capturing(inner):
            print("inner")
        print("outer again")
    assert log.text() == "outer\nouter again\n"
    assert inner.text() == "inner\n"


def test_attempts_in_threads_do_not_mix() -> None:
    together = threading.Barrier(4)
    found: dict[int, logs.AttemptLog] = {}

    def attempt(number: int) -> None:
        with capturing(logs.AttemptLog(MAX_CHARS)) as log:
            found[number] = log
            for _ in range(10):
                together.wait()
                print(number)

    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {number: log.text() for number, log in found.items()} == {
        number: f"{number}\n" * 10 for number in range(4)
    }


def test_attempts_in_coroutines_do_not_mix() -> None:
    async def attempt(number: int) -> str:
        with capturing(logs.AttemptLog(MAX_CHARS)) as log:
            for _ in range(3):
                print(number)
                await asyncio.sleep(0)
        return log.text()

    async def both() -> list[str]:
        return list(await asyncio.gather(attempt(1), attempt(2)))

    assert asyncio.run(both()) == ["1\n1\n1\n", "2\n2\n2\n"]


def test_a_thread_that_takes_the_context_along_writes_into_the_same_log(
    log: logs.AttemptLog,
) -> None:
    with capturing(log):
        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(print, "from a thread"))
        thread.start()
        thread.join()
    assert log.text() == "from a thread\n"


def test_capturing_ends_with_an_exception_too(log: logs.AttemptLog) -> None:
    with pytest.raises(KeyError), capturing(log):
        raise KeyError
    print("after")
    assert log.text() == ""


def test_streams_are_wrapped_once() -> None:
    logs.capture_process()
    wrapped = sys.stdout, sys.stderr
    logs.capture_process()
    assert (sys.stdout, sys.stderr) == wrapped


def test_a_stream_that_was_replaced_is_wrapped_again(log: logs.AttemptLog) -> None:
    logs.capture_process()
    other = io.StringIO()
    with redirect_stdout(other), capturing(log):
        print("hello")
    assert log.text() == other.getvalue() == "hello\n"


def test_a_process_without_streams_is_fine(
    log: logs.AttemptLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As under ``pythonw``."""
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    with capturing(log):
        print("lost")
    assert sys.stdout is None


def test_a_wrapped_stream_is_the_stream_in_all_else() -> None:
    stream = io.TextIOWrapper(io.BytesIO(b"a\nb\n"), encoding="latin-1", write_through=True)
    with redirect_stdout(stream):
        logs.capture_process()
        wrapped = sys.stdout
    assert wrapped.encoding == "latin-1"
    assert wrapped.writable()
    assert list(wrapped) == ["a\n", "b\n"]
    wrapped.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    assert wrapped.buffer is stream.buffer
    assert not hasattr(wrapped, "no_such_thing")
    assert repr(stream) in repr(wrapped)
    with wrapped:
        pass
    assert stream.closed


def test_writing_returns_the_number_of_characters() -> None:
    logs.capture_process()
    assert sys.stdout.write("hello") == 5


@pytest.mark.parametrize("not_text", [b"bytes", 5, None], ids=["bytes", "number", "None"])
def test_what_the_stream_refuses_does_not_spoil_the_log(
    log: logs.AttemptLog, not_text: object
) -> None:
    with capturing(log):
        with pytest.raises(TypeError):
            sys.stdout.write(not_text)  # type: ignore[arg-type]
        print("and on")
    assert log.text() == "and on\n"


# --- logging --------------------------------------------------------------------------------

LINE = r"\[{level}\]\t\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{3}}Z\t{message}\n"


def test_a_record_is_kept_in_lambdas_format(log: logs.AttemptLog, logger: logging.Logger) -> None:
    with capturing(log):
        logger.warning("hello %s", "you")
    assert re.fullmatch(LINE.format(level="WARNING", message="hello you"), log.text())


def test_a_record_below_the_loggers_level_is_not_kept(
    log: logs.AttemptLog, logger: logging.Logger
) -> None:
    logger.setLevel(logging.ERROR)
    with capturing(log):
        logger.warning("hello")
    assert log.text() == ""


def test_a_record_outside_of_attempts_is_not_kept(
    log: logs.AttemptLog, logger: logging.Logger
) -> None:
    with capturing(log):
        pass
    logger.warning("hello")
    assert log.text() == ""


def test_a_traceback_is_kept(log: logs.AttemptLog, logger: logging.Logger) -> None:
    with capturing(log):
        try:
            raise KeyError("gone")
        except KeyError:
            logger.exception("it failed")
    first, *_, last = log.text().splitlines()
    assert first.endswith("\tit failed")
    assert last == "KeyError: 'gone'"


def test_a_record_whose_text_cannot_be_made_is_kept_as_it_is(
    log: logs.AttemptLog,
    logger: logging.Logger,
) -> None:
    with capturing(log):
        logger.warning("%d apples", "some")
    assert "'%d apples' (TypeError: " in log.text()


def test_a_handler_on_a_wrapped_stream_does_not_write_the_record_twice(
    capsys: pytest.CaptureFixture[str], log: logs.AttemptLog, logger: logging.Logger
) -> None:
    with capturing(log):
        logger.addHandler(logging.StreamHandler(sys.stderr))
        logger.warning("hello")
    assert log.text().count("hello") == 1
    assert capsys.readouterr().err == "hello\n"


def test_a_handler_made_before_the_first_attempt_still_writes_where_it_did(
    capsys: pytest.CaptureFixture[str], log: logs.AttemptLog, logger: logging.Logger
) -> None:
    logger.addHandler(logging.StreamHandler(sys.stderr))
    with capturing(log):
        logger.warning("hello")
    assert log.text().count("hello") == 1
    assert capsys.readouterr().err == "hello\n"


def test_the_record_factory_of_the_application_is_used(
    log: logs.AttemptLog, logger: logging.Logger
) -> None:
    class Record(logging.LogRecord):
        def getMessage(self) -> str:
            return f"<{super().getMessage()}>"

    logging.setLogRecordFactory(Record)
    with capturing(log):
        logger.warning("hello")
    assert log.text().endswith("\t<hello>\n")


def test_logging_is_otherwise_as_it_was() -> None:
    """No handler is added anywhere, so ``basicConfig`` and ``lastResort`` still work."""
    root = logging.getLogger()
    before = list(root.handlers)
    logs.capture_process()
    assert root.handlers == before


# --- lines ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1577880000.5, "2020-01-01T12:00:00.500Z"),
        (1577836799.9999, "2019-12-31T23:59:59.999Z"),
        (1593641120.25, "2020-07-01T22:05:20.250Z"),
    ],
)
def test_a_timestamp_is_utc_with_milliseconds(moment: float, expected: str) -> None:
    assert logs.timestamp(moment) == expected


def test_the_start_line() -> None:
    assert logs.start_line("id") == "START RequestId: id Version: $LATEST\n"
    assert logs.start_line("id", "7") == "START RequestId: id Version: 7\n"


@pytest.mark.parametrize(
    ("duration_s", "duration", "billed"),
    [
        pytest.param(0.00301, "3.01", 4, id="as recorded"),
        pytest.param(0.003, "3.00", 3, id="whole milliseconds"),
        pytest.param(0.0000001, "0.00", 1, id="next to nothing"),
        pytest.param(0, "0.00", 1, id="nothing at all"),
        pytest.param(1.5, "1500.00", 1500, id="a second and a half"),
        pytest.param(900, "900000.00", 900_000, id="15 minutes"),
    ],
)
def test_the_report_bills_the_next_whole_millisecond(
    duration_s: float, duration: str, billed: int
) -> None:
    lines = logs.end_lines("id", duration_s=duration_s, memory_limit_in_mb=128)
    assert re.fullmatch(
        r"END RequestId: id\n"
        rf"REPORT RequestId: id\tDuration: {duration} ms\tBilled Duration: {billed} ms\t"
        r"Memory Size: 128 MB\tMax Memory Used: \d+ MB\t\n",
        lines,
    )


@pytest.mark.parametrize(
    "status", ["Status: timeout", "Status: error\tError Type: Runtime.ExitError"]
)
def test_the_report_of_a_failed_attempt_has_a_status(status: str) -> None:
    lines = logs.end_lines("id", duration_s=1, memory_limit_in_mb=128, status=status)
    assert lines.endswith(f" MB\t{status}\t\n")
