"""What a run looks like: who takes part, their lines, one progress line, and a closing box with costs and disclosures.

Lines of a party carry its name, since with --parties one screen shows all of them. Colours and the moving progress line
appear on a terminal only; elsewhere each phase leaves one plain line.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import ROUNDED
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

_COLOURS = ("cyan", "magenta", "yellow", "green", "blue")


class Screen:
    """The screen of one run."""

    def __init__(self, parties: Sequence[str], *, named_lines: bool) -> None:
        # A pipe has no width of its own; 100 columns keep tables whole in logs.
        width = None if sys.stdout.isatty() else _columns()
        self.console = Console(highlight=False, width=width)
        self._parties = tuple(parties)
        self._margin = max(map(len, parties)) if named_lines else 0
        self._phase = ""
        self._phase_began = 0.0
        self._live = False

    def header(self, script: str, protocol: str, protection: str) -> None:
        """Before anything connects."""
        self.console.print(Text.assemble((script, "bold"), f"  among {', '.join(self._parties)}"))
        self.console.print(Text(f"protection  {protocol}: {protection}"), soft_wrap=True)

    def status(self, text: str) -> None:
        """One line about the run itself."""
        self._clear()
        self.console.print(Text(text, style="dim"))

    def line(self, party: str, text: str) -> None:
        """One line that a party printed. Shown as text: markup in it means nothing."""
        self._clear()
        if not self._margin:
            self.console.print(Text(text), soft_wrap=True)
            return
        style = _COLOURS[self._parties.index(party) % len(_COLOURS)]
        self.console.print(Text.assemble((party.rjust(self._margin), style), (" | ", "dim"), text), soft_wrap=True)

    def progress(self, title: str, done: int, total: int | None) -> None:
        """How far a phase is; a new title begins a new phase."""
        now = time.monotonic()
        if title != self._phase or done == 0:
            self._phase, self._phase_began = title, now
        elapsed = now - self._phase_began
        count = f"{done}/{total}" if total is not None else str(done)
        if total is not None and done >= total:
            self._clear()
            self.console.print(Text(f"{title}  {count}  {elapsed:.1f} s", style="dim"))
        elif self.console.is_terminal:
            left = f"  about {elapsed / done * (total - done):.0f} s left" if total and done else ""
            self.console.file.write(f"\r\x1b[2K{title}  {count}{left}")
            self.console.file.flush()
            self._live = True

    def closing(self, account: Mapping[str, Any], saved: Path | None = None) -> None:
        """The box at the end; `saved` is where this machine keeps the model, if it received one."""
        self._clear()
        bytes_sent = account["bytes_sent"]
        sent = bytes_sent if isinstance(bytes_sent, dict) else {account["party"]: bytes_sent}
        cost = Table.grid(padding=(0, 2))
        cost.add_row("rounds", f"{account['rounds']:,}")
        cost.add_row("sent", ", ".join(f"{name} {megabytes(count)}" for name, count in sent.items()))
        cost.add_row("time", f"{account['seconds']:.1f} s since the parties connected")
        if saved is not None:
            cost.add_row("model", f"saved at {os.path.relpath(saved)}")
        title = "run" if account.get("completed", True) else "run, not completed"
        self.console.print(
            Panel(Group(cost, Text(), disclosure_table(account["disclosures"])), title=title, box=ROUNDED)
        )

    def _clear(self) -> None:
        if self._live:
            self.console.file.write("\r\x1b[2K")
            self._live = False


def _columns() -> int:
    text = os.environ.get("COLUMNS", "")
    return int(text) if text.isdecimal() and int(text) >= 40 else 100


def disclosure_table(disclosures: Sequence[Mapping[str, Any]]) -> Table | Text:
    """Every value revealed, its shape, to whom, by which line, how often."""
    if not disclosures:
        return Text("disclosed: nothing")
    table = Table(box=None, padding=(0, 2, 0, 0), title="disclosed", title_justify="left", title_style="bold")
    for heading in ("what", "shape", "to", "line", "times"):
        table.add_column(heading, justify="right" if heading == "times" else "left")
    for entry in disclosures:
        table.add_row(*(Text(str(entry[key])) for key in ("name", "shape", "to", "line", "count")))
    return table


def megabytes(count: int) -> str:
    """Bytes as people read them."""
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"
