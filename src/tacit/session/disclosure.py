"""What a run revealed, to whom, and by which line of the program; and the consent without which nothing is revealed.

Each party asks its own `Consent` before any share leaves it. What was revealed is listed in the report that every party
gets: names, shapes and lines, never values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tacit.errors import RevealRefused

#: (name, receiver) -> how often it is allowed, None for any number of times. Raises KeyError where it is not.
Allowance = Callable[[str, str], int | None]


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

    def permit(self, name: str, receiver: str, shape: str, line: str) -> None:
        """Note one reveal that is about to happen, or raise RevealRefused before anything is sent."""
        try:
            limit = self.allowance(name, receiver)
        except KeyError:
            raise RevealRefused(
                f'{line} reveals "{name}" (shape {shape}) to {receiver}, and {self.source} does not allow it',
                hint=f'if this party agrees, add to the job:  [[reveals]]  name = "{name}"  to = "{receiver}"',
            ) from None
        used = sum(count for (known, to, _, _), count in self._counts.items() if (known, to) == (name, receiver))
        if limit is not None and used >= limit:
            raise RevealRefused(
                f'{line} reveals "{name}" to {receiver} for the {used + 1}th time; {self.source} allows {limit}',
                hint="raise `times` in the job if this party agrees, or reveal less often",
            )
        key = (name, receiver, shape, line)
        self._counts[key] = self._counts.get(key, 0) + 1

    def report(self) -> list[Disclosure]:
        """Every reveal so far, in the order of first occurrence."""
        return [Disclosure(name, to, shape, line, count) for (name, to, shape, line), count in self._counts.items()]


def allow_everything(name: str, receiver: str) -> int | None:
    """For parties that are one person's own processes: simulations and tests."""
    del name, receiver
    return None
