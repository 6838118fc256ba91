"""What people do with tensors and modules, done with secret ones: it works as in torch, or it is refused."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, TensorDataset, random_split

import tacit
from tacit.tensor import SecretTensor
from tacit.tensor.cell import KNOWN, POSITIVE
from tacit.tensor.verbs import context

pytestmark = pytest.mark.usefixtures("alone")
CLOSE = 1e-3


def secret(value: object) -> Tensor:
    return tacit.secret(torch.as_tensor(value), owner=0)


def shown(x: Tensor | None) -> Tensor:
    assert isinstance(x, SecretTensor)
    opened = tacit.reveal(x, to="all")
    assert opened is not None
    return opened


def network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))


X = torch.tensor([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])
Y = torch.tensor([[1.0, 0.0], [0.0, 1.0]])


def twins() -> tuple[nn.Module, nn.Module]:
    return network(), tacit.secret(network())


def same_gradients(plain: nn.Module, ours: nn.Module) -> None:
    for (name, p), q in zip(plain.named_parameters(), ours.parameters(), strict=True):
        assert p.grad is not None
        assert torch.allclose(p.grad, shown(q.grad), atol=CLOSE), name


# -- modules and parameters ------------------------------------------------------------------------------------------


def test_parameters_stay_secret_parameters() -> None:
    ours = tacit.secret(network())
    for parameter in ours.parameters():
        assert isinstance(parameter, nn.Parameter)
        assert isinstance(parameter, SecretTensor)
        assert parameter.is_leaf
        assert parameter.requires_grad
    wrapped = nn.Parameter(secret([1.0, 2.0]))
    assert isinstance(wrapped, nn.Parameter)
    assert shown(wrapped).tolist() == [1, 2]


def test_data_is_replaced_and_not_kept_silently() -> None:
    p = nn.Parameter(secret([1.0, 2.0]))
    p.data = secret([5.0, 6.0])
    assert shown(p).tolist() == [5, 6]
    p.data = p.data * 2
    assert shown(p + 1).tolist() == [11, 13]
    p.data -= 1
    assert shown(p).tolist() == [9, 11]
    p.data = secret([[1.0], [2.0], [3.0]])
    assert (list(p.shape), list((p * 2).shape)) == ([3, 1], [3, 1])


@pytest.mark.parametrize("cast", [
    lambda m: m.double(), lambda m: m.to(torch.float64), lambda m: m.half(), lambda m: m.bfloat16(),
    lambda m: m.float(), lambda m: m.to("cpu"), lambda m: m.double().float(),
])
def test_casting_a_module_keeps_its_weights(cast: Callable[[nn.Module], nn.Module]) -> None:
    plain, ours = twins()
    cast(ours)
    label = next(cast(network()).parameters()).dtype
    for p, q in zip(plain.parameters(), ours.parameters(), strict=True):
        assert q.dtype == label
        assert torch.allclose(p, shown(q).float(), atol=1e-2)
    assert torch.allclose(plain(X), shown(ours(secret(X).to(label))).float(), atol=2e-2)


def test_moving_a_module_to_another_device_is_refused() -> None:
    with pytest.raises(tacit.errors.RefusedOp, match="stay where"):
        tacit.secret(network()).to("meta")


def test_a_deep_copy_has_memory_and_gradients_of_its_own() -> None:
    plain, ours = twins()
    ours(secret(X)).sum().backward()
    twin = copy.deepcopy(ours)
    with torch.no_grad():
        for p in ours.parameters():
            p.zero_()
            assert p.grad is not None
            p.grad.zero_()
    plain(X).sum().backward()
    same_gradients(plain, twin)
    for p, q in zip(plain.parameters(), twin.parameters(), strict=True):
        assert isinstance(q, nn.Parameter)
        assert torch.allclose(p, shown(q), atol=CLOSE)


def test_a_deep_copy_of_a_computed_tensor_is_refused_as_in_torch() -> None:
    with pytest.raises(tacit.errors.RefusedOp, match="detach"):
        copy.deepcopy(secret([1.0]).requires_grad_() * 2)


def test_a_shallow_copy_shares_memory() -> None:
    x = secret([1.0, 2.0])
    y = copy.copy(x)
    y += 1
    assert shown(x).tolist() == [2, 3]


def test_state_goes_round_through_state_dict() -> None:
    plain, ours = twins()
    other = tacit.secret(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)))
    other.load_state_dict(ours.state_dict())
    assert torch.allclose(plain(X), shown(other(secret(X))), atol=CLOSE)
    other.load_state_dict(plain.state_dict())  # plain into secret is a public write
    assert torch.allclose(plain(X), shown(other(secret(X))), atol=CLOSE)
    third = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    third.load_state_dict(ours.state_dict(), assign=True)
    assert torch.allclose(plain(X), shown(third(secret(X))), atol=CLOSE)


def test_tied_weights_stay_tied() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
            self.second.weight = self.first.weight
            self.scale = self.other_name = nn.Parameter(torch.ones(3))

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.second(self.first(x)) * self.scale * self.other_name
            return y

    torch.manual_seed(1)
    plain = Tied()
    ours = tacit.secret(copy.deepcopy(plain))
    assert ours.first.weight is ours.second.weight
    assert ours.scale is ours.other_name
    plain(X).sum().backward()
    ours(secret(X)).sum().backward()
    same_gradients(plain, ours)
    again = copy.deepcopy(ours)
    assert again.first.weight is again.second.weight


def test_buffers_become_secret_and_counters_stay_public() -> None:
    module = nn.BatchNorm1d(2)
    tacit.secret(module)
    assert isinstance(module.running_mean, SecretTensor)
    assert not isinstance(module.num_batches_tracked, SecretTensor)


def test_functional_call_uses_the_parameters_given() -> None:
    plain, ours = twins()
    doubled = {name: p.detach() * 2 for name, p in ours.named_parameters()}
    expected = torch.func.functional_call(plain, {name: p.detach() * 2 for name, p in plain.named_parameters()}, X)
    assert torch.allclose(expected, shown(torch.func.functional_call(ours, doubled, secret(X))), atol=CLOSE)


def test_revealing_a_module_gives_a_plain_copy_and_leaves_the_secret_one() -> None:
    plain, ours = twins()
    opened = tacit.reveal(ours, to="all")
    assert all(type(p) is nn.Parameter for p in opened.parameters())
    assert torch.allclose(plain(X), opened(X), atol=CLOSE)
    assert all(isinstance(p, SecretTensor) for p in ours.parameters())


# -- autograd --------------------------------------------------------------------------------------------------------


def test_gradients_add_up_over_several_backward_passes() -> None:
    plain, ours = twins()
    for part in (slice(0, 1), slice(1, 2)):
        plain(X[part]).sum().backward()
        ours(secret(X[part])).sum().backward()
    same_gradients(plain, ours)


def test_a_public_gradient_and_a_secret_one_add_up() -> None:
    x = secret([1.0, 2.0]).requires_grad_()
    x.sum().backward()  # ones, which everybody knows
    (x * x).sum().backward()
    assert shown(x.grad).tolist() == [3, 5]
    (x / 8).mean().backward()
    assert shown(x.grad).tolist() == [3 + 1 / 16, 5 + 1 / 16]
    with pytest.raises(tacit.errors.NotRepresentable, match="round to 0"):
        (x / 10**6).mean().backward()  # public as well, and too small to be added: said, not lost


def test_zero_grad_of_both_kinds() -> None:
    plain, ours = twins()
    for to_none in (True, False, True):
        plain.zero_grad(set_to_none=to_none)
        ours.zero_grad(set_to_none=to_none)
        plain(X).square().sum().backward()
        ours(secret(X)).square().sum().backward()
    same_gradients(plain, ours)


def test_second_derivatives() -> None:
    x, ours = torch.tensor([1.5, -0.5], requires_grad=True), secret([1.5, -0.5]).requires_grad_()
    for leaf in (x, ours):
        (first,) = torch.autograd.grad((leaf**3).sum(), leaf, create_graph=True)
        (first * torch.sigmoid(leaf)).sum().backward()
    assert x.grad is not None
    assert torch.allclose(x.grad, shown(ours.grad), atol=CLOSE)


def test_hooks_see_secret_gradients_and_may_change_them() -> None:
    x = secret([1.0, 2.0]).requires_grad_()
    seen: list[Tensor] = []
    x.register_hook(lambda grad: seen.append(grad) or grad * 2)  # type: ignore[func-returns-value]
    x.register_post_accumulate_grad_hook(lambda leaf: seen.append(leaf))
    (x * x).sum().backward()
    assert shown(x.grad).tolist() == [4, 8]
    assert [type(entry) for entry in seen] == [SecretTensor, SecretTensor]


def test_module_hooks_run() -> None:
    ours, seen = tacit.secret(network()), []
    ours.register_forward_hook(lambda module, args, out: seen.append(type(out)))
    ours.register_full_backward_hook(lambda module, grad_in, grad_out: seen.append(type(grad_out[0])))
    ours(secret(X).requires_grad_()).sum().backward()
    assert seen == [SecretTensor, SecretTensor]


@pytest.mark.parametrize("guard", [torch.no_grad, torch.inference_mode])
def test_evaluation_without_a_graph(guard: Callable[[], torch.no_grad]) -> None:
    plain, ours = twins()
    with guard():
        out = ours(secret(X))
        flat = ours[0].weight.t().reshape(-1)
        mean = torch.sigmoid(out).flatten().mean() + functional.mse_loss(out, secret(Y))
    assert not out.requires_grad
    assert torch.allclose(plain(X), shown(out), atol=CLOSE)
    assert torch.allclose(plain[0].weight.t().reshape(-1), shown(flat), atol=CLOSE)  # type: ignore[index]
    assert torch.allclose(torch.sigmoid(plain(X)).mean() + functional.mse_loss(plain(X), Y), shown(mean), atol=CLOSE)


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_checkpointing_gives_the_same_gradients(reentrant: bool, dropout: float) -> None:
    gradients = []
    for recompute in (False, True):
        torch.manual_seed(9)
        ours = tacit.secret(nn.Sequential(network(), nn.ReLU(), nn.Dropout(dropout), nn.Linear(2, 1)))
        torch.manual_seed(10)
        x = secret(X).requires_grad_()
        out = checkpoint(ours, x, use_reentrant=reentrant) if recompute else ours(x)
        out.square().sum().backward()
        gradients.append([shown(x.grad), *(shown(p.grad) for p in ours.parameters())])
    for once, again in zip(*gradients, strict=True):
        assert torch.allclose(once, again, atol=CLOSE)
    assert any(entry.any() for entry in gradients[0])


# -- dropout ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.5, 0.3, 0.0, 1.0])
def test_dropout_uses_the_mask_that_torch_would_use(p: float) -> None:
    x = torch.arange(1.0, 25.0).view(4, 6)
    leaf = secret(x).requires_grad_()
    torch.manual_seed(4)
    expected = functional.dropout(x, p)
    torch.manual_seed(4)
    out = functional.dropout(leaf, p)
    assert torch.allclose(expected, shown(out), atol=24 * CLOSE)
    out.sum().backward()
    assert torch.allclose((expected / x).float(), shown(leaf.grad), atol=CLOSE)


def test_dropout_in_place_per_channel_and_switched_off() -> None:
    x = torch.ones(2, 3, 2, 2)
    ours = secret(x)
    torch.manual_seed(4)
    expected = functional.dropout2d(x)
    torch.manual_seed(4)
    assert torch.equal(expected, shown(functional.dropout2d(ours)))
    torch.manual_seed(4)
    assert set(shown(functional.dropout(secret(x), 0.5, inplace=True)).flatten().tolist()) == {0.0, 2.0}
    assert torch.equal(x, shown(nn.Dropout().eval()(secret(x))))


def test_a_dropout_mask_stays_public_until_something_secret_is_written_into_it() -> None:
    x = secret(torch.ones(8))
    noise = torch.empty_like(x).bernoulli_(0.5).div_(0.5)
    assert noise._cell.recall(KNOWN) is not None  # type: ignore[attr-defined]
    assert set(shown(x * noise).tolist()) <= {0.0, 2.0}
    with torch.no_grad():
        noise[0] = x[1]  # from here on it is secret
    assert noise._cell.recall(KNOWN) is None  # type: ignore[attr-defined]
    assert shown(noise)[0] == 1


def test_known_values_are_forgotten_when_a_view_is_written_to() -> None:
    zeros = torch.zeros_like(secret([1.0, 2.0]))
    view = zeros[:1]
    view += secret([3.0])
    assert shown(zeros * 2).tolist() == [6, 0]
    assert shown(view + 1).tolist() == [4]
    zeros.fill_(1)
    assert shown(view * 3).tolist() == [3]


# -- memos of ReLU ---------------------------------------------------------------------------------------------------


def comparisons(work: Callable[[], object]) -> int:
    """How often the comparison under ReLU ran, counted where protocols do it."""
    count = 0
    protocol = context().protocol
    is_negative = protocol.is_negative

    def counting(x: Tensor, width: int | None = None) -> object:
        nonlocal count
        count += 1
        return is_negative(x, width)

    protocol.is_negative = counting  # type: ignore[method-assign]
    try:
        work()
    finally:
        del protocol.is_negative  # type: ignore[method-assign]
    return count


def test_a_relu_compares_once_for_forward_and_backward() -> None:
    x = secret(X).requires_grad_()
    assert comparisons(lambda: torch.relu(x).sum().backward()) == 1
    assert comparisons(lambda: torch.relu_(x * 2).sum().backward()) == 1
    assert comparisons(lambda: functional.leaky_relu(x + 1).sum().backward()) == 1


def test_a_relu_is_compared_again_only_where_checkpointing_computes_it_again() -> None:
    x = secret(X).requires_grad_()
    for reentrant in (True, False):
        run = lambda r=reentrant: checkpoint(torch.relu, x, use_reentrant=r).sum().backward()  # noqa: E731
        assert comparisons(run) <= 2


def test_the_sign_of_a_relu_is_forgotten_on_writes_through_any_view() -> None:
    y = torch.relu(secret([1.0, -1.0, 2.0]))
    assert y._cell.recall(POSITIVE) is not None  # type: ignore[attr-defined]
    twin = y.detach()
    y.view(-1)[0] = 0
    assert y._cell.recall(POSITIVE) is None  # type: ignore[attr-defined]
    assert twin._cell.recall(POSITIVE) is None  # type: ignore[attr-defined]
    ones = secret([1.0, 1.0, 1.0])
    assert shown(torch.ops.aten.threshold_backward(ones, twin, 0)).tolist() == [0, 0, 1]


def test_writing_to_a_saved_output_is_an_error_as_in_torch() -> None:
    x = secret([1.0, -1.0]).requires_grad_()
    y = torch.relu(x)
    y += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_gradients_flow_through_writes_into_views() -> None:
    leaves = torch.ones(3), secret([1.0, 1.0, 1.0])
    for leaf in leaves:
        leaf.requires_grad_()
        y = leaf * 2
        y[1:] *= 3
        y[0] = y[1] * 5
        y.sum().backward()
    assert leaves[0].grad is not None
    assert shown(leaves[1].grad).tolist() == leaves[0].grad.tolist()


# -- data ------------------------------------------------------------------------------------------------------------


def test_batches_of_secret_rows_come_from_an_ordinary_loader() -> None:
    x, y = torch.arange(10.0).view(5, 2), torch.arange(5)
    batches = []
    for features, labels in ((x, y), (secret(x), secret(y))):
        torch.manual_seed(2)
        loader = DataLoader(TensorDataset(features, labels), batch_size=2, shuffle=True)
        batches.append([(a, b) if features is x else (shown(a), shown(b)) for a, b in loader])
    for (a, b), (c, d) in zip(*batches, strict=True):
        assert torch.equal(a, c)
        assert torch.equal(b, d)


def test_splits_and_dicts_collate_too() -> None:
    rows = [{"x": row, "n": i} for i, row in enumerate(secret(torch.arange(6.0).view(3, 2)))]
    torch.manual_seed(0)
    part, _ = random_split(rows, [2, 1])  # type: ignore[arg-type]
    batch = next(iter(DataLoader(part, batch_size=2)))
    assert shown(batch["x"])[:, 0].tolist() == [2.0 * n for n in batch["n"].tolist()]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_worker_processes_of_a_loader_are_refused() -> None:
    loader = DataLoader(TensorDataset(secret(torch.arange(6.0))), batch_size=2, num_workers=1)
    with pytest.raises(Exception, match=r"forked|plain tensor|pickle"):
        next(iter(loader))


@pytest.mark.filterwarnings("ignore:Anomaly Detection")
def test_no_value_of_a_secret_is_not_a_number() -> None:
    x = secret(X)
    assert not bool(x.isnan().any())
    assert not bool(x.isinf().any())
    with torch.autograd.detect_anomaly(check_nan=True):
        leaf = secret(X).requires_grad_()
        (leaf * leaf).mean().backward()
    assert torch.allclose(shown(leaf.grad), X / 3, atol=CLOSE)
