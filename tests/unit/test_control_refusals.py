"""What refused control calls are told: status, error type and body, as Lambda sends them.

Texts are those of recordings of the real service (November 2025) wherever there is one. Requests go
through the whole middleware; its clock stands still and nothing runs by itself.
"""

from __future__ import annotations

import json
import logging

import pytest

from invokeasync_wsgi import Functions
from invokeasync_wsgi.testing import Client

from ..control import (
    ACCOUNT,
    BUCKET,
    CONCURRENCY,
    CONFIG,
    FUNCTIONS,
    MISMATCH,
    NO_POLICY,
    NO_RESOURCE,
    OTHER_ACCOUNT,
    OTHER_REGION,
    RECURSION,
    RETRY,
    F,
    Refusal,
    alias,
    arn,
    ask,
    bad_parameter,
    bad_parameter_without_type,
    code_sha256,
    concurrency_of,
    config_of,
    conflict,
    destination,
    encoded,
    get,
    invalid,
    make_app,
    make_guarded_app,
    must,
    no_alias,
    no_config,
    no_function,
    not_found,
    outcome,
    outdated,
    permission,
    policy,
    policy_of,
    qualified,
    reserve,
    signed_client,
    state,
    tags_of,
    too_much_reserved,
    url_of,
    weights,
    without,
)

#: What is asked for, the request, its body, and what it is told.
Row = tuple[str, str, object, Refusal]


@pytest.fixture
def client() -> Client:
    return Client(make_app())


# --- the words of the model -----------------------------------------------------------------------

NAME_PATTERN = (
    r"(arn:(aws[a-zA-Z-]*)?:lambda:)?"
    r"((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?"
    r"(\d{12}:)?(function:)?([a-zA-Z0-9-_\.]+)"
    r"(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+))?"
)
QUALIFIER_PATTERN = r"\$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+"
URL_QUALIFIER_PATTERN = r"((?!^\d+$)^[0-9a-zA-Z-_]+$)"
ALIAS_PATTERN = r"(?!^[0-9]+$)([a-zA-Z0-9-_]+)"
DESTINATION_PATTERN = (
    r"$|kafka://([^.]([a-zA-Z0-9\-_.]{0,248}))|arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\-])+:"
    r"((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1})?:(\d{12})?:(.*)"
)
SOURCE_PATTERN = (
    r"arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\-])+:"
    r"((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1})?:(\d{12})?:(.*)"
)
TAGGED_PATTERN = (
    r"arn:(aws[a-zA-Z-]*):lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:"
    r"(function:[a-zA-Z0-9-_]+(:(\$LATEST|[a-zA-Z0-9-_]+))?|layer:([a-zA-Z0-9-_]+)|"
    r"code-signing-config:csc-[a-z0-9]{17}|event-source-mapping:[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-"
    r"[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}|capacity-provider:[a-zA-Z0-9-_]+)"
)


def matches(pattern: str) -> str:
    return f"satisfy regular expression pattern: {pattern}"


def at_most(limit: int) -> str:
    return f"have value less than or equal to {limit}"


def at_least(limit: int) -> str:
    return f"have value greater than or equal to {limit}"


def no_longer_than(limit: int) -> str:
    return f"have length less than or equal to {limit}"


def one_of(*values: str) -> str:
    return f"satisfy enum value set: [{', '.join(values)}]"


MISSING = "not be null"


# --- what is refused ------------------------------------------------------------------------------

EU = "arn:aws:lambda:eu-west-1:123456789012:function:f"
STRANGE = "arn:aws:lambda:us-east-1:000000000000:function:f"

NOT_THERE = not_found("The function doesn't exist.")
NO_SETTING = bad_parameter(
    "You must specify at least one of error handling or destination setting."
)
UNQUALIFIED_ONLY = bad_parameter(
    "This operation is permitted on Lambda functions only. Aliases and versions do not support "
    "this operation. Please specify either a function name or an unqualified function ARN."
)
ITSELF = bad_parameter("You can't specify the function as a destination for itself.")
OF_IAM = arn("g").replace(":lambda:", ":iam:")
BAD_ARN = arn("f").replace(":lambda:", ":_-/!lambda:")


def bad_destination(on_success: str) -> Refusal:
    return bad_parameter(
        "The provided destination config DestinationConfig(onSuccess=OnSuccess(destination="
        f"{on_success}), onFailure=null) is invalid."
    )


