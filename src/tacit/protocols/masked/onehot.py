"""Public tables read at a place that nobody knows: one-hot vectors dealt in two halves. Local work.

The helper knows a number R, the evaluators C; the table is to be read at C - R modulo its entries. The helper deals the
vector that is 1 at place R and 0 elsewhere as an exclusive or of two halves. Where the halves agree, the evaluators'
sums of table entries cancel: what is left of "own half times table, read from place C down", one sum taken negatively,
is sigma * T[C - R], sigma = 1 or -1 as the 1 lies in the first half or in the second. Only the helper knows sigma.

Layout. Halves are [lanes, elements] of the narrowest unsigned words that hold one bit for each entry; tables of fewer
than eight entries are repeated. Sums are [elements, columns], a column for each table.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tacit.protocols.interface import Values
from tacit.ring.words import carrier

Halves = NDArray[np.signedinteger]
Unsigned = NDArray[np.unsignedinteger]
#: Bits of a half that one load reads: a table of 2^11 sums lies in the nearest cache, and 64 bits take six loads.
_READ_BITS = 11
#: Up to so many elements all loads are one call of numpy, which costs more than such a load; above, memory does.
_TOGETHER_MAX = 1 << 12
#: Columns that are fetched with one load each; others are filled up with zeros.
_COLUMNS = (1, 2, 4)


def bits_of(entries: int) -> int:
    """Bits in one half, for one element."""
    return max(entries, 8)


def shape_of(entries: int, count: int) -> tuple[tuple[int, int], np.dtype[np.signedinteger]]:
    """Shape and type of the halves for `count` elements."""
    width = min(bits_of(entries), 64)
    return (bits_of(entries) // width, count), carrier(width)


def split(half: Halves, entries: int, place: Values) -> tuple[Halves, Values]:
    """Helper: the other half, and sigma, for vectors that are 1 at `place` (taken modulo the entries)."""
    width = 8 * half.itemsize
    at = place & (entries - 1)
    whole = half.dtype.type(1) << (at & (width - 1)).astype(half.dtype)
    ones = np.empty_like(half)
    if half.shape[0] == 1:
        ones[0] = whole
        chosen = half[0] & whole
    else:
        np.bitwise_and(whole, -(at >> 6), out=ones[1])
        np.bitwise_xor(whole, ones[1], out=ones[0])
        both = half & ones
        chosen = both[0] | both[1]
    sigma = (chosen != 0).astype(np.int64)
    sigma <<= 1
    sigma -= 1
    return half ^ ones, sigma


def sums(half: Halves, start: Values, rows: Values) -> Values:
    """Evaluators: own half times each of the public `rows` [columns, entries], read from place `start` down."""
    columns, entries = rows.shape
    reads, parts = _partial_sums(np.ascontiguousarray(rows, dtype=np.int64).tobytes(), columns, entries)
    turned = _rotated(half.view(f"<u{half.itemsize}"), start & (bits_of(entries) - 1))
    lanes = turned.view(np.int64) if half.itemsize == 8 else turned.astype(np.int64)
    count = half.shape[1]
    out = np.zeros((count, parts.shape[2]), dtype=np.int64)
    together = len(reads) if count <= _TOGETHER_MAX else 1
    found = np.empty((together, *out.shape), dtype=np.int64)
    at = np.empty((together, count), dtype=np.int64)
    for first in range(0, len(reads), together):
        for place, (lane, shift) in enumerate(reads[first : first + together]):
            np.right_shift(lanes[lane], shift, out=at[place])
        at &= parts.shape[1] - 1
        if together > 1:
            at += np.arange(0, len(reads) * parts.shape[1], parts.shape[1])[:, None]
            np.take(parts.reshape(-1, parts.shape[2]), at, axis=0, out=found, mode="clip")
        else:
            np.take(parts[first], at, axis=0, out=found, mode="clip")
        for row in found:
            out += row
    return out[:, :columns]


def _rotated(half: Unsigned, start: Values) -> Unsigned:
    """Bit j of the result is bit j + start of the half, modulo all bits."""
    width = 8 * half.itemsize
    down = (start & (width - 1)).astype(half.dtype)
    if half.shape[0] == 1:
        up = (-start & (width - 1)).astype(half.dtype)
        return (half >> down) | (half << up)
    swapped = half[0] ^ half[1]
    swapped &= -(start >> 6).view(np.uint64)
    lanes = half ^ swapped
    turned: Unsigned = lanes >> down
    # A shift by the whole width is undefined, so the upward one is made in two steps.
    lanes <<= np.uint64(63) - down
    lanes <<= np.uint64(1)
    turned |= lanes[::-1]
    return turned


@lru_cache(maxsize=32)
def _partial_sums(packed: bytes, columns: int, entries: int) -> tuple[tuple[tuple[int, int], ...], Values]:
    """The loads that cover a half as (lane, shift), and for each of them what every value of its bits adds up to:
    [loads, values, columns and some zeros]."""
    rows = np.frombuffer(packed, dtype=np.int64).reshape(columns, entries)
    wide = bits_of(entries)
    lane_bits = min(wide, 64)
    step = min(_READ_BITS, wide) if wide > 16 else 8
    reads = tuple((lane, shift) for lane in range(wide // lane_bits) for shift in range(0, lane_bits, step))
    space = next((size for size in _COLUMNS if size >= columns), -(-columns // _COLUMNS[-1]) * _COLUMNS[-1])
    parts = np.zeros((len(reads), 1 << step, space), dtype=np.int64)
    for part, (lane, shift) in zip(parts, reads, strict=True):
        for bit in range(step):
            part[1 << bit : 2 << bit] = part[: 1 << bit]
            if shift + bit < lane_bits:  # beyond, a load sees copies of the highest bit
                # Bit j of a half turned down by C stands for T[C - (C + j)].
                part[1 << bit : 2 << bit, :columns] += rows[:, -(64 * lane + shift + bit) % entries]
    return reads, parts
