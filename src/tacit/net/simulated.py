"""A simulated network: real processes, and between them one relay that makes the weather.

Delay, bandwidth and every kind of bad luck are named options; luck is drawn from a seed, so a failing run can be had
again. Without options the relay only forwards. Not for measurements of real networks, and never between machines: the
relay reads every frame, and nothing on these links is encrypted.
"""

from __future__ import annotations

import contextlib
import select
import socket
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic

from tacit.crypto.primitives import Stream, digest
from tacit.errors import PeerGarbage
from tacit.net.channel import keep_only
from tacit.net.frames import Kind, decode_header

READ_BYTES = 1 << 20
QUEUE_BYTES_MAX = 64 << 20  # a sender ahead of its receiver by more has to wait, as with a real network
GARBAGE_BYTES = 64

Way = tuple[int, int]  # (sender, receiver)


@dataclass(frozen=True, slots=True)
class Weather:
    """What the network does to whom. The number is the frame it happens to, counted from 1 on that way without PINGs.

    `crash_after` counts the frames of one party on all its ways; when they are through, all its links are cut at once.
    """

    latency_s: float = 0.0
    bandwidth_bits_s: float | None = None  # of each way
    seed: int = 0
    crash_after: Mapping[int, int] = field(default_factory=dict)
    drop: Mapping[Way, int] = field(default_factory=dict)  # the frame never arrives
    flip: Mapping[Way, int] = field(default_factory=dict)  # one bit of it is changed
    truncate: Mapping[Way, int] = field(default_factory=dict)  # half of it arrives, then the link is cut
    garbage: Mapping[Way, int] = field(default_factory=dict)  # random bytes arrive before it
    duplicate: Mapping[Way, int] = field(default_factory=dict)  # it arrives twice
    reorder: Mapping[Way, int] = field(default_factory=dict)  # it arrives after the next one
    hold: Mapping[Way, int] = field(default_factory=dict)  # it and all that follow wait for ever


def simulated_channels(parties: int, weather: Weather) -> tuple[list[dict[int, socket.socket]], Relay]:
    """(ends, relay): element i of `ends` is {peer: socket} for party i; `relay()` must run in a process of its own.

    The processes are to be forked by the caller. A party keeps its own ends only (channel.keep_only) and calls
    `relay.close()`; the parent keeps nothing; or the end of a party would go unnoticed. The relay returns when all
    parties have gone.
    """
    ends: list[dict[int, socket.socket]] = [{} for _ in range(parties)]
    inner: list[dict[int, socket.socket]] = [{} for _ in range(parties)]
    for place in range(parties):
        for peer in range(parties):
            if peer != place:
                ends[place][peer], inner[place][peer] = socket.socketpair()
    return ends, Relay(ends, inner, weather)


class Wire:
    """One way between two parties: bytes in, whole frames with their hour of arrival out."""

    def __init__(self, way: Way, source: socket.socket, target: socket.socket) -> None:
        self.way = way
        self.source: socket.socket | None = source  # None: the sender will say no more
        self.target: socket.socket | None = target  # None: nothing more can be delivered
        self.inbox = bytearray()
        self.due: deque[tuple[float, memoryview]] = deque()
        self.queued_bytes = 0
        self.frames = 0
        self.free_s = 0.0  # when the way has carried everything given to it
        self.opaque = False  # the sender's bytes are no frames: forward them as they are
        self.held = False
        self.postponed: bytes | None = None
        self.cut_at_end = False


