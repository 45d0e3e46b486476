"""A WSGI application whose accepted events are files, and the worker that runs them.

python app.py
"""

import multiprocessing
import os
import tempfile
import time

import waitress
from spool import SpoolExecutor

from invokeasync_wsgi import Functions, InvokeAsyncMiddleware, drain_on_sigterm

functions = Functions()
spool = SpoolExecutor(os.environ.get("SPOOL", f"{tempfile.gettempdir()}/invokeasync-spool"))


@functions.function("greet", timeout_s=30)
def greet(event, context):
    print(f"hello {event['name']}, from process {os.getpid()}")


# Everybody who reaches this server may invoke and configure. It listens on 127.0.0.1 only.
application = InvokeAsyncMiddleware(None, functions, auth="none", executor=spool)


def work():
    web = multiprocessing.parent_process()
    while web.is_alive():
        if not spool.run_next(functions):
            time.sleep(0.1)


if __name__ == "__main__":
    multiprocessing.get_context("spawn").Process(target=work, daemon=True).start()
    drain_on_sigterm()  # ends the worker, too
    waitress.serve(application, host="127.0.0.1", port=int(os.environ.get("PORT", "8000")))
