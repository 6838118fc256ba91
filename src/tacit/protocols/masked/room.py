"""Memory for parts that run abreast: what they compute lies side by side, so joining their results copies nothing.

All parts run the same steps, so the n-th result of each belongs to the n-th array of the whole. Slabs that run one
after the other are copied into the whole, each while it is still in the cache.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from tacit.protocols.interface import Choice, Values

Cuts = tuple[int, ...]  # where parts begin and end


class Room:
    """Memory for the parts of one slab."""

    def __init__(self, cuts: Cuts) -> None:
        self._cuts = tuple(cut - cuts[0] for cut in cuts)
        self._asked = [0] * (len(cuts) - 1)
        # Weak, so that results which are used up before the last step do not stay until then.
        self._arrays: list[weakref.ref[Values]] = []

    def part(self, number: int, count: int) -> Values:
        """Two rows for the next result of a part."""
        start, stop = self._cuts[number], self._cuts[number + 1]
        if count != stop - start:
            return np.empty((2, count), dtype=np.int64)
        at = self._asked[number]
        self._asked[number] += 1
        whole = self._arrays[at]() if at < len(self._arrays) else None
        if whole is None:
            whole = np.empty((2, self._cuts[-1]), dtype=np.int64)
            if at == len(self._arrays):
                self._arrays.append(weakref.ref(whole))
        return whole[:, start:stop]

    def joined(self, parts: Sequence[Any]) -> Any:
        """Results of the parts as one."""
        if isinstance(parts[0], Choice):
            return Choice(tuple(choice.parts[0] for choice in parts))
        if isinstance(parts[0], torch.Tensor):
            whole = self._whole(parts)
            return torch.cat(list(parts), dim=-1) if whole is None else whole
        return [self.joined(one) for one in zip(*parts, strict=True)]

    def _whole(self, parts: Sequence[torch.Tensor]) -> torch.Tensor | None:
        """The array whose parts these are, if they are the parts of one."""
        for kept in self._arrays:
            array = kept()
            if array is not None and all(
                part.shape == (2, stop - start)
                and part.stride() == (array.shape[1], 1)
                and part.data_ptr() == array.ctypes.data + 8 * start
                for part, start, stop in zip(parts, self._cuts, self._cuts[1:], strict=False)
            ):
                return torch.as_tensor(array)
        return None


def gathered(results: Iterator[Any], slabs: Sequence[Cuts], shape: torch.Size) -> Any:
    """Results of slabs, made one at a time, as results in the shape of the inputs."""
    whole: Any = None
    for cuts in slabs:
        whole = _put(whole, next(results), cuts, slabs[-1][-1])
    return _shaped(whole, shape)


def _put(whole: Any, part: Any, cuts: Cuts, count: int) -> Any:
    if isinstance(part, Choice):
        return part if whole is None else Choice((*whole.parts, *part.parts))
    if not isinstance(part, torch.Tensor):
        earlier = [None] * len(part) if whole is None else whole
        return [_put(one, own, cuts, count) for one, own in zip(earlier, part, strict=True)]
    if part.shape[-1] == count:
        return part
    if whole is None:
        whole = torch.empty((*part.shape[:-1], count), dtype=part.dtype)
    whole[..., cuts[0] : cuts[-1]] = part
    return whole


def _shaped(whole: Any, shape: torch.Size) -> Any:
    if isinstance(whole, torch.Tensor):
        return whole.reshape(*whole.shape[:-1], *shape)
    return whole if isinstance(whole, Choice) else [_shaped(one, shape) for one in whole]
