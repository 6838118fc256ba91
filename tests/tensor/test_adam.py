"""Adam and its kin on secret parameters: torch.optim unchanged, second moments that do not underflow, shared rounds."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import tacit
from tacit.tensor import SecretTensor
from tacit.tensor.cell import Cell
from tacit.tensor.verbs import context

OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "Adam": lambda p: torch.optim.Adam(p, lr=1e-2),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=1e-2),
    "Adam with decay": lambda p: torch.optim.Adam(p, lr=1e-2, weight_decay=0.01),
    "amsgrad": lambda p: torch.optim.Adam(p, lr=1e-2, amsgrad=True),
    "large eps": lambda p: torch.optim.Adam(p, lr=1e-2, eps=1e-3),
    "other betas": lambda p: torch.optim.Adam(p, lr=1e-2, betas=(0.8, 0.95)),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=1e-2),
    "RMSprop with momentum": lambda p: torch.optim.RMSprop(p, lr=1e-3, momentum=0.9),
    "Adagrad": lambda p: torch.optim.Adagrad(p, lr=1e-2),
    "NAdam": lambda p: torch.optim.NAdam(p, lr=1e-2),
}
UNIT = 2.0**-16
SIZES = [1e-6, -1e-5, 1e-4, -1e-3, 0.01, 0.5, -3.0, 0.0]


def gradient(step: int) -> Tensor:
    """Gradients of all sizes, whose signs and magnitudes vary a little from step to step."""
    rng = np.random.default_rng(step)
    return torch.tensor(SIZES, dtype=torch.float64) * torch.tensor(rng.normal(1.0, 0.5, len(SIZES)))


def guarded(value: Tensor) -> SecretTensor:
    """A secret with all the fraction bits that a gradient may have."""
    ctx = context()
    words = np.rint(np.ldexp(value.double().numpy(), ctx.guarded_bits)).astype(np.int64)
    return SecretTensor(Cell(ctx, ctx.protocol.public(words), ctx.guarded_bits), torch.float32)


def stepped(name: str, parameter: nn.Parameter, gradients: Callable[[int], Tensor], **options: Any) -> list[Tensor]:
    optimizer = OPTIMIZERS[name]([parameter])
    for group in optimizer.param_groups:
        group.update(options)
    found = []
    for step in range(25):
        parameter.grad = gradients(step)
        optimizer.step()
        shown = tacit.reveal(parameter.detach(), to="all") if isinstance(parameter, SecretTensor) else parameter
        assert shown is not None
        found.append(shown.detach().double().clone())
    return found


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_gradients_from_a_millionth_to_three_move_a_parameter_as_in_torch(name: str) -> None:
    exact = torch.stack(stepped(name, nn.Parameter(torch.zeros(8, dtype=torch.float64)), gradient))
    ours = torch.stack(
        stepped(name, nn.Parameter(tacit.secret(torch.zeros(8), owner=0)), lambda step: guarded(gradient(step)))
    )
    travelled = exact.abs().cummax(0).values.clamp_min(UNIT)
    # Each of 25 steps is rounded to the nearest unit, equal steps all to the same side.
    off = ((ours - exact).abs() - 13 * UNIT).clamp_min(0) / travelled
    # A millionth is 268 units of a guarded gradient, its square is off by as many as it has, and its root carries the
    # floor of eight units and an eps of the same size: some percent. Of a hundred thousandth all that is a tenth.
    assert off[:, 2:].max() < 0.005
    assert off[:, 1].max() < 0.015
    assert off[:, 0].max() < 0.1
    assert (exact[-1, :5].abs() > 2.0**-8).any(), "nothing moved"


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("name", ["Adam", "amsgrad", "RMSprop"])
def test_one_by_one_gives_the_bits_that_all_together_give(name: str) -> None:
    def run(**options: Any) -> list[Tensor]:
        return stepped(name, nn.Parameter(tacit.secret(torch.zeros(8), owner=0)), lambda s: guarded(gradient(s)),
                       **options)

    assert all(torch.equal(a, b) for a, b in zip(run(), run(foreach=False), strict=True))


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("size", [8.5, 40.0, 1000.0])
def test_a_gradient_beyond_the_format_of_squares_still_steps_the_right_way(size: float) -> None:
    parameter = nn.Parameter(tacit.secret(torch.zeros(2), owner=0))
    optimizer = torch.optim.Adam([parameter], lr=0.01)
    for _ in range(5):
        parameter.grad = tacit.secret(torch.tensor([size, -size]), owner=0)
        optimizer.step()
    shown = tacit.reveal(parameter.detach(), to="all")
    assert shown is not None
    # Exactly five steps of 0.01 if nothing were limited; never more than ten times as far, and never the other way.
    assert 0.045 < -shown[0] < 0.51
    assert 0.045 < shown[1] < 0.51


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("make", [torch.optim.RAdam, torch.optim.Adamax, torch.optim.ASGD])
def test_other_optimizers_step_as_torch_does(make: Callable[..., torch.optim.Optimizer]) -> None:
    sizes = torch.tensor([0.5, -0.01, 2.0])

    def run(parameter: nn.Parameter, gradient: Tensor) -> Tensor:
        optimizer = make([parameter], lr=0.01)
        for _ in range(8):
            parameter.grad = gradient.clone()
            optimizer.step()
        return parameter.detach()

    exact = run(nn.Parameter(torch.ones(3).double()), sizes.double())
    ours = tacit.reveal(run(nn.Parameter(tacit.secret(torch.ones(3), owner=0)), tacit.secret(sizes, owner=0)), to="all")
    assert ours is not None
    assert (ours.double() - exact).abs().max() < 0.01 * (exact - 1).abs().max() + 8 * UNIT


@pytest.mark.usefixtures("alone")
def test_state_of_an_optimizer_can_be_saved_loaded_and_looked_at() -> None:
    parameter = nn.Parameter(tacit.secret(torch.zeros(2), owner=0))
    gradients = [tacit.secret(torch.tensor([0.5, -0.25]) * (step + 1), owner=0) for step in range(4)]

    def step(optimizer: torch.optim.Optimizer, gradient: Tensor) -> None:
        parameter.grad = gradient
        optimizer.step()

    first = torch.optim.Adam([parameter], lr=0.01)
    for gradient in gradients[:2]:
        step(first, gradient)
    squares = tacit.reveal(first.state[parameter]["exp_avg_sq"], to="all")
    assert squares is not None
    # 0.001 (0.25 * 0.999 + 1) and a quarter of that, to a unit or two
    assert (squares - torch.tensor([1.24975e-3, 3.124375e-4])).abs().max() < 2 * UNIT
    second = torch.optim.Adam([parameter], lr=0.01)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    before = parameter.detach().clone()
    step(first, gradients[2])
    moved = tacit.reveal(parameter.detach(), to="all")
    with torch.no_grad():
        parameter.copy_(before)
    step(second, gradients[2])
    again = tacit.reveal(parameter.detach(), to="all")
    assert moved is not None
    assert again is not None
    assert torch.equal(moved, again)


def table() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(7)
    x = torch.randn(96, 6, generator=generator)
    y = (x[:, :1] - x[:, 1:2] * x[:, 2:3] + 0.3 * torch.randn(96, 1, generator=generator) > 0).float()
    return x, y


def trained(x: Tensor, y: Tensor, make: Callable[[Any], torch.optim.Optimizer], dtype: torch.dtype) -> list[Tensor]:
    """Parameters after every fiftieth of 200 steps of a small network, in batches that are no power of two."""
    torch.manual_seed(11)
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1)).to(dtype)
    model = tacit.secret(model) if isinstance(x, SecretTensor) else model
    optimizer = make(model.parameters())
    found = []
    for step in range(200):
        rows = slice(48 * (step % 2), 48 * (step % 2) + 48)
        optimizer.zero_grad()
        functional.binary_cross_entropy_with_logits(model(x[rows]), y[rows]).backward()
        optimizer.step()
        if step % 50 == 49:
            shown = [tacit.reveal(p.detach(), to="all") if isinstance(p, SecretTensor) else p.detach()
                     for p in model.parameters()]
            found.append(torch.cat([value.double().reshape(-1) for value in shown if value is not None]))
    return found


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("make", [torch.optim.Adam, torch.optim.AdamW])
def test_a_trajectory_of_200_steps_is_within_a_hundredth_of_float32(make: Callable[..., Any]) -> None:
    x, y = table()
    start = trained_start()
    plain = trained(x, y, lambda p: make(p, lr=0.005), torch.float32)
    ours = trained(tacit.secret(x, owner=0), tacit.secret(y, owner=0), lambda p: make(p, lr=0.005), torch.float32)
    for exact, found in zip(plain, ours, strict=True):
        assert (found - exact).norm() < 0.01 * (exact - start).norm()


def trained_start() -> Tensor:
    torch.manual_seed(11)
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1))
    return torch.cat([p.detach().double().reshape(-1) for p in model.parameters()])


def rounds_of_a_step() -> dict[str, tuple[int, int]]:
    """Rounds of one step for two parameters and for six."""
    session = context().session
    found = {}
    for name, make in {"SGD": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9), "Adam": OPTIMIZERS["Adam"]}.items():
        spent = []
        for layers in (1, 3):
            parameters = [q for _ in range(layers) for q in tacit.secret(nn.Linear(3, 2)).parameters()]
            optimizer = make(parameters)
            for _ in range(2):
                for parameter in parameters:
                    parameter.grad = tacit.secret(torch.ones(parameter.shape), owner=0)
                before = session.meter.total.rounds
                optimizer.step()
                rounds = session.meter.total.rounds - before
            spent.append(rounds)
        found[name] = (spent[0], spent[1])
    return found


def test_rounds_of_a_step_do_not_grow_with_the_number_of_parameters() -> None:
    for found in tacit.simulate(rounds_of_a_step):
        for name, (few, many) in found.items():
            assert few == many > 0, name


@pytest.mark.usefixtures("alone")
def test_plain_parameters_keep_the_form_that_torch_chose_for_them() -> None:
    plain = nn.Parameter(torch.ones(3))
    plain.grad = torch.ones(3)
    optimizer = torch.optim.SGD([plain], lr=0.1)
    optimizer.step()
    assert optimizer.param_groups[0]["foreach"] is None
    secret = nn.Parameter(tacit.secret(torch.ones(3), owner=0))
    secret.grad = tacit.secret(torch.ones(3), owner=0)
    for wanted in (True, False):
        chosen = torch.optim.SGD([secret], lr=0.1, foreach=wanted)
        chosen.step()
        assert chosen.param_groups[0]["foreach"] is wanted
