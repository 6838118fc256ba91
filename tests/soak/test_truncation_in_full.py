"""Truncation on millions of elements, with fresh keys: no error above one unit, and the mean where it should be."""

from __future__ import annotations

import math

import numpy as np
import pytest

from kit.parties import run_gates
from kit.sharing import any_word, deal, opened

COUNT = 2_000_000


@pytest.mark.parametrize("shift", [1, 8, 16, 27, 45])
def test_ten_million_truncations_err_by_at_most_one_unit(shift: int, rng: np.random.Generator) -> None:
    for _ in range(5):
        z = any_word(rng, (COUNT,), 63)
        z = z[z <= 2**62 - 2**shift]
        masks = any_word(rng, (2, z.size))
        off = opened(run_gates(lambda p, z=z, masks=masks: p.truncate(deal(p, z, *masks), shift))) - (z >> shift)
        assert off.min() >= 0
        assert off.max() <= 1


@pytest.mark.parametrize("remainder", [1, 2**10, 2**15, 2**16 - 1])
def test_two_million_truncations_are_right_on_average(remainder: int) -> None:
    z = np.full(COUNT, (7 << 40) + remainder, dtype=np.int64)
    p = remainder / 2**16
    got = opened(
        run_gates(lambda q: q.truncate(q.share(0, z if q.session.place == 0 else None, z.shape), 16))
    )
    # 5 sigma: fresh keys on every run, so the limit of the quick test would alarm wrongly now and then.
    assert abs(int((got - (z >> 16)).sum()) - COUNT * p) <= 5 * math.sqrt(COUNT * p * (1 - p))
