"""What one party received, cut into fields that belong to one element each, and whether those fields look uniform.

A batch of elements is a batch of runs: a gate gives each element pads of its own and never combines two elements (only
kernels do, and the ones used here do not). `test_randomness` checks the first, `test_separate_runs_look_the_same` runs
a few hundred sessions without relying on either.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from kit.parties import Source, View, in_threads, make_sessions, pair_keys
from tacit.protocols import Protocol, Replicated3, rounds
from tacit.protocols.rounds import Round, Steps
from tacit.ring import planes
from tacit.session.session import Session

Result = TypeVar("Result")

#: One test alarms wrongly with a probability below 1e-13; the suite makes fewer than 10^7, which is 1e-6 for all.
FALSE_ALARM = 1e-13
#: Chi-square with 255 degrees of freedom leaves FALSE_ALARM above the first and below the second.
BYTES_UNEVEN, BYTES_TOO_EVEN = 464.0, 117.0
#: |sum of n fair signs| <= Z sqrt(n) but for FALSE_ALARM, by Hoeffding's bound, so for every n.
Z = math.sqrt(2 * math.log(2 / FALSE_ALARM))

_WORDS = {
    "share", "product", "truncate", "wrap", "deal", "reshare", "reveal", "lookup", "lookup-dealt", "table-words",
    "count", "count-dealt", "shuffle",
}  # fmt: skip
_PLANES = {"and", "input", "relation-dealt", "node", "bit", "table-bits", "reveal-bits"}


@dataclass(frozen=True)
class Merged(Round):
    """A round of several gates abreast that still knows theirs."""

    parts: tuple[Round, ...] = ()


@dataclass(frozen=True)
class Field:
    """One message, or one part of it: bits [runs, width]. `whole` fields are words and have bytes as well."""

    name: str
    bits: NDArray[np.uint8]
    whole: bool


def received(
    program: Callable[[Protocol], object],
    victim: int,
    *,
    ring_bits: int = 64,
    randomness: Source | None = None,
    keys: dict[frozenset[int], bytes] | None = None,
    kind: type[Protocol] = Replicated3,
    opened: list[View] | None = None,
) -> View:
    """Everything that `victim` received while all parties ran the program."""
    views: list[View] = [[], [], []]
    options = {} if randomness is None else {"randomness": randomness}
    sessions = make_sessions(
        kind.name, ring_bits=ring_bits, frac_bits=2, views=views, opened=opened, keys=keys or pair_keys(3), **options
    )
    with parts_kept_apart():
        in_threads([lambda s=s: program(kind(s)) for s in sessions], sessions)
    return views[victim]


@contextmanager
def parts_kept_apart() -> Iterator[None]:
    """Views list the arrays of a round one by one, under the labels of their own gates, and with their shapes."""
    run, merged = rounds.run, rounds._merged

    def apart(steps: Sequence[Round]) -> Round:
        whole = merged(steps)
        parts = tuple(part for step in steps for part in _parts(step))
        return Merged(whole.label, whole.send, whole.receive, whole.dealt, parts)

    rounds.run, rounds._merged = (lambda session, gate: run(session, _listed(session, gate))), apart
    try:
        yield
    finally:
        rounds.run, rounds._merged = run, merged


def _parts(step: Round) -> tuple[Round, ...]:
    return step.parts if isinstance(step, Merged) else (step,)


def _listed(session: Session, gate: Steps[Result]) -> Steps[Result]:
    """The gate itself; its rounds leave the parts of what arrived in the view."""
    view: View | None = getattr(session._postman, "view", None)
    try:
        step = next(gate)
        while True:
            arrived = yield step
            if view is not None and step.receive:
                operation = view[-1][0].split("/")[0]
                del view[-len(step.receive) :]
                for peer in step.receive:
                    expected = [part for part in _parts(step) for _ in part.receive.get(peer, ())]
                    for part, array in zip(expected, arrived[peer], strict=True):
                        view.append((f"{operation}/{part.label}", peer, array.tobytes(), array.shape))
            step = gate.send(arrived)
    except StopIteration as end:
        result: Result = end.value
        return result


def fields(view: View, runs: int, *, ring_bits: int, in_planes: int | None = None) -> list[Field]:
    """The view of a batch whose last axis counts the runs, message by message.

    `in_planes`: elements in a plane, where that is not the number of runs. An unknown message stops the test: a new
    gate must say here how its messages are read.
    """
    found: list[Field] = []
    for number, (label, peer, payload, *shape) in enumerate(view):
        kind = label.split("/")[-1]
        name = f"message {number} ({kind} from {peer})"
        if not payload:
            continue
        if kind not in _WORDS | _PLANES:
            raise AssertionError(f"no reading for a message labelled {label!r}")
        if kind in _PLANES:
            found.append(Field(name, _of_planes(payload, runs, in_planes or runs), whole=False))
        else:
            width = len(payload) // max(math.prod(shape[0]), 1) if shape else min(ring_bits // 8, len(payload) // runs)
            found.append(_of_words(name, np.frombuffer(payload, np.uint8), runs, width))
    return found


def faults(parts: Sequence[Field]) -> list[str]:
    """Where the view is not uniform: bytes by chi-square, bits by their mean, pairs of bits by their correlation."""
    found = []
    for part in parts:
        runs = part.bits.shape[0]
        if part.whole and runs >= 256 * 5:
            octets = np.packbits(part.bits, axis=1, bitorder="little")
            for position in range(octets.shape[1]):
                counts = np.bincount(octets[:, position], minlength=256)
                chi = float(((counts - runs / 256) ** 2).sum() / (runs / 256))
                if not BYTES_TOO_EVEN < chi < BYTES_UNEVEN:
                    found.append(f"{part.name}: byte {position} has chi-square {chi:.0f}")
    if not parts:
        return found
    signs = torch.as_tensor(1.0 - 2.0 * np.concatenate([part.bits for part in parts], axis=1)).float()
    names = [f"{part.name}, bit {bit}" for part in parts for bit in range(part.bits.shape[1])]
    limit = Z * math.sqrt(signs.shape[0])
    found += [f"{names[i]} is not fair" for i in (signs.sum(0).abs() > limit).nonzero().flatten().tolist()]
    # Sums of signs stay below 2^24, so float32 counts exactly.
    pairs = torch.triu(signs.T @ signs, diagonal=1).abs() > limit
    found += [f"{names[i]} goes with {names[j]}" for i, j in pairs.nonzero()[:20].tolist()]
    return found


def _of_words(name: str, raw: NDArray[np.uint8], runs: int, width: int) -> Field:
    per_run = raw.reshape(-1, runs, width).transpose(1, 0, 2).reshape(runs, -1)
    return Field(name, np.unpackbits(per_run, axis=1, bitorder="little"), whole=True)


def _of_planes(payload: bytes, runs: int, elements: int) -> NDArray[np.uint8]:
    rows = np.frombuffer(payload, np.int64).reshape(-1, planes.words_per_plane(elements))
    bits = np.array([planes.unpack(row, elements) for row in rows], dtype=np.uint8)
    return bits.reshape(-1, runs).T
