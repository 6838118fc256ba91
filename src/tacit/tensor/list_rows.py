"""The lines of the table for lists of tensors: what optimisers call for all their parameters at once."""

from __future__ import annotations

from typing import Any

import torch

from tacit.tensor import foreach, linear, moments, nonlinear, smooth
from tacit.tensor.row import Row

aten = torch.ops.aten

_div = moments.aware(smooth.div, moments.divided)
_sqrt = moments.aware(smooth.sqrt, moments.rooted)
_addcdiv = moments.aware(smooth.addcdiv, moments.plus_quotient)
_maximum = moments.aware(nonlinear.maximum, moments.largest)

#: Name without `_foreach_`, its overloads, the row that each entry takes, units.
_FAMILIES: tuple[tuple[str, tuple[str, ...], Any, float], ...] = (
    ("add", ("Scalar", "List", "ScalarList", "Tensor"), moments.add, 1),
    ("sub", ("Scalar", "List", "ScalarList"), linear.sub, 1),
    ("mul", ("Scalar", "List", "ScalarList", "Tensor"), moments.mul, 2),
    ("div", ("Scalar", "List", "ScalarList", "Tensor"), _div, 3),
    ("addcmul", ("Scalar", "ScalarList"), foreach.valued(moments.addcmul), 2),
    ("addcdiv", ("Scalar", "ScalarList"), foreach.valued(_addcdiv), 3),
    ("lerp", ("Scalar", "ScalarList"), linear.lerp, 1),
    ("maximum", ("Scalar", "List"), _maximum, 1),
    ("minimum", ("Scalar", "List"), nonlinear.minimum, 1),
    ("clamp_max", ("Scalar", "List"), nonlinear.minimum, 1),
    ("clamp_min", ("Scalar", "List"), nonlinear.maximum, 1),
    ("pow", ("Scalar",), smooth.power, 2),
    ("neg", ("default",), linear.neg, 0),
    ("abs", ("default",), nonlinear.absolute, 0),
    ("sign", ("default",), nonlinear.sign, 0),
    ("sqrt", ("default",), _sqrt, 2),
    ("rsqrt", ("default",), smooth.rsqrt, 2),
    ("reciprocal", ("default",), smooth.inverse, 2),
)

LISTS: dict[Any, Row] = {
    **{getattr(getattr(aten, f"_foreach_{name}"), overload): Row(foreach.each(row), "list", units)
       for name, overloads, row, units in _FAMILIES for overload in overloads},
    **{getattr(getattr(aten, f"_foreach_{name}_"), overload): Row(foreach.each_in_place(row), "list", units)
       for name, overloads, row, units in _FAMILIES for overload in overloads},
    # Not a list, but like one it must see its operands as they are: a sum of squares may be known to be 0 so far.
    aten.maximum.out: Row(moments.maximum_out, "list", units=1),
    aten._foreach_zero_.default: Row(foreach.zero_each, "list"),
    aten._foreach_copy_.default: Row(foreach.copy_each, "list"),
}
