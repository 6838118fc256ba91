"""The fraud job from files to scores, once: what the story test asserts, and the soak test repeats for other seeds."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from make_data import make
from plain import baselines
from report import SCORES

FRAUD = Path(__file__).resolve().parents[2] / "examples" / "fraud"


@dataclass(frozen=True)
class Story:
    """What one run left behind, and what plain PyTorch makes of the same files, start and batches."""

    folder: Path
    screen: str
    cost: dict[str, Any]
    scores: dict[str, Any]
    plain: dict[str, Any]

    def secret_auc(self, model: str) -> float:
        """Test AUC of the model trained on shares."""
        return float(self.scores[model]["auc"])

    def pooled_auc(self, model: str) -> float:
        """Test AUC of the same model, trained in the open on both tables."""
        return float(self.plain["pooled"][model]["auc"])

    def better_side_auc(self) -> float:
        """The best that either side reaches alone, with either model."""
        return max(self.plain[side][model]["auc"] for side in ("alice", "bob") for model in ("linear", "network"))


def play(folder: Path, seed: int) -> Story:
    """Make the data, run all three parties, and train the plain models."""
    alice_csv, bob_csv = make(folder, seed=seed)
    text = (FRAUD / "job.toml").read_text(encoding="utf-8").replace('"run/', f'"{folder}/')
    (folder / "job.toml").write_text(text, encoding="utf-8")
    command = [
        sys.executable, "-m", "tacit", "run", str(FRAUD / "train.py"), "--parties", "alice,bob,crypto-producer",
        "--job", str(folder / "job.toml"), "--report", str(folder / "cost.json"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    scores = json.loads((folder / SCORES).read_text())
    cost = json.loads((folder / "cost.json").read_text())
    plain = baselines(alice_csv, bob_csv, seed=scores["public_seed"], dtype=torch.float64)
    return Story(folder, done.stdout, cost, scores, plain)
