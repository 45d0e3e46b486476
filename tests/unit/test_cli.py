"""The command line: what it serves and runs, and what it says of a target that it cannot use."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from invokeasync_wsgi import cli
from invokeasync_wsgi.cli import load_application, load_functions, main
from invokeasync_wsgi.errors import ConfigurationError
from invokeasync_wsgi.executors.durable import DurableExecutor

_SITE = """
from flask import Flask
from invokeasync_wsgi import Functions, InvokeAsyncMiddleware
from invokeasync_wsgi.flask import InvokeAsync

functions = Functions()
functions.add("note", print)
nothing = None


class holder:
    functions = functions


def make():
    settings = {"auth": "none", "executor": "inline:", "region": "eu-west-1"}
    return InvokeAsyncMiddleware(None, functions, **settings)


def make_functions():
    return functions


def make_flask():
    app = Flask("site")
    app.config["INVOKEASYNC_REGION"] = "eu-west-1"
    InvokeAsync(functions=functions).init_app(app, auth="none", executor="inline:")
    return app


def make_plain():
    return Flask("plain")


def fail():
    raise ValueError("as it must")


middleware, flask, plain = make(), make_flask(), make_plain()
"""


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("INVOKEASYNC_"):
            monkeypatch.delenv(name)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "site_of_test_cli.py").write_text(_SITE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "site_of_test_cli", raising=False)
    return "site_of_test_cli"


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def run(*arguments: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
        return capsys.readouterr().err

    return run


def test_a_target_is_a_registry_in_a_module(module: str) -> None:
    assert [function.name for function in load_functions(f"{module}:functions")] == ["note"]


def test_a_target_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "functions.toml"
    path.write_text('[functions.note]\nhandler = "json:dumps"\n')
    assert [function.name for function in load_functions(str(path))] == ["note"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (":nowhere", "has no attribute 'nowhere'"),
        (":nothing", "it is no Functions registry but None"),
        ("", "it must be module:name, or a .toml or .json file"),
        ("_missing:functions", "No module named"),
    ],
)
def test_a_target_that_is_no_registry_is_refused(module: str, name: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        load_functions(module + name)


def test_serving_needs_to_be_told_how_callers_are_authenticated(
    module: str, fails: Callable[..., str]
) -> None:
    assert "say how callers are authenticated" in fails("serve", f"{module}:functions")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "example.org"])
def test_an_open_door_to_the_world_must_be_confirmed(
    module: str, fails: Callable[..., str], host: str
) -> None:
    said = fails("serve", f"{module}:functions", "--auth", "none", "--host", host)
    assert "confirm with --allow-unauthenticated" in said


def test_a_door_that_is_not_open_needs_no_confirmation(
    module: str, fails: Callable[..., str]
) -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = str(taken.getsockname()[1])
        arguments = ["--auth", "nobody", "--host", "0.0.0.0", "--port", port]
        said = fails("serve", f"{module}:functions", *arguments)
    assert said == f"invokeasync-wsgi: cannot bind 0.0.0.0:{port}: Address already in use\n"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--auth", "sigv5:///keys.ini"], "there is no auth 'sigv5'; did you mean 'sigv4'?"),
        (["--auth", "sigv4:///missing.ini"], "missing.ini': No such file or directory"),
        (["--auth", "nobody", "--policies", "missing.json"], "missing.json': No such file or"),
    ],
)
def test_keys_and_policies_that_cannot_be_used_are_one_clear_line(
    module: str, fails: Callable[..., str], arguments: list[str], text: str
) -> None:
    said = fails("serve", f"{module}:functions", *arguments)
    assert text in said
    assert said.count("\n") == 1


def test_a_taken_port_is_one_clear_line(module: str, fails: Callable[..., str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = fails("serve", f"{module}:functions", "--auth", "none", "--port", port)
    assert said == f"invokeasync-wsgi: cannot bind 127.0.0.1:{port}: Address already in use\n"


def test_a_bad_setting_is_one_clear_line(module: str, fails: Callable[..., str]) -> None:
    said = fails("serve", f"{module}:functions", "--auth", "none", "--region", "here")
    assert (
        said == "invokeasync-wsgi: region='here': it must be an AWS region, such as 'us-east-1'\n"
    )


# --- what can be said ---------------------------------------------------------------------------


def parse(*arguments: str) -> argparse.Namespace:
    return cli._parser().parse_args(arguments)


def test_serving_has_defaults_for_all_but_the_target() -> None:
    options = vars(parse("serve", "site:functions"))
    del options["run"], options["parent"]
    assert options == {
        "target": "site:functions",
        "host": "127.0.0.1",
        "port": 8000,
        "workers": 1,
        "threads": 4,
        "worker_processes": 0,
        "server": None,
        "auth": None,
        "policies": None,
        "executor": None,
        "region": None,
        "account_id": None,
        "allow_unauthenticated": False,
    }


def test_a_worker_has_defaults_for_all_but_the_target() -> None:
    options = vars(parse("worker", "site:functions"))
    del options["run"], options["parent"]
    assert options == {
        "target": "site:functions",
        "executor": None,
        "region": None,
        "account_id": None,
        "processes": 1,
        "threads": None,
        "drain_timeout": 8.0,
    }


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["serve"],
        ["worker"],
        ["work", "site:functions"],
        ["serve", "site:functions", "--server", "apache"],
        ["serve", "site:functions", "--port", "http"],
        ["serve", "site:functions", "--worker-processes", "many"],
        ["serve", "site:functions", "--worker-processes", "-1"],
        ["worker", "site:functions", "--processes", "0"],
        ["worker", "site:functions", "--threads", "0"],
        ["worker", "site:functions", "--threads", "-1"],
        ["worker", "site:functions", "--drain-timeout", "soon"],
    ],
    ids=" ".join,
)
def test_what_makes_no_sense_is_refused_before_anything_starts(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(*arguments)
    assert ended.value.code == 2


# --- settings -----------------------------------------------------------------------------------


def test_events_go_to_a_file_in_the_current_directory() -> None:
    assert cli._settings_of(parse("serve", "site:functions")) == {
        "executor": "sqlite:///invocations.db"
    }


def test_settings_come_from_the_environment_where_they_are_not_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("INVOKEASYNC_EXECUTOR", "threads:?workers=2")
    monkeypatch.setenv("INVOKEASYNC_AUTH", "none")
    monkeypatch.setenv("INVOKEASYNC_REGION", "eu-west-1")
    monkeypatch.setenv("INVOKEASYNC_MAX_EVENT_BYTES", "10")
    options = parse("serve", "site:functions", "--executor", "inline:", "--account-id", "1" * 12)
    assert cli._settings_of(options) == {
        "executor": "inline:",
        "auth": "none",
        "region": "eu-west-1",
        "account_id": "1" * 12,
        "max_event_bytes": 10,
    }


def test_policies_come_with_the_callers() -> None:
    options = parse("serve", "site:functions", "--auth", "sigv4:", "--policies", "p.json")
    settings = cli._settings_of(options)
    assert (settings["auth"], settings["policies"]) == ("sigv4:", "p.json")


def test_a_worker_needs_neither_keys_nor_policies(monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers nobody, and may run where there are none."""
    monkeypatch.setenv("INVOKEASYNC_AUTH", "sigv4:///missing.ini")
    monkeypatch.setenv("INVOKEASYNC_POLICIES", "missing.json")
    settings = cli._worker_settings(parse("worker", "site:functions"))
    assert (settings["auth"], settings["policies"]) == ("nobody", None)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("INVOKEASYNC_REGOIN", "x", "did you mean 'INVOKEASYNC_REGION'?"),
        ("INVOKEASYNC_MAX_EVENT_BYTES", "x", "MAX_EVENT_BYTES='x': it must be a whole number"),
        ("INVOKEASYNC_EXECUTOR", "thread:", "did you mean 'threads'?"),
    ],
)
@pytest.mark.parametrize("command", ["serve", "worker"])
def test_a_bad_setting_in_the_environment_is_one_clear_line(
    module: str,
    fails: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    name: str,
    value: str,
    text: str,
) -> None:
    monkeypatch.setenv(name, value)
    monkeypatch.setenv("INVOKEASYNC_AUTH", "none")
    said = fails(command, f"{module}:functions")
    assert text in said
    assert said.count("\n") == 1


