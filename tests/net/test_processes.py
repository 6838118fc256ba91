"""The mesh among processes that die, stop, lag and disagree: who is blamed, and how soon."""

from __future__ import annotations

import hashlib
import os
import select
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tacit.net.frames import Kind
from tacit.net.mesh import Mesh

if TYPE_CHECKING:
    from conftest import Crew

Tell = Callable[[Any], None]
SOON_S = 3.0  # a lost connection is noticed at once; the deadline is 10 s, this is for a busy machine


def pattern(sender: int, receiver: int, count: int) -> bytes:
    return hashlib.shake_128(bytes([sender, receiver])).digest(count)


def test_16_mb_cross_in_all_directions_at_once_without_deadlock(crew: Crew) -> None:
    size = 16 << 20

    def body(mesh: Mesh, tell: Tell) -> list[str]:
        peers = [place for place in range(3) if place != mesh.me]
        into = {peer: bytearray(size) for peer in peers}
        mesh.exchange(0, "big", {peer: pattern(mesh.me, peer, size) for peer in peers}, into)
        return [hashlib.sha256(into[peer]).hexdigest() for peer in peers]

    crew.start([body] * 3)
    for place in range(3):
        peers = [peer for peer in range(3) if peer != place]
        expected = [hashlib.sha256(pattern(peer, place, size)).hexdigest() for peer in peers]
        assert crew.hear(place)["result"] == expected


def test_many_small_rounds_stay_in_step(crew: Crew) -> None:
    def body(mesh: Mesh, tell: Tell) -> bool:
        peers = [place for place in range(3) if place != mesh.me]
        good = True
        for step in range(300):
            size = step * 97 % 20_000  # on both sides of what travels with its header
            into = {peer: bytearray(size) for peer in peers}
            mesh.exchange(step, "mm", {peer: bytes([mesh.me + 1]) * size for peer in peers}, into)
            good = good and all(into[peer] == bytes([peer + 1]) * size for peer in peers)
        return good

    crew.start([body] * 3)
    assert [crew.hear(place)["result"] for place in range(3)] == [True] * 3


@pytest.mark.parametrize("victim", range(3))
def test_a_killed_party_is_named_by_both_others_at_once(crew: Crew, victim: int) -> None:
    def body(mesh: Mesh, tell: Tell) -> None:
        peers = [place for place in range(3) if place != mesh.me]
        into = {peer: bytearray(8) for peer in peers}
        mesh.exchange(0, "mm", {peer: bytes(8) for peer in peers}, into)
        tell("ready")
        if mesh.me == victim:
            mesh.receive_control(peers[0], Kind.HELLO)
        mesh.collect(1, "relu", {peer: bytearray(8) for peer in peers})

    crew.start([body] * 3)
    assert [crew.hear(place) for place in range(3)] == ["ready"] * 3
    crew.signal(victim, signal.SIGKILL)
    for place in {0, 1, 2} - {victim}:
        report = crew.hear(place, within_s=SOON_S)
        assert report["culprit"] == victim, report
        assert report["error"] in ("PeerLost", "PeerStopped"), report
        assert "step 1 relu" in report["text"], report


def test_a_stopped_party_is_named_even_by_those_who_wait_for_somebody_else(crew: Crew) -> None:
    """bob waits for the producer, alice waits for bob: both must blame the producer, within about the deadline."""

    def body(mesh: Mesh, tell: Tell) -> None:
        peers = [place for place in range(3) if place != mesh.me]
        mesh.exchange(0, "mm", {peer: bytes(8) for peer in peers}, {peer: bytearray(8) for peer in peers})
        if mesh.me == 2:
            tell("ready")
            mesh.receive_control(0, Kind.HELLO)
        mesh.collect(7, "relu", {mesh.me + 1: bytearray(8)})

    crew.start([body] * 3, deadline_s=0.7)
    assert crew.hear(2) == "ready"
    crew.signal(2, signal.SIGSTOP)
    reports = [crew.hear(place) for place in (0, 1)]
    assert [report["culprit"] for report in reports] == [2, 2], reports
    assert all("crypto-producer" in report["text"] for report in reports)
    assert all(0.5 < report["after_s"] < 5.0 for report in reports), reports
    assert "PeerSilent" in {report["error"] for report in reports}


