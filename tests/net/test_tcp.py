"""Meeting over TLS: who is let in, who is turned away, and what each side is told."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import socket
import ssl
import struct
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING

import pytest

from tacit.errors import (
    KeyStoreError,
    PeerAbsent,
    PeerGarbage,
    PeerLost,
    PeerStopped,
    PeerUntrusted,
    PortBusy,
    TacitError,
    Trouble,
)
from tacit.net import tls
from tacit.net.channel import NO_ROOM_REST_S, Channel
from tacit.net.door import Door
from tacit.net.frames import Kind, encode_abort, encode_header
from tacit.net.mesh import Mesh
from tacit.net.tcp import Endpoint, TransportIdentity, connect_all

if TYPE_CHECKING:
    from conftest import Crew, Site

PATIENCE_S = 20.0
Met = dict[int, Channel]


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


class Gathering:
    """connect_all of several parties at once, and what became of each."""

    def __init__(self, pool: ThreadPoolExecutor, site: Site) -> None:
        self.pool, self.site = pool, site
        self.said: dict[int, list[str]] = {}
        self.futures: dict[int, Future[Met]] = {}

    def come(
        self,
        place: int,
        *,
        deadline_s: float = 10.0,
        identity: TransportIdentity | None = None,
        endpoints: Sequence[Endpoint] | None = None,
    ) -> None:
        self.said[place] = []
        self.futures[place] = self.pool.submit(
            connect_all,
            place,
            endpoints or self.site.endpoints,
            identity or self.site.identities[place],
            deadline_s=deadline_s,
            progress=self.said[place].append,
        )

    def met(self, place: int) -> Met:
        return self.futures[place].result(PATIENCE_S)

    def failed(self, place: int) -> TacitError:
        fault = self.futures[place].exception(PATIENCE_S)
        assert isinstance(fault, TacitError), fault
        assert fault.hint
        return fault

    def meshes(self) -> list[Mesh]:
        return [Mesh(place, self.site.names, self.met(place), deadline_s=5.0) for place in sorted(self.futures)]


@pytest.fixture
def gather(pool: ThreadPoolExecutor) -> Iterator[Callable[[Site], Gathering]]:
    made: list[Gathering] = []

    def make(site: Site) -> Gathering:
        made.append(Gathering(pool, site))
        return made[-1]

    yield make
    for gathering in made:
        for future in gathering.futures.values():
            with contextlib.suppress(TacitError):
                for channel in future.result(PATIENCE_S).values():
                    channel.close()


Gather = Callable[["Site"], Gathering]


def knock(endpoint: Endpoint) -> socket.socket:
    """A connection to a party's port, as soon as it listens."""
    end_s = monotonic() + PATIENCE_S
    while monotonic() < end_s:
        sock = socket.socket()
        if sock.connect_ex((endpoint.host, endpoint.port)) == 0:
            sock.settimeout(PATIENCE_S)
            return sock
        sock.close()
    raise AssertionError(f"nobody listens at {endpoint.address}")


def pretend(place: int, identity: TransportIdentity, endpoint: Endpoint, version: ssl.TLSVersion) -> ssl.SSLSocket:
    """A TLS client with any key under any name."""
    context = tls.client_context(identity, endpoint)
    if version is not ssl.TLSVersion.TLSv1_3:
        context.minimum_version = version
        context.maximum_version = version
    return context.wrap_socket(knock(endpoint), server_hostname=tls.sni_of(place))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_three_parties_meet_in_any_order_and_exchange(gather: Gather, site: Site, order: tuple[int, ...]) -> None:
    gathering = gather(site)
    for place in order:
        gathering.come(place)
    meshes = gathering.meshes()
    for mesh in meshes:
        for peer in range(3):
            if peer != mesh.me:
                mesh.post(peer, 0, "mm", bytes([mesh.me, peer]) * 5)
    for mesh in meshes:
        into = {peer: bytearray(10) for peer in range(3) if peer != mesh.me}
        mesh.collect(0, "mm", into)
        assert all(into[peer] == bytes([peer, mesh.me]) * 5 for peer in into)
    assert all(sum("is connected" in line for line in said) == 2 for said in gathering.said.values())


