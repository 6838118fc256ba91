"""Sorting along an axis: a shuffle, then comparisons whose bits every party sees.

Leaks    nothing. Rows are numbered, then shuffled with their numbers, so no two keys (value, number) are equal, and the
         shuffled keys have some order of ranks. Every rank order is equally likely whatever the values are, since no
         party knows the order of the shuffle; and all that is opened follows from the rank order. Numbered after the
         shuffle, equal values would always show the same bits. Lanes are shuffled apart: two lanes in one order would
         show how their ranks go together. This needs values in range: differences that wrap are compared in
         circles, which are no order, and the bits then show that there are some.
Rounds   3 for the shuffle, then a comparison and an opening for each level of a quicksort: on average fewer than
         3 log2 n levels, and 1.4 n log2 n comparisons; both vary from run to run. All segments of all lanes are
         compared at once.
Exact    on the shared integers, and stable: equal values keep their order.
Not here the way back of gradients: `indices` are secret.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from tacit.errors import ShapeError
from tacit.functions import compare
from tacit.protocols import Protocol, Shares

Order = NDArray[np.int64]


def sort(
    protocol: Protocol, x: Shares, axis: int = -1, *, descending: bool = False, width: int | None = None
) -> tuple[Shares, Shares]:
    """Values along an axis of the public shape from the smallest, and where each was, as whole numbers.

    Any two values on the axis must be less than 2^(width - 1) apart. width is at most k - ceil(log2 entries), which is
    taken where none is given. Descending, equal values keep their order as well.
    """
    left = axis if axis < 0 else axis - x.dim() + 1
    moved = x.movedim(left, 1)
    entries, low = moved.shape[1], max(moved.shape[1] - 1, 0).bit_length()
    compared = protocol.ring.bits if width is None else width + low
    if compared > protocol.ring.bits or compared < low + 2:
        raise ShapeError(
            f"sort along an axis with {entries} entries takes {low} bits beside those of the values; "
            f"expected at most {protocol.ring.bits} bits together, got {max(compared, low + 2)}",
            hint="sort fewer entries at a time, or use fewer fraction bits",
        )
    lanes = torch.Size(moved.shape[2:]).numel()
    values = moved.reshape(moved.shape[0], entries, lanes)
    column = np.arange(entries, dtype=np.int64)[:, None]
    numbers = protocol.public(np.ascontiguousarray(np.broadcast_to(column, (entries, lanes))))
    if entries > 1 and lanes:
        rows = protocol.shuffle(torch.stack([values, numbers], dim=-1), apart=True)
        signed = protocol.scale(rows[..., 0], -(1 << low) if descending else 1 << low)
        keys = (signed + rows[..., 1]).movedim(2, 1).flatten(1)  # lane after lane
        order = _quicksort(protocol, keys, lanes, compared if compared < protocol.ring.bits else None)
        sorted_rows = rows.movedim(2, 1).flatten(1, 2)[:, torch.as_tensor(order)]
        values, numbers = sorted_rows.reshape(-1, lanes, entries, 2).movedim(1, 2).unbind(-1)
    return tuple(part.reshape(moved.shape).movedim(1, left).contiguous() for part in (values, numbers))  # type: ignore[return-value]


def _quicksort(protocol: Protocol, keys: Shares, lanes: int, width: int | None) -> Order:
    """Positions of the keys of each lane in ascending order. Keys must be distinct, and in an order nobody knows."""
    order: Order = np.arange(keys.shape[1], dtype=np.int64)
    segment: Order = order // (order.size // lanes)  # of each place; places of one segment lie side by side
    while True:
        starts = np.flatnonzero(np.r_[True, segment[1:] != segment[:-1]])
        sizes = np.diff(np.r_[starts, order.size])
        pivot_at = np.repeat(starts, sizes)  # in a random order the first is as good a pivot as any
        places = np.arange(order.size)
        asked = places[places != pivot_at]
        if not asked.size:
            return order
        left, right = (torch.as_tensor(order[at]) for at in (asked, pivot_at[asked]))
        side = np.ones(order.size, dtype=np.int64)
        side[asked] = 2 - 2 * _opened_less(protocol, keys[:, left] - keys[:, right], width)
        group = 3 * segment + side
        sequence = np.argsort(group, kind="stable")
        order = order[sequence]
        _, segment = np.unique(group[sequence], return_inverse=True)


def _opened_less(protocol: Protocol, difference: Shares, width: int | None) -> Order:
    """[difference < 0] for each element, at every party."""
    choice = compare.negative(protocol, difference, width)
    return np.concatenate([protocol.reveal_bits(kept.bit)[0] for kept in choice.parts])
