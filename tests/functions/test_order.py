"""The largest along an axis, exactly; ties go to the first, as in torch; gradients go where the winner was."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from kit.model import Model
from kit.parties import in_threads, make_sessions, run_gates
from kit.sharing import any_word, deal, opened
from tacit.functions import order
from tacit.protocols import PROTOCOLS, Protocol, Shares

EVERY = pytest.mark.parametrize("protocol", sorted(PROTOCOLS))


def everything(p: Protocol, x: Shares, axis: int, grad: np.ndarray) -> tuple[Shares, Shares, Shares]:
    found, choices = order.maximum_with_choices(p, x, axis, 48)
    return found, order.winner(p, choices, tuple(found.shape[1:])), order.route(p, choices, p.public(grad))


def check(x: np.ndarray, axis: int, grad: np.ndarray, found: tuple[np.ndarray, ...]) -> None:
    largest, winner, routed = found
    at = x.argmax(axis)
    assert np.array_equal(largest, x.max(axis, keepdims=True))
    assert np.array_equal(winner, np.expand_dims(at, axis))
    want = np.zeros_like(x)
    np.put_along_axis(want, np.expand_dims(at, axis), grad, axis)
    assert np.array_equal(routed, want)


def test_all_orders_of_up_to_four_small_numbers() -> None:
    model = Model(16, 1)
    for entries in (1, 2, 3, 4):
        x = np.array(list(product(range(4), repeat=entries)), dtype=np.int64)
        grad = np.arange(1, len(x) + 1, dtype=np.int64)[:, None]
        check(x, 1, grad, tuple(model.value(part) for part in everything(model, model.of(x), 1, grad)))


@EVERY
@pytest.mark.parametrize(
    ("shape", "axis"), [((5,), 0), ((7, 2), 0), ((7, 2), -2), ((2, 3, 6), -1), ((2, 9, 3), 1), ((2, 0), 0)], ids=str
)
def test_every_protocol_finds_the_first_largest_along_any_axis(
    protocol: str, shape: tuple[int, ...], axis: int, rng: np.random.Generator
) -> None:
    x = rng.integers(-3, 4, shape) << 40  # many ties, and differences of almost the width
    masks = any_word(rng, (2, *shape))
    grad = any_word(rng, x.max(axis, keepdims=True).shape)
    parts = zip(*run_gates(lambda p: everything(p, deal(p, x, *masks), axis, grad), protocol), strict=True)
    check(x, axis, grad, tuple(opened(part) for part in parts))


def test_large_tensors_are_cut_in_parts_and_come_out_the_same(rng: np.random.Generator) -> None:
    x = rng.integers(-(1 << 20), 1 << 20, (3, PROTOCOLS["masked"].rotated_from + 70))
    grad = any_word(rng, (1, x.shape[1]))
    parts = zip(*run_gates(lambda p: everything(p, deal(p, x, 3, -8), 0, grad), "masked"), strict=True)
    check(x, 0, grad, tuple(opened(part) for part in parts))


def test_gradients_go_where_torch_sends_them(rng: np.random.Generator) -> None:
    x = rng.integers(0, 3, (6, 8))
    plain = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    torch.nn.functional.max_pool1d(plain[None], 4, 4).sum().backward()
    model = Model(16, 1)
    windows = x.reshape(6, 2, 4)
    _, choices = order.maximum_with_choices(model, model.of(windows), -1, 48)
    routed = order.route(model, choices, model.public(np.ones((6, 2, 1), dtype=np.int64)))
    assert np.array_equal(model.value(routed).reshape(6, 8), plain.grad.numpy())


@pytest.mark.parametrize(("entries", "levels"), [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (1000, 10)])
def test_rounds_grow_with_the_logarithm_of_the_entries(entries: int, levels: int) -> None:
    sessions = make_sessions("masked")

    def work(place: int) -> None:
        p = PROTOCOLS["masked"](sessions[place])
        order.maximum(p, p.public(np.zeros((entries, 2), dtype=np.int64)), 0, 48)

    in_threads([lambda place=place: work(place) for place in range(3)], sessions)
    assert {session.meter.total.rounds for session in sessions} == {4 * levels}


def test_choices_print_no_shares() -> None:
    model = Model(16, 1)
    _, choices = order.maximum_with_choices(model, model.of(np.arange(4)), 0, 48)
    assert repr(choices) == "Choices(entries=4, axis=-1)"
