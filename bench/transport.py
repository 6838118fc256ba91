"""What a megabyte costs through the mesh, by transport, both ends together: the numbers of decision 5.

    python -m bench.transport             CPU and wall time for a MB of long messages; time of one short round
    python -m bench.transport --sizes     cost of a message by size, all on the second connection and all inside TLS;
                                          where they cross is net/bulk.py, BULK_BYTES_MIN

Two processes on loopback, one message after another in one direction, fresh memory nowhere. One JSON line for each
figure; the fastest of several runs, turn by turn, so that all transports see the same machine.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from functools import partial

import numpy as np

import tacit
from tacit.net import link
from tacit.session.current import current

SHORT_ROUNDS = 500
MB = 1_000_000
TRANSPORTS: Mapping[str, str | None] = {"plain": None, "tls": "tls", "frames": "frames"}
LONG_BYTES, LONG_COUNT = 32 << 20, 6

Figures = tuple[float, float]  # CPU seconds, wall seconds


def stream(size: int, count: int, bulk_bytes_min: int | None) -> Figures:
    """Runs at both parties: `count` messages of `size` bytes from the first to the second, one at a time."""
    if bulk_bytes_min is not None:
        link.BULK_BYTES_MIN = bulk_bytes_min  # type: ignore[attr-defined]  # a name that it imports
    session = current().session
    message = np.zeros(size, dtype=np.int8)
    peer = 1 - session.place
    postman = session._postman
    assert postman is not None
    there = {peer: message.data} if session.place == 0 else {}
    here = {peer: message.data} if session.place == 1 else {}
    begun = (0.0, 0.0)
    for number in range(count + 2):
        if number == 2:  # the first two warm up
            begun = (time.process_time(), time.perf_counter())
        postman.exchange(number, "long", there, here)
    return time.process_time() - begun[0], time.perf_counter() - begun[1]


def short() -> Figures:
    """Runs at both parties: rounds of 64 bytes each way."""
    session = current().session
    postman = session._postman
    assert postman is not None
    peer, word = 1 - session.place, np.zeros(64, dtype=np.int8)
    room = np.zeros(64, dtype=np.int8)
    begun = (0.0, 0.0)
    for number in range(SHORT_ROUNDS + 50):
        if number == 50:
            begun = (time.process_time(), time.perf_counter())
        postman.exchange(number, "short", {peer: word.data}, {peer: room.data})
    return time.process_time() - begun[0], time.perf_counter() - begun[1]


def over(transport: str | None, work: partial[Figures]) -> Figures:
    """CPU of both parties and the longer wall time of one run."""
    found = tacit.simulate(work, parties=2, protocol="plain", transport=transport)
    return sum(cpu_s for cpu_s, _ in found), max(wall_s for _, wall_s in found)


def say(**line: object) -> None:
    """One JSON line."""
    print(json.dumps(line), flush=True)


def megabytes(turns: int) -> None:
    """Long messages and short rounds over each transport."""
    long = {name: [] for name in TRANSPORTS}  # type: dict[str, list[Figures]]
    rounds = {name: [] for name in TRANSPORTS}  # type: dict[str, list[Figures]]
    for _ in range(turns):
        for name, transport in TRANSPORTS.items():
            long[name].append(over(transport, partial(stream, LONG_BYTES, LONG_COUNT, None)))
            rounds[name].append(over(transport, partial(short)))
    moved = LONG_BYTES * LONG_COUNT / MB
    for name in TRANSPORTS:
        cpu_s, wall_s = (min(column) for column in zip(*long[name], strict=True))
        _, round_s = (min(column) for column in zip(*rounds[name], strict=True))
        say(
            transport=name,
            cpu_ms_per_mb=round(cpu_s * 1e3 / moved, 3),
            wall_ms_per_mb=round(wall_s * 1e3 / moved, 3),
            short_round_us=round(round_s * 1e6 / SHORT_ROUNDS, 1),
        )


def sizes(turns: int) -> None:
    """One message by size: all of it on the second connection, or all inside TLS."""
    for shift in range(12, 19):
        size = 1 << shift
        best = {
            name: min(over("frames", partial(stream, size, 400, least))[0] for _ in range(turns)) * 1e6 / 400
            for name, least in (("inside TLS", 1 << 62), ("beside it", 1))
        }
        say(message_bytes=size, **{f"cpu_us_{name.replace(' ', '_')}": round(us, 1) for name, us in best.items()})


def main() -> None:
    """See the top of this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", action="store_true")
    parser.add_argument("--turns", type=int, default=3)
    asked = parser.parse_args()
    (sizes if asked.sizes else megabytes)(asked.turns)


if __name__ == "__main__":
    main()
