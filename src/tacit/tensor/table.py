"""The table: what each aten overload means on secret tensors. A row computes; a refusal says why not, and what instead.

Whatever is not listed is refused by name, views too: `view.dtype` would read shares as other numbers.
"""

from __future__ import annotations

from typing import Any

import torch

from tacit.tensor import averages, constants, convolution, linear, logic, moments, nonlinear, shape
from tacit.tensor.list_rows import LISTS
from tacit.tensor.refusals import REFUSALS
from tacit.tensor.row import Refusal as Refusal
from tacit.tensor.row import Row as Row
from tacit.tensor.smooth_rows import SMOOTH

aten = torch.ops.aten


_VIEWS = (
    aten.as_strided.default, aten.diagonal.default, aten.expand.default, aten.permute.default, aten.select.int,
    aten.slice.Tensor, aten.split.Tensor, aten.split_with_sizes.default, aten.squeeze.default, aten.squeeze.dim,
    aten.squeeze.dims, aten.t.default, aten.transpose.int, aten.unbind.int, aten.unfold.default,
    aten.unsqueeze.default, aten.view.default, aten._unsafe_view.default, aten._reshape_alias.default,
)
_VIEWS_IN_PLACE = (
    aten.transpose_.default, aten.squeeze_.default, aten.squeeze_.dim, aten.squeeze_.dims, aten.unsqueeze_.default,
    aten.t_.default,
)
_MOVES = (
    aten.flip.default, aten.roll.default, aten.repeat.default, aten.index_select.default, aten.gather.default,
    aten.tril.default, aten.triu.default, aten.diag_embed.default, aten.diagonal_backward.default,
    aten.unfold_backward.default,
)

