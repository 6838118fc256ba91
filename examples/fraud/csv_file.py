"""One CSV file as lines, names and numbers, or a DataError with file, line and column.

Knows nothing of training, parties or torch. Messages never quote a cell: a cell is a secret, and messages get copied.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn

from tacit.errors import DataError

VALUE_MAX = 1e100
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
NO_NUMBERS = (  # what the cell looks like, what that is, what to do; the first row that fits is reported
    (r"", "the cell is empty", "fill it in, or leave this customer out at both parties"),
    (r"(?i)[+-]?(nan|na|n/a|null|none|-|\?)", "a missing value", "fill it in, or leave this customer out at both"),
    (r"(?i)[+-]?inf(inity)?", "an infinite value", "write a finite number"),
    (r"[+-]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]*)?", "a number with thousands separators", "write 1000 instead of 1,000"),
    (r"[+-]?[0-9]*,[0-9]+", "a number with a decimal comma", "write 3.5 instead of 3,5"),
    (r"(?s).*", "text in a number column", "give a number; or name the id column in the job: id = ..."),
)


class Rows:
    """The records of a file. `lines[i]` is the line that `cells[i]` begins on; all records are equally long."""

    def __init__(self, path: Path, header: bool | None = None, columns: Sequence[str] | None = None) -> None:
        self.file = path.name
        self.lines, self.cells = _records(self.file, _text(path))
        if header is None:  # a first line without a single number must be names
            header = not any(NUMBER.fullmatch(cell.strip()) for cell in self.cells[0])
        width = len(self.cells[0])
        unnamed = columns or [f"column {at}" for at in range(width)]
        self.names = [cell.strip() for cell in self.cells[0]] if header else list(unnamed)
        if len(self.names) != width:
            hint = "without a header, columns names all of them, id and label included"
            refuse(self.file, f"the job names {len(self.names)} columns, the file has {width}", hint)
        for at, name in enumerate(self.names):
            if not name or name in self.names[:at]:
                problem = f"column {at} has the name of an earlier one" if name else f"column {at} has no name"
                refuse(self.file, problem, "give each column a name (pandas: to_csv(..., index=False))", self.lines[0])
        if header:
            del self.lines[0], self.cells[0]

    def position(self, role: str, wanted: str | int | None) -> int | None:
        """Where the column is that the job calls `wanted`; if the job is silent, one that is named like its role."""
        if wanted is None:
            return next((at for at, name in enumerate(self.names) if name.lower() == role), None)
        ends: dict[str | int, int] = {"first": 0, "last": len(self.names) - 1} if role == "label" else {}
        found = self.names.index(wanted) if wanted in self.names else ends.get(wanted, wanted)
        if isinstance(found, int) and found < len(self.names):
            return found
        near = get_close_matches(str(wanted), self.names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"the columns are {', '.join(self.names[:20])}"
        refuse(self.file, f"the job says {role} = {wanted!r}, and there is no such column", hint)

    def texts(self, at: int) -> list[str]:
        """The cells of one column."""
        return [record[at].strip() for record in self.cells]

    def numbers(self, at: int) -> list[float]:
        """The cells of one column as finite numbers."""
        return [self._number(line, at, text) for line, text in zip(self.lines, self.texts(at), strict=True)]

    def _number(self, line: int, at: int, text: str) -> float:
        if NUMBER.fullmatch(text):
            value = float(text)
            if abs(value) <= VALUE_MAX:
                return value
            refuse(self.file, "a number beyond 1e100", "use a larger unit for this column", line, self.names[at])
        problem, hint = next((problem, hint) for shape, problem, hint in NO_NUMBERS if re.fullmatch(shape, text))
        first = "; if this line holds column names, say header = true in the job" if line == 1 else ""
        refuse(self.file, problem, hint + first, line, self.names[at])


def refuse(file: str, problem: str, hint: str, line: int | None = None, column: str | None = None) -> NoReturn:
    """Raises the DataError for a fault at this place."""
    place = [file, *([f"line {line}"] if line else []), *([f"column {column!r}"] if column else [])]
    raise DataError(f"{', '.join(place)}: {problem}", hint=hint)


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")  # -sig: spreadsheets put a byte order mark in front
    except FileNotFoundError:
        refuse(path.name, "there is no such file", f"put it at {path}, or correct the path in the job")
    except OSError as fault:
        refuse(path.name, f"it cannot be read: {fault.strerror}", "check the file and its permissions")
    except UnicodeDecodeError as fault:
        line = fault.object[: fault.start].count(b"\n") + 1
        refuse(path.name, "the text is not UTF-8", "save the file as CSV in UTF-8", line)


def _records(file: str, text: str) -> tuple[list[int], list[list[str]]]:
    lines: list[int] = []
    cells: list[list[str]] = []
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    begins = 1
    try:
        for record in reader:
            lines.append(begins)
            cells.append(record)
            begins = reader.line_num + 1
    except csv.Error:
        refuse(file, "this is not valid CSV", "check the quotation marks on this line", begins)
    while cells and not any(cell.strip() for cell in cells[-1]):  # empty lines at the end mean nothing
        del lines[-1], cells[-1]
    if not cells:
        refuse(file, "the file is empty", "bring a CSV file with one customer on each line")
    for mark in ";\t|":
        if cells[0] and cells[0][0].count(mark) >= len(cells[0]):
            refuse(file, f"the cells are separated by {mark!r}, expected ','", "save the file with commas", lines[0])
    for line, record in zip(lines, cells, strict=True):
        if len(record) != len(cells[0]):
            problem = f"{len(record)} cells, expected {len(cells[0])} as on line {lines[0]}"
            refuse(file, problem, "look for a missing cell; quote cells that hold a comma", line)
    return lines, cells
