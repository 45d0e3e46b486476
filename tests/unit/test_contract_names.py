"""What a good, a bad and an unknown function name give, as Lambda answers it.

The rows quote recordings of the real service (November 2025). They go through the whole
middleware, to InvokeAsync and to Invoke, and are compared byte for byte.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest

from invokeasync_wsgi import Context, Functions, InvokeAsyncMiddleware
from invokeasync_wsgi.testing import Answer, Client

REGION = "us-east-1"
ACCOUNT = "123456789012"
ARN = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function"

NAME_PATTERN = (
    r"(arn:(aws[a-zA-Z-]*)?:lambda:)?"
    r"((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?"
    r"(\d{12}:)?(function:)?([a-zA-Z0-9-_\.]+)"
    r"(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+))?"
)
QUALIFIER_PATTERN = r"\$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+"


def handler(event: Any, context: Context) -> str:
    return context.invoked_function_arn


functions = Functions()
functions.add("f", handler, versions={"1": handler, "2": handler}, aliases={"live": "1"})
functions.add("my.func-1_x", handler)
functions.add("function", handler)
application = InvokeAsyncMiddleware(
    None, functions, auth="none", executor="inline:", region=REGION, account_id=ACCOUNT
)


@pytest.fixture
def client() -> Client:
    return Client(application)


class Expected(NamedTuple):
    """An error as the client gets it."""

    status: int
    code: str
    body: bytes


def invalid(*violations: str) -> Expected:
    count = len(violations)
    plural = "s" if count > 1 else ""
    text = f"{count} validation error{plural} detected: {'; '.join(violations)}"
    body = json.dumps({"message": text}, separators=(",", ":")).encode()
    return Expected(400, "ValidationException", body)


def bad_name(name: str) -> str:
    return (
        f"Value '{name}' at 'functionName' failed to satisfy constraint: "
        f"Member must satisfy regular expression pattern: {NAME_PATTERN}"
    )


def bad_qualifier(qualifier: str) -> str:
    return (
        f"Value '{qualifier}' at 'qualifier' failed to satisfy constraint: "
        f"Member must satisfy regular expression pattern: {QUALIFIER_PATTERN}"
    )


def too_long(member: str, value: str, limit: int) -> str:
    return (
        f"Value '{value}' at '{member}' failed to satisfy constraint: "
        f"Member must have length less than or equal to {limit}"
    )


def not_found(name_and_qualifier: str) -> Expected:
    text = f'{{"Type":"User","Message":"Function not found: {ARN}:{name_and_qualifier}"}}'
    return Expected(404, "ResourceNotFoundException", text.encode())


MISMATCH = Expected(
    400,
    "InvalidParameterValueException",
    b'{"Type":"User","message":"The derived qualifier from the function name does not match the '
    b'specified qualifier."}',
)
OTHER_REGION = Expected(
    404,
    "ResourceNotFoundException",
    b'{"Type":"User","Message":"Functions from \'eu-west-1\' are not reachable in this region '
    b"('us-east-1')\"}",
)
OTHER_ACCOUNT = Expected(403, "AccessDeniedException", b'{"Message":null}')

ILLEGAL = [
    pytest.param("fun ction", id="illegal character, space"),
    pytest.param("fun!ction", id="illegal character, exclamation mark"),
    pytest.param("a/b", id="illegal character, slash"),
    pytest.param("f\n", id="illegal character, line end"),
    pytest.param("fünction", id="illegal character, not ASCII"),
    pytest.param("*", id="asterisk"),
    pytest.param("f*", id="a name and an asterisk"),
    pytest.param(f"arn:aws:lambda:useast1:{ACCOUNT}:function:f", id="bad region"),
    pytest.param(f"arn:aws:lambda:us-east-12:{ACCOUNT}:function:f", id="bad region, two digits"),
    pytest.param(f"useast1:{ACCOUNT}:function:f", id="bad region in a partial ARN"),
    pytest.param(f"arn:aws:lambda:{REGION}:12345:function:f", id="bad account"),
    pytest.param("12345:function:f", id="bad account in a partial ARN"),
    pytest.param(f"arn:aws:lambda:{ACCOUNT}:function:f", id="missing region in an ARN"),
    pytest.param(f"arn:aws:lambda:{REGION}:function:f", id="missing account in an ARN"),
    pytest.param("arn:aws:lambda:function:f", id="missing region and account in an ARN"),
    pytest.param(f"arn:aws:iam:{REGION}:{ACCOUNT}:function:f", id="non-lambda ARN"),
    pytest.param(f"{ARN}:f:1:2", id="two qualifiers, ARN"),
    pytest.param("f:1:2", id="two qualifiers, name"),
    pytest.param("f:$LATES", id="$LATES"),
    pytest.param(f"{ARN}:f:$LATES", id="$LATES, ARN"),
    pytest.param("f:$latest", id="$latest behind the name"),
    pytest.param("f:", id="empty qualifier behind the name"),
    pytest.param("f:a.b", id="a dot in the qualifier behind the name"),
]

#: Rows that need nothing but the name, so they hold for InvokeAsync too.
BY_NAME = [
    *(
        pytest.param(row.values[0], invalid(bad_name(str(row.values[0]))), id=str(row.id))
        for row in ILLEGAL
    ),
    pytest.param("x" * 65, not_found(f"{'x' * 65}:$LATEST"), id="65 characters"),
    pytest.param("x" * 256, not_found(f"{'x' * 256}:$LATEST"), id="256 characters"),
    pytest.param(
        "x" * 257, invalid(too_long("functionName", "x" * 257, 256)), id="257 characters"
    ),
    pytest.param(
        "!" * 257,
        invalid(too_long("functionName", "!" * 257, 256), bad_name("!" * 257)),
        id="two faults: too long and illegal",
    ),
    pytest.param(
        f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:f", OTHER_REGION, id="other region in ARN"
    ),
    pytest.param(
        f"eu-west-1:{ACCOUNT}:function:f", OTHER_REGION, id="other region in a partial ARN"
    ),
    pytest.param(
        f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:unknown",
        OTHER_REGION,
        id="other region in ARN, unknown function",
    ),
    pytest.param(
        f"arn:aws:lambda:{REGION}:999999999999:function:f", OTHER_ACCOUNT, id="other account in ARN"
    ),
    pytest.param(
        "999999999999:function:f", OTHER_ACCOUNT, id="other account in a partial ARN"
    ),
    pytest.param(
        f"arn:aws:lambda:{REGION}:999999999999:function:unknown",
        OTHER_ACCOUNT,
        id="other account in ARN, unknown function",
    ),
    pytest.param("unknown", not_found("unknown:$LATEST"), id="no such function"),
    pytest.param("F", not_found("F:$LATEST"), id="no such function, names are case-sensitive"),
    pytest.param(f"{ARN}:unknown", not_found("unknown:$LATEST"), id="no such function, ARN"),
    pytest.param("unknown:live", not_found("unknown:live"), id="no such function, qualified"),
    pytest.param(
        "f:aliasdoesnotexist", not_found("f:aliasdoesnotexist"), id="no such alias"
    ),
    pytest.param("f:10", not_found("f:10"), id="no such version"),
    pytest.param(f"{ARN}:f:10", not_found("f:10"), id="no such version, ARN"),
]  # fmt: skip

#: Rows with a ``Qualifier`` parameter.
BY_QUALIFIER = [
    pytest.param("f", "invalid!", invalid(bad_qualifier("invalid!")), id="qualifier with !"),
    pytest.param("f", "a.b", invalid(bad_qualifier("a.b")), id="qualifier with a dot"),
    pytest.param("f", "né", invalid(bad_qualifier("né")), id="qualifier, not ASCII"),
    pytest.param(
        "f",
        "",
        invalid(
            "Value '' at 'qualifier' failed to satisfy constraint: "
            "Member must have length greater than or equal to 1",
            bad_qualifier(""),
        ),
        id="empty qualifier",
    ),
    pytest.param(
        "f", "x" * 129, invalid(too_long("qualifier", "x" * 129, 128)), id="qualifier of 129"
    ),
    pytest.param(
        "f", "x" * 128, not_found(f"f:{'x' * 128}"), id="qualifier of 128, no such alias"
    ),
    pytest.param(
        "fun!ction",
        "invalid!",
        invalid(bad_qualifier("invalid!"), bad_name("fun!ction")),
        id="two faults, the qualifier first",
    ),
    pytest.param("f:live", "1", MISMATCH, id="name has :q, Qualifier=other"),
    pytest.param("f:1", "$LATEST", MISMATCH, id="name has :1, Qualifier=$LATEST"),
    pytest.param(f"{ARN}:f:live", "other", MISMATCH, id="ARN has :q, Qualifier=other"),
    pytest.param("unknown:live", "1", MISMATCH, id="mismatch comes before existence"),
    pytest.param("unknown:live", "live", not_found("unknown:live"), id="equal, no such function"),
    pytest.param("f", "$latest", not_found("f:$latest"), id="qualifier $latest"),
    pytest.param("f", "aliasdoesnotexist", not_found("f:aliasdoesnotexist"), id="no such alias"),
    pytest.param("f", "10", not_found("f:10"), id="no such version"),
    pytest.param("unknown", "1", not_found("unknown:1"), id="no such function, qualified"),
    pytest.param(
        "unknown", "$LATEST", not_found("unknown:$LATEST"), id="no such function, $LATEST"
    ),
]  # fmt: skip


def assert_is(answer: Answer, expected: Expected) -> None:
    assert answer.status == expected.status
    assert answer.headers["x-amzn-errortype"] == expected.code
    assert answer.headers["content-type"] == "application/json"
    assert answer.body == expected.body


@pytest.mark.parametrize(("name", "expected"), BY_NAME)
class TestARefusedName:
    def test_at_invoke_async(self, client: Client, name: str, expected: Expected) -> None:
        assert_is(client.invoke_async(name, b"{}"), expected)

    @pytest.mark.parametrize("invocation_type", [None, "RequestResponse", "Event", "DryRun"])
    def test_at_invoke(
        self, client: Client, name: str, expected: Expected, invocation_type: str | None
    ) -> None:
        assert_is(client.invoke(name, b"{}", invocation_type=invocation_type), expected)


@pytest.mark.parametrize(("name", "qualifier", "expected"), BY_QUALIFIER)
@pytest.mark.parametrize("invocation_type", [None, "Event", "DryRun"])
def test_a_refused_qualifier_at_invoke(
    client: Client, name: str, qualifier: str, expected: Expected, invocation_type: str | None
) -> None:
    answer = client.invoke(name, b"{}", invocation_type=invocation_type, qualifier=qualifier)
    assert_is(answer, expected)


def test_a_refusal_byte_for_byte(client: Client) -> None:
    assert client.invoke_async("a b").body == (
        b"{\"message\":\"1 validation error detected: Value 'a b' at 'functionName' failed to "
        b"satisfy constraint: Member must satisfy regular expression pattern: "
        b"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\\\d{1}:)?"
        b"(\\\\d{12}:)?(function:)?([a-zA-Z0-9-_\\\\.]+)"
        b'(:(\\\\$LATEST(\\\\.PUBLISHED)?|[a-zA-Z0-9-_]+))?"}'
    )


#: Every accepted form of a name: what the handler sees as its ARN, and the version that runs.
ACCEPTED = [
    pytest.param("f", f"{ARN}:f", "$LATEST", id="f"),
    pytest.param("f:live", f"{ARN}:f:live", "1", id="f:alias"),
    pytest.param("f:2", f"{ARN}:f:2", "2", id="f:version"),
    pytest.param("f:$LATEST", f"{ARN}:f:$LATEST", "$LATEST", id="f:$LATEST"),
    pytest.param("my.func-1_x", f"{ARN}:my.func-1_x", "$LATEST", id="every character"),
    pytest.param("function:f", f"{ARN}:f", "$LATEST", id="function:f"),
    pytest.param("function:f:live", f"{ARN}:f:live", "1", id="function:f:alias"),
    pytest.param(f"{ACCOUNT}:function:f", f"{ARN}:f", "$LATEST", id="account:function:f"),
    pytest.param(f"{ACCOUNT}:function:f:2", f"{ARN}:f:2", "2", id="account:function:f:version"),
    pytest.param(
        f"{REGION}:{ACCOUNT}:function:f", f"{ARN}:f", "$LATEST", id="region:account:function:f"
    ),
    pytest.param(
        f"{REGION}:{ACCOUNT}:function:f:live",
        f"{ARN}:f:live",
        "1",
        id="region:account:function:f:alias",
    ),
    pytest.param(f"{ARN}:f", f"{ARN}:f", "$LATEST", id="ARN"),
    pytest.param(f"{ARN}:f:live", f"{ARN}:f:live", "1", id="ARN:alias"),
    pytest.param(f"{ARN}:f:2", f"{ARN}:f:2", "2", id="ARN:version"),
    pytest.param(f"{ARN}:f:$LATEST", f"{ARN}:f:$LATEST", "$LATEST", id="ARN:$LATEST"),
    pytest.param("function", f"{ARN}:function", "$LATEST", id="a function named function"),
    pytest.param(ARN, f"{ARN}:function", "$LATEST", id="ARN without a name"),
]


@pytest.mark.parametrize(("name", "arn", "version"), ACCEPTED)
class TestAnAcceptedName:
    def test_at_invoke_async(self, client: Client, name: str, arn: str, version: str) -> None:
        answer = client.invoke_async(name, b"{}")
        assert (answer.status, answer.body) == (202, b"")

    def test_at_invoke(self, client: Client, name: str, arn: str, version: str) -> None:
        answer = client.invoke(name, b"{}")
        assert (answer.status, json.loads(answer.body)) == (200, arn)
        assert answer.headers["x-amz-executed-version"] == version

    @pytest.mark.parametrize(("invocation_type", "status"), [("Event", 202), ("DryRun", 204)])
    def test_at_invoke_of_another_type(
        self, client: Client, name: str, arn: str, version: str, invocation_type: str, status: int
    ) -> None:
        answer = client.invoke(name, b"{}", invocation_type=invocation_type)
        assert (answer.status, answer.body) == (status, b"")

    @pytest.mark.parametrize("script_name", ["", "/api", "/a/b c"])
    @pytest.mark.parametrize("end", ["", "/"], ids=["no final slash", "final slash"])
    def test_below_any_prefix_with_and_without_a_final_slash(
        self, name: str, arn: str, version: str, script_name: str, end: str
    ) -> None:
        client = Client(application, script_name=script_name)
        raw = client.request("POST", f"/2014-11-13/functions/{name}/invoke-async{end}", b"{}")
        assert raw.status == 202
        escaped = "".join(f"%{byte:02x}" for byte in name.encode())
        every_byte = client.request(
            "POST", f"/2015-03-31/functions/{escaped}/invocations{end}", b"{}"
        )
        assert json.loads(every_byte.body) == arn
        streaming = f"/2021-11-15/functions/{name}/response-streaming-invocations{end}"
        assert client.request("POST", streaming, b"{}").status == 200


@pytest.mark.parametrize(
    ("query", "arn"),
    [
        pytest.param("Qualifier=live", f"{ARN}:f:live", id="alias"),
        pytest.param("Qualifier=2", f"{ARN}:f:2", id="version"),
        pytest.param("Qualifier=%24LATEST", f"{ARN}:f:$LATEST", id="$LATEST as SDKs send it"),
        pytest.param("Qualifier=$LATEST", f"{ARN}:f:$LATEST", id="$LATEST not encoded"),
        pytest.param("a=b&Qualifier=live", f"{ARN}:f:live", id="behind another parameter"),
        pytest.param("qualifier=live", f"{ARN}:f", id="names are case-sensitive"),
        pytest.param("OtherQualifier=live", f"{ARN}:f", id="another parameter"),
        pytest.param("", f"{ARN}:f", id="none"),
    ],
)
def test_a_qualifier_may_be_a_parameter(client: Client, query: str, arn: str) -> None:
    answer = client.request("POST", "/2015-03-31/functions/f/invocations", b"{}", query=query)
    assert json.loads(answer.body) == arn


@pytest.mark.parametrize("name", ["f:live", f"{ARN}:f:live"])
def test_the_same_qualifier_twice_is_fine(client: Client, name: str) -> None:
    answer = client.invoke(name, b"{}", qualifier="live")
    assert json.loads(answer.body) == f"{ARN}:f:live"


def test_invoke_async_has_no_qualifier_parameter(client: Client) -> None:
    answer = client.request(
        "POST", "/2014-11-13/functions/f/invoke-async", b"{}", query="Qualifier=invalid!"
    )
    assert answer.status == 202


def test_a_name_is_quoted_as_given_and_not_as_encoded(client: Client) -> None:
    expected = invalid(bad_name("a b/ü%"))
    path = "/2014-11-13/functions/a%20b%2F%C3%BC%25/invoke-async"
    assert_is(client.request("POST", path, b"{}"), expected)


def test_a_name_that_is_no_utf_8_is_a_bad_name(client: Client) -> None:
    answer = client.request("POST", "/2014-11-13/functions/%FF/invoke-async", b"{}")
    assert_is(answer, invalid(bad_name("\ufffd")))


def test_the_route_may_stand_in_the_name_itself(client: Client) -> None:
    answer = client.request("POST", "/2014-11-13/functions/f/invoke-async/invoke-async", b"{}")
    assert_is(answer, invalid(bad_name("f/invoke-async")))
