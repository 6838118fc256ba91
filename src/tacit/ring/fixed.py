"""Fixed point: how real numbers become ring elements, and which numbers are refused.

A value v is held as the integer nearest to v * 2^f. Encoding never wraps, never loses a nonzero constant and never lets
a NaN in; docs/design/fixed-point.md has the table of ranges and the reasons.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tacit.errors import NotRepresentable

#: Anything that can become a tensor of numbers without guessing.
Numbers = Tensor | NDArray[np.generic] | float | int | bool

#: Significant bits kept of a public factor: a relative error of at most 2^-16.
FACTOR_BITS = 16


@dataclass(frozen=True)
class FixedPoint:
    """Numbers with `frac_bits` binary digits after the point, in a ring of `ring_bits` bits.

    A value may have `value_bits` bits before a product overflows: |v| < 2^(value_bits - frac_bits). With 16 fraction
    bits that is 2^30, and times a factor of FACTOR_BITS bits it still fits the domain of a truncation, 2^62.
    """

    ring_bits: int = 64
    frac_bits: int = 16

    @property
    def product_bits(self) -> int:
        """A truncation is right for |z| <= 2^product_bits - 2^shift; see docs/design/fixed-point.md."""
        return self.ring_bits - 2

    @property
    def value_bits(self) -> int:
        """|encoded value| < 2^value_bits is what encoding accepts."""
        return min(self.product_bits - self.frac_bits, self.product_bits - FACTOR_BITS)

    @property
    def largest(self) -> float:
        """The bound on |v| at encoding."""
        return float(2.0 ** (self.value_bits - self.frac_bits))

    def comparison_bits(self, frac_bits: int) -> int:
        """Bits that hold the difference of two values with `frac_bits` fraction bits: the width of a comparison.

        Relies on the promise of the format, |v| < 2^value_bits units, which encoding enforces for inputs and a
        rehearsal checks for everything else. Integers without that promise compare at the width of the ring.
        """
        return min(self.value_bits + max(frac_bits - self.frac_bits, 0) + 2, self.ring_bits)

    def encode(self, values: Numbers, *, frac_bits: int | None = None, what: str = "value") -> NDArray[np.int64]:
        """Ring elements nearest to `values`. Raises NotRepresentable, naming the index of the first bad entry.

        Accepts float64/32/16, bfloat16, integers, bools, numpy arrays and Python numbers. `frac_bits` overrides the
        number of fraction bits for this call.
        """
        frac = self.frac_bits if frac_bits is None else frac_bits
        array = _as_array(values)
        if array.dtype.kind in "iub":
            return self._encode_integers(array, frac, what)
        floats = np.asarray(array.astype(np.float64, copy=False))
        self._refuse_first(~np.isfinite(floats), array, what, "is not a finite number", "clean or clip the data first")
        with np.errstate(over="ignore"):  # what overflows here is refused on the next line
            rounded = np.rint(np.ldexp(floats, frac))
        self._refuse_large(np.abs(rounded) >= 2.0**self.value_bits, array, what, frac)
        encoded = np.asarray(rounded, dtype=np.int64)
        if encoded.size and not encoded.any() and array.any():
            raise NotRepresentable(
                f"{what}: every nonzero entry would round to 0 with {frac} fraction bits "
                f"(the smallest step is {2.0**-frac:.3g})",
                hint="multiply the data by a larger unit, or use more fraction bits (frac_bits in the job)",
            )
        return encoded

    def integers(self, values: Numbers, *, what: str = "value") -> NDArray[np.int64]:
        """Integer tensors without fraction bits, any int64 value: identifiers, digests, classes."""
        array = _as_array(values)
        if array.dtype.kind not in "iub":
            raise NotRepresentable(f"{what}: expected integers, got {array.dtype}")
        integers = np.asarray(array, dtype=np.int64)
        # Seen from the result: only an unsigned word beyond 2^63 changes its sign on the way.
        lost = (integers < 0) & (array.dtype.kind == "u")
        self._refuse_first(lost, array, what, "is 2^63 or more", "use signed integers")
        return integers

    def decode(self, words: NDArray[np.int64], *, frac_bits: int | None = None) -> NDArray[np.float64]:
        """The real numbers that the ring elements stand for."""
        frac = self.frac_bits if frac_bits is None else frac_bits
        return np.ldexp(words.astype(np.float64), -frac)

    def factor(self, constant: float) -> tuple[int, int]:
        """(m, g) with constant ~ m * 2^-g and a relative error of at most 2^-16; |m| <= 2^FACTOR_BITS where g > 0.

        Multiplying by m and dropping g bits scales by a constant of any size, so a learning rate of 1e-6 is as exact as
        one of 0.1. Raises NotRepresentable where not even the largest value times the constant is half a unit, and
        where the smallest nonzero value times it leaves the range.
        """
        if not math.isfinite(constant):
            raise NotRepresentable(f"a factor of {constant} is not a finite number")
        if constant == 0:
            return 0, 0
        mantissa, exponent = math.frexp(constant)
        m, g = round(mantissa * 2**FACTOR_BITS), FACTOR_BITS - exponent
        while m % 2 == 0:
            m, g = m // 2, g - 1
        hint = "rescale the data or the loss so that the factor is nearer to 1"
        if abs(constant) < 2.0 ** -(self.value_bits + 1) or g > self.product_bits - 1:
            raise NotRepresentable(
                f"a factor of {constant:.3g} leaves nothing of any value below {self.largest:.3g}", hint=hint
            )
        if abs(constant) >= 2.0**self.value_bits:
            raise NotRepresentable(
                f"a factor of {constant:.3g} moves the smallest step, {2.0**-self.frac_bits:.3g}, out of the range",
                hint=hint,
            )
        return (m, g) if g > 0 else (m << -g, 0)

    def _encode_integers(self, array: NDArray[np.generic], frac: int, what: str) -> NDArray[np.int64]:
        bound = 1 << max(self.value_bits - frac, 0)
        # Compared in the array's own type: a uint64 beyond 2^63 would turn negative as int64 and pass.
        integers = cast(NDArray[np.integer], array if array.dtype.kind != "b" else array.astype(np.int64))
        self._refuse_large((integers >= bound) | (integers <= -bound), array, what, frac)
        return np.asarray(integers.astype(np.int64) << frac)

    def _refuse_large(self, bad: NDArray[np.bool_], array: NDArray[np.generic], what: str, frac: int) -> None:
        bound = 2.0 ** (self.value_bits - frac)
        self._refuse_first(bad, array, what, f"is outside the range of +-{bound:.6g}", "standardise or clip the data")

    @staticmethod
    def _refuse_first(bad: NDArray[np.bool_], array: NDArray[np.generic], what: str, why: str, hint: str) -> None:
        if not np.any(bad):
            return
        index = tuple(int(i) for i in np.argwhere(np.atleast_1d(bad))[0]) if array.ndim else ()
        where = f"entry {list(index)} of shape {list(array.shape)}" if array.ndim else "the number"
        # The index is public to the owner, who is the only one to see this message; the value itself stays out of it.
        raise NotRepresentable(f"{what}: {where} {why}", hint=hint)


def _as_array(values: Numbers) -> NDArray[np.generic]:
    if isinstance(values, Tensor):
        plain = values.detach()
        if plain.is_floating_point() and plain.dtype not in (torch.float64, torch.float32, torch.float16):
            plain = plain.to(torch.float32)  # numpy has no bfloat16; every narrower float fits
        array = plain.cpu().numpy()
    else:
        array = np.asarray(values)
    if array.dtype.kind not in "iubf":
        raise NotRepresentable(f"cannot make {array.dtype} values secret", hint="use floats, integers or bools")
    return array
