"""The one key store: own identities and the public halves that this person trusts, as files in one folder.

    $TACIT_HOME (default ~/.tacit)     0700
      identities/NAME.key              0600   an own identity
      identities/NAME.pub                     its public half, to hand out
      trusted/NAME.pub                        another party's public half, after its fingerprint was compared

Not for: other kinds of keys in other places. No part of tacit keeps a second store.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

from tacit.crypto.identity import Identity, throwaway
from tacit.crypto.key_file import decode_key_file, encode_key_file
from tacit.crypto.party_names import check_party_name
from tacit.crypto.primitives import random_bytes
from tacit.crypto.public_identity import FILE_BYTES_MAX, PublicIdentity
from tacit.errors import KeyStoreError, StorageTrouble


def default_home() -> Path:
    """The folder that TACIT_HOME names, or ~/.tacit."""
    return Path(os.environ.get("TACIT_HOME") or "~/.tacit").expanduser()


class KeyStore:
    """The keys in `home`. Folders are made when the first key is written, never by reading."""

    def __init__(self, home: Path | None = None) -> None:
        self.home = Path(home) if home is not None else default_home()
        self._identities = self.home / "identities"
        self._trusted = self.home / "trusted"

    # ---- own identities -----------------------------------------------------------------------------------------

    def create(self, name: str, passphrase: str | None = None) -> Identity:
        """A new identity, filed under `name`; KeyStoreError if there is one already, which is never overwritten."""
        path = self._key_path(name)
        if path.exists():
            raise self._exists(name)
        identity = throwaway(name)
        data = encode_key_file(identity, passphrase)
        self._make_folders()
        try:
            write_new(path, data, mode=0o600)
        except FileExistsError:  # made by another process since we looked
            raise self._exists(name) from None
        _replace(self._identities / f"{name}.pub", identity.public.encode())
        return identity

    def load(self, name: str, passphrase: Callable[[], str] | None = None) -> Identity:
        """The own identity called `name`. `passphrase` is called only if the file is locked."""
        path = self._key_path(name)
        if not path.exists():
            raise KeyStoreError(
                f"there is no identity {name} in {self._identities}",
                hint=f"make one with  tacit keygen {name}  or set TACIT_HOME to the folder that has it",
            )
        self._check_folders()
        identity = decode_key_file(_read_file(path, secret=True), passphrase, source=str(path))
        if identity.name != name:
            raise _renamed(path, identity.name)
        return identity

    def identities(self) -> tuple[str, ...]:
        """The names of the own identities, sorted."""
        return _names_in(self._identities, ".key")

    # ---- trusted parties ----------------------------------------------------------------------------------------

    def trust(self, public: PublicIdentity, replace: bool = False) -> bool:
        """File `public` as trusted; True if that changed something. Another key under the name needs `replace`."""
        if self.is_trusted(public, replacing=replace):
            return False
        self._make_folders()
        _replace(self._trusted_path(public.name), public.encode())
        return True

    def is_trusted(self, public: PublicIdentity, *, replacing: bool = False) -> bool:
        """Whether just this key is trusted for its name. KeyStoreError if another one is, unless it may be replaced."""
        if not self._trusted_path(public.name).exists():
            return False
        known = self._fingerprint_of(public.name, damaged_is_none=replacing)
        if known != public.fingerprint and not replacing:
            raise KeyStoreError(
                f"another key is trusted for {public.name}: expected {known}, got {public.fingerprint}",
                hint=f"ask {public.name} why it changed; if that is right, trust the file again with --replace",
            )
        return known == public.fingerprint

    def _fingerprint_of(self, name: str, *, damaged_is_none: bool) -> str | None:
        try:
            return self.trusted(name).fingerprint
        except KeyStoreError:
            if damaged_is_none:
                return None
            raise

    def trusted(self, name: str) -> PublicIdentity:
        """The public half trusted for `name`, verified again; KeyStoreError if there is none."""
        path = self._trusted_path(name)
        if not path.exists():
            raise KeyStoreError(
                f"no key is trusted for {name}: there is no {path}",
                hint=f"ask {name} for {name}.pub, then  tacit trust {name}.pub  and compare the fingerprint",
            )
        self._check_folders()
        public = read_public(path)
        if public.name != name:
            raise _renamed(path, public.name)
        return public

    def names(self) -> tuple[str, ...]:
        """The names of the trusted parties, sorted."""
        return _names_in(self._trusted, ".pub")

    # ---- folders and rights -------------------------------------------------------------------------------------

    def _key_path(self, name: str) -> Path:
        # The name becomes a path only after it has proved to be a plain word.
        return self._identities / f"{check_party_name(name, KeyStoreError)}.key"

    def _trusted_path(self, name: str) -> Path:
        return self._trusted / f"{check_party_name(name, KeyStoreError)}.pub"

    def _exists(self, name: str) -> KeyStoreError:
        return KeyStoreError(
            f"there is an identity {name} already in {self._identities}",
            hint=f"use it, or move {name}.key away first; its public half is {self._identities / name}.pub",
        )

    def _make_folders(self) -> None:
        for folder in (self.home, self._identities, self._trusted):
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as fault:
                raise StorageTrouble(
                    f"{folder} cannot be made: {fault.strerror}", hint="set TACIT_HOME to a folder of your own"
                ) from None
        self._check_folders()

    def _check_folders(self) -> None:
        """Nobody else may write here: who can swap a file in trusted/ can be any party."""
        for folder in (self.home, self._identities, self._trusted):
            if folder.exists() and folder.stat().st_uid not in (os.geteuid(), 0):
                raise KeyStoreError(
                    f"{folder} belongs to another user, who may put any key there",
                    hint="set TACIT_HOME to a folder of your own",
                )
            if folder.exists() and folder.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise KeyStoreError(
                    f"others may write to {folder}: expected rights 0700, got {folder.stat().st_mode & 0o7777:04o}",
                    hint=f"chmod 700 {folder}",
                )


def read_public(path: Path) -> PublicIdentity:
    """The verified public half in the file at `path`."""
    return PublicIdentity.decode(_read_file(path), source=str(path))


def write_new(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write a file that must not exist yet: whole or not at all, never over another. FileExistsError if it does."""
    temporary = _temporary(path, data, mode)
    try:
        try:
            os.link(temporary, path)  # unlike a rename, a link never replaces what is there
        except FileExistsError:
            raise
        except OSError:  # memory sticks have no links; then a crash in the next line may leave half a file
            with path.open("xb") as file:
                file.write(data)
            path.chmod(mode)
    except FileExistsError:
        raise
    except OSError as fault:
        raise _not_written(path, fault) from None
    finally:
        temporary.unlink(missing_ok=True)


