"""Which addresses may be reached."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from inferwatch.infra.addresses import Forbidden, Guard, literal

ALLOWED = (
    *("127.0.0.1", "10.1.2.3", "192.168.1.1", "172.16.0.1", "8.8.8.8", "100.64.0.1"),
    *("::1", "fd00::1", "2600::1", "64:ff9b::808:808", "2002:808:808::"),
)
FORBIDDEN = {
    "169.254.0.1": "link-local",
    "fe80::1": "link-local",
    "fe80::1%eth0": "link-local",
    "169.254.169.254": "metadata",
    "100.100.100.200": "metadata",
    "168.63.129.16": "metadata",
    "fd00:ec2::254": "metadata",
    "::ffff:169.254.169.254": "metadata",
    "64:ff9b::a9fe:a9fe": "metadata",
    "2002:a9fe:a9fe::": "metadata",
    "::a9fe:a9fe": "metadata",
    "224.0.0.1": "multicast",
    "ff02::1": "multicast",
    "0.0.0.0": "unspecified",
    "::": "unspecified",
    "::ffff:0.0.0.0": "unspecified",
    "0.1.2.3": "reserved",
    "240.0.0.1": "reserved",
    "255.255.255.255": "reserved",
}


@pytest.mark.parametrize("address", ALLOWED)
def test_machines_of_ones_own_network_may_be_reached(address: str) -> None:
    Guard().check(address)


@pytest.mark.parametrize("address", FORBIDDEN)
def test_what_only_a_mistake_or_an_attack_would_name_may_not(address: str) -> None:
    with pytest.raises(Forbidden, match=FORBIDDEN[address]):
        Guard().check(address)
    Guard(("0.0.0.0/0", "::/0")).check(address)


def test_only_what_is_listed_is_allowed_besides() -> None:
    guard = Guard(("169.254.10.0/24",))
    guard.check("169.254.10.7")
    guard.check("::ffff:169.254.10.7")
    with pytest.raises(Forbidden):
        guard.check("169.254.11.7")


def test_of_several_addresses_only_those_that_may_be_reached_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = ["169.254.169.254", "127.0.0.1"]

    def lookup(*_: Any, **__: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 443)) for one in answers]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    assert Guard().resolve("mixed.test", 443) == [(socket.AF_INET, "127.0.0.1")]
    answers.pop()
    with pytest.raises(Forbidden):
        Guard().resolve("mixed.test", 443)


@pytest.mark.parametrize("host", ["0x7f.1", "2852039166", "127.1", "0251.0376.0251.0376"])
def test_an_address_in_disguise_is_a_name_and_looked_up(host: str) -> None:
    assert literal(host) is None
