"""Whatever botocore signs is accepted, and nothing that was changed on the way.

botocore's `SigV4Auth` and `SigV4QueryAuth` are the oracle. Requests are made as servers make them,
with the path as it was on the wire, and without.
"""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from invokeasync_wsgi import CallbackExecutor, Functions, Invocation, InvokeAsyncMiddleware, sigv4
from invokeasync_wsgi.auth.credentials import Credential
from invokeasync_wsgi.auth.signatures import SigV4
from invokeasync_wsgi.testing import Client, FakeClock

from ..signing import HOST, KEY_ID, NOW, SECRET, TOKEN, make_environ, refusal_of, started

AUTHS = {
    token: started(SigV4({KEY_ID: Credential(SECRET, "alice", session_token=token)}))
    for token in (None, TOKEN)
}


@pytest.fixture(autouse=True, scope="module")
def _botocores_clock_stands_still() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        now = datetime.datetime.fromtimestamp(NOW, datetime.timezone.utc)
        patch.setattr(botocore.auth, "get_current_datetime", lambda: now)
        yield


class Sent(NamedTuple):
    """A request on the wire."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    token: str | None = None

    def environ(self, *, keeps_raw: bool = True) -> dict[str, Any]:
        return make_environ(self.method, self.target, self.headers, keeps_raw=keeps_raw)

    def refusal(self, *, keeps_raw: bool = True) -> str | None:
        """The code of what its sender is told; ``None`` when it is accepted."""
        error = refusal_of(AUTHS[self.token], self.environ(keeps_raw=keeps_raw), self.body)
        return None if error is None else error.code


class _PresignsBodies(botocore.auth.SigV4QueryAuth):  # type: ignore[misc]
    """As AWS's own vectors have it. botocore moves bodies into the query."""

    body = b""

    def payload(self, request: Any) -> str:
        return hashlib.sha256(self.body).hexdigest()


def signed(
    method: str,
    target: str,
    headers: Mapping[str, str],
    body: bytes,
    token: str | None,
    *,
    presigned: bool = False,
) -> Sent:
    """A request that botocore has signed."""
    credentials = Credentials(KEY_ID, SECRET, token)
    given = {"Host": HOST, **headers}
    request = AWSRequest(method, f"http://{HOST}{target}", headers=given)
    if presigned:
        signer = _PresignsBodies(credentials, "lambda", "us-east-1", expires=300)
        signer.body = body
    else:
        signer = botocore.auth.SigV4Auth(credentials, "lambda", "us-east-1")
        request.data = body
    signer.add_auth(request)
    path, query = urlsplit(request.url)[2:4]
    target = f"{path}?{query}" if query else path
    return Sent(method, target, dict(request.headers.items()), body, token)


# --- what is accepted ---------------------------------------------------------------------------

texts = st.text(max_size=12)
#: As SDKs encode names, and as others do that leave colons and dollars alone.
safes = st.sampled_from(["-._~", "-._~:", "-._~:$"])
names = st.one_of(
    st.sampled_from(["f", "f:live", "f:$LATEST", "f%3Alive", "a/b", "a b", "..", "ሴ", "f+g"]),
    st.builds(
        "arn:aws:lambda:us-east-1:123456789012:function:{}:{}".format,
        st.text("abcXYZ019-_.", min_size=1, max_size=12),
        st.sampled_from(["$LATEST", "live", "7"]),
    ),
    texts,
)
paths = st.builds(
    "/{}/functions/{}/{}{}".format,
    st.sampled_from(["2014-11-13", "2015-03-31"]),
    st.builds(quote, names, safes),
    st.sampled_from(["invoke-async", "invocations"]),
    st.sampled_from(["", "/"]),
)
#: Any path that may stand on the wire, encoded anyhow.
any_paths = st.lists(
    st.text("abzAZ09-._~:$%/!*()'@,;=&+", max_size=8)
    | st.binary(max_size=4).map(lambda octets: "".join(f"%{octet:02x}" for octet in octets)),
    max_size=6,
).map(lambda segments: "/x" + "".join(f"/{segment}" for segment in segments))
queries = st.lists(
    st.tuples(texts, st.none() | texts).filter(lambda pair: not pair[0].startswith("X-Amz-")),
    max_size=4,
    unique_by=lambda pair: pair[0],  # botocore keeps one of each in presigned URLs
).map(
    lambda pairs: "&".join(
        quote(name, safe="-._~") + ("" if value is None else "=" + quote(value, safe="-._~"))
        for name, value in pairs
    )
)
header_values = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
headers = st.dictionaries(
    st.sampled_from(
        [
            *("Content-Type", "X-Amz-Invocation-Type", "X-Amz-Log-Type", "X-Amz-Client-Context"),
            *("X-Custom", "Amz-Sdk-Invocation-Id", "Accept", "x-amzn-RequestId", "Cookie"),
        ]
    ),
    header_values,
    max_size=4,
)
methods = st.sampled_from(["POST", "GET", "PUT"])
tokens = st.sampled_from([None, TOKEN])


