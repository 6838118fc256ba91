"""How several thresholds on one number are cut up: they share its digits, and equal nodes of all lie side by side.

Pure counting, as in plan; no secrets. Each threshold has nodes of its own, over the digits from its shift up.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import groupby
from typing import NamedTuple

import numpy as np

from tacit.protocols.masked.plan import RADIX_MAX, WIDTH_MAX, Batch, Order, Plan, groupings, plan_of


class Cuts(NamedTuple):
    """Thresholds on a number: the bits that are compared, from the lowest of each set of digits up to `top`."""

    plan: Plan
    #: The lowest bit of each set of digits. Shifts that differ by whole digits share one.
    lowest: tuple[int, ...]
    top: int


def cuts_of(shifts: Sequence[int], width: int, ring_bits: int) -> Cuts:
    """How to ask of a number of `width` bits whether it reaches a bound, for each of these shifts.

    One bit more than `width` tells: a difference of two such numbers has it. The ring need not have it; then the
    difference must stay in the ring.
    """
    if not 0 <= min(shifts) <= max(shifts) <= ring_bits - 2:
        raise ValueError(f"a threshold cuts at bit 0 to {ring_bits - 2}, not {sorted(set(shifts))}")
    return _cuts(tuple(shifts), min(max(width, max(shifts) + 1), ring_bits - 1))


@cache
def _cuts(shifts: tuple[int, ...], top: int) -> Cuts:
    width = next(width for width in (3, WIDTH_MAX) if top - min(shifts) <= width * RADIX_MAX**2)
    lowest: dict[int, int] = {}
    for shift in sorted(shifts):
        lowest.setdefault(shift % width, shift)
    digits: list[tuple[int, int]] = []
    for start in lowest.values():
        full, rest = divmod(top - start, width)
        digits += [(width, full)] * (full > 0) + [(rest, 1)] * (rest > 0)
    starts = []
    for shift in shifts:
        rows = [_first_digits(shift, start, top, width, own=shift % width == rest) for rest, start in lowest.items()]
        starts.append(tuple(at for row in rows for at in row))
    counts = [-(-(top - shift) // width) for shift in shifts]
    levels, orders = _stacked([_grouping(count) for count in counts])
    return Cuts(Plan(tuple(digits), levels, tuple(starts), orders), tuple(lowest.values()), top)


def _first_digits(shift: int, start: int, top: int, width: int, *, own: bool) -> list[int]:
    """In each run of a set of digits, the first that a number from bit `shift` up uses."""
    full, rest = divmod(top - start, width)
    used = min((shift - start) // width, full) if own else full
    return [used] * (full > 0) + [0 if own else 1] * (rest > 0)


@cache
def _grouping(count: int) -> tuple[int, ...]:
    """Sizes of first-level nodes over so many digits, by which [C < R] takes the fewest bits."""
    if count <= RADIX_MAX:
        return (count,)
    return min(groupings(count), key=lambda sizes: (plan_of((1,) * count, sizes, less=True).total_bits, sizes))


def _stacked(groupings: Sequence[tuple[int, ...]]) -> tuple[tuple[tuple[Batch, ...], ...], tuple[Order, ...]]:
    """Levels for several numbers, each with its own first-level nodes, and the orders of their inputs."""
    levels: list[tuple[Batch, ...]] = []
    orders: list[Order] = []
    wanted = [groupings, [(len(sizes),) for sizes in groupings]]
    if all(len(sizes) == 1 for sizes in groupings):
        wanted.pop()
    if all(sizes == (1,) for sizes in groupings):
        wanted.pop()
    arranged = np.arange(sum(map(sum, groupings)), dtype=np.intp)  # where the inputs lie, number by number
    for level in wanted:
        nodes = []
        at = 0
        for sizes in level:
            for number, size in enumerate(sizes):
                kind = (size, size == 1 or number > 0)
                nodes.append((kind, arranged[at : at + size]))
                at += size
        # Sorting is stable, so equal nodes stay in order.
        ranks = sorted(range(len(nodes)), key=lambda node: nodes[node][0])
        orders.append(np.concatenate([nodes[node][1] for node in ranks]))
        batches: list[Batch] = []
        start = 0
        for (radix, equal), run in groupby(nodes[node][0] for node in ranks):
            count = len(list(run))
            batches.append(Batch(start, radix, count, less=True, equal=equal))
            start += radix * count
        levels.append(tuple(batches))
        arranged = np.argsort(np.array(ranks, dtype=np.intp), kind="stable")
    orders.append(arranged)
    orders[0] = np.argsort(orders[0])
    return tuple(levels), tuple(orders)


def threshold_rounds(shifts: Sequence[int], width: int, ring_bits: int) -> int:
    """Rounds of thresholds on one number."""
    return len(cuts_of(shifts, width, ring_bits).plan.levels) + 1


def threshold_bits(shifts: Sequence[int], width: int, ring_bits: int) -> int:
    """Bits of the same: digits once, nodes for each, one plane for the top, and each answer opened under its mask."""
    return cuts_of(shifts, width, ring_bits).plan.total_bits + 1 + 2 * len(shifts)
