"""functions.py: registering functions, and finding what a caller means."""

from __future__ import annotations

import importlib
import json
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import pytest

from invokeasync_wsgi import ConfigurationError, Function, Functions, errors
from invokeasync_wsgi.catalog import Catalog
from invokeasync_wsgi.config import AsyncSettings
from invokeasync_wsgi.functions import (
    THIS_RUNTIME,
    Alias,
    HandlerError,
    import_handler,
)
from invokeasync_wsgi.names import FunctionReference, function_arn
from invokeasync_wsgi.store.overrides import MemoryOverrides
from invokeasync_wsgi.targets import Target
from invokeasync_wsgi.testing import FakeClock

REGION = "us-east-1"
ACCOUNT = "123456789012"


def handler(event: Any, context: Any) -> str:
    return "latest"


def one(event: Any, context: Any) -> str:
    return "one"


def two(event: Any, context: Any) -> str:
    return "two"


#: Writes a module of this name and source, which can then be imported.
WriteModule = Callable[[str, str], None]


@pytest.fixture
def write_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WriteModule]:
    monkeypatch.syspath_prepend(tmp_path)
    written = []

    def write(name: str, source: str) -> None:
        path = tmp_path.joinpath(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source), encoding="utf-8")
        importlib.invalidate_caches()
        written.append(name)

    yield write
    for name in written:
        sys.modules.pop(name, None)
        sys.modules.pop(name.partition(".")[0], None)


def refused(text: str) -> Any:
    """Expect a ConfigurationError with exactly this text."""
    return pytest.raises(ConfigurationError, match=f"^{re.escape(text)}$")


# --- the decorator --------------------------------------------------------------------------


class TestDecorator:
    def test_bare_it_takes_the_callables_name(self) -> None:
        functions = Functions()

        @functions.function
        def greet(event: Any, context: Any) -> None: ...

        function = functions.get("greet")
        assert function is not None
        assert function.handler is greet

    def test_called_without_a_name_it_does_too(self) -> None:
        functions = Functions()

        @functions.function(timeout_s=30)
        def greet(event: Any, context: Any) -> None: ...

        function = functions.get("greet")
        assert function is not None
        assert function.timeout_s == 30

    def test_a_name_may_be_given(self) -> None:
        functions = Functions()

        @functions.function("hello.world-1")
        def greet(event: Any, context: Any) -> None: ...

        assert [function.name for function in functions] == ["hello.world-1"]

    def test_options_are_the_fields_of_a_function(self) -> None:
        functions = Functions()
        functions.function(
            "f",
            description="Says hello.",
            timeout_s=0.5,
            memory_limit_in_mb=512,
            runtime="python3.13",
            versions={"1": one},
            aliases={"live": "1"},
            maximum_retry_attempts=0,
            maximum_event_age_s=60,
            lazy=True,
        )(handler)
        function = functions.get("f")
        assert function is not None
        assert (function.description, function.timeout_s) == ("Says hello.", 0.5)
        assert (function.memory_limit_in_mb, function.runtime) == (512, "python3.13")
        assert function.async_settings(None, AsyncSettings()) == AsyncSettings(
            maximum_retry_attempts=0, maximum_event_age_s=60
        )

    def test_the_callable_comes_back_unchanged(self) -> None:
        functions = Functions()
        assert functions.function(handler) is handler
        assert functions.function("f")(handler) is handler

    def test_one_callable_may_be_several_functions(self) -> None:
        functions = Functions()
        functions.function("a")(functions.function("b")(handler))
        assert [function.name for function in functions] == ["b", "a"]


def test_the_defaults_are_lambdas() -> None:
    function = Function(name="f", handler=handler)
    assert (function.timeout_s, function.memory_limit_in_mb) == (3, 128)
    assert (function.description, function.runtime) == ("", THIS_RUNTIME)
    assert re.fullmatch(r"python3\.\d+", THIS_RUNTIME)
    assert not function.lazy
    assert function.reserved_concurrency is None


class TestAsyncSettings:
    DEFAULTS = AsyncSettings(
        maximum_retry_attempts=1, maximum_event_age_s=100, retry_waits_s=(5.0,)
    )

    def test_a_function_that_says_nothing_has_the_defaults(self) -> None:
        assert (
            Function(name="f", handler=handler).async_settings(None, self.DEFAULTS) == self.DEFAULTS
        )

    def test_its_own_values_win_one_by_one(self) -> None:
        function = Function(name="f", handler=handler, maximum_retry_attempts=0)
        assert function.async_settings(None, self.DEFAULTS) == AsyncSettings(
            maximum_retry_attempts=0, maximum_event_age_s=100, retry_waits_s=(5.0,)
        )

    def test_destinations_and_loops_are_the_functions_own_too(self) -> None:
        defaults = AsyncSettings(
            on_success=Target("function", "audit"), on_failure=Target("function", "mourn")
        )
        function = Function(
            name="f",
            handler=handler,
            on_failure=print,
            dead_letter="file:///var/spool/failed.jsonl",
            recursive_loop="Allow",
        )
        own = function.async_settings(None, defaults)
        assert own.on_success == Target("function", "audit")
        assert own.on_failure == Target("python", "python:builtins:print", print)
        assert own.dead_letter == Target("file", "file:///var/spool/failed.jsonl")
        assert own.recursive_loop == "Allow"