# --- worker processes ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "executor", ["threads:", "inline:", "sqlite:///q.db?workers=2", "sqlite:///q.db?workers=0"]
)
@pytest.mark.parametrize("by", ["argument", "environment"])
def test_worker_processes_need_a_file_and_decide_on_workers_themselves(
    module: str,
    tmp_path: Path,
    fails: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    executor: str,
    by: str,
) -> None:
    given = ["--executor", executor] if by == "argument" else []
    if by == "environment":
        monkeypatch.setenv("INVOKEASYNC_EXECUTOR", executor)
    arguments = [f"{module}:functions", "--auth", "none", "--worker-processes", "2"]
    said = fails("serve", *arguments, *given)
    assert said == (
        f"invokeasync-wsgi: executor='{executor}': with --worker-processes it must be an "
        "'sqlite:' URL without workers\n"
    )
    assert not (tmp_path / "q.db").exists()


# --- applications -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["functions", "holder.functions", "make_functions()"])
def test_an_application_is_made_of_a_registry(module: str, tmp_path: Path, name: str) -> None:
    settings = {"auth": "none", "executor": "sqlite:///q.db", "region": "eu-west-2"}
    service = load_application(f"{module}:{name}", settings).service
    assert [function.name for function in service.functions] == ["note"]
    assert service.settings.region == "eu-west-2"
    assert isinstance(service.executor, DurableExecutor)
    assert service.executor.path == tmp_path / "q.db"


