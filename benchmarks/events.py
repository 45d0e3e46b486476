"""The events and requests that are measured with, and the switch for msgspec."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

from invokeasync_wsgi import payload
from invokeasync_wsgi.testing import Signer

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

FUNCTION_NAME = "f"
PATH = f"/2014-11-13/functions/{FUNCTION_NAME}/invoke-async"

#: AWS's example key, which signs requests where they are signed.
ACCESS_KEY_ID = "AKIDEXAMPLE"
SECRET_ACCESS_KEY = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

KB, MB = 1024, 1024 * 1024

HAS_MSGSPEC = payload._validate_fast is not None
VALIDATOR = "msgspec" if HAS_MSGSPEC else "no msgspec"


def records(size: int) -> bytes:
    """An event of ``size`` bytes as services send them: records of a few fields each."""
    made: list[bytes] = []
    length = len(b'{"Records":[],"pad":""}')
    for number in count():
        record = json.dumps(
            {
                "eventSource": "aws:s3",
                "eventTime": "2025-11-22T16:22:00.000Z",
                "s3": {
                    "bucket": {"name": "uploads"},
                    "object": {"key": f"images/{number:06d}.png", "size": 10_000 + number},
                },
                "retry": False,
                "ratio": number / 7,
            },
            separators=(",", ":"),
        ).encode()
        if length + len(record) + 1 > size:
            break
        made.append(record)
        length += len(record) + 1
    event = b'{"Records":[%s],"pad":""}' % b",".join(made)
    return event.replace(b'"pad":"', b'"pad":"' + b"x" * (size - len(event)))


def small_objects(size: int) -> bytes:
    """An event of at most ``size`` bytes with as many objects as it can hold."""
    item = b'{"a":1}'
    return b"[" + b",".join([item] * ((size - 1) // (len(item) + 1))) + b"]"


def texts(size: int) -> bytes:
    """An event of ``size`` bytes as documents and mails are sent: a few long strings."""
    paragraph = "Lorem ipsum dolor sit amet, consectetur adipiscing elit. " * 10
    made = [{"title": f"Page {number}", "text": paragraph} for number in range(size // 640)]
    event = json.dumps({"pages": made, "pad": ""}, separators=(",", ":")).encode()
    return event.replace(b'"pad":"', b'"pad":"' + b"x" * (size - len(event)))


#: The events that are measured with, by their names in the tables.
EVENTS = {
    "200 B": records(200),
    "100 KB of texts": texts(100 * KB),
    "100 KB of records": records(100 * KB),
    "100 KB of small objects": small_objects(100 * KB),
    "1 MB of records": records(MB),
}


def request(path: str, body: bytes) -> WSGIEnvironment:
    """The environ of a POST as servers make it, but for ``wsgi.input``: see `send`."""
    return {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "localhost",
        "HTTP_USER_AGENT": "Boto3/1.44",
        "HTTP_ACCEPT_ENCODING": "identity",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }


def signed_request(path: str, body: bytes) -> WSGIEnvironment:
    """The same, signed now: good for five minutes."""
    headers = signer(host="localhost").headers("POST", path, body)
    environ = {f"HTTP_{name.upper().replace('-', '_')}": text for name, text in headers.items()}
    return {**request(path, body), "RAW_URI": path, **environ}


def signer(host: str) -> Signer:
    """What signs as AWS's clients do that call a service by this name."""
    return Signer(ACCESS_KEY_ID, SECRET_ACCESS_KEY, host=host)


def send(app: WSGIApplication, environ: WSGIEnvironment, body: bytes) -> str:
    """Send one request as a server would, with an environ of its own; return the status line."""
    statuses: list[str] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        statuses.append(status)
        return statuses.append

    response = app({**environ, "wsgi.input": io.BytesIO(body)}, start_response)
    for _ in response:
        pass
    close = getattr(response, "close", None)
    if close is not None:
        close()
    return statuses[0]


def floor_app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """The least that can be called accepting an event."""
    environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    start_response("202 Accepted", [("Content-Length", "0")])
    return [b""]


def do_nothing(event: object, context: object) -> None:
    """A handler."""


@contextmanager
def without_msgspec() -> Iterator[None]:
    """Validate as if msgspec were not installed."""
    installed = payload._validate_fast
    payload._validate_fast = None
    try:
        yield
    finally:
        payload._validate_fast = installed
