"""Who runs accepted events, where and when: the contract.

An executor takes events from the service (`Executor.submit`) and runs their attempts through the
callable it was started with. It never imports the service, and decides nothing about retries: each
attempt ends with a `Decision`, which it carries out as well as its flags say.

The smallest one that works::

    class Immediately:
        promise = "nothing to survive: it has run before the answer"

        def start(self, begin, clock):
            self._begin = begin

        def submit(self, invocation):
            self._begin(invocation).run()

        def drain(self, timeout_s):
            pass

        def close(self):
            pass
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ..clock import Clock
from ..errors import ConfigurationError
from ..invocation import Invocation
from ..retry import Decision


class AttemptToRun(Protocol):
    """One attempt, as executors see it. Ends once: by `run` or by `expire`."""

    @property
    def deadline(self) -> float:
        """When the attempt times out, in seconds of the clock's ``monotonic``."""

    def run(self) -> Decision | None:
        """Run the handler in this thread. ``None`` when `expire` ended the attempt meanwhile.

        Raises nothing of the handler's; only what a signal handler raises goes through.
        """

    def expire(self) -> Decision | None:
        """End the attempt as timed out, from another thread. ``None`` when it ended before."""


#: Begins an attempt of an invocation: its time runs from the call.
Begin = Callable[[Invocation], AttemptToRun]

#: What is to be called when the answer has been sent.
AfterAnswer = Callable[[], None]


class Executor(Protocol):
    """The contract of executors.

    An executor is made at import, before servers fork, so making and starting one must start
    nothing: threads, locks and connections come with the first event in each process
    (`invokeasync_wsgi.process.PerProcess`).
    """

    #: What an accepted event survives, in a few words, for people.
    promise: str

    def start(self, begin: Begin, clock: Clock) -> None:
        """Learn how to run attempts. Called once, before any event, in the parent of all workers.

        Args:
            begin: begins an attempt; safe from any thread.
            clock: measures all waits.
        """

    def submit(self, invocation: Invocation) -> AfterAnswer | None:
        """Take an event. When this returns, the promise holds, and the caller gets a 202.

        Called by many threads at once.

        Returns:
            ``None``, or something that the door calls once the answer has been sent.

        Raises:
            QueueFull: no room; the caller gets 429.
            ExecutorClosed: draining; the caller gets 503.
            Exception: anything else; the caller gets 500. In each case the event is not taken.
        """

    def drain(self, timeout_s: float) -> None:
        """Finish what this process has accepted, in at most ``timeout_s`` seconds.

        An executor that keeps events takes no more from then on. Returns when all is done or time
        is up, and logs the request ids of what was not finished.
        """

    def close(self) -> None:
        """Let go of this process's threads and connections, without waiting. Idempotent."""


def refuse_second_start(executor: object) -> None:
    """Refuse to start an executor that has its ``_begin`` already.

    An instance given to two middlewares would run the events of one with the functions of the
    other.

    Raises:
        ConfigurationError: it was started before.
    """
    if hasattr(executor, "_begin"):
        raise ConfigurationError(
            f"executor {executor!r} serves another application already; give each its own"
        )
