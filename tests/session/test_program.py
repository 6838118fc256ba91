"""Which files belong to a program: those that its imports reach inside its own folder, wherever that folder lies."""

from __future__ import annotations

import importlib
import importlib.machinery
import os
import py_compile
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import tacit
from tacit.errors import DataError, JobError, Misuse, StorageTrouble
from tacit.session.program import OnlyTheProgram, program_files


def lay(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write the files; the script is train.py."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder / "train.py"


FORMS: dict[str, tuple[dict[str, str], set[str]]] = {
    "import": ({"train.py": "import data", "data.py": ""}, {"data.py"}),
    "several at once": ({"train.py": "import os, a, b as m", "a.py": "", "b.py": ""}, {"a.py", "b.py"}),
    "from": ({"train.py": "from data import load", "data.py": ""}, {"data.py"}),
    "star": ({"train.py": "from data import *", "data.py": ""}, {"data.py"}),
    "inside a function": ({"train.py": "def f():\n    import data", "data.py": ""}, {"data.py"}),
    "behind a condition": ({"train.py": "if False:\n    import data", "data.py": ""}, {"data.py"}),
    "in turn": ({"train.py": "import a", "a.py": "import b", "b.py": "import c", "c.py": ""}, {"a.py", "b.py", "c.py"}),
    "in a circle": ({"train.py": "import a", "a.py": "import b", "b.py": "import a, train"}, {"a.py", "b.py"}),
    "package": ({"train.py": "import p", "p/__init__.py": ""}, {"p/__init__.py"}),
    "module of a package": ({"train.py": "import p.m", "p/__init__.py": "", "p/m.py": ""}, {"p/__init__.py", "p/m.py"}),
    "from a package": ({"train.py": "from p import m", "p/__init__.py": "", "p/m.py": ""}, {"p/__init__.py", "p/m.py"}),
    "package without init": ({"train.py": "from p.q import m", "p/q/m.py": ""}, {"p/q/m.py"}),
    "deep": (
        {"train.py": "from a.b.c import d", **dict.fromkeys(
            ("a/__init__.py", "a/b/__init__.py", "a/b/c/__init__.py", "a/b/c/d.py"), ""
        )},
        {"a/__init__.py", "a/b/__init__.py", "a/b/c/__init__.py", "a/b/c/d.py"},
    ),
    "relative": (
        {"train.py": "import p.m", "p/__init__.py": "", "p/m.py": "from . import n\nfrom .n import x", "p/n.py": ""},
        {"p/__init__.py", "p/m.py", "p/n.py"},
    ),
    "relative, from the package itself": (
        {"train.py": "import p", "p/__init__.py": "from .m import x", "p/m.py": ""}, {"p/__init__.py", "p/m.py"},
    ),
    "relative, two up": (
        {"train.py": "import p.q.m", "p/q/m.py": "from ..n import x\nfrom .. import o", "p/n.py": "", "p/o.py": ""},
        {"p/q/m.py", "p/n.py", "p/o.py"},
    ),
    "absolute, from inside a package": (
        {"train.py": "import p.m", "p/m.py": "import data", "data.py": "", "p/data.py": ""}, {"p/m.py", "data.py"},
    ),
    "not imported": ({"train.py": "import torch, data_of_others", "data.py": "", "notes.txt": ""}, set()),
    "only mentioned": ({"train.py": "x = 'import data'  # import data", "data.py": ""}, set()),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_imports_inside_the_folder_are_found_in_every_form(tmp_path: Path, form: str) -> None:
    files, expected = FORMS[form]
    assert set(program_files(lay(tmp_path, files))) == {"train.py", *expected}


def test_two_folders_with_the_same_files_give_the_same_answer(tmp_path: Path) -> None:
    files = {"train.py": "import data\nimport p.m", "data.py": "x = 1", "p/m.py": "from . import n", "p/n.py": ""}
    here, there = lay(tmp_path / "here", files), lay(tmp_path / "a" / "b" / "th ere", files)
    assert program_files(here) == program_files(there)
    assert list(program_files(here)) == sorted(program_files(here))


def test_a_relative_path_gives_the_same_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = lay(tmp_path / "job", {"train.py": "import data", "data.py": ""})
    monkeypatch.chdir(tmp_path)
    assert program_files(Path("job/train.py")) == program_files(script)
    monkeypatch.chdir(script.parent)
    assert program_files(Path("train.py")) == program_files(script)


@pytest.mark.parametrize("changed", ["train.py", "data.py", "p/__init__.py", "p/m.py"])
def test_one_changed_byte_in_any_file_changes_its_digest_and_no_other(tmp_path: Path, changed: str) -> None:
    files = {"train.py": "import data, p.m", "data.py": "x = 1", "p/__init__.py": "", "p/m.py": "y = 2"}
    before = program_files(lay(tmp_path / "before", files))
    after = program_files(lay(tmp_path / "after", {**files, changed: files[changed] + " "}))
    assert {name for name in before if before[name] != after[name]} == {changed}
    assert all(len(value) == 64 for value in before.values())


def test_files_outside_the_folder_are_not_the_programs(tmp_path: Path) -> None:
    outside = "from ...outside import x\nfrom ... import y"
    script = lay(tmp_path / "job", {"train.py": "import p.m, os, tacit", "p/m.py": outside})
    lay(tmp_path, {"outside.py": "", "y.py": ""})
    assert set(program_files(script)) == {"train.py", "p/m.py"}


def test_a_linked_file_counts_with_its_content(tmp_path: Path) -> None:
    script = lay(tmp_path / "job", {"train.py": "import data"})
    lay(tmp_path / "shared", {"data.py": "x = 1"})
    os.symlink(tmp_path / "shared" / "data.py", script.parent / "data.py")
    before = program_files(script)
    assert set(before) == {"train.py", "data.py"}
    lay(tmp_path / "shared", {"data.py": "x = 2"})
    assert program_files(script)["data.py"] != before["data.py"]


def test_a_declared_encoding_is_honoured(tmp_path: Path) -> None:
    script = lay(tmp_path, {"train.py": b"# -*- coding: latin-1 -*-\nname = '\xe9'\nimport data\n", "data.py": ""})
    assert set(program_files(script)) == {"train.py", "data.py"}


BROKEN = {
    "a syntax error": (b"x = 1\ndef f(:\n", "line 2"),
    "a null byte": (b"x = 1\x00\n", ""),
    "no text": (b"\xff\xfe\x00", ""),
    "too deep": (b"(" * 5_000 + b")" * 5_000, ""),
}


@pytest.mark.parametrize("what", BROKEN)
@pytest.mark.parametrize("where", ["train.py", "data.py"])
def test_a_file_that_is_no_python_is_named_with_its_line(tmp_path: Path, what: str, where: str) -> None:
    content, line = BROKEN[what]
    script = lay(tmp_path, {"train.py": "import data", "data.py": "", where: content})
    with pytest.raises(DataError, match=where) as caught:
        program_files(script)
    assert line in caught.value.message
    assert caught.value.hint


def test_a_script_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageTrouble, match=r"train\.py"):
        program_files(tmp_path / "train.py")


def _run(folder: Path, *files: str) -> subprocess.CompletedProcess[str]:
    """Run folder/train.py as a party runs it, after the files were digested."""
    code = (
        "import sys; from pathlib import Path; from tacit.session.program import OnlyTheProgram, program_files; "
        "script = Path('train.py').absolute(); OnlyTheProgram(script, program_files(script)).install(); "
        "sys.path.insert(0, str(script.parent)); import runpy; runpy.run_path(str(script), run_name='__main__')"
    )
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)


