"""Cross entropy with public and with secret labels: torch's own functions, values and gradients as in torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import tacit
from tacit.errors import Misuse, NotRepresentable, RefusedOp
from tacit.session.session import Session
from tacit.tensor import SecretTensor
from tacit.tensor.verbs import context

LOGITS = torch.tensor([[1.5, -0.25, 3.0], [-2.0, 0.5, 0.25], [0.0, 4.5, -1.0], [2.0, 2.0, 2.0], [-7.0, 3.5, 0.125]])
LABELS = torch.tensor([2, 0, 1, 1, 0])
WEIGHT = torch.tensor([1.0, 0.5, 2.0])
FORMS: dict[str, dict[str, Any]] = {
    "mean": {}, "sum": {"reduction": "sum"}, "none": {"reduction": "none"}, "weighted": {"weight": WEIGHT},
    "weighted sum": {"weight": WEIGHT, "reduction": "sum"}, "smoothed": {"label_smoothing": 0.1},
    "ignored": {"ignore_index": 1},
}  # fmt: skip
UNIT = 2.0**-16


def shown(x: Any) -> Tensor:
    opened = tacit.reveal(x, to="all")
    assert opened is not None
    return opened


def labels_of(kind: str) -> Tensor:
    if kind == "public":
        return LABELS
    return tacit.secret(LABELS, owner=0, classes=3 if kind == "one-hot" else None)


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("kind", ["public", "one-hot", "by number"])
@pytest.mark.parametrize("form", FORMS)
def test_value_and_gradient_are_those_of_torch(form: str, kind: str) -> None:
    plain, ours = LOGITS.clone().requires_grad_(), tacit.secret(LOGITS, owner=0).requires_grad_()
    expected = nn.CrossEntropyLoss(**FORMS[form])(plain, LABELS)
    loss = nn.CrossEntropyLoss(**FORMS[form])(ours, labels_of(kind))
    expected.sum().backward()
    loss.sum().backward()
    # Five entries of a log_softmax, each within two units, and a weight of at most two.
    assert (shown(loss.detach()) - expected).abs().max() < 20 * UNIT
    assert plain.grad is not None
    assert (shown(ours.grad) - plain.grad).abs().max() < 6 * UNIT


@pytest.mark.usefixtures("alone")
def test_weights_and_smoothing_at_once_are_for_public_labels() -> None:
    loss = nn.CrossEntropyLoss(weight=WEIGHT, label_smoothing=0.2)
    found = shown(loss(tacit.secret(LOGITS, owner=0), LABELS))
    assert (found - loss(LOGITS, LABELS)).abs() < 20 * UNIT
    # torch looks up the weight of each label then, by an index.
    with pytest.raises(RefusedOp):
        loss(tacit.secret(LOGITS, owner=0), labels_of("one-hot"))


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("kind", ["public", "one-hot"])
def test_pixels_and_single_rows_have_labels_too(kind: str) -> None:
    pixels, where = LOGITS[:4].reshape(2, 3, 2), LABELS[:4].reshape(2, 2)
    for x, y in ((pixels, where), (pixels[..., None], where[..., None]), (LOGITS[0], LABELS[0])):
        target = tacit.secret(y, owner=0, classes=3) if kind == "one-hot" else y
        ours, plain = tacit.secret(x, owner=0).requires_grad_(), x.clone().requires_grad_()
        loss, expected = functional.cross_entropy(ours, target), functional.cross_entropy(plain, y)
        loss.backward()
        expected.backward()
        assert (shown(loss.detach()) - expected).abs() < 8 * UNIT
        assert plain.grad is not None
        assert (shown(ours.grad) - plain.grad).abs().max() < 4 * UNIT


@pytest.mark.usefixtures("alone")
def test_labels_keep_their_words_through_batches_views_and_joins() -> None:
    labels = tacit.secret(LABELS, owner=0, classes=3)
    (batch,) = next(iter(DataLoader(TensorDataset(labels), batch_size=3)))
    moved = {
        "slice": (labels[1:4], LABELS[1:4]), "index": (labels[[3, 0]], LABELS[[3, 0]]), "batch": (batch, LABELS[:3]),
        "view": (labels[:4].view(2, 2).t(), LABELS[:4].view(2, 2).t()), "flip": (labels.flip(0), LABELS.flip(0)),
        "cat": (torch.cat([labels[3:], labels[:1]]), LABELS[[3, 4, 0]]), "clone": (labels.clone(), LABELS),
        "stack": (torch.stack([labels, labels]), torch.stack([LABELS, LABELS])), "detach": (labels.detach(), LABELS),
        "split": (labels.split(2)[1], LABELS[2:4]), "unbind": (labels.unbind()[2], LABELS[2]),
    }
    for name, (ours, plain) in moved.items():
        assert isinstance(ours, SecretTensor)
        words = ours._cell.recall("classes")
        assert words is not None, name
        assert torch.equal(words[0], functional.one_hot(plain, 3)), name
        assert torch.equal(shown(ours), plain), name


@pytest.mark.usefixtures("alone")
def test_labels_that_are_written_to_forget_their_words() -> None:
    labels = tacit.secret(LABELS, owner=0, classes=3)
    seen = labels[1:]
    labels[2] = 2
    expected = LABELS.clone()
    expected[2] = 2
    for ours, plain in ((labels, expected), (seen, expected[1:])):
        assert isinstance(ours, SecretTensor)
        assert ours._cell.recall("classes") is None
        loss = functional.cross_entropy(tacit.secret(LOGITS[: len(plain)], owner=0), ours)
        assert (shown(loss) - functional.cross_entropy(LOGITS[: len(plain)], plain)).abs() < 8 * UNIT


def test_comparing_a_label_with_a_class_costs_nothing(alone: Session) -> None:
    labels = tacit.secret(LABELS, owner=0, classes=3)
    before = alone.meter.total.rounds
    found = [labels == number for number in (0, 1, 2, 3, -100)]
    assert alone.meter.total.rounds == before
    assert [shown(one).tolist() for one in found] == [(number == LABELS).tolist() for number in (0, 1, 2, 3, -100)]


WRONG: dict[str, tuple[type[Exception], Callable[[], object]]] = {
    "a label too large": (NotRepresentable, lambda: tacit.secret(LABELS, owner=0, classes=2)),
    "a label below 0": (NotRepresentable, lambda: tacit.secret(-LABELS, owner=0, classes=3)),
    "labels with fractions": (Misuse, lambda: tacit.secret(LABELS / 2, owner=0, classes=3)),
    "no classes": (Misuse, lambda: tacit.secret(LABELS, owner=0, classes=0)),
    "a public label too large": (
        RefusedOp, lambda: functional.cross_entropy(tacit.secret(LOGITS, owner=0), LABELS + 1)),
    "secret weights": (RefusedOp, lambda: functional.cross_entropy(
        tacit.secret(LOGITS, owner=0), LABELS, weight=tacit.secret(WEIGHT, owner=0))),
}


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_a_label_is_refused(what: str) -> None:
    kind, attempt = WRONG[what]
    with pytest.raises(kind) as caught:
        attempt()
    assert caught.value.hint  # type: ignore[attr-defined]


def three_classes() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    y = torch.arange(60) % 3
    x = torch.randn(60, 4, generator=generator) + 2 * functional.one_hot(y, 4)
    return x, y


def fitted(x: Tensor, y: Tensor, model: nn.Module, steps: int) -> nn.Module:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for step in range(steps):
        rows = slice(20 * (step % 3), 20 * (step % 3) + 20)
        optimizer.zero_grad()
        functional.cross_entropy(model(x[rows]), y[rows]).backward()
        optimizer.step()
    return model


def in_secret() -> tuple[list[Tensor], Tensor, int] | None:
    party = tacit.party().place
    x, y = three_classes()
    torch.manual_seed(5)
    model = tacit.secret(nn.Linear(4, 3))
    features = tacit.secret(x if party == 0 else None, owner=0)
    labels = tacit.secret(y if party == 1 else None, owner=1, classes=3)
    fitted(features, labels, model, 9)
    forced = "loss value" in context().session.meter.by_operation
    right = (model(features).argmax(1) == labels).sum()
    opened, count = tacit.reveal(model, to=2, name="weights"), tacit.reveal(right, to=2, name="right")
    return ([p.detach() for p in opened.parameters()], count, int(forced)) if opened is not None else None


def test_three_parties_train_three_classes_as_torch_does() -> None:
    found = tacit.simulate(in_secret)[2]
    assert found is not None
    weights, right, forced = found
    x, y = three_classes()
    torch.manual_seed(5)
    exact = fitted(x.double(), y, nn.Linear(4, 3).double(), 9)
    # Nine steps with a handful of roundings of 2^-16 each, scaled by a rate of 1/2.
    for ours, theirs in zip(weights, exact.parameters(), strict=True):
        assert (ours.double() - theirs).abs().max() < 2e-3
    assert int(right) == int((exact(x.double()).argmax(1) == y).sum())
    assert int(right) > 45
    assert not forced  # no loss was computed, since none was revealed


def other_classes() -> str:
    place = tacit.party().place
    try:
        tacit.secret(LABELS if place == 0 else None, owner=0, classes=3 if place < 2 else 4)
    except Exception as error:
        return type(error).__name__
    return "went on"


def test_parties_that_disagree_about_the_classes_hear_it() -> None:
    found = tacit.simulate(other_classes)
    assert found[2] == "PeerDiverged"
