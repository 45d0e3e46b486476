"""policy.py: who may invoke what."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NoReturn

import pytest

from invokeasync_wsgi import policy
from invokeasync_wsgi.errors import ConfigurationError
from invokeasync_wsgi.policy import Access, Decision, Policy, Principal

REGION = "us-east-1"
OWN = "123456789012"
OTHER = "210987654321"
FUNCTIONS = f"arn:aws:lambda:{REGION}:{OWN}:function:"
F = f"{FUNCTIONS}f"

NO_IDENTITY = "because no identity-based policy allows the lambda:InvokeFunction action"
NO_RESOURCE = "because no resource-based policy allows the lambda:InvokeFunction action"
IDENTITY_DENIES = "with an explicit deny in an identity-based policy"
RESOURCE_DENIES = "with an explicit deny in a resource-based policy"
BY_IDENTITY = "allowed by statement 1 of identity-based policy 'alice'"
BY_RESOURCE = "allowed by statement 1 of resource-based policy 'f'"
BY_BOTH = f"{BY_IDENTITY} and statement 1 of resource-based policy 'f'"

USER = f"arn:aws:iam::{OWN}:user/alice"
BOB = f"arn:aws:iam::{OWN}:user/bob"
ROLES = f"arn:aws:iam::{OWN}:role/"
ALICE = Principal("alice")
EVE = Principal(f"arn:aws:iam::{OTHER}:user/eve")
ROOT = Principal(f"arn:aws:iam::{OWN}:root")
SESSION = Principal(f"arn:aws:sts::{OWN}:assumed-role/worker/session-1")
S3 = Principal("s3.amazonaws.com", "Service")

Document = dict[str, Any]


def allow(**elements: Any) -> Document:
    """A statement that allows what is asked, but for what ``elements`` say."""
    for name in ("Action", "Resource", "Principal"):
        if f"Not{name}" in elements:
            elements[name] = None
    statement = {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": "*", **elements}
    return {name: value for name, value in statement.items() if value is not None}


def deny(**elements: Any) -> Document:
    return allow(Effect="Deny", **elements)


def to(**principal: Any) -> Document:
    """A statement of a function's policy that allows somebody."""
    return allow(Principal=principal)


def not_to(**principal: Any) -> Document:
    return deny(Principal=principal)


def but_to(effect: str = "Deny", **principal: Any) -> Document:
    """A statement about all but somebody."""
    return allow(Effect=effect, NotPrincipal=principal)


def identity(*statements: Document, version: str = "2012-10-17") -> Policy:
    document = {"Version": version, "Statement": list(statements)}
    return Policy.parse(document, name="alice", kind="identity")


def on_function(*statements: Document) -> Policy:
    """A resource-based policy; its statements mean everybody where they do not say whom."""
    document = {
        "Version": "2012-10-17",
        "Statement": [
            each if "NotPrincipal" in each else {"Principal": "*", **each} for each in statements
        ],
    }
    return Policy.parse(document, name="f", kind="resource")


def access(
    principal: Principal = ALICE,
    resource: str = F,
    context: Mapping[str, str | Sequence[str]] = MappingProxyType({}),
) -> Access:
    return Access(
        action="lambda:InvokeFunction",
        resource=resource,
        account_id=OWN,
        principal=principal,
        principal_arn=principal.arn(REGION, OWN),
        context=lambda: context,
    )


def is_allowed(asked: Access, *statements: Document, version: str = "2012-10-17") -> bool:
    return policy.decide(asked, [identity(*statements, version=version)], []).allowed


# --- what decides -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("principal", "of_identity", "of_resource", "reason"),
    [
        pytest.param(ALICE, [], [], NO_IDENTITY, id="own account: nothing said"),
        pytest.param(ALICE, [allow()], [], BY_IDENTITY, id="own account: identity"),
        pytest.param(ALICE, [], [allow()], BY_RESOURCE, id="own account: resource, everybody"),
        pytest.param(ALICE, [], [to(AWS=USER)], BY_RESOURCE, id="own account: resource, by itself"),
        pytest.param(
            ALICE,
            [],
            [to(AWS=ROOT.name)],
            NO_IDENTITY,
            id="own account: the root's ARN leaves it to the account's policies",
        ),
        pytest.param(
            ALICE,
            [],
            [to(AWS=OWN)],
            NO_IDENTITY,
            id="own account: the account's number leaves it to the account's policies",
        ),
        pytest.param(
            ALICE,
            [allow()],
            [to(AWS=OWN)],
            BY_IDENTITY,
            id="own account: the account's policies allow it",
        ),
        pytest.param(ALICE, [allow()], [allow()], BY_IDENTITY, id="own account: both"),
        pytest.param(
            ALICE,
            [allow()],
            [to(AWS=OTHER)],
            BY_IDENTITY,
            id="own account: identity, while the resource allows others",
        ),
        pytest.param(
            ALICE,
            [],
            [to(AWS=OTHER)],
            NO_IDENTITY,
            id="own account: the resource allows others only",
        ),
        pytest.param(
            ALICE,
            [allow(Action="lambda:GetFunction")],
            [],
            NO_IDENTITY,
            id="own account: identity allows something else",
        ),
        pytest.param(ALICE, [deny()], [], IDENTITY_DENIES, id="own account: denied, not allowed"),
        pytest.param(
            ALICE, [allow(), deny()], [], IDENTITY_DENIES, id="own account: identity denies"
        ),
        pytest.param(ALICE, [deny(), allow()], [], IDENTITY_DENIES, id="own account: in any order"),
        pytest.param(
            ALICE, [deny()], [allow()], IDENTITY_DENIES, id="own account: identity denies resource"
        ),
        pytest.param(
            ALICE, [allow()], [deny()], RESOURCE_DENIES, id="own account: resource denies identity"
        ),
        pytest.param(
            ALICE, [], [allow(), deny()], RESOURCE_DENIES, id="own account: resource denies itself"
        ),
        pytest.param(
            ALICE, [deny()], [deny()], IDENTITY_DENIES, id="own account: identity is told of first"
        ),
        pytest.param(
            ALICE,
            [allow()],
            [not_to(AWS=OWN)],
            RESOURCE_DENIES,
            id="own account: the whole account is denied",
        ),
        pytest.param(
            ALICE,
            [allow()],
            [not_to(AWS=BOB)],
            BY_IDENTITY,
            id="own account: somebody else is denied",
        ),
        pytest.param(
            ALICE,
            [allow(), deny(Resource=f"{FUNCTIONS}g")],
            [],
            BY_IDENTITY,
            id="own account: something else is denied",
        ),
        pytest.param(EVE, [], [], NO_IDENTITY, id="other account: nothing said"),
        pytest.param(EVE, [allow()], [], NO_RESOURCE, id="other account: identity alone"),
        pytest.param(EVE, [], [allow()], NO_IDENTITY, id="other account: resource alone"),
        pytest.param(EVE, [allow()], [allow()], BY_BOTH, id="other account: both"),
        pytest.param(
            EVE,
            [allow()],
            [to(AWS=OTHER)],
            BY_BOTH,
            id="other account: both, by the account's number",
        ),
        pytest.param(
            EVE,
            [allow()],
            [to(AWS=f"arn:aws:iam::{OTHER}:root")],
            BY_BOTH,
            id="other account: both, by the root's ARN",
        ),
        pytest.param(
            EVE, [allow()], [to(AWS=EVE.name)], BY_BOTH, id="other account: both, by itself"
        ),
        pytest.param(
            EVE,
            [],
            [to(AWS=f"arn:aws:iam::{OTHER}:root")],
            NO_IDENTITY,
            id="other account: its account is let in, but does not let it",
        ),
        pytest.param(
            EVE,
            [allow()],
            [to(AWS=OWN)],
            NO_RESOURCE,
            id="other account: the resource allows its own account",
        ),
        pytest.param(
            EVE,
            [allow()],
            [allow(), not_to(AWS=OTHER)],
            RESOURCE_DENIES,
            id="other account: the whole account is denied",
        ),
        pytest.param(
            EVE, [deny()], [allow()], IDENTITY_DENIES, id="other account: identity denies"
        ),
        pytest.param(S3, [], [], NO_RESOURCE, id="service: nothing said"),
        pytest.param(
            S3, [], [to(Service="s3.amazonaws.com")], BY_RESOURCE, id="service: by its name"
        ),
        pytest.param(
            S3,
            [],
            [to(Service=["sns.amazonaws.com", "s3.amazonaws.com"])],
            BY_RESOURCE,
            id="service: among others",
        ),
        pytest.param(S3, [], [allow()], BY_RESOURCE, id="service: as everybody"),
        pytest.param(
            S3,
            [],
            [to(Service="sns.amazonaws.com")],
            NO_RESOURCE,
            id="service: another one is allowed",
        ),
        pytest.param(S3, [], [to(AWS=OWN)], NO_RESOURCE, id="service: it is of no account"),
        pytest.param(S3, [allow()], [], NO_RESOURCE, id="service: identity allows nothing"),
        pytest.param(
            S3,
            [],
            [allow(), not_to(Service="s3.amazonaws.com")],
            RESOURCE_DENIES,
            id="service: denied",
        ),
        pytest.param(
            Principal("sns.amazonaws.com"),
            [],
            [to(Service="sns.amazonaws.com")],
            NO_IDENTITY,
            id="a user with a service's name is no service",
        ),
        pytest.param(
            S3,
            [],
            [allow(Principal={"Federated": "s3.amazonaws.com", "CanonicalUser": "79a5"})],
            NO_RESOURCE,
            id="federated and canonical users never call",
        ),
        pytest.param(ALICE, [], [to(AWS="*")], BY_RESOURCE, id="every AWS principal is everybody"),
        pytest.param(
            ALICE,
            [],
            [allow(Principal={"Service": "s3.amazonaws.com", "AWS": [OTHER, "*"]})],
            BY_RESOURCE,
            id="everybody among others",
        ),
        pytest.param(
            ALICE,
            [],
            [to(AWS=f"arn:aws:iam::{OWN}:user/Alice")],
            NO_IDENTITY,
            id="names of principals differ by case",
        ),
        pytest.param(ROOT, [], [to(AWS=OWN)], BY_RESOURCE, id="the root user is its account"),
        pytest.param(
            SESSION, [], [to(AWS=f"{ROLES}worker")], BY_RESOURCE, id="session: by its role"
        ),
        pytest.param(
            SESSION,
            [],
            [to(AWS=f"{ROLES}a/path/worker")],
            BY_RESOURCE,
            id="session: by its role, whose path its ARN does not tell",
        ),
        pytest.param(SESSION, [], [to(AWS=SESSION.name)], BY_RESOURCE, id="session: by itself"),
        pytest.param(
            SESSION,
            [],
            [to(AWS=f"arn:aws:sts::{OWN}:assumed-role/worker/session-2")],
            NO_IDENTITY,
            id="session: another one of its role",
        ),
        pytest.param(
            SESSION,
            [],
            [to(AWS=f"arn:aws:iam::{OTHER}:role/worker")],
            NO_IDENTITY,
            id="session: a role of that name in another account",
        ),
        pytest.param(
            SESSION,
            [],
            [to(AWS=f"arn:aws:iam::{OWN}:user/worker")],
            NO_IDENTITY,
            id="session: a user of that name",
        ),
        pytest.param(
            SESSION,
            [allow()],
            [not_to(AWS=f"{ROLES}worker")],
            RESOURCE_DENIES,
            id="session: its role is denied",
        ),
        pytest.param(
            Principal(f"{ROLES}worker"),
            [],
            [to(AWS=f"{ROLES}a/path/worker")],
            NO_IDENTITY,
            id="a role is another one with another path",
        ),
        pytest.param(
            ALICE, [allow()], [but_to(AWS=USER)], BY_IDENTITY, id="all but the caller are denied"
        ),
        pytest.param(
            ALICE,
            [allow()],
            [but_to(AWS=BOB)],
            RESOURCE_DENIES,
            id="all but somebody else are denied",
        ),
        pytest.param(
            ALICE,
            [allow()],
            [but_to(AWS=[BOB, OWN])],
            RESOURCE_DENIES,
            id="all but somebody else are denied, the rest of the account too",
        ),
        pytest.param(
            ALICE,
            [],
            [but_to("Allow", AWS=BOB)],
            BY_RESOURCE,
            id="all but somebody else are allowed",
        ),
        pytest.param(
            ALICE,
            [],
            [but_to("Allow", AWS=OWN)],
            NO_IDENTITY,
            id="all but the caller's account are allowed",
        ),
        pytest.param(
            ALICE, [], [allow(NotPrincipal="*")], NO_IDENTITY, id="all but everybody are allowed"
        ),
        pytest.param(
            S3,
            [],
            [allow(), but_to(Service="s3.amazonaws.com")],
            BY_RESOURCE,
            id="all but the service are denied",
        ),
    ],
)
def test_who_is_allowed_and_why(
    principal: Principal,
    of_identity: list[Document],
    of_resource: list[Document],
    reason: str,
) -> None:
    decision = policy.decide(
        access(principal),
        [identity(*of_identity)] if of_identity else [],
        [on_function(*of_resource)] if of_resource else [],
    )
    assert decision == Decision(reason.startswith("allowed"), reason)