EVENT_INVOKE_CONFIGS: list[Row] = [
    ("put: no function", f"PUT {config_of('nobody')}", RETRY, NOT_THERE),
    ("put: no function, by ARN", f"PUT {config_of(arn('nobody'))}", RETRY, NOT_THERE),
    ("put: no alias", f"PUT {config_of('f', 'nobody')}", RETRY, NOT_THERE),
    ("put: no version", f"PUT {config_of('f', '3')}", RETRY, NOT_THERE),
    ("put: nothing to set", f"PUT {config_of('nobody')}", {}, NO_SETTING),
    ("put: no body", f"PUT {config_of('nobody')}", None, NO_SETTING),
    (
        "put: a destination that does not exist",
        f"PUT {CONFIG}",
        destination(arn("nobody")),
        bad_parameter(f"The destination ARN {arn('nobody')} is invalid."),
    ),
    ("put: itself", f"PUT {CONFIG}", destination(arn("f")), ITSELF),
    ("put: itself for failures", f"PUT {CONFIG}", destination(arn("f"), "OnFailure"), ITSELF),
    ("put: another service", f"PUT {CONFIG}", destination(OF_IAM), bad_destination(OF_IAM)),
    (
        "put: no ARN",
        f"PUT {CONFIG}",
        destination(BAD_ARN, "OnFailure"),
        invalid(
            must("destinationConfig.onFailure.destination", BAD_ARN, matches(DESTINATION_PATTERN))
        ),
    ),
    ("put: ARN and other alias", f"PUT {config_of(arn('f', 'live'), 'next')}", RETRY, MISMATCH),
    ("put: alias and other alias", f"PUT {config_of('f:live', 'next')}", RETRY, MISMATCH),
    ("put: version and $LATEST", f"PUT {config_of('f:1', '$LATEST')}", RETRY, MISMATCH),
    ("put: $LATEST and version", f"PUT {config_of('f:$LATEST', '1')}", RETRY, MISMATCH),
    ("put: version and alias", f"PUT {config_of('f:1', 'live')}", RETRY, MISMATCH),
    ("update: nothing to set", f"POST {config_of('nobody')}", {}, NO_SETTING),
    ("update: no function", f"POST {config_of('nobody')}", RETRY, NOT_THERE),
    ("update: no config", f"POST {config_of(arn())}", RETRY, no_config("f")),
    ("update: alias without", f"POST {config_of(arn('f', 'live'))}", RETRY, no_config("f", "live")),
    ("get: no config", f"GET {CONFIG}", None, no_config("f")),
    ("get: no function", f"GET {config_of('nobody')}", None, no_config("nobody")),
    ("get: no alias", f"GET {config_of('f', 'nobody')}", None, no_config("f", "nobody")),
    ("get: alias without", f"GET {config_of(arn('f', 'live'))}", None, no_config("f", "live")),
    ("get: no version", f"GET {config_of('f', '1221')}", None, no_config("f", "1221")),
    ("get: two qualifiers", f"GET {config_of('f:1', '2')}", None, MISMATCH),
    ("get: another region", f"GET {config_of(EU)}", None, OTHER_REGION),
    ("delete: no config", f"DELETE {CONFIG}", None, no_config("f")),
    ("delete: no function", f"DELETE {config_of('nobody')}", None, no_config("nobody")),
    ("delete: no alias", f"DELETE {config_of('f', 'nobody')}", None, no_config("f", "nobody")),
    ("list: no function", f"GET {config_of('nobody')}/list", None, NOT_THERE),
]

MAP_VALUES = (
    "Map value must satisfy constraint: [Member must have value less than or equal to 1.0, Member "
    "must have value greater than or equal to 0.0, Member must not be null]"
)
MAP_KEYS = (
    "Map keys must satisfy constraint: [Member must have length less than or equal to 1024, Member "
    "must have length greater than or equal to 1, Member must satisfy regular expression pattern: "
    "[0-9]+]"
)


def bad_weights(shown: str, constraint: str) -> Refusal:
    return invalid(
        f"Value '{shown}' at 'routingConfig.additionalVersionWeights' failed to satisfy "
        f"constraint: {constraint}"
    )


CREATE = f"POST {F}/aliases"
UPDATE = f"PUT {F}/aliases/live"
TWICE = bad_parameter(
    "Invalid function version 1. Function version 1 is already included in routing configuration."
)
TOO_MANY = bad_parameter("Number of items in AdditionalVersionWeights cannot be greater than 1")
TO_TWO = {"RoutingConfig": weights(v2=0.5)}

