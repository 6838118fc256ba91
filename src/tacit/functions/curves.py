"""Smooth curves that are straight at both ends: one lookup of a segment's polynomial, and two bits for the ends.

Domain   every value that a comparison takes. Outside the window [-R, R) and a segment left of it, a curve is its tail,
         exactly: 0, 1, -1 or x.
Error    catalogue.py promises it; up to 17 fraction bits at most 2 units, from rounding more than from the polynomials.
Rounds   4 in masked: the lookup opens, reshares and truncates while the thresholds are compared; then two selections.
Not here curves without straight ends: exponential, roots, logarithm.

Thresholds are as coarse as segments and agree with the lookup on the segment, which may be the next one: so the tail on
the right may begin one segment early, and that on the left one late. R is chosen such that this is no error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, partial

import numpy as np

from tacit.functions import decimals
from tacit.functions.segments import ENTRIES, HEADROOM_BITS, WORDS, pieces
from tacit.protocols import Bits, Protocol, Shares
from tacit.protocols.interface import Pieces, Threshold
from tacit.protocols.rounds import Steps

HALF = ENTRIES // 2


@dataclass(frozen=True)
class Curve:
    """A function with a window [-2^radius_bits, 2^radius_bits), the constant left of it, and what is right of it."""

    name: str
    value: Callable[[Decimal], Decimal]
    radius_bits: int
    left: int = 0
    right: int | None = 1  # None: x itself


@dataclass(frozen=True)
class Grid:
    """How many terms a table has, and how many bits of the remainder each of them sees."""

    frac_bits: int  # the most that this grid is good for
    bounded: tuple[int, ...]  # curves between constants
    straight: tuple[int, ...]  # curves that end in x: they need radius_bits more room, which their high terms give up


_ALL = 64
#: A coefficient's fraction bits are those of the result and guard less the bits that its term sees. Up to 16 the whole
#: remainder leaves enough of them. Beyond, high terms see less, but equally much: one more width is two words more.
GRIDS = (
    Grid(12, (_ALL, _ALL), (_ALL, _ALL)),
    Grid(16, (_ALL, _ALL, _ALL), (_ALL, _ALL, _ALL)),
    Grid(20, (_ALL, _ALL, 14), (_ALL, _ALL, 13)),
    Grid(24, (_ALL, 17, 12, 8), (_ALL, 17, 12, 8)),
)

SIGMOID = Curve("sigmoid", decimals.sigmoid, 4)
TANH = Curve("tanh", decimals.tanh, 3, left=-1)
ERF = Curve("erf", decimals.erf, 2, left=-1)
GELU = {
    "none": Curve("gelu", decimals.gelu, 3, right=None),
    "tanh": Curve("gelu_tanh", decimals.gelu_tanh, 3, right=None),
}
GELU_SLOPE = {
    "none": Curve("gelu_slope", decimals.gelu_slope, 3),
    "tanh": Curve("gelu_slope_tanh", decimals.gelu_tanh_slope, 3),
}
SILU = Curve("silu", decimals.silu, 4, right=None)
SILU_SLOPE = Curve("silu_slope", decimals.silu_slope, 4)
SOFTPLUS = Curve("softplus", decimals.softplus, 4, right=None)


def sigmoid(protocol: Protocol, x: Shares, frac_bits: int) -> Shares:
    """1 / (1 + exp(-x)), never below 0 or above 1."""
    return _one(protocol, SIGMOID, x, frac_bits)


def sigmoid_steps(protocol: Protocol, x: Shares, frac_bits: int) -> Steps[Shares]:
    """The same as steps."""
    return _one_steps(protocol, SIGMOID, x, frac_bits)


def tanh(protocol: Protocol, x: Shares, frac_bits: int) -> Shares:
    """(1 - exp(-2x)) / (1 + exp(-2x)), never below -1 or above 1."""
    return _one(protocol, TANH, x, frac_bits)


def tanh_steps(protocol: Protocol, x: Shares, frac_bits: int) -> Steps[Shares]:
    """The same as steps."""
    return _one_steps(protocol, TANH, x, frac_bits)


def erf(protocol: Protocol, x: Shares, frac_bits: int) -> Shares:
    """The error function, never below -1 or above 1."""
    return _one(protocol, ERF, x, frac_bits)


def erf_steps(protocol: Protocol, x: Shares, frac_bits: int) -> Steps[Shares]:
    """The same as steps."""
    return _one_steps(protocol, ERF, x, frac_bits)


def gelu(protocol: Protocol, x: Shares, frac_bits: int, approximate: str = "none") -> Shares:
    """x (1 + erf(x / sqrt 2)) / 2, or torch's form by tanh."""
    return _one(protocol, GELU[approximate], x, frac_bits)


