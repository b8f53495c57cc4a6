"""The walls around the tests hold."""

import os
import socket
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize("address", [("192.0.2.1", 80), ("10.0.0.1", 80)])
def test_a_connection_off_loopback_is_refused_and_noted(address: tuple[str, int], attempts_to_leave: list[str]) -> None:
    with socket.socket() as sock, pytest.raises(OSError, match="do not leave loopback"):
        sock.connect(address)
    assert attempts_to_leave == [f"connect to {address!r}"]
    attempts_to_leave.clear()


@pytest.mark.anyio
async def test_an_asynchronous_connection_by_name_is_refused_and_noted(attempts_to_leave: list[str]) -> None:
    with pytest.raises(OSError, match="do not leave loopback"):
        await anyio.connect_tcp("peer.invalid", 80)
    assert attempts_to_leave == ["look-up of 'peer.invalid'"]
    attempts_to_leave.clear()


def test_a_datagram_off_loopback_is_refused_and_noted(attempts_to_leave: list[str]) -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
        pytest.raises(OSError, match="do not leave loopback"),
    ):
        sock.sendto(b"x", ("192.0.2.1", 9))
    assert len(attempts_to_leave) == 1
    attempts_to_leave.clear()


def test_loopback_connects() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getpeername() == server.getsockname()


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no local sockets on this platform")
def test_local_sockets_connect(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(str(tmp_path / "s"))
        server.listen()
        client.connect(str(tmp_path / "s"))
        assert client.getpeername() == str(tmp_path / "s")


def test_state_is_kept_in_a_folder_of_the_test() -> None:
    assert list(Path(os.environ["NEGOTIATOR_STATE"]).parent.iterdir()) == []


@given(st.integers())
def test_generated_examples_run_beside_the_walls(number: int) -> None:
    assert int(str(number)) == number
