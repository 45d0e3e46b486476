"""What follows the end of an event: records to destinations, and the event itself as a dead letter.

A delivery is an event too. `Destinations.after` makes it an `Invocation` that the executor takes in
the same step as the end that it tells of, so it is as durable as the executor and is tried again
as a system error is. `Destinations.deliver` makes one try. Deliveries are made at least once: who
gets them must expect the same one again, and can know it by its request id.

The record is Lambda's (Developer Guide, "Capturing records of asynchronous invocations", and
recordings of November 2025), with the event and the response spliced in as the bytes they were:
spaces, big numbers and members that come twice stay as they are. Only a response that AWS's parser
would not take as JSON (``bytes`` of a handler, NaN, the 501st level of nesting) is a string in it.

A dead letter is the event, byte for byte, with attributes: the request id, an HTTP status for what
went wrong, and the error's message, its first KB. Where it goes there is a place for them:

=========  ========================================================================================
python     an argument ``{"body": …, "md5OfBody": …, "messageAttributes": {"RequestID": …,
           "ErrorCode": …, "ErrorMessage": …}}``; no ``ErrorMessage`` where there was no error
files      the same as one line of JSON
http       headers ``X-InvokeAsync-Request-Id``, ``-Error-Code``, ``-Error-Message``, in printable
           ASCII with the rest percent-encoded (so is ``%`` itself), at most 1024 characters;
           the signature does not cover them
SQS, SNS   message attributes, as on Lambda
S3         user metadata ``request-id``, ``error-code``, ``error-message``, encoded as in headers
=========  ========================================================================================

No log and no error tells an address's query or the key of the signatures.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import importlib.util
import inspect
import json
import logging
import os
import re
import stat
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, cast
from urllib.parse import quote

from . import lineage, logs, names, payload, retry, targets
from .clock import Clock
from .config import AsyncSettings, Settings
from .context import trace_root
from .errors import ConfigurationError, InvalidRequestContentException, InvokeAsyncError
from .functions import HandlerError, import_handler
from .invocation import Invocation, Outcome, new_request_id
from .process import PerProcess
from .targets import Target

if TYPE_CHECKING:
    from urllib.request import OpenerDirector

logger = logging.getLogger(__name__)

#: What a delivery tells, in `Invocation.delivery`.
_ON_SUCCESS = "OnSuccess"
_ON_FAILURE = "OnFailure"
_DEAD_LETTER = "DeadLetter"

#: The HTTP status of what ended an event in which no handler failed, by its condition. A
#: synchronous caller gets the same for it.
_STATUS_OF_CONDITION = {
    "ZeroReservedConcurrency": 429,
    "EventAgeExceeded": 429,
    "RecursiveInvocation": 400,
}
_SYSTEM_ERROR = 500

#: Of an error's message in a dead letter: Lambda's "first 1 KB".
_MAX_MESSAGE_BYTES = 1024
#: Of the same in a header, encoded. S3 takes 2 KB of user metadata altogether.
_MAX_HEADER_CHARS = 1024
#: What XML 1.0, and so SQS and SNS, cannot carry in a string.
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_PLAIN_IN_HEADER = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
_NEWLINES_AS_SPACES = bytes.maketrans(b"\r\n", b"  ")

#: Seconds in which a receiver must answer: the longest that Standard Webhooks recommends to wait.
_HTTP_TIMEOUT_S = 30.0
#: Seconds for AWS, and calls for one try of ours: one that found a stale connection is made again
#: at once. The executor tries again anyway, and boto3's own five calls of up to 120 s would hold a
#: worker for ten minutes.
_AWS_CONNECT_TIMEOUT_S = 10
_AWS_READ_TIMEOUT_S = 30
_AWS_CALLS = 2

#: A trace header that SQS takes; it refuses the whole message for any other.
_TRACE_HEADER = re.compile(
    r"(?=(?:.*;\s?)?Root=1-[0-9a-f]{8}-[0-9a-f]{24}(?:;|$))"
    r"[a-z]+=[\w.:|-]*(?:;\s?[a-z]+=[\w.:|-]*)*;?",
    re.ASCII | re.IGNORECASE,
)
_MAX_TRACE_HEADER_CHARS = 500

_SECRET_PREFIX = "whsec_"  # noqa: S105 - what every such key begins with


class DeliveryError(InvokeAsyncError):
    """A delivery did not arrive, or nobody said that it did.

    The text names the target as `targets.shown` does, and what its side answered.
    """


class Destinations:
    """Makes the deliveries that follow an event, and delivers them.

    Holds plain values; connections and clients are made by each process at their first use. Safe
    across threads and forks.

    Args:
        settings: the region, the account and the key of signatures.
        clock: dates the records.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        #: What is called for a target that is a callable, by `Target.name`.
        self._calls: dict[str, Callable[[Any], object]] = {}
        self._opener: PerProcess[OpenerDirector] = PerProcess(_make_opener)
        self._aws = PerProcess(_AWSClients)

    def check(self, settings: AsyncSettings) -> None:
        """Refuse targets that cannot work here, and remember those that are callables.

        Args:
            settings: of a function, or the defaults.

        Raises:
            ConfigurationError: an address without a key to sign with, an ARN without boto3, a
                function of another region or account, an import string that cannot be imported,
                a callable that is ``async`` or has the name of another one.
        """
        for setting in ("on_success", "on_failure", "dead_letter"):
            target: Target | None = getattr(settings, setting)
            if target is None:
                continue
            try:
                self.check_target(target)
            except ConfigurationError as exc:
                text = f"{setting}={target.shown!r}: {exc}"
                raise ConfigurationError(text) from exc.__cause__

    def after(
        self,
        invocation: Invocation,
        *,
        function_arn: str,
        settings: AsyncSettings,
        condition: str,
        outcome: Outcome | None,
    ) -> tuple[Invocation, ...]:
        """The deliveries that follow the end of an event; none follow the end of a delivery.

        Args:
            invocation: as its last attempt was run, or would have been.
            function_arn: of its function, with the qualifier; ``:$LATEST`` when it has none.
            settings: the function's.
            condition: ``Success``, or a `retry.Condition`.
            outcome: the last attempt's; ``None`` when the event ended without one.
        """
        if invocation.delivery is not None:
            return ()
        succeeded = condition == "Success"
        target = settings.on_success if succeeded else settings.on_failure
        dead_letter = None if succeeded else settings.dead_letter
        if target is None and dead_letter is None:
            return ()
        now = self._clock.time()
        about = {
            "kind": _ON_SUCCESS if succeeded else _ON_FAILURE,
            "function": invocation.function_name,
            "functionArn": function_arn,
            "condition": condition,
        }
        deliveries = []
        if target is not None and target.kind == "function":
            record = _record(invocation, function_arn, condition, outcome, now)
            deliveries += self._events_of(target, invocation, record, settings, now)
        elif target is not None:
            record = _record(invocation, function_arn, condition, outcome, now)
            deliveries.append(self._delivery(target, invocation, record, about, now))
        if dead_letter is not None:
            about = {**about, "kind": _DEAD_LETTER, **_error_of(condition, outcome)}
            event = invocation.payload
            deliveries.append(self._delivery(dead_letter, invocation, event, about, now))
        return tuple(deliveries)

    def deliver(self, delivery: Invocation) -> None:
        """Deliver now, in this thread; when it returns, the other side has it.

        Args:
            delivery: one that `after` made; not for a function, which is run as any other event.

        Raises:
            DeliveryError: the other side did not take it.
            Exception: whatever else went wrong: of a callable, the file system, boto3.
        """
        letter = _letter(delivery)
        name = delivery.function_name
        call = self._calls.get(name)
        target = targets.parse("on_failure", name) if call is None else Target("python", name)
        kind = None if target is None else target.kind
        if kind == "python":
            _call(_import(name) if call is None else call, letter)
        elif kind == "http":
            self._post(name, letter)
        elif kind in ("file", "directory"):
            _write(name, letter)
        elif kind == "sqs":
            self._send_to_queue(name, letter)
        elif kind == "sns":
            self._publish(name, letter)
        elif kind == "events":
            self._put_on_bus(name, letter)
        elif kind == "s3":
            self._put_in_bucket(name, letter)
        else:
            raise DeliveryError(f"nothing can be delivered to {targets.shown(name)!r}")

    # --- before the first event -----------------------------------------------------------------

    def check_target(self, target: Target) -> None:
        """`check` for one target.

        Raises:
            ConfigurationError: it cannot work here, and why.
        """
        if target.kind == "python":
            self._remember(target)
        elif target.kind == "http":
            _signing_key(self._settings.webhook_secret)
        elif target.kind == "function":
            self._check_function(target)
        elif target.kind in ("sqs", "sns", "events", "s3") and not _is_boto3_installed():
            raise ConfigurationError("it needs boto3: pip install 'invokeasync_wsgi[aws]'")

    def _remember(self, target: Target) -> None:
        try:
            call = _import(target.name) if target.call is None else target.call
        except HandlerError as exc:
            raise ConfigurationError(exc.message) from exc
        if any(map(inspect.iscoroutinefunction, (call, type(call).__call__))):
            raise ConfigurationError("it must not be async: nothing would await it")
        known = self._calls.setdefault(target.name, call)
        if known is not call and known != call:  # methods are made anew for each look at them
            raise ConfigurationError(
                f"{known!r} has the same name. Deliveries wait under it, so each callable needs "
                "one of its own: use functions of a module"
            )

    def _check_function(self, target: Target) -> None:
        reference = names.parse(target.name)
        if reference is None or not names.is_plain_name(reference.name):
            raise ConfigurationError("no function can have this name")
        for given, own, what in (
            (reference.region, self._settings.region, "region"),
            (reference.account_id, self._settings.account_id, "account"),
        ):
            if given not in (None, own):
                raise ConfigurationError(f"it must be a function here, in the {what} {own!r}")

    # --- what is queued -------------------------------------------------------------------------

    def _events_of(
        self,
        target: Target,
        invocation: Invocation,
        record: bytes,
        settings: AsyncSettings,
        now: float,
    ) -> list[Invocation]:
        """The event of the function that a record goes to; none where that would go round for ever.

        The record belongs to the chain of the event that it tells of. So two functions that are
        each other's destinations are stopped as two that invoke each other are, even where neither
        is run any more.
        """
        reference = names.parse(target.name)
        if reference is None or reference.name == invocation.function_name:
            return []  # a destination for all functions is not its own
        region, account_id = self._settings.region, self._settings.account_id
        chain = lineage.extend(
            invocation.trace_id,
            names.function_arn(region, account_id, invocation.function_name),
            root=trace_root(now),
        )
        runs = lineage.runs(chain, names.function_arn(region, account_id, reference.name))
        if runs >= retry.MAX_CHAIN and settings.recursive_loop == "Terminate":
            logger.error(
                "the record of request %s is not sent to function %s, which has run %d times in "
                "its chain",
                invocation.request_id,
                reference.name,
                runs,
            )
            return []
        return [
            Invocation(
                request_id=new_request_id(now),
                function_name=reference.name,
                qualifier=reference.qualifier,
                payload=record,
                accepted_at=now,
                trace_id=chain,
            )
        ]

    def _delivery(
        self, target: Target, invocation: Invocation, body: bytes, about: dict[str, str], now: float
    ) -> Invocation:
        """The event that brings ``body`` to ``target``."""
        if target.call is not None:  # of a function that was registered after the start
            self._calls.setdefault(target.name, target.call)
        return Invocation(
            request_id=invocation.request_id,
            function_name=target.name,
            payload=body,
            accepted_at=now,
            trace_id=invocation.trace_id,
            delivery=_compact(about).decode(),
        )

    # --- one try --------------------------------------------------------------------------------

    def _post(self, url: str, letter: _Letter) -> None:
        """POST as Standard Webhooks 1.0 has it; anything but a status of 2xx is a failure."""
        # Only here: with ssl below it, it costs more to import than everything else together.
        from http.client import HTTPException
        from urllib.error import HTTPError
        from urllib.request import Request

        key = _signing_key(self._settings.webhook_secret)
        message_id = f"{letter.request_id}-{letter.kind}"  # the same in every try
        timestamp = str(int(self._clock.time()))
        signed = f"{message_id}.{timestamp}.".encode() + letter.body
        signature = base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "invokeasync_wsgi",
            "webhook-id": message_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": f"v1,{signature}",
        }
        for attribute, value in letter.attributes.items():
            headers[f"X-InvokeAsync-{_HEADERS[attribute]}"] = _header_value(value)
        request = Request(url, letter.body, headers, method="POST")  # noqa: S310 - http(s) only
        try:
            self._opener.get().open(request, timeout=_HTTP_TIMEOUT_S).close()
        except HTTPError as exc:
            exc.close()
            # From None: the error holds the whole address.
            raise DeliveryError(f"POST {targets.shown(url)}: status {exc.code}") from None
        except (OSError, HTTPException) as exc:
            reason = getattr(exc, "reason", exc)
            text = f"POST {targets.shown(url)}: {type(reason).__name__}: {reason}"
            raise DeliveryError(text) from exc

    def _send_to_queue(self, arn: str, letter: _Letter) -> None:
        aws = self._aws.get()
        more: dict[str, Any] = {}
        if letter.attributes:
            more["MessageAttributes"] = _message_attributes(letter)
        trace_id = letter.trace_id or ""
        if len(trace_id) <= _MAX_TRACE_HEADER_CHARS and _TRACE_HEADER.fullmatch(trace_id):
            more["MessageSystemAttributes"] = {
                "AWSTraceHeader": {"DataType": "String", "StringValue": trace_id}
            }
        aws.client(arn).send_message(
            QueueUrl=aws.queue_url(arn), MessageBody=letter.body.decode(), **more
        )

    def _publish(self, arn: str, letter: _Letter) -> None:
        more = {"MessageAttributes": _message_attributes(letter)} if letter.attributes else {}
        self._aws.get().client(arn).publish(TopicArn=arn, Message=letter.body.decode(), **more)

    def _put_on_bus(self, arn: str, letter: _Letter) -> None:
        end = "Success" if letter.kind == _ON_SUCCESS else "Failure"
        entry = {
            "Source": "lambda",
            "DetailType": f"Lambda Function Invocation Result - {end}",
            "Resources": [arn, letter.function_arn],
            "Detail": letter.body.decode(),
            "EventBusName": arn,
        }
        answer = self._aws.get().client(arn).put_events(Entries=[entry])
        if answer["FailedEntryCount"]:  # the status is 200 all the same
            refused = answer["Entries"][0]
            raise DeliveryError(f"{arn}: {refused.get('ErrorCode')}: {refused.get('ErrorMessage')}")

    def _put_in_bucket(self, arn: str, letter: _Letter) -> None:
        """Put one object, under the same key in every try.

        The UUID at its end is the request id, where Lambda has a random one. The dead letter of an
        event may go to the same bucket as its record, and has a key of its own.
        """
        stamp = time.strftime("%Y/%m/%d/%Y-%m-%dT%H.%M.%S", time.gmtime(letter.at))
        key = f"aws/lambda/async/{letter.function}/{stamp}-{letter.request_id}"
        self._aws.get().client(arn).put_object(
            Bucket=arn.rpartition(":")[2],
            Key=f"{key}-{_DEAD_LETTER}" if letter.attributes else key,
            Body=letter.body,
            ContentType="application/json",
            Metadata={
                _HEADERS[attribute].lower(): _header_value(value)
                for attribute, value in letter.attributes.items()
            },
        )


