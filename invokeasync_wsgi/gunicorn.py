"""gunicorn's hooks: resume what waits on disk after a fork, drain before a worker ends.

As a whole configuration::

    gunicorn -c python:invokeasync_wsgi.gunicorn 'app:create_app()'

or in one of your own::

    from invokeasync_wsgi.gunicorn import *

Threads rather than processes wait well on slow clients, hence the worker class; every setting can
be overridden on the command line or after the import. Without this module events are drained too,
by the interpreter's own end, but gunicorn gives that no deadline to respect: it kills.

Advice that no default can give: keep ``timeout`` above the longest inline handler, and set
``max_requests_jitter`` whenever ``max_requests`` is set, so that not all workers drain at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import process

if TYPE_CHECKING:
    from gunicorn.arbiter import Arbiter
    from gunicorn.workers.base import Worker

__all__ = ["post_worker_init", "threads", "worker_class", "worker_exit"]

worker_class = "gthread"
threads = 4

#: Seconds left to gunicorn, out of its grace period, for the rest of a worker's end.
_RESERVE_S = 2.0


def post_worker_init(worker: Worker) -> None:
    """Begin to run what waits on disk, without waiting for a request."""
    process.start_all()


def worker_exit(server: Arbiter, worker: Worker) -> None:
    """Finish what this worker has accepted, before gunicorn's patience ends.

    gunicorn kills a worker ``graceful_timeout`` seconds after a stop and, on a reload or
    ``max_requests``, ``timeout`` seconds after its last sign of life. It also calls this hook in
    the master, for workers that died: nothing is armed there, and nothing happens.
    """
    process.drain_all(drain_timeout_s(server.cfg.graceful_timeout, server.cfg.timeout))


def drain_timeout_s(graceful_timeout: float, timeout: float) -> float:
    """The seconds that a drain may take under gunicorn's two limits; a ``timeout`` of 0 is none.

    >>> drain_timeout_s(30, 30), drain_timeout_s(30, 5), drain_timeout_s(1, 0)
    (28.0, 3.0, 0.5)
    """
    return max(0.5, min(graceful_timeout, timeout or graceful_timeout) - _RESERVE_S)
