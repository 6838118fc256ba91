"""Two runs in two threads of one process: sessions share nothing, and what threads do share admits one run only."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

import tacit
from kit.parties import View, in_threads, make_sessions, pair_keys
from tacit.errors import Misuse, NoSession
from tacit.protocols import PROTOCOLS, Protocol
from tacit.ring.kernels import matmul, mul
from tacit.session import current
from tacit.session.disclosure import Disclosures, allow_everything
from tacit.session.handshake import Terms
from tacit.session.participate import Settings, take_part
from tacit.session.party import Party


@pytest.fixture
def _many_switches() -> Iterator[None]:
    """Threads take turns every 10 microseconds instead of 5 milliseconds."""
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(usual_s)


@dataclass
class Evidence:
    """All that a run leaves behind: results, what every party received under which label, and what it cost."""

    results: list[Any]
    views: list[View]
    costs: list[dict[str, Any]]


@dataclass(frozen=True)
class Run:
    """A run that can be repeated word for word: its keys and its name are given, and its gates draw nothing else."""

    protocol: str
    keys: dict[frozenset[int], bytes]
    name: bytes
    rows: int

    def once(self) -> Evidence:
        views: list[View] = [[], [], []]
        sessions = make_sessions(self.protocol, keys=self.keys, views=views, session_id=self.name)
        results = in_threads([lambda s=s: self._program(PROTOCOLS[self.protocol](s)) for s in sessions], sessions)
        costs = [{name: (cost.rounds, cost.bytes_sent, cost.calls) for name, cost in s.meter.by_operation.items()}
                 for s in sessions]
        return Evidence(results, views, costs)

    def _program(self, protocol: Protocol) -> Any:
        shape, measure = (self.rows, 8), protocol.session.meter.measure
        values = np.random.default_rng(self.rows).integers(-(2**20), 2**20, shape)
        x = protocol.share(0, values if protocol.session.place == 0 else None, shape)
        for number in range(4):
            with measure(f"step {number} of {self.rows}"):
                x = protocol.product_truncated(mul, x, x, 16)
            with measure(f"sign {number} of {self.rows}"):
                x = protocol.select(protocol.is_negative(protocol.add_public(x, np.int64(-5) * (values < 0)), 40), x)
            y = protocol.product(matmul, x, x.transpose(1, 2))
        words = protocol.reveal(y, (0, 1, 2))
        return None if words is None else words.tolist()


@pytest.mark.usefixtures("_many_switches")
@pytest.mark.parametrize("protocols", [("replicated3", "replicated3"), ("masked", "replicated3")])
def test_two_runs_in_threads_leave_what_each_leaves_alone(protocols: tuple[str, str]) -> None:
    runs = [Run(protocol, pair_keys(3), name, rows)
            for protocol, name, rows in zip(protocols, (b"one", b"two"), (5, 9), strict=True)]
    alone = [run.once() for run in runs]
    assert alone[0] == runs[0].once(), "the run cannot be repeated, so the next comparison would mean nothing"
    with ThreadPoolExecutor(2) as threads:
        for _ in range(3):
            assert list(threads.map(Run.once, runs)) == alone
    # What could have been mixed up is different: labels, words, costs.
    assert not {label for label, *_ in alone[0].views[1]} & {label for label, *_ in alone[1].views[1]} - _LABELS
    assert alone[0].costs != alone[1].costs


#: What is received outside any operation of the program.
_LABELS = {"setup/share", "setup/reveal", "setup/product"}


def test_runs_with_equal_names_and_other_keys_draw_other_words() -> None:
    words = [Run("replicated3", pair_keys(3), b"same", 5).once() for _ in range(2)]
    assert words[0].results == words[1].results
    received = [{payload for _, _, payload in run.views[1] if len(payload) >= 16} for run in words]
    assert not received[0] & received[1]


# -- what a process has one of ----------------------------------------------------------------------------------------


def _must_not_be_called() -> Any:
    raise AssertionError("a refused run must not reach the others or its program")


def _second_run() -> None:
    party = Party("mallory", 0, ("mallory", "bob", "carol"))
    settings = Settings(Terms(party.parties, {}))
    take_part(party, settings, _must_not_be_called, _must_not_be_called, Disclosures(allow_everything))


def test_a_second_run_in_a_thread_is_refused_with_the_reason_and_leaves_the_first_alone() -> None:
    session = make_sessions("plain", parties=1)[0]
    run = current.Run(Party("alice", 0, ("alice",)), lambda: session)
    current.enter(run)
    try:
        x = tacit.secret(torch.ones(3), owner=0)
        before = torch.get_rng_state()
        with (ThreadPoolExecutor(1) as thread,
              pytest.raises(NoSession, match=r"random generator.*one for all its threads") as refused):
            thread.submit(_second_run).result()
        assert refused.value.hint is not None
        assert "tacit.simulate" in refused.value.hint
        assert current.current() is run
        assert torch.equal(torch.get_rng_state(), before)
        assert tacit.reveal(x * x, to=0).tolist() == [1.0] * 3
    finally:
        current.enter(None)


@pytest.mark.usefixtures("_many_switches")
def test_of_many_threads_that_start_a_run_at_once_one_gets_it() -> None:
    start = threading.Barrier(8)

    def enter(number: int) -> bool:
        start.wait()
        try:
            current.enter(current.Run(Party(str(number), 0, (str(number),)), _must_not_be_called))
        except NoSession:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        for _ in range(20):
            assert sum(threads.map(enter, range(8))) == 1
            current.enter(None)


def _in_a_thread(work: Callable[[], object]) -> str:
    verdict: list[str] = []

    def run() -> None:
        try:
            work()
            verdict.append("nothing")
        except Exception as error:
            verdict.append(f"{type(error).__name__}: {error}")

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return verdict[0]


def test_a_second_thread_of_a_party_can_neither_compute_nor_talk_nor_draw_and_the_party_itself_goes_on() -> None:
    def program() -> tuple[list[str], list[float], bool]:
        from tacit.ring import Ring
        from tacit.session.current import current

        x = tacit.secret(torch.ones(2), owner=0)
        session = current().session
        peer = (session.place + 1) % 3
        label, step = session.meter.operation, session.step
        verdicts = [
            # At one party alone: had it drawn a word or sent a message, the rest of the run would fail.
            _in_a_thread(work) if session.place == 1 else "Misuse: a second thread"
            for work in (
                lambda: session.randomness.words(peer, "share", (1,), Ring(64)),
                lambda: x * x,
                lambda: tacit.reveal(x, to="all"),
                lambda: tacit.secret(torch.ones(2), owner=1),
                lambda: session.exchange("forged", {}, {}),
            )
        ]
        untouched = (label, step) == (session.meter.operation, session.step)
        return verdicts, tacit.reveal(x * x * 3, to="all").tolist(), untouched

    for verdicts, value, untouched in tacit.simulate(program):
        assert all(verdict.startswith(f"{Misuse.__name__}: a second thread") for verdict in verdicts), verdicts
        assert value == [3.0, 3.0]
        assert untouched


def test_runs_of_local_parties_in_two_threads_are_two_runs() -> None:
    def program() -> tuple[list[float], float]:
        x = tacit.secret(torch.ones(4), owner=0)
        for _ in range(5):
            x = x * 1.5
        return tacit.reveal(x, to="all").tolist(), float(torch.rand(()))

    before = torch.get_rng_state()
    with ThreadPoolExecutor(2) as threads:
        runs = list(threads.map(lambda options: tacit.simulate(program, **options),
                                [{"seed": 1}, {"seed": 2, "protocol": "masked"}]))
    assert torch.equal(torch.get_rng_state(), before)
    for run in runs:
        assert run == [run[0]] * 3
        # Five factors of 1.5, each rounded to a unit of 2^-16 and carried on.
        assert run[0][0] == pytest.approx([1.5**5] * 4, abs=14 * 2.0**-16)
    assert runs[0][0][1] != runs[1][0][1]
