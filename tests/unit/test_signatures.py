"""Signed requests: which are let in, by which of the options, and at what cost they are refused."""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from invokeasync_wsgi import operations, sigv4, wire
from invokeasync_wsgi.auth import signatures
from invokeasync_wsgi.auth.choices import make_authenticator
from invokeasync_wsgi.auth.credentials import Credential
from invokeasync_wsgi.auth.signatures import SigV4
from invokeasync_wsgi.config import Settings
from invokeasync_wsgi.errors import AuthenticationError, AWSError, ConfigurationError
from invokeasync_wsgi.testing import FakeClock

from ..signing import (
    INVOKE_ASYNC,
    KEY_ID,
    NOW,
    SECRET,
    TOKEN,
    Sender,
    make_environ,
    make_request,
    refusal_of,
    started,
)

DAY = 86400
BODY = b'{"a": 1}'
HASH = hashlib.sha256(BODY).hexdigest()
MISMATCH = ("InvalidSignatureException", sigv4.MISMATCH)


def sigv4_auth(**options: Any) -> Any:
    return started(SigV4({KEY_ID: SECRET}, **options))


def told(
    auth: Any, environ: dict[str, Any], body: bytes = b"", *, now: float = NOW
) -> tuple[str, str | None] | None:
    """The code and text for the sender of a request; ``None`` for one who is let in."""
    error = refusal_of(auth, environ, body, now=now)
    return None if error is None else (error.code, error.message)


def reason(auth: Any, environ: dict[str, Any], body: bytes = b"") -> str:
    """What the log is told of a request that is refused for its signature."""
    error = refusal_of(auth, environ, body)
    assert isinstance(error, AuthenticationError)
    assert (error.code, error.message) == MISMATCH
    assert error.key_id == KEY_ID
    return error.why


# --- who it is ----------------------------------------------------------------------------------


def test_the_caller_is_the_owner_of_the_key() -> None:
    other = "AKIDOTHER"
    auth = started(SigV4({KEY_ID: SECRET, other: Credential(SECRET, "division/alice")}))
    assert auth.authenticate(make_request(Sender().environ())).name == KEY_ID
    assert auth.authenticate(make_request(Sender(other).environ())).name == "division/alice"


UNKNOWN = ("UnrecognizedClientException", "The security token included in the request is invalid.")
EXPIRED = ("ExpiredTokenException", "The security token included in the request is expired")


@pytest.mark.parametrize(
    ("sender", "answer", "why"),
    [
        pytest.param(Sender("AKIDNOBODY"), UNKNOWN, "unknown access key", id="unknown"),
        pytest.param(Sender("akidexample"), UNKNOWN, "unknown access key", id="other case"),
        pytest.param(Sender("AKIDOFF"), UNKNOWN, "disabled access key", id="disabled"),
        pytest.param(Sender("AKIDOLD"), EXPIRED, "expired access key", id="expired"),
        pytest.param(Sender("AKIDNOW"), EXPIRED, "expired access key", id="expired at this moment"),
        pytest.param(Sender("AKIDSOON"), None, "", id="expires in a second"),
        pytest.param(Sender("ASIA", token=TOKEN), None, "", id="session token"),
        pytest.param(Sender("ASIA"), UNKNOWN, "wrong session token", id="no session token"),
        pytest.param(
            Sender("ASIA", token=TOKEN[:-1]), UNKNOWN, "wrong session token", id="cut session token"
        ),
        pytest.param(
            Sender("ASIA", token="\xe9"),
            UNKNOWN,
            "wrong session token",
            id="session token, no ASCII",
        ),
        pytest.param(
            Sender(token=TOKEN),
            UNKNOWN,
            "wrong session token",
            id="session token for a key without",
        ),
        pytest.param(Sender(token=""), UNKNOWN, "wrong session token", id="empty session token"),
    ],
)
@pytest.mark.parametrize("form", ["header", "URL"])
def test_keys_that_are_not_good_now(
    form: str, sender: Sender, answer: tuple[str, str] | None, why: str
) -> None:
    auth = started(
        SigV4(
            {
                KEY_ID: SECRET,
                "AKIDOFF": Credential(SECRET, "alice", is_enabled=False),
                "AKIDOLD": Credential(SECRET, "alice", expires_at=0),
                "AKIDNOW": Credential(SECRET, "alice", expires_at=NOW),
                "AKIDSOON": Credential(SECRET, "alice", expires_at=NOW + 1),
                "ASIA": Credential(SECRET, "alice", session_token=TOKEN),
            }
        )
    )
    environ = sender.environ() if form == "header" else sender.presigned_environ()
    assert told(auth, environ) == answer
    if answer is not None:
        error = refusal_of(auth, environ)
        assert isinstance(error, AuthenticationError)
        assert (error.why, error.key_id) == (why, sender.key_id)


