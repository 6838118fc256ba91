"""Roots at the ends of their domain, with different fraction bits in and out, and where other systems are known to be
wrong. Errors over the whole domain are test_catalogue's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from kit.model import Model
from kit.parties import run_gates
from kit.sharing import any_word, deal, opened
from tacit.functions import roots
from tacit.functions.normal import SEGMENT_BITS, Bounds, bounds_of
from tacit.protocols import PROTOCOLS

ROOTS = pytest.mark.parametrize(
    ("function", "reference"),
    [(roots.rsqrt, lambda x: 1 / np.sqrt(x)), (roots.sqrt, np.sqrt)],
    ids=["rsqrt", "sqrt"],
)


def within(got: np.ndarray, exact: np.ndarray, result_bits: int) -> bool:
    """1.5 units + 2^-20 |y|."""
    units = exact * 2.0**result_bits
    return bool(np.all(np.abs(got - units) <= 1.5 + 2.0**-20 * units))


@ROOTS
@pytest.mark.parametrize(("frac_bits", "result_bits"), [(16, 16), (24, 16), (12, 16), (16, 15), (17, 8)], ids=str)
def test_the_result_has_the_fraction_bits_that_are_asked_for(
    function: Callable, reference: Callable, frac_bits: int, result_bits: int, rng: np.random.Generator
) -> None:
    model = Model(16, int(rng.integers(2**32)))
    bits = bounds_of(model, frac_bits).largest.bit_length()
    x = np.concatenate([[1, 2, 7, 8, 9, 2**bits - 1], np.exp2(rng.uniform(0, bits, 5000)).astype(np.int64)])
    got = model.value(function(model, model.of(x), frac_bits, result_bits))
    assert within(got, reference(x / 2.0**frac_bits), result_bits)


@ROOTS
def test_bounds_save_comparisons_and_nothing_else(
    function: Callable, reference: Callable, rng: np.random.Generator
) -> None:
    model = Model(16, int(rng.integers(2**32)))
    x = rng.integers(1 << 10, (1 << 20) + 1, 5000)
    got = model.value(function(model, model.of(x), 16, bounds=Bounds(1 << 10, 1 << 20)))
    assert within(got, reference(x / 2.0**16), 16)


@pytest.mark.parametrize(
    ("table", "scale_bits", "reference", "bits"),
    [(roots._rsqrt_table, 60, lambda x: 1 / np.sqrt(x), 20.1), (roots._sqrt_table, 57, np.sqrt, 22.5)],
    ids=["rsqrt", "sqrt"],
)
def test_tables_are_as_exact_where_they_are_steepest_as_the_bound_needs(
    table: Callable, scale_bits: int, reference: Callable, bits: float
) -> None:
    # A random point seldom meets the worst remainder of the worst row together with a large result.
    found = table()
    for row in (14, 15, 16):
        t = np.arange(-(1 << SEGMENT_BITS) + 1, 1 << SEGMENT_BITS, 4093, dtype=np.int64)
        t = t[(row << SEGMENT_BITS) + t >= 14 << SEGMENT_BITS]
        exact = reference(((row << SEGMENT_BITS) + t) / 2.0**29) * 2.0**scale_bits
        for up in (0, 1):  # a remainder is cut below or above
            said = np.full(t.shape, float(found.coefficients[0, row]))
            for degree, (column, drop) in enumerate(zip(found.coefficients[1:], found.drop, strict=True), start=1):
                said += float(column[row]) * ((t >> drop) + up).astype(float) ** degree
            assert np.abs(said / exact - 1).max() <= 2.0**-bits


def test_numbers_that_other_systems_get_wrong() -> None:
    model = Model(16, 1)
    x = np.rint(np.array([1e3, 1e-4, 1e4, 2.0**-16, 2.0**30]) * 2**16).astype(np.int64)
    assert within(model.value(roots.sqrt(model, model.of(x), 16)), np.sqrt(x / 2.0**16), 16)
    assert within(model.value(roots.rsqrt(model, model.of(x), 16)), 1 / np.sqrt(x / 2.0**16), 16)


def test_an_epsilon_below_one_unit_of_the_result_is_kept_by_guard_bits(rng: np.random.Generator) -> None:
    model = Model(16, int(rng.integers(2**32)))
    epsilon, guarded = 1e-5, 28  # 0.66 units of 2^-16, but 2684 of 2^-28
    variance = np.array([0.0, 1e-6, 1e-5, 1e-3, 1.0, 100.0])
    x = np.rint(variance * 2.0**guarded).astype(np.int64) + round(epsilon * 2.0**guarded)
    got = model.value(roots.rsqrt(model, model.of(x), guarded, 16)) / 2.0**16
    exact = 1 / np.sqrt(variance + epsilon)
    assert np.all(np.abs(got / exact - 1) < 2.0**-11)  # half a unit of 2684 in the epsilon itself
    assert np.all(np.abs(got - 1 / np.sqrt(x / 2.0**guarded)) <= 1.5 * 2.0**-16 + 2.0**-20 * exact)


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_what_is_not_positive_gives_what_is_documented(protocol: str, rng: np.random.Generator) -> None:
    x = np.array([0, -1, -(1 << 16), -(1 << 46)], dtype=np.int64)
    masks = any_word(rng, (2, 4))

    def work(p):
        shares = deal(p, x, *masks)
        return roots.sqrt(p, shares, 16), roots.rsqrt(p, shares, 16)

    root, inverse = (opened(part) for part in zip(*run_gates(work, protocol), strict=True))
    assert not root.any()
    assert np.all(np.abs(inverse - 2**24) <= 1.5 + 2.0**4)  # 1 / sqrt(one unit) = 2^8


@ROOTS
@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
@pytest.mark.parametrize("shape", [(), (0,), (3, 2)], ids=str)
def test_every_protocol_takes_every_shape(
    function: Callable, reference: Callable, protocol: str, shape: tuple[int, ...], rng: np.random.Generator
) -> None:
    x = np.asarray(rng.integers(1, 1 << 30, shape))
    masks = any_word(rng, (2, *shape))
    got = opened(run_gates(lambda p: function(p, deal(p, x, *masks), 16), protocol))
    assert got.shape == shape
    assert within(got, reference(x / 2.0**16), 16)
