"""The grammar of function names, qualifiers and ARNs, and what a bad one is told.

Rules and texts are AWS's: the shapes NamespacedFunctionName and Qualifier of botocore's model, and
the patterns the service printed in November 2025, which stand below as it printed them. Pure:
strings in, values or a list of violations out.

Accepted forms of a function name: ``f``, ``f:q``, ``function:f``, ``123456789012:function:f:q``,
``us-east-1:123456789012:function:f`` and the full ARN, each with or without a qualifier.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

#: What an unqualified name means.
LATEST = "$LATEST"

MAX_FUNCTION_NAME_LENGTH = 256
MAX_CONTROL_FUNCTION_NAME_LENGTH = 140
MAX_QUALIFIER_LENGTH = 128

#: Quoted to the client, as AWS does. Not what `parse` matches: see `_FUNCTION_NAME`.
FUNCTION_NAME_PATTERN = (
    r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?"
    r"(\d{12}:)?(function:)?([a-zA-Z0-9-_\.]+)(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+))?"
)
QUALIFIER_PATTERN = r"\$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+"
TENANT_ID_PATTERN = r"[a-zA-Z0-9\._:\/=+\-@ ]+"

# Two differences from the printed pattern: after "arn:…:lambda:" region and account must both be
# there (recordings show AWS refusing the rest, and newer models say so), and \d is ASCII only.
_REGION = r"(?:eusc-)?[a-z]{2}(?:-gov|-iso[a-z]?)?-[a-z]+-\d"
_FUNCTION_NAME = re.compile(
    rf"(?:arn:(?:aws[a-zA-Z-]*)?:lambda:(?P<arn_region>{_REGION}):(?P<arn_account>\d{{12}}):"
    rf"|(?:(?P<region>{_REGION}):)?(?:(?P<account>\d{{12}}):)?)"
    r"(?:function:)?(?P<name>[a-zA-Z0-9\-_.]+)"
    r"(?::(?P<qualifier>\$LATEST(?:\.PUBLISHED)?|[a-zA-Z0-9\-_]+))?",
    re.ASCII,
)
_QUALIFIER = re.compile(QUALIFIER_PATTERN, re.ASCII)
_TENANT_ID = re.compile(TENANT_ID_PATTERN, re.ASCII)
_PLAIN_NAME = re.compile(r"(?!\.{1,2}\Z)[a-zA-Z0-9\-_.]{1,64}", re.ASCII)
_VERSION = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
_ALIAS = re.compile(r"(?!^[0-9]+$)[a-zA-Z0-9\-_]{1,128}", re.ASCII)
_ACCOUNT_ID = re.compile(r"\d{12}", re.ASCII)


class NameShape(NamedTuple):
    """What an operation takes as a function's name."""

    max_length: int
    #: Quoted to the client. Dots are taken by all operations, as functions here may have them.
    pattern: str
    #: What the qualifier in it must match, if there is one; ``None`` for no qualifier at all.
    qualifier: re.Pattern[str] | None = re.compile(r".*")


#: The shapes of botocore's model, by the operations that have them.
FUNCTION_NAME = NameShape(MAX_FUNCTION_NAME_LENGTH, FUNCTION_NAME_PATTERN)
_CONTROL_NAME_PATTERN = (
    r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?"
    r"(\d{12}:)?(function:)?([a-zA-Z0-9-_]+)"
)
CONTROL_FUNCTION_NAME = NameShape(
    MAX_CONTROL_FUNCTION_NAME_LENGTH, rf"{_CONTROL_NAME_PATTERN}(:(\$LATEST|[a-zA-Z0-9-_]+))?"
)
UNQUALIFIED_FUNCTION_NAME = NameShape(MAX_CONTROL_FUNCTION_NAME_LENGTH, _CONTROL_NAME_PATTERN, None)
URL_FUNCTION_NAME = NameShape(
    MAX_CONTROL_FUNCTION_NAME_LENGTH,
    _CONTROL_NAME_PATTERN.replace("_]+)", "_]{1,64})") + r"(:((?!\d+$)[0-9a-zA-Z-_]+))?",
    re.compile(r"(?!\d+$)[0-9a-zA-Z\-_]+", re.ASCII),
)
URL_QUALIFIER_PATTERN = r"((?!^\d+$)^[0-9a-zA-Z-_]+$)"


class FunctionReference(NamedTuple):
    """A function name, taken apart. What the caller left out is ``None``."""

    name: str
    qualifier: str | None = None
    region: str | None = None
    account_id: str | None = None


def parse(function_name: str) -> FunctionReference | None:
    """Take a function name of any accepted form apart; ``None`` when it has none of them."""
    match = _FUNCTION_NAME.fullmatch(function_name)
    if match is None or len(function_name) > MAX_FUNCTION_NAME_LENGTH:
        return None
    return FunctionReference(
        name=match["name"],
        qualifier=match["qualifier"],
        region=match["arn_region"] or match["region"],
        account_id=match["arn_account"] or match["account"],
    )


def function_arn(region: str, account_id: str, name: str, qualifier: str | None = None) -> str:
    """The ARN of a function, with ``:qualifier`` when one is given.

    >>> function_arn("us-gov-west-1", "123456789012", "f", "live")
    'arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:f:live'
    """
    arn = f"arn:{partition(region)}:lambda:{region}:{account_id}:function:{name}"
    return arn if qualifier is None else f"{arn}:{qualifier}"