OPS: dict[Any, Row | Refusal] = {
    # -- structure ----------------------------------------------------------------------------------------------
    aten.detach.default: Row(shape.alias, "view"),
    aten.alias.default: Row(shape.alias, "view"),
    **{op: Row(shape.view(op), "view") for op in _VIEWS},
    **{op: Row(shape.view_in_place(op), "view") for op in _VIEWS_IN_PLACE},
    **{op: Row(shape.each_component(op), "move") for op in _MOVES},
    aten.constant_pad_nd.default: Row(shape.pad, "move"),
    aten.cat.default: Row(shape.cat, "move"),
    aten.stack.default: Row(shape.stack, "move"),
    **{op: Row(shape.unsafe_split(op), "move") for op in (
        aten.unsafe_split.Tensor, aten.unsafe_split_with_sizes.default,
    )},
    aten.clone.default: Row(shape.clone, "move"),
    aten._to_copy.default: Row(shape.to_copy, "move"),
    aten.copy_.default: Row(shape.copy_, "move"),
    aten.index.Tensor: Row(shape.index, "move"),
    aten.index_put.default: Row(shape.index_put, "move"),
    aten._index_put_impl_.default: Row(linear.in_place(shape.index_put), "move"),
    aten.index_put_.default: Row(linear.in_place(shape.index_put), "move"),
    aten.index_add.default: Row(shape.index_add, "move"),
    aten.index_add_.default: Row(linear.in_place(shape.index_add), "move"),
    aten.scatter_add.default: Row(shape.scatter_add, "move"),
    aten.scatter_add_.default: Row(linear.in_place(shape.scatter_add), "move"),
    aten.select_backward.default: Row(shape.select_backward, "move"),
    aten.slice_backward.default: Row(shape.slice_backward, "move"),
    # -- constants ----------------------------------------------------------------------------------------------
    aten.ones_like.default: Row(constants.filled(1), "constant"),
    aten.zeros_like.default: Row(constants.filled(0), "constant"),
    aten.empty_like.default: Row(constants.filled(0), "constant"),
    aten.full_like.default: Row(constants.filled(None), "constant"),
    aten.new_zeros.default: Row(constants.new_filled(0), "constant"),
    aten.new_empty.default: Row(constants.new_filled(0), "constant"),
    aten.new_ones.default: Row(constants.new_filled(1), "constant"),
    aten.new_full.default: Row(constants.new_filled(None), "constant"),
    aten.new_empty_strided.default: Row(constants.new_empty_strided, "constant"),
    aten.fill_.Scalar: Row(constants.fill_, "constant"),
    aten.fill_.Tensor: Row(constants.fill_, "constant"),
    aten.zero_.default: Row(constants.zero_, "constant"),
    aten.bernoulli_.float: Row(constants.bernoulli_, "constant"),
    aten.isnan.default: Row(logic.never, "constant"),
    aten.isinf.default: Row(logic.never, "constant"),
    # -- sums and scalings --------------------------------------------------------------------------------------
    aten.add.Tensor: Row(moments.add, "sum", units=1),
    aten.add.Scalar: Row(moments.add, "sum", units=1),
    aten.add_.Tensor: Row(linear.in_place(moments.add), "sum", units=1),
    aten.add_.Scalar: Row(linear.in_place(moments.add), "sum", units=1),
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
    aten.avg_pool2d.default: Row(averages.avg_pool2d, "sum", units=1),
    aten.avg_pool2d_backward.default: Row(averages.avg_pool2d_backward, "sum", units=1),
    aten._adaptive_avg_pool2d.default: Row(averages.adaptive_avg_pool2d, "sum", units=1),
    aten._adaptive_avg_pool2d_backward.default: Row(averages.adaptive_avg_pool2d_backward, "sum", units=1),
    aten.cumsum.default: Row(linear.cumsum, "sum"),
    # -- products -----------------------------------------------------------------------------------------------
    aten.mul.Tensor: Row(moments.mul, "product", units=2),
    aten.mul.Scalar: Row(moments.mul, "product", units=2),
    aten.mul_.Tensor: Row(linear.in_place(moments.mul), "product", units=2),
    aten.mul_.Scalar: Row(linear.in_place(moments.mul), "product", units=2),
    aten.addcmul.default: Row(moments.addcmul, "product", units=2),
    aten.addcmul_.default: Row(linear.in_place(moments.addcmul), "product", units=2),
    aten.lerp.Scalar: Row(linear.lerp, "product", units=1),
    aten.lerp_.Scalar: Row(linear.in_place(linear.lerp), "product", units=1),
    aten.var.correction: Row(linear.variance, "product", units=3),
    aten.mm.default: Row(linear.mm, "product", units=1),
    aten.bmm.default: Row(linear.mm, "product", units=1),
    aten.mv.default: Row(linear.mv, "product", units=1),
    aten.dot.default: Row(linear.dot, "product", units=1),
    aten.addmm.default: Row(linear.plus_product(linear.mm), "product", units=2),
    aten.addmv.default: Row(linear.plus_product(linear.mv), "product", units=2),
    aten.baddbmm.default: Row(linear.plus_product(linear.mm), "product", units=2),
    aten.convolution.default: Row(convolution.convolution, "product", units=2),
    aten.convolution_backward.default: Row(convolution.convolution_backward, "product", units=2),
    # -- comparisons --------------------------------------------------------------------------------------------
    aten.lt.Scalar: Row(logic.less, "comparison"),
    aten.lt.Tensor: Row(logic.less, "comparison"),
    aten.le.Scalar: Row(logic.less_equal, "comparison"),
    aten.le.Tensor: Row(logic.less_equal, "comparison"),
    aten.gt.Scalar: Row(logic.greater, "comparison"),
    aten.gt.Tensor: Row(logic.greater, "comparison"),
    aten.ge.Scalar: Row(logic.greater_equal, "comparison"),
    aten.ge.Tensor: Row(logic.greater_equal, "comparison"),
    aten.eq.Scalar: Row(logic.equal, "comparison"),
    aten.eq.Tensor: Row(logic.equal, "comparison"),
    aten.ne.Scalar: Row(logic.not_equal, "comparison"),
    aten.ne.Tensor: Row(logic.not_equal, "comparison"),
    aten.logical_not.default: Row(logic.logical_not, "comparison"),
    aten.bitwise_not.default: Row(logic.logical_not, "comparison"),
    aten.logical_and.default: Row(logic.logical_and, "comparison"),
    aten.logical_or.default: Row(logic.logical_or, "comparison"),
    aten.logical_xor.default: Row(logic.logical_xor, "comparison"),
    **{op: Row(logic.bitwise(logic.logical_and), "comparison") for op in (
        aten.bitwise_and.Tensor, aten.bitwise_and.Scalar,
    )},
    **{op: Row(logic.bitwise(logic.logical_or), "comparison") for op in (
        aten.bitwise_or.Tensor, aten.bitwise_or.Scalar,
    )},
    **{op: Row(logic.bitwise(logic.logical_xor), "comparison") for op in (
        aten.bitwise_xor.Tensor, aten.bitwise_xor.Scalar,
    )},
    aten.logical_and_.default: Row(linear.in_place(logic.logical_and), "comparison"),
    aten.logical_or_.default: Row(linear.in_place(logic.logical_or), "comparison"),
    aten.logical_xor_.default: Row(linear.in_place(logic.logical_xor), "comparison"),
    aten.logical_not_.default: Row(linear.in_place(logic.logical_not), "comparison"),
    aten.bitwise_and_.Tensor: Row(linear.in_place(logic.bitwise(logic.logical_and)), "comparison"),
    aten.bitwise_or_.Tensor: Row(linear.in_place(logic.bitwise(logic.logical_or)), "comparison"),
    aten.bitwise_xor_.Tensor: Row(linear.in_place(logic.bitwise(logic.logical_xor)), "comparison"),
    **{op: Row(logic.every, "comparison") for op in (aten.all.default, aten.all.dim, aten.all.dims)},
    **{op: Row(logic.some, "comparison") for op in (aten.any.default, aten.any.dim, aten.any.dims)},
    aten.where.self: Row(logic.where, "comparison", units=1),
    aten.masked_fill.Scalar: Row(logic.masked_fill, "comparison", units=1),
    aten.masked_fill.Tensor: Row(logic.masked_fill, "comparison", units=1),
    aten.masked_fill_.Scalar: Row(linear.in_place(logic.masked_fill), "comparison", units=1),
    aten.masked_fill_.Tensor: Row(linear.in_place(logic.masked_fill), "comparison", units=1),
    aten.relu.default: Row(nonlinear.relu, "comparison"),
    aten.relu_.default: Row(nonlinear.relu_, "comparison"),
    aten.threshold_backward.default: Row(nonlinear.threshold_backward, "comparison"),
    aten.threshold.default: Row(nonlinear.threshold, "comparison", units=1),
    aten.threshold_.default: Row(linear.in_place(nonlinear.threshold), "comparison", units=1),
    aten.leaky_relu.default: Row(nonlinear.leaky_relu, "comparison", units=1),
    aten.leaky_relu_.default: Row(linear.in_place(nonlinear.leaky_relu), "comparison", units=1),
    aten.leaky_relu_backward.default: Row(nonlinear.leaky_relu_backward, "comparison", units=1),
    aten.hardtanh.default: Row(nonlinear.hardtanh, "comparison", units=1),
    aten.hardtanh_.default: Row(linear.in_place(nonlinear.hardtanh), "comparison", units=1),
    aten.hardtanh_backward.default: Row(nonlinear.hardtanh_backward, "comparison"),
    aten.abs.default: Row(nonlinear.absolute, "comparison"),
    aten.abs_.default: Row(linear.in_place(nonlinear.absolute), "comparison"),
    aten.sgn.default: Row(nonlinear.sign, "comparison"),
    aten.sign.default: Row(nonlinear.sign, "comparison"),
    aten.clamp.default: Row(nonlinear.clamp, "comparison", units=1),
    aten.clamp.Tensor: Row(nonlinear.clamp, "comparison", units=1),
    aten.clamp_.default: Row(linear.in_place(nonlinear.clamp), "comparison", units=1),
    aten.clamp_min.default: Row(nonlinear.maximum, "comparison", units=1),
    aten.clamp_min_.default: Row(linear.in_place(nonlinear.maximum), "comparison", units=1),
    aten.clamp_max.default: Row(nonlinear.minimum, "comparison", units=1),
    aten.clamp_max_.default: Row(linear.in_place(nonlinear.minimum), "comparison", units=1),
    aten.maximum.default: Row(moments.maximum, "comparison", units=1),
    aten.minimum.default: Row(nonlinear.minimum, "comparison", units=1),
    # -- what has a page of its own -----------------------------------------------------------------------------
    **SMOOTH,
    **LISTS,
    **REFUSALS,
}
