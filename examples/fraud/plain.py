"""The same job in ordinary PyTorch on the pooled tables, and on each side alone: what train.py is measured against.

For whoever holds both files, as the demo does. With the public seed of a run it makes the same start and draws the same
batches as train.py, so losses, scores and weights can be compared number by number (a test keeps the two in step).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from data import EPOCH_ROWS, read, split
from report import accuracy, auc
from tacit.errors import DataError

Results = dict[str, dict[str, Any]]


def fit(model: nn.Module, x: Tensor, y: Tensor, epochs: int, lr: float) -> dict[str, Any]:
    train, test = split(len(x))
    loss_of = nn.BCEWithLogitsLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    batches = DataLoader(TensorDataset(x[train], y[train]), batch_size=128, shuffle=True, drop_last=True)
    some = test[:EPOCH_ROWS]
    losses, aucs = [], []
    for _ in range(epochs):
        for features, fraud in batches:
            optimizer.zero_grad()
            loss = loss_of(model(features), fraud)
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            aucs.append(auc(model(x[some]), y[some]))
        losses.append(loss.item())
    with torch.no_grad():
        scores = model(x[test])
    quality = {"auc": auc(scores, y[test]), "accuracy": accuracy(scores, y[test]), "scores": scores.flatten().tolist()}
    return {"loss": losses, "epoch_auc": aucs, **quality, "state": model.state_dict()}


def train(x: Tensor, y: Tensor, seed: int) -> Results:
    """Both models on one table, from the start that the public seed gives."""
    torch.manual_seed(seed)
    linear = nn.Linear(x.shape[1], 1)
    network = nn.Sequential(nn.Linear(x.shape[1], 16), nn.ReLU(), nn.Linear(16, 1))
    linear, network = linear.to(x.dtype), network.to(x.dtype)  # made in float32 first: the same start in both widths
    return {"linear": fit(linear, x, y, epochs=4, lr=1 / 32), "network": fit(network, x, y, epochs=6, lr=1 / 16)}


def baselines(
    alice_csv: Path, bob_csv: Path, seed: int, dtype: torch.dtype = torch.float32, label: str | int | None = None
) -> dict[str, Results]:
    """Losses, AUC, accuracy, scores and state of both models: pooled, and on each side alone (given bob's labels)."""
    alice, bob = read(Path(alice_csv)), read(Path(bob_csv), label=label)
    if bob.labels is None or len(alice.features) != len(bob.features) or not alice.ids.equal(bob.ids):
        raise DataError("the tables do not belong together: label, rows or ids", hint="make both with make_data.py")
    tables = {"pooled": torch.cat([alice.features, bob.features], 1), "alice": alice.features, "bob": bob.features}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # batches are so small that two threads mostly wait for each other: 2 s become 30
    try:
        return {name: train(x.to(dtype), bob.labels.to(dtype), seed) for name, x in tables.items()}
    finally:
        torch.set_num_threads(threads)


if __name__ == "__main__":
    run = Path(__file__).parent / "run"
    parser = argparse.ArgumentParser(description="The fraud job in ordinary PyTorch: pooled, and each side alone.")
    parser.add_argument("alice_csv", type=Path, nargs="?", default=run / "alice.csv")
    parser.add_argument("bob_csv", type=Path, nargs="?", default=run / "bob.csv")
    parser.add_argument("--seed", type=int, default=0, help="the public seed of the run to compare with")
    parser.add_argument("--float64", action="store_true")
    options = parser.parse_args()
    dtype = torch.float64 if options.float64 else torch.float32
    for who, models in baselines(options.alice_csv, options.bob_csv, options.seed, dtype).items():
        for name, result in models.items():
            print(f"{who:8}{name:9}accuracy {result['accuracy']:.4f}  AUC {result['auc']:.4f}")
