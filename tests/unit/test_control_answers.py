"""What control calls answer that succeed, played as they were recorded, and as they follow.

The recordings are those of the real service (November 2025). Requests go through the whole
middleware; its clock stands still and nothing runs by itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from invokeasync_wsgi import Functions
from invokeasync_wsgi.functions import THIS_RUNTIME
from invokeasync_wsgi.testing import Client, FakeClock

from .. import control
from ..control import (
    ACCOUNT,
    ACCOUNT_SETTINGS,
    ARCHITECTURE,
    BOB,
    BUCKET,
    CODE_SIGNING,
    CONCURRENCY,
    CONFIG,
    FUNCTIONS,
    GET_CONCURRENCY,
    NO_POLICY,
    NO_RESOURCE,
    NOW,
    NOW_AS_TEXT,
    RECURSION,
    RETRY,
    RUNTIME,
    F,
    alias,
    arn,
    ask,
    code_sha256,
    compact,
    concurrency_of,
    config_of,
    destination,
    encoded,
    get,
    make_app,
    no_config,
    not_found,
    only,
    outcome,
    outdated,
    permission,
    plain,
    play,
    policy_of,
    qualified,
    reserve,
    sids,
    state,
    statements,
    tags_of,
    told_alias,
    told_config,
    too_much_reserved,
    weights,
    without,
)


@pytest.fixture
def client() -> Client:
    return Client(make_app())


# --- event invoke configs -------------------------------------------------------------------------


def test_the_recorded_life_of_an_event_invoke_config(client: Client) -> None:
    age = {"MaximumEventAgeInSeconds": 60}
    both = told_config(retries=1, age=60)
    play(
        client,
        (f"PUT {CONFIG}", {"MaximumRetryAttempts": 0}, 200, told_config(retries=0)),
        (f"PUT {CONFIG}", age, 200, told_config(age=60)),
        (f"POST {CONFIG}", age, 200, told_config(age=60)),
        (f"POST {CONFIG}", RETRY, 200, both),
        (f"GET {CONFIG}", None, 200, both),
        (f"GET {config_of('f', '$LATEST')}", None, 200, both),
        (f"GET {CONFIG}/list", None, 200, {"FunctionEventInvokeConfigs": [both]}),
    )
    no_config("f", "1").check(ask(client, f"GET {config_of('f', '1')}"))
    of_one = told_config("1", age=120)
    play(
        client,
        (f"PUT {config_of('f', '1')}", {"MaximumEventAgeInSeconds": 120}, 200, of_one),
        (f"GET {config_of('f', '1')}", None, 200, of_one),
        (f"GET {config_of('f:1')}", None, 200, of_one),
        (f"DELETE {CONFIG}", None, 204, None),
        (f"GET {CONFIG}/list", None, 200, {"FunctionEventInvokeConfigs": [of_one]}),
    )
    no_config("f").check(ask(client, f"GET {CONFIG}"))
    no_config("f").check(ask(client, f"DELETE {CONFIG}"))


def test_put_replaces_and_update_merges(client: Client) -> None:
    two = {"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 60}
    none = {"MaximumRetryAttempts": 0}
    on_success, on_failure = (destination(arn("g"), each) for each in ("OnSuccess", "OnFailure"))
    play(
        client,
        (f"PUT {CONFIG}", two, 200, told_config(retries=2, age=60)),
        (f"PUT {CONFIG}", none, 200, told_config(retries=0)),
        (f"PUT {CONFIG}", none, 200, told_config(retries=0)),
        (f"GET {CONFIG}", None, 200, told_config(retries=0)),
        (f"PUT {CONFIG}", two, 200, told_config(retries=2, age=60)),
        (f"POST {CONFIG}", none, 200, told_config(retries=0, age=60)),
        (f"POST {CONFIG}", none, 200, told_config(retries=0, age=60)),
        (f"POST {CONFIG}", on_success, 200, told_config(retries=0, age=60, on_success=arn("g"))),
        (f"GET {CONFIG}", None, 200, told_config(retries=0, age=60, on_success=arn("g"))),
        (f"PUT {CONFIG}", on_failure, 200, told_config(on_failure=arn("g"))),
        (f"PUT {CONFIG}", {"DestinationConfig": {"OnSuccess": {}}}, 200, told_config()),
        (f"PUT {CONFIG}", {"DestinationConfig": {"OnFailure": {}}}, 200, told_config()),
        (f"GET {CONFIG}", None, 200, told_config()),
    )


@pytest.mark.parametrize(
    ("name", "qualifier", "means"),
    [
        ("f", "$LATEST", "$LATEST"),
        ("f:$LATEST", "$LATEST", "$LATEST"),
        ("f", "1", "1"),
        ("f:1", None, "1"),
        ("f", "live", "live"),
        (arn("f", "live"), None, "live"),
        (arn("f", "live"), "live", "live"),
        ("f:live", None, "live"),
        ("f:live", "live", "live"),
    ],
)
def test_configs_are_kept_by_the_qualifier_that_was_used(
    client: Client, name: str, qualifier: str | None, means: str
) -> None:
    members = get(client, f"PUT {config_of(name, qualifier)}", RETRY)
    assert plain(members) == told_config(means, retries=1)
    for other in ("$LATEST", "1", "2", "live", "next"):
        answer = ask(client, f"GET {config_of('f', other)}")
        assert answer.status == (200 if other == means else 404)
    assert get(client, f"GET {CONFIG}/list")["FunctionEventInvokeConfigs"] == [members]


def test_the_time_of_a_config_is_a_number_with_a_fraction() -> None:
    clock = FakeClock(NOW)
    client = Client(make_app(clock=clock))
    answer = ask(client, f"PUT {CONFIG}", RETRY)
    assert b'"LastModified":1573686021.479' in answer.body
    clock.advance(10)
    assert ask(client, f"GET {CONFIG}").body == answer.body
    updated = get(client, f"POST {CONFIG}", RETRY)
    assert updated["LastModified"] == pytest.approx(NOW + 10)


@pytest.mark.parametrize(
    ("outcome", "target"),
    [
        *(
            (outcome, target)
            for outcome in ("OnSuccess", "OnFailure")
            for target in (
                arn("g"),
                arn("g", "$LATEST"),
                "arn:aws:sqs:us-east-1:123456789012:queue",
                "arn:aws:sns:us-east-1:123456789012:topic",
                "arn:aws:events:us-east-1:123456789012:event-bus/default",
            )
        ),
        ("OnFailure", "arn:aws:s3:::bucket"),
    ],
)
def test_a_destination_is_told_as_it_was_given(client: Client, target: str, outcome: str) -> None:
    members = get(client, f"PUT {CONFIG}", destination(target, outcome))
    assert members["DestinationConfig"][outcome] == {"Destination": target}
    assert get(client, f"GET {CONFIG}") == members


# --- functions ------------------------------------------------------------------------------------


def configuration(
    name: str = "f",
    *,
    suffix: str | None = None,
    version: str = "$LATEST",
    handler: str = "tests.control:echo",
    **members: Any,
) -> dict[str, Any]:
    """A function's configuration as lists have it and `plain` leaves it."""
    return {
        "FunctionName": name,
        "FunctionArn": arn(name, suffix),
        "Version": version,
        "Handler": handler,
        "CodeSha256": code_sha256(handler),
        "CodeSize": 0,
        "Description": "",
        "Timeout": 3,
        "MemorySize": 128,
        "Runtime": THIS_RUNTIME,
        "Role": f"arn:aws:iam::{ACCOUNT}:role/invokeasync-wsgi",
        "PackageType": "Zip",
        "Architectures": [ARCHITECTURE],
        "EphemeralStorage": {"Size": 512},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}"},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "TracingConfig": {"Mode": "PassThrough"},
        **members,
    }


