"""`tacit run --as NAME`: this machine is one party of the job; the others run the same command on theirs."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tacit.cli.keys import ask_passphrase
from tacit.cli.local import PROTECTION, Keep, allowance, nothing_happened, saved_model
from tacit.cli.screen import Screen
from tacit.cli.script import run_script, settings_for
from tacit.net.mesh import Mesh
from tacit.net.tcp import Endpoint, TransportIdentity
from tacit.session import process
from tacit.session.job import Job
from tacit.session.meeting import meet as connect


def run_as(script: Path, job: Job, me: str, keep: Keep) -> None:
    """Run the program as party `me`; `keep` gets the account of this party."""
    from tacit.crypto.keystore import KeyStore
    from tacit.session.disclosure import Disclosures
    from tacit.session.participate import take_part
    from tacit.session.party import Party

    process.protect()
    process.keep_freed_memory()
    place = job.place(me)
    store = KeyStore()
    identity = store.load(me, lambda: ask_passphrase(me))
    addresses = job.addresses()
    # Every name must be trusted before anything is heard from it.
    certificates = {
        name: identity.certificate_der if name == me else store.trusted(name).certificate_der for name in job.names
    }
    endpoints = [Endpoint(name, addresses[name].host, addresses[name].port, certificates[name]) for name in job.names]
    screen = Screen(job.names, named_lines=False)
    screen.header(str(script), job.protocol, PROTECTION[job.protocol])
    party = Party(me, place, job.names, job, job.party(me).inputs, screen.progress)
    key = TransportIdentity(identity.certificate_der, identity.transport_private_pem())

    def meet() -> Mesh:
        mesh = connect(
            place,
            endpoints,
            key,
            transport=job.transport,
            connect_s=job.deadlines.connect_s,
            receive_s=job.deadlines.receive_s,
            progress=screen.status,
        )
        screen.status(f"connected   {', '.join(job.names)} (mutual TLS 1.3, trusted keys)")
        return mesh

    settings = settings_for(script, job)
    disclosures = Disclosures(partial(allowance, job), job.source)
    account = nothing_happened(job) | {"party": me, "bytes_sent": 0}
    try:
        program = partial(run_script, script, settings.terms.program)
        take_part(party, settings, meet, program, disclosures, account.update)
    finally:  # what was revealed before a failure was revealed
        if account["rounds"]:
            screen.closing(account, saved_model(job, account) if me == job.model_to else None)
        keep(account)