def _replace(path: Path, data: bytes) -> None:
    temporary = _temporary(path, data, 0o644)
    try:
        os.replace(temporary, path)
    except OSError as fault:
        temporary.unlink(missing_ok=True)
        raise _not_written(path, fault) from None


def _temporary(path: Path, data: bytes, mode: int) -> Path:
    """A new file beside `path` with `data` on the disk; its rights are set before the first byte."""
    temporary = path.with_name(f".{path.name}.{random_bytes(6).hex()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as fault:
        temporary.unlink(missing_ok=True)
        raise _not_written(path, fault) from None
    return temporary


def _read_file(path: Path, *, secret: bool = False) -> bytes:
    """The bytes of a plain file of at most 64 KiB; of a secret one only if nobody else may read it."""
    try:
        # Not blocking: a named pipe in place of a key must not stop the program for ever.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            state = os.fstat(file.fileno())  # of the open file: what is checked is what is read
            if not stat.S_ISREG(state.st_mode):
                raise KeyStoreError(f"{path} is no plain file", hint="remove it, or put the right file there")
            if secret and state.st_uid not in (os.geteuid(), 0):
                raise KeyStoreError(f"{path} belongs to another user", hint="use an identity that you made yourself")
            if secret and state.st_mode & 0o077:
                raise KeyStoreError(
                    f"others may read {path}: expected rights 0600, got {state.st_mode & 0o7777:04o}",
                    hint=f"chmod 600 {path}  if nobody else can have read it; otherwise make a new identity",
                )
            return file.read(FILE_BYTES_MAX + 1)
    except OSError as fault:
        raise StorageTrouble(f"{path} cannot be read: {fault.strerror}", hint="check the path and its rights") from None


def _names_in(folder: Path, suffix: str) -> tuple[str, ...]:
    names = []
    for path in sorted(folder.glob(f"*{suffix}")) if folder.is_dir() else ():
        with contextlib.suppress(KeyStoreError):  # a stray file can be no party's key, for no name leads to it
            names.append(check_party_name(path.stem, KeyStoreError))
    return tuple(names)


def _renamed(path: Path, name: str) -> KeyStoreError:
    return KeyStoreError(f"{path} holds the keys of {name}", hint=f"give it back its name {name}{path.suffix}")


def _not_written(path: Path, fault: OSError) -> StorageTrouble:
    return StorageTrouble(f"{path} cannot be written: {fault.strerror}", hint="check space and rights of its folder")
