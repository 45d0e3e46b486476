"""AWS's own clients work unchanged against the Flask extension on every main server.

Each accepted call is followed into the handler: it has run, once, with the request id that the
client was given.
"""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import botocore.config
import botocore.exceptions
import pytest

from tests.integration import servers
from tests.integration.servers import Server, need
from tests.waiting import eventually

# What boto3 says of Pythons that it is about to leave behind is not about us.
pytestmark = pytest.mark.filterwarnings("ignore:Boto3 will no longer support Python")

ARN = "arn:aws:lambda:us-east-1:123456789012:function"
JS = Path(__file__).parent / "js"


def make_client(server: Server) -> Any:
    return boto3.client(
        "lambda",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="secret",
        config=botocore.config.Config(
            retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=20
        ),
    )


@pytest.fixture(scope="module")
def client(flask_server: Server) -> Iterator[Any]:
    client = make_client(flask_server)
    yield client
    client.close()


def request_id(answer: dict[str, Any]) -> str:
    return str(answer["ResponseMetadata"]["RequestId"])


class TestBoto3:
    @pytest.mark.parametrize(
        "function_name",
        [
            "record",
            "function:record",
            "123456789012:function:record",
            "us-east-1:123456789012:function:record",
            f"{ARN}:record",
            f"{ARN}:record:$LATEST",
        ],
    )
    def test_invoke_async(self, flask_server: Server, client: Any, function_name: str) -> None:
        """Every form of a function's name leads to its handler."""
        answer = client.invoke_async(FunctionName=function_name, InvokeArgs=b'{"n": 1}')

        assert answer["Status"] == 202
        run = flask_server.run_of(request_id(answer))
        assert (run["function"], run["event"]) == ("record", {"n": 1})

    @pytest.mark.parametrize(
        "event",
        [None, True, "text", 1.5, [], {}, {"ключ": "значение 🎉"}, ["x" * 200_000]],
        ids=["null", "true", "string", "number", "array", "object", "not ASCII", "200 KB"],
    )
    def test_events(self, flask_server: Server, client: Any, event: object) -> None:
        """Any JSON value reaches the handler as it was."""
        body = io.BytesIO(json.dumps(event, ensure_ascii=False).encode())
        answer = client.invoke_async(FunctionName="record", InvokeArgs=body)

        noted = flask_server.run_of(request_id(answer))["event"]
        assert noted == (event if event != ["x" * 200_000] else "200004 bytes")

    def test_invoke_with_event(self, flask_server: Server, client: Any) -> None:
        answer = client.invoke(FunctionName="record", InvocationType="Event", Payload=b"[1]")

        assert answer["StatusCode"] == 202
        assert answer["Payload"].read() == b""
        assert flask_server.run_of(request_id(answer))["event"] == [1]

    def test_request_response(self, flask_server: Server, client: Any) -> None:
        """The result, the version behind the alias, and the end of the log come back."""
        answer = client.invoke(
            FunctionName="echo", Qualifier="live", LogType="Tail", Payload=b'{"a": [1, 2]}'
        )

        assert answer["StatusCode"] == 200
        assert json.loads(answer["Payload"].read()) == {"a": [1, 2]}
        assert answer["ExecutedVersion"] == "1"
        assert "FunctionError" not in answer
        log = base64.b64decode(answer["LogResult"]).decode()
        assert log.startswith(f"START RequestId: {request_id(answer)} Version: 1\n")
        assert flask_server.run_of(request_id(answer))["version"] == "1"

    def test_log_tail(self, flask_server: Server, client: Any) -> None:
        """What a handler prints and logs is in its log, and in the server's own as ever."""
        answer = client.invoke(FunctionName="talk", LogType="Tail", Payload=b'"hello"')

        log = base64.b64decode(answer["LogResult"]).decode()
        assert "printed hello\n" in log
        assert "logged hello" in log
        assert "printed hello\n" in flask_server.log()

    def test_dry_run(self, flask_server: Server, client: Any) -> None:
        """DryRun answers 204 and runs nothing."""
        before = len(flask_server.runs())
        answer = client.invoke(FunctionName="record", InvocationType="DryRun")

        assert answer["StatusCode"] == 204
        assert len(flask_server.runs()) == before

    def test_context(self, flask_server: Server, client: Any) -> None:
        """The handler sees the request id, the ARN as invoked, tenant and client context."""
        answer = client.invoke(
            FunctionName=f"{ARN}:describe:$LATEST",
            ClientContext=base64.b64encode(b'{"custom": {"a": "b"}}').decode(),
            TenantId="tenant 1",
        )

        assert json.loads(answer["Payload"].read()) == {
            "request_id": request_id(answer),
            "arn": f"{ARN}:describe:$LATEST",
            "tenant_id": "tenant 1",
            "custom": {"a": "b"},
        }

    def test_async_def(self, flask_server: Server, client: Any) -> None:
        """Handlers may be coroutine functions, waited for and not."""
        waited = client.invoke(FunctionName="wait", Payload=b'"waited"')
        assert json.loads(waited["Payload"].read()) == "waited"

        accepted = client.invoke_async(FunctionName="wait", InvokeArgs=b'"not waited"')
        assert flask_server.run_of(request_id(accepted))["event"] == "not waited"

    def test_application_context(self, client: Any) -> None:
        """Handlers run in the Flask application's context."""
        answer = client.invoke(FunctionName="in-flask")

        assert json.loads(answer["Payload"].read()) == "integration"

    def test_function_error(self, flask_server: Server, client: Any) -> None:
        """A handler that raises is a 200 with AWS's error payload."""
        answer = client.invoke(FunctionName="fail", LogType="Tail")

        assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
        error = json.loads(answer["Payload"].read())
        assert (error["errorType"], error["errorMessage"]) == ("ValueError", "the handler failed")
        assert error["requestId"] == request_id(answer)
        assert "in fail" in error["stackTrace"][0]
        assert b"[ERROR] ValueError" in base64.b64decode(answer["LogResult"])

    def test_accepted_event_that_fails(self, flask_server: Server, client: Any) -> None:
        """Nothing behind the 202 turns it into an error; the failure is in the server's log."""
        answer = client.invoke_async(FunctionName="fail", InvokeArgs=b"{}")

        assert answer["Status"] == 202
        flask_server.run_of(request_id(answer))
        eventually(
            lambda: (
                f"request {request_id(answer)} to function fail is given up" in flask_server.log()
            )
        )

    def test_timeout(self, client: Any) -> None:
        """A handler past its deadline is answered for."""
        answer = client.invoke(FunctionName="time-out")

        assert answer["FunctionError"] == "Unhandled"
        assert json.loads(answer["Payload"].read())["errorType"] == "Sandbox.Timedout"

    def test_response_stream(self, flask_server: Server, client: Any) -> None:
        answer = client.invoke_with_response_stream(
            FunctionName="echo", LogType="Tail", Payload=b'{"a": 1}'
        )
        events = list(answer["EventStream"])

        assert [name for event in events for name in event] == ["PayloadChunk", "InvokeComplete"]
        assert json.loads(events[0]["PayloadChunk"]["Payload"]) == {"a": 1}
        assert b"REPORT RequestId" in base64.b64decode(events[1]["InvokeComplete"]["LogResult"])
        flask_server.run_of(request_id(answer))

    def test_response_stream_of_error(self, client: Any) -> None:
        answer = client.invoke_with_response_stream(FunctionName="fail")
        *_, last = answer["EventStream"]

        assert last["InvokeComplete"]["ErrorCode"] == "Unhandled"
        assert "the handler failed" in last["InvokeComplete"]["ErrorDetails"]

    @pytest.mark.parametrize(
        ("call", "status", "code", "message"),
        [
            pytest.param(
                lambda client: client.invoke_async(FunctionName="unknown", InvokeArgs=b"{}"),
                404,
                "ResourceNotFoundException",
                f"Function not found: {ARN}:unknown:$LATEST",
                id="unknown function",
            ),
            pytest.param(
                lambda client: client.invoke(FunctionName="echo", Qualifier="2"),
                404,
                "ResourceNotFoundException",
                f"Function not found: {ARN}:echo:2",
                id="unknown version",
            ),
            pytest.param(
                lambda client: client.invoke_async(
                    FunctionName=f"{ARN}:record".replace("us-east-1", "eu-west-1"), InvokeArgs=b""
                ),
                404,
                "ResourceNotFoundException",
                "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')",
                id="another region",
            ),
            pytest.param(
                lambda client: client.invoke_async(FunctionName="record", InvokeArgs=b"{'a': 1}"),
                400,
                "InvalidRequestContentException",
                "Could not parse request body into json",
                id="not JSON",
            ),
            pytest.param(
                lambda client: client.invoke(FunctionName="record", ClientContext="!"),
                400,
                "InvalidRequestContentException",
                "Client context must be a valid Base64-encoded JSON object.",
                id="bad client context",
            ),
            pytest.param(
                lambda client: client.invoke(FunctionName="echo:live", Qualifier="1"),
                400,
                "InvalidParameterValueException",
                "The derived qualifier from the function name does not match",
                id="two qualifiers",
            ),
        ],
    )
    def test_typed_errors(
        self,
        flask_server: Server,
        client: Any,
        call: Callable[[Any], object],
        status: int,
        code: str,
        message: str,
    ) -> None:
        """Errors arrive as the exception classes of botocore's model, and nothing runs."""
        before = len(flask_server.runs())
        with pytest.raises(getattr(client.exceptions, code)) as raised:
            call(client)

        response = raised.value.response
        assert response["ResponseMetadata"]["HTTPStatusCode"] == status
        assert response["Error"]["Code"] == code
        assert response["Error"]["Message"].startswith(message)
        assert response["Type"] == "User"
        assert len(flask_server.runs()) == before

    @pytest.mark.parametrize(
        ("arguments", "code"),
        [
            pytest.param({"FunctionName": "a/b"}, "ValidationException", id="bad name"),
            pytest.param(
                {"FunctionName": "record", "InvocationType": "event"},
                "ValidationException",
                id="bad invocation type",
            ),
            pytest.param(
                {"FunctionName": f"{ARN}:record".replace("123456789012", "000000000000")},
                "AccessDeniedException",
                id="another account",
            ),
            pytest.param(
                {
                    "FunctionName": "record",
                    "InvocationType": "Event",
                    "Payload": b'"' + b"x" * 1024 * 1024 + b'"',
                },
                "RequestEntityTooLargeException",
                id="too large",
            ),
        ],
    )
    def test_other_errors(self, client: Any, arguments: dict[str, Any], code: str) -> None:
        """Errors outside of the model arrive with AWS's code."""
        with pytest.raises(botocore.exceptions.ClientError) as raised:
            client.invoke(**arguments)

        assert raised.value.response["Error"]["Code"] == code

    def test_burst(self, flask_server: Server, client: Any) -> None:
        """Parallel calls over pooled connections are accepted once each, and run once each."""

        def accept(number: int) -> str:
            return request_id(client.invoke_async(FunctionName="record", InvokeArgs=str(number)))

        before = len(flask_server.runs())
        with ThreadPoolExecutor(8) as pool:
            accepted = list(pool.map(accept, range(100)))
        flask_server.wait_for(accepted)

        runs = flask_server.runs()[before:]
        assert sorted(run["event"] for run in runs) == list(range(100))
        assert sorted(run["request_id"] for run in runs) == sorted(accepted)


