"""What clients have set of functions, kept: the contract, and in memory.

A store holds one text for each function of which something is set: see `Overrides.to_json`. Each
change is one step: it is there as a whole or not at all, and no two happen at once. A *mark* tells
one state of the store from all others, so that who has read it once sees cheaply whether to read it
again.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from ..errors import StoreError
from ..overrides import NOTHING_SET, Overrides
from ..process import PerProcess

#: Gives the overrides of all functions by name; reading them takes longer than those of one.
Everyone = Callable[[], Mapping[str, Overrides]]

#: Makes the overrides of a function as they are to be, from those that are there; given back
#: unchanged, they are no change. What it raises leaves everything as it is.
Change = Callable[[Overrides, Everyone], Overrides]


class Snapshot(NamedTuple):
    """What a store held at one moment."""

    #: Of this state; equal marks mean equal texts.
    mark: str
    #: By function name.
    texts: Mapping[str, str]


#: A store of which nobody has set anything.
EMPTY = Snapshot("", {})


class OverridesStore(Protocol):
    """The contract. All methods are safe from any thread and in any forked process."""

    #: Whether other processes see what is set.
    is_shared: bool

    def read(self, known_mark: str | None = None) -> Snapshot | None:
        """What is set now; ``None`` when that is still what ``known_mark`` was for.

        Raises:
            StoreError: it cannot be read.
        """

    def change(self, function_name: str, change: Change) -> Overrides:
        """Change what is set of a function; when this returns, the change is kept.

        Args:
            function_name: any name; the store does not know which there are.
            change: called in the step: quick.

        Raises:
            StoreError: it cannot be written, or what is there cannot be read.
            Exception: what ``change`` raised. In each case nothing was changed.
        """

    def forget(self, function_name: str) -> bool:
        """Remove all that is set of a function, whether it can be read or not.

        Returns:
            Whether there was anything.

        Raises:
            StoreError: it cannot be written.
        """


def parse(function_name: str, text: str) -> Overrides:
    """What a text of a store says.

    Raises:
        StoreError: it says something that this release does not know.
    """
    try:
        return Overrides.from_json(text)
    except Exception as exc:
        raise unreadable(function_name, exc) from exc


def unreadable(function_name: str, reason: Exception) -> StoreError:
    """What is said of a text that cannot be used."""
    return StoreError(
        f"what clients have set of function {function_name!r} cannot be read: {reason!r}"
    )


def parse_all(texts: Mapping[str, str]) -> dict[str, Overrides]:
    """`parse` for all that a store holds; what cannot be read counts as nothing."""
    found = {}
    for name, text in texts.items():
        try:
            found[name] = parse(name, text)
        except StoreError:  # noqa: PERF203 - whoever wants that one hears it
            continue
    return found


class MemoryOverrides:
    """Kept in this process, for as long as it lives."""

    is_shared = False

    def __init__(self) -> None:
        self._state = PerProcess(_State)

    def read(self, known_mark: str | None = None) -> Snapshot | None:
        """See `OverridesStore.read`."""
        snapshot = self._state.get().snapshot
        return None if snapshot.mark == known_mark else snapshot

    def change(self, function_name: str, change: Change) -> Overrides:
        """See `OverridesStore.change`."""
        state = self._state.get()
        with state.lock:
            texts = state.snapshot.texts
            text = texts.get(function_name)
            held = NOTHING_SET if text is None else parse(function_name, text)
            changed = change(held, lambda: parse_all(texts))
            if changed is not held:
                state.put({**texts, function_name: changed.to_json()})
            return changed

    def forget(self, function_name: str) -> bool:
        """See `OverridesStore.forget`."""
        state = self._state.get()
        with state.lock:
            texts = dict(state.snapshot.texts)
            if texts.pop(function_name, None) is None:
                return False
            state.put(texts)
            return True


class _State:
    """What one process has."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.snapshot = EMPTY

    def put(self, texts: Mapping[str, str]) -> None:
        self.snapshot = Snapshot(str(uuid.uuid4()), texts)
