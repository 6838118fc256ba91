"""Logarithms at the ends of their domain and with different fraction bits in and out. Errors over the whole domain are
test_catalogue's."""

from __future__ import annotations

import numpy as np
import pytest

from kit.model import Model
from kit.parties import run_gates
from kit.sharing import any_word, deal, opened
from tacit.functions.logarithm import log
from tacit.functions.normal import Bounds, bounds_of
from tacit.protocols import PROTOCOLS


@pytest.mark.parametrize(
    ("frac_bits", "result_bits"), [(16, 16), (26, 16), (16, 20), (20, 12), (0, 16), (15, 17)], ids=str
)
def test_the_result_has_the_fraction_bits_that_are_asked_for(
    frac_bits: int, result_bits: int, rng: np.random.Generator
) -> None:
    model = Model(16, int(rng.integers(2**32)))
    bits = bounds_of(model, frac_bits).largest.bit_length()
    x = np.concatenate([[1, 2, 7, 8, 9, 2**bits - 1], np.exp2(rng.uniform(0, bits, 5000)).astype(np.int64)])
    got = model.value(log(model, model.of(x), frac_bits, result_bits))
    assert np.abs(got - np.log(x / 2.0**frac_bits) * 2.0**result_bits).max() <= 2


def test_tiny_huge_and_one() -> None:
    model = Model(16, 1)
    x = np.array([1, 2, 1 << 16, (1 << 16) + 1, (1 << 47) - 1])
    got = model.value(log(model, model.of(x), 16))
    assert np.abs(got - np.log(x / 2.0**16) * 2.0**16).max() <= 1.2


def test_bounds_save_comparisons_and_nothing_else(rng: np.random.Generator) -> None:
    model = Model(16, int(rng.integers(2**32)))
    x = rng.integers(1 << 21, 1000 << 22, 5000)
    got = model.value(log(model, model.of(x), 22, 16, Bounds(1 << 21, 1000 << 22)))
    assert np.abs(got - np.log(x / 2.0**22) * 2.0**16).max() <= 1.2


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
@pytest.mark.parametrize("shape", [(), (0,), (3, 2)], ids=str)
def test_every_protocol_takes_every_shape_and_sign(
    protocol: str, shape: tuple[int, ...], rng: np.random.Generator
) -> None:
    x = np.asarray(rng.integers(-(1 << 20), 1 << 30, shape))
    masks = any_word(rng, (2, *shape))
    got = opened(run_gates(lambda p: log(p, deal(p, x, *masks), 16), protocol))
    assert got.shape == shape
    # What is not positive counts as one unit.
    assert np.all(np.abs(got - np.log(np.maximum(x, 1) / 2.0**16) * 2.0**16) <= 1.2)


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_what_is_not_positive_has_the_logarithm_of_one_unit(protocol: str) -> None:
    x = np.array([0, -1, -(1 << 46)], dtype=np.int64)
    got = opened(run_gates(lambda p: log(p, deal(p, x, 5, -6), 16), protocol))
    assert np.all(np.abs(got + 16 * np.log(2) * 2**16) <= 1.2)
