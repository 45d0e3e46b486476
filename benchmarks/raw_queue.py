"""The floors of ``durable``: the least that can be done with plain `sqlite3`, in one thread."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from invokeasync_wsgi.invocation import new_request_id
from invokeasync_wsgi.store import database

from . import events

#: A row of `events` and its row of `waiting`.
Rows = list[tuple[tuple[Any, ...], tuple[Any, ...]]]


def connect(path: Path, synchronous: str) -> sqlite3.Connection:
    """A connection to a file with the store's own schema and settings."""
    connection = database.connect(path, busy_timeout_s=10)
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    return connection


def rows(count: int, *, first: int = 1, name: str = events.FUNCTION_NAME, due_s: float = 0) -> Rows:
    """Events of 200 bytes as the store keeps them, due ``due_s`` seconds from now."""
    body = events.EVENTS["200 B"]
    now = time.time()
    return [
        (
            (seq, new_request_id(now), name, None, body, now, None, None, None, None),
            (name, now + due_s, seq, 1, 0, 0, due_s),
        )
        for seq in range(first, first + count)
    ]


def add(connection: sqlite3.Connection, made: Rows, batch: float) -> None:
    """Commit ready-made rows, ``batch`` at a time on average, as the store writes them."""
    for part in _parts(made, batch):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", [event for event, _ in part]
        )
        connection.executemany(
            "INSERT INTO waiting VALUES (?, ?, ?, ?, ?, ?, ?)", [waiting for _, waiting in part]
        )
        connection.execute(
            "INSERT INTO functions VALUES (?, ?, 0) ON CONFLICT (name)"
            " DO UPDATE SET waiting = waiting + excluded.waiting",
            (part[0][1][0], len(part)),
        )
        connection.execute("COMMIT")


def fill(path: Path, count: int, **like: Any) -> None:
    """Have ``count`` events wait in a file: see `rows`."""
    connection = connect(path, "OFF")
    [first] = connection.execute("SELECT ifnull(max(seq), 0) + 1 FROM events").fetchone()
    for start in range(0, count, 10_000):
        add(connection, rows(min(10_000, count - start), first=first + start, **like), 1000)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def left(connection: sqlite3.Connection) -> int:
    """How many events of a file are waiting or running."""
    [count] = connection.execute("SELECT total(waiting + running) FROM functions").fetchone()
    return int(count)


class Queue:
    """A queue as tutorials have it: one table, claimed by ``UPDATE ... RETURNING``."""

    def __init__(self, path: Path, count: int) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        for statement in (
            "PRAGMA journal_mode = WAL",
            "PRAGMA synchronous = NORMAL",
            "CREATE TABLE queue (id INTEGER PRIMARY KEY, due REAL NOT NULL, state INTEGER NOT NULL,"
            " request_id TEXT NOT NULL, function_name TEXT NOT NULL, payload BLOB NOT NULL,"
            " finished_at REAL)",
            "CREATE INDEX ready ON queue (due, id) WHERE state = 0",
            "BEGIN",
        ):
            self._connection.execute(statement)
        self._connection.executemany(
            "INSERT INTO queue VALUES (?, ?, 0, ?, ?, ?, NULL)",
            (
                (seq, waiting[1], event[1], event[2], event[4])
                for seq, (event, waiting) in enumerate(rows(count))
            ),
        )
        self._connection.execute("COMMIT")

    def drain(self, batch: float) -> None:
        """Claim and finish everything: each transaction finishes a batch and claims the next."""
        claimed: list[tuple[int, bytes]] = []
        turns = 0
        while True:
            turns += 1
            size = int(turns * batch) - int((turns - 1) * batch)
            now = time.time()
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(
                "UPDATE queue SET state = 2, finished_at = ? WHERE id = ?",
                [(now, number) for number, _ in claimed],
            )
            claimed = self._connection.execute(
                "UPDATE queue SET state = 1 WHERE id IN (SELECT id FROM queue"
                " WHERE state = 0 AND due <= ? ORDER BY due, id LIMIT ?) RETURNING id, payload",
                (now, size),
            ).fetchall()
            self._connection.execute("COMMIT")
            if not claimed:
                return

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def _parts(made: Rows, batch: float) -> Iterator[Sequence[Any]]:
    """The rows in parts of ``batch`` on average, which need not be whole."""
    remaining = iter(made)
    turns = 0
    while True:
        turns += 1
        part = list(islice(remaining, int(turns * batch) - int((turns - 1) * batch)))
        if not part:
            return
        yield part
