"""process.py: what belongs to one process, and the drain before its end.

Forks, signals and the end of the interpreter are tried in processes of their own.
"""

from __future__ import annotations

import inspect
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from typing import NamedTuple

import pytest

from invokeasync_wsgi import process
from invokeasync_wsgi.process import PerProcess

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and signals")


class Ended(NamedTuple):
    """What a script came to."""

    status: int
    lines: list[str]
    errors: str


def run(script: str) -> Ended:
    """Run a script in a process of its own, to its end."""
    prelude = "import os, signal, sys, threading\nfrom invokeasync_wsgi import process\n"
    ended = subprocess.run(
        [sys.executable, "-X", "dev", "-u", "-c", prelude + textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Ended(ended.returncode, ended.stdout.splitlines(), ended.stderr)


# --- one value for each process -------------------------------------------------------------


class TestPerProcess:
    def test_nothing_is_made_before_the_first_use(self) -> None:
        made: list[None] = []
        value = PerProcess(lambda: made.append(None))
        assert value.peek() is None
        assert made == []

    def test_the_value_is_made_once(self) -> None:
        value: PerProcess[list[int]] = PerProcess(list)
        value.get().append(1)
        assert value.get() == [1]
        assert value.peek() is value.get()

    @pytest.mark.parametrize("falsy", [None, 0, ""])
    def test_a_value_may_be_falsy(self, falsy: object) -> None:
        made = []

        def make() -> object:
            made.append(falsy)
            return falsy

        value = PerProcess(make)
        assert [value.get(), value.get()] == [falsy, falsy]
        assert len(made) == 1

    def test_two_threads_at_once_get_the_same(self) -> None:
        both_make = threading.Barrier(2)

        def make() -> object:
            both_make.wait()
            return object()

        value = PerProcess(make)
        got: list[object] = []
        threads = [threading.Thread(target=lambda: got.append(value.get())) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert got[0] is got[1] is value.get()

    def test_holders_share_nothing(self) -> None:
        one: PerProcess[list[int]] = PerProcess(list)
        other: PerProcess[list[int]] = PerProcess(list)
        assert one.get() is not other.get()

    def test_what_failed_to_be_made_is_tried_again(self) -> None:
        makers: list[Callable[[], int]] = [lambda: 5, lambda: 1 // 0]
        value = PerProcess(lambda: makers.pop()())
        with pytest.raises(ZeroDivisionError):
            value.get()
        assert value.get() == 5

    @posix_only
    def test_a_forked_child_has_a_value_of_its_own_and_leaves_the_parents_alone(self) -> None:
        ended = run(
            """
            class Value:
                def __del__(self):
                    print("let go in", "child" if os.getpid() != parent else "parent")

            parent = os.getpid()
            value = process.PerProcess(Value)
            of_parent = id(value.get())
            pid = os.fork()
            if pid == 0:
                print("child has", value.peek())
                print("child has another", id(value.get()) != of_parent)
                os._exit(0)
            os.waitpid(pid, 0)
            print("parent has the same", id(value.get()) == of_parent)
            """
        )
        assert ended.lines[:3] == [
            "child has None",
            "child has another True",
            "parent has the same True",
        ]
        assert "let go in child" not in ended.lines


# --- the start of a worker -------------------------------------------------------------------


class Starter:
    """Something that wants to begin before the first request."""

    def __init__(self, name: str) -> None:
        self.name = name

    def start(self) -> None:
        print("start", self.name)


#: For `run`, in which the class above is not there.
STARTER = textwrap.dedent(inspect.getsource(Starter))


def test_nothing_starts_before_somebody_says_that_this_is_a_worker() -> None:
    ended = run(
        STARTER
        + """
one, other = Starter("one"), Starter("other")
process.at_worker_start(one.start)
process.at_worker_start(other.start)
print("a worker")
process.start_all()
"""
    )
    assert ended == Ended(0, ["a worker", "start one", "start other"], "")


def test_who_asks_to_be_started_is_started_at_each_call_and_must_bear_it() -> None:
    ended = run(
        STARTER
        + """
one = Starter("one")
process.at_worker_start(one.start)
process.start_all()
process.start_all()
"""
    )
    assert ended.lines == ["start one", "start one"]


def test_asking_to_be_started_keeps_nobody_alive() -> None:
    ended = run(
        STARTER
        + """
one, other = Starter("one"), Starter("other")
process.at_worker_start(one.start)
process.at_worker_start(other.start)
del one
process.start_all()
"""
    )
    assert ended == Ended(0, ["start other"], "")


def test_starting_without_anything_to_start_is_fine() -> None:
    assert run("process.start_all(); print('done')") == Ended(0, ["done"], "")


@posix_only
def test_a_forked_worker_starts_what_its_parent_asked_for() -> None:
    ended = run(
        STARTER
        + """
one = Starter("in the child")
process.at_worker_start(one.start)
pid = os.fork()
if pid == 0:
    process.start_all()
    os._exit(0)
os.waitpid(pid, 0)
"""
    )
    assert ended == Ended(0, ["start in the child"], "")


# --- the drain ------------------------------------------------------------------------------


def test_draining_what_was_never_armed_is_fine() -> None:
    assert run("process.drain_all(); print('done')") == Ended(0, ["done"], "")


def test_everything_armed_is_drained_once_the_latest_first() -> None:
    ended = run(
        """
        process.arm(lambda timeout_s: print("first", timeout_s <= 5))
        process.arm(lambda timeout_s: print("second", timeout_s <= 5))
        process.drain_all(5)
        process.drain_all(5)
        """
    )
    assert ended == Ended(0, ["second True", "first True"], "")


def test_all_doors_are_closed_before_the_first_drain() -> None:
    ended = run(
        """
        for name in ("first", "second"):
            process.arm(
                lambda timeout_s, name=name: print("drain", name),
                lambda name=name: print("refuse", name),
            )
        process.drain_all(5)
        """
    )
    assert ended.lines == ["refuse first", "refuse second", "drain second", "drain first"]


def test_a_drain_that_a_server_interrupts_is_tried_again_by_the_next() -> None:
    ended = run(
        """
        calls = []

        def interrupted(timeout_s):
            calls.append(timeout_s)
            if len(calls) == 1:
                raise SystemExit(1)
            print("drained")

        process.arm(interrupted)
        try:
            process.drain_all(5)
        except SystemExit:
            print("interrupted")
        process.drain_all(5)
        """
    )
    assert ended.lines == ["interrupted", "drained"]


def test_each_drain_is_given_the_seconds_that_are_left() -> None:
    ended = run(
        """
        process.arm(lambda timeout_s: print(timeout_s))
        process.arm(lambda timeout_s: threading.Event().wait(timeout_s + 0.05))
        process.drain_all(0.01)
        """
    )
    assert (ended.status, ended.lines) == (0, ["0"])


def test_what_was_disarmed_is_not_drained() -> None:
    ended = run(
        """
        def one(timeout_s): print("one")
        def other(timeout_s): print("other")
        process.disarm(one)
        process.arm(one)
        process.arm(other)
        process.disarm(one)
        process.disarm(one)
        process.drain_all()
        """
    )
    assert ended == Ended(0, ["other"], "")


def test_a_drain_that_fails_is_logged_and_the_others_go_on() -> None:
    ended = run(
        """
        process.arm(lambda timeout_s: print("drained"))
        process.arm(lambda timeout_s: 1 // 0)
        process.drain_all()
        print("done")
        """
    )
    assert (ended.status, ended.lines) == (0, ["drained", "done"])
    assert ended.errors.startswith("a drain failed; the others go on\nTraceback")
    assert "ZeroDivisionError" in ended.errors


@pytest.mark.parametrize(
    ("last_line", "status"),
    [
        pytest.param("print('end')", 0, id="the end of the script"),
        pytest.param("print('end'); sys.exit(3)", 3, id="sys.exit"),
        pytest.param("print('end'); raise KeyError", 1, id="an exception"),
    ],
)
def test_the_end_of_the_interpreter_drains(last_line: str, status: int) -> None:
    script = "process.arm(lambda timeout_s: print('drained', timeout_s > 7))\n"
    ended = run(script + last_line)
    assert (ended.status, ended.lines) == (status, ["end", "drained True"])


def test_at_the_end_threads_and_pools_still_work_while_it_drains() -> None:
    ended = run(
        """
        from concurrent.futures import ThreadPoolExecutor

        pool = ThreadPoolExecutor()
        pool.submit(int).result()  # Python 3.12 starts no more threads at the end
        process.arm(lambda timeout_s: print(pool.submit(lambda: "the pool works").result()))
        """
    )
    assert ended == Ended(0, ["the pool works"], "")


def test_what_is_armed_after_a_drain_is_drained_too() -> None:
    ended = run(
        """
        process.arm(lambda timeout_s: print("one"))
        process.drain_all()
        process.arm(lambda timeout_s: print("two"))
        """
    )
    assert ended == Ended(0, ["one", "two"], "")


@posix_only
def test_a_forked_child_does_not_drain_what_its_parent_armed() -> None:
    ended = run(
        """
        names = {os.getpid(): "parent"}
        process.arm(lambda timeout_s: print("drained in", names.get(os.getpid(), "child")))
        pid = os.fork()
        if pid == 0:
            process.drain_all()
            sys.exit(0)
        os.waitpid(pid, 0)
        print("child has ended")
        """
    )
    assert ended == Ended(0, ["child has ended", "drained in parent"], "")


@posix_only
def test_a_forked_child_drains_what_it_armed_itself() -> None:
    ended = run(
        """
        pid = os.fork()
        if pid == 0:
            process.arm(lambda timeout_s: print("drained in child"))
            sys.exit(0)
        os.waitpid(pid, 0)
        print("child has ended")
        """
    )
    assert ended == Ended(0, ["drained in child", "child has ended"], "")


# --- SIGTERM --------------------------------------------------------------------------------


@posix_only
class TestDrainOnSigterm:
    def test_sigterm_ends_the_process_through_the_drain(self) -> None:
        ended = run(
            """
            process.arm(lambda timeout_s: print("drained"))
            print(process.drain_on_sigterm())
            os.kill(os.getpid(), signal.SIGTERM)
            print("never said")
            """
        )
        assert ended == Ended(128 + 15, ["True", "drained"], "")

    def test_without_it_the_process_just_dies(self) -> None:
        ended = run(
            """
            process.arm(lambda timeout_s: print("drained"))
            os.kill(os.getpid(), signal.SIGTERM)
            """
        )
        assert ended == Ended(-15, [], "")

    @pytest.mark.parametrize("handler", ["signal.SIG_IGN", "lambda number, frame: None"])
    def test_a_signal_that_somebody_handles_is_left_alone(self, handler: str) -> None:
        ended = run(
            f"""
            theirs = {handler}
            signal.signal(signal.SIGTERM, theirs)
            print(process.drain_on_sigterm(), signal.getsignal(signal.SIGTERM) == theirs)
            """
        )
        assert ended == Ended(0, ["False True"], "")

    def test_outside_of_the_main_thread_it_does_nothing(self) -> None:
        ended = run(
            """
            thread = threading.Thread(target=lambda: print(process.drain_on_sigterm()))
            thread.start()
            thread.join()
            print(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)
            """
        )
        assert ended == Ended(0, ["False", "True"], "")

    def test_twice_is_once(self) -> None:
        ended = run("print(process.drain_on_sigterm(), process.drain_on_sigterm())")
        assert ended == Ended(0, ["True False"], "")


def test_importing_it_starts_nothing() -> None:
    ended = run("print(threading.active_count(), process._armed.peek())")
    assert ended == Ended(0, ["1 None"], "")


def test_the_time_for_a_drain_fits_into_docker_stop() -> None:
    assert process.DEFAULT_DRAIN_TIMEOUT_S < 10
