"""A wire between two machines that a test can cut or silence."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading


class Proxy:
    """Forwards each connection to `port` on this machine until told otherwise."""

    def __init__(self, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._target = port
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._wake, self._woken = socket.socketpair()
        self._order = b""
        self._thread = threading.Thread(target=self._forward)
        self._thread.start()

    def cut(self) -> None:
        """Reset every connection, as a router that lost its state would."""
        self._wake.send(b"c")

    def silence(self) -> None:
        """Forward nothing more and say nothing, as a pulled cable would."""
        self._wake.send(b"s")

    def close(self) -> None:
        """End the proxy."""
        self._wake.send(b"e")
        self._thread.join()
        for sock in (self._wake, self._woken, self._listener, *self._pairs):
            sock.close()

    def _forward(self) -> None:
        while True:
            watched = [self._woken] if self._order == b"s" else [self._woken, self._listener, *self._pairs]
            for sock in select.select(watched, [], [])[0]:
                if sock is self._woken:
                    self._order = self._woken.recv(1)
                    if self._order == b"e":
                        return
                    if self._order == b"c":
                        self._reset()
                        break
                elif sock is self._listener:
                    self._open()
                elif sock in self._pairs:
                    self._carry(sock)

    def _open(self) -> None:
        near, _ = self._listener.accept()
        try:
            far = socket.create_connection(("127.0.0.1", self._target))
        except OSError:
            near.close()
            return
        self._pairs[near], self._pairs[far] = far, near

    def _carry(self, sock: socket.socket) -> None:
        other = self._pairs[sock]
        with contextlib.suppress(OSError):
            piece = sock.recv(1 << 16)
            if piece:
                other.sendall(piece)
                return
        for end in (sock, other):
            del self._pairs[end]
            end.close()

    def _reset(self) -> None:
        for sock in self._pairs:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        self._pairs.clear()
