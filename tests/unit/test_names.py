"""names.py: the grammar of function names, qualifiers and ARNs."""

from __future__ import annotations

import pytest

from invokeasync_wsgi import names
from invokeasync_wsgi.names import FunctionReference

ACCOUNT = "123456789012"
REGION = "us-east-1"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param("f", FunctionReference("f"), id="name"),
        pytest.param("f:live", FunctionReference("f", "live"), id="name, alias"),
        pytest.param("f:1", FunctionReference("f", "1"), id="name, version"),
        pytest.param("f:$LATEST", FunctionReference("f", "$LATEST"), id="name, $LATEST"),
        pytest.param(
            "f:$LATEST.PUBLISHED",
            FunctionReference("f", "$LATEST.PUBLISHED"),
            id="name, $LATEST.PUBLISHED",
        ),
        pytest.param("My-f_1.py", FunctionReference("My-f_1.py"), id="every kind of character"),
        pytest.param("x" * 65, FunctionReference("x" * 65), id="longer than can be registered"),
        pytest.param("x" * 256, FunctionReference("x" * 256), id="as long as may be"),
        pytest.param("function:f", FunctionReference("f"), id="function:"),
        pytest.param("function:f:q", FunctionReference("f", "q"), id="function:, qualifier"),
        pytest.param("function", FunctionReference("function"), id="a function named function"),
        pytest.param(
            f"{ACCOUNT}:function:f",
            FunctionReference("f", account_id=ACCOUNT),
            id="partial ARN from the account",
        ),
        pytest.param(
            f"{ACCOUNT}:function:f:q",
            FunctionReference("f", "q", account_id=ACCOUNT),
            id="partial ARN from the account, qualifier",
        ),
        pytest.param(
            f"{ACCOUNT}:f", FunctionReference("f", account_id=ACCOUNT), id="account and name"
        ),
        pytest.param(ACCOUNT, FunctionReference(ACCOUNT), id="a name that looks like an account"),
        pytest.param(
            f"{REGION}:{ACCOUNT}:function:f",
            FunctionReference("f", None, REGION, ACCOUNT),
            id="partial ARN from the region",
        ),
        pytest.param(
            f"{REGION}:{ACCOUNT}:function:f:q",
            FunctionReference("f", "q", REGION, ACCOUNT),
            id="partial ARN from the region, qualifier",
        ),
        pytest.param(
            f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f",
            FunctionReference("f", None, REGION, ACCOUNT),
            id="ARN",
        ),
        pytest.param(
            f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f:$LATEST",
            FunctionReference("f", "$LATEST", REGION, ACCOUNT),
            id="ARN, qualifier",
        ),
        pytest.param(
            f"arn:aws:lambda:{REGION}:{ACCOUNT}:function",
            FunctionReference("function", None, REGION, ACCOUNT),
            id="ARN without a name means a function named function",
        ),
        pytest.param(
            f"arn:aws:lambda:{REGION}:{ACCOUNT}:layer:f",
            FunctionReference("layer", "f", REGION, ACCOUNT),
            id="ARN of a layer means a function named layer",
        ),
        pytest.param(
            f"arn:aws-cn:lambda:cn-north-1:{ACCOUNT}:function:f",
            FunctionReference("f", None, "cn-north-1", ACCOUNT),
            id="ARN in China",
        ),
        pytest.param(
            f"arn:aws-us-gov:lambda:us-gov-west-1:{ACCOUNT}:function:f",
            FunctionReference("f", None, "us-gov-west-1", ACCOUNT),
            id="ARN in GovCloud",
        ),
        pytest.param(
            f"arn:aws-iso-b:lambda:us-isob-east-1:{ACCOUNT}:function:f",
            FunctionReference("f", None, "us-isob-east-1", ACCOUNT),
            id="ARN in an isolated region",
        ),
        pytest.param(
            f"arn:aws-eusc:lambda:eusc-de-east-1:{ACCOUNT}:function:f",
            FunctionReference("f", None, "eusc-de-east-1", ACCOUNT),
            id="ARN in the European sovereign cloud",
        ),
    ],
)
def test_an_accepted_form_is_taken_apart(given: str, expected: FunctionReference) -> None:
    assert names.parse(given) == expected
    assert names.function_name_violations(given) == []


