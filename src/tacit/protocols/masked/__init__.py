"""The fast three-party gates: evaluators and helper. Counting is in plan, arithmetic in digits and nodes."""

from tacit.protocols.masked.protocol import Masked

__all__ = ["Masked"]
