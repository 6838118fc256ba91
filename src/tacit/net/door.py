"""Listening for the parties that call us, among whoever else knocks.

A party is let in when it names its place (TLS server name) and shows the key pinned for that place. Anybody else costs
one descriptor for a few seconds: garbage, silence, other versions of TLS and other keys are counted and forgotten, and
told only if a party stays away. Even a wrong key under a party's name does not end the wait, or any stranger could end
a run by claiming a name.
Not here: waiting (tcp.py polls), and the calling side (dial.py).
"""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from tacit.errors import PortBusy
from tacit.net.channel import NO_ROOM, NO_ROOM_REST_S
from tacit.net.frames import Kind, describe, encode_abort, encode_header
from tacit.net.tls import (
    KEY_REFUSALS,
    Endpoint,
    TlsChannel,
    TransportIdentity,
    place_of,
    same_certificate,
    server_context,
    words,
)

GUESTS_MAX = 32
BACKLOG = (
    128  # a burst of strangers must not make the kernel drop a party's first packet: it would come again 1 s later
)
GUEST_S = 10.0

BUSY = {
    errno.EADDRINUSE: ("another program uses it", "end that program, or give this party another port in all job files"),
    errno.EADDRNOTAVAIL: ("it is not an address of this machine", "the job file must give an address of this machine"),
    errno.EACCES: ("this user may not open it", "take a port above 1023"),
}


class Claim(NamedTuple):
    """Somebody came under a party's name and it did not work out because of a key."""

    what: str
    hint: str


class Guest:
    """A connection that has not proved who it is."""

    def __init__(self, tls: ssl.SSLSocket, since_s: float) -> None:
        self.tls = tls
        self.since_s = since_s
        self.claims: int | None = None
        self.mask = select.POLLIN


