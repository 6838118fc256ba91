"""`tacit`: one group of commands, and the one place that words errors and sets exit codes.

    0  done      1  a fault of the program itself      2  Misuse      3  PeerFault      4  Trouble      130  interrupted
"""

from __future__ import annotations

import sys

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


def say(error: TacitError) -> None:
    """One error on standard error: its class, what happened, what to do."""
    click.secho(f"{type(error).__name__}: {error.message}", fg="red", err=True)
    if error.hint:
        click.echo(f"  hint: {error.hint}", err=True)
