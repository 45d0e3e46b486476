"""A process of ``durable`` that runs events: ``python -m benchmarks.queue_worker PATH FUNCTION``.

Has the one function, which does nothing but note how long ago the event was sent, if it says so.
Says "ready", runs until its standard input ends, and prints those times in seconds, as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from invokeasync_wsgi import Functions
from invokeasync_wsgi.config import make_settings
from invokeasync_wsgi.executors.durable import DurableExecutor
from invokeasync_wsgi.service import Service

from . import events

_ROOT = Path(__file__).resolve().parent.parent
#: For a process to end.
_PATIENCE_S = 30


def main() -> None:
    """Run the command line."""
    delays_s: list[float] = []

    def note(event: Any, context: object) -> None:
        sent = event.get("sent")
        if sent is not None:
            delays_s.append(time.monotonic() - sent)  # one clock for all processes of a machine

    functions = Functions()
    functions.add(sys.argv[2], note)
    executor = DurableExecutor(sys.argv[1])
    serve(functions, executor)
    executor.resume()
    print("ready", flush=True)
    sys.stdin.read()
    executor.drain(5)
    print(json.dumps(delays_s))


def serve(functions: Functions, executor: DurableExecutor) -> Service:
    """The part behind the middleware, with an executor."""
    return Service(functions, make_settings(auth="none", executor=executor))


class Worker:
    """Such a process, seen from its parent."""

    def __init__(self, path: Path, name: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.queue_worker", str(path), name],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid

    def wait_until_ready(self) -> None:
        """Return when it runs events."""
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            raise RuntimeError("a worker process did not start")

    def resident_mb(self) -> float:
        """Its memory."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        [line] = [line for line in status.splitlines() if line.startswith("VmRSS:")]
        return int(line.split()[1]) / 1024

    def end(self) -> list[float]:
        """Have it end; the seconds from the sending of each event to its handler."""
        out, _ = self._process.communicate(timeout=_PATIENCE_S)
        delays_s: list[float] = json.loads(out)
        return delays_s

    def kill(self) -> None:
        """End it at once, if it is still there."""
        if self._process.poll() is None:
            self._process.kill()
        with self._process:
            """Close its pipes."""


@contextmanager
def workers(path: Path, count: int, name: str = events.FUNCTION_NAME) -> Iterator[list[Worker]]:
    """Such processes on one file, all ready."""
    started = [Worker(path, name) for _ in range(count)]
    try:
        for worker in started:
            worker.wait_until_ready()
        yield started
    finally:
        for worker in started:
            worker.kill()


if __name__ == "__main__":
    main()
