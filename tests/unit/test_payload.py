"""payload.py: JSON in and JSON out.

What is accepted must not depend on whether msgspec is installed, so each payload is checked with
the standard library alone and with msgspec asked first.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections import OrderedDict
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from invokeasync_wsgi import payload
from invokeasync_wsgi.errors import InvalidRequestContentException

PREFIX = "Could not parse request body into json: Could not parse payload into json: "
FAST: Callable[[bytes], object] = msgspec.json.Decoder(msgspec.Raw).decode


def verdict(content: bytes) -> str | None:
    """What the caller is told, without the prefix; ``None`` when the payload is accepted."""
    try:
        payload.check(content)
    except InvalidRequestContentException as exc:
        told = str(exc)
    else:
        return None
    assert told.startswith(PREFIX)
    return told.removeprefix(PREFIX)


def both_verdicts(content: bytes, monkeypatch: pytest.MonkeyPatch) -> tuple[str | None, str | None]:
    monkeypatch.setattr(payload, "_validate_fast", None)
    without = verdict(content)
    monkeypatch.setattr(payload, "_validate_fast", FAST)
    return without, verdict(content)


ACCEPTED = [
    # Values of every kind.
    pytest.param(b"{}", id="empty object"),
    pytest.param(b"[]", id="empty array"),
    pytest.param(b'""', id="empty string"),
    pytest.param(b"null", id="null"),
    pytest.param(b"true", id="true"),
    pytest.param(b"false", id="false"),
    pytest.param(b"0", id="zero"),
    pytest.param(b"-0", id="minus zero"),
    pytest.param(b'{"a": [1, {"b": null}], "c": "d"}', id="all together"),
    pytest.param(b'{"a":1,"a":2}', id="a repeated key"),
    pytest.param(b'{"":0}', id="an empty key"),
    pytest.param(b" \t\r\n{ } \t\r\n", id="white space around it"),
    pytest.param(b'{\n\t"a" :\r1 , "b": [ ] }', id="white space within"),
    # Numbers.
    pytest.param(b"-1.5e+10", id="every part of a number"),
    pytest.param(b"1E5", id="capital exponent"),
    pytest.param(b"0.1e-7", id="negative exponent"),
    pytest.param(b"0e0", id="zero with an exponent"),
    pytest.param(b"1e999", id="a number over the range of floats"),
    pytest.param(b"-1e999", id="a number under the range of floats"),
    pytest.param(b"1e-999", id="a number too near to zero for a float"),
    pytest.param(b"9" * 400, id="an integer over the range of floats"),
    pytest.param(b"1" * 1000, id="an integer of 1000 digits"),
    pytest.param(b"-" + b"1" * 999, id="1000 characters with the sign"),
    pytest.param(b"0." + b"1" * 998, id="a fraction of 1000 characters"),
    pytest.param(b"[" + b",".join([b"1" * 1000] * 20) + b"]", id="many of 1000 digits"),
    pytest.param(b"[" + b"1," * 5000 + b"1]", id="many of one digit"),
    # Long rows of digits that are no numbers.
    pytest.param(b'"' + b"1" * 5000 + b'"', id="digits in a string"),
    pytest.param(b'{"' + b"1" * 5000 + b'":1}', id="digits in a key"),
    pytest.param(b'"\\"' + b"1" * 5000 + b'"', id="digits behind an escaped quote"),
    pytest.param(b'"' + b"1" * 5000 + b'\\""', id="digits before an escaped quote"),
    pytest.param(b'"\\\\\\"' + b"1" * 5000 + b'"', id="digits behind backslash and quote"),
    pytest.param(b'["\\\\","' + b"1" * 5000 + b'"]', id="digits behind a closed backslash"),
    pytest.param(b'["a\\"b","' + b"1" * 5000 + b'","\\""]', id="digits among escaped quotes"),
    pytest.param(b'"' + b"+-.eE" * 1000 + b'"', id="a string of other number characters"),
    pytest.param(b'"' + b"\\u0031" * 1000 + b'"', id="a string of escaped digits"),
    # Strings.
    pytest.param('"é ሴ 😀"'.encode(), id="UTF-8 of every length"),
    pytest.param(b'"\\u00e9 \\ud83d\\ude00"', id="escaped characters"),
    pytest.param(b'"\\" \\\\ \\/ \\b \\f \\n \\r \\t"', id="every short escape"),
    pytest.param(b'"\\ud800"', id="lone high surrogate, escaped"),
    pytest.param(b'"\\udc00"', id="lone low surrogate, escaped"),
    pytest.param(b'"\\ud800\\u0041"', id="high surrogate and a letter, escaped"),
    pytest.param(b'"\\ude00\\ud83d"', id="surrogates the wrong way round, escaped"),
    pytest.param(b'"\\u0000"', id="NUL, escaped"),
    pytest.param(b'"\x7f"', id="DEL"),
    pytest.param("\"\u2028\u2029\x85\ufeff\"".encode(), id="line separators, NEL, BOM in a string"),
    pytest.param("\"\uffff\U0010ffff\"".encode(), id="non-characters"),
    # Nesting.
    pytest.param(b"[" * 500 + b"]" * 500, id="500 arrays"),
    pytest.param(b'{"a":' * 500 + b"1" + b"}" * 500, id="500 objects"),
    pytest.param(b'[{"a":' * 250 + b"1" + b"}]" * 250, id="500 of both"),
    pytest.param(b"[" + b"[]," * 10000 + b"[]]", id="10001 arrays side by side"),
    pytest.param(b"[" + b'{"a":[1]},' * 10000 + b"1]", id="10000 objects side by side"),
    pytest.param(b'"' + b"[" * 100_000 + b'"', id="100000 brackets in a string"),
    pytest.param(b'{"' + b"[{" * 50_000 + b'":1}', id="100000 brackets in a key"),
    pytest.param(b'"\\"' + b"[" * 1000 + b'"', id="brackets behind an escaped quote"),
    pytest.param(b'"' + b'[\\"' * 1000 + b'"', id="brackets between escaped quotes"),
    pytest.param(b'"\\\\\\"' + b"[" * 1000 + b'"', id="brackets behind backslash and quote"),
    pytest.param(b'["\\\\","' + b"[" * 1000 + b'"]', id="brackets behind a closed backslash"),
    pytest.param(b"[" + b'"[",' * 1000 + b"1]", id="brackets in many strings"),
    pytest.param(b"[" + b'"","[","",' * 1000 + b"1]", id="brackets among empty strings"),
    pytest.param(b"[" + b'"]",' * 1000 + b"1]", id="closing brackets in many strings"),
    pytest.param(b"[" * 500 + b'"' + b"[" * 500 + b'"' + b"]" * 500, id="500 and a string of 500"),
]  # fmt: skip

REFUSED = [
    # Not one value.
    pytest.param(b" ", id="white space only"),
    pytest.param(b"{} {}", id="two values"),
    pytest.param(b"1 2", id="two numbers"),
    pytest.param(b'{"a":1}x', id="trailing garbage"),
    pytest.param(b"null\x00", id="trailing NUL"),
    pytest.param(b"[1] // comment", id="comment behind it"),
    pytest.param(b"/* comment */ 1", id="comment before it"),
    pytest.param(b"{", id="an open object"),
    pytest.param(b"[", id="an open array"),
    pytest.param(b"[1", id="an open array with a value"),
    pytest.param(b'"', id="an open string"),
    pytest.param(b'"abc\\"', id="a string whose end is escaped"),
    pytest.param(b'{"a"', id="a key and the end"),
    pytest.param(b'{"a":', id="a colon and the end"),
    pytest.param(b"}", id="a closing brace"),
    pytest.param(b"]", id="a closing bracket"),
    pytest.param(b"[}", id="brackets that do not match"),
    pytest.param(b"[1,]", id="a comma too many in an array"),
    pytest.param(b'{"a":1,}', id="a comma too many in an object"),
    pytest.param(b"[,1]", id="a comma first"),
    pytest.param(b"[1 2]", id="a comma is missing"),
    pytest.param(b'{"a" 1}', id="a colon is missing"),
    pytest.param(b"{1:2}", id="a key that is no string"),
    pytest.param(b"{a:1}", id="a key without quotes"),
    pytest.param(b"{'a':1}", id="single quotes"),
    pytest.param(b"`a`", id="backquotes"),
    pytest.param(b",", id="a comma"),
    # Words.
    pytest.param(b"value", id="a word"),
    pytest.param(b"nul", id="part of a word"),
    pytest.param(b"nullx", id="more than a word"),
    pytest.param(b"True", id="Python's True"),
    pytest.param(b"None", id="Python's None"),
    pytest.param(b"undefined", id="JavaScript's undefined"),
    pytest.param(b"NaN", id="NaN"),
    pytest.param(b"Infinity", id="Infinity"),
    pytest.param(b"-Infinity", id="-Infinity"),
    pytest.param(b"-NaN", id="-NaN"),
    pytest.param(b"nan", id="nan"),
    pytest.param(b'{"a":[NaN]}', id="NaN within"),
    pytest.param(b'{"a":' + b" " * 600 + b"NaN}", id="NaN within a long payload"),
    pytest.param("ünde".encode(), id="a word that is not ASCII"),
    # Numbers.
    pytest.param(b"01", id="a leading zero"),
    pytest.param(b"-01", id="a leading zero behind the sign"),
    pytest.param(b"+1", id="a plus sign"),
    pytest.param(b"-", id="a minus sign"),
    pytest.param(b"--1", id="two signs"),
    pytest.param(b".5", id="no digit before the point"),
    pytest.param(b"1.", id="no digit behind the point"),
    pytest.param(b"1.e5", id="no digit between point and exponent"),
    pytest.param(b"1e", id="no digit in the exponent"),
    pytest.param(b"1e+", id="a sign in the exponent only"),
    pytest.param(b"1e5.5", id="a fraction in the exponent"),
    pytest.param(b"0x10", id="hexadecimal"),
    pytest.param(b"1_000", id="an underscore"),
    pytest.param("١".encode(), id="digits that are not ASCII"),
    pytest.param(b"1" * 1001, id="an integer of 1001 digits"),
    pytest.param(b"-" + b"1" * 1000, id="1001 characters with the sign"),
    pytest.param(b"1" * 5000, id="an integer of 5000 digits"),
    pytest.param(b"1" * 1_000_000, id="an integer of a million digits"),
    pytest.param(b"0." + b"1" * 999, id="a fraction of 1001 characters"),
    pytest.param(b"1e" + b"0" * 999, id="an exponent of 1001 characters"),
    pytest.param(b"[" + b" " * 999 + b"1" * 1001 + b"]", id="1001 digits across the middle"),
    pytest.param(b'["' + b"1" * 2000 + b'",' + b"1" * 1001 + b"]", id="and in a string before"),
    pytest.param(b'["\\\\",' + b"1" * 1001 + b"]", id="1001 digits behind a closed backslash"),
    pytest.param(b'["\\"",' + b"1" * 1001 + b',"\\""]', id="1001 digits among escaped quotes"),
    pytest.param(b'{"a":' + b"1" * 1001 + b',"b":"' + b"1" * 999 + b'"}', id="and in a string"),
    pytest.param(b"-" * 2000, id="a row of minus signs"),
    # Strings.
    pytest.param(b'"\x00"', id="NUL"),
    pytest.param(b'"\x1f"', id="a control character"),
    pytest.param(b'"a\tb"', id="a tab"),
    pytest.param(b'"a\nb"', id="a line end"),
    pytest.param(b'{"a\n":1}', id="a line end in a key"),
    pytest.param(b'"\\x41"', id="an escape that does not exist"),
    pytest.param(b'"\\\'"', id="an escaped single quote"),
    pytest.param(b'"\\u00e"', id="three hexadecimal digits"),
    pytest.param(b'"\\u00eg"', id="a digit that is not hexadecimal"),
    pytest.param(b'"\\u+123"', id="a sign in an escape"),
    pytest.param(b'"\\u 123"', id="a space in an escape"),
    pytest.param(b'"\\U0001F600"', id="a capital U"),
    pytest.param(b'"\\', id="a backslash and the end"),
    pytest.param("“a”".encode(), id="curly quotes"),
    # Between values.
    pytest.param(b"\x0c1", id="form feed"),
    pytest.param(b"\x0b1", id="vertical tab"),
    pytest.param("\xa01".encode(), id="no-break space"),
    pytest.param(b"[1\x00]", id="NUL between values"),
    # Other encodings.
    pytest.param("\ufeff{}".encode(), id="UTF-8 with a byte-order mark"),
    pytest.param("{}".encode("utf-16"), id="UTF-16 with a byte-order mark"),
    pytest.param("{}".encode("utf-16-le"), id="UTF-16 LE"),
    pytest.param("{}".encode("utf-16-be"), id="UTF-16 BE"),
    pytest.param('{"a":1}'.encode("utf-16-le"), id="UTF-16 LE, longer"),
    pytest.param("1".encode("utf-16-le"), id="UTF-16 LE, one digit"),
    pytest.param("{}".encode("utf-32"), id="UTF-32 with a byte-order mark"),
    pytest.param("{}".encode("utf-32-le"), id="UTF-32 LE"),
    pytest.param("{}".encode("utf-32-be"), id="UTF-32 BE"),
    pytest.param('"é"'.encode("latin-1"), id="Latin-1"),
    pytest.param(b'"\x80"', id="a continuation byte alone"),
    pytest.param(b'"\xff"', id="a byte that UTF-8 never has"),
    pytest.param(b'"\xc3"', id="a character cut off"),
    pytest.param(b'"\xe2\x82', id="a character cut off by the end"),
    pytest.param(b'"\xc0\xaf"', id="an overlong slash"),
    pytest.param(b'"\xe0\x80\xaf"', id="a longer overlong slash"),
    pytest.param(b'"\xed\xa0\x80"', id="CESU: a lone high surrogate"),
    pytest.param(b'"\xed\xb0\x80"', id="CESU: a lone low surrogate"),
    pytest.param(b'"\xed\xa0\xbd\xed\xb8\x80"', id="CESU: a pair of surrogates"),
    pytest.param(b'"\xf4\x90\x80\x80"', id="over the last character"),
    pytest.param(b'{"\xff":1}', id="a bad byte in a key"),
    pytest.param(b'{}\xff', id="a bad byte behind it"),
    # Nesting.
    pytest.param(b"[" * 501 + b"]" * 501, id="501 arrays"),
    pytest.param(b'{"a":' * 501 + b"1" + b"}" * 501, id="501 objects"),
    pytest.param(b'[{"a":' * 250 + b"[]" + b"}]" * 250, id="501 of both"),
    pytest.param(b"[" * 1000 + b"]" * 1000, id="1000 arrays"),
    pytest.param(b"[" * 100_000 + b"]" * 100_000, id="100000 arrays"),
    pytest.param(b'{"a":' * 100_000 + b"1" + b"}" * 100_000, id="100000 objects"),
    pytest.param(b"[" * 100_000, id="100000 open arrays"),
    pytest.param(b'{"a":' * 100_000, id="100000 open objects"),
    pytest.param(b"]" * 100_000, id="100000 closing brackets"),
    pytest.param(b"[]" * 100_000, id="100000 arrays without commas"),
    pytest.param(b'["\\"",' + b"[" * 501 + b"]" * 502, id="502 behind an escaped quote"),
    pytest.param(b'["\\\\",' + b"[" * 501 + b"]" * 502, id="502 behind a closed backslash"),
    pytest.param(b'["]]]]",' + b"[" * 500 + b"]" * 501, id="501 and closing ones in a string"),
    pytest.param(b'["",' * 501 + b'""' + b"]" * 501, id="501 among empty strings"),
    pytest.param(b'["[' + b"[" * 600 + b'"', id="brackets in a string, then the end"),
]  # fmt: skip


@pytest.mark.parametrize("content", ACCEPTED)
def test_a_payload_is_accepted_with_and_without_msgspec(
    content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert both_verdicts(content, monkeypatch) == (None, None)


@pytest.mark.parametrize("content", ACCEPTED)
def test_what_is_accepted_can_be_decoded(content: bytes) -> None:
    assert payload.decode_event(content) == json.loads(content.decode())


@pytest.mark.parametrize("content", REFUSED)
def test_a_payload_is_refused_with_the_same_words_with_and_without_msgspec(
    content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    without, with_msgspec = both_verdicts(content, monkeypatch)
    assert without is not None
    assert with_msgspec == without


def test_msgspec_is_asked_when_it_is_installed() -> None:
    assert payload._validate_fast is not None


def test_no_bytes_at_all_are_no_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service turns an empty body into `EMPTY_EVENT` before it asks."""
    without, with_msgspec = both_verdicts(b"", monkeypatch)
    assert without == with_msgspec
    assert without is not None
    assert verdict(payload.EMPTY_EVENT) is None