def test_large_frames_cross_both_ways_over_tls(gather: Gather, pair: Site, pool: ThreadPoolExecutor) -> None:
    gathering = gather(pair)
    gathering.come(0)
    gathering.come(1)
    alice, bob = gathering.meshes()
    payloads = [os.urandom(9 << 20), os.urandom(9 << 20)]
    rooms = [bytearray(9 << 20), bytearray(9 << 20)]
    done = pool.submit(bob.exchange, 0, "big", {0: payloads[1]}, {0: rooms[1]})
    alice.exchange(0, "big", {1: payloads[0]}, {1: rooms[0]})
    done.result(PATIENCE_S)
    assert rooms == [payloads[1], payloads[0]]
    sent, got = alice.statistics()[1], bob.statistics()[0]
    assert sent.socket_bytes_sent == got.socket_bytes_received > sent.payload_bytes_sent


def test_frames_that_arrive_together_are_not_forgotten_inside_tls(gather: Gather, pair: Site) -> None:
    gathering = gather(pair)
    gathering.come(0)
    gathering.come(1)
    alice, bob = gathering.meshes()
    alice.send_control(1, Kind.HELLO, b"x" * 40_000)
    alice.post(1, 0, "mm", b"data")
    assert bob.receive_control(0, Kind.HELLO) == b"x" * 40_000
    alice.close()
    room = bytearray(4)
    bob.collect(0, "mm", {0: room})
    assert room == b"data"
    with pytest.raises(PeerLost, match="finished"):
        bob.collect(1, "mm", {0: room})


def test_a_wrong_key_of_the_caller_is_named_on_both_sides(
    gather: Gather, pair: Site, stranger_identity: TransportIdentity
) -> None:
    gathering = gather(pair)
    gathering.come(0, deadline_s=0.3)
    gathering.come(1, identity=stranger_identity)
    at_bob, at_alice = gathering.failed(1), gathering.failed(0)
    assert isinstance(at_bob, PeerUntrusted)
    assert 'party 0 ("alice") refused our key' in at_bob.message
    assert isinstance(at_alice, PeerUntrusted)
    assert "someone claiming to be bob showed a key that is not the one you trust for bob" in at_alice.message
    assert any("claiming to be bob" in line for line in gathering.said[0])


def test_a_wrong_key_of_the_listener_is_named_on_both_sides(
    gather: Gather, pair: Site, stranger_identity: TransportIdentity
) -> None:
    gathering = gather(pair)
    gathering.come(0, identity=stranger_identity, deadline_s=0.3)
    gathering.come(1)
    at_bob, at_alice = gathering.failed(1), gathering.failed(0)
    assert isinstance(at_bob, PeerUntrusted)
    assert 'as party 0 ("alice") showed a key that is not the one you trust for alice' in at_bob.message
    assert isinstance(at_alice, PeerUntrusted)
    assert "someone claiming to be bob refused our key" in at_alice.message


def test_a_trusted_key_under_another_name_is_refused(gather: Gather, site: Site) -> None:
    """The producer's key is among the anchors that alice loaded; it still does not make its owner bob."""
    gathering = gather(site)
    gathering.come(0, deadline_s=0.3)
    gathering.come(1, identity=site.identities[2])
    assert isinstance(gathering.failed(1), PeerUntrusted)
    at_alice = gathering.failed(0)
    assert isinstance(at_alice, PeerUntrusted)
    assert "claiming to be bob" in at_alice.message


def test_a_wrong_key_under_a_partys_name_does_not_end_the_wait_for_the_party(
    gather: Gather, pair: Site, stranger_identity: TransportIdentity
) -> None:
    gathering = gather(pair)
    gathering.come(0)
    gathering.come(1, identity=stranger_identity)
    assert isinstance(gathering.failed(1), PeerUntrusted)
    gathering.come(1)
    assert set(gathering.met(0)) == {1}


def test_strangers_neither_stop_nor_delay_the_meeting(
    gather: Gather, pair: Site, stranger_identity: TransportIdentity
) -> None:
    gathering = gather(pair)
    gathering.come(0)
    door = pair.endpoints[0]
    strangers = [knock(door) for _ in range(40)]  # more than are kept, all silent
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", os.urandom(200), b"\x16\x03\x01\x02\x00\x01", b""):
        stranger = knock(door)
        stranger.sendall(garbage)
        strangers.append(stranger)
    reset = knock(door)
    reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    reset.close()
    with pytest.raises(ssl.SSLError):  # a place that is nobody's
        pretend(7, stranger_identity, door, ssl.TLSVersion.TLSv1_3)
    gathering.come(1)
    assert set(gathering.met(0)) == {1}
    assert set(gathering.met(1)) == {0}
    for stranger in strangers:
        stranger.close()