ALIASES: list[Row] = [
    (
        "create: more than one other version",
        CREATE,
        alias(RoutingConfig=weights(v1=0.8, v2=0.2)),
        TOO_MANY,
    ),
    (
        "create: too high a weight",
        CREATE,
        alias(RoutingConfig=weights(v2=2)),
        bad_weights("{2=2.0}", MAP_VALUES),
    ),
    (
        "create: a weight below zero",
        CREATE,
        alias(RoutingConfig=weights(v2=-1)),
        bad_weights("{2=-1.0}", MAP_VALUES),
    ),
    (
        "create: a weight beyond all numbers",
        CREATE,
        alias(RoutingConfig=weights(v2=10**400)),
        bad_weights("{2=Infinity}", MAP_VALUES),
    ),
    ("create: the same version twice", CREATE, alias(RoutingConfig=weights(v1=0.5)), TWICE),
    ("create: no version", CREATE, alias(version="10", **TO_TWO), no_function("f", "10")),
    (
        "create: no other version",
        CREATE,
        alias(RoutingConfig=weights(v10=0.5)),
        no_function("f", "10"),
    ),
    (
        "create: $LATEST and another",
        CREATE,
        alias(version="$LATEST", RoutingConfig=weights(v1=0.5)),
        bad_parameter_without_type(
            "$LATEST is not supported for an alias pointing to more than 1 version"
        ),
    ),
    (
        "create: $LATEST as the other",
        CREATE,
        alias(RoutingConfig={"AdditionalVersionWeights": {"$LATEST": 0.5}}),
        bad_weights("{$LATEST=0.5}", MAP_KEYS),
    ),
    (
        "create: no function",
        f"POST {FUNCTIONS}/nobody/aliases",
        alias(**TO_TWO),
        no_function("nobody", "1"),
    ),
    (
        "create: it exists",
        CREATE,
        alias("live", **TO_TWO),
        conflict(f"Alias already exists: {arn('f', 'live')}"),
    ),
    (
        "create: a number",
        CREATE,
        alias("2024"),
        invalid(must("name", "2024", matches(ALIAS_PATTERN))),
    ),
    ("get: no alias", f"GET {F}/aliases/nobody", None, no_alias("nobody")),
    (
        "update: no alias",
        f"PUT {F}/aliases/nobody",
        {"Description": "x"},
        not_found(f"Alias not found: {arn('f', 'nobody')}"),
    ),
    (
        "update: more than one other version",
        UPDATE,
        {"RoutingConfig": weights(v1=0.5, v2=0.5)},
        TOO_MANY,
    ),
    (
        "update: too high a weight",
        UPDATE,
        {"RoutingConfig": weights(v2=1.5)},
        bad_weights("{2=1.5}", MAP_VALUES),
    ),
    ("update: the same version twice", UPDATE, {"RoutingConfig": weights(v1=0.5)}, TWICE),
    ("update: no version", UPDATE, {"FunctionVersion": "10"}, no_function("f", "10")),
    (
        "update: no other version",
        UPDATE,
        {"RoutingConfig": weights(v10=0.5)},
        no_function("f", "10"),
    ),
    ("update: an outdated revision", UPDATE, {"RevisionId": "wrong"}, outdated()),
]

