"""Every store of overrides: what is set is there as a whole, for all who may see it."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from invokeasync_wsgi.errors import StoreError
from invokeasync_wsgi.overrides import NOTHING_SET, Overrides
from invokeasync_wsgi.store.overrides import (
    EMPTY,
    Change,
    Everyone,
    MemoryOverrides,
    OverridesStore,
    parse_all,
)
from invokeasync_wsgi.store.overrides_file import SQLiteOverrides

Make = Callable[[], OverridesStore]


@pytest.fixture(params=["memory", "sqlite"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Makes stores of one kind; those in a file share it."""
    if request.param == "memory":
        return MemoryOverrides
    return lambda: SQLiteOverrides(tmp_path / "queue.db")


@pytest.fixture
def store(make: Make) -> OverridesStore:
    return make()


def reserve(number: int) -> Change:
    return lambda held, everyone: replace(held, reserved_concurrency=number)


def read(store: OverridesStore) -> dict[str, Overrides]:
    snapshot = store.read()
    assert snapshot is not None
    return parse_all(snapshot.texts)


def test_nothing_is_set_at_first(store: OverridesStore) -> None:
    assert store.read() == EMPTY
    assert store.read(EMPTY.mark) is None


def test_reading_makes_no_file(tmp_path: Path) -> None:
    SQLiteOverrides(tmp_path / "queue.db").read()
    assert list(tmp_path.iterdir()) == []


def test_what_is_set_is_read(store: OverridesStore) -> None:
    assert store.change("f", reserve(2)) == Overrides(reserved_concurrency=2)
    store.change("g", reserve(0))
    store.change("f", lambda held, everyone: replace(held, recursive_loop="Allow"))
    assert read(store) == {
        "f": Overrides(reserved_concurrency=2, recursive_loop="Allow"),
        "g": Overrides(reserved_concurrency=0),
    }


def test_a_mark_is_known_until_something_is_set(store: OverridesStore) -> None:
    marks = {EMPTY.mark}
    for number in range(3):
        store.change("f", reserve(number))
        snapshot = store.read(EMPTY.mark)
        assert snapshot is not None
        assert store.read(snapshot.mark) is None
        marks.add(snapshot.mark)
    assert len(marks) == 4


def test_a_change_that_raises_changes_nothing(store: OverridesStore) -> None:
    store.change("f", reserve(2))
    before = store.read()

    def refuse(held: Overrides, everyone: Everyone) -> Overrides:
        assert held == Overrides(reserved_concurrency=2)
        assert everyone() == {"f": held}
        raise ValueError("refused")

    with pytest.raises(ValueError, match="refused"):
        store.change("f", refuse)
    assert store.read() == before


def test_a_change_that_gives_back_what_it_got_changes_nothing(store: OverridesStore) -> None:
    store.change("f", reserve(2))
    before = store.read()
    assert store.change("f", lambda held, everyone: held) == Overrides(reserved_concurrency=2)
    assert store.change("never set", lambda held, everyone: held) == NOTHING_SET
    assert store.read() == before


def test_all_that_is_set_of_a_function_can_be_forgotten(store: OverridesStore) -> None:
    store.change("f", reserve(2))
    store.change("g", reserve(3))
    before = store.read()
    assert store.forget("f")
    after = store.read()
    assert before is not None
    assert after is not None
    assert before.mark != after.mark
    assert read(store) == {"g": Overrides(reserved_concurrency=3)}
    assert not store.forget("f")
    assert store.read() == after
    assert store.change("f", lambda held, everyone: held) == NOTHING_SET


def test_changes_of_threads_come_one_after_the_other(store: OverridesStore) -> None:
    def count(held: Overrides, everyone: Everyone) -> Overrides:
        return replace(held, reserved_concurrency=(held.reserved_concurrency or 0) + 1)

    threads = [
        threading.Thread(target=lambda: [store.change("f", count) for _ in range(10)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert read(store) == {"f": Overrides(reserved_concurrency=40)}


def test_others_see_it_where_it_is_shared(make: Make) -> None:
    one, other = make(), make()
    one.change("f", reserve(2))
    assert (other.read() != EMPTY) is one.is_shared
    one.change("f", reserve(3))
    assert read(other).get("f", NOTHING_SET).reserved_concurrency == (3 if one.is_shared else None)


def test_a_text_that_cannot_be_read_is_of_one_function(tmp_path: Path) -> None:
    store = SQLiteOverrides(tmp_path / "queue.db")
    store.change("f", reserve(2))
    store.change("g", reserve(3))
    with closing(sqlite3.connect(tmp_path / "queue.db")) as connection, connection:
        connection.execute(
            "UPDATE overrides SET document = '{\"later\": 1}' WHERE function_name = 'f'"
        )
    with pytest.raises(StoreError, match="of function 'f' cannot be read"):
        store.change("f", reserve(1))

    def look(held: Overrides, everyone: Everyone) -> Overrides:
        assert everyone() == {"g": held}
        return held

    assert store.change("g", look) == Overrides(reserved_concurrency=3)
    assert store.forget("f")
    assert store.change("f", reserve(1)) == Overrides(reserved_concurrency=1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_changes_what_it_may(store: OverridesStore) -> None:
    store.change("f", reserve(1))
    child = os.fork()
    if child == 0:
        try:
            store.change("f", reserve(2))
            os._exit(0 if read(store)["f"].reserved_concurrency == 2 else 1)
        except BaseException:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert read(store)["f"].reserved_concurrency == (2 if store.is_shared else 1)
