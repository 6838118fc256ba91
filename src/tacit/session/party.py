"""What a program may know about its own place in a run: tacit.party()."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass, field
from typing import TypeVar

from tacit.session.job import Input, Job

Item = TypeVar("Item")
#: (title, done, total or None): shown by whoever runs the program.
ProgressSink = Callable[[str, int, int | None], None]


def _silent(title: str, done: int, total: int | None) -> None:
    del title, done, total


@dataclass(frozen=True)
class Party:
    """This process in the run: its name and place, the names of all, the job, and its own input files."""

    name: str
    place: int
    parties: tuple[str, ...]
    job: Job | None = None
    inputs: Mapping[str, Input] = field(default_factory=dict)
    show_progress: ProgressSink = _silent

    def progress(self, items: Iterable[Item], title: str) -> Iterator[Item]:
        """Yield the items and show how far along they are, with the time left."""
        total = len(items) if isinstance(items, Sized) else None
        self.show_progress(title, 0, total)
        for done, item in enumerate(items, start=1):
            yield item
            self.show_progress(title, done, total)
