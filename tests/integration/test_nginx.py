"""Signed requests through nginx, as it is set up in front of Python's servers.

What a proxy changes of a request is no longer what was signed: the name of the host, a prefix of
the path, the escapes in it. Each has its option, and without it the request is refused.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing

import botocore.exceptions
import pytest

from tests.integration import raw, servers, signing
from tests.integration.raw import Connection, chunked, head
from tests.integration.servers import Server, free_ports, need
from tests.integration.signing import ARN, Keys, signed_headers, signed_post
from tests.waiting import eventually

pytestmark = pytest.mark.filterwarnings("ignore:Boto3 will no longer support Python")

#: How requests are passed on, and to which of the servers below.
#:
#: nginx passes the path on as it came, unless ``proxy_pass`` has a path (if only ``/``): then it
#: decodes the path and writes it in its own way. And unless it is told otherwise, ``Host`` becomes
#: the name in ``proxy_pass``.
WAYS = {
    "host kept": """
        location / {{ proxy_set_header Host $http_host; proxy_pass http://{plain}; }}""",
    "host replaced": """
        location / {{ proxy_pass http://{plain}; }}""",
    "host replaced and set": """
        location / {{ proxy_pass http://{hosts}; }}""",
    "prefix stripped": """
        proxy_set_header Host $http_host;
        location /lambda/ {{ proxy_pass http://{plain}/; }}""",
    "prefix stripped and set": """
        proxy_set_header Host $http_host;
        location /lambda/ {{ proxy_pass http://{prefix}/; }}""",
    "prefix stripped and set, decoded and set": """
        proxy_set_header Host $http_host;
        location /lambda/ {{ proxy_pass http://{both}/; }}""",
    "prefix stripped as it came and set": """
        proxy_set_header Host $http_host;
        location /lambda/ {{ proxy_pass http://{prefix}$unprefixed; }}""",
    "TLS ended": """
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-Proto https;  # as $scheme would be
        location / {{ proxy_pass http://{plain}; }}""",
    "decoded": """
        proxy_set_header Host $http_host;
        location / {{ proxy_pass http://{plain}/; }}""",
    "decoded and set": """
        proxy_set_header Host $http_host;
        location / {{ proxy_pass http://{decodes}/; }}""",
}

CONFIGURATION = """
daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/client_body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    map $request_uri $unprefixed {{ ~^/lambda(?<rest>/.*)$ $rest; }}
    {servers}
}}
"""


class Proxy:
    """nginx, and the servers behind it."""

    def __init__(self, keys: Keys, ports: dict[str, int], behind: dict[str, Server]) -> None:
        self.keys = keys
        #: By the way that requests are passed on.
        self.ports = ports
        #: By the option that each has.
        self.behind = behind

    def url(self, way: str) -> str:
        """What clients call it."""
        prefix = "/lambda" if "prefix" in way else ""
        return f"http://127.0.0.1:{self.ports[way]}{prefix}"

    def run_of(self, request_id: str) -> object:
        """The event that a handler behind it has got."""
        found: list[object] = []

        def is_found() -> bool:
            runs = [run for server in self.behind.values() for run in server.runs()]
            found[:] = [run["event"] for run in runs if run["request_id"] == request_id]
            return bool(found)

        eventually(is_found)
        (event,) = found
        return event

    def count(self) -> int:
        """How many handlers have run."""
        return sum(len(server.runs()) for server in self.behind.values())


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    need(nginx, "nginx")
    folder = tmp_path_factory.mktemp("nginx")
    keys = Keys(folder)
    ports = dict(zip(WAYS, free_ports(len(WAYS)), strict=True))
    options = {
        "plain": {},
        "hosts": {"public_hosts": f"lambda.example.com,127.0.0.1:{ports['host replaced and set']}"},
        "prefix": {"public_prefix": "/lambda"},
        "decodes": {"proxy_decodes_path": "1"},
        "both": {"public_prefix": "/lambda", "proxy_decodes_path": "1"},
    }
    with ExitStack() as stack:
        behind = {
            name: stack.enter_context(
                servers.running(
                    "gunicorn-gthread",
                    tmp_path_factory.mktemp(name),
                    **{**keys.settings, "INVOKEASYNC_AUTH": keys.auth(**given)},
                )
            )
            for name, given in options.items()
        }
        addresses = {name: f"127.0.0.1:{server.port}" for name, server in behind.items()}
        file = folder / "nginx.conf"
        file.write_text(
            CONFIGURATION.format(
                folder=folder,
                user="user root;" if os.geteuid() == 0 else "",
                servers="\n".join(
                    f"server {{ listen 127.0.0.1:{ports[way]}; {text.format(**addresses)} }}"
                    for way, text in WAYS.items()
                ),
            )
        )
        log = folder / "nginx.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(nginx), "-p", str(folder), "-e", "stderr", "-c", str(file)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        stack.callback(process.wait, 20)
        stack.callback(process.terminate)

        def answers_or_died() -> bool:
            if process.poll() is not None:
                return True
            try:
                with Connection(ports["host kept"]):
                    return True
            except OSError:
                return False

        eventually(answers_or_died, within_s=20)
        assert process.poll() is None, log.read_text()
        yield Proxy(keys, ports, behind)


NAMES = {"plain": "record", "ARN": f"{ARN}:record:$LATEST", "alias": "echo:live"}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("way", "accepted"),
    [
        pytest.param("host kept", ["plain", "ARN", "alias"]),
        pytest.param("host replaced", []),
        pytest.param("host replaced and set", ["plain", "ARN", "alias"]),
        pytest.param("prefix stripped", []),
        pytest.param("prefix stripped and set", ["plain"]),
        pytest.param("prefix stripped and set, decoded and set", ["plain", "ARN", "alias"]),
        pytest.param("prefix stripped as it came and set", ["plain", "ARN", "alias"]),
        pytest.param("TLS ended", ["plain", "ARN", "alias"]),
        pytest.param("decoded", ["plain"]),
        pytest.param("decoded and set", ["plain", "ARN", "alias"]),
    ],
)
def test_ways(proxy: Proxy, way: str, accepted: list[str], name: str) -> None:
    """boto3's call is accepted if the server is told what nginx does, and else refused."""
    before = proxy.count()
    with closing(proxy.keys.client(proxy.url(way))) as client:
        if name in accepted:
            answer = client.invoke_async(FunctionName=NAMES[name], InvokeArgs=b'{"n": 1}')
            assert proxy.run_of(answer["ResponseMetadata"]["RequestId"]) == {"n": 1}
        else:
            with pytest.raises(botocore.exceptions.ClientError) as raised:
                client.invoke_async(FunctionName=NAMES[name], InvokeArgs=b'{"n": 1}')
            assert raised.value.response["Error"]["Code"] == "InvalidSignatureException"
            assert raised.value.response["Error"]["Message"] == signing.MISMATCH
            assert proxy.count() == before


