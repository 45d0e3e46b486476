"""eventstream.py: frames that botocore's parser reads."""

from __future__ import annotations

import struct
from typing import Any
from zlib import crc32

import pytest
from botocore.eventstream import EventStreamBuffer

from invokeasync_wsgi import eventstream

PAYLOADS = [
    pytest.param(b"", id="nothing"),
    pytest.param(b'{"a": 1}', id="JSON"),
    pytest.param(bytes(range(256)), id="every byte"),
    pytest.param(b"x" * 6_291_556, id="the largest result"),
]


def decode(stream: bytes, *, piece_size: int | None = None) -> list[Any]:
    """The frames of a stream, given to botocore whole or in pieces."""
    buffer = EventStreamBuffer()
    size = piece_size or len(stream)
    for at in range(0, len(stream), size):
        buffer.add_data(stream[at : at + size])
    return list(buffer)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_chunk_carries_raw_bytes(payload: bytes) -> None:
    (message,) = decode(eventstream.payload_chunk(payload))
    assert message.payload == payload
    assert message.headers == {
        ":event-type": "PayloadChunk",
        ":content-type": "application/octet-stream",
        ":message-type": "event",
    }


@pytest.mark.parametrize("payload", PAYLOADS)
def test_the_last_frame_carries_json(payload: bytes) -> None:
    (message,) = decode(eventstream.invoke_complete(payload))
    assert message.payload == payload
    assert message.headers == {
        ":event-type": "InvokeComplete",
        ":content-type": "application/json",
        ":message-type": "event",
    }


def test_frames_stand_behind_each_other_and_may_arrive_byte_by_byte() -> None:
    stream = (
        eventstream.payload_chunk(b"one")
        + eventstream.payload_chunk(b"two")
        + eventstream.invoke_complete(b"{}")
    )
    for messages in (decode(stream), decode(stream, piece_size=1)):
        assert [message.payload for message in messages] == [b"one", b"two", b"{}"]


def test_a_frame_has_two_lengths_their_checksum_and_one_over_everything() -> None:
    frame = eventstream.payload_chunk(b"payload")
    total, header_length, prelude_crc = struct.unpack("!III", frame[:12])
    assert total == len(frame)
    assert header_length == len(frame) - 16 - len(b"payload")
    assert prelude_crc == crc32(frame[:8])
    assert struct.unpack("!I", frame[-4:]) == (crc32(frame[:-4]),)


def test_the_type_is_the_one_that_sdks_look_for() -> None:
    assert eventstream.CONTENT_TYPE == "application/vnd.amazon.eventstream"
