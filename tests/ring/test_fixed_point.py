"""Encoding rounds to nearest, never wraps, never lets a NaN in, and says which entry was at fault but not its value."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tacit.errors import NotRepresentable
from tacit.ring import FixedPoint

FORMATS = [FixedPoint(64, frac) for frac in (8, 12, 16, 20, 24)]
DEFAULT = FixedPoint()
formats = st.sampled_from(FORMATS)
FLOATS = [torch.float64, torch.float32, torch.float16, torch.bfloat16]
INTEGERS = [torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.uint16, torch.uint32, torch.uint64]


@given(formats, st.data())
def test_a_float_becomes_the_nearest_unit(fixed: FixedPoint, data: st.DataObject) -> None:
    bound = fixed.largest
    value = data.draw(st.floats(-bound, bound, exclude_min=True, exclude_max=True).filter(_keeps(fixed)))
    word = int(fixed.encode(value))
    assert abs(word - Fraction(value) * 2**fixed.frac_bits) <= Fraction(1, 2)
    assert abs(word) < 2**fixed.value_bits
    assert abs(float(fixed.decode(np.array(word))) - value) <= 2.0 ** -(fixed.frac_bits + 1)


@given(formats, st.data())
def test_whatever_was_decoded_is_encoded_to_itself(fixed: FixedPoint, data: st.DataObject) -> None:
    edge = 2**fixed.value_bits - 1
    words = data.draw(hnp.arrays(np.int64, hnp.array_shapes(min_dims=0, max_dims=3), elements=st.integers(-edge, edge)))
    back = fixed.encode(fixed.decode(words))
    assert back.dtype == np.int64
    assert back.shape == words.shape
    assert np.array_equal(back, words)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_every_float_type_is_encoded_as_the_number_it_holds(dtype: torch.dtype) -> None:
    values = torch.tensor([[0.0, 1.0, -1.0], [0.1, -2.75, 300.0]], dtype=dtype)
    want = np.rint(values.double().numpy() * 2**16).astype(np.int64)
    assert np.array_equal(DEFAULT.encode(values), want)
    assert np.array_equal(DEFAULT.encode(values.clone().requires_grad_()), want)
    assert np.array_equal(DEFAULT.encode(values.t()), want.T)


def test_the_narrowest_floats_are_encoded_too() -> None:
    assert DEFAULT.encode(torch.tensor([1.5, -2.0]).to(torch.float8_e4m3fn)).tolist() == [3 << 15, -2 << 16]


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_every_integer_type_is_encoded_exactly(dtype: torch.dtype) -> None:
    low, high = (max(torch.iinfo(dtype).min, -(2**29)), min(torch.iinfo(dtype).max, 2**29))
    values = torch.tensor([low, high, 0, 1], dtype=dtype)
    assert DEFAULT.encode(values).tolist() == [low << 16, high << 16, 0, 1 << 16]
    assert DEFAULT.encode(values.numpy()).tolist() == [low << 16, high << 16, 0, 1 << 16]
    assert DEFAULT.integers(values).tolist() == [low, high, 0, 1]


def test_bools_python_numbers_and_numpy_scalars_are_numbers() -> None:
    assert DEFAULT.encode(torch.tensor([True, False])).tolist() == [65536, 0]
    assert DEFAULT.encode(np.array([False, False])).tolist() == [0, 0]
    for one in (True, 1, 1.0, np.float32(1), np.int8(1), torch.tensor(1)):
        word = DEFAULT.encode(one)
        assert isinstance(word, np.ndarray)
        assert word.shape == ()
        assert word == 65536


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 2, 2)])
def test_empty_tensors_stay_empty(shape: tuple[int, ...]) -> None:
    for dtype in (torch.float32, torch.int64, torch.bool):
        assert DEFAULT.encode(torch.zeros(shape, dtype=dtype)).shape == shape
    assert DEFAULT.integers(np.zeros(shape, np.int8)).shape == shape
    assert DEFAULT.decode(np.zeros(shape, np.int64)).shape == shape


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_what_is_not_finite_is_refused_with_the_index_of_the_first(bad: float, dtype: torch.dtype) -> None:
    values = torch.ones(3, 4, dtype=dtype)
    values[1, 2] = values[2, 0] = bad
    with pytest.raises(NotRepresentable, match=r"column x: entry \[1, 2\] of shape \[3, 4\] is not a finite number"):
        DEFAULT.encode(values, what="column x")
    with pytest.raises(NotRepresentable, match="the number is not a finite number"):
        DEFAULT.encode(values[1, 2])


@pytest.mark.parametrize("bad", [2.0**30, -(2.0**30), 123456789012.0, -1e300, 1.7e308])
def test_what_is_too_large_is_refused_without_showing_it(bad: float) -> None:
    with pytest.raises(NotRepresentable, match=r"entry \[0, 1\] of shape \[1, 3\] is outside the range of ") as refusal:
        DEFAULT.encode(np.array([[1.0, bad, bad]]))
    assert "1.07374e+09" in str(refusal.value)
    if abs(bad) != 2.0**30:  # the bound itself is public
        assert all(text not in str(refusal.value) for text in (repr(bad), str(abs(bad)), f"{abs(bad):g}"))


@given(formats, st.integers(-(2**63), 2**64 - 1))
def test_an_integer_is_exact_or_refused(fixed: FixedPoint, value: int) -> None:
    array = np.array([value], dtype=np.uint64 if value >= 2**63 else np.int64)
    if abs(value) < 2 ** (fixed.value_bits - fixed.frac_bits):
        assert fixed.encode(array).tolist() == [value << fixed.frac_bits]
    else:
        with pytest.raises(NotRepresentable, match=r"entry \[0\]"):
            fixed.encode(array)


def test_the_last_numbers_of_the_range_fit_and_the_next_do_not() -> None:
    for fixed in FORMATS:
        top = 2**fixed.value_bits - 1
        edge = top / 2**fixed.frac_bits
        assert fixed.encode(np.array([edge, -edge])).tolist() == [top, -top]
        for outside in (fixed.largest, (top + 0.5) / 2**fixed.frac_bits):
            for sign in (1, -1):
                with pytest.raises(NotRepresentable, match="outside the range"):
                    fixed.encode(sign * outside)


@pytest.mark.parametrize("tiny", [1e-12, -1e-9, 2.0**-18])
def test_data_that_would_all_round_to_nothing_are_refused(tiny: float) -> None:
    with pytest.raises(NotRepresentable, match="every nonzero entry would round to 0 with 16 fraction bits"):
        DEFAULT.encode(tiny)
    with pytest.raises(NotRepresentable, match="learning rate: every nonzero"):
        DEFAULT.encode(torch.tensor([0.0, tiny]), what="learning rate")
    assert DEFAULT.encode(np.array([tiny, 1.0])).tolist() == [0, 65536]
    assert DEFAULT.encode(np.zeros(3)).tolist() == [0, 0, 0]
    assert DEFAULT.encode(2.0**-40, frac_bits=40).tolist() == 1


@pytest.mark.parametrize("bad", [np.array(["a"]), np.array([1j]), np.array([None]), 2**70, torch.tensor([1j])])
def test_what_is_no_number_is_refused(bad: object) -> None:
    with pytest.raises(NotRepresentable, match="cannot make"):
        DEFAULT.encode(bad)  # type: ignore[arg-type]


def test_integers_takes_any_word_and_nothing_else() -> None:
    ends = np.array([-(2**63), 2**63 - 1])
    assert DEFAULT.integers(ends).tolist() == ends.tolist()
    assert DEFAULT.integers(7).shape == ()
    with pytest.raises(NotRepresentable, match=r"entry \[1\] of shape \[2\] is 2\^63 or more"):
        DEFAULT.integers(np.array([1, 2**63], dtype=np.uint64))
    with pytest.raises(NotRepresentable, match="expected integers, got float64"):
        DEFAULT.integers(1.0)


@settings(max_examples=400)
@given(formats, st.floats(0.5, 1.0), st.integers(-60, 60), st.sampled_from([1, -1]))
def test_a_factor_is_exact_to_sixteen_bits_at_any_magnitude(
    fixed: FixedPoint, mantissa: float, exponent: int, sign: int
) -> None:
    constant = sign * math.ldexp(mantissa, exponent)
    if not 2.0 ** -(fixed.value_bits - 1) <= abs(constant) < 2.0**fixed.value_bits:
        return
    m, g = fixed.factor(constant)
    assert 0 <= g < fixed.product_bits
    assert abs(Fraction(m) / 2**g - Fraction(constant)) <= abs(Fraction(constant)) / 2**16
    if g:
        # The product with any value that encoding accepts stays within the domain of a truncation.
        assert abs(m) * (2**fixed.value_bits - 1) < 2**fixed.product_bits


def test_factors_that_mean_something_are_exact() -> None:
    assert DEFAULT.factor(0.0) == (0, 0)
    assert DEFAULT.factor(1.0) == (1, 0)
    assert DEFAULT.factor(-0.5) == (-1, 1)
    assert DEFAULT.factor(0.75) == (3, 2)
    assert DEFAULT.factor(1024.0) == (1024, 0)
    for rate in (0.1, 0.01, 1e-3, 1e-6, 1e-12, 0.9, 0.999, 5e-4):
        m, g = DEFAULT.factor(rate)
        assert m / 2**g == pytest.approx(rate, rel=2.0**-16, abs=0)


@pytest.mark.parametrize("constant", [math.nan, math.inf, 1e-15, -1e-300, 2.0**-48, 2.0**46, -1e20])
def test_a_factor_that_would_be_lost_is_refused(constant: float) -> None:
    with pytest.raises(NotRepresentable, match=r"a factor of .* (not a finite|leaves nothing|out of the range)"):
        DEFAULT.factor(constant)


def _keeps(fixed: FixedPoint) -> Callable[[float], bool]:
    """Numbers that are zero or at least one unit, and do not round up to the end of the range."""
    return lambda v: v == 0 or 1 <= abs(v) * 2**fixed.frac_bits < 2**fixed.value_bits - 1


def test_the_table_of_ranges_in_the_documents_is_the_one_in_the_code() -> None:
    page = (Path(__file__).parents[2] / "docs/design/fixed-point.md").read_text()
    rows = re.findall(r"^\| (\d+) \| 2\^-(\d+) \| 2\^(\d+) \| 2\^(\d+) \| 2\^(\d+) \|$", page, re.MULTILINE)
    assert len(rows) == 5
    for frac, unit, value, product, integer in (map(int, row) for row in rows):
        fixed = FixedPoint(64, frac)
        assert unit == frac
        assert 2.0**value == fixed.largest
        assert product == fixed.product_bits - 2 * frac
        assert fixed.encode(2**integer - 1) == (2**integer - 1) << frac
        with pytest.raises(NotRepresentable):
            fixed.encode(2**integer)
