"""A few batches of scikit-learn's digits among three parties: the weights that float64 gives. The soak trains on."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

import tacit
from kit import digits

IMAGES, BATCH = 128, 64


def in_secret(x: Tensor, y: Tensor) -> tuple[list[Tensor], Tensor] | None:
    place = tacit.party().place
    features = tacit.secret(x[:IMAGES] if place == 0 else None, owner=0)
    labels = tacit.secret(y[:IMAGES] if place == 1 else None, owner=1, classes=10)
    model = digits.fit(tacit.secret(digits.network()), features, labels, epochs=1, batch=BATCH)
    right = (model(features).argmax(1) == labels).sum()
    opened, count = tacit.reveal(model, to=0, name="weights"), tacit.reveal(right, to=0, name="right")
    return None if opened is None or count is None else ([p.detach() for p in opened.parameters()], count)


def test_two_steps_of_adam_on_digits_are_those_of_float64() -> None:
    x, y = digits.images()
    found = tacit.simulate(partial(in_secret, x, y), protocol="masked")[0]
    assert found is not None
    weights, right = found
    exact = digits.fit(digits.network().double(), x[:IMAGES].double(), y[:IMAGES], epochs=1, batch=BATCH)
    moved = torch.cat([(p - q).reshape(-1) for p, q in zip(exact.parameters(), digits.network().parameters(),
                                                           strict=True)])
    off = torch.cat([(p - q).reshape(-1) for p, q in zip(exact.parameters(), weights, strict=True)])
    # Two steps of about 0.01 for each weight. Those of a pixel that is nearly always dark have gradients of a few
    # units of the format, and Adam makes a whole step of any gradient: hence a bound on the whole, not on each.
    assert off.norm() < 0.05 * moved.norm()
    assert abs(int(right) - int((exact(x[:IMAGES].double()).argmax(1) == y[:IMAGES]).sum())) <= 2
