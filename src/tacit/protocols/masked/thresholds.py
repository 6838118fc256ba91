"""Thresholds: which bounds a masked value reaches, at which of its bits. This prepares numbers; relations compares.

With x = c - r, the index of x at bit s is (c >> s) - (r >> s), just what a lookup reads; it reaches the bound K where
((c >> s) - K) - (r >> s) is not negative. So the evaluators take each bound from what they know, plane by plane, and
the helper deals digits of r once for all thresholds whose shifts differ by whole digits.

Domain   |index - K| < 2^(p - s), where p is the width, or one bit less than the ring has where that is less. Of a wider
         difference another bit comes back.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tacit.protocols.interface import Bits, Threshold, Values
from tacit.protocols.masked.cuts import cuts_of
from tacit.protocols.masked.digits import Planes
from tacit.protocols.masked.relations import SHORT, relations
from tacit.protocols.rounds import Steps
from tacit.protocols.sharing3 import HELPER, Sharing3
from tacit.ring import planes


def at_least(protocol: Sharing3, known: Values, thresholds: Sequence[Threshold], width: int) -> Steps[Bits]:
    """A plane for each threshold on C - R; `known` is C at the evaluators, R at the helper."""
    cuts = cuts_of([threshold.shift for threshold in thresholds], width, protocol.ring.bits)
    if protocol.place == HELPER:
        rows = planes.to_planes(known, cuts.top + 1)
        digits = np.concatenate([rows[lowest : cuts.top] for lowest in cuts.lowest])
        return relations(protocol, [digits], rows[cuts.top :], cuts.plan, known.size, less=True)
    lowered = _all_lowered if planes.words_per_plane(known.size) <= SHORT else _each_lowered
    numbers = lowered(known, thresholds, cuts.top + 1)
    # The sign is wanted the other way round.
    tops = ~np.stack([number[-1] for number in numbers])
    return relations(protocol, [number[:-1] for number in numbers], tops, cuts.plan, known.size, less=True)


def _all_lowered(known: Values, thresholds: Sequence[Threshold], bits: int) -> list[Planes]:
    """Planes of each (C >> s) - K, from so many bits of C: few elements, so as many numbers more."""
    padded = np.zeros((64, 1, planes.words_per_plane(known.size)), dtype=np.int64)
    padded.reshape(-1)[: known.size] = known
    # Element s * words + w of a plane is bit s of word w. So between these two, the thresholds get words of their own.
    bounds = np.array([(bound << shift) % 2**64 for shift, bound in thresholds], dtype=np.uint64).view(np.int64)
    several = padded - bounds[:, None]
    rows = planes.to_planes(several.reshape(-1), bits).reshape(bits, len(thresholds), -1)
    return [rows[shift:, at] for at, (shift, _) in enumerate(thresholds)]


def _each_lowered(known: Values, thresholds: Sequence[Threshold], bits: int) -> list[Planes]:
    """The same, with bits regrouped once: subtracting plane by plane is the smaller part then."""
    rows = planes.to_planes(known, bits)
    inverted = ~rows
    return [minus(rows[shift:], inverted[shift:], bound) for shift, bound in thresholds]


def minus(number: Planes, inverted: Planes, bound: int) -> Planes:
    """The planes of `number` [bits, words] less a public bound, modulo 2^bits; `inverted` are those of ~number."""
    wanted = [bound >> bit & 1 for bit in range(len(number))]
    if not any(wanted):
        return number
    lowest = wanted.index(1)
    out = inverted.copy()
    out[:lowest] = number[:lowest]
    borrow = inverted[lowest]
    for plane in range(lowest + 1, len(number)):
        # A plane of the bound flips this one and borrows unless it was 1; without it, a borrow goes on where it was 0.
        np.bitwise_xor(inverted[plane] if wanted[plane] else number[plane], borrow, out=out[plane])
        borrow = np.bitwise_or(borrow, inverted[plane]) if wanted[plane] else np.bitwise_and(borrow, inverted[plane])
    return out
