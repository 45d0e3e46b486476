"""The WSGI door: Lambda's calls in front of any WSGI application.

`InvokeAsyncMiddleware` looks at the path. A request below Lambda's prefixes is answered here;
every other one is passed on with its environ and ``start_response`` untouched, so the wrapped
application's streaming, ``close()``, ``write()`` and errors are its own.

Bodies are read exactly as they are framed, because servers differ (see "Servers" in the
documentation): ``wsgi.input`` may block for ever behind the body's end, may stop short without an
error, or may deliver nothing of a chunked body. No hop-by-hop header is ever sent, and an empty
body is ``[b""]``, which every server takes.

The middleware holds nothing that a fork could break and changes nothing after construction. Use it
from as many threads as the server has.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from . import operations, wire
from .auth import Authenticator
from .clock import Clock
from .config import make_settings
from .errors import (
    AWSError,
    ConfigurationError,
    InvalidRequestContentException,
    LengthRequiredException,
)
from .executors import Executor
from .functions import Functions
from .process import DEFAULT_DRAIN_TIMEOUT_S
from .runner import Surroundings
from .service import Service

if TYPE_CHECKING:
    from _typeshed.wsgi import InputStream, StartResponse, WSGIApplication, WSGIEnvironment

#: A refused body up to this size is read and dropped, so that the connection can be used again.
#: A larger one is left to the server, which closes the connection. gunicorn has the same limit.
DROP_BYTES = 64 * 1024

logger = logging.getLogger(__name__)

_STATUS_LINES = {status: f"{status.value} {status.phrase}" for status in HTTPStatus}
_READ_BYTES = 64 * 1024
#: Seconds to wait for a chunk from uWSGI, whose own default is forever.
_UWSGI_CHUNK_TIMEOUT_S = 30


class InvokeAsyncMiddleware:
    """A WSGI application that answers Lambda's calls and passes the rest to another.

    Args:
        app: the application to wrap; ``None`` for a service of its own, which answers every other
            path as AWS's endpoint does.
        functions: the functions that can be invoked.
        auth: how callers are authenticated; must be said. ``"sigv4:///credentials.ini"`` or a
            `SigV4` for requests that are signed as AWS's clients sign them, another URL or an
            authenticator of your own (see `auth`), ``"nobody"``, or ``"none"``: everybody who
            reaches the server may invoke and configure every function.
        executor: where accepted events go: a URL such as ``"threads:?workers=8"`` (the default is
            ``"threads:"``), or an executor.
        clock: what measures time; the system's by default.
        surroundings: a callable that gives a context manager to enter around each handler.
        settings: the other fields of `config.Settings`, such as ``region``, ``account_id`` and
            ``max_event_bytes``.

    Raises:
        ConfigurationError: ``auth`` was left out, or a setting, the functions or the executor
            cannot be used.
    """

    def __init__(
        self,
        app: WSGIApplication | None,
        functions: Functions,
        *,
        auth: str | Authenticator | None = None,
        executor: str | Executor = "threads:",
        clock: Clock | None = None,
        surroundings: Surroundings | None = None,
        **settings: Any,
    ) -> None:
        if app is not None and not callable(app):
            raise ConfigurationError(f"app={app!r}: it must be a WSGI application, or None")
        self.app = app
        self.service = Service(
            functions,
            make_settings(auth=auth, executor=executor, **settings),
            clock=clock,
            surroundings=surroundings,
        )
        if auth == "none":
            logger.warning(
                "auth='none': everybody who reaches this server may invoke and configure every "
                "function; no policy is asked"
            )

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer the request, or let the wrapped application do so."""
        path = environ.get("PATH_INFO", "")
        if path.startswith(operations.PREFIX) and operations.is_ours(path):
            return answer(self.service, environ, start_response, path)
        if self.app is not None:
            return self.app(environ, start_response)
        # Mounted at one of the prefixes itself, as some routers do it.
        return answer(self.service, environ, start_response, environ.get("SCRIPT_NAME", "") + path)

    def submit(self, function_name: str, event: object = None, **options: Any) -> str:
        """Invoke a function asynchronously from Python: see `Service.submit`."""
        return self.service.submit(function_name, event, **options)

    def drain(self, timeout_s: float = DEFAULT_DRAIN_TIMEOUT_S) -> None:
        """Accept nothing more in this process and finish what was accepted, in ``timeout_s``."""
        self.service.executor.drain(timeout_s)

    def close(self) -> None:
        """Let go of this process's threads without waiting for what they run."""
        self.service.executor.close()


def answer(
    service: Service, environ: WSGIEnvironment, start_response: StartResponse, path: str
) -> Iterable[bytes]:
    """Answer a request for ``path`` (as ``PATH_INFO`` would have it) from ``service``."""
    method = environ["REQUEST_METHOD"]
    operation, name, item = operations.route(method, path)
    if not path.isascii():
        name, item = (
            text.encode("latin-1", "replace").decode("utf-8", "replace") for text in (name, item)
        )
    body = _Body(environ, *wire.body_limit(operation, environ, service.settings))
    response = service.handle(
        wire.Request(operation, name, environ, body.read, service.clock.time(), item)
    )
    if not (body.was_read or response.to_stranger):
        body.drop()
    start_response(_STATUS_LINES[response.status], response.headers)
    content = b"" if method == "HEAD" else response.body
    return [content] if response.after is None else _ThenCall(content, response.after)


