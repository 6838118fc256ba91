"""The lines of the table for curves, roots, quotients, maxima and losses."""

from __future__ import annotations

from typing import Any

import torch

from tacit.tensor import choosing, classes, linear, losses, moments, nonlinear, smooth
from tacit.tensor.row import Row

aten = torch.ops.aten

_div = moments.aware(smooth.div, moments.divided)
_sqrt = moments.aware(smooth.sqrt, moments.rooted)
_addcdiv = moments.aware(smooth.addcdiv, moments.plus_quotient)

#: Overload, its in-place twin, row, units: all of them functions of one secret.
_CURVES: tuple[tuple[Any, Any, Any, float], ...] = (
    (aten.exp, aten.exp_, smooth.exp, 2),
    (aten.exp2, aten.exp2_, smooth.exp2, 8),
    (aten.expm1, aten.expm1_, smooth.expm1, 2),
    (aten.log, aten.log_, smooth.log, 2),
    (aten.log1p, aten.log1p_, smooth.log1p, 2),
    (aten.log2, aten.log2_, smooth.log2, 4),
    (aten.log10, aten.log10_, smooth.log10, 2),
    (aten.sqrt, aten.sqrt_, _sqrt, 2),
    (aten.rsqrt, aten.rsqrt_, smooth.rsqrt, 2),
    (aten.reciprocal, aten.reciprocal_, smooth.inverse, 2),
    (aten.tanh, aten.tanh_, smooth.tanh, 2),
    (aten.erf, aten.erf_, smooth.erf, 2),
    (aten.gelu, aten.gelu_, smooth.gelu, 2),
    (aten.silu, aten.silu_, smooth.silu, 2),
    (aten.sigmoid, aten.sigmoid_, nonlinear.sigmoid, 4),
)

SMOOTH: dict[Any, Row] = {
    **{op.default: Row(row, "curve", units) for op, _, row, units in _CURVES},
    **{op.default: Row(linear.in_place(row), "curve", units) for _, op, row, units in _CURVES},
    aten.sigmoid_backward.default: Row(nonlinear.sigmoid_backward, "curve", units=2),
    aten.tanh_backward.default: Row(smooth.tanh_backward, "curve", units=2),
    aten.gelu_backward.default: Row(smooth.gelu_backward, "curve", units=3),
    aten.silu_backward.default: Row(smooth.silu_backward, "curve", units=3),
    aten.softplus.default: Row(nonlinear.softplus, "curve", units=4),
    aten.softplus_backward.default: Row(nonlinear.softplus_backward, "curve", units=4),
    aten.log_sigmoid_forward.default: Row(nonlinear.log_sigmoid, "curve", units=4),
    aten.log_sigmoid_backward.default: Row(nonlinear.log_sigmoid_backward, "curve", units=4),
    # -- quotients and powers ------------------------------------------------------------------------------------
    aten.div.Tensor: Row(_div, "product", units=3),
    aten.div.Scalar: Row(_div, "product", units=2),
    aten.div_.Tensor: Row(linear.in_place(_div), "product", units=3),
    aten.div_.Scalar: Row(linear.in_place(_div), "product", units=2),
    aten.addcdiv.default: Row(_addcdiv, "product", units=3),
    aten.addcdiv_.default: Row(linear.in_place(_addcdiv), "product", units=3),
    aten.pow.Tensor_Scalar: Row(smooth.power, "product", units=2),
    aten.pow_.Scalar: Row(linear.in_place(smooth.power), "product", units=2),
    aten.pow.Scalar: Row(smooth.power_of_public, "curve", units=8),
    aten.linalg_vector_norm.default: Row(smooth.vector_norm, "curve", units=3),
    # -- the largest ---------------------------------------------------------------------------------------------
    aten.max.dim: Row(choosing.max_dim, "largest"),
    aten.min.dim: Row(choosing.min_dim, "largest"),
    aten.max.default: Row(choosing.max_all, "largest"),
    aten.min.default: Row(choosing.min_all, "largest"),
    aten.amax.default: Row(choosing.amax, "largest"),
    aten.amin.default: Row(choosing.amin, "largest"),
    aten.argmax.default: Row(choosing.argmax, "largest"),
    aten.argmin.default: Row(choosing.argmin, "largest"),
    aten.scatter.src: Row(choosing.scatter, "largest"),
    aten.max_pool2d_with_indices.default: Row(choosing.max_pool2d, "largest"),
    aten.max_pool2d_with_indices_backward.default: Row(choosing.max_pool2d_backward, "largest"),
    # -- classes and losses --------------------------------------------------------------------------------------
    aten._softmax.default: Row(classes.softmax, "classes", units=2),
    aten._safe_softmax.default: Row(classes.safe_softmax, "classes", units=2),
    aten._softmax_backward_data.default: Row(classes.softmax_backward, "classes", units=4),
    aten._log_softmax.default: Row(classes.log_softmax, "classes", units=3),
    aten._log_softmax_backward_data.default: Row(classes.log_softmax_backward, "classes", units=4),
    aten.nll_loss_forward.default: Row(classes.nll_loss, "loss", units=3),
    aten.nll_loss_backward.default: Row(classes.nll_loss_backward, "loss", units=2),
    aten.nll_loss2d_forward.default: Row(classes.nll_loss, "loss", units=3),
    aten.nll_loss2d_backward.default: Row(classes.nll_loss_backward, "loss", units=2),
    aten.mse_loss.default: Row(losses.mse_loss, "loss", units=2),
    aten.mse_loss_backward.default: Row(losses.mse_loss_backward, "loss", units=2),
    aten.binary_cross_entropy_with_logits.default: Row(losses.binary_cross_entropy_with_logits, "loss", units=5),
}
