"""The three roles of a gate may be played by any party: by turns over thirds of a large tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kit.parties import View, run_gates
from kit.sharing import any_word, deal, opened
from tacit.functions import compare
from tacit.protocols import Masked, Protocol, Shares
from tacit.protocols.interface import Choice
from tacit.protocols.rounds import Round, Steps, in_turn, nobody_ahead
from tacit.ring.kernels import mul

COUNT = 1000
#: Steps on x and y = 7 - x, what they compute, and whether that is exact or to one unit.
STEPS: dict[str, tuple[Callable[[Protocol, Shares, Shares], Steps[Any]], Callable[[Any, Any], Any], bool]] = {
    "product": (lambda p, x, y: p.steps("product", mul, x, y), lambda x, y: x * y, True),
    "product_truncated": (lambda p, x, y: p.steps("product_truncated", mul, x, y, 9), lambda x, y: x * y >> 9, False),
    "truncate": (lambda p, x, y: p.steps("truncate", x, 11), lambda x, y: x >> 11, False),
    "positive": (lambda p, x, y: _kept_if_negative(p, x, y), lambda x, y: np.where(x < 0, y, 0), True),
    "zero": (lambda p, x, y: _is_zero(p, x), lambda x, y: (x == 0).astype(np.int64), True),
}


def _kept_if_negative(p: Protocol, x: Shares, y: Shares) -> Steps[Shares]:
    choice = Choice.of((yield from p.steps("is_negative", x, 40)))
    again = yield from p.steps("choose", choice, y)
    words = yield from p.steps("as_words", choice, tuple(y.shape[1:]))
    twice = yield from p.steps("choose", choice, y)
    return again + twice - (yield from p.steps("product", mul, words, y))


def _is_zero(p: Protocol, x: Shares) -> Steps[Shares]:
    return (yield from p.steps("from_bits", (yield from p.steps("is_zero", x)), tuple(x.shape[1:])))


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
@pytest.mark.parametrize("count", [192, 193, 511, 1000])
def test_roles_by_turns_give_the_same_for_every_length(
    name: str, count: int, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Masked, "rotated_from", 192)
    steps, want, exact = STEPS[name]
    x, y, m = (part[..., :count] for part in values(rng))

    def work(p: Masked) -> Shares:
        return p.elementwise(steps, deal(p, x, *m[:2]), deal(p, y, *m[2:]))

    got = run_gates(work, Masked)
    assert got[0].shape == (2, count)
    assert agrees(opened(got), want(x, y), exact)


def test_parts_lie_side_by_side_in_the_result_and_keep_the_shape(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Masked, "rotated_from", 192)
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


def test_no_two_turns_draw_from_one_stream() -> None:
    drawn: dict[int, set[tuple[int, str]]] = {turn: set() for turn in range(3)}

    def work(p: Masked) -> None:
        for turn in range(3):
            before = set(p.session.randomness._streams)
            p.run(in_turn(turn, p.turned(turn).steps("product", mul, p.public(ones), p.public(ones))))
            if p.session.place == 0:
                drawn[turn] = {(peer, purpose) for peer, purpose, _ in set(p.session.randomness._streams) - before}

    ones = np.ones(4, dtype=np.int64)
    run_gates(work, Masked)
    assert all(drawn.values())
    assert not drawn[0] & drawn[1]
    assert not drawn[1] & drawn[2]


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
