"""Events handed to a callable of yours, which sends them wherever it likes.

For a queue or scheduler that you have already. `Invocation.to_json` and `Invocation.from_json`
carry an event over, and `invokeasync_wsgi.run_attempt` runs one attempt on the other side. The
promise and the retries are those of your backend.
"""

from __future__ import annotations

from collections.abc import Callable

from ..clock import Clock
from ..errors import ConfigurationError
from ..invocation import Invocation
from . import Work


class CallbackExecutor:
    """Takes an event by calling ``callback`` with it, in the request's thread.

    Args:
        callback: gets the `Invocation`. When it returns, the event is taken; whatever it raises
            means that it is not, and the caller gets 500 (`QueueFull`: 429).
    """

    promise = "whatever the callback's backend promises"

    def __init__(self, callback: Callable[[Invocation], object]) -> None:
        if not callable(callback):
            raise ConfigurationError(f"callback: {callback!r} is not callable")
        self._callback = callback

    def start(self, work: Work, clock: Clock) -> None:
        """Attempts run elsewhere."""

    def submit(self, invocation: Invocation) -> None:
        """Call the callback."""
        self._callback(invocation)

    def drain(self, timeout_s: float) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        """Nothing is held."""
