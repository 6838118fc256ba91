"""`tacit run`: what its options mean together, which job it finds, and how it ends."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from time import monotonic

import click
import pytest

from kit.machines import NAMES, PROGRAMS, ROWS
from kit.processes import gone
from tacit import errors
from tacit.cli import main as command_line
from tacit.cli import run
from tacit.session import launch

JOB = """
version = 1
model_out = "model.safetensors"
[deadlines]
receive_s = 10
[parties.alice]
address = "127.0.0.1:7101"
[parties.alice.inputs.table]
path = "alice.csv"
[parties.bob]
address = "127.0.0.1:7102"
[parties.bob.inputs.table]
path = "bob.csv"
[parties.crypto-producer]
[[reveals]]
name = "loss"
to = "bob"
[[reveals]]
name = "weights"
to = "alice"
"""
ALL = ",".join(NAMES)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program, its job and both tables, in the working folder."""
    monkeypatch.chdir(tmp_path)
    for program in PROGRAMS.glob("*.py"):
        shutil.copy(program, tmp_path)
    for name, values in ROWS.items():
        rows = [f"{name}-{number},{value}" for number, value in enumerate(values)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["id,value", *rows]) + "\n")
    (tmp_path / "job.toml").write_text(JOB)
    return tmp_path


class Screen:
    """What one call of the command left."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    def error(self, kind: type[errors.TacitError]) -> str:
        """The one error on the screen, which must be of this kind."""
        assert "Traceback" not in self.err
        first, hint = self.err.splitlines()
        assert first.startswith(f"{kind.__name__}: ")
        assert hint.startswith("  hint: ")
        assert self.code == kind.exit_code
        return self.err


@pytest.fixture
def tacit_(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    """Call the command as the shell would: words in, exit code and screen out."""

    def call(*words: str) -> Screen:
        monkeypatch.setattr(sys, "argv", ["tacit", *words])
        try:
            command_line.main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)  # as the interpreter does
        return Screen(code, *capsys.readouterr())

    return call


# ---- options --------------------------------------------------------------------------------------------------------

MISUSES: dict[str, tuple[tuple[str, ...], type[errors.TacitError], str]] = {
    "nobody": (("train.py",), errors.Misuse, "--parties"),
    "both": (("train.py", "--parties", ALL, "--as", "alice"), errors.Misuse, "one of the two"),
    "no program": (("tarin.py", "--parties", ALL), errors.Misuse, "tarin.py"),
    "whose input": (("train.py", "--parties", ALL, "--input", "alice.csv"), errors.Misuse, "--as NAME"),
    "no such job": (("train.py", "--as", "alice", "--job", "jbo.toml"), errors.JobError, "jbo.toml"),
    "no such party": (("train.py", "--as", "alicia"), errors.JobError, "did you mean alice?"),
    "two of three": (("train.py", "--parties", "alice,bob"), errors.JobError, "crypto-producer"),
    "one twice": (("train.py", "--parties", "alice,bob,bob"), errors.JobError, "twice"),
    "a stranger": (("train.py", "--parties", "alice,bob,carol"), errors.JobError, "carol"),
    "no name at all": (("train.py", "--parties", ""), errors.JobError, "name"),
    "no address": (("train.py", "--as", "alice"), errors.JobError, 'add  address = "host:port"'),
    "a report nowhere": (("train.py", "--parties", ALL, "--report", "no/r.json"), errors.StorageTrouble, "no/r.json"),
    "a report that is a folder": (("train.py", "--parties", ALL, "--report", "."), errors.StorageTrouble, "report"),
    "an input that is not there": (("train.py", "--as", "alice", "--input", "no.csv"), errors.StorageTrouble, "no.csv"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISUSES)
def test_a_mistake_in_the_options_is_one_error_with_a_hint(tacit_, homes: dict[str, Path], monkeypatch, mistake: str):  # type: ignore[no-untyped-def]
    monkeypatch.setenv("TACIT_HOME", str(homes["alice"]))
    words, kind, part = MISUSES[mistake]
    assert part in tacit_("run", *words).error(kind)


@pytest.mark.parametrize("words", [("run",), ("run", "train.py", "--partys", "x"), ("rn",), ("run", "a.py", "more")])
def test_a_word_that_the_command_does_not_know_is_exit_code_2_without_a_traceback(tacit_, words: tuple[str, ...]):  # type: ignore[no-untyped-def]
    screen = tacit_(*words)
    assert screen.code == 2
    assert "Usage" in screen.err
    assert "Traceback" not in screen.err


@pytest.mark.parametrize("faulty", ['protocol = "plain"', 'protocol = "dealer"'])
def test_a_protocol_that_does_not_protect_or_exist_is_refused(folder: Path, tacit_, faulty: str):  # type: ignore[no-untyped-def]
    (folder / "job.toml").write_text(JOB.replace("version = 1", f"version = 1\n{faulty}"))
    assert "use one of: replicated3" in tacit_("run", "train.py", "--parties", ALL).error(errors.JobError)


def test_with_parties_every_input_must_be_here_and_with_as_only_ones_own(folder: Path, tacit_, homes, monkeypatch):  # type: ignore[no-untyped-def]
    (folder / "bob.csv").unlink()
    assert "bob.csv" in tacit_("run", "train.py", "--parties", ALL).error(errors.StorageTrouble)
    monkeypatch.setenv("TACIT_HOME", str(homes["alice"]))
    assert "no address" in tacit_("run", "train.py", "--as", "alice").error(errors.JobError)  # past the check of inputs


KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_has_its_exit_code_and_none_is_success(tacit_, monkeypatch, kind: type[errors.TacitError]):  # type: ignore[no-untyped-def]
    def fail(**options: object) -> None:
        raise kind("what \x1b[0m happened", hint="what to do")

    monkeypatch.setattr(command_line, "group", fail)
    screen = tacit_()
    families = {errors.Misuse: 2, errors.PeerFault: 3, errors.Trouble: 4}
    assert screen.code == next((code for family, code in families.items() if issubclass(kind, family)), 1)
    assert screen.err.splitlines()[1:] == ["  hint: what to do"]


@pytest.mark.parametrize("end", [KeyboardInterrupt, click.Abort])
def test_an_interruption_is_exit_code_130(tacit_, monkeypatch, end: type[BaseException]):  # type: ignore[no-untyped-def]
    def fail(**options: object) -> None:
        raise end

    monkeypatch.setattr(command_line, "group", fail)
    screen = tacit_()
    assert (screen.code, screen.err) == (130, "interrupted\n")


def test_help_needs_neither_torch_nor_keys() -> None:
    source = "import sys, tacit.cli.main as m; m.group(['run', '--help'], standalone_mode=False); " \
        "sys.exit('torch' in sys.modules or 'cryptography' in sys.modules)"  # fmt: skip
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    assert done.returncode == 0
    assert "--parties" in done.stdout


# ---- which job ------------------------------------------------------------------------------------------------------


def test_the_job_beside_the_script_counts_unless_another_is_named(folder: Path) -> None:
    other = folder / "other.toml"
    other.write_text(JOB.replace("receive_s = 10", "receive_s = 11"))
    script = folder / "train.py"
    assert run.find_job(script, None, None).deadlines.receive_s == 10
    assert run.find_job(script, other, None).deadlines.receive_s == 11


def test_a_map_replaces_addresses_and_nothing_else(folder: Path) -> None:
    addresses = folder / "map.json"
    addresses.write_text(json.dumps({name: f"10.0.0.{place}:7000" for place, name in enumerate(reversed(NAMES))}))
    job = run.find_job(folder / "train.py", addresses, None)
    assert job.names == NAMES
    assert [str(address) for address in job.addresses().values()] == ["10.0.0.2:7000", "10.0.0.1:7000", "10.0.0.0:7000"]
    assert job.allows("loss", "bob")
    assert job.party("alice").inputs["table"].path == folder / "alice.csv"
    (folder / "job.toml").unlink()
    alone = run.find_job(folder / "train.py", addresses, None)
    assert alone.names == tuple(reversed(NAMES))
    assert alone.model_to == "alice"
    assert alone.allows("loss", "bob") is None


def test_a_map_with_other_names_than_the_job_is_refused(folder: Path) -> None:
    addresses = folder / "map.json"
    addresses.write_text('{"alice": "a:1", "bob": "b:1", "carol": "c:1"}')
    with pytest.raises(errors.JobError, match="carol"):
        run.find_job(folder / "train.py", addresses, None)


def test_parties_on_this_machine_keep_everything_of_the_job_but_the_addresses(folder: Path) -> None:
    job = run.find_job(folder / "train.py", None, " bob , alice,crypto-producer")
    assert job.names == NAMES
    assert {party.address for party in job.parties} == {None}
    assert job.allows("weights", "alice")
    (folder / "job.toml").unlink()
    assert run.find_job(folder / "train.py", None, "bob,alice,carol").names == ("bob", "alice", "carol")


def test_an_input_of_the_command_line_replaces_the_one_of_the_job(folder: Path) -> None:
    job = run.find_job(folder / "train.py", None, None)
    assert run._input_name(job, "alice") == "table"
    assert run._input_name(job, "crypto-producer") == "input"
    with pytest.raises(errors.JobError, match="2 inputs"):
        run._input_name(job.with_input("alice", "more.csv"), "alice")


# ---- the report -----------------------------------------------------------------------------------------------------


def test_a_report_is_replaced_as_a_whole_or_not_at_all(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "report.json"
    run.write_report(path, {"rounds": 1})
    run.write_report(path, {"rounds": 2})
    assert json.loads(path.read_text()) == {"rounds": 2}
    before = set(folder.iterdir())

    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(errors.StorageTrouble, match="No space left"):
        run.write_report(path, {"rounds": 3})
    assert json.loads(path.read_text()) == {"rounds": 2}
    assert set(folder.iterdir()) == before


# ---- all parties here -----------------------------------------------------------------------------------------------


def test_all_parties_here_share_one_screen_and_one_report(folder: Path, tacit_):  # type: ignore[no-untyped-def]
    screen = tacit_("run", "train.py", "--parties", ALL, "--report", "report.json")
    assert (screen.code, screen.err) == (0, "")
    assert "mutual TLS 1.3, throw-away keys" in screen.out
    assert "semi-honest; any two parties together can read everything" in screen.out
    for name in NAMES:
        assert f"{name.rjust(15)} | at step 5" in screen.out
    assert "            bob | loss" in screen.out
    assert screen.out.count("| loss") == 1
    report = json.loads((folder / "report.json").read_text())
    assert set(report["bytes_sent"]) == set(NAMES)
    assert [entry["name"] for entry in report["disclosures"]] == ["loss", "weights"]
    assert report["completed"] is True
    assert (folder / "model.safetensors").is_file()
    again = tacit_("run", "train.py", "--parties", ALL)
    assert "model.safetensors exists already" in again.error(errors.OutputExists)


def append(folder: Path, line: str, before: str = "for step in") -> None:
    """Put a line into the program of everybody."""
    script = folder / "train.py"
    text = script.read_text()
    assert text.count(before) == 1
    script.write_text(text.replace(before, f"{line}\n{before}"))


def test_a_fault_of_one_party_is_the_one_error_of_the_command(folder: Path, tacit_):  # type: ignore[no-untyped-def]
    append(folder, 'if party.name == "bob": raise tacit.errors.DataError("bob.csv, line 7", hint="mend it")')
    screen = tacit_("run", "train.py", "--parties", ALL, "--report", "report.json")
    assert "bob.csv, line 7" in screen.error(errors.DataError)
    report = json.loads((folder / "report.json").read_text())
    assert (report["completed"], report["disclosures"]) == (False, [])
    assert not (folder / "model.safetensors").exists()


def test_a_fault_before_anybody_connects_is_not_held_up_by_those_who_wait(
    folder: Path, tacit_, monkeypatch: pytest.MonkeyPatch  # type: ignore[no-untyped-def]
) -> None:
    monkeypatch.setattr(launch, "GRACE_S", 0.5)
    append(folder, 'if party.name == "bob": raise tacit.errors.DataError("line 7", hint="mend it")', "x = tacit")
    begun_s = monotonic()
    tacit_("run", "train.py", "--parties", ALL).error(errors.DataError)
    assert monotonic() - begun_s < 15  # the others would have waited for 30 s to connect


def test_a_fault_of_the_program_is_exit_code_1_with_its_own_traceback(folder: Path, tacit_):  # type: ignore[no-untyped-def]
    append(folder, "1 / 0")
    screen = tacit_("run", "train.py", "--parties", ALL)
    assert screen.code == 1
    assert 'train.py", line' in screen.err
    assert "ZeroDivisionError" in screen.err


def test_a_program_that_says_it_is_done_is_done(folder: Path, tacit_):  # type: ignore[no-untyped-def]
    append(folder, "import sys; sys.exit()")
    screen = tacit_("run", "train.py", "--parties", ALL, "--report", "report.json")
    assert (screen.code, screen.err) == (0, "")
    assert json.loads((folder / "report.json").read_text())["rounds"] > 0


@pytest.mark.parametrize("code", ["3", "'no data today'"])
def test_a_program_that_ends_itself_with_an_error_is_not_a_success(folder: Path, tacit_, code: str):  # type: ignore[no-untyped-def]
    append(folder, f"import sys; sys.exit({code})")
    assert tacit_("run", "train.py", "--parties", ALL).code not in (0, None)


def test_a_party_that_stops_is_named_and_does_not_survive_the_command(
    folder: Path, tacit_, monkeypatch: pytest.MonkeyPatch  # type: ignore[no-untyped-def]
) -> None:
    monkeypatch.setattr(launch, "GRACE_S", 0.5)
    (folder / "job.toml").write_text(JOB.replace("receive_s = 10", "receive_s = 1.5"))
    append(folder, 'import os\nif party.name == "bob": print("pid", os.getpid(), flush=True); os.kill(os.getpid(), 19)')
    begun_s = monotonic()
    screen = tacit_("run", "train.py", "--parties", ALL)
    assert "bob" in screen.error(errors.PeerSilent)
    assert monotonic() - begun_s < 12
    assert gone(int(re.findall(r"bob \| pid (\d+)", screen.out)[0]))
