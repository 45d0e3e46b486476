"""The functions that can be invoked: their handlers, versions, aliases and settings.

A `Functions` registry is filled at import, by decorator, by import string, from a mapping or from
a TOML or JSON file, and read by every request afterwards. It holds plain values only: filling it
starts nothing and reading it takes no lock. Registering is not meant for threads that serve. What
clients set through the API comes over it in `catalog`, and leaves it as it is.

What Lambda reads from a function's configuration has Lambda's defaults and names here. Versions
and aliases are Lambda's too: a version is a handler under a number, an alias is a name for a
version, or for two of them by weight.
"""

from __future__ import annotations

import copy
import importlib
import json
import logging
import os
import random
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

from . import names, targets
from .config import AsyncSettings, unknown
from .errors import (
    ConfigurationError,
    InvalidParameterValueException,
    InvalidRuntimeException,
)
from .names import FunctionReference
from .overrides import NOTHING_SET, EventInvokeConfig, Overrides, PublishedVersion, SetAlias
from .policy import Policy, load_json
from .targets import Target

if TYPE_CHECKING:
    from typing import TypedDict

    from typing_extensions import Unpack

    class FunctionOptions(TypedDict, total=False):
        """What may be said of a function besides its name and handler: see `Function`."""

        description: str
        timeout_s: float
        memory_limit_in_mb: int
        runtime: str
        versions: Mapping[str, Handler | str]
        aliases: Mapping[str, str | Mapping[str, Any]]
        maximum_retry_attempts: int | None
        maximum_event_age_s: int | None
        reserved_concurrency: int | None
        on_success: str | Callable[[Any], object] | None
        on_failure: str | Callable[[Any], object] | None
        dead_letter: str | Callable[[Any], object] | None
        recursive_loop: str | None
        policy: Mapping[str, Any] | str | None
        tags: Mapping[str, str]
        lazy: bool


logger = logging.getLogger(__name__)

#: Lambda's handler: takes the event and the context, returns what JSON can hold, or awaits it.
Handler = Callable[[Any, Any], Any]

_H = TypeVar("_H", bound=Handler)

#: This interpreter, as Lambda would name it.
THIS_RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"
_PYTHON_RUNTIME = re.compile(r"python3\.\d+")

#: A day. Lambda stops at 15 minutes; here nothing forces an end before the operator's patience.
MAX_TIMEOUT_S = 86_400


