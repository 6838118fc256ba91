"""The handshake without sockets: what is compared, how a difference is worded, what a liar can do, what is agreed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacit.crypto.primitives import derive
from tacit.errors import PeerFault, PeerGarbage, PeerMismatch
from tacit.session import handshake
from tacit.session.handshake import HELLO_BYTES_MAX, Agreement, Handshake, Terms
from tacit.session.job import Job

NAMES = ("alice", "bob", "crypto-producer")
TERMS = Terms(NAMES, {"protocol": "replicated3", "frac_bits": 16, "seed": None}, {"train.py": "ab" * 32})


def shake(*terms: Terms, meddle: Callable[[int, int, bytes], bytes] | None = None) -> list[Agreement]:
    """The handshake among all; `meddle(sender, receiver, hello)` may change what a party hears."""
    parties = [Handshake(place, each) for place, each in enumerate(terms)]
    pairs = [(i, j) for i in range(len(terms)) for j in range(len(terms)) if i != j]
    for sender, receiver in pairs:
        hello = parties[sender].hello(receiver)
        parties[receiver].heard_hello(sender, meddle(sender, receiver, hello) if meddle else hello)
    for sender, receiver in pairs:
        parties[receiver].heard_confirm(sender, parties[sender].confirm())
    return [party.agreement() for party in parties]


def hello(**changes: Any) -> bytes:
    """A greeting of bob to alice with some fields replaced; a value of `...` leaves the field out."""
    said = json.loads(Handshake(1, TERMS).hello(0)) | changes
    return json.dumps({key: value for key, value in said.items() if value is not ...}).encode()


def heard(payload: bytes, terms: Terms = TERMS) -> PeerFault:
    """What alice says to that greeting of bob."""
    with pytest.raises(PeerFault) as caught:
        Handshake(0, terms).heard_hello(1, payload)
    assert "bob" in caught.value.message
    assert caught.value.message.isprintable()
    assert caught.value.hint
    assert len(caught.value.message) < 2000
    return caught.value


# ---- what is agreed -------------------------------------------------------------------------------------------------


def test_all_parties_agree_on_session_keys_and_seed() -> None:
    a, b, c = shake(TERMS, TERMS, TERMS)
    assert len({each.session_id for each in (a, b, c)}) == len({each.public_seed for each in (a, b, c)}) == 1
    assert a.pair_keys[1] == b.pair_keys[0]
    assert a.pair_keys[2] == c.pair_keys[0]
    assert b.pair_keys[2] == c.pair_keys[1]


def test_every_pair_has_its_own_key_and_every_run_its_own_keys_session_and_seed() -> None:
    keys, sessions, seeds = set(), set(), set()
    for _ in range(20):
        agreed = shake(TERMS, TERMS, TERMS)
        keys |= {key for each in agreed for key in each.pair_keys.values()}
        sessions.add(agreed[0].session_id)
        seeds.add(agreed[0].public_seed)
    assert (len(keys), len(sessions), len(seeds)) == (60, 20, 20)
    assert all(len(key) == 32 for key in keys)
    assert all(0 <= seed < 1 << 63 for seed in seeds)  # what torch.manual_seed and a job file accept


def test_both_sides_and_the_session_go_into_a_pair_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a party that repeats its own secret nor one that repeats its public half gets an old key again."""
    fixed = b"\x07" * 32
    counter = iter(range(1000))

    def only_alice_repeats(count: int) -> bytes:
        number = next(counter)
        return fixed if number % 9 < 3 else number.to_bytes(count, "big")  # three draws each: alice first

    monkeypatch.setattr(handshake, "random_bytes", only_alice_repeats)
    first, second = shake(TERMS, TERMS, TERMS), shake(TERMS, TERMS, TERMS)
    assert first[0].pair_keys[1] != second[0].pair_keys[1]
    assert first[0].public_seed != second[0].public_seed


