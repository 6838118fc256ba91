"""A line of known speed for real TCP connections: a relay with a delay and a bandwidth for each direction.

    python -m tacit.net.shaped '{"routes": [[fd, "127.0.0.1", 7101]], "latency_s": 0.02, "bandwidth_bits_s": 352e6}'

Each route is one line: whatever is accepted at the listening descriptor goes to the target, and all connections of a
route share its bandwidth, as the two connections of a pair of parties share a real line. It forwards bytes that it
cannot read. The relay ends when its standard input has ended and no connection is left.
Delayed are bytes, not the opening of a connection; nothing is lost and nothing changes its order. For measurements on
one machine where the kernel's own shaping is not at hand. Bad luck of every kind is simulated.py.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from time import monotonic

READ_BYTES = 64 * 1024
QUEUE_BYTES = 1 << 20  # what a line holds beyond the bytes in flight; then its sender has to wait

Target = tuple[str, int]


class Way:
    """One direction of one line, shared by its connections: when it will have carried what it was given."""

    def __init__(self, latency_s: float, bandwidth_bits_s: float | None) -> None:
        self._latency_s = latency_s
        self._rate = bandwidth_bits_s
        self._free_s = 0.0
        in_flight = 0.0 if bandwidth_bits_s is None else latency_s * bandwidth_bits_s / 8
        self.room_bytes = 64 * QUEUE_BYTES if bandwidth_bits_s is None else QUEUE_BYTES + int(in_flight)
        self.queued_bytes = 0

    def arrival_s(self, count: int, now_s: float) -> float:
        """When `count` bytes given now are through."""
        self._free_s = max(now_s, self._free_s) + (0.0 if self._rate is None else count * 8 / self._rate)
        return self._free_s + self._latency_s


class Pipe:
    """One direction of one connection."""

    def __init__(self, source: socket.socket, target: socket.socket, way: Way) -> None:
        self.source, self.target, self.way = source, target, way
        self.due: deque[tuple[float, memoryview]] = deque()
        self.ended = False  # the source will say no more
        self.done = False  # and all it said has been delivered, or nobody is there to take it

    def take(self, now_s: float) -> None:
        try:
            piece = self.source.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if piece:
            self.due.append((self.way.arrival_s(len(piece), now_s), memoryview(piece)))
            self.way.queued_bytes += len(piece)
        else:
            self.ended = True

    def deliver(self, now_s: float) -> None:
        while self.due and self.due[0][0] <= now_s:
            hour_s, view = self.due[0]
            try:
                count = self.target.send(view, socket.MSG_NOSIGNAL)
            except BlockingIOError:
                return
            except OSError:
                self.drop()
                return
            self.way.queued_bytes -= count
            if count == len(view):
                self.due.popleft()
            else:
                self.due[0] = (hour_s, view[count:])
        if self.ended and not self.due:
            with contextlib.suppress(OSError):
                self.target.shutdown(socket.SHUT_WR)
            self.done = True

    def drop(self) -> None:
        self.way.queued_bytes -= sum(len(view) for _, view in self.due)
        self.due.clear()
        self.ended = self.done = True
        with contextlib.suppress(OSError):
            self.source.shutdown(socket.SHUT_RDWR)


class Line:
    """One route: a listening socket, a target, and a way in each direction."""

    def __init__(
        self, listener: socket.socket, target: Target, latency_s: float, bandwidth_bits_s: float | None
    ) -> None:
        listener.setblocking(False)
        self.listener, self._target = listener, target
        self._up, self._down = Way(latency_s, bandwidth_bits_s), Way(latency_s, bandwidth_bits_s)
        self.pipes: list[Pipe] = []

    def accept(self) -> None:
        try:
            caller, _ = self.listener.accept()
        except OSError:
            return
        try:
            called = socket.create_connection(self._target)
        except OSError:  # nobody is there yet: the caller tries again
            caller.close()
            return
        for sock in (caller, called):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pipes += [Pipe(caller, called, self._up), Pipe(called, caller, self._down)]

    def clear(self) -> None:
        """Close the connections that have ended in both directions; the two pipes of one stand side by side."""
        left: list[Pipe] = []
        for there, back in zip(self.pipes[::2], self.pipes[1::2], strict=True):
            if there.done and back.done:
                there.source.close()
                back.source.close()
            else:
                left += [there, back]
        self.pipes = left


def relay(lines: Sequence[Line], until: int) -> None:
    """Serve the lines until the descriptor `until` has ended and no connection is left."""
    open_for_more = True
    while open_for_more or any(line.pipes for line in lines):
        now_s = monotonic()
        wake_s = float("inf")
        masks: dict[int, int] = {until: select.POLLIN} if open_for_more else {}
        for line in lines:
            masks[line.listener.fileno()] = select.POLLIN
            for pipe in line.pipes:
                if not pipe.ended and pipe.way.queued_bytes < pipe.way.room_bytes:
                    masks[pipe.source.fileno()] = masks.get(pipe.source.fileno(), 0) | select.POLLIN
                if pipe.due and pipe.due[0][0] <= now_s:
                    masks[pipe.target.fileno()] = masks.get(pipe.target.fileno(), 0) | select.POLLOUT
                elif pipe.due:
                    wake_s = min(wake_s, pipe.due[0][0])
        poll = select.poll()
        for fd, mask in masks.items():
            poll.register(fd, mask)
        ready = dict(poll.poll(None if wake_s == float("inf") else max(0.0, wake_s - now_s) * 1000 + 1))
        now_s = monotonic()
        if ready.get(until):
            open_for_more = False  # whatever was said there: its writer has gone or has had enough
        for line in lines:
            for pipe in line.pipes:
                if not pipe.ended and pipe.way.queued_bytes < pipe.way.room_bytes and ready.get(pipe.source.fileno()):
                    pipe.take(now_s)
                if not pipe.done and (pipe.ended or (pipe.due and pipe.due[0][0] <= now_s)):
                    pipe.deliver(now_s)
            line.clear()
            if ready.get(line.listener.fileno()):
                line.accept()


def start_relay(
    routes: Sequence[tuple[socket.socket, Target]], *, latency_s: float, bandwidth_bits_s: float | None
) -> subprocess.Popen[bytes]:
    """A process that relays for these listening sockets, now its own; what it still holds outlives its parent."""
    plan = {
        "routes": [[listener.fileno(), *target] for listener, target in routes],
        "latency_s": latency_s,
        "bandwidth_bits_s": bandwidth_bits_s,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "tacit.net.shaped", json.dumps(plan)],
        stdin=subprocess.PIPE,
        pass_fds=[listener.fileno() for listener, _ in routes],
    )
    for listener, _ in routes:
        listener.close()
    return process


def main() -> None:
    """What the process of a relay does."""
    plan = json.loads(sys.argv[1])
    lines = [
        Line(socket.socket(fileno=fd), (host, port), plan["latency_s"], plan["bandwidth_bits_s"])
        for fd, host, port in plan["routes"]
    ]
    relay(lines, sys.stdin.fileno())


if __name__ == "__main__":
    main()
