"""Three parties, one may be curious: two evaluators open masked values to each other, a helper deals what masks need.

Holds    and layout: sharing3. Of x = c - r the evaluators (places 0, 1) know c, the helper (place 2) knows r; a bit is
         delta ^ mu likewise. Comparisons by dealt digits: relations; conversions and products: words.
Safe if  at most one party looks at its own view; channels are private and authentic. The channel between the evaluators
         must be private from the helper too, who knows every mask on it.
Shows    shapes, the order of operations, timing. The rounding offset of a truncation is known to every party, so an
         opened value tells what it was before rounding up to one unit. Nothing else: docs/design/proofs-masked.md.
Not here a party that lies or stops early without being noticed: whatever it sends is believed.

The helper receives nothing in any gate but inputs and openings to it. It waits for nobody, so it runs ahead, and what
it deals costs bytes but no round.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tacit.protocols import rounds
from tacit.protocols.interface import Bits, Shares, step
from tacit.protocols.masked import words
from tacit.protocols.masked.plan import equal_plan, less_plan
from tacit.protocols.masked.relations import relation
from tacit.protocols.rounds import Steps
from tacit.protocols.sharing3 import HELPER, Sharing3, flat_words
from tacit.ring import planes
from tacit.ring.kernels import Bilinear


class Masked(Sharing3):
    """The fast gates."""

    name = "masked"
    protection = "semi-honest; any two parties together can read everything"

    @step(rounds=1, bits="3 * k")
    def product(self, kernel: Bilinear, x: Shares, y: Shares) -> Shares:
        return self._run(self._product(kernel, x, y))

    @step(rounds="sign_rounds(width)", bits="sign_bits(width)")
    def is_negative(self, x: Shares, width: int | None = None) -> Bits:
        return self._run(self._is_negative(x, width))

    @step(rounds="equal_rounds(k)", bits="equal_bits(k)")
    def is_zero(self, x: Shares) -> Bits:
        return self._run(self._is_zero(x))

    @step(rounds=1, bits="3 * planes")
    def and_(self, x: Bits, y: Bits) -> Bits:
        return self._run(self._and_(x, y))

    @step(rounds=1, bits="3 * k")
    def from_bits(self, x: Bits, shape: tuple[int, ...]) -> Shares:
        return self._run(self._from_bits(x, shape))

    @step(rounds=1, bits="4 * k")
    def select(self, bit: Bits, x: Shares) -> Shares:
        return self._run(self._select(bit, x))

    @step(rounds=1, bits="7 * k")
    def selected(self, bit: Bits, x: Shares) -> tuple[Shares, Shares]:
        kept, chosen = self.together([("from_bits", bit, tuple(x.shape[1:])), ("select", bit, x)])
        return kept, chosen

    def together(self, gates: Sequence[tuple[Any, ...]]) -> list[Any]:
        steps = [getattr(self, f"_{name}")(*arguments) for name, *arguments in gates]
        return self._run(rounds.abreast(self.session.randomness, steps))

    # -- the gates as rounds, under the names that `together` looks for -------------------------------------------

    def _product(self, kernel: Bilinear, x: Shares, y: Shares) -> Steps[Shares]:
        return words.product(self, kernel, x, y)

    def _and_(self, x: Bits, y: Bits) -> Steps[Bits]:
        return words.and_(self, x, y)

    def _from_bits(self, x: Bits, shape: tuple[int, ...]) -> Steps[Shares]:
        return words.from_bits(self, x, shape)

    def _select(self, bit: Bits, x: Shares) -> Steps[Shares]:
        return words.select(self, bit, x)

    def _is_negative(self, x: Shares, width: int | None = None) -> Steps[Bits]:
        # x = c - r: its top bit is that of c, plus that of r, plus the borrow [c < r] of the bits below.
        width = self.ring.bits if width is None else width
        known = planes.to_planes(flat_words(self._own_words(x)), width)
        return relation(self, known, less_plan(width - 1), x[0].numel(), less=True)

    def _is_zero(self, x: Shares) -> Steps[Bits]:
        known = planes.to_planes(flat_words(self._own_words(x)), self.ring.bits)
        return relation(self, known, equal_plan(self.ring.bits), x[0].numel(), less=False)

    def _own_words(self, x: Shares) -> Shares:
        """c at the evaluators, r at the helper."""
        return -(x[0] + x[1]) if self.place == HELPER else x[1 - self.place]
