"""Every function keeps the promise of its record: error over the whole domain, rounds, and a page that says the same.

The long version, millions of points at more widths, is tests/soak/test_functions_in_full.py.
"""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch

from kit.accuracy import measured
from kit.parties import in_threads, make_sessions
from tacit.functions.catalogue import PROMISES, Bound, Promise
from tacit.protocols import PROTOCOLS

ROOT = Path(__file__).resolve().parent.parent.parent
TOOL = runpy.run_path(str(ROOT / "tools" / "functions_page.py"))
EVERY = pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.name)


@EVERY
@pytest.mark.parametrize("frac_bits", [12, 16, 20])
def test_the_error_is_within_the_promise_over_the_whole_domain(promise: Promise, frac_bits: int) -> None:
    seed = 5
    errors = measured(promise, frac_bits, 16_000, seed)
    assert errors.share <= 1, f"at {errors.worst}, seed {seed}: {errors}"


@EVERY
def test_rounds_are_as_promised(promise: Promise) -> None:
    sessions = make_sessions("masked")

    def work(place: int) -> None:
        protocol = PROTOCOLS["masked"](sessions[place])
        x = protocol.public(np.full((3, *promise.shape), 1 << 15, dtype=np.int64))
        promise.call(protocol, *[x] * len(promise.domain(16)), 16)

    in_threads([lambda place=place: work(place) for place in range(3)], sessions)
    assert {session.meter.total.rounds for session in sessions} == {promise.rounds}


def test_names_are_names() -> None:
    names = [promise.name for promise in PROMISES]
    assert len(set(names)) == len(names)


def test_a_bound_reads_as_it_is_applied() -> None:
    y = np.array([0.0, 1.0, -16.0])
    for bound, words, allowed in (
        (Bound(2), "2", [2, 2, 2]),
        (Bound(1.5, 2.0**-10), "1.5 + 2^-10 y", [1.5, 1.75, 5.5]),
        (Bound(2, 1.5 * 2.0**-6, larger=True), "the larger of 2 and 1.5 * 2^-6 y", [2, 6, 96]),
    ):
        assert str(bound) == words
        assert bound.allowed(torch.as_tensor(y), 8).tolist() == allowed


def test_the_page_of_functions_is_fresh() -> None:
    assert TOOL["stale"](TOOL["PAGE"].read_text(encoding="utf-8")) == []


def test_the_page_is_stale_when_a_promise_or_a_figure_is_another() -> None:
    text = TOOL["PAGE"].read_text(encoding="utf-8")
    summary, errors = [line for line in text.splitlines() if line.startswith("| `sigmoid`")][:2]
    edits = [(summary, 2, " another formula "), (summary, 5, " 9 "), (errors, 3, " 7 "), (errors, 6, " 101 % ")]
    for row, at, changed in edits:
        cells = row.split("|")
        edited = "|".join([*cells[:at], changed, *cells[at + 1 :]])
        assert edited != row
        assert TOOL["stale"](text.replace(row, edited)) != [], edited
    assert TOOL["stale"](text.replace(errors + "\n", "")) != []
