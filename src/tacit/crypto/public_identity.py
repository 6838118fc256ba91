"""The public half of an identity, which proves that it is whole: both of its signatures cover all of it.

Spec: docs/spec/identity.md. Not for: deciding whom to trust. A public half that verifies is undamaged and unmixed;
whose it is, only a compared fingerprint says (keystore.py, `tacit trust`).
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from functools import cached_property

from tacit.crypto.age_keys import read_age_public
from tacit.crypto.party_names import check_party_name
from tacit.crypto.primitives import digest
from tacit.crypto.strict_json import canonical, exact_keys, parse_readable, readable
from tacit.errors import KeyStoreError

FILE_BYTES_MAX = 64 * 1024
_FORMAT = "tacit public identity"
_VERSION = 1
_BODY_KEYS = (
    "format", "version", "name", "transport_certificate", "signing_ed25519", "signing_mldsa65", "recipient_hybrid",
    "recipient_x25519",
)  # fmt: skip


@dataclass(frozen=True)
class PublicIdentity:
    """What others know of a party. One exists only if both of its signatures verify over all the rest."""

    name: str
    certificate_der: bytes = field(repr=False)
    signing_ed25519: bytes = field(repr=False)  # 32 bytes
    signing_mldsa65: bytes = field(repr=False)  # 1952 bytes
    recipient_hybrid: str = field(repr=False)  # age1pq1...
    recipient_x25519: str = field(repr=False)  # age1...
    signature_ed25519: bytes = field(repr=False)
    signature_mldsa65: bytes = field(repr=False)

    def __post_init__(self) -> None:
        check_party_name(self.name, KeyStoreError)
        self._check_signatures()
        self._check_certificate()
        read_age_public("hybrid", self.recipient_hybrid)
        read_age_public("x25519", self.recipient_x25519)

    def __repr__(self) -> str:
        return f"PublicIdentity({self.name}, {self.fingerprint})"

    @cached_property
    def fingerprint(self) -> str:
        """160 bits over everything but the signatures, as 8 groups of 4 characters of a-z and 2-7."""
        letters = base64.b32encode(digest(b"tacit fingerprint v1", canonical(self._body()))[:20]).decode().lower()
        return "-".join(letters[start : start + 4] for start in range(0, len(letters), 4))

    @cached_property
    def transport_key(self) -> bytes:
        """The 32 bytes of the Ed25519 key that this party must show on every connection."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.x509 import load_der_x509_certificate

        key = load_der_x509_certificate(self.certificate_der).public_key()
        assert isinstance(key, Ed25519PublicKey)  # checked when this object was made
        return key.public_bytes_raw()

    def encode(self) -> bytes:
        """The bytes of NAME.pub; the same identity always gives the same bytes."""
        return readable(self.to_object())

    def to_object(self) -> dict[str, object]:
        """The content of NAME.pub as JSON values."""
        signatures = {"ed25519": to_base64(self.signature_ed25519), "mldsa65": to_base64(self.signature_mldsa65)}
        return {**self._body(), "signatures": signatures}

    @classmethod
    def decode(cls, data: bytes, source: str = "public identity") -> PublicIdentity:
        """The identity in the bytes of a .pub file; KeyStoreError if a single byte of it was changed."""
        try:
            return cls.from_object(parse_readable(data, bytes_max=FILE_BYTES_MAX))
        except (ValueError, KeyStoreError) as fault:
            reason = fault.message if isinstance(fault, KeyStoreError) else str(fault)
            raise KeyStoreError(
                f"{source} is no sound public identity: {reason}",
                hint="ask its owner to send the file again, as it is, as an attachment",
            ) from None

    @classmethod
    def from_object(cls, value: dict[str, object]) -> PublicIdentity:
        """The identity in parsed JSON; ValueError or KeyStoreError if it is not whole."""
        exact_keys(value, (*_BODY_KEYS, "signatures"))
        if value["format"] != _FORMAT:
            raise ValueError(f'expected the format "{_FORMAT}", got another')
        if type(value["version"]) is not int or value["version"] != _VERSION:
            raise ValueError(f"expected version {_VERSION} of the format, got another; is this tacit too old for it?")
        signatures = value["signatures"]
        if not isinstance(signatures, dict):
            raise ValueError("signatures: expected an object")
        exact_keys(signatures, ("ed25519", "mldsa65"))
        return cls(
            name=_text(value, "name"),
            certificate_der=from_base64(value["transport_certificate"], "transport_certificate"),
            signing_ed25519=from_base64(value["signing_ed25519"], "signing_ed25519"),
            signing_mldsa65=from_base64(value["signing_mldsa65"], "signing_mldsa65"),
            recipient_hybrid=_text(value, "recipient_hybrid"),
            recipient_x25519=_text(value, "recipient_x25519"),
            signature_ed25519=from_base64(signatures["ed25519"], "signatures.ed25519"),
            signature_mldsa65=from_base64(signatures["mldsa65"], "signatures.mldsa65"),
        )

    def _body(self) -> dict[str, object]:
        return public_body(
            self.name, self.certificate_der, self.signing_ed25519, self.signing_mldsa65, self.recipient_hybrid,
            self.recipient_x25519,
        )  # fmt: skip

    def _check_signatures(self) -> None:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PublicKey

        text = signed_text(self._body())
        try:
            Ed25519PublicKey.from_public_bytes(self.signing_ed25519).verify(self.signature_ed25519, text)
            MLDSA65PublicKey.from_public_bytes(self.signing_mldsa65).verify(self.signature_mldsa65, text)
        except (InvalidSignature, ValueError):
            raise KeyStoreError("its content and its two signatures do not belong together") from None

    def _check_certificate(self) -> None:
        """The certificate is for this name, of the one allowed key type, and made by the holder of that key."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.x509 import load_der_x509_certificate
        from cryptography.x509.oid import NameOID

        try:
            certificate = load_der_x509_certificate(self.certificate_der)
            key = certificate.public_key()
            names = [attribute.value for attribute in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
            certificate.verify_directly_issued_by(certificate)
        except (ValueError, TypeError, InvalidSignature):
            raise KeyStoreError("its transport certificate is not a self-signed certificate") from None
        if not isinstance(key, Ed25519PublicKey) or names != [self.name]:
            raise KeyStoreError(f"its transport certificate is not an Ed25519 certificate for the name {self.name}")


def public_body(
    name: str, certificate: bytes, ed25519: bytes, mldsa65: bytes, hybrid: str, x25519: str
) -> dict[str, object]:
    """What the two signatures and the fingerprint are over."""
    return {
        "format": _FORMAT,
        "version": _VERSION,
        "name": name,
        "transport_certificate": to_base64(certificate),
        "signing_ed25519": to_base64(ed25519),
        "signing_mldsa65": to_base64(mldsa65),
        "recipient_hybrid": hybrid,
        "recipient_x25519": x25519,
    }


def signed_text(body: dict[str, object]) -> bytes:
    """What both signatures are over; its first bytes keep it apart from any other text that these keys sign."""
    return b"tacit public identity v1\x00" + canonical(body)


def to_base64(data: bytes) -> str:
    """Standard base64 with padding."""
    return base64.b64encode(data).decode()


def from_base64(value: object, what: str) -> bytes:
    """The bytes; ValueError unless `value` is the one base64 text of them. The text itself is never shown."""
    if not isinstance(value, str):
        raise ValueError(f"{what}: expected base64 text")
    try:
        data = base64.b64decode(value, validate=True)
    except ValueError:
        raise ValueError(f"{what}: expected base64 text") from None
    if to_base64(data) != value:  # the last character can carry bits that nothing decodes
        raise ValueError(f"{what}: expected base64 text in its one form")
    return data


def _text(value: dict[str, object], key: str) -> str:
    found = value[key]
    if not isinstance(found, str):
        raise ValueError(f"{key}: expected a text")
    return found
