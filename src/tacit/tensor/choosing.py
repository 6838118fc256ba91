"""Rows that look for the largest or smallest: along a dimension, over all entries, in pooling windows.

Who won the matches of the tournament stays with the indices, which are a promise themselves: the backward pass sends
the gradient the way the winner came, and a secret index is computed only if somebody uses it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from tacit.functions import order
from tacit.protocols import Shares
from tacit.tensor import linear
from tacit.tensor.cell import CHOICES, KNOWN, OUTLINE, Cell, Context, known, laid_out
from tacit.tensor.operands import axis, comparison_bits, made, refuse, whole
from tacit.tensor.secret import SecretTensor


class Won(NamedTuple):
    """Who won along an axis, the shape of the maximum (which keeps the axis), and the axis counted from its end."""

    choices: order.Choices
    shape: tuple[int, ...]
    axis: int


def max_dim(x: SecretTensor, dim: int, keepdim: bool = False) -> tuple[SecretTensor, SecretTensor]:
    """The largest along a dimension, and its index as a secret; of several, the first."""
    values, won = _largest(x, dim)
    return _kept(values, dim, keepdim), _indices(x._cell.context, won, keepdim)


def min_dim(x: SecretTensor, dim: int, keepdim: bool = False) -> tuple[SecretTensor, SecretTensor]:
    """The smallest along a dimension, and its index as a secret; of several, the first."""
    values, indices = max_dim(_negative(x), dim, keepdim)
    return _labelled(_negative(values), x.dtype), indices


def max_all(x: SecretTensor) -> SecretTensor:
    """The largest of all entries."""
    return max_dim(_flat(x), 0)[0]


def min_all(x: SecretTensor) -> SecretTensor:
    """The smallest of all entries."""
    return min_dim(_flat(x), 0)[0]


def amax(x: SecretTensor, dim: Sequence[int] = (), keepdim: bool = False) -> SecretTensor:
    """The largest over some dimensions."""
    return _over(x, dim, keepdim, max_dim)


def amin(x: SecretTensor, dim: Sequence[int] = (), keepdim: bool = False) -> SecretTensor:
    """The smallest over some dimensions."""
    return _over(x, dim, keepdim, min_dim)


def argmax(x: SecretTensor, dim: int | None = None, keepdim: bool = False) -> SecretTensor:
    """The index of the largest as a secret integer; of several, the first."""
    if dim is None:
        found = max_dim(_flat(x), 0)[1]
        return _reshaped(found, (1,) * x.dim()) if keepdim else found
    return max_dim(x, dim, keepdim)[1]


def argmin(x: SecretTensor, dim: int | None = None, keepdim: bool = False) -> SecretTensor:
    """The index of the smallest as a secret integer; of several, the first."""
    return argmax(_negative(x), dim, keepdim)


def scatter(x: Tensor, dim: int, index: Tensor, source: Tensor) -> SecretTensor:
    """x with the source at the places of a maximum's indices: the backward row of a maximum along a dimension."""
    if not isinstance(index, SecretTensor):
        raise refuse("scatter has a row for the gradient of max only", "use index_put: y[indices] = values")
    won: Won | None = index._cell.recall(CHOICES)
    if not x.dim() and won is not None:
        return _reshaped(_routed(index._cell.context, won, source.reshape(1)), ())
    plain = x._cell.recall(KNOWN) if isinstance(x, SecretTensor) else x
    if won is None or plain is None or plain.any() or axis(dim, x.dim()) - x.dim() != won.axis:
        raise refuse("cannot write at secret places: where would show", "multiply by a one-hot or 0/1 mask")
    return _routed(index._cell.context, won, source)


