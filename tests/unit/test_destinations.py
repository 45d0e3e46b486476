"""destinations.py: what follows the end of an event, and how it is delivered."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import pytest

from invokeasync_wsgi import Invocation, Outcome, lineage
from invokeasync_wsgi.config import AsyncSettings, Settings
from invokeasync_wsgi.destinations import DeliveryError, Destinations
from invokeasync_wsgi.errors import ConfigurationError
from invokeasync_wsgi.targets import Target, parse
from invokeasync_wsgi.testing import FakeClock

ENDED_AT = 1593641120.5  # 2020-07-01T22:05:20.500Z
REQUEST_ID = "4c7a6e5e-2f0c-4f0e-8e0e-0d4c5a3b2a1f"
ARN = "arn:aws:lambda:us-east-1:123456789012:function:f:$LATEST"
TRACE_ID = "Root=1-5e1b4151-5ac6c58dc39a6b6ae5ba4b1a;Lineage=a87bd80c:1|68fd508a:5"
INVOCATION = Invocation(
    request_id=REQUEST_ID,
    function_name="f",
    payload=b'{"a":  1}',
    accepted_at=ENDED_AT - 200,
    trace_id=TRACE_ID,
)
RETURNED = Outcome(b'{"ok": true}', None, "$LATEST", 0.0, "application/json", str)
ERROR = b'{"errorMessage": "no such image", "errorType": "KeyError"}'
FAILED = RETURNED._replace(payload=ERROR, function_error="Unhandled")

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
QUEUE = "arn:aws:sqs:us-east-1:123456789012:failed"
BUS = "arn:aws:events:us-east-1:123456789012:event-bus/default"

received: list[Any] = []


@pytest.fixture(autouse=True)
def _nothing_received() -> None:
    received.clear()


def receive(value: Any) -> None:
    """A destination of the form ``python:``."""
    received.append(value)


async def receive_async(value: Any) -> None:
    """One that would never be awaited."""


class Receiver:
    """Destinations with a state."""

    def __init__(self) -> None:
        self.received: list[Any] = []

    def receive(self, value: Any) -> None:
        self.received.append(value)

    async def __call__(self, value: Any) -> None: ...


def make(**settings: Any) -> Destinations:
    return Destinations(Settings(auth="none", **settings), FakeClock(ENDED_AT))


def to(**given: Any) -> AsyncSettings:
    """Settings with destinations, given as users give them."""
    parsed: dict[str, Any] = {setting: parse(setting, value) for setting, value in given.items()}
    return AsyncSettings(**parsed)


def after(
    settings: AsyncSettings,
    condition: str = "Success",
    outcome: Outcome | None = RETURNED,
    invocation: Invocation = INVOCATION,
    function_arn: str = ARN,
    destinations: Destinations | None = None,
) -> tuple[Invocation, ...]:
    return (destinations or make()).after(
        invocation,
        function_arn=function_arn,
        settings=settings,
        condition=condition,
        outcome=outcome,
    )


def record(
    condition: str = "Success",
    outcome: Outcome | None = RETURNED,
    invocation: Invocation = INVOCATION,
    function_arn: str = ARN,
) -> bytes:
    """The record of an event's end, as a destination gets it."""
    settings = to(on_success=receive, on_failure=receive)
    (delivery,) = after(settings, condition, outcome, invocation, function_arn)
    return delivery.payload


def dead_letter(
    target: object = receive,
    condition: str = "RetriesExhausted",
    outcome: Outcome | None = FAILED,
    invocation: Invocation = INVOCATION,
) -> Invocation:
    """The delivery of an event that is given up."""
    (delivery,) = after(to(dead_letter=target), condition, outcome, invocation)
    return delivery


def failing_with(message: object) -> Outcome:
    return FAILED._replace(payload=json.dumps({"errorMessage": message}).encode())