#: What lists leave out.
STATE_NAMES = ("State", "LastUpdateStatus", "RuntimeVersionConfig")


def as_listed(members: dict[str, Any]) -> dict[str, Any]:
    """A configuration without what lists leave out, which must be as it should be."""
    assert (members["State"], members["LastUpdateStatus"]) == ("Active", "Successful")
    runtime = members["RuntimeVersionConfig"]
    assert set(runtime) == {"RuntimeVersionArn"}
    assert re.fullmatch(r"arn:aws:lambda:us-east-1::runtime:.{26,}", runtime["RuntimeVersionArn"])
    return without(members, *STATE_NAMES)


@pytest.mark.parametrize(
    ("query", "suffix", "version", "handler"),
    [
        ("", None, "$LATEST", "tests.control:echo"),
        ("?Qualifier=%24LATEST", "$LATEST", "$LATEST", "tests.control:echo"),
        ("?Qualifier=1", "1", "1", "tests.control:one"),
        ("?Qualifier=next", "next", "2", "tests.control:two"),
    ],
)
def test_what_is_told_of_a_function(
    client: Client, query: str, suffix: str | None, version: str, handler: str
) -> None:
    whole = get(client, f"GET {F}{query}")
    members = get(client, f"GET {F}/configuration{query}")
    assert whole == {
        "Configuration": members,
        "Code": {"RepositoryType": "Application", "Location": f"python:{handler}"},
    }
    assert plain(as_listed(members)) == configuration(
        suffix=suffix, version=version, handler=handler
    )


