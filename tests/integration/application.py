"""What the integration tests serve: the same functions behind three applications.

Each handler run appends a line of JSON to the file named in ``EVENTS_FILE``, so that a test in
another process can tell which events have run, how often, and in which process.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from flask import Flask, current_app
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from invokeasync_wsgi import Context, InvokeAsyncMiddleware, drain_on_sigterm
from invokeasync_wsgi.config import read_settings
from invokeasync_wsgi.flask import InvokeAsync

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: Events larger than this are noted by their size.
MAX_NOTED_BYTES = 20_000

invoke_async = InvokeAsync()


def note(event: object, context: Context, **more: object) -> None:
    """Append a line about this run, in one write: several processes share the file."""
    text = json.dumps(event)
    noted = event if len(text) <= MAX_NOTED_BYTES else f"{len(text)} bytes"
    line = {
        "request_id": context.aws_request_id,
        "function": context.function_name,
        "event": noted,
        "pid": os.getpid(),
        **more,
    }
    file = os.open(os.environ["EVENTS_FILE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, json.dumps(line).encode() + b"\n")
    finally:
        os.close(file)


@invoke_async.function("record", timeout_s=30)
def record(event: object, context: Context) -> None:
    note(event, context)


@invoke_async.function("slow", timeout_s=30)
def slow(event: dict[str, Any], context: Context) -> None:
    """Noted at its end, so that an event cut short leaves no line."""
    time.sleep(event["seconds"])
    note(event, context)


def echo(event: object, context: Context) -> object:
    note(event, context, version=context.function_version)
    return event


invoke_async.add("echo", echo, versions={"1": echo}, aliases={"live": "1"}, timeout_s=30)


@invoke_async.function("describe", timeout_s=30)
def describe(event: object, context: Context) -> dict[str, object]:
    """What the handler can see of its invocation."""
    note(event, context)
    client_context = context.client_context
    return {
        "request_id": context.aws_request_id,
        "arn": context.invoked_function_arn,
        "tenant_id": context.tenant_id,
        "custom": None if client_context is None else client_context.custom,
    }


@invoke_async.function("fail", maximum_retry_attempts=0, timeout_s=30)
def fail(event: object, context: Context) -> None:
    note(event, context)
    raise ValueError("the handler failed")


@invoke_async.function("fail-once", timeout_s=30)
def fail_once(event: object, context: Context, failed: set[str] = set()) -> None:  # noqa: B006
    """Fails in the first attempt of each request."""
    note(event, context)
    if context.aws_request_id not in failed:
        failed.add(context.aws_request_id)
        raise ValueError("the first attempt failed")


@invoke_async.function("talk", timeout_s=30)
def talk(event: object, context: Context) -> None:
    note(event, context)
    print("printed", event)
    logging.getLogger("handler").warning("logged %s", event)


@invoke_async.function("wait", timeout_s=30)
async def wait(event: object, context: Context) -> object:
    import asyncio

    await asyncio.sleep(0.01)
    note(event, context)
    return event


@invoke_async.function("time-out", timeout_s=0.2)
def time_out(event: object, context: Context) -> None:
    note(event, context)
    time.sleep(1)


@invoke_async.function("in-flask", timeout_s=30)
def in_flask(event: object, context: Context) -> str:
    """Works only where handlers run in an application context."""
    note(event, context)
    return current_app.name


def wrapped(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """The application behind the middleware; its answers are marked."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Wrapped", "yes")])
    return [b"" if environ["REQUEST_METHOD"] == "HEAD" else b"wrapped"]


def make_plain() -> InvokeAsyncMiddleware:
    """The middleware around a WSGI application."""
    settings = {"auth": "none", **read_settings(os.environ)}
    return InvokeAsyncMiddleware(wrapped, invoke_async.functions, **settings)


def make_flask(name: str = "integration") -> Flask:
    """The extension on a Flask application."""
    app = Flask(name)
    app.config["INVOKEASYNC_AUTH"] = os.environ.get("INVOKEASYNC_AUTH", "none")

    @app.get("/")
    def index() -> tuple[str, dict[str, str]]:
        return "wrapped", {"X-Wrapped": "yes"}

    invoke_async.init_app(app)
    return app


def make_two() -> WSGIApplication:
    """Two Flask applications in one process, each with executors of its own."""
    return DispatcherMiddleware(wrapped, {"/one": make_flask("one"), "/two": make_flask("two")})


def make_signed() -> WSGIApplication:
    """The plain application, also below ``/mounted``, and below ``/streams`` with another
    authenticator: that of ``STREAMS_AUTH``."""
    settings = {**read_settings(os.environ), "auth": os.environ["STREAMS_AUTH"]}
    streams = InvokeAsyncMiddleware(wrapped, invoke_async.functions, **settings)
    return DispatcherMiddleware(plain, {"/mounted": plain, "/streams": streams})


def make_asgi(name: str = "plain") -> Any:
    """The plain application for servers that speak ASGI."""
    import a2wsgi

    application: Any = globals()[name]  # a2wsgi has WSGI types of its own
    return a2wsgi.WSGIMiddleware(application)


def make_signed_asgi() -> Any:
    return make_asgi("signed")


plain = make_plain()
flask = make_flask()
two = make_two()
signed = make_signed() if "STREAMS_AUTH" in os.environ else plain

if os.environ.get("DRAIN_ON_SIGTERM"):
    drain_on_sigterm()
