"""The rounding of one protocol, replayed in another: so that two runs must agree bit for bit.

replicated3 rounds as floor((z + u) / 2^s) with u = r mod 2^s, where r is the helper's half of the masked value. The
helper here notes every u; the plain protocol then rounds with the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, TypeVar

import numpy as np

from kit.parties import run_gates
from tacit.protocols import Plain, Protocol, Replicated3, Shares
from tacit.protocols.interface import Values
from tacit.protocols.rounds import Steps
from tacit.protocols.sharing3 import Sharing3
from tacit.session.session import Session

Result = TypeVar("Result")


class Notes(Sharing3):
    """Any protocol of this sharing whose helper writes down the dither of every truncation, in order."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.dithers: list[Values] = []

    def _truncate_deal(self, mask: Values, shift: int, *, dealt: bool) -> Steps[Shares]:
        self.dithers.append(mask & ((1 << shift) - 1))
        return super()._truncate_deal(mask, shift, dealt=dealt)


class Noting(Notes, Replicated3):
    """replicated3, noting."""

    name: ClassVar[str] = "replicated3"


def both(
    program: Callable[[Protocol], Result], kind: type[Sharing3] = Replicated3, **options: object
) -> tuple[list[Result], list[Result]]:
    """(results under replicated3 or `kind`, results under plain with the same dithers), by place."""
    noted: list[Values] = []
    noting = type("Noting", (Notes, kind), {"name": kind.name})

    def watched(protocol: Protocol) -> Result:
        result = program(protocol)
        if protocol.session.place == 2:
            assert isinstance(protocol, Notes)
            noted.extend(protocol.dithers)
        return result

    shared = run_gates(watched, noting, **options)

    def replayed(protocol: Protocol) -> Result:
        assert isinstance(protocol, Plain)
        rest = iter(noted)
        protocol.dither = lambda shape, shift: next(rest).reshape(shape)
        result = program(protocol)
        assert next(rest, None) is None, "it truncated more often than plain"
        return result

    return shared, run_gates(replayed, "plain", **options)


def same(left: Values | None, right: Values | None) -> bool:
    """Whether two revealed values agree bit for bit."""
    return left is not None and right is not None and np.array_equal(left, right)
