"""What crossed one link, as numbers to read and to add up.

Not here: rounds and times by operation, which the session counts.
"""

from __future__ import annotations

from dataclasses import dataclass

from tacit.net.link import Link


@dataclass(frozen=True, slots=True)
class LinkStatistics:
    """`socket_bytes_*` include headers, control frames and the transport's own framing."""

    payload_bytes_sent: int
    payload_bytes_received: int
    frames_sent: int
    frames_received: int
    socket_bytes_sent: int
    socket_bytes_received: int


def statistics_of(link: Link) -> LinkStatistics:
    beside = link.bulk
    return LinkStatistics(
        link.payload_bytes_sent,
        link.payload_bytes_received,
        link.frames_sent,
        link.frames_received,
        link.channel.bytes_sent + (0 if beside is None else beside.bytes_sent),
        link.channel.bytes_received + (0 if beside is None else beside.bytes_received),
    )
