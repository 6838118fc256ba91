"""docs/generated/benchmarks.md and its picture, from the lines of one run, which are kept beside them.

    python -m bench.page            fail if the page is not what its lines say
    python -m bench.page FILE       write the page from the lines in FILE

Nothing is measured here. Every row of bars.py has its place on the page, also where the run had no figures for it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench import picture
from bench.bars import BARS, QUOTED, TRANSPORTS, WAN_BARS
from bench.report import Line, number, off, verdict

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "generated"
PAGE, PICTURE, RECORD = (FOLDER / f"benchmarks.{kind}" for kind in ("md", "svg", "jsonl"))

HEAD = """# Benchmarks

Written by `python -m bench.run --write` (`make bench-page`) from one run on one machine; its lines are in
[benchmarks.jsonl](benchmarks.jsonl). Milliseconds, the quickest run. Ours: three processes on loopback, each with one
torch thread. `frames` and `tls` are the two ways in which messages are encrypted and authenticated; `plain` is neither.

![Time of each row, ours and others](benchmarks.svg)
"""

COST_HEAD = (
    "row", "transport", "ours", "CPU, all parties", "floor", "ours / floor", "plain PyTorch", "rounds",
    "bytes per element, by party", "largest error",
)
RIVAL_HEAD = ("row", "transport", "ours", "rival", "its time", "its largest error", "rival / ours", "at least", "bar")
WAN_HEAD = ("row", "transport", "ours", "floor", "rounds", "at most", "bar")
QUOTED_HEAD = ("row", "system", "ms", "measured")
NOTES = """## How it was measured

- All parties meet before a run and start together; it ends when the last has its result. One run before does not count,
  and each run gets new tensors. With rivals, everybody takes turns on each row.
- *Floor*: what this machine needs at least for these messages and products: the larger of all work (matrix products,
  memory, key stream, sending and receiving) over the cores, and the rounds one after another. Its rates were measured
  at the start of the run, with nothing of tacit but its way of setting up TLS and its key stream.
- *Rounds* and *bytes* are message contents; frame headers and TLS come on top. Those of a training step are per
  example.
- *At least*: the bar, as a ratio of the rival's figure and ours in `bench/bars.py`. Only ratios of one run are
  compared.
- Training steps: rate 0.1, no momentum, secret labels (one-hot), loss not opened. CrypTen computes the loss as well.
- CrypTen's GELU row is its `erf`, the greater part of a GELU; it has no other. CrypTen and SPU compare at 64 bits.
- *Largest error*: of one result, as its system shows it, against the same in double precision. CrypTen shows some
  negative values beside a whole number one too low; its shares are right.
