"""The lines of a run, and the table that people read while it goes on. Pure: figures in, lines and text out.

A run is a list of JSON objects, each with a "kind":

    machine   what it ran on: once, at the head; and how much slower the machine was at the end
    row       one row over one transport; "rival" is null, or names the rival whose time stands beside ours
    wan       one row on the shaped channel
    gate      one gate without PyTorch's dispatch

Every kind but the first has: row, ours_ms, rival, rival_ms, ratio, floor_ms, rounds, bytes_per_element, transport; or
"why" in place of figures that there are not. `ratio` is the rival's time over ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.bars import BARS, TRANSPORTS, WAN_BARS
from bench.parties import Figures, Missing, Setting

Line = dict[str, Any]

_COLUMNS = (
    ("row", "<28"), ("transport", "<10"), ("ms", ">8"), ("cpu ms", ">8"), ("rounds", ">7"),
    ("B/element by party", ">24"), ("floor", ">8"), ("x floor", ">8"), ("torch", ">8"), ("error", ">8"),
)
HEAD = "".join(f"{name:{width}}" for name, width in _COLUMNS)


def own_line(
    kind: str, name: str, setting: Setting, got: Figures | Missing, elements: int, floor_ms: float, plain: float | None
) -> Line:
    """Ours alone."""
    line: Line = {
        "kind": kind, "row": name, "transport": setting.transport,
        "protocol": setting.protocol, "rival": None, "rival_ms": None, "ratio": None,
    }
    if isinstance(got, Missing):
        return {**line, "why": got.why, "failed": got.failed}
    return {
        **line, "ours_ms": _short(got.best_ms), "cpu_ms": _short(got.cpu_ms), "rounds": got.rounds,
        "bytes_per_element": [round(sent / elements, 1) for sent in got.bytes_sent],
        "floor_ms": _short(floor_ms), "floor_ratio": _short(got.best_ms / floor_ms),
        "plain_ms": None if plain is None else _short(plain), "error": got.error, "runs": len(got.times_ms),
    }


def with_bar(line: Line) -> Line:
    """A line of the shaped channel, with the time it must keep to."""
    bar_ms = WAN_BARS[line["row"]]
    return {**line, "bar_ms": bar_ms} | ({"holds": line["ours_ms"] <= bar_ms} if "ours_ms" in line else {})


def rival_line(own: Line, rival: str, answer: dict[str, Any]) -> Line:
    """The same line beside a rival, with the most that ours / rival may be, if there is a bar for this transport."""
    line: Line = {**own, "rival": rival}
    if "why" in answer:
        return {**line, "rival_why": answer["why"]}
    rival_ms = min(answer["times_ms"])
    line |= {"rival_ms": _short(rival_ms), "rival_error": answer["error"], "rival_runs": len(answer["times_ms"])}
    if "ours_ms" not in own:
        return line
    line["ratio"] = _short(rival_ms / own["ours_ms"])
    at_most = BARS[own["row"]].ratio_max(own["transport"], rival) if own["transport"] in TRANSPORTS else None
    if at_most is not None:
        line |= {"ratio_min": _short(1 / at_most), "holds": own["ours_ms"] <= at_most * rival_ms}
    return line


def text(line: Line) -> str:
    """One line of the table."""
    if line["rival"] is not None:
        return _rival_text(line)
    start = f"{line['row']:<28}{line['transport']:<10}"
    if "why" in line:
        return f"{start}   {line['why']}"
    sent = " ".join(f"{value:.1f}" for value in line["bytes_per_element"])
    cells = (
        number(line["ours_ms"]), number(line["cpu_ms"]), f"{line['rounds']:.0f}", sent,
        number(line["floor_ms"]), number(line["floor_ratio"]), number(line["plain_ms"]), off(line["error"]),
    )
    widths = [width for _, width in _COLUMNS[2:]]
    judged = f"   at most {line['bar_ms']:.0f}: {verdict(line)}" if "bar_ms" in line else ""
    return start + "".join(f"{cell:{width}}" for cell, width in zip(cells, widths, strict=True)) + judged


def _rival_text(line: Line) -> str:
    start = f"    {line['rival']:<24}{'':10}"
    if "rival_why" in line:
        return f"{start}   {line['rival_why']}"
    found = f"{number(line['rival_ms']):>8}   error {off(line['rival_error'])}"
    if line["ratio"] is None:
        return start + found
    judged = f", at least {number(line['ratio_min'])}: {verdict(line)}" if "ratio_min" in line else ""
    return f"{start}{found}   {number(line['ratio'])} times ours ({line['transport']}){judged}"


def verdict(line: Line) -> str:
    """Whether the bar is kept."""
    return "holds" if line.get("holds") else "MISSED"


def number(value: float | None) -> str:
    """Three figures, no exponent."""
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def off(value: float | None) -> str:
    """An error, to two figures."""
    return "-" if value is None else f"{value:.1e}" if value else "0"


def missed(lines: Sequence[Line]) -> int:
    """How many bars the lines do not keep."""
    return sum(line.get("holds") is False for line in lines)


def _short(value: float) -> float:
    return float(f"{value:.4g}")
