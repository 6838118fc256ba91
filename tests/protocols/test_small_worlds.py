"""Every pair of an 8-bit ring through every gate of every protocol, against Python's own integers.

For replicated3 the second number of a pair is often a mask: all values under all masks say more than all pairs of
values under one mask each.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from kit.parties import run_gates
from kit.sharing import any_word, deal, deal_bits, opened, opened_bits, wires
from tacit.protocols import PROTOCOLS, Bits
from tacit.protocols import bits as circuits
from tacit.ring import Ring, reference
from tacit.ring.kernels import mul

RING = Ring(8)
ALL = np.arange(-128, 128, dtype=np.int64)
LEFT, RIGHT = (axis.reshape(-1).copy() for axis in np.meshgrid(ALL, ALL, indexing="ij"))
EVERY = pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
#: |z| of a truncation in this ring; see docs/design/fixed-point.md.
TOP = 64


def run(work, protocol: str) -> list:
    return run_gates(work, protocol, ring_bits=8, frac_bits=2)


def masks(rng: np.random.Generator, count: int = 4) -> list[np.ndarray]:
    """Components 0 and 2 for `count` // 2 sharings; made once, so that the parties agree."""
    return [any_word(rng, LEFT.shape, 8) for _ in range(count)]


def wrapped(values: list[int]) -> np.ndarray:
    return np.array([reference.wrap(value, 8) for value in values], dtype=np.int64)


@EVERY
def test_product_is_right_for_all_pairs(protocol: str, rng: np.random.Generator) -> None:
    m = masks(rng)
    got = opened(run(lambda p: p.product(mul, deal(p, LEFT, m[0], m[1]), deal(p, RIGHT, m[2], m[3])), protocol), 8)
    assert np.array_equal(got, wrapped([a * b for a, b in zip(LEFT.tolist(), RIGHT.tolist(), strict=True)]))


@EVERY
@pytest.mark.parametrize("shift", range(1, 6))
def test_product_truncated_is_one_of_the_neighbours_for_all_pairs_in_the_domain(
    protocol: str, shift: int, rng: np.random.Generator
) -> None:
    inside = np.abs(LEFT * RIGHT) <= TOP - 2**shift
    x, y, m = LEFT[inside], RIGHT[inside], [mask[inside] for mask in masks(rng)]
    got = opened(
        run(lambda p: p.product_truncated(mul, deal(p, x, m[0], m[1]), deal(p, y, m[2], m[3]), shift), protocol), 8
    )
    for a, b, z in zip(x.tolist(), y.tolist(), got.tolist(), strict=True):
        assert z in reference.truncations(a * b, shift), (a, b, z)


@EVERY
@pytest.mark.parametrize("shift", range(1, 7))
def test_truncate_is_the_declared_function_for_all_values_and_all_masks(protocol: str, shift: int) -> None:
    # The masks are enumerated, so this is the gate as a table: floor((z + u) / 2^s) with u = r mod 2^s, r = -(x0 + x2).
    z, r = (axis.reshape(-1) for axis in np.meshgrid(np.arange(-TOP, TOP - 2**shift + 1), ALL, indexing="ij"))
    got = opened(run(lambda p: p.truncate(deal(p, z, x0=-r, x2=0), shift), protocol), 8)
    _, mask = wires(PROTOCOLS[protocol], z, -r, 0, 8)
    dither = np.full_like(r, 1 << (shift - 1)) if protocol == "plain" else mask % 2**shift
    want = [reference.truncate(v, shift, u) for v, u in zip(z.tolist(), dither.tolist(), strict=True)]
    assert got.tolist() == want
    if protocol == "replicated3":
        # The evaluators, who know c = z + r, can name a dither as well: another number, the same result.
        theirs = 2**shift - 1 - (z + r) % 2**shift
        assert np.array_equal(got, (z + theirs) >> shift)


@pytest.mark.parametrize("shift", range(1, 7))
def test_truncate_of_replicated3_is_right_up_to_the_last_value_before_the_wrap(shift: int) -> None:
    # The domain that we promise stops one unit earlier at the top; the proof covers these values as well.
    z, r = (axis.reshape(-1) for axis in np.meshgrid(np.arange(TOP - 2**shift, TOP), ALL, indexing="ij"))
    got = opened(run(lambda p: p.truncate(deal(p, z, x0=-r, x2=0), shift), "replicated3"), 8)
    assert np.array_equal(got, (z + r % 2**shift) >> shift)


@EVERY
def test_is_negative_is_right_for_all_values_under_all_masks(protocol: str) -> None:
    x = run(lambda p: p.is_negative(deal(p, LEFT, x0=RIGHT)), protocol)
    assert np.array_equal(opened_bits(x)[0], LEFT < 0)


