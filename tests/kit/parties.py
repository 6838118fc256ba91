"""Parties as threads of the test process, on queues instead of sockets: for gates, which use no global state.

Everything a party receives can be recorded, so that tests can look at a view the way a curious party would.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np

from tacit.crypto.primitives import random_bytes
from tacit.protocols import PROTOCOLS, Protocol
from tacit.session.disclosure import Disclosures, allow_everything
from tacit.session.randomness import Randomness
from tacit.session.session import Session
from tacit.session.truncation import DITHERED

Result = TypeVar("Result")
#: What one party received, in order: label, sender, payload; and the shape of an array, where kit.views keeps it.
View = list[tuple[str, int, bytes] | tuple[str, int, bytes, tuple[int, ...]]]
#: Makes a party's randomness from its pair keys and the session id.
Source = Callable[[Mapping[int, bytes], bytes], Randomness]


class Wires:
    """Queues between all pairs of parties."""

    def __init__(self, parties: int) -> None:
        self.queues = {(i, j): queue.Queue() for i in range(parties) for j in range(parties)}


class Postbox:
    """A Postman over queues; keeps each party's view and refuses messages that do not belong together."""

    def __init__(self, place: int, wires: Wires, view: View | None = None, opened: View | None = None) -> None:
        self.place, self.wires, self.view, self.opened = place, wires, view, opened

    def exchange(self, step: int, label: str, send: Mapping[int, memoryview], into: Mapping[int, memoryview]) -> None:
        for peer, buffer in send.items():
            self.wires.queues[self.place, peer].put((step, label, bytes(buffer)))
        for peer, buffer in into.items():
            got = self.wires.queues[peer, self.place].get(timeout=60)
            if isinstance(got, BaseException):
                raise RuntimeError(f"party {peer} failed") from got
            assert got[:2] == (step, label), (got[:2], step, label)
            assert len(got[2]) == buffer.nbytes, (label, len(got[2]), buffer.nbytes)
            buffer[:] = got[2]
            if self.view is not None:
                self.view.append((label, peer, got[2]))
            if self.opened is not None and peer in send and send[peer].nbytes == buffer.nbytes:
                both = np.frombuffer(send[peer], np.uint8) ^ np.frombuffer(buffer, np.uint8)
                self.opened.append((label, peer, both.tobytes()))

    def abort(self, reason: str) -> None:
        for peer in {j for _, j in self.wires.queues} - {self.place}:
            self.wires.queues[self.place, peer].put(RuntimeError(reason))

    def close(self) -> None:
        pass


def pair_keys(parties: int) -> dict[frozenset[int], bytes]:
    """A fresh key for each pair."""
    return {frozenset({i, j}): random_bytes(32) for i in range(parties) for j in range(i)}


def make_sessions(
    protocol: str,
    parties: int = 3,
    ring_bits: int = 64,
    frac_bits: int = 16,
    keys: Mapping[frozenset[int], bytes] | None = None,
    views: list[View] | None = None,
    opened: list[View] | None = None,
    randomness: Source = Randomness,
    session_id: bytes = b"test session",
    truncation: str = DITHERED,
) -> list[Session]:
    """One session per party, connected by queues. `opened` collects what two parties open to each other, as bits.
 `randomness` may be a double, such as those of `kit.coins`."""
    keys = keys or pair_keys(parties)
    wires = Wires(parties)
    names = ("alice", "bob", "crypto-producer", "dave", "erin")[:parties]
    return [
        Session(
            place,
            names,
            Postbox(
                place,
                wires,
                views[place] if views is not None else None,
                opened[place] if opened is not None else None,
            ),
            randomness({j: keys[frozenset({place, j})] for j in range(parties) if j != place}, session_id),
            protocol=protocol,
            ring_bits=ring_bits,
            frac_bits=frac_bits,
            public_seed=1,
            disclosures=Disclosures(allow_everything),
            truncation=truncation,
        )
        for place in range(parties)
    ]


def run_gates(
    function: Callable[[Protocol], Result],
    protocol: str | type[Protocol] = "replicated3",
    **options: object,
) -> list[Result]:
    """Run `function(protocol)` as every party at once; the results by place. The first failure is raised."""
    kind = PROTOCOLS[protocol] if isinstance(protocol, str) else protocol
    sessions = make_sessions(kind.name, **options)  # type: ignore[arg-type]
    return in_threads([lambda s=s: function(kind(s)) for s in sessions], sessions)


def in_threads(tasks: list[Callable[[], Result]], sessions: list[Session]) -> list[Result]:
    """Run the tasks side by side; a failing party wakes the others."""
    results: list[Result | None] = [None] * len(tasks)
    failures: list[tuple[float, BaseException]] = []

    def work(place: int) -> None:
        try:
            results[place] = tasks[place]()
        except BaseException as failure:  # the main thread re-raises it
            failures.append((len(failures), failure))
            sessions[place].abort(str(failure))

    threads = [threading.Thread(target=work, args=(place,)) for place in range(len(tasks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0][1]
    return results  # type: ignore[return-value]
