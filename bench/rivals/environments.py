"""Environments for the rivals: made with pip, outside the project's own, and kept for the next run.

They lie in the folder named by TACIT_RIVALS, else in tacit-rivals of the user's cache. An environment is made anew when
its recipe here has changed. Where one cannot be made, there is a reason in its place.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

BUILD_S = 1800.0  # a slow line downloads a gigabyte in this time


@dataclass(frozen=True)
class Recipe:
    """`installs`: arguments of pip, call after call. `pythons`: versions with which the package works; any if empty."""

    name: str
    installs: tuple[tuple[str, ...], ...]
    packages: tuple[str, ...]  # whose versions are told with the results
    pythons: tuple[str, ...] = ()


CRYPTEN = Recipe(
    "crypten",
    (
        ("torch==2.13.0", "numpy", "scipy", "pandas", "scikit-learn", "omegaconf", "pyyaml", "future", "onnx<1.18"),
        # It asks for a package that exists under another name only, so its needs are met by hand above.
        ("--no-deps", "crypten==0.4.1"),
    ),
    ("crypten", "torch", "numpy"),
)
SPU = Recipe("spu", (("spu==0.9.5",),), ("spu", "jax", "numpy"), pythons=("3.11", "3.10"))
RECIPES = (CRYPTEN, SPU)


@dataclass(frozen=True)
class Environment:
    """A Python that has the rival, and the versions of what it has."""

    python: Path
    versions: dict[str, str]


def folder() -> Path:
    """Where the environments lie."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("TACIT_RIVALS") or f"{cache}/tacit-rivals").expanduser().absolute()


def ready(recipe: Recipe, say: Callable[[str], None]) -> Environment | str:
    """The environment, made if need be, or why there is none."""
    home = folder() / recipe.name
    stamp = home / "recipe.json"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != _stamp(recipe):
        say(f"making an environment for {recipe.name} in {home}: some minutes, once")
        why = _make(recipe, home)
        if why:
            return why
        stamp.write_text(_stamp(recipe), encoding="utf-8")
    python = home / "bin" / "python"
    try:
        return Environment(python, _versions(python, recipe.packages))
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        return f"its environment in {home} does not work ({type(error).__name__}); remove it to have it made anew"


def _stamp(recipe: Recipe) -> str:
    return json.dumps(asdict(recipe))


def _make(recipe: Recipe, home: Path) -> str:
    """Why it failed, or nothing."""
    python = interpreter(recipe.pythons)
    if python is None:
        return f"needs Python {' or '.join(recipe.pythons)}, and none is here"
    try:
        if home.exists():
            shutil.rmtree(home)
        home.parent.mkdir(parents=True, exist_ok=True)
        steps = [[python, "-m", "venv", str(home)]]
        pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        steps += [[*pip, *arguments] for arguments in recipe.installs]
        for step in steps:
            done = subprocess.run(step, capture_output=True, text=True, timeout=BUILD_S, cwd=home.parent)
            if done.returncode:
                words = [line for line in done.stderr.splitlines() if "error" in line.lower()] or ["no reason given"]
                return f"could not be installed: {words[0].strip()}"[:200]
    except (OSError, subprocess.SubprocessError) as error:
        return f"could not be installed: {type(error).__name__}"
    return ""


def interpreter(versions: tuple[str, ...]) -> str | None:
    """A Python of one of these versions: this one, or one on the search path."""
    if not versions or f"{sys.version_info.major}.{sys.version_info.minor}" in versions:
        return sys.executable
    return next((path for version in versions if (path := shutil.which(f"python{version}"))), None)


def _versions(python: Path, packages: tuple[str, ...]) -> dict[str, str]:
    code = f"import importlib.metadata as m, json; print(json.dumps({{p: m.version(p) for p in {packages!r}}}))"
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, timeout=60, check=True)
    versions: dict[str, str] = json.loads(done.stdout)
    return versions
