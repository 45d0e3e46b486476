"""What verified callers may do, over HTTP: which policies are asked, and what the denied are told.

How a policy is evaluated has tests of its own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from invokeasync_wsgi import Functions, InvokeAsyncMiddleware, Principal
from invokeasync_wsgi.auth.credentials import Credential
from invokeasync_wsgi.auth.signatures import SigV4
from invokeasync_wsgi.errors import ConfigurationError
from invokeasync_wsgi.testing import Answer, Client, FakeClock, Signer, SteppedExecutor

from ..signing import NOW, SECRET, make_functions

ACCOUNT = "123456789012"
ARN = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:"
ACTION = "lambda:InvokeFunction"

#: Key ids, and whose they are.
OWNERS = {
    "AKIDALICE": "alice",
    "AKIDBOB": "bob",
    "AKIDFRIEND": "arn:aws:iam::999999999999:user/friend",
    "AKIDROLE": f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/ci",
}
FRIEND = OWNERS["AKIDFRIEND"]


def allow(resource: str | list[str] = "*", action: Any = ACTION, **more: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": action, "Resource": resource, **more}
    return {"Version": "2012-10-17", "Statement": statement}


def deny(resource: str = "*", action: str = ACTION, **more: Any) -> dict[str, Any]:
    return allow(resource, action, **{**more, "Effect": "Deny"})


class Site:
    """A service with a key for each of some principals."""

    def __init__(
        self, policies: Any = None, *, functions: Functions | None = None, **settings: Any
    ) -> None:
        self.clock = FakeClock(NOW)
        self.executor = SteppedExecutor()
        self.app = InvokeAsyncMiddleware(
            None,
            make_functions() if functions is None else functions,
            auth=SigV4({key: Credential(SECRET, owner) for key, owner in OWNERS.items()}),
            executor=self.executor,
            clock=self.clock,
            policies=policies,
            **settings,
        )

    def client(self, key_id: str = "AKIDALICE") -> Client:
        return Client(self.app, signer=Signer(key_id, SECRET, clock=self.clock))

    def invoke(
        self,
        function_name: str = "f",
        qualifier: str | None = None,
        *,
        key_id: str = "AKIDALICE",
        invocation_type: str | None = None,
    ) -> Answer:
        return self.client(key_id).invoke(
            function_name, b"{}", qualifier=qualifier, invocation_type=invocation_type
        )

    def send(self, environ: Mapping[str, Any], *, key_id: str = "AKIDALICE") -> Answer:
        """Invoke ``f``, as a request that has this about it."""
        return self.client(key_id).request(
            "POST", "/2014-11-13/functions/f/invoke-async", b"{}", environ=environ
        )


def message(answer: Answer) -> str:
    """What a caller who may not is told."""
    assert (answer.status, answer.headers["x-amzn-errortype"]) == (403, "AccessDeniedException")
    assert list(json.loads(answer.body)) == ["Message"]
    text = json.loads(answer.body)["Message"]
    assert isinstance(text, str)
    return text


def denied(who: str, resource: str, reason: str) -> str:
    return (
        f"User: {who} is not authorized to perform: lambda:InvokeFunction on resource: {resource} "
        f"{reason}"
    )


ALICE = f"arn:aws:iam::{ACCOUNT}:user/alice"
NO_IDENTITY = "because no identity-based policy allows the lambda:InvokeFunction action"
NO_RESOURCE = "because no resource-based policy allows the lambda:InvokeFunction action"


# --- without policies ---------------------------------------------------------------------------


@pytest.mark.parametrize("key_id", ["AKIDALICE", "AKIDBOB", "AKIDROLE"])
@pytest.mark.parametrize(
    ("name", "qualifier"),
    [("f", None), ("f:live", None), ("f", "1"), ("f", "$LATEST"), (f"{ARN}f", None)],
)
def test_without_policies_the_accounts_own_may_invoke_all_functions(
    key_id: str, name: str, qualifier: str | None
) -> None:
    assert Site().invoke(name, qualifier, key_id=key_id).status == 200


def test_without_policies_callers_are_told_what_does_not_exist() -> None:
    site = Site()
    answer = site.invoke("g")
    assert answer.body == (
        b'{"Type":"User","Message":"Function not found: %sg:$LATEST"}' % ARN.encode()
    )
    assert site.invoke("f", "2").status == 404


def test_without_policies_other_accounts_callers_may_not() -> None:
    assert message(Site().invoke(key_id="AKIDFRIEND")) == denied(FRIEND, f"{ARN}f", NO_RESOURCE)


# --- policies of principals ---------------------------------------------------------------------


def test_with_policies_only_those_who_have_one_may() -> None:
    site = Site({"alice": allow()})
    assert site.invoke().status == 200
    bob = f"arn:aws:iam::{ACCOUNT}:user/bob"
    assert message(site.invoke(key_id="AKIDBOB")) == denied(bob, f"{ARN}f", NO_IDENTITY)


@pytest.mark.parametrize("policies", [{}, {"alice": []}, {"nobody": allow()}])
def test_policies_for_nobody_let_nobody(policies: Any) -> None:
    assert message(Site(policies).invoke()) == denied(ALICE, f"{ARN}f", NO_IDENTITY)


@pytest.mark.parametrize(
    ("key_id", "principal"),
    [
        ("AKIDALICE", "alice"),
        ("AKIDALICE", ALICE),
        ("AKIDROLE", OWNERS["AKIDROLE"]),
    ],
)
def test_a_policy_is_for_a_name_or_an_arn(key_id: str, principal: str) -> None:
    assert Site({principal: allow()}).invoke(key_id=key_id).status == 200


@pytest.mark.parametrize("named", ["alice", f"arn:aws:iam::{ACCOUNT}:user/alice"])
@pytest.mark.parametrize("denied", ["alice", f"arn:aws:iam::{ACCOUNT}:user/alice"])
def test_a_name_and_its_arn_are_one_principal(named: str, denied: str) -> None:
    """Else a key under the one name would escape what is said of the other."""
    other = ({"alice", f"arn:aws:iam::{ACCOUNT}:user/alice"} - {denied}).pop()
    app = InvokeAsyncMiddleware(
        None,
        make_functions(),
        auth=SigV4({"AKIDALICE": Credential(SECRET, named)}),
        executor=SteppedExecutor(),
        clock=FakeClock(NOW),
        policies={other: allow(), denied: deny()},
    )
    client = Client(app, signer=Signer("AKIDALICE", SECRET, clock=FakeClock(NOW)))
    assert "explicit deny in an identity-based policy" in message(client.invoke("f", b"{}"))


@pytest.mark.parametrize("role", ["role/deploy", "role/ops/deploy"])
def test_a_roles_policies_are_those_of_its_sessions(role: str) -> None:
    site = Site({f"arn:aws:iam::{ACCOUNT}:{role}": allow()})
    assert site.invoke(key_id="AKIDROLE").status == 200
    assert site.invoke(key_id="AKIDALICE").status == 403


def test_a_principal_may_have_several_policies_and_all_of_them_count() -> None:
    site = Site({"alice": [allow(f"{ARN}f"), allow(f"{ARN}f:live"), deny(f"{ARN}f:1")]})
    assert [site.invoke("f", qualifier).status for qualifier in (None, "live", "1")] == [
        *(200, 200),
        403,
    ]
    site = Site({"alice": allow(), ALICE: deny()})
    assert site.invoke().status == 403


def test_a_denial_wins_and_is_told_as_such() -> None:
    site = Site({"alice": [allow(), deny(f"{ARN}f")]})
    assert message(site.invoke()) == denied(
        ALICE, f"{ARN}f", "with an explicit deny in an identity-based policy"
    )


@pytest.mark.parametrize(
    ("action", "is_allowed"),
    [
        ("lambda:InvokeFunction", True),
        ("LAMBDA:invokefunction", True),
        ("lambda:Invoke*", True),
        ("lambda:*", True),
        ("*", True),
        (["lambda:GetFunction", "lambda:InvokeFunction"], True),
        ("lambda:InvokeAsync", False),
        ("lambda:InvokeFunctionUrl", False),
        ("lambda:Get*", False),
        ("s3:*", False),
    ],
)
@pytest.mark.parametrize("operation", ["InvokeAsync", "Invoke"])
def test_one_action_is_for_every_way_to_invoke(
    operation: str, action: Any, is_allowed: bool
) -> None:
    """The list of Lambda's actions has an InvokeAsync too, which allows nothing."""
    client = Site({"alice": allow(action=action)}).client()
    answer = client.invoke("f") if operation == "Invoke" else client.invoke_async("f")
    assert (answer.status < 300) is is_allowed


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("RequestResponse", "/2015-03-31/functions/f/invocations"),
        ("Event", "/2015-03-31/functions/f/invocations"),
        ("DryRun", "/2015-03-31/functions/f/invocations"),
        ("RequestResponse", "/2021-11-15/functions/f/response-streaming-invocations"),
        ("DryRun", "/2021-11-15/functions/f/response-streaming-invocations"),
        ("", "/2014-11-13/functions/f/invoke-async"),
        ("", "/2014-11-13/functions/f/invoke-async/"),
    ],
)
def test_every_way_to_invoke_is_authorized(method: str, path: str) -> None:
    headers = {"X-Amz-Invocation-Type": method} if method else {}
    site = Site({"alice": allow()})
    for key_id, is_allowed in (("AKIDALICE", True), ("AKIDBOB", False)):
        answer = site.client(key_id).request("POST", path, b"{}", headers=headers)
        assert (answer.status < 300) is is_allowed
    assert site.executor.counts().waiting <= 1


