"""What the others see when one party is killed, stops, is cut off or talks nonsense: one error that names it, soon."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from functools import partial
from time import monotonic

import pytest
import safetensors.torch

from kit.machines import KILLED, NAMES, Ended, Machines, Process
from kit.proxy import Proxy

AT_ONCE_S = 3.0  # a lost connection is noticed at once; this is for a busy machine
RECEIVE_S = 2.0


def named(ended: Ended, culprit: str, *, step: bool = True) -> tuple[str, str, str]:
    """The error of a party that saw another one fail; it names that one, the step, and what to do."""
    kind, message, hint = ended.error
    assert ended.code == 3
    assert kind.startswith("Peer")
    assert culprit in message, message
    assert hint
    if step:
        assert re.search(r"step \d+ \S+", message), message
    return kind, message, hint


def held(machines: Machines, name: str, moment: str, **options: object) -> tuple[Process, list[Process]]:
    """(the party, the others) once the party waits at that moment."""
    machines.write(name, "hold", f"{name} {moment}\n")
    started = machines.start_all(**options)
    victim = started.pop(name).until(f"held at {moment}")
    return victim, list(started.values())


# ---- kill -9 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "moment"),
    [("crypto-producer", "handshake"), ("alice", "sharing"), ("bob", "step 3"), ("bob", "revealing")],
)
def test_the_others_stop_at_once_when_a_party_is_killed(machines: Machines, name: str, moment: str) -> None:
    victim, others = held(machines, name, moment)
    killed_s = monotonic()
    victim.kill()
    for process in others:
        ended = process.end()
        assert ended.at_s - killed_s < AT_ONCE_S
        assert named(ended, name)[0] in ("PeerLost", "PeerStopped")
    assert victim.end().code == KILLED
    machines.nothing_but_a_report_of_failure()


def test_a_party_killed_before_it_connects_is_missed_after_the_deadline_for_connecting(machines: Machines) -> None:
    machines.jobs(connect_s=2)
    victim, others = held(machines, "bob", "start")
    victim.kill()
    for process in others:
        assert named(process.end(), "bob", step=False)[0] == "PeerAbsent"
    machines.nothing_but_a_report_of_failure()


def test_a_kill_between_the_last_reveal_and_the_end_takes_nothing_from_the_others(machines: Machines) -> None:
    """alice has her model by then; that it is whole counts for more than how the run ends for her."""
    victim, others = held(machines, "crypto-producer", "end")
    victim.kill()
    assert {process.end().code for process in others} <= {0, 3}
    assert set(safetensors.torch.load_file(machines.at("alice") / "model.safetensors")) == {"weight", "bias"}
    assert not [file for file in machines.leftovers("alice") if "partial" in file]


# ---- SIGSTOP --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "moment"), [("crypto-producer", "step 3"), ("alice", "handshake")])
def test_a_stopped_party_is_named_within_the_deadline_and_hears_it_when_it_goes_on(
    machines: Machines, name: str, moment: str
) -> None:
    machines.jobs(receive_s=RECEIVE_S)
    victim, others = held(machines, name, moment)
    stopped_s = monotonic()
    victim.kill(signal.SIGSTOP)
    kinds = set()
    for process in others:
        ended = process.end()
        kinds.add(named(ended, name)[0])
        assert RECEIVE_S - 0.5 < ended.at_s - stopped_s < RECEIVE_S + 3
    assert "PeerSilent" in kinds
    victim.kill(signal.SIGUSR1).kill(signal.SIGCONT)
    assert named(victim.end(AT_ONCE_S), "")[0] in ("PeerLost", "PeerStopped")
    machines.nothing_but_a_report_of_failure()


# ---- the wire -------------------------------------------------------------------------------------------------------


@pytest.fixture
def wire(machines: Machines) -> Iterator[Proxy]:
    """bob's way to alice."""
    proxy = Proxy(machines.ports["alice"])
    machines.jobs(receive_s=RECEIVE_S)
    machines.job("bob", receive_s=RECEIVE_S, ports={**machines.ports, "alice": proxy.port})
    yield proxy
    proxy.close()


def test_a_cut_connection_stops_everybody_at_once(machines: Machines, wire: Proxy) -> None:
    bob, others = held(machines, "bob", "step 3")
    cut_s = monotonic()
    wire.cut()
    for process, culprit in zip(others, ("bob", "bob"), strict=True):
        ended = process.end()
        named(ended, culprit)
        assert ended.at_s - cut_s < AT_ONCE_S
    bob.kill(signal.SIGUSR1)
    named(bob.end(AT_ONCE_S), "alice")
    machines.nothing_but_a_report_of_failure()


def test_a_silent_wire_stops_everybody_within_the_deadline(machines: Machines, wire: Proxy) -> None:
    bob, others = held(machines, "bob", "step 3")
    wire.silence()
    silent_s = monotonic()
    bob.kill(signal.SIGUSR1)
    for process in (bob, *others):
        ended = process.end()
        named(ended, "")
        assert ended.at_s - silent_s < RECEIVE_S + 3
    machines.nothing_but_a_report_of_failure()


# ---- nonsense from a party with the right key -----------------------------------------------------------------------


def talk(words: bytes, after_handshake: bool) -> None:
    """Runs at bob: his handshake, or what follows it, is `words` to alice, and then nothing."""
    from tacit.net.mesh import Mesh
    from tacit.session import handshake, participate

    def greet(place: int, terms: handshake.Terms, mesh: Mesh, *, meet_s: float) -> None:
        if after_handshake:
            handshake.greet(place, terms, mesh)
        mesh._links[0].channel.write_some(memoryview(words))
        signal.pause()

    participate.greet = greet


def header(kind: str, step: int, label: str, payload_bytes: int) -> bytes:
    from tacit.net.frames import FIXED_HEADER, Kind

    return FIXED_HEADER.pack(Kind[kind], len(label), 0, step, payload_bytes) + label.encode()


NONSENSE: dict[str, tuple[bytes, bool, str]] = {
    "garbage for a greeting": (b"\x00\xff" * 40, False, "PeerGarbage"),
    "a greeting of 2^40 bytes": (header("HELLO", 0, "", 1 << 40), False, "PeerGarbage"),
    "a greeting that is no map": (header("HELLO", 0, "", 2) + b"[]", False, "PeerGarbage"),
    "garbage for a share": (b"\x00\xff" * 40, True, "PeerGarbage"),
    "a share of 2^40 bytes": (header("DATA", 0, "secret/shape", 1 << 40), True, "PeerDiverged"),
    "a label with escapes": (header("DATA", 0, "\x1b[2Jshape", 8), True, "PeerGarbage"),
}


@pytest.mark.parametrize("what", NONSENSE)
def test_nonsense_of_a_party_is_refused_with_its_name(machines: Machines, what: str) -> None:
    words, after_handshake, expected = NONSENSE[what]
    if expected == "PeerDiverged":  # at bob's own share, where alice waits for him
        words = header("DATA", 2, "secret/shape", 1 << 40)
    bob = machines.start("bob", prepare=partial(talk, words, after_handshake))
    others = [machines.start(name) for name in NAMES if name != "bob"]
    ended = {process.name: process.end() for process in others}
    assert named(ended["alice"], "bob", step=expected == "PeerDiverged")[0] == expected
    named(ended["crypto-producer"], "bob")
    assert "\x1b" not in ended["alice"].err + ended["crypto-producer"].err
    assert bob.ended is None
    bob.kill()
    machines.nothing_but_a_report_of_failure()
