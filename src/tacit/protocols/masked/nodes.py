"""Nodes: relations of neighbouring digits joined into the relation of the longer number. Local work.

    less  = l_3 + e_3 (l_2 + e_2 (l_1 + e_1 l_0))        equal = e_3 e_2 e_1 e_0        (over bits; 3 is the highest)

Every bit but l_3, which enters linearly, is opened under a mask: known is b + m. The evaluators hold shares of every
product of masks that occurs; from these and the opened bits the expressions are linear. A mask is the sum of two
halves, one from each pair key, which serve as its shares, so only products of two or more masks are dealt.

Layout. Products with masks of e_1 .. e_(n-1) are indexed like monomials: e_1 weighs 2^(n-2), the highest e weighs 1,
so that multiplying by e_1 first halves a contiguous block. Opened bits lie in the order l_0 .. l_(n-2), e_1 ..
e_(n-1), e_0; dealt products as those of e alone, then l_0, l_1, .. times all e above, then e_0 times all e.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tacit.protocols.masked.plan import Batch

Planes = NDArray[np.int64]


def inputs_to_open(batch: Batch, less: Planes, equal: Planes) -> Planes:
    """Shares of what a batch of nodes opens, [opened * nodes, words], from relations [inputs, words]."""
    n = batch.radix
    rows = []
    if batch.less:
        rows.append(_of_nodes(batch, less)[: n - 1])
    rows.append(_of_nodes(batch, equal)[1:])
    if batch.equal:
        rows.append(_of_nodes(batch, equal)[:1])
    return np.concatenate(rows).reshape(batch.opened * batch.count, less.shape[1])


def fill_products(batch: Batch, masks: Planes, out: Planes) -> None:
    """Helper: the products to deal, out [products, nodes, words], from masks [opened, nodes, words]."""
    n, half = batch.radix, 1 << (batch.radix - 1)
    lows, highs, lowest = _split(batch, masks)
    powers = np.empty((half, *masks.shape[1:]), dtype=np.int64)  # row S: the product of masks of e in S
    for step in range(n - 1):
        weight = 1 << step
        powers[weight] = highs[n - 2 - step]
        np.bitwise_and(powers[weight], powers[1:weight], out=powers[weight + 1 : 2 * weight])
    done = _composite(n).size
    out[:done] = powers[_composite(n)]
    for low in lows:
        np.bitwise_and(low, powers[1:half], out=out[done : done + half - 1])
        done += half - 1
        half //= 2
    if lowest is not None:
        np.bitwise_and(lowest, powers[1:], out=out[done:])


def join(
    batch: Batch, top: Planes | None, opened: Planes, halves: Planes, products: Planes, first: bool
) -> tuple[Planes | None, Planes | None]:
    """Evaluators: shares of the nodes' relations, each [nodes, words], or None where nobody wants it.

    `top` are shares of the highest `less`; `opened`, `halves` [opened, nodes, words]: bits under masks, and own shares
    of those masks; `products` as `fill_products` lays them out.
    """
    n, half = batch.radix, 1 << (batch.radix - 1)
    lows, highs, lowest = _split(batch, opened)
    low_halves, high_halves, lowest_half = _split(batch, halves)
    powers = np.empty((half, *opened.shape[1:]), dtype=np.int64)
    powers[0] = -1 if first else 0  # the empty product is 1, and public
    for at in range(n - 1):
        powers[1 << (n - 2 - at)] = high_halves[at]
    done = _composite(n).size
    powers[_composite(n)] = products[:done]
    less: Planes | None = None
    equal: Planes | None = None
    if batch.less:
        size = half
        for at in range(n - 1):
            # (l_at + what is below) times every product of the masks still to come.
            times = lows[at] & powers[:size]
            times[0] ^= low_halves[at]
            times[1:] ^= products[done : done + size - 1]
            less = times if less is None else less ^ times
            done += size - 1
            size //= 2
            less = (highs[at] & less[:size]) ^ less[size:]
        assert less is not None
        assert top is not None
        less = less[0] ^ top
    if batch.equal:
        assert lowest is not None
        assert lowest_half is not None
        equal = lowest & powers
        equal[0] ^= lowest_half
        equal[1:] ^= products[done:]
        size = half
        for at in range(n - 1):
            size //= 2
            equal = (highs[at] & equal[:size]) ^ equal[size:]
        equal = equal[0]
    return less, equal


def highest(batch: Batch, relations: Planes) -> Planes:
    """The relation of the highest input of each node, [nodes, words]."""
    rows: Planes = _of_nodes(batch, relations)[-1]
    return rows


def _of_nodes(batch: Batch, relations: Planes) -> Planes:
    """[inputs, words] as [radix, nodes, words]."""
    stop = batch.start + batch.radix * batch.count
    return relations[batch.start : stop].reshape(batch.count, batch.radix, relations.shape[1]).swapaxes(0, 1)


def _split(batch: Batch, rows: Planes) -> tuple[Planes, Planes, Planes | None]:
    """Rows in opening order as (those of l, those of e_1 and up, that of e_0)."""
    lows = (batch.radix - 1) * batch.less
    highs = lows + batch.radix - 1
    return rows[:lows], rows[lows:highs], rows[highs] if batch.equal else None


def _composite(radix: int) -> NDArray[np.intp]:
    """Indices of products of two or more masks."""
    return np.array([s for s in range(1, 1 << (radix - 1)) if s & (s - 1)], dtype=np.intp)
