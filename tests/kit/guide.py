"""A guide as something that runs: its fenced blocks, and a place to run them in.

    ```python NAME, ```toml NAME    a file to write
    ```sh                           lines to run one after the other, on one machine
    ```sh fails                     the same, and the last line must fail
    ```sh alice                     lines to run on alice's machine
    ```sh each                      lines to run on all three machines at once. NAME is the machine's own name; a line
                                    with OTHER is run for each of the two others
    ```text, ```text alice          lines that the last run printed (there), in this order; ... stands for anything

A machine is a folder with a key store of its own. What people carry between machines is carried here: the job and each
party's data at first, programs and the public halves of keys whenever there are new ones. Not here: claims.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import runpy
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tacit.cli.main import main as tacit

PARTIES = ("alice", "bob", "crypto-producer")
_FENCE = re.compile(r"^```(\w*)[ ]?([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, the word behind it, its text, and the line it begins on."""

    language: str
    word: str
    text: str
    line: int


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        yield Block(found[1], found[2], found[3], text.count("\n", 0, found.start()) + 1)


class Reader:
    """Somebody who does what a guide says, in an empty folder."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.printed: dict[str, str] = {}  # by machine; "" is the machine where everything begins
        self._monkeypatch = monkeypatch
        self._machines: dict[str, Path] = {}
        monkeypatch.chdir(folder)

    def do(self, block: Block) -> None:
        """Write a file, run commands, or compare what they printed."""
        if block.language in ("python", "toml"):
            (self.folder / block.word).write_text(block.text, encoding="utf-8")
        elif block.language == "text":
            check_lines(self.printed[block.word], block.text, f"line {block.line}")
        elif block.word == "each":
            self._on_all_machines(block)
        elif block.word in PARTIES:
            self._on_machine(block.word, block.text.replace("NAME", block.word))
        else:
            self.printed = {"": self._lines(block.text, fails=block.word == "fails")}

    # -- one machine: in this process, which has torch loaded -----------------------------------------------------

    def _on_machine(self, name: str, text: str) -> None:
        self._carry()
        with self._monkeypatch.context() as patch:
            patch.chdir(self._machines[name])
            patch.setenv("TACIT_HOME", self._environment(name)["TACIT_HOME"])
            self.printed = {name: self._lines(text)}

    def _lines(self, text: str, *, fails: bool = False) -> str:
        *lines, last = text.splitlines()
        return "".join([*(self._line(line, expected=True) for line in lines), self._line(last, expected=not fails)])

    def _line(self, line: str, *, expected: bool) -> str:
        command, *arguments = shlex.split(line)
        run = {"tacit": tacit, "python": lambda: runpy.run_path(arguments[0], run_name="__main__")}[command]
        self._monkeypatch.setattr(sys, "argv", [command, *arguments])
        output = io.StringIO()
        succeeded = True
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            try:
                run()
            except SystemExit as end:
                succeeded = not end.code
        assert succeeded == expected, f"{line}\n{output.getvalue()}"
        return output.getvalue()

    # -- three machines: processes of their own -------------------------------------------------------------------

    def _on_all_machines(self, block: Block) -> None:
        self._carry()
        scripts = {name: self._script(block.text, name) for name in PARTIES}
        running = {
            name: subprocess.Popen(
                ["bash", "-ec", script], cwd=self._machines[name], env=self._environment(name), text=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )
            for name, script in scripts.items()
        }  # fmt: skip
        self.printed = {name: process.communicate()[0] for name, process in running.items()}
        for name, process in running.items():
            assert process.returncode == 0, f"{name}: {block.text}\n{self.printed[name]}"

    def _script(self, text: str, name: str) -> str:
        lines = []
        for line in text.replace("NAME", name).splitlines():
            others = [other for other in PARTIES if other != name] if "OTHER" in line else [""]
            # Whoever is asked has compared the fingerprints and says yes. No command of a guide runs for minutes.
            lines += [f"echo y | timeout 120 {line.replace('OTHER', other)}" for other in others]
        return "\n".join(lines)

    def _environment(self, name: str) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "TACIT_HOME": str(self._machines[name] / ".tacit")}

    def _carry(self) -> None:
        if not self._machines:
            self._set_up_machines()
        for name, machine in self._machines.items():
            for program in self.folder.glob("*.py"):
                shutil.copy(program, machine)
            for public in machine.glob(f"{name}.pub"):
                for other in self._machines.values():
                    if other is not machine:
                        shutil.copy(public, other)

    def _set_up_machines(self) -> None:
        job = (self.folder / "job.toml").read_text()
        for address, port in zip(re.findall(r'address = "(.*)"', job), free_ports(len(PARTIES)), strict=True):
            job = job.replace(address, f"127.0.0.1:{port}")
        for name in PARTIES:
            machine = self._machines[name] = self.folder / name
            machine.mkdir()
            (machine / "job.toml").write_text(job)
            if (self.folder / f"{name}.csv").exists():
                shutil.copy(self.folder / f"{name}.csv", machine)


def check_lines(printed: str, expected: str, where: str) -> None:
    """Every expected line was printed, in this order; other lines may stand between them."""
    rest = [line.strip("│ ").rstrip() for line in printed.splitlines()]
    for line in expected.splitlines():
        pattern = re.compile(".*".join(map(re.escape, line.strip().split("..."))))
        at = next((at for at, got in enumerate(rest) if pattern.fullmatch(got.strip())), None)
        assert at is not None, f"{where}: the guide shows\n  {line}\nbut this was printed (from there on):\n{printed}"
        del rest[: at + 1]


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]
