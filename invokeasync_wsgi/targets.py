"""Where records and dead letters may go: the grammar of destinations.

=================================================  ===============================================
``thumbnail``, ``thumbnail:live``, an ARN of ours  a function here: the record is its next event
``python:package.module:name``, or a callable      called with the record, decoded
``https://example.com/hook`` (or ``http:``)        POST, signed as Standard Webhooks has it
``file:///var/spool/failed.jsonl``                 a line of JSON is appended
``file:///var/spool/failed/``                      the same, one file for each function and day
``arn:aws:sqs:…``, ``arn:aws:sns:…``,              sent with boto3 (extra ``aws``); standard queues
``arn:aws:events:…:event-bus/NAME``                and topics, as on Lambda
``arn:aws:s3:::bucket``                            one object for each record (failures only)
=================================================  ===============================================

Dead letters are the events themselves, byte for byte, with three attributes that say what happened;
they go anywhere but to a function or an event bus, as neither could tell them from other events.

An address may have a secret in its query. Errors, logs and ``repr`` have it as `shown` writes it.

Pure: a value in, a `Target` out.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from . import names
from .errors import ConfigurationError

Kind = Literal["function", "python", "http", "file", "directory", "sqs", "sns", "events", "s3"]

_FORMS = (
    "a function's name, 'python:package.module:name', a callable, 'https://…', "
    "'file:///path/to/file' (with a final '/': a directory), or the ARN of a standard SQS queue, a "
    "standard SNS topic, an EventBridge bus or an S3 bucket"
)
_SCHEMES = ("python:", "file:", "http:", "https:")
_PYTHON = re.compile(r"python:[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_ARNS: dict[Kind, re.Pattern[str]] = {
    "sqs": re.compile(r"arn:aws[a-z-]*:sqs:[a-z0-9-]+:\d{12}:[a-zA-Z0-9_-]{1,80}", re.ASCII),
    "sns": re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[a-zA-Z0-9_-]{1,256}", re.ASCII),
    "events": re.compile(
        r"arn:aws[a-z-]*:events:[a-z0-9-]+:\d{12}:event-bus/[a-zA-Z0-9_./-]{1,256}", re.ASCII
    ),
    "s3": re.compile(r"arn:aws[a-z-]*:s3:::[a-z0-9.-]{3,63}", re.ASCII),
}
#: An address in front of its query, without user and password. Files have no query.
_ADDRESS = re.compile(r"((?!file:)[a-z][a-z0-9+.-]*://)([^/?#]*@)?([^?#]*)([?#].*)?", re.I | re.S)
#: What each setting may not be.
_EXCLUDED: dict[str, tuple[Kind, ...]] = {
    "on_success": ("s3",),  # as on Lambda
    "on_failure": (),
    "dead_letter": ("function", "events"),
}


class Target(NamedTuple):
    """A destination that can be used."""

    kind: Kind
    #: Its one spelling. Deliveries wait under it; none but ``function`` is a function's name.
    name: str
    #: What to call, where the setting was a callable and not its import string.
    call: Callable[[Any], object] | None = None

    @property
    def shown(self) -> str:
        """Its name as errors and logs may have it."""
        return shown(self.name)

    def __repr__(self) -> str:
        return f"Target(kind={self.kind!r}, name={self.shown!r})"


def shown(name: str) -> str:
    """A target's name as errors and logs may have it: an address without its query.

    >>> shown("https://example.com/hook?token=1234")
    'https://example.com/hook?…'
    """
    match = _ADDRESS.fullmatch(name)
    if match is None:
        return name
    scheme, user, rest, query = match.groups()
    return f"{scheme}{'…@' if user else ''}{rest}{'?…' if query else ''}"


def parse_all(**given: object) -> dict[str, Target | None]:
    """`parse` for the settings ``on_success``, ``on_failure`` and ``dead_letter``, by name."""
    return {setting: parse(setting, value) for setting, value in given.items()}


def parse(setting: str, value: object) -> Target | None:
    """The target that a setting means; ``None`` for none.

    >>> parse("on_failure", "file:///var/spool/failed/").kind
    'directory'

    Raises:
        ConfigurationError: it has no form of a destination, or not one that the setting may have.
    """
    if value is None:
        return None
    if isinstance(value, Target):
        target: Target | None = value
    else:
        target = find(value) if isinstance(value, str) else _of_callable(value)
    if target is None or target.kind in _EXCLUDED[setting]:
        allowed = _FORMS if target is None else f"no {target.kind} destination"
        given = shown(value) if isinstance(value, str) else value
        raise ConfigurationError(f"{setting}={given!r}: it must be {allowed}")
    return target


def _of_callable(value: object) -> Target | None:
    if not callable(value):
        return None
    kind = value if hasattr(value, "__qualname__") else type(value)
    return Target("python", f"python:{kind.__module__}:{kind.__qualname__}", value)


def find(text: str) -> Target | None:
    """The target that a text names; ``None`` when it has none of the forms."""
    for kind, pattern in _ARNS.items():
        if pattern.fullmatch(text):
            return Target(kind, text)
    if _PYTHON.fullmatch(text):
        return Target("python", text)
    if text.startswith(("https://", "http://")):
        return Target("http", text) if _is_address(text) else None
    if text.startswith("file:///") and len(text) > len("file:///") and "%00" not in text:
        return Target("directory" if text.endswith("/") else "file", text)
    # What begins like one of the other forms is a slip in it, not a function with an alias.
    if names.parse(text) is not None and not text.startswith(_SCHEMES):
        return Target("function", text)
    return None


def _is_address(text: str) -> bool:
    """Whether a request can be sent there as it is: ASCII, no space, no user and password."""
    if not text.isascii() or not text.isprintable() or " " in text:
        return False
    try:
        url = urlsplit(text)
        return bool(url.hostname) and url.port != 0 and "@" not in url.netloc and "#" not in text
    except ValueError:
        return False
