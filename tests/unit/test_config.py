"""config.py: every setting, its default and what it may be."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest

from invokeasync_wsgi import ConfigurationError
from invokeasync_wsgi.config import (
    PREFIX,
    AsyncSettings,
    Settings,
    make_settings,
    read_settings,
    unknown,
)
from invokeasync_wsgi.targets import Target


def test_the_defaults_are_lambdas() -> None:
    settings = Settings(auth="none")
    assert settings.max_invoke_async_bytes == 262_144
    assert settings.max_event_bytes == 1_048_576
    assert settings.max_request_bytes == 6_291_456
    assert settings.max_response_bytes == 6_291_556
    assert (settings.policies, settings.auth_failures_per_minute) == (None, 60)
    assert settings.async_settings() == AsyncSettings(
        maximum_retry_attempts=2,
        maximum_event_age_s=21_600,
        retry_waits_s=(60.0, 120.0),
        on_success=None,
        on_failure=None,
        dead_letter=None,
        recursive_loop="Terminate",
    )


def test_the_defaults_are_made_from_the_settings_own_values() -> None:
    settings = Settings(
        auth="none",
        maximum_retry_attempts=0,
        maximum_event_age_s=60,
        retry_waits_s=(1.0,),
        on_success="audit:live",
        on_failure="file:///var/spool/failed/",
        dead_letter="https://example.com/hook",
        recursive_loop="Allow",
        max_interruptions=1,
    )
    assert settings.async_settings() == AsyncSettings(
        maximum_retry_attempts=0,
        maximum_event_age_s=60,
        retry_waits_s=(1.0,),
        on_success=Target("function", "audit:live"),
        on_failure=Target("directory", "file:///var/spool/failed/"),
        dead_letter=Target("http", "https://example.com/hook"),
        recursive_loop="Allow",
        max_interruptions=1,
    )


def test_a_destination_may_be_a_callable() -> None:
    target = Settings(auth="none", on_failure=print).async_settings().on_failure
    assert target is not None
    assert (target.name, target.call) == ("python:builtins:print", print)


def test_a_destination_that_is_none_is_told_what_it_may_be() -> None:
    """All of the forms stand in test_targets.py; an address's query may be a secret."""
    with pytest.raises(ConfigurationError, match=r"^dead_letter='audit': it must be no function"):
        Settings(auth="none", dead_letter="audit")
    with pytest.raises(ConfigurationError, match=r"^on_success=") as refused:
        Settings(auth="none", on_success="ftp://example.com/?key=secret")
    assert "a function's name, 'python:package.module:name', a callable" in str(refused.value)
    assert "secret" not in str(refused.value)


def test_the_key_of_signatures_does_not_show() -> None:
    settings = Settings(auth="none", webhook_secret="whsec_" + "c2VjcmV0" * 4)
    assert settings.webhook_secret is not None
    assert "c2VjcmV0" not in repr(settings)
    assert "webhook_secret" not in repr(settings)


@pytest.mark.parametrize("auth", [None, ""])
def test_who_may_call_must_be_said(auth: str | None) -> None:
    text = re.escape(f"auth={auth!r}: say how callers are authenticated") + ".*'none'"
    with pytest.raises(ConfigurationError, match=text):
        Settings(auth=auth)


def test_leaving_out_who_may_call_is_an_error_that_names_the_choice() -> None:
    with pytest.raises(ConfigurationError, match=r"auth=None: .*'sigv4:///credentials\.ini'"):
        Settings()


WHOLE_FROM_1 = "a whole number, 1 or more"
LOOPS = "'Terminate' or 'Allow'"
NUMBERS = "a tuple of numbers of seconds, none below 0"
REGION = "an AWS region, such as 'us-east-1'"
ACCOUNT = "a string of 12 digits"


