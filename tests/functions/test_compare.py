"""Comparisons are exact on the shared integers: all pairs of a small ring, edges of the large one, every shape."""

from __future__ import annotations

import numpy as np
import pytest

from kit.parties import in_threads, make_sessions, run_gates
from kit.sharing import any_word, deal, opened
from tacit.functions import compare
from tacit.protocols import PROTOCOLS, Protocol, Replicated3

EVERY = pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
ALL = np.arange(-128, 128, dtype=np.int64)


@EVERY
def test_signs_and_zeros_of_the_8_bit_ring(protocol: str, rng: np.random.Generator) -> None:
    masks = any_word(rng, (2, 256), 8)

    def work(p: Protocol):
        x = deal(p, ALL, *masks)
        negative = compare.is_negative(p, x)
        return negative, compare.is_zero(p, x), compare.inverted(p, negative)

    negative, zero, positive = zip(*run_gates(work, protocol, ring_bits=8, frac_bits=2), strict=True)
    assert np.array_equal(opened(negative, 8), ALL < 0)
    assert np.array_equal(opened(zero, 8), ALL == 0)
    assert np.array_equal(opened(positive, 8), ALL >= 0)


@EVERY
def test_every_threshold_against_every_value_that_cannot_overflow(protocol: str) -> None:
    half = np.arange(-64, 64, dtype=np.int64)
    thresholds = [int(t) for t in half]
    got = opened(run_gates(lambda p: compare.at_least(p, deal(p, half, 17, -5), thresholds), protocol, ring_bits=8), 8)
    assert np.array_equal(got, half[None, :] >= half[:, None])


@EVERY
def test_all_thresholds_share_the_same_rounds(protocol: str) -> None:
    def rounds(count: int) -> int:
        sessions = make_sessions(protocol)

        def work(place: int) -> None:
            p = PROTOCOLS[protocol](sessions[place])
            compare.at_least(p, p.public(np.zeros(3, dtype=np.int64)), list(range(count)))

        in_threads([lambda place=place: work(place) for place in range(3)], sessions)
        return sessions[0].meter.total.rounds

    assert rounds(1) == rounds(40)


def test_rounds_are_as_the_module_says() -> None:
    for function, want in ((compare.is_negative, 10), (compare.is_zero, 9), (compare.inverted, 0)):
        sessions = make_sessions("replicated3")

        def work(place: int, function=function, sessions=sessions) -> None:
            p = Replicated3(sessions[place])
            function(p, p.public(np.zeros(3, dtype=np.int64)))

        in_threads([lambda place=place, work=work: work(place) for place in range(3)], sessions)
        assert sessions[0].meter.total.rounds == want


@EVERY
@pytest.mark.parametrize("shape", [(), (0,), (3, 2)], ids=str)
def test_select_takes_one_side_exactly(protocol: str, shape: tuple[int, ...], rng: np.random.Generator) -> None:
    x, y, bits = any_word(rng, shape), any_word(rng, shape), np.asarray(rng.integers(0, 2, shape))
    masks = any_word(rng, (6, *shape))
    got = opened(
        run_gates(
            lambda p: compare.select(p, deal(p, bits, *masks[:2]), deal(p, x, *masks[2:4]), deal(p, y, *masks[4:])),
            protocol,
        )
    )
    assert np.array_equal(got, np.where(bits == 1, x, y))


@EVERY
def test_broadcast_expands_the_secret_and_not_the_components(protocol: str, rng: np.random.Generator) -> None:
    x = any_word(rng, (3, 1))
    got = opened(run_gates(lambda p: compare.broadcast(deal(p, x, 5, 6), (2, 3, 4)), protocol))
    assert np.array_equal(got, np.broadcast_to(x, (2, 3, 4)))