def test_a_validator_that_says_no_to_everything_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(content: bytes) -> object:
        raise RuntimeError("no")

    monkeypatch.setattr(payload, "_validate_fast", refuse)
    assert verdict(b'{"a":1}') is None
    assert verdict(b'{"a":') is not None


AT = "\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); "
VALUES = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        pytest.param(
            b'{"\x87":1}',
            f"Invalid UTF-8 start byte 0x87{AT}line: 1, column: 3]",
            id="a bad first byte, as recorded",
        ),
        pytest.param(
            b'["a",\n "\xc3"]',
            f"Invalid UTF-8 middle byte 0x22{AT}line: 2, column: 4]",
            id="a bad second byte, on the second line",
        ),
        pytest.param(
            b'"\xe2\x82',
            f"Invalid UTF-8 middle byte 0x82{AT}line: 1, column: 3]",
            id="the end within a character",
        ),
        pytest.param(
            b"value",
            f"Unrecognized token 'value': was expecting {VALUES}{AT}line: 1, column: 1]",
            id="a word",
        ),
        pytest.param(
            b"[1,\n" + b"x" * 60 + b"]",
            f"Unrecognized token '{'x' * 50}': was expecting {VALUES}{AT}line: 2, column: 1]",
            id="a long word",
        ),
        pytest.param(
            b"*",
            f"Unexpected character ('*' (code 42)): expected a valid value {VALUES}"
            f"{AT}line: 1, column: 1]",
            id="a character",
        ),
        pytest.param(
            b"\x99",
            f"Unexpected character ((CTRL-CHAR, code 153)): expected a valid value {VALUES}"
            f"{AT}line: 1, column: 1]",
            id="a byte that starts nothing, where a value belongs",
        ),
        pytest.param(
            b'["\\"\x87',
            f"Invalid UTF-8 start byte 0x87{AT}line: 1, column: 5]",
            id="a byte that starts nothing, in a string",
        ),
        pytest.param(
            "\x85".encode(),
            f"Unexpected character ((CTRL-CHAR, code 133)): expected a valid value {VALUES}"
            f"{AT}line: 1, column: 1]",
            id="a control character",
        ),
        pytest.param(
            b'{"a": "', f"Unexpected end-of-input{AT}line: 1, column: 7]", id="an open string"
        ),
        pytest.param(b"[1,", f"Unexpected end-of-input{AT}line: 1, column: 4]", id="an open array"),
        pytest.param(
            b"{} x",
            f"Unexpected character ('x' (code 120)): Extra data{AT}line: 1, column: 4]",
            id="trailing garbage",
        ),
        pytest.param(
            b"[NaN]",
            "Non-standard token 'NaN': enable `JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS` to allow",
            id="NaN",
        ),
        pytest.param(
            b"[" * 501,
            "Document nesting depth exceeds the maximum allowed "
            "(500, from `StreamReadConstraints.getMaxNestingDepth()`)",
            id="nesting",
        ),
        pytest.param(
            b"1" * 1001,
            "Number value length exceeds the maximum allowed "
            "(1000, from `StreamReadConstraints.getMaxNumberLength()`)",
            id="number length",
        ),
    ],
)
def test_the_reason_stands_in_jacksons_words(content: bytes, text: str) -> None:
    assert verdict(content) == text


