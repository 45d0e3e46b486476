"""gunicorn's configuration: where to listen, and the hooks that drain before a worker ends."""

import os

from invokeasync_wsgi.gunicorn import *  # noqa: F403

bind = f"127.0.0.1:{os.environ.get('PORT', '8000')}"
control_socket_disable = True