def test_a_session_token_may_have_been_added_after_signing() -> None:
    """An old style of SDKs; it is compared in full all the same."""
    auth = started(SigV4({KEY_ID: Credential(SECRET, "alice", session_token=TOKEN)}))
    environ = Sender().environ()
    assert told(auth, {**environ, "HTTP_X_AMZ_SECURITY_TOKEN": TOKEN}) is None
    assert told(auth, {**environ, "HTTP_X_AMZ_SECURITY_TOKEN": TOKEN + "="}) == UNKNOWN


# --- when ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("skew_s", [1, 60, 300, 3600, 0.5 + 1])
@pytest.mark.parametrize("sign", [1, -1], ids=["late", "early"])
def test_a_signature_is_good_for_as_long_as_clocks_may_be_off(skew_s: float, sign: int) -> None:
    auth = sigv4_auth(clock_skew_s=skew_s)
    environ = Sender().environ()
    assert told(auth, environ, now=NOW + sign * skew_s) is None
    answer = told(auth, environ, now=NOW + sign * (skew_s + 1))
    assert answer is not None
    code, text = answer
    assert code == "InvalidSignatureException"
    assert text is not None
    assert text.startswith("Signature expired: " if sign > 0 else "Signature not yet current: ")
    assert f"{'-' if sign > 0 else '+'} {skew_s / 60:g} min.)" in text


@pytest.mark.parametrize("expires_s", [1, 300, 301, DAY, 7 * DAY])
def test_a_presigned_url_is_good_for_as_long_as_it_says(expires_s: int) -> None:
    auth = sigv4_auth()
    environ = Sender(expires=str(expires_s)).presigned_environ()
    for now in (NOW - 300, NOW, NOW + expires_s):
        assert told(auth, environ, now=now) is None
    for now in (NOW - 301, NOW + expires_s + 1):
        answer = told(auth, environ, now=now)
        assert answer is not None
        assert answer[0] == "InvalidSignatureException"


@pytest.mark.parametrize(
    "date", ["Fri, 02 Jan 2026 03:04:05 GMT", "Friday, 02-Jan-26 03:04:05 GMT", "20260102T030405Z"]
)
@pytest.mark.parametrize("signed", ["date;host", "host"])
def test_a_date_header_is_as_good_as_x_amz_date(date: str, signed: str) -> None:
    """The moment is in the string to sign, so the header itself need not be signed."""
    auth = sigv4_auth()
    sender = Sender(signed_headers=signed)
    environ = sender.environ(headers={"Date": date})
    assert told(auth, environ) is None
    late = {**environ, "HTTP_DATE": "Fri, 02 Jan 2026 03:04:06 GMT"}
    assert told(auth, late) == MISMATCH
    assert reason(auth, late) == "the signature is not the one of this request"


def test_a_signature_of_another_region_service_or_day_says_so() -> None:
    auth = sigv4_auth()
    for sender, text in (
        (Sender(region="eu-west-1"), "Credential should be scoped to a valid region. "),
        (Sender(service="s3"), "Credential should be scoped to correct service: 'lambda'. "),
        (
            Sender(terminator="aws4"),
            "Credential should be scoped with a valid terminator: 'aws4_request'. ",
        ),
        (
            Sender(day="20260101"),
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from "
            "HTTP: '20260101' != '20260102', from '20260102T030405Z'.",
        ),
    ):
        assert told(auth, sender.environ()) == ("InvalidSignatureException", text)
        assert told(auth, sender.presigned_environ()) == ("InvalidSignatureException", text)


def test_it_verifies_for_the_region_of_the_service() -> None:
    auth = started(SigV4({KEY_ID: SECRET}), region="eu-west-1")
    assert told(auth, Sender(region="eu-west-1").environ()) is None
    assert told(auth, Sender().environ()) is not None


def test_it_cannot_verify_for_two_regions() -> None:
    """Else the second service would have let nobody in any more, or the first."""
    auth = started(SigV4({KEY_ID: SECRET}))
    started(auth)
    with pytest.raises(ConfigurationError, match=r"^auth=<SigV4>: .*'us-east-1' already.*'eu-wes"):
        started(auth, region="eu-west-1")


# --- the body -----------------------------------------------------------------------------------

UNSIGNED = "UNSIGNED-PAYLOAD"


@pytest.mark.parametrize(
    ("option", "scheme", "is_good"),
    [
        ("never", "http", False),
        ("never", "https", False),
        ("tls", "http", False),
        ("tls", "https", True),
        ("always", "http", True),
        ("always", "https", True),
    ],
)
def test_an_unsigned_body_needs_tls_or_leave(option: str, scheme: str, is_good: bool) -> None:
    auth = sigv4_auth(unsigned_payload=option)
    environ = Sender().environ(headers={"X-Amz-Content-Sha256": UNSIGNED}, scheme=scheme)
    if is_good:
        assert told(auth, environ, BODY) is None
        assert told(auth, environ, b"another") is None
    else:
        assert reason(auth, environ, BODY) == "x-amz-content-sha256 may not be 'UNSIGNED-PAYLOAD'"


