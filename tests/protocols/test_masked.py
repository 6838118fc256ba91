"""What only the masked protocol has: plans of comparisons, widths, a helper that nobody writes to, shared rounds."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic

import numpy as np
import pytest

import tacit
from kit.gates import Row, inputs, rows
from kit.parties import Postbox, in_threads, make_sessions, run_gates
from kit.replay import both
from kit.sharing import any_word, deal, deal_bits, opened, opened_bits
from kit.view_laws import assert_views_enumerate, fixed_inputs
from tacit.net.simulated import Weather
from tacit.protocols import Masked, Protocol
from tacit.protocols.masked import plan as plans
from tacit.protocols.masked.plan import Plan, equal_plan, less_plan, plan_of
from tacit.protocols.masked.relations import relation
from tacit.protocols.rounds import run
from tacit.protocols.sharing3 import HELPER
from tacit.ring import planes
from tacit.ring.kernels import mul

ALL = np.arange(256)
#: Every shape of a node and of two levels of them, on few bits: (digit widths from the lowest, first-level nodes).
SHAPES = [
    ((1,), ()), ((2,), ()), ((3,), ()), ((4,), ()), ((1, 1), ()), ((2, 2), ()), ((3, 4), ()), ((2, 1, 3), ()),
    ((2, 2, 2, 2), ()), ((1, 1, 1, 1, 1), (1, 4)), ((1, 1, 2, 1, 1), (4, 1)), ((2, 1, 1, 1, 1), (2, 3)),
    ((1,) * 7, (3, 2, 2)), ((1,) * 8, (2, 2, 2, 2)), ((1,) * 8, (1, 1, 3, 3)), ((2, *(1,) * 6), (4, 3)),
]  # fmt: skip


def compare(p: Protocol, c: np.ndarray, r: np.ndarray, plan: Plan, *, less: bool):
    """The relation of numbers that the evaluators (c) and the helper (r) know."""
    assert isinstance(p, Masked)
    known = planes.to_planes(r if p.place == HELPER else c, plan.bits)
    return p.session, relation(p, known, plan, c.size, less=less)


@pytest.mark.parametrize(("widths", "sizes"), SHAPES, ids=str)
def test_every_shape_of_a_plan_is_right_for_all_pairs(widths: tuple[int, ...], sizes: tuple[int, ...]) -> None:
    top = 2 ** sum(widths)
    c, r = (axis.reshape(-1) for axis in np.meshgrid(np.arange(top), np.arange(top), indexing="ij"))
    for less, want in ((True, c < r), (False, c == r)):
        plan = plan_of(widths, sizes, less=less)
        got = run_gates(lambda p, plan=plan, less=less: run(*compare(p, c, r, plan, less=less)), Masked)
        assert np.array_equal(opened_bits(got)[0], want), less


@pytest.mark.parametrize("bits", range(1, 65))
def test_a_plan_covers_its_bits_in_the_fewest_levels(bits: int) -> None:
    for plan in (less_plan(bits), equal_plan(bits)):
        assert plan.bits == bits
        assert len(plan.levels) == (0 if bits <= 4 else 1 if bits <= 16 else 2)
        inputs_left = sum(count for _, count in plan.digits)
        for level in plan.levels:
            assert sum(batch.radix * batch.count for batch in level) == inputs_left
            inputs_left = sum(batch.count for batch in level)
        assert inputs_left == 1
    with pytest.raises(ValueError, match="no plan"):
        less_plan(65)


def test_comparisons_cost_at_most_what_the_design_says() -> None:
    assert plans.sign_bits(64) <= 402
    assert plans.sign_bits(47) <= 292
    assert plans.sign_bits(32) <= 188 + 2
    assert plans.equal_bits(64) <= 335 + 2
    assert {plans.sign_rounds(width) for width in (32, 49, 64)} == {3}
    # 15 for four inputs, 22 with equality, 11 without order: the counts of the proof.
    batch = plans.Batch
    assert [batch(0, 4, 1, *kind).products for kind in ((True, False), (True, True), (False, True))] == [15, 22, 11]


@pytest.mark.parametrize("width", range(2, 9))
@pytest.mark.parametrize("protocol", ["masked", "replicated3", "plain"])
def test_a_sign_is_right_for_all_values_of_its_width_under_all_masks(protocol: str, width: int) -> None:
    x, r = (a.reshape(-1) for a in np.meshgrid(np.arange(-(2 ** (width - 1)), 2 ** (width - 1)), ALL, indexing="ij"))
    got = run_gates(lambda p: p.is_negative(deal(p, x, x0=r), width), protocol, ring_bits=8, frac_bits=2)
    assert np.array_equal(opened_bits(got)[0], x < 0)


@pytest.mark.parametrize("width", [17, 32, 33, 48, 49, 63, 64])
def test_a_sign_is_right_at_the_edges_of_its_width(width: int, rng: np.random.Generator) -> None:
    top = 2 ** (width - 1)
    edges = {sign * 2**k + d for k in range(width) for sign in (-1, 1) for d in (-1, 0, 1)}
    edge = np.array(sorted(e for e in edges if -top <= e < top), dtype=np.int64)
    x = np.concatenate([np.tile(edge, 60), any_word(rng, (20_000,), width)])
    masks = np.where(rng.integers(0, 2, x.shape), any_word(rng, x.shape), rng.choice(edge, x.shape))
    got = run_gates(lambda p: p.is_negative(deal(p, x, x0=masks), width), Masked)
    assert np.array_equal(opened_bits(got)[0], x < 0)


@pytest.mark.parametrize("ring_bits", [8, 64])
def test_select_keeps_or_drops_every_value_under_every_mask(ring_bits: int, rng: np.random.Generator) -> None:
    x, r = (axis.reshape(-1) for axis in np.meshgrid(ALL - 128, ALL, indexing="ij"))
    bit, b0, b2 = rng.integers(0, 2, (3, x.size))

    def work(p: Protocol):
        return p.select(deal_bits(p, bit, b0, b2), deal(p, x, x0=r, x2=r[::-1]))

    for protocol in ("masked", "replicated3", "plain"):
        got = run_gates(work, protocol, ring_bits=ring_bits, frac_bits=2)
        assert np.array_equal(opened(got, ring_bits), x * bit), protocol


@pytest.mark.parametrize("row", [row for row in rows(64) if row.gate != "share"], ids=lambda row: row.name)
def test_nobody_writes_to_the_helper_inside_a_gate(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[int, int]] = []
    exchange = Postbox.exchange

    def noting(self: Postbox, step: int, label: str, send: Mapping[int, memoryview], into: Mapping[int, memoryview]):
        written.extend((self.place, peer) for peer in send)
        exchange(self, step, label, send, into)

    monkeypatch.setattr(Postbox, "exchange", noting)
    run_gates(lambda p: row.call(p, inputs(p, np.arange(70))), Masked)
    to_helper = [sender for sender, peer in written if peer == HELPER]
    opens = row.gate == "reveal_bits" or (row.gate == "reveal" and row.variables["mask"] >> HELPER & 1 == 1)
    assert bool(to_helper) == (opens or row.gate == "shuffle")
    if row.gate not in ("reveal", "public", "add_public", "scale", "xor", "invert"):
        assert written


#: Relations whose hidden pads can all be enumerated: one digit; two of two bits; three; two levels of nodes.
TWO_LEVELS = Plan(((1, 3),), (plans._batches((1, 2), less=True), plans._batches((2,), less=True)))
TINY = {
    "sign-4": None, "2x2": plan_of((2, 2), (), less=True), "3x1": plan_of((1, 1, 1), (), less=True),
    "levels": TWO_LEVELS, "equal-3x1": plan_of((1, 1, 1), (), less=False),
}  # fmt: skip


@pytest.mark.parametrize("victim", range(3), ids=["alice", "bob", "helper"])
@pytest.mark.parametrize("name", TINY)
def test_every_view_of_a_tiny_relation_occurs_exactly_once(name: str, victim: int, rng: np.random.Generator) -> None:
    def call(p: Protocol, i):
        if TINY[name] is None:
            return p.is_negative(i.x, 4)
        whole = i.x.numpy()
        c, r = whole[0] * 7 + i.plain, whole[1]
        return run(*compare(p, c, r, TINY[name], less=not name.startswith("equal")))

    for _ in range(6):
        assert assert_views_enumerate(Row("relation", call, kind=Masked), victim, fixed_inputs(rng, 8), bits_max=16)


def test_gates_together_share_rounds_and_agree_with_plain(rng: np.random.Generator) -> None:
    x, m = any_word(rng, (100,), 30), any_word(rng, (2, 100))

    def work(p: Protocol):
        a = deal(p, x, *m)
        before = p.session.meter.total.rounds
        negative, zero, half, square = p.together(
            [("is_negative", a, 48), ("is_zero", a), ("truncate", a, 1), ("product_truncated", mul, a, a, 16)]
        )
        rounds = p.session.meter.total.rounds - before
        words = p.together([("from_bits", bit, (100,)) for bit in (negative, zero)])
        return [p.reveal(word, (0, 1, 2)) for word in (*words, half, square)], rounds

    shared, plain = both(work, Masked)
    for (ours, rounds), (theirs, _) in zip(shared, plain, strict=True):
        assert rounds == 3
        assert all(np.array_equal(left, right) for left, right in zip(ours, theirs, strict=True))


def test_sessions_count_what_three_comparisons_together_save() -> None:
    sessions = make_sessions("masked")

    def work(place: int) -> None:
        p = Masked(sessions[place])
        a = deal(p, np.arange(64))
        p.together([("is_negative", a)] * 3)

    in_threads([lambda place=place: work(place) for place in range(3)], sessions)
    assert {session.meter.total.rounds for session in sessions} == {3}
    assert sum(session.meter.total.bytes_sent for session in sessions) == 3 * 8 * plans.sign_bits(64)


def test_the_helper_runs_ahead_so_what_it_deals_takes_no_time_of_the_others() -> None:
    latency_s, gates = 0.02, 8

    def work() -> tuple[float, int]:
        from tacit.session.current import current

        session = current().session
        protocol = Masked(session)
        shared = deal(protocol, np.arange(64))
        begun, before = monotonic(), session.meter.total.rounds
        for _ in range(gates):
            protocol.from_bits(protocol.is_negative(shared, 48), (64,))
        return monotonic() - begun, session.meter.total.rounds - before

    took = tacit.simulate(work, protocol="masked", network=Weather(latency_s=latency_s))
    assert {rounds for _, rounds in took} == {4 * gates}
    for seconds, _ in took[:HELPER]:
        assert seconds >= 4 * gates * latency_s
    # All of its messages had left before the evaluators had answered each other a few times.
    assert took[HELPER][0] < gates * latency_s
