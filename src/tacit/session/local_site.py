"""Parties of one machine that meet as machines do: throw-away keys, TLS over loopback, and a shaped line if asked.

The parent makes the site; every party gets a copy and calls `meet`. Not for runs among machines: whoever makes a site
holds the keys of all its parties.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tacit.errors import Misuse
from tacit.net.mesh import Mesh
from tacit.net.shaped import start_relay
from tacit.net.simulated import Weather
from tacit.net.tcp import Endpoint, TransportIdentity
from tacit.session.meeting import meet

HOST = "127.0.0.1"

_relays: list[subprocess.Popen[bytes]] = []  # of this process; their input ends with it, and so do they


@dataclass(frozen=True)
class LocalSite:
    """What each party needs to meet the others. Private keys are those of this run and die with it."""

    endpoints: tuple[Endpoint, ...]
    identities: tuple[TransportIdentity, ...] = field(repr=False)
    transport: str
    #: For a shaped line: {(calling place, called place): port of the relay}; empty otherwise.
    relay_ports: Mapping[tuple[int, int], int] = field(default_factory=dict)
    weather: Weather = field(default_factory=Weather)

    def meet(
        self, place: int, *, connect_s: float, receive_s: float, progress: Callable[[str], None] | None = None
    ) -> Mesh:
        """Connect `place` to all others."""
        self._shape_calls_to(place)
        endpoints = [
            Endpoint(one.name, one.host, self.relay_ports.get((place, called), one.port), one.certificate_der)
            for called, one in enumerate(self.endpoints)
        ]
        return meet(
            place,
            endpoints,
            self.identities[place],
            transport=self.transport,
            connect_s=connect_s,
            receive_s=receive_s,
            progress=progress,
        )

    def _shape_calls_to(self, place: int) -> None:
        ports = [port for (_, called), port in sorted(self.relay_ports.items()) if called == place]
        if ports:
            target = (HOST, self.endpoints[place].port)
            _relays.append(
                start_relay(
                    [(socket.create_server((HOST, port)), target) for port in ports],
                    latency_s=self.weather.latency_s,
                    bandwidth_bits_s=self.weather.bandwidth_bits_s,
                )
            )


def local_site(names: Sequence[str], transport: str, weather: Weather | None = None) -> LocalSite:
    """Fresh keys and free ports for parties of these names. Of the weather only latency and bandwidth are possible."""
    from tacit.crypto.identity import throwaway

    if weather is not None and weather != Weather(weather.latency_s, weather.bandwidth_bits_s, weather.seed):
        raise Misuse(
            "drops, cuts and changes are made to frames that the simulated network can read; these are encrypted",
            hint="leave out transport=, or keep to latency_s and bandwidth_bits_s",
        )
    calls = [(caller, called) for called in range(len(names)) for caller in range(called + 1, len(names))]
    relayed = [] if weather is None else calls
    identities = [throwaway(name) for name in names]
    with contextlib.ExitStack() as stack:
        ports = [_free_port(stack) for _ in names]
        relay_ports = {call: _free_port(stack) for call in relayed}
    endpoints = tuple(
        Endpoint(identity.name, HOST, port, identity.certificate_der)
        for identity, port in zip(identities, ports, strict=True)
    )
    keys = tuple(TransportIdentity(one.certificate_der, one.transport_private_pem()) for one in identities)
    return LocalSite(endpoints, keys, transport, relay_ports, weather or Weather())


def _free_port(stack: contextlib.ExitStack) -> int:
    """A port that nobody uses now; all are held until every one is found, so that they differ."""
    sock = stack.enter_context(socket.socket())
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((HOST, 0))
    port: int = sock.getsockname()[1]
    return port
