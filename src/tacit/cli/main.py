"""`tacit`: one group of commands, and the one place that words errors and sets exit codes.

    0  done      1  a fault of the program itself      2  Misuse      3  PeerFault      4  Trouble      130  interrupted
"""

from __future__ import annotations

import re
import sys
import traceback

import click

from tacit.cli import keys, run
from tacit.errors import TacitError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tacit")
def group() -> None:
    """Run PyTorch on data nobody may see."""


keys.add_commands(group)
run.add_commands(group)


def main() -> None:
    """Entry point of the `tacit` command."""
    try:
        group(standalone_mode=False)
    except TacitError as error:
        say(error)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(130)
    except Exception as error:
        click.echo(traceback_of_program(error), err=True, nl=False)
        sys.exit(1)


def say(error: TacitError) -> None:
    """One error on standard error: its class, what happened, what to do."""
    click.secho(f"{type(error).__name__}: {error.message}", fg="red", err=True)
    if error.hint:
        click.echo(f"  hint: {error.hint}", err=True)


def traceback_of_program(error: BaseException) -> str:
    """The traceback of a fault that is not tacit's to word, from the program's first line on.

    A party in a process of its own left its traceback as a note. Without a frame of the program the fault is one of
    tacit, and every frame counts.
    """
    text = "\n".join(getattr(error, "__notes__", ())) or "".join(traceback.format_exception(error))
    frames_of_tacit = r"(?m)(^Traceback .*\n)(?:  .*\n)*  File \"<frozen runpy>\".*\n"
    return re.sub(frames_of_tacit, r"\1", text).rstrip("\n") + "\n"
