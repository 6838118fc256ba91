"""The one rule for the name of a party: it becomes a file name, a word in messages and a key in job files.

Lower-case ASCII letters, digits and hyphens, 1 to 32 of them, first a letter or digit. So a name can be no path, no
option of a command line, no control sequence of a terminal, and no two names look alike by case or script.
"""

from __future__ import annotations

import re

from tacit.errors import Misuse

_PATTERN = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
# As the receiver of a reveal "all" means every party, so no single party may bear that name.
_RESERVED = frozenset({"all"})


def check_party_name(name: object, error: type[Misuse], *, where: str = "") -> str:
    """`name` itself if it is one; otherwise raises `error`."""
    if isinstance(name, str) and _PATTERN.fullmatch(name) and name not in _RESERVED:
        return name
    shown = ascii(name if len(str(name)) <= 40 else str(name)[:40] + "...")
    raise error(
        f"{where}{shown} cannot be the name of a party",
        hint='use 1 to 32 lower-case letters, digits and hyphens, starting with a letter or digit; "all" is reserved',
    )
