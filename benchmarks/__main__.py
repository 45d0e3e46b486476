"""``python -m benchmarks [NAME ...]``: run benchmarks and print a table of each."""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Callable, Sequence
from pathlib import Path

from . import durable, events
from .imports import import_time
from .in_process import accepted, pass_through, signed
from .json_checks import json_checks
from .paired import CannotRun, Effort, Figure, Row
from .sockets import sockets

BENCHMARKS: dict[str, Callable[[Effort], Sequence[Row | Figure]]] = {
    "pass-through": pass_through,
    "accepted": accepted,
    "signed": signed,
    "sockets": sockets,
    "import": import_time,
    "json": json_checks,
    **durable.MEASUREMENTS,
}

_QUICK = Effort(rounds=3, scale=0.2)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="What the package costs beside the least that could be done in its place. "
        "What each figure does not show stands in the docstring of the package.",
    )
    parser.add_argument(
        "name",
        nargs="*",
        help=f"which: {', '.join(BENCHMARKS)}; durable for all that begin so (all)",
    )
    parser.add_argument("--rounds", type=int, help="rounds of each (it differs)")
    parser.add_argument("--quick", action="store_true", help="few and short rounds: rough figures")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument(
        "--events",
        type=int,
        metavar="N",
        help="with durable: instead of that, send so many events through one file",
    )
    options = parser.parse_args(arguments)
    names: list[str] = []
    for name in options.name:
        named = [each for each in BENCHMARKS if each == name or each.startswith(f"{name}-")]
        names += named
        if not named:
            parser.error(f"there is no benchmark {name!r}; there are {', '.join(BENCHMARKS)}")
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds must be 1 or more")
    if options.events is not None:
        if options.name != ["durable"] or options.events < 10:
            parser.error("--events is for durable alone, and 10 or more")
        durable.soak(options.events)
        return
    usual = _QUICK if options.quick else Effort()
    effort = Effort(rounds=options.rounds or usual.rounds, scale=usual.scale)

    rows: list[Row | Figure] = []
    for name in names or BENCHMARKS:
        try:
            found = BENCHMARKS[name](effort)
        except CannotRun as exc:
            print(f"\n{name}: not measured here: {exc}", flush=True)
            continue
        print(f"\n{table(name, found)}", flush=True)
        rows += found
    if options.json is not None:
        content = {**_machine(), "rows": [row.as_dict() for row in rows]}
        options.json.write_text(json.dumps(content, indent=1) + "\n")


def table(name: str, found: Sequence[Row | Figure]) -> str:
    """What was found, for people: rows in CPU time in µs for one operation, figures as they are."""
    rows = [row for row in found if isinstance(row, Row)]
    figures = [each for each in found if isinstance(each, Figure)]
    columns = ("floor", "ours", "ours by floor", "min – max", "target", "met", "floor/s", "ours/s")
    parts = []
    if rows:
        parts.append(_aligned([(f"{name}, CPU in µs", *columns), *map(_cells, rows)]))
    if figures:
        lines = [(name, "", "min – max", "target", "met"), *map(_figure_cells, figures)]
        parts.append(_aligned(lines))
        parts += [f"  {each.case}: {each.made_of}" for each in figures if each.made_of]
        parts.append("  Not shown: " + "; ".join(dict.fromkeys(e.not_shown for e in figures)) + ".")
    return "\n".join(parts)


def _aligned(lines: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _cells(row: Row) -> tuple[str, ...]:
    sign = "+" if row.compared == "added" else "×"
    return (
        row.case,
        _number(row.floor_us),
        _number(row.ours_us),
        f"{sign}{row.value:.2f}",
        f"{row.low:.2f} – {row.high:.2f}",
        "" if row.target is None else f"{sign}{row.target:g}",
        {True: "yes", False: "NO", None: ""}[row.met],
        "" if row.floor_per_s is None else f"{row.floor_per_s:,.0f}",
        "" if row.ours_per_s is None else f"{row.ours_per_s:,.0f}",
    )


def _figure_cells(each: Figure) -> tuple[str, ...]:
    before, after = ("×", "") if each.unit == "×" else ("", each.unit)
    sign = "≥ " if each.at_least else "≤ "
    return (
        each.case,
        f"{before}{_number(each.value)}{after}",
        f"{_number(each.low)} – {_number(each.high)}",
        "" if each.target is None else f"{sign}{each.target:g}",
        {True: "yes", False: "NO", None: ""}[each.met],
    )


def _number(value: float) -> str:
    return f"{value:.2f}" if value < 100 else f"{value:,.0f}"


def _machine() -> dict[str, object]:
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "load": os.getloadavg() if hasattr(os, "getloadavg") else None,
        "msgspec": events.HAS_MSGSPEC,
    }


if __name__ == "__main__":
    main()
