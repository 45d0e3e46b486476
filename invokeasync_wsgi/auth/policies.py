"""What a verified caller may do: which policies decide, and what they are asked.

Identity-based policies belong to principals and come from the setting ``policies``; resource-based
ones belong to functions (`functions.Function.policy`). How they are evaluated is in `policy`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .. import names, sigv4
from ..config import Settings
from ..errors import AccessDeniedException, ConfigurationError
from ..functions import Function
from ..names import FunctionReference
from ..policy import Access, Policy, Principal, decide, denied_message, load_json
from ..wire import Request
from .files import WatchedFile

logger = logging.getLogger(__name__)

#: Covers InvokeAsync, Invoke of every type, and InvokeWithResponseStream. Lambda's list of actions
#: has a ``lambda:InvokeAsync`` too, which allows nothing.
INVOKE_FUNCTION = "lambda:InvokeFunction"

_Policies = Mapping[str, tuple[Policy, ...]]


class Policies:
    """Decides what principals may do. Threads share it; nothing in it minds a fork.

    Args:
        settings: ``policies``, ``region`` and ``account_id``.

    Raises:
        ConfigurationError: a policy is malformed; the text names the statement and the reason.
    """

    def __init__(self, settings: Settings) -> None:
        self._region = settings.region
        self._account_id = settings.account_id
        self._file: WatchedFile[_Policies] | None = None
        self._by_principal: _Policies | None = None
        given = settings.policies
        if isinstance(given, (str, os.PathLike)):
            self._file = WatchedFile("policies", given, _parse_file)
        elif isinstance(given, Mapping):
            self._by_principal = _parse(given)
        elif given is not None:
            raise ConfigurationError(
                f"policies={given!r}: it must be a mapping of principals to policies, or the path "
                "of a JSON file with one"
            )
        self._default = Policy.parse(
            {
                "Version": "2012-10-17",
                "Statement": {
                    "Sid": "InvokeFunctionsOfTheAccount",
                    "Effect": "Allow",
                    "Action": INVOKE_FUNCTION,
                    "Resource": f"arn:*:lambda:*:{self._account_id}:function:*",
                },
            },
            name="default",
            kind="identity",
        )

    def require(
        self,
        principal: Principal,
        action: str,
        reference: FunctionReference,
        function: Function | None,
        request: Request,
    ) -> None:
        """Refuse what no policy allows, or one forbids.

        Args:
            principal: who.
            action: such as `INVOKE_FUNCTION`.
            reference: of the function, which need not exist.
            function: the function, if it exists.
            request: what the conditions look at.

        Raises:
            AccessDeniedException: in AWS's words.
        """
        access = Access(
            action=action,
            resource=names.function_arn(
                reference.region or self._region,
                self._account_id,
                reference.name,
                reference.qualifier,
            ),
            account_id=self._account_id,
            principal=principal,
            principal_arn=principal.arn(self._region, self._account_id),
            context=_Context(request, function, self._region, self._account_id),
        )
        resource_policies = () if function is None else function.resource_policies
        decision = decide(access, self._identity_policies(principal), resource_policies)
        if not decision.allowed:
            message = denied_message(access, decision)
            logger.warning("%s", message)
            raise AccessDeniedException(message)

    def _identity_policies(self, principal: Principal) -> Iterable[Policy]:
        by_principal = self._by_principal if self._file is None else self._file.get()
        if by_principal is None:
            return (self._default,)
        found = by_principal.get(principal.name, ())
        arn = principal.arn(self._region, self._account_id)
        return found if arn == principal.name else (*found, *by_principal.get(arn, ()))


class _Context(Mapping[str, str]):
    """What a request tells to conditions, by the names of condition keys in lower case.

    Put together when the first is asked for: most policies have no conditions.
    """

    def __init__(
        self, request: Request, function: Function | None, region: str, account_id: str
    ) -> None:
        self._request = request
        self._function = function
        self._of_service = {"aws:requestedregion": region, "aws:resourceaccount": account_id}
        self._values: Mapping[str, str] | None = None

    def __getitem__(self, key: str) -> str:
        return self._all()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def _all(self) -> Mapping[str, str]:
        if self._values is None:
            environ = self._request.environ
            is_tls = environ.get("wsgi.url_scheme") == "https"
            tags = {} if self._function is None else self._function.tags
            self._values = {
                **self._of_service,
                "aws:currenttime": _iso_format(self._request.received_at),
                "aws:epochtime": str(int(self._request.received_at)),
                "aws:securetransport": "true" if is_tls else "false",
                "aws:viaawsservice": "false",
                "lambda:invokedviafunctionurl": "false",
                **{name: environ[key] for name, key in _FROM_ENVIRON if environ.get(key)},
                **{f"aws:resourcetag/{tag.lower()}": text for tag, text in tags.items()},
            }
        return self._values


_FROM_ENVIRON = (
    ("aws:sourceip", "REMOTE_ADDR"),
    ("aws:useragent", "HTTP_USER_AGENT"),
    ("aws:referer", "HTTP_REFERER"),
)


def _iso_format(at: float) -> str:
    basic = sigv4.basic_format(at)
    return f"{basic[:4]}-{basic[4:6]}-{basic[6:11]}:{basic[11:13]}:{basic[13:]}"


def _parse_file(text: str) -> _Policies:
    document = load_json(text)
    if not isinstance(document, dict):
        raise ConfigurationError("it must be a JSON object of principals and their policies")
    return _parse(document)


def _parse(given: Mapping[str, Any]) -> _Policies:
    """Policies by principal: one, or a list of them, for each."""
    parsed = {}
    for principal, documents in given.items():
        Principal(principal)  # refuses what can be nobody's name
        several = documents if isinstance(documents, (list, tuple)) else [documents]
        parsed[principal] = tuple(
            Policy.parse(document, name=principal, kind="identity") for document in several
        )
    return parsed