def test_bytecode_left_beside_an_honest_source_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("import helper; print(helper.WHO)\n")
    (tmp_path / "helper.py").write_text("WHO = 'another'\n")
    cache = tmp_path / "__pycache__" / f"helper.{sys.implementation.cache_tag}.pyc"
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH  # never compared with the source
    py_compile.compile(str(tmp_path / "helper.py"), str(cache), invalidation_mode=mode, doraise=True)
    (tmp_path / "helper.py").write_text("WHO = 'honest'\n")
    done = _run(tmp_path)
    assert (done.stdout, done.stderr) == ("honest\n", "")


@pytest.mark.parametrize("trick", ["import importlib; importlib.import_module('hidden')", "__import__('hidden')"])
def test_a_file_of_the_folder_that_was_not_compared_is_not_run(tmp_path: Path, trick: str) -> None:
    (tmp_path / "train.py").write_text(f"{trick}\n")
    (tmp_path / "hidden.py").write_text("print('hidden ran')\n")
    done = _run(tmp_path)
    assert "hidden ran" not in done.stdout
    assert "not among the files that the parties compare" in done.stderr


def test_packages_of_the_folder_and_installed_modules_still_import(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(
        "from parts import one; from parts.deep.two import B; import json, numpy\nprint(one.A + B)\n"
    )
    (tmp_path / "parts" / "deep").mkdir(parents=True)
    (tmp_path / "parts" / "__init__.py").write_text("")
    (tmp_path / "parts" / "one.py").write_text("A = 1\n")
    (tmp_path / "parts" / "deep" / "two.py").write_text("B = 2\n")
    done = _run(tmp_path)
    assert (done.stdout, done.stderr) == ("3\n", "")


def test_a_file_that_changed_after_it_was_read_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("print('as read')\n")
    (tmp_path / "train.py").write_text(
        "from pathlib import Path\nPath('helper.py').write_text('print(1)')\nimport helper\n"
    )
    done = _run(tmp_path)
    assert "changed after the program was read" in done.stderr
    assert done.stdout == ""


def load(script: Path, name: str, meanwhile: Callable[[], object] = lambda: None) -> object:
    """`x` of a module that a process of its own imports as the program would."""

    def program() -> object:
        files = program_files(script)
        meanwhile()
        OnlyTheProgram(script, files).install()
        sys.path.insert(0, str(script.parent))
        return importlib.import_module(name).x

    return tacit.simulate(program, parties=1, protocol="plain")[0]


def test_a_file_inside_a_package_of_the_folder_is_watched_too(tmp_path: Path) -> None:
    files = {"train.py": "import p", "p/__init__.py": "x = 1", "p/hidden.py": "x = 1", "q/hidden.py": "x = 1"}
    script = lay(tmp_path, files)
    assert load(script, "p") == 1
    for name in ("p.hidden", "q.hidden"):
        with pytest.raises(JobError, match=name) as caught:
            load(script, name)
        assert caught.value.hint


def test_a_script_that_changed_since_it_was_read_is_refused(tmp_path: Path) -> None:
    script = lay(tmp_path, {"train.py": "import data", "data.py": "x = 1"})
    with pytest.raises(Misuse, match=r"train\.py changed"):
        load(script, "data", meanwhile=lambda: lay(tmp_path, {"train.py": "import data "}))


def test_a_compiled_module_does_not_take_the_place_of_a_source(tmp_path: Path) -> None:
    script = lay(tmp_path, {"train.py": "import data", "data.py": "x = 1"})
    lay(tmp_path, {f"data{importlib.machinery.EXTENSION_SUFFIXES[0]}": b"\x7fELF"})
    with pytest.raises(JobError, match="data"):
        load(script, "data")
