"""What every protocol can do: the joint between secure arithmetic below and functions and tensors above.

Shares      int64 torch tensor [components, *shape]: what this party holds of a secret tensor.
Bits        one secret bit for each element, packed 64 to a word, in the protocol's Boolean sharing.
Cost        declared beside each gate with @step and held against the meter by a test.

A protocol knows rings, not real numbers: it never sees fraction bits, only "drop so many low bits".

Gates run by themselves, or as `steps` whose rounds merge with those of independent gates: mathematics above is written
as generators of steps, and `elementwise` may cut large tensors into parts that run abreast.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tacit.protocols import rounds
from tacit.protocols.rounds import Steps
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


@dataclass
class Kept:
    """A secret bit for each element of one part, and words that a protocol keeps from its first selection by it."""

    bit: Bits
    words: Any = field(default=None, repr=False)


@dataclass(frozen=True)
class Choice:
    """A secret bit for each element, kept for selections: the second one costs less than the first."""

    parts: tuple[Kept, ...]  # one for each part in which `elementwise` cut the elements

    @classmethod
    def of(cls, bit: Bits) -> Choice:
        """A choice by one plane of bits."""
        return cls((Kept(bit),))


class Threshold(NamedTuple):
    """The question whether floor((x + u) / 2^shift) >= bound, where u in [0, 2^shift) is the rounding offset of x.

    Within one `elementwise` the same x is cut with the same u by every threshold and every lookup, so they agree on
    which cell x lies in. Between calls the roles of a protocol, and with them u, may be others.
    """

    shift: int
    bound: int


@dataclass(frozen=True)
class Pieces:
    """A public table of polynomials: entry i means the sum over j of coefficients[j, i] * t_j^j.

    t_j is the remainder t without its lowest `drop[j]` bits: floor((t + u mod 2^drop[j]) / 2^drop[j]).
    """

    coefficients: Values  # [degree + 1, entries]; a power of two of entries, at most 128
    drop: tuple[int, ...]  # one for each degree from 1 up

    @property
    def entries(self) -> int:
        """Rows of the table."""
        return int(self.coefficients.shape[1])


@dataclass(frozen=True)
class Powers:
    """A public table of factors: entry i means factors[i] * A * B, with A B = 2^(t / 2^shift) * 2^(2 bits).

    A = 2^(C / 2^shift) * 2^bits and B = 2^(-R / 2^shift) * 2^bits as integers of ring.powers, where t = C - R.
    """

    factors: Values  # [entries]
    bits: int

    @property
    def entries(self) -> int:
        """Rows of the table."""
        return int(self.factors.shape[0])


Table = Pieces | Powers


@dataclass(frozen=True)
class Price:
    """Rounds of a gate, and bits that all parties together send for one output element.

    `bits` is a formula in k (ring bits), s (bits of a truncation), w (s rounded up to a carrier of 8, 16, 32 or 64) and
    width (of a comparison; k where none is given).
    """

    rounds: str
    bits: str


Gate = TypeVar("Gate", bound=Callable[..., object])
Result = TypeVar("Result")


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
    #: Prices where the run drops bits in another way than by default, by that way and the gate.
    other_prices: ClassVar[Mapping[tuple[str, str], Price]] = {}
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

    @abstractmethod
    def reveal_bits(self, x: Bits) -> Values:
        """The bits at every party, zeros and ones [planes, count]. Whoever calls this argues what they show."""

    # -- order ---------------------------------------------------------------------------------------------------

    @abstractmethod
    def shuffle(self, x: Shares, *, apart: bool = False) -> Shares:
        """Rows (axis 0 of the public shape) in an order that no party knows; whole rows move.

        With `apart` the entries of axis 1 have an order of their own each, and what lies behind it moves along.
        """

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

    def product_truncated_mostly(self, kernel: Bilinear, x: Shares, y: Shares, shift: int) -> Shares:
        """As `product_truncated`, but a protocol may save work by being wrong now and then, by far: see `hopeful`."""
        return self.product_truncated(kernel, x, y, shift)

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

    def is_positive(self, x: Shares, width: int | None = None) -> Bits:
        """Whether each element is above zero; as `is_negative` of -x."""
        return self.is_negative(-x, width)

    @abstractmethod
    def at_least(self, x: Shares, thresholds: Sequence[Threshold], width: int | None = None) -> Bits:
        """One plane for each threshold; `width` as for `is_negative`, the bounds within it too."""

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

    def choose(self, choice: Choice, x: Shares) -> Shares:
        """x where the bit is 1, 0 elsewhere, exactly; elements in the order of those that were compared.

        Of the first two uses of one choice neither may run abreast with the other.
        """
        return self.product(mul, self._words_of(choice).reshape(x.shape), x)

    def as_words(self, choice: Choice, shape: tuple[int, ...]) -> Shares:
        """The bit as ring elements 0 and 1 of the given shape, in memory of their own."""
        words = self._words_of(choice)
        return words.reshape(words.shape[0], *shape).clone()

    def _words_of(self, choice: Choice) -> Shares:
        (kept,) = choice.parts
        if kept.words is None:
            kept.words = self.from_bits(kept.bit, (kept.bit.count,))
        words: Shares = kept.words
        return words

    def unless(self, choice: Choice) -> Choice:
        """The choice by the opposite bit; local."""
        return Choice(tuple(Kept(self.invert(kept.bit)) for kept in choice.parts))

    # -- public tables -------------------------------------------------------------------------------------------

    @abstractmethod
    def lookup(
        self, x: Shares, shift: int, tables: Sequence[Table], times: Mapping[int, Shares] | None = None
    ) -> list[Shares]:
        """What each table says of x = index * 2^shift + t, with index = floor((x + u) / 2^shift) modulo its entries.

        All tables have the same number of entries. u in [0, 2^shift) is the rounding offset of x, so that
        -2^shift < t < 2^shift. `times` multiplies the result of the table so numbered by another secret, exactly.
        """

    @abstractmethod
    def lookup_count(
        self, bits: Bits, tables: Sequence[Pieces], times: Mapping[int, Shares] | None = None
    ) -> list[Shares]:
        """What each table of degree 0 says of the number of planes in which an element's bit is set. Flat: [.., count].

        That number modulo the entries is the index. `times` as in `lookup`.
        """

    # -- gates abreast -------------------------------------------------------------------------------------------

    def run(self, steps: Steps[Result]) -> Result:
        """The result of gates given as steps."""
        return rounds.run(self.session, steps)

    def steps(self, gate: str, *arguments: Any) -> Steps[Any]:
        """A gate of this class as steps; here one that has all its rounds at once, when it is first resumed."""
        return getattr(self, gate)(*arguments)
        yield

    def abreast(self, *steps: Steps[Any]) -> Steps[list[Any]]:
        """The results of independent steps, which share rounds where they can."""
        return rounds.abreast(self.session.randomness, steps)

    def together(self, gates: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Results of independent gates, each given as its name and arguments; they share rounds where they can.

        `[("truncate", x, 8), ("is_zero", y)]` gives what `[truncate(x, 8), is_zero(y)]` would.
        """
        return self.run(self.abreast(*(self.steps(*gate) for gate in gates)))

    def elementwise(
        self, function: Callable[..., Steps[Any]], *inputs: Shares | Choice, words: int = 1
    ) -> Any:
        """function(protocol, *inputs) for steps that treat all elements alike; inputs of one shape, or choices over it.

        A protocol may flatten the inputs, cut them into parts and run these abreast, so `function` must use the
        protocol it is given. Its results (shares, a choice, or a list of these) have the elements in their last
        dimensions, and come back in the shape of the inputs. At least one input is shares. `words`: about how many an
        element occupies meanwhile, beyond a few; leave it out where choices come in or go out.
        """
        del words
        return self.run(function(self, *inputs))
