"""exp: the whole part of the exponent picks a power of two, the fraction is a power of two in its own right.

Method   z = x log2(e) is local. z = i + t / 2^shift, so e^x = 2^i * 2^t: a table for 2^i, a table of factors for 2^t.
Domain   every value that a comparison takes. Below -(f + 1) ln 2 the result is 0, exactly; above `highest` it stays at
         its value a quarter further on, which is the most that the product before the last truncation has room for.
Error    catalogue.py promises it: 1.1 units times the larger of 1 and e^x. One unit of x already moves e^x by that.
Rounds   6 in masked; `exp_of_negative` 4 where one product of factors is exact enough.
Not here normalised sums of exponentials (softmax).
"""

from __future__ import annotations

from decimal import Decimal
from functools import cache, partial

import numpy as np

from tacit.functions.segments import HEADROOM_BITS, WORDS, exact_decimals, whole
from tacit.protocols import Protocol, Shares
from tacit.protocols.interface import Pieces, Powers, Threshold, Values
from tacit.protocols.rounds import Steps
from tacit.ring.kernels import mul
from tacit.ring.powers import BITS_MAX

#: Octaves that an index tells apart; all results that are not 0 lie within them.
OCTAVES = 64
#: Fraction bits of log2(e). The factor is odd, so that it maps masks one to one.
LOG2_E_BITS = 30
#: Ends of the domain are multiples of 2^-2: coarse comparisons are cheap.
QUARTER_BITS = 2
#: Truncations by more bits send wider words. The factors of 2^t that this leaves, of 17 + f / 2 bits, are exact enough.
CHEAP_SHIFT = 32
#: No result reaches 2^46 units, which is what values may be: ring.fixed.
VALUE_BITS = 46


def exp(protocol: Protocol, x: Shares, frac_bits: int) -> Shares:
    """e^x, both with `frac_bits` fraction bits; the result never wraps."""
    result: Shares = protocol.elementwise(partial(exp_steps, frac_bits=frac_bits), x, words=WORDS)
    return result


def exp_steps(protocol: Protocol, x: Shares, frac_bits: int) -> Steps[Shares]:
    """The same as steps."""
    top = saturation(frac_bits)
    ends = [_lowest(frac_bits, frac_bits), Threshold(top.shift, top.bound + 1)]
    bits, product = yield from protocol.abreast(
        protocol.steps("at_least", x, ends, protocol.comparison_bits(frac_bits)),
        _two_factors(protocol, x, frac_bits, frac_bits, top_octave(frac_bits), frac_bits + 2),
    )
    inside, beyond = protocol.xor(bits.plane(0), bits.plane(1)), bits.plane(1)
    chosen, far = yield from protocol.abreast(
        protocol.steps("select", inside, product), protocol.steps("from_bits", beyond, tuple(x.shape[1:]))
    )
    result: Shares = chosen + protocol.scale(far, largest(frac_bits))
    return result


def exp_of_negative(protocol: Protocol, x: Shares, frac_bits: int, result_bits: int | None = None) -> Shares:
    """e^x for x <= 0, with `result_bits` fraction bits (those of x where not given).

    Off by at most 1.1 of its own units, and 2^-(f + 2) of the result. For x > 0 it is meaningless, but at most 2 or so.
    """
    steps = partial(exp_of_negative_steps, frac_bits=frac_bits, result_bits=result_bits)
    result: Shares = protocol.elementwise(steps, x, words=WORDS)
    return result


def exp_of_negative_steps(
    protocol: Protocol, x: Shares, frac_bits: int, result_bits: int | None = None, relative_bits: int | None = None
) -> Steps[Shares]:
    """The same as steps. Fewer `relative_bits` than f + 2 leave more results to the cheaper of two ways."""
    wanted = frac_bits if result_bits is None else result_bits
    needed = frac_bits + 2 if relative_bits is None else relative_bits
    (inside, result) = yield from protocol.abreast(
        protocol.steps("at_least", x, [_lowest(frac_bits, wanted)], protocol.comparison_bits(frac_bits)),
        _one_factor(protocol, x, frac_bits, wanted)
        if _factor_bits(wanted) > needed
        else _two_factors(protocol, x, frac_bits, wanted, 0, min(frac_bits + 4, HEADROOM_BITS - 2 - wanted)),
    )
    chosen: Shares = yield from protocol.steps("select", inside, result)
    return chosen


