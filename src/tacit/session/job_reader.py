"""Reads the text of a job file by the tables of job_keys, and words every refusal: file, key by its whole path, hint.

Not here: what the values mean together; job.py builds and checks the Job.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from tacit.errors import JobError, StorageTrouble
from tacit.session.job_keys import TABLES, Key

FILE_BYTES_MAX = 256 * 1024


class Reader:
    """Walks the parsed text by the tables of job_keys; it knows the file's name for messages and nothing else."""

    def __init__(self, source: str) -> None:
        self.source = source

    def toml(self, text: str) -> dict[str, Any]:
        try:
            return tomllib.loads(text)
        except RecursionError:
            refuse(self.source, "nested too deeply", "see docs/spec/job.md for the few tables a job has")
        except ValueError as fault:  # TOMLDecodeError says the line; a number of 5,000 digits is a plain ValueError
            refuse(self.source, f"not valid TOML: {fault}", "correct that line; texts stand in double quotes")

    def table(self, found: object, path: str, keys: Mapping[str, Key]) -> dict[str, Any]:
        """The values of one table, defaults filled in; every fault names the key by its whole path."""
        if not isinstance(found, dict):
            refuse(self.source, f"{path}: expected a table, got {_shown(found)}", f"write  [{path}]  on its own line")
        dotted = f"{path}." if path else ""
        for key in found:
            if key not in keys:
                refuse(self.source, f"unknown key {dotted}{bare(key)}", _suggestion(key, path, keys))
        missing = [key for key, rule in keys.items() if rule.required and key not in found]
        if missing:
            rule = keys[missing[0]]
            refuse(
                self.source,
                f"{dotted}{missing[0]} is missing: expected {rule.kind}",
                f"add  {missing[0]} = {rule.sample}" + (f"  under [{path}]" if path else "  as the first line"),
            )
        return {
            key: self.value(f"{dotted}{key}", rule, found[key]) if key in found else rule.fresh_default()
            for key, rule in keys.items()
        }

    def value(self, path: str, rule: Key, found: object) -> Any:
        try:
            return rule.parse(found)
        except ValueError as fault:
            refuse(
                self.source,
                f"{path}: expected {rule.kind}, got {str(fault) or _shown(found)}",
                f"write for example  {path.rpartition('.')[2]} = {rule.sample}",
            )


def read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        refuse(str(path), "there is no such job file", "check the path given to --job")
    except OSError as fault:
        raise StorageTrouble(
            f"{path}: cannot be read: {fault.strerror}", hint="check the path and its rights"
        ) from None
    if len(data) > FILE_BYTES_MAX:
        refuse(str(path), f"expected at most {FILE_BYTES_MAX} bytes, got more", "is this the job file?")
    try:
        return data.decode("utf-8-sig")  # Windows editors put a byte order mark in front
    except UnicodeDecodeError as fault:
        line = data.count(b"\n", 0, fault.start) + 1
        refuse(str(path), f"expected UTF-8 text, got another encoding in line {line}", "save the file as UTF-8")


def refuse(source: str, message: str, hint: str) -> NoReturn:
    raise JobError(f"{source}: {message}", hint=hint)


def nearest(word: str, words: Iterable[str]) -> str | None:
    close = difflib.get_close_matches(word, list(words), n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else None


def _suggestion(key: str, path: str, keys: Mapping[str, Key]) -> str:
    """The hint for an unknown key: the nearest known one here, or the table where it is at home."""
    if key not in keys:
        # In TOML a line after [deadlines] belongs to deadlines: the commonest slip, so it has its own sentence.
        homes = [title for title, others in TABLES.items() if key in others]
        if homes:
            return f"{key} belongs {homes[0]}"
    known = ", ".join(keys)
    return nearest(key, keys) or f"known here: {known}; docs/spec/job.md describes each key"


def bare(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", key) else ascii(key[:64])


def _shown(found: object) -> str:
    names = {
        bool: "a truth value",
        int: "the whole number",
        float: "the number",
        str: "the text",
        list: "a list",
        dict: "a table",
    }
    name = names.get(type(found), "a date or time")
    return name if type(found) in (list, dict) or name.startswith("a date") else f"{name} {ascii(found)[:60]}"
