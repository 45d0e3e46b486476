"""What operators see and do: events listed, shown, redriven and purged, in the queue's own file."""

from __future__ import annotations

import json
import re
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invokeasync_wsgi import Functions, InvokeAsyncMiddleware
from invokeasync_wsgi.errors import ConfigurationError, StoreError
from invokeasync_wsgi.executors.durable import DurableExecutor
from invokeasync_wsgi.store import events as statements
from invokeasync_wsgi.store.events import STATES, AttemptRecord, Depth, Event, Events, State
from invokeasync_wsgi.testing import FakeClock

from ..queue_file import DURATION_S, QueueFile
from ..waiting import eventually

NOW = FakeClock().time()


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[QueueFile]:
    made = QueueFile(tmp_path)
    yield made
    made.check()
    made.close()


def ids(events: list[Event]) -> list[str]:
    return [event.request_id for event in events]


def add(queue: QueueFile, state: State, name: str) -> str:
    """An event in a state; what waits of its function is claimed first, so it is put back."""
    make: dict[State, Callable[[str], str]] = {
        "waiting": queue.waiting,
        "running": queue.running,
        "succeeded": queue.succeeded,
        "dead": queue.dead,
    }
    return make[state](name)


# --- find ---------------------------------------------------------------------------------------


def test_each_event_is_in_the_list_of_its_state_only(queue: QueueFile) -> None:
    made = {state: add(queue, state, state) for state in STATES}
    assert {state: ids(queue.events.find(state)) for state in STATES} == {
        state: [request_id] for state, request_id in made.items()
    }


def test_an_event_that_waits_for_its_first_attempt(queue: QueueFile) -> None:
    request_id = queue.waiting("work", b'{"a": 1}', qualifier="live")
    assert queue.events.find("waiting") == [
        Event(
            seq=1,
            request_id=request_id,
            function_name="work",
            qualifier="live",
            accepted_at=NOW,
            payload_bytes=8,
            is_delivery=False,
            state="waiting",
            attempt=1,
            condition=None,
            due=NOW,
            finished_at=None,
            error=None,
        )
    ]


def test_an_event_that_waits_for_a_retry_tells_when_and_why(queue: QueueFile) -> None:
    queue.waiting()
    [claim] = queue.claim()
    queue.clock.advance(5)
    queue.end(claim, error=("ValueError", "no"), retries=2)
    [event] = queue.events.find("waiting")
    assert (event.attempt, event.due) == (2, NOW + 5 + 60)
    assert json.loads(event.error or "")["errorMessage"] == "no"


def test_an_event_whose_attempt_is_under_way(queue: QueueFile) -> None:
    queue.running()
    [event] = queue.events.find("running")
    assert (event.state, event.attempt, event.finished_at) == ("running", 1, None)


def test_an_event_that_succeeded_after_a_failure_has_no_error(queue: QueueFile) -> None:
    queue.waiting()
    queue.end(*queue.claim(), error=("ValueError", "no"), retries=2)
    queue.clock.advance(60)
    queue.end(*queue.claim(), retries=2)
    [event] = queue.events.find("succeeded")
    assert event[-6:] == ("succeeded", 2, "Success", None, NOW + 60, None)


def test_a_dead_letter_has_its_condition_and_its_last_error(queue: QueueFile) -> None:
    queue.dead(error=("KeyError", "'a'"))
    [event] = queue.events.find()
    assert event[-6:-1] == ("dead", 1, "RetriesExhausted", None, NOW)
    assert json.loads(event.error or "")["errorType"] == "KeyError"


@pytest.mark.parametrize("state", ["succeeded", "dead"])
def test_the_finished_come_from_the_latest_on(queue: QueueFile, state: State) -> None:
    """By their end, and not by their acceptance."""
    for name in "abc":
        queue.waiting(name)
    for name in "cab":
        queue.clock.advance(1)
        queue.end(*queue.claim(name), error=("E", "") if state == "dead" else None)
    assert [event.function_name for event in queue.events.find(state)] == ["b", "a", "c"]