def test_what_is_declared_of_a_function_is_told() -> None:
    functions = only(
        control.about,
        name="full",
        description="All of it",
        timeout_s=60,
        memory_limit_in_mb=512,
        dead_letter="arn:aws:sqs:us-east-1:123456789012:dead",
        reserved_concurrency=7,
        tags={"team": "red"},
        recursive_loop="Allow",
    )
    client = Client(make_app(functions))
    whole = get(client, f"GET {FUNCTIONS}/full")
    members = whole["Configuration"]
    assert members["Description"] == "All of it"
    assert (members["Timeout"], members["MemorySize"]) == (60, 512)
    assert members["DeadLetterConfig"] == {"TargetArn": "arn:aws:sqs:us-east-1:123456789012:dead"}
    assert whole["Concurrency"] == reserve(7)
    assert whole["Tags"] == {"team": "red"}
    assert get(client, f"GET {tags_of(arn('full'))}") == {"Tags": {"team": "red"}}
    assert get(client, "GET /2019-09-30/functions/full/concurrency") == reserve(7)
    recursion = "GET /2024-08-31/functions/full/recursion-config"
    assert get(client, recursion) == {"RecursiveLoop": "Allow"}
    limit = get(client, f"GET {ACCOUNT_SETTINGS}")["AccountLimit"]
    assert limit["UnreservedConcurrentExecutions"] == 993


def test_lists_tell_less_of_a_function(client: Client) -> None:
    [listed] = pages(client, f"{FUNCTIONS}/", "Functions")
    assert plain(listed) == [configuration("f"), configuration("g")]
    listed = get(client, f"GET {FUNCTIONS}?FunctionVersion=ALL")["Functions"]
    assert [each["FunctionArn"] for each in listed] == [
        arn("f", "$LATEST"),
        arn("f", "1"),
        arn("f", "2"),
        arn("g", "$LATEST"),
    ]
    assert get(client, f"GET {F}/versions") == {"Versions": listed[:3]}
    assert not set(STATE_NAMES) & set(listed[0])


# --- pages ----------------------------------------------------------------------------------------


def pages(client: Client, target: str, member: str) -> list[Any]:
    """What each page of a list has, up to the last, which has no marker."""
    found: list[Any] = []
    query = ""
    while len(found) < 100:
        page = get(client, f"GET {target}{query}")
        assert set(page) <= {member, "NextMarker"}
        found.append(page[member])
        if "NextMarker" not in page:
            return found
        query = f"{'&' if '?' in target else '?'}Marker={encoded(page['NextMarker'])}"
    raise AssertionError("no end")


def many_functions() -> Functions:
    """121 functions, of which the last has 120 versions besides ``$LATEST``."""
    functions = Functions()
    for number in range(120):
        functions.add(f"f{number:03}", control.echo)
    functions.add("last", control.echo, versions={str(n): control.one for n in range(1, 121)})
    return functions


@pytest.mark.parametrize(
    ("target", "sizes"),
    [
        (FUNCTIONS, [50, 50, 21]),
        (f"{FUNCTIONS}?MaxItems=50", [50, 50, 21]),
        (f"{FUNCTIONS}?MaxItems=1000", [50, 50, 21]),
        (f"{FUNCTIONS}?MaxItems=40", [40, 40, 40, 1]),
        (f"{FUNCTIONS}?FunctionVersion=ALL", [50, 50, 50, 50, 41]),
        (f"{FUNCTIONS}/last/versions", [50, 50, 21]),
        (f"{FUNCTIONS}/last/versions?MaxItems=121", [50, 50, 21]),
    ],
)
def test_lists_have_at_most_50_a_page(target: str, sizes: list[int]) -> None:
    client = Client(make_app(many_functions()))
    member = "Versions" if "versions" in target else "Functions"
    found = pages(client, target, member)
    assert [len(page) for page in found] == sizes
    arns = [each["FunctionArn"] for page in found for each in page]
    assert len(set(arns)) == len(arns) == sum(sizes)


