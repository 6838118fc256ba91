"""Shuffled rows are the same rows, in an order that is uniform and stays so for whoever knows two of the three hops."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from kit.parties import Source, run_gates
from kit.sharing import any_word, deal, opened
from tacit.protocols import Masked, Protocol, Replicated3
from tacit.ring import Ring
from tacit.session.randomness import Randomness

KINDS = pytest.mark.parametrize("kind", [Replicated3, Masked], ids=["replicated3", "masked"])
LANES = 6_000
#: Chi-square with 5 degrees of freedom is above this with a probability of 4e-14.
UNEVEN = 72.0


def orders(kind: type[Protocol], rng: np.random.Generator, rows: int, lanes: int, source: Source) -> np.ndarray:
    """Where each row came from, [rows, lanes]."""
    numbers = np.repeat(np.arange(rows)[:, None], lanes, axis=1)
    masks = any_word(rng, (2, rows, lanes))
    return opened(run_gates(lambda p: p.shuffle(deal(p, numbers, *masks), apart=True), kind, randomness=source))


def unevenness(found: np.ndarray) -> float:
    """Chi-square of the six orders of three rows."""
    _, counts = np.unique(found.T @ np.array([9, 3, 1]), return_counts=True)
    expected = found.shape[1] / 6
    return float((((counts - expected) ** 2).sum() + (6 - counts.size) * expected**2) / expected)


def knowing(victim: int) -> Source:
    """Orders that `victim` knows leave everything where it is."""

    class Known(Randomness):
        place = -1

        def _draw(self, peer: int, purpose: str, shape: tuple[int, ...], dtype: np.dtype[np.signedinteger]):
            drawn = super()._draw(peer, purpose, shape, dtype)
            return drawn * 0 if purpose.endswith("-order") and victim in (self.place, peer) else drawn

    def made(keys: Mapping[int, bytes], session_id: bytes) -> Randomness:
        randomness = Known(keys, session_id)
        randomness.place = ({0, 1, 2} - set(keys)).pop()
        return randomness

    return made


@pytest.mark.parametrize("ring_bits", [8, 32, 64])
@KINDS
def test_whole_rows_move_and_none_is_lost(kind: type[Protocol], ring_bits: int, rng: np.random.Generator) -> None:
    numbers = np.arange(40)
    x = Ring(ring_bits).wrap(np.stack([numbers, 3 * numbers - 7, numbers << (ring_bits - 7)], axis=1))
    masks = any_word(rng, (2, *x.shape), ring_bits)
    results = run_gates(lambda p: p.shuffle(deal(p, x, *masks)), kind, ring_bits=ring_bits, frac_bits=2)
    found = opened(results, ring_bits)
    assert not np.array_equal(found, x)  # once in 40! runs
    assert np.array_equal(x[found[:, 0]], found)
    assert np.array_equal(np.sort(found[:, 0]), numbers)


@KINDS
def test_lanes_move_apart_and_what_lies_behind_them_moves_along(
    kind: type[Protocol], rng: np.random.Generator
) -> None:
    numbers = np.arange(60).reshape(20, 3)
    x = np.stack([numbers, -numbers], axis=-1)
    masks = any_word(rng, (2, *x.shape))
    found = opened(run_gates(lambda p: p.shuffle(deal(p, x, *masks), apart=True), kind))
    assert np.array_equal(found[..., 1], -found[..., 0])
    assert np.array_equal(np.sort(found[..., 0], axis=0), numbers)
    ranks = found[..., 0] // 3
    assert not np.array_equal(ranks[:, 0], ranks[:, 1])  # once in 20! runs


def test_without_secrecy_rows_stay(rng: np.random.Generator) -> None:
    x = any_word(rng, (5, 2))
    assert np.array_equal(opened(run_gates(lambda p: p.shuffle(p.public(x)), "plain")), x)


@KINDS
def test_all_orders_of_three_rows_are_equally_frequent(kind: type[Protocol], rng: np.random.Generator) -> None:
    assert unevenness(orders(kind, rng, 3, LANES, Randomness)) < UNEVEN


@pytest.mark.parametrize("victim", range(3), ids=["alice", "bob", "helper"])
def test_they_are_to_a_party_that_knows_two_hops_of_the_three(victim: int, rng: np.random.Generator) -> None:
    assert unevenness(orders(Masked, rng, 3, LANES, knowing(victim))) < UNEVEN


def test_an_order_that_is_no_shuffle_is_found_uneven(rng: np.random.Generator) -> None:
    # Each row changes places with any: 27 equally likely ways to 6 orders, 4/27 or 5/27 each. In four times the lanes
    # the sum of squares is 300 on average, give or take 35.
    lanes = 4 * LANES
    found = np.repeat(np.arange(3)[:, None], lanes, axis=1)
    for row in range(3):
        other = rng.integers(0, 3, lanes)
        lane = np.arange(lanes)
        found[row, lane], found[other, lane] = found[other, lane], found[row, lane].copy()
    assert unevenness(found) > UNEVEN


def test_two_calls_move_rows_differently(rng: np.random.Generator) -> None:
    x = np.arange(30)

    def twice(p: Protocol):
        return [p.shuffle(deal(p, x)), p.shuffle(deal(p, x))]

    one, other = zip(*run_gates(twice, Masked), strict=True)
    assert not np.array_equal(opened(one), opened(other))  # once in 30! runs


def test_shuffles_abreast_share_rounds() -> None:
    def work(p: Protocol):
        before = p.session.meter.total.rounds
        found = p.together([("shuffle", deal(p, np.arange(9))), ("shuffle", deal(p, np.arange(20)))])
        return found, p.session.meter.total.rounds - before

    results = run_gates(work, Masked)
    assert {rounds for _, rounds in results} == {3}
    for number, count in enumerate((9, 20)):
        assert np.array_equal(np.sort(opened([found[number] for found, _ in results])), np.arange(count))