def test_of_those_that_ended_at_the_same_moment_the_last_accepted_comes_first(
    queue: QueueFile,
) -> None:
    made = [queue.dead() for _ in range(3)]
    assert ids(queue.events.find()) == made[::-1]


@pytest.mark.parametrize("state", STATES)
def test_a_list_may_be_of_one_function_only(queue: QueueFile, state: State) -> None:
    made = [add(queue, state, name) for name in ("one", "two")]
    assert ids(queue.events.find(state, function_name="two")) == made[1:]
    assert queue.events.find(state, function_name="three") == []


@pytest.mark.parametrize("state", STATES)
def test_a_list_has_no_more_than_was_asked_for(queue: QueueFile, state: State) -> None:
    for number in range(5):
        add(queue, state, f"function-{number}")
    assert len(queue.events.find(state, limit=3)) == 3


@settings(max_examples=60)
@given(
    data=st.lists(
        st.tuples(
            st.sampled_from(STATES),
            st.sampled_from(["one", "two", "three"]),
            st.sampled_from([0, 0, 1, 30]),
        ),
        max_size=20,
    ),
    size=st.integers(1, 7),
    name=st.sampled_from([None, "one"]),
)
def test_pages_are_complete_and_without_repeats(
    data: list[tuple[State, str, int]], size: int, name: str | None
) -> None:
    expected: dict[State, list[str]] = {state: [] for state in STATES}
    with tempfile.TemporaryDirectory() as folder:
        queue = QueueFile(Path(folder))
        # Those that wait come last, as the others are claimed in turn.
        for state, function_name, seconds in sorted(data, key=lambda each: each[0] == "waiting"):
            queue.clock.advance(seconds)
            request_id = add(queue, state, function_name)
            if name in (None, function_name):
                expected[state].append(request_id)
        for state in STATES:
            found: list[Event] = []
            while page := queue.events.find(
                state, function_name=name, limit=size, before=found[-1] if found else None
            ):
                assert len(found) <= len(data), f"{state}: there is no end of pages"
                found += page
            assert sorted(ids(found)) == sorted(expected[state]), state
            assert found == queue.events.find(state, function_name=name), state
        queue.check()
        queue.close()


def test_a_state_that_does_not_exist_is_refused(queue: QueueFile) -> None:
    with pytest.raises(ConfigurationError, match="state='gone': it must be one of waiting, run"):
        queue.events.find("gone")  # type: ignore[arg-type]


# --- get ----------------------------------------------------------------------------------------


def test_all_that_came_with_an_event_is_shown(queue: QueueFile) -> None:
    request_id = queue.waiting(
        payload=b'{"a":  1}',
        qualifier="2",
        client_context='{"custom": 1}',
        trace_id="Root=1-a",
        tenant_id="them",
    )
    [detail] = queue.events.get(request_id)
    assert detail.event == queue.events.find("waiting")[0]
    assert detail[1:] == (b'{"a":  1}', '{"custom": 1}', "Root=1-a", "them", [])


@pytest.mark.parametrize("state", STATES)
def test_an_event_is_shown_as_it_is_listed(queue: QueueFile, state: State) -> None:
    queue.waiting("other")
    request_id = add(queue, state, "work")
    [detail] = queue.events.get(request_id)
    assert [detail.event] == queue.events.find(state, function_name="work")


def test_every_attempt_is_shown_with_its_log_and_its_result(queue: QueueFile) -> None:
    request_id = queue.waiting()
    queue.end(*queue.claim(), error=("ValueError", "no"), log="first\n", retries=2)
    queue.clock.advance(60)
    queue.end(*queue.claim(), result=b"[1]", log="second\n", retries=2)
    [detail] = queue.events.get(request_id)
    error = json.dumps(
        {
            "errorMessage": "no",
            "errorType": "ValueError",
            "requestId": request_id,
            "stackTrace": [],
        },
        separators=(", ", ": "),
    ).encode()
    assert detail.attempts == [
        AttemptRecord(1, 1, NOW, DURATION_S, "$LATEST", "Unhandled", error, "first\n"),
        AttemptRecord(2, 2, NOW + 60, DURATION_S, "$LATEST", None, b"[1]", "second\n"),
    ]


