"""What a run revealed, to whom, and by which line of the program; and the consent that every reveal() asks for.

Each party asks its own job file before any share leaves it. That stops mistakes and changed programs. It does not stop
a program written to leak, which need not call reveal(): against that, a party reads the program it runs. What was
revealed is listed in the report that every party gets: names, shapes and lines, never values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tacit.errors import RevealRefused


@dataclass(frozen=True)
class Grant:
    """The entry of a job file that covers a reveal. `times` is how often in one run, None for any number."""

    name: str
    to: str
    times: int | None = None


#: (name, receiver) -> the entry that covers it. Raises KeyError where there is none.
Allowance = Callable[[str, str], Grant]


@dataclass(frozen=True)
class Disclosure:
    """One line of the report: what, to whom, its shape, where in the program, and how often."""

    name: str
    to: str
    shape: str
    line: str
    count: int = 1

    def as_dict(self) -> dict[str, object]:
        """For reports."""
        return {"name": self.name, "to": self.to, "shape": self.shape, "line": self.line, "count": self.count}


@dataclass
class Disclosures:
    """The ledger of one party. `allowance` is its own consent, read from its own job file."""

    allowance: Allowance
    source: str = "the job file"
    _counts: dict[tuple[str, str, str, str], int] = field(default_factory=dict)
    _used: dict[tuple[str, str], int] = field(default_factory=dict)  # of each entry of the job file

    def permit(self, name: str, receiver: str, shape: str, line: str) -> None:
        """Note one reveal that is about to happen, or raise RevealRefused before anything is sent."""
        try:
            grant = self.allowance(name, receiver)
        except KeyError:
            # The other parties hear this sentence too; where our job file lies is left to the hint, which stays here.
            raise RevealRefused(
                f'{line} reveals "{name}" (shape {shape}) to {receiver}, and this party\'s job does not allow it',
                hint=f'if this party agrees, add to {self.source}:  [[reveals]]  name = "{name}"  to = "{receiver}"',
            ) from None
        # Counted by entry: consent to "all" once covers one reveal, not one to each party and one to all.
        entry = (grant.name, grant.to)
        used = self._used.get(entry, 0)
        if grant.times is not None and used >= grant.times:
            raise RevealRefused(
                f'{line} reveals "{name}" to {receiver} once more than the {grant.times} that this party\'s job allows',
                hint=f"raise `times` in {self.source} if this party agrees, or reveal less often",
            )
        self._used[entry] = used + 1
        key = (name, receiver, shape, line)
        self._counts[key] = self._counts.get(key, 0) + 1

    def report(self) -> list[Disclosure]:
        """Every reveal so far, in the order of first occurrence."""
        return [Disclosure(name, to, shape, line, count) for (name, to, shape, line), count in self._counts.items()]


def allow_everything(name: str, receiver: str) -> Grant:
    """For parties that are one person's own processes: simulations and tests."""
    return Grant(name, receiver)
