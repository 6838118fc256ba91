"""Sigmoid and softplus against float64: on a dense grid, at every knot, and far away.

Error and largest step backwards in units of the last fraction bit, 30,000 points in [-14, 14], replicated3 (plain):

    fraction bits              12            16            20
    sigmoid   largest     1.1 (0.6)     2.6 (2.0)     26 (25)
              mean        0.3 (0.2)     0.7 (0.6)     10 (10)
              backwards     1 (1)         2 (2)       32 (30)
    softplus  largest     1.1 (0.6)     2.4 (1.9)     26 (25)
              mean        0.3 (0.2)     0.6 (0.6)     10 (10)
              backwards     1 (0)         1 (1)       21 (20)

Up to 16 fraction bits rounding dominates; beyond, the cubics, whose error is 2.4e-5 and changes sign at a knot.
"""

from __future__ import annotations

import cmath
import hashlib
import math
from decimal import ROUND_UP, localcontext
from itertools import pairwise

import numpy as np
import pytest
import torch

from kit.parties import in_threads, make_sessions, run_gates
from kit.replay import both
from kit.sharing import any_word, deal, opened
from tacit.functions import curves
from tacit.functions.curves import SIGMOID, SOFTPLUS, Curve
from tacit.protocols import PROTOCOLS, Protocol, Replicated3

EVERY = pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
CURVES = pytest.mark.parametrize("curve", [SIGMOID, SOFTPLUS], ids=lambda curve: curve.name)
#: fraction bits -> (largest error, mean error, largest step backwards), in units.
BOUNDS = {12: (1.5, 0.35, 2), 16: (3.0, 0.8, 3), 20: (27.0, 10.5, 34)}
FRAC = pytest.mark.parametrize("frac_bits", sorted(BOUNDS))


def exact(curve: Curve, x: np.ndarray) -> np.ndarray:
    if curve is SOFTPLUS:
        return np.logaddexp(0, x)
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, small) / (1 + small)


def grid(frac_bits: int) -> np.ndarray:
    """[-14, 14] in about 30,000 steps, and five units around every knot of both curves."""
    unit = 1 << frac_bits
    dense = np.arange(-14 * unit, 14 * unit + 1, max(1, 28 * unit // 30_000))
    knots = [int(knot * unit) + d for curve in (SIGMOID, SOFTPLUS) for knot in curve.knots for d in range(-2, 3)]
    return np.unique(np.concatenate([dense, np.array(knots)])).astype(np.int64)


def far(frac_bits: int) -> np.ndarray:
    """From just outside the grid to the largest value that encoding accepts, +-2^29 among them where it fits."""
    top = 2 ** min(62 - frac_bits, 46) - 1
    sizes = {15 << frac_bits, 1 << (frac_bits + 9), min(2 ** (29 + frac_bits), top), top - 1, top}
    return np.array(sorted({sign * size for size in sizes for sign in (-1, 1)}), dtype=np.int64)


def evaluated(curve: Curve, x: np.ndarray, frac_bits: int, protocol: str) -> np.ndarray:
    masks = any_word(np.random.default_rng(7), (2, *x.shape))
    return opened(run_gates(lambda p: curves.evaluate(p, curve, deal(p, x, *masks), frac_bits), protocol))


@EVERY
@CURVES
@FRAC
def test_a_curve_stays_within_its_bounds(curve: Curve, frac_bits: int, protocol: str) -> None:
    x = grid(frac_bits)
    y = evaluated(curve, x, frac_bits, protocol)
    error = np.abs(y - exact(curve, x / 2.0**frac_bits) * 2.0**frac_bits)
    largest, mean, back = BOUNDS[frac_bits]
    assert error.max() <= largest, f"at {x[error.argmax()] / 2**frac_bits}"
    assert error.mean() <= mean
    assert np.diff(y).min() >= -back, f"falls at {x[np.diff(y).argmin()] / 2**frac_bits}"
    if frac_bits == 16:
        assert error.max() * 2.0**-16 <= 2.0**-14, "the module says 2^-14"
    if curve is SIGMOID:
        assert y.min() >= 0
        assert y.max() <= 1 << frac_bits
    else:
        assert y.min() >= 0


@EVERY
@FRAC
def test_far_values_give_the_tails_exactly(frac_bits: int, protocol: str) -> None:
    x = far(frac_bits)
    assert np.array_equal(evaluated(SIGMOID, x, frac_bits, protocol), np.where(x > 0, 1 << frac_bits, 0))
    assert np.array_equal(evaluated(SOFTPLUS, x, frac_bits, protocol), np.maximum(x, 0))


@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (5,), (2, 3, 4)], ids=str)
@EVERY
def test_a_curve_takes_every_shape(protocol: str, shape: tuple[int, ...], rng: np.random.Generator) -> None:
    x = np.asarray(rng.integers(-(5 << 16), 5 << 16, shape), dtype=np.int64)
    for curve in (SIGMOID, SOFTPLUS):
        y = evaluated(curve, x, 16, protocol)
        assert y.shape == shape
        assert np.all(np.abs(y / 2.0**16 - exact(curve, x / 2.0**16)) <= 2.0**-14)


