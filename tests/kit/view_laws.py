"""The laws of a view, as functions: the quick tests apply them to samples, tests/soak to full size."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import torch

from kit import coins
from kit.gates import Row, inputs, rows
from kit.parties import Source, View, pair_keys
from kit.sharing import any_word
from kit.views import Field, faults, fields, received
from tacit.protocols import Bits, Protocol, Replicated3
from tacit.protocols.sharing3 import HELPER
from tacit.ring import planes
from tacit.session.randomness import Randomness

#: Values, and masks for components 0 and 2 of four sharings: what a run holds fixed.
Fixed = tuple[int, np.ndarray]


def fixed_inputs(rng: np.random.Generator, ring_bits: int) -> Fixed:
    """One value and one sharing of everything. Small, so that products stay within every domain."""
    return int(rng.integers(-5, 6)), any_word(rng, (8,), ring_bits)


def view_of(
    row: Row,
    victim: int,
    fixed: Fixed,
    runs: int,
    ring_bits: int,
    source: Source | None = None,
    *,
    middle: bool = False,
) -> list[Field]:
    """What `victim` receives in `runs` runs of one gate, all on the same inputs and the same sharing of them.

    With `middle`, what it makes of that as well: bits opened on the way, and its component 1 of the result.
    """
    value, masks = fixed
    results: dict[int, object] = {}

    def program(protocol: Protocol) -> None:
        same = np.broadcast_to(masks[:, None], (8, runs))
        result = row.call(protocol, inputs(protocol, np.full(runs, value, dtype=np.int64), same))
        results[protocol.session.place] = result

    opened: list[View] = [[], [], []]
    view = received(program, victim, ring_bits=ring_bits, randomness=source, kind=row.kind, opened=opened)
    found = fields(view, runs, ring_bits=ring_bits)
    if not middle:
        return found
    bits = [entry for entry in opened[victim] if entry[0].endswith(("/node", "/and", "/count"))]
    return [*found, *fields(bits, runs, ring_bits=ring_bits), *middle_of(results[victim], victim)]


def middle_of(result: object, victim: int) -> list[Field]:
    """Component 1 of a result, which an evaluator puts together from what it sent and received: uniform by itself."""
    if victim == HELPER:
        return []
    if isinstance(result, Bits):
        rows_of_bits = [planes.unpack(row, result.count) for row in result.planes[1 - victim]]
        return [Field("own component 1", np.array(rows_of_bits, dtype=np.uint8).T, whole=False)]
    assert isinstance(result, torch.Tensor)
    octets = result[1 - victim].numpy().reshape(-1, 1).view(np.uint8)
    return [Field("own component 1", np.unpackbits(octets, axis=1, bitorder="little"), whole=True)]


def blinded_rows(ring_bits: int, shifts: Sequence[int], kind: type[Protocol] = Replicated3) -> list[Row]:
    """Gates whose every message must be blinded; a reveal is not one, it shows a value on purpose."""
    return [
        replace(row, kind=kind)
        for row in rows(ring_bits)
        # These are made of gates that have rows of their own.
        if kind is not Replicated3 or row.gate not in ("select", "choose", "as_words")
        if not row.opens and row.variables.get("s", shifts[0]) in shifts
    ]


#: What replicated3 puts together from bits, words and products, which have rows of their own: up to hundreds of them.
COMPOSED = frozenset({"at_least", "lookup", "lookup_count"})


def single_rows(ring_bits: int, shifts: Sequence[int], kind: type[Protocol] = Replicated3) -> list[Row]:
    """Those of `blinded_rows` that are one gate each.

    In a composed one a missing pad may show in the sum of three messages only, which no test of pairs can see; and
    there are too many pads to enumerate.
    """
    return [row for row in blinded_rows(ring_bits, shifts, kind) if kind is not Replicated3 or row.gate not in COMPOSED]


def hidden_pads(row: Row, victim: int, ring_bits: int) -> dict[str, int]:
    """Purposes drawn from the key that `victim` lacks, and how many of their bits one element uses."""
    drawn: dict[str, int] = {}

    def source(keys: Mapping[int, bytes], session_id: bytes) -> Randomness:
        made = coins.HiddenOnly(keys, session_id, victim)
        made.drawn = drawn if made.place == (victim + 1) % 3 else {}
        return made

    view_of(row, victim, (1, np.zeros(8, dtype=np.int64)), 64, ring_bits, source)
    return drawn


def assert_uniform(row: Row, victim: int, fixed: Fixed, runs: int, ring_bits: int = 64) -> int:
    """With its own coins held still, every message of `victim` is uniform. Returns the bits it received."""
    found = view_of(row, victim, fixed, runs, ring_bits, coins.hidden_only(victim))
    problems = faults(found)
    assert not problems, f"{row.name}, party {victim}: {problems[:8]}"
    return sum(field.bits.shape[1] for field in found)


def unnoticed(row: Row, victim: int, fixed: Fixed, runs: int, ring_bits: int = 64) -> list[str]:
    """Pads that can be left out without the check seeing it: there must be none."""
    return [
        purpose
        for purpose in hidden_pads(row, victim, ring_bits)
        if not _faults_without(purpose, row, victim, fixed, runs, ring_bits)
    ]


def _faults_without(purpose: str, row: Row, victim: int, fixed: Fixed, runs: int, ring_bits: int) -> list[str]:
    def parts(*, middle: bool) -> list[Field]:
        source = coins.hidden_only(victim, frozenset({purpose}))
        return view_of(row, victim, fixed, runs, ring_bits, source, middle=middle)

    if found := faults(parts(middle=False)):
        return found
    # A share looks random without its pad, being blinded by earlier ones already; what two shares open does not.
    return [fault for part in parts(middle=row.kind is not Replicated3) for fault in faults([part])]


def assert_views_enumerate(row: Row, victim: int, fixed: Fixed, bits_max: int, ring_bits: int = 8) -> bool:
    """Over all values of the hidden pads, each view occurs exactly once: it says nothing about the inputs.

    Where the pads have more than `bits_max` bits, every choice of purposes that fits is enumerated while the others
    stand still, and no two of its pads may lead to one view. Returns whether the enumeration was complete.
    """
    pads = hidden_pads(row, victim, ring_bits)
    total = sum(pads.values())
    if total <= bits_max:
        seen = _enumerate(row, victim, fixed, pads, ring_bits)
        assert seen.shape[1] == total, f"{row.name}, party {victim}: {seen.shape[1]} bits under {total} pad bits"
        times = np.bincount(_numbers(seen), minlength=1 << total)
        assert np.array_equal(times, np.ones(1 << total)), f"{row.name}, party {victim}: not uniform"
        return True
    size = max(n for n in range(1, len(pads)) if sum(sorted(pads.values())[:n]) <= bits_max)
    for chosen in combinations(pads, size):
        seen = _enumerate(row, victim, fixed, {name: pads[name] for name in chosen}, ring_bits)
        assert np.unique(_numbers(seen)).size == seen.shape[0], f"{row.name}, party {victim}: {chosen}"
    return False


def _enumerate(row: Row, victim: int, fixed: Fixed, pads: Mapping[str, int], ring_bits: int) -> np.ndarray:
    starts = np.cumsum([0, *pads.values()]).tolist()
    tape = dict(zip(pads, starts, strict=False))
    source = coins.enumerated(victim, tape, 1 << starts[-1])
    found = view_of(row, victim, fixed, 1 << starts[-1], ring_bits, source)
    return np.concatenate([np.zeros((1 << starts[-1], 0), np.uint8), *(field.bits for field in found)], axis=1)


def _numbers(bits: np.ndarray) -> np.ndarray:
    """Each row of at most 63 bits as one number."""
    number = np.zeros(bits.shape[0], dtype=np.int64)
    for position in range(bits.shape[1]):
        number |= bits[:, position].astype(np.int64) << position
    return number


def separate_runs(victim: int, runs: int, fixed: Fixed, gates: Sequence[str]) -> list[Field]:
    """The view of some gates, one element each, from as many sessions; only the hidden key is fresh in each."""
    value, masks = fixed
    shift = 16
    program_rows = [row for row in blinded_rows(64, [shift]) if row.gate in gates]

    def program(protocol: Protocol) -> None:
        for row in program_rows:
            row.call(protocol, inputs(protocol, np.array([value], dtype=np.int64), masks[:, None]))

    hidden = frozenset({0, 1, 2} - {victim})
    constant = {pair: hashlib.sha256(repr((sorted(pair), masks.tolist())).encode()).digest() for pair in pair_keys(3)}
    stacked: list[list[Field]] = []
    for _ in range(runs):
        view = received(program, victim, keys={**constant, hidden: pair_keys(3)[hidden]})
        stacked.append(fields(view, 1, ring_bits=64))
    return [
        Field(parts[0].name, np.concatenate([part.bits for part in parts]), parts[0].whole)
        for parts in zip(*stacked, strict=True)
    ]
