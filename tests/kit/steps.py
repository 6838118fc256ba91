"""Training steps for measurements of memory, and how many numbers they need in plain PyTorch."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn import functional

import tacit
from kit.memory import allocated_bytes, peak_of


@dataclass(frozen=True)
class Task:
    """A perceptron with two hidden layers on one batch."""

    inputs: int = 784
    hidden: int = 128
    batch: int = 128
    adam: bool = False
    labels: bool = False  # ten classes by cross entropy, else ten numbers by squared error

    def layers(self) -> nn.Module:
        """The model before anything is secret."""
        return nn.Sequential(
            nn.Linear(self.inputs, self.hidden), nn.ReLU(), nn.Linear(self.hidden, self.hidden), nn.ReLU(),
            nn.Linear(self.hidden, 10),
        )

    def entries(self) -> int:
        """Numbers of the plain step: parameters, gradients, optimiser state, batch, and what every layer puts out."""
        parameters = sum(p.numel() for p in self.layers().parameters())
        batch = self.batch * (self.inputs + (1 if self.labels else 10))
        outputs = self.batch * (4 * self.hidden + 10)
        return parameters * (4 if self.adam else 3) + batch + outputs

    def secret_step(self) -> Callable[[], None]:
        """Model and batch made secret; one step of their training at each call."""
        model = tacit.secret(self.layers())
        x = tacit.secret(torch.randn(self.batch, self.inputs), owner=0)
        target = torch.randint(0, 10, (self.batch,)) if self.labels else torch.randn(self.batch, 10)
        y = tacit.secret(target, owner=1)
        if self.adam:
            optimizer: torch.optim.Optimizer = torch.optim.Adam(model.parameters(), lr=1 / 64)
        else:
            optimizer = torch.optim.SGD(model.parameters(), lr=1 / 64, momentum=0.5)

        def step() -> None:
            optimizer.zero_grad()
            (functional.cross_entropy if self.labels else functional.mse_loss)(model(x), y).backward()
            optimizer.step()

        return step


@dataclass
class Needs:
    """What one party needed for a task, in bytes for each word of eight that the plain step has."""

    between: float  # after a step: parameters, gradients, state, batch
    peak: float
    where: str = field(repr=True)


def needs_of(task: Task) -> Needs:
    """Run a few steps as this party, and look at every moment of the last."""
    small = Task(4, 4, 4, task.adam, task.labels).secret_step()
    small()  # whatever is loaded or remembered at the first use of an operator
    small()
    del small
    gc.collect()
    begun = allocated_bytes()
    step = task.secret_step()
    step()  # gradients and state come to be
    step()
    held = allocated_bytes() - begun
    peak = peak_of(step)
    ring_bytes = 8 * task.entries()
    return Needs(held / ring_bytes, (held + peak.bytes) / ring_bytes, peak.where)


def growth_of(task: Task, steps: int, warm: int) -> list[int]:
    """Bytes allocated after each tenth of the steps, above what was allocated after the first `warm` steps."""
    step = task.secret_step()
    found: list[int] = []
    for number in range(warm + steps + 1):
        if number >= warm and (number - warm) % (steps // 10) == 0:
            gc.collect()
            found.append(allocated_bytes())
        step()
    return [count - found[0] for count in found[1:]]
