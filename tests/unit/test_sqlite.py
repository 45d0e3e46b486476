"""The store in one SQLite file: its plans, its commits, its order, and what it keeps."""

from __future__ import annotations

import importlib
import json
import pkgutil
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from invokeasync_wsgi import store as store_package
from invokeasync_wsgi.errors import QueueFull, StoreError
from invokeasync_wsgi.invocation import UNHANDLED, Invocation, Outcome
from invokeasync_wsgi.retry import SUCCEEDED, Decision, GiveUp, RetryAt, Succeeded
from invokeasync_wsgi.store import Counts
from invokeasync_wsgi.store.sqlite import Ended, Exchanged, Room, SQLiteStore, StoredClaim, Wanted
from invokeasync_wsgi.testing import FakeClock

from ..waiting import eventually

MIB = 1024 * 1024
DONE = Outcome(b'"done"', None, "7", 0.25, "application/json", str)
FAILED = Outcome(b'{"errorType":"E"}', UNHANDLED, "$LATEST", 0.5, "application/json", str)


class Site:
    """Stores on one file, as processes have them; the fake clock is theirs together."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = FakeClock()
        self._stores: list[SQLiteStore] = []
        self.store = self.another()

    def another(self, **options: Any) -> SQLiteStore:
        store = SQLiteStore(self.path, self.clock, **{"synchronous": "normal", **options})
        self._stores.append(store)
        return store

    def event(self, request_id: str, function: str = "f", **values: Any) -> Invocation:
        made = {"payload": b"{}", "accepted_at": self.clock.time(), **values}
        return Invocation(request_id=request_id, function_name=function, **made)

    def add(self, *request_ids: str, function: str = "f") -> None:
        for request_id in request_ids:
            self.store.add(self.event(request_id, function))

    def claim(self, free: int = 100, *, owner: str = "me", **rooms: Room) -> list[StoredClaim]:
        return self.exchange(free=free, owner=owner, rooms=rooms).claims

    def exchange(
        self,
        *ended: Ended,
        free: int = 0,
        owner: str = "me",
        store: SQLiteStore | None = None,
        rooms: Mapping[str, Room] = MappingProxyType({}),
    ) -> Exchanged:
        wanted = Wanted(free, lambda name: rooms.get(name, Room(float("inf"), free, 0)))
        return (store or self.store).exchange(owner, ended, wanted)

    def end(self, claim: StoredClaim, decision: Decision, outcome: Outcome | None) -> Ended:
        return Ended(claim, decision, outcome, "the log", self.clock.time())

    def finish(self, claim: StoredClaim, decision: Decision = SUCCEEDED, **options: Any) -> None:
        outcome = DONE if isinstance(decision, Succeeded) else FAILED
        self.exchange(self.end(claim, decision, outcome), **options)

    @contextmanager
    def file(self) -> Iterator[sqlite3.Connection]:
        """A connection of somebody else's."""
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        try:
            yield connection
        finally:
            connection.close()

    def rows(self, query: str) -> list[Any]:
        with self.file() as connection:
            return connection.execute(query).fetchall()

    def close(self) -> None:
        for store in self._stores:
            store.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path / "queue.db")
    yield made
    made.close()


def ids(claims: list[StoredClaim]) -> list[str]:
    return [claim.invocation.request_id for claim in claims]


# --- plans ------------------------------------------------------------------------------------

VERBS = ("INSERT", "SELECT", "DELETE", "UPDATE", "WITH")


def _statements() -> dict[str, str]:
    """Every statement of the package's modules, by its name there."""
    found: dict[str, str] = {}
    for module in pkgutil.iter_modules(store_package.__path__):
        of_module = vars(importlib.import_module(f"{store_package.__name__}.{module.name}"))
        for name, value in of_module.items():
            texts = value if isinstance(value, tuple) else (value,)
            for number, text in enumerate(texts):
                if name.startswith("_") and isinstance(text, str) and text.startswith(VERBS):
                    suffix = f"[{number}]" if isinstance(value, tuple) else ""
                    found[f"{module.name}.{name}{suffix}"] = text
    return found


STATEMENTS = _statements()

#: Steps through a whole table that are as long as there are functions, or events under way.
SHORT_SCANS = (
    *("SCAN functions", "SCAN overrides"),
    "SCAN running USING COVERING INDEX running_by_owner",
)


