"""1 / x for x that is publicly known to lie within a few octaves: one table, read at the upper bits of x itself.

    x in [1, 2^m) units of one, m <= 4: 128 segments of the window, so that the first octave still has 2^(7-m) of them.

Error    relative 2^-(f + 1), for a product with numbers of at most 1 and f fraction bits.
Rounds   4 in masked, where normalisation takes 15.
Not here ranges that are wide or unknown: reciprocal.
"""

from __future__ import annotations

from functools import cache

from tacit.functions.normal import Bounds
from tacit.functions.segments import ENTRIES, pieces
from tacit.protocols.interface import Pieces, Protocol, Shares
from tacit.protocols.rounds import Steps

_OCTAVES_MAX = 4
_DEGREE_MAX = 4
#: Bits of t that the terms of degree 1 to 4 see: the first octave's terms shrink by 2^-4 with every degree.
_KEPT = (20, 15, 12, 9)
_SCALE_BITS = 59  # of what the table says: 1 / x is at most 1, and 8/7 just below


def degree_for(bounds: Bounds, bits: int, frac_bits: int) -> int | None:
    """The degree of the table for x with `bits` fraction bits, or None where one table is not exact enough."""
    octaves = _octaves(bounds, bits)
    if bounds.smallest < 7 << (bits - 3) or octaves > _OCTAVES_MAX or bits + octaves < 8:
        return None
    # A row reaches 2^(octaves - 7) to each side of a centre near 1; Chebyshev's error falls by half of that a degree.
    per_degree = 8 - max(octaves, 3)
    degree = -(-(frac_bits + 3) // per_degree) - 1
    return degree if degree <= _DEGREE_MAX else None


def inverse_steps(
    protocol: Protocol, x: Shares, *, bits: int, result_bits: int, degree: int, bounds: Bounds
) -> Steps[Shares]:
    """2^(bits + result_bits) / x for x in units, as steps."""
    octaves = max(_octaves(bounds, bits), 3)
    truncation = _SCALE_BITS - result_bits
    table = _table(octaves, bits, degree, truncation)
    (found,) = yield from protocol.steps("lookup", x, bits + octaves - 7, [table])
    words: Shares = yield from protocol.steps("truncate", found, truncation)
    return words


def _octaves(bounds: Bounds, bits: int) -> int:
    return (bounds.largest >> bits).bit_length()


@cache
def _table(octaves: int, bits: int, degree: int, truncation: int) -> Pieces:
    first = ENTRIES >> octaves  # the row that begins at 1
    return pieces(
        lambda x: 1 / x,
        range(first - 1, ENTRIES + 1),
        shift=bits + octaves - 7,
        input_bits=bits,
        scale_bits=_SCALE_BITS,
        kept=_KEPT[:degree],
        truncation=truncation,
    )
