"""Policies: whatever they say, a Deny refuses, an Allow does not, and order means nothing."""

from __future__ import annotations

import json
import string
from collections.abc import Sequence
from functools import cache, partial
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from invokeasync_wsgi import policy
from invokeasync_wsgi.errors import ConfigurationError
from invokeasync_wsgi.policy import Access, Decision, Policy, Principal

OWN = "123456789012"
OTHER = "210987654321"
FUNCTIONS = f"arn:aws:lambda:us-east-1:{OWN}:function:"

Document = dict[str, Any]

# --- statements that may be about the access, and accesses -------------------------------------

keys = st.sampled_from(["test:a", "test:b", "aws:username", "aws:PrincipalTag/team"])
words = st.sampled_from(["", "a", "b", "ab", "red", "alice", "*", "7", "true", "192.0.2.7"])
values = words | st.sampled_from(["${test:a}", "${aws:username, 'a'}x", "a*", "?b", "${*}"])
operators = st.builds(
    "{}{}{}".format,
    st.sampled_from(["", "ForAllValues:", "ForAnyValue:"]),
    st.sampled_from(["StringEquals", "StringNotEquals", "StringLike", "StringNotLike"]),
    st.sampled_from(["", "IfExists"]),
)
conditions = st.dictionaries(
    operators,
    st.dictionaries(keys, st.lists(values, min_size=1, max_size=2), min_size=1, max_size=2),
    min_size=1,
    max_size=2,
)
actions = st.sampled_from(["*", "lambda:*", "lambda:InvokeFunction", "LAMBDA:inv?ke*", "s3:*"])
resources = st.sampled_from(
    ["*", "arn:*", f"{FUNCTIONS}f", f"{FUNCTIONS}f:*", f"{FUNCTIONS}${{aws:username}}*"]
)
principals = st.just("*") | st.sampled_from(
    [
        {"AWS": OWN},
        {"AWS": [OTHER, f"arn:aws:iam::{OWN}:user/alice"]},
        {"AWS": f"arn:aws:iam::{OTHER}:user/eve", "Service": "sns.amazonaws.com"},
        {"AWS": f"arn:aws:iam::{OWN}:role/worker"},
        {"Service": "s3.amazonaws.com"},
    ]
)


@st.composite
def statements(draw: st.DrawFn, kind: policy.Kind, effect: str | None = None) -> Document:
    def element(name: str) -> str:
        return draw(st.sampled_from([name, name, f"Not{name}"]))

    statement: Document = {
        "Effect": effect or draw(st.sampled_from(["Allow", "Deny"])),
        element("Action"): draw(actions),
        element("Resource"): draw(resources),
    }
    if kind == "resource":
        statement[element("Principal")] = draw(principals)
    if draw(st.booleans()):
        statement["Condition"] = draw(conditions)
    return statement


callers = st.sampled_from(
    [
        Principal("alice", tags={"team": "red"}),
        Principal(f"arn:aws:iam::{OTHER}:user/eve"),
        Principal(f"arn:aws:sts::{OWN}:assumed-role/worker/1"),
        Principal("s3.amazonaws.com", "Service"),
    ]
)
contexts = st.dictionaries(
    st.sampled_from(["test:a", "test:b"]), words | st.lists(words, max_size=2)
)


@st.composite
def accesses(draw: st.DrawFn) -> Access:
    principal = draw(callers)
    return Access(
        action="lambda:InvokeFunction",
        resource=FUNCTIONS + draw(st.sampled_from(["f", "f:live", "alice-f", "*"])),
        account_id=OWN,
        principal=principal,
        principal_arn=principal.arn("us-east-1", OWN),
        context=partial(dict, draw(contexts)),
    )


of_identity = st.lists(statements("identity"), max_size=3)
of_resource = st.lists(statements("resource"), max_size=3)


def decide(access: Access, identity: Sequence[Document], resource: Sequence[Document]) -> Decision:
    def parse(kind: policy.Kind, given: Sequence[Document]) -> list[Policy]:
        document = {"Version": "2012-10-17", "Statement": list(given)}
        return [Policy.parse(document, name=kind, kind=kind)] if given else []

    return policy.decide(access, parse("identity", identity), parse("resource", resource))


def is_denied(decision: Decision) -> bool:
    return "explicit deny" in decision.reason


