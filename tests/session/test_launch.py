"""simulate: what it takes, what it gives back, what it says when a party fails, and what it leaves behind."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

import pytest
import torch

import tacit
from kit.processes import children, gone
from tacit import errors
from tacit.net.simulated import Weather
from tacit.protocols import PROTOCOLS
from tacit.session import forkserver, launch

NAMES = ("alice", "bob", "crypto-producer")


def product() -> list[float]:
    """Enough of a run to need the others."""
    x = tacit.secret(torch.tensor([1.5, -2.0]), owner=0)
    return tacit.reveal(x * x, to="all").tolist()


def failing(place: int, fail: Callable[[], object]) -> Callable[[], object]:
    """A program in which one party fails while the others wait for it."""

    def program() -> object:
        x = tacit.secret(torch.ones(2), owner=0)
        if tacit.party().place == place:
            fail()
        return tacit.reveal(x, to="all")

    return program


# ---- what it takes --------------------------------------------------------------------------------------------------


def test_results_come_by_place_and_a_closure_keeps_what_it_closes_over() -> None:
    factor = 3

    def program() -> tuple[str, int, tuple[str, ...], int]:
        me = tacit.party()
        return me.name, me.place, me.parties, factor * me.place

    assert tacit.simulate(program, parties=NAMES) == [(name, i, NAMES, 3 * i) for i, name in enumerate(NAMES)]


def test_lambdas_partials_and_functions_of_modules_will_do() -> None:
    assert tacit.simulate(lambda: tacit.party().place) == [0, 1, 2]
    assert tacit.simulate(product) == [[2.25, 4.0]] * 3


@pytest.mark.parametrize("parties", [1, 2, 4])
def test_the_plain_protocol_takes_any_number_of_parties(parties: int) -> None:
    assert tacit.simulate(product, parties=parties, protocol="plain") == [[2.25, 4.0]] * parties


def test_another_number_of_parties_is_refused_with_the_way_out() -> None:
    with pytest.raises(errors.Misuse, match="three parties, not 2") as caught:
        tacit.simulate(product, parties=2)
    assert "plain" in str(caught.value.hint)


def test_functions_of_a_program_that_is_no_file_will_do_and_its_parties_die_with_it(tmp_path: Path) -> None:
    """As in a notebook: everything is defined in __main__, which nobody can import; then the kernel is killed."""
    source = """
        import os, signal, torch, tacit
        class Offset:
            by = 0.5
        def shifted(x):
            return x + Offset.by
        def program():
            return tacit.reveal(shifted(tacit.secret(torch.ones(1), owner=0)), to="all").item()
        def waiting():
            print(os.getpid())
            signal.pause()
        print(tacit.simulate(program), flush=True)
        tacit.simulate(waiting, on_line=lambda name, line: print(line, flush=True))
    """
    notebook = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(source)], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    assert notebook.stdout is not None
    with notebook.stdout as out:
        result, *pids = [out.readline() for _ in range(4)]
        notebook.kill()
        notebook.wait()
    assert result == "[1.5, 1.5, 1.5]\n"
    assert all(gone(int(pid)) for pid in pids)


def test_the_parties_work_in_the_callers_folder_with_the_callers_search_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_module_of_the_caller.py").write_text("answer = 42\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path / "."))

    def program() -> tuple[str, int]:
        import own_module_of_the_caller

        return os.getcwd(), own_module_of_the_caller.answer

    assert tacit.simulate(program) == [(str(tmp_path), 42)] * 3


def test_what_a_party_changes_stays_with_it() -> None:
    box = [0]

    def program() -> int:
        box[0] += 1
        os.environ["TACIT_TEST_MARK"] = "x"
        return box[0]

    assert tacit.simulate(program) == [1, 1, 1]
    assert box == [0]
    assert "TACIT_TEST_MARK" not in os.environ


def test_public_randomness_agrees_and_a_seed_repeats_it() -> None:
    def program() -> list[float]:
        tacit.secret(torch.ones(1), owner=0)
        return torch.rand(3).tolist()

    first, again, fresh = tacit.simulate(program, seed=5), tacit.simulate(program, seed=5), tacit.simulate(program)
    assert first == again
    assert first[0] == first[1] == first[2]
    assert fresh[0] == fresh[1] == fresh[2]
    assert fresh != first


def test_each_party_has_its_own_generator_of_secrets() -> None:
    from tacit.crypto.primitives import random_bytes

    drawn = tacit.simulate(lambda: random_bytes(16)) + tacit.simulate(lambda: random_bytes(16))
    assert len(set(drawn)) == 6


# ---- what it says ---------------------------------------------------------------------------------------------------


def test_lines_carry_the_name_of_the_party(capsys: pytest.CaptureFixture[str]) -> None:
    def program() -> None:
        print("one", tacit.party().place)
        print("no end", end="")
        print("to the other", file=sys.stderr)
        sys.stdout.writelines(["a\n", "b"])

    tacit.simulate(program, parties=NAMES)
    lines = capsys.readouterr().out.splitlines()
    for place, name in enumerate(NAMES):
        own = [line.removeprefix(f"{name} | ") for line in lines if line.startswith(f"{name} | ")]
        assert own == [f"one {place}", "no endto the other", "a", "b"]
    heard: list[tuple[str, str]] = []
    tacit.simulate(lambda: print("x"), on_line=lambda name, line: heard.append((name, line)))
    assert sorted(heard) == [("party0", "x"), ("party1", "x"), ("party2", "x")]


def test_lines_of_many_threads_are_not_torn() -> None:
    def program() -> None:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: sys.stdout.write(f"{number:05d}" * 20 + "\n"), range(200)))

    heard: list[str] = []
    tacit.simulate(program, parties=1, protocol="plain", on_line=lambda name, line: heard.append(line))
    assert sorted("".join(heard)) == sorted("".join(f"{number:05d}" * 20 for number in range(200)))


@pytest.mark.parametrize("place", range(3))
def test_the_error_of_the_party_that_failed_is_raised_as_it_was(place: int) -> None:
    def fail() -> None:
        raise KeyError("no such column")

    with pytest.raises(KeyError, match="no such column") as caught:
        tacit.simulate(failing(place, fail))
    (note,) = caught.value.__notes__
    assert "in fail" in note
    assert "Traceback" in note


def test_an_error_of_ours_keeps_its_words_and_its_hint() -> None:
    def fail() -> None:
        raise errors.DataError("bob.csv, line 3", hint="fill the cell")

    with pytest.raises(errors.DataError) as caught:
        tacit.simulate(failing(1, fail))
    assert (caught.value.message, caught.value.hint) == ("bob.csv, line 3", "fill the cell")
    assert not hasattr(caught.value, "__notes__")


def test_an_error_that_cannot_travel_still_says_what_it_was() -> None:
    class Odd(Exception):
        def __init__(self, one: str, two: str) -> None:
            super().__init__(one + two)

    def fail() -> None:
        raise Odd("left ", "right")

    with pytest.raises(RuntimeError, match="Odd: left right") as caught:
        tacit.simulate(failing(2, fail))
    assert "in fail" in caught.value.__notes__[0]


@pytest.mark.parametrize("kind", [kind for kind in vars(errors).values() if isinstance(kind, type)])
def test_every_error_survives_the_way_between_processes(kind: type[errors.TacitError]) -> None:
    for hint in (None, "do this"):
        back = pickle.loads(pickle.dumps(kind("what", hint=hint)))
        assert (type(back), back.message, back.hint, str(back)) == (kind, "what", hint, str(kind("what", hint=hint)))


@pytest.mark.parametrize(
    "end",
    [lambda: os._exit(0), lambda: os.kill(os.getpid(), signal.SIGKILL), lambda: os.kill(os.getpid(), signal.SIGSEGV)],
    ids=["exit", "kill", "crash"],
)  # fmt: skip
@pytest.mark.parametrize("place", [0, 2])
def test_a_party_that_dies_is_named_at_once(end: Callable[[], None], place: int) -> None:
    tacit.simulate(lambda: None)  # the server may have to start first
    begun_s = monotonic()
    with pytest.raises(errors.PeerLost, match=NAMES[place]) as caught:
        tacit.simulate(failing(place, end), parties=NAMES)
    assert monotonic() - begun_s < 10
    assert caught.value.hint


def test_a_party_that_dies_although_nobody_waits_for_it_is_named_too() -> None:
    with pytest.raises(errors.PeerLost, match="the process of bob ended by itself"):
        tacit.simulate(lambda: os._exit(3) if tacit.party().name == "bob" else None, parties=NAMES)


def test_a_party_that_stops_does_not_outlive_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "GRACE_S", 0.5)
    pids: list[str] = []

    def fail() -> None:
        print(os.getpid())
        os.kill(os.getpid(), signal.SIGSTOP)

    with pytest.raises(errors.PeerSilent, match="bob"):
        tacit.simulate(failing(1, fail), parties=NAMES, deadline_s=0.5, on_line=lambda name, line: pids.append(line))
    (pid,) = pids
    assert gone(int(pid))


def test_an_interrupted_run_ends_its_parties() -> None:
    pids: list[str] = []

    def heard(name: str, line: str) -> None:
        pids.append(line)
        if len(pids) == 3:
            raise KeyboardInterrupt

    def program() -> None:
        print(os.getpid())
        signal.pause()

    with pytest.raises(KeyboardInterrupt):
        tacit.simulate(program, on_line=heard)
    assert all(gone(int(pid)) for pid in pids)


def test_sys_exit_is_an_error_of_the_program() -> None:
    with pytest.raises(SystemExit):
        tacit.simulate(failing(1, lambda: sys.exit(4)))


def test_a_result_that_cannot_travel_is_an_error_of_its_own() -> None:
    with pytest.raises(TypeError, match="pickle"):
        tacit.simulate(lambda: threading.Lock())


def test_a_secret_tensor_is_no_result() -> None:
    with pytest.raises(errors.RefusedOp):
        tacit.simulate(lambda: tacit.secret(torch.ones(1), owner=0))


def test_a_network_that_loses_a_frame_names_the_party_that_is_silent() -> None:
    with pytest.raises(errors.PeerFault):
        tacit.simulate(product, network=Weather(drop={(1, 2): 3}), deadline_s=1)


# ---- outside and inside a run ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "verb", [tacit.party, lambda: tacit.secret(torch.ones(1), owner=0), lambda: tacit.reveal(torch.ones(1), to=0)],
    ids=["party", "secret", "reveal"],
)  # fmt: skip
def test_a_verb_outside_a_run_says_how_to_start_one(verb: Callable[[], object]) -> None:
    with pytest.raises(errors.NoSession, match="takes part in no run") as caught:
        verb()
    assert "tacit run" in str(caught.value.hint)
    assert "simulate" in str(caught.value.hint)


def test_a_program_that_connects_to_nobody_needs_nobody() -> None:
    assert tacit.simulate(lambda: 1, network=Weather(hold={(0, 1): 1})) == [1, 1, 1]


# ---- again and again ------------------------------------------------------------------------------------------------


def test_a_run_after_a_failed_one_works() -> None:
    for fail in (lambda: os._exit(1), lambda: 1 / 0):
        with pytest.raises((errors.PeerLost, ZeroDivisionError)):
            tacit.simulate(failing(1, fail))
        assert tacit.simulate(product) == [[2.25, 4.0]] * 3


def test_a_server_that_was_killed_is_replaced_and_outlives_the_thread_that_started_it() -> None:
    server = launch.fork_server()
    os.kill(server._process.pid, signal.SIGKILL)
    server._process.wait()
    thread = threading.Thread(target=launch.fork_server)
    thread.start()
    thread.join()
    replaced = launch.fork_server()
    assert replaced is not server
    assert tacit.simulate(lambda: tacit.party().place) == [0, 1, 2]
    assert launch.fork_server() is replaced
    assert replaced.alive()


def test_a_server_that_dies_during_a_request_is_trouble_and_not_a_hang() -> None:
    server = forkserver.ForkServer()
    server._process.kill()
    with pytest.raises(errors.Trouble) as caught:
        server.start(launch.request(print, 3, linked=True))
    assert caught.value.hint
    server.stop()


def test_many_runs_leave_no_descriptor_and_no_process() -> None:
    def program() -> int:
        return len(os.listdir("/proc/self/fd"))

    def footprint() -> tuple[int, list[int], int]:
        of_server, servants = tacit.simulate(program)[0], children(launch.fork_server()._process.pid)
        return of_server, sorted(servants), len(os.listdir("/proc/self/fd"))

    before = footprint()
    for number in range(12):
        if number % 4 == 0:
            with pytest.raises(ZeroDivisionError):
                tacit.simulate(failing(number % 3, lambda: 1 / 0))
        else:
            tacit.simulate(lambda: tacit.party().place, network=Weather() if number % 2 else None)
    after = footprint()
    assert after[0] == before[0], "descriptors of the server"
    assert after[2] == before[2], "descriptors of this process"
    assert all(gone(pid) for pid in after[1])


def test_runs_of_several_threads_do_not_disturb_each_other() -> None:
    def work(number: int) -> list[int]:
        def program() -> int:
            x = tacit.secret(torch.tensor([number]), owner=number % 3)
            return int(tacit.reveal(x + 1, to="all"))

        return tacit.simulate(program)

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(work, range(6))) == [[number + 1] * 3 for number in range(6)]


def test_a_protocol_that_does_not_exist_is_refused_before_anything_starts() -> None:
    assert set(launch.SIMULATED) == set(PROTOCOLS)
    with pytest.raises(errors.Misuse, match="no protocol is called 'maskd'"):
        tacit.simulate(print, protocol="maskd")
