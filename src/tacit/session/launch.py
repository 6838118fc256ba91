"""Parties that are processes of this machine: tacit.simulate, and what `tacit run --parties` is made of.

The parties are processes, never threads: torch's generator belongs to the whole process, and every party needs its own.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import selectors
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from time import monotonic
from typing import Any, TypeVar

from tacit.errors import Misuse, PeerFault, PeerLost, PeerStopped, TacitError
from tacit.net.channel import SocketChannel
from tacit.net.mesh import Mesh
from tacit.net.simulated import Weather
from tacit.session import forkserver
from tacit.session.disclosure import Allowance, Disclosures, allow_everything
from tacit.session.handshake import Terms
from tacit.session.job_keys import TRANSPORTS
from tacit.session.local_site import LocalSite, local_site
from tacit.session.participate import Settings, take_part
from tacit.session.party import Party, ProgressSink
from tacit.session.truncation import DITHERED, TRUNCATIONS

Result = TypeVar("Result")

#: Protocols that run among exactly three.
THREE_PARTIES = ("replicated3", "masked")
#: All that a simulation may be asked for. Which classes they are is known above this floor.
SIMULATED = (*THREE_PARTIES, "plain")
_server: forkserver.ForkServer | None = None
_server_owner = 0  # a process forked from this one must not use our server: two would talk on one socket
_server_lock = threading.Lock()

#: How long the other parties have to report once one has failed. They have heard of it: one that says nothing by then
#: is stopped, or computes something that nobody needs any more.
GRACE_S = 5.0

#: Named, not imported: this floor does not know what programs will use, only that loading it takes seconds. The first
#: two are what torch itself loads, 1.3 s at the first operator on a tensor subclass and 2 s at the first optimizer.
_PRELOAD = (
    "torch.distributed.tensor", "torch._dynamo", "tacit.tensor.dispatch", "tacit.crypto.identity", "tacit.net.tcp",
)


def fork_server() -> forkserver.ForkServer:
    """The server of this process, started on first use (some seconds, most of them torch)."""
    global _server, _server_owner
    with _server_lock:
        if _server is None or _server_owner != os.getpid() or not _server.alive():
            _server, _server_owner = forkserver.ForkServer(_PRELOAD), os.getpid()
            atexit.register(_stop, _server, _server_owner)
        return _server


def _stop(server: forkserver.ForkServer, owner: int) -> None:
    if owner == os.getpid():  # a fork of this process runs its exit handlers too
        server.stop()


class Children:
    """The parties of one local run, as their parent sees them."""

    def __init__(self, names: Sequence[str], request: forkserver.Request) -> None:
        self.names = tuple(names)
        self._sockets, self.pids = fork_server().start(request)

    def watch(self, on_message: Callable[[int, tuple[Any, ...]], None]) -> list[Any]:
        """Pass on every message; the results by place once all are in. Raises the first error that is a cause."""
        results: dict[int, Any] = {}
        errors: dict[int, BaseException] = {}  # in the order in which they came
        try:
            self._listen(on_message, results, errors)
        finally:  # also when the person interrupts us, or a result cannot be read
            for place, sock in enumerate(self._sockets):
                if sock.fileno() >= 0:
                    self._end(place)
                    sock.close()
        if errors:
            raise min(errors.values(), key=_hearsay)
        return [results[place] for place in range(len(self.names))]

    def _listen(
        self,
        on_message: Callable[[int, tuple[Any, ...]], None],
        results: dict[int, Any],
        errors: dict[int, BaseException],
    ) -> None:
        import pickle

        end_s: float | None = None
        with selectors.DefaultSelector() as selector:
            for place, sock in enumerate(self._sockets):
                selector.register(sock, selectors.EVENT_READ, place)
            while selector.get_map():
                if errors and end_s is None:
                    end_s = monotonic() + GRACE_S
                if end_s is not None and monotonic() > end_s:
                    return
                for key, _ in selector.select(None if end_s is None else max(0.0, end_s - monotonic())):
                    place = int(key.data)
                    sock = self._sockets[place]
                    payload = _message(sock)
                    if payload is None:
                        selector.unregister(sock)
                        sock.close()
                        if place not in results and place not in errors:
                            errors[place] = PeerLost(
                                f"the process of {self.names[place]} ended by itself",
                                hint="see its output above; was it killed, or is memory short?",
                            )
                        continue
                    # Written by our own child over a socket that only it holds; see forkserver.
                    message = pickle.loads(payload)
                    if message[0] == "result":
                        results[place] = message[1]
                    elif message[0] == "error":
                        errors[place] = _error(*message[1:])
                    on_message(place, message)

    def _end(self, place: int) -> None:
        # Its socket is still open, so the process has not ended and its number is still its own.
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pids[place], signal.SIGKILL)


def _message(sock: socket.socket) -> bytes | None:
    try:
        return forkserver.receive_message(sock)
    except ConnectionResetError:
        return None


def _error(pickled: bytes, words: str, text: str) -> BaseException:
    """A child's error. An unexpected one keeps the child's traceback as a note; ours say what to do and need none."""
    import pickle

    try:
        error: BaseException = pickle.loads(pickled)
    except Exception:  # of a class that only the child knows
        error = RuntimeError(words)
    if not isinstance(error, TacitError):
        error.add_note("in the party's own process:\n" + text)
    return error


def _hearsay(error: BaseException) -> int:
    """How far an error is from the cause: its own trouble, what a party saw of another, what it was told."""
    return 0 if not isinstance(error, PeerFault) else 2 if isinstance(error, PeerStopped) else 1


def simulate(
    function: Callable[[], Result],
    parties: int | Sequence[str] = 3,
    *,
    protocol: str = "masked",
    frac_bits: int = 16,
    truncation: str = DITHERED,
    seed: int | None = None,
    transport: str | None = None,
    network: Weather | None = None,
    deadline_s: float = 30.0,
    reveals: Allowance = allow_everything,
    on_line: Callable[[str, str], None] | None = None,
) -> list[Result]:
    """Run `function` as every party, each a process of this machine, and return what each of them returned.

    function    takes no arguments; closures and functions of a notebook are fine. tacit.party() says who it is.
    parties     how many, or their names.
    protocol    "masked" and "replicated3" need three parties; "plain" takes any number and protects nothing.
    truncation  how low bits are dropped: "dithered"; "faithful", to nearest at the price of a comparison; or
                "probabilistic-may-corrupt", quicker and now and then wrong by far.
    seed        public seed of initial weights and shuffles; agreed afresh when None.
    transport   "tls" or "frames": the parties meet over loopback with throw-away keys, as machines would, and all that
                travels is encrypted. When None they use plain local sockets, which are faster to make and to use.
    network     a simulated network (latency, bandwidth, faults); with a transport, a line of that latency and bandwidth
                for each pair.
    on_line     called with (party, line) for each line of output; printed with the party's name when None.

    Raises the error of the party that failed first.
    """
    names = _names(parties)
    if protocol not in SIMULATED:
        raise Misuse(f"no protocol is called {protocol!r}", hint=f"there are {', '.join(SIMULATED)}")
    if protocol in THREE_PARTIES and len(names) != 3:
        raise Misuse(f"{protocol} runs among three parties, not {len(names)}", hint='"plain" takes any number')
    if truncation not in TRUNCATIONS:
        raise Misuse(f"no truncation is called {truncation!r}", hint=f"there are {', '.join(TRUNCATIONS)}")
    settings = Settings(
        Terms(names, {"protocol": protocol, "frac_bits": frac_bits, "truncation": truncation}, seed=seed),
        protocol,
        64,
        frac_bits,
        deadline_s,
        transport="tls" if transport is None else transport,
        truncation=truncation,
    )
    site = None if transport is None else _site(names, transport, network)
    task = partial(_simulated, function, names, settings, reveals, site)
    asked = request(task, len(names), linked=site is None, weather=network if site is None else None)
    children = Children(names, asked)
    tell = on_line or (lambda name, line: print(f"{name} | {line}"))

    def on_message(place: int, message: tuple[Any, ...]) -> None:
        if message[0] == "line":
            tell(names[place], message[1])

    return children.watch(on_message)


def request(
    task: Callable[..., Any], children: int, *, linked: bool, weather: Weather | None = None
) -> forkserver.Request:
    """A request to the fork server, with this process's search path and folder."""
    import cloudpickle

    path = tuple(sys.path)
    return forkserver.Request(children, cloudpickle.dumps(task), linked, weather, path, os.getcwd())


