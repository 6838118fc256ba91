"""What a public table means for a value cut in two: the definition that every protocol's lookup is tested against.

Not here: how parties evaluate a table without seeing the value (the protocols), and what tables to use (functions).
"""

from __future__ import annotations

import numpy as np

from tacit.protocols.interface import Powers, Table, Values
from tacit.ring.powers import power_of_two


def meaning(table: Table, index: Values, known: Values, mask: Values, shift: int) -> Values:
    """What `table` says at rows `index` of the remainder t = known - mask, both in [0, 2^shift)."""
    if isinstance(table, Powers):
        grown = power_of_two(known, shift, table.bits) * power_of_two(-mask, shift, table.bits)
        return np.asarray(table.factors[index] * grown)
    total = table.coefficients[0][index].copy()
    for degree, (row, drop) in enumerate(zip(table.coefficients[1:], table.drop, strict=True), start=1):
        rest = (known >> drop) - (mask >> drop)
        total += row[index] * rest**degree
    return np.asarray(total)
