"""Calls that a reader of this code would have to hunt for, found in the syntax trees of src/tacit. Run by `make check`.

pickle            would run what a peer or a file says: only on the pipe between a parent and its own children
torch.save, load  are pickle under another name: nowhere
generators        of torch, numpy and Python can be foretold: not where shares, keys or pads are made (house rule D6).
                  Above those floors torch's generator is public randomness, which all parties seed alike
sleep             hides a race; waiting has a descriptor and a deadline

Names are followed through imports: `from torch import manual_seed as m` is found, and so is a bare `import pickle`.
Not covered: names built at run time (getattr with a text, exec).
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent / "src" / "tacit"


@dataclass(frozen=True)
class Rule:
    """Dotted names that match `names` are refused in the paths that match `where`, except in those listed."""

    names: str
    why: str
    where: str = ""
    but: tuple[str, ...] = ()


SECRET_FLOORS = r"(ring|crypto|net|session|protocols|functions)/"
RULES = (
    Rule(
        r"(pickle|_pickle|cPickle|cloudpickle|dill|joblib|marshal|shelve)(\.|$)",
        "unpickling runs whatever the bytes say",
        but=("session/forkserver.py", "session/launch.py"),
    ),
    Rule(r"torch\.(save|load|package|jit\.(save|load))(\.|$)", "this is pickle under another name"),
    Rule(r"numpy\.load(\.|$)", "it unpickles object arrays"),
    Rule(r"(random|numpy\.random)(\.|$)", "its numbers can be foretold: use tacit.crypto.primitives", SECRET_FLOORS),
    Rule(
        r"torch\.(rand|randn|randint|randperm|normal|bernoulli|multinomial|poisson)(_like)?(\.|$)",
        "torch's generator is public: use the streams of the session",
        SECRET_FLOORS,
    ),
    Rule(
        r"torch\.(seed|initial_seed|manual_seed|Generator|random|default_generator|get_rng_state|set_rng_state)(\.|$)"
        r"|torch\.cuda\.manual_seed(_all)?(\.|$)|torch\.nn\.init(\.|$)|torch\.distributions(\.|$)",
        "only tensor/ seeds torch, with the public seed",
        r"(?!tensor/)",
    ),
    Rule(r"time\.sleep(\.|$)", "wait for what you wait for"),
)

#: Methods whose owner a syntax tree does not know: refused by name where shares are made.
METHODS = frozenset(
    {"random_", "uniform_", "normal_", "bernoulli_", "exponential_", "geometric_", "cauchy_", "log_normal_"}
)


def faults(source: str, path: str) -> Iterator[tuple[int, str]]:
    """(line, what is wrong) for one file; `path` is relative to src/tacit."""
    tree = ast.parse(source)
    known = dict(_imported(tree))
    for node in ast.walk(tree):
        for name in _names(node, known):
            for rule in RULES:
                if re.match(rule.names, name) and re.match(rule.where, path) and path not in rule.but:
                    yield node.lineno, f"{name}: {rule.why}"  # type: ignore[attr-defined]
        if isinstance(node, ast.Attribute) and node.attr in METHODS and re.match(SECRET_FLOORS, path):
            yield node.lineno, f".{node.attr}(): torch's generator is public: use the streams of the session"


def _imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """(local name, what it stands for) of every import in the file, wherever it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname:
                    yield alias.asname, alias.name
                else:
                    yield alias.name.partition(".")[0], alias.name.partition(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _names(node: ast.AST, known: dict[str, str]) -> list[str]:
    """The full dotted names that a node imports or mentions."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    if isinstance(node, ast.Attribute):
        parts = [node.attr]
        inner = node.value
        while isinstance(inner, ast.Attribute):
            parts.append(inner.attr)
            inner = inner.value
        if isinstance(inner, ast.Name) and inner.id in known:
            return [".".join([known[inner.id], *reversed(parts)])]
    if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called in ("import_module", "__import__"):
            return [str(node.args[0].value)]
    return []


def main(root: Path = ROOT) -> int:
    """Print every fault as file:line; 1 if there is any."""
    found = {
        f"{path.relative_to(root.parent)}:{line}: {what}"
        for path in sorted(root.rglob("*.py"))
        for line, what in faults(path.read_text(encoding="utf-8"), path.relative_to(root).as_posix())
    }
    for fault in sorted(found):
        print(fault)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:2])))