# --- the registry ---------------------------------------------------------------------------


def test_a_registry_keeps_the_order_of_registration() -> None:
    functions = Functions()
    for name in ("b", "a", "c"):
        functions.add(name, handler)
    assert [function.name for function in functions] == ["b", "a", "c"]
    assert len(functions) == 3
    assert repr(functions) == "<Functions: b, a, c>"


def test_an_empty_registry() -> None:
    functions = Functions()
    assert len(functions) == 0
    assert list(functions) == []
    assert functions.get("f") is None
    assert repr(functions) == "<Functions: none yet>"


def test_adding_returns_the_function() -> None:
    functions = Functions()
    assert functions.add("f", handler) is functions.get("f")


def test_a_name_can_be_taken_once_only() -> None:
    functions = Functions()
    first = functions.add("f", handler)
    with refused("function 'f' is registered already"):
        functions.add("f", one)
    assert functions.get("f") is first


def test_registries_share_nothing() -> None:
    one_registry, other = Functions(), Functions()
    one_registry.add("f", handler)
    assert other.get("f") is None


# --- what is not allowed --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "a b", "a:b", "é", "x" * 65, "f\n", "..", None, 5])
def test_a_name_that_cannot_be_registered(name: Any) -> None:
    form = "1 to 64 letters, digits, '-', '_', '.' and not be '.' or '..'"
    with refused(f"function name {name!r}: it must have {form}"):
        Functions().add(name, handler)


CONCURRENCY = "a whole number, 0 or more"
TIMEOUT = "a number of seconds above 0, at most 86400"
MEMORY = "a whole number above 0"
RUNTIME = f"'python3.N', such as {THIS_RUNTIME!r}"
CALLABLE = "a callable or an import string"
IMPORT_STRING = "'package.module:name'"
VERSIONS = "one of the versions '$LATEST', '1', '2', or a mapping with 'version' and 'weights'"
WEIGHTS = "at most one other published version, with a share from 0 to 1"


