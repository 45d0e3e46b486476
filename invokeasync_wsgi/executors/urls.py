"""Which executor a setting means: ``"sqlite:///queue.db?workers=8"``, or an instance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from ..config import unknown
from ..errors import ConfigurationError
from . import Executor
from .inline import InlineExecutor
from .threads import ThreadsExecutor


class _Kind(NamedTuple):
    make: Callable[..., Executor]
    #: The options that may stand in the URL's query, and what their text becomes.
    options: Mapping[str, Callable[[str], Any]]
    #: Whether the URL has a path, which ``make`` takes first.
    has_path: bool = False


def _make_durable(*path: str, **options: Any) -> Executor:
    from .durable import DurableExecutor  # only where it is used: SQLite takes time to import

    return DurableExecutor(*path, **options)


_KINDS: Mapping[str, _Kind] = {
    "inline": _Kind(InlineExecutor, {"when": str}),
    "threads": _Kind(
        ThreadsExecutor,
        {"workers": int, "max_waiting": int, "max_waiting_bytes": int, "max_lost": int},
    ),
    "sqlite": _Kind(
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
    url = urlsplit(setting if ":" in setting else f"{setting}:")
    kind = _KINDS.get(url.scheme)
    has_path = setting.startswith(f"{url.scheme}:///") and len(url.path) > 1
    wanted = kind is not None and (has_path if kind.has_path else not url.path)
    if kind is None or not wanted or url.netloc or url.fragment:
        raise ConfigurationError(
            f"executor={setting!r}: its form is 'threads:?workers=8' or 'sqlite:///queue.db' (with "
            "four slashes for a path from the root), and "
            f"{unknown('executor', url.scheme, _KINDS)}"
        )
    options: dict[str, Any] = {}
    for name, text in parse_qsl(url.query, keep_blank_values=True):
        if name in options:
            raise ConfigurationError(f"executor={setting!r}: {name} is given twice")
        if name not in kind.options:
            raise ConfigurationError(
                f"executor={setting!r}: {unknown('option', name, kind.options)}"
            )
        try:
            options[name] = kind.options[name](text)
        except ValueError as exc:
            raise ConfigurationError(
                f"executor={setting!r}: {name}={text!r}: it must be a number"
            ) from exc
    path = [unquote(url.path[1:])] if kind.has_path else []
    return kind.make(*path, **options)
