"""The benchmarks compare what they say they compare, and their page has the form; nothing is measured here."""

from __future__ import annotations

import ast
import json
import math
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from bench import bars, floors, gates, page, parties, picture, report, work
from bench.links import Link
from bench.parties import Figures, Missing, Setting
from bench.rivals import environments, visit

MACHINE = floors.Machine(2, products_g_s=10.0, memory_gb_s=20.0, pads_gb_s=4.0, links={"tls": Link(1.0, 0.02)})
RIVALS = Path(visit.__file__).parent
FIGURES = Figures((12.0, 10.0), cpu_ms=19.0, rounds=2, bytes_sent=(1e6, 1e6, 2e6), error=1.5e-5)


def own(name: str, transport: str = "tls", figures: Figures | Missing = FIGURES) -> report.Line:
    return report.own_line("row", name, Setting(transport=transport), figures, 1 << 20, 5.0, 0.5)


# -- rows and bars


def test_every_bar_has_a_row_and_every_row_a_bar() -> None:
    assert list(work.ROWS) == list(bars.BARS)
    assert set(bars.WAN_BARS) <= set(bars.BARS)


@pytest.mark.parametrize("program", ["crypten_rows.py", "spu_rows.py"])
def test_every_rival_does_every_row(program: str) -> None:
    tree = ast.parse((RIVALS / program).read_text(encoding="utf-8"))
    keys = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    assert set(bars.BARS) - keys == set()


def test_every_bar_asks_for_less_than_each_rival_took_and_tls_may_take_longer() -> None:
    for name, bar in bars.BARS.items():
        for transport in bars.TRANSPORTS:
            ratios = [bar.ratio_max(transport, rival) for rival in bars.FIELDS]
            assert all(ratio is None or 0 < ratio < 1 for ratio in ratios), name
        assert bar.frames <= bar.tls, name


@pytest.mark.parametrize("name", work.ROWS)
def test_a_row_runs_in_plain_pytorch_and_gets_new_operands_each_time(name: str) -> None:
    seen: list[int] = []

    def shield(value: Any, owner: int | None = None) -> Any:
        seen.append(owner or 0)
        return value

    fresh = work.ROWS[name].build(shield)
    result = fresh()()
    assert seen
    assert result is None or torch.equal(result, fresh()())


def test_a_new_operand_remembers_no_sign() -> None:
    x = torch.randn(4)
    assert torch.equal(work.anew(x), x)
    assert work.anew(x) is not x


def test_inputs_lie_on_the_grid_of_the_coarsest_format() -> None:
    x = work.gaussian(1000)()
    assert torch.equal((x * 4096).round(), x * 4096)


def test_products_of_the_network_are_counted_as_torch_does_them() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    for name in ("lr step 128x32", "mlp step 784-128-128-10", "matmul 512"):
        timed = work.ROWS[name].build(lambda value, owner=None: value)()
        with FlopCounterMode(display=False) as counter:
            timed()
        assert counter.get_total_flops() == 2 * work.ROWS[name].macs, name


# -- floors


def test_the_floor_is_the_larger_of_work_and_rounds() -> None:
    # Per party 1 MB sent: 3 MB at 1 CPU ms a MB and at 4 GB/s of key stream; 5 x 20 M products at 10 G a second; words
    # at 8 bytes, twice, three parties, 20 GB/s. All over two cores.
    needs = floors.Needs(macs=20_000_000, words=1_000_000, rounds=2, bytes_sent=(1e6, 1e6, 1e6))
    assert floors.work_ms(MACHINE, needs, "tls", "masked") == pytest.approx(
        {"products": 10.0, "memory": 2.4, "pads": 0.75, "transport": 3.0}
    )
    assert floors.floor_ms(MACHINE, needs, "tls", "masked") == pytest.approx(16.15 / 2)
    many = floors.Needs(macs=0, words=10, rounds=500, bytes_sent=(8.0, 8.0, 8.0))
    assert floors.floor_ms(MACHINE, many, "tls", "masked") == pytest.approx(500 * 0.02)


def test_the_floor_of_a_network_is_its_rounds_or_its_bytes() -> None:
    wan = bars.Wan()
    assert floors.wan_floor_ms(wan, floors.Needs(0, 0, 15, (1e3, 1e3, 1e3))) == pytest.approx(300.0)
    assert floors.wan_floor_ms(wan, floors.Needs(0, 0, 15, (1e3, 1e3, 88e6))) == pytest.approx(1000.0)


# -- figures and lines


