"""Every row of the table against plain torch: values, gradients, labels, shapes and strides."""

from __future__ import annotations

import inspect
from collections import defaultdict
from typing import Any

import pytest
import torch
from judge import complaints
from samples import SAMPLES
from worlds import Outcome, Sample, in_secret

import tacit
from tacit.session.session import Session
from tacit.tensor import SecretTensor
from tacit.tensor.table import OPS, Refusal, Row

ROWS = {op: row for op, row in OPS.items() if isinstance(row, Row)}


def test_every_row_has_a_sample_and_every_sample_a_row() -> None:
    sampled = {sample.op for sample in SAMPLES}
    assert {str(op) for op in ROWS if op not in sampled} == set()
    assert {str(op) for op in sampled if op not in ROWS} == set()


def test_names_of_samples_are_their_own() -> None:
    assert len({sample.name for sample in SAMPLES}) == len(SAMPLES)


def test_every_row_agrees_with_torch_under_the_plain_protocol(alone: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: set[Any] = set()
    answer = SecretTensor.answer

    def listening(func: Any, args: Any, kwargs: Any) -> Any:
        asked.add(func)
        return answer(func, args, kwargs)

    monkeypatch.setattr(SecretTensor, "answer", staticmethod(listening))
    wrong = []
    for sample in SAMPLES:
        asked.clear()
        wrong += complaints(sample, _outcome(sample))
        if sample.op not in asked:
            wrong.append(f"{sample.name} never reached its row")
    assert wrong == []


def test_every_row_agrees_with_torch_among_three_parties() -> None:
    chosen = a_few_of_each()
    names = {sample.name for sample in chosen}

    def program() -> dict[str, Outcome | BaseException] | None:
        import samples  # by name: torch's overloads do not travel to another process
        from worlds import every

        found = dict(every([sample for sample in samples.SAMPLES if sample.name in names]))
        return found if tacit.party().place == 2 else None

    outcomes = tacit.simulate(program)[2]
    assert outcomes is not None
    assert [line for sample in chosen for line in complaints(sample, outcomes[sample.name])] == []


def a_few_of_each(count: int = 2) -> list[Sample]:
    """The first and the last sample of every row. The soak runs all of them."""
    of_row: dict[Any, list[Sample]] = defaultdict(list)
    for sample in SAMPLES:
        of_row[sample.op].append(sample)
    return [samples[i * (len(samples) - 1) // (count - 1)]
            for samples in of_row.values() for i in range(min(count, len(samples)))]


def _outcome(sample: Sample) -> Outcome | BaseException:
    try:
        return in_secret(sample)
    except Exception as error:
        return error


@pytest.mark.parametrize("op", ROWS, ids=str)
def test_a_row_has_the_arguments_and_defaults_of_its_schema(op: Any) -> None:
    # torch strips trailing arguments that equal the schema's default: a row with another default would compute
    # something else than was asked for.
    parameters = inspect.signature(ROWS[op].run).parameters
    if "func" in inspect.getclosurevars(ROWS[op].run).nonlocals:
        return  # hands its arguments on to the overload itself
    positional = [p for p in parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    catches_more = any(p.kind is p.VAR_POSITIONAL for p in parameters.values())
    catches_keys = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    named = {name: p for name, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    for place, argument in enumerate(op._schema.arguments):
        if argument.kwarg_only:
            assert argument.name in named or catches_keys, f"no place for {argument.name}"
            mine = named.get(argument.name)
        else:
            assert place < len(positional) or catches_more, f"no place for {argument.name}"
            mine = positional[place] if place < len(positional) else None
        if mine is not None and argument.has_default_value():
            listed = isinstance(argument.default_value, list)
            default = tuple(argument.default_value) if listed else argument.default_value
            assert mine.default == default, argument.name


def test_every_refusal_says_why_and_what_to_do_instead() -> None:
    refusals = {str(op): row for op, row in OPS.items() if isinstance(row, Refusal)}
    assert len(refusals) > 10
    assert {name for name, row in refusals.items() if len(row.reason) < 15 or len(row.instead) < 10} == set()


def test_rows_are_for_overloads_that_torch_can_send() -> None:
    # A composite is taken apart before it reaches the table, so a row for one would never run.
    key = "CompositeImplicitAutograd"
    composite = {str(op) for op in OPS if torch._C._dispatch_has_kernel_for_dispatch_key(op.name(), key)}
    # torch has a kernel of its own for the last one on processors, so that it is not taken apart here.
    assert composite <= {"aten.is_nonzero.default", "aten.allclose.default", "aten.silu_backward.default"}
