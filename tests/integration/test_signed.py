"""AWS's own clients sign, and every server's requests are verified as they were signed.

The clients read their keys from a credentials file, and so does the server. Each accepted call is
followed into its handler; behind each refused one it is seen that nothing has run.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import botocore.exceptions
import pytest

from tests.integration import raw, servers, signing
from tests.integration.raw import Answer, Connection, check_documented, chunked, head, post
from tests.integration.servers import Server, need
from tests.integration.signing import ARN, Key, Keys, signed_headers, signed_post

# What boto3 says of Pythons that it is about to leave behind is not about us.
pytestmark = pytest.mark.filterwarnings("ignore:Boto3 will no longer support Python")

JS = Path(__file__).parent / "js"
CLOSE = {"Connection": "close"}
EVENT = {"X-Amz-Invocation-Type": "Event"}
BODY = b'{"n": 1}'


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module", params=servers.SIGNED)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, keys: Keys
) -> Iterator[Server]:
    """The application on every server, to those who sign."""
    folder = tmp_path_factory.mktemp(request.param)
    streams = keys.auth(unsigned_payload="always")
    with servers.running(
        request.param, folder, "signed", **keys.settings, STREAMS_AUTH=streams
    ) as server:
        yield server


Clients = Callable[..., Any]


@pytest.fixture(scope="module")
def clients(server: Server, keys: Keys) -> Iterator[Clients]:
    """boto3's clients by profile and mount, made once for each server."""
    made: dict[tuple[str, str], Any] = {}

    def client(profile: str = "default", mount: str = "") -> Any:
        if (profile, mount) not in made:
            made[profile, mount] = keys.client(server.url + mount, profile)
        return made[profile, mount]

    yield client
    for each in made.values():
        each.close()


def request_id(answer: dict[str, Any]) -> str:
    return str(answer["ResponseMetadata"]["RequestId"])


@contextmanager
def nothing_runs(server: Server) -> Iterator[None]:
    """Fail if a handler has run for what is sent within this block."""
    before = len(server.runs())
    yield
    accepted_event(server, server.send(signed_post(raw.invoke_async(), b'"after"')))
    assert len(server.runs()) == before + 1, server.runs()[before:]


def accepted_event(server: Server, answer: Answer) -> object:
    """The event that the handler of an accepted request has got."""
    assert answer.status == 202, (answer, server.log())
    check_documented(answer)
    return server.run_of(answer.headers["x-amzn-requestid"])["event"]


def check_refused(answer: Answer | None, code: str, message: str | None = None) -> None:
    assert answer is not None
    check_documented(answer)
    assert answer.outcome == code, answer
    if message is not None:
        error = json.loads(answer.body)
        assert error.get("message", error.get("Message")) == message


