"""The codec: what it refuses, and that what it accepts means what was sent."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tacit.errors import PeerDiverged, PeerGarbage
from tacit.net import frames
from tacit.net.frames import FIXED_HEADER, KINDS, RULES, Frame, Kind, check_data, decode_header, encode_header

BOB = 'party 1 ("bob")'

labels = st.text(min_size=1, max_size=40).filter(lambda text: text.isprintable() and len(text.encode()) <= 40)
words_64 = st.integers(0, 2**64 - 1)


def decode(raw: bytes) -> Frame | None:
    return decode_header(memoryview(raw), BOB)


@settings(max_examples=40, deadline=None)
@given(step=words_64, label=labels, payload_bytes=words_64)
def test_a_data_header_is_read_as_it_was_written(step: int, label: str, payload_bytes: int) -> None:
    raw = encode_header(Kind.DATA, step, label, payload_bytes)
    assert decode(raw) == Frame(Kind.DATA, step, label, payload_bytes, len(raw))
    assert all(decode(raw[:count]) is None for count in range(len(raw)))


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_a_rule_and_goes_there_and_back(kind: Kind) -> None:
    rule = RULES[kind]
    place = (7, "mm") if rule.has_place else (0, "")
    size = 10**12 if rule.payload_bytes_max is None else rule.payload_bytes_max
    raw = encode_header(kind, *place, size)
    assert decode(raw) == Frame(kind, *place, size, len(raw))


def test_no_single_bit_turns_one_kind_into_another() -> None:
    assert all((int(a) ^ int(b)).bit_count() >= 2 for a in Kind for b in Kind if a is not b)


@pytest.mark.parametrize("kind", Kind)
def test_every_bit_flip_in_a_header_is_refused_or_changes_what_the_receiver_checks(kind: Kind) -> None:
    rule = RULES[kind]
    place = (118, "relu") if rule.has_place else (0, "")
    size = 800 if rule.payload_bytes_max is None else rule.payload_bytes_min
    honest = encode_header(kind, *place, size)
    for bit in range(8 * len(honest)):
        flipped = bytearray(honest)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            frame = decode(bytes(flipped) + b"z")  # a longer label eats into the payload
        except PeerGarbage:
            continue
        assert frame is None or frame[:4] != (kind, *place, size), f"bit {bit} went unnoticed"
        if frame is not None and kind is Kind.DATA:
            with pytest.raises(PeerDiverged):
                check_data(frame, step=118, label="relu", payload_bytes=800, sender=BOB)


def fixed(code: int, label_bytes: int = 0, reserved: int = 0, step: int = 0, payload_bytes: int = 0) -> bytes:
    return FIXED_HEADER.pack(code, label_bytes, reserved, step, payload_bytes)


MALFORMED = {
    "unknown frame kind 0x00": fixed(0),
    "unknown frame kind 0x47": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "reserved bits of a DATA frame are 0x0001": fixed(Kind.DATA, 1, 1) + b"x",
    "a label of 41 bytes": fixed(Kind.DATA, 41) + b"x" * 41,
    "a DATA frame without a label": fixed(Kind.DATA),
    "a BYE frame with a label": fixed(Kind.BYE, 1) + b"x",
    "a HELLO frame with step 3": fixed(Kind.HELLO, 0, 0, 3),
    "a label that is not UTF-8": fixed(Kind.DATA, 2) + b"\xc3\x28",
    "a label with characters that cannot be printed": fixed(Kind.DATA, 4) + b"\x1b[2J",
    "a HELLO frame that claims 65537 bytes": fixed(Kind.HELLO, payload_bytes=65537),
    "a PING frame that claims 256 bytes": fixed(Kind.PING, 1, payload_bytes=256) + b"x",
    "a BYE frame that claims 1 bytes": fixed(Kind.BYE, payload_bytes=1),
    "a ABORT frame of 0 bytes": fixed(Kind.ABORT),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_each_malformed_header_has_its_own_message_that_names_the_party(what: str) -> None:
    with pytest.raises(PeerGarbage) as caught:
        decode(MALFORMED[what])
    assert what in caught.value.message
    assert BOB in caught.value.message
    assert caught.value.hint


def test_divergence_names_both_places_and_says_what_to_do() -> None:
    frame = decode(encode_header(Kind.DATA, 117, "relu", 8))
    assert frame is not None
    with pytest.raises(PeerDiverged) as caught:
        check_data(frame, step=118, label="mm", payload_bytes=8, sender=BOB)
    assert caught.value.message == f"{BOB} is at step 117 relu; we are at step 118 mm"
    assert "same program" in (caught.value.hint or "")


def test_another_size_at_the_same_step_names_both_sizes() -> None:
    frame = decode(encode_header(Kind.DATA, 118, "mm", 2**40))
    assert frame is not None
    with pytest.raises(PeerDiverged, match=f"{2**40} bytes at step 118 mm; we expect 800 bytes"):
        check_data(frame, step=118, label="mm", payload_bytes=800, sender=BOB)


@pytest.mark.parametrize(
    "bad",
    [
        (Kind.DATA, 0, "", 1),
        (Kind.DATA, 0, "x" * 41, 1),
        (Kind.DATA, 0, "a\nb", 1),
        (Kind.DATA, -1, "x", 1),
        (Kind.BYE, 0, "x", 0),
        (Kind.HELLO, 1, "", 0),
        (Kind.HELLO, 0, "", 65537),
    ],
)
def test_we_do_not_write_what_we_would_refuse(bad: tuple[Kind, int, str, int]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        encode_header(*bad)


def test_random_headers_are_refused_or_obey_every_rule() -> None:
    accepted = 0
    messages: set[str] = set()
    for _ in range(4000):
        raw = bytearray(os.urandom(70))
        raw[0] = int(list(Kind)[raw[0] % len(Kind)])  # or nearly all would fall at the first byte
        if raw[69] & 1:
            raw[2:4] = bytes(2)
        if raw[69] & 2:
            raw[1] %= 8
            raw[20:28] = b"relu mm "
        if raw[69] & 4:
            raw[4:20] = bytes(16)
        if raw[69] & 8:
            raw[1] = 0
        try:
            frame = decode(bytes(raw))
        except PeerGarbage as refusal:
            messages.add(refusal.message)
            continue
        assert frame is not None, raw.hex()
        accepted += 1
        assert KINDS[raw[0]] is frame.kind
        assert encode_header(*frame[:4]) == bytes(raw[: frame.header_bytes]), raw.hex()
    assert accepted > 50
    assert len(messages) > 50
    assert all(message.isprintable() for message in messages)


@settings(max_examples=40, deadline=None)
@given(text=st.text(max_size=700), culprit=st.none() | st.integers(0, 2))
def test_an_abort_reason_is_one_printable_line_of_bounded_length(text: str, culprit: int | None) -> None:
    payload = frames.encode_abort(culprit, text)
    assert len(payload) <= (RULES[Kind.ABORT].payload_bytes_max or 0)
    who, reason = frames.decode_abort(payload, BOB, 3)
    assert who == culprit
    assert len(reason) <= frames.REASON_CHARACTERS_MAX
    assert reason == "" or reason.isprintable()


def test_places_that_do_not_exist_are_refused() -> None:
    with pytest.raises(PeerGarbage, match="blames place 3 of 3"):
        frames.decode_abort(b"\x03why", BOB, 3)
    with pytest.raises(PeerGarbage, match="waits for place 9 of 3"):
        frames.decode_ping(b"\x00\x09", BOB, 3)
