"""Signature Version 4, stage by stage: against AWS's vectors, and where these say nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from invokeasync_wsgi import errors, sigv4
from invokeasync_wsgi.auth.credentials import Credential
from invokeasync_wsgi.auth.signatures import SigV4

from ..signing import (
    KEY_ID,
    NOW,
    SECRET,
    Sender,
    environ_of_head,
    make_environ,
    refusal_of,
    started,
)

VECTORS = Path(__file__).parents[1] / "vectors"

# --- vectors ------------------------------------------------------------------------------------


class Vector(NamedTuple):
    """One form of a case: the request, and the stages on the way to its signature."""

    environ: Mapping[str, Any]
    body: bytes
    service: str
    #: By the names of the stages, in their order.
    stages: Mapping[str, str]


def vectors(folder: str, form: str) -> list[Any]:
    found = []
    for path in sorted((VECTORS / folder).glob("*.json")):
        case = json.loads(path.read_text(encoding="utf-8"))
        if form not in case:
            continue
        given = case[form]
        stages = {
            "canonical request": "\n".join(given["canonical_request"]),
            "string to sign": "\n".join(given["string_to_sign"]),
            "signature": given["signature"],
        }
        service = {"aws_c_auth": "service", "aws_lambda": "lambda"}[folder]
        environ = environ_of_head(given["request"])
        vector = Vector(environ, case["body"].encode(), service, stages)
        found.append(pytest.param(vector, id=path.stem))
    return found


def is_normalized(case: Any) -> bool:
    return not str(case.id).endswith("-unnormalized")


def rebuilt(vector: Vector) -> dict[str, str]:
    """The stages as the package rebuilds them."""
    environ = vector.environ
    signature = sigv4.read(environ)
    claim = signature.claim
    declared = environ.get("HTTP_X_AMZ_CONTENT_SHA256")
    canonical = sigv4.canonical_request(
        environ["REQUEST_METHOD"],
        sigv4.canonical_path(next(iter(sigv4.paths_on_the_wire(environ)))),
        sigv4.canonical_query(environ["QUERY_STRING"]),
        sigv4.canonical_headers(claim.header_keys, environ),
        claim.signed_headers,
        declared or hashlib.sha256(vector.body).hexdigest(),
    )
    text = sigv4.string_to_sign(signature.amz_date, claim.scope, canonical)
    key = sigv4.signing_key(SECRET, claim.date, claim.region, vector.service)
    return {
        "canonical request": canonical,
        "string to sign": text,
        "signature": sigv4.sign(key, text),
    }


def first_difference(vector: Vector, stages: Mapping[str, str]) -> str | None:
    """The name of the stage that failed; ``None`` when the signature is right."""
    if sigv4.is_same(vector.stages["signature"], stages["signature"]):
        return None
    return next(name for name, text in vector.stages.items() if stages[name] != text)


def check(vector: Vector) -> None:
    """Compare the signatures, and name the stage that failed where they differ."""
    stages = rebuilt(vector)
    failed = first_difference(vector, stages)
    if failed is not None:
        assert stages[failed] == vector.stages[failed], f"the {failed} is another one"


HEADER_CASES, QUERY_CASES = (vectors("aws_c_auth", form) for form in ("header", "query"))
LAMBDA_CASES = vectors("aws_lambda", "header") + vectors("aws_lambda", "query")


@pytest.mark.parametrize("vector", [case for case in HEADER_CASES if is_normalized(case)])
def test_awss_vectors_with_the_signature_in_a_header(vector: Vector) -> None:
    check(vector)


@pytest.mark.parametrize("vector", [case for case in QUERY_CASES if is_normalized(case)])
def test_awss_vectors_with_the_signature_in_the_query(vector: Vector) -> None:
    check(vector)


@pytest.mark.parametrize("vector", LAMBDA_CASES)
def test_lambdas_vectors(vector: Vector) -> None:
    check(vector)


@pytest.mark.parametrize(
    "vector", [case for case in HEADER_CASES + QUERY_CASES if not is_normalized(case)]
)
def test_paths_that_were_signed_as_they_came_do_not_match(vector: Vector) -> None:
    """So it is for S3 only. Nothing but the path of the canonical request differs."""
    stages = rebuilt(vector)
    assert first_difference(vector, stages) == "canonical request"
    ours = stages["canonical request"].split("\n")
    signed = vector.stages["canonical request"].split("\n")
    assert [number for number, line in enumerate(ours) if line != signed[number]] == [1]


def test_no_vector_was_lost() -> None:
    assert [len(cases) for cases in (HEADER_CASES, QUERY_CASES, LAMBDA_CASES)] == [29, 29, 7]
    assert "Copyright Amazon.com, Inc. or its affiliates" in (VECTORS / "NOTICE").read_text()


@pytest.mark.parametrize("keeps_raw", [True, False], ids=["raw path", "path rebuilt"])
@pytest.mark.parametrize("vector", LAMBDA_CASES)
def test_lambdas_vectors_are_accepted(vector: Vector, keeps_raw: bool) -> None:
    environ = {**vector.environ}
    if not keeps_raw:
        del environ["RAW_URI"]
    token = environ.get("HTTP_X_AMZ_SECURITY_TOKEN")
    credential = Credential(SECRET, "alice", session_token=token)
    auth = started(SigV4({KEY_ID: credential}, unsigned_payload="always"))
    assert refusal_of(auth, environ, vector.body, now=NOW) is None
    if environ.get("HTTP_X_AMZ_CONTENT_SHA256") is None:
        assert refusal_of(auth, environ, vector.body + b" ", now=NOW) is not None


# --- reading ------------------------------------------------------------------------------------

CREDENTIAL = f"{KEY_ID}/20260102/us-east-1/lambda/aws4_request"
SIGNATURE = "0" * 64
GOOD = (
    f"AWS4-HMAC-SHA256 Credential={CREDENTIAL}, SignedHeaders=host;x-amz-date, "
    f"Signature={SIGNATURE}"
)
DATE = "20260102T030405Z"


def read_header(authorization: str, **environ: str) -> sigv4.Signature:
    return sigv4.read({"HTTP_AUTHORIZATION": authorization, "HTTP_X_AMZ_DATE": DATE, **environ})


def hashed(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("latin-1")).digest()).decode()


def test_a_signature_is_taken_apart() -> None:
    signature = read_header(GOOD, HTTP_X_AMZ_SECURITY_TOKEN="tok")
    claim = signature.claim
    assert claim.access_key_id == KEY_ID
    assert (claim.date, claim.region, claim.service, claim.terminator) == (
        "20260102",
        "us-east-1",
        "lambda",
        "aws4_request",
    )
    assert claim.scope == "20260102/us-east-1/lambda/aws4_request"
    assert claim.signed_headers == "host;x-amz-date"
    assert (signature.value, signature.amz_date, signature.signed_at) == (SIGNATURE, DATE, NOW)
    assert (signature.session_token, signature.expires_s) == ("tok", None)


def test_a_presigned_urls_signature_is_taken_apart() -> None:
    sender = Sender(token="a/b+c==", expires="604800", signature=SIGNATURE)
    signature = sigv4.read(sender.presigned_environ(headers={"X-Amz-Log-Type": "Tail"}))
    claim = signature.claim
    assert (claim.access_key_id, claim.scope) == (KEY_ID, CREDENTIAL.partition("/")[2])
    assert claim.signed_headers == "host;x-amz-log-type"
    assert (signature.value, signature.amz_date, signature.signed_at) == (SIGNATURE, DATE, NOW)
    assert (signature.session_token, signature.expires_s) == ("a/b+c==", 604800)


@pytest.mark.parametrize(
    "authorization",
    [
        pytest.param(GOOD.replace(", ", ","), id="commas alone"),
        pytest.param(GOOD.replace(", ", " , "), id="blanks around commas"),
        pytest.param(f" {GOOD}  ", id="blanks at the ends"),
        pytest.param(
            f"AWS4-HMAC-SHA256 Signature={SIGNATURE},SignedHeaders=host;x-amz-date,"
            f"Credential={CREDENTIAL}",
            id="another order",
        ),
        pytest.param(f"{GOOD}, Extra=1", id="a parameter of the future"),
    ],
)
def test_the_parameters_of_the_header_may_be_laid_out_differently(authorization: str) -> None:
    assert read_header(authorization) == read_header(GOOD)


MISSING = "Authorization header requires '{}' parameter. "
NO_DATE = "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "


@pytest.mark.parametrize(
    ("missing", "has_date"),
    [
        pytest.param(missing, has_date, id=f"{missing}, date: {has_date}")
        for missing in (
            ["Credential"],
            ["Signature"],
            ["SignedHeaders"],
            ["Credential", "Signature"],
        )
        for has_date in (True, False)
    ]
    + [
        pytest.param(["Credential", "Signature", "SignedHeaders"], False, id="all"),
        pytest.param([], False, id="the date alone"),
    ],
)
@pytest.mark.parametrize("how", ["left out", "empty"])
def test_all_that_is_missing_in_the_header_is_told(
    missing: list[str], has_date: bool, how: str
) -> None:
    parts = {"Credential": CREDENTIAL, "SignedHeaders": "host", "Signature": SIGNATURE}
    for name in missing:
        if how == "empty":
            parts[name] = ""
        else:
            del parts[name]
    authorization = "AWS4-HMAC-SHA256 " + ", ".join(
        f"{name}={text}" for name, text in parts.items()
    )
    environ = {"HTTP_AUTHORIZATION": authorization}
    if has_date:
        environ["HTTP_X_AMZ_DATE"] = DATE
    told = [MISSING.format(name) for name in ("Credential", "Signature", "SignedHeaders")]
    sentences = [text for text in told if text.split("'")[1] in missing]
    sentences += [] if has_date else [NO_DATE]
    with pytest.raises(errors.IncompleteSignatureException) as refused:
        sigv4.read(environ)
    assert refused.value.message == (
        f"{''.join(sentences)}(Hashed with SHA-256 and encoded with Base64) "
        f"Authorization={hashed(authorization)}"
    )


@pytest.mark.parametrize(
    "authorization",
    [
        pytest.param(f"AWS4-HMAC-SHA256 {KEY_ID}", id="no pair"),
        pytest.param("Bearer my-secret-token", id="another scheme"),
        pytest.param(GOOD + ", Credential=x", id="a parameter twice"),
        pytest.param(GOOD + f", Signature={SIGNATURE}", id="two signatures"),
        pytest.param(f"{GOOD}, {GOOD}", id="two headers joined"),
        pytest.param(f"{GOOD},{GOOD.replace('0', '1')}", id="two other headers joined"),
        pytest.param(f"Basic dXNlcjpwYXNz, {GOOD}", id="one of another scheme and one"),
        pytest.param(f"{GOOD}, =x, y", id="rubbish behind"),
        pytest.param("AWS4-HMAC-SHA256 Cred\xe9ntial", id="no ASCII"),
    ],
)
def test_a_header_that_is_no_list_of_pairs_is_quoted_hashed(authorization: str) -> None:
    """It may hold a secret that went astray."""
    with pytest.raises(errors.IncompleteSignatureException) as refused:
        read_header(authorization)
    assert refused.value.message == (
        "Invalid key=value pair (missing equal-sign) in Authorization header (hashed with SHA-256 "
        f"and encoded with Base64): '{hashed(authorization)}'."
    )


@pytest.mark.parametrize(
    ("parameter", "value", "text"),
    [
        pytest.param(
            "algorithm",
            "AWS4-ECDSA-P256-SHA256",
            "Unsupported AWS 'algorithm': 'AWS4-ECDSA-P256-SHA256' (only AWS4-HMAC-SHA256 for "
            "now). ",
            id="SigV4A",
        ),
        pytest.param(
            "algorithm",
            "aws4-hmac-sha256",
            "Unsupported AWS 'algorithm': 'aws4-hmac-sha256' (only AWS4-HMAC-SHA256 for now). ",
            id="algorithm in lower case",
        ),
        *(
            pytest.param(
                "credential",
                value,
                "Credential must have exactly 5 slash-delimited elements, e.g. "
                f"keyid/date/region/service/term, got '{value}'",
                id=f"credential {value}",
            )
            for value in (
                KEY_ID,
                f"{KEY_ID}/20260102/us-east-1/lambda",
                f"{CREDENTIAL}/",
                f"{CREDENTIAL}/more",
                CREDENTIAL.removeprefix(KEY_ID),
            )
        ),
        *(
            pytest.param(
                "signed_headers",
                value,
                "SignedHeaders must be lower-case names of headers, with ';' between them.",
                id=f"signed headers {value[:20]}",
            )
            for value in (
                "Host",
                "host:x",
                ";host",
                "host;",
                "host;;x-amz-date",
                "h\xf6st",
                ";".join(f"h{number}" for number in range(101)),
            )
        ),
        *(
            pytest.param(
                "date",
                value,
                f"Date must be in ISO-8601 'basic format'. Got '{value}'. "
                "See http://en.wikipedia.org/wiki/ISO_8601",
                id=f"date {value}",
            )
            for value in (
                "2026-01-02T03:04:05Z",
                "20260102T030405",
                "20260102T030405z",
                "20260102",
                "20261302T030405Z",
                "20260230T030405Z",
                "20260102T240000Z",
                "20260102T030460Z",
                "00000102T030405Z",
                "1767323045",
                "２０２６0102T030405Z".encode().decode("latin-1"),
                " 20260102T030405Z",
                "20260102T030405Z\n",
            )
        ),
    ],
)
@pytest.mark.parametrize("form", ["header", "query"])
def test_a_malformed_parameter_is_told(form: str, parameter: str, value: str, text: str) -> None:
    given = {
        "algorithm": "AWS4-HMAC-SHA256",
        "credential": CREDENTIAL,
        "signed_headers": "host;x-amz-date",
        "date": DATE,
        parameter: value,
    }
    if form == "header":
        authorization = (
            f"{given['algorithm']} Credential={given['credential']}, "
            f"SignedHeaders={given['signed_headers']}, Signature={SIGNATURE}"
        )
        environ = {"HTTP_AUTHORIZATION": authorization, "HTTP_X_AMZ_DATE": given["date"]}
    else:
        quoted = {
            name: "".join(f"%{octet:02X}" for octet in text.encode("latin-1"))
            for name, text in given.items()
        }
        environ = {
            "QUERY_STRING": f"X-Amz-Algorithm={quoted['algorithm']}"
            f"&X-Amz-Credential={quoted['credential']}&X-Amz-Date={quoted['date']}"
            f"&X-Amz-Expires=300&X-Amz-SignedHeaders={quoted['signed_headers']}"
            f"&X-Amz-Signature={SIGNATURE}"
        }
    with pytest.raises(errors.IncompleteSignatureException) as refused:
        sigv4.read(environ)
    assert refused.value.message == text


def test_a_hundred_headers_may_be_signed() -> None:
    names = ";".join(f"h{number}" for number in range(100))
    authorization = GOOD.replace("host;x-amz-date", names)
    assert read_header(authorization).claim.signed_headers == names


@pytest.mark.parametrize(
    "without",
    [
        ("X-Amz-Algorithm",),
        ("X-Amz-Credential",),
        ("X-Amz-Signature",),
        ("X-Amz-SignedHeaders",),
        ("X-Amz-Date",),
        ("X-Amz-Credential", "X-Amz-Date", "X-Amz-SignedHeaders"),
        ("X-Amz-Credential", "X-Amz-Date", "X-Amz-SignedHeaders", "X-Amz-Algorithm"),
    ],
    ids=",".join,
)
def test_all_that_is_missing_in_the_query_is_told(without: tuple[str, ...]) -> None:
    in_order = (
        *("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders"),
        "X-Amz-Date",
    )
    sentences = [
        f"AWS query-string parameters must include '{name}'."
        for name in in_order
        if name in without
    ]
    with pytest.raises(errors.IncompleteSignatureException) as refused:
        sigv4.read(Sender(without=without).presigned_environ())
    assert refused.value.message == (
        f"{' '.join(sentences)} Re-examine the query-string parameters."
    )


@pytest.mark.parametrize("name", ["X-Amz-Date", "X-Amz-Signature", "X-Amz-Expires", "X-Amz-New"])
def test_a_parameter_that_is_in_the_query_twice_is_refused(name: str) -> None:
    """Else a proxy could look at the one, and this package at the other."""
    target = f"{Sender().presigned()}&X-Amz-New=1&{name}=1"
    with pytest.raises(errors.IncompleteSignatureException, match=f"^The query has '{name}' twice"):
        sigv4.read(make_environ("POST", target, {}))


@pytest.mark.parametrize(
    "expires",
    ["", "0", "-1", "604801", "1e3", "1.0", " 1", "+1", "0000001", "\xb2", "never"],
)
def test_a_presigned_url_is_good_for_a_second_to_seven_days(expires: str) -> None:
    with pytest.raises(errors.IncompleteSignatureException) as refused:
        sigv4.read(Sender(expires=expires).presigned_environ())
    assert refused.value.message == (
        "X-Amz-Expires must be a number of seconds between 1 and 604800."
    )


@pytest.mark.parametrize("expires", ["1", "604800"])
def test_the_ends_of_a_presigned_urls_life_are_allowed(expires: str) -> None:
    assert sigv4.read(Sender(expires=expires).presigned_environ()).expires_s == int(expires)


def test_a_request_without_a_signature_is_nobodys() -> None:
    for environ in ({}, {"HTTP_AUTHORIZATION": ""}, {"QUERY_STRING": "Qualifier=live"}):
        with pytest.raises(errors.MissingAuthenticationTokenException) as refused:
            sigv4.read(environ)
        assert refused.value.message == "Missing Authentication Token"


@pytest.mark.parametrize("name", ["X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Signature=0"])
def test_a_request_with_two_signatures_is_refused(name: str) -> None:
    with pytest.raises(errors.InvalidSignatureException) as refused:
        read_header(GOOD, QUERY_STRING=name)
    assert refused.value.message == (
        "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header."
    )


class TestLimits:
    """What a stranger may have taken apart."""

    def test_an_authorization_header_of_4096_characters(self) -> None:
        longest = GOOD + " " * (4096 - len(GOOD))
        assert read_header(longest) == read_header(GOOD)
        with pytest.raises(errors.IncompleteSignatureException) as refused:
            read_header(longest + " ")
        assert refused.value.message == "The Authorization header is too long."

    @pytest.mark.parametrize(
        ("name", "other"),
        [
            ("X-Amz-Credential", "X-Amz-SignedHeaders"),
            ("X-Amz-SignedHeaders", "X-Amz-Credential"),
        ],
    )
    def test_parameters_of_presigned_urls(self, name: str, other: str) -> None:
        """What is kept for the next request must not be a stranger's to make long."""
        given = {
            "X-Amz-Algorithm": sigv4.ALGORITHM,
            "X-Amz-Credential": "A/20260102/us-east-1/lambda/aws4_request",
            "X-Amz-Date": DATE,
            "X-Amz-Expires": "60",
            "X-Amz-SignedHeaders": "host",
            "X-Amz-Signature": "0" * 64,
        }
        given[name] = given[name].rjust(4096 - len(given[other]), "a")
        sigv4.read({"QUERY_STRING": "&".join(f"{key}={text}" for key, text in given.items())})
        given[name] += "a"
        with pytest.raises(errors.IncompleteSignatureException) as refused:
            sigv4.read({"QUERY_STRING": "&".join(f"{key}={text}" for key, text in given.items())})
        assert refused.value.message == "The Credential or the SignedHeaders are too long."

    def test_a_query_of_100_parameters(self) -> None:
        query = "&".join(["a=b"] * 100)
        assert read_header(GOOD, QUERY_STRING=query) == read_header(GOOD)
        with pytest.raises(errors.IncompleteSignatureException) as refused:
            read_header(GOOD, QUERY_STRING=query + "&a")
        assert refused.value.message == "The query string is too long."

    def test_a_date_that_is_none_is_not_kept(self) -> None:
        before = sigv4.moment.cache_info().currsize
        with pytest.raises(errors.IncompleteSignatureException):
            read_header(GOOD, HTTP_X_AMZ_DATE="9" * 5000)
        assert sigv4.moment.cache_info().currsize == before

    def test_a_query_of_16384_characters(self) -> None:
        query = "a=" + "b" * 16382
        assert read_header(GOOD, QUERY_STRING=query) == read_header(GOOD)
        with pytest.raises(errors.IncompleteSignatureException) as refused:
            read_header(GOOD, QUERY_STRING=query + "b")
        assert refused.value.message == "The query string is too long."

    def test_signed_headers_of_65536_characters(self) -> None:
        keys = [("a", "HTTP_A"), ("b", "HTTP_B")]
        environ = {"HTTP_A": "a" * 100, "HTTP_B": "b" * (65536 - len("a:\n") - 100)}
        assert len(sigv4.canonical_headers(keys, environ)) == 65536 + len("b:\n")
        for key in environ:
            with pytest.raises(errors.IncompleteSignatureException) as refused:
                sigv4.canonical_headers(keys, {**environ, key: environ[key] + "c"})
            assert refused.value.message == "The signed headers are too long."

    def test_200_headers(self) -> None:
        environ = {f"HTTP_X_{number}": "" for number in range(198)}
        assert read_header(GOOD, **environ, SERVER_NAME="x") == read_header(GOOD)
        with pytest.raises(errors.IncompleteSignatureException) as refused:
            read_header(GOOD, **environ, HTTP_MORE="")
        assert refused.value.message == "The request has too many headers."


