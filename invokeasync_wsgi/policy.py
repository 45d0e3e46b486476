"""Who may invoke what: IAM policies, as AWS evaluates them.

A request is refused until a statement allows it, and no matter what allows it once a statement
denies it. Whether an identity-based policy (what a caller may do), a resource-based policy (who may
come to a function) or both have to allow it depends on where the caller is from: see `decide`.

The rules are those of the IAM User Guide, "Policy evaluation logic", "JSON policy element
reference" and "AWS global condition context keys"; what conditions and variables mean is in
`conditions`. Where the guide is silent:

* A NotPrincipal of a Deny spares those whom it names, but not the rest of an account it names.
* A NotResource of an Allow excepts everything while a variable in it has no value, so that nothing
  is allowed by accident.

Not here: permissions boundaries, session policies, service control policies, and the paths of roles
in the ARNs of their sessions.

Pure: documents and values in, decisions out. A `Policy` is immutable and may be shared by threads.
"""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, NoReturn

from . import names
from .conditions import KEY, OPERATORS, SET_OPERATORS, Condition, Keys, Operator, Unreadable, Values
from .config import unknown
from .errors import ConfigurationError

Kind = Literal["identity", "resource"]

# --- who asks, for what -----------------------------------------------------------------------

#: IAM's characters for names of users and roles.
_NAME = r"[\w+=,.@-]+"
_PATH = rf"{_NAME}(?:/{_NAME})*"
_USER = re.compile(
    rf"{_PATH}|arn:[a-z0-9-]+:[a-z0-9-]+:[a-z0-9-]*:\d{{12}}:[\w+=,.@:/-]+", re.ASCII
)
_SERVICE = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+")
_ANYTHING = re.compile(r".*", re.DOTALL)

_USER_FORM = (
    "a user's name (letters, digits and +=,.@_-, with / after each part of a path) or an ARN"
)
_SERVICE_FORM = "a service's name, such as 's3.amazonaws.com'"

#: ``aws:PrincipalType`` by the service and the first word of the resource of an ARN.
_TYPES = {
    ("iam", "root"): "Account",
    ("iam", "user"): "User",
    ("iam", "role"): "AssumedRole",
    ("sts", "assumed-role"): "AssumedRole",
    ("sts", "federated-user"): "FederatedUser",
}


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls, once verified.

    Raises:
        ConfigurationError: no policy could name such a principal, or read what it brings along.
    """

    #: A user's name (``alice``, ``division/alice``), an ARN, or the name of a service.
    name: str
    #: ``"AWS"``, or ``"Service"`` for one such as ``s3.amazonaws.com``.
    type: str = "AWS"
    #: The condition keys ``aws:PrincipalTag/<key>``.
    tags: Mapping[str, str] = field(default_factory=dict)
    #: Further condition keys that an authenticator vouches for, such as ``aws:SourceArn``. Not in
    #: the repr, as ``lambda:EventSourceToken`` may be among them.
    context: Mapping[str, str | Sequence[str]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.type not in ("AWS", "Service"):
            _refuse("principal type", self.type, "'AWS' or 'Service'")
        pattern, form = (_USER, _USER_FORM) if self.type == "AWS" else (_SERVICE, _SERVICE_FORM)
        if not isinstance(self.name, str) or pattern.fullmatch(self.name) is None:
            _refuse("principal", self.name, form)
        for key, values in (*self.tags.items(), *self.context.items()):
            if not isinstance(key, str) or not _are_texts(values):
                _refuse("principal", {key: values}, "texts, or lists of texts, by condition keys")

    @classmethod
    def of(cls, who: Principal | str) -> Principal:
        """A principal as it is, or the one of a user's name or an ARN."""
        return who if isinstance(who, Principal) else cls(who)

    def arn(self, region: str, account_id: str) -> str:
        """Its ARN; for a service its name.

        Args:
            region: which tells the partition.
            account_id: of users that are given by their names alone.

        >>> Principal("division/alice").arn("cn-north-1", "123456789012")
        'arn:aws-cn:iam::123456789012:user/division/alice'
        """
        if self.type == "Service" or self._is_arn:
            return self.name
        return f"arn:{names.partition(region)}:iam::{account_id}:user/{self.name}"

    def account_id(self, own: str) -> str | None:
        """The account it is of: ``own`` for a plain name, ``None`` for a service."""
        if self.type == "Service":
            return None
        return self.name.split(":", 5)[4] if self._is_arn else own

    @property
    def _is_arn(self) -> bool:
        return self.name.startswith("arn:")


