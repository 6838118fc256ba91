"""Means of squares far below the smallest step of a format, and quotients by their roots: what Adam divides by.

Format   a mean of squares has 54 fraction bits, and is at most 64: whatever is squared counts as 8 where it is larger.
Error    a square is that of a number rounded to 27 fraction bits; an update of the mean adds two units at most. Eight
         units are added before a root is taken, and a quotient is then right to 2^-12 of its size and one unit.
Rounds   in masked 6 for an update, and 21 for a quotient.
Not here values in a job's format (roots); what an optimiser does with these (tensor.moments).
"""

from __future__ import annotations

import math
from typing import cast

import numpy as np

from tacit.functions import reciprocal, roots
from tacit.functions.normal import Bounds
from tacit.functions.segments import WORDS
from tacit.protocols import Protocol, Shares
from tacit.protocols.interface import Threshold
from tacit.protocols.rounds import Steps
from tacit.ring.kernels import mul

MEAN_BITS = 54
ROOT_BITS = MEAN_BITS // 2
#: A gradient beyond this many units counts as this many: its square and any mean of them then fit 60 bits.
LARGEST_ROOT = 1 << (3 + ROOT_BITS)
#: Each update of a mean is off by at most this many units; a root is taken of that many more, so never of 0 or less.
FLOOR = 8
#: Bits of a comparison of two means.
_WIDTH = 62
#: Means from here on are shifted before a root is taken: the normalisation below it spans 47 bits.
WIDE_BITS, WIDE_SHIFT = 42, 20
#: A mean is cut here before it is multiplied: the high part times a factor of as many bits still fits the ring.
_CUT_BITS = 14
#: Fraction bits of 1 / root: from 1 / 8 up to 2^27 it has twelve significant ones or more, and fits 42 bits.
INVERSE_BITS = 15
#: A constant below this may as well be added squared to the square, before the root: it only guards roots near 0.
SMALL_ADDEND = 2.0**-23


def updated(protocol: Protocol, x: Shares, bits: int, mean: Shares | None, part: float) -> Shares:
    """(1 - part) mean + part x^2, for x with `bits` fraction bits; without a mean, part is 1."""
    root_part, drop = protocol.fixed.factor(math.sqrt(part) * 2.0 ** (ROOT_BITS - bits))

    def square(p: Protocol, x: Shares) -> Steps[Shares]:
        x = p.scale((yield from _limited(p, x, bits)), root_part)
        if drop > 0:
            x = yield from p.steps("truncate", x, drop)
        squared: Shares = yield from p.steps("product", mul, x, x)
        return squared

    def steps(p: Protocol, x: Shares, *rest: Shares) -> Steps[Shares]:
        if not rest:
            return (yield from square(p, x))
        (held,) = rest
        fresh, lost = yield from p.abreast(square(p, x), _fraction(p, held, part))
        total: Shares = held - lost + fresh
        return total

    return cast(Shares, protocol.elementwise(steps, x, *([] if mean is None else [mean]), words=WORDS))


def larger(protocol: Protocol, a: Shares, b: Shares, share: float) -> Shares:
    """The larger of a mean and a public share of another, which is at most 1."""

    def steps(p: Protocol, a: Shares, b: Shares) -> Steps[Shares]:
        b = b - (yield from _fraction(p, b, 1 - share)) if share < 1 else b
        below = yield from p.steps("is_negative", a - b, _WIDTH)
        raised: Shares = yield from p.steps("select", below, b - a)
        return a + raised

    return cast(Shares, protocol.elementwise(steps, a, b))


