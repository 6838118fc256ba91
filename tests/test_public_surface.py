"""What a user can name, and what an installed copy contains."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import tacit

ROOT = Path(__file__).resolve().parents[1]


def test_the_public_verbs_are_these_and_no_others() -> None:
    assert tacit.__all__ == ["errors", "party", "reveal", "secret", "simulate"]
    assert dir(tacit) == tacit.__all__
    assert all(callable(getattr(tacit, name)) for name in tacit.__all__ if name != "errors")


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'share'"):
        tacit.share  # noqa: B018


def test_the_command_line_answers_without_loading_torch() -> None:
    code = "import sys; from tacit.cli.main import group; group(['--help'], standalone_mode=False); " \
           "assert 'torch' not in sys.modules and 'cryptography' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "keygen" in done.stdout


def test_importing_tacit_loads_nothing_but_its_errors() -> None:
    code = "import sys, tacit; print(sorted(name for name in sys.modules if name.startswith('tacit')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['tacit', 'tacit.errors']"


def test_a_wheel_builds_and_its_contents_run(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet", "-w", str(tmp_path)]
    done = subprocess.run([*build, str(ROOT)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("tacit-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "installed")
    assert any(name.endswith("LICENSE") for name in names)
    assert "tacit/py.typed" in names
    assert not [name for name in names if name.startswith(("tests", "examples", "docs"))]
    code = (
        f"import tacit; assert tacit.__file__.startswith({str(tmp_path)!r}); import torch;"
        "print(tacit.simulate(lambda: tacit.reveal(tacit.secret(torch.ones(2), owner=0) * 3, to=1))[1].tolist())"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert ran.stdout.strip().endswith("[3.0, 3.0]"), ran.stdout + ran.stderr
