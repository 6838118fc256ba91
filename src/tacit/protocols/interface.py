"""What every protocol can do: the joint between secure arithmetic below and functions and tensors above.

Shares      int64 torch tensor [components, *shape]: what this party holds of a secret tensor.
Bits        one secret bit for each element, packed 64 to a word, in the protocol's Boolean sharing.
Cost        declared beside each gate with @step and held against the meter by a test.

A protocol knows rings, not real numbers: it never sees fraction bits, only "drop so many low bits".
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tacit.ring import FixedPoint, Ring
from tacit.ring.kernels import Bilinear, mul
from tacit.session.session import Session

Shares = Tensor  # int64 [components, *shape]
Values = NDArray[np.int64]  # public or own ring elements


@dataclass(frozen=True)
class Bits:
    """Secret bits in planes: int64 [components, planes, words] for `count` elements per plane."""

    planes: NDArray[np.int64] = field(repr=False)  # shares
    count: int

    def plane(self, index: int) -> Bits:
        """One plane as Bits of its own."""
        return Bits(self.planes[:, index : index + 1], self.count)


@dataclass(frozen=True)
class Price:
    """Rounds of a gate, and bits that all parties together send for one output element.

    `bits` is a formula in k (ring bits), s (bits of a truncation), w (s rounded up to a carrier of 8, 16, 32 or 64) and
    width (of a comparison; k where none is given).
    """

    rounds: str
    bits: str


Gate = TypeVar("Gate", bound=Callable[..., object])


def step(*, rounds: int | str, bits: int | str) -> Callable[[Gate], Gate]:
    """Declare what a gate costs. The declaration is checked against the meter, never used to compute."""

    def declare(gate: Gate) -> Gate:
        gate.price = Price(str(rounds), str(bits))  # type: ignore[attr-defined]
        return gate

    return declare


class Protocol(ABC):
    """Secure arithmetic modulo 2^k for the party whose session this is."""

    name: ClassVar[str]
    components: ClassVar[int]
    #: Shown on screen before the run: who must not collude, and what a party that deviates could do.
    protection: ClassVar[str]

    def __init__(self, session: Session) -> None:
        self.session = session
        self.ring = Ring(session.ring_bits)
        self.fixed = FixedPoint(session.ring_bits, session.frac_bits)

    # -- in and out ----------------------------------------------------------------------------------------------

    @abstractmethod
    def share(self, owner: int, values: Values | None, shape: tuple[int, ...]) -> Shares:
        """Shares of `values`, which only the owner passes; the shape is public."""

    @abstractmethod
    def public(self, values: Values) -> Shares:
        """The trivial sharing of values that every party knows."""

    @abstractmethod
    def reveal(self, x: Shares, receivers: tuple[int, ...]) -> Values | None:
        """The values at each receiver, None elsewhere."""

    # -- local ---------------------------------------------------------------------------------------------------

    @abstractmethod
    def add_public(self, x: Shares, values: Values) -> Shares:
        """x + values, broadcast as torch does."""

    def scale(self, x: Shares, factor: int) -> Shares:
        """x * factor for a public integer."""
        return self._wrapped(x * factor)

    def _wrapped(self, x: Shares) -> Shares:
        return x if self.ring.bits == 64 else torch.as_tensor(self.ring.wrap(x.numpy()))

    # -- products ------------------------------------------------------------------------------------------------

    @abstractmethod
    def product(self, kernel: Bilinear, x: Shares, y: Shares) -> Shares:
        """kernel(x, y) for a bilinear kernel, modulo 2^k, exact."""

    @abstractmethod
    def product_truncated(self, kernel: Bilinear, x: Shares, y: Shares, shift: int) -> Shares:
        """kernel(x, y) / 2^shift, rounded to one of the two neighbours, for |kernel(x, y)| within the domain."""

    @abstractmethod
    def truncate(self, x: Shares, shift: int) -> Shares:
        """x / 2^shift, rounded to one of the two neighbours, for x within the domain."""

    # -- bits ----------------------------------------------------------------------------------------------------

    def comparison_bits(self, frac_bits: int) -> int:
        """The width at which this protocol compares fractional values: what the format promises of them."""
        return self.fixed.comparison_bits(frac_bits)

    @abstractmethod
    def is_negative(self, x: Shares, width: int | None = None) -> Bits:
        """Whether each element is below zero: the top bit, right for every ring element.

        `width` is the caller's word that -2^(width-1) <= x < 2^(width-1), so that fewer bits need comparing
        (width >= 2). For a value outside, bit width-1 of it comes back: still one bit, but not the sign.
        """

    @abstractmethod
    def is_zero(self, x: Shares) -> Bits:
        """Whether each element is 0 modulo 2^k."""

    @abstractmethod
    def and_(self, x: Bits, y: Bits) -> Bits:
        """Bitwise and, plane by plane."""

    @abstractmethod
    def xor(self, x: Bits, y: Bits) -> Bits:
        """Bitwise exclusive or; local."""

    @abstractmethod
    def invert(self, x: Bits) -> Bits:
        """Bitwise not; local."""

    @abstractmethod
    def from_bits(self, x: Bits, shape: tuple[int, ...]) -> Shares:
        """A plane of bits as ring elements 0 and 1 of the given shape."""

    def select(self, bit: Bits, x: Shares) -> Shares:
        """x where the bit is 1, 0 elsewhere, exactly; the elements of `bit` are those of x in order."""
        return self.product(mul, self.from_bits(bit, tuple(x.shape[1:])), x)

    def selected(self, bit: Bits, x: Shares) -> tuple[Shares, Shares]:
        """(from_bits(bit), select(bit, x)): a bit that is kept for later, and x where it is 1."""
        kept = self.from_bits(bit, tuple(x.shape[1:]))
        return kept, self.product(mul, kept, x)

    def together(self, gates: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Results of independent gates, each given as its name and arguments; they share rounds where they can.

        `[("truncate", x, 8), ("is_zero", y)]` gives what `[truncate(x, 8), is_zero(y)]` would.
        """
        return [getattr(self, name)(*arguments) for name, *arguments in gates]
