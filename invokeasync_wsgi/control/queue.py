"""Event-invoke-configs, reserved concurrency, recursion: what happens to a function's events.

An event-invoke-config belongs to one qualifier: ``$LATEST``, a version or an alias, and events have
the one of the qualifier they were sent to. What an application declares stands under all of them,
until something is set there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from .. import names, targets
from ..errors import (
    ConfigurationError,
    InvalidParameterValueException,
    ResourceNotFoundException,
)
from ..functions import Function
from ..names import FunctionReference
from ..overrides import NOTHING_SET, EventInvokeConfig, Overrides, dropped
from . import shapes
from .call import Answer, Call, declared, order_of

#: Quoted to the client. Empty, or nothing at all: no destination.
_DESTINATION_PATTERN = (
    r"$|kafka://([^.]([a-zA-Z0-9\-_.]{0,248}))|arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\-])+:"
    r"((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1})?:(\d{12})?:(.*)"
)
_MAX_DESTINATION_LENGTH = 350

#: What must stay for functions without a reservation: Lambda's number, where the account has more.
_LEAST_UNRESERVED = 100


# --- event-invoke-configs -------------------------------------------------------------------------


def put_event_invoke_config(call: Call) -> Answer:
    """PutFunctionEventInvokeConfig: replaces what was set for the qualifier."""
    given, reference = _given_config(call)
    call.authorize(reference)
    function = _existing_function(call, reference)
    _require_usable_destinations(call, function, given)
    return _set_config(call, reference, given, merges=False)


def update_event_invoke_config(call: Call) -> Answer:
    """UpdateFunctionEventInvokeConfig: changes what is given of what holds for the qualifier."""
    given, reference = _given_config(call)
    call.authorize(reference)
    function = _existing_function(call, reference)
    _require_config(call, function, reference)
    _require_usable_destinations(call, function, given)
    return _set_config(call, reference, given, merges=True)


def get_event_invoke_config(call: Call) -> Answer:
    """GetFunctionEventInvokeConfig: what holds for the qualifier, set or declared."""
    reference = _reference(call)
    call.authorize(reference)
    function = call.catalog.get(reference.name)
    config = _require_config(call, function, reference)
    return HTTPStatus.OK, _shown(call, reference, config)


def delete_event_invoke_config(call: Call) -> Answer:
    """DeleteFunctionEventInvokeConfig: removes what was set; what is declared holds again."""
    reference = _reference(call)
    call.authorize(reference)
    if call.catalog.get(reference.name) is None:
        raise _no_config(call, reference)
    qualifier = reference.qualifier or names.LATEST

    def delete(function: Function) -> Overrides:
        configs = function.overrides.event_invoke_configs
        if qualifier not in configs:
            _require_config(call, function, reference)
            raise declared(f"The EventInvokeConfig of function {function.name}")
        return replace(function.overrides, event_invoke_configs=dropped(configs, qualifier))

    call.change(reference.name, delete)
    return HTTPStatus.NO_CONTENT, None


def list_event_invoke_configs(call: Call) -> Answer:
    """ListFunctionEventInvokeConfigs: one for each qualifier of which something is set."""
    max_items = call.parameters.query_number("MaxItems", 1, 50)
    call.parameters.check()
    reference = call.refer()
    call.authorize(reference)
    function = _existing_function(call, reference._replace(qualifier=None))
    set_ = function.overrides.event_invoke_configs
    configs = {each: set_[each] for each in set_ if function.has(each)}
    of_latest = function.event_invoke_config(None)
    if of_latest is not None:
        configs[names.LATEST] = of_latest
    items = sorted((_order(qualifier), qualifier) for qualifier in configs)
    return call.page(
        "FunctionEventInvokeConfigs",
        items,
        lambda qualifier: shapes.event_invoke_config(
            call.catalog, call.catalog.arn(function.name, qualifier), configs[qualifier]
        ),
        max_items,
    )


def _order(qualifier: str) -> tuple[int, int, str]:
    """``$LATEST``, then versions by number, then aliases by name."""
    is_number = qualifier == names.LATEST or names.is_version(qualifier)
    return (0, order_of(qualifier), "") if is_number else (1, 0, qualifier)


def _reference(call: Call) -> FunctionReference:
    qualifier = call.parameters.qualifier()
    call.parameters.check()
    return call.refer(qualifier)


def _given_config(call: Call) -> tuple[dict[str, Any], FunctionReference]:
    """The fields of an `EventInvokeConfig` that the caller gives, and for what."""
    parameters = call.parameters
    retries = parameters.number("MaximumRetryAttempts", 0, 2)
    age_s = parameters.number("MaximumEventAgeInSeconds", 60, 21600)
    has_destinations = parameters.within("DestinationConfig") is not None
    on_success, on_failure = (
        parameters.text_within(
            "DestinationConfig",
            kind,
            "Destination",
            min_length=0,
            max_length=_MAX_DESTINATION_LENGTH,
            pattern=_DESTINATION_PATTERN,
        )
        for kind in ("OnSuccess", "OnFailure")
    )
    qualifier = parameters.qualifier()
    parameters.check()
    given: dict[str, Any] = {}
    if retries is not None:
        given["maximum_retry_attempts"] = retries
    if age_s is not None:
        given["maximum_event_age_s"] = age_s
    if has_destinations:
        given["on_success"] = on_success or None
        given["on_failure"] = on_failure or None
    if not given:
        raise InvalidParameterValueException(
            "You must specify at least one of error handling or destination setting."
        )
    return given, call.refer(qualifier)


def _existing_function(call: Call, reference: FunctionReference) -> Function:
    function = call.catalog.get(reference.name)
    if function is None or not function.has(reference.qualifier):
        raise ResourceNotFoundException("The function doesn't exist.")
    return function


def _require_config(
    call: Call, function: Function | None, reference: FunctionReference
) -> EventInvokeConfig:
    config = None
    if function is not None and function.has(reference.qualifier):
        config = function.event_invoke_config(reference.qualifier)
    if config is None:
        raise _no_config(call, reference)
    return config


def _no_config(call: Call, reference: FunctionReference) -> ResourceNotFoundException:
    arn = call.catalog.arn(reference.name, reference.qualifier or names.LATEST)
    return ResourceNotFoundException(f"The function {arn} doesn't have an EventInvokeConfig")


def _set_config(
    call: Call, reference: FunctionReference, given: Mapping[str, Any], *, merges: bool
) -> Answer:
    qualifier = reference.qualifier or names.LATEST
    configs: list[EventInvokeConfig] = []

    def set_config(function: Function) -> Overrides:
        if not function.has(qualifier):  # its alias was deleted meanwhile
            raise ResourceNotFoundException("The function doesn't exist.")
        before = _require_config(call, function, reference) if merges else EventInvokeConfig()
        config = replace(before, **given, modified_at=call.now)
        configs.append(config)
        held = function.overrides.event_invoke_configs
        return replace(function.overrides, event_invoke_configs={**held, qualifier: config})

    call.change(reference.name, set_config)
    return HTTPStatus.OK, _shown(call, reference, configs[-1])


def _shown(
    call: Call, reference: FunctionReference, config: EventInvokeConfig
) -> Mapping[str, Any]:
    arn = call.catalog.arn(reference.name, reference.qualifier or names.LATEST)
    return shapes.event_invoke_config(call.catalog, arn, config)


def _require_usable_destinations(call: Call, function: Function, given: Mapping[str, Any]) -> None:
    """Refuse destinations that are not there, or cannot be used here."""
    for setting in ("on_success", "on_failure"):
        arn = given.get(setting)
        if arn is None:
            continue
        try:
            target = targets.parse(setting, arn)
        except ConfigurationError:
            target = None
        reference = names.parse(arn)
        if target is None or (target.kind == "function" and reference is None):
            raise InvalidParameterValueException(
                f"The provided destination config {_config_text(given)} is invalid."
            )
        if target.kind == "function" and reference is not None:
            _require_function(call, function, arn, reference)
        try:
            call.destinations.check_target(target)
        except ConfigurationError as exc:
            raise InvalidParameterValueException(
                f"The destination ARN {arn} cannot be used: {exc}"
            ) from exc


def _require_function(
    call: Call, function: Function, arn: str, reference: FunctionReference
) -> None:
    catalog = call.catalog
    is_here = arn == catalog.arn(reference.name, reference.qualifier)
    found = catalog.get(reference.name) if is_here else None
    if found is None or not found.has(reference.qualifier):
        raise InvalidParameterValueException(f"The destination ARN {arn} is invalid.")
    if found.name == function.name:
        raise InvalidParameterValueException(
            "You can't specify the function as a destination for itself."
        )


def _config_text(given: Mapping[str, Any]) -> str:
    """The destinations, as AWS's service writes them."""
    on_success, on_failure = given["on_success"], given["on_failure"]
    success = "null" if on_success is None else f"OnSuccess(destination={on_success})"
    failure = "null" if on_failure is None else f"OnFailure(destination={on_failure})"
    return f"DestinationConfig(onSuccess={success}, onFailure={failure})"


