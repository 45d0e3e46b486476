"""catalog.py: functions as they are now, and what clients have set over what is declared."""

from __future__ import annotations

import functools
import queue
import sqlite3
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from invokeasync_wsgi import Functions, StoreError
from invokeasync_wsgi.catalog import FRESH_S, LOOK_S, STALE_S, Catalog
from invokeasync_wsgi.config import AsyncSettings
from invokeasync_wsgi.functions import Function
from invokeasync_wsgi.overrides import (
    EventInvokeConfig,
    Overrides,
    PublishedVersion,
    SetAlias,
)
from invokeasync_wsgi.store.overrides import Change, Snapshot
from invokeasync_wsgi.store.overrides_file import SQLiteOverrides
from invokeasync_wsgi.targets import Target
from invokeasync_wsgi.testing import FakeClock

DEFAULTS = AsyncSettings(on_failure=Target("function", "mourn"))


def one(event: Any, context: Any) -> str:
    return "one"


def two(event: Any, context: Any) -> str:
    return "two"


HERE = __name__


@pytest.fixture
def functions() -> Functions:
    functions = Functions()
    functions.add(
        "f",
        one,
        versions={"1": one},
        aliases={"live": "1"},
        maximum_retry_attempts=1,
        on_failure="python:builtins:print",
        reserved_concurrency=2,
        dead_letter="python:builtins:repr",
    )
    functions.add("plain", one)
    return functions


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def make(functions: Functions, clock: FakeClock, tmp_path: Path) -> Callable[..., Catalog]:
    """Makes the catalogs of processes that share a file."""
    path = tmp_path / "queue.db"

    def make(functions: Functions = functions, **options: Any) -> Catalog:
        given: dict[str, Any] = {
            "region": "us-east-1",
            "account_id": "123456789012",
            "defaults": DEFAULTS,
            "clock": clock,
            **options,
        }
        return Catalog(functions, SQLiteOverrides(path), **given)

    return make


@pytest.fixture
def catalog(make: Callable[..., Catalog]) -> Catalog:
    return make()


def setting(**values: Any) -> Change:
    return lambda held, everyone: replace(held, **values)


def get(catalog: Catalog, name: str = "f") -> Function:
    function = catalog.get(name)
    assert function is not None
    return function


def published(**values: Any) -> PublishedVersion:
    given: dict[str, Any] = {
        "handler": f"{HERE}:two",
        "description": "",
        "timeout_s": 7,
        "memory_limit_in_mb": 256,
        "runtime": "python3.12",
        "dead_letter": None,
        "published_at": 5.0,
        **values,
    }
    return PublishedVersion(**given)


