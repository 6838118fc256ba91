"""Rows that compare: signs, ReLU, sigmoid, where, clamps, equality.

A comparison gives a bool-labelled secret tensor of whole 0/1 numbers, so a product with it is exact. Constants are
compared exactly even where the fixed-point format cannot hold them: x > 1e-9 asks whether x is at least one unit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tacit.functions import compare, curves
from tacit.protocols import Shares
from tacit.ring import kernels
from tacit.tensor import linear
from tacit.tensor.cell import Cell, Context
from tacit.tensor.operands import Number, Operand, aligned, cell_of, context_of, made, refuse, spread
from tacit.tensor.secret import SecretTensor

POSITIVE = "positive"  # memo of a ReLU's output: 0/1 words that its backward pass needs again


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
        left, right, _ = aligned(xc, yc)
        left, right = spread(left, right)
        return made(context, compare.is_zero(context.protocol, left - right), 0, torch.bool)
    cell, public = (xc, y) if xc is not None else (yc, x)
    assert cell is not None
    scaled = _scaled_exactly(public, cell.frac_bits)
    reachable = scaled == np.floor(scaled)
    words = _integers(context, np.where(reachable, scaled, 0.0))
    bits = compare.is_zero(context.protocol, context.protocol.add_public(cell.shares, -words))
    return made(context, bits * torch.as_tensor(reachable.astype(np.int64)), 0, torch.bool)


def not_equal(x: Operand, y: Operand) -> SecretTensor:
    """x != y."""
    return logical_not(equal(x, y))


def logical_not(x: SecretTensor) -> SecretTensor:
    """1 - x for a bool tensor; local."""
    if x.dtype != torch.bool:
        return equal(x, 0)
    context = x._cell.context
    return made(context, compare.inverted(context.protocol, x._cell.shares), 0, torch.bool)


def logical_and(x: Tensor, y: Tensor) -> SecretTensor:
    """x & y for bool tensors."""
    _only_bools(x, y)
    return _as_bool(linear.mul(x, y))


def logical_or(x: Tensor, y: Tensor) -> SecretTensor:
    """x | y for bool tensors: x + y - x y."""
    _only_bools(x, y)
    both = linear.mul(x, y)
    return _as_bool(linear.sub(linear.add(_whole(x), _whole(y)), _whole(both)))


def every(x: SecretTensor) -> SecretTensor:
    """x.all(): whether the number of false entries is zero; one comparison for any size."""
    context = x._cell.context
    false = linear.sum_all(logical_not(_truth(x)))
    return made(context, compare.is_zero(context.protocol, false._cell.shares), 0, torch.bool)


def some(x: SecretTensor) -> SecretTensor:
    """x.any(): whether the number of true entries is not zero."""
    context = x._cell.context
    true = linear.sum_all(_truth(x))
    return logical_not(made(context, compare.is_zero(context.protocol, true._cell.shares), 0, torch.bool))


def where(condition: Tensor, x: Operand, y: Operand) -> SecretTensor:
    """x where the condition holds, else y; any of the three may be public."""
    context = context_of(condition, x, y)
    dtype = torch.result_type(x, y)  # type: ignore[arg-type]
    if not isinstance(condition, SecretTensor):
        keep = condition.to(torch.int64)
        # A public condition hides nothing: multiply each side by its own 0/1 mask, locally.
        return _relabelled(linear.add(_times(x, keep), _times(y, 1 - keep)), dtype)
    difference = linear.sub(x, y) if _any_secret(x, y) else torch.as_tensor(x) - torch.as_tensor(y)
    chosen = linear.mul(_whole(condition), difference)
    return _relabelled(linear.add(y, chosen) if _any_secret(y, chosen) else chosen, dtype)


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
    context = context_of(x)
    known = x._cell.recall(POSITIVE) if threshold == 0 else None
    bits = made(context, known, 0, torch.bool) if known is not None else greater(x, threshold)
    return linear.mul(_whole(bits), grad)


def sigmoid(x: SecretTensor) -> SecretTensor:
    """1 / (1 + exp(-x)), within 3 units of 2^-16 at 16 fraction bits."""
    return _curve(x, curves.sigmoid)


def softplus(x: SecretTensor, beta: Number = 1, threshold: Number = 20) -> SecretTensor:
    """log(1 + exp(beta x)) / beta; torch's switch to the identity above the threshold is below one unit."""
    del threshold
    return _curve(x, curves.softplus) if beta == 1 else linear.div(_curve(linear.mul(x, beta), curves.softplus), beta)


def sigmoid_backward(grad: Operand, output: Operand) -> SecretTensor:
    """grad * y * (1 - y)."""
    return linear.mul(grad, linear.mul(output, linear.rsub(output, 1)))  # type: ignore[arg-type]


def absolute(x: SecretTensor) -> SecretTensor:
    """|x| = x - 2 [x < 0] x."""
    return linear.sub(x, linear.mul(_whole(less(x, 0)), x), alpha=2)


