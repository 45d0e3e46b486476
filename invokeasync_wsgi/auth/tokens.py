"""Callers who show a bearer token: ``Authorization: Bearer …``, for clients that cannot sign.

Only SHA-256 hashes of tokens are kept, so whoever reads the configuration cannot call. That is as
good as a slow password hash, because tokens are long and random (`new_token` makes them so).
A token is good for as long as it is not taken away, and for anybody who has seen it: use TLS.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Union

from ..clock import Clock
from ..config import Settings
from ..errors import (
    ConfigurationError,
    ExpiredTokenException,
    MissingAuthenticationTokenException,
    UnrecognizedClientException,
)
from ..policy import Principal
from ..wire import Request
from . import EXPIRED, UNKNOWN
from .files import GRANT_KEYS, Grant, WatchedFile, check_grant, parse_profiles

#: A longer one is refused unhashed.
MAX_TOKEN_LENGTH = 4096

_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
_KEYS = ("sha256", *GRANT_KEYS)


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token, besides its hash.

    Raises:
        ConfigurationError: the principal's name is not usable, or a value is of the wrong type.
    """

    #: Whose it is: a user's name, an ARN, or a `Principal`.
    principal: Principal | str
    #: Off: the token is not known any more.
    is_enabled: bool = True
    #: Seconds since the epoch from which on it is expired; ``None`` for never.
    expires_at: float | None = None
    #: The principal, whichever way it was given.
    owner: Principal = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_grant("tokens", self.is_enabled, self.expires_at)
        object.__setattr__(self, "owner", Principal.of(self.principal))


Tokens = Union[Mapping[str, str | Principal | Token], str, "os.PathLike[str]"]


class BearerTokens:
    """Verifies bearer tokens.

    Args:
        tokens: a mapping of SHA-256 hashes (64 hexadecimal digits) to principals or `Token`, or
            the path of a file (see `parse_file`), which is read again when it changes.

    Raises:
        ConfigurationError: the tokens cannot be used.
    """

    def __init__(self, tokens: Tokens) -> None:
        self._lookup: Callable[[str], Token | None]
        if isinstance(tokens, Mapping):
            self._lookup = _checked(tokens).get
        elif isinstance(tokens, (str, os.PathLike)):
            file = WatchedFile("tokens", tokens, parse_file)
            self._lookup = lambda digest: file.get().get(digest)
        else:
            raise ConfigurationError(
                f"tokens of type {type(tokens).__name__}: they must be a mapping or the path of a "
                "file"
            )

    def __repr__(self) -> str:
        return "<BearerTokens>"

    def start(self, settings: Settings, clock: Clock) -> None:
        """See `auth.Authenticator.start`."""

    def authenticate(self, request: Request) -> Principal:
        """The owner of the token.

        Raises:
            MissingAuthenticationTokenException: there is none.
            UnrecognizedClientException: it is not known.
            ExpiredTokenException: it was.
        """
        scheme, _, text = (request.header("HTTP_AUTHORIZATION") or "").partition(" ")
        if scheme.lower() != "bearer":
            raise MissingAuthenticationTokenException("Missing Authentication Token")
        text = text.strip()
        if len(text) > MAX_TOKEN_LENGTH:
            raise UnrecognizedClientException(UNKNOWN, why="too long a token")
        # Found by its hash, whose beginning nobody can choose: the time of looking tells nothing.
        token = self._lookup(hash_of(text))
        if token is None or not token.is_enabled:
            why = "unknown token" if token is None else "disabled token"
            raise UnrecognizedClientException(UNKNOWN, why=why)
        if token.expires_at is not None and request.received_at >= token.expires_at:
            raise ExpiredTokenException(EXPIRED, why="expired token", key_id=token.owner.name)
        return token.owner


def new_token() -> str:
    """A token that nobody can guess: 256 random bits."""
    return os.urandom(32).hex()


def hash_of(token: str) -> str:
    """What is kept of a token: its SHA-256 in hexadecimal digits."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def parse_file(text: str) -> Mapping[str, Token]:
    """The tokens of an INI file: a section for each, with its hash under ``sha256``.

    The principal is the section's name, or the value of ``principal``. ``disabled = true`` and
    ``expires = 2026-12-31T23:59:59Z`` do what they say.

    Raises:
        ConfigurationError: it has no token, a token twice, or one that cannot be used.
    """
    found: dict[str, Token] = {}

    def read(name: str, profile: Mapping[str, str]) -> None:
        digest = profile.get("sha256", "")
        if digest in found:
            raise ConfigurationError("its sha256 is there twice")
        found.update(_checked({digest: Token(**Grant.of(name, profile)._asdict())}))

    parse_profiles(text, _KEYS, read)
    if not found:
        raise ConfigurationError("there is no section with a sha256")
    return found


def _checked(tokens: Mapping[str, str | Principal | Token]) -> dict[str, Token]:
    checked: dict[str, Token] = {}
    for digest, value in tokens.items():
        if not isinstance(digest, str) or _HASH.fullmatch(digest) is None:
            # Not quoted: it may be the token itself, taken for its hash.
            raise ConfigurationError(
                "tokens: a token's sha256 must be 64 hexadecimal digits, lower case"
            )
        checked[digest] = value if isinstance(value, Token) else Token(value)
    return checked