class HandlerError(Exception):
    """A handler that was to be imported when needed cannot be.

    Carries what AWS's runtime reports for it: a ``Runtime.…`` type and the message.
    """

    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of a function: ``$LATEST`` or a number, what it runs, and how."""

    number: str
    #: A callable, or an import string ``package.module:name``.
    handler: Handler | str
    #: The handler's import string.
    reference: str
    description: str
    timeout_s: float
    memory_limit_in_mb: int
    runtime: str
    #: Of the version alone; ``None`` takes the one of `config.Settings`.
    dead_letter: Target | None
    #: When it was published through the API; ``None`` for one that the application declares.
    published_at: float | None = None

    def load(self) -> Handler:
        """The callable, imported now if need be.

        Raises:
            HandlerError: it cannot be imported. Tried again at the next call.
        """
        if isinstance(self.handler, str):
            return import_handler(self.handler)
        return self.handler

    def publish(self, description: str | None, now: float) -> PublishedVersion:
        """What is kept of it when it is published.

        Args:
            description: its own, else that of ``$LATEST``.
            now: in seconds since the epoch.

        Raises:
            ValueError: its handler cannot be named, so that nobody would find it again.
        """
        if not (isinstance(self.handler, str) or _is_named(self.handler, self.reference)):
            raise ValueError(
                f"The handler {self.reference} cannot be imported by this name. Only functions of "
                "modules can be published."
            )
        return PublishedVersion(
            handler=self.reference,
            description=self.description if description is None else description,
            timeout_s=self.timeout_s,
            memory_limit_in_mb=self.memory_limit_in_mb,
            runtime=self.runtime,
            dead_letter=None if self.dead_letter is None else self.dead_letter.name,
            published_at=now,
        )

    @property
    def modified_at(self) -> float:
        """When it was published, or else the file changed that its handler is in.

        In seconds since the epoch; 0 where there is no file, as in an interactive interpreter.
        """
        if self.published_at is not None:
            return self.published_at
        module = sys.modules.get(self.reference.partition(":")[0])
        try:
            return os.stat(getattr(module, "__file__", None) or "").st_mtime
        except OSError:
            return 0.0


@dataclass(frozen=True, slots=True)
class Alias:
    """A name for a version, and for a second one that a share of the invocations gets."""

    name: str
    version: str
    #: The other version and its share: at most one entry, the share from 0 to 1.
    weights: Mapping[str, float] = field(default_factory=dict)
    description: str = ""

    def choose(self) -> str:
        """The number of the version that the next attempt runs, by chance where weighted."""
        for version, weight in self.weights.items():
            if random.random() < weight:  # noqa: S311 - routing, not secrecy
                return version
        return self.version


@dataclass(slots=True, kw_only=True, eq=False)
class Function:
    """A function as registered. Checked when made, and not meant to be changed afterwards.

    Raises:
        ConfigurationError: a value is not allowed. The text names the function and the setting.
    """

    #: 1 to 64 letters, digits, ``-``, ``_`` and ``.``; what callers put in the path.
    name: str
    #: What ``$LATEST`` runs: a callable or an import string ``package.module:name``.
    handler: Handler | str
    description: str = ""
    #: Seconds an attempt may take. Lambda's default, short on purpose: say what yours needs.
    timeout_s: float = 3
    #: Told to the handler and in REPORT lines, in MB; nothing enforces it.
    memory_limit_in_mb: int = 128
    #: Told to those who ask. Any ``python3.N``; other runtimes cannot run here.
    runtime: str = THIS_RUNTIME
    #: Published versions: number to handler.
    versions: Mapping[str, Handler | str] = field(default_factory=dict)
    #: Aliases: name to version number, or to ``{"version": "1", "weights": {"2": 0.1}}``.
    aliases: Mapping[str, str | Mapping[str, Any]] = field(default_factory=dict)
    #: This function's own value; ``None`` takes the one of `config.Settings`.
    maximum_retry_attempts: int | None = None
    #: This function's own value; ``None`` takes the one of `config.Settings`.
    maximum_event_age_s: int | None = None
    #: Attempts at once, of asynchronous invocations over all processes that share a queue; 0 runs
    #: nothing. ``None``: as many as there are workers. Synchronous ones are counted by process.
    reserved_concurrency: int | None = None
    #: This function's own value; ``None`` takes the one of `config.Settings`. See `targets`.
    on_success: str | Callable[[Any], object] | None = field(default=None, repr=False)
    #: This function's own value; ``None`` takes the one of `config.Settings`.
    on_failure: str | Callable[[Any], object] | None = field(default=None, repr=False)
    #: This function's own value; ``None`` takes the one of `config.Settings`.
    dead_letter: str | Callable[[Any], object] | None = field(default=None, repr=False)
    #: This function's own value; ``None`` takes the one of `config.Settings`.
    recursive_loop: str | None = None
    #: Who else may invoke or configure it: a resource-based policy, as a mapping or as JSON. See
    #: `policy`.
    policy: Mapping[str, Any] | str | None = field(default=None, repr=False)
    #: For conditions on ``aws:ResourceTag/…`` in policies.
    tags: Mapping[str, str] = field(default_factory=dict)
    #: Import the handlers when they are first called, not at registration. A handler that cannot
    #: be imported then fails its invocations, as on Lambda, and not the start of the process.
    lazy: bool = False

    #: What clients have set of it: see `overlaid`.
    overrides: Overrides = field(init=False, repr=False, default=NOTHING_SET)
    #: By number, with ``$LATEST``.
    known_versions: Mapping[str, Version] = field(init=False, repr=False)
    #: By name.
    known_aliases: Mapping[str, Alias] = field(init=False, repr=False)
    #: The fields of `AsyncSettings` that are not ``None``.
    _own_settings: Mapping[str, Any] = field(init=False, repr=False)
    _declared_policies: tuple[Policy, ...] = field(init=False, repr=False)
    _resource_policies: tuple[Policy, ...] | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not names.is_plain_name(self.name):
            raise ConfigurationError(
                f"function name {self.name!r}: it must have 1 to 64 letters, digits, '-', '_', '.' "
                "and not be '.' or '..'"
            )
        self._check(isinstance(self.description, str), "description", "a text")
        self._check(
            type(self.timeout_s) in (int, float) and 0 < self.timeout_s <= MAX_TIMEOUT_S,
            "timeout_s",
            f"a number of seconds above 0, at most {MAX_TIMEOUT_S}",
        )
        self._check(
            type(self.memory_limit_in_mb) is int and self.memory_limit_in_mb > 0,
            "memory_limit_in_mb",
            "a whole number above 0",
        )
        self._check(
            isinstance(self.runtime, str) and (self.lazy or self._has_usable_runtime()),
            "runtime",
            f"'python3.N', such as {THIS_RUNTIME!r}",
        )
        reserved = self.reserved_concurrency
        self._check(
            reserved is None or (type(reserved) is int and reserved >= 0),
            "reserved_concurrency",
            "a whole number, 0 or more",
        )
        for setting in ("versions", "aliases", "tags"):
            self._check(isinstance(getattr(self, setting), Mapping), setting, "a mapping")
        self._check(
            all(isinstance(text, str) for tag in self.tags.items() for text in tag),
            "tags",
            "a mapping of texts to texts",
        )
        self._declared_policies = self._parse_policy()
        try:
            self._own_settings = self._parse_own_settings()
            replace(AsyncSettings(), **self._own_settings)
        except ConfigurationError as exc:
            raise ConfigurationError(f"function {self.name!r}: {exc}") from None
        handlers = {names.LATEST: self.handler, **self.versions}
        self.known_versions = {
            number: self._version(number, handlers[number]) for number in handlers
        }
        self.known_aliases = {
            name: self._alias(name, target) for name, target in self.aliases.items()
        }

    def overlaid(self, overrides: Overrides) -> Function:
        """This function with what clients have set of it; itself is left as it is."""
        function = copy.copy(self)
        function.overrides = overrides
        if overrides.reserved_concurrency is not None:
            function.reserved_concurrency = overrides.reserved_concurrency
        if overrides.recursive_loop is not None:
            own = {**self._own_settings, "recursive_loop": overrides.recursive_loop}
            function._own_settings = own
        function._resource_policies = None
        function.known_versions = {**self.known_versions, **self._published(overrides)}
        function.known_aliases = {**self.known_aliases}
        for name, alias in overrides.aliases.items():
            if alias.version in function.known_versions:
                weights = function.weights_of(alias)
                function.known_aliases[name] = Alias(
                    name, alias.version, weights, alias.description
                )
        return function

    def weights_of(self, alias: Alias | SetAlias) -> dict[str, float]:
        """The weights of an alias, without those of versions that are gone."""
        known = self.known_versions
        return {number: share for number, share in alias.weights.items() if number in known}

    def number_of(self, qualifier: str | None) -> str:
        """The number of the version that a qualifier means; of a weighted alias the first."""
        alias = self.known_aliases.get(qualifier or "")
        return (qualifier or names.LATEST) if alias is None else alias.version

    @property
    def lost_aliases(self) -> list[str]:
        """Aliases that clients have set for versions that the application does not have (any more).

        They mean nothing, or what is declared, until they are set for another one.
        """
        aliases = self.overrides.aliases
        return [name for name in aliases if aliases[name].version not in self.known_versions]

    @property
    def hidden_versions(self) -> list[str]:
        """Versions that are declared, whose numbers were published with other handlers."""
        published = self.overrides.versions
        return [
            number
            for number, handler in self.versions.items()
            if number in published and _reference_of(handler) != published[number].handler
        ]

    @property
    def resource_policies(self) -> tuple[Policy, ...]:
        """`policy`, and the policies that clients have set, ready to be evaluated."""
        policies = self._resource_policies
        if policies is None:
            policies = (*self._declared_policies, *self._set_policies(self.overrides))
            self._resource_policies = policies
        return policies

    def _set_policies(self, overrides: Overrides) -> Iterator[Policy]:
        for qualifier, statements in overrides.statements.items():
            if statements:
                yield Policy.parse(
                    {"Version": "2012-10-17", "Statement": list(statements.values())},
                    name=f"function {self.name}{qualifier and ':'}{qualifier}",
                    kind="resource",
                )

    def _published(self, overrides: Overrides) -> dict[str, Version]:
        return {
            number: Version(
                number=number,
                handler=version.handler,
                reference=version.handler,
                description=version.description,
                timeout_s=version.timeout_s,
                memory_limit_in_mb=version.memory_limit_in_mb,
                runtime=version.runtime,
                dead_letter=self._target(version.dead_letter),
                published_at=version.published_at,
            )
            for number, version in overrides.versions.items()
        }

    def _target(self, name: str | None) -> Target | None:
        """The target of a name that was kept: one that is declared, or what the name says."""
        if name is None:
            return None
        for declared in self._own_settings.values():
            if isinstance(declared, Target) and declared.name == name:
                return declared
        target = targets.find(name)
        if target is None:
            logger.error("function %s: there is no destination %s any more", self.name, name)
        return target

    @property
    def declared_statements(self) -> tuple[Mapping[str, Any], ...]:
        """The statements of `policy`, as they were given."""
        if self.policy is None:
            return ()
        given = self.policy if isinstance(self.policy, Mapping) else load_json(self.policy)
        statements = given["Statement"]
        return (statements,) if isinstance(statements, Mapping) else tuple(statements)

    def event_invoke_config(self, qualifier: str | None) -> EventInvokeConfig | None:
        """What is set for the events of a qualifier, or else declared for all of the function's."""
        config = self.overrides.event_invoke_configs.get(qualifier or names.LATEST)
        return self._declared_event_invoke_config() if config is None else config

    def _declared_event_invoke_config(self) -> EventInvokeConfig | None:
        """What the application says of the function's events; ``None`` for nothing."""
        own = self._own_settings
        if not any(name in own for name in _OF_EVENT_INVOKE_CONFIG):
            return None
        on_success, on_failure = own.get("on_success"), own.get("on_failure")
        return EventInvokeConfig(
            maximum_retry_attempts=own.get("maximum_retry_attempts"),
            maximum_event_age_s=own.get("maximum_event_age_s"),
            on_success=None if on_success is None else on_success.name,
            on_failure=None if on_failure is None else on_failure.name,
            modified_at=self.known_versions[names.LATEST].modified_at,
        )

    def async_settings(self, qualifier: str | None, defaults: AsyncSettings) -> AsyncSettings:
        """How the events of a qualifier are retried: set or declared values, else the defaults.

        Where clients have set something for the qualifier, that takes the place of all that is
        declared of it, and the defaults are for the rest.
        """
        own = dict(self._own_settings)
        config = self.overrides.event_invoke_configs.get(qualifier or names.LATEST)
        if config is not None:
            for name in _OF_EVENT_INVOKE_CONFIG:
                value = getattr(config, name)
                own[name] = self._target(value) if name in _DESTINATIONS else value
        number = self.number_of(qualifier)
        if number in self.overrides.versions:
            own["dead_letter"] = self.known_versions[number].dead_letter
        return replace(defaults, **{name: own[name] for name in own if own[name] is not None})

    def _parse_own_settings(self) -> dict[str, Any]:
        own: dict[str, Any] = {
            "maximum_retry_attempts": self.maximum_retry_attempts,
            "maximum_event_age_s": self.maximum_event_age_s,
            "recursive_loop": self.recursive_loop,
            **targets.parse_all(
                on_success=self.on_success,
                on_failure=self.on_failure,
                dead_letter=self.dead_letter,
            ),
        }
        for setting in ("on_success", "on_failure"):
            target = own[setting]
            reference = names.parse(target.name) if target and target.kind == "function" else None
            if reference is not None and reference.name == self.name:
                raise ConfigurationError(
                    f"{setting}={target.name!r}: You can't specify the function as a destination "
                    "for itself."
                )
        return {name: value for name, value in own.items() if value is not None}

    def _parse_policy(self) -> tuple[Policy, ...]:
        if self.policy is None:
            return ()
        name = f"function {self.name}"
        return (Policy.parse(self.policy, name=name, kind="resource"),)

    def has(self, qualifier: str | None) -> bool:
        """Whether the version or alias exists; ``None`` and ``$LATEST`` always do."""
        return (
            qualifier is None or qualifier in self.known_versions or qualifier in self.known_aliases
        )

    def version(self, qualifier: str | None) -> Version:
        """The version that an attempt under ``qualifier`` runs. Weighted aliases choose now.

        Raises:
            KeyError: there is no such version or alias.
        """
        if qualifier is None:
            return self.known_versions[names.LATEST]
        alias = self.known_aliases.get(qualifier)
        return self.known_versions[qualifier if alias is None else alias.choose()]

    def _has_usable_runtime(self) -> bool:
        return _PYTHON_RUNTIME.fullmatch(self.runtime) is not None

    def require_usable_runtime(self) -> None:
        """Raise `InvalidRuntimeException` when this function cannot run here (lazy ones only)."""
        if not self._has_usable_runtime():
            raise InvalidRuntimeException(
                f"The runtime {self.runtime} of function {self.name} cannot run here"
            )

    def _version(self, number: str, handler: Handler | str) -> Version:
        if number != names.LATEST and not (isinstance(number, str) and names.is_version(number)):
            raise ConfigurationError(
                f"function {self.name!r}: version {number!r} must be a string of digits, from '1'"
            )
        reference = _reference_of(handler)
        if isinstance(handler, str):
            self._check(_has_handler_form(handler), "handler", "'package.module:name'", handler)
            if not self.lazy:
                try:
                    handler = import_handler(handler)
                except HandlerError as exc:
                    raise ConfigurationError(
                        f"function {self.name!r}: handler {handler!r} cannot be imported: {exc}"
                    ) from exc
        if not isinstance(handler, str):
            self._check(callable(handler), "handler", "a callable or an import string", handler)
        return Version(
            number=number,
            handler=handler,
            reference=reference,
            description=self.description,
            timeout_s=self.timeout_s,
            memory_limit_in_mb=self.memory_limit_in_mb,
            runtime=self.runtime,
            dead_letter=self._own_settings.get("dead_letter"),
        )

    def _alias(self, name: str, target: str | Mapping[str, Any]) -> Alias:
        if not isinstance(name, str) or not names.is_alias(name):
            raise ConfigurationError(
                f"function {self.name!r}: alias {name!r} must have 1 to 128 letters, digits, '-' "
                "and '_', and not digits only"
            )
        given: dict[str, Any] = dict(target) if isinstance(target, Mapping) else {"version": target}
        version: Any = given.pop("version", None)
        weights: Any = given.pop("weights", {})
        self._check(
            not given
            and isinstance(version, str)
            and version in self.known_versions
            and isinstance(weights, Mapping),
            f"aliases[{name!r}]",
            f"one of the versions {', '.join(map(repr, sorted(self.known_versions)))}, or a "
            "mapping with 'version' and 'weights'",
            target,
        )
        self._check(
            all(
                number in self.known_versions
                and number != version
                and names.LATEST not in (number, version)
                and isinstance(weight, (int, float))
                and 0 <= weight <= 1
                for number, weight in weights.items()
            )
            and len(weights) <= 1,
            f"aliases[{name!r}].weights",
            "at most one other published version, with a share from 0 to 1",
            weights,
        )
        return Alias(name, version, dict(weights))

    def _check(self, legal: bool, setting: str, allowed: str, *given: object) -> None:
        """Refuse a setting: its own value, or the part of it that was given and is wrong."""
        if not legal:
            [value] = given or [getattr(self, setting)]
            raise ConfigurationError(
                f"function {self.name!r}: {setting}={value!r}: it must be {allowed}"
            )


