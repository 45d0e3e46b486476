"""Signed requests as they come over the wire, with every part open to be made wrong.

`invokeasync_wsgi.testing.Signer` signs what clients send. A `Sender` also sends what none would.
Both stand on the stages of `invokeasync_wsgi.sigv4`, which have tests of their own: vectors, and
botocore.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from invokeasync_wsgi import Functions, operations, wire
from invokeasync_wsgi.auth import Authenticator
from invokeasync_wsgi.clock import Clock
from invokeasync_wsgi.config import Settings
from invokeasync_wsgi.errors import AWSError
from invokeasync_wsgi.sigv4 import (
    ALGORITHM,
    basic_format,
    canonical_headers,
    canonical_path,
    canonical_query,
    canonical_request,
    sign,
    signing_key,
    string_to_sign,
)
from invokeasync_wsgi.testing import FakeClock

#: The key that AWS signs its examples with.
KEY_ID = "AKIDEXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TOKEN = "FwoGZXIvYXdzEXAMPLE//token=="

#: 2026-01-02T03:04:05Z
NOW = 1767323045.0
HOST = "lambda.us-east-1.amazonaws.com"

INVOKE_ASYNC = "/2014-11-13/functions/f/invoke-async"
INVOKE = "/2015-03-31/functions/f/invocations"


def environ_key(name: str) -> str:
    """Where an environ has a header (PEP 3333)."""
    key = name.upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"


def make_environ(
    method: str,
    target: str,
    headers: Mapping[str, str],
    *,
    keeps_raw: bool = True,
    scheme: str = "http",
) -> dict[str, Any]:
    """The environ of a request, as a server makes it of what stands on the wire.

    Args:
        method: the HTTP method.
        target: the path as on the wire, and the query.
        headers: by their names; a character is a byte.
        keeps_raw: whether the server keeps the undecoded target.
        scheme: ``"http"`` or ``"https"``.
    """
    path, _, query = target.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path.encode("latin-1")).decode("latin-1"),
        "QUERY_STRING": query,
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": scheme,
        **{environ_key(name): value for name, value in headers.items()},
    }
    if keeps_raw:
        environ["RAW_URI"] = target
    return environ


def environ_of_head(head: list[str]) -> dict[str, Any]:
    """The environ of a request's head, given by its lines. Folded lines are joined as they are."""
    text = "\n".join(head).encode().decode("latin-1")
    first, *lines = re.split(r"\n(?![ \t])", text)
    method, target = first.removesuffix(" HTTP/1.1").split(" ", 1)
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        name, value = name.lower(), value.strip()
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return make_environ(method, target, headers)


def make_request(
    environ: Mapping[str, Any], body: bytes = b"", *, now: float = NOW
) -> wire.Request:
    """A request for InvokeAsync, as authenticators see it."""
    return wire.Request(operations.INVOKE_ASYNC, "f", environ, lambda: body, now)


def refusal_of(
    authenticator: Authenticator, environ: Mapping[str, Any], body: bytes = b"", *, now: float = NOW
) -> AWSError | None:
    """What the sender of a request is told who is not verified; ``None`` for one who is."""
    try:
        authenticator.authenticate(make_request(environ, body, now=now))
    except AWSError as error:
        return error
    return None


def started(authenticator: Any, *, clock: Clock | None = None, **settings: Any) -> Any:
    """The authenticator, as a service has it."""
    authenticator.start(Settings(auth=authenticator, **settings), clock or FakeClock(NOW))
    return authenticator


