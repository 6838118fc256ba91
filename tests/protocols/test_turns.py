"""The three roles of a gate may be played by any party: by turns over thirds of a large tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from kit.parties import View, run_gates
from kit.sharing import any_word, deal, opened
from tacit.crypto.primitives import Stream
from tacit.functions import compare
from tacit.protocols import Masked, Protocol, Shares
from tacit.protocols.interface import Choice, Pieces, Threshold
from tacit.protocols.rounds import Round, Steps, in_turn, nobody_ahead
from tacit.ring.kernels import mul
from tacit.session.randomness import Randomness

COUNT = 1000
ROW = np.arange(16, dtype=np.int64) ** 3
#: Steps on x and y = 7 - x, what they compute, and whether that is exact or to one unit.
STEPS: dict[str, tuple[Callable[[Protocol, Shares, Shares], Steps[Any]], Callable[[Any, Any], Any], bool]] = {
    "product": (lambda p, x, y: p.steps("product", mul, x, y), lambda x, y: x * y, True),
    "product_truncated": (lambda p, x, y: p.steps("product_truncated", mul, x, y, 9), lambda x, y: x * y >> 9, False),
    "truncate": (lambda p, x, y: p.steps("truncate", x, 11), lambda x, y: x >> 11, False),
    "positive": (lambda p, x, y: _kept_if_negative(p, x, y), lambda x, y: np.where(x < 0, y, 0), True),
    "zero": (lambda p, x, y: _is_zero(p, x), lambda x, y: (x == 0).astype(np.int64), True),
    "thresholds": (lambda p, x, y: _least(p, x), lambda x, y: (x >= 9).astype(np.int64), True),
    "lookup": (lambda p, x, y: _looked_up(p, x), lambda x, y: ROW[x % 16], True),
    "count": (lambda p, x, y: _counted(p, x), lambda x, y: ROW[(x >= 9).astype(int) + (x >= 99)], True),
}


def _kept_if_negative(p: Protocol, x: Shares, y: Shares) -> Steps[Shares]:
    choice = Choice.of((yield from p.steps("is_negative", x, 40)))
    again = yield from p.steps("choose", choice, y)
    words = yield from p.steps("as_words", choice, tuple(y.shape[1:]))
    twice = yield from p.steps("choose", choice, y)
    return again + twice - (yield from p.steps("product", mul, words, y))


def _is_zero(p: Protocol, x: Shares) -> Steps[Shares]:
    return (yield from p.steps("from_bits", (yield from p.steps("is_zero", x)), tuple(x.shape[1:])))


def _least(p: Protocol, x: Shares) -> Steps[Shares]:
    bits = yield from p.steps("at_least", x, [Threshold(0, 99), Threshold(0, 9)], 40)
    return (yield from p.steps("from_bits", bits.plane(1), tuple(x.shape[1:])))


def _looked_up(p: Protocol, x: Shares) -> Steps[Shares]:
    (found,) = yield from p.steps("lookup", x, 0, [Pieces(ROW[None], ())])
    return found


def _counted(p: Protocol, x: Shares) -> Steps[Shares]:
    bits = yield from p.steps("at_least", x, [Threshold(0, 99), Threshold(0, 9)], 40)
    (found,) = yield from p.steps("lookup_count", bits, [Pieces(ROW[None], ())])
    return found


def values(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x = any_word(rng, (COUNT,), 27)
    x[::7] = 0
    return x, 7 - x, any_word(rng, (4, COUNT))


def agrees(got: np.ndarray, want: np.ndarray, exact: bool) -> bool:
    return set((got - want).tolist()) <= ({0} if exact else {0, 1})


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("turn", [0, 1, 2])
def test_in_every_turn_the_result_is_right_and_nobody_writes_to_the_helper(
    name: str, turn: int, rng: np.random.Generator
) -> None:
    steps, want, exact = STEPS[name]
    x, y, m = values(rng)
    views: list[View] = [[], [], []]

    def work(p: Masked) -> Shares:
        turned = p.turned(turn)
        return p.run(in_turn(turn, steps(turned, deal(p, x, *m[:2]), deal(p, y, *m[2:]))))

    assert agrees(opened(run_gates(work, Masked, views=views)), want(x, y), exact)
    helper = (turn + 2) % 3
    assert views[helper] == []
    assert all(views[place] for place in range(3) if place != helper)


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize(
    ("count", "slab"), [(384, 768), (385, 768), (511, 768), (1000, 1536), (1000, 960), (1000, 384), (1000, 192)]
)
def test_roles_by_turns_give_the_same_for_every_length_and_slab(
    name: str, count: int, slab: int, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Masked, "rotated_from", 192)
    monkeypatch.setattr(Masked, "slab_words", slab)
    steps, want, exact = STEPS[name]
    x, y, m = (part[..., :count] for part in values(rng))

    def work(p: Masked) -> Shares:
        return p.elementwise(steps, deal(p, x, *m[:2]), deal(p, y, *m[2:]))

    got = run_gates(work, Masked)
    assert got[0].shape == (2, count)
    assert agrees(opened(got), want(x, y), exact)


@pytest.mark.parametrize("slab", [1536, 384])
def test_parts_lie_side_by_side_in_the_result_and_keep_the_shape(
    slab: int, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Masked, "rotated_from", 192)
    monkeypatch.setattr(Masked, "slab_words", slab)
    x, y, m = values(rng)

    def work(p: Masked) -> tuple[Shares, Shares, Shares]:
        a, b = deal(p, x.reshape(10, 100), *m[:2].reshape(2, 10, 100)), deal(p, y, *m[2:]).reshape(2, 10, 100)
        choice, kept = compare.positive_part(p, a, 40)
        return kept, p.choose(choice, b), p.as_words(choice, (10, 100))

    kept, chosen, words = zip(*run_gates(work, Masked), strict=True)
    assert np.array_equal(opened(kept), np.maximum(x, 0).reshape(10, 100))
    assert np.array_equal(opened(chosen), np.where(x > 0, y, 0).reshape(10, 100))
    assert np.array_equal(opened(words), (x > 0).reshape(10, 100))
    assert all(result.is_contiguous() for result in kept)


class Noted(Randomness):
    """Notes the purpose of every draw."""

    def __init__(self, pair_keys: Mapping[int, bytes], session_id: bytes) -> None:
        super().__init__(pair_keys, session_id)
        self.purposes: set[str] = set()

    def _stream(self, peer: int, purpose: str) -> Stream:
        self.purposes.add(purpose)
        return super()._stream(peer, purpose)


@pytest.mark.parametrize("name", STEPS)
def test_every_draw_of_a_gate_has_its_turn_in_its_address(name: str, rng: np.random.Generator) -> None:
    # One key pads different things in different turns: without the turn, two messages would share a pad.
    steps, _, _ = STEPS[name]
    x, y, _ = values(rng)

    def work(p: Masked) -> list[set[str]]:
        noted = p.session.randomness
        assert isinstance(noted, Noted)
        found = []
        for turn in range(3):
            noted.purposes = set()
            p.run(in_turn(turn, steps(p.turned(turn), deal(p, x), deal(p, y))))
            found.append(noted.purposes)
        return found

    for by_turn in run_gates(work, Masked, randomness=Noted):
        assert all(by_turn)
        assert not any(purpose.startswith("turn") for purpose in by_turn[0])
        for turn in (1, 2):
            assert all(purpose.startswith(f"turn {turn}: ") for purpose in by_turn[turn])


@pytest.mark.parametrize("kind", ["plain", "replicated3", "masked"])
def test_words_of_a_choice_are_memory_of_their_own(kind: str, rng: np.random.Generator) -> None:
    x, y, m = values(rng)

    def work(p: Protocol) -> Shares:
        choice = compare.negative(p, deal(p, x, *m[:2]))
        p.as_words(choice, (COUNT,)).zero_()
        return p.choose(choice, deal(p, y, *m[2:]))

    assert np.array_equal(opened(run_gates(work, kind)), np.where(x < 0, y, 0))


def test_a_gate_in_which_all_deal_counts_the_round_of_dealing() -> None:
    def gate() -> Steps[int]:
        yield Round("deal", dealt=True)
        yield Round("open")
        return 5

    steps = nobody_ahead(gate())
    assert [next(steps).dealt, steps.send({}).dealt] == [False, False]
    with pytest.raises(StopIteration) as end:
        steps.send({})
    assert end.value.value == 5