class Door:
    """The listening socket of one party and the guests before it."""

    def __init__(
        self,
        me: int,
        endpoints: Sequence[Endpoint],
        identity: TransportIdentity,
        tell: Callable[[str], None],
        listener: socket.socket | None = None,
    ) -> None:
        self.strangers: Counter[str] = Counter()
        self.claims: dict[int, Claim] = {}
        self._me = me
        self._endpoints = endpoints
        self._tell = tell
        self._context = server_context(identity, endpoints[me + 1 :])
        self._context.sni_callback = self._named
        self._guests: dict[int, Guest] = {}
        self._rest_until_s: float | None = None  # no descriptor was left
        self._lent = listener is not None  # somebody needs the port after us and closes it
        self._listener = listen(endpoints[me]) if listener is None else listener

    def interest(self) -> dict[int, int]:
        """{descriptor: poll mask}"""
        masks = {fd: guest.mask for fd, guest in self._guests.items()}
        if self._rest_until_s is None:
            masks[self._listener.fileno()] = select.POLLIN
        return masks

    def wake_s(self) -> float:
        hours = [guest.since_s + GUEST_S for guest in self._guests.values()]
        return min([*hours, float("inf") if self._rest_until_s is None else self._rest_until_s])

    def advance(self, now_s: float, events: Mapping[int, int], taken: set[int]) -> dict[int, TlsChannel]:
        """Let in who can be let in now: {place: channel}. `taken` are the places that are connected already."""
        arrived: dict[int, TlsChannel] = {}
        for fd, guest in tuple(self._guests.items()):
            if now_s - guest.since_s >= GUEST_S:
                self._turn_away(guest, "silent")
            elif events.get(fd):
                channel = self._shake(guest, taken | set(arrived))
                if channel is not None:
                    assert guest.claims is not None
                    arrived[guest.claims] = channel
        if self._rest_until_s is not None and now_s >= self._rest_until_s:
            self._rest_until_s = None
        if events.get(self._listener.fileno()):
            self._accept(now_s)
        return arrived

    def close(self) -> None:
        for guest in self._guests.values():
            guest.tls.close()
        self._guests.clear()
        if not self._lent:
            self._listener.close()

    def _accept(self, now_s: float) -> None:
        for _ in range(GUESTS_MAX):  # poll reports the rest: a crowd must not keep us from those already inside
            try:
                sock, _ = self._listener.accept()
            except OSError as fault:  # nobody left, or one that has gone again
                if fault.errno in NO_ROOM:
                    self._rest_until_s = now_s + NO_ROOM_REST_S
                return
            if len(self._guests) >= GUESTS_MAX:
                # A party names its place with its first packet, so those who have said nothing yet go first.
                victim = min(self._guests.values(), key=lambda guest: (guest.claims is not None, guest.since_s))
                self._turn_away(victim, "crowded out")
            sock.setblocking(False)
            try:
                sock.getpeername()  # first, since wrap_socket loses the descriptor of one that has been reset
                tls = self._context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
            except OSError:
                sock.close()
                self.strangers["gone at once"] += 1
                continue
            self._guests[tls.fileno()] = Guest(tls, now_s)

    def _named(self, tls: ssl.SSLObject | ssl.SSLSocket, name: str | None, context: ssl.SSLContext) -> int | None:
        place = place_of(name, len(self._endpoints))
        if place is None or place <= self._me or not isinstance(tls, ssl.SSLSocket):
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        self._guests[tls.fileno()].claims = place
        return None

    def _shake(self, guest: Guest, taken: set[int]) -> TlsChannel | None:
        try:
            guest.tls.do_handshake()
        except ssl.SSLWantReadError:
            guest.mask = select.POLLIN
            return None
        except ssl.SSLWantWriteError:
            guest.mask = select.POLLOUT
            return None
        except OSError as fault:
            self._failed(guest, fault)
            return None
        place = guest.claims
        if place is None:
            self._turn_away(guest, "without a place")
            return None
        endpoint = self._endpoints[place]
        if not same_certificate(guest.tls.getpeercert(binary_form=True), endpoint.certificate_der):
            self._wrong_key(guest, place)
            self._turn_away(guest, None, encode_abort(place, "this is not the key we trust for that name"))
        elif place in taken:
            self._turn_away(
                guest, "second connection of a party", encode_abort(None, "that party is connected already")
            )
        elif self._say(guest, Kind.WELCOME, b""):
            self._guests.pop(guest.tls.fileno())
            return TlsChannel(guest.tls, describe(place, endpoint.name))
        else:
            self._turn_away(guest, "gone during the handshake")
        return None

    def _failed(self, guest: Guest, fault: OSError) -> None:
        if guest.claims is not None and isinstance(fault, ssl.SSLCertVerificationError):
            self._wrong_key(guest, guest.claims)
            self._turn_away(guest, None)
        elif guest.claims is not None and isinstance(fault, ssl.SSLError) and fault.reason in KEY_REFUSALS:
            name = self._endpoints[guest.claims].name
            self._claim(
                guest.claims,
                f"someone claiming to be {name} refused our key: another key is trusted there for our name",
                f"send your public file to {name} again; there, compare the fingerprint and trust it",
            )
            self._turn_away(guest, None)
        else:
            eof = isinstance(fault, ssl.SSLEOFError) or not isinstance(fault, ssl.SSLError)
            self._turn_away(guest, "gone during the handshake" if eof else f"no TLS 1.3 with us ({words(fault)})")

    def _wrong_key(self, guest: Guest, place: int) -> None:
        name = self._endpoints[place].name
        self._claim(
            place,
            f"someone claiming to be {name} showed a key that is not the one you trust for {name}",
            f"if {name} made a new identity, compare its fingerprint by another way and trust the new public file",
        )

    def _claim(self, place: int, what: str, hint: str) -> None:
        if place not in self.claims:
            self._tell(what)
        self.claims[place] = Claim(what, hint)

    def _say(self, guest: Guest, kind: Kind, payload: bytes) -> bool:
        # The socket is fresh and its buffer empty: one short record always fits.
        frame = encode_header(kind, 0, "", len(payload)) + payload
        with contextlib.suppress(OSError):
            return guest.tls.send(frame) == len(frame)
        return False

    def _turn_away(self, guest: Guest, count_as: str | None, abort: bytes | None = None) -> None:
        self._guests.pop(guest.tls.fileno())
        if count_as is not None:
            self.strangers[count_as] += 1
        if abort is not None:
            self._say(guest, Kind.ABORT, abort)
        with contextlib.suppress(OSError):
            # Unread bytes at close would reset the connection, and the alert that explains the refusal may be lost.
            socket.socket.shutdown(guest.tls, socket.SHUT_WR)
            socket.socket.recv(guest.tls, 64 * 1024)
        guest.tls.close()


def listen(endpoint: Endpoint) -> socket.socket:
    """A nonblocking listening socket at the address of `endpoint`."""
    try:
        found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as fault:
        raise PortBusy(
            f"cannot listen on {endpoint.address}: the host name cannot be resolved ({words(fault)})",
            hint=f"correct the address of {endpoint.name} in the job file",
        ) from None
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        # Connections of an earlier run that are still winding down must not block the port; a listener still does.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except (OSError, OverflowError) as fault:
        listener.close()
        code = fault.errno if isinstance(fault, OSError) else None
        why, hint = BUSY.get(code or 0, (str(fault), f"correct the address of {endpoint.name} in the job file"))
        raise PortBusy(f"cannot listen on {endpoint.address}: {why}", hint=hint) from None
    listener.setblocking(False)
    return listener
