"""Whatever is not Lambda's reaches the wrapped application, and comes back from it, untouched.

The same applications run with and without the middleware: behind `wsgiref.validate`, and behind
wsgiref's own HTTP handler, whose every byte is compared.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any
from wsgiref.handlers import SimpleHandler
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import pytest

from invokeasync_wsgi import Functions, InvokeAsyncMiddleware

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Events = list[object]
MakeApp = Callable[[Events], "WSGIApplication"]

APPS: list[Any] = []


def app_case(name: str, *, legal: bool = True) -> Callable[[MakeApp], MakeApp]:
    """Add what makes an application to the table; ``legal`` ones satisfy `wsgiref.validate`."""

    def add(make: MakeApp) -> MakeApp:
        APPS.append(pytest.param(make, legal, id=name))
        return make

    return add


class Chunks:
    """An application's iterator that notes what happens to it, and raises the errors in it."""

    def __init__(self, events: Events, *chunks: bytes | BaseException) -> None:
        self._events = events
        self._chunks = iter(chunks)

    def __iter__(self) -> Chunks:
        return self

    def __next__(self) -> bytes:
        chunk = next(self._chunks)
        if isinstance(chunk, BaseException):
            self._events.append("raised")
            raise chunk
        self._events.append(("yielded", chunk))
        return chunk

    def close(self) -> None:
        self._events.append("closed")


TEXT = [("Content-Type", "text/plain")]


def answering(
    status: str,
    headers: list[tuple[str, str]],
    body: Callable[[Events], Iterable[bytes]],
) -> MakeApp:
    def make(events: Events) -> WSGIApplication:
        def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            start_response(status, list(headers))
            return body(events)

        return app

    return make


app_case("list of one")(answering("200 OK", TEXT, lambda events: [b"hello"]))
app_case("list of several")(answering("200 OK", TEXT, lambda events: [b"a", b"", b"b"]))
app_case("tuple")(answering("200 OK", TEXT, lambda events: (b"a", b"b")))
app_case("empty list")(answering("200 OK", TEXT, lambda events: []))
app_case("generator")(answering("200 OK", TEXT, lambda events: (c for c in [b"a", b"", b"b"])))
app_case("empty generator")(answering("200 OK", TEXT, lambda events: iter(())))
app_case("iterator with close()")(
    answering("200 OK", TEXT, lambda events: Chunks(events, b"one", b"two", b"three"))
)
app_case("iterator that raises at once")(
    answering("200 OK", TEXT, lambda events: Chunks(events, ValueError("at once"), b"never"))
)
app_case("iterator that raises half-way")(
    answering("200 OK", TEXT, lambda events: Chunks(events, b"one", ValueError("half-way")))
)
app_case("large body")(answering("200 OK", TEXT, lambda events: [bytes(300_000)]))
app_case("repeated headers, in their order and case")(
    answering(
        "200 OK",
        [
            ("Set-Cookie", "a=1"),
            ("X-between", "x"),
            ("Set-Cookie", "b=2"),
            ("content-type", "text/plain"),
            ("Set-Cookie", "a=3"),
            ("X-Latin-1", "caf\xe9"),
            ("X-Empty", ""),
        ],
        lambda events: [b"x"],
    )
)
app_case("announced length")(
    answering("200 OK", [*TEXT, ("Content-Length", "4")], lambda events: Chunks(events, b"4444"))
)
app_case("own reason phrase")(answering("299 Rather Fine", TEXT, lambda events: [b"x"]))
app_case("204")(answering("204 No Content", [("X-A", "b")], lambda events: []))
app_case("304")(answering("304 Not Modified", [("ETag", '"x"')], lambda events: [b""]))
app_case("103, which WSGI can only give as a whole answer")(
    answering("103 Early Hints", [*TEXT, ("Link", "</a.css>; rel=preload")], lambda events: [])
)
app_case("100, likewise")(answering("100 Continue", TEXT, lambda events: []))
app_case("redirect")(answering("302 Found", [*TEXT, ("Location", "/x")], lambda events: []))
app_case("AWS's own words")(
    answering(
        "202 Accepted",
        [*TEXT, ("x-amzn-requestid", "mine"), ("X-Amz-Function-Error", "mine")],
        lambda events: [b"{}"],
    )
)


