"""Refused callers: told to the log without a secret, counted, and slowed down."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest

from invokeasync_wsgi import InvokeAsyncMiddleware, operations
from invokeasync_wsgi.auth import failures
from invokeasync_wsgi.auth.failures import Failures
from invokeasync_wsgi.auth.signatures import SigV4
from invokeasync_wsgi.errors import (
    AuthenticationError,
    AWSError,
    InvalidSignatureException,
    TooManyRequestsException,
    UnrecognizedClientException,
)
from invokeasync_wsgi.testing import Answer, Client, FakeClock, Signer

from ..signing import (
    INVOKE_ASYNC,
    KEY_ID,
    NOW,
    SECRET,
    TOKEN,
    Sender,
    UnreadableBody,
    make_functions,
    make_request,
)

REQUEST_ID = "4c7a6e5e-2f0c-4f0e-8e0e-0d4c5a3b2a1f"


def failed(key_id: str | None = KEY_ID, why: str = "a reason") -> InvalidSignatureException:
    return InvalidSignatureException("text", why=why, key_id=key_id)


def note(
    known: Failures,
    error: AuthenticationError | None = None,
    *,
    source: str | None = "192.0.2.1",
    now: float = NOW,
) -> AWSError:
    environ = {} if source is None else {"REMOTE_ADDR": source}
    return known.note(error or failed(), make_request(environ, now=now), REQUEST_ID)


def is_limited(error: AWSError) -> bool:
    assert isinstance(error, (AuthenticationError, TooManyRequestsException))
    return isinstance(error, TooManyRequestsException)


# --- the log ------------------------------------------------------------------------------------


def test_a_failure_is_told_with_its_reason_source_and_key_id(
    caplog: pytest.LogCaptureFixture,
) -> None:
    error = failed()
    assert note(Failures(60), error) is error
    [record] = caplog.records
    assert (record.name, record.levelname) == ("invokeasync_wsgi.auth.failures", "WARNING")
    assert record.getMessage() == (
        f"request {REQUEST_ID} was refused with InvalidSignatureException: a reason "
        f"(source 192.0.2.1, key id {KEY_ID})"
    )
    assert vars(record)["request_id"] == REQUEST_ID
    assert vars(record)["code"] == "InvalidSignatureException"


def test_a_caller_who_claims_no_key_is_told_by_its_source(caplog: pytest.LogCaptureFixture) -> None:
    note(Failures(60), failed(None), source=None)
    assert caplog.messages[0].endswith(": a reason (source unknown)")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a\nb", id="end of line"),
        pytest.param("a\r\n2026-01-01 INFO admin logged in", id="another line"),
        pytest.param("\x1b[2J", id="terminal escape"),
        pytest.param("\x00\x7f\x85\x9b", id="control characters"),
        pytest.param("\u2028\u202e", id="ends of line and directions of Unicode"),
        pytest.param("x" * 100_000, id="long"),
        pytest.param("%s %d %(name)s", id="format"),
        pytest.param("\ud800", id="lone surrogate"),
    ],
)
@pytest.mark.parametrize("where", ["why", "key id", "source"])
def test_what_a_stranger_writes_stays_on_its_line(
    text: str, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    error = failed(text if where == "key id" else KEY_ID, text if where == "why" else "why")
    note(Failures(60), error, source=text if where == "source" else "192.0.2.1")
    [line] = caplog.messages
    assert line.isprintable()
    assert len(line) < 600


def test_failures_are_counted_by_their_code() -> None:
    known = Failures(2)
    for error in (failed(), failed(), failed(), UnrecognizedClientException("x")):
        note(known, error)
    assert known.counts == {"InvalidSignatureException": 3, "UnrecognizedClientException": 1}


# --- the limit ----------------------------------------------------------------------------------


def test_so_many_are_answered_in_a_minute_that_begins_with_the_first() -> None:
    known = Failures(5)
    assert [is_limited(note(known)) for _ in range(4)] == [False] * 4
    assert [is_limited(note(known, now=NOW + 30)) for _ in range(3)] == [False, True, True]
    assert is_limited(note(known, now=NOW + 59.9))
    # The next minute begins with the first failure in it.
    assert [is_limited(note(known, now=NOW + 90)) for _ in range(6)] == [False] * 5 + [True]
    assert is_limited(note(known, now=NOW + 149.9))
    assert not is_limited(note(known, now=NOW + 150))


def test_a_clock_that_goes_back_does_no_harm() -> None:
    known = Failures(2)
    backwards = [is_limited(note(known, now=NOW - back)) for back in (0, 60, 9999)]
    assert backwards == [False, False, True]
    assert not is_limited(note(known, now=NOW - 9999 + 60))


def test_sources_are_limited_each_by_itself() -> None:
    known = Failures(1)
    for number in range(5):
        error = failed(None)
        assert not is_limited(note(known, error, source=f"192.0.2.{number}"))
        assert is_limited(note(known, error, source=f"192.0.2.{number}"))


def test_a_key_id_is_limited_wherever_it_comes_from() -> None:
    """Guesses at one key, sent from everywhere."""
    known = Failures(3)
    answers = [note(known, source=f"192.0.2.{number}") for number in range(5)]
    assert [is_limited(answer) for answer in answers] == [False] * 3 + [True] * 2
    assert not is_limited(note(known, failed("AKIDOTHER"), source="192.0.2.9"))


def test_a_source_is_limited_whichever_key_id_it_claims() -> None:
    known = Failures(3)
    answers = [note(known, failed(f"AKID{number}")) for number in range(5)]
    assert [is_limited(answer) for answer in answers] == [False] * 3 + [True] * 2


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        pytest.param("2001:db8::1", "2001:db8::ffff:0:1", True, id="one subscriber"),
        pytest.param("2001:db8:0:1::1", "2001:DB8:0:1:0::2", True, id="in other words"),
        pytest.param("2001:db8:0:1::1", "2001:db8:0:2::1", False, id="another subscriber"),
        pytest.param("fe80::1%eth0", "fe80::2%eth1", True, id="with a zone"),
        pytest.param("192.0.2.1", "192.0.2.2", False, id="version 4"),
        pytest.param("unix:", "unix:", True, id="no address"),
        pytest.param("", "", True, id="empty"),
        pytest.param("::ffff:192.0.2.1", "::ffff:192.0.2.2", False, id="version 4 in version 6"),
    ],
)
def test_a_source_is_an_address_or_the_network_of_one_subscriber(
    one: str, other: str, is_same: bool
) -> None:
    known = Failures(1)
    assert not is_limited(note(known, failed(None), source=one))
    assert is_limited(note(known, failed(None), source=other)) is is_same


def test_from_the_limit_on_the_log_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """Who floods a door must not flood the log."""
    known = Failures(2)
    for _ in range(100):
        note(known, failed(None))
    refused = "request 4c7a6e5e-2f0c-4f0e-8e0e-0d4c5a3b2a1f was refused with "
    assert [message for message in caplog.messages if not message.startswith(refused)] == [
        "source 192.0.2.1 has failed 2 times within a minute; more of it is answered with 429 and "
        "not logged"
    ]
    assert len(caplog.messages) == 3


@pytest.mark.parametrize(
    ("after_s", "retry_after"), [(0, "60"), (0.5, "60"), (1, "59"), (59.5, "1")]
)
def test_a_limited_caller_is_told_when_to_come_back(after_s: float, retry_after: str) -> None:
    known = Failures(1)
    assert not is_limited(note(known, now=NOW))
    limited = note(known, now=NOW + after_s)
    assert limited.headers == (("Retry-After", retry_after),)
    assert limited.body() == (
        b'{"Reason":"CallerRateLimitExceeded","Type":"User","message":"Rate Exceeded."}'
    )


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "MAX_REMEMBERED", 10)
    known = Failures(1)
    for number in range(100):
        note(known, failed(f"AKID{number}"), source=f"192.0.2.{number}")
        assert len(known._minutes) <= 10
    assert is_limited(note(known, failed(None), source="192.0.2.99"))
    assert not is_limited(note(known, failed(None), source="192.0.2.1"))


def test_who_fails_again_is_not_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "MAX_REMEMBERED", 3)
    known = Failures(1)
    note(known, failed(None))
    for number in range(2, 10):
        note(known, failed(None), source=f"192.0.2.{number}")
        assert is_limited(note(known, failed(None)))


def test_threads_share_what_is_known() -> None:
    known = Failures(100)
    answers: list[bool] = []
    start = threading.Barrier(8)

    def fail() -> None:
        start.wait(10)
        answers.extend(is_limited(note(known)) for _ in range(50))

    threads = [threading.Thread(target=fail) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (len(answers), answers.count(False)) == (400, 100)
    assert known.counts.total() == 400


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_lock_that_was_held_while_forking_holds_nobody_up() -> None:
    known = Failures(5)
    note(known)
    with known._lock.get():
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                status = int(is_limited(note(known)))
            finally:
                os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0


# --- over HTTP ----------------------------------------------------------------------------------


class Site:
    """A service with one key, on a clock that is moved by hand."""

    def __init__(self, **settings: Any) -> None:
        self.clock = FakeClock(NOW)
        self.app = InvokeAsyncMiddleware(
            None,
            make_functions(),
            auth=SigV4({KEY_ID: SECRET}),
            executor="inline:",
            clock=self.clock,
            **settings,
        )

    def send(self, signer: Signer | None, *, source: str = "192.0.2.1") -> Answer:
        client = Client(self.app, signer=signer)
        return client.request("POST", INVOKE_ASYNC, b"{}", environ={"REMOTE_ADDR": source})

    @property
    def good(self) -> Signer:
        return Signer(KEY_ID, SECRET, clock=self.clock)

    @property
    def bad(self) -> Signer:
        return Signer(KEY_ID, "x" * 40, clock=self.clock)


def test_a_good_request_gets_through_whoever_else_fails() -> None:
    """Else a stranger behind the same proxy, or with the key's id, could lock its owner out."""
    site = Site(auth_failures_per_minute=3)
    statuses = [site.send(site.bad).status for _ in range(5)]
    assert statuses == [403] * 3 + [429] * 2
    assert site.send(site.good).status == 202
    assert site.send(site.bad).status == 429
    site.clock.advance(60)
    assert [site.send(site.bad).status for _ in range(4)] == [403, 403, 403, 429]


