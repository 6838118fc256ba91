"""Losses. Their values are promises: no backward pass reads a loss, so one that nobody reveals costs nothing.

A promise works on snapshots of its inputs. They are copies of local memory and cost no message; without them a write in
place between the loss and its first use would change the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tacit.tensor import linear, nonlinear
from tacit.tensor.cell import IDLE, Cell, Context, joint_shape
from tacit.tensor.operands import Operand, cell_of, context_of
from tacit.tensor.secret import SecretTensor

NONE, MEAN, SUM = 0, 1, 2  # aten's numbering of `reduction`


def mse_loss(x: Tensor, y: Tensor, reduction: int = MEAN) -> SecretTensor:
    """(x - y)^2, its mean or its sum."""
    shape = joint_shape(x.shape, y.shape) if reduction == NONE else ()
    return promised(
        context_of(x, y), lambda a, b: _reduced(linear.pow_scalar(linear.sub(a, b), 2), reduction), (x, y), shape
    )


def mse_loss_backward(grad: Operand, x: Tensor, y: Tensor, reduction: int) -> SecretTensor:
    """2 (x - y) grad, over the number of entries for the mean."""
    difference = linear.sub(x, y)
    factor = 2.0 / max(difference.numel(), 1) if reduction == MEAN else 2.0
    cell = cell_of(difference)
    assert cell is not None
    return linear.mul(linear.shrunk(cell, factor, difference.dtype), grad)


def binary_cross_entropy_with_logits(
    x: Tensor, y: Tensor, weight: Tensor | None = None, pos_weight: Tensor | None = None, reduction: int = MEAN
) -> SecretTensor:
    """(1 - y) x + softplus(-x), weighted as torch does; the backward pass is sigmoid, sub and mul rows."""

    def value(x: Any, y: Any, weight: Any, pos_weight: Any) -> SecretTensor:
        tail = nonlinear.softplus(linear.neg(x)) if isinstance(x, SecretTensor) else torch.nn.functional.softplus(-x)
        if pos_weight is not None:
            tail = (1 + (pos_weight - 1) * y) * tail
        loss: SecretTensor = (1 - y) * x + tail
        return _reduced(loss if weight is None else loss * weight, reduction)

    operands = (x, y, weight, pos_weight)
    shapes = [operand.shape for operand in operands if operand is not None]
    return promised(context_of(x, y), value, operands, joint_shape(*shapes) if reduction == NONE else ())


def _reduced(x: SecretTensor, reduction: int) -> SecretTensor:
    rows: dict[int, Callable[[SecretTensor], SecretTensor]] = {MEAN: linear.mean_all, SUM: linear.sum_all}
    return rows[reduction](x) if reduction != NONE else x


def promised(
    context: Context, value: Callable[..., SecretTensor], operands: tuple[Any, ...], shape: tuple[int, ...]
) -> SecretTensor:
    """value(*operands), of this shape, once somebody asks; as the operands are now."""
    kept = [_snapshot(operand) for operand in operands]

    def keep() -> tuple[Tensor, int]:
        # The rows are called on bare secret tensors: whoever forces the value may have autograd switched on.
        with torch.no_grad(), context.session.meter.measure("loss value"):
            cell = value(*kept)._cell
        return cell.shares, cell.frac_bits

    cell = Cell(context, None, promise=keep, shape=shape)
    cell.remember(IDLE, True)
    return SecretTensor(cell, torch.float32)


def _snapshot(operand: Any) -> Any:
    if isinstance(operand, SecretTensor):
        return SecretTensor(operand._cell.twin(), operand.dtype)
    return operand.detach().clone() if isinstance(operand, Tensor) else operand
