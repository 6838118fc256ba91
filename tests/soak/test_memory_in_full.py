"""Memory of training in full: the worst moment of a step, and a thousand steps without growth."""

from __future__ import annotations

from functools import partial

import pytest

import tacit
from kit.memory import NO_COUNT
from kit.steps import Task, growth_of, needs_of

pytestmark = pytest.mark.skipif(bool(NO_COUNT), reason=NO_COUNT)

TASKS = {
    "squared error": Task(),
    "cross entropy": Task(labels=True),
    "wide": Task(hidden=512, batch=512),
}
#: Bytes after a thousand steps; one leaked share of the smallest tensor, ten words, would make 160 kB.
GROWTH_MAX = 20_000


@pytest.mark.parametrize("protocol", ["replicated3", "masked"])
@pytest.mark.parametrize("name", TASKS)
def test_a_step_needs_at_most_six_times_its_plain_tensors_at_each_party(name: str, protocol: str) -> None:
    for place, needs in enumerate(tacit.simulate(partial(needs_of, TASKS[name]), protocol=protocol)):
        print(f"{name}, {protocol}, place {place}: {needs.between:.2f} between steps, {needs.peak:.2f} at most in "
              f"{needs.where}")
        assert needs.peak <= 6


def test_adam_needs_more_for_the_quotient_by_a_root() -> None:
    # Slabs of parameters go through a lookup of some forty words an entry, whose workspace is over the six: 9 here.
    # Smaller slabs would meet it, and cost a slow line 28 rounds each.
    for place, needs in enumerate(tacit.simulate(partial(needs_of, Task(adam=True)), protocol="masked")):
        print(f"Adam at {place}: {needs.between:.2f} between steps, {needs.peak:.2f} at most in {needs.where}")
        assert needs.peak <= 10


@pytest.mark.parametrize(
    ("protocol", "task"),
    [("replicated3", Task(16, 8, 8)), ("masked", Task(16, 8, 8)), ("masked", Task(16, 8, 8, adam=True, labels=True))],
    ids=["replicated3", "masked", "masked with Adam"],
)
def test_a_thousand_steps_leave_nothing_behind(protocol: str, task: Task) -> None:
    for growth in tacit.simulate(partial(growth_of, task, 1000, 50), protocol=protocol):
        print(f"{protocol}: {growth}")
        assert max(growth) <= GROWTH_MAX