def _are_texts(values: object) -> bool:
    several = values if isinstance(values, (list, tuple)) else [values]
    return all(isinstance(each, str) for each in several)


class Access(NamedTuple):
    """What somebody asks for."""

    #: Such as ``lambda:InvokeFunction``.
    action: str
    #: The function's ARN, qualified when a qualifier was used.
    resource: str
    #: The account that the resource is in.
    account_id: str
    principal: Principal
    #: What `Principal.arn` gave.
    principal_arn: str
    #: Gives the condition keys of the request, by their names in lower case; called when a policy
    #: asks for the first.
    context: Callable[[], Mapping[str, str | Sequence[str]]]


class Decision(NamedTuple):
    """Whether the access is allowed, and why."""

    allowed: bool
    #: What allowed it; or, as AWS tells the caller, why nothing did.
    reason: str


def denied_message(access: Access, decision: Decision) -> str:
    """What AWS tells a caller whose access was refused."""
    return (
        f"User: {access.principal_arn} is not authorized to perform: {access.action} "
        f"on resource: {access.resource} {decision.reason}"
    )


class _Keys:
    """The `Keys` of one access, put together when the first is asked for."""

    __slots__ = ("_access", "_values")

    def __init__(self, access: Access) -> None:
        self._access = access
        self._values: Mapping[str, str | Sequence[str]] | None = None

    def get(self, key: str) -> Sequence[str]:
        if self._values is None:
            self._values = _condition_keys(self._access)
        values = self._values.get(key, ())
        return (values,) if isinstance(values, str) else values


def _condition_keys(access: Access) -> dict[str, str | Sequence[str]]:
    """All condition keys of an access. Later ones win: who calls is not to be argued about."""
    principal = access.principal
    return {
        **{key.lower(): values for key, values in principal.context.items()},
        **access.context(),
        **{f"aws:principaltag/{key.lower()}": value for key, value in principal.tags.items()},
        **_keys_of_caller(principal, access.principal_arn),
    }


def _keys_of_caller(principal: Principal, arn: str) -> dict[str, str]:
    if principal.type == "Service":
        return {"aws:principalisawsservice": "true", "aws:principalservicename": arn}
    _, partition, service, _, account_id, resource = arn.split(":", 5)
    kind, _, name = resource.partition("/")
    keys = {
        "aws:principalisawsservice": "false",
        "aws:principalarn": arn,
        "aws:principalaccount": account_id,
    }
    if (service, kind) in _TYPES:
        keys["aws:principaltype"] = _TYPES[service, kind]
    if (service, kind) == ("iam", "user"):
        keys["aws:username"] = name.rpartition("/")[2]
    if (service, kind) == ("sts", "assumed-role"):  # the key names the role, not its session
        role = name.partition("/")[0]
        keys["aws:principalarn"] = f"arn:{partition}:iam::{account_id}:role/{role}"
    return keys


# --- the decision -----------------------------------------------------------------------------


