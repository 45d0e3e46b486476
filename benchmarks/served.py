"""What gunicorn serves for ``sockets``: the applications, and gunicorn's own settings.

Started as ``gunicorn -c python:benchmarks.served benchmarks.served:ours``; whatever here is no
setting of the installed gunicorn is ignored by it.
"""

from __future__ import annotations

from invokeasync_wsgi import CallbackExecutor, Functions, Invocation, InvokeAsyncMiddleware
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
