"""What a SecretTensor holds: shares in a storage, a number of fraction bits, and what may be remembered about them.

A value is an integer times 2^-frac_bits, and each storage carries its own frac_bits: comparison results and counts have
none, so products with them need no truncation; dividing by 128 just adds seven. Only products of two fractional values
truncate, back to the job's frac_bits.

Views share the storage of their base, so the number of fraction bits belongs to the storage, not to the view. So does
the count of writes: what a cell remembers is forgotten when anything is written into the storage, through any view.

Some secret tensors hold values that every party knows: the ones that start a backward pass, zeros, dropout masks. Their
cells remember the plain value, and the table then computes on that; the shares are made only if something needs them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tacit.crypto.primitives import RunningDigest
from tacit.errors import PeerDiverged, ShapeError
from tacit.protocols import PROTOCOLS, Protocol, Shares
from tacit.ring import FixedPoint
from tacit.session.session import Session

#: Powers of two that a value may carry beyond the job's fraction bits before it is truncated back.
GUARD_BITS = 12

POSITIVE = "positive"  # memo: the choice [x > 0]; a ReLU's backward pass needs it again
CHOICE = "choice"  # memo: the bits themselves, of a comparison whose words nobody needs yet
IDLE = "idle"  # memo: of a promise that no gradient needs; sums and products of it are promises too
KNOWN = "known"  # memo: the value itself as a plain tensor, where every party knows it
OUTLINE = "outline"  # memo: of a promise, a tensor without memory whose strides the shares will have
CHOICES = "choices"  # memo: of indices of a maximum, who won; see choosing
LOGITS = "logits"  # memo: of log probabilities, the cell that they were made of
SUMS = "sums"  # memo: (an axis counted from the end, the plain sums along it), where every party knows these
SLOPE = "slope"  # memo: which activation, and its derivative at this value
SQUARES = "squares"  # memo: a mean of squares, of which the value is a public multiple; see moments
ROOT = "root"  # memo: a mean of squares, of whose root the value is a public multiple and a public number more
CLASSES = "classes"  # memo: of class numbers, shares of their one-hot rows [components, *shape, classes]; see labels


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

    @property
    def guarded_bits(self) -> int:
        """The most fraction bits that a value is left with."""
        return self.frac_bits + GUARD_BITS

    def note_public(self, values: NDArray[Any] | np.float64) -> None:
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
    """Memory shared by a tensor and its views: all components, the fraction bits of what lies there, writes so far, and
    a write that waits until somebody looks."""

    __slots__ = ("base", "frac_bits", "pending", "writes")

    def __init__(self, base: Shares, frac_bits: int) -> None:
        self.base = base
        self.frac_bits = frac_bits
        self.writes = 0
        self.pending: tuple[Cell, Cell] | None = None  # target and value


class Cell:
    """Shares of one tensor (a view of a storage), or a promise to compute them when somebody asks."""

    __slots__ = ("_memo", "_memo_writes", "_promise", "_shares", "_storage", "context", "shape")

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
        self._memo: dict[str, Any] = {}
        self._memo_writes = 0
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
    def promised(self) -> bool:
        """Whether nobody has asked for the shares yet."""
        return self._shares is None

    @property
    def shares(self) -> Shares:
        """The shares; keeps the promise first if there is one."""
        if self._shares is None:
            self._keep_promise()
        self._catch_up()
        assert self._shares is not None
        return self._shares

    @property
    def storage(self) -> Storage:
        """The memory this cell looks at."""
        if self._storage is None:
            self._keep_promise()
        self._catch_up()
        assert self._storage is not None
        return self._storage

    @property
    def frac_bits(self) -> int:
        """How many fraction bits the integers in `shares` have."""
        return self.storage.frac_bits

    def twin(self) -> Cell:
        """This value in memory of its own, whatever is written here later. A promise stays one, kept once for both."""
        if self._shares is not None:
            return Cell(self.context, self.shares.clone(), self.frac_bits)
        assert self._promise is not None
        once = cache(self._promise)

        def copied() -> tuple[Shares, int]:
            shares, frac_bits = once()
            return shares.clone(), frac_bits

        self._promise = copied
        return Cell(self.context, None, promise=copied, shape=self.shape)

    def view(self, shares: Shares) -> Cell:
        """A cell that looks at part of the same storage."""
        return Cell(self.context, shares, storage=self.storage)

    def remember(self, what: str, value: Any) -> None:
        """Keep something about the present value. `value` must never be written to."""
        kept = self._memo if self._memo_writes == self._writes else {}
        self._memo, self._memo_writes = {**kept, what: value}, self._writes

    def recall(self, what: str) -> Any:
        """What `remember` kept, unless the storage was written to since, through this cell or another view."""
        return self._memo.get(what) if self._memo_writes == self._writes else None

    def inherit(self, other: Cell) -> None:
        """Remember all that `other` remembers: for a cell of the same value."""
        if other._memo_writes == other._writes:
            self._memo, self._memo_writes = other._memo, self._writes

    def at(self, frac_bits: int) -> Shares:
        """The shares with exactly `frac_bits` fraction bits: shifted up locally, or truncated."""
        return rescaled(self.context.protocol, self.shares, self.frac_bits, frac_bits)

    def settled(self) -> tuple[Shares, int]:
        """The shares with at most the job's fraction bits, and how many they have."""
        frac = min(self.frac_bits, self.context.frac_bits)
        return self.at(frac), frac

    def store_later(self, value: Cell) -> None:
        """Overwrite this cell's memory with a promised value: once somebody looks, unless it is overwritten before.

        Meanwhile this cell remembers what `value` remembers. What the promise computes on must never be written to.
        """
        if self._storage is None and value.shape == self.shape:
            self._promise_instead(value)
            return
        if self._storage is None:
            self._keep_promise()
        assert self._shares is not None
        assert self._storage is not None
        if value.shape != self.shape or self._shares.numel() != self._storage.base.numel():
            self.store(value.shares, value.frac_bits)
            return
        self._storage.pending = self, value
        self._storage.writes += 1
        self.inherit(value)

    def _promise_instead(self, value: Cell) -> None:
        """Nobody has looked yet: the new value is promised in the place of the old one, and lies as that would have."""
        like = self.recall(OUTLINE) if self.recall(KNOWN) is None else self.recall(KNOWN)
        outline = torch.empty(self.shape, device="meta") if like is None else like.to("meta")

        def keep() -> tuple[Shares, int]:
            return laid_out(value.shares, outline), value.frac_bits

        self._promise = keep
        self._memo, self._memo_writes = {**value._memo, OUTLINE: outline}, 0

    def store(self, shares: Shares, frac_bits: int) -> None:
        """Overwrite this cell's memory in place, so that every view of it sees the new value."""
        self._write(shares, frac_bits)
        self.storage.writes += 1

    def _catch_up(self) -> None:
        storage = self._storage
        if storage is not None and storage.pending is not None:
            target, value = storage.pending
            storage.pending = None
            target._write(value.shares, value.frac_bits)

    def _write(self, shares: Shares, frac_bits: int) -> None:
        if joint_shape(shares.shape[1:], self.shape) != self.shape:
            raise ShapeError(f"cannot write shape {list(shares.shape[1:])} into shape {list(self.shape)}")
        # Asked before anything changes: torch would refuse the copy below when the precision is already another.
        if torch._debug_has_internal_overlap(self.shares) == 1:
            raise ShapeError(
                "cannot write into an expanded tensor: several entries lie at one place", hint="clone() it first"
            )
        protocol, storage = self.context.protocol, self.storage
        if shares.untyped_storage().data_ptr() == storage.base.untyped_storage().data_ptr():
            shares = shares.clone()  # `x[1:] *= 2` ends with a copy of x[1:] to itself
        if self.shares.numel() == storage.base.numel():
            # Everything there is gets overwritten: take the precision of the new value, within the guard.
            settled = self.context.frac_bits if frac_bits > self.context.guarded_bits else frac_bits
            shares, frac_bits = rescaled(protocol, shares, frac_bits, settled), settled
            storage.frac_bits = frac_bits
        elif storage.frac_bits < (wanted := min(frac_bits, self.context.frac_bits)):
            # A part gets more precise than the rest: lift the rest, in place, for every view of it.
            storage.base.mul_(1 << (wanted - storage.frac_bits))
            storage.frac_bits = wanted
        value = rescaled(protocol, shares, frac_bits, storage.frac_bits)
        missing = self.shares.dim() - value.dim()
        self.shares.copy_(value.reshape(value.shape[0], *(1,) * missing, *value.shape[1:]))

    @property
    def _writes(self) -> int:
        return 0 if self._storage is None else self._storage.writes

    def _keep_promise(self) -> None:
        assert self._promise is not None
        shares, frac_bits = self._promise()
        self._promise = None
        self._shares, self._storage = shares, Storage(shares, frac_bits)


