"""Three machines, three key stores, three commands: what a run leaves, and which mistakes stop it before it begins."""

from __future__ import annotations

import json
import re
import shutil
import socket
from collections.abc import Callable
from time import monotonic

import pytest
import safetensors.torch

from kit.machines import NAMES, ROWS, Ended, Machines, free_ports

OTHERS = {name: [other for other in NAMES if other != name] for name in NAMES}


# ---- a run that goes well -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)], ids=str)
def test_three_commands_in_any_order_train_and_leave_the_model_with_alice(
    machines: Machines, order: tuple[int, ...]
) -> None:
    started = {NAMES[place]: machines.start(NAMES[place]).until("at start") for place in order}
    ended = {name: process.end() for name, process in started.items()}
    assert {name: (end.code, end.err) for name, end in ended.items()} == dict.fromkeys(NAMES, (0, "")), ended
    loss = float(re.findall(r"^loss (\S+)$", ended["bob"].out, re.MULTILINE)[0])
    assert 0 < loss < 10
    assert "loss 0" not in ended["alice"].out + ended["crypto-producer"].out
    assert set(safetensors.torch.load_file(machines.at("alice") / "model.safetensors")) == {"weight", "bias"}
    assert [machines.leftovers(name) for name in NAMES] == [
        {"model.safetensors", "report.json"}, {"report.json"}, {"report.json"},
    ]  # fmt: skip
    reports = [json.loads((machines.at(name) / "report.json").read_text()) for name in NAMES]
    assert [(report["party"], report["completed"]) for report in reports] == [(name, True) for name in NAMES]
    assert len({report["public_seed"] for report in reports}) == 1
    for report in reports:
        assert [(entry["name"], entry["to"], entry["count"]) for entry in report["disclosures"]] == [
            ("loss", "bob", 1), ("weights", "alice", 1),
        ]  # fmt: skip
        assert all(entry["line"].startswith("train.py:") for entry in report["disclosures"])


def test_a_flat_map_gives_the_addresses_and_the_job_beside_the_script_the_rest(machines: Machines) -> None:
    addresses = {name: f"127.0.0.1:{port}" for name, port in zip(NAMES, reversed(machines.ports.values()), strict=True)}
    for name in NAMES:
        machines.write(name, "map.json", json.dumps(addresses))
    started = [machines.start(name, *own_input(machines, name), job="map.json") for name in NAMES]
    ended = [process.end() for process in started]
    assert [end.code for end in ended] == [0, 0, 0], ended
    assert f"listening on {addresses['alice']}" in ended[0].out


def test_a_flat_map_alone_allows_no_reveal(machines: Machines) -> None:
    for name in NAMES:
        (machines.at(name) / "job.toml").unlink()
        machines.write(name, "map.json", json.dumps({n: f"127.0.0.1:{p}" for n, p in machines.ports.items()}))
    started = [machines.start(name, *own_input(machines, name), job="map.json") for name in NAMES]
    errors = [process.end().error for process in started]
    assert {kind for kind, _, _ in errors} <= {"RevealRefused", "PeerStopped"}
    assert "RevealRefused" in {kind for kind, _, _ in errors}
    assert all('"loss"' in message for _, message, _ in errors)


def own_input(machines: Machines, name: str) -> tuple[str, ...]:
    return ("--input", str(machines.at(name) / "table.csv")) if name in ROWS else ()


def test_strangers_at_the_door_do_not_disturb_the_run(machines: Machines) -> None:
    alice = machines.start("alice").until("listening")
    strangers = []
    for words in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01" + bytes(200), b""):
        strangers.append(socket.create_connection(("127.0.0.1", machines.ports["alice"])))
        strangers[-1].sendall(words)
    others = [machines.start(name) for name in OTHERS["alice"]]
    assert [process.end().code for process in (alice, *others)] == [0, 0, 0]
    for stranger in strangers:
        stranger.close()


# ---- mistakes of one party, found before anybody is called ----------------------------------------------------------


def unknown_key(machines: Machines) -> None:
    machines.job("alice", top='protocl = "replicated3"')


def missing_data(machines: Machines) -> None:
    (machines.at("alice") / "table.csv").unlink()


def no_identity(machines: Machines) -> None:
    (machines.own_home("alice").home / "identities" / "alice.key").unlink()


def untrusted_name(machines: Machines) -> None:
    (machines.own_home("alice").home / "trusted" / "bob.pub").unlink()


def untrusted_name_in_a_map(machines: Machines) -> None:
    untrusted_name(machines)
    addresses = {name: f"127.0.0.1:{port}" for name, port in machines.ports.items()}
    (machines.at("alice") / "job.toml").unlink()
    machines.write("alice", "job.json", json.dumps(addresses))


def model_exists(machines: Machines) -> None:
    machines.write("alice", "model.safetensors", "precious")