def test_who_may_not_is_told_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """A caller who should be let in is found there."""
    site = Site({})
    text = message(site.invoke())
    assert [(each.levelname, text in each.getMessage()) for each in caplog.records] == [
        ("WARNING", True)
    ]


# --- functions, versions, aliases ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "qualifier", "resource"),
    [
        ("f", None, "f"),
        ("f", "live", "f:live"),
        ("f:live", None, "f:live"),
        ("f:live", "live", "f:live"),
        ("f", "1", "f:1"),
        ("f", "$LATEST", "f:$LATEST"),
        ("f:$LATEST", None, "f:$LATEST"),
        ("function:f", None, "f"),
        (f"{ACCOUNT}:function:f", "live", "f:live"),
        (f"us-east-1:{ACCOUNT}:function:f", None, "f"),
        (f"{ARN}f", None, "f"),
        (f"{ARN}f:live", None, "f:live"),
        (f"{ARN}f", "live", "f:live"),
    ],
)
def test_the_resource_is_the_functions_arn_with_the_qualifier_that_was_used(
    name: str, qualifier: str | None, resource: str
) -> None:
    """In the name or beside it; and none where none was used."""
    site = Site({"alice": allow(ARN + resource)})
    assert site.invoke(name, qualifier).status == 200
    assert message(site.invoke(name, qualifier, key_id="AKIDBOB")) == denied(
        f"arn:aws:iam::{ACCOUNT}:user/bob", ARN + resource, NO_IDENTITY
    )
    site = Site({"alice": [allow(), deny(ARN + resource)]})
    assert site.invoke(name, qualifier).status == 403


