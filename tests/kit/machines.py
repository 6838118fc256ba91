"""Three machines in one folder: three key stores that trust each other, three working folders, free ports, and the real
command line on each of them, watched as a person before each screen would.

A machine's process is forked from the fork server (0.2 s), or started afresh with `cold=True` (it loads torch: 3 s).
Both run the same `main()` with real files as standard output and standard error.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

from tacit import errors
from tacit.crypto.keystore import KeyStore
from tacit.session import forkserver, launch

NAMES = ("alice", "bob", "crypto-producer")
PROGRAMS = Path(__file__).parent / "programs"
PATIENCE_S = 60.0  # no test needs it; a hang becomes a failure
KILLED = -signal.SIGKILL

ROWS = {
    "alice": [1.25, -0.5, 2.75, 0.125, -1.5, 0.75, 3.25, -2.25],
    "bob": [0.5, 1.5, -0.25, 2.5, 1.0, -1.75, 0.25, 3.5],
}
REVEALS = {("loss", "bob"): None, ("weights", "alice"): 1}


@dataclass
class Ended:
    """What one process left: its exit code (KILLED if it was), its screen, and when it was gone."""

    code: int
    out: str
    err: str
    at_s: float

    @property
    def error(self) -> tuple[str, str, str]:
        """(class, message, hint) of the one error on the screen. Asserts that it is one, and no traceback."""
        assert "Traceback" not in self.out + self.err, self.err
        lines = re.findall(r"^(\w+): (.*)$", self.err, re.MULTILINE)
        found = [(kind, text) for kind, text in lines if hasattr(errors, kind)]
        hints = re.findall(r"^  hint: (.*)$", self.err, re.MULTILINE)
        assert len(found) == 1, self.err
        assert len(hints) == 1, self.err
        kind = getattr(errors, found[0][0])
        assert self.code == kind.exit_code, (self.code, self.err)
        assert self.code in (2, 3, 4)
        return *found[0], hints[0]


@dataclass
class Process:
    """One running `tacit` on one machine."""

    name: str
    pid: int
    streams: dict[int, bytearray]  # {descriptor: what came so far}: first standard output, then standard error
    end_fd: int
    code_of: Callable[[], int]
    close: Callable[[], None]
    ended: Ended | None = field(default=None)

    def until(self, text: str, within_s: float = PATIENCE_S) -> Process:
        """Return when `text` is on its screen."""
        end_s = monotonic() + within_s
        while text not in self.screen():
            assert self.ended is None, f"{self.name} ended without {text!r}:\n{self.screen()}"
            assert self._look(end_s), f"{self.name} never showed {text!r}:\n{self.screen()}"
        return self

    def end(self, within_s: float = PATIENCE_S) -> Ended:
        """Wait for the process to be gone."""
        end_s = monotonic() + within_s
        while self.ended is None:
            assert self._look(end_s), f"{self.name} is still there after {within_s} s:\n{self.screen()}"
        return self.ended

    def watch(self, within_s: float) -> None:
        """Read along for so long, or until the process is gone."""
        end_s = monotonic() + within_s
        while self.ended is None and self._look(end_s):
            pass

    def kill(self, number: int = signal.SIGKILL) -> Process:
        """Send a signal."""
        os.kill(self.pid, number)
        return self

    def screen(self) -> str:
        """Everything it printed so far."""
        return "".join(bytes(stream).decode() for stream in self.streams.values())

    def _look(self, end_s: float) -> bool:
        """Take in what has come; False if nothing did by `end_s`."""
        poll = select.poll()
        for fd in (*self.streams, self.end_fd):
            poll.register(fd, select.POLLIN)
        events = dict(poll.poll(max(0.0, end_s - monotonic()) * 1000 + 1))
        self._read()
        if self.end_fd in events and self.ended is None:
            code, at_s = self.code_of(), monotonic()
            self._read()
            out, err = (bytes(stream).decode() for stream in self.streams.values())
            self.ended = Ended(code, out, err, at_s)
        return bool(events)

    def _read(self) -> None:
        for fd, stream in self.streams.items():
            with contextlib.suppress(BlockingIOError):
                while piece := os.read(fd, 65536):
                    stream += piece

    def dismiss(self) -> None:
        """Whatever it does, it is gone afterwards."""
        if self.ended is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self.end()
        self.close()


def make_homes(folder: Path, names: Iterable[str] = NAMES) -> dict[str, Path]:
    """A key store for each party, with its own identity and the others' public halves."""
    homes = {name: folder / f"home-{name}" for name in names}
    public = {name: KeyStore(home).create(name).public for name, home in homes.items()}
    for name, home in homes.items():
        for other in public.values():
            if other.name != name:
                KeyStore(home).trust(other)
    return homes


