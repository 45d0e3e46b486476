"""The Flask extension: settings, application contexts, views, several applications, commands."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, current_app, g, has_request_context
from werkzeug.middleware.proxy_fix import ProxyFix

from invokeasync_wsgi import ConfigurationError, Functions
from invokeasync_wsgi.errors import ResourceNotFoundException
from invokeasync_wsgi.executors.durable import DurableExecutor
from invokeasync_wsgi.flask import InvokeAsync
from invokeasync_wsgi.testing import Client

from ..waiting import eventually


@pytest.fixture
def extension() -> InvokeAsync:
    return InvokeAsync()


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("INVOKEASYNC_"):
            monkeypatch.delenv(name)


def make_app(extension: InvokeAsync, **config: Any) -> Flask:
    app = Flask("tests.site")
    app.config.update(
        {"INVOKEASYNC_AUTH": "none", "INVOKEASYNC_EXECUTOR": "inline:", "SITE": "one", **config}
    )
    extension.init_app(app)

    @app.get("/")
    def index() -> str:
        return "the application"

    return app


def test_invoke_paths_are_answered_and_the_rest_is_flasks(extension: InvokeAsync) -> None:
    ran = []
    extension.add("note", lambda event, context: ran.append(event))
    app = make_app(extension)
    http = app.test_client()
    assert http.get("/").text == "the application"
    assert http.post("/2014-11-13/functions/note/invoke-async/", data=b"[1]").status_code == 202
    assert http.post("/2014-11-13/functions/nobody/invoke-async/").status_code == 404
    assert http.get("/2014-11-13/nothing").text.startswith("<!doctype html>")
    assert ran == [[1]]


def test_a_handler_runs_in_an_application_context_and_without_a_request(
    extension: InvokeAsync,
) -> None:
    torn_down = []

    @extension.function
    def look(event: Any, context: Any) -> list[Any]:
        g.mine = True
        if event.get("fail"):
            raise ValueError("as told")
        return [current_app.config["SITE"], has_request_context(), current_app.name]

    app = make_app(extension)

    @app.teardown_appcontext
    def forget(exc: BaseException | None) -> None:
        torn_down.append((g.pop("mine", None), exc and str(exc)))

    client = Client(app)
    assert json.loads(client.invoke("look", b"{}").body) == ["one", False, "tests.site"]
    client.invoke("look", b'{"fail": true}')
    assert torn_down == [(True, None), (True, "as told")]


def test_a_view_submits_without_http(extension: InvokeAsync) -> None:
    ran = []
    extension.add("note", lambda event, context: ran.append((context.aws_request_id, event)))
    app = make_app(extension)

    @app.post("/pictures")
    def upload() -> str:
        return extension.submit("note", {"key": "a.png"})

    request_id = app.test_client().post("/pictures").text
    assert ran == [(request_id, {"key": "a.png"})]
    with app.app_context(), pytest.raises(ResourceNotFoundException):
        extension.submit("nobody")


def test_one_extension_serves_several_applications(extension: InvokeAsync) -> None:
    extension.add("where", lambda event, context: current_app.config["SITE"])
    one, two = make_app(extension), make_app(extension, SITE="two", INVOKEASYNC_REGION="eu-west-1")
    assert Client(one).invoke("where").body == b'"one"'
    assert Client(two).invoke("where").body == b'"two"'
    arn = "arn:aws:lambda:eu-west-1:123456789012:function:where"
    assert [Client(app).invoke(arn).status for app in (one, two)] == [404, 200]


def test_two_extensions_on_one_application_are_refused(extension: InvokeAsync) -> None:
    app = make_app(extension)
    with pytest.raises(RuntimeError, match="Did you call init_app twice"):
        extension.init_app(app)
    with pytest.raises(RuntimeError, match="Did you call init_app twice"):
        InvokeAsync(app)


def test_an_application_that_is_not_set_up_is_told_apart(extension: InvokeAsync) -> None:
    with Flask("tests.other").app_context(), pytest.raises(RuntimeError, match="Did you forget"):
        extension.submit("note")


def test_settings_come_from_arguments_then_the_configuration_then_the_environment(
    extension: InvokeAsync, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INVOKEASYNC_AUTH", "none")
    monkeypatch.setenv("INVOKEASYNC_REGION", "eu-west-1")
    monkeypatch.setenv("INVOKEASYNC_MAX_EVENT_BYTES", "10")
    monkeypatch.setenv("INVOKEASYNC_CAPTURE_OUTPUT", "false")
    app = Flask("tests.site")
    app.config["INVOKEASYNC_REGION"] = "eu-west-2"
    app.config["INVOKEASYNC_MAX_EVENT_BYTES"] = 20
    extension.init_app(app, max_event_bytes=30)
    chosen = {k: v for k, v in app.config.items() if k.startswith("INVOKEASYNC_")}
    assert chosen["INVOKEASYNC_AUTH"] == "none"
    assert chosen["INVOKEASYNC_REGION"] == "eu-west-2"
    assert chosen["INVOKEASYNC_MAX_EVENT_BYTES"] == 30
    assert chosen["INVOKEASYNC_CAPTURE_OUTPUT"] is False
    assert chosen["INVOKEASYNC_EXECUTOR"] == "threads:"


@pytest.mark.parametrize(
    ("config", "text"),
    [
        pytest.param({"INVOKEASYNC_AUTH": None}, "auth=None: say how callers", id="no auth"),
        pytest.param(
            {"INVOKEASYNC_REGOIN": "x"}, "did you mean 'INVOKEASYNC_REGION'", id="unknown setting"
        ),
        pytest.param(
            {"INVOKEASYNC_EXECUTOR": "thread:"}, "did you mean 'threads'", id="unknown executor"
        ),
        pytest.param(
            {"INVOKEASYNC_ACCOUNT_ID": "12"}, "account_id='12': it must be", id="bad value"
        ),
        pytest.param(
            {"INVOKEASYNC_CAPTURE_OUTPUT": "maybe"},
            "CAPTURE_OUTPUT='maybe': it must be",
            id="no flag",
        ),
    ],
)
def test_a_bad_setting_is_refused_when_the_application_is_set_up(
    extension: InvokeAsync, config: dict[str, Any], text: str
) -> None:
    with pytest.raises(ConfigurationError, match=text):
        make_app(extension, **config)


def test_a_registry_made_elsewhere_can_be_used() -> None:
    functions = Functions.from_mapping({"note": lambda event, context: "noted"})
    app = make_app(InvokeAsync(functions=functions))
    assert Client(app).invoke("note").body == b'"noted"'


def test_proxy_fix_goes_around_it(extension: InvokeAsync) -> None:
    app = make_app(extension)
    app.wsgi_app = ProxyFix(app.wsgi_app)  # type: ignore[method-assign]
    assert Client(app).invoke_async("nobody").status == 404


def test_the_drain_waits_for_what_was_accepted(extension: InvokeAsync) -> None:
    ran = []
    extension.add("note", lambda event, context: ran.append(event))
    app = make_app(extension, INVOKEASYNC_EXECUTOR="threads:?workers=1")
    for number in range(5):
        Client(app).invoke_async("note", str(number).encode())
    extension.drain(app, 10)
    assert ran == [0, 1, 2, 3, 4]


def test_the_commands_list_and_invoke_functions(extension: InvokeAsync) -> None:
    @extension.function(
        "greet", timeout_s=30, description="Says hello", versions={"1": "json:dumps"}
    )
    def greet(event: Any, context: Any) -> str:
        print("greeting", event["name"])
        return f"hello {event['name']}"

    @extension.function
    def fail(event: Any, context: Any) -> None:
        raise ValueError("no")

    run = make_app(extension).test_cli_runner().invoke
    assert run(args=["invokeasync", "functions"]).output == ("greet\t30 s\tSays hello\nfail\t3 s\n")
    result = run(args=["invokeasync", "invoke", "greet", '{"name": "you"}'])
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, '"hello you"')
    assert "greeting you" in result.stderr
    assert run(args=["invokeasync", "invoke", "fail"]).exit_code == 1
    unknown = run(args=["invokeasync", "invoke", "nobody"])
    assert (unknown.exit_code, unknown.stderr) == (
        1,
        "Error: ResourceNotFoundException: Function not found: "
        "arn:aws:lambda:us-east-1:123456789012:function:nobody:$LATEST\n",
    )


# --- the commands of the queue ------------------------------------------------------------------


def queue_of(app: Flask) -> DurableExecutor:
    executor = app.extensions["invokeasync"].service.executor
    assert isinstance(executor, DurableExecutor)
    return executor


@pytest.fixture
def site(extension: InvokeAsync, tmp_path: Path) -> Iterator[Flask]:
    """An application on a file, with a function that fails unless it is told where it is."""

    @extension.function("look", maximum_retry_attempts=0)
    def look(event: Any, context: Any) -> str:
        return str(current_app.config["WHERE"][event])

    app = make_app(
        extension,
        INVOKEASYNC_EXECUTOR=f"sqlite:///{tmp_path}/queue.db?workers=1&synchronous=normal",
        WHERE={},
    )
    yield app
    extension.drain(app, 10)


def give_up(extension: InvokeAsync, app: Flask, event: object) -> str:
    """The id of an event that was given up."""
    with app.app_context():
        request_id = extension.submit("look", event)
    events = queue_of(app).events
    eventually(lambda: events.get(request_id)[0].event.state == "dead")
    return request_id


def test_the_commands_work_on_the_queue_of_the_application(
    extension: InvokeAsync, site: Flask
) -> None:
    one, two, three = [give_up(extension, site, number) for number in (1, 2, 3)]
    run = site.test_cli_runner().invoke
    listed = run(args=["invokeasync", "list", "--limit", "2", "--json"])
    assert [json.loads(line)["request_id"] for line in listed.stdout.splitlines()] == [three, two]
    shown = run(args=["invokeasync", "show", one])
    assert shown.exit_code == 0
    assert f"request_id      {one}\n" in shown.stdout
    assert "KeyError" in shown.stdout
    assert run(args=["invokeasync", "purge", two]).stdout == "1 purged\n"

    site.config["WHERE"].update({1: "here", 3: "there"})
    assert run(args=["invokeasync", "redrive", "--all"]).stdout == "2 redriven\n"
    events = queue_of(site).events
    eventually(lambda: len(events.find("succeeded")) == 2)
    assert run(args=["invokeasync", "list"]).output == "no dead events\n"
    assert run(args=["invokeasync", "list", "--state", "succeeded"]).output.count("look") == 2


def test_a_command_that_cannot_be_carried_out_says_so_in_a_line(
    extension: InvokeAsync, site: Flask, tmp_path: Path
) -> None:
    run = site.test_cli_runner().invoke
    ended = run(args=["invokeasync", "list"])
    assert (ended.exit_code, ended.output) == (
        1,
        f"Error: executor: there is no file '{tmp_path}/queue.db'\n",
    )
    give_up(extension, site, 1)
    ended = run(args=["invokeasync", "show", "no-such-id"])
    assert (ended.exit_code, ended.output) == (
        1,
        f"Error: there is no event 'no-such-id' in {tmp_path}/queue.db\n",
    )
    assert run(args=["invokeasync", "redrive"]).exit_code == 2


def test_another_queue_than_the_applications_cannot_be_named(
    extension: InvokeAsync, site: Flask, tmp_path: Path
) -> None:
    """Taking the name and working on the application's own would purge the wrong one."""
    give_up(extension, site, 1)
    run = site.test_cli_runner().invoke
    other = f"sqlite:///{tmp_path}/other.db"
    assert run(args=["invokeasync", "purge", "--all", "--executor", other]).exit_code == 2
    assert len(queue_of(site).events.find()) == 1


