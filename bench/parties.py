"""One row among three processes of this machine.

All parties meet before each run and start their clocks together; a run ends when the last of them has its result. The
time of a row is that of its quickest run. CPU time, rounds and bytes are those of the runs alone: making new operands
and the meeting are not counted. Each process computes with one thread; processes are not pinned to cores.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

import tacit
from bench.bars import Wan
from bench.work import Fresh, Row
from tacit.errors import RefusedOp
from tacit.net.simulated import Weather
from tacit.session.current import current
from tacit.session.session import Session

DEADLINE_S = 120.0  # how long a party waits for another: a loaded machine is slow, not dead
SEED = 1


@dataclass(frozen=True)
class Setting:
    """How the parties run. Transports are those of tacit.simulate, and "plain": local sockets without protection."""

    protocol: str = "masked"
    transport: str = "tls"
    wan: Wan | None = None


@dataclass(frozen=True)
class Figures:
    """What one row cost. Times of every run; bytes by party."""

    times_ms: tuple[float, ...]
    cpu_ms: float
    rounds: float
    bytes_sent: tuple[float, ...]
    error: float | None  # largest difference from plain PyTorch; None for training steps

    @property
    def best_ms(self) -> float:
        """The quickest run."""
        return min(self.times_ms)


@dataclass(frozen=True)
class Missing:
    """Why a row has no figures. `failed`: not for want of an operator."""

    why: str
    failed: bool


def joined(times: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """Times of the runs, from those that each participant saw: a run lasts as long as its last participant."""
    return tuple(max(run) for run in zip(*times, strict=True))


def merged(found: Sequence[Figures | Missing]) -> Figures | Missing:
    """Several turns of one row as one: the times of all, else the last. One without figures speaks for all."""
    figures = [one for one in found if isinstance(one, Figures)]
    if len(figures) < len(found):
        return next(one for one in found if isinstance(one, Missing))
    return replace(figures[-1], times_ms=tuple(time_ms for one in figures for time_ms in one.times_ms))


def measure(row: Row, setting: Setting, runs: int | None = None) -> Figures | Missing:
    """Run the row as three parties; `runs` in place of the row's own number."""
    options: dict[str, Any] = {"protocol": setting.protocol, "deadline_s": DEADLINE_S, "seed": SEED}
    if setting.wan is not None:
        options["network"] = Weather(latency_s=setting.wan.one_way_s, bandwidth_bits_s=setting.wan.bits_s)
    if setting.transport != "plain":
        options["transport"] = setting.transport
    try:
        told = tacit.simulate(partial(_take_part, row, runs or row.runs), **options)
    except RefusedOp as refusal:
        return Missing(f"not there yet: {refusal.message.splitlines()[0]}", failed=False)
    except Exception as error:  # one row must not take the others with it
        return Missing(f"failed: {type(error).__name__}: {str(error).splitlines()[0]}"[:200], failed=True)
    return Figures(
        times_ms=joined([party["times_ms"] for party in told]),
        cpu_ms=sum(party["cpu_ms"] for party in told),
        rounds=max(party["rounds"] for party in told),
        bytes_sent=tuple(party["bytes"] for party in told),
        error=max((party["error"] for party in told if party["error"] is not None), default=None),
    )


def _take_part(row: Row, runs: int) -> Mapping[str, Any]:
    """Inside every party."""
    tacit.secret(torch.zeros(1), owner=0)  # connects
    session = current().session
    drawn = torch.get_rng_state()  # public and the same at all parties, so each can compute what to expect
    fresh = row.build(tacit.secret)
    fresh()()
    total, times_ms, cpu_s, rounds, sent = session.meter.total, [], 0.0, 0, 0
    result = None
    for _ in range(runs):
        timed = fresh()
        _meet(session)
        rounds_before, sent_before = total.rounds, total.bytes_sent
        cpu_begun, begun = time.process_time(), time.perf_counter()
        result = timed()
        times_ms.append((time.perf_counter() - begun) * 1e3)
        cpu_s += time.process_time() - cpu_begun
        rounds += total.rounds - rounds_before
        sent += total.bytes_sent - sent_before
    torch.set_rng_state(drawn)
    return {
        "times_ms": times_ms, "cpu_ms": cpu_s * 1e3 / runs, "rounds": rounds / runs, "bytes": sent / runs,
        "error": None if result is None else _error(result, row.build(_double)),
    }


def _meet(session: Session) -> None:
    others = [place for place in range(len(session.parties)) if place != session.place]
    token = np.zeros(1, dtype=np.int8)
    session.exchange("start", dict.fromkeys(others, token), dict.fromkeys(others, ((1,), token.dtype)))


def _error(result: Any, plain: Fresh) -> float:
    shown = tacit.reveal(result, to="all", name="result of the benchmark")
    return float((shown.double() - plain()().double()).abs().max())


def _plain(value: Any, owner: int | None = None) -> Any:
    return value


def _double(value: Any, owner: int | None = None) -> Any:
    """Float32 would add errors of its own."""
    return value.double() if value.is_floating_point() else value


def plain_ms(row: Row, runs: int | None = None) -> float:
    """The same lines in plain PyTorch, one thread, the quickest run."""
    torch.set_num_threads(1)
    fresh = row.build(_plain)
    fresh()()
    times = []
    for _ in range(runs or row.runs):
        timed = fresh()
        begun = time.perf_counter()
        timed()
        times.append(time.perf_counter() - begun)
    return min(times) * 1e3
