"""The mesh: one party's links to all others, driven by one nonblocking loop without threads.

A caller posts frames and collects frames; while anything is waited for, everything is served: what is queued leaves,
control frames act, a connection that ends is noticed. Every wait has a deadline, and ends with an error that names the
party to blame (blame.py). After such an error the mesh only repeats it: the run is over.
Not here: what payloads mean (session), how bytes travel (channel.py and its leaves).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from time import monotonic
from typing import Any, NoReturn

from tacit.errors import Misuse, PeerFault, PeerLost
from tacit.net.allowance import PINGS_PER_S_MAX, PingAllowance
from tacit.net.blame import Overdue, Patience, Standing, lost_fault, stopped_fault
from tacit.net.channel import Channel
from tacit.net.frames import (
    CONTROL_BYTES_MAX,
    PLACES_MAX,
    Frame,
    Kind,
    decode_abort,
    decode_ping,
    encode_abort,
    encode_header,
    encode_ping,
    garbage,
)
from tacit.net.link import Link, Want
from tacit.net.parting import PARTING_S, part
from tacit.net.statistics import LinkStatistics, statistics_of
from tacit.net.watch import CLOSED, READABLE, WRITABLE, Watch, has_closed

Buffer = Any  # anything with the buffer protocol; the type gets a name of its own in Python 3.12


class Mesh:
    """All exchanges of one party in one run. `names` lists all parties; `channels` has one for each place but `me`."""

    def __init__(self, me: int, names: Sequence[str], channels: Mapping[int, Channel], *, deadline_s: float) -> None:
        if len(names) > PLACES_MAX or set(channels) != set(range(len(names))) - {me}:
            raise ValueError("a mesh needs one channel for each other party")
        self.me = me
        self.names = tuple(names)
        self.culprit: int | None = None  # place blamed by the error that ended the run
        self._patience = Patience(me, self.names, deadline_s)
        self._links = {place: Link(place, names[place], channels[place], self._control) for place in sorted(channels)}
        self._allowances = {place: PingAllowance(monotonic()) for place in self._links}
        self._watch = Watch(self._links.values())
        self._at = (0, "start")
        self._fault: PeerFault | None = None
        self._closed = False
        self._header_fields: tuple[Any, ...] = ()
        self._header_last = b""
        self._handlers: dict[Kind, Callable[[Link, Frame, bytes], None]] = {
            Kind.PING: self._on_ping,
            Kind.ABORT: self._on_abort,
            Kind.BYE: self._on_bye,
        }

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

    def statistics(self) -> dict[int, LinkStatistics]:
        return {place: statistics_of(link) for place, link in self._links.items()}

    # -- the end

    def abort(self, reason: str, *, culprit: int | None = None) -> None:
        """Tell every peer why we stop, as far as that is possible within a moment, and close.

        The place to blame is the one that our own error named, unless the caller knows better.
        """
        payload = encode_abort(self.culprit if culprit is None else culprit, reason)
        self._part(Kind.ABORT, payload, limit_s=PARTING_S)

    def close(self) -> None:
        """Say BYE, let everything leave and close. Waits for peers only until their machines have all our bytes."""
        self._part(Kind.BYE, b"", limit_s=self._patience.deadline_s)

    def _part(self, kind: Kind, payload: bytes, *, limit_s: float) -> None:
        if not self._closed:
            self._closed = True
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
                sending = [link for link in links.values() if link.out]
                if not asked and not sending:
                    return
                self._wait(asked, sending)
        except PeerFault as fault:
            self._fault = fault
            raise

    def _wait(self, asked: Sequence[Link], sending: Sequence[Link]) -> None:
        """Sleep until something can move, and move it; ping and judge deadlines when their time has come."""
        for link in self._links.values():
            if link.unread():
                # Control frames that came behind the frame we took; poll does not know of them.
                self._pull(link)
                if link in asked and link.want is None:
                    return
            self._watch.update(link)
        now_s = monotonic()
        awaited = {link.place: link.moved_bytes for link in (*asked, *sending)}
        try:
            next_s = self._patience.judge(awaited, self._at, now_s)
        except Overdue as overdue:
            self.culprit = overdue.culprit
            raise overdue.fault from None
        if self._patience.ping_is_due(now_s):
            self._ping(awaited)
        paused = any(link.paused for link in self._links.values())
        for link, events in self._watch.events(0.0 if paused else next_s - now_s):
            if events & CLOSED:
                self._hear_out(link)
                continue
            if events & READABLE:
                self._pull(link)
            if events & WRITABLE:
                self._push(link)

    def _ping(self, awaited: Iterable[int]) -> None:
        payload = encode_ping(sorted(awaited))
        header = encode_header(Kind.PING, *self._at, len(payload))
        for link in self._links.values():
            # A peer that does not take what is queued would not read a ping behind it either.
            if not (link.out or link.said_bye or link.ended):
                moved_bytes = link.moved_bytes
                link.queue(header, memoryview(payload))
                self._push(link)
                link.moved_bytes = moved_bytes  # our own pings are no progress of the peer

    def _pull(self, link: Link) -> None:
        try:
            link.pull()
        except EOFError as end:
            self._gone(link, str(end))
        except PeerFault:
            self._accuse(link)
            raise

    def _push(self, link: Link) -> None:
        try:
            link.push()
        except EOFError as end:
            link.out.clear()
            self._hear_out(link, str(end))

    def _hear_out(self, link: Link, broken: str = "") -> None:
        """The peer closed or the connection broke: an ABORT it sent before counts for more than the end itself."""
        try:
            link.last_words()
        except EOFError as end:
            self._gone(link, str(end))
        except PeerFault:
            self._accuse(link)
            raise
        if broken and not link.said_bye:
            self._gone(link, broken)

    # -- control frames

    def _control(self, link: Link, frame: Frame, payload: bytes) -> None:
        self._handlers[frame.kind](link, frame, payload)

    def _on_ping(self, link: Link, frame: Frame, payload: bytes) -> None:
        awaits = decode_ping(payload, link.sender, len(self.names))
        if link.place in awaits:
            raise garbage(link.sender, "a PING that waits for its own sender")
        now_s = monotonic()
        if not self._allowances[link.place].covers_another(now_s):
            raise garbage(link.sender, f"a flood of PINGs, at most {PINGS_PER_S_MAX} a second are allowed")
        standing = Standing(now_s, awaits, frame.step, frame.label)
        self._patience.hear(link.place, standing, link.moved_bytes)

    def _on_abort(self, link: Link, frame: Frame, payload: bytes) -> None:
        culprit, reason = decode_abort(payload, link.sender, len(self.names))
        if culprit is not None and culprit not in (self.me, link.place):
            # Hearsay: if we can see for ourselves that its connection ended, say that instead.
            suspect = self._links[culprit]
            if not (suspect.ended or suspect.said_bye) and has_closed(suspect):
                self._hear_out(suspect)
        self.culprit, fault = stopped_fault(self.names, self.me, link.place, culprit, reason, self._at)
        raise fault

    def _on_bye(self, link: Link, frame: Frame, payload: bytes) -> None:
        link.said_bye = True

    # -- errors

    def _accuse(self, link: Link) -> None:
        if self.culprit is None:
            self.culprit = link.place

    def _gone(self, link: Link, how: str) -> NoReturn:
        self.culprit = link.place
        raise lost_fault(self.names, link.place, how, self._at) from None

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