@pytest.mark.parametrize(
    ("resource", "allowed"),
    [
        ("f", {None}),
        ("f:1", {"1"}),
        ("f:*", {"1", "live", "$LATEST"}),
        ("f*", {None, "1", "live", "$LATEST"}),
        ("f:$LATEST", {"$LATEST"}),
        ("*", {None, "1", "live", "$LATEST"}),
        ("F", set()),
        ("f:?", {"1"}),
    ],
)
def test_a_policy_says_which_versions_and_aliases(resource: str, allowed: set[str | None]) -> None:
    site = Site({"alice": allow(ARN + resource)})
    qualifiers = (None, "1", "live", "$LATEST")
    assert {
        qualifier for qualifier in qualifiers if site.invoke("f", qualifier).status == 200
    } == allowed


def test_who_may_not_is_not_told_what_exists() -> None:
    """But for the name, which the caller has given, the answers are the same."""
    site = Site({})
    texts = {
        message(site.invoke(name, qualifier)).replace(f"{ARN}{name}", "")
        for name, qualifier in (("f", "live"), ("g", "live"), ("h", "live"))
    }
    assert len(texts) == 1
    assert message(site.invoke("f", "2")).replace(":2", ":1") == message(site.invoke("f", "1"))


def test_who_may_is_told_what_does_not_exist() -> None:
    site = Site({"alice": allow(f"{ARN}g*")})
    answer = site.invoke("g", "live")
    assert (answer.status, answer.headers["x-amzn-errortype"]) == (404, "ResourceNotFoundException")
    assert json.loads(answer.body)["Message"] == f"Function not found: {ARN}g:live"


