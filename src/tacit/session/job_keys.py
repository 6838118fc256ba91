"""Every key a job file may hold, as tables: type, limits, default. The reader walks them; nothing else is legal.

Not here: rules that need two keys at once, such as "model_to is a party" (see Job).
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from tacit.session.truncation import DITHERED, TRUNCATIONS

TRANSPORTS = ("tls", "frames")  # what each means: meeting.py


class Address(NamedTuple):
    """Where a party listens; an IPv6 host is kept without its brackets, ready for the socket."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Key:
    """One key. `kind` completes the sentence "expected ..."; `sample` is a legal TOML value for the hint."""

    kind: str
    parse: Callable[[object], Any]  # the value, or ValueError(what came) where the plain type says too little
    sample: str
    default: Any = None
    required: bool = False

    def fresh_default(self) -> Any:
        """The default; tables and lists are copied, so that no two jobs share one."""
        return self.default.copy() if isinstance(self.default, dict | list) else self.default


# ---- types ----------------------------------------------------------------------------------------------------------


def _whole(low: int, high: int) -> Callable[[object], int]:
    def parse(found: object) -> int:
        # `type is int`: True is an int for Python, and `frac_bits = true` must not mean 1.
        if type(found) is not int or not low <= found <= high:
            raise ValueError
        return found

    return parse


def _text(characters_max: int, pattern: str = "") -> Callable[[object], str]:
    def parse(found: object) -> str:
        if not isinstance(found, str) or not 0 < len(found) <= characters_max:
            raise ValueError
        # These texts reach the terminal: a control sequence in a job file could repaint what the person consents to.
        if not found.isprintable() or (pattern and not re.fullmatch(pattern, found)):
            raise ValueError
        return found

    return parse


def _one_of(*words: str) -> Callable[[object], str]:
    def parse(found: object) -> str:
        if not isinstance(found, str) or found not in words:
            raise ValueError
        return found

    return parse


def _seconds(found: object) -> float:
    if type(found) not in (int, float):
        raise ValueError
    value = float(found)  # type: ignore[arg-type]
    if not (math.isfinite(value) and 0 < value <= 86_400):
        raise ValueError
    return value


def _truth(found: object) -> bool:
    if not isinstance(found, bool):
        raise ValueError
    return found


def _collection(kind: type) -> Callable[[object], Any]:
    def parse(found: object) -> Any:
        if not isinstance(found, kind):
            raise ValueError
        return found

    return parse


def _column(found: object) -> str | int:
    return _COLUMN_POSITION(found) if type(found) is int else _COLUMN_NAME(found)


def _column_or_false(found: object) -> str | int:
    return found if found is False else _column(found)


def _columns(found: object) -> tuple[str, ...]:
    if not isinstance(found, list) or not found:
        raise ValueError("an empty list" if found == [] else "")
    names = tuple(_COLUMN_NAME(name) for name in found)
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise ValueError(f"{repeated[0]!r} twice")
    return names


_COLUMN_NAME = _text(200)
_COLUMN_POSITION = _whole(0, 99_999)
_HOST = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")


def parse_address(found: object) -> Address:
    """host:port or [IPv6]:port. A name is not resolved here; whether it exists is the network's business."""
    if not isinstance(found, str):
        raise ValueError
    host, colon, port = found.rpartition(":")
    if not colon or not re.fullmatch(r"[1-9][0-9]{0,4}", port) or int(port) > 65_535:
        raise ValueError
    if host.startswith("[") and host.endswith("]"):
        try:
            return Address(str(ipaddress.IPv6Address(host[1:-1])), int(port))
        except ValueError:
            raise ValueError from None
    if ":" in host:
        raise ValueError(f"{found[:60]!a}: an IPv6 address stands in brackets, as in [::1]:7101")
    if not _HOST.fullmatch(host) or len(host) > 253:
        raise ValueError
    if re.fullmatch(r"[0-9.]+", host):  # digits and dots only: 999.1.1.1 must not go to a name server
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            raise ValueError from None
    return Address(host, int(port))


# ---- the tables -----------------------------------------------------------------------------------------------------

_TABLE, _LIST = _collection(dict), _collection(list)

TOP: Mapping[str, Key] = {
    "version": Key("the whole number 1, the only version so far", _whole(1, 1), "1", required=True),
    "name": Key("a text of 1 to 80 printable characters", _text(80), '"fraud"'),
    "protocol": Key(
        "a name of lower-case letters, digits and _", _text(40, r"[a-z0-9_]+"), '"masked"', "masked"
    ),
    "frac_bits": Key("a whole number from 8 to 24", _whole(8, 24), "16", 16),
    "ring_bits": Key("the whole number 64, the only ring so far", _whole(64, 64), "64", 64),
    "truncation": Key(
        '"dithered", "faithful" or "probabilistic-may-corrupt"', _one_of(*TRUNCATIONS), '"faithful"', DITHERED
    ),
    "transport": Key('"tls" or "frames"', _one_of(*TRANSPORTS), '"tls"', "tls"),
    "model_to": Key("the name of a party, as a text", _text(32), '"alice"'),
    "model_out": Key("a path, as a text", _text(1000), '"fraud-model"'),
    "seed": Key("a whole number from 0 to 2^63 - 1", _whole(0, 2**63 - 1), "7"),
    "deadlines": Key("a table", _TABLE, "{ connect_s = 30 }", {}),
    "parties": Key("a table with one table for each party", _TABLE, "{ alice = {} }", {}),
    "reveals": Key("a list of tables", _LIST, '[{ name = "loss", to = "bob" }]', []),
}

DEADLINES: Mapping[str, Key] = {
    "connect_s": Key("a number of seconds above 0, at most 86400", _seconds, "30", 30.0),
    "receive_s": Key("a number of seconds above 0, at most 86400", _seconds, "30", 30.0),
}

PARTY: Mapping[str, Key] = {
    "address": Key("host:port with a port from 1 to 65535, as a text", parse_address, '"127.0.0.1:7101"'),
    "inputs": Key("a table with one table for each input", _TABLE, '{ customers = { path = "alice.csv" } }', {}),
}

INPUT: Mapping[str, Key] = {
    "path": Key("a path, as a text", _text(1000), '"alice.csv"', required=True),
    "header": Key("true or false", _truth, "true"),
    "id": Key("a column name, a position counted from 0, or false", _column_or_false, '"id"'),
    "label": Key('a column name, "first", "last", or a position counted from 0', _column, '"last"'),
    "columns": Key("a list of different column names", _columns, '["income", "age"]'),
}

REVEAL: Mapping[str, Key] = {
    "name": Key("a text of 1 to 80 printable characters", _text(80), '"training loss"', required=True),
    "to": Key('the name of a party, or "all"', _text(32), '"bob"', required=True),
    "times": Key("a whole number of at least 1", _whole(1, 2**31 - 1), "20"),
}

# Where a key is at home, for the hint on one that strayed into another table.
TABLES: Mapping[str, Mapping[str, Key]] = {
    "at the top of the file, above the first [table]": TOP,
    "under [deadlines]": DEADLINES,
    "under [parties.NAME]": PARTY,
    "under [parties.NAME.inputs.INPUT]": INPUT,
    "under [[reveals]]": REVEAL,
}