# --- the record ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "attempt", "outcome", "expected"),
    [
        pytest.param(
            "Success",
            1,
            RETURNED,
            '"condition":"Success","approximateInvokeCount":1},"requestPayload":{"a":  1},'
            '"responseContext":{"statusCode":200,"executedVersion":"$LATEST"},'
            '"responsePayload":{"ok": true}}',
            id="a success",
        ),
        pytest.param(
            "Success",
            2,
            RETURNED._replace(payload=b"null", executed_version="7"),
            '"condition":"Success","approximateInvokeCount":2},"requestPayload":{"a":  1},'
            '"responseContext":{"statusCode":200,"executedVersion":"7"},"responsePayload":null}',
            id="a version that succeeded in its second attempt",
        ),
        pytest.param(
            "RetriesExhausted",
            3,
            FAILED,
            '"condition":"RetriesExhausted","approximateInvokeCount":3},"requestPayload":{"a":  1},'
            '"responseContext":{"statusCode":200,"executedVersion":"$LATEST",'
            f'"functionError":"Unhandled"}},"responsePayload":{ERROR.decode()}}}',
            id="three failures",
        ),
        pytest.param(
            "RetriesExhausted",
            1,
            FAILED,
            '"condition":"RetriesExhausted","approximateInvokeCount":1},"requestPayload":{"a":  1},'
            '"responseContext":{"statusCode":200,"executedVersion":"$LATEST",'
            f'"functionError":"Unhandled"}},"responsePayload":{ERROR.decode()}}}',
            id="one failure without retries",
        ),
        pytest.param(
            "EventAgeExceeded",
            2,
            FAILED,
            '"condition":"EventAgeExceeded","approximateInvokeCount":2},"requestPayload":{"a":  1},'
            '"responseContext":{"statusCode":200,"executedVersion":"$LATEST",'
            f'"functionError":"Unhandled"}},"responsePayload":{ERROR.decode()}}}',
            id="too old after two failures, the last response is kept",
        ),
        pytest.param(
            "EventAgeExceeded",
            1,
            None,
            '"condition":"EventAgeExceeded","approximateInvokeCount":0},"requestPayload":{"a":  1},'
            '"responseContext":{"statusCode":429}}',
            id="throttled until too old",
        ),
        pytest.param(
            "EventAgeExceeded",
            3,
            None,
            '"condition":"EventAgeExceeded","approximateInvokeCount":2},"requestPayload":{"a":  1},'
            '"responseContext":{"statusCode":429}}',
            id="throttled until too old after two failures",
        ),
        pytest.param(
            "ZeroReservedConcurrency",
            1,
            None,
            '"condition":"ZeroReservedConcurrency","approximateInvokeCount":0},'
            '"requestPayload":{"a":  1}}',
            id="no concurrency, so no response members",
        ),
        pytest.param(
            "RecursiveInvocation",
            1,
            None,
            '"condition":"RecursiveInvocation","approximateInvokeCount":0},'
            '"requestPayload":{"a":  1}}',
            id="a stopped recursion",
        ),
    ],
)
def test_a_record_has_lambdas_members_in_lambdas_order(
    condition: str, attempt: int, outcome: Outcome | None, expected: str
) -> None:
    written = record(condition, outcome, replace(INVOCATION, attempt=attempt))
    assert written.decode() == (
        '{"version":"1.0","timestamp":"2020-07-01T22:05:20.500Z",'
        f'"requestContext":{{"requestId":"{REQUEST_ID}","functionArn":"{ARN}",{expected}'
    )
    json.loads(written)


