"""Products modulo 2^k: elementwise and matrix, on int64 torch tensors that may have any leading dimensions.

Wrap-around is the arithmetic, so nothing here checks for overflow. A kernel is bilinear and takes and returns public
shapes; the protocols call it on shares and never look inside.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Bilinear = Callable[[Tensor, Tensor], Tensor]


def mul(x: Tensor, y: Tensor) -> Tensor:
    """Elementwise product with broadcasting."""
    # numpy multiplies int64 twice as fast as torch and has a third of its overhead per call.
    return torch.as_tensor(x.numpy() * y.numpy())


def matmul(x: Tensor, y: Tensor) -> Tensor:
    """Matrix product [..., m, k] x [..., k, n]; torch's integer GEMM wraps as the ring does."""
    return torch.matmul(x, y)
