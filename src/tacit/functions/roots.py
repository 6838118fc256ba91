"""1 / sqrt(x) and sqrt(x): three-octave normalisation, cubic segments, one factor of the octave.

Domain   0 < x < 2^47 units. x and the result may have different numbers of fraction bits: a variance that keeps guard
         bits keeps an epsilon of 1e-5, which is less than one unit at 16 fraction bits, and the result needs none.
Error    1.5 units + 2^-20 |y|, where no result within the bounds exceeds 2^34 units; they do not for as many fraction
         bits as x has.
Outside  rsqrt(x) = rsqrt(1 unit) for x <= 0, sqrt(x) = 0 for x <= 0.
Not here sqrt(x) as x * rsqrt(x): the product multiplies an error of one unit by x.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from functools import cache, partial
from typing import cast

from tacit.functions.normal import Bounds, Ladder, bounds_of, ladder, looked_up, normalised, segments
from tacit.functions.segments import WORDS, exact_decimals, whole
from tacit.protocols.interface import Pieces, Protocol, Shares
from tacit.protocols.rounds import Steps
from tacit.ring.kernels import mul

_TABLE_SHIFT = 32
_SHIFT_MAX = 32  # a truncation by more bits sends twice as many
#: Bits of the remainder for each degree. Fewer for the highest leave its coefficient enough bits of its own.
_KEPT = (25, 15, 12)
#: Tables say 2^28 / sqrt(normal / 2^29), at most 28.1 bits, and 2^25 sqrt(normal / 2^29), at most 26.5.
_RSQRT_BITS, _SQRT_BITS = 28, 25
#: The last product stays below 2^61: the domain of a truncation ends at 2^62.
_PRODUCT_BITS = 61
_HALF_OCTAVES = Decimal("1.5")  # the root of 8 is 2^1.5


def rsqrt(
    protocol: Protocol, x: Shares, frac_bits: int, result_bits: int | None = None, bounds: Bounds | None = None
) -> Shares:
    """1 / sqrt(x) with `result_bits` fraction bits (those of x where not given)."""
    return _root(protocol, rsqrt_steps, x, frac_bits, result_bits, bounds)


def sqrt(
    protocol: Protocol, x: Shares, frac_bits: int, result_bits: int | None = None, bounds: Bounds | None = None
) -> Shares:
    """sqrt(x) with `result_bits` fraction bits; 0 for x <= 0."""
    return _root(protocol, sqrt_steps, x, frac_bits, result_bits, bounds)


def rsqrt_steps(protocol: Protocol, x: Shares, *, frac_bits: int, result_bits: int, bounds: Bounds) -> Steps[Shares]:
    """1 / sqrt(x) as steps."""
    on = ladder(bounds)
    factors, shift = _rsqrt_factors(on, Decimal(result_bits) + Decimal(frac_bits) / 2)
    return (yield from _scaled(protocol, x, on, _rsqrt_table(), factors, shift))


def sqrt_steps(protocol: Protocol, x: Shares, *, frac_bits: int, result_bits: int, bounds: Bounds) -> Steps[Shares]:
    """sqrt(x) as steps."""
    on = ladder(bounds)
    factors, shift = _sqrt_factors(on, Decimal(result_bits) - Decimal(frac_bits) / 2, bounds.largest)
    return (yield from _scaled(protocol, x, on, _sqrt_table(), factors, shift))


def _root(
    protocol: Protocol,
    steps: Callable[..., Steps[Shares]],
    x: Shares,
    frac_bits: int,
    result_bits: int | None,
    bounds: Bounds | None,
) -> Shares:
    result = frac_bits if result_bits is None else result_bits
    within = bounds or bounds_of(protocol, frac_bits)
    chosen = partial(steps, frac_bits=frac_bits, result_bits=result, bounds=within)
    return cast(Shares, protocol.elementwise(chosen, x, words=WORDS))


def _scaled(
    protocol: Protocol, x: Shares, on: Ladder, table: Pieces, factors: Pieces, shift: int
) -> Steps[Shares]:
    normal, (factor,) = yield from normalised(protocol, x, on, [factors])
    root = yield from looked_up(protocol, normal, table, _TABLE_SHIFT)
    words: Shares = yield from protocol.steps("product_truncated", mul, root, factor, shift)
    return words


@cache
def _rsqrt_table() -> Pieces:
    return segments(lambda x: 1 / x.sqrt(), _RSQRT_BITS + _TABLE_SHIFT, _KEPT, _TABLE_SHIFT)


@cache
def _sqrt_table() -> Pieces:
    return segments(lambda x: x.sqrt(), _SQRT_BITS + _TABLE_SHIFT, _KEPT, _TABLE_SHIFT)


@cache
def _rsqrt_factors(on: Ladder, exponent: Decimal) -> tuple[Pieces, int]:
    """2^exponent / 8^(n/2) over what the table says, and the bits to drop from the product."""
    # For x >= 1 unit the result is at most 2^exponent.
    shift = min(_PRODUCT_BITS - math.ceil(exponent), _SHIFT_MAX)
    # x <= 0 has the normal value 0, whose row is that of 8.
    at_zero = _power_of_two(exponent + shift - _RSQRT_BITS + Decimal("1.5"))
    return on.table(lambda n: _power_of_two(exponent + shift - _RSQRT_BITS - n * _HALF_OCTAVES), at_zero), shift


@cache
def _sqrt_factors(on: Ladder, exponent: Decimal, largest: int) -> tuple[Pieces, int]:
    """2^exponent * 8^(n/2) over what the table says, and the bits to drop from the product."""
    shift = min(_PRODUCT_BITS - math.ceil(exponent + Decimal(largest.bit_length()) / 2), _SHIFT_MAX)
    return on.table(lambda n: _power_of_two(exponent + shift - _SQRT_BITS + n * _HALF_OCTAVES)), shift


def _power_of_two(exponent: Decimal) -> int:
    with exact_decimals():
        return whole(Decimal(2) ** exponent)
