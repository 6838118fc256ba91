"""Normalisation: a power of eight that brings every positive value into the same few octaves, and what else follows it.

    n is the number of j >= 1 with floor((x + u) / 8^(j-1)) >= 8, found by as many comparisons abreast as x may pass.
    Passed for certain where x >= 8^j, for certain not where x < 7 * 8^(j-1), so  7 * 8^(n-1) <= x < 8^(n+1).
    normal = x * 8^(15-n) / 2^16  lies in [7 * 2^26, 2^32]: one table of 28 rows an octave serves all x.

The exact leading bit of x is never needed: that is what makes this short. Tables of factors that depend on n alone are
read in the same call; reciprocal, roots and logarithm differ in these, and in what they make of the normal value.
Not here: negative x, which a caller turns round or catches first (`guarded`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import NamedTuple

import numpy as np

from tacit.errors import NotRepresentable
from tacit.functions.segments import RealFunction, pieces
from tacit.protocols.interface import Pieces, Protocol, Shares, Threshold
from tacit.protocols.rounds import Steps

#: Positive values are below 2^47 units: more would leave no room to scale them up.
VALUE_BITS = 47
_TOP = 15  # 8^(TOP + 1) is beyond every value
_DROPPED = 16  # of x * 8^(15-n); a truncation by more than 16 bits sends twice as many
NORMAL_BITS = 3 * _TOP - _DROPPED  # normal = x * 2^(NORMAL_BITS - 3n)
#: Tables read the normal value at its upper bits: rows 14 to 128, the last of them being row 0.
SEGMENT_BITS = 25
_ROWS = range(14, 129)


class Bounds(NamedTuple):
    """What is publicly known about a secret, in units: smallest <= x <= largest. Tighter bounds cost fewer comparisons.

    They are the caller's word: outside them the result is a wrong number, and a rehearsal stops.
    """

    smallest: int
    largest: int


def bounds_of(protocol: Protocol, frac_bits: int) -> Bounds:
    """The bounds of every value with so many fraction bits: what the format promises of a difference of two."""
    fixed = protocol.fixed
    bits = min(fixed.value_bits + max(frac_bits - fixed.frac_bits, 0) + 1, VALUE_BITS)
    return Bounds(1 - (1 << bits), (1 << bits) - 1)


@dataclass(frozen=True)
class Ladder:
    """The comparisons that find n, and the rows of tables that follow it."""

    first: int  # the n of a value that passes none of the octave thresholds
    steps: int  # octave thresholds
    guarded: bool  # one more comparison asks for x >= 1 first; row 0 is then for x <= 0
    width: int  # of the comparisons

    @property
    def thresholds(self) -> list[Threshold]:
        """x >= 1 where guarded; then the octaves, on multiples of three bits so that they share digits."""
        octaves = [Threshold(3 * (j - 1), 8) for j in range(self.first + 1, self.first + self.steps + 1)]
        return [Threshold(0, 1), *octaves] if self.guarded else octaves

    def table(self, factor: Callable[[int], int], otherwise: int = 0) -> Pieces:
        """factor(n) at every row that n may have; `otherwise` for x <= 0."""
        found = [otherwise] * self.guarded + [factor(self.first + step) for step in range(self.steps + 1)]
        entries = 1 << (len(found) - 1).bit_length()
        row = np.zeros((1, entries), dtype=np.int64)
        row[0, : len(found)] = found
        return Pieces(row, ())


@cache
def ladder(bounds: Bounds) -> Ladder:
    """The fewest comparisons for values within the bounds."""
    smallest, largest = bounds
    if not (smallest <= largest and 1 <= largest < 1 << VALUE_BITS):
        raise NotRepresentable(
            f"values of {smallest} to {largest} units have no normal form: the largest must lie in [1, 2^{VALUE_BITS})",
            hint="use fewer fraction bits, or divide the values by a public number first",
        )
    guarded = smallest < 1
    last = max(_power_of_eight(largest), 1)
    # One threshold at least, so that there is something to count.
    first = 0 if guarded else min(_power_of_eight(smallest), last - 1)
    needed = max(largest, -smallest - 1, 8**last)
    return Ladder(first, last - first, guarded, needed.bit_length() + 1)


def normalised(
    protocol: Protocol,
    x: Shares,
    on: Ladder,
    factors: Sequence[Pieces] = (),
    times: Mapping[int, Shares] | None = None,
) -> Steps[tuple[Shares, list[Shares]]]:
    """The normal value of x, and what tables made by `on.table` say of n; `times` multiplies some of these."""
    bits = yield from protocol.steps("at_least", x, on.thresholds, on.width)
    multiplied = {0: x} | {at + 1: factor for at, factor in (times or {}).items()}
    flat = {at: factor.reshape(factor.shape[0], -1) for at, factor in multiplied.items()}
    found: list[Shares] = yield from protocol.steps("lookup_count", bits, [_scales(on), *factors], flat)
    scaled, *others = (words.reshape(x.shape) for words in found)
    # Exact for n <= 9, where the scale is a multiple of 2^16; 0 stays 0.
    normal: Shares = yield from protocol.steps("truncate", scaled, _DROPPED)
    return normal, others


def segments(value: RealFunction, scale_bits: int, kept: Sequence[int], truncation: int) -> Pieces:
    """A table that says value(normal / 2^29) * 2^scale_bits; the argument lies in [7/8, 8]."""
    return _lowest_moved(
        pieces(
            value,
            _ROWS,
            shift=SEGMENT_BITS,
            input_bits=NORMAL_BITS,
            scale_bits=scale_bits,
            kept=kept,
            truncation=truncation,
        )
    )


def looked_up(protocol: Protocol, normal: Shares, table: Pieces, shift: int) -> Steps[Shares]:
    """What the table says of the normal value, without its `shift` lowest bits."""
    (found,) = yield from protocol.steps("lookup", normal, SEGMENT_BITS, [table])
    words: Shares = yield from protocol.steps("truncate", found, shift)
    return words


def _lowest_moved(table: Pieces) -> Pieces:
    """The table with row 15 written for the remainders of row 14 as well.

    No normal value lies below the middle of row 14, where curves are steepest. Its upper half is fitted better by the
    polynomial of its neighbour, in t - 2^25: a term in t_i^j goes to the coefficient of t_j, which drops no more bits.
    """
    found = table.coefficients.copy()
    row = [0] * found.shape[0]
    drop = (SEGMENT_BITS, *table.drop)
    for i, a in enumerate(int(a) for a in found[:, _ROWS[1]]):
        for j in range(i + 1):
            bits = (SEGMENT_BITS - drop[i]) * (i - j) - (drop[i] - drop[j]) * j
            exact = a * math.comb(i, j) * (-1) ** (i - j)
            row[j] += exact << bits if bits >= 0 else round(Fraction(exact, 1 << -bits))
    found[:, _ROWS[0]] = row
    return Pieces(found, table.drop)


@cache
def _scales(on: Ladder) -> Pieces:
    return on.table(lambda n: 8 ** (_TOP - n))


def _power_of_eight(value: int) -> int:
    """The largest n with 8^n <= value."""
    return (value.bit_length() - 1) // 3
