"""Gates between bits and words, and products, without any message to the helper.

A bit b is delta ^ mu: the evaluators know delta = b_1, the helper mu = b_0 ^ b_2. So b = delta + (1 - 2 delta) mu is
linear in mu once delta is known, and the helper deals mu and its products with what else it knows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tacit.protocols.interface import Bits, Shares, Values
from tacit.protocols.rounds import Arrived, Round, Steps
from tacit.protocols.sharing3 import FIRST, HELPER, SECOND, WORD, Sharing3, flat_words, stack
from tacit.ring import planes
from tacit.ring.kernels import Bilinear
from tacit.session.session import Expected


def product(protocol: Sharing3, kernel: Bilinear, x: Shares, y: Shares) -> Steps[Shares]:
    """kernel(x, y): the evaluators open their terms to each other under pads, the helper deals the rest."""
    ring = protocol.ring
    local = protocol.local_terms(kernel, x, y)
    flat = flat_words(local)
    if protocol.place == HELPER:
        outer = protocol.pad(FIRST, "product-outer", flat.shape)
        pads = protocol.pad(FIRST, "product-a", flat.shape) + protocol.pad(SECOND, "product-b", flat.shape)
        other = ring.wrap(flat - pads - outer)
        yield Round("product", {SECOND: [ring.to_wire(other)]})
        return stack(other, outer, local.shape)
    first = protocol.place == FIRST
    blinded = ring.wrap(flat + protocol.pad(HELPER, "product-a" if first else "product-b", flat.shape))
    word = (flat.shape, ring.wire_dtype)
    expected: dict[int, list[Expected]] = {protocol.peer: [word]}
    if not first:
        expected[HELPER] = [word]
    arrived = yield Round("product", {protocol.peer: [ring.to_wire(blinded)]}, expected)
    middle = ring.wrap(blinded + ring.from_wire(arrived[protocol.peer][0]))
    rest = protocol.pad(HELPER, "product-outer", flat.shape) if first else ring.from_wire(arrived[HELPER][0])
    return protocol.held(rest, middle).reshape(2, *local.shape)


def and_(protocol: Sharing3, x: Bits, y: Bits) -> Steps[Bits]:
    """The same for bits, with exclusive or for plus."""
    (x0, x1), (y0, y1) = x.planes, y.planes
    shape = x0.shape
    draw = protocol.session.randomness.narrow
    if protocol.place == HELPER:
        outer = draw(FIRST, "and-outer-bits", shape, WORD)
        other = (x1 & y0) ^ (x0 & y1) ^ outer
        other ^= draw(FIRST, "and-a-bits", shape, WORD) ^ draw(SECOND, "and-b-bits", shape, WORD)
        yield Round("and", {SECOND: [other]})
        return Bits(np.stack([other, outer]), x.count)
    first = protocol.place == FIRST
    local = (x0 ^ x1) & (y0 ^ y1) if first else (x1 & (y0 ^ y1)) ^ (x0 & y1)
    blinded = local ^ draw(HELPER, "and-a-bits" if first else "and-b-bits", shape, WORD)
    expected: dict[int, list[Expected]] = {protocol.peer: [(shape, WORD)]}
    if not first:
        expected[HELPER] = [(shape, WORD)]
    arrived = yield Round("and", {protocol.peer: [blinded]}, expected)
    middle = blinded ^ arrived[protocol.peer][0]
    rest = draw(HELPER, "and-outer-bits", shape, WORD) if first else arrived[HELPER][0]
    return Bits(np.stack([rest, middle] if first else [middle, rest]).view(np.int64), x.count)


def from_bits(protocol: Sharing3, x: Bits, shape: tuple[int, ...]) -> Steps[Shares]:
    """A plane of bits as words 0 and 1."""
    if protocol.place == HELPER:
        mu = planes.unpack(x.planes[0, 0] ^ x.planes[1, 0], x.count)
        yield from _deal(protocol, [mu], "bit-words")
        out = yield from reshare(protocol, None, (x.count,))
    else:
        (mu,) = yield from _dealt(protocol, 1, (x.count,), "bit-words")
        delta = _sign_words(x, protocol)
        # delta is 0 or -1: mu or 1 - mu, as (mu ^ delta) - delta is mu or -mu.
        part = (mu ^ delta) - delta
        out = yield from reshare(protocol, part - delta if protocol.place == FIRST else part, (x.count,))
    return out.reshape(2, *shape)


def select(protocol: Sharing3, bit: Bits, x: Shares) -> Steps[Shares]:
    """x where the bit is 1, else 0, exactly. With x = c - r the helper deals mu and mu r."""
    flat = (bit.count,)
    if protocol.place == HELPER:
        mu = -planes.unpack(bit.planes[0, 0] ^ bit.planes[1, 0], bit.count)
        r = -flat_words(x[0] + x[1])
        yield from _deal(protocol, [-mu, mu & r], "select-words")
        out = yield from reshare(protocol, None, flat)
    else:
        mu, masked = yield from _dealt(protocol, 2, flat, "select-words")
        c, outer = flat_words(x[1 - protocol.place]), flat_words(x[protocol.place])
        times = c * mu - masked  # this party's part of mu x
        whole = c + outer if protocol.place == FIRST else outer  # and of x
        delta = _sign_words(bit, protocol)
        out = yield from reshare(protocol, (whole & delta) + ((times ^ delta) - delta), flat)
    return out.reshape(x.shape)


def reshare(protocol: Sharing3, part: Values | None, shape: tuple[int, ...]) -> Steps[Shares]:
    """From two parts at the evaluators, u_0 + u_1, back to three components; the helper draws both of its own."""
    ring = protocol.ring
    if protocol.place == HELPER:
        yield Round("reshare")
        return stack(protocol.pad(SECOND, "reshare-b", shape), protocol.pad(FIRST, "reshare-a", shape))
    assert part is not None
    outer = protocol.pad(HELPER, "reshare-a" if protocol.place == FIRST else "reshare-b", shape)
    sent = ring.wrap(part - outer)
    arrived: Arrived = yield Round(
        "reshare", {protocol.peer: [ring.to_wire(sent)]}, {protocol.peer: [(shape, ring.wire_dtype)]}
    )
    return protocol.held(outer, ring.wrap(sent + ring.from_wire(arrived[protocol.peer][0])))


def _deal(protocol: Sharing3, values: list[Values], purpose: str) -> Steps[None]:
    """Helper: share words additively between the evaluators; the first one's half is drawn, not sent."""
    ring = protocol.ring
    whole = np.stack(values)
    half = ring.wrap(whole - protocol.pad(FIRST, purpose, whole.shape))
    yield Round("deal", {SECOND: [ring.to_wire(half)]}, dealt=True)


def _dealt(protocol: Sharing3, count: int, shape: tuple[int, ...], purpose: str) -> Steps[NDArray[np.int64]]:
    """Evaluators: own halves of `count` dealt words per element."""
    ring = protocol.ring
    whole = (count, *shape)
    if protocol.place == FIRST:
        yield Round("deal", dealt=True)
        return protocol.pad(HELPER, purpose, whole)
    arrived: Arrived = yield Round("deal", {}, {HELPER: [(whole, ring.wire_dtype)]}, dealt=True)
    return ring.from_wire(arrived[HELPER][0])


def _sign_words(bit: Bits, protocol: Sharing3) -> Values:
    """Evaluators: delta as words 0 and -1."""
    return -planes.unpack(bit.planes[1 - protocol.place, 0], bit.count)
