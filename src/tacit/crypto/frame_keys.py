"""AES-256-GCM for one direction of one connection: keys that ratchet, nonces that count. Spec: wire.md, "Bulk frames".

A key is used for FRAMES_PER_KEY frames and then replaced by one derived from it, so that no key meets the limits of the
cipher. A nonce is the number of the key and the number of the frame under it: both count upwards and never back, so no
(key, nonce) pair occurs twice.
A key tells nothing of the keys before it. That is no forward secrecy within a run: whoever reads all of a party's
memory also finds the TLS keys under which HELLO was sent, and with a recording of the run everything that follows from
it. Once the processes have ended nobody has these keys.
Not here: what a frame is made of (net/bulk.py), how the first key is agreed (session, net/bulk_meeting.py).
"""

from __future__ import annotations

import os
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tacit.crypto.primitives import derive
from tacit.errors import Misuse, Trouble

TAG_BYTES = 16
FRAME_PLAIN_BYTES_MAX = 256 * 1024
# One rule bounds both uses and volume of a key: 2^16 frames of at most 2^18 bytes are 2^30 cipher blocks (16 GiB). An
# observer then tells the cipher from random with probability 2^-69 for each key (2^60 / 2^129); SP 800-38D allows
# 2^32 uses. A new key costs some 30 microseconds.
FRAMES_PER_KEY = 1 << 16
KEYS_MAX = 1 << 32  # 2^48 frames: years at the speed of memory; counted all the same

NONCE = struct.Struct("<IQ")  # number of the key, number of the frame under it
assert NONCE.size == 12


class Forged(Exception):
    """What came is not the frame that was sent at this place of this direction of this connection."""


class _Ratchet:
    """The state of one direction: a key, its number, and how many frames it has served."""

    def __init__(self, key: bytes) -> None:
        if len(key) != 32:
            raise ValueError("a frame key has 32 bytes")
        self._key = key
        self._cipher = AESGCM(key)
        self._keys = 0
        self._frames = 0
        self._process = os.getpid()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(key {self._keys}, frame {self._frames})"

    def _next_nonce(self) -> bytes:
        # Counted before it is used: a call that fails half-way has used its nonce up.
        if os.getpid() != self._process:
            raise Misuse(
                "a process forked from a party tried to use its connections: it would use nonces twice",
                hint="compute on secret tensors in the party itself; a DataLoader over them needs num_workers=0",
            )
        if self._frames == FRAMES_PER_KEY:
            self._turn()
        nonce = NONCE.pack(self._keys, self._frames)
        self._frames += 1
        return nonce

    def _turn(self) -> None:
        if self._keys + 1 >= KEYS_MAX:
            raise Trouble(
                f"a bulk connection has used {KEYS_MAX} keys, the most that it may",
                hint="save the model, then start all parties again: a new run has new keys",
            )
        self._key = derive(self._key, label="bulk next key")
        self._cipher = AESGCM(self._key)
        self._keys += 1
        self._frames = 0


class FrameSealer(_Ratchet):
    """The sending end."""

    def seal(self, plain: memoryview, associated: bytes, out: memoryview) -> None:
        """Write ciphertext and tag of `plain` into `out`, which is longer by TAG_BYTES. `plain` is read once."""
        if not 0 < plain.nbytes <= FRAME_PLAIN_BYTES_MAX:
            raise ValueError(f"a frame holds 1 to {FRAME_PLAIN_BYTES_MAX} bytes")
        self._cipher.encrypt_into(self._next_nonce(), plain, associated, out)


class FrameOpener(_Ratchet):
    """The receiving end. After one forged frame it opens nothing any more."""

    def __init__(self, key: bytes) -> None:
        super().__init__(key)
        self._broken = False

    def open(self, sealed: memoryview, associated: bytes, out: memoryview) -> None:
        """Write the plaintext into `out`, which is shorter by TAG_BYTES; Forged, with `out` all zeros, if it is not."""
        if self._broken:
            raise Forged
        try:
            self._cipher.decrypt_into(self._next_nonce(), sealed, associated, out)
        except InvalidTag:
            # The library decrypts in place before it compares the tag, and leaves what it has written.
            self._broken = True
            out[:] = bytes(out.nbytes)
            raise Forged from None
