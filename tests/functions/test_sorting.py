"""Sorting is torch's stable sort, exactly; and the bits that everybody sees do not depend on what is sorted."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch

from kit.model import Model
from kit.parties import in_threads, make_sessions, run_gates
from kit.sharing import any_word, deal, opened
from kit.views import Z
from tacit.errors import ShapeError
from tacit.functions import sorting
from tacit.protocols import PROTOCOLS, Masked, Protocol, Shares

EVERY = pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
#: Chi-square with 3 degrees of freedom is above this with a probability of 2e-14.
UNEVEN = 68.0


def check(x: np.ndarray, axis: int, descending: bool, found: tuple[np.ndarray, np.ndarray]) -> None:
    want = torch.sort(torch.as_tensor(x), dim=axis, descending=descending, stable=True)
    assert np.array_equal(found[0], want.values.numpy())
    assert np.array_equal(found[1], want.indices.numpy())


def sorted_by(protocol: str, x: np.ndarray, rng: np.random.Generator, axis: int, **options) -> tuple:
    masks = any_word(rng, (2, *x.shape))
    parts = run_gates(lambda p: sorting.sort(p, deal(p, x, *masks), axis, **options), protocol)
    return tuple(opened(part) for part in zip(*parts, strict=True))


def first_bits(lanes: np.ndarray) -> np.ndarray:
    """The bits opened on the first level of sorting [3, lanes]: two for each lane."""
    noted: list[np.ndarray] = []

    def work(p: Protocol) -> None:
        opens = p.reveal_bits
        seen: list[np.ndarray] = []

        def noting(x):
            seen.append(opens(x))
            return seen[-1]

        p.reveal_bits = noting
        sorting.sort(p, deal(p, lanes, 5, -9), 0, width=32)
        if p.session.place == 0:
            noted.append(seen[0])

    run_gates(work, Masked)
    return noted[0][0].reshape(lanes.shape[1], 2)


@pytest.mark.parametrize("descending", [False, True])
def test_all_orders_of_up_to_four_small_numbers(descending: bool) -> None:
    model = Model(16, 1)
    for entries in (1, 2, 3, 4):
        x = np.array(list(product((-2, 0, 1, 3), repeat=entries)), dtype=np.int64)
        found = sorting.sort(model, model.of(x), 1, descending=descending, width=4)
        check(x, 1, descending, (model.value(found[0]), model.value(found[1])))


@EVERY
@pytest.mark.parametrize(
    ("shape", "axis", "descending"),
    [((5,), 0, False), ((33,), -1, True), ((7, 2), 0, True), ((2, 3, 6), -2, False), ((2, 0), 0, False),
     ((1, 3), 0, True), ((0,), 0, False)],
    ids=str,
)  # fmt: skip
def test_every_protocol_sorts_ties_and_negatives_along_any_axis(
    protocol: str, shape: tuple[int, ...], axis: int, descending: bool, rng: np.random.Generator
) -> None:
    x = rng.integers(-3, 4, shape) << 40  # many ties, and differences of almost the width
    check(x, axis, descending, sorted_by(protocol, x, rng, axis, descending=descending, width=44))


@EVERY
def test_without_a_width_values_may_use_what_the_numbers_leave(protocol: str, rng: np.random.Generator) -> None:
    # 9 entries take 4 bits; differences stay below 2^59.
    x = rng.integers(-(2**58) + 1, 2**58, (9, 4))
    x[:2, 0] = 2**58 - 1, -(2**58) + 1
    check(x, 0, False, sorted_by(protocol, x, rng, 0))


def test_large_tensors_are_compared_in_parts_and_come_out_the_same(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    monkeypatch.setattr(Masked, "rotated_from", 192)
    monkeypatch.setattr(Masked, "slab_words", 512)
    x = rng.integers(-9, 10, (40, 30))
    check(x, 0, False, sorted_by("masked", x, rng, 0, width=8))


def test_more_bits_than_the_ring_has_are_refused() -> None:
    model = Model(16, 1)
    x = model.of(np.zeros((9, 1), dtype=np.int64))
    with pytest.raises(ShapeError, match="expected at most 64 bits together, got 65"):
        sorting.sort(model, x, 0, width=61)
    sorting.sort(model, x, 0, width=60)


@pytest.mark.parametrize("values", [(4, 4, 4), (1, 2, 3), (3, 1, 1)], ids=str)
def test_opened_bits_are_as_frequent_as_for_any_other_values(values: tuple[int, ...]) -> None:
    lanes = 3_000
    bits = first_bits(np.repeat(np.array(values)[:, None], lanes, axis=1))
    counts = np.bincount(bits @ np.array([2, 1]), minlength=4)
    # The first of three is the largest or the smallest as often as it is in the middle.
    expected = lanes * np.array([1 / 3, 1 / 6, 1 / 6, 1 / 3])
    assert (((counts - expected) ** 2) / expected).sum() < UNEVEN


def test_lanes_with_the_same_values_show_different_bits() -> None:
    pairs = 3_000
    codes = first_bits(np.repeat(np.array([1, 2, 3])[:, None], 2 * pairs, axis=1)) @ np.array([2, 1])
    agree = int((codes[::2] == codes[1::2]).sum())
    # Independent lanes agree with probability 2/9 + 2/36. An indicator has half the range of a sign.
    assert abs(agree - pairs * 5 / 18) < Z * math.sqrt(pairs) / 2


def test_a_level_takes_a_comparison_and_an_opening() -> None:
    sessions = make_sessions("masked")

    def work(place: int) -> Shares:
        p = PROTOCOLS["masked"](sessions[place])
        return sorting.sort(p, deal(p, np.arange(100)), 0, width=20)[0]

    in_threads([lambda place=place: work(place) for place in range(3)], sessions)
    (rounds,) = {session.meter.total.rounds for session in sessions}
    levels, rest = divmod(rounds - 3, 4)
    assert rest == 0
    # A tree of 100 holds at least 7 levels; more than 60 of a random one come with a probability below 1e-20.
    assert 6 <= levels <= 60