def test_an_unsigned_body_needs_tls_unless_told_otherwise() -> None:
    auth = sigv4_auth()
    for scheme, is_good in (("http", False), ("https", True)):
        environ = Sender().environ(headers={"X-Amz-Content-Sha256": UNSIGNED}, scheme=scheme)
        assert (told(auth, environ, BODY) is None) is is_good


@pytest.mark.parametrize(
    ("declared", "why"),
    [
        pytest.param(HASH.upper(), "may not be", id="upper case"),
        pytest.param(HASH[:-1], "may not be", id="too short"),
        pytest.param(HASH + "0", "may not be", id="too long"),
        pytest.param("", "may not be ''", id="empty"),
        pytest.param("g" * 64, "may not be", id="no digits"),
        pytest.param("\u0660" * 32, "may not be", id="other digits"),
        pytest.param("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "may not be", id="S3's chunks"),
        pytest.param("unsigned-payload", "may not be", id="unsigned, lower case"),
        pytest.param(hashlib.sha256(b"").hexdigest(), "not the one whose hash", id="of nothing"),
        pytest.param("0" * 64, "not the one whose hash was signed", id="of something else"),
    ],
)
def test_a_declared_hash_must_be_the_bodys(declared: str, why: str) -> None:
    auth = sigv4_auth(unsigned_payload="always")
    sender = Sender()
    declared = declared.encode().decode("latin-1")
    environ = sender.environ(headers={"X-Amz-Content-Sha256": declared}, body=BODY)
    assert why in reason(auth, environ, BODY)


def test_a_declared_hash_must_be_signed() -> None:
    auth = sigv4_auth()
    signed = Sender().environ(headers={"X-Amz-Content-Sha256": HASH}, body=BODY)
    assert told(auth, signed, BODY) is None
    added = {**Sender().environ(body=BODY), "HTTP_X_AMZ_CONTENT_SHA256": HASH}
    assert reason(auth, added, BODY) == "the header x-amz-content-sha256 is not signed"


def test_an_unsigned_body_must_be_signed_to_be_unsigned() -> None:
    """Else whoever is on the way could replace a body by declaring it unsigned."""
    auth = sigv4_auth(unsigned_payload="always")
    sender = Sender(signed_headers="host;x-amz-date", payload_hash=UNSIGNED)
    environ = sender.environ(headers={"X-Amz-Content-Sha256": UNSIGNED})
    assert reason(auth, environ, BODY) == "the header x-amz-content-sha256 is not signed"
    del environ["HTTP_X_AMZ_CONTENT_SHA256"]
    assert reason(auth, environ, BODY) == "the signature is not the one of this request"


def test_the_body_of_a_presigned_url_is_the_one_that_came() -> None:
    """botocore signs URLs for no body at all."""
    auth = sigv4_auth()
    assert told(auth, Sender().presigned_environ(body=BODY), BODY) is None
    assert told(auth, Sender().presigned_environ()) is None
    assert told(auth, Sender().presigned_environ(), BODY) == MISMATCH
    assert told(auth, Sender(payload_hash=UNSIGNED).presigned_environ(), BODY) == MISMATCH


# --- the headers --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sigv4.MUST_BE_SIGNED)
@pytest.mark.parametrize("form", ["header", "URL"])
def test_a_header_that_matters_must_be_signed(form: str, name: str) -> None:
    auth = sigv4_auth()
    environ = Sender().presigned_environ()
    if form == "header":
        signed = "host" if name == "x-amz-date" else "host;x-amz-date"
        environ = Sender(signed_headers=signed).environ()
    key = "HTTP_" + name.upper().replace("-", "_")
    assert reason(auth, {key: "1", **environ}) == f"the header {name} is not signed"


def test_the_host_must_be_signed() -> None:
    auth = sigv4_auth()
    for environ in (
        Sender(signed_headers="x-amz-date").environ(),
        Sender(signed_headers="x-amz-date").presigned_environ(headers={"X-Amz-Date": "x"}),
    ):
        assert told(auth, environ) == (
            "InvalidSignatureException",
            "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
        )


def test_headers_that_proxies_add_do_no_harm() -> None:
    environ = Sender().environ()
    added = {"HTTP_X_AMZ_CF_ID": "a", "HTTP_X_FORWARDED_FOR": "b", "HTTP_X_AMZN_TRACE_ID": "c"}
    assert told(sigv4_auth(), {**environ, **added}) is None


def test_a_signed_header_must_be_there_as_it_was_signed() -> None:
    auth = sigv4_auth()
    environ = Sender().environ(headers={"X-Amz-Invocation-Type": "Event"})
    assert told(auth, environ) is None
    assert told(auth, {**environ, "HTTP_X_AMZ_INVOCATION_TYPE": "DryRun"}) == MISMATCH
    del environ["HTTP_X_AMZ_INVOCATION_TYPE"]
    assert told(auth, environ) == MISMATCH


def test_content_type_and_length_may_be_signed() -> None:
    """As the JavaScript SDK does. Servers keep them elsewhere than other headers."""
    auth = sigv4_auth()
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(len(BODY))}
    environ = Sender().environ(headers=headers, body=BODY)
    assert told(auth, environ, BODY) is None
    for key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        assert key in environ
        assert told(auth, {**environ, key: "1"}, BODY) == MISMATCH


