"""The Flask door: Lambda's invoke calls inside a Flask application, in a line.

::

    invoke_async = InvokeAsync()

    @invoke_async.function("thumbnail", timeout_s=30)
    def thumbnail(event, context): ...

    def create_app():
        app = Flask(__name__)
        app.config["INVOKEASYNC_AUTH"] = "none"
        invoke_async.init_app(app)
        return app

Handlers run inside an application context: ``current_app``, ``g`` and ``teardown_appcontext`` work
as in a command, and there is no request (but for ``inline:``, which runs within one). The extension
wraps ``app.wsgi_app``, so the invoke paths are answered before Flask sees them: ``before_request``,
``errorhandler`` and ``MAX_CONTENT_LENGTH`` do not apply to them. ``ProxyFix`` belongs around it:
apply it after `InvokeAsync.init_app`.

One extension serves any number of applications; what belongs to one of them is under
``app.extensions["invokeasync"]``. Nothing is started before the first event of each process.
"""

from __future__ import annotations

import io
import os
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from dataclasses import fields
from typing import Any, cast

try:
    import click
    from flask import Flask, current_app
    from flask.cli import AppGroup
except ImportError as exc:
    raise ImportError("invokeasync_wsgi.flask needs Flask: pip install flask") from exc

from .clock import Clock
from .config import PREFIX, Settings, read_settings
from .errors import AWSError, ConfigurationError, StoreError
from .functions import Functions
from .process import DEFAULT_DRAIN_TIMEOUT_S
from .wsgi import InvokeAsyncMiddleware

_EXTENSION = "invokeasync"


