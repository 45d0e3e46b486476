"""The benchmarks run, at the smallest size, and say what they promise to. Nothing is timed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import durable, events, served
from benchmarks.__main__ import BENCHMARKS, main
from benchmarks.paired import CannotRun, Cost, Effort, Figure, alternate, compare, figure
from invokeasync_wsgi import payload

MINIMAL = Effort(rounds=2, scale=0.001)


@pytest.mark.parametrize("name", ["pass-through", "accepted", "signed", "json"])
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


@pytest.mark.parametrize("name", durable.MEASUREMENTS)
def test_figures_have_a_shape(name: str) -> None:
    """Each figure names its benchmark, lies between the extremes, and says what it hides."""
    try:
        figures = BENCHMARKS[name](Effort(rounds=1, scale=0.001))
    except CannotRun as exc:
        pytest.skip(str(exc))
    assert len({each.case for each in figures}) == len(figures) > 0
    for each in figures:
        assert isinstance(each, Figure)
        assert each.benchmark == name
        assert each.low <= each.value <= each.high
        assert each.not_shown


def test_many_events_go_through_one_file_and_nothing_is_left_waiting() -> None:
    lines: list[str] = []
    durable.soak(50, lines.append)
    assert len(lines) == 11
    events_sent, _, _, _, waiting, kept = lines[-1].split()
    assert (events_sent, waiting, kept) == ("50", "0", "50")


@pytest.mark.parametrize(
    ("at_least", "met"),
    [pytest.param(True, True, id="floor"), pytest.param(False, False, id="cap")],
)
def test_a_target_is_a_floor_or_a_cap(at_least: bool, met: bool) -> None:
    made = figure("b", "c", [1.0, 3.0, 2.0], " ms", target=1.5, at_least=at_least)
    assert (made.value, made.low, made.high, made.rounds) == (2.0, 1.0, 3.0, 3)
    assert made.met is met
    assert made.as_dict()["met"] is met


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


def test_a_group_is_chosen_by_what_its_names_begin_with(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A figure is shown with what it was made of, what it hides, and whether its target is met."""
    made = figure("b", "a case", [2.0], " ms", target=1, made_of="parts", not_shown="hidden")
    for name in durable.MEASUREMENTS:
        monkeypatch.setitem(BENCHMARKS, name, lambda effort: [made])
    main(["durable", "--quick"])
    shown = capsys.readouterr().out
    assert all(name in shown for name in durable.MEASUREMENTS)
    for part in ("2.00 ms", "≤ 1", "NO", "a case: parts", "Not shown: hidden."):
        assert part in shown


def test_events_are_counted_for_durable_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []
    monkeypatch.setattr(durable, "soak", counts.append)
    main(["durable", "--events", "300"])
    assert counts == [300]
    with pytest.raises(SystemExit):
        main(["json", "--events", "300"])
    assert "durable alone" in capsys.readouterr().err


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