def test_a_record_names_the_alias_that_was_invoked_and_the_version_that_ran() -> None:
    live = ARN.replace("$LATEST", "live")
    written = json.loads(record(outcome=RETURNED._replace(executed_version="3"), function_arn=live))
    assert written["requestContext"]["functionArn"] == live
    assert written["responseContext"]["executedVersion"] == "3"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"a":  1,   "b" :2}', id="spaces"),
        pytest.param('\n{"a":\t1}\r\n', id="newlines and tabs"),
        pytest.param("123456789012345678901234567890", id="a big number"),
        pytest.param("[1.0, 1e2, 1E+2, -0, 0.10]", id="spellings of numbers"),
        pytest.param('{"a":1,"a":2}', id="a member that comes twice"),
        pytest.param('"\\u00e9 é \\/ \\ud83d"', id="escapes, one of them half a pair"),
        pytest.param('""', id="an empty string"),
    ],
)
def test_payloads_are_in_the_record_byte_for_byte(text: str) -> None:
    raw = text.encode()
    written = record(
        outcome=RETURNED._replace(payload=raw), invocation=replace(INVOCATION, payload=raw)
    )
    assert b'"requestPayload":' + raw + b',"responseContext":' in written
    assert written.endswith(b'"responsePayload":' + raw + b"}")
    json.loads(written)


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        pytest.param(b"plain text", "plain text", id="text"),
        pytest.param(b"", "", id="nothing"),
        pytest.param(b'"},"x":{"', '"},"x":{"', id="what would break out"),
        pytest.param(b"caf\xc3\xa9 \xff", "café \ufffd", id="not UTF-8"),
        pytest.param(b"NaN", "NaN", id="no JSON, though Python writes it"),
        pytest.param(b"1 2", "1 2", id="two values"),
    ],
)
def test_a_response_that_is_not_json_is_a_string_in_the_record(
    response: bytes, expected: str
) -> None:
    outcome = RETURNED._replace(payload=response, content_type="application/unknown")
    assert json.loads(record(outcome=outcome))["responsePayload"] == expected


def test_bytes_that_are_json_are_in_the_record_as_they_are() -> None:
    outcome = RETURNED._replace(payload=b'{"b":  2}', content_type="application/unknown")
    assert record(outcome=outcome).endswith(b'"responsePayload":{"b":  2}}')


# --- what follows what --------------------------------------------------------------------------


def test_nothing_follows_where_nothing_is_set() -> None:
    assert after(AsyncSettings()) == ()
    assert after(AsyncSettings(), "RetriesExhausted", FAILED) == ()


def test_a_success_goes_to_its_destination_only() -> None:
    settings = to(on_success="python:a:b", on_failure="python:c:d", dead_letter=QUEUE)
    assert [delivery.function_name for delivery in after(settings)] == ["python:a:b"]
    assert after(replace(settings, on_success=None)) == ()


@pytest.mark.parametrize(
    "condition",
    ["RetriesExhausted", "EventAgeExceeded", "ZeroReservedConcurrency", "RecursiveInvocation"],
)
def test_a_failure_goes_to_its_destination_and_the_event_to_the_dead_letters(
    condition: str,
) -> None:
    settings = to(on_success="python:a:b", on_failure="python:c:d", dead_letter=QUEUE)
    failed, dead = after(settings, condition, None)
    assert (failed.function_name, dead.function_name) == ("python:c:d", QUEUE)
    assert json.loads(failed.payload)["requestContext"]["condition"] == condition
    assert dead.payload == INVOCATION.payload
    assert after(replace(settings, on_failure=None), condition, None) == (dead,)
    assert after(replace(settings, dead_letter=None), condition, None) == (failed,)


def test_a_delivery_is_an_event_of_its_own_with_the_request_id_of_the_first() -> None:
    tried_often = replace(INVOCATION, attempt=3, back_offs=2, client_context="{}", tenant_id="t")
    (delivery,) = after(to(on_success="python:a:b"), invocation=tried_often)
    assert delivery == Invocation(
        request_id=REQUEST_ID,
        function_name="python:a:b",
        payload=delivery.payload,
        accepted_at=ENDED_AT,
        trace_id=TRACE_ID,
        delivery='{"kind":"OnSuccess","function":"f",'
        f'"functionArn":"{ARN}","condition":"Success"}}',
    )
    assert Invocation.from_json(delivery.to_json()) == delivery


@pytest.mark.parametrize("kind", ["OnSuccess", "OnFailure", "DeadLetter"])
def test_nothing_follows_a_delivery(kind: str) -> None:
    delivery = replace(INVOCATION, delivery=json.dumps({"kind": kind}))
    settings = to(on_success=receive, on_failure=receive, dead_letter=receive)
    assert after(settings, invocation=delivery) == ()
    assert after(settings, "EventAgeExceeded", None, invocation=delivery) == ()


