"""Memory: what is shared stays shared, what is not is not, and fraction bits follow what is written where."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

import tacit
from tacit.errors import RefusedOp, ShapeError
from tacit.session.session import Session
from tacit.tensor.cell import GUARD_BITS

pytestmark = pytest.mark.usefixtures("alone")
UNIT = 2.0**-16


def secret(*values: float, dtype: torch.dtype = torch.float32) -> Tensor:
    return tacit.secret(torch.tensor(values, dtype=dtype), owner=0)


def shown(x: Tensor) -> list[float]:
    opened = tacit.reveal(x, to="all")
    assert opened is not None
    return opened.double().tolist()


def bits(x: Tensor) -> int:
    return x._cell.frac_bits  # type: ignore[attr-defined,no-any-return]


_COPIES: list[Callable[[Tensor], Tensor]] = [
    lambda x: x * 1, lambda x: x * 1.0, lambda x: x / 1, lambda x: x / 2 * 2, lambda x: x * 0.5 / 0.5, lambda x: 1 * x,
    lambda x: x.clone(), lambda x: x + 0, lambda x: x**1, lambda x: torch.cat([x]), lambda x: x.clamp(),
    lambda x: x.neg().neg(), lambda x: torch.stack([x])[0], lambda x: x.mul(True), lambda x: x.to(torch.float64),
    lambda x: torch.where(torch.tensor(True), x, 0.0), lambda x: x * torch.tensor(1.0), lambda x: x.flip(0).flip(0),
    lambda x: x.view(1, 3).sum([0]), lambda x: x.view(1, 3).mean(0), lambda x: x[[0, 1, 2]],
]


@pytest.mark.parametrize("copy", _COPIES)
def test_a_result_never_shares_memory_with_its_operand(copy: Callable[[Tensor], Tensor]) -> None:
    x = secret(1, 2, 3)
    y = copy(x)
    y += 5
    assert shown(x) == [1, 2, 3]
    x.zero_()
    assert shown(y) == [6, 7, 8]


def test_halves_and_quarters_of_one_tensor_do_not_share_memory() -> None:
    x = secret(8, 4)
    half, quarter = x / 2, x / 4
    half += 1
    quarter *= 3
    x -= 8
    assert (shown(x), shown(half), shown(quarter)) == ([0, -4], [5, 3], [6, 3])


def test_writes_through_a_view_are_seen_by_the_base_and_by_other_views() -> None:
    base = tacit.secret(torch.zeros(3, 4), owner=0)
    row, column, block = base[1], base[:, 2], base[1:, 1:3]
    row += 1
    column *= 4
    block.fill_(-2)
    base.t()[0].copy_(torch.tensor([7.0, 8.0, 9.0]))
    expected = torch.zeros(3, 4)
    expected[1] += 1
    expected[:, 2] *= 4
    expected[1:, 1:3].fill_(-2)
    expected.t()[0].copy_(torch.tensor([7.0, 8.0, 9.0]))
    assert shown(base) == expected.tolist()
    assert shown(row) == expected[1].tolist()
    assert shown(column) == expected[:, 2].tolist()


def test_detach_shares_memory() -> None:
    x = secret(1, 2)
    y = x.detach()
    y.add_(1)
    assert shown(x) == [2, 3]


def test_a_fine_value_written_into_a_part_lifts_the_whole() -> None:
    whole = torch.zeros_like(secret(1, 2, 3))  # no fraction bits at all
    assert bits(whole) == 0
    other = whole[1:]
    whole[0] = secret(0.75)[0]
    assert shown(whole) == [0.75, 0, 0]
    other[0] = 2.5
    assert shown(whole) == [0.75, 2.5, 0]
    assert shown(other) == [2.5, 0]


def test_a_value_with_guard_bits_written_into_whole_numbers_keeps_its_fraction() -> None:
    # The part has more bits than the format and the rest has none: neither may round the other to whole numbers.
    whole = torch.zeros_like(secret(1, 2))
    whole[0] = secret(1.0)[0] / 128
    assert shown(whole) == [1 / 128, 0]


def test_guard_bits_written_into_a_part_are_rounded_to_the_format_of_the_rest() -> None:
    x = secret(1, 2, 3)
    x[1] = secret(1.0)[0] / 2**20
    assert shown(x)[::2] == [1, 3]
    assert abs(shown(x)[1] - 2**-20) <= UNIT


def test_whole_numbers_written_into_fractions_are_scaled() -> None:
    x, y = secret(0.5, 1.5), secret(3, 4, dtype=torch.int64)
    x[0] = y[1]
    assert shown(x) == [4, 1.5]
    x.copy_(y)
    assert (shown(x), bits(x)) == ([3, 4], 0)
    x[1] = 0.25
    assert shown(x) == [3, 0.25]


def test_overwriting_all_of_a_base_through_a_view_changes_its_format_for_every_view() -> None:
    base = secret(1, 2, 3, 4)
    square, half = base.view(2, 2), base[2:]
    square.copy_(secret(1, 0, 1, 1, dtype=torch.int64).view(2, 2))
    assert bits(base) == 0
    assert (shown(base), shown(half)) == ([1, 0, 1, 1], [1, 1])
    square.t().copy_((secret(1, 2, 3, 4) / 4).view(2, 2))
    assert (shown(base), shown(half)) == ([0.25, 0.75, 0.5, 1.0], [0.5, 1.0])


def test_an_in_place_product_keeps_views_right_when_its_precision_grows() -> None:
    base = secret(3, 5, 7, dtype=torch.int64).to(torch.float32)
    part, other = base[:2], base[1:]
    part *= 0.25
    assert shown(base) == [0.75, 1.25, 7]
    assert shown(other) == [1.25, 7]
    base /= 8
    assert shown(other) == [1.25 / 8, 7 / 8]
    part += other
    assert shown(base) == [(0.75 + 1.25) / 8, (1.25 + 7) / 8, 7 / 8]


_VIEWS: list[Callable[[Tensor], Tensor]] = [
    lambda x: x, lambda x: x[1], lambda x: x[..., 1:], lambda x: x.t(), lambda x: x.unsqueeze(-1), lambda x: x[:, ::2],
    lambda x: x.view(-1), lambda x: x.view(4, 3),
]
#: A target, and a number in another format than the target's.
_WRITES: list[Callable[[Tensor, Tensor], object]] = [
    lambda x, v: x.fill_(-1.25), lambda x, v: x.fill_(3), lambda x, v: x.zero_(), lambda x, v: x.add_(v),
    lambda x, v: x.copy_(v), lambda x, v: x.neg_(), lambda x, v: x.div_(2), lambda x, v: x.sub_(x.clone() / 4),
    lambda x, v: x.copy_((x > 0).to(x.dtype)), lambda x, v: x.sub_(v, alpha=0.5),
]


def test_random_writes_through_random_views_agree_with_torch(rng: np.random.Generator) -> None:
    """Whatever order of formats, views and writes: the same program on plain tensors gives the same values."""
    for _ in range(25):
        start = torch.tensor(rng.integers(-4, 5, (3, 4)))
        pairs = [(start.double(), tacit.secret(start, owner=0).double())]
        for _ in range(10):
            base, ours = pairs[rng.integers(len(pairs))]
            if base.dim() == 2 and len(pairs) < 5:
                view = _VIEWS[rng.integers(len(_VIEWS) if base.shape == (3, 4) and base.is_contiguous() else 6)]
                if min(base.shape) > 1:
                    base, ours = view(base), view(ours)
                    pairs.append((base, ours))
            number = torch.tensor(float(rng.integers(-512, 512)) / 256, dtype=torch.float64)
            write = _WRITES[rng.integers(len(_WRITES))]
            write(base, number)
            write(ours, tacit.secret(number * 256, owner=0) / 256)  # eight guard bits
            for theirs, mine in pairs:
                # Ten writes, each off by a unit at most, and nothing that multiplies an older error.
                assert np.allclose(shown(mine), theirs.tolist(), atol=20 * UNIT, rtol=0)


def test_long_chains_of_halving_stay_exact_until_nothing_is_left() -> None:
    x = secret(1.0, -3.0)
    for step in range(1, 41):
        x = x / 2
        assert np.allclose(shown(x), [2.0**-step, -3 * 2.0**-step], atol=UNIT, rtol=0), step
        assert bits(x) <= 16 + GUARD_BITS
    assert np.allclose(shown(x), [0, 0], atol=UNIT)


def test_halving_in_place_stays_within_the_guard() -> None:
    x = secret(1.0, -3.0)
    part = x[:1]
    for _ in range(20):
        x /= 2
        part *= 2
    assert np.allclose(shown(x), [1.0, -3 * 2.0**-20], atol=20 * UNIT)
    assert bits(x) <= 16 + GUARD_BITS


def test_guard_bits_survive_sums_of_equals_and_products() -> None:
    x = secret(1.0) / 2**10
    assert shown((x + x) * 2**9) == [1.0]
    assert shown(x * secret(3, dtype=torch.int64) * 2**10) == [3.0]
    y = x * secret(0.5)  # keeps the guard: 2^-11 is below what sixteen bits could hold with this precision
    assert shown(y * 2**11) == [1.0]


def test_two_factors_with_guard_bits_do_not_eat_the_room_above_the_point() -> None:
    # 2^28-fold and 2^28-fold integers would overflow from a product of 64 on; the second is rounded first.
    x = secret(2.0**20) / 2**12
    assert np.allclose(shown(x * x), [2.0**16], rtol=1e-4)


def test_different_formats_compare_exactly() -> None:
    fine, coarse = secret(1.0, 2.0) / 2**12, secret(2.0**-12, 2.0**-12)
    assert shown(fine == coarse) == [1, 0]
    assert shown(fine > coarse) == [0, 1]
    assert shown(fine / 8 < coarse / 8 + secret(0, 0)) in ([0, 0], [0, 0])
    assert shown(secret(1, 2, dtype=torch.int64) >= secret(1.5, 1.5)) == [0, 1]


def test_identifiers_of_63_bits_compare_exactly() -> None:
    ids = torch.tensor([2**62 + 1, -(2**62) - 3, 2**63 - 1])
    x = tacit.secret(ids, owner=0)
    assert shown(x == 2**62 + 1) == [1, 0, 0]
    assert shown(x == ids) == [1, 1, 1]
    assert shown(x == ids - 1) == [0, 0, 0]
    assert shown(x != tacit.secret(ids.flip(0), owner=0)) == [1, 0, 1]


def test_an_expanded_tensor_is_not_written_to() -> None:
    x = secret(1, 2, 3)
    with pytest.raises(ShapeError, match="expanded"):
        x[:1].expand(3).fill_(0.5)
    assert shown(x) == [1, 2, 3]


def test_a_write_must_fit_its_target() -> None:
    x = secret(1, 2, 3)
    with pytest.raises(ShapeError, match="cannot write"):
        x += tacit.secret(torch.ones(2, 3), owner=0)
    assert shown(x) == [1, 2, 3]


@pytest.mark.parametrize("write", [
    lambda whole, real: whole.copy_(real), lambda whole, real: whole.add_(real), lambda whole, real: whole.mul_(0.5),
    lambda whole, real: whole.fill_(0.5), lambda whole, real: whole.__setitem__(0, real[0]),
    lambda whole, real: torch.full_like(whole, 0.5), lambda whole, real: whole.masked_fill(whole > 0, 0.5),
    lambda whole, real: real.to(torch.int64), lambda whole, real: real.bool(), lambda whole, real: whole.bool(),
    lambda whole, real: real.sum(dtype=torch.int64),
    lambda whole, real: torch.nn.functional.pad(whole, (1, 1), value=0.5),
    lambda whole, real: whole.add(whole, alpha=0.5), lambda whole, real: (whole > 0).copy_(whole),
])
def test_a_fraction_never_hides_under_an_integer_label(write: Callable[[Tensor, Tensor], object]) -> None:
    whole, real = secret(1, 2, dtype=torch.int64), secret(0.5, 1.5)
    with pytest.raises((RefusedOp, RuntimeError)):
        write(whole, real)
    assert shown(whole) == [1, 2]


def test_dimensions_out_of_range_are_errors_and_not_taken_modulo() -> None:
    x = tacit.secret(torch.ones(2, 3), owner=0)
    for wrong in (lambda: x.sum(2), lambda: x.sum([-3]), lambda: torch.cat([x, x], 2), lambda: torch.stack([x], 4),
                  lambda: x.mean(5), lambda: x.cumsum(2), lambda: (x > 0).any(2)):
        with pytest.raises(ShapeError, match="dimension"):
            wrong()


def test_results_lie_in_memory_as_torch_lays_them(alone: Session) -> None:
    x = tacit.secret(torch.ones(2, 3), owner=0)
    assert (2.5 * x.t()).t().view(-1).shape == (6,)
    images = tacit.secret(torch.ones(2, 3, 2, 2), owner=0).to(memory_format=torch.channels_last)
    assert torch.relu(images * 0.3 + 1).is_contiguous(memory_format=torch.channels_last)
    del alone
