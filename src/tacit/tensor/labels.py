"""Class numbers that stay secret: shared one-hot by their owner, inside a tensor that torch takes for int64.

The value of such a tensor is its class numbers, a sum over the one-hot words; the words themselves are remembered
beside it and follow it through views, batches and joins. So a cross entropy compares no label with any class. A label
that lost its words, or never had any, gets them by comparisons: right, but dear.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tacit.functions import compare
from tacit.protocols import Shares
from tacit.tensor.cell import CLASSES, Cell, Context, known
from tacit.tensor.secret import SecretTensor


def labelled(context: Context, words: Shares) -> SecretTensor:
    """Labels from shares of their one-hot words [components, *shape, classes]."""
    numbers = torch.arange(words.shape[-1])

    def keep() -> tuple[Shares, int]:
        return (words * numbers).sum(-1), 0

    cell = Cell(context, None, promise=keep, shape=tuple(words.shape[1:-1]))
    cell.remember(CLASSES, words)
    return SecretTensor(cell, torch.int64)


def one_hot(labels: SecretTensor, classes: int) -> tuple[Shares, bool]:
    """The words [components, *shape, classes], and whether every label is surely one of the classes."""
    cell = labels._cell
    words: Shares | None = cell.recall(CLASSES)
    if words is not None and words.shape[-1] <= classes:
        missing = classes - words.shape[-1]
        return torch.nn.functional.pad(words, (0, missing)) if missing else words, True
    shares = cell.shares.unsqueeze(-1).expand(-1, *cell.shape, classes)
    protocol = cell.context.protocol
    numbers = np.ascontiguousarray(np.broadcast_to(np.arange(classes), (*cell.shape, classes)))
    return compare.is_zero(protocol, protocol.add_public(shares, -numbers)), False


def surely(labels: Tensor) -> bool:
    """Whether every label is one of the classes: public ones are checked, others if their words are known."""
    return not isinstance(labels, SecretTensor) or labels._cell.recall(CLASSES) is not None


def one_class(cell: Cell, number: float) -> SecretTensor | None:
    """[label == number], which costs nothing where the words are known; None where they are not."""
    words: Shares | None = cell.recall(CLASSES)
    if words is None:
        return None
    if number not in range(words.shape[-1]):
        return SecretTensor(known(cell.context, torch.zeros(cell.shape, dtype=torch.bool)), torch.bool)
    return SecretTensor(Cell(cell.context, words[..., int(number)].contiguous(), 0), torch.bool)


def followed(x: SecretTensor, move: Callable[[Tensor], Tensor], result: SecretTensor) -> SecretTensor:
    """The result of an operator that only moves entries, with the words of the labels that came along."""
    words: Shares | None = x._cell.recall(CLASSES)
    if words is not None:
        places = move(torch.arange(x.numel()).reshape(x.shape))
        flat = words.reshape(words.shape[0], -1, words.shape[-1])
        result._cell.remember(CLASSES, flat[:, places.reshape(-1)].reshape(-1, *places.shape, words.shape[-1]))
    return result


def joined(parts: Sequence[Any], join: Callable[[list[Tensor]], Tensor], result: SecretTensor) -> SecretTensor:
    """The result of `cat` or `stack`, with the words of its parts if all have them."""
    recalled = [part._cell.recall(CLASSES) if isinstance(part, SecretTensor) else None for part in parts]
    words: list[Shares] = [found for found in recalled if found is not None]
    if len(words) == len(parts) and len({found.shape[-1] for found in words}) == 1:
        together = torch.cat([found.reshape(found.shape[0], -1, found.shape[-1]) for found in words], 1)
        starts = np.cumsum([0, *(part.numel() for part in parts)])
        places = join([torch.arange(part.numel()).reshape(part.shape) + int(start)
                       for part, start in zip(parts, starts, strict=False)])
        moved = together[:, places.reshape(-1)].reshape(-1, *places.shape, together.shape[-1])
        result._cell.remember(CLASSES, moved)
    return result