def test_a_content_type_that_a_server_made_up_does_no_harm() -> None:
    """wsgiref says text/plain where there was none."""
    assert told(sigv4_auth(), {**Sender().environ(), "CONTENT_TYPE": "text/plain"}) is None


@pytest.mark.parametrize(
    "arrived",
    [
        pytest.param("a, b", id="as it was sent"),
        pytest.param("a,   b  ", id="with more blanks"),
        pytest.param("a,\r\n b", id="folded"),
        pytest.param("a,\tb", id="with a tab"),
    ],
)
def test_blanks_of_a_signed_header_may_change_on_the_way(arrived: str) -> None:
    environ = Sender().environ(headers={"X-Custom": "a, b"})
    assert told(sigv4_auth(), {**environ, "HTTP_X_CUSTOM": arrived}) is None


def test_a_header_that_was_sent_twice_is_signed_with_a_comma() -> None:
    """Which is how most servers join them."""
    auth = sigv4_auth()
    environ = Sender().environ(headers={"X-Custom": "b,a"})
    assert told(auth, environ) is None
    assert told(auth, {**environ, "HTTP_X_CUSTOM": "a,b"}) == MISMATCH
    assert told(auth, {**environ, "HTTP_X_CUSTOM": "a"}) == MISMATCH


def test_a_signature_in_the_header_and_one_in_the_query_are_refused() -> None:
    sender = Sender()
    target = sender.presigned()
    environ = make_environ("POST", target, sender.headers(target=target))
    assert told(sigv4_auth(), environ) == (
        "InvalidSignatureException",
        "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.",
    )


def test_two_authorization_headers_are_refused() -> None:
    """Servers join them; which one would count would be anybody's guess."""
    environ = Sender().environ()
    for other in (environ["HTTP_AUTHORIZATION"], "Basic dXNlcjpwYXNz", "Bearer token"):
        for pair in (
            [environ["HTTP_AUTHORIZATION"], other],
            [other, environ["HTTP_AUTHORIZATION"]],
        ):
            for comma in (",", ", "):
                answer = told(sigv4_auth(), {**environ, "HTTP_AUTHORIZATION": comma.join(pair)})
                assert answer is not None
                assert answer[0] == "IncompleteSignatureException"


@pytest.mark.parametrize(
    ("environ", "code"),
    [
        pytest.param(
            {"HTTP_AUTHORIZATION": "AWS4-HMAC-SHA256 " + "a" * 8192},
            "IncompleteSignatureException",
            id="header",
        ),
        pytest.param({"QUERY_STRING": "a" * 65537}, "IncompleteSignatureException", id="query"),
        pytest.param(
            {"HTTP_X_CUSTOM": "a" * 65537}, "IncompleteSignatureException", id="signed header"
        ),
        pytest.param(
            {f"HTTP_X_{number}": "" for number in range(201)},
            "IncompleteSignatureException",
            id="headers",
        ),
    ],
)
def test_what_is_too_long_is_refused(environ: dict[str, str], code: str) -> None:
    good = Sender().environ(headers={"X-Custom": "a"})
    answer = told(sigv4_auth(), {**good, **environ})
    assert answer is not None
    assert answer[0] == code


# --- the path -----------------------------------------------------------------------------------

ARN_PATH = (
    "/2014-11-13/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3Af%3A%24LATEST"
    "/invoke-async"
)


@pytest.mark.parametrize("keeps_raw", [True, False], ids=["kept", "rebuilt"])
@pytest.mark.parametrize(
    "path",
    [
        INVOKE_ASYNC,
        f"{INVOKE_ASYNC}/",
        ARN_PATH,
        ARN_PATH.replace("%3A", ":"),
        ARN_PATH.replace("%3A", ":").replace("%24", "$"),
        ARN_PATH.replace("f%3A", "f%20%E1%88%B4%3A"),
    ],
)
def test_a_path_is_verified_as_clients_encode_it(path: str, keeps_raw: bool) -> None:
    assert told(sigv4_auth(), Sender().environ(target=path, keeps_raw=keeps_raw)) is None
    assert told(sigv4_auth(), Sender().presigned_environ(target=path, keeps_raw=keeps_raw)) is None


@pytest.mark.parametrize(
    "path", [ARN_PATH.replace("%3A", "%3a"), INVOKE_ASYNC.replace("f/", "%66/")]
)
def test_a_path_that_is_encoded_otherwise_needs_a_server_that_keeps_it(path: str) -> None:
    assert told(sigv4_auth(), Sender().environ(target=path)) is None
    assert told(sigv4_auth(), Sender().environ(target=path, keeps_raw=False)) == MISMATCH


