"""Resource-based policies: who else may invoke (or configure) a function, a version or an alias.

Each of them has a policy of its own, whose statements name its ARN. What an application declares of
a function stands in the policy of the function itself, before what is added here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from .. import names
from ..errors import (
    ConfigurationError,
    InvalidParameterValueException,
    PolicyLengthExceededException,
    ResourceConflictException,
    ResourceNotFoundException,
)
from ..functions import Function
from ..names import FunctionReference
from ..overrides import UNQUALIFIED, Overrides, dropped
from ..policy import Policy
from . import shapes
from .call import Answer, Call, declared
from .versions import require_revision

_ACTION_PATTERN = r"(lambda:[*]|lambda:[a-zA-Z]+|[*])"
_ARN_PATTERN = (
    r"arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\-])+:((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-"
    r"\d{1})?:(\d{12})?:(.*)"
)
_SERVICE = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.amazon(aws)?\.com(\.cn)?", re.ASCII)

#: Lambda's quota, in bytes.
_MAX_POLICY_LENGTH = 20480


def add_permission(call: Call) -> Answer:
    """AddPermission: one more statement, which allows."""
    given = _given(call)
    reference = call.refer(call.parameters.qualifier())
    if reference.qualifier == names.LATEST:
        raise InvalidParameterValueException(
            "We currently do not support adding policies for $LATEST."
        )
    context = {"lambda:principal": given["Principal"] or ""}
    if given["FunctionUrlAuthType"] is not None:
        context["lambda:functionurlauthtype"] = given["FunctionUrlAuthType"]
    call.authorize(reference, with_qualifier=True, context=context)
    _require(call, call.catalog.get(reference.name), reference)
    statement = _statement(call, call.catalog.arn(reference.name, reference.qualifier), given)
    sid, key = statement["Sid"], reference.qualifier or UNQUALIFIED

    def add(function: Function) -> Overrides:
        _require(call, function, reference)  # its alias may be gone meanwhile
        require_revision(call, function, key or names.LATEST, given["RevisionId"], "GetPolicy")
        held = function.overrides.statements.get(key, {})
        if sid in held or sid in _declared_sids(function, key):
            raise ResourceConflictException(
                f"The statement id ({sid}) provided already exists. Please provide a new "
                "statement id, or remove the existing statement."
            )
        changed = _with_statements(function, key, {**held, sid: statement})
        length = len(shapes.policy_text(_statements(function, key, changed)))
        if length > _MAX_POLICY_LENGTH:
            raise PolicyLengthExceededException(
                f"The final policy size ({length}) is bigger than the limit ({_MAX_POLICY_LENGTH})."
            )
        return changed

    call.change(reference.name, add)
    return HTTPStatus.CREATED, {"Statement": shapes.compact(statement)}


def get_policy(call: Call) -> Answer:
    """GetPolicy: what is declared and added for the function, or added for a qualifier of it."""
    qualifier = call.parameters.qualifier()
    call.parameters.check()
    reference = call.refer(qualifier)
    call.authorize(reference, with_qualifier=True)
    function = call.catalog.get(reference.name)
    key = reference.qualifier or UNQUALIFIED
    if function is not None and function.has(reference.qualifier):
        statements = _statements(function, key, function.overrides)
        if statements:
            revision = shapes.revision(call.catalog, function, key or names.LATEST)
            return HTTPStatus.OK, {
                "Policy": shapes.policy_text(statements),
                "RevisionId": revision,
            }
    raise ResourceNotFoundException("The resource you requested does not exist.")


def remove_permission(call: Call) -> Answer:
    """RemovePermission: one statement less."""
    sid = call.parameters.item("StatementId", max_length=100, pattern=r"([a-zA-Z0-9-_.]+)")
    revision = call.parameters.query("RevisionId")
    qualifier = call.parameters.qualifier()
    call.parameters.check()
    reference = call.refer(qualifier)
    call.authorize(reference, with_qualifier=True)
    if call.catalog.get(reference.name) is None:
        arn = call.catalog.arn(reference.name, reference.qualifier)
        raise ResourceNotFoundException(f"No policy found for: {arn}")
    key = reference.qualifier or UNQUALIFIED

    def remove(function: Function) -> Overrides:
        held = function.overrides.statements.get(key, {})
        if not held:  # what was set for one that is gone can be removed
            _require(call, function, reference)
        if not _statements(function, key, function.overrides):
            raise ResourceNotFoundException("No policy is associated with the given resource.")
        if sid in _declared_sids(function, key):
            raise declared(f"The statement {sid} of function {function.name}")
        if sid not in held:
            raise ResourceNotFoundException(f"Statement {sid} is not found in resource policy.")
        if function.has(reference.qualifier):
            require_revision(call, function, key or names.LATEST, revision, "GetPolicy")
        return _with_statements(function, key, dropped(held, sid))

    call.change(reference.name, remove)
    return HTTPStatus.NO_CONTENT, None


def _given(call: Call) -> dict[str, str | None]:
    """What the caller says of the statement, by the members' names."""
    parameters = call.parameters
    given = {
        "StatementId": parameters.text(
            "StatementId", is_required=True, max_length=100, pattern=r"([a-zA-Z0-9-_]+)"
        ),
        "Action": parameters.text(
            "Action", is_required=True, min_length=0, max_length=10_000, pattern=_ACTION_PATTERN
        ),
        "Principal": parameters.text(
            "Principal", is_required=True, min_length=0, max_length=2048, pattern=r"[^\s]+"
        ),
        "SourceArn": parameters.text(
            "SourceArn", min_length=0, max_length=10_000, pattern=_ARN_PATTERN
        ),
        "SourceAccount": parameters.text(
            "SourceAccount", min_length=0, max_length=12, pattern=r"\d{12}"
        ),
        "EventSourceToken": parameters.text(
            "EventSourceToken", min_length=0, max_length=256, pattern=r"[a-zA-Z0-9._\-]+"
        ),
        "PrincipalOrgID": parameters.text(
            "PrincipalOrgID", min_length=12, max_length=34, pattern=r"o-[a-z0-9]{10,32}"
        ),
        "FunctionUrlAuthType": parameters.enum("FunctionUrlAuthType", ("NONE", "AWS_IAM")),
        "InvokedViaFunctionUrl": {True: "true", False: "false", None: None}[
            parameters.flag("InvokedViaFunctionUrl")
        ],
        "RevisionId": parameters.text("RevisionId"),
    }
    parameters.qualifier()
    parameters.check()
    return given


