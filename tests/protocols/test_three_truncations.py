"""The three ways to drop bits: each computes exactly what it says, costs what it declares, and shows nothing more."""

from __future__ import annotations

import numpy as np
import pytest

from kit import coins
from kit.gates import Inputs, Row, declared, inputs, rows
from kit.parties import in_threads, make_sessions, run_gates
from kit.sharing import any_word, deal, opened
from kit.view_laws import assert_uniform, fixed_inputs, view_of
from kit.views import faults
from tacit.functions import curves
from tacit.protocols import PROTOCOLS, Masked, Protocol
from tacit.protocols.sharing3 import Sharing3
from tacit.ring import Ring, reference
from tacit.ring.kernels import mul
from tacit.session.truncation import DITHERED, FAITHFUL, PROBABILISTIC, TRUNCATIONS

WRAP = Ring(8).wrap
MASKS = np.arange(-128, 128, dtype=np.int64)
TOP = 64
REAL = ("masked", "replicated3")
SHARED = pytest.mark.parametrize("protocol", REAL)
EVERY = pytest.mark.parametrize("protocol", sorted(PROTOCOLS))


def grid(low: int, high: int) -> tuple[np.ndarray, np.ndarray]:
    """Every value from low to high under every mask of an 8-bit ring: (z, r)."""
    z, r = np.meshgrid(np.arange(low, high + 1), MASKS, indexing="ij")
    return z.reshape(-1).copy(), r.reshape(-1).copy()


def truncated(protocol: str, truncation: str, z: np.ndarray, r: np.ndarray, shift: int) -> np.ndarray:
    options = {"ring_bits": 8, "frac_bits": 2, "truncation": truncation}
    return opened(run_gates(lambda p: p.truncate(deal(p, z, x0=-r, x2=0), shift), protocol, **options), 8)


class Masks(Sharing3):
    """Products that are opened under masks given by the test, so that it can go through all of them."""

    given: np.ndarray

    def pad(self, peer: int, purpose: str, shape: tuple[int, ...]) -> np.ndarray:
        known = {"hope-a": self.given, "hope-b": np.zeros_like(self.given)}
        return known[purpose] if purpose in known else super().pad(peer, purpose, shape)


def nearest(z: np.ndarray, shift: int) -> np.ndarray:
    return (z + (1 << (shift - 1))) >> shift


@EVERY
@pytest.mark.parametrize("shift", range(1, 7))
def test_faithful_is_the_nearest_for_all_values_under_all_masks(protocol: str, shift: int) -> None:
    z, r = grid(-TOP, TOP - 2**shift)
    assert np.array_equal(truncated(protocol, FAITHFUL, z, r, shift), nearest(z, shift))


@SHARED
@pytest.mark.parametrize("shift", range(1, 7))
def test_dithered_is_the_declared_function_for_all_values_under_all_masks(protocol: str, shift: int) -> None:
    z, r = grid(-TOP, TOP - 2**shift)
    want = [reference.truncate(v, shift, u) for v, u in zip(z.tolist(), (r % 2**shift).tolist(), strict=True)]
    assert truncated(protocol, DITHERED, z, r, shift).tolist() == want


@SHARED
@pytest.mark.parametrize("shift", range(1, 7))
def test_probabilistic_fails_for_exactly_z_of_all_masks_and_by_exactly_the_wrap(protocol: str, shift: int) -> None:
    z, r = grid(-128, 127)
    # Of z * 1 with a public 1, which component 1 holds, the helper has no terms: r is the sum of both pads.
    ones = np.ones_like(z)
    kind = type("Given", (Masks, PROTOCOLS[protocol]), {"name": protocol, "given": r})
    got = opened(
        run_gates(
            lambda p: p.product_truncated_mostly(mul, deal(p, z, x0=3 * r, x2=5), p.public(ones), shift),
            kind, ring_bits=8, frac_bits=2,
        ), 8,
    )  # fmt: skip
    right = (z + r % 2**shift) >> shift
    over = np.where(z + r > 127, -1, np.where(z + r < -128, 1, 0))
    assert np.array_equal(got, WRAP(right + over * 2 ** (8 - shift)))
    wrong = (got != WRAP(right)).reshape(256, 256).sum(axis=1)
    assert np.array_equal(wrong, np.abs(np.arange(-128, 128)))


