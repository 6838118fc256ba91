"""`tacit run --show`: what a program is about to do, found by doing it on made-up data under the plain protocol.

Nothing connects, tacit reads no input file beyond its first line and writes nothing outside a temporary folder. The
program itself runs, with all the rights of whoever calls it, and can tell that the data are made up: a dry run finds
what an honest program reveals, and nothing replaces reading the others. Searching the text for reveals
would miss those behind a function or a loop; a dry run meets every one that made-up data can reach.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from tacit.cli import made_up
from tacit.cli.local import PROTECTION, joined_disclosures
from tacit.cli.screen import Screen
from tacit.cli.script import run_script, settings_for
from tacit.crypto.primitives import digest
from tacit.errors import TacitError
from tacit.session.job import Job
from tacit.session.launch import Children, progress_to, request, socket_mesh
from tacit.session.participate import Settings, take_part
from tacit.session.program import program_files


@dataclass(frozen=True)
class Rehearsal:
    """What each child of the dry run needs."""

    script: Path
    job: Job
    settings: Settings
    folder: Path


def show_program(script: Path, job: Job, me: str | None) -> None:
    """Print program, parties, inputs, protection and reveals; raise the error that the dry run meets, if any."""
    screen = Screen(job.names, named_lines=False)
    console = screen.console
    files = program_files(script)
    console.print(Text.assemble(("program     ", "bold"), f"{script}   digest {program_digest(files)}"))
    for name, hexadecimal in files.items():
        console.print(Text(f"            {name}   {hexadecimal[:16]}"))
    console.print(Text.assemble(("protection  ", "bold"), f"{job.protocol}: {PROTECTION[job.protocol]}"))
    pairs = "; ".join(" with ".join(pair) for pair in combinations(job.names, 2))
    console.print(f"            could collude: {pairs}")
    console.print(_parties(job, me))
    if job.model_to is not None and job.model_out is not None:
        console.print(f"            a revealed model is saved by {job.model_to} at {os.path.relpath(job.model_out)}")
    accounts = rehearse(script, job)
    console.print(_reveals(job, accounts))
    listed = {(entry["name"], entry["to"]) for entry in accounts}
    for reveal in job.reveals:
        if (reveal.name, reveal.to) not in listed:
            console.print(Text(f'allowed but not met in the dry run: "{reveal.name}" to {reveal.to}', style="dim"))
    console.print("The program ran, on made-up data and connected to nobody. That is no test of its honesty: read it.")


def program_digest(files: Mapping[str, str]) -> str:
    """One short name for all files of a program, to be compared by telephone."""
    whole = digest(*(f"{name}\0{value}".encode() for name, value in files.items())).hex()[:40]
    return "-".join(whole[at : at + 4] for at in range(0, 40, 4))


def rehearse(script: Path, job: Job) -> list[dict[str, Any]]:
    """The disclosures of a dry run, as every party would make them."""
    with tempfile.TemporaryDirectory(prefix="tacit-show-") as name:
        folder = Path(name)
        pretended = replace(job, parties=made_up.parties(job, folder), model_out=None, source="the dry run")
        settings = replace(settings_for(script, job), protocol="plain")
        plan = Rehearsal(script.absolute(), pretended, settings, folder)
        children = Children(job.names, request(partial(_party, plan), len(job.names), linked=True))
        ledgers: list[list[dict[str, Any]]] = []

        def on_message(place: int, message: tuple[Any, ...]) -> None:
            if message[0] == "account":
                ledgers.append(message[1]["disclosures"])

        try:
            children.watch(on_message)
        except TacitError as error:
            raise type(error)(f"the dry run stopped: {error.message}", hint=error.hint) from None
    return joined_disclosures(ledgers)


def _party(plan: Rehearsal, place: int, links: Any, report: Any) -> None:
    from tacit.session.disclosure import Disclosures, allow_everything
    from tacit.session.party import Party

    os.chdir(plan.folder)
    name = plan.job.names[place]
    party = Party(name, place, plan.job.names, plan.job, plan.job.party(name).inputs, progress_to(report))
    meet = partial(socket_mesh, party, links, plan.settings.deadline_s)
    program = partial(run_script, plan.script, plan.settings.terms.program)
    take_part(
        party, plan.settings, meet, program, Disclosures(allow_everything), partial(report.send, "account")
    )


def _parties(job: Job, me: str | None) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), title="parties", title_justify="left", title_style="bold")
    for heading in ("party", "address", "connections", "inputs"):
        table.add_column(heading, overflow="fold")
    for place, party in enumerate(job.parties):
        later, earlier = job.names[place + 1 :], job.names[:place]
        ways = [f"listens for {', '.join(later)}"] if later else []
        ways += [f"connects to {', '.join(earlier)}"] if earlier else []
        inputs = "; ".join(f"{entry.name} = {os.path.relpath(entry.path)}" for entry in party.inputs.values())
        name = f"{party.name} (this machine)" if party.name == me else party.name
        address = str(party.address or "this machine")
        table.add_row(*map(Text, (name, address, "; ".join(ways), inputs or "none in this job")))
    return table


def _reveals(job: Job, disclosures: list[dict[str, Any]]) -> Table | Text:
    if not disclosures:
        return Text("reveals     none met in the dry run")
    table = Table(box=None, padding=(0, 2, 0, 0), title="reveals", title_justify="left", title_style="bold")
    for heading in ("what", "shape on made-up data", "to", "line", "times", "this job"):
        table.add_column(heading)
    for entry in disclosures:
        reveal = job.allows(entry["name"], entry["to"])
        verdict = Text("refuses it", style="red") if reveal is None else Text("allows it", style="green")
        if reveal is not None and reveal.times is not None:
            verdict = Text(f"allows {reveal.times}", style="green" if reveal.times >= entry["count"] else "red")
        cells = (str(entry[key]) for key in ("name", "shape", "to", "line", "count"))
        table.add_row(*map(Text, cells), verdict)
    return table
