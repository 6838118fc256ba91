"""Comparisons of the masked protocol on a million edge-biased values at each width, and its views at full size.

Run with: pytest tests/soak/test_masked_in_full.py
"""

from __future__ import annotations

import numpy as np
import pytest

from kit.gates import Row
from kit.parties import run_gates
from kit.sharing import any_word, deal, opened_bits
from kit.view_laws import assert_uniform, blinded_rows, fixed_inputs, unnoticed
from tacit.protocols import Masked

COUNT = 1_000_000
ROWS = blinded_rows(64, (16,), Masked)


def edge_biased(rng: np.random.Generator, width: int) -> np.ndarray:
    """Half of them within 2 of a power of two, the rest anywhere, all of `width` bits."""
    near = rng.choice([-1, 1], COUNT) * (1 << rng.integers(0, width - 1, COUNT)) + rng.integers(-2, 3, COUNT)
    top = 1 << (width - 2)
    return np.where(rng.integers(0, 2, COUNT), np.clip(near, -2 * top, top - 1 + top), any_word(rng, (COUNT,), width))


@pytest.mark.parametrize("width", [8, 16, 24, 32, 48, 49, 63, 64])
def test_a_million_signs_and_zero_tests_at_each_width(width: int, rng: np.random.Generator) -> None:
    x, masks = edge_biased(rng, width), edge_biased(rng, 64)
    x[: COUNT // 10] = 0

    def work(p: Masked):
        shared = deal(p, x, x0=masks)
        return p.is_negative(shared, width), p.is_zero(shared)

    negative, zero = zip(*run_gates(work, Masked), strict=True)
    assert np.array_equal(opened_bits(negative)[0], x < 0)
    assert np.array_equal(opened_bits(zero)[0], x == 0)


@pytest.mark.parametrize("victim", range(3), ids=["alice", "bob", "helper"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_views_are_uniform_over_100_000_runs_and_need_every_pad(
    row: Row, victim: int, rng: np.random.Generator
) -> None:
    assert_uniform(row, victim, fixed_inputs(rng, 64), 100_032)
    assert unnoticed(row, victim, fixed_inputs(rng, 64), 10_048) == []
