"""The ways to drop low bits, one of which the parties agree on for a whole run.

What each computes, costs and shows: docs/design/fixed-point.md, "Three ways to drop bits". Not here: the gates.
"""

from __future__ import annotations

#: One of the two neighbours, right on average, by an offset that every party knows. Never off by more.
DITHERED = "dithered"
#: The nearest, whatever the masks are. Costs a comparison.
FAITHFUL = "faithful"
#: As dithered, but a product of tensors is wrong by 2^(k - s) with probability |z| / 2^k, in return for a round. Nobody
#: gets it without writing what it does.
PROBABILISTIC = "probabilistic-may-corrupt"
TRUNCATIONS = (DITHERED, FAITHFUL, PROBABILISTIC)
