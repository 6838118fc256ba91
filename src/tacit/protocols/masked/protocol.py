"""Three parties, one may be curious: two evaluators open masked values to each other, a helper deals what masks need.

Holds    and layout: sharing3. Of x = c - r the evaluators (places 0, 1) know c, the helper (place 2) knows r; a bit is
         delta ^ mu likewise. Comparisons by dealt digits: relations; conversions and products: words.
Safe if  at most one party looks at its own view; channels are private and authentic. The channel between the evaluators
         must be private from the helper too, who knows every mask on it.
Shows    shapes, the order of operations, timing. The rounding offset of a truncation is known to every party, so an
         opened value tells what it was before rounding up to one unit. Nothing else: docs/design/proofs-masked.md.
Not here a party that lies or stops early without being noticed: whatever it sends is believed.

The helper receives nothing in any gate but inputs and openings to it. It waits for nobody, so it runs ahead, and what
it deals costs bytes but no round. On small tensors party 2 is the helper throughout. Large ones are cut in three, and
each party is the helper of one third: all of them then work and send alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar, cast

import torch

from tacit.protocols import rounds
from tacit.protocols.interface import Bits, Choice, Kept, Pieces, Price, Shares, Table, Threshold, Values, step
from tacit.protocols.masked import counts, words
from tacit.protocols.masked import tables as table_gates
from tacit.protocols.masked import thresholds as threshold_gates
from tacit.protocols.masked.digits import Planes
from tacit.protocols.masked.plan import equal_plan, less_plan
from tacit.protocols.masked.relations import relation
from tacit.protocols.masked.room import Cuts, Room, gathered
from tacit.protocols.rounds import Steps
from tacit.protocols.sharing3 import HELPER, Sharing3, flat_words
from tacit.ring import planes
from tacit.ring.kernels import Bilinear
from tacit.session.session import Session
from tacit.session.truncation import FAITHFUL

TURNS = 3


class Masked(Sharing3):
    """The fast gates."""

    name = "masked"
    #: From so many elements on three sets of roles are quicker: each costs its own Python, and dealing a round.
    rotated_from: ClassVar[int] = 3 << 16
    #: Words that a function may keep between its rounds; what would keep more is done in slabs, one after the other.
    slab_words: ClassVar[int] = 1 << 22
    protection = "semi-honest; any two parties together can read everything"
    other_prices: ClassVar[Mapping[tuple[str, str], Price]] = {
        # The comparison of s bits is a sign of s + 1 without its dealt top bit.
        (FAITHFUL, "truncate"): Price("sign_rounds(s + 1) + 1", "4 * k + 3 * w + sign_bits(s + 1) - 1"),
        (FAITHFUL, "product_truncated"): Price("sign_rounds(s + 1) + 2", "6 * k + 3 * w + sign_bits(s + 1) - 1"),
    }

    def __init__(self, session: Session, turn: int = 0) -> None:
        super().__init__(session, turn)
        self._turned: dict[int, Masked] = {turn: self}
        self._room: Room | None = None

    @step(rounds=1, bits="3 * k")
    def product(self, kernel: Bilinear, x: Shares, y: Shares) -> Shares:
        return self.run(self._product(kernel, x, y))

    @step(rounds="sign_rounds(width)", bits="sign_bits(width)")
    def is_negative(self, x: Shares, width: int | None = None) -> Bits:
        return self.run(self._is_negative(x, width))

    @step(rounds="threshold_rounds(shifts, width, k)", bits="threshold_bits(shifts, width, k)")
    def at_least(self, x: Shares, thresholds: Sequence[Threshold], width: int | None = None) -> Bits:
        return self.run(self._at_least(x, thresholds, width))

    @step(rounds="sign_rounds(width)", bits="sign_bits(width)")
    def is_positive(self, x: Shares, width: int | None = None) -> Bits:
        return self.run(self._is_positive(x, width))

    @step(rounds="equal_rounds(k)", bits="equal_bits(k)")
    def is_zero(self, x: Shares) -> Bits:
        return self.run(self._is_zero(x))

    @step(rounds=1, bits="3 * planes")
    def and_(self, x: Bits, y: Bits) -> Bits:
        return self.run(self._and_(x, y))

    @step(rounds=1, bits="3 * k")
    def from_bits(self, x: Bits, shape: tuple[int, ...]) -> Shares:
        return self.run(self._from_bits(x, shape))

    @step(rounds=1, bits="4 * k")
    def select(self, bit: Bits, x: Shares) -> Shares:
        return self.run(self._select(bit, x))

    @step(rounds=1, bits="4 * k")
    def choose(self, choice: Choice, x: Shares) -> Shares:
        return cast(Shares, self.elementwise(lambda p, *both: p.steps("choose", *both), choice, x))

    @step(rounds=1, bits="3 * k")
    def as_words(self, choice: Choice, shape: tuple[int, ...]) -> Shares:
        parts = choice.parts
        if len(parts) == 1:
            return self.run(self._as_words(choice, shape))
        found: list[Shares] = []
        for start in range(0, len(parts), TURNS):
            steps = [self._turned_words(turn, parts[start + turn]) for turn in range(TURNS)]
            found += self.run(rounds.nobody_ahead(self.abreast(*steps)))
        return torch.cat(found, dim=-1).reshape(2, *shape)

    @step(rounds=2, bits="lookup_bits(k, tables, times)")
    def lookup(
        self, x: Shares, shift: int, tables: Sequence[Table], times: Mapping[int, Shares] | None = None
    ) -> list[Shares]:
        factors = times or {}

        def part(p: Masked, x: Shares, *own: Shares) -> Steps[list[Shares]]:
            return p._lookup(x, shift, tables, dict(zip(factors, own, strict=True)))

        return cast(list[Shares], self.elementwise(part, x, *factors.values()))

    @step(rounds=3, bits="count_bits(k, planes, tables, times)")
    def lookup_count(
        self, bits: Bits, tables: Sequence[Pieces], times: Mapping[int, Shares] | None = None
    ) -> list[Shares]:
        return self.run(self._lookup_count(bits, tables, times))

    # -- gates abreast -------------------------------------------------------------------------------------------

    def steps(self, gate: str, *arguments: Any) -> Steps[Any]:
        steps: Steps[Any] = getattr(self, f"_{gate}")(*arguments)
        return steps

    def elementwise(
        self, function: Callable[..., Steps[Any]], *inputs: Shares | Choice, words: int = 1
    ) -> Any:
        shape = next(x.shape[1:] for x in inputs if isinstance(x, torch.Tensor))
        slabs = self._slabs(shape.numel(), words)
        if slabs is None:
            return super().elementwise(function, *inputs)
        results = (self._in_parts(function, number, cuts, inputs) for number, cuts in enumerate(slabs))
        return gathered(results, slabs, shape)

    def _in_parts(
        self, function: Callable[..., Steps[Any]], number: int, cuts: Cuts, inputs: Sequence[Shares | Choice]
    ) -> Any:
        """One slab: in one part, or a third of it in each turn."""
        room, turns = Room(cuts), len(cuts) - 1
        parts = [
            rounds.in_turn(turn, function(self.turned(turn), *(_part(x, turns * number + turn, cut) for x in inputs)))
            for turn, cut in enumerate(pairwise(cuts))
        ]
        for turn in range(turns):
            self.turned(turn)._room = room
        try:
            merged = self.abreast(*parts)
            return room.joined(self.run(rounds.nobody_ahead(merged) if turns > 1 else merged))
        finally:
            for turn in range(turns):
                self.turned(turn)._room = None

    def _turned_words(self, turn: int, kept: Kept) -> Steps[Shares]:
        return rounds.in_turn(turn, self.turned(turn).steps("as_words", Choice((kept,)), (kept.bit.count,)))

    def fresh(self, count: int) -> Values:
        return super().fresh(count) if self._room is None else self._room.part(self.turn, count)

    def _slabs(self, count: int, words: int) -> list[Cuts] | None:
        """Slabs of a large tensor, and thirds of a large slab, on whole words of bits; None where one part is all."""
        slabs = max(-(-count * words // self.slab_words), 1)
        parts = TURNS if count // slabs >= self.rotated_from else 1
        if slabs * parts == 1:
            return None
        size = -(-count // (slabs * parts * 64)) * 64
        edges = [*(min(at * size, count) for at in range(slabs * parts)), count]
        return [tuple(edges[parts * at : parts * (at + 1) + 1]) for at in range(slabs)]

    def turned(self, turn: int) -> Masked:
        """This party's gates with party `turn` in role 0, and party `turn` + 2 the helper."""
        if turn not in self._turned:
            self._turned[turn] = type(self)(self.session, turn)
        return self._turned[turn]

    # -- the gates as rounds, under the names that `steps` looks for ----------------------------------------------

    def _product(self, kernel: Bilinear, x: Shares, y: Shares) -> Steps[Shares]:
        return words.product(self, kernel, x, y)

    def _and_(self, x: Bits, y: Bits) -> Steps[Bits]:
        return words.and_(self, x, y)

    def _from_bits(self, x: Bits, shape: tuple[int, ...]) -> Steps[Shares]:
        return words.as_words(self, Choice.of(x), shape)

    def _select(self, bit: Bits, x: Shares) -> Steps[Shares]:
        return words.choose(self, Choice.of(bit), x)

    def _choose(self, choice: Choice, x: Shares) -> Steps[Shares]:
        return words.choose(self, choice, x)

    def _as_words(self, choice: Choice, shape: tuple[int, ...]) -> Steps[Shares]:
        return words.as_words(self, choice, shape)

    def _is_negative(self, x: Shares, width: int | None = None) -> Steps[Bits]:
        # x = c - r: its top bit is that of c, plus that of r, plus the borrow [c < r] of the bits below.
        return self._sign(flat_words(self._own_words(x)), width)

    def _is_positive(self, x: Shares, width: int | None = None) -> Steps[Bits]:
        # x > 0 is not x - 1 < 0, and only c changes.
        own = flat_words(self._own_words(x))
        negative = yield from self._sign(own if self.place == HELPER else own - 1, width)
        return self.invert(negative)

    def _sign(self, own: Values, width: int | None) -> Steps[Bits]:
        width = self.ring.bits if width is None else width
        return relation(self, planes.to_planes(own, width), less_plan(width - 1), own.size, less=True)

    def _at_least(self, x: Shares, thresholds: Sequence[Threshold], width: int | None = None) -> Steps[Bits]:
        return threshold_gates.at_least(self, self._known(x), thresholds, self.ring.bits if width is None else width)

    def _is_zero(self, x: Shares) -> Steps[Bits]:
        known = planes.to_planes(flat_words(self._own_words(x)), self.ring.bits)
        return relation(self, known, equal_plan(self.ring.bits), x[0].numel(), less=False)

    def _carry(self, low: Planes, count: int) -> Steps[Shares]:
        bit = yield from relation(self, low, less_plan(len(low)), count, less=True)
        return (yield from words.as_words(self, Choice.of(bit), (count,)))

    def _lookup(
        self, x: Shares, shift: int, tables: Sequence[Table], times: Mapping[int, Shares] | None = None
    ) -> Steps[list[Shares]]:
        factors = {number: self._known(y) for number, y in (times or {}).items()}
        found = yield from table_gates.lookup(self, self._known(x), shift, tables, factors)
        return [one.reshape(x.shape) for one in found]

    def _lookup_count(
        self, bits: Bits, tables: Sequence[Pieces], times: Mapping[int, Shares] | None = None
    ) -> Steps[list[Shares]]:
        factors = {number: self._known(y) for number, y in (times or {}).items()}
        return counts.lookup_count(self, bits, tables, factors)

    def _known(self, x: Shares) -> Values:
        """c at the evaluators, r at the helper: flat, and as the ring writes them."""
        return self.ring.wrap(flat_words(self._own_words(x)))

    def _own_words(self, x: Shares) -> Shares:
        """c at the evaluators, r at the helper."""
        return (x[0] + x[1]).neg_() if self.place == HELPER else x[1 - self.place]


def _part(x: Shares | Choice, number: int, cut: tuple[int, int]) -> Shares | Choice:
    if isinstance(x, Choice):
        assert x.parts[number].bit.count == cut[1] - cut[0], "a choice was made of other parts"
        return Choice((x.parts[number],))
    return x.reshape(2, -1)[:, cut[0] : cut[1]]
