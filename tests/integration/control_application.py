"""What the tests of the control calls serve, and who changes settings until it is killed.

Each handler run appends a line of JSON to the file named in ``EVENTS_FILE``.

`main` is a *nursery*: a process that has imported everything and forks small processes, one for
each line that it reads on its standard input, that change settings as fast as they can.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
from typing import Any

from invokeasync_wsgi import Context, Functions, InvokeAsyncMiddleware
from invokeasync_wsgi.executors import durable  # noqa: F401 - before the forks, not in each
from invokeasync_wsgi.testing import Client
from tests.integration import ledger

functions = Functions()

#: What a caller of `latest`, `one` and `two` gets: who has run, and as which version.
Told = dict[str, Any]

#: One function for each client, so that none meets what another has set.
CLIENTS = ("boto3", "command-line", "javascript")
#: Pages have 50 items at most, or 7 where that is asked for.
MANY = 60
#: Changed by processes that are killed.
VICTIMS = ("victim-0", "victim-1")


def note(event: object, context: Context) -> Told:
    """Write this run down, in one write: several processes share the file."""
    told = {"pid": os.getpid(), "version": context.function_version}
    line = {
        "request_id": context.aws_request_id,
        "function": context.function_name,
        "event": event,
        **told,
    }
    file = os.open(os.environ[ledger.VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, json.dumps(line).encode() + b"\n")
    finally:
        os.close(file)
    return told


def latest(event: object, context: Context) -> Told:
    return note(event, context)


def one(event: object, context: Context) -> Told:
    return note(event, context)


def two(event: object, context: Context) -> Told:
    return note(event, context)


def fail(event: object, context: Context) -> None:
    note(event, context)
    raise ValueError("the handler failed")


_VERSIONS = {"1": one, "2": two}

for client in CLIENTS:
    functions.add(
        f"by-{client}",
        latest,
        description="of the tests",
        timeout_s=30,
        memory_limit_in_mb=256,
        tags={"team": "tests"},
        versions=_VERSIONS,
        aliases={"declared": "1"},
    )
functions.add("sink", latest)
functions.add("plain", latest)
functions.add("versioned", latest, versions=_VERSIONS)
functions.add("reserved", latest, on_failure="sink")
functions.add("fails", fail, maximum_retry_attempts=1)
functions.add(
    "paged",
    latest,
    versions={str(number): one for number in range(1, MANY + 1)},
    aliases={f"alias-{number:02}": "1" for number in range(MANY)},
)
for number in range(MANY):
    functions.add(f"many-{number:02}", latest)
for name in VICTIMS:
    functions.add(name, latest, versions=_VERSIONS)


# --- changes that belong together ---------------------------------------------------------------


def config(number: int) -> dict[str, Any]:
    """The body of the numbered PutFunctionEventInvokeConfig: each member tells the number."""
    sink = "arn:aws:lambda:us-east-1:123456789012:function:sink"
    return {
        "MaximumRetryAttempts": number % 3,
        "MaximumEventAgeInSeconds": 60 + number,
        "DestinationConfig": {
            "OnSuccess": {"Destination": sink} if number % 2 else {},
            "OnFailure": {} if number % 2 else {"Destination": sink},
        },
    }


def alias(number: int) -> dict[str, Any]:
    """The body of the numbered CreateAlias."""
    return {
        "Name": f"alias-{number}",
        "FunctionVersion": "1",
        "Description": f"number {number}",
        "RoutingConfig": {"AdditionalVersionWeights": {"2": (number % 9 + 1) / 10}},
    }


def _change_for_ever(url: str, name: str, first: int) -> None:
    """Make the numbered changes, and tell of each on standard output once it is answered."""
    application = InvokeAsyncMiddleware(None, functions, auth="none", executor=url)
    client = Client(application)
    put = "PUT", f"/2019-09-25/functions/{name}/event-invoke-config"
    create = "POST", f"/2015-03-31/functions/{name}/aliases"
    for number in itertools.count(first):
        for what, request, body, status in (
            ("config", put, config(number), 200),
            ("alias", create, alias(number), 201),
        ):
            answer = client.request(*request, json.dumps(body).encode())
            if answer.status != status:
                _tell(f"refused {name} {number} {answer}")
                return
            _tell(f"{what} {name} {number}")


def _tell(text: str) -> None:
    os.write(sys.stdout.fileno(), f"{text}\n".encode())


def main() -> None:
    """Fork a process for each line of standard input: the executor's URL, a function's name and
    the number of the first change. A line of one word is told again."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies: whoever killed them looks at /proc
    for line in sys.stdin:
        match line.split():
            case [url, name, first]:
                pid = os.fork()
                if not pid:
                    _change_for_ever(url, name, int(first))
                    os._exit(1)
                _tell(f"pid {name} {pid}")
            case [word]:
                _tell(word)