def test_a_run_lasts_as_long_as_its_last_participant() -> None:
    assert parties.joined([(1.0, 5.0), (3.0, 2.0), (2.0, 4.0)]) == (3.0, 5.0)


def test_turns_are_joined_and_one_without_figures_speaks_for_all() -> None:
    other = Figures((9.0,), 20.0, 2, (1.0, 1.0, 1.0), None)
    assert parties.merged([FIGURES, other]).times_ms == (12.0, 10.0, 9.0)  # type: ignore[union-attr]
    assert parties.merged([FIGURES, Missing("gone", True)]) == Missing("gone", True)


def test_a_line_has_every_field_that_readers_rely_on() -> None:
    fields = {
        "row", "ours_ms", "rival", "rival_ms", "ratio", "floor_ms", "rounds", "bytes_per_element", "transport",
    }
    alone = own("mul 2^20")
    beside = report.rival_line(alone, "CrypTen", {"times_ms": [95.0, 96.0], "error": 0.0})
    assert fields <= set(alone)
    assert fields <= set(beside)
    assert json.loads(json.dumps(beside)) == beside
    assert (alone["ours_ms"], alone["ratio"], beside["rival_ms"], beside["ratio"]) == (10.0, None, 95.0, 9.5)
    assert alone["bytes_per_element"] == [1.0, 1.0, 1.9]


@pytest.mark.parametrize(("rival_ms", "holds"), [(23.75, True), (23.7, False)])
def test_a_bar_holds_up_to_its_ratio_and_no_further(rival_ms: float, holds: bool) -> None:
    # mul over tls: our bar 40 against 95 of CrypTen, so with 10 ms of ours CrypTen must take 23.75 or more.
    line = report.rival_line(own("mul 2^20"), "CrypTen", {"times_ms": [rival_ms], "error": 0.0})
    assert line["holds"] is holds
    assert report.missed([line]) == 1 - holds
    assert ("holds" if holds else "MISSED") in report.text(line)


def test_no_verdict_without_a_bar_for_the_transport() -> None:
    line = report.rival_line(own("mul 2^20", "plain"), "CrypTen", {"times_ms": [1.0], "error": 0.0})
    assert "holds" not in line
    assert report.text(line)


def test_what_is_missing_says_why_on_either_side() -> None:
    ours = own("exp 100k", figures=Missing("not there yet: no row for aten.exp.default", failed=False))
    assert "not there yet" in report.text(ours)
    assert report.rival_line(ours, "SPU ABY3", {"times_ms": [99.0], "error": 1.0})["ratio"] is None
    line = report.rival_line(own("mul 2^20"), "SPU ABY3", {"why": "needs Python 3.11 or 3.10, and none is here"})
    assert "needs Python" in report.text(line)


def test_a_gate_gives_nothing_back_to_compare() -> None:
    assert {name.rpartition(", ")[0] for name in gates.ROWS} >= set(gates.GATES)


# -- three processes


def small(operation: Callable[[Any], Any]) -> work.Row:
    return work.Row(work.unary(operation, work.gaussian(16)), elements=16, words=32, runs=2)


def test_three_parties_measure_a_row_and_a_row_without_an_operator_says_so() -> None:
    got = parties.measure(small(torch.relu), Setting(transport="plain"))
    assert isinstance(got, Figures), got
    assert len(got.times_ms) == 2
    assert got.error == 0
    assert got.rounds > 0
    assert min(got.times_ms) > 0
    refused = parties.measure(small(lambda x: x.nonzero()), Setting(transport="plain"))
    assert isinstance(refused, Missing)
    assert not refused.failed
    assert refused.why.startswith("not there yet")


def test_a_row_that_breaks_does_not_take_the_others_with_it() -> None:
    broken = parties.measure(small(lambda x: 1 / 0), Setting(transport="plain"))
    assert isinstance(broken, Missing)
    assert broken.failed


# -- rivals


def entrant(program: Path) -> visit.Entrant:
    return visit.Entrant("SPU ABY3", environments.SPU, str(program), lambda meeting: (("x",),), "")