class TestBoto3:
    @pytest.mark.parametrize("mount", ["", "/mounted"])
    @pytest.mark.parametrize(
        ("function_name", "version"),
        [
            ("echo", "$LATEST"),
            ("echo:live", "1"),
            ("echo:$LATEST", "$LATEST"),
            ("123456789012:function:echo:1", "1"),
            (f"{ARN}:echo", "$LATEST"),
            (f"{ARN}:echo:live", "1"),
            (f"{ARN}:echo:$LATEST", "$LATEST"),
        ],
    )
    def test_invoke_async(
        self, server: Server, clients: Clients, function_name: str, version: str, mount: str
    ) -> None:
        """Every form of a name is verified as botocore has encoded it, also below a prefix."""
        answer = clients(mount=mount).invoke_async(FunctionName=function_name, InvokeArgs=BODY)

        assert answer["Status"] == 202
        run = server.run_of(request_id(answer))
        assert (run["function"], run["version"], run["event"]) == ("echo", version, {"n": 1})

    @pytest.mark.parametrize(("qualifier", "version"), [("live", "1"), ("$LATEST", "$LATEST")])
    def test_qualifier(
        self, server: Server, clients: Clients, qualifier: str, version: str
    ) -> None:
        answer = clients().invoke(
            FunctionName=f"{ARN}:echo",
            Qualifier=qualifier,
            InvocationType="Event",
            Payload=BODY,
        )

        assert answer["StatusCode"] == 202
        assert server.run_of(request_id(answer))["version"] == version

    def test_request_response(self, server: Server, clients: Clients) -> None:
        answer = clients().invoke(FunctionName="echo:live", LogType="Tail", Payload=BODY)

        assert json.load(answer["Payload"]) == {"n": 1}
        server.run_of(request_id(answer))

    def test_response_stream(self, server: Server, clients: Clients) -> None:
        answer = clients().invoke_with_response_stream(FunctionName="echo", Payload=BODY)

        assert json.loads(next(iter(answer["EventStream"]))["PayloadChunk"]["Payload"]) == {"n": 1}
        server.run_of(request_id(answer))

    def test_large_body(self, server: Server, clients: Clients) -> None:
        """100 KB, which comes in pieces."""
        event = json.dumps("x" * 100_000).encode()
        answer = clients().invoke_async(FunctionName="record", InvokeArgs=event)

        assert server.run_of(request_id(answer))["event"] == "100002 bytes"

    def test_session_token(self, server: Server, clients: Clients) -> None:
        """Temporary credentials, with a token that is longer than all the rest of the head."""
        answer = clients("temporary").invoke_async(FunctionName=f"{ARN}:record", InvokeArgs=BODY)

        assert server.run_of(request_id(answer))["event"] == {"n": 1}

    def test_allowed_by_policy(self, server: Server, clients: Clients) -> None:
        """Who may invoke one alias may say so in both ways."""
        by_name = clients("limited").invoke_async(FunctionName="echo:live", InvokeArgs=BODY)
        by_query = clients("limited").invoke(
            FunctionName="echo", Qualifier="live", InvocationType="Event", Payload=BODY
        )

        for answer in by_name, by_query:
            assert server.run_of(request_id(answer))["version"] == "1"

    @pytest.mark.parametrize(
        ("profile", "function_name", "code", "message"),
        [
            pytest.param(
                "wrong",
                "record",
                "InvalidSignatureException",
                signing.MISMATCH,
                id="another secret",
            ),
            pytest.param(
                "unknown",
                "record",
                "UnrecognizedClientException",
                signing.INVALID_TOKEN,
                id="unknown key",
            ),
            pytest.param(
                "retired",
                "record",
                "UnrecognizedClientException",
                signing.INVALID_TOKEN,
                id="disabled key",
            ),
            pytest.param(
                "mixed-up",
                "record",
                "UnrecognizedClientException",
                signing.INVALID_TOKEN,
                id="another session token",
            ),
            pytest.param(
                "tokenless",
                "record",
                "UnrecognizedClientException",
                signing.INVALID_TOKEN,
                id="no session token",
            ),
            pytest.param(
                "limited",
                "echo",
                "AccessDeniedException",
                "User: arn:aws:iam::123456789012:user/limited is not authorized to perform: "
                f"lambda:InvokeFunction on resource: {ARN}:echo because no identity-based policy "
                "allows the lambda:InvokeFunction action",
                id="nothing allows it",
            ),
            pytest.param(
                "limited",
                f"{ARN}:nowhere:live",
                "AccessDeniedException",
                "User: arn:aws:iam::123456789012:user/limited is not authorized to perform: "
                f"lambda:InvokeFunction on resource: {ARN}:nowhere:live because no identity-based "
                "policy allows the lambda:InvokeFunction action",
                id="nothing allows it, nor is it there",
            ),
            pytest.param(
                "forbidden",
                "echo:live",
                "AccessDeniedException",
                "User: arn:aws:iam::123456789012:user/forbidden is not authorized to perform: "
                f"lambda:InvokeFunction on resource: {ARN}:echo:live with an explicit deny in an "
                "identity-based policy",
                id="forbidden",
            ),
            pytest.param(
                "default",
                "nowhere",
                "ResourceNotFoundException",
                f"Function not found: {ARN}:nowhere:$LATEST",
                id="allowed, and not there",
            ),
        ],
    )
    def test_refused(
        self,
        server: Server,
        clients: Clients,
        profile: str,
        function_name: str,
        code: str,
        message: str,
    ) -> None:
        """botocore raises the error it raises for AWS, with AWS's text, and nothing runs."""
        with nothing_runs(server), pytest.raises(botocore.exceptions.ClientError) as raised:
            clients(profile).invoke_async(FunctionName=function_name, InvokeArgs=BODY)

        assert raised.value.response["Error"]["Code"] == code
        assert raised.value.response["Error"]["Message"] == message

    @pytest.mark.parametrize("function_name", ["a/b", "a b", "a+b", "a%b", "a;b=c", "~a", "имя"])
    def test_bad_names(self, server: Server, clients: Clients, function_name: str) -> None:
        """What can be no name is signed as well, and told so."""
        with pytest.raises(botocore.exceptions.ClientError) as raised:
            clients().invoke_async(FunctionName=function_name, InvokeArgs=BODY)

        code = "ValidationException"
        if function_name == "a/b" and server.name == "mod_wsgi":
            code = "404"  # Apache's own answer
        elif function_name == "a/b" and not server.kind.keeps_path:
            code = "InvalidSignatureException"
        assert raised.value.response["Error"]["Code"] == code

    def test_large_refused(self, server: Server, keys: Keys) -> None:
        """Who sends 200 KB and is not known still reads why, on a connection of its own."""
        for _ in range(3):
            with (
                closing(keys.client(server.url, "unknown")) as client,
                pytest.raises(botocore.exceptions.ClientError, match="UnrecognizedClient"),
            ):
                client.invoke_async(FunctionName="record", InvokeArgs=b"1" * 200_000)


