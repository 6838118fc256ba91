"""The certificate of a transport key: one for each name and key."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tacit.crypto.certificate import make_certificate


def test_a_certificate_is_a_function_of_name_and_key() -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    again = Ed25519PrivateKey.from_private_bytes(bytes(32))
    assert make_certificate("alice", key) == make_certificate("alice", again)
    assert make_certificate("alice", key) != make_certificate("bob", key)
    assert make_certificate("alice", key) != make_certificate("alice", Ed25519PrivateKey.generate())


def test_a_certificate_vouches_for_its_own_key_and_for_no_other() -> None:
    key = Ed25519PrivateKey.generate()
    certificate = x509.load_der_x509_certificate(make_certificate("alice", key))
    certificate.verify_directly_issued_by(certificate)
    assert certificate.public_key() == key.public_key()
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    assert 0 < certificate.serial_number < 1 << 127
    assert certificate.not_valid_after_utc.year == 9999


@pytest.mark.parametrize("name", ["", "x" * 65])
def test_a_name_that_no_certificate_can_carry_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="1 to 64"):
        make_certificate(name, Ed25519PrivateKey.generate())
