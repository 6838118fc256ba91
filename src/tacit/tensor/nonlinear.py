"""Rows that compare: signs, ReLU, sigmoid, where, clamps, equality.

A comparison gives a bool-labelled secret tensor of whole 0/1 numbers, so a product with it is exact. Constants are
compared exactly even where the fixed-point format cannot hold them: x > 1e-9 asks whether x is at least one unit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tacit.functions import compare, curves
from tacit.protocols import Shares
from tacit.ring import kernels
from tacit.tensor import linear
from tacit.tensor.cell import POSITIVE, Cell, Context
from tacit.tensor.operands import (
    Number,
    Operand,
    as_number,
    axis,
    cell_of,
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
        return _relabelled(linear.add(_kept(x, condition), _kept(y, ~condition)), dtype)
    change: Any = linear.sub(x, y) if _any_secret(x, y) else torch.as_tensor(x) - torch.as_tensor(y)
    return _relabelled(linear.add(y, linear.mul(whole(condition), change)), dtype)


def relu(x: SecretTensor) -> SecretTensor:
    """max(x, 0). The bit [x > 0] stays with the result for the backward pass."""
    cell, context = x._cell, x._cell.context
    positive = _is_positive(cell)
    out = made(context, context.protocol.product(kernels.mul, positive, cell.shares), cell.frac_bits, x.dtype)
    out._cell.remember(POSITIVE, positive)
    return out


def relu_(x: SecretTensor) -> SecretTensor:
    """ReLU in place; the memo belongs to the overwritten tensor itself."""
    result = relu(x)
    x._cell.store(result._cell.shares, result._cell.frac_bits)
    remembered = result._cell.recall(POSITIVE)
    assert remembered is not None
    x._cell.remember(POSITIVE, remembered)
    return x


def threshold_backward(grad: Operand, x: SecretTensor, threshold: Number) -> SecretTensor:
    """The gradient where x > threshold; for a ReLU's output without a new comparison."""
    return linear.mul(_above(x, threshold), grad)


def threshold(x: SecretTensor, threshold: Number, value: Number) -> SecretTensor:
    """x where x > threshold, else a public value."""
    return where(greater(x, threshold), x, value)


def leaky_relu(x: SecretTensor, negative_slope: Number = 0.01) -> SecretTensor:
    """x where it is positive, else a fraction of it. The bit [x > 0] stays with x for the backward pass."""
    return where(_above(x, 0), x, linear.mul(x, negative_slope))


def leaky_relu_backward(
    grad: Operand, x: Tensor, negative_slope: Number, self_is_result: bool
) -> SecretTensor:
    """The gradient where x is positive, else a fraction of it."""
    del self_is_result  # the sign of the result is the sign of the input: torch allows no negative slope then
    if not isinstance(x, SecretTensor):
        return linear.mul(grad, torch.where(x > 0, 1.0, negative_slope))
    return linear.mul(grad, where(_above(x, 0), 1.0, float(negative_slope)))


def hardtanh(x: SecretTensor, min_val: Number = -1, max_val: Number = 1) -> SecretTensor:
    """x limited to [min_val, max_val]; ReLU6 is one of these."""
    return clamp(x, min_val, max_val)


def hardtanh_backward(grad: Operand, x: SecretTensor, min_val: Number, max_val: Number) -> SecretTensor:
    """The gradient where x lies strictly inside."""
    return linear.mul(whole(logical_and(greater(x, min_val), less(x, max_val))), grad)


def sigmoid(x: SecretTensor) -> SecretTensor:
    """1 / (1 + exp(-x)), within 4 units of 2^-16 at 16 fraction bits."""
    return _curve(x, curves.sigmoid)


def softplus(x: SecretTensor, beta: Number = 1, threshold: Number = 20) -> SecretTensor:
    """log(1 + exp(beta x)) / beta; torch's switch to the identity above the threshold is below one unit."""
    _only_far(threshold)
    return _curve(x, curves.softplus) if beta == 1 else linear.div(_curve(linear.mul(x, beta), curves.softplus), beta)


def softplus_backward(grad: Operand, x: SecretTensor, beta: Number, threshold: Number) -> SecretTensor:
    """grad / (1 + exp(-beta x))."""
    _only_far(threshold)
    return linear.mul(grad, sigmoid(x if beta == 1 else linear.mul(x, beta)))


def log_sigmoid(x: SecretTensor) -> tuple[SecretTensor, Tensor]:
    """-log(1 + exp(-x)), and a buffer that stays empty."""
    return linear.neg(softplus(linear.neg(x))), torch.empty(0)


