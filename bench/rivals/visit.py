"""Rivals as the benchmark sees them: started once, then asked for row after row between our own runs.

While ours runs they wait for a line on their standard input and use no processor. A rival that cannot be installed, or
that stops answering, has a reason for every row instead of figures.
"""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from bench.parties import joined
from bench.rivals.environments import CRYPTEN, SPU, Environment, Recipe, folder, ready

PROGRAMS = Path(__file__).resolve().parent
ANSWER_S = 300.0
START_S = 180.0
PATIENCE_S = 10.0  # for a program that was told to end


@dataclass(frozen=True)
class Entrant:
    """A row of the table of rivals: the name in bars.FIELDS, its environment, and the arguments of each process."""

    name: str
    recipe: Recipe
    program: str
    processes: Callable[[Path], tuple[tuple[str, ...], ...]]
    about: str


ENTRANTS = (
    Entrant(
        "CrypTen", CRYPTEN, "crypten_rows.py", lambda meeting: tuple((str(rank), "2", str(meeting)) for rank in (0, 1)),
        "two processes over gloo, nothing encrypted; its default provider, where rank 0 knows every triple",
    ),
    Entrant(
        "SPU ABY3", SPU, "spu_rows.py", lambda meeting: (("aby3",),),
        "three parties as threads of one process, links in memory, nothing encrypted",
    ),
    Entrant(
        "SPU SEMI2K", SPU, "spu_rows.py", lambda meeting: (("semi2k",),),
        "two parties as threads of one process, links in memory, nothing encrypted; triples from a trusted first party",
    ),
)


@dataclass
class Rival:
    """One entrant of a run. `why` is set once it is of no more use."""

    entrant: Entrant
    why: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _scratch: tempfile.TemporaryDirectory[str] | None = None

    def start(self, say: Callable[[str], None]) -> None:
        """Make the environment if need be, and start its processes."""
        environment = ready(self.entrant.recipe, say)
        if isinstance(environment, str):
            self.why = environment
            return
        self.versions = environment.versions
        self._launch(environment)
        for process in self._processes:
            answer = _line(process, monotonic() + START_S)
            if answer is None:
                self._lost("did not start")
                return

    def ask(self, row: str, runs: int, seconds: float) -> dict[str, Any]:
        """{"times_ms", "error"} or {"why"}; at most `runs` runs, fewer if they take longer than `seconds`."""
        if self.why:
            return {"why": self.why}
        question = json.dumps({"row": row, "runs": runs, "seconds": seconds}).encode() + b"\n"
        try:
            for process in self._processes:
                assert process.stdin is not None
                process.stdin.write(question)
                process.stdin.flush()
        except OSError:
            self._lost("ended by itself")
            return {"why": self.why}
        end_s = monotonic() + ANSWER_S
        answers = [_line(process, end_s) for process in self._processes]
        whys = [answer["why"] for answer in answers if answer is not None and "why" in answer]
        if None in answers or (whys and len(whys) < len(answers)):  # one that failed alone leaves its peers waiting
            self._lost(whys[0] if whys else f"no answer to {row!r} in {ANSWER_S:.0f} s, or it ended")
            return {"why": self.why}
        if whys:
            return {"why": whys[0]}
        told = [answer for answer in answers if answer is not None]
        return {"times_ms": joined([answer["times_ms"] for answer in told]), "error": told[0]["error"]}

    def stop(self) -> None:
        """The end of its input ends each process; one that is in the middle of a row is killed."""
        for process in self._processes:
            assert process.stdin is not None
            assert process.stdout is not None
            with contextlib.suppress(OSError):
                process.stdin.close()
        for process in self._processes:
            try:
                process.wait(0 if self.why else PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            assert process.stdout is not None
            process.stdout.close()
        self._processes.clear()
        if self._scratch is not None:
            self._scratch.cleanup()
            self._scratch = None

    def _launch(self, environment: Environment) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="tacit-rival-")
        meeting = Path(self._scratch.name) / "meeting"
        name = self.entrant.name.lower().replace(" ", "-")
        for number, arguments in enumerate(self.entrant.processes(meeting)):
            with (folder() / f"{name}-{number}.log").open("wb") as log:
                self._processes.append(subprocess.Popen(
                    [environment.python, str(PROGRAMS / self.entrant.program), *arguments],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, cwd=meeting.parent,
                ))

    def _lost(self, why: str) -> None:
        self.why = f"{why}; its own words are in {folder()}"
        self.stop()


def _line(process: subprocess.Popen[bytes], end_s: float) -> dict[str, Any] | None:
    """The next answer, or None if the process ended or the hour has come. An answer is one short line."""
    assert process.stdout is not None
    ready_now, _, _ = select.select([process.stdout], [], [], max(0.0, end_s - monotonic()))
    line = process.stdout.readline() if ready_now else b""
    try:
        answer: dict[str, Any] | None = json.loads(line)
    except ValueError:
        return None
    return answer
