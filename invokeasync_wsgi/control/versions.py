"""Versions and aliases.

A published version keeps the name of the handler and its settings as they were. The code behind the
name is the application's: a deployment that changes it changes all versions that name it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, cast

from .. import names
from ..errors import (
    InvalidParameterValueException,
    PreconditionFailedException,
    ResourceConflictException,
    ResourceNotFoundException,
)
from ..functions import Function
from ..names import FunctionReference
from ..overrides import UNQUALIFIED, Overrides, SetAlias, dropped
from . import shapes
from .call import Answer, Call, declared

_ALIAS_PATTERN = r"(?!^[0-9]+$)([a-zA-Z0-9-_]+)"
_VERSION_PATTERN = r"(\$LATEST(\.PUBLISHED)?|[0-9]+)"
_MAX_DESCRIPTION_LENGTH = 256
_WEIGHTS = "routingConfig.additionalVersionWeights"

#: Aliases of one function; Lambda has no number for it.
_MAX_ALIASES = 1000


def publish_version(call: Call) -> Answer:
    """PublishVersion: what ``$LATEST`` is now, under a number; nothing new if nothing is new."""
    code_sha256 = call.parameters.text("CodeSha256")
    description = _description(call)
    revision = call.parameters.text("RevisionId")
    call.parameters.enum("PublishTo", ("LATEST_PUBLISHED",))
    call.parameters.check(names.CONTROL_FUNCTION_NAME)
    reference = call.refer_unqualified()
    call.authorize(reference)
    call.function(reference)
    published: list[str] = []

    def publish(function: Function) -> Overrides:
        latest = function.known_versions[names.LATEST]
        require_revision(call, function, names.LATEST, revision, "GetFunction/GetAlias")
        current = shapes.code_sha256(latest)
        if code_sha256 not in (None, "", current):
            raise InvalidParameterValueException(
                f"CodeSHA256 ({code_sha256}) is different from current CodeSHA256 in $LATEST "
                f"({current}). Please try again with the CodeSHA256 in $LATEST."
            )
        try:
            version = latest.publish(description, call.now)
        except ValueError as exc:
            raise InvalidParameterValueException(str(exc)) from exc
        held = function.overrides.versions
        newest = max(held, key=int, default=None)
        if newest is not None and held[newest].is_same(version):
            published.append(newest)
            return function.overrides
        number = function.overrides.next_number(function.known_versions)
        if not names.is_version(number):
            raise InvalidParameterValueException("There are no more numbers for versions.")
        published.append(number)
        return function.overrides.stamped(UNQUALIFIED, versions={**held, number: version})

    function = call.change(reference.name, publish)
    number = published[-1]
    return HTTPStatus.CREATED, shapes.function_configuration(
        call.catalog, function, number, qualifier=number
    )


def create_alias(call: Call) -> Answer:
    """CreateAlias."""
    parameters = call.parameters
    name = parameters.text("Name", is_required=True, max_length=128, pattern=_ALIAS_PATTERN) or ""
    version = _version(call, is_required=True)
    description = _description(call)
    weights = _weights(call)
    parameters.check(names.CONTROL_FUNCTION_NAME)
    reference = _alias_call(call, weights)
    if call.catalog.get(reference.name) is None:
        raise _no_version(call, reference.name, version or "")

    def create(function: Function) -> Overrides:
        alias = SetAlias(
            version=version or "", description=description or "", weights=weights or {}
        )
        _require_versions(call, function, alias)
        if name in function.known_aliases:
            arn = call.catalog.arn(function.name, name)
            raise ResourceConflictException(f"Alias already exists: {arn}")
        if len(function.known_aliases) >= _MAX_ALIASES:
            raise InvalidParameterValueException(
                f"A function can have {_MAX_ALIASES} aliases at most."
            )
        # Not what was set for one of this name that is no more.
        return _with_alias(function.overrides.without(name), name, alias)

    function = call.change(reference.name, create)
    return HTTPStatus.CREATED, _shown(call, function, name)


def update_alias(call: Call) -> Answer:
    """UpdateAlias: changes what is given of it. A declared one is as it is given here from then."""
    name = _name(call)
    version = _version(call)
    description = _description(call)
    weights = _weights(call)
    revision = call.parameters.text("RevisionId")
    call.parameters.check(names.CONTROL_FUNCTION_NAME)
    reference = _alias_call(call, weights)
    arn = call.catalog.arn(reference.name, name)
    missing = ResourceNotFoundException(f"Alias not found: {arn}")
    if call.catalog.get(reference.name) is None:
        raise missing

    def update(function: Function) -> Overrides:
        # Or one that means nothing, as its version is gone.
        before = function.known_aliases.get(name) or function.overrides.aliases.get(name)
        if before is None:
            raise missing
        require_revision(call, function, name, revision, "GetFunction/GetAlias")
        alias = SetAlias(
            version=before.version if version is None else version,
            description=before.description if description is None else description,
            weights=function.weights_of(before) if weights is None else weights,
        )
        _require_versions(call, function, alias)
        return _with_alias(function.overrides, name, alias)

    function = call.change(reference.name, update)
    return HTTPStatus.OK, _shown(call, function, name)


def get_alias(call: Call) -> Answer:
    """GetAlias."""
    name = _name(call)
    call.parameters.check(names.CONTROL_FUNCTION_NAME)
    reference = _alias_call(call)
    function = call.catalog.get(reference.name)
    if function is None or name not in function.known_aliases:
        arn = call.catalog.arn(reference.name, name)
        raise ResourceNotFoundException(f"Cannot find alias arn: {arn}")
    return HTTPStatus.OK, _shown(call, function, name)


def list_aliases(call: Call) -> Answer:
    """ListAliases: by name; those of one version for ``FunctionVersion``."""
    version = call.parameters.query("FunctionVersion", max_length=1024, pattern=_VERSION_PATTERN)
    max_items = call.parameters.query_number("MaxItems", 1, 10_000)
    call.parameters.check(names.CONTROL_FUNCTION_NAME)
    reference = _alias_call(call)
    function = call.function(reference)
    items = [
        ((alias.name,), alias)
        for alias in sorted(function.known_aliases.values(), key=lambda alias: alias.name)
        if version is None or version == alias.version or version in alias.weights
    ]
    return call.page(
        "Aliases",
        items,
        lambda alias: shapes.alias_configuration(call.catalog, function, alias),
        max_items,
    )


def delete_alias(call: Call) -> Answer:
    """DeleteAlias: removes what was set of it.

    What was set for its events and callers goes with it, unless the alias is still declared.
    """
    name = _name(call)
    call.parameters.check(names.CONTROL_FUNCTION_NAME)
    reference = _alias_call(call)
    function = call.function(reference)

    def delete(function: Function) -> Overrides:
        held = function.overrides
        if name not in held.aliases:
            if name in function.known_aliases:
                raise declared(f"The alias {name} of function {function.name}")
            return held.without(name)  # what was set for one that was declared
        is_declared = name in function.aliases
        changed = held.stamped(name, aliases=dropped(held.aliases, name))
        return changed if is_declared else changed.without(name)

    call.change(function.name, delete)
    return HTTPStatus.NO_CONTENT, None


def require_revision(
    call: Call, function: Function, qualifier: str, given: str | None, calls: str
) -> None:
    """Refuse a change of something that has changed since the caller looked.

    Args:
        call: the call.
        function: as it is now.
        qualifier: a version's or an alias's.
        given: the caller's RevisionId, or ``None``.
        calls: that tell the right one.

    Raises:
        PreconditionFailedException: it has another one.
    """
    if given and given != shapes.revision(call.catalog, function, qualifier):
        raise PreconditionFailedException(
            "The Revision Id provided does not match the latest Revision Id. Call the "
            f"{calls} API to retrieve the latest Revision Id"
        )


# --- parameters -----------------------------------------------------------------------------------


def _name(call: Call) -> str:
    return call.parameters.item("Name", max_length=128, pattern=_ALIAS_PATTERN)


def _version(call: Call, *, is_required: bool = False) -> str | None:
    return call.parameters.text(
        "FunctionVersion", is_required=is_required, max_length=1024, pattern=_VERSION_PATTERN
    )


def _description(call: Call) -> str | None:
    return call.parameters.text("Description", min_length=0, max_length=_MAX_DESCRIPTION_LENGTH)


def _weights(call: Call) -> dict[str, float] | None:
    """The AdditionalVersionWeights; ``None`` where the routing is not spoken of."""
    if call.parameters.within("RoutingConfig") is None:
        return None
    given = call.parameters.within("RoutingConfig", "AdditionalVersionWeights") or {}
    are_right = all(type(weight) in (int, float) and 0 <= weight <= 1 for weight in given.values())
    shown = ", ".join(f"{number}={_java(weight)}" for number, weight in given.items())
    if not all(number.isascii() and number.isdigit() and len(number) <= 1024 for number in given):
        call.parameters.violates(
            [
                f"Value '{{{shown}}}' at '{_WEIGHTS}' failed to satisfy constraint: Map keys must "
                "satisfy constraint: [Member must have length less than or equal to 1024, Member "
                "must have length greater than or equal to 1, Member must satisfy regular "
                "expression pattern: [0-9]+]"
            ]
        )
    if not are_right:
        call.parameters.violates(
            [
                f"Value '{{{shown}}}' at '{_WEIGHTS}' failed to satisfy constraint: Map value must "
                "satisfy constraint: [Member must have value less than or equal to 1.0, Member "
                "must have value greater than or equal to 0.0, Member must not be null]"
            ]
        )
    return {number: float(weight) for number, weight in given.items()} if are_right else {}


def _java(weight: object) -> str:
    """A weight as AWS's service writes it: a double, or ``null``."""
    if type(weight) not in (int, float):
        return json.dumps(weight)
    try:
        return str(float(cast(float, weight)))
    except OverflowError:
        return "Infinity"


