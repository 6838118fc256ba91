"""Before the first share: all parties find out that they are about to run the same thing, and agree keys and a session.

    state      event             check                                          next
    start      we speak          -                                              greeted    (HELLO to every peer)
    greeted    HELLO of a peer   each field equals ours; the first that differs
                                 is named, with both sides                      greeted, until all came; then confirming
    confirming CONFIRM of a peer its session id equals ours                     confirming, until all came; then agreed

Every HELLO carries 32 public bytes and, inside this pair's own connection, 32 secret ones. The session id is a digest
of everything public that anyone said, so CONFIRM also shows that no party told two peers different things. The public
seed comes from the session id unless the job fixes it; the keys of a pair come from both secret halves, the id, and the
two places: a party in the middle that repeats to one what the other said must not make two pairs agree on one key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version

from tacit.crypto.primitives import derive, digest, random_bytes
from tacit.crypto.strict_json import canonical, parse_object
from tacit.errors import PeerGarbage, PeerMismatch
from tacit.net.frames import NOT_TACIT, Kind
from tacit.net.mesh import Mesh

WIRE_VERSION = 1
HELLO_BYTES_MAX = 64 * 1024
FAREWELL_S = 1.0  # what a peer may need beyond its deadline to say that it gives up
FILES_NAMED_MAX = 128

#: Fields that must be equal, in the order of comparison, with what to do where they are not.
_SAME = {
    "tacit": "install the same version of tacit everywhere",
    "torch": "install the same version of torch everywhere: shuffles and initial weights must agree",
    "parties": "list the same parties in the same order in every job file",
    "job": "compare the common part of the job files (docs/spec/job.md)",
    "program": "copy the same program to every party; `tacit run --show` prints its digest",
}
_WORDS = {"parties": "list of parties"}
_KEYS = {"wire", *_SAME, "public", "secret"}


@dataclass(frozen=True)
class Terms:
    """What this party is about to run. `job` and `program` are small maps, so that a difference can be named."""

    parties: tuple[str, ...]
    job: Mapping[str, object] = field(default_factory=dict)
    program: Mapping[str, str] = field(default_factory=dict)
    seed: int | None = None

    def public(self) -> dict[str, object]:
        """The fields that must be equal everywhere."""
        return {
            "tacit": version("tacit"),
            "torch": version("torch").split("+")[0],
            "parties": list(self.parties),
            "job": dict(self.job),
            "program": self._named_files(),
        }


    def _named_files(self) -> dict[str, str]:
        # One digest for each file names the file that differs; a program of very many files must still fit a greeting.
        if len(self.program) <= FILES_NAMED_MAX:
            return dict(self.program)
        whole = digest(*(f"{name}\0{value}".encode() for name, value in sorted(self.program.items())))
        return {f"all {len(self.program)} files": whole.hex()}


@dataclass(frozen=True)
class Agreement:
    """What the parties agreed: the session id, keys for each peer, and a seed for public randomness.

    `pair_keys` make streams of random words all run long; `bulk_secrets` open second connections and are then
    forgotten. Neither can be computed from the other.
    """

    session_id: bytes = field(repr=False)
    pair_keys: Mapping[int, bytes] = field(repr=False)
    bulk_secrets: Mapping[int, bytes] = field(repr=False)
    public_seed: int


class Handshake:
    """The table above, without sockets: bytes go in, bytes or an error come out."""

    def __init__(self, place: int, terms: Terms) -> None:
        self._place = place
        self._terms = terms
        self._said = terms.public()
        self._public = {place: random_bytes(32)}
        self._own_secrets = {peer: random_bytes(32) for peer in range(len(terms.parties)) if peer != place}
        self._peer_secrets: dict[int, bytes] = {}

    def hello(self, peer: int) -> bytes:
        """Our HELLO for one peer; the secret half is for this pair alone."""
        return canonical({
            "wire": WIRE_VERSION,
            **self._said,
            "public": self._public[self._place].hex(),
            "secret": self._own_secrets[peer].hex(),
        })

    def heard_hello(self, peer: int, payload: bytes) -> None:
        """Check a peer's HELLO. Raises PeerMismatch naming the field and both sides, or PeerGarbage."""
        name = self._terms.parties[peer]
        try:
            said = parse_object(payload, bytes_max=HELLO_BYTES_MAX)
        except ValueError as error:
            raise PeerGarbage(f"{name} sent a greeting that cannot be read: {error}", hint=NOT_TACIT) from None
        wire = said.get("wire")
        if type(wire) is not int or wire != WIRE_VERSION:
            raise PeerMismatch(
                f"{name} speaks version {_short(wire)} of the protocol, we speak {WIRE_VERSION}",
                hint=_SAME["tacit"],
            )
        if set(said) != _KEYS:
            raise PeerGarbage(f"{name} sent a greeting with other fields than this version has", hint=_SAME["tacit"])
        for key, what_to_do in _SAME.items():
            if not _flat(said[key]) or type(said[key]) is not type(self._said[key]):
                raise PeerGarbage(f"{name} sent a greeting in which {key} has another form", hint=_SAME["tacit"])
            # As texts: for Python True is 1, and a peer that says one for the other has not said the same.
            if canonical(said[key]) != canonical(self._said[key]):
                mine, theirs = _first_difference(self._said[key], said[key])
                raise PeerMismatch(
                    f"{_WORDS.get(key, key)} differs: {self._terms.parties[self._place]} has {mine}, "
                    f"{name} has {theirs}",
                    hint=what_to_do,
                )
        self._public[peer] = _key_bytes(name, said["public"])
        self._peer_secrets[peer] = _key_bytes(name, said["secret"])

    def confirm(self) -> bytes:
        """Our CONFIRM, once every HELLO was heard."""
        return self._session_id()

    def heard_confirm(self, peer: int, payload: bytes) -> None:
        """A peer's CONFIRM must be ours: then nobody heard two different greetings of one party."""
        if payload != self._session_id():
            raise PeerMismatch(
                f"{self._terms.parties[peer]} heard other greetings than we did",
                hint="one party told two others different things, or two runs were mixed up; start again",
            )

    def agreement(self) -> Agreement:
        """The result, once every CONFIRM was heard. The secret halves are used up: a second call is an error."""
        session_id = self._session_id()
        keys, bulk_secrets = {}, {}
        for peer, theirs in self._peer_secrets.items():
            ours = self._own_secrets.pop(peer)
            first, second = (ours, theirs) if self._place < peer else (theirs, ours)
            context = session_id + bytes(sorted((self._place, peer)))
            keys[peer] = derive(first + second, label="pair key", context=context)
            bulk_secrets[peer] = derive(first + second, label="bulk frames", context=context)
        self._peer_secrets.clear()
        seed = self._terms.seed
        if seed is None:
            seed = int.from_bytes(derive(session_id, label="public seed", length=8), "little") >> 1
        return Agreement(session_id, keys, bulk_secrets, seed)

    def _session_id(self) -> bytes:
        return digest(
            b"tacit session", canonical(self._said), *(self._public[place] for place in sorted(self._public))
        )


