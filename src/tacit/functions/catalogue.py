"""What is promised of every function of secret numbers: one record each. Tests hold functions to their records.

docs/generated/functions.md prints the records with measured errors beside them (tools/functions_page.py).
Not here: comparisons and order, which are exact; how a function is computed (its module).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from tacit.functions import curves, exponential, logarithm, reciprocal, roots, softmax
from tacit.protocols import Shares


@dataclass(frozen=True)
class Bound:
    """|error| <= units * 2^-f + relative * |y|; where `larger`, the larger of the two instead of their sum."""

    units: float
    relative: float = 0.0
    larger: bool = False

    def allowed(self, result: Tensor, frac_bits: int) -> Tensor:
        """The error that is allowed beside this exact result, in units."""
        of_result = result.abs() * 2.0**frac_bits * self.relative
        return of_result.clamp(min=self.units) if self.larger else of_result + self.units

    def __str__(self) -> str:
        if not self.relative:
            return f"{self.units:g}"
        exponent = math.floor(math.log2(self.relative))
        lead = self.relative / 2.0**exponent
        size = f"2^{exponent} y" if lead == 1 else f"{lead:g} * 2^{exponent} y"
        return f"the larger of {self.units:g} and {size}" if self.larger else f"{self.units:g} + {size}"


Range = tuple[float, float]
EVERYWHERE: Range = (-math.inf, math.inf)


@dataclass(frozen=True)
class Promise:
    """A function, what it should be, where, how exactly, and in how many rounds."""

    name: str
    formula: str
    call: Callable[..., Shares]  # call(protocol, *inputs, frac_bits)
    reference: Callable[..., Tensor]  # the same on float64
    bound: Callable[[int], Bound]  # by fraction bits
    rounds: int  # in masked
    outside: str  # what comes back beyond the domain
    #: Where the bound holds, by fraction bits: a range for each input. Infinite: to the end of what encoding accepts.
    domain: Callable[[int], tuple[Range, ...]] = lambda frac_bits: (EVERYWHERE,)
    #: Of one input, for a function along an axis.
    shape: tuple[int, ...] = ()


def _by_width(to_16: float, to_20: float, to_24: float) -> Callable[[int], Bound]:
    """Units up to 16, 20 and 24 fraction bits: 1 for rounding, the rest for the polynomials and their coarse terms."""
    return lambda frac_bits: Bound(to_16 if frac_bits <= 16 else to_20 if frac_bits <= 20 else to_24)


def _slope(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def slope(x: Tensor) -> Tensor:
        with torch.enable_grad():
            at = x.detach().clone().requires_grad_(True)
            (found,) = torch.autograd.grad(function(at).sum(), at)
        return found

    return slope


_gelu_tanh = partial(functional.gelu, approximate="tanh")


def _exp_domain(frac_bits: int) -> tuple[Range, ...]:
    return ((-math.inf, exponential.highest(frac_bits)),)


def _positive(frac_bits: int) -> tuple[Range, ...]:
    return ((2.0**-frac_bits, math.inf),)


def _of_quotient(frac_bits: int) -> Bound:
    """For |a| <= 8, which multiplies what the reciprocal is off by."""
    return Bound(1.1 + 8 * 2.0 ** -reciprocal.default_guard_bits(frac_bits), 2.0**-25)


PROMISES = (
    Promise("sigmoid", "1 / (1 + exp(-x))", curves.sigmoid, torch.sigmoid, _by_width(1.4, 4, 12), 4, "0 or 1"),
    Promise("tanh", "tanh(x)", curves.tanh, torch.tanh, _by_width(1.7, 7, 22), 4, "-1 or 1"),
    Promise("erf", "erf(x)", curves.erf, torch.special.erf, _by_width(1.1, 1.7, 3), 4, "-1 or 1"),
    Promise("gelu", "x (1 + erf(x / sqrt 2)) / 2", curves.gelu, functional.gelu, _by_width(1.3, 3.5, 9), 4, "0 or x"),
    Promise(
        "gelu, tanh", "x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2",
        lambda p, x, f: curves.gelu(p, x, f, "tanh"), _gelu_tanh, _by_width(1.3, 3.5, 9), 4, "0 or x",
    ),
    Promise(
        "gelu_slope", "derivative of gelu",
        curves.gelu_slope, _slope(functional.gelu), _by_width(1.6, 5.2, 15), 4, "0 or 1",
    ),
    Promise(
        "gelu_slope, tanh", "derivative of gelu, tanh",
        lambda p, x, f: curves.gelu_slope(p, x, f, "tanh"), _slope(_gelu_tanh), _by_width(1.6, 5.2, 15), 4, "0 or 1",
    ),
    Promise("silu", "x / (1 + exp(-x))", curves.silu, functional.silu, _by_width(1.9, 12, 40), 4, "0 or x"),
    Promise(
        "silu_slope", "derivative of silu", curves.silu_slope, _slope(functional.silu), _by_width(2.4, 15.5, 51), 4,
        "0 or 1",
    ),
    Promise(
        "softplus", "log(1 + exp(x))", curves.softplus, lambda x: torch.logaddexp(x, torch.zeros_like(x)),
        _by_width(1.4, 4, 12), 4, "0 or x",
    ),
    Promise(
        "exp", "exp(x)", exponential.exp, torch.exp, lambda f: Bound(1.1, 1.1 * 2.0**-f, larger=True), 6,
        "0; above, its value at the end of the domain and a quarter", _exp_domain,
    ),
    Promise(
        "exp_of_negative", "exp(x) for x <= 0", exponential.exp_of_negative, torch.exp,
        lambda f: Bound(1.1, 2.0 ** -(f + 2)), 4, "0; meaningless for x > 0", lambda f: ((-math.inf, 0.0),),
    ),
    Promise(
        "reciprocal", "1 / x", reciprocal.reciprocal, torch.reciprocal, lambda f: Bound(1.1, 2.0**-25), 20,
        "1 / 0 is 2^(f - 2)", _positive,
    ),
    Promise(
        "divide", "a / b", reciprocal.divide, torch.div, _of_quotient, 22, "a 2^(f - 2) for b = 0",
        lambda f: ((-8.0, 8.0), (2.0**-10, math.inf)),
    ),
    Promise(
        "rsqrt", "1 / sqrt(x)", roots.rsqrt, torch.rsqrt, lambda f: Bound(1.5, 2.0**-20), 12,
        "that of the smallest positive number", _positive,
    ),
    Promise("sqrt", "sqrt(x)", roots.sqrt, torch.sqrt, lambda f: Bound(1.5, 2.0**-20), 12, "0", _positive),
    Promise(
        "log", "log(x)", logarithm.log, torch.log, _by_width(1.2, 2, 16), 10, "that of the smallest positive number",
        _positive,
    ),
    Promise(
        "softmax", "exp(x) / sum(exp(x))", softmax.softmax, partial(torch.softmax, dim=-1), lambda f: Bound(1.2), 44,
        "the domain is everything", shape=(64,),
    ),
    Promise(
        "log_softmax", "log(softmax(x))", softmax.log_softmax, partial(torch.log_softmax, dim=-1),
        _by_width(1.4, 2, 16), 37, "the domain is everything", shape=(64,),
    ),
)
