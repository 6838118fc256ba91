"""Rows of classification: softmax, its logarithm, and the negative log likelihood of public or secret labels.

The gradient of a cross entropy is softmax - onehot over the batch size; nothing else is computed in a training step.
The logarithm itself is a promise, like every loss: it is kept when somebody reveals one.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tacit.functions import softmax as functions
from tacit.protocols import Shares
from tacit.tensor import labels, linear, losses, smooth
from tacit.tensor.cell import IDLE, LOGITS, SUMS, Cell, known, rescaled
from tacit.tensor.losses import MEAN, NONE
from tacit.tensor.operands import Operand, axis, cell_of, context_of, made, refuse, scaled
from tacit.tensor.secret import SecretTensor


def softmax(x: SecretTensor, dim: int, half_to_float: bool = False) -> SecretTensor:
    """exp(x) over its sum along a dimension."""
    del half_to_float
    return _softmax(x._cell, dim, x.dtype)


def safe_softmax(x: SecretTensor, dim: int, dtype: torch.dtype | None = None) -> SecretTensor:
    """Softmax; a row that is masked entirely is uniform here, since no secret is infinite."""
    return _softmax(x._cell, dim, dtype or x.dtype)


def softmax_backward(grad: Operand, output: Operand, dim: int, input_dtype: torch.dtype) -> SecretTensor:
    """y (grad - sum(grad y))."""
    del input_dtype
    product = linear.mul(grad, output)
    inner = linear.sum_dims(product, [dim], True) if product.dim() else product
    return linear.sub(product, linear.mul(output, inner))


def log_softmax(x: SecretTensor, dim: int, half_to_float: bool = False) -> SecretTensor:
    """x - log(sum(exp(x))) along a dimension: a promise, since a training step needs only the softmax."""
    del half_to_float
    context, shape = x._cell.context, tuple(x.shape)
    logits = linear.clone_of(x)._cell

    def keep() -> tuple[Shares, int]:
        if not shape:
            return context.protocol.public(torch.zeros(shape, dtype=torch.int64).numpy()), 0
        frac = context.frac_bits
        along = axis(dim, len(shape)) - len(shape)
        return functions.log_softmax(context.protocol, logits.at(frac), frac, along).contiguous(), frac

    cell = Cell(context, None, promise=keep, shape=shape)
    cell.remember(LOGITS, logits)
    cell.remember(IDLE, True)
    return SecretTensor(cell, x.dtype)


def log_softmax_backward(grad: Operand, output: Operand, dim: int, input_dtype: torch.dtype) -> SecretTensor:
    """grad - softmax sum(grad)."""
    del input_dtype
    context = context_of(grad, output)
    cell = cell_of(output)
    if cell is None:
        assert isinstance(output, Tensor)
        return linear.sub(grad, linear.mul(linear.sum_dims(grad, [dim], True), output.exp()))  # type: ignore[arg-type]
    logits: Cell | None = cell.recall(LOGITS)
    assert isinstance(output, SecretTensor)
    chances = _softmax(logits, dim, output.dtype) if logits is not None else smooth.exp(output)
    sums: Any = _sums(grad, dim)
    if isinstance(sums, SecretTensor):
        return linear.sub(grad, linear.mul(chances, sums))
    # Sums that every party knows are one number in a mean over a batch: then the result keeps guard bits.
    bits = context.guarded_bits
    spread = _guarded(chances, sums, bits)
    return linear.sub(_lifted(grad, bits), spread)


def nll_loss(
    x: Tensor, target: Tensor, weight: Tensor | None, reduction: int, ignore_index: int
) -> tuple[SecretTensor, Tensor]:
    """What -x says at each label, its mean or its sum; and the total weight of the labels."""
    at = 0 if x.dim() == 1 else 1
    chosen, total = _chosen(x, target, weight, ignore_index, at)
    context = context_of(x, target)

    def value(x: Any, chosen: Any, total: Any) -> SecretTensor:
        picked = linear.sum_dims(linear.neg(linear.mul(x, chosen)), [at])
        if reduction == NONE:
            return picked
        summed = linear.sum_all(picked)
        return smooth.div(summed, total) if reduction == MEAN else summed

    shape = tuple(target.shape) if reduction == NONE else ()
    loss = losses.promised(context, value, (x, chosen, total), shape)
    return loss, total if reduction != NONE else torch.zeros(())


def nll_loss_backward(
    grad: Operand, x: Tensor, target: Tensor, weight: Tensor | None, reduction: int, ignore_index: int,
    total_weight: Operand,
) -> SecretTensor:
    """-grad at each label, over the total weight for the mean."""
    at = 0 if x.dim() == 1 else 1
    chosen, _ = _chosen(x, target, weight, ignore_index, at)
    context = context_of(grad, x, target)
    if isinstance(grad, Tensor) and reduction == NONE:
        grad = grad.unsqueeze(at)
    if reduction == MEAN:
        secret = _any_secret(grad, total_weight)
        grad = smooth.div(grad, total_weight) if secret else torch.as_tensor(grad / total_weight)
    if not _any_secret(chosen, grad):
        return SecretTensor(known(context, -chosen * grad), x.dtype)
    if isinstance(grad, SecretTensor) or weight is not None:
        return linear.neg(linear.mul(chosen, grad))
    result = _guarded(chosen, -torch.as_tensor(grad), context.guarded_bits)
    if labels.surely(target) and not 0 <= ignore_index < x.shape[at]:
        # Each label is one class, so the sum over classes is public though the gradient is not.
        sums = -torch.as_tensor(grad, dtype=torch.float32)
        result._cell.remember(SUMS, (at - x.dim(), sums.expand([1 if d == at else s for d, s in enumerate(x.shape)])))
    return result


def _chosen(
    x: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, at: int
) -> tuple[Any, Any]:
    """The weight of the label at its class and 0 elsewhere, in the shape of x; and their sum."""
    classes = x.shape[at]
    if not isinstance(target, SecretTensor):
        kept = target != ignore_index
        if bool(((target < 0) | (target >= classes))[kept].any()):
            raise refuse(f"a label is not one of {classes} classes", "check the labels, or ignore_index")
        context_of(x, target).note_public(target.numpy())
        hot = torch.nn.functional.one_hot(target.masked_fill(~kept, 0), classes) * kept.unsqueeze(-1)
        chosen = hot.movedim(-1, at).to(torch.float32).contiguous()
        if weight is not None:
            chosen = chosen * _by_class(weight, x.dim(), at)
        return chosen, chosen.sum()
    words, sure = labels.one_hot(target, classes)
    hot_words = made(target._cell.context, words.movedim(-1, at + 1).contiguous(), 0, torch.float32)
    if 0 <= ignore_index < classes:
        weight = (torch.ones(classes) if weight is None else weight).index_fill(0, torch.tensor([ignore_index]), 0)
    if weight is not None:
        chosen_words = linear.mul(hot_words, _by_class(weight, x.dim(), at))
        return chosen_words, linear.sum_all(chosen_words)
    return hot_words, torch.tensor(float(target.numel())) if sure else linear.sum_all(hot_words)


def _by_class(weight: Tensor, dims: int, at: int) -> Tensor:
    if isinstance(weight, SecretTensor):
        raise refuse("secret class weights have no row", "make them public")
    return weight.detach().reshape([-1 if d == at else 1 for d in range(dims)])


def _softmax(logits: Cell, dim: int, dtype: torch.dtype) -> SecretTensor:
    context, dims = logits.context, len(logits.shape)
    if not dims:
        return SecretTensor(known(context, torch.ones((), dtype=dtype)), dtype)
    frac = context.frac_bits
    shares = functions.softmax(context.protocol, logits.at(frac), frac, axis(dim, dims) - dims)
    return made(context, shares.contiguous(), frac, dtype)


def _sums(grad: Operand, dim: int) -> Operand:
    """The sum of a gradient over the classes, public where every party knows it."""
    if not isinstance(grad, SecretTensor):
        assert isinstance(grad, Tensor)
        return grad.sum(dim, keepdim=True)
    at, sums = grad._cell.recall(SUMS) or (None, None)
    if sums is not None and at == axis(dim, grad.dim()) - grad.dim():
        known_sums: Tensor = sums
        return known_sums
    return linear.sum_dims(grad, [dim], True)


def _guarded(x: Any, factors: Tensor, bits: int) -> SecretTensor:
    """x times public factors, with so many fraction bits; one truncation where all factors are one number."""
    if factors.numel() == 0 or bool((factors != factors.reshape(-1)[0]).any()):
        lifted: SecretTensor = _lifted(linear.mul(x, factors), bits)
        return lifted
    cell = x._cell
    shares, frac = scaled(cell, float(factors.reshape(-1)[0]), bits)
    return made(cell.context, rescaled(cell.context.protocol, shares, frac, bits), bits, x.dtype)


def _lifted(x: Any, bits: int) -> Any:
    return made(x._cell.context, x._cell.at(bits), bits, x.dtype) if isinstance(x, SecretTensor) else x


def _any_secret(*values: Any) -> bool:
    return any(isinstance(value, SecretTensor) for value in values)