_DESTINATIONS = ("on_success", "on_failure")
_OF_EVENT_INVOKE_CONFIG = ("maximum_retry_attempts", "maximum_event_age_s", *_DESTINATIONS)


class Functions:
    """The functions of an application, by name.

    >>> functions = Functions()
    >>> @functions.function("greet", timeout_s=30)
    ... def greet(event, context):
    ...     return f"hello {event['name']}"
    >>> [function.name for function in functions]
    ['greet']
    """

    def __init__(self) -> None:
        self._by_name: dict[str, Function] = {}

    @classmethod
    def from_mapping(cls, functions: Mapping[str, Handler | str | Mapping[str, Any]]) -> Functions:
        """A registry from a mapping of names to handlers, or to mappings of `Function`'s fields.

        Raises:
            ConfigurationError: a name, option or handler is not usable.
        """
        registry = cls()
        if not isinstance(functions, Mapping):
            raise ConfigurationError(f"functions={functions!r}: it must be a mapping")
        for name, given in functions.items():
            options = dict(given) if isinstance(given, Mapping) else {"handler": given}
            if "handler" not in options:
                raise ConfigurationError(f"function {name!r}: it has no 'handler'")
            registry.add(name, options.pop("handler"), **options)
        return registry

    @classmethod
    def from_file(cls, path: str | Path) -> Functions:
        """A registry from a ``.toml`` or ``.json`` file with one table, ``functions``.

        Raises:
            ConfigurationError: the file cannot be read or parsed, or describes no usable functions.
        """
        path = Path(path)
        try:
            content = _parse_file(path)
        except (OSError, ValueError) as exc:
            reason = getattr(exc, "strerror", None) or exc
            raise ConfigurationError(f"functions file {str(path)!r}: {reason}") from exc
        if set(content) != {"functions"} or not isinstance(content["functions"], dict):
            raise ConfigurationError(
                f"functions file {str(path)!r}: it must have one table, 'functions', not "
                f"{sorted(content)}"
            )
        return cls.from_mapping(content["functions"])

    @overload
    def function(self, name: _H, /) -> _H: ...

    @overload
    def function(
        self, name: str | None = None, /, **options: Unpack[FunctionOptions]
    ) -> Callable[[_H], _H]: ...

    def function(
        self, name: str | _H | None = None, /, **options: Unpack[FunctionOptions]
    ) -> _H | Callable[[_H], _H]:
        """Register the decorated callable and return it unchanged.

        Args:
            name: what callers put in the path; the callable's own name when left out.
            options: the fields of `Function`.

        Raises:
            ConfigurationError: the name is taken, or a value is not allowed.
        """
        if callable(name):
            return self.function()(name)

        def register(handler: _H) -> _H:
            # A callable without a name of its own gets none: the error says what a name must be.
            self.add(getattr(handler, "__name__", "") if name is None else name, handler, **options)
            return handler

        return register

    def add(
        self, name: str, handler: Handler | str, /, **options: Unpack[FunctionOptions]
    ) -> Function:
        """Register a callable, or an import string ``package.module:name``.

        Raises:
            ConfigurationError: the name is taken, a value is not allowed, or the handler cannot
                be imported (with ``lazy=True`` that shows when it is called).
        """
        known = {f.name for f in fields(Function) if f.init} - {"name", "handler"}
        for option in options:
            if option not in known:
                raise ConfigurationError(f"function {name!r}: {unknown('option', option, known)}")
        function = Function(name=name, handler=handler, **options)
        if self._by_name.setdefault(name, function) is not function:
            raise ConfigurationError(f"function {name!r} is registered already")
        return function

    def refer(self, function_name: str, qualifier: str | None) -> FunctionReference:
        """What a caller means by a name and a ``Qualifier`` parameter, whether it exists or not.

        Args:
            function_name: a name, partial ARN or ARN without violations (see `names`).
            qualifier: the parameter, or ``None``.

        Raises:
            InvalidParameterValueException: the name has another qualifier than the parameter.
        """
        if qualifier is None and function_name in self._by_name:
            return FunctionReference(function_name)
        reference = names.parse(function_name)
        if reference is None:
            raise ValueError(f"function name {function_name!r} was not validated")
        if qualifier is None:
            return reference
        if reference.qualifier not in (None, qualifier):
            raise InvalidParameterValueException(
                "The derived qualifier from the function name does not match the specified "
                "qualifier."
            )
        return reference._replace(qualifier=qualifier)

    def get(self, name: str) -> Function | None:
        """The function registered under a bare name, or ``None``."""
        return self._by_name.get(name)

    def __iter__(self) -> Iterator[Function]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    def __repr__(self) -> str:
        return f"<Functions: {', '.join(self._by_name) or 'none yet'}>"


