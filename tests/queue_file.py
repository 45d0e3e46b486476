"""A queue's file with events in every state, without threads and with a clock that stands still."""

from __future__ import annotations

import math
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from invokeasync_wsgi import retry
from invokeasync_wsgi.config import AsyncSettings
from invokeasync_wsgi.invocation import UNHANDLED, Invocation, Outcome, new_request_id
from invokeasync_wsgi.payload import exception_payload
from invokeasync_wsgi.store.events import Events
from invokeasync_wsgi.store.sqlite import Ended, Room, SQLiteStore, StoredClaim, Wanted
from invokeasync_wsgi.testing import FakeClock

#: How long every attempt takes.
DURATION_S = 0.25


class QueueFile:
    """The file of a queue, what a process does with it, and what an operator sees.

    Args:
        folder: for the file.
        options: of `SQLiteStore`.
    """

    def __init__(self, folder: Path, **options: Any) -> None:
        self.path = folder / "queue.db"
        self.clock = FakeClock()
        self.store = SQLiteStore(self.path, self.clock, synchronous="normal", **options)
        self.store.counts()  # makes the file
        self.events = Events(self.path, self.clock)

    def close(self) -> None:
        self.store.close()

    # --- what happens to events -----------------------------------------------------------------

    def waiting(self, name: str = "work", payload: bytes = b"{}", **fields: Any) -> str:
        """Accept an event; returns its request id."""
        now = self.clock.time()
        fields = {"request_id": new_request_id(now), **fields}
        self.store.add(
            Invocation(function_name=name, payload=payload, accepted_at=now, **fields),
        )
        request_id: str = fields["request_id"]
        return request_id

    def claim(self, name: str = "work", count: int = 1) -> list[StoredClaim]:
        """Claim up to so many of a function's events, in their turn."""

        def room(asked: str) -> Room | None:
            return Room(math.inf, count, 0) if asked == name else None

        return self.store.exchange("owner", [], Wanted(count, room)).claims

    def end(
        self,
        claim: StoredClaim,
        *,
        error: tuple[str, str] | None = None,
        result: bytes = b'"done"',
        log: str = "log\n",
        retries: int = 0,
    ) -> None:
        """The end of an attempt, followed by what Lambda would do."""
        invocation, now = claim.invocation, self.clock.time()
        if error is not None:
            result = exception_payload(error[1], error[0], invocation.request_id, [])
        failed = UNHANDLED if error is not None else None
        outcome = Outcome(result, failed, "$LATEST", DURATION_S, "application/json", str)
        settings = AsyncSettings(maximum_retry_attempts=retries)
        decision = retry.decide(invocation, outcome, now=now, settings=settings)
        self.record(Ended(claim, decision, outcome, log, now))

    def put_off(self, claim: StoredClaim) -> None:
        """No attempt could be made of a claimed event."""
        now = self.clock.time()
        decision = retry.back_off(claim.invocation, now=now, settings=AsyncSettings())
        self.record(Ended(claim, decision, None, "", now))

    def record(self, ended: Ended) -> None:
        self.store.exchange("owner", [ended], Wanted(0, lambda name: None))

    def running(self, name: str = "work", **fields: Any) -> str:
        """An event whose attempt is under way; nothing of its function waits before it."""
        request_id = self.waiting(name, **fields)
        [claim] = self.claim(name)
        assert claim.invocation.request_id == request_id
        return request_id

    def succeeded(self, name: str = "work", **fields: Any) -> str:
        """An event whose first attempt succeeded; nothing of its function waits before it."""
        request_id = self.waiting(name, **fields)
        [claim] = self.claim(name)
        self.end(claim)
        return request_id

    def dead(
        self,
        name: str = "work",
        *,
        error: tuple[str, str] = ("ValueError", "as it must"),
        log: str = "log\n",
        **fields: Any,
    ) -> str:
        """An event that was given up after its attempt; nothing of its function waits before it."""
        request_id = self.waiting(name, **fields)
        [claim] = self.claim(name)
        self.end(claim, error=error, log=log)
        return request_id

    def many_dead(self, count: int, name: str = "work") -> list[str]:
        """So many dead letters at once."""
        request_ids = [self.waiting(name) for _ in range(count)]
        while claims := self.claim(name, count):
            for claim in claims:
                self.end(claim, error=("ValueError", "as it must"))
        return request_ids

    # --- what is in the file ----------------------------------------------------------------------

    def rows(self, statement: str, *parameters: object) -> list[Any]:
        """What a statement finds in the file."""
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(statement, parameters).fetchall()

    def sizes(self) -> dict[str, int]:
        """How many rows each table has, those of `functions` left out."""
        tables = ("events", "waiting", "running", "attempts", "finished")
        return {table: self.rows(f"SELECT count(*) FROM {table}")[0][0] for table in tables}

    def check(self) -> None:
        """Fail unless each event is in one place and every count is that of its rows."""
        places = self.rows(
            "SELECT seq FROM waiting UNION ALL SELECT seq FROM running"
            " UNION ALL SELECT seq FROM finished ORDER BY seq"
        )
        assert places == self.rows("SELECT seq FROM events ORDER BY seq")
        for state in ("waiting", "running"):
            counted = Counter(dict(self.rows(f"SELECT name, {state} FROM functions")))
            there = Counter(name for (name,) in self.rows(f"SELECT function_name FROM {state}"))
            assert +counted == there, state
        assert self.rows("PRAGMA integrity_check") == [("ok",)]
