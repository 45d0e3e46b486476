r"""A server that knows its callers: signed requests, keys of its own, and policies.

    python app.py

At the first start it makes two keys in keys.ini. Then, from another terminal:

    python client.py

or with the AWS CLI, which reads the same file:

    AWS_SHARED_CREDENTIALS_FILE=keys.ini aws lambda invoke --profile alice \
        --function-name invoice --payload '{"order": 1}' \
        --endpoint-url http://127.0.0.1:8000 --region us-east-1 answer.json

policies.json says what alice and the reporter may do. Both files are read again when they change:
write "disabled = true" below [reporter] in keys.ini, and call again.
"""

import logging
import os
import subprocess
import sys
from pathlib import Path

import waitress

from invokeasync_wsgi import Functions, InvokeAsyncMiddleware, SigV4, drain_on_sigterm
from invokeasync_wsgi.process import start_all

HERE = Path(__file__).parent
KEYS = Path(os.environ.get("KEYS", HERE / "keys.ini"))

functions = Functions()


@functions.function("invoice", timeout_s=30)
def invoice(event, context):
    print(f"an invoice for order {event['order']}, in request {context.aws_request_id}")
    return {"invoiced": event["order"]}


@functions.function("report", timeout_s=30, tags={"kind": "report"})
def report(event, context):
    return {"orders": 1}


def make_keys():
    """What an operator does by hand: (umask 077; invokeasync-wsgi new-key alice >> keys.ini)"""
    new_key = [sys.executable, "-m", "invokeasync_wsgi", "new-key"]
    profiles = [
        subprocess.run([*new_key, name], stdout=subprocess.PIPE, check=True).stdout
        for name in ("alice", "reporter")
    ]
    with open(os.open(KEYS, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode=0o600), "wb") as file:
        file.writelines(profiles)


if __name__ == "__main__":
    logging.basicConfig(format="%(message)s")  # shows who was refused, and why
    if not KEYS.exists():
        make_keys()
    application = InvokeAsyncMiddleware(
        None,
        functions,
        auth=SigV4(KEYS),
        policies=HERE / "policies.json",
        executor=os.environ.get("INVOKEASYNC_EXECUTOR", "sqlite:///invocations.db"),
    )
    drain_on_sigterm()
    start_all()
    waitress.serve(application, host="127.0.0.1", port=int(os.environ.get("PORT", "8000")))
