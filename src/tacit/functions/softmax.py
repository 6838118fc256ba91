"""softmax and its logarithm along an axis: the largest subtracted, exponentials, one reciprocal or logarithm per sum.

Domain   every representable x; a gap of a thousand gives 0 and 1.
Error    softmax 1.2 units. log_softmax 2 units up to 20 fraction bits. Beyond a thousand entries that all but vanish
         beside the largest, both up to n / 2^10 units more.
Rounds   ceil(log2 n) times those of a comparison and selection, then exponential, reciprocal or logarithm, product.

Exponentials carry guard bits: without them the n roundings in a sum of n exponentials add up to tens of units. What is
below one unit of theirs may become 0, so n such entries lose up to n / 2^g units of the sum; hence more for larger n.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import cast

from tacit.functions.exponential import exp_of_negative_steps
from tacit.functions.logarithm import log
from tacit.functions.normal import Bounds
from tacit.functions.order import maximum
from tacit.functions.reciprocal import reciprocal_steps
from tacit.functions.segments import WORDS
from tacit.functions.short_range import degree_for, inverse_steps
from tacit.protocols import Protocol, Shares
from tacit.protocols.rounds import Steps
from tacit.ring.kernels import mul

#: Guard bits of the exponentials: the logarithm of n, within these limits.
_GUARD_MIN, _GUARD_MAX = 6, 10
#: Bits dropped from the last product, as far as 1 / sum keeps five guard bits; dropping more sends twice as much.
_DROPPED, _INVERSE_GUARD_BITS = 32, 5
_PRODUCT_BITS = 61
_ROUNDING = 4  # units that an exponential may be above 1


def softmax(protocol: Protocol, x: Shares, frac_bits: int, axis: int = -1) -> Shares:
    """exp(x) / sum exp(x) along an axis of the public shape."""
    if not x.numel():
        return x
    entries, back = _below_largest(protocol, x, frac_bits, axis)
    powers, total, bounds = _exponentials(protocol, entries, frac_bits)
    guard = guard_bits(entries.shape[1], frac_bits)
    wanted = max(_DROPPED - guard, frac_bits + _INVERSE_GUARD_BITS)
    inverse_bits = min(wanted, _PRODUCT_BITS - frac_bits - guard)
    inverted = _inverse(bounds, frac_bits + guard, inverse_bits, frac_bits)
    inverse = cast(Shares, protocol.elementwise(inverted, total, words=WORDS))
    return protocol.product_truncated(mul, powers, inverse.expand_as(powers), guard + inverse_bits).movedim(1, back)


def _inverse(bounds: Bounds, bits: int, result_bits: int, frac_bits: int) -> Callable[..., Steps[Shares]]:
    """Steps for 1 / sum: one table for a few entries, normalisation for many."""
    degree = degree_for(bounds, bits, frac_bits)
    if degree is None:
        return partial(reciprocal_steps, frac_bits=bits, result_bits=result_bits, bounds=bounds)
    return partial(inverse_steps, bits=bits, result_bits=result_bits, degree=degree, bounds=bounds)


def log_softmax(protocol: Protocol, x: Shares, frac_bits: int, axis: int = -1) -> Shares:
    """x - log sum exp(x) along an axis of the public shape."""
    if not x.numel():
        return x
    entries, back = _below_largest(protocol, x, frac_bits, axis)
    _, total, bounds = _exponentials(protocol, entries, frac_bits)
    bits = frac_bits + guard_bits(entries.shape[1], frac_bits)
    return (entries - log(protocol, total, bits, frac_bits, bounds)).movedim(1, back)


def guard_bits(entries: int, frac_bits: int) -> int:
    """By how many fraction bits exponentials in a sum of so many are finer than the result."""
    # What the product of two factors in `exponential` has room for ends below 61 bits.
    return max(_GUARD_MIN, min((entries - 1).bit_length(), _GUARD_MAX, 57 - 2 * frac_bits))


def _below_largest(protocol: Protocol, x: Shares, frac_bits: int, axis: int) -> tuple[Shares, int]:
    """x less its largest along the axis, which comes first, and where that axis was."""
    back = axis if axis < 0 else axis - x.dim() + 1
    entries = x.movedim(back, 1).contiguous()
    return entries - maximum(protocol, entries, 0, protocol.comparison_bits(frac_bits)), back


def _exponentials(protocol: Protocol, entries: Shares, frac_bits: int) -> tuple[Shares, Shares, Bounds]:
    """exp of entries that are at most 0, one of each column 0; their sum; and the bounds of that sum."""
    bits = frac_bits + guard_bits(entries.shape[1], frac_bits)
    steps = partial(exp_of_negative_steps, frac_bits=frac_bits, result_bits=bits, relative_bits=frac_bits)
    powers = cast(Shares, protocol.elementwise(steps, entries, words=WORDS))
    total = powers.sum(1, keepdim=True)
    # One entry is 1 and none is more, up to rounding.
    one = 1 << bits
    return powers, total, Bounds(one - one // 8, entries.shape[1] * (one + _ROUNDING))
