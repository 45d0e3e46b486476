"""Who may make which control call, what is told first of several faults, and what the log tells."""

from __future__ import annotations

import json
import logging
from itertools import combinations
from typing import Any

import pytest

from invokeasync_wsgi import operations
from invokeasync_wsgi.testing import Answer, Client

from ..control import (
    ACCOUNT,
    ACCOUNT_SETTINGS,
    BOB,
    CODE_SIGNING,
    CONCURRENCY,
    CONFIG,
    FUNCTIONS,
    GET_CONCURRENCY,
    RECURSION,
    RETRY,
    RUNTIME,
    F,
    Refusal,
    alias,
    arn,
    ask,
    config_of,
    denied,
    destination,
    get,
    make_app,
    make_guarded_app,
    outcome,
    permission,
    policy,
    policy_of,
    request_of,
    reserve,
    signed_client,
    tags_of,
    url_of,
)

EVERYTHING = policy("lambda:*")

# --- what must be allowed -------------------------------------------------------------------------

#: Each operation, a call of it under a qualifier where it takes one, and the resource asked about.
ACTIONS = [
    ("ListFunctions", f"GET {FUNCTIONS}", None, "*"),
    ("GetAccountSettings", f"GET {ACCOUNT_SETTINGS}", None, "*"),
    ("GetFunction", f"GET {F}?Qualifier=live", None, arn()),
    ("GetFunctionConfiguration", f"GET {F}/configuration?Qualifier=live", None, arn()),
    ("ListVersionsByFunction", f"GET {F}/versions", None, arn()),
    ("PublishVersion", f"POST {F}/versions", {}, arn()),
    ("CreateAlias", f"POST {F}/aliases", alias(), arn()),
    ("GetAlias", f"GET {F}/aliases/live", None, arn()),
    ("ListAliases", f"GET {F}/aliases", None, arn()),
    ("UpdateAlias", f"PUT {F}/aliases/live", {}, arn()),
    ("DeleteAlias", f"DELETE {F}/aliases/nobody", None, arn()),
    ("PutFunctionConcurrency", f"PUT {CONCURRENCY}", reserve(1), arn()),
    ("GetFunctionConcurrency", f"GET {GET_CONCURRENCY}", None, arn()),
    ("DeleteFunctionConcurrency", f"DELETE {CONCURRENCY}", None, arn()),
    ("PutFunctionEventInvokeConfig", f"PUT {config_of('f', 'live')}", RETRY, arn()),
    ("UpdateFunctionEventInvokeConfig", f"POST {config_of('f', 'live')}", RETRY, arn()),
    ("GetFunctionEventInvokeConfig", f"GET {config_of('f', 'live')}", None, arn()),
    ("DeleteFunctionEventInvokeConfig", f"DELETE {config_of('f:live')}", None, arn()),
    ("ListFunctionEventInvokeConfigs", f"GET {CONFIG}/list", None, arn()),
    ("AddPermission", f"POST {policy_of('f', 'live')}", permission(), arn("f", "live")),
    ("GetPolicy", f"GET {policy_of('f:live')}", None, arn("f", "live")),
    ("RemovePermission", f"DELETE {policy_of()}/s3?Qualifier=1", None, arn("f", "1")),
    ("GetFunctionCodeSigningConfig", f"GET {CODE_SIGNING}", None, arn()),
    ("GetFunctionRecursionConfig", f"GET {RECURSION}", None, arn()),
    ("PutFunctionRecursionConfig", f"PUT {RECURSION}", {"RecursiveLoop": "Allow"}, arn()),
    ("GetRuntimeManagementConfig", f"GET {RUNTIME}?Qualifier=live", None, arn()),
    ("ListTags", f"GET {tags_of(arn())}", None, arn()),
    ("GetFunctionUrlConfig", f"GET {url_of('f', 'live')}", None, arn()),
    ("AddPermission", f"POST {policy_of()}", permission(), arn()),
    ("GetPolicy", f"GET {policy_of()}", None, arn()),
    ("RemovePermission", f"DELETE {policy_of()}/s3", None, arn()),
]


def test_the_table_of_actions_has_every_operation() -> None:
    assert {action for action, *_ in ACTIONS} == {each.name for each in operations.SERVED}


