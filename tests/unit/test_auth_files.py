"""Files of keys, tokens and policies: read when they change, and never the cause of an outage."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from invokeasync_wsgi.auth.files import GRANT_KEYS, Grant, WatchedFile, parse_profiles
from invokeasync_wsgi.errors import ConfigurationError


class Parser:
    """Makes upper case of a file, and remembers what it was given."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, text: str) -> str:
        self.texts.append(text)
        if text.startswith("bad"):
            raise ConfigurationError("it is bad")
        return text.upper()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file.ini"
    write(path, "one")
    path.chmod(0o600)
    return path


def write(path: Path, text: str) -> None:
    """Write a file whose time is another than before, however fast this is."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(text)
    os.utime(path, ns=(before + 10**9, before + 10**9))


# --- watching -----------------------------------------------------------------------------------


def test_a_file_is_read_once_as_long_as_it_does_not_change(path: Path) -> None:
    parse = Parser()
    file = WatchedFile("tokens", path, parse)
    assert [file.get() for _ in range(3)] == ["ONE"] * 3
    assert parse.texts == ["one"]


def test_a_changed_file_is_read_again(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = WatchedFile("tokens", path, Parser())
    with caplog.at_level(logging.INFO):
        write(path, "two")
        assert [file.get(), file.get()] == ["TWO", "TWO"]
    assert caplog.messages == [f"tokens {path} was read again"]


def test_a_file_that_another_was_moved_over_is_read_again(path: Path, tmp_path: Path) -> None:
    """The way of secret managers and careful editors; here even time and size are the same."""
    file = WatchedFile("tokens", path, Parser())
    other = tmp_path / "new"
    other.write_text("two")
    status = path.stat()
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.replace(other, path)
    assert file.get() == "TWO"


def test_a_link_that_points_elsewhere_now_is_read_again(tmp_path: Path) -> None:
    """The way of Kubernetes."""
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
    link = tmp_path / "link"
    link.symlink_to("one")
    file = WatchedFile("tokens", link, Parser())
    link.unlink()
    link.symlink_to("two")
    assert file.get() == "TWO"


def test_a_file_whose_rights_have_changed_is_read_again(path: Path) -> None:
    """It may be that it could not be read before, and now can."""
    parse = Parser()
    file = WatchedFile("tokens", path, parse)
    path.chmod(0o640)
    file.get()
    assert parse.texts == ["one", "one"]


@pytest.mark.parametrize("how", ["refused", "no UTF-8", "deleted", "a directory"])
def test_a_file_that_makes_no_sense_any_more_leaves_what_it_said_in_force(
    path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A slip of an editor must not lock everybody out. It is told once, not for each request."""
    file = WatchedFile("tokens", path, Parser())
    if how == "refused":
        write(path, "bad")
    elif how == "no UTF-8":
        path.write_bytes(b"\xff\xfe longer")
    else:
        path.unlink()
    if how == "a directory":
        path.mkdir()
    assert [file.get() for _ in range(3)] == ["ONE"] * 3
    reason = {
        "refused": "it is bad",
        "no UTF-8": "it is not UTF-8",
        "deleted": "No such file or directory",
        "a directory": "Is a directory",
    }[how]
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("ERROR", f"tokens {str(path)!r}: {reason}; what it said before stays in force")
    ]


def test_a_file_that_makes_sense_again_is_in_force_again(path: Path) -> None:
    file = WatchedFile("tokens", path, Parser())
    write(path, "bad")
    assert file.get() == "ONE"
    path.unlink()
    assert file.get() == "ONE"
    write(path, "two")
    assert file.get() == "TWO"


@pytest.mark.parametrize("how", ["refused", "no UTF-8", "missing", "a directory"])
def test_a_file_that_makes_no_sense_at_the_start_is_refused(path: Path, how: str) -> None:
    if how == "refused":
        path.write_text("bad")
    elif how == "no UTF-8":
        path.write_bytes(b"\xff")
    else:
        path.unlink()
    if how == "a directory":
        path.mkdir()
    reason = {
        "refused": "it is bad",
        "no UTF-8": "it is not UTF-8",
        "missing": "No such file or directory",
        "a directory": "Is a directory",
    }[how]
    with pytest.raises(ConfigurationError) as refused:
        WatchedFile("tokens", path, Parser())
    assert str(refused.value) == f"tokens {str(path)!r}: {reason}"


