"""One peer as the mesh sees it: a channel, what was read ahead of its frames, what still has to leave.

A pair may have a second connection (bulk.py): then the payload of a long DATA frame travels there, in the order of the
headers that announce it here, and control frames are read here meanwhile.

Reading goes through a small look-ahead buffer, so that a short frame costs one system call; the rest of a long payload
is received straight into the memory that waits for it. A frame that nobody has asked for stays parked: its header is
known, its payload stays in the kernel and slows the sender down, as it should. Reading stops after a bounded amount
even if more has come: however much one peer sends, the others are served and clocks are looked at in between.
Not here: waiting, deadlines and blame (mesh.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from tacit.errors import PeerGarbage
from tacit.net.bulk import BULK_BYTES_MIN, Bulk
from tacit.net.channel import Channel
from tacit.net.frames import (
    HEADER_BYTES_MAX,
    KINDS,
    RULES,
    Frame,
    Kind,
    decode_header,
    describe,
    garbage,
)
from tacit.net.want import Want

JOIN_BYTES_MAX = 16 * 1024  # header and this much payload leave together: one system call, one TLS record
LOOK_AHEAD_BYTES = 32 * 1024  # holds any frame that must be handled at once, and a whole TLS record
TURN_STEPS_MAX = 64  # reads, or control frames: one `pull` does no more of them, a millisecond's work
TURN_BYTES_MAX = 4 * 1024 * 1024  # and moves no more payload
LAST_WORDS_BYTES_MAX = 64 * 1024 * 1024  # far above what a kernel buffers for one connection

IMMEDIATE = frozenset({Kind.PING, Kind.ABORT, Kind.BYE})
assert all((RULES[kind].payload_bytes_max or 0) + HEADER_BYTES_MAX <= LOOK_AHEAD_BYTES for kind in IMMEDIATE)


class Link:
    """`pull` reads, `push` writes; both stop where they would block and raise EOFError where the stream ends."""

    def __init__(
        self, place: int, name: str, channel: Channel, on_control: Callable[[Link, Frame, bytes], None]
    ) -> None:
        self.place = place
        self.sender = describe(place, name)
        self.channel = channel
        self.bulk: Bulk | None = None
        self.want: Want | None = None
        self.head: Frame | None = None  # parked: header read, payload not
        self.out: deque[memoryview] = deque()
        self.said_bye = False
        self.said_abort = False
        self.ended = False  # nothing more will come from the channel
        self.paused = False  # the last `pull` stopped because it had done enough, not because nothing was there
        self.moved_bytes = 0  # payload, both directions: progress, as deadlines count it
        self.frames_sent = self.frames_received = 0
        self.payload_bytes_sent = self.payload_bytes_received = 0
        self._on_control = on_control
        self._room: memoryview | None = None  # inside the payload of the wanted frame
        self._filled = 0
        self._farewell = False  # last words were heard and they were BYE
        self._torn = False  # what has left and what is queued may disagree
        self._set_buffer(bytearray(LOOK_AHEAD_BYTES), 0)

    def _set_buffer(self, buffer: bytearray, end: int) -> None:
        self._buffer = buffer
        self._view = memoryview(buffer)
        self._start = 0
        self._end = end

    # -- writing

    @property
    def sending(self) -> bool:
        """Whether something queued has not left; until then its memory belongs to the link."""
        return bool(self.out) or (self.bulk is not None and bool(self.bulk.out))

    def queue(self, header: bytes, payload: memoryview) -> None:
        """Queue one frame. `payload` belongs to the link as long as it is `sending`."""
        size = payload.nbytes
        # Kind and size stand in the header, so both ends know where the payload travels.
        if self.bulk is not None and self._by_bulk(KINDS[header[0]], size):
            self.out.append(memoryview(header))
            self.bulk.queue(header, payload)
        elif size <= JOIN_BYTES_MAX:
            self.out.append(memoryview(b"".join((header, payload))))
        else:
            cut = JOIN_BYTES_MAX - len(header)
            begin = memoryview(b"".join((header, payload[:cut])))
            self.out.extend((begin, payload[cut:]))  # in one: an interruption in between would leave half a frame

    def push(self) -> None:
        if self._torn:
            raise EOFError("it was given up in the middle of a frame")
        out = self.out
        if out:
            write = self.channel.write_some
            # An interruption may come between any two lines; the same bytes must not leave twice.
            self._torn = True
            while out:
                view = out[0]
                count = write(view)
                self.moved_bytes += count
                if count == len(view):
                    out.popleft()
                elif count:
                    out[0] = view[count:]
                else:
                    break
            self._torn = False
        if self.bulk is not None and self.bulk.out:
            self.moved_bytes += self.bulk.push()

    def forget_queue(self) -> None:
        """The connection broke: nothing of this will ever leave."""
        self.out.clear()
        self.forget_bulk()

    def forget_bulk(self) -> None:
        """Send no more of the long messages that are queued or under way."""
        if self.bulk is not None:
            self.bulk.give_up()

    def let_go(self) -> None:
        """The run is over, and the program has its memory back: nothing fills it, nothing of it leaves any more.

        What is queued inside the first connection still leaves, from a copy: last words must stand behind whole frames.
        """
        self.want = self._room = None
        self.forget_bulk()
        try:
            self.out = deque(memoryview(bytes(view)) for view in self.out)
        except MemoryError:
            self._torn = True
            self.out.clear()

    def take_bulk(self, bulk: Bulk) -> None:
        """Use this second connection. Before its first use another may take its place."""
        if self.bulk is not None:
            self.bulk.close()
        self.bulk = bulk

    # -- reading

    @property
    def held_back(self) -> bool:
        """Whether a read stopped because it had done enough, not because nothing was there."""
        return self.paused or (self.bulk is not None and self.bulk.paused)

    def unread(self) -> bool:
        """Whether `pull` may find something although poll says nothing."""
        if self.held_back:
            return True
        return self.head is None and (self._end > self._start or (not self.ended and self.channel.pending()))

    def pull(self) -> None:
        """Read what has come: control frames act at once, the wanted frame fills its room, any other stays parked.

        Ends after a bounded amount of work, with `paused`, even if the peer never stops sending.
        """
        self.paused = False
        for _ in range(TURN_STEPS_MAX):
            if self._room is not None:
                self._fill_room()
                return
            want = None if self._in_bulk() else self.want  # what follows a long message waits for its end
            if self.head is None:
                if self.said_bye:
                    self._after_bye(want)
                # The common case is decided by one comparison: the next bytes are exactly the expected header.
                if want is not None and want.header and self._buffer.startswith(want.header, self._start, self._end):
                    self._start += len(want.header)
                    self._fill(want)
                    if self._in_bulk() and self._end == self._start:
                        return
                    continue
                frame = decode_header(self._view[self._start : self._end], self.sender)
                whole = frame is not None and (
                    frame.kind not in IMMEDIATE or self._end - self._start >= frame.header_bytes + frame.payload_bytes
                )
                if frame is None or not whole:
                    if not self._read_ahead():
                        return
                    continue
                self._start += frame.header_bytes
                if frame.kind in IMMEDIATE:
                    payload = bytes(self._view[self._start : self._start + frame.payload_bytes])
                    self._start += frame.payload_bytes
                    self.frames_received += 1
                    self._on_control(self, frame, payload)
                    continue
                self.head = frame
            if want is None:
                return
            want.accept(self.head, self.sender)
            self.head = None
            self._fill(want)
        self.paused = True

    def pull_bulk(self) -> None:
        """Read what has come on the second connection; does nothing while no long message is announced."""
        bulk, want = self.bulk, self.want
        if bulk is None or want is None or not bulk.busy:
            return
        self.moved_bytes += bulk.pull()
        if not bulk.busy:
            self.want = None
            self.frames_received += 1
            self.payload_bytes_received += want.room.nbytes

    def _in_bulk(self) -> bool:
        return self.bulk is not None and self.bulk.busy

    def _by_bulk(self, kind: Kind, payload_bytes: int) -> bool:
        return self.bulk is not None and kind is Kind.DATA and payload_bytes >= BULK_BYTES_MIN

    def _fill(self, want: Want) -> None:
        """The wanted frame has come as far as its header: from here its payload goes into its room."""
        if self.bulk is not None and self._by_bulk(want.kind, want.room.nbytes):
            self.bulk.expect(want.header, want.room)
        else:
            self._room, self._filled = want.room, 0

    def _after_bye(self, want: Want | None) -> None:
        if want is not None:
            raise EOFError("it has finished the program")
        if self._end > self._start:
            raise garbage(self.sender, "something after BYE")

    def _fill_room(self) -> None:
        room = self._room
        assert room is not None
        size = len(room)
        filled = self._filled
        ready = min(self._end - self._start, size - filled)
        if ready:
            room[filled : filled + ready] = self._view[self._start : self._start + ready]
            self._start += ready
            filled += ready
        goal = min(size, filled + TURN_BYTES_MAX)
        steps = 0
        while filled < goal and steps < TURN_STEPS_MAX:
            count = self._read(room[filled:goal] if filled or goal < size else room)
            if count == 0:
                break
            filled += count
            steps += 1
        else:
            self.paused = filled < size
        self.moved_bytes += filled - self._filled
        self._filled = filled
        if filled == size:
            self._room = self.want = None
            self.frames_received += 1
            self.payload_bytes_received += size

    def _read_ahead(self) -> bool:
        """More bytes behind those in the buffer; False if none have come, or none will and none are needed."""
        kept = self._end - self._start
        if kept == 0:
            self._start = self._end = 0
        elif self._end == len(self._buffer):
            self._buffer[:kept] = self._buffer[self._start : self._end]
            self._start, self._end = 0, kept
        try:
            count = self._read(self._view[self._end :])
        except EOFError:
            if self.said_bye and kept == 0:
                return False
            raise
        self._end += count
        return count > 0

    def _read(self, view: memoryview) -> int:
        if self.ended:
            raise EOFError("the connection was closed")
        try:
            return self.channel.read_some(view)
        except EOFError:
            self.ended = True
            raise

    def last_words(self) -> None:
        """The peer closed its side, so the rest of the stream lies in our kernel: take it all and look for an ABORT.

        Returns if the stream ends properly, with BYE; frames before it can still be asked for. Raises EOFError if it
        does not, and whatever `on_control` raises for an ABORT, which says more than the end of a stream.
        """
        if self._farewell:
            return
        self.pull()
        while not self.ended:
            self._grow()
            try:
                count = self._read(self._view[self._end :])
            except EOFError:
                break
            self._end += count
            if count == 0:
                return  # a half-closed stream that is still on its way: poll will call again
        self._farewell = True  # before the search: an ABORT found there may lead back here
        self._search(self._start + self._owed_bytes())

    def _owed_bytes(self) -> int:
        """Payload that still belongs to the frame whose header was read last."""
        if self._room is not None:
            return len(self._room) - self._filled
        return 0 if self.head is None else self._inline_bytes(self.head)

    def _inline_bytes(self, frame: Frame) -> int:
        return 0 if self._by_bulk(frame.kind, frame.payload_bytes) else frame.payload_bytes

    def _grow(self) -> None:
        kept = self._end - self._start
        if self._end < len(self._buffer):
            return
        if kept > LAST_WORDS_BYTES_MAX:
            raise EOFError("the connection was closed with more unread than a connection can hold")
        larger = bytearray(max(2 * kept, LOOK_AHEAD_BYTES))
        larger[:kept] = self._view[self._start : self._end]
        self._set_buffer(larger, kept)

    def _search(self, position: int) -> None:
        farewell = self.said_bye
        while position < self._end:
            try:
                frame = decode_header(self._view[position : self._end], self.sender)
            except PeerGarbage:
                if farewell:
                    raise
                frame = None
            if frame is None:
                break
            position += frame.header_bytes
            if frame.kind is Kind.ABORT and position + frame.payload_bytes <= self._end:
                self._on_control(self, frame, bytes(self._view[position : position + frame.payload_bytes]))
            farewell = frame.kind is Kind.BYE
            position += self._inline_bytes(frame)
        if not farewell or position != self._end:
            raise EOFError("the connection was closed")
