"""Which processes are alive, and what each was running when it died.

Every process that claims events has a file beside the database, which it keeps locked. The kernel
lets go of the lock when the process is gone, however it went: whoever can take the lock knows that
its owner is dead, at once and without a doubt. The file also holds, in a few memory-mapped bytes,

* a beat that the owner counts up: one that stands still for a while means that the owner is
  stopped, though not gone (``SIGSTOP``, a handler that never lets the interpreter go);
* the event that each of its workers is running, so that only those are suspected of its death.

Record locks (``fcntl``) belong to the process: a forked child does not inherit them, so a handler's
child process does not make a dead owner look alive. They are also lost when the process closes any
other descriptor of the same file; so nobody opens a file of its own process a second time.
"""

from __future__ import annotations

import errno
import mmap
import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ..errors import StoreError
from ..process import PerProcess

try:
    import fcntl
except ImportError:  # Windows; `Owner` says so
    fcntl = None  # type: ignore[assignment]

_WORD = struct.Struct("<Q")

#: The owners of this process, by name. Their files must not be opened again here.
_own: PerProcess[dict[str, Owner]] = PerProcess(dict)


class Owner:
    """This process, as the others see it.

    Args:
        directory: where the files of all owners are; created if need be.
        slots: how many events it can be running at once.

    Raises:
        StoreError: the file cannot be made.
    """

    def __init__(self, directory: Path, slots: int) -> None:
        if fcntl is None:
            raise StoreError("this system has no record locks (fcntl), which the queue needs")
        self.name = os.urandom(8).hex()
        try:
            self._make(directory, slots)
        except OSError as exc:
            raise StoreError(f"{directory}: no file can be made there: {exc}") from exc
        self._beats = 0

    def _make(self, directory: Path, slots: int) -> None:
        directory.mkdir(mode=0o700, exist_ok=True)
        # Under another name until it is locked: nobody must find it and take it for a dead one's.
        self._path = directory / f".{self.name}"
        content = bytes(_WORD.size * (1 + slots))
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            _own.get()[self.name] = self
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Written, not only made longer: on a full disk this fails, a mapped page would kill us.
            if os.write(self._descriptor, content) < len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._memory = mmap.mmap(self._descriptor, len(content))
            self._path = self._path.rename(directory / self.name)
        except BaseException:
            self._forget()
            raise

    def beat(self) -> None:
        """Show that this process is still at work."""
        self._beats += 1
        _WORD.pack_into(self._memory, 0, self._beats)

    def runs(self, slot: int, seq: int) -> None:
        """Remember, in the file, that the event ``seq`` is being run; 0 for none any more."""
        _WORD.pack_into(self._memory, _WORD.size * (1 + slot), seq)

    def close(self) -> None:
        """Remove the file: this process owns nothing any more. Idempotent."""
        if self._descriptor >= 0:
            self._memory.close()
            self._forget()

    def _forget(self) -> None:
        with suppress(OSError):
            self._path.unlink()
        os.close(self._descriptor)
        self._descriptor = -1
        _own.get().pop(self.name, None)


def names(directory: Path) -> Iterator[str]:
    """The names of all owners that have a file, dead ones among them."""
    with suppress(FileNotFoundError):
        yield from (name for name in os.listdir(directory) if not name.startswith("."))


def is_own(name: str) -> bool:
    """Whether an owner is of this process."""
    return name in _own.get()


def is_dead(directory: Path, name: str) -> bool:
    """Whether the process of an owner is gone. Never called for one that `is_own`."""
    try:
        descriptor = os.open(directory / name, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    except PermissionError:
        return False  # another user's; those with the right to look will see
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def read(directory: Path, name: str) -> tuple[int, frozenset[int]]:
    """The beat of an owner, and the events that it is or was running."""
    try:
        content = (directory / name).read_bytes()
    except (FileNotFoundError, PermissionError):
        return 0, frozenset()
    words = [word for (word,) in _WORD.iter_unpack(content[: len(content) // 8 * 8])]
    return (words[0] if words else 0), frozenset(words[1:]) - {0}


def remove(directory: Path, name: str) -> None:
    """Remove the file of a dead owner, whose events have been taken back."""
    with suppress(FileNotFoundError):
        os.unlink(directory / name)
