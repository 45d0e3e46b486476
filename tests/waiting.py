"""Waiting for another thread, where it sets no event of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable

_pause = threading.Event()


def eventually(is_true: Callable[[], object], *, within_s: float = 10) -> None:
    """Return as soon as ``is_true()`` holds; fail when it does not in ``within_s`` seconds."""
    step_s = 0.002
    for _ in range(int(within_s / step_s)):
        if is_true():
            return
        _pause.wait(step_s)
    raise AssertionError(f"still not true after {within_s} s")
