"""How a program becomes a party: connect when it first needs the others, run it, part from them, account for it.

Not here: where the links come from. They may be sockets that a parent made (launch) or TLS to other machines (cli).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from tacit.errors import PeerFault, RefusedOp, RevealRefused
from tacit.net.mesh import Mesh
from tacit.session import current
from tacit.session.disclosure import Disclosures
from tacit.session.handshake import Terms, greet
from tacit.session.party import Party
from tacit.session.randomness import Randomness
from tacit.session.session import Session
from tacit.session.truncation import DITHERED

Result = TypeVar("Result")

#: Errors whose text says nothing about this party's data, so that the others may read it.
_TELLABLE = (PeerFault, RefusedOp, RevealRefused)


@dataclass(frozen=True)
class Settings:
    """What a session needs to know beyond its links."""

    terms: Terms
    protocol: str = "masked"
    ring_bits: int = 64
    frac_bits: int = 16
    deadline_s: float = 30.0
    transport: str = "tls"  # "frames": open second connections; the mesh must have been made for them
    truncation: str = DITHERED
    meet_s: float = 0.0  # how long the parties have to meet; 0 where they are connected from the start


def take_part(
    party: Party,
    settings: Settings,
    meet: Callable[[], Mesh],
    program: Callable[[], Result],
    disclosures: Disclosures,
    keep: Callable[[dict[str, Any]], None] | None = None,
) -> Result:
    """Run `program` as `party`. `meet` connects the parties; it is called when the program first needs them.

    If the program fails, the others are told at once, in words that hold no data. `keep` gets the account of the run in
    either case: what was revealed before a failure was revealed.
    """
    run = current.Run(party, partial(_connect, party, settings, meet, disclosures))
    current.enter(run)
    completed = False
    try:
        result = program()
        if run.connected is not None:
            run.connected.close()
        completed = True
        return result
    except BaseException as error:
        if run.connected is not None:
            run.connected.abort(farewell(error))
        raise
    finally:
        current.enter(None)
        if run.connected is not None and keep is not None:
            keep(account(party, run.connected, completed=completed))


def _connect(party: Party, settings: Settings, meet: Callable[[], Mesh], disclosures: Disclosures) -> Session:
    mesh = meet()
    try:
        agreed = greet(party.place, settings.terms, mesh, meet_s=settings.meet_s)
        if settings.transport == "frames":
            mesh.open_bulk(agreed.bulk_secrets, patience_s=settings.meet_s or settings.deadline_s)
    except BaseException as error:
        mesh.abort(farewell(error))
        raise
    return Session(
        party.place,
        party.parties,
        mesh,
        Randomness(agreed.pair_keys, agreed.session_id),
        protocol=settings.protocol,
        ring_bits=settings.ring_bits,
        frac_bits=settings.frac_bits,
        public_seed=agreed.public_seed,
        disclosures=disclosures,
        truncation=settings.truncation,
    )


def farewell(error: BaseException) -> str:
    """What the other parties are told of our error. The text of most errors stays here: it may speak of our data."""
    kind = type(error).__name__
    return f"{kind}: {error.message}" if isinstance(error, _TELLABLE) else kind


def account(party: Party, session: Session, *, completed: bool) -> dict[str, Any]:
    """Rounds, bytes, seconds and disclosures of one party, for reports."""
    return {
        "party": party.name,
        "completed": completed,
        "parties": list(party.parties),
        "protocol": session.protocol,
        "frac_bits": session.frac_bits,
        "truncation": session.truncation,
        "public_seed": session.public_seed,
        **session.meter.report(),
        "disclosures": [entry.as_dict() for entry in session.disclosures.report()],
    }