#: The form of C's ``asctime``, which HTTP asks recipients to take, and which names no zone.
ASCTIME = "Fri Jan  2 03:04:05 2026"


@pytest.mark.parametrize(
    "header",
    [
        "Fri, 02 Jan 2026 03:04:05 GMT",
        "Friday, 02-Jan-26 03:04:05 GMT",
        ASCTIME,
        "Fri, 02 Jan 2026 04:04:05 +0100",
        DATE,
    ],
)
def test_a_date_header_stands_in_for_x_amz_date(header: str) -> None:
    environ = {"HTTP_AUTHORIZATION": GOOD, "HTTP_DATE": header}
    signature = sigv4.read(environ)
    assert (signature.amz_date, signature.signed_at) == (DATE, NOW)


@pytest.fixture
def _far_from_greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Pacific/Auckland")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_far_from_greenwich")
@pytest.mark.parametrize(
    "header", ["Fri, 02 Jan 2026 03:04:05 GMT", "Fri, 02 Jan 2026 03:04:05 -0000", ASCTIME]
)
def test_a_date_header_is_of_greenwich_wherever_the_server_is(header: str) -> None:
    assert sigv4.read({"HTTP_AUTHORIZATION": GOOD, "HTTP_DATE": header}).amz_date == DATE


def test_x_amz_date_comes_before_date() -> None:
    environ = {"HTTP_DATE": "Fri, 02 Jan 1970 00:00:00 GMT"}
    assert read_header(GOOD, **environ) == read_header(GOOD)


