"""Destinations in AWS: boto3's own requests, answered by a moto server in a process of its own.

moto keeps what it is sent and checks digests, but takes credentials of any kind and little notice
of limits. What arrives is read back through boto3, as a consumer would.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import multiprocessing
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import boto3
import botocore.exceptions
import pytest

from invokeasync_wsgi import Invocation, Outcome
from invokeasync_wsgi.config import AsyncSettings, Settings
from invokeasync_wsgi.destinations import DeliveryError, Destinations
from invokeasync_wsgi.targets import parse
from invokeasync_wsgi.testing import FakeClock
from tests.integration.servers import need

# What boto3 says of Pythons that it is about to leave behind is not about us.
pytestmark = pytest.mark.filterwarnings("ignore:Boto3 will no longer support Python")

ENDED_AT = 1593641120.5  # 2020-07-01T22:05:20.500Z
REQUEST_ID = "4c7a6e5e-2f0c-4f0e-8e0e-0d4c5a3b2a1f"
ARN = "arn:aws:lambda:us-east-1:123456789012:function:f:$LATEST"
TRACE_ID = "Root=1-5e1b4151-5ac6c58dc39a6b6ae5ba4b1a;Lineage=a87bd80c:1|68fd508a:5"
INVOCATION = Invocation(
    request_id=REQUEST_ID,
    function_name="f",
    payload=b'{"raise_error": 1}',
    accepted_at=ENDED_AT - 200,
    trace_id=TRACE_ID,
)
ERROR = {"errorMessage": "née\x1b[0m", "errorType": "KeyError"}
FAILED = Outcome(json.dumps(ERROR).encode(), "Unhandled", "$LATEST", 0.0, "application/json", str)
ATTRIBUTES = {
    "RequestID": ("String", REQUEST_ID),
    "ErrorCode": ("Number", "200"),
    "ErrorMessage": ("String", "née\ufffd[0m"),
}

SERVER = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
server.stop()
"""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """A server that ends with its standard input, and so with this process."""
    need(importlib.util.find_spec("moto"), "moto")
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.communicate(timeout=20)


