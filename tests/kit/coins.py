"""Doubles of a party's randomness, for looking at one party's view with everything else held still.

The curious party knows its own shares and every pad it shares with somebody. What protects the others from it is the
one key that it lacks, that of the other two: the *hidden* key. So its own coins are held constant here, and only words
of the hidden key vary. A message that is not blinded by the hidden key then shows as a constant, even where a fresh
share or a pad that the party knows would have made it look random.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from kit.parties import Source
from tacit.crypto.primitives import Stream
from tacit.ring import planes
from tacit.session.randomness import Randomness

Narrow = NDArray[np.signedinteger]


class HiddenOnly(Randomness):
    """Words of the hidden key as they are; every other pad is constant over the runs, which lie along the last axis.

    Without `runs` all elements count as runs.
    """

    def __init__(
        self,
        pair_keys: Mapping[int, bytes],
        session_id: bytes,
        victim: int,
        silent: frozenset[str] = frozenset(),
        renamed: Mapping[str, str] | None = None,
        runs: int | None = None,
    ) -> None:
        super().__init__(pair_keys, session_id)
        self.runs = runs
        self.place = ({0, 1, 2} - set(pair_keys)).pop()
        self.victim, self.silent, self.renamed = victim, silent, dict(renamed or {})
        self.drawn: dict[str, int] = {}  # purpose -> bits of the hidden key drawn for one element

    def _draw(self, peer: int, purpose: str, shape: tuple[int, ...], dtype: np.dtype[np.signedinteger]) -> Narrow:
        if purpose.endswith("-order"):
            # An order moves whole runs, so it is no pad of one of them; it stands still here, as ties do, and
            # test_shuffle looks at it by itself.
            return np.zeros(shape, dtype)
        if self.victim in (self.place, peer):
            return self._constant(peer, purpose, shape, dtype)
        self.drawn[purpose] = self.drawn.get(purpose, 0) + bits_per_element(purpose, shape, dtype)
        if purpose in self.silent:
            return np.zeros(shape, dtype)
        return self._hidden(peer, purpose, shape, dtype)

    def fill(self, peer: int, purpose: str, words: Narrow) -> None:
        words[...] = self._draw(peer, purpose, words.shape, words.dtype)

    def blind(self, peer: int, purpose: str, words: Narrow) -> None:
        words ^= self._draw(peer, purpose, words.shape, words.dtype)

    def _hidden(self, peer: int, purpose: str, shape: tuple[int, ...], dtype: np.dtype[np.signedinteger]) -> Narrow:
        return super()._draw(peer, purpose, shape, dtype)

    def _open(self, peer: int, purpose: str) -> Stream:
        # Two purposes under one name read the same words: the fault that purposes exist to prevent.
        return super()._open(peer, self.renamed.get(purpose, purpose))

    def _constant(self, peer: int, purpose: str, shape: tuple[int, ...], dtype: np.dtype[np.signedinteger]) -> Narrow:
        count = 64 * shape[-1] if holds_planes(purpose) else int(np.prod(shape))
        runs = self.runs or count
        if not holds_planes(purpose):
            return np.repeat(super()._draw(peer, purpose, (count // runs,), dtype), runs).reshape(shape)
        rows = super()._draw(peer, purpose, (int(np.prod(shape[:-1])), count // runs), dtype) & 1
        return np.concatenate([planes.pack(np.repeat(row, runs)) for row in rows]).reshape(shape)


class Enumerated(HiddenOnly):
    """Element number e reads its hidden pads from the bits of e: all coins of a small ring, each exactly once.

    `tape` says at which bit of e the pads of a purpose begin; a purpose without a place there is constant.
    """

    def __init__(
        self, pair_keys: Mapping[int, bytes], session_id: bytes, victim: int, tape: Mapping[str, int], count: int
    ) -> None:
        super().__init__(pair_keys, session_id, victim)
        self.tape, self.index = dict(tape), np.arange(count, dtype=np.int64)

    def _hidden(self, peer: int, purpose: str, shape: tuple[int, ...], dtype: np.dtype[np.signedinteger]) -> Narrow:
        if purpose not in self.tape:
            return self._constant(peer, purpose, shape, dtype)
        taken = bits_per_element(purpose, shape, dtype)
        numbers = self.index >> self.tape[purpose]
        self.tape[purpose] += taken
        if holds_planes(purpose):
            return planes.to_planes(numbers, taken).reshape(shape)
        each = 8 * dtype.itemsize
        return np.stack([(numbers >> at).astype(dtype) for at in range(0, taken, each)]).reshape(shape)


def holds_planes(purpose: str) -> bool:
    """Whether the pads of this purpose are bit planes rather than words."""
    return purpose.endswith("-bits")


def bits_per_element(purpose: str, shape: tuple[int, ...], dtype: np.dtype[np.signedinteger]) -> int:
    """How much of a draw belongs to one element."""
    return int(np.prod(shape[:-1])) * (1 if holds_planes(purpose) else 8 * dtype.itemsize)


def hidden_only(
    victim: int,
    silent: frozenset[str] = frozenset(),
    renamed: Mapping[str, str] | None = None,
    runs: int | None = None,
) -> Source:
    """For `make_sessions(randomness=...)`."""
    return lambda keys, session_id: HiddenOnly(keys, session_id, victim, silent, renamed, runs)


def enumerated(victim: int, tape: Mapping[str, int], count: int) -> Source:
    """For `make_sessions(randomness=...)`."""
    return lambda keys, session_id: Enumerated(keys, session_id, victim, tape, count)
