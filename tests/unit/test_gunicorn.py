"""The gunicorn configuration module."""

from __future__ import annotations

import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from invokeasync_wsgi import Functions, InvokeAsyncMiddleware, gunicorn, process
from invokeasync_wsgi.executors.durable import DurableExecutor

from ..waiting import eventually


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


# --- after the fork -----------------------------------------------------------------------------


class Site:
    """An application that notes what it runs, of any number on one file."""

    def __init__(self, path: Path, *, workers: int) -> None:
        self.ran: list[Any] = []
        functions = Functions()
        functions.add("note", lambda event, context: self.ran.append(event))
        self.app = InvokeAsyncMiddleware(
            None,
            functions,
            auth="none",
            executor=f"sqlite:///{path}?workers={workers}&synchronous=normal",
        )


@pytest.fixture
def sites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Site]]:
    """One that only accepts, and two that run, each with the backlog that the first has left."""
    monkeypatch.setattr(process, "_starts", [])  # of applications in other tests
    made = []
    for name in ("one", "two"):
        path = tmp_path / f"{name}.db"
        accepting = Site(path, workers=0)
        accepting.app.submit("note", name)
        accepting.app.close()
        made.append(Site(path, workers=1))
    yield made
    for site in made:
        site.app.close()


def test_a_worker_begins_with_what_waits_before_its_first_request(sites: list[Site]) -> None:
    gunicorn.post_worker_init(None)  # type: ignore[arg-type]
    eventually(lambda: [site.ran for site in sites] == [["one"], ["two"]])
    gunicorn.post_worker_init(None)  # type: ignore[arg-type]
    sites[0].app.submit("note", "more")
    eventually(lambda: sites[0].ran == ["one", "more"])


def test_nothing_is_begun_before_the_fork(sites: list[Site]) -> None:
    """In the master of a preloading server, which only makes the application."""
    for site in sites:
        executor = site.app.service.executor
        assert isinstance(executor, DurableExecutor)
        assert executor._queues.peek() is None
        assert len(executor.events.find("waiting")) == 1