@pytest.mark.parametrize(
    ("setting", "value", "allowed"),
    [
        pytest.param("timeout_s", 0, TIMEOUT, id="timeout, 0"),
        pytest.param("timeout_s", -1, TIMEOUT, id="timeout, negative"),
        pytest.param("timeout_s", 86401, TIMEOUT, id="timeout, over a day"),
        pytest.param("timeout_s", float("nan"), TIMEOUT, id="timeout, NaN"),
        pytest.param("timeout_s", "30", TIMEOUT, id="timeout, text"),
        pytest.param("timeout_s", None, TIMEOUT, id="timeout, None"),
        pytest.param("timeout_s", True, TIMEOUT, id="timeout, a flag"),
        pytest.param("description", None, "a text", id="description, None"),
        pytest.param("memory_limit_in_mb", 0, MEMORY, id="memory, 0"),
        pytest.param("memory_limit_in_mb", "128", MEMORY, id="memory, text"),
        pytest.param("memory_limit_in_mb", True, MEMORY, id="memory, a flag"),
        pytest.param("memory_limit_in_mb", 128.0, MEMORY, id="memory, no whole number"),
        pytest.param("runtime", "nodejs22.x", RUNTIME, id="runtime, another language"),
        pytest.param("runtime", "python2.7", RUNTIME, id="runtime, an old Python"),
        pytest.param("runtime", "python3", RUNTIME, id="runtime, no version"),
        pytest.param("runtime", "", RUNTIME, id="runtime, empty"),
        pytest.param("runtime", 3.13, RUNTIME, id="runtime, a number"),
        pytest.param("handler", None, CALLABLE, id="handler, None"),
        pytest.param("handler", 5, CALLABLE, id="handler, a number"),
        pytest.param("handler", "", IMPORT_STRING, id="handler, empty"),
        pytest.param("handler", "module", IMPORT_STRING, id="handler, no colon"),
        pytest.param("handler", "module.name", IMPORT_STRING, id="handler, Lambda's form"),
        pytest.param("handler", "module:", IMPORT_STRING, id="handler, no name"),
        pytest.param("handler", ":name", IMPORT_STRING, id="handler, no module"),
        pytest.param("handler", "a:b:c", IMPORT_STRING, id="handler, two colons"),
        pytest.param("handler", "a..b:c", IMPORT_STRING, id="handler, two dots"),
        pytest.param("handler", ".a:b", IMPORT_STRING, id="handler, relative"),
        pytest.param("handler", "a/b:c", IMPORT_STRING, id="handler, a path"),
        pytest.param("handler", "a:b()", IMPORT_STRING, id="handler, a call"),
        pytest.param("maximum_retry_attempts", 3, "a whole number, 0 to 2", id="retries, too many"),
        pytest.param("maximum_retry_attempts", "1", "a whole number, 0 to 2", id="retries, text"),
        pytest.param("maximum_event_age_s", 59, "a whole number, 60 to 21600", id="age, too small"),
        pytest.param("reserved_concurrency", -1, CONCURRENCY, id="concurrency, negative"),
        pytest.param("reserved_concurrency", 1.0, CONCURRENCY, id="concurrency, no whole number"),
        pytest.param("reserved_concurrency", True, CONCURRENCY, id="concurrency, a flag"),
        pytest.param("recursive_loop", "Stop", "'Terminate' or 'Allow'", id="loops"),
        pytest.param(
            "on_success", "arn:aws:s3:::bucket", "no s3 destination", id="success to a bucket"
        ),
        pytest.param("dead_letter", "g", "no function destination", id="dead letter to a function"),
    ],
)
def test_a_value_that_is_not_allowed_is_told_the_function_the_setting_and_what_is(
    setting: str, value: Any, allowed: str
) -> None:
    with refused(f"function 'f': {setting}={value!r}: it must be {allowed}"):
        Functions.from_mapping({"f": {"handler": handler, setting: value}})


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("timeout_s", 0.001),
        ("timeout_s", 86400),
        ("memory_limit_in_mb", 1),
        ("runtime", "python3.9"),
        ("runtime", "python3.14"),
        ("maximum_retry_attempts", 0),
        ("maximum_event_age_s", 60),
        ("reserved_concurrency", None),
        ("reserved_concurrency", 0),
        ("reserved_concurrency", 1_000_000),
        ("recursive_loop", "Allow"),
        ("recursive_loop", "Terminate"),
    ],
)
def test_the_ends_of_a_range_are_allowed(setting: str, value: Any) -> None:
    options: dict[str, Any] = {setting: value}
    function = Functions().add("f", handler, **options)
    assert getattr(function, setting) == value


@pytest.mark.parametrize(
    ("option", "hint"),
    [
        ("timeout", "did you mean 'timeout_s'?"),
        ("alias", "did you mean 'aliases'?"),
        ("zzz", "there are: aliases, dead_letter, description, lazy,"),
        ("_versions", "did you mean 'versions'?"),
    ],
)
def test_an_option_that_does_not_exist_is_told_the_nearest(option: str, hint: str) -> None:
    text = re.escape(f"function 'f': there is no option {option!r}; {hint}")
    with pytest.raises(ConfigurationError, match=f"^{text}"):
        Functions.from_mapping({"f": {"handler": handler, option: 1}})


