"""What the conditions of a policy ask for: operators, and values with wildcards and variables.

The values of Action and Resource are of that sort too: StringLike compares them.

The rules are those of the IAM User Guide, "JSON policy element reference" (condition operators,
single and multivalued keys, policy variables). Where that is silent:

* A context value that an operator cannot read equals nothing: positive operators fail and negated
  ones hold, as they do for an absent key.
* A value with a variable that has no value equals nothing either. Neither an empty value nor
  several are a value for a variable.
* Without a set operator, one of several context values has to match; a negated operator holds when
  none of them does.

Pure: values in, verdicts out. All of it is immutable and may be shared by threads.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from operator import eq, ge, gt, le, lt
from typing import Any, NamedTuple, Protocol


class Keys(Protocol):
    """The condition keys of what is asked."""

    def get(self, key: str) -> Sequence[str]:
        """The values of a key, which is in lower case; none when it is absent."""


class Unreadable(ValueError):
    """A policy has a value that its operator cannot read; the text says what it must be."""

    def __init__(self, value: str, allowed: str) -> None:
        super().__init__(allowed)
        self.value = value


# --- values, with wildcards and variables -----------------------------------------------------


class _Wildcard(Enum):
    ANY = "*"
    ONE = "?"


class _Variable(NamedTuple):
    #: In lower case.
    key: str
    default: str | None


#: Texts are literal.
_Piece = str | _Wildcard | _Variable
_Pieces = tuple[_Piece, ...]
#: Whether a text is what a value of the policy asks for.
_Test = Callable[[str], object]
#: Raises `ValueError` when it cannot read what it is to make a test of.
_MakeTest = Callable[[_Pieces], _Test]

#: A condition key: there may be spaces in it, but not at its end.
KEY = re.compile(r"[\w.-]+:[\w.:/=+@ -]*[\w.:/=+@-]")
_WILDCARDS = re.compile(r"(\*+|\?)")
_WILDCARDS_AND_VARIABLES = re.compile(r"(\*+|\?|\$\{[^}]*\}?)")
_VARIABLE = re.compile(rf"\$\{{({KEY.pattern})(?:, *'([^'{{}}]*)')?\}}")
_VARIABLE_FORM = "without '${', but for ${key}, ${key, 'default'}, ${*}, ${?} and ${$}"
_LITERALS = {"${*}": "*", "${?}": "?", "${$}": "$"}


def _split(text: str, has_wildcards: bool, has_variables: bool) -> _Pieces:
    """Take a text apart. Raises `Unreadable` for a ``${`` that begins no variable."""
    pieces: list[_Piece] = []
    for part in (_WILDCARDS_AND_VARIABLES if has_variables else _WILDCARDS).split(text):
        if part in _LITERALS and has_variables:
            pieces.append(_LITERALS[part])
        elif part.startswith("${") and has_variables:
            match = _VARIABLE.fullmatch(part)
            if match is None:
                raise Unreadable(text, _VARIABLE_FORM)
            pieces.append(_Variable(match[1].lower(), match[2]))
        elif part[:1] in ("*", "?") and has_wildcards:
            pieces.append(_Wildcard(part[0]))
        elif part:
            pieces.append(part)
    return tuple(pieces)


def _resolve(pieces: _Pieces, keys: Keys) -> _Pieces | None:
    """The pieces with values for their variables; ``None`` when one has no value."""
    resolved: list[_Piece] = []
    for piece in pieces:
        if isinstance(piece, _Variable):
            values = keys.get(piece.key)
            value = values[0] if any(values) else piece.default
            if value is None or len(values) > 1:
                return None
            resolved.append(value)
        else:
            resolved.append(piece)
    return tuple(resolved)


class Values(NamedTuple):
    """The values of an element or a condition key: a text has to be one, or negated none."""

    #: Of the values without variables.
    tests: tuple[_Test, ...]
    #: The values with variables.
    templates: tuple[_Pieces, ...]
    make_test: _MakeTest
    is_negated: bool
    #: Whether a template that has no value for a variable means every text, or none.
    when_unresolved: bool = False

    def accept(self, text: str, keys: Keys) -> bool:
        """Whether a text is what the policy asks for."""
        for test in self.tests:
            if test(text):
                return not self.is_negated
        if self.templates and any(self._means(each, text, keys) for each in self.templates):
            return not self.is_negated
        return self.is_negated

    def _means(self, template: _Pieces, text: str, keys: Keys) -> bool:
        pieces = _resolve(template, keys)
        if pieces is None:
            return self.when_unresolved
        try:
            return bool(self.make_test(pieces)(text))
        except ValueError:  # the variable has a value that the operator cannot read
            return False


def _glob(pieces: _Pieces) -> _Test:
    """A test for the whole of a text, in time linear in its length for one pattern.

    What stands between two ``*`` is sought once, from the left, and never again: a later place
    would leave less text for what follows. As in `fnmatch`, a lookahead keeps what it found.
    """
    if _Wildcard.ANY not in pieces and _Wildcard.ONE not in pieces:
        return _text(pieces).__eq__
    segments = [""]
    for piece in pieces:
        if piece is _Wildcard.ANY:
            segments.append("")
        else:
            segments[-1] += "." if piece is _Wildcard.ONE else re.escape(str(piece))
    first, *middle = segments
    last = [".*" + middle.pop()] if middle else []
    sought = [
        f"(?=(?P<s{number}>.*?{segment}))(?P=s{number})"
        for number, segment in enumerate(middle)
        if segment
    ]
    return re.compile("".join([first, *sought, *last]), re.DOTALL).fullmatch


def _text(pieces: _Pieces) -> str:
    """The text of pieces that have no wildcards among them."""
    return "".join(str(piece) for piece in pieces)


# --- condition operators ----------------------------------------------------------------------


class Operator(NamedTuple):
    """How a text is compared with the values of a policy."""

    make_test: _MakeTest
    #: What its values must be.
    form: str
    has_wildcards: bool = False
    is_negated: bool = False

    def values(self, texts: Iterable[str], has_variables: bool) -> Values:
        """What texts mean to it; of those with variables this shows with every access.

        Raises:
            Unreadable: it cannot read one of them.
        """
        tests, templates = [], []
        for text in texts:
            pieces = _split(text, self.has_wildcards, has_variables)
            if any(isinstance(piece, _Variable) for piece in pieces):
                templates.append(pieces)
                continue
            try:
                tests.append(self.make_test(pieces))
            except ValueError as exc:
                raise Unreadable(text, self.form) from exc
        return Values(tuple(tests), tuple(templates), self.make_test, self.is_negated)


def _compared(read: Callable[[str], Any], compare: Callable[[Any, Any], bool]) -> _MakeTest:
    """A maker of tests which read both sides and compare them, the text's first."""

    def make(pieces: _Pieces) -> _Test:
        expected = read(_text(pieces))

        def test(text: str) -> bool:
            try:
                given = read(text)
            except ValueError:
                return False
            return compare(given, expected)

        return test

    return make


_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_EPOCH_S = re.compile(r"-?\d{5,15}", re.ASCII)  # four digits are a year to ISO 8601
_ISO_8601 = re.compile(
    r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{3}(\d{3})?)?)?(Z|[+-]\d\d:\d\d))?", re.ASCII
)
_NETWORK = re.compile(r"[0-9a-f.:]+(/\d{1,3})?", re.ASCII | re.IGNORECASE)
_FLAGS = {"true": True, "false": False}


