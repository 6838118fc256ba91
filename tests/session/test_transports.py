"""Parties of one machine that meet as machines do: by either transport, and over a line of known speed."""

from __future__ import annotations

from time import perf_counter

import numpy as np
import pytest

import tacit
from tacit import errors
from tacit.net.mesh import Mesh
from tacit.net.simulated import Weather
from tacit.session.current import current
from tacit.session.local_site import local_site

NAMES = ("alice", "bob", "crypto-producer")
LATENCY_S, RATE_BITS_S = 0.05, 80e6


def crossing() -> tuple[bool, list[bool]]:
    """Long and short messages among all; whether they were right, and whether the long ones went beside TLS."""
    session = current().session
    peers = [place for place in range(len(session.parties)) if place != session.place]
    right = True
    for count in (3, 200_000, 2):
        send = {peer: np.full(count, 10 * session.place + peer) for peer in peers}
        got = session.exchange("x", send, {peer: ((count,), np.dtype(np.int64)) for peer in peers})
        right = right and all((got[peer] == 10 * peer + session.place).all() for peer in peers)
    mesh = session._postman
    assert isinstance(mesh, Mesh)
    return right, [link.bulk is not None and link.bulk.bytes_sent > 1_600_000 for link in mesh._links.values()]


@pytest.mark.parametrize("transport", ["tls", "frames"])
def test_simulated_parties_meet_by_the_transport_that_is_asked_for(transport: str) -> None:
    found = tacit.simulate(crossing, parties=NAMES, transport=transport)
    assert found == [(True, [transport == "frames"] * 2)] * 3


def test_no_other_transport_is_taken_for_one_of_them() -> None:
    with pytest.raises(errors.Misuse, match="no transport is called 'plain'") as caught:
        tacit.simulate(crossing, transport="plain")
    assert "tls and frames" in str(caught.value.hint)


def test_faults_of_frames_that_nobody_can_read_are_refused_and_not_left_out() -> None:
    with pytest.raises(errors.Misuse, match="these are encrypted"):
        tacit.simulate(crossing, transport="tls", network=Weather(drop={(0, 1): 2}))


def test_private_keys_of_a_local_site_are_in_no_repr() -> None:
    site = local_site(NAMES, "frames")
    assert "PRIVATE" not in repr(site)
    assert "identities" not in repr(site)


def timed() -> tuple[float, float]:
    """Seconds for a round trip, and for 2 MB one way and an answer."""
    session = current().session
    peer = 1 - session.place
    none = {peer: ((1,), np.dtype(np.int64))}
    word, block = {peer: np.zeros(1, dtype=np.int64)}, {peer: np.zeros(250_000, dtype=np.int64)}
    session.exchange("begin", word, none)
    if session.place == 0:
        begun_s = perf_counter()
        session.exchange("ask", word, {})
        session.exchange("answer", {}, none)
        answered_s = perf_counter()
        session.exchange("block", block, {})
        session.exchange("thanks", {}, none)
        return answered_s - begun_s, perf_counter() - answered_s
    session.exchange("ask", {}, none)
    session.exchange("answer", word, {})
    session.exchange("block", {}, {peer: ((250_000,), np.dtype(np.int64))})
    session.exchange("thanks", word, {})
    return 0.0, 0.0


@pytest.mark.parametrize("transport", ["tls", "frames"])
def test_a_shaped_line_delays_and_limits_what_both_connections_of_a_pair_carry(transport: str) -> None:
    weather = Weather(latency_s=LATENCY_S, bandwidth_bits_s=RATE_BITS_S)
    (trip_s, block_s), _ = tacit.simulate(timed, parties=2, protocol="plain", transport=transport, network=weather)
    least_s = 2 * LATENCY_S + 2_000_000 * 8 / RATE_BITS_S  # a line is never faster; how slow it is, the machine decides
    assert 2 * LATENCY_S <= trip_s < 2 * LATENCY_S + 1.0
    assert least_s <= block_s < least_s + 2.0