@pytest.mark.parametrize("waits_first", [True, False])
def test_a_retry_is_shown_with_its_number_and_its_time(queue: QueueFile, waits_first: bool) -> None:
    request_id = queue.waiting()
    [claim] = queue.claim()
    if waits_first:
        queue.waiting()
    queue.clock.advance(5)
    queue.end(claim, error=("ValueError", "no"), retries=2)
    queue.waiting()
    [detail] = queue.events.get(request_id)
    assert (detail.event.state, detail.event.attempt, detail.event.due) == ("waiting", 2, NOW + 65)


def test_an_event_that_was_put_off_is_shown_with_its_time(queue: QueueFile) -> None:
    request_id = queue.waiting()
    queue.put_off(*queue.claim())
    [detail] = queue.events.get(request_id)
    assert (detail.event.attempt, detail.event.due, detail.attempts) == (1, NOW + 1, [])


def test_an_event_that_went_back_from_a_dead_process_is_shown_with_its_time(
    queue: QueueFile,
) -> None:
    request_id = queue.running()
    queue.clock.advance(100)
    queue.store.take_back("owner", frozenset())
    [detail] = queue.events.get(request_id)
    assert (detail.event.state, detail.event.attempt, detail.event.due) == ("waiting", 1, NOW)


def test_a_retry_is_shown_with_its_time_although_the_clock_was_set_back(queue: QueueFile) -> None:
    request_id = queue.waiting()
    queue.end(*queue.claim(), error=("ValueError", "no"), retries=2)
    queue.clock.advance(-3600)
    assert queue.store.heal_dues() == 1
    [detail] = queue.events.get(request_id)
    assert (detail.event.attempt, detail.event.due) == (2, NOW - 3600 + 60)


def test_of_an_event_that_is_not_there_nothing_is_shown(queue: QueueFile) -> None:
    assert queue.events.get("no such id") == []


def test_deliveries_are_shown_with_their_event(queue: QueueFile) -> None:
    request_id = queue.dead()
    other = queue.waiting("https://example.com/hook", request_id=request_id, delivery="{}")
    assert other == request_id
    shown = [detail.event for detail in queue.events.get(request_id)]
    assert [(event.function_name, event.is_delivery, event.state) for event in shown] == [
        ("work", False, "dead"),
        ("https://example.com/hook", True, "waiting"),
    ]


# --- depths -------------------------------------------------------------------------------------


def test_every_function_has_its_depths(queue: QueueFile) -> None:
    queue.dead("one")
    queue.dead("one")
    queue.running("one")
    queue.waiting("one")
    queue.succeeded("two")
    queue.waiting("file:///spool/", delivery="{}")
    assert sorted(queue.events.depths()) == [
        Depth("file:///spool/", waiting=1, running=0, dead=0),
        Depth("one", waiting=1, running=1, dead=2),
        Depth("two", waiting=0, running=0, dead=0),
    ]


# --- redrive ------------------------------------------------------------------------------------


def test_a_redriven_event_has_all_its_attempts_and_its_whole_age_before_it(
    queue: QueueFile,
) -> None:
    request_id = queue.waiting(payload=b'{"a":  1}')
    for _ in range(3):
        queue.clock.advance(120)
        queue.end(*queue.claim(), error=("ValueError", "no"), retries=2)
    queue.clock.advance(1000)
    assert queue.events.redrive(request_id=request_id) == 1
    now = queue.clock.time()
    [event] = queue.events.find("waiting")
    assert (event.attempt, event.accepted_at, event.due) == (1, now, now)
    assert queue.events.find() == []
    [claim] = queue.claim()
    again = claim.invocation
    assert (again.request_id, again.payload) == (request_id, b'{"a":  1}')
    assert (again.attempt, again.accepted_at) == (1, now)
    assert (again.back_offs, again.interruptions) == (0, 0)


