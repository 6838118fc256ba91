"""Three parties, one may be curious: replicated secret sharing over Z_2^k with Boolean adders. The reference protocol.

Paper    Araki, Furukawa, Lindell, Nof, Ohara: High-throughput semi-honest secure three-party computation with an honest
         majority, CCS 2016 (eprint 2016/768): sharing, multiplication, bits.
Holds    and layout: sharing3.
Safe if  at most one party looks at its own view; channels are private and authentic.
Shows    shapes, the order of operations, timing. The rounding offset of a truncation is known to every party, so an
         opened value tells what it was before rounding up to one unit. Nothing else.
Not here a party that lies or stops early without being noticed: whatever it sends is believed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tacit.protocols import bits as circuits
from tacit.protocols.interface import Bits, Choice, Price, Shares, Values, step
from tacit.protocols.reference_tables import ReferenceTables
from tacit.protocols.rounds import Steps
from tacit.protocols.sharing3 import FIRST, HELPER, SECOND, WORD, Planes, flat_words, stack
from tacit.ring import planes
from tacit.ring.kernels import Bilinear
from tacit.session.session import Message
from tacit.session.truncation import FAITHFUL


class Replicated3(ReferenceTables):
    """The reference: every gate by the book, and every cost declared."""

    name = "replicated3"
    protection = "semi-honest; any two parties together can read everything"
    other_prices: ClassVar[Mapping[tuple[str, str], Price]] = {
        (FAITHFUL, "truncate"): Price("5 + depth(s)", "4 * k + 3 * w + 4 * s + 3 * carry_ands(s)"),
        (FAITHFUL, "product_truncated"): Price("6 + depth(s)", "6 * k + 3 * w + 4 * s + 3 * carry_ands(s)"),
    }

    @step(rounds=1, bits="3 * k")
    def product(self, kernel: Bilinear, x: Shares, y: Shares) -> Shares:
        local = kernel(x[0], y[0] + y[1]) + kernel(x[1], y[0])
        mine = self.ring.wrap(flat_words(local) + self._zero("product", (local.numel(),)))
        arrived = self.session.exchange(
            "product", {self.previous: self.ring.to_wire(mine)}, {self.next: (mine.shape, self.ring.wire_dtype)}
        )
        return stack(mine, self.ring.from_wire(arrived[self.next]), local.shape)

    # -- bits ----------------------------------------------------------------------------------------------------

    def comparison_bits(self, frac_bits: int) -> int:
        """All of them: a quarter more bytes and no more rounds, and no promise about values is needed."""
        del frac_bits
        return self.ring.bits

    @step(rounds="2 + depth(width - 1)", bits="width + 3 * (width - 1) + 3 * carry_ands(width - 1)")
    def is_negative(self, x: Shares, width: int | None = None) -> Bits:
        # x = c + e with e = x_0 + x_2: one adder on two numbers that each lie whole with somebody.
        c, e = self._two_inputs(self._addends(x), self.ring.bits if width is None else width)
        return self.run(circuits.sign_of_sum(self, c, e))

    @step(rounds="2 + depth(width - 1)", bits="width + 3 * (width - 1) + 3 * carry_ands(width - 1)")
    def is_positive(self, x: Shares, width: int | None = None) -> Bits:
        return super().is_positive(x, width)

    @step(rounds="1 + depth(k)", bits="k + 3 * (k - 1)")
    def is_zero(self, x: Shares) -> Bits:
        # x = c - r is zero exactly where c and r agree in every bit.
        c, r = self._two_inputs(self._known(x), self.ring.bits)
        return self.run(circuits.all_of(self, self.invert(self.xor(c, r))))

    @step(rounds=1, bits="3 * planes")
    def and_(self, x: Bits, y: Bits) -> Bits:
        (x0, x1), (y0, y1) = x.planes, y.planes
        mine = (x0 & (y0 ^ y1)) ^ (x1 & y0) ^ self._zero_bits(x0.shape)
        arrived = self.session.exchange("and", {self.previous: mine}, {self.next: (mine.shape, WORD)})
        return Bits(np.stack([mine, arrived[self.next].view(np.int64)]), x.count)

    @step(rounds=2, bits="3 * k")
    def from_bits(self, x: Bits, shape: tuple[int, ...]) -> Shares:
        # b = d ^ m with d = b_1 at the evaluators and m = b_0 ^ b_2 at the helper, so b = d + (1 - 2 d) m: linear in m
        # once d is known. The helper deals m; the evaluators hold b in two parts and share them again.
        flat = (x.count,)
        if self.place == HELPER:
            m = planes.unpack(x.planes[0, 0] ^ x.planes[1, 0], x.count)
            second = self.ring.wrap(m - self.pad(FIRST, "deal-bit", flat))
            self.session.exchange("deal", {SECOND: self.ring.to_wire(second)}, {})
            self.session.exchange("reshare", {}, {})
            return stack(self.pad(SECOND, "reshare-b", flat), self.pad(FIRST, "reshare-a", flat), shape)
        receive = {HELPER: (flat, self.ring.wire_dtype)} if self.place == SECOND else {}
        arrived = self.session.exchange("deal", {}, receive)
        part = self.ring.from_wire(arrived[HELPER]) if arrived else self.pad(HELPER, "deal-bit", flat)
        d = planes.unpack(x.planes[1 - self.place, 0], x.count)
        two_part = (1 - 2 * d) * part + (d if self.place == FIRST else 0)
        return self._reshare(two_part).reshape(2, *shape)

    def _reshare(self, two_part: Values) -> Shares:
        """Evaluators: from u_0 + u_1 back to three components. The helper draws its two from the same pads."""
        purpose, peer = ("reshare-a", SECOND) if self.place == FIRST else ("reshare-b", FIRST)
        outer = self.pad(HELPER, purpose, two_part.shape)
        sent = self.ring.wrap(two_part - outer)
        receive = {peer: (two_part.shape, self.ring.wire_dtype)}
        arrived = self.session.exchange("reshare", {peer: self.ring.to_wire(sent)}, receive)
        middle = self.ring.wrap(sent + self.ring.from_wire(arrived[peer]))
        return stack(outer, middle) if self.place == FIRST else stack(middle, outer)

    @step(rounds=3, bits="6 * k")
    def select(self, bit: Bits, x: Shares) -> Shares:
        return super().select(bit, x)

    @step(rounds=3, bits="6 * k")
    def choose(self, choice: Choice, x: Shares) -> Shares:
        return super().choose(choice, x)

    @step(rounds=2, bits="3 * k")
    def as_words(self, choice: Choice, shape: tuple[int, ...]) -> Shares:
        return super().as_words(choice, shape)

    def _carry(self, low: Planes, count: int) -> Steps[Shares]:
        # c < r exactly where (2^s - 1 - c) + r runs over s bits.
        c, r = self._inputs_of_planes(low, count)
        c = self.invert(c)
        carry = yield from circuits.carry_out(self, self.and_(c, r), self.xor(c, r))
        return self.from_bits(carry, (count,))

    def _addends(self, x: Shares) -> Values:
        """Component 1 at the evaluators; at the helper x_0 + x_2, which only it can add up."""
        return self.ring.wrap(flat_words(x[0] + x[1] if self.place == HELPER else x[1 - self.place]))

    def _two_inputs(self, known: Values, bits: int) -> tuple[Bits, Bits]:
        """Boolean sharings, one plane per bit, of the evaluators' words (no message) and of the helper's."""
        return self._inputs_of_planes(planes.to_planes(known, bits), known.size)

    def _inputs_of_planes(self, known: Planes, count: int) -> tuple[Bits, Bits]:
        shape = known.shape
        send: dict[int, Message] = {}
        components: dict[int, NDArray[np.int64]] = {}
        if self.place == HELPER:
            components[2] = self.bit_pad(SECOND, "input-bits", shape)
            components[0] = known ^ components[2]
            send[FIRST] = np.ascontiguousarray(components[0])
        elif self.place == SECOND:
            components[2] = self.bit_pad(HELPER, "input-bits", shape)
        arrived = self.session.exchange("input", send, {HELPER: (shape, WORD)} if self.place == FIRST else {})
        if self.place == FIRST:
            components[0] = arrived[HELPER].view(np.int64)
        masked = {} if self.place == HELPER else {1: known}
        return Bits(self._arrange(masked, shape), count), Bits(self._arrange(components, shape), count)

    def _zero(self, purpose: str, shape: tuple[int, ...]) -> Values:
        """Summands that add up to zero over the parties and are uniform to any one of them."""
        return self.pad(self.next, f"zero-{purpose}", shape) - self.pad(self.previous, f"zero-{purpose}", shape)

    def _zero_bits(self, shape: tuple[int, ...]) -> NDArray[np.int64]:
        return self.bit_pad(self.next, "zero-bits", shape) ^ self.bit_pad(self.previous, "zero-bits", shape)

