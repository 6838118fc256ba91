"""Smooth curves by segments: which segment a value lies in is decided by one comparison, then one cubic is evaluated.

Domain   every representable x.
Error    at most 2^-14 absolute at 16 fraction bits, half of it from the cubics and half from rounding; outside the
         outermost knots the curve is 0, 1 or x to one unit.
Rounds   for the segments 10 in replicated3 and 4 in masked; 1 for the window; 4 and 2 for square and bracket; 2 to add.
Not here exponentials, roots, reciprocals: they need normalisation and come with the fast gates.

The tables are integers computed with exact fractions from 40-digit decimals, never with the machine's libm: two sites
whose tables differed in one unit would silently compute on different functions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cache
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from tacit.functions.compare import at_least
from tacit.protocols import Protocol, Shares
from tacit.ring.kernels import mul

DEGREE = 3
#: Fraction bits of the coefficients: 11^3 * 2^-28 is below half a unit at 16 fraction bits.
COEFFICIENT_BITS = 27
#: Nodes of Chebyshev interpolation of degree 3 on [-1, 1]: cos(pi/8) and cos(3 pi/8), to 20 digits.
_NODES = tuple(Fraction(node) for node in (
    "-0.92387953251128675613", "-0.38268343236508977173", "0.38268343236508977173", "0.92387953251128675613"))


@dataclass(frozen=True)
class Curve:
    """A function, the positive knots between its segments in eighths, and the right tail constant + slope * x.

    The left tail is 0. The window is symmetric around 0.
    """

    name: str
    value: Callable[[Decimal], Decimal]
    eighths: tuple[int, ...]
    right_constant: int
    right_slope: int

    @property
    def knots(self) -> list[Fraction]:
        """All knots from left to right; the curve is symmetric enough to share them."""
        positive = [Fraction(eighth, 8) for eighth in self.eighths]
        return [-knot for knot in reversed(positive)] + positive[1:]


def _sigmoid(x: Decimal) -> Decimal:
    return 1 / (1 + (-x).exp())


def _softplus(x: Decimal) -> Decimal:
    return (1 + x.exp()).ln()


SIGMOID = Curve("sigmoid", _sigmoid, (0, 7, 14, 26, 38, 55, 88), right_constant=1, right_slope=0)
SOFTPLUS = Curve("softplus", _softplus, (0, 7, 17, 26, 37, 53, 84, 92), right_constant=0, right_slope=1)


def sigmoid(protocol: Protocol, x: Shares, frac_bits: int) -> Shares:
    """1 / (1 + exp(-x)). Source: cubic interpolation at Chebyshev nodes on each segment."""
    return evaluate(protocol, SIGMOID, x, frac_bits)


def softplus(protocol: Protocol, x: Shares, frac_bits: int) -> Shares:
    """log(1 + exp(x)), the loss of a logit."""
    return evaluate(protocol, SOFTPLUS, x, frac_bits)


def evaluate(protocol: Protocol, curve: Curve, x: Shares, frac_bits: int) -> Shares:
    """The curve at x, both with `frac_bits` fraction bits."""
    thresholds, base, steps = table(curve, frac_bits)
    width = protocol.comparison_bits(frac_bits)
    bits = at_least(protocol, x, thresholds, width)  # [components, segments, *shape], non-increasing along the segments
    # Powers are taken of x inside the window and of 0 outside, so that no square of a far value leaves the ring; the
    # straight tail on the right is x itself, exactly. Both cost one product together, and none of them a truncation.
    ends = torch.stack([bits[:, 0] - bits[:, -1], curve.right_slope * bits[:, -1]], dim=1)
    inside, tail = protocol.product(mul, ends, x.unsqueeze(1).expand_as(ends)).unbind(1)
    # A coefficient is the leftmost one plus the change at every knot already passed: linear in the bits, so local.
    change = torch.tensordot(torch.as_tensor(steps), bits, dims=([1], [1])).movedim(0, 1)
    coefficients = protocol.add_public(change, base.reshape(DEGREE + 1, *(1,) * (x.dim() - 1)))
    # c0 + c1 x + (c2 + c3 x) x^2: square and bracket need nothing of each other, so they share their rounds.
    square, linear = protocol.together([
        ("product_truncated", mul, inside, inside, frac_bits),
        ("product_truncated", mul, coefficients[:, 3], inside, frac_bits),
    ])
    one = protocol.public(np.full(tuple(x.shape[1:]), 1 << frac_bits, dtype=np.int64))
    factors = torch.stack([coefficients[:, 0], coefficients[:, 1], coefficients[:, 2] + linear], dim=1)
    powers = torch.stack([one, inside, square], dim=1)
    return tail + protocol.product_truncated(_dot, factors, powers, COEFFICIENT_BITS)


def _dot(x: Tensor, y: Tensor) -> Tensor:
    """Sum over the first axis of the elementwise product; bilinear, like every kernel."""
    return mul(x, y).sum(0)


@cache
def table(curve: Curve, frac_bits: int) -> tuple[list[int], np.ndarray, np.ndarray]:
    """Thresholds in units, the leftmost coefficients [degree + 1], and the changes at each knot [degree + 1, knots]."""
    knots = curve.knots
    cubics = [_scaled(_cubic(curve.value, a, b)) for a, b in pairwise(knots)]
    rows = np.array([_scaled([Fraction(0)]), *cubics, _scaled([Fraction(curve.right_constant)])], dtype=np.int64)
    return [int(knot * 2**frac_bits) for knot in knots], rows[0], np.ascontiguousarray(np.diff(rows, axis=0).T)


def _scaled(coefficients: Sequence[Fraction]) -> list[int]:
    padded = [*coefficients, *[Fraction(0)] * (DEGREE + 1 - len(coefficients))]
    return [round(value * 2**COEFFICIENT_BITS) for value in padded]


def _cubic(value: Callable[[Decimal], Decimal], a: Fraction, b: Fraction) -> list[Fraction]:
    """Monomial coefficients of the cubic through the curve at the Chebyshev nodes of [a, b]."""
    nodes = [(a + b) / 2 + (b - a) / 2 * node for node in _NODES]
    with localcontext() as context:
        context.prec = 40
        heights = [Fraction(value(Decimal(x.numerator) / Decimal(x.denominator))) for x in nodes]
    # Newton's divided differences, then expansion from the innermost bracket outwards.
    newton = list(heights)
    for order in range(1, len(nodes)):
        for i in range(len(nodes) - 1, order - 1, -1):
            newton[i] = (newton[i] - newton[i - 1]) / (nodes[i] - nodes[i - order])
    coefficients = [Fraction(0)]
    for node, height in zip(reversed(nodes), reversed(newton), strict=True):
        shifted = [Fraction(0), *coefficients]
        coefficients = [high - node * low for high, low in zip(shifted, [*coefficients, Fraction(0)], strict=True)]
        coefficients[0] += height
    return coefficients[: DEGREE + 1]
