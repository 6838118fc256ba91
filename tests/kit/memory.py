"""How much memory a piece of a program needs at its worst moment, to the byte, and in which line that is.

glibc counts what is allocated and not freed: by numpy, torch, crypto library and interpreter alike (all but the pools
of small Python objects). A resident set would say less: a party keeps freed pages, and the first use of an operator
loads code. The count is taken before every bytecode of tacit, so that no temporary of any expression is missed, nor one
of torch's Python code that calls it; what a library allocates and frees inside one call is, and the system's buffers.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import tacit


class _Mallinfo(ctypes.Structure):
    """`struct mallinfo2` of malloc.h."""

    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")]


_mallinfo2: Any = getattr(ctypes.CDLL(None), "mallinfo2", None)
#: Why memory cannot be measured here; empty where it can.
NO_COUNT = "" if _mallinfo2 is not None else "this C library does not count what it allocates (glibc 2.33 does)"
if _mallinfo2 is not None:
    _mallinfo2.restype = _Mallinfo


def allocated_bytes() -> int:
    """Bytes that are allocated now, in pools and mapped alone."""
    info = _mallinfo2()
    return int(info.uordblks + info.hblkhd)

_PACKAGE = str(Path(tacit.__file__).parent)


@dataclass
class Peak:
    """The worst moment of a piece of work."""

    bytes: int  # allocated, above what was when it began
    where: str  # innermost lines of tacit, and what they work for


def peak_of(work: Callable[[], object]) -> Peak:
    """Run `work` and look at memory before each of its bytecodes. Slow: some microseconds for each."""
    begun = allocated_bytes()
    most, place = 0, ""

    def look(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal most, place
        if not _ours(frame):
            return None
        frame.f_trace_opcodes = True
        # Only every growth by more than a kilobyte is worth a walk up the stack.
        if (now := allocated_bytes() - begun) > most + 1024:
            most, place = now, _lines(frame)
        return look

    outer = sys.gettrace()
    sys.settrace(look)
    try:
        work()
    finally:
        sys.settrace(outer)
    return Peak(max(most, allocated_bytes() - begun), place)


def _ours(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(_PACKAGE)


def _lines(frame: FrameType | None, count: int = 6) -> str:
    found: list[str] = []
    while frame is not None and len(found) < count:
        if _ours(frame):
            path = Path(frame.f_code.co_filename)
            found.append(f"{path.parent.name}/{path.name}:{frame.f_lineno} {frame.f_code.co_name}")
        frame = frame.f_back
    return " < ".join(found)
