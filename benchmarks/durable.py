"""``durable-...``: the executor whose events are in a file, beside plain `sqlite3` and memory."""

from __future__ import annotations

import math
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import mean, median, quantiles
from typing import Any, NamedTuple

from invokeasync_wsgi import CallbackExecutor, Functions, Invocation, InvokeAsyncMiddleware
from invokeasync_wsgi.clock import SystemClock
from invokeasync_wsgi.executors.durable import DurableExecutor
from invokeasync_wsgi.invocation import new_request_id
from invokeasync_wsgi.retry import SUCCEEDED
from invokeasync_wsgi.store.sqlite import Ended, Room, SQLiteStore, StoredClaim, Wanted

from . import events, queue_worker, raw_queue, sockets
from .paired import Cost, Effort, Figure, Meter, alternate, figure

_NAME = events.FUNCTION_NAME
_CONNECTIONS = 16
_DEEP = 1_000_000
#: For a queue to become empty.
_PATIENCE_S = 120.0


def accept(effort: Effort) -> list[Figure]:
    """Acceptance under gunicorn, beside the threads executor on the same server."""
    sockets.need_proc()
    sockets.need_gunicorn()
    count = effort.count(4000)

    def row(case: str, server: sockets.Server, path: Path, runs: bool) -> list[Figure]:
        def durable() -> _Round:
            answered = send(server)
            started = time.perf_counter()
            if runs:
                _wait_until_empty(path)
            run_s = time.perf_counter() - started
            return _Round(answered, _wall_s(answered) + run_s / count)

        def in_memory() -> _Round:
            answered = send(memory)
            return _Round(answered, _wall_s(answered))

        pairs = alternate(in_memory, durable, effort.rounds_or(7))
        answers = [(theirs.answered, ours.answered) for theirs, ours in pairs]
        made = [
            figure(
                "durable-accept",
                f"{case}: answers",
                _ratios_of_rates(answers),
                "×",
                target=0.6 if runs else None,
                at_least=True,
                made_of=f"{_rates(answers)}; CPU {_cpu(answers)}",
                not_shown="other servers; new connections; a disk that flushes slower than this",
            )
        ]
        if runs:
            ends = [(Cost(0, theirs.run_s), Cost(0, ours.run_s)) for theirs, ours in pairs]
            made.append(
                figure(
                    "durable-accept",
                    f"{case}: until the last has run",
                    _ratios_of_rates(ends),
                    "×",
                    made_of=_rates(ends),
                    not_shown="handlers that do something",
                )
            )
        return made

    def send(server: sockets.Server) -> Cost:
        return sockets.send(server, "200 B", count, connections=_CONNECTIONS)

    options = ("--threads", str(_CONNECTIONS))
    with (
        _directory() as directory,
        sockets.serving("ours", *options) as memory,
        sockets.serving(f"durable({str(directory / 'run.db')!r}, 8)", *options) as runs,
        sockets.serving(f"durable({str(directory / 'keep.db')!r}, 0)", *options) as keeps,
    ):
        for server in (memory, runs, keeps):
            sockets.send(server, "200 B", _CONNECTIONS, connections=_CONNECTIONS)
        return [
            *row("accepted and run", runs, directory / "run.db", True),
            *row("accepted only (workers=0)", keeps, directory / "keep.db", False),
        ]


class _Round(NamedTuple):
    answered: Cost
    #: Seconds for each event until all had run.
    run_s: float


def commit(effort: Effort) -> list[Figure]:
    """Commits shared by threads, beside one thread that has the same batches ready."""
    return [_commit(effort, threads) for threads in (1, 8, 32)]


