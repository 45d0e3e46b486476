"""Time, as an argument: the only module that asks the operating system what time it is.

Everything that waits or looks at the time takes a `Clock`. Production uses `SystemClock`; tests
use `invokeasync_wsgi.testing.FakeClock` and move it by hand; `ScaledClock` lets a real server live
through Lambda's minutes and hours in seconds.

Nothing is made at import: locks belong to an `Alarm`, which is made after the fork by whoever
waits on it, with the names looked up then, so that gevent's monkey patching is seen.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Alarm(Protocol):
    """Something one thread waits on and any thread sets. Stays set until cleared."""

    def set(self) -> None:
        """Wake whoever waits. Safe from any thread."""

    def clear(self) -> None:
        """Forget that it was set."""

    def wait(self, until: float | None = None) -> bool:
        """Wait until it is set or the clock's `Clock.monotonic` has come to ``until``.

        A moment rather than a number of seconds, so that time which passes between a caller's
        look at the clock and this call is not waited for twice. Says whether it is set.
        """


class Clock(Protocol):
    """Where the time comes from. Implementations are safe to share between threads."""

    def time(self) -> float:
        """Seconds since the epoch: for what is recorded or shown."""

    def monotonic(self) -> float:
        """Seconds that never run backwards: for deadlines and durations."""

    def alarm(self) -> Alarm:
        """A new `Alarm` whose waits are measured by this clock."""


class SystemClock:
    """The operating system's time."""

    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)  # last: below it, the name means this

    def alarm(self) -> Alarm:
        """An alarm on a `threading.Event`."""
        return _SystemAlarm(self, 1.0)


class ScaledClock:
    """Time that runs ``factor`` times as fast, from the moment of construction.

    For trying waits, ages and leases on a real server: with a factor of 60, Lambda's one-minute
    retry comes after a second. Every process of a deployment must use the same factor, and times
    recorded by one run mean nothing to the next.
    """

    def __init__(self, factor: float) -> None:
        if not factor > 0:
            raise ValueError(f"a clock's factor must be above 0, not {factor!r}")
        self._factor = factor
        self._started = (time.time(), time.monotonic())

    def time(self) -> float:
        """Seconds since the epoch, counted ``factor`` times as fast since the start."""
        return self._started[0] + (time.monotonic() - self._started[1]) * self._factor

    def monotonic(self) -> float:
        """Seconds, counted ``factor`` times as fast."""
        return time.monotonic() * self._factor

    def alarm(self) -> Alarm:
        """An alarm whose waits are ``factor`` times shorter than they say."""
        return _SystemAlarm(self, self._factor)


class _SystemAlarm:
    """A `threading.Event` whose waits end by a clock that runs ``factor`` times as fast."""

    def __init__(self, clock: Clock, factor: float) -> None:
        self._event = threading.Event()
        self._clock = clock
        self._factor = factor
        self.clear = self._event.clear

    def set(self) -> None:
        # Who waits clears it before looking, so one that is set need not be set again: it is often
        # set for each of many events, and that costs more than a look.
        if not self._event.is_set():
            self._event.set()

    def wait(self, until: float | None = None) -> bool:
        if until is None:
            return self._event.wait()
        wait_s = max(until - self._clock.monotonic(), 0) / self._factor
        # Longer waits than the platform's lock can express are cut; waiters look again anyway.
        return self._event.wait(min(wait_s, threading.TIMEOUT_MAX))
