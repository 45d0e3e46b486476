"""All control calls that are served, in the order of a client's work, and what comes of each.

Clients show the same answer in ways of their own: `Like` and its neighbours compare what must be
compared, and nothing else.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from tests.control import ARCHITECTURE, code_sha256
from tests.integration import control_application
from tests.integration.signing import ARN

_MODULE = control_application.__name__

# --- expected values ------------------------------------------------------------------------------


class Like:
    """Equal to texts of a form."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and re.fullmatch(self._pattern, other) is not None

    def __repr__(self) -> str:
        return f"Like({self._pattern!r})"


class JSON:
    """Equal to texts that are JSON of a value."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and bool(json.loads(other) == self._value)

    def __repr__(self) -> str:
        return f"JSON({self._value!r})"


class Having:
    """Equal to objects that have these members, and maybe others, but none of ``without``."""

    def __init__(self, members: Mapping[str, object], without: tuple[str, ...] = ()) -> None:
        self._members = members
        self._without = without

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, dict)
            and all(name in other and value == other[name] for name, value in self._members.items())
            and not any(name in other for name in self._without)
        )

    def __repr__(self) -> str:
        return f"Having({self._members!r}, without={self._without!r})"


class Among:
    """Equal to lists that have an item which is equal to this one."""

    def __init__(self, item: object) -> None:
        self._item = item

    def __eq__(self, other: object) -> bool:
        return isinstance(other, list) and any(self._item == each for each in other)

    def __repr__(self) -> str:
        return f"Among({self._item!r})"


class Now:
    """Equal to numbers and texts that tell the time of these tests."""

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            other = datetime.fromisoformat(other.replace("Z", "+00:00")).timestamp()
        return isinstance(other, (int, float)) and abs(time.time() - other) < 600

    def __repr__(self) -> str:
        return "Now()"


A_REVISION = Like(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: Of functions, where it is a text for all.
A_TIMESTAMP = Like(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000")
#: Of event-invoke configurations, where it is a number that each client shows in its own way.
A_DATE = Now()


# --- calls ----------------------------------------------------------------------------------------


class Call(NamedTuple):
    """A call, and what comes of it."""

    operation: str
    parameters: dict[str, Any]
    status: int = 0
    #: The answer's members; of an error its code and its text.
    answer: object = None

    def gives(self, answer: object) -> Call:
        """It succeeds."""
        return self._replace(status=_STATUS.get(self.operation, 200), answer=answer)

    def fails(self, code: str, text: object) -> Call:
        """It does not."""
        return self._replace(status=_STATUS[code], answer=(code, text))

    def is_missing(self, text: str) -> Call:
        """It does not, because something is not there."""
        return self.fails("ResourceNotFoundException", text)


def call(operation: str, **parameters: Any) -> Call:
    return Call(operation, parameters)


#: Of errors, and of successes that are no 200.
_STATUS = {
    "InvalidParameterValueException": 400,
    "ResourceNotFoundException": 404,
    "ResourceConflictException": 409,
    "PreconditionFailedException": 412,
    **dict.fromkeys(("PublishVersion", "CreateAlias", "AddPermission"), 201),
    **dict.fromkeys(("DeleteAlias", "DeleteFunctionConcurrency", "RemovePermission"), 204),
    "DeleteFunctionEventInvokeConfig": 204,
}

_DOES_NOT_EXIST = "The resource you requested does not exist."


def configuration(
    arn: str, handler: str, version: str, description: str = "of the tests"
) -> dict[str, object]:
    """The interesting members of a function's configuration, as every call tells them."""
    reference = f"{_MODULE}:{handler}"
    name = arn.split(":")[6]
    return {
        "FunctionName": name,
        "FunctionArn": arn,
        "Version": version,
        "Handler": reference,
        "CodeSha256": code_sha256(reference),
        "CodeSize": 0,
        "Description": description,
        "Timeout": 30,
        "MemorySize": 256,
        "Runtime": f"python{sys.version_info.major}.{sys.version_info.minor}",
        "Role": "arn:aws:iam::123456789012:role/invokeasync-wsgi",
        "LastModified": A_TIMESTAMP,
        "RevisionId": A_REVISION,
        "PackageType": "Zip",
        "Architectures": [ARCHITECTURE],
        "EphemeralStorage": {"Size": 512},
        "TracingConfig": {"Mode": "PassThrough"},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}"},
    }


