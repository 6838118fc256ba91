"""Reciprocals and quotients of either sign, at the ends of the domain, and where other systems are known to be wrong.

Errors over the whole domain are test_catalogue's.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kit.model import Model
from kit.parties import run_gates
from kit.sharing import any_word, deal, opened
from tacit.functions import reciprocal
from tacit.functions.normal import Bounds, bounds_of
from tacit.protocols import PROTOCOLS

FRAC = pytest.mark.parametrize("frac_bits", [12, 16, 20])


def spread(rng: np.random.Generator, bits: int, count: int) -> np.ndarray:
    """Positive words of all sizes below 2^bits, with powers of two and their neighbours."""
    powers = 2 ** np.arange(2, bits)
    sizes = np.exp2(rng.uniform(0, bits, count)).astype(np.int64)
    return np.concatenate([[1, 2, 3, 2**bits - 1], powers - 1, powers, powers + 1, sizes])


@FRAC
def test_negative_divisors_are_as_exact_as_positive_ones(frac_bits: int, rng: np.random.Generator) -> None:
    model = Model(frac_bits, int(rng.integers(2**32)))
    x = spread(rng, bounds_of(model, frac_bits).largest.bit_length(), 5000)
    exact = 2.0 ** (2 * frac_bits) / x
    for signed in (x, -x):
        got = model.value(reciprocal.reciprocal(model, model.of(signed), frac_bits))
        assert np.all(np.abs(got - np.sign(signed) * exact) <= 1.1 + 2.0**-25 * exact)


@FRAC
def test_a_known_sign_saves_the_comparison_and_nothing_else(frac_bits: int, rng: np.random.Generator) -> None:
    model = Model(frac_bits, int(rng.integers(2**32)))
    bounds = Bounds(1, bounds_of(model, frac_bits).largest)
    x = spread(rng, bounds.largest.bit_length(), 5000)
    exact = 2.0 ** (2 * frac_bits) / x
    got = model.value(reciprocal.reciprocal(model, model.of(x), frac_bits, bounds=bounds))
    assert np.all(np.abs(got - exact) <= 1.1 + 2.0**-25 * exact)


@pytest.mark.parametrize("guard_bits", [0, 4, 8, 12])
def test_guard_bits_make_the_unit_smaller(guard_bits: int, rng: np.random.Generator) -> None:
    model = Model(16, int(rng.integers(2**32)))
    x = spread(rng, 40, 3000)
    got = model.value(reciprocal.reciprocal(model, model.of(x), 16, guard_bits))
    exact = 2.0 ** (32 + guard_bits) / x
    assert np.all(np.abs(got - exact) <= 1.1 + 2.0**-25 * exact)


def test_numbers_that_other_systems_get_wrong() -> None:
    model = Model(16, 1)
    # CrypTen's Newton iteration diverges beyond 253.
    x = np.array([1e4, 254.0, 1000.0, 2.0**30, -1e4, 2.0**-16])
    got = model.value(reciprocal.reciprocal(model, model.of((x * 2**16).astype(np.int64)), 16))
    assert np.all(np.abs(got - 2.0**16 / x) <= 1.1 + 2.0**-25 * 2.0**16 / np.abs(x))


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_one_over_zero_is_finite_and_as_documented(protocol: str) -> None:
    zero = np.zeros(3, dtype=np.int64)
    found = opened(run_gates(lambda p: reciprocal.reciprocal(p, deal(p, zero, 7, -9), 16), protocol))
    assert np.all(np.abs(found / 2.0**16 - 2.0**14) <= 4)  # the first guess alone, relative 2^-13, twice


@FRAC
def test_a_quotient_is_off_by_what_the_guard_bits_leave(frac_bits: int, rng: np.random.Generator) -> None:
    model = Model(frac_bits, int(rng.integers(2**32)))
    for guard_bits in (4, 8):
        b = np.exp2(rng.uniform(-6, 8, 5000)) * rng.choice([-1, 1], 5000)
        a = np.exp2(rng.uniform(-6, 6, 5000)) * rng.choice([-1, 1], 5000)
        a, b = (np.rint(v * 2**frac_bits).astype(np.int64) for v in (a, b))
        inside = np.abs(a / b) < 2.0 ** (61 - 2 * frac_bits - guard_bits)
        a, b = a[inside], b[inside]
        got = model.value(reciprocal.divide(model, model.of(a), model.of(b), frac_bits, guard_bits))
        exact = a / b * 2.0**frac_bits
        allowed = 1.1 + 2.0**-25 * np.abs(exact) + np.abs(a) * 2.0 ** -(frac_bits + guard_bits)
        assert np.all(np.abs(got - exact) <= allowed)


@pytest.mark.parametrize(
    ("above", "below"), [((4, 3), (3,)), ((3,), (4, 3)), ((4, 1), (1, 3)), ((), (2,)), ((2, 0), (1,))], ids=str
)
def test_a_quotient_broadcasts_as_torch_does(
    above: tuple[int, ...], below: tuple[int, ...], rng: np.random.Generator
) -> None:
    a, b = (np.asarray(rng.integers(1 << 14, 1 << 18, shape)) for shape in (above, below))
    model = Model(16, int(rng.integers(2**32)))
    got = model.value(reciprocal.divide(model, model.of(a), model.of(b), 16))
    want = torch.as_tensor(a) / torch.as_tensor(b)
    assert got.shape == tuple(want.shape)
    assert np.all(np.abs(got - want.numpy() * 2.0**16) <= 1.2)


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
@pytest.mark.parametrize("shape", [(), (0,), (3, 2)], ids=str)
def test_every_protocol_divides_in_every_shape(
    protocol: str, shape: tuple[int, ...], rng: np.random.Generator
) -> None:
    a, b = rng.integers(-(1 << 20), 1 << 20, (2, *shape))
    b |= 1 << 12
    masks = any_word(rng, (4, *shape))
    got = opened(
        run_gates(lambda p: reciprocal.divide(p, deal(p, a, *masks[:2]), deal(p, b, *masks[2:]), 16), protocol)
    )
    assert got.shape == shape
    exact = a / b * 2.0**16
    assert np.all(np.abs(got - exact) <= 1.1 + 2.0**-25 * np.abs(exact) + np.abs(a) * 2.0**-24)


def test_large_tensors_are_cut_in_parts_and_come_out_the_same(rng: np.random.Generator) -> None:
    count = PROTOCOLS["masked"].rotated_from + 1
    x = rng.integers(1, 1 << 30, count) * rng.choice([-1, 1], count)
    masks = any_word(rng, (2, count))
    got = opened(run_gates(lambda p: reciprocal.reciprocal(p, deal(p, x, *masks), 16), "masked"))
    exact = 2.0**32 / x
    assert np.all(np.abs(got - exact) <= 1.1 + 2.0**-25 * np.abs(exact))
