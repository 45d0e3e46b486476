"""The command line as a program of its own, for the tests that look at its processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from tests.integration import ledger
from tests.integration.servers import ROOT

#: How long processes may take to end.
_PATIENCE_S = 20


def _arguments_of(pid: int) -> list[str]:
    """The command line of a process; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []


def _group_of(leader: int) -> set[int]:
    """The living processes of a process group."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[2]) == leader and fields[0] not in "ZX":
                    found.add(int(entry.name))
    return found


class Program:
    """``invokeasync-wsgi``, running, with all the processes that it has started.

    Args:
        folder: for its log.
        arguments: of the command line.
        directory: to run it in.
        environment: variables to set, such as settings.
    """

    def __init__(
        self, folder: Path, *arguments: str, directory: Path = ROOT, **environment: str
    ) -> None:
        self._log = folder / f"log-{time.monotonic_ns()}"
        own = {name: os.environ[name] for name in os.environ if not name.startswith("INVOKEASYNC_")}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "invokeasync_wsgi", *arguments],
                cwd=directory,
                env={
                    **own,
                    "PYTHONUNBUFFERED": "1",
                    ledger.VARIABLE: str(folder / "ledger"),
                    **environment,
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = self._process.pid

    def log(self) -> str:
        """What all its processes have written so far."""
        return self._log.read_text(errors="replace")

    def processes(self, command: str = "") -> set[int]:
        """Its living processes; of those it has started only those that run a command."""
        found = _group_of(self.pid)
        if not command:
            return found
        return {pid for pid in found - {self.pid} if command in _arguments_of(pid)}

    def signal(self, number: int) -> None:
        """Send a signal to the process that was started, and to no other."""
        os.kill(self.pid, number)

    def wait(self, within_s: float = _PATIENCE_S) -> int:
        """Wait for the end of the process that was started; returns its exit status."""
        try:
            return self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still there after {within_s} s\n{self.log()}") from None

    def close(self) -> None:
        """Kill everything."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
