"""What the rows of the table share: telling secret operands from public ones, and moving between number formats.

Any operand may be a secret tensor, a plain tensor or a Python number. Plain ones are public: every party must hold the
same value, since each adds it to its own share.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tacit.errors import RefusedOp, ShapeError
from tacit.protocols import Shares
from tacit.tensor.cell import Cell, Context, is_whole, joint_shape, masks_clamped, rescaled
from tacit.tensor.secret import SecretTensor, cell_of

Number = float | int | bool
Operand = Tensor | Number


#: Significant bits that a small public addend keeps.
_EPSILON_BITS = 8


def find_cell(values: Iterable[Any]) -> Cell | None:
    """The first cell among nested arguments."""
    for value in values:
        if isinstance(value, SecretTensor):
            return value._cell
        if isinstance(value, list | tuple):
            found = find_cell(value)
            if found is not None:
                return found
    return None


def context_of(*values: Any) -> Context:
    """The run that the operands belong to."""
    cell = find_cell(values)
    assert cell is not None, "a row was called without a secret operand"
    return cell.context


def made(context: Context, shares: Shares, frac_bits: int, dtype: torch.dtype) -> SecretTensor:
    """A new secret tensor over fresh shares."""
    return SecretTensor(Cell(context, shares, frac_bits), dtype)


def as_number(value: Operand) -> Number | None:
    """A public single number (Python or 0-d plain tensor) as a Python number; None for anything else."""
    if isinstance(value, Tensor):
        return None if isinstance(value, SecretTensor) or value.dim() else value.item()
    return value


def words_of(context: Context, value: Operand, frac_bits: int, what: str) -> NDArray[np.int64]:
    """A public operand as ring elements with `frac_bits` fraction bits. Refuses a constant that would become 0."""
    plain = value.detach() if isinstance(value, Tensor) else value
    if isinstance(plain, Tensor) and plain._is_zerotensor():
        plain = torch.zeros(plain.shape)  # autograd's zeros (the gradient of a sign) have no memory to read
    words = context.fixed.encode(plain, frac_bits=frac_bits, what=what)
    context.note_public(words)
    return words


def addend_of(context: Context, value: Operand, frac_bits: int, what: str) -> NDArray[np.int64]:
    """As `words_of`, for what is added or written: -inf there is a mask, and becomes a large number that fits."""
    tensor = torch.as_tensor(value, dtype=torch.float64 if isinstance(value, float) else None)
    return words_of(context, masks_clamped(tensor), frac_bits, what)


def natural_bits(context: Context, value: Operand) -> int:
    """0 for whole numbers, which stay exact without fraction bits; the job's fraction bits for all else."""
    whole = is_whole(value) if isinstance(value, Tensor) else float(value).is_integer()
    return 0 if whole else context.frac_bits


def addend_bits(context: Context, value: Operand) -> int:
    """As `natural_bits`, and more for a single number that is small: 1e-5 keeps eight significant bits, within the
    guard. An epsilon is worth as much; a value in the thousands has no use for it."""
    natural, number = natural_bits(context, value), as_number(value)
    if not natural or not number or not math.isfinite(number):
        return natural
    return max(natural, min(_EPSILON_BITS - math.frexp(number)[1], context.guarded_bits))


def whole(x: Any) -> Any:
    """A bool as an int64, so that sums and products follow torch's rules for numbers; on the same memory."""
    if isinstance(x, SecretTensor):
        return made(x._cell.context, x._cell.shares, x._cell.frac_bits, torch.int64) if x.dtype == torch.bool else x
    return torch.as_tensor(x).to(torch.int64) if is_bool(x) else x


def is_bool(x: Any) -> bool:
    """Whether an operand is a bool or a tensor of bools."""
    return x.dtype == torch.bool if isinstance(x, Tensor) else isinstance(x, bool)


def axis(dim: int, dims: int) -> int:
    """A dimension counted from 0; the axes of shares come one later. torch checks it for plain tensors, not for us."""
    if not -max(dims, 1) <= dim < max(dims, 1):
        raise ShapeError(f"dimension {dim} of a tensor with {dims}", hint=f"from {-max(dims, 1)} to {max(dims, 1) - 1}")
    return dim % max(dims, 1)


def scaled(cell: Cell, factor: Number, want: int | None = None) -> tuple[Shares, int]:
    """cell * factor. Whole factors and powers of two are exact and local; others keep 16 significant bits and truncate.

    `want` is the number of fraction bits to truncate to; by default those of the cell, or the job's if that is more.
    The result may be the cell's own shares: powers of two only change what they count.
    """
    context, shares, frac = cell.context, cell.shares, cell.frac_bits
    context.note_public(np.float64(factor))
    if math.isfinite(factor) and float(factor).is_integer() and abs(factor) < 2.0**context.fixed.value_bits:
        return (shares if factor == 1 else context.protocol.scale(shares, int(factor))), frac
    m, g = context.fixed.factor(float(factor))
    product = shares if m == 1 else context.protocol.scale(shares, m)
    if abs(m) == 1 and frac + g <= context.guarded_bits:
        return product, frac + g
    target = max(frac, context.frac_bits) if want is None else want
    if frac + g <= target:
        return product, frac + g
    return rescaled(context.protocol, product, frac + g, target), target


def aligned(x: Cell, y: Cell) -> tuple[Shares, Shares, int]:
    """Both with the same fraction bits, without losing any that the job's format can hold."""
    if x.frac_bits == y.frac_bits:
        return x.shares, y.shares, x.frac_bits
    (xs, xf), (ys, yf) = x.settled(), y.settled()
    frac = max(xf, yf)
    protocol = x.context.protocol
    return rescaled(protocol, xs, xf, frac), rescaled(protocol, ys, yf, frac), frac


def difference(x: Cell, y: Cell) -> Shares:
    """x - y to be compared with 0: shifted up to the larger number of fraction bits, so that nothing is rounded."""
    frac = max(x.frac_bits, y.frac_bits)
    left, right = spread(x.at(frac), y.at(frac))
    return left - right


def expanded(shares: Shares, shape: tuple[int, ...]) -> Shares:
    """Shares as if the secret had been expanded to `shape`; no memory is copied."""
    missing = len(shape) - (shares.dim() - 1)
    return shares.reshape(shares.shape[0], *(1,) * missing, *shares.shape[1:]).expand(shares.shape[0], *shape)


def spread(x: Shares, y: Shares) -> tuple[Shares, Shares]:
    """Both broadcast to their common shape: share layouts put the components first, where torch would misalign them."""
    if x.dim() == y.dim():
        return x, y
    shape = joint_shape(x.shape[1:], y.shape[1:])
    return expanded(x, shape), expanded(y, shape)


def refuse(what: str, instead: str) -> RefusedOp:
    """The error for an argument of a known operator that has no meaning on secrets."""
    return RefusedOp(what, hint=instead)


__all__ = [
    "Number", "Operand", "addend_bits", "addend_of", "aligned", "as_number", "axis", "cell_of", "context_of",
    "difference", "expanded", "find_cell", "is_bool", "made", "natural_bits", "refuse", "scaled", "spread", "whole",
    "words_of",
]


def comparison_bits(cell: Cell, dtype: torch.dtype) -> int:
    """Bits of a difference of two such values; all of the ring for integers, which may be identifiers of 63 bits."""
    protocol = cell.context.protocol
    return protocol.comparison_bits(cell.frac_bits) if dtype.is_floating_point else protocol.ring.bits