def test_where_the_path_was_kept_no_other_is_tried() -> None:
    """A signature for f%3Alive is none for f:live, though both mean the same."""
    escaped = Sender().environ(target=INVOKE_ASYNC.replace("f/", "f%3Alive/"))
    raw = {**escaped, "RAW_URI": INVOKE_ASYNC.replace("f/", "f:live/")}
    assert told(sigv4_auth(), escaped) is None
    assert told(sigv4_auth(), raw) == MISMATCH


@pytest.mark.parametrize("key", ["RAW_URI", "REQUEST_URI"])
def test_a_kept_path_of_another_request_is_not_believed(key: str) -> None:
    """A stranger may have sent it; what is invoked is in PATH_INFO."""
    good, evil = Sender().environ(keeps_raw=False), INVOKE_ASYNC.replace("/f/", "/g/")
    assert told(sigv4_auth(), {**good, key: evil}) is None
    forged = {**good, "PATH_INFO": evil, key: INVOKE_ASYNC}
    assert told(sigv4_auth(), forged) == MISMATCH


def test_a_kept_target_may_be_a_whole_url() -> None:
    environ = Sender().environ(target=f"{ARN_PATH}?a=1")
    environ["RAW_URI"] = f"http://lambda.us-east-1.amazonaws.com{ARN_PATH}?a=1"
    assert told(sigv4_auth(), environ) is None


def test_a_server_that_leaves_2f_in_the_path_verifies_as_others() -> None:
    """cheroot does. No function has such a name, which the signature has nothing to do with."""
    path = INVOKE_ASYNC.replace("/f/", "/a%2Fb%3Ac/")
    environ = Sender().environ(target=path)
    environ["REQUEST_URI"] = environ.pop("RAW_URI")
    environ["PATH_INFO"] = INVOKE_ASYNC.replace("/f/", "/a%2Fb:c/")
    assert told(sigv4_auth(), environ) is None


@pytest.mark.parametrize("keeps_raw", [True, False], ids=["kept", "rebuilt"])
def test_the_prefix_of_a_mount_is_signed(keeps_raw: bool) -> None:
    auth = sigv4_auth()
    environ = Sender().environ(target=f"/my%20app{ARN_PATH}", keeps_raw=keeps_raw)
    mounted = {
        **environ,
        "SCRIPT_NAME": "/my app",
        "PATH_INFO": environ["PATH_INFO"].removeprefix("/my app"),
    }
    assert told(auth, mounted) is None
    without = Sender().environ(target=ARN_PATH)
    assert told(auth, {**without, "SCRIPT_NAME": "/my app"}) == MISMATCH


def test_a_query_is_verified_as_it_came() -> None:
    auth = sigv4_auth()
    target = f"{INVOKE_ASYNC}?b=%24LATEST&a&c="
    environ = Sender().environ(target=target)
    assert told(auth, environ) is None
    for query, is_good in (
        ("a&b=%24LATEST&c", True),
        ("c=&a=&b=%24LATEST", True),
        ("b=$LATEST&a&c=", True),
        ("b=%24LATEST&a", False),
        ("b=%24LATEST&a&c=&d", False),
        ("b=%24latest&a&c=", False),
        ("", False),
    ):
        assert (told(auth, {**environ, "QUERY_STRING": query}) is None) is is_good, query


# --- behind a proxy -----------------------------------------------------------------------------


def test_public_hosts_are_what_clients_call_the_service() -> None:
    auth = sigv4_auth(public_hosts=["lambda.example.com", "localhost:8443"])
    for host, is_good in (
        ("lambda.example.com", True),
        ("localhost:8443", True),
        ("10.0.0.1:8000", True),  # past the proxy
        ("localhost", False),
        ("lambda.example.com:443", False),
        ("evil.example.com", False),
    ):
        sent = Sender(host=host).environ()
        arrived = {**sent, "HTTP_HOST": "10.0.0.1:8000"}
        assert (told(auth, arrived) is None) is is_good, host


def test_no_host_but_the_requests_own_is_tried_unless_told() -> None:
    environ = {**Sender(host="lambda.example.com").environ(), "HTTP_HOST": "10.0.0.1"}
    assert told(sigv4_auth(), environ) == MISMATCH


@pytest.mark.parametrize("keeps_raw", [True, False], ids=["kept", "rebuilt"])
def test_a_public_prefix_is_what_a_proxy_takes_away(keeps_raw: bool) -> None:
    auth = sigv4_auth(public_prefix="/lambda")
    sent = Sender(path=f"/lambda{ARN_PATH}").environ(target=ARN_PATH, keeps_raw=keeps_raw)
    assert told(auth, sent) is None
    past_the_proxy = Sender().environ(target=ARN_PATH, keeps_raw=keeps_raw)
    assert told(auth, past_the_proxy) is None
    assert told(sigv4_auth(), sent) == MISMATCH
    other = Sender(path=f"/other{ARN_PATH}").environ(target=ARN_PATH, keeps_raw=keeps_raw)
    assert told(auth, other) == MISMATCH


