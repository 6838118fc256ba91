"""What a party shows of the values that it was allowed to see: losses and scores at bob, weights at alice.

Every function is called at every party. A value that went to another party is None here, and then nothing happens.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from data import EPOCH_ROWS, Table, split

SCORES = "bob-scores.json"
ABOUT_SCORES = (
    "What scores give away: each is a sum over both tables, so with his own columns bob can estimate some of alice's "
    "for the test customers: a little from the final scores, much for those whose scores he saw after every epoch. "
    "Each loss is about 128 customers that the public seed names. Do not pass scores on to alice: with the weights "
    "she could take her part out of each. README.md has figures."
)
ABOUT_WEIGHTS = (
    "What weights give away: how each column, bob's too, goes with fraud among all customers, and about single ones "
    "the more, the fewer rows there were. Do not pass them on to bob: with them he could work out exactly what alice's "
    "columns add to each linear score, and from the scores of one customer after another estimate the columns."
)


class Report:
    """Prints and keeps what bob may see of the training, in a file beside his input."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.kept: dict[str, Any] = {}

    def epoch(self, model: str, epoch: int, loss: Tensor | None, scores: Tensor | None) -> None:
        """One line for each epoch: training loss of the last batch, AUC on the first test rows."""
        if loss is None or scores is None:
            return
        rough = auc(scores, self._labels()[:EPOCH_ROWS])
        history = self.kept.setdefault(model, {"loss": [], "epoch_auc": []})
        history["loss"].append(loss.item())
        history["epoch_auc"].append(rough)
        where = f"the first {len(scores)} test rows"
        print(f"{model}, epoch {epoch}: training loss {loss.item():.4f}, AUC {rough:.4f} on {where}", flush=True)

    def final(self, model: str, scores: Tensor | None) -> None:
        """The result of one model on all test rows."""
        if scores is None:
            return
        quality = {"auc": auc(scores, self._labels()), "accuracy": accuracy(scores, self._labels())}
        self.kept[model].update(**quality, scores=scores.flatten().tolist())
        result = f"accuracy {quality['accuracy']:.4f}, AUC {quality['auc']:.4f}"
        print(f"{model}: {result} on all {len(scores):,} test rows", flush=True)

    def keep(self) -> None:
        """All of it in a file; an older one is replaced."""
        if not self.kept or self.table.path is None:
            return
        out = self.table.path.with_name(SCORES)
        save(out, {"public_seed": torch.initial_seed(), **self.kept})
        print(f"test scores: {out}\n{ABOUT_SCORES}", flush=True)

    def _labels(self) -> Tensor:
        labels = self.table.labels
        assert labels is not None  # scores go to bob alone, and load() refuses a bob without labels
        return labels[split(len(labels))[1]]


def weights(models: nn.Module | None, features: list[str]) -> None:
    """One line for each feature: its weight in the linear model, and the length of its column in the network."""
    if models is None:
        return
    state = models.state_dict()
    print(f"{'feature':24}{'linear weight':>14}{'network reach':>15}")
    reach = state["network.0.weight"].norm(dim=0).tolist()
    for name, weight, length in zip(features, state["linear.weight"][0].tolist(), reach, strict=True):
        print(f"{name:24}{weight:>+14.4f}{length:>15.4f}")
    print(ABOUT_WEIGHTS, flush=True)


def feature_names(party: str, own: tuple[str, ...], counts: dict[str, int]) -> list[str]:
    """The columns of the joint table as this party may name them: its own by name, another's by number."""
    return list(_named(party, own, counts))


def _named(party: str, own: tuple[str, ...], counts: dict[str, int]) -> Iterator[str]:
    for owner, count in counts.items():
        yield from own if owner == party else (f"{owner} {number}" for number in range(1, count + 1))


def auc(scores: Tensor, labels: Tensor) -> float:
    """How often a case of fraud scores higher than a case of none; ties count half."""
    scores, labels = scores.flatten(), labels.flatten()
    none, fraud = scores[labels == 0].sort().values, scores[labels == 1].contiguous()
    below, not_above = torch.searchsorted(none, fraud), torch.searchsorted(none, fraud, right=True)
    return float((below + not_above).double().mean() / (2 * len(none)))


def accuracy(scores: Tensor, labels: Tensor) -> float:
    """How often the sign of the score is right."""
    return float(((scores.flatten() > 0) == (labels.flatten() == 1)).double().mean())


def save(path: Path, content: dict[str, Any]) -> None:
    """Writes the whole file or none of it, readable by its owner alone."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(content, file)
    partial.replace(path)
