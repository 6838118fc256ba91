"""Calling one party until it answers: connect, TLS, and the welcome that says it accepts our key.

In TLS 1.3 the side that connects is done before the other side has judged its certificate. So a call counts as
answered only when WELCOME has come; without it, a refused key would look like a lost connection much later. What is
said before the other side has shown its key may come from anybody on the way: it fails an attempt and decides nothing.
Not here: waiting (tcp.py polls), and the answering side (door.py).
"""

from __future__ import annotations

import errno
import os
import select
import socket
import ssl
from collections.abc import Callable
from enum import Enum, auto
from typing import NoReturn

from tacit.errors import PeerMismatch, PeerUntrusted
from tacit.net.frames import FIXED_HEADER, Kind, decode_abort, decode_header, describe
from tacit.net.tls import (
    KEY_REFUSALS,
    Endpoint,
    TlsChannel,
    TransportIdentity,
    client_context,
    same_certificate,
    sni_of,
    words,
)

ATTEMPT_S = 10.0
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 1.0
PAUSE_GROWTH = 1.6


class State(Enum):
    PAUSED = auto()
    CONNECTING = auto()
    SHAKING = auto()
    WAITING_FOR_WELCOME = auto()


class Dial:
    """One call. `advance` does what can be done now and returns the channel once the other side has welcomed us."""

    def __init__(
        self, me: int, place: int, parties: int, endpoint: Endpoint, identity: TransportIdentity, *, now_s: float
    ) -> None:
        self.place = place
        self.attempts = 0
        self.last = "no attempt was made"  # why the last attempt failed
        self.complaint: PeerMismatch | None = None  # what the last attempt was told by somebody who proved nothing
        self.wake_s = now_s  # when `advance` must be called at the latest
        self._me = me
        self._parties = parties
        self._endpoint = endpoint
        self._sender = describe(place, endpoint.name)
        self._context = client_context(identity, endpoint)
        self._pause_s = FIRST_PAUSE_S
        self._state = State.PAUSED
        self._sock: socket.socket | None = None
        self._tls: ssl.SSLSocket | None = None
        self._mask = 0
        self._read = b""
        self._steps: dict[State, Callable[[float], TlsChannel | None]] = {
            State.PAUSED: self._call,
            State.CONNECTING: self._connected,
            State.SHAKING: self._shake,
            State.WAITING_FOR_WELCOME: self._welcome,
        }

    def interest(self) -> tuple[int, int] | None:
        """(descriptor, poll mask), or None while paused."""
        sock = self._tls or self._sock
        return None if sock is None else (sock.fileno(), self._mask)

    def advance(self, now_s: float, events: int) -> TlsChannel | None:
        if self._state is State.PAUSED:
            if now_s < self.wake_s:
                return None
        elif now_s >= self.wake_s:
            return self._again(now_s, f"no answer within {ATTEMPT_S:.0f} s")
        elif not events:
            return None
        return self._steps[self._state](now_s)

    def close(self) -> None:
        for sock in (self._tls, self._sock):
            if sock is not None:
                sock.close()
        self._tls = self._sock = None

    def _again(self, now_s: float, why: str, complaint: PeerMismatch | None = None) -> TlsChannel | None:
        self.close()
        self.last = why
        self.complaint = complaint
        self._state = State.PAUSED
        self.wake_s = now_s + self._pause_s
        self._pause_s = min(self._pause_s * PAUSE_GROWTH, LONGEST_PAUSE_S)
        return None

    def _call(self, now_s: float) -> TlsChannel | None:
        self.attempts += 1
        self.last = "no answer yet"
        try:
            found = socket.getaddrinfo(self._endpoint.host, self._endpoint.port, type=socket.SOCK_STREAM)
        except OSError as fault:
            return self._again(now_s, f"the host name cannot be resolved ({words(fault)})")
        family, kind, protocol, _, address = found[(self.attempts - 1) % len(found)]
        self._sock = socket.socket(family, kind, protocol)
        self._sock.setblocking(False)
        code = self._sock.connect_ex(address)
        if code not in (0, errno.EINPROGRESS):
            return self._again(now_s, os.strerror(code).lower())
        self._state, self._mask = State.CONNECTING, select.POLLOUT
        self.wake_s = now_s + ATTEMPT_S
        return None

    def _connected(self, now_s: float) -> TlsChannel | None:
        assert self._sock is not None
        code = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            return self._again(now_s, os.strerror(code).lower())
        try:
            self._tls = self._context.wrap_socket(
                self._sock, do_handshake_on_connect=False, server_hostname=sni_of(self._me)
            )
        except OSError as fault:
            return self._again(now_s, words(fault))
        self._sock = None  # wrap_socket has taken the descriptor over
        self._state = State.SHAKING
        return self._shake(now_s)

    def _shake(self, now_s: float) -> TlsChannel | None:
        assert self._tls is not None
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._mask = select.POLLIN
            return None
        except ssl.SSLWantWriteError:
            self._mask = select.POLLOUT
            return None
        except ssl.SSLCertVerificationError:
            self._untrusted()
        except OSError as fault:
            return self._refused(now_s, fault)
        if not same_certificate(self._tls.getpeercert(binary_form=True), self._endpoint.certificate_der):
            self._untrusted()
        self._state, self._mask, self._read = State.WAITING_FOR_WELCOME, select.POLLIN, b""
        return self._welcome(now_s)

    def _untrusted(self) -> NoReturn:
        raise PeerUntrusted(
            f"what answers at {self._endpoint.address} as {self._sender} showed a key that is not the one you trust "
            f"for {self._endpoint.name}",
            hint=f"if {self._endpoint.name} made a new identity, compare its fingerprint by another way and trust the "
            "new public file; if not, somebody else is answering there",
        )

    def _refused(self, now_s: float, fault: OSError) -> TlsChannel | None:
        reason = fault.reason if isinstance(fault, ssl.SSLError) else ""
        proven = self._state is State.WAITING_FOR_WELCOME
        if proven and reason in KEY_REFUSALS:
            self._key_refused()
        if not proven and reason == "TLSV1_UNRECOGNIZED_NAME":
            what = f"expects nobody at place {self._me} to connect, and that is our place"
            complaint = PeerMismatch(
                f"what answers at {self._endpoint.address} as {self._sender} {what}",
                hint="all job files must name the same parties in the same order",
            )
            return self._again(now_s, f"what answers there {what}", complaint)
        if isinstance(fault, ssl.SSLError) and not isinstance(fault, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return self._again(now_s, f"what answers there does not speak TLS 1.3 as we do ({words(fault)})")
        return self._again(now_s, words(fault))

    def _key_refused(self) -> NoReturn:
        raise PeerUntrusted(
            f"{self._sender} refused our key: it trusts another key for our name",
            hint=f"send your public file to {self._endpoint.name} again; there, compare the fingerprint and trust it",
        )

    def _welcome(self, now_s: float) -> TlsChannel | None:
        assert self._tls is not None
        # Only as much as the frame has: what follows it belongs to the mesh.
        while True:
            frame = decode_header(memoryview(self._read), self._sender)
            size = FIXED_HEADER.size if frame is None else frame.header_bytes + frame.payload_bytes
            if frame is not None and len(self._read) == size:
                break
            try:
                piece = self._tls.recv(size - len(self._read))
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return None
            except OSError as fault:
                return self._refused(now_s, fault)
            if not piece:
                return self._again(now_s, "it closed the connection before welcoming us")
            self._read += piece
        if frame.kind not in (Kind.WELCOME, Kind.ABORT):
            return self._again(now_s, f"it sent {frame.kind.name} where WELCOME was expected")
        if frame.kind is Kind.WELCOME:
            channel = TlsChannel(self._tls, self._sender)
            self._tls = None
            return channel
        culprit, reason = decode_abort(self._read[frame.header_bytes :], self._sender, self._parties)
        if culprit == self._me:
            self._key_refused()
        return self._again(now_s, f"it said: {reason}")