@pytest.mark.parametrize("option", ["name", "self"])
def test_an_option_cannot_be_what_the_registry_itself_says(option: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^function 'f': .*'{option}'"):
        Functions.from_mapping({"f": {"handler": handler, option: "g"}})


@pytest.mark.parametrize("number", ["0", "01", "", "x", "1.0", "-1", "9" * 20, 1, None])
def test_a_version_that_cannot_be(number: Any) -> None:
    with refused(f"function 'f': version {number!r} must be a string of digits, from '1'"):
        Functions().add("f", handler, versions={number: one})


def test_the_handler_of_a_version_is_checked_too() -> None:
    with refused(f"function 'f': handler=5: it must be {CALLABLE}"):
        Functions().add("f", handler, versions={"1": 5})  # type: ignore[dict-item]
    with refused(f"function 'f': handler='x': it must be {IMPORT_STRING}"):
        Functions().add("f", handler, versions={"1": "x"})


def test_a_version_without_a_handler_is_told_its_own_value() -> None:
    with refused(f"function 'f': handler=None: it must be {CALLABLE}"):
        Functions().add("f", handler, versions={"1": None})  # type: ignore[dict-item]


@pytest.mark.parametrize("name", ["", "2024", "a.b", "a b", "$LATEST", "x" * 129, 5, None])
def test_an_alias_that_cannot_be(name: Any) -> None:
    with refused(
        f"function 'f': alias {name!r} must have 1 to 128 letters, digits, '-' and '_', "
        "and not digits only"
    ):
        Functions().add("f", handler, versions={"1": one}, aliases={name: "1"})


@pytest.mark.parametrize(
    "target",
    [
        pytest.param("3", id="no such version"),
        pytest.param("other", id="another alias"),
        pytest.param({}, id="an empty mapping"),
        pytest.param({"weights": {"2": 0.5}}, id="weights only"),
        pytest.param({"version": "3"}, id="a mapping with no such version"),
        pytest.param({"version": "1", "weight": {"2": 0.5}}, id="a misspelt member"),
        pytest.param({"version": "1", "weights": 0.5}, id="weights that are no mapping"),
        pytest.param({"version": "1", "weights": None}, id="weights that are None"),
        pytest.param({"version": 1}, id="a mapping with a number"),
        pytest.param({"version": ["1"]}, id="a mapping with a list"),
        pytest.param(1, id="a number"),
        pytest.param(None, id="None"),
        pytest.param(["1"], id="a list"),
    ],
)
def test_an_alias_of_no_version(target: Any) -> None:
    with refused(f"function 'f': aliases['live']={target!r}: it must be {VERSIONS}"):
        Functions().add(
            "f", handler, versions={"1": one, "2": two}, aliases={"other": "1", "live": target}
        )


@pytest.mark.parametrize(
    ("version", "weights"),
    [
        pytest.param("1", {"3": 0.5}, id="no such version"),
        pytest.param("1", {"1": 0.5}, id="the same version"),
        pytest.param("1", {"$LATEST": 0.5}, id="$LATEST"),
        pytest.param("$LATEST", {"1": 0.5}, id="beside $LATEST"),
        pytest.param("1", {"2": 1.5}, id="a share over 1"),
        pytest.param("1", {"2": -0.1}, id="a share below 0"),
        pytest.param("1", {"2": float("nan")}, id="a share that is NaN"),
        pytest.param("1", {"2": "0.5"}, id="a share that is text"),
        pytest.param("1", {"2": None}, id="a share that is None"),
        pytest.param("1", {"2": 0.5, "3": 0.1}, id="two others, one unknown"),
    ],
)
def test_weights_that_cannot_be(version: str, weights: Mapping[str, Any]) -> None:
    with refused(f"function 'f': aliases['live'].weights={weights!r}: it must be {WEIGHTS}"):
        Functions().add(
            "f",
            handler,
            versions={"1": one, "2": two},
            aliases={"live": {"version": version, "weights": weights}},
        )


def test_at_most_one_other_version_can_have_a_share() -> None:
    weights = {"2": 0.1, "3": 0.1}
    with refused(f"function 'f': aliases['live'].weights={weights!r}: it must be {WEIGHTS}"):
        Functions().add(
            "f",
            handler,
            versions={"1": one, "2": two, "3": handler},
            aliases={"live": {"version": "1", "weights": weights}},
        )


@pytest.mark.parametrize("setting", ["versions", "aliases"])
@pytest.mark.parametrize("value", [["a:b"], "a:b", 5], ids=["list", "text", "number"])
def test_versions_and_aliases_that_are_no_mapping(setting: str, value: Any) -> None:
    options: dict[str, Any] = {setting: value}
    with refused(f"function 'f': {setting}={value!r}: it must be a mapping"):
        Functions().add("f", handler, **options)


def test_nothing_is_registered_when_something_is_wrong() -> None:
    functions = Functions()
    with pytest.raises(ConfigurationError):
        functions.add("f", handler, timeout_s=0)
    assert len(functions) == 0
    functions.add("f", handler)


# --- versions and aliases -------------------------------------------------------------------


@pytest.fixture
def versioned() -> Function:
    return Function(
        name="f",
        handler=handler,
        versions={"1": one, "2": two},
        aliases={
            "live": "1",
            "next": {"version": "2"},
            "dev": "$LATEST",
            "always": {"version": "1", "weights": {"2": 1}},
            "never": {"version": "1", "weights": {"2": 0}},
            "even": {"version": "1", "weights": {"2": 0.5}},
        },
    )


@pytest.mark.parametrize(
    ("qualifier", "expected"),
    [
        pytest.param(None, ("$LATEST", handler), id="unqualified"),
        pytest.param("$LATEST", ("$LATEST", handler), id="$LATEST"),
        pytest.param("1", ("1", one), id="version"),
        pytest.param("live", ("1", one), id="alias"),
        pytest.param("next", ("2", two), id="alias, as a mapping"),
        pytest.param("dev", ("$LATEST", handler), id="alias of $LATEST"),
        pytest.param("always", ("2", two), id="a share of 1"),
        pytest.param("never", ("1", one), id="a share of 0"),
    ],
)
def test_a_qualifier_means_a_version(
    versioned: Function, qualifier: str | None, expected: tuple[str, object]
) -> None:
    assert versioned.has(qualifier)
    version = versioned.version(qualifier)
    assert (version.number, version.handler) == expected
    assert version.load() is version.handler


@pytest.mark.parametrize("qualifier", ["3", "other", "$latest", "$LATEST.PUBLISHED", ""])
def test_any_other_qualifier_means_none(versioned: Function, qualifier: str) -> None:
    assert not versioned.has(qualifier)
    with pytest.raises(KeyError):
        versioned.version(qualifier)


def test_a_weighted_alias_chooses_at_each_attempt(versioned: Function) -> None:
    chosen = {versioned.version("even").number for _ in range(200)}
    assert chosen == {"1", "2"}


@pytest.mark.parametrize(
    ("drawn", "chosen"), [(0.0, "2"), (0.0999, "2"), (0.1, "1"), (0.9999, "1")]
)
def test_a_share_is_what_the_other_version_gets(
    drawn: float, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.random", lambda: drawn)
    assert Alias("live", "1", {"2": 0.1}).choose() == chosen


def test_a_registry_without_aliases_has_none() -> None:
    function = Function(name="f", handler=handler)
    assert function.has(None)
    assert function.has("$LATEST")
    assert not function.has("1")


# --- import strings -------------------------------------------------------------------------


def test_an_import_string_is_imported_at_registration(write_module: WriteModule) -> None:
    write_module("images.tasks", "def thumbnail(event, context):\n    return 'made'\n")
    function = Functions().add("thumbnail", "images.tasks:thumbnail")
    loaded = function.version(None).load()
    assert loaded({}, None) == "made"
    assert function.version(None).handler is loaded


def test_the_name_may_have_parts(write_module: WriteModule) -> None:
    write_module(
        "parts",
        """
        class Tasks:
            @staticmethod
            def run(event, context):
                return "ran"
        """,
    )
    assert Functions().add("f", "parts:Tasks.run").version(None).load()({}, None) == "ran"


def test_versions_may_be_import_strings(write_module: WriteModule) -> None:
    write_module("tasks_v1", "def run(event, context): return 1")
    function = Functions().add("f", handler, versions={"1": "tasks_v1:run"})
    assert function.version("1").load()({}, None) == 1


#: Import string, source of the module ``broken``, Runtime type and message.
IMPORT_ERRORS = [
    pytest.param(
        "no_such_module:run",
        "",
        "Runtime.ImportModuleError",
        "Unable to import module 'no_such_module': No module named 'no_such_module'",
        id="no such module",
    ),
    pytest.param(
        "broken.inner:run",
        "",
        "Runtime.ImportModuleError",
        "Unable to import module 'broken.inner': No module named 'broken.inner'; 'broken' is not "
        "a package",
        id="no such module in another",
    ),
    pytest.param(
        "broken:run",
        "import no_such_module",
        "Runtime.ImportModuleError",
        "Unable to import module 'broken': No module named 'no_such_module'",
        id="a module that imports no such module",
    ),
    pytest.param(
        "broken:run",
        "raise RuntimeError('not today')",
        "Runtime.ImportModuleError",
        "Unable to import module 'broken': not today",
        id="a module that raises",
    ),
    pytest.param(
        "broken:run",
        "def run(event, context)\n    pass\n",
        "Runtime.UserCodeSyntaxError",
        r"Syntax error in module 'broken': .+ \(broken\.py, line 1\)",
        id="a module that is no Python",
    ),
    pytest.param(
        "broken:run",
        "def other(event, context): pass",
        "Runtime.HandlerNotFound",
        "Handler 'run' missing on module 'broken'",
        id="no such name",
    ),
    pytest.param(
        "broken:Tasks.run",
        "class Tasks: pass",
        "Runtime.HandlerNotFound",
        "Handler 'Tasks.run' missing on module 'broken'",
        id="no such part of a name",
    ),
    pytest.param(
        "broken:run",
        "run = 5",
        "Runtime.HandlerNotFound",
        "Handler 'run' on module 'broken' is not callable",
        id="a name that cannot be called",
    ),
]


@pytest.mark.parametrize(("reference", "source", "error_type", "message"), IMPORT_ERRORS)
class TestAHandlerThatCannotBeImported:
    def test_fails_its_invocations_when_it_is_lazy(
        self,
        reference: str,
        source: str,
        error_type: str,
        message: str,
        write_module: WriteModule,
    ) -> None:
        write_module("broken", source)
        version = Functions().add("f", reference, lazy=True).version(None)
        with pytest.raises(HandlerError, match=f"^{message}$") as caught:
            version.load()
        assert caught.value.error_type == error_type
        assert caught.value.message == str(caught.value)

    def test_fails_the_registration_otherwise(
        self,
        reference: str,
        source: str,
        error_type: str,
        message: str,
        write_module: WriteModule,
    ) -> None:
        write_module("broken", source)
        text = f"function 'f': handler '{reference}' cannot be imported: {message}"
        with pytest.raises(ConfigurationError, match=f"^{text}$"):
            Functions().add("f", reference)


def test_a_lazy_handler_is_imported_when_it_is_called(write_module: WriteModule) -> None:
    function = Functions().add("f", "tasks:run", lazy=True)
    assert function.version(None).handler == "tasks:run"
    write_module("tasks", "def run(event, context): return 'late'")
    assert function.version(None).load()({}, None) == "late"


def test_a_lazy_handler_that_failed_is_tried_again(write_module: WriteModule) -> None:
    version = Functions().add("f", "tasks:run", lazy=True).version(None)
    with pytest.raises(HandlerError):
        version.load()
    write_module("tasks", "def run(event, context): return 'now'")
    assert version.load()({}, None) == "now"


def test_a_lazy_handler_must_still_have_the_form_of_one() -> None:
    with refused("function 'f': handler='tasks.run': it must be 'package.module:name'"):
        Functions().add("f", "tasks.run", lazy=True)


def test_a_module_that_exits_is_an_import_error_too(write_module: WriteModule) -> None:
    write_module("broken", "import sys\nsys.exit(3)")
    with pytest.raises(HandlerError):
        import_handler("broken:run")


def test_a_module_whose_names_fail_is_a_handler_error_too(write_module: WriteModule) -> None:
    write_module("broken", "def __getattr__(name):\n    raise RuntimeError(name)\n")
    with pytest.raises(HandlerError):
        import_handler("broken:run")


# --- mappings and files ---------------------------------------------------------------------


class TestFromMapping:
    def test_a_name_leads_to_a_callable_a_string_or_options(
        self, write_module: WriteModule
    ) -> None:
        write_module("tasks", "def run(event, context): pass")
        functions = Functions.from_mapping(
            {
                "a": handler,
                "b": "tasks:run",
                "c": {"handler": "tasks:run", "timeout_s": 30},
                "d": {"handler": handler, "versions": {"1": one}, "aliases": {"live": "1"}},
            }
        )
        assert [function.name for function in functions] == ["a", "b", "c", "d"]
        c, d = functions.get("c"), functions.get("d")
        assert c is not None
        assert c.timeout_s == 30
        assert d is not None
        assert d.version("live").load() is one

    def test_an_empty_mapping_is_an_empty_registry(self) -> None:
        assert len(Functions.from_mapping({})) == 0

    def test_the_mapping_is_left_as_it_was(self) -> None:
        given: dict[str, Any] = {
            "f": {"handler": handler, "aliases": {"a": {"version": "$LATEST"}}}
        }
        Functions.from_mapping(given)
        assert given == {"f": {"handler": handler, "aliases": {"a": {"version": "$LATEST"}}}}

    def test_options_without_a_handler(self) -> None:
        with refused("function 'f': it has no 'handler'"):
            Functions.from_mapping({"f": {"timeout_s": 3}})

    @pytest.mark.parametrize("given", [5, None, ["tasks:run"]])
    def test_anything_else_is_no_handler(self, given: Any) -> None:
        with refused(f"function 'f': handler={given!r}: it must be {CALLABLE}"):
            Functions.from_mapping({"f": given})


TOML = """
[functions]
plain = "tasks:run"

[functions.full]
handler = "tasks:run"
description = "Runs."
timeout_s = 30
memory_limit_in_mb = 256
maximum_retry_attempts = 0
maximum_event_age_s = 3600
versions = { 1 = "tasks:one", 2 = "tasks:two" }

[functions.full.aliases]
live = "1"
canary = { version = "1", weights = { 2 = 1.0 } }

[functions.later]
handler = "no_such_module:run"
lazy = true
"""
JSON = json.dumps(
    {
        "functions": {
            "plain": "tasks:run",
            "full": {
                "handler": "tasks:run",
                "description": "Runs.",
                "timeout_s": 30,
                "memory_limit_in_mb": 256,
                "maximum_retry_attempts": 0,
                "maximum_event_age_s": 3600,
                "versions": {"1": "tasks:one", "2": "tasks:two"},
                "aliases": {"live": "1", "canary": {"version": "1", "weights": {"2": 1.0}}},
            },
            "later": {"handler": "no_such_module:run", "lazy": True},
        }
    }
)


class TestFromFile:
    @pytest.mark.parametrize(("suffix", "text"), [(".toml", TOML), (".json", JSON)])
    @pytest.mark.parametrize("as_text", [True, False], ids=["str", "Path"])
    def test_a_file_describes_a_whole_registry(
        self,
        suffix: str,
        text: str,
        as_text: bool,
        tmp_path: Path,
        write_module: WriteModule,
    ) -> None:
        write_module(
            "tasks",
            """
            def run(event, context): return "run"
            def one(event, context): return "one"
            def two(event, context): return "two"
            """,
        )
        path = tmp_path / f"functions{suffix}"
        path.write_text(text, encoding="utf-8")
        functions = Functions.from_file(str(path) if as_text else path)
        assert [function.name for function in functions] == ["plain", "full", "later"]
        full = functions.get("full")
        assert full is not None
        assert (full.description, full.timeout_s, full.memory_limit_in_mb) == ("Runs.", 30, 256)
        assert (full.maximum_retry_attempts, full.maximum_event_age_s) == (0, 3600)
        assert [
            full.version(qualifier).load()({}, None)
            for qualifier in (None, "1", "2", "live", "canary")
        ] == ["run", "one", "two", "one", "two"]

    @pytest.mark.parametrize(
        ("name", "text", "reason"),
        [
            pytest.param("f.toml", "functions =", ".", id="no TOML"),
            pytest.param("f.json", "{", "Expecting", id="no JSON"),
            pytest.param("f.json", "", "Expecting value", id="an empty file"),
            pytest.param("f.json", "[]", "it must hold an object, not list", id="an array"),
            pytest.param("f.json", "null", "it must hold an object, not NoneType", id="null"),
            pytest.param("f.yaml", "", r"it must end in \.toml or \.json", id="another format"),
            pytest.param("functions", "", r"it must end in \.toml or \.json", id="no suffix"),
            pytest.param(
                "f.toml", "", r"it must have one table, 'functions', not \[\]", id="empty TOML"
            ),
            pytest.param(
                "f.json",
                '{"function":{}}',
                r"it must have one table, 'functions', not \['function'\]",
                id="another name",
            ),
            pytest.param(
                "f.json",
                '{"functions":{},"more":1}',
                r"it must have one table, 'functions', not \['functions', 'more'\]",
                id="more than functions",
            ),
            pytest.param(
                "f.json",
                '{"functions":[]}',
                "it must have one table, 'functions', not ",
                id="functions that are no table",
            ),
        ],
    )
    def test_a_file_that_cannot_be_used_is_named(
        self, name: str, text: str, reason: str, tmp_path: Path
    ) -> None:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        expected = f"^functions file {re.escape(repr(str(path)))}: {reason}"
        with pytest.raises(ConfigurationError, match=expected):
            Functions.from_file(path)

    @pytest.mark.parametrize("name", ["missing.toml", "missing.json"])
    def test_a_file_that_is_not_there_is_named(self, name: str, tmp_path: Path) -> None:
        path = tmp_path / name
        with pytest.raises(ConfigurationError, match="No such file or directory") as caught:
            Functions.from_file(path)
        assert str(caught.value).startswith(f"functions file {str(path)!r}: ")

    @pytest.mark.parametrize("name", ["f.toml", "f.json"])
    def test_a_file_that_is_no_utf_8_is_named(self, name: str, tmp_path: Path) -> None:
        path = tmp_path / name
        path.write_bytes(b'{"functions": "\xff"}')
        with pytest.raises(ConfigurationError, match=re.escape(f"functions file {str(path)!r}: ")):
            Functions.from_file(path)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            pytest.param(
                '{"functions":{"f":{"timeout_s":3}}}',
                "function 'f': it has no 'handler'",
                id="no handler",
            ),
            pytest.param(
                '{"functions":{"f":{"handler":"a:b","timeout":3}}}',
                "function 'f': there is no option 'timeout'; did you mean 'timeout_s'?",
                id="an unknown option",
            ),
            pytest.param(
                '{"functions":{"f":{"handler":"no_such_module:run"}}}',
                "function 'f': handler 'no_such_module:run' cannot be imported: Unable to import "
                "module 'no_such_module': No module named 'no_such_module'",
                id="a handler that is not there",
            ),
            pytest.param(
                '{"functions":{"f":5}}',
                f"function 'f': handler=5: it must be {CALLABLE}",
                id="a number",
            ),
        ],
    )
    def test_what_is_wrong_with_a_function_is_said_as_elsewhere(
        self, text: str, message: str, tmp_path: Path
    ) -> None:
        path = tmp_path / "functions.json"
        path.write_text(text, encoding="utf-8")
        with refused(message):
            Functions.from_file(path)


