"""JSON in and JSON out: which payloads are taken, what a handler gets, what its result becomes.

`check` decides before the 202, as strictly as AWS's parser (Jackson): UTF-8 only, no byte-order
mark, no NaN or Infinity, nothing after the value, bounded nesting and number length. It builds
nothing that is kept; the bytes themselves travel on to the handler's decoder, to records and to
dead letters.

Two validators stand behind it. The standard library's is the rule. When msgspec is installed (the
``fast`` extra) it is asked first, about ten times faster because it validates without building;
only its yes counts, and only after the checks that it leaves out (UTF-8, number length, nesting)
were made here. A no is looked at again by the standard library, which also gives the reason, so
answers are the same with and without the extra.

`encode_result` and the error payloads follow AWS's Python runtime (awslambdaric 4.2): separators
with a space, `decimal.Decimal` as a number, NaN as the bare word, and the keys in its order.

Pure: bytes and values in, bytes and values or an error out.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Callable
from decimal import Decimal
from itertools import accumulate
from typing import Any, NoReturn

from .errors import InvalidRequestContentException

#: Arrays and objects within each other. Jackson stops at 1000; so do Python 3.10 and 3.11, with
#: the caller's own stack counted in. Half of that decodes on every Python wherever we are called.
MAX_NESTING = 500
#: Characters of one number: Jackson's limit, and far under the 4300 digits Python converts.
MAX_NUMBER_LENGTH = 1000

#: What an empty body means, and what the handler and the records get for it.
EMPTY_EVENT = b"{}"

_REFUSED = "Could not parse request body into json: Could not parse payload into json: "
_VALUES = "JSON String, Number, Array, Object or token 'null', 'true' or 'false'"
_SOURCE = "[Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); "

_NUMBER = b"0123456789+-.eE"
_ALL_BYTES = bytes(range(256))
_NUMBER_AS_DIGIT = bytes.maketrans(_NUMBER, b"0" * len(_NUMBER))
_SAMPLES_IN_A_ROW = b"0" * (MAX_NUMBER_LENGTH // 64)
_NOT_STRUCTURE = _ALL_BYTES.translate(None, b'[{}]"')
_BRACES_AS_BRACKETS = bytes.maketrans(b"{}", b"[]")
_DEPTH_CHANGE = [(byte in b"[") - (byte in b"]") for byte in range(256)]


class MarshalError(Exception):
    """A handler's result cannot become JSON. The text is the runtime's."""


class UnmarshalError(Exception):
    """A payload cannot be decoded: it was never checked. The text is the runtime's."""


def check(payload: bytes) -> None:
    """Refuse a payload that is not JSON; return when it is.

    Raises:
        InvalidRequestContentException: with AWS's prefix and a reason in Jackson's words. Clients
            can rely on the prefix only.
    """
    if not payload.isascii():
        _check_utf8(payload)
    if len(payload) > MAX_NESTING:
        if _nesting(payload) > MAX_NESTING:
            _refuse(_limit("Document nesting depth", MAX_NESTING, "getMaxNestingDepth"))
        if _has_long_number(payload) and _has_long_number(
            b" ".join(_outside_strings(_without_escapes(payload)))
        ):
            _refuse(_limit("Number value length", MAX_NUMBER_LENGTH, "getMaxNumberLength"))
    if _validate_fast is not None:
        try:
            _validate_fast(payload)
        except Exception:  # noqa: BLE001, S110 - the reference validator decides, and says why
            pass
        else:
            return
    _check_syntax(payload.decode())


def decode_event(payload: bytes) -> Any:
    """The value a handler gets as its event: what `json.loads` makes of it, sooner with msgspec.

    Raises:
        UnmarshalError: it is not JSON. What `check` has accepted is.
    """
    if _decode_fast is not None:
        try:
            return _decode_fast(payload)
        except Exception:  # noqa: BLE001, S110 - lone surrogates and 1e999 are for the other one
            pass
    try:
        return json.loads(payload)
    except (ValueError, RecursionError) as exc:
        raise UnmarshalError(f"Unable to unmarshal input: {exc}") from exc


def encode_event(event: object) -> bytes:
    """An event given as a Python value, as the compact JSON that a client would send.

    Raises:
        TypeError, ValueError: it has no JSON form; NaN and Infinity have none.
    """
    return json.dumps(event, separators=(",", ":"), allow_nan=False).encode()


def encode_result(result: object) -> bytes:
    """A handler's result as AWS's Python runtime sends it; ``bytes`` go out as they are.

    Raises:
        MarshalError: it has no JSON form.
    """
    if result is None:  # what most handlers of events return
        return b"null"
    if isinstance(result, bytes):
        return result
    try:
        return _encode(result)
    except Exception as exc:
        raise MarshalError(f"Unable to marshal response: {exc}") from exc


