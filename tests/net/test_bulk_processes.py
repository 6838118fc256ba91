"""Both transports among processes that die, stop and part in the middle of long messages: who is blamed, how soon."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tacit.net.mesh import Mesh

if TYPE_CHECKING:
    from conftest import Crew, Site

Tell = Callable[[Any], None]
SOON_S = 5.0
LONG = 48 << 20  # more than two sockets' buffers hold

over_both = pytest.mark.parametrize("transport", ["tls", "frames"])


def pattern(sender: int, receiver: int, count: int) -> bytes:
    return hashlib.shake_128(bytes([sender, receiver])).digest(count)


@over_both
def test_12_mb_cross_in_all_directions_at_once_among_short_messages(crew: Crew, site: Site, transport: str) -> None:
    size = 12_000_003

    def body(mesh: Mesh, tell: Tell) -> list[Any]:
        peers = [place for place in range(3) if place != mesh.me]
        found = []
        for step, count in enumerate((5, size, 16_383, 16_384, 0, 262_144, 262_145)):
            into = {peer: bytearray(count) for peer in peers}
            mesh.exchange(step, "mm", {peer: pattern(mesh.me, peer, count) for peer in peers}, into)
            found.append(all(into[peer] == pattern(peer, mesh.me, count) for peer in peers))
        return [*found, all((link.bulk is not None) == (transport == "frames") for link in mesh._links.values())]

    crew.start([body] * 3, site=site, transport=transport)
    assert [crew.hear(place) for place in range(3)] == [{"result": [True] * 8}] * 3


@over_both
def test_a_posted_buffer_belongs_to_the_network_until_collect_returns_and_then_no_longer(
    crew: Crew, pair: Site, transport: str
) -> None:
    size = 9 << 20

    def alice(mesh: Mesh, tell: Tell) -> None:
        memory = bytearray(size)
        for step in range(4):
            memory[:] = bytes([step]) * size
            mesh.exchange(step, "mm", {1: memory}, {})  # returns when it has left: it may be overwritten at once

    def bob(mesh: Mesh, tell: Tell) -> bool:
        good = True
        for step in range(4):
            room = bytearray(size)
            mesh.collect(step, "mm", {0: room})
            good = good and room == bytes([step]) * size
        return good

    crew.start([alice, bob], site=pair, transport=transport)
    assert crew.hear(1) == {"result": True}


@over_both
def test_a_sender_killed_in_the_middle_of_a_message_is_named(crew: Crew, pair: Site, transport: str) -> None:
    def alice(mesh: Mesh, tell: Tell) -> None:
        mesh.post(1, 0, "big", bytes(LONG))  # what fits has left
        os.kill(os.getpid(), signal.SIGKILL)

    def bob(mesh: Mesh, tell: Tell) -> None:
        mesh.collect(0, "big", {0: bytearray(LONG)})

    crew.start([alice, bob], site=pair, transport=transport)
    report = crew.hear(1, within_s=SOON_S)
    assert (report["error"], report["culprit"]) == ("PeerLost", 0), report


@over_both
def test_a_receiver_killed_in_the_middle_of_a_message_is_named(crew: Crew, pair: Site, transport: str) -> None:
    def alice(mesh: Mesh, tell: Tell) -> None:
        mesh.exchange(0, "big", {1: bytes(LONG)}, {})

    def bob(mesh: Mesh, tell: Tell) -> None:
        mesh.post(0, 0, "go", b"go")
        os.kill(os.getpid(), signal.SIGKILL)

    crew.start([alice, bob], site=pair, transport=transport)
    report = crew.hear(0, within_s=SOON_S)
    assert (report["error"], report["culprit"]) == ("PeerLost", 1), report


@over_both
def test_a_receiver_that_stops_reading_is_named_within_the_deadline(crew: Crew, pair: Site, transport: str) -> None:
    def alice(mesh: Mesh, tell: Tell) -> None:
        mesh.exchange(0, "big", {1: bytes(LONG)}, {})

    def bob(mesh: Mesh, tell: Tell) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)

    crew.start([alice, bob], site=pair, transport=transport, deadline_s=0.8)
    report = crew.hear(0, within_s=SOON_S)
    assert (report["error"], report["culprit"]) == ("PeerSilent", 1), report


def test_an_error_in_the_middle_of_a_message_reaches_the_other_in_its_words(crew: Crew, pair: Site) -> None:
    """Inside TLS the words would have to wait for the end of the message."""

    def alice(mesh: Mesh, tell: Tell) -> None:
        mesh.post(1, 0, "big", bytes(LONG))
        mesh.abort("alice.csv: line 7 has no id")

    def bob(mesh: Mesh, tell: Tell) -> None:
        mesh.collect(0, "big", {0: bytearray(LONG)})

    crew.start([alice, bob], site=pair, transport="frames")
    report = crew.hear(1, within_s=SOON_S)
    assert (report["error"], report["culprit"]) == ("PeerStopped", 0), report
    assert "alice.csv: line 7 has no id" in report["text"]


@over_both
def test_parties_at_different_sizes_part_before_anything_is_read(crew: Crew, pair: Site, transport: str) -> None:
    def alice(mesh: Mesh, tell: Tell) -> None:
        mesh.exchange(0, "mm", {1: bytes(20 << 20)}, {1: bytearray(8)})

    def bob(mesh: Mesh, tell: Tell) -> None:
        mesh.exchange(0, "mm", {}, {0: bytearray(4 << 20)})

    crew.start([alice, bob], site=pair, transport=transport)
    report = crew.hear(1, within_s=SOON_S)
    assert (report["error"], report["culprit"]) == ("PeerDiverged", 0), report
    assert crew.hear(0, within_s=SOON_S)["culprit"] == 1


@over_both
def test_a_party_may_finish_while_its_last_long_messages_are_unread(crew: Crew, site: Site, transport: str) -> None:
    size = 1 << 20

    def meet(mesh: Mesh) -> None:  # the handshake would have seen to that
        peers = [place for place in range(3) if place != mesh.me]
        mesh.exchange(0, "hello", dict.fromkeys(peers, b"x"), {peer: bytearray(1) for peer in peers})

    def alice(mesh: Mesh, tell: Tell) -> None:
        meet(mesh)
        for step in range(2):
            mesh.exchange(step, "last", {1: pattern(step, 1, size)}, {})

    def bob(mesh: Mesh, tell: Tell) -> bool:
        meet(mesh)
        for step in range(50):  # alice's BYE comes during these
            mesh.exchange(step, "mm", {2: bytes(8)}, {2: bytearray(8)})
        rooms = [bytearray(size), bytearray(size)]
        for step, room in enumerate(rooms):
            mesh.collect(step, "last", {0: room})
        return rooms == [pattern(step, 1, size) for step in range(2)]

    def producer(mesh: Mesh, tell: Tell) -> None:
        meet(mesh)
        for step in range(50):
            mesh.exchange(step, "mm", {1: bytes(8)}, {1: bytearray(8)})

    crew.start([alice, bob, producer], site=site, transport=transport)
    assert crew.hear(1) == {"result": True}
    assert [crew.exit_code(place) for place in (0, 1, 2)] == [0, 0, 0]


@over_both
def test_a_message_of_64_mb_needs_no_memory_beside_the_array_it_fills(crew: Crew, pair: Site, transport: str) -> None:
    """Both parties may map 24 MB more than message and program: a copy of it anywhere would not fit."""
    size = 64 << 20

    def limit() -> None:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        room = pages * resource.getpagesize() + (24 << 20)
        resource.setrlimit(resource.RLIMIT_AS, (room, room))

    def alice(mesh: Mesh, tell: Tell) -> None:
        message = bytes(size)
        limit()
        mesh.exchange(0, "big", {1: message}, {})

    def bob(mesh: Mesh, tell: Tell) -> int:
        room = bytearray(size)
        limit()
        mesh.collect(0, "big", {0: room})
        return len(room)

    crew.start([alice, bob], site=pair, transport=transport)
    assert crew.hear(1) == {"result": size}
