"""What this machine does by itself, and the least time that a row can take on it.

A row's floor takes its messages as given (their number and size are measured, and bounded elsewhere by what a gate
declares) and asks what they must cost. All parties share the cores of one machine, so the work of all of them, divided
by the cores, is one lower bound:

    products    the protocol's matrix products, at the rate of torch's own int64 product
    memory      each party reads its shares of the operands and writes those of the result, once
    pads        every byte sent was masked with a byte of key stream
    transport   every byte sent, at the CPU cost of sending and receiving it

and the rounds, each at the time of one message on its way, are another. The floor is the larger one. The sum of both
would not be a bound: one operation's messages may travel while another one is computed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from bench.bars import Wan
from bench.links import Link, measured
from tacit.crypto.primitives import Stream, random_bytes

#: Matrix products that all parties together compute for one product of secrets.
KERNELS = {"masked": 5, "replicated3": 6}
PARTIES = 3
SHARE_WORDS = 2  # a party holds two ring elements of each secret


@dataclass(frozen=True)
class Machine:
    """Rates of one core, and links between two processes."""

    cores: int
    products_g_s: float  # 10^9 multiply-accumulates of int64 a second
    memory_gb_s: float  # read and written together
    pads_gb_s: float
    links: dict[str, Link]


@dataclass(frozen=True)
class Needs:
    """What one run of a row takes, whatever the code: products of one plain run, words in and out, rounds, bytes."""

    macs: int
    words: int
    rounds: float
    bytes_sent: tuple[float, ...]  # by party


def work_ms(machine: Machine, needs: Needs, transport: str, protocol: str) -> dict[str, float]:
    """CPU milliseconds of all parties together, by kind."""
    sent = sum(needs.bytes_sent)
    return {
        "products": needs.macs * KERNELS[protocol] / machine.products_g_s / 1e6,
        "memory": needs.words * 8 * SHARE_WORDS * PARTIES / machine.memory_gb_s / 1e6,
        "pads": sent / machine.pads_gb_s / 1e6,
        "transport": sent / 1e6 * machine.links[transport].cpu_ms_per_mb,
    }


def floor_ms(machine: Machine, needs: Needs, transport: str, protocol: str) -> float:
    """The larger of: all work over the cores, all rounds one after another."""
    work = sum(work_ms(machine, needs, transport, protocol).values()) / min(machine.cores, PARTIES)
    return max(work, needs.rounds * machine.links[transport].one_way_ms)


def wan_floor_ms(wan: Wan, needs: Needs) -> float:
    """Over a network: its rounds, or the bytes of the busiest party on its two ways at the channel's rate."""
    bytes_each_way = max(needs.bytes_sent) / (PARTIES - 1)
    return max(needs.rounds * wan.one_way_s, bytes_each_way * 8 / wan.bits_s) * 1e3


def measure(transports: tuple[str, ...]) -> Machine:
    """Takes about a second."""
    torch.set_num_threads(1)
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        products_g_s=products_g_s(),
        memory_gb_s=_memory_gb_s(),
        pads_gb_s=_pads_gb_s(),
        links={transport: measured(transport) for transport in transports},
    )


def products_g_s() -> float:
    """Also the gauge of how quiet the machine is: measured again at the end of a run, it should not have moved."""
    size = 512
    x, y = torch.ones(size, size, dtype=torch.int64), torch.ones(size, size, dtype=torch.int64)
    return size**3 / 1e9 / best_s(lambda: x @ y, 10)


def _memory_gb_s() -> float:
    source, target = np.ones(1 << 23), np.ones(1 << 23)
    return 2 * source.nbytes / 1e9 / best_s(lambda: np.copyto(target, source), 5)


def _pads_gb_s() -> float:
    stream, block = Stream(random_bytes(32)), memoryview(bytearray(1 << 20))
    return len(block) / 1e9 / best_s(lambda: stream.xor_into(block), 40)


def best_s(work: Callable[[], object], runs: int) -> float:
    """The quickest of several, after one that does not count."""
    work()
    times = []
    for _ in range(runs):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return min(times)
