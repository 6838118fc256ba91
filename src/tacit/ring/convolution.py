"""Convolution modulo 2^k and the two products of its backward pass, in any number of spatial dimensions.

Each is a matrix product with the columns of the input: all entries that a window covers, in one column. A 3 x 3 window
copies the input nine times, so the columns are made for a few images or rows at a time, as much as stays in cache.

Measured on int64, ms of one core at 2.6 GHz, the methods that there are (batch, channels, side; window of the output):

    32, 1, 28; 16 of 5 x 5        torch's own 0.9   columns  1.4   window by window  7.8   limbs in float64  25
    128, 20, 12; 50 of 5 x 5      torch's own  21   columns   20   window by window   28
    16, 64, 16; 64 of 3 x 3       torch's own  13   columns   12   window by window   15   limbs in float64 103
    8, 128, 8; 256 of 3 x 3 / 2   torch's own  11   columns  3.7   window by window  3.5   limbs in float64  36

torch has no backward pass on integers, and columns are as fast as anything else: one method, which runs on CUDA as it
is, since all of its arithmetic is `kernels.matmul`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product as positions
from math import prod

import torch
from torch import Tensor

from tacit.ring import kernels

#: Entries of the columns made at a time: 2 MiB on a processor, where they should stay in cache.
COLUMN_ENTRIES = {"cpu": 1 << 18, "cuda": 1 << 25}

Sizes = tuple[int, ...]
Index = tuple[slice | int, ...]


@dataclass(frozen=True)
class Convolution:
    """One convolution up to its operands: spatial sizes of input and window, and how the window moves.

    `forward`, `input_gradient` and `weight_gradient` are bilinear kernels on

        x [batch, channels, *inputs]    w [out, channels / groups, *window]    grad [batch, out, *outputs]
    """

    inputs: Sizes
    window: Sizes
    stride: Sizes
    padding: Sizes
    dilation: Sizes
    groups: int = 1

    @property
    def outputs(self) -> Sizes:
        """How often the window fits, along each dimension."""
        return tuple(
            (size + 2 * pad - dilation * (window - 1) - 1) // stride + 1
            for size, window, stride, pad, dilation in zip(
                self.inputs, self.window, self.stride, self.padding, self.dilation, strict=True
            )
        )

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """The convolution: [batch, out, *outputs]."""
        out = x.new_zeros(x.shape[0], self.groups, w.shape[0] // self.groups, *self.outputs)
        weights = w.reshape(self.groups, out.shape[2], -1)
        windows = self._windows(self._padded(x))
        for images, rows in self._pieces(windows):
            piece = out[images, :, :, rows]
            columns = self._columns(windows, images, rows)
            entries = kernels.matmul(weights, columns).view(*piece.shape[1:3], piece.shape[0], *piece.shape[3:])
            piece.copy_(entries.movedim(2, 0))
        return out.flatten(1, 2)

    def weight_gradient(self, grad: Tensor, x: Tensor) -> Tensor:
        """What the weights get of a gradient of the output: like w."""
        by_group = self._by_group(grad)
        windows = self._windows(self._padded(x))
        out = x.new_zeros(self.groups, by_group.shape[2], prod(windows.shape[1 : 2 + len(self.window)]))
        for images, rows in self._pieces(windows):
            columns = self._columns(windows, images, rows)
            out += kernels.matmul(self._entries(by_group, images, rows), columns.transpose(1, 2))
        return out.reshape(grad.shape[1], -1, *self.window)

    def input_gradient(self, grad: Tensor, w: Tensor) -> Tensor:
        """What the input gets of a gradient of the output: like x."""
        by_group = self._by_group(grad)
        weights = w.reshape(self.groups, by_group.shape[2], -1).transpose(1, 2)
        lengths = [size + 2 * pad for size, pad in zip(self.inputs, self.padding, strict=True)]
        room = grad.new_zeros(grad.shape[0], self.groups * w.shape[1], *lengths)
        windows = self._windows(room)
        for images, rows in self._pieces(windows):
            piece = self._piece(windows, images, rows)
            columns = kernels.matmul(weights, self._entries(by_group, images, rows)).view(piece.shape)
            # Windows overlap, but the entries at one position of all windows are different entries of the input.
            for position in positions(*map(range, self.window)):
                at: Index = (slice(None), slice(None), *position)
                piece[at] += columns[at]
        for dim, (size, pad) in enumerate(zip(self.inputs, self.padding, strict=True), start=2):
            room = room.narrow(dim, pad, size)
        return room.contiguous()

    # -- windows -------------------------------------------------------------------------------------------------

    def _padded(self, x: Tensor) -> Tensor:
        both = [pad for pad in reversed(self.padding) for _ in range(2)]
        return torch.nn.functional.pad(x, both) if any(both) else x

    def _windows(self, padded: Tensor) -> Tensor:
        """A view [groups, channels / groups, *window, batch, *outputs] of what each window covers."""
        batch, channels = padded.shape[:2]
        of_image, of_channel, *lengths = padded.stride()
        each = channels // self.groups
        within = [length * dilation for length, dilation in zip(lengths, self.dilation, strict=True)]
        between = [length * stride for length, stride in zip(lengths, self.stride, strict=True)]
        return padded.as_strided(
            (self.groups, each, *self.window, batch, *self.outputs),
            (each * of_channel, of_channel, *within, of_image, *between),
        )

    def _pieces(self, windows: Tensor) -> Iterator[tuple[slice, slice]]:
        """Images and rows of the output, so many at a time that their columns fit."""
        batch, rows = windows.shape[2 + len(self.window)], self.outputs[0]
        if not windows.numel():
            return
        budget = COLUMN_ENTRIES[windows.device.type]
        image_count = max(1, budget * batch // windows.numel())
        row_count = max(1, min(rows, budget * batch * rows // windows.numel())) if image_count == 1 else rows
        for image in range(0, batch, image_count):
            for row in range(0, rows, row_count):
                yield slice(image, image + image_count), slice(row, row + row_count)

    def _piece(self, windows: Tensor, images: slice, rows: slice) -> Tensor:
        at: Index = (*(slice(None),) * (2 + len(self.window)), images, rows)
        return windows[at]

    def _columns(self, windows: Tensor, images: slice, rows: slice) -> Tensor:
        """[groups, entries of a window, windows of the piece]."""
        return self._piece(windows, images, rows).flatten(1, 1 + len(self.window)).flatten(2)

    def _by_group(self, grad: Tensor) -> Tensor:
        """[batch, groups, out / groups, *outputs]."""
        return grad.reshape(grad.shape[0], self.groups, grad.shape[1] // self.groups, *grad.shape[2:])

    @staticmethod
    def _entries(by_group: Tensor, images: slice, rows: slice) -> Tensor:
        """What of a gradient by groups belongs to the windows of a piece: [groups, out / groups, windows]."""
        return by_group[images, :, :, rows].movedim(0, 2).flatten(2)
