"""Rows of a replicated sharing in an order that no party knows: three hops, one for each pair.

In a hop the two parties of a pair draw an order and two masks for each item from their common key, move their shares
and share them anew with the third, who learns nothing: both words that it receives for an item are under a mask.
Without the second mask it would recognise its own component and so know the order. Each party misses the order of one
hop, so to each of them the order of all three is uniform.
Not here: what an order is good for (functions/sorting).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from tacit.protocols.interface import Shares, Values
from tacit.protocols.rounds import Round, Steps

if TYPE_CHECKING:
    from tacit.protocols.sharing3 import Sharing3

_WORD = np.dtype("<i8")


def shuffle(protocol: Sharing3, x: Shares, *, apart: bool) -> Steps[Shares]:
    """Rows of the public shape in a new order; with `apart`, entries of the second axis in an order of their own each.

    Two words for each item and hop.
    """
    ring, place = protocol.ring, protocol.place
    rows = x.shape[1]
    lanes = x.shape[2] if apart else 1
    shape = (rows, lanes, math.prod(x.shape[2 + apart :]))
    words: Values = x.reshape(2, *shape).numpy()
    for first in range(3):
        # Components named after parties: `first` holds first and second, `second` holds second and third.
        second, third = (first + 1) % 3, (first + 2) % 3
        if place == third:
            word = (shape, ring.wire_dtype)
            arrived = yield Round("shuffle", {}, {first: [word], second: [word]})
            words = np.stack([ring.from_wire(arrived[second][0]), ring.from_wire(arrived[first][0])])
            continue
        peer = second if place == first else first
        order = _order(protocol, peer, rows, lanes)
        one, other = (protocol.pad(peer, f"shuffle-{end}", x.shape[1:]).reshape(shape) for end in ("one", "other"))
        common = ring.wrap(one + other)
        if place == first:
            sent = ring.wrap(_moved(words[0] + words[1], order) - one)
            words = np.stack([sent, common])
        else:
            sent = ring.wrap(_moved(words[1], order) - other)
            words = np.stack([common, sent])
        yield Round("shuffle", {third: [ring.to_wire(sent)]})
    return torch.as_tensor(words).reshape(x.shape)


def _order(protocol: Sharing3, peer: int, rows: int, lanes: int) -> NDArray[np.intp]:
    """An order of the rows for each lane, [rows, lanes], that `peer` draws as well: the ranks of 128-bit words.

    Ranks of distinct uniform words are a uniform order. Two of n words are equal with a probability below
    n^2 / 2^129, 2^-65 for 2^32 rows; then the sort, which is stable, still gives both parties the same order.
    """
    high, low = protocol.order_words(peer, "shuffle-order", (2, lanes, rows))
    return np.ascontiguousarray(np.lexsort((low, high)).T)


def _moved(words: Values, order: NDArray[np.intp]) -> Values:
    return np.take_along_axis(words, order[:, :, None], axis=0)
