"""Which authenticator a setting means: ``"sigv4:///credentials.ini"``, or an instance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from ..config import Kind, flag, make_of_url
from ..errors import ConfigurationError
from ..functions import import_object
from . import Authenticator


# Imported only where they are used.
def _make_signatures(*path: str, **options: Any) -> Authenticator:
    from .signatures import SigV4

    return SigV4(*path, **options) if path else SigV4.from_environment(**options)


def _make_tokens(path: str) -> Authenticator:
    from .tokens import BearerTokens

    return BearerTokens(path)


def _make_nobody() -> Authenticator:
    from .signatures import SigV4

    return SigV4({})


def _hosts(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


_KINDS: Mapping[str, Kind] = {
    "sigv4": Kind(
        _make_signatures,
        {
            "clock_skew_s": float,
            "unsigned_payload": str,
            "public_hosts": _hosts,
            "public_prefix": str,
            "proxy_decodes_path": flag,
            "replays": str,
            "max_replays": int,
        },
        has_path=None,
    ),
    "bearer": Kind(_make_tokens, {}, has_path=True),
    "nobody": Kind(_make_nobody, {}),
}


def make_authenticator(setting: object) -> Authenticator | None:
    """The authenticator that a setting means; ``None`` for ``"none"``, which lets everybody in.

    An instance is taken as it is, a URL is looked up, and ``"python:package.module:name"`` is
    imported: an authenticator, or a class or function that returns one.

    Raises:
        ConfigurationError: no such authenticator, or an option it does not have or cannot use.
    """
    if setting == "none":
        return None
    if isinstance(setting, str) and setting.startswith("python:"):
        setting = _import(setting)
    if isinstance(setting, str):
        example = "'sigv4:///credentials.ini', 'bearer:///tokens.ini', 'nobody' or 'none'"
        return cast(Authenticator, make_of_url("auth", setting, _KINDS, example))
    missing = [name for name in ("start", "authenticate") if not hasattr(setting, name)]
    if missing or isinstance(setting, type):
        # Of what type, but not what: somebody may have put the keys themselves here.
        given = setting if isinstance(setting, type) else type(setting)
        raise ConfigurationError(
            f"auth={given!r}: it must be a URL such as 'sigv4:///credentials.ini', 'none', or an "
            f"authenticator; this has no usable "
            f"{', '.join(missing) or 'state: it is a class, not an instance'}"
        )
    return cast(Authenticator, setting)


def _import(reference: str) -> object:
    try:
        value = import_object(reference.removeprefix("python:"))
    except (ImportError, AttributeError, TypeError, ValueError) as exc:
        raise ConfigurationError(f"auth={reference!r}: {exc}") from exc
    is_made = hasattr(value, "authenticate") and not isinstance(value, type)
    if not is_made and callable(value):
        try:
            value = value()
        except TypeError as exc:
            raise ConfigurationError(f"auth={reference!r}: it cannot be called: {exc}") from exc
    if isinstance(value, str):  # not quoted: who knows what it is
        raise ConfigurationError(f"auth={reference!r}: it is a text, and no authenticator")
    return value