class Relay:
    """What runs between the parties. `ends` are theirs, `inner` the other halves of the same socketpairs."""

    def __init__(
        self, ends: list[dict[int, socket.socket]], inner: list[dict[int, socket.socket]], weather: Weather
    ) -> None:
        self._ends = ends
        self._inner = inner
        self._weather = weather
        self._luck = Stream(digest(b"tacit weather", str(weather.seed).encode()))
        self._sent_by = [0] * len(inner)
        self._wires: dict[Way, Wire] = {}
        for place, owned in enumerate(inner):
            for peer, sock in owned.items():
                sock.setblocking(False)
                self._wires[place, peer] = Wire((place, peer), sock, inner[peer][place])
        self._effects: dict[str, Callable[[Wire, bytes], list[bytes]]] = {
            "drop": lambda wire, frame: [],
            "flip": self._flip,
            "truncate": self._truncate,
            "garbage": lambda wire, frame: [self._random(GARBAGE_BYTES), frame],
            "duplicate": lambda wire, frame: [frame, frame],
            "reorder": self._postpone,
            "hold": self._hold,
        }

    def close(self) -> None:
        """For every process but the relay's own."""
        keep_only(self._inner, None)

    def __call__(self) -> None:
        keep_only(self._ends, None)
        while any(wire.source is not None or wire.target is not None for wire in self._wires.values()):
            for _, events, wire, writing in self._poll():
                if writing:
                    self._deliver(wire)
                elif events:
                    self._take(wire)
        self.close()

    def _poll(self) -> list[tuple[int, int, Wire, bool]]:
        now_s = monotonic()
        wake_s = float("inf")
        poll = select.poll()
        masks: dict[int, int] = {}
        roles: list[tuple[int, int, Wire, bool]] = []
        for wire in self._wires.values():
            if wire.source is not None and wire.queued_bytes < QUEUE_BYTES_MAX:
                fd = wire.source.fileno()
                masks[fd] = masks.get(fd, 0) | select.POLLIN
                roles.append((fd, select.POLLIN | select.POLLHUP | select.POLLERR, wire, False))
            if wire.target is not None and wire.due:
                if wire.due[0][0] <= now_s:
                    fd = wire.target.fileno()
                    masks[fd] = masks.get(fd, 0) | select.POLLOUT
                    roles.append((fd, select.POLLOUT | select.POLLHUP | select.POLLERR, wire, True))
                else:
                    wake_s = min(wake_s, wire.due[0][0])
        for fd, mask in masks.items():
            poll.register(fd, mask)
        timeout_ms = None if wake_s == float("inf") else max(0.0, wake_s - now_s) * 1000 + 1
        ready = dict(poll.poll(timeout_ms))
        return [(fd, events, wire, writing) for fd, events, wire, writing in roles if ready.get(fd, 0) & events]

    def _take(self, wire: Wire) -> None:
        if wire.source is None:
            return  # cut by a crash in this very round
        try:
            piece = wire.source.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if not piece:
            wire.source = None
            self._finish(wire)
            return
        wire.inbox += piece
        self._sort(wire)

    def _sort(self, wire: Wire) -> None:
        while wire.inbox and wire.source is not None:
            frame: bytes | None = bytes(wire.inbox) if wire.opaque else None
            counts = not wire.opaque
            if not wire.opaque:
                try:
                    with memoryview(wire.inbox) as view:
                        header = decode_header(view, "a simulated party")
                except PeerGarbage:
                    wire.opaque = True
                    continue
                if header is None or len(wire.inbox) < header.header_bytes + header.payload_bytes:
                    return
                frame = bytes(memoryview(wire.inbox)[: header.header_bytes + header.payload_bytes])
                counts = header.kind is not Kind.PING
            assert frame is not None
            del wire.inbox[: len(frame)]
            self._forward(wire, frame, counts)

    def _forward(self, wire: Wire, frame: bytes, counts: bool) -> None:
        pieces = [frame]
        if counts:
            wire.frames += 1
            self._sent_by[wire.way[0]] += 1
            for name, effect in self._effects.items():
                if getattr(self._weather, name).get(wire.way) == wire.frames:
                    pieces = effect(wire, frame)
        if wire.postponed is not None and frame is not wire.postponed:
            pieces.append(wire.postponed)
            wire.postponed = None
        if not wire.held:
            for piece in pieces:
                self._queue(wire, piece)
        place = wire.way[0]
        if counts and self._weather.crash_after.get(place) == self._sent_by[place]:
            self._crash(place)
        elif wire.cut_at_end:
            self._end_source(wire)

    def _queue(self, wire: Wire, piece: bytes) -> None:
        if wire.target is None:
            return
        rate = self._weather.bandwidth_bits_s
        start_s = max(monotonic(), wire.free_s)
        wire.free_s = start_s + (0.0 if rate is None else len(piece) * 8 / rate)
        wire.due.append((wire.free_s + self._weather.latency_s, memoryview(piece)))
        wire.queued_bytes += len(piece)
        if wire.due[0][0] <= monotonic():
            self._deliver(wire)

    def _deliver(self, wire: Wire) -> None:
        while wire.target is not None and wire.due and wire.due[0][0] <= monotonic():
            hour_s, view = wire.due[0]
            try:
                count = wire.target.send(view, socket.MSG_NOSIGNAL)
            except BlockingIOError:
                return
            except OSError:  # the receiver has gone; the sender hears it on the way back
                wire.due.clear()
                wire.target = None
                return
            wire.queued_bytes -= count
            if count == len(view):
                wire.due.popleft()
            else:
                wire.due[0] = (hour_s, view[count:])
        self._finish(wire)

    def _finish(self, wire: Wire) -> None:
        """Pass the end of the sender on, once everything before it has arrived."""
        if wire.source is None and not wire.due and wire.target is not None:
            with contextlib.suppress(OSError):
                wire.target.shutdown(socket.SHUT_WR)
            wire.target = None

    def _end_source(self, wire: Wire) -> None:
        if wire.source is not None:
            with contextlib.suppress(OSError):
                wire.source.shutdown(socket.SHUT_RD)
            wire.source = None
        self._finish(wire)

    # -- bad luck

    def _random(self, count: int) -> bytes:
        block = bytearray(count)
        self._luck.fill(memoryview(block))
        return bytes(block)

    def _flip(self, wire: Wire, frame: bytes) -> list[bytes]:
        changed = bytearray(frame)
        position = int.from_bytes(self._random(8), "little") % (8 * len(frame))
        changed[position // 8] ^= 1 << position % 8
        return [bytes(changed)]

    def _truncate(self, wire: Wire, frame: bytes) -> list[bytes]:
        wire.cut_at_end = True
        return [frame[: len(frame) // 2]]

    def _postpone(self, wire: Wire, frame: bytes) -> list[bytes]:
        wire.postponed = frame
        return []

    def _hold(self, wire: Wire, frame: bytes) -> list[bytes]:
        wire.held = True
        return []

    def _crash(self, place: int) -> None:
        for wire in self._wires.values():
            if place in wire.way:
                self._end_source(wire)
                if wire.way[1] == place:
                    wire.due.clear()
                    self._finish(wire)