def test_the_prefix_is_awss() -> None:
    with pytest.raises(InvalidRequestContentException) as caught:
        payload.check(b"x")
    assert str(caught.value).startswith(PREFIX)
    assert caught.value.__cause__ is None


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="the parser does not use this stack")
def test_a_stack_that_is_too_full_for_the_nesting_is_no_other_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(payload, "_validate_fast", None)
    content = b"[" * 500 + b"]" * 500

    def verdict_below(calls: int) -> str | None:
        return verdict(content) if calls == 0 else verdict_below(calls - 1)

    assert verdict_below(0) is None
    free = sys.getrecursionlimit() - len(inspect.stack(0))
    assert verdict_below(free - 300) == (
        "Document nesting depth exceeds the maximum allowed "
        "(500, from `StreamReadConstraints.getMaxNestingDepth()`)"
    )


# --- events ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "encoded"),
    [
        ({"a": [1, 2.5, None, True]}, b'{"a":[1,2.5,null,true]}'),
        (None, b"null"),
        ("é", b'"\\u00e9"'),
        ("\ud800", b'"\\ud800"'),
        ((1, 2), b"[1,2]"),
        ({1: 2}, b'{"1":2}'),
    ],
)
def test_an_event_is_encoded_as_a_client_would(event: object, encoded: bytes) -> None:
    assert payload.encode_event(event) == encoded
    assert verdict(encoded) is None


