"""Small worlds for operators: operands with seeds of their own, and what a sample gives in the open and in secret.

One sample is one call of one aten overload. It runs three times: in float64, which says what the values are; in
float32, which says what label, shape and strides torch gives; and on secret tensors, which must agree with both.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

import tacit
from tacit.tensor import SecretTensor

UNIT = 2.0**-16  # of the default fixed-point format

_LAYOUTS: dict[str, tuple[Callable[[tuple[int, ...]], tuple[int, ...]], Callable[[Tensor], Tensor]]] = {
    "plain": (lambda shape: shape, lambda x: x),
    "turned": (lambda shape: shape[::-1], lambda x: x.permute(*reversed(range(x.dim())))),
    "stepped": (lambda shape: (*shape[:-1], 2 * shape[-1]), lambda x: x[..., ::2]),
    "inner": (lambda shape: (shape[0] + 2, *shape[1:]), lambda x: x[1:-1]),
    "channels last": (lambda shape: shape, lambda x: x.contiguous(memory_format=torch.channels_last)),
    "expanded": (lambda shape: (1, *shape[1:]), lambda x: x),  # and expanded in `arrange`
}


@dataclass(frozen=True)
class Operand:
    """A tensor to make: its shape, kind, who knows it, and how it lies in memory."""

    shape: tuple[int, ...]
    kind: str = "real"
    secret: bool = True
    layout: str = "plain"

    def values(self, rng: np.random.Generator) -> np.ndarray:
        """Made-up entries, all of them multiples of 2^-16, so that encoding them is exact."""
        shape = _LAYOUTS[self.layout][0](self.shape)
        if self.kind == "bool":
            return rng.integers(0, 2, shape).astype(bool)
        if self.kind == "whole":
            return rng.integers(-4, 5, shape)
        if self.kind == "ties":  # few different numbers: equal ones and zeros come often
            return rng.integers(-2, 3, shape) / 2
        if self.kind == "positive":
            return rng.integers(1, 2**17, shape) * UNIT
        if self.kind == "above":  # what a root or a logarithm is taken of, and its slope is tame
            return rng.integers(2**14, 2**18, shape) * UNIT
        if self.kind == "divisor":
            return rng.integers(2**14, 2**17, shape) * rng.choice([-1, 1], shape) * UNIT
        if self.kind == "class":
            return rng.integers(0, 3, shape)
        if self.kind == "index":
            return rng.integers(0, 2, shape)
        return rng.integers(-(2**18), 2**18, shape) * UNIT

    def arrange(self, leaf: Tensor) -> Tensor:
        """The operand as a view of its leaf, or a copy in another order."""
        seen = _LAYOUTS[self.layout][1](leaf)
        return seen.expand(self.shape) if self.layout == "expanded" else seen

    @property
    def real(self) -> bool:
        return self.kind in ("real", "ties", "positive", "above", "divisor")

    @property
    def public(self) -> Operand:
        return Operand(self.shape, self.kind, False, self.layout)

    def laid(self, layout: str) -> Operand:
        return Operand(self.shape, self.kind, self.secret, layout)


def real(*shape: int, kind: str = "real") -> Operand:
    return Operand(shape, kind)


def ties(*shape: int) -> Operand:
    return Operand(shape, "ties")


def whole(*shape: int) -> Operand:
    return Operand(shape, "whole")


def flags(*shape: int) -> Operand:
    return Operand(shape, "bool")


def index(*shape: int) -> Operand:
    return Operand(shape, "index", secret=False)


@dataclass(frozen=True)
class Sample:
    """One way to call one overload. `call` gets the overload and the tensors, and returns one or several tensors."""

    op: Any
    operands: tuple[Operand, ...]
    call: Callable[..., Any]
    title: str
    #: Error allowed beyond the row's own, in units: of public constants that the format rounds.
    extra_units: float = 0.0
    backward: bool = True

    @property
    def name(self) -> str:
        return f"{self.op} {self.title}"

    def leaves(self) -> list[np.ndarray]:
        rng = np.random.default_rng(zlib.crc32(self.name.encode()))
        return [operand.values(rng) for operand in self.operands]


@dataclass
class Outcome:
    """What a sample gave, in the open."""

    values: list[np.ndarray]
    labels: list[tuple[torch.dtype, tuple[int, ...], tuple[int, ...]]]  # dtype, shape, strides
    gradients: list[np.ndarray | None] = field(default_factory=list)
    magnitude: float = 1.0


@cache
def in_the_open(sample: Sample, dtype: torch.dtype) -> Outcome:
    """The sample under plain torch."""
    leaves = [torch.as_tensor(v).to(dtype) if o.real else torch.as_tensor(v)
              for o, v in zip(sample.operands, sample.leaves(), strict=True)]
    return _outcome(sample, leaves, lambda x: x)


def in_secret(sample: Sample, owner: int = 0) -> Outcome:
    """The sample on secret tensors, opened to all."""
    leaves = []
    for operand, values in zip(sample.operands, sample.leaves(), strict=True):
        plain = torch.as_tensor(values).to(torch.float32 if operand.real else None)
        classes = 3 if operand.kind == "class" else None
        leaves.append(tacit.secret(plain, owner=owner, classes=classes) if operand.secret else plain)
    return _outcome(sample, leaves, opened)


def opened(x: Tensor) -> Tensor:
    """In the open with all 53 bits that a double has: a float32 would round away what is under test."""
    if not isinstance(x, SecretTensor):
        return x
    twin = SecretTensor(x._cell, torch.float64) if x.is_floating_point() else x
    shown = tacit.reveal(twin, to="all")
    assert shown is not None
    return shown


def _outcome(sample: Sample, leaves: list[Tensor], show: Callable[[Tensor], Tensor]) -> Outcome:
    torch.default_generator.manual_seed(5)  # what the public draws of dropout come from
    wanted = [leaf.requires_grad_() for o, leaf in zip(sample.operands, leaves, strict=True)
              if o.secret and o.real and sample.backward]
    tensors = [operand.arrange(leaf) for operand, leaf in zip(sample.operands, leaves, strict=True)]
    result = sample.call(sample.op, *tensors)
    results = list(result) if isinstance(result, list | tuple) else [result]
    shown = [show(out.detach()).numpy() for out in results]
    outcome = Outcome(shown, [(out.dtype, tuple(out.shape), _strides(out)) for out in results])
    sizes = [float(np.abs(a.astype(float)).max()) for a in (*shown, *sample.leaves()) if a.size]
    outcome.magnitude = max([1.0, *sizes])
    reached = [out for out in results if out.requires_grad]
    if wanted and reached:
        for out in reached:
            weights = np.random.default_rng(out.numel()).integers(-4, 5, tuple(out.shape)) / 4
            (out * torch.as_tensor(weights).to(out.dtype)).sum().backward(retain_graph=True)
        outcome.gradients = [None if leaf.grad is None else show(leaf.grad).numpy(force=True) for leaf in wanted]
    return outcome


def _strides(x: Tensor) -> tuple[int, ...]:
    """Strides that matter: not those of an empty tensor, nor of a dimension with one entry."""
    return tuple(stride for size, stride in zip(x.shape, x.stride(), strict=True) if size > 1) if x.numel() else ()


def every(samples: list[Sample]) -> Iterator[tuple[str, Outcome | BaseException]]:
    """Run all samples secretly; one that fails hands over its error, and the next one runs."""
    for position, sample in enumerate(samples):
        try:
            yield sample.name, in_secret(sample, position % len(tacit.party().parties))
        except Exception as error:
            yield sample.name, error