@pytest.mark.parametrize(
    ("name", "statement"),
    [
        pytest.param(f"{FUNCTIONS}root", to(AWS=OWN), id="a root"),
        pytest.param(
            f"arn:aws:iam::{OWN}:assumed-role/worker/1", to(AWS=f"{ROLES}worker"), id="a session"
        ),
    ],
)
def test_an_arn_that_looks_like_something_else_is_not_taken_for_it(
    name: str, statement: Document
) -> None:
    decision = policy.decide(access(Principal(name)), [], [on_function(statement)])
    assert decision.reason == NO_IDENTITY


def test_without_conditions_nobody_looks_at_the_condition_keys() -> None:
    """They cost more than the rest of a decision."""

    def untouchable() -> NoReturn:
        raise AssertionError

    conditional = allow(Action="s3:*", Condition={"Bool": {"aws:SecureTransport": "true"}})
    asked = access()._replace(context=untouchable)
    assert is_allowed(asked, conditional, allow())
    with pytest.raises(AssertionError):
        is_allowed(asked, {**conditional, "Action": "*"})


def test_several_policies_are_one() -> None:
    allowing, denying = identity(allow()), identity(deny())
    assert policy.decide(access(), [allowing, denying], []).reason == IDENTITY_DENIES
    assert policy.decide(access(), [identity(allow(Action="s3:*")), allowing], []).allowed


def test_a_policy_for_callers_says_nothing_among_those_of_a_function() -> None:
    assert policy.decide(access(), [], [identity(allow())]).reason == NO_IDENTITY
    assert policy.decide(access(), [identity(allow())], [identity(deny())]).allowed


def test_the_reason_names_a_statement_by_its_sid() -> None:
    statements = [allow(Action="s3:*"), allow(Sid="CallF")]
    decision = policy.decide(access(), [identity(*statements)], [])
    assert decision.reason == "allowed by statement 'CallF' of identity-based policy 'alice'"


def test_a_refused_caller_is_told_in_awss_words() -> None:
    asked = access()
    assert policy.denied_message(asked, policy.decide(asked, [], [])) == (
        "User: arn:aws:iam::123456789012:user/alice is not authorized to perform: "
        "lambda:InvokeFunction on resource: "
        "arn:aws:lambda:us-east-1:123456789012:function:f because no identity-based policy allows "
        "the lambda:InvokeFunction action"
    )


# --- actions and resources --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        pytest.param({"Action": "*"}, True, id="every action"),
        pytest.param({"Action": "lambda:*"}, True, id="every action of the service"),
        pytest.param({"Action": "lambda:Invoke*"}, True, id="*, at the end"),
        pytest.param({"Action": "lambda:*Function"}, True, id="*, at the start"),
        pytest.param({"Action": "lambda:I*e*F*n"}, True, id="*, many times"),
        pytest.param({"Action": "lambda:InvokeFunction*"}, True, id="*, for nothing"),
        pytest.param({"Action": "lambda:Invoke?unction"}, True, id="?, one character"),
        pytest.param({"Action": "lambda:InvokeFunction?"}, False, id="?, for nothing"),
        pytest.param({"Action": "lambda:Invok?Function"}, True, id="?, the right number"),
        pytest.param({"Action": "lambda:Inv?Function"}, False, id="?, too few"),
        pytest.param({"Action": "LAMBDA:invokeFUNCTION"}, True, id="action in another case"),
        pytest.param({"Action": "Lambda:INVOKE*"}, True, id="pattern in another case"),
        pytest.param({"Action": "lambda:Invoke"}, False, id="start of the action"),
        pytest.param({"Action": "lambda:InvokeAsync"}, False, id="the action that grants nothing"),
        pytest.param({"Action": "s3:*"}, False, id="another service"),
        pytest.param({"Action": ["s3:*", "lambda:InvokeFunction"]}, True, id="one of several"),
        pytest.param({"Action": ["s3:*", "sqs:*"]}, False, id="none of several"),
        pytest.param({"NotAction": "s3:*"}, True, id="all but another service's"),
        pytest.param({"NotAction": "lambda:invoke*"}, False, id="all but this"),
        pytest.param({"NotAction": ["s3:*", "lambda:*"]}, False, id="all but several"),
        pytest.param({"NotAction": "*"}, False, id="all but all"),
        pytest.param({"Resource": "*"}, True, id="every resource"),
        pytest.param({"Resource": "arn:*"}, True, id="every ARN"),
        pytest.param({"Resource": F}, True, id="the function"),
        pytest.param({"Resource": f"{FUNCTIONS}F"}, False, id="the function in another case"),
        pytest.param({"Resource": f"{FUNCTIONS}?"}, True, id="?, a function of one character"),
        pytest.param({"Resource": f"{FUNCTIONS}f?"}, False, id="?, of two"),
        pytest.param({"Resource": f"{FUNCTIONS}*f"}, True, id="*, for nothing before"),
        pytest.param({"Resource": f"arn:aws:lambda:*:{OWN}:function:f"}, True, id="any region"),
        pytest.param({"Resource": "arn:aws:lambda:*:f"}, True, id="* over colons"),
        pytest.param({"Resource": "arn:aws:lambda:*:g"}, False, id="* over colons, another end"),
        pytest.param({"Resource": f"{FUNCTIONS}.*"}, False, id="a dot is a dot"),
        pytest.param({"Resource": f"{FUNCTIONS}[f]"}, False, id="brackets are brackets"),
        pytest.param({"Resource": [f"{FUNCTIONS}g", F]}, True, id="one of several functions"),
        pytest.param({"NotResource": F}, False, id="all but the function"),
        pytest.param({"NotResource": f"{FUNCTIONS}g"}, True, id="all but another function"),
        pytest.param({"NotResource": [f"{FUNCTIONS}g", "arn:*:f"]}, False, id="all but these"),
        pytest.param({"Action": "s3:*", "Resource": F}, False, id="resource without action"),
        pytest.param(
            {"Action": "lambda:*", "Resource": f"{FUNCTIONS}g"}, False, id="action without resource"
        ),
    ],
)
def test_a_statement_covers_actions_and_resources(elements: dict[str, Any], expected: bool) -> None:
    assert is_allowed(access(), allow(**elements)) is expected
    assert is_allowed(access(), allow(), deny(**elements)) is not expected