@pytest.mark.parametrize(
    ("target", "name", "qualifier"),
    [
        ("g", "g", None),
        ("g:live", "g", "live"),
        ("arn:aws:lambda:us-east-1:123456789012:function:g:$LATEST", "g", "$LATEST"),
    ],
)
def test_a_functions_delivery_is_an_ordinary_event_with_the_record_as_its_payload(
    target: str, name: str, qualifier: str | None
) -> None:
    (event,) = after(to(on_failure=target), "RetriesExhausted", FAILED)
    assert event == Invocation(
        request_id=event.request_id,
        function_name=name,
        qualifier=qualifier,
        payload=record("RetriesExhausted", FAILED),
        accepted_at=ENDED_AT,
        trace_id=lineage.extend(TRACE_ID, ARN.removesuffix(":$LATEST"), root=""),
    )
    assert event.request_id != REQUEST_ID
    with pytest.raises(DeliveryError, match="is no delivery"):
        make().deliver(event)


# --- the dead letter ----------------------------------------------------------------------------


def attributes(delivery: Invocation) -> dict[str, str]:
    make().deliver(delivery)
    found: dict[str, str] = received[-1]["messageAttributes"]
    return found


def test_a_dead_letter_is_the_event_byte_for_byte() -> None:
    """The MD5 is that of AWS's recording."""
    dead = dead_letter(invocation=replace(INVOCATION, payload=b'{"raise_error": 1}'))
    assert dead.payload == b'{"raise_error": 1}'
    make().deliver(dead)
    assert received == [
        {
            "body": '{"raise_error": 1}',
            "md5OfBody": "ba08269cbd0ce515889bfba6593731e1",
            "messageAttributes": {
                "RequestID": REQUEST_ID,
                "ErrorCode": "200",
                "ErrorMessage": "no such image",
            },
        }
    ]


@pytest.mark.parametrize(
    ("condition", "outcome", "code"),
    [
        ("RetriesExhausted", FAILED, "200"),
        ("EventAgeExceeded", FAILED, "200"),
        ("EventAgeExceeded", None, "429"),
        ("ZeroReservedConcurrency", None, "429"),
        ("RecursiveInvocation", None, "400"),
        ("SomethingNew", None, "500"),
    ],
)
def test_the_error_code_is_the_status_that_a_caller_would_have_got(
    condition: str, outcome: Outcome | None, code: str
) -> None:
    found = attributes(dead_letter(condition=condition, outcome=outcome))
    assert found["ErrorCode"] == code
    assert ("ErrorMessage" in found) is (outcome is not None)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param("x" * 2000, "x" * 1024, id="1 KB"),
        pytest.param("é" * 1000, "é" * 512, id="1 KB of two bytes each"),
        pytest.param("x" + "é" * 1000, "x" + "é" * 511, id="cut on a character"),
        pytest.param("a\tb\nc\r", "a\tb\nc\r", id="what XML allows"),
        pytest.param("a\x00\x1b[31m\ud83d\uffff", "a\ufffd\ufffd[31m\ufffd\ufffd", id="what not"),
        pytest.param(7, "7", id="a number"),
        pytest.param("", None, id="nothing"),
        pytest.param(None, None, id="null"),
    ],
)
def test_the_error_message_is_the_first_kb_that_sqs_can_carry(
    message: object, expected: str | None
) -> None:
    found = attributes(dead_letter(outcome=failing_with(message)))
    assert found.get("ErrorMessage") == expected


# --- callables ----------------------------------------------------------------------------------


def test_a_callable_gets_the_record_decoded() -> None:
    destinations = make()
    (delivery,) = after(to(on_success=receive), destinations=destinations)
    destinations.deliver(delivery)
    assert received == [json.loads(record())]


def test_an_import_string_is_imported_where_it_is_delivered() -> None:
    make().deliver(replace(dead_letter(), function_name=f"python:{__name__}:receive"))
    assert len(received) == 1


def test_a_callable_that_cannot_be_imported_is_remembered_from_the_start() -> None:
    receiver = Receiver()
    destinations = make()
    settings = to(on_success=receiver.receive)
    destinations.check(settings)
    destinations.check(settings)
    (delivery,) = after(settings)
    destinations.deliver(Invocation.from_json(delivery.to_json()))
    assert len(receiver.received) == 1
    assert received == []


def test_a_callable_of_a_function_that_was_registered_later_is_called_too() -> None:
    destinations = make()
    settings = to(on_success=lambda value: received.append(value))
    (delivery,) = after(settings, destinations=destinations)
    destinations.deliver(delivery)
    assert len(received) == 1