def _commit(effort: Effort, threads: int) -> Figure:
    each = effort.count(16_000 if threads > 1 else 4000) // threads + 1
    with _directory() as directory, _calls("_commit_added", lambda *arguments: 1) as commits:
        store = SQLiteStore(directory / "ours.db", SystemClock(), max_waiting=10**9)
        raw = raw_queue.connect(directory / "raw.db", "FULL")
        added = 0

        def batch() -> float:
            return each * threads / len(commits)

        def add(made: Sequence[Invocation]) -> None:
            for invocation in made:
                store.add(invocation)

        def ours() -> Cost:
            made = [[_invocation() for _ in range(each)] for _ in range(threads)]
            calls = [threading.Thread(target=add, args=(mine,)) for mine in made]
            commits.clear()
            with Meter() as meter:
                for thread in calls:
                    thread.start()
                for thread in calls:
                    thread.join()
            return meter.cost(each * threads)

        def floor() -> Cost:
            nonlocal added
            made = raw_queue.rows(each * threads, first=added + 1)
            added += len(made)
            with Meter() as meter:
                raw_queue.add(raw, made, batch())
            return meter.cost(len(made))

        ours()  # so that there are batches to be copied
        pairs = alternate(floor, ours, effort.rounds_or(7))
        raw.close()
        store.close()
    return figure(
        "durable-commit",
        f"{threads} thread{'s' if threads > 1 else ''}, FULL",
        _ratios_of_rates(pairs),
        "×",
        target=0.6 if threads > 1 else None,
        at_least=True,
        made_of=f"{_rates(pairs)}; {batch():.1f} events to a commit; CPU {_cpu(pairs)}",
        not_shown="several processes, which take turns at one file; large events",
    )


def added_cpu(effort: Effort) -> list[Figure]:
    """What keeping an event adds to accepting it."""
    body = events.EVENTS["200 B"]
    environ = events.request(events.PATH, body)
    count = effort.count(5000)
    with _directory() as directory:
        path = directory / "queue.db"
        keeping = DurableExecutor(path, workers=0, synchronous="normal", max_waiting=10**9)

        def side(app: InvokeAsyncMiddleware) -> Cost:
            with Meter() as meter:
                for _ in range(count):
                    events.send(app, environ, body)
            return meter.cost(count)

        drops, keeps = [
            InvokeAsyncMiddleware(None, _functions(), auth="none", executor=executor)
            for executor in (CallbackExecutor(lambda invocation: None), keeping)
        ]
        events.send(keeps, environ, body)
        pairs = alternate(lambda: side(drops), lambda: side(keeps), effort.rounds_or(11))
        keeps.close()
    return [
        figure(
            "durable-cpu",
            "added to an accept, NORMAL, one thread",
            [(ours.cpu_s - floor.cpu_s) * 1e6 for floor, ours in pairs],
            " µs",
            target=45,
            made_of=f"CPU {_cpu(pairs)}",
            not_shown="the disk; threads that compete for the interpreter; the running",
        )
    ]


def drain(effort: Effort) -> list[Figure]:
    """A backlog of events that do nothing, beside a raw loop that does even less."""
    count = effort.count(100_000)
    inline_s: list[float] = []
    with (
        _directory() as directory,
        _calls("exchange", lambda *arguments: len(arguments[2])) as sizes,
    ):

        def ours() -> Cost:
            path = directory / "ours.db"
            raw_queue.fill(path, count)
            executor = DurableExecutor(path)
            service = queue_worker.serve(_functions(), executor)
            sizes.clear()
            with Meter() as meter:
                executor.resume()
                _wait_until_empty(path)
            executor.drain(0)
            _remove(path)
            invocations = [_invocation() for _ in range(count)]
            started = time.perf_counter()
            for invocation in invocations:
                service.begin(invocation).run()
            inline_s.append((time.perf_counter() - started) / count)
            return meter.cost(count)

        def floor() -> Cost:
            path = directory / "raw.db"
            queue = raw_queue.Queue(path, count)
            with Meter() as meter:
                queue.drain(mean(filter(None, sizes)))
            queue.close()
            _remove(path)
            return meter.cost(count)

        ours()
        inline_s.clear()
        pairs = alternate(floor, ours, effort.rounds_or(5))
    batch = mean(filter(None, sizes))
    both = [
        (Cost(0, _wall_s(floor) + handler_s), ours)
        for (floor, ours), handler_s in zip(pairs, inline_s, strict=True)
    ]
    return [
        figure(
            "durable-drain",
            "8 workers, beside a raw loop",
            _ratios_of_rates(pairs),
            "×",
            target=0.4,
            at_least=True,
            made_of=f"{_rates(pairs)}; {batch:.0f} events to an exchange; CPU {_cpu(pairs)}",
            not_shown="the raw loop calls no handler, keeps no history, tells no functions apart",
        ),
        figure(
            "durable-drain",
            "beside that and the same attempts inline",
            _ratios_of_rates(both),
            "×",
            at_least=True,
            made_of=f"{_rates(both)}; an attempt inline {median(inline_s) * 1e6:.1f} µs",
            not_shown="handlers that wait, which threads run at once and a loop does not",
        ),
    ]