def _listed(*given: str) -> Having:
    """`configuration` in a list, where some members are missing."""
    without = "State", "LastUpdateStatus", "RuntimeVersionConfig"
    return Having(configuration(*given), without=without)


def _told_alone(*given: str) -> Having:
    """`configuration` of one function or version."""
    active = {"State": "Active", "LastUpdateStatus": "Successful"}
    return Having({**configuration(*given), **active})


def discovery(name: str) -> list[Call]:
    """Who is there, and in which versions; publishes one."""
    arn = f"{ARN}:{name}"
    this = {"FunctionName": name}
    publish = {**this, "Description": "the third"}
    latest = _told_alone(arn, "latest", "$LATEST")
    third = _told_alone(f"{arn}:3", "latest", "3", "the third")
    versions = [
        _listed(f"{arn}:$LATEST", "latest", "$LATEST"),
        _listed(f"{arn}:1", "one", "1"),
        _listed(f"{arn}:2", "two", "2"),
        _listed(f"{arn}:3", "latest", "3", "the third"),
    ]

    def code(handler: str) -> dict[str, str]:
        return {"RepositoryType": "Application", "Location": f"python:{_MODULE}:{handler}"}

    return [
        call("ListFunctions").gives(
            Having({"Functions": Among(_listed(arn, "latest", "$LATEST"))})
        ),
        call("GetFunction", **this).gives(
            {"Configuration": latest, "Code": code("latest"), "Tags": {"team": "tests"}}
        ),
        call("GetFunction", **this, Qualifier="2").gives(
            Having({"Configuration": _told_alone(f"{arn}:2", "two", "2"), "Code": code("two")})
        ),
        call("GetFunctionConfiguration", FunctionName=arn).gives(latest),
        call("GetFunctionConfiguration", FunctionName=f"{name}:declared").gives(
            _told_alone(f"{arn}:declared", "one", "1")
        ),
        call("GetFunctionConfiguration", **this, Qualifier="nowhere").is_missing(
            f"Function not found: {arn}:nowhere"
        ),
        call("ListVersionsByFunction", **this).gives({"Versions": versions[:3]}),
        call("PublishVersion", **publish, RevisionId="wrong").fails(
            "PreconditionFailedException",
            "The Revision Id provided does not match the latest Revision Id. Call the "
            "GetFunction/GetAlias API to retrieve the latest Revision Id",
        ),
        call("PublishVersion", **publish).gives(third),
        call("PublishVersion", **publish).gives(third),
        call("ListVersionsByFunction", **this).gives({"Versions": versions}),
    ]


def aliases(name: str) -> list[Call]:
    """An alias made, moved and deleted."""
    arn = f"{ARN}:{name}"
    this = {"FunctionName": name}
    live = {**this, "Name": "live"}
    weights = {"AdditionalVersionWeights": {"2": 0.25}}
    given = {"FunctionVersion": "1", "Description": "the first", "RoutingConfig": weights}

    def alias(alias_name: str, version: str, description: str, **more: object) -> object:
        return {
            "AliasArn": f"{arn}:{alias_name}",
            "Name": alias_name,
            "FunctionVersion": version,
            "Description": description,
            "RevisionId": A_REVISION,
            **more,
        }

    declared = alias("declared", "1", "")
    made = alias("live", "1", "the first", RoutingConfig=weights)
    moved = alias("live", "2", "the first")
    unweighted: dict[str, Any] = {"AdditionalVersionWeights": {}}
    return [
        call("ListAliases", **this).gives({"Aliases": [declared]}),
        call("CreateAlias", **live, **given).gives(made),
        call("CreateAlias", **live, **given).fails(
            "ResourceConflictException", f"Alias already exists: {arn}:live"
        ),
        call("CreateAlias", **this, Name="other", FunctionVersion="99").is_missing(
            f"Function not found: {arn}:99"
        ),
        call("GetAlias", **live).gives(made),
        call("ListAliases", **this).gives({"Aliases": [declared, made]}),
        call("UpdateAlias", **live, FunctionVersion="2", RevisionId="wrong").fails(
            "PreconditionFailedException", Like("The Revision Id provided does not match .*")
        ),
        call("UpdateAlias", **live, FunctionVersion="2", RoutingConfig=unweighted).gives(moved),
        call("GetAlias", **live).gives(moved),
        call("ListAliases", **this, FunctionVersion="2").gives({"Aliases": [moved]}),
        call("DeleteAlias", **live).gives({}),
        call("DeleteAlias", **live).gives({}),
        call("GetAlias", **live).is_missing(f"Cannot find alias arn: {arn}:live"),
        call("UpdateAlias", **live, FunctionVersion="2").is_missing(f"Alias not found: {arn}:live"),
        call("ListAliases", **this).gives({"Aliases": [declared]}),
    ]


