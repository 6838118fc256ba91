"""Boolean circuits over any protocol's AND: carries by a prefix tree, zero tests by an AND tree.

A circuit sees planes (see ring.planes): one AND of 64 planes is one message. Depth is what costs rounds, so both
circuits are balanced trees; the number of ANDs is what costs bits, so a level handles only planes that still matter.
"""

from __future__ import annotations

import numpy as np

from tacit.protocols.interface import Bits, Protocol


def carry_out(protocol: Protocol, generate: Bits, propagate: Bits) -> Bits:
    """The carry out of the top position of a sum, from g = a & b and p = a ^ b of every position, lowest plane first.

    Neighbours merge as (G, P) = (g_high ^ p_high g_low, p_high p_low). Nothing comes in at the bottom, so the lowest
    group never needs its P, and one AND of the stacked operands serves a whole level.
    """
    g, p = generate.planes, propagate.planes
    count = generate.count
    while g.shape[1] > 1:
        pairs = g.shape[1] // 2
        low_g, high_g = g[:, 0 : 2 * pairs : 2], g[:, 1 : 2 * pairs : 2]
        low_p, high_p = p[:, 0 : 2 * pairs : 2], p[:, 1 : 2 * pairs : 2]
        left = np.concatenate([high_p, high_p[:, 1:]], axis=1)
        right = np.concatenate([low_g, low_p[:, 1:]], axis=1)
        both = protocol.and_(Bits(left, count), Bits(right, count)).planes
        merged_g = high_g ^ both[:, :pairs]
        # The P of the lowest group is never read; zeros keep the planes aligned.
        merged_p = np.concatenate([np.zeros_like(merged_g[:, :1]), both[:, pairs:]], axis=1)
        odd = slice(2 * pairs, None)  # an unpaired top position goes up a level as it is
        g = np.concatenate([merged_g, g[:, odd]], axis=1)
        p = np.concatenate([merged_p, p[:, odd]], axis=1)
    return Bits(g, count)


def all_of(protocol: Protocol, bits: Bits) -> Bits:
    """The AND of all planes."""
    planes, count = bits.planes, bits.count
    while planes.shape[1] > 1:
        pairs = planes.shape[1] // 2
        both = protocol.and_(Bits(planes[:, :pairs], count), Bits(planes[:, pairs : 2 * pairs], count)).planes
        planes = np.concatenate([both, planes[:, 2 * pairs :]], axis=1)
    return Bits(planes, count)


def carry_ands(positions: int) -> int:
    """ANDs that `carry_out` spends on one element: what the declared costs are made of."""
    total = 0
    while positions > 1:
        pairs = positions // 2
        total += 2 * pairs - 1
        positions -= pairs
    return total


def depth(positions: int) -> int:
    """Levels of a balanced binary tree over so many leaves."""
    return (positions - 1).bit_length()