@given(methods, paths, queries, headers, st.binary(max_size=40), tokens, st.booleans())
def test_what_botocore_signs_is_accepted(
    method: str,
    path: str,
    query: str,
    headers: dict[str, str],
    body: bytes,
    token: str | None,
    presigned: bool,
) -> None:
    """With the path as it was on the wire, and rebuilt: but for slashes, which no name has."""
    sent = signed(method, f"{path}?{query}", headers, body, token, presigned=presigned)
    assert sent.refusal(keeps_raw=True) is None
    if "%2F" not in path:
        assert sent.refusal(keeps_raw=False) is None


@given(any_paths, st.booleans())
def test_a_path_that_the_server_keeps_may_be_encoded_in_any_way(path: str, presigned: bool) -> None:
    sent = signed("POST", path, {}, b"{}", None, presigned=presigned)
    assert sent.refusal() is None


@given(any_paths)
def test_canonical_paths_are_botocores(path: str) -> None:
    signer = botocore.auth.SigV4Auth(None, "lambda", "us-east-1")
    assert sigv4.canonical_path(path) == signer._normalize_url_path(path)


@given(st.binary(max_size=40), st.sampled_from(["", "0", "UNSIGNED-PAYLOAD"]) | st.just(None))
def test_a_declared_hash_is_accepted_if_it_is_the_bodys(body: bytes, other: str | None) -> None:
    """As the JavaScript SDK declares it. The headers are signed as they are sent."""
    declared = hashlib.sha256(body).hexdigest() if other is None else other
    sent = signed("POST", "/f", {"X-Amz-Content-Sha256": declared}, body, None)
    assert (sent.refusal() is None) is (other is None)


# --- what is refused ----------------------------------------------------------------------------

BODY = b'{"a": 1}'
TARGET = "/2014-11-13/functions/f%3Alive/invoke-async?Qualifier=%24LATEST&b&c="
HEADERS = {
    "X-Custom": "a b,c",
    "Content-Type": "application/json",
    "X-Amz-Invocation-Type": "Event",
}
DECLARED = {"X-Amz-Content-Sha256": hashlib.sha256(BODY).hexdigest()}

#: Forms of a request, by their names.
FORMS = {
    "header": lambda: signed("POST", TARGET, HEADERS, BODY, TOKEN),
    "header and hash": lambda: signed("POST", TARGET, {**HEADERS, **DECLARED}, BODY, TOKEN),
    "URL": lambda: signed("POST", TARGET, HEADERS, BODY, TOKEN, presigned=True),
}

WRONG = {"InvalidSignatureException"}
MALFORMED = {"IncompleteSignatureException"}
UNKNOWN = {"UnrecognizedClientException"}


class Part(NamedTuple):
    """A part of a request, and the codes that whoever changes a byte of it may be told."""

    form: str
    #: ``method``, ``path``, ``query``, ``body``, or a header's name.
    place: str
    #: What matches the part there.
    pattern: str
    codes: set[str]