@pytest.mark.parametrize(
    "given",
    [
        pytest.param("", id="nothing"),
        pytest.param("f g", id="space"),
        pytest.param("f\n", id="a line end behind it"),
        pytest.param("f/g", id="slash"),
        pytest.param("*", id="asterisk"),
        pytest.param("fünf", id="a letter that is not ASCII"),
        pytest.param("f٣", id="a digit that is not ASCII"),
        pytest.param("١٢٣٤٥٦٧٨٩٠١٢:function:f", id="an account in digits that are not ASCII"),
        pytest.param(":f", id="an empty piece in front"),
        pytest.param("f:", id="an empty qualifier"),
        pytest.param("f:a:b", id="two qualifiers"),
        pytest.param("f:$LATES", id="nearly $LATEST"),
        pytest.param("f:$latest", id="$latest"),
        pytest.param("f:a.b", id="a qualifier with a dot"),
        pytest.param("f:$LATEST.OTHER", id="$LATEST and more"),
        pytest.param(f"arn:aws:lambda:{REGION}:function:f", id="ARN without the account"),
        pytest.param(f"arn:aws:lambda:{ACCOUNT}:function:f", id="ARN without the region"),
        pytest.param("arn:aws:lambda:function:f", id="ARN without both"),
        pytest.param(f"arn:aws:s3:{REGION}:{ACCOUNT}:function:f", id="ARN of another service"),
        pytest.param(f"arn:gcp:lambda:{REGION}:{ACCOUNT}:function:f", id="no partition of AWS"),
        pytest.param(
            f"arn:aws:lambda:us-east-10:{ACCOUNT}:function:f", id="a region with 2 digits"
        ),
        pytest.param(f"arn:aws:lambda:useast1:{ACCOUNT}:function:f", id="a region without dashes"),
        pytest.param(f"arn:aws:lambda:{REGION}:12345678901:function:f", id="11 digits of account"),
        pytest.param(f"arn:aws:lambda:{REGION}:1234567890123:function:f", id="13 digits"),
        pytest.param(f"ARN:aws:lambda:{REGION}:{ACCOUNT}:function:f", id="ARN in capitals"),
    ],
)
def test_any_other_form_is_one_violation_of_the_pattern(given: str) -> None:
    assert names.parse(given) is None
    (*_, violation) = names.function_name_violations(given)
    assert violation == (
        f"Value '{given}' at 'functionName' failed to satisfy constraint: Member must satisfy "
        f"regular expression pattern: {names.FUNCTION_NAME_PATTERN}"
    )


def test_the_patterns_are_quoted_as_the_service_prints_them() -> None:
    assert names.FUNCTION_NAME_PATTERN == (
        "(arn:(aws[a-zA-Z-]*)?:lambda:)?"
        "((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:)?"
        "(\\d{12}:)?(function:)?([a-zA-Z0-9-_\\.]+)"
        "(:(\\$LATEST(\\.PUBLISHED)?|[a-zA-Z0-9-_]+))?"
    )
    assert names.QUALIFIER_PATTERN == "\\$(LATEST(\\.PUBLISHED)?)|[a-zA-Z0-9-_$]+"
    assert names.TENANT_ID_PATTERN == "[a-zA-Z0-9\\._:\\/=+\\-@ ]+"


def test_a_name_that_is_too_long_is_told_the_limit_only() -> None:
    assert names.parse("x" * 257) is None
    assert names.function_name_violations("x" * 257) == [
        f"Value '{'x' * 257}' at 'functionName' failed to satisfy constraint: "
        "Member must have length less than or equal to 256"
    ]


def test_a_name_may_be_too_long_and_illegal() -> None:
    first, second = names.function_name_violations("!" * 257)
    assert first.endswith("Member must have length less than or equal to 256")
    assert "Member must satisfy regular expression pattern" in second


def test_an_empty_value_is_too_short_and_illegal() -> None:
    first, second = names.qualifier_violations("")
    assert first == (
        "Value '' at 'qualifier' failed to satisfy constraint: "
        "Member must have length greater than or equal to 1"
    )
    assert "Member must satisfy regular expression pattern" in second


@pytest.mark.parametrize(
    "qualifier", ["1", "live", "$LATEST", "$LATEST.PUBLISHED", "$latest", "a_b-$C", "x" * 128]
)
def test_a_qualifier_of_the_pattern_is_accepted(qualifier: str) -> None:
    assert names.qualifier_violations(qualifier) == []


@pytest.mark.parametrize(
    "qualifier", ["invalid!", "a.b", "a b", "a:b", "$LATEST.other", "é", "1\n", "$LATEST\n"]
)
def test_any_other_qualifier_is_told_the_pattern(qualifier: str) -> None:
    assert names.qualifier_violations(qualifier) == [
        f"Value '{qualifier}' at 'qualifier' failed to satisfy constraint: Member must satisfy "
        "regular expression pattern: \\$(LATEST(\\.PUBLISHED)?)|[a-zA-Z0-9-_$]+"
    ]


def test_a_qualifier_has_128_characters_at_most() -> None:
    assert names.qualifier_violations("x" * 129) == [
        f"Value '{'x' * 129}' at 'qualifier' failed to satisfy constraint: "
        "Member must have length less than or equal to 128"
    ]


@pytest.mark.parametrize("tenant_id", ["t", "A tenant/of:all=+-@_.", "x" * 256])
def test_a_tenant_id_of_the_pattern_is_accepted(tenant_id: str) -> None:
    assert names.tenant_id_violations(tenant_id) == []


