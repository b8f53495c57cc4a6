"""One pool of workers for all tests of the sandbox."""

from collections.abc import Iterator

import pytest

from sandbox.locked import Locked


@pytest.fixture(scope="session")
def locked() -> Iterator[Locked]:
    executor = Locked(workers=3)
    yield executor
    executor.close()