def exception_payload(
    message: str, error_type: str, request_id: str, stack_trace: list[str]
) -> bytes:
    """The payload of a function error as the Python runtime reports it."""
    return _encode(
        {
            "errorMessage": message,
            "errorType": error_type,
            "requestId": request_id,
            "stackTrace": stack_trace,
        }
    )


def timeout_payload(request_id: str, timeout_s: float) -> bytes:
    """The payload of an attempt that reached its deadline.

    >>> timeout_payload("0000", 1)
    b'{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: 0000 Error: Task timed out after 1.00 seconds"}'
    """  # noqa: E501
    return _service_error(
        "Sandbox.Timedout",
        f"RequestId: {request_id} Error: Task timed out after {timeout_s:.2f} seconds",
    )


def exit_payload(request_id: str, code: object) -> bytes:
    """The payload of an attempt whose handler tried to end the process.

    Args:
        request_id: of the invocation.
        code: what ``sys.exit`` was given: ``None`` and 0 are an exit without a reason, a number
            is the exit status, anything else exits with 1, as the interpreter does.
    """
    if code is None or code == 0:
        reason = "Runtime exited without providing a reason"
    else:
        status = int(code) if isinstance(code, int) else 1
        reason = f"Runtime exited with error: exit status {status}"
    return _service_error("Runtime.ExitError", f"RequestId: {request_id} Error: {reason}")


def too_large_payload(limit_bytes: int) -> bytes:
    """The payload that replaces a result over the limit; here the message comes first."""
    return _compact(
        {
            "errorMessage": "Response payload size exceeded maximum allowed payload size "
            f"({limit_bytes} bytes).",
            "errorType": "Function.ResponseSizeTooLarge",
        }
    )


def killed_payload(request_id: str) -> bytes:
    """The payload of an event under which processes die."""
    reason = "Runtime exited with error: signal: killed"
    return _service_error("Runtime.ExitError", f"RequestId: {request_id} Error: {reason}")


def _service_error(error_type: str, message: str) -> bytes:
    return _compact({"errorType": error_type, "errorMessage": message})


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


# --- checking -------------------------------------------------------------------------------


# msgspec's decoders, or None where it is not installed: one that only validates, one that builds.
_validate_fast: Callable[[bytes], object] | None = None
_decode_fast: Callable[[bytes], object] | None = None
with contextlib.suppress(ImportError):
    import msgspec

    _validate_fast = msgspec.json.Decoder(msgspec.Raw).decode
    _decode_fast = msgspec.json.Decoder().decode


def _refuse_constant(name: str) -> NoReturn:
    _refuse(
        f"Non-standard token '{name}': enable `JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS` to allow"
    )


_strict_decoder = json.JSONDecoder(parse_constant=_refuse_constant)


def _check_utf8(payload: bytes) -> None:
    try:
        payload.decode()
    except UnicodeDecodeError as exc:
        kind = "start" if exc.reason == "invalid start byte" else "middle"
        at = exc.start if kind == "start" else min(exc.end, len(payload) - 1)
        before = payload[:at]
        line, column = before.count(b"\n") + 1, at - before.rfind(b"\n")
        if _without_escapes(before).count(b'"') % 2:  # within a string
            _refuse(f"Invalid UTF-8 {kind} byte 0x{payload[at]:02x}", line, column)
        _refuse(_unexpected(chr(payload[at])), line, column)


def _check_syntax(text: str) -> None:
    try:
        _strict_decoder.decode(text)
    except json.JSONDecodeError as exc:
        _refuse(_jackson_reason(exc), exc.lineno, exc.colno)
    except RecursionError:  # `MAX_NESTING` fits every Python, but not every caller's stack
        _refuse(_limit("Document nesting depth", MAX_NESTING, "getMaxNestingDepth"))


def _jackson_reason(exc: json.JSONDecodeError) -> str:
    """Say what stdlib found in the words of the parser whose errors clients know."""
    if exc.pos >= len(exc.doc) or exc.msg.startswith("Unterminated string"):
        return "Unexpected end-of-input"
    char = exc.doc[exc.pos]
    if exc.msg != "Expecting value":
        return f"Unexpected character ({_show(char)}): {exc.msg}"
    if char.isalpha():
        word = exc.doc[exc.pos : exc.pos + 50].split(maxsplit=1)[0]
        return f"Unrecognized token '{word}': was expecting ({_VALUES})"
    return _unexpected(char)


def _unexpected(char: str) -> str:
    return f"Unexpected character ({_show(char)}): expected a valid value ({_VALUES})"


def _show(char: str) -> str:
    code = ord(char)
    if code < 32 or 127 <= code < 160:
        return f"(CTRL-CHAR, code {code})"
    return f"'{char}' (code {code})" if code < 256 else f"'{char}' (code {code} / 0x{code:x})"


