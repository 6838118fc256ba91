"""The mesh within one process: order, parking, refusals, last words."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from tacit.errors import Misuse, PeerDiverged, PeerGarbage, PeerLost, PeerSilent, PeerStopped
from tacit.net.frames import FIXED_HEADER, Kind, encode_abort, encode_header
from tacit.net.mesh import Mesh

MakeMeshes = Callable[..., list[Mesh]]
MakeRaw = Callable[..., tuple[Mesh, list[socket.socket]]]


def data(step: int, label: str, payload: bytes) -> bytes:
    return encode_header(Kind.DATA, step, label, len(payload)) + payload


def control(kind: Kind, payload: bytes = b"") -> bytes:
    return encode_header(kind, 0, "", len(payload)) + payload


def received(mesh: Mesh, peer: int, step: int, label: str, size: int) -> bytes:
    room = bytearray(size)
    mesh.collect(step, label, {peer: room})
    return bytes(room)


def test_frames_arrive_in_order_and_empty_ones_count(meshes: MakeMeshes) -> None:
    alice, bob = meshes()
    for step, payload in enumerate((b"one", b"", b"three")):
        alice.post(1, step, "mm", payload)
    assert [received(bob, 0, step, "mm", size) for step, size in enumerate((3, 0, 5))] == [b"one", b"", b"three"]


def test_any_contiguous_buffer_will_do_and_no_other(meshes: MakeMeshes) -> None:
    alice, bob = meshes()
    words = memoryview(bytearray(32)).cast("q", (2, 2))
    words[1, 0] = -5
    alice.post(1, 0, "mm", words)
    room = memoryview(bytearray(32)).cast("q", (2, 2))
    bob.collect(0, "mm", {0: room})
    assert room[1, 0] == -5
    with pytest.raises(ValueError, match="contiguous"):
        alice.post(1, 1, "mm", memoryview(bytearray(8))[::2])
    with pytest.raises(ValueError, match="write"):
        bob.collect(1, "mm", {0: bytes(8)})


def test_a_frame_nobody_asked_for_stays_parked_until_it_is(meshes: MakeMeshes) -> None:
    alice, bob, producer = meshes(3)
    bob.post(0, 5, "early", b"bob at 5")
    producer.post(0, 4, "mm", b"now")
    assert received(alice, 2, 4, "mm", 3) == b"now"
    assert received(alice, 1, 5, "early", 8) == b"bob at 5"


def test_control_frames_go_both_ways_before_data(meshes: MakeMeshes) -> None:
    alice, bob = meshes()
    alice.send_control(1, Kind.HELLO, b"h" * 65536)
    bob.send_control(0, Kind.HELLO, b"")
    alice.post(1, 0, "mm", b"x")
    assert bob.receive_control(0, Kind.HELLO) == b"h" * 65536
    assert alice.receive_control(1, Kind.HELLO) == b""
    assert received(bob, 0, 0, "mm", 1) == b"x"
    with pytest.raises(ValueError, match="BYE"):
        alice.send_control(1, Kind.BYE, b"")


def test_another_step_is_divergence_and_is_repeated_by_every_later_call(meshes: MakeMeshes) -> None:
    alice, bob = meshes()
    bob.post(0, 117, "relu", b"12345678")
    for _ in range(2):
        with pytest.raises(PeerDiverged, match=r'party 1 \("bob"\) is at step 117 relu; we are at step 118 mm'):
            received(alice, 1, 118, "mm", 8)
    assert alice.culprit == 1


MISPLACED: dict[str, tuple[bytes, type[Exception], str]] = {
    "another size": (data(3, "mm", b"1234"), PeerDiverged, "sends 4 bytes at step 3 mm; we expect 8 bytes"),
    "2^40 bytes": (encode_header(Kind.DATA, 3, "mm", 2**40), PeerDiverged, f"sends {2**40} bytes"),
    "HELLO": (control(Kind.HELLO, b"hi"), PeerDiverged, "sent HELLO; we are at step 3 mm"),
    "WELCOME": (control(Kind.WELCOME), PeerDiverged, "sent WELCOME"),
    "HELLO of 2^40": (FIXED_HEADER.pack(Kind.HELLO, 0, 0, 0, 2**40), PeerGarbage, f"claims {2**40} bytes"),
    "zeros": (b"\x00" * 64, PeerGarbage, "unknown frame kind"),
    "DATA after BYE": (control(Kind.BYE) + data(3, "mm", b"12345678"), PeerLost, "finished"),
    "zeros after BYE": (control(Kind.BYE) + b"\x00" * 64, PeerLost, "finished"),
    "a PING to itself": (encode_header(Kind.PING, 3, "mm", 1) + b"\x01", PeerGarbage, "waits for its own sender"),
    "an ABORT": (control(Kind.ABORT, encode_abort(None, "disk full")), PeerStopped, '"bob"\\) stopped: disk full'),
    "an ABORT at us": (control(Kind.ABORT, encode_abort(0, "wrong size")), PeerStopped, "names us as the cause: wrong"),
}


@pytest.mark.parametrize("what", MISPLACED)
def test_what_cannot_stand_where_data_is_due(raw: MakeRaw, what: str) -> None:
    sent, error, text = MISPLACED[what]
    alice, (bob,) = raw()
    bob.sendall(sent)
    with pytest.raises(error, match=text):
        received(alice, 1, 3, "mm", 8)
    assert alice.culprit == 1


def test_bytes_after_bye_are_refused_although_nobody_asked(raw: MakeRaw) -> None:
    alice, (bob, _) = raw(3)
    bob.sendall(control(Kind.BYE) + data(3, "mm", b"12345678"))
    with pytest.raises(PeerGarbage, match=r"bob.*something after BYE"):
        received(alice, 2, 3, "mm", 8)


def test_data_where_the_handshake_is_due_is_divergence(raw: MakeRaw) -> None:
    alice, (bob,) = raw()
    bob.sendall(data(0, "mm", b"1234"))
    with pytest.raises(PeerDiverged, match="step 0 mm; we are in the handshake and wait for HELLO"):
        alice.receive_control(1, Kind.HELLO)


def test_a_claim_of_2_to_the_40_allocates_nothing(raw: MakeRaw) -> None:
    import tracemalloc

    alice, (bob, producer) = raw(3)
    bob.sendall(encode_header(Kind.DATA, 9, "mm", 2**40))
    producer.sendall(data(3, "mm", b"1"))
    tracemalloc.start()
    try:
        assert received(alice, 2, 3, "mm", 1) == b"1"  # parked meanwhile
        with pytest.raises(PeerDiverged):
            received(alice, 1, 9, "mm", 8)
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()


def test_a_lost_connection_is_noticed_while_waiting_for_somebody_else(raw: MakeRaw) -> None:
    alice, (bob, _) = raw(3)
    bob.close()
    with pytest.raises(PeerLost, match=r'party 1 \("bob"\) ended at our step 7 relu'):
        received(alice, 2, 7, "relu", 8)


def test_a_lost_connection_is_noticed_behind_a_parked_frame(raw: MakeRaw) -> None:
    alice, (bob, producer) = raw(3)
    bob.sendall(data(8, "later", b"x" * 100_000))
    producer.sendall(data(7, "relu", b"1"))
    assert received(alice, 2, 7, "relu", 1) == b"1"
    bob.close()
    with pytest.raises(PeerLost, match="bob"):
        received(alice, 2, 8, "relu", 1)


def test_a_half_closed_connection_is_noticed_behind_a_parked_frame(raw: MakeRaw) -> None:
    alice, (bob, producer) = raw(3)
    bob.sendall(data(8, "later", b"x" * 100_000))
    producer.sendall(data(7, "relu", b"1"))
    assert received(alice, 2, 7, "relu", 1) == b"1"
    bob.shutdown(socket.SHUT_WR)
    with pytest.raises(PeerLost, match="bob"):
        received(alice, 2, 8, "relu", 1)


def test_a_party_that_has_finished_is_no_loss_and_its_frames_can_still_be_had(raw: MakeRaw) -> None:
    alice, (bob, producer) = raw(3)
    big = bytes(range(256)) * 500
    bob.sendall(data(8, "later", big) + data(9, "last", b"end") + control(Kind.BYE))
    bob.close()
    for step in (6, 7):
        producer.sendall(data(step, "relu", b"1"))
        assert received(alice, 2, step, "relu", 1) == b"1"
    assert received(alice, 1, 8, "later", len(big)) == big
    assert received(alice, 1, 9, "last", 3) == b"end"
    with pytest.raises(PeerLost, match="finished"):
        received(alice, 1, 10, "more", 1)


def test_posting_to_a_party_that_has_finished_is_refused(raw: MakeRaw) -> None:
    alice, (bob, producer) = raw(3)
    bob.sendall(control(Kind.BYE))
    bob.close()
    producer.sendall(data(0, "mm", b"1"))
    assert received(alice, 2, 0, "mm", 1) == b"1"
    with pytest.raises(PeerLost, match=r"bob.*finished"):
        alice.exchange(1, "mm", {1: b"x"}, {})


def test_last_words_count_for_more_than_the_end_of_the_connection(raw: MakeRaw) -> None:
    alice, (bob, _) = raw(3)
    bob.sendall(data(8, "later", b"x" * 50_000) + control(Kind.ABORT, encode_abort(None, "out of memory")))
    bob.close()
    with pytest.raises(PeerStopped, match="stopped: out of memory; we were at step 7 relu"):
        received(alice, 2, 7, "relu", 8)


def test_last_words_are_heard_when_a_write_fails(raw: MakeRaw) -> None:
    alice, (bob, _) = raw(3)
    bob.sendall(control(Kind.ABORT, encode_abort(None, "out of memory")))
    bob.close()
    with pytest.raises(PeerStopped, match="out of memory"):
        alice.post(1, 0, "mm", b"x" * 100)


def test_an_abort_that_blames_a_third_party_names_it_first(raw: MakeRaw) -> None:
    alice, (bob, _) = raw(3)
    bob.sendall(control(Kind.ABORT, encode_abort(2, "sent nothing for 30 s")))
    with pytest.raises(PeerStopped, match=r'^party 2 \("crypto-producer"\) is the cause, says party 1 \("bob"\)'):
        received(alice, 1, 0, "mm", 8)
    assert alice.culprit == 2


def test_two_parties_that_blame_each_other_and_leave_do_not_confuse_us(raw: MakeRaw) -> None:
    alice, (bob, producer) = raw(3)
    bob.sendall(data(9, "x", b"1") + control(Kind.ABORT, encode_abort(2, "it began")))
    producer.sendall(data(9, "x", b"1") + control(Kind.ABORT, encode_abort(1, "it began")))
    bob.close()
    producer.close()
    with pytest.raises(PeerStopped, match="it began"):
        alice.exchange(9, "y", {1: b"z"}, {})


def test_what_we_saw_ourselves_counts_for_more_than_hearsay(raw: MakeRaw) -> None:
    alice, (bob, producer) = raw(3)
    producer.close()
    bob.sendall(control(Kind.ABORT, encode_abort(2, "lost")))
    with pytest.raises(PeerLost, match=r'party 2 \("crypto-producer"\)'):
        received(alice, 1, 0, "mm", 8)


def test_an_abort_carries_the_party_that_our_own_error_blamed(raw: MakeRaw) -> None:
    alice, (bob, producer) = raw(3)
    producer.close()
    with pytest.raises(PeerLost):
        received(alice, 1, 0, "mm", 8)
    alice.abort("lost \x1b[31mit")
    expected = control(Kind.ABORT, encode_abort(2, "lost  [31mit"))
    assert bob.recv(4096) == expected
    assert bob.recv(4096) == b""


def test_a_deadline_counts_silence_and_not_duration(raw: MakeRaw) -> None:
    alice, (bob,) = raw(deadline_s=0.3)
    frame = data(0, "mm", b"x" * 64)
    bob.sendall(frame[:-1])
    with pytest.raises(PeerSilent, match=r'party 1 \("bob"\).*at step 0 mm') as caught:
        received(alice, 1, 0, "mm", 64)
    assert caught.value.hint


def test_waiting_parties_say_so_and_pings_are_not_progress(raw: MakeRaw) -> None:
    alice, (bob,) = raw(deadline_s=0.3)
    with pytest.raises(PeerSilent):
        received(alice, 1, 4, "mm", 8)
    ping = encode_header(Kind.PING, 4, "mm", 1) + b"\x01"
    heard = bob.recv(4096)
    assert heard in (ping, ping * 2, ping * 3)


def test_statistics_count_payload_frames_and_the_socket(meshes: MakeMeshes) -> None:
    alice, bob = meshes()
    alice.post(1, 0, "mm", b"x" * 100_000)
    alice.post(1, 1, "mm", b"x" * 10)
    received(bob, 0, 0, "mm", 100_000)
    received(bob, 0, 1, "mm", 10)
    sent, got = alice.statistics()[1], bob.statistics()[0]
    header_bytes = len(encode_header(Kind.DATA, 0, "mm", 1))
    assert (sent.payload_bytes_sent, sent.frames_sent) == (100_010, 2)
    assert sent.socket_bytes_sent == 100_010 + 2 * header_bytes
    assert (got.payload_bytes_received, got.frames_received) == (100_010, 2)
    assert got.socket_bytes_received == sent.socket_bytes_sent


def test_a_closed_mesh_refuses(meshes: MakeMeshes) -> None:
    alice, bob = meshes()
    alice.close()
    with pytest.raises(PeerLost, match="closed"):
        alice.post(1, 0, "mm", b"x")
    with pytest.raises(PeerLost, match="finished"):
        received(bob, 0, 0, "mm", 1)


# -- a program that catches what broke an exchange off, and goes on


class Interruption(BaseException):
    """As KeyboardInterrupt, or a timeout that a program has set."""


def interrupted(line: int, call: Callable[[], None]) -> bool:
    """Whether `call` came to the `line`th line that it executes in tacit/net; it is interrupted in front of it."""
    seen = 0

    def watch(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal seen
        if "/tacit/net/" not in frame.f_code.co_filename:
            return None
        if event == "line":
            seen += 1
            if seen == line:
                raise Interruption
        return watch

    before = sys.gettrace()
    sys.settrace(watch)
    try:
        call()
    except Interruption:
        return True
    finally:
        sys.settrace(before)
    return False


def everything_from(sock: socket.socket) -> bytes:
    pieces = []
    with contextlib.suppress(ConnectionResetError):  # how a local socket ends that had something unread
        while piece := sock.recv(1 << 20):
            pieces.append(piece)
    return b"".join(pieces)


def test_wherever_an_exchange_is_interrupted_no_later_one_is_wrong_and_no_peer_gets_a_byte_twice(
    meshes: MakeMeshes, raw: MakeRaw
) -> None:
    """At every line of it, one after another. Nothing has happened yet and it can be repeated, or the run is over."""
    theirs, ours = bytes(range(1, 251)) * 160, b"o" * 40_000
    outcomes = set()
    for line in range(1, 1000):
        alice, (bob,) = raw()
        bob.sendall(data(0, "mm", theirs))
        posted, room = bytearray(ours), bytearray(len(theirs))
        hit = interrupted(line, lambda: alice.exchange(0, "mm", {1: posted}, {1: room}))  # noqa: B023
        if not hit:
            assert room == theirs
            break
        posted[:] = bytes(len(posted)) if alice._fault is not None else ours  # it is the program's again
        room = bytearray(len(theirs))
        if alice._fault is None:
            outcomes.add("repeated")
            alice.exchange(0, "mm", {1: posted}, {1: room})
            assert room == theirs, line
        else:
            outcomes.add("refused")
            with pytest.raises(Misuse, match=r"Interruption broke off an exchange .* at step 0 mm"):
                alice.exchange(0, "mm", {1: posted}, {1: room})
            assert not any(room), line
            with pytest.raises(Misuse):
                alice.post(1, 1, "other", b"x")
            with pytest.raises(Misuse):
                received(alice, 1, 1, "other", 8)
        alice.close()
        said, frame = everything_from(bob), data(0, "mm", ours)
        ends = [control(Kind.BYE)] if alice._fault is None else [
            control(Kind.ABORT, encode_abort(None, "it broke off an exchange")), b""
        ]  # fmt: skip
        torn = alice._fault is not None and frame.startswith(said)
        assert torn or any(said in (frame + end, end) for end in ends), (line, len(said), said[-120:])
    else:
        raise AssertionError("the exchange never ended")
    assert line > 60
    assert outcomes == {"repeated", "refused"}


def test_what_was_posted_before_an_interruption_leaves_as_it_was_although_the_program_has_it_back(raw: MakeRaw) -> None:
    alice, (bob,) = raw(deadline_s=0.3)
    posted = bytearray(b"o" * (1 << 20))  # more than the socket holds

    def interrupt(events: object) -> None:
        raise Interruption

    alice._serve = interrupt  # type: ignore[method-assign]
    with pytest.raises(Interruption):
        alice.exchange(0, "mm", {1: posted}, {1: bytearray(8)})
    posted[:] = bytes(len(posted))
    reading = threading.Thread(target=lambda: heard.append(everything_from(bob)))
    heard: list[bytes] = []
    reading.start()
    alice.abort("stopped")
    reading.join()
    assert heard == [data(0, "mm", b"o" * (1 << 20)) + control(Kind.ABORT, encode_abort(None, "stopped"))]


def test_a_run_that_broke_off_does_not_end_with_bye(raw: MakeRaw) -> None:
    alice, (bob,) = raw()
    bob.sendall(data(1, "mm", b"12345678"))
    with pytest.raises(PeerDiverged) as caught:
        received(alice, 1, 2, "mm", 8)
    alice.close()
    assert everything_from(bob) == control(Kind.ABORT, encode_abort(1, caught.value.message))


def test_an_array_that_cannot_be_sent_is_refused_before_anything_is(meshes: MakeMeshes) -> None:
    alice, bob, _ = meshes(3)
    with pytest.raises(ValueError, match="contiguous"):
        alice.exchange(0, "mm", {1: b"good", 2: memoryview(bytearray(8))[::2]}, {})
    alice.exchange(0, "mm", {1: b"next"}, {})
    assert received(bob, 0, 0, "mm", 4) == b"next"
