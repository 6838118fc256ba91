"""Long messages on the second connection: what is not the very next frame is refused, before anybody sees a byte of it.

The page is docs/spec/wire.md, "Bulk frames"; each line of its last table names a test here or in test_bulk_meeting.py.
"""

from __future__ import annotations

import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tacit.crypto import frame_keys
from tacit.crypto.frame_keys import NONCE, TAG_BYTES, Forged, FrameOpener, FrameSealer
from tacit.errors import Misuse, PeerDiverged, PeerGarbage, PeerLost, PeerStopped, Trouble
from tacit.net import bulk as bulk_module
from tacit.net import link as link_module
from tacit.net.bulk import BULK_BYTES_MIN, Bulk, associated
from tacit.net.bulk_meeting import Terms
from tacit.net.frames import Kind, encode_abort, encode_header
from tacit.net.mesh import Mesh

MakeRaw = Callable[..., tuple[Mesh, list[socket.socket]]]
BOB_KEY, ALICE_KEY = b"b" * 32, b"a" * 32  # of what bob sends, of what alice sends
FRAME_BYTES = 8  # in these small worlds
TEXT = b"three frames, 23 bytes."
HEADER = encode_header(Kind.DATA, 3, "mm", len(TEXT))
UNTOUCHED = 0xEE


def test_every_line_of_the_page_has_its_test() -> None:
    here = Path(__file__).parent
    page = (here.parents[1] / "docs" / "spec" / "wire.md").read_text(encoding="utf-8")
    named = re.findall(r"\| `(test_\w+)` \|", page.split("\n## Bulk frames\n")[1])
    tests = "".join(path.read_text(encoding="utf-8") for path in here.glob("test_bulk_*.py"))
    assert len(named) == 25
    assert [name for name in named if f"def {name}(" not in tests] == []


@pytest.fixture
def tcp_pair() -> Iterator[Callable[[], tuple[socket.socket, socket.socket]]]:
    made: list[socket.socket] = []

    def make() -> tuple[socket.socket, socket.socket]:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            ours = socket.create_connection(listening.getsockname())
            theirs, _ = listening.accept()
        made.extend((ours, theirs))
        theirs.settimeout(10.0)
        return ours, theirs

    yield make
    for sock in made:
        sock.close()


MakePair = Callable[[], tuple[socket.socket, socket.socket]]


