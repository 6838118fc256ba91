"""Gates between bits and words, and products, without any message to the helper.

A bit b is delta ^ mu: the evaluators know delta = b_1, the helper mu = b_0 ^ b_2. So b = delta + (1 - 2 delta) mu is
linear in mu once delta is known, and the helper deals mu and its products with what else it knows.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from tacit.protocols.interface import Bits, Choice, Shares, Values
from tacit.protocols.rounds import Arrived, Round, Steps
from tacit.protocols.sharing3 import FIRST, HELPER, SECOND, WORD, Sharing3, flat_words
from tacit.ring import planes
from tacit.ring.kernels import Bilinear
from tacit.session.session import Expected


def product(protocol: Sharing3, kernel: Bilinear, x: Shares, y: Shares) -> Steps[Shares]:
    """kernel(x, y): the evaluators open their terms to each other under pads, the helper deals the rest."""
    ring = protocol.ring
    local = protocol.local_terms(kernel, x, y)
    flat = flat_words(local)  # ours alone: a product is never a view of its factors
    out = protocol.fresh(flat.size)
    if protocol.place == HELPER:
        other, outer = out
        protocol.fill_pad(FIRST, "product-outer", outer)
        np.subtract(flat, outer, out=other)
        other -= protocol.pad(FIRST, "product-a", flat.shape)
        other -= protocol.pad(SECOND, "product-b", flat.shape)
        protocol.settle(other)
        yield Round("product", {SECOND: [ring.to_wire(other)]})
        return torch.as_tensor(out).reshape(2, *local.shape)
    first = protocol.place == FIRST
    flat += protocol.pad(HELPER, "product-a" if first else "product-b", flat.shape)
    word = (flat.shape, ring.wire_dtype)
    expected: dict[int, list[Expected]] = {protocol.peer: [word]}
    if not first:
        expected[HELPER] = [word]
    arrived = yield Round("product", {protocol.peer: [ring.to_wire(flat)]}, expected)
    rest, middle = out if first else out[::-1]
    np.add(flat, ring.from_wire(arrived[protocol.peer][0]), out=middle)
    protocol.settle(middle)
    if first:
        protocol.fill_pad(HELPER, "product-outer", rest)
    else:
        np.copyto(rest, arrived[HELPER][0])
    return torch.as_tensor(out).reshape(2, *local.shape)


def and_(protocol: Sharing3, x: Bits, y: Bits) -> Steps[Bits]:
    """The same for bits, with exclusive or for plus."""
    (x0, x1), (y0, y1) = x.planes, y.planes
    shape = x0.shape
    draw = protocol.bit_pad
    if protocol.place == HELPER:
        outer = draw(FIRST, "and-outer-bits", shape)
        other = (x1 & y0) ^ (x0 & y1) ^ outer
        other ^= draw(FIRST, "and-a-bits", shape) ^ draw(SECOND, "and-b-bits", shape)
        yield Round("and", {SECOND: [other]})
        return Bits(np.stack([other, outer]), x.count)
    first = protocol.place == FIRST
    local = (x0 ^ x1) & (y0 ^ y1) if first else (x1 & (y0 ^ y1)) ^ (x0 & y1)
    blinded = local ^ draw(HELPER, "and-a-bits" if first else "and-b-bits", shape)
    expected: dict[int, list[Expected]] = {protocol.peer: [(shape, WORD)]}
    if not first:
        expected[HELPER] = [(shape, WORD)]
    arrived = yield Round("and", {protocol.peer: [blinded]}, expected)
    middle = blinded ^ arrived[protocol.peer][0]
    rest = draw(HELPER, "and-outer-bits", shape) if first else arrived[HELPER][0]
    return Bits(np.stack([rest, middle] if first else [middle, rest]).view(np.int64), x.count)


def choose(protocol: Sharing3, choice: Choice, x: Shares) -> Steps[Shares]:
    """x where the bit is 1, else 0, exactly. With x = c - r the helper deals -mu r, and the first time -mu as well.

    Shares of mu serve any number of selections: a mask hides one bit, and may hide it often.
    """
    (kept,) = choice.parts
    bit, flat = kept.bit, (kept.bit.count,)
    first_time = kept.words is None
    if protocol.place == HELPER:
        if first_time:
            kept.words = planes.unpack_signs(bit.planes[0, 0] ^ bit.planes[1, 0], bit.count)
        dealt = np.empty((1 + first_time, bit.count), dtype=np.int64)
        np.add(flat_words(x[0]), flat_words(x[1]), out=dealt[0])
        dealt[0] &= kept.words
        if first_time:
            np.copyto(dealt[1], kept.words)
        yield from _deal(protocol, dealt, "choose-words")
        out = yield from reshare(protocol, None, flat)
    else:
        words = yield from _dealt(protocol, 1 + first_time, flat, "choose-words")
        if first_time:
            kept.words = words[1]
        out = yield from reshare(protocol, _part_chosen(protocol, bit, kept.words, words[0], x), flat)
    return out.reshape(x.shape)


def as_words(protocol: Sharing3, choice: Choice, shape: tuple[int, ...]) -> Steps[Shares]:
    """The bit of a choice as words 0 and 1."""
    (kept,) = choice.parts
    bit, flat = kept.bit, (kept.bit.count,)
    if protocol.place == HELPER:
        if kept.words is None:
            kept.words = planes.unpack_signs(bit.planes[0, 0] ^ bit.planes[1, 0], bit.count)
            yield from _deal(protocol, kept.words.copy()[None], "bit-words")
        out = yield from reshare(protocol, None, flat)
    else:
        if kept.words is None:
            (kept.words,) = yield from _dealt(protocol, 1, flat, "bit-words")
        delta = planes.unpack_signs(bit.planes[1 - protocol.place, 0], bit.count)
        # delta is 0 or -1 and b = delta + (1 - 2 delta) mu: mu or 1 - mu, as (-mu ^ ~delta) - ~delta is -mu or mu.
        part = ~delta
        np.subtract(kept.words ^ part, part, out=part)
        if protocol.place == FIRST:
            part -= delta
        out = yield from reshare(protocol, part, flat)
    return out.reshape(2, *shape)


def _part_chosen(protocol: Sharing3, bit: Bits, minus_mu: Values, masked: Values, x: Shares) -> Values:
    """An evaluator's part of b x, from its halves of -mu and -mu r (which is overwritten)."""
    c, outer = flat_words(x[1 - protocol.place]), flat_words(x[protocol.place])
    delta = planes.unpack_signs(bit.planes[1 - protocol.place, 0], bit.count)
    # Own part of mu x is -(c (-mu) + mu r); where delta is 1, the part of x - mu x is wanted instead.
    part = c * minus_mu
    part -= masked
    own = outer + c if protocol.place == FIRST else outer
    kept = own & delta
    np.invert(delta, out=delta)
    part ^= delta
    part -= delta
    part += kept
    return part