PERMISSIONS: list[Row] = [
    (
        "add: a bad statement id",
        f"POST {policy_of()}",
        permission("example.com"),
        invalid(must("statementId", "example.com", matches("([a-zA-Z0-9-_]+)"))),
    ),
    (
        "add: two qualifiers",
        f"POST {policy_of('f:alias-not-42', '42')}",
        permission(**BUCKET),
        MISMATCH,
    ),
    (
        "add: $LATEST",
        f"POST {policy_of('f:$LATEST', '$LATEST')}",
        permission(**BUCKET),
        bad_parameter("We currently do not support adding policies for $LATEST."),
    ),
    (
        "add: no principal",
        f"POST {policy_of()}",
        permission(principal="invalid.nonaws.com", SourceAccount=ACCOUNT),
        bad_parameter(
            "The provided principal was invalid. Please check the principal and try again."
        ),
    ),
    (
        "add: no function",
        f"POST {policy_of('nobody')}",
        permission(**BUCKET),
        no_function("nobody"),
    ),
    (
        "add: no alias",
        f"POST {policy_of('f:alias-doesnotexist')}",
        permission(**BUCKET),
        no_alias("alias-doesnotexist"),
    ),
    (
        "add: no version",
        f"POST {policy_of('f', '42')}",
        permission(**BUCKET),
        no_function("f", "42"),
    ),
    (
        "add: a bad qualifier",
        f"POST {policy_of('f', 'invalid-qualifier-with-?-char')}",
        permission(**BUCKET),
        invalid(must("qualifier", "invalid-qualifier-with-?-char", matches(QUALIFIER_PATTERN))),
    ),
    (
        "add: neither a version nor an alias",
        f"POST {policy_of('f', 'valid-with-$-but-doesnotexist')}",
        permission(**BUCKET),
        no_function("f", "valid-with-$-but-doesnotexist"),
    ),
    (
        "add: it exists",
        f"POST {policy_of('g')}",
        permission("there"),
        conflict(
            "The statement id (there) provided already exists. Please provide a new statement id, "
            "or remove the existing statement."
        ),
    ),
    (
        "add: an outdated revision",
        f"POST {policy_of()}",
        permission(RevisionId="wrong"),
        outdated("GetPolicy"),
    ),
    (
        "add: an outdated revision of an alias",
        f"POST {policy_of('f', 'live')}",
        permission(RevisionId="wrong"),
        outdated("GetPolicy"),
    ),
    ("get: no function", f"GET {policy_of('nobody')}", None, NO_RESOURCE),
    ("get: no version", f"GET {policy_of('f', '77')}", None, NO_RESOURCE),
    ("get: no alias", f"GET {policy_of('f', 'nobody')}", None, NO_RESOURCE),
    ("get: no policy", f"GET {policy_of()}", None, NO_RESOURCE),
    ("get: no policy of a version", f"GET {policy_of('f', '1')}", None, NO_RESOURCE),
    ("remove: no policy", f"DELETE {policy_of()}/s3", None, NO_POLICY),
    (
        "remove: no statement",
        f"DELETE {policy_of('g')}/non-existent",
        None,
        not_found("Statement non-existent is not found in resource policy."),
    ),
    (
        "remove: no function",
        f"DELETE {policy_of('nobody')}/s3",
        None,
        not_found(f"No policy found for: {arn('nobody')}"),
    ),
    (
        "remove: no alias",
        f"DELETE {policy_of()}/s3?Qualifier=alias-doesnotexist",
        None,
        no_alias("alias-doesnotexist"),
    ),
    (
        "remove: an outdated revision",
        f"DELETE {policy_of('g')}/there?RevisionId=wrong",
        None,
        outdated("GetPolicy"),
    ),
]

CONCURRENCIES: list[Row] = [
    (
        "put: no function",
        f"PUT {concurrency_of('nobody')}",
        reserve(1),
        no_function("nobody", "$LATEST"),
    ),
    (
        "put: none for no function",
        f"PUT {concurrency_of('nobody')}",
        reserve(0),
        no_function("nobody", "$LATEST"),
    ),
    ("put: $LATEST", f"PUT {concurrency_of(arn('f', '$LATEST'))}", reserve(0), UNQUALIFIED_ONLY),
    ("put: a version", f"PUT {concurrency_of('f:1')}", reserve(0), UNQUALIFIED_ONLY),
    ("put: an alias", f"PUT {concurrency_of('f:live')}", reserve(0), UNQUALIFIED_ONLY),
    ("put: more than there is", f"PUT {CONCURRENCY}", reserve(1001), too_much_reserved()),
    ("put: all there is", f"PUT {CONCURRENCY}", reserve(1000), too_much_reserved()),
    ("put: all but 99", f"PUT {CONCURRENCY}", reserve(901), too_much_reserved()),
    (
        "get: no function",
        "GET /2019-09-30/functions/nobody/concurrency",
        None,
        no_function("nobody"),
    ),
    (
        "get: another region",
        f"GET /2019-09-30/functions/{encoded(EU)}/concurrency",
        None,
        OTHER_REGION,
    ),
    (
        "recursion: no such choice",
        f"PUT {RECURSION}",
        {"RecursiveLoop": "InvalidValue"},
        invalid(must("recursiveLoop", "InvalidValue", one_of("Terminate", "Allow"))),
    ),
]


def bad_url_qualifier(qualifier: str) -> Refusal:
    return invalid(must("qualifier", qualifier, matches(URL_QUALIFIER_PATTERN)))


NO_FUNCTION_NO_LAYER = arn("f").replace(":function:", ":foobar:")

