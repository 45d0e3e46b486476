"""The control calls beside botocore's model of the service: requests, answers, and what there is.

Requests are made by botocore's serializer and answers read by its parser. Answers are also walked
member by member, as that parser passes over what it does not know.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.model import ServiceModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from botocore.session import Session

from invokeasync_wsgi import Functions, operations
from invokeasync_wsgi.functions import THIS_RUNTIME
from invokeasync_wsgi.testing import Answer, Client

from .. import control
from ..control import ACCOUNT, arn, make_app, permission

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"

MODEL: ServiceModel = Session().get_service_model("lambda")
SERVED = {each.name: each for each in operations.SERVED}
REFUSED = {each.name: each for each in operations.REFUSED}
INVOKING = {"Invoke", "InvokeAsync", "InvokeWithResponseStream"}

_serializer = create_serializer("rest-json", include_validation=False)
_parser = create_parser("rest-json")


def make_functions() -> Functions:
    """With all that can be declared."""
    functions = Functions()
    functions.add(
        "f",
        control.echo,
        description="All of it",
        timeout_s=60,
        memory_limit_in_mb=512,
        versions={"1": control.one, "2": control.two},
        aliases={"live": "1", "shared": {"version": "1", "weights": {"2": 0.25}}},
        maximum_retry_attempts=1,
        maximum_event_age_s=3600,
        on_success="g",
        on_failure="arn:aws:sqs:us-east-1:123456789012:failed",
        dead_letter="arn:aws:sns:us-east-1:123456789012:dead",
        reserved_concurrency=7,
        recursive_loop="Allow",
        tags={"team": "red", "of what": "é + 1"},
        policy={
            "Version": "2012-10-17",
            "Statement": {
                "Sid": "declared",
                "Effect": "Allow",
                "Principal": {"AWS": "111111111111"},
                "Action": "lambda:InvokeFunction",
                "Resource": arn("f"),
            },
        },
    )
    functions.add("g", control.echo)
    functions.add("with.dots", "tests.control:echo", lazy=True, timeout_s=0.5)
    return functions


def send(client: Client, operation: str, params: Mapping[str, Any]) -> Answer:
    """Send what botocore makes of a call."""
    request = _serializer.serialize_to_request(params, MODEL.operation_model(operation))
    query = request["query_string"]
    return client.request(
        request["method"],
        request["url_path"],
        request["body"] or b"",
        query=query if isinstance(query, str) else urlencode(query),
        headers=request["headers"],
    )


def parse(operation: str, answer: Answer) -> Any:
    """What botocore makes of an answer."""
    response = {"status_code": answer.status, "headers": answer.headers, "body": answer.body}
    return _parser.parse(response, MODEL.operation_model(operation).output_shape)


# --- the tables -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "operation",
    [
        pytest.param(each, id=each.name)
        for each in (*operations.INVOKING, *operations.SERVED, *operations.REFUSED)
        if each.name in MODEL.operation_names
    ],
)
def test_methods_and_paths_are_the_models(operation: operations.Operation) -> None:
    http = MODEL.operation_model(operation.name).http
    path = http["requestUri"].partition("?")[0]
    assert (operation.method, operation.path) == (http["method"], path.rstrip("/"))


def test_no_operation_is_in_two_tables() -> None:
    names = [*SERVED, *REFUSED, *(each.name for each in operations.INVOKING)]
    assert len(set(names)) == len(names)
    assert {each.name for each in operations.INVOKING} == INVOKING


# --- the page -------------------------------------------------------------------------------------

_ROW = re.compile(r"^\| `?(\w+)`? \| (served|refused|not served) \| (.+) \|$", re.MULTILINE)


@pytest.fixture(scope="module")
def rows() -> list[tuple[str, str, str]]:
    return _ROW.findall(PAGE.read_text(encoding="utf-8"))


def test_the_page_lists_every_operation_of_the_model_once(rows: list[tuple[str, str, str]]) -> None:
    """Those of newer models may stand there too."""
    counts = Counter(name for name, _, _ in rows)
    assert {name for name in MODEL.operation_names if counts[name] != 1} == set()
    assert {name for name, count in counts.items() if count > 1} == set()


def test_the_page_says_what_the_service_does(rows: list[tuple[str, str, str]]) -> None:
    told = {
        kind: {name for name, its_kind, _ in rows if its_kind == kind}
        for kind in ("served", "refused")
    }
    assert told == {"served": {*SERVED, *INVOKING}, "refused": {*REFUSED}}


def test_the_page_has_a_reason_for_everything(rows: list[tuple[str, str, str]]) -> None:
    assert [name for name, _, reason in rows if not re.search(r"\w{2}", reason)] == []


# --- answers --------------------------------------------------------------------------------------

#: What is set before each of the calls below.
SETUP: list[tuple[str, dict[str, Any]]] = [
    ("PutFunctionConcurrency", {"FunctionName": "g", "ReservedConcurrentExecutions": 3}),
    ("PublishVersion", {"FunctionName": "f", "Description": "published"}),
    (
        "CreateAlias",
        {
            "FunctionName": "f",
            "Name": "set",
            "FunctionVersion": "3",
            "Description": "é",
            "RoutingConfig": {"AdditionalVersionWeights": {"2": 0.5}},
        },
    ),
    (
        "PutFunctionEventInvokeConfig",
        {
            "FunctionName": "f",
            "Qualifier": "set",
            "MaximumEventAgeInSeconds": 60,
            "DestinationConfig": {"OnFailure": {"Destination": "arn:aws:s3:::bucket"}},
        },
    ),
    ("AddPermission", {"FunctionName": "f", **permission()}),
    ("AddPermission", {"FunctionName": "f", "Qualifier": "set", **permission(principal="*")}),
]

F = {"FunctionName": "f"}
SET = {"FunctionName": arn("f"), "Qualifier": "set"}
TWO = {"MaxItems": 2}

#: Each call with one or more sets of parameters that it succeeds with.
CALLS: dict[str, list[dict[str, Any]]] = {
    "ListFunctions": [{}, {"FunctionVersion": "ALL"}, TWO, {"MasterRegion": "ALL"}],
    "GetFunction": [F, SET, {"FunctionName": "g"}, {"FunctionName": "with.dots"}],
    "GetFunctionConfiguration": [F, SET, {**F, "Qualifier": "3"}, {"FunctionName": "with.dots"}],
    "ListVersionsByFunction": [F, {**F, **TWO}],
    "PublishVersion": [F, {**F, "Description": "again"}, {"FunctionName": "g"}],
    "CreateAlias": [
        {**F, "Name": "new", "FunctionVersion": "$LATEST"},
        {
            **{**F, "Name": "new", "FunctionVersion": "1", "Description": "x"},
            "RoutingConfig": {"AdditionalVersionWeights": {"2": 1.0}},
        },
    ],
    "GetAlias": [{**F, "Name": "set"}, {**F, "Name": "live"}, {**F, "Name": "shared"}],
    "ListAliases": [F, {**F, **TWO}, {**F, "FunctionVersion": "3"}, {"FunctionName": "g"}],
    "UpdateAlias": [
        {**F, "Name": "set", "FunctionVersion": "1"},
        {**F, "Name": "live", "RoutingConfig": {"AdditionalVersionWeights": {"2": 0.1}}},
    ],
    "DeleteAlias": [{**F, "Name": "set"}, {**F, "Name": "nobody"}],
    "PutFunctionConcurrency": [{**F, "ReservedConcurrentExecutions": 0}],
    "GetFunctionConcurrency": [F, {"FunctionName": "with.dots"}],
    "DeleteFunctionConcurrency": [{"FunctionName": "g"}],
    "PutFunctionEventInvokeConfig": [
        {**F, "MaximumRetryAttempts": 0},
        {
            **{**SET, "MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 21600},
            "DestinationConfig": {"OnSuccess": {"Destination": arn("g")}, "OnFailure": {}},
        },
    ],
    "UpdateFunctionEventInvokeConfig": [
        {**F, "MaximumRetryAttempts": 0},
        {**SET, "MaximumRetryAttempts": 0},
    ],
    "GetFunctionEventInvokeConfig": [F, SET, {**F, "Qualifier": "1"}],
    "DeleteFunctionEventInvokeConfig": [SET],
    "ListFunctionEventInvokeConfigs": [F, {**F, "MaxItems": 1}, {"FunctionName": "g"}],
    "AddPermission": [
        {**SET, **permission("new", principal=ACCOUNT)},
        {
            **{**F, **permission("new", principal="*", Action="lambda:InvokeFunctionUrl")},
            "SourceArn": "arn:aws:s3:::bucket",
            "SourceAccount": ACCOUNT,
            "EventSourceToken": "token",
            "PrincipalOrgID": "o-1234567890",
            "FunctionUrlAuthType": "AWS_IAM",
            "InvokedViaFunctionUrl": True,
        },
    ],
    "GetPolicy": [F, SET],
    "RemovePermission": [{**SET, "StatementId": "s3"}, {**F, "StatementId": "s3"}],
    "GetAccountSettings": [{}],
    "GetFunctionCodeSigningConfig": [F],
    "GetFunctionRecursionConfig": [F, {"FunctionName": "g"}],
    "PutFunctionRecursionConfig": [{**F, "RecursiveLoop": "Terminate"}],
    "GetRuntimeManagementConfig": [F, SET],
    "ListTags": [{"Resource": arn("f")}, {"Resource": arn("g")}],
}
#: What the model requires, and the real service leaves out all the same, as recorded.
LEFT_OUT = {"GetFunctionCodeSigningConfig: there is no CodeSigningConfigArn"}
#: Those that have no success.
FAILING = {"GetFunctionUrlConfig"}


@pytest.fixture
def client() -> Client:
    client = Client(make_app(make_functions()))
    for operation, params in SETUP:
        answer = send(client, operation, params)
        assert answer.status in (200, 201), (operation, answer)
    return client


def test_every_served_operation_is_called() -> None:
    assert {*CALLS, *FAILING} == {*SERVED}
    assert not FAILING & {*CALLS}


@pytest.mark.parametrize(
    ("operation", "params"),
    [
        pytest.param(operation, params, id=f"{operation} {number}")
        for operation, each in CALLS.items()
        for number, params in enumerate(each)
    ],
)
def test_an_answer_is_of_the_models_shape(
    client: Client, operation: str, params: dict[str, Any]
) -> None:
    answer = send(client, operation, params)
    model = MODEL.operation_model(operation)
    assert answer.status == model.http["responseCode"], answer
    parsed = parse(operation, answer)
    assert parsed.pop("ResponseMetadata")["RequestId"] == answer.headers["x-amzn-requestid"]
    if model.output_shape is None:
        assert answer.body == b""
        return
    members = control.told(answer, answer.status)
    assert set(mistakes(model.output_shape, members, operation)) <= LEFT_OUT
    assert set(parsed) == set(members)


@pytest.mark.parametrize(
    ("operation", "params"),
    [
        pytest.param(operation, {**F, "Resource": arn("f"), "MaxItems": 1}, id=operation)
        for operation in SERVED
        if operation.startswith("List") and operation != "ListTags"
    ],
)
def test_botocores_paginators_read_every_page(
    client: Client, operation: str, params: dict[str, Any]
) -> None:
    """The marker of an answer is the marker of the next request."""
    shape = MODEL.operation_model(operation).input_shape
    assert shape is not None
    params = {name: value for name, value in params.items() if name in shape.members}
    sizes: list[int] = []
    found: list[str] = []
    while len(sizes) < 100:
        page = parse(operation, send(client, operation, params))
        [items] = [value for value in page.values() if isinstance(value, list)]
        sizes.append(len(items))
        found += [str(item) for item in items]
        if "NextMarker" not in page:
            break
        params = {**params, "Marker": page["NextMarker"]}
    assert set(sizes) == {1}
    assert len(set(found)) == len(sizes) > 1


_KINDS: dict[str, tuple[type, ...]] = {
    "structure": (dict,),
    "map": (dict,),
    "list": (list,),
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "timestamp": (int, float),
    "boolean": (bool,),
}


def mistakes(shape: Any, value: object, where: str) -> Iterator[str]:
    """What is not as the model has it."""
    if type(value) not in _KINDS[shape.type_name]:
        yield f"{where}: {value!r} is no {shape.type_name}"
    elif isinstance(value, dict) and shape.type_name == "structure":
        members = {
            member.serialization.get("name", name): member
            for name, member in shape.members.items()
            if member.serialization.get("location") is None
        }
        for name in set(shape.required_members) - set(value):
            yield f"{where}: there is no {name}"
        for name, each in value.items():
            if name in members:
                yield from mistakes(members[name], each, f"{where}.{name}")
            else:
                yield f"{where}: there is a {name}"
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from mistakes(shape.key, name, f"{where} key")
            yield from mistakes(shape.value, each, f"{where}.{name}")
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from mistakes(shape.member, each, f"{where}[{number}]")
    elif not is_within(shape, value):
        yield f"{where}: {value!r} is not of {shape.name}: {shape.metadata}"


def is_within(shape: Any, value: Any) -> bool:
    """Whether the constraints of a shape hold."""
    limits = shape.metadata
    measure = len(value) if isinstance(value, str) else value
    allowed = getattr(shape, "enum", None)
    return (
        limits.get("min", measure) <= measure <= limits.get("max", measure)
        and (not allowed or value in allowed or value == THIS_RUNTIME)
        and ("pattern" not in limits or re.fullmatch(python(limits["pattern"]), value) is not None)
    )


def python(pattern: str) -> str:
    """A pattern of the model for `re`, which has no names for kinds of characters."""
    return pattern.replace(r"\p{L}", r"\w").replace(r"\p{Z}", r"\s").replace(r"\p{N}", "")


@pytest.mark.parametrize(
    ("value", "mistake"),
    [
        ({"LastModified": "2020"}, "X.LastModified: '2020' is no timestamp"),
        ({"Colour": 1}, "X: there is a Colour"),
        ({"MaximumRetryAttempts": True}, "X.MaximumRetryAttempts: True is no integer"),
        ({"MaximumRetryAttempts": None}, "X.MaximumRetryAttempts: None is no integer"),
        ({"MaximumRetryAttempts": 3}, "X.MaximumRetryAttempts: 3 is not of"),
        ({"DestinationConfig": {"OnSuccess": []}}, "X.DestinationConfig.OnSuccess: [] is no"),
        ({"FunctionArn": "f f"}, "X.FunctionArn: 'f f' is not of"),
    ],
)
def test_the_walk_sees_mistakes(value: object, mistake: str) -> None:
    shape = MODEL.operation_model("GetFunctionEventInvokeConfig").output_shape
    [found] = mistakes(shape, value, "X")
    assert found.startswith(mistake)


# --- errors ---------------------------------------------------------------------------------------

#: Those that every operation may have, and no model tells of.
EVERYWHERE = {
    "ValidationException": 400,
    "InvalidRequestContentException": 400,
    "AccessDeniedException": 403,
    "RequestEntityTooLargeException": 413,
}
ERRORS: list[tuple[str, dict[str, Any], str]] = [
    ("GetFunctionUrlConfig", F, "ResourceNotFoundException"),
    ("GetFunction", {"FunctionName": "nobody"}, "ResourceNotFoundException"),
    ("GetFunctionEventInvokeConfig", {"FunctionName": "g"}, "ResourceNotFoundException"),
    ("GetPolicy", {"FunctionName": "g"}, "ResourceNotFoundException"),
    ("RemovePermission", {**F, "StatementId": "x"}, "ResourceNotFoundException"),
    ("DeleteAlias", {"FunctionName": "nobody", "Name": "x"}, "ResourceNotFoundException"),
    ("CreateAlias", {**F, "Name": "live", "FunctionVersion": "1"}, "ResourceConflictException"),
    ("AddPermission", {**F, **permission()}, "ResourceConflictException"),
    ("UpdateAlias", {**F, "Name": "set", "RevisionId": "x"}, "PreconditionFailedException"),
    ("PublishVersion", {**F, "RevisionId": "x"}, "PreconditionFailedException"),
    ("AddPermission", {**SET, **permission("x", RevisionId="x")}, "PreconditionFailedException"),
    (
        "RemovePermission",
        {**SET, "StatementId": "s3", "RevisionId": "x"},
        "PreconditionFailedException",
    ),
    (
        "PutFunctionConcurrency",
        {**F, "ReservedConcurrentExecutions": 1000},
        "InvalidParameterValueException",
    ),
    ("PutFunctionEventInvokeConfig", F, "InvalidParameterValueException"),
    ("ListFunctions", {"Marker": "x"}, "InvalidParameterValueException"),
    (
        "GetRuntimeManagementConfig",
        {**SET, "FunctionName": "f:1"},
        "InvalidParameterValueException",
    ),
    ("ListFunctions", {"MaxItems": 0}, "ValidationException"),
    ("PutFunctionConcurrency", F, "ValidationException"),
    ("PutFunctionRecursionConfig", {**F, "RecursiveLoop": [1]}, "InvalidRequestContentException"),
    ("PublishVersion", {**F, "Description": "x" * 70_000}, "RequestEntityTooLargeException"),
    ("DeleteFunctionConcurrency", F, "AccessDeniedException"),
    *(
        (
            name,
            {
                each: arn("f") if each == "Resource" else "f"
                for each in re.findall(r"{(\w+)}", operation.path)
            },
            "AccessDeniedException",
        )
        for name, operation in REFUSED.items()
    ),
]


@pytest.mark.parametrize(
    ("operation", "params", "code"), [pytest.param(*row, id=f"{row[0]} {row[2]}") for row in ERRORS]
)
def test_an_error_is_one_of_the_operations(
    client: Client, operation: str, params: dict[str, Any], code: str
) -> None:
    answer = send(client, operation, params)
    parsed = parse(operation, answer)
    assert parsed["Error"]["Code"] == answer.headers["x-amzn-errortype"] == code
    assert parsed["Error"]["Message"]
    if code in EVERYWHERE:
        assert answer.status == EVERYWHERE[code]
        return
    modelled = {shape.name: shape for shape in MODEL.operation_model(operation).error_shapes}
    assert answer.status == modelled[code].metadata["error"]["httpStatusCode"]
    members = json.loads(answer.body)
    assert list(mistakes(modelled[code], members, code)) == []


# --- constraints ----------------------------------------------------------------------------------


def constraints() -> Iterator[Any]:
    """A request for each constraint of each parameter of each operation, and what is told of it."""
    for operation in SERVED:
        shape = MODEL.operation_model(operation).input_shape
        for name, member in {} if shape is None else shape.members.items():
            for value, must in violating(member):
                told = f"at '{camel(name)}' failed to satisfy constraint: Member must {must}"
                yield pytest.param(
                    operation, {name: value}, told, id=f"{operation} {name} {must[:40]}"
                )
            if name in shape.required_members and member.serialization.get("location") is None:
                told = (
                    f"Value null at '{camel(name)}' failed to satisfy constraint: Member must not"
                )
                yield pytest.param(operation, {name: None}, told, id=f"{operation} {name} null")


def violating(shape: Any) -> Iterator[tuple[object, str]]:
    limits = shape.metadata
    if shape.type_name == "integer":
        if "max" in limits:
            yield limits["max"] + 1, f"have value less than or equal to {limits['max']}"
        yield limits["min"] - 1, f"have value greater than or equal to {limits['min']}"
    elif shape.type_name == "string" and shape.enum:
        yield "nothing of these", "satisfy enum value set: ["
    elif shape.type_name == "string":
        if "max" in limits:
            yield "1" * (limits["max"] + 1), f"have length less than or equal to {limits['max']}"
        if "pattern" in limits:
            yield "b!d \n", "satisfy regular expression pattern: "


def camel(name: str) -> str:
    return name[:1].lower() + name[1:]


#: What every operation needs, besides what is wrong with it.
GOOD = {
    "FunctionName": "f",
    "Name": "new",
    "FunctionVersion": "1",
    "ReservedConcurrentExecutions": 1,
    "RecursiveLoop": "Allow",
    "Resource": arn("f"),
    **permission("new"),
}


@pytest.mark.parametrize(("operation", "params", "told"), [*constraints()])
def test_the_models_constraints_are_checked(
    client: Client, operation: str, params: dict[str, Any], told: str
) -> None:
    shape = MODEL.operation_model(operation).input_shape
    assert shape is not None
    needed = {name: GOOD[name] for name in shape.required_members}
    given = {name: value for name, value in {**needed, **params}.items() if value is not None}
    answer = send(client, operation, given)
    assert (answer.status, answer.headers["x-amzn-errortype"]) == (400, "ValidationException")
    assert told in json.loads(answer.body)["message"]