class TestLooking:
    def test_what_is_declared_holds_until_something_is_set(
        self, catalog: Catalog, functions: Functions
    ) -> None:
        assert catalog.get("f") is functions.get("f")
        assert catalog.get("nobody") is None
        assert [*catalog] == [*functions]
        assert len(catalog) == 2

    def test_functions_that_are_registered_later_are_there(
        self, catalog: Catalog, functions: Functions
    ) -> None:
        assert catalog.get("later") is None
        functions.add("later", one)
        assert get(catalog, "later").name == "later"

    def test_what_one_process_sets_another_sees_after_its_next_look(
        self, make: Callable[..., Catalog], clock: FakeClock
    ) -> None:
        here, there = make(), make()
        assert get(there).reserved_concurrency == 2
        here.change("f", setting(reserved_concurrency=0))
        assert get(here).reserved_concurrency == 0
        assert get(there).reserved_concurrency == 2
        clock.advance(LOOK_S)
        assert get(there).reserved_concurrency == 0
        assert LOOK_S <= 0.5

    def test_or_at_once_if_it_is_told_to_look(self, make: Callable[..., Catalog]) -> None:
        here, there = make(), make()
        there.get("f")
        here.change("f", setting(reserved_concurrency=0))
        there.look()
        assert get(there).reserved_concurrency == 0

    def test_a_function_stays_the_same_until_it_changes(
        self, catalog: Catalog, clock: FakeClock
    ) -> None:
        catalog.change("f", setting(reserved_concurrency=0))
        before = get(catalog)
        clock.advance(10)
        assert get(catalog) is before
        assert catalog.settings_of(before, None) is catalog.settings_of(before, None)
        catalog.change("f", setting(reserved_concurrency=1))
        assert get(catalog) is not before
        assert before.reserved_concurrency == 0

    def test_what_is_declared_is_left_as_it_is(
        self, catalog: Catalog, functions: Functions
    ) -> None:
        catalog.change("f", setting(reserved_concurrency=0, recursive_loop="Allow"))
        declared = functions.get("f")
        assert declared is not None
        assert declared.reserved_concurrency == 2
        assert declared.async_settings(None, DEFAULTS).recursive_loop == "Terminate"

    def test_a_look_that_began_earlier_does_not_undo_one_that_began_later(
        self, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        catalog.change("f", setting(reserved_concurrency=1))
        read = catalog.store.read

        def overtaken(known_mark: str | None = None) -> Snapshot | None:
            snapshot = read("none")
            monkeypatch.setattr(catalog.store, "read", read)
            catalog.change("f", setting(reserved_concurrency=0))
            return snapshot

        monkeypatch.setattr(catalog.store, "read", overtaken)
        catalog.look()
        assert get(catalog).reserved_concurrency == 0

    def test_whoever_waits_for_a_change_is_told_once(
        self, make: Callable[..., Catalog], clock: FakeClock
    ) -> None:
        changes: list[int] = []
        catalog = make(on_change=lambda: changes.append(1))
        catalog.get("f")
        assert changes == []
        catalog.change("f", setting(reserved_concurrency=0))
        clock.advance(LOOK_S)
        catalog.get("f")
        assert changes == [1]

    def test_only_the_functions_that_change_are_worked_out_anew(self, catalog: Catalog) -> None:
        catalog.change("plain", setting(reserved_concurrency=1))
        before = get(catalog, "plain")
        catalog.change("f", setting(reserved_concurrency=0))
        assert get(catalog, "plain") is before

    def test_nobody_answers_from_nothing_while_another_looks(
        self, catalog: Catalog, make: Callable[..., Catalog], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Of two threads in a process that is new, or was idle for hours."""
        make().change("f", setting(reserved_concurrency=0))
        read = catalog.store.read
        looking, may_go_on = threading.Event(), threading.Event()

        def slowly(known_mark: str | None = None) -> Snapshot | None:
            looking.set()
            assert may_go_on.wait(10)
            return read(known_mark)

        monkeypatch.setattr(catalog.store, "read", slowly)
        seen: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        threads = [
            threading.Thread(target=lambda: seen.put(get(catalog).reserved_concurrency))
            for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        assert looking.wait(10)
        assert seen.empty()
        may_go_on.set()
        assert [seen.get(timeout=10) for _ in threads] == [0, 0, 0]

    def test_nobody_answers_from_nothing_while_another_works_out_what_it_has_read(
        self, catalog: Catalog, make: Callable[..., Catalog], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make().change("f", setting(reserved_concurrency=0))
        overlaid, others = Function.overlaid, queue.SimpleQueue[int | None]()
        threads: list[threading.Thread] = []

        def slowly(function: Function, overrides: Overrides) -> Function:
            if not threads:
                threads.append(
                    threading.Thread(target=lambda: others.put(get(catalog).reserved_concurrency))
                )
                threads[0].start()
                threads[0].join(0.05)
            return overlaid(function, overrides)

        monkeypatch.setattr(Function, "overlaid", slowly)
        assert get(catalog).reserved_concurrency == 0
        assert others.get(timeout=10) == 0

    def test_what_is_new_enough_waits_for_nobody(
        self, catalog: Catalog, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        catalog.get("f")
        read = catalog.store.read
        others: list[Function | None] = []

        def slowly(known_mark: str | None = None) -> Snapshot | None:
            thread = threading.Thread(target=lambda: others.append(catalog.get("f")))
            thread.start()
            thread.join(10)
            return read(known_mark)

        monkeypatch.setattr(catalog.store, "read", slowly)
        clock.advance(LOOK_S)
        catalog.get("f")
        assert len(others) == 1
        assert LOOK_S <= FRESH_S < 1


def fail_to_read(known_mark: str | None = None) -> Snapshot | None:
    raise StoreError("too many open files")


class TestTrouble:
    """With the file, or with what is in it."""

    @pytest.fixture
    def broken(self, catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
        """Has the store fail from then on."""
        return lambda: monkeypatch.setattr(catalog.store, "read", fail_to_read)

    def test_what_is_known_holds_for_a_while(
        self,
        catalog: Catalog,
        clock: FakeClock,
        broken: Callable[[], None],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        catalog.change("f", setting(reserved_concurrency=0))
        broken()
        clock.advance(LOOK_S)
        for _ in range(3):
            assert get(catalog).reserved_concurrency == 0
            clock.advance(1)
        assert caplog.messages == ["what is set cannot be read: too many open files"]
        clock.advance(STALE_S)
        for _ in range(2):
            with pytest.raises(StoreError, match="too many open files"):
                catalog.get("f")
        assert catalog.known("f") is not None

    def test_nothing_holds_that_was_never_read(
        self, catalog: Catalog, broken: Callable[[], None]
    ) -> None:
        broken()
        for _ in range(2):
            with pytest.raises(StoreError, match="too many open files"):
                catalog.get("f")

    def test_it_is_over_when_it_is_over(
        self, catalog: Catalog, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert catalog.refresh()
        with monkeypatch.context() as patched:
            patched.setattr(catalog.store, "read", fail_to_read)
            clock.advance(LOOK_S)
            assert not catalog.refresh()
            with pytest.raises(StoreError):
                catalog.look()
        clock.advance(LOOK_S)
        assert catalog.refresh()

    def test_whoever_hears_of_changes_cannot_make_them_fail(
        self, make: Callable[..., Catalog]
    ) -> None:
        def fail() -> None:
            raise ValueError("as it must")

        catalog = make(on_change=fail)
        catalog.change("f", setting(reserved_concurrency=0))
        assert get(catalog).reserved_concurrency == 0

    def test_what_is_kept_and_not_seen_yet_is_no_failure(
        self, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(catalog.store, "read", fail_to_read)
            changed = catalog.change("f", setting(reserved_concurrency=0))
        assert changed.reserved_concurrency == 0
        assert get(catalog).reserved_concurrency == 0

    @pytest.mark.parametrize(
        "text",
        [
            b"?",
            b"[]",
            b"\xff",
            b'{"later":1}',
            b'{"reserved_concurrency":"1"}',
            b'{"aliases":{"live":{"version":["1"]}}}',
            b'{"aliases":[]}',
            b'{"versions":{"2":{"handler":"a:b"}}}',
            b'{"event_invoke_configs":{"$LATEST":{"maximum_retry_attempts":7}}}',
        ],
    )
    def test_a_text_that_cannot_be_read_puts_one_function_out_of_order(
        self, catalog: Catalog, tmp_path: Path, caplog: pytest.LogCaptureFixture, text: bytes
    ) -> None:
        catalog.change("f", setting(reserved_concurrency=0))
        catalog.change("plain", setting(reserved_concurrency=1))
        with closing(sqlite3.connect(tmp_path / "queue.db")) as connection, connection:
            statement = "UPDATE overrides SET document = CAST(? AS TEXT) WHERE function_name = 'f'"
            connection.execute(statement, (text,))
            connection.execute("UPDATE marks SET value = 'another'")
        catalog.look()
        for _ in range(2):
            with pytest.raises(StoreError, match="of function 'f' cannot be read"):
                catalog.get("f")
        assert get(catalog, "plain").reserved_concurrency == 1
        assert [each.reserved_concurrency for each in catalog] == [2, 1]
        assert catalog.has_deliveries()
        assert len(caplog.messages) == 1
        assert catalog.store.forget("f")
        catalog.look()
        assert get(catalog).reserved_concurrency == 2


class TestEvents:
    """Which settings the events of a qualifier have."""

    @pytest.mark.parametrize(
        ("configs", "qualifier", "expected"),
        [
            pytest.param({}, None, (1, "python:builtins:print"), id="declared"),
            pytest.param({}, "live", (1, "python:builtins:print"), id="declared, of all"),
            pytest.param(
                {"$LATEST": EventInvokeConfig(maximum_retry_attempts=0)},
                None,
                (0, "mourn"),
                id="set: the rest has the defaults",
            ),
            pytest.param(
                {"$LATEST": EventInvokeConfig(maximum_retry_attempts=0)},
                "$LATEST",
                (0, "mourn"),
                id="the unqualified is $LATEST",
            ),
            pytest.param(
                {"$LATEST": EventInvokeConfig(maximum_retry_attempts=0)},
                "live",
                (1, "python:builtins:print"),
                id="no other qualifier has it",
            ),
            pytest.param(
                {"live": EventInvokeConfig(on_failure="plain")},
                "live",
                (2, "plain"),
                id="set for an alias",
            ),
            pytest.param(
                {"live": EventInvokeConfig(on_failure="plain")},
                "1",
                (1, "python:builtins:print"),
                id="and not for its version",
            ),
        ],
    )
    def test_what_is_set_takes_the_place_of_what_is_declared(
        self,
        catalog: Catalog,
        configs: Mapping[str, EventInvokeConfig],
        qualifier: str | None,
        expected: tuple[int, str],
    ) -> None:
        catalog.change("f", setting(event_invoke_configs=configs))
        settings = catalog.settings_of(get(catalog), qualifier)
        assert settings.on_failure is not None
        assert (settings.maximum_retry_attempts, settings.on_failure.name) == expected
        assert settings.dead_letter is not None
        assert settings.dead_letter.name == "python:builtins:repr"

    def test_a_published_version_has_the_dead_letter_of_its_time(self, catalog: Catalog) -> None:
        versions = {"2": published(), "3": published(dead_letter="file:///x/")}
        catalog.change("f", setting(versions=versions, aliases={"live": SetAlias(version="3")}))
        told = {
            qualifier: catalog.settings_of(get(catalog), qualifier).dead_letter
            for qualifier in (None, "1", "2", "3", "live")
        }
        declared = Target("python", "python:builtins:repr")
        of_three = Target("directory", "file:///x/")
        assert told == {None: declared, "1": declared, "2": None, "3": of_three, "live": of_three}

    def test_whether_anything_is_delivered_is_known(self, make: Callable[..., Catalog]) -> None:
        only_plain = Functions()
        only_plain.add("plain", one)
        catalog = make(only_plain, defaults=AsyncSettings())
        assert not catalog.has_deliveries()
        configs = {"live": EventInvokeConfig(on_success="x")}
        catalog.change("plain", setting(event_invoke_configs=configs))
        assert catalog.has_deliveries()
        catalog.change("plain", setting(event_invoke_configs={}))
        assert not catalog.has_deliveries()
        only_plain.add("f", one, on_failure="x")
        assert catalog.has_deliveries()


class TestVersions:
    def test_a_published_version_is_what_it_was(self, catalog: Catalog) -> None:
        catalog.change("f", setting(versions={"2": published()}))
        version = get(catalog).version("2")
        assert (version.timeout_s, version.memory_limit_in_mb) == (7, 256)
        assert version.load() is two
        assert get(catalog).version(None).timeout_s == 3

    def test_a_number_that_is_set_wins_over_one_that_is_declared(
        self, catalog: Catalog, caplog: pytest.LogCaptureFixture
    ) -> None:
        catalog.change("f", setting(versions={"1": published()}))
        for _ in range(2):
            assert get(catalog).version("1").load() is two
        assert caplog.messages == [
            "versions of function f are declared, and were published before with other handlers, "
            "which are run: 1"
        ]

    def test_what_is_run_is_what_the_import_string_names(
        self, catalog: Catalog, functions: Functions
    ) -> None:
        """And not another handler of the function that calls itself so."""

        @functools.wraps(two)
        def another(event: Any, context: Any) -> str:
            return "another"

        functions.add("wrapped", two, versions={"1": another})
        catalog.change("wrapped", setting(versions={"2": published()}))
        assert get(catalog, "wrapped").version("2").load() is two

    def test_an_alias_that_is_set_wins_and_others_stay(self, catalog: Catalog) -> None:
        catalog.change(
            "f",
            setting(
                versions={"2": published()},
                aliases={"live": SetAlias(version="2"), "new": SetAlias(version="1")},
            ),
        )
        function = get(catalog)
        assert function.version("live").number == "2"
        assert function.version("new").number == "1"

    def test_an_alias_of_a_version_that_is_gone_is_as_it_is_declared(
        self, catalog: Catalog, caplog: pytest.LogCaptureFixture
    ) -> None:
        gone = SetAlias(version="9")
        aliases = {"live": gone, "new": gone, "half": SetAlias(version="1", weights={"9": 1})}
        catalog.change("f", setting(aliases=aliases))
        function = get(catalog)
        assert function.version("live").number == "1"
        assert not function.has("new")
        assert function.version("half").number == "1"
        assert get(catalog) is function
        assert caplog.messages == [
            "aliases of function f are set for versions that the application does not have any "
            "more: live, new"
        ]
