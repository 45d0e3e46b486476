"""Control calls as clients send them, answers as they should be, and functions to ask about."""

from __future__ import annotations

import base64
import hashlib
import json
import platform
import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from invokeasync_wsgi import Functions, InvokeAsyncMiddleware
from invokeasync_wsgi.auth.credentials import Credential
from invokeasync_wsgi.auth.signatures import SigV4
from invokeasync_wsgi.names import function_arn
from invokeasync_wsgi.operations import Operation
from invokeasync_wsgi.testing import Answer, Client, FakeClock, Signer, SteppedExecutor

REGION = "us-east-1"
ACCOUNT = "123456789012"

#: 2019-11-13T23:00:21.479Z
NOW = 1573686021.479
NOW_AS_TEXT = "2019-11-13T23:00:21.479+0000"

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

# --- functions ----------------------------------------------------------------------------------


def echo(event: Any, context: Any) -> Any:
    return event


def one(event: Any, context: Any) -> str:
    return "one"


def two(event: Any, context: Any) -> str:
    return "two"


def fail(event: Any, context: Any) -> None:
    raise ValueError("as it must")


def about(event: Any, context: Any) -> dict[str, Any]:
    return {
        "version": context.function_version,
        "remaining_s": context.get_remaining_time_in_millis() / 1000,
        "memory": context.memory_limit_in_mb,
    }


#: What `take` was given.
taken: list[Any] = []


def take(record: Any) -> None:
    """Where records and dead letters may go."""
    taken.append(record)


def make_functions() -> Functions:
    """``f`` with two versions, an alias for each, and nothing else; ``g`` with nothing at all."""
    functions = Functions()
    functions.add("f", echo, versions={"1": one, "2": two}, aliases={"live": "1", "next": "2"})
    functions.add("g", echo)
    return functions


def only(handler: Any = echo, *, name: str = "f", **options: Any) -> Functions:
    """An application of one function."""
    functions = Functions()
    functions.add(name, handler, **options)
    return functions


def make_app(functions: Functions | None = None, **settings: Any) -> InvokeAsyncMiddleware:
    """A service that anybody may ask, which runs nothing of itself."""
    given: dict[str, Any] = {
        "auth": "none",
        "executor": SteppedExecutor(),
        "clock": FakeClock(NOW),
        **settings,
    }
    return InvokeAsyncMiddleware(
        None, make_functions() if functions is None else functions, **given
    )


# --- callers ------------------------------------------------------------------------------------

KEYS = {"AKIDALICE": Credential("a" * 40, "alice"), "AKIDBOB": Credential("b" * 40, "bob")}
BOB = f"arn:aws:iam::{ACCOUNT}:user/bob"


def make_guarded_app(
    functions: Functions | None = None, *, policies: Mapping[str, Any] | None
) -> InvokeAsyncMiddleware:
    """A service that Alice and Bob may ask for what these policies allow, by their names."""
    return make_app(functions, auth=SigV4(KEYS), policies=policies)


def signed_client(app: InvokeAsyncMiddleware, name: str = "alice") -> Client:
    """Alice, or Bob, at the time at which services begin."""
    return Client(app, signer=Signer(f"AKID{name.upper()}", name[0] * 40, clock=FakeClock(NOW)))


def policy(action: str, resource: str = "*", effect: str = "Allow") -> Any:
    """An identity-based policy of one statement."""
    statement = {"Effect": effect, "Action": action, "Resource": resource}
    return {"Version": "2012-10-17", "Statement": [statement]}


# --- requests -----------------------------------------------------------------------------------

FUNCTIONS = "/2015-03-31/functions"
ACCOUNT_SETTINGS = "/2016-08-19/account-settings"


def arn(name: str = "f", qualifier: str | None = None) -> str:
    """The ARN of a function here."""
    return function_arn(REGION, ACCOUNT, name, qualifier)


def encoded(text: str) -> str:
    """A name as SDKs put it in a path or a query."""
    return quote(text, safe="-._~")


def qualified(target: str, qualifier: str | None) -> str:
    """A target without a query, for a qualifier."""
    return target if qualifier is None else f"{target}?Qualifier={encoded(qualifier)}"


