"""What belongs to one process: state made after the fork, and the drain before the end.

WSGI servers fork, and nobody tells a library reliably when: uWSGI forks in C and fires no
`os.register_at_fork` callback. So nothing that cannot survive a fork (threads, locks, queues,
connections) is made before its first use, and whoever holds such a thing asks for it by process
id each time (`PerProcess`, 0.2 µs).

The end of a process is just as badly announced, so three things start the drain and the first one
wins: an explicit `drain_all` (gunicorn's ``worker_exit`` hook, a test, `drain_on_sigterm`), a
callback of `threading._register_atexit` (runs while threads and executors still work, though some
releases of Python 3.12 and 3.13 start no new thread by then), and `atexit` (the last resort). Each
looks at the process id, because forked children inherit the callbacks of their parents.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from .clock import SystemClock

_T = TypeVar("_T")

#: Ends the work of one holder of threads: given the seconds it may take, returns when done.
Drain = Callable[[float], None]

#: Under ``docker stop``'s 10 s, with time left for the server's own end.
DEFAULT_DRAIN_TIMEOUT_S = 8.0

logger = logging.getLogger(__name__)


class PerProcess(Generic[_T]):
    """One value for each process, made at its first use there.

    ``make`` may be called by two threads at once; one of the two values is used and the other is
    dropped, so ``make`` must start nothing.
    """

    __slots__ = ("_make", "_values")

    def __init__(self, make: Callable[[], _T]) -> None:
        self._make = make
        self._values: dict[int, _T] = {}

    def get(self) -> _T:
        """This process's value; made now if there is none."""
        pid = os.getpid()
        try:
            return self._values[pid]
        except KeyError:
            # A parent's value stays where it is: collecting it here could close what the parent
            # still uses (SQLite, for one, forbids touching an inherited connection at all).
            return self._values.setdefault(pid, self._make())

    def peek(self) -> _T | None:
        """This process's value, or ``None`` when it has not been used here yet."""
        return self._values.get(os.getpid())


_drains: PerProcess[list[Drain]] = PerProcess(list)


def arm(drain: Drain) -> None:
    """Have ``drain`` called once before this process ends, or earlier by `drain_all`.

    Call it when threads are started, not before: it concerns this process only.
    """
    drains = _drains.get()
    if not drains:
        _call_before_exit(os.getpid())
    drains.append(drain)


def disarm(drain: Drain) -> None:
    """Forget ``drain``; unknown ones are no error."""
    drains = _drains.peek()
    if drains is not None and drain in drains:
        drains.remove(drain)


def drain_all(timeout_s: float = DEFAULT_DRAIN_TIMEOUT_S) -> None:
    """Drain everything armed in this process, each thing once; returns when all are done.

    Args:
        timeout_s: what all of them may take together, in seconds. They run one after the other.
    """
    drains = _drains.peek()
    if drains is None:
        return
    deadline = SystemClock.monotonic() + timeout_s
    while drains:
        drain = drains.pop()
        try:
            drain(max(deadline - SystemClock.monotonic(), 0))
        except Exception:
            logger.exception("a drain failed; the others go on")


def drain_on_sigterm() -> bool:
    """Make SIGTERM end this process through the drain, where it would otherwise just die.

    For servers that leave SIGTERM at its default: waitress, cheroot, Werkzeug, wsgiref, uvicorn
    with one process. A no-op, returning ``False``, where somebody handles the signal already (a
    gunicorn worker) and outside of the main thread. Not done by default: signals belong to the
    application.
    """
    if threading.current_thread() is not threading.main_thread():
        return False
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return False
    signal.signal(signal.SIGTERM, _exit_on_signal)
    return True


def _exit_on_signal(signum: int, frame: object) -> None:
    sys.exit(128 + signum)


def _call_before_exit(pid: int) -> None:
    """Register the two drains that need no help from the server."""

    def drain_here() -> None:
        if os.getpid() == pid:
            drain_all()

    # Callbacks run in reverse order: importing the pool's module first makes ours run before its,
    # while handlers can still use executors. The function is private (3.9+), hence the care; it
    # raises RuntimeError once the interpreter is going down.
    import concurrent.futures.thread  # noqa: F401

    register = getattr(threading, "_register_atexit", None)
    if register is not None:
        try:
            register(drain_here)
        except RuntimeError:
            logger.debug("the interpreter is shutting down; only atexit is left")
    atexit.register(drain_here)
