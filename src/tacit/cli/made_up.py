"""Input files with made-up numbers in the columns that the job, or the first line of the real file, says there are.

They let a program run before anybody shows anything. Not for tests of models: the numbers mean nothing.
"""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

from tacit.crypto.primitives import Stream, digest
from tacit.session.job import Input, Job, Party

ROWS = 640
#: Columns of a file that nobody here has seen: an id, four features, a label.
UNKNOWN = ("id", "column1", "column2", "column3", "column4", "label")


def parties(job: Job, folder: Path) -> tuple[Party, ...]:
    """The parties of the job with every input replaced by a made-up file in `folder`.

    A party that lists no input in this copy of the job may have some in its own, so it is given one.
    """
    made = []
    for party in job.parties:
        own = folder / party.name
        own.mkdir()
        inputs = party.inputs or {"input": Input("input", own / "input.csv")}
        made.append(replace(party, inputs={key: _made_up(entry, own) for key, entry in inputs.items()}))
    return tuple(made)


def _made_up(entry: Input, folder: Path) -> Input:
    header, columns = _columns(entry)
    path = folder / f"{digest(entry.name.encode()).hex()[:8]}.csv"
    stream = Stream(digest(b"made-up data", entry.name.encode()))
    label_at = _position(entry.label, columns, "label")
    id_at = None if entry.id is False else _position(entry.id, columns, "id")
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if header:
            writer.writerow(columns)
        for row in range(ROWS):
            numbers = bytearray(len(columns))
            stream.fill(memoryview(numbers))
            cells = [f"{(number - 128) / 64:.4f}" for number in numbers]
            if label_at is not None:
                cells[label_at] = str(numbers[label_at] % 2)
            if id_at is not None:
                cells[id_at] = f"row{row}"
            writer.writerow(cells)
    return replace(entry, path=path, header=header)


def _columns(entry: Input) -> tuple[bool, list[str]]:
    """Whether there is a header, and one name per column."""
    first = _first_line(entry.path)
    if first is None:
        named = list(entry.columns or UNKNOWN[1:-1])
        ends = [UNKNOWN[0]] if entry.id is not False else []
        names = ends + named + [UNKNOWN[-1]]
        return True, [_renamed(name, entry) for name in names]
    header = entry.header if entry.header is not None else not any(_is_number(cell) for cell in first)
    return header, first if header else [f"column{at}" for at in range(len(first))]


def _renamed(name: str, entry: Input) -> str:
    """The name that the job uses for the id or the label column."""
    if name == "id" and isinstance(entry.id, str):
        return entry.id
    if name == "label" and isinstance(entry.label, str) and entry.label not in ("first", "last"):
        return entry.label
    return name


def _first_line(path: Path) -> list[str] | None:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return next(csv.reader(file), None)
    except (OSError, UnicodeDecodeError, csv.Error):
        return None


def _position(column: str | int | None, columns: list[str], default: str) -> int | None:
    if isinstance(column, int):
        return column if column < len(columns) else None
    if column in ("first", "last"):
        return 0 if column == "first" else len(columns) - 1
    name = column or default
    lowered = [known.strip().lower() for known in columns]
    return lowered.index(name.lower()) if name.lower() in lowered else None


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