@pytest.mark.parametrize("kind", ["toml", "json"])
def test_an_application_is_made_of_a_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"functions.{kind}"
    path.write_text(
        '[functions.note]\nhandler = "json:dumps"\n'
        if kind == "toml"
        else '{"functions": {"note": {"handler": "json:dumps"}}}'
    )
    service = load_application(str(path), {"auth": "none", "executor": "inline:"}).service
    assert [function.name for function in service.functions] == ["note"]


@pytest.mark.parametrize("name", ["middleware", "make()", "flask", "make_flask()"])
def test_an_application_is_taken_as_it_is(module: str, name: str) -> None:
    """With its own settings: those of a registry are not for it."""
    middleware = load_application(f"{module}:{name}", {"auth": "none", "region": "eu-west-2"})
    assert middleware.service.settings.region == "eu-west-1"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (":nothing", "a Flask application with InvokeAsync, not None"),
        (":plain", "a Flask application with InvokeAsync, not <Flask 'plain'>"),
        (":make_plain()", "a Flask application with InvokeAsync, not <Flask 'plain'>"),
        (":make", "a Flask application with InvokeAsync, not <function make"),
        (":nowhere", "has no attribute 'nowhere'"),
        (":nowhere()", "has no attribute 'nowhere'"),
        (":holder.nothing", "has no attribute 'nothing'"),
        (":nothing()", "target .*:nothing\\(\\)"),
        (":holder.functions()", "target .*:holder.functions\\(\\)"),
        (":", "it must be module:name, or a .toml or .json file"),
        ("", "it must be module:name, or a .toml or .json file"),
        ("_missing:functions", "No module named"),
    ],
)
def test_what_is_no_application_is_refused(module: str, name: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        load_application(module + name, {"auth": "none"})


@pytest.mark.parametrize("load", [load_functions, lambda target: load_application(target, {})])
@pytest.mark.parametrize("target", [".site:functions", "..:functions", "missing.toml", "a b:c"])
def test_a_target_that_is_not_there_is_refused(
    module: str, load: Callable[[str], Any], target: str
) -> None:
    with pytest.raises(ConfigurationError):
        load(target)


def test_what_goes_wrong_in_an_application_is_shown_as_it_is(module: str) -> None:
    with pytest.raises(ValueError, match="as it must") as raised:
        load_application(f"{module}:fail()", {})
    assert not isinstance(raised.value, ConfigurationError)


@pytest.mark.parametrize("target", ["middleware", "flask"])
def test_a_worker_needs_events_that_other_processes_keep(
    module: str, fails: Callable[..., str], target: str
) -> None:
    said = fails("worker", f"{module}:{target}")
    assert "keeps no events that other processes can run; 'sqlite:" in said
    assert said.count("\n") == 1
