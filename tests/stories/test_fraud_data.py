"""The example job's own code: its files, its data, and its two versions of one training. No sockets here.

train.py runs under a stand-in for tacit that opens everything at once, so that it can be held against plain.py exactly.
"""

from __future__ import annotations

import csv
import importlib
import json
import runpy
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from tacit.errors import DataError

FRAUD = Path(__file__).parents[2] / "examples" / "fraud"
PARTIES = ("alice", "bob", "crypto-producer")
SEED = 20_240


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Batches are so small that two threads mostly wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def fraud() -> SimpleNamespace:
    """The modules of the example; its folder is on the path of the tests."""
    names = ("data", "make_data", "report", "plain", "demo")
    return SimpleNamespace(**{name: importlib.import_module(name) for name in names})


@pytest.fixture(scope="module")
def pair(fraud: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    files: tuple[Path, Path] = fraud.make_data.make(tmp_path_factory.mktemp("pair"), seed=1)
    return files


@pytest.fixture(scope="module")
def plain(fraud: SimpleNamespace, pair: tuple[Path, Path]) -> dict[str, Any]:
    results: dict[str, Any] = fraud.plain.baselines(*pair, seed=SEED)
    return results


# ---- the made-up files ----------------------------------------------------------------------------------------------


def test_the_same_seed_makes_the_same_files(fraud: SimpleNamespace, pair: tuple[Path, Path], tmp_path: Path) -> None:
    again, other = fraud.make_data.make(tmp_path / "a", seed=1), fraud.make_data.make(tmp_path / "b", seed=2)
    assert [file.read_bytes() for file in again] == [file.read_bytes() for file in pair]
    assert other[0].read_bytes() != pair[0].read_bytes()


def test_the_files_have_the_promised_shape(pair: tuple[Path, Path]) -> None:
    alice, bob = (list(csv.reader(path.read_text().splitlines())) for path in pair)
    assert (len(alice), len(alice[0])) == (7001, 17)
    assert (len(bob), len(bob[0])) == (7001, 18)
    assert (alice[0][0], bob[0][0], bob[0][-1]) == ("id", "id", "label")
    assert [row[0] for row in alice] == [row[0] for row in bob]
    assert 0.2 < sum(row[-1] == "1" for row in bob) / 7000 < 0.3


def test_both_sides_are_needed_to_predict_well(plain: dict[str, Any]) -> None:
    alone = max(plain[side][model]["auc"] for side in ("alice", "bob") for model in ("linear", "network"))
    assert plain["pooled"]["linear"]["auc"] > alone + 0.05
    assert plain["pooled"]["network"]["auc"] > plain["pooled"]["linear"]["auc"] + 0.003


# ---- reading a file -------------------------------------------------------------------------------------------------


def table_text(rows: int = 200, width: int = 3, label: int | None = None, header: bool = True) -> list[list[str]]:
    """A small table as cells: an id, then numbers, with 0 and 1 in column `label`."""
    lines = [[f"c{at}", *(str((at * 7 + column * 3) % 11) for column in range(1, width))] for at in range(rows)]
    for at, line in enumerate(lines):
        if label is not None:
            line[label] = str(at % 2)
    return [["id", *(f"f{column}" for column in range(1, width))], *lines] if header else lines


def write(path: Path, lines: list[list[str]], separator: str = ",") -> Path:
    path.write_text("".join(separator.join(line) + "\n" for line in lines), encoding="utf-8")
    return path


def with_cell(line: int, column: int, text: str) -> Callable[[list[list[str]]], None]:
    def change(lines: list[list[str]]) -> None:
        lines[line - 1][column] = text

    return change


FAULTS = {  # change to a good file -> what the error must say
    "an empty cell": (with_cell(7, 1, ""), "line 7, column 'f1': the cell is empty"),
    "blanks for a cell": (with_cell(7, 1, "  "), "line 7, column 'f1': the cell is empty"),
    "text": (with_cell(9, 2, "secretive"), "line 9, column 'f2': text in a number column"),
    "NaN": (with_cell(9, 2, "NaN"), "line 9, column 'f2': a missing value"),
    "infinity": (with_cell(9, 2, "-inf"), "line 9, column 'f2': an infinite value"),
    "thousands": (with_cell(9, 2, '"1,000"'), "line 9, column 'f2': a number with thousands separators"),
    "decimal comma": (with_cell(9, 2, '"3,5"'), "line 9, column 'f2': a number with a decimal comma"),
    "underscore": (with_cell(9, 2, "1_000"), "line 9, column 'f2': text in a number column"),
    "overflow": (with_cell(9, 2, "1e400"), "line 9, column 'f2': a number beyond 1e100"),
    "a repeated id": (with_cell(31, 0, "c3"), "line 31, column 'id': the same id as on line 5"),
    "a missing id": (with_cell(31, 0, " "), "line 31, column 'id': the cell is empty"),
    "a short row": (lambda lines: lines[11].pop(), "line 12: 2 cells, expected 3"),
    "a long row": (lambda lines: lines[11].append("1"), "line 12: 4 cells, expected 3"),
    "an empty line": (lambda lines: lines.insert(4, []), "line 5: 0 cells, expected 3"),
    "an open quote": (with_cell(6, 1, '"3'), "line 6: this is not valid CSV"),
    "a stray quote": (with_cell(6, 1, '"3"4'), "line 6: this is not valid CSV"),
    "a name twice": (with_cell(1, 2, "f1"), "line 1: column 2 has the name of an earlier one"),
    "a column without name": (with_cell(1, 1, ""), "line 1: column 1 has no name"),
    "too few rows": (lambda lines: lines.__delitem__(slice(50, None)), "49 rows of data, expected at least 200"),
    "nothing": (lambda lines: lines.clear(), "the file is empty"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_with_file_line_and_column(fraud: SimpleNamespace, tmp_path: Path, fault: str) -> None:
    change, said = FAULTS[fault]
    lines = table_text()
    change(lines)
    with pytest.raises(DataError) as caught:
        fraud.data.read(write(tmp_path / "mine.csv", lines))
    assert caught.value.message.startswith("mine.csv")
    assert said in caught.value.message
    assert caught.value.hint
    assert "secretive" not in str(caught.value)


def test_another_separator_is_named(fraud: SimpleNamespace, tmp_path: Path) -> None:
    for mark in ";\t|":
        with pytest.raises(DataError, match="the cells are separated by"):
            fraud.data.read(write(tmp_path / "mine.csv", table_text(), mark))


def test_another_encoding_is_named_with_its_line(fraud: SimpleNamespace, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_bytes("id,größe\nc0,1\n".encode() + "c1,größe\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"mine\.csv, line 3: the text is not UTF-8"):
        fraud.data.read(path)


def test_a_missing_file_and_a_folder_are_data_errors(fraud: SimpleNamespace, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such file"):
        fraud.data.read(tmp_path / "none.csv")
    with pytest.raises(DataError, match="cannot be read"):
        fraud.data.read(tmp_path)


def test_lines_are_counted_through_cells_of_several_lines(fraud: SimpleNamespace, tmp_path: Path) -> None:
    lines = table_text()
    lines[3][0] = '"two\nlines"'
    lines[8][1] = "x"
    with pytest.raises(DataError, match="line 10, column 'f1'"):
        fraud.data.read(write(tmp_path / "mine.csv", lines))


def test_marks_blanks_and_exponents_are_read(fraud: SimpleNamespace, tmp_path: Path) -> None:
    lines = table_text()
    lines[1][1:] = [" 12 ", "1e3"]
    good = fraud.data.read(write(tmp_path / "mine.csv", lines))
    text = (tmp_path / "mine.csv").read_text()
    (tmp_path / "mark.csv").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode() + b"\r\n\r\n")
    marked = fraud.data.read(tmp_path / "mark.csv")
    assert marked.features.equal(good.features)
    assert marked.ids.equal(good.ids)
    lines[1][1:] = ["12", "1000"]
    assert fraud.data.read(write(tmp_path / "mine.csv", lines)).features.equal(good.features)


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("where", ["first", "last"])
@pytest.mark.parametrize("has_id", [True, False])
def test_header_id_and_label_may_be_anywhere_or_nowhere(
    fraud: SimpleNamespace, tmp_path: Path, header: bool, where: str, has_id: bool
) -> None:
    lines = [line[int(not has_id) :] for line in table_text(header=header)]
    for at, line in enumerate(lines):
        cell = "fraud" if header and at == 0 else str(at % 2)
        line.insert(0 if where == "first" else len(line), cell)
    position = {("first", True): 1, ("last", True): 0}.get((where, has_id), False)
    table = fraud.data.read(write(tmp_path / "bob.csv", lines), id=position, label=where)
    assert table.features.shape == (200, 2)
    assert table.labels.flatten().tolist() == [(at + int(header)) % 2 for at in range(200)]
    assert len(table.ids) == (4 if has_id else 0)
    assert table.names[0].startswith("f" if header else "column")


def test_columns_choose_features_or_name_them(fraud: SimpleNamespace, tmp_path: Path) -> None:
    named = write(tmp_path / "named.csv", table_text(width=5))
    bare = write(tmp_path / "bare.csv", table_text(width=5, header=False))
    everything = fraud.data.read(named)
    chosen = fraud.data.read(named, columns=("f3", "f1"))
    assert chosen.names == ("f3", "f1")
    assert chosen.features.equal(everything.features[:, [2, 0]])
    assert fraud.data.read(bare, columns=("id", "a", "b", "c", "d")).features.equal(everything.features)
    with pytest.raises(DataError, match="names 2 columns, the file has 5"):
        fraud.data.read(bare, columns=("id", "a"))
    with pytest.raises(DataError, match="did you mean 'f3'"):
        fraud.data.read(named, columns=("f33",))
    with pytest.raises(DataError, match="there is no such column"):
        fraud.data.read(named, id=5)
    with pytest.raises(DataError, match="both id and label"):
        fraud.data.read(named, label="first")


def test_labels_must_be_zero_or_one_and_both(fraud: SimpleNamespace, tmp_path: Path) -> None:
    lines = table_text(label=2)
    lines[3][2] = "2"
    with pytest.raises(DataError, match="line 4, column 'f2': a label that is neither 0 nor 1"):
        fraud.data.read(write(tmp_path / "bob.csv", lines), label="last")
    for rows, alike in ((200, 40), (2000, fraud.data.EPOCH_ROWS)):
        lines = table_text(rows, label=2)
        for line in lines[5::5][:alike]:
            line[2] = "0"
        with pytest.raises(DataError, match="all alike"):
            fraud.data.read(write(tmp_path / "bob.csv", lines), label="last")
    lines[5][2] = "1"
    assert fraud.data.read(write(tmp_path / "bob.csv", lines), label="last").labels is not None


def test_features_are_standardised_by_the_train_rows_alone(fraud: SimpleNamespace, tmp_path: Path) -> None:
    lines = table_text(width=4)
    for line in lines[1:]:
        line[3] = "5"
    lines[5][1] = "1e9"  # row 4 is the first test row
    table = fraud.data.read(write(tmp_path / "mine.csv", lines))
    train, test = fraud.data.split(200)
    assert test.tolist()[:2] == [4, 9]
    assert sorted(train.tolist() + test.tolist()) == list(range(200))
    torch.testing.assert_close(table.features[train].mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(table.features[train].std(0), torch.tensor([1.0, 1.0, 0.0]), atol=1e-5, rtol=0)
    assert table.features[4, 0] == 8
    assert table.clipped == 1


# ---- two parties ----------------------------------------------------------------------------------------------------


def test_the_order_digest_tells_order_and_boundaries_apart(fraud: SimpleNamespace) -> None:
    digest = fraud.data.order_digest
    assert digest(["a", "b"]).equal(digest(["a", "b"]))
    assert digest(["a", "b"]).dtype == torch.int64
    variants = [["a", "b"], ["b", "a"], ["ab"], ["a", "b", ""], ['a","b'], ["7"], ["007"]]
    assert len({tuple(digest(ids).tolist()) for ids in variants}) == len(variants)
    assert digest([]).shape == (0,)


def test_rows_that_differ_in_number_or_order_stop(fraud: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    data = fraud.data
    data.check_counts(torch.zeros(9, 2), torch.zeros(9, 3))
    with pytest.raises(DataError, match="alice 9 rows, bob 8"):
        data.check_counts(torch.zeros(9, 2), torch.zeros(8, 2))
    data.check_order(torch.tensor(True))
    with pytest.raises(DataError, match="another order"):
        data.check_order(torch.tensor(False))
    assert data.comparable(torch.zeros(4), torch.zeros(4))
    assert not capsys.readouterr().out
    for a, b in ((0, 4), (4, 0), (0, 0)):
        assert not data.comparable(torch.zeros(a), torch.zeros(b))
    assert capsys.readouterr().out.count("unverified") == 3


def party_of(name: str, **inputs: Any) -> SimpleNamespace:
    return SimpleNamespace(name=name, place=0, parties=PARTIES, inputs=inputs, progress=lambda rows, title: rows)


def source_of(path: Path) -> SimpleNamespace:
    return SimpleNamespace(path=path, header=None, id=None, label=None, columns=None)


def test_a_party_without_data_or_bob_without_labels_stops(fraud: SimpleNamespace, pair: tuple[Path, Path]) -> None:
    with pytest.raises(DataError, match="alice brings no input file"):
        fraud.data.load(party_of("alice"))
    with pytest.raises(DataError, match="no label column"):
        fraud.data.load(party_of("bob", customers=source_of(pair[0])))
    assert fraud.data.load(party_of("crypto-producer")).path is None


# ---- two versions of one training -----------------------------------------------------------------------------------


class Opened(ModuleType):
    """A stand-in for tacit: one process plays the party `me` and sees everything; it notes what is revealed to whom."""

    def __init__(self, me: SimpleNamespace, tables: dict[str, Any]) -> None:
        super().__init__("tacit")
        self.me, self.tables = me, tables
        self.revealed: list[tuple[str, str]] = []
        self.connected = False

    def party(self) -> SimpleNamespace:
        return self.me

    def secret(self, value: Any, owner: str | None = None) -> Any:
        if not self.connected:
            torch.manual_seed(SEED)
            self.connected = True
        if owner is None:
            return value
        kind = next(kind for kind, mine in vars(self.tables[self.me.name]).items() if mine is value)
        return vars(self.tables[owner])[kind]

    def reveal(self, value: Any, to: str = "alice", name: str = "") -> Any:
        self.revealed.append((name, to))
        return value if to in (self.me.name, "all") else None


@pytest.fixture
def run_as(
    fraud: SimpleNamespace, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], list[tuple[str, str]]]:
    """Runs train.py as one party; gives back what was revealed to whom."""
    sources = {"alice": source_of(pair[0]), "bob": source_of(pair[1])}
    parties = {name: party_of(name, **({"customers": sources[name]} if name in sources else {})) for name in PARTIES}
    tables = {name: fraud.data.load(party) for name, party in parties.items()}

    def run(name: str) -> list[tuple[str, str]]:
        opened = Opened(parties[name], tables)
        monkeypatch.setitem(sys.modules, "tacit", opened)
        monkeypatch.setattr(fraud.data, "load", lambda party: tables[party.name])
        runpy.run_path(str(FRAUD / "train.py"), run_name="__main__")
        return opened.revealed

    return run


def test_train_and_plain_are_the_same_training_and_bob_sees_the_scores(
    run_as: Callable[[str], Any], plain: dict[str, Any], pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    run_as("bob")
    kept = json.loads(pair[1].with_name("bob-scores.json").read_text())
    assert kept["public_seed"] == SEED
    for model, epochs in (("linear", 4), ("network", 6)):
        assert len(kept[model]["loss"]) == epochs
        for key in ("loss", "epoch_auc", "auc", "accuracy", "scores"):
            assert kept[model][key] == plain["pooled"][model][key]
    said = capsys.readouterr().out
    assert said.count("training loss") == said.count("on the first 256 test rows") == 10
    assert said.count("on all 1,400 test rows") == 2
    assert "linear weight" not in said


def test_alice_sees_the_weights_by_name_and_bobs_by_number(
    run_as: Callable[[str], Any], plain: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    run_as("alice")
    said = capsys.readouterr().out
    lines = {line[:24].strip(): line.split() for line in said.splitlines()}
    weights = plain["pooled"]["linear"]["state"]["weight"][0].tolist()
    assert float(lines["balance"][-2]) == pytest.approx(weights[0], abs=1e-4)
    assert float(lines["bob 16"][-2]) == pytest.approx(weights[31], abs=1e-4)
    assert "declared_income" not in said
    assert "loss" not in said
    assert "AUC" not in said


def test_the_crypto_producer_sees_nothing(run_as: Callable[[str], Any], capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    run_as("crypto-producer")
    assert capsys.readouterr().out == ""


def test_the_job_consents_to_exactly_the_reveals_of_the_program(run_as: Callable[[str], Any]) -> None:
    job = tomllib.loads((FRAUD / "job.toml").read_text())
    allowed = {(reveal["name"], reveal["to"]): reveal["times"] for reveal in job["reveals"]}
    revealed = run_as("crypto-producer")
    assert Counter(revealed) == allowed
    # All test rows only after the last epoch of a model: every further vector of scores would tell more of a customer.
    epoch = [("training loss", "bob"), ("epoch scores", "bob")]
    linear, network = [*epoch * 4, ("test scores", "bob")], [*epoch * 6, ("test scores", "bob")]
    assert revealed == [("same row order", "all"), *linear, *network, ("weights", "alice")]


def test_the_program_fits_on_a_page() -> None:
    assert len((FRAUD / "train.py").read_text().splitlines()) < 60


# ---- what is said afterwards ----------------------------------------------------------------------------------------


def test_auc_is_the_share_of_pairs_in_the_right_order(fraud: SimpleNamespace) -> None:
    torch.manual_seed(7)
    for _ in range(20):
        scores, labels = torch.randint(-4, 5, (30, 1)).float(), torch.randint(0, 2, (30, 1)).float()
        labels[:2, 0] = torch.tensor([0.0, 1.0])
        pairs = [(s, t) for s in scores[labels == 1] for t in scores[labels == 0]]
        slow = sum((s > t).item() + 0.5 * (s == t).item() for s, t in pairs) / len(pairs)
        assert fraud.report.auc(scores, labels) == pytest.approx(slow, abs=1e-12)
    assert fraud.report.accuracy(torch.tensor([1.0, -1.0, 2.0, -2.0]), torch.tensor([1.0, 1.0, 0.0, 0.0])) == 0.5


@pytest.mark.parametrize("bytes_sent", [{"alice": 2_000_000, "bob": 1_500_000, "crypto-producer": 0}, 3_500_000])
def test_the_demo_clears_its_own_files_alone_and_ends_with_the_comparison(
    fraud: SimpleNamespace,
    plain: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    bytes_sent: Any,
) -> None:
    demo, joint = fraud.demo, plain["pooled"]
    for name in (*demo.MADE, "letter.txt"):
        (tmp_path / name).write_text("from before")

    def run(command: list[str], check: bool) -> SimpleNamespace:
        assert {path.name for path in tmp_path.iterdir()} == {"alice.csv", "bob.csv", "letter.txt"}
        kept = {model: {key: joint[model][key] for key in ("auc", "accuracy")} for model in joint}
        cost = {"rounds": 4321, "bytes_sent": bytes_sent, "seconds": 30.0}
        (tmp_path / "bob-scores.json").write_text(json.dumps({"public_seed": SEED, **kept}))
        Path(command[command.index("--report") + 1]).write_text(json.dumps(cost))
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(demo, "RUN", tmp_path)
    monkeypatch.setattr(demo.subprocess, "run", run)
    monkeypatch.setattr(demo, "baselines", lambda alice, bob, seed: plain if seed == SEED else None)
    monkeypatch.setattr(sys, "argv", ["demo.py"])
    monkeypatch.setenv("COLUMNS", "130")
    assert demo.main() == 0
    said = capsys.readouterr().out
    for words in (f"{joint['network']['auc']:.4f}", "4,321 rounds, 3.5 MB", "so it may compare"):
        assert words in said


def test_the_demo_passes_on_the_exit_code_of_a_failed_run(
    fraud: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fraud.demo, "RUN", tmp_path)
    monkeypatch.setattr(fraud.demo.subprocess, "run", lambda command, check: SimpleNamespace(returncode=3))
    monkeypatch.setattr(sys, "argv", ["demo.py"])
    assert fraud.demo.main() == 3
