"""Running a user's script inside a party: as `python script.py` would, with its folder first on the search path."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType

from tacit.errors import Misuse, NotRepresentable, RefusedOp, ShapeError
from tacit.session.handshake import Terms
from tacit.session.job import Job
from tacit.session.participate import Settings
from tacit.session.program import OnlyTheProgram, program_files

#: Errors about a line of the program, whose text does not know that line.
_ABOUT_A_LINE = (Misuse, NotRepresentable, RefusedOp, ShapeError)


def settings_for(script: Path, job: Job) -> Settings:
    """What the handshake compares and the session needs, from the job and the program's files."""
    common = {key: value for key, value in job.common().items() if key != "parties"}
    terms = Terms(job.names, common, program_files(script), job.seed)
    deadlines = job.deadlines
    return Settings(
        terms,
        job.protocol,
        job.ring_bits,
        job.frac_bits,
        deadlines.receive_s,
        transport=job.transport,
        truncation=job.truncation,
        meet_s=deadlines.connect_s,
    )


def run_script(script: Path, files: Mapping[str, str]) -> None:
    """Run the script as the main program of this process. `files` are what the parties compare (program_files)."""
    import tacit.tensor.dispatch  # what tacit needs is loaded before the program's folder can stand in for it

    del tacit
    OnlyTheProgram(script, files).install()
    sys.path.insert(0, str(script.absolute().parent))
    sys.argv = [str(script)]
    try:
        runpy.run_path(str(script), run_name="__main__")
    except SystemExit as end:
        # sys.exit() is how a program says that it is done; anything but 0 or None is an error of its own.
        if end.code not in (None, 0):
            print(f"the program ended itself with exit code {end.code!r}")
            raise
    except Misuse as error:
        line = line_of_program(script, files, error.__traceback__)
        if line and type(error) in _ABOUT_A_LINE:
            error.message = f"{line}: {error.message}"
        raise


def line_of_program(script: Path, files: Iterable[str], traceback: TracebackType | None) -> str | None:
    """file:line where the program called tacit; None where the program itself raised the error, in its own words."""
    program = {script.absolute().parent / name for name in files}
    line, innermost = None, False
    while traceback is not None:
        path = Path(traceback.tb_frame.f_code.co_filename).absolute()
        innermost = path in program
        line = f"{path.name}:{traceback.tb_lineno}" if innermost else line
        traceback = traceback.tb_next
    return None if innermost else line
