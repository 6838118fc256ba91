"""What may be believed at the door of a party: nothing, before it has shown its key. And who stands before our door."""

from __future__ import annotations

import select
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tacit.errors import PeerAbsent, PeerMismatch
from tacit.net.dial import Dial
from tacit.net.door import GUESTS_MAX, Door
from tacit.net.tcp import connect_all

if TYPE_CHECKING:
    from conftest import Site

ALERTS = {"handshake failure": 40, "bad certificate": 42, "unknown ca": 48, "access denied": 49, "decrypt error": 51}
UNRECOGNIZED_NAME = 112


def plaintext_alert(code: int) -> bytes:
    return bytes([21, 3, 3, 0, 2, 2, code])


def tell_nobody(text: str) -> None:
    pass


def answered_with(dial: Dial, listener: socket.socket, answer: bytes) -> None:
    """Let one attempt of `dial` meet somebody on the way, who answers the client hello."""
    now_s = dial.wake_s
    attempts = dial.attempts
    assert dial.advance(now_s, 0) is None
    with listener.accept()[0] as caller:
        while dial.interest() is not None:
            fd, mask = dial.interest() or (0, 0)
            poll = select.poll()
            poll.register(fd, mask)
            events = poll.poll(5000)
            assert events, "the dial waits for something that does not come"
            assert dial.advance(now_s, events[0][1]) is None
            if answer and dial.interest() is not None:
                assert caller.recv(1 << 16)
                caller.sendall(answer)
                answer = b""
    assert dial.attempts == attempts + 1


@pytest.mark.parametrize("said", ALERTS)
def test_an_alert_before_the_other_side_showed_its_key_fails_one_attempt_only(pair: Site, said: str) -> None:
    with socket.create_server((pair.endpoints[0].host, pair.endpoints[0].port)) as listener:
        dial = Dial(1, 0, 2, pair.endpoints[0], pair.identities[1], now_s=0.0)
        for _ in range(2):
            answered_with(dial, listener, plaintext_alert(ALERTS[said]))
            assert said in dial.last
            assert dial.complaint is None
        dial.close()


def test_a_place_that_nobody_expects_is_told_at_the_deadline_and_not_believed_before(pair: Site) -> None:
    with socket.create_server((pair.endpoints[0].host, pair.endpoints[0].port)) as listener:
        dial = Dial(1, 0, 2, pair.endpoints[0], pair.identities[1], now_s=0.0)
        answered_with(dial, listener, plaintext_alert(UNRECOGNIZED_NAME))
        assert isinstance(dial.complaint, PeerMismatch)
        answered_with(dial, listener, plaintext_alert(ALERTS["handshake failure"]))
        assert dial.complaint is None  # the last attempt counts
        dial.close()


def test_parties_with_different_lists_hear_at_the_deadline_what_to_compare(site: Site) -> None:
    with ThreadPoolExecutor(1) as pool:
        alice = pool.submit(connect_all, 0, site.endpoints[:2], site.identities[0], deadline_s=0.5)
        with pytest.raises(PeerMismatch, match="expects nobody at place 2 to connect") as caught:
            connect_all(2, site.endpoints, site.identities[2], deadline_s=0.3)
        assert "same parties in the same order" in (caught.value.hint or "")
        assert isinstance(alice.exception(10.0), PeerAbsent)


class Crowd:
    """A listening socket before which the queue never ends."""

    def __init__(self) -> None:
        self.accepted = 0
        self._others: list[socket.socket] = []

    def accept(self) -> tuple[socket.socket, str]:
        self.accepted += 1
        assert self.accepted < 10 * GUESTS_MAX, "still accepting, and nobody else is served"
        ours, theirs = socket.socketpair()
        self._others.append(theirs)
        return ours, ""

    def close(self) -> None:
        for other in self._others:
            other.close()


def test_a_crowd_before_the_door_does_not_keep_us_there(pair: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    door = Door(0, pair.endpoints, pair.identities[0], tell_nobody)
    door._listener.close()
    crowd = Crowd()
    monkeypatch.setattr(door, "_listener", crowd)
    door._accept(0.0)
    assert crowd.accepted == GUESTS_MAX
    door.close()