def test_throttling(tmp_path: Path) -> None:
    """Without capacity boto3 gets a 429 that it understands."""
    with servers.running("waitress", tmp_path, "flask", INVOKEASYNC_SYNC_CONCURRENCY="0") as server:
        client = make_client(server)
        with pytest.raises(client.exceptions.TooManyRequestsException) as raised:
            client.invoke(FunctionName="record")
        client.close()

    response = raised.value.response
    assert response["Reason"] == "ConcurrentInvocationLimitExceeded"
    assert int(response["retryAfterSeconds"]) > 0


def test_wrapped_application(flask_server: Server) -> None:
    """Requests that are not Lambda's reach the Flask application."""
    answer = flask_server.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", method="GET")

    assert (answer.outcome, answer.body) == ("wrapped", b"wrapped")


def test_command_line(flask_server: Server, tmp_path: Path) -> None:
    """The AWS CLI invokes, prints what it prints for AWS, and fails as it fails for AWS."""
    need(_has_module("awscli"), "the AWS CLI")
    arguments = tmp_path / "arguments.json"
    arguments.write_text('{"from": "the CLI"}')
    calls = [
        ["invoke-async", "--function-name", "record", "--invoke-args", str(arguments)],
        [
            *("invoke", "--function-name", f"{ARN}:record", "--invocation-type", "Event"),
            *("--payload", '{"from": "invoke"}', str(tmp_path / "event.out")),
        ],
        [
            *("invoke", "--function-name", "echo", "--qualifier", "live", "--log-type", "Tail"),
            *("--payload", '{"from": "echo"}', str(tmp_path / "echo.out")),
        ],
        ["invoke-async", "--function-name", "unknown", "--invoke-args", str(arguments)],
    ]
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda call: _aws(flask_server, *call), calls))
    asynchronous, event, echo, unknown = results

    assert json.loads(asynchronous.stdout) == {"Status": 202}, asynchronous.stderr
    assert json.loads(event.stdout) == {"StatusCode": 202}, event.stderr
    assert (tmp_path / "event.out").read_bytes() == b""
    assert json.loads((tmp_path / "echo.out").read_bytes()) == {"from": "echo"}
    assert json.loads(echo.stdout)["ExecutedVersion"] == "1"
    assert "REPORT RequestId" in base64.b64decode(json.loads(echo.stdout)["LogResult"]).decode()
    assert unknown.returncode > 0
    assert "(ResourceNotFoundException)" in unknown.stderr
    for result, sent in (asynchronous, "the CLI"), (event, "invoke"), (echo, "echo"):
        run = flask_server.run_of(_request_id_in(result.stderr))
        assert run["event"] == {"from": sent}