def test_aliases_are_listed_in_pages(client: Client) -> None:
    for name in ("b", "a", "c"):
        get(client, f"POST {F}/aliases", alias(name), 201)
    assert [
        [each["Name"] for each in page]
        for page in pages(client, f"{F}/aliases?MaxItems=2", "Aliases")
    ] == [["a", "b"], ["c", "live"], ["next"]]


def test_configs_are_listed_in_pages(client: Client) -> None:
    qualifiers = ["next", "$LATEST", "2", "live", "1"]
    for qualifier in qualifiers:
        get(client, f"PUT {config_of('f', qualifier)}", RETRY)
    [whole] = pages(client, f"{CONFIG}/list", "FunctionEventInvokeConfigs")
    arns = [each["FunctionArn"] for each in whole]
    assert sorted(arns) == sorted(arn("f", qualifier) for qualifier in qualifiers)
    assert pages(client, f"{CONFIG}/list?MaxItems=2", "FunctionEventInvokeConfigs") == [
        whole[:2],
        whole[2:4],
        whole[4:],
    ]


@pytest.mark.parametrize("target", [FUNCTIONS, f"{F}/versions", f"{F}/aliases", f"{CONFIG}/list"])
@pytest.mark.parametrize("marker", ["", "x", "%FF", "9" * 3000, "e30%3D", "%00"])
def test_a_marker_that_was_never_given_is_refused_or_passed_over(
    client: Client, target: str, marker: str
) -> None:
    answer = ask(client, f"GET {target}?Marker={marker}")
    assert outcome(answer) in ((200, None), (400, "InvalidParameterValueException"))


# --- versions -------------------------------------------------------------------------------------


def test_the_recorded_life_of_versions(client: Client) -> None:
    published = get(client, f"POST {F}/versions", {"Description": "first"}, 201)
    assert plain(as_listed(published)) == configuration(
        suffix="3", version="3", Description="first"
    )
    assert published["LastModified"] == NOW_AS_TEXT
    assert get(client, f"GET {F}?Qualifier=3")["Configuration"] == published
    assert get(client, f"GET {F}/configuration?Qualifier=3") == published
    again = get(client, f"POST {F}/versions", {"Description": "again"}, 201)
    assert again == published
    versions = get(client, f"GET {F}/versions")["Versions"]
    assert [each["Version"] for each in versions] == ["$LATEST", "1", "2", "3"]
    assert versions[3] == without(published, *STATE_NAMES)


def test_the_code_that_is_published_may_be_named_by_its_hash(client: Client) -> None:
    body = {"CodeSha256": code_sha256()}
    assert get(client, f"POST {F}/versions", body, 201)["Version"] == "3"


def test_version_numbers_go_on_from_the_highest() -> None:
    client = Client(make_app(only(versions={"7": control.one})))
    assert get(client, f"POST {F}/versions", {}, 201)["Version"] == "8"


def local_handler() -> Callable[[Any, Any], Any]:
    def handler(event: Any, context: Any) -> None:
        pass

    return handler


class Handler:
    def __call__(self, event: Any, context: Any) -> None:
        pass


@pytest.mark.parametrize(
    "handler",
    [
        pytest.param(lambda event, context: None, id="a lambda"),
        pytest.param(local_handler(), id="a local function"),
        pytest.param(Handler(), id="an object"),
    ],
)
def test_what_cannot_be_named_cannot_be_published(handler: Callable[[Any, Any], Any]) -> None:
    client = Client(make_app(only(handler)))
    before = state(client, "f")
    answer = ask(client, f"POST {F}/versions", {})
    assert outcome(answer) == (400, "InvalidParameterValueException")
    assert json.loads(answer.body)["Type"] == "User"
    assert state(client, "f") == before


