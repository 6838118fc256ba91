"""Kills and stops at random instants, again and again: no hang, no traceback, no half of a file, and the right name.

    TACIT_SOAK_KILLS   how many runs of each kind; 100 unless told
"""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest
import safetensors.torch

import tacit
from kit.machines import KILLED, NAMES, Ended, Machines, Process, make_homes
from kit.processes import gone
from tacit.session import launch

RUNS = int(os.environ.get("TACIT_SOAK_KILLS", "100"))
RECEIVE_S = 2.0
CONNECT_S = 3.0
MOMENTS = (
    "at start", "at handshake", "at sharing", *(f"at step {step}" for step in range(1, 6)), "at revealing", "at end",
)  # fmt: skip


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_homes(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def machines(keys: dict[str, Path], tmp_path: Path) -> Iterator[Machines]:
    made = Machines(keys, tmp_path)
    yield made
    made.dismiss()


def strike(keys: dict[str, Path], folder: Path, number: signal.Signals) -> tuple[str, dict[str, Ended], float]:
    """One run in which a party gets the signal at a random instant: (its name, what all left, when it was struck).

    The instant is up to a tenth of a second after a random moment of the program: by the clock alone, most blows would
    fall before the parties have met or after they have parted.
    """
    folder.mkdir()
    machines = Machines(keys, folder)
    machines.jobs(receive_s=RECEIVE_S, connect_s=CONNECT_S)
    try:
        started = machines.start_all()
        victim = started[secrets.choice(NAMES)]
        victim.until(secrets.choice(MOMENTS)).watch(secrets.randbelow(100) / 1000)
        struck_s = monotonic()
        if victim.ended is None:
            victim.kill(number)
        ended = {name: process.end() for name, process in started.items() if process is not victim}
        if number is signal.SIGSTOP and victim.ended is None:
            victim.kill(signal.SIGCONT)
        ended[victim.name] = victim.end()
        for name in NAMES:
            files_are_whole(machines, name, ended[name])
        return victim.name, ended, struck_s
    finally:
        machines.dismiss()


def files_are_whole(machines: Machines, name: str, ended: Ended) -> None:
    """A model that is there is whole, and whoever succeeded has what it was to get."""
    model, report = machines.at(name) / "model.safetensors", machines.at(name) / "report.json"
    if model.exists():
        assert set(safetensors.torch.load_file(model)) == {"weight", "bias"}
    if report.exists() and ended.code != KILLED:
        assert json.loads(report.read_text())["completed"] is (ended.code == 0)
    if ended.code == 0:
        assert report.exists()
        assert model.exists() or name != "alice"
    if ended.code != KILLED:  # who was killed in the middle of writing leaves a part under another name
        assert machines.leftovers(name) <= {"model.safetensors", "report.json"}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=lambda number: number.name)
def test_a_party_struck_at_any_instant_leaves_no_hang_and_no_half_of_anything(
    keys: dict[str, Path], tmp_path: Path, number: signal.Signals
) -> None:
    seen: dict[str, int] = {}
    slowest_s = 0.0
    for run in range(RUNS):
        victim, ended, struck_s = strike(keys, tmp_path / str(run), number)
        for name, end in ended.items():
            what = "killed" if end.code == KILLED else "done" if end.code == 0 else end.error[0]
            seen[what] = seen.get(what, 0) + 1
            if name == victim or end.code == 0:
                assert end.code != KILLED or number is signal.SIGKILL
                continue
            slowest_s = max(slowest_s, end.at_s - struck_s)
            assert end.code == 3, end
            assert victim in end.error[1], (victim, end)
            # Before all have met it is the deadline for connecting that counts.
            connected = "connected   " in end.out
            limit_s = CONNECT_S + 3 if not connected else 3.0 if number is signal.SIGKILL else RECEIVE_S + 3
            assert end.at_s - struck_s < limit_s, (run, victim, end)
    print(f"\n{RUNS} runs with {number.name}: {seen}; the last party ended {slowest_s:.1f} s after the blow")


def run_here(machines: Machines, moment: str, name: str) -> tuple[Process, int]:
    """(`tacit run --parties`, the number of the process of party `name`) once that party waits at the moment."""
    machines.write("alice", "hold", f"{name} {moment}\n")
    job = (machines.at("alice") / "job.toml").read_text()
    machines.write("alice", "job.toml", job + '[parties.bob.inputs.table]\npath = "../bob/table.csv"\n')
    words = ("run", "train.py", "--parties", ",".join(NAMES), "--report", "report.json")
    whole = machines.command("alice", *words, cold=True)
    whole.until(f"{name} | held at {moment}")
    return whole, int(re.findall(rf"held at {moment} (\d+)", whole.screen())[0])


def test_ctrl_c_ends_the_command_and_every_party(machines: Machines) -> None:
    whole, pid = run_here(machines, "step 3", "bob")
    whole.kill(signal.SIGINT)
    ended = whole.until("interrupted", 3).end()
    assert (ended.code, ended.err.strip()) == (130, "interrupted")
    assert gone(pid)


def test_a_killed_party_of_this_machine_ends_the_command(machines: Machines) -> None:
    whole, pid = run_here(machines, "step 3", "bob")
    os.kill(pid, signal.SIGKILL)
    kind, message, _ = whole.until("hint: ", launch.GRACE_S).end().error
    assert kind == "PeerLost"
    assert "bob" in message


def test_a_killed_command_takes_its_parties_along(machines: Machines) -> None:
    whole, pid = run_here(machines, "step 3", "bob")
    whole.kill()
    assert whole.end().code == KILLED
    assert gone(pid)


def test_three_processes_that_load_everything_themselves(machines: Machines) -> None:
    """What the other tests shorten by forking."""
    for _ in range(3):
        machines.write("bob", "hold", "bob step 3\n")
        started = machines.start_all(cold=True)
        started["bob"].until("held at step 3").kill()
        for name in ("alice", "crypto-producer"):
            started[name].until("hint: ", 3)
            assert "bob" in started[name].end().error[1]  # a fresh interpreter takes its time to go
        machines.dismiss()
    (machines.at("bob") / "hold").unlink()
    assert [process.end().code for process in machines.start_all(cold=True).values()] == [0, 0, 0]


def test_a_party_may_simulate_parties_of_its_own() -> None:
    def program() -> list[int]:
        inner = tacit.simulate(lambda: tacit.party().place, parties=2, protocol="plain")
        assert tacit.party().parties == ("outer",)
        return inner

    assert tacit.simulate(program, parties=("outer",), protocol="plain") == [[0, 1]]
