"""store/watch.py: a bell that processes ring for each other."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from invokeasync_wsgi.store.watch import Bell, Watch, bell_path

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return bell_path(tmp_path / "queue.db")


@pytest.fixture
def bell(path: Path) -> Iterator[Bell]:
    bell = Bell(path)
    yield bell
    bell.close()


class Listener:
    """A thread that counts the rings it hears."""

    def __init__(self, watch: Watch) -> None:
        self.heard = threading.Semaphore(0)
        self.watch = watch
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def _listen(self) -> None:
        while self.watch.wait():
            self.heard.release()

    def hears(self) -> bool:
        return self.heard.acquire(timeout=5)

    def close(self) -> None:
        self.watch.close()
        self.thread.join(5)
        assert not self.thread.is_alive()


@pytest.fixture
def listener(path: Path) -> Iterator[Listener]:
    listener = Listener(Watch(path))
    yield listener
    listener.close()


@linux_only
def test_a_ring_is_heard_once_it_is_armed_and_once_only(bell: Bell, listener: Listener) -> None:
    bell.ring()  # nobody listens yet
    for _ in range(3):
        assert listener.watch.arm()
        bell.ring()
        bell.ring()
        assert listener.hears()
    assert not listener.heard.acquire(blocking=False)


@linux_only
def test_another_processs_ring_is_heard(path: Path, listener: Listener) -> None:
    assert listener.watch.arm()
    script = "import sys; from pathlib import Path; from invokeasync_wsgi.store.watch import Bell;"
    script += "Bell(Path(sys.argv[1])).ring()"
    subprocess.run([sys.executable, "-c", script, str(path)], check=True)
    assert listener.hears()


@linux_only
def test_a_bell_that_was_removed_cannot_be_armed(path: Path, listener: Listener) -> None:
    path.unlink()
    assert not listener.watch.arm()


def test_a_bell_is_made_when_it_is_rung_for_its_owner_only(path: Path, bell: Bell) -> None:
    assert not path.exists()
    bell.ring()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_size == 1


def test_a_bell_that_cannot_be_rung_is_no_error(tmp_path: Path) -> None:
    in_the_way = tmp_path / "queue.db-owners"
    in_the_way.write_text("a file")
    bell = Bell(bell_path(tmp_path / "queue.db"))
    bell.ring()
    bell.close()


def test_a_closed_bell_rings_again(path: Path, bell: Bell) -> None:
    bell.ring()
    bell.close()
    path.unlink()
    bell.ring()
    assert path.exists()
