"""The site, and its functions in front of it."""

import os

from django.core.wsgi import get_wsgi_application

from invokeasync_wsgi import InvokeAsyncMiddleware

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "website.settings")
django_application = get_wsgi_application()  # sets Django up: handlers may import models after it

from .functions import fresh_connections, functions  # noqa: E402

# Everybody who reaches this server may invoke and configure. It listens on 127.0.0.1 only.
application = InvokeAsyncMiddleware(
    django_application,
    functions,
    auth="none",
    executor=os.environ.get("INVOKEASYNC_EXECUTOR", "sqlite:///invocations.db"),
    surroundings=fresh_connections,
)
