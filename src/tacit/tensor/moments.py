"""Means of squares and quotients by their roots: the second moments of Adam and its kin, in a format of their own.

The square of a gradient of 10^-6 is far below the smallest step of the job's format; kept there it would be 0, and the
step, a quotient by its root, would explode. So a sum of squares is held as `weight * mean`: the mean with 54 fraction
bits, the weight a public number. Multiplying the sum by a public decay only changes the weight. As a mean, it is at
most the largest square, whatever the weights: gradients up to 8 fit, and larger ones count as 8 in such quotients.
With the first gradient the mean is its square, to the last bit: Adam's correction of the bias is the weight itself.

What torch writes as sqrt, div, add, addcdiv is remembered until the quotient is asked for, and then computed at once.
The ordinary value of all these tensors is a promise: whoever looks at it gets it, in the job's format.
Not here: the arithmetic (functions.squares), and rows for tensors that are no sums of squares, which are left alone.
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

from tacit.functions import squares
from tacit.protocols import Shares
from tacit.tensor import linear, nonlinear
from tacit.tensor.cell import KNOWN, ROOT, SQUARES, Cell, Context, known
from tacit.tensor.operands import Number, Operand, as_number, cell_of, made
from tacit.tensor.secret import SecretTensor


@dataclass(frozen=True)
class Squares:
    """weight * mean."""

    mean: Shares = field(repr=False)  # [components, *shape], squares.MEAN_BITS fraction bits; never written to
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
    bits = min(other.frac_bits, cell.context.guarded_bits)
    mean = squares.updated(cell.context.protocol, other.at(bits), bits, held, value / weight)
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
        held, root, plain = cell.recall(SQUARES), cell.recall(ROOT), cell.recall(KNOWN)
        if plain is not None and not plain.any():
            # Nothing has been summed up yet, and everybody knows it.
            return SecretTensor(known(cell.context, plain.clone()), one.dtype)
        if held is not None:
            return _squares(cell.context, replace(held, weight=held.weight * number), one)
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
    mean = squares.larger(xc.context.protocol, left.mean, right.mean, right.weight / left.weight)
    return _squares(xc.context, Squares(mean, left.weight), x)


# -- roots and quotients ---------------------------------------------------------------------------------------------


def rooted(x: SecretTensor) -> SecretTensor | None:
    """sqrt(x) of a sum of squares: remembered, not computed."""
    held: Squares | None = x._cell.recall(SQUARES)
    return None if held is None else _root(x._cell.context, Root(held.mean, math.sqrt(held.weight), 0.0), x)


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
    held: Squares | None = cell.recall(SQUARES)
    if held is None:
        plain: Tensor | None = cell.recall(KNOWN)
        if plain is not None and not plain.any():
            return Squares(cell.shares, 0.0)
    return held


def _quotient(numerator: Cell, root: Root) -> SecretTensor:
    """numerator / (sqrt(mean) + addend / factor), with guard bits."""
    context = numerator.context
    bits = min(numerator.frac_bits, context.guarded_bits)
    target = min(context.guarded_bits, bits + squares.INVERSE_BITS)
    addend = root.addend / root.factor
    shares = squares.quotient(context.protocol, numerator.at(bits), bits, root.mean, addend, target)
    return made(context, shares, target, torch.float32)


# -- promises of the ordinary value ----------------------------------------------------------------------------------


def _squares(context: Context, held: Squares, like: SecretTensor) -> SecretTensor:
    def keep() -> tuple[Shares, int]:
        shown = made(context, held.mean, squares.MEAN_BITS, like.dtype)
        shares = shown._cell.at(context.guarded_bits)
        cell = linear.mul(made(context, shares, context.guarded_bits, like.dtype), held.weight)._cell
        return cell.shares, cell.frac_bits

    return _promised(context, keep, like, SQUARES, held)


def _root(context: Context, root: Root, like: SecretTensor) -> SecretTensor:
    def keep() -> tuple[Shares, int]:
        shown = made(context, squares.square_root(context.protocol, root.mean), squares.ROOT_BITS, like.dtype)
        cell = linear.mul(shown, root.factor)._cell
        # An addend below one unit guards a root of 0, which the floor does as well: it may round to nothing.
        addend = np.array(round(root.addend * 2**cell.frac_bits))
        return context.protocol.add_public(cell.shares, addend), cell.frac_bits

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
