"""Used signatures: none is good twice, in one process or in several."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from invokeasync_wsgi import InvokeAsyncMiddleware
from invokeasync_wsgi.auth import replays
from invokeasync_wsgi.auth.replays import FileReplays, Full, MemoryReplays, Replays, make_replays
from invokeasync_wsgi.auth.signatures import SigV4
from invokeasync_wsgi.errors import ConfigurationError, StoreError
from invokeasync_wsgi.testing import Client, FakeClock, Signer

from ..signing import KEY_ID, NOW, SECRET, Sender, make_functions, refusal_of, started

Make = Callable[[int], Replays]


def signature(number: int) -> str:
    return f"{number:064x}"


@pytest.fixture(params=["memory", "file"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Makes a memory of a capacity. Those in a file share it."""
    if request.param == "memory":
        return MemoryReplays
    return lambda capacity: FileReplays(tmp_path / "replays.db", capacity)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "replays.db"


@pytest.fixture(autouse=True)
def _close_files(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What a process opens once stays open to its end; tests end sooner."""
    opened: list[sqlite3.Connection] = []
    original = replays._open

    def opening(path: Path) -> sqlite3.Connection:
        opened.append(original(path))
        return opened[-1]

    monkeypatch.setattr(replays, "_open", opening)
    yield
    for connection in opened:
        connection.close()


# --- what each remembers ------------------------------------------------------------------------


def test_a_signature_is_new_once(make: Make) -> None:
    memory = make(10)
    assert memory.is_new(signature(1), now=NOW, until=NOW + 300)
    assert not memory.is_new(signature(1), now=NOW, until=NOW + 300)
    assert not memory.is_new(signature(1), now=NOW + 300, until=NOW + 300)
    assert memory.is_new(signature(2), now=NOW, until=NOW + 300)


def is_good(memory: Replays, number: int, *, now: float, until: float) -> bool:
    """Whether a signature is let through. A full memory may not even look for it."""
    try:
        return memory.is_new(signature(number), now=now, until=until)
    except Full:
        return False


def test_it_is_remembered_to_the_last_moment_that_it_is_good_for(make: Make) -> None:
    """Also where there is no room for another."""
    memory = make(1)
    assert is_good(memory, 1, now=NOW, until=NOW + 300)
    for later in (0, 300):
        assert not is_good(memory, 1, now=NOW + later, until=NOW + 300)


def test_what_is_too_old_makes_room(make: Make) -> None:
    memory = make(2)
    assert is_good(memory, 1, now=NOW, until=NOW + 10)
    assert is_good(memory, 2, now=NOW, until=NOW + 20)
    assert is_good(memory, 3, now=NOW + 10.5, until=NOW + 300)
    assert not is_good(memory, 2, now=NOW + 10.5, until=NOW + 20)


@pytest.mark.parametrize("capacity", [1, 3, 300])
def test_beyond_its_capacity_it_is_full(make: Make, capacity: int) -> None:
    """And stays so until some are too old: what it cannot remember it must not let through."""
    memory = make(capacity)
    for number in range(capacity):
        assert memory.is_new(signature(number), now=NOW, until=NOW + 300)
    refused = 0
    for number in range(capacity, capacity + 600):
        try:
            memory.is_new(signature(number), now=NOW, until=NOW + 300)
        except Full:
            refused += 1
    # Several processes may each be over by as many as are not counted each time.
    assert refused >= 600 - 256
    with pytest.raises(Full):
        memory.is_new(signature(10_000), now=NOW + 300, until=NOW + 600)
    assert memory.is_new(signature(10_001), now=NOW + 301, until=NOW + 600)


def test_of_many_threads_one_is_the_first(make: Make) -> None:
    memory = make(1000)
    start = threading.Barrier(8)
    new: list[int] = []

    def race() -> None:
        start.wait(10)
        new.extend(
            number
            for number in range(50)
            if memory.is_new(signature(number), now=NOW, until=NOW + 300)
        )

    threads = [threading.Thread(target=race) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(new) == list(range(50))


# --- files --------------------------------------------------------------------------------------


def test_processes_with_one_file_share_what_they_remember(path: Path) -> None:
    one, other = FileReplays(path, 10), FileReplays(path, 10)
    assert one.is_new(signature(1), now=NOW, until=NOW + 300)
    assert not other.is_new(signature(1), now=NOW, until=NOW + 300)
    assert other.is_new(signature(2), now=NOW, until=NOW + 300)
    assert not one.is_new(signature(2), now=NOW, until=NOW + 300)


def test_a_file_outlives_its_process(path: Path) -> None:
    assert FileReplays(path, 10).is_new(signature(1), now=NOW, until=NOW + 300)
    assert not FileReplays(path, 10).is_new(signature(1), now=NOW, until=NOW + 300)
    assert FileReplays(path, 10).is_new(signature(1), now=NOW + 301, until=NOW + 600)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_opens_the_file_anew(path: Path) -> None:
    memory = FileReplays(path, 10)
    assert memory.is_new(signature(1), now=NOW, until=NOW + 300)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            is_known = not memory.is_new(signature(1), now=NOW, until=NOW + 300)
            status = 0 if is_known and memory.is_new(signature(2), now=NOW, until=NOW + 300) else 1
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    assert not memory.is_new(signature(2), now=NOW, until=NOW + 300)


def test_the_file_is_opened_at_its_first_use(path: Path) -> None:
    """Services are made before their processes are forked."""
    memory = FileReplays(path, 10)
    assert not path.exists()
    memory.is_new(signature(1), now=NOW, until=NOW + 300)
    assert path.exists()


def test_nobody_else_may_read_or_write_the_file(path: Path) -> None:
    FileReplays(path, 10).is_new(signature(1), now=NOW, until=NOW + 300)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_database_of_something_else_is_not_touched(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE events (id)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    memory = FileReplays(path, 10)
    for _ in range(2):
        with pytest.raises(StoreError) as refused:
            memory.is_new(signature(1), now=NOW, until=NOW + 300)
        assert str(refused.value) == f"{path}: it holds something else than used signatures"
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"no database" * 100, None], ids=["text", "a directory"])
def test_a_file_that_is_no_database_is_refused(path: Path, content: bytes | None) -> None:
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(StoreError, match=f"^{path}: it cannot be "):
        FileReplays(path, 10).is_new(signature(1), now=NOW, until=NOW + 300)


def test_a_file_that_breaks_later_is_told_as_one_that_cannot_be_used(path: Path) -> None:
    memory = FileReplays(path, 10)
    assert memory.is_new(signature(1), now=NOW, until=NOW + 300)
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE signature")
    connection.close()
    with pytest.raises(StoreError, match=f"^{path}: it cannot be used: "):
        memory.is_new(signature(1), now=NOW, until=NOW + 300)


def test_a_file_in_no_directory_is_refused_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "replays.db"
    with pytest.raises(ConfigurationError) as refused:
        FileReplays(path, 10)
    assert str(refused.value) == (
        f"replays={str(path)!r}: there is no directory {str(path.parent)!r}"
    )


# --- the setting --------------------------------------------------------------------------------


def test_what_the_setting_means(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert make_replays(None, 10) is None
    assert isinstance(make_replays("memory", 10), MemoryReplays)
    for setting in ("sqlite:///replays.db", f"sqlite:///{tmp_path}/replays.db"):
        memory = make_replays(setting, 10)
        assert isinstance(memory, FileReplays)
        assert memory._path == tmp_path / "replays.db"


@pytest.mark.parametrize(
    "setting", ["", "none", "Memory", "memory:", "sqlite:", "sqlite:///", "sqlite://x", "r.db"]
)
def test_a_setting_that_means_nothing_is_refused(setting: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        make_replays(setting, 10)
    assert str(refused.value) == (
        f"replays={setting!r}: it must be 'memory' or 'sqlite:///' and the path of a file"
    )


# --- requests -----------------------------------------------------------------------------------

USED = ("InvalidSignatureException", "The signature has been used already.")


def told(auth: Any, environ: dict[str, Any], *, now: float = NOW) -> tuple[str, str | None] | None:
    error = refusal_of(auth, environ, now=now)
    return None if error is None else (error.code, error.message)


@pytest.fixture(params=["memory", "sqlite"])
def setting(request: pytest.FixtureRequest, path: Path) -> str:
    return "memory" if request.param == "memory" else f"sqlite:///{path}"


@pytest.mark.parametrize("form", ["header", "URL"])
def test_a_request_is_good_once(setting: str, form: str) -> None:
    auth = started(SigV4({KEY_ID: SECRET}, replays=setting))
    sender = Sender(expires="3600")
    environ = sender.environ() if form == "header" else sender.presigned_environ()
    assert told(auth, environ) is None
    for later in (0, 1, 300):
        assert told(auth, environ, now=NOW + later) == USED
    # With headers that are not signed, and in other words that mean the same.
    assert told(auth, {**environ, "HTTP_USER_AGENT": "other"}) == USED


def test_a_request_that_is_too_old_is_told_so(setting: str) -> None:
    """It need not be remembered then."""
    auth = started(SigV4({KEY_ID: SECRET}, replays=setting))
    environ = Sender().environ()
    assert told(auth, environ) is None
    answer = told(auth, environ, now=NOW + 301)
    assert answer is not None
    assert answer[1] is not None
    assert answer[1].startswith("Signature expired: ")


def test_a_request_from_the_future_is_remembered_until_it_is_too_old(setting: str) -> None:
    auth = started(SigV4({KEY_ID: SECRET}, replays=setting))
    environ = Sender(now=NOW + 300).environ()
    assert told(auth, environ) is None
    assert told(auth, environ, now=NOW + 600) == USED


def test_a_request_that_was_refused_is_not_remembered(setting: str) -> None:
    """Else a stranger could fill the memory, or use a signature up before its owner does."""
    auth = started(SigV4({KEY_ID: SECRET}, replays=setting, max_replays=1))
    environ = Sender().environ(headers={"X-Amz-Invocation-Type": "Event"})
    for _ in range(3):
        assert told(auth, {**environ, "HTTP_X_AMZ_INVOCATION_TYPE": "DryRun"}) is not None
        assert told(auth, Sender(secret="x" * 40).environ()) is not None
    assert told(auth, environ) is None


def test_without_the_option_a_request_is_good_again() -> None:
    """As it is with AWS; boto3 may send two equal requests within a second."""
    auth = started(SigV4({KEY_ID: SECRET}))
    environ = Sender().environ()
    assert [told(auth, environ), told(auth, environ)] == [None, None]


def test_a_full_memory_is_429_until_some_are_too_old(setting: str) -> None:
    clock = FakeClock(NOW)
    functions = make_functions()
    auth = SigV4({KEY_ID: SECRET}, replays=setting, max_replays=2)
    app = InvokeAsyncMiddleware(None, functions, auth=auth, executor="inline:", clock=clock)
    client = Client(app, signer=Signer(KEY_ID, SECRET, clock=clock))
    assert [client.invoke_async("f", body).status for body in (b"1", b"2")] == [202, 202]
    answer = client.invoke_async("f", b"3")
    for number in range(4, 4 + 256):  # a file is not counted each time
        if answer.status == 429:
            break
        answer = client.invoke_async("f", str(number).encode())
    assert (answer.status, answer.headers["x-amzn-errortype"]) == (429, "TooManyRequestsException")
    assert answer.body == (
        b'{"Reason":"CallerRateLimitExceeded","Type":"User","message":"Rate Exceeded."}'
    )
    assert answer.headers["retry-after"] == "1"
    clock.advance(301)
    assert client.invoke_async("f", b"3").status == 202


def test_a_file_that_cannot_be_used_lets_nobody_in(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_bytes(b"no database" * 100)
    functions = make_functions()
    auth = SigV4({KEY_ID: SECRET}, replays=f"sqlite:///{path}")
    app = InvokeAsyncMiddleware(None, functions, auth=auth, executor="inline:")
    answer = Client(app, signer=Signer(KEY_ID, SECRET)).invoke_async("f", b"{}")
    assert (answer.status, answer.headers["x-amzn-errortype"]) == (500, "ServiceException")
    assert str(path) not in answer.body.decode()
    assert f"{path}: it cannot be used" in caplog.text
