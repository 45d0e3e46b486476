"""Every example starts with its one command and does what it says, as a user would see it.

Each server runs in a process of its own on a free port, is asked by boto3, and is stopped; what its
handlers print is looked for in its output.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config

EXAMPLES = Path(__file__).parents[2] / "examples"
PYTHON = sys.executable
#: Under the suite's own limit, and enough for a machine with better things to do.
PATIENCE_S = 30.0


class Server:
    """A running example."""

    def __init__(self, port: int, output: Path, process: subprocess.Popen[bytes]) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.output = output
        self.process = process

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The first match of ``pattern`` in what the server has written, once there is one."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            match = re.search(pattern, self.output.read_text())
            if match is not None:
                return match
            time.sleep(0.02)
        pytest.fail(f"{pattern!r} is not in the output:\n{self.output.read_text()}")

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and self.process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        pytest.fail(f"the example does not listen:\n{self.output.read_text()}")

    def get(self, path: str = "/", data: bytes | None = None) -> str:
        with urllib.request.urlopen(self.url + path, data, timeout=PATIENCE_S) as answer:
            return str(answer.read().decode())

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE_S)


@contextmanager
def running(folder: str, *command: str, directory: Path, **environment: str) -> Iterator[Server]:
    """Run an example's command in its folder until the block ends; ``{port}`` is its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    output = directory / "output"
    with (
        output.open("wb") as file,
        subprocess.Popen(
            [PYTHON, *(part.format(port=port) for part in command)],
            cwd=EXAMPLES / folder,
            env={
                **{key: os.environ[key] for key in os.environ if key != "DJANGO_SETTINGS_MODULE"},
                "PORT": str(port),
                "INVOKEASYNC_EXECUTOR": f"sqlite:///{directory}/queue.db",
                "PYTHONDONTWRITEBYTECODE": "1",
                "PYTHONUNBUFFERED": "1",  # as on a terminal
                **environment,
            },
            stdout=file,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        server = Server(port, output, process)
        try:
            server.wait_until_ready()
            yield server
        finally:
            if process.poll() is None:
                process.terminate()
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def client_of(endpoint_url: str) -> Iterator[Any]:
    client = boto3.client(
        "lambda",
        endpoint_url=endpoint_url,
        region_name="us-east-1",
        config=Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1}),
    )
    try:
        yield client
    finally:
        client.close()


def submit(client: Any, function_name: str, event: object) -> str:
    """Invoke asynchronously; the request id."""
    answer = client.invoke_async(FunctionName=function_name, InvokeArgs=json.dumps(event))
    assert answer["Status"] == 202
    return str(answer["ResponseMetadata"]["RequestId"])


def test_wsgi_app(tmp_path: Path) -> None:
    """A plain WSGI function goes on answering, its functions run, and no end loses an event."""
    with (
        running("wsgi_app", "app.py", directory=tmp_path) as server,
        client_of(server.url) as client,
    ):
        assert server.get() == "A WSGI application.\n"
        answer = client.invoke(FunctionName="greet", Payload=b'{"name": "sync"}')
        assert json.load(answer["Payload"]) == {"greeted": "sync"}
        request_id = submit(client, "greet", {"name": "async"})
        server.wait_for(f"hello async, this is request {request_id}")
        request_ids = [submit(client, "greet", {"name": f"async {n}"}) for n in range(20)]
        server.process.kill()
        server.process.wait(PATIENCE_S)
        before = server.output.read_text()
    with running("wsgi_app", "app.py", directory=tmp_path) as server:
        for request_id in request_ids:
            if request_id not in before:
                server.wait_for(f"this is request {request_id}")


def test_idempotent(tmp_path: Path) -> None:
    """An event that runs twice charges once."""
    shop = str(tmp_path / "shop.db")
    with (
        running("idempotent", "app.py", directory=tmp_path, SHOP=shop) as server,
        client_of(server.url) as client,
    ):
        request_id = submit(client, "charge", {"customer": "ada", "cents": 500})
        server.wait_for(f"charged ada in request {request_id}")
        server.wait_for(f"ada was charged before, in request {request_id}")
        assert json.loads(server.get()) == {"ada": 500}


def test_flask_app(tmp_path: Path) -> None:
    """The Flask application serves clients, and its view submits without HTTP."""
    with (
        running("flask_app", "-m", "gunicorn", "app:create_app()", directory=tmp_path) as server,
        client_of(server.url) as client,
    ):
        server.wait_for("aws lambda invoke-async --function-name helloworld")
        assert server.get().startswith("A Flask application")
        request_id = submit(client, "helloworld", {"name": "async"})
        server.wait_for(f"hello async, this is request {request_id}")
        assert "thumbnail_request" in server.get("/pictures/a.png", b"")
        server.wait_for(r"a thumbnail of a\.png, with \d+ ms left")


def test_django_site(tmp_path: Path) -> None:
    """Handlers use Django; clients and views invoke them."""
    with (
        running("django_site", "-m", "gunicorn", "website.wsgi", directory=tmp_path) as server,
        client_of(server.url) as client,
    ):
        assert server.get() == "A Django site.\n"
        request_id = submit(client, "welcome", {"email": "async@example.com"})
        server.wait_for(f"Request {request_id} greets you")
        assert "welcome_request" in server.get("/signup", b"email=view@example.com")
        server.wait_for("To: view@example.com")