def config_of(name: str = "f", qualifier: str | None = None) -> str:
    """Where a function's event invoke config is."""
    return qualified(f"/2019-09-25/functions/{encoded(name)}/event-invoke-config", qualifier)


def policy_of(name: str = "f", qualifier: str | None = None) -> str:
    """Where a function's resource-based policy is."""
    return qualified(f"/2015-03-31/functions/{encoded(name)}/policy", qualifier)


def concurrency_of(name: str = "f") -> str:
    """Where a function's reserved concurrency is set; it is asked for elsewhere."""
    return f"/2017-10-31/functions/{encoded(name)}/concurrency"


def tags_of(resource: str) -> str:
    """Where the tags of an ARN are."""
    return f"/2017-03-31/tags/{encoded(resource)}"


def url_of(name: str = "f", qualifier: str | None = None) -> str:
    """Where a function's URL would be."""
    return qualified(f"/2021-10-31/functions/{encoded(name)}/url", qualifier)


#: Where ``f`` is, and what is asked of it.
F = f"{FUNCTIONS}/f"
CONFIG = config_of()
CONCURRENCY = concurrency_of()
GET_CONCURRENCY = "/2019-09-30/functions/f/concurrency"
RECURSION = "/2024-08-31/functions/f/recursion-config"
CODE_SIGNING = "/2020-06-30/functions/f/code-signing-config"
RUNTIME = "/2021-07-20/functions/f/runtime-management-config"


def request_of(operation: Operation) -> str:
    """The request of an operation for ``f``, or for something of it."""
    path = operation.path.format(
        FunctionName="f", Name="live", StatementId="s3", Resource=encoded(arn())
    )
    return f"{operation.method} {path}"


#: The body of PutFunctionEventInvokeConfig and UpdateFunctionEventInvokeConfig, at its smallest.
RETRY = {"MaximumRetryAttempts": 1}


def destination(target: str, outcome: str = "OnSuccess") -> Any:
    """The body of these for one destination."""
    return {"DestinationConfig": {outcome: {"Destination": target}}}


def alias(name: str = "new", version: str = "1", **members: Any) -> Any:
    """The body of CreateAlias."""
    return {"Name": name, "FunctionVersion": version, **members}


def weights(**shares: float) -> Any:
    """The RoutingConfig of an alias, from ``v2=0.5`` and the like."""
    by_number = {name.removeprefix("v"): share for name, share in shares.items()}
    return {"AdditionalVersionWeights": by_number}


def reserve(number: int) -> Any:
    """The body of PutFunctionConcurrency, and what is told of it."""
    return {"ReservedConcurrentExecutions": number}


#: What a permission may be bound to.
BUCKET = {"SourceArn": "arn:aws:s3:::test-bucket"}


def permission(sid: str = "s3", principal: str = "s3.amazonaws.com", **members: Any) -> Any:
    """The body of AddPermission."""
    given = {"StatementId": sid, "Action": "lambda:InvokeFunction", "Principal": principal}
    return {**given, **members}


def ask(client: Client, request: str, body: object = None, **options: Any) -> Answer:
    """Send a request.

    Args:
        client: who sends it.
        request: the method and the target, such as ``"GET /2015-03-31/functions?MaxItems=1"``.
        body: bytes are sent as they are, ``None`` is no body, the rest as JSON.
        options: of `Client.request`.
    """
    method, _, target = request.partition(" ")
    path, _, query = target.partition("?")
    content = b"" if body is None else body
    if not isinstance(content, bytes):
        content = json.dumps(content).encode()
    return client.request(method, path, content, query=query, **options)


# --- errors -------------------------------------------------------------------------------------


class Refusal(NamedTuple):
    """An error as the client gets it."""

    status: int
    code: str
    body: bytes

    def check(self, answer: Answer) -> None:
        """Fail unless this is the answer, in every byte."""
        assert (*outcome(answer), answer.body) == self, answer
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["content-length"] == str(len(self.body))
        assert UUID.fullmatch(answer.headers["x-amzn-requestid"])


