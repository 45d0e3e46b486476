"""Is there room for one more? And what a caller hears when there is not.

Lambda answers 429 with a ``Reason`` and ``Retry-After`` when it has no capacity, and boto3 and the
other SDKs try again by themselves. Everything that is not a question of capacity (an executor that
raises, a process that is ending) is a 5xx: nothing was accepted, so trying again duplicates
nothing.
"""

from __future__ import annotations

import logging
import threading

from .errors import (
    AWSError,
    ExecutorClosed,
    QueueFull,
    ServiceException,
    ServiceUnavailableException,
    StoreError,
    TooManyRequestsException,
)
from .process import PerProcess

logger = logging.getLogger(__name__)


#: Why there is no capacity: AWS's words.
ALL_IN_USE = "ConcurrentInvocationLimitExceeded"
RESERVED_IN_USE = "ReservedFunctionConcurrentInvocationLimitExceeded"
CALLER_RATE = "CallerRateLimitExceeded"


class Gate:
    """Lets a bounded number of synchronous invocations of this process through at a time.

    Args:
        reason: what the others are told.
    """

    def __init__(self, reason: str = ALL_IN_USE) -> None:
        self._reason = reason
        self._inside = PerProcess(_Inside)

    def enter(self, places: int) -> None:
        """Take a place; whoever takes one calls `leave` once.

        Args:
            places: how many there are now; 0 lets nobody through.

        Raises:
            TooManyRequestsException: there is none.
        """
        inside = self._inside.get()
        with inside.lock:
            if inside.number >= places:
                raise too_many_requests(1, self._reason)
            inside.number += 1

    def leave(self) -> None:
        """Give the place back, from any thread."""
        inside = self._inside.get()
        with inside.lock:
            inside.number -= 1


class _Inside:
    """How many one process has let through."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.number = 0


def refusal(exc: Exception, function_name: str) -> AWSError:
    """What the caller is told when an executor raised ``exc`` instead of taking an event."""
    if isinstance(exc, AWSError):
        return exc
    if isinstance(exc, QueueFull):
        return too_many_requests(exc.retry_after_s)
    if isinstance(exc, ExecutorClosed):
        return ServiceUnavailableException(str(exc))
    # A store says what is wrong in a line, and says it for every event while its disk is full.
    trace = None if isinstance(exc, StoreError) else exc
    logger.error("no event for function %s was accepted: %s", function_name, exc, exc_info=trace)
    return ServiceException("The event could not be accepted. Try again.")


def too_many_requests(retry_after_s: int, reason: str = ALL_IN_USE) -> TooManyRequestsException:
    """AWS's answer for want of capacity, its text and spelling as recorded."""
    return TooManyRequestsException(
        "Rate Exceeded.",
        reason=reason,
        headers=[("Retry-After", str(retry_after_s))],
    )
