"""Losses are promises: right when somebody asks, free when nobody does, and fixed at the moment they were made."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import tacit
from tacit.tensor import SecretTensor
from tacit.tensor.verbs import context

X = torch.tensor([[0.5, -3.0], [2.5, 0.125], [-0.75, 9.0]])
Y = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    f"{loss.__name__}-{reduction}": lambda x, y, loss=loss, reduction=reduction: loss(x, y, reduction=reduction)
    for loss in (functional.mse_loss, functional.binary_cross_entropy_with_logits, functional.l1_loss)
    for reduction in ("none", "mean", "sum")
} | {
    "weighted": lambda x, y: functional.binary_cross_entropy_with_logits(
        x, y, weight=torch.tensor([0.5, 2.0]), pos_weight=torch.tensor([3.0, 0.25])),
}  # fmt: skip


def secret(x: Tensor) -> Tensor:
    return tacit.secret(x, owner=0)


def shown(x: Tensor | None) -> Tensor:
    assert isinstance(x, SecretTensor)
    opened = tacit.reveal(x, to="all")
    assert opened is not None
    return opened


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("secret_labels", [True, False])
@pytest.mark.parametrize("name", LOSSES)
def test_values_and_gradients_agree_with_torch(name: str, secret_labels: bool) -> None:
    plain, ours = X.clone().requires_grad_(), secret(X).requires_grad_()
    expected = LOSSES[name](plain, Y)
    loss = LOSSES[name](ours, secret(Y) if secret_labels else Y)
    expected.sum().backward()
    loss.sum().backward()
    # Six entries, each within 2^-14 for the softplus and a unit for each product.
    assert torch.allclose(expected, shown(loss), atol=6 * 2.0**-13)
    assert plain.grad is not None
    assert torch.allclose(plain.grad, shown(ours.grad), atol=2.0**-13)


def test_a_loss_value_that_nobody_reveals_costs_nothing() -> None:
    def program() -> list[int]:
        session = context().session
        x, y = tacit.secret(X, owner=0), tacit.secret(Y, owner=1)
        model = tacit.secret(nn.Linear(2, 2))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.25)

        def rounds(work: Callable[[], object]) -> int:
            before = session.meter.total.rounds
            work()
            return session.meter.total.rounds - before

        spent, kept = [], []
        for loss_of in (nn.MSELoss(), nn.BCEWithLogitsLoss()):
            out = model(x)
            spent.append(rounds(lambda loss_of=loss_of, out=out: kept.append(loss_of(out, y))))
            kept[-1].backward()
            optimizer.step()
        forced = "loss value" in session.meter.by_operation
        return [*spent, int(forced), *(rounds(lambda: tacit.reveal(kept[1].detach(), to=0)) for _ in range(2))]

    for mse, bce, forced, first, second in tacit.simulate(program):
        assert (mse, bce, forced) == (0, 0, 0)
        assert first > second > 0  # computed once, and kept


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("loss_of", [functional.mse_loss, functional.binary_cross_entropy_with_logits])
def test_a_promise_is_about_the_values_at_the_time_of_the_call(loss_of: Callable[[Tensor, Tensor], Tensor]) -> None:
    x, y, public = secret(X), secret(Y), Y.clone()
    expected = loss_of(X, Y)
    losses = [loss_of(x, y), loss_of(x, public)]
    x.zero_()
    y[0] = 7
    public.fill_(-1)
    for loss in losses:
        assert torch.allclose(expected, shown(loss), atol=1e-3)


@pytest.mark.usefixtures("alone")
def test_a_promise_can_be_kept_inside_any_grad_mode_and_in_sums() -> None:
    x = secret(X).requires_grad_()
    expected = functional.mse_loss(X, Y)
    loss = functional.mse_loss(x, Y)
    with torch.inference_mode():
        assert torch.allclose(expected, shown(loss), atol=1e-3)
    total = functional.mse_loss(x, Y) + 0.5 * functional.mse_loss(x, Y) + (x * x).sum() / 4
    total.backward()
    assert torch.allclose(1.5 * expected + (X * X).sum() / 4, shown(total), atol=1e-3)
    assert torch.allclose(1.5 * 2 * (X - Y) / 6 + X / 2, shown(x.grad), atol=1e-3)


@pytest.mark.usefixtures("alone")
def test_a_loss_can_be_reshaped_compared_and_stacked() -> None:
    losses = torch.stack([functional.mse_loss(secret(X), Y), functional.mse_loss(secret(X + 1), Y)])
    assert shown(losses[0] < losses[1]).tolist() is True
    assert list(losses.view(1, 2).shape) == [1, 2]


@pytest.mark.usefixtures("alone")
def test_sigmoid_and_softplus_stay_within_their_bounds_over_the_whole_range() -> None:
    # 2^-14, as functions/curves.py promises, on a grid finer than any segment and far outside the outermost knot.
    x = torch.cat([torch.arange(-14, 14, 2.0**-7), torch.tensor([-(2.0**20), -100.0, 100.0, 2.0**20])]).double()
    for ours, exact in ((torch.sigmoid(secret(x)), torch.sigmoid(x)), (functional.softplus(secret(x)),
                                                                       functional.softplus(x))):
        assert np.abs(shown(ours.double()).numpy() - exact.numpy()).max() <= 2.0**-14
