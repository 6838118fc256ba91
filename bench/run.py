"""What tacit's operations cost, beside the floors of this machine, plain PyTorch and, if asked, other systems.

    make bench                    every row, over every transport
    make bench ROWS="relu mul"    rows whose name contains one of these words
    make bench-rivals             the same, and CrypTen and SPU in turn with ours
    make bench-wan                training steps on a shaped channel: 352 Mbit/s, 20 ms one way
    make bench-page               all of it, written to docs/generated/benchmarks.md

Three processes on loopback. A row's time is that of the quickest run, from the moment all parties have met to the
moment the last has its result; before it comes one run that does not count, and every run gets new tensors. One torch
thread for each process, not pinned. Rounds and bytes are those of the protocol: message contents, without frame headers
and TLS. JSON lines of the run go to a file beside it: see bench/report.py.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from bench import floors, gates, machine, page, parties, report, work
from bench.bars import TRANSPORTS, WAN_BARS, Wan
from bench.links import WAYS
from bench.parties import Figures, Missing, Setting
from bench.report import Line
from bench.rivals.visit import ENTRANTS, Rival
from bench.work import Row

LINES = Path(__file__).resolve().parent.parent / "build" / "bench.jsonl"
QUICK_RUNS = 2
PASSES = 2  # with rivals, all take turns so often: a slow minute then hits everybody
RIVAL_SECONDS = 4.0
WAN_RUNS = 5


class Bench:
    """One run of the command."""

    def __init__(self, asked: argparse.Namespace) -> None:
        self._asked = asked
        self._lines: list[Line] = []
        self._transports = tuple(asked.transport or TRANSPORTS)
        self._machine = floors.measure(self._transports)
        self._note(machine.described(self._machine))
        self._lines[0]["quick"] = asked.quick
        if not asked.quick:
            self._lines[0]["starts"] = machine.starts()

    def run(self) -> list[Line]:
        """Everything asked for, in order; the lines."""
        for words in machine.words(self._lines[0]):
            print(words)
        rivals = self._rivals() if self._asked.rivals else []
        try:
            if not self._asked.only_wan:
                self._all_rows(rivals)
        finally:
            for rival in rivals:
                rival.stop()
        if self._asked.wan or self._asked.only_wan:
            self._shaped(Wan())
        self._gauge()
        return self._lines

    def _all_rows(self, rivals: Sequence[Rival]) -> None:
        print(f"\n{report.HEAD}")
        for name, row in self._chosen(gates.ROWS if self._asked.gates else work.ROWS):
            self._row(name, row, rivals)

    def _rivals(self) -> list[Rival]:
        rivals = [Rival(entrant) for entrant in ENTRANTS]
        for rival in rivals:
            rival.start(print)
            print(f"{rival.entrant.name}: {rival.why or ', '.join(f'{k} {v}' for k, v in rival.versions.items())}")
        self._lines[0]["rivals"] = {
            rival.entrant.name: {"versions": rival.versions, "about": rival.entrant.about, "why": rival.why}
            for rival in rivals
        }
        return rivals

    def _row(self, name: str, row: Row, rivals: Sequence[Rival]) -> None:
        kind = "gate" if self._asked.gates else "row"
        settings = [Setting(self._asked.protocol, transport) for transport in self._transports]
        ours: dict[Setting, list[Figures | Missing]] = {setting: [] for setting in settings}
        theirs: dict[str, list[dict[str, Any]]] = {rival.entrant.name: [] for rival in rivals}
        for _ in range(PASSES if rivals and not self._asked.quick else 1):
            for setting in settings:
                ours[setting].append(parties.measure(row, setting, self._runs()))
            for rival in rivals:
                theirs[rival.entrant.name].append(rival.ask(name, self._runs() or row.runs, RIVAL_SECONDS))
        plain = None if self._asked.gates else parties.plain_ms(row, self._runs())
        for setting, found in ours.items():
            got = parties.merged(found)
            own = report.own_line(kind, name, setting, got, row.elements, self._floor(row, setting, got), plain)
            self._note(own, shown=True)
            for rival_name, answers in theirs.items():
                self._note(report.rival_line(own, rival_name, _merged(answers)), shown=True)

    def _shaped(self, wan: Wan) -> None:
        print(f"\nshaped channel: {wan.bits_s / 1e6:.0f} Mbit/s, {wan.one_way_s * 1e3:.0f} ms one way\n{report.HEAD}")
        rows = {name: work.ROWS[name] for name in WAN_BARS}
        settings = [Setting(self._asked.protocol, transport, wan) for transport in self._transports]
        for (name, row), setting in product(self._chosen(rows), settings):
            got = parties.measure(row, setting, QUICK_RUNS if self._asked.quick else WAN_RUNS)
            floor_ms = floors.wan_floor_ms(wan, _needs(row, got)) if isinstance(got, Figures) else 0.0
            own = report.own_line("wan", name, setting, got, row.elements, floor_ms, None)
            self._note(report.with_bar(own), shown=True)

    def _gauge(self) -> None:
        """How fast the machine was at the end, by its quickest product: others may have come meanwhile."""
        self._lines[0]["slower_at_end"] = round(self._machine.products_g_s / floors.products_g_s(), 2)
        print(f"\nthe machine's own product took {self._lines[0]['slower_at_end']} times as long as at the start")

    def _chosen(self, rows: dict[str, Row]) -> Iterator[tuple[str, Row]]:
        words = self._asked.words
        return ((name, row) for name, row in rows.items() if not words or any(word in name for word in words))

    def _runs(self) -> int | None:
        return QUICK_RUNS if self._asked.quick else None

    def _floor(self, row: Row, setting: Setting, got: Figures | Missing) -> float:
        if isinstance(got, Missing):
            return 0.0
        return floors.floor_ms(self._machine, _needs(row, got), setting.transport, setting.protocol)

    def _note(self, line: Line, *, shown: bool = False) -> None:
        self._lines.append(line)
        if shown:
            print(report.text(line), flush=True)


def _needs(row: Row, got: Figures) -> floors.Needs:
    return floors.Needs(row.macs, row.words, got.rounds, got.bytes_sent)


def _merged(answers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """All times of a rival's turns; a turn without figures speaks for all."""
    without = [answer for answer in answers if "why" in answer]
    if without:
        return without[0]
    return {**answers[0], "times_ms": [time_ms for answer in answers for time_ms in answer["times_ms"]]}


