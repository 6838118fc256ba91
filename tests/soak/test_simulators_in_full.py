"""Simulated against real views in the 64-bit ring, with 10^4 runs; a trained classifier as well; views of 2^20 pads.

Run with: pytest tests/soak/test_simulators_in_full.py
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kit import coins
from kit.distinguisher import chance, right_guesses
from kit.gates import Row, rows
from kit.imagined import counted, real, simulated, tell_apart, uniform, with_value, world_of
from kit.simulators import messages_of
from kit.view_laws import hidden_pads
from tacit.protocols import Masked, Replicated3

VICTIMS = pytest.mark.parametrize("victim", range(3), ids=["alice", "bob", "helper"])
KINDS = (Replicated3, Masked)
EVERY = [replace(row, kind=kind) for kind in KINDS for row in rows(64) if row.variables.get("s", 16) in (1, 16, 33, 62)]
SMALL = [replace(row, kind=kind) for kind in KINDS for row in rows(8) if row.variables.get("s", 1) in (1, 4, 6)]
RUNS, TRAIN = 10_048, 6_016


@pytest.fixture(autouse=True)
def fixed_roles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Party 2 is the helper of all elements, as the simulators have it."""
    monkeypatch.setattr(Masked, "rotated_from", 1 << 62)


@VICTIMS
@pytest.mark.parametrize("row", EVERY, ids=lambda row: row.name)
def test_nothing_tells_simulated_runs_from_real_ones(row: Row, victim: int, rng: np.random.Generator) -> None:
    composed = row.kind is Replicated3 and row.gate in ("at_least", "lookup", "lookup_count")
    runs = 1_344 if composed else RUNS
    world = world_of(row, victim, rng, runs, 64)
    one, other = real(world), simulated(world, uniform(int(rng.integers(2**32))))
    assert tell_apart(one, other) == []
    changing = one.var(axis=0) > 0
    if composed or row.variables.get("s", 16) != 16 or not changing.any():
        return
    choice = rng.integers(0, 2, runs)
    mixed = np.where(choice[:, None] == 1, one, other)[:, changing]
    held_out = runs - TRAIN
    low, high = chance(held_out)
    assert low <= right_guesses(mixed, choice, held_out, epochs=3) <= high


@VICTIMS
@pytest.mark.parametrize("row", SMALL, ids=lambda row: row.name)
def test_the_simulator_gives_every_small_view_as_often_as_the_gate(
    row: Row, victim: int, rng: np.random.Generator
) -> None:
    bits = sum(said.count * said.bits for said in messages_of(row, victim, 8) if not said.opens)
    if not 0 < bits <= 20:
        pytest.skip(f"{bits} bits of messages: none, or too many to enumerate")
    pads = hidden_pads(row, victim, 8)
    world = world_of(row, victim, rng, 1 << bits, 8)
    starts = dict(zip(pads, np.cumsum([0, *pads.values()]).tolist(), strict=False))
    for value in (world.fixed[0], world.fixed[0] + 1):
        here = with_value(world, value)
        one, other = real(here, coins.enumerated(victim, starts, 1 << bits)), simulated(here, counted)
        left, right = (np.unique(np.packbits(sample, axis=1), axis=0) for sample in (one, other))
        assert len(left) == 1 << bits
        assert np.array_equal(left, right)
