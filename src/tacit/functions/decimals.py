"""The curves themselves on decimals, in the precision of the caller's context: what tables are made from.

Only the four operations, square roots, exp and ln of `decimal`, which are rounded correctly on every machine.
Not here: tables and their integers (segments).
"""

from __future__ import annotations

from decimal import Decimal

PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459")
#: torch's constant in the form of GELU by tanh.
CUBIC = Decimal("0.044715")


def sigmoid(x: Decimal) -> Decimal:
    """1 / (1 + e^-x)."""
    return 1 / (1 + (-x).exp())


def tanh(x: Decimal) -> Decimal:
    """2 sigmoid(2x) - 1."""
    return 2 * sigmoid(2 * x) - 1


def softplus(x: Decimal) -> Decimal:
    """ln(1 + e^x)."""
    return (1 + x.exp()).ln()


def silu(x: Decimal) -> Decimal:
    """x sigmoid(x)."""
    return x * sigmoid(x)


def silu_slope(x: Decimal) -> Decimal:
    """The derivative of silu."""
    y = sigmoid(x)
    return y * (1 + x * (1 - y))


def erf(x: Decimal) -> Decimal:
    """2 / sqrt(pi) times the integral of e^(-s^2) from 0 to x."""
    # x + 2/3 x^3 + 4/15 x^5 + .., times e^(-x^2): all terms have one sign, so nothing cancels.
    square = 2 * x * x
    term = total = x
    order = 1
    while total + term != total:
        order += 2
        term = term * square / order
        total += term
    return 2 * total * (-x * x).exp() / PI.sqrt()


def gelu(x: Decimal) -> Decimal:
    """x times the normal distribution function."""
    return x * _below(x)


def gelu_slope(x: Decimal) -> Decimal:
    """The derivative of gelu."""
    return _below(x) + x * (-x * x / 2).exp() / (2 * PI).sqrt()


def gelu_tanh(x: Decimal) -> Decimal:
    """x (1 + tanh u) / 2 with u = sqrt(2 / pi) (x + 0.044715 x^3)."""
    return x * sigmoid(_twice_u(x))


def gelu_tanh_slope(x: Decimal) -> Decimal:
    """The derivative of gelu_tanh."""
    y = sigmoid(_twice_u(x))
    return y + x * y * (1 - y) * 2 * (2 / PI).sqrt() * (1 + 3 * CUBIC * x * x)


def _below(x: Decimal) -> Decimal:
    return (1 + erf(x / Decimal(2).sqrt())) / 2


def _twice_u(x: Decimal) -> Decimal:
    return 2 * (2 / PI).sqrt() * (x + CUBIC * x * x * x)