# --- reserved concurrency -------------------------------------------------------------------------


def put_concurrency(call: Call) -> Answer:
    """PutFunctionConcurrency: so many attempts at once and no more, over all processes."""
    number = call.parameters.number("ReservedConcurrentExecutions", 0, is_required=True)
    call.parameters.check(names.CONTROL_FUNCTION_NAME)
    reference = call.refer_unqualified()
    call.authorize(reference)
    function = call.function(reference, told_as=names.LATEST)
    call.change(
        function.name,
        lambda now: replace(now.overrides, reserved_concurrency=number),
        require=lambda everyone: _require_unreserved(call, everyone, function.name, number or 0),
    )
    return HTTPStatus.OK, {"ReservedConcurrentExecutions": number}


def get_concurrency(call: Call) -> Answer:
    """GetFunctionConcurrency: what holds, set or declared."""
    function = _unqualified(call)
    return HTTPStatus.OK, reservation(function)


def delete_concurrency(call: Call) -> Answer:
    """DeleteFunctionConcurrency: removes what was set; what is declared holds again."""
    function = _unqualified(call)

    def delete(function: Function) -> Overrides:
        if function.overrides.reserved_concurrency is None:
            if function.reserved_concurrency is not None:
                raise declared(f"The reserved concurrency of function {function.name}")
            return function.overrides
        return replace(function.overrides, reserved_concurrency=None)

    call.change(function.name, delete)
    return HTTPStatus.NO_CONTENT, None


