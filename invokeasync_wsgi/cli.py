"""The command line, ``invokeasync-wsgi``: a server and workers without writing an application, and
what an operator does with the events of a queue and with keys.

TARGET is ``module:name`` of a `Functions` registry, or a ``.toml`` or ``.json`` file that describes
functions. For ``worker`` and ``config`` it may also be an application: an `InvokeAsyncMiddleware`,
a Flask application with the extension, or a call without arguments that returns one
(``app:create_app()``). Modules are looked for in the current directory first, as gunicorn does.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import socket
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from . import explain, operate, process, worker
from .config import PREFIX, read_settings
from .errors import ConfigurationError, StoreError
from .functions import Functions, import_object
from .wsgi import InvokeAsyncMiddleware

#: In the current directory. A queue that survives, because a 202 is a promise.
DEFAULT_EXECUTOR = "sqlite:///invocations.db"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; ends the process with status 2 and one line when it cannot."""
    parser = _parser()
    options = parser.parse_args(arguments)
    options.arguments = sys.argv[1:] if arguments is None else list(arguments)
    sys.path.insert(0, os.getcwd())
    if options.parent is not None:
        worker.end_with(options.parent)
    try:
        options.run(options)
    except (ConfigurationError, StoreError) as exc:
        parser.exit(2, f"{parser.prog}: {exc}\n")


def load_functions(target: str) -> Functions:
    """The registry that TARGET names.

    Raises:
        ConfigurationError: there is no such file, module or name, or it is no registry.
    """
    if target.endswith((".toml", ".json")):
        return Functions.from_file(target)
    value = _load(target)
    if not isinstance(value, Functions):
        raise ConfigurationError(f"target {target!r}: it is no Functions registry but {value!r}")
    return value


def load_application(target: str, settings: dict[str, Any]) -> InvokeAsyncMiddleware:
    """The middleware that TARGET names, or one made of the registry that it names.

    Raises:
        ConfigurationError: there is no such thing, or it has nothing to do with invocations.
    """
    if target.endswith((".toml", ".json")):
        return InvokeAsyncMiddleware(None, load_functions(target), **settings)
    value = _load(target.removesuffix("()"))
    if target.endswith("()"):
        if not callable(value):
            raise ConfigurationError(f"target {target!r}: {value!r} cannot be called")
        value = value()
    if isinstance(value, Functions):
        return InvokeAsyncMiddleware(None, value, **settings)
    if isinstance(value, InvokeAsyncMiddleware):
        return value
    middleware = getattr(value, "extensions", {}).get("invokeasync")
    if isinstance(middleware, InvokeAsyncMiddleware):
        return middleware
    raise ConfigurationError(
        f"target {target!r}: it must be a Functions registry, an InvokeAsyncMiddleware or a Flask "
        f"application with InvokeAsync, not {value!r}"
    )


def _load(target: str) -> Any:
    module_name, colon, name = target.partition(":")
    if not (module_name and colon and name) or module_name.startswith("."):
        raise ConfigurationError(
            f"target {target!r}: it must be module:name, or a .toml or .json file"
        )
    try:
        return import_object(target)
    except (ImportError, AttributeError) as exc:
        raise ConfigurationError(f"target {target!r}: {exc}") from exc


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="invokeasync-wsgi",
        description="AWS Lambda's asynchronous invocation in any WSGI application.",
    )
    parser.add_argument("--parent", type=int, help=argparse.SUPPRESS)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_serve(commands)
    _add_worker(commands)
    operate.add_commands(commands, _executor_of)
    _add_config(commands)
    _add_new_key(commands)
    _add_new_token(commands)
    return parser


def _add_serve(commands: Any) -> None:
    serve = commands.add_parser(
        "serve",
        help="serve functions to Lambda's clients",
        description="Serve functions to Lambda's clients. Settings that are not given here are "
        f"read from the environment ({PREFIX}…).",
    )
    serve.set_defaults(run=_serve)
    serve.add_argument("target", help="module:name of a Functions registry, or a .toml/.json file")
    serve.add_argument("--host", default="127.0.0.1", help="address to bind (%(default)s)")
    serve.add_argument("--port", type=int, default=8000, help="port to bind (%(default)s)")
    serve.add_argument("--workers", type=int, default=1, help="gunicorn's processes (%(default)s)")
    serve.add_argument(
        "--threads", type=int, default=4, help="gunicorn's threads in each (%(default)s)"
    )
    serve.add_argument(
        "--worker-processes",
        type=_count,
        default=0,
        metavar="N",
        help="run attempts in N processes of their own, and none beside the requests (%(default)s)",
    )
    serve.add_argument(
        "--server",
        choices=("gunicorn", "werkzeug"),
        help="gunicorn where it is installed, else Werkzeug's development server",
    )
    serve.add_argument(
        "--auth",
        help="how callers are authenticated; must be said: sigv4:///FILE for signed requests, "
        "sigv4: for the key in the environment, bearer:///FILE for tokens, none for everybody",
    )
    serve.add_argument("--policies", metavar="FILE", help="JSON file of what principals may do")
    _add_settings(serve)
    serve.add_argument(
        "--allow-unauthenticated",
        action="store_true",
        help="really serve everybody who reaches an address that is no loopback one",
    )