def greet(place: int, terms: Terms, mesh: Mesh, *, meet_s: float = 0.0) -> Agreement:
    """Run the handshake over the links of a mesh.

    `meet_s` is how long parties have to meet. A peer that has met us may still wait for another one, and cannot greet
    before it has met all or given up; then it says who is missing, and we want to hear that.
    """
    shaking = Handshake(place, terms)
    patience_s = meet_s + FAREWELL_S if meet_s else 0.0
    peers = [peer for peer in range(len(terms.parties)) if peer != place]
    for peer in peers:
        mesh.send_control(peer, Kind.HELLO, shaking.hello(peer))
    for peer in peers:
        shaking.heard_hello(peer, mesh.receive_control(peer, Kind.HELLO, patience_s=patience_s))
    for peer in peers:
        mesh.send_control(peer, Kind.CONFIRM, shaking.confirm())
    for peer in peers:
        shaking.heard_confirm(peer, mesh.receive_control(peer, Kind.CONFIRM))
    return shaking.agreement()


def _key_bytes(name: str, value: object) -> bytes:
    try:
        key = bytes.fromhex(value) if isinstance(value, str) else b""
    except ValueError:
        key = b""
    if len(key) != 32:
        raise PeerGarbage(f"{name} sent a greeting with a malformed key", hint=NOT_TACIT)
    return key


def _flat(value: object) -> bool:
    """Whether this is a word, or a list or map of words: all that a greeting of this version holds."""
    entries = [*value.values()] if isinstance(value, dict) else value if isinstance(value, list) else [value]
    return all(entry is None or isinstance(entry, str | int) for entry in entries)


def _first_difference(mine: object, theirs: object) -> tuple[str, str]:
    """The two sides, cut down to the first entry in which they differ."""
    if isinstance(mine, dict) and isinstance(theirs, dict):
        for key in sorted({*mine, *theirs}):
            if canonical(mine.get(key)) != canonical(theirs.get(key)):
                named = _short(key)
                return f"{named} = {_short(mine.get(key))}", f"{named} = {_short(theirs.get(key))}"
    return _short(mine), _short(theirs)


def _short(value: object) -> str:
    """A peer's words, made safe for the screen and short; digests need only their first digits."""
    if value is None:
        return "nothing"
    text = ", ".join(map(str, value)) if isinstance(value, Sequence) and not isinstance(value, str) else str(value)
    text = text[:12] if len(text) == 64 else text
    return repr(text[:80])[1:-1]