@app_case("write()")
def writing(events: Events) -> WSGIApplication:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", list(TEXT))
        write(b"first ")
        events.append("wrote")
        write(b"second ")
        return Chunks(events, b"third")

    return app


@app_case("write() only")
def writing_only(events: Events) -> WSGIApplication:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", list(TEXT))(b"all of it")
        return []

    return app


@app_case("wsgi.file_wrapper")
def sending_a_file(events: Events) -> WSGIApplication:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", list(TEXT))
        wrap: Callable[[io.BytesIO, int], Iterable[bytes]] = environ["wsgi.file_wrapper"]
        return wrap(io.BytesIO(b"0123456789" * 10), 32)

    return app


@app_case("reads the body")
def reading(events: Events) -> WSGIApplication:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", list(TEXT))
        return [environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))]

    return app


@app_case("reads one byte of the body")
def reading_a_byte(events: Events) -> WSGIApplication:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", list(TEXT))
        return [environ["wsgi.input"].read(1)]

    return app


@app_case("leaves the body to whoever iterates")
def reading_late(events: Events) -> WSGIApplication:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        events.append("began")
        start_response("200 OK", list(TEXT))
        yield b"body: "
        yield environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))

    return app


@app_case("knows HEAD")
def knowing_head(events: Events) -> WSGIApplication:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [*TEXT, ("Content-Length", "5")])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [b"12345"]

    return app


@app_case("writes to wsgi.errors")
def complaining(events: Events) -> WSGIApplication:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ["wsgi.errors"].write("complaint\n")
        environ["wsgi.errors"].flush()
        start_response("200 OK", list(TEXT))
        return [b"x"]

    return app


@app_case("changes its answer before it is sent")
def correcting_itself(events: Events) -> WSGIApplication:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [*TEXT, ("X-First", "1")])
        try:
            raise ValueError("too early")
        except ValueError:
            start_response("500 Oops", [*TEXT, ("X-Second", "2")], sys.exc_info())
        return Chunks(events, b"sorry")

    return app


@app_case("changes its answer after it is sent", legal=False)
def correcting_itself_too_late(events: Events) -> WSGIApplication:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", list(TEXT))
        yield b"sent already"
        try:
            raise ValueError("too late")
        except ValueError:
            try:
                start_response("500 Oops", list(TEXT), sys.exc_info())
            except ValueError as exc:
                events.append(("start_response raised", str(exc)))
                raise

    return app


@app_case("raises when called", legal=False)
def raising(events: Events) -> WSGIApplication:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        raise ValueError("when called")

    return app


@app_case("raises after start_response", legal=False)
def raising_after_start(events: Events) -> WSGIApplication:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [*TEXT, ("X-Lost", "1")])
        raise ValueError("after start_response")

    return app


@app_case("raises after write()", legal=False)
def raising_after_write(events: Events) -> WSGIApplication:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", list(TEXT))(b"sent")
        raise ValueError("after write()")

    return app


@app_case("start_response twice", legal=False)
def starting_twice(events: Events) -> WSGIApplication:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", list(TEXT))
        start_response("201 Created", list(TEXT))
        return [b"x"]

    return app


@app_case("no start_response", legal=False)
def never_starting(events: Events) -> WSGIApplication:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return Chunks(events, b"x")

    return app


@app_case("bytes for a body", legal=False)
def answering_bytes(events: Events) -> WSGIApplication:
    return answering("200 OK", TEXT, lambda events: b"")(events)  # type: ignore[arg-type, return-value]


@app_case("a hop-by-hop header", legal=False)
def closing_the_connection(events: Events) -> WSGIApplication:
    return answering("200 OK", [*TEXT, ("Connection", "close")], lambda events: [b"x"])(events)


