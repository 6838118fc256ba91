"""How a second connection comes about: who proves itself is let in, whoever else comes learns nothing and stops nobody.

The page is docs/spec/wire.md, "Bulk frames".
"""

from __future__ import annotations

import contextlib
import errno
import gc
import select
import socket
from collections.abc import Callable, Iterator, Mapping, Set
from concurrent.futures import Future, ThreadPoolExecutor
from time import monotonic

import pytest

from tacit.errors import PeerAbsent, PeerGarbage, PeerLost, PeerStopped
from tacit.net import bulk_meeting
from tacit.net.bulk_meeting import CALL_BYTES, GUESTS_MAX, NONCE_BYTES, PROOF_BYTES, BulkMeeting, Terms
from tacit.net.channel import NO_ROOM_REST_S, SocketChannel, socket_pairs
from tacit.net.frames import Kind, encode_abort, encode_header
from tacit.net.mesh import Mesh

NAMES = ("alice", "bob", "crypto-producer")
SECRET = b"s" * 32  # of alice and bob
PATIENCE_S = 10.0
QUIET_S = 0.05  # after this nothing more will come over loopback


class Port:
    """Alice's open port, driven by hand: she awaits a second call of bob, and of nobody else."""

    def __init__(self, parties: int = 2, addresses: Mapping[int, object] | None = None) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.address = self.listener.getsockname()
        self.meeting = BulkMeeting(0, NAMES, addresses or {}, self.listener)
        self.meeting.begin({1: SECRET, **({2: b"t" * 32} if parties == 3 else {})}, 0.0)
        self.now_s = 0.0
        self.callers: list[socket.socket] = []
        self.arrived: set[int] = set()
        self.let_in = 0
        self.met = 0

    def accepted(self) -> int:
        """How many calls alice has accepted so far."""
        return len(self.meeting._guests) + self.meeting.strangers.total() + self.let_in

    def call(self, host: str = "127.0.0.1") -> tuple[socket.socket, bytes]:
        """A connection, and the number that alice said."""
        sock = socket.create_connection(self.address, source_address=(host, 0))
        sock.settimeout(PATIENCE_S)
        self.callers.append(sock)
        self.met += 1
        self.turn(lambda: self.accepted() == self.met)
        nonce = sock.recv(1000)
        assert len(nonce) == NONCE_BYTES
        return sock, nonce

    def close(self) -> None:
        for sock in self.callers:
            sock.close()
        self.meeting.close()

    def turn(self, until: Callable[[], bool] = lambda: False) -> None:
        """Let alice hear what has come: until something is so, or nothing more comes."""
        while not until():
            poll = select.poll()
            for fd, mask in self.meeting.interest().items():
                poll.register(fd, mask)
            events = dict(poll.poll(QUIET_S * 1000))
            for place, bulk in self.meeting.advance(self.now_s, events).items():
                self.arrived.add(place)
                self.let_in += 1
                bulk.close()
            if not events:
                return

    def refuses(self, sock: socket.socket, arrived: Set[int] = frozenset()) -> None:
        """Alice has closed this connection without a word more."""
        self.turn(lambda: self.accepted() - len(self.meeting._guests) == self.met)
        with contextlib.suppress(ConnectionResetError):
            assert sock.recv(1000) == b""
        assert self.arrived == arrived


@pytest.fixture
def port() -> Iterator[Port]:
    port = Port()
    yield port
    port.close()


def words(nonce: bytes, *, place: int = 1, secret: bytes = SECRET, said: int | None = None) -> bytes:
    """What a caller says."""
    terms = Terms(secret, place, 0, nonce, b"c" * NONCE_BYTES)
    return bytes([place if said is None else said]) + b"c" * NONCE_BYTES + terms.caller_proof


def test_a_caller_that_holds_the_secret_is_let_in_and_answered(port: Port) -> None:
    sock, nonce = port.call()
    sock.sendall(words(nonce))
    port.turn()
    assert port.arrived == {1}
    assert sock.recv(1000) == Terms(SECRET, 1, 0, nonce, b"c" * NONCE_BYTES).listener_proof