def _add_worker(commands: Any) -> None:
    command = commands.add_parser(
        "worker",
        help="run attempts outside of the web processes",
        description="Run the events of a queue until told to end (SIGTERM, ctrl-C). Settings that "
        f"are not given here are read from the environment ({PREFIX}…).",
    )
    command.set_defaults(run=_work)
    command.add_argument(
        "target",
        help="module:name of a Functions registry or an application, or a .toml/.json file",
    )
    _add_settings(command)
    command.add_argument(
        "--processes", type=_positive, default=1, help="how many processes (%(default)s)"
    )
    command.add_argument(
        "--threads", type=_positive, help="attempts at once in each (the executor's workers, or 8)"
    )
    command.add_argument(
        "--drain-timeout",
        type=float,
        default=process.DEFAULT_DRAIN_TIMEOUT_S,
        metavar="SECONDS",
        help="for what is running at the end (%(default)s)",
    )


def _add_config(commands: Any) -> None:
    command = commands.add_parser(
        "config",
        help="show the functions' values, and where each comes from",
        description="Show the values of functions: defaults, what the application declares, and "
        "over them what clients have set through the API.",
    )
    command.set_defaults(run=_show_config)
    command.add_argument(
        "target",
        help="module:name of a Functions registry or an application, or a .toml/.json file",
    )
    _add_settings(command)
    command.add_argument("--function", help="only this function")
    command.add_argument("--json", action="store_true", help="print JSON")


def _add_new_key(commands: Any) -> None:
    command = commands.add_parser(
        "new-key",
        help="make an access key",
        description="Print a new access key as a profile of a credentials file, for the server's "
        "(auth sigv4:///FILE) and for the client's (~/.aws/credentials).",
    )
    command.set_defaults(run=_print_new_key)
    command.add_argument("name", help="the profile: whose key it is")


def _add_new_token(commands: Any) -> None:
    command = commands.add_parser(
        "new-token",
        help="make a bearer token",
        description="Print the hash of a new bearer token as a section of the server's file (auth "
        "bearer:///FILE), and the token itself, which is kept nowhere, to standard error.",
    )
    command.set_defaults(run=_print_new_token)
    command.add_argument("name", help="the section: whose token it is")


def _count(text: str, low: int = 0) -> int:
    if int(text) < low:
        raise ValueError
    return int(text)


def _positive(text: str) -> int:
    return _count(text, 1)


_count.__name__ = _positive.__name__ = "int"  # as argparse calls it in its errors


def _add_settings(command: argparse.ArgumentParser) -> None:
    command.add_argument("--executor", help=f"where events go ({DEFAULT_EXECUTOR})")
    command.add_argument("--region", help="region of the functions' ARNs (us-east-1)")
    command.add_argument("--account-id", help="account of the functions' ARNs (123456789012)")


def _settings_of(options: argparse.Namespace) -> dict[str, Any]:
    settings = {"executor": DEFAULT_EXECUTOR, **read_settings(os.environ)}
    for name in ("auth", "policies", "executor", "region", "account_id"):
        if getattr(options, name, None) is not None:
            settings[name] = getattr(options, name)
    return settings


def _print_new_key(options: argparse.Namespace) -> None:
    from .auth.credentials import Credential, new_key

    access_key_id, secret_access_key = new_key()
    Credential(secret_access_key, options.name)  # refuses what can be nobody's name
    print(
        f"[{options.name}]\n"
        f"aws_access_key_id = {access_key_id}\n"
        f"aws_secret_access_key = {secret_access_key}"
    )


