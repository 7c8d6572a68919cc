"""Which machines alerts may be sent to: none that only a mistake or an attack would name."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

METADATA = tuple(
    map(
        ip_address,
        ("169.254.169.254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"),
    )
)
"""Where clouds hand out credentials to whoever asks from inside: AWS, Google, Azure, Oracle, Alibaba."""
_THIS_NETWORK = ip_network("0.0.0.0/8")
_NAT64 = ip_network("64:ff9b::/96")
_IPV4_COMPATIBLE = ip_network("::/96")

Address = IPv4Address | IPv6Address


class Forbidden(Exception):
    """A name leads to an address that must not be reached. The message names the address and the setting."""


@dataclass(frozen=True, slots=True)
class Guard:
    """Lets through addresses that may be reached.

    ``allow`` are networks that may be although they are refused otherwise.
    """

    allow: tuple[str, ...] = ()

    def check(self, text: str) -> None:
        """Check an address as the operating system gave it, a zone after ``%`` included.

        Raises:
            Forbidden: it must not be reached.
        """
        address = ip_address(text.partition("%")[0])
        why = _why(address)
        if why and not any(
            address in ip_network(network) or _inner(address) in ip_network(network) for network in self.allow
        ):
            raise Forbidden(f"{address} is {why}; list its network in allow_networks if it is meant")

    def resolve(self, host: str, port: int) -> list[tuple[socket.AddressFamily, str]]:
        """Return family and address of ``host`` wherever it may be reached. Blocks.

        Raises:
            Forbidden: it may be reached nowhere.
            OSError: the name is not known.
        """
        found: list[tuple[socket.AddressFamily, str]] = []
        refused = None
        for family, _, _, _, where in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            try:
                self.check(str(where[0]))
                found.append((family, str(where[0])))
            except Forbidden as error:
                refused = error
        if refused is not None and not found:
            raise refused
        return found


def literal(host: str) -> str | None:
    """Return the address that ``host`` is, where it is one and no name."""
    try:
        return str(ip_address(host.partition("%")[0]))
    except ValueError:
        return None


def _why(address: Address) -> str:
    inner = _inner(address)
    if inner in METADATA:
        return "a cloud's metadata service"
    if inner.is_link_local:
        return "a link-local address"
    if inner.is_multicast:
        return "a multicast address"
    if inner.is_unspecified:
        return "the unspecified address"
    if isinstance(inner, IPv4Address) and (inner.is_reserved or inner in _THIS_NETWORK):
        return "a reserved address"
    return ""


def _inner(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for, or the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _NAT64 or (address in _IPV4_COMPATIBLE and int(address) > 1):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address