def _alias_call(call: Call, weights: Mapping[str, float] | None = None) -> FunctionReference:
    """What an alias's call is about, once its caller may do it."""
    if weights is not None and len(weights) > 1:
        raise InvalidParameterValueException(
            "Number of items in AdditionalVersionWeights cannot be greater than 1"
        )
    reference = call.refer_unqualified()
    call.authorize(reference)
    return reference


# --- rules ----------------------------------------------------------------------------------------


def _require_versions(call: Call, function: Function, alias: SetAlias) -> None:
    """Refuse an alias of versions that are not there, or that it cannot have together."""
    if alias.version not in function.known_versions:
        raise _no_version(call, function.name, alias.version)
    if alias.weights and alias.version == names.LATEST:
        raise InvalidParameterValueException(
            "$LATEST is not supported for an alias pointing to more than 1 version",
            is_typed=False,
        )
    for number in alias.weights:
        if number == alias.version:
            raise InvalidParameterValueException(
                f"Invalid function version {number}. Function version {number} is already "
                "included in routing configuration."
            )
        if number not in function.known_versions:
            raise _no_version(call, function.name, number)


def _no_version(call: Call, name: str, number: str) -> ResourceNotFoundException:
    return ResourceNotFoundException(f"Function not found: {call.catalog.arn(name, number)}")


def _with_alias(held: Overrides, name: str, alias: SetAlias) -> Overrides:
    return held.stamped(name, aliases={**held.aliases, name: alias})


def _shown(call: Call, function: Function, name: str) -> Mapping[str, Any]:
    return shapes.alias_configuration(call.catalog, function, function.known_aliases[name])


CALLS = {
    "PublishVersion": publish_version,
    "CreateAlias": create_alias,
    "UpdateAlias": update_alias,
    "GetAlias": get_alias,
    "ListAliases": list_aliases,
    "DeleteAlias": delete_alias,
}