OTHERS: list[Row] = [
    ("tags: no function", f"GET {tags_of(arn('nobody'))}", None, no_function("nobody")),
    (
        "tags: an alias",
        f"GET {tags_of(arn('f', 'live'))}",
        None,
        bad_parameter(
            "Tags on function aliases and versions are not supported. Please specify a function "
            "ARN."
        ),
    ),
    (
        "tags: no tagged thing",
        f"GET {tags_of(NO_FUNCTION_NO_LAYER)}",
        None,
        invalid(must("resource", NO_FUNCTION_NO_LAYER, matches(TAGGED_PATTERN))),
    ),
    (
        "tags: hardly an ARN",
        f"GET {tags_of('arn:aws:something')}",
        None,
        invalid(must("resource", "arn:aws:something", matches(TAGGED_PATTERN))),
    ),
    ("url: no function", f"GET {url_of('nobody')}", None, NO_RESOURCE),
    ("url: no function, by ARN", f"GET {url_of(arn('nobody'))}", None, NO_RESOURCE),
    ("url: none", f"GET {url_of()}", None, NO_RESOURCE),
    ("url: an alias without", f"GET {url_of('f', 'live')}", None, NO_RESOURCE),
    ("url: no alias", f"GET {url_of('f', 'nobody')}", None, NO_RESOURCE),
    ("url: two qualifiers", f"GET {url_of(arn('f', 'live'), 'next')}", None, MISMATCH),
    ("url: a version", f"GET {url_of('f', '1')}", None, bad_url_qualifier("1")),
    ("url: no version", f"GET {url_of('nobody', '2')}", None, bad_url_qualifier("2")),
    ("url: $LATEST", f"GET {url_of('f', '$LATEST')}", None, bad_url_qualifier("$LATEST")),
    ("url: another region", f"GET {url_of(EU)}", None, OTHER_REGION),
    (
        "code signing: no function",
        "GET /2020-06-30/functions/nobody/code-signing-config",
        None,
        no_function("nobody"),
    ),
    (
        "code signing: another region",
        f"GET /2020-06-30/functions/{encoded(EU)}/code-signing-config",
        None,
        OTHER_REGION,
    ),
    (
        "functions: no such choice",
        f"GET {FUNCTIONS}?FunctionVersion=invalid",
        None,
        invalid(must("functionVersion", "invalid", one_of("ALL"))),
    ),
    ("publish: an outdated revision", f"POST {F}/versions", {"RevisionId": "wrong"}, outdated()),
    (
        "publish: another code",
        f"POST {F}/versions",
        {"CodeSha256": "somenonexistentsha256"},
        bad_parameter(
            "CodeSHA256 (somenonexistentsha256) is different from current CodeSHA256 in $LATEST "
            f"({code_sha256()}). Please try again with the CodeSHA256 in $LATEST."
        ),
    ),
]

LONG_NAME = "a" * 65
LONG_QUALIFIER = "a" * 129
LONG_ARN = f"arn:aws:lambda:invalid-region:{ACCOUNT}:function:my-function-{'a' * 170}"


def bad_name(name: str) -> str:
    return must("functionName", name, matches(NAME_PATTERN))


def get_function(name: str, qualifier: str | None, *, configuration: bool) -> str:
    """GetFunction, or GetFunctionConfiguration."""
    target = f"{FUNCTIONS}/{encoded(name)}{'/configuration' * configuration}"
    return f"GET {qualified(target, qualifier)}"


#: What GetFunction and GetFunctionConfiguration are asked for: the name, the qualifier, the answer.
NAMES: list[tuple[str, str, str | None, Refusal]] = [
    ("no function", "nobody", None, no_function("nobody")),
    ("no function: $LATEST", "nobody:$LATEST", "$LATEST", no_function("nobody", "$LATEST")),
    ("no version", "f", "1221", no_function("f", "1221")),
    ("no alias", "f", "aliasdoesnotexist", no_function("f", "aliasdoesnotexist")),
    ("no alias, by ARN", arn("f", "nobody"), None, no_function("f", "nobody")),
    ("$latest", "f", "$latest", no_function("f", "$latest")),
    ("two qualifiers", "f:1", "$LATEST", MISMATCH),
    ("two qualifiers of no function", "nobody:$LATEST", "1", MISMATCH),
    ("another region", EU, None, OTHER_REGION),
    ("another account", STRANGE, None, OTHER_ACCOUNT),
    ("an asterisk", "*", None, invalid(bad_name("*"))),
    ("bad characters", "my-function!", None, invalid(bad_name("my-function!"))),
    (
        "bad characters in the qualifier",
        "f",
        "invalid!",
        invalid(must("qualifier", "invalid!", matches(QUALIFIER_PATTERN))),
    ),
    (
        "a long qualifier",
        "f",
        LONG_QUALIFIER,
        invalid(must("qualifier", LONG_QUALIFIER, no_longer_than(128))),
    ),
    ("a bad account", "x:function:f", None, invalid(bad_name("x:function:f"))),
    ("a long name", LONG_NAME, None, no_function(LONG_NAME)),
    (
        "two faults",
        LONG_ARN,
        LONG_QUALIFIER,
        invalid(must("qualifier", LONG_QUALIFIER, no_longer_than(128)), bad_name(LONG_ARN)),
    ),
    ("three qualifiers", arn("f:1:2"), None, invalid(bad_name(arn("f:1:2")))),
    ("no name", f"arn:aws:lambda:us-east-1:{ACCOUNT}:function", None, no_function("function")),
    ("$LATES", arn("f", "$LATES"), None, invalid(bad_name(arn("f", "$LATES")))),
]