def test_what_a_callable_raises_is_what_went_wrong() -> None:
    def fail(value: Any) -> None:
        raise ZeroDivisionError("no")

    destinations = make()
    (delivery,) = after(to(on_success=fail), destinations=destinations)
    with pytest.raises(ZeroDivisionError, match="no"):
        destinations.deliver(delivery)


def test_a_callable_that_exits_does_not_end_a_workers_thread() -> None:
    destinations = make()
    (delivery,) = after(to(on_success=lambda _: sys.exit(3)), destinations=destinations)
    errors: list[BaseException] = []

    def work() -> None:
        try:
            destinations.deliver(delivery)
        except BaseException as exc:
            errors.append(exc)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    (error,) = errors
    assert isinstance(error, DeliveryError)
    assert "sys.exit(3)" in str(error)


def test_a_callable_that_is_not_there_any_more_is_an_error_that_names_it() -> None:
    with pytest.raises(Exception, match="Handler 'gone' missing on module 'tests"):
        make().deliver(replace(dead_letter(), function_name=f"python:{__name__}:gone"))


# --- http ---------------------------------------------------------------------------------------


class Request(NamedTuple):
    path: str
    headers: dict[str, str]
    body: bytes


class Hook:
    """A server that keeps what it gets."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.status = 204
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                hook.requests.append(Request(self.path, headers, body))
                self.send_response(hook.status, "Reason")
                if 300 <= hook.status < 400:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()

            do_GET = do_POST

            def log_message(self, *_: object) -> None: ...

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?token=SECRET"


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    monkeypatch.setenv("no_proxy", "*")
    hook = Hook()
    thread = threading.Thread(target=hook.server.serve_forever, args=(0.005,))
    thread.start()
    try:
        yield hook
    finally:
        hook.server.shutdown()
        thread.join()
        hook.server.server_close()


def verify(request: Request, key: bytes) -> None:
    """As a receiver does it, from the text of Standard Webhooks."""
    headers = request.headers
    signed = b".".join(
        [headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), request.body]
    )
    version, _, signature = headers["webhook-signature"].partition(",")
    assert version == "v1"
    assert base64.b64decode(signature) == hmac.new(key, signed, hashlib.sha256).digest()


def test_a_record_is_posted_and_signed(hook: Hook) -> None:
    (delivery,) = after(to(on_success=hook.url))
    make(webhook_secret=SECRET).deliver(delivery)
    (request,) = hook.requests
    assert request.path == "/hook?token=SECRET"
    assert request.body == delivery.payload
    assert request.headers["content-type"] == "application/json"
    assert request.headers["webhook-timestamp"] == str(int(ENDED_AT))
    assert not [name for name in request.headers if name.startswith("x-")]
    verify(request, KEY)


def test_the_signature_is_the_one_that_openssl_computes(hook: Hook) -> None:
    """``openssl dgst -sha256 -mac HMAC`` of the id, the time and the body below."""
    (delivery,) = after(to(on_success=hook.url))
    make(webhook_secret=SECRET).deliver(replace(delivery, payload=b'{"test": 2432232314}'))
    assert hook.requests[0].headers["webhook-signature"] == (
        "v1,LRSgGU/srPp77lmoFpftk8hi4St9VDc/9WAAdsRFcQU="
    )


def test_the_id_stays_and_the_time_moves_when_a_delivery_is_tried_again(hook: Hook) -> None:
    clock = FakeClock(ENDED_AT)
    destinations = Destinations(Settings(auth="none", webhook_secret=SECRET), clock)
    delivery = dead_letter(hook.url)
    destinations.deliver(delivery)
    clock.advance(60)
    destinations.deliver(delivery.put_off())
    first, second = hook.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) == 60
    verify(second, KEY)


def test_the_ids_of_a_record_and_a_dead_letter_differ_and_have_no_full_stop(hook: Hook) -> None:
    destinations = make(webhook_secret=SECRET)
    settings = to(on_failure=hook.url, dead_letter=hook.url)
    for delivery in after(settings, "RetriesExhausted", FAILED):
        destinations.deliver(delivery)
    ids = [request.headers["webhook-id"] for request in hook.requests]
    assert ids == [f"{REQUEST_ID}-OnFailure", f"{REQUEST_ID}-DeadLetter"]


def test_a_posted_dead_letter_is_the_event_and_its_attributes_are_headers(hook: Hook) -> None:
    message = "100 % – née\r\nX-Injected: 1"
    make(webhook_secret=SECRET).deliver(dead_letter(hook.url, outcome=failing_with(message)))
    (request,) = hook.requests
    assert request.body == INVOCATION.payload
    assert request.headers["x-invokeasync-request-id"] == REQUEST_ID
    assert request.headers["x-invokeasync-error-code"] == "200"
    value = request.headers["x-invokeasync-error-message"]
    assert value == "100 %25 %E2%80%93 n%C3%A9e%0D%0AX-Injected: 1"
    assert unquote(value) == message
    assert "x-injected" not in request.headers
    verify(request, KEY)


def test_a_header_is_cut_between_characters(hook: Hook) -> None:
    delivery = dead_letter(hook.url, outcome=failing_with("x" + "é" * 500))
    make(webhook_secret=SECRET).deliver(delivery)
    value = hook.requests[0].headers["x-invokeasync-error-message"]
    assert len(value) <= 1024
    assert unquote(value, errors="strict") == "x" + "é" * 170


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_a_status_of_2xx_is_success(hook: Hook, status: int) -> None:
    hook.status = status
    make(webhook_secret=SECRET).deliver(dead_letter(hook.url))


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308, 400, 401, 407, 410, 429, 500])
def test_any_other_status_is_a_failure_and_redirects_are_not_followed(
    hook: Hook, status: int
) -> None:
    hook.status = status
    with pytest.raises(DeliveryError) as failed:
        make(webhook_secret=SECRET).deliver(dead_letter(hook.url))
    port = hook.server.server_port
    assert str(failed.value) == f"POST http://127.0.0.1:{port}/hook?…: status {status}"
    assert failed.value.__cause__ is None  # urllib's error holds the address
    assert failed.value.__suppress_context__
    assert len(hook.requests) == 1


def test_a_server_that_is_not_there_is_an_error_without_the_addresss_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    closed = "http://127.0.0.1:1/hook?token=SECRET"
    with pytest.raises(DeliveryError, match=r"POST http://127.0.0.1:1/hook\?…: ") as failed:
        make(webhook_secret=SECRET).deliver(dead_letter(closed))
    assert "SECRET" not in str(failed.value) + repr(failed.value.__cause__)


# --- files --------------------------------------------------------------------------------------


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_a_record_is_one_line_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "failed events é.jsonl"
    target = f"file://{tmp_path}/failed%20events%20%C3%A9.jsonl"
    spread = replace(INVOCATION, payload=b'{\n  "a":\r\n 1}\n')
    destinations = make()
    for invocation in (spread, INVOCATION):
        (delivery,) = after(to(on_success=target), invocation=invocation)
        destinations.deliver(delivery)
    assert path.read_bytes().endswith(b"}\n")
    assert b'"requestPayload":{   "a":   1} ,' in path.read_bytes()
    assert lines(path) == [json.loads(record(invocation=spread)), json.loads(record())]


def test_a_dead_letter_is_one_line_with_the_event_as_a_string(tmp_path: Path) -> None:
    event = b'{\n"raise_error": 1}'
    target = f"file://{tmp_path}/dead.jsonl"
    make().deliver(dead_letter(target, invocation=replace(INVOCATION, payload=event)))
    assert (tmp_path / "dead.jsonl").read_text() == (
        '{"body":"{\\n\\"raise_error\\": 1}",'
        f'"md5OfBody":"{hashlib.md5(event).hexdigest()}",'
        f'"messageAttributes":{{"RequestID":"{REQUEST_ID}","ErrorCode":"200",'
        '"ErrorMessage":"no such image"}}\n'
    )


def test_a_line_that_a_crash_cut_short_does_not_spoil_the_next(tmp_path: Path) -> None:
    path = tmp_path / "failed.jsonl"
    path.write_bytes(b'{"whole":1}\n{"cut')
    (delivery,) = after(to(on_success=f"file://{path}"))
    make().deliver(delivery)
    assert path.read_bytes() == b'{"whole":1}\n{"cut\n' + record() + b"\n"


def test_a_directory_has_a_file_for_each_function_and_day(tmp_path: Path) -> None:
    target = f"file://{tmp_path}/spool/"
    (delivery,) = after(to(on_success=target))
    later = replace(delivery, accepted_at=ENDED_AT + 86400)
    other = after(to(on_success=target), invocation=replace(INVOCATION, function_name="g.h"))
    for each in (delivery, delivery, later, *other):
        make().deliver(each)
    found = {
        str(path.relative_to(tmp_path)): len(lines(path)) for path in tmp_path.rglob("*.jsonl")
    }
    assert found == {
        "spool/f/2020-07-01.jsonl": 2,
        "spool/f/2020-07-02.jsonl": 1,
        "spool/g.h/2020-07-01.jsonl": 1,
    }


@pytest.mark.parametrize(("name", "folder"), [(".", "%2E"), ("..", "%2E%2E"), ("...", "%2E%2E%2E")])
def test_no_functions_name_leads_out_of_the_directory(
    tmp_path: Path, name: str, folder: str
) -> None:
    target = f"file://{tmp_path}/spool/"
    (delivery,) = after(to(on_success=target), invocation=replace(INVOCATION, function_name=name))
    make().deliver(delivery)
    (path,) = tmp_path.rglob("*.jsonl")
    assert path.parent == tmp_path / "spool" / folder


def test_writers_at_once_do_not_mix_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "failed.jsonl"
    big = replace(INVOCATION, payload=json.dumps("x" * 200_000).encode())
    (delivery,) = after(to(on_success=f"file://{path}"), invocation=big)
    line = json.loads(delivery.payload)
    threads = [threading.Thread(target=make().deliver, args=[delivery]) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    whole = [text for text in path.read_bytes().split(b"\n") if text]
    assert len(whole) == 16
    assert all(json.loads(text) == line for text in whole)


def test_a_write_that_was_cut_short_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a full disk does it."""
    path = tmp_path / "failed.jsonl"
    (delivery,) = after(to(on_success=f"file://{path}"))
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:10]))
        with pytest.raises(DeliveryError, match=r"only 10 of \d+ bytes could be written"):
            make().deliver(delivery)
    make().deliver(delivery)
    assert path.read_bytes() == record()[:10] + b"\n" + record() + b"\n"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_written_to_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        (delivery,) = after(to(on_success=f"file://{path}"))
        make().deliver(delivery)
        assert os.read(reader, 10_000) == record() + b"\n"
    finally:
        os.close(reader)


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        make().deliver(dead_letter(f"file://{tmp_path}/missing/failed.jsonl"))


