"""retry.py: should it run again, and when?"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
        invocation = decision.invocation


def attempt(number: int, **values: Any) -> Invocation:
    return replace(INVOCATION, attempt=number, **values)


# --- after an attempt -------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_handler_that_returned_is_not_run_again(number: int) -> None:
    decision = retry.decide(
        attempt(number),
        RETURNED,
        now=ACCEPTED_AT + 100_000,
        settings=AsyncSettings(maximum_retry_attempts=0),
    )
    assert decision == retry.SUCCEEDED == retry.Succeeded()


def test_by_default_two_attempts_follow_after_one_minute_and_two() -> None:
    assert live(AsyncSettings()) == [
        (0, retry.RetryAt(attempt(2), ACCEPTED_AT + 60)),
        (60, retry.RetryAt(attempt(3), ACCEPTED_AT + 180)),
        (180, EXHAUSTED),
    ]


def test_what_is_queued_again_is_the_event_with_nothing_but_the_attempts_number_new() -> None:
    event = replace(
        INVOCATION,
        qualifier="live",
        payload=b'{ "a": 1.0 }',
        client_context="{}",
        trace_id="Root=1",
        tenant_id="t",
    )
    decision = retry.decide(event, FAILED, now=ACCEPTED_AT, settings=AsyncSettings())
    assert decision == retry.RetryAt(replace(event, attempt=2), ACCEPTED_AT + 60)


def test_a_failed_attempt_ends_the_rows_of_back_offs_and_interruptions() -> None:
    event = replace(INVOCATION, back_offs=7, interruptions=2)
    decision = retry.decide(event, FAILED, now=ACCEPTED_AT, settings=AsyncSettings())
    assert decision == retry.RetryAt(attempt(2), ACCEPTED_AT + 60)


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
    ("age_s", "due_s"),
    [
        pytest.param(30.0, 90, id="just in time"),
        pytest.param(30.25, None, id="a started second counts as a whole one"),
        pytest.param(29.25, 89.25, id="also where it still fits"),
        pytest.param(91.0, None, id="too old already"),
        pytest.param(-5.0, 55, id="the clock was set back"),
    ],
)
def test_an_event_that_would_be_too_old_by_then_is_not_waited_for(
    age_s: float, due_s: float | None
) -> None:
    settings = AsyncSettings(maximum_event_age_s=90)
    decision = retry.decide(INVOCATION, FAILED, now=ACCEPTED_AT + age_s, settings=settings)
    follows = TOO_OLD if due_s is None else retry.RetryAt(attempt(2), ACCEPTED_AT + due_s)
    assert decision == follows


# --- where no attempt could be made -----------------------------------------------------------


def put_off(settings: AsyncSettings) -> list[tuple[float, retry.RetryAt | retry.GiveUp]]:
    """The life of an event that nobody can ever run: when each try was, and what was decided."""
    clock = FakeClock(ACCEPTED_AT)
    invocation, decisions = INVOCATION, []
    while True:
        now = clock.time()
        decision = retry.back_off(invocation, now=now, settings=settings)
        decisions.append((now - ACCEPTED_AT, decision))
        if not isinstance(decision, retry.RetryAt):
            return decisions
        clock.advance(decision.due - now)
        invocation = decision.invocation


def test_what_cannot_be_run_waits_for_1_second_then_2_and_so_on_to_5_minutes() -> None:
    decisions = put_off(AsyncSettings())
    moments = [at for at, _ in decisions]
    waits = [later - sooner for sooner, later in itertools.pairwise(moments)]
    assert waits[:12] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    assert set(waits[12:]) == {300}


def test_it_is_tried_for_six_hours_and_given_up_as_soon_as_no_wait_fits() -> None:
    decisions = put_off(AsyncSettings())
    at, last = decisions[-1]
    assert last == TOO_OLD
    assert 21_600 - 300 < at <= 21_600


def test_tries_that_could_not_be_made_use_up_no_retry() -> None:
    invocations = [
        decision.invocation
        for _, decision in put_off(AsyncSettings(maximum_retry_attempts=0))
        if isinstance(decision, retry.RetryAt)
    ]
    assert {invocation.attempt for invocation in invocations} == {1}
    assert [invocation.back_offs for invocation in invocations] == [
        number + 1 for number in range(len(invocations))
    ]


def test_a_back_off_between_two_attempts_leaves_their_number_alone() -> None:
    decision = retry.back_off(attempt(3), now=ACCEPTED_AT, settings=AsyncSettings())
    assert decision == retry.RetryAt(attempt(3, back_offs=1), ACCEPTED_AT + 1)


def test_a_back_off_is_no_attempt_so_interruptions_stay_counted() -> None:
    event = replace(INVOCATION, interruptions=2)
    decision = retry.back_off(event, now=ACCEPTED_AT, settings=AsyncSettings())
    assert decision == retry.RetryAt(replace(event, back_offs=1), ACCEPTED_AT + 1)


@pytest.mark.parametrize(
    ("age_s", "back_offs", "due_s"),
    [
        pytest.param(59, 0, 60, id="the wait just fits"),
        pytest.param(59.5, 0, None, id="a started second counts as a whole one"),
        pytest.param(57, 1, 59, id="two seconds"),
        pytest.param(59, 1, None, id="no two seconds left"),
        pytest.param(0, 9, None, id="five minutes are more than the event has"),
        pytest.param(0, 10_000, None, id="any number of waits has a next"),
        pytest.param(-3600, 10_000, -3300, id="the clock was set back"),
    ],
)
def test_a_back_off_that_ends_after_the_events_maximum_age_is_not_waited_for(
    age_s: float, back_offs: int, due_s: float | None
) -> None:
    settings = AsyncSettings(maximum_event_age_s=60)
    event = replace(INVOCATION, back_offs=back_offs)
    decision = retry.back_off(event, now=ACCEPTED_AT + age_s, settings=settings)
    if due_s is None:
        assert decision == TOO_OLD
    else:
        later = replace(event, back_offs=back_offs + 1)
        assert decision == retry.RetryAt(later, ACCEPTED_AT + due_s)


# --- before an attempt ------------------------------------------------------------------------


def refuse(
    *, age_s: float = 0, reserved_concurrency: int | None = None, chain: int = 1, **settings: Any
) -> retry.Condition | None:
    return retry.refuse(
        INVOCATION,
        now=ACCEPTED_AT + age_s,
        settings=AsyncSettings(maximum_event_age_s=60, **settings),
        reserved_concurrency=reserved_concurrency,
        chain=chain,
    )


@pytest.mark.parametrize(
    ("case", "condition"),
    [
        pytest.param({}, None, id="nothing speaks against it"),
        pytest.param({"reserved_concurrency": 1}, None, id="concurrency is a matter of the queue"),
        pytest.param({"reserved_concurrency": 0}, "ZeroReservedConcurrency", id="none at all"),
        pytest.param({"age_s": 60}, None, id="as old as it may be"),
        pytest.param({"age_s": 60.99}, None, id="a started second does not count"),
        pytest.param({"age_s": 61}, "EventAgeExceeded", id="a second too old"),
        pytest.param({"age_s": -1e6}, None, id="the clock was set back"),
        pytest.param({"chain": 16}, None, id="the last run that a chain may have"),
        pytest.param({"chain": 17}, "RecursiveInvocation", id="one more"),
        pytest.param({"chain": 10_000}, "RecursiveInvocation", id="many more"),
        pytest.param({"chain": 10_000, "recursive_loop": "Allow"}, None, id="loops are allowed"),
        pytest.param(
            {"reserved_concurrency": 0, "age_s": 61, "chain": 17},
            "ZeroReservedConcurrency",
            id="no concurrency comes before age",
        ),
        pytest.param(
            {"age_s": 61, "chain": 17}, "EventAgeExceeded", id="age comes before recursion"
        ),
    ],
)
def test_an_event_is_given_up_before_its_attempt(
    case: dict[str, Any], condition: retry.Condition | None
) -> None:
    assert refuse(**case) == condition


@given(
    st.integers(60, 21_600),
    st.floats(0, 21_600),
    st.integers(0, 20),
    st.booleans(),
)
def test_an_event_whose_wait_fitted_is_not_too_old_at_the_end_of_it(
    maximum_age_s: int, age_s: float, back_offs: int, has_failed: bool
) -> None:
    """Else a wait would be for nothing: the rounding of both sides must agree."""
    settings = AsyncSettings(maximum_event_age_s=maximum_age_s)
    event, now = replace(INVOCATION, back_offs=back_offs), ACCEPTED_AT + age_s
    decision: retry.Decision = (
        retry.decide(event, FAILED, now=now, settings=settings)
        if has_failed
        else retry.back_off(event, now=now, settings=settings)
    )
    if isinstance(decision, retry.RetryAt):
        assert retry.refuse(decision.invocation, now=decision.due, settings=settings) is None


# --- the values -------------------------------------------------------------------------------


def test_by_themselves_decisions_have_nothing_to_deliver() -> None:
    assert retry.SUCCEEDED.deliveries == EXHAUSTED.deliveries == TOO_OLD.deliveries == ()
