"""The control calls, made by AWS's clients: every call, pages, waiters, and who may call.

What other processes see of them is in `test_control_processes`.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import botocore.exceptions
import pytest
from botocore import xform_name

from tests.integration import control_application, control_site, raw, signing
from tests.integration.control_application import CLIENTS, MANY
from tests.integration.control_flow import Call, Like, flow
from tests.integration.control_site import Site, seen_elsewhere, send, signed_post
from tests.integration.servers import need
from tests.integration.signing import ARN

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="it looks at processes as Linux shows them"),
    # What boto3 says of Pythons that it is about to leave behind is not about us.
    pytest.mark.filterwarnings("ignore:Boto3 will no longer support Python"),
]

JS = Path(__file__).parent / "js"

#: The calls that are served and those that are refused, written out here on purpose.
SERVED = {
    *("ListFunctions", "GetFunction", "GetFunctionConfiguration", "ListVersionsByFunction"),
    *("PublishVersion", "CreateAlias", "GetAlias", "ListAliases", "UpdateAlias", "DeleteAlias"),
    *("PutFunctionConcurrency", "GetFunctionConcurrency", "DeleteFunctionConcurrency"),
    *("PutFunctionEventInvokeConfig", "UpdateFunctionEventInvokeConfig"),
    *("GetFunctionEventInvokeConfig", "DeleteFunctionEventInvokeConfig"),
    *("ListFunctionEventInvokeConfigs", "AddPermission", "GetPolicy", "RemovePermission"),
    *("GetAccountSettings", "GetFunctionCodeSigningConfig", "GetFunctionRecursionConfig"),
    *("PutFunctionRecursionConfig", "GetRuntimeManagementConfig", "ListTags"),
    "GetFunctionUrlConfig",
}
_SIGNING_CONFIG = f"{ARN.removesuffix('function')}code-signing-config:csc-{'0' * 17}"
REFUSED: Mapping[str, dict[str, Any]] = {
    "CreateFunction": {"FunctionName": "new", "Role": "arn:aws:iam::123456789012:role/r"}
    | {"Code": {"ZipFile": b"PK"}, "Handler": "a.b", "Runtime": "python3.13"},
    "UpdateFunctionCode": {"FunctionName": "plain", "ZipFile": b"PK"},
    "UpdateFunctionConfiguration": {"FunctionName": "plain", "Timeout": 5},
    "DeleteFunction": {"FunctionName": "plain"},
    "TagResource": {"Resource": f"{ARN}:plain", "Tags": {"a": "b"}},
    "UntagResource": {"Resource": f"{ARN}:plain", "TagKeys": ["a"]},
    "PutFunctionCodeSigningConfig": {"FunctionName": "plain"}
    | {"CodeSigningConfigArn": _SIGNING_CONFIG},
    "DeleteFunctionCodeSigningConfig": {"FunctionName": "plain"},
    "PutRuntimeManagementConfig": {"FunctionName": "plain", "UpdateRuntimeOn": "Auto"},
    "CreateFunctionUrlConfig": {"FunctionName": "plain", "AuthType": "AWS_IAM"},
    "UpdateFunctionUrlConfig": {"FunctionName": "plain", "AuthType": "NONE"},
    "DeleteFunctionUrlConfig": {"FunctionName": "plain"},
}

_ALLOW_ALL = {"Effect": "Allow", "Action": "lambda:*", "Resource": "*"}
POLICIES = {
    "default": {"Version": "2012-10-17", "Statement": _ALLOW_ALL},
    # Reads, and not everything.
    "temporary": {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "lambda:Get*", "Resource": f"{ARN}:plain"},
            {"Effect": "Allow", "Action": "lambda:ListFunctions", "Resource": "*"},
        ],
    },
    # Invokes one function, and may do nothing else.
    "limited": {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Action": "lambda:InvokeFunction",
            "Resource": f"{ARN}:plain",
        },
    },
    "forbidden": {
        "Version": "2012-10-17",
        "Statement": [_ALLOW_ALL, {**_ALLOW_ALL, "Effect": "Deny", "Action": "lambda:Put*"}],
    },
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server for everybody."""
    with control_site.running(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server for those who sign, and who may do what `POLICIES` says."""
    with control_site.running(tmp_path_factory.mktemp("signed"), policies=POLICIES) as site:
        yield site


# --- every call, with each client ---------------------------------------------------------------


class Result(NamedTuple):
    """What came of a call."""

    #: ``None`` where the client does not tell.
    status: int | None
    #: The answer's members, dates as texts; of an error its code and its text.
    answer: object


def ask(client: Any, operation: str, **parameters: Any) -> Result:
    """What comes of a call of boto3's client."""
    try:
        answer = getattr(client, xform_name(operation))(**parameters)
    except botocore.exceptions.ClientError as exc:
        error = exc.response["Error"]
        status = exc.response["ResponseMetadata"]["HTTPStatusCode"]
        return Result(status, (error["Code"], error["Message"]))
    status = answer.pop("ResponseMetadata")["HTTPStatusCode"]
    return Result(status, json.loads(json.dumps(answer, default=lambda date: date.isoformat())))


def by_boto3(site: Site, calls: list[Call]) -> list[Result]:
    return [ask(site.client(), each.operation, **each.parameters) for each in calls]


#: A start of the AWS CLI takes longer than all calls of a flow.
_COMMAND_LINE = """
import contextlib, io, json, sys
import awscli.clidriver

driver = awscli.clidriver.create_clidriver()
results = []
for arguments in json.load(sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = driver.main(arguments)
    results.append((status, out.getvalue(), err.getvalue()))
json.dump(results, sys.stdout)
"""


def by_command_line(site: Site, calls: list[Call]) -> list[Result]:
    need(importlib.util.find_spec("awscli"), "the AWS CLI")
    given = []
    for each in calls:
        arguments = ["--endpoint-url", site.url, "lambda", xform_name(each.operation, "-")]
        for name, value in each.parameters.items():
            text = json.dumps(value) if isinstance(value, dict) else str(value)
            arguments += [f"--{xform_name(name, '-')}", text]
        given.append(arguments)
    results = []
    ran = _run(site, [sys.executable, "-c", _COMMAND_LINE], given)
    for status, out, err in ran:
        error = re.match(
            r"\s*An error occurred \((\w+)\) when calling the \w+ operation: (.*)", err
        )
        assert error or status == 0, err
        results.append(Result(None, error.groups() if error else json.loads(out or "{}")))
    return results


def by_javascript(site: Site, calls: list[Call]) -> list[Result]:
    node = shutil.which("node")
    need(node, "Node.js")
    need((JS / "node_modules").is_dir(), "the modules of package.json: make integration")
    given = [(each.operation, each.parameters) for each in calls]
    ran = _run(site, [str(node), str(JS / "control_v3.mjs"), site.url], given)
    return [
        Result(each["status"], each.get("answer", (each.get("error"), each.get("message"))))
        for each in ran
    ]


def _run(site: Site, command: list[str], given: object) -> Any:
    """What a client's program prints, which reads its calls from standard input."""
    ran = subprocess.run(
        command,
        input=json.dumps(given),
        env=site.keys.environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_the_flow_makes_every_served_call() -> None:
    assert {each.operation for each in flow("plain")} == SERVED


@pytest.mark.parametrize(
    ("client", "make_calls"),
    list(zip(CLIENTS, (by_boto3, by_command_line, by_javascript), strict=True)),
    ids=CLIENTS,
)
def test_every_served_call(
    signed: Site, client: str, make_calls: Callable[[Site, list[Call]], list[Result]]
) -> None:
    """AWS's clients sign each call, and understand the answer as they understand AWS's."""
    calls = flow(f"by-{client}")
    for each, result in zip(calls, make_calls(signed, calls), strict=True):
        assert result.answer == each.answer, each
        assert result.status in (each.status, None), each


@pytest.mark.parametrize("operation", REFUSED)
def test_every_refused_call(site: Site, operation: str) -> None:
    """Code and tags are the application's, and the answer says so."""
    result = ask(site.client(), operation, **REFUSED[operation])

    text = Like(rf"{operation}\b.* functions are defined by the application\b.*")
    assert result == Result(403, ("AccessDeniedException", text))


def test_a_revision_is_taken_while_it_is_the_latest(site: Site) -> None:
    client = site.client()
    alias = {"FunctionName": "plain", "Name": "revised"}
    first = client.create_alias(**alias, FunctionVersion="$LATEST")["RevisionId"]
    second = client.update_alias(**alias, Description="new", RevisionId=first)["RevisionId"]

    assert second != first
    assert client.get_alias(**alias)["RevisionId"] == second
    with pytest.raises(client.exceptions.PreconditionFailedException):
        client.update_alias(**alias, Description="newer", RevisionId=first)
    assert client.get_alias(**alias)["Description"] == "new"
    client.delete_alias(**alias)


# --- pages and waiters --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def configured(site: Site) -> Iterator[list[str]]:
    """The qualifiers of ``paged`` that have an event-invoke configuration: more than a page."""
    qualifiers = ["$LATEST", *map(str, range(1, MANY + 1))]
    for qualifier in qualifiers:
        site.client().put_function_event_invoke_config(
            FunctionName="paged", Qualifier=qualifier, MaximumRetryAttempts=1
        )
    yield qualifiers
    for qualifier in qualifiers:
        site.client().delete_function_event_invoke_config(FunctionName="paged", Qualifier=qualifier)


@pytest.mark.parametrize("page_size", [None, 7])
class TestPagesHaveEachItemOnce:
    def pages(
        self, site: Site, page_size: int | None, call: str, members: str, **parameters: str
    ) -> list[Any]:
        """All items of a list, which must come in several pages."""
        pages = list(
            site.client()
            .get_paginator(call)
            .paginate(**parameters, PaginationConfig={"PageSize": page_size})
        )
        sizes = [len(page[members]) for page in pages]
        assert len(sizes) > 1
        assert max(sizes) <= (page_size or 50)
        assert all(sizes)
        return [item for page in pages for item in page[members]]

    def test_functions(self, site: Site, page_size: int | None) -> None:
        items = self.pages(site, page_size, "list_functions", "Functions")

        assert len(items) == len(control_application.functions)
        assert {item["FunctionName"] for item in items} == {
            function.name for function in control_application.functions
        }
        assert {item["FunctionArn"] for item in items} == {
            f"{ARN}:{function.name}" for function in control_application.functions
        }

    def test_functions_in_all_versions(self, site: Site, page_size: int | None) -> None:
        items = self.pages(site, page_size, "list_functions", "Functions", FunctionVersion="ALL")

        arns = [item["FunctionArn"] for item in items]
        declared = {
            f"{ARN}:{function.name}:{version}"
            for function in control_application.functions
            for version in ("$LATEST", *function.versions)
        }
        assert len(arns) == len(set(arns))
        assert declared <= set(arns)
        assert all(item["FunctionArn"].endswith(f":{item['Version']}") for item in items)

    def test_versions(self, site: Site, page_size: int | None) -> None:
        items = self.pages(
            site, page_size, "list_versions_by_function", "Versions", FunctionName="paged"
        )

        assert [item["Version"] for item in items] == ["$LATEST", *map(str, range(1, MANY + 1))]

    def test_aliases(self, site: Site, page_size: int | None) -> None:
        items = self.pages(site, page_size, "list_aliases", "Aliases", FunctionName="paged")

        assert [item["Name"] for item in items] == [f"alias-{number:02}" for number in range(MANY)]

    def test_event_invoke_configs(
        self, site: Site, page_size: int | None, configured: list[str]
    ) -> None:
        items = self.pages(
            site,
            page_size,
            "list_function_event_invoke_configs",
            "FunctionEventInvokeConfigs",
            FunctionName="paged",
        )

        arns = [item["FunctionArn"] for item in items]
        assert sorted(arns) == sorted(f"{ARN}:paged:{qualifier}" for qualifier in configured)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("function_active", {}),
        ("function_active_v2", {}),
        ("function_updated", {}),
        ("function_updated_v2", {}),
        ("function_exists", {}),
        ("published_version_active", {"Qualifier": "1"}),
    ],
)
def test_waiters_end_at_once(site: Site, name: str, parameters: dict[str, str]) -> None:
    """With their first look, as nothing here takes time to become active."""
    waiter = site.client().get_waiter(name)
    waiter.wait(FunctionName="versioned", **parameters, WaiterConfig={"MaxAttempts": 1})