def test_a_path_is_of_the_directory_at_the_start(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = WatchedFile("tokens", "file.ini", Parser())
    monkeypatch.chdir("/")
    write(path, "two")
    assert file.get() == "TWO"


def test_a_tilde_is_the_users_home(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert WatchedFile("tokens", "~/file.ini", Parser()).path == path


@pytest.mark.parametrize(
    ("mode", "is_told"), [(0o600, False), (0o640, False), (0o644, True), (0o604, True)]
)
def test_a_secret_that_every_user_can_read_is_told(
    path: Path, mode: int, is_told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    path.chmod(mode)
    WatchedFile("credentials", path, Parser(), is_secret=True)
    WatchedFile("policies", path, Parser())
    told = f"credentials {path}: every user of this machine can read it"
    assert caplog.messages == ([told] if is_told else [])


# --- profiles -----------------------------------------------------------------------------------

KNOWN = ("aws_access_key_id", "aws_secret_access_key", *GRANT_KEYS)


def profiles(text: str) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    parse_profiles(text, KNOWN, lambda name, profile: found.update({name: dict(profile)}))
    return found


def test_profiles_are_sections_with_keys_and_values() -> None:
    text = """
        # a comment
        [default]
        aws_access_key_id = AKID     ; another
        aws_secret_access_key=a%b#c;d = e

        [DEFAULT]
        region : eu-west-1
        [with space/and-slash]
    """
    text = "\n".join(line.strip() for line in text.splitlines())
    assert profiles(text) == {
        "default": {"aws_access_key_id": "AKID", "aws_secret_access_key": "a%b#c;d = e"},
        "DEFAULT": {"region": "eu-west-1"},
        "with space/and-slash": {},
    }


def test_keys_of_other_tools_are_left_alone() -> None:
    """AWS's own files have many."""
    text = "[default]\nregion=eu-west-1\noutput=json\nsource_profile=a\nrole_arn=b\nmfa_serial=c\n"
    assert set(profiles(text)["default"]) == {
        *("region", "output", "source_profile", "role_arn", "mfa_serial")
    }


@pytest.mark.parametrize(
    ("slip", "meant"),
    [
        ("aws_secret_acces_key", "aws_secret_access_key"),
        ("aws_secret_access_keys", "aws_secret_access_key"),
        ("aws_secret_key", "aws_secret_access_key"),
        ("aws_acces_key_id", "aws_access_key_id"),
        ("expire", "expires"),
        ("disable", "disabled"),
        ("principals", "principal"),
    ],
)
def test_a_key_that_looks_like_a_slip_is_refused(slip: str, meant: str) -> None:
    """Else a key would never expire, and nobody would know."""
    with pytest.raises(ConfigurationError) as refused:
        profiles(f"[alice]\n{slip} = secret\n")
    assert str(refused.value) == f"[alice]: there is no key {slip!r}; did you mean {meant!r}?"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("secret", "line 1: a [section] must come first", id="no section"),
        pytest.param(
            "[a]\nx=1\nsecret\nmore secret",
            "line 3, 4: it must be [section] or key = value",
            id="no key and value",
        ),
        pytest.param("[a]\nx=secret\n[a]\n", "line 3: [a] is there twice", id="a section twice"),
        pytest.param("[a]\nx=secret\nx=secret2\n", "line 3: [a] has 'x' twice", id="a key twice"),
        pytest.param("[a\nx=secret", "line 1: a [section] must come first", id="half a section"),
    ],
)
def test_what_is_no_ini_file_is_refused_without_quoting_it(text: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        profiles(text)
    assert str(refused.value) == told
    assert "secret" not in told
    # Neither in a traceback, which shows what stands behind an error.
    assert refused.value.__suppress_context__


def test_what_the_reader_refuses_is_told_with_its_section() -> None:
    def refuse(name: str, profile: object) -> None:
        raise ConfigurationError("it is bad")

    with pytest.raises(ConfigurationError, match=r"^\[alice\]: it is bad$"):
        parse_profiles("[alice]\n", KNOWN, refuse)


# --- grants -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("profile", "grant"),
    [
        pytest.param({}, Grant("alice", True, None), id="the section's name, for ever"),
        pytest.param({"principal": "bob"}, Grant("bob", True, None), id="another principal"),
        pytest.param({"disabled": "true"}, Grant("alice", False, None), id="disabled"),
        pytest.param({"disabled": "false"}, Grant("alice", True, None), id="not disabled"),
        *(
            pytest.param({"expires": text}, Grant("alice", True, 1798761599.0), id=text)
            for text in (
                "2026-12-31T23:59:59Z",
                "2026-12-31T23:59:59+00:00",
                "2027-01-01T00:59:59+01:00",
                "2026-12-31 23:59:59Z",
            )
        ),
    ],
)
def test_a_grant_is_whose_and_for_how_long(profile: dict[str, str], grant: Grant) -> None:
    assert Grant.of("alice", profile) == grant


@pytest.mark.parametrize("text", ["", "yes", "1", "on", "TRUE"])
def test_whether_it_is_disabled_is_true_or_false(text: str) -> None:
    """Whatever else might have been meant, it would have been in force."""
    with pytest.raises(ConfigurationError) as refused:
        Grant.of("alice", {"disabled": text})
    assert str(refused.value) == f"disabled={text!r}: it must be 'true' or 'false'"


@pytest.mark.parametrize(
    "text", ["", "never", "2026-12-31", "2026-12-31T23:59:59", "2026-02-30T00:00:00Z", "1798761599"]
)
def test_when_it_expires_is_a_moment_with_a_zone(text: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Grant.of("alice", {"expires": text})
    assert str(refused.value) == (
        f"expires={text!r}: it must be a moment such as '2026-12-31T23:59:59Z'"
    )
