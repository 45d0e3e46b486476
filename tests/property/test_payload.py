"""Payloads: both validators agree on any bytes, and what goes in as JSON comes out as JSON."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from invokeasync_wsgi import payload
from invokeasync_wsgi.errors import InvalidRequestContentException

PREFIX = "Could not parse request body into json: Could not parse payload into json: "
FAST: Callable[[bytes], object] = msgspec.json.Decoder(msgspec.Raw).decode

#: Pieces of JSON and of what is nearly JSON.
pieces = st.sampled_from(
    [b"{", b"}", b"[", b"]", b":", b",", b'"', b'\\"', b"\\\\", b"\\", b"\\u", b"\\ud800", b"00e9",
     b"0", b"1", b"12", b"-", b"+", b".", b"e", b"E", b"true", b"null", b"NaN", b"Infinity",
     b" ", b"\n", b"\t", b"\x00", b"\x1f", b"\x7f", b"\xc3\xa9", b"\xff", b"\xed\xa0\x80",
     b"\xef\xbb\xbf", b'"a"', b'"":', b'{"a":1}', b"[1,2]", b"1" * 999, b"[" * 499, b"]" * 499]
)  # fmt: skip
numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**30), 10**30)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(st.characters(), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


@st.composite
def spoiled_json(draw: st.DrawFn) -> bytes:
    """JSON with some bytes left out, repeated or put in."""
    content = json.dumps(draw(json_values), ensure_ascii=draw(st.booleans())).encode(
        errors="surrogatepass"
    )
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(content)))
        end = draw(st.integers(at, min(at + 3, len(content))))
        content = content[:at] + draw(pieces) + content[end:]
    return content


any_bytes = (
    st.binary(max_size=30)
    | st.text(max_size=20).map(str.encode)
    | st.lists(pieces, max_size=12).map(b"".join)
    | spoiled_json()
)


def verdict(content: bytes, validator: Callable[[bytes], object] | None) -> str | None:
    """What the caller is told; ``None`` when the payload is accepted."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(payload, "_validate_fast", validator)
        try:
            payload.check(content)
        except InvalidRequestContentException as exc:
            return str(exc)
    return None


@settings(max_examples=1000, deadline=None)
@given(any_bytes)
@example(b'"\xed\xa0\x80"')
@example(b'"\\ud800"')
@example(b'"' + b"\\" * 501 + b'"')
@example(b'"' + b"\\" * 502 + b'"')
def test_any_bytes_are_accepted_by_both_validators_or_refused_in_the_same_words(
    content: bytes,
) -> None:
    without, with_msgspec = verdict(content, None), verdict(content, FAST)
    assert without == with_msgspec
    if without is None:
        assert payload.decode_event(content) == json.loads(content.decode())
    else:
        assert without.startswith(PREFIX)


@given(json_values)
def test_an_event_that_can_be_encoded_is_accepted_and_comes_back(value: Any) -> None:
    encoded = payload.encode_event(value)
    assert verdict(encoded, None) is None
    assert verdict(encoded, FAST) is None
    assert payload.decode_event(encoded) == value


# --- nesting --------------------------------------------------------------------------------


def count_nesting(text: str) -> int:
    """How deep brackets nest, told one character at a time."""
    deepest = depth = 0
    in_string = escaped = False
    for char in text:
        if escaped:
            escaped = False
        elif in_string:
            escaped = char == "\\"
            in_string = char != '"'
        elif char == '"':
            in_string = True
        elif char in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in "]}":
            depth -= 1
    return deepest


@st.composite
def deep_json(draw: st.DrawFn) -> str:
    """An array of towers of arrays and objects, with brackets and quotes in their strings."""
    strings = st.text('[]{}"\\ a,:', max_size=6).map(json.dumps)
    towers = []
    for _ in range(draw(st.integers(1, 4))):
        text, key = draw(strings), draw(strings)
        height = draw(st.integers(0, 40) | st.integers(480, 520))
        opening, closing = draw(
            st.sampled_from(
                [("[", "]"), (f"[{text},", "]"), (f"{{{key}:", "}"), (f"[{{{key}:", "}]")]
            )
        )
        repeated = draw(st.integers(0, 400))
        towers += [opening * height + text + closing * height] + [text] * repeated
    return f"[{','.join(towers)}]"


@settings(max_examples=150, deadline=None)
@given(json_values)
def test_a_handler_gets_the_same_event_with_and_without_msgspec(value: Any) -> None:
    text = json.dumps(value)
    assert repr(payload.decode_event(text.encode())) == repr(json.loads(text))


@given(st.from_regex(r"\A-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?\Z"))
def test_a_number_is_the_same_with_and_without_msgspec(text: str) -> None:
    assert repr(payload.decode_event(text.encode())) == repr(json.loads(text))


@given(deep_json())
def test_nesting_is_counted_as_one_character_at_a_time_would(text: str) -> None:
    expected = count_nesting(text)
    counted = payload._nesting(text.encode())
    assert counted >= expected
    if counted > payload.MAX_NESTING:
        assert counted == expected


@given(json_values)
def test_nesting_is_never_counted_too_low(value: Any) -> None:
    text = json.dumps(value)
    assert payload._nesting(text.encode()) >= count_nesting(text)


# --- long numbers ---------------------------------------------------------------------------


@settings(deadline=None)
@given(
    st.integers(0, 2100),
    st.integers(998, 1003),
    st.sampled_from([b"", b"-", b"0.", b"1e"]),
    st.sampled_from([b"", b" ", b',"1"', b',"' + b"1" * 1500 + b'"', b',"\\"",1']),
)
def test_a_number_is_too_long_wherever_it_stands(
    before: int, length: int, start: bytes, after: bytes
) -> None:
    number = start + b"1" * (length - len(start))
    content = b"[" + b" " * before + number + after + b"]"
    told = verdict(content, FAST)
    assert told == verdict(content, None)
    assert (told is None) == (length <= payload.MAX_NUMBER_LENGTH)


# --- results --------------------------------------------------------------------------------

decimals = st.decimals(allow_nan=False)
results_with_decimals = st.recursive(
    decimals | st.text(max_size=8) | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(st.recursive(json_values | st.floats(), lambda inner: st.lists(inner, max_size=3)))
def test_a_plain_result_is_what_json_makes_of_it(value: Any) -> None:
    expected = json.dumps(value, ensure_ascii=sys.version_info < (3, 12))
    assert payload.encode_result(value) == expected.encode()


@given(results_with_decimals)
def test_a_decimal_is_the_number_it_spells(value: Any) -> None:
    def constant(name: str) -> Decimal:
        return Decimal(name)

    decoded = json.loads(
        payload.encode_result(value),
        parse_float=Decimal,
        parse_int=Decimal,
        parse_constant=constant,
    )
    assert decoded == value


@given(st.decimals())
def test_any_decimal_is_json_as_pythons_parser_reads_it(number: Decimal) -> None:
    decoded = json.loads(payload.encode_result(number))
    assert math.isnan(decoded) if number.is_nan() else isinstance(decoded, (int, float))


@given(st.text(st.characters(), max_size=20))
def test_any_text_of_an_exception_is_sent(text: str) -> None:
    error = json.loads(payload.exception_payload(text, text, "id", [text]))
    assert error == {
        "errorMessage": text,
        "errorType": text,
        "requestId": "id",
        "stackTrace": [text],
    }
