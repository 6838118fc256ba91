"""Comparisons, as 0/1 words that multiply without any truncation.

Exact on the shared integers: the only error is the rounding of the inputs. |x - y| must stay below 2^(k-1) units, which
encoding guarantees for inputs and the fixed-point ranges for everything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch

from tacit.protocols import Choice, Protocol, Shares
from tacit.protocols.rounds import Steps
from tacit.ring.kernels import mul


def is_negative(protocol: Protocol, x: Shares, width: int | None = None) -> Shares:
    """1 where x < 0, else 0. One comparison and one conversion: 8 + 2 rounds in replicated3, 3 + 1 in masked.

    `width`: the caller's word that x fits in so many bits; without it, right for every ring element.
    """

    def steps(p: Protocol, x: Shares) -> Steps[Shares]:
        bit = yield from p.steps("is_negative", x, width)
        words: Shares = yield from p.steps("from_bits", bit, tuple(x.shape[1:]))
        return words

    return cast(Shares, protocol.elementwise(steps, x))


def positive_part(protocol: Protocol, x: Shares, width: int | None = None) -> tuple[Choice, Shares]:
    """The choice [x > 0], and x where x > 0, else 0. 8 + 3 rounds in replicated3, 3 + 1 in masked."""

    def steps(p: Protocol, x: Shares) -> Steps[tuple[Choice, Shares]]:
        choice = Choice.of((yield from p.steps("is_positive", x, width)))
        return choice, (yield from p.steps("choose", choice, x))

    choice, kept = protocol.elementwise(steps, x)
    return choice, kept


def positive(protocol: Protocol, x: Shares, width: int | None = None) -> Choice:
    """The choice [x > 0]. 8 rounds in replicated3, 3 in masked."""

    def steps(p: Protocol, x: Shares) -> Steps[Choice]:
        return Choice.of((yield from p.steps("is_positive", x, width)))

    return cast(Choice, protocol.elementwise(steps, x))


def negative(protocol: Protocol, x: Shares, width: int | None = None) -> Choice:
    """The choice [x < 0]. 8 rounds in replicated3, 3 in masked."""

    def steps(p: Protocol, x: Shares) -> Steps[Choice]:
        return Choice.of((yield from p.steps("is_negative", x, width)))

    return cast(Choice, protocol.elementwise(steps, x))


def is_zero(protocol: Protocol, x: Shares) -> Shares:
    """1 where x = 0 modulo 2^k, else 0; right for every ring element. 7 + 2 rounds in replicated3, 3 + 1 in masked."""

    def steps(p: Protocol, x: Shares) -> Steps[Shares]:
        bit = yield from p.steps("is_zero", x)
        words: Shares = yield from p.steps("from_bits", bit, tuple(x.shape[1:]))
        return words

    return cast(Shares, protocol.elementwise(steps, x))


def inverted(protocol: Protocol, bits: Shares) -> Shares:
    """1 - bits; local."""
    return protocol.add_public(-bits, np.ones((), dtype=np.int64))


def at_least(protocol: Protocol, x: Shares, thresholds: Sequence[int], width: int | None = None) -> Shares:
    """1 where x >= t, for every public threshold t: shares [components, thresholds, *shape], in one comparison.

    x >= t is [x - t >= 0]; all thresholds travel in the same messages, so rounds do not grow with their number.
    """
    count, dims = len(thresholds), x.dim() - 1
    column = np.array(thresholds, dtype=np.int64).reshape(count, *(1,) * dims)
    stacked = x.unsqueeze(1).expand(x.shape[0], count, *x.shape[1:])
    return inverted(protocol, is_negative(protocol, protocol.add_public(stacked, -column), width))


def select(protocol: Protocol, bits: Shares, x: Shares, y: Shares) -> Shares:
    """x where the bit is 1, y where it is 0, for 0/1 words: one exact product."""
    return y + protocol.product(mul, bits, x - y)


def broadcast(x: Shares, shape: Sequence[int]) -> Shares:
    """Shares as if the secret had been expanded to `shape`; no memory is copied."""
    missing = len(shape) - (x.dim() - 1)
    return x.reshape(x.shape[0], *(1,) * missing, *x.shape[1:]).expand(x.shape[0], *torch.Size(shape))
