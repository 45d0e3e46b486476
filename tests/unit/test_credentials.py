"""Access keys: where they come from, which are good, and that no secret gets out."""

from __future__ import annotations

import base64
import logging
import os
import pickle
import re
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from invokeasync_wsgi import Functions, InvokeAsyncMiddleware, Principal
from invokeasync_wsgi.auth.choices import make_authenticator
from invokeasync_wsgi.auth.credentials import Credential, from_environment, lookup, parse_file
from invokeasync_wsgi.auth.signatures import SigV4
from invokeasync_wsgi.auth.tokens import BearerTokens, Token, hash_of
from invokeasync_wsgi.config import Settings
from invokeasync_wsgi.errors import ConfigurationError
from invokeasync_wsgi.flask import InvokeAsync
from invokeasync_wsgi.testing import Client, FakeClock, Signer

from ..signing import (
    KEY_ID,
    NOW,
    SECRET,
    TOKEN,
    Sender,
    make_functions,
    make_request,
    refusal_of,
    started,
)

NEW_SECRET = "another/secret+access/key0123456789abcdef"

FILE = f"""
[alice]
aws_access_key_id = {KEY_ID}
aws_secret_access_key = {SECRET}

[alice-new]
aws_access_key_id = AKIDNEW
aws_secret_access_key = {NEW_SECRET}
principal = alice

[temporary]
aws_access_key_id = ASIATEMPORARY
aws_secret_access_key = {SECRET}
aws_session_token = {TOKEN}
principal = arn:aws:sts::123456789012:assumed-role/deploy/ci
expires = 2026-01-02T03:04:05Z

[gone]
aws_access_key_id = AKIDGONE
aws_secret_access_key = {SECRET}
disabled = true

[sso]
sso_session = elsewhere
region = eu-west-1
"""