@pytest.mark.parametrize(
    ("action", "request_", "body", "resource"),
    [pytest.param(*row, id=f"{row[0]} {row[3]}") for row in ACTIONS],
)
def test_an_operation_is_allowed_by_its_name_on_its_resource(
    action: str, request_: str, body: object, resource: str
) -> None:
    def asked(**policies: Any) -> Answer:
        return ask(signed_client(make_guarded_app(policies=policies)), request_, body)

    assert asked(alice=policy(f"lambda:{action}", resource)).status != 403
    for policies in (
        {},
        {"alice": policy("lambda:Invoke*")},
        {"alice": policy(f"lambda:{action}", arn("g"))},
        {"alice": policy(f"lambda:{action}x")},
    ):
        denied(
            f"User: arn:aws:iam::{ACCOUNT}:user/alice is not authorized to perform: "
            f"lambda:{action} on resource: {resource} because no identity-based policy allows the "
            f"lambda:{action} action"
        ).check(asked(**policies))


def test_without_policies_callers_may_invoke_and_nothing_else() -> None:
    client = signed_client(make_guarded_app(policies=None))
    assert client.invoke("f", b"{}").status == 200
    for action, request, body, resource in ACTIONS:
        answer = ask(client, request, body)
        assert outcome(answer) == (403, "AccessDeniedException"), action
        assert f"lambda:{action} on resource: {resource} because".encode() in answer.body


def test_an_explicit_denial_wins() -> None:
    policies = [EVERYTHING, policy("lambda:Put*", effect="Deny")]
    client = signed_client(make_guarded_app(policies={"alice": policies}))
    assert ask(client, f"GET {F}").status == 200
    answer = ask(client, f"PUT {CONFIG}", RETRY)
    assert b"with an explicit deny in an identity-based policy" in answer.body


def test_a_stranger_is_told_nothing() -> None:
    client = Client(make_guarded_app(policies=None))
    expected = Refusal(
        403, "MissingAuthenticationTokenException", b'{"message":"Missing Authentication Token"}'
    )
    for _, request, body, _ in ACTIONS:
        expected.check(ask(client, request, body))
    for each in operations.REFUSED:
        expected.check(ask(client, request_of(each)))
    expected.check(ask(client, f"GET {F}/nothing"))


# --- which fault is told --------------------------------------------------------------------------

#: What is wrong with a PutFunctionEventInvokeConfig, and the answer, in the order of the checks.
FAULTS = {
    "no operation": ("AccessDeniedException", "Unable to determine"),
    "too large": ("RequestEntityTooLargeException", "Request must be smaller than"),
    "no JSON": ("InvalidRequestContentException", "Could not parse"),
    "parameter": ("ValidationException", "1 validation error detected"),
    "nothing to set": ("InvalidParameterValueException", "You must specify at least one"),
    "two qualifiers": ("InvalidParameterValueException", "The derived qualifier"),
    "denied": ("AccessDeniedException", "User: "),
    "no function": ("ResourceNotFoundException", "The function doesn't exist."),
    "destination": ("InvalidParameterValueException", "The destination ARN"),
}


@pytest.mark.parametrize(("first", "second"), [*combinations(FAULTS, 2)])
def test_of_two_faults_the_first_is_told(first: str, second: str) -> None:
    faults = {first, second}
    app = make_guarded_app(policies={"alice": EVERYTHING})
    client = signed_client(app, "bob" if "denied" in faults else "alice")
    name = "nobody" if "no function" in faults else "f"
    qualifier = None
    if "two qualifiers" in faults:
        name, qualifier = f"{name}:1", "2"
    if "parameter" in faults:
        name = f"{name}!"
    body: Any = {} if "nothing to set" in faults else RETRY
    if "destination" in faults and body:
        body = destination(arn("unknown"))
    if "no JSON" in faults:
        body = b"{"
    if "too large" in faults:
        body = (body if isinstance(body, bytes) else json.dumps(body).encode()).ljust(65537)
    target = config_of(name, qualifier)
    if "no operation" in faults:
        target = target.replace("event-invoke-config", "event-invoke")
    answer = ask(client, f"PUT {target}", body)
    code, text = FAULTS[first]
    assert answer.headers["x-amzn-errortype"] == code
    assert text.encode() in answer.body


# --- what permissions give ------------------------------------------------------------------------


@pytest.fixture
def alice_and_bob() -> tuple[Client, Client]:
    """Alice may do everything, Bob nothing."""
    app = make_guarded_app(policies={"alice": EVERYTHING, "bob": []})
    return signed_client(app, "alice"), signed_client(app, "bob")