@given(
    accesses(),
    of_identity,
    of_resource,
    st.lists(statements("identity", "Deny"), max_size=1),
    st.lists(statements("resource", "Deny"), max_size=1),
)
def test_a_deny_never_turns_a_refusal_into_an_allowance(
    access: Access,
    identity: list[Document],
    resource: list[Document],
    more_of_identity: list[Document],
    more_of_resource: list[Document],
) -> None:
    before = decide(access, identity, resource)
    after = decide(access, [*identity, *more_of_identity], [*resource, *more_of_resource])
    assert before.allowed or not after.allowed
    assert is_denied(after) or after.allowed == before.allowed


@given(
    accesses(),
    of_identity,
    of_resource,
    st.lists(statements("identity", "Allow"), max_size=1),
    st.lists(statements("resource", "Allow"), max_size=1),
)
def test_an_allow_never_turns_an_allowance_into_a_refusal(
    access: Access,
    identity: list[Document],
    resource: list[Document],
    more_of_identity: list[Document],
    more_of_resource: list[Document],
) -> None:
    before = decide(access, identity, resource)
    after = decide(access, [*identity, *more_of_identity], [*resource, *more_of_resource])
    assert after.allowed or not before.allowed
    assert is_denied(after) == is_denied(before)


@given(accesses(), of_identity, of_resource, st.randoms(use_true_random=False))
def test_the_order_of_statements_does_not_matter(
    access: Access, identity: list[Document], resource: list[Document], random: Any
) -> None:
    before = decide(access, identity, resource)
    identity, resource = list(identity), list(resource)
    random.shuffle(identity)
    random.shuffle(resource)
    after = decide(access, identity, resource)
    assert after.allowed == before.allowed
    assert after.allowed or after.reason == before.reason


@given(accesses(), of_identity, of_resource)
def test_nobody_is_allowed_what_no_statement_allows(
    access: Access, identity: list[Document], resource: list[Document]
) -> None:
    denying = [[{**each, "Effect": "Deny"} for each in given] for given in (identity, resource)]
    assert not decide(access, *denying).allowed


@given(accesses(), statements("identity"))
def test_a_statement_that_says_the_opposite_covers_the_same(
    access: Access, statement: Document
) -> None:
    """What an Allow covers is what the same statement as a Deny covers, if all has a value."""
    access = access._replace(
        principal=Principal("alice"), principal_arn=f"arn:aws:iam::{OWN}:user/alice"
    )
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    allowed = decide(access, [{**statement, "Effect": "Allow"}], [])
    denied = decide(access, [everything, {**statement, "Effect": "Deny"}], [])
    assert allowed.allowed is not denied.allowed


# --- wildcards ----------------------------------------------------------------------------------


def matches(pattern: str, text: str) -> bool:
    """What ``*`` and ``?`` mean, said as plainly as can be."""

    @cache
    def from_(at: int, of: int) -> bool:
        if at == len(pattern):
            return of == len(text)
        if pattern[at] == "*":
            return from_(at + 1, of) or (of < len(text) and from_(at, of + 1))
        return of < len(text) and pattern[at] in ("?", text[of]) and from_(at + 1, of + 1)

    return from_(0, 0)


def condition_holds(operator: str, value: str, context: dict[str, str]) -> bool:
    statement = {
        "Effect": "Allow",
        "Action": "*",
        "Resource": "*",
        "Condition": {operator: {"test:key": value}},
    }
    principal = Principal("alice")
    access = Access("a:b", "arn:", OWN, principal, principal.arn("us-east-1", OWN), lambda: context)
    return decide(access, [statement], []).allowed


@given(st.text("ab*?", max_size=10), st.text("ab", max_size=10))
def test_wildcards_mean_what_they_mean(pattern: str, text: str) -> None:
    holds = condition_holds("StringLike", pattern, {"test:key": text})
    assert holds == matches(pattern, text)


@given(st.text("a.[*?\\\n(^$+", max_size=8), st.text("a.[*?\\\n(^$+", max_size=8))
def test_no_other_character_means_anything_but_itself(pattern: str, text: str) -> None:
    holds = condition_holds("StringLike", pattern, {"test:key": text})
    assert holds == matches(pattern, text)


