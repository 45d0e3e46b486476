"""Who runs accepted events, where and when: the contract.

An executor takes events from the service (`Executor.submit`) and runs their attempts through the
`Work` it was started with. It never imports the service, and decides nothing about retries: each
attempt ends with a `Decision`, which it carries out as well as its flags say.

The smallest one that works::

    class Immediately:
        promise = "nothing to survive: it has run before the answer"

        def start(self, work, clock):
            self._work = work

        def submit(self, invocation):
            decision = self._work.begin(invocation).run()
            for delivery in getattr(decision, "deliveries", ()):
                self.submit(delivery)

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
from ..invocation import Invocation, Outcome
from ..retry import Decision


class AttemptToRun(Protocol):
    """One attempt, as executors see it. Ends once: by `run` or by `expire`."""

    @property
    def deadline(self) -> float:
        """When the attempt times out, in seconds of the clock's ``monotonic``."""

    @property
    def outcome(self) -> Outcome | None:
        """What the attempt came to, once it has ended; ``None`` when there was none to make."""

    def run(self) -> Decision | None:
        """Run the handler in this thread. ``None`` when `expire` ended the attempt meanwhile.

        Raises nothing of the handler's; only what a signal handler raises goes through.
        """

    def expire(self) -> Decision | None:
        """End the attempt as timed out, from another thread. ``None`` when it ended before."""


class Work(Protocol):
    """What executors run, and what they must know of it. Safe from any thread."""

    def begin(self, invocation: Invocation) -> AttemptToRun:
        """Begin an attempt of an event: its time runs from the call. Raises nothing."""

    def concurrency(self, function_name: str) -> float:
        """How many attempts of a function may run at once, over all that share a queue.

        ``math.inf`` where nothing limits it, 0 for a function that this process does not have.
        """

    def refresh(self) -> bool:
        """See now what clients have set, for executors that hear of it first; whether it is seen.

        Raises:
            StoreError: it cannot be read, and could not for a while.
        """

    def function_count(self) -> int:
        """How many functions there are; deliveries to one destination count as one more."""


#: What is to be called when the answer has been sent.
AfterAnswer = Callable[[], None]


class Executor(Protocol):
    """The contract of executors.

    An executor is made at import, before servers fork, so making and starting one must start
    nothing: threads, locks and connections come with the first event in each process
    (`invokeasync_wsgi.process.PerProcess`), or with `process.start_all` for those that have
    something to do before that (`process.at_worker_start`).
    """

    #: What an accepted event survives, in a few words, for people.
    promise: str

    # One that keeps events may have an attribute `overrides` besides, a `store.OverridesStore` for
    # what clients set through the API; with others that lasts as long as the process. And one that
    # asks `Work.concurrency` may have a method `wake()`, called when there may be another answer.

    def start(self, work: Work, clock: Clock) -> None:
        """Learn how to run attempts. Called once, before any event, in the parent of all workers.

        Args:
            work: begins attempts.
            clock: measures all waits.

        Raises:
            ConfigurationError: the executor cannot work here.
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
    """Refuse to start an executor that has its ``_work`` already.

    An instance given to two middlewares would run the events of one with the functions of the
    other.

    Raises:
        ConfigurationError: it was started before.
    """
    if hasattr(executor, "_work"):
        raise ConfigurationError(
            f"executor {executor!r} serves another application already; give each its own"
        )


def check_whole_number(kind: str, name: str, value: object, low: int) -> None:
    """Refuse an option of an executor that is no whole number, or below ``low``.

    Raises:
        ConfigurationError: naming the executor's kind, the option, the value and what is allowed.
    """
    if type(value) is not int or value < low:
        raise ConfigurationError(
            f"{kind}: {name}={value!r}: it must be a whole number, {low} or more"
        )
