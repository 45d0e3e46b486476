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
import contextvars
import logging
import os
import signal
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

from .clock import SystemClock

_T = TypeVar("_T")

#: Finishes what one holder of threads has accepted: given the seconds of real time that it may
#: take, returns when done. Idempotent.
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


#: What is to be started in each worker process; filled before servers fork.
_starts: list[weakref.WeakMethod[Callable[[], None]]] = []


def at_worker_start(start: Callable[[], None]) -> None:
    """Have a method called by `start_all`, as long as its object is there.

    For what should not wait for the first request.
    """
    _starts.append(weakref.WeakMethod(start))


def start_all() -> None:
    """Start in this process what has asked for it; idempotent, as what is called must be.

    Called by whoever knows that this process is a worker: gunicorn's ``post_worker_init`` hook, the
    command line, an application's own post-fork hook.
    """
    for reference in _starts:
        start = reference()
        if start is not None:
            try:
                start()
            except Exception:
                # The worker serves all the same; what could not be started is tried again later.
                logger.exception("something could not be started; the others are")


class _Armed:
    """What is to be drained in one process."""

    def __init__(self) -> None:
        #: Each drain, and what closes the door before it.
        self.drains: list[tuple[Drain, Callable[[], None]]] = []
        self.watches_the_end = False


_armed = PerProcess(_Armed)


def arm(drain: Drain, refuse: Callable[[], None] = lambda: None) -> None:
    """Have ``drain`` called before this process ends, or earlier by `drain_all`.

    Call it when threads are started, not before: it concerns this process only.

    Args:
        drain: finishes what was accepted.
        refuse: has nothing more accepted, and returns at once.
    """
    armed = _armed.get()
    armed.drains.append((drain, refuse))
    if not armed.watches_the_end:
        armed.watches_the_end = True
        _drain_at_the_end(os.getpid())


def disarm(drain: Drain) -> None:
    """Forget ``drain``; unknown ones are no error."""
    armed = _armed.peek()
    if armed is not None:
        armed.drains = [pair for pair in armed.drains if pair[0] != drain]


def drain_all(timeout_s: float = DEFAULT_DRAIN_TIMEOUT_S) -> None:
    """Drain everything armed in this process; returns when all are done.

    Everything stops accepting first. An exception that ends this call (a server's SystemExit, an
    impatient ctrl-C) leaves what is not drained armed for the next call.

    Args:
        timeout_s: what all of them may take together, in seconds. They run one after the other.
    """
    armed = _armed.peek()
    if armed is None:
        return
    deadline = SystemClock.monotonic() + timeout_s
    for _, refuse in armed.drains:
        refuse()
    while armed.drains:
        drain, _ = armed.drains[-1]
        try:
            drain(max(deadline - SystemClock.monotonic(), 0))
        except Exception:
            logger.exception("a drain failed; the others go on")
        disarm(drain)


def start_thread(name: str, target: Callable[..., None], *args: object) -> None:
    """Start a daemon thread with an empty context.

    Python 3.14 can let threads inherit the context of whoever starts them. A pool's threads would
    then keep the context variables of the first request, and its user's data in them, for ever.

    Raises:
        RuntimeError: no thread can be started.
    """
    thread = threading.Thread(target=target, args=args, name=f"invokeasync-{name}", daemon=True)
    contextvars.Context().run(thread.start)


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


def _drain_at_the_end(pid: int) -> None:
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
