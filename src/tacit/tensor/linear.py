"""Sums, scalings and products: the rows that need no comparison.

Each row has the signature of its aten overload; defaults equal the schema's, since torch strips arguments that equal
them. A result has the job's fraction bits or fewer, except after a division by a power of two (see cell).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from tacit.protocols import Shares
from tacit.ring import kernels
from tacit.tensor.cell import GUARD_BITS, Context, rescaled
from tacit.tensor.operands import (
    Number,
    Operand,
    aligned,
    as_number,
    cell_of,
    context_of,
    expanded,
    made,
    natural_bits,
    refuse,
    scaled,
    spread,
    words_of,
)
from tacit.tensor.secret import SecretTensor


def add(x: Operand, y: Operand, *, alpha: Number = 1) -> SecretTensor:
    """x + alpha * y."""
    context = context_of(x, y)
    dtype = torch.result_type(x, y)  # type: ignore[arg-type]
    if (xc := cell_of(x)) is None:
        assert isinstance(y, SecretTensor)
        return _add_public(mul(y, alpha) if alpha != 1 else y, x, dtype)
    if (yc := cell_of(y)) is None:
        return _add_public(x, y if alpha == 1 else y * alpha, dtype)
    if alpha != 1:
        yc = made(context, *scaled(yc, alpha, max(xc.frac_bits, context.frac_bits)), torch.float32)._cell
    left, right, frac = aligned(xc, yc)
    left, right = spread(left, right)
    return made(context, left + right, frac, dtype)


def sub(x: Operand, y: Operand, *, alpha: Number = 1) -> SecretTensor:
    """x - alpha * y."""
    return add(x, y, alpha=-alpha)


def rsub(x: Operand, y: Operand, alpha: Number = 1) -> SecretTensor:
    """y - alpha * x."""
    return add(y, x, alpha=-alpha)


def neg(x: SecretTensor) -> SecretTensor:
    """-x; local."""
    return made(x._cell.context, -x._cell.shares, x._cell.frac_bits, x.dtype)


def mul(x: Operand, y: Operand) -> SecretTensor:
    """x * y. Two secrets: one exchange, and a truncation unless one of them is whole. One public: local or truncated."""
    context = context_of(x, y)
    dtype = torch.result_type(x, y)  # type: ignore[arg-type]
    if cell_of(x) is None:
        x, y = y, x
    xc, yc = cell_of(x), cell_of(y)
    assert xc is not None
    if yc is not None:
        return _product(context, kernels.mul, *spread(xc.shares, yc.shares), (xc.frac_bits, yc.frac_bits), dtype)
    number = as_number(y)
    if number is not None:
        return made(context, *scaled(xc, number), dtype)
    return _times_public(context, x, y, dtype, lambda shares, words: expanded(shares, _joint(x, y)) * words)


def div(x: Operand, y: Operand) -> SecretTensor:
    """x / y for a public y; by a power of two without any message."""
    if isinstance(y, SecretTensor):
        raise refuse("cannot divide by a secret tensor yet", "divide by a public number, or multiply by a public inverse")
    number = as_number(y)
    inverse: Operand = 1.0 / number if number is not None else torch.reciprocal(torch.as_tensor(y).double())
    out = mul(x, inverse)
    return out if out.is_floating_point() else made(out._cell.context, out._cell.shares, out._cell.frac_bits, torch.float32)


def pow_scalar(x: SecretTensor, exponent: Number) -> SecretTensor:
    """x ** n for n = 0, 1, 2, ... by squaring."""
    if not float(exponent).is_integer() or exponent < 0:
        raise refuse(f"cannot raise a secret to the power {exponent}", "whole exponents from 0 up are possible")
    if exponent == 0:
        return add(mul(x, 0), 1)
    result: SecretTensor | None = None
    square, n = x, int(exponent)
    while n:
        if n & 1:
            result = square if result is None else mul(result, square)
        n >>= 1
        square = mul(square, square) if n else square
    assert result is not None
    return clone_of(result) if result is x else result


def clone_of(x: SecretTensor) -> SecretTensor:
    """Fresh memory with the same value."""
    return made(x._cell.context, x._cell.shares.clone(), x._cell.frac_bits, x.dtype)


def mm(x: Operand, y: Operand) -> SecretTensor:
    """Matrix product of two matrices, or of two batches of them."""
    assert isinstance(x, Tensor) and isinstance(y, Tensor)
    context = context_of(x, y)
    dtype = torch.result_type(x, y)
    xc, yc = cell_of(x), cell_of(y)
    if xc is not None and yc is not None:
        return _product(context, kernels.matmul, xc.shares, yc.shares, (xc.frac_bits, yc.frac_bits), dtype)
    if xc is not None:
        return _times_public(context, x, y, dtype, kernels.matmul)
    return _times_public(context, y, x, dtype, lambda shares, words: kernels.matmul(words, shares))


def mv(x: Tensor, y: Tensor) -> SecretTensor:
    """Matrix times vector."""
    return _reshaped(mm(x, y.unsqueeze(1)), (x.shape[0],))


def dot(x: Tensor, y: Tensor) -> SecretTensor:
    """Inner product of two vectors."""
    return _reshaped(mm(x.unsqueeze(0), y.unsqueeze(1)), ())


def addmm(bias: Operand, x: Operand, y: Operand, *, beta: Number = 1, alpha: Number = 1) -> SecretTensor:
    """beta * bias + alpha * (x @ y)."""
    product = mm(x, y) if cell_of(x) is not None or cell_of(y) is not None else torch.mm(x, y)  # type: ignore[arg-type]
    if beta == 0:
        assert isinstance(product, SecretTensor)
        return product if alpha == 1 else mul(product, alpha)
    return add(bias if beta == 1 else mul(bias, beta), product, alpha=alpha)


def sum_dims(
    x: SecretTensor, dim: Sequence[int] | None = None, keepdim: bool = False, *, dtype: torch.dtype | None = None
) -> SecretTensor:
    """Sum over dimensions (all, if none are given); local."""
    cell = x._cell
    dims = [d % x.dim() + 1 for d in dim] if dim else list(range(1, x.dim() + 1))
    total = cell.shares.sum(dims, keepdim=keepdim) if dims else cell.shares.clone()
    label = dtype or (x.dtype if x.is_floating_point() else torch.int64)
    return made(cell.context, total, cell.frac_bits, label)


def sum_all(x: SecretTensor, *, dtype: torch.dtype | None = None) -> SecretTensor:
    """Sum of all entries; local."""
    return sum_dims(x, None, False, dtype=dtype)


def mean_dims(
    x: SecretTensor, dim: Sequence[int] | None = None, keepdim: bool = False, *, dtype: torch.dtype | None = None
) -> SecretTensor:
    """Mean over dimensions; local where their size is a power of two."""
    total = sum_dims(x, dim, keepdim, dtype=dtype)
    count = x.numel() // max(total.numel(), 1) if x.numel() else 0
    if count == 0:
        raise refuse("cannot take the mean of no entries", "the result would be NaN, which no secret tensor can hold")
    return div(total, count)


def mean_all(x: SecretTensor, *, dtype: torch.dtype | None = None) -> SecretTensor:
    """Mean of all entries."""
    return mean_dims(x, None, False, dtype=dtype)


def in_place(row: Callable[..., SecretTensor]) -> Callable[..., SecretTensor]:
    """The in-place twin of a row: the result is written into the first argument's memory."""

    def run(target: SecretTensor, *args: Any, **kwargs: Any) -> SecretTensor:
        result = row(target, *args, **kwargs)
        if not torch.can_cast(result.dtype, target.dtype):
            raise refuse(f"cannot write {result.dtype} into a {target.dtype} tensor", "make the target a float tensor")
        target._cell.store(result._cell.shares, result._cell.frac_bits)
        return target

    run.__name__ = f"{row.__name__}_"
    run.__doc__ = row.__doc__
    return run


