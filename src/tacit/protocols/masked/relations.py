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
from tacit.protocols.masked.plan import Batch, Plan, Use
from tacit.protocols.rounds import Arrived, Round, Steps
from tacit.protocols.sharing3 import FIRST, HELPER, SECOND, WORD, Sharing3

#: Planes of so few words take less time than a call of numpy.
SHORT = 64


def relation(protocol: Sharing3, known: Planes, plan: Plan, count: int, *, less: bool) -> Steps[Bits]:
    """[C < R], or [C = R], for `count` numbers; with one bit more than the plan compares, that bit's C + R is added.

    `known` are planes [bits, words]: of C at the evaluators, of R at the helper. With p = plan.bits and one plane more,
    `less` gives bit p of C - R: a sign.
    """
    return relations(protocol, [known[: plan.bits]], known[plan.bits :], plan, count, less=less)


def relations(
    protocol: Sharing3, known: Sequence[Planes], tops: Planes, plan: Plan, count: int, *, less: bool
) -> Steps[Bits]:
    """The same for several C, each compared with the digits that the plan names for it.

    `known` are planes of each C at the evaluators; of all digits, one set at the helper. `tops` [one for each C, or
    none, words] at the evaluators, [1 or none, words] at the helper, are added to the answers.
    """
    answers, words = plan.numbers, known[0].shape[1]
    extra = min(len(tops), 1)
    size = plan.digit_bits + extra + plan.product_bits
    if protocol.place == HELPER:
        pads = [_masks(protocol, evaluator, plan, words) for evaluator in (FIRST, SECOND)]
        dealt = np.empty((size, words), dtype=np.int64)
        start = 0
        for bits in _of_digits(known[0], plan):
            block = _block(dealt, start, bits)
            fill_monomials(bits, block)
            start += block.shape[0] * block.shape[1]
        dealt[start : start + extra] = tops
        start += extra
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
        protocol.blind(FIRST, "dealt-bits", dealt)
        yield Round("relation-dealt", {SECOND: [dealt]}, dealt=True)
        for _ in plan.levels:
            yield Round("node")
        yield Round("bit")
        a, b = (_bit_masks(protocol, evaluator, (answers, words)) for evaluator in (FIRST, SECOND))
        return Bits(np.stack([b, a]), count)

    first = protocol.place == FIRST
    expected = {HELPER: [((size, words), WORD)]} if not first else {}
    arrived: Arrived = yield Round("relation-dealt", {}, expected, dealt=True)
    shares = protocol.bit_pad(HELPER, "dealt-bits", (size, words)) if first else arrived[HELPER][0].view(np.int64)
    below, same = _digit_relations(shares, known, plan, first, less=less)
    start = plan.digit_bits + extra
    for number, (level, halves) in enumerate(zip(plan.levels, _masks(protocol, HELPER, plan, words), strict=True)):
        if number and plan.orders:
            below, same = below[plan.orders[number]], same[plan.orders[number]]
        rows = [nodes.inputs_to_open(batch, below, same) for batch in level if batch.radix > 1]
        sent = np.concatenate(rows) ^ halves
        arrived = yield Round("node", {protocol.peer: [sent]}, {protocol.peer: [(sent.shape, WORD)]})
        opened = sent ^ arrived[protocol.peer][0].view(np.int64)
        below, same = _joined(level, below, same, opened, halves, shares[start:], first)
        start += sum(batch.products * batch.count for batch in level)
    share = below if less else same
    if plan.orders:
        share = share[plan.orders[-1]]
    if extra:
        share = share ^ shares[plan.digit_bits]
        if first:
            share ^= tops
    mask = _bit_masks(protocol, HELPER, share.shape)
    sent = share ^ mask
    arrived = yield Round("bit", {protocol.peer: [sent]}, {protocol.peer: [(sent.shape, WORD)]})
    # What is open is the bit under both masks: component 1, and the masks are components 0 and 2 where they belong.
    middle = sent ^ arrived[protocol.peer][0].view(np.int64)
    return Bits(np.stack([mask, middle] if first else [middle, mask]), count)


def _digit_relations(
    shares: Planes, known: Sequence[Planes], plan: Plan, first: bool, *, less: bool
) -> tuple[Planes, Planes]:
    """Shares of both relations of every digit of every number, [digits, words], as the first level wants them."""
    words = shares.shape[1]
    blocks: list[Planes] = []
    start = 0
    for width, count in plan.digits:
        products = (1 << width) - 1
        blocks.append(shares[start : start + products * count].reshape(products, count, words))
        start += products * count
    same = np.empty((plan.inputs, words), dtype=np.int64)
    below = np.empty_like(same) if less else same
    for run, (block, (width, _)) in enumerate(zip(blocks, plan.digits, strict=True)):
        for uses in _chunks(plan.uses[run], words):
            own = [known[use.number][use.plane : use.plane + width * len(use.digits)] for use in uses]
            bits = own[0] if len(own) == 1 else np.concatenate(own)
            bits = bits.reshape(len(bits) // width, width, words)  # -1 would be ambiguous where there are no words
            if len(uses) == 1:
                monomials, where = block[:, uses[0].digits[0] :], uses[0].where
            else:
                monomials = block[:, np.concatenate([use.digits for use in uses])]
                where = np.concatenate([use.where for use in uses])
            if less:
                below[where], same[where] = less_digits(bits, monomials, first)
            else:
                same[where] = equal_digits(bits, monomials, first)
    return below, same


def _chunks(uses: Sequence[Use], words: int) -> list[Sequence[Use]]:
    """All numbers at once while planes are short; one by one when copying what they share would cost more."""
    return [uses] if words <= SHORT else [[use] for use in uses]


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
    drawn = protocol.bit_pad(other, purpose, (sum(sizes), words))
    return np.split(drawn, np.cumsum(sizes)[:-1])


def _bit_masks(protocol: Sharing3, other: int, shape: tuple[int, ...]) -> Planes:
    evaluator = other if protocol.place == HELPER else protocol.place
    purpose = "bit-a-bits" if evaluator == FIRST else "bit-b-bits"
    return protocol.bit_pad(other, purpose, shape)
