"""Every positive value is brought into [7 * 2^26, 2^32], under any mask; bounds save comparisons and nothing else."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from kit.model import Model
from tacit.errors import NotRepresentable
from tacit.functions import normal
from tacit.functions.normal import Bounds
from tacit.protocols import Protocol, Shares
from tacit.protocols.rounds import Steps

LARGEST = 2**47 - 1


def edges(largest: int) -> np.ndarray:
    """Where a threshold may or may not be passed, and powers of two, with their neighbours."""
    marks = [2**k for k in range(48)] + [7 * 8**k for k in range(16)]
    found = {mark + more for mark in marks for more in (-1, 0, 1)} | {largest}
    return np.array(sorted(x for x in found if 1 <= x <= largest), dtype=np.int64)


def octave_and_normal(model: Model, x: np.ndarray, bounds: Bounds) -> tuple[np.ndarray, np.ndarray]:
    on = normal.ladder(bounds)
    number = on.table(lambda n: n, -1)

    def steps(p: Protocol, x: Shares, on: normal.Ladder = on) -> Steps[list[Shares]]:
        found, others = yield from normal.normalised(p, x, on, [number])
        return [found, *others]

    found, n = model.elementwise(steps, model.of(x))
    return model.value(n), model.value(found)


@pytest.mark.parametrize("bounds", [Bounds(-LARGEST, LARGEST), Bounds(0, LARGEST), Bounds(1, LARGEST)], ids=str)
def test_every_value_is_brought_into_the_rows_of_a_table(bounds: Bounds, rng: np.random.Generator) -> None:
    model = Model(seed=int(rng.integers(2**32)))
    x = np.concatenate([np.repeat(edges(LARGEST), 20), np.arange(1, 5000)])
    n, found = octave_and_normal(model, x, bounds)
    assert n.min() == 0
    assert n.max() == 15
    assert np.all(x >= 7 * 8.0 ** (n - 1))
    assert np.all(x < 8.0 ** (n + 1))
    assert found.min() >= 7 << 26
    assert found.max() <= 1 << 32
    assert np.all(np.abs(found - x * 2.0 ** (29 - 3 * n)) < 1)


def test_what_is_not_positive_has_a_row_of_its_own(rng: np.random.Generator) -> None:
    model = Model(seed=int(rng.integers(2**32)))
    x = np.array([0, -1, -8, -LARGEST], dtype=np.int64)
    n, found = octave_and_normal(model, x, Bounds(-LARGEST, LARGEST))
    assert np.array_equal(n, [-1] * 4)
    assert not found.any()


@pytest.mark.parametrize(
    ("bounds", "thresholds"),
    [
        (Bounds(-LARGEST, LARGEST), 16),
        (Bounds(1, LARGEST), 15),
        (Bounds(2**21, 1000 << 22), 3),  # a sum of a thousand exponentials with 22 fraction bits
        (Bounds(2**21, 3 << 22), 1),
        (Bounds(1, 7), 1),
        (Bounds(64, 64), 1),
    ],
    ids=str,
)
def test_bounds_save_comparisons_and_change_nothing(
    bounds: Bounds, thresholds: int, rng: np.random.Generator
) -> None:
    model = Model(seed=int(rng.integers(2**32)))
    assert len(normal.ladder(bounds).thresholds) == thresholds
    x = np.concatenate([edges(bounds.largest), rng.integers(max(bounds.smallest, 1), bounds.largest + 1, 2000)])
    x = x[x >= bounds.smallest]
    n, found = octave_and_normal(model, x, bounds)
    assert np.all((found >= 7 << 26) & (found <= 1 << 32))
    assert np.all(np.abs(found - x * 2.0 ** (29 - 3 * n)) < 1)


@pytest.mark.parametrize("bounds", [Bounds(1, 2**47), Bounds(5, 4), Bounds(-3, 0)], ids=str)
def test_bounds_that_no_normal_form_serves_are_refused(bounds: Bounds) -> None:
    with pytest.raises(NotRepresentable, match="no normal form"):
        normal.ladder(bounds)


@pytest.mark.parametrize("frac_bits", [8, 12, 16, 20, 24])
def test_default_bounds_hold_every_difference_of_two_values(frac_bits: int) -> None:
    model = Model(frac_bits)
    bounds = normal.bounds_of(model, frac_bits)
    assert bounds.largest == -bounds.smallest == min(2 ** (model.fixed.value_bits + 1), 2**47) - 1
    # Guard bits of the input widen the range in units, up to what can be scaled.
    assert normal.bounds_of(model, frac_bits + 2).largest == min(4 * bounds.largest + 3, LARGEST)


def test_the_lowest_row_says_what_its_neighbour_says_one_segment_further() -> None:
    table = normal.segments(lambda x: 1 / x.sqrt(), 60, (25, 15, 12), 32)
    said = partial(_said, table)
    step = 1 << normal.SEGMENT_BITS
    t = np.arange(0, step, 99991, dtype=np.int64)
    # The rows drop different bits of t and of t - 2^25 alike, for both are multiples of 2^25 apart.
    assert np.abs(said(14, t) / said(15, t - step) - 1).max() < 2.0**-21.5


def _said(table: normal.Pieces, row: int, t: np.ndarray) -> np.ndarray:
    total = np.full(t.shape, float(table.coefficients[0, row]))
    for degree, (column, drop) in enumerate(zip(table.coefficients[1:], table.drop, strict=True), start=1):
        total += float(column[row]) * (t >> drop).astype(float) ** degree
    return total
