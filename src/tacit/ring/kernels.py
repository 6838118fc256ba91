"""Products modulo 2^k: elementwise and matrix, on int64 torch tensors that may have any leading dimensions.

Wrap-around is the arithmetic, so nothing here checks for overflow. A kernel is bilinear and takes and returns public
shapes; the protocols call it on shares and never look inside. It computes where its operands lie: on a processor with
torch's own integer products, on CUDA, which has none for matrices, with limbs. Both give the same bits.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tacit.ring import limbs

Bilinear = Callable[[Tensor, Tensor], Tensor]


def mul(x: Tensor, y: Tensor) -> Tensor:
    """Elementwise product with broadcasting."""
    if x.is_cuda:
        return x * y
    # numpy multiplies int64 twice as fast as torch and has a third of its overhead per call.
    return torch.as_tensor(x.numpy() * y.numpy())


def matmul(x: Tensor, y: Tensor) -> Tensor:
    """Matrix product [..., m, k] x [..., k, n]; torch's integer GEMM wraps as the ring does."""
    return limbs.matmul(x, y) if x.is_cuda else torch.matmul(x, y)


def on(device: torch.device | str, kernel: Bilinear) -> Bilinear:
    """The same kernel computed on `device`; the operands travel there, and the result back to where the first was."""

    def run(x: Tensor, y: Tensor) -> Tensor:
        return kernel(x.to(device), y.to(device)).to(x.device)

    return run