#: The attributes of a dead letter as headers and metadata have them.
_HEADERS = {
    "RequestID": "Request-Id",
    "ErrorCode": "Error-Code",
    "ErrorMessage": "Error-Message",
}


class _Letter(NamedTuple):
    """A delivery, read."""

    #: `_ON_SUCCESS`, `_ON_FAILURE` or `_DEAD_LETTER`.
    kind: str
    #: The bare name of the function whose event has ended, and its qualified ARN.
    function: str
    function_arn: str
    request_id: str
    trace_id: str | None
    #: When the event ended, in seconds since the epoch.
    at: float
    #: The record; for a dead letter the event.
    body: bytes
    #: Of a dead letter; empty for a record.
    attributes: dict[str, str]


def _letter(delivery: Invocation) -> _Letter:
    if delivery.delivery is None:
        raise DeliveryError(f"request {delivery.request_id} is no delivery but an event to be run")
    about: dict[str, str] = json.loads(delivery.delivery)
    attributes = {}
    if about["kind"] == _DEAD_LETTER:
        attributes = {"RequestID": delivery.request_id, "ErrorCode": about["errorCode"]}
        if about["errorMessage"]:  # SQS and SNS know no empty values
            attributes["ErrorMessage"] = about["errorMessage"]
    return _Letter(
        kind=about["kind"],
        function=about["function"],
        function_arn=about["functionArn"],
        request_id=delivery.request_id,
        trace_id=delivery.trace_id,
        at=delivery.accepted_at,
        body=delivery.payload,
        attributes=attributes,
    )


