"""Say in one line that a port of 127.0.0.1 is taken; gunicorn would try for five seconds first."""

import socket
import sys

if not sys.argv[1].isdecimal() or not 0 < int(sys.argv[1]) < 65536:
    sys.exit(f"PORT={sys.argv[1]}: it must be a number from 1 to 65535")
port = int(sys.argv[1])
with socket.socket() as probe:
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind(("127.0.0.1", port))
    except OSError as exc:
        sys.exit(f"127.0.0.1:{port}: {exc.strerror}. Choose another one: make run PORT={port + 1}")