@pytest.mark.parametrize("date", ["yesterday", "Fri, 99 Jan 2026 03:04:05 GMT", "0", "\x00"])
def test_a_date_header_that_is_no_date_is_refused(date: str) -> None:
    with pytest.raises(errors.IncompleteSignatureException, match="Date must be in ISO-8601"):
        sigv4.read({"HTTP_AUTHORIZATION": GOOD, "HTTP_DATE": date})


# --- time, scope, headers -----------------------------------------------------------------------


def signature_of(now: float, **given: Any) -> sigv4.Signature:
    sender = Sender(now=now, **given)
    return sigv4.read(sender.presigned_environ() if "expires" in given else sender.environ())


@pytest.mark.parametrize(
    ("late_s", "expires", "fault"),
    [
        pytest.param(0, None, None, id="at once"),
        pytest.param(300, None, None, id="five minutes late"),
        pytest.param(
            301,
            None,
            "Signature expired: 20260102T030405Z is now earlier than 20260102T030406Z "
            "(20260102T030906Z - 5 min.)",
            id="a second more",
        ),
        pytest.param(-300, None, None, id="five minutes early"),
        pytest.param(
            -301,
            None,
            "Signature not yet current: 20260102T030405Z is still later than 20260102T030404Z "
            "(20260102T025904Z + 5 min.)",
            id="a second earlier",
        ),
        pytest.param(1, "1", None, id="a URL good for a second"),
        pytest.param(
            2,
            "1",
            "Signature expired: 20260102T030405Z is now earlier than 20260102T030406Z "
            "(20260102T030407Z - 0.0166667 min.)",
            id="a URL good for a second, a second more",
        ),
        pytest.param(604800, "604800", None, id="a URL good for seven days"),
        pytest.param(
            604801,
            "604800",
            "Signature expired: 20260102T030405Z is now earlier than 20260102T030406Z "
            "(20260109T030406Z - 10080 min.)",
            id="a URL good for seven days, a second more",
        ),
        pytest.param(-300, "1", None, id="a URL, five minutes early"),
        pytest.param(
            -301,
            "604800",
            "Signature not yet current: 20260102T030405Z is still later than 20260102T030404Z "
            "(20260102T025904Z + 5 min.)",
            id="a URL, a second earlier",
        ),
    ],
)
def test_a_signature_is_good_for_minutes_or_as_long_as_its_url(
    late_s: float, expires: str | None, fault: str | None
) -> None:
    given = {} if expires is None else {"expires": expires}
    assert sigv4.time_fault(signature_of(NOW, **given), NOW + late_s, 300) == fault


