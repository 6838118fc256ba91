"""The frame codec: bytes in, a frame or an error out. No sockets, no clock, no memory beyond the header.

Implements docs/spec/wire.md, "Frames". Every message between two parties is one frame: a fixed header, a label, a
payload. This module decides whether a header may stand; who reads the payload, and into which memory, is decided
elsewhere and only after the header passed.
Not here: what the payload of HELLO and CONFIRM means (session), and when a frame is sent (mesh).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from tacit.errors import PeerDiverged, PeerGarbage

FIXED_HEADER = struct.Struct("<BBHQQ")  # kind, label_bytes, reserved, step, payload_bytes
LABEL_BYTES_MAX = 40
HEADER_BYTES_MAX = FIXED_HEADER.size + LABEL_BYTES_MAX
CONTROL_BYTES_MAX = 64 * 1024
REASON_CHARACTERS_MAX = 500
PLACES_MAX = 255
NO_CULPRIT = 255  # in an ABORT: the sender stopped for a reason of its own

SAME_PROGRAM = "all parties must run the same program; compare  tacit run --show  at each site"
NOT_TACIT = "is the same version of tacit running there? if it is, something on the way changes bytes"


class Kind(IntEnum):
    """First byte of a frame. Low half = complement of the high half, so no single bit turns one into another."""

    HELLO = 0x1E
    CONFIRM = 0x2D
    DATA = 0x3C
    PING = 0x4B
    ABORT = 0x5A
    BYE = 0x69
    WELCOME = 0x78


@dataclass(frozen=True, slots=True)
class Rule:
    """What a header of one kind may say. `payload_bytes_max` None: exactly what the receiver expects, no cap here."""

    payload_bytes_max: int | None
    payload_bytes_min: int = 0
    has_place: bool = False  # carries a step and a label


RULES: dict[Kind, Rule] = {
    Kind.HELLO: Rule(CONTROL_BYTES_MAX),
    Kind.CONFIRM: Rule(CONTROL_BYTES_MAX),
    Kind.DATA: Rule(None, has_place=True),
    Kind.PING: Rule(PLACES_MAX, has_place=True),
    Kind.ABORT: Rule(1 + 4 * REASON_CHARACTERS_MAX, payload_bytes_min=1),
    Kind.BYE: Rule(0),
    Kind.WELCOME: Rule(0),
}
KINDS = {int(kind): kind for kind in Kind}


class Frame(NamedTuple):
    """A header that passed every rule. The payload follows it on the stream."""

    kind: Kind
    step: int
    label: str
    payload_bytes: int
    header_bytes: int


def describe(place: int, name: str) -> str:
    """How every message names a party."""
    return f'party {place} ("{name}")'


def encode_header(kind: Kind, step: int, label: str, payload_bytes: int) -> bytes:
    """Header and label of a frame. A caller who breaks a rule of its own house gets ValueError."""
    raw = label.encode()
    rule = RULES[kind]
    if len(raw) > LABEL_BYTES_MAX or not label.isprintable():
        raise ValueError(f"a label has at most {LABEL_BYTES_MAX} printable bytes: {label!r}")
    if rule.has_place != bool(raw) or (step and not rule.has_place):
        raise ValueError(f"{kind.name}: step and label are {'needed' if rule.has_place else 'not allowed'}")
    if rule.payload_bytes_max is not None and not rule.payload_bytes_min <= payload_bytes <= rule.payload_bytes_max:
        raise ValueError(f"{kind.name}: a payload of {payload_bytes} bytes is out of bounds")
    if not (0 <= step < 1 << 64 and 0 <= payload_bytes < 1 << 64):
        raise ValueError("step and payload size are unsigned 64-bit numbers")
    return FIXED_HEADER.pack(kind, len(raw), 0, step, payload_bytes) + raw


def decode_header(stream: memoryview, sender: str) -> Frame | None:
    """The frame whose header starts `stream`, or None if more bytes are needed. Looks at nothing behind the label."""
    if len(stream) < FIXED_HEADER.size:
        return None
    code, label_bytes, reserved, step, payload_bytes = FIXED_HEADER.unpack_from(stream)
    kind = KINDS.get(code)
    if kind is None:
        raise _garbage(sender, f"unknown frame kind 0x{code:02x}")
    if reserved != 0:
        raise _garbage(sender, f"reserved bits of a {kind.name} frame are 0x{reserved:04x}, expected zero")
    if label_bytes > LABEL_BYTES_MAX:
        raise _garbage(sender, f"a label of {label_bytes} bytes, at most {LABEL_BYTES_MAX} are allowed")
    rule = RULES[kind]
    if rule.has_place and label_bytes == 0:
        raise _garbage(sender, f"a {kind.name} frame without a label")
    if not rule.has_place and label_bytes != 0:
        raise _garbage(sender, f"a {kind.name} frame with a label")
    if not rule.has_place and step != 0:
        raise _garbage(sender, f"a {kind.name} frame with step {step}")
    if rule.payload_bytes_max is not None and payload_bytes > rule.payload_bytes_max:
        allowed = rule.payload_bytes_max
        raise _garbage(sender, f"a {kind.name} frame that claims {payload_bytes} bytes, at most {allowed} are allowed")
    if payload_bytes < rule.payload_bytes_min:
        raise _garbage(
            sender, f"a {kind.name} frame of {payload_bytes} bytes, at least {rule.payload_bytes_min} expected"
        )
    header_bytes = FIXED_HEADER.size + label_bytes
    if len(stream) < header_bytes:
        return None
    return Frame(
        kind, step, _label(bytes(stream[FIXED_HEADER.size : header_bytes]), sender), payload_bytes, header_bytes
    )


def _label(raw: bytes, sender: str) -> str:
    try:
        label = raw.decode()
    except UnicodeDecodeError:
        raise _garbage(sender, "a label that is not UTF-8") from None
    if not label.isprintable():  # labels end up on screens: no escape sequences of a peer's choosing
        raise _garbage(sender, "a label with characters that cannot be printed")
    return label


def check_data(frame: Frame, *, step: int, label: str, payload_bytes: int, sender: str) -> None:
    """Raise unless `frame` is the DATA frame that the program expects now, to the byte."""
    if frame.kind is not Kind.DATA:
        raise PeerDiverged(f"{sender} sent {frame.kind.name}; we are at step {step} {label}", hint=SAME_PROGRAM)
    if (frame.step, frame.label) != (step, label):
        raise diverged(sender, frame.step, frame.label, step, label)
    if frame.payload_bytes != payload_bytes:
        raise PeerDiverged(
            f"{sender} sends {frame.payload_bytes} bytes at step {step} {label}; we expect {payload_bytes} bytes",
            hint=f"shapes differ between the parties: {SAME_PROGRAM}",
        )


def check_control(frame: Frame, kind: Kind, sender: str) -> None:
    """Raise unless `frame` is the control frame that the handshake expects now."""
    if frame.kind is Kind.DATA:
        raise PeerDiverged(
            f"{sender} is at step {frame.step} {frame.label}; we are in the handshake and wait for {kind.name}",
            hint=SAME_PROGRAM,
        )
    if frame.kind is not kind:
        raise _garbage(sender, f"{frame.kind.name} where {kind.name} was expected")


def diverged(sender: str, their_step: int, their_label: str, step: int, label: str) -> PeerDiverged:
    text = f"{sender} is at step {their_step} {their_label}; we are at step {step} {label}"
    return PeerDiverged(text, hint=SAME_PROGRAM)


def encode_abort(culprit: int | None, reason: str) -> bytes:
    """Payload of ABORT: the place to blame, then the reason in words."""
    return bytes([NO_CULPRIT if culprit is None else culprit]) + printable(reason).encode(errors="replace")


def decode_abort(payload: bytes, sender: str, parties: int) -> tuple[int | None, str]:
    """(place to blame or None for the sender itself, reason)."""
    culprit = payload[0]
    if culprit != NO_CULPRIT and culprit >= parties:
        raise _garbage(sender, f"an ABORT that blames place {culprit} of {parties}")
    return (None if culprit == NO_CULPRIT else culprit), printable(payload[1:].decode(errors="replace"))


def decode_ping(payload: bytes, sender: str, parties: int) -> tuple[int, ...]:
    """The places that the sender of a PING waits for."""
    if any(place >= parties for place in payload):
        raise _garbage(sender, f"a PING that waits for place {max(payload)} of {parties}")
    return tuple(payload)


def encode_ping(awaits: Sequence[int]) -> bytes:
    return bytes(awaits)


def printable(text: str) -> str:
    """Text of a peer made safe for a terminal: one line, no control characters, capped."""
    return "".join(character if character.isprintable() else " " for character in text[:REASON_CHARACTERS_MAX])


def _garbage(sender: str, what: str) -> PeerGarbage:
    return PeerGarbage(f"{sender} sent bytes that are no valid frame: {what}", hint=NOT_TACIT)


def garbage(sender: str, what: str) -> PeerGarbage:
    """For the other files of this folder: a frame that is well formed and cannot stand where it came."""
    return _garbage(sender, what)
