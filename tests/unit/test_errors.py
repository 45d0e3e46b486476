"""errors.py: one tree, and an AWS error that knows what a client sees of it."""

from __future__ import annotations

import json
import pickle

import pytest

import invokeasync_wsgi
from invokeasync_wsgi import errors

AWS_ERRORS = [
    error
    for error in vars(errors).values()
    if isinstance(error, type)
    and issubclass(error, errors.AWSError)
    and error is not errors.AWSError
]

#: Who calls is not verified.
AUTHENTICATION_ERRORS = [
    error for error in AWS_ERRORS if issubclass(error, errors.AuthenticationError)
]


@pytest.mark.parametrize(
    "branch",
    [errors.ConfigurationError, errors.AWSError, errors.ExecutorError],
    ids=lambda c: c.__name__,
)
def test_every_branch_grows_from_one_base_class(branch: type[Exception]) -> None:
    assert issubclass(branch, errors.InvokeAsyncError)
    others = {errors.ConfigurationError, errors.AWSError, errors.ExecutorError} - {branch}
    assert not any(issubclass(branch, other) for other in others)


def test_a_configuration_error_is_a_value_error() -> None:
    assert issubclass(errors.ConfigurationError, ValueError)


@pytest.mark.parametrize(
    "error", [errors.QueueFull, errors.ExecutorClosed], ids=lambda c: c.__name__
)
def test_an_executor_that_takes_no_event_says_so_with_an_executor_error(
    error: type[Exception],
) -> None:
    assert issubclass(error, errors.ExecutorError)


def test_a_full_queue_tells_when_to_come_back() -> None:
    assert errors.QueueFull("full").retry_after_s == 1


@pytest.mark.parametrize(
    "name",
    [
        "AWSError",
        "AuthenticationError",
        "ConfigurationError",
        "ExecutorClosed",
        "ExecutorError",
        "InvokeAsyncError",
        "QueueFull",
    ],
)
def test_what_users_catch_is_public(name: str) -> None:
    assert getattr(invokeasync_wsgi, name) is getattr(errors, name)


@pytest.mark.parametrize("error", AWS_ERRORS, ids=lambda c: c.__name__)
class TestEveryAWSError:
    def test_is_named_as_its_code(self, error: type[errors.AWSError]) -> None:
        assert error("text").code == error.__name__

    def test_shows_its_text(self, error: type[errors.AWSError]) -> None:
        assert str(error("text")) == "text"
        assert error("text").message == "text"

    def test_says_in_its_docstring_when_it_is_sent(self, error: type[errors.AWSError]) -> None:
        assert error.__doc__
        assert str(error.status.value) in error.__doc__

    def test_survives_the_way_to_another_process(self, error: type[errors.AWSError]) -> None:
        sent = error("text")
        if error not in AUTHENTICATION_ERRORS:  # which have no room for these
            sent = error("text", headers=[("Retry-After", "1")], reason="Why")
        received = pickle.loads(pickle.dumps(sent))
        assert type(received) is error
        assert received.body() == sent.body()
        assert vars(received) == vars(sent)


@pytest.mark.parametrize("error", AUTHENTICATION_ERRORS, ids=lambda c: c.__name__)
class TestEveryAuthenticationError:
    def test_is_a_403_without_a_type(self, error: type[errors.AuthenticationError]) -> None:
        assert error.status == 403
        assert error("text").body() == b'{"message":"text"}'

    def test_tells_the_reason_to_the_log_alone(
        self, error: type[errors.AuthenticationError]
    ) -> None:
        told = error("text", why="the reason", key_id="AKIDEXAMPLE")
        assert (told.why, told.key_id) == ("the reason", "AKIDEXAMPLE")
        assert told.body() == b'{"message":"text"}'
        assert (error("text").why, error("text").key_id) == ("text", None)

    def test_keeps_the_reason_on_its_way_to_another_process(
        self, error: type[errors.AuthenticationError]
    ) -> None:
        sent = error("text", why="the reason", key_id="AKIDEXAMPLE")
        received = pickle.loads(pickle.dumps(sent))
        assert vars(received) == vars(sent)


def test_members_stand_in_awss_order() -> None:
    error = errors.TooManyRequestsException("text", reason="Why")
    assert error.body() == b'{"Reason":"Why","Type":"User","message":"text"}'


def test_a_reason_that_is_not_given_is_left_out() -> None:
    assert errors.TooManyRequestsException("text").body() == b'{"Type":"User","message":"text"}'


def test_no_text_becomes_null() -> None:
    assert errors.AccessDeniedException(None).body() == b'{"Message":null}'


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('"quoted" and \\ backslash', id="characters that JSON escapes"),
        pytest.param("line\nbreak\ttab\x00", id="control characters"),
        pytest.param("Grüße 😀", id="non-ASCII"),
        pytest.param("\ud800", id="a lone surrogate"),
    ],
)
def test_any_text_is_sent_as_ascii_json(text: str) -> None:
    body = errors.ServiceException(text).body()
    assert body.isascii()
    assert json.loads(body)["Message"] == text


def test_headers_may_come_from_any_iterable() -> None:
    error = errors.ServiceException("text", headers=iter([("A", "b")]))
    assert error.headers == (("A", "b"),)
