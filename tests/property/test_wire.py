"""Requests: anything is either understood or refused with a documented error."""

from __future__ import annotations

import base64
import json
import uuid

from hypothesis import example, given
from hypothesis import strategies as st

from invokeasync_wsgi import errors, operations, wire

#: What a server may put into an environ: characters of Latin-1.
wire_text = st.text(st.characters(max_codepoint=255), max_size=60)
routes = st.sampled_from(
    [
        ("/2014-11-13/functions/", "/invoke-async", operations.INVOKE_ASYNC),
        ("/2015-03-31/functions/", "/invocations", operations.INVOKE),
        (
            "/2021-11-15/functions/",
            "/response-streaming-invocations",
            operations.INVOKE_WITH_RESPONSE_STREAM,
        ),
    ]
)
header_names = st.sampled_from(
    [
        "HTTP_X_AMZ_INVOCATION_TYPE",
        "HTTP_X_AMZ_LOG_TYPE",
        "HTTP_X_AMZ_CLIENT_CONTEXT",
        "HTTP_X_AMZ_TENANT_ID",
    ]
)
header_values = wire_text | st.sampled_from(["Event", "DryRun", "Tail", "e30=", "tenant"])


@given(routes, wire_text.filter(bool), st.sampled_from(["", "/"]))
def test_routing_undoes_the_making_of_a_path(
    route: tuple[str, str, str], name: str, end: str
) -> None:
    prefix, ending, operation = route
    assert operations.route("POST", prefix + name + ending + end) == (operation, name, "")


@given(st.sampled_from(["POST", "GET"]) | wire_text, routes, wire_text)
def test_any_method_and_path_means_an_operation_with_a_name_or_none(
    method: str, route: tuple[str, str, str], rest: str
) -> None:
    operation, name, item = operations.route(method, route[0] + rest)
    assert (operation in (None, "ListFunctions", "CreateFunction")) == (name == "")
    assert not item or operation in ("GetAlias", "UpdateAlias", "DeleteAlias", "RemovePermission")


@given(wire_text | st.uuids().map(str) | st.uuids().map(lambda id_: str(id_).upper()))
def test_any_request_id_is_a_uuid_or_refused(given_id: str) -> None:
    environ = {"HTTP_X_AMZN_REQUESTID": given_id}
    request = wire.Request(operations.INVOKE, "f", environ, bytes, 0.0)
    try:
        request_id = wire.request_id(request, "new")
    except errors.InvalidRequestContentException:
        return
    assert request_id == str(uuid.UUID(request_id)) == given_id.lower()


@given(
    st.dictionaries(header_names, header_values),
    wire_text,
    wire_text | wire_text.map("Qualifier={}".format),
    st.booleans(),
)
@example({}, "f", "Qualifier=%ff&%", False)
def test_any_parameters_are_legal_or_refused(
    headers: dict[str, str], name: str, query: str, streaming: bool
) -> None:
    request = wire.Request(operations.INVOKE, name, {**headers, "QUERY_STRING": query}, bytes, 0.0)
    try:
        parameters = wire.invoke_parameters(request, streaming=streaming)
    except (errors.ValidationException, errors.InvalidRequestContentException) as error:
        text = json.loads(error.body())["message"]
        assert "validation error" in text or text.startswith("Client context must be")
        return
    assert parameters.invocation_type in wire.INVOCATION_TYPES
    assert not (streaming and parameters.invocation_type == wire.EVENT)
    assert parameters.qualifier != ""


@given(
    st.binary(max_size=200) | st.dictionaries(st.text(), st.text()).map(json.dumps).map(str.encode)
)
def test_any_client_context_is_a_json_object_or_refused(content: bytes) -> None:
    headers = {"HTTP_X_AMZ_CLIENT_CONTEXT": base64.b64encode(content).decode()}
    request = wire.Request(operations.INVOKE, "f", headers, bytes, 0.0)
    try:
        text = wire.invoke_parameters(request, streaming=False).client_context
    except (errors.ValidationException, errors.InvalidRequestContentException):
        return
    if content:
        assert text is not None
        assert text.encode() == content
        assert isinstance(json.loads(text), dict)
    else:
        assert text is None


@given(st.text(), wire_text)
def test_any_refusal_is_ascii_json_with_its_length(message: str, request_id: str) -> None:
    response = wire.refusal(request_id, errors.ValidationException(message))
    assert response.body.isascii()
    assert json.loads(response.body) == {"message": message}
    assert ("Content-Length", str(len(response.body))) in response.headers
