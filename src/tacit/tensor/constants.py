"""Rows that make tensors of public values: zeros, ones, fills, dropout masks.

The result is a secret tensor, since something secret may be written into it next; until then every party knows what it
holds, and products with it are local.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from tacit.tensor import shape
from tacit.tensor.cell import KNOWN, known, laid_out
from tacit.tensor.operands import Number, refuse
from tacit.tensor.secret import SecretTensor


def filled(value: Number | None) -> Callable[..., SecretTensor]:
    """`zeros_like`, `empty_like`, `full_like`: a secret tensor whose entries happen to be public now."""

    def run(x: SecretTensor, *args: Any, dtype: torch.dtype | None = None, **layout: Any) -> SecretTensor:
        room = shape.outline(x, **layout)
        return _full(x, room, args[0] if value is None else value, dtype)

    run.__name__, run.__doc__ = f"filled_{value}", _FILLED
    return run


def new_filled(value: Number | None) -> Callable[..., SecretTensor]:
    """`new_zeros`, `new_empty`, `new_full`."""

    def run(
        x: SecretTensor, size: Sequence[int], *args: Any, dtype: torch.dtype | None = None, **layout: Any
    ) -> SecretTensor:
        shape.refuse_device(layout)
        return _full(x, torch.empty(tuple(size), device="meta"), args[0] if value is None else value, dtype)

    run.__name__, run.__doc__ = f"new_filled_{value}", _FILLED
    return run


def new_empty_strided(
    x: SecretTensor, size: Sequence[int], stride: Sequence[int], *, dtype: torch.dtype | None = None, **layout: Any
) -> SecretTensor:
    """Room for a gradient whose strides differ from its parameter's."""
    shape.refuse_device(layout)
    return _full(x, torch.empty_strided(tuple(size), tuple(stride), device="meta"), 0, dtype)


def fill_(target: SecretTensor, value: Number | Tensor) -> SecretTensor:
    """Overwrite every entry with one number."""
    if isinstance(value, Tensor):
        return shape.copy_(target, value)
    return shape.copy_(target, torch.tensor(value, dtype=torch.float64 if isinstance(value, float) else None))


def zero_(target: SecretTensor) -> SecretTensor:
    """Overwrite every entry with 0."""
    return fill_(target, 0)


def bernoulli_(target: SecretTensor, p: float = 0.5, *, generator: torch.Generator | None = None) -> SecretTensor:
    """Overwrite with zeros and ones that every party knows: a public draw from torch's generator, never a secret one.

    That is what dropout asks for. All parties draw the same mask, since the generator is seeded alike; torch rewinds it
    when checkpointing runs a forward pass again; and the product with the mask costs no message.
    """
    mask = torch.empty(target.shape, dtype=torch.float32).bernoulli_(p, generator=generator)
    shape.copy_(target, mask.to(torch.int64))
    target._cell.remember(KNOWN, laid_out(mask[None], target)[0].to(target.dtype))
    return target


_FILLED = "A secret tensor whose entries every party knows until something is written into it."


def _full(x: SecretTensor, room: Tensor, number: Number, dtype: torch.dtype | None) -> SecretTensor:
    label = dtype or x.dtype
    if not label.is_floating_point and isinstance(number, float) and not number.is_integer():
        raise refuse(f"cannot fill a {label} tensor with {number}", "fill it with a whole number")
    value = torch.empty_strided(room.shape, room.stride(), dtype=label).fill_(number)
    return SecretTensor(known(x._cell.context, value), label)
