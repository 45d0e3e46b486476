"""Bodies are taken as they are framed, on every server, and never any other way.

The server refuses some of these requests itself, and servers differ in which; see "Servers" in the
documentation. What is promised on all of them: a well-framed event is accepted as sent, any other
is refused or its connection closed, and its handler does not run.
"""

from __future__ import annotations

import pytest

from tests.integration.raw import (
    Answer,
    Connection,
    check_documented,
    chunked,
    head,
    invoke,
    invoke_async,
    post,
)
from tests.integration.servers import Server

#: `Settings.max_invoke_async_bytes`.
LIMIT = 256 * 1024
CLOSE = {"Connection": "close"}


def accepted_event(server: Server, answer: Answer | None) -> object:
    """The event that the handler of an accepted request has got."""
    assert answer is not None
    assert answer.status == 202, answer
    check_documented(answer)
    return server.run_of(answer.headers["x-amzn-requestid"])["event"]


def check_refused(server: Server, answer: Answer | None, *codes: str) -> None:
    """Fail unless the answer is one of these errors, or the server's own, or no answer at all."""
    if answer is not None:
        check_documented(answer)
        assert answer.outcome in (*codes, "server"), answer


def check_nothing_ran(server: Server, runs_before: int) -> None:
    """Fail if a handler has run since, what was sent before this call included."""
    server.run_of(server.accept("record", b'"after"'))
    assert len(server.runs()) == runs_before + 1, server.runs()[runs_before:]


def test_content_length(server: Server) -> None:
    answer = server.send(post(invoke_async(), b'{"n": 1}', CLOSE))

    assert accepted_event(server, answer) == {"n": 1}


def test_body_in_pieces(server: Server) -> None:
    """The body may come in as many pieces as the network likes."""
    request = post(invoke_async(), b'{"n": [1, 2, 3]}', CLOSE)
    with Connection(server.port) as connection:
        for at in range(0, len(request), 7):
            connection.send(request[at : at + 7])

        assert accepted_event(server, connection.answer()) == {"n": [1, 2, 3]}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(chunked(b'{"n": 1}'), id="one chunk"),
        pytest.param(chunked(b"{", b'"n": ', b"1}"), id="several chunks"),
        pytest.param(chunked(*[bytes([byte]) for byte in b'{"n": 1}']), id="chunks of one byte"),
        pytest.param(b"00000008\r\n" + b'{"n": 1}\r\n0\r\n\r\n', id="leading zeros"),
    ],
)
def test_chunked(server: Server, body: bytes) -> None:
    headers = {"Transfer-Encoding": "chunked", **CLOSE}
    answer = server.send(head(invoke_async(), headers) + body)

    assert accepted_event(server, answer) == {"n": 1}


def test_large_chunked(server: Server) -> None:
    """A chunked event as large as allowed is accepted, one byte more is not."""
    headers = {"Transfer-Encoding": "chunked", **CLOSE}
    event = b'"' + b"x" * (LIMIT - 2) + b'"'
    pieces = [event[at : at + 40_000] for at in range(0, len(event), 40_000)]

    answer = server.send(head(invoke_async(), headers) + chunked(*pieces))
    assert accepted_event(server, answer) == f"{LIMIT} bytes"
    answer = server.send(head(invoke_async(), headers) + chunked(*pieces, b" "))
    assert answer.outcome == "RequestEntityTooLargeException"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(chunked(b'{"n": 1}', extension=b";name=value"), id="extension"),
        pytest.param(chunked(b'{"n": 1}', extension=b';name="quo;ted"'), id="quoted extension"),
        pytest.param(chunked(b'{"n": 1}', trailer=b"X-Trailer: 1\r\n"), id="trailer"),
    ],
)
def test_seldom_chunks(server: Server, body: bytes) -> None:
    """Chunk extensions and trailers: some servers read them; the others refuse."""
    before = len(server.runs())
    headers = {"Transfer-Encoding": "chunked", **CLOSE}
    answer = server.send(head(invoke_async(), headers) + body)

    if answer.status == 202:
        assert accepted_event(server, answer) == {"n": 1}
    else:
        check_refused(server, answer, "InvalidRequestContentException")
        check_nothing_ran(server, before)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"8\r\n123456", id="cut in a chunk"),
        pytest.param(b"6\r\n123456\r\n", id="cut after a chunk"),
        pytest.param(b"6\r\n123456\r\n3", id="cut in a size"),
        pytest.param(b"zz\r\n123456\r\n0\r\n\r\n", id="size is no number"),
        pytest.param(b"-6\r\n123456\r\n0\r\n\r\n", id="negative size"),
        pytest.param(b"3\r\n123456\r\n0\r\n\r\n", id="size too small"),
        pytest.param(b"FFFFFFFFFFFFFFFFF\r\n123456\r\n0\r\n\r\n", id="huge size"),
        pytest.param(b"20001\r\n123456\r\n0\r\n\r\n", id="large size"),
        pytest.param(b"", id="nothing at all"),
    ],
)
def test_bad_chunks(server: Server, body: bytes) -> None:
    """A chunked body that is cut or malformed is never an event.

    a2wsgi shows the end of the connection as the end of the body. That the rest is missing can be
    told from the JSON there, unless it is a number.
    """
    if not server.kind.notices_cut_chunks:
        body = body.replace(b"123456", b'{"n":1')
    before = len(server.runs())
    with Connection(server.port) as connection:
        connection.send(head(invoke_async(), {"Transfer-Encoding": "chunked", **CLOSE}) + body)
        connection.end_sending()

        check_refused(server, connection.answer(), "InvalidRequestContentException")
    check_nothing_ran(server, before)


