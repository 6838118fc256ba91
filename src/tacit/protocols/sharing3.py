"""Replicated sharing among three parties over Z_2^k: who holds what, in and out, linear work, and truncation.

Paper    Araki, Furukawa, Lindell, Nof, Ohara: High-throughput semi-honest secure three-party computation with an honest
         majority, CCS 2016 (eprint 2016/768), for the sharing. Truncation and the conversions between bits and words
         use that every such sharing is also a masked value: docs/design/fixed-point.md.
Holds    party i: x_i and x_(i+1), where x = x_0 + x_1 + x_2 mod 2^k; bits likewise with exclusive or.
Layout   int64 [2, *shape]: row 0 is x_i, row 1 is x_(i+1).
Masked   c = x_1 is known to parties 0 and 1 (evaluators), r = -(x_0 + x_2) to party 2 (helper); x = c - r.
Not here products and comparisons: replicated3 by the book, masked by evaluators and helper.
"""

from __future__ import annotations

import sys
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from tacit.protocols import hopeful, rounds
from tacit.protocols.interface import Bits, Protocol, Shares, Values, step
from tacit.protocols.rounds import Arrived, Round, Steps
from tacit.protocols.shuffle import shuffle
from tacit.ring import planes
from tacit.ring.kernels import Bilinear
from tacit.ring.words import carrier
from tacit.session.session import Expected, Message, Session
from tacit.session.truncation import FAITHFUL

T = TypeVar("T")
Planes = NDArray[np.int64]  # [planes, words]
FIRST, SECOND, HELPER = 0, 1, 2  # the two evaluators and the helper
WORD = np.dtype("<i8")
_TOP_LAST = sys.byteorder == "little"  # where in a word its highest bits lie
#: Component j of an input that the owner masks, and component j that then carries the masked value.
_INPUT = {FIRST: (0, 1), SECOND: (2, 1), HELPER: (2, 0)}


