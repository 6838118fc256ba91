"""Masked values in one process: every x is held as (c, -r) with x = c - r and a fresh r after each gate.

What a function computes depends, in its last units, on the masks that its inputs happen to have. Here a test sees all
of that at the speed of numpy, on millions of values, without parties or messages: the functionality of the gates, which
the protocols are tested against bit by bit elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch

from kit.parties import make_sessions
from tacit.protocols.interface import Bits, Pieces, Protocol, Shares, Table, Threshold, Values
from tacit.protocols.tables import meaning
from tacit.ring import planes
from tacit.ring.kernels import Bilinear, mul


class Model(Protocol):
    """Row 0 is c, row 1 is -r. Bits are held plainly."""

    name: ClassVar[str] = "model"
    components: ClassVar[int] = 2
    protection: ClassVar[str] = "none"

    def __init__(self, frac_bits: int = 16, seed: int = 0) -> None:
        (session,) = make_sessions("plain", parties=1, frac_bits=frac_bits)
        super().__init__(session)
        self.random = np.random.default_rng(seed)

    # -- in and out ----------------------------------------------------------------------------------------------

    def of(self, values: Values) -> Shares:
        """Values under fresh masks."""
        mask = self.random.integers(-(2**63), 2**63, values.shape, dtype=np.int64)
        return torch.as_tensor(np.stack([values + mask, -mask]))

    def value(self, x: Shares) -> Values:
        """What shares stand for."""
        return (x[0] + x[1]).numpy()

    def share(self, owner: int, values: Values | None, shape: tuple[int, ...]) -> Shares:
        assert values is not None
        return self.of(values)

    def public(self, values: Values) -> Shares:
        return torch.as_tensor(np.stack([values, np.zeros_like(values)]))

    def reveal(self, x: Shares, receivers: tuple[int, ...]) -> Values | None:
        return self.value(x)

    def reveal_bits(self, x: Bits) -> Values:
        return np.array([planes.unpack(plane, x.count) for plane in x.planes[0]])

    def shuffle(self, x: Shares, *, apart: bool = False) -> Shares:
        """In the order that they have: what one run may bring is enough here."""
        return self.of(self.value(x))

    def add_public(self, x: Shares, values: Values) -> Shares:
        missing = max(values.ndim - (x.dim() - 1), 0)
        x = x.reshape(2, *(1,) * missing, *x.shape[1:])
        shape = np.broadcast_shapes(x.shape[1:], values.shape)
        out = x.expand(2, *shape).clone()
        out[0] += torch.as_tensor(values)
        return out

    # -- gates ---------------------------------------------------------------------------------------------------

    def product(self, kernel: Bilinear, x: Shares, y: Shares) -> Shares:
        return self.of(kernel(x[0] + x[1], y[0] + y[1]).numpy())

    def product_truncated(self, kernel: Bilinear, x: Shares, y: Shares, shift: int) -> Shares:
        floats = kernel((x[0] + x[1]).double(), (y[0] + y[1]).double()) if kernel is mul else torch.zeros(1)
        assert not floats.numel() or float(floats.abs().max()) <= 2.0**62 - 2.0**shift, "a product leaves the domain"
        return self.truncate(self.product(kernel, x, y), shift)

    def truncate(self, x: Shares, shift: int) -> Shares:
        value = self.value(x)
        assert not value.size or (value.max() <= 2**62 - 2**shift and value.min() >= -(2**62)), "outside the domain"
        return self.of((value + self._offset(x, shift)) >> shift)

    def is_negative(self, x: Shares, width: int | None = None) -> Bits:
        value = self.value(x).reshape(-1)
        if width is not None and width < 64 and value.size:
            assert -(2 ** (width - 1)) <= value.min(), "a comparison leaves its width"
            assert value.max() < 2 ** (width - 1), "a comparison leaves its width"
        return Bits(planes.pack(value < 0)[None], value.size)

    def at_least(self, x: Shares, thresholds: Sequence[Threshold], width: int | None = None) -> Bits:
        self.is_negative(x, width)
        value = self.value(x)
        rows = [
            planes.pack(((value + self._offset(x, shift)) >> shift).reshape(-1) >= bound) for shift, bound in thresholds
        ]
        return Bits(np.concatenate(rows)[None], value.size)

    def is_zero(self, x: Shares) -> Bits:
        value = self.value(x).reshape(-1)
        return Bits(planes.pack(value == 0)[None], value.size)

    def and_(self, x: Bits, y: Bits) -> Bits:
        return Bits(x.planes & y.planes, x.count)

    def xor(self, x: Bits, y: Bits) -> Bits:
        return Bits(x.planes ^ y.planes, x.count)

    def invert(self, x: Bits) -> Bits:
        return Bits(~x.planes, x.count)

    def from_bits(self, x: Bits, shape: tuple[int, ...]) -> Shares:
        return self.of(planes.unpack(x.planes[0, 0], x.count).reshape(shape))

    def lookup(
        self, x: Shares, shift: int, tables: Sequence[Table], times: Mapping[int, Shares] | None = None
    ) -> list[Shares]:
        low = (1 << shift) - 1
        c, r = x[0].numpy(), -x[1].numpy()
        index = (c >> shift) - (r >> shift)
        found = [meaning(table, index % table.entries, c & low, r & low, shift) for table in tables]
        return self._multiplied(found, times)

    def lookup_count(
        self, bits: Bits, tables: Sequence[Pieces], times: Mapping[int, Shares] | None = None
    ) -> list[Shares]:
        total = sum(planes.unpack(plane, bits.count) for plane in bits.planes[0])
        return self._multiplied([table.coefficients[0][total % table.entries] for table in tables], times)

    def _multiplied(self, found: Sequence[Values], times: Mapping[int, Shares] | None) -> list[Shares]:
        factors = times or {}
        return [self.of(words * self.value(factors[at]) if at in factors else words) for at, words in enumerate(found)]

    @staticmethod
    def _offset(x: Shares, shift: int) -> Values:
        return -x[1].numpy() & ((1 << shift) - 1)
