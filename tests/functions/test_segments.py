"""Tables of polynomials: exact where they can be, the same on every machine, and never out of the domain."""

from __future__ import annotations

import cmath
import hashlib
import math
from decimal import ROUND_UP, Decimal, localcontext

import numpy as np
import pytest
import torch

from tacit.functions import curves, segments
from tacit.functions.catalogue import PROMISES
from tacit.functions.curves import Curve
from tacit.functions.segments import exact_decimals, largest, pieces
from tacit.protocols.interface import Pieces
from tacit.protocols.tables import meaning

ALL = (
    curves.SIGMOID, curves.TANH, curves.ERF, *curves.GELU.values(), *curves.GELU_SLOPE.values(), curves.SILU,
    curves.SILU_SLOPE, curves.SOFTPLUS,
)
REFERENCE = {promise.name.replace(", ", "_"): promise.reference for promise in PROMISES}
#: Two sites whose tables differ would compute on different functions without noticing. A change here is a new protocol.
TABLES = {
    "sigmoid": {
        8: "bf507e4767903c75", 12: "6d1394acc074f957", 16: "b2ba4021b72fe6f0",
        20: "3ae649f43abfc850", 24: "76c0e4f497371695",
    },
    "tanh": {
        8: "c97726962b859b55", 12: "4d2f9ff08e8f560b", 16: "be50ffb008daff52",
        20: "99020204fc2b267e", 24: "1876429091db4667",
    },
    "erf": {
        8: "5f49111240ae6134", 12: "0e1cef539e2eda0b", 16: "6000db689dd680e6",
        20: "299f0dc25c7de222", 24: "15e7bbc303891ef4",
    },
    "gelu": {
        8: "ce90eaf1bd0ee6f4", 12: "fc1e89a52cf07299", 16: "9eb97aa5b5a56c52",
        20: "d3da8ddd7fb3d577", 24: "1256975f599c9eae",
    },
    "gelu_tanh": {
        8: "d99a19c84523100f", 12: "3afefc01b21f9ace", 16: "ad257b98fb15c97a",
        20: "cf42a40f32eb048c", 24: "8e313a5c1919abbd",
    },
    "gelu_slope": {
        8: "9631d73c90a8d5b6", 12: "af2c1809a563a252", 16: "270e00595f3e2c65",
        20: "c260078271d8b2ba", 24: "63063233cd956e92",
    },
    "gelu_slope_tanh": {
        8: "1da7991b18c006f6", 12: "091a57c5f600079c", 16: "208153d0fdb1f42d",
        20: "ab861489d2d22f8f", 24: "6254738326c7c5fb",
    },
    "silu": {
        8: "4af301404919c972", 12: "f7ec383797b7df60", 16: "a32c6506ff416188",
        20: "5a8de9e1f4e0632b", 24: "562183ee3db17bb7",
    },
    "silu_slope": {
        8: "113021393bc77deb", 12: "2c44b1927efc1e32", 16: "2ba034bcb7f3e136",
        20: "bb6666ab3318335b", 24: "f42dba281336a5d1",
    },
    "softplus": {
        8: "f50a089c67a5d734", 12: "bc1d7165779a0e05", 16: "335cd0156534b148",
        20: "f742104a85fd3d45", 24: "4d8330f387de74d2",
    },
}


@pytest.mark.parametrize("degree", [0, 1, 2, 3, 4])
def test_a_polynomial_of_the_same_degree_is_met_exactly(degree: int) -> None:
    # x = (i + t / 16) / 4 with 4 fraction bits in t: every coefficient of (1 + x)^degree in t is whole at 2^40.
    table = pieces(
        lambda x: (1 + x) ** degree if degree else Decimal(1), range(-64, 64), shift=4, input_bits=6, scale_bits=40,
        kept=(4,) * degree, truncation=20,
    )
    i, t = np.meshgrid(np.arange(-64, 64), np.arange(-16, 17))
    got = meaning(table, i % 128, t, np.zeros_like(t), 4)
    assert np.array_equal(got, np.round((1 + (i + t / 16) / 4) ** degree * 2.0**40).astype(np.int64))


