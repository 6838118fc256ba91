"""All parties of a run meet over TCP with mutual TLS 1.3. A peer *is* its pinned key.

A party connects to every party listed before it and listens for every party listed after it; so the first party only
listens and the last only connects. Implements docs/spec/wire.md, "Meeting".
Not here: what is said after the meeting (mesh.py, session).
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Sequence
from time import monotonic

from tacit.errors import PeerAbsent, PeerFault, PeerUntrusted
from tacit.net import blame
from tacit.net.channel import Channel
from tacit.net.dial import Dial
from tacit.net.door import Door
from tacit.net.frames import Frame, Kind, decode_abort, describe, encode_abort, encode_header
from tacit.net.link import Link
from tacit.net.parting import PARTING_S, part
from tacit.net.tls import Endpoint, TlsChannel, TransportIdentity

__all__ = ["Endpoint", "TlsChannel", "TransportIdentity", "connect_all"]


def connect_all(
    me: int,
    endpoints: Sequence[Endpoint],
    identity: TransportIdentity,
    *,
    deadline_s: float,
    progress: Callable[[str], None] | None = None,
    listener: socket.socket | None = None,
) -> dict[int, Channel]:
    """One authenticated channel to each other party, or an error that names who is missing and what was tried.

    `listener`: a socket made by `door.listen`, for a caller that goes on listening afterwards and closes it.
    """
    meeting = Meeting(me, endpoints, identity, deadline_s, progress or (lambda text: None), listener)
    try:
        return meeting.hold()
    except BaseException as why:
        meeting.break_up(why)
        raise
    finally:
        meeting.close_door()


def _deaf(link: Link, frame: Frame, payload: bytes) -> None:
    """For a link on which we only take our leave."""


class Meeting:
    """The state of one connect_all."""

    def __init__(
        self,
        me: int,
        endpoints: Sequence[Endpoint],
        identity: TransportIdentity,
        deadline_s: float,
        tell: Callable[[str], None],
        listener: socket.socket | None,
    ) -> None:
        self._me = me
        self._endpoints = endpoints
        self._names = [endpoint.name for endpoint in endpoints]
        self._identity = identity
        self._deadline_s = deadline_s
        self._tell = tell
        self._channels: dict[int, Channel] = {}
        self._left: dict[int, str] = {}  # parties that were here and went again
        self._culprit: int | None = None  # place blamed by the error that ended the meeting
        self._door = Door(me, endpoints, identity, tell, listener) if me < len(endpoints) - 1 else None
        if self._door is not None:
            tell(f"listening on {endpoints[me].address} for {blame.named(self._names, range(me + 1, len(endpoints)))}")
        now_s = monotonic()
        self._dials = {place: self._dial(place, now_s) for place in range(me)}

    def _dial(self, place: int, now_s: float) -> Dial:
        return Dial(self._me, place, len(self._endpoints), self._endpoints[place], self._identity, now_s=now_s)

    def hold(self) -> dict[int, Channel]:
        end_s = monotonic() + self._deadline_s
        events: dict[int, int] = {}
        while True:
            now_s = monotonic()
            self._admit(now_s, events)
            absent = [p for p in range(len(self._endpoints)) if p != self._me and p not in self._channels]
            if not absent:
                return self._channels
            if now_s >= end_s:
                self._give_up(absent)
            events = self._poll(now_s, end_s)
            self._notice_departures(events)

    def break_up(self, why: BaseException) -> None:
        """Leave those who came. They may have met everybody and wait for us: tell them whose fault it is."""
        if isinstance(why, PeerFault):
            links = [Link(place, self._names[place], channel, _deaf) for place, channel in self._channels.items()]
            payload = encode_abort(self._culprit, why.message)
            part(links, encode_header(Kind.ABORT, 0, "", len(payload)), payload, limit_s=PARTING_S)
        for channel in self._channels.values():
            channel.close()

    def close_door(self) -> None:
        for dial in self._dials.values():
            dial.close()
        if self._door is not None:
            self._door.close()

    def _admit(self, now_s: float, events: dict[int, int]) -> None:
        arrived: dict[int, TlsChannel] = {}
        for place, dial in tuple(self._dials.items()):
            interest = dial.interest()
            self._culprit = place  # for the error that this call may raise
            channel = dial.advance(now_s, events.get(interest[0], 0) if interest else 0)
            self._culprit = None
            if channel is not None:
                arrived[place] = channel
                del self._dials[place]
        if self._door is not None:
            arrived |= self._door.advance(now_s, events, set(self._channels))
        for place, channel in arrived.items():
            self._channels[place] = channel
            count = f"{len(self._channels)} of {len(self._endpoints) - 1}"
            self._tell(f"{self._names[place]} is connected ({count})")

    def _poll(self, now_s: float, end_s: float) -> dict[int, int]:
        masks: dict[int, int] = {} if self._door is None else self._door.interest()
        wake_s = min(end_s, end_s if self._door is None else self._door.wake_s())
        for dial in self._dials.values():
            wake_s = min(wake_s, dial.wake_s)
            interest = dial.interest()
            if interest is not None:
                masks[interest[0]] = interest[1]
        for channel in self._channels.values():
            masks[channel.fileno()] = select.POLLRDHUP
        poll = select.poll()
        for fd, mask in masks.items():
            poll.register(fd, mask)
        return dict(poll.poll(max(0.0, wake_s - now_s) * 1000 + 1))

    def _notice_departures(self, events: dict[int, int]) -> None:
        """A party may meet an error, or be started anew, while we still wait for another one."""
        for place, channel in tuple(self._channels.items()):
            if not events.get(channel.fileno()):
                continue
            link = Link(place, self._names[place], channel, self._hear)
            why = "it had finished"
            try:
                link.last_words()
            except EOFError as end:
                why = str(end)
            channel.close()
            del self._channels[place]
            self._left[place] = why
            self._tell(f"{self._names[place]} has gone again ({why}); waiting for it")
            if place < self._me:
                self._dials[place] = self._dial(place, monotonic())

    def _hear(self, link: Link, frame: Frame, payload: bytes) -> None:
        if frame.kind is Kind.ABORT:
            culprit, reason = decode_abort(payload, link.sender, len(self._names))
            if culprit is not None:
                # What we saw ourselves says more than hearsay, above all where it is we who are blamed.
                for place in range(len(self._names)) if culprit == self._me else (culprit,):
                    self._refuse_claimant(place)
                if link.head is None:
                    # Nothing came before, no HELLO either: it gave up its own meeting. Ours has its own patience, and
                    # whoever mends the fault may start that party again.
                    raise EOFError(reason)
            at = (0, "connecting")
            self._culprit, fault = blame.stopped_fault(self._names, self._me, link.place, culprit, reason, at)
            raise fault
        if frame.kind is Kind.BYE:
            link.said_bye = True

    def _give_up(self, absent: Sequence[int]) -> None:
        for place in absent:
            self._culprit = place
            self._refuse_claimant(place)
            dial = self._dials.get(place)
            if dial is not None and dial.complaint is not None:
                raise dial.complaint
        # Those who came and left again may have run out of patience with the one who never came.
        first, *others = sorted(absent, key=lambda place: place in self._left)
        self._culprit = first
        also = f"; also absent: {blame.named(self._names, others)}" if others else ""
        raise PeerAbsent(
            f"{describe(first, self._names[first])} did not connect within {self._deadline_s:.0f} s: "
            f"{self._tried(first)}{also}",
            hint=self._what_to_do(first),
        )

    def _refuse_claimant(self, place: int) -> None:
        claim = None if self._door is None else self._door.claims.get(place)
        if claim is not None:
            self._culprit = place
            who = describe(place, self._names[place])
            raise PeerUntrusted(f"{who} did not come, but {claim.what}", hint=claim.hint)

    def _tried(self, place: int) -> str:
        if place in self._dials:
            dial = self._dials[place]
            text = f"we called it at {self._endpoints[place].address} {dial.attempts} times, the last time: {dial.last}"
        else:
            text = f"it was to connect to us at {self._endpoints[self._me].address}{self._strangers()}"
        return f"{text}; it was connected before and left: {self._left[place]}" if place in self._left else text

    def _strangers(self) -> str:
        counts = {} if self._door is None else self._door.strangers
        if not counts:
            return ", and nobody came"
        return ", and only strangers came: " + ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))

    def _what_to_do(self, place: int) -> str:
        name = self._names[place]
        listener = self._endpoints[min(place, self._me)]
        side = "there" if place < self._me else "here"
        return (
            f"start the same program at {name}; it must be able to reach {listener.address}, so open that port {side}"
            if place > self._me
            else f"start the same program at {name}; it listens on {listener.address}, so that port must be open {side}"
        )
