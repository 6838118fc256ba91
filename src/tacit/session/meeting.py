"""From keys and addresses to a mesh, by the transport that the parties agreed on. Spec: wire.md.

    tls      one connection for each pair; everything travels inside TLS
    frames   a second one beside it, on which long messages travel as sealed frames

Not here: whether the parties agree on the transport (handshake: it is part of the job), and where keys come from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tacit.net.bulk_meeting import BulkMeeting
from tacit.net.door import listen
from tacit.net.mesh import Mesh
from tacit.net.tcp import Endpoint, TransportIdentity, connect_all


def meet(
    me: int,
    endpoints: Sequence[Endpoint],
    identity: TransportIdentity,
    *,
    transport: str,
    connect_s: float,
    receive_s: float,
    progress: Callable[[str], None] | None = None,
) -> Mesh:
    """Connect to all other parties, or an error that names who is missing."""
    names = [endpoint.name for endpoint in endpoints]
    if transport == "tls":
        channels = connect_all(me, endpoints, identity, deadline_s=connect_s, progress=progress)
        return Mesh(me, names, channels, deadline_s=receive_s)
    if transport != "frames":
        raise ValueError(f"no such transport: {transport}")
    # The port stays open after the meeting: the second connections come to it, once their keys are agreed.
    listener = listen(endpoints[me]) if me < len(endpoints) - 1 else None
    try:
        channels = connect_all(me, endpoints, identity, deadline_s=connect_s, progress=progress, listener=listener)
        addresses = {place: channel.peer_address() for place, channel in channels.items()}
    except BaseException:
        if listener is not None:
            listener.close()
        raise
    return Mesh(me, names, channels, deadline_s=receive_s, bulk_meeting=BulkMeeting(me, names, addresses, listener))
