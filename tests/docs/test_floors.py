"""The map shows the tree that there is, and its floors are those that the import checker enforces."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "design" / "floors.md").read_text(encoding="utf-8")
SOURCE = ROOT / "src" / "tacit"


def test_every_module_is_on_the_map() -> None:
    modules = {str(path.relative_to(SOURCE)) for path in SOURCE.rglob("*.py")}
    own = {name for name in modules if not name.endswith("/__init__.py")}
    assert own - set(_mentioned()) == set()


def test_no_module_is_on_the_map_that_does_not_exist() -> None:
    assert [name for name in _mentioned() if not (SOURCE / name).is_file()] == []


def test_no_path_of_a_training_step_leads_nowhere() -> None:
    steps = re.findall(r"`((?:ring|crypto|net|session|protocols|functions|tensor|cli)/\w+)`", PAGE)
    assert steps
    assert [step for step in steps if not (SOURCE / f"{step}.py").is_file()] == []


def test_the_floors_are_those_that_are_enforced() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        (contract,) = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    drawn = re.findall(r"^    \d   (\w+(?: \| \w+)*)", PAGE, re.MULTILINE)
    assert drawn == contract["layers"]


def _mentioned() -> list[str]:
    return re.findall(r"`((?:\w+/)*\w+\.py)`", PAGE)