def outcome(answer: Answer) -> tuple[int, str | None]:
    """The status of an answer, and its error type if it has one."""
    return answer.status, answer.headers.get("x-amzn-errortype")


def compact(value: object) -> bytes:
    """JSON as AWS sends it."""
    return json.dumps(value, separators=(",", ":")).encode()


def must(member: str, value: object, constraint: str) -> str:
    """What is wrong with a value, in AWS's words."""
    shown = "null" if value is None else f"'{value}'"
    return f"Value {shown} at '{member}' failed to satisfy constraint: Member must {constraint}"


def invalid(*violations: str) -> Refusal:
    """Values that break constraints of the model."""
    count = len(violations)
    text = f"{count} validation error{'s' * (count > 1)} detected: {'; '.join(violations)}"
    return Refusal(400, "ValidationException", compact({"message": text}))


def bad_parameter(text: str) -> Refusal:
    """A value that cannot be used."""
    body = compact({"Type": "User", "message": text})
    return Refusal(400, "InvalidParameterValueException", body)


def bad_parameter_without_type(text: str) -> Refusal:
    """A value that cannot be used, as some are told without a ``Type``."""
    return Refusal(400, "InvalidParameterValueException", compact({"message": text}))


def not_found(text: str) -> Refusal:
    """Something that does not exist."""
    body = compact({"Type": "User", "Message": text})
    return Refusal(404, "ResourceNotFoundException", body)


def conflict(text: str) -> Refusal:
    """Something that exists already."""
    body = compact({"Type": "User", "message": text})
    return Refusal(409, "ResourceConflictException", body)


def outdated(calls: str = "GetFunction/GetAlias") -> Refusal:
    """A revision id that is not the latest, which these calls tell."""
    text = (
        "The Revision Id provided does not match the latest Revision Id. Call the "
        f"{calls} API to retrieve the latest Revision Id"
    )
    body = compact({"Type": "User", "message": text})
    return Refusal(412, "PreconditionFailedException", body)


def denied(text: str | None) -> Refusal:
    """What the caller may not do."""
    return Refusal(403, "AccessDeniedException", compact({"Message": text}))


def no_function(name: str, qualifier: str | None = None) -> Refusal:
    """A function that does not exist, or a version or an alias of it."""
    return not_found(f"Function not found: {arn(name, qualifier)}")


def no_alias(name: str, function_name: str = "f") -> Refusal:
    """An alias that does not exist."""
    return not_found(f"Cannot find alias arn: {arn(function_name, name)}")


def no_config(name: str, qualifier: str = "$LATEST") -> Refusal:
    """An event-invoke-config that does not exist."""
    return not_found(f"The function {arn(name, qualifier)} doesn't have an EventInvokeConfig")


def too_much_reserved(least: int = 100) -> Refusal:
    """A reservation that leaves too little to functions without one."""
    return bad_parameter_without_type(
        "Specified ReservedConcurrentExecutions for function decreases account's "
        f"UnreservedConcurrentExecution below its minimum value of [{least}]."
    )


MISMATCH = bad_parameter(
    "The derived qualifier from the function name does not match the specified qualifier."
)
NO_RESOURCE = not_found("The resource you requested does not exist.")
NO_POLICY = not_found("No policy is associated with the given resource.")
NO_OPERATION = denied("Unable to determine service/operation name to be authorized")
OTHER_ACCOUNT = denied(None)
OTHER_REGION = not_found(
    "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')"
)


# --- answers ------------------------------------------------------------------------------------


def told(answer: Answer, status: int = 200) -> Any:
    """What a success tells; ``None`` for a 204."""
    assert answer.status == status, answer
    assert UUID.fullmatch(answer.headers["x-amzn-requestid"])
    assert "x-amzn-errortype" not in answer.headers
    if status == 204:
        assert answer.body == b""
        return None
    assert answer.headers["content-type"] == "application/json"
    members = json.loads(answer.body)
    assert isinstance(members, dict)
    return members


def get(client: Client, request: str, body: object = None, status: int = 200) -> Any:
    """What the answer to a request tells, which must be a success."""
    return told(ask(client, request, body), status)


