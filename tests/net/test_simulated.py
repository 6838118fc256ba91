"""The simulated network: fair weather changes nothing, and each kind of bad luck is noticed and named."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest

from tacit.net.mesh import Mesh
from tacit.net.simulated import Weather, simulated_channels

if TYPE_CHECKING:
    from conftest import Crew

Tell = Callable[[Any], None]
ROUNDS = 6


def rounds(mesh: Mesh, tell: Tell) -> list[int]:
    """Some all-to-all rounds of known content; returns the steps at which something else came."""
    peers = [place for place in range(3) if place != mesh.me]
    wrong = []
    for step in range(ROUNDS):
        into = {peer: bytearray(64) for peer in peers}
        mesh.exchange(step, "mm", {peer: bytes([mesh.me + 1, step]) * 32 for peer in peers}, into)
        if any(into[peer] != bytes([peer + 1, step]) * 32 for peer in peers):
            wrong.append(step)
    return wrong


def under(crew: Crew, weather: Weather, deadline_s: float = 5.0) -> list[dict[str, Any]]:
    ends, relay = simulated_channels(3, weather)
    crew.start([rounds] * 3, ends=ends, relay=relay, deadline_s=deadline_s)
    return [crew.hear(place) for place in range(3)]


def test_fair_weather_changes_nothing_and_the_relay_goes_home(crew: Crew) -> None:
    assert under(crew, Weather()) == [{"result": []}] * 3
    assert crew.exit_code(3) == 0


def test_frames_larger_than_any_buffer_pass_the_relay(crew: Crew) -> None:
    size = 5 << 20

    def body(mesh: Mesh, tell: Tell) -> bool:
        room = bytearray(size)
        peer = 1 - mesh.me
        mesh.exchange(0, "big", {peer: bytes([mesh.me]) * size}, {peer: room})
        return room == bytes([peer]) * size

    ends, relay = simulated_channels(2, Weather())
    crew.start([body] * 2, ends=ends, relay=relay)
    assert [crew.hear(place)["result"] for place in (0, 1)] == [True, True]


def test_latency_and_bandwidth_take_their_time(crew: Crew) -> None:
    start_s = monotonic()
    assert under(crew, Weather(latency_s=0.02)) == [{"result": []}] * 3
    assert monotonic() - start_s >= ROUNDS * 0.02

    crew.dismiss()
    start_s = monotonic()
    frame_bits = (20 + 2 + 64) * 8
    assert under(crew, Weather(bandwidth_bits_s=frame_bits / 0.02)) == [{"result": []}] * 3
    assert monotonic() - start_s >= ROUNDS * 0.02


@pytest.mark.parametrize("place", range(3))
def test_a_crash_at_the_nth_frame_is_blamed_on_the_party_that_crashed(crew: Crew, place: int) -> None:
    reports = under(crew, Weather(crash_after={place: 5}))
    for other in {0, 1, 2} - {place}:
        assert reports[other]["error"] in ("PeerLost", "PeerStopped"), reports
        assert reports[other]["culprit"] == place, reports


# What befalls frame 3 on the way from bob to alice, and what alice may say to it.
FAULTS: dict[str, set[str]] = {
    "drop": {"PeerDiverged"},
    "truncate": {"PeerLost"},
    "garbage": {"PeerGarbage"},
    "duplicate": {"PeerDiverged"},
    "reorder": {"PeerDiverged"},
    "hold": {"PeerSilent", "PeerDiverged"},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_kind_of_bad_luck_stops_the_run_with_the_right_name(crew: Crew, fault: str) -> None:
    reports = under(crew, Weather(**{fault: {(1, 0): 3}}, seed=1), deadline_s=0.8)  # type: ignore[arg-type]
    assert all("error" in report for report in reports), reports
    assert reports[0]["error"] in FAULTS[fault], reports[0]
    assert reports[0]["culprit"] == 1, reports[0]
    assert 'party 1 ("bob")' in reports[0]["text"], reports[0]


@pytest.mark.parametrize("seed", range(8))
def test_a_changed_bit_is_refused_or_reaches_the_program_and_no_one_hangs(crew: Crew, seed: int) -> None:
    """Without TLS a bit of the payload is the program's to check; every bit of the header is ours."""
    reports = under(crew, Weather(flip={(1, 0): 3}, seed=seed), deadline_s=0.8)
    print(f"replay: Weather(flip={{(1, 0): 3}}, seed={seed})")
    alice = reports[0]
    if "error" in alice:
        assert alice["error"] in ("PeerGarbage", "PeerDiverged", "PeerSilent"), alice
    else:
        assert alice["result"] == [2]
        assert reports[1:] == [{"result": []}] * 2


def test_the_same_seed_gives_the_same_luck(crew: Crew) -> None:
    first = under(crew, Weather(flip={(1, 0): 3}, seed=5), deadline_s=0.8)[0]
    crew.dismiss()
    second = under(crew, Weather(flip={(1, 0): 3}, seed=5), deadline_s=0.8)[0]
    first.pop("after_s", None), second.pop("after_s", None)
    assert first == second
