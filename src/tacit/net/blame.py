"""Who is to blame for a wait that took too long, and in what words. Pure: standings and a clock in, an exception out.

A party that waits tells all others whom it waits for (PING). So the party that everybody really waits for can be named
even by those who wait for somebody who waits for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from tacit.errors import PeerDiverged, PeerLost, PeerSilent, PeerStopped
from tacit.net.frames import SAME_PROGRAM, describe


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


def overdue_fault(
    names: Sequence[str],
    me: int,
    overdue: int,
    standings: Mapping[int, Standing],
    *,
    at: tuple[int, str],
    waited_s: float,
    now_s: float,
    fresh_s: float,
) -> tuple[int, PeerSilent | PeerDiverged]:
    """(place to blame, error) when `overdue` has moved nothing for `waited_s`."""
    culprit = root_cause(me, overdue, standings, now_s=now_s, fresh_s=fresh_s)
    if culprit is None:
        said = standings[overdue]
        return overdue, PeerDiverged(
            f"{describe(overdue, names[overdue])} is at {where(said.step, said.label)}; we are at {where(*at)}; "
            "all parties wait for each other",
            hint=SAME_PROGRAM,
        )
    via = "" if culprit == overdue else f"; {describe(overdue, names[overdue])}, for whom we wait, waits for it too"
    return culprit, PeerSilent(
        f"{describe(culprit, names[culprit])} is connected and has sent nothing for {waited_s:.0f} s; "
        f"we are at {where(*at)}{via}",
        hint=f"look at the machine of {names[culprit]}: is the program stopped, swapping or still computing? "
        "a longer deadline is set in the job file",
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