def concurrency(name: str) -> list[Call]:
    """A reservation made and lifted, beside what the account has."""
    this = {"FunctionName": name}
    five = {"ReservedConcurrentExecutions": 5}
    limit = {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 995}
    usage = {"FunctionCount": len(control_application.functions)}
    return [
        call("GetFunctionConcurrency", **this).gives({}),
        call("PutFunctionConcurrency", **this, **five).gives(five),
        call("GetFunctionConcurrency", **this).gives(five),
        call("GetFunction", **this).gives(Having({"Concurrency": five})),
        call("GetAccountSettings").gives(
            {"AccountLimit": Having(limit), "AccountUsage": Having(usage)}
        ),
        call("PutFunctionConcurrency", **this, ReservedConcurrentExecutions=901).fails(
            "InvalidParameterValueException",
            "Specified ReservedConcurrentExecutions for function decreases account's "
            "UnreservedConcurrentExecution below its minimum value of [100].",
        ),
        call("PutFunctionConcurrency", FunctionName=f"{ARN}:{name}:1", **five).fails(
            "InvalidParameterValueException",
            "This operation is permitted on Lambda functions only. Aliases and versions do not "
            "support this operation. Please specify either a function name or an unqualified "
            "function ARN.",
        ),
        call("DeleteFunctionConcurrency", **this).gives({}),
        call("GetFunctionConcurrency", **this).gives({}),
        call("GetFunction", **this).gives(Having({}, without=("Concurrency",))),
    ]


def event_invoke_config(name: str) -> list[Call]:
    """How events are retried and where records go, for a function and for a version of it."""
    arn = f"{ARN}:{name}"
    this = {"FunctionName": name}
    version = {**this, "Qualifier": "1"}
    sink = {"OnSuccess": {}, "OnFailure": {"Destination": f"{ARN}:sink"}}
    nowhere = {"OnFailure": {"Destination": f"{ARN}:nowhere"}}
    given = {"MaximumEventAgeInSeconds": 120, "DestinationConfig": sink}

    def config(qualifier: str, **members: object) -> object:
        return {
            "FunctionArn": f"{arn}:{qualifier}",
            "LastModified": A_DATE,
            "DestinationConfig": {"OnSuccess": {}, "OnFailure": {}},
            **members,
        }

    put = config("$LATEST", MaximumRetryAttempts=1, **given)
    merged = config("$LATEST", MaximumRetryAttempts=0, **given)
    of_version = config("1", MaximumEventAgeInSeconds=60)

    def none(qualifier: str) -> str:
        return f"The function {arn}:{qualifier} doesn't have an EventInvokeConfig"

    def configs(*items: object) -> object:
        return {"FunctionEventInvokeConfigs": list(items)}

    return [
        call("GetFunctionEventInvokeConfig", **this).is_missing(none("$LATEST")),
        call("PutFunctionEventInvokeConfig", **this).fails(
            "InvalidParameterValueException",
            "You must specify at least one of error handling or destination setting.",
        ),
        call("PutFunctionEventInvokeConfig", **this, DestinationConfig=nowhere).fails(
            "InvalidParameterValueException", f"The destination ARN {ARN}:nowhere is invalid."
        ),
        call("PutFunctionEventInvokeConfig", **this, MaximumRetryAttempts=1, **given).gives(put),
        call("GetFunctionEventInvokeConfig", **this, Qualifier="$LATEST").gives(put),
        call("UpdateFunctionEventInvokeConfig", **this, MaximumRetryAttempts=0).gives(merged),
        call("GetFunctionEventInvokeConfig", **this).gives(merged),
        call("GetFunctionEventInvokeConfig", **version).is_missing(none("1")),
        call("PutFunctionEventInvokeConfig", **version, MaximumEventAgeInSeconds=60).gives(
            of_version
        ),
        call("ListFunctionEventInvokeConfigs", **this).gives(configs(merged, of_version)),
        call("DeleteFunctionEventInvokeConfig", **this).gives({}),
        call("DeleteFunctionEventInvokeConfig", **this).is_missing(none("$LATEST")),
        call("DeleteFunctionEventInvokeConfig", **version).gives({}),
        call("ListFunctionEventInvokeConfigs", **this).gives(configs()),
    ]