def _limit(what: str, maximum: int, setting: str) -> str:
    return (
        f"{what} exceeds the maximum allowed ({maximum}, from `StreamReadConstraints.{setting}()`)"
    )


def _refuse(reason: str, line: int | None = None, column: int | None = None) -> NoReturn:
    where = "" if line is None else f"\n at {_SOURCE}line: {line}, column: {column}]"
    raise InvalidRequestContentException(f"{_REFUSED}{reason}{where}") from None


def _nesting(payload: bytes) -> int:
    """How deep arrays and objects nest, at most: exact above `MAX_NESTING`.

    Without recursion, and without a loop over characters: 30 µs for 100 KB when there are too few
    brackets to be deep, 100 µs else.
    """
    brackets = payload.translate(_BRACES_AS_BRACKETS, _NOT_STRUCTURE)
    openings = brackets.count(b"[")
    if openings <= MAX_NESTING:
        return openings
    if b"\\" in payload:
        brackets = _without_escapes(payload).translate(_BRACES_AS_BRACKETS, _NOT_STRUCTURE)
    # An empty string can go whichever quotes it is made of: two quotes leave the parity, and so
    # what is inside a string and what is not, as it was.
    brackets = brackets.replace(b'""', b"")
    if b'"' in brackets:
        brackets = b"".join(_outside_strings(brackets))
    # Real events are wide and not deep: after a few rounds without the innermost, none is left.
    for depth in range(8):
        if not brackets:
            return depth
        brackets = brackets.replace(b"[]", b"")
    return 8 + max(accumulate(map(_DEPTH_CHANGE.__getitem__, brackets)), default=0)


def _has_long_number(payload: bytes) -> bool:
    """Whether number characters stand in a row longer than `MAX_NUMBER_LENGTH`.

    Such a row covers fifteen multiples of 64 in a row, which hardly any other event does; one that
    does is looked at where the row must then be, at each multiple of the limit.
    """
    if _SAMPLES_IN_A_ROW not in payload[::64].translate(_NUMBER_AS_DIGIT):
        return False
    for at in range(0, len(payload), MAX_NUMBER_LENGTH):
        if payload[at] in _NUMBER:
            before = payload[max(at - MAX_NUMBER_LENGTH, 0) : at]
            after = payload[at : at + MAX_NUMBER_LENGTH + 1]
            row = len(before) - len(before.rstrip(_NUMBER))
            row += len(after) - len(after.lstrip(_NUMBER))
            if row > MAX_NUMBER_LENGTH:
                return True
    return False


def _without_escapes(payload: bytes) -> bytes:
    """The payload less ``\\\\`` and ``\\"``, after which every quote begins or ends a string.

    A run of backslashes always starts outside of an escape, so pairs can go from its left end.
    """
    return payload.replace(rb"\\", b"").replace(rb"\"", b"")


def _outside_strings(payload: bytes) -> list[bytes]:
    """What stands outside of the strings of a payload without escapes, piece by piece."""
    return payload.split(b'"')[::2]


# --- encoding -------------------------------------------------------------------------------

# Lambda's runtimes write characters as they are from Python 3.12 on, and escape them before.
_ENSURE_ASCII = sys.version_info < (3, 12)


class _HasDecimals(Exception):
    """The plain encoder met a Decimal."""


def _refuse_to_encode(value: object) -> NoReturn:
    if isinstance(value, Decimal):
        raise _HasDecimals
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


_encoder = json.JSONEncoder(ensure_ascii=_ENSURE_ASCII, default=_refuse_to_encode)


def _encode(value: object) -> bytes:
    try:
        try:
            return _encoder.encode(value).encode()
        except _HasDecimals:
            return _dumps_with_decimals(value, ensure_ascii=_ENSURE_ASCII).encode()
    except UnicodeEncodeError:  # lone surrogates have no UTF-8 form, but an escaped one
        return _dumps_with_decimals(value, ensure_ascii=True).encode()


def _dumps_with_decimals(value: object, *, ensure_ascii: bool) -> str:
    """Encode with each Decimal as the number it spells, which `json` alone cannot do.

    The encoder writes a marker string for each, unlike any other string of the value, and the
    markers are replaced afterwards.
    """
    found: list[str] = []
    marker = os.urandom(16).hex()

    def mark(item: object) -> object:
        if not isinstance(item, Decimal):
            _refuse_to_encode(item)
        if item.is_nan():
            return float("nan")
        found.append(str(item))
        return f"{marker}{len(found) - 1}"

    text = json.dumps(value, ensure_ascii=ensure_ascii, default=mark)
    return re.sub(f'"{marker}([0-9]+)"', lambda match: found[int(match[1])], text)
