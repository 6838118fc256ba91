"""Finding secrets in text: every way in which a number or a key could have been written down."""

from __future__ import annotations

import base64
from collections.abc import Iterable

import numpy as np

FRAC_BITS = 16


def of_words(words: Iterable[int]) -> dict[str, str]:
    """{text: what it gives away} for ring elements: decimal, unsigned, hexadecimal in both byte orders."""
    found = {}
    for word in {int(word) for word in words}:
        if abs(word) < 1 << 24:
            continue  # too short to tell from a step number or a count
        unsigned = word % (1 << 64)
        little = unsigned.to_bytes(8, "little")
        for text in (str(word), str(unsigned), f"{unsigned:x}", little.hex(), little[::-1].hex(), repr(little)[2:-1]):
            found[text] = "a word"
    return found


def of_keys(keys: Iterable[bytes]) -> dict[str, str]:
    """The same for keys."""
    found = {}
    for key in keys:
        base = base64.b64encode(key).decode().rstrip("=")
        found |= dict.fromkeys((key.hex(), key[::-1].hex(), base, repr(key)[2:-1], str(list(key))), "a key")
    return found


def of_values(values: Iterable[float]) -> dict[str, str]:
    """The same for numbers of a table: as people write them, as float32 shows them, as fixed point encodes them."""
    found = {}
    for value in values:
        single = float(np.float32(value))
        for text in (repr(value), f"{value:.4f}", f"{single:.6g}", f"{single:.8g}"):
            found[text.lstrip("-")] = "a value"
        found |= of_words([round(value * 2**FRAC_BITS)])
    return found


def leaks(text: str, secrets: dict[str, str]) -> list[str]:
    """What of `secrets` stands in `text`. Case does not count: hexadecimal has two."""
    lowered = text.lower()
    return sorted({f"{what}: {secret}" for secret, what in secrets.items() if secret.lower() in lowered})
