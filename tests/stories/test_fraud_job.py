"""The main job, as a user runs it: three processes, real sockets, two CSV files in, a model and a report out."""

from __future__ import annotations

import pytest
from safetensors.torch import load_file

from kit.fraud import Story, play

SEED = 2026


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return play(tmp_path_factory.mktemp("fraud"), SEED)


@pytest.mark.parametrize("model", ["linear", "network"])
def test_the_joint_model_is_as_good_as_plain_pytorch_on_the_pooled_data(story: Story, model: str) -> None:
    # Same start, same batches: what is left is rounding, which moves a few of 1,400 rows past each other.
    assert abs(story.secret_auc(model) - story.pooled_auc(model)) < 0.005


def test_the_joint_model_beats_the_better_side_alone(story: Story) -> None:
    assert story.secret_auc("network") > story.better_side_auc() + 0.03
    assert story.secret_auc("linear") > story.better_side_auc() + 0.03


@pytest.mark.parametrize("model", ["linear", "network"])
def test_the_loss_curve_follows_float64(story: Story, model: str) -> None:
    pairs = zip(story.scores[model]["loss"], story.plain["pooled"][model]["loss"], strict=True)
    assert max(abs(secret - plain) for secret, plain in pairs) < 1e-2


def test_the_weights_of_the_linear_model_follow_float64(story: Story) -> None:
    secret = load_file(story.folder / "fraud-model.safetensors")["linear.weight"]
    plain = story.plain["pooled"]["linear"]["state"]["weight"]
    # 172 steps; the bound of the issue is 1e-3 after 50.
    assert float((secret - plain).abs().max()) < 1e-3


def test_the_report_lists_every_reveal_and_nothing_else(story: Story) -> None:
    listed = {(entry["name"], entry["shape"], entry["to"], entry["count"]) for entry in story.cost["disclosures"]}
    assert listed == {
        ("same row order", "[]", "all", 1),
        ("training loss", "[]", "bob", 10),
        ("epoch scores", "[256, 1]", "bob", 10),
        ("test scores", "[1400, 1]", "bob", 2),
        ("weights", "6 tensors, 578 values", "alice", 1),
    }
    assert all(entry["line"].startswith("train.py:") for entry in story.cost["disclosures"])


def test_scores_and_weights_are_shown_only_where_they_may_be_seen(story: Story) -> None:
    lines = [line.split(" | ", 1) for line in story.screen.splitlines() if " | " in line]
    by_party: dict[str, str] = {}
    for name, text in lines:
        by_party[name.strip()] = by_party.get(name.strip(), "") + text + "\n"
    assert "AUC" in by_party["bob"]
    assert "weight" not in by_party["bob"].replace("with the weights she could", "")
    assert "linear weight" in by_party["alice"]
    assert "AUC" not in by_party["alice"]
    assert "crypto-producer" not in by_party


def test_the_report_counts_rounds_and_bytes_of_all_parties(story: Story) -> None:
    assert story.cost["rounds"] > 5_000
    assert set(story.cost["bytes_sent"]) == {"alice", "bob", "crypto-producer"}
    assert min(story.cost["bytes_sent"].values()) > 10_000_000