def test_empty_chunked(server: Server) -> None:
    """An empty chunked body is the empty event only where the server tells it from a broken one,
    by giving its length."""
    before = len(server.runs())
    headers = {"Transfer-Encoding": "chunked", **CLOSE}
    answer = server.send(head(invoke_async(), headers) + chunked())

    if server.kind.streams_bodies:
        check_refused(server, answer, "InvalidRequestContentException")
        check_nothing_ran(server, before)
    else:
        assert accepted_event(server, answer) == {}


def test_no_length(server: Server) -> None:
    """A request without a length has no body, so its event is empty; more is another request."""
    request = head(invoke_async(), CLOSE)

    assert accepted_event(server, server.send(request)) == {}
    assert accepted_event(server, server.send(request + b'{"n": 1}')) == {}


@pytest.mark.parametrize("version", [b"HTTP/1.0", b"HTTP/1.1"])
def test_short_body(server: Server, version: bytes) -> None:
    """A body that ends before its announced length is never an event, not even where the
    beginning is JSON."""
    before = len(server.runs())
    request = post(invoke_async(), b"123456").replace(b"HTTP/1.1", version)
    with Connection(server.port) as connection:
        connection.send(request[:-3])
        connection.end_sending()

        check_refused(server, connection.answer(), "InvalidRequestContentException")
    check_nothing_ran(server, before)


@pytest.mark.parametrize("line", [b"HTTP/1.1", b"Host", b"Content-Length", b"\r\n"])
def test_cut_headers(server: Server, line: bytes) -> None:
    """A connection that ends within the headers has brought no event.

    `http.server`, which Werkzeug's server is built on, takes what has come for the whole: with the
    length cut off, for a request without a body. Nothing can be told from the environ.
    """
    before = len(server.runs())
    request = post(invoke_async(), b'{"n": 1}')
    end = request.index(b"\r\n\r\n") + 4
    with Connection(server.port) as connection:
        connection.send(request[: request.index(line, 0, end) + len(line)])
        connection.end_sending()

        answer = connection.answer()
    if server.kind.believes_cut_headers and answer is not None and answer.status == 202:
        assert accepted_event(server, answer) == {}
    else:
        check_refused(server, answer, "InvalidRequestContentException")
        check_nothing_ran(server, before)


class TestExpect:
    """``Expect: 100-continue``: the client asks before it sends the body."""

    def send(self, server: Server, request: bytes, body: bytes) -> Answer | None:
        """What a client does: wait for the 100 or an answer, and send the body after the 100."""
        with Connection(server.port) as connection:
            connection.send(request)
            status = connection.interim()
            if status != 100:
                return Answer(status, {}, b"")
            connection.send(body)
            return connection.answer()

    def test_accepted(self, server: Server) -> None:
        headers = {"Content-Length": "8", "Expect": "100-continue", **CLOSE}
        answer = self.send(server, head(invoke_async(), headers), b'{"n": 1}')

        assert accepted_event(server, answer) == {"n": 1}

    def test_refused(self, server: Server) -> None:
        """The refusal arrives, whether the server has asked for the body or not."""
        headers = {"Content-Length": "8", "Expect": "100-continue", **CLOSE}
        answer = self.send(server, head(invoke_async("unknown"), headers), b'{"n": 1}')

        assert answer is not None
        assert answer.status == 404

    def test_refused_without_the_body(self, server: Server) -> None:
        """A client that was not told to go on, and does not, is not waited for."""
        headers = {"Content-Length": "8", "Expect": "100-continue", **CLOSE}
        with Connection(server.port) as connection:
            connection.send(head(invoke_async("unknown"), headers))
            if not server.kind.streams_bodies:
                assert connection.interim() == 100  # it wants the whole body first
                return
            answer = connection.answer()

        assert answer is not None
        assert answer.outcome == "ResourceNotFoundException"

    def test_too_large(self, server: Server) -> None:
        headers = {"Content-Length": str(LIMIT + 1), "Expect": "100-continue", **CLOSE}
        answer = self.send(server, head(invoke_async(), headers), b" " * (LIMIT + 1))

        assert answer is not None
        assert answer.status == 413


