"""What control calls are given: members of a JSON body, of the query, of the path.

Constraints are those of botocore's model, the texts for what breaks them AWS's. As on AWS all that
is wrong with a request is told at once, so `Parameters` collects it: read everything, then `check`.

Pure but for reading the body.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar

from .. import names, wire
from ..errors import InvalidRequestContentException

_T = TypeVar("_T")


class Parameters:
    """The parameters of one request.

    Members are named as the model names them, and as violations do: ``MaxItems`` and ``maxItems``.
    """

    def __init__(self, request: wire.Request) -> None:
        self._request = request
        self._violations: list[str] = []
        self._body: Mapping[str, Any] | None = None

    def check(self, shape: names.NameShape | None = names.FUNCTION_NAME) -> None:
        """Refuse the request if anything of it breaks a constraint.

        Args:
            shape: of the function's name; ``None`` where the path has none.

        Raises:
            ValidationException: naming all of it.
        """
        if shape is not None:
            found = names.function_name_violations(self._request.function_name, shape)
            self._violations += found
        wire.refuse_any(self._violations)

    def violates(self, violations: list[str]) -> None:
        """Remember what is wrong."""
        self._violations += violations

    # --- of the path and the query ----------------------------------------------------------------

    def item(self, name: str, **constraints: Any) -> str:
        """What the path names besides the function: see `names.text_violations`."""
        self.violates(names.text_violations(_camel(name), self._request.item, **constraints))
        return self._request.item

    def query(self, name: str, **constraints: Any) -> str | None:
        """A parameter of the query, or ``None``; without constraints any text."""
        value = wire.query_parameter(self._request.query, name)
        if value is not None and constraints:
            self.violates(names.text_violations(_camel(name), value, **constraints))
        return value

    def qualifier(self) -> str | None:
        """The parameter ``Qualifier``, or ``None``."""
        value = self.query("Qualifier")
        if value is not None:
            self.violates(names.qualifier_violations(value))
        return value

    def query_number(self, name: str, low: int, high: int) -> int | None:
        """A whole number of the query, or ``None``."""
        text = self.query(name)
        if text is None:
            return None
        if re.fullmatch(r"-?[0-9]{1,9}", text) is None:
            self.violates(
                [
                    f"Value '{text}' at '{_camel(name)}' failed to satisfy constraint: "
                    "Member must be a whole number"
                ]
            )
            return None
        self.violates(names.range_violations(_camel(name), int(text), low, high))
        return int(text)

    def query_enum(self, name: str, allowed: tuple[str, ...]) -> str | None:
        """One of some words in the query, or ``None``."""
        value = self.query(name)
        if value is not None:
            self.violates(names.enum_violation(_camel(name), value, allowed))
        return value

    # --- of the body ------------------------------------------------------------------------------

    def text(self, name: str, *, is_required: bool = False, **constraints: Any) -> str | None:
        """A text of the body, or ``None``."""
        value = self._member(name, _text, is_required)
        if value is not None and constraints:
            self.violates(names.text_violations(_camel(name), value, **constraints))
        return value

    def number(
        self, name: str, low: int, high: int | None = None, *, is_required: bool = False
    ) -> int | None:
        """A whole number of the body, or ``None``."""
        value = self._member(name, _number, is_required)
        if value is not None:
            self.violates(names.range_violations(_camel(name), value, low, high))
        return value

    def enum(self, name: str, allowed: tuple[str, ...], *, is_required: bool = False) -> str | None:
        """One of some words of the body, or ``None``."""
        value = self._member(name, _text, is_required)
        if value is not None:
            self.violates(names.enum_violation(_camel(name), value, allowed))
        return value

    def flag(self, name: str) -> bool | None:
        """True, false, or ``None``."""
        return self._member(name, _flag, False)

    def within(self, *path: str) -> Mapping[str, Any] | None:
        """An object of the body, or of an object in it, or ``None``."""
        value: Mapping[str, Any] | None = self._members()
        for name in path:
            value = _read(value or {}, name, _object)
        return value

    def text_within(self, *path: str, **constraints: Any) -> str | None:
        """A text of an object of the body, or ``None``."""
        value = _read(self.within(*path[:-1]) or {}, path[-1], _text)
        if value is not None:
            member = ".".join(map(_camel, path))
            self.violates(names.text_violations(member, value, **constraints))
        return value

    def _member(self, name: str, kind: Callable[[object], _T], is_required: bool) -> _T | None:
        value = _read(self._members(), name, kind)
        if value is None and is_required:
            self.violates([names.null_violation(_camel(name))])
        return value

    def _members(self) -> Mapping[str, Any]:
        """The members of the body, which are none where it is empty."""
        if self._body is None:
            self._body = _load(self._request.read_body())
        return self._body


def _load(body: bytes) -> Mapping[str, Any]:
    try:
        # As text, because of bytes it would take any of Unicode's encodings.
        members = json.loads(body.decode() or "{}", parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as exc:
        _refuse(str(exc))
    if not isinstance(members, dict):
        _refuse("it must be an object")
    return members


def _read(members: Mapping[str, Any], name: str, kind: Callable[[object], _T]) -> _T | None:
    value = members.get(name)
    if value is None:
        return None
    try:
        return kind(value)
    except TypeError as exc:
        _refuse(f"{name} must be {exc}")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a string")
    return value


def _number(value: object) -> int:
    if type(value) is not int:
        raise TypeError("a whole number")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError("true or false")
    return value


def _object(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("an object")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _refuse(reason: str) -> NoReturn:
    raise InvalidRequestContentException(f"Could not parse request body into json: {reason}")


def _camel(name: str) -> str:
    """A member as violations name it: ``MaxItems`` is ``maxItems`` there."""
    return name[:1].lower() + name[1:]
