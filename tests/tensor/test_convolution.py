"""Convolutional layers on secrets: ordinary modules, their refusals, their rounds, and training against plain torch."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import tacit
from tacit.errors import RefusedOp
from tacit.session.session import Session
from tacit.tensor import SecretTensor
from tacit.tensor.verbs import context

#: A layer, the shape of its input, and how many units of 2^-16 an entry of a result may be off.
LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int]] = {
    "same": (lambda: nn.Conv2d(2, 3, 3, padding="same", dilation=2), (2, 2, 5, 5), 1),
    "same, even window": (lambda: nn.Conv2d(2, 3, (2, 4), padding="same"), (2, 2, 5, 5), 1),
    "circular": (lambda: nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"), (2, 2, 5, 5), 4),
    "depthwise": (lambda: nn.Conv2d(4, 8, 3, groups=4, stride=2), (2, 4, 7, 6), 1),
    "one image": (lambda: nn.Conv2d(2, 3, 3), (2, 5, 5), 1),
    "one dimension": (lambda: nn.Conv1d(2, 3, 3, stride=2, padding=1, bias=False), (2, 2, 9), 1),
    "three dimensions": (lambda: nn.Conv3d(2, 3, 2), (2, 2, 3, 4, 3), 1),
    "transposed": (lambda: nn.ConvTranspose2d(4, 6, 3, 2, 1, output_padding=1, groups=2), (2, 4, 3, 3), 1),
    "averages": (lambda: nn.Sequential(nn.AvgPool2d(2), nn.AvgPool2d(3, 1, 1, False, False)), (2, 2, 8, 6), 2),
    "averages in one dimension": (lambda: nn.AvgPool1d(3, 2, 1), (2, 2, 9), 2),
    "adaptive": (lambda: nn.Sequential(nn.AdaptiveAvgPool2d((3, 2)), nn.AdaptiveAvgPool2d(1)), (2, 2, 7, 5), 2),
}


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("name", LAYERS)
def test_layers_give_what_torch_gives_forward_and_backward(name: str, alone: Session) -> None:
    make, shape, units = LAYERS[name]
    torch.manual_seed(3)
    layer = make()
    exact = make().double()
    # Halves of 2^-16 would be rounded on one side only.
    with torch.no_grad():
        for p, q in zip(layer.parameters(), exact.parameters(), strict=True):
            p.copy_(torch.round(p * 2**16) / 2**16)
            q.copy_(p)
    values = torch.round(torch.randn(shape) * 2**16) / 2**16
    x = tacit.secret(values, owner=0).requires_grad_()
    x_exact = values.double().requires_grad_()
    out, want = tacit.secret(layer)(x), exact(x_exact)
    assert tuple(out.shape) == tuple(want.shape)
    weights = torch.randint(-4, 5, tuple(want.shape)) / 4
    (out * tacit.secret(weights, owner=0)).sum().backward()
    (want * weights).sum().backward()
    gradients = [(x.grad, x_exact.grad), *((p.grad, q.grad) for p, q in zip(
        layer.parameters(), exact.parameters(), strict=True))]
    # Inputs, parameters and `weights` are exact, so a result has the error of its truncation, below a unit. Averages of
    # three or nine also round a third to 16 bits; and where circular padding uses a corner four times, its gradient has
    # the errors of four.
    for ours, theirs in [(out, want), *gradients]:
        # With 53 bits: a float32 would round away what is under test.
        shown = tacit.reveal(SecretTensor(ours._cell, torch.float64), to=0)
        assert float((shown - theirs).detach().abs().max()) * 2**16 < units
        assert float(theirs.detach().abs().max()) > 2**-6


def test_what_has_no_meaning_is_refused_with_the_shapes(alone: Session) -> None:
    x = tacit.secret(torch.ones(2, 3, 4, 4), owner=0)
    with pytest.raises(RefusedOp, match=r"\[2, 3, 4, 4\] with weights of shape \[4, 2, 3, 3\]"):
        functional.conv2d(x, torch.ones(4, 2, 3, 3))
    with pytest.raises(RefusedOp, match=r"\[5, 5\] over an input of \[4, 4\]"):
        functional.conv2d(x, torch.ones(4, 3, 5, 5))
    with pytest.raises(RefusedOp, match="bools"):
        functional.conv2d(x > 0, torch.ones(4, 3, 2, 2, dtype=torch.bool))


def test_a_public_filter_needs_no_exchange_when_it_is_whole(alone: Session) -> None:
    x = tacit.secret(torch.arange(16.0).reshape(1, 1, 4, 4), owner=0).requires_grad_()
    before = alone.step
    edges = functional.conv2d(x, torch.tensor([[[[1.0, -1.0]]]]))
    edges.sum().backward()
    assert alone.step == before
    assert tacit.reveal(edges.detach(), to=0).tolist() == [[[[-1.0] * 3] * 4]]
    assert tacit.reveal(x.grad, to=0).tolist() == [[[[1.0, 0.0, 0.0, -1.0]] * 4]]


class Small(nn.Sequential):
    """Every kind of window once: a stride, padding, a bias left out, groups, an average."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1, groups=2, bias=False),
            nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16, 3),
        )


