"""``pass-through``, ``accepted`` and ``signed``: requests without a server."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING

from invokeasync_wsgi import (
    CallbackExecutor,
    Functions,
    Invocation,
    InvokeAsyncMiddleware,
    SigV4,
    ThreadsExecutor,
)
from invokeasync_wsgi.operations import INVOKE_ASYNC
from invokeasync_wsgi.wire import Request

from . import events
from .paired import Cost, Effort, Meter, Row, alternate, compare

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: Between two events that are to find the pool asleep.
_PAUSE_S = 50e-6


def pass_through(effort: Effort) -> list[Row]:
    """What a request pays that is none of ours."""
    count = effort.count(200_000)
    environ = events.request("/orders/17/items", b"")
    wrapped = InvokeAsyncMiddleware(_bare_app, Functions(), auth="none")

    def start_response(status: str, headers: object, exc_info: object = None) -> object:
        return None

    def side(app: WSGIApplication) -> Cost:
        with Meter() as meter:
            for _ in range(count):
                app(environ, start_response)  # type: ignore[arg-type] # as few calls as can be
        return meter.cost(count)

    pairs = alternate(lambda: side(_bare_app), lambda: side(wrapped), effort.rounds_or(11))
    return [compare("pass-through", "another path", pairs, "added", target=0.5)]


def accepted(effort: Effort) -> list[Row]:
    """What an accepted event costs, from the request to the end of its run."""
    body = events.records(200)
    environ = events.request(events.PATH, body)
    functions = Functions()
    functions.add(events.FUNCTION_NAME, events.do_nothing)
    executor = ThreadsExecutor(max_waiting=10**9)
    ours = InvokeAsyncMiddleware(None, functions, auth="none", executor=executor)

    def side(app: WSGIApplication, count: int, pause_s: float) -> Cost:
        with Meter() as meter:
            for _ in range(count):
                events.send(app, environ, body)
                if pause_s:
                    time.sleep(pause_s)
            while app is ours and not _is_empty(executor):
                time.sleep(0.0005)
        return meter.cost(count)

    def row(case: str, count: int, *, pause_s: float = 0, target: float | None = None) -> Row:
        pairs = alternate(
            lambda: side(events.floor_app, count, pause_s),
            lambda: side(ours, count, pause_s),
            effort.rounds_or(11),
        )
        return compare("accepted", case, pairs, "added", target)

    if not events.send(ours, environ, body).startswith("202"):  # starts the threads, too
        raise RuntimeError("the event was not accepted")
    try:
        at_once, spaced = effort.count(5000), effort.count(2000)
        rows = []
        for case, msgspec in (
            (events.VALIDATOR, nullcontext()),
            *((("no msgspec", events.without_msgspec()),) if events.HAS_MSGSPEC else ()),
        ):
            with msgspec:
                rows.append(row(f"200 B at once, {case}", at_once, target=25))
        case = f"200 B spaced, {events.VALIDATOR}"
        return [*rows, row(case, spaced, pause_s=_PAUSE_S)]
    finally:
        ours.close()


def _bare_app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [])
    return [b""]


def signed(effort: Effort) -> list[Row]:
    """What it costs to know who sends an event, and that it may."""
    body = events.records(200)
    environ = events.signed_request(events.PATH, body)
    keys = {events.ACCESS_KEY_ID: events.SECRET_ACCESS_KEY}
    functions = Functions()
    functions.add(events.FUNCTION_NAME, events.do_nothing)
    authenticator = SigV4(keys)
    applications = [
        InvokeAsyncMiddleware(None, functions, auth=auth, executor=CallbackExecutor(_take))
        for auth in ("none", authenticator)
    ]
    request = Request(INVOKE_ASYNC, events.FUNCTION_NAME, environ, lambda: body, time.time())

    def sending(app: WSGIApplication, count: int) -> Cost:
        with Meter() as meter:
            for _ in range(count):
                events.send(app, environ, body)
        return meter.cost(count)

    def calling(call: Callable[[], object], count: int) -> Cost:
        with Meter() as meter:
            for _ in range(count):
                call()
        return meter.cost(count)

    if not all(events.send(app, environ, body).startswith("202") for app in applications):
        raise RuntimeError("the event was not accepted")
    unsigned, verified = applications
    many, few = effort.count(5000), effort.count(1000)
    added = alternate(
        lambda: sending(unsigned, many),
        lambda: sending(verified, many),
        effort.rounds_or(11),
    )
    rows = [compare("signed", "200 B, verified and allowed", added, "added", target=30)]
    if importlib.util.find_spec("botocore") is not None:
        sign = _botocore_signer(body)
        pairs = alternate(
            lambda: calling(sign, few),
            lambda: calling(partial(authenticator.authenticate, request), few),
            effort.rounds_or(11),
        )
        rows.append(compare("signed", "verifying over botocore's signing", pairs, "ratio", 0.25))
    return rows


def _take(invocation: Invocation) -> None:
    """An executor's part, without one."""


def _botocore_signer(body: bytes) -> Callable[[], object]:
    """Makes and signs the same request with botocore."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    credentials = Credentials(events.ACCESS_KEY_ID, events.SECRET_ACCESS_KEY)
    auth = SigV4Auth(credentials, "lambda", "us-east-1")
    url = f"http://localhost{events.PATH}"

    def sign() -> object:
        request = AWSRequest("POST", url, headers={"Host": "localhost"}, data=body)
        auth.add_auth(request)
        return request

    return sign


def _is_empty(executor: ThreadsExecutor) -> bool:
    stats = executor.stats()
    return not stats.waiting and not stats.running
