"""Made-up data with a seed that is printed when a test fails; hypothesis without a clock, since machines differ."""

from hypothesis import settings

from kit.seeds import rng as rng

settings.register_profile("tacit", deadline=None, print_blob=True)
settings.load_profile("tacit")
