"""targets.py: where records and dead letters may go."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from invokeasync_wsgi import targets
from invokeasync_wsgi.errors import ConfigurationError
from invokeasync_wsgi.targets import Target, parse, shown

ARN = "arn:aws:lambda:us-east-1:123456789012:function:f"
SQS = "arn:aws:sqs:us-east-1:123456789012:failed"
SNS = "arn:aws:sns:eu-central-1:123456789012:failed"
BUS = "arn:aws:events:us-east-1:123456789012:event-bus/default"
S3 = "arn:aws:s3:::failed-events"


def notify(record: Any) -> None:
    """A destination."""


class Notifier:
    """Destinations: an instance, its methods, the class."""

    def __call__(self, record: Any) -> None: ...

    def notify(self, record: Any) -> None: ...


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        pytest.param("thumbnail", "function", id="a name"),
        pytest.param("thumbnail:live", "function", id="a name with an alias"),
        pytest.param("python", "function", id="a function that is called python"),
        pytest.param("function:python:live", "function", id="the same with an alias"),
        pytest.param("123456789012:function:f", "function", id="a partial ARN"),
        pytest.param(ARN, "function", id="an ARN"),
        pytest.param(f"{ARN}:$LATEST", "function", id="an ARN with a qualifier"),
        pytest.param("python:module:name", "python", id="a module's name"),
        pytest.param("python:package.module:Class.method", "python", id="a dotted name"),
        pytest.param("https://example.com", "http", id="https"),
        pytest.param("http://127.0.0.1:8080/hook?token=1", "http", id="http"),
        pytest.param("https://[::1]/hook", "http", id="an IPv6 address"),
        pytest.param("file:///var/spool/failed.jsonl", "file", id="a file"),
        pytest.param("file:///var/spool/a%20b?c", "file", id="a file with odd characters"),
        pytest.param("file:///var/spool/failed/", "directory", id="a directory"),
        pytest.param(SQS, "sqs", id="a queue"),
        pytest.param(SNS, "sns", id="a topic"),
        pytest.param(BUS, "events", id="an event bus"),
        pytest.param(BUS.replace("aws:", "aws-us-gov:"), "events", id="another partition"),
        pytest.param(S3, "s3", id="a bucket"),
    ],
)
def test_a_text_means_one_kind_of_target_and_is_its_name(text: str, kind: str) -> None:
    assert parse("on_failure", text) == Target(kind, text)  # type: ignore[arg-type]


def test_a_targets_name_means_the_same_target() -> None:
    """Deliveries wait under it, and other processes read it."""
    target = parse("on_failure", notify)
    assert target is not None
    again = parse("on_failure", target.name)
    assert again == Target("python", "python:tests.unit.test_targets:notify")


@pytest.mark.parametrize(
    ("call", "name"),
    [
        pytest.param(notify, "notify", id="a function"),
        pytest.param(Notifier(), "Notifier", id="an instance"),
        pytest.param(Notifier().notify, "Notifier.notify", id="a method"),
    ],
)
def test_a_callable_is_named_by_where_it_is_defined(call: Any, name: str) -> None:
    target = parse("on_success", call)
    assert target == Target("python", f"python:{__name__}:{name}", call)


def test_a_callable_without_a_name_has_its_classs() -> None:
    target = parse("on_success", functools.partial(notify))
    assert target is not None
    assert target.name == "python:functools:partial"


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("", id="nothing"),
        pytest.param(7, id="a number"),
        pytest.param("not a name", id="a space"),
        pytest.param("python:", id="python without a name"),
        pytest.param("python:notify", id="python without a module"),
        pytest.param("python:module:", id="python without an attribute"),
        pytest.param("python:a-b:c", id="no module can have this name"),
        pytest.param("ftp://example.com/", id="another scheme"),
        pytest.param("HTTPS://example.com/", id="a scheme in capitals"),
        pytest.param("https://", id="no host"),
        pytest.param("https:///hook", id="a path without a host"),
        pytest.param("https://example.com:0/", id="port 0"),
        pytest.param("https://example.com:http/", id="a port that is no number"),
        pytest.param("https://example.com/#here", id="a fragment"),
        pytest.param("https://example.com/#", id="an empty fragment"),
        pytest.param("https://user:word@example.com/", id="user and password"),
        pytest.param("https://user@example.com/", id="a user"),
        pytest.param("https://example.com/a b", id="a space in an address"),
        pytest.param("https://example.com/a\nb", id="a newline in an address"),
        pytest.param("https://exämple.com/", id="an address that is not ASCII"),
        pytest.param("file:///", id="the root"),
        pytest.param("file://host/path", id="another host's file"),
        pytest.param("file:relative", id="a relative file"),
        pytest.param("file:///a%00b", id="a file with a zero byte"),
        pytest.param(f"{SQS}.fifo", id="a FIFO queue"),
        pytest.param(f"{SNS}.fifo", id="a FIFO topic"),
        pytest.param(f"{SQS}\n", id="a newline behind an ARN"),
        pytest.param("arn:aws:events:us-east-1:123456789012:rule/r", id="a rule, not a bus"),
        pytest.param("arn:aws:s3:::bucket/key", id="an object, not a bucket"),
        pytest.param("arn:aws:dynamodb:us-east-1:123456789012:table/t", id="another service"),
    ],
)
def test_anything_else_is_refused_with_the_forms_that_there_are(value: object) -> None:
    with pytest.raises(ConfigurationError, match=r"on_failure=.*: it must be a function's name, "):
        parse("on_failure", value)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        pytest.param("on_success", S3, id="Lambda has S3 for failures only"),
        pytest.param("dead_letter", "f", id="a function could not tell it from an event"),
        pytest.param("dead_letter", BUS, id="nor could a bus"),
        pytest.param("dead_letter", Target("function", "f"), id="given as a target"),
    ],
)
def test_a_setting_has_kinds_that_it_may_not_be(setting: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=f"{setting}=.* it must be no "):
        parse(setting, value)


def test_settings_that_say_nothing_have_no_target() -> None:
    parsed = targets.parse_all(on_success=None, on_failure=SQS, dead_letter=None)
    assert parsed == {"on_success": None, "on_failure": Target("sqs", SQS), "dead_letter": None}


def test_a_target_is_a_target_already() -> None:
    target = Target("sqs", SQS)
    assert parse("dead_letter", target) is target


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("https://example.com/hook?token=SECRET", "https://example.com/hook?…"),
        ("https://example.com?token=SECRET", "https://example.com?…"),
        ("https://example.com/hook#SECRET", "https://example.com/hook?…"),
        ("https://user:SECRET@example.com/hook", "https://…@example.com/hook"),
        ("https://u@ser:SECRET@example.com/", "https://…@example.com/"),
        ("HTTPS://example.com/?SECRET\nSECRET", "HTTPS://example.com/?…"),
        ("ftp://u:SECRET@example.com/@x", "ftp://…@example.com/@x"),
        ("https://example.com/hook", "https://example.com/hook"),
        ("file:///a?b@c#d", "file:///a?b@c#d"),
        ("thumbnail", "thumbnail"),
    ],
)
def test_what_may_be_secret_in_an_address_is_not_shown(name: str, expected: str) -> None:
    assert shown(name) == expected
    assert Target("http", name).shown == expected
    assert "SECRET" not in repr(Target("http", name))


def test_a_refused_address_does_not_tell_its_secrets() -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse("on_failure", "https://user:SECRET@example.com/hook?token=SECRET")
    assert "https://…@example.com/hook?…" in str(refused.value)
    assert "SECRET" not in str(refused.value)