@pytest.mark.parametrize(
    ("event", "error"),
    [
        (float("nan"), ValueError),
        ([float("inf")], ValueError),
        ({1, 2}, TypeError),
        (b"bytes", TypeError),
        (Decimal(1), TypeError),
        ({(1, 2): 3}, TypeError),
        (object(), TypeError),
    ],
)
def test_an_event_without_a_json_form_is_the_callers_error(
    event: object, error: type[Exception]
) -> None:
    with pytest.raises(error):
        payload.encode_event(event)


def test_an_event_that_holds_itself_is_the_callers_error() -> None:
    event: list[object] = []
    event.append(event)
    with pytest.raises(ValueError, match="Circular"):
        payload.encode_event(event)


# --- results --------------------------------------------------------------------------------

#: Lambda's runtimes escape characters up to Python 3.11 and write them from 3.12 on.
E_ACUTE = b"\\u00e9" if sys.version_info < (3, 12) else "é".encode()


@pytest.mark.parametrize(
    ("result", "encoded"),
    [
        pytest.param(None, b"null", id="None"),
        pytest.param("x", b'"x"', id="a string"),
        pytest.param({"a": [1, 2], "b": {}}, b'{"a": [1, 2], "b": {}}', id="spaces"),
        pytest.param("é", b'"' + E_ACUTE + b'"', id="not ASCII"),
        pytest.param("\ud800é", b'"\\ud800\\u00e9"', id="a lone surrogate"),
        pytest.param(float("nan"), b"NaN", id="NaN"),
        pytest.param([float("inf"), float("-inf")], b"[Infinity, -Infinity]", id="Infinity"),
        pytest.param((1, (2,)), b"[1, [2]]", id="tuples"),
        pytest.param({1: 2, None: 1.5}, b'{"1": 2, "null": 1.5}', id="keys that are no strings"),
        pytest.param(OrderedDict(b=1, a=2), b'{"b": 1, "a": 2}', id="order"),
        pytest.param(10**400, b"1" + b"0" * 400, id="a large integer"),
        pytest.param(b"\x00\xff", b"\x00\xff", id="bytes"),
        pytest.param(b"", b"", id="no bytes"),
        pytest.param(Decimal("1.50"), b"1.50", id="Decimal, spelled as it is"),
        pytest.param(Decimal("1E+5"), b"1E+5", id="Decimal with an exponent"),
        pytest.param(Decimal("-0"), b"-0", id="Decimal, minus zero"),
        pytest.param(Decimal("NaN"), b"NaN", id="Decimal, NaN"),
        pytest.param(Decimal("sNaN"), b"NaN", id="Decimal, signalling NaN"),
        pytest.param(Decimal("-Infinity"), b"-Infinity", id="Decimal, Infinity"),
        pytest.param(
            {"a": [Decimal("0.1"), "0.1", 0.1], "b": Decimal(2)},
            b'{"a": [0.1, "0.1", 0.1], "b": 2}',
            id="Decimals among others",
        ),
        pytest.param(
            [Decimal(number) for number in range(12)],
            b"[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]",
            id="more than ten Decimals",
        ),
        pytest.param([Decimal("1.1"), "\ud800"], b'[1.1, "\\ud800"]', id="Decimal and surrogate"),
        pytest.param([Decimal("1.1"), "é"], b'[1.1, "' + E_ACUTE + b'"]', id="Decimal and é"),
    ],
)
def test_a_result_is_encoded_as_awss_runtime_does(result: object, encoded: bytes) -> None:
    assert payload.encode_result(result) == encoded


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        pytest.param({1}, "Object of type set is not JSON serializable", id="a set"),
        pytest.param(bytearray(), "Object of type bytearray is not JSON serializable", id="bytes"),
        pytest.param([b""], "Object of type bytes is not JSON serializable", id="bytes within"),
        pytest.param(
            [Decimal(1), {1}], "Object of type set is not JSON serializable", id="Decimal and set"
        ),
        pytest.param(
            Unprintable(), "Object of type Unprintable is not JSON serializable", id="an object"
        ),
        pytest.param(
            {(1, 2): 3},
            "keys must be str, int, float, bool or None, not tuple",
            id="a tuple as key",
        ),
    ],
)
def test_a_result_without_a_json_form_is_a_marshal_error(result: object, reason: str) -> None:
    with pytest.raises(payload.MarshalError) as caught:
        payload.encode_result(result)
    assert str(caught.value) == f"Unable to marshal response: {reason}"


