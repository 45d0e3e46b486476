"""Bearer tokens: which are good, and that only their hashes are kept."""

from __future__ import annotations

import hashlib
import os
import re
import traceback
from pathlib import Path
from typing import Any

import pytest

from invokeasync_wsgi import InvokeAsyncMiddleware, Principal
from invokeasync_wsgi.auth.tokens import BearerTokens, Token, hash_of, new_token, parse_file
from invokeasync_wsgi.errors import (
    AuthenticationError,
    ConfigurationError,
    UnrecognizedClientException,
)
from invokeasync_wsgi.testing import Client

from ..signing import NOW, make_functions, make_request, refusal_of, started

TOKEN = "0123456789abcdef-a-bearer-token"
OTHER = "another-bearer-token"
HASH, OTHER_HASH = hash_of(TOKEN), hash_of(OTHER)

MISSING = ("MissingAuthenticationTokenException", "Missing Authentication Token")
UNKNOWN = ("UnrecognizedClientException", "The security token included in the request is invalid.")
EXPIRED = ("ExpiredTokenException", "The security token included in the request is expired")


def bearer(token: str, scheme: str = "Bearer") -> dict[str, str]:
    return {"HTTP_AUTHORIZATION": f"{scheme} {token}"}


def told(auth: Any, environ: dict[str, str], *, now: float = NOW) -> tuple[str, str | None] | None:
    error = refusal_of(auth, environ, now=now)
    return None if error is None else (error.code, error.message)


def write(path: Path, text: str) -> None:
    """Write a file whose time is another than before, however fast this is."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(text)
    os.utime(path, ns=(before + 10**9, before + 10**9))


# --- verifying ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "authorization",
    [
        f"Bearer {TOKEN}",
        f"bearer {TOKEN}",
        f"BEARER {TOKEN}",
        f"Bearer   {TOKEN}  ",
    ],
)
def test_the_caller_is_the_owner_of_the_token(authorization: str) -> None:
    auth = started(BearerTokens({HASH: "alice", OTHER_HASH: Principal("bob")}))
    caller = auth.authenticate(make_request({"HTTP_AUTHORIZATION": authorization}))
    assert caller == Principal("alice")
    assert auth.authenticate(make_request(bearer(OTHER))) == Principal("bob")


@pytest.mark.parametrize(
    ("environ", "answer", "why"),
    [
        pytest.param({}, MISSING, "Missing Authentication Token", id="none"),
        pytest.param({"HTTP_AUTHORIZATION": ""}, MISSING, MISSING[1], id="empty"),
        pytest.param(bearer(TOKEN, "Basic"), MISSING, MISSING[1], id="another scheme"),
        pytest.param({"HTTP_AUTHORIZATION": TOKEN}, MISSING, MISSING[1], id="no scheme"),
        pytest.param({"HTTP_AUTHORIZATION": f"Bearer{TOKEN}"}, MISSING, MISSING[1], id="no blank"),
        pytest.param({"QUERY_STRING": f"access_token={TOKEN}"}, MISSING, MISSING[1], id="query"),
        pytest.param({"HTTP_AUTHORIZATION": "Bearer"}, UNKNOWN, "unknown token", id="no token"),
        pytest.param(bearer("x"), UNKNOWN, "unknown token", id="unknown"),
        pytest.param(bearer(HASH), UNKNOWN, "unknown token", id="the hash itself"),
        pytest.param(bearer(TOKEN.upper()), UNKNOWN, "unknown token", id="upper case"),
        pytest.param(bearer(TOKEN[:-1]), UNKNOWN, "unknown token", id="cut"),
        pytest.param(bearer(f"{TOKEN}, Bearer {TOKEN}"), UNKNOWN, "unknown token", id="two"),
        pytest.param(bearer("\xe9\x00"), UNKNOWN, "unknown token", id="no ASCII"),
        pytest.param(bearer("x" * 4097), UNKNOWN, "too long a token", id="too long"),
        pytest.param(bearer("disabled"), UNKNOWN, "disabled token", id="disabled"),
        pytest.param(bearer("expired"), EXPIRED, "expired token", id="expired"),
        pytest.param(bearer("soon"), None, None, id="expires in a second"),
    ],
)
def test_tokens_that_are_not_good_now(
    environ: dict[str, str], answer: tuple[str, str] | None, why: str | None
) -> None:
    auth = started(
        BearerTokens(
            {
                HASH: "alice",
                hash_of("disabled"): Token("alice", is_enabled=False),
                hash_of("expired"): Token("alice", expires_at=NOW),
                hash_of("soon"): Token("alice", expires_at=NOW + 1),
            }
        )
    )
    assert told(auth, environ) == answer
    if why is not None:
        error = refusal_of(auth, environ)
        assert isinstance(error, AuthenticationError)
        assert error.why == why


def test_a_token_may_have_4096_characters() -> None:
    token = "x" * 4096
    assert told(started(BearerTokens({hash_of(token): "alice"})), bearer(token)) is None


def test_a_body_is_not_read_to_verify_a_token() -> None:
    def refuse() -> bytes:
        raise AssertionError("the body was read")

    auth = started(BearerTokens({HASH: "alice"}))
    auth.authenticate(make_request(bearer(TOKEN))._replace(read_body=refuse))
    with pytest.raises(UnrecognizedClientException):
        auth.authenticate(make_request(bearer("x"))._replace(read_body=refuse))


# --- files --------------------------------------------------------------------------------------

FILE = f"""
[alice]
sha256 = {HASH}