def permissions(name: str) -> list[Call]:
    """A resource-based policy, made of statements and gone with the last of them."""
    arn = f"{ARN}:{name}"
    this = {"FunctionName": name}
    version = {**this, "Qualifier": "1"}
    bucket = {
        "StatementId": "bucket",
        "Action": "lambda:InvokeFunction",
        "Principal": "s3.amazonaws.com",
        "SourceArn": "arn:aws:s3:::bucket",
        "SourceAccount": "123456789012",
    }

    def statement(resource: str) -> object:
        return {
            "Sid": "bucket",
            "Effect": "Allow",
            "Principal": {"Service": "s3.amazonaws.com"},
            "Action": "lambda:InvokeFunction",
            "Resource": resource,
            "Condition": {
                "StringEquals": {"AWS:SourceAccount": "123456789012"},
                "ArnLike": {"AWS:SourceArn": "arn:aws:s3:::bucket"},
            },
        }

    def policy(*statements: object) -> object:
        document = {"Version": "2012-10-17", "Id": "default", "Statement": list(statements)}
        return {"Policy": JSON(document), "RevisionId": A_REVISION}

    return [
        call("GetPolicy", **this).is_missing(_DOES_NOT_EXIST),
        call("AddPermission", **this, **bucket).gives({"Statement": JSON(statement(arn))}),
        call("AddPermission", **this, **bucket).fails(
            "ResourceConflictException",
            "The statement id (bucket) provided already exists. Please provide a new statement "
            "id, or remove the existing statement.",
        ),
        call("AddPermission", **version, **bucket).gives(
            {"Statement": JSON(statement(f"{arn}:1"))}
        ),
        call("GetPolicy", **this).gives(policy(statement(arn))),
        call("GetPolicy", **version).gives(policy(statement(f"{arn}:1"))),
        call("RemovePermission", **this, StatementId="other").is_missing(
            "Statement other is not found in resource policy."
        ),
        call("RemovePermission", **this, StatementId="bucket").gives({}),
        call("GetPolicy", **this).is_missing(_DOES_NOT_EXIST),
        call("RemovePermission", FunctionName=f"{name}:1", StatementId="bucket").gives({}),
        call("GetPolicy", **version).is_missing(_DOES_NOT_EXIST),
        call("RemovePermission", **this, StatementId="bucket").is_missing(
            "No policy is associated with the given resource."
        ),
    ]


def the_rest(name: str) -> list[Call]:
    """What else clients ask for."""
    arn = f"{ARN}:{name}"
    this = {"FunctionName": name}
    allow = {"RecursiveLoop": "Allow"}
    terminate = {"RecursiveLoop": "Terminate"}
    management = {"UpdateRuntimeOn": "Auto", "FunctionArn": Like(rf"{arn}(:\$LATEST)?")}
    return [
        call("GetFunctionRecursionConfig", **this).gives(terminate),
        call("PutFunctionRecursionConfig", **this, **allow).gives(allow),
        call("GetFunctionRecursionConfig", **this).gives(allow),
        call("PutFunctionRecursionConfig", **this, **terminate).gives(terminate),
        call("ListTags", Resource=arn).gives({"Tags": {"team": "tests"}}),
        call("GetFunctionCodeSigningConfig", **this).gives({"FunctionName": name}),
        call("GetRuntimeManagementConfig", **this).gives(Having(management)),
        call("GetFunctionUrlConfig", **this).is_missing(_DOES_NOT_EXIST),
    ]


def flow(name: str) -> list[Call]:
    """All that a client does, in its order."""
    chapters = (discovery, aliases, concurrency, event_invoke_config, permissions, the_rest)
    return [each for chapter in chapters for each in chapter(name)]