def decide(access: Access, identity: Iterable[Policy], resource: Iterable[Policy]) -> Decision:
    """Whether somebody may do something.

    ============================  ==========================================================
    The caller is                 and is allowed by
    ============================  ==========================================================
    of the resource's account     an identity-based policy, or a resource-based policy that
                                  names the caller itself
    of another account            an identity-based policy, and a resource-based policy that
                                  names the caller or its account
    a service                     a resource-based policy
    ============================  ==========================================================

    Args:
        access: who asks for what.
        identity: the policies of the caller.
        resource: the policies of the function.
    """
    action, keys = access.action.lower(), _Keys(access)
    by_identity = by_resource = by_account = None
    for policy in identity:
        for statement in policy.statements:
            if statement.covers(action, access.resource, keys):
                if not statement.allows:
                    return _DENIED["identity"]
                by_identity = by_identity or statement
    caller = Caller.of(access)
    for policy in resource:
        for statement in policy.statements:
            named = statement.principals.match(caller)
            if named is not None and statement.covers(action, access.resource, keys):
                if not statement.allows:
                    return _DENIED["resource"]
                if named == "itself":
                    by_resource = by_resource or statement
                else:
                    by_account = by_account or statement
    if caller.account_id is None:
        return _any_of(access, "resource", by_resource)
    if caller.account_id == access.account_id:
        return _any_of(access, "identity", by_identity, by_resource)
    return _both_of(access, by_identity, by_resource or by_account)


_DENIED: dict[Kind, Decision] = {
    "identity": Decision(False, "with an explicit deny in an identity-based policy"),
    "resource": Decision(False, "with an explicit deny in a resource-based policy"),
}


def _any_of(access: Access, wanting: Kind, *statements: _Statement | None) -> Decision:
    for statement in statements:
        if statement is not None:
            return Decision(True, f"allowed by {statement.label}")
    return _not_allowed(access, wanting)


def _both_of(
    access: Access, by_identity: _Statement | None, by_resource: _Statement | None
) -> Decision:
    if by_identity is None:
        return _not_allowed(access, "identity")
    if by_resource is None:
        return _not_allowed(access, "resource")
    return Decision(True, f"allowed by {by_identity.label} and {by_resource.label}")


def _not_allowed(access: Access, wanting: Kind) -> Decision:
    return Decision(False, f"because no {wanting}-based policy allows the {access.action} action")


# --- documents --------------------------------------------------------------------------------

#: Variables are read in the first of them only. The second is meant when none is given.
_VERSIONS = ("2012-10-17", "2008-10-17")
_ELEMENTS = ("Version", "Id", "Statement")
_OF_STATEMENTS = (
    *("Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction"),
    *("Resource", "NotResource", "Condition"),
)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Policy:
    """A policy document, checked and ready to be evaluated: see `parse`."""

    #: What the operator calls it; in errors and in the reasons of decisions.
    name: str
    kind: Kind
    #: For `decide`.
    statements: tuple[_Statement, ...]

    @classmethod
    def parse(cls, document: Mapping[str, Any] | str | bytes, *, name: str, kind: Kind) -> Policy:
        """Read a policy document.

        Args:
            document: JSON, or what JSON means in Python.
            name: what to call it.
            kind: ``"identity"``, or ``"resource"`` for one whose statements name principals.

        >>> Policy.parse(
        ...     '{"Statement": {"Effect": "Allow", "Action": "lambda:*", "Resource": "*"}}',
        ...     name="alice",
        ...     kind="identity",
        ... )
        <Policy 'alice': 1 statement>

        Raises:
            ConfigurationError: it breaks the grammar. The text names the policy, the statement, the
                element, its value and what is allowed.
        """
        with _within(f"policy {name!r}"):
            loaded = load_json(document) if isinstance(document, (str, bytes)) else document
            elements = _members("document", loaded, _ELEMENTS)
            version = elements.get("Version", "2008-10-17")
            if version not in _VERSIONS:
                _refuse("Version", version, f"{_VERSIONS[0]!r} or {_VERSIONS[1]!r}")
            if not isinstance(elements.get("Id", ""), str):
                _refuse("Id", elements["Id"], "a string")
            statements = []
            for place, given in _places(elements.get("Statement")):
                with _within(place):
                    label = f"{place} of {kind}-based policy {name!r}"
                    statements.append(_read_statement(given, label, kind, version))
        return cls(name, kind, tuple(statements))

    def __repr__(self) -> str:
        count = len(self.statements)
        return f"<Policy {self.name!r}: {count} statement{'s' * (count != 1)}>"


