"""The middleware is a WSGI application for type checkers too, and its errors have their types."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal

from flask import Flask
from typing_extensions import assert_type

from invokeasync_wsgi import (
    AWSError,
    ConfigurationError,
    ExecutorClosed,
    ExecutorError,
    Functions,
    InvokeAsyncError,
    InvokeAsyncMiddleware,
    Outcome,
    QueueFull,
)
from invokeasync_wsgi.errors import ResourceNotFoundException, TooManyRequestsException
from invokeasync_wsgi.flask import InvokeAsync
from invokeasync_wsgi.testing import Answer, Client

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


def an_application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def middlewares(functions: Functions, flask_app: Flask) -> None:
    around_a_function: WSGIApplication = InvokeAsyncMiddleware(
        an_application, functions, auth="none"
    )
    of_its_own: WSGIApplication = InvokeAsyncMiddleware(None, functions, auth="none")
    around_another: WSGIApplication = InvokeAsyncMiddleware(of_its_own, functions, auth="none")
    around_flask: WSGIApplication = InvokeAsyncMiddleware(flask_app, functions, auth="none")
    around_its_inside = InvokeAsyncMiddleware(flask_app.wsgi_app, functions, auth="none")
    del around_a_function, around_another, around_flask, around_its_inside

    InvokeAsyncMiddleware(an_application)  # type: ignore[call-arg]
    InvokeAsyncMiddleware("app:application", functions, auth="none")  # type: ignore[arg-type]
    InvokeAsyncMiddleware(an_application, {"f": print}, auth="none")  # type: ignore[arg-type]
    InvokeAsyncMiddleware(an_application, functions, auth=None, clock=3)  # type: ignore[arg-type]


def surroundings(functions: Functions, flask_app: Flask) -> None:
    def enter() -> AbstractContextManager[int]:
        raise AssertionError("checked, never run")

    InvokeAsyncMiddleware(None, functions, auth="none", surroundings=enter)
    InvokeAsyncMiddleware(None, functions, auth="none", surroundings=flask_app.app_context)
    InvokeAsyncMiddleware(None, functions, auth="none", surroundings=print)  # type: ignore[arg-type]


def calls_from_python(middleware: InvokeAsyncMiddleware, flask_app: Flask) -> None:
    assert_type(middleware.submit("f", {"any": "thing"}, qualifier="live"), str)
    assert_type(middleware.service.invoke("f"), Outcome)
    middleware.drain(timeout_s=3)
    middleware.close()
    middleware.submit(3)  # type: ignore[arg-type]
    invoke_async = InvokeAsync(flask_app)
    assert_type(invoke_async.submit("f", [1]), str)
    invoke_async.drain(flask_app)
    InvokeAsync(an_application)  # type: ignore[arg-type]


def errors(functions: Functions) -> None:
    error: AWSError = ResourceNotFoundException("no such function")
    assert_type(error.status, HTTPStatus)
    assert_type(error.code, str)
    assert_type(error.message, str | None)
    assert_type(error.reason, str | None)
    assert_type(error.headers, tuple[tuple[str, str], ...])
    assert_type(error.body(), bytes)
    assert_type(error.type, Literal["User", "Service"] | None)
    assert_type(error.member, Literal["Message", "message"])
    TooManyRequestsException("Rate Exceeded.", reason="x", headers=[("Retry-After", "1")])
    ResourceNotFoundException()  # type: ignore[call-arg]
    error.code = "another"  # type: ignore[misc]

    family: list[type[InvokeAsyncError]] = [AWSError, ConfigurationError, ExecutorError]
    executors: list[type[ExecutorError]] = [QueueFull, ExecutorClosed]
    value_error: ValueError = ConfigurationError("a setting")
    assert_type(QueueFull().retry_after_s, int)
    del family, executors, value_error


def clients(middleware: InvokeAsyncMiddleware) -> None:
    client = Client(middleware, script_name="/api")
    assert_type(client.invoke_async("f", b"{}"), Answer)
    answer = client.invoke("f", b"{}", invocation_type="Event", qualifier="1", headers={"A": "b"})
    assert_type(answer.status, int)
    assert_type(answer.body, bytes)
    assert_type(answer.headers["x-amzn-requestid"], str)
    client.invoke("f", "{}")  # type: ignore[arg-type]
