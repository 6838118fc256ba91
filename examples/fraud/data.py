"""Turns this party's CSV file into tensors that are ready to be shared: numbers, labels, and a digest of the id column.

All of it happens before this party connects to anyone, so a fault in a file costs nobody a run. Statistics come from
this party's own train rows. Not here: the reading of CSV itself (csv_file.py), or anything that sees another's rows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from csv_file import Rows, refuse
from tacit.errors import DataError

ROWS_MIN = 200  # 160 to train on: at least one batch of 128
CLIP = 8.0  # standard deviations; a longer tail would only cost precision
EPOCH_ROWS = 256  # test rows whose scores bob sees after every epoch; each score says something of a customer


@dataclass(frozen=True)
class Table:
    """One party's file. What a party does not bring is empty or None: tacit.secret() asks the owner alone."""

    features: Tensor  # [rows, columns] float32, standardised
    ids: Tensor  # [4] int64: digest of the id column; [0] without one
    labels: Tensor | None = None  # [rows, 1] float32, 1 = fraud
    names: tuple[str, ...] = ()  # of the features
    path: Path | None = None
    clipped: int = 0


def load(party: Any) -> Table:
    """This party's table: the input that its job names. The crypto-producer brings none."""
    source = next(iter(party.inputs.values()), None)
    if source is None:
        if party.name in ("alice", "bob"):
            raise DataError(f"{party.name} brings no input file", hint="name it in the job, or use --input FILE")
        return Table(torch.empty(0, 0), order_digest([]))
    table = read(source.path, source.header, source.id, source.label, source.columns)
    if party.name == "bob" and table.labels is None:
        hint = 'name the column label, or say in the job which one it is: label = NAME, "first" or "last"'
        refuse(source.path.name, "no label column, and the labels are bob's to bring", hint)
    rows, columns = table.features.shape
    print(f"{source.path.name}: {rows:,} rows, {columns} features, {'with' if len(table.ids) else 'without'} ids")
    print(f"  standardised by its train rows; {table.clipped} values clipped at {CLIP:g} standard deviations")
    return table


def read(
    path: Path,
    header: bool | None = None,
    id: str | int | Literal[False] | None = None,
    label: str | int | None = None,
    columns: Sequence[str] | None = None,
) -> Table:
    """The table in a CSV file. The arguments are the keys of an input in the job; None means: find out."""
    rows = Rows(path, header, columns)
    if len(rows.cells) < ROWS_MIN:
        refuse(rows.file, f"{len(rows.cells)} rows of data, expected at least {ROWS_MIN}", "bring more customers")
    id_at = None if id is False else rows.position("id", id)
    label_at = rows.position("label", label)
    if id_at is not None and id_at == label_at:
        refuse(rows.file, f"column {rows.names[id_at]!r} is both id and label", "correct id or label in the job")
    wanted = [rows.position("columns", name) for name in columns or rows.names]
    used = [at for at in wanted if at is not None and at not in (id_at, label_at)]
    if not used:
        refuse(rows.file, "no feature is left beside id and label", "bring at least one number column")
    ids = [] if id_at is None else _ids(rows, id_at)
    labels = None if label_at is None else _labels(rows, label_at)
    features, clipped = _standardised(torch.tensor([rows.numbers(at) for at in used], dtype=torch.float64).T)
    return Table(features, order_digest(ids), labels, tuple(rows.names[at] for at in used), path, clipped)


def split(rows: int) -> tuple[Tensor, Tensor]:
    """Row numbers to train on and to test on: by position alone, so all parties agree before they have met."""
    numbers = torch.arange(rows)
    return numbers[numbers % 5 != 4], numbers[numbers % 5 == 4]


def order_digest(ids: Sequence[str]) -> Tensor:
    """Four words, equal at two parties exactly if their ids are; none without ids.

    A digest of ids can be guessed by trying ids, so it is shared like any secret and compared inside the computation.
    """
    digest = hashlib.sha256(json.dumps(list(ids)).encode()).digest() if ids else b""
    words = [int.from_bytes(digest[at : at + 8], "little", signed=True) for at in range(0, len(digest), 8)]
    return torch.tensor(words, dtype=torch.int64)


def check_counts(alice: Tensor, bob: Tensor) -> None:
    """How many rows a table has is public, so this needs no reveal."""
    if len(alice) != len(bob):
        hint = "both bring the same customers in the same order"
        raise DataError(f"the tables differ in length: alice {len(alice):,} rows, bob {len(bob):,}", hint=hint)


def comparable(alice: Tensor, bob: Tensor) -> bool:
    """Whether both parties brought an id column; says so if not."""
    both = len(alice) == len(bob) > 0
    if not both:
        print("WARNING: the order of the rows is unverified, for want of an id column at both parties")
    return both


def check_order(same: Tensor) -> None:
    """Stops if the id columns differ."""
    if not same:
        hint = "sort both files by id; ids are compared as text, so 7 and 007 differ"
        raise DataError("the id columns of alice and bob differ: other customers, or another order", hint=hint)


def _ids(rows: Rows, at: int) -> list[str]:
    ids = rows.texts(at)
    seen: dict[str, int] = {}
    for line, text in zip(rows.lines, ids, strict=True):
        if not text:
            refuse(rows.file, "the cell is empty", "give every customer an id", line, rows.names[at])
        if seen.setdefault(text, line) != line:
            problem = f"the same id as on line {seen[text]}"
            refuse(rows.file, problem, "keep one line for each customer", line, rows.names[at])
    return ids


def _labels(rows: Rows, at: int) -> Tensor:
    labels = rows.numbers(at)
    for line, value in zip(rows.lines, labels, strict=True):
        if value not in (0.0, 1.0):
            refuse(rows.file, "a label that is neither 0 nor 1", "write 1 for fraud, else 0", line, rows.names[at])
    column = torch.tensor(labels)[:, None]
    train, test = split(len(column))
    if any(not 0 < column[part].sum() < len(part) for part in (train, test, test[:EPOCH_ROWS])):
        hint = f"mix the rows at both parties; every fifth is a test row, the first {EPOCH_ROWS} of them show progress"
        refuse(rows.file, "the labels of the train or the test rows are all alike", hint, column=rows.names[at])
    return column


def _standardised(features: Tensor) -> tuple[Tensor, int]:
    train, _ = split(len(features))
    centre, scale = features[train].mean(0), features[train].std(0)
    scale[scale <= 1e-9 * centre.abs()] = torch.inf  # a constant column says nothing: it becomes zeros
    scaled = (features - centre) / scale
    return scaled.clamp(-CLIP, CLIP).float(), int((scaled.abs() > CLIP).sum())
