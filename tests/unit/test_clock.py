"""clock.py: time as an argument."""

from __future__ import annotations

import math
import threading
import time

import pytest

from invokeasync_wsgi import Clock, ScaledClock, SystemClock
from invokeasync_wsgi.testing import FakeClock


@pytest.fixture(params=["system", "scaled", "fake"])
def clock(request: pytest.FixtureRequest) -> Clock:
    clocks: dict[str, Clock] = {
        "system": SystemClock(),
        "scaled": ScaledClock(60),
        "fake": FakeClock(),
    }
    return clocks[request.param]


class TestEveryClock:
    def test_monotonic_seconds_never_run_backwards(self, clock: Clock) -> None:
        before = clock.monotonic()
        assert clock.monotonic() >= before
        assert isinstance(clock.time(), float)

    def test_an_alarm_stays_set_until_it_is_cleared(self, clock: Clock) -> None:
        alarm = clock.alarm()
        alarm.set()
        assert alarm.wait()
        assert alarm.wait(clock.monotonic() + 3600)
        alarm.clear()
        assert not alarm.wait(clock.monotonic())

    def test_a_wait_until_a_moment_that_has_passed_ends_at_once(self, clock: Clock) -> None:
        assert not clock.alarm().wait(clock.monotonic() - 3600)
        assert not clock.alarm().wait(-math.inf)

    def test_setting_it_twice_is_setting_it(self, clock: Clock) -> None:
        alarm = clock.alarm()
        alarm.set()
        alarm.set()
        alarm.clear()
        assert not alarm.wait(clock.monotonic())

    def test_alarms_do_not_know_of_each_other(self, clock: Clock) -> None:
        one, other = clock.alarm(), clock.alarm()
        one.set()
        assert not other.wait(clock.monotonic())

    @pytest.mark.parametrize("wait_s", [None, 3600.0, 1e12, math.inf])
    def test_another_thread_ends_a_wait_of_any_length(
        self, clock: Clock, wait_s: float | None
    ) -> None:
        alarm = clock.alarm()
        found: list[bool] = []
        until = None if wait_s is None else clock.monotonic() + wait_s
        thread = threading.Thread(target=lambda: found.append(alarm.wait(until)))
        thread.start()
        alarm.set()
        thread.join()
        assert found == [True]


def test_the_system_clock_is_the_operating_systems() -> None:
    assert SystemClock.time is time.time
    assert SystemClock.monotonic is time.monotonic


class TestScaledClock:
    @pytest.mark.parametrize("factor", [0, -1, -0.5, math.nan])
    def test_a_factor_that_time_cannot_have_is_refused(self, factor: float) -> None:
        with pytest.raises(ValueError, match=f"must be above 0, not {factor}"):
            ScaledClock(factor)

    def test_monotonic_counts_each_second_as_many(self) -> None:
        clock = ScaledClock(60)
        before = time.monotonic()
        scaled = clock.monotonic()
        after = time.monotonic()
        assert before * 60 <= scaled <= after * 60

    def test_the_time_of_day_runs_from_the_moment_of_construction(self) -> None:
        clock = ScaledClock(1000)
        start, start_scaled = time.monotonic(), clock.time()
        while time.monotonic() == start:
            pass
        end_scaled, end = clock.time(), time.monotonic()
        assert start_scaled <= end_scaled <= start_scaled + (end - start) * 1000 + 1

    def test_an_alarm_waits_by_the_scaled_seconds(self) -> None:
        clock = ScaledClock(1_000_000)
        assert not clock.alarm().wait(clock.monotonic() + 3600)  # ended after 3.6 ms


class TestFakeClock:
    def test_it_stands_still_until_it_is_moved(self) -> None:
        clock = FakeClock(100)
        assert (clock.time(), clock.monotonic()) == (100, 100)
        clock.advance(2.5)
        assert (clock.time(), clock.monotonic()) == (102.5, 102.5)

    def test_it_begins_with_2020(self) -> None:
        assert time.gmtime(FakeClock().time())[:6] == (2020, 1, 1, 0, 0, 0)

    def test_a_wait_ends_when_its_moment_has_come(self) -> None:
        clock = FakeClock()
        alarm = clock.alarm()
        until = clock.monotonic() + 60
        found: list[bool] = []
        thread = threading.Thread(target=lambda: found.append(alarm.wait(until)))
        thread.start()
        clock.advance(59)
        assert found == []
        clock.advance(1)
        thread.join()
        assert found == [False]