"""


def page(lines: Sequence[Line]) -> str:
    """The whole page."""
    return "\n".join([
        HEAD, _machine(lines[0]),
        "## What it costs", "", *_table(COST_HEAD, _costs(lines)), "",
        "## Beside other systems", "", *_table(RIVAL_HEAD, _rivals(lines)), "",
        "Not measured again, and by itself no ratio of one run:", "", *_table(QUOTED_HEAD, _quoted()), "",
        "## Over a network", "", "A shaped channel between every two parties: 352 Mbit/s, 20 ms one way.", "",
        *_table(WAN_HEAD, _wan(lines)), "",
        *_gates(lines), NOTES,
    ])


def _machine(line: dict[str, Any]) -> str:
    facts = [
        ("date", line["date"]), ("processor", f"{line['cpu']}, {line['cores']} cores, {line['memory_gib']} GiB"),
        ("system", line["system"]), ("Python", line["python"]), ("packages", _versions(line["packages"])),
        ("runs", "two of each row, to try the program: no measurement" if line["quick"] else "as in `bench/work.py`"),
        ("load before", " ".join(map(str, line["load"]))), ("slower at the end by", f"{line['slower_at_end']} times"),
    ]
    for name, rival in line.get("rivals", {}).items():
        versions = _versions(rival["versions"])
        facts.append((name, rival["why"] or f"{versions}; {rival['about']}"))
    return "\n".join(["## The machine", "", *_table(("", ""), [list(fact) for fact in facts]), ""])


def _versions(packages: dict[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in packages.items())


def _costs(lines: Sequence[Line]) -> Iterator[list[str]]:
    for name in BARS:
        own = [line for line in _of("row", name, lines) if line["rival"] is None]
        for line in own or [{"transport": "-", "why": "not in this run"}]:
            if "why" in line:
                yield [name, line["transport"], line["why"], *[""] * (len(COST_HEAD) - 3)]
                continue
            yield [name, *_cost(line)]


def _cost(line: Line) -> list[str]:
    return [
        line["transport"], number(line["ours_ms"]), number(line["cpu_ms"]), number(line["floor_ms"]),
        number(line["floor_ratio"]), number(line["plain_ms"]), f"{line['rounds']:g}",
        " / ".join(f"{sent:g}" for sent in line["bytes_per_element"]), off(line["error"]),
    ]


def _rivals(lines: Sequence[Line]) -> Iterator[list[str]]:
    for name in BARS:
        for line in _of("row", name, lines):
            if line["rival"] is None:
                continue
            ours = line["why"] if "why" in line else number(line["ours_ms"])
            start = [name, line["transport"], ours, line["rival"]]
            if "rival_why" in line:
                yield [*start, line["rival_why"], "", "", "", ""]
                continue
            judged = [number(line["ratio_min"]), verdict(line).lower()] if "ratio_min" in line else ["", ""]
            yield [*start, number(line["rival_ms"]), off(line["rival_error"]), number(line["ratio"]), *judged]


def _quoted() -> Iterator[list[str]]:
    for name, bar in BARS.items():
        for rival, measured in QUOTED.items():
            figure = bar.figure(rival)
            if figure is not None:
                yield [name, rival, number(figure), measured]


def _wan(lines: Sequence[Line]) -> Iterator[list[str]]:
    for name, bar_ms in WAN_BARS.items():
        for line in _of("wan", name, lines) or [{"transport": "-", "why": "not in this run"}]:
            if "why" in line:
                yield [name, line["transport"], line["why"], "", "", number(bar_ms), ""]
                continue
            yield [
                name, line["transport"], number(line["ours_ms"]), number(line["floor_ms"]), f"{line['rounds']:g}",
                number(bar_ms), verdict(line).lower(),
            ]


def _gates(lines: Sequence[Line]) -> list[str]:
    gates = [line for line in lines if line["kind"] == "gate" and "why" not in line]
    if not gates:
        return []
    rows = ([line["row"], *_cost(line)] for line in gates)
    return ["## Gates alone", "", "Without PyTorch's dispatch.", "", *_table(COST_HEAD, rows), ""]


def _of(kind: str, name: str, lines: Sequence[Line]) -> list[Line]:
    return [line for line in lines if line["kind"] == kind and line["row"] == name]


def _table(head: Sequence[str], rows: Any) -> list[str]:
    made = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in made]


def drawing(lines: Sequence[Line]) -> str:
    """The picture: bars of ours by transport, and of each rival."""
    groups: dict[str, dict[str, float]] = {name: {} for name in BARS}
    for line in lines:
        if line["kind"] != "row" or line["row"] not in groups:
            continue
        if "ours_ms" in line:
            groups[line["row"]].setdefault(f"tacit, {line['transport']}", line["ours_ms"])
        if line["rival"] is not None and line["rival_ms"] is not None:
            groups[line["row"]].setdefault(line["rival"], line["rival_ms"])
    series = [*(f"tacit, {way}" for way in (*TRANSPORTS, "plain")), *lines[0].get("rivals", {})]
    present = [name for name in series if any(name in group for group in groups.values())]
    return picture.bars(groups, present, f"Milliseconds, logarithmic; {lines[0]['cpu']}, {lines[0]['date'][:10]}")


def write(lines: Sequence[Line]) -> None:
    """Lines, page and picture."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    RECORD.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    PAGE.write_text(page(lines), encoding="utf-8")
    PICTURE.write_text(drawing(lines), encoding="utf-8")


def read(path: Path) -> list[Line]:
    """The lines of a run."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def main(arguments: Sequence[str]) -> int:
    """0 if page and picture are what their lines say, or were written."""
    if arguments:
        write([line for argument in arguments for line in read(Path(argument))])
        return 0
    lines = read(RECORD)
    if PAGE.read_text(encoding="utf-8") != page(lines) or PICTURE.read_text(encoding="utf-8") != drawing(lines):
        print(f"{PAGE.name} is not what {RECORD.name} says: run  python -m bench.page {RECORD}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