def images() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(142)
    return torch.randn(6, 1, 8, 8, generator=generator), torch.randn(6, 3, generator=generator)


def three_steps(model: nn.Module, x: Tensor, y: Tensor) -> nn.Module:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.25, momentum=0.5)
    for _ in range(3):
        optimizer.zero_grad()
        functional.mse_loss(model(x), y).backward()
        optimizer.step()
    return model


def started() -> nn.Module:
    torch.manual_seed(11)
    return Small()


def training() -> tuple[list[Tensor], dict[str, int]] | None:
    x, y = images()
    model = tacit.secret(started())
    three_steps(model, tacit.secret(x, owner=0), tacit.secret(y, owner=1))
    opened = tacit.reveal(model, to=0)
    return [p.detach() for p in opened.parameters()] if opened is not None else None


@pytest.mark.parametrize("protocol", ["replicated3", "masked"])
def test_three_steps_of_a_convolutional_network_are_those_of_float64(protocol: str) -> None:
    trained = tacit.simulate(training, protocol=protocol)[0]
    x, y = (value.double() for value in images())
    start, nearest = started().double(), []
    for layer in start:
        if isinstance(layer, nn.ReLU):
            layer.register_forward_pre_hook(lambda _, inputs: nearest.append(float(inputs[0].detach().abs().min())))
    before = [p.detach().clone() for p in start.parameters()]
    exact = three_steps(start, x, y)
    # Weights are rounded to half a unit of 2^-16 at the start, results to one unit in each of six layers, forward and
    # backward. An error in an output passes on with a gain of a few (28 to 36 weights below 1/2); in the gradient it is
    # divided by the 18 entries of the output, added up over 6 images and multiplied by the rate. So a step adds some
    # units. These data keep every ReLU 32 units away from its kink, so that no rounding takes the other branch.
    assert min(nearest) > 32 * 2.0**-16
    for ours, theirs, started_at in zip(trained, exact.parameters(), before, strict=True):
        assert float((ours.double() - theirs.detach()).abs().max()) < 20 * 2.0**-16
        assert float((theirs.detach() - started_at).abs().max()) > 200 * 2.0**-16, "the step moves nothing"


def backward_rounds() -> dict[str, int]:
    x, w = tacit.secret(torch.ones(2, 2, 4, 4), owner=0), tacit.secret(torch.ones(3, 2, 3, 3), owner=1)
    grad = tacit.secret(torch.ones(2, 3, 2, 2), owner=2)
    meter = context().session.meter

    def rounds(mask: list[bool]) -> int:
        before = meter.total.rounds
        torch.ops.aten.convolution_backward(grad, x, w, [3], [1, 1], [0, 0], [1, 1], False, [0, 0], 1, mask)
        return meter.total.rounds - before

    return {"both": rounds([True, True, True]), "one": rounds([True, False, False])}


def test_both_products_of_the_backward_pass_share_their_rounds() -> None:
    rounds = tacit.simulate(backward_rounds, protocol="masked")[0]
    assert rounds["both"] == rounds["one"] == 2
