"""What the mesh asks poll about each link, kept up to date at the cost of a comparison for each descriptor.

Not here: what is done about an answer, and how long to wait for one (mesh.py).
"""

from __future__ import annotations

import select
from collections.abc import Iterable, Mapping

from tacit.net.link import Link

READABLE = select.POLLIN
WRITABLE = select.POLLOUT
CLOSED = select.POLLRDHUP | select.POLLHUP | select.POLLERR | select.POLLNVAL


class Watch:
    """A set of links; the descriptors of each must be open while they are watched."""

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
        self._ask(fd, mask)
        bulk = link.bulk
        if bulk is not None:
            # Only while a message needs it: what an idle one has to say, its end included, is no news before that.
            fd = bulk.fileno()
            self._by_fd[fd] = link
            self._ask(fd, (READABLE if bulk.busy else 0) | (WRITABLE if bulk.out else 0))

    def _ask(self, fd: int, mask: int) -> None:
        if self._masks.get(fd, 0) != mask:
            self._masks[fd] = mask
            if mask:
                self._poll.register(fd, mask)
            else:
                self._poll.unregister(fd)

    def events(self, timeout_s: float) -> list[tuple[Link, int, bool]]:
        """(link, what has happened, whether on its second connection); empty after `timeout_s` without any event."""
        timeout_ms = timeout_s * 1000 + 1 if timeout_s > 0 else 0  # poll rounds down, and would wake up too early
        return [self._of(fd, happened) for fd, happened in self._poll.poll(timeout_ms)]

    def _of(self, fd: int, happened: int) -> tuple[Link, int, bool]:
        link = self._by_fd[fd]
        return link, happened, link.bulk is not None and fd == link.bulk.fileno()

    def events_beside(
        self, others: Mapping[int, int], timeout_s: float
    ) -> tuple[list[tuple[Link, int, bool]], dict[int, int]]:
        """The same, and what has happened to descriptors that belong to no link; `others` is {descriptor: mask}."""
        for fd, mask in others.items():
            self._poll.register(fd, mask)
        try:
            found = self._poll.poll(timeout_s * 1000 + 1 if timeout_s > 0 else 0)
        finally:
            for fd in others:
                self._poll.unregister(fd)
        ours = [self._of(fd, happened) for fd, happened in found if fd not in others]
        return ours, {fd: happened for fd, happened in found if fd in others}


def has_closed(link: Link, within_s: float = 0.0) -> bool:
    """Whether the connection has ended by now, or ends `within_s`, as the kernel sees it."""
    poll = select.poll()
    poll.register(link.channel.fileno(), select.POLLRDHUP)
    return bool(poll.poll(within_s * 1000))
