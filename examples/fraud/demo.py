"""What `make demo` runs: makes both files, trains on them as three parties on this machine, and compares.

The comparison needs both files in one hand. Only a demo has that; it reads what each party's run left behind and trains
the plain models afterwards.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rich.box import ROUNDED
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from torch import Tensor

from data import read, split
from make_data import make
from plain import Results, baselines
from report import SCORES

HERE = Path(__file__).resolve().parent
RUN = HERE / "run"
MADE = ("alice.csv", "bob.csv", SCORES, "cost.json", "fraud-model.safetensors")  # all that a run leaves in its folder
PARTIES = "alice,bob,crypto-producer"


def main() -> int:
    parser = argparse.ArgumentParser(description="The fraud job from made-up files to a trained model.")
    parser.add_argument("--seed", type=int, default=1, help="of the made-up customers")
    seed = parser.parse_args().seed
    for name in MADE:
        (RUN / name).unlink(missing_ok=True)
    alice_csv, bob_csv = make(RUN, seed=seed)
    print(f"made {alice_csv} and {bob_csv} (seed {seed})", flush=True)

    tacit = [sys.executable, "-m", "tacit"]
    begun = time.monotonic()
    job = [*tacit, "run", str(HERE / "train.py"), "--parties", PARTIES, "--report", str(RUN / "cost.json")]
    code = subprocess.run(job, check=False).returncode
    wall_s = time.monotonic() - begun
    if code:
        return code

    joint = json.loads((RUN / SCORES).read_text())
    cost = json.loads((RUN / "cost.json").read_text())
    plain = baselines(alice_csv, bob_csv, seed=joint["public_seed"])
    title = "fraud: what each could do alone, and what they did together"
    parts = [quality(joint, plain, labels_of_test_rows(bob_csv)), price(cost, wall_s)]
    Console().print(Panel(Group(*parts), title=title, box=ROUNDED, expand=False))
    return 0


def labels_of_test_rows(bob_csv: Path) -> Tensor:
    """Bob's labels of the test rows."""
    labels = read(bob_csv).labels
    assert labels is not None  # bob.csv was made a moment ago, with labels
    return labels[split(len(labels))[1]]


def quality(joint: dict[str, Any], plain: dict[str, Results], labels: Tensor) -> RenderableType:
    """Accuracy and AUC on the test rows, with the joint models between the sides alone and the pooled tables."""
    table = Table(box=None)
    table.add_column("")
    for heading in ("logistic regression\naccuracy", "\nAUC", "network\naccuracy", "\nAUC"):
        table.add_column(heading, justify="right")
    rows = {
        "alice alone, with labels": plain["alice"],
        "bob alone": plain["bob"],
        "[bold]together, under tacit[/]": joint,
        "plain PyTorch, pooled": plain["pooled"],
    }
    for who, models in rows.items():
        figures = [figure for m in ("linear", "network") for figure in (models[m]["accuracy"], models[m]["auc"])]
        table.add_row(who, *(f"{figure:.4f}" for figure in figures))
    about = f"{len(labels):,} test rows, {labels.mean():.0%} fraud; this demo owns both files, so it may compare"
    return Group(table, f"  [dim]{about}[/]")


def price(cost: dict[str, Any], wall_s: float) -> str:
    """Rounds, payload bytes and time."""
    sent = cost.get("bytes_sent", 0)
    total = sum(sent.values()) if isinstance(sent, dict) else sent
    each = ", ".join(f"{name} {count / 1e6:.1f}" for name, count in sent.items()) if isinstance(sent, dict) else "one"
    rounds = f"{cost.get('rounds', 0):,} rounds, {total / 1e6:.1f} MB sent ({each})"
    return f"\n  {rounds}\n  {cost.get('seconds', wall_s):.1f} s connected, {wall_s:.1f} s with start-up"


if __name__ == "__main__":
    sys.exit(main())
