"""What is remembered of accepted events: the contract.

A store holds events from their acceptance to the end of their last attempt. An executor that runs
events itself puts its worker threads in front of a store; which promise its 202 makes is the
store's: `MemoryStore` forgets with its process.

The states of an event: *waiting* (due now or later) → `claim` → *running* → `finish` (gone) or
`requeue` (waiting again).
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from ..invocation import Invocation


class Counts(NamedTuple):
    """How many events a store holds."""

    #: Accepted, and no attempt of theirs is running. Those that wait for a retry are among them.
    waiting: int
    #: Claimed.
    running: int


class Store(Protocol):
    """The contract of stores. All methods are safe from any thread of the process."""

    def add(self, invocation: Invocation) -> None:
        """Remember an event that is due now. When this returns, the store's promise holds for it.

        Raises:
            QueueFull: there are as many waiting as the store takes; nothing was remembered.
            Exception: anything else that goes wrong; nothing was remembered.
        """

    def claim(self, *, now: float) -> Invocation | None:
        """Take the event that has waited longest of those due at ``now``; ``None`` for no event.

        Nobody else gets it until it is requeued.
        """

    def requeue(self, invocation: Invocation, *, attempt: int, due: float) -> None:
        """Give a claimed event back: its next attempt has this number and may run at ``due``.

        Never refused for want of room. Nothing happens to an event that is not claimed (any more).
        """

    def finish(self, invocation: Invocation) -> None:
        """Forget a claimed event: its last attempt is over. No error for one given back already."""

    def counts(self) -> Counts:
        """How many events are waiting and running."""

    def unfinished(self) -> list[str]:
        """The request ids of all that are waiting or running."""
