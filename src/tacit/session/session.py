"""One run among parties, as protocol code sees it: my place, my peers, randomness, and one way to talk.

A Session is the only object that a protocol is given. It does not know what a share is. How it came to be (handshake,
keys, sockets) is `handshake` and `launch`; what it cost is `meter`; what it gave away is `disclosure`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol as Interface

import numpy as np
from numpy.typing import NDArray

from tacit.errors import ShapeError
from tacit.session.disclosure import Disclosures
from tacit.session.meter import Meter
from tacit.session.randomness import Randomness
from tacit.session.truncation import DITHERED

Message = NDArray[np.signedinteger]
Expected = tuple[tuple[int, ...], np.dtype[np.signedinteger]]


class Postman(Interface):
    """What a session needs of the network: `net.mesh.Mesh` is one; a party alone needs none."""

    def exchange(
        self, step: int, label: str, send: Mapping[int, memoryview], into: Mapping[int, memoryview]
    ) -> None:
        """Send and fill the buffers; return when both are done."""

    def abort(self, reason: str) -> None:
        """Tell every peer why we stop, and close."""

    def close(self) -> None:
        """Say goodbye and close."""


class Session:
    """The run as one party sees it. `place` counts from 0 in the order of `parties`."""

    def __init__(
        self,
        place: int,
        parties: tuple[str, ...],
        postman: Postman | None,
        randomness: Randomness,
        *,
        protocol: str,
        ring_bits: int,
        frac_bits: int,
        public_seed: int,
        disclosures: Disclosures,
        truncation: str = DITHERED,
    ) -> None:
        self.place = place
        self.parties = parties
        self.randomness = randomness
        self.protocol = protocol
        self.ring_bits = ring_bits
        self.frac_bits = frac_bits
        self.truncation = truncation
        self.public_seed = public_seed
        self.disclosures = disclosures
        self.meter = Meter(owner=randomness.owner)
        self.step = 0
        self._owner = randomness.owner
        self._postman = postman

    def __repr__(self) -> str:
        return f"Session({self.parties[self.place]!r}, place {self.place} of {len(self.parties)}, step {self.step})"

    def exchange(
        self, label: str, send: Mapping[int, Message], receive: Mapping[int, Expected], *, dealt: bool = False
    ) -> dict[int, NDArray[np.signedinteger]]:
        """One round: send each array to its peer, return the arrays announced in `receive`.

        `dealt`: all messages come from one party that waits for nobody, so they are ahead of their use and no round.

        Every party calls this at the same points of the same program, also with nothing to send or receive. `label` and
        the step number travel along, so parties that diverge hear it at once.
        """
        self._owner.check("tried to take part in its run")
        arrived = {peer: np.empty(shape, dtype) for peer, (shape, dtype) in receive.items()}
        outgoing = {peer: _bytes_of(message) for peer, message in send.items()}
        incoming = {peer: _bytes_of(array) for peer, array in arrived.items()}
        if self._postman is not None and (outgoing or incoming):
            self._postman.exchange(self.step, f"{self.meter.operation}/{label}"[:40], outgoing, incoming)
        self.step += 1
        self.meter.note_exchange(sum(view.nbytes for view in outgoing.values()), rounds=0 if dealt else 1)
        return arrived

    def place_of(self, party: int | str) -> int:
        """The place of a party given by name or index."""
        if isinstance(party, int) and not isinstance(party, bool) and 0 <= party < len(self.parties):
            return party
        if isinstance(party, str) and party in self.parties:
            return self.parties.index(party)
        raise ShapeError(f"no party {party!r} in this run", hint=f"the parties are {', '.join(self.parties)}")

    def abort(self, reason: str) -> None:
        """Tell the others why this party stops. `reason` must hold no value: it leaves the machine."""
        if self._postman is not None and self._owner.is_this_process():
            self._postman.abort(reason)

    def close(self) -> None:
        """The normal end of a run."""
        if self._postman is not None and self._owner.is_this_process():
            self._postman.close()


def _bytes_of(array: NDArray[np.signedinteger]) -> memoryview:
    # reshape(-1) would copy a strided array, and the network would then fill the copy.
    if not array.flags.c_contiguous:
        raise ShapeError("a message must be contiguous")
    return array.reshape(-1).view(np.uint8).data