def syntax_error(machines: Machines) -> None:
    machines.write("alice", "moments.py", "def at(:\n")


def no_program(machines: Machines) -> None:
    (machines.at("alice") / "train.py").unlink()


def report_nowhere(machines: Machines) -> None:
    machines.write("alice", "report.json", "").unlink()
    (machines.at("alice") / "report.json").mkdir()


def unknown_protocol(machines: Machines) -> None:
    machines.job("alice", top='protocol = "plain"')


def readable_key(machines: Machines) -> None:
    (machines.own_home("alice").home / "identities" / "alice.key").chmod(0o644)


LOCAL = {
    unknown_key: ("JobError", "protocl", "protocol"),
    missing_data: ("StorageTrouble", "table.csv", "job.toml"),
    no_identity: ("KeyStoreError", "alice", "tacit keygen alice"),
    untrusted_name: ("KeyStoreError", "bob", "tacit trust bob.pub"),
    untrusted_name_in_a_map: ("KeyStoreError", "bob", "tacit trust bob.pub"),
    model_exists: ("OutputExists", "model.safetensors", "another file"),
    syntax_error: ("DataError", "moments.py, line 1", "syntax"),
    no_program: ("Misuse", "train.py", "path"),
    report_nowhere: ("StorageTrouble", "report.json", "folder"),
    unknown_protocol: ("JobError", "plain", "replicated3"),
    readable_key: ("KeyStoreError", "alice.key", "chmod 600"),
}


@pytest.mark.parametrize("mistake", LOCAL, ids=lambda mistake: mistake.__name__)
def test_a_mistake_of_one_party_stops_it_before_it_calls_anybody(
    machines: Machines, mistake: Callable[[Machines], None]
) -> None:
    mistake(machines)
    job = "job.toml" if mistake is not untrusted_name_in_a_map else "job.json"
    with Door(machines.ports["alice"]) as door:
        ended = machines.start("alice", job=job).end()
        assert not door.knocked()
    kind, message, hint = ended.error
    expected_kind, in_message, in_hint = LOCAL[mistake]
    assert kind == expected_kind
    assert in_message in message
    assert in_hint in hint
    assert "listening" not in ended.out
    assert not machines.leftovers("alice") - {"model.safetensors", "report.json", "job.json"}
    if mistake is model_exists:
        assert (machines.at("alice") / "model.safetensors").read_text() == "precious"


