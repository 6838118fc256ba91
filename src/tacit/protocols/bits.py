"""Boolean circuits over any protocol's AND: sums and their carries, zero tests, flags for the value of a number.

A circuit sees planes (see ring.planes): one AND of 64 planes is one message. Depth is what costs rounds, so circuits
over a whole word are balanced trees; the number of ANDs is what costs bits, so a level handles only planes that still
matter. Those over the few bits of a table's index go from bit to bit.
"""

from __future__ import annotations

import numpy as np

from tacit.protocols.interface import Bits, Protocol
from tacit.protocols.rounds import Steps


def sign_of_sum(protocol: Protocol, x: Bits, y: Bits) -> Steps[Bits]:
    """The top plane of x + y, numbers of as many bits as there are planes, lowest first."""
    low_x, low_y = Bits(x.planes[:, :-1], x.count), Bits(y.planes[:, :-1], y.count)
    generate = yield from protocol.steps("and_", low_x, low_y)
    carry = yield from carry_out(protocol, generate, protocol.xor(low_x, low_y))
    top = x.planes.shape[1] - 1
    return protocol.xor(carry, protocol.xor(x.plane(top), y.plane(top)))


def carry_out(protocol: Protocol, generate: Bits, propagate: Bits) -> Steps[Bits]:
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
        both = (yield from protocol.steps("and_", Bits(left, count), Bits(right, count))).planes
        merged_g = high_g ^ both[:, :pairs]
        # The P of the lowest group is never read; zeros keep the planes aligned.
        merged_p = np.concatenate([np.zeros_like(merged_g[:, :1]), both[:, pairs:]], axis=1)
        odd = slice(2 * pairs, None)  # an unpaired top position goes up a level as it is
        g = np.concatenate([merged_g, g[:, odd]], axis=1)
        p = np.concatenate([merged_p, p[:, odd]], axis=1)
    return Bits(g, count)


def sum_of(protocol: Protocol, x: Bits, y: Bits) -> Steps[Bits]:
    """All planes of x + y, one after the other: for numbers of a few bits."""
    either = protocol.xor(x, y)
    found = [either.planes[:, :1]]
    carry = Bits(np.zeros_like(x.planes[:, :1]), x.count)
    for at in range(1, x.planes.shape[1]):
        # The majority of x, y and the carry: x where x and y agree, the carry elsewhere.
        low = x.plane(at - 1)
        moved = yield from protocol.steps("and_", either.plane(at - 1), protocol.xor(low, carry))
        carry = protocol.xor(low, moved)
        found.append(protocol.xor(either.plane(at), carry).planes)
    return Bits(np.concatenate(found, axis=1), x.count)


def one_hot(protocol: Protocol, number: Bits) -> Steps[Bits]:
    """2^planes planes: plane i is set where the number is i."""
    found = protocol.invert(Bits(np.zeros_like(number.planes[:, :1]), number.count))
    for at in range(number.planes.shape[1]):
        bit = number.plane(at)
        # The first bit is its own flag: it has nothing to be multiplied by.
        copies = Bits(np.repeat(bit.planes, found.planes.shape[1], axis=1), bit.count)
        above = copies if at == 0 else (yield from protocol.steps("and_", found, copies))
        found = Bits(np.concatenate([protocol.xor(found, above).planes, above.planes], axis=1), number.count)
    return found


def count_one_hot(protocol: Protocol, bits: Bits, rows: int) -> Steps[Bits]:
    """`rows` planes: plane i is set where the number of set planes of `bits`, modulo `rows`, is i."""
    none = np.zeros_like(bits.planes[:, :1])
    found = protocol.invert(Bits(none, bits.count)).planes
    for at in range(bits.planes.shape[1]):
        bit = bits.plane(at)
        if found.shape[1] < rows:
            stay, move = np.concatenate([found, none], axis=1), np.concatenate([none, found], axis=1)
        else:
            stay, move = found, np.roll(found, 1, axis=1)
        if at == 0:
            found = np.concatenate([protocol.invert(bit).planes, bit.planes], axis=1)
            continue
        copies = Bits(np.repeat(bit.planes, stay.shape[1], axis=1), bit.count)
        changed = yield from protocol.steps("and_", copies, Bits(stay ^ move, bits.count))
        found = stay ^ changed.planes
    missing = np.zeros((found.shape[0], max(rows - found.shape[1], 0), found.shape[2]), dtype=np.int64)
    return Bits(np.concatenate([found, missing], axis=1), bits.count)


def all_of(protocol: Protocol, bits: Bits) -> Steps[Bits]:
    """The AND of all planes."""
    planes, count = bits.planes, bits.count
    while planes.shape[1] > 1:
        pairs = planes.shape[1] // 2
        left, right = Bits(planes[:, :pairs], count), Bits(planes[:, pairs : 2 * pairs], count)
        both = (yield from protocol.steps("and_", left, right)).planes
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
