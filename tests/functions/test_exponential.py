"""exp: from 0 far below to its saturation above, at every result precision that softmax asks for.

Errors over the whole domain at the common precision are in test_catalogue.
"""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np
import pytest

from kit.accuracy import points
from kit.model import Model
from kit.parties import run_gates
from kit.sharing import any_word, deal, opened
from tacit.functions import exponential
from tacit.functions.exponential import exp, exp_of_negative, highest, largest
from tacit.functions.segments import exact_decimals
from tacit.protocols import PROTOCOLS
from tacit.ring import FixedPoint

FRAC = pytest.mark.parametrize("frac_bits", [8, 12, 16, 20, 24])
EVERY = pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
FAR = (-600.0, -100.0, -30.0, 30.0, 100.0, 600.0)


def modelled(x: np.ndarray, frac_bits: int, seed: int = 3) -> np.ndarray:
    """exp under fresh random masks."""
    model = Model(frac_bits, seed)
    return model.value(exp(model, model.of(x), frac_bits))


@pytest.mark.parametrize(("frac_bits", "end"), [(12, 23.0), (16, 17.5), (20, 11.75), (24, 6.25)])
def test_it_saturates_where_the_bars_say(frac_bits: int, end: float) -> None:
    assert highest(frac_bits) == end
    # The last units before, and then one constant that no value before exceeds.
    x = (round(end * 2**frac_bits) - np.arange(1, 40_001)).astype(np.int64)
    y, exact = modelled(x, frac_bits), np.exp(x / 2.0**frac_bits)
    assert np.abs(y / 2.0**frac_bits - exact).max() <= 1.1 * 2.0**-frac_bits * exact.max()
    beyond = points((end + 0.25, math.inf), frac_bits, 4_000, np.random.default_rng(1))
    assert set(modelled(beyond, frac_bits).tolist()) == {largest(frac_bits)}
    assert largest(frac_bits) == pytest.approx(math.exp(end + 0.25) * 2**frac_bits, rel=1e-9)
    assert y.max() <= largest(frac_bits)


@FRAC
def test_between_its_domain_and_the_constant_it_is_either(frac_bits: int) -> None:
    x = (np.linspace(highest(frac_bits), highest(frac_bits) + 0.25, 20_000) * 2**frac_bits).astype(np.int64)
    y, exact = modelled(x, frac_bits), np.exp(x / 2.0**frac_bits) * 2.0**frac_bits
    near = np.abs(y - exact) <= 1.1 * exact * 2.0**-frac_bits
    assert (near | (y == largest(frac_bits))).all()
    assert near.any()


@FRAC
def test_no_result_is_more_than_a_value_may_be(frac_bits: int) -> None:
    assert largest(frac_bits) < 2 ** FixedPoint(64, frac_bits).value_bits


@FRAC
def test_far_below_it_is_0_exactly(frac_bits: int) -> None:
    x = points((-math.inf, -(frac_bits + 1) * math.log(2) - 0.5), frac_bits, 20_000, np.random.default_rng(2))
    assert not modelled(x, frac_bits).any()


def test_known_wrong_answers_of_others_are_right_here() -> None:
    got = modelled(np.array([round(x * 65536) for x in (-600.0, -20.0, 100.0, 0.0)]), 16)
    assert got[:2].tolist() == [0, 0]
    assert got[2] == largest(16)
    assert abs(got[3] - 65536) <= 1
    assert modelled(np.array([10 << 16]), 16)[0] == pytest.approx(math.exp(10) * 65536, abs=1.1 * math.exp(10))


@FRAC
def test_the_exponential_of_a_negative_at_every_precision(frac_bits: int) -> None:
    rng = np.random.default_rng(frac_bits)
    x = points((-math.inf, 0.0), frac_bits, 8_000, rng)
    for result_bits in (frac_bits, frac_bits + 3, frac_bits + 6, min(frac_bits + 10, 32)):
        model = Model(frac_bits, seed=5)
        y = model.value(exp_of_negative(model, model.of(x), frac_bits, result_bits)) / 2.0**result_bits
        exact = np.exp(x / 2.0**frac_bits)
        assert (np.abs(y - exact) <= 1.1 * 2.0**-result_bits + 2.0 ** -(frac_bits + 2) * exact).all(), result_bits


@FRAC
def test_the_exponential_of_a_negative_stays_in_the_domain_of_truncations_whatever_comes_in(frac_bits: int) -> None:
    # The model asserts the domain of every truncation. Nothing is promised for x > 0 but that it is small.
    x = points((-math.inf, math.inf), frac_bits, 8_000, np.random.default_rng(frac_bits))
    for result_bits in (frac_bits, frac_bits + 6, min(frac_bits + 10, 33)):
        model = Model(frac_bits, seed=6)
        y = model.value(exp_of_negative(model, model.of(x), frac_bits, result_bits))
        assert y.min() >= 0
        assert y.max() <= 2 << result_bits


@EVERY
@pytest.mark.parametrize("frac_bits", [12, 16, 20])
def test_every_protocol_keeps_the_bounds(protocol: str, frac_bits: int) -> None:
    rng = np.random.default_rng(9)
    unit = 1 << frac_bits
    x = np.concatenate([rng.integers(-12 * unit, int(highest(frac_bits) * unit), 300),
                        np.array([round(v * unit) for v in FAR]), np.arange(-2, 3)])
    masks = any_word(rng, (2, *x.shape))
    got = opened(run_gates(lambda p: exp(p, deal(p, x, *masks), frac_bits), protocol, frac_bits=frac_bits))
    exact = np.exp(np.minimum(x / unit, highest(frac_bits) + 0.25))
    assert (np.abs(got - exact * unit) <= 1.1 * np.maximum(1, exact)).all()
    below = np.minimum(x, 0)
    got = opened(run_gates(lambda p: exp_of_negative(p, deal(p, below, *masks), frac_bits, frac_bits + 6), protocol,
                           frac_bits=frac_bits))
    exact = np.exp(below / unit)
    assert (np.abs(got - exact * 64 * unit) <= 1.1 + 16 * exact).all()


@pytest.mark.parametrize("shape", [(), (0,), (2, 3)], ids=str)
def test_it_takes_every_shape(shape: tuple[int, ...], rng: np.random.Generator) -> None:
    x = np.asarray(rng.integers(-(5 << 16), 5 << 16, shape), dtype=np.int64)
    masks = any_word(rng, (2, *shape))
    y = opened(run_gates(lambda p: exp(p, deal(p, x, *masks), 16), "masked"))
    assert y.shape == shape
    exact = np.exp(x / 65536)
    assert np.all(np.abs(y - exact * 65536) <= 1.1 * np.maximum(1, exact))


def test_the_constants_are_these_integers_on_every_machine() -> None:
    assert exponential._log2_e() == 1549082005
    assert exponential._log2_e() % 2 == 1
    assert [exponential.largest(bits) for bits in (12, 16, 20, 24)] == [
        51251508451778, 3351251214703, 170660768167, 11159224848
    ]
    assert [exponential.top_octave(bits) for bits in (12, 16, 20, 24)] == [34, 26, 18, 10]
    with exact_decimals():
        assert abs(Decimal(1549082005) / 2**30 * Decimal(2).ln() - 1) < Decimal(2) ** -30
