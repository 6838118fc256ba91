"""docs/generated/ops.md from the table of operators. Without arguments: fail if it is stale. `--write`: write it."""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

from tacit.tensor.table import OPS, Refusal, Row

PAGE = Path(__file__).resolve().parent.parent / "docs" / "generated" / "ops.md"

HEAD = """# Operators on secret tensors

Written by `tools/ops_page.py` from `src/tacit/tensor/table.py`; `make docs` writes it anew.

PyTorch reduces a program to operators of its library `aten`; these are the ones that tacit answers. Layers, losses and
optimisers need no entry of their own: what counts is which operators they call. An operator that is not listed stops
the program and is named, with the module that called it and the nearest rows. Nothing is ever computed in plain text
instead.

*Error* is the largest difference from exact arithmetic on the shared values, in units of 2^-16 (the smallest step of
the default number format) per unit of magnitude of the operands and the result; 0 means exact. Every row is tested
against PyTorch, forward and backward.
"""

KINDS = {
    "view": ("Views", "They share memory with their argument, as in PyTorch. No messages."),
    "move": ("Moves and copies", "The same entries elsewhere. No messages; indices must be public."),
    "constant": ("Constants", "Their values are public until something secret is written into them. No messages."),
    "sum": ("Sums and scalings", "No messages, except where a factor has a fraction: then one truncation."),
    "product": ("Products", "One exchange for two secrets, and a truncation unless one of them is whole."),
    "comparison": ("Comparisons", "About ten rounds for a comparison of any number of entries; results are exact."),
    "largest": ("The largest", "A tournament: a comparison and a selection for each doubling of the entries; exact."),
    "curve": ("Curves", "A comparison and a public table of polynomials, read at a secret place."),
    "classes": ("Classes", "The largest, exponentials, and one reciprocal or logarithm for each row."),
    "list": ("Lists", "All entries of all tensors in the rounds of one; optimisers of secret parameters use these."),
    "loss": ("Losses", "Computed when somebody reveals the value; no backward pass needs it."),
}


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(_section(kind) for kind in KINDS), _refusals()])


def _section(kind: str) -> str:
    title, about = KINDS[kind]
    groups: dict[tuple[str, float], list[str]] = defaultdict(list)
    for op, row in OPS.items():
        if isinstance(row, Row) and row.kind == kind:
            groups[_summary(row), row.units].append(_name(op))
    lines = [f"## {title}", "", about, "", "| operators | meaning | error |", "|---|---|---|"]
    entries = sorted((sorted(names), summary, units) for (summary, units), names in groups.items())
    lines += [f"| {' '.join(f'`{name}`' for name in names)} | {_cell(summary)} | {units:g} |"
              for names, summary, units in entries]
    return "\n".join(lines) + "\n"


def _refusals() -> str:
    lines = ["## Refused", "", "| operators | why | instead |", "|---|---|---|"]
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for op, row in OPS.items():
        if isinstance(row, Refusal):
            groups[row.reason, row.instead].append(_name(op))
    entries = sorted((sorted(names), reason, instead) for (reason, instead), names in groups.items())
    lines += [f"| {' '.join(f'`{name}`' for name in names)} | {_cell(reason)} | {_cell(instead)} |"
              for names, reason, instead in entries]
    return "\n".join(lines) + "\n"


def _summary(row: Row) -> str:
    document = (row.run.__doc__ or "").strip()
    assert document, f"{row.run} has no docstring to print"
    return document.splitlines()[0]


def _name(op: object) -> str:
    return str(op).removeprefix("aten.").removesuffix(".default")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main(arguments: list[str]) -> int:
    """0 if the page is fresh, or was written."""
    if arguments == ["--write"]:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    if arguments:
        print(__doc__)
        return 2
    if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page():
        print(f"{PAGE.name} is stale: run  make docs  and commit the page")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