@pytest.mark.parametrize(
    ("pattern", "asked", "expected"),
    [
        pytest.param("f", "f", True, id="plain: unqualified"),
        pytest.param("f", "f:1", False, id="plain: a version"),
        pytest.param("f", "f:live", False, id="plain: an alias"),
        pytest.param("f", "f:$LATEST", False, id="plain: $LATEST by name"),
        pytest.param("f:1", "f:1", True, id="one version: that"),
        pytest.param("f:1", "f:2", False, id="one version: another"),
        pytest.param("f:1", "f:10", False, id="one version: one that starts alike"),
        pytest.param("f:1", "f", False, id="one version: unqualified"),
        pytest.param("f:live", "f:live", True, id="one alias: that"),
        pytest.param("f:live", "f:Live", False, id="one alias: in another case"),
        pytest.param("f:$LATEST", "f:$LATEST", True, id="$LATEST: by name"),
        pytest.param("f:$LATEST", "f", False, id="$LATEST: unqualified"),
        pytest.param("f:*", "f:1", True, id="any qualifier: a version"),
        pytest.param("f:*", "f:live", True, id="any qualifier: an alias"),
        pytest.param("f:*", "f:$LATEST", True, id="any qualifier: $LATEST"),
        pytest.param("f:*", "f", False, id="any qualifier: unqualified"),
        pytest.param("f:*", "fg:1", False, id="any qualifier: another function"),
        pytest.param("f*", "f", True, id="prefix: unqualified"),
        pytest.param("f*", "f:1", True, id="prefix: a version"),
        pytest.param("f*", "fg", True, id="prefix: another function that starts alike"),
        pytest.param("f*", "fg:live", True, id="prefix: another function's alias"),
        pytest.param("f*", "g", False, id="prefix: another function"),
    ],
)
def test_a_qualifier_that_is_asked_for_must_be_allowed(
    pattern: str, asked: str, expected: bool
) -> None:
    """The table of Lambda's "Using resource-based policies" and what follows from it."""
    asked_for = access(resource=FUNCTIONS + asked)
    assert is_allowed(asked_for, allow(Resource=FUNCTIONS + pattern)) is expected


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        pytest.param("*a*a*a*a*b", "a" * 200, id="short"),
        pytest.param("*a*a*a*a*b" * 20, "a" * 60_000, id="many stars, long text"),
        pytest.param("*a?a*a?a*?b" * 20, "a" * 60_000, id="stars and question marks"),
        pytest.param("*" * 5000 + "b", "a" * 60_000, id="stars in a row"),
        pytest.param("*?" * 100 + "b", "a" * 60_000, id="stars and question marks in turn"),
        pytest.param("*${aws:referer}*${aws:referer}*b", "a" * 2000, id="the text itself, twice"),
    ],
)
def test_no_text_makes_a_pattern_slow(pattern: str, text: str) -> None:
    """A matcher that goes back to an earlier star would not come to an end."""
    condition = {"StringLike": {"aws:UserAgent": pattern}}
    asked = access(context={"aws:useragent": text, "aws:referer": "a" * 1000})
    assert not is_allowed(asked, allow(Condition=condition))


# --- conditions -------------------------------------------------------------------------------

NOON = "2026-01-31T12:00:00Z"
NOON_S = "1769860800"
ARN = "arn:aws:s3:::bucket"

