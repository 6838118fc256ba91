"""1 / x and a / b, divisors of either sign: three-octave normalisation, quadratic segments, one Newton step.

    y = T(normal), relative error 2^-13;    Y = 2 y - y^2 normal, 29 bits and relative error 2^-26;    1 / x = Y 2^e(n)

Domain   0 < |x| < 2^47 units. A result is below 2^62 units.
Error    reciprocal: 1.1 units + 2^-25 |y|.  division: 1.1 units + 2^-25 |q| + |a| 2^-p units, with p guard bits in the
         reciprocal; |a / b| must stay below 2^(62 - 2 f - p): 2^22 at 16 fraction bits and 8 guard bits.
Outside  1 / 0 is 2^(f-2), a quarter of the largest reciprocal.
Not here a public divisor: its reciprocal is a public factor.

One unit everywhere is impossible: near x = 1 unit it would take 2 f + 1 correct bits, of an input that is itself
uncertain by half.
"""

from __future__ import annotations

from functools import cache, partial
from typing import cast

import numpy as np

from tacit.functions.compare import broadcast
from tacit.functions.normal import NORMAL_BITS, Bounds, Ladder, bounds_of, ladder, looked_up, normalised, segments
from tacit.functions.segments import WORDS
from tacit.protocols.interface import Choice, Pieces, Protocol, Shares
from tacit.protocols.rounds import Steps
from tacit.ring.kernels import mul

#: The first guess is 2^45 / normal: as many bits as leave room for its square times the normal value.
_GUESS_BITS = 45
#: Y = 2^58 / normal; the Newton step has 2 * 45 bits more than a product of units.
_NEWTON_BITS = 58
_NEWTON_SHIFT = 2 * _GUESS_BITS - _NEWTON_BITS
_TABLE_SHIFT = 32
#: y = Y * 2^(E - LAST) with E = fraction bits of x and of y - 3 n. A larger E than SPLIT needs no truncation any more.
_LAST = _NEWTON_BITS - NORMAL_BITS
_SPLIT = 32
#: Bits of the remainder in the segments: 2^-18 of the value, well below the quadratics' 2^-13.
_KEPT = (16, 16)
_GUARD_BITS = 8


def reciprocal(
    protocol: Protocol, x: Shares, frac_bits: int, guard_bits: int = 0, bounds: Bounds | None = None
) -> Shares:
    """1 / x with frac_bits + guard_bits fraction bits. Bounds with smallest >= 1 save the sign."""
    steps = partial(
        reciprocal_steps,
        frac_bits=frac_bits,
        result_bits=frac_bits + guard_bits,
        bounds=bounds or bounds_of(protocol, frac_bits),
    )
    return cast(Shares, protocol.elementwise(steps, x, words=WORDS))


def divide(
    protocol: Protocol,
    a: Shares,
    b: Shares,
    frac_bits: int,
    guard_bits: int | None = None,
    bounds: Bounds | None = None,
) -> Shares:
    """a / b, broadcast as torch does; `bounds` are those of b. Fewer guard bits reach larger quotients."""
    guard = default_guard_bits(frac_bits) if guard_bits is None else guard_bits
    inverse = reciprocal(protocol, b, frac_bits, guard, bounds)
    shape = np.broadcast_shapes(a.shape[1:], b.shape[1:])
    return protocol.product_truncated(mul, broadcast(a, shape), broadcast(inverse, shape), frac_bits + guard)


def default_guard_bits(frac_bits: int) -> int:
    """Guard bits of a division: eight, or as few as leave quotients of 2^14."""
    return max(min(_GUARD_BITS, 62 - 2 * frac_bits - 14), 0)


def reciprocal_steps(
    protocol: Protocol, x: Shares, *, frac_bits: int, result_bits: int, bounds: Bounds
) -> Steps[Shares]:
    """2^(frac_bits + result_bits) / x for x in units, as steps."""
    if bounds.smallest < 0:
        return (yield from _signed(protocol, x, frac_bits, result_bits, bounds))
    return (yield from _of_positive(protocol, x, None, frac_bits + result_bits, bounds.smallest, bounds.largest))


def _signed(protocol: Protocol, x: Shares, frac_bits: int, result_bits: int, bounds: Bounds) -> Steps[Shares]:
    """The magnitude is normalised; the sign comes back as a factor of what the tables say of n, at no round."""
    largest = max(-bounds.smallest, bounds.largest)
    choice = Choice.of((yield from protocol.steps("is_negative", x, largest.bit_length() + 1)))
    negative = yield from protocol.steps("choose", choice, x)
    words = yield from protocol.steps("as_words", choice, tuple(x.shape[1:]))
    sign = protocol.add_public(-2 * words, np.ones((), dtype=np.int64))
    return (yield from _of_positive(protocol, x - 2 * negative, sign, frac_bits + result_bits, 0, largest))


def _of_positive(
    protocol: Protocol, x: Shares, sign: Shares | None, scale_bits: int, smallest: int, largest: int
) -> Steps[Shares]:
    # 0 needs no guard of its own: its normal value is 0, which is in the table's domain.
    on = ladder(Bounds(max(smallest, 1), largest))
    factors = _factors(on, scale_bits)
    times = {} if sign is None else dict.fromkeys(range(len(factors)), sign)
    normal, (low, *high) = yield from normalised(protocol, x, on, factors, times)
    guess = yield from looked_up(protocol, normal, _guesses(), _TABLE_SHIFT)
    product = yield from protocol.steps("product", mul, normal, guess)
    excess = yield from protocol.steps("product_truncated", mul, guess, product, _NEWTON_SHIFT)
    better = (guess << (_NEWTON_BITS - _GUESS_BITS + 1)) - excess
    below = protocol.steps("product_truncated", mul, better, low, _LAST)
    if not high:
        words: Shares = yield from below
        return words
    # Where one factor is not 0 the other is, and 0 truncates to 0 exactly, so the two results add.
    small, large = yield from protocol.abreast(below, protocol.steps("product", mul, better, high[0]))
    return cast(Shares, small + large)


@cache
def _guesses() -> Pieces:
    scale_bits = _GUESS_BITS - NORMAL_BITS + _TABLE_SHIFT
    return segments(lambda x: 1 / x, scale_bits, _KEPT, _TABLE_SHIFT)


@cache
def _factors(on: Ladder, scale_bits: int) -> list[Pieces]:
    """2^E where a truncation by _LAST bits follows, and 2^(E - _LAST) where none does; the second only if it occurs."""

    def low(n: int) -> int:
        exponent = scale_bits - 3 * n
        return 1 << exponent if 0 <= exponent <= _SPLIT else 0

    def high(n: int) -> int:
        exponent = scale_bits - 3 * n
        return 1 << (exponent - _LAST) if exponent > _SPLIT else 0

    tables = [on.table(low), on.table(high)]
    return tables if tables[1].coefficients.any() else tables[:1]
