"""The gunicorn configuration module."""

from __future__ import annotations

import types

import pytest

from invokeasync_wsgi import gunicorn, process


@pytest.mark.parametrize(
    ("graceful_timeout", "timeout", "seconds"),
    [
        pytest.param(30, 30, 28, id="gunicorn's defaults"),
        pytest.param(5, 30, 3, id="a short grace"),
        pytest.param(30, 6, 4, id="a short timeout, which counts on a reload"),
        pytest.param(30, 0, 28, id="no timeout"),
        pytest.param(1, 1, 0.5, id="hardly any"),
    ],
)
def test_the_drain_ends_before_gunicorn_kills(
    graceful_timeout: int, timeout: int, seconds: float
) -> None:
    drained: list[float] = []
    process.arm(drained.append)
    cfg = types.SimpleNamespace(graceful_timeout=graceful_timeout, timeout=timeout)
    gunicorn.worker_exit(types.SimpleNamespace(cfg=cfg), None)  # type: ignore[arg-type]
    assert drained == [pytest.approx(seconds, abs=0.2)]


def test_it_exports_gunicorns_names_only() -> None:
    from gunicorn.config import KNOWN_SETTINGS

    assert set(gunicorn.__all__) <= {setting.name for setting in KNOWN_SETTINGS}
