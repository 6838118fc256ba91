"""How many PINGs a party may send. Pure: a clock in, yes or no out.

A PING is cheap to send and is read at once, whether or not anybody asked, so a party could keep another one busy with
nothing else. The law counts from the beginning of the mesh and not over the last second: PINGs that came while we
computed for an hour lie in the kernel and are all read in one moment.
Not here: who is blamed (mesh.py), what a PING says about its sender (blame.py).
"""

from __future__ import annotations

# No party pings more often than every 0.1 s (blame.PING_EVERY_S_MIN), and with a deadline of 3 s or more only once a
# second. Reading one costs some 10 microseconds: a party that uses up its allowance costs us 0.01 % of our time.
PINGS_PER_S_MAX = 10
# Beyond that, what a party may say while our clock stands still (a machine asleep) or before our mesh begins: a quarter
# of an hour of PINGs. All at once they cost about 10 ms.
PINGS_AHEAD_MAX = 1000


class PingAllowance:
    """The account of one peer."""

    def __init__(self, begun_s: float) -> None:
        self._begun_s = begun_s
        self._heard = 0

    def covers_another(self, now_s: float) -> bool:
        """Count one PING; False if it is one too many."""
        self._heard += 1
        return self._heard <= PINGS_AHEAD_MAX + PINGS_PER_S_MAX * (now_s - self._begun_s)
