"""A channel: one nonblocking, ordered stream of bytes to one peer.

The mesh drives channels and knows nothing below them; a new transport is a new leaf of this class.
Not here: frames (frames.py), waiting (mesh.py), who the peer is (tcp.py proves it before a channel exists).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import socket
import struct
import termios
from abc import ABC, abstractmethod
from typing import Any

#: Why `accept` may fail although somebody waits; poll would report it again and again.
NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
NO_ROOM_REST_S = 0.2  # before a listener is looked at again


class Channel(ABC):
    """What the mesh needs of a transport.

    Both directions are over at the latest when a call raises EOFError; its text says how the stream ended. No call
    blocks, and none is ever made with an empty view.
    """

    bytes_sent: int = 0  # on the socket: the transport's own framing included
    bytes_received: int = 0

    @abstractmethod
    def fileno(self) -> int:
        """The descriptor to poll."""

    @abstractmethod
    def write_some(self, view: memoryview) -> int:
        """Hand over as much as fits now; 0 means that it would block. After 0 the caller must offer the same bytes."""

    @abstractmethod
    def read_some(self, view: memoryview) -> int:
        """Fill as much of `view` as has come; 0 means that it would block."""

    def pending(self) -> bool:
        """Whether bytes wait inside the channel, where poll does not see them."""
        return False

    @abstractmethod
    def shut_writing(self) -> None:
        """Tell the peer that nothing more will come; reading goes on."""

    @abstractmethod
    def unacknowledged_bytes(self) -> int:
        """How much of what was written the peer's machine has not taken yet."""

    def peer_address(self) -> Any:
        """Where the peer was reached, as sockets write addresses; None where that means nothing."""
        return None

    @abstractmethod
    def close(self) -> None:
        """Give the descriptor back; a second call does nothing."""


def prepare(sock: socket.socket) -> None:
    """Options of every socket that carries frames.

    Nagle's delay would cost a round trip per gate. The buffers stay as the kernel sizes them: larger ones were slower
    with a nonblocking loop, since the bytes leave the cache before they are read.
    """
    sock.setblocking(False)
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def unacknowledged(sock: socket.socket) -> int:
    """Bytes in the kernel's send queue; 0 where the system cannot say."""
    try:
        answer = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4))
    except (OSError, ValueError):
        return 0
    return int(struct.unpack("=i", answer)[0])


class SocketChannel(Channel):
    """A plain socket, neither secret nor authenticated.

    Only for the two ends of a `socket.socketpair` between processes of one machine that one parent started: there the
    kernel vouches for the other end. Machines meet through tcp.connect_all.
    """

    def __init__(self, sock: socket.socket) -> None:
        prepare(sock)
        self._sock = sock
        self.bytes_sent = 0
        self.bytes_received = 0

    def fileno(self) -> int:
        return self._sock.fileno()

    def write_some(self, view: memoryview) -> int:
        try:
            # Not SIGPIPE but an exception: Python ignores that signal, yet an embedding program may not.
            count = self._sock.send(view, socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return 0
        except OSError as fault:
            raise EOFError(_words(fault)) from None
        self.bytes_sent += count
        return count

    def read_some(self, view: memoryview) -> int:
        try:
            count = self._sock.recv_into(view)
        except BlockingIOError:
            return 0
        except OSError as fault:
            raise EOFError(_words(fault)) from None
        if count == 0:
            raise EOFError("the connection was closed")
        self.bytes_received += count
        return count

    def shut_writing(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def unacknowledged_bytes(self) -> int:
        # On one machine a closed socketpair still delivers; its queue would count what the peer has not read yet.
        return 0 if self._sock.family == socket.AF_UNIX else unacknowledged(self._sock)

    def close(self) -> None:
        self._sock.close()


def _words(fault: OSError) -> str:
    return (fault.strerror or "the connection broke").lower()


def socket_pairs(parties: int) -> list[dict[int, socket.socket]]:
    """One socketpair for each pair of parties: element i is {peer: the end of party i}.

    A child process that got them all by fork must close the ends of the others (`keep_only`): an end that stays open
    somewhere never reports that its owner died.
    """
    ends: list[dict[int, socket.socket]] = [{} for _ in range(parties)]
    for low in range(parties):
        for high in range(low + 1, parties):
            ends[low][high], ends[high][low] = socket.socketpair()
    return ends


def keep_only(ends: list[dict[int, socket.socket]], place: int | None) -> dict[int, socket.socket]:
    """Close every end but those of `place` (None: close all) and return what is left."""
    for owner, owned in enumerate(ends):
        if owner != place:
            for sock in owned.values():
                sock.close()
    return {} if place is None else ends[place]