# --- what a caller means --------------------------------------------------------------------


@pytest.fixture
def functions() -> Functions:
    functions = Functions()
    functions.add("f", handler, versions={"1": one}, aliases={"live": "1"})
    functions.add("other", handler)
    return functions


def catalog_of(functions: Functions, region: str = REGION) -> Catalog:
    return Catalog(
        functions,
        MemoryOverrides(),
        region=region,
        account_id=ACCOUNT,
        defaults=AsyncSettings(),
        clock=FakeClock(),
    )


def resolve(
    functions: Functions, name: str, qualifier: str | None = None
) -> tuple[str, str | None]:
    reference = functions.refer(name, qualifier)
    function = catalog_of(functions).resolve(reference)
    return function.name, reference.qualifier


ARN = function_arn(REGION, ACCOUNT, "f")


@pytest.mark.parametrize(
    ("name", "qualifier", "resolved"),
    [
        pytest.param("f", None, None, id="name"),
        pytest.param("f", "live", "live", id="name and parameter"),
        pytest.param("f:live", None, "live", id="qualifier in the name"),
        pytest.param("f:live", "live", "live", id="the same twice"),
        pytest.param("f:$LATEST", None, "$LATEST", id="$LATEST in the name"),
        pytest.param("f", "$LATEST", "$LATEST", id="$LATEST as parameter"),
        pytest.param(ARN, None, None, id="ARN"),
        pytest.param(ARN, "1", "1", id="ARN and parameter"),
        pytest.param(f"{ARN}:1", None, "1", id="qualified ARN"),
        pytest.param(f"{ACCOUNT}:function:f", None, None, id="partial ARN"),
    ],
)
def test_a_caller_means_a_function_and_a_qualifier(
    functions: Functions, name: str, qualifier: str | None, resolved: str | None
) -> None:
    assert resolve(functions, name, qualifier) == ("f", resolved)


