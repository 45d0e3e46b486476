"""Every setting: its name, default, unit, reason and allowed values, in one place.

`Settings` is what all doors take. The middleware's keyword arguments are its fields; the Flask
extension and the command line read the same fields as ``INVOKEASYNC_<FIELD>`` from ``app.config``
and the environment through `read_settings`. A value that exists is legal: construction refuses the
rest, naming the setting, the value and what is allowed.

Pure: nothing here reads the environment by itself.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from . import names, targets
from .errors import ConfigurationError
from .targets import Target

#: Before a setting's name in ``app.config`` and in the environment.
PREFIX = "INVOKEASYNC_"

#: Lambda's six hours: no event is older.
MAX_EVENT_AGE_S = 21600

_KIB = 1024
_MIB = 1024 * _KIB


@dataclass(frozen=True, slots=True, kw_only=True)
class AsyncSettings:
    """How asynchronous invocations are retried, and what follows: Lambda's EventInvokeConfig."""

    #: Attempts after the first: 0 to 2, as on Lambda, which makes two.
    maximum_retry_attempts: int = 2
    #: Seconds after which an event is given up: 60 to 21600 (six hours, the default), as on Lambda.
    maximum_event_age_s: int = MAX_EVENT_AGE_S
    #: Seconds before the second and before the third attempt. Lambda's one and two minutes.
    retry_waits_s: tuple[float, ...] = (60.0, 120.0)
    #: Where the record of an event goes whose attempt succeeded: see `targets`.
    on_success: Target | None = None
    #: Where the record of an event goes that is given up.
    on_failure: Target | None = None
    #: Where the event itself goes when it is given up: Lambda's dead-letter queue.
    dead_letter: Target | None = None
    #: What happens to a chain of invocations that calls one function over and over: ``"Terminate"``
    #: stops it after 16 runs, ``"Allow"`` does not. Lambda's names.
    recursive_loop: str = "Terminate"
    #: How often in a row a process may die under an event before the event is taken for the cause.
    max_interruptions: int = 3

    @property
    def delivers(self) -> bool:
        """Whether anything is sent anywhere at the end of an event."""
        return bool(self.on_success or self.on_failure or self.dead_letter)

    def __post_init__(self) -> None:
        _in_range("maximum_retry_attempts", self.maximum_retry_attempts, 0, 2)
        _in_range("maximum_event_age_s", self.maximum_event_age_s, 60, MAX_EVENT_AGE_S)
        waits_s = self.retry_waits_s
        if (
            not isinstance(waits_s, (tuple, list))
            or not waits_s
            or not all(type(wait_s) in (int, float) and wait_s >= 0 for wait_s in waits_s)
        ):
            _refuse("retry_waits_s", waits_s, "a tuple of numbers of seconds, none below 0")
        if self.recursive_loop not in ("Terminate", "Allow"):
            _refuse("recursive_loop", self.recursive_loop, "'Terminate' or 'Allow'")
        _in_range("max_interruptions", self.max_interruptions, 1, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an application may choose. Units stand in the names: bytes, characters, seconds.

    Raises:
        ConfigurationError: a value is not allowed, or ``auth`` was not given.
    """

    #: How callers are authenticated. No default, so that no door stands open by accident. A URL
    #: such as ``"sigv4:///credentials.ini"``, or an authenticator; see `auth`. ``"none"``: anybody
    #: who can reach the server may invoke and configure any function. ``"nobody"``: only this
    #: process may.
    auth: Any = None
    #: What principals may do: a mapping of their names or ARNs to IAM policies, or the path of a
    #: JSON file with one, which is read again when it changes. ``None``: every principal of the
    #: account may invoke all functions, and nothing else.
    policies: Any = field(default=None, repr=False)
    #: Refused requests in a minute of one source, and of one key id, that are answered and logged
    #: one by one; more get 429. Good requests are let through at any rate.
    auth_failures_per_minute: int = 60
    #: Where accepted events go: a URL such as ``"threads:?workers=8"``, or an executor.
    executor: Any = "threads:"
    #: The region in the functions' ARNs; names with another one are not found here.
    region: str = "us-east-1"
    #: The account in the functions' ARNs: 12 digits.
    account_id: str = "123456789012"
    #: Largest body of InvokeAsync. Lambda's documentation says 256 KB.
    max_invoke_async_bytes: int = 256 * _KIB
    #: Largest payload of Invoke with type Event. Lambda's limit since October 2025.
    max_event_bytes: int = _MIB
    #: Largest payload of Invoke with type RequestResponse.
    max_request_bytes: int = 6 * _MIB
    #: Largest result of a function; a larger one is a function error. Lambda's 6 MiB and 100.
    max_response_bytes: int = 6 * _MIB + 100
    #: Synchronous invocations at once in one process, each in a thread of its own; more get 429.
    #: Those past their deadline count until their thread ends.
    sync_concurrency: int = 32
    #: What functions may reserve together through the API, but for 100 that stay for all; told to
    #: those who ask, and enforced nowhere else. Lambda's default quota.
    concurrent_executions: int = 1000
    #: See `AsyncSettings`; a function's own value wins.
    maximum_retry_attempts: int = 2
    #: See `AsyncSettings`; a function's own value wins.
    maximum_event_age_s: int = MAX_EVENT_AGE_S
    #: See `AsyncSettings`.
    retry_waits_s: tuple[float, ...] = (60.0, 120.0)
    #: Where the record of a success goes: a function's name, ``"python:package.module:name"``, an
    #: ``https://`` address, a file or directory, an ARN (see `targets`). A function's own wins.
    #: Not in the repr, as an address may hold a secret.
    on_success: Any = field(default=None, repr=False)
    #: Where the record of a failure goes; the same choices.
    on_failure: Any = field(default=None, repr=False)
    #: Where a failed event itself goes; the same choices but a function.
    dead_letter: Any = field(default=None, repr=False)
    #: See `AsyncSettings`; a function's own value wins.
    recursive_loop: str = "Terminate"
    #: See `AsyncSettings`.
    max_interruptions: int = 3
    #: The key that deliveries to ``https://`` addresses are signed with: ``whsec_`` and base64 of
    #: 24 to 64 bytes, as Standard Webhooks has it. Needed as soon as there is such an address.
    webhook_secret: str | None = field(default=None, repr=False)
    #: Whether handlers' ``print`` and ``logging`` output is kept with the attempt. It reaches the
    #: process's own streams either way. Off: ``sys.stdout`` and the log record factory are left
    #: alone and ``X-Amz-Log-Type: Tail`` shows the START, END and REPORT lines only.
    capture_output: bool = True
    #: Characters that are kept of one attempt's output: the last 65536.
    max_log_chars: int = 64 * _KIB

    def __post_init__(self) -> None:
        if self.auth is None or self.auth == "":
            raise ConfigurationError(
                f"auth={self.auth!r}: say how callers are authenticated (auth=, --auth, "
                "INVOKEASYNC_AUTH): 'sigv4:///credentials.ini' for requests signed as AWS's "
                "clients sign them, 'bearer:///tokens.ini' for bearer tokens, an authenticator of "
                "your own, 'nobody' for calls from this process only, or 'none': everybody who "
                "reaches the server may invoke and configure every function"
            )
        if not isinstance(self.region, str) or not names.is_region(self.region):
            _refuse("region", self.region, "an AWS region, such as 'us-east-1'")
        if not isinstance(self.account_id, str) or not names.is_account_id(self.account_id):
            _refuse("account_id", self.account_id, "a string of 12 digits")
        for name in _SIZES:
            _in_range(name, getattr(self, name), 1, None)
        _in_range("sync_concurrency", self.sync_concurrency, 0, None)
        _in_range("concurrent_executions", self.concurrent_executions, 0, None)
        _in_range("auth_failures_per_minute", self.auth_failures_per_minute, 1, None)
        if not isinstance(self.capture_output, bool):
            _refuse("capture_output", self.capture_output, "True or False")
        self.async_settings()

    def async_settings(self) -> AsyncSettings:
        """The defaults for functions that say nothing about retries."""
        return AsyncSettings(
            maximum_retry_attempts=self.maximum_retry_attempts,
            maximum_event_age_s=self.maximum_event_age_s,
            retry_waits_s=self.retry_waits_s,
            recursive_loop=self.recursive_loop,
            max_interruptions=self.max_interruptions,
            **targets.parse_all(
                on_success=self.on_success,
                on_failure=self.on_failure,
                dead_letter=self.dead_letter,
            ),
        )


_SIZES = (
    "max_invoke_async_bytes",
    "max_event_bytes",
    "max_request_bytes",
    "max_response_bytes",
    "max_log_chars",
)


def make_settings(**values: Any) -> Settings:
    """`Settings` from keyword arguments, with the nearest name for one that does not exist."""
    known = [field.name for field in fields(Settings)]
    for name in values:
        if name not in known:
            raise ConfigurationError(unknown("setting", name, known))
    return Settings(**values)


def read_settings(*sources: Mapping[str, object]) -> dict[str, Any]:
    """Fields of `Settings` from mappings keyed ``INVOKEASYNC_<FIELD>``; the first to name one wins.

    Args:
        sources: such as ``app.config`` and ``os.environ``; ``None`` says nothing. Text is converted
            to the setting's type: ``"true"`` or ``"0"`` for a flag, ``"60,120"`` for a list.

    Raises:
        ConfigurationError: a key with the prefix is no setting, or its text cannot be converted.
    """
    converters = {field.name: _FROM_TEXT[str(field.type)] for field in fields(Settings)}
    known = [PREFIX + name.upper() for name in converters]
    values: dict[str, Any] = {}
    for source in sources:
        for key, value in source.items():
            if not key.startswith(PREFIX):
                continue
            if key not in known:
                raise ConfigurationError(unknown("setting", key, known))
            name = key.removeprefix(PREFIX).lower()
            if value is None or name in values:
                continue
            if isinstance(value, str):
                try:
                    value = converters[name](value)
                except ValueError as exc:
                    raise ConfigurationError(f"{key}={value!r}: it must be {exc}") from exc
            values[name] = value
    return values


class Kind(NamedTuple):
    """What a scheme of a setting's URL stands for."""

    make: Callable[..., object]
    #: The options that may stand in the URL's query, and what their text becomes.
    options: Mapping[str, Callable[[str], Any]]
    #: Whether the URL has a path, which ``make`` takes first; ``None`` if it may have one.
    has_path: bool | None = False


def make_of_url(setting: str, url: str, kinds: Mapping[str, Kind], example: str) -> object:
    """What a setting means that is a URL, such as ``"sqlite:///queue.db?workers=8"``.

    Args:
        setting: its name.
        url: its value. Three slashes before a path from the current directory, four before one
            from the root; a scheme alone may go without its colon.
        kinds: by scheme.
        example: of what it may be.

    Raises:
        ConfigurationError: no such scheme, or an option that it does not have or cannot use.
    """
    parts = urlsplit(url if ":" in url else f"{url}:")
    kind = kinds.get(parts.scheme)
    has_path = url.startswith(f"{parts.scheme}:///") and len(parts.path) > 1
    has_any = bool(parts.path or parts.netloc)
    is_right = kind is not None and (
        has_path if kind.has_path else not has_any or (kind.has_path is None and has_path)
    )
    if kind is None or not is_right or parts.netloc or parts.fragment:
        hint = f", and {unknown(setting, parts.scheme, kinds)}" if kind is None else ""
        raise ConfigurationError(
            f"{setting}={url!r}: its form is {example} (with four slashes for a path from the "
            f"root){hint}"
        )
    options: dict[str, Any] = {}
    for name, text in parse_qsl(parts.query, keep_blank_values=True):
        if name in options:
            raise ConfigurationError(f"{setting}={url!r}: {name} is given twice")
        if name not in kind.options:
            raise ConfigurationError(f"{setting}={url!r}: {unknown('option', name, kind.options)}")
        try:
            options[name] = kind.options[name](text)
        except ValueError as exc:
            raise ConfigurationError(
                f"{setting}={url!r}: {name}={text!r}: it must be {_EXPECTED[kind.options[name]]}"
            ) from exc
    path = [unquote(parts.path[1:])] if has_path else []
    return kind.make(*path, **options)


def flag(text: str) -> bool:
    """A flag, from text: ``true`` and ``1``, ``false`` and ``0``."""
    try:
        return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
    except KeyError:
        raise ValueError("'true' or '1', or 'false' or '0'") from None


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """The text for a name that is not among the known ones, with the nearest of them.

    >>> unknown("setting", "regoin", ["region", "auth"])
    "there is no setting 'regoin'; did you mean 'region'?"
    """
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known)}"
    return f"there is no {kind} {name!r}; {hint}"


def _whole_number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("a whole number") from None


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ValueError("numbers with commas between them") from None


#: What the text of an option must be, where it can be wrong.
_EXPECTED: Mapping[Callable[[str], Any], str] = {
    int: "a number",
    float: "a number",
    flag: "'true' or 'false'",
}

#: By the annotation of the field, which `__future__` keeps as text.
_FROM_TEXT: Mapping[str, Callable[[str], object]] = {
    "str": str,
    "str | None": str,
    "Any": str,
    "int": _whole_number,
    "bool": flag,
    "tuple[float, ...]": _numbers,
}


def _in_range(name: str, value: object, low: int, high: int | None) -> None:
    if type(value) is not int or value < low or (high is not None and value > high):
        allowed = f"{low} to {high}" if high is not None else f"{low} or more"
        _refuse(name, value, f"a whole number, {allowed}")


def _refuse(name: str, value: object, allowed: str) -> None:
    raise ConfigurationError(f"{name}={value!r}: it must be {allowed}")