def gelu_steps(protocol: Protocol, x: Shares, frac_bits: int, approximate: str = "none") -> Steps[Shares]:
    """The same as steps."""
    return _one_steps(protocol, GELU[approximate], x, frac_bits)


def gelu_slope(protocol: Protocol, x: Shares, frac_bits: int, approximate: str = "none") -> Shares:
    """The derivative of `gelu`."""
    return _one(protocol, GELU_SLOPE[approximate], x, frac_bits)


def gelu_slope_steps(protocol: Protocol, x: Shares, frac_bits: int, approximate: str = "none") -> Steps[Shares]:
    """The same as steps."""
    return _one_steps(protocol, GELU_SLOPE[approximate], x, frac_bits)


def gelu_and_slope(protocol: Protocol, x: Shares, frac_bits: int, approximate: str = "none") -> list[Shares]:
    """[gelu, gelu_slope] from one comparison and one secret index."""
    return evaluate(protocol, (GELU[approximate], GELU_SLOPE[approximate]), x, frac_bits)


def silu(protocol: Protocol, x: Shares, frac_bits: int) -> Shares:
    """x sigmoid(x)."""
    return _one(protocol, SILU, x, frac_bits)


def silu_steps(protocol: Protocol, x: Shares, frac_bits: int) -> Steps[Shares]:
    """The same as steps."""
    return _one_steps(protocol, SILU, x, frac_bits)


def silu_slope(protocol: Protocol, x: Shares, frac_bits: int) -> Shares:
    """The derivative of `silu`."""
    return _one(protocol, SILU_SLOPE, x, frac_bits)


def silu_slope_steps(protocol: Protocol, x: Shares, frac_bits: int) -> Steps[Shares]:
    """The same as steps."""
    return _one_steps(protocol, SILU_SLOPE, x, frac_bits)


def silu_and_slope(protocol: Protocol, x: Shares, frac_bits: int) -> list[Shares]:
    """[silu, silu_slope] from one comparison and one secret index."""
    return evaluate(protocol, (SILU, SILU_SLOPE), x, frac_bits)


def softplus(protocol: Protocol, x: Shares, frac_bits: int) -> Shares:
    """log(1 + exp(x)), never below 0. Its derivative is `sigmoid`."""
    return _one(protocol, SOFTPLUS, x, frac_bits)


def softplus_steps(protocol: Protocol, x: Shares, frac_bits: int) -> Steps[Shares]:
    """The same as steps."""
    return _one_steps(protocol, SOFTPLUS, x, frac_bits)


def evaluate(protocol: Protocol, curves: Sequence[Curve], x: Shares, frac_bits: int) -> list[Shares]:
    """Curves of one window at x: all share one comparison and one secret index."""
    steps = partial(evaluate_steps, curves=tuple(curves), frac_bits=frac_bits)
    found: list[Shares] = protocol.elementwise(steps, x, words=WORDS)
    return found


