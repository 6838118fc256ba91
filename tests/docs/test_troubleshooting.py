"""The page on errors: one entry for each class, and each message shown there is one that tacit really writes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from kit import provoked
from kit.guide import blocks
from kit.provoked import PROVOKED, Provoke
from tacit import errors
from tacit.errors import TacitError

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "troubleshooting.md"
FAMILY = {name: kind for name, kind in vars(errors).items() if inspect.isclass(kind) and issubclass(kind, TacitError)}
FOLDER = "/home/alice/fraud"  # what the page calls the folder that a test runs in


def entries() -> dict[str, str]:
    """Class name -> text of its entry."""
    parts = re.split(r"^#{2,4} `?(\w+)`?$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def examples() -> Iterator[str]:
    """Every message on the page."""
    return (block.text.strip() for block in blocks(PAGE) if block.language == "text")


def bare(text: str, folder: Path) -> str:
    """A message without what differs from run to run: numbers, folder, program, how a call failed, rows to come."""
    text = text.replace(str(folder), FOLDER).replace(Path(provoked.__file__).name, "train.py")
    for varying in ("the last time: ", "the nearest rows are "):
        text = re.sub(rf"{varying}[^;\n]*", varying, text)
    text = re.sub(r"(?<=\d)(st|nd|rd|th)\b", "th", text)
    return re.sub(r"\d+(\.\d+)?", "#", text)


def said(provoke: Provoke, folder: Path) -> str:
    """What the screen shows for the error that `provoke` meets."""
    with pytest.raises(TacitError) as caught:
        provoke(folder)
    error = caught.value
    return f"{type(error).__name__}: {error}"


@pytest.fixture(autouse=True)
def same_generator_afterwards() -> Iterator[None]:
    state = torch.get_rng_state()
    yield
    torch.set_rng_state(state)


@pytest.mark.parametrize("name", FAMILY)
def test_every_class_has_an_entry(name: str) -> None:
    entry = entries()[name]
    if not FAMILY[name].__subclasses__():
        for part in ("**You see**", "**Why**", "**Do**"):
            assert part in entry, f"{name}: no {part}"


def test_every_entry_is_a_class() -> None:
    assert set(entries()) == set(FAMILY)


@pytest.mark.parametrize(("kind", "provoke"), PROVOKED, ids=[function.__name__ for _, function in PROVOKED])
def test_the_message_is_shown_in_the_entry_of_its_class(kind: str, provoke: Provoke, tmp_path: Path) -> None:
    message = said(provoke, tmp_path)
    assert message.startswith(f"{kind}: ")
    shown = [bare(text, tmp_path) for text in re.findall(r"```text\n(.*?)\n```", entries()[kind], re.DOTALL)]
    assert bare(message, tmp_path) in shown, f"the entry {kind} does not show\n{message}"


def test_no_message_is_shown_that_tacit_does_not_write(tmp_path: Path) -> None:
    written = set()
    for number, (_, provoke) in enumerate(PROVOKED):
        folder = tmp_path / str(number)
        folder.mkdir()
        written.add(bare(said(provoke, folder), folder))
    assert [text for text in examples() if bare(text, tmp_path) not in written] == []


def test_exit_codes_are_those_of_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name in ("Misuse", "PeerFault", "Trouble"):
        assert re.search(rf"^\| {FAMILY[name].exit_code} \|.*`{name}`", text, re.MULTILINE), name
