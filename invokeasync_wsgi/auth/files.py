"""Files of keys, tokens and policies: read at the start, and again when they have changed."""

from __future__ import annotations

import difflib
import logging
import math
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from ..errors import ConfigurationError

logger = logging.getLogger(__name__)

_T = TypeVar("_T")


class WatchedFile(Generic[_T]):
    """What a file says, as of now.

    The file is looked at with each `get` (a microsecond) and read when its times, size or inode
    are others. One that cannot be read or understood any more leaves what it said before in force,
    and an error in the log: a slip of an editor must not lock everybody out.

    Args:
        setting: what names the file, for messages.
        path: of the file; ``~`` is the user's home.
        parse: makes a value of its text; raises `ConfigurationError` when it cannot.
        is_secret: whether to warn of a file that every user of the machine may read.

    Raises:
        ConfigurationError: it cannot be read or understood at the start.
    """

    def __init__(
        self,
        setting: str,
        path: str | os.PathLike[str],
        parse: Callable[[str], _T],
        *,
        is_secret: bool = False,
    ) -> None:
        self._setting = setting
        self._parse = parse
        # Absolute, as a server may change its directory after the start.
        self.path = Path(path).expanduser().absolute()
        stamp = self._stamp()
        self._loaded: tuple[object, _T] = (stamp, self._read())
        if is_secret and self._mode() & 0o004:
            logger.warning("%s %s: every user of this machine can read it", setting, self.path)

    def get(self) -> _T:
        """What the file says, or said when it last made sense."""
        stamp = self._stamp()
        before, value = self._loaded
        if stamp == before:
            return value
        try:
            value = self._read()
        except ConfigurationError as exc:
            logger.error("%s; what it said before stays in force", exc)
        else:
            logger.info("%s %s was read again", self._setting, self.path)
        # One assignment: another thread sees the old or the new, and at worst reads it again.
        self._loaded = (stamp, value)
        return value

    def _stamp(self) -> object:
        """What changes when the file does; taken before reading, so that no change is missed."""
        try:
            status = os.stat(self.path)
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino

    def _mode(self) -> int:
        return os.stat(self.path).st_mode if os.name == "posix" else 0

    def _read(self) -> _T:
        try:
            text = self.path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8"
            raise ConfigurationError(f"{self._setting} {str(self.path)!r}: {reason}") from exc
        try:
            return self._parse(text)
        except ConfigurationError as exc:
            raise ConfigurationError(f"{self._setting} {str(self.path)!r}: {exc}") from exc


def parse_profiles(
    text: str, known: Collection[str], read: Callable[[str, Mapping[str, str]], None]
) -> None:
    """Read an INI file such as AWS's credentials file, a section at a time.

    Keys that are none of ``known`` are left alone, as AWS's tools do and because they have keys of
    their own there; but one that looks like a slip for a known one is refused.

    Args:
        text: of the file.
        known: the keys that mean something.
        read: takes the name of each section, and its keys and values.

    Raises:
        ConfigurationError: it is no INI file, has a section or a key twice, or ``read`` raised one,
            which then tells the section, too. Values are not quoted, as they may be secrets.
    """
    import configparser  # only where there is such a file

    parser = configparser.ConfigParser(
        interpolation=None, default_section="", inline_comment_prefixes=("#", ";")
    )
    try:
        parser.read_string(text)
    except configparser.DuplicateSectionError as exc:
        raise ConfigurationError(f"line {exc.lineno}: [{exc.section}] is there twice") from None
    except configparser.DuplicateOptionError as exc:
        raise ConfigurationError(
            f"line {exc.lineno}: [{exc.section}] has {exc.option!r} twice"
        ) from None
    except configparser.MissingSectionHeaderError as exc:
        raise ConfigurationError(f"line {exc.lineno}: a [section] must come first") from None
    except configparser.ParsingError as exc:
        lines = ", ".join(str(number) for number, _ in exc.errors)
        raise ConfigurationError(f"line {lines}: it must be [section] or key = value") from None
    for name in parser.sections():
        profile = dict(parser.items(name))
        try:
            _refuse_slips(profile, known)
            read(name, profile)
        except ConfigurationError as exc:
            raise ConfigurationError(f"[{name}]: {exc}") from exc


def _refuse_slips(profile: Collection[str], known: Collection[str]) -> None:
    for key in profile:
        if key in known:
            continue
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.8)
        if near:
            raise ConfigurationError(f"there is no key {key!r}; did you mean {near[0]!r}?")


def check_grant(setting: str, is_enabled: object, expires_at: object) -> None:
    """Refuse what does not say for how long a key or token is good.

    Raises:
        ConfigurationError: a value is of the wrong type, which could mean that it is good forever.
    """
    if not isinstance(is_enabled, bool):
        raise ConfigurationError(f"{setting}: is_enabled={is_enabled!r}: it must be True or False")
    is_moment = type(expires_at) in (int, float) and math.isfinite(expires_at)  # type: ignore[arg-type]
    if expires_at is not None and not is_moment:
        raise ConfigurationError(
            f"{setting}: expires_at={expires_at!r}: it must be seconds since the epoch, or None"
        )


#: The keys of a section that `Grant.of` reads.
GRANT_KEYS = ("principal", "disabled", "expires")


class Grant(NamedTuple):
    """Whose a key or token is, and for how long: what a section says of it besides the secret."""

    principal: str
    is_enabled: bool
    expires_at: float | None

    @classmethod
    def of(cls, name: str, profile: Mapping[str, str]) -> Grant:
        """What a section says: ``principal`` (else its name), ``disabled`` and ``expires``.

        Raises:
            ConfigurationError: a value is not allowed.
        """
        disabled, expires = profile.get("disabled", "false"), profile.get("expires")
        if disabled not in ("true", "false"):
            raise ConfigurationError(f"disabled={disabled!r}: it must be 'true' or 'false'")
        expires_at = None if expires is None else _moment(expires)
        return cls(profile.get("principal", name), disabled == "false", expires_at)


def _moment(text: str) -> float:
    import datetime

    try:
        when = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        when = None
    if when is None or when.tzinfo is None:
        raise ConfigurationError(
            f"expires={text!r}: it must be a moment such as '2026-12-31T23:59:59Z'"
        )
    return when.timestamp()
