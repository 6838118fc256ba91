"""How the second connection of each pair comes about. Spec: wire.md, "Bulk frames", the greeting.

The party that called the other for TLS calls it again, at the address and port where it was reached. Whoever answers or
calls must prove that it holds a secret that was agreed inside TLS, by words that are good for this one connection. All
that anybody else gets is 32 random bytes and, for a few seconds, one of a few descriptors. An answer may be lost on its
way: until a caller has confirmed, inside TLS, that it is through, it may call again.
Not here: deadlines and what else happens meanwhile (mesh.py drives this), frames (bulk.py).
"""

from __future__ import annotations

import contextlib
import errno
import hmac
import os
import select
import socket
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tacit.crypto.frame_keys import FrameOpener, FrameSealer
from tacit.crypto.primitives import derive, random_bytes
from tacit.errors import PeerAbsent
from tacit.net.bulk import Bulk
from tacit.net.channel import NO_ROOM, NO_ROOM_REST_S
from tacit.net.frames import describe

NONCE_BYTES = 32
PROOF_BYTES = 32
CALL_BYTES = 1 + NONCE_BYTES + PROOF_BYTES
GUESTS_MAX = 32
GUEST_S = 10.0
ATTEMPT_S = 10.0
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 1.0
PAUSE_GROWTH = 1.6


class Terms:
    """Everything that follows from the secret of a pair and the words of one connection. Pure."""

    def __init__(self, secret: bytes, caller: int, listener: int, listener_nonce: bytes, caller_nonce: bytes) -> None:
        self._secret = secret
        self._words = bytes((caller, listener)) + listener_nonce + caller_nonce
        self.caller_proof = self._derive("proof of the caller")
        self.listener_proof = self._derive("proof of the listener")

    def _derive(self, what: str) -> bytes:
        return derive(self._secret, label=f"bulk {what}", context=self._words)

    def bulk(self, sock: socket.socket, sender: str, *, calling: bool) -> Bulk:
        """The connection for one of its ends; each direction has a key of its own."""
        ours, theirs = ("caller", "listener") if calling else ("listener", "caller")
        sealer = FrameSealer(self._derive(f"key of the {ours}"))
        return Bulk(sock, sender, sealer, FrameOpener(self._derive(f"key of the {theirs}")))


class Call:
    """Calling one party until it proves itself."""

    def __init__(self, me: int, place: int, sender: str, address: Any, secret: bytes, now_s: float) -> None:
        self.attempts = 0
        self.last = "no attempt was made"
        self.wake_s = now_s
        self.sock: socket.socket | None = None
        self.mask = 0
        self._me, self._place, self._sender = me, place, sender
        self._address = address
        self._secret = secret
        self._pause_s = FIRST_PAUSE_S
        self._read = b""
        self._terms: Terms | None = None

    def advance(self, now_s: float, events: int) -> Bulk | None:
        try:
            if self.sock is None:
                if now_s >= self.wake_s:
                    self._begin(now_s)
            elif now_s >= self.wake_s:
                self._again(now_s, f"no answer within {ATTEMPT_S:.0f} s")
            elif events:
                return self._listen(self.sock, now_s)
        except BlockingIOError:
            pass
        except OSError as fault:
            self._again(now_s, (fault.strerror or "the connection broke").lower())
        return None

    def close(self) -> None:
        if self.sock is not None:
            self.sock.close()
            self.sock = None

    def _begin(self, now_s: float) -> None:
        self.attempts += 1
        if self.attempts == 1:
            self.last = "no answer yet"
        self._read, self._terms = b"", None
        if self._address is None:
            raise OSError(errno.ENOTCONN, "it had gone before we knew where it was")
        self.sock = socket.socket(socket.AF_INET6 if len(self._address) == 4 else socket.AF_INET)
        self.sock.setblocking(False)
        self.wake_s = now_s + ATTEMPT_S
        self.mask = select.POLLIN  # the other side speaks first; a refusal is reported in any case
        code = self.sock.connect_ex(self._address)
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, os.strerror(code))

    def _listen(self, sock: socket.socket, now_s: float) -> Bulk | None:
        # Never a byte beyond what is expected: what follows belongs to the frames.
        expected = NONCE_BYTES if self._terms is None else PROOF_BYTES
        piece = sock.recv(expected - len(self._read))
        if not piece:
            self._again(now_s, "it closed the connection")
            return None
        self._read += piece
        if len(self._read) < expected:
            return None
        if self._terms is None:
            nonce = random_bytes(NONCE_BYTES)
            self._terms = Terms(self._secret, self._me, self._place, self._read, nonce)
            self._read = b""
            words = bytes((self._me,)) + nonce + self._terms.caller_proof
            if sock.send(words, socket.MSG_NOSIGNAL) != len(words):  # the socket is fresh and its buffer empty
                self._again(now_s, "it takes nothing")
            return None
        if not hmac.compare_digest(self._read, self._terms.listener_proof):
            self._again(now_s, "what answers there does not hold the secret of this run")
            return None
        bulk = self._terms.bulk(sock, self._sender, calling=True)
        self.sock = None  # the descriptor has a new owner
        return bulk

    def _again(self, now_s: float, why: str) -> None:
        self.close()
        self.last = why
        self.wake_s = now_s + self._pause_s
        self._pause_s = min(self._pause_s * PAUSE_GROWTH, LONGEST_PAUSE_S)


