"""Sums, scalings and products: the rows that need no comparison.

Each row has the signature of its aten overload; defaults equal the schema's, since torch strips arguments that equal
them. A result has the job's fraction bits or fewer, except after a division by a power of two (see cell).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import torch
from torch import Tensor

from tacit.protocols import Shares
from tacit.ring import kernels
from tacit.session.truncation import PROBABILISTIC
from tacit.tensor.cell import Cell, Context, factor_bits, joint_shape, rescaled
from tacit.tensor.operands import (
    Number,
    Operand,
    addend_bits,
    addend_of,
    aligned,
    as_number,
    axis,
    cell_of,
    context_of,
    expanded,
    is_bool,
    made,
    refuse,
    scaled,
    spread,
    whole,
    words_of,
)
from tacit.tensor.secret import SecretTensor


def add(x: Operand, y: Operand, alpha: Number = 1) -> SecretTensor:
    """x + alpha * y; for two bools x or y, as in torch."""
    context = context_of(x, y)
    dtype = torch.result_type(x, y)
    if not dtype.is_floating_point and isinstance(alpha, float):
        raise refuse(f"cannot scale an addend of {dtype} by {alpha}", "make one of the tensors a float tensor")
    if dtype == torch.bool:
        return _either(x, y)
    if alpha != 1 and not isinstance(y, SecretTensor):
        y = y * alpha
    elif alpha != 1:
        xc = cell_of(x)
        want = max(xc.frac_bits if xc is not None else 0, context.frac_bits)
        y = made(context, *scaled(_cell(y), alpha, want), torch.float32)
    if not isinstance(x, SecretTensor):
        x, y = y, x
    assert isinstance(x, SecretTensor)
    if not isinstance(y, SecretTensor):
        return _add_public(x, y, dtype)
    left, right, frac = aligned(x._cell, y._cell)
    left, right = spread(left, right)
    return made(context, left + right, frac, dtype)


def sub(x: Operand, y: Operand, alpha: Number = 1) -> SecretTensor:
    """x - alpha * y."""
    if is_bool(x) or is_bool(y):
        raise refuse("cannot subtract bools, as torch cannot", "use x ^ y or ~x; or cast them with x.to(torch.int64)")
    return add(x, y, alpha=-alpha)


def rsub(x: Operand, y: Operand, alpha: Number = 1) -> SecretTensor:
    """y - alpha * x."""
    return sub(y, x, alpha=alpha)


def neg(x: SecretTensor) -> SecretTensor:
    """-x; local."""
    if is_bool(x):
        raise refuse("cannot negate a bool", "use ~x")
    return made(x._cell.context, -x._cell.shares, x._cell.frac_bits, x.dtype)


def mul(x: Operand, y: Operand) -> SecretTensor:
    """x * y. Two secrets: one exchange, and a truncation unless one is whole. One public: local, or truncated."""
    context = context_of(x, y)
    dtype = torch.result_type(x, y)
    if not isinstance(x, SecretTensor):
        x, y = y, x
    assert isinstance(x, SecretTensor)
    xc = x._cell
    if isinstance(y, SecretTensor):
        bits = xc.frac_bits, y._cell.frac_bits
        return _product(context, kernels.mul, *spread(xc.shares, y._cell.shares), bits, dtype)
    number = as_number(y)
    if number is not None and isinstance(y, Tensor):
        return shrunk(xc, number, dtype)  # a gradient that came back from a mean, for one: it keeps its guard bits
    if number is not None:
        shares, frac = scaled(xc, number)
        # x * 1 and x / 2 leave the integers as they are: without a copy, a write to the result would change x.
        return made(context, shares.clone() if shares is xc.shares else shares, frac, dtype)
    assert isinstance(y, Tensor)
    shape = joint_shape(x.shape, y.shape)
    return times_public(context, xc, y, dtype, lambda shares, words: expanded(shares, shape) * words)


def div(x: Operand, y: Operand) -> SecretTensor:
    """x / y for a public y; by a power of two without any message."""
    if isinstance(y, SecretTensor):
        raise refuse(
            "cannot divide by a secret tensor yet", "divide by a public number, or multiply by a public inverse"
        )
    context, dtype = context_of(x), torch.result_type(x, y)
    label = dtype if dtype.is_floating_point else torch.get_default_dtype()
    number = as_number(y)
    if number is not None:
        if number == 0:
            raise refuse("cannot divide a secret tensor by 0", "no secret tensor can hold the infinite result")
        return shrunk(_cell(x), 1.0 / number, label)
    assert isinstance(y, Tensor)
    inverse = torch.reciprocal(y.detach().double())
    return _times_exactly(context, _cell(x), inverse, label)


def shrunk(cell: Cell, number: Number, dtype: torch.dtype) -> SecretTensor:
    """cell * number. What a number below 1 takes from the top, the result keeps below the point, up to the guard."""
    context = cell.context
    spare = max(-math.frexp(number)[1], 0) if number else 0
    want = max(cell.frac_bits, min(max(cell.frac_bits, context.frac_bits) + spare, context.guarded_bits))
    shares, frac = scaled(cell, number, want)
    return made(context, shares.clone() if shares is cell.shares else shares, frac, dtype)


def pow_scalar(x: SecretTensor, exponent: Number) -> SecretTensor:
    """x ** n for n = 0, 1, 2, ... by squaring."""
    if not float(exponent).is_integer() or exponent < 0:
        raise refuse(f"cannot raise a secret to the power {exponent}", "whole exponents from 0 up are possible")
    if exponent == 0:
        return add(mul(whole(x), 0), 1)
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
    context = context_of(x, y)
    dtype = torch.result_type(x, y)
    xc, yc = cell_of(x), cell_of(y)
    if xc is not None and yc is not None:
        return _product(context, kernels.matmul, xc.shares, yc.shares, (xc.frac_bits, yc.frac_bits), dtype)
    if xc is not None:
        return times_public(context, xc, y, dtype, kernels.matmul)
    assert yc is not None
    return times_public(context, yc, x, dtype, lambda shares, words: kernels.matmul(words, shares))


def mv(x: Tensor, y: Tensor) -> SecretTensor:
    """Matrix times vector."""
    return _reshaped(mm(x, y.unsqueeze(1)), (x.shape[0],))


def dot(x: Tensor, y: Tensor) -> SecretTensor:
    """Inner product of two vectors."""
    return _reshaped(mm(x.unsqueeze(0), y.unsqueeze(1)), ())


def plus_product(product: Callable[[Any, Any], SecretTensor]) -> Callable[..., SecretTensor]:
    """`addmm`, `addmv`, `baddbmm`: a sum with a product that the row `product` computes."""

    def run(bias: Operand, x: Tensor, y: Tensor, *, beta: Number = 1, alpha: Number = 1) -> SecretTensor:
        """beta * bias + alpha * (x @ y)."""
        secret = cell_of(x) is not None or cell_of(y) is not None
        term: Any = product(x, y) if secret else torch.matmul(x, y)
        if beta == 0:
            # torch does not look at the bias then; a secret one still decides that the result is secret.
            return mul(term, alpha) if secret else add(mul(bias, 0), term, alpha=alpha)
        if beta != 1:
            bias = mul(bias, beta) if isinstance(bias, SecretTensor) else bias * beta
        return add(bias, term, alpha=alpha)

    run.__name__ = f"plus_{product.__name__}"
    return run


def addcmul(x: Operand, y: Operand, z: Operand, *, value: Number = 1) -> SecretTensor:
    """x + value * y * z."""
    return add(x, mul(y, z) if cell_of(y) is not None or cell_of(z) is not None else y * z, alpha=value)


def lerp(x: Operand, end: Operand, weight: Number) -> SecretTensor:
    """x + weight * (end - x). Guard bits stay: a running mean of gradients is as small as they are."""
    x, end = (_guarded(value, context_of(x, end)) for value in (x, end))
    return add(x, sub(end, x), alpha=weight)


def sum_dims(
    x: SecretTensor, dim: Sequence[int] | None = None, keepdim: bool = False, *, dtype: torch.dtype | None = None
) -> SecretTensor:
    """Sum over dimensions (all, if none are given); local."""
    cell = x._cell
    dims = [axis(d, x.dim()) + 1 for d in dim or range(x.dim())] if x.dim() else []
    total = cell.shares.sum(dims, keepdim=keepdim) if dims else cell.shares.clone()
    return made(cell.context, total, cell.frac_bits, _sum_label(x, dtype))


def sum_all(x: SecretTensor, *, dtype: torch.dtype | None = None) -> SecretTensor:
    """Sum of all entries; local."""
    return sum_dims(x, None, False, dtype=dtype)


def cumsum(x: SecretTensor, dim: int, *, dtype: torch.dtype | None = None) -> SecretTensor:
    """Running sums along a dimension; local."""
    cell = x._cell
    sums = cell.shares.cumsum(axis(dim, x.dim()) + 1) if x.dim() else cell.shares.clone()
    return made(cell.context, sums, cell.frac_bits, _sum_label(x, dtype))


def mean_dims(
    x: SecretTensor, dim: Sequence[int] | None = None, keepdim: bool = False, *, dtype: torch.dtype | None = None
) -> SecretTensor:
    """Mean over dimensions; local where their size is a power of two."""
    total = sum_dims(x, dim, keepdim, dtype=dtype)
    count = x.numel() // total.numel() if x.numel() else 0
    if count == 0 and total.numel():
        raise refuse("cannot take the mean of no entries", "the result would be NaN, which no secret tensor can hold")
    return div(total, max(count, 1))


def mean_all(x: SecretTensor, *, dtype: torch.dtype | None = None) -> SecretTensor:
    """Mean of all entries."""
    return mean_dims(x, None, False, dtype=dtype)


def variance(
    x: SecretTensor, dim: Sequence[int] | None = None, *, correction: Number | None = None, keepdim: bool = False
) -> SecretTensor:
    """Mean squared distance from the mean, over the number of entries less `correction` (1 if not given)."""
    centred = sub(x, mean_dims(x, dim, True))
    total = sum_dims(mul(centred, centred), dim, keepdim)
    freedom = x.numel() // max(total.numel(), 1) - (1 if correction is None else correction)
    if freedom <= 0:
        raise refuse("cannot take the variance of so few entries", "the result would be NaN or infinite")
    return div(total, freedom)


def in_place(row: Callable[..., SecretTensor]) -> Callable[..., SecretTensor]:
    """The in-place twin of a row: the result is written into the first argument's memory."""

    @wraps(row)
    def run(target: SecretTensor, *args: Any, **kwargs: Any) -> SecretTensor:
        result = row(target, *args, **kwargs)
        if not torch.can_cast(result.dtype, target.dtype):
            raise refuse(f"cannot write {result.dtype} into a {target.dtype} tensor", "make the target a float tensor")
        if result._cell.promised:
            target._cell.store_later(result._cell)
        else:
            target._cell.store(result._cell.shares, result._cell.frac_bits)
        return target

    run.__name__ = f"{row.__name__}_"
    return run