def test_what_strangers_did_is_told_if_a_party_stays_away(gather: Gather, pair: Site) -> None:
    gathering = gather(pair)
    gathering.come(0, deadline_s=0.3)
    with knock(pair.endpoints[0]) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
        fault = gathering.failed(0)
    assert isinstance(fault, PeerAbsent)
    assert 'party 1 ("bob") did not connect' in fault.message
    assert "only strangers came: 1 no TLS 1.3 with us (http request)" in fault.message
    assert pair.endpoints[0].address in fault.message


def test_silent_strangers_are_kept_in_bounded_number(gather: Gather, pair: Site) -> None:
    gathering = gather(pair)
    gathering.come(0, deadline_s=0.6)
    strangers = [knock(pair.endpoints[0]) for _ in range(40)]
    assert "only strangers came: 8 crowded out" in gathering.failed(0).message
    for stranger in strangers:
        stranger.close()


def test_a_certificate_is_demanded_of_a_caller(gather: Gather, pair: Site) -> None:
    gathering = gather(pair)
    gathering.come(0, deadline_s=0.3)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with context.wrap_socket(knock(pair.endpoints[0]), server_hostname=tls.sni_of(1)) as bare:
        with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
            bare.recv(1)
        assert isinstance(gathering.failed(0), PeerAbsent)


def test_tls_1_2_is_refused(gather: Gather, pair: Site) -> None:
    gathering = gather(pair)
    gathering.come(0, deadline_s=0.3)
    with pytest.raises(ssl.SSLError, match=r"(?i)protocol.version|unsupported.protocol"):
        pretend(1, pair.identities[1], pair.endpoints[0], ssl.TLSVersion.TLSv1_2)
    assert isinstance(gathering.failed(0), PeerAbsent)


@pytest.mark.parametrize("greeting", [b"SSH-2.0-OpenSSH_9.6\r\n", b""])
def test_a_port_that_does_not_speak_tls_is_tried_until_the_deadline(
    gather: Gather, pair: Site, greeting: bytes, pool: ThreadPoolExecutor
) -> None:
    with socket.create_server(("127.0.0.1", pair.endpoints[0].port)) as server:
        server.settimeout(0.2)

        def serve() -> None:
            with contextlib.suppress(TimeoutError):
                while True:
                    sock, _ = server.accept()
                    sock.sendall(greeting)
                    sock.close()

        serving = pool.submit(serve)
        gathering = gather(pair)
        gathering.come(1, deadline_s=0.3)
        fault = gathering.failed(1)
        serving.result(PATIENCE_S)
    assert isinstance(fault, PeerAbsent)
    assert 'party 0 ("alice")' in fault.message
    assert f"we called it at {pair.endpoints[0].address}" in fault.message


def test_an_absent_listener_is_named_with_its_address_and_the_last_error(gather: Gather, site: Site) -> None:
    gathering = gather(site)
    gathering.come(2, deadline_s=0.4)
    fault = gathering.failed(2)
    assert isinstance(fault, PeerAbsent)
    assert 'party 0 ("alice") did not connect' in fault.message
    assert "connection refused" in fault.message
    assert "also absent: bob" in fault.message
    assert site.endpoints[0].address in (fault.hint or "")


def test_a_busy_port_is_named_with_what_to_do(pair: Site) -> None:
    endpoint = pair.endpoints[0]
    with socket.create_server((endpoint.host, endpoint.port)), pytest.raises(PortBusy) as caught:
        connect_all(0, pair.endpoints, pair.identities[0], deadline_s=5, progress=None)
    assert f"cannot listen on {endpoint.address}: another program uses it" in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host.invalid"])
def test_an_address_that_is_not_ours_is_named(pair: Site, host: str) -> None:
    endpoints = [replace(pair.endpoints[0], host=host), pair.endpoints[1]]
    with pytest.raises(PortBusy, match="cannot listen on"):
        connect_all(0, endpoints, pair.identities[0], deadline_s=5)


