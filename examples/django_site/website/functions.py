"""What Lambda's clients, and this site's own views, can invoke."""

from contextlib import contextmanager

from django.core.mail import send_mail
from django.db import close_old_connections

from invokeasync_wsgi import Functions

functions = Functions()


@functions.function("welcome", timeout_s=30)
def welcome(event, context):
    send_mail(
        "Welcome",
        f"Request {context.aws_request_id} greets you.",
        from_email=None,
        recipient_list=[event["email"]],
    )


@contextmanager
def fresh_connections():
    """Around each handler, what Django does around each request for its database connections."""
    close_old_connections()
    try:
        yield
    finally:
        close_old_connections()
