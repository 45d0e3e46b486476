"""What functions there are, and what they are. Nothing here changes anything."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from .. import names
from ..errors import InvalidParameterValueException, ResourceNotFoundException
from ..functions import Function
from ..names import FunctionReference
from . import queue, shapes
from .call import Answer, Call, order_of

_REGION_PATTERN = r"ALL|(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}"
_TAGGABLE_PATTERN = (
    r"arn:(aws[a-zA-Z-]*):lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:"
    r"(function:[a-zA-Z0-9-_]+(:(\$LATEST|[a-zA-Z0-9-_]+))?|layer:([a-zA-Z0-9-_]+)|"
    r"code-signing-config:csc-[a-z0-9]{17}|event-source-mapping:[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-"
    r"[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}|capacity-provider:[a-zA-Z0-9-_]+)"
)
_MAX_ITEMS = 10_000


def list_functions(call: Call) -> Answer:
    """ListFunctions: all of them by name, with all their versions for ``FunctionVersion=ALL``."""
    parameters = call.parameters
    parameters.query("MasterRegion", max_length=50, pattern=_REGION_PATTERN)
    shows_versions = parameters.query_enum("FunctionVersion", ("ALL",)) is not None
    max_items = parameters.query_number("MaxItems", 1, _MAX_ITEMS)
    parameters.check(None)
    call.authorize(None)
    items = [
        ((function.name, order_of(number)), (function, number))
        for function in call.catalog
        for number in (function.known_versions if shows_versions else (names.LATEST,))
    ]

    def show(item: tuple[Function, str]) -> dict[str, Any]:
        function, number = item
        qualifier = number if shows_versions else None
        return _configuration(call, function, number, qualifier, is_listed=True)

    return call.page("Functions", sorted(items, key=lambda item: item[0]), show, max_items)


def list_versions(call: Call) -> Answer:
    """ListVersionsByFunction: ``$LATEST``, then the others by number."""
    max_items = call.parameters.query_number("MaxItems", 1, _MAX_ITEMS)
    call.parameters.check()
    reference = call.refer()
    call.authorize(reference)
    function = call.function(reference._replace(qualifier=None))
    items = sorted((order_of(number), number) for number in function.known_versions)
    return call.page(
        "Versions",
        [((order,), number) for order, number in items],
        lambda number: _configuration(call, function, number, number, is_listed=True),
        max_items,
    )


def get_function(call: Call) -> Answer:
    """GetFunction: its configuration, where its code is, its reservation and its tags."""
    function, reference = _qualified(call)
    number = function.number_of(reference.qualifier)
    location = f"python:{function.known_versions[number].reference}"
    members: dict[str, Any] = {
        "Configuration": _configuration(call, function, number, reference.qualifier),
        "Code": {"RepositoryType": "Application", "Location": location},
    }
    if function.tags:
        members["Tags"] = dict(function.tags)
    if function.reserved_concurrency is not None:
        members["Concurrency"] = queue.reservation(function)
    return HTTPStatus.OK, members


def get_function_configuration(call: Call) -> Answer:
    """GetFunctionConfiguration."""
    function, reference = _qualified(call)
    number = function.number_of(reference.qualifier)
    return HTTPStatus.OK, _configuration(call, function, number, reference.qualifier)


def get_code_signing_config(call: Call) -> Answer:
    """GetFunctionCodeSigningConfig: there is none, which is no error."""
    call.parameters.check()
    reference = call.refer()
    call.authorize(reference)
    function = call.function(reference)
    return HTTPStatus.OK, {"FunctionName": function.name}


def get_runtime_management_config(call: Call) -> Answer:
    """GetRuntimeManagementConfig: the interpreter is updated as the application is deployed."""
    function, reference = _qualified(call)
    arn = call.catalog.arn(function.name, reference.qualifier or names.LATEST)
    return HTTPStatus.OK, {"UpdateRuntimeOn": "Auto", "FunctionArn": arn}


def get_function_url_config(call: Call) -> Answer:
    """GetFunctionUrlConfig: functions have no URLs of their own here."""
    qualifier = call.parameters.query(
        "Qualifier", max_length=names.MAX_QUALIFIER_LENGTH, pattern=names.URL_QUALIFIER_PATTERN
    )
    call.parameters.check(names.URL_FUNCTION_NAME)
    call.authorize(call.refer(qualifier))
    raise ResourceNotFoundException("The resource you requested does not exist.")


def get_account_settings(call: Call) -> Answer:
    """GetAccountSettings: Lambda's quotas for code, and how much concurrency is not reserved."""
    call.authorize(None)
    limits = {
        "TotalCodeSize": 80_530_636_800,
        "CodeSizeUnzipped": 262_144_000,
        "CodeSizeZipped": 52_428_800,
        "ConcurrentExecutions": call.settings.concurrent_executions,
        "UnreservedConcurrentExecutions": queue.unreserved(call),
    }
    usage = {"TotalCodeSize": 0, "FunctionCount": len(call.catalog)}
    return HTTPStatus.OK, {"AccountLimit": limits, "AccountUsage": usage}


def list_tags(call: Call) -> Answer:
    """ListTags: those that the application gives a function."""
    arn = call.request.function_name
    is_function = arn.startswith("arn:aws") and ":function:" in arn
    reference = names.parse(arn) if is_function else None
    if reference is None:
        call.parameters.violates(
            names.text_violations("resource", arn, max_length=10_000, pattern=_TAGGABLE_PATTERN)
        )
    call.parameters.check(None)
    if reference is None:
        call.authorize(None, resource=arn)
        raise ResourceNotFoundException(f"Resource not found: {arn}")
    call.authorize(reference)
    if reference.qualifier is not None:
        raise InvalidParameterValueException(
            "Tags on function aliases and versions are not supported. Please specify a function "
            "ARN."
        )
    return HTTPStatus.OK, {"Tags": dict(call.function(reference).tags)}


def _qualified(call: Call) -> tuple[Function, FunctionReference]:
    """The function of a call that has no other parameter than a qualifier."""
    qualifier = call.parameters.qualifier()
    call.parameters.check()
    reference = call.refer(qualifier)
    call.authorize(reference)
    return call.function(reference), reference


def _configuration(
    call: Call,
    function: Function,
    number: str,
    qualifier: str | None,
    *,
    is_listed: bool = False,
) -> dict[str, Any]:
    return shapes.function_configuration(
        call.catalog, function, number, qualifier=qualifier, is_listed=is_listed
    )


CALLS = {
    "ListFunctions": list_functions,
    "ListVersionsByFunction": list_versions,
    "GetFunction": get_function,
    "GetFunctionConfiguration": get_function_configuration,
    "GetFunctionCodeSigningConfig": get_code_signing_config,
    "GetRuntimeManagementConfig": get_runtime_management_config,
    "GetFunctionUrlConfig": get_function_url_config,
    "GetAccountSettings": get_account_settings,
    "ListTags": list_tags,
}