def test_functions_versions_and_aliases_have_a_revision_each(client: Client) -> None:
    """Publishing changes that of ``$LATEST``; making an alias changes neither."""

    def revision(suffix: str = "") -> str:
        members = get(client, f"GET {F}/configuration{suffix}")
        text: str = members["RevisionId"]
        return text

    first = revision()
    published = get(client, f"POST {F}/versions", {"RevisionId": first}, 201)
    assert len({first, published["RevisionId"], revision()}) == 3
    assert revision("?Qualifier=3") == published["RevisionId"]
    latest = revision()
    created = get(client, f"POST {F}/aliases", alias(version="3"), 201)
    assert revision() == latest
    assert revision("?Qualifier=3") == published["RevisionId"]
    assert created["RevisionId"] not in (latest, published["RevisionId"])
    body = {"Description": "x", "RevisionId": created["RevisionId"]}
    updated = get(client, f"PUT {F}/aliases/new", body)
    assert updated["RevisionId"] != created["RevisionId"]
    assert get(client, f"GET {F}/aliases/new") == updated
    outdated().check(ask(client, f"PUT {F}/aliases/new", body))


# --- aliases --------------------------------------------------------------------------------------


def test_the_recorded_life_of_aliases(client: Client) -> None:
    shared = {"RoutingConfig": weights(v2=0.2)}
    a1, a2, b = (
        told_alias("a1", "1", "custom-alias", **shared),
        told_alias("a2", "1"),
        told_alias("b", "2", "custom-alias"),
    )
    rest = [told_alias("live", "1"), told_alias("next", "2")]
    custom = {"Description": "custom-alias"}
    play(
        client,
        (f"POST {F}/aliases", alias("a1", **custom, **shared), 201, a1),
        (f"GET {F}/aliases/a1", None, 200, a1),
        (f"POST {F}/aliases", alias("a2"), 201, a2),
        (f"POST {F}/aliases", alias("b", "2", **custom), 201, b),
        (f"GET {F}/aliases/b", None, 200, b),
        (f"GET {F}/aliases", None, 200, {"Aliases": [a1, a2, b, *rest]}),
        (
            f"PUT {F}/aliases/a1",
            {"RoutingConfig": {"AdditionalVersionWeights": {}}},
            200,
            without(a1, "RoutingConfig"),
        ),
        (f"PUT {F}/aliases/a1", {}, 200, without(a1, "RoutingConfig")),
        (f"PUT {F}/aliases/a2", {"Description": "x"}, 200, {**a2, "Description": "x"}),
        (f"PUT {F}/aliases/a2", {"FunctionVersion": "2"}, 200, told_alias("a2", "2", "x")),
        (f"PUT {F}/aliases/a2", {"Description": ""}, 200, told_alias("a2", "2")),
        (
            f"GET {F}/aliases?FunctionVersion=2",
            None,
            200,
            {"Aliases": [told_alias("a2", "2"), b, rest[1]]},
        ),
        (f"DELETE {F}/aliases/a1", None, 204, None),
        (f"DELETE {F}/aliases/a1", None, 204, None),
        (f"DELETE {F}/aliases/never-there", None, 204, None),
        (f"GET {F}/aliases", None, 200, {"Aliases": [told_alias("a2", "2"), b, *rest]}),
    )


def test_an_alias_may_be_for_latest_and_an_empty_routing_config_is_none(client: Client) -> None:
    empty = alias("empty", RoutingConfig={"AdditionalVersionWeights": {}})
    play(
        client,
        (f"POST {F}/aliases", alias("latest", "$LATEST"), 201, told_alias("latest", "$LATEST")),
        (f"POST {F}/aliases", empty, 201, told_alias("empty", "1")),
        (f"POST {F}/aliases", alias("none", RoutingConfig={}), 201, told_alias("none", "1")),
    )


def test_weights_are_kept_when_the_update_says_nothing_of_them(client: Client) -> None:
    shared = {"RoutingConfig": weights(v2=0.25)}
    get(client, f"POST {F}/aliases", alias("a", **shared), 201)
    members = get(client, f"PUT {F}/aliases/a", {"Description": "x"})
    assert plain(members) == told_alias("a", "1", "x", **shared)


