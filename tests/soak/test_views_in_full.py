"""The view tests of tests/protocols in full size: 10^5 runs of every gate at every shift, larger enumerations.

Run with: pytest tests/soak/test_views_in_full.py
"""

from __future__ import annotations

import numpy as np
import pytest

from kit.gates import Row
from kit.view_laws import (
    assert_uniform,
    assert_views_enumerate,
    blinded_rows,
    fixed_inputs,
    hidden_pads,
    separate_runs,
    single_rows,
    unnoticed,
)
from kit.views import Field, faults

RUNS = 100_032  # 10^5, up to a whole number of machine words
VICTIMS = pytest.mark.parametrize("victim", range(3), ids=["alice", "bob", "helper"])
EVERY_SHIFT = (1, 4, 8, 9, 16, 17, 27, 33, 62)


@VICTIMS
@pytest.mark.parametrize("row", blinded_rows(64, EVERY_SHIFT), ids=lambda row: row.name)
def test_each_message_inside_a_gate_is_uniform_over_100_000_runs(
    row: Row, victim: int, rng: np.random.Generator
) -> None:
    assert_uniform(row, victim, fixed_inputs(rng, 64), RUNS)


@VICTIMS
@pytest.mark.parametrize("row", single_rows(64, EVERY_SHIFT), ids=lambda row: row.name)
def test_a_gate_with_one_pad_left_out_is_caught(row: Row, victim: int, rng: np.random.Generator) -> None:
    for _ in range(5):
        assert unnoticed(row, victim, fixed_inputs(rng, 64), 10_048) == []


@VICTIMS
@pytest.mark.parametrize("row", single_rows(8, (1, 4, 6)), ids=lambda row: row.name)
def test_every_view_of_the_8_bit_ring_occurs_exactly_once(row: Row, victim: int, rng: np.random.Generator) -> None:
    # Up to 2^24 views in one batch, 8 GB; of the 2^32 of product_truncated at bob two pads at a time.
    small_enough = sum(hidden_pads(row, victim, 8).values()) <= 24
    complete = assert_views_enumerate(row, victim, fixed_inputs(rng, 8), bits_max=24 if small_enough else 16)
    assert complete == small_enough


@VICTIMS
def test_a_thousand_separate_sessions_look_the_same(victim: int, rng: np.random.Generator) -> None:
    gates = ("share", "product", "product_truncated", "truncate", "is_negative", "is_zero", "and_", "from_bits")
    parts = separate_runs(victim, 1_000, fixed_inputs(rng, 64), gates)
    assert faults(parts) == []
    dead = [Field(part.name, part.bits * np.uint8(number > 0), part.whole) for number, part in enumerate(parts)]
    assert faults(dead)
