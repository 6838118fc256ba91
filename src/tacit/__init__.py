"""tacit: run PyTorch on data nobody may see.

    secret(x, owner="alice")      share a tensor, or make a module secret
    reveal(x, to="bob")           open a secret tensor or module to a party that may see it
    party()                       who this process is in the run
    simulate(function)            run a function as three parties on this machine
    errors                        what can go wrong, and whose fault it is
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tacit.session.launch import simulate
    from tacit.session.party import Party
    from tacit.tensor.verbs import reveal, secret

__all__ = ["errors", "party", "reveal", "secret", "simulate"]

from tacit import errors

# Loaded on first use: `import tacit` stays fast, and the command line needs no torch to print its help.
_WHERE = {"secret": "tacit.tensor.verbs", "reveal": "tacit.tensor.verbs", "simulate": "tacit.session.launch"}


def party() -> Party:
    """This process's part in the run: name, place, names of all, job, own inputs. Raises NoSession outside a run."""
    from tacit.session.current import current

    found: Party = current().party
    return found


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        from importlib import import_module

        return getattr(import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'tacit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
