"""Who is to blame for a wait that took too long, and in what words. Pure: standings and a clock in, an exception out.

A party that waits tells all others whom it waits for (PING). So the party that everybody really waits for can be named
even by those who wait for somebody who waits for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from tacit.errors import PeerDiverged, PeerLost, PeerSilent, PeerStopped
from tacit.net.frames import SAME_PROGRAM, describe

PING_EVERY_S = 1.0
PING_EVERY_S_MIN = 0.1  # whatever the deadline: allowance.py counts on it
FRESH_PINGS = 2.5  # a party that pinged within so many intervals is known to wait; less than any deadline above 0.25 s
HELD_UP_DEADLINES_MAX = 10  # a party may go from step to step for so long without a byte for us


class Standing(NamedTuple):
    """What a party last said about its own waiting."""

    heard_s: float
    awaits: tuple[int, ...]
    step: int
    label: str


def root_cause(me: int, overdue: int, standings: Mapping[int, Standing], *, now_s: float, fresh_s: float) -> int | None:
    """The first party on the chain of waits from `overdue` that does not itself report waiting; None if all wait."""
    seen = {me}
    ahead = [overdue]
    while ahead:
        place = ahead.pop(0)
        if place in seen:
            continue
        seen.add(place)
        standing = standings.get(place)
        if standing is None or now_s - standing.heard_s > fresh_s:
            return place
        ahead.extend(standing.awaits)
    return None


def where(step: int, label: str) -> str:
    return f"step {step} {label}"


class Overdue(Exception):
    """Carries the verdict from `Patience.judge` to the mesh, which keeps the place and raises the fault."""

    def __init__(self, culprit: int, fault: PeerSilent | PeerDiverged) -> None:
        super().__init__()
        self.culprit = culprit
        self.fault = fault


class Clock(NamedTuple):
    """How long one peer keeps us waiting."""

    silent_since_s: float  # its deadline counts from here
    moved_bytes: int  # payload until then
    idle_since_s: float  # no payload has moved since, whatever the peer said


class Patience:
    """The clocks of one party's waits and what the others said about theirs.

    Silence is what counts, not duration: a clock starts again with each byte of payload that moves. What a peer says of
    itself can start it again too, but only while it claims to advance, and not for ever: words cost it nothing.
    """

    def __init__(self, me: int, names: Sequence[str], deadline_s: float) -> None:
        self.deadline_s = deadline_s
        self._me = me
        self._names = names
        self._ping_every_s = max(PING_EVERY_S_MIN, min(PING_EVERY_S, deadline_s / 3))
        self._next_ping_s: float | None = None
        self._standings: dict[int, Standing] = {}
        self._clocks: dict[int, Clock] = {}
        self._furthest: dict[int, int] = {}  # {place: highest step it told of during this wait}

    def forget_clocks(self) -> None:
        """A new wait begins."""
        self._clocks.clear()
        self._furthest.clear()
        self._next_ping_s = None

    def hear(self, place: int, standing: Standing, moved_bytes: int) -> None:
        """A PING of `place` has come."""
        self._standings[place] = standing
        if standing.step > self._furthest.get(place, -1):
            # It has moved on and only now waits for somebody: its clock starts again, and it will itself run out of
            # patience before we do. A step it told of before starts nothing: an honest party never goes back.
            self._furthest[place] = standing.step
            clock = self._clocks.get(place)
            idle = clock is not None and clock.moved_bytes == moved_bytes
            idle_since_s = clock.idle_since_s if clock is not None and idle else standing.heard_s
            self._clocks[place] = Clock(standing.heard_s, moved_bytes, idle_since_s)

    def judge(self, awaited: Mapping[int, int], at: tuple[int, str], now_s: float) -> float:
        """When to judge again at the latest. `awaited` is {place: bytes moved so far}. Raises Overdue."""
        if self._next_ping_s is None:
            self._next_ping_s = now_s + self._ping_every_s
        next_s = self._next_ping_s
        for place, moved_bytes in awaited.items():
            clock = self._clocks.get(place)
            if clock is None or clock.moved_bytes != moved_bytes:
                clock = self._clocks[place] = Clock(now_s, moved_bytes, now_s)
            waited_s = now_s - clock.silent_since_s
            if waited_s >= self.deadline_s:
                raise self._verdict(place, at, waited_s, now_s)
            idle_s = now_s - clock.idle_since_s
            idle_s_max = self.deadline_s * HELD_UP_DEADLINES_MAX
            if idle_s >= idle_s_max:
                raise self._held_up(place, at, idle_s)
            next_s = min(next_s, clock.silent_since_s + self.deadline_s, clock.idle_since_s + idle_s_max)
        return next_s

    def ping_is_due(self, now_s: float) -> bool:
        due = self._next_ping_s is not None and now_s >= self._next_ping_s
        if due:
            self._next_ping_s = now_s + self._ping_every_s
        return due

    def _held_up(self, place: int, at: tuple[int, str], idle_s: float) -> Overdue:
        # Not along the chain of waits: it is this party's own word that kept us here.
        name = self._names[place]
        return Overdue(
            place,
            PeerSilent(
                f"{describe(place, name)} has told of one step after another for {idle_s:.0f} s and has sent us "
                f"nothing; we are at {where(*at)}",
                hint=f"ask at {name} what it is doing; if it is right, a longer deadline is set in the job file",
            ),
        )

    def _verdict(self, overdue: int, at: tuple[int, str], waited_s: float, now_s: float) -> Overdue:
        fresh_s = self._ping_every_s * FRESH_PINGS
        culprit = root_cause(self._me, overdue, self._standings, now_s=now_s, fresh_s=fresh_s)
        names = self._names
        who = describe(overdue, names[overdue])
        if culprit is None:
            said = self._standings[overdue]
            return Overdue(
                overdue,
                PeerDiverged(
                    f"{who} is at {where(said.step, said.label)}; we are at {where(*at)}; "
                    "all parties wait for each other",
                    hint=SAME_PROGRAM,
                ),
            )
        via = "" if culprit == overdue else f"; {who}, for whom we wait, waits for it too"
        return Overdue(
            culprit,
            PeerSilent(
                f"{describe(culprit, names[culprit])} is connected and has sent nothing for {waited_s:.0f} s; "
                f"we are at {where(*at)}{via}",
                hint=f"look at the machine of {names[culprit]}: is the program stopped, swapping or still computing? "
                "a longer deadline is set in the job file",
            ),
        )


def lost_fault(names: Sequence[str], lost: int, how: str, at: tuple[int, str]) -> PeerLost:
    return PeerLost(
        f"the connection to {describe(lost, names[lost])} ended at our {where(*at)}: {how}",
        hint=f"look at the screen of {names[lost]} for its own error, then start all parties again",
    )


def stopped_fault(
    names: Sequence[str], me: int, reporter: int, culprit: int | None, reason: str, at: tuple[int, str]
) -> tuple[int, PeerStopped]:
    """(place to blame, error) for an ABORT of `reporter`."""
    who = describe(reporter, names[reporter])
    hint = f"look at the screen of {names[reporter]} for its own error, then start all parties again"
    if culprit is None or culprit in (me, reporter):
        blames = f"{who} stopped and names us as the cause" if culprit == me else f"{who} stopped"
        return reporter, PeerStopped(f"{blames}: {reason}; we were at {where(*at)}", hint=hint)
    hint = f"look at the screen of {names[culprit]}, then start all parties again"
    blamed = describe(culprit, names[culprit])
    return culprit, PeerStopped(f"{blamed} is the cause, says {who}: {reason}; we were at {where(*at)}", hint=hint)


def named(names: Sequence[str], places: Iterable[int]) -> str:
    return ", ".join(names[place] for place in places)