def load_json(text: str | bytes) -> Any:
    """What JSON means, without what may be read in two ways: a member given twice, or ``NaN``.

    Raises:
        ConfigurationError: it is no such JSON.
    """
    try:
        return json.loads(
            text, object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError) as exc:
        raise ConfigurationError(f"it must be JSON: {exc}") from exc


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members: dict[str, object] = {}
    for name, value in pairs:
        if name in members:
            raise ValueError(f"an object has two members {name!r}")
        members[name] = value
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _places(statements: object) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each statement, and what to call it: its Sid, or else its number."""
    if isinstance(statements, Mapping):
        statements = [statements]
    if not isinstance(statements, (list, tuple)) or not statements:
        _refuse("Statement", statements, "an object, or a list of one or more")
    taken = set()
    for number, given in enumerate(statements, 1):
        place = f"statement {number}"
        with _within(place):
            statement = _members("Statement", given, _OF_STATEMENTS)
            sid = statement.get("Sid", "")
            if not isinstance(sid, str) or sid in taken:
                _refuse("Sid", sid, "a string that no other statement has")
        if sid:  # many tools write an empty one for none
            taken.add(sid)
            place = f"statement {sid!r}"
        yield place, statement


def _read_statement(
    statement: Mapping[str, Any], label: str, kind: Kind, version: str
) -> _Statement:
    has_variables = version == _VERSIONS[0]
    effect = statement.get("Effect")
    if effect not in ("Allow", "Deny"):
        _refuse("Effect", effect, "'Allow' or 'Deny'")
    allows = effect == "Allow"
    return _Statement(
        label=label,
        allows=allows,
        principals=_read_principals(statement, kind, allows),
        actions=_read_actions(statement),
        resources=_read_resources(statement, allows, has_variables),
        conditions=tuple(_read_conditions(statement, has_variables)),
    )


_PRINCIPAL = re.compile(
    r"\*|\d{12}|(?P<partition>arn:aws[a-z-]*):"
    rf"(?:iam::(?P<account>\d{{12}}):(?:(?P<root>root)|user/{_PATH}|role/(?:{_NAME}/)*(?P<role>{_NAME}))"
    rf"|sts::\d{{12}}:(?:assumed-role/{_NAME}/{_NAME}|federated-user/{_NAME}))",
    re.ASCII,
)
_PRINCIPAL_FORM = (
    "'*', an account, or the ARN of a user, a role, a session or an account's root, "
    "without wildcards"
)
#: What principals of each kind must match, and that in words. The last two never call here.
_PRINCIPALS = {
    "AWS": (_PRINCIPAL, _PRINCIPAL_FORM),
    "Service": (_SERVICE, _SERVICE_FORM),
    "Federated": (_ANYTHING, "a string"),
    "CanonicalUser": (_ANYTHING, "a string"),
}


def _read_principals(statement: Mapping[str, Any], kind: Kind, allows: bool) -> _Principals:
    if kind == "identity":
        for element in ("Principal", "NotPrincipal"):
            if element in statement:
                raise ConfigurationError(
                    f"there is no {element} in an identity-based policy: it is about those who "
                    "have it"
                )
        return _Principals(frozenset(), is_negated=False, allows=allows)
    element = _one_of(statement, "Principal", "NotPrincipal")
    given = statement[element]
    kinds = {"AWS": "*"} if given == "*" else given
    if not isinstance(kinds, Mapping):
        _refuse(element, given, "'*', or an object such as {'AWS': '123456789012'}")
    named: set[str] = set()
    for kind_of, value in _members(element, kinds).items():
        if kind_of not in _PRINCIPALS:
            raise ConfigurationError(unknown("kind of principal", kind_of, _PRINCIPALS))
        texts = _strings(f"{element}.{kind_of}", value, *_PRINCIPALS[kind_of])
        if kind_of == "AWS":
            named.update(*map(names_of_principal, texts))
        elif kind_of == "Service":
            named.update(texts)
    return _Principals(frozenset(named), element == "NotPrincipal", allows)


def names_of_principal(text: str) -> set[str]:
    """What those whom a principal's ARN means are called in `Caller.names`."""
    match = _PRINCIPAL.fullmatch(text)
    if match and match["root"]:
        return {text, match["account"]}
    if match and match["role"]:
        return {text, f"{match['partition']}:sts::{match['account']}:assumed-role/{match['role']}"}
    return {text}


