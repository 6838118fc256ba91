"""The long versions of tests/tensor: all samples of all rows among three parties, and torch.func (slow to import)."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

import tacit

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tensor"))


def test_every_sample_agrees_with_torch_among_three_parties() -> None:
    from judge import complaints
    from samples import SAMPLES

    def program() -> object:
        import samples
        from worlds import every

        found = dict(every(samples.SAMPLES))
        return found if tacit.party().place == 0 else None

    outcomes = tacit.simulate(program)[0]
    assert [line for sample in SAMPLES for line in complaints(sample, outcomes[sample.name])] == []


def test_vmap_and_functional_gradients() -> None:
    plain = torch.tensor([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])

    def program() -> list[object]:
        x = tacit.secret(plain, owner=0)
        results = [
            torch.func.vmap(lambda row: row.dot(row))(x),
            torch.func.grad(lambda v: (v * v).sum())(x),
            torch.func.vmap(torch.func.grad(lambda row: (row**2).sum()))(x),
        ]
        return [tacit.reveal(result, to="all") for result in results]

    squares, gradient, per_row = tacit.simulate(program)[2]
    assert torch.allclose(squares, (plain * plain).sum(1), atol=1e-3)
    assert torch.allclose(gradient, 2 * plain, atol=1e-3)
    assert torch.allclose(per_row, 2 * plain, atol=1e-3)
