"""The job file: what one party brings to a run, what it agrees to, and where the others are. Spec: docs/spec/job.md.

For: turning the text of job.toml, or the flat map of addresses, into one checked and frozen value. Not for: looking at
data files, sockets or keys, or for deciding which protocols exist; the text goes in, a Job or a JobError comes out.
Fail closed: a key that is not in the tables below stops the run, because a misspelt consent must not look like none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from tacit.crypto.party_names import check_party_name
from tacit.crypto.primitives import digest
from tacit.crypto.strict_json import canonical, parse_object
from tacit.errors import JobError
from tacit.session.job_keys import DEADLINES, INPUT, PARTY, REVEAL, TOP, Address
from tacit.session.job_reader import FILE_BYTES_MAX, Reader, bare, nearest, read_text, refuse
from tacit.session.truncation import DITHERED

__all__ = ["Address", "Deadlines", "Input", "Job", "Party", "Reveal", "parse_address_map"]

EVERYONE = "all"  # the receiver of a reveal that every party sees


@dataclass(frozen=True)
class Deadlines:
    """How long this party waits; each party has its own patience."""

    connect_s: float = 30.0
    receive_s: float = 30.0


@dataclass(frozen=True)
class Input:
    """One data file of one party. None means: the job does not say, the reader of the file decides."""

    name: str
    path: Path
    header: bool | None = None
    id: str | int | Literal[False] | None = None  # column name, position, or False for "there is none" (ask with `is`)
    label: str | int | None = None  # column name, "first", "last", or position
    columns: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Party:
    """One participant. Its place is its position in Job.parties."""

    name: str
    address: Address | None = None
    inputs: Mapping[str, Input] = field(default_factory=dict)


@dataclass(frozen=True)
class Reveal:
    """A value that the holder of this file allows to be opened, and to whom."""

    name: str
    to: str
    times: int | None = None


@dataclass(frozen=True)
class Job:
    """A checked job. Every method that changes something gives back a new, checked Job."""

    parties: tuple[Party, ...] = ()
    name: str | None = None
    protocol: str = "masked"
    frac_bits: int = 16
    truncation: str = DITHERED
    ring_bits: int = 64
    transport: str = "tls"
    model_to: str | None = None
    model_out: Path | None = None
    seed: int | None = None
    deadlines: Deadlines = Deadlines()
    reveals: tuple[Reveal, ...] = ()
    folder: Path = Path()
    source: str = "job"
    version: int = 1

    # ---- making one ---------------------------------------------------------------------------------------------

    @classmethod
    def load(cls, path: Path | str) -> Job:
        """The job at `path`: TOML, or the flat map of addresses when the name ends in .json."""
        path = Path(path)
        text = read_text(path)
        if path.suffix.lower() == ".json":
            return cls._of_addresses(parse_address_map(text, source=str(path)), path.absolute().parent, str(path))
        return cls.parse(text, folder=path.absolute().parent, source=str(path))

    @classmethod
    def parse(cls, text: str, folder: Path | str = ".", source: str = "job.toml") -> Job:
        """The job that `text` describes; relative paths in it are taken from `folder`."""
        reader = Reader(source)
        folder = Path(folder).absolute()
        top = reader.table(reader.toml(text), "", TOP)
        parties = tuple(_party(reader, folder, name, value) for name, value in top.pop("parties").items())
        reveals = tuple(
            Reveal(**reader.table(value, f"reveals[{number}]", REVEAL))
            for number, value in enumerate(top.pop("reveals"))
        )
        deadlines = Deadlines(**reader.table(top.pop("deadlines"), "deadlines", DEADLINES))
        out = top.pop("model_out")
        return cls(
            parties=parties,
            reveals=reveals,
            deadlines=deadlines,
            folder=folder,
            source=source,
            model_out=None if out is None else folder / out,
            **top,
        )._settled()

    @classmethod
    def from_address_map(cls, where: Path | str) -> Job:
        """A job of defaults from the flat map {"alice": "host:port", ...}: a Path to read, or the text itself."""
        if isinstance(where, Path):
            folder, source, text = where.absolute().parent, str(where), read_text(where)
        else:
            folder, source, text = Path().absolute(), "address map", where
        return cls._of_addresses(parse_address_map(text, source=source), folder, source)

    @classmethod
    def _of_addresses(cls, addresses: Mapping[str, Address], folder: Path, source: str) -> Job:
        parties = tuple(Party(name, address) for name, address in addresses.items())
        return cls(parties=parties, folder=folder, source=source)._settled()

    # ---- changing one -------------------------------------------------------------------------------------------

    def with_addresses(self, addresses: Mapping[str, Address]) -> Job:
        """This job with the addresses of a flat map. The places stay those of the job; without parties, the map's."""
        if not self.parties:
            return replace(self, parties=tuple(Party(n, a) for n, a in addresses.items()))._settled()
        self._same_names(addresses, "the address map")
        return replace(self, parties=tuple(replace(p, address=addresses[p.name]) for p in self.parties))

    def only_parties(self, names: Sequence[str]) -> Job:
        """This job for a run on one machine: no addresses; places by the job, or by `names` if the job lists none."""
        for name in names:
            check_party_name(name, JobError, where="--parties: ")
        if len(set(names)) != len(names):
            refuse(self.source, f"--parties names a party twice: {', '.join(names)}", "name each party once")
        if not self.parties:
            return replace(self, parties=tuple(Party(name) for name in names))._settled()
        self._same_names(names, "--parties")
        return replace(self, parties=tuple(replace(p, address=None) for p in self.parties))

    def with_input(self, party: str, path: Path | str, name: str = "input") -> Job:
        """This job with one more data file of `party`: what `--input FILE` beside a flat map means."""
        holder = self.party(party)
        inputs = {**holder.inputs, name: Input(name=name, path=Path(path).absolute())}
        return replace(self, parties=tuple(replace(p, inputs=inputs) if p is holder else p for p in self.parties))

    # ---- asking one ---------------------------------------------------------------------------------------------

    @property
    def names(self) -> tuple[str, ...]:
        """The parties' names by place."""
        return tuple(party.name for party in self.parties)

    def party(self, name: str) -> Party:
        """The party called `name`; JobError with the nearest name otherwise."""
        for party in self.parties:
            if party.name == name:
                return party
        refuse(
            self.source,
            f"{name!a} is no party of this job: {', '.join(self.names) or 'it lists none'}",
            nearest(name, self.names) or "use one of these names, or add the party to the job",
        )

    def place(self, name: str) -> int:
        """The place of the party called `name`."""
        return self.parties.index(self.party(name))

    def addresses(self) -> dict[str, Address]:
        """The address of every party, in order of places; JobError if one is missing."""
        missing = [party.name for party in self.parties if party.address is None]
        if missing:
            refuse(
                self.source,
                f"no address for {', '.join(missing)}",
                f'add  address = "host:port"  to [parties.{missing[0]}], or use --parties',
            )
        return {party.name: party.address for party in self.parties if party.address is not None}

    def allows(self, name: str, receiver: str) -> Reveal | None:
        """The consent that covers revealing `name` to `receiver` (a party or "all"), or None.

        Consent to "all" covers each single party, who would have seen the value anyway; never the other way round.
        """
        for to in dict.fromkeys((receiver, EVERYONE)):
            for reveal in self.reveals:
                if (reveal.name, reveal.to) == (name, to):
                    return reveal
        return None

    def common(self) -> dict[str, object]:
        """What all parties must agree on. Own inputs, consent, deadlines and addresses are not in it."""
        numbers = ("ring_bits", "frac_bits", "truncation")
        agreed = ("version", "name", "protocol", *numbers, "transport", "model_to", "seed")
        return {**{key: getattr(self, key) for key in agreed}, "parties": list(self.names)}

    def common_digest(self) -> bytes:
        """32 bytes that are equal at two parties exactly if common() is."""
        return digest(b"tacit job", canonical(self.common()))

    # ---- checks that need the whole -----------------------------------------------------------------------------

    def _same_names(self, names: Iterable[str], what: str) -> None:
        got = tuple(names)
        if set(got) != set(self.names):
            refuse(
                self.source,
                f"{what} and the job differ: expected {', '.join(self.names)}, got {', '.join(got)}",
                "name the same parties in both",
            )

    def _settled(self) -> Job:
        """This job with defaults that depend on the list of parties, once that list is known."""
        seen: set[tuple[str, str]] = set()
        for number, reveal in enumerate(self.reveals):
            if (reveal.name, reveal.to) in seen:
                refuse(
                    self.source,
                    f"reveals[{number}]: {reveal.name!r} to {reveal.to!r} is listed twice",
                    "keep one of the two",
                )
            seen.add((reveal.name, reveal.to))
        if not self.parties:
            return self
        for number, reveal in enumerate(self.reveals):
            if reveal.to != EVERYONE:
                self._must_be_party(reveal.to, f"reveals[{number}].to")
        if self.model_to is not None:
            self._must_be_party(self.model_to, "model_to")
        known = [party for party in self.parties if party.address is not None]
        for first, second in ((a, b) for i, a in enumerate(known) for b in known[i + 1 :] if a.address == b.address):
            refuse(
                self.source,
                f"{first.name} and {second.name} have the same address {first.address}",
                "give each party its own host or port",
            )
        default = "alice" if "alice" in self.names else None
        return self if self.model_to is not None else replace(self, model_to=default)

    def _must_be_party(self, name: str, where: str) -> None:
        if name not in self.names:
            refuse(
                self.source,
                f"{where}: expected a party of this job ({', '.join(self.names)}), got {name!a}",
                nearest(name, self.names) or "use one of these names",
            )


