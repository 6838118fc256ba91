"""The largest along an axis, by a tournament of neighbours, and what its backward pass needs: who won each match.

Rounds   for each of the ceil(log2 n) levels a comparison and a selection; a selection for each on the way back.
Exact    on the shared integers. Of several largest the first wins, as it does in torch.

Winners stay choices of the protocol: they cost nothing to keep, and less than words to select by again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch

from tacit.protocols import Choice, Protocol, Shares
from tacit.protocols.rounds import Steps


@dataclass(frozen=True)
class Choices:
    """Who won each match, level by level: the choice [the later entry won] for entries 2i and 2i + 1.

    An odd last entry goes up without a match. All levels but for the axis have the shape of the tensor.
    """

    levels: tuple[Choice, ...] = field(repr=False)
    entries: int  # along the axis
    axis: int  # of the public shape, counted from its end


def maximum(protocol: Protocol, x: Shares, axis: int, width: int | None = None) -> Shares:
    """The largest along an axis of the public shape, which stays with one entry. `width`: as for a comparison."""
    return maximum_with_choices(protocol, x, axis, width)[0]


def maximum_with_choices(
    protocol: Protocol, x: Shares, axis: int, width: int | None = None
) -> tuple[Shares, Choices]:
    """The same, and who won, for `route` and `winner`."""
    left = axis if axis < 0 else axis - x.dim() + 1
    # In front, neighbours along the axis are two blocks of memory.
    entries = x.movedim(left, 1).contiguous()
    count, levels = entries.shape[1], []
    while entries.shape[1] > 1:
        earlier, later, odd = _paired(entries)
        choice, less = protocol.elementwise(partial(_negative_part, width=width), earlier - later)
        levels.append(choice)
        # Where the later entry won, the difference to it is negative, and taken back.
        entries = _followed(earlier - less, odd)
    return entries.movedim(1, left), Choices(tuple(levels), count, left)


def route(protocol: Protocol, choices: Choices, grad: Shares) -> Shares:
    """`grad`, with one entry along the axis, at the winner's place and 0 at all others: backward of `maximum`.

    Of a public 1 this makes the one-hot words of the winners.
    """
    found = grad.movedim(choices.axis, 1)
    for choice, count in zip(reversed(choices.levels), reversed(_counts(choices.entries)), strict=True):
        matches = count // 2
        later = protocol.choose(choice, found[:, :matches].contiguous())
        earlier = found[:, :matches] - later
        both = torch.stack([earlier, later], dim=2).flatten(1, 2)
        found = _followed(both, found[:, matches:])
    return found.movedim(1, choices.axis)


def winner(protocol: Protocol, choices: Choices, shape: tuple[int, ...]) -> Shares:
    """The index of the winner, a whole number. `shape` is that of the maximum, with one entry along the axis."""
    rest = torch.Size(shape).numel()
    found = _index(protocol, range(choices.entries), rest)
    for number, choice in enumerate(choices.levels):
        earlier, later, odd = _paired(found)
        size = (earlier.shape[1], rest)
        # On the first level the indices are public, and neighbours differ by 1.
        more = protocol.choose(choice, later - earlier) if number else protocol.as_words(choice, size)
        found = _followed(earlier + more, odd)
    components = found.shape[0]
    moved = [size for at, size in enumerate(shape) if at != len(shape) + choices.axis]
    return found.reshape(components, 1, *moved).movedim(1, choices.axis)


def _negative_part(protocol: Protocol, x: Shares, *, width: int | None) -> Steps[tuple[Choice, Shares]]:
    """The choice [x < 0], and x where it is, else 0."""
    choice = Choice.of((yield from protocol.steps("is_negative", x, width)))
    return choice, (yield from protocol.steps("choose", choice, x))


def _paired(entries: Shares) -> tuple[Shares, Shares, Shares]:
    """Entries 2i, entries 2i + 1, and the last of an odd number."""
    even = entries.shape[1] // 2 * 2
    return entries[:, 0:even:2], entries[:, 1:even:2], entries[:, even:]


def _followed(entries: Shares, odd: Shares) -> Shares:
    return torch.cat([entries, odd], dim=1) if odd.shape[1] else entries


def _counts(entries: int) -> list[int]:
    """How many entries each level starts with."""
    found = []
    while entries > 1:
        found.append(entries)
        entries = -(-entries // 2)
    return found


def _index(protocol: Protocol, entries: Iterable[int], rest: int) -> Shares:
    column = np.array(list(entries), dtype=np.int64)[:, None]
    return protocol.public(np.ascontiguousarray(np.broadcast_to(column, (column.size, rest))))
