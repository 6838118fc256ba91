"""What the mesh asks poll about each link, kept up to date at the cost of one comparison.

Not here: what is done about an answer, and how long to wait for one (mesh.py).
"""

from __future__ import annotations

import select
from collections.abc import Iterable

from tacit.net.link import Link

READABLE = select.POLLIN
WRITABLE = select.POLLOUT
CLOSED = select.POLLRDHUP | select.POLLHUP | select.POLLERR | select.POLLNVAL


class Watch:
    """A set of links; the descriptor of each must be open while it is watched."""

    def __init__(self, links: Iterable[Link]) -> None:
        self._by_fd = {link.channel.fileno(): link for link in links}
        self._masks: dict[int, int] = {}
        self._poll = select.poll()

    def update(self, link: Link) -> None:
        """Ask for what `link` needs now."""
        fd = link.channel.fileno()
        mask = 0
        if not link.ended:
            # A parked frame stays in the kernel; but the end of a connection is always of interest.
            mask = select.POLLRDHUP | (0 if link.head is not None else READABLE)
            mask |= WRITABLE if link.out else 0
        if self._masks.get(fd, 0) != mask:
            self._masks[fd] = mask
            if mask:
                self._poll.register(fd, mask)
            else:
                self._poll.unregister(fd)

    def events(self, timeout_s: float) -> list[tuple[Link, int]]:
        """What has happened to whom; empty after `timeout_s` without any event."""
        timeout_ms = timeout_s * 1000 + 1 if timeout_s > 0 else 0  # poll rounds down, and would wake up too early
        return [(self._by_fd[fd], happened) for fd, happened in self._poll.poll(timeout_ms)]


def has_closed(link: Link) -> bool:
    """Whether the connection has ended by now, as the kernel sees it."""
    poll = select.poll()
    poll.register(link.channel.fileno(), select.POLLRDHUP)
    return bool(poll.poll(0))
