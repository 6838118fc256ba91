"""What each row must reach: at most `bar / figure` of a rival's time, both measured in one run.

The figures are those that the bars were set against, all of one machine (2 cores of an AMD EPYC with AVX-512, 24 GiB,
Python 3.11, torch 2.13). Times of another machine or day differ, ratios within one run should not; so a bar is never
compared with a time, except over a network of known speed (WAN), where the network decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast, get_args

#: How the bytes of a party travel: bulk in AES-GCM frames beside TLS, or everything inside TLS.
Transport = Literal["frames", "tls"]
TRANSPORTS: tuple[Transport, ...] = get_args(Transport)


@dataclass(frozen=True)
class Bar:
    """Milliseconds: ours by transport, and each rival's own figure; None where it was not measured."""

    frames: float
    tls: float
    crypten: float | None
    aby3: float | None
    semi2k: float | None
    mp_spdz: float | None = None

    def ours(self, transport: Transport) -> float:
        """Our bar over this transport."""
        return cast(float, getattr(self, transport))

    def figure(self, rival: str) -> float | None:
        """What this rival took when the bar was set."""
        return cast("float | None", getattr(self, FIELDS[rival]))

    def ratio_max(self, transport: Transport, rival: str) -> float | None:
        """The most that ours / rival may be, measured in one run."""
        figure = self.figure(rival)
        return None if figure is None else self.ours(transport) / figure


#: Name of a rival on screen and in the lines -> its field above.
FIELDS = {"CrypTen": "crypten", "SPU ABY3": "aby3", "SPU SEMI2K": "semi2k", "MP-SPDZ": "mp_spdz"}
#: Quoted with its date, not measured again: it is built from source.
QUOTED = {"MP-SPDZ": "replicated-ring with use_trunc_pr, three processes over TLS, June 2026"}

BARS: dict[str, Bar] = {
    "mul 2^20": Bar(28, 40, crypten=95, aby3=254, semi2k=212, mp_spdz=303),
    "compare 2^20, 49 bits": Bar(42, 60, crypten=2149, aby3=2599, semi2k=1051),
    "compare 2^20, 64 bits": Bar(60, 80, crypten=2149, aby3=2599, semi2k=1051),
    "relu 2^20": Bar(65, 90, crypten=1321, aby3=2858, semi2k=1374, mp_spdz=531),
    "matmul 512": Bar(35, 38, crypten=99, aby3=396, semi2k=216, mp_spdz=454),
    "softmax 100x1000": Bar(80, 100, crypten=966, aby3=1555, semi2k=780),
    "sigmoid 100k": Bar(35, 45, crypten=384, aby3=659, semi2k=597),
    "exp 100k": Bar(35, 40, crypten=97, aby3=99, semi2k=99),
    "reciprocal 100k": Bar(50, 68, crypten=575, aby3=628, semi2k=550),
    "gelu 100k": Bar(50, 60, crypten=400, aby3=541, semi2k=516),
    "max-pool 2x2 of 16x64x24x24": Bar(80, 110, crypten=3854, aby3=3608, semi2k=2165),
    "lr step 128x32": Bar(4, 4, crypten=386, aby3=17.1, semi2k=11.6),
    "mlp step 784-128-128-10": Bar(40, 45, crypten=872, aby3=884, semi2k=769, mp_spdz=200),
}


@dataclass(frozen=True)
class Wan:
    """A shaped channel between every two parties."""

    bits_s: float = 352e6
    one_way_s: float = 0.020


#: Milliseconds on that channel, whatever the transport.
WAN_BARS = {"lr step 128x32": 420.0, "mlp step 784-128-128-10": 1500.0}