@pytest.mark.parametrize("policies", [None, {"alice": allow()}], ids=["no policies", "all allowed"])
def test_another_accounts_function_is_refused_without_a_word(policies: Any) -> None:
    answer = Site(policies).invoke("arn:aws:lambda:us-east-1:999999999999:function:f")
    assert (answer.status, answer.headers["x-amzn-errortype"]) == (403, "AccessDeniedException")
    assert answer.body == b'{"Message":null}'


@pytest.mark.parametrize("policies", [None, {"alice": allow()}], ids=["no policies", "all allowed"])
@pytest.mark.parametrize("region", ["eu-west-1", "cn-north-1", "us-gov-west-1"])
def test_another_regions_function_is_not_found(policies: Any, region: str) -> None:
    answer = Site(policies).invoke(f"arn:aws:lambda:{region}:{ACCOUNT}:function:f")
    assert (answer.status, answer.headers["x-amzn-errortype"]) == (404, "ResourceNotFoundException")
    assert answer.body == (
        b'{"Type":"User","Message":"Functions from \'%s\' are not reachable in this region '
        b"('us-east-1')\"}" % region.encode()
    )


def test_arns_are_those_of_the_service() -> None:
    arn = "arn:aws-cn:lambda:cn-north-1:000000000001:function:f"
    site = Site({"alice": allow(arn)}, region="cn-north-1", account_id="000000000001")
    signer = Signer("AKIDALICE", SECRET, region="cn-north-1", clock=site.clock)
    assert Client(site.app, signer=signer).invoke("f").status == 200
    bob = Signer("AKIDBOB", SECRET, region="cn-north-1", clock=site.clock)
    assert message(Client(site.app, signer=bob).invoke("f")) == denied(
        "arn:aws-cn:iam::000000000001:user/bob", arn, NO_IDENTITY
    )


# --- policies of functions ----------------------------------------------------------------------


def function_policy(principal: Any, **more: Any) -> dict[str, Any]:
    return allow(f"{ARN}f", **{"Principal": principal, **more})


@pytest.mark.parametrize(
    ("policy", "of_caller", "is_allowed"),
    [
        pytest.param(None, None, False, id="neither"),
        pytest.param(None, allow(), False, id="the caller's alone"),
        pytest.param({"AWS": FRIEND}, {}, False, id="the function's alone"),
        pytest.param({"AWS": FRIEND}, allow(), True, id="both"),
        pytest.param({"AWS": "arn:aws:iam::999999999999:root"}, allow(), True, id="the account"),
        pytest.param({"AWS": "999999999999"}, allow(), True, id="the account's number"),
        pytest.param("*", allow(), True, id="everybody"),
        pytest.param({"AWS": "888888888888"}, allow(), False, id="another account"),
        pytest.param(
            {"AWS": "arn:aws:iam::999999999999:user/foe"}, allow(), False, id="another user"
        ),
    ],
)
def test_another_accounts_caller_needs_a_policy_on_both_sides(
    policy: Any, of_caller: Any, is_allowed: bool
) -> None:
    functions = make_functions(policy=None if policy is None else function_policy(policy))
    policies = {FRIEND: of_caller} if of_caller else {}
    answer = Site(policies, functions=functions).invoke(key_id="AKIDFRIEND")
    assert (answer.status == 200) is is_allowed
    if not is_allowed:
        reason = NO_RESOURCE if of_caller else NO_IDENTITY
        assert message(answer) == denied(FRIEND, f"{ARN}f", reason)


@pytest.mark.parametrize(
    ("principal", "is_allowed"),
    [
        ({"AWS": ALICE}, True),
        ("*", True),
        ({"AWS": [FRIEND, ALICE]}, True),
        ({"AWS": FRIEND}, False),
        ({"Service": "s3.amazonaws.com"}, False),
    ],
)
def test_a_caller_of_the_account_may_by_the_functions_policy_alone(
    principal: Any, is_allowed: bool
) -> None:
    site = Site({}, functions=make_functions(policy=function_policy(principal)))
    assert (site.invoke().status == 200) is is_allowed


