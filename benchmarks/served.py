"""What gunicorn serves for ``sockets`` and ``durable-accept``: applications, and its settings.

Started as ``gunicorn -c python:benchmarks.served benchmarks.served:ours``, for the durable executor
as ``... "benchmarks.served:durable('queue.db', 8)"``; whatever here is no
setting of the installed gunicorn is ignored by it.
"""

from __future__ import annotations

from invokeasync_wsgi import (
    CallbackExecutor,
    Functions,
    Invocation,
    InvokeAsyncMiddleware,
    SigV4,
)
from invokeasync_wsgi.executors.durable import DurableExecutor
from invokeasync_wsgi.gunicorn import worker_exit as worker_exit

from . import events

workers = 1
threads = 4
worker_class = "gthread"
keepalive = 60
loglevel = "warning"
control_socket_disable = True

_functions = Functions()
_functions.add(events.FUNCTION_NAME, events.do_nothing)


def _take(invocation: Invocation) -> None:
    """An executor's part, without one."""


floor = events.floor_app
#: The whole road, as it is meant to be used.
ours = InvokeAsyncMiddleware(floor, _functions, auth="none", executor="threads:")
#: The road up to the answer: nothing is kept and nothing runs.
acknowledged = InvokeAsyncMiddleware(
    floor, _functions, auth="none", executor=CallbackExecutor(_take)
)
#: The same for those who sign.
verified = InvokeAsyncMiddleware(
    floor,
    _functions,
    auth=SigV4({events.ACCESS_KEY_ID: events.SECRET_ACCESS_KEY}),
    executor=CallbackExecutor(_take),
)


def durable(path: str, workers: int) -> InvokeAsyncMiddleware:
    """The same with the events in a file, every commit flushed to the disk."""
    executor = DurableExecutor(path, workers=workers)
    return InvokeAsyncMiddleware(floor, _functions, auth="none", executor=executor)
