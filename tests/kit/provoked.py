"""Every error that can be met without a second machine, met on purpose: for the page that explains errors.

Each function meets one error as a person would, or has the module that words it word it. Not here: whether the right
thing happens in a run; the tests of each area say that.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import torch
from click.testing import CliRunner

import csv_file
import tacit
from kit.guide import free_ports
from tacit.cli import run as run_command
from tacit.crypto.identity import throwaway
from tacit.crypto.keystore import KeyStore
from tacit.crypto.public_identity import PublicIdentity
from tacit.net.blame import Overdue, Patience, Standing, lost_fault, stopped_fault
from tacit.net.dial import Dial
from tacit.net.frames import decode_header, describe, diverged
from tacit.net.mesh import Mesh
from tacit.net.tcp import Endpoint, TransportIdentity, connect_all
from tacit.net.tls import TlsChannel
from tacit.ring import FixedPoint
from tacit.session.disclosure import Allowance, Disclosures, Grant, allow_everything
from tacit.session.handshake import Handshake, Terms
from tacit.session.job import Job
from tacit.session.launch import simulate
from tacit.session.participate import Settings, take_part
from tacit.session.party import Party
from tacit.tensor import model_file

NAMES = ("alice", "bob", "crypto-producer")
JOB = "version = 1\n[parties.alice]\n[parties.bob]\n[parties.crypto-producer]\n"

Provoke = Callable[[Path], object]
PROVOKED: list[tuple[str, Provoke]] = []


def provokes(kind: str) -> Callable[[Provoke], Provoke]:
    """Mark a function that meets an error of this class, as a person would."""

    def add(function: Provoke) -> Provoke:
        PROVOKED.append((kind, function))
        return function

    return add


def alone(
    program: Callable[[], object], *, allowance: Allowance = allow_everything, job: Job | None = None
) -> None:
    """Run a program as the only party, without protection: enough for the errors of its own lines."""
    party = Party("alice", 0, ("alice",), job)
    settings = Settings(Terms(("alice",)), "plain")
    disclosures = Disclosures(allowance, "job.toml")
    take_part(party, settings, lambda: Mesh(0, ("alice",), {}, deadline_s=1), program, disclosures)


@provokes("Misuse")
def nobody_takes_part(folder: Path) -> None:
    (folder / "train.py").touch()
    CliRunner().invoke(run_command.run, [str(folder / "train.py")], catch_exceptions=False)


@provokes("Misuse")
def two_parties(folder: Path) -> None:
    simulate(lambda: None, parties=["alice", "bob"])


@provokes("Misuse")
def nobody_owns_it(folder: Path) -> None:
    alone(lambda: tacit.secret(torch.ones(3)))  # type: ignore[call-overload]


@provokes("NoSession")
def started_with_python(folder: Path) -> None:
    tacit.party()


@provokes("JobError")
def misspelt_key(folder: Path) -> None:
    Job.parse("version = 1\nmodel_too = 'alice'\n")


@provokes("JobError")
def addresses_missing(folder: Path) -> None:
    Job.parse(JOB).addresses()


@provokes("JobError")
def parties_differ(folder: Path) -> None:
    Job.parse(JOB).only_parties(["alice", "bob"])


@provokes("KeyStoreError")
def nobody_trusted(folder: Path) -> None:
    KeyStore(folder / ".tacit").trusted("bob")


@provokes("KeyStoreError")
def no_identity(folder: Path) -> None:
    KeyStore(folder / ".tacit").load("alice")


@provokes("KeyStoreError")
def damaged_public_half(folder: Path) -> None:
    PublicIdentity.decode(b"{}", source="bob.pub")


@provokes("DataError")
def text_among_numbers(folder: Path) -> None:
    (folder / "alice.csv").write_text("id,income\n1,2500\n2,n/a\n")
    csv_file.Rows(folder / "alice.csv").numbers(1)


@provokes("NotRepresentable")
def not_a_number(folder: Path) -> None:
    alone(lambda: tacit.secret(torch.tensor([1.0, torch.nan]), owner="alice"))


@provokes("NotRepresentable")
def too_large(folder: Path) -> None:
    FixedPoint().encode([[0.0, 2e9]], what="secret tensor")  # type: ignore[arg-type]


@provokes("ShapeError")
def no_such_party(folder: Path) -> None:
    alone(lambda: tacit.secret(torch.ones(3), owner="alicia"))


@provokes("ShapeError")
def public_already(folder: Path) -> None:
    alone(lambda: tacit.reveal(torch.ones(3), to="alice"))


@provokes("RefusedOp")
def branch_on_a_secret(folder: Path) -> None:
    alone(lambda: tacit.secret(torch.ones(1), owner="alice").item())


@provokes("RefusedOp")
def no_row(folder: Path) -> None:
    alone(lambda: torch.linalg.qr(tacit.secret(torch.eye(2), owner="alice")))


@provokes("RevealRefused")
def no_consent(folder: Path) -> None:
    alone(lambda: tacit.reveal(tacit.secret(torch.ones(1), owner="alice"), to="alice", name="sum"), allowance=_nothing)


def _nothing(name: str, receiver: str) -> Grant:
    raise KeyError(name)


@provokes("RevealRefused")
def once_too_often(folder: Path) -> None:
    def program() -> None:
        x = tacit.secret(torch.ones(1), owner="alice")
        for _ in range(2):
            tacit.reveal(x, to="alice", name="sum")

    alone(program, allowance=lambda name, receiver: Grant(name, receiver, 1))


@provokes("OutputExists")
def model_is_there(folder: Path) -> None:
    (folder / "model.safetensors").touch()
    job = Job.parse('model_out = "model.safetensors"\n' + JOB, folder=folder)
    model_file.check_free(Party("alice", 0, NAMES, job))


@provokes("PeerLost")
def connection_cut(folder: Path) -> None:
    raise lost_fault(NAMES, 1, "the connection was closed", (118, "mm/truncate"))


@provokes("PeerSilent")
def stopped_machine(folder: Path) -> None:
    patience = Patience(0, NAMES, 30.0)
    patience.judge({1: 0}, (118, "mm/truncate"), 0.0)
    _verdict(patience, 30.0)


def _verdict(patience: Patience, now_s: float) -> None:
    try:
        patience.judge({1: 0}, (118, "mm/truncate"), now_s)
    except Overdue as overdue:
        raise overdue.fault from None


@provokes("PeerDiverged")
def all_wait(folder: Path) -> None:
    patience = Patience(0, NAMES, 30.0)
    patience.hear(1, Standing(0.0, (0,), 117, "relu/and"), 0)
    patience.judge({1: 0}, (118, "mm/truncate"), 0.0)
    patience.hear(1, Standing(30.0, (0,), 117, "relu/and"), 0)
    _verdict(patience, 30.0)


@provokes("PeerDiverged")
def other_step(folder: Path) -> None:
    raise diverged(describe(1, "bob"), 117, "relu/and", 118, "mm/truncate")


@provokes("PeerAbsent")
def nobody_answers(folder: Path) -> None:
    _connect(1, free_ports(3))


@provokes("PeerAbsent")
def nobody_comes(folder: Path) -> None:
    _connect(0, free_ports(3))


@provokes("PeerUntrusted")
def other_key_there(folder: Path) -> None:
    _dial()._untrusted()


@provokes("PeerUntrusted")
def our_key_refused(folder: Path) -> None:
    _dial()._key_refused()


def _dial() -> Dial:
    """Bob's call to alice. tests/net has the two ends of a real one; here only the words count."""
    one = throwaway("alice")
    key = TransportIdentity(one.certificate_der, one.transport_private_pem())
    return Dial(1, 0, 3, Endpoint("alice", "127.0.0.1", 7101, one.certificate_der), key, now_s=0.0)