def test_what_was_set_for_an_alias_goes_with_it(client: Client) -> None:
    get(client, f"POST {F}/aliases", alias("a"), 201)
    get(client, f"PUT {config_of('f', 'a')}", RETRY)
    get(client, f"POST {policy_of('f', 'a')}", permission(), 201)
    get(client, f"DELETE {F}/aliases/a", status=204)
    get(client, f"POST {F}/aliases", alias("a", "2"), 201)
    no_config("f", "a").check(ask(client, f"GET {config_of('f', 'a')}"))
    NO_RESOURCE.check(ask(client, f"GET {policy_of('f', 'a')}"))
    assert get(client, f"GET {CONFIG}/list") == {"FunctionEventInvokeConfigs": []}


# --- concurrency, recursion, the account, and what is never set -----------------------------------


def test_the_recorded_life_of_a_reserved_concurrency(client: Client) -> None:
    play(
        client,
        (f"GET {GET_CONCURRENCY}", None, 200, {}),
        (f"PUT {CONCURRENCY}", reserve(0), 200, reserve(0)),
        (f"GET {GET_CONCURRENCY}", None, 200, reserve(0)),
        (f"PUT {CONCURRENCY}", reserve(1), 200, reserve(1)),
        (f"GET {GET_CONCURRENCY}", None, 200, reserve(1)),
        (f"DELETE {CONCURRENCY}", None, 204, None),
        (f"GET {GET_CONCURRENCY}", None, 200, {}),
        (f"DELETE {CONCURRENCY}", None, 204, None),
    )
    assert "Concurrency" not in get(client, f"GET {F}")


def test_a_reserved_concurrency_is_told_with_the_function(client: Client) -> None:
    get(client, f"PUT {CONCURRENCY}", reserve(5))
    assert get(client, f"GET {F}")["Concurrency"] == reserve(5)
    assert get(client, f"GET {F}?Qualifier=1")["Concurrency"] == reserve(5)
    limit = get(client, f"GET {ACCOUNT_SETTINGS}")["AccountLimit"]
    assert (limit["ConcurrentExecutions"], limit["UnreservedConcurrentExecutions"]) == (1000, 995)


def test_what_other_functions_have_reserved_cannot_be_reserved_again(client: Client) -> None:
    get(client, f"PUT {CONCURRENCY}", reserve(500))
    other = concurrency_of("g")
    too_much_reserved().check(ask(client, f"PUT {other}", reserve(401)))
    assert get(client, f"PUT {other}", reserve(400)) == reserve(400)
    too_much_reserved().check(ask(client, f"PUT {CONCURRENCY}", reserve(501)))
    assert get(client, f"PUT {CONCURRENCY}", reserve(500)) == reserve(500)
    assert get(client, f"PUT {CONCURRENCY}", reserve(499)) == reserve(499)


@pytest.mark.parametrize(
    ("limit", "least", "most"), [(1000, 100, 900), (101, 100, 1), (100, 100, 0), (50, 50, 0)]
)
def test_a_hundred_executions_stay_unreserved_or_all_where_there_are_fewer(
    limit: int, least: int, most: int
) -> None:
    client = Client(make_app(concurrent_executions=limit))
    too_much_reserved(least).check(ask(client, f"PUT {CONCURRENCY}", reserve(most + 1)))
    assert get(client, f"PUT {CONCURRENCY}", reserve(most)) == reserve(most)
    told = get(client, f"GET {ACCOUNT_SETTINGS}")["AccountLimit"]
    assert told["ConcurrentExecutions"] == limit
    assert told["UnreservedConcurrentExecutions"] == limit - most


def test_less_can_always_be_reserved() -> None:
    """Even where the application has declared more than there is."""
    client = Client(make_app(only(reserved_concurrency=2000)))
    assert get(client, f"PUT {CONCURRENCY}", reserve(1999)) == reserve(1999)
    assert get(client, f"PUT {CONCURRENCY}", reserve(1500)) == reserve(1500)
    too_much_reserved().check(ask(client, f"PUT {CONCURRENCY}", reserve(1501)))


