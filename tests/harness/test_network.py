"""The namespace: who is in it, who isn't, and how one gets in and out."""

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.harness.network import Network


@pytest.fixture
def network() -> Iterator[Network]:
    network = Network.create()
    yield network
    network.close()


def here() -> Path:
    return Path("/proc/thread-self/ns/net").readlink()


def listener(address: str) -> socket.socket:
    return socket.create_server((address, 0))


def answers(server: socket.socket) -> bool:
    try:
        with socket.create_connection(server.getsockname()[:2], timeout=1):
            return True
    except OSError:
        return False


def test_every_address_of_a_pod_can_be_bound(network: Network) -> None:
    with network.inside(), listener("10.244.1.2") as one, listener("10.244.255.254") as other:
        assert answers(one)
        assert answers(other)


def test_nothing_inside_is_reached_from_outside(network: Network) -> None:
    with network.inside():
        pod, local = listener("10.244.1.2"), listener("127.0.0.1")
    with pod, local:
        assert not answers(pod)
        assert not answers(local)
        with network.inside():
            assert answers(pod)
            assert answers(local)


def test_nothing_outside_is_reached_from_inside(network: Network) -> None:
    with listener("127.0.0.1") as local:
        with network.inside():
            assert not answers(local)
            with network.outside():
                assert answers(local)
        assert answers(local)


def test_children_start_where_their_parent_is(network: Network) -> None:
    def seen() -> Path:
        return Path(subprocess.check_output(["readlink", "/proc/self/ns/net"], text=True).strip())

    home = here()
    with network.inside():
        own = seen()
    assert own != home
    assert seen() == home


def test_leaves_after_an_error(network: Network) -> None:
    home = here()
    with pytest.raises(ZeroDivisionError), network.inside():
        raise ZeroDivisionError
    assert here() == home


def test_two_do_not_meet(network: Network) -> None:
    other = Network.create()
    try:
        with network.inside():
            server = listener("10.244.1.2")
        with server, other.inside():
            assert not answers(server)
    finally:
        other.close()
