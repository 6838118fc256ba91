"""The keys to which files are sealed, in the text form of age: Bech32 (BIP 173) and the two native key pairs.

Spec: C2SP age.md, sections on the MLKEM768-X25519 and X25519 recipient types. Not here: stanzas and wrapping (vault).

    kind     public           secret                  public key                    secret key
    hybrid   age1pq1...       AGE-SECRET-KEY-PQ-1...  ML-KEM-768 1184 | X25519 32   seed of 32 bytes
    x25519   age1...          AGE-SECRET-KEY-1...     32 bytes                      32 bytes

No message here shows the text it refuses: it may be a secret key with one wrong letter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tacit.errors import KeyStoreError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

AgeKind = Literal["hybrid", "x25519"]


@dataclass(frozen=True)
class _Form:
    public_prefix: str
    public_bytes: int
    secret_prefix: str
    secret_bytes: int = 32


_FORMS: dict[AgeKind, _Form] = {
    "hybrid": _Form("age1pq", 1216, "AGE-SECRET-KEY-PQ-"),
    "x25519": _Form("age", 32, "AGE-SECRET-KEY-"),
}
_MLKEM_PUBLIC_BYTES = 1184


# ---- the two kinds of key -------------------------------------------------------------------------------------------


def hybrid_parts(seed: bytes) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
    """The two private keys that a hybrid seed stands for: SHAKE-256 stretches it to 64 bytes and 32 bytes."""
    from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    expanded = hashlib.shake_256(seed).digest(96)
    return MLKEM768PrivateKey.from_seed_bytes(expanded[:64]), X25519PrivateKey.from_private_bytes(expanded[64:])


def age_public(kind: AgeKind, secret: bytes) -> str:
    """The public text (age1...) that belongs to the raw secret key."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    if kind == "hybrid":
        mlkem, x25519 = hybrid_parts(secret)
        raw = mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()
    else:
        raw = X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
    return bech32_encode(_FORMS[kind].public_prefix, raw)


def age_secret(kind: AgeKind, secret: bytes) -> str:
    """The secret text (AGE-SECRET-KEY-...) of the raw secret key; age shows it in capitals."""
    return bech32_encode(_FORMS[kind].secret_prefix.lower(), secret).upper()


def read_age_public(kind: AgeKind, text: str) -> bytes:
    """The raw public key in `text`; KeyStoreError unless it is a sound public key of this kind."""
    form = _FORMS[kind]
    raw = _read(text, form.public_prefix, form.public_bytes, f"an age public key of the kind {kind}")
    if kind == "hybrid":
        from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey

        try:  # FIPS 203, 7.2: a key with a coefficient above the modulus is none
            MLKEM768PublicKey.from_public_bytes(raw[:_MLKEM_PUBLIC_BYTES])
        except ValueError:
            raise _fault(f"an age public key of the kind {kind}", "its ML-KEM half is no key") from None
    return raw


def read_age_secret(kind: AgeKind, text: str) -> bytes:
    """The raw secret key in `text`; KeyStoreError unless it is one of this kind."""
    form = _FORMS[kind]
    return _read(text, form.secret_prefix.lower(), form.secret_bytes, f"an age secret key of the kind {kind}")


def _read(text: str, prefix: str, length: int, expected: str) -> bytes:
    found, raw = bech32_decode(text, expected)
    if found != prefix:
        raise _fault(expected, "it starts as another kind of key")
    if len(raw) != length:
        raise _fault(expected, f"it holds {len(raw)} bytes, not {length}")
    return raw


def _fault(expected: str, got: str) -> KeyStoreError:
    return KeyStoreError(
        f"a key cannot be used: expected {expected}, got a text that is none ({got})",
        hint="copy the whole line again from its origin; keys are never typed or shortened",
    )


# ---- Bech32, without the limit of 90 characters ---------------------------------------------------------------------

_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUE_OF = {character: value for value, character in enumerate(_ALPHABET)}
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKSUM_GROUPS = 6
_CHARACTERS_MAX = 4096  # the longest text we have is 1,959; a bound before work is done


def bech32_encode(prefix: str, data: bytes) -> str:
    """`data` as lower-case Bech32 text under a lower-case prefix."""
    groups = list(_regroup(data, 8, 5, pad=True))
    polymod = _polymod([*_prefix_groups(prefix), *groups, *[0] * _CHECKSUM_GROUPS]) ^ 1
    checksum = [(polymod >> 5 * (_CHECKSUM_GROUPS - 1 - place)) & 31 for place in range(_CHECKSUM_GROUPS)]
    return f"{prefix}1" + "".join(_ALPHABET[group] for group in groups + checksum)


def bech32_decode(text: str, expected: str = "Bech32 text") -> tuple[str, bytes]:
    """(prefix in lower case, data) of a Bech32 text that is all lower case or all upper case."""
    if len(text) > _CHARACTERS_MAX or not text.isascii():
        raise _fault(expected, "too long, or letters outside ASCII")
    if text.lower() != text and text.upper() != text:
        raise _fault(expected, "capital and small letters are mixed")
    prefix, separator, rest = text.lower().rpartition("1")
    if not separator or not prefix or len(rest) < _CHECKSUM_GROUPS or not all(33 <= ord(c) <= 126 for c in prefix):
        raise _fault(expected, "its parts are missing")
    if any(character not in _VALUE_OF for character in rest):
        raise _fault(expected, "a character that does not occur in such keys")
    groups = [_VALUE_OF[character] for character in rest]
    if _polymod([*_prefix_groups(prefix), *groups]) != 1:
        raise _fault(expected, "its checksum is wrong")
    try:
        return prefix, bytes(_regroup(groups[:-_CHECKSUM_GROUPS], 5, 8, pad=False))
    except ValueError as fault:
        raise _fault(expected, str(fault)) from None


def _prefix_groups(prefix: str) -> list[int]:
    return [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]


def _polymod(groups: Iterable[int]) -> int:
    remainder = 1
    for group in groups:
        top = remainder >> 25
        remainder = (remainder & 0x1FFFFFF) << 5 ^ group
        for place, term in enumerate(_GENERATOR):
            if top >> place & 1:
                remainder ^= term
    return remainder


def _regroup(values: Iterable[int], bits_from: int, bits_to: int, *, pad: bool) -> Iterable[int]:
    """The same bits in groups of another size; ValueError where left-over bits would give one value two texts."""
    held, count = 0, 0
    for value in values:
        held = (held << bits_from | value) & 0xFFF
        count += bits_from
        while count >= bits_to:
            count -= bits_to
            yield held >> count & ((1 << bits_to) - 1)
    rest = held & ((1 << count) - 1)
    if pad and count:
        yield rest << (bits_to - count)
    elif not pad and (count >= bits_from or rest):
        raise ValueError("left-over bits at its end")
