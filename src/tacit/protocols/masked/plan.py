"""How a comparison is cut up: digits of a number, and the nodes that join them. Pure counting; no secrets.

A digit of w bits costs 2^w - 1 dealt bits, once. A node joins up to four neighbouring digits or nodes in one round: it
opens masked bits, one each way, and needs the products of their masks dealt. More and narrower digits are cheaper to
deal and dearer to join, so all ways are tried: few rounds first, then few bits and little work. Two levels join any
64-bit number. Several numbers may share digits (cuts).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import groupby, product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

#: A node of four joins 16 digits in two rounds. A digit of five bits would cost 31 for one bit more.
RADIX_MAX = 4
WIDTH_MAX = 4
#: Operations on a bit plane for one digit of each width, all roles together (measured: bits and operations take time).
_OPERATIONS = {1: 3, 2: 11, 3: 27, 4: 59}
#: Operations that take as long as one bit sent; a batch of nodes, however small, costs as much as some bits.
_OPERATIONS_PER_BIT, _BITS_PER_BATCH = 12, 2


Order = NDArray[np.intp]


@dataclass(frozen=True)
class Batch:
    """Equal nodes side by side: `count` nodes over `radix` neighbours each, the lowest being input `start`.

    `less` and `equal` say which relation their outputs are wanted for.
    """

    start: int
    radix: int
    count: int
    less: bool
    equal: bool

    @cached_property
    def opened(self) -> int:
        """Bits that one node opens: all but the highest `less`, all but the lowest `equal`, and that one if wanted."""
        if self.radix == 1:
            return 0
        return (self.radix - 1) * (1 + self.less) + self.equal

    @cached_property
    def products(self) -> int:
        """Products of two or more masks that one node needs dealt."""
        if self.radix == 1:
            return 0
        subsets = (1 << (self.radix - 1)) - 1
        total = subsets - (self.radix - 1)
        if self.less:
            total += sum((1 << weight) - 1 for weight in range(1, self.radix))
        return total + subsets * self.equal


class Use(NamedTuple):
    """The digits of a run that one number uses: its planes start at `plane`, its relations go to rows `where`."""

    number: int
    plane: int
    digits: Order
    where: Order


@dataclass(frozen=True)
class Plan:
    """Digits as (width, how many), from the lowest bit up, and the levels of nodes above them.

    One number is compared with all digits, unless `starts` says for each number which digit of each run is its lowest.
    """

    digits: tuple[tuple[int, int], ...]
    levels: tuple[tuple[Batch, ...], ...]
    starts: tuple[tuple[int, ...], ...] = ()
    #: If not simply in order: where each digit of each number goes; then, for each further level and for the answers,
    #: where each comes from.
    orders: tuple[Order, ...] = field(default=(), compare=False)

    @cached_property
    def numbers(self) -> int:
        """How many are compared."""
        return max(len(self.starts), 1)

    @cached_property
    def uses(self) -> tuple[tuple[Use, ...], ...]:
        """For each run of digits, what of it the numbers use."""
        found: list[list[Use]] = [[] for _ in self.digits]
        at = 0
        for number, lowest in enumerate(self.starts or ((0,) * len(self.digits),)):
            plane = 0
            for run, (start, (width, count)) in enumerate(zip(lowest, self.digits, strict=True)):
                if start == count:
                    continue
                digits = np.arange(start, count, dtype=np.intp)
                where = np.arange(at, at + digits.size, dtype=np.intp)
                found[run].append(Use(number, plane, digits, self.orders[0][where] if self.orders else where))
                plane += width * digits.size
                at += digits.size
        return tuple(map(tuple, found))

    @cached_property
    def inputs(self) -> int:
        """Digits of all numbers together."""
        return sum(use.digits.size for run in self.uses for use in run)

    @cached_property
    def bits(self) -> int:
        """Bits of the numbers that this plan compares."""
        return sum(width * count for width, count in self.digits)

    @cached_property
    def digit_bits(self) -> int:
        """Dealt for the digits."""
        return sum(((1 << width) - 1) * count for width, count in self.digits)

    @cached_property
    def product_bits(self) -> int:
        """Dealt for the nodes."""
        return sum(batch.products * batch.count for level in self.levels for batch in level)

    @cached_property
    def opened_bits(self) -> int:
        """Opened by the nodes, before counting that each travels both ways."""
        return sum(batch.opened * batch.count for level in self.levels for batch in level)

    @cached_property
    def total_bits(self) -> int:
        """Sent by all parties for one element."""
        return self.digit_bits + self.product_bits + 2 * self.opened_bits

    @property
    def effort(self) -> float:
        """Bits, with the work at the parties counted as bits too: what plans are chosen by."""
        operations = sum(_OPERATIONS[width] * count for width, count in self.digits)
        batches = sum(len(level) for level in self.levels)
        return self.total_bits + operations / _OPERATIONS_PER_BIT + _BITS_PER_BATCH * batches


@cache
def less_plan(bits: int) -> Plan:
    """The cheapest way to compute [C < R] for numbers of so many bits."""
    return _cheapest(bits, less=True)


@cache
def equal_plan(bits: int) -> Plan:
    """The cheapest way to compute [C = R]."""
    return _cheapest(bits, less=False)


def sign_rounds(width: int) -> int:
    """Rounds of the sign of a number of `width` bits, with its bit handed out."""
    return len(less_plan(width - 1).levels) + 1


def sign_bits(width: int) -> int:
    """Bits of the same: the comparison below the top bit, the top bit dealt, and the result opened under its mask."""
    return less_plan(width - 1).total_bits + 1 + 2


def equal_rounds(bits: int) -> int:
    """Rounds of a zero test."""
    return len(equal_plan(bits).levels) + 1


def equal_bits(bits: int) -> int:
    """Bits of a zero test."""
    return equal_plan(bits).total_bits + 2


def _cheapest(bits: int, *, less: bool) -> Plan:
    if not 1 <= bits <= WIDTH_MAX * RADIX_MAX**2:
        raise ValueError(f"a comparison of {bits} bits has no plan")
    fewest = -(-bits // WIDTH_MAX)
    most = next(count for count in (1, RADIX_MAX, RADIX_MAX**2) if count >= fewest)
    plans = [
        plan_of(_even(bits, count), sizes, less=less)
        for count in range(fewest, min(most, bits) + 1)
        for sizes in groupings(count)
    ]
    return min(plans, key=lambda plan: (len(plan.levels), plan.effort, plan.opened_bits))


def plan_of(widths: tuple[int, ...], sizes: tuple[int, ...], *, less: bool) -> Plan:
    """The plan with these digits and, where one node cannot join them, first-level nodes of these sizes."""
    digits = tuple((width, len(list(run))) for width, run in groupby(widths))
    levels: list[tuple[int, ...]] = [] if len(widths) == 1 else [(len(widths),)]
    if len(widths) > RADIX_MAX:
        levels = [sizes, (len(sizes),)]
    return Plan(digits, tuple(_batches(level, less=less) for level in levels))


def _even(bits: int, count: int) -> tuple[int, ...]:
    """Widths of `count` digits, as equal as they can be."""
    base, wide = divmod(bits, count)
    return (base + 1,) * wide + (base,) * (count - wide)


def groupings(count: int) -> list[tuple[int, ...]]:
    """Sizes of first-level nodes over so many digits; one, unused, where a single node joins them."""
    if count <= RADIX_MAX:
        return [()]
    choices = range(1, RADIX_MAX + 1)
    return [sizes for n in choices for sizes in product(choices, repeat=n) if sum(sizes) == count]


def _batches(sizes: tuple[int, ...], *, less: bool) -> tuple[Batch, ...]:
    """Neighbouring nodes of one size together. Below the lowest node lies nothing, so nobody asks it for equality."""
    batches: list[Batch] = []
    start = 0
    rows = [(size, less, not less or number > 0) for number, size in enumerate(sizes)]
    for (size, *wanted), run in groupby(rows):
        count = len(list(run))
        batches.append(Batch(start, size, count, *wanted))
        start += size * count
    return tuple(batches)