class Sharing3(Protocol):
    """What the protocols on this sharing have in common."""

    components = 2

    def __init__(self, session: Session, turn: int = 0) -> None:
        super().__init__(session)
        #: The party that plays role 0; the sharing is symmetric, so any of the three may be the helper of a gate.
        self.turn = turn
        # One key pads different things in different turns, so the turn is part of every address.
        self._role = f"turn {turn}: " if turn else ""
        self.place = (session.place - turn) % 3
        self.next = (self.place + 1) % 3  # shares component i+1 with us
        self.previous = (self.place - 1) % 3  # shares component i with us
        self.peer = SECOND if self.place == FIRST else FIRST  # the other evaluator, for an evaluator

    # -- in and out ----------------------------------------------------------------------------------------------

    @step(rounds=1, bits="k")
    def share(self, owner: int, values: Values | None, shape: tuple[int, ...]) -> Shares:
        # The owner and one neighbour draw a mask from their common key; the other neighbour gets value minus mask. The
        # third component is 0: nobody holds all three, and the owner knows the value anyway.
        masked, carrying = _INPUT[owner]
        reader = _third_holder(masked, owner)
        receiver = _third_holder(carrying, owner)
        components: dict[int, Values] = {}
        send: dict[int, Message] = {}
        if self.place == owner:
            assert values is not None
            assert values.shape == shape
            components[masked] = self.pad(reader, "share", shape)
            components[carrying] = self.ring.wrap(values - components[masked])
            send[receiver] = self.ring.to_wire(components[carrying])
        elif self.place == reader:
            components[masked] = self.pad(owner, "share", shape)
        receive = {owner: (shape, self.ring.wire_dtype)} if self.place == receiver else {}
        arrived = self.session.exchange("share", send, receive)
        if self.place == receiver:
            components[carrying] = self.ring.from_wire(arrived[owner])
        return self._rows(components, shape)

    def public(self, values: Values) -> Shares:
        return self._rows({1: self.ring.wrap(values)}, values.shape)

    @step(rounds=1, bits="k * receivers")
    def reveal(self, x: Shares, receivers: tuple[int, ...]) -> Values | None:
        # Party i lacks component i+2 = i-1; its next neighbour holds it in row 1.
        send = {self.previous: self.ring.to_wire(flat_words(x[1]))} if self.previous in receivers else {}
        receive = {self.next: ((x[0].numel(),), self.ring.wire_dtype)} if self.place in receivers else {}
        arrived = self.session.exchange("reveal", send, receive)
        if self.place not in receivers:
            return None
        value = flat_words(x[0]) + flat_words(x[1]) + self.ring.from_wire(arrived[self.next])
        return self.ring.wrap(value).reshape(x.shape[1:])

    @step(rounds=1, bits="3 * planes")
    def reveal_bits(self, x: Bits) -> Values:
        # As `reveal`, to all; a plane in whatever turn it was made lacks the component that the next party has last.
        # What pads a plane to whole words belongs to no element.
        lent = np.ascontiguousarray(x.planes[1])
        arrived = self.session.exchange("reveal-bits", {self.previous: lent}, {self.next: (lent.shape, WORD)})
        opened = x.planes[0] ^ lent ^ arrived[self.next].view(np.int64)
        return planes.unpack_narrow(opened, x.count).astype(np.int64)

    # -- order ---------------------------------------------------------------------------------------------------

    @step(rounds=3, bits="6 * k")
    def shuffle(self, x: Shares, *, apart: bool = False) -> Shares:
        return self.run(self._shuffle(x, apart=apart))

    def _shuffle(self, x: Shares, *, apart: bool = False) -> Steps[Shares]:
        return shuffle(self, x, apart=apart)

    # -- local ---------------------------------------------------------------------------------------------------

    def add_public(self, x: Shares, values: Values) -> Shares:
        # A public value belongs to component 1, which the evaluators hold in different rows and the helper not at all.
        addend = torch.as_tensor(values)
        shape = np.broadcast_shapes(x.shape[1:], addend.shape)
        out = x.reshape(2, *(1,) * (len(shape) - x.dim() + 1), *x.shape[1:]).expand(2, *shape).clone()
        if self.place != HELPER:
            out[1 - self.place] += addend
        return self._wrapped(out)

    # -- truncation ----------------------------------------------------------------------------------------------

    @step(rounds=2, bits="3 * k + 3 * w")
    def product_truncated(self, kernel: Bilinear, x: Shares, y: Shares, shift: int) -> Shares:
        return self.run(self._product_truncated(kernel, x, y, shift))

    @step(rounds=1, bits="3 * k")
    def product_truncated_mostly(self, kernel: Bilinear, x: Shares, y: Shares, shift: int) -> Shares:
        return self.run(self._product_truncated_mostly(kernel, x, y, shift))

    def _product_truncated_mostly(self, kernel: Bilinear, x: Shares, y: Shares, shift: int) -> Steps[Shares]:
        return hopeful.product(self, kernel, x, y, shift)

    @step(rounds=1, bits="k + 3 * w")
    def truncate(self, x: Shares, shift: int) -> Shares:
        return self.run(self._truncate(x, shift))

    def _product_truncated(self, kernel: Bilinear, x: Shares, y: Shares, shift: int) -> Steps[Shares]:
        """The evaluators learn c = z + r under the pads ra and rb; the helper works r out alone.

        Five kernels instead of six, and the truncation rides on the same messages.
        """
        local = self.local_terms(kernel, x, y)
        flat = flat_words(local)  # ours alone: a product is never a view of its factors
        if self.place == HELPER:
            np.subtract(self.pad(FIRST, "pad-a", flat.shape), flat, out=flat)
            flat += self.pad(SECOND, "pad-b", flat.shape)
            out = yield from self._truncate_deal(flat, shift, dealt=False)
        else:
            flat += self.pad(HELPER, "pad-a" if self.place == FIRST else "pad-b", flat.shape)
            receive: dict[int, list[Expected]] = {self.peer: [(flat.shape, self.ring.wire_dtype)]}
            if self.place == SECOND:
                receive[HELPER] = self._dealt_shapes(flat.shape, shift)
            arrived = yield Round("truncate", {self.peer: [self.ring.to_wire(flat)]}, receive)
            flat += self.ring.from_wire(arrived[self.peer][0])  # an exchange ends when all that we sent has left
            self.settle(flat)
            out = yield from self._truncate_wire(flat, arrived.get(HELPER), shift)
        return out.reshape(2, *local.shape)

    def local_terms(self, kernel: Bilinear, x: Shares, y: Shares) -> torch.Tensor:
        """This party's part of the nine terms of a product: four, three and two of them."""
        if self.place == FIRST:
            return kernel(x[0] + x[1], y[0] + y[1])
        if self.place == SECOND:
            return kernel(x[1], y[0] + y[1]).add_(kernel(x[0], y[1]))
        return kernel(x[1], y[0]).add_(kernel(x[0], y[1]))  # row 0 is component 2, row 1 is component 0

    def _truncate(self, x: Shares, shift: int) -> Steps[Shares]:
        if self.place == HELPER:
            mask = flat_words(x[0] + x[1])
            np.negative(mask, out=mask)
            out = yield from self._truncate_deal(mask, shift, dealt=True)
        else:
            known = flat_words(x[1 - self.place])  # component 1
            receive = {HELPER: self._dealt_shapes(known.shape, shift)} if self.place == SECOND else {}
            arrived = yield Round("truncate", {}, receive, dealt=True)
            out = yield from self._truncate_wire(known, arrived.get(HELPER), shift)
        return out.reshape(x.shape)

    def _dealt_shapes(self, shape: tuple[int, ...], shift: int) -> list[Expected]:
        return [(shape, self.ring.wire_dtype), (shape, carrier(shift))]

    def _truncate_deal(self, mask: Values, shift: int, *, dealt: bool) -> Steps[Shares]:
        """Helper: deal -(r >> shift) and [r >= 0], additively, one half of each from the key shared with evaluator 0.

        r is the mask of z + 2^(k-2), which is not negative: the helper moves its mask by the offset and takes it off
        the result again, so that the evaluators shift what they opened as it is. Where rounding is faithful it adds
        half a unit in the same way, and does not take it off. Overwrites `mask`.
        """
        offset = 1 << self.fixed.product_bits
        mask -= offset + (1 << shift >> 1 if self.session.truncation == FAITHFUL else 0)
        self.settle(mask)
        narrow = carrier(shift)
        out = self.fresh(mask.size)
        other, first = out
        self.fill_pad(FIRST, "shifted", first)
        np.right_shift(mask, shift, out=other)
        other += first
        np.subtract(-(offset >> shift), other, out=other)
        self.settle(other)
        top = _top_words(mask, narrow, self.ring.bits)
        top += narrow.type(1)  # -1 or 0 becomes [r >= 0]
        top -= self.narrow_pad(FIRST, "top", mask.shape, narrow)
        yield Round("truncate", {SECOND: [self.ring.to_wire(other), top]}, dealt=dealt)
        _, carry = yield from self._wrap(Round("wrap"), mask, shift)
        self._add_wrap(first, self.narrow_pad(FIRST, "wrap-a", mask.shape, narrow), shift)
        self._add_wrap(other, self.narrow_pad(SECOND, "wrap-b", mask.shape, narrow), shift)
        return self._less(out, carry)

    def _truncate_wire(
        self, c: Values, dealt: Sequence[NDArray[np.signedinteger]] | None, shift: int
    ) -> Steps[Shares]:
        """Evaluators: shift c locally, and add 2^(k - shift) where z + r ran over the top: r >= 0 and c < 0, as signed.

        Right for -2^(k-2) <= z <= 2^(k-2) - 2^shift: then z + 2^(k-2) lies in [0, 2^(k-1)) and overflows at most once.
        Where rounding is faithful, half a unit more is still inside.
        """
        narrow = carrier(shift)
        out = self.fresh(c.size)
        outer, middle = out if self.place == FIRST else out[::-1]
        if dealt is None:
            self.fill_pad(HELPER, "shifted", outer)
            top = self.narrow_pad(HELPER, "top", c.shape, narrow)
        else:
            np.copyto(outer, dealt[0])
            top = dealt[1]
        # The sign of c is 0 or all ones, so it keeps `top` exactly where c is negative.
        wrapped = _top_words(c, narrow, self.ring.bits)
        wrapped &= top
        pad = self.narrow_pad(HELPER, "wrap-a" if self.place == FIRST else "wrap-b", c.shape, narrow)
        wrapped -= pad
        wrap = Round("wrap", {self.peer: [wrapped]}, {self.peer: [(c.shape, narrow)]})
        arrived, carry = yield from self._wrap(wrap, c, shift)
        np.right_shift(c, shift, out=middle)
        self._add_wrap(middle, wrapped + arrived[self.peer][0], shift)
        self._add_wrap(outer, pad, shift)
        return self._less(out, carry)

    def _wrap(self, wrap: Round, known: Values, shift: int) -> Steps[tuple[Arrived, Shares | None]]:
        """What arrived; where rounding is faithful, also [c mod 2^s < r mod 2^s] as a word, in rounds beside it.

        c >> s less r >> s is too high by exactly that carry. `known` is c at the evaluators, r at the helper.
        """
        if self.session.truncation != FAITHFUL:
            return (yield wrap), None
        gates: list[Steps[Any]] = [_alone(wrap), self._carry(planes.to_planes(known, shift), known.size)]
        arrived, carry = yield from rounds.abreast(self.session.randomness, gates)
        return arrived, carry

    @abstractmethod
    def _carry(self, low: Planes, count: int) -> Steps[Shares]:
        """[C < R] as a flat word, for planes of C at the evaluators and of R at the helper."""

    def _less(self, out: Values, carry: Shares | None) -> Shares:
        if carry is not None:
            out -= carry.numpy()
            self.settle(out)
        return torch.as_tensor(out)

    def _add_wrap(self, words: Values, wrap: NDArray[np.signedinteger], shift: int) -> None:
        """words += wrap * 2^(k - shift), in place. Bits of the carrier above `shift` fall off the top of the ring."""
        if _TOP_LAST and self.ring.bits == 64 and shift == 8 * wrap.itemsize:
            lanes = 8 // wrap.itemsize
            words.view(wrap.dtype)[lanes - 1 :: lanes] += wrap  # the top of each word; the rest stays as it is
            return
        words += wrap.astype(np.int64) << (self.ring.bits - shift)
        self.settle(words)

    def settle(self, words: Values) -> None:
        """Wrap in place."""
        if self.ring.bits != 64:
            np.copyto(words, self.ring.wrap(words))

    # -- bits ----------------------------------------------------------------------------------------------------

    def xor(self, x: Bits, y: Bits) -> Bits:
        return Bits(x.planes ^ y.planes, x.count)

    def invert(self, x: Bits) -> Bits:
        return Bits(x.planes ^ self._components({1: np.int64(-1)}), x.count)

    # -- small change --------------------------------------------------------------------------------------------

    def fresh(self, count: int) -> Values:
        """Memory for the two rows of a result."""
        return np.empty((2, count), dtype=np.int64)

    def fill_pad(self, peer: int, purpose: str, words: Values) -> None:
        """Overwrite `words` with a pad."""
        if self.ring.bits == 64:
            self.session.randomness.fill(self._party(peer), self._role + purpose, words)
        else:
            words[...] = self.pad(peer, purpose, words.shape)

    def pad(self, peer: int, purpose: str, shape: tuple[int, ...]) -> Values:
        """Uniform ring elements that the party in role `peer` draws as well."""
        return self.session.randomness.words(self._party(peer), self._role + purpose, shape, self.ring)

    def narrow_pad(
        self, peer: int, purpose: str, shape: tuple[int, ...], dtype: np.dtype[np.signedinteger]
    ) -> NDArray[np.signedinteger]:
        """The same in a narrower type. It is part of the address, so that streams of all widths stay aligned."""
        address = f"{self._role}{purpose}-{dtype.itemsize}"
        return self.session.randomness.narrow(self._party(peer), address, shape, dtype)

    def bit_pad(self, peer: int, purpose: str, shape: tuple[int, ...]) -> NDArray[np.int64]:
        """Uniform bit planes."""
        drawn = self.session.randomness.narrow(self._party(peer), self._role + purpose, shape, WORD)
        return drawn.view(np.int64)

    def order_words(self, peer: int, purpose: str, shape: tuple[int, ...]) -> Values:
        """Uniform 64-bit words, whatever the ring, to draw an order from."""
        return self.bit_pad(peer, purpose, shape)

    def blind(self, peer: int, purpose: str, words: NDArray[np.signedinteger]) -> None:
        """Exclusive-or into `words` what `peer` draws as `bit_pad`."""
        self.session.randomness.blind(self._party(peer), self._role + purpose, words)

    def _party(self, role: int) -> int:
        return (role + self.turn) % 3

    def _arrange(self, components: dict[int, NDArray[np.int64]], shape: tuple[int, ...]) -> NDArray[np.int64]:
        """The two rows that this party holds; a component not named is zero."""
        zero = np.zeros(shape, dtype=np.int64)
        return np.stack([components.get(self.place, zero), components.get(self.next, zero)])

    def _components(self, components: dict[int, np.int64]) -> NDArray[np.int64]:
        return np.array([components.get(self.place, 0), components.get(self.next, 0)], dtype=np.int64)[:, None, None]

    def _rows(self, components: dict[int, Values], shape: tuple[int, ...]) -> Shares:
        return torch.as_tensor(self._arrange(components, shape))


def _third_holder(component: int, owner: int) -> int:
    """Component j is held by parties j and j-1; the holder that is not the owner."""
    holders = {component, (component - 1) % 3}
    return (holders - {owner}).pop()


def _top_words(words: Values, narrow: np.dtype[np.signedinteger], ring_bits: int) -> NDArray[np.signedinteger]:
    """-1 for negative words and 0 for others, in a narrower type; reads only the top of each word where it can."""
    if _TOP_LAST and ring_bits == 64:
        lanes = 8 // narrow.itemsize
        return np.asarray(words.view(narrow)[lanes - 1 :: lanes] >> (8 * narrow.itemsize - 1))
    return np.asarray((words >> 63).astype(narrow))


def _alone(only: Round) -> Steps[Arrived]:
    """A gate of one round."""
    return (yield only)


def stack(row0: Values, row1: Values, shape: Sequence[int] | None = None) -> Shares:
    stacked = torch.as_tensor(np.stack([row0, row1]))
    return stacked if shape is None else stacked.reshape(2, *shape)


def flat_words(x: torch.Tensor) -> Values:
    """Gates work on flat arrays: numpy turns sums of 0-d arrays into scalars, which warn where arrays wrap."""
    return x.reshape(-1).numpy()
