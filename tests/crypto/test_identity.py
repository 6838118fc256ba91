"""Identities and the bytes in which they rest: what is whole is read, what is changed, mixed or locked is refused."""

from __future__ import annotations

import base64
import copy
import functools
import json
import pickle
import re
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tacit.crypto import key_file
from tacit.crypto.identity import Identity, PublicIdentity, Secrets, throwaway
from tacit.crypto.key_file import decode_key_file, encode_key_file, public_of_key_file
from tacit.crypto.strict_json import parse_object, readable
from tacit.errors import KeyStoreError

PASSPHRASE = "correct horse"


@pytest.fixture(scope="module")
def alice() -> Identity:
    return throwaway("alice")


@pytest.fixture(scope="module")
def bob() -> Identity:
    return throwaway("bob")


@pytest.fixture(scope="module")
def locked(alice: Identity) -> bytes:
    return encode_key_file(alice, PASSPHRASE, work_factor=10)


def changed(data: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    value: dict[str, Any] = json.loads(data)
    change(value)
    return readable(value)


# ---- the public half ------------------------------------------------------------------------------------------------


def test_a_public_half_round_trips_and_its_bytes_are_always_the_same(alice: Identity) -> None:
    data = alice.public.encode()
    again = PublicIdentity.decode(data)
    assert again == alice.public
    assert again.encode() == data
    assert again.fingerprint == alice.fingerprint
    assert len(data) < 16 * 1024


def test_every_changed_byte_of_a_public_half_is_refused(alice: Identity) -> None:
    data = alice.public.encode()
    accepted = []
    for place in range(len(data)):
        bent = bytearray(data)
        bent[place] ^= 1 << place % 8
        try:
            PublicIdentity.decode(bytes(bent))
        except KeyStoreError:
            continue
        accepted.append(place)
    assert accepted == []


def test_a_truncated_or_extended_public_half_is_refused(alice: Identity) -> None:
    data = alice.public.encode()
    for bent in (b"", data[:1], data[: len(data) // 2], data[:-1], data + b"\n", data + data, b"\xef\xbb\xbf" + data):
        with pytest.raises(KeyStoreError):
            PublicIdentity.decode(bent)


@pytest.mark.parametrize(
    "part", ["transport_certificate", "signing_ed25519", "signing_mldsa65", "recipient_hybrid", "recipient_x25519"]
)
def test_a_part_of_another_identity_is_refused(alice: Identity, bob: Identity, part: str) -> None:
    theirs = json.loads(bob.public.encode())
    with pytest.raises(KeyStoreError):
        PublicIdentity.decode(changed(alice.public.encode(), lambda value: value.update({part: theirs[part]})))


@pytest.mark.parametrize("which", ["ed25519", "mldsa65"])
def test_one_good_signature_is_not_enough(alice: Identity, bob: Identity, which: str) -> None:
    theirs = json.loads(bob.public.encode())["signatures"]
    with pytest.raises(KeyStoreError, match="two signatures do not belong"):
        PublicIdentity.decode(
            changed(alice.public.encode(), lambda value: value["signatures"].update({which: theirs[which]}))
        )


def resigned(identity: Identity, **body_changes: object) -> bytes:
    """A public half with changed content and honest signatures over it: what a party could make of its own keys."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey

    from tacit.crypto.public_identity import signed_text

    secrets = {name: base64.b64decode(text) for name, text in identity.secret_texts().items() if "sign" in name}
    body = {**identity.public.to_object(), **body_changes}
    del body["signatures"]
    text = signed_text(body)
    ed25519 = Ed25519PrivateKey.from_private_bytes(secrets["signing_ed25519"]).sign(text)
    mldsa65 = MLDSA65PrivateKey.from_seed_bytes(secrets["signing_mldsa65"]).sign(text)
    signatures = {"ed25519": base64.b64encode(ed25519).decode(), "mldsa65": base64.b64encode(mldsa65).decode()}
    return readable({**body, "signatures": signatures})


def test_the_helper_that_signs_again_makes_sound_files(alice: Identity) -> None:
    assert PublicIdentity.decode(resigned(alice)).fingerprint == alice.fingerprint


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": "carol"}, "for the name carol"),  # another's name over one's own certificate
        ({"name": "../alice"}, "cannot be the name of a party"),
        ({"name": 7}, "name: expected a text"),
        ({"transport_certificate": "AAAA"}, "self-signed certificate"),
        ({"recipient_hybrid": "age1pq1qqqq"}, "an age public key of the kind hybrid"),
        ({"recipient_x25519": "age1"}, "an age public key of the kind x25519"),
        ({"version": 2}, "expected version 1"),
        ({"version": True}, "expected version 1"),
        ({"format": "tacit identity"}, "expected the format"),
        ({"note": "x"}, "unknown key 'note'"),
    ],
)
def test_content_that_is_wrong_is_refused_though_its_owner_signed_it(
    alice: Identity, changes: dict[str, object], reason: str
) -> None:
    with pytest.raises(KeyStoreError, match=reason):
        PublicIdentity.decode(resigned(alice, **changes))


def test_the_certificate_of_another_party_cannot_be_worn(alice: Identity, bob: Identity) -> None:
    with pytest.raises(KeyStoreError, match="for the name alice"):
        PublicIdentity.decode(resigned(alice, transport_certificate=bob.public.to_object()["transport_certificate"]))


def test_a_key_that_its_wearer_does_not_hold_cannot_stand_in_the_certificate(alice: Identity, bob: Identity) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import Encoding

    own = x509.load_der_x509_certificate(alice.certificate_der)
    made = (
        x509.CertificateBuilder(own.issuer, own.subject)
        .public_key(Ed25519PublicKey.from_public_bytes(bob.public.transport_key))
        .serial_number(own.serial_number)
        .not_valid_before(own.not_valid_before_utc)
        .not_valid_after(own.not_valid_after_utc)
        .sign(Ed25519PrivateKey.generate(), None)
    )
    worn = base64.b64encode(made.public_bytes(Encoding.DER)).decode()
    with pytest.raises(KeyStoreError, match="self-signed certificate"):
        PublicIdentity.decode(resigned(alice, transport_certificate=worn))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"name": "a", "name": "b"}', "occurs twice"),
        ('{"name": NaN}', "no JSON number"),
        ('{"name": 1.5}', "whole numbers"),
        ("[" * 60_000, "nested too deeply"),
        ('"' + "x" * 70_000 + '"', "at most 65536 bytes"),
        ("[]", "one object"),
        ("{}", "as tacit writes it|is missing"),
    ],
)
def test_json_that_readers_understand_differently_is_refused(text: str, reason: str) -> None:
    with pytest.raises(KeyStoreError, match=reason):
        PublicIdentity.decode(text.encode())


def test_the_fingerprint_has_160_bits_and_depends_on_every_key(alice: Identity, bob: Identity) -> None:
    groups = alice.fingerprint.split("-")
    assert [len(group) for group in groups] == [4] * 8
    assert len(base64.b32decode("".join(groups).upper())) == 20
    assert alice.fingerprint != bob.fingerprint
    theirs = bob.public.to_object()["recipient_x25519"]
    assert PublicIdentity.decode(resigned(alice, recipient_x25519=theirs)).fingerprint != alice.fingerprint


def test_certificate_and_private_key_are_those_that_tls_needs(alice: Identity) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(alice.transport_private_pem(), None)
    assert isinstance(key, Ed25519PrivateKey)
    assert key.public_key().public_bytes_raw() == alice.public.transport_key
    assert alice.certificate_der == alice.public.certificate_der


def test_two_identities_share_no_key() -> None:
    one, two = throwaway("alice").secret_texts(), throwaway("alice").secret_texts()
    assert len({*one.values(), *two.values()}) == 10


# ---- key files ------------------------------------------------------------------------------------------------------


def never_asked() -> str:
    raise AssertionError("no passphrase should have been asked for")


def test_an_open_key_file_round_trips_without_asking(alice: Identity) -> None:
    again = decode_key_file(encode_key_file(alice), never_asked, source="alice.key")
    assert again.secret_texts() == alice.secret_texts()
    assert again.public == alice.public


def test_a_locked_key_file_opens_with_its_passphrase_only(alice: Identity, locked: bytes) -> None:
    again = decode_key_file(locked, lambda: PASSPHRASE, source="alice.key")
    assert again.secret_texts() == alice.secret_texts()
    for wrong in ("", "correct horse ", "Correct horse"):
        with pytest.raises(KeyStoreError, match="does not open"):
            decode_key_file(locked, functools.partial(str, wrong), source="alice.key")
    with pytest.raises(KeyStoreError, match="locked by a passphrase"):
        decode_key_file(locked, None, source="alice.key")


def test_a_locked_key_file_shows_its_public_half_and_no_secret(alice: Identity, locked: bytes) -> None:
    assert public_of_key_file(locked, source="alice.key") == alice.public
    assert [text for text in alice.secret_texts().values() if text.encode() in locked] == []


def test_two_locked_files_of_one_identity_share_neither_salt_nor_ciphertext(alice: Identity) -> None:
    one, two = (json.loads(encode_key_file(alice, PASSPHRASE, work_factor=10)) for _ in range(2))
    assert one["protection"]["salt"] != two["protection"]["salt"]
    assert one["secrets"] != two["secrets"]


def test_the_same_letters_typed_on_two_systems_are_one_passphrase(alice: Identity) -> None:
    composed, decomposed = "gr\u00fcn", "gru\u0308n"
    data = encode_key_file(alice, composed, work_factor=10)
    assert decode_key_file(data, lambda: decomposed, source="alice.key").name == "alice"


def test_an_empty_passphrase_is_refused(alice: Identity) -> None:
    with pytest.raises(KeyStoreError, match="empty"):
        encode_key_file(alice, "")


@pytest.mark.parametrize("passphrase", [None, PASSPHRASE])
def test_a_changed_byte_of_a_key_file_is_refused(alice: Identity, passphrase: str | None) -> None:
    data = encode_key_file(alice, passphrase, work_factor=10)
    secrets, public = data.index(b'"secrets"'), data.index(b'"public"')
    # Every byte outside the public half (whose every byte has its own test), and samples of that.
    places = [*range(public), *range(public, secrets, 311), *range(secrets, len(data))]
    for place in places if passphrase is None else places[::7]:
        bent = bytearray(data)
        bent[place] ^= 1 << place % 7
        with pytest.raises(KeyStoreError):
            decode_key_file(bytes(bent), lambda: PASSPHRASE, source="alice.key")


@pytest.mark.parametrize(
    ("protection", "reason"),
    [
        ({"kind": "scrypt", "work_factor": 21}, "work factor from 10 to 20"),
        ({"kind": "scrypt", "work_factor": 63}, "work factor from 10 to 20"),
        ({"kind": "scrypt", "work_factor": 1}, "work factor from 10 to 20"),
        ({"kind": "scrypt", "work_factor": -1}, "work factor from 10 to 20"),
        ({"kind": "scrypt", "work_factor": True}, "work factor from 10 to 20"),
        ({"kind": "scrypt", "work_factor": "17"}, "work factor from 10 to 20"),
        ({"kind": "scrypt", "salt": "AAAA"}, "salt of 16 bytes"),
        ({"kind": "pbkdf2"}, 'kind "none" or "scrypt"'),
        ({"kind": "none"}, "unknown key"),
        ({"rounds": 1}, "unknown key"),
    ],
)
def test_a_bent_protection_is_refused_before_any_work_and_before_asking(
    locked: bytes, protection: dict[str, object], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_work(*_: object) -> None:
        raise AssertionError("scrypt was started")

    monkeypatch.setattr(key_file, "_cipher", no_work)
    bent = changed(locked, lambda value: value["protection"].update(protection))
    with pytest.raises(KeyStoreError, match=reason):
        decode_key_file(bent, never_asked, source="alice.key")


def test_removing_the_lock_does_not_open_the_file(locked: bytes) -> None:
    bent = changed(locked, lambda value: value.update(protection={"kind": "none"}))
    with pytest.raises(KeyStoreError, match="secrets: expected an object"):
        decode_key_file(bent, never_asked, source="alice.key")


def test_the_public_half_of_another_in_a_key_file_is_refused(alice: Identity, bob: Identity, locked: bytes) -> None:
    theirs = parse_object(bob.public.encode(), bytes_max=65536)
    for data in (encode_key_file(alice), locked):
        bent = changed(data, lambda value: value.update(public=theirs))
        with pytest.raises(KeyStoreError, match=r"do not belong together|does not open"):
            decode_key_file(bent, lambda: PASSPHRASE, source="alice.key")


@pytest.mark.parametrize("which", list(Secrets.__dataclass_fields__))
def test_one_foreign_secret_key_in_a_key_file_is_refused(alice: Identity, bob: Identity, which: str) -> None:
    bent = changed(encode_key_file(alice), lambda value: value["secrets"].update({which: bob.secret_texts()[which]}))
    with pytest.raises(KeyStoreError, match="do not belong together"):
        decode_key_file(bent, never_asked, source="alice.key")


# ---- secrets stay inside --------------------------------------------------------------------------------------------


def test_repr_shows_name_and_fingerprint_only(alice: Identity) -> None:
    assert repr(alice) == f"Identity(alice, {alice.fingerprint})"
    assert repr(alice.public) == f"PublicIdentity(alice, {alice.fingerprint})"
    assert repr(alice._secrets) == "Secrets(not shown)"


def test_secret_keys_are_neither_pickled_nor_copied(alice: Identity) -> None:
    for value in (alice, alice._secrets):
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(value)
        with pytest.raises(TypeError, match="not pickled"):
            copy.deepcopy(value)


def test_no_error_about_a_key_file_shows_a_secret(alice: Identity, bob: Identity, locked: bytes) -> None:
    data = encode_key_file(alice)
    start = data.index(b'"secrets"')
    spoilt = [data[:place] for place in range(start, len(data), 29)]
    spoilt += [data[:place] + b"!" + data[place + 1 :] for place in range(start, len(data), 13)]
    spoilt += [changed(data, lambda value: value.update(public=bob.public.to_object())), locked]
    known = list(alice.secret_texts().values())
    for bent in spoilt:
        with pytest.raises(KeyStoreError) as caught:
            decode_key_file(bent, lambda: "not the passphrase", source="alice.key")
        shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
        # 12 letters in a row of a key would be a leak; ordinary words of a message never contain them.
        assert [text for text in known if any(text[i : i + 12] in shown for i in range(20, len(text) - 12))] == []


# ---- the page -------------------------------------------------------------------------------------------------------


def test_the_page_lists_the_keys_of_both_files_and_of_the_secrets(alice: Identity) -> None:
    page = (Path(__file__).parents[2] / "docs" / "spec" / "identity.md").read_text("utf-8")
    sections = {part.split("\n", 1)[0]: part for part in page.split("\n## ")}
    for title, data in (
        ("The public half: NAME.pub", alice.public.encode()),
        ("The key file: NAME.key", encode_key_file(alice)),
    ):
        assert set(re.findall(r"^\| `(\w+)` \|", sections[title], re.MULTILINE)) == set(json.loads(data))
    assert [name for name in alice.secret_texts() if f"`{name}`" not in sections["The key file: NAME.key"]] == []
