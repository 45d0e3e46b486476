"""Which executor a setting means: ``"sqlite:///queue.db?workers=8"``, or an instance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from ..config import Kind, make_of_url
from ..errors import ConfigurationError
from . import Executor
from .inline import InlineExecutor
from .threads import ThreadsExecutor


def _make_durable(*path: str, **options: Any) -> Executor:
    from .durable import DurableExecutor  # only where it is used: SQLite takes time to import

    return DurableExecutor(*path, **options)


_KINDS: Mapping[str, Kind] = {
    "inline": Kind(InlineExecutor, {"when": str}),
    "threads": Kind(
        ThreadsExecutor,
        {"workers": int, "max_waiting": int, "max_waiting_bytes": int, "max_lost": int},
    ),
    "sqlite": Kind(
        _make_durable,
        {
            "workers": int,
            "synchronous": str,
            "max_waiting": int,
            "retention_s": float,
            "dead_letter_retention_s": float,
            "lease_s": float,
            "busy_timeout_s": float,
            "max_lost": int,
        },
        has_path=True,
    ),
}


def make_executor(setting: object) -> Executor:
    """The executor that a setting means: an instance is taken as it is, a URL is looked up.

    >>> type(make_executor("inline:?when=after")).__name__
    'InlineExecutor'

    Raises:
        ConfigurationError: no such executor, or an option it does not have or cannot use.
    """
    if not isinstance(setting, str):
        missing = [
            name
            for name in ("promise", "start", "submit", "drain", "close")
            if not hasattr(setting, name)
        ]
        if missing or isinstance(setting, type):
            raise ConfigurationError(
                f"executor={setting!r}: it must be a URL such as 'threads:' or an executor; this "
                f"has no usable {', '.join(missing) or 'state: it is a class, not an instance'}"
            )
        return cast(Executor, setting)
    return cast(
        Executor,
        make_of_url("executor", setting, _KINDS, "'threads:?workers=8' or 'sqlite:///queue.db'"),
    )
