"""Thresholds and public tables say the same under every protocol: what `tables.meaning` says of the wire as it is cut.

All values of an 8-bit ring under all masks, then large words. The cut of a value depends on its mask, so the wire
(c, r) of every element is worked out beside the protocols.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kit.parties import run_gates
from kit.sharing import any_word, deal, deal_bits, opened, opened_bits, wires
from tacit.protocols import PROTOCOLS, Protocol
from tacit.protocols.interface import Pieces, Powers, Table, Threshold
from tacit.protocols.tables import meaning
from tacit.ring import Ring

ALL = np.arange(-128, 128, dtype=np.int64)
VALUES, MASKS = (axis.reshape(-1).copy() for axis in np.meshgrid(ALL, ALL, indexing="ij"))
EVERY = pytest.mark.parametrize("protocol", sorted(PROTOCOLS))


def run(work: Callable[[Protocol], Any], protocol: str) -> list[Any]:
    return run_gates(work, protocol, ring_bits=8, frac_bits=2)


def sure(protocol: str, index: np.ndarray, bound: int, shift: int, width: int) -> np.ndarray:
    """Where a threshold must be right: the fast gate takes the sign of index - bound, which must fit the width too."""
    return np.abs(index - bound) < 1 << (width - 1 - shift) if protocol == "masked" else np.full(index.shape, True)


def cells(protocol: str, x: np.ndarray, x0: np.ndarray, shift: int, bits: int) -> np.ndarray:
    """floor((x + u) / 2^shift) as a number of the ring without its low bits."""
    _, r = wires(PROTOCOLS[protocol], x, x0, 0, bits)
    return np.asarray(Ring(bits).wrap(x + (r & ((1 << shift) - 1)))) >> shift


def tables_of(rng: np.random.Generator, entries: int) -> list[Table]:
    def words(*shape: int) -> np.ndarray:
        return any_word(rng, shape)

    return [
        Pieces(words(1, entries), ()),
        Pieces(words(2, entries), (0,)),
        Pieces(words(4, entries), (0, 2, 3)),
        Powers(words(entries), 4),
        Powers(words(entries), 30),
    ]


@EVERY
def test_a_threshold_is_right_for_all_values_under_all_masks(protocol: str) -> None:
    asked = [Threshold(s, bound) for s in (0, 1, 3, 6) for bound in (-128 >> s, -1, 0, 1, 127 >> s)]
    got = run(lambda p: p.at_least(deal(p, VALUES, x0=MASKS), asked), protocol)
    for (shift, bound), row in zip(asked, opened_bits(got), strict=True):
        index = cells(protocol, VALUES, MASKS, shift, 8)
        among = sure(protocol, index, bound, shift, 8)
        assert np.array_equal(row[among], (index >= bound)[among]), (shift, bound)


@EVERY
@pytest.mark.parametrize("width", range(4, 7))
def test_a_threshold_within_a_width_is_right_for_all_values_of_it(protocol: str, width: int) -> None:
    top = 2 ** (width - 1)
    x, x0 = (axis.reshape(-1) for axis in np.meshgrid(np.arange(-top, top), ALL, indexing="ij"))
    asked = [Threshold(s, bound) for s in (0, 2) for bound in (-top >> s, -1, 0, 1, (top - 1) >> s)]
    got = run(lambda p: p.at_least(deal(p, x, x0=x0), asked, width), protocol)
    for (shift, bound), row in zip(asked, opened_bits(got), strict=True):
        index = cells(protocol, x, x0, shift, 8)
        among = sure(protocol, index, bound, shift, width)
        assert np.array_equal(row[among], (index >= bound)[among]), (shift, bound)


@EVERY
@pytest.mark.parametrize(("shift", "entries"), [(6, 4), (5, 8), (4, 2), (3, 16), (0, 8)])
def test_a_lookup_means_what_the_table_says_for_all_values_under_all_masks(
    protocol: str, shift: int, entries: int, rng: np.random.Generator
) -> None:
    asked = tables_of(rng, entries)
    factor = any_word(rng, VALUES.shape, 8)
    got = run(
        lambda p: p.lookup(deal(p, VALUES, x0=MASKS), shift, asked, {0: deal(p, factor), 2: deal(p, factor, x0=MASKS)}),
        protocol,
    )
    check(protocol, VALUES, MASKS, shift, asked, {0: factor, 2: factor}, got, 8)


@EVERY
@pytest.mark.parametrize("shift", [1, 9, 32, 48, 57])
def test_a_lookup_of_large_words_means_what_the_table_says(
    protocol: str, shift: int, rng: np.random.Generator
) -> None:
    x, x0, factor = any_word(rng, (3, 40, 5))
    asked = tables_of(rng, 128)
    got = run_gates(lambda p: p.lookup(deal(p, x, x0=x0), shift, asked, {3: deal(p, factor, x0=x0)}), protocol)
    check(protocol, x, x0, shift, asked, {3: factor}, got, 64)


def check(
    protocol: str,
    x: np.ndarray,
    x0: np.ndarray,
    shift: int,
    asked: list[Table],
    times: dict[int, np.ndarray],
    got: list[list],
    bits: int,
) -> None:
    c, r = wires(PROTOCOLS[protocol], x, x0, 0, bits)
    low = (1 << shift) - 1
    for number, table in enumerate(asked):
        index = ((c >> shift) - (r >> shift)) % table.entries
        want = meaning(table, index, c & low, r & low, shift) * times.get(number, 1)
        found = opened([shares[number] for shares in got], bits)
        assert np.array_equal(found, Ring(bits).wrap(want)), (number, shift)


@EVERY
def test_thresholds_of_large_words_are_right_at_their_edges(protocol: str, rng: np.random.Generator) -> None:
    asked = [Threshold(14, 64), Threshold(14, -64), Threshold(20, 3), Threshold(0, 12345)]
    edges = [(bound << shift) + near for shift, bound in asked for near in (-(2**14), -1, 0, 1, 2**14)]
    x = np.concatenate([np.tile(edges, 50), any_word(rng, (500,), 48)])
    x0 = any_word(rng, x.shape)
    got = run_gates(lambda p: p.at_least(deal(p, x, x0=x0), asked, 48), protocol)
    for (shift, bound), row in zip(asked, opened_bits(got), strict=True):
        index = cells(protocol, x, x0, shift, 64)
        among = sure(protocol, index, bound, shift, 48)
        assert np.array_equal(row[among], (index >= bound)[among]), (shift, bound)


@EVERY
@pytest.mark.parametrize(("count", "entries"), [(1, 2), (3, 4), (5, 8), (6, 4), (9, 16)])
def test_a_count_looks_up_what_it_is(protocol: str, count: int, entries: int, rng: np.random.Generator) -> None:
    every = np.array([[(n >> row) & 1 for n in range(1 << count)] for row in range(count)], dtype=np.int64)
    b0, b2 = rng.integers(0, 2, (2, *every.shape))
    asked = [Pieces(any_word(rng, (1, entries)), ()), Pieces(np.arange(entries)[None], ())]
    factor = any_word(rng, (1 << count,))

    def work(p: Protocol):
        return p.lookup_count(deal_bits(p, every, b0, b2), asked, {1: deal(p, factor, x0=3)})

    got = run_gates(work, protocol)
    number = every.sum(axis=0) % entries
    assert np.array_equal(opened([one[0] for one in got]), asked[0].coefficients[0][number])
    assert np.array_equal(opened([one[1] for one in got]), number * factor)


def test_a_lookup_that_the_ring_cannot_hold_is_refused() -> None:
    with pytest.raises(AssertionError, match="more bits than the ring"):
        run(lambda p: p.lookup(deal(p, ALL), 6, [Pieces(np.zeros((1, 8), dtype=np.int64), ())]), "replicated3")