def test_a_second_connection_of_a_connected_party_is_refused(gather: Gather, site: Site) -> None:
    gathering = gather(site)
    gathering.come(0)
    first = pretend(1, site.identities[1], site.endpoints[0], ssl.TLSVersion.TLSv1_3)
    assert first.recv(1)[0] == Kind.WELCOME
    second = pretend(1, site.identities[1], site.endpoints[0], ssl.TLSVersion.TLSv1_3)
    answer = second.recv(4096)
    assert answer[0] == Kind.ABORT
    assert b"connected already" in answer
    gathering.come(2, deadline_s=0.2)
    assert isinstance(gathering.failed(2), PeerAbsent)  # nobody listens as bob, and alice keeps the first one
    second.close()
    first.close()


def test_a_party_that_is_started_anew_is_let_in_again(gather: Gather, site: Site) -> None:
    gathering = gather(site)
    gathering.come(0)
    first = pretend(1, site.identities[1], site.endpoints[0], ssl.TLSVersion.TLSv1_3)
    assert first.recv(1)[0] == Kind.WELCOME
    first.close()
    gathering.come(1)
    gathering.come(2)
    assert [len(gathering.met(place)) for place in range(3)] == [2, 2, 2]
    assert any("bob has gone again" in line for line in gathering.said[0])


def test_an_abort_that_comes_while_others_are_awaited_ends_the_wait(gather: Gather, site: Site) -> None:
    gathering = gather(site)
    gathering.come(0)
    bob = pretend(1, site.identities[1], site.endpoints[0], ssl.TLSVersion.TLSv1_3)
    assert bob.recv(1)[0] == Kind.WELCOME
    payload = encode_abort(None, "another program")
    bob.sendall(encode_header(Kind.ABORT, 0, "", len(payload)) + payload)
    bob.close()
    fault = gathering.failed(0)
    assert isinstance(fault, PeerStopped)
    assert 'party 1 ("bob") stopped: another program' in fault.message


def test_garbage_after_the_handshake_ends_the_run_with_the_partys_name(gather: Gather, pair: Site) -> None:
    gathering = gather(pair)
    gathering.come(0)
    bob = pretend(1, pair.identities[1], pair.endpoints[0], ssl.TLSVersion.TLSv1_3)
    mesh = Mesh(0, pair.names, gathering.met(0), deadline_s=5)
    with socket.socket(fileno=os.dup(bob.fileno())) as under:
        under.sendall(b"\x17\x03\x03\x00\x40" + os.urandom(64))  # a record, but not one of this connection
    with pytest.raises(PeerGarbage, match=r'party 1 \("bob"\)'):
        mesh.collect(0, "mm", {1: bytearray(8)})
    bob.close()


def test_a_frame_that_shares_a_record_with_the_one_before_is_found_inside_tls(gather: Gather, pair: Site) -> None:
    gathering = gather(pair)
    gathering.come(0)
    bob = pretend(1, pair.identities[1], pair.endpoints[0], ssl.TLSVersion.TLSv1_3)
    mesh = Mesh(0, pair.names, gathering.met(0), deadline_s=2)
    size = 33_000  # two full records and some of a third
    abort = encode_abort(None, "enough")
    frames = encode_header(Kind.DATA, 0, "mm", size) + bytes(size)
    bob.sendall(frames + encode_header(Kind.ABORT, 0, "", len(abort)) + abort)
    mesh.collect(0, "mm", {1: bytearray(size)})
    with pytest.raises(PeerStopped, match="enough"):
        mesh.collect(1, "mm", {1: bytearray(8)})
    bob.close()


def test_a_party_that_finishes_stays_until_the_other_machine_has_everything(
    gather: Gather, pair: Site, pool: ThreadPoolExecutor
) -> None:
    gathering = gather(pair)
    gathering.come(0)
    gathering.come(1)
    alice, bob = gathering.meshes()
    size = 2 << 20  # more than bob's kernel takes while bob does not read
    payload = os.urandom(size)

    def finish() -> None:
        alice.post(1, 0, "last", payload)
        alice.close()

    leaving = pool.submit(finish)
    with pytest.raises(TimeoutError):
        leaving.result(0.2)
    bob.send_control(0, Kind.HELLO, b"would reset a closed connection")
    room = bytearray(size)
    bob.collect(0, "last", {0: room})
    assert room == payload
    leaving.result(PATIENCE_S)


