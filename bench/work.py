"""The rows: what is computed, written once for plain PyTorch and for secrets.

A row is built with a `shield`: tacit.secret for the measurement, the identity for plain PyTorch. What it gives back
prepares a run off the clock; that in turn gives back what is timed. New operands are made for every run: a tensor
remembers its sign once it has been compared, and a second ReLU of the same tensor would cost nothing. Values lie on a
grid of 2^-12, so that sharing them rounds nothing, and what a result is off by is the operation's own doing.

Models train at rate 0.1 without momentum, as in the rivals' programs; nobody reads the loss, so it is not computed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

RATE = 0.1
WORDS = 1 << 20

Shield = Callable[..., Any]  # (tensor or module, owner=...) -> the same, secret
Timed = Callable[[], Any]
Fresh = Callable[[], Timed]


@dataclass(frozen=True)
class Row:
    """`elements`: what bytes are counted for. `macs` and `words` are for the floor: see floors.Needs."""

    build: Callable[[Shield], Fresh]
    elements: int
    words: int
    macs: int = 0
    runs: int = 7


def anew(x: Any) -> Any:
    """The same value in a tensor that remembers nothing of it; a clone would."""
    return x.neg().neg()


def unary(work: Callable[[Any], Any], value: Callable[[], Tensor]) -> Callable[[Shield], Fresh]:
    """An operation on one tensor."""

    def build(shield: Shield) -> Fresh:
        x = shield(value(), owner=0)

        def fresh() -> Timed:
            new = anew(x)
            return lambda: work(new)

        return fresh

    return build


def binary(work: Callable[[Any, Any], Any], value: Callable[[], Tensor]) -> Callable[[Shield], Fresh]:
    """An operation on two tensors of different owners."""

    def build(shield: Shield) -> Fresh:
        x, y = shield(value(), owner=0), shield(value(), owner=1)

        def fresh() -> Timed:
            new_x, new_y = anew(x), anew(y)
            return lambda: work(new_x, new_y)

        return fresh

    return build


def training(
    model: Callable[[], nn.Module], loss: Callable[[Any, Any], Any], batch: Callable[[], tuple[Tensor, Tensor]]
) -> Callable[[Shield], Fresh]:
    """One optimiser step."""

    def build(shield: Shield) -> Fresh:
        x, y = batch()
        layers = shield(model())
        x, y = shield(x, owner=0), shield(y, owner=1)
        optimizer = torch.optim.SGD(layers.parameters(), lr=RATE)

        def step() -> None:
            optimizer.zero_grad()
            loss(layers(x), y).backward()
            optimizer.step()

        return lambda: step

    return build


def mlp() -> nn.Module:
    """784-128-128-10."""
    return nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10))


def yes_or_no() -> tuple[Tensor, Tensor]:
    """128 x 32 and one label each."""
    return torch.randn(128, 32), (torch.rand(128, 1) > 0.5).float()


def digits() -> tuple[Tensor, Tensor]:
    """128 images of 784 points; labels one-hot, as in the rivals' programs."""
    return torch.rand(128, 784), F.one_hot(torch.randint(0, 10, (128,)), 10).float()


def gaussian(*shape: int) -> Callable[[], Tensor]:
    """Standard normal input."""
    return lambda: on_grid(torch.randn(*shape))


def on_grid(x: Tensor) -> Tensor:
    """Multiples of 2^-12."""
    return (x * 4096).round() / 4096


def whole() -> Tensor:
    """Integers are compared over the whole ring: they may be identifiers."""
    return torch.randint(-(2**40), 2**40, (WORDS,))


_MLP_WEIGHTS = 784 * 128 + 128 * 128 + 128 * 10
#: Forward, the slopes of the weights, and those of the hidden layers.
_MLP_MACS = 128 * (2 * _MLP_WEIGHTS + 128 * 128 + 128 * 10)
_POOL = (16, 64, 24, 24)
_HUNDRED_K = gaussian(100_000)

ROWS: dict[str, Row] = {
    "mul 2^20": Row(binary(torch.mul, gaussian(WORDS)), WORDS, 3 * WORDS),
    "compare 2^20, 49 bits": Row(binary(torch.gt, gaussian(WORDS)), WORDS, 3 * WORDS),
    "compare 2^20, 64 bits": Row(binary(torch.gt, whole), WORDS, 3 * WORDS),
    "relu 2^20": Row(unary(torch.relu, gaussian(WORDS)), WORDS, 2 * WORDS),
    "matmul 512": Row(binary(torch.matmul, gaussian(512, 512)), 512**2, 3 * 512**2, macs=512**3),
    "softmax 100x1000": Row(unary(lambda x: torch.softmax(x, 1), gaussian(100, 1000)), 100_000, 200_000),
    "sigmoid 100k": Row(unary(torch.sigmoid, _HUNDRED_K), 100_000, 200_000, runs=11),
    "exp 100k": Row(unary(torch.exp, _HUNDRED_K), 100_000, 200_000, runs=11),
    "reciprocal 100k": Row(unary(torch.reciprocal, lambda: on_grid(_HUNDRED_K() ** 2 + 1)), 100_000, 200_000, runs=11),
    "gelu 100k": Row(unary(F.gelu, _HUNDRED_K), 100_000, 200_000, runs=11),
    "max-pool 2x2 of 16x64x24x24": Row(
        unary(lambda x: F.max_pool2d(x, 2), gaussian(*_POOL)), 16 * 64 * 24 * 24, 16 * 64 * (24 * 24 + 12 * 12)
    ),
    "lr step 128x32": Row(
        training(lambda: nn.Linear(32, 1), F.binary_cross_entropy_with_logits, yes_or_no),
        elements=128, words=128 * 33 + 2 * 33, macs=2 * 128 * 32, runs=60,
    ),
    "mlp step 784-128-128-10": Row(
        training(mlp, F.cross_entropy, digits),
        elements=128, words=128 * 794 + 2 * _MLP_WEIGHTS, macs=_MLP_MACS, runs=11,
    ),
}
