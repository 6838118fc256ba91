"""A game: one party's whole view of a training step on one of two inputs; a trained classifier guesses which.

The inputs differ only in what the party does not own. Its own coins stand still (kit.coins), as they do for a party
that looks at its own view; so the view is what it received. Runs lie along the last axis of every tensor: each has
pads of its own, and no operation below crosses that axis, so a batch of runs is as many runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from kit import coins
from kit.parties import Source, pair_keys
from kit.views import fields, received
from tacit.functions import curves
from tacit.protocols import Protocol, Shares
from tacit.ring.kernels import mul

FRAC = 16


@dataclass(frozen=True)
class Data:
    """Inputs of a batch of runs: features [rows, columns, runs] and labels [rows, runs], two parts of the weights."""

    features: np.ndarray
    labels: np.ndarray
    weights_alice: np.ndarray
    weights_bob: np.ndarray


def training_step(protocol: Protocol, data: Data) -> Shares:
    """One step of logistic regression with rate 2^-3, from inputs to the new weights; nothing is revealed."""

    def mine(owner: int, values: np.ndarray) -> Shares:
        return protocol.share(owner, values if protocol.session.place == owner else None, values.shape)

    x, y = mine(0, data.features), mine(1, data.labels)
    w = mine(0, data.weights_alice) + mine(1, data.weights_bob)
    scores = protocol.product_truncated(_rows_times_weights, x, w, FRAC)
    wrong = curves.sigmoid(protocol, scores, FRAC) - y
    return w - protocol.product_truncated(_rows_times_errors, x, wrong, FRAC + 3)


def _rows_times_weights(x: Tensor, w: Tensor) -> Tensor:
    return mul(x, w[None]).sum(1)


def _rows_times_errors(x: Tensor, e: Tensor) -> Tensor:
    return mul(x, e[:, None]).sum(0)


def two_inputs(victim: int, choice: np.ndarray, rows: int, columns: int = 2) -> Data:
    """For each run the first or the second input, as `choice` says. What the victim owns is the same in both."""
    sides = [_side(variant, rows, columns) for variant in (0, 1)]
    mixed = [np.where(choice == 1, two[..., None], one[..., None]) for one, two in zip(*sides, strict=True)]
    owned = {0: (0, 2), 1: (1, 3), 2: ()}[victim]
    for part in owned:
        mixed[part] = np.repeat(sides[0][part][..., None], choice.size, axis=-1)
    return Data(*(np.ascontiguousarray(part) for part in mixed))


def _side(variant: int, rows: int, columns: int) -> tuple[np.ndarray, ...]:
    # Far apart, as two customers may be: whatever could show, shows more.
    rng = np.random.default_rng(variant)
    return (
        rng.integers(-(3 << FRAC), 3 << FRAC, (rows, columns)),
        np.full(rows, variant << FRAC),
        rng.integers(-(1 << FRAC), 1 << FRAC, columns),
        rng.integers(-(1 << FRAC), 1 << FRAC, columns),
    )


def views(
    victim: int,
    choice: np.ndarray,
    rows: int,
    *,
    silent: frozenset[str] = frozenset(),
    source: Source | None = None,
    keys: dict[frozenset[int], bytes] | None = None,
) -> np.ndarray:
    """The whole view of each run as bits [runs, bits], uint8; without the pads named in `silent`."""
    runs = choice.size
    data = two_inputs(victim, choice, rows)
    view = received(
        lambda protocol: training_step(protocol, data),
        victim,
        randomness=source or coins.hidden_only(victim, silent, runs=runs),
        keys=keys or pair_keys(3),
    )
    parts = fields(view, runs, ring_bits=64, in_planes=rows * runs)
    return np.concatenate([part.bits for part in parts], axis=1)


class Classifier(nn.Module):
    """A linear score of the bits plus a small network on them."""

    def __init__(self, width: int, hidden: int = 32) -> None:
        super().__init__()
        self.straight = nn.Linear(width, 1)
        self.bent = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def forward(self, x: Tensor) -> Tensor:
        score: Tensor = self.straight(x) + self.bent(x)
        return score[:, 0]


def right_guesses(bits: np.ndarray, choice: np.ndarray, held_out: int, *, epochs: int = 12, seed: int = 0) -> int:
    """Train on all but the last `held_out` views; how many of those are then guessed right."""
    x, y = torch.as_tensor(bits), torch.as_tensor(choice).float()
    split = len(y) - held_out
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Classifier(x.shape[1])
        speeds = [torch.zeros_like(weight) for weight in model.parameters()]
        for _ in range(epochs):
            for part in torch.randperm(split).split(128):
                loss = nn.functional.binary_cross_entropy_with_logits(model(2 * x[part].float() - 1), y[part])
                # By hand: the first use of torch.optim costs seconds of imports.
                slopes = torch.autograd.grad(loss, list(model.parameters()))
                with torch.no_grad():
                    for weight, speed, slope in zip(model.parameters(), speeds, slopes, strict=True):
                        weight -= speed.mul_(0.9).add_(slope, alpha=0.02)
        with torch.no_grad():
            guess = torch.cat([model(2 * rest.float() - 1) > 0 for rest in x[split:].split(1000)])
    return int((guess == (y[split:] > 0.5)).sum())


def chance(count: int) -> tuple[int, int]:
    """The 99.99 % interval of right guesses by coin tossing: 5e-5 beyond either end at most, summed exactly."""
    below, low = 0, -1
    while below + math.comb(count, low + 1) <= 5 * 2**count // 10**5:
        low += 1
        below += math.comb(count, low)
    return low + 1, count - low - 1