def _guarded(x: Operand, context: Context) -> Operand:
    """x with the most fraction bits that a value may be left with; a plain x as it is."""
    if not isinstance(x, SecretTensor) or not x.is_floating_point():
        return x
    return made(context, x._cell.at(context.guarded_bits), context.guarded_bits, x.dtype)


def _cell(x: Any) -> Cell:
    cell = cell_of(x)
    assert cell is not None
    return cell


def _either(x: Operand, y: Operand) -> SecretTensor:
    """x or y, for bools: x + y - x y."""
    both = mul(x, y)
    either = add(add(whole(x), whole(y)), whole(both), alpha=-1)
    return made(either._cell.context, either._cell.shares, 0, torch.bool)


def _sum_label(x: SecretTensor, dtype: torch.dtype | None) -> torch.dtype:
    label = dtype or (x.dtype if x.is_floating_point() else torch.int64)
    if x.is_floating_point() and not label.is_floating_point:
        raise refuse(f"cannot sum a secret float tensor as {label}", "leave dtype= out")
    return label


def _add_public(x: SecretTensor, y: Operand, dtype: torch.dtype) -> SecretTensor:
    cell, context = x._cell, x._cell.context
    frac = max(cell.frac_bits, addend_bits(context, y) if dtype.is_floating_point else 0)
    words = addend_of(context, y, frac, "added constant")
    return made(context, context.protocol.add_public(cell.at(frac), words), frac, dtype)