#: The operator, the policy's value or values, the context's (`None`: the key is absent), and
#: whether the condition holds.
CONDITIONS = [
    pytest.param("StringEquals", "a", "a", True, id="StringEquals: same"),
    pytest.param("StringEquals", "a", "b", False, id="StringEquals: other"),
    pytest.param("StringEquals", "a", "A", False, id="StringEquals: other case"),
    pytest.param("StringEquals", ["a", "b"], "b", True, id="StringEquals: one of several"),
    pytest.param("StringEquals", ["a", "b"], "c", False, id="StringEquals: none of several"),
    pytest.param("StringEquals", "a*", "a*", True, id="StringEquals: a star is a star"),
    pytest.param("StringEquals", "a*", "ab", False, id="StringEquals: and no wildcard"),
    pytest.param("StringEquals", "", "", True, id="StringEquals: empty"),
    pytest.param("StringEquals", "a", None, False, id="StringEquals: absent"),
    pytest.param("StringEquals", 7, "7", True, id="StringEquals: a number is its text"),
    pytest.param("StringEquals", True, "true", True, id="StringEquals: a flag is its text"),
    pytest.param("StringEquals", "a", ["b", "a"], True, id="StringEquals: of several values"),
    pytest.param("StringEquals", "a", [], False, id="StringEquals: of no values"),
    pytest.param("StringEqualsIfExists", "a", "a", True, id="StringEqualsIfExists: same"),
    pytest.param("StringEqualsIfExists", "a", "b", False, id="StringEqualsIfExists: other"),
    pytest.param("StringEqualsIfExists", "a", None, True, id="StringEqualsIfExists: absent"),
    pytest.param("StringNotEquals", "a", "b", True, id="StringNotEquals: other"),
    pytest.param("StringNotEquals", "a", "a", False, id="StringNotEquals: same"),
    pytest.param("StringNotEquals", ["a", "b"], "b", False, id="StringNotEquals: one of several"),
    pytest.param("StringNotEquals", ["a", "b"], "c", True, id="StringNotEquals: none of several"),
    pytest.param("StringNotEquals", "a", None, True, id="StringNotEquals: absent"),
    pytest.param("StringNotEquals", "a", ["b", "a"], False, id="StringNotEquals: of several"),
    pytest.param("StringNotEqualsIfExists", "a", None, True, id="StringNotEqualsIfExists: absent"),
    pytest.param("StringEqualsIgnoreCase", "Straße", "STRASSE", True, id="IgnoreCase: same"),
    pytest.param("StringEqualsIgnoreCase", "a", "b", False, id="IgnoreCase: other"),
    pytest.param("StringEqualsIgnoreCase", "a", None, False, id="IgnoreCase: absent"),
    pytest.param("StringNotEqualsIgnoreCase", "a", "A", False, id="NotIgnoreCase: same"),
    pytest.param("StringNotEqualsIgnoreCase", "a", "b", True, id="NotIgnoreCase: other"),
    pytest.param("StringNotEqualsIgnoreCase", "a", None, True, id="NotIgnoreCase: absent"),
    pytest.param("StringLike", "a*c?", "abbcd", True, id="StringLike: matches"),
    pytest.param("StringLike", "*a*ab", "aab", True, id="StringLike: matches where it first can"),
    pytest.param("StringLike", "a*c?", "abbc", False, id="StringLike: does not match"),
    pytest.param("StringLike", "a*", "A", False, id="StringLike: other case"),
    pytest.param("StringLike", "*b", "a\nb", True, id="StringLike: over lines"),
    pytest.param("StringLike", "a", "a\n", False, id="StringLike: to the end"),
    pytest.param("StringLike", "*", "", True, id="StringLike: empty"),
    pytest.param("StringLike", "*", None, False, id="StringLike: absent"),
    pytest.param("StringNotLike", "a*", "b", True, id="StringNotLike: does not match"),
    pytest.param("StringNotLike", ["b", "a*"], "ab", False, id="StringNotLike: matches one"),
    pytest.param("StringNotLike", "a*", None, True, id="StringNotLike: absent"),
    pytest.param("NumericEquals", "10", "10.0", True, id="NumericEquals: same"),
    pytest.param("NumericEquals", 10, "10", True, id="NumericEquals: a number"),
    pytest.param("NumericEquals", 2.5, "2.50", True, id="NumericEquals: a fraction"),
    pytest.param("NumericEquals", 1e20, "1e20", True, id="NumericEquals: an exponent"),
    pytest.param("NumericEquals", "10", "11", False, id="NumericEquals: other"),
    pytest.param("NumericEquals", "10", "ten", False, id="NumericEquals: no number"),
    pytest.param("NumericEquals", "10", "1_0", False, id="NumericEquals: Python's number"),
    pytest.param("NumericEquals", "10", "9" * 5000, False, id="NumericEquals: a huge number"),
    pytest.param("NumericEquals", 2**53, str(2**53 + 1), False, id="NumericEquals: exact"),
    pytest.param("NumericEquals", "10", None, False, id="NumericEquals: absent"),
    pytest.param("NumericNotEquals", "10", "11", True, id="NumericNotEquals: other"),
    pytest.param("NumericNotEquals", "10", "1e1", False, id="NumericNotEquals: same"),
    pytest.param("NumericNotEquals", "10", "ten", True, id="NumericNotEquals: no number"),
    pytest.param("NumericNotEquals", "10", None, True, id="NumericNotEquals: absent"),
    pytest.param("NumericLessThan", "10", "9.9", True, id="NumericLessThan: less"),
    pytest.param("NumericLessThan", "10", "10", False, id="NumericLessThan: same"),
    pytest.param("NumericLessThan", "10", "nan", False, id="NumericLessThan: no number"),
    pytest.param("NumericLessThan", "10", None, False, id="NumericLessThan: absent"),
    pytest.param("NumericLessThanIfExists", "10", None, True, id="NumericLessThanIfExists: absent"),
    pytest.param("NumericLessThanEquals", "10", "10", True, id="NumericLessThanEquals: same"),
    pytest.param("NumericLessThanEquals", "10", "11", False, id="NumericLessThanEquals: more"),
    pytest.param("NumericGreaterThan", "-10", "-9", True, id="NumericGreaterThan: more"),
    pytest.param("NumericGreaterThan", "10", "10", False, id="NumericGreaterThan: same"),
    pytest.param("NumericGreaterThan", ["10", "5"], "7", True, id="NumericGreaterThan: than one"),
    pytest.param("NumericGreaterThanEquals", "10", "10", True, id="NumericGreaterEquals: same"),
    pytest.param("NumericGreaterThanEquals", "10", "9", False, id="NumericGreaterEquals: less"),
    pytest.param("DateEquals", NOON, "2026-01-31T13:30:00+01:30", True, id="DateEquals: same"),
    pytest.param("DateEquals", NOON, NOON_S, True, id="DateEquals: in seconds"),
    pytest.param("DateEquals", int(NOON_S), NOON, True, id="DateEquals: seconds in the policy"),
    pytest.param("DateEquals", NOON, "2026-01-31T12:00Z", True, id="DateEquals: without seconds"),
    pytest.param("DateEquals", NOON, "2026-01-31T12:00:00.001Z", False, id="DateEquals: fraction"),
    pytest.param("DateEquals", "2026-01-31", "2026-01-31T00:00:00Z", True, id="DateEquals: a day"),
    pytest.param("DateEquals", NOON, "noon", False, id="DateEquals: no date"),
    pytest.param("DateEquals", NOON, "2026-01-31T12:00:00", False, id="DateEquals: no zone"),
    pytest.param("DateEquals", NOON, "2026-02-30T12:00:00Z", False, id="DateEquals: no such day"),
    pytest.param("DateEquals", NOON, None, False, id="DateEquals: absent"),
    pytest.param("DateNotEquals", NOON, "2026-01-31T12:00:01Z", True, id="DateNotEquals: other"),
    pytest.param("DateNotEquals", NOON, NOON_S, False, id="DateNotEquals: same"),
    pytest.param("DateNotEquals", NOON, None, True, id="DateNotEquals: absent"),
    pytest.param("DateLessThan", NOON, "2026-01-31T11:59:59Z", True, id="DateLessThan: before"),
    pytest.param("DateLessThan", NOON, NOON, False, id="DateLessThan: same"),
    pytest.param("DateLessThan", NOON, "0001-01-01T00:00:00+14:00", True, id="DateLessThan: first"),
    pytest.param("DateLessThan", NOON, "0000-01-01T00:00:00Z", False, id="DateLessThan: year 0"),
    pytest.param("DateLessThanEquals", NOON, NOON, True, id="DateLessThanEquals: same"),
    pytest.param("DateLessThanEquals", NOON, "2027-01-01", False, id="DateLessThanEquals: after"),
    pytest.param("DateGreaterThan", NOON, "2027-01-01", True, id="DateGreaterThan: after"),
    pytest.param("DateGreaterThan", NOON, NOON, False, id="DateGreaterThan: same"),
    pytest.param("DateGreaterThanEquals", NOON, NOON, True, id="DateGreaterThanEquals: same"),
    pytest.param("DateGreaterThanEquals", NOON, "soon", False, id="DateGreaterThanEquals: no date"),
    pytest.param("DateGreaterThanIfExists", NOON, None, True, id="DateGreaterIfExists: absent"),
    pytest.param("Bool", "true", "true", True, id="Bool: same"),
    pytest.param("Bool", True, "true", True, id="Bool: a flag"),
    pytest.param("Bool", "TRUE", "True", True, id="Bool: other case"),
    pytest.param("Bool", "true", "false", False, id="Bool: other"),
    pytest.param("Bool", False, "false", True, id="Bool: false is false"),
    pytest.param("Bool", "false", "no", False, id="Bool: no flag"),
    pytest.param("Bool", "false", None, False, id="Bool: absent is not false"),
    pytest.param("BoolIfExists", "false", None, True, id="BoolIfExists: absent"),
    pytest.param("BinaryEquals", "QmluYXJ5", "QmluYXJ5", True, id="BinaryEquals: same"),
    pytest.param("BinaryEquals", "QmluYXJ5", "Qmlu", False, id="BinaryEquals: other"),
    pytest.param("BinaryEquals", "QmluYXJ5", "Qml*", False, id="BinaryEquals: no base64"),
    pytest.param("BinaryEquals", "QmluYXJ5", "é", False, id="BinaryEquals: not even ASCII"),
    pytest.param("BinaryEquals", "QmluYXJ5", None, False, id="BinaryEquals: absent"),
    pytest.param("IpAddress", "192.0.2.0/24", "192.0.2.7", True, id="IpAddress: in the network"),
    pytest.param("IpAddress", "192.0.2.0/24", "192.0.3.7", False, id="IpAddress: outside"),
    pytest.param("IpAddress", "192.0.2.9/24", "192.0.2.7", True, id="IpAddress: bits of a host"),
    pytest.param("IpAddress", "192.0.2.7", "192.0.2.7", True, id="IpAddress: one address"),
    pytest.param("IpAddress", "192.0.2.7", "192.0.2.8", False, id="IpAddress: another address"),
    pytest.param("IpAddress", "0.0.0.0/0", "203.0.113.1", True, id="IpAddress: everywhere"),
    pytest.param("IpAddress", ["10.0.0.0/8", "::1"], "::1", True, id="IpAddress: one of several"),
    pytest.param("IpAddress", "2001:db8::/32", "2001:DB8::7", True, id="IpAddress: IPv6"),
    pytest.param("IpAddress", "2001:db8::/32", "2001:db9::7", False, id="IpAddress: IPv6, outside"),
    pytest.param("IpAddress", "fe80::/10", "fe80::1%eth0", True, id="IpAddress: IPv6, scope"),
    pytest.param("IpAddress", "192.0.2.0/24", "::ffff:192.0.2.7", True, id="IpAddress: mapped"),
    pytest.param(
        "IpAddress", "::ffff:192.0.2.0/120", "192.0.2.7", True, id="IpAddress: mapped network"
    ),
    pytest.param("IpAddress", "::/0", "192.0.2.7", False, id="IpAddress: IPv4 is no IPv6"),
    pytest.param("IpAddress", "0.0.0.0/0", "2001:db8::7", False, id="IpAddress: nor is IPv6 IPv4"),
    pytest.param("IpAddress", "10.0.0.0/8", "010.0.0.1", False, id="IpAddress: octal"),
    pytest.param("IpAddress", "10.0.0.0/8", "10.0.0.0/8", False, id="IpAddress: no address"),
    pytest.param("IpAddress", "10.0.0.0/8", "unknown", False, id="IpAddress: nonsense"),
    pytest.param("IpAddress", "10.0.0.0/8", None, False, id="IpAddress: absent"),
    pytest.param("IpAddressIfExists", "10.0.0.0/8", None, True, id="IpAddressIfExists: absent"),
    pytest.param("NotIpAddress", "10.0.0.0/8", "192.0.2.7", True, id="NotIpAddress: outside"),
    pytest.param("NotIpAddress", "10.0.0.0/8", "10.1.1.1", False, id="NotIpAddress: inside"),
    pytest.param(
        "NotIpAddress", ["10.0.0.0/8", "192.0.2.0/24"], "192.0.2.7", False, id="NotIpAddress: one"
    ),
    pytest.param("NotIpAddress", "10.0.0.0/8", "unknown", True, id="NotIpAddress: nonsense"),
    pytest.param("NotIpAddress", "10.0.0.0/8", None, True, id="NotIpAddress: absent"),
    pytest.param("ArnLike", "arn:aws:s3:::b*t", ARN, True, id="ArnLike: wildcard"),
    pytest.param("ArnLike", "arn:*:s3:*:*:bucket", ARN, True, id="ArnLike: wildcards for parts"),
    pytest.param("ArnLike", "arn:*:s3:::buck", ARN, False, id="ArnLike: other"),
    pytest.param("ArnLike", "arn:aws:s3:::Bucket", ARN, False, id="ArnLike: other case"),
    pytest.param(
        "ArnLike",
        "arn:aws:sns:*:1:t",
        "arn:aws:sns:us-east-1:2:1:t",
        False,
        id="ArnLike: no * over the parts' colons",
    ),
    pytest.param(
        "ArnLike",
        "arn:aws:lambda:us-east-1:1:function:*",
        "arn:aws:lambda:us-east-1:1:function:f:live",
        True,
        id="ArnLike: over colons of the resource",
    ),
    pytest.param(
        "ArnLike", "arn:aws:s3:?::bucket", ARN, False, id="ArnLike: ? is one character of a part"
    ),
    pytest.param("ArnLike", "arn:*:*:*:*:*", "no ARN", False, id="ArnLike: no ARN"),
    pytest.param("ArnLike", "arn:*:*:*:*:*", "a:b:c:d:e:f", False, id="ArnLike: nearly an ARN"),
    pytest.param("ArnLike", "arn:*:*:*:*:*", None, False, id="ArnLike: absent"),
    pytest.param("ArnEquals", ARN, ARN, True, id="ArnEquals: same"),
    pytest.param("ArnEquals", "arn:aws:s3:::*", ARN, True, id="ArnEquals: wildcards too"),
    pytest.param("ArnEquals", "arn:aws:s3:::other", ARN, False, id="ArnEquals: other"),
    pytest.param("ArnEqualsIfExists", ARN, None, True, id="ArnEqualsIfExists: absent"),
    pytest.param("ArnNotEquals", ARN, ARN, False, id="ArnNotEquals: same"),
    pytest.param("ArnNotEquals", ARN, "arn:aws:s3:::other", True, id="ArnNotEquals: other"),
    pytest.param("ArnNotLike", "arn:aws:s3:::b*", ARN, False, id="ArnNotLike: matches"),
    pytest.param("ArnNotLike", "arn:aws:s3:::c*", ARN, True, id="ArnNotLike: does not match"),
    pytest.param("ArnNotLike", "arn:aws:s3:::b*", "no ARN", True, id="ArnNotLike: no ARN"),
    pytest.param("ArnNotLike", "arn:aws:s3:::b*", None, True, id="ArnNotLike: absent"),
    pytest.param("Null", "true", None, True, id="Null: absent, as asked"),
    pytest.param("Null", True, "a", False, id="Null: present, against what is asked"),
    pytest.param("Null", "false", "a", True, id="Null: present, as asked"),
    pytest.param("Null", False, None, False, id="Null: absent, against what is asked"),
    pytest.param("Null", "true", [], True, id="Null: no values are absent"),
    pytest.param("Null", "false", "", True, id="Null: an empty value is there"),
    pytest.param("ForAllValues:StringEquals", ["a", "b"], ["a"], True, id="ForAll: a part"),
    pytest.param("ForAllValues:StringEquals", ["a", "b"], ["b", "a"], True, id="ForAll: all"),
    pytest.param("ForAllValues:StringEquals", ["a", "b"], ["a", "c"], False, id="ForAll: one more"),
    pytest.param("ForAllValues:StringEquals", "a", "a", True, id="ForAll: a single value"),
    pytest.param("ForAllValues:StringEquals", "a", None, True, id="ForAll: absent"),
    pytest.param("ForAllValues:StringEquals", "a", [], True, id="ForAll: no values"),
    pytest.param("ForAllValues:StringEquals", "a", "", True, id="ForAll: an empty value is none"),
    pytest.param("ForAllValues:StringLike", "a*", ["ab", "ac"], True, id="ForAll: wildcards"),
    pytest.param("ForAllValues:StringNotLike", "a*", ["b", "c"], True, id="ForAllNot: no match"),
    pytest.param("ForAllValues:StringNotLike", "a*", ["b", "ac"], False, id="ForAllNot: a match"),
    pytest.param("ForAllValues:StringNotLike", "a*", None, True, id="ForAllNot: absent"),
    pytest.param("ForAnyValue:StringEquals", ["a", "b"], ["c", "b"], True, id="ForAny: one"),
    pytest.param("ForAnyValue:StringEquals", ["a", "b"], ["c", "d"], False, id="ForAny: none"),
    pytest.param("ForAnyValue:StringEquals", "a", None, False, id="ForAny: absent"),
    pytest.param("ForAnyValue:StringEquals", "a", [], False, id="ForAny: no values"),
    pytest.param("ForAnyValue:StringNotEquals", "a", ["a", "b"], True, id="ForAnyNot: one other"),
    pytest.param("ForAnyValue:StringNotEquals", "a", ["a", "a"], False, id="ForAnyNot: all same"),
    pytest.param("ForAnyValue:StringNotEquals", "a", None, False, id="ForAnyNot: absent"),
    pytest.param("ForAnyValue:StringEqualsIfExists", "a", None, False, id="ForAnyIfExists: absent"),
    pytest.param("ForAllValues:IpAddressIfExists", "::1", None, True, id="ForAllIfExists: absent"),
    pytest.param(
        "ForAnyValue:ArnLike", "arn:aws:s3:::*", ["no ARN", ARN], True, id="ForAny: of ARNs"
    ),
    pytest.param(
        "ForAllValues:NumericLessThan", "10", ["1", "many"], False, id="ForAll: one is no number"
    ),
]


