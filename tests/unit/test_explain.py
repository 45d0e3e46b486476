"""explain.py: the command ``config`` says of every value where it comes from."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from flask import Flask

from invokeasync_wsgi import Functions, InvokeAsyncMiddleware
from invokeasync_wsgi.cli import main
from invokeasync_wsgi.flask import InvokeAsync
from invokeasync_wsgi.testing import Client

SITE = """
from invokeasync_wsgi import Functions

functions = Functions()

def thumbnail(event, context):
    pass

functions.add(
    "thumbnail",
    thumbnail,
    timeout_s=30,
    reserved_concurrency=2,
    maximum_retry_attempts=1,
    on_failure="file:///var/spool/failed/",
    versions={"1": thumbnail},
    aliases={"live": "1"},
    policy={"Statement": {"Sid": "declared", "Effect": "Allow", "Principal": "*",
                          "Action": "lambda:InvokeFunction", "Resource": "*"}},
)
functions.add("plain", thumbnail)
"""

F = "/functions/thumbnail"


class Site(NamedTuple):
    """A directory with an application and its queue."""

    functions: Functions
    client: Client
    executor: str

    def set(self, method: str, path: str, members: object = None, query: str = "") -> None:
        body = b"" if members is None else json.dumps(members).encode()
        assert self.client.request(method, path, body, query=query).status < 300


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """An application in the current directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (tmp_path / "site_of_config.py").write_text(SITE)
    import importlib

    module = importlib.import_module("site_of_config")
    executor = f"sqlite:///{tmp_path.name}.db"
    app = InvokeAsyncMiddleware(None, module.functions, auth="none", executor=executor)
    yield Site(module.functions, Client(app), executor)
    app.close()
    sys.modules.pop("site_of_config", None)


#: Runs the command for a function, or for all.
Rows = Callable[..., dict[str, tuple[Any, ...]]]


@pytest.fixture
def rows(site: Site, capsys: pytest.CaptureFixture[str]) -> Rows:
    """Runs the command; its rows by what they are of: value, source, what is declared."""

    def run(*arguments: str) -> dict[str, tuple[Any, ...]]:
        target = ("site_of_config:functions", "--executor", site.executor, "--json")
        main(["config", *target, *arguments])
        found = {}
        for line in capsys.readouterr().out.splitlines():
            row = json.loads(line)
            qualifier = "" if row["qualifier"] is None else f":{row['qualifier']}"
            key = f"{row['function']}{qualifier} {row['setting']}"
            assert key not in found
            found[key] = (row["value"], row["source"], row["declared"])
        return found

    return run


def test_what_nobody_says_is_a_default_and_the_rest_declared(
    rows: Rows,
) -> None:
    assert rows("--function", "thumbnail") == {
        "thumbnail handler": ("site_of_config:thumbnail", "declared", None),
        "thumbnail description": ("", "default", None),
        "thumbnail timeout_s": (30, "declared", None),
        "thumbnail memory_limit_in_mb": (128, "default", None),
        "thumbnail runtime": (f"python3.{sys.version_info.minor}", "default", None),
        "thumbnail reserved_concurrency": (2, "declared", None),
        "thumbnail recursive_loop": ("Terminate", "default", None),
        "thumbnail dead_letter": (None, "default", None),
        "thumbnail:$LATEST maximum_retry_attempts": (1, "declared", None),
        "thumbnail:$LATEST maximum_event_age_s": (21600, "default", None),
        "thumbnail:$LATEST on_success": (None, "default", None),
        "thumbnail:$LATEST on_failure": ("file:///var/spool/failed/", "declared", None),
        "thumbnail:1 version": ("site_of_config:thumbnail", "declared", None),
        "thumbnail:live alias": ("1", "declared", None),
        "thumbnail permission": (
            {
                "Sid": "declared",
                "Effect": "Allow",
                "Principal": "*",
                "Action": "lambda:InvokeFunction",
                "Resource": "*",
            },
            "declared",
            None,
        ),
    }


