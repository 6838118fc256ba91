"""The line of known speed: what it delays, what it keeps, when it ends."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from tacit.net.shaped import QUEUE_BYTES, Line, Way, relay, start_relay

PATIENCE_S = 10.0


def test_bytes_arrive_when_the_line_has_carried_all_before_them() -> None:
    way = Way(0.02, 8000.0)  # a byte a millisecond
    assert way.arrival_s(100, 1.0) == pytest.approx(1.12)
    assert way.arrival_s(50, 1.0) == pytest.approx(1.17)  # behind them
    assert way.arrival_s(50, 5.0) == pytest.approx(5.07)  # an idle line saves nothing up
    assert Way(0.02, None).arrival_s(10**9, 1.0) == pytest.approx(1.02)


def test_a_line_holds_what_is_in_flight_and_a_bounded_queue() -> None:
    assert Way(0.02, 352e6).room_bytes == QUEUE_BYTES + 880_000


@pytest.fixture
def target() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(PATIENCE_S)
        yield listening


def test_all_bytes_arrive_in_order_both_ways_and_the_relay_ends_with_its_last_connection(target: socket.socket) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()
    until, stop = socket.socketpair()
    line = Line(listener, target.getsockname(), 0.001, 400e6)
    relaying = threading.Thread(target=relay, args=([line], until.fileno()))
    relaying.start()
    caller = socket.create_connection(address)
    called, _ = target.accept()
    text = bytes(range(256)) * 8000
    sending = threading.Thread(target=lambda: (caller.sendall(text), caller.shutdown(socket.SHUT_WR)))
    sending.start()
    assert read_all(called) == text
    called.sendall(b"answer")
    stop.close()  # no more connections; this one is still served
    called.close()
    assert read_all(caller) == b"answer"
    sending.join()
    relaying.join(PATIENCE_S)
    assert not relaying.is_alive()
    for sock in (caller, listener, until):
        sock.close()


def read_all(sock: socket.socket) -> bytes:
    sock.settimeout(PATIENCE_S)
    found = b""
    while piece := sock.recv(1 << 20):
        found += piece
    return found


def test_a_caller_is_turned_away_while_nobody_is_there_to_be_called() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        listener = socket.create_server(("127.0.0.1", 0))
        address = listener.getsockname()
        process = start_relay([(listener, closed.getsockname())], latency_s=0.0, bandwidth_bits_s=None)
        with process, socket.create_connection(address) as caller:
            assert read_all(caller) == b""
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(PATIENCE_S) == 0
