"""Parties for the network's tests: real processes over socketpairs, and identities for TLS."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from time import monotonic
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tacit.crypto.certificate import make_certificate
from tacit.crypto.primitives import digest
from tacit.errors import TacitError
from tacit.net.channel import Channel, SocketChannel, keep_only, socket_pairs
from tacit.net.mesh import Mesh
from tacit.net.simulated import Relay
from tacit.net.tcp import Endpoint, TransportIdentity
from tacit.session.meeting import meet

NAMES = ("alice", "bob", "crypto-producer")
PATIENCE_S = 20.0  # no test needs it; a hang becomes a failure

Body = Callable[[Mesh, Callable[[str], None]], Any]


class Crew:
    """One process per party, over socketpairs or, with `site`, over TLS.

    A body gets its mesh and `tell`, which reports to the test; an error becomes a report.
    """

    def __init__(self) -> None:
        self.pids: dict[int, int] = {}
        self._pipes: dict[int, int] = {}
        self._inbox: dict[int, bytes] = {}

    def start(
        self,
        bodies: Sequence[Body],
        *,
        deadline_s: float = 10.0,
        ends: list[dict[int, socket.socket]] | None = None,
        relay: Relay | None = None,
        site: Site | None = None,
        transport: str = "tls",
    ) -> Crew:
        ends = socket_pairs(len(bodies)) if ends is None else ends
        for place, body in enumerate(bodies):

            def run(tell: Callable[[Any], None], body: Body = body, place: int = place) -> None:
                if relay is not None:
                    relay.close()
                _live(body, place, ends, deadline_s, tell, site, transport)

            self._fork(place, run)
        if relay is not None:
            self._fork(len(bodies), lambda tell: relay())
            relay.close()
        keep_only(ends, None)
        return self

    def _fork(self, key: int, run: Callable[[Callable[[Any], None]], None]) -> None:
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                os.close(reading)
                run(lambda report: _write(writing, report))
                code = 0
            finally:
                os._exit(code)
        os.close(writing)
        self.pids[key], self._pipes[key], self._inbox[key] = pid, reading, b""

    def hear(self, place: int, within_s: float = PATIENCE_S) -> Any:
        """The next report of a party."""
        end_s = monotonic() + within_s
        while b"\n" not in self._inbox[place]:
            ready, _, _ = select.select([self._pipes[place]], [], [], max(0.0, end_s - monotonic()))
            assert ready, f"party {place} said nothing within {within_s} s"
            piece = os.read(self._pipes[place], 65536)
            assert piece, f"party {place} ended without a report"
            self._inbox[place] += piece
        line, self._inbox[place] = self._inbox[place].split(b"\n", 1)
        return json.loads(line)

    def signal(self, place: int, number: signal.Signals) -> None:
        os.kill(self.pids[place], number)

    def exit_code(self, place: int) -> int:
        _, status = os.waitpid(self.pids.pop(place), 0)
        return os.waitstatus_to_exitcode(status)

    def dismiss(self) -> None:
        for pid in self.pids.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        for pipe in self._pipes.values():
            os.close(pipe)
        self.pids.clear(), self._pipes.clear()


def _write(fd: int, report: Any) -> None:
    os.write(fd, json.dumps(report).encode() + b"\n")


def _live(body: Body, place: int, ends: Any, deadline_s: float, tell: Any, site: Site | None, transport: str) -> None:
    if site is None:
        channels: dict[int, Channel] = {peer: SocketChannel(sock) for peer, sock in keep_only(ends, place).items()}
        mesh = Mesh(place, NAMES[: len(ends)], channels, deadline_s=deadline_s)
    else:
        keep_only(ends, None)
        identity = site.identities[place]
        mesh = meet(
            place, site.endpoints, identity, transport=transport, connect_s=deadline_s, receive_s=deadline_s
        )
    start_s = monotonic()
    try:
        if transport == "frames":  # the secrets that the handshake would have agreed
            pairs = {peer: bytes(sorted((place, peer))) for peer in range(len(ends)) if peer != place}
            mesh.open_bulk({peer: digest(pair) for peer, pair in pairs.items()}, patience_s=PATIENCE_S)
        result = body(mesh, tell)
    except TacitError as fault:
        waited_s = monotonic() - start_s
        mesh.abort(fault.message)
        tell({"error": type(fault).__name__, "text": str(fault), "culprit": mesh.culprit, "after_s": waited_s})
    except BaseException as fault:
        tell({"error": type(fault).__name__, "text": repr(fault)})
    else:
        tell({"result": result})
        mesh.close()


@pytest.fixture
def crew() -> Iterator[Crew]:
    crew = Crew()
    yield crew
    crew.dismiss()


class Site:
    """A party list with keys, as three key stores would hold them."""

    def __init__(self, parties: int) -> None:
        self.names = NAMES[:parties]
        self.identities = [new_identity(name) for name in self.names]
        self.endpoints = [
            Endpoint(name, "127.0.0.1", free_port(), identity.certificate_der)
            for name, identity in zip(self.names, self.identities, strict=True)
        ]


def new_identity(name: str) -> TransportIdentity:
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return TransportIdentity(make_certificate(name, key), pem)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def site() -> Site:
    return Site(3)


@pytest.fixture
def pair() -> Site:
    return Site(2)


@pytest.fixture
def stranger_identity() -> TransportIdentity:
    return new_identity("mallory")


@pytest.fixture
def meshes() -> Iterator[Callable[..., list[Mesh]]]:
    """Meshes of one process: enough where no call has to wait for another party's call."""
    made: list[Mesh] = []

    def make(parties: int = 2, deadline_s: float = 5.0) -> list[Mesh]:
        for place, owned in enumerate(socket_pairs(parties)):
            channels = {peer: SocketChannel(sock) for peer, sock in owned.items()}
            made.append(Mesh(place, NAMES[:parties], channels, deadline_s=deadline_s))
        return made

    yield make
    for mesh in made:
        mesh.abort("the test is over")


@pytest.fixture
def raw() -> Iterator[Callable[..., tuple[Mesh, list[socket.socket]]]]:
    """A mesh at place 0 and the bare sockets of its peers, to say things that no mesh would say."""
    opened: list[socket.socket] = []
    made: list[Mesh] = []

    def make(parties: int = 2, deadline_s: float = 5.0) -> tuple[Mesh, list[socket.socket]]:
        ends = socket_pairs(parties)
        channels = {peer: SocketChannel(sock) for peer, sock in ends[0].items()}
        for owned in ends[1:]:
            opened.extend(owned.values())
        made.append(Mesh(0, NAMES[:parties], channels, deadline_s=deadline_s))
        return made[-1], [owned[0] for owned in ends[1:]]

    yield make
    for mesh in made:
        mesh.abort("the test is over")
    for sock in opened:
        sock.close()
