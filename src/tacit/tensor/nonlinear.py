"""Rows of activations and curves: ReLU and its kin, clamps, signs, sigmoid, softplus.

The sign of a value is compared once: the bits stay with the tensor, where the backward pass finds them.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from tacit.functions import compare, curves
from tacit.protocols import Choice, Shares
from tacit.tensor import linear, logic
from tacit.tensor.cell import POSITIVE, Cell
from tacit.tensor.operands import Number, Operand, as_number, comparison_bits, made, refuse, whole
from tacit.tensor.secret import SecretTensor


def relu(x: SecretTensor) -> SecretTensor:
    """max(x, 0). The bit [x > 0] stays with the result for the backward pass."""
    cell, context = x._cell, x._cell.context
    positive, protocol = cell.recall(POSITIVE), context.protocol
    if positive is not None:
        kept = protocol.choose(positive, cell.shares)
    else:
        positive, kept = compare.positive_part(protocol, cell.shares, comparison_bits(cell, x.dtype))
        cell.remember(POSITIVE, positive)
    out = made(context, kept, cell.frac_bits, x.dtype)
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
    if threshold != 0 or not isinstance(grad, SecretTensor):
        return linear.mul(_above(x, threshold), grad)
    cell = grad._cell
    kept = cell.context.protocol.choose(_is_positive(x._cell, x.dtype), cell.shares)
    return made(cell.context, kept, cell.frac_bits, grad.dtype)


def threshold(x: SecretTensor, threshold: Number, value: Number) -> SecretTensor:
    """x where x > threshold, else a public value."""
    return logic.where(logic.greater(x, threshold), x, value)


def leaky_relu(x: SecretTensor, negative_slope: Number = 0.01) -> SecretTensor:
    """x where it is positive, else a fraction of it. The bit [x > 0] stays with x for the backward pass."""
    return logic.where(_above(x, 0), x, linear.mul(x, negative_slope))


def leaky_relu_backward(
    grad: Operand, x: Tensor, negative_slope: Number, self_is_result: bool
) -> SecretTensor:
    """The gradient where x is positive, else a fraction of it."""
    del self_is_result  # the sign of the result is the sign of the input: torch allows no negative slope then
    if not isinstance(x, SecretTensor):
        return linear.mul(grad, torch.where(x > 0, 1.0, negative_slope))
    return linear.mul(grad, logic.where(_above(x, 0), 1.0, float(negative_slope)))


def hardtanh(x: SecretTensor, min_val: Number = -1, max_val: Number = 1) -> SecretTensor:
    """x limited to [min_val, max_val]; ReLU6 is one of these."""
    return clamp(x, min_val, max_val)


def hardtanh_backward(grad: Operand, x: SecretTensor, min_val: Number, max_val: Number) -> SecretTensor:
    """The gradient where x lies strictly inside."""
    return linear.mul(whole(logic.logical_and(logic.greater(x, min_val), logic.less(x, max_val))), grad)


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
    return linear.sub(x, linear.mul(whole(logic.less(x, 0)), x), alpha=2)


def sign(x: SecretTensor) -> SecretTensor:
    """-1, 0 or 1."""
    return logic.relabelled(linear.sub(whole(logic.greater(x, 0)), whole(logic.less(x, 0))), x.dtype)


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


def _is_positive(cell: Cell, dtype: torch.dtype) -> Choice:
    """[x > 0], compared once per value."""
    known: Choice | None = cell.recall(POSITIVE)
    if known is None:
        known = compare.positive(cell.context.protocol, cell.shares, comparison_bits(cell, dtype))
        cell.remember(POSITIVE, known)
    return known


def _above(x: SecretTensor, threshold: Number) -> SecretTensor:
    """[x > threshold] as whole numbers."""
    if threshold == 0:
        words = x._cell.context.protocol.as_words(_is_positive(x._cell, x.dtype), tuple(x.shape))
        return made(x._cell.context, words, 0, torch.int64)
    return made(x._cell.context, logic.greater(x, threshold)._cell.shares, 0, torch.int64)


def _curve(x: SecretTensor, function: Callable[..., Shares]) -> SecretTensor:
    context = x._cell.context
    result = function(context.protocol, x._cell.at(context.frac_bits), context.frac_bits)
    return made(context, result, context.frac_bits, x.dtype if x.is_floating_point() else torch.get_default_dtype())


def _only_far(threshold: Number) -> None:
    """From 12 on, log(1 + exp(x)) and x differ by less than one unit, and nobody sees where torch switches."""
    if threshold < 12:
        raise refuse(f"softplus with threshold {threshold} has no row", "leave the threshold at 20")
