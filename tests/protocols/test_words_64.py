"""The 64-bit ring: random words, words near every power of two, and every kind of shape."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kit.parties import run_gates
from kit.sharing import any_word, deal, deal_bits, opened, opened_bits
from tacit.protocols import PROTOCOLS
from tacit.ring import reference
from tacit.ring.kernels import matmul, mul

EVERY = pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
EDGES = np.array(
    sorted({reference.wrap(sign * 2**k + d, 64) for k in range(64) for sign in (-1, 1) for d in (-1, 0, 1)}),
    dtype=np.int64,
)
SHAPES = [(), (0,), (1,), (3, 0, 2), (63,), (64,), (65,), (2, 3, 5)]


def pairs(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Edges with edges, edges with random words, random words with each other."""
    left, right = (axis.reshape(-1) for axis in np.meshgrid(EDGES, EDGES))
    many = any_word(rng, (3, 4_000))
    biased = rng.choice(EDGES, 4_000)
    return np.concatenate([left, biased, many[0]]), np.concatenate([right, many[1], many[2]])


@EVERY
def test_products_and_sums_wrap_as_python_integers_do(protocol: str, rng: np.random.Generator) -> None:
    x, y = pairs(rng)
    m = any_word(rng, (4, *x.shape))

    def work(p):
        a, b = deal(p, x, *m[:2]), deal(p, y, *m[2:])
        return p.product(mul, a, b), p.add_public(a, y), p.scale(a, -(2**63)), p.scale(a, 3), a - b

    exact = list(zip(x.tolist(), y.tolist(), strict=True))
    wanted = (
        [a * b for a, b in exact], [a + b for a, b in exact], [a << 63 for a, _ in exact], [3 * a for a, _ in exact],
        [a - b for a, b in exact],
    )
    for got, want in zip(zip(*run_gates(work, protocol), strict=True), wanted, strict=True):
        assert opened(got).tolist() == [reference.wrap(value, 64) for value in want]


@EVERY
@pytest.mark.parametrize("ring_bits", [16, 32, 64])
def test_sign_and_zero_are_right_at_every_edge_under_edge_masks(
    protocol: str, ring_bits: int, rng: np.random.Generator
) -> None:
    x, r = (v >> (64 - ring_bits) for v in pairs(rng))
    x[-50:] = 0

    def work(p):
        shared = deal(p, x, x0=r)
        return p.is_negative(shared), p.is_zero(shared)

    negative, zero = zip(*run_gates(work, protocol, ring_bits=ring_bits), strict=True)
    assert np.array_equal(opened_bits(negative)[0], x < 0)
    assert np.array_equal(opened_bits(zero)[0], x == 0)


@EVERY
def test_matrix_products_match_the_slow_ones(protocol: str, rng: np.random.Generator) -> None:
    x, y = any_word(rng, (4, 7)), any_word(rng, (7, 3))
    m, n = any_word(rng, (2, 4, 7)), any_word(rng, (2, 7, 3))
    got = opened(run_gates(lambda p: p.product(matmul, deal(p, x, *m), deal(p, y, *n)), protocol))
    assert got.tolist() == reference.matmul(x.tolist(), y.tolist(), 64)


@EVERY
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("ring_bits", [8, 64])
def test_every_gate_takes_every_shape(
    protocol: str, shape: tuple[int, ...], ring_bits: int, rng: np.random.Generator
) -> None:
    x, m = rng.integers(-5, 5, shape), any_word(rng, (4, *shape), ring_bits)
    x = np.asarray(x, dtype=np.int64)

    def work(p):
        a = deal(p, x, m[0], m[1])
        inputs = [p.share(owner, x if p.session.place == owner else None, shape) for owner in range(3)]
        return {
            "public": p.public(x), "share 0": inputs[0], "share 1": inputs[1], "share 2": inputs[2],
            "add_public": p.add_public(a, x), "scale": p.scale(a, 2),
            "product": p.product(mul, a, a), "truncate": p.truncate(p.scale(a, 4), 2),
            "product_truncated": p.product_truncated(mul, p.scale(a, 2), p.public(np.full(shape, 2)), 2),
            "negative": p.from_bits(p.is_negative(a), shape), "zero": p.from_bits(p.is_zero(a), shape),
            "reveal": p.reveal(a, (0, 1, 2)),
        }  # fmt: skip

    results = run_gates(work, protocol, ring_bits=ring_bits, frac_bits=2)
    wanted = {
        **dict.fromkeys(("public", "share 0", "share 1", "share 2", "truncate", "product_truncated", "reveal"), x),
        "add_public": 2 * x, "scale": 2 * x, "product": x * x, "negative": x < 0, "zero": x == 0,
    }  # fmt: skip
    for name, want in wanted.items():
        if name == "reveal":
            for result in results:
                assert result[name].shape == shape
                assert np.array_equal(result[name], want)
        else:
            got = opened([result[name] for result in results], ring_bits)
            assert got.shape == shape, name
            assert np.array_equal(got, want), name


@EVERY
@pytest.mark.parametrize(
    ("left", "right"),
    [((), (3,)), ((3,), ()), ((2, 1), (1, 4)), ((5, 2), (2,)), ((2,), (5, 2)), ((0, 3), (3,))],
    ids=str,
)
def test_public_addends_and_products_broadcast_as_torch_does(
    protocol: str, left: tuple[int, ...], right: tuple[int, ...], rng: np.random.Generator
) -> None:
    x, y, m = any_word(rng, left), any_word(rng, right), any_word(rng, (2, *left))
    got = opened(run_gates(lambda p: p.add_public(deal(p, x, *m), y), protocol))
    want = (torch.as_tensor(x) + torch.as_tensor(y)).numpy()
    assert got.shape == want.shape
    assert np.array_equal(got, want)


@EVERY
def test_an_operand_is_never_changed_and_may_be_a_view(protocol: str, rng: np.random.Generator) -> None:
    x, m = any_word(rng, (6, 8), 20), any_word(rng, (2, 6, 8))

    def work(p):
        a = deal(p, x, *m)
        before = a.clone()
        view = a.transpose(1, 2)[:, ::2]
        p.add_public(view, np.ones((), dtype=np.int64))
        outcomes = p.product(mul, view, view), p.truncate(view, 3), p.is_negative(view), p.reveal(view, (0, 1, 2))
        assert torch.equal(a, before)
        return outcomes

    product, truncated, negative, revealed = zip(*run_gates(work, protocol), strict=True)
    view = x.T[::2]
    assert np.array_equal(opened(product), view * view)
    assert np.abs(opened(truncated) - view / 8).max() < 1
    assert np.array_equal(opened_bits(negative)[0], view.reshape(-1) < 0)
    assert np.array_equal(revealed[0], view)


def test_bits_of_many_planes_are_taken_plane_by_plane(rng: np.random.Generator) -> None:
    rows = rng.integers(0, 2, (2, 5, 130))
    hidden = rng.integers(0, 2, (4, 5, 130))
    got = run_gates(lambda p: p.and_(deal_bits(p, rows[0], *hidden[:2]), deal_bits(p, rows[1], *hidden[2:])))
    assert np.array_equal(opened_bits(got), rows[0] & rows[1])
