"""What is remembered of accepted events: the contract.

A store holds events from their acceptance to the end of their last attempt. An executor that runs
events itself puts its worker threads in front of a store; which promise its 202 makes is the
store's: `MemoryStore` forgets with its process. `SQLiteStore`, which keeps them on disk, takes and
ends many at a time instead, as each of its steps is a commit.

The states of an event: *waiting* (due now or later) → `claim` → *running* → `finish` (gone, or
kept as history) or `requeue` (waiting again).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol, TypeVar

from ..invocation import Invocation


class Claim:
    """An event that was taken to be run. Each is itself only: two may hold equal events."""

    __slots__ = ("invocation",)

    def __init__(self, invocation: Invocation) -> None:
        self.invocation = invocation


_C = TypeVar("_C", bound=Claim)


class Counts(NamedTuple):
    """How many events a store holds."""

    #: Accepted, and no attempt of theirs is running. Those that wait for a retry are among them.
    waiting: int
    #: Claimed.
    running: int


class Store(Protocol[_C]):
    """The contract of stores. All methods are safe from any thread of the process."""

    def add(self, invocation: Invocation) -> None:
        """Remember an event that is due now. When this returns, the store's promise holds for it.

        Raises:
            QueueFull: there are as many waiting as the store takes; nothing was remembered.
            Exception: anything else that goes wrong; nothing was remembered.
        """

    def claim(self, *, now: float) -> _C | None:
        """Take an event that is due at ``now``; ``None`` for no event.

        Of the events of one function, the one that has waited longest. Nobody else gets it until
        it is requeued.
        """

    def requeue(self, claim: _C, invocation: Invocation, *, due: float) -> None:
        """Give a claimed event back, as it is to be claimed next, from ``due`` on.

        Never refused for want of room. Nothing happens to an event that is not claimed (any more).
        """

    def finish(self, claim: _C, deliveries: Iterable[Invocation] = ()) -> None:
        """The last attempt of a claimed event is over; accept what follows it in the same step.

        Deliveries are never refused for want of room. Nothing happens to an event that is not
        claimed (any more).
        """

    def counts(self) -> Counts:
        """How many events are waiting and running."""