NOT_FOUND = errors.ResourceNotFoundException
MISMATCH = "The derived qualifier from the function name does not match the specified qualifier."


@pytest.mark.parametrize(
    ("name", "qualifier", "error", "message"),
    [
        pytest.param(
            "g", None, NOT_FOUND, f"Function not found: {ARN[:-1]}g:$LATEST", id="no such function"
        ),
        pytest.param("f", "2", NOT_FOUND, f"Function not found: {ARN}:2", id="no such version"),
        pytest.param("f:x", None, NOT_FOUND, f"Function not found: {ARN}:x", id="no such alias"),
        pytest.param(
            "f:live", "1", errors.InvalidParameterValueException, MISMATCH, id="two qualifiers"
        ),
        pytest.param(
            "g:live",
            "1",
            errors.InvalidParameterValueException,
            MISMATCH,
            id="two qualifiers of no function",
        ),
        pytest.param(
            ARN.replace(REGION, "eu-west-1"),
            None,
            NOT_FOUND,
            "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')",
            id="another region",
        ),
        pytest.param(
            ARN.replace(ACCOUNT, "999999999999"),
            None,
            errors.AccessDeniedException,
            None,
            id="another account",
        ),
    ],
)
def test_a_caller_means_nothing_here(
    functions: Functions,
    name: str,
    qualifier: str | None,
    error: type[errors.AWSError],
    message: str | None,
) -> None:
    with pytest.raises(error) as caught:
        resolve(functions, name, qualifier)
    assert caught.value.message == message


