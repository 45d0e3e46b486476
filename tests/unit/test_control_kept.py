"""What clients have set: beside what is declared, over restarts, and over other applications."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from invokeasync_wsgi import Functions, InvokeAsyncMiddleware
from invokeasync_wsgi.clock import SystemClock
from invokeasync_wsgi.store.overrides_file import SQLiteOverrides
from invokeasync_wsgi.testing import Answer, Client

from .. import control
from ..control import (
    ACCOUNT,
    ACCOUNT_SETTINGS,
    BUCKET,
    CONCURRENCY,
    CONFIG,
    FUNCTIONS,
    GET_CONCURRENCY,
    NO_RESOURCE,
    RECURSION,
    RETRY,
    F,
    alias,
    arn,
    ask,
    concurrency_of,
    config_of,
    destination,
    get,
    make_app,
    no_alias,
    no_config,
    no_function,
    only,
    outcome,
    outdated,
    permission,
    plain,
    play,
    policy_of,
    reserve,
    sids,
    state,
    statements,
    told_alias,
    told_config,
    weights,
)
from ..waiting import eventually

# --- beside what is declared ----------------------------------------------------------------------


def declared() -> Functions:
    """``f`` with something declared of everything."""
    functions = only(
        control.fail,
        versions={"1": control.one, "2": control.two},
        aliases={"live": {"version": "1", "weights": {"2": 0.5}}},
        maximum_retry_attempts=0,
        maximum_event_age_s=600,
        on_success="g",
        reserved_concurrency=5,
        recursive_loop="Allow",
        policy={
            "Version": "2012-10-17",
            "Statement": {
                "Sid": "declared",
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/carol"},
                "Action": "lambda:InvokeFunction",
                "Resource": arn("f"),
            },
        },
    )
    functions.add("g", control.echo)
    return functions


@pytest.fixture
def of_declared() -> Client:
    return Client(make_app(declared()))


def check_that_it_is_declared(answer: Answer) -> None:
    """Fail unless this refuses to remove what the application says."""
    assert outcome(answer) == (403, "AccessDeniedException")
    members = json.loads(answer.body)
    assert set(members) == {"Message"}
    assert "declared by the application" in members["Message"]


@pytest.mark.parametrize(
    "request_",
    [
        f"DELETE {CONCURRENCY}",
        f"DELETE {CONFIG}",
        f"DELETE {F}/aliases/live",
        f"DELETE {policy_of()}/declared",
    ],
)
def test_what_is_only_declared_cannot_be_deleted(of_declared: Client, request_: str) -> None:
    before = state(of_declared)
    check_that_it_is_declared(ask(of_declared, request_))
    assert state(of_declared) == before


@pytest.mark.parametrize("qualifier", [None, "$LATEST", "1", "live"])
def test_a_declared_config_is_seen_under_every_qualifier(
    of_declared: Client, qualifier: str | None
) -> None:
    members = get(of_declared, f"GET {config_of('f', qualifier)}")
    assert members["FunctionArn"] == arn("f", qualifier or "$LATEST")
    assert (members["MaximumRetryAttempts"], members["MaximumEventAgeInSeconds"]) == (0, 600)
    assert members["DestinationConfig"]["OnFailure"] == {}
    listed = get(of_declared, f"GET {CONFIG}/list")["FunctionEventInvokeConfigs"]
    assert [each["FunctionArn"] for each in listed] == [arn("f", "$LATEST")]


@pytest.mark.parametrize("qualifier", ["$LATEST", "1", "live"])
def test_a_config_that_is_set_takes_the_place_of_the_declared_one(
    of_declared: Client, qualifier: str
) -> None:
    before = state(of_declared)
    of_others = {
        other: get(of_declared, f"GET {config_of('f', other)}")
        for other in ("$LATEST", "1", "live", "2")
        if other != qualifier
    }
    target = config_of("f", qualifier)
    members = get(of_declared, f"PUT {target}", {"MaximumRetryAttempts": 2})
    assert plain(members) == told_config(qualifier, retries=2)
    assert get(of_declared, f"GET {target}") == members
    for other, members in of_others.items():
        assert get(of_declared, f"GET {config_of('f', other)}") == members
    listed = get(of_declared, f"GET {CONFIG}/list")["FunctionEventInvokeConfigs"]
    assert {each["FunctionArn"] for each in listed} == {arn("f", "$LATEST"), arn("f", qualifier)}
    get(of_declared, f"DELETE {target}", status=204)
    assert state(of_declared) == before


def test_an_update_merges_onto_the_declared_config(of_declared: Client) -> None:
    shown = get(of_declared, f"GET {CONFIG}")
    members = get(of_declared, f"POST {CONFIG}", {"MaximumEventAgeInSeconds": 60})
    assert plain(members) == {**plain(shown), "MaximumEventAgeInSeconds": 60}
    assert get(of_declared, f"GET {CONFIG}") == members


def test_a_declared_concurrency_can_be_set_and_comes_back(of_declared: Client) -> None:
    play(
        of_declared,
        (f"GET {GET_CONCURRENCY}", None, 200, reserve(5)),
        (f"PUT {CONCURRENCY}", reserve(0), 200, reserve(0)),
        (f"GET {GET_CONCURRENCY}", None, 200, reserve(0)),
        (f"DELETE {CONCURRENCY}", None, 204, None),
        (f"GET {GET_CONCURRENCY}", None, 200, reserve(5)),
    )


def test_a_declared_recursion_config_can_be_set(of_declared: Client) -> None:
    stop = {"RecursiveLoop": "Terminate"}
    assert get(of_declared, f"GET {RECURSION}") == {"RecursiveLoop": "Allow"}
    assert get(of_declared, f"PUT {RECURSION}", stop) == stop
    assert get(of_declared, f"GET {RECURSION}") == stop


def test_a_declared_alias_can_be_updated_and_comes_back(of_declared: Client) -> None:
    shared = {"RoutingConfig": weights(v2=0.5)}
    play(
        of_declared,
        (f"GET {F}/aliases/live", None, 200, told_alias("live", "1", **shared)),
        (
            f"PUT {F}/aliases/live",
            {"FunctionVersion": "2", "RoutingConfig": weights(v1=0.1), "Description": "x"},
            200,
            told_alias("live", "2", "x", RoutingConfig=weights(v1=0.1)),
        ),
        (f"DELETE {F}/aliases/live", None, 204, None),
        (f"GET {F}/aliases/live", None, 200, told_alias("live", "1", **shared)),
    )
    check_that_it_is_declared(ask(of_declared, f"DELETE {F}/aliases/live"))


def test_a_declared_policy_is_shown_with_what_is_added(of_declared: Client) -> None:
    assert sids(of_declared) == ["declared"]
    get(of_declared, f"POST {policy_of()}", permission(), 201)
    assert sids(of_declared) == ["declared", "s3"]
    taken = ask(of_declared, f"POST {policy_of()}", permission("declared"))
    assert outcome(taken) == (409, "ResourceConflictException")
    check_that_it_is_declared(ask(of_declared, f"DELETE {policy_of()}/declared"))
    get(of_declared, f"DELETE {policy_of()}/s3", status=204)
    assert sids(of_declared) == ["declared"]


# --- for how long, and for whom -------------------------------------------------------------------

#: Each call that changes something. Together they set everything that can be set.
CHANGES: list[tuple[str, object]] = [
    (f"PUT {CONCURRENCY}", reserve(7)),
    (f"PUT {CONFIG}", {"MaximumRetryAttempts": 1, **destination(arn("g"))}),
    (f"PUT {config_of('f', 'live')}", {"MaximumEventAgeInSeconds": 60}),
    (f"POST {config_of('f', 'live')}", {"MaximumRetryAttempts": 0}),
    (f"PUT {RECURSION}", {"RecursiveLoop": "Allow"}),
    (f"POST {F}/versions", {"Description": "kept"}),
    (f"POST {F}/aliases", alias("kept", "3", Description="é", RoutingConfig=weights(v2=0.25))),
    (f"PUT {F}/aliases/live", {"FunctionVersion": "2"}),
    (f"POST {policy_of()}", permission(**BUCKET)),
    (f"POST {policy_of('f', 'kept')}", permission(principal="111111111111")),
]
UNDOINGS = [
    f"DELETE {policy_of()}/s3",
    f"DELETE {policy_of()}/s3?Qualifier=kept",
    f"DELETE {CONCURRENCY}",
    f"DELETE {CONFIG}",
    f"DELETE {config_of('f', 'live')}",
    f"DELETE {F}/aliases/kept",
    f"DELETE {F}/aliases/live",
]


def set_everything(client: Client, **environ: object) -> None:
    """Make all of `CHANGES`."""
    for request, body in CHANGES:
        assert ask(client, request, body, environ=environ).status in (200, 201), request


class Deployments:
    """Services on one file, each as it would be in a process of its own.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._apps: list[InvokeAsyncMiddleware] = []

    def start(self, functions: Functions | None = None, **settings: Any) -> Client:
        """A client of another service."""
        settings = {"executor": f"sqlite:///{self._path}?workers=0", **settings}
        self._apps.append(make_app(functions, **settings))
        return Client(self._apps[-1])

    def close(self) -> None:
        """End them all."""
        while self._apps:
            self._apps.pop().close()


