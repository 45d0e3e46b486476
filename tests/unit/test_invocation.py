"""invocation.py: the values that travel."""

from __future__ import annotations

import dataclasses
import json
import uuid

import pytest

from invokeasync_wsgi import Invocation, Outcome
from invokeasync_wsgi.invocation import new_request_id

SMALLEST = Invocation(
    request_id="4c7a6e5e-2f0c-4f0e-8e0e-0d4c5a3b2a1f",
    function_name="f",
    payload=b"{}",
    accepted_at=1577836800.25,
)
FULL = Invocation(
    request_id="4c7a6e5e-2f0c-4f0e-8e0e-0d4c5a3b2a1f",
    function_name="f",
    qualifier="live",
    payload=b'{"a": [1.0, 1e400]}',
    accepted_at=1577836800.25,
    attempt=3,
    client_context='{"custom":{}}',
    trace_id="Root=1-5e0be100-000000000000000000000000",
    tenant_id="tenant",
    back_offs=4,
    interruptions=2,
    delivery='{"kind":"OnSuccess"}',
)


@pytest.mark.parametrize(
    "invocation", [pytest.param(SMALLEST, id="smallest"), pytest.param(FULL, id="full")]
)
class TestJson:
    def test_it_comes_back_as_it_was(self, invocation: Invocation) -> None:
        assert Invocation.from_json(invocation.to_json()) == invocation
        assert Invocation.from_json(invocation.to_json().encode()) == invocation

    def test_it_is_one_ascii_line_that_any_backend_carries(self, invocation: Invocation) -> None:
        text = invocation.to_json()
        assert text.isascii()
        assert "\n" not in text

    def test_it_names_every_field(self, invocation: Invocation) -> None:
        names = {field.name for field in dataclasses.fields(Invocation)}
        assert set(json.loads(invocation.to_json())) == names


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b'{ "a" :\t1 ,\n"a": 2}', id="white space and a repeated key"),
        pytest.param(b"1" * 1000, id="an integer that no float holds"),
        pytest.param(b"-0.10e+3", id="the spelling of a number"),
        pytest.param(b'"\\u00e9 \\ud800 \\/"', id="escapes"),
        pytest.param('"é 😀 \u2028"'.encode(), id="the same characters written out"),
        pytest.param(b'"\x7f"', id="DEL"),
    ],
)
def test_not_a_byte_of_the_payload_changes_on_the_way(payload: bytes) -> None:
    sent = dataclasses.replace(SMALLEST, payload=payload)
    assert Invocation.from_json(sent.to_json()).payload == payload


def test_what_a_sender_left_out_has_its_default() -> None:
    text = '{"request_id":"r","function_name":"f","payload":"{}","accepted_at":1}'
    received = Invocation.from_json(text)
    assert (received.qualifier, received.attempt) == (None, 1)
    assert (received.client_context, received.trace_id, received.tenant_id) == (None, None, None)
    assert (received.back_offs, received.interruptions, received.delivery) == (0, 0, None)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("no JSON", id="no JSON"),
        pytest.param(b"\xff", id="no UTF-8"),
        pytest.param("null", id="null"),
        pytest.param("[]", id="an array"),
        pytest.param('"payload"', id="a string"),
        pytest.param("{}", id="an empty object"),
        pytest.param('{"payload":"{}"}', id="fields are missing"),
        pytest.param('{"request_id":"r","function_name":"f","accepted_at":1}', id="no payload"),
        pytest.param(
            '{"request_id":"r","function_name":"f","payload":{},"accepted_at":1}',
            id="the payload is no string",
        ),
        pytest.param(
            '{"request_id":"r","function_name":"f","payload":"\\ud800","accepted_at":1}',
            id="the payload has no bytes",
        ),
        pytest.param(
            '{"request_id":"r","function_name":"f","payload":"{}","accepted_at":1,"more":1}',
            id="an unknown field",
        ),
    ],
)
def test_a_text_that_is_no_invocation_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        Invocation.from_json(text)


def test_an_invocation_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        SMALLEST.attempt = 2  # type: ignore[misc]


def test_the_error_of_an_outcome_is_its_payload() -> None:
    failed = Outcome(b'{"errorType": "E"}', "Unhandled", "$LATEST", 0.1, "application/json", str)
    assert failed.error == {"errorType": "E"}
    assert failed._replace(function_error=None).error == {}


def test_an_outcome_that_is_no_error_may_hold_anything() -> None:
    assert Outcome(b"\xff", None, "$LATEST", 0.1, "application/unknown", str).error == {}


NOW = 1577836800.25


class TestNewRequestId:
    def test_it_is_a_uuid_of_version_7_in_lower_case(self) -> None:
        for _ in range(200):
            request_id = new_request_id(NOW)
            parsed = uuid.UUID(request_id)
            assert str(parsed) == request_id
            assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)

    def test_it_begins_with_the_milliseconds_as_in_the_example_of_rfc_9562(self) -> None:
        """Appendix A.6: 2022-02-22 14:22:22 -05:00."""
        assert new_request_id(1645557742.0).startswith("017f22e2-79b0-7")

    def test_those_of_later_milliseconds_sort_behind(self) -> None:
        ids = [new_request_id(NOW + number / 1000) for number in range(2000)]
        assert sorted(ids) == ids

    @pytest.mark.parametrize(
        ("now", "digits"),
        [
            pytest.param(0, "00000000-0000-", id="the epoch"),
            pytest.param(-1e9, "00000000-0000-", id="a clock from before the epoch"),
            pytest.param(2**48 / 1000 - 1, "ffffffff-fc18-", id="the year 10889"),
            pytest.param(2**48 / 1000, "00000000-0000-", id="the bits are used up"),
        ],
    )
    def test_any_time_of_a_clock_makes_one(self, now: float, digits: str) -> None:
        request_id = new_request_id(now)
        assert request_id.startswith(digits)
        assert str(uuid.UUID(request_id)) == request_id

    def test_no_two_of_one_moment_are_the_same(self) -> None:
        assert len({new_request_id(NOW) for _ in range(1000)}) == 1000

    def test_the_bits_that_are_random_are_all_used(self) -> None:
        ids = [uuid.UUID(new_request_id(NOW)).int for _ in range(200)]
        always, ever = ids[0], 0
        for number in ids:
            always &= number
            ever |= number
        fixed = uuid.UUID("ffffffff-ffff-f000-c000-000000000000").int
        assert always & ~fixed == 0
        assert ever | fixed == 2**128 - 1


# --- on the way through the queue -------------------------------------------------------------


def test_the_next_attempt_of_an_event_is_the_same_with_its_number_one_higher() -> None:
    assert FULL.next_attempt() == dataclasses.replace(FULL, attempt=4, back_offs=0, interruptions=0)


def test_an_event_that_is_put_off_keeps_its_attempt() -> None:
    assert FULL.put_off() == dataclasses.replace(FULL, back_offs=5)
