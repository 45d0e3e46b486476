"""What the durability tests run: functions on a queue on disk, in servers and small processes.

As a module it is what gunicorn serves, by its factories. As a program it is a *nursery*: a process
that has imported everything, as a preloading server has, and forks small processes from what it
reads on its standard input. They start in milliseconds, so that many can be killed:

* ``run``: runs events until it is killed.
* ``submit``: accepts events as fast as its threads can, and writes the request id of each on the
  standard output once it is accepted. It runs events, too, unless its executor has no workers.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from werkzeug.middleware.dispatcher import DispatcherMiddleware

from invokeasync_wsgi import Context, Functions, InvokeAsyncMiddleware, process
from invokeasync_wsgi.config import read_settings
from invokeasync_wsgi.executors import durable  # noqa: F401 - before the forks, not in each
from tests.integration import ledger

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

functions = Functions()

#: Threads of a ``submit`` process.
SUBMITTERS = 3


@functions.function("work", timeout_s=30)
def work(event: dict[str, Any], context: Context) -> None:
    """Runs for as long as the event says."""
    with ledger.attempt(context.aws_request_id, "work"):
        time.sleep(event.get("seconds", 0))


@functions.function("poison", timeout_s=30)
def poison(event: dict[str, Any], context: Context) -> None:
    """Kills its process, after a while in which others begin beside it."""
    with ledger.attempt(context.aws_request_id, "poison"):
        time.sleep(event.get("seconds", 0))
        os.kill(os.getpid(), signal.SIGKILL)


def wrapped(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """The application behind the middleware; tells which process it is in."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Wrapped", "yes")])
    return [str(os.getpid()).encode()]


def make(**settings: Any) -> InvokeAsyncMiddleware:
    """The middleware, with settings from the environment where none are given."""
    return InvokeAsyncMiddleware(
        wrapped, functions, **{"auth": "none", **read_settings(os.environ), **settings}
    )


def make_two() -> WSGIApplication:
    """Two applications, each with a database of its own."""
    url = os.environ["INVOKEASYNC_EXECUTOR"]
    return DispatcherMiddleware(
        wrapped,
        {f"/{name}": make(executor=url.replace(".db", f"-{name}.db")) for name in ("one", "two")},
    )


# --- the nursery ------------------------------------------------------------------------------


def _run(application: InvokeAsyncMiddleware) -> None:
    """Nothing to do but what every role does: run what there is."""


def _submit(application: InvokeAsyncMiddleware) -> None:
    for _ in range(SUBMITTERS):
        threading.Thread(target=_submit_on, args=(application, random.Random())).start()


def _submit_on(application: InvokeAsyncMiddleware, chance: random.Random) -> None:
    while True:
        seconds = chance.choice((0, 0, 0, 0.001, 0.02))
        _tell(application.submit("work", {"seconds": seconds}))
        time.sleep(chance.choice((0, 0.002, 0.005)))


def _tell(text: str) -> None:
    os.write(sys.stdout.fileno(), f"{text}\n".encode())


_ROLES: dict[str, Callable[[InvokeAsyncMiddleware], None]] = {
    "run": _run,
    "submit": _submit,
}


def main() -> None:
    """Fork a process for each line of standard input: a role, and the executor it uses."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies: whoever killed them looks at /proc
    for line in sys.stdin:
        role, url = line.split()
        pid = os.fork()
        if not pid:
            application = make(executor=url)
            _ROLES[role](application)
            process.start_all()
            threading.Event().wait()
        _tell(f"pid {pid}")


if __name__ == "__main__":
    main()
