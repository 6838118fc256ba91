"""The ring Z_2^k: how its elements lie in memory, how they wrap, and how they look on the wire.

Elements are int64, the representative in [-2^(k-1), 2^(k-1)). For k = 64 the processor wraps for us; the smaller rings
exist so that tests can try every value there is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.int64]
_WIRE: dict[int, np.dtype[np.signedinteger]] = {
    8: np.dtype("<i1"),
    16: np.dtype("<i2"),
    32: np.dtype("<i4"),
    64: np.dtype("<i8"),
}


@dataclass(frozen=True)
class Ring:
    """Z_2^bits for bits in 8, 16, 32, 64."""

    bits: int = 64

    def __post_init__(self) -> None:
        if self.bits not in _WIRE:
            raise ValueError(f"a ring has 8, 16, 32 or 64 bits, not {self.bits}")

    @property
    def wire_dtype(self) -> np.dtype[np.signedinteger]:
        """The smallest dtype that holds one element: what travels."""
        return _WIRE[self.bits]

    def wrap(self, words: Words) -> Words:
        """The representative of each word modulo 2^bits. Returns its argument for the 64-bit ring."""
        if self.bits == 64:
            return words
        spare = 64 - self.bits
        return (words << spare) >> spare

    def to_wire(self, words: Words) -> NDArray[np.signedinteger]:
        """The same words in the wire dtype, contiguous; for 64 bits without a copy where possible."""
        return np.ascontiguousarray(words, dtype=self.wire_dtype)

    def from_wire(self, message: NDArray[np.signedinteger]) -> Words:
        """Words as they came from the wire, as int64."""
        return message.astype(np.int64, copy=False)


def carrier_bits(bits: int) -> int:
    """The width of the smallest integer type that holds `bits` bits: 8, 16, 32 or 64."""
    if not 1 <= bits <= 64:
        raise ValueError(f"a word has 1 to 64 bits, not {bits}")
    return next(width for width in _WIRE if width >= bits)


def carrier(bits: int) -> np.dtype[np.signedinteger]:
    """The wire dtype for words of `bits` bits."""
    return _WIRE[carrier_bits(bits)]
