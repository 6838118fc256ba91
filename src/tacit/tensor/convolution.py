"""Rows for convolution, plain and transposed, in any number of dimensions.

A transposed convolution is the gradient of a plain one, so both are the same three products (`ring.convolution`) in
other roles.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tacit.protocols import Shares
from tacit.ring.convolution import Convolution, Sizes
from tacit.ring.kernels import Bilinear
from tacit.tensor import linear
from tacit.tensor.cell import Context, known, laid_out
from tacit.tensor.operands import Operand, cell_of, context_of, is_bool, made, refuse
from tacit.tensor.secret import SecretTensor

_CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


def convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> SecretTensor:
    """Convolution in any number of dimensions, also transposed, with stride, padding, dilation and groups."""
    context = context_of(x, weight, bias)
    if is_bool(x) or is_bool(weight):
        raise refuse("cannot convolve bools, as torch cannot", "cast them with x.to(torch.int64)")
    moves = _Moves.of(x, weight, stride, padding, dilation, transposed, output_padding, groups)
    dtype = torch.result_type(x, weight)
    out: Tensor
    if cell_of(x) is None and cell_of(weight) is None:
        out = torch.ops.aten.convolution(
            x, weight, None, stride, padding, dilation, transposed, output_padding, groups
        )
    else:
        (out,) = _bilinear(context, [(moves.forward, x, weight)], dtype)
    if bias is not None:
        out = linear.add(out, _along_channels(bias, x.dim()))
    assert isinstance(out, SecretTensor)
    return laid_as(out, x, weight)


def convolution_backward(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    bias_sizes: Sequence[int] | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
    output_mask: Sequence[bool],
) -> tuple[SecretTensor | None, ...]:
    """The gradients of input, weight and bias, as far as they are asked for; the products travel together."""
    del bias_sizes
    context, dtype = context_of(grad, x, weight), grad.dtype
    moves = _Moves.of(x, weight, stride, padding, dilation, transposed, output_padding, groups)
    terms: dict[int, tuple[Bilinear, Tensor, Tensor]] = {}
    found: dict[int, SecretTensor] = {}
    for place, (kernel, factor) in enumerate([(moves.input_gradient, weight), (moves.weight_gradient, x)]):
        if not output_mask[place]:
            continue
        if cell_of(grad) is None and cell_of(factor) is None:
            # Every party knows both: torch's own gradient, of operands whose values it does not read.
            wanted = [place == 0, place == 1, False]
            plain = torch.ops.aten.convolution_backward(
                grad, _plain(x), _plain(weight), None, stride, padding, dilation, transposed, output_padding, groups,
                wanted,
            )[place]
            found[place] = SecretTensor(known(context, plain), dtype)
        else:
            terms[place] = kernel, grad, factor
    for place, product in zip(terms, _bilinear(context, list(terms.values()), dtype), strict=True):
        found[place] = laid_as(product, x, weight)
    if output_mask[2]:
        dims = [0, *range(2, grad.dim())]
        if isinstance(grad, SecretTensor):
            found[2] = linear.sum_dims(grad, dims)
        else:
            found[2] = SecretTensor(known(context, grad.sum(dims)), dtype)
    return tuple(found.get(place) for place in range(3))


@dataclass(frozen=True)
class _Moves:
    """The three products of a convolution; a transposed one is made of those of the convolution that it transposes."""

    conv: Convolution
    transposed: bool

    @classmethod
    def of(
        cls, x: Tensor, weight: Tensor, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int],
        transposed: bool, output_padding: Sequence[int], groups: int,
    ) -> _Moves:
        dims = x.dim() - 2
        _check(x, weight, transposed, groups)
        window = tuple(weight.shape[2:])
        step, pad, spread, more = (each(sizes, dims) for sizes in (stride, padding, dilation, output_padding))
        inputs = tuple(x.shape[2:])
        if transposed:
            inputs = tuple(
                (size - 1) * s - 2 * p + d * (w - 1) + extra + 1
                for size, s, p, d, w, extra in zip(inputs, step, pad, spread, window, more, strict=True)
            )
        conv = Convolution(inputs, window, step, pad, spread, groups)
        if min((*conv.outputs, *inputs), default=1) < 1:
            raise refuse(
                f"cannot move a window of {list(window)} over an input of {list(x.shape[2:])}", "pad the input"
            )
        return cls(conv, transposed)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        return self.conv.input_gradient(x, w) if self.transposed else self.conv.forward(x, w)

    def input_gradient(self, grad: Tensor, w: Tensor) -> Tensor:
        return self.conv.forward(grad, w) if self.transposed else self.conv.input_gradient(grad, w)

    def weight_gradient(self, grad: Tensor, x: Tensor) -> Tensor:
        return self.conv.weight_gradient(x, grad) if self.transposed else self.conv.weight_gradient(grad, x)


def _check(x: Tensor, weight: Tensor, transposed: bool, groups: int) -> None:
    channels = weight.shape[0] if transposed else weight.shape[1] * groups
    if x.dim() != weight.dim() or x.dim() < 3 or x.shape[1] != channels or weight.shape[0] % groups:
        raise refuse(
            f"cannot convolve an input of shape {list(x.shape)} with weights of shape {list(weight.shape)} in "
            f"{groups} groups",
            f"the input needs {channels} channels, and as many dimensions as the weights",
        )


def each(sizes: Sequence[int], dims: int) -> Sizes:
    """One size for all dimensions may stand for itself."""
    return tuple(sizes) * dims if len(sizes) == 1 else tuple(sizes)


def _plain(x: Tensor) -> Tensor:
    return torch.zeros(x.shape, dtype=x.dtype) if isinstance(x, SecretTensor) else x


def _bilinear(
    context: Context, terms: list[tuple[Bilinear, Tensor, Tensor]], dtype: torch.dtype
) -> list[SecretTensor]:
    """Independent products of which at least one factor is secret."""
    gates: dict[int, tuple[tuple[Any, ...], int]] = {}
    results: dict[int, SecretTensor] = {}
    for place, (kernel, x, y) in enumerate(terms):
        xc, yc = cell_of(x), cell_of(y)
        if xc is not None and yc is not None:
            gates[place] = linear.product_gate(context, kernel, xc.shares, yc.shares, (xc.frac_bits, yc.frac_bits))
        elif xc is not None:
            results[place] = linear.times_public(context, xc, y, dtype, _by_component(kernel))
        else:
            assert yc is not None
            results[place] = linear.times_public(context, yc, x, dtype, _by_component(_swapped(kernel)))
    opened = context.protocol.together([gate for gate, _ in gates.values()]) if gates else []
    for (place, (_, frac)), shares in zip(gates.items(), opened, strict=True):
        results[place] = made(context, shares, frac, dtype)
    return [results[place] for place in range(len(terms))]


def _by_component(kernel: Bilinear) -> Callable[[Shares, Tensor], Shares]:
    return lambda shares, words: torch.stack([kernel(part, words) for part in shares])


def _swapped(kernel: Bilinear) -> Bilinear:
    return lambda x, y: kernel(y, x)


def _along_channels(bias: Tensor, dims: int) -> Operand:
    shape = (bias.shape[0], *(1,) * (dims - 2))
    cell = cell_of(bias)
    if cell is None:
        return bias.reshape(shape)
    return made(cell.context, cell.shares.reshape(cell.shares.shape[0], *shape), cell.frac_bits, bias.dtype)


def laid_as(result: SecretTensor, *operands: Tensor) -> SecretTensor:
    """The result with its channels last, if they are so in any operand, as torch has it; else in order."""
    last = _CHANNELS_LAST.get(result.dim())
    chosen = any(last is not None and x.is_contiguous(memory_format=last) and not x.is_contiguous() for x in operands)
    form = last if chosen and last is not None else torch.contiguous_format
    cell = result._cell
    shares = laid_out(cell.shares, torch.empty(result.shape, device="meta").contiguous(memory_format=form))
    return result if shares is cell.shares else made(cell.context, shares, cell.frac_bits, result.dtype)
