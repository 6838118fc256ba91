"""Which way bits are dropped is agreed by all, and the one that may corrupt results is asked for by its name."""

from __future__ import annotations

import pytest
import torch

import tacit
from tacit.errors import JobError, Misuse
from tacit.session import current
from tacit.session.job import Job
from tacit.session.truncation import DITHERED, TRUNCATIONS


@pytest.mark.parametrize("truncation", TRUNCATIONS)
def test_the_way_is_common_to_all_parties(truncation: str) -> None:
    job = Job.parse(f'version = 1\ntruncation = "{truncation}"')
    assert job.common()["truncation"] == job.truncation == truncation
    same = job.common_digest() == Job.parse("version = 1").common_digest()
    assert same == (truncation == DITHERED)


@pytest.mark.parametrize("written", ['"probabilistic"', '"exact"', "true", '""', "1", '["faithful"]'])
def test_no_other_word_chooses_one(written: str) -> None:
    with pytest.raises(JobError, match="probabilistic-may-corrupt"):
        Job.parse(f"version = 1\ntruncation = {written}")


def test_simulate_refuses_the_harmless_name_and_names_the_others() -> None:
    with pytest.raises(Misuse, match="probabilistic") as refusal:
        tacit.simulate(lambda: None, truncation="probabilistic")
    assert "probabilistic-may-corrupt" in refusal.value.hint


def test_a_run_that_may_corrupt_saves_a_round_of_a_product() -> None:
    def program() -> tuple[list[float], int]:
        x, y = (tacit.secret(torch.full((4,), 1.5), owner=owner) for owner in ("alice", "bob"))
        z = tacit.reveal(x * y, to="all", name="squares").tolist()
        return z, current.current().session.meter.total.rounds

    names = ["alice", "bob", "crypto-producer"]
    (exact, rounds), *_ = tacit.simulate(program, names)
    (hoped, fewer), *_ = tacit.simulate(program, names, truncation="probabilistic-may-corrupt")
    assert fewer == rounds - 1
    assert exact == hoped == [2.25] * 4  # wrong once in 2^28 runs: four elements of |z| = 9 * 2^30 over 2^64


def test_a_faithful_run_gives_the_nearest_and_nothing_else() -> None:
    def program() -> list[float]:
        x = tacit.secret(torch.arange(-50, 50) / 2**16, owner="alice")
        halves = tacit.secret(torch.full((100,), 0.5), owner="bob")
        return tacit.reveal(x * halves, to="all", name="halves").tolist()

    names = ["alice", "bob", "crypto-producer"]
    want = [((n + 1) >> 1) / 2**16 for n in range(-50, 50)]
    for found in tacit.simulate(program, names, truncation="faithful"):
        assert found == want
