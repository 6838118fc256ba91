"""Memory for parts that run abreast: what they compute lies side by side, so that joining their results copies nothing.

All parts run the same steps, so the n-th result of each belongs to the n-th array of the whole.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from tacit.protocols.interface import Choice, Values


class Room:
    """`cuts` are where the parts begin and end."""

    def __init__(self, cuts: Sequence[int]) -> None:
        self._cuts = cuts
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

    def joined(self, parts: Sequence[Any], shape: torch.Size) -> Any:
        """Results of the parts as one, with elements in the shape of the inputs."""
        if isinstance(parts[0], Choice):
            return Choice(tuple(choice.parts[0] for choice in parts))
        if isinstance(parts[0], torch.Tensor):
            whole = self._whole(parts)
            if whole is None:
                whole = torch.cat(list(parts), dim=-1)
            return whole.reshape(*whole.shape[:-1], *shape)
        return [self.joined(one, shape) for one in zip(*parts, strict=True)]

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
