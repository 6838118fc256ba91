"""The claim of the main job for five seeds: as good as plain PyTorch, and better than each side alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.fraud import play


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_joint_training_matches_plain_and_beats_each_side(tmp_path: Path, seed: int) -> None:
    story = play(tmp_path, seed)
    for model in ("linear", "network"):
        secret, pooled, side = story.secret_auc(model), story.pooled_auc(model), story.better_side_auc()
        print(f"seed {seed} {model}: secret {secret:.4f}, pooled {pooled:.4f}, better side alone {side:.4f}")
        assert abs(secret - pooled) < 0.005
        assert secret > side + 0.03
