"""Running a user's script inside a party: as `python script.py` would, with its folder first on the search path."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from tacit.session.handshake import Terms
from tacit.session.job import Job
from tacit.session.launch import Settings
from tacit.session.program import program_files


def settings_for(script: Path, job: Job) -> Settings:
    """What the handshake compares and the session needs, from the job and the program's files."""
    common = {key: value for key, value in job.common().items() if key != "parties"}
    terms = Terms(job.names, common, program_files(script), job.seed)
    return Settings(terms, job.protocol, job.ring_bits, job.frac_bits, job.deadlines.receive_s)


def run_script(script: Path) -> None:
    """Run the script as the main program of this process."""
    sys.path.insert(0, str(script.absolute().parent))
    sys.argv = [str(script)]
    try:
        runpy.run_path(str(script), run_name="__main__")
    except SystemExit as end:
        # sys.exit() is how a program says that it is done; anything but 0 or None is an error of its own.
        if end.code not in (None, 0):
            raise
