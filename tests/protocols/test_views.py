"""What a party receives inside a gate is uniform and says nothing; and the checks that say so can fail.

The full sizes are in tests/soak. Here as there the party's own shares and pads stand still (kit.coins), so a message
that leans on them instead of the hidden key is caught.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kit import coins
from kit.gates import Inputs, Row, inputs
from kit.parties import run_gates
from kit.sharing import any_word, deal
from kit.view_laws import (
    COMPOSED,
    assert_uniform,
    assert_views_enumerate,
    blinded_rows,
    fixed_inputs,
    hidden_pads,
    separate_runs,
    single_rows,
    unnoticed,
    view_of,
)
from kit.views import BYTES_TOO_EVEN, BYTES_UNEVEN, FALSE_ALARM, Field, Z, faults, fields, received
from tacit.protocols import Choice, Masked, Protocol, Replicated3
from tacit.protocols.interface import Pieces, Threshold
from tacit.ring.kernels import mul

RUNS = 10_048  # a whole number of machine words
ROWS = blinded_rows(64, [16, 33]) + blinded_rows(64, [16], Masked)
SINGLE = single_rows(64, [16, 33]) + single_rows(64, [16], Masked)
SMALL = single_rows(8, [1, 6])
VICTIMS = pytest.mark.parametrize("victim", range(3), ids=["alice", "bob", "helper"])
#: Bits of pad that each party lacks, for one element, in the 64-bit ring at 16 bits of truncation.
RECEIVED = {
    "share-owner0": (0, 64, 0),
    "share-owner1": (64, 0, 0),
    "share-owner2": (64, 0, 0),
    "product": (64, 64, 64),
    "product_truncated-s16": (64 + 16, 64 + 64 + 16 + 16, 0),
    "truncate-s16": (16, 64 + 16 + 16, 0),
    "is_negative": (64 + 63 + 118, 63 + 118, 63 + 118),
    "is_zero": (64 + 63, 63, 63),
    "and_-planes1": (1, 1, 1),
    "and_-planes3": (3, 3, 3),
    "from_bits": (64, 64 + 64, 0),
    "masked-product": (64, 64 + 64, 0),
    "masked-is_negative": (33 + 1, 232 + 1 + 96 + 33 + 1, 0),
    "masked-is_negative-width32": (23 + 1, 69 + 1 + 40 + 23 + 1, 0),
    "masked-is_zero": (20 + 1, 240 + 55 + 20 + 1, 0),
    "masked-and_-planes3": (3, 3 + 3, 0),
    "masked-from_bits": (64, 64 + 64, 0),
    "masked-select": (64, 128 + 64, 0),
    "masked-lookup-case1": (64 + 64, 8 + 2 * 64 + 64 + 64, 0),
    "masked-lookup-case2": (7 * 64 + 64, 8 + 16 * 64 + 7 * 64 + 64, 0),
    "masked-lookup-case3": (3 * 64 + 2 * 64, 8 + 7 * 64 + 3 * 64 + 2 * 64, 0),
    "masked-lookup_count-case1-planes5": (8 + 2 * 64, 24 + 8 + 8 + 2 * 64 + 2 * 64, 0),
}


@VICTIMS
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_each_message_inside_a_gate_is_uniform(row: Row, victim: int, rng: np.random.Generator) -> None:
    composed = row.kind is Replicated3 and row.gate in COMPOSED
    bits = assert_uniform(row, victim, fixed_inputs(rng, 64), RUNS if not composed else 1_344)
    if row.name in RECEIVED:
        assert bits == RECEIVED[row.name][victim]


@VICTIMS
@pytest.mark.parametrize("row", SINGLE, ids=lambda row: row.name)
def test_a_gate_with_one_pad_left_out_is_caught(row: Row, victim: int, rng: np.random.Generator) -> None:
    assert unnoticed(row, victim, fixed_inputs(rng, 64), 1_344) == []


def test_a_pad_left_out_in_the_code_itself_is_caught(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    drawn = Replicated3.pad

    def forgetful(self: Replicated3, peer: int, purpose: str, shape: tuple[int, ...]) -> np.ndarray:
        return np.zeros(shape, dtype=np.int64) if purpose == "pad-b" else drawn(self, peer, purpose, shape)

    row = next(row for row in ROWS if row.name == "product_truncated-s16")
    fixed = fixed_inputs(rng, 64)
    assert_uniform(row, 0, fixed, 2_048)
    monkeypatch.setattr(Replicated3, "pad", forgetful)
    with pytest.raises(AssertionError, match="byte 0 has chi-square"):
        assert_uniform(row, 0, fixed, 2_048)


@pytest.mark.parametrize(("one", "other"), [("wrap-a-2", "top-2"), ("top-2", "wrap-a-2")])
def test_two_messages_under_one_pad_are_caught(one: str, other: str, rng: np.random.Generator) -> None:
    # Each of them is uniform; only together do they show something.
    row = next(row for row in ROWS if row.name == "truncate-s16")
    found = [
        problem
        for _ in range(8)  # whether the pad cancels depends on the sign of c, a constant of the run
        for problem in faults(
            view_of(row, 1, fixed_inputs(rng, 64), 2_048, 64, coins.hidden_only(1, renamed={one: other}))
        )
    ]
    assert any("goes with" in problem for problem in found)


@VICTIMS
@pytest.mark.parametrize("row", SMALL, ids=lambda row: row.name)
def test_every_view_of_the_8_bit_ring_occurs_exactly_once(row: Row, victim: int, rng: np.random.Generator) -> None:
    complete = assert_views_enumerate(row, victim, fixed_inputs(rng, 8), bits_max=16)
    # The others have 24 or 32 bits of pads: enumerated two purposes at a time here; 24 bits at once in tests/soak.
    assert complete == (sum(hidden_pads(row, victim, 8).values()) <= 16)


@pytest.mark.parametrize("protocol_row", ["truncate-s6", "from_bits", "share-owner1"])
def test_views_are_the_same_for_every_secret(protocol_row: str, rng: np.random.Generator) -> None:
    row = next(row for row in SMALL if row.name == protocol_row)
    _, masks = fixed_inputs(rng, 8)
    for value in range(-6, 7):
        for victim in (0, 2):
            assert assert_views_enumerate(row, victim, (value, masks), bits_max=16)


def test_the_view_of_a_reveal_is_the_value_minus_what_the_receiver_holds(rng: np.random.Generator) -> None:
    values, masks = any_word(rng, (100,)), any_word(rng, (2, 100))
    shares = run_gates(lambda p: deal(p, values, *masks))
    for receiver in range(3):
        view = received(lambda p, to=receiver: p.reveal(deal(p, values, *masks), (to,)), receiver)
        (label, _, payload), = view
        assert label.endswith("/reveal")
        own = shares[receiver].numpy()
        assert np.array_equal(np.frombuffer(payload, np.int64), values - own[0] - own[1])
        for other in {0, 1, 2} - {receiver}:
            assert received(lambda p, to=receiver: p.reveal(deal(p, values, *masks), (to,)), other) == []


@VICTIMS
def test_with_all_keys_fresh_the_messages_of_a_chain_of_gates_are_uniform_together(victim: int) -> None:
    # Nothing held still but the values: the statement as a reader would make it. Shares come from `share` itself. The
    # party's own shares are left out: most of them are words that it received, or sums of two of them.
    def program(p: Protocol) -> None:
        column = np.full(RUNS, 12345, dtype=np.int64)
        x = p.share(0, column if p.session.place == 0 else None, column.shape)
        y = p.share(1, column if p.session.place == 1 else None, column.shape)
        z = p.product_truncated(torch.mul, p.product(torch.mul, x, y), y, 16)
        p.truncate(z, 16)
        p.from_bits(p.is_negative(z), (RUNS,))

    assert faults(fields(received(program, victim), RUNS, ring_bits=64)) == []


def abreast(p: Protocol, i: Inputs) -> None:
    """One gate of each kind, all at once."""
    p.together([
        ("product", torch.mul, i.x, i.y), ("product_truncated", torch.mul, i.x, i.y, 16), ("truncate", i.x, 16),
        ("is_zero", i.x), ("and_", i.a, i.b), ("from_bits", i.a, i.shape), ("choose", Choice.of(i.a), i.x),
        ("at_least", i.x, [Threshold(16, 1)], 40), ("lookup", i.x, 16, [Pieces(np.arange(8).reshape(1, 8), ())]),
    ])  # fmt: skip


@VICTIMS
@pytest.mark.parametrize("kind", [Replicated3, Masked])
def test_gates_abreast_show_no_more_than_one_after_the_other(
    kind: type[Protocol], victim: int, rng: np.random.Generator
) -> None:
    assert_uniform(Row("abreast", abreast, kind=kind), victim, fixed_inputs(rng, 64), 1_344)


@pytest.mark.parametrize(
    ("kind", "pad"), [(Replicated3, "zero-product"), (Masked, "product-a"), (Masked, "choose-words")]
)
def test_gates_abreast_with_one_pad_left_out_are_caught(
    kind: type[Protocol], pad: str, rng: np.random.Generator
) -> None:
    row = Row("abreast", abreast, kind=kind)
    source = coins.hidden_only(1, frozenset({pad}))
    assert faults(view_of(row, 1, fixed_inputs(rng, 64), 1_344, 64, source))


@VICTIMS
def test_in_every_turn_the_messages_of_gates_are_uniform_together(
    victim: int, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each party is the helper of a third of the elements, and hears of the other two thirds as an evaluator.
    monkeypatch.setattr(Masked, "rotated_from", 0)
    value, masks = fixed_inputs(rng, 64)
    third = 1_344

    def program(p: Protocol) -> None:
        i = inputs(p, np.full(3 * third, value), np.broadcast_to(masks[:, None], (8, 3 * third)))
        squared = p.elementwise(lambda q, x, y: q.steps("product", mul, x, y), i.x, i.y)
        cut = p.elementwise(lambda q, x, y: q.steps("product_truncated", mul, x, y, 16), squared, i.y)
        p.elementwise(lambda q, x: q.steps("truncate", x, 16), cut)
        p.lookup(i.x, 16, [Pieces(np.arange(16).reshape(2, 8), (0,))], {0: i.y})

    for silent in (frozenset(), frozenset({"turn 1: product-a"})):
        view = received(program, victim, randomness=coins.hidden_only(victim, silent), kind=Masked)
        assert bool(faults(fields(view, third, ring_bits=64))) == (bool(silent) and victim == 2)


@VICTIMS
def test_separate_runs_look_the_same(victim: int, rng: np.random.Generator) -> None:
    parts = separate_runs(victim, 80, fixed_inputs(rng, 64), ("share", "product", "product_truncated", "and_"))
    assert faults(parts) == []
    dead = [Field(part.name, part.bits * np.uint8(number > 0), part.whole) for number, part in enumerate(parts)]
    assert any("is not fair" in problem for problem in faults(dead))


def test_the_critical_values_are_what_they_say() -> None:
    half = torch.tensor(255 / 2, dtype=torch.float64)
    assert torch.special.gammaincc(half, torch.tensor(BYTES_UNEVEN / 2).double()) < FALSE_ALARM
    assert torch.special.gammainc(half, torch.tensor(BYTES_TOO_EVEN / 2).double()) < FALSE_ALARM
    assert 2 * np.exp(-(Z**2) / 2) == pytest.approx(FALSE_ALARM)


def test_the_checks_see_a_slight_lean_and_a_counter(rng: np.random.Generator) -> None:
    octets = rng.integers(0, 256, (RUNS, 2), dtype=np.uint8)

    def found(changed: np.ndarray) -> list[str]:
        return faults([Field("m", np.unpackbits(changed, axis=1, bitorder="little"), whole=True)])

    assert found(octets) == []
    leaning = octets.copy()
    leaning[: RUNS // 10, 0] |= 4
    assert any("bit 2 is not fair" in problem for problem in found(leaning))
    counting = octets.copy()
    counting[:, 1] = np.arange(RUNS) % 256
    assert any("byte 1 has chi-square" in problem for problem in found(counting))
    copied = octets.copy()
    copied[:, 1] = octets[:, 0] + 1
    assert any("goes with" in problem for problem in found(copied))
