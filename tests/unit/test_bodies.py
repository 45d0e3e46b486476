"""Bodies are read exactly as they are framed, on servers that each do it differently.

``wsgi.input`` here is a stream that knows what a real server's would do when it is read once too
often: block for ever. Reading so ends the test.
"""

from __future__ import annotations

import io
import json
import sys
import types
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from invokeasync_wsgi import CallbackExecutor, Functions, Invocation, InvokeAsyncMiddleware
from invokeasync_wsgi.testing import Answer, Client
from invokeasync_wsgi.wsgi import DROP_BYTES

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

EVENT = b'{"a":[1,2,3],"b":"caf\xc3\xa9"}'


class WouldBlock(BaseException):
    """A server's ``read`` would now wait for bytes that the client never sends."""


class Stream:
    """``wsgi.input``: gives its pieces, at most one with each read, and raises the errors in it.

    Args:
        pieces: what the client sends.
        length: how much may be asked for in all: the framed length, where reading on blocks.
        ends: whether reading behind the last piece gives ``b""`` rather than blocking.
    """

    def __init__(
        self, *pieces: bytes | BaseException, length: int | None = None, ends: bool = True
    ) -> None:
        self._pieces = list(pieces)
        self._length = length
        self._ends = ends
        self.given = 0
        #: The sizes that were asked for. Nothing is no size: no server waits for it.
        self.reads: list[int] = []

    def read(self, size: int = -1, /) -> bytes:
        if size < 0:
            raise WouldBlock(f"read({size}) is not bounded")
        if size == 0:
            return b""
        if self._length is not None and self.given + size > self._length:
            raise WouldBlock(f"read({size}) after {self.given} of {self._length} bytes")
        self.reads.append(size)
        if not self._pieces:
            if not self._ends:
                raise WouldBlock("read behind the end")
            return b""
        piece = self._pieces.pop(0)
        if isinstance(piece, BaseException):
            raise piece
        if len(piece) > size:
            self._pieces.insert(0, piece[size:])
            piece = piece[:size]
        self.given += len(piece)
        return piece


class Bounded:
    """The largest bodies of the service under test, by operation."""

    INVOKE_ASYNC = 1000
    EVENT = 2000
    REQUEST = 3000


class Service(NamedTuple):
    """A middleware, what it accepted, and a way to send it environs as they are."""

    received: list[Invocation]
    send: Callable[..., Answer]

    @property
    def events(self) -> list[bytes]:
        return [invocation.payload for invocation in self.received]


ASYNC_PATH = "/2014-11-13/functions/f/invoke-async/"
INVOKE_PATH = "/2015-03-31/functions/f/invocations"


