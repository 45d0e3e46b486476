"""Attempts in the request's own thread: before the answer, or right after it.

For tests, scripts and small sites. Nothing is queued, no thread is needed, any fork model works.
Retries and deliveries follow at once, without Lambda's waits. A handler past its deadline is not
interrupted: its attempt counts as timed out when it returns. What cannot be run at all (no such
version any more, a destination that does not answer) is tried four times, and lost with a log line.

With ``when="after"`` the handler runs in the ``close()`` of the response, which servers call once
the answer is out: gunicorn, uWSGI, cheroot, granian, Werkzeug and wsgiref have sent it by then,
waitress, mod_wsgi and tornado have not. The request's place in the server is taken until the end,
and the server's own timeout applies.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Literal

from ..clock import Clock
from ..errors import ConfigurationError
from ..invocation import Invocation
from ..retry import RetryAt
from . import AfterAnswer, Work, refuse_second_start

#: Tries, without a wait, of what could not be run. Those after it would fail like them.
MAX_BACK_OFFS = 3

logger = logging.getLogger(__name__)


class InlineExecutor:
    """Runs each event to its end in the thread that brings it.

    Args:
        when: ``"before"`` the answer, so that an answered event has run, or ``"after"`` it.
    """

    promise = "nothing to survive: it runs within the request"

    def __init__(self, *, when: Literal["before", "after"] = "before") -> None:
        if when not in ("before", "after"):
            raise ConfigurationError(f"inline: when={when!r}: it must be 'before' or 'after'")
        self._when = when

    def start(self, work: Work, clock: Clock) -> None:
        """See `Executor.start`."""
        refuse_second_start(self)
        self._work = work

    def submit(self, invocation: Invocation) -> AfterAnswer | None:
        """Run the event, or return what runs it after the answer."""
        if self._when == "after":
            return partial(self._run_to_the_end, invocation)
        self._run_to_the_end(invocation)
        return None

    def drain(self, timeout_s: float) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        """Nothing is held."""

    def _run_to_the_end(self, invocation: Invocation) -> None:
        decision = self._work.begin(invocation).run()
        while isinstance(decision, RetryAt):
            if decision.invocation.back_offs >= MAX_BACK_OFFS:
                logger.error("request %s could not be run, and is lost", invocation.request_id)
                return
            decision = self._work.begin(decision.invocation).run()
        for delivery in () if decision is None else decision.deliveries:
            self._run_to_the_end(delivery)