@pytest.mark.parametrize(
    ("tenant_id", "count"),
    [
        pytest.param("", 2, id="empty"),
        pytest.param("a,b", 1, id="comma"),
        pytest.param("é", 1, id="not ASCII"),
        pytest.param("x" * 257, 1, id="too long"),
        pytest.param("," * 257, 2, id="too long and illegal"),
    ],
)
def test_any_other_tenant_id_is_refused(tenant_id: str, count: int) -> None:
    violations = names.tenant_id_violations(tenant_id)
    assert len(violations) == count
    assert all("at 'tenantId' failed to satisfy constraint" in text for text in violations)


def test_a_value_of_an_enum_is_compared_as_it_is() -> None:
    assert names.enum_violation("logType", "Tail", ("None", "Tail")) == []
    assert names.enum_violation("logType", "tail", ("None", "Tail")) == [
        "Value 'tail' at 'logType' failed to satisfy constraint: "
        "Member must satisfy enum value set: [None, Tail]"
    ]


@pytest.mark.parametrize(
    ("violations", "expected"),
    [
        (["A"], "1 validation error detected: A"),
        (["A", "B"], "2 validation errors detected: A; B"),
        (["A", "B", "C"], "3 validation errors detected: A; B; C"),
    ],
)
def test_violations_are_counted_and_listed(violations: list[str], expected: str) -> None:
    assert names.violations_message(violations) == expected


@pytest.mark.parametrize(
    ("region", "partition"),
    [
        ("us-east-1", "aws"),
        ("eu-central-2", "aws"),
        ("il-central-1", "aws"),
        ("cn-northwest-1", "aws-cn"),
        ("us-gov-east-1", "aws-us-gov"),
        ("us-iso-west-1", "aws-iso"),
        ("us-isob-east-1", "aws-iso-b"),
        ("eu-isoe-west-1", "aws-iso-e"),
        ("us-isof-south-1", "aws-iso-f"),
        ("eusc-de-east-1", "aws-eusc"),
    ],
)
def test_an_arn_names_the_partition_of_its_region(region: str, partition: str) -> None:
    assert names.is_region(region)
    arn = f"arn:{partition}:lambda:{region}:{ACCOUNT}:function:f"
    assert names.function_arn(region, ACCOUNT, "f") == arn
    assert names.function_arn(region, ACCOUNT, "f", "live") == f"{arn}:live"
    assert names.parse(arn) == FunctionReference("f", None, region, ACCOUNT)


@pytest.mark.parametrize(
    ("name", "legal"),
    [
        ("f", True),
        ("My-f_1.py", True),
        ("x" * 64, True),
        ("x" * 65, False),
        ("", False),
        ("f:1", False),
        ("f g", False),
        ("é", False),
        ("f\n", False),
        ("...", True),
        (".", False),
        ("..", False),
    ],
)
def test_a_function_is_registered_under_1_to_64_plain_characters(name: str, legal: bool) -> None:
    assert names.is_plain_name(name) is legal


@pytest.mark.parametrize(
    ("version", "legal"),
    [
        ("1", True),
        ("10", True),
        ("9" * 19, True),
        ("9" * 20, False),
        ("0", False),
        ("01", False),
        ("", False),
        ("-1", False),
        ("1.0", False),
        ("$LATEST", False),
        ("١", False),
        ("1\n", False),
    ],
)
def test_a_version_is_a_number_that_counts_from_1(version: str, legal: bool) -> None:
    assert names.is_version(version) is legal


@pytest.mark.parametrize(
    ("alias", "legal"),
    [
        ("live", True),
        ("2024-01-02", True),
        ("-", True),
        ("1a", True),
        ("x" * 128, True),
        ("x" * 129, False),
        ("2024", False),
        ("0", False),
        ("", False),
        ("a.b", False),
        ("$LATEST", False),
        ("é", False),
        ("live\n", False),
        ("2024\n", False),
    ],
)
def test_an_alias_is_1_to_128_characters_and_no_number(alias: str, legal: bool) -> None:
    assert names.is_alias(alias) is legal


@pytest.mark.parametrize(
    "region", ["", "us-east", "us-east-1 ", "us-east-12", "US-EAST-1", "us_east_1", "us-east-1\n"]
)
def test_a_region_has_the_form_of_a_region(region: str) -> None:
    assert not names.is_region(region)


@pytest.mark.parametrize(
    ("account_id", "legal"),
    [
        ("123456789012", True),
        ("000000000000", True),
        ("12345678901", False),
        ("1234567890123", False),
        ("12345678901a", False),
        ("١٢٣٤٥٦٧٨٩٠١٢", False),
        ("123456789012\n", False),
    ],
)
def test_an_account_has_12_digits(account_id: str, legal: bool) -> None:
    assert names.is_account_id(account_id) is legal
