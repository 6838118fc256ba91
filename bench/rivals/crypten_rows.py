"""The rows in CrypTen: one rank, a process; its peers are started alike. Asked and answered by serve.py.

    python crypten_rows.py RANK RANKS FILE      FILE: where the ranks find each other; it must not exist yet

Two ranks over gloo with the default provider of triples, in which rank 0 knows every triple: quick, and no protection
against rank 0. An exchange of one number precedes each run, so that the ranks start together.
"""

from __future__ import annotations

import os
import sys
import time
import types
from collections.abc import Callable
from typing import Any

from serve import serve

# Its ONNX reader wants a module that newer versions of torch have moved. No row reads ONNX, so an empty one will do.
_absent = types.ModuleType("torch.onnx._internal.registration")
_absent.registry = None  # type: ignore[attr-defined]
sys.modules[_absent.__name__] = _absent

import crypten  # noqa: E402
import torch  # noqa: E402
from crypten import nn  # noqa: E402

WORDS = 1 << 20
RATE = 0.1
Run = Callable[[], Any]


def gaussian(*shape: int) -> Any:
    """Multiples of 2^-12, as in our own rows: sharing them rounds nothing."""
    return (torch.randn(shape) * 4096).round() / 4096


def elementwise(shape: tuple[int, ...], work: Callable[[Any], Any], plain: Callable[[Any], Any]) -> Callable[[], Any]:
    """An operation on one secret tensor, and what it should give."""

    def make() -> tuple[Run, Run]:
        value = gaussian(*shape)
        secret = crypten.cryptensor(value)
        return lambda: work(secret), lambda: plain(value.double())

    return make


def pairwise(shape: tuple[int, ...], work: Callable[[Any, Any], Any]) -> Callable[[], Any]:
    """An operation on two secret tensors; the same words mean the same in plain torch."""

    def make() -> tuple[Run, Run]:
        x, y = gaussian(*shape), gaussian(*shape)
        secret_x, secret_y = crypten.cryptensor(x), crypten.cryptensor(y)
        return lambda: work(secret_x, secret_y), lambda: work(x.double(), y.double())

    return make


def reciprocal() -> tuple[Run, Run]:
    """Of 1 + g^2 for Gaussian g."""
    value = (gaussian(100_000).square() * 4096).round() / 4096 + 1
    secret = crypten.cryptensor(value)
    return lambda: secret.reciprocal(), lambda: value.double().reciprocal()


def step_of(model: Any, loss: Any, x: Any, y: Any) -> Run:
    """One step of gradient descent. CrypTen computes the loss itself on the way."""
    model.encrypt()

    def step() -> None:
        value = loss(model(x), y)
        model.zero_grad()
        value.backward()
        model.update_parameters(RATE)

    return step


def lr_step() -> tuple[Run, None]:
    """Logistic regression."""
    x = crypten.cryptensor(gaussian(128, 32))
    y = crypten.cryptensor((torch.rand(128, 1) > 0.5).float())
    return step_of(nn.Sequential(nn.Linear(32, 1), nn.Sigmoid()), nn.BCELoss(), x, y), None


def mlp_step() -> tuple[Run, None]:
    """Three layers and cross entropy with secret one-hot labels."""
    x = crypten.cryptensor(torch.rand(128, 784))
    y = crypten.cryptensor(torch.nn.functional.one_hot(torch.randint(0, 10, (128,)), 10).float())
    layers = nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10)
    return step_of(nn.Sequential(*layers), nn.CrossEntropyLoss(), x, y), None


def max_pool(x: Any) -> Any:
    """2 x 2; plain torch has it elsewhere."""
    return torch.nn.functional.max_pool2d(x, 2)


ROWS: dict[str, Callable[[], tuple[Run, Run | None]]] = {
    "mul 2^20": pairwise((WORDS,), lambda x, y: x * y),
    "compare 2^20, 49 bits": pairwise((WORDS,), lambda x, y: x > y),
    "relu 2^20": elementwise((WORDS,), lambda x: x.relu(), lambda x: x.relu()),
    "matmul 512": pairwise((512, 512), lambda x, y: x.matmul(y)),
    "softmax 100x1000": elementwise((100, 1000), lambda x: x.softmax(1), lambda x: x.softmax(1)),
    "sigmoid 100k": elementwise((100_000,), lambda x: x.sigmoid(), lambda x: x.sigmoid()),
    "exp 100k": elementwise((100_000,), lambda x: x.exp(), lambda x: x.exp()),
    "reciprocal 100k": reciprocal,
    # It has no GELU; its erf is the expensive part of one, and what the bar was set against.
    "gelu 100k": elementwise((100_000,), lambda x: x.erf(), lambda x: x.erf()),
    "max-pool 2x2 of 16x64x24x24": elementwise((16, 64, 24, 24), lambda x: x.max_pool2d(2), max_pool),
    "lr step 128x32": lr_step,
    "mlp step 784-128-128-10": mlp_step,
}
ROWS["compare 2^20, 64 bits"] = ROWS["compare 2^20, 49 bits"]  # it knows one width: 64 bits


def measure(row: str, runs: int, seconds: float) -> dict[str, Any]:
    """Milliseconds of every run at this rank, and the largest error."""
    torch.manual_seed(0)  # all ranks hold the same plain values, and go the same way
    work, plain = ROWS[row]()
    communicator = crypten.communicator.get()
    begun = time.perf_counter()
    result = work()
    # Every rank must do as many runs as the others, so one of them says how many.
    fitting = int(seconds / max(time.perf_counter() - begun, 1e-6))
    runs = max(1, min(runs, int(communicator.broadcast(torch.tensor(fitting), 0).item())))
    times = []
    for _ in range(runs):
        communicator.all_reduce(torch.zeros(1))
        begun = time.perf_counter()
        result = work()
        times.append((time.perf_counter() - begun) * 1e3)
    error = None if plain is None else float((result.get_plain_text().double() - plain().double()).abs().max())
    return {"times_ms": times, "error": error}


def main() -> None:
    """Join the other ranks, then serve."""
    rank, ranks, meeting = sys.argv[1:]
    os.environ.update(
        RANK=rank, WORLD_SIZE=ranks, RENDEZVOUS=f"file://{meeting}", DISTRIBUTED_BACKEND="gloo", OMP_NUM_THREADS="1"
    )
    torch.set_num_threads(1)
    crypten.init()
    torch.set_num_threads(1)  # its init sets it too
    serve(measure)


if __name__ == "__main__":
    main()