@pytest.fixture
def small_world(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames of 8 bytes, and every message is long."""
    monkeypatch.setattr(bulk_module, "FRAME_PLAIN_BYTES_MAX", FRAME_BYTES)
    monkeypatch.setattr(link_module, "BULK_BYTES_MIN", 1)


class Alice:
    """A mesh with a second connection to bob, and bob's bare ends of both."""

    def __init__(self, raw: MakeRaw, tcp_pair: MakePair) -> None:
        self.mesh, (self.tls,) = raw()
        ours, self.bulk = tcp_pair()
        self.end = Bulk(ours, 'party 1 ("bob")', FrameSealer(ALICE_KEY), FrameOpener(BOB_KEY))
        self.mesh._links[1].bulk = self.end

    def hear(self, *pieces: bytes, header: bytes = HEADER) -> bytearray:
        """Bob announces a message and says `pieces`; the room in which alice collected it."""
        self.tls.sendall(header)
        for piece in pieces:
            self.bulk.sendall(piece)
        self.room = bytearray([UNTOUCHED]) * len(TEXT)
        self.mesh.collect(3, "mm", {1: self.room})
        return self.room

    def refuse(self, *pieces: bytes, frame: int = 0) -> None:
        """What `hear` would give must be refused at this frame; nothing of it, or of any later one, is to be seen."""
        with pytest.raises(PeerGarbage, match=rf'party 1 \("bob"\).*frame {frame} of long message') as caught:
            self.hear(*pieces)
        assert self.mesh.culprit == 1
        begin, end = frame * FRAME_BYTES, min((frame + 1) * FRAME_BYTES, len(TEXT))
        assert self.room[:begin] == TEXT[:begin]
        assert not any(self.room[begin:end])
        assert set(self.room[end:]) <= {UNTOUCHED}
        with pytest.raises(PeerGarbage) as again:  # the run is over
            self.mesh.collect(4, "mm", {1: bytearray(4)})
        assert again.value is caught.value


@pytest.fixture
def alice(raw: MakeRaw, tcp_pair: MakePair, small_world: None) -> Alice:
    return Alice(raw, tcp_pair)


def sealed(
    text: bytes = TEXT,
    header: bytes = HEADER,
    *,
    message: int = 0,
    sealer: FrameSealer | None = None,
    cut: int = FRAME_BYTES,
    tell: Callable[[int, int, bool], tuple[int, int, bool]] = lambda *place: place,
) -> list[bytes]:
    """The frames of one message, as an honest sender makes them unless told otherwise."""
    sealer = sealer or FrameSealer(BOB_KEY)
    frames = []
    for number, begin in enumerate(range(0, len(text), cut)):
        piece = text[begin : begin + cut]
        out = bytearray(len(piece) + TAG_BYTES)
        place = tell(message, number, begin + cut >= len(text))
        sealer.seal(memoryview(piece), associated(header, *place), memoryview(out))
        frames.append(bytes(out))
    return frames


# -- what is right


def test_an_honest_message_arrives_whether_it_comes_at_once_or_a_byte_at_a_time(alice: Alice) -> None:
    first, second = FrameSealer(BOB_KEY), b"".join
    assert alice.hear(*sealed(sealer=first)) == TEXT
    pieces = second(sealed(message=1, sealer=first))
    assert alice.hear(*(bytes([byte]) for byte in pieces)) == TEXT


def test_what_alice_sends_is_what_the_page_says(alice: Alice) -> None:
    """Byte for byte, made here from the page with nothing of bulk.py: nonces, associated data, cuts."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    alice.mesh.exchange(3, "mm", {1: TEXT}, {})
    cipher = AESGCM(ALICE_KEY)
    expected = b""
    for number in range(3):
        nonce = (0).to_bytes(4, "little") + number.to_bytes(8, "little")
        place = (0).to_bytes(8, "little") + number.to_bytes(4, "little") + bytes([number == 2])
        expected += cipher.encrypt(nonce, TEXT[8 * number : 8 * number + 8], place + HEADER)
    assert alice.tls.recv(1000) == HEADER
    assert alice.bulk.recv(1000) == expected


def test_short_messages_and_control_frames_stay_inside_tls(raw: MakeRaw, tcp_pair: MakePair) -> None:
    alice = Alice(raw, tcp_pair)
    alice.mesh.exchange(3, "mm", {1: bytes(BULK_BYTES_MIN - 1)}, {})
    alice.mesh.send_control(1, Kind.HELLO, bytes(BULK_BYTES_MIN))
    assert alice.end.bytes_sent == 0
    alice.mesh.exchange(4, "mm", {1: bytes(BULK_BYTES_MIN)}, {})
    assert alice.end.bytes_sent == BULK_BYTES_MIN + TAG_BYTES


# -- what is not the next frame


def test_a_frame_with_any_bit_changed_is_refused(tcp_pair: MakePair, small_world: None) -> None:
    right = sealed(b"short")[0]
    ours, theirs = tcp_pair()
    for bit in range(8 * len(right)):
        wrong = bytearray(right)
        wrong[bit // 8] ^= 1 << bit % 8
        end = Bulk(ours, "bob", FrameSealer(ALICE_KEY), FrameOpener(BOB_KEY))
        room = bytearray([UNTOUCHED]) * 5
        end.expect(HEADER, memoryview(room))
        theirs.sendall(wrong)
        with pytest.raises(PeerGarbage):
            drain(end)
        assert not any(room), bit


def drain(end: Bulk) -> None:
    """Pull until the message is complete or refused."""
    for _ in range(100_000):
        end.pull()
        if not end.busy:
            return
    raise AssertionError("the message never ended")


@pytest.mark.parametrize("cut", range(len(b"".join(sealed()))))
def test_a_message_cut_at_any_byte_is_a_lost_party(alice: Alice, cut: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tacit.net.loop.PARTING_S", 0.0)
    piece = b"".join(sealed())[:cut]
    alice.tls.sendall(HEADER)
    alice.bulk.sendall(piece)
    alice.bulk.shutdown(socket.SHUT_WR)
    room = bytearray([UNTOUCHED]) * len(TEXT)
    with pytest.raises(PeerLost, match=r'party 1 \("bob"\).*bulk connection was closed in the middle of a message'):
        alice.mesh.collect(3, "mm", {1: room})
    assert alice.mesh.culprit == 1
    whole = cut // (FRAME_BYTES + TAG_BYTES) * FRAME_BYTES
    assert room == TEXT[:whole] + bytes([UNTOUCHED]) * (len(TEXT) - whole)


def test_a_replayed_frame_is_refused(alice: Alice) -> None:
    first, second, third = sealed()
    alice.refuse(first, first, second, third, frame=1)


def test_a_message_that_came_before_is_refused_as_a_whole(alice: Alice) -> None:
    frames = sealed()
    assert alice.hear(*frames) == TEXT
    alice.refuse(*frames)


@pytest.mark.parametrize("order", [(1, 0, 2), (0, 2, 1), (2, 1, 0), (1, 2, 0), (2, 0, 1)])
def test_frames_in_another_order_are_refused(alice: Alice, order: tuple[int, int, int]) -> None:
    frames = sealed()
    alice.refuse(*(frames[number] for number in order), bytes(TAG_BYTES), frame=1 if order[0] == 0 else 0)


def test_a_frame_left_out_is_refused(alice: Alice) -> None:
    first, _, third = sealed()
    alice.refuse(first, third, bytes(FRAME_BYTES + TAG_BYTES), frame=1)


@pytest.mark.parametrize("calling", [False, True])
def test_our_own_frame_sent_back_is_refused(raw: MakeRaw, tcp_pair: MakePair, small_world: None, calling: bool) -> None:
    alice = Alice(raw, tcp_pair)
    ours, alice.bulk = tcp_pair()
    terms = Terms(b"s" * 32, 1, 0, b"l" * 32, b"c" * 32)
    alice.mesh._links[1].bulk = terms.bulk(ours, 'party 1 ("bob")', calling=calling)
    alice.mesh.exchange(3, "mm", {1: TEXT}, {})
    assert alice.tls.recv(1000) == HEADER
    alice.refuse(alice.bulk.recv(1000))


def test_a_frame_of_another_connection_pair_or_run_is_refused(raw: MakeRaw, tcp_pair: MakePair) -> None:
    words = (b"s" * 32, 1, 0, b"l" * 32, b"c" * 32)
    others = [
        (b"S" * 32, *words[1:]),  # another pair or run
        (*words[:1], 2, *words[2:]),
        (*words[:2], 3, *words[3:]),
        (*words[:3], b"L" * 32, words[4]),  # another connection of this pair
        (*words[:4], b"C" * 32),
    ]
    header = encode_header(Kind.DATA, 3, "mm", 4)
    for terms in (words, *others):
        here, there = tcp_pair()
        alice = Terms(*words).bulk(here, 'party 1 ("bob")', calling=False)
        bob = Terms(*terms).bulk(there, 'party 0 ("alice")', calling=True)
        bob.queue(header, memoryview(b"text"))
        bob.push()
        room = bytearray(4)
        alice.expect(header, memoryview(room))
        if terms is words:
            drain(alice)
            assert room == b"text"
        else:
            with pytest.raises(PeerGarbage):
                drain(alice)
            assert room == bytes(4)


def test_a_frame_under_the_key_before_or_after_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_keys, "FRAMES_PER_KEY", 2)
    right = frames_in_a_row(FrameSealer(BOB_KEY), 7)
    ahead, behind = FrameSealer(BOB_KEY), FrameSealer(BOB_KEY)
    ahead._turn()
    monkeypatch.setattr(behind, "_turn", lambda: None)  # it never takes another key
    for wrong, first in ((frames_in_a_row(ahead, 7), 0), (frames_in_a_row(behind, 7), 2)):
        opener = FrameOpener(BOB_KEY)
        for number in range(first):
            open_one(opener, right[number])
        with pytest.raises(Forged):
            open_one(opener, wrong[first])
    # Same key and same number of the frame: the number of the key is in the nonce as well.
    opener, other = FrameOpener(BOB_KEY), FrameSealer(BOB_KEY)
    other._keys = 1
    with pytest.raises(Forged):
        open_one(opener, frames_in_a_row(other, 1)[0])


def frames_in_a_row(sealer: FrameSealer, count: int) -> list[bytes]:
    out = [bytearray(4 + TAG_BYTES) for _ in range(count)]
    for number in range(count):
        sealer.seal(memoryview(b"text"), b"", memoryview(out[number]))
    return [bytes(frame) for frame in out]


def open_one(opener: FrameOpener, frame: bytes) -> bytes:
    room = bytearray(len(frame) - TAG_BYTES)
    opener.open(memoryview(frame), b"", memoryview(room))
    return bytes(room)


def test_keys_change_together_at_both_ends_and_no_nonce_comes_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_keys, "FRAMES_PER_KEY", 3)
    sealer, opener = FrameSealer(BOB_KEY), FrameOpener(BOB_KEY)
    used = set()
    for number in range(20):
        key_before = sealer._key
        (frame,) = frames_in_a_row(sealer, 1)
        used.add((sealer._key, NONCE.pack(sealer._keys, sealer._frames - 1)))
        assert (sealer._key == key_before) == (number == 0 or number % 3 != 0)
        assert open_one(opener, frame) == b"text"
    assert len(used) == 20
    assert len({key for key, _ in used}) == 7


def test_a_sealer_stops_before_its_numbers_end_and_after_a_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_keys, "FRAMES_PER_KEY", 2)
    monkeypatch.setattr(frame_keys, "KEYS_MAX", 3)
    sealer = FrameSealer(BOB_KEY)
    frames_in_a_row(sealer, 6)
    with pytest.raises(Trouble, match="has used 3 keys"):
        frames_in_a_row(sealer, 1)
    other = FrameSealer(BOB_KEY)
    (failed,) = frames_in_a_row(other, 1)
    with pytest.raises(ValueError, match="buffer must be"):
        other.seal(memoryview(b"text"), b"", memoryview(bytearray(3)))  # a call that fails has used its nonce up
    assert frames_in_a_row(other, 1)[0] != failed
    forked = FrameSealer(BOB_KEY)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(Misuse, match="forked"):
        frames_in_a_row(forked, 1)


def test_the_limits_of_a_key_are_those_of_the_page() -> None:
    blocks = frame_keys.FRAMES_PER_KEY * frame_keys.FRAME_PLAIN_BYTES_MAX // 16
    assert blocks == 2**30  # sigma^2 / 2^129 = 2^-69
    assert frame_keys.FRAMES_PER_KEY <= 2**32  # SP 800-38D, 8.3


def test_a_frame_sealed_for_any_other_header_is_refused(tcp_pair: MakePair, small_world: None) -> None:
    ours, theirs = tcp_pair()
    for bit in range(8 * len(HEADER)):
        other = bytearray(HEADER)
        other[bit // 8] ^= 1 << bit % 8
        end = Bulk(ours, "bob", FrameSealer(ALICE_KEY), FrameOpener(BOB_KEY))
        room = bytearray([UNTOUCHED]) * 5
        end.expect(HEADER, memoryview(room))
        theirs.sendall(sealed(b"short", bytes(other))[0])
        with pytest.raises(PeerGarbage):
            drain(end)
        assert not any(room), bit


@pytest.mark.parametrize(
    "tell",
    [
        lambda message, number, last: (message + 1, number, last),
        lambda message, number, last: (message | 1 << 63, number, last),
        lambda message, number, last: (message, number + 1, last),
        lambda message, number, last: (message, number | 1 << 31, last),
        lambda message, number, last: (message, number, not last),
    ],
)
def test_a_frame_sealed_for_another_place_in_the_stream_is_refused(
    alice: Alice, tell: Callable[[int, int, bool], tuple[int, int, bool]]
) -> None:
    alice.refuse(*sealed(tell=tell))


@pytest.mark.parametrize("cut", [size for size in range(1, len(TEXT) + 1) if size != FRAME_BYTES])
def test_a_payload_cut_otherwise_is_refused(alice: Alice, cut: int) -> None:
    alice.refuse(b"".join(sealed(cut=cut)) + bytes(2 * TAG_BYTES))


def test_bytes_that_no_header_announced_spoil_the_next_message(alice: Alice) -> None:
    sealer = FrameSealer(BOB_KEY)
    assert alice.hear(*sealed(sealer=sealer), b"\0") == TEXT
    frames = sealed(sealer=sealer, message=1)
    alice.refuse(*frames)


def test_after_one_refused_frame_nothing_is_opened_any_more() -> None:
    opener = FrameOpener(BOB_KEY)
    right = frames_in_a_row(FrameSealer(BOB_KEY), 2)
    with pytest.raises(Forged):
        open_one(opener, bytes(len(right[0])))
    with pytest.raises(Forged):
        open_one(opener, right[1])


# -- what the header inside TLS decides


@pytest.mark.parametrize("size", [1, len(TEXT) - 1, len(TEXT) + 1, 1 << 62])
def test_a_size_that_was_not_expected_is_refused_before_a_byte_is_read(alice: Alice, size: int) -> None:
    with pytest.raises(PeerDiverged, match=f"sends {size} bytes at step 3 mm; we expect {len(TEXT)} bytes"):
        alice.hear(*sealed(), header=encode_header(Kind.DATA, 3, "mm", size))
    assert alice.end.bytes_received == 0
    assert set(alice.room) == {UNTOUCHED}


def test_a_long_payload_inside_tls_is_refused(alice: Alice) -> None:
    """It stands where the next header is expected; and no frame on the other connection answers for it."""
    alice.tls.sendall(HEADER + TEXT)
    with pytest.raises(PeerGarbage, match="unknown frame kind"):
        alice.mesh.collect(3, "mm", {1: bytearray(len(TEXT))})
    assert alice.mesh.culprit == 1


def test_an_abort_is_heard_in_the_middle_of_a_long_message(alice: Alice) -> None:
    payload = encode_abort(None, "bob.csv: line 7 has no id")
    alice.tls.sendall(HEADER + encode_header(Kind.ABORT, 0, "", len(payload)) + payload)
    alice.bulk.sendall(sealed()[0])
    with pytest.raises(PeerStopped, match=r"bob\.csv: line 7 has no id"):
        alice.mesh.collect(3, "mm", {1: bytearray(len(TEXT))})


def test_an_abort_counts_for_more_than_a_broken_bulk_connection(alice: Alice) -> None:
    """The end of the one may overtake the last words on the other."""

    def last_words() -> None:
        threading.Event().wait(0.1)
        alice.tls.sendall(encode_header(Kind.ABORT, 0, "", len(payload)) + payload)
        alice.tls.shutdown(socket.SHUT_WR)

    payload = encode_abort(None, "bob.csv: line 7 has no id")
    alice.tls.sendall(HEADER)
    alice.bulk.close()
    speaking = threading.Thread(target=last_words)
    speaking.start()
    with pytest.raises(PeerStopped, match=r"bob\.csv: line 7 has no id"):
        alice.mesh.collect(3, "mm", {1: bytearray(len(TEXT))})
    speaking.join()


def test_leaving_with_unread_bytes_ends_the_bulk_connection_without_a_reset(alice: Alice) -> None:
    """A reset could take bytes with it that the other side has not read yet."""
    alice.bulk.sendall(bytes(1000))
    alice.mesh.close()
    assert alice.bulk.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    assert alice.bulk.recv(1) == b""


def test_a_long_message_whose_sender_has_said_bye_still_arrives(alice: Alice) -> None:
    frames = sealed()
    alice.bulk.sendall(b"".join(frames))
    alice.bulk.shutdown(socket.SHUT_WR)
    alice.tls.sendall(HEADER + encode_header(Kind.BYE, 0, "", 0))
    alice.tls.shutdown(socket.SHUT_WR)
    room = bytearray(len(TEXT))
    alice.mesh.collect(3, "mm", {1: room})
    assert room == TEXT


def test_long_messages_announced_before_a_proper_end_can_still_be_asked_for(alice: Alice) -> None:
    """The search for last words knows that nothing follows their headers inside TLS."""
    other = encode_header(Kind.DATA, 4, "mm", len(TEXT))
    sealer = FrameSealer(BOB_KEY)
    alice.tls.sendall(HEADER + other + encode_header(Kind.BYE, 0, "", 0))
    alice.tls.shutdown(socket.SHUT_WR)
    alice.bulk.sendall(b"".join((*sealed(sealer=sealer), *sealed(sealer=sealer, message=1, header=other))))
    alice.mesh._links[1].last_words()
    for step in (3, 4):
        room = bytearray(len(TEXT))
        alice.mesh.collect(step, "mm", {1: room})
        assert room == TEXT


def test_a_message_that_is_not_complete_is_a_lost_party_although_it_said_bye(alice: Alice) -> None:
    alice.bulk.sendall(sealed()[0])
    alice.bulk.shutdown(socket.SHUT_WR)
    alice.tls.sendall(HEADER + encode_header(Kind.BYE, 0, "", 0))
    alice.tls.shutdown(socket.SHUT_WR)
    with pytest.raises(PeerLost, match="in the middle of a message"):
        alice.mesh.collect(3, "mm", {1: bytearray(len(TEXT))})


def test_pings_are_read_in_the_middle_of_a_long_message_and_are_no_progress(alice: Alice) -> None:
    link = alice.mesh._links[1]
    alice.tls.sendall(HEADER + encode_header(Kind.PING, 3, "mm", 0) * 10 + encode_header(Kind.DATA, 4, "mm", 4))
    alice.bulk.sendall(b"".join(sealed()))
    room = bytearray(len(TEXT))
    alice.mesh.collect(3, "mm", {1: room})
    assert room == TEXT
    assert link.moved_bytes == len(TEXT) + 3 * TAG_BYTES


# -- what breaks off on our own side


def test_after_an_interruption_the_old_array_is_not_filled_by_the_next_message(alice: Alice) -> None:
    class Interruption(BaseException):
        pass

    def serve(events: object) -> None:
        raise Interruption

    alice.mesh._serve = serve  # type: ignore[method-assign]
    with pytest.raises(Interruption):
        alice.hear(sealed()[0])
    del alice.mesh._serve  # type: ignore[method-assign]
    alice.bulk.sendall(b"".join(sealed()[1:]))
    with pytest.raises(Misuse, match=r"Interruption broke off an exchange.*step 3 mm"):
        alice.mesh.exchange(4, "mm", {}, {1: bytearray(len(TEXT))})


@pytest.mark.parametrize("fault", [Misuse("a fork"), Trouble("key limit"), KeyboardInterrupt()])
def test_a_frame_that_could_not_be_sealed_is_followed_by_nothing(alice: Alice, fault: BaseException) -> None:
    """Above all not by the frame before it, which lies in the same memory."""
    seal, count = alice.end._sealer.seal, iter(range(10))

    def fails_once(*arguments: memoryview) -> None:
        if next(count) == 1:
            raise fault
        seal(*arguments)  # type: ignore[arg-type]

    alice.end._sealer.seal = fails_once  # type: ignore[method-assign, assignment]
    with pytest.raises(type(fault)):
        alice.mesh.exchange(3, "mm", {1: TEXT}, {})
    with pytest.raises(type(fault) if isinstance(fault, Trouble) else Misuse):
        alice.mesh.exchange(4, "mm", {1: TEXT}, {})
    alice.end.queue(HEADER, memoryview(TEXT))
    with pytest.raises(EOFError, match="given up"):
        alice.end.push()
    alice.mesh.close()
    assert len(alice.bulk.recv(1000)) == FRAME_BYTES + TAG_BYTES
    assert alice.bulk.recv(1000) == b""


def test_one_push_ends_after_a_bounded_amount_although_more_would_fit(
    alice: Alice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_module, "TURN_BYTES_MAX", 2 * (FRAME_BYTES + TAG_BYTES))
    alice.end.queue(HEADER, memoryview(TEXT))
    assert alice.end.push() == 2 * (FRAME_BYTES + TAG_BYTES)
    assert alice.end.push() == len(TEXT) - 2 * FRAME_BYTES + TAG_BYTES
    assert alice.end.push() == 0


def test_an_idle_bulk_connection_is_kept_open(alice: Alice) -> None:
    assert alice.end._sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert alice.end._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60


def test_no_key_and_no_content_is_in_a_repr_or_an_error(alice: Alice) -> None:
    sealer = FrameSealer(BOB_KEY)
    assert repr(sealer) == "FrameSealer(key 0, frame 0)"
    with pytest.raises(PeerGarbage) as caught:
        alice.hear(*(bytes(len(frame)) for frame in sealed()))
    assert BOB_KEY.decode() not in str(caught.value)
