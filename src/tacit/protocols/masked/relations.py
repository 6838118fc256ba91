"""[C < R] and [C = R] for numbers that the evaluators (C) and the helper (R) know: messages and pads of a comparison.

Rounds   one for each level of nodes and one that hands the result out as a bit; the helper deals everything at once.
Pads     to evaluator 0: the other evaluator's halves of masks (key of 1 and 2). To evaluator 1: its dealt shares and
         the other's halves (key of 0 and 2). To the helper: nothing comes.
Shows    nothing: every message is blinded by words of the key that its receiver lacks, each used for one bit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tacit.protocols.interface import Bits
from tacit.protocols.masked import nodes
from tacit.protocols.masked.digits import Planes, equal_digits, fill_monomials, less_digits
from tacit.protocols.masked.plan import Batch, Plan
from tacit.protocols.rounds import Arrived, Round, Steps
from tacit.protocols.sharing3 import FIRST, HELPER, SECOND, WORD, Sharing3


def relation(protocol: Sharing3, known: Planes, plan: Plan, count: int, *, less: bool) -> Steps[Bits]:
    """[C < R], or [C = R], for `count` numbers; with one bit more than the plan compares, that bit's C + R is added.

    `known` are planes [bits, words]: of C at the evaluators, of R at the helper. With p = plan.bits and one plane more,
    `less` gives bit p of C - R: a sign.
    """
    digits = _of_digits(known, plan)
    extra = known[plan.bits :]
    words = known.shape[1]
    size = plan.digit_bits + extra.shape[0] + plan.product_bits
    if protocol.place == HELPER:
        pads = [_masks(protocol, evaluator, plan, words) for evaluator in (FIRST, SECOND)]
        dealt = np.empty((size, words), dtype=np.int64)
        start = 0
        for bits in digits:
            block = _block(dealt, start, bits)
            fill_monomials(bits, block)
            start += block.shape[0] * block.shape[1]
        dealt[start : start + extra.shape[0]] = extra
        start += extra.shape[0]
        for level, (one, other) in zip(plan.levels, zip(*pads, strict=True), strict=True):
            masks = one ^ other
            at = 0
            for batch in level:
                stop = start + batch.products * batch.count
                if batch.products:
                    rows = masks[at : at + batch.opened * batch.count].reshape(batch.opened, batch.count, words)
                    nodes.fill_products(batch, rows, dealt[start:stop].reshape(batch.products, batch.count, words))
                at += batch.opened * batch.count
                start = stop
        protocol.session.randomness.blind(FIRST, "dealt-bits", dealt)
        yield Round("relation-dealt", {SECOND: [dealt]}, dealt=True)
        for _ in plan.levels:
            yield Round("node")
        yield Round("bit")
        a, b = (_bit_mask(protocol, evaluator, words) for evaluator in (FIRST, SECOND))
        return Bits(np.stack([b, a])[:, None], count)

    first = protocol.place == FIRST
    expected = {HELPER: [((size, words), WORD)]} if not first else {}
    arrived: Arrived = yield Round("relation-dealt", {}, expected, dealt=True)
    if first:
        shares = protocol.session.randomness.narrow(HELPER, "dealt-bits", (size, words), WORD).view(np.int64)
    else:
        shares = arrived[HELPER][0].view(np.int64)
    below, same, start = _digit_relations(shares, digits, first, less=less)
    top = shares[start : start + extra.shape[0]]
    start += extra.shape[0]
    for level, halves in zip(plan.levels, _masks(protocol, HELPER, plan, words), strict=True):
        rows = [nodes.inputs_to_open(batch, below, same) for batch in level if batch.radix > 1]
        sent = np.concatenate(rows) ^ halves
        arrived = yield Round("node", {protocol.peer: [sent]}, {protocol.peer: [(sent.shape, WORD)]})
        opened = sent ^ arrived[protocol.peer][0].view(np.int64)
        below, same = _joined(level, below, same, opened, halves, shares[start:], first)
        start += sum(batch.products * batch.count for batch in level)
    share = below[0] if less else same[0]
    for plane, own in zip(extra, top, strict=True):
        share = share ^ own ^ plane if first else share ^ own
    mask = _bit_mask(protocol, HELPER, words)
    sent = (share ^ mask)[None]
    arrived = yield Round("bit", {protocol.peer: [sent]}, {protocol.peer: [(sent.shape, WORD)]})
    # What is open is the bit under both masks: component 1, and the masks are components 0 and 2 where they belong.
    middle = sent[0] ^ arrived[protocol.peer][0][0].view(np.int64)
    rows = [mask, middle] if first else [middle, mask]
    return Bits(np.stack(rows)[:, None], count)


def _digit_relations(
    shares: Planes, digits: Sequence[Planes], first: bool, *, less: bool
) -> tuple[Planes, Planes, int]:
    """Shares of both relations of every digit [digits, words], and how many dealt planes they used."""
    below: list[Planes] = []
    same: list[Planes] = []
    start = 0
    for bits in digits:
        block = _block(shares, start, bits)
        if less:
            smaller, equal = less_digits(bits, block, first)
            below.append(smaller)
        else:
            equal = equal_digits(bits, block, first)
        same.append(equal)
        start += block.shape[0] * block.shape[1]
    together = np.concatenate(same)
    return np.concatenate(below) if less else together, together, start


def _joined(
    level: Sequence[Batch],
    below: Planes,
    same: Planes,
    opened: Planes,
    halves: Planes,
    products: Planes,
    first: bool,
) -> tuple[Planes, Planes]:
    """The relations one level up. A relation that nobody wants is filled with whatever lies there."""
    words = opened.shape[1]
    ups: list[Planes] = []
    equals: list[Planes] = []
    at = start = 0
    for batch in level:
        if batch.radix == 1:
            ups.append(nodes.highest(batch, below))
            equals.append(nodes.highest(batch, same))
            continue
        stop, end = at + batch.opened * batch.count, start + batch.products * batch.count
        shape = (batch.opened, batch.count, words)
        up, equal = nodes.join(
            batch,
            nodes.highest(batch, below) if batch.less else None,
            opened[at:stop].reshape(shape),
            halves[at:stop].reshape(shape),
            products[start:end].reshape(batch.products, batch.count, words),
            first,
        )
        either = up if up is not None else equal
        assert either is not None
        ups.append(up if up is not None else either)
        equals.append(equal if equal is not None else either)
        at, start = stop, end
    return np.concatenate(ups), np.concatenate(equals)


def _of_digits(known: Planes, plan: Plan) -> list[Planes]:
    """Planes cut into digits: [digits, width, words] for each width."""
    found = []
    start = 0
    for width, count in plan.digits:
        found.append(known[start : start + width * count].reshape(count, width, known.shape[1]))
        start += width * count
    return found


def _block(rows: Planes, start: int, bits: Planes) -> Planes:
    """The monomials of these digits within all dealt planes."""
    count, width, words = bits.shape
    products = (1 << width) - 1
    return rows[start : start + products * count].reshape(products, count, words)


def _masks(protocol: Sharing3, other: int, plan: Plan, words: int) -> list[Planes]:
    """This party's or, at the helper, the evaluator's halves of all masks, level by level."""
    evaluator = other if protocol.place == HELPER else protocol.place
    purpose = "node-a-bits" if evaluator == FIRST else "node-b-bits"
    sizes = [sum(batch.opened * batch.count for batch in level) for level in plan.levels]
    if not sizes:
        return []
    drawn = protocol.session.randomness.narrow(other, purpose, (sum(sizes), words), WORD).view(np.int64)
    return np.split(drawn, np.cumsum(sizes)[:-1])


def _bit_mask(protocol: Sharing3, other: int, words: int) -> Planes:
    evaluator = other if protocol.place == HELPER else protocol.place
    purpose = "bit-a-bits" if evaluator == FIRST else "bit-b-bits"
    mask: Planes = protocol.session.randomness.narrow(other, purpose, (1, words), WORD).view(np.int64)[0]
    return mask
