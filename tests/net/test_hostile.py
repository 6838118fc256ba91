"""A party with a trusted key that behaves badly: it cannot keep another one waiting or busy for ever."""

from __future__ import annotations

import itertools
import mmap
import select
import socket
from collections.abc import Callable, Iterator
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest

from tacit.errors import Misuse, PeerGarbage, PeerSilent
from tacit.net import link as link_module
from tacit.net.allowance import PINGS_AHEAD_MAX, PINGS_PER_S_MAX, PingAllowance
from tacit.net.blame import HELD_UP_DEADLINES_MAX, PING_EVERY_S_MIN, Overdue, Patience, Standing
from tacit.net.channel import Channel, SocketChannel
from tacit.net.frames import CONTROL_BYTES_MAX, Kind, encode_header
from tacit.net.link import Link, Want
from tacit.net.mesh import Mesh
from tacit.net.parting import part

if TYPE_CHECKING:
    from conftest import Crew

MakeMeshes = Callable[..., list[Mesh]]
MakeRaw = Callable[..., tuple[Mesh, list[socket.socket]]]
NAMES = ("alice", "bob", "crypto-producer")
DEADLINE_S = 10.0
PING = encode_header(Kind.PING, 3, "mm", 1) + b"\x02"  # of bob, who waits for the producer


