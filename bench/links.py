"""What a byte and a message cost between two processes of this machine, by the way they are protected.

    plain     a local socket pair, nothing protected
    tls       TCP on loopback inside Python's `ssl`, as tacit sets it up
    frames    TCP on loopback, each 256 KiB sealed with AES-256-GCM

This is the transport alone: no queues, no headers, no deadlines, one buffer used over and over.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tacit.crypto.identity import throwaway
from tacit.net.tls import Endpoint, TransportIdentity, client_context, server_context

SEALED_BYTES = 256 * 1024
TAG_BYTES = 16
STREAM_BYTES = 64 << 20
PINGS = 2000
PING_BYTES = 64


@dataclass(frozen=True)
class Link:
    """CPU of both ends together for a megabyte, and the time that one small message takes to arrive."""

    cpu_ms_per_mb: float
    one_way_ms: float


class End(Protocol):
    """One side: blocks until all of `view` has left, or is filled."""

    def send(self, view: memoryview) -> None: ...

    def receive(self, view: memoryview) -> None: ...


class Open:
    """Bytes as they are; a TLS socket protects them by itself."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def send(self, view: memoryview) -> None:
        self._sock.sendall(view)

    def receive(self, view: memoryview) -> None:
        done = 0
        while done < len(view):
            count = self._sock.recv_into(view[done:])
            if not count:
                raise EOFError("the other end has gone")
            done += count


class Sealed:
    """Frames of known sizes. The key is of this measurement, and each direction counts its own nonces."""

    def __init__(self, sock: socket.socket, key: bytes, place: int) -> None:
        self._open = Open(sock)
        self._aead = AESGCM(key)
        self._next = {"send": place << 64, "receive": (1 - place) << 64}
        self._sealed = memoryview(bytearray(SEALED_BYTES + TAG_BYTES))

    def send(self, view: memoryview) -> None:
        for part, sealed in self._parts(view):
            self._aead.encrypt_into(self._nonce("send"), part, None, sealed)
            self._open.send(sealed)

    def receive(self, view: memoryview) -> None:
        for part, sealed in self._parts(view):
            self._open.receive(sealed)
            self._aead.decrypt_into(self._nonce("receive"), sealed, None, part)

    def _parts(self, view: memoryview) -> Iterator[tuple[memoryview, memoryview]]:
        for start in range(0, len(view), SEALED_BYTES):
            part = view[start : start + SEALED_BYTES]
            yield part, self._sealed[: len(part) + TAG_BYTES]

    def _nonce(self, way: str) -> bytes:
        self._next[way] += 1
        return self._next[way].to_bytes(12, "big")


def _over_tcp() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ours = socket.create_connection(listening.getsockname())
        theirs, _ = listening.accept()
    for sock in (ours, theirs):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return ours, theirs


def _over_tls() -> tuple[Open, Open]:
    identity = throwaway("bench")
    known = Endpoint("bench", "127.0.0.1", 0, identity.certificate_der)
    own = TransportIdentity(identity.certificate_der, identity.transport_private_pem())
    ours, theirs = _over_tcp()
    accepted: list[ssl.SSLSocket] = []
    accept = threading.Thread(
        target=lambda: accepted.append(server_context(own, [known]).wrap_socket(theirs, server_side=True))
    )
    accept.start()
    called = client_context(own, known).wrap_socket(ours)
    accept.join()
    return Open(called), Open(accepted[0])


def _sealed() -> tuple[Sealed, Sealed]:
    ours, theirs = _over_tcp()
    key = AESGCM.generate_key(256)
    return Sealed(ours, key, 0), Sealed(theirs, key, 1)


def _plain() -> tuple[Open, Open]:
    ours, theirs = socket.socketpair()
    return Open(ours), Open(theirs)


WAYS: dict[str, Callable[[], tuple[End, End]]] = {"plain": _plain, "tls": _over_tls, "frames": _sealed}


def measured(way: str) -> Link:
    """Ping-pong for the time of a message, then a stream for the cost of a megabyte."""
    ours, theirs = WAYS[way]()
    # Forked, so that both ends keep the connection made above. The child touches sockets and nothing else.
    child = multiprocessing.get_context("fork").Process(target=_other_end, args=(theirs,))
    child.start()
    word = memoryview(bytearray(PING_BYTES))
    best = float("inf")
    for _ in range(PINGS):
        begun = time.perf_counter()
        ours.send(word)
        ours.receive(word)
        best = min(best, time.perf_counter() - begun)
    block = memoryview(bytearray(1 << 20))
    begun_s = time.process_time()
    for _ in range(STREAM_BYTES // len(block)):
        ours.send(block)
    cpu_s = time.process_time() - begun_s
    ours.receive(word[:8])
    cpu_s += int.from_bytes(word[:8], "big") / 1e9
    child.join()
    return Link(cpu_s * 1e3 / (STREAM_BYTES / 1e6), best / 2 * 1e3)


def _other_end(end: End) -> None:
    word = memoryview(bytearray(PING_BYTES))
    for _ in range(PINGS):
        end.receive(word)
        end.send(word)
    block = memoryview(bytearray(1 << 20))
    begun_ns = time.process_time_ns()
    for _ in range(STREAM_BYTES // len(block)):
        end.receive(block)
    word[:8] = (time.process_time_ns() - begun_ns).to_bytes(8, "big")
    end.send(word[:8])
    os._exit(0)  # the parent's exit handlers are not ours to run
