"""The queue in a file against a plain model of it: whatever happens, in whatever order.

A machine of two processes (two stores on one file) with owners that claim, finish, hand back, stop,
come back late and die. After every step each table of the file is what the model says: nothing is
lost, nothing is in two places, and every count is right.
"""

from __future__ import annotations

import math
import os
import shutil
import sqlite3
import tempfile
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from invokeasync_wsgi import retry
from invokeasync_wsgi.config import AsyncSettings
from invokeasync_wsgi.errors import QueueFull
from invokeasync_wsgi.invocation import UNHANDLED, Invocation, Outcome
from invokeasync_wsgi.store import Counts
from invokeasync_wsgi.store.sqlite import Ended, Exchanged, Room, SQLiteStore, StoredClaim, Wanted
from invokeasync_wsgi.testing import FakeClock

#: Where the files of all examples are: in memory where there is such a place, to be quick.
IN_MEMORY = next(filter(os.path.isdir, ["/dev/shm"]), None)

MAX_WAITING = 12
RETENTION_S = 300
DEAD_LETTER_RETENTION_S = 1000
SETTINGS = AsyncSettings(maximum_event_age_s=600, max_interruptions=2)

#: How many events of a function may be claimed at once; ``None``: it is not known here.
LIMITS: dict[str, float | None] = {"free": math.inf, "two": 2, "one": 1, "unknown": None}
KNOWN = [name for name, limit in LIMITS.items() if limit is not None]

SUCCESS = Outcome(b'"done"', None, "$LATEST", 0.5, "application/json", str)
FAILURE = Outcome(b'{"errorType":"E"}', UNHANDLED, "$LATEST", 0.5, "application/json", str)

#: What an attempt comes to; with deliveries, if its event ends with it.
ENDS = ("success", "failure", "throttle", "success with delivery", "failure with delivery")