def test_a_proxy_may_send_paths_on_decoded() -> None:
    """nginx does, where proxy_pass has a path: the kept path is not the client's."""
    auth = sigv4_auth(proxy_decodes_path=True)
    sent = Sender(path=ARN_PATH)
    decoded = ARN_PATH.replace("%3A", ":").replace("%24", "$")
    assert told(auth, sent.environ(target=decoded)) is None
    assert told(sigv4_auth(), sent.environ(target=decoded)) == MISMATCH
    assert told(auth, Sender().environ(target=decoded)) is None
    other = Sender(path=ARN_PATH.replace("function%3Af", "function%3Ag"))
    assert told(auth, other.environ(target=decoded)) == MISMATCH


def test_all_that_a_proxy_changes_may_be_changed_at_once() -> None:
    auth = sigv4_auth(
        public_hosts=["lambda.example.com"], public_prefix="/lambda", proxy_decodes_path=True
    )
    sent = Sender(host="lambda.example.com", path=f"/lambda{ARN_PATH}")
    environ = sent.environ(target=ARN_PATH.replace("%3A", ":"))
    environ["HTTP_HOST"] = "127.0.0.1:8000"
    assert told(auth, environ) is None


# --- options ------------------------------------------------------------------------------------

SECONDS = "1 to 3600 seconds"
HOSTS = "at most 8 host names, with their ports where clients send them"
PREFIX = "a path such as '/lambda', without a slash at its end"


@pytest.mark.parametrize(
    ("option", "value", "allowed"),
    [
        ("clock_skew_s", 0, SECONDS),
        ("clock_skew_s", 0.9, SECONDS),
        ("clock_skew_s", 3600.1, SECONDS),
        ("clock_skew_s", -300, SECONDS),
        ("clock_skew_s", float("nan"), SECONDS),
        ("clock_skew_s", float("inf"), SECONDS),
        ("clock_skew_s", "300", SECONDS),
        ("clock_skew_s", True, SECONDS),
        ("clock_skew_s", None, SECONDS),
        ("unsigned_payload", "TLS", "'never' or 'tls' or 'always'"),
        ("unsigned_payload", True, "'never' or 'tls' or 'always'"),
        ("unsigned_payload", None, "'never' or 'tls' or 'always'"),
        ("unsigned_payload", ["tls"], "'never' or 'tls' or 'always'"),
        ("public_hosts", "lambda.example.com", HOSTS),
        ("public_hosts", [""], HOSTS),
        ("public_hosts", ["https://lambda.example.com"], HOSTS),
        ("public_hosts", ["lambda.example.com/"], HOSTS),
        ("public_hosts", [None], HOSTS),
        ("public_hosts", list("abcdefghi"), HOSTS),
        ("public_prefix", "lambda", PREFIX),
        ("public_prefix", "/lambda/", PREFIX),
        ("public_prefix", "/", PREFIX),
        ("max_replays", 0, "a whole number, 1 or more"),
        ("max_replays", -1, "a whole number, 1 or more"),
        ("max_replays", 1.0, "a whole number, 1 or more"),
        ("max_replays", True, "a whole number, 1 or more"),
    ],
)
def test_an_option_that_is_not_allowed_is_told_the_value_and_what_is(
    option: str, value: object, allowed: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        SigV4({KEY_ID: SECRET}, **{option: value})  # type: ignore[arg-type]
    assert str(refused.value) == f"auth: {option}={value!r}: it must be {allowed}"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("public_hosts", None),
        ("public_hosts", 7),
        ("public_prefix", None),
        ("public_prefix", 7),
        ("public_prefix", ["/lambda"]),
        ("proxy_decodes_path", "false"),
        ("replays", True),
        ("replays", 7),
    ],
)
def test_an_option_of_another_type_is_refused_as_others_are(option: str, value: object) -> None:
    """Not with a TypeError, and above all not taken for what it is not."""
    with pytest.raises(ConfigurationError, match=f"{option}="):
        SigV4({KEY_ID: SECRET}, **{option: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("clock_skew_s", 1),
        ("clock_skew_s", 3600),
        ("public_hosts", ()),
        ("public_hosts", list("abcdefgh")),
        ("public_prefix", ""),
        ("public_prefix", "/a/b"),
        ("max_replays", 1),
    ],
)
def test_the_ends_of_what_is_allowed(option: str, value: Any) -> None:
    SigV4({KEY_ID: SECRET}, **{option: value})


