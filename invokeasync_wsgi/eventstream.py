"""The event-stream format, as far as a buffered answer needs it.

InvokeWithResponseStream answers in ``application/vnd.amazon.eventstream``: a sequence of frames,
each a prelude (two lengths and their checksum), headers, a payload and a checksum over all of it.
A handler's result goes out as one ``PayloadChunk`` and one ``InvokeComplete``. Pure.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from zlib import crc32

CONTENT_TYPE = "application/vnd.amazon.eventstream"

_STRING = 7  # the header value type "string": the only one needed here


def payload_chunk(payload: bytes) -> bytes:
    """A frame that carries a piece of the function's result, as raw bytes."""
    return _event("PayloadChunk", "application/octet-stream", payload)


def invoke_complete(payload: bytes) -> bytes:
    """The last frame. ``payload`` is JSON with ``ErrorCode``, ``ErrorDetails``, ``LogResult``."""
    return _event("InvokeComplete", "application/json", payload)


def _event(event_type: str, content_type: str, payload: bytes) -> bytes:
    headers = {
        ":event-type": event_type,
        ":content-type": content_type,
        ":message-type": "event",
    }
    return _frame(headers, payload)


def _frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    encoded = b"".join(
        struct.pack("!B", len(name))
        + name.encode()
        + struct.pack("!BH", _STRING, len(value))
        + value.encode()
        for name, value in headers.items()
    )
    # 16 bytes of frame around headers and payload: two lengths and two checksums.
    prelude = struct.pack("!II", 16 + len(encoded) + len(payload), len(encoded))
    frame = prelude + struct.pack("!I", crc32(prelude)) + encoded + payload
    return frame + struct.pack("!I", crc32(frame))