def quotient(protocol: Protocol, x: Shares, bits: int, mean: Shares, addend: float, result_bits: int) -> Shares:
    """x / (sqrt(mean) + addend) with `result_bits` fraction bits, at most INVERSE_BITS more than x has.

    x is limited as what was squared: then a step is no longer because its gradient is too large for the format.
    """
    units = round(addend * 2**ROOT_BITS)
    if addend <= SMALL_ADDEND:
        floor = max(FLOOR, round((addend * 2**ROOT_BITS) ** 2))
        narrow, wide, limited = _narrowed(protocol, protocol.add_public(mean, np.array(floor)), x, bits)
        found = roots.rsqrt(protocol, narrow, MEAN_BITS, INVERSE_BITS, Bounds(1, 1 << WIDE_BITS))
        # A shifted mean is 2^WIDE_SHIFT too small, so its inverse root is so much too large.
        inverse = found - protocol.product(mul, wide, found - protocol.truncate(found, WIDE_SHIFT // 2))
    else:
        narrow, wide, limited = _narrowed(protocol, protocol.add_public(mean, np.array(FLOOR)), x, bits)
        distance = protocol.add_public(_root_of_narrow(protocol, narrow, wide), np.array(units))
        bounds = Bounds(max(1, units), LARGEST_ROOT + FLOOR + units)
        inverse = reciprocal.reciprocal(protocol, distance, ROOT_BITS, INVERSE_BITS - ROOT_BITS, bounds)
    drop = bits + INVERSE_BITS - result_bits
    if not drop:
        return protocol.product(mul, limited, inverse)
    return protocol.product_truncated(mul, limited, inverse, drop)


def square_root(protocol: Protocol, mean: Shares) -> Shares:
    """sqrt(mean) with ROOT_BITS fraction bits."""
    narrow, wide = _narrowed(protocol, protocol.add_public(mean, np.array(FLOOR)))
    return _root_of_narrow(protocol, narrow, wide)


def _root_of_narrow(protocol: Protocol, narrow: Shares, wide: Shares) -> Shares:
    found = roots.sqrt(protocol, narrow, MEAN_BITS, ROOT_BITS, Bounds(1, 1 << WIDE_BITS))
    return found + protocol.scale(protocol.product(mul, wide, found), (1 << (WIDE_SHIFT // 2)) - 1)


def _fraction(protocol: Protocol, mean: Shares, part: float) -> Steps[Shares]:
    """part * mean, off by at most two units, for 0 < part < 1: the high and the low bits apart, since together with the
    bits of the factor they would not fit the ring."""
    mantissa, exponent = math.frexp(part)
    factor, drop = round(mantissa * 2**_CUT_BITS), _CUT_BITS - exponent
    high = yield from protocol.steps("truncate", mean, _CUT_BITS)
    low = mean - protocol.scale(high, 1 << _CUT_BITS)
    gates = [protocol.steps("truncate", protocol.scale(low, factor), drop)]
    if drop > _CUT_BITS:
        gates.append(protocol.steps("truncate", protocol.scale(high, factor), drop - _CUT_BITS))
    parts = yield from protocol.abreast(*gates)
    if drop == _CUT_BITS:
        parts.append(protocol.scale(high, factor))
    total: Shares = parts[0] + parts[1]
    return total


def _narrowed(protocol: Protocol, mean: Shares, x: Shares | None = None, bits: int = 0) -> list[Shares]:
    """The mean below 2^WIDE_BITS units, shifted where it is not; 1 where it was shifted, else 0; and x limited."""

    def narrow(p: Protocol, x: Shares) -> Steps[list[Shares]]:
        planes, shifted = yield from p.abreast(
            p.steps("at_least", x, [Threshold(0, 1 << WIDE_BITS)], _WIDTH),
            p.steps("truncate", x, WIDE_SHIFT),
        )
        change, wide = yield from p.abreast(
            p.steps("select", planes, shifted - x), p.steps("from_bits", planes, tuple(x.shape[1:]))
        )
        return [x + change, wide]

    def steps(p: Protocol, x: Shares, *rest: Shares) -> Steps[list[Shares]]:
        found, *limited = yield from p.abreast(narrow(p, x), *(_limited(p, y, bits) for y in rest))
        return [*found, *limited]

    found: list[Shares] = protocol.elementwise(steps, mean, *([] if x is None else [x]), words=WORDS)
    return found


def _limited(p: Protocol, x: Shares, bits: int) -> Steps[Shares]:
    """x, with `bits` fraction bits, between -LARGEST_ROOT and LARGEST_ROOT."""
    bound, width = LARGEST_ROOT >> ROOT_BITS << bits, p.comparison_bits(bits)
    if bound.bit_length() >= width:
        return x
    planes = yield from p.steps("at_least", x, [Threshold(0, -bound), Threshold(0, bound)], width)
    above, over = yield from p.abreast(
        p.steps("select", planes.plane(0), p.add_public(x, np.array(bound))),
        p.steps("select", planes.plane(1), p.add_public(x, np.array(-bound))),
    )
    limited: Shares = p.add_public(above - over, np.array(-bound))
    return limited