@pytest.fixture
def deployments(tmp_path: Path) -> Iterator[Deployments]:
    deployments = Deployments(tmp_path / "queue.db")
    yield deployments
    deployments.close()


def test_what_is_set_outlives_a_restart(deployments: Deployments) -> None:
    first = deployments.start()
    before = state(first)
    set_everything(first)
    left = state(first)
    assert left != before
    deployments.close()
    second = deployments.start()
    assert state(second) == left
    for request in UNDOINGS:
        get(second, request, status=204)
    left = state(second)
    deployments.close()
    assert state(deployments.start()) == left


def test_every_change_is_seen_by_the_other_process_at_once(deployments: Deployments) -> None:
    clients = [deployments.start(), deployments.start()]
    undoings = [(request, None) for request in UNDOINGS]
    for number, (request, body) in enumerate([*CHANGES, *undoings]):
        one, other = clients[number % 2], clients[1 - number % 2]
        before = state(other)
        assert ask(one, request, body).status in (200, 201, 204), request
        assert state(other) == state(one) != before, request


@pytest.mark.parametrize("executor", ["threads:", "inline:"])
def test_what_no_file_keeps_lasts_as_long_as_the_process(executor: str) -> None:
    app = make_app(executor=executor)
    set_everything(Client(app))
    assert get(Client(app), f"GET {GET_CONCURRENCY}") == reserve(7)
    app.close()
    other = make_app(executor=executor)
    assert get(Client(other), f"GET {GET_CONCURRENCY}") == {}
    other.close()


