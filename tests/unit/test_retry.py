"""retry.py: should it run again, and when?"""

from __future__ import annotations

from dataclasses import replace

import pytest

from invokeasync_wsgi import Invocation, Outcome, retry
from invokeasync_wsgi.config import AsyncSettings
from invokeasync_wsgi.testing import FakeClock

ACCEPTED_AT = 1577836800.0
INVOCATION = Invocation(
    request_id="4c7a6e5e-2f0c-4f0e-8e0e-0d4c5a3b2a1f",
    function_name="f",
    payload=b"{}",
    accepted_at=ACCEPTED_AT,
)
RETURNED = Outcome(b"null", None, "$LATEST", 0.0, "application/json", str)
FAILED = RETURNED._replace(payload=b"{}", function_error="Unhandled")

EXHAUSTED = retry.GiveUp("RetriesExhausted")
TOO_OLD = retry.GiveUp("EventAgeExceeded")


def live(settings: AsyncSettings, *, handler_s: float = 0) -> list[tuple[float, retry.Decision]]:
    """The life of an event whose every attempt fails: when each ended, and what was decided."""
    clock = FakeClock(ACCEPTED_AT)
    invocation, decisions = INVOCATION, []
    while True:
        clock.advance(handler_s)
        now = clock.time()
        decision = retry.decide(invocation, FAILED, now=now, settings=settings)
        decisions.append((now - ACCEPTED_AT, decision))
        if not isinstance(decision, retry.RetryAt):
            return decisions
        clock.advance(decision.due - now)
        invocation = replace(invocation, attempt=invocation.attempt + 1)


@pytest.mark.parametrize("attempt", [1, 2, 3])
def test_a_handler_that_returned_is_not_run_again(attempt: int) -> None:
    decision = retry.decide(
        replace(INVOCATION, attempt=attempt),
        RETURNED,
        now=ACCEPTED_AT + 100_000,
        settings=AsyncSettings(maximum_retry_attempts=0),
    )
    assert decision == retry.SUCCEEDED == retry.Succeeded()


def test_by_default_two_attempts_follow_after_one_minute_and_two() -> None:
    assert live(AsyncSettings()) == [
        (0, retry.RetryAt(ACCEPTED_AT + 60)),
        (60, retry.RetryAt(ACCEPTED_AT + 180)),
        (180, EXHAUSTED),
    ]


def test_waits_count_from_the_end_of_an_attempt() -> None:
    assert [at for at, _ in live(AsyncSettings(), handler_s=5)] == [5, 70, 195]


@pytest.mark.parametrize(
    ("settings", "attempts", "last"),
    [
        pytest.param(AsyncSettings(maximum_retry_attempts=0), 1, EXHAUSTED, id="no retry"),
        pytest.param(AsyncSettings(maximum_retry_attempts=1), 2, EXHAUSTED, id="one retry"),
        pytest.param(AsyncSettings(maximum_retry_attempts=2), 3, EXHAUSTED, id="two retries"),
        pytest.param(
            AsyncSettings(maximum_event_age_s=90), 2, TOO_OLD, id="90 s: two minutes do not fit"
        ),
        pytest.param(
            AsyncSettings(maximum_event_age_s=179), 2, TOO_OLD, id="179 s: nor do they here"
        ),
        pytest.param(
            AsyncSettings(maximum_event_age_s=180), 3, EXHAUSTED, id="180 s: both waits fit"
        ),
        pytest.param(
            AsyncSettings(maximum_event_age_s=60), 2, TOO_OLD, id="60 s: the first wait just fits"
        ),
        pytest.param(
            AsyncSettings(maximum_event_age_s=60, maximum_retry_attempts=1),
            2,
            EXHAUSTED,
            id="retries used up come before age",
        ),
        pytest.param(
            AsyncSettings(retry_waits_s=(1.0,)), 3, EXHAUSTED, id="the last wait is used again"
        ),
        pytest.param(AsyncSettings(retry_waits_s=(0.0,)), 3, EXHAUSTED, id="no waits"),
        pytest.param(
            AsyncSettings(retry_waits_s=(float("inf"),)), 1, TOO_OLD, id="a wait without an end"
        ),
        pytest.param(
            AsyncSettings(retry_waits_s=(1.0, 2.0, 3.0, 4.0)), 3, EXHAUSTED, id="waits left over"
        ),
    ],
)
def test_an_event_is_given_up(settings: AsyncSettings, attempts: int, last: retry.Decision) -> None:
    decisions = live(settings)
    assert len(decisions) == attempts
    assert decisions[-1][1] == last


def test_a_60_s_event_whose_handler_took_any_time_is_given_up_after_one_attempt() -> None:
    """As recorded: maximum age 60 with two retries, one attempt, ``EventAgeExceeded``."""
    decisions = live(AsyncSettings(maximum_event_age_s=60), handler_s=0.1)
    assert [decision for _, decision in decisions] == [TOO_OLD]


@pytest.mark.parametrize(
    ("age_s", "decision"),
    [
        pytest.param(30.0, retry.RetryAt(ACCEPTED_AT + 90), id="just in time"),
        pytest.param(30.25, TOO_OLD, id="a started second counts as a whole one"),
        pytest.param(29.25, retry.RetryAt(ACCEPTED_AT + 89.25), id="also where it still fits"),
        pytest.param(91.0, TOO_OLD, id="too old already"),
        pytest.param(-5.0, retry.RetryAt(ACCEPTED_AT + 55), id="the clock was set back"),
    ],
)
def test_an_event_that_would_be_too_old_by_then_is_not_waited_for(
    age_s: float, decision: retry.Decision
) -> None:
    settings = AsyncSettings(maximum_event_age_s=90)
    now = ACCEPTED_AT + age_s
    assert retry.decide(INVOCATION, FAILED, now=now, settings=settings) == decision
