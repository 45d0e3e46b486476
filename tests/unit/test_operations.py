"""operations.py: which request means which operation."""

from __future__ import annotations

import pytest

from invokeasync_wsgi import operations
from invokeasync_wsgi.operations import INVOKING, REFUSED, SERVED, Operation

OPERATIONS = [
    ("/2014-11-13/functions/", "/invoke-async", operations.INVOKE_ASYNC),
    ("/2015-03-31/functions/", "/invocations", operations.INVOKE),
    (
        "/2021-11-15/functions/",
        "/response-streaming-invocations",
        operations.INVOKE_WITH_RESPONSE_STREAM,
    ),
]


EVERY = (*INVOKING, *SERVED, *REFUSED)


def path_of(operation: Operation, name: str = "f", item: str = "") -> str:
    """A path of an operation."""
    path = operation.path.replace("{FunctionName}", name).replace("{Resource}", name)
    return path.replace("{Name}", item).replace("{StatementId}", item)


@pytest.mark.parametrize(("prefix", "ending", "operation"), OPERATIONS)
class TestRoute:
    @pytest.mark.parametrize("end", ["", "/"])
    @pytest.mark.parametrize(
        "name", ["f", "f:live", "a/b", "/", "%", "invoke-async", "invocations", "é", " "]
    )
    def test_what_stands_between_the_prefix_and_the_last_word_is_the_name(
        self, prefix: str, ending: str, operation: str, name: str, end: str
    ) -> None:
        assert operations.route("POST", prefix + name + ending + end) == (operation, name, "")

    def test_the_last_word_counts(self, prefix: str, ending: str, operation: str) -> None:
        path = f"{prefix}f{ending}{ending}"
        assert operations.route("POST", path) == (operation, f"f{ending}", "")

    @pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "OPTIONS", "post", ""])
    def test_other_methods_are_no_operation(
        self, prefix: str, ending: str, operation: str, method: str
    ) -> None:
        assert operations.route(method, f"{prefix}f{ending}") == operations.NO_ROUTE

    def test_an_empty_name_is_no_operation(self, prefix: str, ending: str, operation: str) -> None:
        assert operations.route("POST", prefix + ending) == operations.NO_ROUTE
        assert operations.route("POST", prefix + ending.removeprefix("/")) == operations.NO_ROUTE

    def test_the_ending_of_another_version_is_no_operation(
        self, prefix: str, ending: str, operation: str
    ) -> None:
        for other_prefix, _, _ in OPERATIONS:
            expected = (operation, "f", "") if other_prefix == prefix else operations.NO_ROUTE
            assert operations.route("POST", f"{other_prefix}f{ending}") == expected


@pytest.mark.parametrize("end", ["", "/"])
@pytest.mark.parametrize("operation", EVERY, ids=lambda operation: operation.name)
class TestEveryOperation:
    def test_its_path_means_it_with_and_without_a_final_slash(
        self, operation: Operation, end: str
    ) -> None:
        has_name = "{FunctionName}" in operation.path or "{Resource}" in operation.path
        has_item = "{Name}" in operation.path or "{StatementId}" in operation.path
        path = path_of(operation, "f:live", "item") + end
        assert operations.route(operation.method, path) == (
            operation.name,
            "f:live" if has_name else "",
            "item" if has_item else "",
        )
        assert path.startswith(operations.PREFIX)
        assert operations.is_ours(path)

    def test_other_methods_do_not_mean_it(self, operation: Operation, end: str) -> None:
        for method in ("HEAD", "OPTIONS", "PATCH", operation.method.lower(), ""):
            path = path_of(operation, "f", "item") + end
            assert operations.route(method, path) == operations.NO_ROUTE

    def test_a_name_that_is_not_there_means_no_operation(
        self, operation: Operation, end: str
    ) -> None:
        if operation.path != path_of(operation):
            path = path_of(operation, "", "item") + end
            assert operations.route(operation.method, path).operation in (None, "ListFunctions")


@pytest.mark.parametrize("path", [path_of(each) for each in EVERY])
def test_what_only_begins_like_a_path_of_ours_is_not(path: str) -> None:
    date, word = path[: len("/2015-03-31")], path[len("/2015-03-31") :].split("/")[1]
    assert operations.is_ours(f"{date}/{word}")
    assert not operations.is_ours(f"{date}/{word}X")
    assert not operations.is_ours(f"{date}/{word[:-1]}")
    assert not operations.is_ours(f"{date}X/{word}")
    assert not operations.is_ours(date)


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/2015-03-31/functions/a/b", operations.NO_ROUTE),
        ("GET", "/2015-03-31/functions/a/b/configuration", ("GetFunctionConfiguration", "a/b", "")),
        ("GET", "/2015-03-31/functions/a/b/aliases/c", ("GetAlias", "a/b", "c")),
        ("GET", "/2015-03-31/functions/aliases/aliases", ("ListAliases", "aliases", "")),
        ("GET", "/2015-03-31/functions/configuration", ("GetFunction", "configuration", "")),
        ("GET", "/2015-03-31/functions//configuration", operations.NO_ROUTE),
        ("GET", "/2015-03-31/functions//", operations.NO_ROUTE),
        ("GET", "/2015-03-31/functions/f/aliases//", operations.NO_ROUTE),
        ("GET", "/2017-03-31/tags/", operations.NO_ROUTE),
        ("GET", "/2016-08-19/account-settings/x", operations.NO_ROUTE),
        ("GET", "/2019-09-25/functions/f/event-invoke-config/lists", operations.NO_ROUTE),
        ("GET", "/2019-09-30/functions/f/provisioned-concurrency", operations.NO_ROUTE),
        ("PUT", "/2019-09-30/functions/f/concurrency", operations.NO_ROUTE),
        ("GET", "/2017-10-31/functions/f/concurrency", operations.NO_ROUTE),
    ],
)
def test_names_end_where_the_rest_of_a_path_begins(
    method: str, path: str, expected: tuple[str | None, str, str]
) -> None:
    assert operations.route(method, path) == expected


def test_every_operation_is_there_once() -> None:
    assert len({operation.name for operation in EVERY}) == len(EVERY)
    assert {
        **{operation.name: True for operation in SERVED},
        **{operation.name: False for operation in REFUSED},
    } == operations.CONTROL