def _plan(connection: sqlite3.Connection, statement: str) -> list[str]:
    for count in range(20):
        try:
            rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}", (None,) * count).fetchall()
        except sqlite3.ProgrammingError:  # it takes another number of values
            continue
        return [row[3] for row in rows]
    raise AssertionError(f"no number of values fits {statement}")


def test_the_statements_are_found() -> None:
    """Else the next test would pass for want of statements."""
    assert len(STATEMENTS) >= 15
    assert {"sqlite._NEXT", "sqlite._DROP[2]"} <= STATEMENTS.keys()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    """A file with events in all states, in whose tables nobody has counted (no ANALYZE)."""
    site = Site(tmp_path_factory.mktemp("plans") / "queue.db")
    site.add(*(f"r{number}" for number in range(50)))
    claims = site.claim(20)
    for claim in claims[:6]:
        site.finish(claim)
    for claim in claims[6:9]:
        site.finish(claim, GiveUp("RetriesExhausted"))
    with site.file() as connection:
        yield connection
    site.close()


@pytest.mark.parametrize("name", STATEMENTS)
def test_no_statement_goes_through_a_whole_table(filled: sqlite3.Connection, name: str) -> None:
    steps = _plan(filled, STATEMENTS[name])
    long = [step for step in steps if step.startswith("SCAN") and step not in SHORT_SCANS]
    assert long == [], steps


@pytest.mark.parametrize("name", ["sqlite._NEXT", "sqlite._OLD", "sqlite._FIRST_DUE"])
def test_what_comes_first_is_found_without_sorting(filled: sqlite3.Connection, name: str) -> None:
    assert [step for step in _plan(filled, STATEMENTS[name]) if "TEMP B-TREE" in step] == []


# --- shared commits ---------------------------------------------------------------------------


class Rush:
    """Threads that add events while somebody else is writing to the file.

    The first is on its way with a commit of its own; the others share the next one, in the order
    in which they came.
    """

    def __init__(self, site: Site, store: SQLiteStore) -> None:
        self._writer = store._writers.get()
        self._store = store
        self._site = site
        self.errors: dict[str, Exception | None] = {}
        self.commits = 0

    def __call__(self, *events: Invocation) -> None:
        self._store.counts()  # opens the file
        connection = self._writer.connection()
        connection.set_trace_callback(self._count)
        with self._site.file() as other, ExitStack() as at_last:
            other.execute("BEGIN IMMEDIATE")
            for number, event in enumerate(events):
                thread = threading.Thread(target=self._add, args=(event,))
                at_last.callback(thread.join, 20)
                thread.start()
                eventually(
                    lambda: self._writer._is_busy and len(self._writer._entries) == number  # noqa: B023
                )
            other.execute("ROLLBACK")
        connection = self._writer.connection()
        connection.set_trace_callback(None)

    def _count(self, statement: str) -> None:
        self.commits += statement == "COMMIT"

    def _add(self, event: Invocation) -> None:
        try:
            self._store.add(event)
        except Exception as exc:
            self.errors[event.request_id] = exc
        else:
            self.errors[event.request_id] = None

    @property
    def refused(self) -> list[str]:
        return sorted(name for name, error in self.errors.items() if error is not None)


def test_those_who_come_while_a_commit_is_on_its_way_share_the_next(site: Site) -> None:
    rush = Rush(site, site.store)
    rush(*(site.event(str(number)) for number in range(30)))
    assert (rush.commits, rush.refused) == (2, [])
    assert ids(site.claim()) == [str(number) for number in range(30)]


def test_one_who_comes_alone_waits_for_nobody(site: Site) -> None:
    site.store.counts()
    statements: list[str] = []
    site.store._writers.get().connection().set_trace_callback(statements.append)
    site.add("a")
    assert statements[0].startswith("BEGIN") or statements[1].startswith("BEGIN")
    assert statements.count("COMMIT") == 1


