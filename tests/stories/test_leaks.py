"""No share, key or value on any screen, in any file, representation or error; and no core dumps."""

from __future__ import annotations

import json
from functools import partial

import pytest

import tacit
from kit.canaries import leaks, of_keys, of_values, of_words
from kit.machines import NAMES, Machines
from tacit.crypto.keystore import KeyStore

VALUES = {
    "alice": [1729.40961, -2468.13579, 3141.59265, 1618.03398, -1414.21356, 2236.06797, 1732.05081, -2645.75131],
    "bob": [5772.15664, 6626.07015, -6022.14076, 2997.92458, 8314.46261, -1380.64852, 9109.38356, 1602.17663],
}
IDS = [7319265401, 8420376512, 9531487623]

#: Appended to the program of every party: look at everything, and tell the test, not the screen, what must not be seen.
WATCH = """
import ctypes, gc, json, resource
from tacit.session import current
run = current.current()
ids = tacit.secret(torch.tensor(IDS), owner="alice")
hidden = [x, y, ids, loss_before, *model.parameters()]
words = [word for tensor in hidden for word in tensor._cell.shares.reshape(-1).tolist()]
keys = [key.hex() for key in run.session.randomness._pair_keys.values()]
(table.path.parent if table else Path.cwd()).joinpath("spilled.json").write_text(json.dumps([words, keys]))
for thing in gc.get_objects():
    if str(type(thing).__module__).startswith("tacit"):
        print("seen", repr(thing), str(thing))
print("core", resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
"""


def watched(program: str) -> str:
    line = 'loss = tacit.reveal(loss, to="bob"'
    assert program.count(line) == 1
    before = program.replace(line, f"loss_before = loss\n{line}")
    return before + "from pathlib import Path\n" + WATCH.replace("IDS", repr(IDS))


def test_a_run_leaves_no_secret_anywhere(machines: Machines) -> None:
    for name in NAMES:
        machines.write(name, "train.py", watched((machines.at(name) / "train.py").read_text()))
    for name, values in VALUES.items():
        rows = [f"{name}-{number},{value}" for number, value in enumerate(values)]
        machines.write(name, "table.csv", "\n".join(["id,value", *rows]) + "\n")
    started = {name: machines.start(name, cold=name == "alice") for name in NAMES}
    ended = {name: process.end() for name, process in started.items()}
    assert {end.code for end in ended.values()} == {0}, ended
    secrets = everything_secret(machines)
    for name in NAMES:
        screen = ended[name].out + ended[name].err
        assert screen.count("\nseen ") > 20
        assert "core (0, 0) 0" in screen
        if name == "bob":  # who may see the loss; it is no canary
            assert "loss" in screen
        assert not leaks(screen, secrets)
        for path in machines.at(name).iterdir():
            if path.is_file() and path.name not in ("table.csv", "spilled.json", "model.safetensors", "train.py"):
                assert not leaks(path.read_text(), secrets), path
        assert {path.suffix for path in machines.at(name).rglob("*") if path.is_file()} <= {
            ".py", ".pyc", ".csv", ".toml", ".json", ".safetensors",
        }  # fmt: skip


def everything_secret(machines: Machines) -> dict[str, str]:
    secrets = of_values([value for values in VALUES.values() for value in values]) | of_words(IDS)
    for name in NAMES:
        words, keys = json.loads((machines.at(name) / "spilled.json").read_text())
        assert len(words) > 30
        assert len(keys) == 2
        secrets |= of_words(words) | of_keys(map(bytes.fromhex, keys))
        identity = KeyStore(machines.homes[name]).load(name)
        secrets |= dict.fromkeys(identity.secret_texts().values(), "a key of the identity")
        secrets |= dict.fromkeys(identity.transport_private_pem().decode().split("\n")[1:-2], "a key of the identity")
    return secrets


@pytest.mark.parametrize("text", [repr(VALUES["alice"][0]), str(IDS[0]), str(round(VALUES["bob"][2] * 65536))])
def test_the_search_finds_what_it_is_meant_to_find(text: str) -> None:
    secrets = of_values([*VALUES["alice"], *VALUES["bob"]]) | of_words(IDS)
    assert leaks(f"loss at step 3: {text}, going on", secrets)
    assert not leaks("loss at step 3: 0.25, going on", secrets)
    assert leaks(bytes(range(32)).hex().upper(), of_keys([bytes(range(32))]))


# ---- errors ---------------------------------------------------------------------------------------------------------