def _product(
    context: Context, kernel: kernels.Bilinear, x: Shares, y: Shares, bits: tuple[int, int], dtype: torch.dtype
) -> SecretTensor:
    (name, *arguments), frac = product_gate(context, kernel, x, y, bits)
    return made(context, getattr(context.protocol, name)(*arguments), frac, dtype)


def product_gate(
    context: Context, kernel: kernels.Bilinear, x: Shares, y: Shares, bits: tuple[int, int]
) -> tuple[tuple[Any, ...], int]:
    """The gate (as `Protocol.together` takes it) for a product of two secrets with so many fraction bits each, and how
    many the result has: it is truncated where those would be too many to carry on.

    A factor with guard bits (a gradient that was divided by the batch size) passes them on: they are what keeps small
    gradients exact on their way through the layers. Two such factors would leave the ring too little room above the
    point: then the second gives its guard bits up first.
    """
    if min(bits) > context.frac_bits:
        y = rescaled(context.protocol, y, bits[1], context.frac_bits)
        bits = bits[0], context.frac_bits
    frac = sum(bits)
    if frac <= context.guarded_bits:
        return ("product", kernel, x, y), frac
    target = max(context.frac_bits, *bits)
    hopes = context.protocol.session.truncation == PROBABILISTIC
    gate = "product_truncated_mostly" if hopes else "product_truncated"
    return (gate, kernel, x, y, frac - target), target


