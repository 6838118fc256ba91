"""Processes of others, by number."""

from __future__ import annotations

import os
import select
from pathlib import Path


def gone(pid: int, within_s: float = 5.0) -> bool:
    """Whether the process has ended, now or within a moment."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([fd], [], [], within_s)[0])
    finally:
        os.close(fd)


def children(parent: int) -> list[int]:
    """Processes of this parent, dead ones that nobody has waited for included."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[1]) == parent:
                found.append(int(entry.name))
    return found