def test_secrets_of_bulk_connections_are_agreed_beside_the_pair_keys_and_not_by_them() -> None:
    a, b, c = shake(TERMS, TERMS, TERMS)
    assert a.bulk_secrets[1] == b.bulk_secrets[0]
    assert a.bulk_secrets[2] == c.bulk_secrets[0]
    assert b.bulk_secrets[2] == c.bulk_secrets[1]
    everything = {key for each in (a, b, c) for keys in (each.pair_keys, each.bulk_secrets) for key in keys.values()}
    assert len(everything) == 6
    for context in (b"", a.session_id, a.session_id + b"\0\1"):
        assert derive(a.pair_keys[1], label="bulk frames", context=context) != a.bulk_secrets[1]


def test_what_parties_said_in_secret_is_forgotten_once_they_agree() -> None:
    alice, bob = (Handshake(place, replace(TERMS, parties=("alice", "bob"))) for place in range(2))
    alice.heard_hello(1, bob.hello(0))
    alice.agreement()
    assert not alice._own_secrets
    assert not alice._peer_secrets


def test_a_party_in_the_middle_that_repeats_secrets_does_not_make_two_pairs_agree_on_one_key() -> None:
    """Bob tells each of the others the secret half that he had from the other one."""
    alice, bob, carol = (Handshake(place, TERMS) for place in range(3))
    alice.heard_hello(2, carol.hello(0))
    carol.heard_hello(0, alice.hello(2))
    for hearer, source in ((alice, carol), (carol, alice)):
        echo = json.loads(source.hello(1))["secret"]
        hearer.heard_hello(1, json.dumps({**json.loads(bob.hello(hearer._place)), "secret": echo}).encode())
    with_alice, with_carol = alice.agreement(), carol.agreement()
    assert with_alice.pair_keys[1] != with_carol.pair_keys[1]
    assert with_alice.bulk_secrets[1] != with_carol.bulk_secrets[1]


@pytest.mark.parametrize("seed", [0, 7, (1 << 63) - 1])
def test_a_seed_of_the_job_is_the_public_seed(seed: int) -> None:
    terms = replace(TERMS, seed=seed)
    assert {each.public_seed for each in shake(terms, terms, terms)} == {seed}


def test_one_or_two_parties_agree_as_well() -> None:
    alone = replace(TERMS, parties=("alice",))
    assert shake(alone)[0].pair_keys == {}
    pair = replace(TERMS, parties=("alice", "bob"))
    one, other = shake(pair, pair)
    assert one.pair_keys[1] == other.pair_keys[0]


def test_a_representation_shows_neither_key_nor_session() -> None:
    agreed = shake(TERMS, TERMS, TERMS)[0]
    for secret in (*agreed.pair_keys.values(), *agreed.bulk_secrets.values(), agreed.session_id):
        assert secret.hex() not in repr(agreed)
        assert repr(secret) not in repr(agreed)


# ---- what must be equal ---------------------------------------------------------------------------------------------

DIFFERENCES: dict[str, tuple[Terms, str, str]] = {
    "protocol": (replace(TERMS, job={**TERMS.job, "protocol": "mask"}), "protocol = replicated3", "protocol = mask"),
    "fraction bits": (replace(TERMS, job={**TERMS.job, "frac_bits": 18}), "frac_bits = 16", "frac_bits = 18"),
    "seed": (replace(TERMS, job={**TERMS.job, "seed": 3}), "seed = nothing", "seed = 3"),
    "a key more": (replace(TERMS, job={**TERMS.job, "name": "x"}), "name = nothing", "name = x"),
    "the list": (replace(TERMS, parties=("alice", "bob", "carol")), "crypto-producer", "carol"),
    "the order": (replace(TERMS, parties=("alice", "crypto-producer", "bob")), "alice, bob", "alice, crypto-producer"),
    "the script": (replace(TERMS, program={"train.py": "cd" * 32}), "train.py = ababababab", "train.py = cdcdcdcdcd"),
    "a file more": (replace(TERMS, program={**TERMS.program, "data.py": "ef" * 32}), "nothing", "data.py = efefefef"),
}  # fmt: skip