@pytest.fixture
def service() -> Service:
    received: list[Invocation] = []
    functions = Functions.from_mapping({"f": lambda event, context: event})
    middleware = InvokeAsyncMiddleware(
        None,
        functions,
        auth="none",
        executor=CallbackExecutor(received.append),
        max_invoke_async_bytes=Bounded.INVOKE_ASYNC,
        max_event_bytes=Bounded.EVENT,
        max_request_bytes=Bounded.REQUEST,
    )

    def send(
        stream: object, *, path: str = ASYNC_PATH, method: str = "POST", **environ: Any
    ) -> Answer:
        """POST with this ``wsgi.input``; keywords are keys of the environ, ``__`` for a dot."""

        def as_given(request: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            # Inside of wsgiref.validate, which hides the stream's type and forbids odd lengths.
            del request["CONTENT_LENGTH"]
            request["wsgi.input"] = stream
            request.update({key.replace("__", "."): value for key, value in environ.items()})
            return middleware(request, start_response)

        return Client(as_given).request(method, path)

    return Service(received, send)


def error_of(answer: Answer) -> str:
    """The code of a refusal, once its body is known to be the JSON of one."""
    members = json.loads(answer.body)
    assert isinstance(members, dict)
    assert any(isinstance(members.get(name), str) for name in ("message", "Message"))
    return answer.headers["x-amzn-errortype"]


# --- a Content-Length -----------------------------------------------------------------------


def test_an_announced_body_is_read_to_its_length_and_no_further(service: Service) -> None:
    stream = Stream(EVENT, b"the next request", length=len(EVENT), ends=False)
    answer = service.send(stream, CONTENT_LENGTH=str(len(EVENT)))
    assert answer.status == 202
    assert service.events == [EVENT]
    assert stream.reads == [len(EVENT)]


def test_short_reads_go_on_until_the_length_is_reached(service: Service) -> None:
    pieces = [EVENT[at : at + 1] for at in range(len(EVENT))]
    stream = Stream(*pieces, length=len(EVENT), ends=False)
    answer = service.send(stream, CONTENT_LENGTH=str(len(EVENT)))
    assert answer.status == 202
    assert service.events == [EVENT]
    assert stream.reads == list(range(len(EVENT), 0, -1))


@pytest.mark.parametrize("terminated", [False, True])
def test_a_length_counts_even_where_the_server_ends_the_stream(
    service: Service, terminated: bool
) -> None:
    stream = Stream(b"12345678", length=6)
    answer = service.send(stream, CONTENT_LENGTH="6", wsgi__input_terminated=terminated)
    assert answer.status == 202
    assert service.events == [b"123456"]


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([b"1234"], id="cut"),
        pytest.param([b"12", b"34"], id="cut, in pieces"),
        pytest.param([], id="nothing came"),
    ],
)
@pytest.mark.parametrize("path", [ASYNC_PATH, INVOKE_PATH])
def test_a_body_shorter_than_announced_is_no_event(
    service: Service, pieces: list[bytes], path: str
) -> None:
    """1234 of 123456 is valid JSON, and not what the client meant."""
    answer = service.send(Stream(*pieces), path=path, CONTENT_LENGTH="6")
    assert answer.status == 400
    assert error_of(answer) == "InvalidRequestContentException"
    assert service.events == []


def test_a_length_of_zero_is_the_empty_event_and_nothing_is_read(service: Service) -> None:
    stream = Stream(b"the next request", ends=False)
    answer = service.send(stream, CONTENT_LENGTH="0")
    assert answer.status == 202
    assert service.events == [b"{}"]
    assert stream.reads == []


@pytest.mark.parametrize(
    "length",
    [
        *("-1", "-0", "+2", "1_0", "abc", "2, 2", "2,2", "2, 3", "0x2", "2.0", "2e0", "1 2"),
        *(" ", "\t2", "2\r\n", "\u0662", "\xb2", "NaN", "1" * 21, "0" * 21, "9" * 5000, "\x00"),
    ],
)
@pytest.mark.parametrize("path", [ASYNC_PATH, INVOKE_PATH])
def test_a_length_that_is_no_plain_number_is_refused_and_nothing_is_read(
    service: Service, length: str, path: str
) -> None:
    """Several servers pass them on, and ``int()`` takes most of them."""
    stream = Stream(b"12", ends=False)
    answer = service.send(stream, path=path, CONTENT_LENGTH=length)
    assert answer.status == 400
    assert error_of(answer) == "InvalidRequestContentException"
    assert stream.reads == []
    assert service.events == []


def test_leading_zeros_are_a_plain_number(service: Service) -> None:
    assert service.send(Stream(b"12", length=2, ends=False), CONTENT_LENGTH="0002").status == 202
    assert service.events == [b"12"]


# --- errors while reading -------------------------------------------------------------------


class ServersOwnError(Exception):
    """Like gunicorn's NoMoreData: no OSError and no ValueError."""