def test_the_history_goes_on_behind_a_redrive(queue: QueueFile) -> None:
    request_id = queue.dead()
    queue.events.redrive()
    assert len(queue.events.get(request_id)[0].attempts) == 1
    queue.end(*queue.claim())
    [detail] = queue.events.get(request_id)
    assert (detail.event.state, detail.event.condition) == ("succeeded", "Success")
    assert [(each.number, each.attempt, each.function_error) for each in detail.attempts] == [
        (1, 1, "Unhandled"),
        (2, 1, None),
    ]


def test_a_redriven_event_may_die_and_be_redriven_again(queue: QueueFile) -> None:
    request_id = queue.dead()
    for _ in range(3):
        assert queue.events.redrive(request_id=request_id) == 1
        queue.end(*queue.claim(), error=("ValueError", "no"))
    assert ids(queue.events.find()) == [request_id]
    assert [each.number for each in queue.events.get(request_id)[0].attempts] == [1, 2, 3, 4]


@pytest.mark.parametrize("act", [Events.redrive, Events.purge])
@pytest.mark.parametrize("state", ["waiting", "running", "succeeded"])
def test_nothing_is_done_to_an_event_that_is_no_dead_letter(
    queue: QueueFile, state: State, act: Callable[..., int]
) -> None:
    request_id = add(queue, state, "work")
    before = queue.events.get(request_id)
    assert act(queue.events, request_id=request_id) == 0
    assert act(queue.events, function_name="work") == 0
    assert act(queue.events) == 0
    assert queue.events.get(request_id) == before


@pytest.mark.parametrize("act", [Events.redrive, Events.purge])
def test_of_an_event_and_its_delivery_only_the_dead_one_is_meant(
    queue: QueueFile, act: Callable[..., int]
) -> None:
    request_id = queue.dead()
    queue.waiting("file:///spool/", request_id=request_id, delivery="{}")
    assert act(queue.events, request_id=request_id) == 1
    states = {each.event.function_name: each.event.state for each in queue.events.get(request_id)}
    assert states["file:///spool/"] == "waiting"


@pytest.mark.parametrize("act", [Events.redrive, Events.purge])
def test_one_or_those_of_one_function_or_all_may_be_meant(
    queue: QueueFile, act: Callable[..., int]
) -> None:
    one, *_ = [queue.dead(name) for name in ("a", "a", "a", "b", "b", "c")]
    assert act(queue.events, request_id=one) == 1
    assert [each.function_name for each in queue.events.find()] == ["c", "b", "b", "a", "a"]
    assert act(queue.events, function_name="a") == 2
    assert [each.function_name for each in queue.events.find()] == ["c", "b", "b"]
    queue.check()
    assert act(queue.events) == 3
    assert act(queue.events) == 0


@pytest.mark.parametrize("which", [{}, {"function_name": "work"}])
@pytest.mark.parametrize("act", [Events.redrive, Events.purge])
@pytest.mark.parametrize("count", [100, 101, 250])
def test_more_than_one_transaction_holds_are_done_all_the_same(
    queue: QueueFile, act: Callable[..., int], which: dict[str, str], count: int
) -> None:
    queue.many_dead(count)
    queue.dead("other")
    assert act(queue.events, **which) == count + (not which)
    assert len(queue.events.find()) == bool(which)