def test_what_is_told_of_the_account(client: Client) -> None:
    settings = get(client, f"GET {ACCOUNT_SETTINGS}")
    assert set(settings) == {"AccountLimit", "AccountUsage"}
    assert set(settings["AccountLimit"]) == {
        "CodeSizeUnzipped",
        "CodeSizeZipped",
        "ConcurrentExecutions",
        "TotalCodeSize",
        "UnreservedConcurrentExecutions",
    }
    assert set(settings["AccountUsage"]) == {"FunctionCount", "TotalCodeSize"}
    assert settings["AccountUsage"]["FunctionCount"] == 2
    members = [*settings["AccountLimit"].values(), *settings["AccountUsage"].values()]
    assert {type(value) for value in members} == {int}


def test_the_recorded_life_of_a_recursion_config(client: Client) -> None:
    allow, terminate = {"RecursiveLoop": "Allow"}, {"RecursiveLoop": "Terminate"}
    play(
        client,
        (f"GET {RECURSION}", None, 200, terminate),
        (f"PUT {RECURSION}", allow, 200, allow),
        (f"GET {RECURSION}", None, 200, allow),
        (f"PUT {RECURSION}", terminate, 200, terminate),
        (f"GET {RECURSION}", None, 200, terminate),
    )


@pytest.mark.parametrize("qualifier", [None, "$LATEST", "1", "live"])
def test_the_runtime_is_managed_by_the_application(client: Client, qualifier: str | None) -> None:
    members = get(client, f"GET {qualified(RUNTIME, qualifier)}")
    assert members["FunctionArn"] in (arn("f", qualifier), arn("f", qualifier or "$LATEST"))
    assert members["UpdateRuntimeOn"] in ("Auto", "FunctionUpdate", "Manual")


def test_there_is_no_code_signing(client: Client) -> None:
    """Terraform takes an error for fatal, and reads no ARN as none."""
    assert get(client, f"GET {CODE_SIGNING}") == {"FunctionName": "f"}


def test_no_tags_are_an_empty_object_and_no_member_of_the_function(client: Client) -> None:
    assert get(client, f"GET {tags_of(arn())}") == {"Tags": {}}
    assert "Tags" not in get(client, f"GET {F}")


# --- permissions ----------------------------------------------------------------------------------

ORGANIZATION = "o-1234567890"
TOKEN = "amzn1.ask.skill.xxxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"
SOURCE_ACCOUNT = {"StringEquals": {"AWS:SourceAccount": ACCOUNT}}


@pytest.mark.parametrize(
    ("body", "principal", "condition"),
    [
        pytest.param(
            permission(**BUCKET),
            {"Service": "s3.amazonaws.com"},
            {"ArnLike": {"AWS:SourceArn": "arn:aws:s3:::test-bucket"}},
            id="a service for a bucket",
        ),
        pytest.param(permission(), {"Service": "s3.amazonaws.com"}, None, id="a service"),
        pytest.param(permission(principal="*", SourceAccount=ACCOUNT), "*", SOURCE_ACCOUNT, id="*"),
        pytest.param(
            permission(principal="lambda.amazonaws.com", SourceAccount=ACCOUNT),
            {"Service": "lambda.amazonaws.com"},
            SOURCE_ACCOUNT,
            id="a service of an account",
        ),
        pytest.param(
            permission(principal="111111111111"),
            {"AWS": "arn:aws:iam::111111111111:root"},
            None,
            id="an account",
        ),
        pytest.param(
            permission(principal=BOB, SourceAccount=ACCOUNT),
            {"AWS": BOB},
            SOURCE_ACCOUNT,
            id="a user",
        ),
        pytest.param(
            permission(
                principal="*",
                Action="lambda:InvokeFunctionUrl",
                SourceAccount=ACCOUNT,
                PrincipalOrgID=ORGANIZATION,
                FunctionUrlAuthType="NONE",
                **BUCKET,
            ),
            "*",
            {
                "StringEquals": {
                    "AWS:SourceAccount": ACCOUNT,
                    "lambda:FunctionUrlAuthType": "NONE",
                    "aws:PrincipalOrgID": ORGANIZATION,
                },
                "ArnLike": {"AWS:SourceArn": "arn:aws:s3:::test-bucket"},
            },
            id="all optional members",
        ),
        pytest.param(
            permission(principal="*", EventSourceToken=TOKEN),
            "*",
            {"StringEquals": {"lambda:EventSourceToken": TOKEN}},
            id="a skill",
        ),
    ],
)
def test_a_permission_becomes_a_statement(
    client: Client, body: Any, principal: object, condition: object
) -> None:
    members = get(client, f"POST {policy_of()}", body, 201)
    assert set(members) == {"Statement"}
    statement = {
        "Sid": "s3",
        "Effect": "Allow",
        "Principal": principal,
        "Action": body["Action"],
        "Resource": arn(),
    }
    if condition is not None:
        statement["Condition"] = condition
    assert json.loads(members["Statement"]) == statement
    assert members["Statement"].encode() == compact(json.loads(members["Statement"]))
    policy = get(client, f"GET {policy_of()}")
    assert set(policy) == {"Policy", "RevisionId"}
    assert json.loads(policy["Policy"]) == {
        "Version": "2012-10-17",
        "Id": "default",
        "Statement": [statement],
    }


