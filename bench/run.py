"""What the main job's steps cost, beside plain PyTorch and the floors of this machine, all measured in one run.

    make bench                  every row
    make bench ROWS="lr mul"    rows whose name contains one of these words

Three processes on local sockets, as tacit.simulate runs them (TLS adds about 1.4 ms a MB). A row prints the fastest of
several runs, CPU time of all parties together, rounds, bytes that each party sent per element, and the ratio to the
floor: the time that its rounds and bytes take on this machine's loopback alone. One JSON line follows each row.
"""

from __future__ import annotations

import argparse
import json
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

import tacit

ELEMENTS = 1 << 20


def step_of(model: nn.Module, loss: nn.Module, x: Any, y: Any) -> Callable[[], None]:
    """One optimiser step, in plain torch or on secrets: the same lines."""
    optimizer = torch.optim.SGD(model.parameters(), lr=1 / 32, momentum=0.9)

    def step() -> None:
        optimizer.zero_grad()
        loss(model(x), y).backward()
        optimizer.step()

    return step


def training(layers: Callable[[], nn.Module], secret: bool) -> tuple[Callable[[], None], int]:
    """A batch of 128 x 32 and a model."""
    x, y = torch.randn(128, 32), (torch.rand(128, 1) > 0.5).float()
    model = layers()
    if secret:
        model = tacit.secret(model)
        x, y = tacit.secret(x, owner=0), tacit.secret(y, owner=1)
    return step_of(model, nn.BCEWithLogitsLoss(), x, y), 128


def elementwise(work: Callable[[Any, Any], Any], secret: bool) -> tuple[Callable[[], None], int]:
    """An operation on 2^20 elements."""
    x, y = torch.randn(ELEMENTS), torch.randn(ELEMENTS)
    if secret:
        x, y = tacit.secret(x, owner=0), tacit.secret(y, owner=1)
    return partial(_discard, work, x, y), ELEMENTS


def _discard(work: Callable[[Any, Any], Any], x: Any, y: Any) -> None:
    work(x, y)


def mlp() -> nn.Module:
    """The network of the fraud job."""
    return nn.Sequential(nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 1))


#: name -> (maker of the work, runs)
ROWS: dict[str, tuple[Callable[[bool], tuple[Callable[[], None], int]], int]] = {
    "lr step 128x32": (partial(training, partial(nn.Linear, 32, 1)), 60),
    "mlp step 128x32": (partial(training, mlp), 40),
    "mul 2^20": (partial(elementwise, torch.mul), 5),
    "compare 2^20": (partial(elementwise, torch.lt), 3),
    # A tensor remembers its sign, so each run takes the ReLU of a new one.
    "relu 2^20": (partial(elementwise, lambda x, y: torch.relu(-x)), 3),
    "matmul 512": (partial(elementwise, lambda x, y: x[: 1 << 18].view(512, 512) @ y[: 1 << 18].view(512, 512)), 5),
}


def measure(names: list[str]) -> list[dict[str, Any]]:
    """Runs inside every party."""
    from tacit.session.current import current

    tacit.secret(torch.zeros(1), owner=0)
    session = current().session
    figures = []
    for name in names:
        make, runs = ROWS[name]
        work, elements = make(True)
        work()
        before, used = session.meter.total.rounds, session.meter.total.bytes_sent
        cpu, best = _cpu_s(), float("inf")
        for _ in range(runs):
            begun = time.perf_counter()
            work()
            best = min(best, time.perf_counter() - begun)
        figures.append({
            "row": name, "ours_ms": best * 1e3, "cpu_ms": (_cpu_s() - cpu) / runs * 1e3,
            "rounds": (session.meter.total.rounds - before) / runs,
            "bytes": (session.meter.total.bytes_sent - used) / runs, "elements": elements,
        })
    return figures


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def plain_ms(name: str) -> float:
    """The same work in plain torch, one thread."""
    torch.set_num_threads(1)
    make, runs = ROWS[name]
    work, _ = make(False)
    work()
    best = float("inf")
    for _ in range(runs):
        begun = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begun)
    return best * 1e3


def loopback() -> tuple[float, float]:
    """(milliseconds for one message there, milliseconds per megabyte) over a plain local socket: the floor."""
    ours, theirs = socket.socketpair()

    def echo() -> None:
        for _ in range(2000):
            theirs.sendall(theirs.recv(64))
        left = 64 << 20
        while left:
            left -= len(theirs.recv(1 << 20))
        theirs.sendall(b"!")

    threading.Thread(target=echo).start()
    begun = time.perf_counter()
    for _ in range(2000):
        ours.sendall(b"x" * 64)
        ours.recv(64)
    one_way = (time.perf_counter() - begun) / 4000 * 1e3
    block = bytes(1 << 20)
    begun = time.perf_counter()
    for _ in range(64):
        ours.sendall(block)
    ours.recv(1)
    per_megabyte = (time.perf_counter() - begun) / 67.1 * 1e3
    return one_way, per_megabyte


def starts() -> dict[str, float]:
    """Seconds that people wait for: what importing tacit adds to torch, and a warm simulate."""
    code = "import time,torch; t=time.perf_counter(); import tacit; tacit.secret; print(time.perf_counter()-t)"
    added = min(float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
                for _ in range(3))
    tacit.simulate(_nothing)
    begun = time.perf_counter()
    tacit.simulate(_nothing)
    return {"import_adds_s": round(added, 3), "warm_simulate_s": round(time.perf_counter() - begun, 3)}


def _nothing() -> None:
    tacit.secret(torch.zeros(1), owner=0)


def main() -> None:
    """Measure the chosen rows and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", help="rows whose name contains one of these words")
    parser.add_argument("--protocol", default="replicated3", help="replicated3 or masked")
    asked = parser.parse_args()
    words = asked.words
    names = [name for name in ROWS if not words or any(word in name for word in words)]
    one_way, per_megabyte = loopback()
    print(f"loopback: {one_way:.3f} ms a message, {per_megabyte:.2f} ms a MB; {json.dumps(starts())}")
    parties = tacit.simulate(partial(measure, names), protocol=asked.protocol)
    print(f"{'row':18}{'ms':>9}{'cpu ms':>9}{'rounds':>8}{'B/elem':>9}{'floor ms':>10}{'x floor':>9}{'plain ms':>10}")
    for at, name in enumerate(names):
        rows = [figures[at] for figures in parties]
        ours, sent = max(row["ours_ms"] for row in rows), max(row["bytes"] for row in rows)
        floor = rows[0]["rounds"] * one_way + sent / 1e6 * per_megabyte
        line = {
            "row": name, "ours_ms": round(ours, 3), "cpu_ms": round(sum(row["cpu_ms"] for row in rows), 3),
            "rounds": rows[0]["rounds"], "bytes_per_element": round(sent / rows[0]["elements"], 1),
            "floor_ms": round(floor, 3), "plain_ms": round(plain_ms(name), 3),
        }
        print(f"{name:18}{ours:9.2f}{line['cpu_ms']:9.2f}{line['rounds']:8.0f}{line['bytes_per_element']:9.1f}"
              f"{floor:10.2f}{ours / floor:9.1f}{line['plain_ms']:10.3f}")
        print(json.dumps(line))


if __name__ == "__main__":
    main()