def test_the_recorded_texts_of_time() -> None:
    """An answer of Lambda itself (issue 859 of aws-sdk-go): 114 bytes."""
    signed_at, now = (sigv4.moment(text) for text in ("20160928T174419Z", "20160928T175224Z"))
    assert signed_at is not None
    assert now is not None
    fault = sigv4.time_fault(signature_of(signed_at), now, 300)
    assert fault == (
        "Signature expired: 20160928T174419Z is now earlier than 20160928T174724Z "
        "(20160928T175224Z - 5 min.)"
    )
    assert len(errors.InvalidSignatureException(fault).body()) == 114


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        pytest.param({}, None, id="right"),
        pytest.param(
            {"region": "eu-west-1"},
            "Credential should be scoped to a valid region. ",
            id="region",
        ),
        pytest.param(
            {"service": "s3"},
            "Credential should be scoped to correct service: 'lambda'. ",
            id="service",
        ),
        pytest.param(
            {"terminator": "aws5_request"},
            "Credential should be scoped with a valid terminator: 'aws4_request'. ",
            id="terminator",
        ),
        pytest.param(
            {"day": "20260101"},
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from "
            "HTTP: '20260101' != '20260102', from '20260102T030405Z'.",
            id="day",
        ),
        pytest.param(
            {"region": "", "service": "LAMBDA", "terminator": "", "day": ""},
            "Credential should be scoped to a valid region. "
            "Credential should be scoped to correct service: 'lambda'. "
            "Credential should be scoped with a valid terminator: 'aws4_request'. "
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from "
            "HTTP: '' != '20260102', from '20260102T030405Z'.",
            id="all",
        ),
    ],
)
def test_all_that_is_wrong_with_the_scope_is_told(given: dict[str, str], fault: str | None) -> None:
    assert sigv4.scope_fault(signature_of(NOW, **given), "us-east-1") == fault


