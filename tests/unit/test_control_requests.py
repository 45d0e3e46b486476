"""Control calls as they are sent: bodies, paths, methods, queries, and the names of functions.

What is well-formed and refused all the same is in `test_control_refusals`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from invokeasync_wsgi import InvokeAsyncMiddleware, operations
from invokeasync_wsgi.testing import Client, SteppedExecutor

from ..control import (
    ACCOUNT,
    ACCOUNT_SETTINGS,
    CONCURRENCY,
    CONFIG,
    FUNCTIONS,
    GET_CONCURRENCY,
    NO_OPERATION,
    RECURSION,
    RETRY,
    RUNTIME,
    F,
    Refusal,
    alias,
    arn,
    ask,
    concurrency_of,
    config_of,
    encoded,
    get,
    make_app,
    make_functions,
    only,
    outcome,
    permission,
    plain,
    policy_of,
    request_of,
    reserve,
    state,
    tags_of,
    told_config,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


@pytest.fixture
def client() -> Client:
    return Client(make_app())


# --- bodies ---------------------------------------------------------------------------------------

#: A good request of each call that has a body, and the body.
BODIES: dict[str, tuple[str, object]] = {
    "PublishVersion": (f"POST {F}/versions", {}),
    "CreateAlias": (f"POST {F}/aliases", alias()),
    "UpdateAlias": (f"PUT {F}/aliases/live", {"Description": "x"}),
    "PutFunctionConcurrency": (f"PUT {CONCURRENCY}", reserve(1)),
    "PutFunctionEventInvokeConfig": (f"PUT {CONFIG}", RETRY),
    "UpdateFunctionEventInvokeConfig": (f"POST {config_of('f', 'next')}", RETRY),
    "AddPermission": (f"POST {policy_of()}", permission()),
    "PutFunctionRecursionConfig": (f"PUT {RECURSION}", {"RecursiveLoop": "Allow"}),
}


def check_that_body_is_refused(client: Client, request: str, body: object) -> None:
    """Fail unless a request is refused for what its body is, and changes nothing."""
    before = state(client)
    answer = ask(client, request, body)
    assert outcome(answer) == (400, "InvalidRequestContentException")
    assert answer.body.startswith(
        b'{"Type":"User","message":"Could not parse request body into json: '
    )
    assert state(client) == before


def test_the_table_of_bodies_has_every_call_that_has_one() -> None:
    assert set(BODIES) == {
        each.name for each in operations.SERVED if each.method in ("POST", "PUT")
    }


@pytest.fixture
def configured(client: Client) -> Client:
    """With a configuration that UpdateFunctionEventInvokeConfig finds."""
    get(client, f"PUT {config_of('f', 'next')}", RETRY)
    return client


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"{", id="cut off"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'"x"', id="a string"),
        pytest.param(b"1", id="a number"),
        pytest.param(b"true", id="true"),
        pytest.param(b"null", id="null"),
        pytest.param(b"\xff", id="no text"),
        pytest.param("{}".encode("utf-16"), id="UTF-16"),
        pytest.param("{}".encode("utf-8-sig"), id="a mark of the byte order"),
        pytest.param(b"{'a':1}", id="other quotes"),
        pytest.param(b'{"Description":NaN}', id="NaN"),
        pytest.param(b"{} {}", id="two"),
        pytest.param(b"[" * 30_000, id="deep"),
        pytest.param(b'{"Description":' + b"[" * 30_000, id="deep inside"),
    ],
)
@pytest.mark.parametrize("operation", BODIES)
def test_a_body_that_is_no_object_is_refused(
    configured: Client, operation: str, body: bytes
) -> None:
    request, _ = BODIES[operation]
    check_that_body_is_refused(configured, request, body)


@pytest.mark.parametrize("operation", BODIES)
def test_a_body_may_have_64_kib(configured: Client, operation: str) -> None:
    request, good = BODIES[operation]
    fits = json.dumps(good).encode().ljust(65536)
    before = state(configured)
    Refusal(
        413,
        "RequestEntityTooLargeException",
        b'{"Message":"Request must be smaller than 65536 bytes for the '
        b'%s operation"}' % operation.encode(),
    ).check(ask(configured, request, fits + b" "))
    assert state(configured) == before
    assert ask(configured, request, fits).status in (200, 201)


WRONG_TYPES = [
    (f"PUT {CONFIG}", {"MaximumRetryAttempts": "1"}),
    (f"PUT {CONFIG}", {"MaximumRetryAttempts": True}),
    (f"PUT {CONFIG}", {"MaximumRetryAttempts": 1.5}),
    (f"PUT {CONFIG}", {"MaximumEventAgeInSeconds": [60]}),
    (f"PUT {CONFIG}", {"DestinationConfig": "arn"}),
    (f"PUT {CONFIG}", {"DestinationConfig": {"OnSuccess": arn("g")}}),
    (f"PUT {CONFIG}", {"DestinationConfig": {"OnSuccess": {"Destination": 1}}}),
    (f"POST {CONFIG}", {"DestinationConfig": []}),
    (f"PUT {CONCURRENCY}", {"ReservedConcurrentExecutions": {}}),
    (f"PUT {RECURSION}", {"RecursiveLoop": 1}),
    (f"POST {F}/versions", {"Description": 1}),
    (f"POST {F}/versions", {"CodeSha256": ["x"]}),
    (f"POST {F}/aliases", alias(RoutingConfig=[])),
    (f"POST {F}/aliases", alias(RoutingConfig={"AdditionalVersionWeights": [2]})),
    (f"POST {F}/aliases", {"Name": 5, "FunctionVersion": "1"}),
    (f"PUT {F}/aliases/live", {"FunctionVersion": 2}),
    (f"POST {policy_of()}", permission(SourceAccount=123456789012)),
    (f"POST {policy_of()}", permission(Principal={"AWS": "*"})),
]


@pytest.mark.parametrize(
    ("request_", "body"),
    [pytest.param(request, body, id=json.dumps(body)) for request, body in WRONG_TYPES],
)
def test_a_member_of_the_wrong_type_is_refused(client: Client, request_: str, body: object) -> None:
    check_that_body_is_refused(client, request_, body)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"MaximumRetryAttempts":1,"Colour":"red"}', id="unknown"),
        pytest.param(b'{"MaximumRetryAttempts":1,"MaximumEventAgeInSeconds":null}', id="null"),
        pytest.param(b'{"MaximumRetryAttempts":1,"DestinationConfig":null}', id="null structure"),
        pytest.param(
            b'{"MaximumRetryAttempts":1,"DestinationConfig":{"OnFailure":{"Destination":null},'
            b'"OnSuccess":{"Destination":null}}}',
            id="null destinations",
        ),
        pytest.param(
            b'{"MaximumRetryAttempts":1,"DestinationConfig":{"OnFailure":{"Destination":""}}}',
            id="an empty destination",
        ),
        pytest.param(b'{"MaximumRetryAttempts":1,"Qualifier":"live"}', id="of the query"),
        pytest.param(b' {"MaximumRetryAttempts"\n:\t1}\r\n', id="blanks"),
    ],
)
def test_what_says_nothing_in_a_body_is_passed_over(client: Client, body: bytes) -> None:
    assert plain(get(client, f"PUT {CONFIG}", body)) == told_config(retries=1)


@pytest.mark.parametrize("body", [b"", b"{}"])
def test_a_call_without_required_members_needs_no_members(client: Client, body: bytes) -> None:
    assert get(client, f"POST {F}/versions", body, 201)["Version"] == "3"


def test_bodies_of_calls_that_have_none_are_passed_over(client: Client) -> None:
    for request in (f"GET {F}", f"GET {F}/aliases", f"GET {ACCOUNT_SETTINGS}"):
        assert ask(client, request, b"{not JSON").body == ask(client, request).body


# --- paths and methods ----------------------------------------------------------------------------

OPERATIONS = [
    pytest.param(request_of(each), id=each.name)
    for each in (*operations.SERVED, *operations.REFUSED)
]


@pytest.mark.parametrize("request_", OPERATIONS)
def test_a_final_slash_makes_no_difference(request_: str) -> None:
    answers = []
    for ending in ("", "/"):
        client = Client(make_app())
        get(client, f"PUT {CONFIG}", RETRY)
        answer = ask(client, request_ + ending, b"{}")
        assert answer.body != NO_OPERATION.body
        body = re.sub(rb'"RevisionId":"[^"]*"', b"", answer.body)
        answers.append((answer.status, answer.headers.get("x-amzn-errortype"), body))
    assert answers[0] == answers[1]


@pytest.mark.parametrize("request_", OPERATIONS)
def test_a_query_makes_no_other_operation(client: Client, request_: str) -> None:
    answer = ask(client, f"{request_}?a=b&a=c&=&Unknown=%FF", b"{}")
    assert answer.body != NO_OPERATION.body
    assert answer.status < 500


@pytest.mark.parametrize(
    "request_",
    [
        f"POST {F}",
        f"PATCH {F}",
        f"OPTIONS {F}",
        f"PUT {F}",
        f"POST {F}/configuration",
        f"POST {F}/aliases/live",
        f"PUT {F}/policy",
        f"GET {F}//",
        f"GET {F}/configuration//",
        f"GET {FUNCTIONS}//",
        f"GET {FUNCTIONS}//configuration",
        f"GET {F}/versions/1",
        f"GET {F}/aliases/live/more",
        f"GET {F}/policy/s3",
        f"GET {F}/nothing",
        f"GET {F}/Configuration",
        f"DELETE {F}/versions",
        f"DELETE {F}/aliases",
        f"GET {F}/concurrency",
        f"GET {FUNCTIONS}/a%2Fb",
        f"DELETE {FUNCTIONS}",
        f"GET {CONCURRENCY}",
        f"PUT {GET_CONCURRENCY}",
        f"DELETE {GET_CONCURRENCY}",
        "GET /2017-10-31/functions/f",
        "GET /2019-09-25/functions/f/event-invoke-configs",
        f"POST {CONFIG}/list",
        "GET /2019-09-25/functions/f",
        "GET /2019-09-30/functions/f/provisioned-concurrency",
        f"POST {ACCOUNT_SETTINGS}",
        f"GET {ACCOUNT_SETTINGS}/more",
        "GET /2021-10-31/functions/f/urls",
        f"DELETE {RECURSION}",
        f"POST {RUNTIME}",
        "GET /2017-03-31/tags",
        "GET /2017-03-31/tags/",
        f"GET /{F}",
        "GET /2018-10-31/layers",
    ],
)
def test_what_is_no_operation_is_told_so(client: Client, request_: str) -> None:
    NO_OPERATION.check(ask(client, request_, b"{}"))


@pytest.mark.parametrize("request_", OPERATIONS)
def test_head_is_no_operation_and_its_answer_has_no_body(client: Client, request_: str) -> None:
    answer = ask(client, f"HEAD {request_.partition(' ')[2]}")
    assert (answer.status, answer.body) == (403, b"")
    assert answer.headers["content-length"] == str(len(NO_OPERATION.body))


WRAPPED = b"the application's own"


def wrapped(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    start_response("418 I'm a Teapot", [("Content-Type", "text/plain")])
    return [WRAPPED]


@pytest.mark.parametrize(
    ("request_", "is_ours"),
    [
        (f"GET {F}", True),
        (f"GET {F}/nothing", True),
        (f"GET {FUNCTIONS}/", True),
        (f"GET {ACCOUNT_SETTINGS}/", True),
        (f"GET {tags_of(arn())}", True),
        ("GET /2015-03-31/functionsX", False),
        ("GET /2015-03-31/event-source-mappings", False),
        ("GET /2016-08-19/account-settings-of-mine", False),
        ("GET /2017-03-31/tag", False),
        ("GET /2018-10-31/layers", False),
        ("GET /2020-04-22/code-signing-configs", False),
        ("GET /2015-03-31", False),
        ("GET /", False),
    ],
)
def test_the_wrapped_application_answers_what_is_not_ours(request_: str, is_ours: bool) -> None:
    app = InvokeAsyncMiddleware(wrapped, make_functions(), auth="none", executor=SteppedExecutor())
    answer = ask(Client(app), request_)
    assert (answer.status == 418) is (answer.body == WRAPPED) is not is_ours


@pytest.mark.parametrize(
    ("operation", "request_"),
    [pytest.param(each.name, request_of(each), id=each.name) for each in operations.REFUSED],
)
@pytest.mark.parametrize("body", [b"", b"{}", b"{not JSON"])
def test_what_the_application_defines_is_not_changed(
    client: Client, operation: str, request_: str, body: bytes
) -> None:
    before = state(client)
    answer = ask(client, request_, body)
    assert outcome(answer) == (403, "AccessDeniedException")
    members = json.loads(answer.body)
    assert set(members) == {"Message"}
    assert members["Message"].startswith(f"{operation} ")
    assert "functions are defined by the application" in members["Message"]
    assert state(client) == before


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["f", "function:f", f"{ACCOUNT}:function:f", f"us-east-1:{ACCOUNT}:function:f", arn("f")],
)
@pytest.mark.parametrize("encode", [encoded, str], ids=["encoded", "raw"])
def test_a_function_has_many_names(client: Client, name: str, encode: Callable[[str], str]) -> None:
    get(client, f"PUT {CONFIG}", RETRY)
    get(client, f"POST {policy_of()}", permission(), 201)
    called = encode(name)
    for template in (
        "GET /2015-03-31/functions/{}",
        "GET /2015-03-31/functions/{}/configuration",
        "GET /2015-03-31/functions/{}/versions",
        "GET /2015-03-31/functions/{}/aliases",
        "GET /2015-03-31/functions/{}/aliases/live",
        "GET /2015-03-31/functions/{}/policy",
        "GET /2019-09-25/functions/{}/event-invoke-config",
        "GET /2019-09-25/functions/{}/event-invoke-config/list",
        "GET /2019-09-30/functions/{}/concurrency",
        "GET /2024-08-31/functions/{}/recursion-config",
        "GET /2021-07-20/functions/{}/runtime-management-config",
        "GET /2020-06-30/functions/{}/code-signing-config",
    ):
        answer = ask(client, template.format(called))
        assert (answer.status, answer.body) == (200, ask(client, template.format("f")).body)
    assert get(client, f"PUT /2017-10-31/functions/{called}/concurrency", reserve(3)) == reserve(3)
    assert get(client, f"GET {GET_CONCURRENCY}") == reserve(3)


@pytest.mark.parametrize(
    "called", ["f%3Alive", "f:live", encoded(arn("f", "live")), "f?Qualifier=live"]
)
def test_a_qualifier_may_stand_in_the_name_or_in_the_query(client: Client, called: str) -> None:
    members = get(client, f"GET {FUNCTIONS}/{called}")["Configuration"]
    assert (members["FunctionArn"], members["Version"]) == (arn("f", "live"), "1")


def test_names_with_dots_can_be_controlled() -> None:
    client = Client(make_app(only(name="my.function-1")))
    assert get(client, f"PUT {concurrency_of('my.function-1')}", reserve(3)) == reserve(3)
    path = f"{FUNCTIONS}/my.function-1"
    assert get(client, f"POST {path}/versions", {}, 201)["Version"] == "1"
    assert get(client, f"POST {path}/aliases", alias("live"), 201)["FunctionVersion"] == "1"
    assert get(client, f"PUT {path}/aliases/live", {"Description": "x"})["Description"] == "x"
    assert get(client, f"GET {tags_of(arn('my.function-1'))}") == {"Tags": {}}