@pytest.mark.parametrize(
    ("setting", "value", "allowed"),
    [
        pytest.param("region", "useast1", REGION, id="region, no region"),
        pytest.param("region", "", REGION, id="region, empty"),
        pytest.param("region", None, REGION, id="region, None"),
        pytest.param("account_id", "12345", ACCOUNT, id="account, short"),
        pytest.param("account_id", "arn:aws:iam::123456789012", ACCOUNT, id="account, ARN"),
        pytest.param("account_id", 123456789012, ACCOUNT, id="account, a number"),
        pytest.param("max_invoke_async_bytes", 0, WHOLE_FROM_1, id="InvokeAsync, 0"),
        pytest.param("max_event_bytes", -1, WHOLE_FROM_1, id="event, negative"),
        pytest.param("max_request_bytes", 1.5, WHOLE_FROM_1, id="request, no whole number"),
        pytest.param("max_response_bytes", "1", WHOLE_FROM_1, id="response, text"),
        pytest.param("max_log_chars", True, WHOLE_FROM_1, id="log, a flag"),
        pytest.param("max_event_bytes", None, WHOLE_FROM_1, id="event, None"),
        pytest.param(
            "sync_concurrency", -1, "a whole number, 0 or more", id="concurrency, negative"
        ),
        pytest.param("auth_failures_per_minute", 0, WHOLE_FROM_1, id="failures, 0"),
        pytest.param("auth_failures_per_minute", "60", WHOLE_FROM_1, id="failures, text"),
        pytest.param("auth_failures_per_minute", None, WHOLE_FROM_1, id="failures, None"),
        pytest.param("maximum_retry_attempts", 3, "a whole number, 0 to 2", id="retries, 3"),
        pytest.param("maximum_retry_attempts", -1, "a whole number, 0 to 2", id="retries, -1"),
        pytest.param("maximum_retry_attempts", None, "a whole number, 0 to 2", id="retries, None"),
        pytest.param("maximum_event_age_s", 59, "a whole number, 60 to 21600", id="age, 59"),
        pytest.param("maximum_event_age_s", 21601, "a whole number, 60 to 21600", id="age, 21601"),
        pytest.param("recursive_loop", "terminate", LOOPS, id="loops, lower case"),
        pytest.param("recursive_loop", True, LOOPS, id="loops, a flag"),
        pytest.param("max_interruptions", 0, WHOLE_FROM_1, id="interruptions, 0"),
        pytest.param("max_interruptions", 1.0, WHOLE_FROM_1, id="interruptions, no whole number"),
        pytest.param("capture_output", "no", "True or False", id="output, text"),
        pytest.param("capture_output", 1, "True or False", id="output, a number"),
        pytest.param("retry_waits_s", (), NUMBERS, id="waits, none"),
        pytest.param("retry_waits_s", (60, -1), NUMBERS, id="waits, one negative"),
        pytest.param("retry_waits_s", (float("nan"),), NUMBERS, id="waits, NaN"),
        pytest.param("retry_waits_s", 60, NUMBERS, id="waits, one number"),
        pytest.param("retry_waits_s", ("60",), NUMBERS, id="waits, text"),
    ],
)
def test_a_value_that_is_not_allowed_is_told_the_setting_the_value_and_what_is(
    setting: str, value: object, allowed: str
) -> None:
    text = f"{setting}={value!r}: it must be {allowed}"
    with pytest.raises(ConfigurationError, match=f"^{re.escape(text)}$"):
        make_settings(auth="none", **{setting: value})


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("region", "us-gov-west-1"),
        ("account_id", "000000000000"),
        ("max_event_bytes", 1),
        ("sync_concurrency", 0),
        ("concurrent_executions", 0),
        ("auth_failures_per_minute", 1),
        ("maximum_retry_attempts", 0),
        ("maximum_retry_attempts", 2),
        ("maximum_event_age_s", 60),
        ("maximum_event_age_s", 21600),
        ("max_interruptions", 1),
        ("recursive_loop", "Allow"),
        ("retry_waits_s", (0,)),
        ("retry_waits_s", (0.5, 1, 2)),
    ],
)
def test_the_ends_of_a_range_are_allowed(setting: str, value: object) -> None:
    assert getattr(make_settings(auth="none", **{setting: value}), setting) == value


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings(auth="none").region = "eu-west-1"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("regoin", "did you mean 'region'?"),
        ("max_event_byte", "did you mean 'max_event_bytes'?"),
        ("zzz", "there are: account_id, auth, auth_failures_per_minute, capture_output,"),
    ],
)
def test_a_setting_that_does_not_exist_is_told_the_nearest(name: str, hint: str) -> None:
    text = re.escape(f"there is no setting {name!r}; {hint}")
    with pytest.raises(ConfigurationError, match=text):
        make_settings(auth="none", **{name: 1})


TEXTS: list[tuple[str, str, object]] = [
    ("auth", "none", "none"),
    ("policies", "/etc/policies.json", "/etc/policies.json"),
    ("auth_failures_per_minute", "5", 5),
    ("executor", "threads:?workers=8", "threads:?workers=8"),
    ("region", "eu-west-1", "eu-west-1"),
    ("account_id", "000000000001", "000000000001"),
    ("max_invoke_async_bytes", "1000", 1000),
    ("max_event_bytes", "1000", 1000),
    ("max_request_bytes", "1000", 1000),
    ("max_response_bytes", "1000", 1000),
    ("sync_concurrency", "0", 0),
    ("concurrent_executions", "50", 50),
    ("maximum_retry_attempts", "1", 1),
    ("maximum_event_age_s", "60", 60),
    ("retry_waits_s", "60", (60.0,)),
    ("retry_waits_s", "0.5,1, 2", (0.5, 1.0, 2.0)),
    ("on_success", "audit", "audit"),
    ("on_failure", "file:///var/spool/failed.jsonl", "file:///var/spool/failed.jsonl"),
    ("dead_letter", "https://example.com/?a=1,2", "https://example.com/?a=1,2"),
    ("recursive_loop", "Allow", "Allow"),
    ("max_interruptions", "5", 5),
    ("webhook_secret", "whsec_" + "A" * 32, "whsec_" + "A" * 32),
    ("capture_output", "true", True),
    ("capture_output", "1", True),
    ("capture_output", "False", False),
    ("capture_output", "0", False),
    ("max_log_chars", "1000", 1000),
]