def test_a_name_that_was_not_validated_is_the_programmers_error(functions: Functions) -> None:
    with pytest.raises(ValueError, match="'a b' was not validated"):
        resolve(functions, "a b")


def test_an_arn_has_the_partition_of_its_region(functions: Functions) -> None:
    with pytest.raises(NOT_FOUND) as caught:
        catalog_of(functions, "cn-north-1").resolve(FunctionReference("g"))
    assert caught.value.message == (
        f"Function not found: arn:aws-cn:lambda:cn-north-1:{ACCOUNT}:function:g:$LATEST"
    )


def test_a_runtime_that_cannot_run_here_is_told_when_the_function_is_lazy(
    functions: Functions,
) -> None:
    functions.add("node", "index:handler", lazy=True, runtime="nodejs22.x")
    with pytest.raises(errors.InvalidRuntimeException) as caught:
        resolve(functions, "node")
    assert caught.value.message == "The runtime nodejs22.x of function node cannot run here"


def test_resolving_imports_nothing(functions: Functions) -> None:
    functions.add("later", "no_such_module:run", lazy=True)
    assert resolve(functions, "later") == ("later", None)


def test_a_function_that_is_registered_later_is_found(functions: Functions) -> None:
    with pytest.raises(NOT_FOUND):
        resolve(functions, "late")
    functions.add("late", handler)
    assert resolve(functions, "late") == ("late", None)


def test_a_handler_may_be_any_callable() -> None:
    class Handler:
        def __call__(self, event: Any, context: Any) -> NoReturn:
            raise AttributeError

    function = Functions().add("f", Handler())
    assert isinstance(function.version(None).load(), Handler)