def times_public(
    context: Context, cell: Cell, y: Operand, dtype: torch.dtype, kernel: Callable[[Shares, Tensor], Shares]
) -> SecretTensor:
    """kernel(shares, words) for public numbers y: local, then truncated if they had fraction bits."""
    frac = factor_bits(context, torch.as_tensor(y))
    words = torch.as_tensor(words_of(context, y, frac, "public factor"))
    shares, total = kernel(cell.shares, words), cell.frac_bits + frac
    # What factors below 1 take from the top, the result keeps below the point; see `shrunk`.
    spare = max(frac - context.frac_bits, 0)
    target = max(cell.frac_bits, min(max(context.frac_bits, cell.frac_bits) + spare, context.guarded_bits))
    if frac and total > target:
        shares, total = rescaled(context.protocol, shares, total, target), target
    return made(context, shares, total, dtype)


def _times_exactly(context: Context, cell: Cell, factors: Tensor, dtype: torch.dtype) -> SecretTensor:
    """An elementwise product with public numbers of different sizes, each with as many significant bits as the largest.

    The numbers are cut in two words. What the low one contributes is truncated by the bits between the two and added
    to the high one's share before the last truncation; each product stays as far inside the ring as one alone.
    """
    shape = joint_shape(cell.shape, factors.shape)
    frac = factor_bits(context, factors)
    high = torch.as_tensor(words_of(context, factors, frac, "public factor"))
    low = torch.round((factors * 2.0**frac - high) * 2.0**_LOW_BITS).to(torch.int64)
    if not low.any() or bool((high.abs() >= 1 << (_LOW_BITS - 1)).all()):
        return times_public(context, cell, factors, dtype, lambda shares, words: expanded(shares, shape) * words)
    shares = expanded(cell.shares, shape)
    context.note_public(low.numpy())
    rest = context.protocol.truncate(shares * low, _LOW_BITS)
    target = max(context.frac_bits, cell.frac_bits)
    total = rescaled(context.protocol, shares * high + rest, cell.frac_bits + frac, target)
    return made(context, total, target, dtype)


def _reshaped(x: SecretTensor, shape: tuple[int, ...]) -> SecretTensor:
    cell = x._cell
    return made(cell.context, cell.shares.reshape(cell.shares.shape[0], *shape), cell.frac_bits, x.dtype)


#: Bits of the low word of a public factor that is cut in two.
_LOW_BITS = 16
