"""Answers that other secure frameworks are known to get wrong, each as plain torch code on secret numbers."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

import tacit

pytestmark = pytest.mark.usefixtures("alone")

UNIT = 2.0**-16


def secret(*values: float) -> Tensor:
    return tacit.secret(torch.tensor(values), owner=0)


def shown(x: Tensor) -> list[float]:
    opened = tacit.reveal(x, to="all")
    assert opened is not None
    return [float(value) for value in opened.double().reshape(-1)]


@pytest.mark.parametrize("exponent", [3, 5, 6, 7, 9])
def test_odd_powers_keep_their_exponent_and_their_sign(exponent: int) -> None:
    for x, found in zip((-2.0, -0.5, 1.5, 3.0), shown(secret(-2.0, -0.5, 1.5, 3.0) ** exponent), strict=True):
        # Each of the at most six products is off by a unit and multiplied by what follows.
        assert abs(found - x**exponent) < 8 * UNIT * max(1.0, abs(x) ** exponent)


def test_erf_is_flat_where_it_should_be() -> None:
    for x, found in zip((3.0, -3.0, 4.5, -100.0), shown(torch.erf(secret(3.0, -3.0, 4.5, -100.0))), strict=True):
        assert abs(found - math.erf(x)) < 2 * UNIT
        assert abs(found) <= 1


def test_exp_of_a_large_negative_number_is_zero() -> None:
    assert shown(torch.exp(secret(-600.0, -50.0, -12.5))) == [0, 0, 0]


def test_exp_saturates_upwards_and_never_wraps() -> None:
    found = shown(torch.exp(secret(5.0, 10.0, 15.0, 30.0, 600.0)))
    assert found == sorted(found)
    assert abs(found[1] / math.exp(10.0) - 1) < 1e-4
    assert found[-1] > math.exp(15.0)


def test_reciprocals_of_large_numbers_are_right() -> None:
    for x, found in zip((1e4, -1e4, 300.0), shown(secret(1e4, -1e4, 300.0).reciprocal()), strict=True):
        assert abs(found - 1 / x) < 2 * UNIT


def test_roots_of_large_and_small_numbers_are_right() -> None:
    for x, found in zip((1e3, 1e-4), shown(secret(1e3, 1e-4).sqrt()), strict=True):
        # An input is off by half a unit: sqrt(1e-4) has a slope of 50.
        assert abs(found - math.sqrt(x)) < 2 * UNIT + 0.5 * UNIT * 0.5 / math.sqrt(x)


def test_a_sigmoid_is_never_negative_and_never_above_one() -> None:
    found = shown(torch.sigmoid(secret(-10.0, -11.5, -16.0, -1000.0, 10.0, 1000.0)))
    assert all(0 <= value <= 1 for value in found)
    assert abs(found[0] - 1 / (1 + math.exp(10.0))) < 2 * UNIT


@pytest.mark.parametrize("variance", [1e-3, 1e-5, 0.0])
def test_an_epsilon_of_a_hundred_thousandth_is_kept(variance: float) -> None:
    held = round(variance * 2**16) * UNIT
    (found,) = shown(secret(1.0) / torch.sqrt(secret(variance) + 1e-5))
    # Eight significant bits of epsilon: half of their relative error, and two units of the root times the slope.
    exact = 1 / math.sqrt(held + 1e-5)
    assert abs(found - exact) / exact < 2.0**-9 + 2 * UNIT * exact
    (direct,) = shown(torch.rsqrt(secret(variance) + 1e-5))
    assert abs(direct - exact) / exact < 2.0**-9


def test_negative_values_are_decoded_as_negative() -> None:
    assert shown(-secret(0.25, 3.0, 20000.0)) == [-0.25, -3.0, -20000.0]
    assert shown(secret(-0.5) * secret(0.5)) == [-0.25]


def test_a_softmax_with_a_gap_of_a_thousand_is_zero_and_one() -> None:
    x = tacit.secret(torch.tensor([[1000.0, 0.0], [-500.0, 500.0], [0.0, 0.0]]), owner=0)
    found = shown(torch.softmax(x, 1))
    for ours, exact in zip(found, (1.0, 0.0, 0.0, 1.0, 0.5, 0.5), strict=True):
        assert abs(ours - exact) <= 2 * UNIT
    logs = shown(torch.log_softmax(x, 1))
    assert abs(logs[1] + 1000) <= 4 * UNIT
    assert abs(logs[3]) <= 4 * UNIT


def test_a_cross_entropy_of_confident_logits_neither_overflows_nor_wraps() -> None:
    x = tacit.secret(torch.tensor([[1000.0, 0.0, -1000.0]]), owner=0)
    for label, exact in ((0, 0.0), (1, 1000.0), (2, 2000.0)):
        loss = nn.functional.cross_entropy(x, tacit.secret(torch.tensor([label]), owner=0, classes=3))
        assert abs(shown(loss)[0] - exact) <= 4 * UNIT
