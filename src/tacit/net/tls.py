"""TLS as tacit uses it: version 1.3, both sides show a key, and a key counts only if it is the pinned one.

The trust anchors of a context are the pinned certificates and nothing else: no system store, no names, no dates to
argue about. Resumption and tickets are off, so every connection proves both keys afresh.
Not here: who connects to whom, and what happens to strangers (tcp.py, dial.py, door.py).
"""

from __future__ import annotations

import contextlib
import hmac
import os
import shutil
import socket
import ssl
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from tacit.errors import KeyStoreError, PeerGarbage, Trouble
from tacit.net.channel import Channel, prepare, unacknowledged
from tacit.net.frames import NOT_TACIT

RECORD_BYTES = 16 * 1024
SLICE_BYTES = 8 * RECORD_BYTES
RECORD_OVERHEAD_BYTES = 22  # header 5, content type 1, authentication tag 16 (RFC 8446, 5.2)
# AES-GCM under one key is safe up to 2^24.5 full records, some 390 GB (RFC 8446, 5.5), and Python's ssl module cannot
# change keys. What counts is cipher blocks, so a short record is charged its bytes and two blocks, not a full record.
VOLUME_BYTES_MAX = 300 * 10**9
RECORD_CHARGE_BYTES = 32

KEY_REFUSALS = frozenset(
    {
        "TLSV1_ALERT_UNKNOWN_CA",
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        "SSLV3_ALERT_CERTIFICATE_REVOKED",
        "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
        "TLSV1_ALERT_ACCESS_DENIED",
        "TLSV1_ALERT_DECRYPT_ERROR",
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
    }
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One party as the others know it: where it listens, and the certificate it must show."""

    name: str
    host: str
    port: int
    certificate_der: bytes = field(repr=False)

    @property
    def address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class TransportIdentity:
    """This party's own certificate and its Ed25519 key (PEM, PKCS #8, not encrypted)."""

    certificate_der: bytes = field(repr=False)
    private_key_pem: bytes = field(repr=False)


class TlsChannel(Channel):
    """A TLS connection after its handshake, whose peer is known to be `sender`.

    `bytes_*` count records with their overhead, without the handshake.
    """

    def __init__(self, sock: ssl.SSLSocket, sender: str) -> None:
        prepare(sock)
        self._sock = sock
        self._sender = sender
        self._peer_address: Any = None
        with contextlib.suppress(OSError):  # it may have gone again
            self._peer_address = sock.getpeername()
        self._volume_bytes = 0
        self._fault: OSError | None = None
        self.bytes_sent = 0
        self.bytes_received = 0

    def fileno(self) -> int:
        return self._sock.fileno()

    def write_some(self, view: memoryview) -> int:
        done = 0
        size = len(view)
        send = self._sock.send
        try:
            while done < size:
                # OpenSSL reports nothing before all of a call has left; by slices a slow line still shows progress. A
                # call that would block is repeated with the same slice, as OpenSSL demands.
                count = send(view[done : done + SLICE_BYTES])
                records = -(-count // RECORD_BYTES)
                done += count
                self.bytes_sent += count + records * RECORD_OVERHEAD_BYTES
                self._volume_bytes += count + records * RECORD_CHARGE_BYTES
                if self._volume_bytes > VOLUME_BYTES_MAX:
                    self._worn_out()
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            pass
        except OSError as fault:
            raise EOFError(words(fault)) from None
        return done

    def read_some(self, view: memoryview) -> int:
        if self._fault is not None:
            self._broken(self._fault)
        done = 0
        size = len(view)
        receive = self._sock.recv_into
        try:
            while done < size:
                count = receive(view[done:] if done else view)
                if count == 0:
                    if done:
                        break  # the next call reports the end
                    raise EOFError("the connection was closed")
                done += count
                self.bytes_received += count if self._sock.pending() else count + RECORD_OVERHEAD_BYTES
                if count < RECORD_BYTES:
                    break  # the end of a burst: asking again would mostly cost an exception
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError as fault:
            if not done:
                self._broken(fault)
            self._fault = fault  # after the bytes that came before it
        return done

    def _broken(self, fault: OSError) -> NoReturn:
        if isinstance(fault, ssl.SSLEOFError | ssl.SSLZeroReturnError) or not isinstance(fault, ssl.SSLError):
            raise EOFError(words(fault)) from None
        if "ALERT" in (fault.reason or ""):
            raise EOFError(f"it refused our last record ({words(fault)})") from None
        raise PeerGarbage(
            f"{self._sender} or something on the way sent bytes that are no valid TLS record ({words(fault)})",
            hint=NOT_TACIT,
        ) from None

    def _worn_out(self) -> None:
        raise Trouble(
            f"the connection to {self._sender} has carried {self._volume_bytes // 10**9} GB in one direction, "
            f"the most that one TLS key may protect is {VOLUME_BYTES_MAX // 10**9} GB",
            hint="save the model, then start all parties again: a new run has new keys",
        )

    def pending(self) -> bool:
        return self._sock.pending() > 0

    def shut_writing(self) -> None:
        # The socket's own shutdown, under TLS: the end of a run is authenticated by BYE, not by TLS.
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._sock, socket.SHUT_WR)

    def unacknowledged_bytes(self) -> int:
        return unacknowledged(self._sock)

    def peer_address(self) -> Any:
        return self._peer_address

    def close(self) -> None:
        self._sock.close()


def words(fault: OSError) -> str:
    """What went wrong, as short as OpenSSL and the system can say it."""
    if isinstance(fault, ssl.SSLCertVerificationError):
        return fault.verify_message.lower()
    if isinstance(fault, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return "the connection was closed"
    if isinstance(fault, ssl.SSLError):
        return (fault.reason or "TLS failed").replace("_", " ").lower()
    return (fault.strerror or "the connection broke").lower()


def same_certificate(shown_der: bytes | None, pinned_der: bytes) -> bool:
    return shown_der is not None and hmac.compare_digest(shown_der, pinned_der)


def sni_of(place: int) -> str:
    """The server name by which a connecting party says which place it claims."""
    return f"p{place}.tacit"


def place_of(sni: str | None, parties: int) -> int | None:
    """The place that a server name claims, or None if it is no place of this run."""
    return {sni_of(place): place for place in range(parties)}.get(sni or "")


def client_context(identity: TransportIdentity, pinned: Endpoint) -> ssl.SSLContext:
    return _context(ssl.PROTOCOL_TLS_CLIENT, identity, [pinned])


def server_context(identity: TransportIdentity, pinned: Sequence[Endpoint]) -> ssl.SSLContext:
    context = _context(ssl.PROTOCOL_TLS_SERVER, identity, pinned)
    context.num_tickets = 0
    return context


def _context(protocol: int, identity: TransportIdentity, pinned: Sequence[Endpoint]) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.check_hostname = False  # a peer is its key; where it was reached says nothing about it
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.maximum_version = ssl.TLSVersion.TLSv1_3
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
    for endpoint in pinned:
        try:
            context.load_verify_locations(cadata=endpoint.certificate_der)
        except (ssl.SSLError, ValueError):
            raise KeyStoreError(
                f'the trusted certificate of "{endpoint.name}" cannot be read',
                hint=f"get the public file of {endpoint.name} again and trust it anew",
            ) from None
    pem = ssl.DER_cert_to_PEM_cert(identity.certificate_der).encode() + identity.private_key_pem
    with _file_of(pem) as path:
        try:
            context.load_cert_chain(path, password="")  # an empty password, or OpenSSL would ask on the terminal
        except (OSError, ValueError):
            raise KeyStoreError(
                "our own transport key and certificate do not belong together or cannot be read",
                hint="unlock the identity, or make a new one",
            ) from None
    return context


@contextlib.contextmanager
def _file_of(secret: bytes) -> Iterator[str]:
    """A path under which OpenSSL reads `secret` now and nobody can later."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("tacit", os.MFD_CLOEXEC)
        try:
            os.write(fd, secret)
            yield f"/proc/self/fd/{fd}"
        finally:
            os.close(fd)
        return
    folder = tempfile.mkdtemp()  # mode 0700
    try:
        path = os.path.join(folder, "identity.pem")
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(fd, secret)
        finally:
            os.close(fd)
        yield path
    finally:
        shutil.rmtree(folder)
