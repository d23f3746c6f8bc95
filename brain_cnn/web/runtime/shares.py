"""How much of what is on its way one client may have: nobody's slow uploads fill the server."""

from __future__ import annotations

import ipaddress
from collections import Counter

# Of the unfinished requests, and of the memory, that one client may have.
SHARE = 1 / 4


def client_key(address: object) -> str:
    """Return what stands for the client at a socket's address; "" where it has none.

    An IPv6 client has a network of its own, usually a /64, to choose addresses from.
    """
    if not isinstance(address, tuple) or not address:
        return ""
    try:
        ip = ipaddress.ip_address(str(address[0]).partition("%")[0])
    except ValueError:
        return ""
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return str(ip.ipv4_mapped)
        return str(ipaddress.ip_network((ip, 64), strict=False))
    return str(ip)


class Shares:
    """Counts the unfinished requests of each client, and their bytes.

    Args:
        requests: that one client may have unfinished at once.
        size: bytes that these may hold.
    """

    def __init__(self, requests: int, size: int) -> None:
        self._most_requests, self._most_bytes = requests, size
        self._requests: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()

    def enter(self, client: str) -> bool:
        """Count a request of `client`; False if it has too many. "" is never refused."""
        if client and self._requests[client] >= self._most_requests:
            return False
        self._requests[client] += 1
        return True

    def leave(self, client: str) -> None:
        """Take back what `enter` counted."""
        _subtract(self._requests, client, 1)

    def take(self, client: str, size: int) -> bool:
        """Count bytes of `client`; False if they are too many. "" is never refused."""
        if client and self._bytes[client] + size > self._most_bytes:
            return False
        self._bytes[client] += size
        return True

    def give_back(self, client: str, size: int) -> None:
        """Take back what `take` counted."""
        _subtract(self._bytes, client, size)


def _subtract(counts: Counter[str], client: str, count: int) -> None:
    counts[client] -= count
    if counts[client] <= 0:  # no memory for clients that are gone
        del counts[client]