_ACTION = re.compile(r"\*|[a-z0-9-]+:[a-z0-9*?]+", re.ASCII | re.IGNORECASE)
_ACTION_FORM = "'*', or a service and an action with wildcards, such as 'lambda:Invoke*'"
_RESOURCE = re.compile(r"\*|arn:.*", re.DOTALL)
_RESOURCE_FORM = "'*', or an ARN with wildcards, such as 'arn:aws:lambda:*:*:function:f*'"


def _read_actions(statement: Mapping[str, Any]) -> Values:
    element = _one_of(statement, "Action", "NotAction")
    patterns = _strings(element, statement[element], _ACTION, _ACTION_FORM)
    lower = [pattern.lower() for pattern in patterns]
    operator = OPERATORS["StringLike" if element == "Action" else "StringNotLike"]
    return _read_values(element, lower, operator, has_variables=False)


def _read_resources(statement: Mapping[str, Any], allows: bool, has_variables: bool) -> Values:
    element = _one_of(statement, "Resource", "NotResource")
    patterns = _strings(element, statement[element], _RESOURCE, _RESOURCE_FORM)
    operator = OPERATORS["StringLike" if element == "Resource" else "StringNotLike"]
    values = _read_values(element, patterns, operator, has_variables)
    return values._replace(when_unresolved=operator.is_negated and allows)


def _read_conditions(statement: Mapping[str, Any], has_variables: bool) -> Iterator[Condition]:
    if "Condition" not in statement:
        return
    for name, given in _members("Condition", statement["Condition"]).items():
        set_operator, operator, if_exists = _read_operator(name)
        seen = set()
        for key, value in _members(f"Condition.{name}", given).items():
            if KEY.fullmatch(key) is None:
                _refuse(f"Condition.{name}", key, "a condition key, such as 'aws:SourceIp'")
            if key.lower() in seen:
                _refuse(f"Condition.{name}", key, "there once, however it is written")
            seen.add(key.lower())
            element = f"Condition.{name}.{key}"
            texts = _condition_texts(element, value)
            yield Condition(
                key=key.lower(),
                values=_read_values(element, texts, operator, has_variables),
                set_operator=set_operator,
                if_exists=if_exists,
                is_about_presence=name == "Null",
            )


def _read_operator(name: str) -> tuple[str, Operator, bool]:
    """The set operator or "", the operator, and whether it ends in ``IfExists``."""
    set_operator, _, rest = name.rpartition(":")
    if set_operator not in SET_OPERATORS:
        set_operator, rest = "", name
    base = rest.removesuffix("IfExists")
    if base == "Null" and name != "Null":
        _refuse("Condition", name, "'Null', which asks for presence itself")
    if base not in OPERATORS:
        raise ConfigurationError(unknown("condition operator", base, OPERATORS))
    return set_operator, OPERATORS[base], rest != base


def _condition_texts(element: str, value: object) -> list[str]:
    values = value if isinstance(value, (list, tuple)) else [value]
    if not values:
        _refuse(element, value, "one value or more")
    texts = []
    for each in values:
        if isinstance(each, bool):
            texts.append("true" if each else "false")
        elif isinstance(each, (int, float)) and abs(each) < 1e300:  # no NaN, nothing endless
            texts.append(str(each))
        elif isinstance(each, str):
            texts.append(each)
        else:
            _refuse(element, each, "a string, a number, true or false, or a list of them")
    return texts


