"""A bell that processes ring for each other: a file that is written to, and who watches it.

By Linux's inotify, through the C library: a process that has nothing to do sleeps until the kernel
wakes it. Where there is none, whoever would watch looks from time to time instead.

The bell is not one of SQLite's files: those are written before a commit, and not after it.
"""

from __future__ import annotations

import ctypes
import os
import select
import struct
from contextlib import suppress
from pathlib import Path

_IN_MODIFY = 0x00000002
_IN_ONESHOT = 0x80000000
_EVENT = struct.Struct("iIII")


def bell_path(database: Path) -> Path:
    """The bell of a database: among its owners' files, but no owner's."""
    return Path(f"{database}-owners") / ".bell"


class Bell:
    """Rings. Safe from any thread of the process that made it.

    Args:
        path: of the file; it and its directory are made when it is first rung.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def ring(self) -> None:
        """Wake all processes that watch. Never fails: they look from time to time anyway."""
        with suppress(OSError):
            if self._descriptor < 0:
                self._path.parent.mkdir(mode=0o700, exist_ok=True)
                flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
                self._descriptor = os.open(self._path, flags, 0o600)
            os.pwrite(self._descriptor, b"!", 0)

    def close(self) -> None:
        """Let go of the file; it is opened again when needed."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class Watch:
    """Waits for the next ring. One thread waits, any may arm and close.

    Args:
        path: of the bell; made if need be.

    Raises:
        OSError: the system has no inotify, or no more of it for this user.
    """

    def __init__(self, path: Path) -> None:
        bell = Bell(path)
        bell.ring()
        bell.close()
        self._path = os.fsencode(path)
        self._library = ctypes.CDLL(None, use_errno=True)
        try:
            self._descriptor = self._library.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        except AttributeError as exc:
            raise OSError("this system has no inotify") from exc
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        self._closed, self._close = os.pipe()

    def arm(self) -> bool:
        """Have the next ring from now on wake whoever waits; whether that is possible now."""
        mask = ctypes.c_uint32(_IN_MODIFY | _IN_ONESHOT)
        return int(self._library.inotify_add_watch(self._descriptor, self._path, mask)) >= 0

    def wait(self) -> bool:
        """Wait for a ring after `arm`; ``False`` when it was closed instead."""
        while True:
            ready, _, _ = select.select([self._descriptor, self._closed], [], [])
            if self._closed in ready:
                os.close(self._descriptor)
                os.close(self._closed)
                return False
            if self._has_rung():
                return True

    def close(self) -> None:
        """End `wait`, which closes the rest."""
        with suppress(OSError):
            os.close(self._close)

    def _has_rung(self) -> bool:
        try:
            events = os.read(self._descriptor, 4096)
        except BlockingIOError:
            return False
        offset = 0
        while offset < len(events):
            _, mask, _, length = _EVENT.unpack_from(events, offset)
            if mask & _IN_MODIFY:
                return True
            offset += _EVENT.size + length
        return False