def test_a_limited_caller_gets_awss_answer() -> None:
    site = Site(auth_failures_per_minute=1)
    site.send(None)
    answer = site.send(None)
    assert (answer.status, answer.headers["x-amzn-errortype"]) == (429, "TooManyRequestsException")
    assert (answer.headers["content-type"], answer.headers["retry-after"]) == (
        "application/json",
        "60",
    )
    assert answer.body == (
        b'{"Reason":"CallerRateLimitExceeded","Type":"User","message":"Rate Exceeded."}'
    )


def test_the_default_is_sixty_in_a_minute() -> None:
    site = Site()
    assert [site.send(None).status for _ in range(62)] == [403] * 60 + [429] * 2


def test_what_was_refused_is_counted_for_the_operator() -> None:
    site = Site()
    for signer in (None, site.bad, site.bad, site.good):
        site.send(signer)
    assert site.app.service.auth_failures.counts == {
        "MissingAuthenticationTokenException": 1,
        "InvalidSignatureException": 2,
    }


def test_a_caller_who_may_not_is_no_failure_of_authentication(
    caplog: pytest.LogCaptureFixture,
) -> None:
    site = Site(policies={}, auth_failures_per_minute=1)
    assert [site.send(site.good).status for _ in range(3)] == [403] * 3
    assert site.app.service.auth_failures.counts == {}
    assert {record.name for record in caplog.records} == {"invokeasync_wsgi.auth.policies"}