def _read_values(element: str, texts: list[str], operator: Operator, has_variables: bool) -> Values:
    try:
        return operator.values(texts, has_variables)
    except Unreadable as exc:
        _refuse(element, exc.value, str(exc), exc)


def _members(
    element: str, value: object, known: tuple[str, ...] | None = None
) -> Mapping[str, Any]:
    """The members of an object, which has none but those ``known``, or else at least one."""
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        _refuse(element, value, "an object")
    if known is None and not value:
        _refuse(element, value, "an object with one member or more")
    for name in value:
        if known is not None and name not in known:
            raise ConfigurationError(unknown("element", name, known))
    return value


def _one_of(statement: Mapping[str, Any], *elements: str) -> str:
    present = [element for element in elements if element in statement]
    if len(present) != 1:
        has = "both" if present else "neither"
        raise ConfigurationError(f"it must have {' or '.join(elements)}; it has {has}")
    return present[0]


def _strings(element: str, value: object, pattern: re.Pattern[str], form: str) -> list[str]:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, (list, tuple)) or not values:
        _refuse(element, value, "a string, or a list of one or more")
    for each in values:
        if not isinstance(each, str) or pattern.fullmatch(each) is None:
            _refuse(element, each, form)
    return list(values)


@contextmanager
def _within(place: str) -> Iterator[None]:
    """Says in errors where they are."""
    try:
        yield
    except ConfigurationError as exc:
        raise ConfigurationError(f"{place}: {exc}") from exc.__cause__


_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = 200


def _refuse(element: str, value: object, allowed: str, cause: Exception | None = None) -> NoReturn:
    try:
        shown = _REPR.repr(value)
    except ValueError:  # an integer of more digits than Python writes
        shown = "…"
    raise ConfigurationError(f"{element}={shown}: it must be {allowed}") from cause


# --- statements -------------------------------------------------------------------------------


class Caller(NamedTuple):
    """Who asks, as the principals of statements may name it."""

    #: Its ARN, or a service's name; for the root user also the account, for the session of a role
    #: also the role: ``arn:aws:sts::123456789012:assumed-role/name``.
    names: tuple[str, ...]
    #: ``None`` for a service.
    account_id: str | None

    @classmethod
    def of(cls, access: Access) -> Caller:
        """Who asks for an access."""
        arn = access.principal_arn
        if access.principal.type == "Service":
            return cls((arn,), None)
        _, _, service, _, account_id, resource = arn.split(":", 5)
        if service == "iam" and resource == "root":
            return cls((arn, account_id), account_id)
        if service == "sts" and resource.startswith("assumed-role/"):
            return cls((arn, arn.rpartition("/")[0]), account_id)
        return cls((arn,), account_id)


class _Principals(NamedTuple):
    """The Principal or NotPrincipal of a statement."""

    #: As `Caller.names` has them, accounts, and ``*``.
    names: frozenset[str]
    is_negated: bool
    #: Whether the statement does.
    allows: bool

    def match(self, caller: Caller) -> Literal["itself", "account"] | None:
        """How a caller is meant, if it is: by itself or as one of its account."""
        is_named = "*" in self.names or not self.names.isdisjoint(caller.names)
        has_named_account = caller.account_id in self.names
        if self.is_negated:
            is_spared = is_named or (has_named_account and self.allows)
            return None if is_spared else "itself"
        if is_named:
            return "itself"
        return "account" if has_named_account else None


class _Statement(NamedTuple):
    #: For the reasons of decisions.
    label: str
    allows: bool
    #: In an identity-based policy nobody.
    principals: _Principals
    actions: Values
    resources: Values
    conditions: tuple[Condition, ...]

    def covers(self, action: str, resource: str, keys: Keys) -> bool:
        """Whether it is about this access, whoever asks. The action is in lower case."""
        return (
            self.actions.accept(action, keys)
            and self.resources.accept(resource, keys)
            and (not self.conditions or all(each.holds(keys) for each in self.conditions))
        )