def test_a_functions_denial_wins() -> None:
    functions = make_functions(policy=function_policy({"AWS": ALICE}, Effect="Deny"))
    site = Site({"alice": allow()}, functions=functions)
    assert message(site.invoke()) == denied(
        ALICE, f"{ARN}f", "with an explicit deny in a resource-based policy"
    )
    assert site.invoke("f", "live").status == 200


def test_a_functions_policy_counts_without_policies_of_principals() -> None:
    functions = make_functions(policy=function_policy({"AWS": FRIEND}))
    site = Site(functions=functions)
    assert [site.invoke(key_id=key).status for key in ("AKIDALICE", "AKIDFRIEND")] == [200, 200]
    functions = make_functions(policy=function_policy({"AWS": ALICE}, Effect="Deny"))
    site = Site(functions=functions)
    assert [site.invoke(key_id=key).status for key in ("AKIDALICE", "AKIDBOB")] == [403, 200]


def test_a_functions_policy_may_be_json() -> None:
    functions = make_functions(policy=json.dumps(function_policy({"AWS": ALICE})))
    assert Site({}, functions=functions).invoke().status == 200


def test_a_functions_policy_is_for_that_function() -> None:
    functions = make_functions(policy=allow(Principal={"AWS": ALICE}))
    functions.add("g", str)
    site = Site({}, functions=functions)
    assert (site.invoke("f").status, site.invoke("g").status) == (200, 403)


class Believing:
    """An authenticator of one's own: a service that says what sent it."""

    def start(self, settings: Any, clock: Any) -> None:
        pass

    def authenticate(self, request: Any) -> Principal:
        source = {"aws:SourceArn": request.header("HTTP_X_SOURCE") or ""}
        return Principal("s3.amazonaws.com", type="Service", context=source)


@pytest.mark.parametrize("policies", [None, {}, {"s3.amazonaws.com": allow()}])
def test_a_service_needs_the_functions_policy(policies: Any) -> None:
    """The statement is as AddPermission makes it."""
    policy = function_policy(
        {"Service": "s3.amazonaws.com"},
        Condition={"ArnLike": {"AWS:SourceArn": "arn:aws:s3:::b"}},
    )
    app = InvokeAsyncMiddleware(
        None,
        make_functions(policy=policy),
        auth=Believing(),
        executor=SteppedExecutor(),
        policies=policies,
    )
    path = "/2014-11-13/functions/f/invoke-async"
    for source, status in (("arn:aws:s3:::b", 202), ("arn:aws:s3:::c", 403)):
        answer = Client(app).request("POST", path, headers={"X-Source": source})
        assert answer.status == status


# --- conditions ---------------------------------------------------------------------------------


def when(operator: str, key: str, value: Any) -> dict[str, Any]:
    return {"alice": allow(Condition={operator: {key: value}})}


@pytest.mark.parametrize(
    ("condition", "good", "bad"),
    [
        pytest.param(
            ("IpAddress", "aws:SourceIp", "192.0.2.0/24"),
            {"REMOTE_ADDR": "192.0.2.77"},
            {"REMOTE_ADDR": "192.0.3.77"},
            id="address",
        ),
        pytest.param(
            ("IpAddress", "aws:SourceIp", "2001:db8::/32"),
            {"REMOTE_ADDR": "2001:db8::1"},
            {"REMOTE_ADDR": "2001:db9::1"},
            id="address of version 6",
        ),
        pytest.param(
            ("IpAddress", "aws:SourceIp", "192.0.2.0/24"),
            {"REMOTE_ADDR": "192.0.2.77"},
            {"REMOTE_ADDR": ""},
            id="no address",
        ),
        pytest.param(
            ("Bool", "aws:SecureTransport", "true"),
            {"wsgi.url_scheme": "https"},
            {"wsgi.url_scheme": "http"},
            id="TLS",
        ),
        pytest.param(
            ("StringLike", "aws:UserAgent", "aws-cli/*"),
            {"HTTP_USER_AGENT": "aws-cli/2.0"},
            {"HTTP_USER_AGENT": "curl/8"},
            id="client",
        ),
        pytest.param(
            ("StringEquals", "aws:Referer", "https://example.com/"),
            {"HTTP_REFERER": "https://example.com/"},
            {},
            id="referer",
        ),
    ],
)
def test_a_condition_looks_at_the_request(
    condition: tuple[str, str, str], good: dict[str, str], bad: dict[str, str]
) -> None:
    site = Site(when(*condition))
    assert site.send(good).status == 202
    assert message(site.send(bad)) == denied(ALICE, f"{ARN}f", NO_IDENTITY)