def depth(effort: Effort) -> list[Figure]:
    """What a million waiting events change, for callers, for workers and in memory."""
    sockets.need_proc()
    count = effort.count(_DEEP)
    with _directory() as directory:
        deep, shallow, single = (directory / f"{name}.db" for name in ("deep", "empty", "single"))
        raw_queue.fill(deep, count, due_s=86400)
        raw_queue.fill(single, 1, due_s=86400)
        made = [_memory(effort, "due tomorrow", single, deep, _NAME)]
        for path in (deep, single):
            connection = raw_queue.connect(path, "OFF")
            connection.execute("UPDATE waiting SET due = due - 86400")
            connection.close()
        made.append(_memory(effort, "of a function it does not have", single, deep, "other"))
        made = [*_latencies(effort, shallow, deep), *made]
        return [*made, _memory(effort, "being run", single, deep, _NAME)]


def _latencies(effort: Effort, shallow: Path, deep: Path) -> list[Figure]:
    count = effort.count(400) + 1

    def side(path: Path) -> tuple[Cost, Cost]:
        """The medians of one event accepted, and of eight finished and the next eight claimed."""
        store = SQLiteStore(path, SystemClock(), synchronous="normal", max_waiting=10**9)
        wanted = Wanted(8, lambda name: Room(math.inf, 8, 0))
        accepts_s, claims_s = [], []
        claims: list[StoredClaim] = []
        for _ in range(count):
            for invocation in [_invocation() for _ in range(8)]:
                started = time.perf_counter()
                store.add(invocation)
                accepts_s.append(time.perf_counter() - started)
            ended = [Ended(claim, SUCCEEDED, None, "", time.time()) for claim in claims]
            started = time.perf_counter()
            claims, _ = store.exchange("benchmark", ended, wanted)
            claims_s.append(time.perf_counter() - started)
        store.hand_back("benchmark", claims)
        store.close()
        return Cost(0, median(accepts_s)), Cost(0, median(claims_s))

    pairs = alternate(lambda: side(shallow), lambda: side(deep), effort.rounds_or(9))
    return [
        figure(
            "durable-depth",
            f"{case} with {effort.count(_DEEP):,} waiting, beside none",
            [_wall_s(ours[which]) / _wall_s(floor[which]) for floor, ours in pairs],
            "×",
            target=1.25,
            made_of=f"p50 {_times([(floor[which], ours[which]) for floor, ours in pairs])}",
            not_shown="a file larger than the memory that the system has for it; " + hidden,
        )
        for which, (case, hidden) in enumerate(
            (
                ("an accept, NORMAL,", "the flush of FULL, which is the same for both"),
                ("an exchange of 8", "many functions, each of which is looked at"),
            )
        )
    ]


def _memory(effort: Effort, case: str, single: Path, deep: Path, name: str) -> Figure:
    watched_s = 3 * effort.scale

    def side(path: Path) -> float:
        with queue_worker.workers(path, 1, name) as [worker]:
            most, until = 0.0, time.monotonic() + watched_s
            while not most or time.monotonic() < until:
                most = max(most, worker.resident_mb())
                time.sleep(0.02)
            worker.end()
        return most

    pairs = alternate(lambda: side(single), lambda: side(deep), effort.rounds_or(3))
    return figure(
        "durable-depth",
        f"memory of a worker with {effort.count(_DEEP):,} waiting, {case}, beside one",
        [ours - floor for floor, ours in pairs],
        " MB",
        target=10,
        made_of=f"{median(o for _, o in pairs):.1f} MB of {median(f for f, _ in pairs):.1f} MB",
        not_shown=f"what comes after {watched_s:g} s; the system's cache of the file",
    )


