"""Public tables of polynomials: a function cut into segments, as integers that every machine computes alike.

A lookup reads row i for x = i * 2^shift + t, where i is floor(x / 2^shift) or one more. So row i is fitted on
((i - 1) * 2^shift, (i + 1) * 2^shift), twice the width of its segment, and there is no seam between rows.

Two sites whose tables differed in one unit would silently compute on different functions. Hence decimals with a context
of their own, whose operations are rounded correctly everywhere, and never the machine's libm.
Not here: which functions are cut, and how (curves, roots); what a protocol does with a table (protocols).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, InvalidOperation, Overflow, localcontext
from functools import cache

import numpy as np

from tacit.protocols.interface import Pieces

#: Rows of a table. A power of two, so that an index is its low bits.
ENTRIES = 128
#: Words before a truncation stay within [-2^62, 2^62 - 2^shift]: docs/design/fixed-point.md.
HEADROOM_BITS = 62
DIGITS = 45
#: What an element occupies while a protocol reads such a table of it, about: the one-hot row, words dealt and opened.
WORDS = 40

RealFunction = Callable[[Decimal], Decimal]


@contextmanager
def exact_decimals() -> Iterator[None]:
    """45 digits rounded to nearest, whatever the caller's context says."""
    own = Context(
        prec=DIGITS, rounding=ROUND_HALF_EVEN, Emin=-9999, Emax=9999, clamp=0,
        traps=[InvalidOperation, DivisionByZero, Overflow],
    )
    with localcontext(own):
        yield


def whole(value: Decimal) -> int:
    """The nearest integer; ties to even."""
    return int(value.to_integral_value(rounding=ROUND_HALF_EVEN))


def pieces(
    value: RealFunction,
    rows: range,
    *,
    shift: int,
    input_bits: int,
    scale_bits: int,
    kept: Sequence[int],
    truncation: int,
    entries: int = ENTRIES,
) -> Pieces:
    """A table that says value(x / 2^input_bits) * 2^scale_bits of a word x.

    rows        the values of floor(x / 2^shift) that are meant to be read, and one more; all other rows are 0. Row i is
                entry i modulo `entries`.
    kept        bits of t that the terms of degree 1, 2, .. see. Fewer bits leave more for the coefficient: a term's
                coefficient has scale_bits - degree * kept[degree - 1] fraction bits. Terms that keep equally many cost
                less than terms that do not.
    truncation  bits that the caller drops from the result. No remainder |t| <= 2^shift takes any row out of the domain
                of that truncation: also a value far outside reads some row, before a bit sets what it says to 0.
    """
    if len(rows) > entries:
        raise ValueError(f"{len(rows)} rows do not fit a table of {entries}")
    drop = tuple(shift - min(bits, shift) for bits in kept)
    degree = len(drop)
    table = np.zeros((degree + 1, entries), dtype=np.int64)
    with exact_decimals():
        nodes, inverse = _interpolation(degree)
        unit = Decimal(2) ** (shift - input_bits)
        scales = [Decimal(2) ** (scale_bits - j * (shift - d)) for j, d in enumerate((shift, *drop))]
        for row in rows:
            heights = [value((row + node) * unit) for node in nodes]
            exact = [sum((w * h for w, h in zip(weights, heights, strict=True)), Decimal(0)) for weights in inverse]
            table[:, row % entries] = _rounded(exact, scales)
    found = Pieces(table, drop)
    if (most := largest(found, shift)) > 2**HEADROOM_BITS - 2**truncation:
        raise ValueError(f"a row of the table reaches {most:.3g}; a truncation by {truncation} bits has no room for it")
    return found


def largest(table: Pieces, shift: int) -> int:
    """A bound on what any row says, for every remainder |t| <= 2^shift."""
    reach = [1, *(1 << j * (shift - drop) for j, drop in enumerate(table.drop, start=1))]
    columns: list[list[int]] = table.coefficients.T.tolist()  # Python's integers: these sums must not wrap
    return max(sum(abs(a) * size for a, size in zip(column, reach, strict=True)) for column in columns)


def _rounded(exact: list[Decimal], scales: Sequence[Decimal]) -> list[int]:
    """Integer coefficients, the highest first: what rounding takes from one is given to lower ones as far as it goes.

    Of all polynomials t^j + lower terms, Chebyshev's is least on [-1, 1]: 1/2, 1/4, 1/8 of t^2, t^3, t^4 remain.
    """
    wanted, found = list(exact), [0] * len(exact)
    for j in reversed(range(len(exact))):
        found[j] = whole(wanted[j] * scales[j])
        lost = wanted[j] - found[j] / scales[j]
        for lower, share in _LEAST[j].items():
            wanted[lower] += lost * share
    return found


@cache
def _interpolation(degree: int) -> tuple[list[Decimal], list[list[Decimal]]]:
    """Chebyshev nodes on [-1, 1], and the matrix that makes monomial coefficients of the heights at them."""
    with exact_decimals():
        nodes = _NODES[degree]()
        basis = []
        for k, node in enumerate(nodes):
            # Lagrange's polynomial that is 1 at this node and 0 at the others.
            polynomial = [Decimal(1)]
            for other in nodes[:k] + nodes[k + 1 :]:
                raised = [Decimal(0), *polynomial]
                lowered = [other * c for c in polynomial] + [Decimal(0)]
                polynomial = [(high - low) / (node - other) for high, low in zip(raised, lowered, strict=True)]
            basis.append(polynomial)
        return nodes, [[polynomial[j] for polynomial in basis] for j in range(degree + 1)]


def _mirrored(*positive: Decimal, centre: bool) -> list[Decimal]:
    return [*(-node for node in positive), *([Decimal(0)] if centre else []), *reversed(positive)]


#: t^j less Chebyshev's polynomial of that degree over 2^(j - 1).
_LEAST: dict[int, dict[int, Decimal]] = {
    0: {}, 1: {}, 2: {0: Decimal("0.5")}, 3: {1: Decimal("0.75")}, 4: {2: Decimal(1), 0: Decimal("-0.125")},
}
#: cos((2k + 1) pi / (2 degree + 2)) by square roots, the largest first.
_NODES: dict[int, Callable[[], list[Decimal]]] = {
    0: lambda: [Decimal(0)],
    1: lambda: _mirrored(Decimal("0.5").sqrt(), centre=False),
    2: lambda: _mirrored(Decimal("0.75").sqrt(), centre=True),
    3: lambda: _mirrored(
        ((2 + Decimal(2).sqrt()) / 4).sqrt(), ((2 - Decimal(2).sqrt()) / 4).sqrt(), centre=False
    ),
    4: lambda: _mirrored(
        ((5 + Decimal(5).sqrt()) / 8).sqrt(), ((5 - Decimal(5).sqrt()) / 8).sqrt(), centre=True
    ),
}