SEVERAL_PROCESSES = {"wsgi.multiprocess": True}


@pytest.mark.parametrize("executor", ["threads:", "inline:"])
def test_several_processes_without_a_file_refuse_changes(executor: str) -> None:
    app = make_app(executor=executor)
    client = Client(app)
    for request, body in [*CHANGES, *((request, None) for request in UNDOINGS)]:
        before = state(client)
        answer = ask(client, request, body, environ=SEVERAL_PROCESSES)
        assert outcome(answer) == (403, "AccessDeniedException"), request
        assert "sqlite:///" in json.loads(answer.body)["Message"]
        assert state(client) == before, request
        assert ask(client, request, body).status in (200, 201, 204), request
    read = ask(client, f"GET {F}", environ=SEVERAL_PROCESSES)
    assert (read.status, read.body) == (200, ask(client, f"GET {F}").body)
    app.close()


def test_several_processes_with_a_file_may_change(deployments: Deployments) -> None:
    set_everything(deployments.start(), **SEVERAL_PROCESSES)


# --- over other applications: what is gone --------------------------------------------------------


def test_what_was_set_of_a_function_that_is_gone_harms_nobody(deployments: Deployments) -> None:
    """And is there again when the function is."""
    first = deployments.start()
    set_everything(first)
    left = state(first)
    second = deployments.start(only(name="g"))
    assert [each["FunctionName"] for each in get(second, f"GET {FUNCTIONS}")["Functions"]] == ["g"]
    no_function("f").check(ask(second, f"GET {F}"))
    no_function("f", "$LATEST").check(ask(second, f"PUT {CONCURRENCY}", reserve(1)))
    assert get(second, f"GET {ACCOUNT_SETTINGS}")["AccountUsage"]["FunctionCount"] == 1
    assert state(deployments.start()) == left