class InvokeAsync:
    """The extension.

    Args:
        app: an application to set up at once: the same as calling `init_app`.
        functions: a registry to use; a new one by default.
        clock: what measures time; the system's by default.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        functions: Functions | None = None,
        clock: Clock | None = None,
    ) -> None:
        #: The functions of every application that this extension is set up on.
        self.functions = Functions() if functions is None else functions
        #: Registers the decorated callable: see `Functions.function`.
        self.function = self.functions.function
        #: Registers a callable or an import string: see `Functions.add`.
        self.add = self.functions.add
        self._clock = clock
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask, **settings: Any) -> None:
        """Serve the invoke calls of ``app``.

        Settings are read here, once: from the arguments, then ``app.config``, then the
        environment, the latter two under ``INVOKEASYNC_<FIELD>``. What was chosen stands in
        ``app.config`` afterwards; changing it there has no effect.

        Args:
            app: the application.
            settings: fields of `config.Settings`.

        Raises:
            ConfigurationError: a setting is unknown or cannot be used, or ``auth`` is not set.
            RuntimeError: the application is set up already.
        """
        if _EXTENSION in app.extensions:
            raise RuntimeError(
                "This Flask application has an InvokeAsync extension already. Did you call "
                "init_app twice, or create two extensions? One serves all functions."
            )
        values = {**read_settings(app.config, os.environ), **settings}
        middleware = InvokeAsyncMiddleware(
            app.wsgi_app,
            self.functions,
            clock=self._clock,
            surroundings=app.app_context,
            **values,
        )
        for field in fields(Settings):
            chosen = getattr(middleware.service.settings, field.name)
            app.config[PREFIX + field.name.upper()] = chosen
        app.extensions[_EXTENSION] = middleware
        app.wsgi_app = middleware  # type: ignore[method-assign]
        app.cli.add_command(_commands)

    def submit(self, function_name: str, event: object = None, **options: Any) -> str:
        """Invoke a function of the current application, without HTTP: see `Service.submit`.

        Raises:
            RuntimeError: there is no application context, or its application is not set up.
            AWSError: no such function, too large, no room in the queue: see `Service.submit`.
            TypeError, ValueError: the event has no JSON form.
        """
        return _middleware_of(current_app).submit(function_name, event, **options)

    def drain(self, app: Flask, timeout_s: float = DEFAULT_DRAIN_TIMEOUT_S) -> None:
        """Accept nothing more for ``app`` in this process and finish what was accepted."""
        _middleware_of(app).drain(timeout_s)


def _middleware_of(app: Flask) -> InvokeAsyncMiddleware:
    try:
        return cast(InvokeAsyncMiddleware, app.extensions[_EXTENSION])
    except KeyError:
        raise RuntimeError(
            "This Flask application has no InvokeAsync extension. Did you forget to call "
            "init_app, or create two extensions?"
        ) from None


_commands = AppGroup("invokeasync", help="Functions that Lambda's clients can invoke.")


@_commands.command("functions")
def _list_functions() -> None:
    """List the functions, with their timeouts."""
    for function in _middleware_of(current_app).service.functions:
        click.echo(f"{function.name}\t{function.timeout_s:g} s\t{function.description}".rstrip())


@_commands.command("invoke")
@click.argument("function_name")
@click.argument("event", default="{}")
@click.option("--qualifier", help="A version or an alias.")
def _invoke(function_name: str, event: str, qualifier: str | None) -> None:
    """Run FUNCTION_NAME here and now with EVENT (JSON).

    Its result goes to standard output, its log to standard error.
    """
    service = _middleware_of(current_app).service
    try:
        with ExitStack() as stack:
            if service.settings.capture_output:  # what it writes is in its log then
                stack.enter_context(redirect_stdout(io.StringIO()))
                stack.enter_context(redirect_stderr(io.StringIO()))
            outcome = service.invoke(function_name, event.encode(), qualifier=qualifier)
    except AWSError as exc:
        raise click.ClickException(f"{exc.code}: {exc.message}") from exc
    click.echo(outcome.log(), err=True, nl=False)
    click.echo(outcome.payload)
    if outcome.function_error is not None:
        raise SystemExit(1)


@_commands.command("worker")
@click.option("--threads", type=int, help="Attempts at once; the executor's workers, or 8.")
@click.option(
    "--drain-timeout",
    type=float,
    default=DEFAULT_DRAIN_TIMEOUT_S,
    show_default=True,
    help="Seconds for what is running at the end.",
)
def _work(threads: int | None, drain_timeout: float) -> None:
    """Run the events of the queue here, until told to end (SIGTERM, ctrl-C)."""
    from . import worker

    executor = _middleware_of(current_app).service.executor
    try:
        worker.run(executor, workers=threads, drain_timeout_s=drain_timeout)
    except (ConfigurationError, StoreError) as exc:
        raise click.ClickException(str(exc)) from exc


@_commands.command("config")
@click.option("--function", "function_name", help="Only this function.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def _show_config(function_name: str | None, as_json: bool) -> None:
    """Show the functions' values, and where each comes from."""
    from . import explain, operate

    catalog = _middleware_of(current_app).service.catalog
    try:
        found = explain.rows(catalog, function_name)
        with operate.printing():
            explain.show(found, as_json=as_json)
    except (ConfigurationError, StoreError) as exc:
        raise click.ClickException(str(exc)) from exc


def _add_operating_command(name: str, text: str) -> None:
    """The command of ``invokeasync-wsgi`` with this name, for the application's own queue."""

    @_commands.command(
        name,
        help=text,
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    )
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def _operate(arguments: tuple[str, ...]) -> None:
        from . import operate

        executor = _middleware_of(current_app).service.executor
        try:
            operate.main([name, *arguments], executor)
        except (ConfigurationError, StoreError) as exc:
            raise click.ClickException(str(exc)) from exc


for _name, _text in (
    ("list", "List events of the queue, dead letters unless told otherwise."),
    ("show", "Show all that is known of an event."),
    ("redrive", "Have dead letters run again."),
    ("purge", "Remove dead letters for good."),
    ("forget", "Remove all that clients have set of a function."),
):
    _add_operating_command(_name, _text)
