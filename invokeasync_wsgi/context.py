"""The context object that handlers get, with the attributes of AWS's Python runtime.

Names, types and oddities are those of awslambdaric 4.2: ``memory_limit_in_mb`` is a string,
``client_context`` is ``None`` when none was sent, ``identity`` is always an object.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextvars import ContextVar
from functools import cached_property
from typing import Any

from . import lineage
from .clock import Clock
from .config import Settings
from .functions import Function, Version
from .invocation import Invocation
from .names import function_arn
from .process import PerProcess


class Context:
    """What a handler may know of its invocation. One for each attempt, and a handler's to mark."""

    def __init__(
        self,
        invocation: Invocation,
        function: Function,
        version: Version,
        *,
        settings: Settings,
        deadline: float,
        clock: Clock,
    ) -> None:
        self._invocation = invocation
        self._function = function
        self._version = version
        self._settings = settings
        self._deadline = deadline
        self._clock = clock

    @property
    def aws_request_id(self) -> str:
        """The request id: the same for every attempt, so a key for doing things only once."""
        return self._invocation.request_id

    @property
    def function_name(self) -> str:
        """The bare name of the function."""
        return self._invocation.function_name

    @property
    def function_version(self) -> str:
        """The version that runs: ``$LATEST`` or a number."""
        return self._version.number

    @property
    def invoked_function_arn(self) -> str:
        """The ARN as it was invoked: with a qualifier only when the caller named one."""
        return function_arn(
            self._settings.region,
            self._settings.account_id,
            self._function.name,
            self._invocation.qualifier,
        )

    @property
    def memory_limit_in_mb(self) -> str:
        """The function's memory setting: a string, as on Lambda."""
        return str(self._version.memory_limit_in_mb)

    @property
    def log_group_name(self) -> str:
        """``/aws/lambda/<function name>``."""
        return f"/aws/lambda/{self.function_name}"

    @property
    def log_stream_name(self) -> str:
        """``YYYY/MM/DD/[version]<32 hex digits>``, the digits being this process's."""
        day = time.strftime("%Y/%m/%d", time.gmtime(self._clock.time()))
        return f"{day}/[{self.function_version}]{_process_digits.get()}"

    @property
    def tenant_id(self) -> str | None:
        """``X-Amz-Tenant-Id`` as sent."""
        return self._invocation.tenant_id

    @cached_property
    def client_context(self) -> ClientContext | None:
        """``X-Amz-Client-Context``, or ``None`` when none was sent."""
        text = self._invocation.client_context
        return None if text is None else ClientContext(json.loads(text))

    @cached_property
    def identity(self) -> CognitoIdentity:
        """Always there, and without values: no Cognito stands before us."""
        return CognitoIdentity()

    @cached_property
    def trace_id(self) -> str:
        """``X-Amzn-Trace-Id`` to send along when this handler invokes functions (`lineage`).

        Ours: Lambda has it in ``_X_AMZN_TRACE_ID``, which belongs to a whole process, and several
        invocations share this one.
        """
        settings = self._settings
        arn = function_arn(settings.region, settings.account_id, self._function.name)
        root = trace_root(self._clock.time())
        return lineage.extend(self._invocation.trace_id, arn, root=root)

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the deadline, never below 0."""
        return max(int((self._deadline - self._clock.monotonic()) * 1000), 0)

    def log(self, message: object) -> None:
        """Write ``message`` to the log as it is, without a line end, as Lambda does."""
        sys.stdout.write(str(message))

    def __repr__(self) -> str:
        return (
            f"<Context of {self.function_name}:{self.function_version}, "
            f"request {self.aws_request_id}>"
        )


class ClientContext:
    """The three members that mobile SDKs send; what is missing is ``None``."""

    __slots__ = ("client", "custom", "env")

    def __init__(self, values: dict[str, Any]) -> None:
        self.custom = values.get("custom")
        self.env = values.get("env")
        client = values.get("client")
        self.client = Client(client) if isinstance(client, dict) else None


class Client:
    """The calling application, as it describes itself; what is missing is ``None``."""

    __slots__ = (
        "app_package_name",
        "app_title",
        "app_version_code",
        "app_version_name",
        "installation_id",
    )

    def __init__(self, values: dict[str, Any]) -> None:
        for name in self.__slots__:
            setattr(self, name, values.get(name))


class CognitoIdentity:
    """Who called through Cognito: never anybody here."""

    __slots__ = ()

    cognito_identity_id: str | None = None
    cognito_identity_pool_id: str | None = None


#: The context of the handler that runs here, in its thread or coroutine.
current: ContextVar[Context | None] = ContextVar("invokeasync_context", default=None)


def trace_root(now: float) -> str:
    """The ``Root`` of a trace that begins here, in X-Ray's form."""
    return f"Root=1-{int(now) & 0xFFFFFFFF:08x}-{os.urandom(12).hex()}"


_process_digits = PerProcess(lambda: os.urandom(16).hex())
