"""context.py: what a handler may know of its invocation."""

from __future__ import annotations

import re
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from invokeasync_wsgi import Context, Function, Invocation
from invokeasync_wsgi.config import Settings
from invokeasync_wsgi.testing import FakeClock

ARN = "arn:aws:lambda:us-east-1:123456789012:function:f"
#: What stands for the function in a trace id.
KEY = sha256(ARN.encode()).hexdigest()[:8]
INVOCATION = Invocation(
    request_id="4c7a6e5e-2f0c-4f0e-8e0e-0d4c5a3b2a1f",
    function_name="f",
    payload=b"{}",
    accepted_at=1577836800.0,
)


def handler(event: Any, context: Context) -> None: ...


FUNCTION = Function(name="f", handler=handler, memory_limit_in_mb=128, versions={"7": handler})


def make_context(
    invocation: Invocation = INVOCATION,
    *,
    version: str = "$LATEST",
    timeout_s: float = 3,
    clock: FakeClock | None = None,
) -> Context:
    clock = FakeClock() if clock is None else clock
    return Context(
        invocation,
        FUNCTION,
        FUNCTION.version(version),
        settings=Settings(auth="none", region="us-east-1", account_id="123456789012"),
        deadline=clock.monotonic() + timeout_s,
        clock=clock,
    )


def test_it_has_the_attributes_of_awss_runtime() -> None:
    context = make_context()
    assert context.aws_request_id == INVOCATION.request_id
    assert context.function_name == "f"
    assert context.function_version == "$LATEST"
    assert context.invoked_function_arn == ARN
    assert context.log_group_name == "/aws/lambda/f"
    assert context.tenant_id is None


@pytest.mark.parametrize(
    ("qualifier", "arn"), [(None, ARN), ("$LATEST", f"{ARN}:$LATEST"), ("live", f"{ARN}:live")]
)
def test_the_arn_has_a_qualifier_only_when_the_caller_named_one(
    qualifier: str | None, arn: str
) -> None:
    context = make_context(replace(INVOCATION, qualifier=qualifier))
    assert context.invoked_function_arn == arn


def test_the_memory_limit_is_a_string() -> None:
    assert make_context().memory_limit_in_mb == "128"


@pytest.mark.parametrize("version", ["$LATEST", "7"])
def test_the_log_stream_is_of_this_day_version_and_process(version: str) -> None:
    stream = make_context(version=version).log_stream_name
    assert re.fullmatch(rf"2020/01/01/\[{re.escape(version)}\][0-9a-f]{{32}}", stream)
    assert make_context(version=version).log_stream_name == stream


def test_the_log_streams_day_is_that_of_the_clock() -> None:
    clock = FakeClock()
    context = make_context(clock=clock)
    clock.advance(24 * 3600 - 1)
    assert context.log_stream_name.startswith("2020/01/01/")
    clock.advance(1)
    assert context.log_stream_name.startswith("2020/01/02/")


@pytest.mark.parametrize(
    ("passed_s", "remaining_ms"),
    [
        pytest.param(0, 3000, id="at the start"),
        pytest.param(1, 2000, id="after a second"),
        pytest.param(2.9375, 62, id="cut to whole milliseconds"),
        pytest.param(3, 0, id="at the deadline"),
        pytest.param(1000, 0, id="never below 0"),
    ],
)
def test_the_remaining_time_runs_to_the_deadline(passed_s: float, remaining_ms: int) -> None:
    clock = FakeClock()
    context = make_context(clock=clock)
    clock.advance(passed_s)
    remaining = context.get_remaining_time_in_millis()
    assert (remaining, type(remaining)) == (remaining_ms, int)


def test_no_client_context_is_none() -> None:
    assert make_context().client_context is None


def test_a_client_context_has_the_members_that_sdks_send() -> None:
    text = (
        '{"custom": {"k": "v"}, "env": {"locale": "de"}, "client": {"installation_id": "i", '
        '"app_title": "t", "app_version_name": "n", "app_version_code": "c", '
        '"app_package_name": "p"}}'
    )
    client_context = make_context(replace(INVOCATION, client_context=text)).client_context
    assert client_context is not None
    assert client_context.custom == {"k": "v"}
    assert client_context.env == {"locale": "de"}
    client = client_context.client
    assert client is not None
    assert [
        getattr(client, name)
        for name in (
            "installation_id",
            "app_title",
            "app_version_name",
            "app_version_code",
            "app_package_name",
        )
    ] == ["i", "t", "n", "c", "p"]


@pytest.mark.parametrize("text", ["{}", '{"client": null}', '{"client": 5}', '{"other": 1}'])
def test_what_is_missing_in_a_client_context_is_none(text: str) -> None:
    client_context = make_context(replace(INVOCATION, client_context=text)).client_context
    assert client_context is not None
    assert (client_context.custom, client_context.env, client_context.client) == (None, None, None)


def test_what_is_missing_in_a_client_is_none() -> None:
    text = '{"client": {"app_title": "t"}}'
    client_context = make_context(replace(INVOCATION, client_context=text)).client_context
    assert client_context is not None
    client = client_context.client
    assert client is not None
    assert (client.app_title, client.installation_id) == ("t", None)  # type: ignore[attr-defined]


def test_there_is_always_an_identity_and_nobody_in_it() -> None:
    identity = make_context().identity
    assert identity.cognito_identity_id is None
    assert identity.cognito_identity_pool_id is None


def test_the_trace_and_the_tenant_are_the_callers() -> None:
    context = make_context(replace(INVOCATION, trace_id="Root=1-2-3;Sampled=0", tenant_id="t"))
    assert context.tenant_id == "t"
    assert context.trace_id == f"Root=1-2-3;Sampled=0;Lineage={KEY}:1"


def test_the_trace_id_to_pass_on_counts_this_run_of_the_function() -> None:
    """Of the function: whichever version or alias of it was called, and however."""
    arrived = f"Root=1-2-3;Lineage=00000000:9|{KEY}:4"
    for qualifier in (None, "$LATEST", "7"):
        context = make_context(replace(INVOCATION, trace_id=arrived, qualifier=qualifier))
        assert context.trace_id == f"Root=1-2-3;Lineage=00000000:9|{KEY}:5"


def test_where_no_trace_came_with_the_event_one_begins_with_the_clocks_time() -> None:
    context = make_context()
    assert re.fullmatch(rf"Root=1-5e0be100-[0-9a-f]{{24}};Lineage={KEY}:1", context.trace_id)
    assert context.trace_id == context.trace_id
    assert make_context().trace_id != context.trace_id


def test_log_writes_what_it_is_given_and_no_line_end(capsys: pytest.CaptureFixture[str]) -> None:
    context = make_context()
    context.log("one ")
    context.log(2)
    assert capsys.readouterr().out == "one 2"


def test_it_shows_whose_it_is() -> None:
    assert repr(make_context(version="7")) == (f"<Context of f:7, request {INVOCATION.request_id}>")
