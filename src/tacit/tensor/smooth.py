"""Rows of exponentials, logarithms, roots, quotients and smooth activations. Mathematics and bounds: tacit.functions.

Arguments of roots, logarithms and quotients keep their guard bits: a variance plus 1e-5 is more than one unit then.
Forward rows of GELU and SiLU remember their slope for the backward row: both come from one comparison.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from tacit.functions import curves, exponential, logarithm, reciprocal, roots
from tacit.protocols import Shares
from tacit.ring import kernels
from tacit.tensor import linear
from tacit.tensor.cell import SLOPE
from tacit.tensor.operands import Number, Operand, as_number, cell_of, made, refuse, spread, whole
from tacit.tensor.secret import SecretTensor

_LOG_2 = math.log(2.0)


# -- exponentials and logarithms ---------------------------------------------------------------------------------------


def exp(x: SecretTensor) -> SecretTensor:
    """e^x; 0 far on the left, and the largest value that the format has room for far on the right."""
    return _curve(x, exponential.exp)


def exp2(x: SecretTensor) -> SecretTensor:
    """2^x."""
    return exp(linear.mul(x, _LOG_2))


def expm1(x: SecretTensor) -> SecretTensor:
    """e^x - 1."""
    return linear.sub(exp(x), 1)


def log(x: SecretTensor) -> SecretTensor:
    """The natural logarithm; of 0 and less, that of the smallest positive value."""
    return _of_positive(x, logarithm.log)


def log1p(x: SecretTensor) -> SecretTensor:
    """log(1 + x)."""
    return log(linear.add(x, 1))


def log2(x: SecretTensor) -> SecretTensor:
    """The logarithm to base 2."""
    return linear.mul(log(x), 1 / _LOG_2)


def log10(x: SecretTensor) -> SecretTensor:
    """The logarithm to base 10."""
    return linear.mul(log(x), 1 / math.log(10.0))


# -- roots, quotients, powers ------------------------------------------------------------------------------------------


def sqrt(x: SecretTensor) -> SecretTensor:
    """The square root; 0 for x <= 0."""
    return _of_positive(x, roots.sqrt)


def rsqrt(x: SecretTensor) -> SecretTensor:
    """1 / sqrt(x), for x > 0."""
    return _of_positive(x, roots.rsqrt)


def inverse(x: SecretTensor) -> SecretTensor:
    """1 / x, for x of either sign."""
    return _over(1, x, _label(x))


def div(x: Operand, y: Operand) -> SecretTensor:
    """x / y. For a public y a product with 1 / y; by a power of two without any message."""
    if not isinstance(y, SecretTensor):
        return linear.div(x, y)
    dtype = torch.result_type(x, y)
    return _over(x, y, dtype if dtype.is_floating_point else torch.get_default_dtype())


def power(x: SecretTensor, exponent: Number) -> SecretTensor:
    """x ** n: by squaring for whole n, by roots for multiples of 1/2, else exp(n log x) for x >= 0."""
    n = float(exponent)
    if not math.isfinite(n):
        raise refuse(f"cannot raise a secret to the power {exponent}", "use a finite exponent")
    if n.is_integer() and n >= 0:
        return linear.pow_scalar(x, exponent)
    if not x.is_floating_point() and not isinstance(exponent, float):
        raise refuse(f"cannot raise integers to the power {exponent}, as torch cannot", "cast them to float first")
    if n.is_integer():
        return inverse(linear.pow_scalar(x, -n))
    if n == -0.5:
        return rsqrt(x)
    if (2 * n).is_integer() and n > 0:
        root = sqrt(x)
        return root if n == 0.5 else linear.mul(linear.pow_scalar(x, n - 0.5), root)
    return exp(linear.mul(log(x), n))


def power_of_public(base: Number, exponent: SecretTensor) -> SecretTensor:
    """b ** x for a public b > 0."""
    if not base > 0:
        raise refuse(f"cannot raise {base} to a secret power", "the base must be positive")
    return exp(linear.mul(exponent, math.log(base)))


def addcdiv(x: Operand, y: Operand, z: Operand, *, value: Number = 1) -> SecretTensor:
    """x + value * y / z."""
    secret = isinstance(y, SecretTensor) or isinstance(z, SecretTensor)
    return linear.add(x, div(y, z) if secret else torch.as_tensor(y) / z, alpha=value)


def vector_norm(
    x: SecretTensor,
    ord: Number = 2,
    dim: list[int] | None = None,
    keepdim: bool = False,
    *,
    dtype: torch.dtype | None = None,
) -> SecretTensor:
    """The root of the sum of squares, over all entries or some dimensions."""
    if ord != 2 or dtype not in (None, x.dtype):
        raise refuse(f"a norm of order {ord} has no row", "use the Euclidean norm, or sum x.abs()")
    return sqrt(linear.sum_dims(linear.mul(x, x), dim, keepdim))


# -- activations -------------------------------------------------------------------------------------------------------


def tanh(x: SecretTensor) -> SecretTensor:
    """The hyperbolic tangent."""
    return _curve(x, curves.tanh)


def tanh_backward(grad: Operand, output: Operand) -> SecretTensor:
    """grad * (1 - y^2)."""
    slope = linear.rsub(linear.mul(output, output), 1) if isinstance(output, SecretTensor) else 1 - output * output
    return linear.mul(grad, slope)


def erf(x: SecretTensor) -> SecretTensor:
    """The error function."""
    return _curve(x, curves.erf)


def gelu(x: SecretTensor, *, approximate: str = "none") -> SecretTensor:
    """x times the normal distribution function, or torch's form of it by tanh."""
    # Its slope is looked up beside it where a backward pass may ask for one.
    if not x.requires_grad:
        return _curve(x, partial(curves.gelu, approximate=approximate))
    return _with_slope(x, partial(curves.gelu_and_slope, approximate=approximate), approximate)