class Guest:
    """A connection that has proved nothing."""

    def __init__(self, number: int, sock: socket.socket, host: str, since_s: float) -> None:
        self.number = number
        self.sock = sock
        self.host = host
        self.since_s = since_s
        self.nonce = random_bytes(NONCE_BYTES)
        self.read = b""


class BulkMeeting:
    """All bulk connections of one party while they come about. `listener` is the socket that the meeting used."""

    def __init__(
        self, me: int, names: Sequence[str], addresses: Mapping[int, Any], listener: socket.socket | None
    ) -> None:
        self.strangers: Counter[str] = Counter()
        self._me = me
        self._names = names
        self._addresses = addresses  # where TLS met each party
        self._listener = listener
        self._secrets: Mapping[int, bytes] = {}
        self._calls: dict[int, Call] = {}
        self._awaited: set[int] = set()  # those that may call us
        self._here: dict[int, int] = {}  # those that have: {place: number of the guest}
        self._accepted = 0
        self._guests: dict[int, Guest] = {}
        self._rest_until_s: float | None = None  # no descriptor was left

    def begin(self, secrets: Mapping[int, bytes], now_s: float) -> None:
        """`secrets` has one for each other party, agreed inside TLS with it and used for nothing else."""
        self._secrets = dict(secrets)
        self._calls = {
            place: Call(self._me, place, describe(place, self._names[place]), self._addresses[place], secret, now_s)
            for place, secret in secrets.items()
            if place < self._me
        }
        self._awaited = {place for place in secrets if place > self._me}

    def absent(self) -> list[int]:
        return sorted({*self._calls, *(self._awaited - self._here.keys())})

    def settle(self, place: int) -> bool:
        """`place` has confirmed that it is through, so it calls no more; False if it cannot be, as far as we know."""
        self._awaited.discard(place)
        return place < self._me or place in self._here

    def interest(self) -> dict[int, int]:
        """{descriptor: poll mask}"""
        masks = dict.fromkeys(self._guests, select.POLLIN)
        if self._listener is not None and self._awaited and self._rest_until_s is None:
            masks[self._listener.fileno()] = select.POLLIN
        return masks | {call.sock.fileno(): call.mask for call in self._calls.values() if call.sock is not None}

    def wake_s(self) -> float:
        """When `advance` must be called at the latest."""
        hours = [guest.since_s + GUEST_S for guest in self._guests.values()]
        hours += [] if self._rest_until_s is None else [self._rest_until_s]
        return min([*hours, *(call.wake_s for call in self._calls.values())], default=float("inf"))

    def advance(self, now_s: float, events: Mapping[int, int]) -> dict[int, Bulk]:
        """Who can be let in now: {place: connection}. A connection of a place that has one already replaces it."""
        arrived: dict[int, Bulk] = {}
        for place, call in tuple(self._calls.items()):
            bulk = call.advance(now_s, events.get(call.sock.fileno(), 0) if call.sock is not None else 0)
            if bulk is not None:
                arrived[place] = bulk
                del self._calls[place]
        for fd, guest in tuple(self._guests.items()):
            if now_s - guest.since_s >= GUEST_S:
                self._turn_away(fd, "silent")
            elif events.get(fd):
                for place, bulk in self._hear(fd, guest).items():
                    if place in arrived:
                        arrived[place].close()
                    arrived[place] = bulk
        if self._rest_until_s is not None and now_s >= self._rest_until_s:
            self._rest_until_s = None
        if self._listener is not None and events.get(self._listener.fileno()):
            self._accept(self._listener, now_s)
        return arrived

    def absence(self, waited_s: float) -> PeerAbsent:
        """The error that names who is missing and what was tried."""
        place, *others = self.absent()
        also = f"; also absent: {', '.join(self._names[other] for other in others)}" if others else ""
        return PeerAbsent(
            f"{describe(place, self._names[place])} is connected and its bulk connection did not come about within "
            f"{waited_s:.0f} s: {self._tried(place)}{also}",
            hint="the port that let the first connection through must let a second one through; "
            'transport = "tls" in all job files needs no second one',
        )

    def _tried(self, place: int) -> str:
        call = self._calls.get(place)
        if call is not None:
            return f"we called it {call.attempts} times at the port where TLS reached it, the last time: {call.last}"
        counts = ", ".join(f"{count} {what}" for what, count in sorted(self.strangers.items()))
        return f"it was to call us a second time, and {f'only strangers came: {counts}' if counts else 'nobody came'}"

    def close(self) -> None:
        """Also forgets every secret: from here on the keys of the connections are all that is left of them."""
        for call in self._calls.values():
            call.close()
        self._calls.clear()
        self._secrets = {}
        for guest in self._guests.values():
            guest.sock.close()
        self._guests.clear()
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _accept(self, listener: socket.socket, now_s: float) -> None:
        for _ in range(GUESTS_MAX):
            try:
                sock, address = listener.accept()
            except OSError as fault:
                if fault.errno in NO_ROOM:
                    self._rest_until_s = now_s + NO_ROOM_REST_S
                return
            sock.setblocking(False)
            self._accepted += 1
            guest = Guest(self._accepted, sock, address[0], now_s)
            fd = sock.fileno()
            self._guests[fd] = guest
            if len(self._guests) > GUESTS_MAX:
                self._turn_away(self._least_welcome(guest), "crowded out")
                if fd not in self._guests:
                    continue
            try:
                sent = sock.send(guest.nonce, socket.MSG_NOSIGNAL)
            except OSError:
                sent = 0
            if sent != NONCE_BYTES:
                self._turn_away(fd, "gone at once")

    def _least_welcome(self, newcomer: Guest) -> int:
        """The descriptor of the guest to be turned away when there is one too many.

        A party's first connection tells where its second one will probably come from; but the network may say otherwise
        (several ways out of one site), so this is a preference and not a rule. Among equals chance decides: any order
        that strangers could know, they could use to have a party turned away each time.
        """
        hosts = {self._addresses[place][0] for place in self._awaited if self._addresses.get(place) is not None}
        strange = {fd: guest for fd, guest in self._guests.items() if guest.host not in hosts}
        crowd = strange or self._guests
        others = [fd for fd, guest in crowd.items() if guest is not newcomer] or [*crowd]
        return others[int.from_bytes(random_bytes(8), "little") % len(others)]

    def _hear(self, fd: int, guest: Guest) -> dict[int, Bulk]:
        try:
            piece = guest.sock.recv(CALL_BYTES - len(guest.read))
        except BlockingIOError:
            return {}
        except OSError:
            piece = b""
        guest.read += piece
        if not piece:
            self._turn_away(fd, "gone without a proof")
        if len(guest.read) < CALL_BYTES:
            return {}
        place, nonce, proof = guest.read[0], guest.read[1 : 1 + NONCE_BYTES], guest.read[1 + NONCE_BYTES :]
        if place not in self._awaited:
            self._turn_away(fd, "under a place that is not awaited")
            return {}
        terms = Terms(self._secrets[place], place, self._me, guest.nonce, nonce)
        if not hmac.compare_digest(proof, terms.caller_proof):
            self._turn_away(fd, "without the secret of this run")
            return {}
        if guest.number < self._here.get(place, 0):  # its words were held up, and it has called again since
            self._turn_away(fd, "overtaken")
            return {}
        with contextlib.suppress(OSError):
            bulk = terms.bulk(guest.sock, describe(place, self._names[place]), calling=False)
            if guest.sock.send(terms.listener_proof, socket.MSG_NOSIGNAL) == PROOF_BYTES:
                self._here[place] = guest.number
                del self._guests[fd]
                return {place: bulk}
        self._turn_away(fd, "gone without a proof")
        return {}

    def _turn_away(self, fd: int, count_as: str) -> None:
        self.strangers[count_as] += 1
        self._guests.pop(fd).sock.close()