def _parts() -> Iterator[Any]:
    places = {
        **dict.fromkeys(("method", "path", "body", "Host", *HEADERS), WRONG),
        "query": WRONG,
        "X-Amz-Date": WRONG | MALFORMED,
        "X-Amz-Security-Token": UNKNOWN,
        "X-Amz-Content-Sha256": WRONG,
        "Authorization": WRONG | MALFORMED | UNKNOWN,
    }
    in_authorization = {
        "algorithm": ("^AWS4-HMAC-SHA256", MALFORMED),
        "key id": ("(?<=Credential=)[^/]+", UNKNOWN | MALFORMED),
        "scope": ("(?<=AKIDEXAMPLE/)[^,]+", WRONG | MALFORMED),
        "signed headers": ("(?<=SignedHeaders=)[^,]+", WRONG | MALFORMED),
        "signature": ("(?<=Signature=).+", WRONG | MALFORMED),
    }
    in_query = {
        "algorithm": ("(?<=X-Amz-Algorithm=)[^&]+", MALFORMED),
        "key id": ("(?<=X-Amz-Credential=)[^%]+", UNKNOWN | MALFORMED),
        "scope": ("(?<=AKIDEXAMPLE%2F)[^&]+", WRONG | MALFORMED),
        "date": ("(?<=X-Amz-Date=)[^&]+", WRONG | MALFORMED),
        "life": ("(?<=X-Amz-Expires=)[^&]+", WRONG | MALFORMED),
        "signed headers": ("(?<=X-Amz-SignedHeaders=)[^&]+", WRONG | MALFORMED),
        # The same token in other hexadecimal digits is another signature.
        "token": ("(?<=X-Amz-Security-Token=)[^&]+", UNKNOWN | WRONG),
        "signature": ("(?<=X-Amz-Signature=)[^&]+", WRONG | MALFORMED),
        "parameter of the application": ("^Qualifier[^X]*(?=&X)", WRONG),
    }
    for place, codes in places.items():
        if place == "X-Amz-Content-Sha256":
            yield pytest.param(Part("header and hash", place, ".+", codes), id=f"header, {place}")
            continue
        yield pytest.param(Part("header", place, ".+", codes), id=f"header, {place}")
        if place == "query":
            codes = WRONG | MALFORMED | UNKNOWN
        if place not in ("Authorization", "X-Amz-Date", "X-Amz-Security-Token"):
            yield pytest.param(Part("URL", place, ".+", codes), id=f"URL, {place}")
    for name, (pattern, codes) in in_authorization.items():
        yield pytest.param(Part("header", "Authorization", pattern, codes), id=f"header, {name}")
    for name, (pattern, codes) in in_query.items():
        yield pytest.param(Part("URL", "query", pattern, codes), id=f"URL, {name}")


PARTS = list(_parts())


def text_at(sent: Sent, place: str) -> str:
    """What a request says at a place; a character is a byte."""
    path, _, query = sent.target.partition("?")
    fields = {"method": sent.method, "path": path, "query": query, **sent.headers}
    return fields[place] if place != "body" else sent.body.decode("latin-1")


def with_text(sent: Sent, place: str, text: str) -> Sent:
    """The request with another text at a place."""
    path, _, query = sent.target.partition("?")
    if place == "body":
        return sent._replace(body=text.encode("latin-1"))
    if place == "method":
        return sent._replace(method=text)
    if place == "path":
        return sent._replace(target=f"{text}?{query}")
    if place == "query":
        return sent._replace(target=f"{path}?{text}")
    return sent._replace(headers={**sent.headers, place: text})


def is_equal(place: str, text: str, other: str) -> bool:
    """Whether two texts mean the same to a signature."""
    if place == "path":  # of two slashes one is dropped
        return text.replace("//", "/") == other.replace("//", "/")
    if place == "query":  # "a" is "a="
        pairs, others = text.split("&"), other.split("&")
        return [pair.partition("=")[::2] for pair in pairs] == [
            pair.partition("=")[::2] for pair in others
        ]
    if place == "Authorization":
        return _without_blanks(text) == _without_blanks(other)
    if place in ("Host", *HEADERS):
        return text.encode("latin-1").split() == other.encode("latin-1").split()
    return text == other


def _without_blanks(authorization: str) -> list[str]:
    return re.sub(r"=\s+", "=", authorization).replace(",", " ").split()


def check_changed(part: Part, sent: Sent, text: str, changed: str) -> None:
    """Refuse (AssertionError) a change that was not."""
    if is_equal(part.place, text, changed):
        return
    refusal = with_text(sent, part.place, changed).refusal()
    assert refusal in part.codes, (changed, text)


