"""Helpers for tests of applications that use this package; nothing in it imports them.

`FakeClock` is moved by hand. `SteppedExecutor` is a real executor on a real store that runs nothing
until it is told to. `Client` sends requests to a WSGI application as Lambda's clients do, without
a socket, and a `Signer` signs them.
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, unquote_to_bytes
from wsgiref.util import is_hop_by_hop
from wsgiref.validate import validator

from . import sigv4
from .clock import Alarm, Clock, SystemClock
from .executors import Work, refuse_second_start
from .invocation import Invocation
from .retry import Decision, GiveUp, RetryAt
from .store import Counts
from .store.memory import MemoryStore

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


class FakeClock:
    """A clock that stands still until `advance` is called. Waits end when its time has come.

    >>> clock = FakeClock()
    >>> clock.advance(60)
    >>> clock.time()
    1577836860.0
    """

    def __init__(self, now: float = 1577836800.0) -> None:
        self._now = now
        self._condition = threading.Condition()

    def time(self) -> float:
        """Seconds since the epoch; 2020 begins when nothing else was said."""
        return self._now

    def monotonic(self) -> float:
        """The same seconds."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass, and wake those whose waits are over."""
        with self._condition:
            self._now += seconds
            self._condition.notify_all()

    def alarm(self) -> Alarm:
        """An alarm whose waits end by this clock."""
        return _FakeAlarm(self, self._condition)


class _FakeAlarm:
    def __init__(self, clock: FakeClock, condition: threading.Condition) -> None:
        self._clock = clock
        self._condition = condition
        self._is_set = False

    def set(self) -> None:
        with self._condition:
            self._is_set = True
            self._condition.notify_all()

    def clear(self) -> None:
        with self._condition:
            self._is_set = False

    def wait(self, until: float | None = None) -> bool:
        with self._condition:
            self._condition.wait_for(
                lambda: self._is_set or (until is not None and self._clock.monotonic() >= until)
            )
            return self._is_set


class SteppedExecutor:
    """Keeps events in memory and runs an attempt at each call of `step`.

    What was given up stands in `dead_letters`, as (event, condition).
    """

    promise = "this process's memory, until a test steps it"

    def __init__(self, *, max_waiting: int = 1000) -> None:
        self._store = MemoryStore(max_waiting=max_waiting)
        self.dead_letters: list[tuple[Invocation, str]] = []

    def start(self, work: Work, clock: Clock) -> None:
        """See `executors.Executor.start`."""
        refuse_second_start(self)
        self._work = work
        self._clock = clock

    def submit(self, invocation: Invocation) -> None:
        """Keep the event.

        Raises:
            QueueFull: ``max_waiting`` events are kept already.
        """
        self._store.add(invocation)

    def step(self) -> Decision | None:
        """Run one attempt of the first event that is due; ``None`` when none is."""
        claim = self._store.claim(now=self._clock.time())
        if claim is None:
            return None
        try:
            decision = self._work.begin(claim.invocation).run()
        except BaseException:
            self._store.finish(claim)
            raise
        if isinstance(decision, RetryAt):
            self._store.requeue(claim, decision.invocation, due=decision.due)
            return decision
        self._store.finish(claim, decision.deliveries if decision else ())
        if isinstance(decision, GiveUp):
            self.dead_letters.append((claim.invocation, decision.condition))
        return decision

    def counts(self) -> Counts:
        """How many events wait and run."""
        return self._store.counts()

    def drain(self, timeout_s: float) -> None:
        """Run what is due now."""
        while self.step() is not None:
            pass

    def close(self) -> None:
        """Nothing is held."""