def highest(frac_bits: int) -> float:
    """Below this e^x is as exact as promised."""
    top = saturation(frac_bits)
    return top.bound / (1 << QUARTER_BITS)


def _one_factor(protocol: Protocol, x: Shares, frac_bits: int, result_bits: int) -> Steps[Shares]:
    """2^i * 2^t in one product: the precision of both factors of 2^t fits below 2^62 together with the result."""
    bits = _factor_bits(result_bits)
    table = Powers(_octaves(result_bits, 0), bits)
    (found,) = yield from protocol.steps("lookup", *_exponent(protocol, x, frac_bits), [table])
    result: Shares = yield from protocol.steps("truncate", found, 2 * bits)
    return result


def _factor_bits(result_bits: int) -> int:
    # Row 0 is the highest: it says at most 2 * 2^(result_bits + 2 bits), which is 2^61.
    return min((HEADROOM_BITS - 2 - result_bits) // 2, BITS_MAX)


def _two_factors(
    protocol: Protocol, x: Shares, frac_bits: int, result_bits: int, top: int, guard_bits: int
) -> Steps[Shares]:
    """2^t at full precision, cut to `guard_bits`, then times 2^i for i up to `top`.

    2^i is whole or 0 and 2^t below 2, also for a value outside: top + 1 + result_bits + guard_bits stays below 62.
    """
    bits = min((CHEAP_SHIFT + guard_bits) // 2, BITS_MAX)
    octaves = Pieces(_octaves(result_bits, top)[None], ())
    fractions = Powers(np.ones(OCTAVES, dtype=np.int64), bits)
    octave, fraction = yield from protocol.steps("lookup", *_exponent(protocol, x, frac_bits), [octaves, fractions])
    cut = yield from protocol.steps("truncate", fraction, 2 * bits - guard_bits)
    result: Shares = yield from protocol.steps("product_truncated", mul, octave, cut, guard_bits)
    return result


def _exponent(protocol: Protocol, x: Shares, frac_bits: int) -> tuple[Shares, int]:
    """x log2(e), and its fraction bits. Far outside it wraps: what is then looked up, a bit sets to 0."""
    return protocol.scale(x, _log2_e()), frac_bits + LOG2_E_BITS


@cache
def _log2_e() -> int:
    with exact_decimals():
        return whole(Decimal(2) ** LOG2_E_BITS / Decimal(2).ln()) | 1


@cache
def _octaves(result_bits: int, top: int) -> Values:
    """2^(i + result_bits) at entry i modulo 64 for -result_bits <= i <= top, else 0."""
    table = np.zeros(OCTAVES, dtype=np.int64)
    for i in range(-result_bits, top + 1):
        table[i % OCTAVES] = 1 << (i + result_bits)
    return table


@cache
def saturation(frac_bits: int) -> Threshold:
    """From which quarter on exp need not be exact.

    One quarter later it must be constant: until then the product before the last truncation stays below 2^62 also for
    the largest remainder that the highest octave may meet, and the result below 2^46.
    """
    with exact_decimals():
        octave = Decimal(2).ln()
        room = (58 - 2 * frac_bits) * octave - Decimal("0.5")
        value = (VALUE_BITS - frac_bits) * octave - Decimal("0.25")
        quarters = int(min(room, value) * (1 << QUARTER_BITS))
    return Threshold(frac_bits - QUARTER_BITS, quarters)


@cache
def top_octave(frac_bits: int) -> int:
    """The highest index of a value below saturation: that of the last quarter, or one more."""
    with exact_decimals():
        end = Decimal(saturation(frac_bits).bound + 1) / (1 << QUARTER_BITS)
        return int(end / Decimal(2).ln()) + 1


@cache
def largest(frac_bits: int) -> int:
    """What exp is beyond saturation, in units: its value one quarter after `highest`, so that it never falls."""
    with exact_decimals():
        end = Decimal(saturation(frac_bits).bound + 1) / (1 << QUARTER_BITS)
        return whole(end.exp() * Decimal(2) ** frac_bits)


@cache
def _lowest(frac_bits: int, result_bits: int) -> Threshold:
    """Below this quarter e^x is less than half a unit."""
    with exact_decimals():
        quarters = -int((result_bits + 1) * Decimal(2).ln() * (1 << QUARTER_BITS)) - 1
    return Threshold(frac_bits - QUARTER_BITS, quarters)
