"""The command line: ``invokeasync-wsgi serve TARGET``, a server without writing an application.

TARGET is ``module:name`` of a `Functions` registry, or a ``.toml`` or ``.json`` file that describes
functions. Modules are looked for in the current directory first, as gunicorn does.
"""

from __future__ import annotations

import argparse
import importlib
import ipaddress
import os
import socket
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from . import process
from .config import PREFIX, read_settings
from .errors import ConfigurationError
from .functions import Functions
from .wsgi import InvokeAsyncMiddleware


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; ends the process with status 2 and one line when it cannot."""
    parser = _parser()
    options = parser.parse_args(arguments)
    sys.path.insert(0, os.getcwd())
    try:
        _serve(options)
    except ConfigurationError as exc:
        parser.exit(2, f"{parser.prog}: {exc}\n")


def load_functions(target: str) -> Functions:
    """The registry that TARGET names.

    Raises:
        ConfigurationError: there is no such file, module or name, or it is no registry.
    """
    if target.endswith((".toml", ".json")):
        return Functions.from_file(target)
    module_name, colon, name = target.partition(":")
    if not (module_name and colon and name):
        raise ConfigurationError(
            f"target {target!r}: it must be module:name, or a .toml or .json file"
        )
    try:
        value: Any = importlib.import_module(module_name)
        for part in name.split("."):
            value = getattr(value, part)
    except (ImportError, AttributeError) as exc:
        raise ConfigurationError(f"target {target!r}: {exc}") from exc
    if not isinstance(value, Functions):
        raise ConfigurationError(f"target {target!r}: it is no Functions registry but {value!r}")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="invokeasync-wsgi",
        description="AWS Lambda's asynchronous invocation in any WSGI application.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve = commands.add_parser(
        "serve",
        help="serve functions to Lambda's clients",
        description="Serve functions to Lambda's clients. Settings that are not given here are "
        f"read from the environment ({PREFIX}…).",
    )
    serve.add_argument("target", help="module:name of a Functions registry, or a .toml/.json file")
    serve.add_argument("--host", default="127.0.0.1", help="address to bind (%(default)s)")
    serve.add_argument("--port", type=int, default=8000, help="port to bind (%(default)s)")
    serve.add_argument("--workers", type=int, default=1, help="gunicorn's processes (%(default)s)")
    serve.add_argument(
        "--threads", type=int, default=4, help="gunicorn's threads in each (%(default)s)"
    )
    serve.add_argument(
        "--server",
        choices=("gunicorn", "werkzeug"),
        help="gunicorn where it is installed, else Werkzeug's development server",
    )
    serve.add_argument("--auth", help="how callers are authenticated; must be said: none")
    serve.add_argument("--executor", help="where events go (threads:)")
    serve.add_argument("--region", help="region of the functions' ARNs (us-east-1)")
    serve.add_argument("--account-id", help="account of the functions' ARNs (123456789012)")
    serve.add_argument(
        "--allow-unauthenticated",
        action="store_true",
        help="really serve everybody who reaches an address that is not this machine's own",
    )
    return parser


def _serve(options: argparse.Namespace) -> None:
    settings = read_settings(os.environ)
    for name in ("auth", "executor", "region", "account_id"):
        if getattr(options, name) is not None:
            settings[name] = getattr(options, name)
    functions = load_functions(options.target)
    application = InvokeAsyncMiddleware(None, functions, **settings)
    if not (options.allow_unauthenticated or _is_loopback(options.host)):
        raise ConfigurationError(
            f"auth='none' on {options.host!r} lets everybody who reaches it invoke every "
            "function; bind a loopback address, or confirm with --allow-unauthenticated"
        )
    server = _server(options.server)
    _refuse_taken_port(options.host, options.port)
    names = ", ".join(function.name for function in functions) or "no functions yet"
    url = f"http://{_bracketed(options.host)}:{options.port}"
    print(f"serving {names} on {url}", flush=True)
    print(f"a 202 survives: {application.service.executor.promise}", flush=True)
    run = _run_werkzeug if server == "werkzeug" else _run_gunicorn
    run(application, options)


def _server(chosen: str | None) -> str:
    if chosen == "werkzeug":
        return chosen
    try:
        import gunicorn.app.base  # noqa: F401
    except ImportError as exc:
        if chosen is not None:
            raise ConfigurationError(
                "server='gunicorn': it is not installed: pip install gunicorn"
            ) from exc
        return "werkzeug"
    return "gunicorn"


def _run_gunicorn(application: InvokeAsyncMiddleware, options: argparse.Namespace) -> NoReturn:
    from gunicorn.app.base import BaseApplication

    from . import gunicorn as hooks

    class Server(BaseApplication):
        def load_config(self) -> None:
            self.cfg.set("bind", f"{_bracketed(options.host)}:{options.port}")
            self.cfg.set("workers", options.workers)
            self.cfg.set("threads", options.threads)
            self.cfg.set("worker_class", hooks.worker_class)
            self.cfg.set("worker_exit", hooks.worker_exit)
            if "control_socket_disable" in self.cfg.settings:  # one per user, not per server
                self.cfg.set("control_socket_disable", True)

        def load(self) -> Any:
            return application

    Server().run()
    raise SystemExit(0)


def _run_werkzeug(application: InvokeAsyncMiddleware, options: argparse.Namespace) -> None:
    from werkzeug.serving import run_simple

    process.drain_on_sigterm()
    run_simple(options.host, options.port, application, threaded=True)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _refuse_taken_port(host: str, port: int) -> None:
    """Say at once that a port is taken; servers try for a while, or log and go on."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as exc:
            reason = exc.strerror if isinstance(exc, OSError) else str(exc)
            raise ConfigurationError(f"cannot bind {host}:{port}: {reason}") from exc