@pytest.mark.parametrize(
    "error",
    [OSError("reset"), TimeoutError(), ValueError("bad chunk"), ServersOwnError(), EOFError()],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("before", [[], [b"1"]], ids=["at once", "half-way"])
@pytest.mark.parametrize(
    "framing",
    [
        {"CONTENT_LENGTH": "6"},
        {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi__input_terminated": True},
    ],
    ids=["announced", "chunked"],
)
def test_whatever_the_server_raises_while_reading_is_a_bad_request(
    service: Service, error: Exception, before: list[bytes], framing: dict[str, Any]
) -> None:
    answer = service.send(Stream(*before, error), **framing)
    assert answer.status == 400
    assert error_of(answer) == "InvalidRequestContentException"
    assert b"reset" not in answer.body
    assert service.events == []


class NotAnException(BaseException):
    """Such as gevent's GreenletExit and gevent.Timeout."""


@pytest.mark.parametrize(
    "error",
    [SystemExit(1), KeyboardInterrupt(), GeneratorExit(), NotAnException()],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize(
    ("path", "framing"),
    [
        pytest.param(ASYNC_PATH, {"CONTENT_LENGTH": "6"}, id="announced"),
        pytest.param(ASYNC_PATH, {"wsgi__input_terminated": True}, id="terminated"),
        pytest.param("/2014-11-13/functions/", {"CONTENT_LENGTH": "6"}, id="dropped"),
    ],
)
def test_the_servers_own_signals_go_through(
    service: Service, error: BaseException, path: str, framing: dict[str, Any]
) -> None:
    """gunicorn's timeout arrives as a SystemExit inside of ``read``."""
    with pytest.raises(type(error)) as raised:
        service.send(Stream(b"1", error), path=path, **framing)
    assert raised.value is error
    assert service.events == []


# --- no Content-Length ----------------------------------------------------------------------


@pytest.mark.parametrize("length", [{}, {"CONTENT_LENGTH": ""}], ids=["missing", "empty"])
def test_without_a_length_or_an_end_the_event_is_empty_and_nothing_is_read(
    service: Service, length: dict[str, str]
) -> None:
    """wsgiref and Werkzeug would wait for more until the client tires."""
    stream = Stream(EVENT, ends=False)
    answer = service.send(stream, **length)
    assert answer.status == 202
    assert service.events == [b"{}"]
    assert stream.reads == []


@pytest.mark.parametrize("length", [{}, {"CONTENT_LENGTH": ""}], ids=["missing", "empty"])
def test_a_body_that_the_server_ends_is_read_to_that_end(
    service: Service, length: dict[str, str]
) -> None:
    answer = service.send(Stream(EVENT[:5], EVENT[5:]), wsgi__input_terminated=True, **length)
    assert answer.status == 202
    assert service.events == [EVENT]


def test_no_body_at_all_is_the_empty_event_where_the_server_ends_the_stream(
    service: Service,
) -> None:
    assert service.send(Stream(), wsgi__input_terminated=True).status == 202
    assert service.events == [b"{}"]


def test_a_body_is_known_to_end_in_a_buffer(service: Service) -> None:
    """hypercorn and gunicorn's tornado worker buffer, and do not say so."""
    assert service.send(io.BytesIO(EVENT)).status == 202
    assert service.send(io.BytesIO(EVENT), HTTP_TRANSFER_ENCODING="chunked").status == 202
    assert service.events == [EVENT, EVENT]


def test_a_body_is_known_to_end_behind_asgi(service: Service) -> None:
    """a2wsgi's stream ends, and does not say so."""
    scope = {"asgi__scope": {"type": "http"}}
    assert service.send(Stream(EVENT), **scope).status == 202
    assert service.send(Stream(EVENT), HTTP_TRANSFER_ENCODING="chunked", **scope).status == 202
    assert service.events == [EVENT, EVENT]


# --- chunked --------------------------------------------------------------------------------


CHUNKED: dict[str, Any] = {"HTTP_TRANSFER_ENCODING": "chunked"}
TERMINATED: dict[str, Any] = {**CHUNKED, "wsgi__input_terminated": True}


def test_a_chunked_body_is_read_where_the_server_ends_it(service: Service) -> None:
    answer = service.send(Stream(*(EVENT[at : at + 3] for at in range(0, 99, 3))), **TERMINATED)
    assert answer.status == 202
    assert service.events == [EVENT]


@pytest.mark.parametrize("coding", ["chunked", "Chunked", "gzip, chunked", "identity"])
def test_a_coded_body_without_a_marked_end_needs_a_length(service: Service, coding: str) -> None:
    stream = Stream(EVENT, ends=False)
    answer = service.send(stream, HTTP_TRANSFER_ENCODING=coding)
    assert answer.status == 411
    assert error_of(answer) == "LengthRequiredException"
    assert stream.reads == []
    assert service.events == []


@pytest.mark.parametrize("terminated", [False, True])
@pytest.mark.parametrize("coding", ["chunked", "identity"])
@pytest.mark.parametrize("length", ["2", "0"])
def test_a_length_and_a_coding_together_are_refused(
    service: Service, length: str, coding: str, terminated: bool
) -> None:
    """Two readers of such a request may see two different bodies: request smuggling."""
    stream = Stream(b"12", ends=False)
    answer = service.send(
        stream,
        CONTENT_LENGTH=length,
        HTTP_TRANSFER_ENCODING=coding,
        wsgi__input_terminated=terminated,
    )
    assert answer.status == 400
    assert error_of(answer) == "InvalidRequestContentException"
    assert stream.reads == []
    assert service.events == []


@pytest.mark.parametrize("stream", [Stream(), io.BytesIO()], ids=["the server ends it", "buffered"])
def test_a_chunked_body_of_nothing_is_refused(service: Service, stream: object) -> None:
    """Some servers show a malformed or cut one so; an empty event needs no chunks."""
    answer = service.send(stream, **TERMINATED)
    assert answer.status == 400
    assert error_of(answer) == "InvalidRequestContentException"
    assert service.events == []


def test_a_chunked_body_that_was_cut_is_not_json(service: Service) -> None:
    answer = service.send(Stream(EVENT[:-2]), **TERMINATED)
    assert answer.status == 400
    assert service.events == []


class TestUnderUwsgi:
    """uWSGI's ``wsgi.input`` shows chunked bodies as empty; a function of its own reads them."""

    @pytest.fixture
    def chunks(self, monkeypatch: pytest.MonkeyPatch) -> list[object]:
        """What ``uwsgi.chunked_read`` gives, one by one, and ``b""`` at the end."""
        chunks: list[object] = []

        def chunked_read(timeout: int) -> object:
            assert 0 < timeout <= 60, "without a timeout it may wait for ever"
            chunk = chunks.pop(0) if chunks else b""
            if isinstance(chunk, Exception):
                raise chunk
            return chunk

        module = types.ModuleType("uwsgi")
        module.chunked_read = chunked_read  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "uwsgi", module)
        return chunks

    def test_a_chunked_body_is_read(self, service: Service, chunks: list[object]) -> None:
        chunks[:] = [EVENT[:4], EVENT[4:]]
        stream = Stream(ends=False)
        assert service.send(stream, uwsgi__version=b"2.0.31", **CHUNKED).status == 202
        assert service.events == [EVENT]
        assert stream.reads == []

    @pytest.mark.parametrize(
        "given", [[], [OSError("unable to receive chunked part")]], ids=["empty", "error"]
    )
    def test_a_broken_chunked_body_is_refused(
        self, service: Service, chunks: list[object], given: list[object]
    ) -> None:
        chunks[:] = given
        answer = service.send(Stream(ends=False), uwsgi__version=b"2.0.31", **CHUNKED)
        assert answer.status == 400
        assert service.events == []

    def test_a_body_with_a_length_is_read_as_everywhere(
        self, service: Service, chunks: list[object]
    ) -> None:
        chunks[:] = [b"not this"]
        stream = Stream(EVENT, length=len(EVENT), ends=False)
        answer = service.send(stream, uwsgi__version=b"2.0.31", CONTENT_LENGTH=str(len(EVENT)))
        assert answer.status == 202
        assert service.events == [EVENT]


# --- too large ------------------------------------------------------------------------------

LIMITS = [
    pytest.param(ASYNC_PATH, {}, Bounded.INVOKE_ASYNC, id="InvokeAsync"),
    pytest.param(
        INVOKE_PATH, {"HTTP_X_AMZ_INVOCATION_TYPE": "Event"}, Bounded.EVENT, id="Invoke Event"
    ),
    pytest.param(INVOKE_PATH, {}, Bounded.REQUEST, id="Invoke RequestResponse"),
]


def json_of_length(length: int) -> bytes:
    return b'"' + b"x" * (length - 2) + b'"'


@pytest.mark.parametrize(("path", "headers", "limit"), LIMITS)
@pytest.mark.parametrize("framing", ["announced", "chunked"])
def test_a_body_of_exactly_the_limit_is_taken(
    service: Service, path: str, headers: dict[str, str], limit: int, framing: str
) -> None:
    stream = Stream(json_of_length(limit))
    given = {"CONTENT_LENGTH": str(limit)} if framing == "announced" else TERMINATED
    assert service.send(stream, path=path, **headers, **given).status in (200, 202)


@pytest.mark.parametrize(("path", "headers", "limit"), LIMITS)
@pytest.mark.parametrize("framing", ["announced", "chunked"])
def test_a_body_of_one_byte_more_is_too_large(
    service: Service, path: str, headers: dict[str, str], limit: int, framing: str
) -> None:
    stream = Stream(json_of_length(limit + 1))
    given = {"CONTENT_LENGTH": str(limit + 1)} if framing == "announced" else TERMINATED
    answer = service.send(stream, path=path, **headers, **given)
    assert answer.status == 413
    assert error_of(answer) == "RequestEntityTooLargeException"
    assert str(limit) in json.loads(answer.body)["Message"]
    assert service.events == []


@pytest.mark.parametrize("length", [DROP_BYTES + 1, 10**9, 10**19, 99999999999999999999])
@pytest.mark.parametrize(("path", "headers", "limit"), LIMITS)
def test_of_a_body_announced_as_too_large_nothing_is_read(
    service: Service, path: str, headers: dict[str, str], limit: int, length: int
) -> None:
    stream = Stream(b"x" * 100, ends=False)
    answer = service.send(stream, path=path, CONTENT_LENGTH=str(length), **headers)
    assert answer.status == 413
    assert error_of(answer) == "RequestEntityTooLargeException"
    assert stream.reads == []


@pytest.mark.parametrize(("path", "headers", "limit"), LIMITS)
@pytest.mark.parametrize("piece", [1, 100, 64 * 1024])
def test_of_an_endless_chunked_body_little_more_than_the_limit_is_read(
    service: Service, path: str, headers: dict[str, str], limit: int, piece: int
) -> None:
    class Endless:
        given = 0

        def read(self, size: int = -1, /) -> bytes:
            assert size > 0
            chunk = b" " * min(size, piece)
            self.given += len(chunk)
            return chunk

    stream = Endless()
    answer = service.send(stream, path=path, **headers, **TERMINATED)
    assert answer.status == 413
    assert error_of(answer) == "RequestEntityTooLargeException"
    assert limit < stream.given <= limit + piece


# --- refused for another reason -------------------------------------------------------------

REFUSED = [
    pytest.param("/2014-11-13/functions/", "POST", {}, 403, id="no operation"),
    pytest.param(ASYNC_PATH, "GET", {}, 403, id="another method"),
    pytest.param("/2014-11-13/functions/none/invoke-async", "POST", {}, 404, id="no function"),
    pytest.param("/2014-11-13/functions/a b/invoke-async", "POST", {}, 400, id="bad name"),
    pytest.param(ASYNC_PATH, "POST", {"HTTP_X_AMZN_REQUESTID": "x"}, 400, id="bad request id"),
    pytest.param(INVOKE_PATH, "POST", {"HTTP_X_AMZ_LOG_TYPE": "x"}, 400, id="bad parameter"),
    pytest.param(INVOKE_PATH, "POST", {"HTTP_X_AMZ_INVOCATION_TYPE": "DryRun"}, 204, id="DryRun"),
]


@pytest.mark.parametrize(("path", "method", "headers", "status"), REFUSED)
@pytest.mark.parametrize("length", [1, 100, DROP_BYTES])
def test_a_small_body_that_nobody_wants_is_read_away(
    service: Service, path: str, method: str, headers: dict[str, str], status: int, length: int
) -> None:
    """The client sends it anyway; unread, it would stand before the connection's next request."""
    pieces = [b"x" * (length // 2), b"x" * (length - length // 2)]
    stream = Stream(*(piece for piece in pieces if piece), length=length, ends=False)
    answer = service.send(stream, path=path, method=method, CONTENT_LENGTH=str(length), **headers)
    assert answer.status == status
    assert stream.given == length


@pytest.mark.parametrize("length", [Bounded.INVOKE_ASYNC + 1, DROP_BYTES])
def test_a_body_too_large_for_us_and_small_for_the_connection_is_read_away(
    service: Service, length: int
) -> None:
    stream = Stream(b"x" * length, length=length, ends=False)
    assert service.send(stream, CONTENT_LENGTH=str(length)).status == 413
    assert stream.given == length


@pytest.mark.parametrize(("path", "method", "headers", "status"), REFUSED)
@pytest.mark.parametrize("length", [DROP_BYTES + 1, 10**9, 99999999999999999999])
def test_a_large_body_that_nobody_wants_is_left_to_the_server(
    service: Service, path: str, method: str, headers: dict[str, str], status: int, length: int
) -> None:
    stream = Stream(b"x" * 100, ends=False)
    answer = service.send(stream, path=path, method=method, CONTENT_LENGTH=str(length), **headers)
    assert answer.status == status
    assert stream.reads == []


@pytest.mark.parametrize(("path", "method", "headers", "status"), REFUSED)
def test_a_body_that_the_client_holds_back_is_not_waited_for(
    service: Service, path: str, method: str, headers: dict[str, str], status: int
) -> None:
    """Reading would make some servers ask for it with 100 Continue."""
    stream = Stream(ends=False)
    answer = service.send(
        stream,
        path=path,
        method=method,
        CONTENT_LENGTH="100",
        HTTP_EXPECT="100-continue",
        **headers,
    )
    assert answer.status == status
    assert stream.reads == []


def test_a_body_that_the_client_holds_back_is_read_when_it_is_wanted(service: Service) -> None:
    stream = Stream(EVENT, length=len(EVENT), ends=False)
    answer = service.send(stream, CONTENT_LENGTH=str(len(EVENT)), HTTP_EXPECT="100-continue")
    assert answer.status == 202
    assert service.events == [EVENT]


@pytest.mark.parametrize(("path", "method", "headers", "status"), REFUSED)
@pytest.mark.parametrize(
    ("pieces", "ends", "framing"),
    [
        pytest.param([OSError("gone")], True, {"CONTENT_LENGTH": "9"}, id="client gone"),
        pytest.param([b"x"], True, {"CONTENT_LENGTH": "9"}, id="cut"),
        pytest.param([b"x"], False, {"CONTENT_LENGTH": "abc"}, id="bad length"),
        pytest.param([b"x"], False, {"CONTENT_LENGTH": "1", **CHUNKED}, id="length and chunked"),
        pytest.param([b"x"], False, CHUNKED, id="chunked without an end"),
        pytest.param([], True, TERMINATED, id="chunked and empty"),
        pytest.param([b"x"], False, {}, id="no length"),
    ],
)
def test_a_refusal_stays_what_it_is_whatever_comes_of_the_body(
    service: Service,
    path: str,
    method: str,
    headers: dict[str, str],
    status: int,
    pieces: list[bytes | BaseException],
    ends: bool,
    framing: dict[str, Any],
) -> None:
    stream = Stream(*pieces, ends=ends)
    assert service.send(stream, path=path, method=method, **framing, **headers).status == status


def test_of_an_unwanted_chunked_body_little_more_than_the_bound_is_read(
    service: Service,
) -> None:
    stream = Stream(*[b"x" * 1024] * 1000)
    answer = service.send(stream, path="/2014-11-13/functions/", **TERMINATED)
    assert answer.status == 403
    assert DROP_BYTES <= stream.given <= DROP_BYTES + 1024


def test_a_body_is_never_read_twice(service: Service) -> None:
    """A body that is read and refused as no JSON is over."""
    stream = Stream(b"{]", length=2, ends=False)
    assert service.send(stream, CONTENT_LENGTH="2").status == 400
    assert stream.reads == [2]


# --- answers --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", ASYNC_PATH), ("HEAD", ASYNC_PATH), ("HEAD", INVOKE_PATH), ("GET", INVOKE_PATH)],
)
def test_an_answer_is_one_chunk_and_empty_for_head(method: str, path: str) -> None:
    """``[b""]`` rather than ``[]``, which hypercorn takes for no answer at all."""
    functions = Functions.from_mapping({"f": lambda event, context: event})
    middleware = InvokeAsyncMiddleware(None, functions, auth="none", executor="inline:")
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "CONTENT_LENGTH": "2",
        "wsgi.input": Stream(b"{}", length=2, ends=False),
    }
    started: list[Any] = []

    def start_response(*args: Any) -> Any:
        started.append(args)
        return lambda data: None

    chunks = list(middleware(environ, start_response))
    assert len(chunks) == 1
    assert len(started) == 1
    if method == "HEAD" or (path == ASYNC_PATH and method == "POST"):
        assert chunks == [b""]
    else:
        assert dict(started[0][1])["Content-Length"] == str(len(chunks[0]))