def test_fastapi_app(tmp_path: Path) -> None:
    """The functions are mounted beside FastAPI, and its lifespan drains them on SIGTERM."""
    with (
        running("fastapi_app", "app.py", directory=tmp_path) as server,
        client_of(f"{server.url}/lambda") as client,
    ):
        assert json.loads(server.get()) == {"what": "A FastAPI application."}
        server.get("/greetings/view", b"")
        server.wait_for("hello view")
        request_ids = [submit(client, "greet", {"name": f"async {n}"}) for n in range(20)]
        server.stop()
        for request_id in request_ids:
            server.wait_for(f"this is request {request_id}")


def test_boto3_client(tmp_path: Path) -> None:
    """The client shows each kind of answer, and its events run in the server."""
    with running("flask_app", "-m", "gunicorn", "app:create_app()", directory=tmp_path) as server:
        client = subprocess.run(
            [PYTHON, "client.py"],
            cwd=EXAMPLES / "boto3_client",
            env={**os.environ, "PORT": str(server.port)},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert client.returncode == 0, client.stderr
        request_id = client.stdout.split()[2]
        assert client.stdout.splitlines() == [
            f"invoke_async: 202 {request_id}",
            "invoke, Event: 202",
            "invoke: 200 {'greeting': 'hello'}",
            "dry run: 204",
            "function error: Unhandled KeyError 'key'",
            "no such function: Function not found: "
            "arn:aws:lambda:us-east-1:123456789012:function:nosuch:$LATEST",
            "not JSON: 400",
        ]
        server.wait_for(f"hello boto3, this is request {request_id}")
        server.wait_for("hello Event")


def test_signed(tmp_path: Path) -> None:
    """The server makes keys for itself alone, knows who calls with them, and what each may do."""
    keys = tmp_path / "keys.ini"
    with running("signed", "app.py", directory=tmp_path, KEYS=str(keys)) as server:
        assert keys.stat().st_mode & 0o777 == 0o600
        secrets = re.findall(r"secret_access_key = (\S+)", keys.read_text())
        assert len(set(secrets)) == 2

        def call() -> list[str]:
            client = subprocess.run(
                [PYTHON, "client.py"],
                cwd=EXAMPLES / "signed",
                env={**os.environ, "PORT": str(server.port), "KEYS": str(keys)},
                capture_output=True,
                text=True,
                timeout=PATIENCE_S,
                check=False,
            )
            assert client.returncode == 0, client.stderr
            return client.stdout.splitlines()

        unknown = "The security token included in the request is invalid."
        refused = f"UnrecognizedClientException: {unknown}"
        lines = call()
        assert lines == [
            "alice: 202",
            'alice: 200 {"orders": 1}',
            'reporter: 200 {"orders": 1}',
            "reporter: AccessDeniedException: User: arn:aws:iam::123456789012:user/reporter is not "
            "authorized to perform: lambda:InvokeFunction on resource: "
            "arn:aws:lambda:us-east-1:123456789012:function:invoice because no identity-based "
            "policy allows the lambda:InvokeFunction action",
            "a stranger: MissingAuthenticationTokenException: Missing Authentication Token",
            f"a guesser: {refused}",
            "alice, elsewhere: InvalidSignatureException: "
            "Credential should be scoped to a valid region. ",
        ]
        server.wait_for("an invoice for order 1")
        server.wait_for("unknown access key .*key id AKIDEXAMPLE")

        keys.write_text(keys.read_text().replace("[reporter]", "[reporter]\ndisabled = true"))
        assert call() == [*lines[:2], f"reporter: {refused}", f"reporter: {refused}", *lines[4:]]
        written = server.output.read_text()
        assert not any(secret in written for secret in secrets)


def test_functions_file(tmp_path: Path) -> None:
    """Functions named in a file are served without an application, with versions and aliases."""
    command = ("-m", "invokeasync_wsgi", "serve", "functions.toml", "--auth", "none")
    with (
        running("functions_file", *command, "--port", "{port}", directory=tmp_path) as server,
        client_of(server.url) as client,
    ):
        server.wait_for("serving rotate, thumbnail on")
        submit(client, "rotate", {"key": "a.png"})
        server.wait_for("a.png is turned by 90 degrees")
        answer = client.invoke(FunctionName="thumbnail:live", Payload=b'{"key": "a.png"}')
        result = json.load(answer["Payload"])
        assert result["version"] == answer["ExecutedVersion"]
        assert result["thumbnail"] == {"1": "small-a.png", "2": "tiny-a.png"}[result["version"]]


def test_custom_executor(tmp_path: Path) -> None:
    """Events are run by another process, which also takes up what a killed one left behind."""
    spool = tmp_path / "spool"
    spool.mkdir()
    left_over = {
        "request_id": "11111111-1111-4111-8111-111111111111",
        "function_name": "greet",
        "payload": '{"name": "left over"}',
        "accepted_at": time.time(),
    }
    (spool / f"{time.time():020.6f}-left-over.json").write_text(json.dumps(left_over))
    with (
        running("custom_executor", "app.py", directory=tmp_path, SPOOL=str(spool)) as server,
        client_of(server.url) as client,
    ):
        server.wait_for("hello left over")
        submit(client, "greet", {"name": "async"})
        worker = server.wait_for(r"hello async, from process (\d+)")[1]
        assert int(worker) != server.process.pid
        deadline = time.monotonic() + PATIENCE_S
        while list(spool.iterdir()) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert list(spool.iterdir()) == []


def test_every_example_is_listed_and_run() -> None:
    """A folder that nothing lists or runs would rot."""
    listed = (EXAMPLES / "README.md").read_text()
    here = Path(__file__).read_text()
    for folder in EXAMPLES.iterdir():
        if folder.is_dir() and not folder.name.startswith("_"):
            assert f"({folder.name}/" in listed
            assert f'"{folder.name}"' in here
