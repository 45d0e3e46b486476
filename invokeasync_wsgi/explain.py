"""Where each value of a function comes from: the command ``config``.

Three sources, the later of which wins: the defaults of settings, what the application declares, and
what clients have set through the API.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, fields
from typing import Any, Literal, NamedTuple

from . import names
from .catalog import Catalog
from .errors import ConfigurationError, StoreError
from .functions import Alias, Function
from .overrides import Overrides
from .targets import Target, shown

Source = Literal["default", "declared", "set"]

_OF_CODE = ("description", "timeout_s", "memory_limit_in_mb", "runtime")
_OF_EVENTS = ("maximum_retry_attempts", "maximum_event_age_s", "on_success", "on_failure")

_DEFAULTS = {each.name: each.default for each in fields(Function) if each.name in _OF_CODE}


class Row(NamedTuple):
    """One value."""

    function: str
    #: Of what it holds for; ``None`` for the whole function.
    qualifier: str | None
    setting: str
    value: Any
    source: Source
    #: What the application declares, where something else was set.
    declared: Any = None


def rows(catalog: Catalog, function_name: str | None = None) -> list[Row]:
    """The values of all functions, or of one.

    Raises:
        ConfigurationError: there is no such function.
        StoreError: what clients have set cannot be read.
    """
    catalog.look()
    found: list[Row] = []
    for declared in catalog.declared:
        if function_name in (None, declared.name):
            found += _rows_of(catalog, declared)
    for name, overrides in catalog.set_of_unknown().items():
        if function_name in (None, name):
            found.append(_of_unknown(name, overrides))
    if function_name is not None and not found:
        raise ConfigurationError(f"there is no function {function_name!r}")
    return found


def show(found: list[Row], *, as_json: bool) -> None:
    """Print rows: a table for each function, or a line of JSON for each row."""
    function = None
    for row in found:
        if as_json:
            print(json.dumps(row._asdict()))
            continue
        if row.function != function:
            function = row.function
            print(function)
        setting = row.setting if row.qualifier is None else f"{row.setting} :{row.qualifier}"
        declared = "" if row.declared is None else f" (declared: {_text(row.declared)})"
        print(f"  {setting:32} {_text(row.value):32} {row.source}{declared}")


def _rows_of(catalog: Catalog, declared: Function) -> Iterator[Row]:
    try:
        function = catalog.known(declared.name) or declared
    except StoreError as exc:
        yield Row(declared.name, None, "out of order", str(exc), "set")
        return
    yield from _of_code(function)
    yield from _of_queue(catalog, function, declared)
    for qualifier in dict.fromkeys((names.LATEST, *function.overrides.event_invoke_configs)):
        yield from _of_events(catalog, function, declared, qualifier)
    for number in function.known_versions:
        if number != names.LATEST:
            yield _version(function, declared, number)
    for name in function.known_aliases:
        yield _alias(function, declared, name)
    for name in function.lost_aliases:
        version = function.overrides.aliases[name].version
        yield Row(function.name, name, "alias of no version", version, "set")
    yield from _permissions(function)


def _of_unknown(name: str, overrides: Overrides | StoreError) -> Row:
    """What is set of a function that the application does not have."""
    if isinstance(overrides, StoreError):
        return Row(name, None, "out of order", str(overrides), "set")
    members = {each: value for each, value in asdict(overrides).items() if value not in (None, {})}
    return Row(name, None, "not declared", _without_secrets(members), "set")


def _of_code(function: Function) -> Iterator[Row]:
    """What is run, and how: nobody but the application says so."""
    latest = function.known_versions[names.LATEST]
    yield Row(function.name, None, "handler", latest.reference, "declared")
    for setting in _OF_CODE:
        value = getattr(function, setting)
        source: Source = "default" if value == _DEFAULTS[setting] else "declared"
        yield Row(function.name, None, setting, value, source)


def _of_queue(catalog: Catalog, function: Function, declared: Function) -> Iterator[Row]:
    settings = catalog.settings_of(function, None)
    values = {
        "reserved_concurrency": function.reserved_concurrency,
        "recursive_loop": settings.recursive_loop,
        "dead_letter": settings.dead_letter,
    }
    for setting, value in values.items():
        given = getattr(declared, setting)
        is_set = getattr(function.overrides, setting, None) is not None
        yield _row(function, None, setting, value, given, is_set=is_set)


def _of_events(
    catalog: Catalog, function: Function, declared: Function, qualifier: str
) -> Iterator[Row]:
    """What is an EventInvokeConfig in the API; one that is set hides all that is declared."""
    settings = catalog.settings_of(function, qualifier)
    of_application = declared.async_settings(None, catalog.defaults)
    config = function.overrides.event_invoke_configs.get(qualifier)
    for setting in _OF_EVENTS:
        value = getattr(settings, setting)
        given = None
        if getattr(declared, setting) is not None:
            given = getattr(of_application, setting)
        if config is not None and getattr(config, setting) is None:
            yield Row(function.name, qualifier, setting, _plain(value), "default", _plain(given))
        else:
            yield _row(function, qualifier, setting, value, given, is_set=config is not None)


def _version(function: Function, declared: Function, number: str) -> Row:
    given = declared.known_versions.get(number)
    published = function.overrides.versions.get(number)
    was = None if given is None else given.reference
    if published is None:
        return _row(function, number, "version", was, was, is_set=False)
    value = _without_secrets(asdict(published))
    return _row(function, number, "version", value, was, is_set=True)


def _alias(function: Function, declared: Function, name: str) -> Row:
    def of(alias: Alias | None) -> Any:
        if alias is None or not alias.weights:
            return alias and alias.version
        return {"version": alias.version, "weights": dict(alias.weights)}

    given, value = declared.known_aliases.get(name), function.known_aliases[name]
    is_set = name in function.overrides.aliases
    return _row(function, name, "alias", of(value), of(given), is_set=is_set)


def _permissions(function: Function) -> Iterator[Row]:
    for statement in function.declared_statements:
        yield Row(function.name, None, "permission", dict(statement), "declared")
    for qualifier, statements in function.overrides.statements.items():
        for statement in statements.values():
            yield Row(function.name, qualifier or None, "permission", dict(statement), "set")


def _row(
    function: Function,
    qualifier: str | None,
    setting: str,
    value: object,
    given: object,
    *,
    is_set: bool,
) -> Row:
    """A value that is set, else ``given`` by the application, else a default."""
    if is_set:
        was = None if given == value else _plain(given)
        return Row(function.name, qualifier, setting, _plain(value), "set", was)
    source: Source = "default" if given is None else "declared"
    return Row(function.name, qualifier, setting, _plain(value), source)


def _plain(value: Any) -> Any:
    """A value as JSON has it; addresses without what may be secret."""
    if isinstance(value, Target):
        return value.shown
    return value


def _without_secrets(value: Any) -> Any:
    """What JSON holds, its addresses without their queries."""
    if isinstance(value, dict):
        return {name: _without_secrets(each) for name, each in value.items()}
    return shown(value) if isinstance(value, str) else value


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return value if value and isinstance(value, str) else json.dumps(value)
