"""Say in one line that a port of 127.0.0.1 is taken; gunicorn would try for five seconds first."""

import socket
import sys

port = int(sys.argv[1])
with socket.socket() as probe:
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind(("127.0.0.1", port))
    except OSError as exc:
        sys.exit(f"127.0.0.1:{port}: {exc.strerror}. Choose another one: make run PORT=8001")