@pytest.mark.parametrize("other", ["redrive", "purge"])
def test_two_operators_at_once_do_everything_once(queue: QueueFile, other: str) -> None:
    queue.many_dead(450)
    together = threading.Barrier(2)
    done: list[tuple[str, int]] = []

    def operate(what: str) -> None:
        events = Events(queue.path, queue.clock)
        together.wait(10)
        done.append((what, getattr(events, what)()))

    threads = [threading.Thread(target=operate, args=(what,)) for what in ("redrive", other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(done) == 2
    assert sum(number for _, number in done) == 450
    assert queue.events.find() == []
    redriven = sum(number for what, number in done if what == "redrive")
    assert len(queue.events.find("waiting", limit=1000)) == redriven


@settings(max_examples=40)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from([*STATES, "redrive", "purge", "redrive all", "purge all", "run"]),
            st.sampled_from(["one", "two"]),
        ),
        max_size=25,
    )
)
def test_the_counts_stay_those_of_the_rows_whatever_is_done(
    steps: list[tuple[str, str]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        queue = QueueFile(Path(folder))
        for what, name in steps:
            queue.clock.advance(1)
            if what in STATES:
                queue.claim(name, 100)  # so that the next one has its turn
                add(queue, what, name)
            elif what == "run":
                for claim in queue.claim(name, 3):
                    queue.end(claim, error=("E", "") if claim.seq % 2 else None, retries=1)
            else:
                act = queue.events.redrive if what.startswith("redrive") else queue.events.purge
                act(function_name=None if what.endswith("all") else name)
            queue.check()
            depths = {depth.function_name: depth[1:] for depth in queue.events.depths()}
            for each in ("one", "two"):
                counts = [
                    len(queue.events.find(state, function_name=each))
                    for state in ("waiting", "running", "dead")
                ]
                assert tuple(counts) == depths.get(each, (0, 0, 0))
        queue.close()


class Site:
    """A function that fails until it is mended, on a durable executor whose time is moved here."""

    def __init__(self, path: Path) -> None:
        self.clock = FakeClock()
        self.is_mended = False
        self.delivered: list[Any] = []
        functions = Functions()
        functions.add("work", self.work, on_failure=self.deliver, maximum_retry_attempts=1)
        self.app = InvokeAsyncMiddleware(
            None,
            functions,
            auth="none",
            executor=DurableExecutor(path, workers=1, synchronous="normal"),
            clock=self.clock,
        )

    def work(self, event: Any, context: Any) -> str:
        print("working on", event)
        if not self.is_mended:
            raise ValueError("not yet")
        return "done"

    def deliver(self, record: Any) -> None:
        self.delivered.append(record)
        raise ConnectionError("nobody there")

    def until(self, is_true: Callable[[], object]) -> None:
        """Let time pass until something is true."""

        def look() -> object:
            self.clock.advance(1)
            return is_true()

        eventually(look)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path / "queue.db")
    yield made
    made.app.close()


def test_what_a_durable_executor_gave_up_runs_again_to_success(site: Site) -> None:
    request_id = site.app.submit("work", {"n": 1})
    executor = site.app.service.executor
    assert isinstance(executor, DurableExecutor)
    events = executor.events
    site.until(lambda: events.find("dead"))
    assert events.find("dead")[0].attempt == 2

    site.is_mended = True
    redriven_at = site.clock.time()
    assert events.redrive(request_id=request_id) == 1
    site.until(lambda: events.find("succeeded"))
    [detail, delivery] = events.get(request_id)
    assert detail.event.state == "succeeded"
    assert detail.event.accepted_at >= redriven_at
    assert [(each.number, each.attempt) for each in detail.attempts] == [(1, 1), (2, 2), (3, 1)]
    assert detail.attempts[-1].result == b'"done"'
    assert all("working on {'n': 1}\n" in each.log for each in detail.attempts)

    assert delivery.event.is_delivery
    assert delivery.event.function_name.startswith("python:")
    site.until(lambda: len(site.delivered) > 1)
    [_, delivery] = events.get(request_id)
    assert b"ConnectionError" in delivery.attempts[0].result


def test_an_error_or_a_log_that_is_no_text_does_not_stop_the_queue(site: Site) -> None:
    """Python's strings may hold what UTF-8 does not: JSON's lone surrogates come in as such."""

    def refuse(event: Any, context: Any) -> None:
        raise ValueError(f"{event} is not known")

    site.app.service.functions.add("refuse", refuse)
    request_id = site.app.submit("refuse", b'"\\ud800"')
    executor = site.app.service.executor
    assert isinstance(executor, DurableExecutor)
    events = executor.events
    site.until(lambda: events.get(request_id)[0].attempts)
    assert b"is not known" in events.get(request_id)[0].attempts[0].result


# --- purge --------------------------------------------------------------------------------------


def test_of_what_was_purged_nothing_is_left(queue: QueueFile) -> None:
    queue.succeeded()
    before = queue.sizes()
    request_id = queue.dead(payload=b'"secret"')
    assert queue.events.purge(request_id=request_id) == 1
    assert queue.events.get(request_id) == []
    assert queue.sizes() == before


def test_only_those_are_purged_that_were_given_up_so_long_ago(queue: QueueFile) -> None:
    old = queue.dead("a"), queue.dead("b")
    queue.clock.advance(100)
    young = queue.dead("a")
    assert queue.events.purge(older_than_s=101) == 0
    assert queue.events.purge(request_id=young, older_than_s=100) == 0
    assert queue.events.purge(function_name="a", older_than_s=100) == 1
    assert ids(queue.events.find()) == [young, old[1]]
    assert queue.events.purge(older_than_s=100) == 1
    assert queue.events.purge() == 1


# --- files that cannot be used ------------------------------------------------------------------


def test_a_file_that_is_not_there_is_refused_and_not_made(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    with pytest.raises(ConfigurationError, match=re.escape(f"there is no file '{path}'")):
        Events(path)
    with pytest.raises(ConfigurationError, match=re.escape(f"there is no directory '{path}'")):
        Events(path / "queue.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"no database", b"x" * 4096])
def test_a_file_that_is_no_database_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=re.escape(f"'{path}' cannot be used: it is no")):
        Events(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("application_id", [0, 0x12345])
def test_another_applications_database_is_refused_and_left_alone(
    tmp_path: Path, application_id: int
) -> None:
    path = tmp_path / "site.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE events (seq)")
        connection.execute(f"PRAGMA application_id = {application_id}")
        connection.commit()
    content = path.read_bytes()
    with pytest.raises(ConfigurationError, match=re.escape(f"'{path}' cannot be used")) as refused:
        Events(path)
    assert "the database of another application" in str(refused.value)
    assert path.read_bytes() == content
    assert [each.name for each in tmp_path.iterdir()] == ["site.db"]


def test_a_file_of_a_newer_release_is_refused(queue: QueueFile) -> None:
    with closing(sqlite3.connect(queue.path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="its schema has version 99"):
        queue.events.depths()


def test_a_queue_that_another_process_keeps_writing_can_be_read_and_says_so(
    queue: QueueFile,
) -> None:
    request_id = queue.dead()
    impatient = Events(queue.path, queue.clock, busy_timeout_s=0)
    with closing(sqlite3.connect(queue.path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        assert ids(impatient.find()) == [request_id]
        with pytest.raises(StoreError, match=re.escape(f"{queue.path}: database is locked")):
            impatient.redrive()
    assert impatient.redrive() == 1


def test_events_are_found_whatever_the_current_directory(
    queue: QueueFile, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(queue.path.parent)
    events = Events(queue.path.name)
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert events.path == queue.path
    assert events.depths() == []


# --- plans --------------------------------------------------------------------------------------

STATEMENTS = {
    name: text
    for name, text in vars(statements).items()
    if isinstance(text, str) and text.startswith(("SELECT", "INSERT", "UPDATE", "DELETE"))
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_no_statement_reads_a_whole_table(queue: QueueFile, name: str) -> None:
    """But that of functions, which has a row for each of them."""
    statement = STATEMENTS[name]
    numbers = [int(number or 1) for number in re.findall(r"\?(\d*)", statement)]
    count = max(*numbers, 0) if "?1" in statement else len(numbers)
    plan = queue.rows(f"EXPLAIN QUERY PLAN {statement}", *[None] * count)
    scans = [detail for *_, detail in plan if detail.startswith("SCAN")]
    assert [scan for scan in scans if scan.split()[1] != "functions"] == []
    if name != "_LIST_RUNNING":  # there are only as many as workers, and no more than that
        assert [detail for *_, detail in plan if "TEMP B-TREE" in detail] == []


def test_dead_letters_are_counted_by_looking_at_those_of_each_function_only(
    queue: QueueFile,
) -> None:
    """And not at all of them for each function: there may be many of both."""
    plan = queue.rows(f"EXPLAIN QUERY PLAN {STATEMENTS['_DEPTHS']}")
    [search] = [detail for *_, detail in plan if detail.startswith("SEARCH")]
    assert "function_name=?" in search
