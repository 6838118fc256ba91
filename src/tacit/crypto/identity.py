"""Who a party is: one set of keys for its connections, its signatures and the files sealed to it.

Spec: docs/spec/identity.md. Not for: key files and passphrases (key_file.py), folders (keystore.py). Nothing here
prints a secret: repr shows name and fingerprint, and pickle is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import NoReturn

from tacit.crypto.age_keys import age_public, age_secret, read_age_secret
from tacit.crypto.party_names import check_party_name
from tacit.crypto.primitives import random_bytes
from tacit.crypto.public_identity import PublicIdentity, from_base64, public_body, signed_text, to_base64
from tacit.crypto.strict_json import exact_keys
from tacit.errors import KeyStoreError

__all__ = ["Identity", "PublicIdentity", "Secrets", "throwaway"]


@dataclass(frozen=True, repr=False, eq=False)
class Secrets:
    """The five secret keys, 32 bytes each. Never compared, printed or pickled."""

    transport_ed25519: bytes
    signing_ed25519: bytes
    signing_mldsa65: bytes
    recipient_hybrid: bytes
    recipient_x25519: bytes

    def __post_init__(self) -> None:
        if any(len(getattr(self, entry.name)) != 32 for entry in fields(self)):
            raise ValueError("each secret key has 32 bytes")

    @classmethod
    def fresh(cls) -> Secrets:
        """Five independent keys: one that leaks tells nothing about another."""
        return cls(**{entry.name: random_bytes(32) for entry in fields(cls)})

    @classmethod
    def from_texts(cls, texts: Mapping[str, object]) -> Secrets:
        """The keys that Identity.secret_texts() wrote; ValueError or KeyStoreError, neither of which shows a key."""
        exact_keys(texts, [entry.name for entry in fields(cls)])
        hybrid, x25519 = str(texts["recipient_hybrid"]), str(texts["recipient_x25519"])
        return cls(
            transport_ed25519=from_base64(texts["transport_ed25519"], "transport_ed25519"),
            signing_ed25519=from_base64(texts["signing_ed25519"], "signing_ed25519"),
            signing_mldsa65=from_base64(texts["signing_mldsa65"], "signing_mldsa65"),
            recipient_hybrid=read_age_secret("hybrid", hybrid),
            recipient_x25519=read_age_secret("x25519", x25519),
        )

    def __repr__(self) -> str:
        return "Secrets(not shown)"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "secret keys are not pickled; encode_key_file() gives bytes that a pipe to a child process can carry"
        )


class Identity:
    """A party's own keys with their public half. It exists only if the two belong together."""

    def __init__(self, public: PublicIdentity, secrets: Secrets) -> None:
        self.public = public
        self._secrets = secrets
        if _public_keys(secrets) != (
            public.transport_key, public.signing_ed25519, public.signing_mldsa65, public.recipient_hybrid,
            public.recipient_x25519,
        ):  # fmt: skip
            raise KeyStoreError(
                f"the secret keys and the public half of {public.name} do not belong together",
                hint="the file is damaged or mixed from two: restore it from a copy, or make a new identity",
            )

    @property
    def name(self) -> str:
        """The party's name."""
        return self.public.name

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the public half."""
        return self.public.fingerprint

    @property
    def certificate_der(self) -> bytes:
        """The self-signed certificate that this party shows on connections."""
        return self.public.certificate_der

    def transport_private_pem(self) -> bytes:
        """The private key of the certificate: PKCS 8, PEM, not encrypted. For the TLS library and nobody else."""
        from cryptography.hazmat.primitives import serialization as form
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        key = Ed25519PrivateKey.from_private_bytes(self._secrets.transport_ed25519)
        return key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())

    def secret_texts(self) -> dict[str, str]:
        """All secret keys as texts: those for sealed files as age writes them, the others in base64."""
        keys = self._secrets
        return {
            "transport_ed25519": to_base64(keys.transport_ed25519),
            "signing_ed25519": to_base64(keys.signing_ed25519),
            "signing_mldsa65": to_base64(keys.signing_mldsa65),
            "recipient_hybrid": age_secret("hybrid", keys.recipient_hybrid),
            "recipient_x25519": age_secret("x25519", keys.recipient_x25519),
        }

    def __repr__(self) -> str:
        return f"Identity({self.name}, {self.fingerprint})"

    def __reduce__(self) -> NoReturn:
        self._secrets.__reduce__()


def throwaway(name: str) -> Identity:
    """A fresh identity that lives in memory only: for runs on one machine, and for tests."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey

    from tacit.crypto.certificate import make_certificate

    check_party_name(name, KeyStoreError)
    secrets = Secrets.fresh()
    certificate = make_certificate(name, Ed25519PrivateKey.from_private_bytes(secrets.transport_ed25519))
    keys = _public_keys(secrets)[1:]  # the first is inside the certificate
    text = signed_text(public_body(name, certificate, *keys))
    public = PublicIdentity(
        name,
        certificate,
        *keys,
        signature_ed25519=Ed25519PrivateKey.from_private_bytes(secrets.signing_ed25519).sign(text),
        signature_mldsa65=MLDSA65PrivateKey.from_seed_bytes(secrets.signing_mldsa65).sign(text),
    )
    return Identity(public, secrets)


def _public_keys(secrets: Secrets) -> tuple[bytes, bytes, bytes, str, str]:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey

    return (
        Ed25519PrivateKey.from_private_bytes(secrets.transport_ed25519).public_key().public_bytes_raw(),
        Ed25519PrivateKey.from_private_bytes(secrets.signing_ed25519).public_key().public_bytes_raw(),
        MLDSA65PrivateKey.from_seed_bytes(secrets.signing_mldsa65).public_key().public_bytes_raw(),
        age_public("hybrid", secrets.recipient_hybrid),
        age_public("x25519", secrets.recipient_x25519),
    )
