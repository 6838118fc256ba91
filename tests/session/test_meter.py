"""The meter counts every exchange once, under the innermost operation, and payload bytes as they are sent."""

from __future__ import annotations

import json

import numpy as np
import pytest

from kit.parties import in_threads, make_sessions
from tacit.session.meter import Meter


def test_an_exchange_is_booked_in_total_and_under_the_innermost_operation() -> None:
    meter = Meter()
    meter.note_exchange(1)
    with meter.measure("linear"):
        meter.note_exchange(10)
        with meter.measure("truncate"):
            meter.note_exchange(100)
        meter.note_exchange(1000)
    assert (meter.total.rounds, meter.total.bytes_sent) == (4, 1111)
    assert {name: (cost.rounds, cost.bytes_sent) for name, cost in meter.by_operation.items()} == {
        "setup": (1, 1),
        "linear": (2, 1010),
        "truncate": (1, 100),
    }
    assert sum(cost.rounds for cost in meter.by_operation.values()) == meter.total.rounds


def test_the_name_comes_back_after_an_operation_that_failed() -> None:
    meter = Meter()

    def fail() -> None:
        with meter.measure("relu"):
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    assert meter.operation == "setup"
    assert meter.by_operation["relu"].calls == 1


def test_the_report_is_json_with_the_costliest_operation_first() -> None:
    meter = Meter()
    for name, rounds in (("mm", 2), ("relu", 10), ("add", 0)):
        with meter.measure(name):
            for _ in range(rounds):
                meter.note_exchange(8)
    report = json.loads(json.dumps(meter.report()))
    assert list(report["operations"]) == ["relu", "mm", "add"]
    assert report["rounds"] == 12
    assert report["bytes_sent"] == 96
    relu = report["operations"]["relu"]
    assert (relu["rounds"], relu["bytes_sent"], relu["calls"]) == (10, 80, 1)
    assert 0 <= relu["seconds"] <= report["seconds"] + 1e-3


def test_a_session_meters_what_it_sends_and_counts_a_round_for_silent_parties_too() -> None:
    sessions = make_sessions("replicated3")
    words = np.arange(12, dtype=np.int64).reshape(3, 4)
    expected = ((3, 4), words.dtype)

    def work(place: int) -> dict:
        with sessions[place].meter.measure("demo"):
            return sessions[place].exchange(
                "x", {1: words} if place == 0 else {}, {0: expected} if place == 1 else {}
            )

    arrived = in_threads([lambda place=place: work(place) for place in range(3)], sessions)
    assert np.array_equal(arrived[1][0], words)
    assert [s.meter.by_operation["demo"].bytes_sent for s in sessions] == [96, 0, 0]
    assert [s.meter.total.rounds for s in sessions] == [1, 1, 1]
    assert [s.step for s in sessions] == [1, 1, 1]


def test_the_operation_is_part_of_the_label_that_travels() -> None:
    views: list[list[tuple[str, int, bytes]]] = [[], [], []]
    sessions = make_sessions("replicated3", views=views)
    word = np.ones(1, dtype=np.int64)

    def work(place: int) -> None:
        with sessions[place].meter.measure("aten.mm of a very long module path, and more of it"):
            expected = {0: ((1,), word.dtype)} if place == 1 else {}
            sessions[place].exchange("x", {1: word} if place == 0 else {}, expected)

    in_threads([lambda place=place: work(place) for place in range(3)], sessions)
    # A frame has room for 40 characters; the step number beside them tells two long names apart.
    assert views[1] == [("aten.mm of a very long module path, and ", 0, word.tobytes())]
