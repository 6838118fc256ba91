"""The lines of the table that refuse: what would show a value, or a shape that depends on one, or misread memory."""

from __future__ import annotations

from typing import Any

import torch

from tacit.tensor.row import Refusal

aten = torch.ops.aten

_REVEAL = "tacit.reveal(x, to=..., name=...) opens a value to a party, if the job files allow it"
_VALUE = "it asks for the value of a secret tensor"
_SHAPE = "the shape of its output would reveal the values"
_MASK = "keep a 0/1 mask and multiply; or reveal the mask if positions may be known"
_SORT = "sorting of secret values is not offered for tensors yet"
_NO_SORT = "max, min and argmax have rows; reveal the values if their order may be known"
_SCALE = "a loss scale would use up the bits that keep values inside the ring"

REFUSALS: dict[Any, Refusal] = {
    aten._local_scalar_dense.default: Refusal(
        f"item(), bool(), int(), float() and `if x`: {_VALUE}", _REVEAL),
    aten.is_nonzero.default: Refusal(_VALUE, _REVEAL),
    aten.equal.default: Refusal("it returns a Python bool, which every party would learn",
                                "(x == y).all() stays secret; reveal it if it may be known"),
    aten.allclose.default: Refusal("it returns a Python bool, which every party would learn",
                                   "reveal both, or ((x - y).abs() < eps).all()"),
    aten.nonzero.default: Refusal(_SHAPE, _MASK),
    aten.masked_select.default: Refusal(_SHAPE, _MASK),
    aten.unique_consecutive.default: Refusal(_SHAPE, "compare with the values you look for"),
    aten._unique2.default: Refusal(_SHAPE, "compare with the values you look for"),
    aten.bincount.default: Refusal(_SHAPE, "sum one-hot columns"),
    aten.view.dtype: Refusal("it would read shares as numbers of another format", "cast with x.to(dtype)"),
    aten.set_.source_Tensor: Refusal("it would swap memory without the shares", "use x.copy_(y) or x.data = y"),
    aten.multinomial.default: Refusal(_VALUE, "sample at the party that may see the values"),
    **{op: Refusal(_SORT, _NO_SORT) for op in (
        aten.sort.default, aten.sort.stable, aten.topk.default, aten.kthvalue.default, aten.median.default,
        aten.median.dim, aten.mode.default,
    )},
    aten._amp_foreach_non_finite_check_and_unscale_.default: Refusal(_SCALE, "train without a GradScaler"),
    **{op: Refusal(
        "the fused form would hide the second moment's format",
        "leave fused and foreach out: all secret parameters move together by default",
    ) for op in (
        aten._fused_adam_.default, aten._fused_adamw_.default, aten._fused_sgd_.default, aten._fused_adagrad_.default,
    )},
}
