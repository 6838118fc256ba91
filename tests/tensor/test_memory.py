"""A training step at a party: at its worst moment within six times the plain tensors' size in the ring, and no growth.

The tests of an hour are tests/soak/test_memory_in_full.py.
"""

from __future__ import annotations

import gc
from functools import partial

import numpy as np
import pytest
import torch

import tacit
from kit.memory import NO_COUNT, allocated_bytes, peak_of
from kit.steps import Task, growth_of, needs_of

pytestmark = pytest.mark.skipif(bool(NO_COUNT), reason=NO_COUNT)

#: Bytes by which a party may have grown after 80 steps: dictionaries that grow once in a while. One leaked share of the
#: smallest tensor of the model, ten words, would make 13 kB, and of the next 20 kB.
GROWTH_MAX = 12_000


def test_the_measure_sees_what_numpy_and_torch_allocate_and_free() -> None:
    megabyte = 1 << 20

    def three() -> list[object]:
        return [np.ones(megabyte, dtype=np.uint8), torch.ones(megabyte, dtype=torch.uint8), bytearray(megabyte)]

    three()  # what torch sets up at its first tensor
    gc.collect()
    begun = allocated_bytes()
    kept = three()
    assert allocated_bytes() - begun == pytest.approx(3 * megabyte, abs=20_000)
    kept.clear()
    assert allocated_bytes() - begun == pytest.approx(0, abs=20_000)


def test_the_worst_moment_is_found_inside_an_expression(alone: object) -> None:
    x = tacit.secret(torch.ones(1 << 16), owner=0)

    def work() -> None:
        x * x * x

    work()
    peak = peak_of(work)
    # A product in 64-bit words, and the next one while the first still lives; each is truncated into another copy.
    assert 2 <= peak.bytes / (8 << 16) <= 5
    assert "plain.py" in peak.where


@pytest.mark.parametrize("protocol", ["replicated3", "masked"])
def test_a_step_needs_at_most_six_times_its_plain_tensors_at_each_party(protocol: str) -> None:
    for place, needs in enumerate(tacit.simulate(partial(needs_of, Task()), protocol=protocol)):
        print(f"{protocol} at {place}: {needs.between:.2f} between steps, {needs.peak:.2f} at most in {needs.where}")
        # Two components of each tensor that lives on between steps; the batch and the activations are freed.
        assert 1.5 < needs.between < 2
        assert 2.5 < needs.peak <= 6


@pytest.mark.parametrize("protocol", ["replicated3", "masked"])
def test_eighty_steps_leave_nothing_behind(protocol: str) -> None:
    for growth in tacit.simulate(partial(growth_of, Task(16, 8, 8), 80, 20), protocol=protocol):
        assert max(growth) <= GROWTH_MAX, growth


def test_an_operator_leaves_no_cycle_behind(alone: object) -> None:
    # What a cycle holds lives until the collector comes by, which counts objects, not bytes.
    x = tacit.secret(torch.ones(4, 4), owner=0)
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            (x @ x).relu().sum(0)[None].expand(2, 4).clone().add_(x[:2]).mul_(0.3)
        assert gc.collect() == 0
    finally:
        gc.enable()
