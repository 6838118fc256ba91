"""Scikit-learn's digits: 1,797 images of 8 x 8 pixels in ten classes, and a network trained on them as torch trains it.

The same function trains on plain tensors and on secret ones; only what it is given differs.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

TRAINING = 1437  # four fifths


def images() -> tuple[Tensor, Tensor]:
    """Pixels in [0, 1] and labels, shuffled once and for all. Skips the test where scikit-learn is missing."""
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is missing: pip install -e '.[dev]'")
    data = datasets.load_digits()
    order = torch.randperm(len(data.target), generator=torch.Generator().manual_seed(1))
    x = torch.tensor(data.data, dtype=torch.float32)[order] / 16
    return x, torch.tensor(data.target, dtype=torch.int64)[order]


def network() -> nn.Module:
    """The same start every time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def fit(model: nn.Module, x: Tensor, y: Tensor, *, epochs: int, batch: int = 64, lr: float = 0.01) -> nn.Module:
    """Adam on a cross entropy, batches in an order that depends on the epoch alone."""
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    for epoch in range(epochs):
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(epoch))
        for start in range(0, len(x), batch):
            rows = order[start : start + batch]
            optimizer.zero_grad()
            functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
    return model


def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """Percent of a plain model's answers that are right."""
    with torch.no_grad():
        return 100 * float((model(x).argmax(1) == y).double().mean())
