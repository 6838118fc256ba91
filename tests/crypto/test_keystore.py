"""The key store: names never become paths, nothing is overwritten by accident, others neither read nor write."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tacit.crypto.identity import Identity, throwaway
from tacit.crypto.keystore import KeyStore, default_home, read_public, write_new
from tacit.errors import KeyStoreError, StorageTrouble

BENT_NAMES = [
    "", ".", "..", "../alice", "a/b", "/etc/passwd", "a\\b", "alice.key", "Alice", "al ice", "-alice", "alice\n",
    "a\x00b", "a" * 33, "älice", "~", "all", "$HOME", "*",
]  # fmt: skip


@pytest.fixture(scope="module")
def bob() -> Identity:
    return throwaway("bob")


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    return KeyStore(tmp_path / "home")


def rights(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_created_identity_is_loaded_again(store: KeyStore) -> None:
    made = store.create("alice")
    assert store.load("alice").secret_texts() == made.secret_texts()
    assert store.identities() == ("alice",)
    assert read_public(store.home / "identities" / "alice.pub") == made.public


def test_a_locked_identity_asks_once_and_opens(store: KeyStore) -> None:
    made, asked = store.create("alice", "pass phrase"), []

    def ask() -> str:
        asked.append(1)
        return "pass phrase"

    assert store.load("alice", ask).fingerprint == made.fingerprint
    assert len(asked) == 1
    with pytest.raises(KeyStoreError, match="locked by a passphrase"):
        store.load("alice")


def test_folders_and_key_files_are_for_their_owner_only_whatever_the_umask(store: KeyStore) -> None:
    before = os.umask(0)
    try:
        store.create("alice")
    finally:
        os.umask(before)
    assert [rights(store.home / part) for part in ("", "identities", "trusted")] == [0o700] * 3
    assert rights(store.home / "identities" / "alice.key") == 0o600


@pytest.mark.parametrize("wider", [0o640, 0o604, 0o660, 0o700 | 0o010])
def test_a_key_file_that_others_may_touch_is_refused_with_the_command_that_helps(store: KeyStore, wider: int) -> None:
    store.create("alice")
    path = store.home / "identities" / "alice.key"
    path.chmod(wider)
    with pytest.raises(KeyStoreError, match=f"got {wider:04o}") as caught:
        store.load("alice")
    assert f"chmod 600 {path}" in str(caught.value)


@pytest.mark.parametrize("part", ["", "identities", "trusted"])
def test_a_folder_that_others_may_write_to_is_refused(store: KeyStore, bob: Identity, part: str) -> None:
    store.trust(bob.public)
    store.create("alice")
    (store.home / part).chmod(0o770)
    for action in (lambda: store.trusted("bob"), lambda: store.load("alice"), lambda: store.create("carol")):
        with pytest.raises(KeyStoreError, match="chmod 700"):
            action()


def test_an_identity_is_never_overwritten(store: KeyStore) -> None:
    first = store.create("alice")
    with pytest.raises(KeyStoreError, match="already"):
        store.create("alice")
    assert store.load("alice").fingerprint == first.fingerprint


def test_two_that_create_at_once_cannot_both_win(store: KeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    first = store.create("alice")
    monkeypatch.setattr(Path, "exists", lambda self: False)  # what the slower one saw before the faster one wrote
    with pytest.raises(KeyStoreError, match="already"):
        store.create("alice")
    monkeypatch.undo()
    assert store.load("alice").fingerprint == first.fingerprint


@pytest.mark.parametrize("name", BENT_NAMES)
def test_a_name_that_is_no_name_touches_no_file(store: KeyStore, tmp_path: Path, name: str) -> None:
    for action in (store.create, store.load, store.trusted):
        with pytest.raises(KeyStoreError, match="cannot be the name of a party"):
            action(name)
    assert list(tmp_path.iterdir()) == []


def test_a_renamed_file_is_refused(store: KeyStore, bob: Identity) -> None:
    store.create("alice")
    store.trust(bob.public)
    (store.home / "identities" / "alice.key").rename(store.home / "identities" / "carol.key")
    (store.home / "trusted" / "bob.pub").rename(store.home / "trusted" / "carol.pub")
    with pytest.raises(KeyStoreError, match="holds the keys of alice"):
        store.load("carol")
    with pytest.raises(KeyStoreError, match="holds the keys of bob"):
        store.trusted("carol")


def test_trusting_twice_changes_nothing_the_second_time(store: KeyStore, bob: Identity) -> None:
    assert store.trust(bob.public) is True
    before = (store.home / "trusted" / "bob.pub").stat().st_mtime_ns
    assert store.trust(bob.public) is False
    assert (store.home / "trusted" / "bob.pub").stat().st_mtime_ns == before
    assert store.trusted("bob") == bob.public
    assert store.names() == ("bob",)


def test_another_key_under_a_trusted_name_needs_replace(store: KeyStore, bob: Identity) -> None:
    store.trust(bob.public)
    other = throwaway("bob")
    with pytest.raises(KeyStoreError, match=f"expected {bob.fingerprint}, got {other.fingerprint}"):
        store.trust(other.public)
    assert store.trusted("bob") == bob.public
    assert store.trust(other.public, replace=True) is True
    assert store.trusted("bob") == other.public


def test_a_damaged_trusted_file_is_refused_and_only_replace_puts_a_sound_one_there(
    store: KeyStore, bob: Identity
) -> None:
    store.trust(bob.public)
    (store.home / "trusted" / "bob.pub").write_bytes(b"{}")
    with pytest.raises(KeyStoreError):
        store.trusted("bob")
    with pytest.raises(KeyStoreError):
        store.trust(bob.public)
    assert store.trust(bob.public, replace=True) is True
    assert store.trusted("bob") == bob.public


@pytest.mark.parametrize("name", ["alice", "bob"])
def test_what_is_missing_is_said_with_the_command_that_makes_it(store: KeyStore, name: str) -> None:
    with pytest.raises(KeyStoreError, match=f"tacit trust {name}.pub"):
        store.trusted(name)
    with pytest.raises(KeyStoreError, match=f"tacit keygen {name}"):
        store.load(name)
    assert not store.home.exists(), "reading makes no folders"


def test_stray_files_are_no_parties(store: KeyStore, bob: Identity) -> None:
    store.trust(bob.public)
    for stray in ("Bob.pub", ".bob.pub.tmp", "bob.pub~", "-x.pub", "notes.txt"):
        (store.home / "trusted" / stray).write_bytes(b"x")
    assert store.names() == ("bob",)


def test_a_pipe_or_folder_in_place_of_a_key_does_not_stop_the_program(store: KeyStore, bob: Identity) -> None:
    store.trust(bob.public)
    path = store.home / "trusted" / "bob.pub"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(KeyStoreError, match="no plain file"):
        store.trusted("bob")
    path.unlink()
    path.mkdir()
    with pytest.raises((KeyStoreError, StorageTrouble)):
        store.trusted("bob")


def test_a_huge_file_is_not_read_whole(store: KeyStore, tmp_path: Path) -> None:
    with (tmp_path / "bob.pub").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(KeyStoreError, match="at most 65536 bytes"):
        read_public(tmp_path / "bob.pub")


def test_a_failed_write_leaves_no_file_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageTrouble, match="No space left"):
        write_new(tmp_path / "alice.key", b"secret", mode=0o600)
    assert list(tmp_path.iterdir()) == []


def test_a_new_file_is_written_even_where_links_are_not_supported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    write_new(tmp_path / "alice.key", b"new", mode=0o600)
    assert rights(tmp_path / "alice.key") == 0o600
    with pytest.raises(FileExistsError):
        write_new(tmp_path / "alice.key", b"newer", mode=0o600)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"alice.key": b"new"}


def test_the_home_is_taken_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TACIT_HOME", str(tmp_path))
    assert KeyStore().home == tmp_path
    for empty in ("", None):
        monkeypatch.setenv("TACIT_HOME", empty) if empty is not None else monkeypatch.delenv("TACIT_HOME")
        assert default_home() == Path.home() / ".tacit"


def test_the_key_commands_are_imported_without_torch_and_without_the_crypto_library() -> None:
    code = "import sys, tacit.cli.keys; print([m for m in ('torch', 'cryptography', 'blake3') if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