def test_every_header_that_is_acted_upon_must_be_signed() -> None:
    assert set(sigv4.MUST_BE_SIGNED) == {
        "x-amz-date",
        "x-amz-content-sha256",
        "x-amz-invocation-type",
        "x-amz-client-context",
        "x-amz-log-type",
        "x-amz-tenant-id",
        "x-amz-durable-execution-name",
    }


@pytest.mark.parametrize("name", sigv4.MUST_BE_SIGNED)
def test_a_header_that_matters_must_be_signed_where_it_is_sent(name: str) -> None:
    key = "HTTP_" + name.upper().replace("-", "_")
    claim = read_header(GOOD.replace("host;x-amz-date", "host;x-other")).claim
    assert sigv4.unsigned_header(claim, {"HTTP_HOST": "h"}) is None
    assert sigv4.unsigned_header(claim, {"HTTP_HOST": "h", key: ""}) == name
    claim = read_header(GOOD.replace("host;x-amz-date", f"host;{name}")).claim
    assert sigv4.unsigned_header(claim, {"HTTP_HOST": "h", key: "1"}) is None


@pytest.mark.parametrize(
    "name", ["content-type", "user-agent", "x-amz-cf-id", "amz-sdk-request", "x-amz-security-token"]
)
def test_other_headers_need_not_be_signed(name: str) -> None:
    key = "HTTP_" + name.upper().replace("-", "_")
    assert sigv4.unsigned_header(read_header(GOOD).claim, {key: "1"}) is None


