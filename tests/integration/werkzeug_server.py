"""Werkzeug's server as a command: ``python -m tests.integration.werkzeug_server PORT NAME``."""

from __future__ import annotations

import sys

from werkzeug.serving import run_simple

from tests.integration import application

if __name__ == "__main__":
    run_simple("127.0.0.1", int(sys.argv[1]), getattr(application, sys.argv[2]), threaded=True)