class TestPresigned:
    """URLs that botocore has signed, sent by somebody who knows nothing of keys."""

    def fetch(
        self, url: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        request = urllib.request.Request(url, body, headers or {}, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.headers
        except urllib.error.HTTPError as exc:
            with closing(exc):
                return exc.code, exc.headers

    @pytest.mark.parametrize("mount", ["", "/mounted"])
    @pytest.mark.parametrize("function_name", ["record", "echo:live", f"{ARN}:echo:$LATEST"])
    def test_accepted(
        self, server: Server, clients: Clients, function_name: str, mount: str
    ) -> None:
        url = clients(mount=mount).generate_presigned_url(
            "invoke_async",
            {"FunctionName": function_name, "InvokeArgs": b""},
            ExpiresIn=60,
            HttpMethod="POST",
        )
        status, headers = self.fetch(url)

        assert status == 202
        assert server.run_of(headers["x-amzn-requestid"])["event"] == {}

    def test_qualifier_and_type(self, server: Server, clients: Clients) -> None:
        """A parameter in the query, and one in a header, which has to be sent again."""
        url = clients().generate_presigned_url(
            "invoke", {"FunctionName": "echo", "Qualifier": "$LATEST", "InvocationType": "Event"}
        )
        status, headers = self.fetch(url, headers=EVENT)

        assert status == 202
        assert server.run_of(headers["x-amzn-requestid"])["version"] == "$LATEST"
        with nothing_runs(server):
            status, headers = self.fetch(url, headers={"X-Amz-Invocation-Type": "DryRun"})
        assert (status, headers["x-amzn-errortype"]) == (403, "InvalidSignatureException")

    @pytest.mark.parametrize(
        ("old", "new", "body"),
        [
            pytest.param("functions/record", "functions/echo", b"", id="another function"),
            pytest.param("Expires=60", "Expires=600", b"", id="a longer life"),
            pytest.param("", "", BODY, id="a body"),
        ],
    )
    def test_changed(
        self, server: Server, clients: Clients, old: str, new: str, body: bytes
    ) -> None:
        url = clients().generate_presigned_url(
            "invoke_async", {"FunctionName": "record", "InvokeArgs": b""}, ExpiresIn=60
        )
        with nothing_runs(server):
            status, headers = self.fetch(url.replace(old, new), body)

        assert (status, headers["x-amzn-errortype"]) == (403, "InvalidSignatureException")


class TestByHand:
    """What no client library sends, and others do."""

    @pytest.mark.parametrize(
        "path",
        [
            pytest.param(raw.invoke_async("echo:live"), id="a raw colon"),
            pytest.param(raw.invoke_async(f"{ARN}:echo:$LATEST"), id="a raw ARN"),
            pytest.param(raw.invoke_async("echo:%24LATEST"), id="half encoded"),
            pytest.param(raw.invoke_async("echo%3Alive") + "/", id="a final slash"),
            pytest.param(raw.invoke_async("echo:live") + "/", id="a raw colon, a final slash"),
            pytest.param(f"/mounted{raw.invoke_async('echo:live')}/", id="mounted"),
            pytest.param(f"{raw.invoke('echo')}/?Qualifier=live", id="a query, a final slash"),
            pytest.param(f"{raw.invoke('echo')}?Qualifier=%24LATEST&a&b=%2f", id="a longer query"),
        ],
    )
    def test_paths(self, server: Server, path: str) -> None:
        """A path is verified as it came, whatever was escaped in it."""
        answer = server.send(signed_post(path, BODY, EVENT))

        assert accepted_event(server, answer) == {"n": 1}

    def test_seldom_escapes(self, server: Server) -> None:
        """Escapes that no SDK would write, where the server shows what was written."""
        request = signed_post(raw.invoke_async("%65cho%3alive"), BODY)
        if server.kind.keeps_path:
            assert accepted_event(server, server.send(request)) == {"n": 1}
        else:
            check_refused(server.send(request), "InvalidSignatureException", signing.MISMATCH)

    @pytest.mark.parametrize(
        ("event", "noted"), [(b'{"n": 1}', {"n": 1}), (b'"%b"' % (b"x" * 10**5), "100002 bytes")]
    )
    def test_chunked(self, server: Server, event: bytes, noted: object) -> None:
        """A body of unknown length is verified by its content."""
        headers = {**signed_headers(raw.invoke_async(), event), **CLOSE}
        request = head(raw.invoke_async(), {**headers, "Transfer-Encoding": "chunked"})
        middle = len(event) // 2

        answer = server.send(request + chunked(event[:middle], event[middle:]))
        assert accepted_event(server, answer) == noted
        with nothing_runs(server):
            answer = server.send(request + chunked(event[:middle], b" ", event[middle:]))
        check_refused(answer, "InvalidSignatureException", signing.MISMATCH)

    def test_unsigned_payload(self, server: Server) -> None:
        """A body that nobody has hashed is taken where that is set, and not over plain HTTP by
        itself."""
        headers = {"X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD"}
        mounted = f"/streams{raw.invoke_async()}"

        answer = server.send(signed_post(mounted, BODY, headers))
        assert accepted_event(server, answer) == {"n": 1}
        with nothing_runs(server):
            answer = server.send(signed_post(raw.invoke_async(), BODY, headers))
        check_refused(answer, "InvalidSignatureException", signing.MISMATCH)

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            pytest.param(b'{"n": 1}', b'{"n": 2}', id="the body"),
            pytest.param(b"functions/echo", b"functions/record", id="the function"),
            pytest.param(b"Qualifier=live", b"Qualifier=1", id="the query"),
            pytest.param(b"/invocations?", b"/invocations/?", id="a slash"),
            pytest.param(b"POST /2015", b"POST /mounted/2015", id="the mount"),
            pytest.param(b"Host: localhost", b"Host: localhost:80", id="the host"),
            pytest.param(b"Type: Event", b"Type: DryRun", id="a signed header"),
            pytest.param(b"\r\nConnection", b"\r\nX-Amz-Log-Type: Tail\r\nConnection", id="added"),
            pytest.param(b"us-east-1/lambda", b"us-east-1/events", id="the scope"),
        ],
    )
    def test_changed(self, server: Server, old: bytes, new: bytes) -> None:
        """Nothing that matters can be changed on the way."""
        request = signed_post(f"{raw.invoke('echo')}?Qualifier=live", b'{"n": 1}', EVENT)
        assert old in request
        with nothing_runs(server):
            answer = server.send(request.replace(old, new))

        check_refused(answer, "InvalidSignatureException")

    @pytest.mark.parametrize(
        "header", [b"X_Amz_Invocation_Type: DryRun", b"X_AMZ_INVOCATION_TYPE: DryRun"]
    )
    def test_underscores(self, server: Server, header: bytes) -> None:
        """A header that CGI cannot tell from a signed one is left out by the server, or refused."""
        request = signed_post(raw.invoke("echo"), BODY, EVENT)
        answer = server.send(request.replace(b"\r\nHost", b"\r\n" + header + b"\r\nHost"))

        if answer.outcome == "202":
            assert accepted_event(server, answer) == {"n": 1}
        else:
            check_refused(answer, "InvalidSignatureException", signing.MISMATCH)

    @pytest.mark.parametrize(
        ("headers", "code"),
        [
            pytest.param({}, "MissingAuthenticationTokenException", id="unsigned"),
            pytest.param(
                {"Authorization": "Basic dXNlcjpwYXNzd29yZA=="},
                "IncompleteSignatureException",
                id="another scheme",
            ),
            pytest.param(
                {"Authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE"},
                "IncompleteSignatureException",
                id="half a signature",
            ),
            pytest.param(
                signed_headers(raw.invoke_async(), region="eu-west-1"),
                "InvalidSignatureException",
                id="another region",
            ),
        ],
    )
    def test_no_signature(self, server: Server, headers: dict[str, str], code: str) -> None:
        with nothing_runs(server):
            answer = server.send(post(raw.invoke_async(), b"{}", {**headers, **CLOSE}))

        check_refused(answer, code)

    def test_no_operation(self, server: Server) -> None:
        """Who is not known is not told whether there is such a path; who is, is."""
        path = "/2015-03-31/functions/echo/snapshots"

        answer = server.send(signed_post(path))
        check_refused(answer, "AccessDeniedException", raw.UNKNOWN_OPERATION)
        answer = server.send(post(path, b"{}", CLOSE))
        check_refused(answer, "MissingAuthenticationTokenException", "Missing Authentication Token")