def idle(effort: Effort) -> list[Figure]:
    """What worker processes spend while there is nothing to do."""
    sockets.need_proc()
    together, most = [], []
    with _directory() as directory, queue_worker.workers(directory / "queue.db", 4) as processes:
        time.sleep(2 * effort.scale)  # the start has its own work
        for _ in range(effort.rounds_or(3)):
            before = [sockets.cpu_s(process.pid) for process in processes]
            started = time.perf_counter()
            time.sleep(10 * effort.scale)
            elapsed_s = time.perf_counter() - started
            after = [sockets.cpu_s(process.pid) for process in processes]
            shares = [100 * (b - a) / elapsed_s for a, b in zip(before, after, strict=True)]
            together.append(sum(shares))
            most.append(max(shares))
    return [
        figure(
            "durable-idle",
            "four processes on one file, together",
            together,
            " % of a core",
            target=0.5,
            made_of=f"in {elapsed_s:.0f} s; each {', '.join(f'{share:.2f}' for share in shares)} %",
            not_shown="processes among which one accepts, which wakes the others",
        ),
        figure(
            "durable-idle",
            "the busiest of them",
            most,
            " % of a core",
            not_shown="what the system spends on timers and wake-ups outside of them",
        ),
    ]


def pick_up(effort: Effort) -> list[Figure]:
    """From the call that accepts an event to its handler, in processes with nothing to do."""
    here = [_pick_up_here(effort) for _ in range(effort.rounds_or(3))]
    there = [_pick_up_elsewhere(effort) for _ in range(effort.rounds_or(3))]
    return [
        figure(
            "durable-pick-up",
            f"{case}, p{percent}",
            [quantiles(delays_s, n=100)[percent - 1] * 1e3 for delays_s in rounds],
            " ms",
            made_of=f"{len(rounds[0])} events, 10 to 50 ms apart; the commit (FULL) counts",
            not_shown="the wait for a free worker, which is all of it under load",
        )
        for case, rounds in (("in one process", here), ("by another process", there))
        for percent in (50, 99)
    ]


def _pick_up_here(effort: Effort) -> list[float]:
    delays_s: list[float] = []
    functions = Functions()
    functions.add(_NAME, lambda event, context: delays_s.append(time.monotonic() - event["sent"]))
    with _directory() as directory:
        executor = DurableExecutor(directory / "queue.db")
        service = queue_worker.serve(functions, executor)
        _send_now_and_then(lambda event: service.submit(_NAME, event), effort)
        _wait_until_empty(executor.path)
        executor.drain(1)
    return delays_s


def _pick_up_elsewhere(effort: Effort) -> list[float]:
    with _directory() as directory:
        executor = DurableExecutor(directory / "queue.db", workers=0)
        service = queue_worker.serve(_functions(), executor)
        with queue_worker.workers(executor.path, 1) as [worker]:
            _send_now_and_then(lambda event: service.submit(_NAME, event), effort)
            _wait_until_empty(executor.path)
            delays_s = worker.end()
        executor.drain(1)
    return delays_s


def _send_now_and_then(send: Callable[[Any], object], effort: Effort) -> None:
    pauses = random.Random(1)  # so that they do not keep step with anybody's polling
    for _ in range(effort.count(100) + 1):
        send({"sent": time.monotonic()})
        time.sleep(pauses.uniform(0.01, 0.05))


