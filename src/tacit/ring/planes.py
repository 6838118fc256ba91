"""Bit planes: the bits of many words, regrouped so that one machine instruction works on 64 of them.

Layout. n words are padded to 64 * W; element e = s * W + w is bit s of word w of a plane. Plane b holds bit b of every
element. The order inside a plane never matters to a gate, only that both operands use the same one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Planes = NDArray[np.int64]  # [planes, words]

_STAGES = (
    (32, 0x00000000FFFFFFFF),
    (16, 0x0000FFFF0000FFFF),
    (8, 0x00FF00FF00FF00FF),
    (4, 0x0F0F0F0F0F0F0F0F),
    (2, 0x3333333333333333),
    (1, 0x5555555555555555),
)
_SHIFTS = np.arange(64, dtype=np.int64)[:, None]


def words_per_plane(count: int) -> int:
    """Words in a plane that holds one bit of each of `count` elements."""
    return (count + 63) // 64


def to_planes(words: NDArray[np.int64], bits: int) -> Planes:
    """The lowest `bits` bits of each word, one plane per bit. `words` is flat; the result is [bits, W]."""
    width = words_per_plane(words.size)
    square = np.empty((64, width), dtype=np.int64)
    rows = square.reshape(-1)
    rows[: words.size] = words
    rows[words.size :] = 0
    # A 64 x 64 bit matrix is transposed by swapping ever smaller off-diagonal blocks (Hacker's Delight, 7-3).
    for step, mask in _STAGES:
        # Rows beyond the wanted planes are dropped as soon as a stage no longer mixes them with the others.
        square = square[: -(-bits // (2 * step)) * 2 * step]
        blocks = square.reshape(square.shape[0] // (2 * step), 2, step, width)
        low, high = blocks[:, 0], blocks[:, 1]
        # The arithmetic shift drags the sign along; the mask drops it again.
        swap = low >> step
        swap ^= high
        swap &= mask
        high ^= swap
        swap <<= step
        low ^= swap
    return square[:bits]


def pack(bits: NDArray[np.integer] | NDArray[np.bool_]) -> Planes:
    """A flat array of zeros and ones as one plane [1, W]."""
    width = words_per_plane(bits.size)
    rows = np.zeros(64 * width, dtype=np.int64)
    rows[: bits.size] = bits
    return np.bitwise_or.reduce(rows.reshape(64, width) << _SHIFTS, axis=0, keepdims=True)


def unpack(plane: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The first `count` bits of a plane [W] as zeros and ones, int64."""
    return ((plane[None, :] >> _SHIFTS) & 1).reshape(-1)[:count]


def unpack_signs(plane: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The first `count` bits of a plane [W] as 0 and -1: masks for whole words."""
    signs = plane[None, :] << (63 - _SHIFTS)
    signs >>= 63
    return signs.reshape(-1)[:count]


def unpack_narrow(rows: Planes, count: int) -> NDArray[np.uint8]:
    """The first `count` bits of each plane as zeros and ones, [planes, count] bytes: an eighth of the memory."""
    octets = np.ascontiguousarray(rows, dtype="<i8").view(np.uint8)
    bits = np.unpackbits(octets, axis=1, bitorder="little").reshape(*rows.shape, 64)
    return np.ascontiguousarray(bits.swapaxes(1, 2)).reshape(rows.shape[0], -1)[:, :count]