def _number(text: str) -> float:
    if _NUMBER.fullmatch(text) is None:
        raise ValueError
    return int(text) if text.lstrip("+-").isdigit() else float(text)


def _moment(text: str) -> float:
    """Seconds since the epoch. A date alone is the midnight, UTC, that it begins with."""
    if _EPOCH_S.fullmatch(text):
        return int(text)
    if _ISO_8601.fullmatch(text) is None:
        raise ValueError
    from datetime import datetime  # few policies name a date

    text = text.replace("Z", "+00:00") if "T" in text else f"{text}T00:00+00:00"
    return datetime.fromisoformat(text).timestamp()


def _flag(text: str) -> bool:
    try:
        return _FLAGS[text.lower()]
    except KeyError:
        raise ValueError from None


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _in_network(pieces: _Pieces) -> _Test:
    """A test for an address. IPv4 addresses are the same when they are written as IPv6 ones."""
    from ipaddress import IPv4Network, ip_address, ip_network  # few policies name a network

    text = _text(pieces)
    if _NETWORK.fullmatch(text) is None:
        raise ValueError
    network = ip_network(text, strict=False)
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is not None and network.prefixlen >= 96:
        network = IPv4Network((mapped, network.prefixlen - 96))

    def test(text: str) -> bool:
        try:
            address = ip_address(text)
        except ValueError:
            return False
        return (getattr(address, "ipv4_mapped", None) or address) in network

    return test