def rival(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> visit.Rival:
    program = tmp_path / "program.py"
    program.write_text(f"import sys; sys.path.insert(0, {str(RIVALS)!r})\nfrom serve import serve\n{body}\n")
    monkeypatch.setenv("TACIT_RIVALS", str(tmp_path))
    monkeypatch.setattr(visit, "ready", lambda recipe, say: environments.Environment(Path(sys.executable), {}))
    made = visit.Rival(entrant(program))
    made.start(lambda words: None)
    return made


def test_a_rival_answers_row_after_row_and_what_it_cannot_do_is_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = (
        "def measure(row, runs, seconds):\n"
        "    print('words of a library')\n"
        "    if row == 'exp 100k': raise ValueError('no such thing')\n"
        "    return {'times_ms': [3.0] * runs, 'error': 0.5}\n"
        "serve(measure)"
    )
    one = rival(tmp_path, monkeypatch, body)
    try:
        assert one.ask("mul 2^20", 2, 1.0) == {"times_ms": (3.0, 3.0), "error": 0.5}
        assert one.ask("exp 100k", 2, 1.0) == {"why": "ValueError: no such thing"}
        assert one.ask("mul 2^20", 1, 1.0)["times_ms"] == (3.0,)
    finally:
        one.stop()


@pytest.mark.parametrize("body", ["sys.exit(1)", "serve(lambda row, runs, seconds: sys.exit(1))"])
def test_a_rival_that_ends_has_a_reason_for_every_row(
    body: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = rival(tmp_path, monkeypatch, body)
    assert "why" in one.ask("mul 2^20", 2, 1.0)
    assert "why" in one.ask("relu 2^20", 2, 1.0)
    one.stop()


def test_a_rival_whose_python_is_not_here_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TACIT_RIVALS", str(tmp_path))
    recipe = environments.Recipe("none", (), (), pythons=("2.1",))
    assert environments.ready(recipe, lambda words: None) == "needs Python 2.1, and none is here"


def test_a_rival_that_cannot_be_installed_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(step: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(step, int("pip" in step), "", "noise\nERROR: No matching distribution\n")

    monkeypatch.setenv("TACIT_RIVALS", str(tmp_path))
    monkeypatch.setattr(environments.subprocess, "run", run)  # type: ignore[attr-defined]
    recipe = environments.Recipe("none", (("nothing==1",),), ())
    assert environments.ready(recipe, lambda words: None) == "could not be installed: ERROR: No matching distribution"
    assert not (tmp_path / "none" / "recipe.json").exists()


# -- the page


def tables(text: str) -> list[list[list[str]]]:
    """Every table of the page: rows of cells."""
    found: list[list[list[str]]] = [[]]
    for line in text.splitlines():
        if line.startswith("| "):
            found[-1].append([cell.strip() for cell in line.strip("|").split(" | ")])
        elif found[-1]:
            found.append([])
    return [table for table in found if table]


def test_the_page_and_its_picture_are_what_their_lines_say() -> None:
    assert page.main([]) == 0


def test_the_page_has_every_row_and_every_column() -> None:
    by_head = {tuple(table[0]): table for table in tables(page.PAGE.read_text(encoding="utf-8"))}
    costs = by_head[page.COST_HEAD]
    assert {row[0] for row in costs[2:]} == set(bars.BARS)
    assert {row[0] for row in by_head[page.WAN_HEAD][2:]} == set(bars.WAN_BARS)
    assert page.RIVAL_HEAD in by_head
    assert page.QUOTED_HEAD in by_head
    for head, table in by_head.items():
        assert {len(row) for row in table} == {len(head)}, head


def test_the_page_tells_machine_versions_and_date() -> None:
    line = page.read(page.RECORD)[0]
    text = page.PAGE.read_text(encoding="utf-8")
    versions = [*line["packages"].items()]
    for rival in line["rivals"].values():
        versions += rival["versions"].items()
    assert [f"{name} {number}" for name, number in versions if f"{name} {number}" not in text] == []
    for fact in (line["date"], line["cpu"], line["python"]):
        assert fact in text


def test_a_run_without_figures_still_makes_a_page() -> None:
    head = {**page.read(page.RECORD)[0], "rivals": {}}
    text = page.page([head, own("exp 100k", figures=Missing("not there yet: exp | nothing", failed=False))])
    assert "not there yet: exp \\| nothing" in text
    assert text.count("not in this run") == len(bars.BARS) - 1 + len(bars.WAN_BARS)
    ElementTree.fromstring(page.drawing([head]))


def test_the_picture_draws_each_value_on_a_logarithmic_scale() -> None:
    drawn = ElementTree.fromstring(picture.bars({"a & b": {"x": 1.0, "y": 10.0}, "c": {"y": 100.0}}, ["x", "y"], "t"))
    rects = [element for element in drawn.iter() if element.tag.endswith("rect") and len(element)]
    widths = [float(rect.attrib["width"]) for rect in rects]
    assert len(widths) == 3
    assert widths[0] <= 1  # the left edge is 1 ms
    assert math.isclose(2 * widths[1], widths[2], rel_tol=1e-3)
