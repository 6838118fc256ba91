"""The slow, obvious versions, in Python integers. They define what the fast ones must return."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def wrap(value: int, bits: int) -> int:
    """The representative of `value` modulo 2^bits in [-2^(bits-1), 2^(bits-1))."""
    half = 1 << (bits - 1)
    return (value + half) % (1 << bits) - half


def matmul(x: Sequence[Sequence[int]], y: Sequence[Sequence[int]], bits: int) -> list[list[int]]:
    """Matrix product modulo 2^bits."""
    columns = list(zip(*y, strict=True))
    return [[wrap(sum(a * b for a, b in zip(row, column, strict=True)), bits) for column in columns] for row in x]


def convolve(
    x: Sequence[Any], w: Sequence[Any], stride: int, padding: int, dilation: int, groups: int, bits: int
) -> list[Any]:
    """Convolution of [batch, channels, rows, columns] with [out, channels / groups, rows, columns] modulo 2^bits."""
    height, width = len(x[0][0]), len(x[0][0][0])
    tall, wide = (size + 2 * padding - dilation * (window - 1) for size, window in
                  ((height, len(w[0][0])), (width, len(w[0][0][0]))))

    def entry(image: Sequence[Any], out: int, row: int, column: int) -> int:
        total = 0
        first = out // (len(w) // groups) * len(w[out])  # the first channel of this output's group
        for channel, window in enumerate(w[out], start=first):
            for i, weights in enumerate(window):
                for j, weight in enumerate(weights):
                    a, b = row + i * dilation - padding, column + j * dilation - padding
                    if 0 <= a < height and 0 <= b < width:
                        total += weight * image[channel][a][b]
        return wrap(total, bits)

    return [[[[entry(image, out, row, column) for column in range(0, wide, stride)] for row in range(0, tall, stride)]
             for out in range(len(w))] for image in x]


def bit(value: int, position: int) -> int:
    """Bit `position` of the two's complement of `value`."""
    return (value >> position) & 1


def truncate(value: int, shift: int, dither: int) -> int:
    """floor((value + dither) / 2^shift) with 0 <= dither < 2^shift: what every truncation gate computes."""
    return (value + dither) >> shift


def truncations(value: int, shift: int) -> frozenset[int]:
    """All results that a dithered truncation may give: the floor, and the floor plus one unless it is exact."""
    floor = value >> shift
    return frozenset({floor} if value == floor << shift else {floor, floor + 1})