def function_name_violations(function_name: str, shape: NameShape = FUNCTION_NAME) -> list[str]:
    """What is wrong with a function name, in AWS's words; empty when nothing is."""
    match = _FUNCTION_NAME.fullmatch(function_name)
    qualifier = None if match is None else match["qualifier"]
    return _violations(
        "functionName",
        function_name,
        max_length=shape.max_length,
        pattern=shape.pattern,
        matches=match is not None
        and (
            qualifier is None
            or (shape.qualifier is not None and shape.qualifier.fullmatch(qualifier) is not None)
        ),
    )


def qualifier_violations(qualifier: str) -> list[str]:
    """What is wrong with a ``Qualifier`` parameter, in AWS's words; empty when nothing is."""
    return _violations(
        "qualifier",
        qualifier,
        max_length=MAX_QUALIFIER_LENGTH,
        pattern=QUALIFIER_PATTERN,
        matches=_QUALIFIER.fullmatch(qualifier) is not None,
    )


def tenant_id_violations(tenant_id: str) -> list[str]:
    """What is wrong with an ``X-Amz-Tenant-Id`` header; empty when nothing is."""
    return _violations(
        "tenantId",
        tenant_id,
        max_length=256,
        pattern=TENANT_ID_PATTERN,
        matches=_TENANT_ID.fullmatch(tenant_id) is not None,
    )


def enum_violation(member: str, value: str, allowed: tuple[str, ...]) -> list[str]:
    """What is wrong with a value that must be one of ``allowed``; empty when it is."""
    if value in allowed:
        return []
    return [_violation(member, value, f"satisfy enum value set: [{', '.join(allowed)}]")]


def length_violation(member: str, value: str, max_length: int) -> list[str]:
    """What is wrong with a value longer than ``max_length`` characters; empty when it is not."""
    if len(value) <= max_length:
        return []
    return [_violation(member, value, f"have length less than or equal to {max_length}")]


def text_violations(
    member: str, value: str, *, max_length: int, min_length: int = 1, pattern: str | None = None
) -> list[str]:
    """What is wrong with a text that must have a length and match a whole pattern."""
    return _violations(
        member,
        value,
        max_length=max_length,
        min_length=min_length,
        pattern=pattern,
        matches=pattern is None or re.fullmatch(pattern, value, re.ASCII) is not None,
    )


def range_violations(member: str, value: int, low: int, high: int | None) -> list[str]:
    """What is wrong with a number that must be from ``low`` to ``high``; empty when it is."""
    if high is not None and value > high:
        return [_violation(member, value, f"have value less than or equal to {high}")]
    if value < low:
        return [_violation(member, value, f"have value greater than or equal to {low}")]
    return []


def null_violation(member: str) -> str:
    """What is wrong when a parameter is not there that must be."""
    return f"Value null at '{member}' failed to satisfy constraint: Member must not be null"


def violations_message(violations: list[str]) -> str:
    """The text of a ValidationException.

    >>> violations_message(["A", "B"])
    '2 validation errors detected: A; B'
    """
    count = len(violations)
    return f"{count} validation error{'s' * (count != 1)} detected: {'; '.join(violations)}"


def is_plain_name(name: str) -> bool:
    """Whether a function may be registered under ``name``: 1 to 64 of letters, digits, ``-_.``.

    Not ``.`` and ``..``, which are no names in a path.
    """
    return _PLAIN_NAME.fullmatch(name) is not None


def is_version(version: str) -> bool:
    """Whether ``version`` is a published version's number: digits, as Lambda counts them."""
    return _VERSION.fullmatch(version) is not None


def is_alias(alias: str) -> bool:
    """Whether ``alias`` may name an alias: 1 to 128 of letters, digits, ``-_``, not digits only."""
    return _ALIAS.fullmatch(alias) is not None


def is_region(region: str) -> bool:
    """Whether ``region`` has the form of an AWS region."""
    return re.fullmatch(_REGION, region, re.ASCII) is not None


def is_account_id(account_id: str) -> bool:
    """Whether ``account_id`` has the form of an AWS account: 12 digits."""
    return _ACCOUNT_ID.fullmatch(account_id) is not None


def _violations(
    member: str,
    value: str,
    *,
    max_length: int,
    min_length: int = 1,
    pattern: str | None,
    matches: bool,
) -> list[str]:
    """`text_violations` for a value that may match by other rules than those it is told."""
    found = length_violation(member, value, max_length)
    if len(value) < min_length:
        least = f"have length greater than or equal to {min_length}"
        found.append(_violation(member, value, least))
    if not matches:
        found.append(_violation(member, value, f"satisfy regular expression pattern: {pattern}"))
    return found


def _violation(member: str, value: object, constraint: str) -> str:
    return f"Value '{value}' at '{member}' failed to satisfy constraint: Member must {constraint}"


@lru_cache(maxsize=32)
def partition(region: str) -> str:
    """The partition of a region, by its prefix: ``aws``, ``aws-cn``, and so on.

    >>> partition("cn-north-1"), partition("eusc-de-east-1"), partition("eu-west-1")
    ('aws-cn', 'aws-eusc', 'aws')
    """
    for prefix, partition in _PARTITIONS:
        if region.startswith(prefix):
            return partition
    return "aws"


_PARTITIONS = (
    ("cn-", "aws-cn"),
    ("us-gov-", "aws-us-gov"),
    ("us-iso-", "aws-iso"),
    ("us-isob-", "aws-iso-b"),
    ("eu-isoe-", "aws-iso-e"),
    ("us-isof-", "aws-iso-f"),
    ("eusc-", "aws-eusc"),
)