def test_a_row_stands_at_its_index_modulo_the_entries_and_all_others_are_0() -> None:
    table = pieces(lambda x: x, range(14, 129), shift=4, input_bits=0, scale_bits=8, kept=(4,), truncation=4)
    assert table.entries == 128
    assert table.coefficients[0].tolist() == [128 * 16 << 8, *[0] * 13, *((i * 16) << 8 for i in range(14, 128))]
    assert table.coefficients[1].tolist() == [1 << 8, *[0] * 13, *[1 << 8] * 114]


def test_terms_see_no_more_bits_than_there_are() -> None:
    table = pieces(lambda x: x**3, range(4), shift=6, input_bits=4, scale_bits=40, kept=(64, 6, 2), truncation=9,
                   entries=4)
    assert table.drop == (0, 0, 4)


def test_a_table_without_headroom_is_refused() -> None:
    def of(scale_bits: int) -> Pieces:
        return pieces(lambda x: 1 + x, range(2), shift=4, input_bits=4, scale_bits=scale_bits, kept=(4,), truncation=20)

    # Row 1 says up to 3, whatever was meant: 3 * 2^60 < 2^62 - 2^20.
    assert largest(of(60), 4) == 3 << 60
    with pytest.raises(ValueError, match="no room"):
        of(61)


def test_more_rows_than_entries_are_refused() -> None:
    with pytest.raises(ValueError, match="129 rows"):
        pieces(lambda x: x, range(129), shift=4, input_bits=4, scale_bits=9, kept=(4,), truncation=4)


def test_what_a_coefficient_loses_is_made_good_by_lower_ones() -> None:
    # A cube whose coefficient is half a unit too fine to be held: alone, rounding would leave half a unit of t^3.
    cube = pieces(lambda x: x**3 / 2**13, range(1), shift=4, input_bits=4, scale_bits=24, kept=(4, 4, 4), truncation=4,
                  entries=1)
    t = np.arange(-16, 17)
    left = meaning(cube, np.zeros_like(t), t, np.zeros_like(t), 4) / 2.0**24 - (t / 16) ** 3 / 2**13
    assert np.abs(left).max() <= 2.0**-13 / 4 * 1.05  # a quarter of what t^3 would leave, plus lower coefficients' own


@pytest.mark.parametrize("curve", ALL, ids=lambda curve: curve.name)
@pytest.mark.parametrize("frac_bits", [8, 12, 16, 20, 24])
def test_the_tables_are_these_integers_on_every_machine(curve: Curve, frac_bits: int) -> None:
    assert digest_of(curve, frac_bits) == TABLES[curve.name][frac_bits]


@pytest.mark.parametrize("curve", ALL, ids=lambda curve: curve.name)
def test_a_table_needs_no_libm_and_no_ambient_precision(curve: Curve, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> float:
        raise AssertionError("libm was asked")

    curves.table.cache_clear()
    segments._interpolation.cache_clear()
    for module in (math, cmath, np, torch):
        for name in ("exp", "log", "cos", "sin", "log1p", "expm1", "sqrt", "erf", "tanh"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, refuse)
    with localcontext() as context:
        context.prec = 5
        context.rounding = ROUND_UP
        assert digest_of(curve, 16) == TABLES[curve.name][16]


def test_nodes_are_those_of_chebyshev() -> None:
    for degree in range(5):
        nodes, _ = segments._interpolation(degree)
        wanted = [-math.cos((2 * k + 1) * math.pi / (2 * degree + 2)) for k in range(degree + 1)]
        assert np.allclose([float(node) for node in nodes], wanted, rtol=0, atol=1e-15)


def test_decimals_agree_with_float64() -> None:
    x = torch.linspace(-9, 9, 181, dtype=torch.float64)
    for curve in ALL:
        with exact_decimals():
            got = [float(curve.value(Decimal(value))) for value in x.tolist()]
        assert np.abs(np.array(got) - REFERENCE[curve.name](x).numpy()).max() <= 4e-15, curve.name


def digest_of(curve: Curve, frac_bits: int) -> str:
    table = curves.table(curve, frac_bits)
    assert table.coefficients.dtype == np.int64
    hasher = hashlib.sha256(repr((table.drop, curves.segment_bits(curve.radius_bits, frac_bits))).encode())
    hasher.update(np.ascontiguousarray(table.coefficients).astype("<i8").tobytes())
    return hasher.hexdigest()[:16]