@pytest.mark.parametrize(("operator", "value", "given", "holds"), CONDITIONS)
def test_a_condition_holds(
    operator: str, value: object, given: str | list[str] | None, holds: bool
) -> None:
    condition = {operator: {"test:Key": value}}
    asked = access(context={} if given is None else {"test:key": given})
    assert is_allowed(asked, allow(Condition=condition)) is holds
    assert is_allowed(asked, allow(), deny(Condition=condition)) is not holds


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        pytest.param({"StringEquals": {"test:a": "1", "test:b": "2"}}, True, id="two keys hold"),
        pytest.param({"StringEquals": {"test:a": "1", "test:b": "3"}}, False, id="one key fails"),
        pytest.param(
            {"StringEquals": {"test:a": "1"}, "NumericLessThan": {"test:b": "3"}},
            True,
            id="two operators hold",
        ),
        pytest.param(
            {"StringEquals": {"test:a": "1"}, "NumericLessThan": {"test:b": "2"}},
            False,
            id="one operator fails",
        ),
        pytest.param({"StringEquals": {"TEST:A": "1"}}, True, id="keys in another case"),
        pytest.param(
            {"StringEquals": {"aws:PrincipalTag/cost center": "7"}}, False, id="keys with spaces"
        ),
    ],
)
def test_every_condition_must_hold(condition: Document, expected: bool) -> None:
    asked = access(context={"test:a": "1", "test:b": "2"})
    assert is_allowed(asked, allow(Condition=condition)) is expected


@pytest.mark.parametrize(
    ("principal", "keys"),
    [
        pytest.param(
            ALICE,
            {
                "aws:PrincipalArn": f"arn:aws:iam::{OWN}:user/alice",
                "aws:PrincipalAccount": OWN,
                "aws:PrincipalType": "User",
                "aws:username": "alice",
                "aws:PrincipalIsAWSService": "false",
                "aws:PrincipalServiceName": None,
            },
            id="a user",
        ),
        pytest.param(
            Principal("division/alice", tags={"Team": "red"}),
            {
                "aws:PrincipalArn": f"arn:aws:iam::{OWN}:user/division/alice",
                "aws:username": "alice",
                "aws:PrincipalTag/Team": "red",
                "aws:PrincipalTag/team": "red",
                "aws:PrincipalTag/role": None,
            },
            id="a user with a path and a tag",
        ),
        pytest.param(
            ROOT,
            {
                "aws:PrincipalArn": f"arn:aws:iam::{OWN}:root",
                "aws:PrincipalType": "Account",
                "aws:username": None,
            },
            id="an account's root",
        ),
        pytest.param(
            SESSION,
            {
                "aws:PrincipalArn": f"arn:aws:iam::{OWN}:role/worker",
                "aws:PrincipalAccount": OWN,
                "aws:PrincipalType": "AssumedRole",
                "aws:username": None,
            },
            id="a session of a role",
        ),
        pytest.param(
            Principal(f"arn:aws:iam::{OWN}:role/path/worker"),
            {
                "aws:PrincipalArn": f"arn:aws:iam::{OWN}:role/path/worker",
                "aws:PrincipalType": "AssumedRole",
            },
            id="a role",
        ),
        pytest.param(
            Principal(f"arn:aws:sts::{OWN}:federated-user/carol"),
            {"aws:PrincipalType": "FederatedUser", "aws:username": None},
            id="a federated user",
        ),
        pytest.param(
            Principal(f"arn:aws:lambda:{REGION}:{OWN}:function:f"),
            {"aws:PrincipalArn": F, "aws:PrincipalAccount": OWN, "aws:PrincipalType": None},
            id="an ARN of no kind of principal",
        ),
        pytest.param(
            Principal(f"arn:aws:quicksight:{REGION}:{OWN}:user/default/alice"),
            {"aws:PrincipalType": None, "aws:username": None},
            id="a user of another service",
        ),
        pytest.param(
            Principal("carol", context={"aws:PrincipalOrgID": "o-1", "test:Groups": ("a", "b")}),
            {"aws:principalorgid": "o-1", "test:groups": "b"},
            id="keys that an authenticator vouches for",
        ),
        pytest.param(
            Principal(
                "carol",
                context={
                    "aws:username": "alice",
                    "aws:PrincipalArn": "arn:aws:iam::1:user/root",
                    "aws:SourceIp": "127.0.0.1",
                },
            ),
            {
                "aws:username": "carol",
                "aws:PrincipalArn": f"arn:aws:iam::{OWN}:user/carol",
                "aws:SourceIp": "192.0.2.7",
            },
            id="keys that an authenticator cannot change",
        ),
    ],
)
def test_conditions_know_who_calls(principal: Principal, keys: dict[str, str | None]) -> None:
    asked = access(principal, context={"aws:sourceip": "192.0.2.7"})
    for key, value in keys.items():
        operator = "Null" if value is None else "StringEquals"
        condition = {operator: {key: "true" if value is None else value}}
        assert is_allowed(asked, allow(Condition=condition)), key


def test_conditions_know_that_a_service_calls() -> None:
    condition = {
        "StringEquals": {"aws:PrincipalServiceName": "s3.amazonaws.com", "aws:SourceAccount": OWN},
        "Bool": {"aws:PrincipalIsAWSService": "true"},
        "Null": {"aws:PrincipalArn": "true", "aws:PrincipalType": "true"},
        "ArnLike": {"AWS:SourceArn": "arn:aws:s3:::bucket"},
    }
    statement = allow(Principal={"Service": "s3.amazonaws.com"}, Condition=condition)
    bucket = Principal(
        "s3.amazonaws.com",
        "Service",
        context={"aws:SourceAccount": OWN, "aws:SourceArn": "arn:aws:s3:::bucket"},
    )
    assert policy.decide(access(bucket), [], [on_function(statement)]).reason == BY_RESOURCE
    assert policy.decide(access(S3), [], [on_function(statement)]).reason == NO_RESOURCE


