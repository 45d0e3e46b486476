"""The client of ``sockets``, a process of its own: its arguments are ``PORT EVENT N C [signed]``.

Sends N times one of `events.EVENTS` over C connections that it keeps, as fast as they are
answered, with the headers of a signed request if told so, and prints the seconds that took. Ends
with an error at the first answer that is no empty 202, and when a server says nothing for ten
seconds.
"""

from __future__ import annotations

import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from . import events

CONNECTIONS = 4


def main() -> None:
    """Run the command line."""
    port, requests = int(sys.argv[1]), int(sys.argv[3])
    body = events.EVENTS[sys.argv[2]]
    count = int(sys.argv[4])
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    if "signed" in sys.argv[5:]:
        headers |= events.signer(host=f"127.0.0.1:{port}").headers("POST", events.PATH, body)
    else:
        headers["Host"] = f"127.0.0.1:{port}"
    head = "".join(f"{name}: {text}\r\n" for name, text in headers.items())
    message = f"POST {events.PATH} HTTP/1.1\r\n{head}\r\n".encode() + body
    each = -(-requests // count)
    connections = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(count)]
    for connection in connections:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    started = time.perf_counter()
    with ThreadPoolExecutor(count) as pool:
        for ended in [pool.submit(_send, connection, message, each) for connection in connections]:
            ended.result()
    print((time.perf_counter() - started) / (each * count) * requests)
    for connection in connections:
        connection.close()


def _send(connection: socket.socket, message: bytes, times: int) -> None:
    for _ in range(times):
        connection.sendall(message)
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            piece = connection.recv(4096)
            if not piece:
                raise ConnectionError(f"the server closed the connection after {answer!r}")
            answer += piece
        if not answer.startswith(b"HTTP/1.1 202 ") or b"ontent-Length: 0\r\n" not in answer:
            raise ConnectionError(f"no empty 202: {answer!r}")


if __name__ == "__main__":
    main()
