"""Ring elements, bit planes and kernels against Python's own integers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kit.sharing import any_word
from tacit.ring import Ring, kernels, planes, reference
from tacit.ring.words import carrier, carrier_bits

BITS = pytest.mark.parametrize("bits", [8, 16, 32, 64])


@BITS
def test_wrapping_gives_the_representative_nearest_to_zero(bits: int, rng: np.random.Generator) -> None:
    half = 2 ** (bits - 1)
    edges = [d + m for m in (-2 * half, -half, 0, half, 2 * half) for d in (-1, 0, 1) if -(2**63) <= d + m < 2**63]
    words = np.array([*edges, *any_word(rng, (1000,)).tolist()], dtype=np.int64)
    assert Ring(bits).wrap(words).tolist() == [reference.wrap(word, bits) for word in words.tolist()]


def test_all_words_of_the_8_bit_ring_survive_the_wire() -> None:
    ring = Ring(8)
    every = np.arange(-128, 128, dtype=np.int64)
    assert ring.to_wire(every).tobytes() == bytes(range(128, 256)) + bytes(range(128))
    assert np.array_equal(ring.from_wire(ring.to_wire(every)), every)


@BITS
def test_the_wire_is_little_endian_and_as_narrow_as_the_ring(bits: int) -> None:
    ring = Ring(bits)
    sent = ring.to_wire(np.array([1, -2], dtype=np.int64))
    assert sent.tobytes() == (1).to_bytes(bits // 8, "little") + (-2).to_bytes(bits // 8, "little", signed=True)
    assert ring.from_wire(sent).dtype == np.int64


@pytest.mark.parametrize("bits", [0, 1, 7, 12, 65, 128])
def test_other_ring_sizes_are_refused(bits: int) -> None:
    with pytest.raises(ValueError, match="8, 16, 32 or 64"):
        Ring(bits)


def test_a_carrier_is_the_smallest_type_that_holds_the_bits() -> None:
    assert [carrier_bits(bits) for bits in (1, 8, 9, 16, 17, 32, 33, 64)] == [8, 8, 16, 16, 32, 32, 64, 64]
    assert all(8 * carrier(bits).itemsize == carrier_bits(bits) for bits in range(1, 65))
    for bits in (0, 65):
        with pytest.raises(ValueError, match="1 to 64"):
            carrier_bits(bits)


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 130, 1000])
def test_planes_hold_bit_b_of_every_element(count: int, rng: np.random.Generator) -> None:
    words = any_word(rng, (count,))
    square = planes.to_planes(words, 64)
    assert square.shape == (64, planes.words_per_plane(count))
    for b in range(64):
        assert planes.unpack(square[b], count).tolist() == [reference.bit(word, b) for word in words.tolist()]
    for bits in (1, 8, 63):
        assert np.array_equal(planes.to_planes(words, bits), square[:bits])
    assert np.array_equal(planes.pack(words & 1), square[:1])
    assert np.array_equal(planes.pack((words & 1).astype(bool)), square[:1])


def test_padding_of_the_last_machine_word_is_zero() -> None:
    ones = planes.pack(np.ones(65, dtype=np.int64))
    assert planes.unpack(ones[0], 128).tolist() == [1] * 65 + [0] * 63


def test_matmul_and_mul_wrap_as_python_integers_do(rng: np.random.Generator) -> None:
    x, y = any_word(rng, (2, 5, 6)), any_word(rng, (2, 6, 3))
    got = kernels.matmul(torch.as_tensor(x), torch.as_tensor(y))
    for a, b, c in zip(x.tolist(), y.tolist(), got.tolist(), strict=True):
        assert c == reference.matmul(a, b, 64)
    left, right = any_word(rng, (4, 1)), any_word(rng, (7,))
    product = kernels.mul(torch.as_tensor(left), torch.as_tensor(right))
    want = [[reference.wrap(a * b, 64) for b in right.tolist()] for a in left[:, 0].tolist()]
    assert product.tolist() == want


def test_kernels_take_views_and_empty_tensors(rng: np.random.Generator) -> None:
    x = torch.as_tensor(any_word(rng, (6, 4)))
    assert torch.equal(kernels.mul(x.t()[::2], x.t()[::2]), (x * x).t()[::2])
    assert torch.equal(kernels.matmul(x.t(), x), kernels.matmul(x.t().contiguous(), x))
    assert kernels.mul(x[:0], x[:0]).shape == (0, 4)
    assert kernels.matmul(x[:, :0], x.t()[:0]).tolist() == torch.zeros(6, 6, dtype=torch.int64).tolist()


@pytest.mark.parametrize("shift", [1, 5, 16])
def test_the_reference_truncation_takes_the_floor_or_the_next(shift: int) -> None:
    for value in (-(2**20) - 1, -1, 0, 1, 2**shift, 3 * 2**shift + 1):
        reached = {reference.truncate(value, shift, dither) for dither in range(2**shift)}
        assert reached == reference.truncations(value, shift)
        assert all(abs(y * 2**shift - value) < 2**shift for y in reached)
        assert sum(reference.truncate(value, shift, dither) for dither in range(2**shift)) == value
