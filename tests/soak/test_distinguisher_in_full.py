"""The game of tests/protocols/test_distinguisher.py with fresh keys, two rows of data and 4,000 held-out views."""

from __future__ import annotations

import numpy as np
import pytest

from kit.distinguisher import chance, right_guesses, views

HELD_OUT = 4_000
RUNS = 8_000  # a whole number of machine words, so that every plane holds whole runs
VICTIMS = pytest.mark.parametrize("victim", range(3), ids=["alice", "bob", "helper"])


@VICTIMS
def test_a_classifier_does_no_better_than_chance_on_4_000_views_of(victim: int, rng: np.random.Generator) -> None:
    choice = rng.integers(0, 2, RUNS)
    low, high = chance(HELD_OUT)
    guesses = right_guesses(views(victim, choice, 2), choice, HELD_OUT, epochs=20)
    print(f"{guesses} of {HELD_OUT} right; chance is {low} to {high}")
    assert low <= guesses <= high


@pytest.mark.parametrize(
    ("victim", "missing"), [(0, "share"), (1, "share"), (1, "pad-a"), (2, "zero-product"), (2, "zero-bits")]
)
def test_a_classifier_is_right_nearly_always_where_one_pad_is_missing(
    victim: int, missing: str, rng: np.random.Generator
) -> None:
    choice = rng.integers(0, 2, RUNS)
    bits = views(victim, choice, 2, silent=frozenset({missing}))
    assert right_guesses(bits, choice, HELD_OUT, epochs=5) >= 0.99 * HELD_OUT
