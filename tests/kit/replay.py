"""What the masks of one protocol decided, replayed in plain arithmetic: so that two runs must agree bit for bit.

A truncation rounds as floor((z + u) / 2^s) with u = r mod 2^s, where r is the helper's half of the masked value; a
threshold and a lookup cut their values at c and r. The helper here notes every r: by the lane of its gate, since gates
abreast come to it in another order than in plain; and by turn, as each party is the helper of a third of a large
tensor.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, TypeVar

import numpy as np

from kit.parties import run_gates
from tacit.protocols import Bits, Plain, Protocol, Replicated3, Shares
from tacit.protocols.interface import Table, Threshold, Values
from tacit.protocols.rounds import Steps
from tacit.protocols.sharing3 import HELPER, Sharing3, flat_words
from tacit.protocols.tables import meaning
from tacit.ring import planes
from tacit.session.session import Session

Result = TypeVar("Result")
#: What was cut (which gate), in which lane and in which turn: masks in order.
Noted = dict[tuple[str, tuple[int, ...], int], deque[Values]]


class Notes(Sharing3):
    """Any protocol of this sharing whose helpers write down the mask of every value that is rounded or cut."""

    def __init__(self, session: Session, turn: int = 0) -> None:
        super().__init__(session, turn)
        #: One for all turns of a party.
        self.noted: Noted = {}
        self.dithers: list[Values] = []

    def turned(self, turn: int) -> Protocol:
        other: Protocol = super().turned(turn)  # type: ignore[misc]
        assert isinstance(other, Notes)
        other.noted = self.noted
        return other

    def _note(self, gate: str, mask: Values) -> None:
        if self.place == HELPER:
            key = gate, tuple(self.session.randomness.lane), self.turn
            self.noted.setdefault(key, deque()).append(mask.copy())

    def _truncate_deal(self, mask: Values, shift: int, *, dealt: bool) -> Steps[Shares]:
        self._note("truncate", mask)
        self.dithers.append(mask & ((1 << shift) - 1))
        return super()._truncate_deal(mask, shift, dealt=dealt)

    def _at_least(self, x: Shares, *others: object) -> Steps[Bits]:
        # In steps of its own, so that it is noted in the lane in which the gate runs.
        self._note("at_least", self._mask(x))
        bits: Bits = yield from super()._at_least(x, *others)  # type: ignore[misc]
        return bits

    def _lookup(self, x: Shares, *others: object) -> Steps[list[Shares]]:
        self._note("lookup", self._mask(x))
        found: list[Shares] = yield from super()._lookup(x, *others)  # type: ignore[misc]
        return found

    def _mask(self, x: Shares) -> Values:
        return self.ring.wrap(-flat_words(x[0] + x[1]))


class Noting(Notes, Replicated3):
    """replicated3, noting."""

    name: ClassVar[str] = "replicated3"


class Replayed(Plain):
    """Plain arithmetic under the masks that another protocol had."""

    def __init__(self, session: Session, noted: Noted) -> None:
        super().__init__(session)
        self.noted = {key: deque(masks) for key, masks in noted.items()}
        self.dither = lambda shape, shift: self._mask("truncate", shape) & ((1 << shift) - 1)

    def at_least(self, x: Shares, thresholds: Sequence[Threshold], width: int | None = None) -> Bits:
        values: Values = x[0].numpy().reshape(-1)
        mask = self._mask("at_least", (values.size,))
        rows = [planes.pack((values + (mask & ((1 << shift) - 1))) >> shift >= bound) for shift, bound in thresholds]
        return Bits(np.concatenate(rows)[None], values.size)

    def lookup(
        self, x: Shares, shift: int, tables: Sequence[Table], times: Mapping[int, Shares] | None = None
    ) -> list[Shares]:
        values: Values = x[0].numpy()
        r = self._mask("lookup", values.shape)
        c = self.ring.wrap(values + r)
        low = (1 << shift) - 1
        index = (c >> shift) - (r >> shift)
        found = [meaning(table, index % table.entries, c & low, r & low, shift)[None] for table in tables]
        return self._multiplied(found, times)

    def _mask(self, gate: str, shape: tuple[int, ...]) -> Values:
        lane, size = tuple(self.session.randomness.lane), int(np.prod(shape))
        alone = self.noted.get((gate, lane, 0))
        if alone and alone[0].size == size:
            return alone.popleft().reshape(shape)
        thirds = [self.noted[gate, (turn, *lane), turn].popleft() for turn in range(3)]
        return np.concatenate(thirds).reshape(shape)

    def left(self) -> int:
        """Masks that were noted and not asked for."""
        return sum(map(len, self.noted.values()))


def both(
    program: Callable[[Protocol], Result], kind: type[Sharing3] = Replicated3, **options: object
) -> tuple[list[Result], list[Result]]:
    """(results under replicated3 or `kind`, results under plain with the same masks), by place."""
    noted: Noted = {}
    noting = type("Noting", (Notes, kind), {"name": kind.name})

    def watched(protocol: Protocol) -> Result:
        result = program(protocol)
        assert isinstance(protocol, Notes)
        noted.update(protocol.noted)  # every turn has another helper, so no two parties note under one key
        return result

    shared = run_gates(watched, noting, **options)

    def replayed(plain: Protocol) -> Result:
        protocol = Replayed(plain.session, noted)
        result = program(protocol)
        assert not protocol.left(), "it cut more values than plain"
        return result

    return shared, run_gates(replayed, "plain", **options)


def same(left: Values | None, right: Values | None) -> bool:
    """Whether two revealed values agree bit for bit."""
    return left is not None and right is not None and np.array_equal(left, right)