def test_a_cut_tls_connection_is_a_lost_party(gather: Gather, pair: Site) -> None:
    gathering = gather(pair)
    gathering.come(0)
    bob = pretend(1, pair.identities[1], pair.endpoints[0], ssl.TLSVersion.TLSv1_3)
    mesh = Mesh(0, pair.names, gathering.met(0), deadline_s=5)
    bob.close()
    with pytest.raises(PeerLost, match="bob"):
        mesh.collect(0, "mm", {1: bytearray(8)})


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_party_killed_or_stopped_in_the_middle_of_a_large_frame_is_named(
    crew: Crew, site: Site, number: signal.Signals
) -> None:
    size = 8 << 20

    def body(mesh: Mesh, tell: Callable[[object], None]) -> None:
        peers = [place for place in range(3) if place != mesh.me]
        for step in range(1000):
            mesh.exchange(step, "mm", {peer: bytes(size) for peer in peers}, {peer: bytearray(size) for peer in peers})
            if step == 0:
                tell("ready")

    crew.start([body] * 3, site=site, deadline_s=0.7)
    assert [crew.hear(place) for place in range(3)] == ["ready"] * 3
    crew.signal(1, number)
    for place in (0, 2):
        report = crew.hear(place, within_s=8.0)
        assert report["culprit"] == 1, report
        assert 'party 1 ("bob")' in report["text"], report


def test_a_worn_out_key_is_refused(gather: Gather, pair: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    gathering = gather(pair)
    gathering.come(0)
    gathering.come(1)
    alice, _ = gathering.meshes()
    monkeypatch.setattr(tls, "VOLUME_BYTES_MAX", 1000)
    alice.post(1, 0, "mm", b"x" * 900)
    with pytest.raises(Trouble, match="one TLS key"):
        alice.post(1, 1, "mm", b"x" * 100)


def test_a_key_that_is_not_the_certificates_is_our_own_mistake(pair: Site) -> None:
    mixed = TransportIdentity(pair.identities[0].certificate_der, pair.identities[1].private_key_pem)
    with pytest.raises(KeyStoreError, match="do not belong together"):
        connect_all(0, pair.endpoints, mixed, deadline_s=1)
    damaged = [pair.endpoints[0], replace(pair.endpoints[1], certificate_der=b"0\x82")]
    with pytest.raises(KeyStoreError, match='certificate of "bob"'):
        connect_all(0, damaged, pair.identities[0], deadline_s=1)


def test_keys_are_absent_from_representations_and_no_file_holds_one(pair: Site) -> None:
    assert "PRIVATE" not in repr(pair.identities[0])
    before = set(os.listdir("/proc/self/fd"))
    with tls._file_of(b"secret") as path, open(path, "rb") as file:
        assert file.read() == b"secret"
    assert not os.path.exists(path)
    assert set(os.listdir("/proc/self/fd")) == before


def test_without_memory_files_the_key_lies_in_a_private_folder_and_is_gone_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(os, "memfd_create")
    with tls._file_of(b"secret") as path:
        assert os.stat(path).st_mode & 0o777 == 0o600
        assert os.stat(os.path.dirname(path)).st_mode & 0o777 == 0o700
    assert not os.path.exists(os.path.dirname(path))


def test_server_names_lead_back_to_places_and_nothing_else_does() -> None:
    assert [tls.place_of(tls.sni_of(place), 3) for place in range(4)] == [0, 1, 2, None]
    assert [tls.place_of(name, 3) for name in (None, "", "p0.tacit.", "p00.tacit", "P0.tacit")] == [None] * 5


def test_without_a_descriptor_left_a_listening_party_rests_and_does_not_spin(pair: Site) -> None:
    class Full(socket.socket):
        def accept(self) -> tuple[socket.socket, object]:
            raise OSError(errno.EMFILE, "Too many open files")

    with Full() as listener:
        listener.bind(("127.0.0.1", 0))
        door = Door(0, pair.endpoints, pair.identities[0], lambda text: None, listener)
        door.advance(5.0, {listener.fileno(): select.POLLIN}, set())
        assert door.interest() == {}
        assert door.wake_s() == 5.0 + NO_ROOM_REST_S
        door.advance(5.0 + NO_ROOM_REST_S, {}, set())
        assert door.interest() == {listener.fileno(): select.POLLIN}