# --- policy variables -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "asked", "expected"),
    [
        pytest.param("${aws:username}-*", "alice-f", True, id="the caller's"),
        pytest.param("${aws:username}-*", "bob-f", False, id="somebody else's"),
        pytest.param("${AWS:UserName}-f", "alice-f", True, id="in another case"),
        pytest.param("${aws:PrincipalTag/team}-f", "red-f", True, id="a tag"),
        pytest.param("${aws:username}-${aws:username}", "alice-alice", True, id="twice"),
        pytest.param("${test:none}", "", False, id="unknown: nothing matches"),
        pytest.param("*${test:none}*", "f", False, id="unknown: not even with stars"),
        pytest.param("${test:none, 'f'}", "f", True, id="unknown: the default"),
        pytest.param("${test:none,'f'}", "f", True, id="unknown: the default, without a space"),
        pytest.param("${test:none, '*'}", "f", False, id="a default's star is a star"),
        pytest.param("${test:none, ''}f", "f", True, id="an empty default"),
        pytest.param("${aws:username, 'f'}", "f", False, id="known: no default"),
        pytest.param("${test:empty}f", "f", False, id="empty: as unknown"),
        pytest.param("${test:empty, 'f'}", "f", True, id="empty: the default"),
        pytest.param("${test:several, 'f'}", "f", False, id="several values: none is meant"),
        pytest.param("${test:one}", "f", True, id="a list of one value"),
        pytest.param("${test:star}", "f", False, id="a value's star is no wildcard"),
        pytest.param("${test:star}", "*?", True, id="a value's star is a star"),
        pytest.param("${*}", "*", True, id="${*} is a star"),
        pytest.param("${*}", "f", False, id="${*} is no wildcard"),
        pytest.param("${?}", "?", True, id="${?} is a question mark"),
        pytest.param("${?}", "f", False, id="${?} is no wildcard"),
        pytest.param("${$}{aws:username}", "${aws:username}", True, id="${$} is a dollar"),
        pytest.param("f:$LATEST", "f:$LATEST", True, id="a dollar alone is a dollar"),
    ],
)
def test_a_resource_may_hold_variables(pattern: str, asked: str, expected: bool) -> None:
    asked_for = access(
        Principal("alice", tags={"team": "red"}),
        FUNCTIONS + asked,
        {"test:empty": "", "test:several": ("f", "g"), "test:one": ["f"], "test:star": "*?"},
    )
    assert is_allowed(asked_for, allow(Resource=FUNCTIONS + pattern)) is expected
    assert is_allowed(asked_for, allow(), deny(Resource=FUNCTIONS + pattern)) is not expected


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        pytest.param([allow(NotResource="arn:${aws:username}")], True, id="allowed but for one"),
        pytest.param([allow(NotResource="arn:*:${test:f}")], False, id="allowed but for this"),
        pytest.param(
            [allow(NotResource="arn:${test:none}")], False, id="allowed but for what is unknown"
        ),
        pytest.param(
            [allow(), deny(NotResource="arn:${test:none}")],
            False,
            id="denied but for what is unknown",
        ),
        pytest.param(
            [allow(), deny(NotResource=["arn:${test:none}", F])],
            True,
            id="denied but for what is unknown and this",
        ),
        pytest.param(
            [allow(Resource=["arn:${test:none}", F])], True, id="what is unknown, and this"
        ),
    ],
)
def test_what_is_unknown_is_neither_allowed_nor_spared(
    statements: list[Document], expected: bool
) -> None:
    asked = access(context={"test:f": "f"})
    assert is_allowed(asked, *statements) is expected


@pytest.mark.parametrize(
    ("operator", "value", "given", "holds"),
    [
        pytest.param("StringEquals", "${aws:username}", "alice", True, id="same"),
        pytest.param("StringEquals", "${aws:username}", "bob", False, id="other"),
        pytest.param("StringEquals", "${test:none}", "", False, id="unknown"),
        pytest.param("StringEquals", ["${test:none}", "b"], "b", True, id="unknown, and another"),
        pytest.param("StringNotEquals", "${test:none}", "a", True, id="unknown, negated"),
        pytest.param("StringEquals", "a${*}", "a*", True, id="literal"),
        pytest.param("StringLike", "${aws:username}*", "alice-1", True, id="with a wildcard"),
        pytest.param("StringLike", "${test:star}", "a", False, id="value with a star"),
        pytest.param("StringLike", "a${*}", "ab", False, id="literal among wildcards"),
        pytest.param("StringEqualsIgnoreCase", "${aws:username}", "ALICE", True, id="any case"),
        pytest.param("ArnLike", "${test:arn}", "arn:aws:s3:::b", True, id="a whole ARN"),
        pytest.param("ArnLike", "arn:aws:s3:::${test:b}*", "arn:aws:s3:::bc", True, id="a part"),
        pytest.param("ArnLike", "${test:b}", "arn:aws:s3:::b", False, id="no ARN at all"),
        pytest.param("NumericLessThan", "${test:seven}", "6", True, id="a number"),
        pytest.param("NumericLessThan", "${test:b}", "6", False, id="no number"),
        pytest.param("NumericNotEquals", "${test:b}", "6", True, id="no number, negated"),
        pytest.param("IpAddress", "${test:net}", "192.0.2.7", True, id="a network"),
        pytest.param("IpAddress", "${test:b}", "192.0.2.7", False, id="no network"),
        pytest.param("Null", "${test:flag}", "a", True, id="whether it is there"),
        pytest.param("ForAllValues:StringEquals", "${test:b}", ["b"], True, id="of a set"),
    ],
)
def test_a_condition_may_hold_variables(
    operator: str, value: object, given: str | list[str], holds: bool
) -> None:
    context: dict[str, str | Sequence[str]] = {
        "test:key": given,
        "test:star": "*",
        "test:arn": "arn:aws:s3:::b",
        "test:b": "b",
        "test:seven": "7",
        "test:net": "192.0.2.0/24",
        "test:flag": "false",
    }
    condition = {operator: {"test:Key": value}}
    assert is_allowed(access(context=context), allow(Condition=condition)) is holds


def test_the_older_version_has_no_variables() -> None:
    statement = allow(
        Resource=f"{FUNCTIONS}${{aws:username}}-*",
        Condition={"StringEquals": {"test:key": "${no variable"}},
    )
    context = {"test:key": "${no variable"}
    literal = access(resource=f"{FUNCTIONS}${{aws:username}}-f", context=context)
    assert is_allowed(literal, statement, version="2008-10-17")
    resolved = access(resource=f"{FUNCTIONS}alice-f", context=context)
    assert not is_allowed(resolved, statement, version="2008-10-17")


def test_no_version_means_the_older() -> None:
    document = {"Statement": allow(Resource=f"{FUNCTIONS}${{aws:username}}")}
    parsed = Policy.parse(document, name="alice", kind="identity")
    assert not policy.decide(access(resource=f"{FUNCTIONS}alice"), [parsed], []).allowed


# --- documents --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({"Statement": allow()}, id="one statement"),
        pytest.param({"Statement": [allow()]}, id="a list"),
        pytest.param({"Statement": (allow(),)}, id="a tuple"),
        pytest.param(MappingProxyType({"Statement": [MappingProxyType(allow())]}), id="mappings"),
        pytest.param(json.dumps({"Statement": allow()}), id="JSON"),
        pytest.param(json.dumps({"Statement": allow()}).encode(), id="JSON in bytes"),
        pytest.param({"Version": "2008-10-17", "Id": "", "Statement": allow()}, id="Version, Id"),
        pytest.param({"Statement": [allow(Sid=""), allow(Sid="")]}, id="empty Sids"),
    ],
)
def test_a_document_is_json_or_what_it_means(document: Any) -> None:
    parsed = Policy.parse(document, name="alice", kind="identity")
    assert policy.decide(access(), [parsed], []).allowed


def test_a_policy_shows_its_name_and_size() -> None:
    assert repr(identity(allow())) == "<Policy 'alice': 1 statement>"
    assert repr(identity(allow(), deny(), deny())) == "<Policy 'alice': 3 statements>"


def test_what_lambda_stores_can_be_read() -> None:
    """As recorded of AddPermission, and read back with GetPolicy."""
    recorded = """
    {"Version":"2012-10-17","Id":"default","Statement":[
      {"Sid":"s3","Effect":"Allow","Principal":{"Service":"s3.amazonaws.com"},
       "Action":"lambda:InvokeFunction",
       "Resource":"arn:aws:lambda:us-east-1:123456789012:function:f",
       "Condition":{"ArnLike":{"AWS:SourceArn":"arn:aws:s3:::b"}}},
      {"Sid":"org","Effect":"Allow","Principal":"*","Action":"lambda:InvokeFunction",
       "Resource":"arn:aws:lambda:us-east-1:123456789012:function:f",
       "Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}}]}
    """
    parsed = Policy.parse(recorded, name="f", kind="resource")
    event = Principal("s3.amazonaws.com", "Service", context={"aws:SourceArn": "arn:aws:s3:::b"})
    member = Principal("bob", context={"aws:PrincipalOrgID": "o-1"})
    assert policy.decide(access(event), [], [parsed]).allowed
    assert policy.decide(access(member), [], [parsed]).allowed
    assert not policy.decide(access(S3), [], [parsed]).allowed
    assert not policy.decide(access(ALICE), [], [parsed]).allowed


def conditions(operator: str, key: str, value: object) -> Document:
    return allow(Condition={operator: {key: value}})


