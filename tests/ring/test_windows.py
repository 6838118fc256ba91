"""Convolution on full-range words: against Python's integers, and gradients against what a gradient is."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor

from kit.sharing import any_word
from tacit.ring import convolution, kernels, limbs, reference
from tacit.ring.convolution import Convolution


def square(inputs: tuple[int, int], window: tuple[int, int], stride: int = 1, padding: int = 0, dilation: int = 1,
           groups: int = 1) -> Convolution:
    return Convolution(inputs, window, (stride,) * 2, (padding,) * 2, (dilation,) * 2, groups)


SMALL = [square((6, 5), window, stride, padding, dilation, groups)
         for window, stride, padding, dilation, groups in product(
             [(1, 1), (2, 3), (3, 2)], (1, 2, 3), (0, 1, 2), (1, 2), (1, 2))]


def words(rng: np.random.Generator, *shape: int) -> Tensor:
    """Full-range words; the first few are the ends of the range, -1 and 0."""
    x = any_word(rng, shape)
    x.reshape(-1)[:4] = [-(2**63), 2**63 - 1, -1, 0][: x.size]
    return torch.as_tensor(x)


def operands(rng: np.random.Generator, conv: Convolution, batch: int, channels: int, out: int) -> tuple[Tensor, ...]:
    x = words(rng, batch, channels, *conv.inputs)
    w = words(rng, out, channels // conv.groups, *conv.window)
    return x, w, words(rng, batch, out, *conv.outputs)


def inner(x: Tensor, y: Tensor) -> int:
    return int((x * y).sum())


def assert_gradients(conv: Convolution, x: Tensor, w: Tensor, grad: Tensor, result: Tensor) -> None:
    # A gradient of a bilinear map is its adjoint: <grad, x * w> = <gx, x> = <gw, w>, for all words; a wrong bit in gx
    # meets a random word, and the sums agree with probability 1/2 or less each, for hundreds of entries and cases.
    from_input, from_weight = conv.input_gradient(grad, w), conv.weight_gradient(grad, x)
    assert (from_input.shape, from_weight.shape) == (x.shape, w.shape)
    assert inner(grad, result) == inner(from_input, x) == inner(from_weight, w), conv


def test_every_small_convolution_is_that_of_python_integers(rng: np.random.Generator) -> None:
    for conv in SMALL:
        x, w, grad = operands(rng, conv, 2, 2, 4)
        result = conv.forward(x, w)
        want = reference.convolve(
            x.tolist(), w.tolist(), conv.stride[0], conv.padding[0], conv.dilation[0], conv.groups, 64
        )
        assert result.tolist() == want, conv
        assert_gradients(conv, x, w, grad, result)


@pytest.mark.parametrize("entries", [1, 60, 200, 1 << 18])
def test_pieces_of_any_size_give_the_same(
    entries: int, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    conv = Convolution((7, 6), (3, 2), (2, 1), (1, 0), (1, 2), 2)
    x, w, grad = operands(rng, conv, 5, 4, 6)
    want = [conv.forward(x, w), conv.weight_gradient(grad, x), conv.input_gradient(grad, w)]
    assert torch.equal(want[0], torch.nn.functional.conv2d(x, w, None, (2, 1), (1, 0), (1, 2), 2))
    monkeypatch.setitem(convolution.COLUMN_ENTRIES, "cpu", entries)
    got = [conv.forward(x, w), conv.weight_gradient(grad, x), conv.input_gradient(grad, w)]
    assert all(map(torch.equal, got, want))


def test_one_and_three_dimensions(rng: np.random.Generator) -> None:
    for conv, native in [
        (Convolution((11,), (4,), (2,), (3,), (1,)), torch.nn.functional.conv1d),
        (Convolution((4, 5, 3), (2, 3, 2), (1, 2, 1), (1, 0, 1), (1, 1, 2)), torch.nn.functional.conv3d),
    ]:
        x, w, grad = operands(rng, conv, 3, 2, 5)
        result = conv.forward(x, w)
        small = x % 1024, w % 1024  # exact in float64
        want = native(small[0].double(), small[1].double(), None, conv.stride, conv.padding, conv.dilation)
        assert torch.equal(conv.forward(*small), want.to(torch.int64))
        assert_gradients(conv, x, w, grad, result)


def test_operands_in_any_memory_order_and_of_any_size(rng: np.random.Generator) -> None:
    conv = square((5, 5), (3, 3), padding=1)
    x, w, grad = operands(rng, conv, 2, 3, 4)
    results = conv.forward(x, w), conv.weight_gradient(grad, x), conv.input_gradient(grad, w)
    cl = [t.contiguous(memory_format=torch.channels_last) for t in (x, w, grad)]
    again = conv.forward(cl[0], cl[1]), conv.weight_gradient(cl[2], cl[0]), conv.input_gradient(cl[2], cl[1])
    wide = torch.stack([x, x])[1], w.flip(0).flip(0), grad[:1].expand(2, -1, -1, -1)
    assert all(map(torch.equal, again, results))
    assert torch.equal(conv.forward(wide[0], wide[1]), results[0])
    assert torch.equal(conv.input_gradient(wide[2], w)[0], results[2][0])
    assert conv.forward(x[:0], w).shape == (0, 4, 5, 5)
    assert not conv.weight_gradient(grad[:0], x[:0]).any()
    assert conv.input_gradient(grad[:0], w).shape == (0, 3, 5, 5)


def test_floats_bound_what_the_ring_would_hide() -> None:
    # The dry run puts absolute values through the same kernels in float64.
    conv = square((3, 3), (2, 2))
    x = torch.full((1, 1, 3, 3), 2.0**40, dtype=torch.float64)
    assert float(conv.forward(x, torch.full((1, 1, 2, 2), 2.0**30, dtype=torch.float64)).max()) == 2.0**72


@pytest.mark.parametrize("form", [limbs.FLOAT64, limbs.INT8], ids=["float64", "int8"])
def test_convolution_through_limbs_gives_the_same_bits(
    form: limbs.Limbs, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    conv = Convolution((7, 6), (3, 2), (2, 1), (1, 0), (1, 2), 2)
    x, w, grad = operands(rng, conv, 3, 4, 6)
    want = [conv.forward(x, w), conv.weight_gradient(grad, x), conv.input_gradient(grad, w)]
    monkeypatch.setattr(kernels, "matmul", lambda a, b: limbs.matmul(a, b, form))
    got = [conv.forward(x, w), conv.weight_gradient(grad, x), conv.input_gradient(grad, w)]
    assert all(map(torch.equal, got, want))