def test_a_permission_lets_a_caller_in_and_its_removal_locks_him_out(
    alice_and_bob: tuple[Client, Client],
) -> None:
    alice, bob = alice_and_bob
    to_bob = permission("bob", BOB)

    def statuses() -> list[int]:
        return [bob.invoke("f", b"1", qualifier=each).status for each in (None, "live", "1", "2")]

    assert statuses() == [403] * 4
    get(alice, f"POST {policy_of('f', 'live')}", to_bob, 201)
    assert statuses() == [403, 200, 403, 403]
    get(alice, f"POST {policy_of()}", to_bob, 201)
    assert statuses() == [200, 200, 403, 403]
    get(alice, f"DELETE {policy_of()}/bob?Qualifier=live", status=204)
    assert statuses() == [200, 403, 403, 403]
    assert bob.invoke_async("f", b"1").status == 202
    get(alice, f"DELETE {policy_of()}/bob", status=204)
    assert statuses() == [403] * 4
    assert bob.invoke_async("f", b"1").status == 403


def test_a_permission_may_be_for_control_calls_too(alice_and_bob: tuple[Client, Client]) -> None:
    alice, bob = alice_and_bob
    assert ask(bob, f"GET {F}").status == 403
    get(alice, f"POST {policy_of()}", permission("bob", BOB, Action="lambda:GetFunction"), 201)
    assert ask(bob, f"GET {F}").status == 200
    assert ask(bob, f"GET {F}/configuration").status == 403


# --- what the log tells ---------------------------------------------------------------------------

LOGGER = "invokeasync_wsgi.control"

#: Changing calls, in an order in which they succeed, and what the log says that each did.
LOGGED: list[tuple[str, object, str]] = [
    (f"POST {F}/versions", {}, "PublishVersion of f"),
    (f"POST {F}/aliases", alias(), "CreateAlias of f"),
    (f"PUT {F}/aliases/new", {"Description": "x"}, "UpdateAlias of f, new"),
    (f"DELETE {F}/aliases/new", None, "DeleteAlias of f, new"),
    (f"PUT {CONCURRENCY}", reserve(1), "PutFunctionConcurrency of f"),
    (f"DELETE {CONCURRENCY}", None, "DeleteFunctionConcurrency of f"),
    (f"PUT {CONFIG}", RETRY, "PutFunctionEventInvokeConfig of f"),
    (
        f"POST {config_of('f:$LATEST')}",
        {"MaximumEventAgeInSeconds": 60},
        "UpdateFunctionEventInvokeConfig of f:$LATEST",
    ),
    (f"DELETE {config_of(arn())}", None, f"DeleteFunctionEventInvokeConfig of {arn()}"),
    (f"POST {policy_of('f', 'live')}", permission(), "AddPermission of f"),
    (f"DELETE {policy_of('f:live')}/s3", None, "RemovePermission of f:live, s3"),
    (f"PUT {RECURSION}", {"RecursiveLoop": "Allow"}, "PutFunctionRecursionConfig of f"),
]


def test_the_table_of_logged_calls_has_every_one_that_changes_something() -> None:
    changing = {each.name for each in operations.SERVED if each.method != "GET"}
    assert {text.partition(" ")[0] for _, _, text in LOGGED} == changing


@pytest.mark.parametrize("principal", ["alice", "anybody"])
def test_who_changed_what_is_logged(caplog: pytest.LogCaptureFixture, principal: str) -> None:
    """With the name of the function as it was given."""
    if principal == "alice":
        client = signed_client(make_guarded_app(policies={"alice": EVERYTHING}))
    else:
        client = Client(make_app())
    caplog.clear()
    for request, body, text in LOGGED:
        with caplog.at_level(logging.INFO):
            answer = ask(client, request, body)
        assert answer.status in (200, 201, 204), request
        told = f"request {answer.headers['x-amzn-requestid']}: {text} by {principal}"
        assert caplog.record_tuples == [(LOGGER, logging.INFO, told)]
        caplog.clear()


def test_calls_that_change_nothing_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    client = Client(make_app())
    ask(client, f"POST {F}/versions", {})
    with caplog.at_level(logging.INFO):
        assert ask(client, f"POST {F}/versions", {}).status == 201
        assert ask(client, f"DELETE {CONCURRENCY}").status == 204
        assert ask(client, f"DELETE {F}/aliases/nobody").status == 204
    assert LOGGER not in {record.name for record in caplog.records}


def test_calls_that_read_or_are_denied_are_not_logged_as_changes(
    caplog: pytest.LogCaptureFixture, alice_and_bob: tuple[Client, Client]
) -> None:
    alice, bob = alice_and_bob
    with caplog.at_level(logging.INFO):
        for action, request, body, _ in ACTIONS:
            assert ask(bob, request, body).status == 403, action
            if request.startswith("GET "):
                assert ask(alice, request).status in (200, 404), action
    assert LOGGER not in {record.name for record in caplog.records}
