"""The moments of a run: each is printed, and the party whose file `hold` names it waits there for a signal.

What waits differs by party, so it is read from a file: the programs themselves must be the same everywhere.
"""

import os
import signal
from pathlib import Path

import tacit
from tacit.session.handshake import Handshake
from tacit.session.session import Session

_hold = Path("hold")
_held = _hold.read_text().splitlines() if _hold.exists() else []
_seen = set()


def at(moment: str) -> None:
    if moment in _seen:
        return
    _seen.add(moment)
    print("at", moment, flush=True)
    if f"{tacit.party().name} {moment}" in _held:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])  # or it could come just before we wait for it
        print("held at", moment, os.getpid(), flush=True)
        signal.sigwait([signal.SIGUSR1])


def _before(kind: type, method: str, moment_of: object) -> None:
    """Call at(...) before the method, where `moment_of` gives a moment for its arguments."""
    inner = getattr(kind, method)

    def outer(self, *args, **options):
        moment = moment_of(self, *args)
        if moment:
            at(moment)
        return inner(self, *args, **options)

    setattr(kind, method, outer)


_before(Handshake, "confirm", lambda self: "handshake")
_before(Session, "exchange", lambda self, label, *rest: "sharing" if label == "share" else None)
_before(Session, "exchange", lambda self, label, *rest: "revealing" if label == "reveal" else None)
