"""Ten million products at the edge of the range, and a million comparisons at each width.

Run with: pytest tests/soak/test_exactness_in_full.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from kit.parties import run_gates
from kit.sharing import deal, opened_bits
from tacit.protocols import PROTOCOLS, Protocol
from tacit.protocols.interface import Threshold

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "protocols"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

PRODUCTS = 10_000_000
BATCHES = 10


@pytest.mark.parametrize("shift", [16, 20])
@pytest.mark.parametrize("name", ["masked", "replicated3"])
def test_ten_million_products_at_the_edge_of_the_range_err_by_less_than_a_unit(
    name: str, shift: int, rng: np.random.Generator
) -> None:
    from test_exactness import largest_errors

    for _ in range(BATCHES):
        assert largest_errors(PROTOCOLS[name], rng, PRODUCTS // BATCHES, shift) == (0, 1)


@pytest.mark.parametrize("width", [8, 16, 24, 32, 48, 49, 63, 64])
@pytest.mark.parametrize("name", ["masked", "replicated3"])
def test_a_million_signs_and_thresholds_at_each_width(name: str, width: int, rng: np.random.Generator) -> None:
    from test_masked_in_full import edge_biased

    # Halves, so that differences from the bounds stay within the width as well.
    x, masks = edge_biased(rng, width) >> 1, edge_biased(rng, 64)
    top = 1 << (width - 2)
    asked = [Threshold(0, bound) for bound in (0, 1, -1, top // 3, -top // 2)]

    def work(p: Protocol) -> tuple[object, object]:
        shared = deal(p, x, x0=masks)
        return p.is_negative(shared, width), p.at_least(shared, asked, width)

    negative, reached = zip(*run_gates(work, PROTOCOLS[name]), strict=True)
    assert np.array_equal(opened_bits(negative)[0], x < 0)
    for threshold, row in zip(asked, opened_bits(reached), strict=True):
        assert np.array_equal(row, x >= threshold.bound), threshold
