"""Two worlds for one party: a gate among all three, and the same party alone with messages that are made up.

The simulator (kit.simulators) names the messages; here they are filled with uniform words, or at a reveal with the
value less what the party holds, and the party's own code runs on them. Its two components of the result come out of
that run; the third is the value that the gate is to compute, less those two. So view and result are simulated together,
from what the party holds and that value.

`tell_apart` is the distinguisher. It is given as many real runs, with everything but the hidden key held still, as
simulated ones. A gate that waits for another message than the simulator names stops the simulation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from kit import coins
from kit.gates import Inputs, Row, inputs
from kit.model import Model
from kit.parties import Source, View, make_sessions, pair_keys, run_gates
from kit.sharing import any_word
from kit.simulators import Said, messages_of
from kit.view_laws import Fixed
from kit.views import Z, fields, parts_kept_apart
from tacit.protocols import Bits, Protocol
from tacit.protocols.sharing3 import HELPER, Sharing3
from tacit.ring import Ring, planes

Keys = Mapping[frozenset[int], bytes]
#: Bytes of a message for so many runs; the last number is how many bits of other messages came before.
MadeUp = Callable[[Said, int, int], bytes]


@dataclass(frozen=True)
class World:
    """A call with all but the hidden key held still, looked at by one party."""

    row: Row
    victim: int
    fixed: Fixed
    runs: int
    ring_bits: int
    keys: Keys

    def inputs(self, protocol: Protocol) -> Inputs:
        value, masks = self.fixed
        same = np.broadcast_to(masks[:, None], (8, self.runs))
        return inputs(protocol, np.full(self.runs, value, dtype=np.int64), same)

    def call(self, protocol: Protocol) -> object:
        return self.row.call(protocol, self.inputs(protocol))

    def kind(self) -> type[Sharing3]:
        """The protocol, noting the wire of a truncation: there the party reads its dither."""
        found = type("Noting", (Wires, self.row.kind), {"name": self.row.kind.name})
        assert issubclass(found, Sharing3)
        return found


class Wires(Sharing3):
    """Notes what this party knows of the wire c = z + r that is truncated: c as an evaluator, r as the helper."""

    wire: np.ndarray | None = None

    def _truncate_deal(self, mask, shift, **options):  # type: ignore[no-untyped-def]
        self.wire = mask.copy()
        return super()._truncate_deal(mask, shift, **options)

    def _truncate_wire(self, masked, dealt, shift):  # type: ignore[no-untyped-def]
        self.wire = masked.copy()
        return super()._truncate_wire(masked, dealt, shift)


def real(world: World, source: Source | None = None) -> np.ndarray:
    """View, own components and the third one, of all parties running the gate: bits [runs, width]."""
    view: list[View] = [[], [], []]
    source = source or coins.hidden_only(world.victim)
    options = {"ring_bits": world.ring_bits, "frac_bits": 2, "keys": world.keys, "randomness": source, "views": view}
    with parts_kept_apart():
        results = run_gates(world.call, world.row.kind, **options)
    own, other = results[world.victim], results[(world.victim + 1) % 3]
    seen = [field.bits for field in fields(view[world.victim], world.runs, ring_bits=world.ring_bits)]
    if (rows := _rows(own)) is None:
        return _joined(world, seen)
    third = _rows(other)
    assert third is not None
    return _joined(world, [*seen, *_bits(world, rows), *_bits(world, third[1:])])


def simulated(world: World, made_up: MadeUp) -> np.ndarray:
    """The same without the other parties. `made_up` gives the bytes of a message for so many runs."""
    postbox = Imagined(world, made_up)
    source = coins.hidden_only(world.victim)
    session = make_sessions(
        world.row.kind.name, ring_bits=world.ring_bits, frac_bits=2, keys=world.keys, randomness=source
    )[world.victim]
    session._postman = postbox
    protocol = world.kind()(session)
    assert isinstance(protocol, Wires)
    with parts_kept_apart():
        own = world.call(protocol)
    assert not postbox.left, f"{world.row.name}: never sent: {postbox.left}"
    seen = [field.bits for field in fields(postbox.view, world.runs, ring_bits=world.ring_bits)]
    if (rows := _rows(own)) is None:
        return _joined(world, seen)
    value = ideal(world, protocol.wire)
    if isinstance(own, Bits):
        third = np.bitwise_xor.reduce(rows) ^ value
    else:
        third = Ring(world.ring_bits).wrap(value - rows.sum(axis=0))
    return _joined(world, [*seen, *_bits(world, rows), *_bits(world, np.asarray(third)[None])])


class Imagined:
    """A postman without parties: what it hands out is made up, and must be what the party's code waits for."""

    def __init__(self, world: World, made_up: MadeUp) -> None:
        self.world, self.made_up = world, made_up
        self.left = messages_of(world.row, world.victim, world.ring_bits)
        self.view: View = []
        self.taken = 0

    def exchange(self, step: int, label: str, send: Mapping[int, memoryview], into: Mapping[int, memoryview]) -> None:
        for peer, buffer in into.items():
            payload = b""
            while len(payload) < buffer.nbytes:
                assert self.left, f"{self.world.row.name}: waits for {label} from {peer}, which is not to come"
                said = self.left.pop(0)
                assert said.sender == peer, f"{self.world.row.name}: {label} from {peer}, not {said}"
                payload += self._payload(said)
            assert len(payload) == buffer.nbytes, f"{self.world.row.name}: {label} has {buffer.nbytes} bytes"
            buffer[:] = payload
            self.view.append((label, peer, payload))

    def _payload(self, said: Said) -> bytes:
        if not said.opens:
            payload = self.made_up(said, self.world.runs, self.taken)
            self.taken += said.count * said.bits
            return payload
        # Who is shown a value could write down the component it lacks.
        value, masks = self.world.fixed
        if said.bits == 1:
            one, two = masks[4:5] & 1, masks[5:6] & 1
            return bytes(planes.pack(np.repeat([two, one, value & 1 ^ one ^ two][self.world.victim], self.world.runs)))
        first, last = masks[:1], masks[1:2]
        ring = Ring(self.world.ring_bits)
        lacking = ring.wrap([last, first, value - first - last][self.world.victim])
        return bytes(ring.to_wire(np.repeat(lacking, self.world.runs)).tobytes())

    def abort(self, reason: str) -> None:
        """Nobody is there to hear it."""

    def close(self) -> None:
        """Nothing to close."""


