"""The table: what each aten overload means on secret tensors. A row computes; a refusal says why not, and what instead.

Views are not listed: one rule serves them all (shape.view). Everything else that is not listed is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from tacit.tensor import linear, losses, nonlinear, shape

aten = torch.ops.aten


@dataclass(frozen=True)
class Row:
    """How an overload is answered. `kind` groups rows in the generated page; `units` is the error bound of the row:
    results differ from exact arithmetic on the shared inputs by at most so many steps of 2^-frac_bits per unit of
    magnitude of the operands."""

    run: Callable[..., Any]
    kind: str
    units: float = 0.0


@dataclass(frozen=True)
class Refusal:
    """Why an overload has no meaning here, and what to do instead."""

    reason: str
    instead: str


_REVEAL = "tacit.reveal(x, to=..., name=...) opens a value to a party, if the job files allow it"
_VALUE = "it asks for the value of a secret tensor"
_SHAPE = "the shape of its output would reveal the values"
_MASK = "keep a 0/1 mask and multiply; or reveal the mask if positions may be known"

_MOVES = (
    aten.flip.default, aten.roll.default, aten.repeat.default, aten.index_select.default, aten.gather.default,
    aten.constant_pad_nd.default, aten.tril.default, aten.triu.default,
)

OPS: dict[Any, Row | Refusal] = {
    # -- structure ----------------------------------------------------------------------------------------------
    aten.detach.default: Row(shape.alias, "view"),
    aten.alias.default: Row(shape.alias, "view"),
    **{op: Row(shape.view_in_place(op), "view") for op in (
        aten.transpose_.default, aten.squeeze_.default, aten.squeeze_.dim, aten.unsqueeze_.default, aten.t_.default,
    )},
    **{op: Row(shape.each_component(op), "move") for op in _MOVES},
    aten.cat.default: Row(shape.cat, "move"),
    aten.stack.default: Row(shape.stack, "move"),
    aten.clone.default: Row(shape.clone, "move"),
    aten._to_copy.default: Row(shape.to_copy, "move"),
    aten.copy_.default: Row(shape.copy_, "move"),
    aten.index.Tensor: Row(shape.index, "move"),
    aten.index_put.default: Row(shape.index_put, "move"),
    aten._index_put_impl_.default: Row(linear.in_place(shape.index_put), "move"),
    aten.index_put_.default: Row(linear.in_place(shape.index_put), "move"),
    aten.select_backward.default: Row(shape.select_backward, "move"),
    aten.slice_backward.default: Row(shape.slice_backward, "move"),
    # -- constants ----------------------------------------------------------------------------------------------
    aten.ones_like.default: Row(shape.ones_like, "constant"),
    aten.zeros_like.default: Row(shape.filled(0), "constant"),
    aten.empty_like.default: Row(shape.filled(0), "constant"),
    aten.full_like.default: Row(shape.filled(None), "constant"),
    aten.new_zeros.default: Row(shape.new_filled(0), "constant"),
    aten.new_empty.default: Row(shape.new_filled(0), "constant"),
    aten.new_ones.default: Row(shape.new_filled(1), "constant"),
    aten.new_full.default: Row(shape.new_filled(None), "constant"),
    aten.new_empty_strided.default: Row(shape.new_empty_strided, "constant"),
    aten.fill_.Scalar: Row(shape.fill_, "constant"),
    aten.fill_.Tensor: Row(shape.fill_, "constant"),
    aten.zero_.default: Row(shape.zero_, "constant"),
    # -- sums and scalings --------------------------------------------------------------------------------------
    aten.add.Tensor: Row(linear.add, "sum", units=1),
    aten.add.Scalar: Row(linear.add, "sum", units=1),
    aten.add_.Tensor: Row(linear.in_place(linear.add), "sum", units=1),
    aten.add_.Scalar: Row(linear.in_place(linear.add), "sum", units=1),
    aten.sub.Tensor: Row(linear.sub, "sum", units=1),
    aten.sub.Scalar: Row(linear.sub, "sum", units=1),
    aten.sub_.Tensor: Row(linear.in_place(linear.sub), "sum", units=1),
    aten.sub_.Scalar: Row(linear.in_place(linear.sub), "sum", units=1),
    aten.rsub.Scalar: Row(linear.rsub, "sum", units=1),
    aten.rsub.Tensor: Row(linear.rsub, "sum", units=1),
    aten.neg.default: Row(linear.neg, "sum"),
    aten.neg_.default: Row(linear.in_place(linear.neg), "sum"),
    aten.sum.default: Row(linear.sum_all, "sum"),
    aten.sum.dim_IntList: Row(linear.sum_dims, "sum"),
    aten.mean.default: Row(linear.mean_all, "sum", units=1),
    aten.mean.dim: Row(linear.mean_dims, "sum", units=1),
    # -- products -----------------------------------------------------------------------------------------------
    aten.mul.Tensor: Row(linear.mul, "product", units=1),
    aten.mul.Scalar: Row(linear.mul, "product", units=1),
    aten.mul_.Tensor: Row(linear.in_place(linear.mul), "product", units=1),
    aten.mul_.Scalar: Row(linear.in_place(linear.mul), "product", units=1),
    aten.div.Tensor: Row(linear.div, "product", units=1),
    aten.div.Scalar: Row(linear.div, "product", units=1),
    aten.div_.Tensor: Row(linear.in_place(linear.div), "product", units=1),
    aten.div_.Scalar: Row(linear.in_place(linear.div), "product", units=1),
    aten.pow.Tensor_Scalar: Row(linear.pow_scalar, "product", units=2),
    aten.mm.default: Row(linear.mm, "product", units=1),
    aten.bmm.default: Row(linear.mm, "product", units=1),
    aten.mv.default: Row(linear.mv, "product", units=1),
    aten.dot.default: Row(linear.dot, "product", units=1),
    aten.addmm.default: Row(linear.addmm, "product", units=1),
    # -- comparisons --------------------------------------------------------------------------------------------
    aten.lt.Scalar: Row(nonlinear.less, "comparison"),
    aten.lt.Tensor: Row(nonlinear.less, "comparison"),
    aten.le.Scalar: Row(nonlinear.less_equal, "comparison"),
    aten.le.Tensor: Row(nonlinear.less_equal, "comparison"),
    aten.gt.Scalar: Row(nonlinear.greater, "comparison"),
    aten.gt.Tensor: Row(nonlinear.greater, "comparison"),
    aten.ge.Scalar: Row(nonlinear.greater_equal, "comparison"),
    aten.ge.Tensor: Row(nonlinear.greater_equal, "comparison"),
    aten.eq.Scalar: Row(nonlinear.equal, "comparison"),
    aten.eq.Tensor: Row(nonlinear.equal, "comparison"),
    aten.ne.Scalar: Row(nonlinear.not_equal, "comparison"),
    aten.ne.Tensor: Row(nonlinear.not_equal, "comparison"),
    aten.logical_not.default: Row(nonlinear.logical_not, "comparison"),
    aten.bitwise_not.default: Row(nonlinear.logical_not, "comparison"),
    aten.logical_and.default: Row(nonlinear.logical_and, "comparison"),
    aten.bitwise_and.Tensor: Row(nonlinear.logical_and, "comparison"),
    aten.logical_or.default: Row(nonlinear.logical_or, "comparison"),
    aten.bitwise_or.Tensor: Row(nonlinear.logical_or, "comparison"),
    aten.all.default: Row(nonlinear.every, "comparison"),
    aten.any.default: Row(nonlinear.some, "comparison"),
    aten.where.self: Row(nonlinear.where, "comparison"),
    aten.masked_fill.Scalar: Row(nonlinear.masked_fill, "comparison"),
    aten.masked_fill.Tensor: Row(nonlinear.masked_fill, "comparison"),
    aten.relu.default: Row(nonlinear.relu, "comparison"),
    aten.relu_.default: Row(nonlinear.relu_, "comparison"),
    aten.threshold_backward.default: Row(nonlinear.threshold_backward, "comparison"),
    aten.abs.default: Row(nonlinear.absolute, "comparison"),
    aten.sgn.default: Row(nonlinear.sign, "comparison"),
    aten.sign.default: Row(nonlinear.sign, "comparison"),
    aten.clamp.default: Row(nonlinear.clamp, "comparison"),
    aten.maximum.default: Row(nonlinear.maximum, "comparison"),
    aten.minimum.default: Row(nonlinear.minimum, "comparison"),
    aten.isnan.default: Row(nonlinear.never, "comparison"),
    aten.isinf.default: Row(nonlinear.never, "comparison"),
    # -- curves and losses --------------------------------------------------------------------------------------
    aten.sigmoid.default: Row(nonlinear.sigmoid, "curve", units=3),
    aten.sigmoid_backward.default: Row(nonlinear.sigmoid_backward, "curve", units=2),
    aten.softplus.default: Row(nonlinear.softplus, "curve", units=3),
    aten.mse_loss.default: Row(losses.mse_loss, "loss", units=2),
    aten.mse_loss_backward.default: Row(losses.mse_loss_backward, "loss", units=2),
    aten.binary_cross_entropy_with_logits.default: Row(losses.binary_cross_entropy_with_logits, "loss", units=5),
    # -- refusals -----------------------------------------------------------------------------------------------
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
    aten.bernoulli_.float: Refusal("dropout has no row yet", "leave dropout out, or set its probability to 0"),
    aten.multinomial.default: Refusal(_VALUE, "sample at the party that may see the values"),
}