def test_an_address_is_the_same_on_a_socket_of_version_6() -> None:
    """A server that listens on [::] shows version 4 as ::ffff:192.0.2.77. A denial must hold."""
    denial = deny(Condition={"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}})
    site = Site({"alice": [allow(), denial]})
    for address in ("192.0.2.77", "::ffff:192.0.2.77"):
        assert site.send({"REMOTE_ADDR": address}).status == 403
    assert site.send({"REMOTE_ADDR": "::ffff:192.0.3.77"}).status == 202


@pytest.mark.parametrize(
    ("condition", "is_allowed"),
    [
        (("StringEquals", "aws:PrincipalArn", ALICE), True),
        (("StringEquals", "aws:username", "alice"), True),
        (("StringEquals", "aws:PrincipalAccount", ACCOUNT), True),
        (("StringEquals", "aws:ResourceAccount", ACCOUNT), True),
        (("StringEquals", "aws:RequestedRegion", "us-east-1"), True),
        (("StringEquals", "aws:RequestedRegion", "eu-west-1"), False),
        (("Bool", "aws:ViaAWSService", "false"), True),
        (("Bool", "lambda:InvokedViaFunctionUrl", "false"), True),
        (("NumericLessThan", "aws:EpochTime", str(int(NOW) + 1)), True),
        (("NumericLessThan", "aws:EpochTime", str(int(NOW))), False),
        (("Null", "aws:SourceVpc", "true"), True),
    ],
)
def test_a_condition_looks_at_caller_and_service(
    condition: tuple[str, str, str], is_allowed: bool
) -> None:
    assert (Site(when(*condition)).invoke().status == 200) is is_allowed


def test_a_condition_looks_at_the_clock() -> None:
    site = Site(when("DateLessThan", "aws:CurrentTime", "2026-01-02T03:05:00Z"))
    assert site.invoke().status == 200
    site.clock.advance(54)
    assert site.invoke().status == 200
    site.clock.advance(1)
    assert site.invoke().status == 403


@pytest.mark.parametrize(
    ("tags", "is_allowed"),
    [
        ({"team": "payments"}, True),
        ({"Team": "payments"}, True),
        ({"team": "other"}, False),
        ({}, False),
    ],
)
def test_a_condition_looks_at_the_functions_tags(tags: dict[str, str], is_allowed: bool) -> None:
    site = Site(
        when("StringEquals", "aws:ResourceTag/Team", "payments"),
        functions=make_functions(tags=tags),
    )
    assert (site.invoke().status == 200) is is_allowed
    assert site.invoke("g").status == 403  # which has none


def test_a_caller_cannot_bring_its_own_conditions() -> None:
    """Headers are no condition keys but for those that are meant."""
    site = Site(when("StringEquals", "aws:ResourceTag/Team", "payments"))
    for name in ("aws:ResourceTag/Team", "HTTP_AWS_RESOURCETAG_TEAM", "HTTP_X_FORWARDED_FOR"):
        assert site.send({name: "payments"}).status == 403
    site = Site(when("IpAddress", "aws:SourceIp", "10.0.0.0/8"))
    assert site.send({"HTTP_X_FORWARDED_FOR": "10.0.0.1"}).status == 403


def test_a_variable_stands_for_the_caller() -> None:
    policy = allow(f"{ARN}${{aws:username}}-*")
    functions = Functions()
    for name in ("alice-1", "bob-1"):
        functions.add(name, lambda event, context: event)
    site = Site({"alice": policy, "bob": policy}, functions=functions)
    assert [site.invoke(name).status for name in ("alice-1", "bob-1")] == [200, 403]
    assert [site.invoke(name, key_id="AKIDBOB").status for name in ("alice-1", "bob-1")] == [
        403,
        200,
    ]


# --- files --------------------------------------------------------------------------------------


def write(path: Path, value: Any) -> None:
    """Write a file whose time is another than before, however fast this is."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    os.utime(path, ns=(before + 10**9, before + 10**9))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "policies.json"
    write(path, {"alice": allow()})
    return path


@pytest.mark.parametrize("kind", [str, Path])
def test_policies_may_stand_in_a_file(path: Path, kind: Any) -> None:
    site = Site(kind(path))
    assert [site.invoke(key_id=key).status for key in ("AKIDALICE", "AKIDBOB")] == [200, 403]


def test_a_changed_file_is_in_force_at_once(path: Path) -> None:
    site = Site(path)
    write(path, {"alice": [allow(), deny()]})
    assert site.invoke().status == 403
    write(path, {})
    assert site.invoke().status == 403
    write(path, {"alice": allow()})
    assert site.invoke().status == 200


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '{"alice": 7}',
        '{"alice": {"Statement": [{"Effect": "Allow", "Action": "*"}]}}',
        '{"alice": {"Statement": []}, "alice": {}}',
        '{"no name?": []}',
    ],
)
def test_a_slip_in_a_file_leaves_what_it_said_in_force(
    path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    """And one that it begins with keeps the service from starting."""
    site = Site(path)
    write(path, text)
    assert [site.invoke(key_id=key).status for key in ("AKIDALICE", "AKIDBOB")] == [200, 403]
    [told] = [each.getMessage() for each in caplog.records if each.levelname == "ERROR"]
    assert told.startswith(f"policies {str(path)!r}: ")
    assert told.endswith("; what it said before stays in force")
    with pytest.raises(ConfigurationError, match=r"^policies '"):
        Site(path)


def test_a_file_that_is_not_there_keeps_the_service_from_starting(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"^policies '.*': No such file or directory$"):
        Site(tmp_path / "missing.json")


# --- what is refused at the start ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("policies", "texts"),
    [
        pytest.param(7, ["policies=7: it must be a mapping"], id="a number"),
        pytest.param([allow()], ["policies=[", "it must be a mapping"], id="a list"),
        pytest.param({"no name?": allow()}, ["principal='no name?'"], id="nobody's name"),
        pytest.param({"": allow()}, ["principal=''"], id="no name"),
        pytest.param({7: allow()}, ["principal=7"], id="a number for a name"),
        pytest.param({"alice": None}, ["policy 'alice'"], id="no policy"),
        pytest.param({"alice": {"Statement": None}}, ["policy 'alice'", "Statement"], id="None"),
        pytest.param(
            {"alice": allow(Effect="allow")},
            ["policy 'alice'", "statement 1", "Effect='allow'", "'Allow' or 'Deny'"],
            id="effect",
        ),
        pytest.param(
            {"alice": [allow(), allow(Sid="Mine", Action=7)]},
            ["policy 'alice'", "statement 'Mine'", "Action"],
            id="action of a second policy",
        ),
        pytest.param(
            {"alice": allow(Condition={"StringEqual": {"aws:username": "a"}})},
            ["policy 'alice'", "statement 1", "StringEqual"],
            id="operator",
        ),
        pytest.param(
            {"alice": allow(Resouce="*")}, ["policy 'alice'", "statement 1", "Resouce"], id="slip"
        ),
        pytest.param(
            {"alice": allow(Principal="*")},
            ["policy 'alice'", "statement 1", "Principal"],
            id="a function's policy",
        ),
        pytest.param({"alice": '{"Statement": '}, ["policy 'alice'", "JSON"], id="half of JSON"),
    ],
)
def test_a_malformed_policy_keeps_the_service_from_starting(
    policies: Any, texts: list[str]
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Site(policies)
    for text in texts:
        assert text in str(refused.value)


@pytest.mark.parametrize(
    ("policy", "texts"),
    [
        (function_policy({"AWS": "nobody"}), ["function f", "statement 1", "Principal"]),
        (allow(), ["function f", "statement 1", "Principal"]),
        ('{"Statement": ', ["function f", "JSON"]),
        (7, ["function", "f"]),
    ],
)
def test_a_function_with_a_malformed_policy_is_not_registered(
    policy: Any, texts: list[str]
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        make_functions(policy=policy)
    for text in texts:
        assert text in str(refused.value)


def test_policies_without_callers_are_checked_too() -> None:
    """A slip must not wait for the day on which callers are verified."""
    with pytest.raises(ConfigurationError):
        InvokeAsyncMiddleware(None, make_functions(), auth="none", policies={"alice": 7})


def test_settings_do_not_show_policies() -> None:
    """They may be long, and say who there is."""
    assert "alice" not in repr(Site({"alice": allow()}).app.service.settings)