@pytest.mark.parametrize(
    "way", ["host replaced and set", "prefix stripped and set", "decoded and set"]
)
@pytest.mark.parametrize("profile", ["wrong", "unknown", "retired"])
def test_options_let_nobody_in(proxy: Proxy, way: str, profile: str) -> None:
    before = proxy.count()
    with (
        closing(proxy.keys.client(proxy.url(way), profile)) as client,
        pytest.raises(botocore.exceptions.ClientError) as raised,
    ):
        client.invoke_async(FunctionName="record", InvokeArgs=b"{}")

    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert proxy.count() == before


def test_another_host(proxy: Proxy) -> None:
    """Of several public hosts each is good, and no other is."""
    before = proxy.count()
    for host, status in ("lambda.example.com", 202), ("lambda.example.org", 403):
        signed = signed_headers(raw.invoke_async(), host=host)
        request = raw.post(raw.invoke_async(), b"{}", {**signed, "Connection": "close"})
        with Connection(proxy.ports["host replaced and set"]) as connection:
            connection.send(request.replace(b"Host: localhost", f"Host: {host}".encode()))
            answer = connection.answer()
        assert answer is not None
        assert answer.status == status
        if status == 202:
            proxy.run_of(answer.headers["x-amzn-requestid"])
    assert proxy.count() == before + 1


@pytest.mark.parametrize(
    ("profile", "event"),
    [
        pytest.param("temporary", {"n": 1}, id="session token"),
        pytest.param("default", "x" * 100_000, id="100 KB"),
    ],
)
def test_large(proxy: Proxy, profile: str, event: object) -> None:
    """Long heads and bodies come through."""
    with closing(proxy.keys.client(proxy.url("host kept"), profile)) as client:
        answer = client.invoke_async(FunctionName=f"{ARN}:record", InvokeArgs=json.dumps(event))

    noted = "100002 bytes" if isinstance(event, str) else event
    assert proxy.run_of(answer["ResponseMetadata"]["RequestId"]) == noted


def test_by_hand(proxy: Proxy) -> None:
    """A raw colon and a final slash come through, and a chunked body, which nginx collects."""
    path = raw.invoke_async("echo:live") + "/"
    signed = {**signed_headers(path), "Connection": "close"}
    in_chunks = head(path, {**signed, "Transfer-Encoding": "chunked"}) + chunked(b"{", b"}")
    for request in signed_post(path), in_chunks:
        with Connection(proxy.ports["host kept"]) as connection:
            connection.send(request)
            answer = connection.answer()
        assert answer is not None
        assert answer.status == 202, answer
        assert proxy.run_of(answer.headers["x-amzn-requestid"]) == {}


@pytest.mark.parametrize(("way", "status"), [("TLS ended", 202), ("host kept", 403)])
def test_unsigned_payload(proxy: Proxy, way: str, status: int) -> None:
    """A body without a hash is taken where nginx tells gunicorn that it came over TLS."""
    headers = {"X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD"}
    with Connection(proxy.ports[way]) as connection:
        connection.send(signed_post(raw.invoke_async(), b'{"n": 1}', headers))
        answer = connection.answer()

    assert answer is not None
    assert answer.status == status
    if status == 202:
        assert proxy.run_of(answer.headers["x-amzn-requestid"]) == {"n": 1}