def socket_mesh(party: Party, links: Mapping[int, socket.socket], deadline_s: float) -> Mesh:
    """A mesh over sockets that a common parent made."""
    channels = {peer: SocketChannel(sock) for peer, sock in links.items()}
    return Mesh(party.place, party.parties, channels, deadline_s=deadline_s)


def progress_to(report: forkserver.Report) -> ProgressSink:
    """Progress of a child, sent to its parent a few times a second."""
    from time import monotonic

    last = [0.0]

    def show(title: str, done: int, total: int | None) -> None:
        if done in (0, total) or monotonic() - last[0] > 0.2:
            last[0] = monotonic()
            report.send("progress", title, done, total)

    return show


def _simulated(
    function: Callable[[], Any],
    names: tuple[str, ...],
    settings: Settings,
    reveals: Allowance,
    site: LocalSite | None,
    place: int,
    links: Mapping[int, socket.socket],
    report: forkserver.Report,
) -> Any:
    party = Party(names[place], place, names, show_progress=progress_to(report))
    disclosures = Disclosures(reveals, "the simulation")
    wait_s = settings.deadline_s
    meet = (
        partial(socket_mesh, party, links, wait_s)
        if site is None
        else partial(site.meet, place, connect_s=wait_s, receive_s=wait_s)
    )
    return take_part(party, settings, meet, function, disclosures)


def _site(names: tuple[str, ...], transport: str, network: Weather | None) -> LocalSite:
    if transport not in TRANSPORTS:
        raise Misuse(f"no transport is called {transport!r}", hint=f"there are {' and '.join(TRANSPORTS)}, or None")
    return local_site(names, transport, network)


def _names(parties: int | Sequence[str]) -> tuple[str, ...]:
    if isinstance(parties, int):
        return tuple(f"party{place}" for place in range(parties))
    return tuple(parties)
