"""How many of an element's bits are set, read through a table: bits become narrow numbers, their sum becomes an index.

A bit is delta + (1 - 2 delta) mu, linear in mu once delta is known. The helper shares every mu modulo 256, or modulo 16
where that is enough, two to a byte. The evaluators add up their parts and open the sum under a mask, c = n + r: that is
a value of which they know c and the helper r, as a lookup wants it.

Rounds   one for the sum, before those of the lookup.
Pads     to evaluator 1: its shares of every mu, under evaluator 0's. To both: the other's part of the sum, under its
         half of r. To the helper: nothing comes, and it deals for the lookup at once, since it knows r beforehand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tacit.protocols.interface import Bits, Pieces, Shares, Values
from tacit.protocols.masked.tables import Reading, lookup_bits
from tacit.protocols.rounds import Arrived, Round, Steps
from tacit.protocols.sharing3 import FIRST, HELPER, SECOND, Sharing3
from tacit.ring import planes

Octets = NDArray[np.uint8]
_OCTET = np.dtype("<i1")
_NIBBLE = 16


def count_bits(ring_bits: int, count: int, tables: Sequence[Pieces], times: Sequence[int] = ()) -> int:
    """Bits that all parties send for one element with `count` planes."""
    return 8 * _rows(count, tables[0].entries) + 2 * 8 + lookup_bits(ring_bits, tables, times)


def lookup_count(
    protocol: Sharing3, bits: Bits, tables: Sequence[Pieces], times: Mapping[int, Values]
) -> Steps[list[Shares]]:
    """What each table says of the number of set bits. `times` as in tables."""
    reading = Reading(protocol, tables, times, 0, bits.count)
    nothing = np.zeros(bits.count, dtype=np.int64)
    rows, flat = _rows(bits.planes.shape[1], reading.entries), (bits.count,)
    shared = (rows, bits.count)
    if protocol.place == HELPER:
        mu = planes.unpack_narrow(bits.planes[0] ^ bits.planes[1], bits.count)
        pad = protocol.narrow_pad(FIRST, "count", shared, _OCTET).view(np.uint8)
        yield Round("count-dealt", {SECOND: [_less(mu, pad, rows).view(_OCTET)]}, dealt=True)
        mask = protocol.narrow_pad(FIRST, "count-a", flat, _OCTET)
        mask += protocol.narrow_pad(SECOND, "count-b", flat, _OCTET)
        yield from reading.deal(mask.astype(np.int64), nothing)
        yield Round("count")
        return (yield from reading.answers(nothing, nothing))
    first = protocol.place == FIRST
    arrived: Arrived = yield Round("count-dealt", {}, {} if first else {HELPER: [(shared, _OCTET)]}, dealt=True)
    own = protocol.narrow_pad(HELPER, "count", shared, _OCTET) if first else arrived[HELPER][0]
    yield from reading.fetch()
    delta = planes.unpack_narrow(bits.planes[1 - protocol.place], bits.count)
    sent = _sum(own.view(np.uint8), delta, first=first).view(_OCTET)
    sent += protocol.narrow_pad(HELPER, "count-a" if first else "count-b", flat, _OCTET)
    peer = protocol.peer
    arrived = yield Round("count", {peer: [sent]}, {peer: [(flat, _OCTET)]})
    return (yield from reading.answers((sent + arrived[peer][0]).astype(np.int64), nothing))


def _rows(count: int, entries: int) -> int:
    """Bytes in which the shares of so many bits are dealt."""
    return -(-count // 2) if entries <= _NIBBLE else count


def _less(mu: Octets, pad: Octets, rows: int) -> Octets:
    """Helper: mu [planes, elements] less the pad; where rows are fewer than planes, nibble by nibble."""
    if rows == len(mu):
        return mu - pad
    low, high = mu[:rows] - pad, -(pad & 0xF0)
    high[: len(mu) - rows] += mu[rows:] << 4
    low &= 0x0F
    low |= high
    return low


def _sum(own: Octets, delta: Octets, *, first: bool) -> Octets:
    """Evaluators: own part of the sum of delta + (1 - 2 delta) mu, from own shares of mu."""
    shares = own if len(own) == len(delta) else np.concatenate([own, own[: len(delta) - len(own)] >> 4])
    # In the low nibble of a packed byte the high one does no harm: sums carry upwards only.
    minus = -delta
    total: Octets = np.add.reduce((shares ^ minus) - minus, axis=0, dtype=np.uint8)
    return total + np.add.reduce(delta, axis=0, dtype=np.uint8) if first else total