@pytest.mark.parametrize(("setting", "text", "expected"), TEXTS)
def test_text_of_the_environment_becomes_the_settings_type(
    setting: str, text: str, expected: object
) -> None:
    values = read_settings({PREFIX + setting.upper(): text})
    assert values == {setting: expected}
    assert type(values[setting]) is type(expected)
    make_settings(**{"auth": "none", **values})


def test_every_setting_can_stand_in_the_environment() -> None:
    assert {setting for setting, _, _ in TEXTS} == {
        field.name for field in dataclasses.fields(Settings)
    }


def test_values_that_are_no_text_are_taken_as_they_are() -> None:
    executor = object()
    values = read_settings({"INVOKEASYNC_EXECUTOR": executor, "INVOKEASYNC_MAX_EVENT_BYTES": 5})
    assert values == {"executor": executor, "max_event_bytes": 5}


def test_the_first_source_that_names_a_setting_wins() -> None:
    config = {"INVOKEASYNC_REGION": "eu-west-1"}
    environ = {"INVOKEASYNC_REGION": "us-west-2", "INVOKEASYNC_AUTH": "none"}
    assert read_settings(config, environ) == {"region": "eu-west-1", "auth": "none"}


def test_keys_without_the_prefix_belong_to_others() -> None:
    others = {"REGION": "x", "MY_INVOKEASYNC_REGION": "x", "INVOKEASYNC": "x", "invokeasync_a": "x"}
    assert read_settings(others) == {}


def test_nothing_is_read_that_was_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVOKEASYNC_REGION", "eu-west-1")
    assert read_settings() == {}
    assert Settings(auth="none").region == "us-east-1"


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("INVOKEASYNC_REGOIN", "did you mean 'INVOKEASYNC_REGION'?"),
        ("INVOKEASYNC_region", "there is no setting 'INVOKEASYNC_region'"),
        ("INVOKEASYNC_", "there is no setting 'INVOKEASYNC_'"),
    ],
)
def test_a_key_with_the_prefix_must_be_a_setting(key: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(text)):
        read_settings({key: "x"})


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("INVOKEASYNC_MAX_EVENT_BYTES", "1 MB"),
        ("INVOKEASYNC_MAX_EVENT_BYTES", ""),
        ("INVOKEASYNC_MAXIMUM_RETRY_ATTEMPTS", "1.5"),
        ("INVOKEASYNC_RETRY_WAITS_S", "60;120"),
        ("INVOKEASYNC_RETRY_WAITS_S", ""),
        ("INVOKEASYNC_CAPTURE_OUTPUT", "maybe"),
        ("INVOKEASYNC_CAPTURE_OUTPUT", ""),
    ],
)
def test_text_that_cannot_be_converted_is_told_the_key_and_the_text(key: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{re.escape(f'{key}={text!r}: ')}."):
        read_settings({key: text})


def test_a_flag_is_told_what_it_may_be() -> None:
    with pytest.raises(ConfigurationError, match="it must be 'true' or '1', or 'false' or '0'"):
        read_settings({"INVOKEASYNC_CAPTURE_OUTPUT": "yes"})


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("tiemout", ["timeout", "name"], "there is no option 'tiemout'; did you mean 'timeout'?"),
        ("zzz", ["b", "a"], "there is no option 'zzz'; there are: a, b"),
    ],
)
def test_an_unknown_name_is_told_the_nearest_or_all(
    name: str, known: list[str], expected: str
) -> None:
    assert unknown("option", name, known) == expected


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"maximum_retry_attempts": 3}, id="retries"),
        pytest.param({"maximum_event_age_s": 0}, id="age"),
        pytest.param({"retry_waits_s": ()}, id="waits"),
        pytest.param({"recursive_loop": "no"}, id="loops"),
        pytest.param({"max_interruptions": 0}, id="interruptions"),
    ],
)
def test_async_settings_hold_the_same_rules_by_themselves(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(values))):
        AsyncSettings(**values)
