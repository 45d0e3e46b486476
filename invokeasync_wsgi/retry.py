"""Should it run again, and when? Pure decisions, taken before and after every attempt.

Lambda's rules for asynchronous invocations (Developer Guide, "Asynchronous invocation", and
recordings of November 2025): a failed attempt is followed by up to two more, one minute and then
two minutes later. An event that would be older than its maximum age by then is given up at once,
without waiting for the age to pass. What was no attempt at all (a throttle, a system error) is
tried again after 1 second, then 2, 4 and so on to 5 minutes, and uses up no retry.

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

#: Seconds before the first and before every late try of what was no attempt. Lambda's.
FIRST_BACK_OFF_S = 1.0
LONGEST_BACK_OFF_S = 300.0

#: Runs of one function in a chain of invocations that call each other; the next is stopped.
MAX_CHAIN = 16

#: Why no attempt follows: AWS's words in destination records. For a stopped recursion AWS's is not
#: known; ours is derived from its metric's.
Condition = Literal[
    "RetriesExhausted", "EventAgeExceeded", "ZeroReservedConcurrency", "RecursiveInvocation"
]


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The handler returned; no attempt will follow."""

    #: Events to accept in the same step: what destinations get.
    deliveries: tuple[Invocation, ...] = ()


@dataclass(frozen=True, slots=True)
class RetryAt:
    """Put the event back into the queue."""

    #: The event as it is to be queued: `Invocation.attempt` is the number of its next attempt.
    invocation: Invocation
    #: When it may run, in seconds since the epoch.
    due: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No attempt will follow."""

    #: Why, as destination records carry it.
    condition: Condition
    #: Events to accept in the same step: what destinations and dead-letter targets get.
    deliveries: tuple[Invocation, ...] = ()


Decision = Succeeded | RetryAt | GiveUp

SUCCEEDED = Succeeded()


def refuse(
    invocation: Invocation,
    *,
    now: float,
    settings: AsyncSettings,
    reserved_concurrency: int | None = None,
    chain: int = 1,
) -> Condition | None:
    """Why an event is given up instead of being run now; ``None`` when it is to be run.

    Args:
        invocation: an event that is due.
        now: seconds since the epoch.
        settings: the function's.
        reserved_concurrency: the function's, or ``None``.
        chain: which run of its function in one chain of invocations this would be, from 1.
    """
    if reserved_concurrency == 0:
        return "ZeroReservedConcurrency"
    # Rounded down, where a wait is rounded up: an event whose wait just fitted is not too old at
    # the end of it.
    if math.floor(now - invocation.accepted_at) > settings.maximum_event_age_s:
        return "EventAgeExceeded"
    if settings.recursive_loop == "Terminate" and chain > MAX_CHAIN:
        return "RecursiveInvocation"
    return None


def decide(
    invocation: Invocation, outcome: Outcome, *, now: float, settings: AsyncSettings
) -> Decision:
    """What follows an attempt.

    Args:
        invocation: as it was run; its ``attempt`` is the number of the attempt that just ended.
        outcome: what the attempt came to.
        now: seconds since the epoch, when the attempt ended.
        settings: the function's.
    """
    if outcome.function_error is None:
        return SUCCEEDED
    if invocation.attempt > settings.maximum_retry_attempts:
        return GiveUp("RetriesExhausted")
    wait_s = settings.retry_waits_s[min(invocation.attempt, len(settings.retry_waits_s)) - 1]
    return _wait(invocation, invocation.next_attempt(), wait_s, now, settings)


def back_off(invocation: Invocation, *, now: float, settings: AsyncSettings) -> RetryAt | GiveUp:
    """What follows when no attempt could be made: a throttle, or an error that is ours.

    Args:
        invocation: the event that could not be run.
        now: seconds since the epoch.
        settings: the function's.
    """
    wait_s = min(FIRST_BACK_OFF_S * 2 ** min(invocation.back_offs, 16), LONGEST_BACK_OFF_S)
    return _wait(invocation, invocation.put_off(), wait_s, now, settings)


def _wait(
    invocation: Invocation, next_: Invocation, wait_s: float, now: float, settings: AsyncSettings
) -> RetryAt | GiveUp:
    age_s = math.ceil(now - invocation.accepted_at)
    if age_s + wait_s > settings.maximum_event_age_s:
        return GiveUp("EventAgeExceeded")
    return RetryAt(next_, now + wait_s)
