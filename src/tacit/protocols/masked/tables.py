"""Lookups: what public tables say of a masked value, as messages and pads. The reading itself is in onehot.

x = c - r is cut into index = (c >> s) - (r >> s) and t = C - R, C = c mod 2^s and R = r mod 2^s, by each side alone.
A polynomial in t with coefficients a_j is one in -R whose coefficients v_m the evaluators make of C and of their sums
S_j = sigma a_j. So sum_m v_m (-R)^m is sigma times the answer, and the answer is sum_m v_m w_m with *words*
w_m = sigma (-R)^m, which the helper knows. A table of powers has one word, sigma B.

Rounds   the evaluators open every v under a mask; then they hand the answer out in three components.
Pads     to evaluator 0: the other's halves of masks, and its part of the answer (key of 1 and 2). To evaluator 1: its
         half of the one-hot vector, its shares of all words, of sums of words times masks, then as for evaluator 0 (key
         of 0 and 2). To the helper: nothing comes.
Shows    nothing. In particular sigma stays shared: with it an evaluator could rule out half of the values.
Domain   the index is that of x where the entries, times 2^s, divide 2^k; else of a number that differs from x by 2^k.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tacit.protocols.interface import Powers, Shares, Table, Values
from tacit.protocols.masked import onehot
from tacit.protocols.masked.onehot import Halves
from tacit.protocols.masked.words import reshare
from tacit.protocols.rounds import Arrived, Round, Steps
from tacit.protocols.sharing3 import FIRST, HELPER, SECOND, Sharing3
from tacit.ring.powers import power_of_two
from tacit.session.session import Expected


class Word(NamedTuple):
    """What the helper deals times sigma: (-(R >> drop))^degree, or for tables of powers B of so many bits."""

    drop: int = 0
    degree: int = 0
    bits: int | None = None


class Rows(NamedTuple):
    """Where one table finds what is its own: rows of dealt words, and of opened values."""

    words: tuple[int, ...]
    opened: slice
    #: The sum of words times masks of the opened values.
    masked: int
    #: All of these times the mask of a factor, if there is one.
    timed: tuple[int, ...]


class Layout(NamedTuple):
    """What a call deals and opens, in words for one element. Tables share words where they can."""

    words: tuple[Word, ...]
    rows: tuple[Rows, ...]
    dealt: int
    opened: int


def layout_of(tables: Sequence[Table], times: Iterable[int] = ()) -> Layout:
    """Words first; then for each table the sum of words times masks, and what its factor needs."""
    factors = set(times)
    words: dict[Word, int] = {}
    own = [tuple(words.setdefault(word, len(words)) for word in _words(table)) for table in tables]
    dealt, opened = len(words), 0
    rows = []
    for number, numbers in enumerate(own):
        width = len(numbers)
        timed = tuple(range(dealt + 1, dealt + width + 2)) if number in factors else ()
        rows.append(Rows(numbers, slice(opened, opened + width), dealt, timed))
        dealt += 1 + len(timed)
        opened += width
    return Layout(tuple(words), tuple(rows), dealt, opened)


def lookup_bits(ring_bits: int, tables: Sequence[Table], times: Iterable[int] = ()) -> int:
    """Bits that all parties send for one element."""
    layout = layout_of(tables, times)
    return onehot.bits_of(tables[0].entries) + ring_bits * (layout.dealt + 2 * layout.opened + 2 * len(tables))


def lookup(
    protocol: Sharing3, known: Values, shift: int, tables: Sequence[Table], times: Mapping[int, Values]
) -> Steps[list[Shares]]:
    """What each table says of C - R. `known` is C at the evaluators, R at the helper; so are the factors `times`."""
    reading = Reading(protocol, tables, times, shift, known.size)
    index, rest = known >> shift, known & ((1 << shift) - 1)
    yield from reading.deal(index, rest) if protocol.place == HELPER else reading.fetch()
    return (yield from reading.answers(index, rest))


class Reading:
    """One call, in two halves: what can be dealt before the evaluators know the index, and the answers."""

    def __init__(
        self, protocol: Sharing3, tables: Sequence[Table], times: Mapping[int, Values], shift: int, count: int
    ) -> None:
        self.protocol, self.tables, self.times, self.shift = protocol, tables, times, shift
        self.entries = tables[0].entries
        self.layout = layout_of(tables, times)
        self._dealt = (self.layout.dealt, count)
        self._opened = (self.layout.opened, count)
        self._answers = (len(tables), count)
        self._vectors = onehot.shape_of(self.entries, count)
        self._half: Halves
        self._words: Values

    def deal(self, index: Values, rest: Values) -> Steps[None]:
        """Helper: everything that hangs on its masks of index and rest."""
        protocol, ring = self.protocol, self.protocol.ring
        other, sigma = onehot.split(protocol.narrow_pad(FIRST, "onehot", *self._vectors), self.entries, index)
        words = np.empty(self._dealt, dtype=np.int64)
        _fill_words(self.layout.words, sigma, rest, self.shift, words)
        masks = protocol.pad(FIRST, "table-a", self._opened)
        masks += protocol.pad(SECOND, "table-b", self._opened)
        for number, own in enumerate(self.layout.rows):
            _sum_of_products([words[word] for word in own.words], masks[own.opened], words[own.masked])
            for row, word in zip(own.timed, (*own.words, own.masked), strict=False):
                np.multiply(words[word], self.times[number], out=words[row])
        words -= protocol.pad(FIRST, "table-words", self._dealt)
        yield Round("lookup-dealt", {SECOND: [other, ring.to_wire(ring.wrap(words))]}, dealt=True)

    def fetch(self) -> Steps[None]:
        """Evaluators: own halves of what is dealt."""
        protocol, ring = self.protocol, self.protocol.ring
        if protocol.place == FIRST:
            yield Round("lookup-dealt", dealt=True)
            self._half = protocol.narrow_pad(HELPER, "onehot", *self._vectors)
            self._words = protocol.pad(HELPER, "table-words", self._dealt)
            return
        wanted: list[Expected] = [self._vectors, (self._dealt, ring.wire_dtype)]
        arrived: Arrived = yield Round("lookup-dealt", {}, {HELPER: wanted}, dealt=True)
        self._half, words = arrived[HELPER]
        self._words = ring.from_wire(words)

    def answers(self, index: Values, rest: Values) -> Steps[list[Shares]]:
        """Open what the tables say times sigma, under masks; take sigma off; hand the answers out."""
        parts = None
        if self.protocol.place == HELPER:
            yield Round("lookup")
        else:
            parts = yield from self._parts(index, rest)
        whole = yield from reshare(self.protocol, parts, self._answers)
        return list(whole.unbind(1))

    def _parts(self, index: Values, rest: Values) -> Steps[Values]:
        """Evaluators: own parts of the answers, [tables, elements]."""
        protocol, ring, peer = self.protocol, self.protocol.ring, self.protocol.peer
        first = protocol.place == FIRST
        sent = protocol.pad(HELPER, "table-a" if first else "table-b", self._opened)
        sums = onehot.sums(self._half, index, _coefficients(self.tables, first)).T
        for table, own in zip(self.tables, self.layout.rows, strict=True):
            sums = _add_expanded(table, sums, rest, sent[own.opened])
        message = ring.to_wire(ring.wrap(sent))
        arrived: Arrived = yield Round("lookup", {peer: [message]}, {peer: [(self._opened, ring.wire_dtype)]})
        opened = sent + ring.from_wire(arrived[peer][0])
        words = self._words
        parts = np.empty(self._answers, dtype=np.int64)
        for number, (table, own) in enumerate(zip(self.tables, self.layout.rows, strict=True)):
            part = parts[number]
            _sum_of_products([words[word] for word in own.words], opened[own.opened], part)
            part -= words[own.masked]
            if own.timed:
                other = np.empty_like(part)
                _sum_of_products([words[word] for word in own.timed[:-1]], opened[own.opened], other)
                other -= words[own.timed[-1]]
                part *= self.times[number]
                part -= other
            if isinstance(table, Powers):
                part *= power_of_two(rest, self.shift, table.bits)
        return parts


def _words(table: Table) -> list[Word]:
    """One of degree 0; then for each width of t as many as the highest degree that has it."""
    if isinstance(table, Powers):
        return [Word(bits=table.bits)]
    highest = {drop: degree for degree, drop in enumerate(table.drop, start=1)}
    return [Word(), *(Word(drop, degree) for drop, top in highest.items() for degree in range(1, top + 1))]


def _fill_words(wanted: Sequence[Word], sigma: Values, rest: Values, shift: int, out: Values) -> None:
    """Helper: the words, in order."""
    bases: dict[int, Values] = {}
    rows = {Word(word.drop): sigma for word in wanted}
    for row, word in zip(out, wanted, strict=False):
        if word.bits is not None:
            np.multiply(sigma, power_of_two(-rest, shift, word.bits), out=row)
        elif word.degree == 0:
            np.copyto(row, sigma)
        else:
            if word.drop not in bases:
                bases[word.drop] = -(rest >> word.drop)
            np.multiply(rows[word._replace(degree=word.degree - 1)], bases[word.drop], out=row)
            rows[word] = row


def _coefficients(tables: Sequence[Table], first: bool) -> Values:
    """All of them, [columns, entries]; the second evaluator takes its sums negatively."""
    rows = np.concatenate([t.factors[None] if isinstance(t, Powers) else t.coefficients for t in tables])
    return rows if first else -rows


def _add_expanded(table: Table, sums: Values, rest: Values, out: Values) -> Values:
    """Add to `out` the coefficients in -R of sum_j sums[j] (C_j - R_j)^j, as words lie. Returns the sums not used."""
    out[0] += sums[0]
    if isinstance(table, Powers):
        return sums[1:]
    start = 1
    for drop in dict.fromkeys(table.drop):
        base = rest >> drop if drop else rest
        polynomial = {degree: sums[degree] for degree, own in enumerate(table.drop, start=1) if own == drop}
        top = max(polynomial)
        # Horner's rule, repeated: p(C + y) as a polynomial in y.
        for low in range(top):
            for degree in range(top - 1, low - 1, -1):
                product = polynomial[degree + 1] * base
                if degree in polynomial:
                    product += polynomial[degree]
                polynomial[degree] = product
        out[0] += polynomial[0]
        for degree in range(1, top + 1):
            out[start] += polynomial[degree]
            start += 1
    return sums[len(table.drop) + 1 :]


def _sum_of_products(left: Sequence[Values], right: Values, out: Values) -> None:
    """The sum over rows of left times right."""
    np.multiply(left[0], right[0], out=out)
    for row, factor in zip(left[1:], right[1:], strict=True):
        out += row * factor