def import_handler(reference: str) -> Handler:
    """The callable that an import string ``package.module:name`` names.

    Raises:
        HandlerError: the module or the name is not there, or importing it fails.
    """
    module_name, _, attribute = reference.partition(":")
    try:
        handler: Any = importlib.import_module(module_name)
    except SyntaxError as exc:
        raise HandlerError(
            "Runtime.UserCodeSyntaxError", f"Syntax error in module '{module_name}': {exc}"
        ) from exc
    except (Exception, SystemExit) as exc:
        raise HandlerError(
            "Runtime.ImportModuleError", f"Unable to import module '{module_name}': {exc}"
        ) from exc
    try:
        for part in attribute.split("."):
            handler = getattr(handler, part)
    except Exception as exc:  # a module's own __getattr__ may raise anything
        raise HandlerError(
            "Runtime.HandlerNotFound", f"Handler '{attribute}' missing on module '{module_name}'"
        ) from exc
    if not callable(handler):
        raise HandlerError(
            "Runtime.HandlerNotFound",
            f"Handler '{attribute}' on module '{module_name}' is not callable",
        )
    return handler  # type: ignore[no-any-return]


def import_object(reference: str) -> Any:
    """What ``package.module:name`` names, dots in the name included.

    Raises:
        ImportError, AttributeError, TypeError, ValueError: there is no such thing; or whatever the
            module raises when it is imported.
    """
    module_name, _, name = reference.partition(":")
    return attrgetter(name)(importlib.import_module(module_name))


def _reference_of(handler: Handler | str) -> str:
    """The import string of a handler, whether it can be imported by it or not."""
    if isinstance(handler, str):
        return handler
    named = handler if hasattr(handler, "__qualname__") else type(handler)
    return f"{named.__module__}:{named.__qualname__}"


def _is_named(handler: object, reference: str) -> bool:
    """Whether another process finds a callable under its import string."""
    if reference.startswith("__main__:"):
        return False
    try:
        return import_object(reference) is handler
    except Exception:  # noqa: BLE001 - a module's own __getattr__ may raise anything
        return False


def _has_handler_form(reference: str) -> bool:
    module_name, colon, attribute = reference.partition(":")
    parts = [*module_name.split("."), *attribute.split(".")]
    return bool(colon) and all(part.isidentifier() for part in parts)


def _parse_file(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    if path.suffix == ".json":
        parsed = json.loads(content)
    elif path.suffix == ".toml":
        if sys.version_info >= (3, 11):
            import tomllib
        else:
            import tomli as tomllib
        parsed = tomllib.loads(content.decode())
    else:
        raise ValueError("it must end in .toml or .json")
    if not isinstance(parsed, dict):
        raise ValueError(f"it must hold an object, not {type(parsed).__name__}")
    return parsed
