"""The certificate that carries a party's transport key through a TLS handshake.

Peers compare it with the copy they hold, byte for byte; nobody reads its dates or follows a chain. So it is a function
of name and key alone: made twice, it is the same file.
Not here: who trusts which key (the key store), and the handshake (net/tcp.py).
"""

from __future__ import annotations

from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from tacit.crypto.primitives import digest

# Trust ends when a person removes the pinned key, not when a date passes: a wrong clock must not stop a run.
NOT_BEFORE = datetime(2020, 1, 1, tzinfo=UTC)
NOT_AFTER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)  # "no expiry" in RFC 5280, 4.1.2.5
NAME_CHARACTERS_MAX = 64  # of a common name in X.520


def make_certificate(name: str, private_key: Ed25519PrivateKey) -> bytes:
    """DER of the self-signed certificate of `name`; the same input gives the same bytes, since Ed25519 has no nonce."""
    if not 0 < len(name) <= NAME_CHARACTERS_MAX:
        raise ValueError(f"a party name has 1 to {NAME_CHARACTERS_MAX} characters")
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    public = private_key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    # 127 bits: positive in DER. Never zero, which RFC 5280 forbids, since the top bit that is left is set.
    serial = int.from_bytes(digest(b"tacit certificate serial", public)[:16], "big") >> 1 | 1 << 126
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private_key.public_key())
        .serial_number(serial)
        .not_valid_before(NOT_BEFORE)
        .not_valid_after(NOT_AFTER)
        # A pinned key speaks for itself only: it must not be able to vouch for another one.
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(private_key, algorithm=None)
        .public_bytes(Encoding.DER)
    )
