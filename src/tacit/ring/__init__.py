"""Integers modulo 2^k held in ordinary int64 tensors. Knows nothing of parties, secrets or floats that leave it."""

from tacit.ring.fixed import FixedPoint
from tacit.ring.words import Ring

__all__ = ["FixedPoint", "Ring"]
