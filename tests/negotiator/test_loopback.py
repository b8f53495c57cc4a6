"""One answer to whether a host is this machine: where it is yes, tokens are sent without TLS."""

import pytest

from negotiator.loopback import is_loopback


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST", "localhost.", "a.localhost", "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"]
)
def test_this_machine_is_known_by_its_names_and_addresses(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["", "example.com", "localhost.example.com", "alocalhost", "127.0.0.1.example.com", "0.0.0.0", "10.0.0.1", "::", "::ffff:10.0.0.1", "2130706433"],
)  # fmt: skip
def test_no_other_host_is_taken_for_it(host: str) -> None:
    assert not is_loopback(host)