[alice-new]
sha256 = {OTHER_HASH}
principal = alice
expires = 2026-01-02T03:04:05Z

[gone]
sha256 = {hash_of("gone")}
disabled = true
"""


def test_a_file_has_a_section_for_each_token() -> None:
    assert parse_file(FILE) == {
        HASH: Token("alice"),
        OTHER_HASH: Token("alice", expires_at=NOW),
        hash_of("gone"): Token("gone", is_enabled=False),
    }


def test_a_token_is_rotated_while_the_service_runs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "tokens.ini"
    write(path, f"[alice]\nsha256={HASH}\n")
    auth = started(BearerTokens(path))
    write(path, f"[alice]\nsha256={HASH}\n[alice-new]\nsha256={OTHER_HASH}\nprincipal=alice\n")
    assert [told(auth, bearer(token)) for token in (TOKEN, OTHER)] == [None, None]
    write(path, f"[alice]\nsha256={OTHER_HASH}\n")
    assert [told(auth, bearer(token)) for token in (TOKEN, OTHER)] == [UNKNOWN, None]
    write(path, "[alice]\nsha256=\n")
    assert [told(auth, bearer(token)) for token in (TOKEN, OTHER)] == [UNKNOWN, None]
    assert "what it said before stays in force" in caplog.text


def test_a_file_of_hashes_may_be_read_by_all(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "tokens.ini"
    write(path, FILE)
    path.chmod(0o644)
    BearerTokens(str(path))
    assert caplog.messages == []


BAD_HASH = "tokens: a token's sha256 must be 64 hexadecimal digits, lower case"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("", "there is no section with a sha256", id="empty"),
        pytest.param(f"[a]\nsha256={TOKEN}\n", f"[a]: {BAD_HASH}", id="the token itself"),
        pytest.param(f"[a]\nsha256={HASH.upper()}\n", f"[a]: {BAD_HASH}", id="upper case"),
        pytest.param("[a]\nprincipal=b\n", f"[a]: {BAD_HASH}", id="no hash"),
        pytest.param(
            f"[a]\nsha256={HASH}\n[b]\nsha256={HASH}\n",
            "[b]: its sha256 is there twice",
            id="a token twice",
        ),
        pytest.param(
            f"[a]\nsha265={HASH}\n",
            "[a]: there is no key 'sha265'; did you mean 'sha256'?",
            id="slip of a key",
        ),
        pytest.param(f"[a]\nsha256={HASH}\nexpires=x\n", "[a]: expires='x'", id="expires"),
        pytest.param(f"[no name?]\nsha256={HASH}\n", "principal='no name?'", id="no user's name"),
        pytest.param(f"[a]\n{TOKEN}\n", "line 2: it must be", id="the token alone"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_and_no_token_told(
    tmp_path: Path, text: str, reason: str
) -> None:
    path = tmp_path / "tokens.ini"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        BearerTokens(path)
    assert str(refused.value).startswith(f"tokens {str(path)!r}: {reason}") or (
        f": {reason}" in str(refused.value)
    )
    assert TOKEN not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize(
    ("tokens", "reason"),
    [
        pytest.param({TOKEN: "alice"}, BAD_HASH, id="the token itself"),
        pytest.param({HASH.encode(): "alice"}, BAD_HASH, id="bytes"),
        pytest.param({HASH + "\n": "alice"}, BAD_HASH, id="end of line"),
        pytest.param({HASH: "no name?"}, "principal='no name?'", id="no user's name"),
        pytest.param({HASH: None}, "principal=None", id="nobody"),
        pytest.param([TOKEN], "tokens of type list: they must be a mapping or the", id="a list"),
        pytest.param(None, "tokens of type NoneType: they must be", id="nothing"),
    ],
)
def test_tokens_that_cannot_be_used_are_refused_and_no_token_told(tokens: Any, reason: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        BearerTokens(tokens)
    assert str(refused.value).startswith(reason)
    assert TOKEN not in str(refused.value)


# --- making -------------------------------------------------------------------------------------


def test_a_new_token_cannot_be_guessed() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(re.fullmatch("[0-9a-f]{64}", token) for token in tokens)


def test_a_hash_is_sha256_in_hexadecimal_digits() -> None:
    assert hash_of("token") == hashlib.sha256(b"token").hexdigest()


def test_no_token_is_kept() -> None:
    """Whoever reads the memory of a process finds those that are on their way alone."""
    auth = started(BearerTokens({HASH: "alice"}))
    assert told(auth, bearer(TOKEN)) is None
    assert TOKEN not in str(vars(auth))


# --- over HTTP ----------------------------------------------------------------------------------


def test_a_token_lets_its_owner_in(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "tokens.ini"
    write(path, FILE)
    functions = make_functions()
    app = InvokeAsyncMiddleware(None, functions, auth=f"bearer:///{path}", executor="inline:")
    client = Client(app)

    def status(authorization: str | None) -> int:
        headers = {"Authorization": authorization} if authorization else {}
        return client.request(
            "POST", "/2014-11-13/functions/f/invoke-async", b"{}", headers=headers
        ).status

    assert status(f"Bearer {TOKEN}") == 202
    assert [status(None), status("Bearer x"), status(f"Bearer {OTHER}")] == [403, 403, 403]
    assert len(caplog.messages) == 3
    assert TOKEN not in caplog.text
    assert OTHER not in caplog.text
