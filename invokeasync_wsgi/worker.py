"""Attempts in processes of their own: ``invokeasync-wsgi worker``, and who looks after it.

`run` is one such process: no socket, no request, only the threads of a durable executor. For
handlers that compute, which would keep web processes from answering, and for more of them than web
processes. Any number may share a file with any number of web processes.

`supervise` starts processes, replaces those that end, and ends with all of them. They end with it,
too, however it ends (on Linux; elsewhere they are left alone by a ``kill -9`` of it).
"""

from __future__ import annotations

import logging
import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence

from . import process
from .clock import SystemClock
from .errors import ConfigurationError, StoreError
from .executors import Executor
from .executors.durable import DurableExecutor

logger = logging.getLogger(__name__)

#: Seconds between two looks after the processes, and between two starts of the same one.
_LOOK_S = 0.2
_RESTART_S = 1.0

_PR_SET_PDEATHSIG = 1


def run(executor: Executor, *, workers: int | None, drain_timeout_s: float) -> None:
    """Run attempts in this process until SIGTERM or SIGINT, then drain.

    Args:
        executor: a started `DurableExecutor`.
        workers: attempts at once; the executor's own number when left out, or 8 where that is 0.
        drain_timeout_s: seconds for what is running by then; the rest is given back.

    Raises:
        ConfigurationError: the executor does not keep events where several processes get at them.
    """
    if not isinstance(executor, DurableExecutor):
        raise ConfigurationError(
            f"executor: {type(executor).__name__} keeps no events that other processes can run; "
            "'sqlite:///invocations.db' does"
        )
    executor.resize(workers or executor.workers or 8)
    stop = _StopSignals()
    while not (_has_resumed(executor) or stop.wait(_RESTART_S)):
        pass
    stop.wait(None)
    process.drain_all(drain_timeout_s)
    stop.ignore()


def _has_resumed(executor: DurableExecutor) -> bool:
    try:
        executor.resume()
    except StoreError as exc:  # a full disk, for one: it will have room again
        logger.warning("the queue cannot be used; next try in %g s: %s", _RESTART_S, exc)
        return False
    return True


def supervise(commands: Sequence[Sequence[str]]) -> None:
    """Run commands in processes of their own until SIGTERM or SIGINT, which they get too.

    One that ends is started again, a second later at the earliest; except when one ends with the
    exit status that says that it cannot run (2): then all end, and so does this.

    Raises:
        SystemExit: with the status of a command that cannot run.
    """
    stop = _StopSignals()
    clock = SystemClock()
    children = [_Child(command) for command in commands]
    try:
        while not stop.wait(_LOOK_S):
            for child in children:
                status = child.process.poll()
                if status == 2:
                    raise SystemExit(status)
                if status is not None and clock.monotonic() >= child.started_at + _RESTART_S:
                    logger.error("a process ended with %d; starting another", status)
                    child.start()
    finally:
        for child in children:
            child.process.terminate()
        for child in children:
            child.process.wait()


def end_with(parent_pid: int) -> None:
    """Have this process told to end (SIGTERM) when its parent is gone, where the system can."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent_pid:  # it was gone already
            os.kill(os.getpid(), signal.SIGTERM)


class _Child:
    """A process that is started again when it ends."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self.start()

    def start(self) -> None:
        self.started_at = SystemClock.monotonic()
        self.process = subprocess.Popen(self._command)  # noqa: S603 - our own command line


class _StopSignals:
    """SIGTERM and SIGINT, waited for in the main thread.

    A pipe and not an event: a signal handler that takes a lock can find it taken by the very code
    that it interrupted. Written by the interpreter in whatever thread the system interrupts: when
    two signals come together that may be another than the main one, which then sleeps on.
    """

    def __init__(self) -> None:
        self._came, tell = os.pipe()
        self._has_come = False
        os.set_blocking(tell, False)
        signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, frame: None)

    def ignore(self) -> None:
        """Heed no more of them: a process that ends well should not be said to be killed.

        At its end the interpreter gives signals with handlers back to the system, which kills.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)

    def wait(self, timeout_s: float | None) -> bool:
        """Whether one of them has come; waits for it up to ``timeout_s`` seconds."""
        while not self._has_come and select.select([self._came], [], [], timeout_s)[0]:
            # Other signals that have handlers of the application's are told of here, too.
            came = os.read(self._came, 64)
            self._has_come = not {signal.SIGTERM, signal.SIGINT}.isdisjoint(came)
        return self._has_come
