r"""Any WSGI application: a plain function, wrapped, on waitress.

    python app.py

Try it from another terminal:

    aws lambda invoke --function-name greet --invocation-type Event --payload '{"name": "you"}' \
        --endpoint-url http://127.0.0.1:8000 --region us-east-1 --no-sign-request answer.json

Accepted events are in invocations.db, in this folder. Kill the server, start it again: they run.
"""

import os

import waitress

from invokeasync_wsgi import Functions, InvokeAsyncMiddleware, drain_on_sigterm
from invokeasync_wsgi.process import start_all

functions = Functions()


@functions.function("greet", timeout_s=30)
def greet(event, context):
    print(f"hello {event['name']}, this is request {context.aws_request_id}")
    return {"greeted": event["name"]}


def website(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [b"A WSGI application.\n"]


# Everybody who reaches this server may invoke and configure. It listens on 127.0.0.1 only.
application = InvokeAsyncMiddleware(
    website,
    functions,
    auth="none",
    executor=os.environ.get("INVOKEASYNC_EXECUTOR", "sqlite:///invocations.db"),
)

if __name__ == "__main__":
    drain_on_sigterm()  # waitress would die of it, and what is running would run again
    start_all()  # run what waits on disk, without waiting for the first event
    waitress.serve(application, host="127.0.0.1", port=int(os.environ.get("PORT", "8000")))
