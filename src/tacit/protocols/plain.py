"""No secrecy at all: the oracle that the others are tested against, and the rehearsal of a program.

Holds     every party the values themselves; one party alone works as well.
Layout    int64 [1, *shape].
Safe if   the data are made up or public. `secret()` under this protocol sends plain values to every party.
Shows     everything.

Since nothing is secret, the headroom that the real protocols must take on trust is asserted here: a value that would
overflow stops the rehearsal and is named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from tacit.errors import NotRepresentable
from tacit.protocols.interface import Bits, Pieces, Protocol, Shares, Table, Threshold, Values, step
from tacit.protocols.tables import meaning
from tacit.ring import planes
from tacit.ring.kernels import Bilinear, mul
from tacit.session.truncation import FAITHFUL

#: (shape, shift) -> rounding offsets in [0, 2^shift): tests replay another protocol's dither through this.
Dither = Callable[[tuple[int, ...], int], Values]


class Plain(Protocol):
    """Values in the open."""

    name = "plain"
    components = 1
    protection = "NO protection: every party sees every value (rehearsal on made-up data)"
    dither: Dither | None = None

    @step(rounds=1, bits="k * (n - 1)")
    def share(self, owner: int, values: Values | None, shape: tuple[int, ...]) -> Shares:
        others = [place for place in range(len(self.session.parties)) if place != owner]
        if self.session.place == owner:
            assert values is not None
            assert values.shape == shape
            message = self.ring.to_wire(values)
            self.session.exchange("share", dict.fromkeys(others, message), {})
            return self.public(values)
        arrived = self.session.exchange("share", {}, {owner: (shape, self.ring.wire_dtype)})
        return self.public(self.ring.from_wire(arrived[owner]))

    def public(self, values: Values) -> Shares:
        return torch.as_tensor(np.array(self.ring.wrap(values), dtype=np.int64)[None])

    @step(rounds=1, bits=0)
    def reveal(self, x: Shares, receivers: tuple[int, ...]) -> Values | None:
        self.session.exchange("reveal", {}, {})
        return x[0].numpy().copy() if self.session.place in receivers else None

    @step(rounds=1, bits=0)
    def reveal_bits(self, x: Bits) -> Values:
        self.session.exchange("reveal-bits", {}, {})
        return planes.unpack_narrow(x.planes[0], x.count).astype(np.int64)

    @step(rounds=0, bits=0)
    def shuffle(self, x: Shares, *, apart: bool = False) -> Shares:
        # The order stays: who sees every value would see any other order too, and one party alone shares no key.
        del apart
        return x.clone()

    def add_public(self, x: Shares, values: Values) -> Shares:
        # The components axis must not meet an axis of the values, so a shorter x is padded after it.
        missing = max(values.ndim - (x.dim() - 1), 0)
        return self._wrapped(x.reshape(1, *(1,) * missing, *x.shape[1:]) + torch.as_tensor(values))

    @step(rounds=0, bits=0)
    def product(self, kernel: Bilinear, x: Shares, y: Shares) -> Shares:
        return self._wrapped(kernel(x[0], y[0])[None])

    @step(rounds=0, bits=0)
    def product_truncated(self, kernel: Bilinear, x: Shares, y: Shares, shift: int) -> Shares:
        self._check_product(kernel, x, y, shift)
        return self.truncate(self.product(kernel, x, y), shift)

    @step(rounds=0, bits=0)
    def truncate(self, x: Shares, shift: int) -> Shares:
        if x.numel():
            # The domain is [-2^62, 2^62 - 2^shift]: one unit more below, so the bound is put to -x - 2^shift as well.
            self._check_domain(max(float(x.max()), -float(x.min()) - 2.0**shift), shift)
        # To nearest where nothing is replayed; a replayed dither gives exactly what the other protocol computed.
        dither = None if self.session.truncation == FAITHFUL else self.dither
        offset = 1 << (shift - 1) if dither is None else dither(tuple(x.shape[1:]), shift)
        words: Values = x.numpy()
        return torch.as_tensor((words + offset) >> shift)

    @step(rounds=0, bits=0)
    def is_negative(self, x: Shares, width: int | None = None) -> Bits:
        if width is not None and x.numel():
            self._check_width(x, width)
        return self._bits(x.numpy() < 0)

    @step(rounds=0, bits=0)
    def at_least(self, x: Shares, thresholds: Sequence[Threshold], width: int | None = None) -> Bits:
        if width is not None and x.numel():
            self._check_width(x, width)
        flat = x.numpy().reshape(-1)
        # One offset of x for all thresholds: each cuts it at its own bit.
        offset = self._cut_offset(x, max(shift for shift, _ in thresholds)).reshape(-1)
        rows = [planes.pack(flat + (offset & ((1 << shift) - 1)) >> shift >= bound) for shift, bound in thresholds]
        return Bits(np.concatenate(rows)[None], flat.size)

    @step(rounds=0, bits=0)
    def is_zero(self, x: Shares) -> Bits:
        return self._bits(x.numpy() == 0)

    @step(rounds=0, bits=0)
    def and_(self, x: Bits, y: Bits) -> Bits:
        return Bits(x.planes & y.planes, x.count)

    def xor(self, x: Bits, y: Bits) -> Bits:
        return Bits(x.planes ^ y.planes, x.count)

    def invert(self, x: Bits) -> Bits:
        return Bits(~x.planes, x.count)

    @step(rounds=0, bits=0)
    def from_bits(self, x: Bits, shape: tuple[int, ...]) -> Shares:
        return torch.as_tensor(planes.unpack(x.planes[0, 0], x.count).reshape(1, *shape))

    @step(rounds=0, bits=0)
    def lookup(
        self, x: Shares, shift: int, tables: Sequence[Table], times: Mapping[int, Shares] | None = None
    ) -> list[Shares]:
        mask = self._cut_offset(x, shift)
        words: Values = x.numpy() + mask
        index, known = words >> shift, words & ((1 << shift) - 1)
        found = [meaning(table, index % table.entries, known, mask[None], shift) for table in tables]
        return self._multiplied(found, times)

    @step(rounds=0, bits=0)
    def lookup_count(
        self, bits: Bits, tables: Sequence[Pieces], times: Mapping[int, Shares] | None = None
    ) -> list[Shares]:
        total = sum(planes.unpack(plane, bits.count) for plane in bits.planes[0])
        found = [table.coefficients[0][total % table.entries][None] for table in tables]
        return self._multiplied(found, times)

    def _multiplied(self, found: list[Values], times: Mapping[int, Shares] | None) -> list[Shares]:
        factors = {} if times is None else times
        return [
            self._wrapped(mul(torch.as_tensor(words), factors[at]) if at in factors else torch.as_tensor(words))
            for at, words in enumerate(found)
        ]

    def _cut_offset(self, x: Shares, shift: int) -> Values:
        """u of thresholds and lookups: 0 where nothing is replayed, so that a cut rounds down."""
        shape = tuple(x.shape[1:])
        return np.zeros(shape, dtype=np.int64) if self.dither is None else self.dither(shape, shift)

    @staticmethod
    def _bits(flags: np.ndarray) -> Bits:
        return Bits(planes.pack(flags.reshape(-1))[None], flags.size)

    def _check_product(self, kernel: Bilinear, x: Shares, y: Shares, shift: int) -> None:
        # In float64 an overflow shows that the ring would hide; absolute values bound the partial sums as well.
        floats = kernel(x[0].abs().double(), y[0].abs().double())
        self._check_domain(float(floats.max()) if floats.numel() else 0.0, shift)

    def _check_width(self, x: Shares, width: int) -> None:
        largest = max(float(x.max()), -float(x.min()) - 1.0)
        if largest >= 2.0 ** (width - 1):
            raise NotRepresentable(
                f"{self.session.meter.operation} compares numbers {largest:.3g} units apart; "
                f"values of this format are less than 2^{width - 1} apart",
                hint="standardise the data, or use fewer fraction bits",
            )

    def _check_domain(self, largest: float, shift: int) -> None:
        bits = self.fixed.product_bits
        if largest > 2.0**bits - 2.0**shift:
            raise NotRepresentable(
                f"a result of {self.session.meter.operation} needs {largest:.3g} units before truncation; "
                f"the ring holds 2^{bits} of them",
                hint="standardise the data, lower the learning rate, or use fewer fraction bits",
            )
