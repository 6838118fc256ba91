"""Truncation: off by one unit at most anywhere in its domain, right on average, and the same for the same dither."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest
import torch

from kit.parties import run_gates
from kit.replay import both
from kit.sharing import any_word, deal, opened
from tacit.errors import NotRepresentable
from tacit.functions import curves
from tacit.protocols import PROTOCOLS
from tacit.ring.kernels import matmul, mul

EVERY = pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
SHIFTS = (1, 7, 8, 9, 16, 17, 27, 33, 48, 61)
#: Fixed, so that the averages below come out the same on every run.
KEYS = {frozenset(pair): hashlib.sha256(repr(pair).encode()).digest() for pair in ((0, 1), (0, 2), (1, 2))}


def edges(shift: int) -> np.ndarray:
    """Domain ends, powers of two and their neighbours, and whole and half units."""
    low, high = -(2**62), 2**62 - 2**shift
    near = [sign * 2**k + d for k in range(62) for sign in (-1, 1) for d in (-1, 0, 1)]
    units = [n * 2**shift + d for n in (-2, -1, 0, 1, 2) for d in (-1, 0, 1, 2 ** (shift - 1))]
    ends = [low, low + 1, low + 2**shift, high, high - 1, high - 2 ** (shift - 1)]
    return np.array(sorted({v for v in near + units + ends if low <= v <= high}), dtype=np.int64)


def assert_neighbours(z: np.ndarray, y: np.ndarray, shift: int) -> None:
    floor = z >> shift
    assert np.array_equal(y[(z & ((1 << shift) - 1)) == 0], floor[(z & ((1 << shift) - 1)) == 0]), "exact values moved"
    off = y - floor
    assert off.min() >= 0
    assert off.max() <= 1


@EVERY
@pytest.mark.parametrize("shift", SHIFTS)
def test_truncate_errs_by_at_most_one_unit(protocol: str, shift: int, rng: np.random.Generator) -> None:
    z = np.concatenate([np.tile(edges(shift), 40), any_word(rng, (20_000,), 62)])
    z = z[z <= 2**62 - 2**shift]
    masks = any_word(rng, (2, *z.shape))
    got = opened(run_gates(lambda p: p.truncate(deal(p, z, *masks), shift), protocol))
    assert_neighbours(z, got, shift)


@EVERY
@pytest.mark.parametrize("shift", SHIFTS)
def test_product_truncated_errs_by_at_most_one_unit(protocol: str, shift: int, rng: np.random.Generator) -> None:
    # Any z of the domain is a product of 1 and z, or nearly one of two halves of it.
    whole = np.tile(edges(shift), 20)
    half = any_word(rng, (2, 20_000), 31)
    x = np.concatenate([whole, half[0]])
    y = np.concatenate([np.ones_like(whole), half[1]])
    keep = np.abs((x * y).astype(np.float64)) <= 2.0**62 - 2.0**shift
    x, y, masks = x[keep], y[keep], any_word(rng, (4, int(keep.sum())))
    got = opened(
        run_gates(lambda p: p.product_truncated(mul, deal(p, x, *masks[:2]), deal(p, y, *masks[2:]), shift), protocol)
    )
    assert_neighbours(x * y, got, shift)


@pytest.mark.parametrize("remainder", [0, 1, 2**14, 2**15, 3 * 2**14, 2**16 - 1])
@pytest.mark.parametrize("gate", ["truncate", "product_truncated"])
def test_truncation_of_replicated3_is_right_on_average(gate: str, remainder: int) -> None:
    count, shift, p = 40_000, 16, remainder / 2**16
    z = np.full(count, -(5 << 30) + remainder, dtype=np.int64)

    def work(protocol):
        x = protocol.share(0, z if protocol.session.place == 0 else None, z.shape)
        if gate == "truncate":
            return protocol.truncate(x, shift)
        return protocol.product_truncated(mul, x, protocol.public(np.ones_like(z)), shift)

    up = int((opened(run_gates(work, keys=KEYS)) - (z >> shift)).sum())
    # Rounded up with probability p exactly: a binomial count. The keys are fixed, so this passes always or never.
    assert abs(up - count * p) <= 4 * math.sqrt(count * p * (1 - p)), (up, count * p)


def test_truncation_of_plain_is_right_on_average() -> None:
    # Plain rounds to nearest: over all remainders the errors cancel, up to the one tie.
    z = np.arange(-(2**16), 2**16, dtype=np.int64)
    got = opened(run_gates(lambda p: p.truncate(deal(p, z), 12), "plain"))
    assert abs(float((got - z / 2**12).mean())) <= 2**-13


@pytest.mark.parametrize("shift", [1, 16, 27, 61])
def test_plain_with_the_dither_of_replicated3_gives_the_same_words(shift: int, rng: np.random.Generator) -> None:
    z, masks = edges(shift), any_word(rng, (2, *edges(shift).shape))
    shared, plain = both(lambda p: p.truncate(deal(p, z, *masks), shift))
    assert np.array_equal(opened(shared), opened(plain))


def test_a_whole_program_agrees_bit_for_bit_with_plain_under_the_same_dither(rng: np.random.Generator) -> None:
    x, w = rng.integers(-(3 << 16), 3 << 16, (40, 5)), rng.integers(-(1 << 16), 1 << 16, (5, 1))

    def step(p):
        a = p.share(0, x if p.session.place == 0 else None, x.shape)
        b = p.share(1, w if p.session.place == 1 else None, w.shape)
        score = curves.sigmoid(p, p.product_truncated(matmul, a, b, 16), 16)
        moved = b - p.truncate(p.product_truncated(matmul, a.transpose(1, 2), score, 16), 4)
        return p.reveal(joined(score, moved), (0, 1, 2))

    shared, plain = both(step)
    for ours, theirs in zip(shared, plain, strict=True):
        assert np.array_equal(ours, theirs)


def joined(*shares):
    return torch.cat([s.reshape(s.shape[0], -1) for s in shares], dim=1)


@pytest.mark.parametrize("value", [-(2**62) - 2**17, 2**62])
def test_the_rehearsal_refuses_a_value_outside_the_domain(value: int) -> None:
    z = np.array([0, value], dtype=np.int64)
    with pytest.raises(NotRepresentable, match="before truncation") as refusal:
        run_gates(lambda p: p.truncate(deal(p, z), 16), "plain")
    assert str(value) not in str(refusal.value)
    with pytest.raises(NotRepresentable, match="before truncation"):
        run_gates(lambda p: p.product_truncated(mul, deal(p, z), deal(p, np.ones_like(z)), 16), "plain")


def test_the_rehearsal_refuses_a_product_that_wraps_round_into_the_domain() -> None:
    x = np.array([2**40], dtype=np.int64)
    assert (x * x)[0] == 0
    with pytest.raises(NotRepresentable):
        run_gates(lambda p: p.product_truncated(mul, deal(p, x), deal(p, x), 16), "plain")


def test_a_wire_without_a_random_mask_rounds_one_way_as_the_documents_say() -> None:
    # docs/design/fixed-point.md: a public number has r = 0 and is rounded down, an input of the helper has c = 0 and is
    # rounded up. Neither happens in a run where the crypto-producer brings no data; this pins the statement.
    z = np.arange(-40, 40, dtype=np.int64)
    down = opened(run_gates(lambda p: p.truncate(p.public(z), 3)))
    up = opened(run_gates(lambda p: p.truncate(p.share(2, z if p.session.place == 2 else None, z.shape), 3)))
    assert np.array_equal(down, z >> 3)
    assert np.array_equal(up, -(-z >> 3))
