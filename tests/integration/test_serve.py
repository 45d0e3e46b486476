"""``invokeasync-wsgi serve``, closed to strangers: keys and policies from files, as it is run."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import botocore.exceptions
import pytest

from tests.integration import raw, signing
from tests.integration.program import Program
from tests.integration.raw import Answer, Connection, post
from tests.integration.servers import free_port, need
from tests.integration.signing import DEFAULT, UNKNOWN, Keys, signed_post
from tests.waiting import eventually

pytestmark = pytest.mark.filterwarnings("ignore:Boto3 will no longer support Python")

HANDLERS = """
def note(event, context):
    print(f"{context.function_name} has run for {context.aws_request_id}", flush=True)
"""
FUNCTIONS = """
[functions]
record = "handlers:note"
echo = "handlers:note"
"""


class Site:
    """A folder as an operator has it: functions, keys and policies."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "handlers.py").write_text(HANDLERS)
        (folder / "functions.toml").write_text(FUNCTIONS)
        self.keys = Keys(folder)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    @contextmanager
    def serving(self, *arguments: str, **environment: str) -> Iterator[Program]:
        """``serve``, as soon as it answers, or has ended."""
        program = Program(
            self.folder,
            *("serve", "functions.toml", "--port", str(self.port), *arguments),
            directory=self.folder,
            **environment,
        )
        try:
            eventually(lambda: self.answers() or not program.processes(), within_s=20)
            yield program
        finally:
            program.close()

    def answers(self) -> bool:
        try:
            with Connection(self.port):
                return True
        except OSError:
            return False

    def send(self, request: bytes) -> Answer:
        with Connection(self.port) as connection:
            connection.send(request)
            answer = connection.answer()
        assert answer is not None
        return answer

    def call(self, profile: str, function_name: str = "record") -> str:
        """What comes of boto3's call: ``"202"``, or the code of the error."""
        with closing(self.keys.client(self.url, profile)) as client:
            try:
                answer = client.invoke_async(FunctionName=function_name, InvokeArgs="{}")
                return str(answer["Status"])
            except botocore.exceptions.ClientError as exc:
                return str(exc.response["Error"]["Code"])


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_command_line_client(site: Site) -> None:
    """The AWS CLI with a good key, another one, and none; with what policies allow, and not."""
    need(importlib.util.find_spec("awscli"), "the AWS CLI")
    arguments = site.folder / "arguments.json"
    arguments.write_text('{"n": 1}')
    calls = [("default", "echo"), ("limited", "record"), ("limited", "echo")]
    with (
        site.serving("--auth", "sigv4:///keys.ini", "--policies", "policies.json") as program,
        ThreadPoolExecutor(2) as pool,
    ):
        by_default, by_limited, denied, unknown, unsigned = pool.map(
            lambda call: site.keys.aws(
                *(site.url, call[0], "invoke-async", "--function-name", call[1]),
                *("--invoke-args", str(arguments)),
            ),
            [*calls, ("unknown", "record"), (None, "record")],
        )
        for result in by_default, by_limited:
            assert json.loads(result.stdout) == {"Status": 202}, result.stderr
        eventually(lambda: "echo has run" in program.log() and "record has run" in program.log())
        log = program.log()

    for result, code in [
        (denied, "AccessDeniedException"),
        (unknown, "UnrecognizedClientException"),
        (unsigned, "MissingAuthenticationTokenException"),
    ]:
        assert result.returncode > 0
        assert f"({code}) when calling the InvokeAsync operation: " in result.stderr
    assert "user/limited is not authorized to perform: lambda:InvokeFunction" in denied.stderr
    assert log.count("has run") == 2
    assert DEFAULT.secret not in log


def test_keys_are_rotated(site: Site) -> None:
    """A new key is good and an old one is not from the moment that the file says so."""
    old, new = DEFAULT, UNKNOWN._replace(more="principal = default")
    known, refused = "202", "UnrecognizedClientException"

    def calls() -> tuple[str, str]:
        return site.call(old.profile), site.call(new.profile)

    arguments = ["--auth", "sigv4:///keys.ini", "--policies", "policies.json", "--workers", "2"]
    with site.serving(*arguments) as program:
        eventually(lambda: len(program.processes()) == 3)
        processes = program.processes()
        assert calls() == (known, refused)

        site.keys.write(old, new)
        assert calls() == (known, known)

        site.keys.write(old._replace(more="disabled = true"), new)
        assert calls() == (refused, known)

        # As an editor does it that writes in place.
        site.keys.server.write_text(signing.profiles(old))
        assert calls() == (known, refused)

        assert program.processes() == processes
        for text in "unknown access key", "disabled access key":
            assert text in program.log()


def test_a_slip_locks_nobody_out(site: Site) -> None:
    """Of a file of keys that makes no sense any more a process keeps what it has read before."""
    refused = "UnrecognizedClientException"
    with site.serving("--auth", "sigv4:///keys.ini", "--workers", "1") as program:
        site.keys.write(DEFAULT)
        assert (site.call("default"), site.call("limited")) == ("202", refused)

        site.keys.server.write_text("[default\n")
        assert (site.call("default"), site.call("limited")) == ("202", refused)
        assert "what it said before stays in force" in program.log()


def test_policies_are_changed(site: Site) -> None:
    """What a principal may do is what the file says now."""
    with site.serving("--auth", "sigv4:///keys.ini", "--policies", "policies.json") as program:
        assert site.call("limited", "echo") == "AccessDeniedException"

        policies = {**signing.POLICIES, "limited": signing.POLICIES["default"]}
        site.keys.policies.write_text(json.dumps(policies))
        assert site.call("limited", "echo") == "202"

        site.keys.policies.write_text("{")
        assert site.call("limited", "echo") == "202"
        assert "what it said before stays in force" in program.log()

        site.keys.policies.write_text("{}")
        assert site.call("default", "echo") == "AccessDeniedException"