# --- who may ------------------------------------------------------------------------------------


def denied(profile: str, operation: str, resource: str, reason: str | None = None) -> Result:
    """What comes of a call that the policies of a profile do not allow."""
    action = f"lambda:{operation}"
    if reason is None:
        reason = f"because no identity-based policy allows the {action} action"
    text = (
        f"User: arn:aws:iam::123456789012:user/{profile} is not authorized to perform: {action} "
        f"on resource: {resource} {reason}"
    )
    return Result(403, ("AccessDeniedException", text))


def _calls_and_resources() -> list[Any]:
    """For each served call what `flow` first asks for, and the resource that it is about."""
    first: dict[str, dict[str, Any]] = {}
    for each in flow("plain"):
        first.setdefault(each.operation, each.parameters)
    resources = dict.fromkeys(first, f"{ARN}:plain")
    resources |= dict.fromkeys(("ListFunctions", "GetAccountSettings"), "*")
    first["PutFunctionEventInvokeConfig"] = {"FunctionName": "plain", "MaximumRetryAttempts": 1}
    cases = [(name, first[name], resources[name]) for name in first]
    for name in ("AddPermission", "GetPolicy", "RemovePermission"):
        cases.append((name, {**first[name], "Qualifier": "1"}, f"{ARN}:plain:1"))
    return [
        pytest.param(*case, id=f"{case[0]}{' qualified' * case[2].endswith(':1')}")
        for case in cases
    ]