@pytest.mark.parametrize("command", ["list", "show", "redrive", "purge"])
def test_a_command_tells_how_it_is_used(site: Flask, command: str) -> None:
    told = site.test_cli_runner().invoke(args=["invokeasync", command, "--help"])
    assert told.exit_code == 0
    assert f"flask invokeasync {command}" in told.output.replace("\n", " ")
    assert "--json" in told.output


@pytest.mark.parametrize(
    "arguments", [["list"], ["show", "id"], ["redrive", "--all"], ["purge", "--all"], ["worker"]]
)
def test_an_application_that_keeps_no_events_has_none_to_work_on(
    extension: InvokeAsync, arguments: list[str]
) -> None:
    run = make_app(extension).test_cli_runner().invoke
    ended = run(args=["invokeasync", *arguments])
    assert ended.exit_code == 1
    assert ended.output.startswith("Error: executor")
    assert "'sqlite:///invocations.db'" in ended.output
    assert ended.output.count("\n") == 1


@pytest.fixture
def signals() -> Iterator[None]:
    """Gives the signals back that a worker has taken."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("signals")
def test_a_worker_runs_the_applications_events_in_its_context_until_it_is_told_to_end(
    extension: InvokeAsync, tmp_path: Path
) -> None:
    ran = []

    @extension.function("last", timeout_s=30)
    def last(event: Any, context: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        ran.append((event, current_app.config["SITE"], has_request_context()))

    url = f"sqlite:///{tmp_path}/queue.db?synchronous=normal&workers="
    accepting = make_app(extension, INVOKEASYNC_EXECUTOR=f"{url}0")
    with accepting.app_context():
        request_id = extension.submit("last", [1])
    extension.drain(accepting)
    assert ran == []

    app = make_app(extension, SITE="two", INVOKEASYNC_EXECUTOR=f"{url}0")
    ended = app.test_cli_runner().invoke(args=["invokeasync", "worker", "--threads", "1"])
    assert (ended.exit_code, ended.output) == (0, "")
    assert ran == [([1], "two", False)]
    assert queue_of(app).events.get(request_id)[0].event.state == "succeeded"
