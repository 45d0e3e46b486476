"""Lambda's control calls, as far as they concern invoking: discover functions, configure what
follows an invocation, publish versions, move aliases, permit others to invoke.

=============  ================================================================================
discovery      what functions there are, and what they are: nothing is changed
queue          event-invoke-configs, reserved concurrency, recursion
versions       versions and aliases
permissions    resource-based policies
=============  ================================================================================

Each call is a function of these modules, from a `call.Call` to a status and the members of its
answer. What a call changes is one step of the `OverridesStore`, in which all that it depends on is
looked at again.

The code of functions is not changed by any of them: applications define functions.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from .. import operations, wire
from ..auth.policies import Policies
from ..catalog import Catalog
from ..clock import Clock
from ..config import Settings
from ..destinations import Destinations
from ..errors import AccessDeniedException
from ..policy import Principal
from .call import Answer, Call
from .discovery import CALLS as _DISCOVERY
from .permissions import CALLS as _PERMISSIONS
from .queue import CALLS as _QUEUE
from .versions import CALLS as _VERSIONS

logger = logging.getLogger(__name__)

#: What answers each operation.
_CALLS: Mapping[str, Callable[[Call], Answer]] = {
    **_DISCOVERY,
    **_QUEUE,
    **_VERSIONS,
    **_PERMISSIONS,
}


class Control:
    """Answers control calls. Holds plain values, so threads and forked processes share it."""

    def __init__(
        self,
        catalog: Catalog,
        settings: Settings,
        policies: Policies,
        destinations: Destinations,
        clock: Clock,
    ) -> None:
        self._catalog = catalog
        self._settings = settings
        self._policies = policies
        self._destinations = destinations
        self._clock = clock

    def answer(
        self, request: wire.Request, request_id: str, caller: Principal | None
    ) -> wire.Response:
        """The answer to a request for one of `operations.CONTROL`.

        Args:
            request: whose sender is known.
            request_id: its id.
            caller: its sender; ``None`` where nobody is asked.

        Raises:
            AWSError: in AWS's words; nothing was changed.
            StoreError: what clients have set cannot be read or written.
        """
        operation = request.operation or ""
        if not operations.CONTROL[operation]:
            raise AccessDeniedException(
                f"{operation} is not served here: functions are defined by the application."
            )
        self._catalog.look()  # what another process has just answered is seen in this one
        call = Call(
            request,
            caller,
            catalog=self._catalog,
            settings=self._settings,
            policies=self._policies,
            destinations=self._destinations,
            now=self._clock.time(),
        )
        status, members = _CALLS[operation](call)
        if call.has_changed:
            who = "anybody" if caller is None else caller.name
            logger.info("request %s: %s of %s by %s", request_id, operation, _about(request), who)
        return wire.answered(request_id, status, members)


def _about(request: wire.Request) -> str:
    """What a request is about, whose parameters break no constraint."""
    return f"{request.function_name}{request.item and ', '}{request.item}"