def test_a_decimal_is_no_key() -> None:
    with pytest.raises(payload.MarshalError, match="keys must be str, int, float, bool or None"):
        payload.encode_result({Decimal(1): 3})


def test_a_result_that_holds_itself_is_a_marshal_error() -> None:
    result: dict[str, object] = {}
    result["self"] = result
    with pytest.raises(payload.MarshalError, match="Circular reference detected"):
        payload.encode_result(result)


def test_a_result_that_nests_too_deeply_is_a_marshal_error() -> None:
    result: list[Any] = []
    for _ in range(100_000):
        result = [result]
    with pytest.raises(payload.MarshalError, match=r"Unable to marshal response: .*recursion"):
        payload.encode_result(result)


# --- errors ---------------------------------------------------------------------------------


def test_an_exception_has_the_runtimes_keys_in_its_order() -> None:
    frame = '  File "/app/f.py", line 1, in handler\n    raise KeyError("gone")\n'
    assert payload.exception_payload("'gone'", "KeyError", "id", [frame]) == (
        b'{"errorMessage": "\'gone\'", "errorType": "KeyError", "requestId": "id", "stackTrace": '
        b'["  File \\"/app/f.py\\", line 1, in handler\\n    raise KeyError(\\"gone\\")\\n"]}'
    )