AN_ACTION = "'*', or a service and an action with wildcards, such as 'lambda:Invoke*'"
AN_ARN = "'*', or an ARN with wildcards, such as 'arn:aws:lambda:*:*:function:f*'"
VARIABLES = "without '${', but for ${key}, ${key, 'default'}, ${*}, ${?} and ${$}"
NETWORK = "an IP address or a network, such as '192.0.2.0/24'"
DATE = "a date such as '2026-01-31T12:00:00Z', or seconds since 1970"


@pytest.mark.parametrize(
    ("document", "text"),
    [
        pytest.param("{", "it must be JSON: Expecting property name enclosed in", id="no JSON"),
        pytest.param(b"\xff\xfe\xff", "it must be JSON: 'utf-16", id="no text"),
        pytest.param(
            '{"Statement": [], "Statement": []}',
            "it must be JSON: an object has two members 'Statement'",
            id="a member twice",
        ),
        pytest.param(
            '{"Statement": {"Effect": NaN}}', "it must be JSON: NaN is no number", id="NaN"
        ),
        pytest.param("[" * 100_000, "it must be JSON: ", id="nested without end"),
        pytest.param("[]", "document=[]: it must be an object", id="a list"),
        pytest.param("null", "document=None: it must be an object", id="null"),
        pytest.param(7, "document=7: it must be an object", id="a number"),
        pytest.param({1: 2}, "document={1: 2}: it must be an object", id="a member without a name"),
        pytest.param(
            {"Statements": []},
            "there is no element 'Statements'; did you mean 'Statement'?",
            id="an unknown element",
        ),
        pytest.param(
            {"Version": "2012-10-18", "Statement": allow()},
            "Version='2012-10-18': it must be '2012-10-17' or '2008-10-17'",
            id="an unknown version",
        ),
        pytest.param(
            {"Version": ["2012-10-17"], "Statement": allow()},
            "Version=['2012-10-17']: it must be '2012-10-17' or '2008-10-17'",
            id="a list of versions",
        ),
        pytest.param(
            {"Id": 7, "Statement": allow()}, "Id=7: it must be a string", id="an Id of no text"
        ),
        pytest.param(
            {}, "Statement=None: it must be an object, or a list of one or more", id="empty"
        ),
        pytest.param(
            {"Statement": []},
            "Statement=[]: it must be an object, or a list of one or more",
            id="no statements",
        ),
        pytest.param(
            {"Statement": [allow(), "Allow"]},
            "statement 2: Statement='Allow': it must be an object",
            id="a statement of text",
        ),
        pytest.param(
            {"Statement": allow(Actoin="*")},
            "statement 1: there is no element 'Actoin'; did you mean 'Action'?",
            id="an unknown element of a statement",
        ),
        pytest.param(
            {"Statement": [allow(Sid="a"), allow(), allow(Sid="a")]},
            "statement 3: Sid='a': it must be a string that no other statement has",
            id="a Sid twice",
        ),
        pytest.param(
            {"Statement": allow(Sid=7)},
            "statement 1: Sid=7: it must be a string that no other statement has",
            id="a Sid of no text",
        ),
        pytest.param(
            {"Statement": allow(Effect="allow", Sid="a")},
            "statement 'a': Effect='allow': it must be 'Allow' or 'Deny'",
            id="an effect in another case",
        ),
        pytest.param(
            {"Statement": allow(Effect=None)},
            "statement 1: Effect=None: it must be 'Allow' or 'Deny'",
            id="no effect",
        ),
        pytest.param(
            {"Statement": allow(Action=None)},
            "statement 1: it must have Action or NotAction; it has neither",
            id="no action",
        ),
        pytest.param(
            {"Statement": {**allow(), "NotAction": "s3:*"}},
            "statement 1: it must have Action or NotAction; it has both",
            id="two actions",
        ),
        pytest.param(
            {"Statement": allow(Action="InvokeFunction")},
            f"statement 1: Action='InvokeFunction': it must be {AN_ACTION}",
            id="an action without a service",
        ),
        pytest.param(
            {"Statement": allow(Action="*:*")},
            f"statement 1: Action='*:*': it must be {AN_ACTION}",
            id="a wildcard for the service",
        ),
        pytest.param(
            {"Statement": allow(Action=[])},
            "statement 1: Action=[]: it must be a string, or a list of one or more",
            id="a list of no actions",
        ),
        pytest.param(
            {"Statement": allow(NotAction=["s3:*", 7])},
            f"statement 1: NotAction=7: it must be {AN_ACTION}",
            id="an action of no text",
        ),
        pytest.param(
            {"Statement": allow(Action="lambda:${aws:username}")},
            f"statement 1: Action='lambda:${{aws:username}}': it must be {AN_ACTION}",
            id="a variable in an action",
        ),
        pytest.param(
            {"Statement": allow(Resource=None)},
            "statement 1: it must have Resource or NotResource; it has neither",
            id="no resource",
        ),
        pytest.param(
            {"Statement": allow(Resource="f")},
            f"statement 1: Resource='f': it must be {AN_ARN}",
            id="a resource without an ARN",
        ),
        pytest.param(
            {"Statement": allow(Resource={"a": "b"})},
            "statement 1: Resource={'a': 'b'}: it must be a string, or a list of one or more",
            id="a resource of no text",
        ),
        pytest.param(
            {"Statement": allow(Resource="arn:${aws:username")},
            f"statement 1: Resource='arn:${{aws:username': it must be {VARIABLES}",
            id="a variable without an end",
        ),
        pytest.param(
            {"Statement": allow(Resource="arn:${username}")},
            f"statement 1: Resource='arn:${{username}}': it must be {VARIABLES}",
            id="a variable without a prefix",
        ),
        pytest.param(
            {"Statement": allow(Resource="arn:${}")},
            f"statement 1: Resource='arn:${{}}': it must be {VARIABLES}",
            id="a variable without a name",
        ),
        pytest.param(
            {"Statement": allow(Resource="arn:${ aws:username }")},
            f"statement 1: Resource='arn:${{ aws:username }}': it must be {VARIABLES}",
            id="a variable with spaces",
        ),
        pytest.param(
            {"Statement": conditions("StringEquals", "test:key", "${aws:username, default}")},
            "statement 1: Condition.StringEquals.test:key='${aws:username, default}': "
            f"it must be {VARIABLES}",
            id="a default without quotes",
        ),
        pytest.param(
            {"Statement": allow(Principal="*")},
            "statement 1: there is no Principal in an identity-based policy: it is about those "
            "who have it",
            id="a principal",
        ),
        pytest.param(
            {"Statement": allow(Condition=[])},
            "statement 1: Condition=[]: it must be an object",
            id="a list of conditions",
        ),
        pytest.param(
            {"Statement": allow(Condition={})},
            "statement 1: Condition={}: it must be an object with one member or more",
            id="no conditions",
        ),
        pytest.param(
            {"Statement": allow(Condition={"Bool": {}})},
            "statement 1: Condition.Bool={}: it must be an object with one member or more",
            id="no keys",
        ),
        pytest.param(
            {"Statement": allow(Condition={"Bool": "true"})},
            "statement 1: Condition.Bool='true': it must be an object",
            id="an operator without a key",
        ),
        pytest.param(
            {"Statement": conditions("StringEqual", "test:key", "a")},
            "statement 1: there is no condition operator 'StringEqual'; "
            "did you mean 'StringEquals'?",
            id="an unknown operator",
        ),
        pytest.param(
            {"Statement": conditions("stringEquals", "test:key", "a")},
            "statement 1: there is no condition operator 'stringEquals'; "
            "did you mean 'StringEquals'?",
            id="an operator in another case",
        ),
        pytest.param(
            {"Statement": conditions("ForAnyValues:StringLike", "test:key", "a")},
            "statement 1: there is no condition operator 'ForAnyValues:StringLike'; there are: "
            "ArnEquals, ",
            id="an unknown set operator",
        ),
        pytest.param(
            {"Statement": conditions("NullIfExists", "test:key", "true")},
            "statement 1: Condition='NullIfExists': it must be 'Null', which asks for presence "
            "itself",
            id="NullIfExists",
        ),
        pytest.param(
            {"Statement": conditions("ForAnyValue:Null", "test:key", "true")},
            "statement 1: Condition='ForAnyValue:Null': it must be 'Null', which asks for presence "
            "itself",
            id="ForAnyValue:Null",
        ),
        pytest.param(
            {"Statement": conditions("Bool", "SecureTransport", "true")},
            "statement 1: Condition.Bool='SecureTransport': it must be a condition key, such as "
            "'aws:SourceIp'",
            id="a key without a prefix",
        ),
        pytest.param(
            {"Statement": allow(Condition={"StringLike": {"test:key": "a", "Test:Key": "b"}})},
            "statement 1: Condition.StringLike='Test:Key': it must be there once, however it is "
            "written",
            id="a key in two cases",
        ),
        pytest.param(
            {"Statement": conditions("StringLike", "test:key", [])},
            "statement 1: Condition.StringLike.test:key=[]: it must be one value or more",
            id="no values",
        ),
        pytest.param(
            {"Statement": conditions("StringLike", "test:key", ["a", None])},
            "statement 1: Condition.StringLike.test:key=None: it must be a string, a number, "
            "true or false, or a list of them",
            id="a value of null",
        ),
        pytest.param(
            {"Statement": conditions("StringLike", "test:key", float("nan"))},
            "statement 1: Condition.StringLike.test:key=nan: it must be a string, a number, "
            "true or false, or a list of them",
            id="a value of no number",
        ),
        pytest.param(
            {"Statement": conditions("NumericEquals", "test:key", "abc")},
            "statement 1: Condition.NumericEquals.test:key='abc': it must be a number",
            id="no number",
        ),
        pytest.param(
            {"Statement": conditions("NumericEquals", "test:key", True)},
            "statement 1: Condition.NumericEquals.test:key='true': it must be a number",
            id="a flag for a number",
        ),
        pytest.param(
            {"Statement": conditions("DateLessThan", "test:key", ["2026-01-31", "soon"])},
            f"statement 1: Condition.DateLessThan.test:key='soon': it must be {DATE}",
            id="no date",
        ),
        pytest.param(
            {"Statement": conditions("DateLessThan", "test:key", "2026")},
            f"statement 1: Condition.DateLessThan.test:key='2026': it must be {DATE}",
            id="a year, or a moment in 1970",
        ),
        pytest.param(
            {"Statement": conditions("Bool", "test:key", "yes")},
            "statement 1: Condition.Bool.test:key='yes': it must be true or false",
            id="no flag",
        ),
        pytest.param(
            {"Statement": conditions("Null", "test:key", "null")},
            "statement 1: Condition.Null.test:key='null': it must be true or false",
            id="no answer to whether it is absent",
        ),
        pytest.param(
            {"Statement": conditions("BinaryEquals", "test:key", "%")},
            "statement 1: Condition.BinaryEquals.test:key='%': it must be base64",
            id="no base64",
        ),
        pytest.param(
            {"Statement": conditions("IpAddress", "test:key", "300.1.1.1/8")},
            f"statement 1: Condition.IpAddress.test:key='300.1.1.1/8': it must be {NETWORK}",
            id="no address",
        ),
        pytest.param(
            {"Statement": conditions("IpAddress", "test:key", "10.0.0.0/255.0.0.0")},
            f"statement 1: Condition.IpAddress.test:key='10.0.0.0/255.0.0.0': it must be {NETWORK}",
            id="a network with a mask",
        ),
        pytest.param(
            {"Statement": conditions("NotIpAddress", "test:key", "::/129")},
            f"statement 1: Condition.NotIpAddress.test:key='::/129': it must be {NETWORK}",
            id="a network of too many bits",
        ),
        pytest.param(
            {"Statement": conditions("ArnLike", "test:key", "*")},
            "statement 1: Condition.ArnLike.test:key='*': it must be an ARN of six parts, with "
            "wildcards in them",
            id="no ARN",
        ),
        pytest.param(
            {"Statement": conditions("ArnNotEquals", "test:key", "arn:aws:s3:*")},
            "statement 1: Condition.ArnNotEquals.test:key='arn:aws:s3:*': it must be an ARN of six "
            "parts, with wildcards in them",
            id="an ARN of too few parts",
        ),
        pytest.param(
            {"Statement": conditions("ArnLike", "test:key", "*:*:*:*:*:*")},
            "statement 1: Condition.ArnLike.test:key='*:*:*:*:*:*': it must be an ARN of six "
            "parts, with wildcards in them",
            id="six parts of no ARN",
        ),
    ],
)
def test_a_malformed_document_is_refused(document: Any, text: str) -> None:
    if isinstance(document, dict) and isinstance(document.get("Statement"), dict):
        document = {"Version": "2012-10-17", **document}
    with pytest.raises(ConfigurationError, match=f"^policy 'alice': {re.escape(text)}") as caught:
        Policy.parse(document, name="alice", kind="identity")
    if not text.endswith((" ", ",", "in", "'utf-16")):
        assert str(caught.value) == f"policy 'alice': {text}"