class TestStalledBodies:
    """A stranger who announces a large body and sends none of it.

    Servers that call the application only when they have the body cannot help waiting for it.
    """

    @pytest.mark.parametrize("expect", [{}, {"Expect": "100-continue"}], ids=["", "expect"])
    @pytest.mark.parametrize(
        "framing", [{"Content-Length": str(10**7)}, {"Transfer-Encoding": "chunked"}], ids=[*"lc"]
    )
    @pytest.mark.parametrize(
        ("key", "code"),
        [
            pytest.param(None, "MissingAuthenticationTokenException", id="unsigned"),
            pytest.param(signing.UNKNOWN, "UnrecognizedClientException", id="unknown key"),
            pytest.param(signing.WRONG, "InvalidSignatureException", id="another secret"),
        ],
    )
    def test_refused_at_once(
        self,
        server: Server,
        key: Key | None,
        code: str,
        framing: dict[str, str],
        expect: dict[str, str],
    ) -> None:
        """What the headers tell is answered before the body comes."""
        if not server.kind.streams_bodies:
            return
        headers = {**framing, **expect}
        if server.kind.drains_bodies:
            headers["Connection"] = "close"
        if key is not None:
            hashed = {"X-Amz-Content-Sha256": "0" * 64}
            headers.update(signed_headers(raw.invoke_async(), headers=hashed, key=key))
        with nothing_runs(server), Connection(server.port, 5) as connection:
            connection.send(head(raw.invoke_async(), headers))
            answer = connection.answer()

        check_refused(answer, code)

    @pytest.mark.parametrize("times", [1, 2000], ids=["small", "large"])
    @pytest.mark.parametrize("is_late", [False, True], ids=["at once", "late"])
    def test_never_a_request(self, server: Server, times: int, is_late: bool) -> None:
        """The unread body of a stranger, whenever it comes, is not taken for the next request."""
        body = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * times
        unsigned = head(raw.invoke_async(), {"Content-Length": str(len(body))})
        waits = not server.kind.streams_bodies or server.kind.drains_bodies
        with Connection(server.port, 5) as connection:
            connection.send(unsigned)
            if is_late and not waits:
                first = connection.answer()
                connection.send(body)
            else:
                connection.send(body)
                first = connection.answer()
            check_refused(first, "MissingAuthenticationTokenException")
            if first is None or first.closes:
                return
            connection.send(signed_post(raw.invoke_async()))
            second = connection.answer()
            if second is not None:  # gunicorn's threads say that they keep what they close
                assert accepted_event(server, second) == {}
                assert connection.answer() is None

    def test_too_large(self, server: Server) -> None:
        """A body over the limit is refused by its announced length also of somebody known."""
        if not server.kind.streams_bodies:
            return
        headers = {**signed_headers(raw.invoke_async()), "Content-Length": str(10**7), **CLOSE}
        with nothing_runs(server), Connection(server.port, 5) as connection:
            connection.send(head(raw.invoke_async(), headers))
            answer = connection.answer()

        check_refused(answer, "RequestEntityTooLargeException")


