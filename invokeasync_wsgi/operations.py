"""Lambda's operations as HTTP: which request means which, and which of them are served.

Methods and paths are those of botocore's model (API versions 2014-11-11 and 2015-03-31), each also
with a final slash, which older models and many SDKs send. What stands where a path has a name that
something follows is the name, slashes and all: SDKs percent-encode whatever they are given, servers
decode it, so ``a/b`` is a bad name and not another path.

Pure: strings in, values out.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Operation(NamedTuple):
    """An operation, under the name that botocore's model, IAM's actions and clients have for it."""

    name: str
    method: str
    #: With the names of its parameters in braces.
    path: str


INVOKE_ASYNC = "InvokeAsync"
INVOKE = "Invoke"
INVOKE_WITH_RESPONSE_STREAM = "InvokeWithResponseStream"

_2014 = "/2014-11-13/functions/{FunctionName}"
_2015 = "/2015-03-31/functions/{FunctionName}"
_EVENT_INVOKE_CONFIG = "/2019-09-25/functions/{FunctionName}/event-invoke-config"
_CODE_SIGNING = "/2020-06-30/functions/{FunctionName}/code-signing-config"
_RUNTIME = "/2021-07-20/functions/{FunctionName}/runtime-management-config"
_URL = "/2021-10-31/functions/{FunctionName}/url"
_RECURSION = "/2024-08-31/functions/{FunctionName}/recursion-config"
_TAGS = "/2017-03-31/tags/{Resource}"

#: Those that invoke.
INVOKING = (
    Operation(INVOKE_ASYNC, "POST", f"{_2014}/invoke-async"),
    Operation(INVOKE, "POST", f"{_2015}/invocations"),
    Operation(
        INVOKE_WITH_RESPONSE_STREAM,
        "POST",
        "/2021-11-15/functions/{FunctionName}/response-streaming-invocations",
    ),
)

#: Those that tell of functions and configure what follows an invocation: see `control`.
SERVED = (
    Operation("ListFunctions", "GET", "/2015-03-31/functions"),
    Operation("GetFunction", "GET", _2015),
    Operation("GetFunctionConfiguration", "GET", f"{_2015}/configuration"),
    Operation("ListVersionsByFunction", "GET", f"{_2015}/versions"),
    Operation("PublishVersion", "POST", f"{_2015}/versions"),
    Operation("ListAliases", "GET", f"{_2015}/aliases"),
    Operation("CreateAlias", "POST", f"{_2015}/aliases"),
    Operation("GetAlias", "GET", f"{_2015}/aliases/{{Name}}"),
    Operation("UpdateAlias", "PUT", f"{_2015}/aliases/{{Name}}"),
    Operation("DeleteAlias", "DELETE", f"{_2015}/aliases/{{Name}}"),
    Operation("GetPolicy", "GET", f"{_2015}/policy"),
    Operation("AddPermission", "POST", f"{_2015}/policy"),
    Operation("RemovePermission", "DELETE", f"{_2015}/policy/{{StatementId}}"),
    Operation("GetAccountSettings", "GET", "/2016-08-19/account-settings"),
    Operation("ListTags", "GET", _TAGS),
    Operation("PutFunctionConcurrency", "PUT", "/2017-10-31/functions/{FunctionName}/concurrency"),
    Operation(
        "DeleteFunctionConcurrency", "DELETE", "/2017-10-31/functions/{FunctionName}/concurrency"
    ),
    Operation("GetFunctionConcurrency", "GET", "/2019-09-30/functions/{FunctionName}/concurrency"),
    Operation("ListFunctionEventInvokeConfigs", "GET", f"{_EVENT_INVOKE_CONFIG}/list"),
    Operation("GetFunctionEventInvokeConfig", "GET", _EVENT_INVOKE_CONFIG),
    Operation("PutFunctionEventInvokeConfig", "PUT", _EVENT_INVOKE_CONFIG),
    Operation("UpdateFunctionEventInvokeConfig", "POST", _EVENT_INVOKE_CONFIG),
    Operation("DeleteFunctionEventInvokeConfig", "DELETE", _EVENT_INVOKE_CONFIG),
    Operation("GetFunctionCodeSigningConfig", "GET", _CODE_SIGNING),
    Operation("GetRuntimeManagementConfig", "GET", _RUNTIME),
    Operation("GetFunctionUrlConfig", "GET", _URL),
    Operation("GetFunctionRecursionConfig", "GET", _RECURSION),
    Operation("PutFunctionRecursionConfig", "PUT", _RECURSION),
)

#: Those that would change what the application defines: code, its configuration, tags.
REFUSED = (
    Operation("CreateFunction", "POST", "/2015-03-31/functions"),
    Operation("DeleteFunction", "DELETE", _2015),
    Operation("UpdateFunctionCode", "PUT", f"{_2015}/code"),
    Operation("UpdateFunctionConfiguration", "PUT", f"{_2015}/configuration"),
    Operation("TagResource", "POST", _TAGS),
    Operation("UntagResource", "DELETE", _TAGS),
    Operation("PutFunctionCodeSigningConfig", "PUT", _CODE_SIGNING),
    Operation("DeleteFunctionCodeSigningConfig", "DELETE", _CODE_SIGNING),
    Operation("PutRuntimeManagementConfig", "PUT", _RUNTIME),
    Operation("CreateFunctionUrlConfig", "POST", _URL),
    Operation("UpdateFunctionUrlConfig", "PUT", _URL),
    Operation("DeleteFunctionUrlConfig", "DELETE", _URL),
)


#: The names of those that invoke nothing, and whether they are served.
CONTROL = {each.name: each in SERVED for each in (*SERVED, *REFUSED)}


class Route(NamedTuple):
    """What a path means."""

    #: The name of an operation, ``None`` for anything else.
    operation: str | None
    #: What stands for the function, decoded, as given: a name or an ARN.
    function_name: str = ""
    #: What stands for something of the function: an alias's name, a statement's id.
    item: str = ""


NO_ROUTE = Route(None)

#: Whether a path may be ours is one `str.startswith` with this; `is_ours` says the rest.
PREFIX = "/20"

_DATE_LENGTH = len("/2015-03-31")
#: The first word behind each date.
_WORDS = {
    operation.path[:_DATE_LENGTH]: re.sub(r"/\{.*", "", operation.path[_DATE_LENGTH:])
    for operation in (*INVOKING, *SERVED)
}

_FUNCTIONS_LENGTH = len("/2015-03-31/functions/")
#: Those that are called most, found without a search.
_INVOKING = {
    operation.path[:_FUNCTIONS_LENGTH]: (operation.path.partition("}")[2], operation.name)
    for operation in INVOKING
}


def is_ours(path: str) -> bool:
    """Whether a path that starts with `PREFIX` is one of those that Lambda's API begins with.

    >>> is_ours("/2015-03-31/functions/f"), is_ours("/2015-03-31/functionsX"), is_ours("/2015/x")
    (True, False, False)
    """
    word = _WORDS.get(path[:_DATE_LENGTH])
    if word is None or not path.startswith(word, _DATE_LENGTH):
        return False
    end = _DATE_LENGTH + len(word)
    return path[end : end + 1] in ("", "/")


def route(method: str, path: str) -> Route:
    """The operation of a path that is ours.

    >>> route("POST", "/2014-11-13/functions/f/invoke-async/")
    Route(operation='InvokeAsync', function_name='f', item='')
    >>> route("DELETE", "/2015-03-31/functions/f/aliases/live").item
    'live'
    >>> route("GET", "/2014-11-13/functions/f/invoke-async/").operation is None
    True
    """
    path = path.removesuffix("/")
    if method == "POST":
        known = _INVOKING.get(path[:_FUNCTIONS_LENGTH])
        if known is not None and path.endswith(known[0]):
            # An empty name is an empty segment of the path: no operation (recorded for "//2015-…").
            name = path[_FUNCTIONS_LENGTH : -len(known[0])]
            return Route(known[1], name) if name else NO_ROUTE
    for pattern, operation in _PATTERNS.get((method, path[:_DATE_LENGTH]), ()):
        match = pattern.fullmatch(path)
        if match is not None:
            return Route(operation, *match.groups())
    return NO_ROUTE


def _pattern(operation: Operation) -> re.Pattern[str]:
    """The paths of an operation. Only a name that something follows may have slashes in it."""
    escaped = re.escape(operation.path)
    whole = re.sub(r"\\\{FunctionName\\\}(?=.)|\\\{Resource\\\}", "([^/].*)", escaped)
    return re.compile(re.sub(r"\\\{\w+\\\}", "([^/]+)", whole), re.DOTALL)


def _patterns() -> dict[tuple[str, str], list[tuple[re.Pattern[str], str]]]:
    """The patterns for each method and date, those first that have most to say."""
    patterns: dict[tuple[str, str], list[tuple[re.Pattern[str], str]]] = {}
    for operation in sorted((*SERVED, *REFUSED), key=lambda each: -len(each.path)):
        key = operation.method, operation.path[:_DATE_LENGTH]
        patterns.setdefault(key, []).append((_pattern(operation), operation.name))
    return patterns


_PATTERNS = _patterns()
