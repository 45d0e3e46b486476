"""One control call: who asks for what, and the steps that all of them have in common."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, NoReturn, TypeVar

from .. import names, wire
from ..auth.policies import Policies
from ..catalog import Catalog
from ..config import Settings
from ..destinations import Destinations
from ..errors import (
    AccessDeniedException,
    InvalidParameterValueException,
    ResourceNotFoundException,
)
from ..functions import Function
from ..names import FunctionReference
from ..overrides import Overrides
from ..policy import Principal
from ..store.overrides import Everyone
from .parameters import Parameters

#: The status, and the members of the JSON object; ``None`` for no body.
Answer = tuple[HTTPStatus, Mapping[str, Any] | None]

#: Lambda's lists have so many items at most, whatever the caller asks for.
PAGE = 50

_Item = TypeVar("_Item")


class Call:
    """A request for a control operation, and what it is about.

    Args:
        request: whose sender is known.
        caller: its sender; ``None`` where nobody is asked.
        catalog: the functions, with what clients have set.
        settings: of the service.
        policies: say what the caller may do.
        destinations: say where records can go.
        now: seconds since the epoch.
    """

    def __init__(
        self,
        request: wire.Request,
        caller: Principal | None,
        *,
        catalog: Catalog,
        settings: Settings,
        policies: Policies,
        destinations: Destinations,
        now: float,
    ) -> None:
        self.request = request
        self.parameters = Parameters(request)
        self.catalog = catalog
        self.settings = settings
        self.destinations = destinations
        self.now = now
        #: Whether it has set or removed anything.
        self.has_changed = False
        self._policies = policies
        self._caller = caller

    def refer(self, qualifier: str | None = None) -> FunctionReference:
        """What the caller means; parameters are checked before.

        Raises:
            InvalidParameterValueException: the name has another qualifier than the parameter.
        """
        return self.catalog.refer(self.request.function_name, qualifier)

    def refer_unqualified(self) -> FunctionReference:
        """What the caller means, where only functions themselves can be meant.

        Raises:
            InvalidParameterValueException: there is a qualifier.
        """
        reference = self.refer()
        if reference.qualifier is not None:
            raise InvalidParameterValueException(
                "This operation is permitted on Lambda functions only. Aliases and versions do not "
                "support this operation. Please specify either a function name or an unqualified "
                "function ARN."
            )
        return reference

    def authorize(
        self,
        reference: FunctionReference | None,
        *,
        with_qualifier: bool = False,
        resource: str = "*",
        context: Mapping[str, str] | None = None,
    ) -> None:
        """Refuse a caller who may not do this, before it shows what there is.

        Args:
            reference: of the function; ``None`` for what is about all of them.
            with_qualifier: whether the qualifier is a part of what the caller must be permitted.
            resource: an ARN, where it is about something else than functions.
            context: more condition keys.

        Raises:
            AccessDeniedException: no policy allows it, or it is about another account.
            ResourceNotFoundException: it is about another region.
        """
        if self._caller is not None:
            function = None
            if reference is not None:
                function = self.catalog.get(reference.name)
                meant = reference if with_qualifier else reference._replace(qualifier=None)
                resource = self.catalog.arn_of(meant)
            action = f"lambda:{self.request.operation}"
            self._policies.require(
                self._caller, action, resource, function, self.request, context or {}
            )
        if reference is not None:
            self.catalog.require_here(reference)

    def function(self, reference: FunctionReference, *, told_as: str | None = None) -> Function:
        """The function that the caller means, with the qualifier if there is one.

        Args:
            reference: authorized.
            told_as: the qualifier of the ARN in the error; that of the reference by default.

        Raises:
            ResourceNotFoundException: there is none, or no such qualifier of it.
        """
        function = self.catalog.get(reference.name)
        if function is None or not function.has(reference.qualifier):
            arn = self.catalog.arn(reference.name, told_as or reference.qualifier)
            raise ResourceNotFoundException(f"Function not found: {arn}")
        return function

    def change(
        self,
        name: str,
        change: Callable[[Function], Overrides],
        *,
        require: Callable[[Mapping[str, Overrides]], None] | None = None,
    ) -> Function:
        """Change what is set of a function, in one step; the function as it is then.

        Args:
            name: of a function that there is.
            change: makes what is set then, of the function as it is in that step. What it raises
                leaves everything as it is.
            require: looks at what is set of all functions in that step, before it; what it raises
                leaves everything as it is, too.

        Raises:
            AccessDeniedException: other processes of this server would not see it.
        """
        if not self.catalog.store.is_shared and self.request.environ.get("wsgi.multiprocess"):
            raise AccessDeniedException(
                "What is set here would be seen by one of the server's processes only: the "
                "executor keeps nothing for the others. 'sqlite:///invocations.db' does."
            )
        declared = self.catalog.declared.get(name)
        if declared is None:
            raise KeyError(name)

        def step(held: Overrides, everyone: Everyone) -> Overrides:
            if require is not None:
                require(everyone())
            changed = change(declared.overlaid(held))
            self.has_changed = changed != held
            return changed if self.has_changed else held

        return declared.overlaid(self.catalog.change(name, step))

    def page(
        self,
        member: str,
        items: Sequence[tuple[tuple[str | int, ...], _Item]],
        show: Callable[[_Item], Mapping[str, Any]],
        max_items: int | None,
    ) -> Answer:
        """One page of a list.

        Args:
            member: the answer's.
            items: each with its key, in the keys' order.
            show: makes the members of an item.
            max_items: what the caller asks for at most.

        Raises:
            InvalidParameterValueException: the marker is none of ours.
        """
        marker = self.parameters.query("Marker")
        if marker:
            after = _read_marker(marker)
            try:
                items = [item for item in items if item[0] > after]
            except TypeError:
                _refuse_marker(marker)
        shown = items[: min(max_items or PAGE, PAGE)]
        members: dict[str, Any] = {member: [show(item) for _, item in shown]}
        if len(shown) < len(items):
            members["NextMarker"] = _marker(shown[-1][0])
        return HTTPStatus.OK, members


def declared(what: str) -> AccessDeniedException:
    """What a caller hears who wants to remove what the application says."""
    return AccessDeniedException(
        f"{what} is declared by the application and cannot be removed here: functions are defined "
        "by the application."
    )


def order_of(number: str) -> int:
    """Where a version stands in lists: ``$LATEST`` first."""
    return 0 if number == names.LATEST else int(number)


def _marker(key: tuple[str | int, ...]) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode()


def _read_marker(marker: str) -> tuple[str | int, ...]:
    try:
        key = json.loads(base64.urlsafe_b64decode(marker.encode()))
    except (binascii.Error, ValueError, RecursionError):
        _refuse_marker(marker)
    if not isinstance(key, list) or not all(type(part) in (str, int) for part in key):
        _refuse_marker(marker)
    return tuple(key)


def _refuse_marker(marker: str) -> NoReturn:
    raise InvalidParameterValueException(f"The marker {marker} is not valid.")
