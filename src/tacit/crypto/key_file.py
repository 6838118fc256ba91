"""The bytes of a key file NAME.key: an identity at rest, under a passphrase or under the rights of the file alone.

Spec: docs/spec/identity.md. Not for: paths and rights (keystore.py). The passphrase is asked for only when the file
needs one, and only after every bound on the work has been checked.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tacit.crypto.identity import Identity, Secrets
from tacit.crypto.primitives import random_bytes
from tacit.crypto.public_identity import FILE_BYTES_MAX, PublicIdentity, from_base64, to_base64
from tacit.crypto.strict_json import canonical, exact_keys, parse_object, parse_readable, readable
from tacit.errors import KeyStoreError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_FORMAT = "tacit identity"
_VERSION = 1
WORK_FACTOR = 17  # 2^17 KiB = 128 MiB and about 0.3 s; the file says which, so that it can grow
_WORK_FACTORS = range(10, 21)  # 2^20: 1 GiB. A file that asks for more is an attack on its reader, not a better file
_SALT_BYTES = 16
# A fixed nonce is safe here: the key comes from a salt drawn for this one message, and seals nothing else.
_NONCE = bytes(12)


def encode_key_file(identity: Identity, passphrase: str | None = None, *, work_factor: int = WORK_FACTOR) -> bytes:
    """The bytes of the key file. Without a passphrase they give away every key to whoever reads them."""
    header: dict[str, object] = {
        "format": _FORMAT,
        "version": _VERSION,
        "public": identity.public.to_object(),
        "protection": {"kind": "none"},
    }
    secrets = identity.secret_texts()
    if passphrase is None:
        return readable({**header, "secrets": secrets})
    if not passphrase:
        raise KeyStoreError("the passphrase is empty", hint="choose one, or make the identity without a passphrase")
    salt = random_bytes(_SALT_BYTES)
    header["protection"] = {"kind": "scrypt", "work_factor": work_factor, "salt": to_base64(salt)}
    sealed = _cipher(passphrase, salt, work_factor).encrypt(_NONCE, canonical(secrets), canonical(header))
    return readable({**header, "secrets": to_base64(sealed)})


def decode_key_file(data: bytes, ask_passphrase: Callable[[], str] | None = None, *, source: str) -> Identity:
    """The identity in the bytes of a key file; KeyStoreError if it is damaged, or locked and stays so."""
    try:
        header, secrets, public = _read(data)
        protection = header["protection"]
        if protection["kind"] != "none":
            secrets = _open(header, secrets, ask_passphrase, source)
        elif not isinstance(secrets, dict):
            raise ValueError("secrets: expected an object")
        return Identity(public, Secrets.from_texts(secrets))
    except ValueError as fault:
        raise _damaged(source, str(fault)) from None


def public_of_key_file(data: bytes, *, source: str) -> PublicIdentity:
    """The public half in the bytes of a key file; needs no passphrase."""
    try:
        return _read(data)[2]
    except ValueError as fault:
        raise _damaged(source, str(fault)) from None


def _read(data: bytes) -> tuple[dict[str, Any], Any, PublicIdentity]:
    """(all but the secrets, the secrets as they stand, the verified public half) of a key file."""
    header: dict[str, Any] = parse_readable(data, bytes_max=FILE_BYTES_MAX)
    exact_keys(header, ("format", "version", "public", "protection", "secrets"))
    if header["format"] != _FORMAT:
        raise ValueError(f'expected the format "{_FORMAT}", got another; a .pub file is only the public half')
    if type(header["version"]) is not int or header["version"] != _VERSION:
        raise ValueError(f"expected version {_VERSION} of the format, got another; is this tacit too old for it?")
    if not isinstance(header["public"], dict):
        raise ValueError("public: expected an object")
    _check_protection(header["protection"])
    secrets = header.pop("secrets")
    try:
        return header, secrets, PublicIdentity.from_object(header["public"])
    except KeyStoreError as fault:
        raise ValueError(f"in its public half: {fault.message}") from None


def _check_protection(protection: object) -> None:
    if not isinstance(protection, dict) or protection.get("kind") not in ("none", "scrypt"):
        raise ValueError('protection: expected kind "none" or "scrypt"')
    if protection["kind"] == "none":
        return exact_keys(protection, ("kind",))
    exact_keys(protection, ("kind", "work_factor", "salt"))
    work_factor = protection["work_factor"]
    if type(work_factor) is not int or work_factor not in _WORK_FACTORS:
        low, high = _WORK_FACTORS[0], _WORK_FACTORS[-1]
        raise ValueError(f"protection: expected a work factor from {low} to {high}, got another")
    if len(from_base64(protection["salt"], "protection: salt")) != _SALT_BYTES:
        raise ValueError(f"protection: expected a salt of {_SALT_BYTES} bytes")


def _open(header: dict[str, Any], sealed: object, ask: Callable[[], str] | None, source: str) -> dict[str, object]:
    from cryptography.exceptions import InvalidTag

    data = from_base64(sealed, "secrets")
    if ask is None:
        raise KeyStoreError(f"{source} is locked by a passphrase", hint="run it where the passphrase can be typed")
    protection = header["protection"]
    cipher = _cipher(ask(), from_base64(protection["salt"], "salt"), protection["work_factor"])
    try:
        opened = cipher.decrypt(_NONCE, data, canonical(header))
    except InvalidTag:
        raise KeyStoreError(
            f"{source} does not open: the passphrase is another one, or the file was changed",
            hint="try again; nobody can recover a passphrase, but a new identity can be made and trusted",
        ) from None
    return parse_object(opened, bytes_max=FILE_BYTES_MAX)


def _cipher(passphrase: str, salt: bytes, work_factor: int) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    # NFC: the same letters typed on two systems must give the same bytes.
    typed = unicodedata.normalize("NFC", passphrase).encode()
    return AESGCM(Scrypt(salt=salt, length=32, n=1 << work_factor, r=8, p=1).derive(typed))


def _damaged(source: str, reason: str) -> KeyStoreError:
    return KeyStoreError(
        f"{source} is no sound identity: {reason}",
        hint="restore it from a copy, or make a new identity and have the others trust it",
    )