def test_a_destination_that_is_gone_breaks_no_function(deployments: Deployments) -> None:
    get(deployments.start(), f"PUT {CONFIG}", destination(arn("g")))
    client = deployments.start(only())
    assert client.invoke("f", b"1").body == b"1"
    assert plain(get(client, f"GET {CONFIG}")) == told_config(on_success=arn("g"))
    updated = get(client, f"POST {CONFIG}", RETRY)
    assert plain(updated) == told_config(retries=1, on_success=arn("g"))


def test_what_was_set_for_an_alias_that_is_no_more_declared_is_not_listed(
    deployments: Deployments,
) -> None:
    get(deployments.start(), f"PUT {config_of('f', 'live')}", RETRY)
    client = deployments.start(only())
    no_config("f", "live").check(ask(client, f"GET {config_of('f', 'live')}"))
    assert get(client, f"GET {CONFIG}/list") == {"FunctionEventInvokeConfigs": []}


#: The application, without version 2.
WITHOUT_TWO = only(versions={"1": control.one}, aliases={"live": "1"})


@pytest.fixture
def lost(deployments: Deployments) -> tuple[Client, str]:
    """A client of `WITHOUT_TWO`, and the revision of ``new``, which was set for version 2."""
    before = deployments.start()
    get(before, f"POST {F}/aliases", alias(version="2", Description="lost"), 201)
    get(before, f"PUT {config_of('f', 'new')}", RETRY)
    get(before, f"POST {policy_of('f', 'new')}", permission(), 201)
    revision: str = get(before, f"GET {F}/aliases/new")["RevisionId"]
    return deployments.start(WITHOUT_TWO), revision


def test_an_alias_of_a_version_that_is_gone_is_logged_and_as_if_it_were_not_there(
    lost: tuple[Client, str], caplog: pytest.LogCaptureFixture
) -> None:
    client, _ = lost
    no_function("f", "new").check(ask(client, f"GET {F}?Qualifier=new"))
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [
        "aliases of function f are set for versions that the application does not have any more: "
        "new"
    ]
    assert client.invoke("f", b"1").status == 200
    assert client.invoke("f", b"1", qualifier="new").status == 404
    listed = get(client, f"GET {F}/aliases")["Aliases"]
    assert [each["Name"] for each in listed] == ["live"]
    no_alias("new").check(ask(client, f"GET {F}/aliases/new"))
    no_alias("new").check(ask(client, f"POST {policy_of('f', 'new')}", permission("other")))
    no_config("f", "new").check(ask(client, f"GET {config_of('f', 'new')}"))
    NO_RESOURCE.check(ask(client, f"GET {policy_of('f', 'new')}"))
    assert get(client, f"GET {CONFIG}/list") == {"FunctionEventInvokeConfigs": []}


def test_an_alias_of_a_version_that_is_gone_is_back_with_the_version(
    lost: tuple[Client, str], deployments: Deployments
) -> None:
    client, revision = lost
    no_alias("new").check(ask(client, f"GET {F}/aliases/new"))
    again = deployments.start()
    members = get(again, f"GET {F}/aliases/new")
    assert plain(members) == told_alias("new", "2", "lost")
    assert members["RevisionId"] == revision
    assert plain(get(again, f"GET {config_of('f', 'new')}")) == told_config("new", retries=1)
    assert [each["Sid"] for each in statements(again, "new")] == ["s3"]


