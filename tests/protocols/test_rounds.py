"""Gates abreast share exchanges, and no word of any stream is read twice."""

from __future__ import annotations

import numpy as np
import pytest

from kit.parties import in_threads, make_sessions, run_gates
from kit.sharing import any_word, deal, opened
from tacit.protocols import Replicated3
from tacit.protocols.rounds import Round, abreast, run
from tacit.ring.kernels import mul
from tacit.session.randomness import Randomness


def gates_of(p: Replicated3, x, y):
    """Truncations of three kinds: their helpers' messages come at different times, and widths differ."""
    return [p._truncate(x, 9), p._product_truncated(mul, x, y, 16), p._truncate(y[:, :5], 3), p._truncate(x, 33)]


def test_gates_abreast_give_what_they_give_alone_in_the_rounds_of_the_longest(rng: np.random.Generator) -> None:
    x, y, m = any_word(rng, (67,), 30), any_word(rng, (67,), 30), any_word(rng, (4, 67))
    sessions = make_sessions("replicated3")

    def work(place: int):
        p = Replicated3(sessions[place])
        return run(p.session, abreast(p.session.randomness, gates_of(p, deal(p, x, *m[:2]), deal(p, y, *m[2:]))))

    results = in_threads([lambda place=place: work(place) for place in range(3)], sessions)
    assert {session.meter.total.rounds for session in sessions} == {2}
    for got, exact, shift in zip(zip(*results, strict=True), (x, x * y, y[:5], x), (9, 16, 3, 33), strict=True):
        assert set((opened(got) - (exact >> shift)).tolist()) <= {0, 1}


def test_gates_abreast_nest(rng: np.random.Generator) -> None:
    x, y, m = any_word(rng, (64,), 30), any_word(rng, (64,), 30), any_word(rng, (4, 64))

    def work(p: Replicated3):
        a, b = deal(p, x, *m[:2]), deal(p, y, *m[2:])
        streams = p.session.randomness
        inner = [abreast(streams, gates_of(p, a, b)), abreast(streams, gates_of(p, b, a))]
        return [out for part in run(p.session, abreast(streams, inner)) for out in part]

    results = list(zip(*run_gates(work, Replicated3), strict=True))
    for got, exact in zip(results, (x >> 9, x * y >> 16, y[:5] >> 3, x >> 33, y >> 9, x * y >> 16), strict=False):
        assert set((opened(got) - exact).tolist()) <= {0, 1}


def test_lanes_of_one_purpose_have_streams_of_their_own() -> None:
    randomness = Randomness({1: bytes(32)}, b"session")
    word = np.dtype("<i8")
    seen = []
    for lane in ((), (0,), (1,), (0, 1), (1, 0), (10,)):
        randomness.lane = lane
        seen.append(randomness.narrow(1, "pad", (4,), word).tobytes())
    assert len(set(seen)) == len(seen)


def test_blinding_in_place_is_the_same_pad_as_drawing_it() -> None:
    words = np.arange(12, dtype=np.int64).reshape(3, 4)
    ours, theirs = (Randomness({1: bytes(32)}, b"session") for _ in range(2))
    blinded = words.copy()
    ours.blind(1, "bits", blinded)
    assert np.array_equal(blinded ^ theirs.narrow(1, "bits", (3, 4), np.dtype("<i8")), words)
    assert not np.array_equal(blinded, words)


def test_memory_that_is_not_contiguous_is_not_left_unblinded() -> None:
    with pytest.raises(ValueError, match="contiguous"):
        Randomness({1: bytes(32)}, b"session").blind(1, "bits", np.zeros((4, 4), dtype=np.int64)[:, ::2])


def test_a_dealt_message_costs_bytes_but_no_round() -> None:
    sessions = make_sessions("replicated3")
    word = np.dtype("<i8")

    def gate(place: int):
        if place == 2:
            yield Round("deal", {1: [np.arange(3)]}, dealt=True)
            return None
        arrived = yield Round("deal", {}, {2: [((3,), word)]} if place == 1 else {}, dealt=True)
        return arrived[2][0].tolist() if place == 1 else None

    in_threads([lambda place=place: run(sessions[place], gate(place)) for place in range(3)], sessions)
    assert [session.meter.total.rounds for session in sessions] == [0, 0, 0]
    assert [session.meter.total.bytes_sent for session in sessions] == [0, 0, 24]