A_PRINCIPAL = (
    "'*', an account, or the ARN of a user, a role, a session or an account's root, "
    "without wildcards"
)


@pytest.mark.parametrize(
    ("elements", "text"),
    [
        pytest.param({}, "it must have Principal or NotPrincipal; it has neither", id="none"),
        pytest.param(
            {"Principal": "*", "NotPrincipal": "*"},
            "it must have Principal or NotPrincipal; it has both",
            id="two",
        ),
        pytest.param(
            {"Principal": OWN},
            f"Principal='{OWN}': it must be '*', or an object such as {{'AWS': '123456789012'}}",
            id="an account without its kind",
        ),
        pytest.param(
            {"Principal": {}},
            "Principal={}: it must be an object with one member or more",
            id="of no kind",
        ),
        pytest.param(
            {"Principal": {"Aws": "*"}},
            "there is no kind of principal 'Aws'; there are: AWS, CanonicalUser, Federated, "
            "Service",
            id="of an unknown kind",
        ),
        pytest.param(
            {"Principal": {"AWS": []}},
            "Principal.AWS=[]: it must be a string, or a list of one or more",
            id="nobody",
        ),
        pytest.param(
            {"Principal": {"AWS": "alice"}},
            f"Principal.AWS='alice': it must be {A_PRINCIPAL}",
            id="a name",
        ),
        pytest.param(
            {"Principal": {"AWS": "12345678901"}},
            f"Principal.AWS='12345678901': it must be {A_PRINCIPAL}",
            id="an account of 11 digits",
        ),
        pytest.param(
            {"NotPrincipal": {"AWS": f"arn:aws:iam::{OWN}:user/*"}},
            f"NotPrincipal.AWS='arn:aws:iam::{OWN}:user/*': it must be {A_PRINCIPAL}",
            id="a wildcard in an ARN",
        ),
        pytest.param(
            {"Principal": {"AWS": F}},
            f"Principal.AWS='{F}': it must be {A_PRINCIPAL}",
            id="an ARN of something else",
        ),
        pytest.param(
            {"Principal": {"Service": "*"}},
            "Principal.Service='*': it must be a service's name, such as 's3.amazonaws.com'",
            id="every service",
        ),
        pytest.param(
            {"Principal": {"Federated": 7}},
            "Principal.Federated=7: it must be a string, or a list of one or more",
            id="a federated user of no text",
        ),
    ],
)
def test_malformed_principals_are_refused(elements: Document, text: str) -> None:
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*", **elements}
    with pytest.raises(ConfigurationError) as caught:
        Policy.parse({"Statement": statement}, name="f", kind="resource")
    assert str(caught.value) == f"policy 'f': statement 1: {text}"


def test_an_error_shows_a_part_of_a_value_that_is_too_much_to_show() -> None:
    nested: Any = []
    for _ in range(100_000):
        nested = [nested]
    for value in (nested, "x" * 100_000, 10**5000, {str(key): key for key in range(100_000)}):
        with pytest.raises(ConfigurationError) as caught:
            Policy.parse({"Statement": allow(Effect=value)}, name="alice", kind="identity")
        assert len(str(caught.value)) < 500


# --- principals -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("principal", "arn", "account_id"),
    [
        (Principal("alice"), f"arn:aws-cn:iam::{OWN}:user/alice", OWN),
        (Principal("a/b/al.i+c=e,@-_"), f"arn:aws-cn:iam::{OWN}:user/a/b/al.i+c=e,@-_", OWN),
        (EVE, EVE.name, OTHER),
        (ROOT, ROOT.name, OWN),
        (SESSION, SESSION.name, OWN),
        (S3, "s3.amazonaws.com", None),
    ],
)
def test_a_principal_has_an_arn_and_an_account(
    principal: Principal, arn: str, account_id: str | None
) -> None:
    assert principal.arn("cn-north-1", OWN) == arn
    assert principal.account_id(OWN) == account_id


A_USER = "a user's name (letters, digits and +=,.@_-, with / after each part of a path) or an ARN"
A_SERVICE = "a service's name, such as 's3.amazonaws.com'"


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"name": ""}, f"principal='': it must be {A_USER}"),
        ({"name": None}, f"principal=None: it must be {A_USER}"),
        ({"name": "al ice"}, f"principal='al ice': it must be {A_USER}"),
        ({"name": "alice\n"}, rf"principal='alice\n': it must be {A_USER}"),
        ({"name": "/alice"}, f"principal='/alice': it must be {A_USER}"),
        ({"name": "a//b"}, f"principal='a//b': it must be {A_USER}"),
        ({"name": "*"}, f"principal='*': it must be {A_USER}"),
        ({"name": "élise"}, f"principal='élise': it must be {A_USER}"),
        ({"name": "arn:aws:iam::1:root"}, f"principal='arn:aws:iam::1:root': it must be {A_USER}"),
        ({"name": "s3", "type": "Service"}, f"principal='s3': it must be {A_SERVICE}"),
        ({"name": "alice", "type": "user"}, "principal type='user': it must be 'AWS' or 'Service'"),
        (
            {"name": "alice", "tags": {"age": 7}},
            "principal={'age': 7}: it must be texts, or lists of texts, by condition keys"
        ),
        (
            {"name": "alice", "context": {"test:key": ["a", None]}},
            "principal={'test:key': ['a', None]}: it must be texts, or lists of texts, by "
            "condition keys"
        ),
    ],
)  # fmt: skip
def test_what_no_policy_can_name_is_no_principal(values: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Principal(**values)
    assert str(caught.value) == text


def test_what_an_authenticator_vouches_for_is_in_no_repr() -> None:
    token = Principal("alice", context={"lambda:EventSourceToken": "s3cr3t"})
    assert "s3cr3t" not in repr(token)


@pytest.mark.parametrize("kind", ["identity", "resource"])
def test_a_policy_knows_its_kind(kind: Literal["identity", "resource"]) -> None:
    statement = allow(Principal="*") if kind == "resource" else allow()
    parsed = Policy.parse({"Statement": statement}, name="f", kind=kind)
    assert (parsed.name, parsed.kind) == ("f", kind)
