"""JSON read so that two readers can never disagree, and written so that one value has one text.

For: key files, address maps and digests of agreed settings. Not for: data, weights or messages between parties.
Python's own reader takes the last of two equal keys, and NaN; another program may take the first, and that difference
is where a checked file and a used file part ways. So both are refused here. Faults are ValueError with a short reason:
the caller knows the file and whose fault it is.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping


def parse_object(data: bytes | str, *, bytes_max: int) -> dict[str, object]:
    """The one JSON object in `data`; ValueError where a lenient reader would have had to guess."""
    if isinstance(data, str):
        data = data.encode("utf-8", "surrogatepass")
    if len(data) > bytes_max:
        raise ValueError(f"expected at most {bytes_max} bytes, got {len(data)}")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as fault:
        raise ValueError(f"expected UTF-8 text; byte {fault.start} is none") from None
    try:
        value = json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_no_constant, parse_float=_no_float)
    except json.JSONDecodeError as fault:
        # Only position and reason: fault.doc is the whole text, which may hold a key.
        raise ValueError(f"{fault.msg} (line {fault.lineno}, column {fault.colno})") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("expected one object { ... }")
    return value


def canonical(value: object) -> bytes:
    """The one text of `value`: keys sorted, no spaces, ASCII. Equal values give equal bytes at every party."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def readable(value: object) -> bytes:
    """The one text of `value` for a file that people look at: keys sorted, indented, a line end last."""
    return json.dumps(value, sort_keys=True, indent=2, ensure_ascii=True, allow_nan=False).encode() + b"\n"


def parse_readable(data: bytes, *, bytes_max: int) -> dict[str, object]:
    """As parse_object, and `data` must be exactly what readable() writes: not one byte is free to change."""
    value = parse_object(data, bytes_max=bytes_max)
    if readable(value) != data:
        raise ValueError("the text is not as tacit writes it: spaces, line ends or the order of keys were changed")
    return value


def exact_keys(value: Mapping[str, object], names: Collection[str]) -> None:
    """ValueError unless `value` has just these keys."""
    for key in value:
        if key not in names:
            raise ValueError(f"unknown key {key[:40]!a}")
    for name in names:
        if name not in value:
            raise ValueError(f"{name} is missing")


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    seen: dict[str, object] = {}
    for key, value in pairs:
        if key in seen:
            raise ValueError(f"the key {key[:40]!a} occurs twice")
        seen[key] = value
    return seen


def _no_constant(text: str) -> object:
    raise ValueError(f"{text} is no JSON number")


def _no_float(text: str) -> object:
    # Nothing that this reader is for holds a fraction, and floats have many texts for one value.
    raise ValueError("expected whole numbers only")