def uniform(seed: int) -> MadeUp:
    """The simulator's words: uniform, whatever they stand for. Not from the program's streams."""
    rng = np.random.default_rng(seed)

    def words(said: Said, runs: int, taken: int) -> bytes:
        return rng.bytes(said.count * (8 * planes.words_per_plane(runs) if said.bits == 1 else runs * said.bits // 8))

    return words


def counted(said: Said, runs: int, taken: int) -> bytes:
    """All messages of a small gate: run number e reads its words from the bits of e."""
    numbers = np.arange(runs, dtype=np.int64) >> taken
    if said.bits == 1:
        return bytes(planes.to_planes(numbers, said.count).tobytes())
    words = [numbers >> at * said.bits for at in range(said.count)]
    return bytes(np.stack(words).astype(f"<i{said.bits // 8}").tobytes())


def ideal(world: World, wire: np.ndarray | None) -> np.ndarray:
    """What the gate is to compute: bits or words [.., runs], from the inputs and, if it rounds, the party's dither."""
    row, (value, masks) = world.row, world.fixed
    ring = Ring(world.ring_bits)
    if row.gate == "share":
        return np.full(world.runs, value)
    if "s" in row.variables:
        assert wire is not None
        shift = row.variables["s"]
        low = (1 << shift) - 1
        dither = wire & low if world.victim == HELPER else low - (wire & low)
        exact = value if row.gate == "truncate" else value * (3 - value)
        return np.asarray(ring.wrap((exact + dither) >> shift))
    if row.gate == "is_negative":
        bit = value >> (row.variables.get("width", world.ring_bits) - 1) & 1
        return np.full((1, world.runs), bit)
    model = Model(frac_bits=2)
    r = [ring.wrap(-masks[at : at + 1] - masks[at + 1 : at + 2]) for at in (0, 2)]
    words = [torch.as_tensor(np.stack([held + mask, -mask])) for held, mask in zip((value, 3 - value), r, strict=True)]
    odd = [Bits(planes.pack(np.array([bit]))[None], 1) for bit in (value & 1, 1 - (value & 1))]
    found = row.call(model, Inputs(*words, *odd, np.array([value])))
    if isinstance(found, Bits):
        each = np.array([planes.unpack(plane, 1) for plane in found.planes[0]])
        return np.repeat(each.reshape(-1, 1), world.runs, axis=1)
    assert isinstance(found, torch.Tensor)
    answers = np.asarray(ring.wrap(model.value(found).reshape(-1)))
    return np.repeat(answers, world.runs)


def tell_apart(one: np.ndarray, other: np.ndarray) -> list[str]:
    """Bits, and pairs of bits, that are set more often in one of the two samples [runs, width]."""
    if one.shape != other.shape:
        return [f"{one.shape[1]} bits against {other.shape[1]}"]
    if not one.shape[1]:
        return []
    signs = [torch.as_tensor(1.0 - 2.0 * sample).float() for sample in (one, other)]
    limit = Z * math.sqrt(2 * one.shape[0])
    left, right = (sample.sum(0) for sample in signs)
    found = [f"bit {at}" for at in ((left - right).abs() > limit).nonzero().flatten().tolist()]
    # Sums of signs stay below 2^24, so float32 counts exactly.
    pairs = torch.triu(signs[0].T @ signs[0] - signs[1].T @ signs[1], diagonal=1).abs() > limit
    return found + [f"bits {i} and {j}" for i, j in pairs.nonzero()[:20].tolist()]


def world_of(row: Row, victim: int, rng: np.random.Generator, runs: int, ring_bits: int) -> World:
    """Random inputs, small enough for every domain, and keys."""
    fixed = int(rng.integers(-5, 6)), any_word(rng, (8,), ring_bits)
    return World(row, victim, fixed, runs, ring_bits, pair_keys(3))


def with_value(world: World, value: int) -> World:
    """Another secret, all else equal."""
    return replace(world, fixed=(value, world.fixed[1]))


def _rows(result: object) -> np.ndarray | None:
    """Own components [2, ..] of a result, or None where it is nothing shared: words, or planes of bits unpacked."""
    if isinstance(result, Bits):
        return np.array([[planes.unpack(row, result.count) for row in half] for half in result.planes])
    if isinstance(result, torch.Tensor):
        return result.reshape(2, -1).numpy()
    return None


def _bits(world: World, rows: np.ndarray) -> list[np.ndarray]:
    """Words [components, ..] or bits [components, planes, runs] as bits of each run."""
    flat = rows.reshape(-1, world.runs)
    count = 1 if rows.ndim == 3 else world.ring_bits
    return [((row[:, None] >> np.arange(count)) & 1).astype(np.uint8) for row in flat]


def _joined(world: World, parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.zeros((world.runs, 0), np.uint8), *parts], axis=1)