def gelu_backward(grad: Operand, x: Operand, *, approximate: str = "none") -> SecretTensor:
    """The gradient times the slope that the forward row remembered."""
    return _sloped(grad, x, partial(curves.gelu_slope, approximate=approximate), approximate)


def silu(x: SecretTensor) -> SecretTensor:
    """x times its sigmoid."""
    return _with_slope(x, curves.silu_and_slope, "silu") if x.requires_grad else _curve(x, curves.silu)


def silu_backward(grad: Operand, x: Operand) -> SecretTensor:
    """The gradient times the slope that the forward row remembered."""
    return _sloped(grad, x, curves.silu_slope, "silu")


# -- how ---------------------------------------------------------------------------------------------------------------


def _label(x: SecretTensor) -> torch.dtype:
    return x.dtype if x.is_floating_point() else torch.get_default_dtype()


def _curve(x: SecretTensor, function: Callable[..., Shares]) -> SecretTensor:
    """A function of values in the job's format."""
    x = whole(x)
    context = x._cell.context
    result = function(context.protocol, x._cell.at(context.frac_bits), context.frac_bits)
    return made(context, result, context.frac_bits, _label(x))


def _of_positive(x: SecretTensor, function: Callable[..., Shares]) -> SecretTensor:
    """A function of values with whatever fraction bits they have; the result is in the job's format."""
    x = whole(x)
    context = x._cell.context
    shares, bits = x._cell.shares, x._cell.frac_bits
    if bits > context.guarded_bits:
        shares, bits = x._cell.at(context.guarded_bits), context.guarded_bits
    return made(context, function(context.protocol, shares, bits, context.frac_bits), context.frac_bits, _label(x))


def _over(x: Operand, y: SecretTensor, dtype: torch.dtype) -> SecretTensor:
    """x / y: the inverse with guard bits, then a product that drops them."""
    y = whole(y)
    context, cell = y._cell.context, y._cell
    protocol, frac = context.protocol, context.frac_bits
    bits = min(cell.frac_bits, context.guarded_bits)
    number = as_number(x)
    guard = 0 if number == 1 else reciprocal.default_guard_bits(frac)
    found = reciprocal.reciprocal(protocol, cell.at(bits), bits, frac + guard - bits)
    if number == 1:
        return made(context, found, frac, dtype)
    over = made(context, found, frac + guard, dtype)
    if cell_of(x) is None:
        product = linear.mul(over, x)
        return made(context, product._cell.at(frac), frac, dtype)
    numerator, have = cell_of(whole(x)).settled()  # type: ignore[union-attr]
    left, right = spread(numerator, found)
    shares = protocol.product_truncated(kernels.mul, left, right, have + guard)
    return made(context, shares, frac, dtype)


def _with_slope(x: SecretTensor, both: Callable[..., list[Shares]], which: str) -> SecretTensor:
    context = x._cell.context
    value, slope = both(context.protocol, x._cell.at(context.frac_bits), context.frac_bits)
    # Kept with the argument: that is what torch saves for the backward row.
    x._cell.remember(SLOPE, (which, made(context, slope, context.frac_bits, x.dtype)))
    return made(context, value, context.frac_bits, x.dtype)


def _sloped(grad: Operand, x: Operand, slope: Callable[..., Shares], which: str) -> SecretTensor:
    cell = cell_of(x)
    if cell is None:
        raise refuse("the slope of a public tensor under a secret gradient has no row", "make the activation secret")
    assert isinstance(x, SecretTensor)
    known: tuple[str, Any] | None = cell.recall(SLOPE)
    found = known[1] if known is not None and known[0] == which else _curve(x, slope)
    return linear.mul(grad, found)

