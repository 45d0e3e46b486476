"""Control calls in any order against a plain model of what is kept, and with anything for a body.

A machine of two processes on one file, which are asked by turns. The model says what each answer is
and what both of them tell afterwards.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from invokeasync_wsgi import Functions, InvokeAsyncMiddleware, operations
from invokeasync_wsgi.testing import Answer, Client

from .. import control
from ..control import UUID, arn, ask, compact, config_of, get, make_app, policy_of, state

#: Where the files of all examples are: in memory where there is such a place, to be quick.
IN_MEMORY = next(filter(os.path.isdir, ["/dev/shm"]), None)

FAST = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def make_functions() -> Functions:
    """Of ``f`` versions are declared, of ``d`` more than that; records go to ``g``."""
    functions = Functions()
    versions = {"1": control.one, "2": control.two}
    functions.add("f", control.echo, versions=versions)
    functions.add(
        "d",
        control.echo,
        versions=versions,
        aliases={"live": "1"},
        reserved_concurrency=5,
        maximum_retry_attempts=0,
    )
    functions.add("g", control.echo)
    return functions


# --- what is kept ---------------------------------------------------------------------------------

#: The members of an event invoke config besides its destinations.
Config = dict[str, Any]


@dataclass(frozen=True)
class Alias:
    version: str
    description: str = ""
    weights: Mapping[str, float] = field(default_factory=dict)

    def problem(self, versions: set[str]) -> int | None:
        """The status of the refusal of such an alias."""
        if self.version not in versions:
            return 404
        if self.weights and (self.version == "$LATEST" or self.version in self.weights):
            return 400
        return None if set(self.weights) <= versions else 404


@dataclass
class Function:
    """What is known of one function."""

    declared_aliases: dict[str, Alias] = field(default_factory=dict)
    declared_concurrency: int | None = None
    declared_config: Config | None = None
    concurrency: int | None = None
    aliases: dict[str, Alias] = field(default_factory=dict)
    configs: dict[str, Config] = field(default_factory=dict)
    #: By qualifier, ``""`` for none: the ids of the statements, in their order.
    statements: dict[str, list[str]] = field(default_factory=dict)
    versions: set[str] = field(default_factory=lambda: {"$LATEST", "1", "2"})

    @property
    def known_aliases(self) -> dict[str, Alias]:
        return {**self.declared_aliases, **self.aliases}

    @property
    def reserved(self) -> int | None:
        return self.declared_concurrency if self.concurrency is None else self.concurrency

    def has(self, qualifier: str) -> bool:
        return qualifier in self.versions or qualifier in self.known_aliases

    def config(self, qualifier: str) -> Config | None:
        return self.configs.get(qualifier, self.declared_config) if self.has(qualifier) else None


NAMES = st.sampled_from(["f", "d"])
QUALIFIERS = st.sampled_from(["$LATEST", "1", "3", "a", "live", "nobody"])
ALIASES = st.sampled_from(["a", "b", "live"])
VERSIONS = st.sampled_from(["$LATEST", "1", "2", "3"])
WEIGHTS = st.sampled_from([None, {}, {"1": 0.25}, {"2": 0.5}, {"3": 1.0}])
DESCRIPTIONS = st.sampled_from([None, "", "é"])
REVISIONS = st.sampled_from([None, None, "right", "wrong"])
PROCESSES = st.integers(0, 1)
GIVEN_CONFIGS = st.fixed_dictionaries(
    {},
    optional={
        "MaximumRetryAttempts": st.integers(0, 2),
        "MaximumEventAgeInSeconds": st.sampled_from([60, 21600]),
        "DestinationConfig": st.sampled_from(
            [{}, {"OnSuccess": {"Destination": arn("g")}}, {"OnFailure": {}}]
        ),
    },
)


def destinations(given: Mapping[str, Any]) -> dict[str, Any]:
    """A DestinationConfig as it is told."""
    return {"OnSuccess": {}, "OnFailure": {}, **given}


class Controlled(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(dir=IN_MEMORY))
        self.functions = {
            "f": Function(),
            "d": Function(
                declared_aliases={"live": Alias("1")},
                declared_concurrency=5,
                declared_config={"MaximumRetryAttempts": 0, "DestinationConfig": destinations({})},
            ),
        }
        self.apps: list[InvokeAsyncMiddleware] = []

    @initialize()
    def start(self) -> None:
        self.apps = [self.process(), self.process()]
        #: The functions of which something has changed since the last look.
        self.changed: set[str] = set()

    def process(self) -> InvokeAsyncMiddleware:
        executor = f"sqlite:///{self.directory / 'queue.db'}?workers=0&synchronous=normal"
        return make_app(make_functions(), executor=executor)

    def teardown(self) -> None:
        if self.apps:
            told = [state(Client(app), "f", "d") for app in (*self.apps, self.process())]
            assert told[0] == told[1] == told[2]
        for app in self.apps:
            app.close()
        shutil.rmtree(self.directory)

    def ask(self, by: int, request: str, body: object = None) -> Answer:
        answer = ask(Client(self.apps[by]), request, body)
        check(answer)
        return answer

    def expect(self, name: str, answer: Answer, *statuses: int) -> bool:
        """Whether it was a success, as the model has it that gives the status."""
        assert answer.status in statuses, answer
        if answer.status < 300:
            self.changed.add(name)
        return answer.status < 300

    # --- what happens -----------------------------------------------------------------------------

    @rule(by=PROCESSES)
    def restart(self, by: int) -> None:
        self.apps[by].close()
        self.apps[by] = self.process()

    @rule(name=NAMES, by=PROCESSES)
    def publish(self, name: str, by: int) -> None:
        """Nothing of it changes, so there is one more version at most."""
        answer = self.ask(by, f"POST /2015-03-31/functions/{name}/versions", {})
        self.expect(name, answer, 201)
        assert json.loads(answer.body)["Version"] == "3"
        self.functions[name].versions.add("3")

    @rule(name=NAMES, number=st.sampled_from([0, 1, 450, 500, 895, 900, 901]), by=PROCESSES)
    def reserve(self, name: str, number: int, by: int) -> None:
        function = self.functions[name]
        others = sum(each.reserved or 0 for each in self.functions.values() if each is not function)
        before = function.reserved or 0
        is_too_much = number > before and 1000 - others - number < 100
        body = {"ReservedConcurrentExecutions": number}
        answer = self.ask(by, f"PUT /2017-10-31/functions/{name}/concurrency", body)
        if self.expect(name, answer, 400 if is_too_much else 200):
            function.concurrency = number

    @rule(name=NAMES, by=PROCESSES)
    def reserve_no_more(self, name: str, by: int) -> None:
        function = self.functions[name]
        is_declared = function.concurrency is None and function.declared_concurrency is not None
        answer = self.ask(by, f"DELETE /2017-10-31/functions/{name}/concurrency")
        if self.expect(name, answer, 403 if is_declared else 204):
            function.concurrency = None

    @rule(name=NAMES, qualifier=QUALIFIERS, given_=GIVEN_CONFIGS, by=PROCESSES)
    def put_config(self, name: str, qualifier: str, given_: Config, by: int) -> None:
        self.set_config("PUT", name, qualifier, given_, by)

    @rule(name=NAMES, qualifier=QUALIFIERS, given_=GIVEN_CONFIGS, by=PROCESSES)
    def update_config(self, name: str, qualifier: str, given_: Config, by: int) -> None:
        self.set_config("POST", name, qualifier, given_, by)

    def set_config(self, method: str, name: str, qualifier: str, given_: Config, by: int) -> None:
        function = self.functions[name]
        before = function.config(qualifier)
        status = 200
        if not given_:
            status = 400
        elif not function.has(qualifier) or (method == "POST" and before is None):
            status = 404
        answer = self.ask(by, f"{method} {config_of(name, qualifier)}", given_)
        if self.expect(name, answer, status):
            config = {"DestinationConfig": {}, **(before or {} if method == "POST" else {})}
            config.update(given_)
            config["DestinationConfig"] = destinations(config["DestinationConfig"])
            function.configs[qualifier] = config

    @rule(name=NAMES, qualifier=QUALIFIERS, by=PROCESSES)
    def delete_config(self, name: str, qualifier: str, by: int) -> None:
        function = self.functions[name]
        status = 204
        if function.config(qualifier) is None:
            status = 404
        elif qualifier not in function.configs:
            status = 403
        answer = self.ask(by, f"DELETE {config_of(name, qualifier)}")
        if self.expect(name, answer, status):
            del function.configs[qualifier]

    @rule(
        name=NAMES,
        alias=ALIASES,
        version=VERSIONS,
        description=DESCRIPTIONS,
        weights=WEIGHTS,
        by=PROCESSES,
    )
    def create_alias(
        self,
        name: str,
        alias: str,
        version: str,
        description: str | None,
        weights: dict[str, float] | None,
        by: int,
    ) -> None:
        function = self.functions[name]
        new = Alias(version, description or "", weights or {})
        status = new.problem(function.versions)
        if status is None:
            status = 409 if alias in function.known_aliases else 201
        body = {"Name": alias, **alias_body(version, description, weights)}
        answer = self.ask(by, f"POST /2015-03-31/functions/{name}/aliases", body)
        if self.expect(name, answer, status):
            function.aliases[alias] = new

    @rule(
        name=NAMES,
        alias=ALIASES,
        version=VERSIONS | st.none(),
        description=DESCRIPTIONS,
        weights=WEIGHTS,
        revision=REVISIONS,
        by=PROCESSES,
    )
    def update_alias(
        self,
        name: str,
        alias: str,
        version: str | None,
        description: str | None,
        weights: dict[str, float] | None,
        revision: str | None,
        by: int,
    ) -> None:
        function = self.functions[name]
        before = function.known_aliases.get(alias)
        target = f"/2015-03-31/functions/{name}/aliases/{alias}"
        body = alias_body(version, description, weights)
        body.update(self.revision(revision, by, f"GET {target}", before is not None))
        answer = self.ask(by, f"PUT {target}", body)
        if before is None:
            assert answer.status == 404
            return
        new = Alias(
            before.version if version is None else version,
            before.description if description is None else description,
            before.weights if weights is None else weights,
        )
        status = 412 if revision == "wrong" else new.problem(function.versions) or 200
        if self.expect(name, answer, status):
            function.aliases[alias] = new

    def revision(self, kind: str | None, by: int, request: str, is_there: bool) -> dict[str, str]:
        """A RevisionId as a body has it; the right one is told by the other process."""
        if kind == "right" and is_there:
            return {"RevisionId": get(Client(self.apps[1 - by]), request)["RevisionId"]}
        return {"RevisionId": "wrong"} if kind == "wrong" else {}

    @rule(name=NAMES, alias=ALIASES, by=PROCESSES)
    def delete_alias(self, name: str, alias: str, by: int) -> None:
        """What was set for it goes too, unless the application declares such an alias."""
        function = self.functions[name]
        is_declared = alias in function.declared_aliases
        only_declared = is_declared and alias not in function.aliases
        answer = self.ask(by, f"DELETE /2015-03-31/functions/{name}/aliases/{alias}")
        if self.expect(name, answer, 403 if only_declared else 204) and alias in function.aliases:
            del function.aliases[alias]
            if not is_declared:
                function.configs.pop(alias, None)
                function.statements.pop(alias, None)

    @rule(
        name=NAMES,
        qualifier=QUALIFIERS | st.none(),
        sid=st.sampled_from(["s", "t"]),
        revision=REVISIONS,
        by=PROCESSES,
    )
    def add_permission(
        self, name: str, qualifier: str | None, sid: str, revision: str | None, by: int
    ) -> None:
        function = self.functions[name]
        key = qualifier or ""
        sids = function.statements.get(key, [])
        body = control.permission(sid, SourceArn="arn:aws:s3:::bucket")
        target = policy_of(name, qualifier)
        body.update(self.revision(revision, by, f"GET {target}", bool(sids)))
        status = 201
        if qualifier == "$LATEST":
            status = 400
        elif not function.has(qualifier or "$LATEST"):
            status = 404
        elif "RevisionId" in body and revision == "wrong":
            status = 412
        elif sid in sids:
            status = 409
        answer = self.ask(by, f"POST {target}", body)
        if self.expect(name, answer, status):
            function.statements[key] = [*sids, sid]

    @rule(
        name=NAMES, qualifier=QUALIFIERS | st.none(), sid=st.sampled_from(["s", "t"]), by=PROCESSES
    )
    def remove_permission(self, name: str, qualifier: str | None, sid: str, by: int) -> None:
        sids = self.functions[name].statements.get(qualifier or "", [])
        target = policy_of(name, qualifier).replace("/policy", f"/policy/{sid}")
        answer = self.ask(by, f"DELETE {target}")
        if self.expect(name, answer, 204 if sid in sids else 404):
            sids.remove(sid)

    # --- what must be true after every step -------------------------------------------------------

    @invariant()
    def both_processes_tell_what_is_kept(self) -> None:
        if not self.apps:
            return
        for name in self.changed:
            for app in self.apps:
                self.check_function(Client(app), name, self.functions[name])
        self.changed.clear()

    def check_function(self, client: Client, name: str, function: Function) -> None:
        reserved = function.reserved
        expected = {} if reserved is None else {"ReservedConcurrentExecutions": reserved}
        assert get(client, f"GET /2019-09-30/functions/{name}/concurrency") == expected
        aliases = get(client, f"GET /2015-03-31/functions/{name}/aliases")["Aliases"]
        known = function.known_aliases
        assert [each["Name"] for each in aliases] == sorted(known)
        for each in aliases:
            routing = each.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})
            shown = Alias(each["FunctionVersion"], each["Description"], routing)
            assert shown == known[each["Name"]]
        configs = get(client, f"GET {config_of(name)}/list")["FunctionEventInvokeConfigs"]
        listed = {each.pop("FunctionArn"): {**each, "LastModified": None} for each in configs}
        kept = dict(function.configs)
        if function.declared_config is not None:
            kept.setdefault("$LATEST", function.declared_config)
        assert listed == {
            arn(name, qualifier): {**config, "LastModified": None}
            for qualifier, config in kept.items()
        }
        for qualifier in ("", *function.versions, *known):
            answer = ask(client, f"GET {policy_of(name, qualifier or None)}")
            sids = function.statements.get(qualifier, [])
            assert answer.status == (200 if sids else 404)
            if sids:
                policy = json.loads(json.loads(answer.body)["Policy"])
                assert [each["Sid"] for each in policy["Statement"]] == sids


def alias_body(
    version: str | None, description: str | None, weights: dict[str, float] | None
) -> dict[str, Any]:
    body: dict[str, Any] = {"FunctionVersion": version, "Description": description}
    if weights is not None:
        body["RoutingConfig"] = {"AdditionalVersionWeights": weights}
    return body


TestControlled = Controlled.TestCase
TestControlled.settings = settings(max_examples=20, stateful_step_count=20, deadline=None)


# --- anything for a request -----------------------------------------------------------------------

#: Each status with the codes that may stand beside it. No 5xx.
DOCUMENTED: dict[int, set[str]] = {
    200: set(),
    201: set(),
    204: set(),
    400: {
        "ValidationException",
        "InvalidParameterValueException",
        "InvalidRequestContentException",
        "PolicyLengthExceededException",
    },
    403: {"AccessDeniedException"},
    404: {"ResourceNotFoundException"},
    409: {"ResourceConflictException"},
    412: {"PreconditionFailedException"},
    413: {"RequestEntityTooLargeException"},
}


def check(answer: Answer) -> None:
    """Refuse (AssertionError) whatever is not a documented answer."""
    assert answer.status in DOCUMENTED, answer
    assert UUID.fullmatch(answer.headers["x-amzn-requestid"])
    for value in answer.headers.values():
        assert value.isascii()
        assert value.isprintable()
    if answer.status == 204:
        assert answer.body == b""
        return
    assert answer.headers["content-type"] == "application/json"
    members = json.loads(answer.body)
    assert isinstance(members, dict)
    assert answer.body == compact(members)
    code = answer.headers.get("x-amzn-errortype")
    assert (code is not None) is (answer.status >= 400)
    if code is not None:
        assert code in DOCUMENTED[answer.status]
        assert len({"message", "Message"} & set(members)) == 1
        assert set(members) <= {"Type", "message", "Message"}


MEMBERS = (
    *("MaximumRetryAttempts", "MaximumEventAgeInSeconds", "DestinationConfig", "OnSuccess"),
    *("OnFailure", "Destination", "Name", "FunctionVersion", "Description", "RoutingConfig"),
    *("AdditionalVersionWeights", "RevisionId", "ReservedConcurrentExecutions", "RecursiveLoop"),
    *("StatementId", "Action", "Principal", "SourceArn", "SourceAccount", "EventSourceToken"),
    *("PrincipalOrgID", "FunctionUrlAuthType", "InvokedViaFunctionUrl", "CodeSha256", "PublishTo"),
    *("1", "2", "$LATEST"),
)
PARAMETERS = ("Qualifier", "Marker", "MaxItems", "FunctionVersion", "MasterRegion", "RevisionId")

#: Values that are good for something, and some that never are.
usual_texts = st.sampled_from(
    [
        *("f", "live", "new", "1", "2", "$LATEST", "ALL", "Allow", "s3", "s3.amazonaws.com", "*"),
        *(arn("f"), arn("g"), "lambda:InvokeFunction", "o-1234567890", "NONE", "123456789012"),
        *("", "0", "50", "-1", "arn:aws:s3:::bucket", "e30=", "W10="),
    ]
)
texts = usual_texts | st.text(max_size=20)
numbers = st.integers(-3, 30_000) | st.integers() | st.floats(width=64)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(MEMBERS) | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=8,
)
#: Bodies that are good as they are.
GOOD: dict[str, dict[str, Any]] = {
    "CreateAlias": {"Name": "new", "FunctionVersion": "1"},
    "UpdateAlias": {"FunctionVersion": "2"},
    "PutFunctionConcurrency": {"ReservedConcurrentExecutions": 1},
    "PutFunctionEventInvokeConfig": {"MaximumRetryAttempts": 1},
    "UpdateFunctionEventInvokeConfig": {"MaximumRetryAttempts": 1},
    "PutFunctionRecursionConfig": {"RecursiveLoop": "Allow"},
    "AddPermission": control.permission("new"),
}
_T = TypeVar("_T")


def mostly(usual: _T, unusual: st.SearchStrategy[_T]) -> st.SearchStrategy[_T]:
    """The usual more often: one odd part is enough for a refusal, and hides the others."""
    return st.integers(0, 9).flatmap(lambda number: unusual if number > 6 else st.just(usual))


#: What is put in the place of a good body's members.
changes = st.dictionaries(st.sampled_from(MEMBERS), values, max_size=2)
bodies = st.none() | st.none() | st.none() | st.binary(max_size=60)
queries = mostly(
    "",
    st.lists(st.tuples(st.sampled_from(PARAMETERS) | st.text(max_size=5), texts), max_size=3).map(
        lambda pairs: "&".join(f"{encode(name)}={encode(value)}" for name, value in pairs)
    )
    | st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=40),
)
names = mostly(
    "f", st.sampled_from(["g", "f:live", "f:1", arn("f"), arn("f", "live"), "nobody"]) | texts
)
items = mostly("live", texts)
everything = st.sampled_from([*operations.SERVED, *operations.REFUSED])


def encode(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


@pytest.mark.filterwarnings("ignore:Unknown REQUEST_METHOD")
@FAST
@given(operation=everything, name=names, item=items, query=queries, changes=changes, body=bodies)
@example(operations.SERVED[0], "f", "", "Marker=%FF", {}, b"")
@example(operations.SERVED[4], "f", "", "", {"Description": "\ud800"}, None)
def test_any_request_gets_a_documented_answer(
    operation: operations.Operation,
    name: str,
    item: str,
    query: str,
    changes: dict[str, Any],
    body: bytes | None,
) -> None:
    """And the service goes on as if it had not been there, where it was refused."""
    content = {**GOOD.get(operation.name, {}), **changes} if body is None else body
    client = Client(make_app())
    path = operation.path.replace("{FunctionName}", encode(name) or "f")
    path = path.replace("{Resource}", encode(name) or "f")
    for parameter in ("{Name}", "{StatementId}"):
        path = path.replace(parameter, encode(item) or "x")
    before = state(client)
    answer = ask(client, f"{operation.method} {path}?{query}", content)
    check(answer)
    if answer.status >= 400 or operation.method == "GET":
        assert state(client) == before
    else:
        for status, _ in state(client).values():
            assert status in (200, 404)
    assert client.invoke("f", b"1").status in (200, 429)


@FAST
@given(operation=everything, body=st.binary(min_size=1, max_size=60))
def test_bytes_that_are_no_json_are_never_taken_for_it(
    operation: operations.Operation, body: bytes
) -> None:
    client = Client(make_app())
    path = operation.path.format(FunctionName="f", Name="live", StatementId="s", Resource=arn("f"))
    answer = ask(client, f"{operation.method} {path}", body)
    check(answer)
    if operation.method in ("PUT", "POST") and operation in operations.SERVED:
        assert answer.status == 400 or isinstance(json.loads(body), dict)


# --- texts and pages ------------------------------------------------------------------------------


@settings(FAST, max_examples=60)
@given(description=st.text(max_size=256))
@example("\ud800\x00\u2028")
def test_a_description_is_kept_as_it_was(description: str) -> None:
    directory = Path(tempfile.mkdtemp(dir=IN_MEMORY))
    executor = f"sqlite:///{directory / 'queue.db'}?workers=0"
    apps = [make_app(executor=executor) for _ in range(2)]
    try:
        body = {"Name": "new", "FunctionVersion": "1", "Description": description}
        one, other = map(Client, apps)
        created = get(one, "POST /2015-03-31/functions/f/aliases", body, 201)
        assert created["Description"] == description
        assert get(other, "GET /2015-03-31/functions/f/aliases/new") == created
    finally:
        for app in apps:
            app.close()
        shutil.rmtree(directory)


@settings(FAST, max_examples=60)
@given(aliases=st.sets(st.from_regex(r"[a-zA-Z0-9_-]{0,8}[a-zA-Z_-]", fullmatch=True), max_size=60))
@pytest.mark.parametrize("max_items", [1, 7, 50])
def test_pages_have_each_alias_once(max_items: int, aliases: set[str]) -> None:
    functions = Functions()
    functions.add(
        "f", control.echo, versions={"1": control.one}, aliases=dict.fromkeys(aliases, "1")
    )
    client = Client(make_app(functions))
    found: list[str] = []
    query = f"MaxItems={max_items}"
    while True:
        page = get(client, f"GET /2015-03-31/functions/f/aliases?{query}")
        assert len(page["Aliases"]) <= max_items
        found += [each["Name"] for each in page["Aliases"]]
        if "NextMarker" not in page:
            break
        assert page["Aliases"]
        query = f"MaxItems={max_items}&Marker={encode(page['NextMarker'])}"
    assert found == sorted(aliases)
