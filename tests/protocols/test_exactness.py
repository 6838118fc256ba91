"""Errors of at most one unit at the very edge of the range, and whole training steps that agree with plain bit for bit.

The long version is tests/soak/test_exactness_in_full.py.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kit.parties import run_gates
from kit.replay import both, same
from kit.sharing import any_word, deal, opened
from tacit.protocols import Masked, Protocol, Replicated3, Shares
from tacit.protocols.interface import Pieces, Threshold
from tacit.protocols.sharing3 import Sharing3
from tacit.ring.kernels import matmul, mul

KINDS = pytest.mark.parametrize("kind", [Replicated3, Masked], ids=["replicated3", "masked"])


def at_the_edge(rng: np.random.Generator, count: int, shift: int) -> tuple[np.ndarray, np.ndarray]:
    """Factors of all sizes whose products lie within a few units of either end of the domain, or beside zero."""
    x = any_word(rng, (count,)) >> rng.integers(2, 61, count)
    x[x == 0] = 1
    end = np.where(rng.integers(0, 2, count) == 0, 2**62 - 2**shift, -(2**62))
    y = end // x
    y -= np.sign(y) * rng.integers(0, 3, count)
    far = np.abs(x.astype(float) * y) > 2.0**61.9  # by the floor the product may have passed the end
    y -= np.where(far, np.sign(y), 0)
    y[:: 50] = np.sign(y[:: 50])
    return x, y


def largest_errors(kind: type[Protocol], rng: np.random.Generator, count: int, shift: int) -> tuple[int, int]:
    """Smallest and largest difference from the product rounded down."""
    x, y = at_the_edge(rng, count, shift)
    exact = x * y  # within 64 bits, as asserted below
    assert np.abs(x.astype(float) * y.astype(float)).max() <= 2.0**62
    inside = (exact >= -(2**62)) & (exact <= 2**62 - 2**shift)
    assert inside.all()
    masks = any_word(rng, (4, count))
    results = run_gates(
        lambda p: p.product_truncated(mul, deal(p, x, *masks[:2]), deal(p, y, *masks[2:]), shift), kind
    )
    off = opened(results) - (exact >> shift)
    return int(off.min()), int(off.max())


@KINDS
@pytest.mark.parametrize("shift", [1, 16, 20, 45])
def test_products_at_the_edge_of_the_range_err_by_less_than_a_unit(
    kind: type[Protocol], shift: int, rng: np.random.Generator
) -> None:
    assert largest_errors(kind, rng, 100_000 // 8, shift) == (0, 1)


def test_the_products_do_reach_the_edge(rng: np.random.Generator) -> None:
    x, y = at_the_edge(rng, 10_000, 16)
    assert (x * y).max() > 2**62 - 2**40
    assert (x * y).min() < -(2**62) + 2**40


def sigmoid_pieces() -> Pieces:
    """A line for each of 16 segments of [-8, 8) at 16 fraction bits: not a good sigmoid, but one with every gate."""
    middle = (np.arange(16) + 8) % 16 - 8.0
    value = 1 / (1 + np.exp(-middle))
    slope = value * (1 - value)
    return Pieces(np.round(np.stack([value * 2**32, slope * 2**16])).astype(np.int64), (0,))


def training_step(p: Protocol, data: np.ndarray, labels: np.ndarray, weights: list[np.ndarray]) -> list[Shares]:
    """One step of a network with a hidden layer: products, signs, selections, thresholds, lookups, all roundings."""

    def step(kernel, x: Shares, y: Shares, shift: int = 16) -> Shares:
        return p.product_truncated(kernel, x, y, shift)

    def turned(x: Shares) -> Shares:
        return x.transpose(-1, -2).contiguous()

    def owned(owner: int, values: np.ndarray) -> Shares:
        return p.share(owner, values if p.session.place == owner else None, values.shape)

    x, y = owned(0, data), owned(1, labels)
    first, second = (owned(2, weight) for weight in weights)
    hidden = step(matmul, x, first)
    positive = p.invert(p.is_negative(hidden, 48))
    active = p.select(positive, hidden)
    scores = step(matmul, active, second)

    def curve(q: Protocol, z: Shares):
        """Within the window the table, outside it 0 or 1; two branches that round at different times."""

        def inside():
            (found,) = yield from q.steps("lookup", z, 16, [sigmoid_pieces()])
            return (yield from q.steps("truncate", found, 16))

        def window():
            bits = yield from q.steps("at_least", z, [Threshold(16, -8), Threshold(16, 8)], 40)
            ones = yield from q.steps("from_bits", bits.plane(1), (z[0].numel(),))
            return bits, ones

        (bits, ones), cut = yield from q.abreast(window(), inside())
        within = q.xor(bits.plane(0), bits.plane(1))
        kept = yield from q.steps("select", within, cut)
        return kept + ones.reshape(kept.shape) * 2**16

    wrong = p.elementwise(curve, scores) - y
    slope = step(matmul, wrong, turned(second))
    back = p.select(positive, slope)
    changes = p.together(
        [
            ("product_truncated", matmul, turned(x), back, 20),
            ("product_truncated", matmul, turned(active), wrong, 20),
        ]
    )
    squares = p.product_truncated(mul, wrong, wrong, 16)
    return [first - changes[0], second - changes[1], squares]


@pytest.mark.parametrize("rotated_from", [1 << 62, 192], ids=["one helper", "three helpers"])
@KINDS
def test_a_training_step_agrees_with_plain_bit_for_bit(
    kind: type[Sharing3], rotated_from: int, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Masked, "rotated_from", rotated_from)
    data = rng.integers(-(2**17), 2**17, (96, 5))
    labels = rng.integers(0, 2, (96, 4)) << 16
    weights = [rng.integers(-(2**17), 2**17, shape) for shape in ((5, 6), (6, 4))]

    def program(p: Protocol) -> list[np.ndarray | None]:
        return [p.reveal(part, (0, 1, 2)) for part in training_step(p, data, labels, weights)]

    shared, plain = both(program, kind)
    for ours, theirs in zip(shared, plain, strict=True):
        assert all(same(one, other) for one, other in zip(ours, theirs, strict=True))


def test_the_replay_notices_a_single_different_rounding(rng: np.random.Generator) -> None:
    x = any_word(rng, (300,), 40)

    def program(p: Protocol) -> np.ndarray | None:
        shared = p.share(0, x if p.session.place == 0 else None, x.shape)
        if p.name == "plain":
            shared = shared + torch.tensor([1 << 7] + [0] * 299)
        return p.reveal(p.truncate(shared, 8), (0, 1, 2))

    seen = [same(*(results[0] for results in both(program, Masked))) for _ in range(12)]
    assert False in seen  # half a unit more is rounded up half of the time