# --- before the first event ---------------------------------------------------------------------


@pytest.mark.parametrize("setting", ["on_success", "on_failure", "dead_letter"])
def test_what_can_work_here_is_accepted(setting: str) -> None:
    destinations = make(webhook_secret=SECRET)
    destinations.check(AsyncSettings())
    for value in (
        "https://example.com/",
        "file:///tmp/x",
        QUEUE,
        receive,
        f"python:{__name__}:make",
    ):
        destinations.check(to(**{setting: value}))


@pytest.mark.parametrize("length", [24, 32, 64])
def test_keys_of_24_to_64_bytes_are_taken(length: int) -> None:
    secret = "whsec_" + base64.b64encode(b"k" * length).decode()
    make(webhook_secret=secret).check(to(on_failure="https://example.com/"))


@pytest.mark.parametrize(
    ("secret", "problem"),
    [
        pytest.param(None, "an address needs the setting webhook_secret", id="none"),
        pytest.param("", "does not begin with 'whsec_'", id="empty"),
        pytest.param("HUSHHUSH" * 4, "does not begin with 'whsec_'", id="no prefix"),
        pytest.param("whsec_", "is base64 of 0 bytes", id="nothing behind the prefix"),
        pytest.param("whsec_HUSHHUSH", "is base64 of 6 bytes", id="short"),
        pytest.param("whsec_" + "HUSHHUSH" * 11, "is base64 of 66 bytes", id="long"),
        pytest.param("whsec_" + "HUSHHUSH" * 4 + "\n", "is not base64", id="a newline"),
        pytest.param("whsec_" + "HUSHHUSH" * 4 + "HUS", "is not base64", id="no padding"),
        pytest.param("whsec_" + "HÜSHHUSH" * 4, "is not base64", id="not ASCII"),
    ],
)
def test_an_address_needs_a_key_and_a_bad_one_is_not_shown(
    secret: str | None, problem: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        make(webhook_secret=secret).check(to(on_failure="https://example.com/?token=HUSH"))
    text = str(refused.value)
    assert text.startswith("on_failure='https://example.com/?…': ")
    assert problem in text
    assert "HUSH" not in text
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


@pytest.mark.parametrize("arn", [QUEUE, BUS, "arn:aws:s3:::failed"])
def test_an_arn_needs_boto3(arn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(
        ConfigurationError,
        match=re.escape(f"{arn}': it needs boto3: pip install 'invokeasync_wsgi[aws]'"),
    ):
        make().check(to(on_failure=arn))


@pytest.mark.parametrize(
    "name",
    [
        "f",
        "f:live",
        "us-east-1:123456789012:function:f",
        "arn:aws:lambda:us-east-1:123456789012:function:f",
    ],
)
def test_a_function_of_this_region_and_account_is_accepted(name: str) -> None:
    make().check(to(on_success=name))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        pytest.param(
            "arn:aws:lambda:eu-west-1:123456789012:function:f",
            "it must be a function here, in the region 'us-east-1'",
            id="another region",
        ),
        pytest.param(
            "210987654321:function:f",
            "it must be a function here, in the account '123456789012'",
            id="another account",
        ),
        pytest.param("f" * 65, "no function can have this name", id="too long"),
    ],
)
def test_a_function_that_cannot_be_here_is_refused(name: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        make().check(to(on_success=name))
    assert str(refused.value) == f"on_success={name!r}: {told}"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("python:no_such_module:f", "Unable to import module 'no_such_module'"),
        (f"python:{__name__}:gone", "Handler 'gone' missing on module"),
        (f"python:{__name__}:KEY", "Handler 'KEY' on module .* is not callable"),
        (f"python:{__name__}:receive_async", "it must not be async"),
    ],
)
def test_an_import_string_must_name_something_to_call(name: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=f"on_success='{name}': {told}"):
        make().check(to(on_success=name))