def test_what_clients_have_set_is_told_beside_what_it_hides(site: Site, rows: Rows) -> None:
    before = rows()
    site.set("PUT", f"/2017-10-31{F}/concurrency", {"ReservedConcurrentExecutions": 0})
    site.set("PUT", f"/2024-08-31{F}/recursion-config", {"RecursiveLoop": "Allow"})
    site.set("PUT", f"/2019-09-25{F}/event-invoke-config", {"MaximumEventAgeInSeconds": 60})
    site.set(
        "PUT", f"/2019-09-25{F}/event-invoke-config", {"MaximumRetryAttempts": 0}, "Qualifier=1"
    )
    site.set("POST", f"/2015-03-31{F}/versions")
    weights = {"AdditionalVersionWeights": {"1": 0.25}}
    alias = {"FunctionVersion": "2", "RoutingConfig": weights}
    site.set("PUT", f"/2015-03-31{F}/aliases/live", alias)
    site.set("POST", f"/2015-03-31{F}/aliases", {"Name": "new", "FunctionVersion": "2"})
    permission = {"StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "*"}
    site.set("POST", f"/2015-03-31{F}/policy", permission, "Qualifier=live")
    after = rows()
    changed = {key: after[key] for key in after if after[key] != before.get(key)}
    [published] = [changed.pop("thumbnail:2 version")]
    assert published[0]["handler"] == "site_of_config:thumbnail"
    assert (published[0]["timeout_s"], *published[1:]) == (30, "set", None)
    [statement] = [changed.pop("thumbnail:live permission")]
    assert (statement[0]["Sid"], *statement[1:]) == ("s", "set", None)
    failed = "file:///var/spool/failed/"
    assert changed == {
        "thumbnail reserved_concurrency": (0, "set", 2),
        "thumbnail recursive_loop": ("Allow", "set", None),
        "thumbnail:$LATEST maximum_retry_attempts": (2, "default", 1),
        "thumbnail:$LATEST maximum_event_age_s": (60, "set", None),
        "thumbnail:$LATEST on_failure": (None, "default", failed),
        "thumbnail:1 maximum_retry_attempts": (0, "set", 1),
        "thumbnail:1 maximum_event_age_s": (21600, "default", None),
        "thumbnail:1 on_success": (None, "default", None),
        "thumbnail:1 on_failure": (None, "default", failed),
        "thumbnail:live alias": ({"version": "2", "weights": {"1": 0.25}}, "set", "1"),
        "thumbnail:new alias": ("2", "set", None),
    }
    assert before.keys() <= after.keys()


def test_a_line_says_what_it_is_and_where_it_comes_from(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.set("PUT", f"/2017-10-31{F}/concurrency", {"ReservedConcurrentExecutions": 0})
    main(["config", "site_of_config:functions", "--executor", site.executor])
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == ["thumbnail", "plain"]
    assert [line.split() for line in lines if "reserved_concurrency" in line] == [
        ["reserved_concurrency", "0", "set", "(declared:", "2)"],
        ["reserved_concurrency", "-", "default"],
    ]


def test_no_secret_of_an_address_is_shown(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INVOKEASYNC_WEBHOOK_SECRET", "whsec_" + "QUFB" * 8)
    address = "https://example.com/hook?token=secret-token"
    site.functions.add("hooked", print, on_failure=address, dead_letter=address)
    site.set("POST", "/2015-03-31/functions/hooked/versions")
    for arguments in ([], ["--json"]):
        main(["config", "site_of_config:functions", "--executor", site.executor, *arguments])
        shown = capsys.readouterr().out
        assert "https://example.com/hook?" in shown
        assert "secret-token" not in shown


def test_no_secret_of_what_is_set_of_a_function_that_is_gone_is_shown(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INVOKEASYNC_WEBHOOK_SECRET", "whsec_" + "QUFB" * 8)
    address = "https://example.com/hook?token=secret-token"
    site.functions.add("gone", print, dead_letter=address)
    site.set("POST", "/2015-03-31/functions/gone/versions")
    site.functions._by_name.pop("gone")
    for arguments in ([], ["--json"]):
        main(["config", "site_of_config:functions", "--executor", site.executor, *arguments])
        shown = capsys.readouterr().out
        assert "https://example.com/hook?" in shown
        assert "secret-token" not in shown


def test_what_cannot_be_read_is_of_one_function(site: Site, rows: Rows) -> None:
    site.set("PUT", f"/2017-10-31{F}/concurrency", {"ReservedConcurrentExecutions": 0})
    path = site.executor.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE overrides SET document = '?'")
        connection.execute("UPDATE marks SET value = 'another'")
    found = rows()
    assert found["plain timeout_s"] == (3, "default", None)
    assert [key for key in found if key.startswith("thumbnail")] == ["thumbnail out of order"]
    assert rows("--function", "plain").keys() == {key for key in found if key.startswith("plain")}


def test_an_alias_for_a_version_that_is_gone_is_shown(site: Site, rows: Rows) -> None:
    site.set("POST", f"/2015-03-31{F}/aliases", {"Name": "new", "FunctionVersion": "1"})
    thumbnail = site.functions._by_name.pop("thumbnail")
    site.functions.add("thumbnail", thumbnail.handler)
    assert rows()["thumbnail:new alias of no version"] == ("1", "set", None)


def test_an_unknown_function_is_an_error(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    target = ["site_of_config:functions", "--executor", site.executor]
    with pytest.raises(SystemExit) as ended:
        main(["config", *target, "--function", "nobody"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == "invokeasync-wsgi: there is no function 'nobody'\n"


def test_what_is_set_of_a_function_that_is_gone_is_shown_and_can_be_forgotten(
    site: Site, rows: Rows, capsys: pytest.CaptureFixture[str]
) -> None:
    site.functions.add("gone", print)
    site.set("PUT", "/2017-10-31/functions/gone/concurrency", {"ReservedConcurrentExecutions": 0})
    site.set("PUT", f"/2017-10-31{F}/concurrency", {"ReservedConcurrentExecutions": 0})
    site.functions._by_name.pop("gone")
    assert rows("--function", "gone").keys() == {"gone not declared"}
    assert rows()["gone not declared"] == ({"reserved_concurrency": 0}, "set", None)
    main(["forget", "gone", "--executor", site.executor])
    assert capsys.readouterr().out == "forgotten\n"
    assert "gone not declared" not in rows()
    main(["forget", "thumbnail", "--executor", site.executor, "--json"])
    assert json.loads(capsys.readouterr().out) == {"forgotten": "thumbnail"}
    assert rows()["thumbnail reserved_concurrency"] == (2, "declared", None)
    with pytest.raises(SystemExit):
        main(["forget", "thumbnail", "--executor", site.executor])
    assert "nothing is set of a function 'thumbnail'" in capsys.readouterr().err


def test_flask_has_the_command_too(tmp_path: Path) -> None:
    app = Flask("site")
    app.config.update(INVOKEASYNC_AUTH="none", INVOKEASYNC_EXECUTOR=f"sqlite:///{tmp_path}/q.db")
    extension = InvokeAsync()
    extension.function("thumbnail", timeout_s=30)(print)
    extension.init_app(app)
    runner = app.test_cli_runner()
    said = runner.invoke(args=["invokeasync", "config", "--function", "thumbnail"])
    assert (said.exit_code, said.output.splitlines()[0]) == (0, "thumbnail")
    assert ["timeout_s", "30", "declared"] in [line.split() for line in said.output.splitlines()]
    said = runner.invoke(args=["invokeasync", "config", "--function", "nobody"])
    assert said.exit_code == 1
    assert "there is no function 'nobody'" in said.output
