"""Who may use a run: one thread of one process, the first that does.

A fork holds the same keys at the same places of their streams: whatever it sent would lie under used pads. A second
thread draws from the streams of the first, between two draws of one gate, and no two parties' threads take turns alike:
results would be wrong everywhere, and nobody would hear of it.
"""

from __future__ import annotations

import os
import threading

from tacit.errors import Misuse


class Owner:
    """Belongs to the process that makes it, and to the thread that first passes `check`."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._thread: int | None = None
        self._first = threading.Lock()

    def is_this_process(self) -> bool:
        """Whether we are not a fork of the owner."""
        return os.getpid() == self._process

    def check(self, what_it_did: str) -> None:
        """Raise Misuse in any other process or thread; `what_it_did` is the end of a sentence."""
        if os.getpid() != self._process:
            raise Misuse(
                f"a process forked from a party {what_it_did}",
                hint="compute on secret tensors in the party itself; a DataLoader over them needs num_workers=0",
            )
        thread = threading.get_ident()
        if thread != self._thread and thread != self._claimed_by(thread):
            raise Misuse(
                f"a second thread of a party {what_it_did}",
                hint="compute on secret tensors in the thread that used them first: parties cannot agree on the order "
                "in which threads take turns",
            )

    def _claimed_by(self, thread: int) -> int:
        with self._first:
            if self._thread is None:
                self._thread = thread
            return self._thread
