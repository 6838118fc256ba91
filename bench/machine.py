"""What a run ran on: processor, versions, load. Times mean little without it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import tacit
from bench.floors import Machine

PACKAGES = ("tacit", "torch", "numpy", "cryptography")


def described(machine: Machine) -> dict[str, Any]:
    """The first line of a run."""
    return {
        "kind": "machine", "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"), "cpu": _cpu(),
        "cores": machine.cores, "memory_gib": round(_memory_bytes() / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}, {' '.join(platform.libc_ver())}",
        "python": platform.python_version(), "packages": {name: version(name) for name in PACKAGES},
        "load": [round(value, 2) for value in os.getloadavg()], "rates": asdict(machine),
    }


def starts() -> dict[str, float]:
    """Seconds that people wait for: what importing tacit adds to torch, and a simulation after the first."""
    code = "import time, torch; t = time.perf_counter(); import tacit; tacit.secret; print(time.perf_counter() - t)"
    added = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
        for _ in range(3)
    ]
    tacit.simulate(_nothing)
    begun = time.perf_counter()
    tacit.simulate(_nothing)
    return {"import_adds_s": round(min(added), 3), "warm_simulate_s": round(time.perf_counter() - begun, 3)}


def _nothing() -> None:
    tacit.secret(torch.zeros(1), owner=0)


def words(line: dict[str, Any]) -> list[str]:
    """The same for the screen."""
    rates = line["rates"]
    links = "; ".join(
        f"{name} {link['cpu_ms_per_mb']:.2f} CPU ms a MB, {link['one_way_ms']:.3f} ms a message"
        for name, link in rates["links"].items()
    )
    started = line.get("starts")
    return [
        f"{line['cpu']}, {line['cores']} cores, {line['memory_gib']} GiB; Python {line['python']}, "
        + ", ".join(f"{name} {number}" for name, number in line["packages"].items()),
        f"load at the start {line['load'][0]} {line['load'][1]} {line['load'][2]} (1, 5, 15 minutes); "
        f"one core: {rates['products_g_s']:.1f} G int64 products a second, {rates['memory_gb_s']:.1f} GB/s of memory, "
        f"{rates['pads_gb_s']:.1f} GB/s of key stream",
        f"both ends together: {links}",
        *([f"importing tacit adds {started['import_adds_s']} s; a simulation starts and ends in "
           f"{started['warm_simulate_s']} s"] if started else []),
    ]


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    model = facts.get("model name", platform.machine())
    return f"{model} (family {facts['cpu family']}, model {facts['model']})" if "cpu family" in facts else model


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