def _require(call: Call, function: Function | None, reference: FunctionReference) -> None:
    """Refuse what is about no function, version or alias that there is."""
    if function is not None and function.has(reference.qualifier):
        return
    arn = call.catalog.arn(reference.name, reference.qualifier)
    is_alias = reference.qualifier is not None and names.is_alias(reference.qualifier)
    if function is not None and is_alias:
        raise ResourceNotFoundException(f"Cannot find alias arn: {arn}")
    raise ResourceNotFoundException(f"Function not found: {arn}")


#: The conditions that parameters stand for, in the order in which AWS writes them.
_CONDITIONS = (
    ("StringEquals", "AWS:SourceAccount", "SourceAccount"),
    ("StringEquals", "lambda:EventSourceToken", "EventSourceToken"),
    ("StringEquals", "lambda:FunctionUrlAuthType", "FunctionUrlAuthType"),
    ("StringEquals", "aws:PrincipalOrgID", "PrincipalOrgID"),
    ("Bool", "lambda:InvokedViaFunctionUrl", "InvokedViaFunctionUrl"),
    ("ArnLike", "AWS:SourceArn", "SourceArn"),
)


def _statement(call: Call, arn: str, given: Mapping[str, str | None]) -> Mapping[str, Any]:
    """The statement, once it is known to be one."""
    statement: dict[str, Any] = {
        "Sid": given["StatementId"],
        "Effect": "Allow",
        "Principal": _principal(call, given["Principal"] or ""),
        "Action": given["Action"],
        "Resource": arn,
    }
    conditions: dict[str, dict[str, str]] = {}
    for operator, key, parameter in _CONDITIONS:
        value = given[parameter]
        if value is not None:
            conditions.setdefault(operator, {})[key] = value
    if conditions:
        statement["Condition"] = conditions
    _require_readable(
        {**statement, "Condition": {"Bool": {"aws:SecureTransport": "true"}}},
        "The provided principal was invalid. Please check the principal and try again.",
    )
    _require_readable(statement, "The provided conditions were invalid.")
    return statement


def _require_readable(statement: Mapping[str, Any], told: str) -> None:
    """Refuse a statement that breaks the grammar of policies."""
    document = {"Version": "2012-10-17", "Statement": statement}
    try:
        Policy.parse(document, name="new", kind="resource")
    except ConfigurationError as exc:
        raise InvalidParameterValueException(told) from exc


def _principal(call: Call, given: str) -> str | dict[str, str]:
    if given == "*":
        return given
    if re.fullmatch(r"\d{12}", given, re.ASCII):
        partition = names.partition(call.catalog.region)
        return {"AWS": f"arn:{partition}:iam::{given}:root"}
    return {"Service" if _SERVICE.fullmatch(given) else "AWS": given}


def _statements(function: Function, key: str, overrides: Overrides) -> list[Mapping[str, Any]]:
    """The statements of a policy: declared ones, then those that were added."""
    stated = function.declared_statements if key == UNQUALIFIED else ()
    return [*stated, *overrides.statements.get(key, {}).values()]


def _declared_sids(function: Function, key: str) -> set[str]:
    stated = function.declared_statements if key == UNQUALIFIED else ()
    return {statement["Sid"] for statement in stated if statement.get("Sid")}


def _with_statements(
    function: Function, key: str, statements: Mapping[str, Mapping[str, Any]]
) -> Overrides:
    held = function.overrides
    changed = replace(held, statements={**held.statements, key: statements})
    return changed.stamped(key)


CALLS = {
    "AddPermission": add_permission,
    "GetPolicy": get_policy,
    "RemovePermission": remove_permission,
}