def sign(x: SecretTensor) -> SecretTensor:
    """-1, 0 or 1."""
    return _relabelled(linear.sub(_whole(greater(x, 0)), _whole(less(x, 0))), x.dtype)


def clamp(x: SecretTensor, low: Number | None = None, high: Number | None = None) -> SecretTensor:
    """x limited to [low, high] for public bounds."""
    out = x
    if low is not None:
        out = linear.add(relu(linear.sub(out, low)), low)
    if high is not None:
        out = linear.rsub(relu(linear.rsub(out, high)), high)
    return linear.clone_of(x) if out is x else out


def maximum(x: Operand, y: Operand) -> SecretTensor:
    """The larger of two, entry by entry."""
    return linear.add(y, relu(linear.sub(x, y)))


def minimum(x: Operand, y: Operand) -> SecretTensor:
    """The smaller of two, entry by entry."""
    return linear.sub(y, relu(linear.sub(y, x)))


def masked_fill(x: Tensor, mask: Tensor, value: Operand) -> SecretTensor:
    """x with `value` where the mask holds."""
    return where(mask, value, x)


def never(x: SecretTensor) -> Tensor:
    """isnan and isinf: fixed point has neither, so the answer is public."""
    return torch.zeros(x.shape, dtype=torch.bool)


def _ordered(x: Operand, y: Operand, *, strict: bool) -> SecretTensor:
    """[x < y] or [x <= y], the latter as not [y < x]."""
    context = context_of(x, y)
    xc, yc = cell_of(x), cell_of(y)
    protocol = context.protocol
    if xc is not None and yc is not None:
        left, right, _ = aligned(xc, yc)
        left, right = spread(left, right)
        bits = compare.is_negative(protocol, left - right if strict else right - left)
        return made(context, bits if strict else compare.inverted(protocol, bits), 0, torch.bool)
    if xc is not None:
        # X < c is X < ceil(c), and X <= c is X < floor(c) + 1, for whole X.
        scaled = _scaled_exactly(y, xc.frac_bits)
        bound = np.ceil(scaled) if strict else np.floor(scaled) + 1
        below = compare.is_negative(protocol, protocol.add_public(xc.shares, -_integers(context, bound)))
        return made(context, below, 0, torch.bool)
    assert yc is not None
    # c < Y is not Y <= c, and c <= Y is not Y < c.
    return logical_not(_ordered(y, x, strict=not strict))


def _scaled_exactly(public: Operand, frac_bits: int) -> np.ndarray:
    plain = public.detach().double().numpy() if isinstance(public, Tensor) else np.asarray(float(public))
    if np.isnan(plain).any():
        raise refuse("cannot compare a secret with NaN", "clean the public operand")
    return np.ldexp(plain, frac_bits)


def _integers(context: Context, bound: np.ndarray) -> np.ndarray:
    """Bounds as ring elements. Beyond the range of any value they only need to stay beyond it."""
    limit = 2.0 ** context.fixed.product_bits
    return np.clip(bound, -limit, limit).astype(np.int64)


def _is_positive(cell: Cell) -> Shares:
    return compare.is_negative(cell.context.protocol, -cell.shares)


def _curve(x: SecretTensor, function: Callable[..., Shares]) -> SecretTensor:
    context = x._cell.context
    result = function(context.protocol, x._cell.at(context.frac_bits), context.frac_bits)
    return made(context, result, context.frac_bits, x.dtype if x.is_floating_point() else torch.float32)


def _truth(x: SecretTensor) -> SecretTensor:
    return x if x.dtype == torch.bool else not_equal(x, 0)


def _whole(x: Any) -> Any:
    """A bool as an int64, so that sums and products follow torch's rules for numbers."""
    if isinstance(x, SecretTensor):
        return made(x._cell.context, x._cell.shares, x._cell.frac_bits, torch.int64) if x.dtype == torch.bool else x
    return x.to(torch.int64) if isinstance(x, Tensor) and x.dtype == torch.bool else x


def _as_bool(x: SecretTensor) -> SecretTensor:
    return made(x._cell.context, x._cell.shares, 0, torch.bool)


def _relabelled(x: Any, dtype: torch.dtype) -> SecretTensor:
    return x if x.dtype == dtype else made(x._cell.context, x._cell.shares, x._cell.frac_bits, dtype)


def _times(x: Operand, mask: Tensor) -> Any:
    return linear.mul(x, mask) if isinstance(x, SecretTensor) else torch.as_tensor(x) * mask


def _any_secret(*values: Any) -> bool:
    return any(isinstance(value, SecretTensor) for value in values)


def _only_bools(x: Tensor, y: Tensor) -> None:
    if x.dtype != torch.bool or y.dtype != torch.bool:
        raise refuse("bitwise operators on secret integers have no row", "use them on comparisons, which are bools")
