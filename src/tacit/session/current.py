"""Which run this process takes part in. `launch` sets it; the public verbs ask for it.

The parties connect at the first use, not at the start of the program: a program reads and checks its own data first, so
that a missing cell stops one party before it has disturbed the others.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from tacit.errors import NoSession
from tacit.session.session import Session


class Run:
    """This process's part in a run: who it is, and how to connect once it must."""

    def __init__(self, party: Any, connect: Callable[[], Session]) -> None:
        self.party = party
        self._connect = connect
        self._session: Session | None = None
        self.tensors: Any = None  # what the tensor floor keeps for this run; nothing here looks at it

    @property
    def session(self) -> Session:
        """The session; the first use connects."""
        if self._session is None:
            self._session = self._connect()
        return self._session

    @property
    def connected(self) -> Session | None:
        """The session if there is one yet."""
        return self._session


_run: Run | None = None
_entering = threading.Lock()


def enter(run: Run | None) -> None:
    """Make `run` the run of this process, or end it (None). A second one is refused, also in another thread."""
    global _run
    with _entering:
        if run is not None and _run is not None:
            raise NoSession(
                "this process already takes part in a run; torch's random generator, which a run keeps in step at all "
                "parties, is one for all its threads",
                hint="one process is one party of one run: start the other with tacit.simulate or `tacit run`, which "
                "make processes of their own",
            )
        _run = run


def current() -> Run:
    """The run of this process, or an error that says how to start one."""
    if _run is None:
        raise NoSession(
            "this program takes part in no run",
            hint="start it with `tacit run program.py`, or call the function through tacit.simulate(...)",
        )
    return _run
