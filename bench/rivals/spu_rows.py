"""The rows in SPU: parties as threads with links in memory. Asked and answered by serve.py.

    python spu_rows.py aby3|semi2k

Ring of 64 bits with 18 fraction bits, its own default. Compilation is not timed; a barrier precedes and ends each run.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import spu.api
import spu.utils.frontend as frontend
from jax import lax
from serve import serve
from spu import libspu

KINDS = {"aby3": (3, libspu.ProtocolKind.ABY3), "semi2k": (2, libspu.ProtocolKind.SEMI2K)}
WORDS = 1 << 20
RATE = 0.1
Arrays = tuple[Any, ...]

_random = np.random.default_rng(0)


def gaussian(*shape: int) -> np.ndarray:
    """Multiples of 2^-12, as in our own rows: sharing them rounds nothing."""
    return (np.round(_random.standard_normal(shape) * 4096) / 4096).astype(np.float32)


def logistic_step(weight: Any, bias: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """Gradient descent on the cross entropy of a sigmoid, whose gradient is simple enough to write down."""
    off = (jax.nn.sigmoid(x @ weight + bias) - y) / x.shape[0]
    return weight - RATE * x.T @ off, bias - RATE * off.sum(0)


def network(layers: Any, x: Any) -> Any:
    """Linear layers with ReLU between them."""
    *hidden, (weight, bias) = layers
    for inner_weight, inner_bias in hidden:
        x = jnp.maximum(x @ inner_weight + inner_bias, 0)
    return x @ weight + bias


def network_step(layers: Any, x: Any, y: Any) -> Any:
    """Gradient descent on cross entropy with one-hot labels."""

    def loss(layers: Any) -> Any:
        return -jnp.mean(jnp.sum(jax.nn.log_softmax(network(layers, x)) * y, axis=1))

    return jax.tree_util.tree_map(lambda value, slope: value - RATE * slope, layers, jax.grad(loss)(layers))


def layers() -> list[tuple[Any, Any]]:
    """784-128-128-10, scaled so that activations stay near 1."""
    sizes = [(784, 128), (128, 128), (128, 10)]
    return [(gaussian(*size) / np.float32(size[0] ** 0.5), np.zeros(size[1], np.float32)) for size in sizes]


def max_pool(x: Any) -> Any:
    """2 x 2 with the channels last, as it likes them."""
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def classes(count: int) -> np.ndarray:
    """Labels, one-hot."""
    return np.eye(10, dtype=np.float32)[_random.integers(0, 10, count)]


#: name -> (what is computed, its secret inputs)
ROWS: dict[str, tuple[Callable[..., Any], Callable[[], Arrays]]] = {
    "mul 2^20": (lambda x, y: x * y, lambda: (gaussian(WORDS), gaussian(WORDS))),
    "compare 2^20, 49 bits": (lambda x, y: x > y, lambda: (gaussian(WORDS), gaussian(WORDS))),
    "relu 2^20": (lambda x: jnp.maximum(x, 0), lambda: (gaussian(WORDS),)),
    "matmul 512": (lambda x, y: x @ y, lambda: (gaussian(512, 512), gaussian(512, 512))),
    "softmax 100x1000": (lambda x: jax.nn.softmax(x, axis=1), lambda: (gaussian(100, 1000),)),
    "sigmoid 100k": (jax.nn.sigmoid, lambda: (gaussian(100_000),)),
    "exp 100k": (jnp.exp, lambda: (gaussian(100_000),)),
    "reciprocal 100k": (lambda x: 1 / x, lambda: (np.round(gaussian(100_000) ** 2 * 4096) / np.float32(4096) + 1,)),
    "gelu 100k": (jax.nn.gelu, lambda: (gaussian(100_000),)),
    "max-pool 2x2 of 16x64x24x24": (max_pool, lambda: (gaussian(16, 24, 24, 64),)),
    "lr step 128x32": (
        logistic_step,
        lambda: (
            np.zeros((32, 1), np.float32), np.zeros(1, np.float32), gaussian(128, 32),
            (_random.random((128, 1)) > 0.5).astype(np.float32),
        ),
    ),
    "mlp step 784-128-128-10": (
        network_step, lambda: (layers(), _random.random((128, 784)).astype(np.float32), classes(128)),
    ),
}
ROWS["compare 2^20, 64 bits"] = ROWS["compare 2^20, 49 bits"]  # it knows one width: 64 bits


class Parties:
    """All parties of one protocol, in this process."""

    def __init__(self, kind: str) -> None:
        self.count, protocol = KINDS[kind]
        self.settings = libspu.RuntimeConfig(protocol=protocol, field=libspu.FieldType.FM64)
        self.settings.fxp_fraction_bits = 18
        self._meetings = 0

    def measure(self, row: str, runs: int, seconds: float) -> dict[str, Any]:
        """Milliseconds of every run, and the largest error."""
        function, make = ROWS[row]
        inputs = make()
        flat = jax.tree_util.tree_leaves(inputs)
        names = [f"in{at}" for at in range(len(flat))]
        program, _ = frontend.compile(
            frontend.Kind.JAX, function, inputs, {}, names, [libspu.Visibility.VIS_SECRET] * len(flat),
            lambda results: [f"out{at}" for at in range(len(results))],
        )
        dealer = spu.api.Io(self.count, self.settings)
        shares = [dealer.make_shares(np.asarray(one), libspu.Visibility.VIS_SECRET) for one in flat]
        links = libspu.link.Desc()
        self._meetings += 1
        for place in range(self.count):
            links.add_party(f"party{place}", f"meeting{self._meetings}-{place}")
        barrier = threading.Barrier(self.count)
        shared: dict[str, Any] = {"runs": runs, "outputs": [None] * self.count, "times_ms": []}

        def take_part(place: int) -> None:
            link = libspu.link.create_mem(links, place)
            runtime = spu.api.Runtime(link, libspu.RuntimeConfig(self.settings))
            for name, parts in zip(names, shares, strict=True):
                runtime.set_var(name, parts[place])
            for run in range(-1, runs):
                barrier.wait()
                if run >= shared["runs"]:
                    break
                begun = time.perf_counter()
                runtime.run(program)
                barrier.wait()
                if place == 0:
                    took_s = time.perf_counter() - begun
                    if run < 0:
                        shared["runs"] = max(1, min(runs, int(seconds / took_s)))
                    else:
                        shared["times_ms"].append(took_s * 1e3)
                barrier.wait()  # nobody looks at the number of runs before it is settled
            shared["outputs"][place] = [runtime.get_var(name) for name in program.output_names]

        self._together(take_part)
        opened = [dealer.reconstruct(list(parts)) for parts in zip(*shared["outputs"], strict=True)]
        expected = jax.tree_util.tree_leaves(function(*inputs))
        error = max(
            float(np.abs(np.asarray(ours, np.float32) - np.asarray(theirs, np.float32)).max())
            for ours, theirs in zip(opened, expected, strict=True)
        )
        return {"times_ms": shared["times_ms"], "error": error}

    def _together(self, work: Callable[[int], None]) -> None:
        failed: list[BaseException] = []

        def guarded(place: int) -> None:
            try:
                work(place)
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=guarded, args=(place,), daemon=True) for place in range(self.count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive() and not failed:
                thread.join(0.1)
        if failed:  # the others wait for ever at the barrier: daemons, they end with the process
            raise failed[0]


if __name__ == "__main__":
    serve(Parties(sys.argv[1]).measure)
