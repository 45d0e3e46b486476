"""gunicorn's configuration: where to listen, and the hooks that drain before a worker ends."""

import os
import shlex
from pathlib import Path

from invokeasync_wsgi.gunicorn import *  # noqa: F403

bind = f"127.0.0.1:{os.environ.get('PORT', '8000')}"
workers = 2
control_socket_disable = True

EVENT = Path(__file__).with_name("event.json")


def when_ready(server):
    print(
        "\nTry it from another terminal:\n\n"
        "  aws lambda invoke-async --function-name helloworld "
        f"--invoke-args {shlex.quote(str(EVENT))} \\\n"
        f"      --endpoint-url http://{bind} --region us-east-1 --no-sign-request\n",
        flush=True,
    )
