"""Which authenticator a setting means, and what is said of one that means none."""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from invokeasync_wsgi import Functions, InvokeAsyncMiddleware, Principal
from invokeasync_wsgi.auth.choices import make_authenticator
from invokeasync_wsgi.auth.signatures import SigV4
from invokeasync_wsgi.auth.tokens import BearerTokens, hash_of
from invokeasync_wsgi.config import Settings
from invokeasync_wsgi.errors import ConfigurationError
from invokeasync_wsgi.flask import InvokeAsync
from invokeasync_wsgi.testing import Client, FakeClock, Signer

from ..signing import KEY_ID, NOW, SECRET, Sender, make_functions, make_request, started


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current directory with keys and tokens."""
    keys = tmp_path / "keys.ini"
    keys.write_text(f"[alice]\naws_access_key_id={KEY_ID}\naws_secret_access_key={SECRET}\n")
    keys.chmod(0o600)
    (tmp_path / "with blank.ini").write_text(keys.read_text())
    (tmp_path / "with blank.ini").chmod(0o600)
    (tmp_path / "tokens.ini").write_text(f"[alice]\nsha256={hash_of('token')}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    return tmp_path


SIGNED = Sender().environ()
BEARER = {"HTTP_AUTHORIZATION": "Bearer token"}


@pytest.mark.parametrize(
    ("setting", "kind", "environ"),
    [
        pytest.param("sigv4:///keys.ini", SigV4, SIGNED, id="keys"),
        pytest.param("sigv4:///with%20blank.ini", SigV4, SIGNED, id="keys, a blank"),
        pytest.param("sigv4:///keys.ini?replays=memory", SigV4, SIGNED, id="keys, an option"),
        pytest.param("bearer:///tokens.ini", BearerTokens, BEARER, id="tokens"),
    ],
)
def test_a_url_names_a_kind_and_a_file(
    setting: str, kind: type[Any], environ: dict[str, str]
) -> None:
    authenticator = make_authenticator(setting)
    assert type(authenticator) is kind
    assert started(authenticator).authenticate(make_request(environ)) == Principal("alice")


def test_four_slashes_are_a_path_from_the_root(folder: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir("/")
    for setting, environ in (
        (f"sigv4:///{folder}/keys.ini", SIGNED),
        (f"bearer:///{folder}/tokens.ini", BEARER),
    ):
        authenticator = started(make_authenticator(setting))
        assert authenticator.authenticate(make_request(environ)) == Principal("alice")


@pytest.mark.parametrize("setting", ["sigv4:", "sigv4", "sigv4:?clock_skew_s=60"])
def test_without_a_file_the_key_is_in_the_environment(
    setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    authenticator = started(make_authenticator(setting))
    assert authenticator.authenticate(make_request(SIGNED)) == Principal("default")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(ConfigurationError, match="must be in the environment"):
        make_authenticator(setting)


@pytest.mark.parametrize("setting", ["nobody", "nobody:"])
def test_nobody_has_no_keys(setting: str) -> None:
    assert isinstance(make_authenticator(setting), SigV4)


def test_none_is_no_authenticator() -> None:
    assert make_authenticator("none") is None


def test_an_authenticator_is_taken_as_it_is() -> None:
    authenticator = SigV4({KEY_ID: SECRET})
    assert make_authenticator(authenticator) is authenticator


# --- modules ------------------------------------------------------------------------------------


@pytest.fixture
def module(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module with authenticators."""
    name = "site_of_authenticators"
    code = """
        class Own:
            def __init__(self, name="alice"):
                self.name = name

            def start(self, settings, clock):
                pass

            def authenticate(self, request):
                return self.name

        made = Own("made")

        def make():
            return Own("by a function")

        class holder:
            inner = Own("inner")

        class NoAuthenticator:
            pass

        def fail():
            raise ValueError("as it must")

        number = 7
        text = "none"
        nothing = None
    """
    (folder / f"{name}.py").write_text(textwrap.dedent(code))
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, name, raising=False)
    return name


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("made", "made"),
        ("Own", "alice"),
        ("make", "by a function"),
        ("holder.inner", "inner"),
    ],
)
def test_a_module_has_an_authenticator_or_what_makes_one(
    module: str, reference: str, name: str
) -> None:
    authenticator: Any = make_authenticator(f"python:{module}:{reference}")
    assert authenticator.name == name


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        pytest.param("nowhere", "has no attribute 'nowhere'", id="no such name"),
        pytest.param("holder.nowhere", "has no attribute 'nowhere'", id="no such inner name"),
        pytest.param("", "auth='python:", id="no name"),
        pytest.param("number", "an authenticator", id="a number"),
        pytest.param("nothing", "an authenticator", id="None"),
        pytest.param("text", "it is a text, and no authenticator", id="another setting"),
        pytest.param("NoAuthenticator", "an authenticator", id="another class"),
    ],
)
def test_what_is_no_authenticator_in_a_module_is_refused(
    module: str, reference: str, text: str
) -> None:
    with pytest.raises(ConfigurationError, match=r"^auth=") as refused:
        make_authenticator(f"python:{module}:{reference}")
    assert text in str(refused.value)