def without(members: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """A copy without some members, which must be there."""
    assert set(names) <= set(members)
    return {name: value for name, value in members.items() if name not in names}


def plain(members: Any) -> Any:
    """Without times and revisions, which have the form that they should have."""
    if isinstance(members, list):
        return [plain(each) for each in members]
    if not isinstance(members, dict):
        return members
    if "DestinationConfig" in members:
        assert type(members["LastModified"]) is float
    elif "LastModified" in members:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000", members["LastModified"])
    if "RevisionId" in members:
        assert UUID.fullmatch(members["RevisionId"])
    return {
        name: plain(value)
        for name, value in members.items()
        if name not in ("LastModified", "RevisionId")
    }


def play(client: Client, *steps: tuple[str, object, int, Any]) -> None:
    """Make calls one after the other, and compare what each tells; see `plain`.

    Args:
        client: who calls.
        steps: each a request, its body, the status, and what is told.
    """
    for number, (request, body, status, expected) in enumerate(steps):
        assert plain(get(client, request, body, status)) == expected, (number, request)


def told_config(
    qualifier: str = "$LATEST",
    *,
    retries: int | None = None,
    age: int | None = None,
    on_success: str | None = None,
    on_failure: str | None = None,
) -> dict[str, Any]:
    """An event-invoke-config of ``f``, as `plain` leaves it."""
    members: dict[str, Any] = {"FunctionArn": arn("f", qualifier)}
    if retries is not None:
        members["MaximumRetryAttempts"] = retries
    if age is not None:
        members["MaximumEventAgeInSeconds"] = age
    members["DestinationConfig"] = {
        "OnSuccess": {} if on_success is None else {"Destination": on_success},
        "OnFailure": {} if on_failure is None else {"Destination": on_failure},
    }
    return members


def code_sha256(handler: str = "tests.control:echo") -> str:
    """The CodeSha256 of a function with this handler."""
    return base64.b64encode(hashlib.sha256(handler.encode()).digest()).decode()


#: Of this machine, as Lambda calls it.
ARCHITECTURE = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"


def told_alias(name: str, version: str, description: str = "", **members: Any) -> dict[str, Any]:
    """An alias of ``f``, as `plain` leaves it."""
    return {
        "AliasArn": arn("f", name),
        "Name": name,
        "FunctionVersion": version,
        "Description": description,
        **members,
    }


def statements(client: Client, qualifier: str | None = None) -> list[Any]:
    """What the policy of ``f`` says, or that of a qualifier of it."""
    document = json.loads(get(client, f"GET {policy_of('f', qualifier)}")["Policy"])
    found: list[Any] = document["Statement"]
    return found


def sids(client: Client) -> list[str]:
    """The ids of the statements in the policy of ``f``."""
    return [each["Sid"] for each in statements(client)]


def state(client: Client, *names: str) -> dict[str, Any]:
    """All that the service tells of functions, of their versions and of their aliases.

    Args:
        client: who asks.
        names: of the functions; ``f`` and ``g`` when left out.
    """
    requests = [f"GET {FUNCTIONS}?FunctionVersion=ALL", f"GET {ACCOUNT_SETTINGS}"]
    for name in names or ("f", "g"):
        function = f"{FUNCTIONS}/{name}"
        requests += [
            *(f"GET {function}", f"GET {function}/versions", f"GET {function}/aliases"),
            *(f"GET /2019-09-30/functions/{name}/concurrency", f"GET {config_of(name)}/list"),
            f"GET /2024-08-31/functions/{name}/recursion-config",
        ]
        versions = get(client, f"GET {function}/versions")["Versions"]
        aliases = get(client, f"GET {function}/aliases")["Aliases"]
        qualifiers = [each["Version"] for each in versions] + [each["Name"] for each in aliases]
        for qualifier in (None, *qualifiers):
            requests += [f"GET {config_of(name, qualifier)}", f"GET {policy_of(name, qualifier)}"]
        requests += [f"GET {function}?Qualifier={encoded(each)}" for each in qualifiers]
    answers = {request: ask(client, request) for request in requests}
    return {request: (answer.status, answer.body) for request, answer in answers.items()}
