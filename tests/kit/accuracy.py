"""Errors of a function over its whole domain, in units of the last fraction bit, beside what its record promises.

Points     dense near 0, log-uniform to both ends of the domain, powers of two and one unit beside them, the ends.
Masks      fresh and random for every value: kit.model. Errors in the last units depend on them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from kit.model import Model
from tacit.functions.catalogue import Promise, Range
from tacit.ring import FixedPoint

#: Beyond this every curve is straight and a dense grid tells nothing; powers and roots have no scale of their own.
DENSE = 20.0


@dataclass(frozen=True)
class Errors:
    """In units; per unit of magnitude of results beyond 1, where the bound grows with them."""

    largest: float
    mean: float  # over the dense points: the others crowd around 0
    share: float  # the largest part of what the bound allows that an error came to
    worst: float  # the (first) input where it did


def points(span: Range, frac_bits: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """About `count` words in the range, the dense half first, that encoding accepts at `frac_bits` fraction bits."""
    top = 2 ** FixedPoint(64, frac_bits).value_bits - 1
    low, high = (int(np.clip(end * 2.0**frac_bits, -top, top)) for end in span)
    dense = int(DENSE * 2**frac_bits)
    near = rng.integers(max(low, -dense), max(min(high, dense), low) + 1, count // 2)
    sizes = np.exp(rng.uniform(0, math.log(max(abs(low), abs(high))), count // 4)).astype(np.int64)
    powers = 2 ** np.arange(FixedPoint(64, frac_bits).value_bits)
    edges = np.concatenate([powers - 1, powers, powers + 1])
    found = np.concatenate([near, sizes, -sizes, edges, -edges, [0, low, low + 1, high - 1, high]]).astype(np.int64)
    return found[(found >= low) & (found <= high)]


def inputs(promise: Promise, frac_bits: int, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Words for each input of the function."""
    if promise.name in SAMPLES:
        return SAMPLES[promise.name](promise, frac_bits, count, rng)
    spans = promise.domain(frac_bits)
    columns = [points(span, frac_bits, count, rng) for span in spans]
    fewest = min(column.size for column in columns)
    # Every further input meets the first in an order of its own.
    return [columns[0][:fewest], *(rng.permutation(column)[:fewest] for column in columns[1:])]


def measured(promise: Promise, frac_bits: int, count: int, seed: int = 0) -> Errors:
    """Errors on about `count` points."""
    rng = np.random.default_rng([seed, frac_bits])
    words = inputs(promise, frac_bits, count, rng)
    model = Model(frac_bits, seed)
    got = model.value(promise.call(model, *(model.of(column) for column in words), frac_bits))
    exact = promise.reference(*(torch.as_tensor(column / 2.0**frac_bits) for column in words))
    error = np.abs(got - exact.numpy() * 2.0**frac_bits)
    bound = promise.bound(frac_bits)
    shares = error / bound.allowed(exact, frac_bits).numpy()
    if bound.relative:
        error /= np.maximum(np.abs(exact.numpy()), 1)
    at = np.unravel_index(shares.argmax(), shares.shape)
    worst = words[0][at] if words[0].shape == shares.shape else words[0].reshape(-1)[0]
    even = error if promise.name in SAMPLES else error[: count // 2]
    return Errors(float(error.max()), float(even.mean()), float(shares.max()), float(worst / 2.0**frac_bits))


def logits(promise: Promise, frac_bits: int, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Rows that are all alike, rows with one that is far above the others, and everything between."""
    (entries,) = promise.shape
    rows = max(count // entries, 8)
    spread = np.exp2(rng.uniform(-8, 10, (rows, 1)))
    found = spread * rng.normal(size=(rows, entries))
    # Where all but one are so low that what is left of them just counts, or just does not.
    found[: rows // 4, 0] = spread[: rows // 4, 0] + rng.uniform(0, 30, rows // 4)
    found[: rows // 4, 1:] = rng.normal(size=(rows // 4, entries - 1)) / 8
    found[0] = 0
    top = 2.0 ** FixedPoint(64, frac_bits).value_bits - 1
    return [np.clip(np.rint(found * 2.0**frac_bits), -top, top).astype(np.int64)]


#: Functions whose inputs are not independent numbers make their own.
SAMPLES: dict[str, Callable[[Promise, int, int, np.random.Generator], list[np.ndarray]]] = {
    "softmax": logits,
    "log_softmax": logits,
}
