"""keygen, trust and trusted as a person meets them."""

from __future__ import annotations

import os
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from tacit.cli.keys import add_commands, ask_passphrase
from tacit.crypto.identity import throwaway
from tacit.crypto.keystore import KeyStore
from tacit.errors import KeyStoreError, OutputExists, TacitError


@click.group()
def tacit() -> None:
    """The key commands alone."""


add_commands(tacit)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("TACIT_HOME", str(tmp_path / "home"))
    return tmp_path


def run(*arguments: str, typed: str = "") -> Result:
    return CliRunner().invoke(tacit, arguments, input=typed)


def fault(result: Result) -> TacitError:
    assert isinstance(result.exception, TacitError), result.output
    return result.exception


def test_keygen_leaves_the_public_half_here_and_prints_its_fingerprint() -> None:
    result = run("keygen", "alice")
    assert result.exit_code == 0
    store = KeyStore()
    assert Path("alice.pub").read_bytes() == store.load("alice").public.encode()
    assert Path("alice.pub").read_bytes() == (store.home / "identities" / "alice.pub").read_bytes()
    assert store.load("alice").fingerprint in result.output
    assert [text for text in store.load("alice").secret_texts().values() if text in result.output] == []


def test_keygen_with_a_passphrase_asks_twice_and_locks_the_file() -> None:
    result = run("keygen", "alice", "--passphrase", typed="open sesame\nopen sesame\n")
    assert result.exit_code == 0
    assert "sesame" not in result.output
    with pytest.raises(KeyStoreError, match="locked"):
        KeyStore().load("alice")
    assert KeyStore().load("alice", lambda: "open sesame").name == "alice"


def test_keygen_refuses_before_it_makes_anything() -> None:
    Path("alice.pub").write_text("mine")
    assert isinstance(fault(run("keygen", "alice")), OutputExists)
    assert Path("alice.pub").read_text() == "mine"
    assert not KeyStore().home.exists()
    for name in ("../alice", "Alice", "all"):
        assert isinstance(fault(run("keygen", name)), KeyStoreError)
    assert sorted(os.listdir()) == ["alice.pub"]


def test_keygen_never_replaces_an_identity() -> None:
    run("keygen", "alice")
    first = Path("alice.pub").read_bytes()
    Path("alice.pub").unlink()
    assert "already" in str(fault(run("keygen", "alice")))
    assert KeyStore().load("alice").public.encode() == first


@pytest.fixture
def bob_file() -> Path:
    Path("bob.pub").write_bytes(throwaway("bob").public.encode())
    return Path("bob.pub")


def test_trust_shows_the_fingerprint_and_files_the_key_after_a_yes(bob_file: Path) -> None:
    result = run("trust", "bob.pub", typed="y\n")
    assert result.exit_code == 0
    assert KeyStore().trusted("bob").fingerprint in result.output
    assert KeyStore().trusted("bob").encode() == bob_file.read_bytes()


@pytest.mark.parametrize("typed", ["n\n", "\n", ""])
def test_without_a_yes_nobody_is_trusted(bob_file: Path, typed: str) -> None:
    assert isinstance(fault(run("trust", str(bob_file), typed=typed)), KeyStoreError)
    assert KeyStore().names() == ()


def test_a_compared_fingerprint_needs_no_answer_and_may_be_typed_loosely(bob_file: Path) -> None:
    from tacit.crypto.keystore import read_public

    told = read_public(bob_file).fingerprint.replace("-", " ").upper()
    assert run("trust", str(bob_file), "--fingerprint", told).exit_code == 0
    assert KeyStore().names() == ("bob",)


def test_a_wrong_short_or_empty_fingerprint_is_refused_even_with_the_ugly_flag(bob_file: Path) -> None:
    from tacit.crypto.keystore import read_public

    right = read_public(bob_file).fingerprint
    for told in ("", right[:-1], right[:19], right + "a", throwaway("bob").fingerprint):
        shown = fault(run("trust", str(bob_file), "--fingerprint", told, "--without-comparing"))
        assert right in str(shown)
    assert KeyStore().names() == ()


def test_trust_without_comparing_says_what_that_means(bob_file: Path) -> None:
    result = run("trust", str(bob_file), "--without-comparing")
    assert result.exit_code == 0
    assert "can now act as bob" in result.output
    assert KeyStore().names() == ("bob",)


def test_trusting_again_asks_nothing(bob_file: Path) -> None:
    run("trust", str(bob_file), "--without-comparing")
    result = run("trust", str(bob_file))
    assert result.exit_code == 0
    assert "already" in result.output


def test_another_key_is_refused_before_asking_and_replaced_only_when_told_to(bob_file: Path) -> None:
    run("trust", str(bob_file), "--without-comparing")
    other = throwaway("bob")
    Path("other.pub").write_bytes(other.public.encode())
    assert "another key is trusted for bob" in str(fault(run("trust", "other.pub", typed="y\n")))
    assert isinstance(fault(run("trust", "other.pub", "--replace", typed="n\n")), KeyStoreError)
    assert KeyStore().trusted("bob").encode() == bob_file.read_bytes()
    assert run("trust", "other.pub", "--replace", typed="y\n").exit_code == 0
    assert KeyStore().trusted("bob") == other.public


def test_a_secret_key_file_is_not_taken_for_a_public_half() -> None:
    run("keygen", "alice")
    shown = fault(run("trust", str(KeyStore().home / "identities" / "alice.key")))
    assert isinstance(shown, KeyStoreError)
    assert [text for text in KeyStore().load("alice").secret_texts().values() if text in str(shown)] == []


def test_trusted_lists_names_with_fingerprints_and_ends_badly_if_one_is_damaged(bob_file: Path) -> None:
    assert "nobody is trusted" in run("trusted").output
    carol = throwaway("carol")
    KeyStore().trust(carol.public)
    run("trust", str(bob_file), "--without-comparing")
    assert f"carol                             {carol.fingerprint}" in run("trusted").output
    (KeyStore().home / "trusted" / "bob.pub").write_text("{}")
    result = run("trusted")
    assert "bob" in str(fault(result))
    assert carol.fingerprint in result.output


def test_a_missing_file_is_an_error_with_a_hint() -> None:
    assert fault(run("trust", "nobody.pub")).hint


def test_no_passphrase_at_the_terminal_is_an_error_and_not_a_traceback() -> None:
    @click.command()
    def locked() -> None:
        ask_passphrase("alice")

    assert isinstance(CliRunner().invoke(locked, input="").exception, KeyStoreError)