@pytest.mark.parametrize("what", DIFFERENCES)
def test_a_difference_names_the_field_both_sides_and_what_to_do(what: str) -> None:
    theirs, ours_shown, theirs_shown = DIFFERENCES[what]
    said = json.loads(Handshake(1, theirs).hello(0))
    fault = heard(json.dumps(said).encode())
    assert isinstance(fault, PeerMismatch)
    assert f"alice has {ours_shown}" in fault.message or ours_shown in fault.message.split("bob has")[0]
    assert theirs_shown in fault.message.split("bob has")[1]
    field = fault.message.split(" differs")[0].removeprefix("list of ")
    assert fault.hint == handshake._SAME[field]


@pytest.mark.parametrize("package", ["tacit", "torch"])
def test_another_version_is_named_with_the_package(package: str) -> None:
    fault = heard(hello(**{package: "0.0.7"}))
    assert isinstance(fault, PeerMismatch)
    assert fault.message.startswith(f"{package} differs")
    assert "bob has 0.0.7" in fault.message


def test_another_build_of_the_same_torch_is_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Handshake(0, TERMS)
    monkeypatch.setattr(handshake, "version", lambda package: handshake_version(package) + "+cu999")
    here.heard_hello(1, Handshake(1, TERMS).hello(0).replace(b'+cu999","torch', b'","torch'))


def handshake_version(package: str) -> str:
    from importlib.metadata import version

    return version(package).split("+")[0]


def test_every_key_that_parties_must_share_reaches_the_handshake() -> None:
    """Whatever Job.common() will hold one day is compared: a difference in any one entry is a mismatch."""
    job = Job.parse("version = 1\n[parties]\nalice={}\nbob={}\ncrypto-producer={}\n")
    common = {key: value for key, value in job.common().items() if key != "parties"}
    assert {"protocol", "ring_bits", "frac_bits", "model_to", "seed"} <= set(common)
    for key in common:
        with pytest.raises(PeerMismatch, match=f"{key} = "):
            Handshake(0, replace(TERMS, job=common)).heard_hello(
                1, Handshake(1, replace(TERMS, job={**common, key: "different"})).hello(0)
            )


def test_true_is_not_one() -> None:
    ones = replace(TERMS, job={"frac_bits": 1})
    assert isinstance(heard(hello(job={"frac_bits": True}), ones), PeerMismatch)
    assert isinstance(heard(hello(wire=True)), PeerMismatch)


# ---- greetings that no honest party sends ---------------------------------------------------------------------------

HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"\xff\xfe{}",
    "a list": b"[]",
    "half": hello()[:-10],
    "huge": b'{"wire":1,"x":"' + b"a" * HELLO_BYTES_MAX + b'"}',
    "deep": b'{"wire":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "a long number": b'{"wire":' + b"9" * 5_000 + b"}",
    "a fraction": b'{"wire":1.0}',
    "nan": b'{"wire":NaN}',
    "a key twice": hello()[:-1] + b',"wire":1}',
    "an inner key twice": hello().replace(b'"frac_bits": 16', b'"frac_bits": 17, "frac_bits": 16'),
    "a field more": hello(extra=1),
    "a field less": hello(public=...),
    "parties as text": hello(parties="alice"),
    "parties as map": hello(parties={"alice": 1}),
    "job as list": hello(job=[1]),
    "job as null": hello(job=None),
    "program as number": hello(program=7),
    "program with lists": hello(program={"train.py": ["ab" * 32]}),
    "version as list": hello(tacit=["0"]),
    "deep job": hello(job={"a": json.loads("[" * 400 + "]" * 400)}),
    "a short key": hello(secret="ab" * 31),
    "a long key": hello(public="ab" * 33),
    "a key that is no hex": hello(public="zz" * 32),
    "a key as number": hello(secret=5),
    "a key as null": hello(secret=None),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_greeting_of_another_form_is_garbage(what: str) -> None:
    assert isinstance(heard(HOSTILE[what]), PeerGarbage | PeerMismatch)
    assert isinstance(heard(HOSTILE[what]), PeerGarbage) or what in ("a long number",)


@pytest.mark.parametrize(
    "changes",
    [
        {"tacit": "\x1b[2J\x1b]0;owned\x07"},
        {"wire": "\x1b[31m"},
        {"parties": ["al\u202eice", "bob\r\n", "\x00"]},
        {"job": {"\x1b[2Jprotocol": "x"}},
        {"job": {"protocol": "\x9b31m"}},
        {"program": {"train.py\n\nPeerUntrusted: alice\n  hint: trust me": "ab" * 32}},
        {"program": {"x" * 60_000: "y"}},
        {"job": {"protocol": "\U0010ffff" * 5_000}},
        {"job": {"k": "\ud800"}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_a_peer_says_cannot_repaint_the_screen(changes: dict[str, Any]) -> None:
    fault = heard(hello(**changes))
    assert isinstance(fault, PeerMismatch)
    assert str(fault).isprintable() or str(fault).count("\n") == 1  # the line of the hint


@given(st.binary(max_size=300) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(
    lambda value: json.dumps({"wire": 1, "x": value}).encode()
))  # fmt: skip
def test_no_bytes_make_the_greeting_fail_in_another_way(payload: bytes) -> None:
    with pytest.raises(PeerFault):
        Handshake(0, TERMS).heard_hello(1, payload)


# ---- a party that tells two others different things -----------------------------------------------------------------


@pytest.mark.parametrize("liar", range(3))
def test_two_different_greetings_of_one_party_are_caught_by_confirm(liar: int) -> None:
    def meddle(sender: int, receiver: int, payload: bytes) -> bytes:
        if sender == liar and receiver == (liar + 1) % 3:
            return json.dumps({**json.loads(payload), "public": "11" * 32}).encode()
        return payload

    with pytest.raises(PeerMismatch, match="other greetings") as caught:
        shake(TERMS, TERMS, TERMS, meddle=meddle)
    assert caught.value.hint


@pytest.mark.parametrize("payload", [b"", b"\x00" * 32, b"\x00" * 31, b"\x00" * 65_536])
def test_a_wrong_confirm_is_refused(payload: bytes) -> None:
    parties = [Handshake(place, TERMS) for place in range(3)]
    for peer in (1, 2):
        parties[0].heard_hello(peer, parties[peer].hello(0))
    with pytest.raises(PeerMismatch, match="bob heard other greetings"):
        parties[0].heard_confirm(1, payload)


def test_a_greeting_of_an_earlier_run_gives_another_session() -> None:
    """Replayed inside a new connection, an old greeting does not bring back the old keys."""
    old = [Handshake(place, TERMS) for place in range(2)]
    recorded = old[1].hello(0)
    pair = replace(TERMS, parties=("alice", "bob"))
    ids = set()
    for _ in range(2):
        alice = Handshake(0, pair)
        alice.heard_hello(1, Handshake(1, pair).hello(0) if not ids else recorded.replace(b',"crypto-producer"', b""))
        agreed = alice.agreement()
        ids.add((agreed.session_id, agreed.pair_keys[1], agreed.bulk_secrets[1]))
    assert len(ids) == 2
    assert all(len({*column}) == 2 for column in zip(*ids, strict=True))


def test_parties_that_chose_different_transports_hear_it_before_anybody_connects_again() -> None:
    alice, bob = (
        Handshake(place, Terms(("alice", "bob"), {"protocol": "masked", "transport": transport}))
        for place, transport in enumerate(("tls", "frames"))
    )
    with pytest.raises(PeerMismatch, match=r"transport = tls.*transport = frames"):
        alice.heard_hello(1, bob.hello(0))
    with pytest.raises(PeerMismatch, match=r"transport = frames.*transport = tls"):
        bob.heard_hello(0, alice.hello(1))
    assert Job.parse('version = 1\ntransport = "frames"').common()["transport"] == "frames"
    assert Job.parse("version = 1").common()["transport"] == "tls"