def _add_public(x: SecretTensor, y: Operand, dtype: torch.dtype) -> SecretTensor:
    cell, context = x._cell, x._cell.context
    frac = max(cell.frac_bits, natural_bits(context, y) if dtype.is_floating_point else 0)
    words = words_of(context, y, frac, "added constant")
    return made(context, context.protocol.add_public(cell.at(frac), words), frac, dtype)


def _product(
    context: Context, kernel: kernels.Bilinear, x: Shares, y: Shares, bits: tuple[int, int], dtype: torch.dtype
) -> SecretTensor:
    """A product of two secrets with so many fraction bits each, truncated where those are too many to carry on.

    A factor with guard bits (a gradient that was divided by the batch size) passes them on: they are what keeps small
    gradients exact on their way through the layers.
    """
    frac = sum(bits)
    if frac <= context.frac_bits + GUARD_BITS:
        return made(context, context.protocol.product(kernel, x, y), frac, dtype)
    target = max(context.frac_bits, *bits)
    return made(context, context.protocol.product_truncated(kernel, x, y, frac - target), target, dtype)


def _times_public(
    context: Context, x: Operand, y: Operand, dtype: torch.dtype, kernel: Callable[[Shares, Tensor], Shares]
) -> SecretTensor:
    """A product with public numbers: local, then truncated if they had fraction bits."""
    cell = cell_of(x)
    assert cell is not None
    frac = natural_bits(context, y)
    words = torch.as_tensor(words_of(context, y, frac, "public factor"))
    shares, total = kernel(cell.shares, words), cell.frac_bits + frac
    target = max(context.frac_bits, cell.frac_bits)
    if frac and total > target:
        shares, total = rescaled(context.protocol, shares, total, target), target
    return made(context, shares, total, dtype)


def _joint(x: Operand, y: Operand) -> torch.Size:
    assert isinstance(x, Tensor) and isinstance(y, Tensor)
    return torch.broadcast_shapes(x.shape, y.shape)


def _reshaped(x: SecretTensor, shape: tuple[int, ...]) -> SecretTensor:
    cell = x._cell
    return made(cell.context, cell.shares.reshape(cell.shares.shape[0], *shape), cell.frac_bits, x.dtype)