# --- what a refusal costs -----------------------------------------------------------------------


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each step of the reckoning was taken."""
    counted: Counter[str] = Counter()

    def count(module: Any, name: str) -> None:
        function: Callable[..., Any] = getattr(module, name)

        def counting(*args: Any, **kwargs: Any) -> Any:
            counted[name] += 1
            return function(*args, **kwargs)

        monkeypatch.setattr(module, name, counting)

    for name in ("signing_key", "sign", "is_same", "string_to_sign", "canonical_request"):
        count(sigv4, name)
    for name in ("digest", "new", "compare_digest"):
        count(hmac, name)
    return counted


WRONG_SECRET = "x" * 40

#: Refused requests whose signature is wrong, whatever else is.
REFUSED = {
    name: replace(sender, secret=WRONG_SECRET)
    for name, sender in {
        "unknown key": Sender("AKIDNOBODY"),
        "disabled key": Sender("AKIDOFF"),
        "expired key": Sender("AKIDOLD"),
        "wrong secret": Sender(),
        "wrong session token": Sender("ASIA", token="wrong"),
        "no session token": Sender("ASIA"),
        "session token and wrong secret": Sender("ASIA", token=TOKEN),
        "too late": Sender(now=NOW - 301),
        "too early": Sender(now=NOW + 301),
        "another region": Sender(region="eu-west-1"),
        "another day": Sender(day="20260101"),
        "host not signed": Sender(signed_headers="x-amz-date"),
        "signature too short": Sender(signature="0"),
        "signature too long": Sender(signature="0" * 65),
        "signature in upper case": Sender(signature="A" * 64),
        **{f"{right} right digits": Sender() for right in range(1, 64)},
    }.items()
}


def known_keys() -> Any:
    return started(
        SigV4(
            {
                KEY_ID: SECRET,
                "AKIDOFF": Credential(SECRET, "alice", is_enabled=False),
                "AKIDOLD": Credential(SECRET, "alice", expires_at=0),
                "ASIA": Credential(SECRET, "alice", session_token=TOKEN),
            }
        )
    )


def with_right_digits(environ: dict[str, Any], right: int) -> dict[str, Any]:
    """A request of a good sender, whose signature ends otherwise."""
    before, _, good = environ["HTTP_AUTHORIZATION"].partition("Signature=")
    wrong = "".join("1" if digit == "0" else "0" for digit in good[right:])
    return {**environ, "HTTP_AUTHORIZATION": f"{before}Signature={good[:right]}{wrong}"}


@pytest.mark.parametrize("is_kept", [True, False], ids=["derived key kept", "not kept"])
@pytest.mark.parametrize("keeps_raw", [True, False], ids=["path kept", "path rebuilt"])
def test_every_refusal_takes_the_same_work(
    calls: Counter[str], is_kept: bool, keeps_raw: bool
) -> None:
    """Else its time would tell which keys there are, which were used today, or what was right."""
    tries = 1 if keeps_raw else 3
    works = {}
    for name, sender in REFUSED.items():
        auth = known_keys()
        if is_kept:
            for good in (Sender(), Sender("ASIA", token=TOKEN)):
                assert told(auth, good.environ()) is None
        if name.endswith("right digits"):
            environ = Sender().environ(target=ARN_PATH, keeps_raw=keeps_raw)
            environ = with_right_digits(environ, int(name.split()[0]))
        else:
            environ = sender.environ(target=ARN_PATH, keeps_raw=keeps_raw)
        calls.clear()
        assert told(auth, environ) is not None, name
        # That a key has a session token is no secret: its id begins otherwise.
        calls["compare_digest"] -= name == "wrong session token"
        works[name] = dict(calls)
    same = {
        "signing_key": 1,
        "digest": 4,
        "new": 1,
        "canonical_request": tries,
        "string_to_sign": tries,
        "sign": tries,
        "is_same": tries,
        "compare_digest": tries,
    }
    assert {name: work for name, work in works.items() if work != same} == {}


def test_a_kept_key_saves_its_derivation_where_the_signature_is_right(
    calls: Counter[str],
) -> None:
    auth = known_keys()
    for derived in (1, 0, 0):
        calls.clear()
        assert told(auth, Sender().environ()) is None
        assert calls["signing_key"] == derived


def test_no_key_is_kept_for_who_has_not_shown_that_it_is_right(calls: Counter[str]) -> None:
    """Strangers could fill the memory, and a later caller's time would tell of them."""
    auth = known_keys()
    for _ in range(2):
        assert told(auth, Sender(secret=WRONG_SECRET).environ()) is not None
    calls.clear()
    environ = Sender().environ()
    calls.clear()
    assert told(auth, environ) is None
    assert calls["signing_key"] == 1


def test_kept_keys_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signatures, "_MAX_KEPT_KEYS", 3)
    auth = known_keys()
    for day in range(10):
        now = NOW + day * DAY
        assert told(auth, Sender(now=now).environ(), now=now) is None
        assert len(auth._keys) <= 3


def test_a_changed_secret_is_derived_anew() -> None:
    """Of a key that was rotated under its id."""
    secrets = {KEY_ID: Credential(SECRET, "alice")}
    auth = started(SigV4(secrets.get))
    assert told(auth, Sender().environ()) is None
    secrets[KEY_ID] = Credential("another-secret-0123456789", "alice")
    assert told(auth, Sender().environ()) == MISMATCH
    assert told(auth, Sender(secret="another-secret-0123456789").environ()) is None