def _print_new_token(options: argparse.Namespace) -> None:
    from .auth.tokens import Token, hash_of, new_token

    token = new_token()
    Token(options.name)
    print(f"[{options.name}]\nsha256 = {hash_of(token)}")
    print(token, file=sys.stderr)


def _show_config(options: argparse.Namespace) -> None:
    application = load_application(options.target, _worker_settings(options))
    found = explain.rows(application.service.catalog, options.function)
    with operate.printing():
        explain.show(found, as_json=options.json)


def _worker_settings(options: argparse.Namespace) -> dict[str, Any]:
    """Whoever serves nobody needs no keys and no policies."""
    return {**_settings_of(options), "auth": "nobody", "policies": None}


def _executor_of(options: argparse.Namespace) -> object:
    return _settings_of(options)["executor"]


def _serve(options: argparse.Namespace) -> None:
    settings = _settings_of(options)
    if options.worker_processes:
        _check_for_worker_processes(settings)
    is_open = settings.get("auth") == "none"
    if is_open and not (options.allow_unauthenticated or _is_loopback(options.host)):
        raise ConfigurationError(
            f"auth='none' on {options.host!r} lets everybody who reaches it invoke and "
            "configure every function; bind a loopback address, or confirm with "
            "--allow-unauthenticated"
        )
    functions = load_functions(options.target)
    application = InvokeAsyncMiddleware(None, functions, **settings)
    server = _server(options.server)
    _refuse_taken_port(options.host, options.port)
    if options.worker_processes:  # once all is known to be right, so that one process says it
        _serve_and_work(options, settings)
        return
    names = ", ".join(function.name for function in functions) or "no functions yet"
    url = f"http://{_bracketed(options.host)}:{options.port}"
    print(f"serving {names} on {url}", flush=True)
    print(f"a 202 survives: {application.service.executor.promise}", flush=True)
    run = _run_werkzeug if server == "werkzeug" else _run_gunicorn
    run(application, options)


def _check_for_worker_processes(settings: dict[str, Any]) -> None:
    url = str(settings["executor"])
    if not url.startswith("sqlite:") or "workers=" in url:
        raise ConfigurationError(
            f"executor={url!r}: with --worker-processes it must be an 'sqlite:' URL without workers"
        )


def _serve_and_work(options: argparse.Namespace, settings: dict[str, Any]) -> None:
    """Serve in one process tree and run attempts in others, all of them looked after from here."""
    url = str(settings["executor"])
    given = _options_of(settings, "region", "account_id")
    this = [sys.executable, "-m", __package__, "--parent", str(os.getpid())]
    serve = [*this, "serve", options.target, *given, *_options_of(settings, "auth", "policies")]
    serve += ["--executor", f"{url}{'&' if '?' in url else '?'}workers=0"]
    for name in ("host", "port", "workers", "threads"):
        serve += [f"--{name}", str(getattr(options, name))]
    serve += ["--server", options.server] if options.server else []
    serve += ["--allow-unauthenticated"] if options.allow_unauthenticated else []
    work = [*this, "worker", options.target, "--executor", url, *given]
    worker.supervise([serve, *[work] * options.worker_processes])


def _options_of(settings: dict[str, Any], *names: str) -> list[str]:
    """Options for another process of ours, as far as there is something to say."""
    return [
        text
        for name in names
        if settings.get(name)
        for text in (f"--{name.replace('_', '-')}", settings[name])
    ]


def _work(options: argparse.Namespace) -> None:
    application = load_application(options.target, _worker_settings(options))
    if options.processes > 1:
        arguments = options.arguments
        at = arguments.index("worker")
        this = [sys.executable, "-m", __package__, "--parent", str(os.getpid())]
        command = [*this, *arguments[at:], "--processes", "1"]
        worker.supervise([command] * options.processes)
        return
    executor = application.service.executor
    names = ", ".join(function.name for function in application.service.functions)
    print(f"running {names or 'no functions yet'}", flush=True)
    worker.run(executor, workers=options.threads, drain_timeout_s=options.drain_timeout)


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
            for name in ("worker_class", "post_worker_init", "worker_exit"):
                self.cfg.set(name, getattr(hooks, name))
            if "control_socket_disable" in self.cfg.settings:  # one per user, not per server
                self.cfg.set("control_socket_disable", True)

        def load(self) -> Any:
            return application

    Server().run()
    raise SystemExit(0)


def _run_werkzeug(application: InvokeAsyncMiddleware, options: argparse.Namespace) -> None:
    from werkzeug.serving import run_simple

    process.drain_on_sigterm()
    process.start_all()
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