def reshare(protocol: Sharing3, part: Values | None, shape: tuple[int, ...]) -> Steps[Shares]:
    """From two parts at the evaluators, u_0 + u_1, back to three components; the helper draws both of its own.

    Overwrites `part`.
    """
    ring = protocol.ring
    out = protocol.fresh(math.prod(shape))
    if protocol.place == HELPER:
        yield Round("reshare")
        protocol.fill_pad(SECOND, "reshare-b", out[0])
        protocol.fill_pad(FIRST, "reshare-a", out[1])
        return torch.as_tensor(out).reshape(2, *shape)
    assert part is not None
    flat = part.reshape(-1)
    outer, middle = out if protocol.place == FIRST else out[::-1]
    protocol.fill_pad(HELPER, "reshare-a" if protocol.place == FIRST else "reshare-b", outer)
    flat -= outer
    sent = ring.wrap(flat)
    word = (sent.shape, ring.wire_dtype)
    arrived: Arrived = yield Round("reshare", {protocol.peer: [ring.to_wire(sent)]}, {protocol.peer: [word]})
    np.add(sent, ring.from_wire(arrived[protocol.peer][0]), out=middle)
    protocol.settle(middle)
    return torch.as_tensor(out).reshape(2, *shape)


def _deal(protocol: Sharing3, values: Values, purpose: str) -> Steps[None]:
    """Helper: share words [words, elements] additively between the evaluators; the first one draws its half.

    Overwrites `values`.
    """
    values -= protocol.pad(FIRST, purpose, values.shape)
    yield Round("deal", {SECOND: [protocol.ring.to_wire(protocol.ring.wrap(values))]}, dealt=True)


def _dealt(protocol: Sharing3, count: int, shape: tuple[int, ...], purpose: str) -> Steps[NDArray[np.int64]]:
    """Evaluators: own halves of `count` dealt words per element."""
    ring = protocol.ring
    whole = (count, *shape)
    if protocol.place == FIRST:
        yield Round("deal", dealt=True)
        return protocol.pad(HELPER, purpose, whole)
    arrived: Arrived = yield Round("deal", {}, {HELPER: [(whole, ring.wire_dtype)]}, dealt=True)
    return ring.from_wire(arrived[HELPER][0])