def test_an_error_goes_to_those_whose_commit_it_was_and_leaves_nothing_behind(site: Site) -> None:
    site.store.counts()
    connection = site.store._writers.get().connection()
    [pages] = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages + 8}")  # a disk that is nearly full
    rush = Rush(site, site.store)
    large = site.event("large", payload=b'"%s"' % (b"x" * MIB))
    rush(site.event("alone"), site.event("before"), large, site.event("after"))
    assert rush.refused == ["after", "before", "large"]
    expected = f"{site.path}: database or disk is full"
    assert {str(rush.errors[name]) for name in rush.refused} == {expected}
    assert site.rows("SELECT request_id FROM events") == [("alone",)]
    assert site.store.counts() == Counts(1, 0)
    site.store.add(large)  # there is room again
    assert ids(site.claim()) == ["alone", "large"]
    assert site.rows("PRAGMA integrity_check") == [("ok",)]


def test_only_those_beyond_the_limit_are_refused(site: Site) -> None:
    store = site.another(max_waiting=4)
    rush = Rush(site, store)
    rush(*(site.event(name) for name in "abcdefg"))
    assert rush.refused == ["e", "f", "g"]
    assert {type(rush.errors[name]) for name in rush.refused} == {QueueFull}
    assert ids(site.claim()) == ["a", "b", "c", "d"]


def test_the_limit_is_one_for_all_processes_and_not_for_what_was_accepted(site: Site) -> None:
    stores = [site.another(max_waiting=2) for _ in range(2)]
    for number, store in enumerate(stores):
        store.add(site.event(str(number)))
    for store in stores:
        with pytest.raises(QueueFull, match="2 events are waiting already"):
            store.add(site.event("too many"))
    claims = site.claim()
    stores[0].add(site.event("2"))
    stores[0].add(site.event("3"))
    retry = RetryAt(claims[0].invocation.next_attempt(), site.clock.time() + 60)
    followers = Succeeded((site.event("4"), site.event("5")))
    site.exchange(
        site.end(claims[0], retry, FAILED), site.end(claims[1], followers, DONE), store=stores[0]
    )
    assert site.store.counts() == Counts(5, 0)


def interrupted(site: Site, call: Callable[[], object]) -> None:
    """Have a call interrupted, as servers do by raising from a signal handler, while it waits."""
    writer = site.store._writers.get()
    holds, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with writer.exclusive():
            holds.set()
            let_go.wait(20)

    def end(signum: int, frame: object) -> None:
        raise SystemExit(1)

    def interrupt() -> None:
        eventually(lambda: writer._entries or writer._exclusive)
        signal.pthread_kill(main, signal.SIGUSR1)

    main = threading.main_thread().ident or 0
    before = signal.signal(signal.SIGUSR1, end)
    threads = [threading.Thread(target=target, daemon=True) for target in (hold, interrupt)]
    try:
        threads[0].start()
        assert holds.wait(10)
        threads[1].start()
        with pytest.raises(SystemExit):
            call()
    finally:
        signal.signal(signal.SIGUSR1, before)
        let_go.set()
        for thread in threads:
            thread.join(10)


@pytest.mark.parametrize("what", ["accepts", "counts"])
def test_a_thread_that_is_interrupted_while_it_waits_does_not_keep_the_others(
    site: Site, what: str
) -> None:
    site.add("a")
    calls = {"accepts": lambda: site.store.add(site.event("b")), "counts": site.store.counts}
    interrupted(site, calls[what])
    counted: list[Counts] = []
    thread = threading.Thread(target=lambda: counted.append(site.store.counts()), daemon=True)
    thread.start()
    thread.join(5)
    if thread.is_alive():
        site._stores.remove(site.store)  # it cannot even be closed
    assert [counts.waiting in (1, 2) for counts in counted] == [True]


def test_what_waits_too_long_for_others_is_refused_and_nothing_is_remembered(site: Site) -> None:
    store = site.another(busy_timeout_s=0)
    store.counts()
    with site.file() as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=f"{site.path}: database is locked"):
            store.add(site.event("a"))
        other.execute("ROLLBACK")
    store.add(site.event("b"))
    assert ids(site.claim()) == ["b"]


# --- what an event is -------------------------------------------------------------------------

