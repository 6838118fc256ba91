"""Digits: what the helper deals for a digit of R, and what evaluators who know C read off it. Local work.

For a fixed digit of C, any Boolean function of the same digit of R is an exclusive or of products of R's bits. So the
helper shares all those products, its *monomials*, and [C_j < R_j] and [C_j = R_j] cost the evaluators no message.

Layout. Monomials of digits of w bits are [2^w - 1, digits, words]; monomial S, at row S - 1, is the product of the
bits in S, and bit b weighs 2^(w-1-b): the lowest bit weighs most, so each step of the recursion halves a contiguous
block.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Planes = NDArray[np.int64]


def fill_monomials(bits: Planes, out: Planes) -> None:
    """Helper: all products of R's bits [digits, width, words] into out [2^width - 1, digits, words]."""
    width = bits.shape[1]
    for step in range(width):
        weight = 1 << step
        out[weight - 1] = bits[:, width - 1 - step]
        np.bitwise_and(out[weight - 1], out[: weight - 1], out=out[weight : 2 * weight - 1])


def equal_digits(bits: Planes, monomials: Planes, first: bool) -> Planes:
    """Evaluators: shares of [C_j = R_j] from C's bits [digits, width, words]. `first` adds what is public."""
    inverted, equal = _lowest(bits, monomials, first)
    half = equal.shape[0]
    for bit in range(1, bits.shape[1]):
        half //= 2
        equal = (equal[:half] & inverted[:, bit]) ^ equal[half:]
    same: Planes = equal[0]
    return same


def less_digits(bits: Planes, monomials: Planes, first: bool) -> tuple[Planes, Planes]:
    """Evaluators: shares of [C_j < R_j] and [C_j = R_j], each [digits, words]."""
    inverted, equal = _lowest(bits, monomials, first)
    half = equal.shape[0]
    # Row S of `less` and `equal` is the relation of the bits read so far, times the product S of higher bits of R.
    less = monomials[half - 1 :] & inverted[:, 0]
    for bit in range(1, bits.shape[1]):
        half //= 2
        # less' = not c & r, or c = r & less: of the two terms only one can hold, so they add.
        less[:half] ^= monomials[half - 1 : 2 * half - 1]
        less[:half] &= inverted[:, bit]
        less[:half] ^= less[half : 2 * half]
        equal[:half] &= inverted[:, bit]
        equal[:half] ^= equal[half : 2 * half]
    return less[0], equal[0]


def _lowest(bits: Planes, monomials: Planes, first: bool) -> tuple[Planes, Planes]:
    """C inverted, and [c_0 = r_0] times every product of the higher bits: not c_0, plus r_0."""
    inverted = ~bits
    half = (monomials.shape[0] + 1) // 2
    equal = monomials[half - 1 :].copy()
    equal[1:] ^= monomials[: half - 1] & inverted[:, 0]
    if first:
        equal[0] ^= inverted[:, 0]  # the empty product is 1, and public
    return inverted, equal