REFUSALS: list[Row] = [
    *(
        (f"{subject}: {what}", request, body, expected)
        for subject, rows in (
            ("config", EVENT_INVOKE_CONFIGS),
            ("alias", ALIASES),
            ("permission", PERMISSIONS),
            ("concurrency", CONCURRENCIES),
        )
        for what, request, body, expected in rows
    ),
    *OTHERS,
    *(
        (
            f"{what}: {each}",
            get_function(name, qualifier, configuration=what == "configuration"),
            None,
            expected,
        )
        for what in ("function", "configuration")
        for each, name, qualifier, expected in NAMES
    ),
]


@pytest.fixture(scope="module")
def asked() -> Client:
    """Of a service that none of the refused calls may change."""
    client = Client(make_app())
    get(client, f"POST {policy_of('g')}", permission("there"), 201)
    return client


@pytest.mark.parametrize(
    ("request_", "body", "expected"), [pytest.param(*row, id=name) for name, *row in REFUSALS]
)
def test_what_a_refused_call_is_told(
    asked: Client, request_: str, body: object, expected: Refusal
) -> None:
    expected.check(ask(asked, request_, body))


def test_nothing_is_left_behind_by_refused_calls(caplog: pytest.LogCaptureFixture) -> None:
    """And nothing is logged, neither of them nor of those that read."""
    client = Client(make_app())
    get(client, f"POST {policy_of('g')}", permission("there"), 201)
    before = state(client)
    caplog.clear()
    with caplog.at_level(logging.INFO):
        for name, request, body, expected in REFUSALS:
            assert ask(client, request, body).status == expected.status, name
            assert state(client) == before, name
    assert caplog.records == []


def test_a_denied_caller_learns_nothing_of_what_there_is() -> None:
    """Nor where what is asked for would be refused anyway."""
    of_some, of_none = (
        signed_client(make_guarded_app(functions, policies={"alice": policy("lambda:Invoke*")}))
        for functions in (None, Functions())
    )
    for name, request, body, expected in REFUSALS:
        answer = ask(of_some, request, body)
        assert answer.body == ask(of_none, request, body).body, name
        assert answer.status == (400 if expected.status == 400 == answer.status else 403), name


# --- constraints ----------------------------------------------------------------------------------

MAX_DESCRIPTION = "d" * 256
LONG_DESCRIPTION = "d" * 257
MAX_DESTINATION = "arn:aws:sqs:us-east-1:123456789012:" + "q" * 315
LONG_DESTINATION = f"{MAX_DESTINATION}q"

VERSION = matches(r"(\$LATEST(\.PUBLISHED)?|[0-9]+)")
TOO_LONG = must("description", LONG_DESCRIPTION, no_longer_than(256))

