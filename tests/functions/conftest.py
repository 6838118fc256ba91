"""Made-up data with a seed that is printed when a test fails."""

from kit.seeds import rng as rng