def max_pool2d(
    x: SecretTensor,
    kernel_size: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0, 0),
    dilation: Sequence[int] = (1, 1),
    ceil_mode: bool = False,
) -> tuple[SecretTensor, SecretTensor]:
    """The largest of each window, and its place in the plane as a secret."""
    cell, context = x._cell, x._cell.context
    places, inside = _windows(x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    flat = cell.shares.flatten(-2)
    if places.max() == flat.shape[-1]:
        # One more entry, smaller than any value: what padding looks like to a maximum.
        least = -(1 << (context.fixed.value_bits + max(cell.frac_bits - context.frac_bits, 0)))
        pad = context.protocol.public(np.full((*flat.shape[1:-1], 1), least))
        flat = torch.cat([flat, pad], -1)
    windows = flat[..., places]  # [components, *batch, rows, columns, window]
    width = comparison_bits(cell, x.dtype)
    best, choices = order.maximum_with_choices(context.protocol, windows, -1, width)
    won = Won(choices, tuple(best.shape[1:]), -1)

    # Values and indices lie in memory as torch lays them out: channels last, if x does.
    outline = torch.empty_strided(x.shape, x.stride(), device="meta")
    how = (list(kernel_size), list(stride), list(padding), list(dilation), ceil_mode)
    like = torch.ops.aten.max_pool2d_with_indices(outline, *how)[0]

    def keep() -> tuple[Shares, int]:
        ones = context.protocol.public(np.ones(won.shape, dtype=np.int64))
        return laid_out((order.route(context.protocol, choices, ones) * inside).sum(-1), like), 0

    indices = Cell(context, None, promise=keep, shape=tuple(like.shape))
    indices.remember(CHOICES, won)
    indices.remember(OUTLINE, like)
    return made(context, laid_out(best[..., 0], like), cell.frac_bits, x.dtype), SecretTensor(indices, torch.int64)


def max_pool2d_backward(
    grad: Tensor,
    x: Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
    indices: SecretTensor,
) -> SecretTensor:
    """The gradient at the winner of each window, summed where windows overlap."""
    won: Won | None = indices._cell.recall(CHOICES)
    if won is None:
        raise refuse("these indices do not come from max_pool2d", "pass on what the forward pass returned")
    places, _ = _windows(x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    routed = _routed(indices._cell.context, won, grad, added=True)._cell
    entries = x.shape[-1] * x.shape[-2]
    room = torch.zeros((routed.shares.shape[0], *x.shape[:-2], entries + 1), dtype=torch.int64)
    room.index_add_(-1, places.reshape(-1), routed.shares.flatten(-3))
    plane = room[..., :entries].reshape(room.shape[0], *x.shape).contiguous()
    return made(routed.context, plane, routed.frac_bits, x.dtype)


# -- how ---------------------------------------------------------------------------------------------------------------


def _largest(x: SecretTensor, dim: int) -> tuple[SecretTensor, Won]:
    """The largest along a dimension that stays with one entry, and who won."""
    cell, context = x._cell, x._cell.context
    shares = cell.shares if x.dim() else cell.shares.unsqueeze(-1)
    along = axis(dim, x.dim()) - max(x.dim(), 1)
    if not shares.shape[along]:
        raise refuse("cannot take the largest of no entries", "torch cannot either")
    width = comparison_bits(cell, x.dtype)
    best, choices = order.maximum_with_choices(context.protocol, shares, along, width)
    # Of a single entry the maximum is the entry itself: without a copy, a write to the result would change x.
    best = best.clone() if shares.shape[along] == 1 else best
    return made(context, best, cell.frac_bits, x.dtype), Won(choices, tuple(best.shape[1:]), along)


def _kept(values: SecretTensor, dim: int, keepdim: bool) -> SecretTensor:
    return values if keepdim else _reshaped(values, _without(tuple(values.shape), axis(dim, values.dim())))


def _without(shape: tuple[int, ...], at: int) -> tuple[int, ...]:
    return shape[:at] + shape[at + 1 :]


def _indices(context: Context, won: Won, keepdim: bool) -> SecretTensor:
    shape = won.shape if keepdim else _without(won.shape, won.axis % len(won.shape))

    def keep() -> tuple[Shares, int]:
        found = order.winner(context.protocol, won.choices, won.shape)
        return found.reshape(found.shape[0], *shape), 0

    cell = Cell(context, None, promise=keep, shape=shape)
    cell.remember(CHOICES, won)
    return SecretTensor(cell, torch.int64)


def _routed(context: Context, won: Won, source: Tensor, added: bool = False) -> SecretTensor:
    """The source, which has one entry along the axis (or lacks it), at the winner's place."""
    cell = source._cell if isinstance(source, SecretTensor) else known(context, source)
    shares = cell.shares.unsqueeze(won.axis) if added else cell.shares
    routed = order.route(context.protocol, won.choices, shares).contiguous()
    return made(context, routed, cell.frac_bits, source.dtype)


def _over(
    x: SecretTensor,
    dim: Sequence[int],
    keepdim: bool,
    row: Callable[[SecretTensor, int], tuple[SecretTensor, SecretTensor]],
) -> SecretTensor:
    """A row of one dimension over several at once."""
    if not x.dim():
        return linear.clone_of(x)
    dims = sorted({axis(d, x.dim()) for d in dim} or range(x.dim()))
    rest = [d for d in range(x.dim()) if d not in dims]
    shares = x._cell.shares.permute(0, *(d + 1 for d in rest), *(d + 1 for d in dims)).flatten(len(rest) + 1)
    moved = made(x._cell.context, shares.contiguous(), x._cell.frac_bits, x.dtype)
    found = row(moved, -1)[0]
    shape = [1 if d in dims else size for d, size in enumerate(x.shape)]
    return _reshaped(found, tuple(shape)) if keepdim else found


def _flat(x: SecretTensor) -> SecretTensor:
    return _reshaped(x, (-1,))


def _reshaped(x: SecretTensor, shape: tuple[int, ...]) -> SecretTensor:
    cell = x._cell
    if cell.promised:
        source = cell

        def keep() -> tuple[Shares, int]:
            return source.shares.reshape(source.shares.shape[0], *shape), source.frac_bits

        return SecretTensor(Cell(cell.context, None, promise=keep, shape=shape), x.dtype)
    return made(cell.context, cell.shares.reshape(cell.shares.shape[0], *shape), cell.frac_bits, x.dtype)


def _negative(x: SecretTensor) -> SecretTensor:
    return linear.neg(whole(x))


def _labelled(x: SecretTensor, dtype: torch.dtype) -> SecretTensor:
    """The same cell under the label of the operand: bools went through integers."""
    return x if x.dtype == dtype else SecretTensor(x._cell, dtype)


def _pair(values: Sequence[int], otherwise: Sequence[int]) -> tuple[int, int]:
    given = list(values) or list(otherwise)
    return (given[0], given[-1])


def _windows(
    shape: Sequence[int], kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], ceil_mode: bool,
) -> tuple[Tensor, Tensor]:
    """For each window its places in the flattened plane [rows, columns, window], padding being one place beyond the
    plane; and the same with padding as place 0, which no index ever names."""
    size, steps = _pair(kernel, ()), _pair(stride, kernel)
    edge, spread = _pair(padding, (0,)), _pair(dilation, (1,))
    axes = []
    for d in (0, 1):
        length = shape[len(shape) - 2 + d]
        # torch's own count: with ceil_mode a window may hang over, but must start inside or in the left padding.
        room = length + 2 * edge[d] - spread[d] * (size[d] - 1) - 1
        count = (-(-room // steps[d]) if ceil_mode else room // steps[d]) + 1
        if ceil_mode and (count - 1) * steps[d] >= length + edge[d]:
            count -= 1
        starts = torch.arange(count) * steps[d] - edge[d]
        at = starts[:, None] + torch.arange(size[d]) * spread[d]
        axes.append(torch.where((at >= 0) & (at < length), at, -1))
    rows, columns = axes[0][:, None, :, None], axes[1][None, :, None, :]
    outside = (rows < 0) | (columns < 0)
    places = (rows * shape[-1] + columns).masked_fill(outside, shape[-1] * shape[-2]).flatten(2)
    return places, places.masked_fill(outside.flatten(2), 0)

