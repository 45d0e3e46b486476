"""Nothing that comes over the wire breaks a server, or gets an answer that is not documented.

Hundreds of requests (`hostile`) go to every server, a few at a time. After each group the server
serves a good request; its log has no traceback of ours; and of all that was sent, those events have
run that were accepted, and no others.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby

import pytest

from tests.integration import hostile
from tests.integration.hostile import Case
from tests.integration.raw import Answer, Connection, check_documented, invoke_async, post
from tests.integration.servers import Server

#: Seconds that the client lets pass between the pieces of a slow request.
_PAUSE_S = 0.02
#: Seconds that it waits for the answer to what is no HTTP.
_SHORT_S = 0.5

_pause = threading.Event()

CASES = hostile.every()
SECTIONS = {
    name: list(cases) for name, cases in groupby(CASES, lambda case: case.name.partition(":")[0])
}

#: What an accepted event may be: what was sent, or as much of it as its framing announced.
_POSSIBLE_EVENTS: tuple[object, ...] = ({}, 1, "unwatched")


def test_corpus() -> None:
    """The requests differ: none is there twice."""
    assert len({case.pieces for case in CASES if not case.abandoned}) >= 800
    assert len({(case.pieces, case.resets, case.abandoned) for case in CASES}) == len(CASES)


@pytest.mark.parametrize("section", SECTIONS)
def test_hostile(server: Server, section: str) -> None:
    before = len(server.runs())
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda case: _send(server, case), SECTIONS[section]))

    faults = [
        f"{case.name}: {fault}"
        for case, answer in zip(SECTIONS[section], answers, strict=True)
        if (fault := _fault(case, answer))
    ]
    assert not faults, "\n".join(faults)
    after = server.accept("record", b'"after"')
    accepted = {after, *_request_ids(answers)}
    server.wait_for(accepted)
    # What else has run came with a request whose answer was not read, or could not be.
    others = [run for run in server.runs()[before:] if run["request_id"] not in accepted]
    empty = [run for run in others if run["event"] != "unwatched"]
    assert all(run["event"] in _POSSIBLE_EVENTS for run in empty), empty
    unread = [answer for answer in answers if answer is None or answer.outcome == "server"]
    assert len(empty) <= len(unread), empty
    for case, answer in zip(SECTIONS[section], answers, strict=True):
        if not case.outcomes and answer is not None and answer.outcome == "202":
            event = server.run_of(answer.headers["x-amzn-requestid"])["event"]
            assert event in _POSSIBLE_EVENTS, (case.name, event)
    assert server.tracebacks_of_ours() == []


def test_many_at_once(server: Server) -> None:
    """Abandoned and unread requests on many connections do not keep good ones out for long."""
    request = post(invoke_async(), hostile.UNWATCHED_EVENT)
    connections = [Connection(server.port) for _ in range(30)]
    for number, connection in enumerate(connections):
        connection.send(request[: number * 4])
    for connection in connections[::2]:
        connection.reset()
    for connection in connections:
        connection.close()

    server.run_of(server.accept("record", b'"after"'))
    assert server.tracebacks_of_ours() == []


def _send(server: Server, case: Case) -> Answer | None:
    """The answer, or ``None`` when there was none (in time, for what is no HTTP)."""
    with Connection(server.port, 10 if case.outcomes else _SHORT_S) as connection:
        for number, piece in enumerate(case.pieces):
            if number:
                _pause.wait(_PAUSE_S)
            connection.send(piece)
        if case.abandoned:
            if case.resets:
                connection.reset()
            return None
        if not case.outcomes:
            connection.end_sending()
        try:
            return connection.answer(case.method)
        except TimeoutError:
            if case.outcomes:
                raise
        except ValueError:  # servers answer what looks like HTTP/0.9 in kind
            if case.outcomes:
                raise
    return None


def _fault(case: Case, answer: Answer | None) -> str | None:
    """What is wrong with an answer, if anything."""
    if answer is None:
        return "no answer" if case.outcomes else None
    if answer.outcome == "server" and not case.outcomes:
        return None  # some have bugs of their own; ours would be in the log
    try:
        check_documented(answer, case.method)
    except AssertionError as exc:
        return f"not documented: {exc}"
    if case.outcomes and answer.outcome not in (*case.outcomes, "server"):
        return f"{case.outcomes} expected: {answer}"
    if "x-injected" in answer.headers:
        return f"a header was injected: {answer}"
    return None


def _request_ids(answers: Iterable[Answer | None]) -> set[str]:
    """Of the answers that say that a handler runs or has run."""
    return {
        answer.headers["x-amzn-requestid"]
        for answer in answers
        if answer is not None and answer.outcome in ("200", "202")
    }