def test_the_recorded_life_of_a_policy(client: Client) -> None:
    get(client, f"POST {policy_of()}", permission(), 201)
    get(client, f"POST {policy_of()}", permission("sqs", "sqs.amazonaws.com", **BUCKET), 201)
    assert sids(client) == ["s3", "sqs"]
    not_found("Statement non-existent is not found in resource policy.").check(
        ask(client, f"DELETE {policy_of()}/non-existent")
    )
    get(client, f"DELETE {policy_of()}/sqs", status=204)
    assert sids(client) == ["s3"]
    revision = get(client, f"GET {policy_of()}")["RevisionId"]
    get(client, f"DELETE {policy_of()}/s3?RevisionId={revision}", status=204)
    NO_RESOURCE.check(ask(client, f"GET {policy_of()}"))
    NO_POLICY.check(ask(client, f"DELETE {policy_of()}/s3"))


def test_each_qualifier_has_a_policy_of_its_own(client: Client) -> None:
    get(client, f"POST {policy_of()}", permission(**BUCKET), 201)
    get(client, f"POST {F}/versions", {}, 201)
    NO_RESOURCE.check(ask(client, f"GET {policy_of('f', '3')}"))
    get(client, f"POST {policy_of('f:3', '3')}", permission(**BUCKET), 201)
    get(client, f"POST {policy_of('f:live')}", permission(**BUCKET), 201)
    for qualifier in (None, "3", "live"):
        assert [each["Resource"] for each in statements(client, qualifier)] == [arn("f", qualifier)]
    get(client, f"DELETE {policy_of()}/s3?Qualifier=3", status=204)
    NO_RESOURCE.check(ask(client, f"GET {policy_of('f', '3')}"))
    for qualifier in (None, "live"):
        assert [each["Resource"] for each in statements(client, qualifier)] == [arn("f", qualifier)]


@pytest.mark.parametrize(
    ("qualifier", "revision_of"),
    [
        (None, f"GET {F}/configuration"),
        ("1", f"GET {F}/configuration?Qualifier=1"),
        ("live", f"GET {F}/aliases/live"),
    ],
)
def test_a_policy_shares_the_revision_of_what_it_is_for(
    client: Client, qualifier: str | None, revision_of: str
) -> None:
    policy = policy_of("f", qualifier)
    query = "" if qualifier is None else f"Qualifier={qualifier}&"
    statement = f"{policy_of()}/s3?{query}RevisionId="
    before = get(client, revision_of)["RevisionId"]
    wrong = outdated("GetPolicy")
    get(client, f"POST {policy}", permission(RevisionId=before), 201)
    added = get(client, f"GET {policy}")["RevisionId"]
    assert get(client, revision_of)["RevisionId"] == added != before
    wrong.check(ask(client, f"POST {policy}", permission("other", RevisionId=before)))
    wrong.check(ask(client, f"DELETE {statement}{before}"))
    get(client, f"DELETE {statement}{added}", status=204)
    assert get(client, revision_of)["RevisionId"] != added


def test_a_policy_has_at_most_20_kb(client: Client) -> None:
    for number in range(100):
        body = permission(f"{'s' * 90}-{number}", EventSourceToken="t" * 250, principal="*")
        before = state(client)
        answer = ask(client, f"POST {policy_of()}", body)
        if answer.status != 201:
            break
    assert outcome(answer) == (400, "PolicyLengthExceededException")
    assert json.loads(answer.body)["Type"] == "User"
    assert state(client) == before
    assert 15_000 < len(get(client, f"GET {policy_of()}")["Policy"]) <= 20_480