def test_an_exception_may_have_any_text() -> None:
    error = json.loads(payload.exception_payload("\ud800 é \x00", "E", "", []))
    assert error["errorMessage"] == "\ud800 é \x00"


@pytest.mark.parametrize(
    ("timeout_s", "printed"), [(1, "1.00"), (30, "30.00"), (0.5, "0.50"), (900.0, "900.00")]
)
def test_a_timeout_is_printed_with_two_decimals(timeout_s: float, printed: str) -> None:
    assert payload.timeout_payload("id", timeout_s) == (
        b'{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: id Error: Task timed out '
        b"after " + printed.encode() + b' seconds"}'
    )


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        pytest.param(None, "exited without providing a reason", id="none"),
        pytest.param(0, "exited without providing a reason", id="0"),
        pytest.param(False, "exited without providing a reason", id="False"),
        pytest.param(1, "exited with error: exit status 1", id="1"),
        pytest.param(127, "exited with error: exit status 127", id="127"),
        pytest.param("text", "exited with error: exit status 1", id="a text"),
        pytest.param("", "exited with error: exit status 1", id="an empty text"),
        pytest.param((1, 2), "exited with error: exit status 1", id="a tuple"),
        pytest.param(True, "exited with error: exit status 1", id="True"),
    ],
)
def test_an_exit_is_reported_with_its_status(code: object, reason: str) -> None:
    assert payload.exit_payload("id", code).decode() == (
        '{"errorType":"Runtime.ExitError","errorMessage":"RequestId: id Error: '
        f'Runtime {reason}"}}'
    )


def test_a_result_over_the_limit_is_told_the_limit() -> None:
    assert payload.too_large_payload(6_291_556) == (
        b'{"errorMessage":"Response payload size exceeded maximum allowed payload size '
        b'(6291556 bytes).","errorType":"Function.ResponseSizeTooLarge"}'
    )
