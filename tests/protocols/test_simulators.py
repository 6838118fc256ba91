"""What a party sees of a gate can be made up without the others, together with its share of the result.

Reduced: in the 8-bit ring. The 64-bit ring, more runs and larger enumerations are in tests/soak.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kit import coins
from kit.gates import Row, rows
from kit.imagined import World, counted, real, simulated, tell_apart, uniform, with_value, world_of
from kit.simulators import MESSAGES, Said, messages_of
from kit.view_laws import hidden_pads
from tacit.protocols import Masked, Protocol, Replicated3
from tacit.protocols.sharing3 import Sharing3

RUNS = 576  # whole words of bits; a bit that is fair in one world and fixed in the other shows from 250 on
SHIFTS = (1, 6)


def rows_of(kind: type[Protocol], ring_bits: int = 8, shifts: tuple[int, ...] = SHIFTS) -> list[Row]:
    return [replace(row, kind=kind) for row in rows(ring_bits) if row.variables.get("s", shifts[0]) in shifts]


VICTIMS = pytest.mark.parametrize("victim", range(3), ids=["alice", "bob", "helper"])
KINDS = pytest.mark.parametrize("kind", [Replicated3, Masked], ids=["replicated3", "masked"])


def the_row(kind: type[Protocol], name: str) -> Row:
    (row,) = [row for row in rows_of(kind) if replace(row, kind=Replicated3).name == name]
    return row


@KINDS
def test_every_gate_has_a_simulator(kind: type[Protocol]) -> None:
    for row in rows_of(kind):
        assert (kind, row.gate) in MESSAGES or (Sharing3, row.gate) in MESSAGES, row.gate


@VICTIMS
@KINDS
def test_nothing_tells_a_simulated_view_and_result_from_real_ones(
    kind: type[Protocol], victim: int, rng: np.random.Generator
) -> None:
    for row in rows_of(kind):
        world = world_of(row, victim, rng, RUNS, 8)
        assert tell_apart(real(world), simulated(world, uniform(int(rng.integers(2**32))))) == [], row.name


@VICTIMS
@KINDS
def test_in_a_small_ring_the_simulator_gives_every_view_as_often_as_the_gate(
    kind: type[Protocol], victim: int, rng: np.random.Generator
) -> None:
    done = 0
    for row in rows_of(kind):
        bits = sum(said.count * said.bits for said in messages_of(row, victim, 8) if not said.opens)
        if not 0 < bits <= 13:
            continue
        pads = hidden_pads(row, victim, 8)
        assert sum(pads.values()) == bits, row.name
        world = world_of(row, victim, rng, 1 << bits, 8)
        starts = dict(zip(pads, np.cumsum([0, *pads.values()]).tolist(), strict=False))
        for value in (world.fixed[0], world.fixed[0] + 1):
            here = with_value(world, value)
            one, other = real(here, coins.enumerated(victim, starts, 1 << bits)), simulated(here, counted)
            assert np.array_equal(np.unique(one, axis=0), np.unique(other, axis=0)), (row.name, value)
            assert len(np.unique(one, axis=0)) == 1 << bits, (row.name, value)
        done += 1
    assert done or victim == 2


def a_bit_short(said: Said, runs: int, taken: int) -> bytes:
    """The lowest bit of every byte, or the first plane, is always 0."""
    payload = np.frombuffer(uniform(5)(said, runs, taken), np.uint8).copy()
    if said.bits == 1:
        payload[: payload.size // said.count] = 0
    return (payload & (0xFF if said.bits == 1 else 0xFE)).tobytes()


class Twice:
    """Every word is one that was already sent, as long as there are any."""

    def __init__(self) -> None:
        self.first: dict[int, bytes] = {}
        self.fresh = uniform(6)

    def __call__(self, said: Said, runs: int, taken: int) -> bytes:
        payload = self.fresh(said, runs, taken)
        again = self.first.setdefault(said.bits, payload)
        return again[: len(payload)] if len(again) >= len(payload) else payload


@pytest.mark.parametrize("name", ["product", "truncate-s6", "from_bits", "and_-planes3", "is_negative"])
@KINDS
def test_a_simulator_that_forgets_a_bit_is_caught(kind: type[Protocol], name: str, rng: np.random.Generator) -> None:
    world = world_of(the_row(kind, name), 1, rng, RUNS, 8)
    assert tell_apart(real(world), simulated(world, a_bit_short))


@pytest.mark.parametrize("name", ["product_truncated-s6", "from_bits", "lookup-case2", "select"])
@KINDS
def test_a_simulator_that_says_a_thing_twice_is_caught(
    kind: type[Protocol], name: str, rng: np.random.Generator
) -> None:
    world = world_of(the_row(kind, name), 1, rng, RUNS, 8)
    assert tell_apart(real(world), simulated(world, Twice()))


@pytest.mark.parametrize(
    ("name", "pad"), [("truncate-s6", "wrap-a-1"), ("from_bits", "reshare-a"), ("product_truncated-s6", "pad-a")]
)
@KINDS
def test_a_gate_that_leaks_is_caught(kind: type[Protocol], name: str, pad: str, rng: np.random.Generator) -> None:
    world = world_of(the_row(kind, name), 1, rng, RUNS, 8)
    source = coins.hidden_only(1, frozenset({pad}))
    assert tell_apart(real(world, source), simulated(world, uniform(7)))


def test_a_gate_that_tells_more_than_its_shape_allows_stops_the_simulation(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    product = MESSAGES[Masked, "product"]
    world: World = world_of(the_row(Masked, "product"), 1, rng, RUNS, 8)
    monkeypatch.setitem(MESSAGES, (Masked, "product"), lambda *call: product(*call)[:1])
    with pytest.raises(AssertionError, match="not to come"):
        simulated(world, uniform(8))
    monkeypatch.setitem(MESSAGES, (Masked, "product"), lambda *call: [*product(*call), Said("product", 2, 1)])
    with pytest.raises(AssertionError, match="never sent"):
        simulated(world, uniform(8))


@KINDS
def test_a_wrong_result_is_caught(kind: type[Protocol], rng: np.random.Generator) -> None:
    # Own components and messages are as they should be; only the component that the party lacks is of another value.
    world = world_of(the_row(kind, "product"), 0, rng, RUNS, 8)
    value = world.fixed[0]
    assert tell_apart(real(world), simulated(with_value(world, value + 1), uniform(9)))
