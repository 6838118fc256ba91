"""Matrix products modulo 2^64 from exact products of limbs, for processors that multiply floats or bytes, not words.

A word is cut into limbs, signed digits of a few bits: x = x_0 + x_1 2^w + ... mod 2^64. The product needs the pairs
x_i y_j with i + j < limbs, since the others are multiples of 2^64. All pairs with one sum i + j belong to one power of
two, so they are one matrix product over the limbs of a row laid side by side:

    x_0 x_1 x_2       times    y_2 y_1 y_0 (upwards)      power 2^(2w), and the parts of both for the lower powers

    format    limbs            pairs   a product is exact for rows of
    FLOAT64   3 of 22 bits     6       2^53 / (2 pairs * 2^42) = 1024
    INT8      8 of 8 bits      36      (2^31 - 1) / (8 pairs * 2^14) > 16376

Longer rows are cut into such blocks. Both formats run on any device. On a processor they only serve the tests: its own
integer product is several times faster. On CUDA they have the same steps but one, the product of bytes; the tests
compare it bit by bit where a GPU is present, and say so where none is.

Not here: convolution by cuDNN, which may go through Fourier or Winograd transforms, exact on no limbs at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

WORD_BITS = 64


@dataclass(frozen=True)
class Limbs:
    """How words are cut, and what multiplies the limbs exactly."""

    bits: int
    count: int
    dtype: torch.dtype
    block: int  # the longest rows whose products stay exact
    product: Callable[[Tensor, Tensor], Tensor]
    multiple: int = 1  # what rows and columns are padded to
    rows_min: int = 0

    def split(self, words: Tensor, *, upwards: bool = False) -> Tensor:
        """The limbs of [..., k] words side by side, [..., count * k], the lowest first or last."""
        *leading, k = words.shape
        out = torch.empty((*leading, self.count, k), dtype=self.dtype, device=words.device)
        rest = words
        for place in range(self.count):
            spare = WORD_BITS - min(self.bits, WORD_BITS - self.bits * place)
            # Shifts spread the limb's own sign, so a limb is at most half its range in size, and a product a quarter.
            limb = (rest << spare) >> spare
            out[..., self.count - 1 - place if upwards else place, :] = limb
            rest = (rest - limb) >> self.bits
        return out.flatten(-2)


def _int8_product(x: Tensor, y: Tensor) -> Tensor:
    """[..., m, k] x [..., k, n] of bytes as int32."""
    # torch multiplies bytes on processors too, but without the right instructions it saturates the sum of two products.
    return int8_on_cuda(x, y) if x.is_cuda else torch.matmul(x.to(torch.int32), y.to(torch.int32))


def int8_on_cuda(x: Tensor, y: Tensor) -> Tensor:
    """The same, for m >= 17 and k and n that are multiples of 8, by what torch has for bytes: one matrix at a time."""
    if max(x.dim(), y.dim()) == 2:
        # cuBLAS is picky about where a matrix of bytes begins, so slices are copied; and it wants rows times columns.
        return torch._int_mm(x.contiguous(), y.t().contiguous().t())
    batch = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    out = torch.empty((*batch, x.shape[-2], y.shape[-1]), dtype=torch.int32, device=x.device)
    for place in np.ndindex(*batch):
        out[place] = int8_on_cuda(x.expand(*batch, -1, -1)[place], y.expand(*batch, -1, -1)[place])
    return out


FLOAT64 = Limbs(22, 3, torch.float64, 1024, torch.matmul)
INT8 = Limbs(8, 8, torch.int8, 16376, _int8_product, multiple=8, rows_min=17)


def matmul(x: Tensor, y: Tensor, limbs: Limbs = FLOAT64) -> Tensor:
    """[..., m, k] x [..., k, n] modulo 2^64, where the operands lie."""
    m, k, n = *x.shape[-2:], y.shape[-1]
    if k != y.shape[-2]:
        raise ValueError(f"cannot multiply {list(x.shape)} by {list(y.shape)}")
    shape = (*np.broadcast_shapes(x.shape[:-2], y.shape[:-2]), m, n)
    out = torch.zeros(shape, dtype=torch.int64, device=x.device)
    if not out.numel():
        return out
    columns = y.transpose(-1, -2)
    for start in range(0, k, limbs.block):
        block = slice(start, min(start + limbs.block, k))
        _add_block(out, x[..., block], columns[..., block], limbs)
    return out


def _add_block(out: Tensor, rows: Tensor, columns: Tensor, limbs: Limbs) -> None:
    """out += rows @ columns^T for rows short enough to be exact."""
    m, n = rows.shape[-2], columns.shape[-2]
    rows, columns = (_padded(part, limbs) for part in (rows, columns))
    width = rows.shape[-1]
    left, right = limbs.split(rows), limbs.split(columns, upwards=True)
    for power in range(limbs.count):
        first, last = left[..., : (power + 1) * width], right[..., (limbs.count - 1 - power) * width :]
        part = limbs.product(first, last.transpose(-1, -2))[..., :m, :n]
        out += part.to(torch.int64) << (limbs.bits * power)


def _padded(words: Tensor, limbs: Limbs) -> Tensor:
    """With rows and columns of zeros up to what the product of this format asks for."""
    if limbs.multiple == 1:
        return words
    rows, columns = words.shape[-2:]
    missing = -max(rows, limbs.rows_min) % limbs.multiple + max(limbs.rows_min - rows, 0)
    return torch.nn.functional.pad(words, (0, -columns % limbs.multiple, 0, missing))
