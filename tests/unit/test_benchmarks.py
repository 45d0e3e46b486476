"""The benchmarks that need no server: they run, and say what they promise to. Nothing is timed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import events, served
from benchmarks.__main__ import BENCHMARKS, main
from benchmarks.paired import Cost, Effort, alternate, compare
from invokeasync_wsgi import payload

MINIMAL = Effort(rounds=2, scale=0.001)


@pytest.mark.parametrize("name", ["pass-through", "accepted", "json"])
def test_rows_have_a_shape(name: str) -> None:
    """Each row names its benchmark, and its value lies between the extremes of its rounds."""
    rows = BENCHMARKS[name](MINIMAL)
    assert rows
    assert len({row.case for row in rows}) == len(rows)
    for row in rows:
        assert row.benchmark == name
        assert row.rounds == 2
        assert row.low <= row.value <= row.high
        assert row.met in (True, False) if row.target is not None else row.met is None


def test_sides_take_turns_at_being_first() -> None:
    """A side that is always second would pay for what the first one left behind."""
    order: list[str] = []

    def side(name: str) -> Cost:
        order.append(name)
        return Cost(1.0)

    pairs = alternate(lambda: side("floor"), lambda: side("ours"), 2)
    assert order == ["floor", "ours", "ours", "floor"]
    assert pairs == [(Cost(1.0), Cost(1.0))] * 2


@pytest.mark.parametrize(
    ("compared", "expected"),
    [
        pytest.param("added", (1e6, 0.0, 6e6), id="added, in µs"),
        pytest.param("ratio", (2.0, 1.0, 3.0), id="ratio"),
    ],
)
def test_rounds_are_compared_each_by_itself(compared: str, expected: tuple[float, ...]) -> None:
    """The median of the rounds' own ratios, not the ratio of two medians."""
    pairs = [(Cost(1.0), Cost(2.0)), (Cost(3.0), Cost(9.0)), (Cost(5.0), Cost(5.0))]
    row = compare("b", "c", pairs, "added" if compared == "added" else "ratio", target=1.5)
    assert (row.value, row.low, row.high) == expected
    assert row.met is False


def test_figures_are_written_for_machines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """``--json`` writes the rows of the chosen benchmarks; the table goes to the terminal."""
    row = compare("json", "a case", [(Cost(1.0), Cost(2.0))], "ratio", target=2.0)
    monkeypatch.setitem(BENCHMARKS, "json", lambda effort: [row])
    main(["json", "--quick", "--json", str(tmp_path / "figures.json")])
    content = json.loads((tmp_path / "figures.json").read_text())
    assert content["rows"] == [row.as_dict()]
    assert "×2.00" in capsys.readouterr().out


def test_unknown_names_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["speed"])
    assert "pass-through" in capsys.readouterr().err


@pytest.mark.parametrize("name", events.EVENTS)
def test_events_have_the_size_they_say(name: str) -> None:
    number, unit = name.split()[:2]
    size = int(number) * {"B": 1, "KB": events.KB, "MB": events.MB}[unit]
    event = events.EVENTS[name]
    assert size - 8 < len(event) <= size
    payload.check(event)


def test_both_served_applications_accept_the_event() -> None:
    body = events.records(200)
    environ = events.request(events.PATH, body)
    try:
        for app in (served.floor, served.ours, served.acknowledged):
            assert events.send(app, environ, body) == "202 Accepted"
    finally:
        served.ours.drain()


def test_the_switch_for_msgspec_is_put_back() -> None:
    before = payload._validate_fast
    with events.without_msgspec():
        assert payload._validate_fast is None
    assert payload._validate_fast is before
