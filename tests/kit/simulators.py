"""The simulators of docs/design/proofs.md, gate by gate: which messages to make up for a curious party.

A simulator is told the public shape of a call and who is curious. It answers with the lengths of messages, all of them
to be filled with uniform words; this is written down here without looking at the gates, so it is also a claim about
them. kit.imagined runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from kit.gates import Row
from tacit.protocols import Masked, Protocol, Replicated3
from tacit.protocols.interface import Pieces
from tacit.protocols.masked import plan
from tacit.protocols.masked.cuts import cuts_of
from tacit.protocols.masked.tables import layout_of
from tacit.protocols.sharing3 import FIRST, HELPER, SECOND, Sharing3
from tacit.ring.words import carrier_bits


class Said(NamedTuple):
    """One message, for one element: `count` numbers of `bits` bits; a plane holds one bit of each element."""

    label: str
    sender: int
    count: int
    bits: int = 0  # 0: a ring element; 1: a plane
    opens: bool = False


def messages_of(row: Row, victim: int, ring_bits: int) -> list[Said]:
    """What `victim` is sent in this call, in order."""
    for kind in (row.kind, Sharing3):
        if found := MESSAGES.get((kind, row.gate)):
            return [said if said.bits else said._replace(bits=ring_bits) for said in found(row, victim, ring_bits)]
    raise AssertionError(f"no simulator for {row.name}")


def _nothing(row: Row, victim: int, k: int) -> list[Said]:
    return []


def _share(row: Row, victim: int, k: int) -> list[Said]:
    owner = row.variables["owner"]
    reader = {0: SECOND, 1: FIRST, 2: FIRST}[owner]
    return [Said("share", owner, 1)] if victim == reader else []


def _reveal(row: Row, victim: int, k: int) -> list[Said]:
    return [Said("reveal", (victim + 1) % 3, 1, opens=True)] if row.variables["mask"] >> victim & 1 else []


def _reveal_bits(row: Row, victim: int, k: int) -> list[Said]:
    return [Said("reveal-bits", (victim + 1) % 3, 1, 1, opens=True)]


def _shuffle(row: Row, victim: int, k: int) -> list[Said]:
    return [Said("shuffle", (victim + 1) % 3, 1), Said("shuffle", (victim + 2) % 3, 1)]


def _wrap(row: Row, sender: int) -> Said:
    return Said("wrap", sender, 1, carrier_bits(row.variables["s"]))


def _truncate(row: Row, victim: int, k: int) -> list[Said]:
    if victim == FIRST:
        return [_wrap(row, SECOND)]
    halves = [Said("truncate", HELPER, 1), _wrap(row, HELPER)._replace(label="truncate")]
    return [*halves, _wrap(row, FIRST)] if victim == SECOND else []


def _product_truncated(row: Row, victim: int, k: int) -> list[Said]:
    terms = [Said("truncate", SECOND if victim == FIRST else FIRST, 1)] if victim != HELPER else []
    return [*terms, *_truncate(row, victim, k)]


# -- replicated3: a message from the next party for every product and every AND ---------------------------------------


def _next_words(victim: int, count: int = 1) -> list[Said]:
    return [Said("product", (victim + 1) % 3, count)]


def _ands(victim: int, counts: Sequence[int]) -> list[Said]:
    return [Said("and", (victim + 1) % 3, count, 1) for count in counts if count]


def _input(victim: int, count: int, label: str = "input") -> list[Said]:
    return [Said(label, HELPER, count, 1)] if victim == FIRST and count else []


def _adder(positions: int) -> list[int]:
    """ANDs of a carry through so many positions, level by level, after those of all positions."""
    found = [positions]
    while positions > 1:
        found.append(2 * (positions // 2) - 1)
        positions -= positions // 2
    return found


def _tree(positions: int) -> list[int]:
    found = []
    while positions > 1:
        found.append(positions // 2)
        positions -= positions // 2
    return found


def _from_bits(row: Row, victim: int, k: int, count: int = 1) -> list[Said]:
    if victim == HELPER:
        return []
    dealt = [Said("deal", HELPER, count)] if victim == SECOND else []
    return [*dealt, Said("reshare", SECOND if victim == FIRST else FIRST, count)]


def _sign3(row: Row, victim: int, k: int) -> list[Said]:
    width = row.variables.get("width", k)
    return [*_input(victim, width), *_ands(victim, _adder(width - 1))]


def _zero3(row: Row, victim: int, k: int) -> list[Said]:
    return [*_input(victim, k), *_ands(victim, _tree(k))]


def _choose3(row: Row, victim: int, k: int) -> list[Said]:
    return [*_from_bits(row, victim, k), *_next_words(victim)]


def _thresholds3(row: Row, victim: int, k: int) -> list[Said]:
    count, size = len(row.shifts), min(row.variables.get("width", k) + 1, k)
    ands = [2 * count * each for each in _adder(size - 1)]
    return [*_input(victim, count * size, "table-bits"), *_ands(victim, [*ands, count])]


def _rows3(row: Row, victim: int, k: int, entries: int) -> list[Said]:
    """From flags to answers: as words, then products of ever more factors."""
    assert row.asked is not None
    factors = []
    for number, table in enumerate(row.asked.tables):
        degrees = range(len(table.coefficients)) if isinstance(table, Pieces) else (2,)
        factors += [1 + degree + (number in row.asked.timed) for degree in degrees]
    levels = [sum(each > level for each in factors) for level in range(1, max(factors))]
    products = [said for count in levels for said in _next_words(victim, count)]
    return [*_from_bits(row, victim, k, entries), *products]


def _lookup3(row: Row, victim: int, k: int) -> list[Said]:
    assert row.asked is not None
    sizes = row.asked.sizes()
    digits, words, entries = (int(str(sizes[name])) for name in ("index", "words", "entries"))
    ands = [1] * (digits - 1) + [1 << at for at in range(1, digits)]
    dealt = [Said("table-words", HELPER, words)] if words and victim == FIRST else []
    return [*_input(victim, digits, "table-bits"), *dealt, *_ands(victim, ands), *_rows3(row, victim, k, entries)]


def _count3(row: Row, victim: int, k: int) -> list[Said]:
    assert row.asked is not None
    entries = row.asked.tables[0].entries
    ands = [min(at + 2, entries) for at in range(1, row.variables["planes"])]
    return [*_ands(victim, ands), *_rows3(row, victim, k, entries)]


# -- masked: evaluators hear each other and the helper, the helper nobody ---------------------------------------------


def _opened(label: str, victim: int, count: int, bits: int = 0) -> list[Said]:
    peer = SECOND if victim == FIRST else FIRST
    return [Said(label, peer, count, bits)] if victim != HELPER and count else []


def _dealt(label: str, victim: int, count: int, bits: int = 0) -> list[Said]:
    return [Said(label, HELPER, count, bits)] if victim == SECOND else []


def _product(row: Row, victim: int, k: int) -> list[Said]:
    return [*_opened("product", victim, 1), *_dealt("product", victim, 1)]


def _and(row: Row, victim: int, k: int) -> list[Said]:
    count = row.variables.get("planes", 1)
    return [*_opened("and", victim, count, 1), *_dealt("and", victim, count, 1)]


def _choose(row: Row, victim: int, k: int) -> list[Said]:
    return [*_dealt("deal", victim, 2), *_opened("reshare", victim, 1)]


def _compared(victim: int, plan: plan.Plan, extra: int, answers: int = 1) -> list[Said]:
    opened = [sum(batch.opened * batch.count for batch in level) for level in plan.levels]
    nodes = [said for count in opened for said in _opened("node", victim, count, 1)]
    dealt = plan.digit_bits + extra + plan.product_bits
    return [*_dealt("relation-dealt", victim, dealt, 1), *nodes, *_opened("bit", victim, answers, 1)]


def _sign(row: Row, victim: int, k: int) -> list[Said]:
    return _compared(victim, plan.less_plan(row.variables.get("width", k) - 1), 1)


def _zero(row: Row, victim: int, k: int) -> list[Said]:
    return _compared(victim, plan.equal_plan(k), 0)


def _thresholds(row: Row, victim: int, k: int) -> list[Said]:
    return _compared(victim, cuts_of(row.shifts, row.variables.get("width", k), k).plan, 1, len(row.shifts))


def _lookup(row: Row, victim: int, k: int) -> list[Said]:
    assert row.asked is not None
    layout = layout_of(row.asked.tables, row.asked.timed)
    flags = max(row.asked.tables[0].entries, 8)
    narrow = min(flags, 64)
    dealt = [*_dealt("lookup-dealt", victim, flags // narrow, narrow), *_dealt("lookup-dealt", victim, layout.dealt)]
    answers = _opened("reshare", victim, len(row.asked.tables))
    return [*dealt, *_opened("lookup", victim, layout.opened), *answers]


def _count(row: Row, victim: int, k: int) -> list[Said]:
    assert row.asked is not None
    bits = row.variables["planes"]
    octets = -(-bits // 2) if row.asked.tables[0].entries <= 16 else bits
    rest = _lookup(row, victim, k)
    at = 2 if victim == SECOND else 0
    return [*_dealt("count-dealt", victim, octets, 8), *rest[:at], *_opened("count", victim, 1, 8), *rest[at:]]


MESSAGES: dict[tuple[type[Protocol], str], Callable[[Row, int, int], list[Said]]] = {
    **{(Sharing3, gate): _nothing for gate in ("public", "add_public", "scale", "xor", "invert")},
    (Sharing3, "share"): _share,
    (Sharing3, "reveal"): _reveal,
    (Sharing3, "reveal_bits"): _reveal_bits,
    (Sharing3, "shuffle"): _shuffle,
    (Sharing3, "truncate"): _truncate,
    (Sharing3, "product_truncated"): _product_truncated,
    (Sharing3, "from_bits"): _from_bits,
    (Sharing3, "as_words"): _from_bits,
    (Replicated3, "product"): lambda row, victim, k: _next_words(victim),
    (Replicated3, "and_"): lambda row, victim, k: _ands(victim, [row.variables["planes"]]),
    (Replicated3, "is_negative"): _sign3,
    (Replicated3, "is_positive"): _sign3,
    (Replicated3, "is_zero"): _zero3,
    (Replicated3, "select"): _choose3,
    (Replicated3, "choose"): _choose3,
    (Replicated3, "at_least"): _thresholds3,
    (Replicated3, "lookup"): _lookup3,
    (Replicated3, "lookup_count"): _count3,
    (Masked, "product"): _product,
    (Masked, "and_"): _and,
    (Masked, "is_negative"): _sign,
    (Masked, "is_positive"): _sign,
    (Masked, "is_zero"): _zero,
    (Masked, "select"): _choose,
    (Masked, "choose"): _choose,
    (Masked, "at_least"): _thresholds,
    (Masked, "lookup"): _lookup,
    (Masked, "lookup_count"): _count,
}
