"""Access keys: what is known of each, and the places that they come from.

An access key has an id, which every request tells, and a secret, which none does. A principal may
have several keys, so that a new one can be handed out before the old one is disabled.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Union

from ..errors import ConfigurationError
from ..policy import Principal
from .files import GRANT_KEYS, Grant, WatchedFile, check_grant, parse_profiles

#: Shorter secrets can be guessed from one signature, without asking here. AWS's have 40.
MIN_SECRET_LENGTH = 16

#: The form of AWS's own, which is no secret's.
_AWS_KEY_ID = re.compile(r"A[A-Z]{3}[A-Z0-9]{16}", re.ASCII)
_ACCESS_KEY_ID = re.compile(r"[A-Za-z0-9_.-]{1,128}", re.ASCII)

_KEYS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token", *GRANT_KEYS)


@dataclass(frozen=True, slots=True)
class Credential:
    """One access key, without its id.

    Raises:
        ConfigurationError: the secret is too short, or a value is of the wrong type.
    """

    #: What requests are signed with: 16 characters or more. In no repr.
    secret_access_key: str = field(repr=False)
    #: Whose it is: a user's name, an ARN, or a `Principal`.
    principal: Principal | str
    #: What temporary credentials send along; requests must have exactly this one. In no repr.
    session_token: str | None = field(default=None, repr=False)
    #: Off: the key is not known any more, and still told apart in the log.
    is_enabled: bool = True
    #: Seconds since the epoch from which on the key is expired; ``None`` for never.
    expires_at: float | None = None
    #: The principal, whichever way it was given.
    owner: Principal = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if (
            not isinstance(self.secret_access_key, str)
            or len(self.secret_access_key) < MIN_SECRET_LENGTH
        ):
            raise ConfigurationError(
                f"credentials: a secret access key must have {MIN_SECRET_LENGTH} characters or more"
            )
        if _AWS_KEY_ID.fullmatch(self.secret_access_key) is not None:
            raise ConfigurationError(
                "credentials: a secret access key must be given first, and not the id of a key"
            )
        check_grant("credentials", self.is_enabled, self.expires_at)
        if not isinstance(self.session_token, (str, type(None))):
            raise ConfigurationError("credentials: a session token must be a text or None")
        object.__setattr__(self, "owner", Principal.of(self.principal))


#: Finds what is known of an access key id; ``None`` for an unknown one.
Lookup = Callable[[str], Credential | None]

#: What `lookup` takes.
Credentials = Union[Mapping[str, str | Credential], str, "os.PathLike[str]", Lookup]


def lookup(credentials: Credentials) -> Lookup:
    """What finds a key: in a mapping, in a file (see `parse_file`), or by asking a callable.

    Args:
        credentials: a mapping of access key ids to `Credential` or to a secret (the principal then
            has the key id for its name), the path of a file, or a callable that takes a key id.
            It is called for each well-formed signature whose key id can be one, known or not, in
            the thread of the request.

    Raises:
        ConfigurationError: none of these, or not usable.
    """
    if isinstance(credentials, Mapping):
        return _checked(credentials).get
    if isinstance(credentials, (str, os.PathLike)):
        file = WatchedFile("credentials", credentials, parse_file, is_secret=True)
        return lambda access_key_id: file.get().get(access_key_id)
    if callable(credentials):
        return _asking(credentials)
    raise ConfigurationError(
        f"credentials of type {type(credentials).__name__}: they must be a mapping, the path of a "
        "file, or a callable"
    )


def _asking(ask: Lookup) -> Lookup:
    """What asks a callable for a key, if there can be such a key."""

    def find(access_key_id: str) -> Credential | None:
        if _ACCESS_KEY_ID.fullmatch(access_key_id) is None:
            return None
        found = ask(access_key_id)
        if not isinstance(found, (Credential, type(None))):
            raise TypeError(
                f"credentials gave a {type(found).__name__}; it must give a Credential or None"
            )
        return found

    return find


def from_environment(environ: Mapping[str, str] | None = None) -> Mapping[str, Credential]:
    """The key of ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY`` and ``AWS_SESSION_TOKEN``.

    Its principal is ``default``, as in a credentials file.

    Raises:
        ConfigurationError: the first two are not set.
    """
    environ = os.environ if environ is None else environ
    access_key_id = environ.get("AWS_ACCESS_KEY_ID")
    secret = environ.get("AWS_SECRET_ACCESS_KEY")
    if not access_key_id or not secret:
        raise ConfigurationError(
            "credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be in the environment"
        )
    token = environ.get("AWS_SESSION_TOKEN") or None
    return _checked({access_key_id: Credential(secret, "default", session_token=token)})


def new_key() -> tuple[str, str]:
    """An access key id and a secret access key that nobody has, in AWS's forms.

    The id is ``AKIA`` and 16 characters, the secret 40 characters of 240 random bits.
    """
    access_key_id = "AKIA" + base64.b32encode(os.urandom(10)).decode()
    return access_key_id, base64.b64encode(os.urandom(30)).decode()


def parse_file(text: str) -> Mapping[str, Credential]:
    """The keys of an AWS-style credentials file.

    Each profile with an ``aws_access_key_id`` is a key. The principal is the profile's name, or
    the value of ``principal``: that is how one principal has several keys. ``disabled = true`` and
    ``expires = 2026-12-31T23:59:59Z`` do what they say.

    Raises:
        ConfigurationError: it has no key, a key twice, or one that cannot be used.
    """
    found: dict[str, Credential] = {}

    def read(name: str, profile: Mapping[str, str]) -> None:
        access_key_id = profile.get("aws_access_key_id")
        if access_key_id is None:
            return  # another tool's profile: single sign-on, a role, a region
        if access_key_id in found:
            raise ConfigurationError(f"the key {access_key_id!r} is there twice")
        _check_id(access_key_id)
        found[access_key_id] = Credential(
            profile.get("aws_secret_access_key", ""),
            session_token=profile.get("aws_session_token"),
            **Grant.of(name, profile)._asdict(),
        )

    parse_profiles(text, _KEYS, read)
    if not found:
        raise ConfigurationError("there is no profile with an aws_access_key_id")
    return found


def _checked(credentials: Mapping[Any, Any]) -> dict[str, Credential]:
    checked: dict[str, Credential] = {}
    for access_key_id, value in credentials.items():
        _check_id(access_key_id)
        is_whole = isinstance(value, Credential)
        checked[access_key_id] = value if is_whole else Credential(value, access_key_id)
    return checked


def _check_id(access_key_id: object) -> None:
    if not isinstance(access_key_id, str) or _ACCESS_KEY_ID.fullmatch(access_key_id) is None:
        # Not quoted: it may be the secret, in the other's place.
        raise ConfigurationError(
            "credentials: an access key id must have 1 to 128 letters, digits, '-', '_' and '.'"
        )