def test_an_update_to_another_version_repairs_an_alias_of_one_that_is_gone(
    lost: tuple[Client, str],
) -> None:
    """With the revision that it had, and with all that was set for it."""
    client, revision = lost
    target = f"PUT {F}/aliases/new"
    no_function("f", "2").check(ask(client, target, {"Description": "x", "RevisionId": revision}))
    outdated().check(ask(client, target, {"FunctionVersion": "1", "RevisionId": "wrong"}))
    no_alias("new").check(ask(client, f"GET {F}/aliases/new"))

    members = get(client, target, {"FunctionVersion": "1", "RevisionId": revision})
    assert plain(members) == told_alias("new", "1", "lost")
    assert members["RevisionId"] != revision
    assert get(client, f"GET {F}/aliases/new") == members
    answer = client.invoke("f", b"1", qualifier="new")
    assert (answer.body, answer.headers["x-amz-executed-version"]) == (b'"one"', "1")
    assert plain(get(client, f"GET {config_of('f', 'new')}")) == told_config("new", retries=1)
    assert [each["Sid"] for each in statements(client, "new")] == ["s3"]


def test_an_alias_is_created_anew_in_place_of_one_of_a_version_that_is_gone(
    lost: tuple[Client, str],
) -> None:
    """Without what was set for that."""
    client, revision = lost
    members = get(client, f"POST {F}/aliases", alias(), 201)
    assert plain(members) == told_alias("new", "1")
    assert members["RevisionId"] != revision
    assert get(client, f"GET {F}/aliases/new") == members
    assert client.invoke("f", b"1", qualifier="new").body == b'"one"'
    no_config("f", "new").check(ask(client, f"GET {config_of('f', 'new')}"))
    NO_RESOURCE.check(ask(client, f"GET {policy_of('f', 'new')}"))
    assert get(client, f"GET {CONFIG}/list") == {"FunctionEventInvokeConfigs": []}


def test_an_alias_of_a_version_that_is_gone_can_be_deleted(
    lost: tuple[Client, str], deployments: Deployments
) -> None:
    client, _ = lost
    get(client, f"DELETE {F}/aliases/new", status=204)
    no_alias("new").check(ask(deployments.start(), f"GET {F}/aliases/new"))


def test_a_declared_alias_stands_in_for_one_of_a_version_that_is_gone(
    deployments: Deployments,
) -> None:
    """A deployment is not to be spoilt by what was set over an earlier one."""
    get(deployments.start(), f"PUT {F}/aliases/live", {"FunctionVersion": "2"})
    client = deployments.start(WITHOUT_TWO)
    assert plain(get(client, f"GET {F}/aliases/live")) == told_alias("live", "1")
    assert client.invoke("f", b"1", qualifier="live").status == 200
    members = get(client, f"PUT {F}/aliases/live", {"FunctionVersion": "$LATEST"})
    assert plain(members) == told_alias("live", "$LATEST")
    get(client, f"DELETE {F}/aliases/live", status=204)
    assert plain(get(client, f"GET {F}/aliases/live")) == told_alias("live", "1")


# --- over other applications: published versions --------------------------------------------------


def test_a_published_version_stays_what_it_was(deployments: Deployments) -> None:
    """While the application goes on: another handler, another time to run."""
    old = only(control.about, timeout_s=7, memory_limit_in_mb=256, description="old")
    first = deployments.start(old)
    published = get(first, f"POST {F}/versions", {}, 201)
    assert (published["Version"], published["Timeout"]) == ("1", 7)

    new = only(control.echo, timeout_s=900, memory_limit_in_mb=1024, description="new")
    second = deployments.start(new)
    assert second.invoke("f", b"1").body == b"1"
    answer = second.invoke("f", b"1", qualifier="1")
    context = json.loads(answer.body)
    assert (context["version"], int(context["memory"])) == ("1", 256)
    assert 6 < context["remaining_s"] <= 7
    assert get(second, f"GET {F}/configuration?Qualifier=1") == published
    latest = get(second, f"GET {F}/configuration")
    assert (latest["Timeout"], latest["Description"]) == (900, "new")
    other = get(second, f"POST {F}/versions", {}, 201)
    assert (other["Version"], other["Timeout"]) == ("2", 900)
    assert other["Handler"] == "tests.control:echo"
    assert get(first, f"GET {F}/configuration?Qualifier=2") == other
    assert first.invoke("f", b"1", qualifier="2").body == b"1"


