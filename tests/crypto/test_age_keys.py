"""Bech32 against the vectors of BIP 173, and age keys against the examples of C2SP age.md and the CCTV files."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacit.crypto import age_keys
from tacit.crypto.age_keys import AgeKind, age_public, age_secret, bech32_decode, bech32_encode
from tacit.errors import KeyStoreError

# C2SP age.md, commit 5ba5ee8, "The MLKEM768-X25519 ... recipient type" and "The X25519 recipient type".
HYBRID_SECRET = "AGE-SECRET-KEY-PQ-1XX76JRALNLXDMEW0CRK45QMCCH4X06SE84UN3VPM33W6HWDX0H3SK3ZQFR"
HYBRID_PUBLIC_SHA256 = "a091dd7e0ee9d62b75173dcc98441a0424baa941e66a8776e570a4ae60ff61ea"  # of its 1,959 letters
X25519_SECRET = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"
X25519_PUBLIC = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"

VECTORS = Path(os.environ.get("TACIT_VECTORS", Path(__file__).parents[2] / ".." / "shared")) / "vectors" / "age"


# ---- Bech32 ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "prefix"),
    [
        ("A12UEL5L", "a"),
        ("a12uel5l", "a"),
        ("an83characterlonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio1tt5tgs",
         "an83characterlonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio"),
        ("abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw", "abcdef"),
        ("?1ezyfcl", "?"),
    ],
)  # fmt: skip
def test_a_valid_text_of_bip_173_is_decoded_and_written_back(text: str, prefix: str) -> None:
    found, data = bech32_decode(text)
    assert found == prefix
    assert bech32_encode(found, data) == text.lower()


@pytest.mark.parametrize(
    "text",
    [
        "\x201nwldj5", "\x7f1axkwrx", "\x801eym55h", "pzry9x0s0muk", "1pzry9x0s0muk", "x1b4n0q5v", "li1dgmt3",
        "de1lg7wt\xff", "A1G7SGD8", "10a06t8", "1qzzfhee", "a12UEL5L",
    ],
)  # fmt: skip
def test_an_invalid_text_of_bip_173_is_refused(text: str) -> None:
    with pytest.raises(KeyStoreError):
        bech32_decode(text)


def test_left_over_bits_are_refused_so_that_no_data_has_two_texts() -> None:
    # 8 bits need 2 groups, the last with 2 spare bits: set one of them and correct the checksum.
    groups = [0b11111, 0b11101]
    checked = age_keys._polymod([*age_keys._prefix_groups("a"), *groups, *[0] * 6]) ^ 1
    letters = groups + [(checked >> 5 * (5 - place)) & 31 for place in range(6)]
    with pytest.raises(KeyStoreError, match="left-over bits"):
        bech32_decode("a1" + "".join(age_keys._ALPHABET[letter] for letter in letters))


@given(st.binary(max_size=80), st.sampled_from(["age", "age1pq", "age-secret-key-"]))
def test_bech32_round_trips_in_both_cases(data: bytes, prefix: str) -> None:
    text = bech32_encode(prefix, data)
    assert bech32_decode(text) == (prefix, data)
    assert bech32_decode(text.upper()) == (prefix, data)


def test_every_changed_letter_of_a_key_is_noticed() -> None:
    for place, letter in enumerate(X25519_PUBLIC):
        for other in "qpz1x":
            changed = X25519_PUBLIC[:place] + other + X25519_PUBLIC[place + 1 :]
            if other != letter:
                with pytest.raises(KeyStoreError):
                    age_keys.read_age_public("x25519", changed)


# ---- keys -----------------------------------------------------------------------------------------------------------


def test_the_hybrid_example_of_the_age_specification_gives_its_recipient() -> None:
    public = age_public("hybrid", age_keys.read_age_secret("hybrid", HYBRID_SECRET))
    assert public.startswith("age1pq1x34nzsvr0rxjsgdn8zgyhfe8j7ceq5r9rdelkjuh3y235jzxshfg8")
    assert hashlib.sha256(public.encode()).hexdigest() == HYBRID_PUBLIC_SHA256


def test_the_x25519_example_of_the_age_specification_gives_its_recipient() -> None:
    assert age_public("x25519", age_keys.read_age_secret("x25519", X25519_SECRET)) == X25519_PUBLIC


@pytest.mark.parametrize("kind", ["hybrid", "x25519"])
def test_texts_of_both_kinds_round_trip(kind: AgeKind) -> None:
    secret = bytes(range(32))
    assert age_keys.read_age_secret(kind, age_secret(kind, secret)) == secret
    public = age_public(kind, secret)
    assert bech32_encode("age1pq" if kind == "hybrid" else "age", age_keys.read_age_public(kind, public)) == public


def test_a_key_of_one_kind_is_not_taken_for_another() -> None:
    hybrid = age_public("hybrid", bytes(32))
    for reader, kind, text in (
        (age_keys.read_age_public, "hybrid", X25519_PUBLIC),
        (age_keys.read_age_public, "x25519", hybrid),
        (age_keys.read_age_secret, "hybrid", X25519_SECRET),
        (age_keys.read_age_secret, "x25519", HYBRID_SECRET),
        (age_keys.read_age_public, "x25519", bech32_encode("age", bytes(31))),
        (age_keys.read_age_secret, "x25519", bech32_encode("age-secret-key-", bytes(33))),
        (age_keys.read_age_public, "hybrid", bech32_encode("age1pq", b"\xff" * 1216)),
    ):
        with pytest.raises(KeyStoreError):
            reader(kind, text)  # type: ignore[arg-type]


def test_a_refused_secret_key_is_not_shown() -> None:
    with pytest.raises(KeyStoreError) as caught:
        age_keys.read_age_secret("hybrid", HYBRID_SECRET[:-1] + "Q")
    assert HYBRID_SECRET[20:40].lower() not in str(caught.value).lower()


# ---- public vectors -------------------------------------------------------------------------------------------------


def test_keys_of_the_cctv_files_are_read_and_a_hybrid_one_unwraps_its_file_key() -> None:
    if not VECTORS.is_dir():
        pytest.skip(
            f"the CCTV vectors are not at {VECTORS}: age keys were checked on the specification's examples only"
        )
    from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, MLKEM768X25519PrivateKey, Suite

    kinds: dict[str, AgeKind] = {"AGE-SECRET-KEY-PQ-1": "hybrid", "AGE-SECRET-KEY-1": "x25519"}
    texts = {line for file in VECTORS.iterdir() for line in re.findall(rb"^identity: (\S+)$", file.read_bytes(), re.M)}
    assert len(texts) >= 3
    for text in (found.decode() for found in texts):
        kind = next(kinds[start] for start in kinds if text.startswith(start))
        assert age_secret(kind, age_keys.read_age_secret(kind, text)) == text

    head, _, rest = (VECTORS / "hybrid").read_bytes().partition(b"\n\n")
    fields = dict(line.split(": ") for line in head.decode().splitlines())
    stanza = re.search(rb"-> mlkem768x25519 (\S+)\n(\S+)\n", rest)
    assert stanza is not None
    wrapped, body = (base64.b64decode(part + b"==") for part in stanza.groups())
    private = MLKEM768X25519PrivateKey(*age_keys.hybrid_parts(age_keys.read_age_secret("hybrid", fields["identity"])))
    suite = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
    opened = suite.decrypt(wrapped + body, private, b"age-encryption.org/mlkem768x25519")
    assert opened.hex() == fields["file key"]