def signature_of(headers: dict[str, str]) -> str:
    return headers["Authorization"].rpartition("Signature=")[2]


BEARER = "a-bearer-token-that-went-astray"


@pytest.mark.parametrize(
    "sender",
    [
        pytest.param(Sender(secret="x" * 40), id="wrong secret"),
        pytest.param(Sender("AKIDNOBODY", token=TOKEN), id="unknown key"),
        pytest.param(Sender(token=TOKEN), id="wrong token"),
        pytest.param(Sender(now=NOW - 900), id="too late"),
        pytest.param(Sender(region="eu-west-1"), id="another region"),
        pytest.param(Sender(signed_headers="x-amz-date"), id="host not signed"),
        pytest.param(Sender(algorithm="AWS4"), id="another algorithm"),
        pytest.param(Sender(key_id=f"{KEY_ID}/x"), id="malformed credential"),
        pytest.param(Sender(signed_headers="HOST"), id="malformed names"),
    ],
)
def test_the_log_never_has_a_signature_or_a_token(
    sender: Sender, caplog: pytest.LogCaptureFixture
) -> None:
    """Who reads the log could send the request again."""
    site = Site()
    client = Client(site.app)
    headers = sender.headers(body=b"{}")
    target = sender.presigned(body=b"{}")
    path, _, query = target.partition("?")
    answers = [
        client.request("POST", INVOKE_ASYNC, b"{}", headers=headers),
        client.request("POST", path, b"{}", query=query, headers={"Host": sender.host}),
        client.request("POST", INVOKE_ASYNC, b"{}", headers={**headers, "Authorization": BEARER}),
        client.request(
            "POST", INVOKE_ASYNC, b"{}", headers={**headers, "Authorization": f"Bearer {BEARER}"}
        ),
        client.request(
            "POST",
            INVOKE_ASYNC,
            b"{}",
            headers={**headers, "Authorization": headers["Authorization"].replace(",", ", x,")},
        ),
    ]
    assert [answer.status for answer in answers] == [403] * 5
    assert len(caplog.records) == 5
    told = caplog.text + "".join(str(answer) for answer in answers)
    signed = query.rpartition("X-Amz-Signature=")[2]
    for secret in (signature_of(headers), signed, SECRET, TOKEN, BEARER):
        assert secret not in told


