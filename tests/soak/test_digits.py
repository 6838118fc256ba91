"""Twenty epochs on scikit-learn's digits, images at one party and labels at another: as good as float32."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

import tacit
from kit import digits

EPOCHS = 20


def in_secret(x: Tensor, y: Tensor) -> list[Tensor] | None:
    place = tacit.party().place
    features = tacit.secret(x[: digits.TRAINING] if place == 0 else None, owner=0)
    labels = tacit.secret(y[: digits.TRAINING] if place == 1 else None, owner=1, classes=10)
    model = digits.fit(tacit.secret(digits.network()), features, labels, epochs=EPOCHS)
    opened = tacit.reveal(model, to=0, name="weights")
    return None if opened is None else [p.detach() for p in opened.parameters()]


def test_twenty_epochs_on_digits_are_within_half_a_point_of_float32() -> None:
    x, y = digits.images()
    found = tacit.simulate(partial(in_secret, x, y), protocol="masked")[0]
    assert found is not None
    ours = digits.network()
    with torch.no_grad():
        for target, source in zip(ours.parameters(), found, strict=True):
            target.copy_(source)
    plain = digits.fit(digits.network(), x[: digits.TRAINING], y[: digits.TRAINING], epochs=EPOCHS)
    unseen = x[digits.TRAINING :], y[digits.TRAINING :]
    secret_points, plain_points = digits.accuracy(ours, *unseen), digits.accuracy(plain, *unseen)
    print(f"test accuracy: {secret_points:.2f} % in secret, {plain_points:.2f} % in float32")
    assert plain_points > 95
    assert abs(secret_points - plain_points) <= 0.5