def parse_address_map(text: str, source: str = "address map") -> dict[str, Address]:
    """The flat map of addresses as strict JSON; its order is the order of places when no job file gives another."""
    try:
        pairs = parse_object(text, bytes_max=FILE_BYTES_MAX)
    except ValueError as fault:
        refuse(source, str(fault), 'write one JSON object: {"alice": "host:port", "bob": "host:port"}')
    if not pairs:
        refuse(source, "expected at least one party, got none", 'write {"alice": "host:port", ...}')
    reader = Reader(source)
    return {
        check_party_name(name, JobError, where=f"{source}: "): reader.value(name, PARTY["address"], value)
        for name, value in pairs.items()
    }


def _party(reader: Reader, folder: Path, name: str, found: object) -> Party:
    check_party_name(name, JobError, where=f"{reader.source}: parties: ")
    values = reader.table(found, f"parties.{name}", PARTY)
    inputs = {key: _input(reader, folder, name, key, value) for key, value in values["inputs"].items()}
    return Party(name=name, address=values["address"], inputs=inputs)


def _input(reader: Reader, folder: Path, party: str, name: str, found: object) -> Input:
    path = f"parties.{party}.inputs.{bare(name)}"
    if not (0 < len(name) <= 64 and name.isprintable()):
        refuse(reader.source, f"{path}: expected a name of 1 to 64 printable characters", "choose a shorter name")
    values = reader.table(found, path, INPUT)
    return Input(name=name, **{**values, "path": folder / values["path"]})
