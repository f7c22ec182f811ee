"""Free ports, from below the range that the kernel takes ports for outgoing connections from.

Inside that range a port that is still waiting for its process could be taken by any client, or
a probe of it could even connect to itself.
"""

import secrets
import socket
from contextlib import closing
from pathlib import Path

LOWEST = 10_000
ATTEMPTS = 64


def free_port(address: str = "127.0.0.1", taken: frozenset[int] = frozenset()) -> int:
    """A port nobody listens on now. `taken` are those promised to processes still starting."""
    for _ in range(ATTEMPTS):
        port = LOWEST + secrets.randbelow(_first_outgoing() - LOWEST)
        if port not in taken and _free(address, port):
            return port
    with closing(socket.socket()) as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def _free(address: str, port: int) -> bool:
    with closing(socket.socket()) as probe:
        # As servers do: connections of the one before, still dying out, don't count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)
        except OSError:
            return False
        return True


def _first_outgoing() -> int:
    try:
        low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:
        low = 32_768
    return max(low, LOWEST + 1_000)