class _ThenCall:
    """A response body whose ``close`` calls something, once, when the answer has been sent."""

    def __init__(self, content: bytes, call: Callable[[], None]) -> None:
        self._content = content
        self._call: Callable[[], None] | None = call

    def __iter__(self) -> Iterator[bytes]:
        yield self._content

    def close(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call()


class _Body:
    """The body of one request, read once and exactly as it is framed."""

    __slots__ = ("_content", "_environ", "_limit", "_too_large", "was_read")

    def __init__(
        self,
        environ: WSGIEnvironment,
        limit: int,
        too_large: Callable[[int, int], AWSError],
    ) -> None:
        self._environ = environ
        self._limit = limit
        self._too_large = too_large
        self._content: bytes | None = None
        #: Whether it was begun to be read.
        self.was_read = False

    def read(self) -> bytes:
        """The whole body; the same bytes at each call.

        Raises:
            RequestEntityTooLargeException: it is over the limit; of an announced length nothing
                was read.
            InvalidRequestContentException: it is not framed as HTTP asks, or the client went away.
            LengthRequiredException: it is chunked, and this server does not tell where it ends.
        """
        if self._content is None:
            self._content = self._read(self._limit)
        return self._content

    def _read(self, limit: int) -> bytes:
        length = self._length()
        if length is not None and length > limit:
            raise self._too_large(length, limit)
        self.was_read = True
        try:
            if length is not None:
                body = _read_exactly(self._environ["wsgi.input"], length)
            else:
                body = _read_to_end(self._stream(), limit)
        except LengthRequiredException:
            raise
        except Exception as exc:
            # Each server has its own: OSError, ValueError, or a class of its own. SystemExit and
            # the like are the server's business.
            raise InvalidRequestContentException("The request body could not be read.") from exc
        if len(body) > limit:
            raise self._too_large(len(body), limit)
        if length is not None and len(body) < length:
            # A cut body may be a valid event: 1234 for 123456.
            raise InvalidRequestContentException(
                f"The request body has {len(body)} bytes, its Content-Length says {length}."
            )
        if not body and length is None and self._is_chunked():
            # Some servers show a broken chunked body as an empty one.
            raise InvalidRequestContentException("The chunked request body is empty.")
        return body

    def drop(self) -> None:
        """Read a refused body away, if it is small and the client sends it anyway."""
        if "HTTP_EXPECT" in self._environ:
            return  # the client may be waiting to hear whether it should send the body at all
        with contextlib.suppress(Exception):  # the request has its answer already
            self._read(DROP_BYTES)

    def _length(self) -> int | None:
        """The announced length. ``None`` when the body is chunked or its end is known otherwise."""
        text = self._environ.get("CONTENT_LENGTH") or ""
        if not text:
            return None if self._is_chunked() or self._is_terminated() else 0
        if self._is_chunked():
            raise InvalidRequestContentException(
                "A request has a Content-Length or a Transfer-Encoding, not both."
            )
        # Servers let "+2", "1_0" and "-1" through, and int() takes them. Some leave the blanks in
        # that HTTP allows behind a value.
        text = text.rstrip(" \t")
        if not (text.isascii() and text.isdigit()) or len(text) > 20:
            raise InvalidRequestContentException("Content-Length must be a number of bytes.")
        return int(text)

    def _is_chunked(self) -> bool:
        return bool(self._environ.get("HTTP_TRANSFER_ENCODING"))

    def _is_terminated(self) -> bool:
        """Whether reading stops at the body's end without a length to go by.

        The flag is Werkzeug's and gunicorn's proposal, set by most servers. a2wsgi and servers
        that buffer into a `BytesIO` (hypercorn) do the same and do not say so.
        """
        environ = self._environ
        return (
            bool(environ.get("wsgi.input_terminated"))
            or "asgi.scope" in environ
            or isinstance(environ["wsgi.input"], io.BytesIO)
        )

    def _stream(self) -> Callable[[int], bytes]:
        """What reads the next piece of a body without a length."""
        if self._is_terminated():
            stream = self._environ["wsgi.input"]
            if isinstance(stream, io.RawIOBase):
                # Werkzeug's stream says that it filled a buffer which it has shortened; its own
                # read() then returns memory that is not the body's, or crashes (Python 3.10).
                stream = io.BufferedReader(stream)
            read: Callable[[int], bytes] = stream.read
            return read
        if "uwsgi.version" in self._environ:
            import uwsgi  # the server's own module: its wsgi.input shows chunked bodies as empty

            return lambda size: bytes(uwsgi.chunked_read(_UWSGI_CHUNK_TIMEOUT_S))
        raise LengthRequiredException("Length Required")


def _read_exactly(stream: InputStream, length: int) -> bytes:
    """``length`` bytes, or fewer when the stream ends before."""
    body = stream.read(length) if length else b""
    if not 0 < len(body) < length:
        return body
    pieces, missing = [body], length - len(body)
    while missing > 0 and (piece := stream.read(missing)):
        pieces.append(piece)
        missing -= len(piece)
    return b"".join(pieces)


def _read_to_end(read: Callable[[int], bytes], limit: int) -> bytes:
    """All that ``read`` gives, or some more than ``limit`` when there is more."""
    pieces: list[bytes] = []
    size = 0
    while piece := read(_READ_BYTES):
        size += len(piece)
        pieces.append(piece)
        if size > limit:
            break
    return b"".join(pieces)