def _record(
    invocation: Invocation, function_arn: str, condition: str, outcome: Outcome | None, now: float
) -> bytes:
    """What destinations get, as Lambda writes it."""
    context = {
        "requestId": invocation.request_id,
        "functionArn": function_arn,
        "condition": condition,
        # Without an outcome, the attempt that was due has not been made.
        "approximateInvokeCount": invocation.attempt - (outcome is None),
    }
    parts = [
        b'{"version":"1.0","timestamp":"%b"' % logs.timestamp(now).encode(),
        b',"requestContext":' + _compact(context),
        b',"requestPayload":',
        invocation.payload,
    ]
    if outcome is not None:
        response = {"statusCode": 200, "executedVersion": outcome.executed_version}
        if outcome.function_error is not None:
            response["functionError"] = outcome.function_error
        parts += [
            b',"responseContext":' + _compact(response),
            b',"responsePayload":',
            _as_json(outcome.payload),
        ]
    elif condition == "EventAgeExceeded":
        parts.append(b',"responseContext":{"statusCode":429}')
    return b"".join([*parts, b"}"])


def _as_json(response: bytes) -> bytes:
    """A response as it can stand in a record: itself when it is JSON, else as a string."""
    try:
        payload.check(response)
    except InvalidRequestContentException:
        return _compact(response.decode(errors="replace"))
    return response