def soak(count: int, say: Callable[[str], object] = print) -> None:
    """Send ``count`` events through one file, and tell at each tenth how that went.

    Accepted without a flush by one thread, run and recorded by the same process, and removed two
    seconds later; the sender waits while more than 10 000 wait. Nothing may grow: each line should
    look like the one before.
    """
    ran = 0

    def handler(event: object, context: object) -> None:
        nonlocal ran
        with lock:
            ran += 1

    lock = threading.Lock()
    functions = Functions()
    functions.add(_NAME, handler)
    with _directory() as directory:
        path = directory / "queue.db"
        executor = DurableExecutor(path, synchronous="normal", retention_s=2)
        queue_worker.serve(functions, executor)
        say("    events   events/s   file MB    log MB   waiting   kept")
        started = time.perf_counter()
        for number in range(1, count + 1):
            executor.submit(_invocation())
            if number % 1000 == 0:
                while executor.stats().waiting > 10_000:
                    time.sleep(0.01)
            if number * 10 // count > (number - 1) * 10 // count:
                if number == count:
                    _wait_until_empty(path)
                elapsed_s, started = time.perf_counter() - started, time.perf_counter()
                say(f"{number:10,} {count / 10 / elapsed_s:10,.0f} {_state(path)}")
        executor.drain(5)
        if ran != count:
            raise RuntimeError(f"{ran} of {count} events have run")


def _state(path: Path) -> str:
    connection = raw_queue.connect(path, "OFF")
    kept = connection.execute("SELECT count(*) FROM finished").fetchone()[0]
    waiting = raw_queue.left(connection)
    connection.close()
    sizes = [file.stat().st_size / 1e6 for file in (path, Path(f"{path}-wal"))]
    return f"{sizes[0]:9.1f} {sizes[1]:9.1f} {waiting:9,} {kept:6,}"


MEASUREMENTS: dict[str, Callable[[Effort], list[Figure]]] = {
    "durable-accept": accept,
    "durable-commit": commit,
    "durable-cpu": added_cpu,
    "durable-drain": drain,
    "durable-depth": depth,
    "durable-idle": idle,
    "durable-pick-up": pick_up,
}


@contextmanager
def _directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="invokeasync-benchmark-") as name:
        yield Path(name)


def _remove(path: Path) -> None:
    for file in path.parent.glob(f"{path.name}*"):
        if file.is_file():
            file.unlink()


def _functions() -> Functions:
    functions = Functions()
    functions.add(_NAME, events.do_nothing)
    return functions


def _invocation() -> Invocation:
    now = time.time()
    return Invocation(
        request_id=new_request_id(now),
        function_name=_NAME,
        payload=events.EVENTS["200 B"],
        accepted_at=now,
    )


def _wait_until_empty(path: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    with closing(raw_queue.connect(path, "OFF")) as connection:
        while raw_queue.left(connection):
            if time.monotonic() > deadline:
                raise RuntimeError("the queue does not become empty")
            time.sleep(0.002)


@contextmanager
def _calls(method: str, size: Callable[..., int]) -> Iterator[list[int]]:
    """The sizes of the calls of a method of the store, from its arguments."""
    sizes: list[int] = []
    original = getattr(SQLiteStore, method)

    def counted(*arguments: Any) -> Any:
        sizes.append(size(*arguments))
        return original(*arguments)

    setattr(SQLiteStore, method, counted)
    try:
        yield sizes
    finally:
        setattr(SQLiteStore, method, original)


def _wall_s(cost: Cost) -> float:
    assert cost.wall_s is not None
    return cost.wall_s


def _ratios_of_rates(pairs: Sequence[tuple[Cost, Cost]]) -> list[float]:
    return [_wall_s(floor) / _wall_s(ours) for floor, ours in pairs]


def _rates(pairs: Sequence[tuple[Cost, Cost]]) -> str:
    floor, ours = (1 / median(_wall_s(pair[side]) for pair in pairs) for side in (0, 1))
    return f"{ours:,.0f}/s of {floor:,.0f}/s"


def _cpu(pairs: Sequence[tuple[Cost, Cost]]) -> str:
    floor, ours = (median(pair[side].cpu_s for pair in pairs) * 1e6 for side in (0, 1))
    return f"{ours:.1f} µs, floor {floor:.1f} µs"


def _times(pairs: Sequence[tuple[Cost, Cost]]) -> str:
    floor, ours = (median(_wall_s(pair[side]) for pair in pairs) * 1e6 for side in (0, 1))
    return f"{ours:.1f} µs, floor {floor:.1f} µs"