@pytest.mark.parametrize("length", ["3", "8", "18"])
def test_length_and_chunked(server: Server, length: str) -> None:
    """Content-Length and Transfer-Encoding together: refused, or read as chunked as HTTP says,
    and never by the length."""
    before = len(server.runs())
    headers = {"Content-Length": length, "Transfer-Encoding": "chunked", **CLOSE}
    answer = server.send(head(invoke_async(), headers) + chunked(b'{"n": 1}'))

    if answer.status == 202:
        assert accepted_event(server, answer) == {"n": 1}
    else:
        check_refused(server, answer, "InvalidRequestContentException")
        check_nothing_ran(server, before)


@pytest.mark.parametrize(
    "length",
    ["-1", "+2", "1_0", "abc", "0x2", "2.0", "2;", "2 2", "2, 2", "2,3", "\u0662", "9" * 5000],
)
def test_bad_length(server: Server, length: str) -> None:
    """A length that is no decimal number is refused, whatever Python's int() thinks of it.

    HTTP lets a server take a list of equal numbers for the number.
    """
    before = len(server.runs())
    with Connection(server.port) as connection:
        connection.send(
            head(invoke_async(), {"Content-Length": length, **CLOSE}) + b"{}" + b" " * 8
        )
        if length == "2, 2":
            answer = connection.answer()
            if answer is not None and answer.status == 202:
                assert accepted_event(server, answer) == {}
                return
        connection.end_sending()

        codes = "InvalidRequestContentException", "RequestEntityTooLargeException"
        check_refused(server, connection.answer(), *codes)
    check_nothing_ran(server, before)


@pytest.mark.parametrize("length", [str(LIMIT + 1), str(2**31), str(2**64), "9" * 20])
def test_announced_too_large(server: Server, length: str) -> None:
    """A body over the limit is refused by its announced length; nobody waits for it."""
    before = len(server.runs())
    with Connection(server.port) as connection:
        connection.send(head(invoke_async(), {"Content-Length": length, **CLOSE}) + b"{}")
        if server.kind.streams_bodies:
            answer = connection.answer()
            check_refused(server, answer, "RequestEntityTooLargeException")
    check_nothing_ran(server, before)


@pytest.mark.parametrize(
    ("path", "limit", "code"),
    [
        pytest.param(invoke_async(), LIMIT, "RequestEntityTooLargeException", id="InvokeAsync"),
        pytest.param(invoke(), 6 * 1024 * 1024, "RequestEntityTooLargeException", id="Invoke"),
    ],
)
def test_too_large_and_sent(server: Server, path: str, limit: int, code: str) -> None:
    """A client that sends all of a body over the limit reads the refusal afterwards."""
    before = len(server.runs())
    answer = server.send(post(path, b" " * (limit + 1), CLOSE))

    assert answer.outcome == code
    check_nothing_ran(server, before)


def test_as_large_as_allowed(server: Server) -> None:
    answer = server.send(post(invoke_async(), b'"' + b"x" * (LIMIT - 2) + b'"', CLOSE))

    assert accepted_event(server, answer) == f"{LIMIT} bytes"


@pytest.mark.parametrize("size", [0, 2, 10_000, 60_000])
def test_refusal_keeps_the_connection(server: Server, size: int) -> None:
    """After a refused request with a small body the connection serves the next one, except where
    the server closes every connection, and says so."""
    with Connection(server.port) as connection:
        for _ in range(3):
            connection.send(post(invoke_async("unknown"), b"x" * size))
            answer = connection.answer()
            assert answer is not None
            assert answer.outcome == "ResourceNotFoundException"
            assert answer.closes is not server.kind.keeps_alive
            if answer.closes:
                return
        connection.send(post(invoke_async(), b'{"n": 1}'))

        assert accepted_event(server, connection.answer()) == {"n": 1}


@pytest.mark.parametrize("size", [70_000, 100_000, 1_000_000])
def test_refusal_of_a_large_unread_body(server: Server, size: int) -> None:
    """A client that sends a large body which nobody reads still gets the answer."""
    for _ in range(5):
        answer = server.send(post(invoke_async("unknown"), b"x" * size))
        assert answer.outcome == "ResourceNotFoundException"


def test_log(server: Server) -> None:
    """After all this, the log holds no traceback of ours. Runs last."""
    assert server.tracebacks_of_ours() == []