def _error_of(condition: str, outcome: Outcome | None) -> dict[str, str]:
    """What the attributes of a dead letter tell of the error."""
    if outcome is None:
        status = _STATUS_OF_CONDITION.get(condition, _SYSTEM_ERROR)
        return {"errorCode": str(status), "errorMessage": ""}
    message = _NOT_XML.sub("\ufffd", str(outcome.error.get("errorMessage") or ""))
    cut = message.encode()[:_MAX_MESSAGE_BYTES].decode(errors="ignore")
    return {"errorCode": "200", "errorMessage": cut}


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


# --- callables ------------------------------------------------------------------------------------


def _import(name: str) -> Callable[[Any], object]:
    call: Any = import_handler(name.removeprefix("python:"))
    return cast("Callable[[Any], object]", call)


def _call(call: Callable[[Any], object], letter: _Letter) -> None:
    argument = _message(letter) if letter.attributes else payload.decode_event(letter.body)
    try:
        call(argument)
    except SystemExit as exc:
        # In the main thread it may be the server's own, raised by a signal's handler.
        if threading.current_thread() is threading.main_thread():
            raise
        raise DeliveryError(f"{call!r} called sys.exit({exc.code!r})") from exc
    except Exception:
        raise
    except BaseException as exc:  # a time-out of gevent's, a cancellation of asyncio's
        raise DeliveryError(f"{call!r} raised {type(exc).__name__}") from exc


