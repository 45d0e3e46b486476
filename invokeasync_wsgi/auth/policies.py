"""What a verified caller may do: which policies decide, and what they are asked.

Identity-based policies belong to principals and come from the setting ``policies``; resource-based
ones belong to functions (`functions.Function.policy`). How they are evaluated is in `policy`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from .. import sigv4
from ..config import Settings
from ..errors import AccessDeniedException, ConfigurationError
from ..functions import Function
from ..policy import (
    Access,
    Caller,
    Policy,
    Principal,
    decide,
    denied_message,
    load_json,
    names_of_principal,
)
from ..wire import Request
from .files import WatchedFile

logger = logging.getLogger(__name__)

#: Covers InvokeAsync, Invoke of every type, and InvokeWithResponseStream. Lambda's list of actions
#: has a ``lambda:InvokeAsync`` too, which allows nothing. The others are named as their operations.
INVOKE_FUNCTION = "lambda:InvokeFunction"

_Policies = Mapping[str, Sequence[Policy]]


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
        #: By the names that `policy.Caller` gives callers; ``None`` where nothing is said.
        self._by_name: _Policies | None = None
        given = settings.policies
        if isinstance(given, (str, os.PathLike)):
            self._file = WatchedFile("policies", given, self._parse_file)
        elif isinstance(given, Mapping):
            self._by_name = self._parse(given)
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
        resource: str,
        function: Function | None,
        request: Request,
        context: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Refuse what no policy allows, or one forbids.

        Args:
            principal: who.
            action: such as `INVOKE_FUNCTION`.
            resource: an ARN; ``*`` for what is about no function.
            function: the function of the ARN, if it exists.
            request: what the conditions look at.
            context: more that they may look at, by the names of condition keys in lower case.

        Raises:
            AccessDeniedException: in AWS's words.
        """
        access = Access(
            action=action,
            resource=resource,
            account_id=self._account_id,
            principal=principal,
            principal_arn=principal.arn(self._region, self._account_id),
            context=lambda: {
                **context,
                **_context(request, function, self._region, self._account_id),
            },
        )
        resource_policies = () if function is None else function.resource_policies
        decision = decide(access, self._identity_policies(access), resource_policies)
        if not decision.allowed:
            message = denied_message(access, decision)
            logger.warning("%s", message)
            raise AccessDeniedException(message)

    def _identity_policies(self, access: Access) -> Iterable[Policy]:
        by_name = self._by_name if self._file is None else self._file.get()
        if by_name is None:
            return (self._default,)
        return [policy for name in Caller.of(access).names for policy in by_name.get(name, ())]

    def _parse_file(self, text: str) -> _Policies:
        document = load_json(text)
        if not isinstance(document, dict):
            raise ConfigurationError("it must be a JSON object of principals and their policies")
        return self._parse(document)

    def _parse(self, given: Mapping[str, Any]) -> _Policies:
        """Policies by the names of those who have them: one, or a list of them, for each."""
        by_name: dict[str, list[Policy]] = {}
        for principal, documents in given.items():
            several = documents if isinstance(documents, (list, tuple)) else [documents]
            policies = [Policy.parse(each, name=principal, kind="identity") for each in several]
            # One principal may stand there twice: by its name, and by its ARN.
            arn = Principal(principal).arn(self._region, self._account_id)
            for name in names_of_principal(arn):
                by_name.setdefault(name, []).extend(policies)
        return by_name


def _context(
    request: Request, function: Function | None, region: str, account_id: str
) -> Mapping[str, str]:
    """What a request tells to conditions, by the names of condition keys in lower case."""
    environ = request.environ
    tags = {} if function is None else function.tags
    return {
        "aws:currenttime": _iso_format(request.received_at),
        "aws:epochtime": str(int(request.received_at)),
        "aws:securetransport": "true" if environ.get("wsgi.url_scheme") == "https" else "false",
        "aws:requestedregion": region,
        "aws:resourceaccount": account_id,
        "aws:viaawsservice": "false",
        "lambda:invokedviafunctionurl": "false",
        **{name: environ[key] for name, key in _FROM_ENVIRON if environ.get(key)},
        **{f"aws:resourcetag/{tag.lower()}": text for tag, text in tags.items()},
    }


_FROM_ENVIRON = (
    ("aws:sourceip", "REMOTE_ADDR"),
    ("aws:useragent", "HTTP_USER_AGENT"),
    ("aws:referer", "HTTP_REFERER"),
)


def _iso_format(at: float) -> str:
    basic = sigv4.basic_format(at)
    return f"{basic[:4]}-{basic[4:6]}-{basic[6:11]}:{basic[11:13]}:{basic[13:]}"
