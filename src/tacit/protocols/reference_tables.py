"""Thresholds and public tables by the book, from gates that every protocol on this sharing has. Slow, and plain to see.

A value x = c - r is cut at bit s where it lies: (c >> s) - (r >> s) is its index, (c mod 2^s) - (r mod 2^s) the rest.
The evaluators know the first of each difference, the helper shares the second as a fresh input. Boolean adders then
give the sign or the bits of the index, ANDs a flag for each row of the table, and products put the polynomials
together. What a table means is `tables`; this is the version that faster ones are tested against.
Prices   `planes` of thresholds or bits; `index` bits and `entries` of a table; dealt `words`; `products`, of at most so
         many `factors`; `word_rounds` and depth as in `from_bits` and `bits`.
Not here how to do it in two openings (masked).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from tacit.protocols import bits as circuits
from tacit.protocols.interface import Bits, Pieces, Shares, Table, Threshold, Values, step
from tacit.protocols.rounds import Round, Steps
from tacit.protocols.sharing3 import FIRST, HELPER, SECOND, WORD, Sharing3, flat_words
from tacit.ring import planes
from tacit.ring.kernels import mul
from tacit.ring.powers import power_of_two

Planes = NDArray[np.int64]  # [planes, words]
Name = int | tuple[str, int]  # what a factor is: a remainder without so many bits, or a power with so many


class ReferenceTables(Sharing3):
    """`at_least`, `lookup` and `lookup_count` for a protocol that has products and bits."""

    @step(
        rounds="3 + depth(min(width + 1, k) - 1)",
        bits="planes * (min(width + 1, k) + 6 * (min(width + 1, k) - 1 + carry_ands(min(width + 1, k) - 1)) + 3)",
    )
    def at_least(self, x: Shares, thresholds: Sequence[Threshold], width: int | None = None) -> Bits:
        return self.run(self._at_least(x, thresholds, width))

    @step(
        rounds="2 * index - 1 + word_rounds + factors - 1",
        bits="index + k * words + 3 * (index - 1) + 3 * (2 ** index - 2) + 3 * k * 2 ** index + 3 * k * products",
    )
    def lookup(
        self, x: Shares, shift: int, tables: Sequence[Table], times: Mapping[int, Shares] | None = None
    ) -> list[Shares]:
        return self.run(self._lookup(x, shift, tables, times))

    @step(
        rounds="planes - 1 + word_rounds + factors - 1",
        bits="3 * sum_to(planes, entries) + 3 * k * entries + 3 * k * products",
    )
    def lookup_count(
        self, bits: Bits, tables: Sequence[Pieces], times: Mapping[int, Shares] | None = None
    ) -> list[Shares]:
        return self.run(self._lookup_count(bits, tables, times))

    # -- the gates as rounds -------------------------------------------------------------------------------------

    def _at_least(self, x: Shares, thresholds: Sequence[Threshold], width: int | None = None) -> Steps[Bits]:
        # One bit more than the values have: rounding up may carry the index over their edge.
        size = self.ring.bits if width is None else min(width + 1, self.ring.bits)
        count = x[0].numel()
        own = self._known(x)
        known: list[Planes] = []
        dealt: list[Planes] = []
        for shift, bound in thresholds:
            assert -(1 << (size - 1)) <= bound << shift < 1 << (size - 1), "a bound outside the width"
            # Multiples of 2^shift, so that indices of all thresholds are numbers of one size.
            index = own >> shift << shift
            known += [planes.to_planes(index - (at << shift), size) for at in (bound, 0)]
            dealt.append(planes.to_planes(-index, size))
        # The helper shares an index once; it serves the two signs of its threshold, side by side in the planes.
        secret = yield from self._input_bits(np.concatenate(dealt, axis=1))
        halves = np.split(secret.planes, len(thresholds), axis=2)
        doubled = np.concatenate([half for half in halves for _ in range(2)], axis=2)
        open_half = Bits(self._of_evaluators(np.concatenate(known, axis=1)), count)
        signs = yield from circuits.sign_of_sum(self, open_half, Bits(doubled, count))
        lower: list[Bits] = []
        negative: list[Bits] = []
        for number, part in enumerate(np.split(signs.planes, 2 * len(thresholds), axis=2)):
            bound = thresholds[number // 2].bound
            sign = Bits(part, count)
            (negative if number % 2 else lower).append(self.invert(sign) if bound > 0 else sign)
        # idx - bound may leave the ring where the signs of idx and bound differ; there the sign of idx decides.
        both = yield from self.steps("and_", _stacked(lower), _stacked(negative))
        return _stacked([
            both.plane(row) if bound > 0 else self.invert(both.plane(row))
            for row, (_, bound) in enumerate(thresholds)
        ])

    def _lookup(
        self, x: Shares, shift: int, tables: Sequence[Table], times: Mapping[int, Shares] | None = None
    ) -> Steps[list[Shares]]:
        digits = _index_bits(tables)
        assert shift + digits <= self.ring.bits, "an index has more bits than the ring leaves above the rest"
        own = self._known(x)
        index, rest = own >> shift, own & ((1 << shift) - 1)
        rests = _rests(tables, rest, shift, negative=self.place == HELPER)
        words = np.stack(list(rests.values())) if rests else np.zeros((0, own.size), dtype=np.int64)
        bits, secret = yield from self.abreast(
            self._input_bits(planes.to_planes(-index, digits)), self._input_words(self.ring.wrap(words))
        )
        known = Bits(self._of_evaluators(planes.to_planes(index, digits)), own.size)
        total = yield from circuits.sum_of(self, known, bits)
        rows = yield from self._flag_words((yield from circuits.one_hot(self, total)))
        public = torch.as_tensor(self._of_evaluators(words))
        factors = {
            # A remainder is a sum of what both know, a power of two a product.
            name: [left + right] if isinstance(name, int) else [left, right]
            for name, left, right in zip(rests, public.unbind(1), secret.unbind(1), strict=True)
        }
        return (yield from self._evaluated(tables, rows, factors, times, tuple(x.shape[1:])))

    def _lookup_count(
        self, bits: Bits, tables: Sequence[Pieces], times: Mapping[int, Shares] | None = None
    ) -> Steps[list[Shares]]:
        flags = yield from circuits.count_one_hot(self, bits, 1 << _index_bits(tables))
        rows = yield from self._flag_words(flags)
        return (yield from self._evaluated(tables, rows, {}, times, (bits.count,)))

    # -- small steps ---------------------------------------------------------------------------------------------

    def _known(self, x: Shares) -> Values:
        """c at the evaluators, r at the helper; flat."""
        return self.ring.wrap(flat_words(-(x[0] + x[1]) if self.place == HELPER else x[1 - self.place]))

    def _of_evaluators(self, words: NDArray[np.int64]) -> NDArray[np.int64]:
        """The trivial sharing of what both evaluators know: all of it in component 1."""
        return self._arrange({} if self.place == HELPER else {1: words}, words.shape)

    def _input_bits(self, flags: Planes) -> Steps[Bits]:
        """A sharing of the helper's planes [planes, words]; of what the others pass only the shape is read."""
        held: dict[int, Planes] = {}
        if self.place != FIRST:
            held[2] = self.bit_pad(SECOND if self.place == HELPER else HELPER, "table-input-bits", flags.shape)
        if self.place == HELPER:
            held[0] = flags ^ held[2]
            yield Round("table-bits", {FIRST: [held[0]]})
        else:
            arrived = yield Round("table-bits", {}, {HELPER: [(flags.shape, WORD)]} if self.place == FIRST else {})
            if self.place == FIRST:
                held[0] = arrived[HELPER][0].view(np.int64)
        return Bits(self._arrange(held, flags.shape), 64 * flags.shape[1])

    def _input_words(self, words: Values) -> Steps[Shares]:
        """The same for words of any shape."""
        held: dict[int, Values] = {}
        if not words.size:
            return self._rows(held, words.shape)
        if self.place != FIRST:
            held[2] = self.pad(SECOND if self.place == HELPER else HELPER, "table-input", words.shape)
        if self.place == HELPER:
            held[0] = self.ring.wrap(words - held[2])
            yield Round("table-words", {FIRST: [self.ring.to_wire(held[0])]})
        else:
            word = (words.shape, self.ring.wire_dtype)
            arrived = yield Round("table-words", {}, {HELPER: [word]} if self.place == FIRST else {})
            if self.place == FIRST:
                held[0] = self.ring.from_wire(arrived[HELPER][0])
        return self._rows(held, words.shape)

    def _flag_words(self, flags: Bits) -> Steps[Shares]:
        """All planes as words 0 and 1, [2, planes, count]."""
        rows = flags.planes.shape[1]
        in_order = [[planes.unpack(row, flags.count) for row in component] for component in flags.planes]
        one_plane = Bits(np.stack([planes.pack(np.concatenate(bits)) for bits in in_order]), rows * flags.count)
        found: Shares = yield from self.steps("from_bits", one_plane, (rows, flags.count))
        return found

    def _evaluated(
        self,
        tables: Sequence[Table],
        rows: Shares,
        factors: Mapping[Name, list[Shares]],
        times: Mapping[int, Shares] | None,
        shape: tuple[int, ...],
    ) -> Steps[list[Shares]]:
        """The tables' results: a sum of terms each, every term a product of what the row says and of other factors."""
        terms: list[list[Shares]] = []
        owners: list[int] = []
        for number, table in enumerate(tables):
            last = [] if times is None or number not in times else [times[number].reshape(2, -1)]
            if isinstance(table, Pieces):
                others = [[], *(degree * factors[drop] for degree, drop in enumerate(table.drop, start=1))]
                found = [[self._said(rows, row), *rest] for row, rest in zip(table.coefficients, others, strict=True)]
            else:
                found = [[self._said(rows, table.factors), *factors["power", table.bits]]]
            terms += [[*term, *last] for term in found]
            owners += [number] * len(found)
        while unfinished := [term for term in terms if len(term) > 1]:
            left, right = (torch.stack([term[at] for term in unfinished], dim=1) for at in (0, 1))
            both = yield from self.steps("product", mul, left, right)
            for term, product in zip(unfinished, both.unbind(1), strict=True):
                term[:2] = [product]
        sums = [sum(term[0] for term, at in zip(terms, owners, strict=True) if at == n) for n in range(len(tables))]
        return [self._wrapped(torch.as_tensor(total)).reshape(2, *shape) for total in sums]

    def _said(self, rows: Shares, values: Values) -> Shares:
        """The sum of flags times public values."""
        return self._wrapped((rows * torch.as_tensor(values)[:, None]).sum(dim=1))


def _rests(tables: Sequence[Table], rest: Values, shift: int, *, negative: bool) -> dict[Name, Values]:
    """What a party contributes to each remainder and each power that the tables speak of, by drop or (power, bits)."""
    found: dict[Name, Values] = {}
    for table in tables:
        if isinstance(table, Pieces):
            found |= {drop: -(rest >> drop) if negative else rest >> drop for drop in table.drop}
        else:
            found["power", table.bits] = power_of_two(-rest if negative else rest, shift, table.bits)
    return found


def _index_bits(tables: Sequence[Table]) -> int:
    """How many bits of the index choose a row."""
    (entries,) = {table.entries for table in tables}
    assert entries & (entries - 1) == 0, f"{entries} entries are not a power of two"
    return entries.bit_length() - 1


def _stacked(bits: Sequence[Bits]) -> Bits:
    return Bits(np.concatenate([one.planes for one in bits], axis=1), bits[0].count)