def _connect(place: int, ports: list[int]) -> None:
    people = [throwaway(name) for name in NAMES]
    endpoints = [
        Endpoint(one.name, "127.0.0.1", port, one.certificate_der) for one, port in zip(people, ports, strict=True)
    ]
    key = TransportIdentity(people[place].certificate_der, people[place].transport_private_pem())
    connect_all(place, endpoints, key, deadline_s=0.05)


@provokes("PortBusy")
def port_taken(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        _connect(0, [taken.getsockname()[1], *free_ports(2)])


@provokes("PortBusy")
def address_of_another_machine(folder: Path) -> None:
    # 192.0.2.0/24 is for documentation: no machine has it.
    identity = throwaway("alice")
    key = TransportIdentity(identity.certificate_der, identity.transport_private_pem())
    endpoints = [Endpoint(name, "192.0.2.9", 7101, identity.certificate_der) for name in NAMES]
    connect_all(0, endpoints, key, deadline_s=0.05)


@provokes("PeerMismatch")
def other_program(folder: Path) -> None:
    _greet(Terms(NAMES, program={"train.py": "11" * 32}), Terms(NAMES, program={"train.py": "22" * 32}))


@provokes("PeerMismatch")
def other_job(folder: Path) -> None:
    _greet(Terms(NAMES, {"frac_bits": 16}), Terms(NAMES, {"frac_bits": 20}))


@provokes("PeerMismatch")
def other_order(folder: Path) -> None:
    _greet(Terms(NAMES), Terms(("alice", "crypto-producer", "bob")))


def _greet(mine: Terms, theirs: Terms) -> None:
    Handshake(0, mine).heard_hello(1, Handshake(1, theirs).hello(0))


@provokes("PeerGarbage")
def web_browser(folder: Path) -> None:
    decode_header(memoryview(b"GET / HTTP/1.1\r\nHost: bank"), describe(1, "bob"))


@provokes("PeerStopped")
def error_of_another(folder: Path) -> None:
    raise stopped_fault(NAMES, 0, 1, None, "DataError", (0, "hello"))[1]


@provokes("StorageTrouble")
def file_missing(folder: Path) -> None:
    job = Job.parse('version = 1\n[parties.alice.inputs.customers]\npath = "alice.csv"\n', folder=folder)
    run_command.check_inputs(job, "alice")


@provokes("Trouble")
def too_much_traffic(folder: Path) -> None:
    with socket.socket() as sock:
        channel = TlsChannel(sock, describe(1, "bob"))  # type: ignore[arg-type]
        channel._volume_bytes = 300 * 10**9
        channel._worn_out()
