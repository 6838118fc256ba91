"""What a SecretTensor holds: shares in a storage, a number of fraction bits, and what may be remembered about them.

A value is an integer times 2^-frac_bits, and each storage carries its own frac_bits: comparison results and counts have
none, so products with them need no truncation; dividing by 128 just adds seven. Only products of two fractional values
truncate, back to the job's frac_bits.

Views share the storage of their base, so the number of fraction bits belongs to the storage, not to the view.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from tacit.crypto.primitives import RunningDigest
from tacit.errors import PeerDiverged, ShapeError
from tacit.protocols import PROTOCOLS, Protocol, Shares
from tacit.ring import FixedPoint
from tacit.session.session import Session

#: Powers of two that a value may carry beyond the job's fraction bits before it is truncated back.
GUARD_BITS = 12


class Context:
    """One run as tensors see it: its protocol, its number format, its meter."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.protocol: Protocol = PROTOCOLS[session.protocol](session)
        self.fixed: FixedPoint = self.protocol.fixed
        self.frac_bits = session.frac_bits
        # torch's generator is public randomness: initial weights, shuffles and dropout masks must be the same at all
        # parties. Nothing secret is ever drawn from it.
        torch.manual_seed(session.public_seed)
        self._public = RunningDigest()

    def __repr__(self) -> str:
        return f"Context({self.session!r}, {self.protocol.name})"


    def note_public(self, values: np.ndarray) -> None:
        """Remember a public operand. Each party adds its own copy, so copies that differ would corrupt the result."""
        self._public.add(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)

    def agree_on_public(self) -> None:
        """Before a reveal: have all parties used the same public operands so far? One round of 8 bytes.

        Catches what the labels of messages cannot: a constant that differs in the last digit between two machines, a
        shuffle that went another way, a value read from a clock. Raises PeerDiverged.
        """
        session = self.session
        ours = np.frombuffer(self._public.value()[:8], dtype=np.int64).copy()
        peers = [place for place in range(len(session.parties)) if place != session.place]
        arrived = session.exchange("public", dict.fromkeys(peers, ours), {p: ((1,), np.dtype("<i8")) for p in peers})
        for peer, theirs in arrived.items():
            if theirs[0] != ours[0]:
                raise PeerDiverged(
                    f"{session.parties[peer]} has used other public values than we have (constants, indices, batches)",
                    hint="look for values that differ by party: unseeded random numbers, clocks, file names; or for "
                    "other versions or processors, where a public tensor is better made secret by one owner",
                )


class Storage:
    """Memory shared by a tensor and its views: all components, and the fraction bits of what lies there."""

    __slots__ = ("base", "frac_bits")

    def __init__(self, base: Shares, frac_bits: int) -> None:
        self.base = base
        self.frac_bits = frac_bits


class Cell:
    """Shares of one tensor (a view of a storage), or a promise to compute them when somebody asks."""

    __slots__ = ("_promise", "_shares", "_storage", "context", "memo", "shape")

    def __init__(
        self,
        context: Context,
        shares: Shares | None,
        frac_bits: int = 0,
        *,
        storage: Storage | None = None,
        promise: Callable[[], tuple[Shares, int]] | None = None,
        shape: tuple[int, ...] = (),
    ) -> None:
        self.context = context
        self.memo: dict[str, Shares] | None = None
        self._promise = promise
        self._shares = shares
        self._storage = storage
        self.shape = shape
        if shares is not None:
            self.shape = tuple(shares.shape[1:])
            if storage is None:
                self._storage = Storage(shares, frac_bits)

    def __repr__(self) -> str:
        state = "promised" if self._shares is None else f"frac_bits={self.frac_bits}"
        return f"Cell({list(self.shape)}, {state})"

    @property
    def shares(self) -> Shares:
        """The shares; keeps the promise first if there is one."""
        if self._shares is None:
            self._keep_promise()
        assert self._shares is not None
        return self._shares

    @property
    def storage(self) -> Storage:
        """The memory this cell looks at."""
        if self._storage is None:
            self._keep_promise()
        assert self._storage is not None
        return self._storage

    @property
    def frac_bits(self) -> int:
        """How many fraction bits the integers in `shares` have."""
        return self.storage.frac_bits

    def view(self, shares: Shares) -> Cell:
        """A cell that looks at part of the same storage."""
        return Cell(self.context, shares, storage=self.storage)

    def remember(self, what: str, shares: Shares) -> None:
        """Keep an intermediate result that the backward pass needs again."""
        self.memo = {**(self.memo or {}), what: shares}

    def recall(self, what: str) -> Shares | None:
        """What `remember` kept, unless the tensor was written to since."""
        return None if self.memo is None else self.memo.get(what)

    def at(self, frac_bits: int) -> Shares:
        """The shares with exactly `frac_bits` fraction bits: shifted up locally, or truncated."""
        return rescaled(self.context.protocol, self.shares, self.frac_bits, frac_bits)

    def settled(self) -> tuple[Shares, int]:
        """The shares with at most the job's fraction bits, and how many they have."""
        frac = min(self.frac_bits, self.context.frac_bits)
        return self.at(frac), frac

    def store(self, shares: Shares, frac_bits: int) -> None:
        """Overwrite this cell's memory in place, so that every view of it sees the new value."""
        self.memo = None
        if tuple(torch.broadcast_shapes(shares.shape[1:], self.shape)) != self.shape:
            raise ShapeError(f"cannot write shape {list(shares.shape[1:])} into shape {list(self.shape)}")
        protocol, storage = self.context.protocol, self.storage
        if self.shares.numel() == storage.base.numel():
            # Everything there is gets overwritten: take the precision of the new value, within the guard.
            frac_bits, shares = _within_guard(self.context, shares, frac_bits)
            storage.frac_bits = frac_bits
        elif frac_bits > storage.frac_bits and frac_bits <= self.context.frac_bits:
            # A part gets more precise than the rest: lift the rest, in place, for every view of it.
            storage.base.mul_(1 << (frac_bits - storage.frac_bits))
            storage.frac_bits = frac_bits
        value = rescaled(protocol, shares, frac_bits, storage.frac_bits)
        missing = self.shares.dim() - value.dim()
        self.shares.copy_(value.reshape(value.shape[0], *(1,) * missing, *value.shape[1:]))

    def _keep_promise(self) -> None:
        assert self._promise is not None
        shares, frac_bits = self._promise()
        self._promise = None
        self._shares, self._storage = shares, Storage(shares, frac_bits)


def rescaled(protocol: Protocol, shares: Shares, have: int, want: int) -> Shares:
    """Shares with `want` fraction bits from shares with `have`."""
    if want == have:
        return shares
    if want > have:
        return protocol.scale(shares, 1 << (want - have))
    return protocol.truncate(shares, have - want)


def _within_guard(context: Context, shares: Shares, frac_bits: int) -> tuple[int, Shares]:
    limit = context.frac_bits + GUARD_BITS
    if frac_bits <= limit:
        return frac_bits, shares
    return context.frac_bits, rescaled(context.protocol, shares, frac_bits, context.frac_bits)


def constant(context: Context, values: np.ndarray) -> Cell:
    """A cell whose integers every party knows."""
    return Cell(context, context.protocol.public(values), 0)
