"""Sharings made and opened by the test itself, without any gate: so that one gate at a time is under test."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from tacit.protocols import Bits, Masked, Plain, Protocol, Shares
from tacit.ring import Ring, planes

Words = NDArray[np.int64]


def any_word(rng: np.random.Generator, shape: tuple[int, ...], bits: int = 64) -> Words:
    """Ring elements for test data; not for shares of anything that matters."""
    return rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), size=shape, dtype=np.int64)


def deal(protocol: Protocol, values: Words, x0: Words | int = 0, x2: Words | int = 0) -> Shares:
    """This party's share of `values`, with components 0 and 2 as given and component 1 what remains."""
    if isinstance(protocol, Plain):
        return protocol.public(values)
    wrap = protocol.ring.wrap
    first, last = (np.broadcast_to(np.asarray(wrap(np.asarray(m, dtype=np.int64))), values.shape) for m in (x0, x2))
    middle = np.asarray(wrap(np.asarray(values - first - last)))
    components = [first, middle, last]
    place = protocol.session.place
    return torch.as_tensor(np.stack([components[place], components[(place + 1) % 3]]))


def deal_bits(protocol: Protocol, bits: Words, b0: Words | int = 0, b2: Words | int = 0) -> Bits:
    """As `deal`, for rows of zeros and ones [planes, count]."""
    rows = np.atleast_2d(bits)
    if isinstance(protocol, Plain):
        return Bits(_packed(rows)[None], rows.shape[1])
    first, last = (np.broadcast_to(np.asarray(m, dtype=np.int64), rows.shape) for m in (b0, b2))
    components = [_packed(first), _packed(rows ^ first ^ last), _packed(last)]
    place = protocol.session.place
    return Bits(np.stack([components[place], components[(place + 1) % 3]]), rows.shape[1])


def wires(kind: type[Protocol], values: Words, x0: Words | int, x2: Words | int, bits: int = 64) -> tuple[Words, Words]:
    """(c, r) of each element that `deal` makes: what its evaluators and its helper know, by turns where roles rotate.

    Under the plain protocol r is 0: it rounds tables down.
    """
    wrap = Ring(bits).wrap
    if kind is Plain:
        return values, np.zeros_like(values)
    flat = values.reshape(-1)
    first, last = (np.broadcast_to(np.asarray(m, dtype=np.int64), values.shape).reshape(-1) for m in (x0, x2))
    turn = np.zeros(flat.size, dtype=np.int64)
    if issubclass(kind, Masked) and flat.size >= kind.rotated_from:
        turn = np.arange(flat.size) // (-(-flat.size // (3 * 64)) * 64)
    known = np.choose((turn + 1) % 3, [wrap(first), wrap(flat - first - last), wrap(last)])
    return known.reshape(values.shape), np.asarray(wrap(known - flat)).reshape(values.shape)


def opened(results: Sequence[Shares], ring_bits: int = 64) -> Words:
    """The value that the parties hold together. Asserts that every copy of a component is the same."""
    arrays = [result.numpy() for result in results]
    if arrays[0].shape[0] == 1:
        assert all(np.array_equal(arrays[0], other) for other in arrays), "parties of the plain protocol disagree"
        return arrays[0][0]
    for place in range(3):
        assert np.array_equal(arrays[place][1], arrays[(place + 1) % 3][0]), f"copies of component {place + 1} differ"
    wrap = Ring(ring_bits).wrap
    for array in arrays:
        assert np.array_equal(array, wrap(array)), "a share is not a ring element"
    # Flat, because numpy warns when a sum of 0-d arrays wraps.
    x0, x1, x2 = (row.reshape(-1) for row in (arrays[0][0], arrays[0][1], arrays[1][1]))
    return wrap(x0 + x1 + x2).reshape(arrays[0].shape[1:])


def opened_bits(results: Sequence[Bits]) -> Words:
    """As `opened`, for bits: zeros and ones [planes, count]."""
    first = results[0]
    if first.planes.shape[0] == 1:
        assert all(np.array_equal(first.planes, other.planes) for other in results)
        rows = first.planes[0]
    else:
        for place in range(3):
            assert np.array_equal(results[place].planes[1], results[(place + 1) % 3].planes[0]), "copies differ"
        rows = first.planes[0] ^ first.planes[1] ^ results[1].planes[1]
    return np.array([planes.unpack(row, first.count) for row in rows], dtype=np.int64).reshape(-1, first.count)


def _packed(rows: Words) -> NDArray[np.int64]:
    return np.concatenate([planes.pack(row) for row in rows])
