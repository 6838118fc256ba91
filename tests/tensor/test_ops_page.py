"""The page of operators is what the table says."""

from __future__ import annotations

import runpy
from pathlib import Path

from tacit.tensor.table import OPS, Refusal

ROOT = Path(__file__).resolve().parent.parent.parent
TOOL = runpy.run_path(str(ROOT / "tools" / "ops_page.py"))


def test_the_page_of_operators_is_fresh() -> None:
    assert TOOL["PAGE"].read_text(encoding="utf-8") == TOOL["page"](), "run `make docs` and commit the page"


def test_the_page_names_every_row_and_every_refusal_once() -> None:
    text = TOOL["page"]()
    for op, row in OPS.items():
        name = str(op).removeprefix("aten.").removesuffix(".default")
        assert text.count(f"`{name}`") == 1, name
        assert not isinstance(row, Refusal) or row.instead.replace("|", "\\|") in text


def test_the_tool_fails_on_a_stale_page_and_mends_it(tmp_path: Path) -> None:
    main = TOOL["main"]
    main.__globals__["PAGE"] = page = tmp_path / "generated" / "ops.md"
    assert main([]) == 1
    assert main(["--write"]) == 0
    assert main([]) == 0
    page.write_text(page.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert main([]) == 1
