"""The functions as they are now: what the application declares, and over it what clients have set.

Each process has the overrides of all functions in memory and looks now and then whether they have
changed, so what one process sets governs all others within a second. Functions are values: a
changed one is another `Function`, and whoever holds the old one finishes with that.

Where what is set cannot be read for a while, a process goes on with what it knows, for `STALE_S`.
A function whose own text cannot be read is out of order, and no other.
"""

from __future__ import annotations

import itertools
import logging
import math
import threading
from collections.abc import Callable, Iterator
from typing import Final

from . import names
from .clock import Clock
from .config import AsyncSettings
from .errors import AccessDeniedException, ResourceNotFoundException, StoreError
from .functions import Function, Functions
from .names import FunctionReference
from .overrides import Overrides
from .process import PerProcess
from .store.overrides import EMPTY, Change, OverridesStore, Snapshot, parse

logger = logging.getLogger(__name__)

#: Seconds between two looks for what other processes have set.
LOOK_S: Final = 0.25
#: Seconds for which a process goes on with what it has read last, if it cannot read it again.
STALE_S: Final = 60.0


class Catalog:
    """The functions of a service. Safe from any thread and in any forked process.

    Args:
        declared: what the application has registered; looked up each time, so functions
            registered later are found.
        store: what clients have set.
        region: of this service.
        account_id: of this service.
        defaults: how events are retried of which nothing else is said.
        clock: tells when to look again.
        on_change: called when a look has found something new.
    """

    def __init__(
        self,
        declared: Functions,
        store: OverridesStore,
        *,
        region: str,
        account_id: str,
        defaults: AsyncSettings,
        clock: Clock,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.declared = declared
        self.region = region
        self.account_id = account_id
        self.defaults = defaults
        self.store = store
        self._clock = clock
        self._on_change = on_change
        #: Plain values, so a forked child goes on with its parent's until its next look.
        self._state = _State(0, EMPTY)
        self._look_at = self._read_at = -math.inf
        self._is_failing = False
        self._tickets = itertools.count(1)
        #: Held for a moment, when another state takes the place of the one that is known.
        self._replacing = PerProcess(threading.Lock)
        #: Whether what is declared is delivered anywhere, by how many functions are declared.
        self._declared_delivers: dict[int, bool] = {}

    def refer(self, function_name: str, qualifier: str | None) -> FunctionReference:
        """See `Functions.refer`."""
        return self.declared.refer(function_name, qualifier)

    def arn(self, name: str, qualifier: str | None = None) -> str:
        """The ARN of a function here, whether it exists or not."""
        return names.function_arn(self.region, self.account_id, name, qualifier)

    def arn_of(self, reference: FunctionReference) -> str:
        """The ARN that a caller means, here or in another region."""
        region = reference.region or self.region
        return names.function_arn(region, self.account_id, reference.name, reference.qualifier)

    def require_here(self, reference: FunctionReference) -> None:
        """Refuse what is elsewhere.

        Raises:
            ResourceNotFoundException: another region's.
            AccessDeniedException: another account's.
        """
        if reference.region not in (None, self.region):
            raise ResourceNotFoundException(
                f"Functions from '{reference.region}' are not reachable in this region "
                f"('{self.region}')"
            )
        if reference.account_id not in (None, self.account_id):
            raise AccessDeniedException(None)  # AWS sends null, and says no more than that

    def resolve(self, reference: FunctionReference) -> Function:
        """The function that a caller wants to invoke.

        Raises:
            ResourceNotFoundException: no such function, version or alias, or another region's.
            AccessDeniedException: another account's.
            InvalidRuntimeException: the function cannot run here.
        """
        self.require_here(reference)
        function = self.get(reference.name)
        if function is None or not function.has(reference.qualifier):
            arn = self.arn(reference.name, reference.qualifier or names.LATEST)
            raise ResourceNotFoundException(f"Function not found: {arn}")
        if function.lazy:
            function.require_usable_runtime()
        return function

    def get(self, name: str) -> Function | None:
        """The function of a bare name as it is now, or ``None``.

        Raises:
            StoreError: what clients have set of it cannot be read.
        """
        if self._clock.monotonic() >= self._look_at:
            self.refresh()
        return self.known(name)

    def known(self, name: str) -> Function | None:
        """The function of a bare name as of the last look: reads nothing.

        Raises:
            StoreError: what clients have set of it could not be read.
        """
        function = self.declared.get(name)
        return None if function is None else self._state.overlaid(function)

    def settings_of(self, function: Function, qualifier: str | None) -> AsyncSettings:
        """How the events of a qualifier are retried."""
        known = self._state.settings
        settings = known.get((function, qualifier))
        if settings is None:
            settings = function.async_settings(qualifier, self.defaults)
            known[function, qualifier] = settings
        return settings

    def has_deliveries(self) -> bool:
        """Whether something is sent anywhere at the end of some events, as of the last look."""
        number = len(self.declared)  # more may be later
        declared = self._declared_delivers.get(number)
        if declared is None:
            declared = any(
                each.async_settings(None, self.defaults).delivers for each in self.declared
            )
            self._declared_delivers[number] = declared
        return declared or self._state.delivers

    def set_of_unknown(self) -> dict[str, str]:
        """What is set of functions that the application does not have: texts by name."""
        texts = self._state.snapshot.texts
        return {name: texts[name] for name in texts if self.declared.get(name) is None}

    def refresh(self) -> bool:
        """`look`, but go on with what is known where that fails; whether it did not.

        Raises:
            StoreError: nothing is known, or only what is too old.
        """
        now = self._clock.monotonic()
        self._look_at = now + LOOK_S
        try:
            self.look()
        except StoreError as exc:
            if now - self._read_at > STALE_S:
                self._look_at = now  # nobody goes on
                raise
            if not self._is_failing:
                logger.error("going on with what was set %.0f s ago: %s", now - self._read_at, exc)
            self._is_failing = True
        return not self._is_failing

    def look(self) -> None:
        """See now what other processes have set.

        Raises:
            StoreError: it cannot be read.
        """
        ticket, now = next(self._tickets), self._clock.monotonic()
        snapshot = self.store.read(self._state.snapshot.mark)
        self._read_at, self._is_failing = now, False
        if snapshot is None:
            return
        state = _State(ticket, snapshot, self._state)
        with self._replacing.get():
            if ticket < self._state.ticket:
                return  # whoever began later knows better
            self._state = state
        self._on_change()

    def change(self, function_name: str, change: Change) -> Overrides:
        """Change what is set of a function: see `OverridesStore.change`. Seen here at once."""
        overrides = self.store.change(function_name, change)
        self.look()
        return overrides

    def __iter__(self) -> Iterator[Function]:
        for function in self.declared:
            current = self.get(function.name)
            yield function if current is None else current

    def __len__(self) -> int:
        return len(self.declared)


class _State:
    """What is known of one snapshot. Never changed, but for what is worked out from it."""

    def __init__(self, ticket: int, snapshot: Snapshot, before: _State | None = None) -> None:
        #: Of the look that found it.
        self.ticket = ticket
        self.snapshot = snapshot
        #: Or why they cannot be read.
        self._overrides: dict[str, Overrides | StoreError] = {}
        #: The functions as they are, by what is declared, as far as they have been asked for.
        self._overlaid: dict[Function, Function] = {}
        self.settings: dict[tuple[Function, str | None], AsyncSettings] = {}
        for name, text in snapshot.texts.items():
            if before is not None and before.snapshot.texts.get(name) == text:
                self._overrides[name] = before._overrides[name]
                continue
            try:
                self._overrides[name] = parse(name, text)
            except StoreError as exc:
                logger.error("%s", exc)
                self._overrides[name] = exc
        if before is not None:
            # Those of which nothing else is set than before are the same.
            for declared, function in list(before._overlaid.items()):
                if self._overrides.get(declared.name) is function.overrides:
                    self._overlaid[declared] = function
        #: Whether anything is delivered because clients have set it.
        self.delivers = any(
            each.delivers for each in self._overrides.values() if isinstance(each, Overrides)
        )

    def overlaid(self, declared: Function) -> Function:
        overrides = self._overrides.get(declared.name)
        if overrides is None:
            return declared
        if isinstance(overrides, StoreError):
            raise StoreError(str(overrides))
        function = self._overlaid.get(declared)
        if function is None:
            function = self._overlaid[declared] = declared.overlaid(overrides)
            _tell(function)
        return function


def _tell(function: Function) -> None:
    """Say once what of the overrides does not go with what is declared."""
    if function.lost_aliases:
        logger.error(
            "aliases of function %s are set for versions that the application does not have any "
            "more: %s",
            *(function.name, ", ".join(function.lost_aliases)),
        )
    if function.hidden_versions:
        logger.warning(
            "versions of function %s are declared, and were published before with other "
            "handlers, which are run: %s",
            *(function.name, ", ".join(function.hidden_versions)),
        )