@pytest.mark.parametrize("signed", ["x-amz-date", "hosts;x-amz-date", "x-host", "localhost"])
def test_the_host_must_be_signed(signed: str) -> None:
    claim = read_header(GOOD.replace("host;x-amz-date", signed)).claim
    assert sigv4.unsigned_header(claim, {}) == "host"


# --- canonical forms ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "canonical"),
    [
        ("", "/"),
        ("/", "/"),
        ("//", "/"),
        ("/.", "/"),
        ("/..", "/"),
        ("/../..", "/"),
        ("/a", "/a"),
        ("/a/", "/a/"),
        ("//a//", "/a/"),
        ("/a/./b", "/a/b"),
        ("/a/../b", "/b"),
        ("/a/..", "/"),
        ("/a/b/..", "/a"),
        ("/a/b/../", "/a/"),
        ("/a/.b", "/a/.b"),
        ("/a/..b/...", "/a/..b/..."),
        ("/a.b", "/a.b"),
        ("/a:b", "/a%3Ab"),
        ("/a%3Ab", "/a%253Ab"),
        ("/a%3ab", "/a%253ab"),
        ("/$LATEST", "/%24LATEST"),
        ("/a b", "/a%20b"),
        ("/a+b", "/a%2Bb"),
        ("/%2e%2e/a", "/%252e%252e/a"),
        ("/%2F", "/%252F"),
        ("/\xe1\x88\xb4", "/%E1%88%B4"),
        ("/-._~", "/-._~"),
        ("/a\nb", "/a%0Ab"),
    ],
)
def test_a_canonical_path(path: str, canonical: str) -> None:
    assert sigv4.canonical_path(path) == canonical


