"""What a sample may differ by, and why.

A row is off by at most `Row.units` steps of 2^-16 per unit of magnitude: of the largest operand or result, and at least
1. Inputs are multiples of 2^-16, so encoding adds nothing. A gradient passes a handful of rows more, each off by at
most one unit per unit of its own magnitude or of an operand that it is multiplied with; and it sums up as many of those
errors as an entry was broadcast to. That is the bound here, with 2 units more for the handful.
"""

from __future__ import annotations

import numpy as np
import torch
from worlds import UNIT, Outcome, Sample, in_the_open

from tacit.tensor.table import OPS, Row


def complaints(sample: Sample, secret: Outcome | BaseException) -> list[str]:
    """What is wrong with the secret outcome; nothing, if it is right."""
    if isinstance(secret, BaseException):
        return [f"{sample.name}: {type(secret).__name__}: {secret}"]
    labelled, exact = in_the_open(sample, torch.float32), in_the_open(sample, torch.float64)
    found = []
    if secret.labels != labelled.labels:
        found.append(f"{sample.name}: labels are {secret.labels}, torch has {labelled.labels}")
    row = OPS[sample.op]
    assert isinstance(row, Row)
    allowed = (row.units + sample.extra_units) * UNIT * exact.magnitude
    for ours, theirs in zip(secret.values, exact.values, strict=True):
        found += _compare(f"{sample.name}: value", ours, theirs, allowed)
    if len(secret.gradients) != len(exact.gradients):
        return [*found, f"{sample.name}: gradients of {len(secret.gradients)}, torch has {len(exact.gradients)}"]
    operands = max([1.0, *(float(np.abs(leaf.astype(float)).max()) for leaf in sample.leaves() if leaf.size)])
    outputs = max([value.size for value in exact.values], default=0)
    for ours, theirs in zip(secret.gradients, exact.gradients, strict=True):
        if (ours is None) != (theirs is None):
            found.append(f"{sample.name}: a gradient is missing on one side")
        elif ours is not None and theirs is not None:
            size = max([operands, *np.abs(theirs).reshape(-1)])
            spread = max(1.0, outputs / max(theirs.size, 1))
            allowed = (row.units + sample.extra_units + 2) * UNIT * size * spread
            found += _compare(f"{sample.name}: gradient", ours, theirs, allowed)
    return found


def _compare(what: str, ours: np.ndarray, theirs: np.ndarray, allowed: float) -> list[str]:
    if ours.shape != theirs.shape:
        return [f"{what} has shape {ours.shape}, torch has {theirs.shape}"]
    if not ours.size:
        return []
    off = np.abs(ours.astype(float) - theirs.astype(float)).max()
    if not off <= allowed:
        return [f"{what} is off by {off / UNIT:.2f} units, allowed {allowed / UNIT:.2f}"]
    return []
