"""What would show a value, leak a shape or land in a plain tensor is refused, in words that help."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import tacit
from tacit.errors import Misuse, NotRepresentable, RefusedOp

pytestmark = pytest.mark.usefixtures("alone")


def secret(value: Any) -> Tensor:
    return tacit.secret(torch.as_tensor(value), owner=0)


SHOWING: dict[str, Callable[[Tensor], object]] = {
    "item": lambda x: x[0].item(), "bool": lambda x: bool(x[0]), "if": lambda x: 1 if x[0] > 0 else 2,
    "int": lambda x: int(x[0]), "float": lambda x: float(x[0]), "index": lambda x: [1, 2, 3][secret(1)],
    "range": lambda x: range(secret(2)), "in": lambda x: 3.0 in x, "tolist": lambda x: x.tolist(),
    "numpy": lambda x: x.numpy(), "asarray": np.asarray, "array times": lambda x: x * np.ones(3),
    "format": lambda x: f"{x[0]:.3f}", "percent": lambda x: "%f" % x[0],  # noqa: UP031
    "equal": lambda x: torch.equal(x, x), "allclose": lambda x: torch.allclose(x, x),
    "nonzero": lambda x: x.nonzero(), "mask": lambda x: x[x > 0], "masked_select": lambda x: x.masked_select(x > 0),
    "unique": lambda x: x.unique(), "secret index": lambda x: x[secret([0, 1])],
    "secret gather": lambda x: x.gather(0, secret([0])), "repeat": lambda x: x.repeat_interleave(secret([1, 2, 3])),
    "multinomial": lambda x: x.multinomial(1), "sort": torch.sort, "topk": lambda x: x.topk(2), "median": torch.median,
    "bincount": lambda x: secret([1, 2]).bincount(),
    "pickle": pickle.dumps, "save": lambda x: torch.save({"x": x}, io.BytesIO()),
    "save module": lambda x: torch.save(tacit.secret(nn.Linear(2, 2)).state_dict(), io.BytesIO()),
    "share_memory": lambda x: x.share_memory_(), "dlpack": lambda x: torch.from_dlpack(x),
    "view as ints": lambda x: x.view(torch.int32), "argument of tensor": lambda x: torch.tensor([x[0].item()]),
    "to an int": lambda x: x.long(), "to a bool": lambda x: x.bool(), "set_": lambda x: x.set_(secret([1.0])),
}  # fmt: skip


@pytest.mark.parametrize("name", SHOWING)
def test_what_would_show_a_value_is_refused_with_a_hint(name: str) -> None:
    with pytest.raises(RefusedOp) as caught:
        SHOWING[name](secret([1.5, -2.25, 3.0]))
    assert caught.value.hint
    assert "2.25" not in str(caught.value)


PLAIN_TARGETS: dict[str, Callable[[Tensor, Tensor], object]] = {
    "copy_": lambda plain, x: plain.copy_(x), "+=": lambda plain, x: plain.add_(x), "fill_": lambda p, x: p.fill_(x[0]),
    "item assignment": lambda plain, x: plain.__setitem__(0, x[0]), "out": lambda p, x: torch.add(x, x, out=p),
    "stack out": lambda p, x: torch.stack([x], out=p.view(1, 3)), "index_put_": lambda p, x: p.index_put_(
        (torch.tensor([0]),), x[:1]), "masked_fill_": lambda p, x: p.masked_fill_(x > 0, 1.0),
    "data": lambda plain, x: setattr(x, "data", plain),
}  # fmt: skip


@pytest.mark.parametrize("name", PLAIN_TARGETS)
def test_a_secret_is_never_written_into_a_plain_tensor(name: str) -> None:
    plain = torch.zeros(3)
    with pytest.raises(RefusedOp) as caught:
        PLAIN_TARGETS[name](plain, secret([1.5, -2.25, 3.0]))
    assert caught.value.hint
    assert plain.tolist() == [0, 0, 0]


def test_a_secret_gradient_does_not_step_a_plain_weight() -> None:
    plain = nn.Linear(3, 1)
    before = copy.deepcopy(plain.state_dict())
    plain(secret([[1.0, 2.0, 3.0]])).sum().backward()
    with pytest.raises(RefusedOp, match="plain tensor"):
        torch.optim.SGD(plain.parameters(), lr=0.1).step()
    assert all(torch.equal(before[key], value) for key, value in plain.state_dict().items())


def test_loading_secret_weights_into_a_plain_module_is_refused() -> None:
    ours = tacit.secret(nn.Linear(2, 2))
    with pytest.raises(RuntimeError, match="plain tensor"):
        nn.Linear(2, 2).load_state_dict(ours.state_dict())


def test_representations_show_shape_and_label_only() -> None:
    x = secret([1.5, -2.25])
    for text in (repr(x), str(x), f"{x}", repr([x]), repr(nn.Parameter(x)), str({"a": x}), repr(x._cell)):
        assert "2.25" not in text
        assert "147456" not in text  # 2.25 in units
        assert "[2]" in text
    assert "SecretTensor" in repr(tacit.secret(nn.Linear(2, 2)).state_dict())


class Outer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2, 2), nn.ELU())

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x)
        return out


def test_an_operator_without_a_row_names_itself_its_module_and_the_nearest_rows() -> None:
    with pytest.raises(RefusedOp) as caught:
        tacit.secret(nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.CELU())))(secret([[1.0, 2.0]]))
    assert "aten.celu.default in 1.0 (CELU)" in caught.value.message
    assert "gelu" in str(caught.value.hint)


def test_the_module_path_starts_at_the_outermost_module() -> None:
    with pytest.raises(RefusedOp, match=r"aten\.elu\.default in body\.1 \(ELU\)"):
        tacit.secret(Outer())(secret([[1.0, 2.0]]))


def test_nothing_without_a_row_falls_through_to_plain_text() -> None:
    x = secret([1.0, 2.0])
    for attempt in (torch.sin, torch.atan, torch.fft.fft, torch.special.gammaln, torch.erfinv, torch.lgamma,
                    torch.floor, torch.histc, torch._neg_view, lambda x: torch.complex(x, x), lambda x: x // 2):
        with pytest.raises(RefusedOp, match="no row for aten"):
            attempt(x)


def test_division_by_zero_is_refused() -> None:
    x = secret([1.0, 2.0])
    for wrong in (lambda: x / 0, lambda: x / torch.tensor(0.0)):
        with pytest.raises(RefusedOp):
            wrong()
    with pytest.raises(NotRepresentable, match=r"entry \[1\]"):
        x / torch.tensor([1.0, 0.0])


def test_constants_that_would_vanish_are_refused_or_exact() -> None:
    x = secret([2.0**20, -1.0])
    with pytest.raises(NotRepresentable, match="round to 0"):
        x + 1e-12
    with pytest.raises(NotRepresentable):
        x * float("nan")
    tiny = tacit.reveal(x * 1e-6, to="all")
    assert tiny is not None
    assert tiny[0].item() == pytest.approx(2.0**20 * 1e-6, rel=2.0**-15, abs=2.0**-16)
    small = tacit.reveal(x * torch.tensor([1e-6, 1e-6]), to="all")
    assert small is not None
    assert small[0].item() == pytest.approx(2.0**20 * 1e-6, rel=2.0**-14, abs=2.0**-16)
    assert tacit.reveal(x > 1e-9, to="all").tolist() == [True, False]  # type: ignore[union-attr]


def test_a_public_divisor_of_many_sizes_is_as_exact_as_a_number() -> None:
    scale = torch.tensor([1.0, 7.0, 900.0, 30_000.0, 2.0**-6])
    x = torch.tensor([3.0, 5.0, 123_456.0, 2.0**24, 1.5])
    ours = tacit.reveal(secret(x) / scale, to="all")
    assert ours is not None
    assert torch.allclose(ours.double(), x.double() / scale.double(), rtol=2.0**-15, atol=2 * 2.0**-16)


def test_owners_and_receivers_must_exist() -> None:
    with pytest.raises(Misuse, match="owner"):
        tacit.secret(torch.ones(2))  # type: ignore[call-overload]
    with pytest.raises(Misuse, match="no party"):
        tacit.secret(torch.ones(2), owner="mallory")
    with pytest.raises(Misuse, match="not secret"):
        tacit.reveal(torch.ones(2), to="all")
    with pytest.raises(Misuse, match="receiver"):
        tacit.reveal(secret([1.0]))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64,
                                   torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool])
def test_every_plain_type_goes_in_and_comes_out(dtype: torch.dtype) -> None:
    values = torch.tensor([0, 1, 1]).to(dtype)
    for given in (values, values.float().numpy() if dtype == torch.bfloat16 else values.numpy()):
        shown = tacit.reveal(tacit.secret(given, owner=0), to="all")
        assert shown is not None
        assert shown.tolist() == values.tolist()
        expected = torch.float32 if dtype.is_floating_point else torch.bool if dtype == torch.bool else torch.int64
        assert shown.dtype == expected


def test_numbers_that_do_not_fit_are_refused_with_the_index_of_the_first() -> None:
    for bad in (float("nan"), float("inf"), -float("inf"), 2.0**40):
        with pytest.raises(NotRepresentable, match=r"entry \[1, 0\] of shape \[2, 2\]"):
            secret([[1.0, 2.0], [bad, bad]])
    with pytest.raises(NotRepresentable, match="the number"):
        secret(float("nan"))
