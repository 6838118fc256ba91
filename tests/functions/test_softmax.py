"""softmax where sums are long, gaps are wide and axes are anywhere. Errors on rows of 64 are test_catalogue's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kit.model import Model
from kit.parties import run_gates
from kit.sharing import any_word, deal, opened
from tacit.functions import softmax
from tacit.protocols import PROTOCOLS

FRAC = pytest.mark.parametrize("frac_bits", [12, 16, 20])


def errors(x: np.ndarray, frac_bits: int, seed: int, axis: int = -1) -> tuple[float, float]:
    """The largest errors of softmax and of its logarithm, in units."""
    model = Model(frac_bits, seed)
    exact = torch.as_tensor(x / 2.0**frac_bits)
    found = []
    for function, reference in ((softmax.softmax, torch.softmax), (softmax.log_softmax, torch.log_softmax)):
        got = model.value(function(model, model.of(x), frac_bits, axis))
        assert got.shape == x.shape
        found.append(float(np.abs(got - reference(exact, axis).numpy() * 2.0**frac_bits).max()))
    return found[0], found[1]


@FRAC
@pytest.mark.parametrize(("entries", "deviation"), [(1000, 1), (1000, 4), (3, 1), (2, 1000), (1, 1)])
def test_long_and_short_sums_are_within_two_units(
    frac_bits: int, entries: int, deviation: float, rng: np.random.Generator
) -> None:
    x = np.rint(rng.normal(0, deviation, (max(2000 // entries, 20), entries)) * 2**frac_bits).astype(np.int64)
    assert max(errors(x, frac_bits, int(rng.integers(2**32)))) <= 2


@FRAC
def test_a_thousand_entries_that_all_but_vanish_are_not_forgotten(frac_bits: int, rng: np.random.Generator) -> None:
    # Around one unit of the exponentials, where each is rounded to 0 or 1, and somewhat above.
    end = (frac_bits + softmax.guard_bits(1000, frac_bits)) * np.log(2)
    for gap in (end - 3, end - 1, end, end + 0.3):
        x = np.zeros((8, 1000))
        x[:, 1:] = rng.uniform(-0.1, 0.1, (8, 999)) - gap
        assert max(errors(np.rint(x * 2**frac_bits).astype(np.int64), frac_bits, int(rng.integers(2**32)))) <= 2


@FRAC
def test_a_gap_of_a_thousand_is_zero_and_one(frac_bits: int) -> None:
    x = np.array([[0, 1000, 0], [1000, 0, -1000], [-5, -1005, -1005]]) << frac_bits
    model = Model(frac_bits, 1)
    got = model.value(softmax.softmax(model, model.of(x), frac_bits))
    assert np.all(np.abs(got - (np.array([[0, 1, 0], [1, 0, 0], [1, 0, 0]]) << frac_bits)) <= 1)
    logarithm = model.value(softmax.log_softmax(model, model.of(x), frac_bits))
    assert np.all(np.abs(logarithm - (x - x.max(1, keepdims=True))) <= 1)


def test_probabilities_add_up_to_one_as_well_as_their_roundings_do(rng: np.random.Generator) -> None:
    model = Model(16, int(rng.integers(2**32)))
    x = np.rint(rng.normal(0, 1, (20, 1000)) * 2**16).astype(np.int64)
    total = model.value(softmax.softmax(model, model.of(x), 16)).sum(1)
    assert np.abs(total - (1 << 16)).max() <= 100  # a thousand roundings by a third of a unit: six deviations


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
def test_any_axis_will_do(axis: int, rng: np.random.Generator) -> None:
    x = rng.integers(-(4 << 16), 4 << 16, (3, 4, 5))
    assert max(errors(x, 16, int(rng.integers(2**32)), axis)) <= 2


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
@pytest.mark.parametrize("shape", [(1,), (5,), (3, 4), (0, 3), (3, 0)], ids=str)
def test_every_protocol_takes_every_shape(protocol: str, shape: tuple[int, ...], rng: np.random.Generator) -> None:
    x = rng.integers(-(8 << 16), 8 << 16, shape)
    masks = any_word(rng, (2, *shape))

    def work(p):
        shares = deal(p, x, *masks)
        return softmax.softmax(p, shares, 16), softmax.log_softmax(p, shares, 16)

    exact = torch.as_tensor(x / 2.0**16)
    for part, want in zip(
        zip(*run_gates(work, protocol), strict=True),
        (torch.softmax(exact, -1), torch.log_softmax(exact, -1)),
        strict=True,
    ):
        got = opened(part)
        assert got.shape == shape
        assert np.all(np.abs(got - want.numpy() * 2.0**16) <= 2)
