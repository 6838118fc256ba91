"""A process that has torch loaded and nothing else done, from which the parties of local runs are forked.

Loading torch takes seconds; forking a process that has it takes milliseconds. The server is started as a fresh
interpreter, so it has no threads, no open files and no secrets of the program that uses it, and forking it is safe.

    parent -> server   one request: how many children, which sockets they get among each other, a pickled task
    child  -> parent   over a socket of its own: lines of output, progress, then one result or one error

cloudpickle carries the task and the results between a parent and its own children. It is used nowhere else: nothing
that comes from a peer or a file is ever unpickled.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tacit.errors import Trouble
from tacit.net.channel import keep_only, socket_pairs
from tacit.net.simulated import Relay, Weather, simulated_channels
from tacit.session import process

_LENGTH = struct.Struct("<Q")


@dataclass(frozen=True)
class Request:
    """What the server is asked to do. `task` is a pickled callable of (place, links, report)."""

    children: int
    task: bytes = field(repr=False)  # may hold the keys of a local run
    linked: bool
    weather: Weather | None
    search_path: tuple[str, ...]
    folder: str


class Report:
    """A child's way to its parent."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._one_at_a_time = threading.Lock()  # threads of a program may print

    def send(self, kind: str, *content: Any) -> None:
        """One message: ("line", text), ("progress", ...), ("result", value), ("error", pickled, words, traceback)."""
        import cloudpickle

        payload = cloudpickle.dumps((kind, *content))
        with self._one_at_a_time:
            send_message(self._sock, payload)


def send_message(sock: socket.socket, payload: bytes) -> None:
    """Length, then bytes."""
    sock.sendall(_LENGTH.pack(len(payload)) + payload)


def receive_message(sock: socket.socket) -> bytes | None:
    """The next message, or None at the end of the stream."""
    header = _exactly(sock, _LENGTH.size)
    return None if header is None else _exactly(sock, _LENGTH.unpack(header)[0])


def _exactly(sock: socket.socket, count: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < count:
        piece = sock.recv(min(count - len(parts), 1 << 20))
        if not piece:
            return None
        parts += piece
    return bytes(parts)


# -- the parent's side ---------------------------------------------------------------------------------------------


class ForkServer:
    """The handle that a parent keeps. One server serves any number of runs, one after another or at once."""

    def __init__(self, preload: Sequence[str] = ()) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tacit.session.forkserver", str(theirs.fileno()), *preload],
                # In a session of its own, so that Ctrl-C at the terminal reaches the parent alone, which ends the rest.
                pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL, start_new_session=True,
            )
        self._sock = ours
        self._one_at_a_time = threading.Lock()

    def start(self, request: Request) -> tuple[list[socket.socket], list[int]]:
        """Fork the children of one run; a socket to each, and their process ids."""
        pairs = [socket.socketpair() for _ in range(request.children)]
        answer = None
        with self._one_at_a_time, contextlib.suppress(OSError):
            socket.send_fds(self._sock, [b"!"], [theirs.fileno() for _, theirs in pairs])
            send_message(self._sock, pickle.dumps(request))
            answer = receive_message(self._sock)
        for _, theirs in pairs:
            theirs.close()
        if answer is None:
            for ours, _ in pairs:
                ours.close()
            raise Trouble(
                "the process from which the parties are started has ended",
                hint="look for its own error above; was it killed, or is memory short? then try again",
            )
        return [ours for ours, _ in pairs], pickle.loads(answer)

    def alive(self) -> bool:
        """Whether the server still runs."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End the server; its children go with it."""
        self._sock.close()
        self._process.kill()  # it keeps nothing that could be lost
        self._process.wait()


# -- the server's side ---------------------------------------------------------------------------------------------


def serve(sock: socket.socket, preload: Sequence[str]) -> None:
    """Load `preload`, then fork children until the parent is gone."""
    import torch

    process.protect()  # before the first request: it may carry the keys of a local run; children inherit it
    for module in preload:
        importlib.import_module(module)  # here once, so that no child has to
    torch.set_num_threads(1)  # the parties of one machine share its cores
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children are reaped by the kernel; results come over sockets
    while True:
        _, fds, _, _ = socket.recv_fds(sock, 1, 64)
        payload = receive_message(sock)
        if payload is None:
            return
        request: Request = pickle.loads(payload)
        results = [socket.socket(fileno=fd) for fd in fds]
        ends, relay = _links(request)
        children = range(request.children)
        pids = [_fork(partial(_child, place, request, results, ends, relay, sock)) for place in children]
        if relay is not None:
            _fork(partial(_relay, relay, results, sock))
        keep_only(ends, None)
        if relay is not None:
            relay.close()
        for result in results:
            result.close()
        send_message(sock, pickle.dumps(pids))


def _links(request: Request) -> tuple[list[dict[int, socket.socket]], Relay | None]:
    if not request.linked:
        return [{} for _ in range(request.children)], None
    if request.weather is None:
        return socket_pairs(request.children), None
    return simulated_channels(request.children, request.weather)


def _fork(work: Callable[[], None]) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        process.die_with_parent(signal.SIGKILL)
        process.keep_freed_memory()
        work()
        status = 0
    finally:
        os._exit(status)


def _relay(relay: Relay, results: list[socket.socket], control: socket.socket) -> None:
    control.close()
    for result in results:
        result.close()
    relay()


def _child(
    place: int,
    request: Request,
    results: list[socket.socket],
    ends: list[dict[int, socket.socket]],
    relay: Relay | None,
    control: socket.socket,
) -> None:
    control.close()
    if relay is not None:
        relay.close()
    for other, result in enumerate(results):
        if other != place:
            result.close()
    links = keep_only(ends, place)
    report = Report(results[place])
    sys.stdout = sys.stderr = Lines(report)
    try:
        sys.path[:] = request.search_path
        os.chdir(request.folder)
        result = pickle.loads(request.task)(place, links, report)
        sys.stdout.flush()
        report.send("result", result)
    except BaseException as error:  # the parent decides what to do with it
        sys.stdout.flush()
        _send_error(report, error)


def _send_error(report: Report, error: BaseException) -> None:
    import cloudpickle

    text = "".join(traceback.format_exception(error))
    try:
        pickled = cloudpickle.dumps(error)
        pickle.loads(pickled)
    except Exception:  # an exception that does not survive pickling still has words
        pickled = b""
    report.send("error", pickled, f"{type(error).__name__}: {error}", text)


class Lines(io.TextIOBase):
    """Standard output of a child: whole lines go to the parent, which knows whose they are."""

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, report: Report) -> None:
        self._report = report
        self._rest = ""

    def write(self, text: str) -> int:
        """Keep the last, unfinished line back."""
        *whole, self._rest = (self._rest + text).split("\n")
        for line in whole:
            self._report.send("line", line)
        return len(text)

    def flush(self) -> None:
        """Send what there is."""
        if self._rest:
            self._report.send("line", self._rest)
            self._rest = ""

    def writable(self) -> bool:
        """It is for writing; isatty() and fileno() are those of a stream without a file: the parent owns the screen."""
        return True


if __name__ == "__main__":
    # Not a death signal of the parent: that one comes when the *thread* ends that started us. The end of the control
    # socket says that the process has gone.
    serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:])
