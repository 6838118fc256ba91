"""Rows that compare and choose: orders, equality, logic on bools, where.

A comparison gives a bool-labelled secret tensor of whole 0/1 numbers, so a product with it is exact. Constants are
compared exactly even where the fixed-point format cannot hold them: x > 1e-9 asks whether x is at least one unit.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tacit.functions import compare
from tacit.protocols import Choice
from tacit.tensor import labels, linear
from tacit.tensor.cell import CHOICE, Cell, Context, joint_shape
from tacit.tensor.operands import (
    Number,
    Operand,
    as_number,
    axis,
    cell_of,
    comparison_bits,
    context_of,
    difference,
    is_bool,
    made,
    refuse,
    whole,
)
from tacit.tensor.secret import SecretTensor


def less(x: Operand, y: Operand) -> SecretTensor:
    """x < y."""
    return _ordered(x, y, strict=True)


def less_equal(x: Operand, y: Operand) -> SecretTensor:
    """x <= y."""
    return _ordered(x, y, strict=False)


def greater(x: Operand, y: Operand) -> SecretTensor:
    """x > y."""
    return _ordered(y, x, strict=True)


def greater_equal(x: Operand, y: Operand) -> SecretTensor:
    """x >= y."""
    return _ordered(y, x, strict=False)


def equal(x: Operand, y: Operand) -> SecretTensor:
    """x == y on the shared integers; a constant that the format cannot hold equals nothing."""
    context = context_of(x, y)
    xc, yc = cell_of(x), cell_of(y)
    if xc is not None and yc is not None:
        return made(context, compare.is_zero(context.protocol, difference(xc, yc)), 0, torch.bool)
    cell, public = (xc, y) if xc is not None else (yc, x)
    assert cell is not None
    number = as_number(public)
    if number is not None and (one := labels.one_class(cell, number)) is not None:
        return one
    words, above = _units(context, public, cell.frac_bits, np.floor), _units(context, public, cell.frac_bits, np.ceil)
    bits = compare.is_zero(context.protocol, context.protocol.add_public(cell.shares, -words))
    reachable = torch.as_tensor((words == above).astype(np.int64))
    return made(context, bits * reachable, 0, torch.bool)


def not_equal(x: Operand, y: Operand) -> SecretTensor:
    """x != y."""
    return logical_not(equal(x, y))


def logical_not(x: SecretTensor) -> SecretTensor:
    """1 - x for a bool tensor; local."""
    if x.dtype != torch.bool:
        return equal(x, 0)
    context = x._cell.context
    choice = x._cell.recall(CHOICE)
    if choice is not None:
        return _decided(context, context.protocol.unless(choice), tuple(x.shape))
    return made(context, compare.inverted(context.protocol, x._cell.shares), 0, torch.bool)


def logical_and(x: Operand, y: Operand) -> SecretTensor:
    """x & y for bools."""
    return _as_bool(linear.mul(*_truths(x, y)))


def logical_or(x: Operand, y: Operand) -> SecretTensor:
    """x | y for bools: x + y - x y."""
    x, y = _truths(x, y)
    return linear.add(x, y)


def logical_xor(x: Operand, y: Operand) -> SecretTensor:
    """x ^ y for bools: x + y - 2 x y."""
    x, y = _truths(x, y)
    both = whole(linear.mul(x, y))
    return _as_bool(linear.sub(linear.add(whole(x), whole(y)), both, alpha=2))


def bitwise(row: Callable[[Operand, Operand], SecretTensor]) -> Callable[[Operand, Operand], SecretTensor]:
    """`&`, `|`, `^`: the logical row, for bools only."""

    @wraps(row)
    def run(x: Operand, y: Operand) -> SecretTensor:
        if not (is_bool(x) and is_bool(y)):
            raise refuse("bitwise operators on secret integers have no row", "use them on comparisons, which are bools")
        return row(x, y)

    run.__name__ = f"bitwise_{row.__name__}"
    return run


def every(x: SecretTensor, dim: int | list[int] | None = None, keepdim: bool = False) -> SecretTensor:
    """x.all(): whether the number of false entries is zero; one comparison for any size."""
    false = linear.sum_dims(logical_not(_truth(x)), _dims(x, dim), keepdim)
    context = x._cell.context
    return made(context, compare.is_zero(context.protocol, false._cell.shares), 0, torch.bool)


def some(x: SecretTensor, dim: int | list[int] | None = None, keepdim: bool = False) -> SecretTensor:
    """x.any(): whether the number of true entries is not zero."""
    true = linear.sum_dims(_truth(x), _dims(x, dim), keepdim)
    context = x._cell.context
    return logical_not(made(context, compare.is_zero(context.protocol, true._cell.shares), 0, torch.bool))


def where(condition: Tensor, x: Operand, y: Operand) -> SecretTensor:
    """x where the condition holds, else y; any of the three may be public."""
    dtype = torch.result_type(x, y)
    x, y = whole(x), whole(y)
    if not isinstance(condition, SecretTensor):
        # A public condition hides nothing: keep of each side what was chosen, locally, and add.
        return relabelled(linear.add(_kept(x, condition), _kept(y, ~condition)), dtype)
    change: Any = linear.sub(x, y) if _any_secret(x, y) else torch.as_tensor(x) - torch.as_tensor(y)
    choice = condition._cell.recall(CHOICE)
    if choice is not None and isinstance(change, SecretTensor) and change.shape == condition.shape:
        cell, context = change._cell, change._cell.context
        chosen: Any = made(context, context.protocol.choose(choice, cell.shares), cell.frac_bits, change.dtype)
    else:
        chosen = linear.mul(whole(condition), change)
    return relabelled(linear.add(y, chosen), dtype)


def masked_fill(x: Tensor, mask: Tensor, value: Operand) -> SecretTensor:
    """x with `value` where the mask holds."""
    return relabelled(where(mask, value, x), x.dtype)


def never(x: SecretTensor) -> Tensor:
    """False everywhere, and public: fixed point has neither NaN nor infinity."""
    return torch.zeros_like(torch.empty_strided(x.shape, x.stride(), dtype=torch.bool))


def _ordered(x: Operand, y: Operand, *, strict: bool) -> SecretTensor:
    """[x < y] or [x <= y], the latter as not [y < x]."""
    context = context_of(x, y)
    protocol = context.protocol
    if isinstance(x, SecretTensor) and isinstance(y, SecretTensor):
        xc, yc = x._cell, y._cell
        width = max(comparison_bits(xc, x.dtype), comparison_bits(yc, y.dtype))
        choice = compare.negative(protocol, difference(xc, yc) if strict else difference(yc, xc), width)
        return _decided(context, choice if strict else protocol.unless(choice), joint_shape(xc.shape, yc.shape))
    if isinstance(x, SecretTensor):
        xc = x._cell
        # X < c is X < ceil(c), and X <= c is X < floor(c) + 1, for whole X.
        limit = 2 ** context.fixed.product_bits
        bound = np.clip(_units(context, y, xc.frac_bits, np.ceil if strict else np.floor), -limit, limit) + (not strict)
        # Whether the bound is a value of the format is public, and so is the width that follows from it.
        width = comparison_bits(xc, x.dtype)
        width = width if np.abs(bound).max(initial=0) < 1 << (width - 2) else context.fixed.ring_bits
        below = compare.negative(protocol, protocol.add_public(xc.shares, -bound), width)
        return _decided(context, below, joint_shape(xc.shape, bound.shape))
    # c < Y is not Y <= c, and c <= Y is not Y < c.
    return logical_not(_ordered(y, x, strict=not strict))


def _decided(context: Context, choice: Choice, shape: tuple[int, ...]) -> SecretTensor:
    """A bool tensor that stays bits until its words are asked for: a selection works on the bits."""
    cell = Cell(context, None, promise=lambda: (context.protocol.as_words(choice, shape), 0), shape=shape)
    cell.remember(CHOICE, choice)
    return SecretTensor(cell, torch.bool)


def _units(
    context: Context, public: Operand, frac_bits: int, rounding: Callable[[Any], Any]
) -> NDArray[np.int64]:
    """A public operand in units of 2^-frac_bits, rounded. Beyond the range of any value it only needs to stay there."""
    plain = public.detach() if isinstance(public, Tensor) else torch.as_tensor(public, dtype=_exact_type(public))
    limit = 2 ** context.fixed.product_bits
    if not plain.is_floating_point():
        # Identifiers may have 63 bits: a detour through float64 would lose the last ten of them.
        words: NDArray[np.int64] = plain.to(torch.int64).numpy()
        context.note_public(words)
        if frac_bits == 0:
            return words
        bound = limit >> frac_bits
        return np.asarray(np.clip(words, -bound, bound) << frac_bits)
    real = plain.double().numpy()
    if np.isnan(real).any():
        raise refuse("cannot compare a secret with NaN", "clean the public operand")
    context.note_public(real)
    return np.asarray(np.clip(rounding(np.ldexp(real, frac_bits)), -float(limit), float(limit))).astype(np.int64)


def _exact_type(number: Number) -> torch.dtype:
    return torch.float64 if isinstance(number, float) else torch.int64


def _truth(x: Any) -> Any:
    if is_bool(x):
        return x
    return not_equal(x, 0) if isinstance(x, SecretTensor) else torch.as_tensor(x) != 0


def _truths(x: Operand, y: Operand) -> tuple[Any, Any]:
    return _truth(x), _truth(y)


def _dims(x: SecretTensor, dim: int | list[int] | None) -> list[int] | None:
    if dim is None:
        return None
    return [axis(d, x.dim()) for d in ([dim] if isinstance(dim, int) else dim)]


def _as_bool(x: SecretTensor) -> SecretTensor:
    return made(x._cell.context, x._cell.shares, 0, torch.bool)


def relabelled(x: SecretTensor, dtype: torch.dtype) -> SecretTensor:
    if x.dtype == dtype:
        return x
    if x.is_floating_point() and not dtype.is_floating_point:
        raise refuse(f"cannot put {x.dtype} values into a {dtype} tensor", "make the tensor a float tensor")
    return made(x._cell.context, x._cell.shares, x._cell.frac_bits, dtype)


def _kept(x: Operand, chosen: Tensor) -> Any:
    """x where it was chosen, else 0. A public side is chosen by torch: infinity times 0 would be NaN."""
    if isinstance(x, SecretTensor):
        return linear.mul(x, chosen.to(torch.int64))
    return torch.where(chosen, torch.as_tensor(x), 0)


def _any_secret(*values: Any) -> bool:
    return any(isinstance(value, SecretTensor) for value in values)
