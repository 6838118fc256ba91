"""The primitives that the house uses, each with the one way in which it is used here.

Not here: any primitive of our own. Every function calls `cryptography` or `blake3`; the value added is that no caller
can leave out a label, reuse a counter or pick a weaker parameter.
"""

from __future__ import annotations

import os

import blake3
import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def random_bytes(count: int) -> bytes:
    """`count` bytes from the operating system; the only source of keys."""
    return os.urandom(count)


def digest(*parts: bytes) -> bytes:
    """32 bytes of BLAKE3 over the parts, each preceded by its length so that no two lists of parts collide."""
    hasher = blake3.blake3()
    for part in parts:
        hasher.update(len(part).to_bytes(8, "little"))
        hasher.update(part)
    return hasher.digest()


def derive(secret: bytes, *, label: str, context: bytes = b"", length: int = 32) -> bytes:
    """HKDF-SHA-256 (RFC 5869). `label` is mandatory: two uses of one secret must never meet in one key."""
    if not label:
        raise ValueError("a derived key needs a label")
    info = b"tacit\x00" + label.encode() + b"\x00" + context
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=info).derive(secret)


class RunningDigest:
    """BLAKE3 over everything put in so far; two of them agree if they were fed the same parts in the same order."""

    def __init__(self) -> None:
        self._hasher = blake3.blake3()

    def add(self, part: bytes | memoryview) -> None:
        """Put in one part, preceded by its length."""
        self._hasher.update(len(part).to_bytes(8, "little"))
        self._hasher.update(part)

    def value(self) -> bytes:
        """32 bytes; more may be added afterwards."""
        return self._hasher.digest()


class Stream:
    """The key stream of AES-256-CTR under a key used for this stream and nothing else (NIST SP 800-38A, 6.5).

    Bytes come out once and in order, so a (key, counter) pair is used at most once by construction. Both holders of the
    key get the same bytes if they ask for the same lengths in the same order. The counter starts at zero: safe because
    the key is fresh. 2^64 blocks are out of reach of any run, so the counter never wraps.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != 32:
            raise ValueError("a stream key has 32 bytes")
        self._encryptor = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
        self.position = 0  # bytes given out so far

    def fill(self, buffer: memoryview) -> None:
        """Overwrite `buffer` (contiguous, format B) with the next bytes of the stream."""
        # CTR is an XOR with the key stream: zeros in, key stream out, in the same memory and in one pass.
        np.frombuffer(buffer, dtype=np.uint8)[:] = 0
        self.xor_into(buffer)

    def xor_into(self, buffer: memoryview) -> None:
        """XOR the next bytes of the stream into `buffer` (contiguous, format B)."""
        self._encryptor.update_into(buffer, buffer)
        self.position += buffer.nbytes
