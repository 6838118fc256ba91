"""The last frame of a party and the end of its connections, so that nothing it said before is lost.

A socket closed while unread bytes lie in it resets the connection, and the reset may overtake our last frames. So:
flush, shut our side, read and forget what comes, and go when the peer's machine has everything. Of two connections the
one with the last words ends first, so that the end of the other is never news.
Not here: what the last frame says (mesh.py).
"""

from __future__ import annotations

import select
from collections.abc import Iterable
from time import monotonic

from tacit.net.link import Link

TURN_READS_MAX = 16  # of 64 KiB: a peer that sends without end must not keep us past the limit
PARTING_S = 0.5  # how long an abort tries to get its words out
CHECK_S = 0.02  # the kernel reports no event for "all acknowledged", so it is asked this often


def part(links: Iterable[Link], header: bytes, payload: bytes, *, limit_s: float) -> None:
    """Send one last frame on every link and close all channels, after `limit_s` at the latest. Never raises."""
    everyone = tuple(links)
    leaving = {link for link in everyone if not link.ended}
    for link in leaving:
        link.queue(header, memoryview(payload))
    waste = memoryview(bytearray(64 * 1024))
    shut: set[Link] = set()
    end_s = monotonic() + limit_s
    while leaving:
        for link in tuple(leaving):
            if _has_left(link, waste, shut):
                leaving.discard(link)
        left_s = end_s - monotonic()
        if left_s <= 0:
            break
        poll = select.poll()
        for link in leaving:
            poll.register(link.channel.fileno(), select.POLLIN | (select.POLLOUT if link.out else 0))
            if link.bulk is not None and not link.bulk.ended:
                poll.register(link.bulk.fileno(), select.POLLIN | (select.POLLOUT if link.bulk.out else 0))
        if leaving:
            poll.poll(min(CHECK_S, left_s) * 1000 + 1)
    for link in everyone:
        link.forget_queue()
        link.channel.close()
        if link.bulk is not None:
            link.bulk.close()


def _has_left(link: Link, waste: memoryview, shut: set[Link]) -> bool:
    try:
        link.push()
        for _ in range(TURN_READS_MAX):
            if not link.channel.read_some(waste):
                break
    except EOFError:
        return True
    if link.bulk is not None:
        link.bulk.discard(waste)
    if link.sending:
        return False
    if link not in shut:
        link.channel.shut_writing()
        shut.add(link)
    if link.channel.unacknowledged_bytes():
        return False
    if link.bulk is not None:
        link.bulk.shut_writing()
        return link.bulk.unacknowledged_bytes() == 0
    return True
