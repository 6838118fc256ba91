"""Who holds what, and how they multiply: one module per protocol."""

from tacit.protocols.interface import Bits, Choice, Protocol, Shares
from tacit.protocols.masked import Masked
from tacit.protocols.plain import Plain
from tacit.protocols.replicated3 import Replicated3

#: Every protocol by the name that a job file gives it.
PROTOCOLS: dict[str, type[Protocol]] = {kind.name: kind for kind in (Plain, Replicated3, Masked)}

__all__ = ["PROTOCOLS", "Bits", "Choice", "Masked", "Plain", "Protocol", "Replicated3", "Shares"]
