"""Requests that no good client sends, as data: what `test_hostile` throws at every server.

Each has a name, its bytes, and the outcomes (`raw.Answer.outcome`) that are right when it reaches
the application. Any server may refuse it first. The sections below are in the order of a request:
its line, its path, its headers, its body, and what becomes of the connection.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tests.integration.raw import chunked, head, invoke, invoke_async, post

BAD_NAME = "ValidationException"
BAD_PARAMETER = "ValidationException"
TWICE = "InvalidParameterValueException"
BAD_CONTENT = "InvalidRequestContentException"
TOO_LARGE = "RequestEntityTooLargeException"
UNKNOWN_FUNCTION = "ResourceNotFoundException"
UNKNOWN_OPERATION = "AccessDeniedException"
OTHER_ACCOUNT = "AccessDeniedException"
ACCEPTED = "202"
RESULT = "200"
DRY_RUN = "204"
WRAPPED = "wrapped"

#: The event of requests that may be accepted and whose answers nobody reads.
UNWATCHED_EVENT = b'"unwatched"'

_CLOSE = {"Connection": "close"}


class Case(NamedTuple):
    """One hostile request."""

    name: str
    #: The pieces that are sent, with a short pause between them.
    pieces: tuple[bytes, ...]
    #: What is right where the request reaches the application. Empty: it is no HTTP, so that
    #: servers may also close the connection, or make of it what they like.
    outcomes: tuple[str, ...] = ()
    method: str = "POST"
    #: Whether the client goes away after sending, without reading the answer.
    abandoned: bool = False
    #: Whether it does so with a reset.
    resets: bool = False


def every() -> list[Case]:
    """All cases."""
    return [
        *_request_lines(),
        *_methods(),
        *_paths(),
        *_names(),
        *_broken_headers(),
        *_headers(),
        *_parameters(),
        *_request_ids(),
        *_json(),
        *_lengths(),
        *_chunks(),
        *_pipelines(),
        *_abandoned(),
    ]


def _case(section: str, name: str, request: bytes, *outcomes: str) -> Case:
    return Case(f"{section}: {name}", (request,), outcomes)


def _shown(value: str | bytes) -> str:
    text = value if isinstance(value, str) else value.decode("latin-1")
    return ascii(text if len(text) <= 40 else f"{text[:40]}… ({len(text)})")


# --- the request line -----------------------------------------------------------------------

_REST = b"\r\nHost: localhost\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
_PATH = invoke_async().encode()

_REQUEST_LINES = {
    "empty": b"",
    "blank": b" ",
    "garbage": b"GARBAGE",
    "method only": b"POST",
    "no path": b"POST HTTP/1.1",
    "no version": b"POST " + _PATH,
    "two spaces": b"POST  " + _PATH + b"  HTTP/1.1",
    "tabs": b"POST\t" + _PATH + b"\tHTTP/1.1",
    "leading space": b" POST " + _PATH + b" HTTP/1.1",
    "trailing space": b"POST " + _PATH + b" HTTP/1.1 ",
    "a fourth word": b"POST " + _PATH + b" HTTP/1.1 again",
    "relative path": b"POST " + _PATH[1:] + b" HTTP/1.1",
    "star": b"POST * HTTP/1.1",
    "question mark only": b"POST ? HTTP/1.1",
    "authority form": b"CONNECT localhost:80 HTTP/1.1",
    "absolute form": b"POST http://localhost" + _PATH + b" HTTP/1.1",
    "absolute form, other host": b"POST http://example.com" + _PATH + b" HTTP/1.1",
    "absolute form, user": b"POST http://user:password@localhost" + _PATH + b" HTTP/1.1",
    "absolute form, bad port": b"POST http://localhost:x" + _PATH + b" HTTP/1.1",
    "absolute form, bad address": b"POST http://[::1" + _PATH + b" HTTP/1.1",
    "other scheme": b"POST file:///etc/passwd HTTP/1.1",
    "no scheme": b"POST //localhost" + _PATH + b" HTTP/1.1",
    "two slashes": b"POST /" + _PATH + b" HTTP/1.1",
    "backslashes": b"POST " + _PATH.replace(b"/", b"\\") + b" HTTP/1.1",
    "fragment": b"POST " + _PATH + b"#fragment HTTP/1.1",
    "space in the path": b"POST " + invoke_async("re cord").encode() + b" HTTP/1.1",
    "NUL in the path": b"POST " + invoke_async("re\0cord").encode() + b" HTTP/1.1",
    "CR in the path": b"POST " + invoke_async("re\rcord").encode() + b" HTTP/1.1",
    "LF in the path": b"POST " + invoke_async("re\ncord").encode() + b" HTTP/1.1",
    "escape in the path": b"POST " + invoke_async("re\x1b[31mcord").encode() + b" HTTP/1.1",
    "UTF-8 in the path": b"POST " + invoke_async("récord").encode() + b" HTTP/1.1",
    "latin-1 in the path": b"POST " + invoke_async("récord").encode("latin-1") + b" HTTP/1.1",
    "quotes in the path": b"POST " + invoke_async("\"re'cord`").encode() + b" HTTP/1.1",
    "tags in the path": b"POST " + invoke_async("<script>").encode() + b" HTTP/1.1",
    "version 0.9": b"POST " + _PATH + b" HTTP/0.9",
    "version 1": b"POST " + _PATH + b" HTTP/1",
    "version 1.": b"POST " + _PATH + b" HTTP/1.",
    "version 1.1.1": b"POST " + _PATH + b" HTTP/1.1.1",
    "version 1.10": b"POST " + _PATH + b" HTTP/1.10",
    "version 2.0": b"POST " + _PATH + b" HTTP/2.0",
    "version 9.9": b"POST " + _PATH + b" HTTP/9.9",
    "version -1.1": b"POST " + _PATH + b" HTTP/-1.1",
    "version x.y": b"POST " + _PATH + b" HTTP/x.y",
    "version of digits": b"POST " + _PATH + b" HTTP/" + b"1" * 5000,
    "no number": b"POST " + _PATH + b" HTTP/",
    "lower-case protocol": b"POST " + _PATH + b" http/1.1",
    "other protocol": b"POST " + _PATH + b" SIP/2.0",
    "ICY": b"ICY 200 OK",
    "an answer": b"HTTP/1.1 200 OK",
    "long path": b"POST " + invoke_async("a" * 10_000).encode() + b" HTTP/1.1",
    "longer path": b"POST " + invoke_async("a" * 100_000).encode() + b" HTTP/1.1",
    "long query": b"POST " + _PATH + b"?" + b"a=b&" * 20_000 + b" HTTP/1.1",
    "long method": b"P" * 10_000 + b" " + _PATH + b" HTTP/1.1",
    "longer method": b"P" * 100_000 + b" " + _PATH + b" HTTP/1.1",
}

_WHOLE = {
    "nothing": b"",
    "one byte": b"P",
    "line ends": b"\r\n" * 100,
    "many line ends": b"\r\n" * 50_000,
    "LF for line ends": post(invoke_async(), b"{}", _CLOSE).replace(b"\r\n", b"\n"),
    "CR for line ends": post(invoke_async(), b"{}", _CLOSE).replace(b"\r\n", b"\r"),
    "line ends first": b"\r\n\r\n" + post(invoke_async(), b"{}", _CLOSE),
    "NULs": b"\0" * 1000,
    "every byte": bytes(range(256)) * 10,
    "0xff": b"\xff" * 5000,
    "byte-order mark": b"\xef\xbb\xbf" + post(invoke_async(), b"{}", _CLOSE),
    "UTF-16": post(invoke_async(), b"{}", _CLOSE).decode().encode("utf-16"),
    "TLS": bytes.fromhex("1603010200010001fc0303")
    + b"\x5a" * 32
    + bytes.fromhex("20")
    + b"\x5a" * 64,
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000"),
    "proxy protocol": b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n" + post(invoke_async(), b"{}", _CLOSE),
    "proxy protocol 2": bytes.fromhex("0d0a0d0a000d0a515549540a20000000")
    + post(invoke_async(), b"{}", _CLOSE),
    "mail": b"EHLO localhost\r\nMAIL FROM:<a@localhost>\r\n",
    "redis": b"*1\r\n$4\r\nPING\r\n",
    "JSON": b'{"jsonrpc": "2.0", "method": "x"}\r\n\r\n',
    "HTTP/0.9": b"GET /\r\n",
}


def _request_lines() -> Iterator[Case]:
    for name, line in _REQUEST_LINES.items():
        yield _case("request line", name, line + _REST)
    for name, request in _WHOLE.items():
        yield _case("no request", name, request)


def _methods() -> Iterator[Case]:
    for method in "GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "QUERY":
        request = post(invoke_async(), b"", _CLOSE).replace(b"POST", method.encode(), 1)
        yield Case(f"method: {method}", (request,), (UNKNOWN_OPERATION,), method)
    for method in (
        "post",
        "Post",
        "POSTPOST",
        "P\u00d6ST",
        "PO{ST",
        "(POST)",
        "P@ST",
        "PO\0ST",
        "-",
        "!",
    ):
        request = post(invoke_async(), b"{}", _CLOSE).replace(b"POST", method.encode("latin-1"), 1)
        yield _case("method", _shown(method), request)


# --- the path -------------------------------------------------------------------------------

#: Percent-encoded parts of a name, none of which is one.
_ENCODED_IN_NAME = [
    *(f"%{byte:02x}" for byte in range(0x21)),
    *("%22", "%23", "%25", "%26", "%27", "%28", "%2a", "%2B", "%2c", "%2F", "%2f", "%3b", "%3C"),
    *("%3d", "%3F", "%40", "%5B", "%5c", "%5E", "%60", "%7B", "%7c", "%7E", "%7f", "%80", "%ff"),
    *("%25%32%46", "%252F", "%25252F", "%2500", "%0d%0aX-Injected:%20yes", "%0aX-Injected:%20yes"),
    *("%", "%2", "%zz", "%2g", "%-1", "%u0041", "%%", "%%32%46", "%x41", "%0x41"),
    *("%C3%A9", "%E2%82%AC", "%F0%9F%8E%89", "%c0%af", "%e0%80%af", "%ed%a0%80", "%f4%90%80%80"),
    *("%C3", "%E2%82", "%80%80", "%fe%ff", "%EF%BB%BF", "%E2%80%AE", "%E2%80%A8", "%D9%A1"),
    *("%3Cscript%3Ealert(1)%3C%2Fscript%3E", "%27%20OR%201=1--", "%24%7B7*7%7D", "%7B%7B7*7%7D%7D"),
    *("..%2f..%2fetc%2fpasswd", "..%5c..%5cwindows", "%2e%2e%2f", "%2e%2e%5c", "%00.json"),
]

#: Paths below our prefixes that are no operation.
_UNKNOWN_OPERATIONS = [
    "/2014-11-13/functions",
    "/2014-11-13/functions/",
    "/2014-11-13/functions//",
    "/2014-11-13/functions/record",
    "/2014-11-13/functions/record/",
    "/2014-11-13/functions/record/invoke",
    "/2014-11-13/functions/record/invoke-async/more",
    "/2014-11-13/functions/record/invoke-async;a=b",
    "/2014-11-13/functions/record/INVOKE-ASYNC",
    "/2014-11-13/functions/record/invoke%2dasync%2dtwice",
    "/2014-11-13/functions/record/invocations",
    "/2015-03-31/functions/record/invoke-async",
    "/2015-03-31/functions/record",
    "/2015-03-31/functions/record/response-streaming-invocations",
    "/2015-03-31/functions/record/policies",
    "/2021-11-15/functions/record/invocations",
    "/2014-11-13/functions/../../etc/passwd",
    "/2014-11-13/functions/" + "a/" * 500,
]

#: Paths that are not ours, however near.
_WRAPPED_PATHS = [
    "/",
    "/2014-11-13",
    "/2014-11-13/",
    "/2014-11-13/function/record/invoke-async",
    "/2014-11-13/functionsrecord/invoke-async",
    "/2014-11-13/functions%20/record/invoke-async",
    "/2014-11-13/Functions/record/invoke-async",
    "/2014-11-14/functions/record/invoke-async",
    "/x/2014-11-13/functions/record/invoke-async",
    "/./2014-11-13/functions/record/invoke-async",
    "/%00/2014-11-13/functions/record/invoke-async",
    "/2014-11-13%00/functions/record/invoke-async",
    "/2014-11-13/%66unction/record/invoke-async",
    "/2014\u201011-13/functions/record/invoke-async".encode().decode("latin-1"),
]

#: Odd spellings of a path that is ours once decoded.
_OURS_DECODED = [
    "/%32014-11-13/functions/record/invoke-async",
    "/2014-11-13/%66unctions/record/invoke-async",
    "/2014-11-13/functions/%72ecord/invoke-async",
    "/2014-11-13/functions/%72%65%63%6f%72%64/invoke-async",
    "/2014-11-13/functions/record/invoke%2Dasync",
    "/2014-11-13/functions/record/invoke-async?",
    "/2014-11-13/functions/record/invoke-async??a=b",
    "/2014-11-13/functions/record/invoke-async?Qualifier=unknown",
    "/2014-11-13/functions/record/invoke-async?%00=%ff&&&===",
    "/2014-11-13/functions/record/invoke-async/?",
    "/2014-11-13/functions/record%3A%24LATEST/invoke-async",
]


def _paths() -> Iterator[Case]:
    for encoded in _ENCODED_IN_NAME:
        for name in (f"re{encoded}cord", encoded) if len(encoded) <= 3 else (encoded,):
            request = post(invoke_async(name), b"{}", _CLOSE)
            yield _case("encoded name", _shown(name), request, BAD_NAME)
    for path in _UNKNOWN_OPERATIONS:
        request = post(path, b"{}", _CLOSE)
        yield _case("unknown operation", _shown(path), request, UNKNOWN_OPERATION)
    for path in _WRAPPED_PATHS:
        request = post(path, b"{}", _CLOSE).decode().encode("latin-1")
        yield _case("not ours", _shown(path), request, WRAPPED)
    for path in _OURS_DECODED:
        yield _case("ours", _shown(path), post(path, b"{}", _CLOSE), ACCEPTED)


_ARN = "arn:aws:lambda:us-east-1:123456789012:function"

_NAMES: Mapping[str, str] = {
    "": UNKNOWN_OPERATION,
    ".": UNKNOWN_FUNCTION,
    "..": UNKNOWN_FUNCTION,
    "-": UNKNOWN_FUNCTION,
    "_": UNKNOWN_FUNCTION,
    "$LATEST": BAD_NAME,
    ":": BAD_NAME,
    ":record": BAD_NAME,
    "record:": BAD_NAME,
    "record::1": BAD_NAME,
    "record:1:2": BAD_NAME,
    "record:$LATES": BAD_NAME,
    "record:$latest": BAD_NAME,
    "record:1": UNKNOWN_FUNCTION,
    "record:live": UNKNOWN_FUNCTION,
    "Record": UNKNOWN_FUNCTION,
    "record.": UNKNOWN_FUNCTION,
    "function:": BAD_NAME,
    "function": UNKNOWN_FUNCTION,
    "function:function:record": UNKNOWN_FUNCTION,
    "12345678901:function:record": BAD_NAME,
    "1234567890123:function:record": BAD_NAME,
    "000000000000:function:record": OTHER_ACCOUNT,
    "eu-west-1:123456789012:function:record": UNKNOWN_FUNCTION,
    "us-east-12:123456789012:function:record": BAD_NAME,
    _ARN: UNKNOWN_FUNCTION,
    f"{_ARN}:": BAD_NAME,
    f"{_ARN}:unknown": UNKNOWN_FUNCTION,
    f"{_ARN}:record:1:2": BAD_NAME,
    f"{_ARN}:record".replace("123456789012", "000000000000"): OTHER_ACCOUNT,
    f"{_ARN}:record".replace("us-east-1", "us-east-2"): UNKNOWN_FUNCTION,
    f"{_ARN}:record".replace("us-east-1", "US-EAST-1"): BAD_NAME,
    f"{_ARN}:record".replace("lambda", "s3"): BAD_NAME,
    f"{_ARN}:record".replace("aws", "amz"): BAD_NAME,
    f"{_ARN}:record".replace("us-east-1:", ""): BAD_NAME,
    f"{_ARN}:record".replace("123456789012:", ""): BAD_NAME,
    f"{_ARN}:record".upper(): BAD_NAME,
    "arn:" * 60: BAD_NAME,
    "a" * 65: UNKNOWN_FUNCTION,
    "a" * 256: UNKNOWN_FUNCTION,
    "a" * 257: BAD_NAME,
    "a" * 3000: BAD_NAME,
    "123456789012:" * 19: BAD_NAME,
    "a-" * 128 + "!": BAD_NAME,
    "record,echo": BAD_NAME,
    "record;echo": BAD_NAME,
    "record&echo": BAD_NAME,
    "record=echo": BAD_NAME,
    "~record": BAD_NAME,
    "record*": BAD_NAME,
    "$(id)": BAD_NAME,
    "__import__('os')": BAD_NAME,
    "__class__": UNKNOWN_FUNCTION,
    "constructor": UNKNOWN_FUNCTION,
}


def _names() -> Iterator[Case]:
    for name, outcome in _NAMES.items():
        request = post(invoke_async(name), b"{}", _CLOSE)
        if name in (".", ".."):  # some servers resolve these
            yield _case("name", _shown(name), request, outcome, UNKNOWN_OPERATION, WRAPPED)
        else:
            yield _case("name", _shown(name), request, outcome)


# --- headers --------------------------------------------------------------------------------


def _with(*lines: bytes, body: bytes = b"{}") -> bytes:
    """A good request but for these header lines."""
    request = [b"POST " + _PATH + b" HTTP/1.1", b"Host: localhost", b"Connection: close"]
    length = b"Content-Length: %d" % len(body)
    return b"\r\n".join([*request, length, *lines]) + b"\r\n\r\n" + body


_BROKEN_HEADERS = {
    "no colon": b"Header",
    "no name": b": value",
    "only a colon": b":",
    "space in the name": b"A Header: value",
    "space before the colon": b"Header : value",
    "tab before the colon": b"Header\t: value",
    "leading space": b" Header: value",
    "folded": b"Header: value\r\n continued",
    "folded with a tab": b"Header: value\r\n\tcontinued",
    "folded to nothing": b"Header: value\r\n ",
    "NUL in the name": b"Hea\0der: value",
    "NUL in the value": b"Header: val\0ue",
    "CR in the value": b"Header: val\rue",
    "LF in the value": b"Header: val\nue",
    "LF and a header in the value": b"Header: value\nX-Amz-Invocation-Type: DryRun",
    "escape in the value": b"Header: \x1b[31mred",
    "DEL in the value": b"Header: \x7f",
    "latin-1 in the name": b"H\xe9ader: value",
    "latin-1 in the value": b"Header: \xe9\xff",
    "UTF-8 in the name": "Hëader: value".encode(),
    "UTF-8 in the value": "Header: значение".encode(),
    "brackets in the name": b"[Header]: value",
    "quotes in the name": b'"Header": value',
    "a request in the value": b"Header: value\r\n\r\nGET / HTTP/1.1\r\nHost: localhost",
    "long value": b"Header: " + b"v" * 10_000,
    "longer value": b"Header: " + b"v" * 300_000,
    "long name": b"H" * 10_000 + b": value",
    "120 headers": b"\r\n".join(b"Header-%d: value" % number for number in range(120)),
    "5000 headers": b"\r\n".join(b"Header-%d: value" % number for number in range(5000)),
    "a header 1000 times": b"\r\n".join([b"Header: value"] * 1000),
    "two hosts": b"Host: example.com",
    "two equal hosts": b"Host: localhost",
    "transfer and content length": b"Transfer-Encoding: chunked",
    "transfer encoding identity": b"Transfer-Encoding: identity",
    "transfer encoding gzip": b"Transfer-Encoding: gzip",
    "transfer encoding gzip, chunked": b"Transfer-Encoding: gzip, chunked",
    "transfer encoding chunked, gzip": b"Transfer-Encoding: chunked, gzip",
    "transfer encoding chunked twice": b"Transfer-Encoding: chunked, chunked",
    "transfer encoding xchunked": b"Transfer-Encoding: xchunked",
    "transfer encoding of nothing": b"Transfer-Encoding: ",
    "transfer encoding with a tab": b"Transfer-Encoding:\x0bchunked",
    "transfer encoding with a quote": b'Transfer-Encoding: "chunked"',
    "transfer encoding, space before the colon": b"Transfer-Encoding : chunked",
    "transfer encoding by underscore": b"Transfer_Encoding: chunked",
    "two transfer encodings": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    "expects something else": b"Expect: 200-ok",
    "script name": b"Script-Name: /2014-11-13",
    "script name by underscore": b"SCRIPT_NAME: /x",
    "path info by underscore": b"PATH_INFO: /x",
    "remote user": b"REMOTE_USER: admin",
    "second length by underscore": b"Content_Length: 1",
}

#: Headers that mean nothing to us; a good request with one of them is a good request.
_HARMLESS_HEADERS = {
    "accept": b"Accept: ;;;,,,q=nan",
    "accept charset": b"Accept-Charset: utf-7",
    "authorization of nothing": b"Authorization: ",
    "authorization, basic": b"Authorization: Basic !!!",
    "authorization, broken": b"Authorization: AWS4-HMAC-SHA256 Credential=, SignedHeaders",
    "authorization, long": b"Authorization: AWS4-HMAC-SHA256 " + b"a" * 4000,
    "content encoding": b"Content-Encoding: gzip",
    "content type of nothing": b"Content-Type: ",
    "content type, broken": b"Content-Type: ;;;=",
    "content type, form": b"Content-Type: application/x-www-form-urlencoded",
    "content type, multipart": b"Content-Type: multipart/form-data; boundary=",
    "content type, charset": b"Content-Type: application/json; charset=utf-16",
    "content MD5": b"Content-MD5: wrong",
    "content hash": b"X-Amz-Content-SHA256: wrong",
    "cookie": b'Cookie: =; a="b; c=d;;; __Host-x=\x22',
    "date": b"Date: yesterday",
    "amz date": b"X-Amz-Date: 99999999T999999Z",
    "if match": b"If-Match: *",
    "range": b"Range: bytes=5-1,-0,x",
    "forwarded": b'Forwarded: for="[::1]:x";proto=gopher',
    "forwarded for": b"X-Forwarded-For: 127.0.0.1, <script>, ../..",
    "forwarded host": b"X-Forwarded-Host: example.com",
    "forwarded prefix": b"X-Forwarded-Prefix: /x",
    "method override": b"X-HTTP-Method-Override: DELETE",
    "original URL": b"X-Original-URL: /admin",
    "security token": b"X-Amz-Security-Token: ../../..",
    "source ARN": b"X-Amz-Source-Arn: arn",
    "TE": b"TE: trailers, deflate;q=0.5",
    "trace id": b"X-Amzn-Trace-Id: Root=;Parent=;Sampled=2",
    "user agent": b"User-Agent: () { :; }; /bin/true ${jndi:ldap://localhost/}",
    "via": b"Via: 1.1 " + b"a, " * 500,
}


def _broken_headers() -> Iterator[Case]:
    for name, line in _BROKEN_HEADERS.items():
        yield _case("header", name, _with(line))
    yield _case("header", "no host", _with().replace(b"Host: localhost\r\n", b""))
    for host in (
        b"",
        b"a b",
        b"localhost:x",
        b"[::1",
        b"<script>",
        b"\xff",
        b"a" * 5000,
        b"/",
        b"a@b",
    ):
        request = _with().replace(b"localhost", host, 1)
        yield _case("host", _shown(host), request)


def _headers() -> Iterator[Case]:
    for name, line in _HARMLESS_HEADERS.items():
        yield _case("harmless header", name, _with(line), ACCEPTED)


def _encoded(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


_INVOCATION_TYPES = [
    *("event", "EVENT", "Event,Event", "Event, DryRun", "RequestResponse;", "null", "None", "0"),
    *("Async", "Ev\x0bent", "'Event'", '"Event"', "Event%20", "dry_run", "Dry Run", "E" * 2000),
    *("\xc9vent", "$LATEST", "{}", "<Event>"),
]
_LOG_TYPES = ["tail", "TAIL", "none", "Tail,None", "Full", "0", "T" * 2000, "\xfc", "Ta\x0bil"]
_QUALIFIERS = {
    "": BAD_PARAMETER,
    "%20": BAD_PARAMETER,
    "!": BAD_PARAMETER,
    "a!": BAD_PARAMETER,
    "a.b": BAD_PARAMETER,
    "%00": BAD_PARAMETER,
    "%0d%0aX-Injected:%20yes": BAD_PARAMETER,
    "%ff": BAD_PARAMETER,
    "%C3%A9": BAD_PARAMETER,
    "%D9%A1": BAD_PARAMETER,
    "%zz": BAD_PARAMETER,
    "a/b": BAD_PARAMETER,
    "a:b": BAD_PARAMETER,
    "a%26b": BAD_PARAMETER,
    "%24LATEST.PUBLISHE": BAD_PARAMETER,
    "a" * 129: BAD_PARAMETER,
    "a" * 3000: BAD_PARAMETER,
    "%24latest": UNKNOWN_FUNCTION,
    "%24LATEST.PUBLISHED": UNKNOWN_FUNCTION,
    "%24": UNKNOWN_FUNCTION,
    "1": UNKNOWN_FUNCTION,
    "-1": UNKNOWN_FUNCTION,
    "0": UNKNOWN_FUNCTION,
    "a" * 128: UNKNOWN_FUNCTION,
    "%24LATEST": RESULT,
    "%24LATEST&Qualifier=unknown": TWICE,
    "unknown&Qualifier=%24LATEST": TWICE,
}
_CLIENT_CONTEXTS = {
    "no base64": "!!!!",
    "half of it": "eyJ",
    "not padded": _encoded("{}").rstrip("="),
    "url-safe alphabet": "eyJhIjoi_-8ifQ==",
    "spaces within": "e3 0=",
    "JSON as it is": "{}",
    "empty JSON text": _encoded(" "),
    "no JSON": _encoded("{"),
    "an array": _encoded("[]"),
    "null": _encoded("null"),
    "a string": _encoded('"{}"'),
    "a number": _encoded("1"),
    "invalid UTF-8": _encoded(b'{"a": "\xff"}'),
    "UTF-16": _encoded("{}".encode("utf-16")),
    "byte-order mark": _encoded(b"\xef\xbb\xbf{}"),
    "deep": _encoded("[" * 1200),
    "trailing garbage": _encoded("{}{}"),
    "a comma": f"{_encoded('{}')},{_encoded('{}')}",
}
_ODD_CLIENT_CONTEXTS = {
    "members of other types": _encoded('{"client": 1, "custom": [], "env": null}'),
    "client is an array": _encoded('{"client": []}'),
    "many members": _encoded(json.dumps({f"a{n}": n for n in range(150)})),
    "dunder members": _encoded('{"client": {"__class__": "x", "__init__": 1}}'),
    "NUL": _encoded('{"\\u0000": "\\ud800"}'),
}
_TENANT_IDS = ["", "a!", "a\x0bb", "\xe9", "a" * 257, "a,b", "<a>", "a;b", "'", "a" * 5000]


def _parameters() -> Iterator[Case]:
    def invocation(name: str, header: str, value: str, *outcomes: str) -> Case:
        request = b"%b%b: %b\r\n\r\n{}" % (
            post(invoke(), b"{}", _CLOSE)[:-4],
            header.encode(),
            value.encode("latin-1"),
        )
        return _case(header, name, request, *outcomes)

    for value in _INVOCATION_TYPES:
        yield invocation(_shown(value), "X-Amz-Invocation-Type", value, BAD_PARAMETER)
    yield invocation("empty", "X-Amz-Invocation-Type", "", RESULT)
    yield invocation("blanks", "X-Amz-Invocation-Type", " \t Event", ACCEPTED)
    yield invocation(
        "twice", "X-Amz-Invocation-Type", "Event\r\nX-Amz-Invocation-Type: DryRun",
        BAD_PARAMETER, ACCEPTED, DRY_RUN,
    )  # fmt: skip
    yield invocation(
        "by underscore", "X-Amz-Invocation-Type", "Event\r\nX_Amz_Invocation_Type: DryRun",
        BAD_PARAMETER, ACCEPTED, DRY_RUN,
    )  # fmt: skip
    for value in _LOG_TYPES:
        yield invocation(_shown(value), "X-Amz-Log-Type", value, BAD_PARAMETER)
    for name, value in _CLIENT_CONTEXTS.items():
        yield invocation(name, "X-Amz-Client-Context", value, BAD_CONTENT)
    for name, value in _ODD_CLIENT_CONTEXTS.items():
        yield invocation(name, "X-Amz-Client-Context", value, RESULT)
    yield invocation("too long", "X-Amz-Client-Context", "a" * 3584, BAD_PARAMETER)
    for value in _TENANT_IDS:
        # Some servers leave an empty header out.
        outcomes = (BAD_PARAMETER,) if value else (BAD_PARAMETER, RESULT)
        yield invocation(_shown(value), "X-Amz-Tenant-Id", value, *outcomes)
    for value, outcome in _QUALIFIERS.items():
        request = post(f"{invoke()}?Qualifier={value}", b"{}", _CLOSE)
        yield _case("qualifier", _shown(value), request, outcome)
    for query in "qualifier=%21", "Qualifie=%21", "&&&", "=", "Qualifier%00=%21", "a" * 3000:
        yield _case("query", _shown(query), post(f"{invoke()}?{query}", b"{}", _CLOSE), RESULT)
    stream = "/2021-11-15/functions/record/response-streaming-invocations"
    request = post(stream, b"{}", {"X-Amz-Invocation-Type": "Event", **_CLOSE})
    yield _case("stream", "as an event", request, BAD_PARAMETER)
    yield _case("stream", "not JSON", post(stream, b"{", _CLOSE), BAD_CONTENT)


_BAD_REQUEST_IDS = [
    *("x", "0", "null", "-" * 36, "g0000000-0000-0000-0000-000000000000"),
    *("00000000000000000000000000000000", "{00000000-0000-0000-0000-000000000000}"),
    *("urn:uuid:00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-00000000000"),
    *("00000000-0000-0000-0000-0000000000000", "00000000-0000-0000-0000-00000000000\xe9"),
    *("0000000-00000-0000-0000-000000000000", "00000000_0000_0000_0000_000000000000"),
    *("00000000-0000-0000-0000-000000000000,00000000-0000-0000-0000-000000000000", "0" * 5000),
    *("0x000000-0000-0000-0000-000000000000", "<script>", "../../../etc/passwd", "${id}"),
]


def _request_ids() -> Iterator[Case]:
    for value in _BAD_REQUEST_IDS:
        line = b"x-amzn-RequestId: " + value.encode("latin-1")
        yield _case("request id", _shown(value), _with(line), BAD_CONTENT)
    for value in "ABCDEF00-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002":
        line = b"x-amzn-RequestId: " + value.encode()
        yield _case("request id", _shown(value), _with(line), ACCEPTED)


# --- the body -------------------------------------------------------------------------------

_NOT_JSON = [
    *(b" ", b"\n", b"{", b"}", b"[", b"]", b'"', b"'", b",", b":", b"\\", b"/", b"#", b"-", b"+"),
    *(b"{]", b"[}", b"{}}", b"[]]", b"{}{}", b"[][]", b"{} x", b"1 2", b"null null", b"{},"),
    *(b'{"a"}', b'{"a":}', b'{"a":1,}', b'{"a" 1}', b"{a:1}", b"{'a': 1}", b"{1: 1}", b"{null: 1}"),
    *(b"[1,]", b"[,1]", b"[1 2]", b"[1,,2]", b"[1", b'["a', b'["a"', b'{"a": [1, {"b": 2}]'),
    *(b"nul", b"nulll", b"NULL", b"Null", b"True", b"TRUE", b"tru", b"truefalse", b"undefined"),
    *(
        b"NaN",
        b"nan",
        b"Infinity",
        b"-Infinity",
        b"+Infinity",
        b"inf",
        b"[NaN]",
        b'{"a": Infinity}',
    ),
    *(b"01", b"-01", b"00", b"+1", b"1.", b".1", b"-.1", b"1e", b"1e+", b"1.e1", b"1e1.1", b"--1"),
    *(
        b"0x1",
        b"0b1",
        b"0o7",
        b"1_000",
        b"1,000",
        b"1L",
        b"1f",
        b"1n",
        b"\xd9\xa1",
        b"\xef\xbc\x91",
    ),
    *(b'"\n"', b'"\t"', b'"\0"', b'"\x1f"', b'"\\x41"', b'"\\u12"', b'"\\uzzzz"', b'"\\"', b'"\\'),
    *(b'"\\u-123"', b'"\\u 123"', b'"\\U00000041"', b'"\\a"', b'"\\0"', b'"\\\'"'),
    *(b"// comment\n{}", b"/* comment */ {}", b"{} # comment", b"<!-- --> {}", b")]}',\n{}"),
    *(b"\xef\xbb\xbf{}", b"\xff\xfe{\0}\0", b"\xfe\xff\0{\0}", b"{\0}\0", b"\0{\0}", b"\0\0\0{"),
    *(b'"\xff"', b'"\xc3"', b'"\xc3\x28"', b'"\xa0\xa1"', b'"\xe2\x28\xa1"', b'"\xe2\x82"'),
    *(b'"\xf0\x28\x8c\xbc"', b'"\xf8\xa1\xa1\xa1\xa1"', b'"\xfc\xa1\xa1\xa1\xa1\xa1"'),
    *(b'"\xc0\x80"', b'"\xc0\xaf"', b'"\xe0\x80\xaf"', b'"\xed\xa0\x80"', b'"\xed\xbf\xbf"'),
    *(b'"\xf4\x90\x80\x80"', b'"\xf0\x80\x80\xaf"', b"\xff" * 1000, b"\x80", b"\xc3\xa9"),
    *(b"\0", b"{}\0", b"{\0}", b"\0" * 1000, b"{} \0", b"1\0", b"\x0b{}", b"\x0c{}", b"\xa0{}"),
    *(b"\xc2\xa0{}", b"\xe2\x80\xa8{}", b"\xe2\x80\x8b{}", b"\x1a", b"{}\x1a", b"\x7f", b"\x1b[0m"),
    *(
        b"a=b&c=d",
        b"<?xml version='1.0'?><a/>",
        b"--boundary\r\n\r\n{}",
        b"%7B%7D",
        b"e30=",
        b"- a",
    ),
    *(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff", b"\x82\xa1a\x01\xa1b\x02", b"\x80\x04}\x94."),
    *(b"[" * 100_000, b"[" * 501 + b"]" * 501, b'{"a":' * 501 + b"1" + b"}" * 501),
    *(b"[" * 200_000 + b"]" * 40_000, b'{"a":' * 50_000, b"[{" * 50_000, b'["[",' * 20_000),
    *(b"1" * 1001, b"[" + b"1" * 100_000 + b"]", b"0." + b"1" * 5000, b"1e" + b"1" * 2000),
    *(b"-" + b"9" * 4301, b'"' + b"x" * 100_000, b'"' + b"\\" * 50_001 + b'"', b" " * 100_000),
    *(b'{"a": "' + b"x" * 200_000, b"{}" * 50_000, b"," * 100_000, b'"' * 100_001),
]

_ODD_JSON = [
    *(b"0", b"-0", b"-0.0", b"1e400", b"-1e400", b"1e-400", b"1E+5", b"0e0", b"1" * 1000),
    *(b"9" * 999, b"123456789012345678901234567890", b"1.7976931348623157e309", b"5e-324"),
    *(b"true", b"false", b"null", b'""', b"[]", b" {} ", b"\r\n\t {}\r\n\t ", b"[[]]", b'"\\/"'),
    *(b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\u0000"', b'"\\uffff"', b'"\xef\xbf\xbf"', b'"\x7f"'),
    *(
        b'"\xef\xbb\xbf"',
        b'"\xf0\x9f\x8e\x89"',
        b'"\xe2\x80\xa8"',
        b'"\xe2\x80\xae"',
        b'"\xcc\x81"',
    ),
    *(b'{"a": 1, "a": 2}', b'{"": ""}', b'{"__proto__": {"a": 1}}', b'{"__class__": "x"}'),
    *(b'{"$ref": "#"}', b'{"a\\u0000b": 1}', b'{"\\ud800": 1}', b'"<script>alert(1)</script>"'),
    *(b'"%s%n%x"', b'"{0.__class__}"', b'"${jndi:ldap://localhost}"', b'"Traceback"'),
    *(b"[" * 500 + b"]" * 500, b'{"a":' * 500 + b"1" + b"}" * 500, b"[" + b"1," * 50_000 + b"1]"),
    *(b'"' + b"[" * 100_000 + b'"', b'"' + b"9" * 100_000 + b'"', b'"' + b"\\\\" * 50_000 + b'"'),
    *(b" " * 100_000 + b"1", b"[" + b"{}," * 50_000 + b"{}]", b'"' + b'\\"' * 50_000 + b'"'),
    b"{" + b",".join(b'"%d": %d' % (number, number) for number in range(10_000)) + b"}",
]


def _json() -> Iterator[Case]:
    for body in _NOT_JSON:
        request = post(invoke_async(), body, _CLOSE)
        yield _case("not JSON", _shown(body), request, BAD_CONTENT)
    for body in _ODD_JSON:
        yield _case("odd JSON", _shown(body), post(invoke_async(), body, _CLOSE), ACCEPTED)
    for body in b"{", b"\xff", b"NaN", b"[" * 10_000, b"\xef\xbb\xbf{}":
        yield _case("invoke, not JSON", _shown(body), post(invoke(), body, _CLOSE), BAD_CONTENT)
    for body in b'"' + b"x" * 262_143 + b'"', b"\0" * 262_145, b" " * 300_000:
        yield _case("too large", _shown(body), post(invoke_async(), body, _CLOSE), TOO_LARGE)


_BAD_LENGTHS = [
    *("-1", "-0", "+2", "1_0", "abc", "0x2", "0b1", "2.0", "2e0", "2;", "2,", ",2", "2 2", "2, 2"),
    *("2,3", "\xb2", "\xa02", "2\x0b", "'2'", '"2"', "2\0", "NaN", "Infinity", "None", "--2", "2-"),
    *("1" * 20, "9" * 100, "9" * 5000, "0" * 100 + "2", "18446744073709551616", "4294967298"),
]


def _lengths() -> Iterator[Case]:
    for value in _BAD_LENGTHS:
        line = b"Content-Length: " + value.encode("latin-1")
        yield _case("length", _shown(value), _with(line).replace(b"Content-Length: 2\r\n", b"", 1))
    for first, second in (2, 2), (2, 3), (3, 2), (2, 0), (0, 2), (2, -1):
        line = b"Content-Length: %d" % second
        request = _with(line).replace(b"Length: 2", b"Length: %d" % first, 1)
        yield _case("two lengths", f"{first} and {second}", request)
    yield _case("length", "none, and a body", head(invoke_async(), _CLOSE) + b'{"no": "length"}')
    yield _case("length", "too small", head(invoke_async(), {"Content-Length": "1"}) + b"1234")
    yield _case("length", "too large", head(invoke_async(), {"Content-Length": "9"}) + b"1234")


_BAD_CHUNKED = {
    "no size": b"\r\n{}\r\n0\r\n\r\n",
    "size is a word": b"two\r\n{}\r\n0\r\n\r\n",
    "negative size": b"-2\r\n{}\r\n0\r\n\r\n",
    "signed size": b"+2\r\n{}\r\n0\r\n\r\n",
    "size with 0x": b"0x2\r\n{}\r\n0\r\n\r\n",
    "size with _": b"0_2\r\n{}\r\n0\r\n\r\n",
    "size with a space": b" 2\r\n{}\r\n0\r\n\r\n",
    "size with a space behind": b"2 \r\n{}\r\n0\r\n\r\n",
    "size with a NUL": b"2\0\r\n{}\r\n0\r\n\r\n",
    "size not ASCII": "\u0662\r\n{}\r\n0\r\n\r\n".encode(),
    "size too small": b"1\r\n{}\r\n0\r\n\r\n",
    "size too large": b"3\r\n{}\r\n0\r\n\r\n",
    "huge size": b"f" * 16 + b"\r\n{}\r\n0\r\n\r\n",
    "endless size": b"1" * 100_000,
    "zeros for a size": b"0" * 10_000 + b"2\r\n{}\r\n0\r\n\r\n",
    "LF for line ends": b"2\n{}\n0\n\n",
    "CR for line ends": b"2\r{}\r0\r\r",
    "no line end after the chunk": b"2\r\n{}0\r\n\r\n",
    "garbage after the chunk": b"2\r\n{}xx0\r\n\r\n",
    "no last chunk": b"2\r\n{}\r\n",
    "no end of the trailers": b"2\r\n{}\r\n0\r\n",
    "bad extension": b"2;\r\n{}\r\n0\r\n\r\n",
    "extension with CR": b"2;a=\rb\r\n{}\r\n0\r\n\r\n",
    "extension with LF": b"2;a=\nb\r\n{}\r\n0\r\n\r\n",
    "long extension": b"2;a=" + b"b" * 50_000 + b"\r\n{}\r\n0\r\n\r\n",
    "bad trailer": b"2\r\n{}\r\n0\r\nno trailer\r\n\r\n",
    "trailer sets the length": b"2\r\n{}\r\n0\r\nContent-Length: 100\r\n\r\n",
    "trailer sets the type": b"2\r\n{}\r\n0\r\nX-Amz-Invocation-Type: DryRun\r\n\r\n",
    "long trailers": b"2\r\n{}\r\n0\r\n" + b"A: b\r\n" * 10_000 + b"\r\n",
    "no chunks at all": b"{}",
    "empty": b"0\r\n\r\n",
    "nothing": b"",
    "many small chunks": chunked(*[b" "] * 20_000, b"{}"),
    "bad JSON in chunks": chunked(b"{", b"'a'", b"}"),
    "too large": chunked(*[b" " * 50_000] * 6),
}


def _chunks() -> Iterator[Case]:
    start = head(invoke_async(), {"Transfer-Encoding": "chunked", **_CLOSE})
    for name, body in _BAD_CHUNKED.items():
        yield _case("chunked", name, start + body)


# --- the connection -------------------------------------------------------------------------


def _pipelines() -> Iterator[Case]:
    """Several requests at once, or what one server may take for two and another for one."""
    second = post(invoke_async(), UNWATCHED_EVENT, _CLOSE)
    first = post(invoke_async(), UNWATCHED_EVENT)
    chunks = {"Transfer-Encoding": "chunked"}
    for name, request in {
        "two good ones": first + second,
        "twenty good ones": first * 20 + second,
        "good, then garbage": first + b"GARBAGE\r\n\r\n",
        "refused, then good": post(invoke_async("unknown")) + second,
        "wrapped, then good": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" + second,
        "no length, then good": head(invoke_async("unknown")) + second,
        "length over the second": head(
            invoke_async("unknown"), {"Content-Length": str(len(second))}
        )
        + second,
        "length within the second": head(invoke_async("unknown"), {"Content-Length": "10"})
        + second,
        "length and chunks, second behind the chunks": head(
            invoke_async("unknown"), {"Content-Length": "5", **chunks}
        )
        + chunked()
        + second,
        "length and chunks, second within the length": head(
            invoke_async("unknown"), {"Content-Length": str(5 + len(second)), **chunks}
        )
        + chunked()
        + second,
        "two encodings": head(invoke_async("unknown"), chunks)[:-2]
        + b"Transfer-Encoding: identity\r\n\r\n"
        + chunked()
        + second,
        "second in a chunk extension": head(invoke_async("unknown"), chunks)
        + chunked(b"{}", extension=b";a=b\n\n" + second),
        "second in a trailer": head(invoke_async("unknown"), chunks) + b"0\r\n" + second,
        "upgrade to HTTP/2": head(
            invoke_async("unknown"),
            {"Upgrade": "h2c", "Connection": "Upgrade, HTTP2-Settings", "HTTP2-Settings": ""},
        )
        + second,
        "upgrade to a web socket": head(
            invoke_async("unknown"), {"Upgrade": "websocket", "Connection": "Upgrade"}
        )
        + second,
    }.items():
        yield Case(f"pipeline: {name}", (request,))


def _abandoned() -> Iterator[Case]:
    """Clients that go away before, within and after their request."""
    request = post(invoke_async(), UNWATCHED_EVENT)
    for at in 1, 4, 5, 20, request.index(b"\r\n") + 1, request.index(b"\r\n\r\n") + 2, -12, -1:
        for resets in False, True:
            end = "resets" if resets else "leaves"
            name = f"abandoned: {end} after {at % len(request)} bytes"
            yield Case(name, (request[:at],), abandoned=True, resets=resets)
    for resets in False, True:
        end = "resets" if resets else "leaves"
        yield Case(f"abandoned: {end} without the answer", (request,), (), "POST", True, resets)
    slowly = tuple(request[at : at + 20] for at in range(0, len(request), 20))
    yield Case("slow: the whole request", slowly)
    yield Case("slow: all but the end", (*slowly[:-1],), abandoned=True)
    chunks = head(invoke_async(), {"Transfer-Encoding": "chunked"})
    yield Case("slow: chunks", (chunks, b"2\r\n", b"{", b"}\r\n", b"0\r\n", b"\r\n"))
    yield Case("slow: chunks without an end", (chunks, b"2\r\n", b"{"), abandoned=True)
    yield Case(
        "slow: a header without an end", (b"POST / HTTP/1.1\r\nA: ", b"b", b"b"), abandoned=True
    )