@SHARED
@pytest.mark.parametrize("shift", range(1, 6))
def test_products_are_dropped_to_the_nearest_for_all_pairs(
    protocol: str, shift: int, rng: np.random.Generator
) -> None:
    x, y = (axis.reshape(-1) for axis in np.meshgrid(MASKS, MASKS, indexing="ij"))
    inside = np.abs(x * y) <= TOP - 2**shift
    x, y = x[inside], y[inside]
    m = any_word(rng, (4, x.size), 8)
    got = run_gates(
        lambda p: p.product_truncated(mul, deal(p, x, m[0], m[1]), deal(p, y, m[2], m[3]), shift),
        protocol, ring_bits=8, frac_bits=2, truncation=FAITHFUL,
    )  # fmt: skip
    assert np.array_equal(opened(got, 8), nearest(x * y, shift))


@SHARED
@pytest.mark.parametrize("shift", [1, 7, 8, 16, 17, 33, 61])
def test_faithful_is_exact_at_the_edges_of_64_bits(protocol: str, shift: int, rng: np.random.Generator) -> None:
    low, high, half = -(2**62), 2**62 - 2**shift, 2 ** (shift - 1)
    near = [sign * 2**n + d for n in range(62) for sign in (-1, 1) for d in (-half, -1, 0, 1, half)]
    z = np.array([low, low + 1, low + half, high - half, high - 1, high, *near], dtype=np.int64)
    z = np.tile(np.concatenate([z[(z >= low) & (z <= high)], any_word(rng, (500,), 62)]), 8)
    z = z[z <= high]
    masks = any_word(rng, (2, *z.shape))
    got = run_gates(lambda p: p.truncate(deal(p, z, *masks), shift), protocol, truncation=FAITHFUL)
    assert np.array_equal(opened(got), nearest(z, shift))


def test_faithful_results_are_those_of_plain_abreast_and_by_turns(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Masked, "rotated_from", 64)
    monkeypatch.setattr(Masked, "slab_words", 512)
    z, masks = any_word(rng, (1000,), 40), any_word(rng, (2, 1000))

    def program(p: Protocol) -> list:
        x = deal(p, z, *masks)
        turned = p.elementwise(lambda q, x: q.steps("truncate", x, 9), x)
        again = p.elementwise(lambda q, x: q.steps("product_truncated", mul, x, x, 26), turned)
        return [turned, again, *p.together([("truncate", x, 3), ("is_zero", x), ("truncate", turned, 16)])[::2]]

    by_party = {name: run_gates(program, name, truncation=FAITHFUL) for name in sorted(PROTOCOLS)}
    for number in range(4):
        want = opened([results[number] for results in by_party["plain"]])
        for name in REAL:
            assert np.array_equal(opened([results[number] for results in by_party[name]]), want), (name, number)


def test_a_wire_without_a_random_mask_is_rounded_like_any_other() -> None:
    # Where dithered rounds a public number down and an input of the helper up.
    z = np.arange(-40, 40, dtype=np.int64)
    for name in REAL:
        public = run_gates(lambda p: p.truncate(p.public(z), 3), name, truncation=FAITHFUL)
        own = run_gates(
            lambda p: p.truncate(p.share(2, z if p.session.place == 2 else None, z.shape), 3), name, truncation=FAITHFUL
        )
        assert np.array_equal(opened(public), nearest(z, 3))
        assert np.array_equal(opened(own), nearest(z, 3))


@SHARED
@pytest.mark.parametrize("truncation", TRUNCATIONS)
def test_a_function_stays_within_its_bound_whatever_way_bits_are_dropped(
    protocol: str, truncation: str, rng: np.random.Generator
) -> None:
    z = np.arange(-8 << 16, 8 << 16, 401, dtype=np.int64)
    m = any_word(rng, (2, *z.shape))
    got = opened(run_gates(lambda p: curves.sigmoid(p, deal(p, z, *m), 16), protocol, truncation=truncation))
    assert np.abs(got - 2**16 / (1 + np.exp(-z / 2**16))).max() < 2


