"""Function names: parsing undoes formatting, and what parses is what is legal."""

from __future__ import annotations

import re
from string import ascii_letters, ascii_lowercase, digits

from hypothesis import given, settings
from hypothesis import strategies as st

from invokeasync_wsgi import names
from invokeasync_wsgi.names import FunctionReference

WORD = ascii_letters + digits + "-_"

regions = st.builds(
    "{}-{}-{}".format,
    st.sampled_from(["us", "eu", "ap", "cn", "us-gov", "us-iso", "us-isob", "eu-isoe", "eusc-de"]),
    st.text(ascii_lowercase, min_size=1, max_size=9),
    st.integers(0, 9),
)
accounts = st.text(digits, min_size=12, max_size=12)
plain_names = st.text(WORD + ".", min_size=1, max_size=64).filter(
    lambda name: name not in (".", "..")
)
qualifiers = st.none() | st.just("$LATEST") | st.text(WORD, min_size=1, max_size=60)
#: Texts near the grammar: its own words, glued together in any order.
pieces = st.sampled_from(
    ["arn", "aws", "aws-cn", "lambda", "us-east-1", "123456789012", "function", "f", "$LATEST",
     ".PUBLISHED", ":", "::", "!", "\n", "é", "٣", "-", "x" * 130]
)  # fmt: skip
near_names = st.lists(pieces, max_size=12).map("".join)
texts = st.text(max_size=40) | near_names


@given(regions, accounts, plain_names, qualifiers)
def test_an_arn_parses_into_what_it_was_made_of(
    region: str, account_id: str, name: str, qualifier: str | None
) -> None:
    arn = names.function_arn(region, account_id, name, qualifier)
    assert names.parse(arn) == FunctionReference(name, qualifier, region, account_id)


@given(plain_names, qualifiers)
def test_a_name_and_a_qualifier_parse_into_themselves(name: str, qualifier: str | None) -> None:
    given_name = name if qualifier is None else f"{name}:{qualifier}"
    # Without an ARN around it, a leading word may be read as a part of one.
    if not re.match(r"function:|[0-9]{12}:|\S+-[0-9]:", given_name):
        assert names.parse(given_name) == FunctionReference(name, qualifier)


@given(texts)
def test_what_parses_is_what_has_no_violation(text: str) -> None:
    assert (names.parse(text) is None) == bool(names.function_name_violations(text))


@given(texts)
def test_what_parses_matches_the_pattern_that_is_quoted(text: str) -> None:
    if names.parse(text) is not None:
        assert re.fullmatch(names.FUNCTION_NAME_PATTERN, text, re.ASCII)


@settings(deadline=None)
@given(
    st.from_regex(
        names.FUNCTION_NAME_PATTERN, fullmatch=True, alphabet=st.characters(codec="ascii")
    )
)
def test_only_arns_are_held_to_more_than_the_pattern_that_is_quoted(text: str) -> None:
    assert names.parse(text) is not None or len(text) > 256 or text.startswith("arn:")


@given(texts)
def test_every_violation_names_the_value_and_the_member(text: str) -> None:
    for member, violations in (
        ("functionName", names.function_name_violations(text)),
        ("qualifier", names.qualifier_violations(text)),
        ("tenantId", names.tenant_id_violations(text)),
    ):
        for violation in violations:
            assert violation.startswith(f"Value '{text}' at '{member}' failed to satisfy")


@given(plain_names)
def test_a_name_that_can_be_registered_can_be_called(name: str) -> None:
    assert names.is_plain_name(name)
    reference = names.parse(name)
    assert reference is not None
    assert reference == FunctionReference(name)


@given(texts)
def test_no_text_is_both_a_version_and_an_alias(text: str) -> None:
    assert not (names.is_version(text) and names.is_alias(text))


@given(texts)
def test_versions_and_aliases_are_qualifiers_that_callers_can_name(text: str) -> None:
    if names.is_version(text) or names.is_alias(text):
        assert names.qualifier_violations(text) == []
        assert names.parse(f"f:{text}") == FunctionReference("f", text)