@dataclass(frozen=True)
class Sender:
    """Signs requests. What is ``None`` is as it should be."""

    key_id: str = KEY_ID
    secret: str = SECRET
    token: str | None = None
    now: float = NOW
    region: str = "us-east-1"
    service: str = "lambda"
    terminator: str = "aws4_request"
    algorithm: str = ALGORITHM
    host: str = HOST
    #: The day of the credential scope.
    day: str | None = None
    #: Names of the signed headers; all that are sent otherwise.
    signed_headers: str | None = None
    #: The path that is signed.
    path: str | None = None
    #: The hash that is signed.
    payload_hash: str | None = None
    #: Seconds that a presigned URL is good for.
    expires: str = "300"
    #: What takes the place of the signature.
    signature: str | None = None
    #: Parameters of presigned URLs to be left out.
    without: tuple[str, ...] = field(default=())

    @property
    def amz_date(self) -> str:
        return basic_format(self.now)

    @property
    def scope(self) -> str:
        return f"{self.scope_day}/{self.region}/{self.service}/{self.terminator}"

    @property
    def scope_day(self) -> str:
        return self.amz_date[:8] if self.day is None else self.day

    def headers(
        self,
        method: str = "POST",
        target: str = INVOKE_ASYNC,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, str]:
        """The headers of a request that has its signature in one of them."""
        given = {"Host": self.host, **(headers or {})}
        if "Date" not in given:
            given.setdefault("X-Amz-Date", self.amz_date)
        if self.token is not None:
            given["X-Amz-Security-Token"] = self.token
        signed = self._names_of(given)
        signature = self._sign(method, target, body, given, signed)
        given["Authorization"] = (
            f"{self.algorithm} Credential={self.key_id}/{self.scope}, "
            f"SignedHeaders={signed}, Signature={signature}"
        )
        return given

    def environ(
        self,
        method: str = "POST",
        target: str = INVOKE_ASYNC,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        """The environ of such a request; options are those of `make_environ`."""
        return make_environ(method, target, self.headers(method, target, body, headers), **options)

    def presigned(
        self,
        method: str = "POST",
        target: str = INVOKE_ASYNC,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> str:
        """The target of a request that has its signature in the query."""
        given = {"Host": self.host, **(headers or {})}
        signed = self._names_of(given)
        parameters = {
            "X-Amz-Algorithm": self.algorithm,
            "X-Amz-Credential": f"{self.key_id}/{self.scope}",
            "X-Amz-Date": self.amz_date,
            "X-Amz-Expires": self.expires,
            "X-Amz-SignedHeaders": signed,
        }
        if self.token is not None:
            parameters["X-Amz-Security-Token"] = self.token
        target += "&" if "?" in target else "?"
        target += "&".join(
            f"{name}={quote(value, safe='-._~')}"
            for name, value in parameters.items()
            if name not in self.without
        )
        signature = self._sign(method, target, body, given, signed)
        if "X-Amz-Signature" not in self.without:
            target += f"&X-Amz-Signature={signature}"
        return target

    def presigned_environ(
        self,
        method: str = "POST",
        target: str = INVOKE_ASYNC,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        """The environ of such a request; options are those of `make_environ`."""
        target = self.presigned(method, target, body, headers)
        return make_environ(method, target, {"Host": self.host, **(headers or {})}, **options)

    def _names_of(self, headers: Mapping[str, str]) -> str:
        if self.signed_headers is not None:
            return self.signed_headers
        return ";".join(sorted(name.lower() for name in headers))

    def _sign(
        self, method: str, target: str, body: bytes, headers: Mapping[str, str], signed: str
    ) -> str:
        if self.signature is not None:
            return self.signature
        environ = make_environ(method, target, headers)
        path, _, query = target.partition("?")
        declared = environ.get("HTTP_X_AMZ_CONTENT_SHA256")
        canonical = canonical_request(
            method,
            canonical_path(path if self.path is None else self.path),
            canonical_query(query),
            canonical_headers([(name, environ_key(name)) for name in signed.split(";")], environ),
            signed,
            self.payload_hash or declared or hashlib.sha256(body).hexdigest(),
        )
        key = signing_key(self.secret, self.scope_day, self.region, self.service)
        return sign(key, string_to_sign(self.amz_date, self.scope, canonical))


def make_functions(**options: Any) -> Functions:
    """A function ``f`` that returns its event, with version ``1`` and alias ``live``."""
    functions = Functions()
    functions.add("f", _echo, versions={"1": _echo}, aliases={"live": "1"}, **options)
    return functions


def _echo(event: Any, context: Any) -> Any:
    return event


class UnreadableBody(io.RawIOBase):
    """A body that must not be read, and tells whether it was: who drops bodies drops errors too."""

    was_read = False

    def read(self, size: int = -1) -> bytes:
        self.was_read = True
        raise OSError("the body was read")

    def readline(self, size: int | None = -1) -> bytes:
        return self.read()
