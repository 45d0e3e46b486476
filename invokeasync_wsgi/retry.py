"""Should it run again, and when? One pure decision, taken after every attempt.

Lambda's rules for asynchronous invocations (Developer Guide, "Asynchronous invocation", and
recordings of November 2025): a failed attempt is followed by up to two more, one minute and then
two minutes later. An event that would be older than its maximum age by then is given up at once,
without waiting for the age to pass.

A worked example, with the defaults: failures at 0 s, 60 s and 180 s, then `GiveUp` with
``RetriesExhausted``. With a maximum age of 90 s: failures at 0 s and 60 s, then at 60 s `GiveUp`
with ``EventAgeExceeded``, because 60 + 120 is past 90.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from .config import AsyncSettings
from .invocation import Invocation, Outcome


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The handler returned; nothing is left to do."""


@dataclass(frozen=True, slots=True)
class RetryAt:
    """Run the next attempt at ``due``."""

    #: Seconds since the epoch.
    due: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No attempt will follow."""

    #: AWS's word for why, as destination records carry it.
    condition: Literal["RetriesExhausted", "EventAgeExceeded"]


Decision = Succeeded | RetryAt | GiveUp

SUCCEEDED = Succeeded()


def decide(
    invocation: Invocation, outcome: Outcome, *, now: float, settings: AsyncSettings
) -> Decision:
    """What follows an attempt.

    Args:
        invocation: as it was when the attempt started.
        outcome: what the attempt came to.
        now: seconds since the epoch.
        settings: those of the invoked function.
    """
    if outcome.function_error is None:
        return SUCCEEDED
    if invocation.attempt > settings.maximum_retry_attempts:
        return GiveUp("RetriesExhausted")
    wait_s = settings.retry_waits_s[min(invocation.attempt, len(settings.retry_waits_s)) - 1]
    age_s = math.ceil(now - invocation.accepted_at)
    if age_s + wait_s > settings.maximum_event_age_s:
        return GiveUp("EventAgeExceeded")
    return RetryAt(now + wait_s)