def _aws(server: Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "awscli", "--debug", "--endpoint-url", server.url, "lambda"]
    return subprocess.run(
        [*command, *arguments],
        env={
            "PATH": os.environ["PATH"],
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_MAX_ATTEMPTS": "1",
        },
        capture_output=True,
        text=True,
        timeout=60,
    )


def _request_id_in(debug_log: str) -> str:
    """The id of the answer, which the CLI shows in its debug output only."""
    _, _, rest = debug_log.lower().partition("'x-amzn-requestid': '")
    return rest[:36]


def _has_module(name: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(name) is not None


def _node(script: str, server: Server) -> dict[str, dict[str, Any]]:
    node = shutil.which("node")
    need(node is not None, "Node.js")
    need((JS / "node_modules").is_dir(), "the modules of package.json: make integration")
    result = subprocess.run(
        [str(node), str(JS / script), server.url], capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, result.stderr
    results: dict[str, dict[str, Any]] = json.loads(result.stdout)
    return results


def test_javascript_v3(flask_server: Server) -> None:
    """The current JavaScript SDK: also with a stream for a body, which it sends in chunks."""
    results = _node("client_v3.mjs", flask_server)

    for name, sent in [
        ("invokeAsync", "v3"),
        ("arn", "v3"),
        ("stream", "a stream"),
        ("event", "v3"),
    ]:
        assert results[name]["status"] == 202, results[name]
        assert flask_server.run_of(results[name]["requestId"])["event"] == {"from": sent}
    result = results["requestResponse"]
    assert (result["status"], result["version"]) == (200, "1")
    assert json.loads(result["payload"]) == {"from": "v3"}
    assert result["log"].startswith(f"START RequestId: {result['requestId']} Version: 1\n")
    flask_server.run_of(result["requestId"])
    assert results["dryRun"]["status"] == 204
    assert results["functionError"]["functionError"] == "Unhandled"
    assert json.loads(results["functionError"]["payload"])["errorType"] == "ValueError"
    chunk, complete = results["responseStream"]["events"]
    assert (json.loads(chunk), complete) == ({"from": "v3"}, "InvokeComplete")
    for name, status, error in [
        ("unknown", 404, "ResourceNotFoundException"),
        ("notJson", 400, "InvalidRequestContentException"),
        ("badQualifier", 400, "InvalidParameterValueException"),
    ]:
        result = results[name]
        assert (result["status"], result["error"], result["class"]) == (status, error, error)
        assert result["message"]
    assert (results["badName"]["status"], results["badName"]["error"]) == (
        400,
        "ValidationException",
    )


def test_javascript_v2(flask_server: Server) -> None:
    """The JavaScript SDK before that, which many functions still carry."""
    results = _node("client_v2.cjs", flask_server)

    for name in "invokeAsync", "event":
        assert results[name]["status"] == 202, results[name]
        assert flask_server.run_of(results[name]["requestId"])["event"] == {"from": "v2"}
    assert json.loads(results["requestResponse"]["payload"]) == {"from": "v2"}
    flask_server.run_of(results["requestResponse"]["requestId"])
    assert (results["unknown"]["status"], results["unknown"]["error"]) == (
        404,
        "ResourceNotFoundException",
    )
    assert (results["notJson"]["status"], results["notJson"]["error"]) == (
        400,
        "InvalidRequestContentException",
    )
