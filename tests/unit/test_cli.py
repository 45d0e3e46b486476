"""The command line: what it serves, and what it says of a target that it cannot serve."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from invokeasync_wsgi.cli import load_functions, main
from invokeasync_wsgi.errors import ConfigurationError


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "site_of_test_cli.py").write_text(
        "from invokeasync_wsgi import Functions\n"
        "functions = Functions()\n"
        "functions.add('note', print)\n"
        "nothing = None\n"
    )
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