class Door:
    """Holds a port, so that a party which tried to listen there would fail otherwise; says whether anybody called."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_server(("127.0.0.1", port))

    def __enter__(self) -> Door:
        return self

    def __exit__(self, *args: object) -> None:
        self.sock.close()

    def knocked(self) -> bool:
        self.sock.setblocking(False)
        try:
            self.sock.accept()[0].close()
        except BlockingIOError:
            return False
        return True


def test_a_busy_port_is_named_with_what_to_do(machines: Machines) -> None:
    with Door(machines.ports["alice"]):
        kind, message, hint = machines.start("alice").end().error
    assert kind == "PortBusy"
    assert str(machines.ports["alice"]) in message
    assert "another port" in hint


def test_a_fault_in_one_table_does_not_disturb_those_who_wait(machines: Machines) -> None:
    """The one who made the mistake mends it and starts again; the others never noticed."""
    others = [machines.start(name) for name in OTHERS["bob"]]
    (machines.at("bob") / "table.csv").rename(machines.at("bob") / "elsewhere.csv")
    assert machines.start("bob").end().error[0] == "StorageTrouble"
    (machines.at("bob") / "elsewhere.csv").rename(machines.at("bob") / "table.csv")
    assert [process.end().code for process in (machines.start("bob"), *others)] == [0, 0, 0]


# ---- parties that do not fit together -------------------------------------------------------------------------------


def all_errors(machines: Machines, **options: object) -> dict[str, tuple[str, str, str]]:
    ended = {name: process.end() for name, process in machines.start_all(**options).items()}
    machines.nothing_but_a_report_of_failure()
    return {name: end.error for name, end in ended.items()}


@pytest.mark.parametrize("absent", NAMES)
def test_a_party_that_never_starts_is_named_within_the_deadline(machines: Machines, absent: str) -> None:
    machines.jobs(connect_s=1.5)
    begun_s = monotonic()
    started = [machines.start(name) for name in OTHERS[absent]]
    for ended in [process.end(1.5 + 3) for process in started]:
        kind, message, hint = ended.error
        assert kind == "PeerAbsent"
        assert f'("{absent}") did not connect within 2 s' in message
        assert f"start the same program at {absent}" in hint
        assert re.search(r"127\.0\.0\.1:\d+", hint)
        assert ended.at_s - begun_s > 1.4


def test_who_has_met_everybody_hears_from_the_others_who_has_not(machines: Machines) -> None:
    """The third machine has a wrong address of alice: bob is connected to both, who wait for each other."""
    machines.jobs(connect_s=2, receive_s=0.5)
    machines.job("crypto-producer", connect_s=2, ports={**machines.ports, "alice": free_ports(1)[0]})
    errors = all_errors(machines)
    # The first of the two to give up says so to bob, who tells the other one.
    assert {errors["alice"][0], errors["crypto-producer"][0]} <= {"PeerAbsent", "PeerStopped"}
    kind, message, _ = errors["bob"]
    assert kind == "PeerStopped"
    assert "is the cause" in message
    assert "did not connect within 2 s" in message


def test_a_wrong_key_is_named_on_both_sides(machines: Machines) -> None:
    """bob has made a new identity, and alice trusts the old one."""
    machines.jobs(connect_s=3)
    bob = machines.own_home("bob")
    (bob.home / "identities" / "bob.key").unlink()
    machines.own_home("crypto-producer").trust(bob.create("bob").public, replace=True)
    errors = all_errors(machines)
    assert errors["bob"][0] == "PeerUntrusted"
    assert "alice" in errors["bob"][1]
    assert errors["alice"][0] == "PeerUntrusted"
    assert "bob" in errors["alice"][1]
    assert errors["crypto-producer"][0] in ("PeerAbsent", "PeerLost", "PeerStopped")
    assert "bob" in errors["crypto-producer"][1]


def other_script(machines: Machines) -> None:
    with (machines.at("bob") / "train.py").open("a") as script:
        script.write("# a note\n")


def other_helper(machines: Machines) -> None:
    with (machines.at("bob") / "moments.py").open("a") as helper:
        helper.write("# a note\n")


def other_job(machines: Machines) -> None:
    machines.job("bob", top="frac_bits = 18")


def other_seed(machines: Machines) -> None:
    machines.job("bob", top="seed = 7")


def other_version() -> None:
    from tacit.session import handshake

    real = handshake.version
    handshake.version = lambda package: "0.0.7" if package == "tacit" else real(package)


MISMATCHES = {
    other_script: ("program", "train.py", "copy the same program"),
    other_helper: ("program", "moments.py", "copy the same program"),
    other_job: ("job", "frac_bits = 18", "job files"),
    other_seed: ("job", "seed = 7", "job files"),
    other_version: ("tacit", "0.0.7", "same version of tacit"),
}


@pytest.mark.parametrize("mistake", MISMATCHES, ids=lambda mistake: mistake.__name__)
def test_what_differs_is_named_with_both_sides_before_a_share_leaves(
    machines: Machines, mistake: Callable[..., None]
) -> None:
    field, difference, what_to_do = MISMATCHES[mistake]
    if mistake is not other_version:
        mistake(machines)
    prepare = mistake if mistake is other_version else None
    started = [machines.start("alice"), machines.start("bob", prepare=prepare), machines.start("crypto-producer")]
    ended: list[Ended] = [process.end() for process in started]
    errors = [end.error for end in ended]
    assert errors[1][0] in ("PeerMismatch", "PeerStopped")
    mismatches = [(message, hint) for kind, message, hint in errors if kind == "PeerMismatch"]
    assert mismatches
    for message, hint in mismatches:
        assert message.startswith(f"{field} differs")
        assert difference in message
        assert "bob has" in message
        assert what_to_do in hint
    for kind, message, _ in errors:  # who only heard of it heard what it was
        assert kind == "PeerMismatch" or (kind == "PeerStopped" and difference in message)
    assert not any("at sharing" in end.out for end in ended)
    machines.nothing_but_a_report_of_failure()


def test_another_order_of_parties_is_found_at_the_door(machines: Machines) -> None:
    machines.jobs(connect_s=2)
    turned = dict(reversed(machines.ports.items()))
    machines.job("crypto-producer", connect_s=2, ports=turned)
    errors = all_errors(machines)
    assert {kind for kind, _, _ in errors.values()} <= {"PeerAbsent", "PeerMismatch", "PeerUntrusted"}


def test_keys_made_and_compared_by_the_commands_carry_a_run(machines: Machines) -> None:
    """keygen, trust and run as three people type them."""
    for name in NAMES:
        machines.homes[name] = machines.folder / f"new-{name}"
        machines.command(name, "keygen", name).end()
    for name in NAMES:
        for other in OTHERS[name]:
            shutil.copy(machines.at(other) / f"{other}.pub", machines.at(name))
            fingerprint = re.findall(r"^fingerprint +(\S+)", machines.command(other, "trusted").end().out)
            assert not fingerprint  # nobody trusts oneself
        for other in OTHERS[name]:
            shown = machines.command(name, "trust", f"{other}.pub", "--without-comparing").end()
            assert shown.code == 0, shown.err
    assert [process.end().code for process in machines.start_all().values()] == [0, 0, 0]