REQUESTS = [
    pytest.param({"PATH_INFO": "/"}, b"", id="GET"),
    pytest.param(
        {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/2015-03-31/layers",
            "QUERY_STRING": "Qualifier=x",
            "CONTENT_LENGTH": "7",
            "HTTP_X_AMZN_REQUESTID": "no uuid",
            "HTTP_X_AMZ_INVOCATION_TYPE": "Event",
        },
        b"payload",
        id="POST",
    ),
    pytest.param({"REQUEST_METHOD": "HEAD", "PATH_INFO": "/x"}, b"", id="HEAD"),
    pytest.param(
        {"REQUEST_METHOD": "PUT", "CONTENT_LENGTH": "2", "HTTP_EXPECT": "100-continue"},
        b"ok",
        id="PUT with Expect",
    ),
]


def wrapped(app: WSGIApplication) -> InvokeAsyncMiddleware:
    """The middleware around ``app``, with a function that could be invoked."""
    functions = Functions.from_mapping({"x": lambda event, context: event})
    return InvokeAsyncMiddleware(app, functions, auth="none", executor="inline:")


def make_environ(changes: dict[str, Any], body: bytes = b"") -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "",
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileWrapper,
        **changes,
    }


class Handler(SimpleHandler):
    """wsgiref's HTTP handler, which notes each write between the application's own events."""

    os_environ: dict[str, str] = {}  # noqa: RUF012 - wsgiref has it so
    server_software = "wsgiref"

    def __init__(self, environ: dict[str, Any], body: bytes, events: Events) -> None:
        self.stdout_bytes = io.BytesIO()
        self.errors = io.StringIO()
        super().__init__(io.BytesIO(body), self.stdout_bytes, self.errors, environ)
        self.events = events

    def _write(self, data: bytes) -> None:
        self.events.append(("sent", re.sub(rb"Date: [^\r]*", b"Date:", data)))
        self.stdout_bytes.write(data)

    def log_exception(self, exc_info: Any) -> None:
        self.events.append(("logged", exc_info[0], str(exc_info[1])))


def serve(app: WSGIApplication, changes: dict[str, Any], body: bytes, events: Events) -> bytes:
    """The bytes of the whole HTTP response, but for its date."""
    handler = Handler(make_environ(changes), body, events)
    handler.run(app)
    unread = handler.stdin.read()
    events.append(("left of the body", unread, "written to wsgi.errors", handler.errors.getvalue()))
    return re.sub(rb"\r\nDate: [^\r]*", b"", handler.stdout_bytes.getvalue(), count=1)


@pytest.mark.parametrize(("changes", "body"), REQUESTS)
@pytest.mark.parametrize(("make", "legal"), APPS)
def test_every_byte_of_the_response_is_the_applications(
    make: MakeApp, legal: bool, changes: dict[str, Any], body: bytes
) -> None:
    """And everything happens in the same order: reads, yields, writes, errors and close()."""
    bare_events: Events = []
    wrapped_events: Events = []
    bare = serve(make(bare_events), changes, body, bare_events)
    behind = serve(wrapped(make(wrapped_events)), changes, body, wrapped_events)
    assert behind == bare
    assert wrapped_events == bare_events
    assert bare


def collect(app: WSGIApplication, environ: dict[str, Any]) -> tuple[object, ...]:
    """What a server gets that calls ``app`` as PEP 3333 asks, an exception included."""
    started: list[object] = []
    chunks: list[bytes] = []

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        started.append((status, headers, exc_info is not None and str(exc_info[1])))
        return chunks.append

    raised = None
    try:
        result = app(environ, start_response)
        try:
            for chunk in result:
                chunks.append(chunk)
        finally:
            if hasattr(result, "close"):
                result.close()
    except ValueError as exc:
        raised = str(exc)
    return started, chunks, raised


@pytest.mark.parametrize(("changes", "body"), REQUESTS)
@pytest.mark.parametrize(
    "make", [pytest.param(case.values[0], id=case.id) for case in APPS if case.values[1]]
)
def test_the_middleware_is_a_legal_application_and_a_legal_server(
    make: MakeApp, changes: dict[str, Any], body: bytes
) -> None:
    """`wsgiref.validate` finds nothing on either side of it."""
    seen: list[tuple[object, Events]] = []
    arrangements: list[Callable[[WSGIApplication], WSGIApplication]] = [
        lambda app: app,
        lambda app: validator(app),
        lambda app: validator(wrapped(app)),
        lambda app: wrapped(validator(app)),
    ]
    for arrange in arrangements:
        events: Events = []
        seen.append((collect(arrange(make(events)), make_environ(changes, body)), events))
    assert all(other == seen[0] for other in seen)


