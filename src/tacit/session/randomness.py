"""Every random word of a run has an address: the pair that shares it, its purpose, the lane of its gate among gates
that run abreast, and its place in that stream.

A pair agrees one key inside its own connection. From it comes one AES-CTR stream per purpose, read once and in order,
so no (key, counter) pair is ever used twice and both ends of the pair read the same words (house rule D6). torch's and
numpy's generators are never used here.

Purposes are part of the key: the pad of an opening and the share of an input are never the same words, although they
come from the same pair.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tacit.crypto.primitives import Stream, derive
from tacit.ring.words import Ring
from tacit.session.owner import Owner

Words = NDArray[np.int64]


class Randomness:
    """The streams of one party: one key per peer, one stream per (peer, purpose)."""

    def __init__(self, pair_keys: Mapping[int, bytes], session_id: bytes) -> None:
        self._pair_keys = dict(pair_keys)
        self._session_id = session_id
        self._streams: dict[tuple[int, str, tuple[int, ...]], Stream] = {}
        #: Which of several gates abreast is drawing; part of every address. Both holders of a pad run the same gates,
        #: but a helper may draw early what an evaluator draws late: lanes keep their streams aligned.
        self.lane: tuple[int, ...] = ()
        self.owner = Owner()

    def __repr__(self) -> str:
        return f"Randomness(peers={sorted(self._pair_keys)}, streams={len(self._streams)})"

    def words(self, peer: int, purpose: str, shape: tuple[int, ...], ring: Ring) -> Words:
        """Uniform ring elements that `peer` draws as well, if it asks for the same shape at the same point."""
        return ring.from_wire(self._draw(peer, purpose, shape, ring.wire_dtype))

    def narrow(
        self, peer: int, purpose: str, shape: tuple[int, ...], dtype: np.dtype[np.signedinteger]
    ) -> NDArray[np.signedinteger]:
        """Uniform words of a narrower integer type; arithmetic on them wraps at that width."""
        return self._draw(peer, purpose, shape, dtype)

    def fill(self, peer: int, purpose: str, words: NDArray[np.signedinteger]) -> None:
        """Overwrite `words` with what `peer` draws as `narrow` of the same shape and type."""
        if not words.flags.c_contiguous:
            raise ValueError("only contiguous memory can be filled in place")  # reshape would fill a copy
        if words.size:
            self._stream(peer, purpose).fill(words.reshape(-1).view(np.uint8).data)

    def blind(self, peer: int, purpose: str, words: NDArray[np.signedinteger]) -> None:
        """Exclusive-or into `words`, in place, what `peer` draws as `narrow` of the same shape and type."""
        if not words.flags.c_contiguous:
            raise ValueError("only contiguous memory can be blinded in place")  # reshape would blind a copy
        if words.size:
            self._stream(peer, purpose).xor_into(words.reshape(-1).view(np.uint8).data)

    def _draw(
        self, peer: int, purpose: str, shape: tuple[int, ...], dtype: np.dtype[np.signedinteger]
    ) -> NDArray[np.signedinteger]:
        out = np.empty(shape, dtype=dtype)
        if out.size:
            self._stream(peer, purpose).fill(out.reshape(-1).view(np.uint8).data)
        return out

    def _stream(self, peer: int, purpose: str) -> Stream:
        self.owner.check("asked for its random words: they would be used twice")
        address = (peer, purpose, self.lane)
        stream = self._streams.get(address)
        if stream is None:
            stream = self._streams[address] = self._open(peer, purpose)
        return stream

    def _open(self, peer: int, purpose: str) -> Stream:
        # The session id is in the key as well: a pair key is fresh for each run, and were it not, the streams would be.
        # Lanes come first and end in a slash, so no purpose can be read as another lane.
        lanes = "".join(f"{number}/" for number in self.lane)
        return Stream(derive(self._pair_keys[peer], label=f"stream {lanes}{purpose}", context=self._session_id))
