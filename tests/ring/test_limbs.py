"""Products through limbs are the ring's own, bit for bit: at the edges of the range and of every block."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from kit.sharing import any_word
from tacit.ring import kernels, limbs, reference
from tacit.ring.convolution import Convolution
from tacit.ring.limbs import FLOAT64, INT8, Limbs

FORMATS = pytest.mark.parametrize("form", [FLOAT64, INT8], ids=["float64", "int8"])
ON_CUDA = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no CUDA device here; the same limb code was tested on the processor"
)


def farthest(form: Limbs) -> int:
    """The word whose limbs are all as far from zero as they can be: products of it with itself fill the sums."""
    digits = (-(1 << (min(form.bits, 64 - form.bits * i) - 1)) << (form.bits * i) for i in range(form.count))
    return reference.wrap(sum(digits), 64)


def edges(form: Limbs) -> list[int]:
    """Words at which a limb changes its sign or carries into the next, and the ends of the range."""
    near = [d * (1 << bits) + e for bits in range(form.bits - 1, 63) if bits % form.bits in (0, form.bits - 1)
            for d in (-1, 1) for e in (-1, 0, 1)]
    return [-(2**63), -(2**63) + 1, 2**63 - 1, -1, 0, 1, farthest(form), *near]


@FORMATS
def test_limbs_are_signed_digits_of_the_word(form: Limbs, rng: np.random.Generator) -> None:
    words = [*edges(form), *any_word(rng, (100,)).tolist()]
    for upwards in (False, True):
        split = form.split(torch.tensor(words)[:, None], upwards=upwards).to(torch.int64)
        for word, digits in zip(words, split.tolist(), strict=True):
            lowest_first = digits[::-1] if upwards else digits
            assert all(-(1 << (form.bits - 1)) <= digit < 1 << (form.bits - 1) for digit in digits)
            assert reference.wrap(sum(d << (form.bits * i) for i, d in enumerate(lowest_first)), 64) == word


@FORMATS
def test_products_of_edges_are_those_of_python_integers(form: Limbs) -> None:
    column = [[word] for word in edges(form)]
    row = [[word for (word,) in column]]
    got = limbs.matmul(torch.tensor(column), torch.tensor(row), form)
    assert got.tolist() == reference.matmul(column, row, 64)
    assert limbs.matmul(torch.tensor(row), torch.tensor(column), form).tolist() == reference.matmul(row, column, 64)


@FORMATS
@pytest.mark.parametrize("length", [-1, 0, 1])
def test_rows_at_the_end_of_a_block_are_exact(form: Limbs, length: int, rng: np.random.Generator) -> None:
    for blocks in (1, 2):
        k = blocks * form.block + length
        x, y = any_word(rng, (2, k)), any_word(rng, (k, 3))
        # Sums of one sign fill a block to the last bit; the ones beside it make sure that the last bit is seen.
        x[0], y[:, 0] = farthest(form), farthest(form)
        x[0, :3], y[:3, 0] = 1, -1
        want = torch.as_tensor(x) @ torch.as_tensor(y)
        assert int(want[0, 0]) == reference.wrap((k - 3) * farthest(form) ** 2 - 3, 64)
        assert torch.equal(limbs.matmul(torch.as_tensor(x), torch.as_tensor(y), form), want)


@FORMATS
def test_longer_blocks_would_lose_bits(form: Limbs) -> None:
    # What the bound is for: without it the test above would fail, so it can.
    x = torch.full((1, 8 * form.block), farthest(form))
    x[0, 0] = 1
    unbounded = replace(form, block=8 * form.block)
    assert not torch.equal(limbs.matmul(x, x.t(), unbounded), x @ x.t())


@FORMATS
def test_all_shapes_that_a_product_may_have(form: Limbs, rng: np.random.Generator) -> None:
    for left, right in [((1, 1), (1, 1)), ((3, 0), (0, 2)), ((0, 3), (3, 2)), ((3, 4), (4, 0)), ((17, 9), (9, 8)),
                        ((2, 3, 4), (4, 5)), ((3, 4), (2, 4, 5)), ((2, 1, 3, 4), (3, 4, 5)), ((16, 8), (8, 16))]:
        x, y = torch.as_tensor(any_word(rng, left)), torch.as_tensor(any_word(rng, right))
        assert torch.equal(limbs.matmul(x, y, form), x @ y), (left, right)
    x = torch.as_tensor(any_word(rng, (6, 4)))
    assert torch.equal(limbs.matmul(x.t()[::2], x.flip(0), form), x.t()[::2] @ x.flip(0))
    with pytest.raises(ValueError, match=r"\[6, 4\] by \[6, 4\]"):
        limbs.matmul(x, x, form)


def test_a_kernel_on_a_device_gets_its_operands_there_and_gives_its_result_back() -> None:
    seen = []

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        seen.extend([x.device.type, y.device.type])
        return torch.ones(2, dtype=torch.int64)

    x = torch.zeros(3, dtype=torch.int64)
    assert kernels.on("meta", kernel)(x, x).device == x.device
    assert seen == ["meta", "meta"]


def test_the_product_of_bytes_takes_matrices_and_batches_of_them(rng: np.random.Generator) -> None:
    # Small digits: a processor that lacks instructions for bytes would saturate where CUDA does not.
    for left, right in [((24, 16), (16, 8)), ((3, 24, 16), (16, 8)), ((24, 16), (3, 16, 8)),
                        ((2, 1, 17, 8), (3, 8, 8))]:
        x, y = (torch.as_tensor(rng.integers(-8, 8, shape)).to(torch.int8) for shape in (left, right))
        want = x.to(torch.int32) @ y.to(torch.int32)
        assert torch.equal(limbs.int8_on_cuda(x, y), want)
        assert torch.equal(limbs.int8_on_cuda(x, y.transpose(-1, -2).contiguous().transpose(-1, -2)), want)


def test_bytes_are_padded_to_what_cuda_asks_for(rng: np.random.Generator) -> None:
    shapes = []

    def product(x: Tensor, y: Tensor) -> Tensor:
        shapes.append((*x.shape, y.shape[-1]))
        return INT8.product(x, y)

    for m, k, n in [(1, 1, 1), (16, 9, 8), (17, 8, 17), (40, 15, 1)]:
        x, y = torch.as_tensor(any_word(rng, (m, k))), torch.as_tensor(any_word(rng, (k, n)))
        assert torch.equal(limbs.matmul(x, y, replace(INT8, product=product)), x @ y)
    assert all(m > 16 and k % 8 == 0 and n % 8 == 0 for m, k, n in shapes)


@ON_CUDA
@FORMATS
def test_cuda_multiplies_limbs_as_the_processor_does(form: Limbs, rng: np.random.Generator) -> None:
    for m, k, n in [(1, 1, 1), (5, form.block - 1, 3), (40, form.block + 1, 24), (33, 2 * form.block, 9)]:
        x, y = torch.as_tensor(any_word(rng, (m, k))), torch.as_tensor(any_word(rng, (k, n)))
        x[0], y[:, 0] = farthest(form), farthest(form)
        assert torch.equal(limbs.matmul(x.cuda(), y.cuda(), form).cpu(), x @ y), (m, k, n)
    for left, right in [((2, 1, 3, 4), (3, 4, 5)), ((3, 4), (2, 4, 5))]:
        x, y = torch.as_tensor(any_word(rng, left)), torch.as_tensor(any_word(rng, right))
        assert torch.equal(limbs.matmul(x.cuda(), y.cuda(), form).cpu(), x @ y)


@ON_CUDA
def test_kernels_on_cuda_give_the_bits_of_the_processor(rng: np.random.Generator) -> None:
    def words(*shape: int) -> Tensor:
        return torch.as_tensor(any_word(rng, shape))

    conv = Convolution((9, 7), (3, 2), (2, 1), (1, 0), (1, 2), 2)
    x, w = words(3, 4, 9, 7), words(6, 2, 3, 2)
    grad = words(3, 6, *conv.outputs)
    pairs = [(kernels.mul, words(3, 4), words(4)), (kernels.matmul, words(50, 3000), words(3000, 20)),
             (conv.forward, x, w), (conv.weight_gradient, grad, x), (conv.input_gradient, grad, w)]
    for kernel, a, b in pairs:
        got = kernels.on("cuda", kernel)(a, b)
        assert not got.is_cuda
        assert torch.equal(got, kernel(a, b)), kernel
