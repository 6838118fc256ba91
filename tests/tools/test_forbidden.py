"""The check of forbidden calls finds what is planted, lets pass what is right, and this house passes it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "forbidden.py"

PLANTED: dict[str, tuple[str, str]] = {
    "pickle": ("net/mesh.py", "import pickle"),
    "pickle by another name": ("vault/format.py", "import pickle as json"),
    "a name from pickle": ("net/frames.py", "from pickle import loads"),
    "pickle inside a function": ("session/handshake.py", "def f(x):\n    import pickle\n    return pickle.loads(x)"),
    "cloudpickle": ("cli/local.py", "import cloudpickle"),
    "pickle by text": ("net/tcp.py", "import importlib\nimportlib.import_module('pickle')"),
    "marshal": ("cli/run.py", "import marshal"),
    "torch.save": ("tensor/model_file.py", "import torch\ntorch.save({}, 'x')"),
    "torch.load from": ("cli/show.py", "from torch import load"),
    "np.load": ("cli/made_up.py", "import numpy as np\nnp.load('x', allow_pickle=True)"),
    "random": ("ring/words.py", "import random"),
    "a name from random": ("protocols/bits.py", "from random import getrandbits as bits"),
    "np.random": ("protocols/plain.py", "import numpy as np\nx = np.random.default_rng()"),
    "numpy.random": ("crypto/primitives.py", "import numpy\nnumpy.random.bytes(32)"),
    "from numpy": ("functions/curves.py", "from numpy import random"),
    "default_rng": ("session/randomness.py", "from numpy.random import default_rng"),
    "torch.randint": ("protocols/replicated3.py", "import torch\nr = torch.randint(0, 2, (3,))"),
    "torch.rand_like": ("ring/kernels.py", "import torch as t\nr = t.rand_like(t.ones(3))"),
    "torch.randn, imported": ("functions/compare.py", "from torch import randn"),
    "in place": ("protocols/replicated3.py", "def f(x):\n    return x.random_()"),
    "manual_seed": ("session/session.py", "import torch\ntorch.manual_seed(1)"),
    "manual_seed outside the floors of secrets": ("cli/script.py", "import torch\ntorch.manual_seed(1)"),
    "torch.random": ("protocols/plain.py", "import torch\ntorch.random.manual_seed(1)"),
    "Generator": ("protocols/plain.py", "from torch import Generator"),
    "sleep": ("net/dial.py", "import time\ntime.sleep(1)"),
    "sleep, imported": ("session/launch.py", "from time import sleep"),
}

ALLOWED: dict[str, tuple[str, str]] = {
    "pickle on the pipe": ("session/forkserver.py", "import pickle\nimport cloudpickle"),
    "pickle on the pipe, parent's side": ("session/launch.py", "import pickle"),
    "the public seed": ("tensor/cell.py", "import torch\ntorch.manual_seed(1)"),
    "public randomness of torch": ("tensor/nonlinear.py", "import torch\ntorch.rand(3)"),
    "our own randomness": ("protocols/replicated3.py", "from tacit.session import randomness\nx = randomness.random"),
    "a method called random": ("session/session.py", "def f(x):\n    return x.random"),
    "words about it": ("net/frames.py", "'no pickle, no torch.save, no time.sleep'  # pickle"),
    "monotonic": ("net/mesh.py", "from time import monotonic"),
    "a safe loader": ("tensor/model_file.py", "import safetensors.torch\nsafetensors.torch.save({})"),
}


def check(root: Path) -> tuple[int, str]:
    done = subprocess.run([sys.executable, str(TOOL), str(root)], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def plant(root: Path, files: dict[str, str]) -> Path:
    for name, source in files.items():
        path = root / "tacit" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source + "\n")
    return root / "tacit"


@pytest.mark.parametrize("what", PLANTED)
def test_a_planted_call_is_found_with_file_and_line(what: str, tmp_path: Path) -> None:
    name, source = PLANTED[what]
    code, text = check(plant(tmp_path, {name: f"'''A module.'''\n{source}"}))
    assert code == 1, text
    lines = [line.partition(": ")[0] for line in text.splitlines()]
    assert lines
    assert all(line.startswith(f"tacit/{name}:") for line in lines), text
    assert {int(line.rpartition(":")[2]) for line in lines} <= {2, 3, 4}


def test_what_is_right_passes(tmp_path: Path) -> None:
    files: dict[str, str] = {}
    for name, source in ALLOWED.values():
        files[name] = f"{files.get(name, '')}\n{source}"
    assert check(plant(tmp_path, files)) == (0, "")


def test_this_house_passes() -> None:
    assert check(TOOL.parent.parent / "src" / "tacit") == (0, "")