@given(st.text("ab*?", max_size=6), st.text("ab*?", max_size=6))
def test_the_value_of_a_variable_has_no_wildcards(value: str, text: str) -> None:
    holds = condition_holds("StringLike", "${test:v}", {"test:key": text, "test:v": value})
    assert holds == (value == text and value != "")


# --- what strangers send ------------------------------------------------------------------------

readable = st.sampled_from(
    [
        ("NumericLessThan", "7"),
        ("DateLessThan", "2026-01-31T12:00:00Z"),
        ("Bool", "true"),
        ("BinaryEquals", "QUJD"),
        ("IpAddress", "192.0.2.0/24"),
        ("IpAddress", "2001:db8::/32"),
        ("ArnLike", "arn:aws:s3:::b*"),
        ("StringEqualsIgnoreCase", "a"),
    ]
)
near_values = st.text(string.hexdigits + "+-.:/%TZ=e ", max_size=24)


@given(readable, st.text(max_size=30) | near_values)
def test_any_value_of_a_context_key_can_be_compared(operator: tuple[str, str], text: str) -> None:
    name, value = operator
    condition_holds(name, value, {"test:key": text})
    condition_holds(name, "${test:key}", {"test:key": text})


# --- documents ----------------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
#: Values near the grammar: right ones, wrong ones, and right ones in the wrong place.
near_texts = st.sampled_from(
    [
        *("Allow", "Deny", "*", "lambda:*", "arn:*", "2012-10-17", "2008-10-17", "${", "${a:b}"),
        *("arn:${a:b, 'c'}", "arn:${a:b", OWN, f"arn:aws:iam::{OWN}:root", "s3.amazonaws.com"),
        *("7", "true", "2026-01-31", "192.0.2.0/24", "QUJD", "arn:aws:s3:::b"),
    ]
)
near_elements = near_texts | st.lists(near_texts, max_size=2) | json_values
names = st.sampled_from(
    [
        *("Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource"),
        *("NotResource", "Version", "Id", "Statement"),
    ]
)
near_operators = st.builds(
    "{}{}{}".format,
    st.sampled_from(["", "", "ForAllValues:", "ForAnyValue:", "ForNone:"]),
    st.sampled_from(
        [
            *("StringLike", "NumericLessThan", "DateEquals", "Bool", "Null", "BinaryEquals"),
            *("NotIpAddress", "ArnEquals", "Strings"),
        ]
    ),
    st.sampled_from(["", "", "IfExists"]),
)
near_conditions = st.dictionaries(
    near_operators | st.text(max_size=4),
    st.dictionaries(keys | st.text(max_size=4), near_elements, max_size=2) | near_elements,
    max_size=2,
)
near_principals = st.dictionaries(
    st.sampled_from(["AWS", "Service", "Federated", "CanonicalUser", "Aws"]), near_elements
)
near_statements = st.fixed_dictionaries(
    {"Effect": st.just("Allow"), "Action": st.just("*"), "Resource": near_elements},
    optional={
        "Sid": near_texts,
        "Condition": near_conditions | near_elements,
        "Principal": near_principals | near_elements,
    },
) | st.dictionaries(names | st.text(max_size=4), near_elements)
near_documents = st.fixed_dictionaries(
    {"Statement": near_statements | st.lists(near_statements, max_size=3) | json_values},
    optional={"Version": near_texts, "Id": near_elements},
)


def parse_or_refuse(document: Any, kind: policy.Kind) -> Policy | None:
    try:
        return Policy.parse(document, name="alice", kind=kind)
    except ConfigurationError as exc:
        refusal = str(exc)
    assert refusal.startswith("policy 'alice': ")
    return None


@given(near_documents | json_values, st.sampled_from(["identity", "resource"]), st.booleans())
def test_any_value_is_a_policy_or_refused(document: Any, kind: policy.Kind, as_json: bool) -> None:
    parsed = parse_or_refuse(json.dumps(document) if as_json else document, kind)
    if parsed is not None:
        principal = Principal("alice")
        arn = principal.arn("us-east-1", OWN)
        access = Access("a:b", "arn:b", OWN, principal, arn, lambda: {"test:a": "c"})
        policy.decide(access, [parsed], [parsed])


@given(st.binary(max_size=40) | st.text(max_size=40) | st.text('{}[]":,Statement ', max_size=40))
def test_any_text_is_a_policy_or_refused(text: str | bytes) -> None:
    parse_or_refuse(text, "identity")