@pytest.mark.parametrize(
    ("query", "canonical"),
    [
        ("", ""),
        ("a", "a="),
        ("a=", "a="),
        ("=", "="),
        ("a=b=c", "a=b%3Dc"),
        ("b=1&a=2", "a=2&b=1"),
        ("a=2&a=1", "a=1&a=2"),
        ("a=1&a=1", "a=1&a=1"),
        ("a=1&A=1", "A=1&a=1"),
        ("a-=1&a=2", "a=2&a-=1"),
        ("a%2D=1&a=2", "a=2&a%2D=1"),
        ("a=%24LATEST", "a=%24LATEST"),
        ("a=$LATEST", "a=%24LATEST"),
        ("a=%2f", "a=%2f"),
        ("a=b c", "a=b%20c"),
        ("a=b+c", "a=b%20c"),
        ("a=b%2Bc", "a=b%2Bc"),
        ("a=100%", "a=100%"),
        ("a&&b", "=&a=&b="),
        ("\xe1\x88\xb4=bar", "%E1%88%B4=bar"),
        ("a=1&X-Amz-Signature=00&b=2", "a=1&b=2"),
        ("X-Amz-Signature=00", ""),
        ("x-amz-signature=00", "x-amz-signature=00"),
        ("X-Amz-SignatureX=00", "X-Amz-SignatureX=00"),
    ],
)
def test_a_canonical_query(query: str, canonical: str) -> None:
    assert sigv4.canonical_query(query) == canonical


def canonical_headers(environ: dict[str, str], *names: str, host: str | None = None) -> str:
    authorization = GOOD.replace("host;x-amz-date", ";".join(names))
    return sigv4.canonical_headers(read_header(authorization).claim.header_keys, environ, host)


@pytest.mark.parametrize(
    ("value", "canonical"),
    [
        pytest.param("a", "a", id="plain"),
        pytest.param("", "", id="empty"),
        pytest.param("  a  ", "a", id="blanks around"),
        pytest.param("a   b", "a b", id="a run of blanks"),
        pytest.param('"a   b"', '"a b"', id="a run of blanks in quotes"),
        pytest.param("a\t b", "a b", id="a tab"),
        pytest.param("value1\n  value2\n     value3", "value1 value2 value3", id="folded"),
        pytest.param("a,b, c", "a,b, c", id="a list"),
        pytest.param("\xe9\xa0\x85", "\xe9\xa0\x85", id="bytes that are no ASCII"),
        pytest.param("a\xa0b", "a\xa0b", id="a blank that HTTP does not know"),
        pytest.param("a\x85\x1cb", "a\x85\x1cb", id="ends of line that HTTP does not know"),
    ],
)
def test_a_canonical_header(value: str, canonical: str) -> None:
    assert canonical_headers({"HTTP_X_A": value}, "x-a") == f"x-a:{canonical}\n"


def test_the_canonical_headers_are_the_signed_ones_in_their_order() -> None:
    environ = {
        "HTTP_HOST": "h:8000",
        "CONTENT_TYPE": "text/plain",
        "CONTENT_LENGTH": "2",
        "HTTP_X_B": "not signed",
    }
    names = ("content-length", "content-type", "host", "x-missing")
    assert canonical_headers(environ, *names) == (
        "content-length:2\ncontent-type:text/plain\nhost:h:8000\nx-missing:\n"
    )


def test_a_public_host_takes_the_place_of_the_host_header() -> None:
    environ = {"HTTP_HOST": "10.0.0.1", "HTTP_X_HOST": "x"}
    assert canonical_headers(environ, "host", "x-host", host="example.com") == (
        "host:example.com\nx-host:x\n"
    )


# --- the path on the wire -----------------------------------------------------------------------

REBUILT = ["/f%3A%24LATEST", "/f:%24LATEST", "/f:$LATEST"]


