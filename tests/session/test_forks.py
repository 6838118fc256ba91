"""A forked copy of a party holds the same keys at the same positions: whatever it sent would lie under used pads."""

from __future__ import annotations

import os

import torch

import tacit
from tacit.errors import Misuse


def _in_a_fork(work) -> str:  # type: ignore[no-untyped-def]
    """What kind of error `work` raises in a forked copy of this process."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            work()
            verdict = "nothing"
        except BaseException as error:
            verdict = type(error).__name__
        os.write(writer, verdict.encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(pid, 0)
    return os.read(reader, 100).decode()


def test_a_forked_party_can_neither_talk_nor_draw_and_the_party_itself_goes_on() -> None:
    def program() -> tuple[list[str], list[float]]:
        from tacit.ring import Ring
        from tacit.session.current import current

        x = tacit.secret(torch.ones(2), owner=0)
        session = current().session
        peer = (session.place + 1) % 3
        verdicts = [
            _in_a_fork(lambda: x * x),
            _in_a_fork(lambda: session.exchange("forged", {}, {})),
            _in_a_fork(lambda: session.randomness.words(peer, "share", (1,), Ring(64))),
            _in_a_fork(lambda: tacit.reveal(x, to="all")),
        ]
        return verdicts, tacit.reveal(x * 3, to="all").tolist()

    for verdicts, value in tacit.simulate(program):
        assert verdicts == [Misuse.__name__] * 4
        assert value == [3.0, 3.0]