PAYLOADS = {
    "the smallest": b"0",
    "an empty object": b"{}",
    "spaces and line ends": b' {"a" :\r\n\t1 } ',
    "not ASCII": '{"ключ":"значение","emoji":"🎉"}'.encode(),
    "escapes": rb'"\u0000\ud83d\ude00\/"',
    "a NUL in raw bytes": b'"\x00"',
    "numbers that are not floats": b"[1e999,-0.0,123456789012345678901234567890]",
    "1 MiB": json.dumps({"a": "é" * (MIB // 2 - 10)}, ensure_ascii=False).encode(),
}


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_a_payload_comes_back_byte_for_byte(site: Site, payload: bytes) -> None:
    site.store.add(site.event("a", payload=payload))
    [claim] = site.claim()
    assert claim.invocation.payload == payload
    assert type(claim.invocation.payload) is bytes


def test_every_field_of_an_event_comes_back(site: Site) -> None:
    event = site.event(
        "a",
        qualifier="$LATEST",
        accepted_at=1577836799.123456,
        client_context='{"custom":{"k":"é\\ud800"}}',
        trace_id="Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1",
        tenant_id="größe",
        delivery='{"to":"x"}',
    )
    site.store.add(event)
    [claim] = site.claim()
    assert claim.invocation == event


def test_two_events_may_have_the_same_request_id(site: Site) -> None:
    site.add("same", "same")
    first, second = site.claim()
    assert first.seq != second.seq
    site.finish(first)
    assert site.store.counts() == Counts(0, 1)
    site.finish(second)
    assert site.store.counts() == Counts(0, 0)


# --- ends -------------------------------------------------------------------------------------


def test_deliveries_are_accepted_in_the_same_transaction_as_the_end(site: Site) -> None:
    site.add("a")
    [claim] = site.claim()
    delivery = site.event("a", "arn:destination", delivery="{}")
    statements: list[str] = []
    connection = site.store._writers.get().connection()
    connection.set_trace_callback(statements.append)
    site.finish(claim, Succeeded((delivery, delivery)))
    connection.set_trace_callback(None)
    assert statements.count("COMMIT") == 1
    assert site.store.counts() == Counts(2, 0)
    assert [claim.invocation for claim in site.claim()] == [delivery, delivery]


def test_when_an_end_cannot_be_recorded_neither_it_nor_what_follows_is(site: Site) -> None:
    site.add("a")
    [claim] = site.claim()
    connection = site.store._writers.get().connection()
    [pages] = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages + 8}")
    end = Succeeded((site.event("b", "g"), site.event("c", "g", payload=b"1" * MIB)))
    with pytest.raises(sqlite3.OperationalError, match="full"):
        site.finish(claim, end)
    assert site.store.counts() == Counts(0, 1)
    site.finish(claim, end)
    assert ids(site.claim()) == ["b", "c"]


def test_an_end_that_comes_after_its_event_was_taken_back_changes_nothing(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.add("a", "b")
    late, in_time = site.claim()
    site.store.hand_back("me", [late])
    [again] = site.claim(owner="other")
    follows = Succeeded((site.event("never"),))
    site.exchange(site.end(late, follows, DONE), site.end(in_time, SUCCEEDED, DONE))
    assert site.store.counts() == Counts(0, 1)
    assert "request a came after its event was taken back" in caplog.text
    site.finish(again, owner="other")
    assert site.rows("SELECT request_id FROM events NATURAL JOIN finished ORDER BY seq") == [
        ("a",),
        ("b",),
    ]


def test_a_claim_of_the_same_owner_is_not_ended_by_an_earlier_one(site: Site) -> None:
    site.add("a")
    [earlier] = site.claim()
    site.store.hand_back("me", [earlier])
    [later] = site.claim()
    site.finish(earlier)
    assert site.store.counts() == Counts(0, 1)
    site.finish(later)
    assert site.store.counts() == Counts(0, 0)


def test_the_history_has_every_attempt_with_its_result_and_log(site: Site) -> None:
    site.add("a")
    for number in (1, 2):
        [claim] = site.claim()
        assert claim.invocation.attempt == number
        due = site.clock.time() + 60
        site.finish(claim, RetryAt(claim.invocation.next_attempt(), due))
        site.clock.advance(60)
    [claim] = site.claim()
    put_off = RetryAt(claim.invocation.put_off(), site.clock.time() + 1)
    site.exchange(site.end(claim, put_off, None))  # no attempt was made
    site.clock.advance(1)
    [claim] = site.claim()
    assert (claim.invocation.attempt, claim.invocation.back_offs) == (3, 1)
    site.finish(claim)
    failed = (0.5, "$LATEST", UNHANDLED, FAILED.payload, "the log")
    assert site.rows(
        "SELECT number, attempt, duration_s, executed_version, function_error, result, log"
        " FROM attempts ORDER BY number"
    ) == [(1, 1, *failed), (2, 2, *failed), (3, 3, 0.25, "7", None, DONE.payload, "the log")]
    assert site.rows("SELECT condition, attempt, dead FROM finished") == [("Success", 3, 0)]


ENDS = {
    "a success": (SUCCEEDED, DONE, ("Success", 1, 0)),
    "the last failure": (GiveUp("RetriesExhausted"), FAILED, ("RetriesExhausted", 1, 1)),
    "no attempt at all": (GiveUp("EventAgeExceeded"), None, ("EventAgeExceeded", 0, 1)),
}


@pytest.mark.parametrize(("decision", "outcome", "kept"), ENDS.values(), ids=ENDS)
def test_what_is_kept_of_an_end(
    site: Site, decision: Decision, outcome: Outcome | None, kept: tuple[object, ...]
) -> None:
    site.add("a")
    [claim] = site.claim()
    site.exchange(site.end(claim, decision, outcome))
    assert site.rows("SELECT condition, attempt, dead FROM finished") == [kept]
    assert len(site.rows("SELECT * FROM attempts")) == (outcome is not None)


def test_without_retention_nothing_is_kept_of_a_success_and_all_of_a_dead_letter(
    site: Site,
) -> None:
    store = site.another(retention_s=0)
    for name in ("success", "dead"):
        site.add(name)
        [claim] = site.claim()
        retry = RetryAt(claim.invocation.next_attempt(), site.clock.time())
        site.finish(claim, retry, store=store)
        [claim] = site.claim()
        last = SUCCEEDED if name == "success" else GiveUp("RetriesExhausted")
        site.finish(claim, last, store=store)
        there = [("dead",)] if name == "dead" else []
        assert site.rows("SELECT request_id FROM events") == there
        assert len(site.rows("SELECT * FROM finished")) == len(there)
        assert len(site.rows("SELECT * FROM attempts")) == 2 * len(there)


# --- retention --------------------------------------------------------------------------------


def finished_with_ages(site: Site, store: SQLiteStore) -> None:
    """Successes and dead letters, one of each every 10 s, the last of them now."""
    for number in range(4):
        for name in ("ok", "dead"):
            site.add(f"{name} {number}")
            [claim] = site.claim()
            last = SUCCEEDED if name == "ok" else GiveUp("RetriesExhausted")
            site.finish(claim, last, store=store)
        site.clock.advance(10 if number < 3 else 0)


def test_what_is_older_than_its_retention_is_removed_with_its_history(site: Site) -> None:
    store = site.another(retention_s=15, dead_letter_retention_s=25)
    finished_with_ages(site, store)
    site.add("waits")
    assert store.prune(100) == 3
    left = [*(f"dead {n}" for n in (1, 2, 3)), "ok 2", "ok 3", "waits"]
    assert [name for (name,) in site.rows("SELECT request_id FROM events ORDER BY 1")] == left
    assert len(site.rows("SELECT * FROM finished")) == len(left) - 1
    assert len(site.rows("SELECT * FROM attempts")) == len(left) - 1
    assert store.prune(100) == 0
    assert store.counts() == Counts(1, 0)


def test_no_more_is_removed_at_a_time_than_was_asked_for(site: Site) -> None:
    store = site.another(retention_s=0.5, dead_letter_retention_s=0.5)
    finished_with_ages(site, store)
    site.clock.advance(1)
    assert [store.prune(3) for _ in range(4)] == [3, 3, 2, 0]
    assert site.rows("SELECT * FROM events") == []


def test_a_new_event_in_the_place_of_a_removed_one_is_not_removed_with_it(site: Site) -> None:
    """Another process removes the same event, and accepts one, just before this one does."""
    first, second = (site.another(retention_s=10) for _ in range(2))
    site.add("old")
    [claim] = site.claim()
    site.finish(claim, store=first)
    site.clock.advance(20)
    second.counts()
    done: list[int] = []

    def meanwhile(statement: str) -> None:
        if statement.startswith("BEGIN") and not done:
            done.append(second.prune(10))
            second.add(site.event("new"))

    connection = first._writers.get().connection()
    connection.set_trace_callback(meanwhile)
    first.prune(10)
    connection.set_trace_callback(None)
    assert done == [1]
    assert ids(site.claim()) == ["new"]


# --- order ------------------------------------------------------------------------------------


def test_events_are_claimed_in_the_order_of_their_arrival_and_once(site: Site) -> None:
    site.add(*"abcdef")
    assert [ids(site.claim(2)) for _ in range(4)] == [["a", "b"], ["c", "d"], ["e", "f"], []]


def test_nothing_is_claimed_before_it_is_due(site: Site) -> None:
    site.add("a", "b")
    claims = site.claim()
    now = site.clock.time()
    for claim, wait_s in zip(claims, (60, 30), strict=True):
        site.finish(claim, RetryAt(claim.invocation.next_attempt(), now + wait_s))
    assert site.exchange(free=5) == ([], now + 30)
    site.clock.advance(30)
    got = site.exchange(free=5)
    assert (ids(got.claims), got.next_due) == (["b"], now + 60)


def given_back(site: Site, claims: list[StoredClaim]) -> None:
    site.store.hand_back("me", claims)


def taken_back(site: Site, claims: list[StoredClaim]) -> None:
    assert site.another().take_back("me", frozenset()) == len(claims)


@pytest.mark.parametrize("bring_back", [given_back, taken_back])
def test_events_that_come_back_stand_where_they_stood(
    site: Site, bring_back: Callable[[Site, list[StoredClaim]], None]
) -> None:
    site.add("a", "b", "c")
    site.clock.advance(5)
    site.add("d")
    before = site.claim(3)
    site.clock.advance(5)
    bring_back(site, list(reversed(before)))
    assert site.store.counts() == Counts(4, 0)
    again = site.claim()
    assert ids(again) == ["a", "b", "c", "d"]
    assert [c.invocation for c in again[:3]] == [c.invocation for c in before]


def test_only_what_was_being_run_counts_as_interrupted(site: Site) -> None:
    site.add("a", "b", "c")
    claims = site.claim()
    site.store.take_back("me", frozenset({claims[1].seq, 999}))
    again = site.claim()
    assert [c.invocation.interruptions for c in again] == [0, 1, 0]
    assert [c.invocation.attempt for c in again] == [1, 1, 1]
    site.store.take_back("me", frozenset({again[1].seq}))
    assert [c.invocation.interruptions for c in site.claim()] == [0, 2, 0]


def test_only_the_claims_of_one_owner_are_taken_back(site: Site) -> None:
    site.add("a", "b")
    mine = site.claim(1)
    site.claim(1, owner="other")
    assert sorted(site.store.owners()) == ["me", "other"]
    assert site.store.take_back("other", frozenset()) == 1
    assert site.store.owners() == ["me"]
    site.store.hand_back("other", mine)  # not its own
    assert site.store.counts() == Counts(1, 1)


def test_a_clock_that_is_set_back_keeps_nobody_waiting_longer_than_they_were_told(
    site: Site,
) -> None:
    site.add("retried", "new 1", "new 2")
    [claim] = site.claim(1)
    site.finish(claim, RetryAt(claim.invocation.next_attempt(), site.clock.time() + 60))
    site.clock.advance(-3600)
    assert site.claim() == []
    assert site.store.heal_dues() == 3
    assert site.store.heal_dues() == 0
    assert ids(site.claim()) == ["new 1", "new 2"]
    site.clock.advance(59)
    assert site.claim() == []
    site.clock.advance(1)
    assert ids(site.claim()) == ["retried"]


# --- shares -----------------------------------------------------------------------------------


def test_no_function_starves_for_its_name_when_few_workers_are_free(site: Site) -> None:
    functions = ["a", "b", "c", "d", "e"]
    for function in functions:
        site.add(*(f"{function}{number}" for number in range(20)), function=function)
    order = []
    for _ in range(20):
        [claim] = site.claim(1)
        order.append(claim.invocation.function_name)
        site.finish(claim)
    assert {function: order.count(function) for function in functions} == dict.fromkeys(
        functions, 4
    )


def test_free_workers_are_shared_and_nobody_leaves_one_free(site: Site) -> None:
    for function, count in (("many", 20), ("few", 1), ("some", 3)):
        site.add(*(f"{function}{number}" for number in range(count)), function=function)
    claims: list[StoredClaim] = []
    while len(claims) < 9:
        got = site.exchange(free=9 - len(claims))
        assert got.claims, "workers are free and events wait"
        claims += got.claims
        if len(claims) < 9:
            assert got.next_due <= site.clock.time()
    names = [claim.invocation.function_name for claim in claims]
    assert {name: names.count(name) for name in names} == {"many": 5, "few": 1, "some": 3}


def test_a_limit_holds_over_all_owners(site: Site) -> None:
    site.add(*"abcdef")
    room = {"f": Room(2, 5, 5)}
    first = site.claim(5, owner="one", **room)
    assert ids(first) == ["a", "b"]
    assert site.claim(5, owner="two", **room) == []
    site.finish(first[0], owner="one")
    assert ids(site.claim(5, owner="two", **room)) == ["c"]


def test_what_a_process_has_no_room_for_stays_where_it_is(site: Site) -> None:
    site.add("a", function="known")
    site.add("b", function="unknown")
    wanted = Wanted(5, lambda name: Room(9, 5, 0) if name == "known" else None)
    assert ids(site.store.exchange("me", [], wanted).claims) == ["a"]
    nothing = Wanted(5, lambda name: None)
    assert site.store.exchange("me", [], nothing) == ([], float("inf"))
    assert site.store.counts() == Counts(1, 1)


def test_events_are_taken_in_advance_as_far_as_there_is_room(site: Site) -> None:
    site.add(*"abcdef")
    assert ids(site.claim(0, f=Room(float("inf"), 0, 3))) == ["a", "b", "c"]


# --- the file ---------------------------------------------------------------------------------


def test_only_what_others_commit_is_a_change(site: Site) -> None:
    other = site.another()
    other.counts()
    site.store.has_changed()
    seen = [site.store.has_changed()]
    site.add("mine")
    seen.append(site.store.has_changed())
    other.add(site.event("theirs"))
    seen += [site.store.has_changed(), site.store.has_changed()]
    site.finish(site.claim(1)[0])
    site.store.checkpoint()
    seen.append(site.store.has_changed())
    assert seen == [False, False, True, False, False]


def remove(path: Path) -> None:
    for name in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        name.unlink(missing_ok=True)


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_a_file_that_is_no_longer_there_is_noticed_and_the_next_one_used(
    site: Site, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    site.add("in the old file")
    remove(site.path)
    if how == "replaced":
        site.another().add(site.event("in the new file"))
    site.add("accepted later")
    assert f"{site.path} was replaced or removed while in use" in caplog.text
    expected = ["accepted later"] if how == "removed" else ["in the new file", "accepted later"]
    assert ids(site.claim()) == expected
    assert [name for (name,) in site.rows("SELECT request_id FROM events ORDER BY seq")] == expected


def test_a_store_that_was_closed_opens_again_when_it_is_needed(site: Site) -> None:
    site.store.close()  # before it was ever used
    site.add("a")
    site.store.close()
    site.store.close()
    assert not Path(f"{site.path}-wal").exists()
    site.add("b")
    assert ids(site.claim()) == ["a", "b"]


def test_nothing_is_opened_before_the_first_use(tmp_path: Path) -> None:
    SQLiteStore(tmp_path / "queue.db", FakeClock())
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_moves_the_log_into_the_file(site: Site) -> None:
    site.add(*"abc")
    before = site.path.stat().st_size
    site.store.add(site.event("large", payload=b"1" * MIB))
    site.store.checkpoint()
    assert site.path.stat().st_size >= before + MIB


def test_a_file_that_cannot_be_opened_is_named_and_the_store_works_when_it_can(site: Site) -> None:
    site.path.mkdir()
    with pytest.raises(StoreError, match=str(site.path)):
        site.add("refused")
    site.path.rmdir()
    site.add("accepted")
    assert ids(site.claim()) == ["accepted"]


@pytest.mark.parametrize(("synchronous", "level"), [("full", 2), ("normal", 1)])
def test_accepting_is_as_durable_as_was_asked_for(site: Site, synchronous: str, level: int) -> None:
    store = site.another(synchronous=synchronous)
    for _ in range(2):
        levels: list[int] = []
        store.counts()
        connection = store._writers.get().connection()

        def look(statement: str) -> None:
            if statement == "COMMIT":
                levels.append(connection.execute("PRAGMA synchronous").fetchone()[0])  # noqa: B023

        connection.set_trace_callback(look)
        store.add(site.event("a"))
        site.exchange(store=store, free=1)
        connection.set_trace_callback(None)
        assert levels == [level, 1]
