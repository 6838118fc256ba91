"""The mesh: one party's exchanges with all others, over one nonblocking loop without threads (loop.py).

A caller posts frames and collects frames; while anything is waited for, everything is served. Every wait has a
deadline, and ends with an error that names the party to blame (blame.py). After such an error, and after whatever else
broke off an exchange in the middle, the mesh refuses everything: the run is over.
Not here: what payloads mean (session), how bytes travel (channel.py and its leaves, bulk.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any, NoReturn

from tacit.errors import Misuse, PeerFault, PeerLost, TacitError
from tacit.net.blame import where
from tacit.net.bulk_meeting import BulkMeeting
from tacit.net.channel import Channel
from tacit.net.frames import (
    CONTROL_BYTES_MAX,
    PLACES_MAX,
    Kind,
    encode_abort,
    encode_header,
    garbage,
)
from tacit.net.link import Link
from tacit.net.loop import Loop
from tacit.net.parting import PARTING_S, part
from tacit.net.statistics import LinkStatistics, statistics_of
from tacit.net.want import Want

BULK_PATIENCE_S = 1.0  # what the slowest party may need longer than we for its second connections, or to give them up

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
        self._fault: TacitError | None = None
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
        self._collect(step, label, self._wants(step, label, into))

    def exchange(self, step: int, label: str, send: Mapping[int, Buffer], into: Mapping[int, Buffer]) -> None:
        """Post to each peer of `send`, then collect `into`. Either may be empty."""
        wants = self._wants(step, label, into)
        payloads = {peer: _bytes_of(payload) for peer, payload in send.items()}
        self._at = (step, label)
        try:
            for peer, payload in payloads.items():
                self._post(peer, Kind.DATA, step, label, payload)
            self._collect(step, label, wants)
        except BaseException as why:  # between the posts as well
            self._spoil(why)
            raise

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
        self._bulk_meeting = None  # and the secrets in it
        usual_s = self._patience.deadline_s
        try:
            self._patience.deadline_s = max(usual_s, patience_s + BULK_PATIENCE_S)
            meeting.begin(secrets, monotonic())
            self._meet_again(meeting, patience_s)
        except BaseException as why:
            self._spoil(why)
            raise
        finally:
            self._patience.deadline_s = usual_s
            meeting.close()

    def _meet_again(self, meeting: BulkMeeting, patience_s: float) -> None:
        """Returns once every party has said that it has all its second connections.

        Before that nobody may announce what travels there: its peer could not tell what follows the announcement. And a
        party whose connections are there must not run out of the patience that is meant for exchanges.
        """
        end_s = monotonic() + patience_s
        owed = {place: Want(Kind.CONFIRM, 0, "", b"", memoryview(b"")) for place in self._links}
        self._ask(0, "bulk connections", owed)
        events: dict[int, int] = {}
        said = False
        while True:
            for place, bulk in meeting.advance(monotonic(), events).items():
                self._links[place].take_bulk(bulk)
            for place in [place for place in owed if self._links[place].want is None]:
                self._check_confirmed(meeting, place, owed.pop(place))
            absent = meeting.absent()
            if not absent and not said:
                said = True
                for place in self._links:
                    self._post(place, Kind.CONFIRM, 0, "", memoryview(b""))
            if not absent and not owed:
                return
            if absent and monotonic() >= end_s:
                self.culprit = absent[0]
                raise meeting.absence(patience_s)
            wake_s = min(end_s, meeting.wake_s()) if absent else meeting.wake_s()
            events = self._attend({*absent, *owed}, meeting.interest(), wake_s)

    def _check_confirmed(self, meeting: BulkMeeting, place: int, confirmed: Want) -> None:
        if confirmed.room.nbytes or not meeting.settle(place):
            self.culprit = place
            raise garbage(self._links[place].sender, "CONFIRM before its bulk connection, or with a payload")

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
        """Say BYE, let everything leave and close. Waits for peers only until their machines have all our bytes.

        A run that broke off is aborted instead, whatever the program made of the error: the others must not take our
        last frame for the end of the program.
        """
        if self._fault is not None:
            self.abort(self._fault.message if isinstance(self._fault, PeerFault) else "it broke off an exchange")
        else:
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
        except BaseException as why:
            self._spoil(why)
            raise

    def _wants(self, step: int, label: str, into: Mapping[int, Buffer]) -> dict[int, Want]:
        wants = {}
        for peer, buffer in into.items():
            room = _bytes_of(buffer)
            if room.readonly:
                raise ValueError("collect needs buffers that it can write to")
            wants[peer] = Want(Kind.DATA, step, label, self._header(Kind.DATA, step, label, room.nbytes), room)
        return wants

    def _header(self, *fields: Any) -> bytes:
        if fields != self._header_fields:  # in an all-to-all round every header is the same
            self._header_last = encode_header(*fields)
            self._header_fields = fields
        return self._header_last

    def _collect(self, step: int, label: str, wants: Mapping[int, Want]) -> None:
        if self._fault is not None or self._closed:
            self._refuse()
        try:
            asked = self._ask(step, label, wants)
            while True:
                asked = [link for link in asked if link.want is not None]
                sending = [link for link in self._links.values() if link.sending]
                if not asked and not sending:
                    return
                self._wait(asked, sending)
        except BaseException as why:
            self._spoil(why)
            raise

    def _ask(self, step: int, label: str, wants: Mapping[int, Want]) -> list[Link]:
        """A wait begins: what is wanted of whom, and what has come of it already."""
        self._at = (step, label)
        asked = []
        for peer, want in wants.items():
            link = self._links[peer]
            link.want = want
            asked.append(link)
        self._patience.forget_clocks()
        for link in asked:
            # Otherwise nothing can have come that poll would not report: reading on suspicion costs an exception.
            if link.head is not None or link.said_bye or link.ended or link.unread():
                self._pull(link)
        return asked

    def _spoil(self, why: BaseException) -> None:
        """An exchange was broken off: arrays may be half full, and posted ones are the program's again.

        Also by an exception that the program may catch, a KeyboardInterrupt or a timeout of its own. What is under way
        belongs to the old arrays, so no later exchange could be told apart from it.
        """
        if self._fault is None:
            self._fault = why if isinstance(why, TacitError) else Misuse(
                f"{type(why).__name__} broke off an exchange with the other parties in the middle, "
                f"at {where(*self._at)}; this run cannot go on",
                hint="let that exception end the program, then start all parties again",
            )
            for link in self._links.values():
                link.let_go()

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
