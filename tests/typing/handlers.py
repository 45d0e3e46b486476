"""Registering a handler keeps its type, and its options are checked where they are written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from typing_extensions import assert_type

from invokeasync_wsgi import Context, Function, Functions
from invokeasync_wsgi.flask import InvokeAsync

functions = Functions()


# A decorated handler is what it was: bare, called without anything, with a name, with options.


@functions.function
def bare(event: dict[str, int], context: Context) -> int:
    return event["a"]


@functions.function()
def called(event: dict[str, int], context: Context) -> int:
    return event["a"]


@functions.function("other-name")
def named(event: dict[str, int], context: Context) -> int:
    return event["a"]


@functions.function(
    "with-options",
    description="what it does",
    timeout_s=0.5,
    memory_limit_in_mb=256,
    runtime="python3.13",
    versions={"1": bare, "2": "package.module:name"},
    aliases={"live": "1", "canary": {"version": "1", "weights": {"2": 0.1}}},
    maximum_retry_attempts=0,
    maximum_event_age_s=None,
    lazy=True,
)
def with_options(event: dict[str, int], context: Context) -> int:
    return event["a"]


@functions.function(timeout_s=30)
async def asynchronous(event: list[str], context: Context) -> str:
    return event[0]


class Handler:
    def __call__(self, event: str, context: Context) -> bytes:
        return event.encode()


handler = functions.function("instance")(Handler())


def types_of_handlers(context: Context) -> None:
    assert_type(bare({"a": 1}, context), int)
    assert_type(called({"a": 1}, context), int)
    assert_type(named({"a": 1}, context), int)
    assert_type(with_options({"a": 1}, context), int)
    assert_type(handler, Handler)
    bare({"a": "no number"}, context)  # type: ignore[dict-item]
    with_options([], context)  # type: ignore[arg-type]


async def types_of_asynchronous_handlers(context: Context) -> None:
    assert_type(await asynchronous(["a"], context), str)


# The decorator of the Flask extension is the same one.

invoke_async = InvokeAsync()


@invoke_async.function
def bare_in_flask(event: str, context: Context) -> str:
    return event


@invoke_async.function("in-flask", timeout_s=3)
def named_in_flask(event: str, context: Context) -> str:
    return event


def types_of_handlers_in_flask(context: Context) -> None:
    assert_type(bare_in_flask("a", context), str)
    assert_type(named_in_flask("a", context), str)


# What is no option, or has another type than the option, is an error.


def mistakes(context: Context) -> None:
    functions.function("f", timeout_s="soon")  # type: ignore[call-overload]
    functions.function("f", timeout=3)  # type: ignore[call-overload]
    functions.function("f", maximum_retry_attempts=0.5)  # type: ignore[call-overload]
    functions.function("f", lazy="yes")  # type: ignore[call-overload]
    functions.function("f", versions={1: bare})  # type: ignore[dict-item]
    functions.function("f", aliases={"live": 1})  # type: ignore[dict-item]
    functions.function(name="f")  # type: ignore[call-overload]
    functions.function(3)  # type: ignore[call-overload]
    invoke_async.function("f", timeout_s="soon")  # type: ignore[call-overload]
    functions.add("f", bare, timeout_s="soon")  # type: ignore[arg-type]
    functions.add("f", bare, timeout=3)  # type: ignore[call-arg]
    functions.add("f", 3)  # type: ignore[arg-type]
    functions.add("f")  # type: ignore[call-arg]

    @functions.function  # type: ignore[type-var]
    def one_argument(event: object) -> None: ...

    @functions.function("f")  # type: ignore[type-var]
    def three_arguments(event: object, context: object, more: object) -> None: ...


# Registries are read with their types.


def registries() -> None:
    assert_type(functions.add("f", "package.module:name", timeout_s=3), Function)
    assert_type(functions.get("f"), Function | None)
    assert_type(list(functions), list[Function])
    assert_type(len(functions), int)
    mapping: dict[str, Callable[[Any, Any], Any] | str] = {"f": bare, "g": "package.module:name"}
    assert_type(Functions.from_mapping(mapping), Functions)
    assert_type(Functions.from_mapping({"f": bare}), Functions)
    assert_type(Functions.from_mapping({"f": {"handler": bare, "timeout_s": 3}}), Functions)
    assert_type(Functions.from_file("functions.toml"), Functions)
    Functions.from_mapping([bare])  # type: ignore[arg-type]


# The context has the attributes and types of AWS's runtime.


def contexts(context: Context) -> None:
    assert_type(context.aws_request_id, str)
    assert_type(context.function_name, str)
    assert_type(context.function_version, str)
    assert_type(context.invoked_function_arn, str)
    assert_type(context.memory_limit_in_mb, str)
    assert_type(context.log_group_name, str)
    assert_type(context.log_stream_name, str)
    assert_type(context.tenant_id, str | None)
    assert_type(context.get_remaining_time_in_millis(), int)
    context.aws_request_id = "another"  # type: ignore[misc]
    context.no_such_attribute  # type: ignore[attr-defined]  # noqa: B018