class Machines:
    """The machines of one test. Key stores are shared among tests: whoever changes one takes a copy first."""

    def __init__(self, homes: Mapping[str, Path], folder: Path) -> None:
        self.homes = dict(homes)
        self.folder = folder
        self.ports = dict(zip(homes, free_ports(len(homes)), strict=True))
        self.processes: list[Process] = []
        for name in homes:
            self.at(name).mkdir()
            for program in PROGRAMS.iterdir():
                if program.suffix == ".py":
                    shutil.copy(program, self.at(name))
            if name in ROWS:
                rows = [f"{name}-{number},{value}" for number, value in enumerate(ROWS[name])]
                self.write(name, "table.csv", "\n".join(["id,value", *rows]) + "\n")
            self.job(name)

    def at(self, name: str) -> Path:
        """The working folder of a party."""
        return self.folder / name

    def write(self, name: str, file: str, text: str) -> Path:
        """Write a file on one machine."""
        path = self.at(name) / file
        path.write_text(text)
        return path

    def own_home(self, name: str) -> KeyStore:
        """A copy of the party's key store, which this test may change."""
        copy = self.folder / f"home-{name}"
        if self.homes[name] != copy:
            shutil.copytree(self.homes[name], copy)
            self.homes[name] = copy
        return KeyStore(copy)

    def job(
        self,
        name: str,
        *,
        connect_s: float = 30,
        receive_s: float = 15,
        reveals: Mapping[tuple[str, str], int | None] = REVEALS,
        top: str = "",
        ports: Mapping[str, int] | None = None,
    ) -> None:
        """Write one party's job.toml."""
        lines = ["version = 1", 'model_out = "model.safetensors"', top]
        lines += ["[deadlines]", f"connect_s = {connect_s}", f"receive_s = {receive_s}"]
        for party, port in (ports or self.ports).items():
            lines += [f"[parties.{party}]", f'address = "127.0.0.1:{port}"']
        if name in ROWS:
            lines += [f"[parties.{name}.inputs.table]", 'path = "table.csv"']
        for (title, to), times in reveals.items():
            lines += ["[[reveals]]", f'name = "{title}"', f'to = "{to}"', f"times = {times}" if times else ""]
        self.write(name, "job.toml", "\n".join(lines) + "\n")

    def jobs(self, **options: Any) -> None:
        """The same change in every party's job.toml."""
        for name in self.homes:
            self.job(name, **options)

    def start(
        self,
        name: str,
        *arguments: str,
        cold: bool = False,
        prepare: Callable[[], None] | None = None,
        job: str = "job.toml",
    ) -> Process:
        """`tacit run train.py --as NAME --job job.toml ...` on this machine; `prepare` runs in the process before."""
        return self.command(
            name, "run", "train.py", "--as", name, "--job", job, "--report", "report.json", *arguments,
            cold=cold, prepare=prepare,
        )

    def command(
        self, name: str, *arguments: str, cold: bool = False, prepare: Callable[[], None] | None = None
    ) -> Process:
        """Any `tacit` command on this machine."""
        started = (self._cold if cold else self._warm)(name, arguments, prepare)
        self.processes.append(started)
        return started

    def start_all(self, **options: Any) -> dict[str, Process]:
        """Every party, the last one first."""
        return {name: self.start(name, **options) for name in reversed(self.homes)}

    def dismiss(self) -> None:
        """End and forget all processes."""
        for process in self.processes:
            process.dismiss()
        self.processes.clear()

    def leftovers(self, name: str) -> set[str]:
        """Files in a party's folder that were not there before the run."""
        known = {path.name for path in PROGRAMS.iterdir()} | {"table.csv", "job.toml", "hold", "__pycache__"}
        return {path.name for path in self.at(name).iterdir()} - known

    def nothing_but_a_report_of_failure(self) -> None:
        """No model and no part of a file at any party; who has a report can read in it that the run failed."""
        for name in self.homes:
            assert self.leftovers(name) <= {"report.json"}, (name, self.leftovers(name))
            report = self.at(name) / "report.json"
            assert not report.exists() or json.loads(report.read_text())["completed"] is False

    def _warm(self, name: str, arguments: tuple[str, ...], prepare: Callable[[], None] | None) -> Process:
        pipes = [self.folder / f".{name}-{len(self.processes)}-{stream}" for stream in ("out", "err")]
        streams = {}
        for pipe in pipes:
            os.mkfifo(pipe)
            streams[os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)] = bytearray()
        task = partial(_in_child, arguments, self.homes[name], self.at(name), pipes, prepare)
        (sock,), (pid,) = launch.fork_server().start(launch.request(task, 1, linked=False))

        def close() -> None:
            sock.close()
            for fd in streams:
                os.close(fd)

        return Process(name, pid, streams, sock.fileno(), partial(_reported_code, sock), close)

    def _cold(self, name: str, arguments: tuple[str, ...], prepare: Callable[[], None] | None) -> Process:
        assert prepare is None, "only a forked process can be prepared"
        child = subprocess.Popen(
            [sys.executable, "-m", "tacit", *arguments],
            cwd=self.at(name), env={**os.environ, "TACIT_HOME": str(self.homes[name]), "COLUMNS": "200"},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        assert child.stdout is not None
        assert child.stderr is not None
        streams = {stream.fileno(): bytearray() for stream in (child.stdout, child.stderr)}
        for fd in streams:
            os.set_blocking(fd, False)
        end_fd = os.pidfd_open(child.pid)

        def close() -> None:
            os.close(end_fd)
            for stream in (child.stdout, child.stderr):
                stream.close()

        return Process(name, child.pid, streams, end_fd, child.wait, close)


def _in_child(
    arguments: tuple[str, ...],
    home: Path,
    folder: Path,
    pipes: list[Path],
    prepare: Callable[[], None] | None,
    place: int,
    links: Any,
    report: forkserver.Report,
) -> int:
    """What a freshly started interpreter would do, in a process that has torch loaded; the exit code."""
    for fd, pipe in zip((1, 2), pipes, strict=True):
        os.dup2(os.open(pipe, os.O_WRONLY), fd)
    sys.stdout, sys.stderr = (os.fdopen(fd, "w", buffering=1, closefd=False) for fd in (1, 2))
    os.environ |= {"TACIT_HOME": str(home), "COLUMNS": "200"}
    os.chdir(folder)
    sys.argv = ["tacit", *arguments]
    try:
        from tacit.cli.main import main

        if prepare is not None:
            prepare()
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush(), sys.stderr.flush()
    return 0


def _reported_code(sock: socket.socket) -> int:
    import pickle

    with contextlib.suppress(ConnectionResetError):
        payload = forkserver.receive_message(sock)
        if payload is not None:
            kind, *content = pickle.loads(payload)
            assert kind == "result", content
            return int(content[0])
    return KILLED


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, below those that the system gives to outgoing connections."""
    found: list[int] = []
    while len(found) < count:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            if port not in found:
                found.append(port)
    return found