def _message(letter: _Letter) -> dict[str, Any]:
    """A dead letter where there is no other place for its attributes: named as SQS names them."""
    return {
        "body": letter.body.decode(),
        "md5OfBody": hashlib.md5(letter.body, usedforsecurity=False).hexdigest(),
        "messageAttributes": letter.attributes,
    }


# --- files ----------------------------------------------------------------------------------------


def _write(url: str, letter: _Letter) -> None:
    from urllib.request import url2pathname

    path = url2pathname(url.removeprefix("file://"))
    if url.endswith("/"):
        folder = letter.function
        if not folder.strip("."):  # a function may be called "..", which leads elsewhere
            folder = folder.replace(".", "%2E")
        day = time.strftime("%Y-%m-%d", time.gmtime(letter.at))
        path = os.path.join(path, folder, f"{day}.jsonl")
        os.makedirs(os.path.dirname(path), exist_ok=True)
    line = _compact(_message(letter)) if letter.attributes else letter.body
    # Newlines between the values of a payload mean nothing; within strings there are none.
    _append(path, line.translate(_NEWLINES_AS_SPACES) + b"\n")


def _append(path: str, line: bytes) -> None:
    """Append a line, whole or not at all as far as readers are concerned, and have it on the disk.

    One write to a file opened for appending is never mixed with another process's. A write that
    was cut short (a full disk) is not continued, as what follows it may be another's by then: the
    next one begins with the newline that it lacks. Two writers may both do so, which leaves an
    empty line.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags, 0o666)  # less the umask
    try:
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)  # else a pipe, such as /dev/stdout
        if is_file and os.lseek(descriptor, 0, os.SEEK_END):
            os.lseek(descriptor, -1, os.SEEK_END)
            if os.read(descriptor, 1) != b"\n":
                line = b"\n" + line
        written = os.write(descriptor, line)
        if written != len(line):
            raise DeliveryError(f"{path}: only {written} of {len(line)} bytes could be written")
        if is_file:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


# --- http -----------------------------------------------------------------------------------------


def _make_opener() -> OpenerDirector:
    """What sends requests: through the proxies of the environment, and never elsewhere."""
    from urllib.request import HTTPRedirectHandler, build_opener

    class NoRedirects(HTTPRedirectHandler):
        """Leaves a redirect what it is, a status other than 2xx: it would not be signed for."""

        def redirect_request(self, *_: object) -> None:
            return None

    return build_opener(NoRedirects)


def _signing_key(secret: str | None) -> bytes:
    """The bytes of the setting ``webhook_secret``. Errors do not tell it."""
    if secret is None:
        _refuse_secret("an address needs the setting webhook_secret, to sign with")
    if not isinstance(secret, str) or not secret.startswith(_SECRET_PREFIX):
        _refuse_secret("the setting webhook_secret does not begin with 'whsec_'")
    try:
        key = base64.b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        _refuse_secret("the setting webhook_secret is not base64 after 'whsec_'")
    if not 24 <= len(key) <= 64:
        _refuse_secret(f"the setting webhook_secret is base64 of {len(key)} bytes")
    return key


def _refuse_secret(problem: str) -> NoReturn:
    raise ConfigurationError(
        f"{problem}; it must be 'whsec_' and base64 of 24 to 64 random bytes, as of: "
        "openssl rand -base64 32"
    ) from None


def _header_value(text: str) -> str:
    """A text in printable ASCII, on one line; what is cut is cut between characters."""
    value = ""
    for char in text:
        encoded = quote(char, safe=_PLAIN_IN_HEADER)
        if len(value) + len(encoded) > _MAX_HEADER_CHARS:
            break
        value += encoded
    return value.strip()


# --- AWS ------------------------------------------------------------------------------------------


def _is_boto3_installed() -> bool:
    return importlib.util.find_spec("boto3") is not None


def _message_attributes(letter: _Letter) -> dict[str, dict[str, str]]:
    return {
        name: {"DataType": "Number" if name == "ErrorCode" else "String", "StringValue": value}
        for name, value in letter.attributes.items()
    }


class _AWSClients:
    """One process's clients of boto3. Credentials, endpoints and proxies are boto3's own matter."""

    def __init__(self) -> None:
        self._session: Any = None
        self._clients: dict[tuple[str, str], Any] = {}
        self._queue_urls: dict[str, str] = {}
        self._making = threading.Lock()  # sessions are not for two threads at once; clients are

    def client(self, arn: str) -> Any:
        """The client of the service and region that an ARN names; an S3 bucket's names none."""
        _, _, service, region, *_ = arn.split(":")
        client = self._clients.get((service, region))
        if client is not None:
            return client
        with self._making:
            return self._clients.setdefault((service, region), self._make(service, region))

    def queue_url(self, arn: str) -> str:
        """The URL of a queue, asked for once."""
        url = self._queue_urls.get(arn)
        if url is None:
            *_, account_id, queue = arn.split(":")
            answer = self.client(arn).get_queue_url(
                QueueName=queue, QueueOwnerAWSAccountId=account_id
            )
            url = self._queue_urls[arn] = answer["QueueUrl"]
        return url

    def _make(self, service: str, region: str) -> Any:
        import boto3
        import botocore.config

        if self._session is None:
            self._session = boto3.session.Session()
        config = botocore.config.Config(
            connect_timeout=_AWS_CONNECT_TIMEOUT_S,
            read_timeout=_AWS_READ_TIMEOUT_S,
            retries={"total_max_attempts": _AWS_CALLS, "mode": "standard"},
        )
        return self._session.client(service, region_name=region or None, config=config)
