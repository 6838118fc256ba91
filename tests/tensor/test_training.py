"""Optimisers and training among three parties, against plain PyTorch in float64 on the same numbers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import tacit

#: Five steps of each: plain, momentum with its variants, decay, ascent, a tensor as learning rate.
SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {"lr": 0.1},
    "momentum": {"lr": 0.1, "momentum": 0.9},
    "dampened": {"lr": 0.1, "momentum": 0.9, "dampening": 0.5},
    "nesterov": {"lr": 0.1, "momentum": 0.9, "nesterov": True},
    "decay": {"lr": 0.1, "weight_decay": 0.01},
    "momentum and decay": {"lr": 0.05, "momentum": 0.5, "weight_decay": 0.1},
    "ascent": {"lr": 0.1, "maximize": True, "momentum": 0.9},
    "tensor lr": {"lr": torch.tensor(0.1)},
    "power of two": {"lr": 1 / 16, "momentum": 0.5},
}
START = [[0.5, -1.25, 2.0], [1.0, 0.75, -0.25]]
FEATURES = [[1.0, 0.5, -2.0], [0.25, -1.5, 1.0], [2.0, 1.0, 0.125], [-0.5, 0.75, 1.5], [1.0, -1.0, 0.5]]


def five_steps(setting: dict[str, Any], w: Tensor, x: Tensor) -> Tensor:
    parameter = nn.Parameter(w)
    optimizer = torch.optim.SGD([parameter], **setting)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    for _ in range(5):
        optimizer.zero_grad()
        (x @ parameter.t()).square().mean().backward()
        optimizer.step()
        schedule.step()
    return parameter.detach()


def all_settings() -> dict[str, Tensor | None]:
    w, x = tacit.secret(torch.tensor(START), owner=0), tacit.secret(torch.tensor(FEATURES), owner=1)
    return {name: tacit.reveal(five_steps(setting, w.clone(), x), to=0) for name, setting in SETTINGS.items()}


def test_sgd_in_all_its_forms_steps_as_torch_does() -> None:
    ours = tacit.simulate(all_settings)[0]
    for name, setting in SETTINGS.items():
        exact = five_steps(setting, torch.tensor(START).double(), torch.tensor(FEATURES).double())
        stepped = ours[name]
        assert stepped is not None
        # Five steps, each with a handful of roundings of 2^-16 that the learning rate scales down.
        assert (stepped.double() - exact).abs().max() < 2e-4, name
        assert (exact - torch.tensor(START)).abs().max() > 0.05, f"{name} does nothing"


def tiny_rate() -> tuple[Tensor | None, Tensor | None]:
    w = nn.Parameter(tacit.secret(torch.zeros(4096), owner=0))
    optimizer = torch.optim.SGD([w], lr=1e-6)
    gradient = tacit.secret(torch.full((4096,), 3.0), owner=1)
    for _ in range(4):
        w.grad = gradient.clone()
        optimizer.step()
    big = nn.Parameter(tacit.secret(torch.zeros(4), owner=0))
    big.grad = tacit.secret(torch.full((4,), 2.0**20), owner=1)
    torch.optim.SGD([big], lr=1e-6).step()
    return tacit.reveal(w.detach(), to=0), tacit.reveal(big.detach(), to=0)


def test_a_learning_rate_of_a_millionth_is_not_lost() -> None:
    small, big = tacit.simulate(tiny_rate)[0]
    assert big is not None
    assert torch.allclose(big.double(), torch.full((4,), -(2.0**20) * 1e-6).double(), rtol=2.0**-15, atol=2.0**-16)
    # Three millionths are a fifth of a unit: each step moves a fifth of the entries by one. 16,384 coins of bias 0.197
    # have a mean within 0.016 of it in all but one of 10^6 runs.
    assert small is not None
    moved = -small.double().mean() / 2.0**-16 / 4
    assert abs(float(moved) - 3e-6 * 2**16) < 0.016


def logistic(x: Tensor, y: Tensor, model: nn.Module, steps: int = 50) -> nn.Module:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.5)
    for step in range(steps):
        rows = slice(50 * (step % 4), 50 * (step % 4) + 50)  # batches of 50: no power of two
        optimizer.zero_grad()
        functional.binary_cross_entropy_with_logits(model(x[rows]), y[rows]).backward()
        optimizer.step()
    return model


def small_network() -> nn.Module:
    torch.manual_seed(11)
    return nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 1))


def curve(x: Tensor, y: Tensor, model: nn.Module, steps: int = 50) -> list[Tensor]:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for step in range(steps):
        rows = slice(50 * (step % 4), 50 * (step % 4) + 50)
        optimizer.zero_grad()
        loss = functional.binary_cross_entropy_with_logits(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return losses


def table() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(7)
    x = torch.randn(200, 8, generator=generator)
    y = ((x[:, :1] - x[:, 1:2] * x[:, 2:3] + 0.3 * torch.randn(200, 1, generator=generator)) > 0).float()
    return x, y


def both_models() -> tuple[list[Tensor], Tensor] | None:
    x, y = table()
    x, y = tacit.secret(x, owner=0), tacit.secret(y, owner=1)
    torch.manual_seed(11)
    line = logistic(x, y, tacit.secret(nn.Linear(8, 1)))
    losses = torch.stack(curve(x, y, tacit.secret(small_network())))
    opened, shown = tacit.reveal(line, to=0, name="weights"), tacit.reveal(losses, to=0)
    return ([p.detach() for p in opened.parameters()], shown) if opened is not None else None


@pytest.fixture(scope="module")
def trained() -> tuple[list[Tensor], Tensor]:
    result = tacit.simulate(both_models)[0]
    assert result is not None
    return result


def test_weights_after_fifty_steps_are_those_of_float64(trained: tuple[list[Tensor], Tensor]) -> None:
    x, y = (value.double() for value in table())
    torch.manual_seed(11)
    exact = logistic(x, y, nn.Linear(8, 1).double())
    off = max(float((p.double() - q.detach()).abs().max()) for p, q in zip(trained[0], exact.parameters(), strict=True))
    assert off < 5e-4  # the promise is 1e-3
    assert float(next(exact.parameters()).detach().abs().max()) > 0.5  # it learned something


def test_the_loss_curve_of_a_network_is_that_of_float64(trained: tuple[list[Tensor], Tensor]) -> None:
    x, y = (value.double() for value in table())
    exact = torch.stack(curve(x, y, small_network().double()))
    assert float((trained[1].double() - exact).abs().max()) < 1e-2
    assert float(exact[-1]) < 0.8 * float(exact[0])


# -- the same program at every party ---------------------------------------------------------------------------------


def public_randomness() -> dict[str, Any]:
    from torch.utils.data import DataLoader, TensorDataset

    x = tacit.secret(torch.ones(64), owner=0)
    model = nn.Sequential(nn.Linear(5, 3), nn.Linear(3, 1))
    order = [rows.tolist() for (rows,) in DataLoader(TensorDataset(torch.arange(20)), batch_size=6, shuffle=True)]
    mask = tacit.reveal(functional.dropout(x, 0.5), to="all")
    with_secrets = DataLoader(TensorDataset(tacit.secret(torch.arange(20.0), owner=1)), batch_size=20, shuffle=True)
    (shuffled,) = next(iter(with_secrets))
    assert mask is not None
    return {
        "weights": [p.tolist() for p in model.parameters()], "order": order, "mask": mask.tolist(),
        "shuffled": tacit.reveal(shuffled, to="all").tolist(), "normal": torch.randn(3).tolist(),
    }


def test_initial_weights_shuffles_and_masks_agree_at_all_parties_and_differ_by_run() -> None:
    first, second = tacit.simulate(public_randomness), tacit.simulate(public_randomness)
    for run in (first, second):
        assert run[0] == run[1] == run[2]
        assert set(run[0]["mask"]) == {0.0, 2.0}
        assert sorted(i for batch in run[0]["order"] for i in batch) == list(range(20))
    for key in first[0]:
        assert first[0][key] != second[0][key], f"{key} does not depend on the seed of the run"


def test_a_seed_given_to_the_run_repeats_it() -> None:
    first, second = (tacit.simulate(public_randomness, seed=5)[0] for _ in range(2))
    assert first == second
