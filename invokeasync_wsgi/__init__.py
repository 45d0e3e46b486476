"""AWS Lambda's asynchronous invocation inside any WSGI application.

The names here are the public ones. Optional rooms are imported by those who want them:
`invokeasync_wsgi.flask` (needs Flask), `invokeasync_wsgi.gunicorn`, `invokeasync_wsgi.testing`.
"""

from typing import TYPE_CHECKING, Any

from .auth import Authenticator as Authenticator
from .clock import Clock as Clock
from .clock import ScaledClock as ScaledClock
from .clock import SystemClock as SystemClock
from .context import Context as Context
from .errors import AuthenticationError as AuthenticationError
from .errors import AWSError as AWSError
from .errors import ConfigurationError as ConfigurationError
from .errors import ExecutorClosed as ExecutorClosed
from .errors import ExecutorError as ExecutorError
from .errors import InvokeAsyncError as InvokeAsyncError
from .errors import QueueFull as QueueFull
from .errors import StoreError as StoreError
from .executors import Executor as Executor
from .executors.callback import CallbackExecutor as CallbackExecutor
from .executors.inline import InlineExecutor as InlineExecutor
from .executors.threads import ThreadsExecutor as ThreadsExecutor
from .functions import Function as Function
from .functions import Functions as Functions
from .invocation import Invocation as Invocation
from .invocation import Outcome as Outcome
from .policy import Principal as Principal
from .process import PerProcess as PerProcess
from .process import drain_all as drain_all
from .process import drain_on_sigterm as drain_on_sigterm
from .retry import GiveUp as GiveUp
from .retry import RetryAt as RetryAt
from .retry import Succeeded as Succeeded
from .service import run_attempt as run_attempt
from .wsgi import InvokeAsyncMiddleware as InvokeAsyncMiddleware

if TYPE_CHECKING:
    from .auth.credentials import Credential as Credential
    from .auth.signatures import SigV4 as SigV4
    from .auth.tokens import BearerTokens as BearerTokens
    from .executors.durable import DurableExecutor as DurableExecutor

#: Imported by those who use it: with SQLite, or not needed by whoever uses another.
_ON_DEMAND = {
    "BearerTokens": ".auth.tokens",
    "Credential": ".auth.credentials",
    "DurableExecutor": ".executors.durable",
    "SigV4": ".auth.signatures",
}

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name in _ON_DEMAND:
        import importlib

        return getattr(importlib.import_module(_ON_DEMAND[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
