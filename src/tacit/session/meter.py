"""What a run costs: rounds and payload bytes by operation, counted where messages leave, and the time they took.

A round is one exchange in which parties wait for each other; all parties run the same exchanges, so all of them count
the same rounds. What a helper deals is no round: it waits for nobody inside a gate, so its messages are under way
before they are needed (the first after it took part in an opening excepted). Bytes are payload sent by this party:
frame headers, TLS and pings are the channel's business (`Mesh.statistics`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tacit.session.owner import Owner


@dataclass
class Cost:
    """Rounds, payload bytes sent by this party, calls and seconds."""

    rounds: int = 0
    bytes_sent: int = 0
    calls: int = 0
    seconds: float = 0.0

    def as_dict(self) -> dict[str, float]:
        """For reports."""
        return {
            "rounds": self.rounds,
            "bytes_sent": self.bytes_sent,
            "calls": self.calls,
            "seconds": round(self.seconds, 4),
        }


@dataclass
class Meter:
    """Costs by operation. `operation` is the innermost one under way; its name also labels the frames."""

    total: Cost = field(default_factory=Cost)
    by_operation: dict[str, Cost] = field(default_factory=dict)
    operation: str = "setup"
    started: float = field(default_factory=time.monotonic)
    owner: Owner = field(default_factory=Owner, repr=False)

    @contextmanager
    def measure(self, operation: str) -> Iterator[None]:
        """Book everything inside under `operation`; an inner operation keeps its own account of rounds and bytes."""
        # Before anything else, so that a thread that must not compute disturbs nothing, not even labels.
        self.owner.check("tried to compute on its secrets")
        outer, self.operation = self.operation, operation
        begun = time.monotonic()
        try:
            yield
        finally:
            self.operation = outer
            cost = self._account(operation)
            cost.calls += 1
            cost.seconds += time.monotonic() - begun

    def note_exchange(self, bytes_sent: int, rounds: int = 1) -> None:
        """One exchange, in which this party sent `bytes_sent` payload bytes."""
        for cost in (self.total, self._account(self.operation)):
            cost.rounds += rounds
            cost.bytes_sent += bytes_sent

    def report(self) -> dict[str, object]:
        """Totals, and each operation by falling number of rounds."""
        self.total.seconds = time.monotonic() - self.started
        ranked = sorted(self.by_operation.items(), key=lambda item: (-item[1].rounds, item[0]))
        return {
            "rounds": self.total.rounds,
            "bytes_sent": self.total.bytes_sent,
            "seconds": round(self.total.seconds, 3),
            "operations": {name: cost.as_dict() for name, cost in ranked},
        }

    def _account(self, operation: str) -> Cost:
        account = self.by_operation.get(operation)
        if account is None:
            account = self.by_operation[operation] = Cost()
        return account