def known(context: Context, value: Tensor) -> Cell:
    """A cell of a value that every party knows; encoded, without any message, once something asks for its shares."""
    if torch._debug_has_internal_overlap(value) == 1:
        value = value.contiguous()

    def encode() -> tuple[Shares, int]:
        frac_bits = min(factor_bits(context, value), context.guarded_bits)
        words = context.fixed.encode(masks_clamped(value), frac_bits=frac_bits, what="public value")
        context.note_public(words)
        return laid_out(context.protocol.public(words), value), frac_bits

    cell = Cell(context, None, promise=encode, shape=tuple(value.shape))
    cell.remember(KNOWN, value)
    return cell


def is_whole(value: Tensor) -> bool:
    """Whether all entries are whole numbers small enough to stay exact without fraction bits."""
    return not value.is_floating_point() or bool((value == value.round()).all() and (value.abs() < 2**16).all())


def masks_clamped(value: Tensor) -> Tensor:
    """Attention masks add -inf or the smallest float; read them as "masked" and keep them in range."""
    if value.is_floating_point() and bool((value < -1e30).any()):
        return torch.where(value < -1e30, torch.full_like(value, -(2.0**20)), value)
    return value


def factor_bits(context: Context, value: Tensor) -> int:
    """Fraction bits for a public tensor that multiplies: 0 for whole numbers, the job's for others, and more of them
    where even the largest entry is below 1, so that it keeps as many significant bits as a single number does."""
    if is_whole(value):
        return 0
    largest = float(value.abs().max())
    extra = -int(np.frexp(largest)[1]) if 0 < largest < 1 else 0
    return min(context.frac_bits + extra, context.fixed.product_bits - 2)


def laid_out(shares: Shares, like: Tensor) -> Shares:
    """The shares in memory whose trailing strides are those of `like`: what torch says of a tensor must be true."""
    if shares.stride()[1:] == like.stride():
        return shares
    fresh = empty(shares.shape[0], like)
    fresh.copy_(shares)
    return fresh


def empty(components: int, like: Tensor) -> Shares:
    """Memory for shares whose trailing strides are those of `like`."""
    extent = 1 + sum((size - 1) * stride for size, stride in zip(like.shape, like.stride(), strict=True))
    return torch.empty_strided((components, *like.shape), (max(extent, 1), *like.stride()), dtype=torch.int64)


def joint_shape(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that all of these broadcast to."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        listed = ", ".join(str(list(shape)) for shape in shapes)
        raise ShapeError(f"shapes {listed} do not broadcast together") from None


def rescaled(protocol: Protocol, shares: Shares, have: int, want: int) -> Shares:
    """Shares with `want` fraction bits from shares with `have`."""
    if want == have:
        return shares
    if want > have:
        return protocol.scale(shares, 1 << (want - have))
    return protocol.truncate(shares, have - want)
