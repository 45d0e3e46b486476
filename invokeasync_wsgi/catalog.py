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
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from . import names
from .clock import Clock
from .config import AsyncSettings
from .errors import AccessDeniedException, ResourceNotFoundException, StoreError
from .functions import Function, Functions
from .names import FunctionReference
from .overrides import Overrides
from .process import PerProcess
from .store.overrides import EMPTY, Change, OverridesStore, Snapshot, parse, unreadable

logger = logging.getLogger(__name__)

#: Seconds between two looks for what other processes have set.
LOOK_S: Final = 0.25
#: Seconds after which nobody goes on with what was read last while somebody else is looking.
FRESH_S: Final = 0.5
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
        #: Why what is set could not be read the last time; ``None`` where it could.
        self._failure: StoreError | None = None
        self._tickets = itertools.count(1)
        #: Held by the one thread that looks because it is time to.
        self._looking = PerProcess(threading.Lock)
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
        elif self._failure is not None:
            self._require_new_enough(self._failure)
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

    def set_of_unknown(self) -> dict[str, Overrides | StoreError]:
        """What is set of functions that the application does not have, by name."""
        overrides = self._state.overrides
        return {name: overrides[name] for name in overrides if self.declared.get(name) is None}

    def refresh(self, *, has_changed: bool = False) -> bool:
        """See what is set, if it is time to; whether it is seen.

        Waits for another thread that is looking just now, unless what is known is new enough.

        Args:
            has_changed: look, whatever the time, as something was set just now.

        Raises:
            StoreError: nothing is known, or only what is too old.
        """
        looking = self._looking.get()
        is_fresh = self._clock.monotonic() - self._read_at <= FRESH_S and not has_changed
        if not looking.acquire(blocking=not is_fresh):
            return False
        try:
            # Somebody else may have looked while this thread waited.
            if has_changed or self._clock.monotonic() >= self._look_at:
                self._look_or_tell()
        finally:
            looking.release()
        failure = self._failure
        if failure is not None:
            self._require_new_enough(failure)
        return failure is None

    def _look_or_tell(self) -> None:
        try:
            self.look()
        except StoreError as exc:
            now = self._clock.monotonic()
            if self._failure is None:
                logger.error("what is set cannot be read: %s", exc)
            self._failure = exc
            self._look_at = now + LOOK_S

    def _require_new_enough(self, failure: StoreError) -> None:
        """Go on with what is known, for a while."""
        if self._clock.monotonic() - self._read_at > STALE_S:
            raise StoreError(str(failure)) from failure

    def look(self) -> None:
        """See now what other processes have set.

        Raises:
            StoreError: it cannot be read.
        """
        ticket, now = next(self._tickets), self._clock.monotonic()
        known = self._state
        snapshot = self.store.read(known.snapshot.mark)
        if snapshot is not None:
            state = _State(ticket, snapshot, known, self.declared)
            with self._replacing.get():
                if ticket < self._state.ticket:
                    return  # whoever began later knows better
                self._state = state
        # Last: from now on others go on without a look.
        self._read_at, self._look_at, self._failure = now, now + LOOK_S, None
        if snapshot is not None:
            self._tell_of_change()

    def _tell_of_change(self) -> None:
        try:
            self._on_change()
        except Exception:
            logger.exception("the executor could not be told of what was set")

    def change(self, function_name: str, change: Change) -> Overrides:
        """Change what is set of a function: see `OverridesStore.change`. Seen here at once."""
        overrides = self.store.change(function_name, change)
        try:
            self.look()
        except StoreError as exc:  # but it is kept, and will be seen
            logger.error("what was just set of function %s is not seen yet: %s", function_name, exc)
            self._look_at = -math.inf
        return overrides

    def __iter__(self) -> Iterator[Function]:
        """All functions as they are now; as declared where what is set cannot be read."""
        for function in self.declared:
            try:
                yield self.get(function.name) or function
            except StoreError:  # noqa: PERF203 - one of them at most, if any
                yield function

    def __len__(self) -> int:
        return len(self.declared)


class _State:
    """What is known of one snapshot. Never changed, but for what is worked out from it."""

    def __init__(
        self,
        ticket: int,
        snapshot: Snapshot,
        before: _State | None = None,
        declared: Iterable[Function] = (),
    ) -> None:
        #: Of the look that found it.
        self.ticket = ticket
        self.snapshot = snapshot
        #: Or why they cannot be read.
        self.overrides: dict[str, Overrides | StoreError] = {}
        #: The functions as they are, by what is declared, as far as they have been asked for.
        self._overlaid: dict[Function, Function] = {}
        self.settings: dict[tuple[Function, str | None], AsyncSettings] = {}
        for name, text in snapshot.texts.items():
            if before is not None and before.snapshot.texts.get(name) == text:
                self.overrides[name] = before.overrides[name]
                continue
            try:
                self.overrides[name] = parse(name, text)
            except StoreError as exc:
                self._put_out_of_order(name, exc)
        for function in declared:
            self._overlay(function, before)
        #: Whether anything is delivered because clients have set it.
        self.delivers = any(
            each.delivers for each in self.overrides.values() if isinstance(each, Overrides)
        )

    def _overlay(self, declared: Function, before: _State | None) -> None:
        """Work out a function, and tell what of its overrides does not go with it."""
        overrides = self.overrides.get(declared.name)
        if not isinstance(overrides, Overrides):
            return
        known = None if before is None else before._overlaid.get(declared)
        if known is not None and known.overrides is overrides:
            self._overlaid[declared] = known
            return
        try:
            function = declared.overlaid(overrides)
            for qualifier in (None, *overrides.event_invoke_configs):
                function.async_settings(qualifier, AsyncSettings())
        except Exception as exc:  # noqa: BLE001 - of values that this release does not write
            self._put_out_of_order(declared.name, unreadable(declared.name, exc))
            return
        self._overlaid[declared] = function
        _tell(function)

    def _put_out_of_order(self, name: str, error: StoreError) -> None:
        logger.error("%s", error)
        self.overrides[name] = error

    def overlaid(self, declared: Function) -> Function:
        overrides = self.overrides.get(declared.name)
        if overrides is None:
            return declared
        if isinstance(overrides, StoreError):
            raise StoreError(str(overrides))
        function = self._overlaid.get(declared)
        if function is None:  # it was registered later
            function = self._overlaid[declared] = declared.overlaid(overrides)
        return function


def _tell(function: Function) -> None:
    """Say what of the overrides does not go with what is declared."""
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
