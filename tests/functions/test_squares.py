"""Means of squares and quotients by their roots, over seven decades of gradients and beyond their format's ends."""

from __future__ import annotations

import numpy as np
import pytest

from kit.model import Model
from tacit.functions import squares

BITS = 28  # of gradients at 16 fraction bits, guard bits included
UNIT = 2.0**-squares.MEAN_BITS


def gradients(rng: np.random.Generator, count: int = 4000) -> np.ndarray:
    """Words from one unit to the largest that counts in full, of either sign, and the ends."""
    top = squares.LARGEST_ROOT >> squares.ROOT_BITS - BITS if squares.ROOT_BITS > BITS else (
        squares.LARGEST_ROOT << BITS - squares.ROOT_BITS)
    sizes = np.exp2(rng.uniform(0, np.log2(top), count)).astype(np.int64)
    return np.concatenate([sizes, -sizes, [0, 1, -1, top, -top]])


def model_and(rng: np.random.Generator) -> Model:
    return Model(16, int(rng.integers(2**32)))


def test_a_mean_follows_its_squares_whatever_their_size(rng: np.random.Generator) -> None:
    model = model_and(rng)
    words = gradients(rng)
    held, exact, weight = None, np.zeros(len(words)), 0.0
    slack = np.zeros(len(words))
    for step in range(12):
        x = np.roll(words, step % 3)  # neighbours are of other sizes
        weight = weight * 0.9 + 0.1
        part = 0.1 / weight
        held = squares.updated(model, model.of(x), BITS, held, part)
        square = (x * 2.0**-BITS) ** 2
        exact = (1 - part) * exact + part * square
        # The factor has 16 bits, the share that is lost 14; a number is rounded to 27 fraction bits before squaring.
        slack = slack + 2 * UNIT + 2.0**-13 * exact + part * (2 * np.sqrt(square) * 2.0**-27 + 2.0**-54) + (
            2.0**-14 * square)
    off = np.abs(model.value(held) * UNIT - exact)
    assert (off <= slack).all(), off[off > slack]


@pytest.mark.parametrize("addend", [0.0, 1e-8, 1e-6, 1e-3, 0.5])
def test_a_quotient_by_a_root_is_right_from_a_ten_millionth_to_eight(addend: float, rng: np.random.Generator) -> None:
    model = model_and(rng)
    roots = np.exp2(rng.uniform(-23, 3, 5000))
    mean = np.rint(roots**2 / UNIT).astype(np.int64)
    x = np.rint(roots * rng.uniform(-2, 2, roots.size) * 2.0**BITS).astype(np.int64)
    x = np.clip(x, -(8 << BITS), 8 << BITS)
    got = model.value(squares.quotient(model, model.of(x), BITS, model.of(mean), addend, BITS)) * 2.0**-BITS
    exact = x * 2.0**-BITS / (np.sqrt((mean + squares.FLOOR) * UNIT) + addend)
    small = addend <= squares.SMALL_ADDEND
    # A small addend is added in squares: off by less than itself. The inverse has 15 fraction bits, one over eight 12.
    slack = 2.0**-11 * np.abs(exact) + 2.0**-15 * np.abs(x) * 2.0**-BITS + 2.0**-26
    slack += np.abs(exact) * addend / roots if small else 0
    # Any other is rounded to a multiple of 2^-27, and so is the root.
    slack += np.abs(exact) * 2.0**-26 / (roots + addend)
    assert (np.abs(got - exact) <= slack).all()


def test_what_is_too_large_counts_as_the_largest(rng: np.random.Generator) -> None:
    model = model_and(rng)
    x = np.array([9, 100, 1 << 14, -9, -(1 << 14)], dtype=np.int64) << BITS
    mean = squares.updated(model, model.of(x), BITS, None, 1.0)
    assert (np.abs(model.value(mean) * UNIT - 64) < 1e-6).all()
    found = model.value(squares.quotient(model, model.of(x), BITS, mean, 0.0, BITS)) * 2.0**-BITS
    assert (np.abs(found - np.sign(x)) < 2.0**-10).all()


def test_zeros_stay_zeros(rng: np.random.Generator) -> None:
    model = model_and(rng)
    nothing = model.of(np.zeros(50, dtype=np.int64))
    held = None
    for part in (1.0, 0.5, 0.001):
        held = squares.updated(model, nothing, BITS, held, part)
        assert not model.value(held).any()
    assert not model.value(squares.quotient(model, nothing, BITS, held, 1e-8, BITS)).any()


def test_the_larger_of_two_means_is_taken_after_the_older_has_shrunk(rng: np.random.Generator) -> None:
    model = model_and(rng)
    a, b = (np.exp2(rng.uniform(0, 59, 2000)).astype(np.int64) for _ in range(2))
    for share in (1.0, 0.75, 0.01):
        got = model.value(squares.larger(model, model.of(a), model.of(b), share))
        exact = np.maximum(a.astype(float), share * b)
        # The factor by which the older shrinks is off by 2^-15.
        assert (np.abs(got - exact) <= 4 + 2.0**-14 * b).all(), share