def reservation(function: Function) -> dict[str, int]:
    """A Concurrency; empty where nothing is reserved."""
    reserved = function.reserved_concurrency
    return {} if reserved is None else {"ReservedConcurrentExecutions": reserved}


def unreserved(call: Call) -> int:
    """What the account's concurrency leaves to functions without a reservation."""
    reserved = sum(function.reserved_concurrency or 0 for function in call.catalog)
    return max(call.settings.concurrent_executions - reserved, 0)


def _require_unreserved(
    call: Call, everyone: Mapping[str, Overrides], name: str, number: int
) -> None:
    """Refuse to reserve more than there is; less than before is always right."""
    reserved = {}
    for function in call.catalog.declared:
        set_ = everyone.get(function.name, NOTHING_SET).reserved_concurrency
        reserved[function.name] = (function.reserved_concurrency if set_ is None else set_) or 0
    before = reserved.pop(name)
    total = call.settings.concurrent_executions
    least = min(_LEAST_UNRESERVED, total)
    if number > before and total - sum(reserved.values()) - number < least:
        raise InvalidParameterValueException(
            "Specified ReservedConcurrentExecutions for function decreases account's "
            f"UnreservedConcurrentExecution below its minimum value of [{least}].",
            is_typed=False,
        )


# --- recursion ------------------------------------------------------------------------------------

_RECURSIVE_LOOP = ("Terminate", "Allow")


def put_recursion_config(call: Call) -> Answer:
    """PutFunctionRecursionConfig."""
    value = call.parameters.enum("RecursiveLoop", _RECURSIVE_LOOP, is_required=True)
    function = _unqualified(call, names.UNQUALIFIED_FUNCTION_NAME)
    call.change(function.name, lambda now: replace(now.overrides, recursive_loop=value))
    return HTTPStatus.OK, {"RecursiveLoop": value}


def get_recursion_config(call: Call) -> Answer:
    """GetFunctionRecursionConfig: what holds, set, declared or the default."""
    function = _unqualified(call, names.UNQUALIFIED_FUNCTION_NAME)
    settings = call.catalog.settings_of(function, None)
    return HTTPStatus.OK, {"RecursiveLoop": settings.recursive_loop}


def _unqualified(call: Call, shape: names.NameShape = names.CONTROL_FUNCTION_NAME) -> Function:
    """The function of a call that has no other parameters."""
    call.parameters.check(shape)
    reference = call.refer_unqualified()
    call.authorize(reference)
    return call.function(reference)


CALLS = {
    "PutFunctionEventInvokeConfig": put_event_invoke_config,
    "UpdateFunctionEventInvokeConfig": update_event_invoke_config,
    "GetFunctionEventInvokeConfig": get_event_invoke_config,
    "DeleteFunctionEventInvokeConfig": delete_event_invoke_config,
    "ListFunctionEventInvokeConfigs": list_event_invoke_configs,
    "PutFunctionConcurrency": put_concurrency,
    "GetFunctionConcurrency": get_concurrency,
    "DeleteFunctionConcurrency": delete_concurrency,
    "PutFunctionRecursionConfig": put_recursion_config,
    "GetFunctionRecursionConfig": get_recursion_config,
}
