"""wire.py: what a request says, and what an answer says."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from http import HTTPStatus

import pytest

from invokeasync_wsgi import Outcome, errors, operations, wire

REQUEST_ID = "4c7a6e5e-2f0c-4f0e-8e0e-0d4c5a3b2a1f"
OUTCOME = Outcome(b"{}", None, "$LATEST", 0.01, "application/json", lambda: "the log")
FAILED = OUTCOME._replace(payload=b'{"errorType": "E"}', function_error="Unhandled")


def make_request(
    headers: Mapping[str, str] | None = None, *, name: str = "f", query: str = ""
) -> wire.Request:
    environ = {"QUERY_STRING": query, **(headers or {})}
    return wire.Request(operations.INVOKE, name, environ, bytes, 0.0)


class TestRequestId:
    def test_a_new_one_is_used_when_none_was_sent(self) -> None:
        assert wire.request_id(make_request(), REQUEST_ID) == REQUEST_ID

    def test_the_header_is_looked_up_by_its_cgi_name(self) -> None:
        headers = {"HTTP_X_AMZN_REQUESTID": REQUEST_ID}
        assert wire.request_id(make_request(headers=headers), "new") == REQUEST_ID

    def test_it_comes_out_in_lower_case(self) -> None:
        headers = {"HTTP_X_AMZN_REQUESTID": REQUEST_ID.upper()}
        assert wire.request_id(make_request(headers=headers), "new") == REQUEST_ID

    @pytest.mark.parametrize("given", ["", "x", REQUEST_ID + "\n", f" {REQUEST_ID}"])
    def test_anything_but_a_uuid_is_refused(self, given: str) -> None:
        headers = {"HTTP_X_AMZN_REQUESTID": given}
        with pytest.raises(errors.InvalidRequestContentException, match=r"^Invalid Request ID: "):
            wire.request_id(make_request(headers=headers), "new")

    def test_where_there_is_no_operation_that_is_the_worse_fault(self) -> None:
        request = make_request(headers={"HTTP_X_AMZN_REQUESTID": "x"})._replace(operation=None)
        assert wire.request_id(request, "new") == "new"


class TestCheckNames:
    @pytest.mark.parametrize("qualifier", [None, "live", "$LATEST"])
    def test_good_ones_pass(self, qualifier: str | None) -> None:
        wire.check_names("f", qualifier)

    def test_all_that_is_wrong_is_named_the_qualifier_first(self) -> None:
        text = r"^2 validation errors detected: Value '!' at 'qualifier' .*; Value '\*' at 'functio"
        with pytest.raises(errors.ValidationException, match=text):
            wire.check_names("*", "!")


class TestInvokeParameters:
    def test_the_defaults(self) -> None:
        assert wire.invoke_parameters(make_request(), streaming=False) == wire.InvokeParameters(
            invocation_type="RequestResponse",
            wants_log=False,
            qualifier=None,
            client_context=None,
            tenant_id=None,
        )

    def test_all_of_them(self) -> None:
        headers = {
            "HTTP_X_AMZ_INVOCATION_TYPE": "DryRun",
            "HTTP_X_AMZ_LOG_TYPE": "Tail",
            "HTTP_X_AMZ_CLIENT_CONTEXT": base64.b64encode(b'{"custom": {}}').decode(),
            "HTTP_X_AMZ_TENANT_ID": "t",
        }
        request = make_request(headers, query="Qualifier=live")
        assert wire.invoke_parameters(request, streaming=True) == wire.InvokeParameters(
            invocation_type="DryRun",
            wants_log=True,
            qualifier="live",
            client_context='{"custom": {}}',
            tenant_id="t",
        )

    @pytest.mark.parametrize(
        "name",
        ["HTTP_X_AMZ_INVOCATION_TYPE", "HTTP_X_AMZ_LOG_TYPE", "HTTP_X_AMZ_CLIENT_CONTEXT"],
    )
    def test_an_empty_header_is_as_none(self, name: str) -> None:
        expected = wire.invoke_parameters(make_request(), streaming=False)
        assert wire.invoke_parameters(make_request({name: ""}), streaming=False) == expected

    @pytest.mark.parametrize(
        ("sent", "meant"), [("a", "a"), ("a b", "a b"), ("a   b", "a b"), (" a ", "a")]
    )
    def test_a_tenant_is_the_one_that_a_signature_covers(self, sent: str, meant: str) -> None:
        """Which has one space for several in a row, and none at the ends."""
        request = make_request({"HTTP_X_AMZ_TENANT_ID": sent})
        assert wire.invoke_parameters(request, streaming=False).tenant_id == meant

    @pytest.mark.parametrize("sent", ["a\tb", "a\x0bb", "a\xa0b", "", " "])
    def test_other_blanks_are_no_part_of_a_tenant(self, sent: str) -> None:
        with pytest.raises(errors.ValidationException, match="'tenantId'"):
            wire.invoke_parameters(make_request({"HTTP_X_AMZ_TENANT_ID": sent}), streaming=False)

    @pytest.mark.parametrize("query", ["Qualifier=a&Qualifier=b", "Qualifier=a&%51ualifier=a"])
    def test_two_qualifiers_are_one_too_many(self, query: str) -> None:
        """A signature covers them sorted, and so does not tell which comes first."""
        with pytest.raises(errors.InvalidParameterValueException, match="Qualifier is there 2"):
            wire.invoke_parameters(make_request(query=query), streaming=False)

    @pytest.mark.parametrize(
        ("query", "qualifier"),
        [
            ("", None),
            ("Qualifier=a", "a"),
            ("Qualifier=%24LATEST", "$LATEST"),
            ("x=1&Qualifier=a&y=2", "a"),
            ("qualifier=a", None),
            ("XQualifier=a", None),
            ("x=Qualifier", None),
            ("x=Qualifier=a", None),
            ("x=1;Qualifier=a", None),
        ],
    )
    def test_the_qualifier_is_a_query_parameter(self, query: str, qualifier: str | None) -> None:
        parameters = wire.invoke_parameters(make_request(query=query), streaming=False)
        assert parameters.qualifier == qualifier

    @pytest.mark.parametrize("query", ["Qualifier=", "Qualifier", "Qualifier=%FF", "Qualifier=+"])
    def test_a_qualifier_that_is_there_must_be_good(self, query: str) -> None:
        with pytest.raises(errors.ValidationException, match="at 'qualifier' failed"):
            wire.invoke_parameters(make_request(query=query), streaming=False)

    def test_a_stream_has_two_types(self) -> None:
        request = make_request({"HTTP_X_AMZ_INVOCATION_TYPE": "Event"})
        assert wire.invoke_parameters(request, streaming=False).invocation_type == "Event"
        with pytest.raises(errors.ValidationException, match=r": \[DryRun, RequestResponse\]$"):
            wire.invoke_parameters(request, streaming=True)

    def test_the_longest_client_context(self) -> None:
        text = json.dumps({"custom": {"key": "x" * 2660}})
        encoded = base64.b64encode(text.encode()).decode()
        assert len(encoded) == 3580
        request = make_request({"HTTP_X_AMZ_CLIENT_CONTEXT": encoded})
        assert wire.invoke_parameters(request, streaming=False).client_context == text

    def test_constraints_come_before_the_client_contexts_content(self) -> None:
        headers = {"HTTP_X_AMZ_CLIENT_CONTEXT": "!", "HTTP_X_AMZ_LOG_TYPE": "!"}
        with pytest.raises(errors.ValidationException, match=r"^1 validation error detected"):
            wire.invoke_parameters(make_request(headers), streaming=False)


class TestAnswers:
    def test_accepted(self) -> None:
        assert wire.accepted(REQUEST_ID, None) == wire.Response(
            status=HTTPStatus.ACCEPTED,
            headers=[
                ("x-amzn-requestid", REQUEST_ID),
                ("Content-Type", "application/json"),
                ("Content-Length", "0"),
            ],
            body=b"",
        )

    def test_what_is_to_be_done_behind_the_answer_goes_with_it(self) -> None:
        def after() -> None: ...

        assert wire.accepted(REQUEST_ID, after).after is after

    def test_answers_share_no_list_of_headers(self) -> None:
        one, other = wire.accepted(REQUEST_ID, None), wire.accepted(REQUEST_ID, None)
        assert one.headers is not other.headers

    def test_would_run(self) -> None:
        assert wire.would_run(REQUEST_ID) == (
            204,
            [("x-amzn-requestid", REQUEST_ID)],
            b"",
            None,
            False,
        )

    def test_result(self) -> None:
        assert wire.result(REQUEST_ID, OUTCOME, wants_log=False) == (
            200,
            [
                ("x-amzn-requestid", REQUEST_ID),
                ("Content-Type", "application/json"),
                ("Content-Length", "2"),
                ("x-amzn-remapped-content-length", "0"),
                ("X-Amz-Executed-Version", "$LATEST"),
            ],
            b"{}",
            None,
            False,
        )

    def test_a_failed_result_says_so(self) -> None:
        response = wire.result(REQUEST_ID, FAILED, wants_log=False)
        assert response.status == 200
        assert ("X-Amz-Function-Error", "Unhandled") in response.headers

    @pytest.mark.parametrize(
        ("log", "tail"),
        [
            pytest.param("", b"", id="nothing"),
            pytest.param("short", b"short", id="short"),
            pytest.param("a" + "b" * 4096, b"b" * 4096, id="the last 4 KB"),
            pytest.param("é" * 4096, "é".encode() * 2048, id="the last 4 KB in bytes"),
            pytest.param("\ud800", b"?", id="what has no bytes"),
        ],
    )
    def test_the_log_is_base64_of_its_end(self, log: str, tail: bytes) -> None:
        outcome = OUTCOME._replace(log=lambda: log)
        headers = dict(wire.result(REQUEST_ID, outcome, wants_log=True).headers)
        assert base64.b64decode(headers["X-Amz-Log-Result"]) == tail

    def test_a_log_that_nobody_wants_is_not_written_out(self) -> None:
        def log() -> str:
            raise AssertionError("nobody asked")

        outcome = OUTCOME._replace(log=log)
        wire.result(REQUEST_ID, outcome, wants_log=False)
        wire.streamed_result(REQUEST_ID, outcome, wants_log=False)

    def test_a_streamed_error_need_not_be_utf_8(self) -> None:
        outcome = OUTCOME._replace(payload=b"\xff", function_error="Unhandled")
        body = wire.streamed_result(REQUEST_ID, outcome, wants_log=False).body
        assert b'{"ErrorCode":"Unhandled","ErrorDetails":"\\ufffd"}' in body

    def test_a_refusal_carries_the_errors_own_headers_last(self) -> None:
        error = errors.TooManyRequestsException("Slow.", headers=[("Retry-After", "3")])
        assert wire.refusal(REQUEST_ID, error) == (
            429,
            [
                ("x-amzn-requestid", REQUEST_ID),
                ("x-amzn-ErrorType", "TooManyRequestsException"),
                ("Content-Type", "application/json"),
                ("Content-Length", "33"),
                ("Retry-After", "3"),
            ],
            b'{"Type":"User","message":"Slow."}',
            None,
            False,
        )


def test_a_trace_id_has_x_rays_form() -> None:
    assert re.fullmatch(r"root=1-5e0be100-[0-9a-f]{24};sampled=0", wire.trace_id(1577836800.9))
    assert wire.trace_id(0) != wire.trace_id(0)
    assert wire.trace_id(0).startswith("root=1-00000000-")
