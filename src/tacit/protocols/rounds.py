"""Gates as generators of rounds, so that one can run alone or several abreast with their messages merged.

A gate yields what it sends and expects in its next round, and is resumed with what came. `run` is the driver; `abreast`
makes one gate of several independent ones: each exchange then carries what all of them have to say, so ten gates take
the rounds of the longest. Which gates run, and with which shapes, is public, so all parties merge alike.
Not here: what a gate says (the protocols), and how messages travel (session).
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from tacit.session.randomness import Randomness
from tacit.session.session import Expected, Message, Session

T = TypeVar("T")
Arrived = Mapping[int, Sequence[NDArray[np.signedinteger]]]  # by peer, in the order in which they were expected


@dataclass(frozen=True)
class Round:
    """What one gate says and hears in one exchange, by peer.

    `dealt` marks what comes from the helper alone. The helper never waits inside a gate, so it runs ahead of the others
    and its message is there when they ask for it: such an exchange costs bytes but no round.
    """

    label: str
    send: Mapping[int, Sequence[Message]] = field(default_factory=dict)
    receive: Mapping[int, Sequence[Expected]] = field(default_factory=dict)
    dealt: bool = False


Steps = Generator[Round, Arrived, T]


def run(session: Session, gate: Steps[T]) -> T:
    """The result of a gate."""
    try:
        step = next(gate)
        while True:
            received = session.exchange(
                step.label,
                {peer: _joined(messages) for peer, messages in step.send.items()},
                {peer: _announced(expected) for peer, expected in step.receive.items()},
                dealt=step.dealt,
            )
            step = gate.send({peer: _split(received[peer], expected) for peer, expected in step.receive.items()})
    except StopIteration as end:
        result: T = end.value
        return result


def abreast(randomness: Randomness, gates: Sequence[Steps[T]]) -> Steps[list[T]]:
    """One gate that gives the results of all. Dealt messages are fetched first, openings wait for each other.

    Each gate draws from streams of its own lane, so neither holder of a pad need care in which order gates run.
    """
    if len(gates) == 1:
        return [(yield from gates[0])]
    results: dict[int, T] = {}
    pending: dict[int, Round] = {}
    outer = randomness.lane

    def resume(number: int, arrived: Arrived | None) -> None:
        randomness.lane = (*outer, number)
        try:
            pending[number] = next(gates[number]) if arrived is None else gates[number].send(arrived)
        except StopIteration as end:
            pending.pop(number, None)
            results[number] = end.value
        finally:
            randomness.lane = outer

    for number in range(len(gates)):
        resume(number, None)
    while pending:
        dealt = [number for number, step in pending.items() if step.dealt]
        ready = sorted(dealt or pending)
        steps = [pending[number] for number in ready]
        arrived = yield _merged(steps)
        streams = {peer: iter(messages) for peer, messages in arrived.items()}
        for number, step in zip(ready, steps, strict=True):
            resume(number, {peer: [next(streams[peer]) for _ in wanted] for peer, wanted in step.receive.items()})
    return [results[number] for number in range(len(gates))]


def in_turn(turn: int, gate: Steps[T]) -> Steps[T]:
    """A gate of three roles with party (role + turn) mod 3 in each."""
    try:
        step = next(gate)
        while True:
            send = {(role + turn) % 3: messages for role, messages in step.send.items()}
            receive = {(role + turn) % 3: expected for role, expected in step.receive.items()}
            arrived = yield Round(step.label, send, receive, step.dealt)
            step = gate.send({(party - turn) % 3: messages for party, messages in arrived.items()})
    except StopIteration as end:
        result: T = end.value
        return result


def nobody_ahead(gate: Steps[T]) -> Steps[T]:
    """A gate in which every party deals and evaluates: then none runs ahead, and dealing takes a round."""
    try:
        step = next(gate)
        while True:
            step = gate.send((yield replace(step, dealt=False)))
    except StopIteration as end:
        result: T = end.value
        return result


def _merged(steps: Sequence[Round]) -> Round:
    send: dict[int, list[Message]] = {}
    receive: dict[int, list[Expected]] = {}
    for step in steps:
        for peer, messages in step.send.items():
            send.setdefault(peer, []).extend(messages)
        for peer, expected in step.receive.items():
            receive.setdefault(peer, []).extend(expected)
    label = steps[0].label if len({step.label for step in steps}) == 1 else "together"
    return Round(label, send, receive, dealt=steps[0].dealt)


def _joined(messages: Sequence[Message]) -> Message:
    if len(messages) == 1:
        return messages[0]
    order = _widest_first([message.dtype for message in messages])
    return np.concatenate([messages[at].reshape(-1).view(np.int8) for at in order])


def _announced(expected: Sequence[Expected]) -> Expected:
    if len(expected) == 1:
        return expected[0]
    return (sum(_size_bytes(one) for one in expected),), np.dtype(np.int8)


def _split(received: NDArray[np.signedinteger], expected: Sequence[Expected]) -> list[NDArray[np.signedinteger]]:
    """Views of what arrived, in the order in which it was expected."""
    if len(expected) == 1:
        return [received]
    found: dict[int, NDArray[np.signedinteger]] = {}
    start = 0
    for at in _widest_first([dtype for _, dtype in expected]):
        shape, dtype = expected[at]
        stop = start + _size_bytes(expected[at])
        found[at] = received[start:stop].view(dtype).reshape(shape)
        start = stop
    return [found[at] for at in range(len(expected))]


def _widest_first(dtypes: Sequence[np.dtype[np.signedinteger]]) -> list[int]:
    """Wide words first: every part of a merged message is then aligned to its own width."""
    return sorted(range(len(dtypes)), key=lambda at: -dtypes[at].itemsize)


def _size_bytes(expected: Expected) -> int:
    shape, dtype = expected
    return math.prod(shape) * dtype.itemsize
