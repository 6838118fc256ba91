"""Rows for average pooling: a sum over windows, and a public divisor.

The sum is two products with public matrices of zeros and ones, one along rows and one along columns, on shares alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from tacit.tensor import linear
from tacit.tensor.cell import known
from tacit.tensor.convolution import each, laid_as
from tacit.tensor.operands import Operand, context_of, made
from tacit.tensor.secret import SecretTensor

#: For rows and columns: zeros and ones [outputs, inputs], 1 where the window of an output covers an input. And what the
#: sum over each window is divided by: [outputs, outputs].
Windows = tuple[Tensor, Tensor, Tensor]
#: Twelve bits are what a gradient can be lifted by without coming near the end of the ring: see cell.GUARD_BITS.
_COMMON_MAX = 1 << 12


def avg_pool2d(
    x: SecretTensor,
    kernel_size: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0, 0),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> SecretTensor:
    """Mean over windows; local where they have a power of two of entries."""
    windows = _windows(x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
    return _averaged(x, *windows)


def avg_pool2d_backward(
    grad: Tensor,
    x: Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> SecretTensor:
    """Each window hands its part of the gradient to its entries."""
    if not isinstance(grad, SecretTensor):
        rest = kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
        plain = torch.ops.aten.avg_pool2d_backward(grad, torch.zeros(x.shape, dtype=x.dtype), *rest)
        return SecretTensor(known(context_of(x), plain), grad.dtype)
    windows = _windows(x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
    return _spread(grad, *windows)


def adaptive_avg_pool2d(x: SecretTensor, output_size: Sequence[int]) -> SecretTensor:
    """Mean over as many windows as the output has entries."""
    return _averaged(x, *_adaptive_windows(x, output_size))


def adaptive_avg_pool2d_backward(grad: Tensor, x: Tensor) -> SecretTensor:
    """Each window hands its part of the gradient to its entries."""
    if not isinstance(grad, SecretTensor):
        plain = torch.ops.aten._adaptive_avg_pool2d_backward(grad, torch.zeros(x.shape, dtype=x.dtype))
        return SecretTensor(known(context_of(x), plain), grad.dtype)
    return _spread(grad, *_adaptive_windows(x, grad.shape[-2:]))


def _windows(
    x: Tensor, kernel_size: Sequence[int], stride: Sequence[int], padding: Sequence[int], ceil_mode: bool,
    count_include_pad: bool, divisor_override: int | None,
) -> Windows:
    covered, counts = [], []
    window = each(kernel_size, 2)
    step = each(stride, 2) if len(stride) else window
    pads = each(padding, 2)
    # torch's own rule says how many windows there are, also where the last one runs over the edge.
    shape = torch.ops.aten.avg_pool2d(torch.empty(x.shape, device="meta"), window, step, pads, ceil_mode).shape
    for size, outputs, w, s, p in zip(x.shape[-2:], shape[-2:], window, step, pads, strict=True):
        begin = torch.arange(outputs)[:, None] * s - p
        end = (begin + w).clamp(max=size + p)
        entry = torch.arange(size)
        covered.append(((entry >= begin) & (entry < end)).to(torch.int64))
        counts.append(end - begin if count_include_pad else end.clamp(max=size) - begin.clamp(min=0))
    divisors = counts[0] * counts[1].t()
    return covered[0], covered[1], divisors if divisor_override is None else torch.full_like(divisors, divisor_override)


def _adaptive_windows(x: Tensor, output_size: Sequence[int]) -> Windows:
    covered = []
    for size, outputs in zip(x.shape[-2:], output_size, strict=True):
        place = torch.arange(outputs)[:, None]
        begin, end = place * size // outputs, -(-(place + 1) * size // outputs)
        entry = torch.arange(size)
        covered.append(((entry >= begin) & (entry < end)).to(torch.int64))
    return covered[0], covered[1], covered[0].sum(1, keepdim=True) * covered[1].sum(1)


def _averaged(x: SecretTensor, rows: Tensor, columns: Tensor, divisors: Tensor) -> SecretTensor:
    return laid_as(_divided(_placed(x, rows, columns), divisors), x)


def _spread(grad: SecretTensor, rows: Tensor, columns: Tensor, divisors: Tensor) -> SecretTensor:
    common = math.lcm(*set(divisors.flatten().tolist()))
    overlap = max(int(covered.sum(0).max()) for covered in (rows, columns)) > 1
    if not overlap or common > _COMMON_MAX:
        return _placed(_divided(grad, divisors), rows.t(), columns.t())
    # Entries under several windows would add up the roundings of each, so here the division comes last.
    cell = grad._cell
    lifted = made(cell.context, cell.shares * (common // divisors), cell.frac_bits, grad.dtype)
    return _divided(_placed(lifted, rows.t(), columns.t()), torch.tensor([common]))


def _placed(x: SecretTensor, rows: Tensor, columns: Tensor) -> SecretTensor:
    """rows @ x @ columns^T, on shares alone."""
    cell = x._cell
    return made(cell.context, rows @ (cell.shares @ columns.t()), cell.frac_bits, x.dtype)


def _divided(x: SecretTensor, divisors: Tensor) -> SecretTensor:
    # One number for all windows, where it is one: then a power of two costs nothing.
    single = divisors.numel() > 0 and bool((divisors == divisors.reshape(-1)[0]).all())
    divisor: Operand = int(divisors.reshape(-1)[0]) if single else divisors.to(torch.float64)
    out = linear.div(x, divisor)
    return out if out.dtype == x.dtype else made(out._cell.context, out._cell.shares, out._cell.frac_bits, x.dtype)