@pytest.mark.parametrize(
    "setting", ["python:no_such_module:name", "python:", "python::", "python:..x:y", "python:a b"]
)
def test_what_is_no_module_is_refused(setting: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^auth={re.escape(repr(setting))}: "):
        make_authenticator(setting)


def test_what_goes_wrong_in_a_module_is_shown_as_it_is(module: str) -> None:
    with pytest.raises(ValueError, match="as it must") as raised:
        make_authenticator(f"python:{module}:fail")
    assert not isinstance(raised.value, ConfigurationError)


# --- what is refused ----------------------------------------------------------------------------

FORM = "its form is 'sigv4:///credentials.ini', 'bearer:///tokens.ini', 'nobody' or 'none'"


@pytest.mark.parametrize(
    ("setting", "texts"),
    [
        ("sigv5:///keys.ini", [FORM, "there is no auth 'sigv5'; did you mean 'sigv4'?"]),
        ("basic", [FORM, "there are: bearer, nobody, sigv4"]),
        ("None", ["there is no auth"]),
        ("off", ["there is no auth"]),
        ("none:", ["auth='none:'"]),
        ("sigv4://keys.ini", [FORM]),
        ("sigv4:keys.ini", [FORM]),
        ("sigv4:/keys.ini", [FORM]),
        ("sigv4:///", [FORM]),
        ("sigv4:///keys.ini#x", [FORM]),
        ("bearer:", [FORM]),
        ("bearer", [FORM]),
        ("bearer:tokens.ini", [FORM]),
        ("nobody:///x", [FORM]),
        ("sigv4:///missing.ini", ["credentials '", "missing.ini': No such file or directory"]),
        ("bearer:///missing.ini", ["tokens '", "missing.ini': No such file or directory"]),
        ("sigv4:///tokens.ini", ["there is no profile with an aws_access_key_id"]),
        ("bearer:///keys.ini", ["a token's sha256 must be 64 hexadecimal digits"]),
        ("sigv4:///keys.ini?clock_skew=1", ["there is no option 'clock_skew'; did you mean 'clo"]),
        ("sigv4:///keys.ini?clock_skew_s=x", ["clock_skew_s='x': it must be a number"]),
        ("sigv4:///keys.ini?clock_skew_s=0", ["clock_skew_s=0.0: it must be 1 to 3600 seconds"]),
        ("sigv4:///keys.ini?clock_skew_s=60&clock_skew_s=61", ["clock_skew_s is given twice"]),
        ("sigv4:///keys.ini?unsigned_payload=x", ["'never' or 'tls' or 'always'"]),
        ("sigv4:///keys.ini?public_hosts=", ["public_hosts=('',): it must be at most 8 host"]),
        ("sigv4:///keys.ini?public_prefix=x", ["public_prefix='x': it must be a path such as"]),
        ("sigv4:///keys.ini?proxy_decodes_path=2", ["it must be 'true' or 'false'"]),
        ("sigv4:///keys.ini?replays=redis", ["replays='redis': it must be 'memory' or 'sqlite:"]),
        ("sigv4:///keys.ini?max_replays=x", ["max_replays='x': it must be a number"]),
        ("sigv4:///keys.ini?max_replays=0", ["max_replays=0: it must be"]),
        ("bearer:///tokens.ini?clock_skew_s=60", ["there is no option 'clock_skew_s'"]),
        ("nobody:?x=1", ["there is no option 'x'"]),
    ],
)
def test_a_setting_that_means_nothing_is_told_what_it_may_be(
    setting: str, texts: list[str]
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        make_authenticator(setting)
    for text in texts:
        assert text in str(refused.value)


@pytest.mark.parametrize("setting", [7, b"none", object(), SigV4, ["none"], lambda request: None])
def test_what_is_neither_text_nor_an_authenticator_is_refused(setting: object) -> None:
    with pytest.raises(ConfigurationError, match=r"^auth=.*an authenticator"):
        make_authenticator(setting)


# --- where it is said ---------------------------------------------------------------------------


@pytest.mark.parametrize("auth", [None, "", "sigv5:", 7])
def test_no_service_is_made_without_an_authenticator(auth: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^auth="):
        InvokeAsyncMiddleware(None, Functions(), auth=auth)


def test_the_error_of_a_service_without_one_names_the_choices() -> None:
    with pytest.raises(ConfigurationError) as refused:
        InvokeAsyncMiddleware(None, Functions())
    for choice in ("sigv4:///", "bearer:///", "'nobody'", "'none'", "--auth", "INVOKEASYNC_AUTH"):
        assert choice in str(refused.value)


@pytest.mark.parametrize("where", ["argument", "config", "environment"])
def test_flask_takes_it_from_anywhere(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    auth = "sigv4:///keys.ini"
    app = Flask("site")
    extension = InvokeAsync(functions=make_functions(), clock=FakeClock(NOW))
    if where == "config":
        app.config["INVOKEASYNC_AUTH"] = auth
    elif where == "environment":
        monkeypatch.setenv("INVOKEASYNC_AUTH", auth)
    extension.init_app(app, **({"auth": auth} if where == "argument" else {}), executor="inline:")
    client = Client(app.wsgi_app, signer=Signer(KEY_ID, SECRET, clock=FakeClock(NOW)))
    assert client.invoke_async("f", b"{}").status == 202
    assert Client(app.wsgi_app).invoke_async("f", b"{}").status == 403
    assert SECRET not in str(app.config)


def test_flask_needs_to_be_told() -> None:
    with pytest.raises(ConfigurationError, match=r"^auth=None"):
        InvokeAsync(Flask("site"))


def test_settings_show_no_more_of_it_than_what_it_is() -> None:
    assert "auth=<SigV4>" in repr(Settings(auth=SigV4({KEY_ID: SECRET})))
