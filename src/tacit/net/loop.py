"""The loop under a mesh: links to all peers, and what is done when something happens on one of them.

While anything is waited for, everything is served: what is queued leaves, control frames act, a connection that ends is
noticed. Whatever is wrong ends in an error that names the party to blame, here kept in `culprit`.
Not here: what is asked for and posted (mesh.py), what one link reads and writes (link.py), whose fault a wait is
(blame.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from time import monotonic
from typing import NoReturn

from tacit.errors import PeerFault
from tacit.net.allowance import PINGS_PER_S_MAX, PingAllowance
from tacit.net.blame import Overdue, Patience, Standing, lost_fault, stopped_fault
from tacit.net.channel import Channel
from tacit.net.frames import Frame, Kind, decode_abort, decode_ping, encode_header, encode_ping, garbage
from tacit.net.link import Link
from tacit.net.parting import PARTING_S
from tacit.net.watch import CLOSED, READABLE, WRITABLE, Watch, has_closed


class Loop:
    """The links of one party. `_at` is where the program is, for errors and for PINGs."""

    def __init__(self, me: int, names: Sequence[str], channels: Mapping[int, Channel], deadline_s: float) -> None:
        self.me = me
        self.names = tuple(names)
        self.culprit: int | None = None  # place blamed by the error that ended the run
        self._patience = Patience(me, self.names, deadline_s)
        self._links = {place: Link(place, names[place], channels[place], self._control) for place in sorted(channels)}
        self._allowances = {place: PingAllowance(monotonic()) for place in self._links}
        self._watch = Watch(self._links.values())
        self._at = (0, "start")
        self._handlers: dict[Kind, Callable[[Link, Frame, bytes], None]] = {
            Kind.PING: self._on_ping,
            Kind.ABORT: self._on_abort,
            Kind.BYE: self._on_bye,
        }

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
        next_s = self._judge(awaited, now_s)
        if self._patience.ping_is_due(now_s):
            self._ping(awaited)
        held_back = any(link.held_back for link in self._links.values())
        self._serve(self._watch.events(0.0 if held_back else next_s - now_s))

    def _attend(self, absent: Iterable[int], others: Mapping[int, int], wake_s: float) -> dict[int, int]:
        """Wait for descriptors that are no link's, and for links; what has happened to those descriptors.

        `absent` are the places we wait for in one way or the other. Clocks run for those whose link owes a frame.
        """
        owing = [link for link in self._links.values() if link.want is not None]
        for link in self._links.values():
            if link.unread():
                self._pull(link)
            self._watch.update(link)
        if any(link.want is None for link in owing):
            return {}  # poll does not know of it
        now_s = monotonic()
        wake_s = min(wake_s, self._judge({link.place: link.moved_bytes for link in owing}, now_s))
        if self._patience.ping_is_due(now_s):
            self._ping(absent)
        ours, theirs = self._watch.events_beside(others, wake_s - now_s)
        self._serve(ours)
        return theirs

    def _judge(self, awaited: Mapping[int, int], now_s: float) -> float:
        """When to judge again at the latest; an error that names the party to blame if a deadline has passed."""
        try:
            return self._patience.judge(awaited, self._at, now_s)
        except Overdue as overdue:
            self.culprit = overdue.culprit
            raise overdue.fault from None

    def _serve(self, events: Iterable[tuple[Link, int, bool]]) -> None:
        for link, happened, on_bulk in events:
            if on_bulk:
                self._pull_bulk(link)  # also to hear of its end
                if happened & (WRITABLE | CLOSED):
                    self._push(link)
                continue
            if happened & CLOSED:
                self._hear_out(link)
                continue
            if happened & READABLE:
                self._pull(link)
            if happened & WRITABLE:
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
        self._pull_bulk(link)

    def _pull_bulk(self, link: Link) -> None:
        try:
            link.pull_bulk()
        except EOFError as end:
            self._hear_out(link, str(end))
            self._gone(link, str(end))  # even after BYE: a message that was announced is missing
        except PeerFault:
            self._accuse(link)
            raise

    def _push(self, link: Link) -> None:
        try:
            link.push()
        except EOFError as end:
            link.forget_queue()
            self._hear_out(link, str(end))

    def _hear_out(self, link: Link, broken: str = "") -> None:
        """The peer closed or the connection broke: an ABORT it sent before counts for more than the end itself."""
        if broken and link.bulk is not None:
            # One of two connections broke, and the words that explain it may still be on their way through the other.
            has_closed(link, within_s=PARTING_S)
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
        link.said_abort = True
        if culprit is not None and culprit not in (self.me, link.place):
            # Hearsay: if we can see for ourselves that its connection ended, say that instead. Yet two parties may
            # blame each other, and one that has given its own reason is no lost one.
            suspect = self._links[culprit]
            if not (suspect.ended or suspect.said_bye or suspect.said_abort) and has_closed(suspect):
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
