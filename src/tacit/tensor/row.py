"""What a line of the table is: a row that computes, or a refusal that says why not and what instead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """How an overload is answered. `units` is the error bound of the row: results differ from exact arithmetic on the
    shared inputs by at most so many steps of 2^-frac_bits per unit of magnitude of the operands.

    `kind` groups rows. A view shares memory and a constant does not read its argument's value, so these two always run;
    so do lists, which are joined first. All other rows are spared where every party knows the operands: torch then
    computes on those.
    """

    run: Callable[..., Any]
    kind: str
    units: float = 0.0

    @property
    def reads_values(self) -> bool:
        """Whether the answer depends on the values of the operands alone."""
        return self.kind not in ("view", "constant", "list")


@dataclass(frozen=True)
class Refusal:
    """Why an overload has no meaning here, and what to do instead."""

    reason: str
    instead: str