def evaluate_steps(protocol: Protocol, x: Shares, curves: Sequence[Curve], frac_bits: int) -> Steps[list[Shares]]:
    """The same as steps."""
    (radius_bits,) = {curve.radius_bits for curve in curves}
    shift = segment_bits(radius_bits, frac_bits)
    # Rows of the table are the segments -HALF .. HALF - 1; floor((x + u) / 2^shift) is compared and looked up alike.
    ends = [Threshold(shift, -HALF), Threshold(shift, HALF)]
    bits, inner = yield from protocol.abreast(
        protocol.steps("at_least", x, ends, protocol.comparison_bits(frac_bits)),
        _inner(protocol, x, curves, frac_bits),
    )
    inside, beyond = protocol.xor(bits.plane(0), bits.plane(1)), bits.plane(1)
    # Shifted by the left tail, a curve is 0 on the left: then one selection serves both ends of the window.
    raised = [
        protocol.add_public(cut, np.asarray(-curve.left << frac_bits)) if curve.left else cut
        for cut, curve in zip(inner, curves, strict=True)
    ]
    tails = sorted({curve.right is None for curve in curves})
    chosen = yield from protocol.abreast(
        *(_tail(protocol, beyond, x, straight=straight) for straight in tails),
        *(protocol.steps("select", inside, cut) for cut in raised),
    )
    tail = dict(zip(tails, chosen, strict=False))
    return [
        _joined(protocol, curve, middle, tail[curve.right is None], frac_bits)
        for curve, middle in zip(curves, chosen[len(tails) :], strict=True)
    ]


def _inner(protocol: Protocol, x: Shares, curves: Sequence[Curve], frac_bits: int) -> Steps[list[Shares]]:
    """The curves inside the window. Of a value outside, something within the domain of the truncation."""
    tables = [table(curve, frac_bits) for curve in curves]
    found = yield from protocol.steps("lookup", x, segment_bits(curves[0].radius_bits, frac_bits), tables)
    cut: list[Shares] = yield from protocol.abreast(*(
        protocol.steps("truncate", words, guard_bits(curve, frac_bits))
        for words, curve in zip(found, curves, strict=True)
    ))
    return cut


def _tail(protocol: Protocol, beyond: Bits, x: Shares, *, straight: bool) -> Steps[Shares]:
    """Right of the window x or 1, elsewhere 0."""
    if straight:
        return protocol.steps("select", beyond, x)
    return protocol.steps("from_bits", beyond, tuple(x.shape[1:]))


def _joined(protocol: Protocol, curve: Curve, middle: Shares, tail: Shares, frac_bits: int) -> Shares:
    if curve.right is not None:
        tail = protocol.scale(tail, (curve.right - curve.left) << frac_bits)
    whole = middle + tail
    return protocol.add_public(whole, np.asarray(curve.left << frac_bits)) if curve.left else whole


def segment_bits(radius_bits: int, frac_bits: int) -> int:
    """Low bits of x within a segment: 128 segments make the window."""
    return frac_bits + radius_bits - (ENTRIES.bit_length() - 2)


def guard_bits(curve: Curve, frac_bits: int) -> int:
    """Fraction bits of a table beyond those of the result: as many as the domain of a truncation has room for."""
    return HEADROOM_BITS - 1 - frac_bits - (curve.radius_bits if curve.right is None else 0)


@cache
def table(curve: Curve, frac_bits: int) -> Pieces:
    """The polynomials of a curve's window, with `guard_bits` to drop."""
    shift = segment_bits(curve.radius_bits, frac_bits)
    guard = guard_bits(curve, frac_bits)
    grid = next(grid for grid in GRIDS if frac_bits <= grid.frac_bits)
    return pieces(
        curve.value,
        range(-HALF, HALF),
        shift=shift,
        input_bits=frac_bits,
        scale_bits=frac_bits + guard,
        kept=grid.straight if curve.right is None else grid.bounded,
        truncation=guard,
    )


def _one(protocol: Protocol, curve: Curve, x: Shares, frac_bits: int) -> Shares:
    return evaluate(protocol, (curve,), x, frac_bits)[0]


def _one_steps(protocol: Protocol, curve: Curve, x: Shares, frac_bits: int) -> Steps[Shares]:
    (found,) = yield from evaluate_steps(protocol, x, (curve,), frac_bits)
    return found