def write(path: Path, text: str) -> None:
    """Write a file whose time is another than before, however fast this is."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(text)
    path.chmod(0o600)
    os.utime(path, ns=(before + 10**9, before + 10**9))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "credentials.ini"
    write(path, FILE)
    return path


# --- places -------------------------------------------------------------------------------------


def test_a_mapping_may_have_secrets_for_values() -> None:
    find = lookup({KEY_ID: SECRET})
    found = find(KEY_ID)
    assert found is not None
    assert (found.secret_access_key, found.owner) == (SECRET, Principal(KEY_ID))
    assert (found.session_token, found.is_enabled, found.expires_at) == (None, True, None)
    assert find("AKIDOTHER") is None


def test_a_mapping_may_have_credentials_for_values() -> None:
    credential = Credential(SECRET, Principal("alice", tags={"team": "a"}), session_token=TOKEN)
    assert lookup({KEY_ID: credential})(KEY_ID) is credential
    assert credential.owner.tags == {"team": "a"}


def test_a_mapping_is_taken_as_it_is_now() -> None:
    """A key that is added later was not checked."""
    given: dict[str, str | Credential] = {KEY_ID: SECRET}
    find = lookup(given)
    given["AKIDNEW"] = NEW_SECRET
    assert find("AKIDNEW") is None


def test_a_file_has_a_profile_for_each_key() -> None:
    found = parse_file(FILE)
    assert set(found) == {KEY_ID, "AKIDNEW", "ASIATEMPORARY", "AKIDGONE"}
    assert found[KEY_ID] == Credential(SECRET, "alice")
    assert found["AKIDNEW"] == Credential(NEW_SECRET, "alice")
    assert found["AKIDGONE"] == Credential(SECRET, "gone", is_enabled=False)
    assert found["ASIATEMPORARY"] == Credential(
        SECRET,
        "arn:aws:sts::123456789012:assumed-role/deploy/ci",
        session_token=TOKEN,
        expires_at=NOW,
    )


def test_a_file_may_be_awss_own(tmp_path: Path) -> None:
    """As `aws configure` writes it."""
    path = tmp_path / "credentials"
    write(path, f"[default]\naws_access_key_id = {KEY_ID}\naws_secret_access_key = {SECRET}\n")
    found = lookup(path)(KEY_ID)
    assert found == Credential(SECRET, "default")


def test_a_callable_is_asked_for_each_key() -> None:
    asked = []

    def find(access_key_id: str) -> Credential | None:
        asked.append(access_key_id)
        return Credential(SECRET, "alice") if access_key_id == KEY_ID else None

    auth = started(SigV4(find))
    assert auth.authenticate(make_request(Sender().environ())) == Principal("alice")
    error = refusal_of(auth, Sender("AKIDNOBODY").environ())
    assert error is not None
    assert error.code == "UnrecognizedClientException"
    assert asked == [KEY_ID, "AKIDNOBODY"]


def test_the_environment_has_one_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    assert from_environment() == {KEY_ID: Credential(SECRET, "default")}
    for auth in (SigV4.from_environment(), make_authenticator("sigv4:")):
        caller = started(auth).authenticate(make_request(Sender().environ()))
        assert caller == Principal("default")


@pytest.mark.parametrize(("text", "token"), [(TOKEN, TOKEN), ("", None)])
def test_the_environment_may_have_a_session_token(text: str, token: str | None) -> None:
    found = from_environment(
        {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": text}
    )
    assert found[KEY_ID].session_token == token


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"AWS_ACCESS_KEY_ID": KEY_ID},
        {"AWS_SECRET_ACCESS_KEY": SECRET},
        {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": SECRET},
        {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": ""},
    ],
)
def test_an_environment_without_a_key_is_refused(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError) as refused:
        from_environment(environ)
    assert str(refused.value) == (
        "credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be in the environment"
    )


# --- a file that changes ------------------------------------------------------------------------


def refusal(auth: Any, sender: Sender | None = None) -> str | None:
    error = refusal_of(auth, (sender or Sender()).environ())
    return None if error is None else error.code


def test_a_key_is_rotated_while_the_service_runs(path: Path) -> None:
    """The new one is handed out beside the old, the old one disabled, then removed."""
    auth = started(SigV4(path))
    new = Sender("AKIDNEW", secret=NEW_SECRET)
    for sender in (Sender(), new):
        assert auth.authenticate(make_request(sender.environ())) == Principal("alice")
    write(path, FILE.replace("[alice]\n", "[alice]\ndisabled = true\n"))
    assert (refusal(auth), refusal(auth, new)) == ("UnrecognizedClientException", None)
    write(path, "[alice]\n" + FILE.partition("[alice-new]")[2])
    assert (refusal(auth), refusal(auth, new)) == ("UnrecognizedClientException", None)


def test_a_file_that_is_moved_over_the_old_one_is_in_force(path: Path, tmp_path: Path) -> None:
    auth = started(SigV4(str(path)))
    other = tmp_path / "new"
    write(other, FILE.replace(SECRET, NEW_SECRET))
    os.replace(other, path)
    assert refusal(auth) == "InvalidSignatureException"
    assert refusal(auth, Sender(secret=NEW_SECRET)) is None


def test_a_slip_of_an_editor_locks_nobody_out(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    auth = started(SigV4(path))
    write(path, FILE.replace("aws_secret_access_key =", "aws_secret_access_key"))
    assert (refusal(auth), refusal(auth)) == (None, None)
    [record] = caplog.records
    assert record.levelname == "ERROR"
    assert record.getMessage().startswith(f"credentials {str(path)!r}: line ")
    assert SECRET not in caplog.text


def test_a_file_that_every_user_can_read_is_told(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.chmod(0o644)
    SigV4(path)
    assert caplog.messages == [f"credentials {path}: every user of this machine can read it"]


# --- what is refused ----------------------------------------------------------------------------

KEY = f"aws_access_key_id={KEY_ID}\n"
VALUE = f"aws_secret_access_key={SECRET}\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("", "there is no profile with an aws_access_key_id", id="empty"),
        pytest.param("[a]\nregion=x\n", "there is no profile with an", id="other tools' alone"),
        pytest.param(f"[a]\n{VALUE}", "there is no profile with an", id="no id"),
        pytest.param(
            f"[a]\n{KEY}",
            "[a]: credentials: a secret access key must have 16 characters or more",
            id="no secret",
        ),
        pytest.param(f"[a]\n{KEY}aws_secret_access_key=short\n", "16 characters", id="short"),
        pytest.param(
            f"[a]\n{KEY}{VALUE}[b]\n{KEY}{VALUE}",
            f"[b]: the key {KEY_ID!r} is there twice",
            id="a key twice",
        ),
        pytest.param(f"[a]\n{KEY}{VALUE}[a]\n{KEY}{VALUE}", "[a] is there twice", id="a profile"),
        pytest.param(
            f"[a]\n{KEY}aws_secret_key={SECRET}\n",
            "[a]: there is no key 'aws_secret_key'; did you mean 'aws_secret_access_key'?",
            id="slip of a key",
        ),
        pytest.param(f"[a]\n{KEY}{VALUE}expires=2026\n", "[a]: expires='2026'", id="expires"),
        pytest.param(f"[a]\n{KEY}{VALUE}disabled=no\n", "[a]: disabled='no'", id="disabled"),
        pytest.param(f"[no name?]\n{KEY}{VALUE}", "principal='no name?'", id="no user's name"),
        pytest.param(
            f"[a]\n{KEY}{VALUE}principal=\n", "principal='': it must be", id="no principal"
        ),
        pytest.param(
            f"[a]\naws_access_key_id={SECRET}\naws_secret_access_key={KEY_ID}{KEY_ID}\n",
            "letters, digits, '-', '_' and '.'",
            id="secret and id in each other's place",
        ),
        pytest.param(f"[a]\naws_access_key_id=\n{VALUE}", "1 to 128 letters", id="empty id"),
        pytest.param(f"{KEY}{VALUE}", "line 1: a [section] must come first", id="no profile"),
        pytest.param(f"[a]\n{KEY}{SECRET}\n", "line 3: it must be", id="the secret alone"),
        pytest.param(f"[a]\n{KEY}{VALUE}{VALUE}", "has 'aws_secret_access_key' twice", id="twice"),
        pytest.param("[a]\n\xff", None, id="latin-1"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_and_no_secret_told(
    tmp_path: Path, text: str, told: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "credentials.ini"
    path.write_bytes(text.encode("latin-1"))
    path.chmod(0o600)
    with pytest.raises(ConfigurationError) as refused:
        SigV4(path)
    assert str(refused.value).startswith(f"credentials {str(path)!r}: ")
    assert told is None or told in str(refused.value)
    shown = "".join(traceback.format_exception(refused.value))
    assert SECRET not in shown
    assert SECRET not in caplog.text


SHORT = "a secret access key must have 16 characters or more"


@pytest.mark.parametrize(
    ("credentials", "told"),
    [
        pytest.param({KEY_ID: "0123456789abcde"}, SHORT, id="15 characters"),
        pytest.param({KEY_ID: ""}, SHORT, id="no secret"),
        pytest.param({KEY_ID: None}, SHORT, id="None"),
        pytest.param({KEY_ID: SECRET.encode()}, SHORT, id="bytes"),
        pytest.param({KEY_ID: (KEY_ID, SECRET)}, SHORT, id="a pair"),
        pytest.param({SECRET: KEY_ID * 2}, "must have 1 to 128 letters", id="the wrong way round"),
        pytest.param({"": SECRET}, "an access key id must", id="empty id"),
        pytest.param({"a" * 129: SECRET}, "1 to 128", id="long id"),
        pytest.param({"AKID/x": SECRET}, "must have 1 to 128 letters", id="slash"),
        pytest.param({"AKID\n": SECRET}, "must have 1 to 128 letters", id="end of line"),
        pytest.param({"\xe9": SECRET}, "must have 1 to 128 letters", id="no ASCII"),
        pytest.param({7: SECRET}, "must have 1 to 128 letters", id="a number"),
        pytest.param([(KEY_ID, SECRET)], "credentials of type list: they must be", id="a list"),
        pytest.param(None, "credentials of type NoneType: they must be", id="nothing"),
        pytest.param((KEY_ID, SECRET), "credentials of type tuple: they must be", id="a tuple"),
        pytest.param(SECRET.encode(), "credentials of type bytes: they must be", id="bytes alone"),
    ],
)
def test_credentials_that_cannot_be_used_are_refused_and_no_secret_told(
    credentials: Any, told: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        SigV4(credentials)
    assert told in str(refused.value)
    assert SECRET not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: Credential(SECRET, "no name?"), id="principal"),
        pytest.param(lambda: Credential(SECRET, ""), id="empty principal"),
        pytest.param(lambda: Credential(SECRET, None), id="no principal"),  # type: ignore[arg-type]
        pytest.param(
            lambda: Credential(SECRET, "a", session_token=b"x"),  # type: ignore[arg-type]
            id="session token",
        ),
    ],
)
def test_a_credential_that_exists_is_legal(make: Callable[[], Credential]) -> None:
    with pytest.raises(ConfigurationError) as refused:
        make()
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("length", [16, 40, 1000])
def test_a_secret_has_16_characters_or_more(length: int) -> None:
    auth = started(SigV4({KEY_ID: "s" * length}))
    assert refusal(auth, Sender(secret="s" * length)) is None


# --- secrets ------------------------------------------------------------------------------------

BEARER = "bearer-token-0123456789"
#: Ways in which a secret may be written.
SPELLINGS = {SECRET, TOKEN, BEARER, base64.b64encode(SECRET.encode()).decode()}


def with_secrets() -> dict[str, object]:
    """Every object that knows a secret, by what it is."""
    credential = Credential(SECRET, "alice", session_token=TOKEN)
    auth = started(SigV4({KEY_ID: credential}, replays="memory"))
    assert refusal(auth, Sender(token=TOKEN)) is None  # with a derived key that is kept
    functions = make_functions()
    settings = Settings(auth=auth)
    middleware = InvokeAsyncMiddleware(None, functions, auth=auth, executor="inline:")
    signer = Signer(KEY_ID, SECRET, TOKEN)
    app = Flask(__name__)
    app.config["INVOKEASYNC_AUTH"] = SigV4({KEY_ID: credential})
    InvokeAsync(functions=functions).init_app(app)
    environ = Sender(token=TOKEN).environ()
    return {
        "Credential": credential,
        "a mapping of them": {KEY_ID: credential},
        "SigV4": auth,
        "Settings": settings,
        "the middleware": middleware,
        "its service": middleware.service,
        "the Flask extension": app.extensions,
        "app.config": dict(app.config),
        "Signer": signer,
        "Client": Client(middleware, signer=signer),
        "BearerTokens": BearerTokens({hash_of(BEARER): "alice"}),
        "Principal": auth.authenticate(make_request(Sender(token=TOKEN, now=NOW + 1).environ())),
        "refusal": refusal_of(auth, {**environ, "HTTP_X_AMZ_DATE": "20260102T030406Z"}),
        "the refusal of a token": refusal_of(
            BearerTokens({hash_of("x" * 20): "alice"}), {"HTTP_AUTHORIZATION": f"Bearer {BEARER}"}
        ),
    }


@pytest.mark.parametrize("what", list(with_secrets()))
@pytest.mark.parametrize("show", [repr, str, "{}".format], ids=["repr", "str", "format"])
def test_nothing_that_knows_a_secret_shows_it(what: str, show: Callable[[object], str]) -> None:
    shown = show(with_secrets()[what])
    assert not [secret for secret in SPELLINGS if secret in shown]


def test_a_refusal_on_its_way_to_another_process_has_no_secret() -> None:
    auth = started(SigV4({KEY_ID: SECRET}))
    error = refusal_of(auth, Sender(secret="x" * 40).environ())
    assert SECRET.encode() not in pickle.dumps(error)


@pytest.mark.parametrize(
    ("terms", "told"),
    [
        pytest.param({"is_enabled": "false"}, "is_enabled='false': it must be True or", id="text"),
        pytest.param({"is_enabled": 0}, "is_enabled=0: it must be True or False", id="number"),
        pytest.param({"expires_at": "2020"}, "expires_at='2020': it must be seconds", id="year"),
        pytest.param({"expires_at": float("nan")}, "expires_at=nan: it must be", id="no number"),
        pytest.param({"expires_at": float("inf")}, "expires_at=inf: it must be", id="never"),
        pytest.param({"expires_at": True}, "expires_at=True: it must be seconds", id="flag"),
    ],
)
def test_what_could_make_a_key_good_forever_is_refused(terms: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(f"credentials: {told}")):
        Credential(SECRET, "alice", **terms)
    with pytest.raises(ConfigurationError, match=re.escape(f"tokens: {told}")):
        Token("alice", **terms)


def test_a_key_id_is_not_taken_for_its_secret() -> None:
    """As it would be with the order of arguments that most have; the id is no secret."""
    with pytest.raises(ConfigurationError, match="and not the id of a key") as refused:
        Credential("AKIAIOSFODNN7EXAMPLE", SECRET)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("access_key_id", ["A\0B", "A\nB", "a" * 129, "A'--", "\xe9"])
def test_a_callable_is_asked_only_for_what_can_be_a_key(access_key_id: str) -> None:
    """It may be a database that strangers should not speak to."""
    asked: list[str] = []
    find = lookup(lambda key_id: asked.append(key_id))
    assert find(access_key_id) is None
    assert asked == []
    assert find("AKID-1.x_") is None
    assert asked == ["AKID-1.x_"]


def test_a_callable_that_gives_something_else_lets_nobody_in() -> None:
    find = lookup(lambda key_id: {"secret": SECRET})  # type: ignore[arg-type, return-value]
    with pytest.raises(TypeError, match="gave a dict; it must give a Credential or None") as raised:
        find(KEY_ID)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    "auth",
    [
        pytest.param({KEY_ID: SECRET}, id="the keys themselves"),
        pytest.param((KEY_ID, SECRET), id="a pair"),
        pytest.param(Credential(SECRET, "alice"), id="a credential"),
    ],
)
def test_keys_that_were_given_for_an_authenticator_are_not_told(auth: Any) -> None:
    """An error at the start goes to logs that many read."""
    with pytest.raises(ConfigurationError, match=r"^auth=") as refused:
        InvokeAsyncMiddleware(None, Functions(), auth=auth)
    assert SECRET not in str(refused.value)


def test_the_log_of_a_service_at_its_most_talkative_has_no_secret(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        clock = FakeClock(NOW)
        app = InvokeAsyncMiddleware(
            None, make_functions(), auth=f"sigv4:///{path}", executor="inline:", clock=clock
        )
        good = Signer(KEY_ID, SECRET, clock=clock)
        for signer in (
            good,
            Signer("AKIDNOBODY", SECRET, clock=clock),
            Signer(KEY_ID, NEW_SECRET, clock=clock),
            Signer("ASIATEMPORARY", SECRET, TOKEN, clock=clock),
        ):
            Client(app, signer=signer).invoke_async("f", b"{}")
        write(path, f"{FILE}\n{SECRET}\n")
        Client(app, signer=good).invoke_async("f", b"{}")
    assert len(caplog.records) >= 4
    for secret in (SECRET, NEW_SECRET, TOKEN):
        assert secret not in caplog.text