#: A request, its body, and the constraint that it breaks.
CONSTRAINTS: list[tuple[str, object, str]] = [
    # Of paths and queries.
    (f"GET {FUNCTIONS}?MaxItems=0", None, must("maxItems", 0, at_least(1))),
    (f"GET {FUNCTIONS}?MaxItems=10001", None, must("maxItems", 10001, at_most(10000))),
    (f"GET {F}/versions?MaxItems=0", None, must("maxItems", 0, at_least(1))),
    (f"GET {F}/versions?MaxItems=10001", None, must("maxItems", 10001, at_most(10000))),
    (f"GET {F}/aliases?MaxItems=-1", None, must("maxItems", -1, at_least(1))),
    (f"GET {CONFIG}/list?MaxItems=51", None, must("maxItems", 51, at_most(50))),
    (f"GET {CONFIG}/list?MaxItems=0", None, must("maxItems", 0, at_least(1))),
    (
        f"GET {FUNCTIONS}?MasterRegion=x!",
        None,
        must(
            "masterRegion",
            "x!",
            matches(r"ALL|(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}"),
        ),
    ),
    (f"GET {F}/aliases?FunctionVersion=x", None, must("functionVersion", "x", VERSION)),
    (f"GET {F}/aliases/2024", None, must("name", "2024", matches(ALIAS_PATTERN))),
    (f"PUT {F}/aliases/a.b", {}, must("name", "a.b", matches(ALIAS_PATTERN))),
    (
        f"DELETE {F}/aliases/{LONG_QUALIFIER}",
        None,
        must("name", LONG_QUALIFIER, no_longer_than(128)),
    ),
    (
        f"DELETE {policy_of()}/{'s' * 101}",
        None,
        must("statementId", "s" * 101, no_longer_than(100)),
    ),
    (f"DELETE {policy_of()}/a!b", None, must("statementId", "a!b", matches("([a-zA-Z0-9-_.]+)"))),
    # Of bodies.
    (f"PUT {CONFIG}", {"MaximumRetryAttempts": 3}, must("maximumRetryAttempts", 3, at_most(2))),
    (f"PUT {CONFIG}", {"MaximumRetryAttempts": -1}, must("maximumRetryAttempts", -1, at_least(0))),
    (
        f"POST {CONFIG}",
        {"MaximumEventAgeInSeconds": 59},
        must("maximumEventAgeInSeconds", 59, at_least(60)),
    ),
    (
        f"PUT {CONFIG}",
        {"MaximumEventAgeInSeconds": 21601},
        must("maximumEventAgeInSeconds", 21601, at_most(21600)),
    ),
    (
        f"PUT {CONFIG}",
        destination(LONG_DESTINATION),
        must("destinationConfig.onSuccess.destination", LONG_DESTINATION, no_longer_than(350)),
    ),
    (f"POST {F}/versions", {"Description": LONG_DESCRIPTION}, TOO_LONG),
    (CREATE, alias(Description=LONG_DESCRIPTION), TOO_LONG),
    (UPDATE, {"Description": LONG_DESCRIPTION}, TOO_LONG),
    (CREATE, {"FunctionVersion": "1"}, must("name", None, MISSING)),
    (CREATE, {"Name": "new"}, must("functionVersion", None, MISSING)),
    (CREATE, alias(LONG_QUALIFIER), must("name", LONG_QUALIFIER, no_longer_than(128))),
    (CREATE, alias(version="live"), must("functionVersion", "live", VERSION)),
    (f"PUT {CONCURRENCY}", {}, must("reservedConcurrentExecutions", None, MISSING)),
    (f"PUT {CONCURRENCY}", reserve(-1), must("reservedConcurrentExecutions", -1, at_least(0))),
    (f"PUT {RECURSION}", {}, must("recursiveLoop", None, MISSING)),
    *(
        (f"POST {policy_of()}", without(permission(), name), must(member, None, MISSING))
        for name, member in (
            ("StatementId", "statementId"),
            ("Action", "action"),
            ("Principal", "principal"),
        )
    ),
    *(
        (f"POST {policy_of()}", {**permission(), name: value}, must(member, value, constraint))
        for name, member, value, constraint in (
            ("StatementId", "statementId", "s" * 101, no_longer_than(100)),
            ("Action", "action", "s3:GetObject", matches("(lambda:[*]|lambda:[a-zA-Z]+|[*])")),
            ("Principal", "principal", "a b", matches(r"[^\s]+")),
            ("SourceArn", "sourceArn", "test-bucket", matches(SOURCE_PATTERN)),
            ("SourceAccount", "sourceAccount", "123", matches(r"\d{12}")),
            ("EventSourceToken", "eventSourceToken", "a b", matches(r"[a-zA-Z0-9._\-]+")),
            ("EventSourceToken", "eventSourceToken", "t" * 257, no_longer_than(256)),
            ("FunctionUrlAuthType", "functionUrlAuthType", "ALL", one_of("NONE", "AWS_IAM")),
            ("PrincipalOrgID", "principalOrgID", "o-1234567890!", matches("o-[a-z0-9]{10,32}")),
        )
    ),
]


@pytest.mark.parametrize(
    ("request_", "body", "violation"),
    [
        pytest.param(*row, id=f"{row[0].replace('/functions', '')[:40]} {number}")
        for number, row in enumerate(CONSTRAINTS)
    ],
)
def test_a_value_that_breaks_a_constraint_is_quoted_with_it(
    client: Client, request_: str, body: object, violation: str
) -> None:
    before = state(client)
    invalid(violation).check(ask(client, request_, body))
    assert state(client) == before


@pytest.mark.parametrize("target", [FUNCTIONS, f"{F}/versions", f"{F}/aliases", f"{CONFIG}/list"])
@pytest.mark.parametrize(
    ("given", "quoted"),
    [
        pytest.param("", "", id="nothing"),
        pytest.param("ten", "ten", id="a word"),
        pytest.param("1.0", "1.0", id="a fraction"),
        pytest.param("1_0", "1_0", id="an underscore, as in Python"),
        pytest.param("+1", " 1", id="a plus, which is a space in a query"),
        pytest.param("%2B1", "+1", id="a plus, encoded"),
        pytest.param("%201", " 1", id="a space"),
        pytest.param("1%0A", "1\n", id="a line feed"),
        pytest.param("%D9%A1", "\N{ARABIC-INDIC DIGIT ONE}", id="another script's digit"),
        pytest.param("1000000000", "1000000000", id="ten digits"),
        pytest.param("9" * 5000, "9" * 5000, id="more digits than Python reads"),
    ],
)
def test_the_size_of_a_page_is_a_number_of_few_digits(
    client: Client, target: str, given: str, quoted: str
) -> None:
    answer = ask(client, f"GET {target}?MaxItems={given}")
    assert outcome(answer) == (400, "ValidationException")
    text = json.loads(answer.body)["message"]
    assert text.startswith(
        f"1 validation error detected: Value '{quoted}' at 'maxItems' failed to satisfy "
        "constraint: Member must "
    )