@pytest.mark.parametrize("place", [0, 2, 3, 255])
def test_a_call_under_a_place_that_is_not_awaited_is_turned_away(port: Port, place: int) -> None:
    sock, nonce = port.call()
    sock.sendall(words(nonce, place=place))
    port.refuses(sock)
    assert port.meeting.strangers == {"under a place that is not awaited": 1}


def test_a_call_with_any_bit_changed_is_turned_away(port: Port) -> None:
    for bit in range(8 * CALL_BYTES):
        sock, nonce = port.call()
        wrong = bytearray(words(nonce))
        wrong[bit // 8] ^= 1 << bit % 8
        sock.sendall(wrong)
        port.refuses(sock)
    assert sum(port.meeting.strangers.values()) == 8 * CALL_BYTES


def test_a_call_by_another_secret_is_turned_away(port: Port) -> None:
    sock, nonce = port.call()
    sock.sendall(words(nonce, secret=b"S" * 32))
    port.refuses(sock)
    assert port.meeting.strangers == {"without the secret of this run": 1}


def test_a_call_cut_at_any_byte_is_turned_away(port: Port) -> None:
    for cut in range(CALL_BYTES):
        sock, nonce = port.call()
        sock.sendall(words(nonce)[:cut])
        sock.shutdown(socket.SHUT_WR)
        port.refuses(sock)
    assert port.meeting.strangers == {"gone without a proof": CALL_BYTES}


def test_a_call_replayed_on_another_connection_is_turned_away(port: Port) -> None:
    """Somebody on the way sees bob's words, keeps them from alice and says them herself; then bob tries again."""
    bob, nonce = port.call()
    seen = words(nonce)
    bob.close()
    thief, _ = port.call()
    thief.sendall(seen)
    port.refuses(thief)
    bob, nonce = port.call()
    bob.sendall(words(nonce))
    port.turn()
    assert port.arrived == {1}


def test_a_call_of_a_party_that_has_confirmed_is_turned_away() -> None:
    port = Port(parties=3)  # the third has not come, so the port is open
    first, nonce = port.call()
    first.sendall(words(nonce))
    port.turn()
    assert port.arrived == {1}
    assert port.meeting.settle(1)
    again, nonce = port.call()
    again.sendall(words(nonce))
    port.refuses(again, arrived={1})
    assert port.meeting.absent() == [2]
    port.close()


def test_a_party_whose_answer_was_lost_on_the_way_calls_again_and_is_let_in(port: Port) -> None:
    first, nonce = port.call()
    first.sendall(words(nonce))
    port.turn(lambda: port.let_in == 1)
    first.close()  # the answer did not come
    again, nonce = port.call()
    again.sendall(words(nonce))
    port.turn(lambda: port.let_in == 2)
    assert again.recv(1000) == Terms(SECRET, 1, 0, nonce, b"c" * NONCE_BYTES).listener_proof
    assert port.meeting.absent() == []


def test_words_that_were_held_up_do_not_replace_a_later_call(port: Port) -> None:
    first, early = port.call()
    again, late = port.call()
    again.sendall(words(late))
    port.turn(lambda: port.let_in == 1)
    first.sendall(words(early))
    port.refuses(first, arrived={1})
    assert port.meeting.strangers == {"overtaken": 1}


def test_a_connection_that_breaks_while_it_is_let_in_is_turned_away(
    port: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise OSError(errno.EINVAL, "gone")

    sock, nonce = port.call()
    sock.sendall(words(nonce))
    with monkeypatch.context() as patch:
        patch.setattr(Terms, "bulk", broken)
        port.refuses(sock)
    assert port.meeting.absent() == [1]
    bob, nonce = port.call()
    bob.sendall(words(nonce))
    port.turn(lambda: port.let_in == 1)
    assert port.arrived == {1}


def test_strangers_and_dribblers_occupy_bounded_room_and_delay_nobody(port: Port) -> None:
    strangers = []
    for _ in range(2 * GUESTS_MAX):
        sock, nonce = port.call()
        strangers.append(sock)
        sock.sendall(b"\1")  # and then one byte at a time
        assert len(port.meeting._guests) <= GUESTS_MAX
    for sock in strangers[-5:]:
        with contextlib.suppress(OSError):  # it may be one of those that were turned away
            sock.sendall(b"x")
    bob, nonce = port.call()
    bob.sendall(words(nonce))
    port.turn()
    assert port.arrived == {1}
    assert port.meeting.strangers["crowded out"] == GUESTS_MAX + 1
    port.now_s = bulk_meeting.GUEST_S - 0.1
    port.turn()
    assert len(port.meeting._guests) == GUESTS_MAX - 1
    assert port.meeting.wake_s() == bulk_meeting.GUEST_S
    port.now_s = bulk_meeting.GUEST_S
    port.turn()
    assert not port.meeting._guests


def test_strangers_do_not_crowd_out_a_caller_from_where_tls_met_the_party() -> None:
    """Not even all that come within the round trip that bob's answer takes."""
    port = Port(addresses={1: ("127.0.0.1", 4000)})
    bob, nonce = port.call()
    for _ in range(3 * GUESTS_MAX):
        port.call("127.0.0.2")
    bob.sendall(words(nonce))
    port.turn(lambda: port.let_in == 1)
    assert port.arrived == {1}
    port.close()


def test_who_comes_from_elsewhere_to_a_port_full_of_the_partys_neighbours_leaves_at_once() -> None:
    port = Port(addresses={1: ("127.0.0.1", 4000)})
    for _ in range(GUESTS_MAX):
        port.call()
    stranger = socket.create_connection(port.address, source_address=("127.0.0.2", 0))
    port.callers.append(stranger)
    port.met += 1
    stranger.settimeout(PATIENCE_S)
    port.refuses(stranger)
    assert len(port.meeting._guests) == GUESTS_MAX
    port.close()


def test_among_equals_chance_decides_who_is_turned_away(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    guests = [port.call()[0] for _ in range(GUESTS_MAX)]
    for number in (7, 0):
        monkeypatch.setattr(bulk_meeting, "random_bytes", lambda count, number=number: number.to_bytes(count, "little"))
        port.call()
        assert guests.pop(number).recv(1) == b""


def test_without_a_descriptor_left_the_port_rests_and_does_not_spin(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(socket.socket):
        def accept(self) -> tuple[socket.socket, object]:
            raise OSError(errno.EMFILE, "Too many open files")

    with Full() as listener:
        listener.bind(("127.0.0.1", 0))
        meeting = BulkMeeting(0, NAMES, {}, listener)
        meeting.begin({1: SECRET}, 0.0)
        assert meeting.advance(5.0, {listener.fileno(): select.POLLIN}) == {}
        assert meeting.interest() == {}
        assert meeting.wake_s() == 5.0 + NO_ROOM_REST_S
        meeting.advance(5.0 + NO_ROOM_REST_S, {})
        assert meeting.interest() == {listener.fileno(): select.POLLIN}
        assert meeting.wake_s() == float("inf")
        meeting.close()


def test_all_that_a_stranger_gets_is_a_fresh_random_number(port: Port) -> None:
    numbers = [port.call()[1] for _ in range(5)]
    assert len({*numbers}) == 5
    for sock in port.callers:
        sock.sendall(bytes(CALL_BYTES))
    for sock in port.callers:
        port.refuses(sock)


# -- the calling side


class Answering:
    """Bob's call, and somebody at the port of alice who says what the test says."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.meeting = BulkMeeting(1, NAMES, {0: self.listener.getsockname()}, None)
        self.meeting.begin({0: SECRET}, 0.0)
        self.meeting.advance(0.0, {})
        self.sock, _ = self.listener.accept()
        self.sock.settimeout(PATIENCE_S)
        self.nonce = b"l" * NONCE_BYTES
        self.sock.sendall(self.nonce)
        self.turn()
        self.said = self.sock.recv(1000)
        assert len(self.said) == CALL_BYTES
        self.terms = Terms(SECRET, 1, 0, self.nonce, self.said[1 : 1 + NONCE_BYTES])

    def turn(self) -> dict[int, object]:
        (fd,) = self.meeting.interest()
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        return dict(self.meeting.advance(0.0, dict(poll.poll(PATIENCE_S * 1000))))

    def close(self) -> None:
        self.sock.close()
        self.listener.close()
        self.meeting.close()


def test_a_call_says_what_the_page_says_and_a_right_answer_ends_it() -> None:
    bob = Answering()
    assert bob.said[0] == 1
    assert bob.said[1 + NONCE_BYTES :] == bob.terms.caller_proof
    bob.sock.sendall(bob.terms.listener_proof + b"what follows belongs to the frames")
    (bulk,) = bob.turn().values()
    assert bulk._sock.recv(1000) == b"what follows belongs to the frames"  # type: ignore[attr-defined]
    bulk.close()  # type: ignore[attr-defined]
    bob.close()


def test_an_answer_with_any_bit_changed_or_reflected_is_refused() -> None:
    for bit in range(8 * PROOF_BYTES + 1):
        bob = Answering()
        wrong = bytearray(bob.terms.listener_proof)
        if bit < 8 * PROOF_BYTES:
            wrong[bit // 8] ^= 1 << bit % 8
        else:
            wrong[:] = bob.terms.caller_proof
        bob.sock.sendall(wrong)
        assert bob.turn() == {}, bit
        assert "does not hold the secret" in bob.meeting._tried(0)
        assert bob.meeting.absent() == [0]
        bob.close()


def test_numbers_of_both_ends_and_both_places_are_in_every_key() -> None:
    def derived(*terms: object) -> set[bytes]:
        made = Terms(*terms)  # type: ignore[arg-type]
        keys = (made._derive(f"key of the {end}") for end in ("caller", "listener"))
        return {*keys, made.caller_proof, made.listener_proof}

    one = (SECRET, 1, 0, b"l" * 32, b"c" * 32)
    worlds = [one, (b"S" * 32, *one[1:]), (SECRET, 2, *one[2:]), (SECRET, 2, 1, *one[3:])]
    worlds += [(*one[:3], b"L" * 32, one[4]), (*one[:4], b"C" * 32), (SECRET, 0, 1, *one[3:])]
    assert len(set().union(*(derived(*world) for world in worlds))) == 4 * len(worlds)


# -- among meshes


@pytest.fixture
def two() -> Iterator[Callable[..., list[Mesh]]]:
    """Alice and bob, whose first connections are local sockets; `address`: where bob calls."""
    made: list[Mesh] = []

    def make(address: object = None) -> list[Mesh]:
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        called = {0: address or listener.getsockname()}
        ports = [BulkMeeting(0, NAMES, {}, listener), BulkMeeting(1, NAMES, called, None)]
        for place, owned in enumerate(socket_pairs(2)):
            channels = {peer: SocketChannel(sock) for peer, sock in owned.items()}
            made.append(Mesh(place, NAMES[:2], channels, deadline_s=5.0, bulk_meeting=ports[place]))
        return made

    yield make
    for mesh in made:
        mesh.abort("the test is over")


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def opening(pool: ThreadPoolExecutor, mesh: Mesh, secret: bytes = SECRET, patience_s: float = 10.0) -> Future[None]:
    return pool.submit(mesh.open_bulk, {1 - mesh.me: secret}, patience_s=patience_s)


def test_two_meshes_meet_and_9_mb_cross_both_ways_at_once(
    two: Callable[..., list[Mesh]], pool: ThreadPoolExecutor
) -> None:
    meshes = two()
    for done in [opening(pool, mesh) for mesh in meshes]:
        done.result(PATIENCE_S)
    size = 9_000_001
    texts = [bytes([65 + mesh.me]) * size for mesh in meshes]
    rooms = [bytearray(size), bytearray(size)]
    futures = [
        pool.submit(mesh.exchange, 1, "mm", {1 - mesh.me: texts[mesh.me]}, {1 - mesh.me: rooms[mesh.me]})
        for mesh in meshes
    ]
    for future in futures:
        future.result(PATIENCE_S)
    assert rooms == [texts[1], texts[0]]
    sent = meshes[0].statistics()[1]
    assert size + 35 * 16 <= sent.socket_bytes_sent < size + 1000
    assert sent.payload_bytes_sent == size


def test_meshes_with_different_secrets_do_not_meet_and_say_what_helps(
    two: Callable[..., list[Mesh]], pool: ThreadPoolExecutor
) -> None:
    alice, bob = two()
    futures = [opening(pool, alice, patience_s=0.5), opening(pool, bob, b"S" * 32, patience_s=5.0)]
    fault = futures[0].exception(PATIENCE_S)
    assert isinstance(fault, PeerAbsent)
    assert 'party 1 ("bob") is connected and its bulk connection did not come about within 0 s' in str(fault) or (
        "within 1 s" in str(fault)
    )
    assert "without the secret of this run" in str(fault)
    assert 'transport = "tls"' in str(fault)
    assert alice.culprit == 1
    alice.abort(fault.message)
    assert isinstance(futures[1].exception(PATIENCE_S), PeerStopped)


def test_a_party_that_dies_while_the_others_open_bulk_connections_is_named_at_once(
    two: Callable[..., list[Mesh]], pool: ThreadPoolExecutor
) -> None:
    alice, bob = two()
    meeting = alice._bulk_meeting
    assert meeting is not None
    begun_s = monotonic()
    waiting = opening(pool, alice)
    bob._links[0].channel.close()
    assert isinstance(waiting.exception(PATIENCE_S), PeerLost)
    assert monotonic() - begun_s < 3.0
    assert alice.culprit == 1
    assert meeting._listener is None  # the port is closed again


def test_a_port_that_refuses_a_second_connection_is_told(
    two: Callable[..., list[Mesh]], pool: ThreadPoolExecutor
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        _, bob = two(closed.getsockname())
        fault = opening(pool, bob, patience_s=0.3).exception(PATIENCE_S)
    assert isinstance(fault, PeerAbsent)
    assert "connection refused" in str(fault)
    assert "must let a second one through" in str(fault)


def reachable(start: object) -> Iterator[object]:
    """Everything that an object leads to; classes, modules and functions lead to the whole program and do not count."""
    seen: set[int] = set()
    ahead = [start]
    while ahead:
        thing = ahead.pop()
        if id(thing) in seen or type(thing).__name__ in ("type", "ABCMeta", "module", "function", "EnumType"):
            continue
        seen.add(id(thing))
        yield thing
        ahead.extend(gc.get_referents(thing))


def test_what_opened_the_connections_cannot_be_found_afterwards(
    two: Callable[..., list[Mesh]], pool: ThreadPoolExecutor
) -> None:
    meshes = two()
    assert all(SECRET not in [*reachable(mesh)] for mesh in meshes)
    done = [pool.submit(mesh.open_bulk, {1 - mesh.me: bytes([115]) * 32}, patience_s=10.0) for mesh in meshes]
    for future in done:
        future.result(PATIENCE_S)
    for mesh in meshes:
        found = [thing for thing in reachable(mesh) if isinstance(thing, bytes) and len(thing) == 32]
        link = mesh._links[1 - mesh.me]
        assert link.bulk is not None
        assert {*found} == {link.bulk._sealer._key, link.bulk._opener._key}
        with pytest.raises(ValueError, match="no port"):
            mesh.open_bulk({1 - mesh.me: SECRET}, patience_s=1.0)


class Three:
    """Alice's mesh, in `open_bulk`; the test speaks for bob and the producer, inside TLS and at her port."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        self.address = listener.getsockname()
        ends = socket_pairs(3)
        channels = {peer: SocketChannel(sock) for peer, sock in ends[0].items()}
        self.mesh = Mesh(0, NAMES, channels, deadline_s=0.5, bulk_meeting=BulkMeeting(0, NAMES, {}, listener))
        self.tls = {place: ends[place].pop(0) for place in (1, 2)}
        for unused in (ends[1][2], ends[2][1]):
            unused.close()
        self.tls[1].settimeout(PATIENCE_S)
        self.bulk: list[socket.socket] = []
        self.opening = pool.submit(self.mesh.open_bulk, {1: SECRET, 2: SECRET}, patience_s=PATIENCE_S)

    def call(self, place: int) -> None:
        sock = socket.create_connection(self.address)
        sock.settimeout(PATIENCE_S)
        self.bulk.append(sock)
        sock.sendall(words(sock.recv(NONCE_BYTES), place=place))
        assert len(sock.recv(PROOF_BYTES)) == PROOF_BYTES

    def heard(self, kind: Kind) -> None:
        """Bob has heard this frame of alice, whatever she said before."""
        while (said := self.tls[1].recv(1000))[-20] != kind:
            assert said

    def close(self) -> None:
        self.mesh.abort("the test is over")
        for sock in (*self.tls.values(), *self.bulk):
            sock.close()


@pytest.fixture
def three(pool: ThreadPoolExecutor) -> Iterator[Three]:
    three = Three(pool)
    yield three
    three.close()


CONFIRM = encode_header(Kind.CONFIRM, 0, "", 0)


def test_nobody_goes_on_before_all_have_said_that_they_can_and_deadlines_of_exchanges_wait(three: Three) -> None:
    three.call(1)
    three.tls[1].sendall(CONFIRM)
    three.call(2)
    three.heard(Kind.CONFIRM)
    with pytest.raises(TimeoutError):  # the producer and bob may still call each other, for as long as parties may
        three.opening.result(1.2)  # twice the deadline and more
    three.tls[2].sendall(CONFIRM)
    three.opening.result(PATIENCE_S)
    assert three.mesh._patience.deadline_s == 0.5


def test_last_words_behind_an_announcement_are_heard_by_one_who_still_waits_for_a_third(three: Three) -> None:
    three.call(1)
    three.call(2)
    three.heard(Kind.CONFIRM)
    payload = encode_abort(2, "it is wrong")
    announcement = encode_header(Kind.DATA, 0, "x", 1 << 20)
    three.tls[1].sendall(CONFIRM + announcement + encode_header(Kind.ABORT, 0, "", len(payload)) + payload)
    three.tls[1].shutdown(socket.SHUT_WR)
    fault = three.opening.exception(PATIENCE_S)
    assert isinstance(fault, PeerStopped)
    assert "it is wrong" in str(fault)
    assert three.mesh.culprit == 2


@pytest.mark.parametrize(
    "said", [CONFIRM, encode_header(Kind.CONFIRM, 0, "", 32) + bytes(32)], ids=["too early", "with a payload"]
)
def test_a_confirm_too_early_or_with_a_payload_is_refused(three: Three, said: bytes) -> None:
    if said != CONFIRM:
        three.call(1)
    three.tls[1].sendall(said)
    fault = three.opening.exception(PATIENCE_S)
    assert isinstance(fault, PeerGarbage)
    assert three.mesh.culprit == 1


def test_a_party_that_is_through_does_not_blame_one_whose_other_connection_does_not_come_about(
    pool: ThreadPoolExecutor,
) -> None:
    """The port of alice lets bob through and not the producer; bob has nothing to complain of."""
    ports = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    silent = socket.create_server(("127.0.0.1", 0))
    for port in ports:
        port.setblocking(False)
    where = [port.getsockname() for port in ports]
    meetings = [
        BulkMeeting(0, NAMES, {}, ports[0]),
        BulkMeeting(1, NAMES, {0: where[0]}, ports[1]),
        BulkMeeting(2, NAMES, {0: silent.getsockname(), 1: where[1]}, None),
    ]
    meshes = []
    for place, owned in enumerate(socket_pairs(3)):
        channels = {peer: SocketChannel(sock) for peer, sock in owned.items()}
        meshes.append(Mesh(place, NAMES, channels, deadline_s=0.3, bulk_meeting=meetings[place]))

    def live(mesh: Mesh) -> BaseException:
        secrets = {peer: SECRET for peer in range(3) if peer != mesh.me}
        try:
            mesh.open_bulk(secrets, patience_s=1.2)
        except BaseException as fault:
            mesh.abort(str(fault))
            return fault
        raise AssertionError

    with ThreadPoolExecutor(3) as crew:
        faults = [*crew.map(live, meshes)]
    silent.close()
    assert isinstance(faults[1], PeerStopped), faults[1]
    assert "its bulk connection did not come about" in str(faults[1])
    assert any(isinstance(faults[place], PeerAbsent) for place in (0, 2))
