"""The protocol's gates without PyTorch's dispatch and autograd: what a row's time is made of, for profiling.

Not here: curves and whole layers, which are rows of work.py; correctness, which the tests of the protocols keep.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from bench.work import WORDS, Fresh, Row, Shield, Timed, gaussian
from tacit.functions import compare
from tacit.ring.kernels import matmul, mul

FRAC_BITS = 16
WIDTH = 49

#: (protocol, shares, shares) -> what is timed; what happens before it returns is off the clock.
Gate = Callable[[Any, Tensor, Tensor], Timed]


def products(kernel: Any) -> Gate:
    """A product and its truncation in the same messages."""
    return lambda protocol, x, y: lambda: protocol.product_truncated(kernel, x, y, FRAC_BITS)


def from_sign(work: Callable[[Any, Any, Tensor], Any]) -> Gate:
    """What is done with bits that a comparison has left."""

    def gate(protocol: Any, x: Tensor, y: Tensor) -> Timed:
        bits = protocol.is_negative(x, WIDTH)
        return lambda: work(protocol, bits, x)

    return gate


GATES: dict[str, Gate] = {
    "product, truncated": products(mul),
    "product": lambda protocol, x, y: lambda: protocol.product(mul, x, y),
    "truncate": lambda protocol, x, y: lambda: protocol.truncate(x, FRAC_BITS),
    "sign, 32 bits": lambda protocol, x, y: lambda: protocol.is_negative(x, 32),
    "sign, 49 bits": lambda protocol, x, y: lambda: protocol.is_negative(x, WIDTH),
    "sign, 64 bits": lambda protocol, x, y: lambda: protocol.is_negative(x, 64),
    "is zero": lambda protocol, x, y: lambda: protocol.is_zero(x),
    "bits to words": from_sign(lambda protocol, bits, x: protocol.from_bits(bits, tuple(x.shape[1:]))),
    "select": from_sign(lambda protocol, bits, x: protocol.select(bits, x)),
    "positive part": lambda protocol, x, y: lambda: compare.positive_part(protocol, x, WIDTH),
}
SIZES = {"2^20": WORDS, "100k": 100_000, "128": 128}


def _row(gate: Gate, shape: tuple[int, ...], elements: int, macs: int, runs: int) -> Row:
    def build(shield: Shield) -> Fresh:
        x, y = shield(gaussian(*shape)(), owner=0)._cell, shield(gaussian(*shape)(), owner=1)._cell

        def fresh() -> Timed:
            timed = gate(x.context.protocol, x.shares, y.shares)

            def run() -> None:  # gives nothing back: shares are not to be compared with plain values
                timed()

            return run

        return fresh

    return Row(build, elements, words=3 * elements, macs=macs, runs=runs)


ROWS: dict[str, Row] = {
    f"{name}, {size}": _row(gate, (count,), count, 0, 60 if count < 1000 else 9)
    for name, gate in GATES.items() for size, count in SIZES.items()
} | {"matmul, truncated, 512": _row(products(matmul), (512, 512), 512**2, 512**3, 9)}