@pytest.mark.parametrize(
    ("request_", "body", "violations"),
    [
        pytest.param(
            f"PUT {config_of('b!d', 'al!as')}",
            {"MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": 1, **destination("nowhere")},
            {
                must("qualifier", "al!as", matches(QUALIFIER_PATTERN)),
                bad_name("b!d"),
                must("maximumRetryAttempts", 3, at_most(2)),
                must("maximumEventAgeInSeconds", 1, at_least(60)),
                must(
                    "destinationConfig.onSuccess.destination",
                    "nowhere",
                    matches(DESTINATION_PATTERN),
                ),
            },
            id="of an event invoke config",
        ),
        pytest.param(
            f"POST {policy_of()}",
            {"StatementId": "a.b", "Principal": "a b"},
            {
                must("statementId", "a.b", matches("([a-zA-Z0-9-_]+)")),
                must("action", None, MISSING),
                must("principal", "a b", matches(r"[^\s]+")),
            },
            id="of a permission",
        ),
        pytest.param(
            CREATE,
            {"Name": "1", "Description": LONG_DESCRIPTION},
            {
                must("name", "1", matches(ALIAS_PATTERN)),
                must("functionVersion", None, MISSING),
                TOO_LONG,
            },
            id="of an alias",
        ),
        pytest.param(
            f"GET {FUNCTIONS}?MaxItems=0&FunctionVersion=NONE",
            None,
            {must("maxItems", 0, at_least(1)), must("functionVersion", "NONE", one_of("ALL"))},
            id="of a list",
        ),
    ],
)
def test_all_faults_are_told_at_once(
    client: Client, request_: str, body: object, violations: set[str]
) -> None:
    answer = ask(client, request_, body)
    assert outcome(answer) == (400, "ValidationException")
    text = json.loads(answer.body)["message"]
    head, _, rest = text.partition(": ")
    assert head == f"{len(violations)} validation errors detected"
    assert set(rest.split("; ")) == violations


@pytest.mark.parametrize(
    ("request_", "body", "status"),
    [
        pytest.param(f"PUT {CONFIG}", {"MaximumRetryAttempts": 0}, 200, id="no retries"),
        pytest.param(f"PUT {CONFIG}", {"MaximumRetryAttempts": 2}, 200, id="two retries"),
        pytest.param(f"PUT {CONFIG}", {"MaximumEventAgeInSeconds": 60}, 200, id="a minute"),
        pytest.param(f"PUT {CONFIG}", {"MaximumEventAgeInSeconds": 21600}, 200, id="six hours"),
        pytest.param(f"PUT {CONCURRENCY}", reserve(900), 200, id="all but a hundred"),
        pytest.param(
            f"POST {F}/versions", {"Description": MAX_DESCRIPTION}, 201, id="a long description"
        ),
        pytest.param(CREATE, alias("a" * 128), 201, id="a long alias"),
        pytest.param(CREATE, alias("2024-01-02"), 201, id="a date"),
        pytest.param(CREATE, alias(RoutingConfig=weights(v2=0)), 201, id="weight 0"),
        pytest.param(CREATE, alias(RoutingConfig=weights(v2=1.0)), 201, id="weight 1"),
        pytest.param(f"POST {policy_of()}", permission("s" * 100), 201, id="a long statement id"),
        pytest.param(f"GET {FUNCTIONS}?MaxItems=10000", None, 200, id="10000 functions"),
        pytest.param(f"GET {CONFIG}/list?MaxItems=50", None, 200, id="50 configs"),
        pytest.param(f"GET {FUNCTIONS}?MasterRegion=ALL", None, 200, id="all regions"),
    ],
)
def test_limits_are_inclusive(client: Client, request_: str, body: object, status: int) -> None:
    assert ask(client, request_, body).status == status


def test_a_destination_may_have_350_characters(client: Client) -> None:
    """Of which no queue has so many: it is refused, but not for its length."""
    bad_destination(MAX_DESTINATION).check(
        ask(client, f"PUT {CONFIG}", destination(MAX_DESTINATION))
    )
