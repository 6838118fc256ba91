"""The declared price of a gate is what the meter sees: rounds at every party, bits of all parties per element."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

from kit.gates import Row, declared, every_gate_has_a_row, inputs, rows
from kit.parties import in_threads, make_sessions
from tacit.protocols import PROTOCOLS, Protocol, Replicated3, Shares
from tacit.ring.kernels import Bilinear

RINGS = (8, 16, 32, 64)


def metered(kind: type[Protocol], row: Row, ring_bits: int, count: int) -> tuple[int, float]:
    """(rounds, bits of all parties per element) of one call; all parties must count the same rounds."""
    sessions = make_sessions(kind.name, ring_bits=ring_bits, frac_bits=4)

    def work(place: int) -> None:
        protocol = kind(sessions[place])
        row.call(protocol, inputs(protocol, np.zeros(count, dtype=np.int64)))

    in_threads([lambda place=place: work(place) for place in range(3)], sessions)
    rounds = {session.meter.total.rounds for session in sessions}
    assert len(rounds) == 1, f"{row.name}: parties count different rounds {rounds}"
    return rounds.pop(), 8 * sum(session.meter.total.bytes_sent for session in sessions) / count


def differences(kind: type[Protocol], ring_bits: int, counts: tuple[int, ...]) -> list[str]:
    """Every gate whose price is not what it costs."""
    found = []
    for row in rows(ring_bits):
        price = declared(kind, row, ring_bits=ring_bits, parties=3)
        for count in counts:
            cost = metered(kind, row, ring_bits, count)
            if cost != price:
                found.append(f"{kind.name} {row.name}, k={ring_bits}, n={count}: declared {price}, metered {cost}")
    return found


def test_every_gate_of_the_interface_is_priced_here() -> None:
    every_gate_has_a_row()


@pytest.mark.parametrize("ring_bits", RINGS)
@pytest.mark.parametrize("name", sorted(PROTOCOLS))
def test_declared_rounds_and_bits_are_the_metered_ones(name: str, ring_bits: int) -> None:
    assert differences(PROTOCOLS[name], ring_bits, (64, 192)) == []


def test_a_gate_that_talks_and_declares_nothing_is_found() -> None:
    class Forgetful(Replicated3):
        name: ClassVar[str] = "replicated3"

        def product(self, kernel: Bilinear, x: Shares, y: Shares) -> Shares:
            return super().product(kernel, x, y)

    assert [line.split(":")[0] for line in differences(Forgetful, 64, (64,))] == ["replicated3 product, k=64, n=64"]


def test_an_empty_tensor_costs_rounds_but_no_bytes() -> None:
    for row in rows(64):
        sessions = make_sessions("replicated3")
        gates = [Replicated3(session) for session in sessions]

        def work(place: int, row: Row = row, gates: list[Replicated3] = gates) -> None:
            row.call(gates[place], inputs(gates[place], np.zeros((0, 3), dtype=np.int64)))

        in_threads([lambda place=place, work=work: work(place) for place in range(3)], sessions)
        assert sum(session.meter.total.bytes_sent for session in sessions) == 0, row.name
