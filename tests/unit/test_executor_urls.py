"""Which executor a setting means, and what is said of one that means none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from invokeasync_wsgi import CallbackExecutor, DurableExecutor, InlineExecutor, ThreadsExecutor
from invokeasync_wsgi.errors import ConfigurationError
from invokeasync_wsgi.executors.urls import make_executor


@pytest.mark.parametrize(
    ("url", "kind", "options"),
    [
        ("inline:", InlineExecutor, {"_when": "before"}),
        ("inline", InlineExecutor, {"_when": "before"}),
        ("inline:?when=after", InlineExecutor, {"_when": "after"}),
        ("threads:", ThreadsExecutor, {"_workers": 8, "_max_waiting": 1000, "_max_lost": 32}),
        ("threads:?workers=2&max_waiting=5&max_lost=0", ThreadsExecutor, {"_workers": 2}),
        ("sqlite:////var/queue.db", DurableExecutor, {"path": Path("/var/queue.db"), "workers": 8}),
        ("sqlite:///a%20b%3F.db", DurableExecutor, {"path": Path("a b?.db").absolute()}),
        (
            "sqlite:///x.db?workers=0&max_lost=1&lease_s=2.5&synchronous=normal",
            DurableExecutor,
            {"path": Path("x.db").absolute(), "workers": 0, "_max_lost": 1, "_lease_s": 2.5},
        ),
    ],
)
def test_a_url_names_an_executor_and_its_options(
    url: str, kind: type, options: dict[str, Any]
) -> None:
    executor = make_executor(url)
    assert type(executor) is kind
    assert {name: vars(executor)[name] for name in options} == options


def test_an_instance_is_taken_as_it_is() -> None:
    executor = CallbackExecutor(print)
    assert make_executor(executor) is executor


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        pytest.param("thread:", "there is no executor 'thread'; did you mean 'threads'", id="near"),
        pytest.param("celery:x", "there are: inline, sqlite, threads", id="not there"),
        pytest.param("threads://host", "its form is 'threads:", id="a host"),
        pytest.param("threads:///x.db", "its form is 'threads:", id="a path of one without"),
        pytest.param("sqlite:", "or 'sqlite:///queue.db'", id="no path"),
        pytest.param("sqlite:///", "or 'sqlite:///queue.db'", id="an empty path"),
        pytest.param("sqlite://x.db", "or 'sqlite:///queue.db'", id="two slashes"),
        pytest.param("sqlite:///x.db#y", "or 'sqlite:///queue.db'", id="a fragment"),
        pytest.param("threads:?wrokers=2", "did you mean 'workers'", id="unknown option"),
        pytest.param("threads:?workers=2&workers=3", "workers is given twice", id="twice"),
        pytest.param("threads:?workers=two", "workers='two': it must be a number", id="no number"),
        pytest.param("threads:?workers=0", "workers=0: it must be", id="too small"),
        pytest.param(
            "sqlite:///x.db?lease_s=0.5", "lease_s=0.5: it must be a number of", id="too short"
        ),
        pytest.param(
            "sqlite:///x.db?synchronous=off", "synchronous='off': it must be 'full'", id="no sync"
        ),
        pytest.param("inline:?when=never", "it must be 'before' or 'after'", id="unknown moment"),
        pytest.param(None, "executor=None: it must be a URL", id="none"),
        pytest.param(ThreadsExecutor, "it is a class, not an instance", id="a class"),
        pytest.param(object(), "no usable promise, start, submit, drain, close", id="no executor"),
    ],
)
def test_a_setting_that_means_none_is_refused_with_the_allowed_ones(
    setting: object, text: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        make_executor(setting)
    assert text in str(refused.value)


def test_a_callback_must_be_callable() -> None:
    with pytest.raises(ConfigurationError, match="'nothing' is not callable"):
        CallbackExecutor("nothing")  # type: ignore[arg-type]
