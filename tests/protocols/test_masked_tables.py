"""What only masked tables and thresholds have: their cost, their parts, roles that rotate, and what their views show.

That they say what tables mean, for all values of a small ring under all masks, is in test_tables for every protocol.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kit.gates import Row, rows
from kit.model import Model
from kit.parties import run_gates
from kit.sharing import any_word, deal, deal_bits, opened, opened_bits, wires
from kit.view_laws import assert_uniform, assert_views_enumerate, fixed_inputs
from tacit.protocols import Masked, Protocol
from tacit.protocols.interface import Pieces, Powers, Table, Threshold
from tacit.protocols.masked import onehot
from tacit.protocols.masked.counts import count_bits
from tacit.protocols.masked.cuts import cuts_of, threshold_bits, threshold_rounds
from tacit.protocols.masked.tables import layout_of, lookup_bits
from tacit.protocols.masked.thresholds import _all_lowered, _each_lowered, minus
from tacit.protocols.tables import meaning
from tacit.ring import Ring, planes

ALL = np.arange(256, dtype=np.int64) - 128
EVERY_X, EVERY_R = (axis.reshape(-1).copy() for axis in np.meshgrid(ALL, ALL, indexing="ij"))
RESHARE = 128
#: Bits of nodes over 1 to 16 digits at radix 4, in the design.
NODE_BITS = (0, 5, 13, 27, 41, 46, 54, 68, 85, 90, 98, 112, 135, 140, 148, 162)


def polynomial(rng: np.random.Generator, degree: int, entries: int, drop: tuple[int, ...] | None = None) -> Pieces:
    return Pieces(any_word(rng, (degree + 1, entries)), (0,) * degree if drop is None else drop)


# -- cost ----------------------------------------------------------------------------------------------------------


def test_lookups_cost_what_the_design_says(rng: np.random.Generator) -> None:
    constant, cubic = polynomial(rng, 0, 128), polynomial(rng, 3, 128)
    assert lookup_bits(64, [constant]) == 512
    assert lookup_bits(64, [constant, constant]) == 512 + 320
    assert lookup_bits(64, [cubic]) == 960 + RESHARE
    assert lookup_bits(64, [polynomial(rng, 3, 128, (14, 8, 5))]) == 128 + 7 * 192 + 64 + RESHARE
    assert lookup_bits(64, [constant], [0]) == 512 + 128
    assert lookup_bits(64, [Powers(constant.coefficients[0][:64], 22)]) == 64 + 192 + 64 + RESHARE
    # The words of a second table that cuts t alike are there already.
    assert lookup_bits(64, [cubic, polynomial(rng, 3, 128)]) == 960 + 64 + 4 * 128 + 2 * RESHARE
    assert layout_of([cubic, constant, polynomial(rng, 2, 128)]).words == layout_of([cubic]).words
    # 15 bits into one of 16 entries: half a byte each and a byte both ways.
    assert count_bits(64, 15, [polynomial(rng, 0, 16)]) == 64 + 16 + 16 + 192 + 64 + RESHARE


@pytest.mark.parametrize("digits", range(1, 17))
def test_a_threshold_costs_at_most_what_the_design_says(digits: int) -> None:
    cut = cuts_of([0], 3 * digits, 64)
    assert cut.plan.digit_bits == 7 * digits
    assert cut.plan.product_bits + 2 * cut.plan.opened_bits <= NODE_BITS[digits - 1]
    assert threshold_bits([0], 3 * digits, 64) <= 7 * digits + NODE_BITS[digits - 1] + 1 + 2


def test_thresholds_share_digits_and_rounds() -> None:
    ladder = [3 * step for step in range(15)]
    assert threshold_rounds(ladder, 48, 64) == 3
    assert cuts_of(ladder, 48, 64).plan.digit_bits == 112
    assert threshold_bits(ladder, 48, 64) <= 112 + 1224 + 1 + 2 * 15
    assert threshold_bits([14, 14], 48, 64) <= 308 + 1 + 2 * 2
    # Equal nodes of all thresholds lie side by side, so the work is a few calls of numpy.
    assert max(len(level) for level in cuts_of(ladder, 48, 64).plan.levels) <= 7
    # A shift that is no whole number of digits away needs digits of its own.
    assert cuts_of([0, 3, 4], 48, 64).lowest == (0, 4)
    assert cuts_of([0, 3, 4], 48, 64).plan.digit_bits == 16 * 7 + 14 * 7 + 3


# -- parts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entries", [2, 4, 8, 16, 32, 64, 128])
@pytest.mark.parametrize("count", [64, 5_000], ids=["few", "many"])
def test_two_halves_read_one_entry_times_sigma(entries: int, count: int, rng: np.random.Generator) -> None:
    index, start = rng.integers(-(2**40), 2**40, (2, count))
    shape, dtype = onehot.shape_of(entries, count)
    assert shape[0] * 8 * dtype.itemsize == onehot.bits_of(entries) == max(entries, 8)
    info = np.iinfo(dtype)
    half = rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)
    other, sigma = onehot.split(half, entries, index)
    assert set(sigma.tolist()) == {-1, 1}  # 64 fair signs are all alike once in 2^63
    table = any_word(rng, (3, entries))
    read = onehot.sums(half, start, table) + onehot.sums(other, start, -table)
    assert np.array_equal(read.T, table[:, (start - index) % entries] * sigma)


def test_a_bound_is_subtracted_from_planes_as_from_numbers() -> None:
    numbers = np.arange(64)
    rows = planes.to_planes(numbers, 6)
    for bound in range(-64, 64):
        assert np.array_equal(minus(rows, ~rows, bound), planes.to_planes((numbers - bound) & 63, 6)), bound


def test_few_and_many_elements_have_the_same_planes(rng: np.random.Generator) -> None:
    asked = [Threshold(s, k) for s in (0, 3, 7, 40) for k in (-5, 0, 1, 8, 2**15)]
    asked += [Threshold(62, -1), Threshold(0, -(2**62))]
    for count in (1, 64, 200):
        known = any_word(rng, (count,))
        few, many = _all_lowered(known, asked, 64), _each_lowered(known, asked, 64)
        assert all(np.array_equal(*pair) for pair in zip(few, many, strict=True))


# -- what comes out --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entries", [2, 8, 128])
def test_a_lookup_reads_what_the_table_means_for_all_values_under_all_masks(
    entries: int, rng: np.random.Generator
) -> None:
    ring, bits = Ring(8), entries.bit_length() - 1
    y, m = any_word(rng, EVERY_X.shape, 8), any_word(rng, EVERY_X.shape, 8)
    c = ring.wrap(EVERY_X + EVERY_R)
    for shift in sorted({0, 1, 3, 8 - bits} & set(range(9 - bits))):
        tables: list[Table] = [
            polynomial(rng, 3, entries, (0, min(1, shift), min(1, shift))),
            polynomial(rng, 2, entries),
            Powers(any_word(rng, (entries,), 8), 3),
        ]

        def work(p: Protocol, shift: int = shift, tables: list[Table] = tables) -> list[torch.Tensor]:
            factors = {at: deal(p, y, x2=m) for at in (0, 2)}
            return p.lookup(deal(p, EVERY_X, x0=ring.wrap(-EVERY_R)), shift, tables, factors)

        class Still(Masked):
            rotated_from = 1 << 20  # masks are those of one set of roles

        got = run_gates(work, Still, ring_bits=8, frac_bits=2)
        index, low = ((c >> shift) - (EVERY_R >> shift)) % entries, (1 << shift) - 1
        # Since entries * 2^shift divides 2^8, the index is also that of x with the offset of its mask.
        assert np.array_equal(index, ((EVERY_X + (EVERY_R & low)) >> shift) % entries)
        for at, table in enumerate(tables):
            want = meaning(table, index, c & low, EVERY_R & low, shift) * (y if at != 1 else 1)
            assert np.array_equal(opened([one[at] for one in got], 8), ring.wrap(want)), (shift, at)


@pytest.mark.parametrize("shifts", [(0, 3, 1), (2, 5, 2, 2), (0, 1, 2, 3, 4, 5), (6,), (4, 4)], ids=str)
def test_thresholds_of_any_shifts_are_right_for_all_values_under_all_masks(
    shifts: tuple[int, ...], rng: np.random.Generator
) -> None:
    width = 7
    inside = np.abs(2 * EVERY_X + 1) < 2**width
    x, r = EVERY_X[inside], EVERY_R[inside]
    tops = [2 ** (width - 1 - s) for s in shifts]
    # The lowest and highest bounds of the domain, around zero, and whatever else.
    choices = [[1 - top for top in tops], [top - 1 for top in tops], [0] * len(shifts)]
    choices += [[int(rng.integers(1 - top, top)) for top in tops] for _ in range(3)]
    for bounds in choices:
        asked = [Threshold(*one) for one in zip(shifts, bounds, strict=True)]
        got = run_gates(
            lambda p, asked=asked: p.at_least(deal(p, x, x0=Ring(8).wrap(-r)), asked, width),
            Masked, ring_bits=8, frac_bits=2,
        )  # fmt: skip
        want = [(x + (r & ((1 << s) - 1))) >> s >= bound for s, bound in asked]
        assert np.array_equal(opened_bits(got), np.array(want)), asked


def test_a_hundred_thousand_values_agree_with_the_model_in_every_bit(rng: np.random.Generator) -> None:
    # Past the size from which roles rotate: the helper of a third is another party, and so is the mask.
    count, width, shift = 100_000, 46, 14
    reach = rng.integers(1, width, count)
    x = (any_word(rng, (count,)) >> (64 - reach)) + rng.choice([-(2**20), 0, 2**20], count)
    m = any_word(rng, (2, count))
    c, r = wires(Masked, x, *m)
    model = Model()
    theirs = torch.as_tensor(np.stack([c, -r]))
    tables: list[Table] = [polynomial(rng, 3, 128), polynomial(rng, 2, 128, (4, 6)), Powers(any_word(rng, (128,)), 24)]
    got = run_gates(lambda p: p.lookup(deal(p, x, *m), shift, tables, {1: deal(p, x, *m)}), Masked)
    want = model.lookup(theirs, shift, tables, {1: theirs})
    for at in range(len(tables)):
        assert np.array_equal(opened([one[at] for one in got]), model.value(want[at])), at
    still = -(m[0] + m[1])  # comparisons have one set of roles
    asked = [Threshold(shift, -64), Threshold(shift, 64), Threshold(0, 2**20), Threshold(17, -8), Threshold(21, 3)]
    bits = run_gates(lambda p: p.at_least(deal(p, x, *m), asked, width + 1), Masked)
    wanted = model.at_least(torch.as_tensor(np.stack([x + still, -still])), asked, width + 1)
    assert np.array_equal(opened_bits(bits), [planes.unpack(row, count) for row in wanted.planes[0]])


def test_a_threshold_and_a_table_never_disagree_about_the_cell(rng: np.random.Generator) -> None:
    # At the very edge of a cell the mask decides which side a value is on; both gates must be told the same.
    shift, bounds = 14, np.arange(-3, 4)
    x = (np.repeat(bounds, 300) << shift) + np.tile(np.arange(-150, 150), bounds.size)
    m = any_word(rng, (2, x.size))
    table = Pieces(np.roll(np.arange(-64, 64), 64)[None].astype(np.int64), ())

    def work(p: Protocol) -> tuple[object, torch.Tensor]:
        bits = p.at_least(deal(p, x, *m), [Threshold(shift, int(bound)) for bound in bounds], 48)
        return bits, p.lookup(deal(p, x, *m), shift, [table])[0]

    bits, cells = zip(*run_gates(work, Masked), strict=True)
    cell = opened(cells)
    assert set((cell - (x >> shift)).tolist()) == {0, 1}
    assert np.array_equal(opened_bits(bits), cell >= bounds[:, None])


@pytest.mark.parametrize("entries", [2, 16, 32, 128])
def test_bits_are_counted_modulo_the_entries(entries: int, rng: np.random.Generator) -> None:
    for count in (1, 4, 15, 33):
        b, b0, b2 = rng.integers(0, 2, (3, count, 200))
        y, table = any_word(rng, (200,)), polynomial(rng, 0, entries)

        def work(
            p: Protocol, b: np.ndarray = b, b0: np.ndarray = b0, b2: np.ndarray = b2, y: np.ndarray = y,
            table: Pieces = table,
        ) -> list[torch.Tensor]:  # fmt: skip
            return p.lookup_count(deal_bits(p, b, b0, b2), [table, table], {1: deal(p, y, x2=y[::-1])})

        plain, times = zip(*run_gates(work, Masked), strict=True)
        want = table.coefficients[0][b.sum(0) % entries]
        assert np.array_equal(opened(plain), want)
        assert np.array_equal(opened(times), want * y)


def test_a_threshold_outside_the_ring_is_refused() -> None:
    for shift in (-1, 7, 9):
        with pytest.raises(ValueError, match="cuts at bit 0 to 6"):
            cuts_of([0, shift], 8, 8)


# -- what is seen ----------------------------------------------------------------------------------------------------


#: Gates whose hidden pads can all be enumerated, for these parties: bob of a lookup has 40 bits of them.
TINY = {
    "lookup": (lambda p, i: p.lookup(i.x, 3, [Pieces(ALL[None, :8].copy(), ())])[0], (0, 2)),
    "two thresholds": (lambda p, i: p.at_least(i.x, [Threshold(4, 1), Threshold(4, -1)]), (0, 1, 2)),
    "two digits": (lambda p, i: p.at_least(i.x, [Threshold(3, 1)]), (0, 1, 2)),
}  # fmt: skip


@pytest.mark.parametrize(("name", "victim"), [(name, victim) for name, (_, some) in TINY.items() for victim in some])
def test_every_view_of_a_tiny_gate_occurs_exactly_once(name: str, victim: int, rng: np.random.Generator) -> None:
    for _ in range(3):
        row = Row(name, TINY[name][0], kind=Masked)
        assert assert_views_enumerate(row, victim, fixed_inputs(rng, 8), bits_max=16)


@pytest.mark.parametrize(("forgotten", "victim"), [("table-a", 1), ("table-b", 0), ("table-words", 1)])
def test_a_lookup_whose_code_forgets_a_mask_is_caught(
    forgotten: str, victim: int, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    row = Row(**{**next(row for row in rows(64) if row.name == "lookup-case1").__dict__, "kind": Masked})
    fixed, drawn = fixed_inputs(rng, 64), Masked.pad
    assert_uniform(row, victim, fixed, 2_048)

    def forgetful(self: Masked, peer: int, purpose: str, shape: tuple[int, ...]) -> np.ndarray:
        return np.zeros(shape, dtype=np.int64) if purpose == forgotten else drawn(self, peer, purpose, shape)

    monkeypatch.setattr(Masked, "pad", forgetful)
    with pytest.raises(AssertionError, match="has chi-square"):
        assert_uniform(row, victim, fixed, 2_048)