def test_the_log_has_no_control_characters_of_a_request(caplog: pytest.LogCaptureFixture) -> None:
    site = Site()
    evil = "a\x1b[2J\x85\x00b"
    for headers in (
        Sender(key_id=evil).headers(),
        Sender(region=evil).headers(),
        {**Sender().headers(), "X-Amz-Date": evil},
        {**Sender().headers(headers={"X-Amz-Content-Sha256": evil})},
    ):
        environ = {
            "HTTP_" + name.upper().replace("-", "_"): value for name, value in headers.items()
        }
        answer = Client(site.app).request("POST", INVOKE_ASYNC, environ=environ)
        assert answer.status == 403
        assert answer.body.isascii()
    assert len(caplog.messages) == 4
    assert all(message.isprintable() for message in caplog.messages)


def test_a_request_id_of_the_callers_is_not_taken_from_a_stranger(
    caplog: pytest.LogCaptureFixture,
) -> None:
    site = Site()
    answer = Client(site.app).request(
        "POST", INVOKE_ASYNC, headers={"x-amzn-RequestId": REQUEST_ID}
    )
    assert answer.status == 403
    assert answer.headers["x-amzn-requestid"] != REQUEST_ID
    assert answer.headers["x-amzn-requestid"] in caplog.text


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="no signature"),
        pytest.param({"Authorization": f"Bearer {BEARER}"}, id="a token"),
        pytest.param(Sender("AKIDNOBODY").headers(), id="unknown key"),
        pytest.param(Sender(now=NOW - 301).headers(), id="too late"),
        pytest.param(Sender(signed_headers="x-amz-date").headers(), id="host not signed"),
    ],
)
def test_a_body_that_a_stranger_announces_is_not_waited_for(headers: dict[str, str]) -> None:
    """Not to verify, and not to drop it afterwards either."""
    site = Site(auth_failures_per_minute=1)
    body = UnreadableBody()
    environ = {"wsgi.input": body, "CONTENT_LENGTH": "100"}
    client = Client(site.app)
    answers = [
        client.request("POST", INVOKE_ASYNC, headers=headers, environ=environ) for _ in range(2)
    ]
    assert [answer.status for answer in answers] == [403, 429]
    assert not body.was_read


def test_the_operation_is_not_looked_at_before_the_caller() -> None:
    assert operations.route("GET", INVOKE_ASYNC) == operations.NO_ROUTE
    site = Site()
    answer = Client(site.app).request("GET", INVOKE_ASYNC)
    assert answer.headers["x-amzn-errortype"] == "MissingAuthenticationTokenException"
