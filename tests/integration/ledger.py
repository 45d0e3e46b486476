"""What handlers write down as they run, so that it outlives the processes that they ran in.

One line for each begin and each end of an attempt, appended in one write: several processes share
the file, and whatever they were killed in the middle of, a line is there as a whole or not at all.
Times are of the machine's monotonic clock, the same in all processes.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

#: The environment variable with the file's name.
VARIABLE = "EVENTS_FILE"


@contextmanager
def attempt(request_id: str, name: str) -> Iterator[None]:
    """Note the begin and, unless the process dies first, the end of an attempt."""
    _write("start", request_id, name)
    yield
    _write("end", request_id, name)


def _write(what: str, request_id: str, name: str) -> None:
    line = f"{what} {request_id} {os.getpid()} {time.monotonic()} {name}\n"
    file = os.open(os.environ[VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


@dataclass
class Run:
    """An attempt, as far as its process came with it."""

    request_id: str
    name: str
    pid: int
    started_at: float
    ended_at: float | None = None


class Ledger:
    """The file, read as it grows.

    Args:
        path: the file; it need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read_bytes = 0
        #: All attempts, in the order of their beginning.
        self._runs: list[Run] = []
        self._under_way: dict[tuple[str, int], Run] = {}
        self._ended: set[str] = set()

    def runs(self) -> list[Run]:
        """All attempts so far."""
        self._read_on()
        return self._runs

    def ended(self) -> set[str]:
        """The ids of those requests that were run to their end."""
        self._read_on()
        return self._ended

    def by_request(self) -> dict[str, list[Run]]:
        """All attempts so far, of each request."""
        found: defaultdict[str, list[Run]] = defaultdict(list)
        for run in self.runs():
            found[run.request_id].append(run)
        return found

    def has_ended(self, request_ids: Iterable[str]) -> bool:
        """Whether all these were run to their end."""
        return self.ended().issuperset(request_ids)

    def _read_on(self) -> None:
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self._read_bytes)
            content = file.read()
        whole = content[: content.rfind(b"\n") + 1]
        self._read_bytes += len(whole)
        for line in whole.decode().splitlines():
            what, request_id, pid, at, name = line.split(" ")
            key = request_id, int(pid)
            if what == "start":
                run = self._under_way[key] = Run(request_id, name, int(pid), float(at))
                self._runs.append(run)
            else:
                self._under_way.pop(key).ended_at = float(at)
                self._ended.add(request_id)