def test_chunks_are_made_one_by_one_as_the_server_asks() -> None:
    made: list[bytes] = []

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", TEXT)
        for chunk in (b"one", b"two", b"three"):
            made.append(chunk)
            yield chunk

    iterator = iter(wrapped(app)(make_environ({}), lambda *args: lambda data: None))
    assert made == []
    assert next(iterator) == b"one"
    assert made == [b"one"]
    assert next(iterator) == b"two"
    assert made == [b"one", b"two"]


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param((b"a", b"b"), id="to the end"),
        pytest.param((ValueError("at once"),), id="iteration raises at once"),
        pytest.param((b"a", ValueError("half-way")), id="iteration raises half-way"),
    ],
)
def test_close_is_called_exactly_once(chunks: tuple[bytes | BaseException, ...]) -> None:
    events: Events = []
    app = wrapped(answering("200 OK", TEXT, lambda events: Chunks(events, *chunks))(events))
    serve(app, {}, b"", events)
    assert events.count("closed") == 1


def test_close_is_called_when_the_client_goes_away_before_the_first_chunk() -> None:
    events: Events = []
    app = wrapped(answering("200 OK", TEXT, lambda events: Chunks(events, b"a"))(events))
    result: Any = app(make_environ({}), lambda *args: lambda data: None)
    result.close()
    assert events == ["closed"]


def test_the_application_gets_the_very_environ_and_start_response_of_the_server() -> None:
    """And the server gets the very object that the application returned."""
    got: list[object] = []
    result = [b"x"]

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        got.extend((environ, start_response))
        return result

    def start_response(*args: Any) -> Any:
        raise AssertionError("nobody but the application may call this")

    environ = make_environ({"PATH_INFO": "/x", "wsgi.input": object(), "own.key": object()})
    before = dict(environ)
    assert wrapped(app)(environ, start_response) is result
    assert got[0] is environ
    assert got[1] is start_response
    assert environ == before
    assert list(environ) == list(before)


def test_what_the_application_puts_into_the_environ_stays_there() -> None:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ["own.key"] = "kept"
        del environ["QUERY_STRING"]
        return []

    environ = make_environ({})
    wrapped(app)(environ, lambda *args: lambda data: None)
    assert environ["own.key"] == "kept"
    assert "QUERY_STRING" not in environ


class Unusual(BaseException):
    """Neither an Exception nor anything that Python knows."""


