"""Powers of two with a fraction in the exponent, as integers that every machine computes alike.

Two parties who scale shares of one value by factors that differ in the last unit corrupt it altogether, so there is no
floating point here: three tables of 1,024 entries, made with 40-digit decimals, and integer products of 31 bits.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from functools import cache

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.int64]
_DIGIT, _BITS = 10, 30  # bits of the exponent per table; fraction bits of an entry
BITS_MAX = _BITS


def power_of_two(exponent: Words, shift: int, bits: int) -> Words:
    """2^(exponent / 2^shift) * 2^bits for -2^shift < exponent < 2^shift and bits <= 30; relative error below 2^-28.

    The relative error is that of 30 bits of the exponent and three rounded products; below 2^-bits / 2 it is rounding.
    """
    if not 0 <= bits <= BITS_MAX:
        raise ValueError(f"a power has 0 to {BITS_MAX} fraction bits, not {bits}")
    whole = exponent >> shift  # 0, or -1 for a negative exponent
    rest = exponent - (whole << shift)
    rest = rest >> (shift - _BITS) if shift > _BITS else rest << (_BITS - shift)
    mask = (1 << _DIGIT) - 1
    result = _table(0)[rest >> 2 * _DIGIT]
    for place in (1, 2):
        factor = _table(place)[(rest >> (2 - place) * _DIGIT) & mask]
        result = (result * factor + (1 << (_BITS - 1))) >> _BITS
    down = _BITS - bits - whole
    return np.asarray(np.where(down > 0, (result + ((1 << down) >> 1)) >> down, result))


@cache
def _table(place: int) -> Words:
    """2^(i / 2^(10 (place + 1))) * 2^30, rounded, for i = 0 .. 1023."""
    with localcontext() as context:
        context.prec = 40
        step = Decimal(2) ** (Decimal(1) / Decimal(2) ** (_DIGIT * (place + 1)))
        value, found = Decimal(2) ** _BITS, []
        for _ in range(1 << _DIGIT):
            found.append(int(value.to_integral_value()))
            value *= step
    return np.array(found, dtype=np.int64)
