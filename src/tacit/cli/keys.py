"""The commands about keys: keygen, trust, trusted. They talk to the person; crypto/keystore.py decides.

Not for: options of `tacit run`. Errors are raised as they are; the main command words them and sets the exit code.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tacit.crypto.party_names import check_party_name
from tacit.errors import KeyStoreError, OutputExists

if TYPE_CHECKING:
    from tacit.crypto.public_identity import PublicIdentity

# keystore, and with it the crypto library, is imported inside the commands: `tacit --help` must answer at once.


def add_commands(group: click.Group) -> None:
    """Add keygen, trust and trusted to `group`."""
    for command in (keygen, trust, trusted):
        group.add_command(command)


def ask_passphrase(name: str) -> str:
    """The passphrase of an existing identity, typed at the terminal and not shown."""
    try:
        return str(click.prompt(f"Passphrase of {name}", hide_input=True, err=True))
    except click.Abort:
        raise KeyStoreError(
            f"the identity {name} is locked and no passphrase was typed", hint="run it where it can be typed"
        ) from None


@click.command()
@click.argument("name")
@click.option("--passphrase", is_flag=True, help="Ask for a passphrase that locks the key file.")
def keygen(name: str, passphrase: bool) -> None:
    """Make the keys of the party NAME; leave NAME.pub here to give to the others."""
    from tacit.crypto.keystore import KeyStore, write_new

    handout = Path(f"{check_party_name(name, KeyStoreError)}.pub")
    if handout.exists():  # before the key is made, so that a refusal leaves nothing behind
        raise OutputExists(f"{handout} exists here already", hint="move it away, or run this in another folder")
    typed = click.prompt("New passphrase", hide_input=True, confirmation_prompt=True) if passphrase else None
    store = KeyStore()
    identity = store.create(name, typed)
    try:
        write_new(handout, identity.public.encode())
    except FileExistsError:
        raise OutputExists(
            f"{handout} appeared here meanwhile", hint=f"the same file is in {store.home / 'identities'}"
        ) from None
    click.echo(f"secret keys   {store.home / 'identities' / name}.key" + ("" if typed else "   (no passphrase)"))
    click.echo(f"public half   {handout}   give this file to the other parties")
    click.echo(f"fingerprint   {identity.fingerprint}")
    click.echo("Tell the others the fingerprint by telephone or in person, not in the mail that brings the file.")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--fingerprint", metavar="TEXT", help="Trust only if the fingerprint is this one; asks nothing.")
@click.option("--without-comparing", is_flag=True, help="Trust whoever sent the file. Only for trying things out.")
@click.option("--replace", is_flag=True, help="Put this key in the place of another one trusted under the name.")
def trust(file: Path, fingerprint: str | None, without_comparing: bool, replace: bool) -> None:
    """Trust the party whose public half is FILE, after comparing its fingerprint."""
    from tacit.crypto.keystore import KeyStore, read_public

    store, public = KeyStore(), read_public(file)
    click.echo(f"name          {public.name}")
    click.echo(f"fingerprint   {public.fingerprint}")
    if fingerprint is not None:
        _compare(public, fingerprint)  # also for a key that is trusted already: a script that compares wants an answer
    if store.is_trusted(public, replacing=replace):
        click.echo(f"{public.name} is trusted already with this key.")
        return
    if fingerprint is None and not without_comparing:
        _ask_to_compare(public)
    elif fingerprint is None:
        click.echo(f"Not compared: whoever made this file can now act as {public.name}.", err=True)
    store.trust(public, replace=replace)
    click.echo(f"{public.name} is trusted.")


@click.command()
def trusted() -> None:
    """List the parties that are trusted here, with their fingerprints."""
    from tacit.crypto.keystore import KeyStore

    store, damaged = KeyStore(), []
    for name in store.names():
        try:
            click.echo(f"{name:<32}  {store.trusted(name).fingerprint}")
        except KeyStoreError as fault:
            damaged.append(name)
            click.echo(f"{name:<32}  cannot be used: {fault.message}", err=True)
    if damaged:
        raise KeyStoreError(
            f"{len(damaged)} of the trusted files cannot be used: {', '.join(damaged)}",
            hint=f"get each file again from its owner, then  tacit trust {damaged[0]}.pub --replace",
        )
    if not store.names():
        click.echo("nobody is trusted yet; get NAME.pub from a party, then  tacit trust NAME.pub", err=True)


def _compare(public: PublicIdentity, typed: str) -> None:
    """KeyStoreError unless `typed` is the whole fingerprint; case, blanks and hyphens do not count."""

    def bare(text: str) -> str:
        return "".join(text.split()).replace("-", "").lower()

    # The whole of it: a key whose first letters match can be searched for.
    if bare(typed) != bare(public.fingerprint):
        raise KeyStoreError(
            f"the fingerprint of {public.name} differs: expected {typed.strip()[:60]!a}, got {public.fingerprint}",
            hint=f"do not use this file; ask {public.name} for it, and for the whole fingerprint, again",
        )


def _ask_to_compare(public: PublicIdentity) -> None:
    try:
        same = click.confirm(f"Is this the fingerprint that {public.name} told you, by another way than this file?")
    except click.Abort:
        raise KeyStoreError(
            f"{public.name} is not trusted: nobody answered",
            hint="run it at a terminal, or give the compared value with --fingerprint",
        ) from None
    if not same:
        raise KeyStoreError(
            f"{public.name} is not trusted: the fingerprint was not confirmed",
            hint=f"ask {public.name} for the file again, and compare by telephone or in person",
        )
