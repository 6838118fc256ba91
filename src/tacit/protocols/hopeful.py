"""A product whose low bits are dropped in the hope that its masked value does not run over the top of the ring.

Right, as the dithered gate is, for 2^k - |z| of the 2^k masks of a product z; else off by 2^(k - shift), downwards for
z > 0 and upwards for z < 0. One round less than the gate that finds out. Only for runs that ask for it by its name.
Rounds   one: the evaluators open c = z + r under two pads while the helper deals -(r >> shift).
Not here how likely a failure is in a program, and why functions never use this: docs/design/fixed-point.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from tacit.protocols.interface import Shares
from tacit.protocols.rounds import Round, Steps
from tacit.ring.kernels import Bilinear
from tacit.session.session import Expected

if TYPE_CHECKING:
    from tacit.protocols.sharing3 import Sharing3

_FIRST, _SECOND, _HELPER = 0, 1, 2  # roles, as in sharing3, which imports this module


def product(protocol: Sharing3, kernel: Bilinear, x: Shares, y: Shares, shift: int) -> Steps[Shares]:
    """kernel(x, y) / 2^shift; pads have purposes of their own, so it may stand beside any other gate."""
    ring = protocol.ring
    local = protocol.local_terms(kernel, x, y)
    flat = local.reshape(-1).numpy()  # ours alone: a product is never a view of its factors
    out = protocol.fresh(flat.size)
    if protocol.place == _HELPER:
        other, outer = out
        np.subtract(protocol.pad(_FIRST, "hope-a", flat.shape), flat, out=flat)
        flat += protocol.pad(_SECOND, "hope-b", flat.shape)
        protocol.settle(flat)
        protocol.fill_pad(_FIRST, "hope-shifted", outer)
        np.right_shift(flat, shift, out=other)
        other += outer
        np.negative(other, out=other)
        protocol.settle(other)
        yield Round("truncate", {_SECOND: [ring.to_wire(other)]})
        return torch.as_tensor(out).reshape(2, *local.shape)
    first = protocol.place == _FIRST
    flat += protocol.pad(_HELPER, "hope-a" if first else "hope-b", flat.shape)
    word = (flat.shape, ring.wire_dtype)
    expected: dict[int, list[Expected]] = {protocol.peer: [word]}
    if not first:
        expected[_HELPER] = [word]
    arrived = yield Round("truncate", {protocol.peer: [ring.to_wire(flat)]}, expected)
    outer, middle = out if first else out[::-1]
    flat += ring.from_wire(arrived[protocol.peer][0])  # an exchange ends when all that we sent has left
    protocol.settle(flat)
    np.right_shift(flat, shift, out=middle)
    if first:
        protocol.fill_pad(_HELPER, "hope-shifted", outer)
    else:
        np.copyto(outer, arrived[_HELPER][0])
    return torch.as_tensor(out).reshape(2, *local.shape)