def _like_arn(pieces: _Pieces) -> _Test:
    """A test of the six parts of an ARN, each by itself: no ``*`` reaches into the next part."""
    parts: list[list[_Piece]] = [[]]
    for piece in pieces:
        if isinstance(piece, str):
            first, *others = piece.split(":", 6 - len(parts))
            parts[-1].append(first)
            parts += [[other] for other in others]
        else:
            parts[-1].append(piece)
    if len(parts) != 6 or parts[0] != ["arn"]:
        raise ValueError
    tests = [_glob(tuple(part)) for part in parts]

    def test(text: str) -> bool:
        given = text.split(":", 5)
        return len(given) == 6 and all(
            accepts(part) for accepts, part in zip(tests, given, strict=True)
        )

    return test


_COMPARISONS = {
    "Equals": eq,
    "LessThan": lt,
    "LessThanEquals": le,
    "GreaterThan": gt,
    "GreaterThanEquals": ge,
}
_ARN_LIKE = Operator(_like_arn, "an ARN of six parts, with wildcards in them", has_wildcards=True)
_BOOL = Operator(_compared(_flag, eq), "true or false")
_POSITIVE = {
    "StringEquals": Operator(_compared(str, eq), "a string"),
    "StringEqualsIgnoreCase": Operator(_compared(str.casefold, eq), "a string"),
    "StringLike": Operator(_glob, "a string", has_wildcards=True),
    **{
        f"Numeric{name}": Operator(_compared(_number, compare), "a number")
        for name, compare in _COMPARISONS.items()
    },
    **{
        f"Date{name}": Operator(
            _compared(_moment, compare),
            "a date such as '2026-01-31T12:00:00Z', or seconds since 1970",
        )
        for name, compare in _COMPARISONS.items()
    },
    "Bool": _BOOL,
    "Null": _BOOL,
    "BinaryEquals": Operator(_compared(_bytes, eq), "base64"),
    "IpAddress": Operator(_in_network, "an IP address or a network, such as '192.0.2.0/24'"),
    "ArnEquals": _ARN_LIKE,
    "ArnLike": _ARN_LIKE,
}
_NEGATIVE = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "NumericNotEquals": "NumericEquals",
    "DateNotEquals": "DateEquals",
    "NotIpAddress": "IpAddress",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
}
#: By their names, without set operators and ``IfExists``.
OPERATORS = {
    **_POSITIVE,
    **{name: _POSITIVE[of]._replace(is_negated=True) for name, of in _NEGATIVE.items()},
}


# --- conditions -------------------------------------------------------------------------------

SET_OPERATORS = ("ForAllValues", "ForAnyValue")


class Condition(NamedTuple):
    """What the values of one condition key have to be."""

    #: In lower case.
    key: str
    values: Values
    #: One of `SET_OPERATORS`, or empty.
    set_operator: str
    if_exists: bool
    #: The operator ``Null``: it is told whether the key is absent.
    is_about_presence: bool

    def holds(self, keys: Keys) -> bool:
        """Whether they are."""
        given = keys.get(self.key)
        if self.is_about_presence:
            return self.values.accept("false" if given else "true", keys)
        if not given or (self.set_operator and not any(given)):
            return self._holds_without_value()
        verdicts = (self.values.accept(text, keys) for text in given)
        if self.set_operator:
            return all(verdicts) if self.set_operator == "ForAllValues" else any(verdicts)
        return all(verdicts) if self.values.is_negated else any(verdicts)

    def _holds_without_value(self) -> bool:
        """What an absent key comes to; to a set operator, an empty value is none.

        IfExists does not change what ForAnyValue says: so AWS was seen to decide.
        """
        if self.set_operator:
            return self.set_operator == "ForAllValues"
        return self.if_exists or self.values.is_negated
