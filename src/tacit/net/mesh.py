"""The mesh: one party's exchanges with all others, over one nonblocking loop without threads (loop.py).

A caller posts frames and collects frames; while anything is waited for, everything is served. Every wait has a
deadline, and ends with an error that names the party to blame (blame.py). After such an error the mesh only repeats it:
the run is over.
Not here: what payloads mean (session), how bytes travel (channel.py and its leaves, bulk.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any, NoReturn

from tacit.errors import Misuse, PeerFault, PeerLost
from tacit.net.bulk_meeting import BulkMeeting
from tacit.net.channel import Channel
from tacit.net.frames import (
    CONTROL_BYTES_MAX,
    PLACES_MAX,
    Kind,
    encode_abort,
    encode_header,
)
from tacit.net.loop import Loop
from tacit.net.parting import PARTING_S, part
from tacit.net.statistics import LinkStatistics, statistics_of
from tacit.net.want import Want

Buffer = Any  # anything with the buffer protocol; the type gets a name of its own in Python 3.12


class Mesh(Loop):
    """All exchanges of one party in one run. `names` lists all parties; `channels` has one for each place but `me`."""

    def __init__(
        self,
        me: int,
        names: Sequence[str],
        channels: Mapping[int, Channel],
        *,
        deadline_s: float,
        bulk_meeting: BulkMeeting | None = None,
    ) -> None:
        if len(names) > PLACES_MAX or set(channels) != set(range(len(names))) - {me}:
            raise ValueError("a mesh needs one channel for each other party")
        super().__init__(me, names, channels, deadline_s)
        self._fault: PeerFault | None = None
        self._bulk_meeting = bulk_meeting
        self._closed = False
        self._header_fields: tuple[Any, ...] = ()
        self._header_last = b""

    # -- exchanges

    def post(self, peer: int, step: int, label: str, payload: Buffer) -> None:
        """Queue a DATA frame and send what fits. The memory of `payload` belongs to the network until it is flushed."""
        view = _bytes_of(payload)
        self._post(peer, Kind.DATA, step, label, view)

    def collect(self, step: int, label: str, into: Mapping[int, Buffer]) -> None:
        """Fill each buffer with that peer's frame of this step; return when all are full and every post has left."""
        wants = {}
        for peer, buffer in into.items():
            room = _bytes_of(buffer)
            if room.readonly:
                raise ValueError("collect needs buffers that it can write to")
            wants[peer] = Want(Kind.DATA, step, label, self._header(Kind.DATA, step, label, room.nbytes), room)
        self._collect(step, label, wants)

    def exchange(self, step: int, label: str, send: Mapping[int, Buffer], into: Mapping[int, Buffer]) -> None:
        """Post to each peer of `send`, then collect `into`. Either may be empty."""
        self._at = (step, label)
        for peer, payload in send.items():
            self._post(peer, Kind.DATA, step, label, _bytes_of(payload))
        self.collect(step, label, into)

    def send_control(self, peer: int, kind: Kind, payload: bytes) -> None:
        """Queue a HELLO or CONFIRM frame and send what fits; a later wait sends the rest."""
        if kind not in (Kind.HELLO, Kind.CONFIRM):
            raise ValueError(f"{kind.name} is not the caller's to send")
        if len(payload) > CONTROL_BYTES_MAX:
            raise Misuse(
                f"what we have to say of ourselves takes {len(payload)} bytes; a {kind.name} frame holds at most "
                f"{CONTROL_BYTES_MAX} bytes",
                hint="the list of program files is the long part: name fewer files, or a folder less, in the job file",
            )
        self._post(peer, kind, 0, "", memoryview(payload))

    def receive_control(self, peer: int, kind: Kind, *, patience_s: float = 0.0) -> bytes:
        """The payload of the next frame of `peer`, which must be of this kind; waits at least `patience_s` for it."""
        want = Want(kind, 0, "", b"", memoryview(b""))
        usual_s = self._patience.deadline_s
        self._patience.deadline_s = max(usual_s, patience_s)
        try:
            self._collect(0, kind.name.lower(), {peer: want})
        finally:
            self._patience.deadline_s = usual_s
        return bytes(want.room)

    def open_bulk(self, secrets: Mapping[int, bytes], *, patience_s: float) -> None:
        """Open the second connection to each peer, by a secret agreed inside the first; serves the first meanwhile."""
        meeting = self._bulk_meeting
        if meeting is None:
            raise ValueError("this mesh has no port at which parties could call a second time")
        end_s = monotonic() + patience_s
        events: dict[int, int] = {}
        self._at = (0, "bulk connections")
        self._patience.forget_clocks()
        try:
            meeting.begin(secrets, monotonic())
            while True:
                for place, bulk in meeting.advance(monotonic(), events).items():
                    self._links[place].bulk = bulk
                absent = meeting.absent()
                if not absent:
                    return
                if monotonic() >= end_s:
                    self.culprit = absent[0]
                    raise meeting.absence(patience_s)
                events = self._attend(absent, meeting.interest(), min(end_s, meeting.wake_s()))
        except PeerFault as fault:
            self._fault = fault
            raise
        finally:
            meeting.close()

    def statistics(self) -> dict[int, LinkStatistics]:
        return {place: statistics_of(link) for place, link in self._links.items()}

    # -- the end

    def abort(self, reason: str, *, culprit: int | None = None) -> None:
        """Tell every peer why we stop, as far as that is possible within a moment, and close.

        The place to blame is the one that our own error named, unless the caller knows better.
        """
        payload = encode_abort(self.culprit if culprit is None else culprit, reason)
        for link in self._links.values():
            link.forget_bulk()  # nobody needs it any more, and our words need not wait for it
        self._part(Kind.ABORT, payload, limit_s=PARTING_S)

    def close(self) -> None:
        """Say BYE, let everything leave and close. Waits for peers only until their machines have all our bytes."""
        self._part(Kind.BYE, b"", limit_s=self._patience.deadline_s)

    def _part(self, kind: Kind, payload: bytes, *, limit_s: float) -> None:
        if not self._closed:
            self._closed = True
            if self._bulk_meeting is not None:
                self._bulk_meeting.close()
            part(self._links.values(), encode_header(kind, 0, "", len(payload)), payload, limit_s=limit_s)

    # -- the loop

    def _post(self, peer: int, kind: Kind, step: int, label: str, payload: memoryview) -> None:
        if self._fault is not None or self._closed:
            self._refuse()
        link = self._links[peer]
        header = self._header(kind, step, label, payload.nbytes)
        try:
            if link.said_bye or link.ended:
                self._gone(link, "it has finished the program")
            link.queue(header, payload)
            link.frames_sent += 1
            link.payload_bytes_sent += payload.nbytes
            self._push(link)
        except PeerFault as fault:
            self._fault = fault
            raise

    def _header(self, *fields: Any) -> bytes:
        if fields != self._header_fields:  # in an all-to-all round every header is the same
            self._header_last = encode_header(*fields)
            self._header_fields = fields
        return self._header_last

    def _collect(self, step: int, label: str, wants: Mapping[int, Want]) -> None:
        if self._fault is not None or self._closed:
            self._refuse()
        self._at = (step, label)
        links = self._links
        asked = []
        for peer, want in wants.items():
            link = links[peer]
            link.want = want
            asked.append(link)
        self._patience.forget_clocks()
        try:
            for link in asked:
                # Otherwise nothing can have come that poll would not report: reading on suspicion costs an exception.
                if link.head is not None or link.said_bye or link.ended or link.unread():
                    self._pull(link)
            while True:
                asked = [link for link in asked if link.want is not None]
                sending = [link for link in links.values() if link.sending]
                if not asked and not sending:
                    return
                self._wait(asked, sending)
        except PeerFault as fault:
            self._fault = fault
            raise

    def _refuse(self) -> NoReturn:
        if self._fault is not None:
            raise self._fault
        raise PeerLost("the connections of this run are closed", hint="open a new session")


def _bytes_of(buffer: Buffer) -> memoryview:
    view = memoryview(buffer)
    if view.nbytes == 0:
        return memoryview(bytearray())
    if not view.c_contiguous:
        raise ValueError("a frame is sent from and received into contiguous memory")
    return view if view.format == "B" and view.ndim == 1 else view.cast("B")
