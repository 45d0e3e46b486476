"""``sockets``: the same server with either application, and a client in another process. Linux."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from . import events, load
from .paired import CannotRun, Cost, Effort, Row, alternate, compare

ROOT = Path(__file__).resolve().parent.parent
_PROC = Path("/proc")
#: For a server to start, and for a client to send everything.
_PATIENCE_S = 60.0


class Server(NamedTuple):
    """gunicorn with one worker."""

    port: int
    #: The process whose CPU time is counted.
    worker_pid: int


def sockets(effort: Effort) -> list[Row]:
    """What an accepted event costs under gunicorn."""
    need_proc()
    need_gunicorn()
    with (
        serving("floor") as floor,
        serving("ours") as ours,
        serving("acknowledged") as acknowledged,
        serving("verified") as verified,
    ):
        rows = [
            _row(floor, side, effort, event, case, target)
            for event, target in _TARGETS.items()
            for side, case in ((acknowledged, "accepted"), (ours, "accepted and run"))
        ]
        return [
            *rows,
            _row(floor, verified, effort, "200 B", "signed and accepted", 1.4, is_signed=True),
        ]


def need_proc() -> None:
    """Raise `CannotRun` where there is no account of a process's CPU time."""
    if not Path(f"/proc/self/task/{_own_pid()}/schedstat").exists():
        raise CannotRun("it reads CPU times from Linux's /proc/PID/task/TID/schedstat")


def need_gunicorn() -> None:
    """Raise `CannotRun` where gunicorn is not installed."""
    if importlib.util.find_spec("gunicorn") is None:
        raise CannotRun("gunicorn is not installed")


#: Events, and what accepting one may cost.
_TARGETS = {"200 B": 1.25, "100 KB of texts": 1.6, "100 KB of records": 1.6}


def _row(
    floor: Server,
    ours: Server,
    effort: Effort,
    event: str,
    case: str,
    target: float,
    *,
    is_signed: bool = False,
) -> Row:
    count = effort.count(2500)
    for server in (floor, ours):
        send(server, event, load.CONNECTIONS, is_signed=is_signed)  # starts what starts late
    pairs = alternate(
        lambda: send(floor, event, count, is_signed=is_signed),
        lambda: send(ours, event, count, is_signed=is_signed),
        effort.rounds_or(9),
    )
    return compare("sockets", f"{event}, {case}, {events.VALIDATOR}", pairs, "ratio", target)


def send(
    server: Server,
    event: str,
    count: int,
    *,
    connections: int = load.CONNECTIONS,
    is_signed: bool = False,
) -> Cost:
    """Have a client send one of `events.EVENTS` ``count`` times; what the server spent on each."""
    before = cpu_s(server.worker_pid)
    client = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.load", str(server.port)),
            *(event, str(count), str(connections), *(["signed"] * is_signed)),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        timeout=_PATIENCE_S,
        check=True,
    )
    time.sleep(0.05)  # the last handlers' end
    return Cost((cpu_s(server.worker_pid) - before) / count, float(client.stdout) / count)


def cpu_s(pid: int) -> float:
    """CPU time of a process, in seconds, by the nanosecond account of each of its threads.

    Threads that have ended are missing; both servers' live until theirs do.
    """
    tasks = _PROC.joinpath(str(pid), "task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


@contextmanager
def serving(name: str, *options: str) -> Iterator[Server]:
    """gunicorn with one of `served`'s applications, or what a call there makes, on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        master = subprocess.Popen(
            [
                *(sys.executable, "-m", "gunicorn", "-c", "python:benchmarks.served"),
                *("--bind", f"fd://{listener.fileno()}", *options, f"benchmarks.served:{name}"),
            ],
            cwd=ROOT,
            pass_fds=[listener.fileno()],
        )
    try:
        yield Server(port, _worker_of(master))
    finally:
        master.terminate()
        try:
            master.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            master.kill()
            master.wait()


def _worker_of(master: subprocess.Popen[bytes]) -> int:
    """The one child of gunicorn's master, once it is there."""
    children = _PROC.joinpath(str(master.pid), "task", str(master.pid), "children")
    deadline = time.monotonic() + _PATIENCE_S
    while master.poll() is None and time.monotonic() < deadline:
        pids = children.read_text().split()
        if pids:
            return int(pids[0])
        time.sleep(0.02)
    raise RuntimeError("gunicorn did not start")


def _own_pid() -> int:
    return int(_PROC.joinpath("self").resolve().name)
