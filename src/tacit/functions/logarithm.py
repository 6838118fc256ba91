"""log(x): three-octave normalisation, cubic segments, and the logarithm of the octave added before rounding.

Domain   0 < x < 2^47 units. x and the result may have different numbers of fraction bits.
Error    2 units up to 20 fraction bits of the result.
Outside  log(x) = log(1 unit) = -f log 2 for x <= 0.
"""

from __future__ import annotations

from decimal import Decimal
from functools import cache, partial
from typing import cast

from tacit.functions.normal import SEGMENT_BITS, Bounds, Ladder, bounds_of, ladder, normalised, segments
from tacit.functions.segments import WORDS, exact_decimals, whole
from tacit.protocols.interface import Pieces, Protocol, Shares
from tacit.protocols.rounds import Steps

#: |log x| < 33 in 56 fraction bits is what a truncation takes.
_SCALE_BITS = 56
#: Bits of the remainder for each degree, with 56 fraction bits, and with 32 more than the result has.
_KEPT, _KEPT_COARSE = (25, 15, 11), (25, 14, 9)
#: Up to so many bits of the result, dropping 32 bits is exact enough; dropping more sends twice as much.
_COARSE_BITS = 16
_COARSE_SHIFT = 32


def log(
    protocol: Protocol, x: Shares, frac_bits: int, result_bits: int | None = None, bounds: Bounds | None = None
) -> Shares:
    """The natural logarithm with `result_bits` fraction bits (those of x where not given)."""
    steps = partial(
        log_steps,
        frac_bits=frac_bits,
        result_bits=frac_bits if result_bits is None else result_bits,
        bounds=bounds or bounds_of(protocol, frac_bits),
    )
    return cast(Shares, protocol.elementwise(steps, x, words=WORDS))


def log_steps(protocol: Protocol, x: Shares, *, frac_bits: int, result_bits: int, bounds: Bounds) -> Steps[Shares]:
    """log(x) as steps."""
    on = ladder(bounds)
    scale_bits, table = _table(result_bits)
    normal, (octave,) = yield from normalised(protocol, x, on, [_octaves(on, frac_bits, scale_bits)])
    (found,) = yield from protocol.steps("lookup", normal, SEGMENT_BITS, [table])
    words: Shares = yield from protocol.steps("truncate", found + octave, scale_bits - result_bits)
    return words


@cache
def _table(result_bits: int) -> tuple[int, Pieces]:
    coarse = result_bits <= _COARSE_BITS
    scale_bits = result_bits + _COARSE_SHIFT if coarse else _SCALE_BITS
    kept = _KEPT_COARSE if coarse else _KEPT
    return scale_bits, segments(lambda x: x.ln(), scale_bits, kept, scale_bits - result_bits)


@cache
def _octaves(on: Ladder, frac_bits: int, scale_bits: int) -> Pieces:
    """log of 8^n units. x <= 0 has the normal value 0, whose row is that of 8."""

    def units(octaves: int) -> int:
        with exact_decimals():
            return whole((octaves - frac_bits) * Decimal(2).ln() * 2**scale_bits)

    return on.table(lambda n: units(3 * n), units(-3))
