"""`tacit run`: a program as one party of a job, as all parties of one machine, or only as a description (--show).

Not here: what a job file may say (session.job), how parties meet (net.tcp), what is drawn on the screen (screen).
"""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tacit.errors import JobError, Misuse, StorageTrouble

if TYPE_CHECKING:
    from tacit.session.job import Job

# The job reader, and with it the crypto library, is imported inside: `tacit --help` must answer at once.

#: Protocols that a run between parties may use, with the number of parties. "plain" protects nothing and is for
#: rehearsals only, so no job file can ask for it.
PROTOCOLS = {"replicated3": 3, "masked": 3}


def add_commands(group: click.Group) -> None:
    """Add run to `group`."""
    group.add_command(run)


@click.command()
@click.argument("script", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--parties", metavar="A,B,C", help="Run all of them on this machine, with throw-away keys.")
@click.option("--as", "me", metavar="NAME", help="Run as this party of the job, with its identity.")
@click.option("--job", "job_path", type=click.Path(path_type=Path), help="Job file, or a flat JSON map of addresses.")
@click.option("--input", "input_path", type=click.Path(path_type=Path), help="This party's data file, with a JSON map.")
@click.option("--show", is_flag=True, help="Run it on made-up data, connected to nobody; say what it would reveal.")
@click.option("--report", type=click.Path(path_type=Path), help="Write cost and disclosures as JSON to this file.")
def run(
    script: Path,
    parties: str | None,
    me: str | None,
    job_path: Path | None,
    input_path: Path | None,
    show: bool,
    report: Path | None,
) -> None:
    """Run SCRIPT among the parties of a job."""
    if not script.is_file():
        raise Misuse(f"there is no program {script}", hint="check the path")
    if parties is None and me is None and not show:
        raise Misuse(
            "say who takes part", hint="--parties alice,bob,crypto-producer (all here), or --as NAME --job job.toml"
        )
    if parties is not None and me is not None:
        raise Misuse("--parties runs everybody here, --as runs one party", hint="use one of the two")
    job = find_job(script, job_path, parties)
    if input_path is not None:
        if me is None:
            raise Misuse("--input belongs to one party", hint="say whose file it is: --as NAME")
        job = job.with_input(me, input_path, _input_name(job, me))
    check_protocol(job)
    if not show:
        check_inputs(job, me)
    if report is not None:
        check_writable(report)
    if show:
        from tacit.cli.show import show_program

        show_program(script, job, me)
        return
    keep = partial(write_report, report)
    if parties is not None:
        from tacit.cli.local import run_here

        run_here(script, job, keep)
    else:
        from tacit.cli.remote import run_as

        assert me is not None
        run_as(script, job, me, keep)


def find_job(script: Path, path: Path | None, parties: str | None) -> Job:
    """The job of a run: the file named, or job.toml beside the script; a JSON map adds addresses to the latter."""
    from tacit.session.job import Job, parse_address_map
    from tacit.session.job_reader import read_text

    beside = script.parent / "job.toml"
    if path is not None and path.suffix.lower() == ".json":
        addresses = parse_address_map(read_text(path), source=str(path))
        job = (Job.load(beside) if beside.exists() else Job()).with_addresses(addresses)
    elif path is not None or beside.exists():
        job = Job.load(path or beside)
    else:
        job = Job()
    if parties is not None:
        job = job.only_parties([name.strip() for name in parties.split(",")])
    if not job.parties:
        raise JobError("no job file names the parties", hint="pass --job job.toml, or --parties A,B,C")
    return job


def check_protocol(job: Job) -> None:
    """Known, allowed, and for so many parties."""
    if job.protocol not in PROTOCOLS:
        known = ", ".join(PROTOCOLS)
        why = "it protects nothing" if job.protocol == "plain" else "there is none of that name"
        raise JobError(f"{job.source}: protocol {job.protocol!a} is refused: {why}", hint=f"use one of: {known}")
    if len(job.parties) != PROTOCOLS[job.protocol]:
        raise JobError(
            f"{job.source}: {job.protocol} runs among {PROTOCOLS[job.protocol]} parties, this job has "
            f"{len(job.parties)} ({', '.join(job.names)})",
            hint="a party without data can take part as the third, such as crypto-producer",
        )


def check_inputs(job: Job, me: str | None) -> None:
    """Every input file of this machine is there: of all parties, or of one."""
    for party in job.parties:
        if me is None or party.name == me:
            for entry in party.inputs.values():
                if not entry.path.is_file():
                    raise StorageTrouble(
                        f"{party.name}'s input {entry.name!a}: there is no file {entry.path}",
                        hint=f"put it there, or correct parties.{party.name}.inputs in {job.source}",
                    )


def check_writable(report: Path) -> None:
    """A report that cannot be written is an error before the run, not after it."""
    if report.is_dir() or not report.absolute().parent.is_dir():
        raise StorageTrouble(f"cannot write the report {report}", hint="name a file in an existing folder")


def write_report(path: Path | None, account: dict[str, Any]) -> None:
    """Replace the file as a whole; without a path there is nothing to do."""
    if path is None:
        return
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(json.dumps(account, indent=2) + "\n", encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise StorageTrouble(f"cannot write the report {path}: {error.strerror}") from None
    finally:
        partial.unlink(missing_ok=True)


def _input_name(job: Job, me: str) -> str:
    """--input replaces the one input that the job names for this party, or adds the first."""
    names = list(job.party(me).inputs)
    if len(names) > 1:
        raise JobError(f"{me} has {len(names)} inputs in {job.source}", hint="correct their paths there instead")
    return names[0] if names else "input"