def test_command_line(server: Server, keys: Keys, tmp_path: Path) -> None:
    """The AWS CLI with the keys of its profiles."""
    need(importlib.util.find_spec("awscli"), "the AWS CLI")
    arguments = tmp_path / "arguments.json"
    arguments.write_text('{"from": "the CLI"}')
    with ThreadPoolExecutor(2) as pool:
        accepted, refused = pool.map(
            lambda profile: keys.aws(
                *(server.url, profile, "invoke-async", "--function-name", f"{ARN}:echo:live"),
                *("--invoke-args", str(arguments)),
            ),
            ["default", "wrong"],
        )

    assert json.loads(accepted.stdout) == {"Status": 202}, accepted.stderr
    assert {"from": "the CLI"} in [run["event"] for run in server.runs()]
    assert refused.returncode > 0
    assert (
        f"(InvalidSignatureException) when calling the InvokeAsync operation: {signing.MISMATCH}"
        in refused.stderr
    )


@pytest.mark.parametrize("script", ["signed_v3.mjs", "signed_v2.cjs"])
def test_javascript(server: Server, keys: Keys, script: str) -> None:
    """Both JavaScript SDKs, which sign more headers than botocore, and the body's hash as one.

    The newer one does not hash a stream, and sends it in chunks.
    """
    node = shutil.which("node")
    need(node, "Node.js")
    need((JS / "node_modules").is_dir(), "the modules of package.json: make integration")
    result = subprocess.run(
        [str(node), str(JS / script), server.url],
        env=keys.environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    results = json.loads(result.stdout)

    client = script[len("signed_") :][:2]
    latest = ["plain", "arn", "latest", "qualifier", "token"]
    for name, version in [
        *((name, "$LATEST") for name in latest),
        ("alias", "1"),
        ("mounted", "1"),
    ]:
        assert results[name]["status"] == 202, (name, results[name])
        run = server.run_of(results[name]["requestId"])
        assert (run["version"], run["event"]) == (version, {"from": client})
    assert server.run_of(results["large"]["requestId"])["event"] == "100002 bytes"
    refused = {
        "wrong": ("InvalidSignatureException", signing.MISMATCH),
        "unknown": ("UnrecognizedClientException", signing.INVALID_TOKEN),
    }
    if client == "v3":
        assert server.run_of(results["stream"]["requestId"])["event"] == {"from": "v3"}
        refused["streamRefused"] = refused["wrong"]
    for name, (code, message) in refused.items():
        expected = (403, code, message)
        assert (
            results[name]["status"],
            results[name]["error"],
            results[name]["message"],
        ) == expected
    assert results["denied"]["error"] == "AccessDeniedException"
    assert "is not authorized to perform: lambda:InvokeFunction" in results["denied"]["message"]


@pytest.mark.parametrize("name", servers.PREFIXING)
def test_prefix_of_the_server(name: str, keys: Keys, tmp_path: Path) -> None:
    """Where the server itself mounts the application, the whole path is verified."""
    with servers.running(name, tmp_path, prefix="/api", **keys.settings) as server:
        with closing(keys.client(f"{server.url}/api")) as client:
            for function_name in "echo", "echo:live", f"{ARN}:echo:$LATEST":
                answer = client.invoke_async(FunctionName=function_name, InvokeArgs=BODY)
                assert server.run_of(request_id(answer))["event"] == {"n": 1}
        runs = len(server.runs())
        request = signed_post(raw.invoke_async()).replace(b"POST /", b"POST /api/")
        check_refused(server.send(request), "InvalidSignatureException", signing.MISMATCH)
        assert len(server.runs()) == runs


@pytest.mark.parametrize("application", ["flask", "two"])
def test_flask(application: str, keys: Keys, tmp_path: Path) -> None:
    """The extension verifies as the middleware does, also of two mounted applications."""
    mounts = ["/one", "/two"] if application == "two" else [""]
    with servers.running("gunicorn-gthread", tmp_path, application, **keys.settings) as server:
        for mount in mounts:
            with closing(keys.client(server.url + mount)) as client:
                answer = client.invoke_async(FunctionName=f"{ARN}:echo:live", InvokeArgs=BODY)
            assert server.run_of(request_id(answer))["event"] == {"n": 1}
            answer = server.send(post(mount + raw.invoke_async(), b"{}", CLOSE))
            check_refused(answer, "MissingAuthenticationTokenException")


def test_log(server: Server) -> None:
    """The log tells why callers were refused, and no secret. Runs last."""
    log = server.log()

    assert server.tracebacks_of_ours() == []
    for reason in (
        "refused with MissingAuthenticationTokenException: Missing Authentication Token (source",
        "refused with InvalidSignatureException: the signature is not the one of this request (",
        "refused with UnrecognizedClientException: unknown access key (source 127.0.0.1, key id "
        "AKIDUNKNOWN)",
        "refused with UnrecognizedClientException: disabled access key (",
        "refused with UnrecognizedClientException: wrong session token (",
        "refused with InvalidSignatureException: the header x-amz-log-type is not signed (",
        "refused with InvalidSignatureException: x-amz-content-sha256 may not be "
        "'UNSIGNED-PAYLOAD' (",
    ):
        assert reason in log, reason
    for key in (*signing.KNOWN, *signing.STRANGERS):
        assert key.secret not in log
        assert key.token is None or key.token not in log