@pytest.mark.parametrize(("operation", "parameters", "resource"), _calls_and_resources())
def test_nobody_may_who_was_not_allowed_to(
    signed: Site, operation: str, parameters: dict[str, Any], resource: str
) -> None:
    """Who may invoke a function may not see or change it."""
    result = ask(signed.client("limited"), operation, **parameters)
    assert result == denied("limited", operation, resource)


def test_who_was_allowed_some_calls_may_make_these(signed: Site) -> None:
    client = signed.client("temporary")
    assert client.get_function(FunctionName="plain")["Configuration"]["State"] == "Active"
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_alias(FunctionName="plain", Name="nowhere")
    assert client.list_functions()["Functions"]

    for operation, parameters, resource in (
        ("GetFunction", {"FunctionName": "sink"}, f"{ARN}:sink"),
        ("GetAccountSettings", {}, "*"),
        ("ListAliases", {"FunctionName": "plain"}, f"{ARN}:plain"),
    ):
        result = ask(client, operation, **parameters)
        assert result == denied("temporary", operation, resource)


def test_a_deny_outweighs_an_allow(signed: Site) -> None:
    client = signed.client("forbidden")
    this = {"FunctionName": "plain"}
    assert ask(client, "GetFunctionConcurrency", **this) == Result(200, {})
    put = "PutFunctionConcurrency"
    assert ask(client, put, **this, ReservedConcurrentExecutions=1) == denied(
        "forbidden", put, f"{ARN}:plain", "with an explicit deny in an identity-based policy"
    )
    assert ask(client, "GetFunctionConcurrency", **this) == Result(200, {})


@pytest.mark.parametrize("qualifier", [None, "1"])
def test_a_permission_lets_another_user_invoke_while_it_is_there(
    signed: Site, qualifier: str | None
) -> None:
    """In every worker process, a second after the change."""
    target = {"FunctionName": "versioned", **({"Qualifier": qualifier} if qualifier else {})}
    path = raw.invoke("versioned") + (f"?Qualifier={qualifier}" if qualifier else "")

    def outcomes() -> list[str]:
        with signed.connections() as connections:
            return [
                send(connection, signed_post(path, signing.LIMITED)).outcome
                for connection in connections.values()
            ]

    assert outcomes() == ["AccessDeniedException"] * 2
    with seen_elsewhere():
        signed.client().add_permission(
            **target,
            StatementId="limited",
            Action="lambda:InvokeFunction",
            Principal="arn:aws:iam::123456789012:user/limited",
        )
    assert outcomes() == ["200"] * 2
    temporary = ask(signed.client("temporary"), "Invoke", **target)
    assert temporary == Result(403, ("AccessDeniedException", Like("User: .*/temporary is not .*")))

    with seen_elsewhere():
        signed.client().remove_permission(**target, StatementId="limited")
    assert outcomes() == ["AccessDeniedException"] * 2
