"""HTTP as bytes on a socket: for requests that no client library would send."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import struct
from collections.abc import Mapping
from types import TracebackType
from typing import NamedTuple

#: The answers that the documentation promises: code and status. Written out here on purpose, not
#: read from the package.
ERRORS = {
    "ValidationException": 400,
    "InvalidParameterValueException": 400,
    "InvalidRequestContentException": 400,
    "MissingAuthenticationTokenException": 403,
    "IncompleteSignatureException": 403,
    "InvalidSignatureException": 403,
    "UnrecognizedClientException": 403,
    "ExpiredTokenException": 403,
    "AccessDeniedException": 403,
    "ResourceNotFoundException": 404,
    "LengthRequiredException": 411,
    "RequestEntityTooLargeException": 413,
    "TooManyRequestsException": 429,
}

#: What a signed request for no operation is told.
UNKNOWN_OPERATION = "Unable to determine service/operation name to be authorized"

_REQUEST_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class Answer(NamedTuple):
    """What came back."""

    status: int
    #: By lower-case name.
    headers: Mapping[str, str]
    body: bytes
    #: Interim answers before it, such as 100.
    interim: tuple[int, ...] = ()

    @property
    def outcome(self) -> str:
        """In a word: an error code of AWS's, ``"202"`` (or another success of ours),
        ``"wrapped"`` for the wrapped application's, ``"server"`` for the server's own."""
        if "x-amzn-errortype" in self.headers:
            return self.headers["x-amzn-errortype"]
        if "x-amzn-requestid" in self.headers:
            return str(self.status)
        return "wrapped" if "x-wrapped" in self.headers else "server"

    @property
    def closes(self) -> bool:
        """Whether the server says that this was the last answer on the connection."""
        return self.headers.get("connection", "").lower() == "close"


def check_documented(answer: Answer, method: str = "POST") -> None:
    """Fail when an answer is none that the documentation, or the server itself, may give."""
    assert b"Traceback" not in answer.body, answer
    outcome = answer.outcome
    if outcome == "server":
        # A 500 would be an exception of ours that it caught.
        assert 400 <= answer.status < 500 or answer.status in (501, 505), answer
    elif outcome != "wrapped":
        assert _REQUEST_ID.fullmatch(answer.headers["x-amzn-requestid"]), answer
        if outcome in ("202", "204"):
            assert answer.body == b"", answer
        elif outcome == "200":
            assert "x-amz-executed-version" in answer.headers, answer
            if answer.headers["content-type"] == "application/json":
                json.loads(answer.body)
        else:
            assert ERRORS.get(outcome) == answer.status, answer
            assert answer.headers["content-type"] == "application/json", answer
            if method != "HEAD":
                error = json.loads(answer.body)
                assert {"message", "Message"} & set(error), answer
                assert set(error) <= {"message", "Message", "Type", "Reason"}, answer


class Connection:
    """A client's side of one connection.

    Args:
        port: of the server, on 127.0.0.1.
        timeout_s: for each read and write; connecting may wait for a place in the server's queue.
    """

    def __init__(self, port: int, timeout_s: float = 10) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 10)
        self._socket.settimeout(timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._input = self._socket.makefile("rb")

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._input.close()
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send, as far as the server takes it: it may have answered and closed already."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._socket.sendall(data)

    def end_sending(self) -> None:
        """Tell the server that nothing more comes, and go on reading."""
        with contextlib.suppress(OSError):  # the server has closed already
            self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Have the connection end with a reset rather than with a farewell."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def answer(self, method: str = "POST") -> Answer | None:
        """The next answer; ``None`` when the connection ends without one.

        Raises:
            TimeoutError: nothing came in time.
            ValueError: what came is no HTTP.
        """
        interim: list[int] = []
        try:
            while True:
                status, headers = self._head()
                if status >= 200 or status == 101:
                    break
                interim.append(status)
            return Answer(status, headers, self._body(method, status, headers), tuple(interim))
        except (EOFError, ConnectionResetError):
            return None

    def interim(self) -> int:
        """The status of the next answer, read up to its headers' end: for ``100 Continue``."""
        return self._head()[0]

    def _head(self) -> tuple[int, dict[str, str]]:
        line = self._input.readline()
        if not line:
            raise EOFError
        version, status, *_ = line.split(b" ", 2)
        if not version.startswith(b"HTTP/1."):
            raise ValueError(f"no HTTP answer: {line!r}")
        headers: dict[str, str] = {}
        while (line := self._input.readline()) not in (b"\r\n", b""):
            name, colon, value = line.decode("latin-1").partition(":")
            if not colon or name != name.strip():
                raise ValueError(f"no header: {line!r}")
            headers[name.lower()] = value.strip()
        return int(status), headers

    def _body(self, method: str, status: int, headers: Mapping[str, str]) -> bytes:
        if method == "HEAD" or status in (204, 304):
            return b""
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return self._chunks()
        if "content-length" in headers:
            return self._exactly(int(headers["content-length"]))
        return self._input.read()

    def _chunks(self) -> bytes:
        pieces = []
        while size := int(self._input.readline(), 16):
            pieces.append(self._exactly(size))
            self._input.readline()
        self._input.readline()
        return b"".join(pieces)

    def _exactly(self, size: int) -> bytes:
        content = self._input.read(size)
        if len(content) < size:
            raise EOFError
        return content


def post(path: str, body: bytes = b"{}", headers: Mapping[str, str] | None = None) -> bytes:
    """A well-formed request with a ``Content-Length``."""
    return head(path, {"Content-Length": str(len(body)), **(headers or {})}) + body


def head(path: str, headers: Mapping[str, str] | None = None) -> bytes:
    """The part of a POST before the body."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def invoke_async(function_name: str = "record") -> str:
    """The path of InvokeAsync."""
    return f"/2014-11-13/functions/{function_name}/invoke-async"


def invoke(function_name: str = "record") -> str:
    """The path of Invoke."""
    return f"/2015-03-31/functions/{function_name}/invocations"


def chunked(*pieces: bytes, extension: bytes = b"", trailer: bytes = b"") -> bytes:
    """A chunked body of these pieces."""
    chunks = [b"%x%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces]
    return b"".join(chunks) + b"0\r\n" + trailer + b"\r\n"
