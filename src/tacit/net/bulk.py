"""The second connection of a pair: long messages as sealed frames over plain TCP. Spec: wire.md, "Bulk frames".

The header of a message travels inside TLS as ever; what it announces travels here, cut into frames, with nothing else
between them. So nothing on this connection is parsed: both ends know which frame comes next, how long it is and under
which key, nonce and associated data, and whatever is not that frame fails its tag.
Not here: the decision which message is long (link.py), waiting and blame (mesh.py), the first keys (bulk_meeting.py).
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections import deque

from tacit.crypto.frame_keys import FRAME_PLAIN_BYTES_MAX, TAG_BYTES, Forged, FrameOpener, FrameSealer
from tacit.errors import PeerGarbage
from tacit.net.channel import prepare, unacknowledged
from tacit.net.frames import NOT_TACIT

BULK_BYTES_MIN = 16 * 1024  # shorter messages stay inside TLS: for them a second connection saves nothing
TURN_STEPS_MAX = 64  # reads of one `pull`
TURN_BYTES_MAX = 4 * 1024 * 1024  # and what they may bring; also what one `push` sends, up to a frame more
KEEPALIVE_IDLE_S = 60  # a pair may exchange short messages for an hour, and routers forget silent connections sooner

PLACE_OF_FRAME = struct.Struct("<QIB")  # number of the message, number of the frame in it, 1 for its last frame
READ_WASTE_MAX = 16  # reads of one `discard`


class Bulk:
    """Both directions of one bulk connection. Calls do not block; EOFError says that the connection has ended."""

    def __init__(self, sock: socket.socket, sender: str, sealer: FrameSealer, opener: FrameOpener) -> None:
        prepare(sock)
        _keep_alive(sock)
        self.out: deque[tuple[bytes, memoryview]] = deque()  # (header, payload); the first is under way
        self.busy = False  # a message was announced and is not complete
        self.paused = False  # the last `pull` stopped because it had done enough
        self.ended = False  # `discard` has come to the end
        self.bytes_sent = 0
        self.bytes_received = 0
        self._sock = sock
        self._sender = sender
        self._sealer = sealer
        self._opener = opener
        self._messages_sent = 0
        self._frames_sent = 0  # of the message under way
        self._staged = memoryview(bytearray(FRAME_PLAIN_BYTES_MAX + TAG_BYTES))
        self._leaving = self._staged[:0]
        self._torn = False  # what has left and what is counted may disagree: nothing may follow
        self._messages_received = 0
        self._frames_received = 0
        self._header = b""
        self._room = memoryview(b"")
        self._sealed = memoryview(bytearray(FRAME_PLAIN_BYTES_MAX + TAG_BYTES))
        self._filled = 0

    def fileno(self) -> int:
        return self._sock.fileno()

    # -- writing

    def queue(self, header: bytes, payload: memoryview) -> None:
        """Send `payload` behind all that was queued before. Its memory is ours until it has left `out`."""
        self.out.append((header, payload))

    def push(self) -> int:
        """Send what fits, but end after a bounded amount of work; how many bytes that was."""
        if not self.out:
            return 0
        if self._torn:
            raise EOFError("its bulk connection was given up in the middle of a message")
        moved = 0
        # Sealing may fail and an interruption may come between any two lines; the same bytes must not leave twice.
        self._torn = True
        while self.out and moved < TURN_BYTES_MAX:
            if not self._leaving:
                self._stage()
            try:
                count = self._sock.send(self._leaving, socket.MSG_NOSIGNAL)
            except BlockingIOError:
                break
            except OSError as fault:
                raise EOFError(_words(fault)) from None
            moved += count
            self._leaving = self._leaving[count:]
            if not self._leaving and self._frames_sent * FRAME_PLAIN_BYTES_MAX >= self.out[0][1].nbytes:
                self.out.popleft()
                self._messages_sent += 1
                self._frames_sent = 0
        self._torn = False
        self.bytes_sent += moved
        return moved

    def _stage(self) -> None:
        """Seal the next frame of the message under way. Each byte is read and sealed once, whatever becomes of it."""
        header, payload = self.out[0]
        begin = self._frames_sent * FRAME_PLAIN_BYTES_MAX
        piece = payload[begin : begin + FRAME_PLAIN_BYTES_MAX]
        last = begin + piece.nbytes == payload.nbytes
        frame = self._staged[: piece.nbytes + TAG_BYTES]
        self._sealer.seal(piece, associated(header, self._messages_sent, self._frames_sent, last), frame)
        self._leaving = frame
        self._frames_sent += 1

    def give_up(self) -> None:
        """Send nothing more, not even the rest of what is under way. What the peer sends can still be read."""
        self._torn = True
        self.out.clear()

    # -- reading

    def expect(self, header: bytes, room: memoryview) -> None:
        """A header that TLS brought announces a message that exactly fills `room`."""
        assert not self.busy
        assert room.nbytes > 0
        self._header, self._room = header, room
        self._frames_received = self._filled = 0
        self.busy = True

    def pull(self) -> int:
        """Open what has come, into the room; how many bytes came. Ends after a bounded amount of work."""
        moved = 0
        self.paused = False
        for _ in range(TURN_STEPS_MAX):
            if not self.busy:
                return moved
            if moved >= TURN_BYTES_MAX:
                break
            begin = self._frames_received * FRAME_PLAIN_BYTES_MAX
            piece = self._room[begin : begin + FRAME_PLAIN_BYTES_MAX]
            goal = piece.nbytes + TAG_BYTES
            try:
                count = self._sock.recv_into(self._sealed[self._filled : goal])
            except BlockingIOError:
                return moved
            except OSError as fault:
                raise EOFError(_words(fault)) from None
            if count == 0:
                raise EOFError("its bulk connection was closed in the middle of a message")
            moved += count
            self.bytes_received += count
            self._filled += count
            if self._filled == goal:
                self._open(piece, goal)
        self.paused = self.busy
        return moved

    def _open(self, piece: memoryview, goal: int) -> None:
        message, frame = self._messages_received, self._frames_received
        last = frame * FRAME_PLAIN_BYTES_MAX + piece.nbytes == self._room.nbytes
        try:
            self._opener.open(self._sealed[:goal], associated(self._header, message, frame, last), piece)
        except Forged:
            raise PeerGarbage(
                f"{self._sender} or something on the way sent bytes that are not the bulk frame expected: frame "
                f"{frame} of long message {message} does not authenticate",
                hint=NOT_TACIT,
            ) from None
        self._filled = 0
        self._frames_received += 1
        if last:
            self.busy = False
            self._messages_received += 1
            self._room = memoryview(b"")  # the caller's memory is the caller's again

    # -- the end

    def discard(self, waste: memoryview) -> None:
        """Read and forget: unread bytes at close would reset the connection under our own last frames."""
        try:
            for _ in range(READ_WASTE_MAX):
                if not self._sock.recv_into(waste):
                    self.ended = True
                    return
        except BlockingIOError:
            pass
        except OSError:
            self.ended = True
            self.out.clear()

    def shut_writing(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def unacknowledged_bytes(self) -> int:
        return unacknowledged(self._sock)

    def close(self) -> None:
        self.out.clear()
        self._sock.close()


def associated(header: bytes, message: int, frame: int, last: bool) -> bytes:
    """What a tag vouches for beside the content: the announcing header and the place of the frame in the stream."""
    return PLACE_OF_FRAME.pack(message, frame, last) + header


def _keep_alive(sock: socket.socket) -> None:
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_KEEPIDLE"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_S)


def _words(fault: OSError) -> str:
    return f"its bulk connection broke: {(fault.strerror or 'unknown cause').lower()}"