@EVERY
def test_is_zero_is_right_for_all_values_under_all_masks(protocol: str) -> None:
    x = run(lambda p: p.is_zero(deal(p, LEFT, x2=RIGHT)), protocol)
    assert np.array_equal(opened_bits(x)[0], LEFT == 0)


def bit_worlds() -> np.ndarray:
    """All 64 pairs of sharings of one bit: rows a, a0, a2, b, b0, b2."""
    return np.array([[(n >> row) & 1 for n in range(64)] for row in range(6)], dtype=np.int64)


@EVERY
def test_and_xor_and_invert_are_right_for_all_sharings_of_all_bits(protocol: str) -> None:
    a, a0, a2, b, b0, b2 = bit_worlds()

    def work(p):
        x, y = deal_bits(p, a, a0, a2), deal_bits(p, b, b0, b2)
        return p.and_(x, y), p.xor(x, y), p.invert(x)

    both, either, neither = zip(*run(work, protocol), strict=True)
    assert np.array_equal(opened_bits(both)[0], a & b)
    assert np.array_equal(opened_bits(either)[0], a ^ b)
    assert np.array_equal(opened_bits(neither)[0], 1 - a)


@EVERY
@pytest.mark.parametrize("ring_bits", [8, 16, 32, 64])
def test_from_bits_is_right_for_all_sharings_of_a_bit(protocol: str, ring_bits: int) -> None:
    b, b0, b2, *_ = bit_worlds()
    got = run_gates(lambda p: p.from_bits(deal_bits(p, b, b0, b2), (4, 16)), protocol, ring_bits=ring_bits)
    assert np.array_equal(opened(got, ring_bits), b.reshape(4, 16))


@EVERY
@pytest.mark.parametrize("owner", range(3))
def test_share_of_each_owner_holds_every_value(protocol: str, owner: int) -> None:
    got = run(lambda p: p.share(owner, ALL if p.session.place == owner else None, ALL.shape), protocol)
    assert np.array_equal(opened(got, 8), ALL)


@EVERY
@pytest.mark.parametrize("to", [subset for size in range(4) for subset in combinations(range(3), size)])
def test_reveal_gives_every_value_to_the_receivers_and_to_nobody_else(protocol: str, to: tuple[int, ...]) -> None:
    got = run(lambda p: p.reveal(deal(p, LEFT, x0=RIGHT), to), protocol)
    for place in range(3):
        if place in to:
            assert np.array_equal(got[place], LEFT)
        else:
            assert got[place] is None


@EVERY
def test_public_numbers_are_added_and_multiplied_for_all_pairs(protocol: str, rng: np.random.Generator) -> None:
    m = masks(rng)
    assert np.array_equal(opened(run(lambda p: p.public(ALL), protocol), 8), ALL)
    total = opened(run(lambda p: p.add_public(deal(p, LEFT, m[0], m[1]), RIGHT), protocol), 8)
    assert np.array_equal(total, wrapped((LEFT + RIGHT).tolist()))
    grid = opened(run(lambda p: p.add_public(deal(p, ALL[:, None], m[0][:256, None]), ALL), protocol), 8)
    assert np.array_equal(grid.reshape(-1), total)
    many = run(lambda p: [p.scale(deal(p, ALL, m[0][:256], m[1][:256]), int(factor)) for factor in ALL], protocol)
    for factor, *shares in zip(ALL.tolist(), *many, strict=True):
        assert np.array_equal(opened(shares, 8), wrapped((ALL * factor).tolist()))


@EVERY
@pytest.mark.parametrize("width", [1, 2, 3, 5, 6])
def test_the_carry_circuit_is_right_for_all_pairs_of_small_numbers(protocol: str, width: int) -> None:
    a, b = (axis.reshape(-1) for axis in np.meshgrid(*[np.arange(2**width)] * 2))
    low, high = ([(n >> i) & 1 for i in range(width)] for n in (a, b))

    def work(p):
        x, y = deal_bits(p, np.array(low)), deal_bits(p, np.array(high))
        return p.run(circuits.carry_out(p, p.and_(x, y), p.xor(x, y))), p.run(circuits.all_of(p, x))

    carry, every = zip(*run(work, protocol), strict=True)
    assert np.array_equal(opened_bits(carry)[0], (a + b) >> width)
    assert np.array_equal(opened_bits(every)[0], a == 2**width - 1)


def test_a_plane_taken_out_of_bits_is_that_plane() -> None:
    a = bit_worlds()
    picked = run(lambda p: Bits(deal_bits(p, a).planes, 64).plane(2), "replicated3")
    assert np.array_equal(opened_bits(picked), a[2:3])