@CURVES
def test_both_protocols_agree_bit_for_bit_under_one_dither(curve: Curve, rng: np.random.Generator) -> None:
    x, masks = grid(16)[::50], any_word(rng, (2, *grid(16)[::50].shape))
    shared, plain = both(lambda p: curves.evaluate(p, curve, deal(p, x, *masks), 16))
    assert np.array_equal(opened(shared), opened(plain))


def test_named_curves_are_the_curves() -> None:
    x = np.array([-3, 0, 2], dtype=np.int64) << 16
    for name, curve in (("sigmoid", SIGMOID), ("softplus", SOFTPLUS)):
        by_name = run_gates(lambda p, name=name: getattr(curves, name)(p, p.public(x), 16), "plain")
        assert np.array_equal(opened(by_name), evaluated(curve, x, 16, "plain"))


def test_rounds_are_as_the_module_says() -> None:
    sessions = make_sessions("replicated3")

    def work(protocol: Protocol) -> None:
        curves.sigmoid(protocol, protocol.public(np.zeros(64, dtype=np.int64)), 16)

    in_threads([lambda s=s: work(Replicated3(s)) for s in sessions], sessions)
    assert {session.meter.total.rounds for session in sessions} == {10 + 1 + 4 + 2}


def digest_of(curve: Curve, frac_bits: int) -> str:
    thresholds, base, steps = curves.table(curve, frac_bits)
    hasher = hashlib.sha256(repr(thresholds).encode())
    for array in (base, steps):
        assert array.dtype == np.int64
        hasher.update(array.astype("<i8").tobytes())
    return hasher.hexdigest()[:16]


#: Two sites whose tables differ would compute on different functions without noticing. A change here is a new protocol.
TABLES = {
    ("sigmoid", 12): "8de8d2fa1e5d5cd2",
    ("sigmoid", 16): "ad988108822bd67d",
    ("sigmoid", 20): "56f8371be2c58c2c",
    ("softplus", 12): "298ee5db78e91c1f",
    ("softplus", 16): "0e32317646c7fd30",
    ("softplus", 20): "d8cb3b0ccd7e3b3e",
}


@CURVES
@FRAC
def test_the_tables_are_these_integers_on_every_machine(curve: Curve, frac_bits: int) -> None:
    assert digest_of(curve, frac_bits) == TABLES[curve.name, frac_bits]


@CURVES
def test_a_table_needs_no_libm_and_no_ambient_precision(curve: Curve, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> float:
        raise AssertionError("libm was asked")

    want = digest_of(curve, 16)
    curves.table.cache_clear()
    for module in (math, cmath, np, torch):
        for name in ("exp", "log", "cos", "sin", "log1p", "expm1"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, refuse)
    with localcontext() as context:
        context.prec = 5
        context.rounding = ROUND_UP
        assert digest_of(curve, 16) == want


@CURVES
def test_a_cubic_meets_the_curve_at_its_nodes_and_stays_close_between(curve: Curve) -> None:
    for a, b in pairwise(curve.knots):
        cubic = [float(c) for c in curves._cubic(curve.value, a, b)]
        x = np.linspace(float(a), float(b), 501)
        assert np.abs(np.polyval(cubic[::-1], x) - exact(curve, x)).max() <= 2.5e-5