def test_a_callable_must_not_be_async() -> None:
    for call in (receive_async, Receiver()):
        with pytest.raises(ConfigurationError, match="it must not be async"):
            make().check(to(on_success=call))


def test_two_callables_under_one_name_are_refused() -> None:
    destinations = make()
    first, second = Receiver(), Receiver()
    destinations.check(to(on_success=first.receive, on_failure=first.receive))
    with pytest.raises(ConfigurationError, match="has the same name"):
        destinations.check(to(on_success=second.receive))
    with pytest.raises(ConfigurationError, match="has the same name"):
        destinations.check(to(on_success=f"python:{__name__}:Receiver.receive"))


def test_a_callable_and_its_import_string_are_the_same() -> None:
    destinations = make()
    destinations.check(to(on_success=receive, on_failure=f"python:{__name__}:receive"))


def test_a_target_that_became_unusable_since_it_was_queued_is_an_error() -> None:
    with pytest.raises(ConfigurationError):
        make().deliver(replace(dead_letter(), function_name="ftp://example.com/"))
    with pytest.raises(DeliveryError, match="nothing can be delivered to 'f'"):
        make().deliver(replace(dead_letter(), function_name="f"))
    with pytest.raises(ConfigurationError, match="webhook_secret"):
        make().deliver(replace(dead_letter(), function_name="https://example.com/"))
    with pytest.raises(DeliveryError, match="is no delivery"):
        make().deliver(INVOCATION)


def test_the_module_needs_no_target_to_have_been_parsed_here() -> None:
    """What a queue gives back is text."""
    delivery = dead_letter(Target("python", f"python:{__name__}:receive"))
    make().deliver(Invocation.from_json(delivery.to_json()))
    assert len(received) == 1