class Endless(Channel):
    """A peer that always has sent more: `piece` again and again, at most `at_once` bytes for each read."""

    def __init__(self, first: bytes, piece: bytes, at_once: int, patience_s: float = 3.0) -> None:
        self._sock, self._other = socket.socketpair()
        self._other.send(b"x")  # so that poll, too, always finds something
        self._rest, self._piece, self._at_once = first, piece, at_once
        self._end_s = monotonic() + patience_s

    def fileno(self) -> int:
        return self._sock.fileno()

    def write_some(self, view: memoryview) -> int:
        return len(view)

    def read_some(self, view: memoryview) -> int:
        assert monotonic() < self._end_s, "still reading from a peer that never stops"
        count = min(len(view), self._at_once)
        while len(self._rest) < count:
            self._rest += self._piece * (1 + count // len(self._piece))
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def shut_writing(self) -> None:
        pass

    def unacknowledged_bytes(self) -> int:
        return 0

    def close(self) -> None:
        self._sock.close()
        self._other.close()


@pytest.fixture
def endless() -> Iterator[Callable[..., Endless]]:
    made: list[Endless] = []

    def make(*arguments: Any) -> Endless:
        made.append(Endless(*arguments))
        return made[-1]

    yield make
    for channel in made:
        channel.close()


# -- no peer keeps the loop to itself


def test_a_pull_of_control_frames_ends_although_the_peer_does_not(endless: Callable[..., Endless]) -> None:
    heard: list[int] = []
    link = Link(1, "bob", endless(b"", PING, 1 << 20), lambda link, frame, payload: heard.append(frame.step))
    link.pull()
    assert 0 < len(heard) <= link_module.TURN_STEPS_MAX
    assert link.paused
    assert link.unread()


@pytest.mark.parametrize("at_once", [1, 1 << 20])
def test_a_pull_of_payload_ends_although_the_peer_does_not(endless: Callable[..., Endless], at_once: int) -> None:
    size = 1 << 25
    header = encode_header(Kind.DATA, 3, "mm", size)
    link = Link(1, "bob", endless(header, bytes(1 << 10), at_once), lambda link, frame, payload: None)
    link.want = Want(Kind.DATA, 3, "mm", header, memoryview(bytearray(size)))
    for _ in range(4):
        before = link.moved_bytes
        link.pull()
        assert 0 < link.moved_bytes - before <= link_module.TURN_BYTES_MAX + link_module.LOOK_AHEAD_BYTES
    assert link.want is not None
    assert link.paused


def test_a_peer_that_dribbles_does_not_stop_the_clock_of_another(endless: Callable[..., Endless]) -> None:
    """Its bytes come one at a time and without a pause; the producer, who is silent, is named all the same."""
    size = 1 << 30
    room = mmap.mmap(-1, size)  # its pages cost memory only when they are written
    ours, theirs = socket.socketpair()
    bob = endless(encode_header(Kind.DATA, 3, "mm", size), bytes(1 << 10), 1)
    alice = Mesh(0, NAMES, {1: bob, 2: SocketChannel(ours)}, deadline_s=0.3)
    with ours, theirs, pytest.raises(PeerSilent, match="crypto-producer"):
        alice.collect(3, "mm", {1: room, 2: bytearray(8)})


def test_leaving_takes_no_longer_than_allowed_although_a_peer_goes_on_sending(endless: Callable[..., Endless]) -> None:
    link = Link(1, "bob", endless(b"", PING, 1 << 20), lambda link, frame, payload: None)
    link.channel.unacknowledged_bytes = lambda: 1  # type: ignore[method-assign]
    start_s = monotonic()
    part([link], encode_header(Kind.BYE, 0, "", 0), b"", limit_s=0.2)
    assert monotonic() - start_s < 2.0


# -- PINGs


def test_a_flood_of_pings_names_its_sender_even_if_nobody_waits_for_it(raw: MakeRaw) -> None:
    alice, (bob, _) = raw(3)
    bob.sendall(PING * (PINGS_AHEAD_MAX + 100))
    with pytest.raises(PeerGarbage, match=r'party 1 \("bob"\).*flood of PINGs'):
        alice.collect(3, "mm", {2: bytearray(8)})
    assert alice.culprit == 1


def test_pings_that_piled_up_are_no_flood_and_delay_nothing(raw: MakeRaw) -> None:
    alice, (bob,) = raw(deadline_s=0.6)
    ping = encode_header(Kind.PING, 3, "mm", 0)
    bob.sendall(ping * (PINGS_AHEAD_MAX // 2) + encode_header(Kind.DATA, 3, "mm", 4) + b"data")
    room = bytearray(4)
    alice.collect(3, "mm", {1: room})
    assert room == b"data"


def test_the_allowance_covers_what_honest_parties_say_and_no_flood() -> None:
    fastest = PingAllowance(100.0)
    assert all(fastest.covers_another(100.0 + count * PING_EVERY_S_MIN) for count in range(20_000))
    # After an hour of computing, all that came meanwhile is read in one moment.
    at_once = PingAllowance(100.0)
    assert all(at_once.covers_another(3700.0) for _ in range(3600))
    flood = PingAllowance(100.0)
    assert [flood.covers_another(102.0) for _ in range(PINGS_AHEAD_MAX + 2 * PINGS_PER_S_MAX + 2)].count(False) == 2


def heard_until(patience: Patience, pings: Iterator[tuple[int, str]], end_s: float) -> tuple[float, Overdue] | None:
    """When and how alice's wait for bob ends who pings every 0.5 s; None if it has not by `end_s`."""
    now_s = 0.0
    while now_s < end_s:
        try:
            patience.judge({1: 0}, (3, "mm"), now_s)
        except Overdue as overdue:
            return now_s, overdue
        now_s += 0.5
        patience.hear(1, Standing(now_s, (2,), *next(pings)), 0)
    return None


@pytest.mark.parametrize("there", [[(3, "mm"), (3, "relu")], [(3, "mm"), (2, "mm")], [(9, "a"), (8, "b"), (7, "c")]])
def test_a_peer_that_pings_to_and_fro_gains_no_time(there: list[tuple[int, str]]) -> None:
    ended = heard_until(Patience(0, NAMES, DEADLINE_S), itertools.cycle(there), 40 * DEADLINE_S)
    assert ended is not None
    assert DEADLINE_S <= ended[0] <= DEADLINE_S + 0.5
    assert ended[1].culprit == 2  # for whom bob says that it waits, and who says nothing


def test_a_peer_that_tells_of_ever_new_steps_gains_a_bounded_time_and_is_named_itself() -> None:
    ended = heard_until(
        Patience(0, NAMES, DEADLINE_S), ((step, "mm") for step in range(10**9)), 4 * HELD_UP_DEADLINES_MAX * DEADLINE_S
    )
    assert ended is not None
    assert ended[0] == HELD_UP_DEADLINES_MAX * DEADLINE_S
    assert ended[1].culprit == 1
    assert 'party 1 ("bob") has told of one step after another for 100 s' in ended[1].fault.message


def test_a_peer_that_advances_is_given_a_deadline_for_each_step_and_payload_starts_everything_again() -> None:
    patience = Patience(0, NAMES, DEADLINE_S)
    for now_s in range(0, 98, 7):
        patience.hear(1, Standing(now_s, (2,), now_s, "mm"), 0)
        patience.judge({1: 0}, (3, "mm"), now_s)
    patience.judge({1: 5}, (3, "mm"), 99.0)
    patience.hear(1, Standing(101.0, (2,), 101, "mm"), 5)
    patience.judge({1: 5}, (3, "mm"), 110.0)
    with pytest.raises(Overdue):
        patience.judge({1: 5}, (3, "mm"), 111.0)


def test_a_party_that_only_says_other_things_of_itself_is_given_up_in_time(crew: Crew) -> None:
    def alice(mesh: Mesh, tell: Callable[[Any], None]) -> None:
        mesh.collect(3, "mm", {1: bytearray(8)})

    def bob(mesh: Mesh, tell: Callable[[Any], None]) -> None:
        for count in range(100):
            ping = encode_header(Kind.PING, 3 + count % 2, "mm", 0)
            if mesh._links[0].channel.write_some(memoryview(ping)) != len(ping):
                break
            select.poll().poll(100)

    crew.start([alice, bob], deadline_s=0.6)
    report = crew.hear(0, within_s=5.0)
    assert (report["error"], report["culprit"]) == ("PeerDiverged", 1), report  # it says that it waits for nobody


# -- what we say ourselves


def test_a_greeting_too_long_for_its_frame_is_our_own_mistake_and_sends_nothing(meshes: MakeMeshes) -> None:
    alice, bob = meshes()
    with pytest.raises(Misuse, match=r"takes 65537 bytes; a HELLO frame holds at most 65536 bytes") as caught:
        alice.send_control(1, Kind.HELLO, bytes(CONTROL_BYTES_MAX + 1))
    assert "program files" in (caught.value.hint or "")
    alice.send_control(1, Kind.HELLO, b"short")
    assert bob.receive_control(0, Kind.HELLO) == b"short"
