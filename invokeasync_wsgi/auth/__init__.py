"""Who calls: what the service knows of an authenticator.

An authenticator turns a request into a `Principal`, or raises. What the principal may do is not
its business: policies decide that (`policies`). `signatures` has AWS's Signature Version 4,
`tokens` has bearer tokens; a team's own (a session, a certificate that a proxy has checked) is a
class with two methods.
"""

from __future__ import annotations

from typing import Protocol

from ..clock import Clock
from ..config import Settings
from ..policy import Principal
from ..wire import Request

#: What the owner of an unknown or disabled key or token is told, in AWS's words.
UNKNOWN = "The security token included in the request is invalid."
EXPIRED = "The security token included in the request is expired"


class Authenticator(Protocol):
    """Tells who sends a request.

    Made while a process starts, often before it forks, and then used from many threads at once:
    what cannot survive a fork is made at its first use (see `process.PerProcess`).
    """

    def start(self, settings: Settings, clock: Clock) -> None:
        """Called once, before the first request: the service's region, account and clock."""

    def authenticate(self, request: Request) -> Principal:
        """Who sends the request.

        ``request.environ`` has its headers and all else that the server says of it;
        ``request.read_body()`` reads its body, and is best not called before the rest is known to
        be right: a stranger may send it slowly.

        Raises:
            AuthenticationError: somebody who is not known here, or nobody in particular. One of
                the subclasses in `errors`, which the client gets as AWS would send it. It is
                logged and counted.
            AWSError: the request cannot be answered for another reason, such as its body.
        """