def test_open_to_the_world_is_refused(site: Site) -> None:
    """Without authentication it binds no address that others can reach, unless told twice."""
    with site.serving("--auth", "none", "--host", "0.0.0.0") as program:
        assert program.wait() == 2
        assert "--allow-unauthenticated" in program.log()
        assert program.log().count("\n") == 1

    with site.serving("--auth", "none", "--host", "0.0.0.0", "--allow-unauthenticated") as program:
        assert site.send(post(raw.invoke_async())).status == 202
        assert (
            "everybody who reaches this server may invoke and configure every function"
            in program.log()
        )


def test_no_authentication_said_is_refused(site: Site) -> None:
    with site.serving() as program:
        assert program.wait() == 2
        assert "say how callers are authenticated" in program.log()
        assert program.log().count("\n") == 1


@pytest.mark.parametrize(
    ("auth", "environment"),
    [
        pytest.param("sigv4:///keys.ini", {}, id="a file from here"),
        pytest.param("sigv4:///{folder}/keys.ini", {}, id="a file from the root"),
        pytest.param(
            "sigv4:",
            {
                "AWS_ACCESS_KEY_ID": DEFAULT.access_key_id,
                "AWS_SECRET_ACCESS_KEY": DEFAULT.secret,
                "AWS_SESSION_TOKEN": "",
            },
            id="the environment",
        ),
    ],
)
def test_closed_to_strangers(site: Site, auth: str, environment: dict[str, str]) -> None:
    """With authentication every address may be bound; who cannot sign is kept out."""
    auth = auth.format(folder=site.folder)
    with site.serving("--auth", auth, "--host", "0.0.0.0", **environment) as program:
        assert site.send(signed_post(raw.invoke_async())).status == 202
        for key in UNKNOWN, signing.WRONG:
            assert site.send(signed_post(raw.invoke_async(), key=key)).status == 403
        unsigned = site.send(post(raw.invoke_async(), b"{}", {"Connection": "close"}))
        assert unsigned.outcome == "MissingAuthenticationTokenException"
        eventually(lambda: "record has run" in program.log())
        assert program.log().count("has run") == 1


def test_with_worker_processes(site: Site) -> None:
    """The keys are those of the process that serves; those that work need none."""
    arguments = ["--auth", "sigv4:///keys.ini", "--policies", "policies.json"]
    with site.serving(*arguments, "--worker-processes", "1") as program:
        assert site.call("default", "echo") == "202"
        assert site.call("limited", "echo") == "AccessDeniedException"
        assert site.call("wrong", "echo") == "InvalidSignatureException"
        eventually(lambda: "echo has run" in program.log(), within_s=20)
        assert program.log().count("has run") == 1


def test_missing_file(site: Site) -> None:
    with site.serving("--auth", "sigv4:///no-keys.ini") as program:
        assert program.wait() == 2
        assert "no-keys.ini': No such file or directory" in program.log()


def test_failing_callers_are_slowed_down(site: Site) -> None:
    """A source that fails too often gets 429, and does not lock out whoever is behind it, too."""
    with site.serving(
        "--auth", "sigv4:///keys.ini", INVOKEASYNC_AUTH_FAILURES_PER_MINUTE="3"
    ) as program:
        outcomes = [
            site.send(signed_post(raw.invoke_async(), key=UNKNOWN)).outcome for _ in range(5)
        ]
        with (
            closing(site.keys.client(site.url, "unknown")) as client,
            pytest.raises(client.exceptions.TooManyRequestsException) as raised,
        ):
            client.invoke_async(FunctionName="record", InvokeArgs="{}")

        assert outcomes == ["UnrecognizedClientException"] * 3 + ["TooManyRequestsException"] * 2
        assert raised.value.response["Reason"] == "CallerRateLimitExceeded"
        assert int(raised.value.response["retryAfterSeconds"]) > 0
        assert site.call("default") == "202"
        assert program.log().count("was refused with") == 3


def test_replays(site: Site) -> None:
    """A request that was overheard is good once, whichever process it is sent to."""
    auth = "sigv4:///keys.ini?replays=sqlite:///replays.db"
    with site.serving("--auth", auth, "--workers", "2") as program:
        for body in b"1", b"2", b"3":
            overheard = signed_post(raw.invoke_async(), body)
            with ThreadPoolExecutor(8) as pool:
                outcomes = list(pool.map(site.send, [overheard] * 8))
            assert sorted(answer.status for answer in outcomes) == [202] + [403] * 7
        eventually(lambda: program.log().count("has run") == 3)
        assert program.log().count("replayed") == 3 * 7


def test_bearer_tokens(site: Site) -> None:
    """Clients that cannot sign show a token, of which the server knows the hash."""
    token = "1b2e3c" * 10
    tokens = site.folder / "tokens.ini"
    tokens.write_text(f"[limited]\nsha256 = {hashlib.sha256(token.encode()).hexdigest()}\n")
    arguments = ["--auth", "bearer:///tokens.ini", "--policies", "policies.json"]
    with site.serving(*arguments) as program:
        outcomes = [
            site.send(
                post(
                    raw.invoke_async(function_name),
                    b"{}",
                    {"Authorization": f"Bearer {shown}", "Connection": "close"},
                )
            ).outcome
            for shown, function_name in [(token, "record"), (token, "echo"), (token[1:], "record")]
        ]

        assert outcomes == ["202", "AccessDeniedException", "UnrecognizedClientException"]
        assert token[1:] not in program.log()