def log_sigmoid_backward(grad: Operand, x: SecretTensor, buffer: Tensor) -> SecretTensor:
    """grad / (1 + exp(x))."""
    del buffer
    return linear.mul(grad, sigmoid(linear.neg(x)))


def sigmoid_backward(grad: Operand, output: Operand) -> SecretTensor:
    """grad * y * (1 - y)."""
    slope = linear.mul(output, linear.rsub(output, 1)) if isinstance(output, SecretTensor) else output * (1 - output)
    return linear.mul(grad, slope)


def absolute(x: SecretTensor) -> SecretTensor:
    """|x| = x - 2 [x < 0] x."""
    return linear.sub(x, linear.mul(whole(less(x, 0)), x), alpha=2)


def sign(x: SecretTensor) -> SecretTensor:
    """-1, 0 or 1."""
    return _relabelled(linear.sub(whole(greater(x, 0)), whole(less(x, 0))), x.dtype)


def clamp(x: SecretTensor, low: Operand | None = None, high: Operand | None = None) -> SecretTensor:
    """x limited to [low, high]; either bound may be left out, or be secret."""
    out = x
    # An infinite bound bounds nothing, and could not be encoded.
    if low is not None and as_number(low) != -math.inf:
        out = maximum(out, low)
    if high is not None and as_number(high) != math.inf:
        out = minimum(out, high)
    return linear.clone_of(x) if out is x else out


def maximum(x: Operand, y: Operand) -> SecretTensor:
    """The larger of two, entry by entry."""
    return linear.add(y, relu(linear.sub(x, y)))


def minimum(x: Operand, y: Operand) -> SecretTensor:
    """The smaller of two, entry by entry."""
    return linear.sub(y, relu(linear.sub(y, x)))


def masked_fill(x: Tensor, mask: Tensor, value: Operand) -> SecretTensor:
    """x with `value` where the mask holds."""
    return _relabelled(where(mask, value, x), x.dtype)


def never(x: SecretTensor) -> Tensor:
    """False everywhere, and public: fixed point has neither NaN nor infinity."""
    return torch.zeros_like(torch.empty_strided(x.shape, x.stride(), dtype=torch.bool))


def _ordered(x: Operand, y: Operand, *, strict: bool) -> SecretTensor:
    """[x < y] or [x <= y], the latter as not [y < x]."""
    context = context_of(x, y)
    xc, yc = cell_of(x), cell_of(y)
    protocol = context.protocol
    if xc is not None and yc is not None:
        bits = compare.is_negative(protocol, difference(xc, yc) if strict else difference(yc, xc))
        return made(context, bits if strict else compare.inverted(protocol, bits), 0, torch.bool)
    if xc is not None:
        # X < c is X < ceil(c), and X <= c is X < floor(c) + 1, for whole X.
        limit = 2 ** context.fixed.product_bits
        bound = np.clip(_units(context, y, xc.frac_bits, np.ceil if strict else np.floor), -limit, limit) + (not strict)
        return made(context, compare.is_negative(protocol, protocol.add_public(xc.shares, -bound)), 0, torch.bool)
    assert yc is not None
    # c < Y is not Y <= c, and c <= Y is not Y < c.
    return logical_not(_ordered(y, x, strict=not strict))


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


def _is_positive(cell: Cell) -> Shares:
    """[x > 0], compared once per value."""
    known = cell.recall(POSITIVE)
    if known is None:
        known = compare.is_negative(cell.context.protocol, -cell.shares)
        cell.remember(POSITIVE, known)
    return known


def _above(x: SecretTensor, threshold: Number) -> SecretTensor:
    """[x > threshold] as whole numbers."""
    if threshold == 0:
        return made(x._cell.context, _is_positive(x._cell), 0, torch.int64)
    return made(x._cell.context, greater(x, threshold)._cell.shares, 0, torch.int64)


def _curve(x: SecretTensor, function: Callable[..., Shares]) -> SecretTensor:
    context = x._cell.context
    result = function(context.protocol, x._cell.at(context.frac_bits), context.frac_bits)
    return made(context, result, context.frac_bits, x.dtype if x.is_floating_point() else torch.get_default_dtype())


def _only_far(threshold: Number) -> None:
    """From 12 on, log(1 + exp(x)) and x differ by less than one unit, and nobody sees where torch switches."""
    if threshold < 12:
        raise refuse(f"softplus with threshold {threshold} has no row", "leave the threshold at 20")


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


def _relabelled(x: SecretTensor, dtype: torch.dtype) -> SecretTensor:
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
