"""Every error that tacit raises on purpose, and whose fault each one is.

    TacitError
    ├── Misuse                  you: the call, the job file or the data must change
    │   ├── NoSession           a verb was used outside a run
    │   ├── JobError            the job file cannot be used as it stands
    │   ├── KeyStoreError       an identity or a trusted key is missing, damaged or locked
    │   ├── DataError           an input file has a fault, with file, line and column
    │   ├── NotRepresentable    a value does not fit the fixed-point format
    │   ├── ShapeError          shapes or types that do not belong together
    │   ├── RefusedOp           the operation would leak, or has no row in the table
    │   ├── RevealRefused       the job file of this party does not allow this reveal
    │   └── OutputExists        a file that must not be overwritten is there already
    ├── PeerFault               they: another party did something it must not
    │   ├── PeerLost            its connection ended in the middle of the run
    │   ├── PeerSilent          it is connected and has not spoken within the deadline
    │   ├── PeerAbsent          it never connected
    │   ├── PeerUntrusted       it showed another key than the one we trust for its name
    │   ├── PeerMismatch        it runs another program, version, job or list of parties
    │   ├── PeerDiverged        it is at another step of the program than we are
    │   ├── PeerGarbage         it sent bytes that are no valid frame
    │   └── PeerStopped         it met an error of its own and said so
    └── Trouble                 the world: ports, disks, memory
        ├── PortBusy            the address to listen on is taken or not ours
        └── StorageTrouble      a file could not be read or written

The text of an error has three parts: what happened, what was expected and what came, what to do next (the hint). No
error carries a share, a key or a secret value: shapes, names, steps and counts only. docs/guide/troubleshooting.md has
one entry for each class.
"""

from __future__ import annotations


class TacitError(Exception):
    """Base of the family. `hint` says what to do next; `exit_code` is what the command line returns."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n  hint: {self.hint}"

    def __reduce__(self) -> tuple[object, ...]:
        # The hint is keyword-only, so the default reduction would lose it on the way back from a child process.
        return _rebuild, (type(self), self.message, self.hint)


def _rebuild(kind: type[TacitError], message: str, hint: str | None) -> TacitError:
    return kind(message, hint=hint)


class Misuse(TacitError):
    """The person who runs the program must change the call, the job file or the data."""

    exit_code = 2


class NoSession(Misuse):
    """A verb that needs the other parties was used outside a run."""


class JobError(Misuse):
    """The job file cannot be used as it stands."""


class KeyStoreError(Misuse):
    """An identity or a trusted key is missing, damaged, or needs a passphrase."""


class DataError(Misuse):
    """An input file has a fault; the message names file, line and column."""


class NotRepresentable(Misuse):
    """A value does not fit the fixed-point format (NaN, infinite, too large, or it would round to nothing)."""


class ShapeError(Misuse):
    """Shapes, types or owners that do not belong together."""


class RefusedOp(Misuse):
    """The operation would leak a secret, or the table of operations has no row for it."""


class RevealRefused(Misuse):
    """This party's job file does not allow this reveal."""


class OutputExists(Misuse):
    """A file that tacit will not overwrite exists already."""


class PeerFault(TacitError):
    """Another party did something it must not; the message names it."""

    exit_code = 3


class PeerLost(PeerFault):
    """The connection to a party ended in the middle of the run."""


class PeerSilent(PeerFault):
    """A connected party has not spoken within the deadline."""


class PeerAbsent(PeerFault):
    """A party never connected."""


class PeerUntrusted(PeerFault):
    """A party showed another key than the one trusted for its name."""


class PeerMismatch(PeerFault):
    """A party runs another program, version, job or list of parties."""


class PeerDiverged(PeerFault):
    """A party is at another step of the program."""


class PeerGarbage(PeerFault):
    """A party sent bytes that are no valid frame."""


class PeerStopped(PeerFault):
    """A party met an error of its own and told us."""


class Trouble(TacitError):
    """The machine or the network is in the way."""

    exit_code = 4


class PortBusy(Trouble):
    """The address to listen on is taken, or is not an address of this machine."""


class StorageTrouble(Trouble):
    """A file could not be read or written."""