def attempts(values: list[float], ids: list[int]) -> tuple[dict[str, str], list[int], list[str]]:
    """Runs at every party: all that might print, export or choke on a secret. ({what: the text}, words, keys)."""
    import copy
    import io
    import pickle
    import traceback

    import numpy as np
    import torch

    from tacit.session import current

    x = tacit.secret(torch.tensor(values, dtype=torch.float64), owner=0)
    n = tacit.secret(torch.tensor(ids), owner=1)
    column = x.reshape(-1, 1)
    out: dict[str, str] = {}
    tries = {
        "item": lambda: x[0].item(),
        "float": lambda: float(x[0]),
        "int": lambda: int(n[0]),
        "bool": lambda: bool(x[0] > 0),
        "index": lambda: [1, 2, 3][n[0]],
        "print": lambda: str(x),
        "format": lambda: f"{x} {n}",
        "format with a width": lambda: f"{x[0]:.3f}",
        "numpy": lambda: x.numpy(),
        "asarray": lambda: np.asarray(n),
        "tolist": lambda: x.tolist(),
        "iterate": lambda: [str(entry) for entry in n],
        "pickle": lambda: pickle.dumps(x),
        "save": lambda: torch.save(x, io.BytesIO()),
        "deepcopy": lambda: str(copy.deepcopy(x)),
        "dlpack": lambda: x.__dlpack__(),
        "tensor": lambda: str(torch.tensor(x)),
        "nonzero": lambda: x.nonzero(),
        "unknown op": lambda: torch.linalg.svd(column),
        "wrong shapes": lambda: column @ column,
        "wrong index": lambda: x[100],
        "wrong view": lambda: x.view(3, 17),
        "plain data": lambda: setattr(x, "data", torch.zeros(8)),
        "write into plain": lambda: torch.zeros(8).add_(x),
        "plain nan": lambda: x * torch.tensor(float("nan")),
        "wrong receiver": lambda: tacit.reveal(x, to="nobody"),
        "vars": lambda: str(vars(x)) + repr(x._cell) + repr(x._cell.storage) + repr(x._cell.context),
        "bits": lambda: repr(x._cell.context.protocol.is_negative(x._cell.shares)),
        "gate inside": lambda: x._cell.context.protocol.from_bits(
            x._cell.context.protocol.is_negative(x._cell.shares), (5, 5)
        ),
    }
    for what, attempt in tries.items():
        try:
            out[what] = f"returned {attempt()!r:.2000}"
        except Exception as error:
            out[what] = "".join(traceback.format_exception(error))
    session = current.current().session
    words = [word for tensor in (x, n) for word in tensor._cell.shares.reshape(-1).tolist()]
    return out, words, [key.hex() for key in session.randomness._pair_keys.values()]


def test_no_error_or_representation_holds_a_share_a_key_or_a_value() -> None:
    results = tacit.simulate(partial(attempts, VALUES["alice"], IDS))
    secrets = of_values(VALUES["alice"]) | of_words(IDS)
    for _, words, keys in results:
        assert len(words) == 2 * (len(VALUES["alice"]) + len(IDS))
        secrets |= of_words(words) | of_keys(map(bytes.fromhex, keys))
    for out, _, _ in results:
        found = {what: leaks(text, secrets) for what, text in out.items() if leaks(text, secrets)}
        assert not found
        for what in ("item", "float", "bool", "numpy", "asarray", "tolist", "pickle", "save", "dlpack", "unknown op"):
            assert "tacit.errors.RefusedOp" in out[what], out[what]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 8.765432109e18], ids=str)
def test_a_value_that_is_refused_is_named_by_its_index_alone(bad: float) -> None:
    def program() -> None:
        import torch

        values = torch.tensor([*VALUES["alice"], bad], dtype=torch.float64)
        tacit.secret(values if tacit.party().place == 0 else None, owner=0)

    with pytest.raises(tacit.errors.NotRepresentable, match=r"entry \[8\]") as caught:
        tacit.simulate(program)
    assert not leaks(str(caught.value), of_values([*VALUES["alice"], 8.765432109e18]) | {"8.765": "a value"})


def test_what_the_others_hear_of_an_error_holds_no_text_of_it() -> None:
    def program() -> None:
        import torch

        try:
            x = tacit.secret(torch.ones(2), owner=0)
            if tacit.party().place == 1:
                raise ValueError(f"cannot use {VALUES['bob'][0]}")
            tacit.reveal(x, to="all")
        except tacit.errors.PeerStopped as stopped:
            print("heard", stopped)
            raise

    lines: list[str] = []
    with pytest.raises(ValueError, match="cannot use"):
        tacit.simulate(program, on_line=lambda name, line: lines.append(line))
    heard = "\n".join(lines)
    assert heard.count("heard") == 2
    assert "ValueError" in heard
    assert not leaks(heard, of_values(VALUES["bob"]))


# ---- the memory of a process ----------------------------------------------------------------------------------------


def test_a_simulated_party_cannot_dump_its_memory() -> None:
    def program() -> tuple[tuple[int, int], int]:
        import ctypes
        import resource

        return resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)

    assert tacit.simulate(program) == [((0, 0), 0)] * 3