def span_of(part: Part, text: str) -> tuple[int, int]:
    match = re.search(part.pattern, text, re.DOTALL)
    assert match is not None, (part, text)
    return match.span()


@pytest.mark.parametrize("form", FORMS)
def test_as_it_was_signed_it_is_accepted(form: str) -> None:
    assert FORMS[form]().refusal() is None


@pytest.mark.parametrize("part", PARTS)
def test_a_byte_that_was_changed_added_or_left_out_is_refused(part: Part) -> None:
    """At every place, with a few other bytes; the next test has all of them."""
    sent = FORMS[part.form]()
    text = text_at(sent, part.place)
    start, end = span_of(part, text)
    for at in range(start, end):
        before, char, after = text[:at], text[at], text[at + 1 :]
        check_changed(part, sent, text, before + after)
        for bit in (0x01, 0x20, 0x80):
            check_changed(part, sent, text, before + chr(ord(char) ^ bit) + after)
        for added in (char, "=", "&", "/", " "):
            check_changed(part, sent, text, before + added + char + after)


@given(st.data())
@settings(max_examples=400)
def test_any_byte_that_was_changed_or_added_anywhere_is_refused(data: st.DataObject) -> None:
    part: Part = data.draw(st.sampled_from([row.values[0] for row in PARTS]))
    sent = FORMS[part.form]()
    text = text_at(sent, part.place)
    start, end = span_of(part, text)
    at = data.draw(st.integers(start, end - 1))
    byte = chr(data.draw(st.integers(0, 255)))
    how_many = data.draw(st.integers(0, 1))
    check_changed(part, sent, text, text[:at] + byte + text[at + how_many :])


@given(st.integers(0, 39), st.integers(0, 255), st.booleans())
def test_without_the_raw_path_a_changed_path_is_refused_as_well(
    at: int, byte: int, is_added: bool
) -> None:
    sent = FORMS["header"]()
    environ = sent.environ(keeps_raw=False)
    path = environ["PATH_INFO"]
    changed = path[:at] + chr(byte) + path[at + (not is_added) :]
    if is_equal("path", path, changed):
        return
    error = refusal_of(AUTHS[TOKEN], {**environ, "PATH_INFO": changed}, sent.body)
    assert error is not None
    assert error.code == "InvalidSignatureException"


EQUAL = [
    pytest.param("query", "b&c=", "b=&c=", id="= behind a name without a value"),
    pytest.param("query", "c=", "c", id="no = behind a name without a value"),
    pytest.param("X-Custom", "a b", " a   b", id="blanks in a header"),
    pytest.param("Authorization", ", Sig", ",Sig", id="no blank behind a comma"),
    pytest.param("Authorization", ", Sig", ",,   Sig", id="more commas and blanks"),
]


@pytest.mark.parametrize(("place", "text", "other"), EQUAL)
def test_what_means_the_same_is_accepted(place: str, text: str, other: str) -> None:
    sent = FORMS["header"]()
    before = text_at(sent, place)
    assert text in before
    assert with_text(sent, place, before.replace(text, other)).refusal() is None


def test_a_slash_too_many_is_signed_the_same_and_invokes_nothing() -> None:
    """Canonical paths have single slashes; the path that decides what is invoked is as it came."""
    taken: list[Invocation] = []
    functions = Functions()
    functions.add("f", str, aliases={"live": "1"}, versions={"1": str})
    app = InvokeAsyncMiddleware(
        None,
        functions,
        auth=SigV4({KEY_ID: SECRET}),
        executor=CallbackExecutor(taken.append),
        clock=FakeClock(NOW),
    )
    sent = signed("POST", "/2014-11-13/functions/f%3Alive/invoke-async", {}, BODY, None)
    path = sent.target
    client = Client(app)
    assert client.request("POST", path, BODY, headers=sent.headers).status == 202
    taken.clear()
    for at in range(len(path) + 1):
        changed = f"{path[:at]}/{path[at:]}"
        answer = client.request(
            "POST", changed, BODY, headers=sent.headers, environ={"RAW_URI": changed}
        )
        assert answer.status in (400, 403, 404), changed
    assert taken == []