@pytest.mark.parametrize(
    ("environ", "paths"),
    [
        pytest.param({"PATH_INFO": "/f"}, ["/f"], id="nothing to guess"),
        pytest.param({"PATH_INFO": "/f:$LATEST"}, REBUILT, id="rebuilt"),
        pytest.param(
            {"SCRIPT_NAME": "/a b", "PATH_INFO": "/f:1"},
            ["/a%20b/f%3A1", "/a%20b/f:1"],
            id="rebuilt, with a mount",
        ),
        pytest.param(
            {"SCRIPT_NAME": "/f", "PATH_INFO": ""}, ["/f"], id="rebuilt, all of it a mount"
        ),
        pytest.param({"PATH_INFO": "/\xe1\x88\xb4"}, ["/%E1%88%B4"], id="rebuilt, no ASCII"),
        pytest.param(
            {"PATH_INFO": "/f:1", "RAW_URI": "/%66%3a1?a=1"}, ["/%66%3a1"], id="kept, with a query"
        ),
        pytest.param(
            {"PATH_INFO": "/f:1", "REQUEST_URI": "/f%3A1"}, ["/f%3A1"], id="kept elsewhere"
        ),
        pytest.param(
            {"PATH_INFO": "/f", "RAW_URI": "/f", "REQUEST_URI": "/%66"}, ["/f"], id="kept twice"
        ),
        pytest.param(
            {"SCRIPT_NAME": "/m", "PATH_INFO": "/f:1", "RAW_URI": "/m/f%3A1"},
            ["/m/f%3A1"],
            id="kept, with a mount",
        ),
        pytest.param(
            {"SCRIPT_NAME": "/m", "PATH_INFO": "/f", "RAW_URI": "/f"},
            ["/m/f"],
            id="without the mount",
        ),
        pytest.param({"PATH_INFO": "/f", "RAW_URI": "/g"}, ["/f"], id="stale"),
        pytest.param({"PATH_INFO": "/f", "RAW_URI": "/f/"}, ["/f"], id="stale by a slash"),
        pytest.param(
            {"PATH_INFO": "/f", "RAW_URI": "//f"}, ["/f"], id="a slash that was collapsed"
        ),
        pytest.param({"PATH_INFO": "/f", "RAW_URI": ""}, ["/f"], id="empty"),
        pytest.param({"PATH_INFO": "/f", "RAW_URI": "*"}, ["/f"], id="a star"),
        pytest.param(
            {"PATH_INFO": "/f:1", "RAW_URI": "http://h:80/f%3A1?a=1"}, ["/f%3A1"], id="a whole URL"
        ),
        pytest.param(
            {"PATH_INFO": "/f:1", "RAW_URI": "HTTPS://h/f:1"}, ["/f:1"], id="a whole URL of TLS"
        ),
        pytest.param({"PATH_INFO": "/", "RAW_URI": "http://h"}, ["/"], id="a whole URL, no path"),
        pytest.param(
            {"PATH_INFO": "/f", "RAW_URI": "http://h/g"}, ["/f"], id="a whole URL of elsewhere"
        ),
        pytest.param(
            {"PATH_INFO": "/a%2Fb:1", "REQUEST_URI": "/a%2Fb%3A1"},
            ["/a%2Fb%3A1"],
            id="a server that leaves %2F in",
        ),
        pytest.param(
            {"PATH_INFO": "/a%2Fb", "REQUEST_URI": "/a%2fb"},
            ["/a%2fb"],
            id="a server that writes %2f as %2F",
        ),
        pytest.param(
            {"PATH_INFO": "/a/b", "REQUEST_URI": "/a%2Fb"},
            ["/a%2Fb"],
            id="a slash that was escaped",
        ),
        pytest.param(
            {"PATH_INFO": "/a%2Fb", "REQUEST_URI": "/a/b"},
            ["/a%252Fb"],
            id="an escape from nowhere",
        ),
        pytest.param({}, [""], id="no path at all"),
    ],
)
def test_the_path_on_the_wire_is_the_kept_one_if_it_means_the_same(
    environ: dict[str, str], paths: list[str]
) -> None:
    assert list(sigv4.paths_on_the_wire(environ)) == paths


def test_behind_a_proxy_that_decodes_paths_are_rebuilt_as_well() -> None:
    environ = {"PATH_INFO": "/f:$LATEST", "RAW_URI": "/f:%24LATEST"}
    assert list(sigv4.paths_on_the_wire(environ, rebuild=True)) == [
        "/f:%24LATEST",
        "/f%3A%24LATEST",
        "/f:$LATEST",
    ]


# --- signing ------------------------------------------------------------------------------------


def test_a_signing_key_is_for_a_day_a_region_and_a_service() -> None:
    keys = {
        sigv4.sign(sigv4.signing_key(*given), "text")
        for given in (
            (SECRET, "20150830", "us-east-1", "iam"),
            (SECRET, "20150831", "us-east-1", "iam"),
            (SECRET, "20150830", "us-east-2", "iam"),
            (SECRET, "20150830", "us-east-1", "lambda"),
            (SECRET[:-1], "20150830", "us-east-1", "iam"),
        )
    }
    assert len(keys) == 5


def test_the_service_is_lambda_unless_another_is_given() -> None:
    given = (SECRET, "20150830", "us-east-1")
    text = "AWS4-HMAC-SHA256"
    ours = sigv4.sign(sigv4.signing_key(*given), text)
    assert ours == sigv4.sign(sigv4.signing_key(*given, "lambda"), text)


@pytest.mark.parametrize(
    "signature", ["", "0" * 63, "0" * 65, "0" * 63 + "1", "O" * 64, "\xb0" * 64, "٠" * 64]
)
def test_only_an_equal_signature_is_the_same(signature: str) -> None:
    assert sigv4.is_same("0" * 64, "0" * 64)
    assert not sigv4.is_same(signature, "0" * 64)


@pytest.mark.parametrize(
    ("amz_date", "expected"),
    [
        ("19700101T000000Z", 0.0),
        ("20150830T123600Z", 1440938160.0),
        ("20240229T235959Z", 1709251199.0),
        ("20230229T000000Z", None),
        ("20261131T000000Z", None),
        ("", None),
    ],
)
def test_a_moment_is_a_day_of_the_calendar(amz_date: str, expected: float | None) -> None:
    assert sigv4.moment(amz_date) == expected
    if expected is not None:
        assert sigv4.basic_format(expected + 0.999) == amz_date
