"""The error bounds of all functions on millions of points, at every number of fraction bits that a job may have."""

from __future__ import annotations

import pytest

from kit.accuracy import measured
from tacit.functions.catalogue import PROMISES, Promise

POINTS = {12: 2_000_000, 16: 2_000_000, 20: 2_000_000}


@pytest.mark.parametrize("frac_bits", range(8, 25))
@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.name)
def test_the_error_is_within_the_promise(promise: Promise, frac_bits: int) -> None:
    seed = 11
    errors = measured(promise, frac_bits, POINTS.get(frac_bits, 200_000), seed)
    print(promise.name, frac_bits, errors)
    assert errors.share <= 1, f"at {errors.worst}, seed {seed}"
