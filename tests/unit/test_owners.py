"""Which processes are alive: locks and beats of real ones, killed, stopped and forked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

from invokeasync_wsgi.errors import StoreError
from invokeasync_wsgi.executors.durable import _Neighbours
from invokeasync_wsgi.store import owners
from invokeasync_wsgi.store.sqlite import SQLiteStore
from invokeasync_wsgi.testing import FakeClock

from ..waiting import eventually

#: What begins every child process: an owner with three slots, whose name is told.
OWNER = """
    import os, signal, sys, threading
    from pathlib import Path
    from invokeasync_wsgi.store import owners

    owner = owners.Owner(Path(sys.argv[1]), 3)
    print(owner.name, flush=True)
"""
WAIT = """
    print("ready", flush=True)
    signal.pause()
"""

Start = Callable[..., tuple[subprocess.Popen[str], str]]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "queue.db-owners"


@pytest.fixture
def start(directory: Path) -> Iterator[Start]:
    """Starts a process with an owner and something to do; gives it and the owner's name."""
    started: list[subprocess.Popen[str]] = []

    def start(*scripts: str) -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, "-c", "\n".join(map(textwrap.dedent, (OWNER, *scripts)))]
        child = subprocess.Popen([*command, str(directory)], stdout=subprocess.PIPE, text=True)
        started.append(child)
        return child, line_of(child)

    yield start
    for child in started:
        child.kill()
        child.wait()
        output(child).close()


def output(child: subprocess.Popen[str]) -> IO[str]:
    assert child.stdout is not None
    return child.stdout


def line_of(child: subprocess.Popen[str]) -> str:
    return output(child).readline().strip()


def kill(child: subprocess.Popen[str]) -> None:
    child.kill()
    child.wait()


def looked_at_from_elsewhere(directory: Path, name: str) -> bool:
    """Whether another process takes an owner for dead."""
    script = "import sys; from pathlib import Path; from invokeasync_wsgi.store import owners;"
    script += "print(owners.is_dead(Path(sys.argv[1]), sys.argv[2]))"
    command = [sys.executable, "-c", script, str(directory), name]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout == "True\n"


def test_a_killed_process_is_dead_at_once_and_what_it_ran_is_known(
    directory: Path, start: Start
) -> None:
    child, name = start("owner.beat(); owner.runs(0, 41); owner.runs(2, 2**40)", WAIT)
    assert line_of(child) == "ready"
    assert not owners.is_dead(directory, name)
    assert owners.read(directory, name) == (1, frozenset({41, 2**40}))
    kill(child)
    assert owners.is_dead(directory, name)
    assert owners.read(directory, name) == (1, frozenset({41, 2**40}))


def test_a_slot_is_free_again_when_its_event_is_done(directory: Path, start: Start) -> None:
    child, name = start("owner.runs(0, 41); owner.runs(1, 42); owner.runs(0, 0)", WAIT)
    assert line_of(child) == "ready"
    kill(child)
    assert owners.read(directory, name) == (0, frozenset({42}))


def test_a_stopped_process_is_not_dead_but_its_beat_stands_still(
    directory: Path, start: Start
) -> None:
    child, name = start(
        """
        pause = threading.Event()
        while True:
            owner.beat()
            pause.wait(0.001)
        """
    )
    eventually(lambda: owners.read(directory, name)[0] > 1)
    child.send_signal(signal.SIGSTOP)
    os.waitpid(child.pid, os.WUNTRACED)
    beat, _ = owners.read(directory, name)
    assert not owners.is_dead(directory, name)
    assert owners.read(directory, name)[0] == beat
    child.send_signal(signal.SIGCONT)
    eventually(lambda: owners.read(directory, name)[0] > beat)


def test_a_childs_life_is_not_its_parents(directory: Path, start: Start) -> None:
    child, name = start(
        """
        pid = os.fork()
        if pid:
            print(pid, flush=True)
        signal.pause()
        """
    )
    orphan = int(line_of(child))
    try:
        kill(child)
        assert owners.is_dead(directory, name)
    finally:
        os.kill(orphan, signal.SIGKILL)


def test_a_forked_child_that_looks_at_its_parent_takes_nothing_from_it(
    directory: Path, start: Start
) -> None:
    child, name = start(
        """
        if os.fork() == 0:
            print(owners.is_own(owner.name), owners.is_dead(Path(sys.argv[1]), owner.name))
            sys.stdout.flush()
            os._exit(0)
        os.wait()
        """,
        WAIT,
    )
    assert line_of(child) == "False False"
    assert line_of(child) == "ready"
    assert not owners.is_dead(directory, name)


def test_nobody_opens_the_file_of_their_own_process(directory: Path) -> None:
    """Closing it again would let go of the lock, and the process would look dead."""
    clock = FakeClock()
    store = SQLiteStore(directory.parent / "queue.db", clock)
    assert f"{store.path}-owners" == str(directory)
    owner = owners.Owner(directory, 1)
    other = owners.Owner(directory, 1)  # of another executor in this process
    try:
        assert owners.is_own(owner.name)
        assert owners.is_own(other.name)
        neighbours = _Neighbours(store, clock, 10)
        for _ in range(3):
            neighbours.have_written = True
            neighbours.look_after()
        assert not looked_at_from_elsewhere(directory, owner.name)
        assert sorted(owners.names(directory)) == sorted([owner.name, other.name])
    finally:
        owner.close()
        other.close()
        store.close()


def test_closing_removes_the_file_and_may_be_repeated(directory: Path) -> None:
    owner = owners.Owner(directory, 1)
    assert list(owners.names(directory)) == [owner.name]
    assert oct(directory.stat().st_mode & 0o777) == "0o700"
    assert oct((directory / owner.name).stat().st_mode & 0o777) == "0o600"
    owner.close()
    owner.close()
    assert list(directory.iterdir()) == []
    assert not owners.is_own(owner.name)
    assert owners.is_dead(directory, owner.name)
    assert owners.read(directory, owner.name) == (0, frozenset())


def test_an_owner_that_cannot_be_made_leaves_nothing_behind(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(descriptor: int, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", no_space)
        with pytest.raises(StoreError, match="No space left"):
            owners.Owner(directory, 1)
    assert list(directory.iterdir()) == []
    owners.Owner(directory, 1).close()


def test_a_dead_owners_file_can_be_removed_twice(directory: Path, start: Start) -> None:
    child, name = start(WAIT)
    kill(child)
    assert list(owners.names(directory)) == [name]
    owners.remove(directory, name)
    owners.remove(directory, name)
    assert list(owners.names(directory)) == []


def test_there_are_no_owners_where_there_is_no_directory(directory: Path) -> None:
    assert list(owners.names(directory)) == []
