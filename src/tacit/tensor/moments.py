"""Means of squares and quotients by their roots: the second moments of Adam and its kin, in a format of their own.

The square of a gradient of 10^-6 is far below the smallest step of the job's format; kept there it would be 0, and the
step, a quotient by its root, would explode. So a sum of squares is held as `weight * mean`: the mean with 54 fraction
bits, the weight a public number. Multiplying the sum by a public decay only changes the weight. As a mean, it is at
most the largest square, whatever the weights: gradients up to 8 fit, and larger ones count as 8 in such quotients.
With the first gradient the mean is its square, to the last bit: Adam's correction of the bias is the weight itself.

What torch writes as sqrt, div, add, addcdiv is remembered until the quotient is asked for, and then computed at once.
The ordinary value of all these tensors is a promise: whoever looks at it gets it, in the job's format.
Not here: rows for tensors that are no sums of squares; these rows hand them to the ordinary ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tacit.functions import reciprocal, roots
from tacit.functions.normal import Bounds
from tacit.protocols import Protocol, Shares
from tacit.protocols.interface import Threshold
from tacit.protocols.rounds import Steps
from tacit.ring.kernels import mul as times
from tacit.tensor import linear, nonlinear
from tacit.tensor.cell import KNOWN, ROOT, SQUARES, Cell, Context, known
from tacit.tensor.operands import Number, Operand, as_number, cell_of, made
from tacit.tensor.secret import SecretTensor

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
#: Fraction bits of 1 / root: from 1 / 8 up to 2^27 it has twelve significant ones or more, and fits 42 bits.
INVERSE_BITS = 15
#: A constant below this may as well be added squared to the square, before the root: it only guards roots near 0.
SMALL_ADDEND = 2.0**-23


@dataclass(frozen=True)
class Squares:
    """weight * mean."""

    mean: Shares = field(repr=False)  # [components, *shape], MEAN_BITS fraction bits; never written to
    weight: float


@dataclass(frozen=True)
class Root:
    """factor * sqrt(mean) + addend."""

    mean: Shares = field(repr=False)
    factor: float
    addend: float


def aware(row: Callable[..., SecretTensor], special: Callable[..., SecretTensor | None]) -> Callable[..., SecretTensor]:
    """A row that leaves to `special` what concerns means of squares."""

    @wraps(row)
    def run(*args: Any, **kwargs: Any) -> SecretTensor:
        found = special(*args, **kwargs)
        return row(*args, **kwargs) if found is None else found

    return run


# -- sums of squares -------------------------------------------------------------------------------------------------


def accumulated(x: Operand, y: Operand, z: Operand, *, value: Number = 1) -> SecretTensor | None:
    """x + value * y * y where x is a sum of squares, or nothing yet."""
    cell, other = cell_of(x), cell_of(y)
    if cell is None or other is None or other is not cell_of(z) or value <= 0 or cell.shape != other.shape:
        return None
    so_far: Squares | None = cell.recall(SQUARES)
    if so_far is None:
        plain = cell.recall(KNOWN)
        if plain is None or plain.any():
            return None
    weight = value + (0.0 if so_far is None else so_far.weight)
    cell.context.note_public(np.float64(weight))
    held = so_far.mean if so_far is not None and so_far.weight else None
    mean = _mean(cell.context, other, held, value / weight)
    assert isinstance(x, SecretTensor)
    return _squares(cell.context, Squares(mean, weight), x)


def scaled(x: Operand, y: Operand) -> SecretTensor | None:
    """A sum of squares, or a root of one, times a public number: nothing to compute."""
    for one, other in ((x, y), (y, x)):
        cell, number = cell_of(one), None if isinstance(other, SecretTensor) else as_number(other)
        if cell is None or number is None or number <= 0:
            continue
        assert isinstance(one, SecretTensor)
        cell.context.note_public(np.float64(number))
        squares, root, plain = cell.recall(SQUARES), cell.recall(ROOT), cell.recall(KNOWN)
        if plain is not None and not plain.any():
            # Nothing has been summed up yet, and everybody knows it.
            return SecretTensor(known(cell.context, plain.clone()), one.dtype)
        if squares is not None:
            return _squares(cell.context, replace(squares, weight=squares.weight * number), one)
        if root is not None:
            return _root(cell.context, Root(root.mean, root.factor * number, root.addend * number), one)
    return None


def largest(x: Operand, y: Operand) -> SecretTensor | None:
    """The larger of two sums of squares, entry by entry."""
    xc, yc = cell_of(x), cell_of(y)
    if xc is None or yc is None or xc.shape != yc.shape:
        return None
    assert isinstance(x, SecretTensor)
    left, right = _recalled(xc), _recalled(yc)
    if left is None or right is None:
        return None
    if right.weight > left.weight:
        left, right = right, left
    if right.weight == 0:
        return _squares(xc.context, left, x)
    protocol = xc.context.protocol
    share = right.weight / left.weight

    def steps(p: Protocol, a: Shares, b: Shares) -> Steps[Shares]:
        b = b - (yield from _fraction(p, b, 1 - share)) if share < 1 else b
        below = yield from p.steps("is_negative", a - b, _WIDTH)
        raised: Shares = yield from p.steps("select", below, b - a)
        return a + raised

    mean: Shares = protocol.elementwise(steps, left.mean, right.mean)
    return _squares(xc.context, Squares(mean, left.weight), x)


# -- roots and quotients ---------------------------------------------------------------------------------------------


def rooted(x: SecretTensor) -> SecretTensor | None:
    """sqrt(x) of a sum of squares: remembered, not computed."""
    squares: Squares | None = x._cell.recall(SQUARES)
    return None if squares is None else _root(x._cell.context, Root(squares.mean, math.sqrt(squares.weight), 0.0), x)


def divided(x: Operand, y: Operand) -> SecretTensor | None:
    """A root over a public number, or anything over a root."""
    divisor = cell_of(y)
    if divisor is None:
        number = as_number(y)
        return scaled(x, 1 / number) if number else None
    root = divisor.recall(ROOT)
    if root is None or not isinstance(x, SecretTensor) or tuple(x.shape) != divisor.shape:
        return None
    quotient = _quotient(x._cell, root)
    return linear.mul(quotient, 1 / root.factor)


def raised(x: Operand, y: Operand, alpha: Number = 1) -> SecretTensor | None:
    """A root plus a public number that is not negative: remembered, not computed."""
    cell = cell_of(x)
    root: Root | None = None if cell is None else cell.recall(ROOT)
    if root is None or isinstance(y, SecretTensor):
        return None
    number = as_number(y)
    if number is None or number * alpha < 0:
        return None
    assert isinstance(x, SecretTensor)
    x._cell.context.note_public(np.float64(number))
    return _root(x._cell.context, replace(root, addend=root.addend + number * alpha), x)


def plus_quotient(x: Operand, y: Operand, z: Operand, *, value: Number = 1) -> SecretTensor | None:
    """x + value * y / z for a root z."""
    divisor = cell_of(z)
    if divisor is None:
        return None
    root = divisor.recall(ROOT)
    if root is None or not isinstance(y, SecretTensor) or tuple(y.shape) != divisor.shape:
        return None
    return linear.add(x, _quotient(y._cell, root), alpha=value / root.factor)


# -- how it is computed ----------------------------------------------------------------------------------------------


def _recalled(cell: Cell) -> Squares | None:
    """What is known of a sum of squares; of zeros that every party knows, a mean with weight 0."""
    squares: Squares | None = cell.recall(SQUARES)
    if squares is None:
        plain: Tensor | None = cell.recall(KNOWN)
        if plain is not None and not plain.any():
            return Squares(cell.shares, 0.0)
    return squares


def _mean(context: Context, gradient: Cell, mean: Shares | None, part: float) -> Shares:
    """(1 - part) mean + part gradient^2; the mean alone is 1 - part of the result and may be missing."""
    bits = min(gradient.frac_bits, context.guarded_bits)
    width = context.protocol.comparison_bits(bits)
    root_part, drop = context.fixed.factor(math.sqrt(part) * 2.0 ** (ROOT_BITS - bits))

    def square(p: Protocol, x: Shares) -> Steps[Shares]:
        x = yield from _limited(p, x, bits, width)
        x = p.scale(x, root_part)
        if drop > 0:
            x = yield from p.steps("truncate", x, drop)
        squared: Shares = yield from p.steps("product", times, x, x)
        return squared

    def steps(p: Protocol, x: Shares, *rest: Shares) -> Steps[Shares]:
        if not rest:
            return (yield from square(p, x))
        (held,) = rest
        fresh, lost = yield from p.abreast(square(p, x), _fraction(p, held, part))
        total: Shares = held - lost + fresh
        return total

    result: Shares = context.protocol.elementwise(steps, gradient.at(bits), *([] if mean is None else [mean]))
    return result


#: A mean is cut here before it is multiplied: the high part times a factor of as many bits still fits the ring.
_CUT_BITS = 14


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


def _quotient(numerator: Cell, root: Root) -> SecretTensor:
    """numerator / (sqrt(mean) + addend / factor), in the job's format with guard bits.

    The numerator is limited as the squares were: then a step is no longer because its gradient is too large.
    """
    context = numerator.context
    addend = root.addend / root.factor
    bits = min(numerator.frac_bits, context.guarded_bits)
    limited, inverse = numerator.at(bits), None
    if addend <= SMALL_ADDEND:
        limited, inverse = _inverse_root(context, limited, bits, root.mean, addend)
    else:
        limited, distance = _square_root(context, root.mean, limited, bits)
        distance = context.protocol.add_public(distance, np.array(round(addend * 2**ROOT_BITS)))
        bounds = Bounds(max(1, round(addend * 2**ROOT_BITS)), LARGEST_ROOT + round(addend * 2**ROOT_BITS))
        inverse = reciprocal.reciprocal(context.protocol, distance, ROOT_BITS, bounds=bounds)
        inverse = context.protocol.truncate(inverse, ROOT_BITS - INVERSE_BITS)
    target = min(context.guarded_bits, bits + INVERSE_BITS)
    drop = bits + INVERSE_BITS - target
    protocol = context.protocol
    shares = (
        protocol.product_truncated(times, limited, inverse, drop) if drop
        else protocol.product(times, limited, inverse)
    )
    return SecretTensor(Cell(context, shares, target), torch.float32)


def _inverse_root(
    context: Context, numerator: Shares, bits: int, mean: Shares, addend: float
) -> tuple[Shares, Shares]:
    """The numerator limited, and 1 / sqrt(mean + addend^2) with INVERSE_BITS fraction bits."""
    protocol = context.protocol
    floor = max(FLOOR, round((addend * 2**ROOT_BITS) ** 2))
    x, wide, limited = _narrowed(context, protocol.add_public(mean, np.array(floor)), numerator, bits)
    found = roots.rsqrt(protocol, x, MEAN_BITS, INVERSE_BITS, Bounds(1, 1 << WIDE_BITS))
    # A shifted mean is 2^WIDE_SHIFT too small, so its inverse root is so much too large.
    return limited, found - protocol.product(times, wide, found - protocol.truncate(found, WIDE_SHIFT // 2))


def _square_root(
    context: Context, mean: Shares, numerator: Shares | None = None, bits: int = 0
) -> tuple[Shares, Shares]:
    """The numerator limited, and sqrt(mean) with ROOT_BITS fraction bits."""
    protocol = context.protocol
    x, wide, *limited = _narrowed(context, protocol.add_public(mean, np.array(FLOOR)), numerator, bits)
    found = roots.sqrt(protocol, x, MEAN_BITS, ROOT_BITS, Bounds(1, 1 << WIDE_BITS))
    root = found + protocol.scale(protocol.product(times, wide, found), (1 << (WIDE_SHIFT // 2)) - 1)
    return limited[0] if limited else root, root


def _narrowed(context: Context, mean: Shares, numerator: Shares | None, bits: int) -> list[Shares]:
    """The mean below 2^WIDE_BITS units, shifted where it is not; 1 where it was shifted, else 0; and the numerator,
    limited as gradients are, where there is one."""
    width = context.protocol.comparison_bits(bits)

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
        found, *limited = yield from p.abreast(narrow(p, x), *(_limited(p, y, bits, width) for y in rest))
        return [*found, *limited]

    found: list[Shares] = context.protocol.elementwise(steps, mean, *([] if numerator is None else [numerator]))
    return found


def _limited(p: Protocol, x: Shares, bits: int, width: int) -> Steps[Shares]:
    """x, with `bits` fraction bits, between -LARGEST_ROOT and LARGEST_ROOT."""
    bound = LARGEST_ROOT >> ROOT_BITS << bits
    if bound.bit_length() >= width:
        return x
    planes = yield from p.steps("at_least", x, [Threshold(0, -bound), Threshold(0, bound)], width)
    above, over = yield from p.abreast(
        p.steps("select", planes.plane(0), p.add_public(x, np.array(bound))),
        p.steps("select", planes.plane(1), p.add_public(x, np.array(-bound))),
    )
    limited: Shares = p.add_public(above - over, np.array(-bound))
    return limited


# -- promises of the ordinary value ----------------------------------------------------------------------------------


def _squares(context: Context, squares: Squares, like: SecretTensor) -> SecretTensor:
    def keep() -> tuple[Shares, int]:
        shown = made(context, squares.mean, MEAN_BITS, like.dtype)
        shares = shown._cell.at(context.guarded_bits)
        cell = linear.mul(made(context, shares, context.guarded_bits, like.dtype), squares.weight)._cell
        return cell.shares, cell.frac_bits

    return _promised(context, keep, like, SQUARES, squares)


def _root(context: Context, root: Root, like: SecretTensor) -> SecretTensor:
    def keep() -> tuple[Shares, int]:
        shown = made(context, _square_root(context, root.mean)[1], ROOT_BITS, like.dtype)
        cell = linear.add(linear.mul(shown, root.factor), root.addend)._cell
        return cell.shares, cell.frac_bits

    return _promised(context, keep, like, ROOT, root)


def _promised(
    context: Context, keep: Callable[[], tuple[Shares, int]], like: SecretTensor, what: str, memo: Squares | Root
) -> SecretTensor:
    cell = Cell(context, None, promise=keep, shape=tuple(like.shape))
    cell.remember(what, memo)
    return SecretTensor(cell, like.dtype)


addcmul = aware(linear.addcmul, accumulated)
mul = aware(linear.mul, scaled)
add = aware(linear.add, raised)
maximum = aware(nonlinear.maximum, largest)


def maximum_out(x: Operand, y: Operand, *, out: SecretTensor) -> SecretTensor:
    """The larger of two, entry by entry, written into a third."""
    found = maximum(x, y)._cell
    if found.promised:
        out._cell.store_later(found)
    else:
        out._cell.store(found.shares, found.frac_bits)
    return out
