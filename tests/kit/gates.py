"""Every gate once, as data: what to call, on which inputs, and the variables of its declared price.

A walk over this table covers a protocol. A gate of the interface that has no row fails `every_gate_has_a_row`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import torch

from kit.sharing import deal, deal_bits
from tacit.protocols import Bits, Choice, Protocol, Replicated3, Shares
from tacit.protocols.bits import carry_ands, depth
from tacit.protocols.interface import Pieces, Powers, Price, Table, Threshold
from tacit.protocols.masked import cuts, plan
from tacit.protocols.masked.counts import count_bits
from tacit.protocols.masked.tables import lookup_bits
from tacit.ring.kernels import mul
from tacit.session.truncation import DITHERED


@dataclass(frozen=True)
class Inputs:
    """Two words and two bits per element, shared as the test likes it."""

    x: Shares
    y: Shares
    a: Bits
    b: Bits
    plain: np.ndarray  # the value of x, for owners of inputs

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.x.shape[1:])


@dataclass(frozen=True)
class Asked:
    """Tables for a lookup, the bit at which it cuts, and which results are multiplied."""

    tables: tuple[Table, ...]
    timed: tuple[int, ...] = ()
    shift: int = 0

    def times(self, i: Inputs) -> dict[int, Shares]:
        return dict.fromkeys(self.timed, i.y)

    def sizes(self) -> dict[str, object]:
        """What a price depends on: the tables; or index bits, dealt words, and products of how many factors."""
        words: set[object] = set()
        factors: list[int] = []
        for number, table in enumerate(self.tables):
            extra = number in self.timed
            if isinstance(table, Pieces):
                words.update(table.drop)
                factors += [1 + degree + extra for degree in range(len(table.coefficients))]
            else:
                words.add(("power", table.bits))
                factors.append(3 + extra)
        entries = self.tables[0].entries
        return {
            "tables": self.tables,
            "times": self.timed,
            "entries": entries,
            "index": entries.bit_length() - 1,
            "words": len(words),
            "factors": max(factors),
            "products": sum(factors) - len(factors),
        }


@dataclass(frozen=True)
class Row:
    """One way to call one gate."""

    gate: str
    call: Callable[[Protocol, Inputs], object]
    variables: dict[str, int] = field(default_factory=dict)
    #: The message shows nothing that its receiver may not know, but is not a fresh uniform word: an opening.
    opens: bool = False
    kind: type[Protocol] = Replicated3
    asked: Asked | None = None
    shifts: tuple[int, ...] = ()  # of thresholds

    @property
    def name(self) -> str:
        own = [] if self.kind is Replicated3 else [self.kind.name]
        return "-".join([*own, self.gate, *(f"{key}{value}" for key, value in self.variables.items())])


def rows(ring_bits: int) -> list[Row]:
    """All gates, with the shifts that make sense in a ring of this size."""
    shifts = sorted({s for s in (1, 4, 8, 9, 16, 17, 27, 33, ring_bits - 2) if s <= ring_bits - 2})
    subsets = [subset for size in range(4) for subset in combinations(range(3), size)]
    return [
        *(Row("share", _share(owner), {"owner": owner}) for owner in range(3)),
        Row("public", lambda p, i: p.public(i.plain)),
        *(Row("reveal", _reveal(to), {"receivers": len(to), "mask": _mask(to)}, opens=True) for to in subsets),
        Row("reveal_bits", lambda p, i: p.reveal_bits(i.a), opens=True),
        Row("shuffle", lambda p, i: p.shuffle(i.x)),
        Row("add_public", lambda p, i: p.add_public(i.x, i.plain)),
        Row("scale", lambda p, i: p.scale(i.x, -3)),
        Row("product", lambda p, i: p.product(mul, i.x, i.y)),
        *(Row("product_truncated", _product_truncated(s), {"s": s}) for s in shifts),
        *(Row("truncate", _truncate(s), {"s": s}) for s in shifts),
        Row("is_negative", lambda p, i: p.is_negative(i.x)),
        *(Row("is_negative", _is_negative(w), {"width": w}) for w in (2, 5, 8, 16, 32, 48, 64) if w <= ring_bits),
        *(
            Row("at_least", _at_least(asked, w), {"planes": len(asked), **w}, shifts=tuple(t.shift for t in asked))
            for asked, w in _thresholds(ring_bits)
        ),
        Row("is_positive", lambda p, i: p.is_positive(i.x)),
        Row("is_positive", lambda p, i: p.is_positive(i.x, ring_bits // 2), {"width": ring_bits // 2}),
        Row("is_zero", lambda p, i: p.is_zero(i.x)),
        *(Row("and_", _and(count), {"planes": count}) for count in (1, 3)),
        Row("xor", lambda p, i: p.xor(i.a, i.b)),
        Row("invert", lambda p, i: p.invert(i.a)),
        Row("from_bits", lambda p, i: p.from_bits(i.a, i.shape)),
        Row("select", lambda p, i: p.select(i.a, i.x)),
        Row("choose", lambda p, i: p.choose(Choice.of(i.a), i.x)),
        Row("as_words", lambda p, i: p.as_words(Choice.of(i.a), i.shape)),
        *(
            Row("lookup", _lookup(asked), {"case": case}, asked=asked)
            for case, asked in enumerate(_questions(ring_bits), start=1)
        ),
        *(
            Row("lookup_count", _lookup_count(asked, planes), {"case": case, "planes": planes}, asked=asked)
            for case, (asked, planes) in enumerate(_counts(), start=1)
        ),
    ]


def every_gate_has_a_row() -> None:
    """The interface and this table name the same gates."""
    abstract = set(Protocol.__abstractmethods__) | {"scale", "select", "is_positive", "choose", "as_words"}
    assert {row.gate for row in rows(64)} == abstract


def inputs(protocol: Protocol, values: np.ndarray, masks: np.ndarray | None = None) -> Inputs:
    """x = values, y = 3 - values, a = 1 where values are odd, b = 1 - a. `masks` [8, *shape]: components 0 and 2."""
    odd = (values & 1).reshape(-1)
    m = np.zeros((8, *values.shape), dtype=np.int64) if masks is None else masks
    bit = [(row & 1).reshape(-1) for row in m]
    return Inputs(
        deal(protocol, values, m[0], m[1]),
        deal(protocol, np.asarray(protocol.ring.wrap(3 - values)), m[2], m[3]),
        deal_bits(protocol, odd, bit[4], bit[5]),
        deal_bits(protocol, 1 - odd, bit[6], bit[7]),
        values,
    )


def declared(
    protocol: type[Protocol], row: Row, *, ring_bits: int, parties: int, truncation: str = DITHERED
) -> tuple[int, int]:
    """(rounds, bits per element) of the declaration. A gate without one says of itself that it is local."""
    price = getattr(getattr(protocol, row.gate), "price", None)
    price = protocol.other_prices.get((truncation, row.gate), price)
    if price is None:
        return 0, 0
    word_rounds = getattr(protocol.from_bits, "price", Price("0", "0")).rounds
    s = row.variables.get("s", 0)
    names = {
        "k": ring_bits,
        "s": s,
        "w": next((width for width in (8, 16, 32, 64) if width >= s), 0),
        "n": parties,
        "receivers": row.variables.get("receivers", 0),
        "planes": row.variables.get("planes", 1),
        "width": row.variables.get("width", ring_bits),
        "sign_rounds": plan.sign_rounds,
        "sign_bits": plan.sign_bits,
        "equal_rounds": plan.equal_rounds,
        "equal_bits": plan.equal_bits,
        "depth": depth,
        "carry_ands": carry_ands,
        "min": min,
        "sum_to": lambda planes, entries: sum(min(at + 2, entries) for at in range(1, planes)),
        "word_rounds": int(word_rounds),
        "lookup_bits": lookup_bits,
        "count_bits": count_bits,
        "threshold_rounds": cuts.threshold_rounds,
        "threshold_bits": cuts.threshold_bits,
        "shifts": row.shifts,
        **({} if row.asked is None else row.asked.sizes()),
    }
    return tuple(int(eval(text, {"__builtins__": {}}, names)) for text in (price.rounds, price.bits))  # type: ignore[return-value]


def _share(owner: int) -> Callable[[Protocol, Inputs], object]:
    return lambda p, i: p.share(owner, i.plain if p.session.place == owner else None, i.shape)


def _reveal(to: tuple[int, ...]) -> Callable[[Protocol, Inputs], object]:
    return lambda p, i: p.reveal(i.x, to)


def _mask(places: tuple[int, ...]) -> int:
    return sum(1 << place for place in places)


def _product_truncated(shift: int) -> Callable[[Protocol, Inputs], object]:
    return lambda p, i: p.product_truncated(mul, i.x, i.y, shift)


def _truncate(shift: int) -> Callable[[Protocol, Inputs], object]:
    return lambda p, i: p.truncate(i.x, shift)


def _is_negative(width: int) -> Callable[[Protocol, Inputs], object]:
    return lambda p, i: p.is_negative(i.x, width)


def _thresholds(ring_bits: int) -> list[tuple[tuple[Threshold, ...], dict[str, int]]]:
    top = ring_bits // 2
    return [
        ((Threshold(0, 1),), {}),
        ((Threshold(0, 0), Threshold(top, -1), Threshold(3, 1)), {}),
        ((Threshold(2, 1), Threshold(3, -2)), {"width": ring_bits - 2}),
    ]


def _at_least(thresholds: tuple[Threshold, ...], width: dict[str, int]) -> Callable[[Protocol, Inputs], object]:
    return lambda p, i: p.at_least(i.x, thresholds, width.get("width"))


def _questions(ring_bits: int) -> list[Asked]:
    """Constants; a cubic in remainders of three lengths, multiplied; powers, beside a line."""
    shift = ring_bits // 2
    eight = np.arange(-3, 5, dtype=np.int64)
    return [
        Asked((Pieces(eight[None], ()),), shift=shift),
        Asked((Pieces(np.stack([eight + 7 * at for at in range(4)]), (0, 1, 3)),), (0,), shift),
        Asked((Powers(eight[:4], 5), Pieces(np.stack([eight[:4], eight[4:]]), (2,))), (0,), shift),
    ]


def _lookup(asked: Asked) -> Callable[[Protocol, Inputs], object]:
    return lambda p, i: torch.cat(p.lookup(i.x, asked.shift, asked.tables, asked.times(i)), dim=-1)


def _counts() -> list[tuple[Asked, int]]:
    rows = np.arange(5, 13, dtype=np.int64)[None]
    return [
        (Asked((Pieces(rows, ()),)), 5),
        (Asked((Pieces(rows[:, :2], ()), Pieces(-rows[:, :2], ())), (1,)), 4),
    ]


def _lookup_count(asked: Asked, count: int) -> Callable[[Protocol, Inputs], object]:
    def call(p: Protocol, i: Inputs) -> object:
        stacked = Bits(np.concatenate([(i.a, i.b)[at % 2].planes for at in range(count)], axis=1), i.a.count)
        times = {at: y.reshape(y.shape[0], -1) for at, y in asked.times(i).items()}
        return torch.cat(p.lookup_count(stacked, asked.tables, times), dim=-1)

    return call


def _and(count: int) -> Callable[[Protocol, Inputs], object]:
    def call(p: Protocol, i: Inputs) -> object:
        stacked = [Bits(np.concatenate([bits.planes] * count, axis=1), bits.count) for bits in (i.a, i.b)]
        return p.and_(*stacked)

    return call
