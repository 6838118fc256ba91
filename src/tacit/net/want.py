"""What the program asks a peer for: one frame, and the memory for its payload.

Not here: reading it (link.py), waiting for it (mesh.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from tacit.net.frames import Frame, Kind, check_control, check_data


@dataclass(slots=True)
class Want:
    """The frame the program asks a peer for. DATA: `room` is given. HELLO, CONFIRM: made once the size is accepted."""

    kind: Kind
    step: int
    label: str
    header: bytes  # the exact bytes of the expected header, empty where the size is not known before
    room: memoryview

    def accept(self, frame: Frame, sender: str) -> None:
        """`room` is for the payload of `frame`; an error, and nothing allocated, if that frame was not asked for."""
        if self.kind is Kind.DATA:
            size = self.room.nbytes
            check_data(frame, step=self.step, label=self.label, payload_bytes=size, sender=sender)
        else:
            check_control(frame, self.kind, sender)
            self.room = memoryview(bytearray(frame.payload_bytes))  # at most 64 KiB: the codec has checked
