"""The guides do what they say: each block is run, and what they show is what is printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from kit.guide import Reader, blocks

ROOT = Path(__file__).parents[2]
FIRST = ROOT / "docs" / "guide" / "first-secret-training.md"
CLASSES = ROOT / "docs" / "guide" / "secret-classes.md"


@pytest.mark.filterwarnings("default")  # what torch warns of in somebody's script is not this project's to fix
def test_the_first_secret_training_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    generator = torch.get_rng_state()
    reader = Reader(tmp_path, monkeypatch)
    try:
        for block in blocks(FIRST):
            reader.do(block)
    finally:
        torch.set_rng_state(generator)
    assert (tmp_path / "alice" / "model.safetensors").exists()
    assert not list((tmp_path / "bob").glob("*.safetensors"))


@pytest.mark.filterwarnings("default")
def test_classes_that_stay_secret_are_learned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.get_rng_state()
    reader = Reader(tmp_path, monkeypatch)
    try:
        for block in blocks(CLASSES):
            reader.do(block)
    finally:
        torch.set_rng_state(generator)
    (right,) = re.findall(r"tensor\((\d+)", reader.printed[""])
    assert int(right) >= 85


@pytest.mark.parametrize("page", [FIRST, CLASSES], ids=lambda page: page.stem)
def test_every_block_of_the_guide_says_what_it_is(page: Path) -> None:
    kinds = {"python", "toml", "sh", "text"}
    assert [block for block in blocks(page) if block.language not in kinds] == []
    assert [b for b in blocks(page) if b.language in ("python", "toml") and not re.fullmatch(r"[\w.]+", b.word)] == []


def test_the_program_in_the_readme_is_the_one_that_the_guide_runs() -> None:
    (readme,) = (block for block in blocks(ROOT / "README.md") if block.language == "python")
    (guide,) = (block for block in blocks(FIRST) if block.word == "simulated.py")
    assert readme.text == guide.text
    assert len(readme.text.strip().splitlines()) <= 20


def test_the_readme_gives_the_two_commands_before_it_speaks_of_cryptography() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8").lower()
    prose = ("share", "crypto", "key", "protocol", "semi-honest", "tls")
    first = min(text.index(word) for word in prose if word in text)
    assert text.index("make demo") < first
    assert text.index("make test") < first


@pytest.mark.parametrize("page", sorted(path for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"),
                                                          *ROOT.glob("examples/**/*.md")]), ids=lambda p: p.name)
def test_every_link_leads_to_a_file(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert [link for link in links if link and not (page.parent / link).exists()] == []
