"""What a function writes, kept with its attempt and still written where it always went.

Handlers print and log without knowing of us, several at once in one process. An attempt puts an
`AttemptLog` into a context variable; while it runs, whatever its thread (or its coroutine) writes
to ``sys.stdout``, ``sys.stderr`` or `logging` is copied there.

Two things of the process are touched, at the first attempt and only with
``Settings.capture_output``: ``sys.stdout`` and ``sys.stderr`` become thin wrappers that pass
everything on, and the log record factory is wrapped. The factory, not a handler on the root logger:
a handler would make a later `logging.basicConfig` do nothing and silence `logging.lastResort`.

Not seen: what C code or a subprocess writes to the file descriptors, ``sys.stdout.buffer``, and
threads that a handler starts itself (they begin with an empty context before Python 3.14). Seen
twice: records that a handler class with an ``emit`` of its own writes to ``sys.stderr``. The
wrappers are no `io.TextIOBase`, though they have all its methods.

START, END and REPORT lines are those of Lambda's text log format. They are written out when
somebody reads them, not for each attempt.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, TextIO, cast

from .names import LATEST
from .process import PerProcess


class AttemptLog:
    """The end of what one attempt wrote, at most ``max_chars`` of it. Safe from any thread."""

    __slots__ = ("_chunks", "_has_ended", "_lock", "_max_chars", "_size")

    def __init__(self, max_chars: int) -> None:
        self._max_chars = max_chars
        self._chunks: deque[str] = deque()
        self._size = 0
        self._has_ended = False
        self._lock = threading.Lock()

    def write(self, text: str) -> None:
        """Add ``text``, forgetting the oldest where it gets too much. Nothing after `end`."""
        with self._lock:
            if text and not self._has_ended:
                self._add(text)

    def end(self, text: str) -> None:
        """Add the last ``text``. What a handler past its deadline writes is not the attempt's."""
        with self._lock:
            if text:
                self._add(text)
            self._has_ended = True

    def text(self) -> str:
        """What is kept."""
        with self._lock:
            return "".join(self._chunks)

    def _add(self, text: str) -> None:
        text = text[-self._max_chars :]
        self._chunks.append(text)
        self._size += len(text)
        while self._size > self._max_chars:
            self._size -= len(self._chunks.popleft())


_current: ContextVar[AttemptLog | None] = ContextVar("invokeasync_wsgi.attempt_log", default=None)

#: Copies into a log what this context writes from here on; gives a token for `reset_current`.
set_current = _current.set
#: Ends what `set_current` began.
reset_current = _current.reset


def capture_process() -> None:
    """Make this process's streams and log records visible to attempts. Cheap when done already."""
    if type(sys.stdout) is _Tee and type(sys.stderr) is _Tee and _RecordFactory.installed:
        return
    with _installing.get():
        # Something that wraps one of ours and passes attributes on shows the mark, too.
        if sys.stdout is not None and not hasattr(sys.stdout, _Tee.MARK):
            sys.stdout = cast(TextIO, _Tee(sys.stdout))
        if sys.stderr is not None and not hasattr(sys.stderr, _Tee.MARK):
            sys.stderr = cast(TextIO, _Tee(sys.stderr))
        if not _RecordFactory.installed:
            logging.setLogRecordFactory(_RecordFactory(logging.getLogRecordFactory()))
            _RecordFactory.installed = True


_installing = PerProcess(lambda: threading.Lock())  # the name looked up late: see `process`


class _Tee:
    """A text stream that also writes to the current attempt's log; else the stream it wraps."""

    MARK = "_invokeasync_wsgi_tee"

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        setattr(self, self.MARK, True)

    def write(self, text: str) -> int:
        written = self._stream.write(text)
        log = _current.get()
        # A record that a StreamHandler writes here is in the log already, through the factory.
        if log is not None and sys._getframe(1).f_code is not _EMIT:
            log.write(text)
        return written

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __iter__(self) -> Iterator[str]:
        return iter(self._stream)

    def __enter__(self) -> _Tee:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stream.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._stream!r}>"


_EMIT = logging.StreamHandler.emit.__code__


class _RecordFactory:
    """Makes records as before, and copies those of an attempt into its log."""

    installed = False

    def __init__(self, make: Callable[..., logging.LogRecord]) -> None:
        self._make = make

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = self._make(*args, **kwargs)
        log = _current.get()
        # A record without a name is `logging.makeLogRecord`'s, which fills it in afterwards.
        if log is not None and record.name is not None:
            log.write(_format_record(record))
        return record


def _format_record(record: logging.LogRecord) -> str:
    """A record as Lambda's Python runtime formats it, less the request id that START tells."""
    line = f"[{record.levelname}]\t{timestamp(record.created)}\t"
    try:
        line += f"{record.getMessage()}\n"
        if record.exc_info:
            line += logging.Formatter().formatException(record.exc_info) + "\n"
    except Exception as exc:  # noqa: BLE001 - logging itself reports a broken format string
        line += f"{record.msg!r} ({type(exc).__name__}: {exc})\n"
    return line


def timestamp(moment: float) -> str:
    """A time in seconds since the epoch as log lines have it: ISO 8601, milliseconds, UTC.

    >>> timestamp(1577880000.5)
    '2020-01-01T12:00:00.500Z'
    """
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))
    return f"{whole}.{int(moment % 1 * 1000):03d}Z"


def start_line(request_id: str, version: str = LATEST) -> str:
    """The line before a function's output."""
    return f"START RequestId: {request_id} Version: {version}\n"


def end_lines(
    request_id: str,
    *,
    duration_s: float,
    memory_limit_in_mb: int,
    status: str = "",
) -> str:
    r"""The lines behind a function's output.

    Args:
        request_id: of the invocation.
        duration_s: of the attempt, in seconds; billed to the next whole millisecond, as on Lambda.
        memory_limit_in_mb: of the function.
        status: for a failed attempt, such as ``"Status: timeout"``.
    """
    duration_ms = duration_s * 1000
    billed_ms = max(int(-(-duration_ms // 1)), 1)
    report = [
        f"REPORT RequestId: {request_id}",
        f"Duration: {duration_ms:.2f} ms",
        f"Billed Duration: {billed_ms} ms",
        f"Memory Size: {memory_limit_in_mb} MB",
        f"Max Memory Used: {_max_memory_used_mb()} MB",
        *([status] if status else []),
    ]
    return f"END RequestId: {request_id}\n" + "\t".join(report) + "\t\n"


def _max_memory_used_mb() -> int:
    """The most this process has ever held: attempts share it, so it is not one attempt's own."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (1024 * 1024 if sys.platform == "darwin" else 1024)
