"""overrides.py: what clients set of a function is a value, and one JSON text."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from invokeasync_wsgi.overrides import (
    NOTHING_SET,
    UNQUALIFIED,
    EventInvokeConfig,
    Overrides,
    PublishedVersion,
    SetAlias,
)

VERSION = PublishedVersion(
    handler="images:thumbnail",
    description="one",
    timeout_s=3,
    memory_limit_in_mb=128,
    runtime="python3.12",
    dead_letter=None,
    published_at=1.5,
)
EVERYTHING = Overrides(
    reserved_concurrency=0,
    recursive_loop="Allow",
    event_invoke_configs={
        "$LATEST": EventInvokeConfig(maximum_retry_attempts=0, modified_at=2.25),
        "live": EventInvokeConfig(on_failure="arn:aws:sqs:us-east-1:123456789012:q"),
    },
    versions={"1": VERSION},
    aliases={"live": SetAlias(version="1", description="é", weights={"2": 0.1})},
    statements={UNQUALIFIED: {"s": {"Sid": "s", "Effect": "Allow"}}, "live": {}},
    stamps={UNQUALIFIED: "a", "live": "b"},
)


@pytest.mark.parametrize("overrides", [NOTHING_SET, EVERYTHING])
def test_the_text_says_all_of_it(overrides: Overrides) -> None:
    text = overrides.to_json()
    assert text.isascii()
    assert Overrides.from_json(text) == overrides


def test_a_text_of_an_older_release_has_what_it_has() -> None:
    assert Overrides.from_json('{"reserved_concurrency":1}') == Overrides(reserved_concurrency=1)


def test_a_lone_surrogate_can_be_kept() -> None:
    overrides = Overrides(aliases={"a": SetAlias(version="1", description="\ud800")})
    assert Overrides.from_json(overrides.to_json()) == overrides
    json.loads(overrides.to_json())


def test_each_stamp_is_a_new_one_of_one_qualifier() -> None:
    once = EVERYTHING.stamped("live", recursive_loop=None)
    twice = once.stamped("live")
    assert len({each.stamps["live"] for each in (EVERYTHING, once, twice)}) == 3
    assert once.stamps[UNQUALIFIED] == "a"
    assert once.recursive_loop is None


def test_what_was_set_for_a_qualifier_goes_with_it() -> None:
    assert EVERYTHING.without("live") == replace(
        EVERYTHING,
        event_invoke_configs={
            "$LATEST": EventInvokeConfig(maximum_retry_attempts=0, modified_at=2.25)
        },
        statements={UNQUALIFIED: {"s": {"Sid": "s", "Effect": "Allow"}}},
        stamps={UNQUALIFIED: "a"},
    )


@pytest.mark.parametrize(
    ("overrides", "known", "number"),
    [
        (NOTHING_SET, ["$LATEST"], "1"),
        (NOTHING_SET, ["$LATEST", "10", "9"], "11"),
        (Overrides(versions={"3": VERSION}), ["$LATEST"], "4"),
        (Overrides(event_invoke_configs={"3": EventInvokeConfig()}), ["1"], "4"),
        (Overrides(statements={"3": {}, UNQUALIFIED: {}, "live": {}}), ["1"], "4"),
        (Overrides(stamps={"3": "a"}), ["1"], "4"),
        (Overrides(aliases={"live": SetAlias(version="3")}), ["1"], "4"),
        (Overrides(aliases={"live": SetAlias(version="1", weights={"3": 0})}), ["1"], "4"),
    ],
)
def test_no_number_is_used_twice(overrides: Overrides, known: list[str], number: str) -> None:
    """Not even that of a version that is gone: something may be set for it."""
    assert overrides.next_number(known) == number


@pytest.mark.parametrize(
    ("overrides", "delivers"),
    [
        (NOTHING_SET, False),
        (EVERYTHING, True),
        (Overrides(event_invoke_configs={"1": EventInvokeConfig(maximum_retry_attempts=1)}), False),
        (Overrides(event_invoke_configs={"1": EventInvokeConfig(on_success="f")}), True),
        (Overrides(versions={"1": VERSION}), False),
        (Overrides(versions={"1": replace(VERSION, dead_letter="file:///x/")}), True),
    ],
)
def test_what_names_a_destination_delivers(overrides: Overrides, delivers: bool) -> None:
    assert overrides.delivers is delivers


@pytest.mark.parametrize(
    ("change", "is_same"),
    [
        ({"description": "another"}, True),
        ({"published_at": 9.0}, True),
        ({"handler": "images:other"}, False),
        ({"timeout_s": 4}, False),
        ({"memory_limit_in_mb": 256}, False),
        ({"runtime": "python3.13"}, False),
        ({"dead_letter": "python:images:dead"}, False),
    ],
)
def test_a_version_is_new_when_it_would_run_otherwise(
    change: dict[str, object], is_same: bool
) -> None:
    assert VERSION.is_same(replace(VERSION, **change)) is is_same  # type: ignore[arg-type]
