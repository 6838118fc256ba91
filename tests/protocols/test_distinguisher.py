"""A classifier that has seen many views of one party cannot tell two inputs apart, and could if a pad were missing.

4,000 held-out views of a larger step are in tests/soak. The keys here are fixed, so the outcome is the same each time.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from kit.distinguisher import chance, right_guesses, training_step, two_inputs, views
from kit.parties import run_gates
from kit.sharing import opened
from tacit.protocols import Plain

KEYS = {frozenset(pair): hashlib.sha256(repr(pair).encode()).digest() for pair in ((0, 1), (0, 2), (1, 2))}
TRAIN, HELD_OUT = 896, 512
CHOICE = np.random.default_rng(20).integers(0, 2, TRAIN + HELD_OUT)


def guesses(victim: int, missing: str | None = None) -> int:
    silent = frozenset({missing} if missing else ())
    return right_guesses(views(victim, CHOICE, 1, silent=silent, keys=KEYS), CHOICE, HELD_OUT)


@pytest.mark.parametrize("victim", range(3), ids=["alice", "bob", "helper"])
def test_a_classifier_does_no_better_than_chance_on_the_view_of(victim: int) -> None:
    low, high = chance(HELD_OUT)
    assert low <= guesses(victim) <= high


@pytest.mark.parametrize(
    ("victim", "missing"), [(0, "share"), (1, "share"), (1, "pad-a"), (2, "zero-product"), (2, "zero-bits")]
)
def test_a_classifier_wins_where_one_pad_is_missing(victim: int, missing: str) -> None:
    assert guesses(victim, missing) >= 0.95 * HELD_OUT


@pytest.mark.parametrize("victim", range(3))
def test_the_two_inputs_of_the_game_differ_and_lead_to_different_weights(victim: int) -> None:
    data = two_inputs(victim, np.array([0, 1] * 32), rows=1)
    weights = opened(run_gates(lambda p: training_step(p, data)))
    assert not np.array_equal(weights[:, 0], weights[:, 1])
    assert np.abs(weights[:, 0::2] - weights[:, :1]).max() <= 4  # equal but for rounding
    exact = run_gates(lambda p: training_step(p, data), Plain)[0][0].numpy()
    assert np.abs(weights - exact).max() <= 4


def test_the_interval_of_chance_holds_all_but_one_in_ten_thousand() -> None:
    low, high = chance(512)
    assert low + high == 512
    tosses = np.random.default_rng(1).binomial(512, 0.5, 100_000)
    assert 1e-6 < ((tosses < low) | (tosses > high)).mean() <= 1.3e-4
    assert chance(4_000) == (1877, 2123)
