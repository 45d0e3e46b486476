"""A Flask application with two functions that Lambda's clients can invoke.

    python -m gunicorn 'app:create_app()'

`make run` does the same. gunicorn reads gunicorn.conf.py in this folder, which says how to try it.
"""

import os

from flask import Flask, current_app

from invokeasync_wsgi.flask import InvokeAsync

invoke_async = InvokeAsync()


@invoke_async.function("helloworld", timeout_s=30)
def helloworld(event, context):
    greeting = current_app.config["GREETING"]
    print(f"{greeting} {event.get('name', 'world')}, this is request {context.aws_request_id}")
    return {"greeting": greeting}


@invoke_async.function("thumbnail", timeout_s=60, description="Pretends to make a thumbnail")
def thumbnail(event, context):
    print(f"a thumbnail of {event['key']}, with {context.get_remaining_time_in_millis()} ms left")


def create_app():
    app = Flask(__name__)
    app.config["GREETING"] = "hello"
    # Everybody who reaches this server may invoke and configure. It listens on 127.0.0.1 only.
    app.config["INVOKEASYNC_AUTH"] = "none"
    # Accepted events are in this file: they survive kill -9 and a power cut.
    app.config["INVOKEASYNC_EXECUTOR"] = os.environ.get(
        "INVOKEASYNC_EXECUTOR", "sqlite:///invocations.db"
    )
    invoke_async.init_app(app)

    @app.get("/")
    def index():
        return "A Flask application. Its functions are invoked with Lambda's clients.\n"

    @app.post("/pictures/<key>")
    def upload(key):
        # Work for after the response, from a view and without HTTP.
        request_id = invoke_async.submit("thumbnail", {"key": key})
        return {"thumbnail_request": request_id}, 202

    return app
