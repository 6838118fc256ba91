"""What a person reads when a program stops: the line of the program, and no frames of tacit around it."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest
from click.testing import CliRunner

from tacit.cli.keys import trust
from tacit.cli.main import traceback_of_program
from tacit.cli.script import run_script
from tacit.crypto.identity import throwaway
from tacit.errors import DataError, KeyStoreError, RefusedOp
from tacit.session.program import program_files


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("sys.path", ["", *__import__("sys").path])
    monkeypatch.setattr("sys.meta_path", [*__import__("sys").meta_path])
    monkeypatch.setattr("sys.argv", [])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(folder: Path, text: str) -> None:
    script = folder / "program.py"
    script.write_text(text)
    run_script(script, program_files(script))


def test_an_error_of_tacit_names_the_line_of_the_program(folder: Path) -> None:
    with pytest.raises(RefusedOp) as caught:
        run(folder, "from tacit.tensor.secret import _refuse\n\n_refuse('do that')\n")
    assert caught.value.message.startswith("program.py:3: cannot do that")


def test_an_error_that_the_program_words_itself_is_left_alone(folder: Path) -> None:
    with pytest.raises(DataError) as caught:
        run(folder, "from tacit.errors import DataError\nraise DataError('alice.csv, line 2: empty')\n")
    assert caught.value.message == "alice.csv, line 2: empty"


def test_a_fault_of_the_program_is_shown_from_its_own_first_line_on(folder: Path) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        run(folder, "def half(x):\n    return x / 0\n\nhalf(1)\n")
    here = traceback_of_program(caught.value)
    assert "script.py" not in here
    assert "runpy" not in here
    assert [line in here for line in ("line 4, in <module>", "line 2, in half", "ZeroDivisionError")] == [True] * 3
    # A party in a process of its own leaves its traceback as a note.
    elsewhere = ZeroDivisionError("division by zero")
    elsewhere.add_note("in the process of bob:\n" + "".join(traceback.format_exception(caught.value)))
    assert traceback_of_program(elsewhere) == "in the process of bob:\n" + here


def test_a_fault_of_tacit_keeps_every_frame() -> None:
    with pytest.raises(AttributeError) as caught:
        program_files(None)  # type: ignore[arg-type]
    assert "in program_files" in traceback_of_program(caught.value)


def test_a_wrong_fingerprint_is_refused_also_for_a_key_that_is_trusted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TACIT_HOME", str(folder / "home"))
    public = throwaway("bob").public
    (folder / "bob.pub").write_bytes(public.encode())
    assert CliRunner().invoke(trust, ["bob.pub", "--fingerprint", public.fingerprint]).exit_code == 0
    again = CliRunner().invoke(trust, ["bob.pub", "--fingerprint", "-".join(["aaaa"] * 8)])
    assert isinstance(again.exception, KeyStoreError)