class Answer(NamedTuple):
    """What a client got."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Signer:
    """Signs requests as AWS's clients do: with these keys, for this region, at the clock's time."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    region: str = "us-east-1"
    clock: Clock = field(default_factory=SystemClock)
    #: What the client calls the service.
    host: str = "localhost"

    def headers(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, str]:
        """The headers of a request, those that sign it included.

        Args:
            method: the HTTP method.
            path: as on the wire, a mount's prefix included.
            body: of the request.
            query: the query string.
            headers: what else the request has. Those named ``X-Amz-…`` are signed too.
        """
        amz_date = sigv4.basic_format(self.clock.time())
        own = {"Host": self.host, "X-Amz-Date": amz_date}
        if self.session_token is not None:
            own["X-Amz-Security-Token"] = self.session_token
        replaced = {name.lower() for name in own}
        others = {
            name: text for name, text in (headers or {}).items() if name.lower() not in replaced
        }
        given = {**others, **own}
        by_name = {name.lower(): text for name, text in given.items()}
        names = sorted(name for name in by_name if name == "host" or name.startswith("x-amz-"))
        signed = ";".join(names)
        canonical = sigv4.canonical_request(
            method,
            sigv4.canonical_path(path),
            sigv4.canonical_query(query),
            sigv4.canonical_headers([(name, name) for name in names], by_name),
            signed,
            by_name.get("x-amz-content-sha256") or hashlib.sha256(body).hexdigest(),
        )
        day = amz_date[:8]
        scope = f"{day}/{self.region}/{sigv4.SERVICE}/{sigv4.TERMINATOR}"
        key = sigv4.signing_key(self.secret_access_key, day, self.region)
        signature = sigv4.sign(key, sigv4.string_to_sign(amz_date, scope, canonical))
        given["Authorization"] = (
            f"{sigv4.ALGORITHM} Credential={self.access_key_id}/{scope}, "
            f"SignedHeaders={signed}, Signature={signature}"
        )
        return given


class Client:
    """Sends requests to a WSGI application and checks what comes back.

    Every answer goes through `wsgiref.validate` and is refused (AssertionError) when it has a
    hop-by-hop header, a repeated one, a body of another length than announced, or any body for
    HEAD.

    Args:
        app: the application.
        script_name: a prefix that the application is mounted at.
        signer: signs every request.
    """

    def __init__(
        self, app: WSGIApplication, *, script_name: str = "", signer: Signer | None = None
    ) -> None:
        self._app = validator(app)
        self._script_name = script_name
        self._signer = signer

    def invoke_async(self, function_name: str, payload: bytes = b"", **options: Any) -> Answer:
        """POST to InvokeAsync's path, the name encoded as SDKs encode it."""
        path = f"/2014-11-13/functions/{quote(function_name, safe='-._~')}/invoke-async"
        return self.request("POST", path, payload, **options)

    def invoke(
        self,
        function_name: str,
        payload: bytes = b"",
        *,
        invocation_type: str | None = None,
        qualifier: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """POST to Invoke's path."""
        path = f"/2015-03-31/functions/{quote(function_name, safe='-._~')}/invocations"
        query = "" if qualifier is None else f"Qualifier={quote(qualifier, safe='-._~')}"
        given = dict(headers or {})
        if invocation_type is not None:
            given["X-Amz-Invocation-Type"] = invocation_type
        return self.request("POST", path, payload, query=query, headers=given)

    def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        environ: Mapping[str, Any] | None = None,
    ) -> Answer:
        """Send any request.

        Args:
            method: the HTTP method.
            path: as on the wire, percent-encoded.
            body: sent with a ``Content-Length``.
            query: the query string.
            headers: request headers by their usual names.
            environ: keys to set in the environ, last.
        """
        if self._signer is not None:
            headers = self._signer.headers(
                method, quote(self._script_name) + path, body, query=query, headers=headers
            )
        request: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": self._script_name,
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query,
            "CONTENT_LENGTH": str(len(body)),
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in (headers or {}).items():
            key = name.upper().replace("-", "_")
            request[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value
        request.update(environ or {})
        return self._send(request)

    def _send(self, request: dict[str, Any]) -> Answer:
        started: list[tuple[str, list[tuple[str, str]]]] = []
        written: list[bytes] = []

        def start_response(
            status: str, headers: list[tuple[str, str]], exc_info: Any = None
        ) -> Any:
            started.append((status, headers))
            return written.append

        response = self._app(request, start_response)
        try:
            written.extend(response)
        finally:
            close = getattr(response, "close", None)
            if close is not None:
                close()
        status, headers = started[-1]
        body = b"".join(written)
        by_name = {name.lower(): value for name, value in headers}
        assert not any(is_hop_by_hop(name) for name in by_name), headers  # noqa: S101
        assert len(by_name) == len(headers), headers  # noqa: S101
        announced = by_name.get("content-length", str(len(body)))
        length = "0" if request["REQUEST_METHOD"] == "HEAD" else announced
        assert str(len(body)) == length, (headers, body)  # noqa: S101
        return Answer(int(status[:3]), by_name, body)