@pytest.fixture(autouse=True)
def _aws(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What boto3 looks at, and nothing of whoever runs the tests."""
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_CONFIG_FILE": "missing",
        "AWS_SHARED_CREDENTIALS_FILE": "missing",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "*",
        "no_proxy": "*",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def client() -> Iterator[Callable[..., Any]]:
    """Makes boto3's clients, and closes them."""
    clients = []

    def make(service: str, region: str = "us-east-1") -> Any:
        clients.append(boto3.client(service, region_name=region))
        return clients[-1]

    yield make
    for each in clients:
        each.close()


@pytest.fixture
def destinations() -> Iterator[Destinations]:
    made = Destinations(Settings(auth="none"), FakeClock(ENDED_AT))
    yield made
    aws = made._aws.peek()
    for each in aws._clients.values() if aws else ():
        each.close()


class Queue:
    """A queue, and what waits in it."""

    def __init__(self, sqs: Any, name: str) -> None:
        self._sqs = sqs
        self.url = sqs.create_queue(QueueName=name)["QueueUrl"]
        found = sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])
        self.arn: str = found["Attributes"]["QueueArn"]

    def receive(self) -> list[dict[str, Any]]:
        answer = self._sqs.receive_message(
            QueueUrl=self.url,
            MaxNumberOfMessages=10,
            AttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        messages: list[dict[str, Any]] = answer.get("Messages", [])
        for message in messages:
            self._sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return messages


@pytest.fixture
def queue(client: Callable[..., Any], request: pytest.FixtureRequest) -> Queue:
    return Queue(client("sqs"), f"q-{hashlib.sha256(request.node.name.encode()).hexdigest()}")


def deliveries(
    destinations: Destinations, outcome: Outcome | None = FAILED, **given: Any
) -> tuple[Invocation, ...]:
    """What follows a failure, or for ``on_success`` a success."""
    settings: dict[str, Any] = {name: parse(name, value) for name, value in given.items()}
    succeeded = "on_success" in given
    if succeeded:
        outcome = FAILED._replace(payload=b"[1,  2]", function_error=None)
    checked = AsyncSettings(**settings)
    destinations.check(checked)
    return destinations.after(
        INVOCATION,
        function_arn=ARN,
        settings=checked,
        condition="Success" if succeeded else "RetriesExhausted",
        outcome=outcome,
    )


def attributes_of(message: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {
        name: (attribute["DataType"], attribute["StringValue"])
        for name, attribute in message.get("MessageAttributes", {}).items()
    }


# --- SQS ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("setting", ["on_success", "on_failure"])
def test_a_record_is_a_message_with_the_trace_header(
    destinations: Destinations, queue: Queue, setting: str
) -> None:
    (delivery,) = deliveries(destinations, FAILED, **{setting: queue.arn})
    destinations.deliver(delivery)
    (message,) = queue.receive()
    assert message["Body"].encode() == delivery.payload
    assert message["MD5OfBody"] == hashlib.md5(delivery.payload).hexdigest()
    assert message["Attributes"]["AWSTraceHeader"] == TRACE_ID
    assert attributes_of(message) == {}


def test_a_dead_letter_is_the_event_with_three_attributes(
    destinations: Destinations, queue: Queue
) -> None:
    """The MD5 is that of AWS's recording."""
    (delivery,) = deliveries(destinations, dead_letter=queue.arn)
    destinations.deliver(delivery)
    (message,) = queue.receive()
    assert message["Body"] == '{"raise_error": 1}'
    assert message["MD5OfBody"] == "ba08269cbd0ce515889bfba6593731e1"
    assert attributes_of(message) == ATTRIBUTES


def test_a_dead_letter_without_an_error_has_two_attributes(
    destinations: Destinations, queue: Queue
) -> None:
    (delivery,) = deliveries(destinations, None, dead_letter=queue.arn)
    destinations.deliver(delivery)
    (message,) = queue.receive()
    assert sorted(attributes_of(message)) == ["ErrorCode", "RequestID"]


@pytest.mark.parametrize(
    "trace_id",
    [
        pytest.param(None, id="none"),
        pytest.param("", id="empty"),
        pytest.param("Lineage=a87bd80c:1", id="no root"),
        pytest.param("Root=1-5e1b4151", id="half a root"),
        pytest.param(f"{TRACE_ID};<>", id="something else behind it"),
        pytest.param(f"{TRACE_ID};x={'y' * 500}", id="too long"),
    ],
)
def test_a_trace_header_that_sqs_would_refuse_is_not_sent(
    destinations: Destinations, queue: Queue, trace_id: str | None
) -> None:
    """A caller's header must not cost the record."""
    (delivery,) = deliveries(destinations, on_failure=queue.arn)
    destinations.deliver(replace(delivery, trace_id=trace_id))
    (message,) = queue.receive()
    assert "AWSTraceHeader" not in message["Attributes"]


def test_threads_and_deliveries_share_a_client_and_ask_for_the_queue_once(
    destinations: Destinations, queue: Queue
) -> None:
    (delivery,) = deliveries(destinations, on_failure=queue.arn)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(destinations.deliver, [delivery] * 8))
    assert len(queue.receive()) == 8
    aws = destinations._aws.get()
    assert list(aws._clients) == [("sqs", "us-east-1")]
    assert aws._queue_urls == {queue.arn: queue.url}


def test_a_queue_is_looked_for_in_its_own_region(
    destinations: Destinations, client: Callable[..., Any]
) -> None:
    elsewhere = Queue(client("sqs", "eu-central-1"), "elsewhere")
    assert ":eu-central-1:" in elsewhere.arn
    (delivery,) = deliveries(destinations, on_failure=elsewhere.arn)
    destinations.deliver(delivery)
    assert len(elsewhere.receive()) == 1


def test_a_queue_that_is_not_there_is_an_error_and_found_once_it_is_there(
    destinations: Destinations, client: Callable[..., Any]
) -> None:
    arn = "arn:aws:sqs:us-east-1:123456789012:not-yet"
    (delivery,) = deliveries(destinations, on_failure=arn)
    with pytest.raises(botocore.exceptions.ClientError, match="NonExistentQueue"):
        destinations.deliver(delivery)
    late = Queue(client("sqs"), "not-yet")
    destinations.deliver(delivery)
    assert len(late.receive()) == 1


def test_an_endpoint_that_is_not_there_is_an_error_soon(
    destinations: Destinations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    (delivery,) = deliveries(destinations, on_failure="arn:aws:sqs:us-east-1:123456789012:q")
    with pytest.raises(botocore.exceptions.EndpointConnectionError):
        destinations.deliver(delivery)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_makes_clients_of_its_own(
    destinations: Destinations, queue: Queue
) -> None:
    need("fork" in multiprocessing.get_all_start_methods(), "fork")
    (delivery,) = deliveries(destinations, on_failure=queue.arn)
    destinations.deliver(delivery)
    child = multiprocessing.get_context("fork").Process(
        target=destinations.deliver, args=[delivery]
    )
    child.start()
    child.join(30)
    assert child.exitcode == 0
    destinations.deliver(delivery)
    assert len(queue.receive()) == 3


# --- SNS ------------------------------------------------------------------------------------------


@pytest.fixture
def topic(client: Callable[..., Any], queue: Queue) -> str:
    """A topic whose messages come to the queue."""
    sns = client("sns")
    arn: str = sns.create_topic(Name="failed")["TopicArn"]
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue.arn)
    return arn


def test_a_record_is_published_without_a_subject(
    destinations: Destinations, topic: str, queue: Queue
) -> None:
    (delivery,) = deliveries(destinations, on_failure=topic)
    destinations.deliver(delivery)
    (message,) = queue.receive()
    notification = json.loads(message["Body"])
    assert notification["Message"].encode() == delivery.payload
    assert notification["TopicArn"] == topic
    assert "Subject" not in notification
    assert "MessageAttributes" not in notification


def test_a_published_dead_letter_is_the_event_with_three_attributes(
    destinations: Destinations, topic: str, queue: Queue
) -> None:
    (delivery,) = deliveries(destinations, dead_letter=topic)
    destinations.deliver(delivery)
    (message,) = queue.receive()
    notification = json.loads(message["Body"])
    assert notification["Message"] == '{"raise_error": 1}'
    found = notification["MessageAttributes"]
    assert {name: (each["Type"], each["Value"]) for name, each in found.items()} == ATTRIBUTES


# --- EventBridge ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("setting", "end"), [("on_success", "Success"), ("on_failure", "Failure")])
def test_a_record_is_an_event_on_a_bus(
    destinations: Destinations, client: Callable[..., Any], queue: Queue, setting: str, end: str
) -> None:
    events = client("events")
    bus: str = events.create_event_bus(Name=f"bus-{end}")["EventBusArn"]
    pattern = {
        "source": ["lambda"],
        "detail-type": [f"Lambda Function Invocation Result - {end}"],
        "detail": {"requestContext": {"requestId": [REQUEST_ID]}},
    }
    events.put_rule(Name="all", EventBusName=f"bus-{end}", EventPattern=json.dumps(pattern))
    events.put_targets(
        Rule="all", EventBusName=f"bus-{end}", Targets=[{"Id": "queue", "Arn": queue.arn}]
    )
    (delivery,) = deliveries(destinations, FAILED, **{setting: bus})
    destinations.deliver(delivery)
    (message,) = queue.receive()
    event = json.loads(message["Body"])
    assert event["source"] == "lambda"
    assert event["detail-type"] == f"Lambda Function Invocation Result - {end}"
    assert event["resources"] == [bus, ARN]
    assert event["detail"] == json.loads(delivery.payload)


def test_an_entry_that_the_bus_refuses_is_an_error(
    destinations: Destinations, client: Callable[..., Any]
) -> None:
    """Its answer has the status 200."""
    bus: str = client("events").create_event_bus(Name="refusing")["EventBusArn"]
    (delivery,) = deliveries(destinations, on_failure=bus)
    with pytest.raises(DeliveryError, match=f"{bus}: MalformedDetail: "):
        destinations.deliver(replace(delivery, payload=b"no JSON"))


# --- S3 -------------------------------------------------------------------------------------------

KEY = f"aws/lambda/async/f/2020/07/01/2020-07-01T22.05.20-{REQUEST_ID}"


def test_a_record_and_a_dead_letter_are_objects_under_the_same_keys_in_every_try(
    destinations: Destinations, client: Callable[..., Any]
) -> None:
    s3 = client("s3")
    s3.create_bucket(Bucket="failed-events")
    arn = "arn:aws:s3:::failed-events"
    record, dead = deliveries(destinations, on_failure=arn, dead_letter=arn)
    for delivery in (record, dead, record.put_off()):
        destinations.deliver(delivery)
    listed = s3.list_objects_v2(Bucket="failed-events")["Contents"]
    assert [item["Key"] for item in listed] == [KEY, f"{KEY}-DeadLetter"]
    got = s3.get_object(Bucket="failed-events", Key=KEY)
    assert got["Body"].read() == record.payload
    assert got["ContentType"] == "application/json"
    assert got["Metadata"] == {}
    got = s3.get_object(Bucket="failed-events", Key=f"{KEY}-DeadLetter")
    assert got["Body"].read() == b'{"raise_error": 1}'
    assert got["Metadata"] == {
        "request-id": REQUEST_ID,
        "error-code": "200",
        "error-message": "n%C3%A9e%EF%BF%BD[0m",
    }
