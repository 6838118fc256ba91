"""Three parties, one may be curious: replicated secret sharing over Z_2^k with Boolean adders. The reference protocol.

Paper    Araki, Furukawa, Lindell, Nof, Ohara: High-throughput semi-honest secure three-party computation with an honest
         majority, CCS 2016 (eprint 2016/768): sharing, multiplication, bits. Truncation and the conversions between
         bits and words use that every such sharing is also a masked value: docs/design/fixed-point.md.
Holds    party i: x_i and x_(i+1), where x = x_0 + x_1 + x_2 mod 2^k; bits likewise with exclusive or.
Layout   int64 [2, *shape]: row 0 is x_i, row 1 is x_(i+1).
Masked   c = x_1 is known to parties 0 and 1 (evaluators), r = -(x_0 + x_2) to party 2 (helper); x = c - r.
Safe if  at most one party looks at its own view; channels are private and authentic.
Shows    shapes, the order of operations, timing. The rounding offset of a truncation is known to every party, so an
         opened value tells what it was before rounding up to one unit. Nothing else.
Not here a party that lies or stops early without being noticed: whatever it sends is believed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from tacit.protocols import bits as circuits
from tacit.protocols.interface import Bits, Protocol, Shares, Values, step
from tacit.ring import planes
from tacit.ring.kernels import Bilinear
from tacit.ring.words import carrier
from tacit.session.session import Message, Session

FIRST, SECOND, HELPER = 0, 1, 2  # the two evaluators and the helper
#: Component j of an input that the owner masks, and component j that then carries the masked value.
_INPUT = {FIRST: (0, 1), SECOND: (2, 1), HELPER: (2, 0)}


class Replicated3(Protocol):
    """The reference: every gate by the book, and every cost declared."""

    name = "replicated3"
    components = 2
    protection = "semi-honest; any two parties together can read everything"

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.place = session.place
        self.next = (self.place + 1) % 3  # shares component i+1 with us
        self.previous = (self.place - 1) % 3  # shares component i with us

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
            components[masked] = self._pad(reader, "share", shape)
            components[carrying] = self.ring.wrap(values - components[masked])
            send[receiver] = self.ring.to_wire(components[carrying])
        elif self.place == reader:
            components[masked] = self._pad(owner, "share", shape)
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
        send = {self.previous: self.ring.to_wire(_flat(x[1]))} if self.previous in receivers else {}
        receive = {self.next: ((x[0].numel(),), self.ring.wire_dtype)} if self.place in receivers else {}
        arrived = self.session.exchange("reveal", send, receive)
        if self.place not in receivers:
            return None
        value = _flat(x[0]) + _flat(x[1]) + self.ring.from_wire(arrived[self.next])
        return self.ring.wrap(value).reshape(x.shape[1:])

    # -- local ---------------------------------------------------------------------------------------------------

    def add_public(self, x: Shares, values: Values) -> Shares:
        # A public value belongs to component 1, which the evaluators hold in different rows and the helper not at all.
        addend = torch.as_tensor(values)
        shape = np.broadcast_shapes(x.shape[1:], addend.shape)
        out = x.reshape(2, *(1,) * (len(shape) - x.dim() + 1), *x.shape[1:]).expand(2, *shape).clone()
        if self.place != HELPER:
            out[1 - self.place] += addend
        return self._wrapped(out)

    # -- products ------------------------------------------------------------------------------------------------

    @step(rounds=1, bits="3 * k")
    def product(self, kernel: Bilinear, x: Shares, y: Shares) -> Shares:
        local = kernel(x[0], y[0] + y[1]) + kernel(x[1], y[0])
        mine = self.ring.wrap(_flat(local) + self._zero("product", (local.numel(),)))
        arrived = self.session.exchange(
            "product", {self.previous: self.ring.to_wire(mine)}, {self.next: (mine.shape, self.ring.wire_dtype)}
        )
        return _stack(mine, self.ring.from_wire(arrived[self.next]), local.shape)

    @step(rounds=2, bits="3 * k + 3 * w")
    def product_truncated(self, kernel: Bilinear, x: Shares, y: Shares, shift: int) -> Shares:
        # The evaluators learn c = z + r under the pads ra and rb; the helper works r out alone. Five kernels instead
        # of six, and the truncation rides on the same messages.
        if self.place == FIRST:
            local = kernel(x[0] + x[1], y[0] + y[1])
            return self._truncate_open(_flat(local), SECOND, "pad-a", shift).reshape(2, *local.shape)
        if self.place == SECOND:
            local = kernel(x[1], y[0] + y[1]) + kernel(x[0], y[1])
            return self._truncate_open(_flat(local), FIRST, "pad-b", shift).reshape(2, *local.shape)
        # Held here: row 0 is component 2, row 1 is component 0.
        local = kernel(x[1], y[0]) + kernel(x[0], y[1])
        flat = (local.numel(),)
        mask = self._pad(FIRST, "pad-a", flat) + self._pad(SECOND, "pad-b", flat) - _flat(local)
        return self._truncate_deal(self.ring.wrap(mask), shift).reshape(2, *local.shape)

    def _truncate_open(self, local: Values, peer: int, purpose: str, shift: int) -> Shares:
        """Evaluator: exchange the blinded local terms, then finish as `_truncate_wire`."""
        blinded = self.ring.wrap(local + self._pad(HELPER, purpose, local.shape))
        receive = {peer: (local.shape, self.ring.wire_dtype)}
        if self.place == SECOND:
            receive |= self._dealt_shapes(local.shape, shift)
        arrived = self.session.exchange("truncate", {peer: self.ring.to_wire(blinded)}, receive)
        masked = blinded + self.ring.from_wire(arrived[peer])
        return self._truncate_wire(masked, arrived.get(HELPER), shift)

    @step(rounds=2, bits="k + 3 * w")
    def truncate(self, x: Shares, shift: int) -> Shares:
        if self.place == HELPER:
            return self._truncate_deal(self.ring.wrap(-_flat(x[0] + x[1])), shift).reshape(x.shape)
        masked = _flat(x[1 - self.place])  # component 1
        receive = self._dealt_shapes(masked.shape, shift) if self.place == SECOND else {}
        arrived = self.session.exchange("truncate", {}, receive)
        return self._truncate_wire(masked, arrived.get(HELPER), shift).reshape(x.shape)

    def _dealt_shapes(self, shape: tuple[int, ...], shift: int) -> dict[int, tuple[tuple[int, ...], np.dtype]]:
        # One message: the word of r >> shift and the narrow word of its sign, side by side.
        width = self.ring.wire_dtype.itemsize + carrier(shift).itemsize
        return {HELPER: ((int(np.prod(shape)) * width,), np.dtype(np.int8))}

    def _truncate_deal(self, mask: Values, shift: int) -> Shares:
        """Helper: deal r >> shift and [r >= 0], additively, one half of each from the key shared with evaluator 0."""
        narrow = carrier(shift)
        first = self._pad(FIRST, "shifted", mask.shape)
        second = self.ring.wrap(-(mask >> shift) - first)
        top = (mask >= 0).astype(narrow) - self._narrow(FIRST, "top", mask.shape, narrow)
        message = np.concatenate(
            [self.ring.to_wire(second).reshape(-1).view(np.int8), top.reshape(-1).view(np.int8)]
        )
        self.session.exchange("truncate", {SECOND: message}, {})
        self.session.exchange("wrap", {}, {})
        qa = self._narrow(FIRST, "wrap-a", mask.shape, narrow)
        qb = self._narrow(SECOND, "wrap-b", mask.shape, narrow)
        return _stack(self._with_wrap(second, qb, shift), self._with_wrap(first, qa, shift))

    def _truncate_wire(self, masked: Values, dealt: NDArray[np.signedinteger] | None, shift: int) -> Shares:
        """Evaluators: shift c locally, and add 2^(k - shift) where z + r ran over the top: r >= 0 and c < 0, as signed.

        Right for -2^(k-2) <= z <= 2^(k-2) - 2^shift: then z + 2^(k-2) lies in [0, 2^(k-1)) and overflows at most once.
        """
        offset = 1 << self.fixed.product_bits
        c = self.ring.wrap(masked + offset)
        narrow = carrier(shift)
        if dealt is None:
            own = self._pad(HELPER, "shifted", c.shape)
            top = self._narrow(HELPER, "top", c.shape, narrow)
        else:
            split = c.size * self.ring.wire_dtype.itemsize
            own = self.ring.from_wire(dealt[:split].view(self.ring.wire_dtype).reshape(c.shape))
            top = dealt[split:].view(narrow).reshape(c.shape)
        # The sign word of c is 0 or all ones, so it keeps `top` exactly where c is negative.
        wrapped = top & (c >> 63).astype(narrow)
        pad = self._narrow(HELPER, "wrap-a" if self.place == FIRST else "wrap-b", c.shape, narrow)
        sent = wrapped - pad
        peer = SECOND if self.place == FIRST else FIRST
        arrived = self.session.exchange("wrap", {peer: np.ascontiguousarray(sent)}, {peer: (c.shape, narrow)})
        middle = self._with_wrap((c >> shift) - (offset >> shift), sent + arrived[peer], shift)
        outer = self._with_wrap(own, pad, shift)
        return _stack(outer, middle) if self.place == FIRST else _stack(middle, outer)

    def _with_wrap(self, words: Values, wrap: NDArray[np.signedinteger], shift: int) -> Values:
        # Bits of the carrier above `shift` fall off the top of the ring: the words need no masking.
        return self.ring.wrap(words + (wrap.astype(np.int64) << (self.ring.bits - shift)))

    # -- bits ----------------------------------------------------------------------------------------------------

    @step(rounds="2 + depth(k - 1)", bits="k + 3 * (k - 1) + 3 * carry_ands(k - 1)")
    def is_negative(self, x: Shares) -> Bits:
        # x = c + e with e = x_0 + x_2: one adder on two numbers that each lie whole with somebody.
        own = self._words_of_helper(x)
        c, e = self._two_inputs(x, own)
        low_c, low_e = Bits(c.planes[:, :-1], c.count), Bits(e.planes[:, :-1], e.count)
        generate = self.and_(low_c, low_e)
        carry = circuits.carry_out(self, generate, self.xor(low_c, low_e))
        return self.xor(carry, self.xor(c.plane(-1 % self.ring.bits), e.plane(-1 % self.ring.bits)))

    @step(rounds="1 + depth(k)", bits="k + 3 * (k - 1)")
    def is_zero(self, x: Shares) -> Bits:
        # x = c - r is zero exactly where c and r agree in every bit.
        own = self._words_of_helper(x)
        c, r = self._two_inputs(x, None if own is None else self.ring.wrap(-own))
        return circuits.all_of(self, self.invert(self.xor(c, r)))

    @step(rounds=1, bits="3 * planes")
    def and_(self, x: Bits, y: Bits) -> Bits:
        (x0, x1), (y0, y1) = x.planes, y.planes
        mine = (x0 & (y0 ^ y1)) ^ (x1 & y0) ^ self._zero_bits(x0.shape)
        arrived = self.session.exchange("and", {self.previous: mine}, {self.next: (mine.shape, _WORD)})
        return Bits(np.stack([mine, arrived[self.next].view(np.int64)]), x.count)

    def xor(self, x: Bits, y: Bits) -> Bits:
        return Bits(x.planes ^ y.planes, x.count)

    def invert(self, x: Bits) -> Bits:
        return Bits(x.planes ^ self._components({1: np.int64(-1)}), x.count)

    @step(rounds=2, bits="3 * k")
    def from_bits(self, x: Bits, shape: tuple[int, ...]) -> Shares:
        # b = d ^ m with d = b_1 at the evaluators and m = b_0 ^ b_2 at the helper, so b = d + (1 - 2 d) m: linear in m
        # once d is known. The helper deals m; the evaluators hold b in two parts and share them again.
        flat = (x.count,)
        if self.place == HELPER:
            m = planes.unpack(x.planes[0, 0] ^ x.planes[1, 0], x.count)
            second = self.ring.wrap(m - self._pad(FIRST, "deal-bit", flat))
            self.session.exchange("deal", {SECOND: self.ring.to_wire(second)}, {})
            self.session.exchange("reshare", {}, {})
            return _stack(self._pad(SECOND, "reshare-b", flat), self._pad(FIRST, "reshare-a", flat), shape)
        receive = {HELPER: (flat, self.ring.wire_dtype)} if self.place == SECOND else {}
        arrived = self.session.exchange("deal", {}, receive)
        part = self.ring.from_wire(arrived[HELPER]) if arrived else self._pad(HELPER, "deal-bit", flat)
        d = planes.unpack(x.planes[1 - self.place, 0], x.count)
        two_part = (1 - 2 * d) * part + (d if self.place == FIRST else 0)
        return self._reshare(two_part).reshape(2, *shape)

    def _reshare(self, two_part: Values) -> Shares:
        """Evaluators: from u_0 + u_1 back to three components. The helper draws its two from the same pads."""
        purpose, peer = ("reshare-a", SECOND) if self.place == FIRST else ("reshare-b", FIRST)
        outer = self._pad(HELPER, purpose, two_part.shape)
        sent = self.ring.wrap(two_part - outer)
        receive = {peer: (two_part.shape, self.ring.wire_dtype)}
        arrived = self.session.exchange("reshare", {peer: self.ring.to_wire(sent)}, receive)
        middle = self.ring.wrap(sent + self.ring.from_wire(arrived[peer]))
        return _stack(outer, middle) if self.place == FIRST else _stack(middle, outer)

    def _words_of_helper(self, x: Shares) -> Values | None:
        """x_0 + x_2, which only the helper can add up."""
        return self.ring.wrap(_flat(x[0] + x[1])) if self.place == HELPER else None

    def _two_inputs(self, x: Shares, own: Values | None) -> tuple[Bits, Bits]:
        """Boolean sharings, one plane per bit, of component 1 (no message) and of the helper's words (k bits)."""
        count = x[0].numel()
        shape = (self.ring.bits, planes.words_per_plane(count))
        send: dict[int, Message] = {}
        components: dict[int, NDArray[np.int64]] = {}
        if self.place == HELPER:
            assert own is not None
            components[2] = self._bit_pad(SECOND, "input-bits", shape)
            components[0] = planes.to_planes(own, self.ring.bits) ^ components[2]
            send[FIRST] = np.ascontiguousarray(components[0])
        elif self.place == SECOND:
            components[2] = self._bit_pad(HELPER, "input-bits", shape)
        arrived = self.session.exchange("input", send, {HELPER: (shape, _WORD)} if self.place == FIRST else {})
        if self.place == FIRST:
            components[0] = arrived[HELPER].view(np.int64)
        masked = {} if self.place == HELPER else {1: planes.to_planes(_flat(x[1 - self.place]), self.ring.bits)}
        return Bits(self._arrange(masked, shape), count), Bits(self._arrange(components, shape), count)

    # -- small change --------------------------------------------------------------------------------------------

    def _pad(self, peer: int, purpose: str, shape: tuple[int, ...]) -> Values:
        return self.session.randomness.words(peer, purpose, shape, self.ring)

    def _narrow(
        self, peer: int, purpose: str, shape: tuple[int, ...], dtype: np.dtype[np.signedinteger]
    ) -> NDArray[np.signedinteger]:
        # The width is part of the address, so that streams of different widths stay aligned at both ends.
        return self.session.randomness.narrow(peer, f"{purpose}-{dtype.itemsize}", shape, dtype)

    def _bit_pad(self, peer: int, purpose: str, shape: tuple[int, ...]) -> NDArray[np.int64]:
        return self.session.randomness.narrow(peer, purpose, shape, _WORD).view(np.int64)

    def _zero(self, purpose: str, shape: tuple[int, ...]) -> Values:
        """Summands that add up to zero over the parties and are uniform to any one of them."""
        return self._pad(self.next, f"zero-{purpose}", shape) - self._pad(self.previous, f"zero-{purpose}", shape)

    def _zero_bits(self, shape: tuple[int, ...]) -> NDArray[np.int64]:
        return self._bit_pad(self.next, "zero-bits", shape) ^ self._bit_pad(self.previous, "zero-bits", shape)

    def _arrange(self, components: dict[int, NDArray[np.int64]], shape: tuple[int, ...]) -> NDArray[np.int64]:
        """The two rows that this party holds; a component not named is zero."""
        zero = np.zeros(shape, dtype=np.int64)
        return np.stack([components.get(self.place, zero), components.get(self.next, zero)])

    def _components(self, components: dict[int, np.int64]) -> NDArray[np.int64]:
        return np.array([components.get(self.place, 0), components.get(self.next, 0)], dtype=np.int64)[:, None, None]

    def _rows(self, components: dict[int, Values], shape: tuple[int, ...]) -> Shares:
        return torch.as_tensor(self._arrange(components, shape))


_WORD = np.dtype("<i8")


def _third_holder(component: int, owner: int) -> int:
    """Component j is held by parties j and j-1; the holder that is not the owner."""
    holders = {component, (component - 1) % 3}
    return (holders - {owner}).pop()


def _stack(row0: Values, row1: Values, shape: Sequence[int] | None = None) -> Shares:
    stacked = torch.as_tensor(np.stack([row0, row1]))
    return stacked if shape is None else stacked.reshape(2, *shape)


def _flat(x: torch.Tensor) -> Values:
    """Gates work on flat arrays: numpy turns sums of 0-d arrays into scalars, which warn where arrays wrap."""
    return x.reshape(-1).numpy()
