"""`tacit run --parties`: every party a process of this machine, with throw-away keys and real mutual TLS."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tacit.cli.screen import Screen
from tacit.cli.script import run_script, settings_for
from tacit.session import process
from tacit.session.disclosure import Grant
from tacit.session.forkserver import Report
from tacit.session.job import Job
from tacit.session.launch import Children, progress_to, request
from tacit.session.local_site import LocalSite, local_site
from tacit.session.participate import Settings, take_part

#: Takes the account of a run, also of one that failed.
Keep = Callable[[dict[str, Any]], None]

_ANY_TWO = "semi-honest; any two parties together can read everything"
PROTECTION = {
    "replicated3": _ANY_TWO,
    "masked": f"{_ANY_TWO}; the third party only deals, of large tensors each party a third",
}


@dataclass(frozen=True)
class Plan:
    """What each child process needs."""

    script: Path
    job: Job
    settings: Settings
    site: LocalSite


def run_here(script: Path, job: Job, keep: Keep) -> None:
    """Run all parties; `keep` gets the account of the run. Raises the error of the party that failed first."""
    process.protect()  # this process makes the keys of all parties
    screen = Screen(job.names, named_lines=True)
    screen.header(str(script), job.protocol, PROTECTION[job.protocol])
    plan = Plan(script.absolute(), job, settings_for(script, job), local_site(job.names, job.transport))
    children = Children(job.names, request(partial(_party, plan), len(job.names), linked=False))

    accounts: dict[int, dict[str, Any]] = {}

    def on_message(place: int, message: tuple[Any, ...]) -> None:
        if message[0] == "account":
            accounts[place] = message[1]
        elif message[0] == "line":
            screen.line(job.names[place], message[1])
        elif message[0] == "status" and place == 0:
            screen.status(message[1])
        elif message[0] == "progress" and place == 0:
            # All parties move in step, so one of them speaks for all.
            screen.progress(*message[1:])

    try:
        children.watch(on_message)
    finally:  # what was revealed before a failure was revealed
        account = joined(list(accounts.values()), job)
        screen.closing(account, saved_model(job, account))
        keep(account)


def saved_model(job: Job, account: dict[str, Any]) -> Path | None:
    """Where the run saved the model: it began without such a file, so one that is there now is its own."""
    known = job.model_out if account["rounds"] else None
    return known if known is not None and known.exists() else None


def nothing_happened(job: Job) -> dict[str, Any]:
    """The account of a run whose parties never connected."""
    return {
        "parties": list(job.names), "protocol": job.protocol, "completed": False,
        "rounds": 0, "bytes_sent": {}, "seconds": 0.0, "disclosures": [],
    }


def joined(accounts: list[dict[str, Any]], job: Job) -> dict[str, Any]:
    """One account of the whole run from those of the parties."""
    if not accounts:
        return nothing_happened(job)
    whole = dict(accounts[0])
    whole["bytes_sent"] = {entry["party"]: entry["bytes_sent"] for entry in accounts}
    whole["seconds"] = max(entry["seconds"] for entry in accounts)
    whole["completed"] = len(accounts) == len(job.names) and all(entry["completed"] for entry in accounts)
    whole["disclosures"] = joined_disclosures([entry["disclosures"] for entry in accounts])
    del whole["party"]
    return whole


def joined_disclosures(ledgers: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """What any party has in its ledger. They differ where a run failed between two of them, and nowhere else."""
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    for entry in (entry for ledger in ledgers for entry in ledger):
        key = tuple(str(entry[part]) for part in ("name", "to", "shape", "line"))
        if key not in rows or rows[key]["count"] < entry["count"]:
            rows[key] = entry
    return list(rows.values())


def _party(plan: Plan, place: int, links: Mapping[int, socket.socket], report: Report) -> None:
    """One party, in its own process."""
    from tacit.net.mesh import Mesh
    from tacit.session.disclosure import Disclosures
    from tacit.session.party import Party

    del links
    process.protect()
    job, name = plan.job, plan.job.names[place]
    party = Party(name, place, job.names, job, job.party(name).inputs, progress_to(report))

    def meet() -> Mesh:
        deadlines = job.deadlines
        mesh = plan.site.meet(place, connect_s=deadlines.connect_s, receive_s=deadlines.receive_s)
        report.send("status", f"connected   {', '.join(job.names)} (mutual TLS 1.3, throw-away keys)")
        return mesh

    keep = partial(report.send, "account")
    program = partial(run_script, plan.script, plan.settings.terms.program)
    take_part(party, plan.settings, meet, program, Disclosures(partial(allowance, job), job.source), keep)


def allowance(job: Job, name: str, receiver: str) -> Grant:
    """The consent of a job file as a session asks for it."""
    reveal = job.allows(name, receiver)
    if reveal is None:
        raise KeyError(name)
    return Grant(reveal.name, reveal.to, reveal.times)
