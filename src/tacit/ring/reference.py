"""The slow, obvious versions, in Python integers. They define what the fast ones must return."""

from __future__ import annotations

from collections.abc import Sequence


def wrap(value: int, bits: int) -> int:
    """The representative of `value` modulo 2^bits in [-2^(bits-1), 2^(bits-1))."""
    half = 1 << (bits - 1)
    return (value + half) % (1 << bits) - half


def matmul(x: Sequence[Sequence[int]], y: Sequence[Sequence[int]], bits: int) -> list[list[int]]:
    """Matrix product modulo 2^bits."""
    columns = list(zip(*y, strict=True))
    return [[wrap(sum(a * b for a, b in zip(row, column, strict=True)), bits) for column in columns] for row in x]


def bit(value: int, position: int) -> int:
    """Bit `position` of the two's complement of `value`."""
    return (value >> position) & 1


def truncate(value: int, shift: int, dither: int) -> int:
    """floor((value + dither) / 2^shift) with 0 <= dither < 2^shift: what every truncation gate computes."""
    return (value + dither) >> shift


def truncations(value: int, shift: int) -> frozenset[int]:
    """All results that a dithered truncation may give: the floor, and the floor plus one unless it is exact."""
    floor = value >> shift
    return frozenset({floor} if value == floor << shift else {floor, floor + 1})