def test_a_published_handler_that_is_gone_is_a_function_error(
    deployments: Deployments, monkeypatch: pytest.MonkeyPatch
) -> None:
    get(deployments.start(only("tests.control:echo")), f"POST {F}/versions", {}, 201)
    monkeypatch.delattr(control, "echo")
    client = deployments.start(only(control.one))
    assert client.invoke("f", b"1").body == b'"one"'
    answer = client.invoke("f", b"1", qualifier="1")
    assert answer.headers["x-amz-function-error"] == "Unhandled"
    assert json.loads(answer.body)["errorType"] == "Runtime.HandlerNotFound"


def test_dead_letters_of_a_published_version_go_where_they_went(
    deployments: Deployments, tmp_path: Path
) -> None:
    control.taken.clear()
    versions = {"1": control.fail}
    old = only(control.fail, versions=versions, dead_letter="python:tests.control:take")
    assert get(deployments.start(old), f"POST {F}/versions", {}, 201)["Version"] == "2"
    app = make_app(
        only(control.fail, versions=versions),
        executor=f"sqlite:///{tmp_path / 'queue.db'}",
        clock=SystemClock(),
        maximum_retry_attempts=0,
    )
    for body, qualifier in ((b'"lost"', "1"), (b'"kept"', "2")):
        answer = Client(app).invoke("f", body, invocation_type="Event", qualifier=qualifier)
        assert answer.status == 202
    eventually(lambda: control.taken)
    app.drain(10)
    assert [each["body"] for each in control.taken] == ['"kept"']
    app.close()


# --- what is no change ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_line",
    [f"DELETE {concurrency_of('g')}", f"DELETE {F}/aliases/nobody"],
)
def test_what_has_nothing_to_remove_writes_nothing(tmp_path: Path, request_line: str) -> None:
    """So that nobody reads everything again."""
    deployments = Deployments(tmp_path / "queue.db")
    client = deployments.start()
    get(client, f"PUT {CONCURRENCY}", {"ReservedConcurrentExecutions": 1})
    store = SQLiteOverrides(tmp_path / "queue.db")
    before = store.read()
    get(client, request_line, status=204)
    assert store.read() == before
    deployments.close()


def test_what_was_set_for_a_qualifier_that_is_gone_can_be_removed(
    deployments: Deployments,
) -> None:
    """So that it does not hold again when there is one of that name."""
    first = deployments.start()
    get(first, f"POST {policy_of('f', '2')}", permission(), 201)
    get(first, f"PUT {config_of('f', '2')}", RETRY)
    get(first, f"POST {policy_of('f', 'live')}", permission(), 201)
    client = deployments.start(only())
    get(client, f"DELETE {policy_of('f')}/s3?Qualifier=2", status=204)
    get(client, f"DELETE {config_of('f', '2')}", status=204)
    get(client, f"DELETE {F}/aliases/live", status=204)
    for path in (policy_of("f", "2"), config_of("f", "2"), policy_of("f", "live")):
        assert ask(deployments.start(), f"GET {path}").status == 404


def test_an_alias_whose_versions_are_both_gone_is_repaired_by_naming_one(
    deployments: Deployments,
) -> None:
    both = alias(RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}})
    get(deployments.start(), f"POST {F}/aliases", both, 201)
    client = deployments.start(only())
    members = get(client, f"PUT {F}/aliases/new", {"FunctionVersion": "$LATEST"})
    assert plain(members) == told_alias("new", "$LATEST")


def test_numbers_of_versions_come_to_an_end(deployments: Deployments) -> None:
    client = deployments.start(only(versions={"9" * 19: control.one}))
    answer = ask(client, f"POST {F}/versions", {})
    assert (answer.status, answer.headers["x-amzn-errortype"]) == (
        400,
        "InvalidParameterValueException",
    )


def test_the_number_of_a_version_that_is_gone_is_not_used_again(deployments: Deployments) -> None:
    """What was set for it is not to hold for another one."""
    get(deployments.start(), f"POST {policy_of('f', '2')}", permission(), 201)
    client = deployments.start(WITHOUT_TWO)
    assert get(client, f"POST {F}/versions", {}, 201)["Version"] == "3"
    assert ask(client, f"GET {policy_of('f', '3')}").status == 404