@SHARED
@pytest.mark.parametrize("truncation", TRUNCATIONS)
@pytest.mark.parametrize("ring_bits", [8, 32, 64])
def test_the_price_of_each_way_is_the_metered_one(protocol: str, truncation: str, ring_bits: int) -> None:
    kind = PROTOCOLS[protocol]
    for row in (row for row in rows(ring_bits) if row.gate in ("truncate", "product_truncated")):
        sessions = make_sessions(protocol, ring_bits=ring_bits, frac_bits=4, truncation=truncation)
        gates = [kind(session) for session in sessions]
        in_threads(
            [lambda p=p, row=row: row.call(p, inputs(p, np.zeros(192, dtype=np.int64))) for p in gates], sessions
        )
        rounds, bits = declared(kind, row, ring_bits=ring_bits, parties=3, truncation=truncation)
        assert [session.meter.total.rounds for session in sessions] == [rounds] * 3, row.name
        assert 8 * sum(session.meter.total.bytes_sent for session in sessions) == 192 * bits, row.name


def test_the_rounds_that_the_documents_name() -> None:
    wanted = {DITHERED: (2, 1), FAITHFUL: (4, 3), PROBABILISTIC: (2, 1)}
    for truncation, both in wanted.items():
        for gate, rounds in zip(("product_truncated", "truncate"), both, strict=True):
            row = next(row for row in rows(64) if row.gate == gate and row.variables == {"s": 16})
            assert declared(Masked, row, ring_bits=64, parties=3, truncation=truncation)[0] == rounds


@SHARED
def test_the_price_of_a_hopeful_product_is_the_metered_one(protocol: str) -> None:
    sessions = make_sessions(protocol)
    gates = [PROTOCOLS[protocol](session) for session in sessions]
    x = np.zeros(192, dtype=np.int64)
    row = Row("product_truncated_mostly", lambda p, i: p.product_truncated_mostly(mul, i.x, i.y, 16))
    in_threads([lambda p=p: row.call(p, inputs(p, x)) for p in gates], sessions)
    assert declared(PROTOCOLS[protocol], row, ring_bits=64, parties=3) == (1, 3 * 64)
    assert [session.meter.total.rounds for session in sessions] == [1] * 3
    assert 8 * sum(session.meter.total.bytes_sent for session in sessions) == 192 * 3 * 64


def chain(truncation: str):
    """A product and a truncation under one way, for the tests of views."""

    def call(p: Protocol, i: Inputs) -> None:
        p.session.truncation = truncation
        if truncation == PROBABILISTIC:
            p.product_truncated_mostly(mul, p.product_truncated_mostly(mul, i.x, i.y, 16), i.y, 9)
        else:
            p.truncate(p.product_truncated(mul, i.x, i.y, 16), 9)

    return call


@SHARED
@pytest.mark.parametrize("truncation", [FAITHFUL, PROBABILISTIC])
@pytest.mark.parametrize("victim", range(3), ids=["alice", "bob", "helper"])
def test_messages_of_the_other_ways_are_uniform(
    protocol: str, truncation: str, victim: int, rng: np.random.Generator
) -> None:
    assert_uniform(Row("chain", chain(truncation), kind=PROTOCOLS[protocol]), victim, fixed_inputs(rng, 64), 1_344)


@pytest.mark.parametrize("pad", ["dealt-bits", "bit-words", "reshare-a", "wrap-a-2", "pad-a"])
def test_a_pad_left_out_of_a_faithful_truncation_is_caught(pad: str, rng: np.random.Generator) -> None:
    source = coins.hidden_only(1, frozenset({pad}))
    assert faults(view_of(Row("chain", chain(FAITHFUL), kind=Masked), 1, fixed_inputs(rng, 64), 1_344, 64, source))
