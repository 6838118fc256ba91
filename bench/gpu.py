"""Ring products on a GPU: limbs in float64 and in bytes, beside the processor, each compared bit by bit.

    python bench/gpu.py            on the GPU; without one it says so and stops
    python bench/gpu.py --device cpu    the same limb code on the processor: right, and slow

Prints 10^9 ring multiplications a second, operands and result on the device. The bars of the design were worked out
for an H200 (27,000 in bytes, 5,600 in float64); which format is the better default on a GPU is read off here.
"""

from __future__ import annotations

import argparse
import time
from functools import partial

import torch
from torch import Tensor

from tacit.crypto.primitives import random_bytes
from tacit.ring import kernels, limbs
from tacit.ring.convolution import Convolution


def words(*shape: int) -> Tensor:
    """Any words."""
    count = torch.Size(shape).numel()
    return torch.frombuffer(bytearray(random_bytes(8 * count)), dtype=torch.int64).reshape(shape)


def seconds(work: partial[Tensor], device: torch.device) -> float:
    """The best of five, after one to warm up."""
    best = float("inf")
    for run in range(6):
        begun = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = best if run == 0 else min(best, time.perf_counter() - begun)
    return best


def line(what: str, products: int, taken_s: float, right: bool) -> None:
    print(f"{what:44} {products / taken_s / 1e9:10.1f} GMAC/s   {'same bits' if right else 'WRONG'}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--sizes", type=int, nargs="*", default=[512, 2048, 8192])
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("no CUDA device here; --device cpu runs the same limb code on the processor")
    for n in arguments.sizes:
        x, y = words(n, n), words(n, n)
        rows = slice(0, 64)  # the processor's answer for a few rows is enough to compare with
        want = x[rows] @ y
        there = x.to(device), y.to(device)
        for name, form in {"float64": limbs.FLOAT64, "int8": limbs.INT8}.items():
            work = partial(limbs.matmul, *there, form)
            line(f"matmul {n}, limbs in {name}", n**3, seconds(work, device), torch.equal(work()[rows].cpu(), want))
    conv = Convolution((28, 28), (3, 3), (1, 1), (1, 1), (1, 1))
    x, w = words(64, 64, 28, 28), words(64, 64, 3, 3)
    grad = words(64, 64, *conv.outputs)
    for kernel, a, b in [(conv.forward, x, w), (conv.weight_gradient, grad, x), (conv.input_gradient, grad, w)]:
        work = partial(kernel, a.to(device), b.to(device))
        taken_s = seconds(work, device)
        line(f"{kernel.__name__} 64 x 64 x 28 x 28, 64 of 3 x 3", grad.numel() * 64 * 9, taken_s,
             torch.equal(work().cpu(), kernel(a, b)))
    travelling = partial(kernels.on(device, kernels.matmul), *(words(2048, 2048) for _ in range(2)))
    line("matmul 2048 with the way there and back", 2048**3, seconds(travelling, device), True)


if __name__ == "__main__":
    main()