def test_the_chain_of_pings_names_the_stopped_party_without_any_abort(crew: Crew) -> None:
    """As above, but bob's patience is endless: alice must find out by bob's pings alone."""

    def body(mesh: Mesh, tell: Tell) -> None:
        peers = [place for place in range(3) if place != mesh.me]
        mesh.exchange(0, "mm", {peer: bytes(8) for peer in peers}, {peer: bytearray(8) for peer in peers})
        if mesh.me == 2:
            tell("ready")
            mesh.receive_control(0, Kind.HELLO)
        if mesh.me == 1:
            mesh._patience.deadline_s = 60.0
        mesh.collect(7, "relu", {mesh.me + 1: bytearray(8)})

    crew.start([body] * 3, deadline_s=0.7)
    assert crew.hear(2) == "ready"
    crew.signal(2, signal.SIGSTOP)
    report = crew.hear(0)
    assert (report["error"], report["culprit"]) == ("PeerSilent", 2), report
    assert 'party 1 ("bob"), for whom we wait, waits for it too' in report["text"]
    assert crew.hear(1)["culprit"] == 2  # from alice's abort


def test_a_stopped_receiver_is_named_by_the_one_who_cannot_send(crew: Crew) -> None:
    def body(mesh: Mesh, tell: Tell) -> None:
        if mesh.me == 1:
            tell("ready")
            # By itself: stopped from outside, it might first read what alice sends and object to it.
            os.kill(os.getpid(), signal.SIGSTOP)
        mesh.exchange(0, "big", {1: bytes(16 << 20)}, {})

    crew.start([body] * 2, deadline_s=0.6)
    assert crew.hear(1) == "ready"
    report = crew.hear(0)
    assert (report["error"], report["culprit"]) == ("PeerSilent", 1), report


def test_parties_that_wait_for_each_other_at_different_steps_have_diverged(crew: Crew) -> None:
    def body(mesh: Mesh, tell: Tell) -> None:
        mesh.collect(3 + mesh.me, "mm", {1 - mesh.me: bytearray(8)})

    crew.start([body] * 2, deadline_s=0.6)
    texts = [crew.hear(place)["text"] for place in (0, 1)]
    assert any(
        "is at step 4 mm; we are at step 3 mm; all parties wait for each other" in text for text in texts
    ) or any("is at step 3 mm; we are at step 4 mm; all parties wait for each other" in text for text in texts), texts


def test_slow_bytes_are_not_silence(crew: Crew) -> None:
    """alice needs more than a deadline to send her frame, in pieces that each come in time."""
    pieces = 6

    def alice(mesh: Mesh, tell: Tell) -> None:
        link = mesh._links[1]
        header = mesh._header(Kind.DATA, 0, "slow", pieces)
        for piece in (header + b"x", *[b"x"] * (pieces - 1)):
            link.channel.write_some(memoryview(piece))
            select.poll().poll(150)

    def bob(mesh: Mesh, tell: Tell) -> str:
        room = bytearray(pieces)
        mesh.collect(0, "slow", {0: room})
        return room.decode()

    crew.start([alice, bob], deadline_s=0.6)
    assert crew.hear(1) == {"result": "x" * pieces}


def test_an_error_of_one_party_reaches_the_others_in_its_words(crew: Crew) -> None:
    def alice(mesh: Mesh, tell: Tell) -> None:
        mesh.abort("alice.csv: line 7 has no id")

    def other(mesh: Mesh, tell: Tell) -> None:
        mesh.collect(0, "mm", {3 - mesh.me: bytearray(8)})

    crew.start([alice, other, other])
    for place in (1, 2):
        report = crew.hear(place)
        assert report["error"] == "PeerStopped", report
        assert report["culprit"] == 0
        assert 'party 0 ("alice")' in report["text"]
        assert "alice.csv: line 7 has no id" in report["text"]


def test_a_party_may_finish_long_before_the_others_and_its_last_frame_arrives(crew: Crew) -> None:
    size = 4 << 20

    def alice(mesh: Mesh, tell: Tell) -> None:
        mesh.exchange(0, "last", {1: pattern(0, 1, size)}, {})

    def bob(mesh: Mesh, tell: Tell) -> bool:
        for step in range(50):  # alice's BYE comes during these
            mesh.exchange(step, "mm", {2: bytes(8)}, {2: bytearray(8)})
        room = bytearray(size)
        mesh.collect(0, "last", {0: room})
        return room == pattern(0, 1, size)

    def producer(mesh: Mesh, tell: Tell) -> None:
        for step in range(50):
            mesh.exchange(step, "mm", {1: bytes(8)}, {1: bytearray(8)})

    crew.start([alice, bob, producer])
    assert crew.hear(1) == {"result": True}
    assert [crew.exit_code(place) for place in (0, 1, 2)] == [0, 0, 0]