@pytest.mark.parametrize(
    "error",
    [ValueError("x"), SystemExit(3), KeyboardInterrupt(), GeneratorExit(), Unusual("x")],
    ids=lambda error: type(error).__name__,
)
def test_exceptions_pass_through_as_the_same_object(error: BaseException) -> None:
    """Raised by the call or by the iteration, and with nothing chained to them."""

    def raising(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        raise error

    def start_response(*args: Any) -> Any:
        return lambda data: None

    with pytest.raises(type(error)) as of_call:
        wrapped(raising)(make_environ({}), start_response)
    failing = wrapped(lambda environ, start_response: Chunks([], b"a", error))
    iterator = iter(failing(make_environ({}), start_response))
    assert next(iterator) == b"a"
    with pytest.raises(type(error)) as of_iteration:
        next(iterator)
    assert of_call.value is of_iteration.value is error
    assert error.__cause__ is None
    assert error.__context__ is None


LOOKALIKES = [
    "",
    "/",
    "*",
    "/2014-11-13",
    "/2014-11-13/",
    "/2014-11-13/function",
    "/2014-11-13/functionsX",
    "/2014-11-13/functionsX/x/invoke-async",
    "/2014-11-13/functions\xe9/x/invoke-async",
    "/2014-11-13/functions%2Fx/invoke-async",
    "/2014-11-13/functions;v=1/x/invoke-async",
    "/2014-11-13/FUNCTIONS/x/invoke-async",
    "/2014-11-13/Functions/x/invoke-async",
    "/2014-11-14/functions/x/invoke-async",
    "/2014-11-13//functions/x/invoke-async",
    "/2014-11-13/./functions/x/invoke-async",
    "//2014-11-13/functions/x/invoke-async",
    " /2014-11-13/functions/x/invoke-async",
    "/api/2014-11-13/functions/x/invoke-async",
    "2014-11-13/functions/x/invoke-async",
    "http://localhost/2014-11-13/functions/x/invoke-async",
    "/2015-03-31/layers",
    "/2015-03-31/event-source-mappings/",
    "/2015-03-31/functionality/x/invocations",
    "/2018-10-31/layers",
    "/2021-11-15/functionsx",
    "/functions/x/invoke-async",
    "/x/invoke-async",
]
OURS = [
    "/2014-11-13/functions",
    "/2014-11-13/functions/",
    "/2014-11-13/functions/x/invoke-async",
    "/2014-11-13/functions/x/invoke-async/",
    "/2014-11-13/functions//",
    "/2014-11-13/functions/../x",
    "/2015-03-31/functions",
    "/2015-03-31/functions/x/invocations",
    "/2015-03-31/functions/x",
    "/2021-11-15/functions/",
    "/2021-11-15/functions/x/response-streaming-invocations",
]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("script_name", ["", "/api", "/2014-11-13", "/2014-11-13/functions"])
@pytest.mark.parametrize("path", LOOKALIKES)
def test_paths_that_only_look_like_lambdas_are_the_applications(
    path: str, script_name: str, method: str
) -> None:
    result = [b"the application"]
    app = wrapped(lambda environ, start_response: result)
    changes = {"PATH_INFO": path, "SCRIPT_NAME": script_name, "REQUEST_METHOD": method}
    assert app(make_environ(changes), lambda *args: lambda data: None) is result


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", OURS)
def test_paths_below_lambdas_never_reach_the_application(path: str, method: str) -> None:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        raise AssertionError("reached the application")

    environ = make_environ(
        {"PATH_INFO": path, "REQUEST_METHOD": method, "SCRIPT_NAME": "/api", "CONTENT_LENGTH": "0"}
    )
    started, _, raised = collect(wrapped(app), environ)
    assert raised is None
    assert started


@pytest.mark.parametrize("environ", [{}, {"REQUEST_METHOD": "GET"}], ids=["empty", "no path"])
def test_an_environ_without_a_path_is_the_applications(environ: dict[str, Any]) -> None:
    """PEP 3333 lets a server leave an empty PATH_INFO out."""
    result = [b"the application"]
    app = wrapped(lambda environ, start_response: result)
    assert app(environ, lambda *args: lambda data: None) is result


def snapshot(middleware: InvokeAsyncMiddleware) -> dict[str, object]:
    """Which object stands behind each attribute of the middleware and of its service."""
    service = middleware.service
    return {
        f"{type(holder).__name__}.{name}": value
        for holder in (middleware, service, service.settings, service.executor)
        for name, value in _attributes(holder)
    }


def _attributes(holder: object) -> Iterable[tuple[str, object]]:
    names = getattr(type(holder), "__slots__", None)
    if names is None:
        return vars(holder).items()
    return [(name, getattr(holder, name)) for name in names]


@pytest.mark.parametrize("path", ["/", "/2014-11-13/functions/x/invoke-async"])
def test_a_request_assigns_nothing_on_the_middleware(path: str) -> None:
    middleware = wrapped(answering("200 OK", TEXT, lambda events: [b"x"])([]))
    before = snapshot(middleware)
    changes = {"PATH_INFO": path, "REQUEST_METHOD": "POST", "CONTENT_LENGTH": "2"}
    collect(middleware, make_environ(changes, b"{}"))
    after = snapshot(middleware)
    assert list(after) == list(before)
    assert [name for name in before if after[name] is not before[name]] == []


def run_python(program: str) -> str:
    """What ``program`` prints in an interpreter of its own, where nothing has happened yet."""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_and_building_starts_nothing_and_opens_nothing() -> None:
    """Every module imported, a middleware and a Flask application built: the process is as before.

    Servers fork after that, and a thread, lock or file made before would not survive it.
    """
    pytest.importorskip("flask")
    program = """
        import importlib, io, logging, os, pkgutil, queue, signal, socket, sys, threading, types
        from collections import deque
        import flask, flask.cli  # what they do at import is their own

        def open_files():
            files = set()
            for number in range(256):
                try:
                    os.fstat(number)
                except OSError:
                    continue
                files.add(number)
            return files

        def state():
            return {
                "threads": threading.enumerate(),
                "files": open_files(),
                "signals": [signal.getsignal(number) for number in signal.valid_signals()],
                "streams": [sys.stdout, sys.stderr],
                "record factory": logging.getLogRecordFactory(),
                "root handlers": list(logging.root.handlers),
                "environment": dict(os.environ),
            }

        before = state()

        import invokeasync_wsgi
        modules = [invokeasync_wsgi]
        for found in pkgutil.walk_packages(invokeasync_wsgi.__path__, "invokeasync_wsgi."):
            modules.append(importlib.import_module(found.name))
        assert len(modules) > 20, modules

        from invokeasync_wsgi.flask import InvokeAsync
        functions = invokeasync_wsgi.Functions.from_mapping({"f": lambda event, context: event})
        middleware = invokeasync_wsgi.InvokeAsyncMiddleware(
            lambda environ, start_response: [], functions, auth="none"
        )
        app = flask.Flask("app")
        app.config["INVOKEASYNC_AUTH"] = "none"
        extension = InvokeAsync(app)

        after = state()
        assert after == before, (before, after)
        assert threading.active_count() == 1

        # No lock, queue, stream or socket hangs off anything of ours.
        unfit = tuple({
            type(threading.Lock()), type(threading.RLock()), threading.Condition, threading.Event,
            threading.Semaphore, threading.Thread, queue.Queue, queue.SimpleQueue,
            socket.socket, io.IOBase,
        })
        seen, found = set(), []
        todo = [(module.__name__, vars(module)) for module in modules]
        todo += [("middleware", middleware), ("extension", extension)]
        todo += [("app.extensions", app.extensions["invokeasync"])]
        while todo:
            where, value = todo.pop()
            if id(value) in seen:
                continue
            seen.add(id(value))
            kind = type(value)  # not isinstance: it would ask proxies such as flask.current_app
            if issubclass(kind, unfit):
                found.append((where, value))
            elif issubclass(kind, dict):
                todo += [(f"{where}[{key!r}]", item) for key, item in value.items()
                         if key not in ("__builtins__", "__spec__", "__loader__")]
            elif issubclass(kind, (list, tuple, set, frozenset, deque)):
                todo += [(f"{where}[...]", item) for item in value]
            elif kind is types.FunctionType:
                for cell in value.__closure__ or ():
                    todo.append((f"{where}()", cell.cell_contents))
            elif kind is types.MethodType:
                todo.append((f"{where}.__self__", value.__self__))
            elif kind.__module__.startswith("invokeasync_wsgi"):
                names = [*getattr(value, "__dict__", {})]
                for cls in kind.__mro__:
                    names += getattr(cls, "__slots__", ())
                todo += [(f"{where}.{name}", getattr(value, name)) for name in names
                         if hasattr(value, name)]
        assert len(seen) > 300, len(seen)
        assert not found, found
        print("as before")
    """
    assert run_python(program) == "as before\n"


def test_passing_requests_through_starts_nothing() -> None:
    program = """
        import threading
        from invokeasync_wsgi import Functions, InvokeAsyncMiddleware
        from invokeasync_wsgi import process

        middleware = InvokeAsyncMiddleware(lambda environ, start: [b"x"], Functions(), auth="none")
        for path in ("", "/", "/2014-11-13", "/2014-11-13/functionsX"):
            assert middleware({"PATH_INFO": path}, None) == [b"x"]
        assert threading.active_count() == 1
        assert process._armed.peek() is None
        print("nothing")
    """
    assert run_python(program) == "nothing\n"