@dataclass
class Event:
    """One event, as it should stand in the file."""

    invocation: Invocation
    seq: int
    due: float
    wait_s: float = 0.0
    owner: str | None = None
    #: When its end was recorded, and why; ``None`` as long as it has not ended.
    finished: tuple[float, str, int] | None = None
    #: (number, attempt, function error) of each row of its history.
    attempts: list[tuple[int, int, str | None]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.invocation.function_name

    @property
    def is_waiting(self) -> bool:
        return self.owner is None and self.finished is None


@dataclass
class Owner:
    """A process: which store it uses, what it has, and what it still believes to have."""

    name: str
    store: SQLiteStore
    claims: list[StoredClaim] = field(default_factory=list)
    lost: list[StoredClaim] = field(default_factory=list)

    def some(self, picks: Iterable[int], *, late: bool = False) -> list[StoredClaim]:
        """The claims that some numbers mean; each once."""
        among = self.lost if late else self.claims
        return [among[number] for number in dict.fromkeys(picks) if number < len(among)]


picks = st.lists(st.integers(0, 5), max_size=5)
owners = st.integers(0, 2)


class DurableQueue(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(dir=IN_MEMORY))
        self.clock = FakeClock()
        self.events: dict[str, Event] = {}
        self.numbers = 0

    @initialize(keeps_history=st.booleans())
    def open(self, keeps_history: bool) -> None:
        self.retention_s = RETENTION_S if keeps_history else 0
        path = self.directory / "queue.db"
        self.stores = [
            SQLiteStore(
                path,
                self.clock,
                synchronous="normal",
                max_waiting=MAX_WAITING,
                retention_s=self.retention_s,
                dead_letter_retention_s=DEAD_LETTER_RETENTION_S,
            )
            for _ in range(2)
        ]
        self.owners = [self.new_owner(number) for number in range(3)]
        self.stores[0].counts()  # makes the file
        self.file = sqlite3.connect(path, isolation_level=None)

    def teardown(self) -> None:
        if hasattr(self, "file"):
            [verdict] = self.file.execute("PRAGMA integrity_check").fetchone()
            self.file.close()
            for store in self.stores:
                store.close()
            assert verdict == "ok"
        shutil.rmtree(self.directory)

    # --- what happens -------------------------------------------------------------------------

    @rule(name=st.sampled_from(list(LIMITS)), count=st.integers(1, 4), store=st.integers(0, 1))
    def accept(self, name: str, count: int, store: int) -> None:
        for _ in range(count):
            invocation = self.new_event(name)
            if self.count_waiting() < MAX_WAITING:
                self.stores[store].add(invocation)
                self.remember(invocation, due=invocation.accepted_at)
            else:
                with pytest.raises(QueueFull):
                    self.stores[store].add(invocation)

    @rule(
        who=owners,
        ended=st.lists(st.tuples(st.integers(0, 5), st.sampled_from(ENDS)), max_size=5),
        late=st.lists(st.integers(0, 3), max_size=2),
        free=st.integers(0, 4),
        ahead=st.integers(0, 2),
    )
    def exchange(
        self, who: int, ended: list[tuple[int, str]], late: list[int], free: int, ahead: int
    ) -> None:
        """Ends are recorded and events claimed; those of claims long taken back are ignored."""
        owner = self.owners[who]
        ends = [
            self.end_of(owner.claims[number], how)
            for number, how in dict(ended).items()
            if number < len(owner.claims)
        ]
        ignored = [
            self.end_of(claim, "failure with delivery") for claim in owner.some(late, late=True)
        ]
        # The model first: what ends here makes room for what is claimed.
        followers = [delivery for each in ends for delivery in self.record(owner, each)]
        for delivery in followers:
            self.remember(delivery, due=self.clock.time())
        before = self.claimable()
        got = owner.store.exchange(owner.name, [*ignored, *ends], self.wanted(free, ahead))
        for claim in [each.claim for each in ignored]:
            owner.lost.remove(claim)
        self.check_claims(before, owner, got, free, ahead)
        self.check_next_due(got, free)

    @rule(who=owners, which=picks, late=picks)
    def hand_back(self, who: int, which: list[int], late: list[int]) -> None:
        owner = self.owners[who]
        claims, ignored = owner.some(which), owner.some(late, late=True)
        owner.store.hand_back(owner.name, [*claims, *ignored])
        for claim in claims:
            self.wait_again(claim)
            owner.claims.remove(claim)
        for claim in ignored:
            owner.lost.remove(claim)

    @rule(who=owners, ran=picks, by=st.integers(0, 1))
    def die(self, who: int, ran: list[int], by: int) -> None:
        """A process is gone, and was running some of what it had claimed."""
        owner = self.owners[who]
        running = owner.some(ran)
        taken = self.stores[by].take_back(owner.name, frozenset(each.seq for each in running))
        assert taken == len(owner.claims)
        for claim in owner.claims:
            self.wait_again(claim, interrupted=claim in running)
        self.owners[who] = self.new_owner(who)

    @rule(who=owners, by=st.integers(0, 1))
    def stop(self, who: int, by: int) -> None:
        """A process has stopped, and comes back believing that it still has its claims."""
        owner = self.owners[who]
        assert self.stores[by].take_back(owner.name, frozenset()) == len(owner.claims)
        for claim in owner.claims:
            self.wait_again(claim)
        owner.lost += owner.claims
        owner.claims = []

    @rule(seconds=st.sampled_from([1, 2, 60, 120, 301, 700]))
    def pass_time(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule(seconds=st.sampled_from([1, 90, 3600]), limit=st.integers(1, 3), by=st.integers(0, 1))
    def set_the_clock_back(self, seconds: int, limit: int, by: int) -> None:
        self.clock.advance(-seconds)
        now = self.clock.time()
        far = [e for e in self.events.values() if e.is_waiting and e.due > now + e.wait_s]
        assert self.stores[by].heal_dues(limit) == len(far)
        assert self.stores[by].heal_dues(limit) == 0
        for event in far:
            event.due = now + event.wait_s

    @rule(limit=st.integers(1, 4), by=st.integers(0, 1))
    def prune(self, limit: int, by: int) -> None:
        now = self.clock.time()
        old = [
            event
            for dead, retention_s in enumerate((self.retention_s, DEAD_LETTER_RETENTION_S))
            for event in self.finished()
            if (event.finished[1] != "Success") == dead and event.finished[0] < now - retention_s
        ]
        assert self.stores[by].prune(limit) == min(limit, len(old))
        there = {rid for (rid,) in self.file.execute("SELECT request_id FROM events")}
        gone = [event for event in old if event.invocation.request_id not in there]
        assert len(gone) == min(limit, len(old))
        for event in gone:
            del self.events[event.invocation.request_id]
        # Successes before dead letters, and of each the oldest first.
        for one, other in ((one, other) for one in gone for other in old if other not in gone):
            assert prunes_before(one) <= prunes_before(other)

    @rule(by=st.integers(0, 1))
    def close_and_reopen(self, by: int) -> None:
        self.stores[by].close()

    # --- what must be true after every step ---------------------------------------------------

    @invariant()
    def every_event_stands_where_it_should_and_nowhere_else(self) -> None:
        if not hasattr(self, "file"):
            return
        rows = self.file.execute("SELECT seq, request_id, function_name, payload FROM events")
        assert sorted(rows) == sorted(
            (e.seq, rid, e.name, e.invocation.payload) for rid, e in self.events.items()
        )
        rows = self.file.execute(
            "SELECT seq, function_name, due, attempt, back_offs, interruptions, wait_s FROM waiting"
        )
        assert sorted(rows) == sorted(
            (*place_of(e), e.wait_s) for e in self.events.values() if e.is_waiting
        )
        rows = self.file.execute(
            "SELECT seq, function_name, due, attempt, back_offs, interruptions, owner FROM running"
        )
        assert sorted(rows) == sorted(
            (*place_of(e), e.owner) for e in self.events.values() if e.owner is not None
        )
        rows = self.file.execute(
            "SELECT seq, function_name, finished_at, condition, attempt, dead FROM finished"
        )
        assert sorted(rows) == sorted(
            (e.seq, e.name, *e.finished, int(e.finished[1] != "Success")) for e in self.finished()
        )

    @invariant()
    def every_attempt_is_in_the_history_with_its_number(self) -> None:
        if hasattr(self, "file"):
            rows = self.file.execute("SELECT seq, number, attempt, function_error FROM attempts")
            assert sorted(rows, key=str) == sorted(
                ((e.seq, *attempt) for e in self.events.values() for attempt in e.attempts),
                key=str,
            )

    @invariant()
    def the_counts_are_those_of_the_tables(self) -> None:
        if not hasattr(self, "file"):
            return
        waiting = Counter(e.name for e in self.events.values() if e.is_waiting)
        running = Counter(e.name for e in self.events.values() if e.owner is not None)
        for name, *counts in self.file.execute("SELECT name, waiting, running FROM functions"):
            assert counts == [waiting[name], running[name]], name
        for store in self.stores:
            assert store.counts() == Counts(waiting.total(), running.total())
        held = sorted(owner.name for owner in self.owners for _ in owner.claims)
        assert held == sorted(e.owner for e in self.events.values() if e.owner is not None)

    # --- the model ----------------------------------------------------------------------------

    def new_owner(self, number: int) -> Owner:
        self.numbers += 1
        return Owner(f"owner {self.numbers}", self.stores[number % 2])

    def new_event(self, name: str, delivery: str | None = None) -> Invocation:
        self.numbers += 1
        return Invocation(
            request_id=f"r{self.numbers}",
            function_name=name,
            payload=b'{"n":%d}' % self.numbers,
            accepted_at=self.clock.time(),
            delivery=delivery,
        )

    def remember(self, invocation: Invocation, *, due: float) -> None:
        seq = 1 + max((event.seq for event in self.events.values()), default=0)
        self.events[invocation.request_id] = Event(invocation, seq, due)

    def event_of(self, claim: StoredClaim) -> Event:
        return self.events[claim.invocation.request_id]

    def finished(self) -> list[Any]:  # `Any`, as each of them has its `finished`
        return [event for event in self.events.values() if event.finished is not None]

    def count_waiting(self) -> int:
        return sum(event.is_waiting for event in self.events.values())

    def wanted(self, free: int, ahead: int) -> Wanted:
        def room(name: str) -> Room | None:
            limit = LIMITS[name]
            return None if limit is None else Room(limit, free, ahead)

        return Wanted(free, room)

    def end_of(self, claim: StoredClaim, how: str) -> Ended:
        """The end of a claim's attempt, by the rules of `retry`."""
        now, invocation = self.clock.time(), claim.invocation
        outcome: Outcome | None = SUCCESS if how.startswith("success") else FAILURE
        condition = retry.refuse(invocation, now=now, settings=SETTINGS)
        decision: retry.Decision
        if condition is not None:
            outcome, decision = None, retry.GiveUp(condition)
        elif invocation.interruptions >= SETTINGS.max_interruptions:
            outcome, decision = FAILURE, retry.GiveUp("RetriesExhausted")
        elif how == "throttle":
            outcome, decision = None, retry.back_off(invocation, now=now, settings=SETTINGS)
        else:
            assert outcome is not None
            decision = retry.decide(invocation, outcome, now=now, settings=SETTINGS)
        if how.endswith("with delivery") and not isinstance(decision, retry.RetryAt):
            decision = replace(decision, deliveries=(self.new_event("free", "{}"),))
        return Ended(claim, decision, outcome, "log", now)

    def record(self, owner: Owner, ended: Ended) -> tuple[Invocation, ...]:
        """An end in the model; gives what follows it."""
        event, decision = self.event_of(ended.claim), ended.decision
        owner.claims.remove(ended.claim)
        assert event.owner == owner.name
        event.owner = None
        if ended.outcome is not None:
            number = len(event.attempts) + 1
            attempt = event.invocation.attempt
            event.attempts.append((number, attempt, ended.outcome.function_error))
        if isinstance(decision, retry.RetryAt):
            event.invocation, event.due = decision.invocation, decision.due
            event.wait_s = decision.due - ended.ended_at
            return ()
        condition = getattr(decision, "condition", "Success")
        attempt = event.invocation.attempt - (ended.outcome is None)
        event.finished = (ended.ended_at, condition, attempt)
        if condition == "Success" and not self.retention_s:
            del self.events[event.invocation.request_id]
        return decision.deliveries

    def wait_again(self, claim: StoredClaim, *, interrupted: bool = False) -> None:
        event = self.event_of(claim)
        event.owner, event.wait_s = None, 0
        event.invocation = replace(
            event.invocation, interruptions=event.invocation.interruptions + interrupted
        )

    def claimable(self) -> dict[str, list[Event]]:
        """The events of each known function that are due, in the order of their turns."""
        now = self.clock.time()
        due = [event for event in self.events.values() if event.is_waiting and event.due <= now]
        in_turn = sorted(due, key=lambda event: (event.due, event.seq))
        return {name: [event for event in in_turn if event.name == name] for name in KNOWN}

    def running(self, name: str) -> int:
        return sum(e.owner is not None and e.name == name for e in self.events.values())

    def check_claims(
        self, before: dict[str, list[Event]], owner: Owner, got: Exchanged, free: int, ahead: int
    ) -> None:
        """What was claimed is what had its turn, no more than there was room for, and enough."""
        assert len(got.claims) <= free + ahead * len(KNOWN)
        running = {name: self.running(name) for name in KNOWN}
        for name, events in before.items():
            claims = [c for c in got.claims if c.invocation.function_name == name]
            assert [c.seq for c in claims] == [event.seq for event in events[: len(claims)]]
            assert len(claims) <= min(free + ahead, max((LIMITS[name] or 0) - running[name], 0))
        for claim in got.claims:
            event = self.event_of(claim)
            assert claim.invocation == event.invocation
            event.owner = owner.name
            owner.claims.append(claim)
        if free and any(self.left(before)):
            assert got.claims, "nothing was claimed although there is something to run"

    def left(self, before: dict[str, list[Event]]) -> Iterator[Event]:
        """Of the events that were due, those that may run and were not claimed."""
        for name, events in before.items():
            if self.running(name) < (LIMITS[name] or 0):
                yield from (event for event in events if event.owner is None)

    def check_next_due(self, got: Exchanged, free: int) -> None:
        """Whoever has workers left comes back in time for what is due next."""
        if len(got.claims) >= free:
            return
        for event in self.events.values():
            limit = LIMITS[event.name]
            if event.is_waiting and limit is not None and self.running(event.name) < limit:
                assert got.next_due <= max(event.due, self.clock.time())


def place_of(event: Event) -> tuple[object, ...]:
    invocation = event.invocation
    return (
        event.seq,
        event.name,
        event.due,
        invocation.attempt,
        invocation.back_offs,
        invocation.interruptions,
    )


def prunes_before(event: Any) -> tuple[bool, float]:
    finished_at, condition, _ = event.finished
    return condition != "Success", finished_at


TestDurableQueue = DurableQueue.TestCase
TestDurableQueue.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)


def test_processes_that_claim_at_the_same_moment_share_the_events(tmp_path: Path) -> None:
    """Each is claimed once, in turn, and the limits hold over all of them."""
    clock, count, each = FakeClock(), 4, 100
    path = tmp_path / "queue.db"
    stores = [SQLiteStore(path, clock, synchronous="normal") for _ in range(count)]
    for number in range(each):
        for name in ("free", "two"):
            stores[0].add(
                Invocation(
                    request_id=f"{name} {number}",
                    function_name=name,
                    payload=b"{}",
                    accepted_at=clock.time(),
                )
            )
    together = threading.Barrier(count)
    claimed: list[list[StoredClaim]] = [[] for _ in stores]

    def claim(number: int) -> None:
        together.wait(10)
        wanted = Wanted(3, lambda name: Room(LIMITS[name] or 0, 3, 0))
        while True:
            got = stores[number].exchange(f"owner {number}", [], wanted).claims
            claimed[number] += got
            if not got:
                return

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for claims in claimed:
        for name in ("free", "two"):
            mine = [c.seq for c in claims if c.invocation.function_name == name]
            assert mine == sorted(mine)
    ids = [c.invocation.request_id for claims in claimed for c in claims]
    assert sorted(ids) == sorted([*(f"free {n}" for n in range(each)), "two 0", "two 1"])
    assert stores[0].counts() == Counts(each - 2, each + 2)
    for store in stores:
        store.close()