class Body:
    """A body that counts how often it is asked for."""

    def __init__(self, content: bytes = BODY) -> None:
        self.content = content
        self.reads = 0

    def read(self) -> bytes:
        self.reads += 1
        return self.content


def read_by(auth: Any, environ: dict[str, Any]) -> tuple[int, AWSError | None]:
    body = Body()
    request = wire.Request(operations.INVOKE_ASYNC, "f", environ, body.read, NOW)
    try:
        auth.authenticate(request)
    except AWSError as error:
        return body.reads, error
    return body.reads, None


TOLD_BY_HEADERS = {
    "no signature": {},
    "malformed": {"HTTP_AUTHORIZATION": "AWS4-HMAC-SHA256 x"},
    "too long": {"HTTP_AUTHORIZATION": "a" * 9000},
    **{
        name: REFUSED[name].environ(body=BODY)
        for name in (
            *("unknown key", "disabled key", "expired key", "wrong session token", "too late"),
            *("no session token", "too early", "another region", "another day", "host not signed"),
        )
    },
    "header not signed": {
        **Sender().environ(body=BODY),
        "HTTP_X_AMZ_INVOCATION_TYPE": "Event",
    },
    "hash is none": Sender().environ(headers={"X-Amz-Content-Sha256": "0"}),
    "hash of a wrong signature": Sender(secret=WRONG_SECRET).environ(
        headers={"X-Amz-Content-Sha256": HASH}
    ),
    "unsigned without leave": Sender().environ(headers={"X-Amz-Content-Sha256": UNSIGNED}),
    "unsigned and wrong": Sender(secret=WRONG_SECRET).environ(
        headers={"X-Amz-Content-Sha256": UNSIGNED}, scheme="https"
    ),
}


@pytest.mark.parametrize("name", TOLD_BY_HEADERS)
def test_a_body_is_not_read_for_what_the_headers_tell(name: str) -> None:
    """A stranger may send it slowly, and a thread would wait for it."""
    reads, error = read_by(known_keys(), {"REQUEST_METHOD": "POST", **TOLD_BY_HEADERS[name]})
    assert isinstance(error, AuthenticationError)
    assert reads == 0


@pytest.mark.parametrize(
    ("environ", "is_good"),
    [
        pytest.param(Sender().environ(body=BODY), True, id="right"),
        pytest.param(Sender().environ(body=b"x"), False, id="another body"),
        pytest.param(Sender(secret=WRONG_SECRET).environ(body=BODY), False, id="wrong"),
        pytest.param(
            Sender().environ(body=BODY, headers={"X-Amz-Content-Sha256": HASH}), True, id="declared"
        ),
        pytest.param(
            Sender().environ(body=BODY, headers={"X-Amz-Content-Sha256": "0" * 64}),
            False,
            id="declared another",
        ),
        pytest.param(Sender().presigned_environ(body=BODY), True, id="URL"),
    ],
)
def test_a_body_is_read_and_hashed_once(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, Any], is_good: bool
) -> None:
    hashed = []
    sha256 = hashlib.sha256

    def counting(data: bytes = b"", **options: Any) -> Any:
        hashed.append(data)
        return sha256(data, **options)

    auth = known_keys()
    monkeypatch.setattr(hashlib, "sha256", counting)
    reads, error = read_by(auth, environ)
    assert (error is None) is is_good
    assert (reads, hashed.count(BODY)) == (1, 1)


def test_an_unsigned_body_is_not_read_to_verify_it() -> None:
    environ = Sender().environ(headers={"X-Amz-Content-Sha256": UNSIGNED}, scheme="https")
    assert read_by(known_keys(), environ) == (0, None)


# --- how it is made -----------------------------------------------------------------------------


def test_it_is_made_by_a_url_with_all_of_its_options(tmp_path: Any) -> None:
    path = tmp_path / "keys.ini"
    path.write_text(f"[alice]\naws_access_key_id={KEY_ID}\naws_secret_access_key={SECRET}\n")
    path.chmod(0o600)
    auth: Any = make_authenticator(
        f"sigv4:///{path}?clock_skew_s=60&unsigned_payload=always&public_hosts=a,b:1"
        "&public_prefix=/lambda&proxy_decodes_path=true&replays=memory&max_replays=5"
    )
    auth.start(Settings(auth=auth), FakeClock(NOW))
    sender = Sender(host="b:1", path=f"/lambda{ARN_PATH}")
    environ = {
        **sender.environ(target=ARN_PATH.replace("%3A", ":")),
        "HTTP_HOST": "10.0.0.1",
    }
    assert told(auth, environ, now=NOW + 60) is None
    answer = told(auth, environ, now=NOW)
    assert answer == ("InvalidSignatureException", "The signature has been used already.")
    assert told(auth, Sender(now=NOW - 61).environ()) is not None