def main(arguments: Sequence[str] | None = None) -> int:
    """0, or 1 if a row failed for another reason than an operator that is not there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="rows whose name contains one of these words")
    parser.add_argument("--protocol", default="masked", choices=sorted(floors.KERNELS))
    parser.add_argument("--transport", action="append", choices=sorted(WAYS), help="only this one; may be repeated")
    parser.add_argument("--gates", action="store_true", help="the protocol's gates without PyTorch's dispatch")
    parser.add_argument("--rivals", action="store_true", help="other systems in turn with ours")
    parser.add_argument("--wan", action="store_true", help="training steps on a shaped channel as well")
    parser.add_argument("--only-wan", action="store_true", help="and nothing else")
    parser.add_argument("--quick", action="store_true", help="two runs of each: to try the harness, not to measure")
    parser.add_argument("--lines", type=Path, default=LINES, help="file for the JSON lines")
    parser.add_argument("--write", action="store_true", help="write docs/generated/benchmarks.md from this run")
    asked = parser.parse_args(arguments)
    begun = time.monotonic()
    lines = Bench(asked).run()
    asked.lines.parent.mkdir(parents=True, exist_ok=True)
    asked.lines.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    print(f"{time.monotonic() - begun:.0f} s; bars missed: {report.missed(lines)}; lines in {asked.lines}")
    if asked.write:
        page.write(lines)
        print(f"written: {page.PAGE}")
    return int(any(line.get("failed") for line in lines))


if __name__ == "__main__":
    sys.exit(main())
